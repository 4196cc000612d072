"""What the script of SST-A's authors computes, for people who must match its numbers.

``tools/ssta.py`` of YangDi666/SSTA-PRS differs from the paper's equations (and from
`posedata.ssta`) in ways that are listed in docs/ssta.md. They are kept here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posedata.errors import UsageError

#: What the script is set to; smaller C become 0.
GAMMA_PRS = 0.06

_NUM_JOINTS = 17
_BODY = slice(5, 17)  # the joints in C; the script calls its normaliser the two shoulders
_SHOULDERS = (5, 6)
_EPSILON = 1e-8


@dataclass(frozen=True, eq=False)
class AggregatedPrs:
    """The script's result for one video.

    Attributes
    ----------
    keypoints : float32, shape (T, 17, 2)
        What it saves as ``kpts``. The last frame is (0, 0); elsewhere (0, 0) stands where it won.
    confidence : float64, shape (T,)
        C, 0 where it is below gamma, and in the last frame.
    """

    keypoints: np.ndarray
    confidence: np.ndarray


def aggregate_prs(poses: Sequence[np.ndarray], gamma: float = GAMMA_PRS) -> AggregatedPrs:
    """Fuse three tracks of one person as the authors' script does.

    Parameters
    ----------
    poses : three float arrays, shape (T1, 17, 2), (T2, 17, 2), (T3, 17, 2)
        The script's ``--pose1``, ``--pose2`` and ``--pose3``, in this order; pixels. (0, 0) is a
        point like any other. NaN, a missing joint here, is (0, 0) as in the files it reads.
    gamma : float
        C below it becomes 0. The pose itself stays.

    Returns
    -------
    AggregatedPrs
        T is the greatest of the three lengths.

    Raises
    ------
    UsageError
        If there are not three arrays of 17 joints.

    Notes
    -----
    Shorter tracks are filled up with (0, 0) at their end. All is computed in float64. With the
    distances d_ab of two experts, and d_a of an expert to the fused joint of the frame before:

    - t = 0: expert 3 if d_13 is as small as d_12 and d_23, else expert 2; never expert 1.
    - t > 0: the closest; of those equally close 1 before 3 before 2.
    - t = T - 1: not reached. The frame stays (0, 0), and C stays 0.
    - C = exp(-mean of the three experts of (mean of D over joints 5 to 16) / (D_56 + 1e-8)).
    """
    padded = _padded(poses)
    num_frames = padded.shape[1]
    one, two, three = padded
    fused = np.zeros((num_frames, _NUM_JOINTS, 2))
    for t in range(num_frames - 1):
        if t == 0:
            d_12, d_13, d_23 = _d(one[0], two[0]), _d(one[0], three[0]), _d(two[0], three[0])
            takes_three, takes_one = d_13 <= np.minimum(d_12, d_23), np.zeros(_NUM_JOINTS, bool)
        else:
            d_1, d_2, d_3 = _d(padded[:, t], fused[t - 1])
            takes_three, takes_one = d_3 <= d_2, d_1 <= np.minimum(d_2, d_3)
        fused[t] = np.where(takes_three[:, None], three[t], two[t])
        fused[t, takes_one] = one[t, takes_one]

    reached = slice(0, max(num_frames - 1, 0))
    confidence = np.zeros(num_frames)
    normal = _d(fused[reached, _SHOULDERS[0]], fused[reached, _SHOULDERS[1]]) + _EPSILON
    of_one, of_two, of_three = (
        _d(padded[:, reached, _BODY], fused[reached, _BODY]).mean(axis=2) / normal
    )
    c = np.exp(-(of_two + of_three + of_one) / 3)
    confidence[reached] = np.where(c < gamma, 0, c)
    return AggregatedPrs(fused.astype(np.float32), confidence)


def _d(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a - b) ** 2).sum(axis=-1))


def _padded(poses: Sequence[np.ndarray]) -> np.ndarray:
    """Stack the tracks, (0, 0) for NaN and behind their ends: float64, shape (3, T, 17, 2)."""
    shapes = [pose.shape for pose in poses]
    if len(poses) != 3 or any(len(s) != 3 or s[1:] != (_NUM_JOINTS, 2) for s in shapes):
        raise UsageError(
            "ssta-prs: poses", found=", ".join(map(str, shapes)) or "none",
            expected=f"three arrays of shape (T, {_NUM_JOINTS}, 2)",
            remedy="For other numbers of experts or joints use ssta.",
        )  # fmt: skip
    padded = np.zeros((3, max(s[0] for s in shapes), _NUM_JOINTS, 2))
    for track, pose in zip(padded, poses, strict=True):
        is_missing = ~np.isfinite(pose).all(axis=2, keepdims=True)
        track[: len(pose)] = np.where(is_missing, 0, pose)
    return padded
