"""How one clip differs from another version of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from posedata.clip import Clip

#: Arrays of which the size of the change is counted, joint by joint.
MOVED_ARRAYS = ("keypoints_2d", "keypoints_3d", "scores")

# Moves are counted in bins that are 1 % wide, from 1e-9 to 1e9 of their unit.
_LOWEST, _HIGHEST, _PER_E = -9.0, 9.0, 230
_BINS = int((_HIGHEST - _LOWEST) * _PER_E)


class Moves:
    """How many joints moved and how far, of any number of clips in the same memory.

    Parameters
    ----------
    joints : sequence of str
        The V joints.
    tolerance : float
        Moves up to this do not count.

    Attributes
    ----------
    compared, changed, appeared, vanished : int64, shape (V,)
        Joints that were there in both; of these, those that moved; and those that are there in
        one alone.
    """

    def __init__(self, joints: Sequence[str], tolerance: float = 0.0) -> None:
        self.joints, self.tolerance = tuple(joints), tolerance
        self.compared = np.zeros(len(joints), np.int64)
        self.changed, self.appeared, self.vanished = (np.zeros_like(self.compared) for _ in "abc")
        self._largest = np.zeros(len(joints))
        self._bins = np.zeros((len(joints), _BINS), np.int64)

    def add(self, before: np.ndarray, after: np.ndarray) -> tuple[bool, float]:
        """Count the poses of a clip.

        Parameters
        ----------
        before, after : float, shape (N, V, C) or (N, V)
            The same poses; NaN where a joint is missing.

        Returns
        -------
        differs : bool
        largest : float
            The largest move; NaN where nothing moved.
        """
        before, after = before.astype(np.float64), after.astype(np.float64)
        if before.ndim == 2:
            before, after = before[..., None], after[..., None]
        was, is_there = np.isfinite(before).all(-1), np.isfinite(after).all(-1)
        both = was & is_there
        way = np.zeros(both.shape)
        way[both] = np.sqrt(((after[both] - before[both]) ** 2).sum(-1))
        moved = way > self.tolerance
        appeared, vanished = is_there & ~was, was & ~is_there
        self.compared += both.sum(0)
        self.changed += moved.sum(0)
        self.appeared += appeared.sum(0)
        self.vanished += vanished.sum(0)
        differs = bool(moved.any() or appeared.any() or vanished.any())
        if not moved.any():
            return differs, np.nan
        self._largest = np.maximum(self._largest, np.where(moved, way, 0).max(0))
        joint = np.broadcast_to(np.arange(len(self.joints)), way.shape)[moved]
        bins = ((np.log10(way[moved]) - _LOWEST) * _PER_E).clip(0, _BINS - 1).astype(np.int64)
        np.add.at(self._bins, (joint, bins), 1)
        return differs, float(way[moved].max())

    def median(self, joint: int | None = None) -> float:
        """Median of the moves, to 1 %; NaN if there are none."""
        counts = self._bins.sum(0) if joint is None else self._bins[joint]
        total = counts.sum()
        if not total:
            return float("nan")
        middle = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
        return float(min(10 ** (_LOWEST + (middle + 0.5) / _PER_E), self.max(joint)))

    def max(self, joint: int | None = None) -> float:
        """Give the largest move, exactly; NaN if there is none."""
        largest = float(self._largest.max(initial=0) if joint is None else self._largest[joint])
        return largest if largest > 0 else float("nan")


@dataclass(frozen=True)
class ClipChange:
    """How a clip differs.

    Attributes
    ----------
    poses_added, poses_removed : int
        Of a person in a frame that only one version has.
    columns : tuple of str
        Clip columns and pose columns that differ, of the poses in both.
    largest : dict of str to float
        For each array of `MOVED_ARRAYS` in which something moved, the largest move.
    """

    poses_added: int
    poses_removed: int
    columns: tuple[str, ...]
    largest: dict[str, float] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether there is no difference."""
        return not (self.poses_added or self.poses_removed or self.columns)


def compare_clips(
    before: Clip, after: Clip, moves: Mapping[str, Moves], ignored: Collection[str] = ()
) -> ClipChange:
    """Compare two versions of a clip; poses are those of the same person and frame.

    Parameters
    ----------
    before, after : Clip
        Of one clip id and layer.
    moves : mapping of str to Moves
        Counted on, of the arrays that are to be measured.
    ignored : collection of str
        Columns that only one of the layers has: said once, not of each clip.

    Returns
    -------
    ClipChange
    """
    mine, theirs = _same_poses(before, after)
    columns = [n for n in before.info if n in after.info and before.info[n] != after.info[n]]
    columns += before.info.keys() ^ after.info.keys()
    columns = [name for name in columns if name not in ignored]
    if before.person_ids != after.person_ids and "person_ids" not in ignored:
        columns.append("person_ids")
    largest: dict[str, float] = {}
    for name in before.arrays.keys() & after.arrays.keys():
        old, new = before.arrays[name][mine], after.arrays[name][theirs]
        if name in moves:
            differs, most = moves[name].add(old, new)
            if differs:
                columns.append(name)
            if np.isfinite(most):
                largest[name] = most
        elif not np.array_equal(old, new, equal_nan=bool(np.issubdtype(old.dtype, np.floating))):
            columns.append(name)
    return ClipChange(
        len(after.frames) - len(theirs), len(before.frames) - len(mine), tuple(sorted(columns)),
        largest,
    )  # fmt: skip


def _same_poses(before: Clip, after: Clip) -> tuple[np.ndarray, np.ndarray]:
    keys, others = (clip.persons.astype(np.int64) << 32 | clip.frames for clip in (before, after))
    if np.array_equal(keys, others):
        rows = np.arange(len(keys))
        return rows, rows
    _, mine, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return mine, theirs
