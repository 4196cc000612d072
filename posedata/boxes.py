"""Boxes around poses, for the tracker and for experts that want to be told where people are."""

from __future__ import annotations

import numpy as np

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
        x0 y0 x1 y1: the joints' extent, wider on each side by a tenth of its longer side and by
        8 pixels at least. Limited to 10**9 either way.
    """
    low = np.where(missing[..., None], np.inf, keypoints_2d).min(1, initial=np.inf)
    high = np.where(missing[..., None], -np.inf, keypoints_2d).max(1, initial=-np.inf)
    low = low.clip(-LARGEST_COORDINATE, LARGEST_COORDINATE)
    high = high.clip(-LARGEST_COORDINATE, LARGEST_COORDINATE)
    margin = np.maximum((high - low).max(1, initial=0) * _MARGIN, _LEAST_MARGIN)[:, None]
    return np.concatenate([low - margin, high + margin], 1).astype(np.float32)
