"""How far poses are from the truth, in space: MPJPE and its relatives.

Each function aligns poses, or gives one value for each joint of each pose, NaN where there is
nothing to compare. Distances are `posedata.metrics_2d.joint_distances` of aligned poses.

Definitions: MPJPE, Ionescu et al., "Human3.6M", TPAMI 2014; the aligned ones as in VideoPose3D
(Pavllo et al., CVPR 2019), ``common/loss.py``: ``mpjpe``, ``p_mpjpe``, ``n_mpjpe`` and
``mean_velocity_error``. There poses come root-aligned and complete; here a joint that either pose
lacks takes no part in an alignment. 3D PCK: Mehta et al., "Monocular 3D Human Pose Estimation In
The Wild", 3DV 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.errors import UsageError

#: Thresholds in mm under whose curve ``auc3d`` takes the area: 0, 5, ..., 150.
AUC3D_THRESHOLDS = tuple(float(step * 5) for step in range(31))

#: Joints that both poses must have for a similarity transform of a solid body to be told.
LEAST_JOINTS = 3

# Jacobi's method halves the exponent of what is left in each sweep; 4 x 4 takes 5 or 6 of them.
_MOST_SWEEPS = 20


def root_aligned(keypoints: np.ndarray, roots: Sequence[int]) -> np.ndarray:
    """Move each pose so that its root is at the origin.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        NaN where a joint is missing.
    roots : sequence of int
        The root joint, or several whose mean is the root (the hips).

    Returns
    -------
    float64, shape (N, V, C)
        All NaN where a root is missing.
    """
    return _root_aligned(keypoints, np.array(roots, np.int64))


def plain_root_aligned(keypoints: np.ndarray, roots: Sequence[int]) -> np.ndarray:
    """Say what `root_aligned` computes, in numpy."""
    poses = keypoints.astype(np.float64)
    return poses - poses[:, list(roots)].mean(axis=1, keepdims=True)


@kernel
def _root_aligned(keypoints: np.ndarray, roots: np.ndarray) -> np.ndarray:
    num_poses, num_joints, num_channels = keypoints.shape
    out = np.empty((num_poses, num_joints, num_channels))
    for n in range(num_poses):
        for c in range(num_channels):
            root = 0.0
            for v in roots:
                root += keypoints[n, v, c]
            root /= len(roots)
            for v in range(num_joints):
                out[n, v, c] = keypoints[n, v, c] - root
    return out


def scale_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Scale each predicted pose to fit the true one best: the alignment of N-MPJPE.

    The scale is sum <true, predicted> / sum <predicted, predicted> over the joints of the pose,
    as in VideoPose3D's ``n_mpjpe``.

    Parameters
    ----------
    predicted, true : float, shape (N, V, C)
        Root-aligned poses.

    Returns
    -------
    float64, shape (N, V, C)
        All NaN where no joint can be compared, or all compared ones are at the origin.
    """
    if predicted.shape != true.shape:
        raise UsageError("poses to align", found=f"shapes {predicted.shape} and {true.shape}",
                         expected="the same shape (N, V, C)")  # fmt: skip
    return _scale_aligned(predicted, true)


def plain_scale_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Say what `scale_aligned` computes, in numpy."""
    predicted, true = predicted.astype(np.float64), true.astype(np.float64)
    both = np.isfinite(predicted).all(-1) & np.isfinite(true).all(-1)
    p, t = np.where(both[..., None], predicted, 0), np.where(both[..., None], true, 0)
    norms, products = (p * p).sum((1, 2)), (t * p).sum((1, 2))
    scales = np.divide(products, norms, where=norms > 0, out=np.full(len(norms), np.nan))
    return scales[:, None, None] * predicted


@kernel
def _scale_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    num_poses, num_joints, num_channels = predicted.shape
    out = np.full(predicted.shape, np.nan)
    for n in range(num_poses):
        norm = product = 0.0
        for v in range(num_joints):
            of_norm = of_product = 0.0
            for c in range(num_channels):
                p, t = np.float64(predicted[n, v, c]), np.float64(true[n, v, c])
                of_norm += p * p
                of_product += p * t
            if np.isfinite(of_norm) and np.isfinite(of_product):
                norm += of_norm
                product += of_product
        if norm > 0:
            for v in range(num_joints):
                for c in range(num_channels):
                    out[n, v, c] = product / norm * predicted[n, v, c]
    return out


def procrustes_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Move, turn and scale each predicted pose to fit the true one best: PA-MPJPE's alignment.

    The similarity transform of the least squared distance, without reflection. The rotation is
    the eigenvector of Horn's 4 x 4 matrix (Horn, "Closed-form solution of absolute orientation
    using unit quaternions", JOSA 1987), the same as Kabsch's by SVD but quick to find by
    Jacobi's method.

    Parameters
    ----------
    predicted, true : float, shape (N, V, 3)
        Poses; joints that either lacks take no part, and stay missing.

    Returns
    -------
    float64, shape (N, V, 3)
        All NaN where fewer than `LEAST_JOINTS` can be compared, or they are all in one place.
    """
    if predicted.shape != true.shape or predicted.ndim != 3 or predicted.shape[2] != 3:
        raise UsageError("poses to align", found=f"shapes {predicted.shape} and {true.shape}",
                         expected="the same shape (N, V, 3)")  # fmt: skip
    return _procrustes_aligned(predicted, true)


def plain_procrustes_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Say what `procrustes_aligned` computes, by SVD (Umeyama, TPAMI 1991, eq. 40 to 42)."""
    out = np.full(predicted.shape, np.nan)
    for n in range(len(predicted)):
        both = np.isfinite(predicted[n]).all(-1) & np.isfinite(true[n]).all(-1)
        if both.sum() < LEAST_JOINTS:
            continue
        x, y = predicted[n, both].astype(np.float64), true[n, both].astype(np.float64)
        mu_x, mu_y = x.mean(0), y.mean(0)
        variance = ((x - mu_x) ** 2).sum()
        if variance == 0:
            continue
        u, d, vt = np.linalg.svd((y - mu_y).T @ (x - mu_x))
        s = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        rotation, scale = (u * s) @ vt, (d * s).sum() / variance
        out[n, both] = scale * (x - mu_x) @ rotation.T + mu_y
    return out


@kernel
def _procrustes_aligned(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    num_poses, num_joints, _ = predicted.shape
    out = np.full((num_poses, num_joints, 3), np.nan)
    both = np.empty(num_joints, np.bool_)
    mu_x, mu_y = np.empty(3), np.empty(3)
    s = np.empty((3, 3))
    a, q = np.empty((4, 4)), np.empty((4, 4))
    r = np.empty((3, 3))
    for n in range(num_poses):
        count = 0
        mu_x[:] = 0.0
        mu_y[:] = 0.0
        for v in range(num_joints):
            both[v] = True
            for c in range(3):
                both[v] &= np.isfinite(predicted[n, v, c]) and np.isfinite(true[n, v, c])
            if both[v]:
                count += 1
                for c in range(3):
                    mu_x[c] += predicted[n, v, c]
                    mu_y[c] += true[n, v, c]
        if count < 3:
            continue
        mu_x /= count
        mu_y /= count
        s[:] = 0.0
        variance = 0.0
        for v in range(num_joints):
            if both[v]:
                for i in range(3):
                    x = predicted[n, v, i] - mu_x[i]
                    variance += x * x
                    for j in range(3):
                        s[i, j] += x * (true[n, v, j] - mu_y[j])
        if variance == 0:
            continue
        a[0, 0] = s[0, 0] + s[1, 1] + s[2, 2]
        a[1, 1] = s[0, 0] - s[1, 1] - s[2, 2]
        a[2, 2] = -s[0, 0] + s[1, 1] - s[2, 2]
        a[3, 3] = -s[0, 0] - s[1, 1] + s[2, 2]
        a[0, 1] = a[1, 0] = s[1, 2] - s[2, 1]
        a[0, 2] = a[2, 0] = s[2, 0] - s[0, 2]
        a[0, 3] = a[3, 0] = s[0, 1] - s[1, 0]
        a[1, 2] = a[2, 1] = s[0, 1] + s[1, 0]
        a[1, 3] = a[3, 1] = s[2, 0] + s[0, 2]
        a[2, 3] = a[3, 2] = s[1, 2] + s[2, 1]
        best = _largest_eigenvector(a, q)
        w, x, y, z = q[0, best], q[1, best], q[2, best], q[3, best]
        scale = a[best, best] / variance
        r[0, 0], r[1, 1] = 1 - 2 * (y * y + z * z), 1 - 2 * (x * x + z * z)
        r[2, 2] = 1 - 2 * (x * x + y * y)
        r[0, 1], r[1, 0] = 2 * (x * y - w * z), 2 * (x * y + w * z)
        r[0, 2], r[2, 0] = 2 * (x * z + w * y), 2 * (x * z - w * y)
        r[1, 2], r[2, 1] = 2 * (y * z - w * x), 2 * (y * z + w * x)
        for v in range(num_joints):
            if both[v]:
                for i in range(3):
                    total = 0.0
                    for j in range(3):
                        total += r[i, j] * (predicted[n, v, j] - mu_x[j])
                    out[n, v, i] = scale * total + mu_y[i]
    return out


@part_of_kernel
def _largest_eigenvector(a: np.ndarray, q: np.ndarray) -> int:
    """Turn a symmetric 4 x 4 matrix diagonal, in place; q gets its eigenvectors as columns."""
    q[:] = 0.0
    size = 0.0
    for i in range(4):
        q[i, i] = 1.0
        for j in range(4):
            size += a[i, j] * a[i, j]
    for _ in range(_MOST_SWEEPS):
        off = 0.0
        for i in range(3):
            for j in range(i + 1, 4):
                off += a[i, j] * a[i, j]
        if off <= 1e-32 * size:
            break
        for i in range(3):
            for j in range(i + 1, 4):
                if a[i, j] == 0.0:
                    continue
                theta = (a[j, j] - a[i, i]) / (2 * a[i, j])
                t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1))
                if theta < 0:
                    t = -t
                c = 1.0 / np.sqrt(t * t + 1)
                s = t * c
                for k in range(4):
                    first, second = a[k, i], a[k, j]
                    a[k, i], a[k, j] = c * first - s * second, s * first + c * second
                for k in range(4):
                    first, second = a[i, k], a[j, k]
                    a[i, k], a[j, k] = c * first - s * second, s * first + c * second
                for k in range(4):
                    first, second = q[k, i], q[k, j]
                    q[k, i], q[k, j] = c * first - s * second, s * first + c * second
    best = 0
    for i in range(1, 4):
        if a[i, i] > a[best, best]:
            best = i
    return best


def velocity_errors(
    predicted: np.ndarray, true: np.ndarray, frames: np.ndarray, persons: np.ndarray
) -> np.ndarray:
    """Distance of the predicted velocity of each joint from the true one: MPJVE is its mean.

    VideoPose3D's ``mean_velocity_error`` of each track; gaps are not crossed.

    Parameters
    ----------
    predicted, true : float, shape (N, V, C)
        Root-aligned poses, sorted by (person, frame).
    frames, persons : int, shape (N,)
        Of each pose.

    Returns
    -------
    float64, shape (N, V)
        In the unit of the poses per frame, at the later one of two consecutive frames; NaN
        elsewhere, and where a joint is missing in either.
    """
    return _velocity_errors(predicted, true, frames, persons)


def plain_velocity_errors(
    predicted: np.ndarray, true: np.ndarray, frames: np.ndarray, persons: np.ndarray
) -> np.ndarray:
    """Say what `velocity_errors` computes, in numpy."""
    out = np.full(predicted.shape[:2], np.nan)
    later = np.flatnonzero((np.diff(frames) == 1) & (np.diff(persons) == 0)) + 1
    errors = predicted.astype(np.float64) - true.astype(np.float64)
    out[later] = np.linalg.norm(errors[later] - errors[later - 1], axis=-1)
    out[~np.isfinite(out)] = np.nan
    return out


@kernel
def _velocity_errors(
    predicted: np.ndarray, true: np.ndarray, frames: np.ndarray, persons: np.ndarray
) -> np.ndarray:
    num_poses, num_joints, num_channels = predicted.shape
    out = np.full((num_poses, num_joints), np.nan)
    for n in range(1, num_poses):
        if persons[n - 1] != persons[n] or frames[n] - frames[n - 1] != 1:
            continue
        for v in range(num_joints):
            square = 0.0
            for c in range(num_channels):
                here = np.float64(predicted[n, v, c]) - true[n, v, c]
                difference = here - (np.float64(predicted[n - 1, v, c]) - true[n - 1, v, c])
                square += difference * difference
            if np.isfinite(square):
                out[n, v] = np.sqrt(square)
    return out
