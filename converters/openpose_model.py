"""Which of OpenPose's models made a file: its joints, by their number and by their places.

The files name no model. BODY_25 and BODY_25B have 25 joints each, in other orders: read with the
other's names, elbows are joined to eyes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posedata.skeleton import load_skeleton

#: Skeletons by their number of joints V: OpenPose's models BODY_25, COCO and MPI.
SKELETONS: Mapping[int, str] = {25: "body25", 18: "openpose18", 15: "mpi15"}

# Poses of a clip that are looked at, evenly spaced: more would not change a median.
_MOST_POSES = 100
# With the joints of a few bones alone, chance decides.
_LEAST_BONES = 4
# Real poses: 0.3 to 0.7 where they are BODY_25B's (500), 2 and more where BODY_25's (21, of 6
# videos). Clips of sports without face and feet, remapped to BODY_25: 0.83 and more (2119).
_LARGEST_RATIO = 0.75


def bone_ratio(keypoints_2d: np.ndarray) -> float:
    """Measure how long bones are if joints are BODY_25B's, relative to if they are BODY_25's.

    Joints that bones join are near each other, so the bones are longer with the wrong names.

    Parameters
    ----------
    keypoints_2d : float, shape (N, 25, 2)
        Pixels; NaN where a joint is missing.

    Returns
    -------
    float
        Ratio of the mean lengths of the bones that are there, as the median over poses; NaN where
        no pose has enough bones.
    """
    poses = keypoints_2d[:: len(keypoints_2d) // _MOST_POSES + 1]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # any numbers may come
        ratios = _mean_bone(poses, "body25b") / _mean_bone(poses, "body25")
    known = ratios[np.isfinite(ratios)]
    return float(np.median(known)) if len(known) else np.nan


def is_body25b(keypoints_2d: np.ndarray) -> bool:
    """Say whether joints that were taken for BODY_25's are clearly BODY_25B's.

    Parameters
    ----------
    keypoints_2d : float, shape (N, 25, 2)
        Pixels; NaN where a joint is missing.
    """
    return bone_ratio(keypoints_2d) < _LARGEST_RATIO


def _mean_bone(poses: np.ndarray, skeleton: str) -> np.ndarray:
    """Mean length of each pose's bones; NaN where it has few, or they have no length.

    The mean is that of the square roots, squared: one joint far out moves it less.
    """
    start, end = load_skeleton(skeleton).bone_indices.T
    lengths = np.hypot(*np.moveaxis(poses[:, start] - poses[:, end], -1, 0))
    there = np.isfinite(lengths)
    count = there.sum(1)
    mean = np.square(np.sqrt(np.where(there, lengths, 0)).sum(1) / count)
    return np.where((count >= _LEAST_BONES) & (mean > 0), mean, np.nan)
