"""A clip as the dense arrays of training repos, with nothing but the padding added."""

from __future__ import annotations

import re

import numpy as np

from posedata.clip import Clip
from posedata.converter import Option
from posedata.errors import InputError
from posedata.profile import Change

PEOPLE = Option(
    "people", "which two to keep of more than two: refuse, or those in the most frames", "refuse",
    ("refuse", "longest"),
)  # fmt: skip
EMPTY = Option(
    "empty", "a clip without poses: refuse, or one person of zeros", "refuse", ("refuse", "zeros")
)
CHANNELS = Option(
    "channels", "3d: x, y, z in metres; 2d: x, y in pixels and the score; auto: 3d if there is one",
    "auto", ("auto", "3d", "2d"),
)  # fmt: skip
_STEP = "make_dense"
_VAL_IS_TEST = re.compile(r"xsub\d*|xview\d*|xset", re.ASCII)


def joint_channels(clip: Clip, channels: str, changes: list[Change]) -> np.ndarray:
    """Spread a clip over persons and frames, zeros where nothing is.

    Parameters
    ----------
    clip : Clip
        Any.
    channels : str
        Of `CHANNELS`.
    changes : list of Change
        Gets the number of missing joints that became zeros.

    Returns
    -------
    float32, shape (M, T, V, 3)
        x, y, z; or x, y and the score (1 for a joint that is there, where there are no scores).

    Raises
    ------
    InputError
        If the clip has no such coordinates.
    """
    name = "keypoints_2d" if channels == "2d" else "keypoints_3d"
    if channels == "auto" and clip.keypoints_3d is None:
        name = "keypoints_2d"
    if clip.arrays.get(name) is None:
        raise InputError(f"no {name} in the layer {clip.layer}")
    keypoints = clip.arrays[name]
    missing = np.isnan(keypoints[..., 0])
    if missing.any():
        changes.append(Change(_STEP, "missing joints written as 0", int(missing.sum())))
    values = np.where(missing[..., None], np.float32(0), keypoints)
    if name == "keypoints_2d":
        scores = clip.scores if clip.scores is not None else (~missing).astype(np.float32)
        values = np.concatenate([values, scores[..., None]], axis=-1)
    dense = np.zeros((clip.num_persons, clip.num_frames, *values.shape[1:]), np.float32)
    dense[clip.persons, clip.frames] = values
    return dense


def two_people(
    dense: np.ndarray, clip: Clip, how: str, empty: str, changes: list[Change]
) -> np.ndarray:
    """Bring a dense clip to exactly two persons.

    Parameters
    ----------
    dense : float32, shape (M, T, V, C)
        Of `joint_channels`.
    clip : Clip
        Where it comes from.
    how, empty : str
        Of `PEOPLE` and `EMPTY`.
    changes : list of Change
        Gets the number of persons left out.

    Returns
    -------
    float32, shape (2, T, V, C)
        The second is zeros where there is one person.

    Raises
    ------
    InputError
        If there are more than two persons, or none, and that is to be refused.
    """
    people = len(dense)
    if people == 0 and empty == "refuse":
        raise InputError("no poses", remedy="--empty zeros writes zeros.")
    if people > 2:
        if how == "refuse":
            raise InputError("more than two people", remedy="--people longest keeps two.")
        frames = np.bincount(clip.persons, minlength=people)
        kept = np.sort(np.argsort(-frames, kind="stable")[:2])
        changes.append(Change(_STEP, "people left out", people - 2))
        return dense[kept]
    if people == 0:
        changes.append(Change(_STEP, "clips without poses written as zeros", 1))
    return np.concatenate([dense, np.zeros((2 - people, *dense.shape[1:]), np.float32)])


def label_of(clip: Clip) -> int:
    """Give the class of a clip.

    Raises
    ------
    InputError
        If it has none.
    """
    label = clip.info.get("label")
    if label is None:
        raise InputError("no label")
    return int(label)


def part_name(protocol: str, split: str) -> str:
    """Name a split as training repos do: ``val`` for the test split of NTU RGB+D and N-UCLA."""
    return "val" if split == "test" and _VAL_IS_TEST.fullmatch(protocol) else split
