"""How much tracks shake: the mean acceleration of their joints, in pixels or in metres."""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel


def accelerations(keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray) -> np.ndarray:
    """Size of the second difference |x(t+1) - 2 x(t) + x(t-1)|, whose mean is the jitter.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        Poses, sorted by (person, frame); NaN where a joint is missing.
    frames, persons : int, shape (N,)
        Only three consecutive frames of one person are compared: gaps are not crossed.

    Returns
    -------
    float64, shape (N, V)
        In the unit of ``keypoints`` per frame^2, at the middle one of the three frames; NaN
        elsewhere.
    """
    return _accelerations(keypoints, frames, persons)


def plain_accelerations(
    keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray
) -> np.ndarray:
    """Say what `accelerations` computes, in numpy."""
    out = np.full(keypoints.shape[:2], np.nan)
    follows = (np.diff(frames) == 1) & (np.diff(persons) == 0)
    middle = np.flatnonzero(follows[:-1] & follows[1:]) + 1
    poses = keypoints.astype(np.float64)
    with np.errstate(invalid="ignore"):
        second = poses[middle + 1] - 2 * poses[middle] + poses[middle - 1]
    out[middle] = np.linalg.norm(second, axis=-1)
    out[~np.isfinite(out)] = np.nan
    return out


@kernel
def _accelerations(keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray) -> np.ndarray:
    num_poses, num_joints, num_channels = keypoints.shape
    out = np.full((num_poses, num_joints), np.nan)
    for n in range(1, num_poses - 1):
        if persons[n - 1] != persons[n + 1]:
            continue
        if frames[n] - frames[n - 1] != 1 or frames[n + 1] - frames[n] != 1:
            continue
        for v in range(num_joints):
            square = 0.0
            for c in range(num_channels):
                before, after = np.float64(keypoints[n - 1, v, c]), keypoints[n + 1, v, c]
                second = after - 2 * np.float64(keypoints[n, v, c]) + before
                square += second * second
            if np.isfinite(square):
                out[n, v] = np.sqrt(square)
    return out
