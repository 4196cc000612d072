"""Reading ``.npy`` and ``.npz`` files that nobody vouches for.

What a header announces is compared with the bytes that are there before anything is allocated,
and no pickle in them runs: arrays of objects are refused, or read by `posedata.unpickle` where a
format is made of them. The formats: ``numpy.lib.format``.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from posedata.errors import InputError
from posedata.storage import Location

#: Bytes of one array, unless the caller says otherwise.
LARGEST_ARRAY = 4 << 30

_LONGEST_HEADER = 10_000  # numpy's own limit: the literal parser is not safe with longer text
_CHUNK = 1 << 20
_MAPPED_FROM = 64 << 20  # smaller arrays are read


class Header(NamedTuple):
    """What the header of a ``.npy`` file says.

    Attributes
    ----------
    shape : tuple of int
        As in the file.
    fortran : bool
        Whether the first index runs fastest.
    dtype : numpy.dtype
        Numbers, truth values, text, or objects.
    offset : int
        Bytes before the values.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def num_bytes(self) -> int:
        """Bytes of the values; of an array of objects, nobody knows."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(text: bytes, path: str, *, objects: bool = False) -> np.ndarray:
    """Read an array from the bytes of a ``.npy`` file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.
    objects : bool
        Whether an array of objects is read, by `posedata.unpickle.load_pickle`, or refused.

    Returns
    -------
    array
        In the byte order of this machine. It shares ``text`` and cannot be written where that
        makes a copy unnecessary.

    Raises
    ------
    InputError
        If the bytes are anything but one whole array of numbers, truth values or text.
    """
    with _only_input_errors(path, ""):
        header = _parse_header(text, path, "")
        if header.dtype.hasobject:
            return _read_objects(text, header, path, "", objects)
        _check_size(header, len(text), path, "")
        return _native(_arrange(np.frombuffer(text, header.dtype, offset=header.offset), header))
    raise AssertionError


def open_npy(place: Location, path: str, *, largest: int = LARGEST_ARRAY) -> np.ndarray:
    """Open a ``.npy`` file without reading it, if it is a file of this machine.

    Parameters
    ----------
    place : Location
        The file; one that is elsewhere is read.
    path : str
        Its name, for error messages.
    largest : int
        Bytes that are read at most; a file of this machine may have more.

    Returns
    -------
    array
        Mapped from the file, read-only, in the file's byte order.

    Raises
    ------
    InputError
        As `read_npy` does; arrays of objects are refused.
    """
    if not place.is_local:
        return read_npy(place.read_bytes(largest), path)
    with _only_input_errors(path, ""):
        with open(place.path, "rb") as file:  # noqa: PTH123
            header = _parse_header(file.read(_LONGEST_HEADER + 16), path, "")
        if header.dtype.hasobject:
            return _read_objects(b"", header, path, "", False)
        _check_size(header, place.size(), path, "")
        return _map(place, header.offset, header)
    raise AssertionError


def read_npz(
    source: Location | bytes, path: str, *, objects: bool = False, largest: int = LARGEST_ARRAY
) -> NpzFile:
    """Open a ``.npz`` file: a zip archive of arrays.

    Parameters
    ----------
    source : Location or bytes
        The file, or all its bytes.
    path : str
        Its name, for error messages.
    objects : bool
        Whether arrays of objects are read, by `posedata.unpickle.load_pickle`, or refused.
    largest : int
        Bytes of one array at most, so that a small archive cannot fill the memory. Arrays that are
        mapped (see `NpzFile`) may be larger.

    Returns
    -------
    NpzFile

    Raises
    ------
    InputError
        If it is no such archive, or has a name twice. Each array is checked when it is read.
    """
    with _only_input_errors(path, ""):
        stream: Any = io.BytesIO(source) if isinstance(source, bytes) else source.open()
        archive = zipfile.ZipFile(stream)
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                name = member.filename[: -len(".npy")]
                if name in members:
                    raise InputError("two arrays of one name", path=path, found=repr(name))
                members[name] = member
        if not members:
            raise InputError("an archive without arrays", path=path, expected="a .npz file")
        place = source if isinstance(source, Location) and source.is_local else None
        return NpzFile(archive, members, place, path, objects, largest)
    raise AssertionError


class NpzFile(Mapping[str, np.ndarray]):
    """The arrays of a ``.npz`` file by name, each read when it is asked for; see `read_npz`.

    An array from 64 MB on that is not compressed, in a file of this machine, is mapped from the
    file, read-only and in the file's byte order, and its checksum is not looked at. Each other one
    is read anew each time.
    """

    def __init__(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo],
        place: Location | None, path: str, objects: bool, largest: int,
    ) -> None:  # fmt: skip
        self._archive, self._members, self._place = archive, members, place
        self._path, self._objects, self._largest = path, objects, largest

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._members:
            raise InputError(
                f"no array {name!r}", path=self._path, expected=f"one of {', '.join(self)}"
            )
        where = f"array {name!r}"
        with _only_input_errors(self._path, where), self._open(name) as stream:
            member = self._members[name]
            beginning = stream.read(_LONGEST_HEADER + 16)
            header = _parse_header(beginning, self._path, where)
            if not header.dtype.hasobject:
                _check_size(header, member.file_size, self._path, where)
                if self._is_mapped(member):
                    return _map(self._place, self._begin(member) + header.offset, header)
            if member.file_size > self._largest:
                raise InputError("the array is too large", path=self._path, position=where,
                                 found=f"{member.file_size} bytes",
                                 expected=f"at most {self._largest}")  # fmt: skip
            if header.dtype.hasobject:
                text = beginning + stream.read(self._largest) if self._objects else b""
                return _read_objects(text, header, self._path, where, self._objects)
            values = _read_values(stream, beginning[header.offset :], header.num_bytes)
            return _native(_arrange(values.view(header.dtype), header))
        raise AssertionError

    def rows(self, name: str, at_once: int) -> Iterator[np.ndarray]:
        """Read an array in parts along its first axis, without holding all of it.

        Parameters
        ----------
        name : str
            Which array; in C order.
        at_once : int
            Rows of each part, the last one perhaps fewer.

        Yields
        ------
        array, shape (at_once, ...)
            In the byte order of this machine.
        """
        where = f"array {name!r}"
        with _only_input_errors(self._path, where), self._open(name) as stream:
            beginning = stream.read(_LONGEST_HEADER + 16)
            header = _parse_header(beginning, self._path, where)
            if header.dtype.hasobject or header.fortran or not header.shape:
                raise InputError("an array without rows of numbers", path=self._path,
                                 position=where)  # fmt: skip
            _check_size(header, self._members[name].file_size, self._path, where)
            pending = beginning[header.offset :]
            for row in range(0, header.shape[0], at_once):
                part = header._replace(
                    shape=(min(at_once, header.shape[0] - row), *header.shape[1:])
                )
                if part.num_bytes > self._largest:
                    raise InputError("rows of the array are too large", path=self._path,
                                     position=where)  # fmt: skip
                values = _read_values(stream, pending[: part.num_bytes], part.num_bytes)
                pending = pending[part.num_bytes :]
                yield _native(values.view(part.dtype).reshape(part.shape))

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of an array from its header alone."""
        where = f"array {name!r}"
        with _only_input_errors(self._path, where), self._open(name) as stream:
            return _parse_header(stream.read(_LONGEST_HEADER + 16), self._path, where).shape
        raise AssertionError

    def _open(self, name: str) -> IO[bytes]:
        member = self._members[name]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError("a kind of compression that numpy does not write", path=self._path,
                             position=f"array {name!r}", found=member.compress_type)  # fmt: skip
        return self._archive.open(member)

    def _is_mapped(self, member: zipfile.ZipInfo) -> bool:
        return (
            self._place is not None
            and member.compress_type == zipfile.ZIP_STORED
            and member.compress_size == member.file_size >= _MAPPED_FROM
        )

    def _begin(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of a member start; its own header may differ from the directory's."""
        assert self._place is not None
        with open(self._place.path, "rb") as file:  # noqa: PTH123
            file.seek(member.header_offset)
            name, extra = struct.unpack("<26xHH", file.read(30))
        begin = member.header_offset + 30 + name + extra
        if begin + member.file_size > self._place.size():
            raise InputError("a truncated archive", path=self._path)
        return begin


@contextlib.contextmanager
def _only_input_errors(path: str, where: str) -> Iterator[None]:
    """Turn whatever odd bytes make zipfile, zlib or numpy raise into InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = "it needs more memory than there is" if isinstance(error, MemoryError) else error
        raise InputError(
            "a damaged file of arrays", path=path, position=where or None,
            found=f"{type(error).__name__}: {reason}",
        ) from error  # fmt: skip


def _parse_header(text: bytes, path: str, where: str) -> Header:
    """Read the header at the start of a ``.npy`` file."""

    def refuse(message: str, found: Any = None, remedy: str | None = None) -> InputError:
        return InputError(message, path=path, position=where or None, found=found, remedy=remedy)

    if not text.startswith(npy_format.MAGIC_PREFIX):
        raise refuse("no .npy file", repr(text[:6]) if text else "nothing")
    stream = io.BytesIO(text[: _LONGEST_HEADER + 16])
    try:
        version = npy_format.read_magic(stream)
        if version == (3, 0):
            raise refuse("an array of records, whose names are not ASCII")
        if version not in ((1, 0), (2, 0)):
            raise refuse("an unknown version of the .npy format", version)
        with warnings.catch_warnings():  # of a header that Python 2 wrote, which is all right
            warnings.simplefilter("ignore")
            read = getattr(npy_format, f"read_array_header_{version[0]}_0")
            shape, fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    except InputError:
        raise
    except Exception as error:
        raise refuse("a damaged header of a .npy file", error) from None
    if dtype.kind not in "biufcSUO" or dtype.names or dtype.subdtype:
        raise refuse("an array of something else than numbers, truth values or text", dtype)
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise refuse("a damaged header of a .npy file", f"shape {shape}")
    return Header(shape, bool(fortran), dtype, stream.tell())


def _check_size(header: Header, size: int, path: str, where: str) -> None:
    expected = header.offset + header.num_bytes
    if size == expected and (header.dtype.itemsize or not math.prod(header.shape)):
        return
    raise InputError(
        "the size is not what the header says", path=path, position=where or None,
        found=f"{size} bytes", expected=f"{expected} ({header.dtype} {header.shape})",
        remedy="The file seems truncated: copy it again." if size < expected else
        "If several arrays were saved to one file, save each to its own.",
    )  # fmt: skip


def _arrange(values: np.ndarray, header: Header) -> np.ndarray:
    if header.fortran:
        return values.reshape(header.shape[::-1]).T
    return values.reshape(header.shape)


def _native(values: np.ndarray) -> np.ndarray:
    """Give values in this machine's byte order, and aligned; numba takes no others."""
    if values.dtype.isnative and values.flags.aligned:
        return values
    return values.astype(values.dtype.newbyteorder("="), order="K")


def _read_values(stream: IO[bytes], beginning: bytes, num_bytes: int) -> np.ndarray:
    """Fill an array of bytes; memory that nothing is written to is not taken from the system."""
    values = np.empty(num_bytes, np.uint8)
    filled = 0
    piece = beginning
    while filled < num_bytes:
        piece = piece or stream.read(min(_CHUNK, num_bytes - filled))
        if not piece:
            raise EOFError(f"it ends {num_bytes - filled} bytes early")
        values[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
        piece = b""
    return values


def _read_objects(
    text: bytes, header: Header, path: str, where: str, objects: bool
) -> np.ndarray:  # fmt: skip
    if not objects:
        raise InputError(
            "an array of objects, which is a pickle", path=path, position=where or None,
            expected="numbers, truth values or text",
            remedy="Load it yourself if you trust it, and save plain arrays.",
        )  # fmt: skip
    from posedata.unpickle import load_pickle

    values = load_pickle(text, f"{path}, {where}" if where else path, header.offset)
    if not isinstance(values, np.ndarray) or not values.dtype.hasobject:
        raise InputError("no array of objects, though the header says so", path=path,
                         position=where or None)  # fmt: skip
    if values.shape != header.shape:
        raise InputError("not the shape of the header", path=path, position=where or None,
                         found=values.shape, expected=header.shape)  # fmt: skip
    return values


def _map(place: Location | None, offset: int, header: Header) -> np.ndarray:
    assert place is not None
    if not header.num_bytes:
        return np.empty(header.shape, header.dtype)
    order: Any = "F" if header.fortran else "C"
    return np.memmap(place.path, header.dtype, "r", offset, header.shape, order)
