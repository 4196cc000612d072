"""What the few names that a pickle of data asks for do: numpy's arrays, sets, bytes.

Each function stands in `CALLS` under the name that pickles know, takes the reading and the
arguments as they are in the file, and checks them before it makes anything: a pickle may call
``bytearray(10**12)``, or announce an array of 10**12 numbers. For `posedata.unpickle` only.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import numpy as np

_DTYPE = re.compile(r"[biufcSU][0-9]{1,9}|O[0-9]{0,2}")


class Reading(Protocol):
    """What these functions need of the machine that reads."""

    def refuse(self, message: str, remedy: str | None = None) -> NoReturn:
        """Raise InputError at the place in the file."""

    def charge(self, num_bytes: int) -> None:
        """Count memory for arrays and sets, and refuse what the file's size does not explain."""

    def key(self, key: Any) -> Any:
        """Give a key of a dict or set back, if it is one that can be looked up in no time."""


def _bytes(reading: Reading, *arguments: Any) -> bytes:
    (source, *encoding) = arguments or (b"",)
    if isinstance(source, str):
        return _encode(reading, source, *encoding)
    if not isinstance(source, bytes | bytearray):  # a number would be a size to allocate
        reading.refuse(f"a damaged pickle: bytes of a {type(source).__name__}")
    reading.charge(len(source))
    return bytes(source)


def _bytearray(reading: Reading, *arguments: Any) -> bytearray:
    return bytearray(_bytes(reading, *arguments))


def _encode(reading: Reading, text: Any, encoding: Any = "latin1") -> bytes:
    """Text to bytes, as Python 3 writes bytes in the protocols of Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        reading.refuse("a damaged pickle: bytes that are not text in latin-1")
    reading.charge(len(text))
    return text.encode("latin-1")


def _set(reading: Reading, items: Any = ()) -> set:
    if type(items) not in (list, tuple):
        reading.refuse(f"a damaged pickle: a set of a {type(items).__name__}")
    reading.charge(len(items))
    return set(map(reading.key, items))


def _complex(reading: Reading, real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


def _ordered_dict(reading: Reading, pairs: Any = ()) -> dict:
    if type(pairs) not in (list, tuple):
        reading.refuse(f"a damaged pickle: a dict of a {type(pairs).__name__}")
    reading.charge(len(pairs))
    return {reading.key(key): value for key, value in pairs}


def _default_dict(reading: Reading, factory: Any = None) -> dict:
    return {}


def _no_call(reading: Reading, *arguments: Any) -> NoReturn:
    reading.refuse("the pickle calls a type that stands for itself only")


def _reconstruct(reading: Reading, kind: Any, shape: Any, code: Any) -> np.ndarray:
    if getattr(kind, "name", None) != "numpy.ndarray" or shape != (0,):
        reading.refuse("a damaged pickle: an array that does not start empty")
    return np.empty(0, np.int8)


def _dtype(reading: Reading, code: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        reading.refuse(
            f"an array of {reprlib.repr(code)}", "Numbers, truth values and text can be read."
        )
    # A copy, because BUILD changes it.
    return np.dtype(np.dtype("O" if code[0] == "O" else code), copy=True)


def fill_dtype(reading: Reading, target: np.dtype, version: Any, order: Any, *state: Any) -> None:
    """Set the byte order of a dtype, if that is all that its pickled state says."""
    subarray, names, fields, itemsize, _, _, *metadata = state
    simple = version in (3, 4) and subarray is names is fields is None and not any(metadata)
    if not simple or order not in ("<", ">", "|", "=") or itemsize not in (-1, target.itemsize):
        reading.refuse(f"an array of records, or of a size that is not that of {target}")
    sizes = (target.itemsize, target.alignment, target.flags)
    target.__setstate__((3, order, None, None, None, *sizes))  # type: ignore[attr-defined]


def fill_array(
    reading: Reading, target: np.ndarray, version: Any, shape: Any, dtype: Any, fortran: Any,
    values: Any,
) -> None:  # fmt: skip
    """Give an empty array its shape, dtype and values, if these agree."""
    if target.size or target.dtype != np.int8:
        reading.refuse("a damaged pickle: an array that is filled twice")
    if isinstance(values, str):
        values = _encode(reading, values)
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        if type(values) is not list or math.prod(_checked(reading, shape)) != len(values):
            reading.refuse("a damaged pickle: not as many objects as the array's shape says")
        reading.charge(len(values))
    else:
        _check_size(reading, shape, dtype, values)
    state: Any = (1, shape, dtype, bool(fortran), values)
    target.__setstate__(state)


def _from_buffer(
    reading: Reading, values: Any, dtype: Any, shape: Any, order: Any, axes: Any = None
) -> np.ndarray:
    _check_size(reading, shape, dtype, values)
    flat = np.frombuffer(values, dtype)
    if order == "K" and axes is not None:
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def _scalar(reading: Reading, dtype: Any, value: Any = b"") -> np.generic:
    value = _encode(reading, value) if isinstance(value, str) else value
    if isinstance(dtype, np.dtype) and dtype.kind in "SU" and dtype.itemsize == 0 and not value:
        return dtype.type()
    _check_size(reading, (), dtype, value)
    return np.frombuffer(value, dtype)[0]


def _checked(reading: Reading, shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        reading.refuse(f"a damaged pickle: the shape {reprlib.repr(shape)}")
    return shape


def _check_size(reading: Reading, shape: Any, dtype: Any, values: Any) -> None:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not dtype.itemsize:
        reading.refuse(f"a damaged pickle: an array of {reprlib.repr(dtype)}")
    if not isinstance(values, bytes | bytearray):
        reading.refuse(f"a damaged pickle: the numbers of an array in a {type(values).__name__}")
    if (size := math.prod(_checked(reading, shape)) * dtype.itemsize) != len(values):
        reading.refuse(
            f"a damaged pickle: {len(values)} bytes for an array {reprlib.repr(shape)} of {dtype}, "
            f"which takes {reprlib.repr(size)}"
        )
    reading.charge(size)


#: Name, with numpy 1's and Python 3's modules: function of the reading and the arguments.
CALLS: dict[str, Callable[..., Any]] = {
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytearray,
    "builtins.set": _set,
    "builtins.frozenset": lambda reading, items=(): frozenset(_set(reading, items)),
    "builtins.complex": _complex,
    # The factory of a defaultdict, never called.
    **{f"builtins.{name}": _no_call for name in ("list", "dict", "tuple", "int", "float", "str")},
    "_codecs.encode": _encode,
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "numpy.ndarray": _no_call,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
}
