"""From what experts say of each frame to the clips of their layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from posedata.boxes import LARGEST_COORDINATE, boxes_around
from posedata.clip import Clip
from posedata.skeleton import Skeleton
from posedata.workers.worker_protocol import PeopleInFrame

#: Columns of an estimated layer that the format does not know.
BOX_SCORES: Mapping[str, Mapping[str, Any]] = {
    "box_scores": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "How certain the expert, or the detector that told it where to look, is of the "
                 "person; NaN where a layer's boxes told it.",
    }
}  # fmt: skip


def build_clip(
    clip_id: str,
    layer: str,
    skeleton: Skeleton,
    order: np.ndarray,
    people: Mapping[int, PeopleInFrame],
    info: Mapping[str, Any],
    persons: Mapping[int, np.ndarray] | None = None,
    *,
    has_3d: bool = False,
) -> Clip:
    """Make a clip of what an expert has found in a video.

    A joint that it has not found is NaN with score 0; a person without any joint is left out.

    Parameters
    ----------
    clip_id, layer : str
        The clip.
    skeleton : Skeleton
        The V joints.
    order : intp, shape (V,)
        For each of them, its place in the expert's answers.
    people : mapping of int to PeopleInFrame
        By frame.
    info : mapping
        Clip columns.
    persons : mapping of int to int array, shape (P,), optional
        Which person each answer of a frame is; told apart by the tracker if it is not given.
    has_3d : bool
        Whether the layer has ``keypoints_3d``.

    Returns
    -------
    Clip
        With ``keypoints_2d``, ``scores``, ``boxes``, ``box_scores``, and perhaps ``keypoints_3d``.
    """
    in_order = sorted(people)
    found = [people[frame] for frame in in_order]
    counts = [len(one.boxes) for one in found]
    joints = skeleton.num_joints
    frames = np.repeat(np.array(in_order, np.int32), counts)
    keypoints = _stack([one.keypoints_2d for one in found], (joints, 2))[:, order]
    scores = _stack([one.scores for one in found], (joints,))[:, order]
    boxes = _stack([one.boxes for one in found], (4,))
    box_scores = _stack([one.box_scores for one in found], ())
    missing = ~np.isfinite(keypoints).all(-1) | ~(scores > 0)
    keypoints[missing] = np.nan
    scores = np.where(missing, np.float32(0), scores.clip(0, 1))
    rows = np.flatnonzero(~missing.all(1))
    if persons is None:
        tracks = np.zeros(len(frames), np.int32)
        if len(rows):
            tracks[rows] = _track(frames[rows], boxes[rows], keypoints[rows], missing[rows])
    else:
        tracks = np.concatenate([np.empty(0, np.int32), *(persons[f] for f in in_order)])
    rows = rows[np.lexsort((frames[rows], tracks[rows]))]
    in_space = None
    if has_3d:
        whole = [
            np.full((len(one.boxes), joints, 3), np.nan, np.float32)
            if one.keypoints_3d is None
            else one.keypoints_3d
            for one in found
        ]
        in_space = _stack(whole, (joints, 3))[:, order]
        in_space[missing | ~np.isfinite(in_space).all(-1)] = np.nan
        in_space = in_space[rows]
    return Clip(
        clip_id=clip_id, layer=layer, skeleton=skeleton,
        frames=frames[rows], persons=tracks[rows].astype(np.int32),
        keypoints_2d=keypoints[rows], keypoints_3d=in_space, scores=scores[rows],
        boxes=boxes[rows], extra={"box_scores": box_scores[rows]}, info=info,
    )  # fmt: skip


def with_persons(clip: Clip, persons: np.ndarray) -> Clip:
    """Give the rows of a clip other persons, and sort it anew.

    Parameters
    ----------
    clip : Clip
        Its ``person_ids`` go with the persons.
    persons : int32, shape (N,)
        For each row; no two rows of a frame have the same.
    """
    order = np.lexsort((clip.frames, persons))
    arrays: dict[str, Any] = {
        name: array[order] for name, array in clip.arrays.items() if name not in clip.extra
    }
    ids: tuple[str, ...] = ()
    if clip.person_ids:
        names = [""] * (int(persons.max(initial=-1)) + 1)
        for new, old in zip(persons.tolist(), clip.persons.tolist(), strict=True):
            names[new] = clip.person_ids[old]
        ids = tuple(names)
    return replace(
        clip, frames=clip.frames[order], persons=persons[order].astype(np.int32), person_ids=ids,
        extra={name: array[order] for name, array in clip.extra.items()},
        unrounded={
            name: kept.reordered(clip.arrays[name].shape, 0, order)
            for name, kept in clip.unrounded.items()
        },
        **arrays,
    )  # fmt: skip


def track_boxes(boxes: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Tell which boxes of a video show the same person.

    Parameters
    ----------
    boxes : mapping of int to float32 array, shape (P, 4)
        By frame.

    Returns
    -------
    dict of int to int32 array, shape (P,)
        The person of each box.
    """
    from posedata.track import assign_tracks

    in_order = sorted(boxes)
    counts = [len(boxes[frame]) for frame in in_order]
    frames = np.repeat(np.array(in_order, np.int32), counts)
    tracks = assign_tracks(frames, _stack([boxes[frame] for frame in in_order], (4,)))
    return dict(zip(in_order, np.split(tracks, np.cumsum(counts)[:-1]), strict=True))


def _track(
    frames: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray, missing: np.ndarray
) -> np.ndarray:
    from posedata.track import assign_tracks

    usable = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    around = boxes_around(keypoints, missing)
    given = boxes.clip(-LARGEST_COORDINATE, LARGEST_COORDINATE)
    return assign_tracks(frames, np.where(usable[:, None], given, around))


def _stack(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.empty((0, *shape), np.float32), *arrays]).astype(np.float32)
