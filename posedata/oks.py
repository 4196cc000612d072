"""Object keypoint similarity: how alike two poses are, from 0 to 1, as COCO defines it.

    OKS = mean over joints i of exp(-d_i^2 / (2 s^2 k_i^2)),    k_i = 2 sigma_i

with d_i the distance of the two joints in pixels and s^2 the area of the person (Lin et al.,
"Microsoft COCO: Common Objects in Context", ECCV 2014, and cocodataset.org/#keypoints-eval).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.errors import UsageError

#: Share of the box around a person's joints that is the person. COCO takes the area from a mask,
#: which poses do not have; this is how data sets without masks are evaluated (jin-s13/xtcocoapi,
#: ``cocoeval.py``).
AREA_OF_BOX = 0.53


def object_keypoint_similarities(
    predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray,
    *, missing: Literal["wrong", "skip"] = "wrong",
) -> np.ndarray:  # fmt: skip
    """OKS of each pose with its true one.

    Parameters
    ----------
    predicted, true : float, shape (N, V, 2)
        Pixels; NaN where a joint is missing. Joints that the truth lacks do not count.
    areas : float, shape (N,)
        s^2, the area of each true person in square pixels.
    sigmas : float, shape (V,)
        Constant of each joint, as COCO gives it (k = 2 sigma).
    missing : {"wrong", "skip"}
        Whether a joint that only the prediction lacks adds 0, as where poses are judged, or does
        not count, as where the question is who somebody is.

    Returns
    -------
    float64, shape (N,)
        0 to 1; NaN where no joint counts, or where there is no area above 0.
    """
    if predicted.shape != true.shape or areas.shape != true.shape[:1]:
        raise UsageError("poses to compare", found=f"shapes {predicted.shape}, {areas.shape}",
                         expected=f"{true.shape} and ({len(true)},)")  # fmt: skip
    if missing not in ("wrong", "skip"):
        raise UsageError("missing", found=repr(missing), expected="wrong or skip")
    predicted, true = np.ascontiguousarray(predicted), np.ascontiguousarray(true)
    areas, sigmas = np.asarray(areas, np.float64), np.asarray(sigmas, np.float64)
    return _similarities(predicted, true, areas, sigmas, missing == "wrong")


def plain_similarities(
    predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray,
    *, missing: Literal["wrong", "skip"] = "wrong",
) -> np.ndarray:  # fmt: skip
    """Say what `object_keypoint_similarities` computes, in numpy."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = ((predicted.astype(np.float64) - true.astype(np.float64)) ** 2).sum(-1)
    both = np.isfinite(squares)
    known = np.isfinite(areas) & (areas > 0)
    counted = (np.isfinite(true).all(-1) if missing == "wrong" else both) & known[:, None]
    scales = 2 * np.where(known, areas, 1)[:, None] * (2 * sigmas) ** 2
    similar = np.where(both, np.exp(-np.where(both, squares, 0) / scales), 0)
    counts = counted.sum(1)
    sums = np.where(counted, similar, 0).sum(1)
    return np.divide(sums, counts, where=counts > 0, out=np.full(len(counts), np.nan))


@kernel
def _similarities(
    predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, wrong: bool
) -> np.ndarray:
    out = np.empty(len(true))
    for n in range(len(true)):
        out[n] = similarity(predicted[n], true[n], areas[n], sigmas, wrong)
    return out


@part_of_kernel
def similarity(
    predicted: np.ndarray, true: np.ndarray, area: float, sigmas: np.ndarray, wrong: bool
) -> float:
    """OKS of one pose with one true one: a part of kernels."""
    if not (np.isfinite(area) and area > 0):
        return np.nan
    total, count = 0.0, 0
    for v in range(len(sigmas)):
        x, y = np.float64(true[v, 0]), np.float64(true[v, 1])
        square = (predicted[v, 0] - x) ** 2 + (predicted[v, 1] - y) ** 2
        if np.isfinite(square):
            count += 1
            total += np.exp(-square / (2 * area * (2 * sigmas[v]) ** 2))
        elif wrong and np.isfinite(x) and np.isfinite(y):
            count += 1
    return total / count if count else np.nan
