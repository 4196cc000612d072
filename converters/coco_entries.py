"""Poses as the text of COCO's entries: annotations, and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


class Poses(NamedTuple):
    """Poses that become entries of the file, in the order of (frame, person).

    Attributes
    ----------
    rows : int, shape (A,)
        Of the clip.
    present : bool, shape (N, V)
        Joints of the clip that are written.
    """

    rows: np.ndarray
    present: np.ndarray


def truth_fields(clip: Clip, poses: Poses) -> dict[str, pa.Array]:
    """Give the fields of annotations as JSON texts: joints, box, area, and whether a crowd."""
    present = poses.present[poses.rows]
    flags = np.full(present.shape, 2, np.float32)
    if clip.visibility is not None:
        flags = clip.visibility[poses.rows].astype(np.float32)
    corners = _boxes(clip, poses)
    sizes = np.round(corners[:, 2:] - corners[:, :2], 10)  # 175.3599, not 175.35989999999993
    areas = np.round(sizes.prod(1), 4)
    if "areas" in clip.extra:
        known = clip.extra["areas"][poses.rows]
        areas = np.where(np.isfinite(known), _shortest(known), areas)
    crowd = np.zeros(len(poses.rows), np.int64)
    if "crowd" in clip.extra:
        crowd = (clip.extra["crowd"][poses.rows] == 1).astype(np.int64)
    return {
        "keypoints": _joints(clip, poses, flags),
        "num_keypoints": number_texts(present.sum(1)),
        "bbox": _list(np.concatenate([corners[:, :2], sizes], 1)),
        "area": number_texts(areas),
        "iscrowd": number_texts(crowd),
    }


def result_fields(clip: Clip, poses: Poses) -> dict[str, pa.Array]:
    """Give the fields of results as JSON texts: joints, and the person's score.

    The score is the source's, if the layer has it; else the mean of the scores of the joints that
    are there.
    """
    if clip.scores is None:
        raise InputError("no scores")
    present, scores = poses.present[poses.rows], clip.scores[poses.rows]
    known = np.where(present & np.isfinite(scores), scores, 0)
    means = known.sum(1, dtype=np.float64) / np.maximum(present.sum(1), 1)
    if "person_scores" in clip.extra:
        of_person = clip.extra["person_scores"][poses.rows]
        means = np.where(np.isfinite(of_person), of_person, means)
    return {
        "keypoints": _joints(clip, poses, known),
        "score": number_texts(means.astype(np.float32)),
    }


def _joints(clip: Clip, poses: Poses, third: np.ndarray) -> pa.Array:
    """x, y and the third number of each joint; 0, 0, 0 where it is missing."""
    if clip.keypoints_2d is None:
        raise InputError("no keypoints_2d")
    numbers = np.concatenate([clip.keypoints_2d[poses.rows], third[..., None]], axis=-1)
    numbers[~poses.present[poses.rows]] = 0
    return _list(numbers.reshape(len(numbers), 3 * numbers.shape[1]))


def _boxes(clip: Clip, poses: Poses) -> np.ndarray:
    """x0 y0 x1 y1 of each pose, float64: its box; where there is none, that of its joints."""
    keypoints = np.array(clip.keypoints_2d)[poses.rows]
    keypoints[~poses.present[poses.rows]] = np.nan
    corners = np.full((len(poses.rows), 4), np.nan)
    with_joints = poses.present[poses.rows].any(1)
    corners[with_joints, :2] = _shortest(np.nanmin(keypoints[with_joints], axis=1))
    corners[with_joints, 2:] = _shortest(np.nanmax(keypoints[with_joints], axis=1))
    if clip.boxes is not None:
        boxes = clip.boxes[poses.rows]
        known = np.isfinite(boxes).all(1)
        corners[known] = _shortest(boxes[known])
    return corners


def _shortest(values: np.ndarray) -> np.ndarray:
    """Float32 to float64 by the shortest decimal, so that differences stay short, too."""
    import pyarrow as pa

    return (
        number_texts(values.reshape(-1))
        .cast(pa.float64())
        .to_numpy(zero_copy_only=False)
        .reshape(values.shape)
    )


def number_texts(numbers: np.ndarray) -> pa.Array:
    """Write each number as the shortest decimal that reads as the same."""
    import pyarrow as pa

    return pa.array(numbers).cast(pa.large_string())


def _list(numbers: np.ndarray) -> pa.Array:
    """A JSON list of the numbers of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows, width = numbers.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    lists = pa.ListArray.from_arrays(offsets, number_texts(numbers.reshape(-1)))
    return _joined("[", pc.binary_join(lists, pa.scalar(",", pa.large_string())), "]")


def _joined(*parts: Any) -> pa.Array:
    """Join texts, and columns of texts, row by row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.large_string()
    texts = [pa.scalar(part, kind) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*texts)


def join_fields(fields: Mapping[str, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    """Join the fields of each entry.

    Returns
    -------
    text : uint8
        All entries, each ``,"name":value,...}``: what follows its ids.
    offsets : int64, shape (A + 1,)
        Where each begins.
    """
    import pyarrow.compute as pc

    parts: list[Any] = []
    for name, values in fields.items():
        parts += [f',"{name}":', values]
    joined = _joined(*parts, "}")
    lengths = pc.binary_length(joined).to_numpy(zero_copy_only=False).astype(np.int64)
    text = "".join(joined.to_pylist()).encode()
    return np.frombuffer(text, np.uint8), np.concatenate([[0], np.cumsum(lengths)])
