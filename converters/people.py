"""From people per frame, as estimators' files list them, to a clip with tracks.

Every reader of an estimator's output fills in `People` and calls `build_clip`::

    build_clip(sample: Sample, layer: LayerDescription, people: People, info: Mapping[str, Any])
        -> tuple[Clip, list[Problem]]

It makes missing joints NaN, takes persons from the source's ids or from the tracker, and sorts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posedata.boxes import LARGEST_COORDINATE, boxes_around
from posedata.clip import Clip
from posedata.converter import LayerDescription, Problem, Sample
from posedata.errors import InputError
from posedata.skeleton import load_skeleton

#: Frames that a clip may have at most: six days at 30 a second. A larger number in a file or its
#: name is no frame number, and arrays over all frames would not fit in memory.
LARGEST_NUM_FRAMES = 1 << 24


@dataclass(frozen=True, eq=False)
class People:
    """The people of a video, one row for each person in each frame, in any order.

    Attributes
    ----------
    frames : int, shape (N,)
        0-based index into the video.
    slots : int, shape (N,)
        Position of the person among those of its frame in the source's file.
    keypoints_2d : float, shape (N, V, 2)
        Pixels; whatever the file has where ``missing``.
    missing : bool, shape (N, V)
        Joints that the source says it has not found.
    scores : float, shape (N, V), optional
        Confidence of each joint as in the file.
    ids : sequence of str, N of them
        The source's own track id of each row, as text; ``""`` where it gives none. Empty: it
        gives none at all.
    boxes : float, shape (N, 4), optional
        x0 y0 x1 y1 of the person where the source has them, pixels.
    keypoints_3d : float, shape (N, V, 3), optional
        Metres.
    visibility : uint8, shape (N, V), optional
        0 missing, 1 occluded, 2 seen, where the source says so.
    extra : mapping of str to array, shape (N, ...)
        The source's further fields of each row. Those that are columns of the layer are kept.
    """

    frames: np.ndarray
    slots: np.ndarray
    keypoints_2d: np.ndarray
    missing: np.ndarray
    scores: np.ndarray | None = None
    ids: Sequence[str] = ()
    boxes: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    visibility: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> People:
        """Give some rows, by index or mask."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        arrays: dict[str, Any] = {
            name: None if (values := getattr(self, name)) is None else values[rows]
            for name in ("frames", "slots", "keypoints_2d", "missing", "scores", "boxes",
                         "keypoints_3d", "visibility")
        }  # fmt: skip
        return replace(
            self,
            **arrays,
            ids=[self.ids[row] for row in rows.tolist()] if self.ids else (),
            extra={name: values[rows] for name, values in self.extra.items()},
        )


def build_clip(
    sample: Sample, layer: LayerDescription, people: People, info: Mapping[str, Any]
) -> tuple[Clip, list[Problem]]:
    """Make a clip of the people of a video.

    A missing joint becomes NaN with score and visibility 0. A row without any joint is nobody and
    is left out. Persons are the source's ids; rows without one are told apart by the tracker
    (`posedata.track`), from the source's boxes or boxes around the joints, never by their order.

    Parameters
    ----------
    sample : Sample
        Which clip of which file.
    layer : LayerDescription
        Its columns say what is kept: ``slots``, ``person_ids``, ``boxes``, ``scores``, ...
    people : People
        What the file says.
    info : mapping
        Clip columns, ``num_frames`` among them.

    Returns
    -------
    clip : Clip
        Rows sorted by (person, frame).
    problems : list of Problem
        Warnings: rows without joints, numbers that are not finite, scores outside 0 to 1.

    Raises
    ------
    InputError
        If a frame number is negative or too large, or an id occurs twice in a frame.
    UsageError
        If the tracker is needed and not installed.
    """
    problems: list[Problem] = []
    _check_frames(people.frames, info["num_frames"], sample.path)
    people = _clean(people, sample.path, problems)
    persons, person_ids = _identify(people, sample.path)
    order = np.lexsort((people.frames, persons))
    people = people.take(order)
    kept = set(layer.columns)
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=people.frames.astype(np.int32),
        persons=persons[order],
        keypoints_2d=people.keypoints_2d if "keypoints_2d" in kept else None,
        keypoints_3d=people.keypoints_3d if "keypoints_3d" in kept else None,
        scores=people.scores if "scores" in kept else None,
        visibility=people.visibility if "visibility" in kept else None,
        boxes=people.boxes if "boxes" in kept else None,
        person_ids=person_ids if "person_ids" in kept else (),
        extra={
            name: values
            for name, values in {"slots": people.slots.astype(np.int32), **people.extra}.items()
            if name in kept
        },
        info=info,
    ), problems


def _check_frames(frames: np.ndarray, num_frames: int, path: str) -> None:
    if num_frames > LARGEST_NUM_FRAMES:
        raise InputError("too many frames for a video", path=path, found=num_frames,
                         expected=f"at most {LARGEST_NUM_FRAMES}")  # fmt: skip
    if len(frames) and (frames.min() < 0 or frames.max() >= num_frames):
        raise InputError(
            "frame number outside the clip", path=path,
            found=f"{frames.min()} to {frames.max()}", expected=f"0 to {num_frames - 1}",
        )  # fmt: skip


def _clean(people: People, path: str, problems: list[Problem]) -> People:
    """Make missing joints NaN and 0, and report each number that could not stay as it was."""

    def warn(what: str, wrong: np.ndarray) -> None:
        if wrong.any():
            row = np.argwhere(wrong)[0][0]
            problems.append(Problem(
                path, "read", f"{what}: {np.count_nonzero(wrong)} times",
                f"frame {people.frames[row]}, person {people.slots[row]}", "warning",
            ))  # fmt: skip

    with np.errstate(over="ignore"):
        keypoints = people.keypoints_2d.astype(np.float32)
    missing = people.missing
    broken = ~np.isfinite(keypoints).all(-1) & ~missing
    warn("joint with coordinates that are not finite, now missing", broken)
    missing = missing | broken
    scores = people.scores
    if scores is not None:
        with np.errstate(over="ignore"):
            scores = scores.astype(np.float32)
        broken = np.isnan(scores) & ~missing
        warn("joint with a score that is not a number, now missing", broken)
        missing = missing | broken
        scores = np.where(missing, np.float32(0), scores)
        warn("score above 1, now 1", scores > 1)
        warn("score below 0, now 0", scores < 0)
        scores = scores.clip(0, 1)
    keypoints[missing] = np.nan
    in_space = people.keypoints_3d
    if in_space is not None:
        with np.errstate(over="ignore"):
            in_space = in_space.astype(np.float32)
        broken = ~np.isfinite(in_space).all(-1) & ~missing
        warn("joint with 3D coordinates that are not finite, which are now missing", broken)
        in_space[missing | broken] = np.nan
    visibility = people.visibility
    if visibility is not None:
        visibility = np.where(missing, np.uint8(0), visibility)
    boxes = people.boxes
    if boxes is not None:
        with np.errstate(over="ignore"):
            boxes = boxes.astype(np.float32)
        broken = np.isinf(boxes).any(1) | (np.isnan(boxes).any(1) & ~np.isnan(boxes).all(1))
        warn("box with numbers that are not finite, now NaN", broken)
        boxes[broken] = np.nan
    people = replace(
        people, keypoints_2d=keypoints, missing=missing, scores=scores,
        keypoints_3d=in_space, visibility=visibility, boxes=boxes,
    )  # fmt: skip
    nobody = missing.all(1)
    warn("person without any joint, left out", nobody)
    return people.take(~nobody) if nobody.any() else people


def _identify(people: People, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the persons by first appearance; also their ids, where the source gives any."""
    tracked = np.array([not text for text in people.ids], bool) if people.ids else None
    if tracked is None or tracked.all():
        return _track(people), ()
    # A key for each row: below 0 for tracks, so that they never meet the numbers of ids.
    number: dict[str, int] = {}
    keys = np.array([number.setdefault(text, len(number)) for text in people.ids], np.int64)
    if tracked.any():
        keys[tracked] = -1 - _track(people.take(tracked)).astype(np.int64)
    first_rows = np.lexsort((people.slots, people.frames))
    _check_once_a_frame(people, keys, path)
    person: dict[int, int] = {}
    for key in keys[first_rows].tolist():
        person.setdefault(key, len(person))
    names = list(number)
    return (
        np.array([person[key] for key in keys.tolist()], np.int32),
        tuple(names[key] if key >= 0 else "" for key in person),
    )


def _check_once_a_frame(people: People, keys: np.ndarray, path: str) -> None:
    order = np.lexsort((keys, people.frames))
    same = (np.diff(people.frames[order]) == 0) & (np.diff(keys[order]) == 0)
    if same.any():
        row = order[np.flatnonzero(same)[0]]
        raise InputError(
            "the same person id twice in one frame", path=path,
            position=f"frame {people.frames[row]}", found=repr(people.ids[row]),
            expected="each person once a frame",
        )  # fmt: skip


def _track(people: People) -> np.ndarray:
    from posedata.track import assign_tracks  # scipy: only where it is needed

    boxes = boxes_around(people.keypoints_2d, people.missing)
    if people.boxes is not None:
        given = people.boxes
        usable = np.isfinite(given).all(1) & (given[:, 2:] > given[:, :2]).all(1)
        boxes[usable] = given[usable].clip(-LARGEST_COORDINATE, LARGEST_COORDINATE)
    order = np.argsort(people.frames, kind="stable")
    persons = np.empty(len(order), np.int32)
    persons[order] = assign_tracks(people.frames[order].astype(np.int32), boxes[order])
    return persons
