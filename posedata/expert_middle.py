"""The middle of what experts propose in each frame by itself: where fusion over time starts."""

from __future__ import annotations

import numpy as np

from posedata.compiled import part_of_kernel
from posedata.expert_spread import LEAST_DISTANCE, median_of

_MEDIAN_STEPS = 12  # of Weiszfeld's iteration; fusion goes on from there


def experts_middle(
    p: np.ndarray, s: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the middle of what experts propose.

    Parameters
    ----------
    p : float64, shape (E, T, V, 2)
        Pixels; 0 where missing.
    s : float64, shape (E, T, V)
        Weights; 0 where missing.
    present : bool, shape (E, T, V)
        What is there.

    Returns
    -------
    x : float64, shape (T, V, 2)
        Geometric median, by Weiszfeld's iteration from the weighted mean.
    own : float64, shape (E, T, V)
        Squared distance from it.
    middle : float64, shape (T, V)
        Squared distance within which half of the experts are; infinite where there are one or two.
    """
    x = _geometric_median(p, s)
    own = ((p - x) ** 2).sum(axis=-1)
    return x, own, _agreement(own, present)


def _agreement(own: np.ndarray, present: np.ndarray) -> np.ndarray:
    result = np.full(own.shape[1:], np.inf)
    for t, v in np.argwhere(present.sum(axis=0) >= 3):
        result[t, v] = np.median(own[present[:, t, v], t, v])
    return result


def _geometric_median(p: np.ndarray, s: np.ndarray) -> np.ndarray:
    w = s
    for _ in range(_MEDIAN_STEPS + 1):
        x = (w[..., None] * p).sum(axis=0) / np.maximum(w.sum(axis=0), 1e-300)[..., None]
        w = s / np.maximum(np.linalg.norm(p - x, axis=-1), LEAST_DISTANCE)
    return x


@part_of_kernel
def find_middle(
    p: np.ndarray, s: np.ndarray, present: np.ndarray, x: np.ndarray, own: np.ndarray,
    middle: np.ndarray, buffer: np.ndarray,
) -> None:  # fmt: skip
    """`experts_middle`, compiled, of one joint in one frame; ``buffer`` is room to work in."""
    _median_point(p, s, x)
    _square_distances(p, x, own)
    if present.sum() >= 3:
        middle[0] = median_of(own, present, buffer)


@part_of_kernel
def _median_point(p: np.ndarray, s: np.ndarray, x: np.ndarray) -> None:
    """Weiszfeld's iteration; a score of 0 is a missing proposal."""
    for step in range(_MEDIAN_STEPS + 1):
        total = x0 = x1 = 0.0
        for e in range(len(s)):
            if s[e] > 0:
                weight = s[e]
                if step:
                    d0, d1 = p[e, 0] - x[0], p[e, 1] - x[1]
                    weight /= max(np.sqrt(d0 * d0 + d1 * d1), LEAST_DISTANCE)
                total += weight
                x0 += weight * p[e, 0]
                x1 += weight * p[e, 1]
        x[0], x[1] = x0 / total, x1 / total


@part_of_kernel
def _square_distances(p: np.ndarray, x: np.ndarray, squares: np.ndarray) -> None:
    for e in range(len(squares)):
        d0, d1 = p[e, 0] - x[0], p[e, 1] - x[1]
        squares[e] = d0 * d0 + d1 * d1
