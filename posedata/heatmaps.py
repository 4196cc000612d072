"""Heatmap volumes of joints and limbs, what PoseConv3D sees of a clip.

Duan et al., "Revisiting Skeleton-based Action Recognition", CVPR 2022, equations 1 and 2. The paper
leaves open where a Gaussian ends, what a score of nearly 0 does, and how people share a channel;
these rules are those of ``GeneratePoseTarget`` in PYSKL and mmaction2 1.2, so that the volumes are
theirs to 1e-6. `joint_map` and `limb_map` write them down; `heatmaps` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from posedata import heatmap_kernels as kernels
from posedata.errors import UsageError
from posedata.skeleton import Skeleton

#: Joints with a lower score draw nothing. mmaction2's number; PYSKL's is 1e-3.
LEAST_SCORE = 1e-4

#: The limbs of coco17 in PYSKL's configurations of limb models, whose weights expect this order of
#: channels (configs/posec3d/*/limb.py). Without the shoulders' line and the eyes' and with no line
#: from ears to shoulders, but with lines from the nose to the shoulders; `posedata.skeleton` has
#: COCO's own bones.
PYSKL_LIMBS = (
    (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (11, 13), (13, 15), (6, 12),
    (12, 14), (14, 16), (0, 1), (0, 2), (1, 3), (2, 4), (11, 12),
)  # fmt: skip

#: The same limbs in the order that ``GeneratePoseTarget`` has when no limbs are given.
MMACTION2_LIMBS = (
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (5, 7), (7, 9), (0, 6), (6, 8), (8, 10), (5, 11),
    (11, 13), (13, 15), (6, 12), (12, 14), (14, 16), (11, 12),
)  # fmt: skip

People = Literal["max", "sum"]

_PEOPLE = {"max": kernels.MAX, "sum": kernels.SUM}
_DTYPES = ("float32", "float16", "uint8")


def heatmaps(
    keypoints: np.ndarray,
    scores: np.ndarray | None = None,
    *,
    size: tuple[int, int] = (56, 56),
    sigma: float = 0.6,
    joints: bool = True,
    limbs: Sequence[tuple[int, int]] | np.ndarray | None = None,
    people: People = "max",
    least_score: float = LEAST_SCORE,
    dtype: Any = "float32",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the joints, the limbs, or both, of all people in all frames.

    Parameters
    ----------
    keypoints : float, shape (M, T, V, 2)
        x and y in pixels of the target: see `scale_keypoints`. Used in float32. A joint with a
        coordinate or score that is not finite draws nothing, nor do its limbs.
    scores : float, shape (M, T, V), optional
        The height of each Gaussian; a limb has the lower one of its ends. 1 by default. (Where the
        score of a limb's second joint is NaN, the reference takes the first's, and so does this.)
    size : (int, int)
        H and W of a map.
    sigma : float
        Of the Gaussians, in pixels.
    joints : bool
        Whether the first V channels are joints.
    limbs : int, shape (L, 2), optional
        Pairs of joint indices: ``skeleton.bone_indices``, or `PYSKL_LIMBS`.
    people : {"max", "sum"}
        How people share a channel.
    least_score : float
        Joints with a lower score draw nothing, nor do their limbs.
    dtype : {"float32", "float16", "uint8"}
        Rounded once, to the nearest. A uint8 is 255 times the value, at most 255.
    out : array of ``dtype``, shape (K, T, H, W), C-contiguous, optional
        Written and returned instead of a new array; what was in it is gone.

    Returns
    -------
    ``dtype``, shape (K, T, H, W)
        K = V + L with both. Limbs follow joints.

    Raises
    ------
    UsageError
        If an option or a shape cannot mean anything.

    Notes
    -----
    Where one of the reference's values is a number, this one is the same to 1e-6 times the score.
    Differences: the reference fails at, or fills patches with, NaN where a coordinate or a score
    is NaN; with joints and limbs together, mmaction2 draws both into the same channels. Its limbs
    differ from themselves by 5e-6 between NumPy 1 and 2, which round differently; these are those
    of NumPy 2. In a limb, what is below 6e-8 of the score is left 0.
    """
    height, width = check_size(size)
    sigma = check_sigma(sigma)
    keypoints, scores, pairs = _checked(keypoints, scores, limbs, joints)
    if people not in _PEOPLE:
        raise UsageError("no such way to put people together", found=repr(people),
                         expected=" or ".join(_PEOPLE))  # fmt: skip
    kind = np.dtype(dtype)
    if kind.name not in _DTYPES:
        raise UsageError("heatmaps of no such type", found=kind.name, expected=", ".join(_DTYPES))
    num_joints = keypoints.shape[2] if joints else 0
    shape = (num_joints + len(pairs), keypoints.shape[1], height, width)
    volume = np.zeros(shape, kind) if out is None else _cleared(out, shape, kind)
    least = np.float32(least_score)
    rest = (keypoints, scores, pairs, num_joints, sigma, least, _PEOPLE[people], kernels.SQUARE)
    if kind == np.float32:
        kernels.draw_float32(volume, *rest)
    elif kind == np.float16:
        kernels.draw_rounded(volume.view(np.uint16), kernels.FLOAT16, *rest)
    else:
        kernels.draw_rounded(volume, kernels.UINT8, *rest)
    return volume


def plain_heatmaps(
    keypoints: np.ndarray,
    scores: np.ndarray,
    size: tuple[int, int],
    sigma: float,
    joints: bool = True,
    limbs: Sequence[tuple[int, int]] = (),
    people: People = "max",
    least_score: float = LEAST_SCORE,
) -> np.ndarray:
    """Draw as `heatmaps` does, map by map: the plain definition that tests compare it with."""
    keypoints, scores = keypoints.astype(np.float32), scores.astype(np.float32)
    persons, steps, num_joints, _ = keypoints.shape
    channels = [(k, k) for k in range(num_joints)] * joints + [tuple(limb) for limb in limbs]
    volume = np.zeros((len(channels), steps, *size), np.float32)
    together = np.maximum if people == "max" else np.add
    for k, (a, b) in enumerate(channels):
        for m, t in np.ndindex(persons, steps):
            pose, score = keypoints[m, t], scores[m, t]
            lower = min(score[a], score[b])  # Python's min: of a NaN at the end, the start's
            if not (np.float32(least_score) <= lower < np.inf and np.isfinite(pose[[a, b]]).all()):
                continue
            if a == b:
                drawn = joint_map(pose[a], score[a], size, sigma)
            else:
                drawn = limb_map(pose[a], pose[b], score[a], score[b], size, sigma)
            volume[k, t] = together(volume[k, t], drawn)
    return volume


def joint_map(
    keypoint: np.ndarray, score: float, size: tuple[int, int], sigma: float
) -> np.ndarray:
    """Draw one joint.

    Equation 1, ``J(i, j) = exp(-((j - x)^2 + (i - y)^2) / (2 sigma^2)) c``, for the columns j from
    ``trunc(x - 3 sigma)`` to ``trunc(x + 3 sigma)`` and the rows i likewise; 0 elsewhere. trunc
    drops the fraction, so that the patch reaches further to the left and up than to the right and
    down.

    Parameters
    ----------
    keypoint : float32, shape (2,)
        x, y.
    score : float
        c.
    size : (int, int)
        H, W.
    sigma : float

    Returns
    -------
    float32, shape (H, W)
    """
    rows, columns = np.arange(size[0]), np.arange(size[1])
    x, y = keypoint
    squares = (columns - np.float64(x)) ** 2 + (rows[:, None] - np.float64(y)) ** 2
    drawn = np.exp(-squares / (2 * sigma**2)) * score
    patch = _span(rows, y, y, sigma)[:, None] & _span(columns, x, x, sigma)
    return np.where(patch, drawn, 0).astype(np.float32)


def limb_map(
    start: np.ndarray,
    end: np.ndarray,
    start_score: float,
    end_score: float,
    size: tuple[int, int],
    sigma: float,
) -> np.ndarray:
    """Draw one limb.

    Equation 2, ``L(i, j) = exp(-D((j, i), seg[a, b])^2 / (2 sigma^2)) min(c_a, c_b)``, D the
    distance to the segment, within the box of both ends that is larger by 3 sigma as a joint's
    patch is. A limb shorter than a pixel is its start, with the start's score.

    D is computed in float32, in the reference's order: a limb that crosses the whole map has
    another fifth decimal in another order.

    Parameters
    ----------
    start, end : float32, shape (2,)
        x, y of a and b.
    start_score, end_score : float
        c_a, c_b.
    size : (int, int)
        H, W.
    sigma : float

    Returns
    -------
    float32, shape (H, W)
    """
    (ax, ay), (bx, by) = start, end
    rows, columns = np.arange(size[0]), np.arange(size[1])
    patch = _span(rows, min(ay, by), max(ay, by), sigma)[:, None]
    patch = patch & _span(columns, min(ax, bx), max(ax, bx), sigma)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # of ends that are far out: they draw nothing
        length = (ax - bx) ** kernels.SQUARE + (ay - by) ** kernels.SQUARE
        if length < 1:
            is_drawn = patch.any() and np.isfinite(start_score)
            return joint_map(start, start_score if is_drawn else 0, size, sigma)
        x, y = columns.astype(np.float32), rows.astype(np.float32)[:, None]
        to_start = (x - ax) ** 2 + (y - ay) ** 2
        to_end = (x - bx) ** 2 + (y - by) ** 2
        t = (to_start - to_end + length) / np.float32(2) / length
        to_line = (x - (ax + t * (bx - ax))) ** 2 + (y - (ay + t * (by - ay))) ** 2
        squares = np.where(t <= 0, to_start, np.where(t >= 1, to_end, to_line))
    drawn = np.exp(-squares.astype(np.float64) / (2 * sigma**2)) * min(start_score, end_score)
    return np.where(patch & ~np.isnan(drawn), drawn, 0).astype(np.float32)


def _span(pixels: np.ndarray, low: np.float32, high: np.float32, sigma: float) -> np.ndarray:
    """Tell which pixels are in a patch, by its rule for the ends, in float32."""
    reach = np.float32(3 * sigma)
    return (pixels >= np.trunc(low - reach)) & (pixels <= np.trunc(high + reach))


def scale_keypoints(
    keypoints: np.ndarray, image_size: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """Move keypoints from an image to a map of another size.

    Parameters
    ----------
    keypoints : float, shape (..., 2)
        Pixels of the image.
    image_size, size : (int, int)
        Height and width of the image, and of the map.

    Returns
    -------
    float32, shape (..., 2)
        ``x W / w, y H / h``, as ``Resize`` of PYSKL and mmaction2, which has no half pixel.
    """
    height, width = check_size(size)
    if not (len(image_size) == 2 and all(np.isfinite(s) and s > 0 for s in image_size)):
        raise UsageError("not a size of an image", found=image_size,
                         expected="height and width, above 0")  # fmt: skip
    scale = np.array([width / image_size[1], height / image_size[0]], np.float32)
    return np.asarray(keypoints, np.float32) * scale


def flip_order(
    skeleton: Skeleton, joints: bool = True, limbs: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """Say which channel each channel becomes when left and right are exchanged.

    Parameters
    ----------
    skeleton : Skeleton
        Of V joints with their left-right pairs.
    joints, limbs
        As given to `heatmaps`.

    Returns
    -------
    int64, shape (K,)

    Raises
    ------
    UsageError
        If the other side of a limb is not among the limbs.
    """
    mirrored = skeleton.flip_order
    order = mirrored.tolist() if joints else []
    drawn = [frozenset(limb) for limb in ([] if limbs is None else np.asarray(limbs).tolist())]
    pairs = {limb: channel for channel, limb in enumerate(drawn)}
    for limb in drawn:
        other = frozenset(int(mirrored[joint]) for joint in limb)
        if other not in pairs:
            names = " - ".join(skeleton.joints[joint] for joint in sorted(limb))
            raise UsageError("a limb whose other side is not among the limbs", found=names)
        order.append(pairs[other] + (skeleton.num_joints if joints else 0))
    return np.array(order, np.int64)


def flip(maps: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Mirror volumes left to right, and exchange the channels of left and right.

    Parameters
    ----------
    maps : shape (K, T, H, W)
    order : int, shape (K,)
        From `flip_order`.

    Returns
    -------
    same dtype and shape
        A copy. Twice is the original. What ``double=True`` of the reference adds.
    """
    return np.ascontiguousarray(maps[order, ..., ::-1])


def check_sigma(sigma: float) -> float:
    """Return sigma if a Gaussian can have it; `UsageError` if not."""
    if not (isinstance(sigma, (int, float, np.floating, np.integer)) and 0 < sigma < np.inf):
        raise UsageError("sigma of heatmaps", found=repr(sigma),
                         expected="a finite number of pixels above 0")  # fmt: skip
    return float(sigma)


def check_size(size: Sequence[int]) -> tuple[int, int]:
    """Return height and width if a map can have them; `UsageError` if not."""
    if not (
        isinstance(size, Sequence)
        and len(size) == 2
        and all(isinstance(side, (int, np.integer)) and side > 0 for side in size)
    ):
        raise UsageError("size of heatmaps", found=repr(size),
                         expected="height and width, whole numbers above 0")  # fmt: skip
    return int(size[0]), int(size[1])


def check_shapes(keypoints: tuple[int, ...], scores: tuple[int, ...] | None, dims: str) -> None:
    """Raise `UsageError` unless keypoints have the axes named in ``dims``, and scores fit."""
    if len(keypoints) != dims.count(",") + 1 or keypoints[-1] != 2:
        raise UsageError("keypoints of heatmaps", found=f"shape {keypoints}",
                         expected=f"shape ({dims})")  # fmt: skip
    if scores is not None and scores != keypoints[:-1]:
        raise UsageError("scores that do not belong to the keypoints", found=f"shape {scores}",
                         expected=f"shape {keypoints[:-1]}")  # fmt: skip


def check_limbs(limbs: Any, num_joints: int, joints: bool) -> np.ndarray:
    """Return limbs as int64, shape (L, 2); `UsageError` if they are no pairs of joints."""
    pairs = np.asarray([] if limbs is None else limbs)
    if pairs.size == 0:
        pairs = np.zeros((0, 2), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise UsageError("limbs of heatmaps", found=f"{pairs.dtype}, shape {pairs.shape}",
                         expected="pairs of joint indices, shape (L, 2)")  # fmt: skip
    bad = (pairs < 0) | (pairs >= num_joints) | (pairs[:, :1] == pairs[:, 1:])
    if bad.any():
        raise UsageError("a limb of no such joints", found=pairs[bad.any(1)][0].tolist(),
                         expected=f"two different indices from 0 to {num_joints - 1}")  # fmt: skip
    if not joints and not len(pairs):
        raise UsageError("heatmaps of neither joints nor limbs",
                         remedy="Set joints, give limbs, or both.")  # fmt: skip
    return np.ascontiguousarray(pairs, np.int64)


def _checked(keypoints: Any, scores: Any, limbs: Any, joints: bool) -> tuple[np.ndarray, ...]:
    keypoints = np.asarray(keypoints)
    scores = np.ones(keypoints.shape[:-1], np.float32) if scores is None else np.asarray(scores)
    check_shapes(keypoints.shape, scores.shape, "M, T, V, 2")
    pairs = check_limbs(limbs, keypoints.shape[2], joints)
    with np.errstate(over="ignore"):  # too far for float32 is infinitely far: nothing is drawn
        keypoints = np.ascontiguousarray(keypoints, np.float32)
        return keypoints, np.ascontiguousarray(scores, np.float32), pairs


def _cleared(out: np.ndarray, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    if (out.shape, out.dtype) != (shape, kind) or not (out.flags.c_contiguous
                                                       and out.flags.writeable):  # fmt: skip
        raise UsageError("an array that these heatmaps cannot be written to",
                         found=f"{out.dtype}, shape {out.shape}",
                         expected=f"{kind}, shape {shape}, C-contiguous and writeable")  # fmt: skip
    out.fill(0)
    return out
