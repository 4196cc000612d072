"""Poses as pictures: time downwards, joints to the right, coordinates for colours."""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel


def pose_image(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay each person's poses out as a picture of T rows and V columns.

    From Luvizon et al., "2D/3D Pose Estimation and Action Recognition using Multitask Deep
    Learning", CVPR 2018: the vertical axis is time, the horizontal one joints, and coordinates
    are the channels.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.

    Returns
    -------
    image : float32, shape (M, T, V, C)
        0 to 1: the smallest cube around all poses of the person becomes 0 to 1 in the longest
        direction, with its middle at 1/2 in all. A person who never moves and has one joint is
        1/2. 0 where missing.
    mask : bool, shape (M, T, V)
        Where a joint is.
    """
    return _pose_image(keypoints)


@kernel
def _pose_image(keypoints):
    persons, steps, joints, channels = keypoints.shape
    image = np.zeros((persons, steps, joints, channels), np.float32)
    mask = np.zeros((persons, steps, joints), np.bool_)
    for m in range(persons):
        low = np.full(channels, np.inf)
        high = np.full(channels, -np.inf)
        for t in range(steps):
            for v in range(joints):
                there = True
                for c in range(channels):
                    there = there and not np.isnan(keypoints[m, t, v, c])
                mask[m, t, v] = there
                if there:
                    for c in range(channels):
                        low[c] = min(low[c], keypoints[m, t, v, c])
                        high[c] = max(high[c], keypoints[m, t, v, c])
        side = 0.0
        for c in range(channels):
            side = max(side, high[c] - low[c])
        if not side > 0:
            side = 1.0
        for t in range(steps):
            for v in range(joints):
                if mask[m, t, v]:
                    for c in range(channels):
                        middle = (low[c] + high[c]) / 2
                        value = (keypoints[m, t, v, c] - middle) / side + 0.5
                        image[m, t, v, c] = min(max(value, 0.0), 1.0)
    return image, mask
