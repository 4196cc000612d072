"""The ``kpts`` array of SSTA-PRS, one person's joints in every frame: ``.npz`` bytes to an array.

Yang et al., "Selective Spatio-Temporal Aggregation Based Pose Refinement System: Towards
Understanding Human Activities in Real-World Videos", WACV 2021: float32 (T, 17, 2), pixels, in the
order of COCO. A joint that was not found is (0, 0).
"""

from __future__ import annotations

import reprlib

import numpy as np

from posedata.errors import InputError
from posedata.npy import NpzFile, read_npz
from posedata.storage import Location

_NAME = "kpts"
_JOINTS = (17, 2)
_MOST_BYTES = 1 << 30  # six weeks of video
_REMEDY = "Poses of SSTA-PRS have one array kpts (frames, 17, 2), float32."


def parse_kpts(content: bytes, path: str) -> np.ndarray:
    """Read the array ``kpts`` of an ``.npz`` file.

    Parameters
    ----------
    content : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Returns
    -------
    float32 or float64, shape (T, 17, 2)
        As in the file.

    Raises
    ------
    InputError
        If it is no ``.npz``, has no ``kpts``, or one of another shape or type (an array of
        objects is refused: it would have to be unpickled), or is damaged.
    """
    file = read_npz(content, path, largest=_MOST_BYTES)
    _check_shape(file, path)
    kpts = file[_NAME]
    if kpts.dtype.kind not in "fiu" or kpts.dtype.itemsize > 8:
        raise InputError("kpts is not of numbers", path=path, found=kpts.dtype,
                         expected="float32", remedy=_REMEDY)  # fmt: skip
    return np.ascontiguousarray(kpts, np.float64 if kpts.dtype.itemsize > 4 else np.float32)


def count_frames(place: Location, path: str) -> int:
    """Give T of an ``.npz`` file from its header, without reading the numbers.

    Parameters
    ----------
    place : Location
        The file.
    path : str
        Its name, for error messages.

    Raises
    ------
    InputError
        As `parse_kpts`, for what shows in the header.
    """
    return _check_shape(read_npz(place, path), path)[0]


def _check_shape(file: NpzFile, path: str) -> tuple[int, ...]:
    if _NAME not in file:
        raise InputError("no array kpts", path=path, found=reprlib.repr(list(file)),
                         remedy=_REMEDY)  # fmt: skip
    shape = file.shape(_NAME)
    if len(shape) != 3 or shape[1:] != _JOINTS:
        raise InputError("kpts has another shape", path=path, found=shape,
                         expected="(frames, 17, 2)", remedy=_REMEDY)  # fmt: skip
    return shape
