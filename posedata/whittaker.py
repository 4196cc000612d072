"""Whittaker's smoother: a track that is close to the given points, and accelerates little.

Whittaker, "On a new method of graduation", Proceedings of the Edinburgh Mathematical Society, 1923.
"""

from __future__ import annotations

import numpy as np

from posedata.compiled import part_of_kernel


def whittaker(y: np.ndarray, weights: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Smooth points over time.

    Minimises the sum over t of weights[t] |y[t] - x[t]|**2 and of
    penalties[t] |x[t] - 2 x[t + 1] + x[t + 2]|**2.

    Parameters
    ----------
    y : float64, shape (T, C)
        Points of consecutive frames; none is missing.
    weights : float64, shape (T,)
        Above 0.
    penalties : float64, shape (T - 2,) or longer
        Of each second difference. What is beyond is not used.

    Returns
    -------
    float64, shape (T, C)
        x; y itself where there are less than three frames.
    """
    if len(y) < 3:
        return y.copy()
    differences = np.diff(np.eye(len(y)), 2, axis=0)
    normal = differences.T @ (penalties[: len(y) - 2, None] * differences) + np.diag(weights)
    return np.linalg.solve(normal, weights[:, None] * y)


@part_of_kernel
def smooth_into(
    y: np.ndarray, weights: np.ndarray, penalties: np.ndarray, band: np.ndarray, x: np.ndarray
) -> None:
    """`whittaker` for C = 2, by L D L' of the five diagonals.

    ``band`` (T, 3) is room to work in, ``x`` (T, 2) is overwritten.
    """
    count = len(y)
    if count < 3:
        x[:] = y
        return
    for t in range(count):
        before2 = penalties[t - 2] if t >= 2 else 0.0
        before1 = penalties[t - 1] if 1 <= t <= count - 2 else 0.0
        here = penalties[t] if t <= count - 3 else 0.0
        pivot = weights[t] + before2 + 4 * before1 + here
        near, far = -2 * (before2 + before1), before2  # to t - 1, to t - 2
        x0, x1 = weights[t] * y[t, 0], weights[t] * y[t, 1]
        if t >= 2:
            far /= band[t - 2, 0]
            near -= far * band[t - 2, 0] * band[t - 1, 1]
            pivot -= far * far * band[t - 2, 0]
            x0 -= far * x[t - 2, 0]
            x1 -= far * x[t - 2, 1]
        if t >= 1:
            near /= band[t - 1, 0]
            pivot -= near * near * band[t - 1, 0]
            x0 -= near * x[t - 1, 0]
            x1 -= near * x[t - 1, 1]
        band[t, 0], band[t, 1], band[t, 2] = pivot, near, far
        x[t, 0], x[t, 1] = x0, x1
    for t in range(count - 1, -1, -1):
        for axis in range(2):
            value = x[t, axis] / band[t, 0]
            if t + 1 < count:
                value -= band[t + 1, 1] * x[t + 1, axis]
            if t + 2 < count:
                value -= band[t + 2, 2] * x[t + 2, axis]
            x[t, axis] = value
