"""Is C worth its name: what a threshold on it keeps, against the true error.

Yang et al., "Selective Spatio-Temporal Aggregation Based Pose Refinement System", WACV 2021, choose
gamma by such a comparison (Fig. 5). Errors are distances to the truth over the head-neck distance
of the truth; any other unit does as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posedata.errors import UsageError

#: Thresholds of a sweep.
GAMMAS = np.arange(51) / 50

#: Ends of the error intervals.
ERROR_EDGES = np.append(np.arange(9) / 4, np.inf)


@dataclass(frozen=True, eq=False)
class GammaSweep:
    """What each of G thresholds keeps.

    Attributes
    ----------
    gammas : float64, shape (G,)
        The thresholds.
    poses, joints : int64, shape (G,)
        Poses kept, and their joints that have an error.
    kept : float64, shape (G,)
        Share of the compared poses that is kept.
    error : float64, shape (G,)
        Mean error of the joints of kept poses; NaN where none is kept.
    pckh : float64, shape (G,)
        Share of these joints whose error is at most the threshold; NaN where none is kept.
    compared, left_out : int
        Poses with at least one joint that has an error, and the others.
    without_confidence : int
        Compared poses whose C is NaN: every gamma keeps them.
    """

    gammas: np.ndarray
    poses: np.ndarray
    joints: np.ndarray
    kept: np.ndarray
    error: np.ndarray
    pckh: np.ndarray
    compared: int
    left_out: int
    without_confidence: int


@dataclass(frozen=True, eq=False)
class ErrorIntervals:
    """Which share of the poses of each error interval is kept (Fig. 5).

    Attributes
    ----------
    edges : float64, shape (K + 1,)
        Interval k has the errors from ``edges[k]`` to below ``edges[k + 1]``; the last one has its
        upper end, too.
    gammas : float64, shape (G,)
        The thresholds.
    poses : int64, shape (K,)
        Poses in each interval.
    kept : float64, shape (G, K)
        Share of them whose C is not below gamma; NaN where there are none.
    left_out : int
        Poses without an error, or outside the edges.
    """

    edges: np.ndarray
    gammas: np.ndarray
    poses: np.ndarray
    kept: np.ndarray
    left_out: int


def pose_errors(joint_errors: np.ndarray) -> np.ndarray:
    """Average the errors of each pose over the joints that have one.

    Parameters
    ----------
    joint_errors : float, shape (N, V)
        NaN where a joint is missing in the pose or in the truth.

    Returns
    -------
    float64, shape (N,)
        NaN where no joint has one.
    """
    has_error = ~np.isnan(joint_errors)
    return _ratio(np.where(has_error, joint_errors, 0.0).sum(axis=1), has_error.sum(axis=1))


def gamma_sweep(
    confidence: np.ndarray,
    joint_errors: np.ndarray,
    gammas: np.ndarray = GAMMAS,
    threshold: float = 0.5,
) -> GammaSweep:
    """Tell for each gamma how many poses stay, and how good these are.

    Parameters
    ----------
    confidence : float, shape (N,)
        C of each pose; NaN where it has none.
    joint_errors : float, shape (N, V)
        NaN where a joint is missing in the pose or in the truth: it is not counted.
    gammas : float, shape (G,)
        Thresholds. As in the fusion, a pose goes where C < gamma, in the precision of C, and stays
        where C is NaN.
    threshold : float
        Largest error of a correct joint: 0.5 is PCKh@0.5.

    Returns
    -------
    GammaSweep

    Raises
    ------
    UsageError
        If the arrays do not belong together, or an error is negative.

    Notes
    -----
    Means are over joints, each of them alike, so that they are those of the metrics of the same
    names, computed on the kept poses.

    Examples
    --------
    >>> c = np.array([0.9, 0.5, 0.1])
    >>> errors = np.array([[0.1, 0.3], [0.2, 0.6], [2.0, np.nan]])
    >>> sweep = gamma_sweep(c, errors, np.array([0.0, 0.18, 0.7]))
    >>> sweep.poses.tolist(), sweep.error.round(2).tolist(), sweep.pckh.tolist()
    ([3, 2, 1], [0.64, 0.3, 0.2], [0.6, 0.75, 1.0])
    """
    _check(confidence, joint_errors, (len(confidence), *joint_errors.shape[1:2]))
    joints = (~np.isnan(joint_errors)).sum(axis=1)
    is_compared = joints > 0
    errors = joint_errors[is_compared]
    c = confidence[is_compared]
    each = np.stack(
        [
            np.ones(len(errors)),
            joints[is_compared],
            np.where(np.isnan(errors), 0.0, errors).sum(axis=1),
            (errors <= threshold).sum(axis=1),
        ]
    )

    order = np.argsort(c)  # NaN at the end: above every gamma
    first_kept = np.searchsorted(c[order], np.asarray(gammas, c.dtype), side="left")
    from_there_on = np.zeros((len(each), len(errors) + 1))
    from_there_on[:, :-1] = each[:, order][:, ::-1].cumsum(axis=1)[:, ::-1]
    num_poses, num_joints, error, correct = from_there_on[:, first_kept]
    return GammaSweep(
        gammas=np.asarray(gammas, np.float64),
        poses=num_poses.astype(np.int64),
        joints=num_joints.astype(np.int64),
        kept=_ratio(num_poses, np.full(len(num_poses), len(errors))),
        error=_ratio(error, num_joints),
        pckh=_ratio(correct, num_joints),
        compared=len(errors),
        left_out=len(joint_errors) - len(errors),
        without_confidence=int(np.isnan(c).sum()),
    )


def kept_by_error(
    confidence: np.ndarray,
    errors: np.ndarray,
    gammas: np.ndarray,
    edges: np.ndarray = ERROR_EDGES,
) -> ErrorIntervals:
    """Tell which share of the poses of each error interval every gamma keeps (Fig. 5).

    A good measure keeps nearly all poses of small errors and nearly none of great ones.

    Parameters
    ----------
    confidence : float, shape (N,)
        C of each pose; NaN where it has none: it is kept.
    errors : float, shape (N,)
        Error of each pose, as of `pose_errors`; NaN where it has none.
    gammas : float, shape (G,)
        Thresholds, as in `gamma_sweep`.
    edges : float, shape (K + 1,)
        Ends of the intervals, ascending; the last may be infinite.

    Returns
    -------
    ErrorIntervals

    Raises
    ------
    UsageError
        If the arrays do not belong together, an error is negative, or the edges do not ascend.

    Examples
    --------
    >>> table = kept_by_error(
    ...     np.array([0.9, 0.1, 0.2, 0.05]), np.array([0.1, 0.2, 0.7, 3.0]),
    ...     gammas=np.array([0.18]), edges=np.array([0, 0.5, 1, np.inf]),
    ... )
    >>> table.poses.tolist(), table.kept.tolist()
    ([2, 1, 1], [[0.5, 1.0, 0.0]])
    """
    _check(confidence, errors, (len(confidence),))
    ends = np.asarray(edges, np.float64)
    if len(ends) < 2 or not (np.diff(ends) > 0).all():
        raise UsageError("edges of error intervals", found=ends, expected="ascending, 2 or more")
    last = len(ends) - 2
    interval = np.searchsorted(ends, errors, side="right") - 1
    interval[errors == ends[-1]] = last
    is_inside = (interval >= 0) & (interval <= last) & ~np.isnan(errors)
    interval, c = interval[is_inside], confidence[is_inside]
    poses = np.bincount(interval, minlength=last + 1)
    kept = [
        np.bincount(interval[~(c < gamma)], minlength=last + 1)
        for gamma in np.asarray(gammas, c.dtype)
    ]
    return ErrorIntervals(
        edges=ends,
        gammas=np.asarray(gammas, np.float64),
        poses=poses,
        kept=_ratio(np.reshape(kept, (len(gammas), last + 1)), poses),
        left_out=int((~is_inside).sum()),
    )


def _check(confidence: np.ndarray, errors: np.ndarray, shape: tuple[int, ...]) -> None:
    if errors.shape != shape or confidence.ndim != 1:
        raise UsageError(
            "calibration", found=f"C of shape {confidence.shape}, errors {errors.shape}",
            expected=f"errors {shape}" if confidence.ndim == 1 else "C of shape (N,)",
        )  # fmt: skip
    if (errors < 0).any():
        raise UsageError("calibration: negative errors", found=np.nanmin(errors),
                         expected="distances")  # fmt: skip


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, NaN where the whole is 0."""
    nothing = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.divide(part, whole, out=nothing, where=whole > 0)
