"""Reading the variables of a MATLAB 5 ``.mat`` file without trusting its headers.

Format: "MAT-File Format", MathWorks, "Level 5 MAT-File Format". Numbers and text are read, which
is all that Penn Action has. `scipy.io.loadmat` gives the same for its files, but inflates whatever
a file holds: gigabytes from one of a few megabytes.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from posedata.errors import InputError

#: What the variables of a file may hold when inflated: a file of a few kB can claim gigabytes.
LARGEST_CONTENT = 64 << 20

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CHARACTERS, _COMPLEX = 4, 0x0800
_NUMBER_CLASSES = range(6, 16)
# Element type: numpy type, without the byte order.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}  # fmt: skip
_ENCODINGS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_OTHER_CLASSES = {1: "a cell array", 2: "a struct", 3: "an object", 5: "a sparse matrix"}


class _Element(NamedTuple):
    kind: int
    content: memoryview
    end: int


def read_variables(
    content: bytes, names: Collection[str], path: str
) -> dict[str, np.ndarray | str]:
    """Read some variables of a ``.mat`` file.

    Parameters
    ----------
    content : bytes
        The whole file.
    names : collection of str
        Which variables; others are passed over.
    path : str
        The file's name, for error messages.

    Returns
    -------
    dict
        Name to array (as stored, which may be a narrower type than MATLAB's class of it, e.g.
        uint8 for a double) or text. A variable that the file lacks is not there.

    Raises
    ------
    InputError
        If it is no such file, is cut off, says two things of one size, holds more than
        `LARGEST_CONTENT`, or one of these variables is not numbers or a line of text.
    """
    order = _byte_order(content, path)
    file = memoryview(content)
    variables: dict[str, np.ndarray | str] = {}
    room = LARGEST_CONTENT
    position = _HEADER
    while position < len(file):
        where = f"byte {position}"
        try:
            element = _element(file, position, order)
            position = element.end
            if element.kind == _COMPRESSED:
                position = element.end - _padding(element)  # the one kind that is not padded
                inflated = memoryview(_inflate(element.content, room))
                element = _element(inflated, 0, order)
            room -= len(element.content)
            if element.kind != _MATRIX:
                raise _Broken(f"an element of type {element.kind} where a variable is expected")
            if room < 0:
                raise _Broken(f"variables of more than {LARGEST_CONTENT} bytes")
            found = _variable(element.content, names, order)
        except (_Broken, zlib.error) as error:
            raise InputError(
                f"not a readable MATLAB 5 file: {error}", path=path, position=where,
                remedy="Extract it again.",
            ) from None  # fmt: skip
        if found is not None:
            name, value = found
            if name in variables:
                raise InputError(f"the variable {name} twice", path=path, position=where)
            variables[name] = value
    return variables


class _Broken(Exception):  # noqa: N818
    """What is wrong with an element; its place is known one level up."""


def _byte_order(content: bytes, path: str) -> str:
    if content[:10] == b"MATLAB 7.3" or content[:8] == b"\x89HDF\r\n\x1a\n":
        raise InputError(
            "a MATLAB 7.3 file", path=path, found="HDF5", expected="MATLAB 5",
            remedy="Save it again with -v7, or take the original file.",
        )  # fmt: skip
    mark = content[124:_HEADER]
    orders = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
    if mark not in orders:
        raise InputError(
            "not a MATLAB 5 file", path=path, position="byte 124",
            found=repr(mark) if content else "an empty file", expected=repr(b"\x00\x01IM"),
        )  # fmt: skip
    return orders[mark]


def _inflate(content: memoryview, room: int) -> bytes:
    # MATLAB leaves out the checksum at the end of some streams; the sizes inside tell what is cut.
    inflated = zlib.decompressobj().decompress(content, room + 16)
    if len(inflated) >= room + 16:
        raise _Broken(f"variables of more than {LARGEST_CONTENT} bytes")
    return inflated


def _element(file: memoryview, position: int, order: str) -> _Element:
    """Give the data element at a position; `end` is where the next one begins."""
    if len(file) - position < 8:
        raise _Broken("it ends within a tag")
    kind, size = struct.unpack_from(order + "II", file, position)
    start = position + 8
    if kind >> 16:  # up to 4 bytes, packed into the tag
        kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        if size > 4:
            raise _Broken(f"a small element of {size} bytes")
        return _Element(kind, file[start : start + size], position + 8)
    if size > len(file) - start:
        raise _Broken(f"{size} bytes announced, {len(file) - start} there")
    return _Element(kind, file[start : start + size], start + size + -size % 8)


def _padding(element: _Element) -> int:
    return -len(element.content) % 8


def _variable(
    content: memoryview, names: Collection[str], order: str
) -> tuple[str, np.ndarray | str] | None:
    flags = _element(content, 0, order)
    if flags.kind != 6 or len(flags.content) != 8:
        raise _Broken("a variable without array flags")
    (flag_bits,) = struct.unpack_from(order + "I", flags.content)
    sizes = _element(content, flags.end, order)
    if sizes.kind != 5 or len(sizes.content) % 4 or not sizes.content:
        raise _Broken("a variable without dimensions")
    shape = struct.unpack(f"{order}{len(sizes.content) // 4}i", sizes.content)
    label = _element(content, sizes.end, order)
    name = bytes(label.content).decode("latin-1")
    if name not in names:
        return None
    kind = flag_bits & 0xFF
    if kind not in (*_NUMBER_CLASSES, _CHARACTERS) or flag_bits & _COMPLEX:
        what = "complex" if flag_bits & _COMPLEX else _OTHER_CLASSES.get(kind, f"of class {kind}")
        raise _Broken(f"the variable {name} is {what}")
    values = _element(content, label.end, order)
    if kind == _CHARACTERS:
        return name, _text(values, shape, name, order)
    return name, _numbers(values, shape, name, order)


def _numbers(values: _Element, shape: tuple[int, ...], name: str, order: str) -> np.ndarray:
    if values.kind not in _NUMBERS:
        raise _Broken(f"the variable {name} has values of type {values.kind}")
    dtype = np.dtype(order + _NUMBERS[values.kind])
    if min(shape) < 0 or math.prod(shape) * dtype.itemsize != len(values.content):
        raise _Broken(
            f"the variable {name} says {shape} of {dtype.itemsize} bytes and has "
            f"{len(values.content)}"
        )
    return np.frombuffer(values.content, dtype).reshape(shape, order="F")


def _text(values: _Element, shape: tuple[int, ...], name: str, order: str) -> str:
    if values.kind not in _ENCODINGS or len(shape) != 2 or shape[0] > 1:
        raise _Broken(f"the variable {name} is not a line of text")
    encoding = _ENCODINGS[values.kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    try:
        return bytes(values.content).decode(encoding)
    except UnicodeDecodeError:
        raise _Broken(f"the variable {name} is not {encoding} text") from None
