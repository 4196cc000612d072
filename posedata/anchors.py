"""Anchor poses: the few poses that stand for all, by k-means over poses in their boxes.

Yang et al., "Selective Spatio-Temporal Aggregation Based Pose Refinement System", WACV 2021, name
the class of a pose by the nearest of 20 such anchors. The k-means is scikit-learn's. Poses with
missing joints take part by the rounds of k-POD (Chi, Chi and Baraniuk, "k-POD: A Method for
k-Means Clustering of Missing Data", The American Statistician 70, 2016): a missing joint stands
where its own centre has it, so that it adds nothing to the distance and the joints that are there
decide alone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.nearest_anchor import LEAST_JOINTS, assign, checked_poses

#: Past so many poses the k-means works on small random batches of them.
MINI_BATCH_PAST = 100_000
#: Of more poses, if some lack joints, so many random ones decide where the anchors are.
MOST_IN_ROUNDS = 250_000

_STARTS = 10
_ROUNDS = 20
_CHANGED = 1e-3  # of the poses: when fewer change their class, the rounds end
_COMPLETE_FOR_START = 10  # complete poses an anchor, to begin with them alone


@dataclass(frozen=True)
class Anchors:
    """What `fit_anchors` has found.

    Attributes
    ----------
    keypoints : float32, shape (K, V, 2)
        Class 0 has the most poses. The unit is the longer side of a pose's box, the origin its
        top-left corner; NaN where no pose of the class has the joint.
    counts : int64, shape (K,)
        Poses of each class, of those that took part.
    num_incomplete : int
        Poses that took part although they lack a joint that others have.
    num_left_out : int
        Poses that did not take part: too few joints, or all of them at one place.
    rounds : int
        Rounds in which poses with missing joints took part; 0 where all are complete.
    """

    keypoints: np.ndarray
    counts: np.ndarray
    num_incomplete: int
    num_left_out: int
    rounds: int


def box_normalise(keypoints: np.ndarray) -> np.ndarray:
    """Move poses to the top-left corner of their boxes, and divide them by the longer side.

    One divisor for both axes keeps the shape: who lies and who stands stay different.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels; NaN where a joint is missing.

    Returns
    -------
    float32, shape (N, V, 2)
        From 0 to 1, NaN where a joint is missing; all NaN where the box has no extent.
    """
    return _normalise(np.ascontiguousarray(checked_poses(keypoints)))


@kernel
def _normalise(keypoints):
    normal = np.full(keypoints.shape, np.nan, np.float32)
    for n in range(len(keypoints)):
        x0 = y0 = np.inf
        x1 = y1 = -np.inf
        for v in range(keypoints.shape[1]):
            x, y = np.float64(keypoints[n, v, 0]), np.float64(keypoints[n, v, 1])
            if np.isfinite(x) and np.isfinite(y):
                x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        longer = max(x1 - x0, y1 - y0)
        if longer <= 0:  # -inf where nothing is there
            continue
        for v in range(keypoints.shape[1]):
            x, y = np.float64(keypoints[n, v, 0]), np.float64(keypoints[n, v, 1])
            if np.isfinite(x) and np.isfinite(y):
                normal[n, v, 0], normal[n, v, 1] = (x - x0) / longer, (y - y0) / longer
    return normal


def fit_anchors(keypoints: np.ndarray, k: int = 20, seed: int = 0) -> Anchors:
    """Find K anchor poses by k-means over box-normalised poses.

    Where all poses are complete, this is scikit-learn's k-means and nothing else. Else rounds of
    it follow, in which each missing joint stands where the pose's own class has it; of more poses
    than `MOST_IN_ROUNDS`, random ones are in these rounds.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels; NaN where a joint is missing.
    k : int
        Anchors (K).
    seed : int
        Of the random beginnings: equal input and seed give equal anchors.

    Returns
    -------
    Anchors

    Raises
    ------
    UsageError
        If scikit-learn is not installed, or fewer than K different poses can take part.
    """
    normal = box_normalise(keypoints)
    present = np.isfinite(normal).all(-1)
    known = present.any(0)
    takes_part = present.any(1) & (present.sum(1) >= LEAST_JOINTS * known.sum())
    poses = np.ascontiguousarray(normal[takes_part][:, known])
    if k < 1 or len(poses) < k:
        raise UsageError("not enough poses for the anchors", found=f"{len(poses)} that can take "
                         f"part, of {len(normal)}", expected=f"at least k = {k} and k above 0",
                         remedy="Give a smaller -k, or more poses.")  # fmt: skip
    complete = np.isfinite(poses).all((1, 2))
    if np.count_nonzero(complete) >= min(_COMPLETE_FOR_START * k, len(poses)):
        centres = _k_means(poses[complete], k, seed)
    else:
        means = np.nanmean(poses, axis=0, dtype=np.float64).astype(np.float32)
        centres = _k_means(np.where(np.isnan(poses), means, poses), k, seed)
    rounds = 0
    if not complete.all():
        drawn = poses
        if len(poses) > MOST_IN_ROUNDS:
            rng = np.random.default_rng(seed)
            drawn = poses[np.sort(rng.choice(len(poses), MOST_IN_ROUNDS, replace=False))]
        centres, rounds = _rounds(drawn, centres, seed)
    classes, _ = assign(poses, centres)
    counts = np.bincount(classes, minlength=k)
    for joint in range(poses.shape[1]):
        held = np.bincount(classes[np.isfinite(poses[:, joint, 0])], minlength=k)
        centres[held == 0, joint] = np.nan  # nobody has shown where this joint is
    order = np.argsort(-counts, kind="stable")
    anchors = np.full((k, len(known), 2), np.nan, np.float32)
    anchors[:, known] = centres[order]
    return Anchors(
        anchors, counts[order].astype(np.int64), int(np.count_nonzero(~complete)),
        len(normal) - len(poses), rounds,
    )  # fmt: skip


def _rounds(poses: np.ndarray, centres: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Improve centres by poses with missing joints; also give the number of rounds."""
    classes, _ = assign(poses, centres)
    rounds, changed = 0, len(poses)
    while changed > _CHANGED * len(poses) and rounds < _ROUNDS:
        rounds += 1
        centres = _k_means(fill(poses, centres, classes), len(centres), seed, centres)
        before, (classes, _) = classes, assign(poses, centres)
        changed = np.count_nonzero(classes != before)
    return centres, rounds


def fill(poses: np.ndarray, anchors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Put each missing joint where the pose's anchor has it: a step of `fit_anchors` alone.

    The joints that are there first take the place and size that the same joints have in the
    anchor's box: the inverse of what `posedata.nearest_anchor.distances` does to the anchor.

    Parameters
    ----------
    poses : float32, shape (N, V, 2)
    anchors : float32, shape (K, V, 2)
        Without missing joints.
    classes : int, shape (N,)

    Returns
    -------
    float32, shape (N, V, 2)
        Complete poses stay as they are.
    """
    return _fill(
        np.ascontiguousarray(poses, np.float32), anchors.astype(np.float64),
        classes.astype(np.int64),
    )  # fmt: skip


@kernel
def _fill(poses, anchors, classes):
    filled = poses.copy()
    joints = poses.shape[1]
    for n in range(len(poses)):
        x0 = y0 = a0 = b0 = c0 = d0 = np.inf  # of the pose; of the anchor's same joints; of all
        x1 = y1 = a1 = b1 = c1 = d1 = -np.inf
        missing = 0
        own = anchors[classes[n]]
        for v in range(joints):
            a, b = own[v, 0], own[v, 1]
            c0, c1, d0, d1 = min(c0, a), max(c1, a), min(d0, b), max(d1, b)
            x, y = np.float64(poses[n, v, 0]), np.float64(poses[n, v, 1])
            if np.isnan(x) or np.isnan(y):
                missing += 1
                continue
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
            a0, a1, b0, b1 = min(a0, a), max(a1, a), min(b0, b), max(b1, b)
        if missing == 0:
            continue
        scale = max(a1 - a0, b1 - b0) / max(c1 - c0, d1 - d0) / max(x1 - x0, y1 - y0)
        for v in range(joints):
            x, y = np.float64(poses[n, v, 0]), np.float64(poses[n, v, 1])
            if np.isnan(x) or np.isnan(y):
                filled[n, v, 0], filled[n, v, 1] = own[v, 0], own[v, 1]
            else:
                filled[n, v, 0] = (x - x0) * scale + (a0 - c0)
                filled[n, v, 1] = (y - y0) * scale + (b0 - d0)
    return filled


def _k_means(poses: np.ndarray, k: int, seed: int, start: np.ndarray | None = None) -> np.ndarray:
    """K-means of scikit-learn over complete poses: centres, float32, shape (K, V, 2)."""
    try:
        from sklearn.cluster import KMeans, MiniBatchKMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise UsageError("anchors need scikit-learn, which is not installed",
                         remedy="pip install 'posedata[fuse]'") from error  # fmt: skip
    flat = poses.reshape(len(poses), -1)
    options: dict[str, Any] = {"n_clusters": k, "random_state": seed, "n_init": _STARTS}
    if start is not None:
        options |= {"init": start.reshape(k, -1).astype(flat.dtype), "n_init": 1}
    if len(flat) > MINI_BATCH_PAST:
        model = MiniBatchKMeans(batch_size=10_000, compute_labels=False, **options)
    else:
        model = KMeans(**options)
    # one thread: sums in another order would be other numbers
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(flat)
        except ConvergenceWarning as error:
            raise UsageError(
                "not enough different poses for the anchors", found=error,
                expected=f"at least k = {k}", remedy="Give a smaller -k.",
            ) from error  # fmt: skip
    return np.asarray(model.cluster_centers_, np.float32).reshape(k, -1, 2)
