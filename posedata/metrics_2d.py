"""How far poses are from the truth, in the picture: PCK and its relatives.

Every metric starts from one value for each joint of each pose, NaN where there is nothing to
compare, so that whoever adds them up knows what was counted and what was left out.

Definitions: PCK, Yang and Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts",
TPAMI 2013; PCKh, Andriluka et al., "2D Human Pose Estimation: New Benchmark and State of the Art
Analysis", CVPR 2014. Thresholds are strict (a distance of exactly the threshold is wrong), and the
normalised distance is rounded to float32 before it is compared, both as in mmpose's
``keypoint_pck_accuracy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError

#: PCKh on MPII divides by this share of the diagonal of the head's box.
MPII_HEAD_FACTOR = 0.6

#: Joints that MPII's mean leaves out: pelvis (6) and thorax (7), as mmpose's MpiiPCKAccuracy.
MPII_NOT_IN_MEAN = ("pelvis", "thorax")

#: Thresholds under whose PCK curve ``auc`` takes the area: 0, 1/20, ..., 19/20, as mmpose's.
AUC_THRESHOLDS = tuple(step / 20 for step in range(20))


@dataclass(frozen=True, eq=False)
class Pck:
    """Share of correct keypoints.

    Attributes
    ----------
    pooled : float
        Of all joints of all poses (MPII's way; joints that are seldom there weigh little).
    mean_over_joints : float
        Mean of ``per_joint`` (mmpose's ``keypoint_pck_accuracy``).
    per_joint : float64, shape (V,)
        NaN where a joint was never compared.
    counts : int64, shape (V,)
        Comparisons of each joint.
    num_missing : int
        True joints without a predicted one: wrong, or left out, as was asked for.
    """

    pooled: float
    mean_over_joints: float
    per_joint: np.ndarray
    counts: np.ndarray
    num_missing: int


def pck(
    predicted: np.ndarray,
    true: np.ndarray,
    lengths: np.ndarray,
    threshold: float,
    *,
    missing: Literal["wrong", "skip"] = "wrong",
) -> Pck:
    """Share of joints that lie closer to the truth than a threshold times a length.

    Parameters
    ----------
    predicted, true : float, shape (N, V, C)
        Poses in one unit; NaN where a joint is missing. Joints that the truth lacks are left out.
    lengths : float, shape (N,)
        What distances are measured in, e.g. `head_box_lengths`, in the same unit. Poses where it
        is missing or not above 0 are left out.
    threshold : float
        In those lengths.
    missing : {"wrong", "skip"}
        Whether a joint that the truth has and the prediction lacks is wrong or left out.

    Examples
    --------
    >>> true = np.zeros((1, 2, 2))
    >>> predicted = np.array([[[3.0, 4.0], [0.0, 1.0]]])       # off by 5 and by 1
    >>> float(pck(predicted, true, np.array([8.0]), 0.5).pooled)
    0.5
    """
    if missing not in ("wrong", "skip"):
        raise UsageError("missing", found=repr(missing), expected="wrong or skip")
    correct = correct_keypoints(joint_distances(predicted, true), lengths, (threshold,))
    expected = is_expected(true, lengths)
    counted = expected if missing == "wrong" else ~np.isnan(correct)
    counts = counted.sum(0)
    sums = np.nansum(correct, axis=0, dtype=np.float64)
    per_joint = np.divide(sums, counts, where=counts > 0, out=np.full(len(counts), np.nan))
    total = int(counts.sum())
    return Pck(
        pooled=float(sums.sum() / total) if total else np.nan,
        mean_over_joints=float(np.nanmean(per_joint)) if total else np.nan,
        per_joint=per_joint,
        counts=counts,
        num_missing=int((expected & np.isnan(correct)).sum()),
    )


def joint_distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Euclidean distance of every predicted joint from the true one.

    Parameters
    ----------
    predicted, true : float, shape (N, V, C)
        Poses in one unit; what is not finite is missing.

    Returns
    -------
    float64, shape (N, V)
        In that unit; NaN where either is missing.
    """
    if predicted.shape != true.shape or predicted.ndim != 3:
        raise UsageError("poses to compare", found=f"shapes {predicted.shape} and {true.shape}",
                         expected="the same shape (N, V, C)")  # fmt: skip
    return _joint_distances(predicted, true)


def plain_joint_distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Say what `joint_distances` computes, in numpy."""
    with np.errstate(invalid="ignore", over="ignore"):
        distances = np.linalg.norm(predicted.astype(np.float64) - true.astype(np.float64), axis=-1)
    distances[~np.isfinite(distances)] = np.nan
    return distances


@kernel
def _joint_distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    num_poses, num_joints, num_channels = predicted.shape
    out = np.empty((num_poses, num_joints))
    for n in range(num_poses):
        for v in range(num_joints):
            square = 0.0
            for c in range(num_channels):
                difference = np.float64(predicted[n, v, c]) - np.float64(true[n, v, c])
                square += difference * difference
            out[n, v] = np.sqrt(square) if np.isfinite(square) else np.nan
    return out


def present_joints(keypoints: np.ndarray) -> np.ndarray:
    """Which joints are there: those whose coordinates are all finite, bool (N, V)."""
    return _present_joints(keypoints)


@kernel
def _present_joints(keypoints: np.ndarray) -> np.ndarray:
    num_poses, num_joints, num_channels = keypoints.shape
    out = np.ones((num_poses, num_joints), np.bool_)
    for n in range(num_poses):
        for v in range(num_joints):
            for c in range(num_channels):
                out[n, v] &= np.isfinite(keypoints[n, v, c])
    return out


def is_expected(true: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Which joints a PCK expects: those that the truth has, in poses whose length is known.

    Returns
    -------
    bool, shape (N, V)
    """
    known = np.isfinite(lengths) & (np.nan_to_num(lengths) > 0)
    return present_joints(true) & known[:, None]


def correct_keypoints(
    distances: np.ndarray, lengths: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    """For each joint, the share of thresholds that its normalised distance stays below.

    With one threshold that is 1 or 0: right or wrong. With `AUC_THRESHOLDS` its mean is the area
    under the PCK curve.

    Parameters
    ----------
    distances : float64, shape (N, V)
        From `joint_distances`.
    lengths : float, shape (N,)
        What they are divided by, in the same unit.
    thresholds : tuple of float
        Without a unit.

    Returns
    -------
    float32, shape (N, V)
        NaN where there is no distance, or no length above 0.
    """
    if lengths.shape != distances.shape[:1]:
        raise UsageError("lengths", found=f"shape {lengths.shape}",
                         expected=f"({len(distances)},), one for each pose")  # fmt: skip
    return _correct_keypoints(distances, lengths, np.array(thresholds, np.float32))


def plain_correct_keypoints(
    distances: np.ndarray, lengths: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    """Say what `correct_keypoints` computes, in numpy."""
    lengths = np.where(np.isfinite(lengths) & (lengths > 0), lengths, np.nan).astype(np.float64)
    normalised = (distances / lengths[:, None]).astype(np.float32)
    below = [normalised < np.float32(threshold) for threshold in thresholds]
    share = np.mean(below, axis=0, dtype=np.float64).astype(np.float32)
    return np.where(np.isnan(normalised), np.float32(np.nan), share)


@kernel
def _correct_keypoints(
    distances: np.ndarray, lengths: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    num_poses, num_joints = distances.shape
    out = np.empty((num_poses, num_joints), np.float32)
    for n in range(num_poses):
        length = np.float64(lengths[n])
        known = np.isfinite(length) and length > 0
        for v in range(num_joints):
            if not known or np.isnan(distances[n, v]):
                out[n, v] = np.nan
                continue
            normalised = np.float32(distances[n, v] / length)
            below = 0
            for threshold in thresholds:
                if normalised < threshold:
                    below += 1
            out[n, v] = below / len(thresholds)
    return out


def box_lengths(boxes: np.ndarray) -> np.ndarray:
    """Longer side of each box: the length of ``pck@t(bbox)``.

    Parameters
    ----------
    boxes : float, shape (N, 4)
        x0 y0 x1 y1, pixels.

    Returns
    -------
    float64, shape (N,)
    """
    return (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).max(axis=1)


def head_box_lengths(head_boxes: np.ndarray) -> np.ndarray:
    """0.6 times the diagonal of the head's box: the length of ``pckh@t``, as on MPII.

    Parameters
    ----------
    head_boxes : float, shape (N, 4)
        x0 y0 x1 y1, pixels.

    Returns
    -------
    float64, shape (N,)
    """
    sides = (head_boxes[:, 2:] - head_boxes[:, :2]).astype(np.float64)
    return MPII_HEAD_FACTOR * np.linalg.norm(sides, axis=1)


def segment_lengths(keypoints: np.ndarray, start: int, end: int) -> np.ndarray:
    """Distance of two joints of each pose, such as head and neck, or of a torso.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        True poses.
    start, end : int
        The joints. For ``torso`` the left shoulder and the right hip (FLIC's and JHMDB's).

    Returns
    -------
    float64, shape (N,)
        NaN where either is missing.
    """
    return _joint_distances(keypoints[:, [start]], keypoints[:, [end]])[:, 0]
