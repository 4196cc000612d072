"""The poses of a clip as the checks see them: coordinates, body sizes, steps between frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from posedata.clip import Clip

#: Frames a second where a release does not say it; most data sets of this field have 30.
USUAL_FPS = 30.0

#: Poses with fewer of the joints do not measure the size of a body, if others are there.
_PART_OF_JOINTS = 0.5


@dataclass(frozen=True, eq=False)
class Poses:
    """A clip with its coordinates in space, or in the picture where it has no others.

    Attributes
    ----------
    clip : Clip
        Whose poses.
    keypoints : float64, shape (N, V, C)
        Metres (C = 3) or pixels (C = 2); NaN where missing.
    """

    clip: Clip
    keypoints: np.ndarray

    @property
    def unit(self) -> str:
        """``m`` or ``px``."""
        return "m" if self.keypoints.shape[2] == 3 else "px"

    @cached_property
    def present(self) -> np.ndarray:
        """Joints that are there, bool (N, V)."""
        return np.asarray(np.isfinite(self.keypoints).all(-1))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Body size of each pose's person, float64 (N,); see `body_sizes`."""
        return body_sizes(self.keypoints, self.clip.persons)

    @cached_property
    def steps(self) -> np.ndarray:
        """Way of each joint since the frame before, float64 (N, V); see `joint_steps`."""
        return joint_steps(self.keypoints, self.clip.frames, self.clip.persons)

    @property
    def fps(self) -> float:
        """Frames a second, as far as it is known."""
        fps = self.clip.info.get("fps")
        return float(fps) if fps and np.isfinite(fps) and fps > 0 else USUAL_FPS

    def tracks(self) -> list[tuple[int, slice]]:
        """Give each person and their rows."""
        persons = self.clip.persons
        starts = np.flatnonzero(np.diff(persons, prepend=-1)).tolist()
        ends = [*starts[1:], len(persons)]
        return [(int(persons[a]), slice(a, b)) for a, b in zip(starts, ends, strict=True)]


def poses_of(clip: Clip, name: str | None = None) -> Poses | None:
    """Take a clip's coordinates; None where it has none. What is not finite is missing.

    Parameters
    ----------
    clip : Clip
        Whose.
    name : {"keypoints_2d", "keypoints_3d"}, optional
        Which; by default those in space, if it has them.
    """
    if name is None:
        name = "keypoints_2d" if clip.keypoints_3d is None else "keypoints_3d"
    keypoints = getattr(clip, name)
    if keypoints is None:
        return None
    keypoints = keypoints.astype(np.float64)
    keypoints[~np.isfinite(keypoints).all(-1)] = np.nan
    return Poses(clip, keypoints)


def body_sizes(keypoints: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Size of a person: the diagonal of the box around the joints, median over the track.

    Of a person who stands it is a little more than the height.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        NaN where a joint is missing.
    persons : int, shape (N,)
        Track of each pose, ascending.

    Returns
    -------
    float64, shape (N,)
        In the unit of ``keypoints``; of the poses with at least half of the joints, if there are
        any. NaN where a person has no two joints in any pose.
    """
    sizes = np.full(len(persons), np.nan)
    if not keypoints.size:
        return sizes
    there = np.isfinite(keypoints).all(-1)
    low = np.where(there[..., None], keypoints, np.inf).min(1)
    high = np.where(there[..., None], keypoints, -np.inf).max(1)
    counts = there.sum(1)
    with np.errstate(invalid="ignore"):
        diagonals = np.sqrt(((high - low) ** 2).sum(-1))
    whole = counts >= max(2, np.ceil(_PART_OF_JOINTS * keypoints.shape[1]))
    starts = np.flatnonzero(np.diff(persons, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(persons)], strict=True):
        use = whole[start:end] if whole[start:end].any() else counts[start:end] >= 2
        if use.any():
            size = np.median(diagonals[start:end][use])
            sizes[start:end] = size if size > 0 else np.nan
    return sizes


def joint_steps(keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Distance of each joint from where it was in the frame before.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        Sorted by (person, frame); NaN where a joint is missing.
    frames, persons : int, shape (N,)
        Gaps are not crossed.

    Returns
    -------
    float64, shape (N, V)
        NaN where the person, or the joint, was not there in the frame before.
    """
    steps = np.full(keypoints.shape[:2], np.nan)
    if len(keypoints) > 1:
        follows = (np.diff(frames) == 1) & (np.diff(persons) == 0)
        ways = np.sqrt(((keypoints[1:] - keypoints[:-1]) ** 2).sum(-1))
        steps[1:][follows] = ways[follows]
    return steps


def column_medians(values: np.ndarray) -> np.ndarray:
    """Median of each column without its NaN: ``np.nanmedian(values, 0)``, ten times as fast.

    Parameters
    ----------
    values : float, shape (T, V)

    Returns
    -------
    float64, shape (V,)
        NaN of a column of NaN.
    """
    if not len(values):
        return np.full(values.shape[1], np.nan)
    counts = len(values) - np.isnan(values).sum(0)
    ordered = np.sort(values, axis=0)  # NaN last
    columns = np.arange(values.shape[1])
    low = ordered[np.maximum(counts - 1, 0) // 2, columns]
    return np.asarray((low + ordered[np.minimum(counts // 2, len(values) - 1), columns]) / 2)
