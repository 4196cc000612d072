"""People whom a detector has found twice: two boxes in which experts see the same pose."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from posedata.oks import AREA_OF_BOX, object_keypoint_similarities

#: Similarity (OKS, mean over the experts) from which on two poses of a frame are of one person.
#: On real videos boxes of one person give 0.8 and more, those of two who touch less than 0.3.
SAME_PERSON = 0.7


def find_duplicates(
    frames: np.ndarray,
    boxes: np.ndarray,
    box_scores: np.ndarray,
    poses: Sequence[np.ndarray],
    sigmas: Sequence[np.ndarray],
) -> np.ndarray:
    """Find the boxes of a video that show a person of whom there is a better one in the frame.

    This is the non-maximum suppression by OKS that top-down estimators use (Papandreou et al.,
    "Towards Accurate Multi-person Pose Estimation in the Wild", CVPR 2017), over several experts.

    Parameters
    ----------
    frames : int32, shape (N,)
        Frame of each box, ascending.
    boxes : float32, shape (N, 4)
        x0 y0 x1 y1, pixels, x0 < x1 and y0 < y1.
    box_scores : float32, shape (N,)
        Of two boxes of one person, the one with the greater score stays.
    poses : sequence of float32 arrays, shape (N, V, 2)
        What each expert sees in the boxes; NaN where a joint is missing.
    sigmas : sequence of float arrays, shape (V,)
        OKS constants of each expert's joints.

    Returns
    -------
    bool, shape (N,)
        Which to leave out.
    """
    duplicate = np.zeros(len(frames), bool)
    first, second = _touching(frames, boxes)
    if not (len(first) and len(poses)):
        return duplicate
    areas = AREA_OF_BOX * (boxes[:, 2:] - boxes[:, :2]).prod(1)
    area = np.maximum(areas[first], areas[second])
    each = [
        object_keypoint_similarities(
            keypoints[first], keypoints[second], area, sigma, missing="skip"
        )
        for keypoints, sigma in zip(poses, sigmas, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no expert sees anything in both
        same = np.nanmean(each, axis=0) >= SAME_PERSON
    others: dict[int, list[int]] = {}
    for a, b in zip(first[same].tolist(), second[same].tolist(), strict=True):
        others.setdefault(a, []).append(b)
        others.setdefault(b, []).append(a)
    kept: set[int] = set()
    for row in sorted(others, key=lambda row: (-box_scores[row], row)):
        if kept.isdisjoint(others[row]):
            kept.add(row)
        else:
            duplicate[row] = True
    return duplicate


def _touching(frames: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes of a frame that have an area in common, as two arrays of rows."""
    starts = np.flatnonzero(np.diff(frames, prepend=-1))
    sizes = np.diff(np.append(starts, len(frames)))
    pairs = [np.empty((2, 0), np.intp)]
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if size > 1:
            pairs.append(start + np.stack(np.triu_indices(size, 1)))
    first, second = np.concatenate(pairs, 1)
    low = np.maximum(boxes[first, :2], boxes[second, :2])
    high = np.minimum(boxes[first, 2:], boxes[second, 2:])
    touch = (high > low).all(1)
    return first[touch], second[touch]
