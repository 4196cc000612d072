"""Single rows of the arrays of an ``.npz`` file, without holding arrays that are compressed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator

import numpy as np

from posedata.errors import InputError
from posedata.npy import read_npz
from posedata.storage import Location

# Arrays up to this size are held; a chunk of a larger one that is compressed has this size.
_HELD = 64 << 20
_CHUNK = 8 << 20


class NpzRows:
    """The rows of the arrays of a file, which is kept open.

    An array that is not compressed, in a file of this machine, is mapped. One that is compressed is
    read from its beginning to the row that is asked for, and on from there for the next: rows that
    are asked for in their order are read once.

    Parameters
    ----------
    place : Location
        The file.
    path : str
        Its name, for error messages.

    Raises
    ------
    InputError
        If it is no such archive.
    """

    def __init__(self, place: Location, path: str) -> None:
        self._path = path
        self._npz = read_npz(place, path)
        self._compressed = _compressed_names(place) if place.is_local else set(self._npz)
        self._held: dict[str, np.ndarray] = {}
        self._streams: dict[str, _Stream] = {}

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return list(self._npz)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of an array from its header alone."""
        return self._npz.shape(name)

    def array(self, name: str) -> np.ndarray:
        """Read all of an array."""
        return self._npz[name]

    def row(self, name: str, index: int) -> np.ndarray:
        """Give one row of an array.

        Raises
        ------
        InputError
            If there is none, or the file is damaged.
        """
        rows, *shape = self.shape(name) if name not in self._held else self._held[name].shape
        if not 0 <= index < rows:
            raise InputError("the array has no such row", path=self._path,
                             position=f"array {name!r}", found=index, expected=f"0 to {rows - 1}")  # fmt: skip
        if name in self._held:
            return self._held[name][index]
        size = 8 * math.prod(shape)
        if name not in self._compressed or size * rows <= _HELD:
            self._held[name] = self._npz[name]
            return self._held[name][index]
        if name not in self._streams:
            self._streams[name] = _Stream(max(1, _CHUNK // max(1, size)))
        return self._streams[name].row(lambda at_once: self._npz.rows(name, at_once), index)
