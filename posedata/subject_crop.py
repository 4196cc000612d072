"""Subject-centred cropping: one box around all poses of all frames of a clip.

Duan et al., "Revisiting Skeleton-based Action Recognition", CVPR 2022, section 3.2. The numbers and
the rounding are those of ``PoseCompact`` in PYSKL and mmaction2 1.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from posedata.errors import UsageError
from posedata.heatmaps import check_size


def subject_crop_box(
    keypoints: np.ndarray,
    width: float,
    height: float,
    padding: float = 0.25,
    ratio: float | tuple[float, float] | None = None,
    threshold: float = 10,
    inside: bool = False,
) -> tuple[int, int, int, int]:
    """Find the box of the subjects.

    With w, h the width and height of the smallest box around all joints of all people and frames,
    the box has the same centre and the sides ``w (1 + padding)`` and ``h (1 + padding)``. Then the
    shorter side grows until ``height / width`` is within ``ratio``, and the corners lose their
    fractions (towards 0).

    Parameters
    ----------
    keypoints : float, shape (..., 2)
        x, y in pixels of the image; NaN where a joint is missing. Used in float32.
    width, height : float
        Of the image.
    padding : float
        0.25 is the reference's.
    ratio : float or (float, float), optional
        The least and the greatest height / width, or one number for both. PYSKL's configurations
        for PoseConv3D have 1: a square. By default the box keeps its shape.
    threshold : float
        If the box of the joints is narrower or lower than this, in pixels, the image stays whole.
    inside : bool
        Cut the box off at the image's borders. By default it may reach past them, as the
        reference's (``allow_imgpad=True``).

    Returns
    -------
    (int, int, int, int)
        x0, y0, x1, y1. The whole image (0, 0, width, height) also where no joint is.

    Raises
    ------
    UsageError
        If an option cannot mean anything.

    Notes
    -----
    The reference leaves coordinates of exactly 0 out, its sign of a missing one, as NaN is here; a
    joint that really lies on x = 0 is counted here and not there.
    """
    least, greatest = _checked_options(width, height, padding, ratio, threshold)
    poses = np.asarray(keypoints, np.float32)
    if poses.ndim == 0 or poses.shape[-1] != 2:
        raise UsageError("keypoints of a crop", found=f"shape {poses.shape}",
                         expected="shape (..., 2)")  # fmt: skip
    points = poses[np.isfinite(poses).all(-1)]
    whole = 0, 0, int(width), int(height)
    if not len(points):
        return whole
    low, high = points.min(0), points.max(0)
    if (high - low < threshold).any():
        return whole
    # sums and differences in float32, all else in float64: NumPy 1's rules, which the reference has
    x, y = ((high + low).astype(np.float64) / 2).tolist()
    half_width, half_height = ((high - low).astype(np.float64) / 2 * (1 + padding)).tolist()
    half_height = max(least * half_width, half_height)
    half_width = max(1 / greatest * half_height, half_width)
    x0, x1, y0, y1 = x - half_width, x + half_width, y - half_height, y + half_height
    if inside:
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    box = int(x0), int(y0), int(x1), int(y1)
    return box if box[0] < box[2] and box[1] < box[3] else whole


def move_to_box(
    keypoints: np.ndarray, box: Sequence[float], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Move keypoints from the image to a crop of it, resized.

    Parameters
    ----------
    keypoints : float, shape (..., 2)
        Pixels of the image; NaN where missing, which stays.
    box : (x0, y0, x1, y1)
        The crop, from `subject_crop_box`.
    size : (int, int), optional
        H and W to resize the crop to. By default it keeps its size.

    Returns
    -------
    float32, shape (..., 2)
        ``(x - x0) W / (x1 - x0)`` and y likewise: no half pixel is added, as in the reference.

    Raises
    ------
    UsageError
        If the box is empty, or the size is.
    """
    x0, y0, x1, y1 = box
    if not (all(map(math.isfinite, box)) and x0 < x1 and y0 < y1):
        raise UsageError("an empty crop", found=tuple(box), expected="x0 < x1 and y0 < y1")
    moved = np.asarray(keypoints, np.float32) - np.array([x0, y0], np.float32)
    if size is None:
        return moved
    height, width = check_size(size)
    return moved * np.array([width / (x1 - x0), height / (y1 - y0)], np.float32)


def _checked_options(
    width: float,
    height: float,
    padding: float,
    ratio: float | tuple[float, float] | None,
    threshold: float,
) -> tuple[float, float]:
    """Return the least and the greatest height / width; `UsageError` where an option is no good."""
    for name, value in (("width", width), ("height", height)):
        if not 1 <= value < math.inf:
            raise UsageError(f"{name} of the image", found=value, expected="at least 1 pixel")
    for name, value in (("padding", padding), ("threshold", threshold)):
        if not 0 <= value < math.inf:
            raise UsageError(f"{name} of the crop", found=value,
                             expected="a finite number from 0 on")  # fmt: skip
    if ratio is None:
        return 0.0, math.inf
    least, greatest = ratio if isinstance(ratio, tuple) else (ratio, ratio)
    if not 0 < least <= greatest < math.inf:
        raise UsageError("height / width of the crop", found=ratio,
                         expected="a number above 0, or the least and the greatest")  # fmt: skip
    return float(least), float(greatest)
