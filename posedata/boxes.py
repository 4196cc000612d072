"""Boxes around poses: tight ones, and wider ones for the tracker and for experts."""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel

# Each joint lies inside the body, not on its rim, and a box of one joint, or of joints in a row,
# has no area to overlap with: boxes for the tracker are wider by this part of their longer side.
_MARGIN = 0.1
_LEAST_MARGIN = 8.0  # pixels
#: Of boxes for the tracker: their areas must not overflow, whatever numbers a file has.
LARGEST_COORDINATE = 1e9


def boxes_around(keypoints_2d: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Boxes that hold the joints of each pose and a margin.

    Parameters
    ----------
    keypoints_2d : float, shape (N, V, 2)
        Pixels.
    missing : bool, shape (N, V)
        Joints that do not count; at least one of each pose does.

    Returns
    -------
    float32, shape (N, 4)
        x0 y0 x1 y1: the joints' `extents`, wider on each side by a tenth of the longer side and
        by 8 pixels at least. Limited to 10**9 either way.
    """
    there = np.where(missing[..., None], np.nan, keypoints_2d)
    boxes = extents(there.clip(-LARGEST_COORDINATE, LARGEST_COORDINATE))
    low, high = boxes[:, :2], boxes[:, 2:]
    margin = np.maximum((high - low).max(1, initial=0) * _MARGIN, _LEAST_MARGIN)[:, None]
    return np.concatenate([low - margin, high + margin], 1).astype(np.float32)


def extents(keypoints_2d: np.ndarray) -> np.ndarray:
    """Smallest box around the joints of each pose that are there.

    Parameters
    ----------
    keypoints_2d : float, shape (N, V, 2)
        Pixels; what is not finite is missing.

    Returns
    -------
    float64, shape (N, 4)
        x0 y0 x1 y1; NaN around none.
    """
    return _extents(keypoints_2d)


@kernel
def _extents(keypoints_2d: np.ndarray) -> np.ndarray:
    num_poses, num_joints, _ = keypoints_2d.shape
    out = np.full((num_poses, 4), np.nan)
    for n in range(num_poses):
        x0 = y0 = np.inf
        x1 = y1 = -np.inf
        for v in range(num_joints):
            x, y = np.float64(keypoints_2d[n, v, 0]), np.float64(keypoints_2d[n, v, 1])
            if np.isfinite(x) and np.isfinite(y):
                x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        if x0 <= x1:
            out[n, 0], out[n, 1], out[n, 2], out[n, 3] = x0, y0, x1, y1
    return out
