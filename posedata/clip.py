"""The hub type: every reader returns clips, every writer takes clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.skeleton import Skeleton
from posedata.unrounded import Unrounded

#: The standard pose arrays: how many numbers a joint has (0: one a joint, without an axis).
JOINT_ARRAYS: Mapping[str, tuple[int, type]] = {
    "keypoints_2d": (2, np.float32),
    "keypoints_3d": (3, np.float32),
    "scores": (0, np.float32),
    "visibility": (0, np.uint8),
}


@dataclass(frozen=True, eq=False)
class Clip:
    """The poses that one layer has of one video, or of one trimmed action.

    Long, not dense: one row for each person in each frame where the person is (N rows), sorted
    by (person, frame). Nothing is padded, and a frame without people is simply absent here while
    ``info["num_frames"]`` still counts it.

    Attributes
    ----------
    clip_id : str
        The key of the clip, e.g. ``S001C001P001R001A001``.
    layer : str
        Which source's poses these are, e.g. ``kinect``.
    skeleton : Skeleton
        The V joints.
    frames : int32, shape (N,)
        0-based index into the source video.
    persons : int32, shape (N,)
        Track of each row: 0, 1, ... in the order of first appearance.
    keypoints_2d : float32, shape (N, V, 2), optional
        Pixels of the original video, x right, y down; NaN where missing.
    keypoints_3d : float32, shape (N, V, 3), optional
        Metres in the camera frame; NaN where missing.
    scores : float32, shape (N, V), optional
        0 to 1; 0 where missing.
    visibility : uint8, shape (N, V), optional
        0 missing, 1 present but occluded or inferred, 2 seen.
    boxes : float32, shape (N, 4), optional
        x0 y0 x1 y1, pixels.
    person_ids : tuple of str
        The source's own identifier of each track, as text. (Kinect ids are near 2**56, where
        float64 and JavaScript merge neighbours.) Empty where the source has none.
    extra : mapping of str to array, shape (N, ...)
        Further fields of each pose that the source has, e.g. ``orientations``.
    unrounded : mapping of str to Unrounded
        For a pose array, how the source's own float64 numbers follow from it; see
        `source_values`.
    info : mapping
        What is known of the clip: ``num_frames`` (always), ``width``, ``height``, ``fps``,
        ``label``, ``subject``, ``camera``, ...

    Raises
    ------
    UsageError
        Where arrays disagree in length, shape or dtype, rows are not sorted, a frame is outside
        the clip, or ``person_ids`` does not name each person.
    """

    clip_id: str
    layer: str
    skeleton: Skeleton
    frames: np.ndarray
    persons: np.ndarray
    keypoints_2d: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    scores: np.ndarray | None = None
    visibility: np.ndarray | None = None
    boxes: np.ndarray | None = None
    person_ids: tuple[str, ...] = ()
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    unrounded: Mapping[str, Unrounded] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.frames)
        for name in ("frames", "persons"):
            self._expect(name, getattr(self, name), (rows,), np.int32)
        for name, (width, dtype) in JOINT_ARRAYS.items():
            shape = (rows, self.skeleton.num_joints) + ((width,) if width else ())
            if getattr(self, name) is not None:
                self._expect(name, getattr(self, name), shape, dtype)
        if self.boxes is not None:
            self._expect("boxes", self.boxes, (rows, 4), np.float32)
        for name, values in self.extra.items():
            self._expect(name, values, (rows, *values.shape[1:]), values.dtype)
        if "num_frames" not in self.info:
            raise UsageError(f"clip {self.clip_id}: num_frames is not in info")
        if rows:
            order = self.persons.astype(np.int64) << 32 | self.frames
            if (np.diff(order) <= 0).any():
                raise UsageError(f"clip {self.clip_id}: rows are not sorted by (person, frame)")
            if self.persons[0] < 0:
                raise UsageError(f"clip {self.clip_id}: persons", found=self.persons[0],
                                 expected="0 or more")  # fmt: skip
            first, last = self.frames.min(), self.frames.max()
            if first < 0 or last >= self.num_frames:
                raise UsageError(
                    f"clip {self.clip_id}: frames outside the clip", found=f"{first} to {last}",
                    expected=f"0 to {self.num_frames - 1}",
                )  # fmt: skip
        if self.person_ids and len(self.person_ids) != self.num_persons:
            raise UsageError(f"clip {self.clip_id}: person_ids", found=len(self.person_ids),
                             expected=self.num_persons)  # fmt: skip

    def _expect(self, name: str, array: np.ndarray, shape: tuple[int, ...], dtype: Any) -> None:
        if array.shape != shape or array.dtype != dtype:
            raise UsageError(
                f"clip {self.clip_id}: {name}", found=f"{array.dtype} {array.shape}",
                expected=f"{np.dtype(dtype)} {shape}",
            )  # fmt: skip

    @property
    def num_frames(self) -> int:
        """Frames of the video, those without people included."""
        return self.info["num_frames"]

    @property
    def num_persons(self) -> int:
        """Tracks in the clip (M)."""
        return int(self.persons[-1]) + 1 if len(self.persons) else 0

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every per-pose array of the clip by its column name, first axis N."""
        names = [*JOINT_ARRAYS, "boxes"]
        present = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        return {**present, **self.extra}

    def dense(self, name: str = "keypoints_3d") -> np.ndarray:
        """Spread one array over persons and frames, NaN (0 for whole numbers) where nobody is.

        Parameters
        ----------
        name : str
            A pose array of the clip, e.g. ``keypoints_2d``.

        Returns
        -------
        array, shape (M, T, V, C)
            For ``scores`` and ``visibility`` (M, T, V), for ``boxes`` (M, T, 4); dtype as stored.

        Raises
        ------
        UsageError
            If the clip has no such array.

        Examples
        --------
        >>> clip.dense("keypoints_3d").shape        # doctest: +SKIP
        (2, 103, 25, 3)
        """
        if name not in self.arrays:
            raise UsageError(
                f"clip {self.clip_id} has no {name}", expected=", ".join(self.arrays) or None
            )
        values = self.arrays[name]
        shape = (self.num_persons, self.num_frames, *values.shape[1:])
        nothing = np.nan if np.issubdtype(values.dtype, np.floating) else 0
        spread = np.full(shape, nothing, values.dtype)
        spread[self.persons, self.frames] = values
        return spread

    def source_values(self, name: str) -> np.ndarray:
        """Give the numbers of a pose array as the source wrote them, before float32.

        Parameters
        ----------
        name : str
            E.g. ``keypoints_3d``.

        Returns
        -------
        float64, shape of the array
            The same numbers where the layer does not keep what it takes to tell.
        """
        values = self.arrays[name]
        if name not in self.unrounded:
            return values.astype(np.float64)
        from posedata.source_numbers import widen  # numba: only where this is asked for

        return widen(values, self.unrounded[name])

    def equals(self, other: Clip) -> bool:
        """Whether both clips hold the same values (NaN equal to NaN)."""
        mine, theirs = self.arrays, other.arrays
        return (
            (self.clip_id, self.layer, self.skeleton)
            == (other.clip_id, other.layer, other.skeleton)
            and self.person_ids == other.person_ids
            and dict(self.info) == dict(other.info)
            and np.array_equal(self.frames, other.frames)
            and np.array_equal(self.persons, other.persons)
            and mine.keys() == theirs.keys()
            and all(_same(mine[name], theirs[name]) for name in mine)
            and self.unrounded.keys() == other.unrounded.keys()
            and all(
                mine_of.rule == theirs_of.rule
                and np.array_equal(mine_of.at, theirs_of.at)
                and np.array_equal(mine_of.numbers, theirs_of.numbers, equal_nan=True)
                for mine_of, theirs_of in (
                    (self.unrounded[name], other.unrounded[name]) for name in self.unrounded
                )
            )
        )


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    floating = np.issubdtype(a.dtype, np.floating)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=bool(floating))
