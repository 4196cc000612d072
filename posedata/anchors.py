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

from posedata.compiled import kernel, part_of_kernel
from posedata.errors import UsageError

#: Past so many poses the k-means works on small random batches of them.
MINI_BATCH_PAST = 100_000
#: A pose takes part, and is compared with an anchor, with at least this share of the joints.
LEAST_JOINTS = 0.5
#: The class of a pose that has too few joints, or whose joints all lie at one place.
NO_CLASS = -1

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
    return _normalise(np.ascontiguousarray(_checked(keypoints)))


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
    it follow, in which each missing joint stands where the pose's own class has it.

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
    poses = normal[takes_part][:, known]
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
    classes, _ = assign(poses, centres)
    rounds = 0
    while not complete.all() and rounds < _ROUNDS:
        rounds += 1
        centres = _k_means(fill(poses, centres, classes), k, seed, centres)
        before, (classes, _) = classes, assign(poses, centres)
        if np.count_nonzero(classes != before) <= _CHANGED * len(poses):
            break
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


def assign(keypoints: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each pose the class of the nearest anchor, by the joints that both have.

    A pose and an anchor are compared in the box of the joints S that both have: of an anchor
    whose lower half is not to be compared, the upper half fills the box. For a complete pose this
    is the Euclidean distance of `box_normalise` to the anchor. See `distances` for the equation.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels, or any other unit; NaN where a joint is missing.
    anchors : float, shape (K, V, 2)
        As in `Anchors`.

    Returns
    -------
    classes : int32, shape (N,)
        The first of the nearest; `NO_CLASS` where fewer than half of each anchor's joints are
        there, or all lie at one place.
    distances : float32, shape (N,)
        Root of the mean squared distance of the joints in S, in units of the longer side of their
        box; NaN without a class.
    """
    poses = np.ascontiguousarray(_checked(keypoints), np.float32)
    if anchors.shape[1:] != poses.shape[1:]:
        raise UsageError("anchors of other joints", found=f"{anchors.shape[1]} joints",
                         expected=f"{poses.shape[1]}")  # fmt: skip
    return _assign(poses, np.ascontiguousarray(anchors, np.float64), LEAST_JOINTS)


def distances(pose: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Compare one pose with each anchor: the plain definition of what `assign` computes.

    With S the joints that the pose x and the anchor a both have, l(.) and L(.) the top-left corner
    and the longer side of a box::

        x' = (x - l(x_S)) / L(x_S)
        a' = (a - (l(a_S) - l(a))) * L(a) / L(a_S)
        d  = sqrt(mean over S of |x' - a'|^2)

    Parameters
    ----------
    pose : float, shape (V, 2)
    anchors : float, shape (K, V, 2)

    Returns
    -------
    float64, shape (K,)
        Infinite where S is less than half of the anchor's joints, or a box has no extent.
    """
    found = np.full(len(anchors), np.inf)
    for row in range(len(anchors)):
        anchor = np.asarray(anchors[row], np.float64)
        has = np.isfinite(anchor).all(-1)
        both = has & np.isfinite(pose).all(-1)
        if not both.any() or both.sum() < LEAST_JOINTS * has.sum():
            continue
        x, a = pose[both].astype(np.float64), anchor[both]
        side, part = np.ptp(x, axis=0).max(), np.ptp(a, axis=0).max()
        whole = np.ptp(anchor[has], axis=0).max()
        if side == 0 or part == 0:
            continue
        moved = (a - (a.min(0) - anchor[has].min(0))) * (whole / part)
        found[row] = np.sqrt((((x - x.min(0)) / side - moved) ** 2).sum(-1).mean())
    return found


@part_of_kernel
def _in_own_box(pose, chosen, unit):
    """Write the chosen joints in units of their box; return the longer side of that."""
    x0 = y0 = np.inf
    x1 = y1 = -np.inf
    for v in chosen:
        x, y = np.float64(pose[v, 0]), np.float64(pose[v, 1])
        x0, x1 = x if x < x0 else x0, x if x > x1 else x1
        y0, y1 = y if y < y0 else y0, y if y > y1 else y1
    side = max(x1 - x0, y1 - y0)
    if side > 0:
        for j, v in enumerate(chosen):
            unit[j, 0] = (np.float64(pose[v, 0]) - x0) / side
            unit[j, 1] = (np.float64(pose[v, 1]) - y0) / side
    return side


@kernel
def _assign(poses, anchors, least):
    rows, joints, _ = poses.shape
    classes = np.full(rows, -1, np.int32)
    nearest = np.full(rows, np.nan, np.float32)
    has = np.zeros((len(anchors), joints), np.bool_)
    num = np.zeros(len(anchors), np.int64)
    corner = np.zeros((len(anchors), 2))
    whole = np.zeros(len(anchors))
    for k in range(len(anchors)):
        x0 = y0 = np.inf
        x1 = y1 = -np.inf
        for v in range(joints):
            x, y = anchors[k, v, 0], anchors[k, v, 1]
            if np.isfinite(x) and np.isfinite(y):
                has[k, v] = True
                num[k] += 1
                x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        corner[k, 0], corner[k, 1] = x0, y0
        whole[k] = max(x1 - x0, y1 - y0)
    there, both = np.empty(joints, np.int64), np.empty(joints, np.int64)
    unit, unit_of_both = np.empty((joints, 2)), np.empty((joints, 2))
    for n in range(rows):
        count = 0
        for v in range(joints):
            if np.isfinite(poses[n, v, 0]) and np.isfinite(poses[n, v, 1]):
                there[count] = v
                count += 1
        extent = _in_own_box(poses[n], there[:count], unit)
        best = np.inf
        for k in range(len(anchors)):
            of_both, num_both, side, own = there, count, extent, unit
            if num[k] < joints:
                of_both, num_both, own = both, 0, unit_of_both
                for v in there[:count]:
                    if has[k, v]:
                        both[num_both] = v
                        num_both += 1
                side = _in_own_box(poses[n], both[:num_both], own)
            if num_both == 0 or num_both < least * num[k] or side == 0:
                continue
            a0 = b0 = np.inf
            a1 = b1 = -np.inf
            for v in of_both[:num_both]:
                a, b = anchors[k, v, 0], anchors[k, v, 1]
                a0, a1 = a if a < a0 else a0, a if a > a1 else a1
                b0, b1 = b if b < b0 else b0, b if b > b1 else b1
            part = max(a1 - a0, b1 - b0)
            if part == 0:
                continue
            shift_a, shift_b = a0 - corner[k, 0], b0 - corner[k, 1]
            grow = whole[k] / part
            total = 0.0
            for j in range(num_both):
                v = of_both[j]
                dx = own[j, 0] - (anchors[k, v, 0] - shift_a) * grow
                dy = own[j, 1] - (anchors[k, v, 1] - shift_b) * grow
                total += dx * dx + dy * dy
            distance = np.sqrt(total / num_both)
            if distance < best:
                best = distance
                classes[n] = k
                nearest[n] = distance
    return classes, nearest


def fill(poses: np.ndarray, anchors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Put each missing joint where the pose's anchor has it: a step of `fit_anchors` alone.

    The joints that are there first take the place and size that the same joints have in the
    anchor's box: the inverse of what `distances` does to the anchor.

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


def _checked(keypoints: np.ndarray) -> np.ndarray:
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or keypoints.shape[1] == 0:
        raise UsageError("anchors are of 2D poses", found=f"shape {keypoints.shape}",
                         expected="shape (N, V, 2)")  # fmt: skip
    return keypoints
