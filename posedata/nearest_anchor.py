"""Which anchor pose is the nearest, where either may lack joints."""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.errors import UsageError

#: A pose takes part, and is compared with an anchor, with at least this share of the joints.
LEAST_JOINTS = 0.5
#: The class of a pose that has too few joints, or whose joints all lie at one place.
NO_CLASS = -1


def assign(keypoints: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each pose the class of the nearest anchor, by the joints that both have.

    A pose and an anchor are compared in the box of the joints S that both have: of an anchor
    whose lower half is not to be compared, the upper half fills the box. For a complete pose this
    is the Euclidean distance of `posedata.anchors.box_normalise` to the anchor. See `distances`
    for the equation.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels, or any other unit; NaN where a joint is missing.
    anchors : float, shape (K, V, 2)
        As in `posedata.anchors.Anchors`.

    Returns
    -------
    classes : int32, shape (N,)
        The first of the nearest; `NO_CLASS` where fewer than half of each anchor's joints are
        there, or all lie at one place.
    distances : float32, shape (N,)
        Root of the mean squared distance of the joints in S, in units of the longer side of their
        box; NaN without a class.
    """
    poses = np.ascontiguousarray(checked_poses(keypoints), np.float32)
    if anchors.shape[1:] != poses.shape[1:]:
        raise UsageError("anchors of other joints", found=f"{anchors.shape[1]} joints",
                         expected=f"{poses.shape[1]}")  # fmt: skip
    wanted = np.ascontiguousarray(anchors, np.float64)
    if np.isfinite(wanted).all():
        return _assign_to_complete(poses, np.ascontiguousarray(wanted.transpose(1, 2, 0)),
                                   LEAST_JOINTS)  # fmt: skip
    return _assign(poses, wanted, LEAST_JOINTS)


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


@kernel
def _assign_to_complete(poses, anchors, least):
    """`_assign` to anchors that lack no joint, float64 (V, 2, K): all of them side by side."""
    rows, joints, _ = poses.shape
    num = anchors.shape[2]
    classes = np.full(rows, -1, np.int32)
    nearest = np.full(rows, np.nan, np.float32)
    there, unit = np.empty(joints, np.int64), np.empty((joints, 2))
    every = np.arange(joints)
    whole_a0, whole_b0, whole, _ = _boxes_of(anchors, every, np.empty((4, num)))
    whole_a0, whole_b0, whole = whole_a0.copy(), whole_b0.copy(), whole.copy()
    room = np.empty((4, num))
    grow, total = np.empty(num), np.empty(num)
    for n in range(rows):
        count = 0
        for v in range(joints):
            if np.isfinite(poses[n, v, 0]) and np.isfinite(poses[n, v, 1]):
                there[count] = v
                count += 1
        side = _in_own_box(poses[n], there[:count], unit)
        if count == 0 or count < least * joints or side == 0:
            continue
        a0, b0, part, _ = _boxes_of(anchors, there[:count], room)
        for k in range(num):
            a0[k] -= whole_a0[k]
            b0[k] -= whole_b0[k]
            grow[k] = whole[k] / part[k] if part[k] > 0 else np.inf
            total[k] = 0.0
        for j in range(count):
            v = there[j]
            for k in range(num):
                dx = unit[j, 0] - (anchors[v, 0, k] - a0[k]) * grow[k]
                dy = unit[j, 1] - (anchors[v, 1, k] - b0[k]) * grow[k]
                total[k] += dx * dx + dy * dy
        best = np.inf
        for k in range(num):
            if part[k] > 0:
                distance = np.sqrt(total[k] / count)
                if distance < best:
                    best = distance
                    classes[n] = k
                    nearest[n] = distance
    return classes, nearest


@part_of_kernel
def _boxes_of(anchors, chosen, room):
    """Top-left corners (x, y) and longer sides of the chosen joints' boxes in all anchors."""
    a0, b0, a1, b1 = room[0], room[1], room[2], room[3]
    a0[:], b0[:] = np.inf, np.inf
    a1[:], b1[:] = -np.inf, -np.inf
    for v in chosen:
        for k in range(len(a0)):
            a, b = anchors[v, 0, k], anchors[v, 1, k]
            a0[k] = a if a < a0[k] else a0[k]
            a1[k] = a if a > a1[k] else a1[k]
            b0[k] = b if b < b0[k] else b0[k]
            b1[k] = b if b > b1[k] else b1[k]
    for k in range(len(a0)):
        a1[k] = max(a1[k] - a0[k], b1[k] - b0[k])
    return a0, b0, a1, b1


def checked_poses(keypoints: np.ndarray) -> np.ndarray:
    """Give 2D poses back, or refuse what is none.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)

    Raises
    ------
    UsageError
        If they have another shape.
    """
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or keypoints.shape[1] == 0:
        raise UsageError("anchors are of 2D poses", found=f"shape {keypoints.shape}",
                         expected="shape (N, V, 2)")  # fmt: skip
    return keypoints
