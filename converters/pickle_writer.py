"""Writing a pickle of plain Python values and arrays piece by piece, for any numpy.

Pickles that numpy 2 writes name ``numpy._core``, which numpy 1 does not have; arrays are written
here under the names that both know. The pieces go to the file as they come, so that memory does
not grow with what is written.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

_PROTOCOL = 3
_MOST_AT_ONCE = 1000


class Sink(Protocol):
    """What is written to."""

    def write(self, content: bytes, /) -> Any:
        """Append bytes."""


def write_pickle(file: Sink, value: Mapping[str, Any]) -> None:
    """Write a dict whose values are plain Python values, dicts with arrays, or iterators of such.

    Parameters
    ----------
    file : binary file
        Where to.
    value : mapping of str to object
        An iterator among the values becomes a list; it is read as it is written.
    """
    file.write(b"\x80" + bytes([_PROTOCOL]))
    _write_mapping(file, value)
    file.write(b".")


def _write(file: Sink, value: Any) -> None:
    if isinstance(value, np.ndarray):
        file.write(_array(value))
    elif isinstance(value, Mapping):
        _write_mapping(file, value)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes, list, tuple)):
        _write_list(file, value)
    else:
        file.write(_plain(value))


def _write_mapping(file: Sink, value: Mapping[str, Any]) -> None:
    file.write(b"}(")
    for key, each in value.items():
        file.write(_plain(key))
        _write(file, each)
    file.write(b"u")


def _write_list(file: Sink, values: Iterable[Any]) -> None:
    file.write(b"](")
    for count, each in enumerate(values, start=1):
        _write(file, each)
        if count % _MOST_AT_ONCE == 0:
            file.write(b"e(")
    file.write(b"e")


def _plain(value: Any) -> bytes:
    """Pickle a value without the frame around it. Its own memo entries may be reused later."""
    return pickle.dumps(value, _PROTOCOL)[2:-1]


def _array(array: np.ndarray) -> bytes:
    """Pickle an array as numpy 1 does: an empty one, and then its state."""
    contiguous = np.ascontiguousarray(array)
    contiguous = contiguous.astype(contiguous.dtype.newbyteorder("<"), copy=False)
    kind = contiguous.dtype.str[1:]
    order = "<" if contiguous.dtype.itemsize > 1 else "|"
    dtype = (
        b"cnumpy\ndtype\n(" + _plain(kind) + b"\x89\x88tR("
        + _plain(3) + _plain(order) + b"NNN" + _plain(-1) + _plain(-1) + _plain(0) + b"tb"
    )  # fmt: skip
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        + _plain((0,)) + _plain(b"b") + b"tR("
        + _plain(1) + _plain(tuple(contiguous.shape)) + dtype + b"\x89"
        + _plain(contiguous.tobytes()) + b"tb"
    )  # fmt: skip
