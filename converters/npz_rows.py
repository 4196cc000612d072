"""Single rows of the arrays of an ``.npz`` file, without holding arrays that are compressed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator

import numpy as np

from posedata.errors import InputError
from posedata.npy import NpzFile, read_npz
from posedata.storage import Location

# Arrays up to this size are held; a chunk of a larger one that is compressed has this size.
_HELD = 64 << 20
_CHUNK = 8 << 20
_BYTES = 8  # of a number at most


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
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._held: dict[str, np.ndarray] = {}
        self._streams: dict[str, _Stream] = {}

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return list(self._npz)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of an array from its header alone."""
        if name not in self._shapes:
            self._shapes[name] = self._npz.shape(name)
        return self._shapes[name]

    def array(self, name: str) -> np.ndarray:
        """Read all of an array."""
        return self._npz[name]

    def check(self, name: str) -> None:
        """Read an array that is compressed to its end, where its checksum is.

        Raises
        ------
        InputError
            If it is damaged. Its rows would be read all the same, with other numbers.
        """
        if self._is_streamed(name):
            for _ in self._npz.rows(name, self._at_once(name)):
                pass

    def row(self, name: str, index: int) -> np.ndarray:
        """Give one row of an array.

        Raises
        ------
        InputError
            If there is none, or the file is damaged; but see `check`.
        """
        rows = self.shape(name)[0]
        if not 0 <= index < rows:
            raise InputError(
                "the array has no such row", path=self._path, position=f"array {name!r}",
                found=index, expected=f"0 to {rows - 1}",
            )  # fmt: skip
        if name in self._held:
            return self._held[name][index]
        if not self._is_streamed(name):
            self._held[name] = self._npz[name]
            return self._held[name][index]
        if name not in self._streams:
            self._streams[name] = _Stream(self._npz, name, self._at_once(name))
        return self._streams[name].row(index)

    def _is_streamed(self, name: str) -> bool:
        return name in self._compressed and _BYTES * math.prod(self.shape(name)) > _HELD

    def _at_once(self, name: str) -> int:
        return max(1, _CHUNK // max(1, _BYTES * math.prod(self.shape(name)[1:])))


class _Stream:
    """The rows of one array, a chunk at a time."""

    def __init__(self, npz: NpzFile, name: str, at_once: int) -> None:
        self._npz, self._name, self._at_once = npz, name, at_once
        self._chunks: Iterator[np.ndarray] = iter(())
        self._chunk: np.ndarray | None = None
        self._begin = 0
        self._damage: tuple[int, InputError] | None = None

    def row(self, index: int) -> np.ndarray:
        if self._damage is not None and index >= self._damage[0]:
            raise self._damage[1]
        if self._chunk is None or index < self._begin:
            self._chunks = self._npz.rows(self._name, self._at_once)
            self._chunk, self._begin = np.empty(0), 0
        while index >= self._begin + len(self._chunk):
            self._begin += len(self._chunk)
            try:
                self._chunk = next(self._chunks)
            except InputError as error:  # once, and not again for each row after it
                self._damage, self._chunk = (self._begin, error), None
                raise
        return self._chunk[index - self._begin]


def _compressed_names(place: Location) -> set[str]:
    with place.open() as file, zipfile.ZipFile(file) as archive:
        return {
            member.filename.removesuffix(".npy")
            for member in archive.infolist()
            if member.compress_type != zipfile.ZIP_STORED
        }
