"""Confidence intervals of means, by drawing whole clips again (Efron, 1979).

Frames of one clip resemble each other: drawing frames or joints would make intervals far too
narrow. The unit that is drawn is therefore the clip, or whatever else the rows stand for.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from posedata.errors import UsageError

Average = Literal["pooled", "joints"]

# Weights of this many numbers at a time.
_CHUNK = 1 << 22


def mean_of_sums(sums: np.ndarray, counts: np.ndarray, average: Average = "pooled") -> np.ndarray:
    """Mean of what was added up for each joint.

    Parameters
    ----------
    sums, counts : float, shape (..., V)
        Sum of the values of each joint, and how many they are.
    average : {"pooled", "joints"}
        Over all values, or the mean over joints of the mean of each joint.

    Returns
    -------
    float64, shape (...)
        NaN where there is no value.
    """
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    if average == "pooled":
        sums, counts = sums.sum(-1), counts.sum(-1)
        return np.divide(sums, counts, where=counts > 0, out=np.full(sums.shape, np.nan))
    means = np.divide(sums, counts, where=counts > 0, out=np.zeros(sums.shape))
    known = (counts > 0).sum(-1)
    total = means.sum(-1)
    return np.divide(total, known, where=known > 0, out=np.full(total.shape, np.nan))


def bootstrap_interval(
    sums: np.ndarray, counts: np.ndarray, *, average: Average = "pooled",
    num_samples: int = 1000, seed: int = 0, level: float = 0.95,
) -> tuple[float, float]:  # fmt: skip
    """Interval of `mean_of_sums` over the units, by the percentiles of bootstrap samples.

    Parameters
    ----------
    sums, counts : float, shape (U, V)
        Of each unit (clip) and joint.
    average : {"pooled", "joints"}
        See `mean_of_sums`.
    num_samples : int
        How many times U units are drawn with replacement.
    seed : int
        With one seed, equally many units are drawn alike: layers that are compared on the same
        clips are compared on the same samples.
    level : float
        Share of the samples inside the interval, half of the rest on either side.

    Returns
    -------
    low, high : float
        NaN where fewer than two units have values: one clip says nothing of others.

    Examples
    --------
    >>> bootstrap_interval(np.array([[2.0], [2.0]]), np.array([[1], [1]]), num_samples=10)
    (2.0, 2.0)
    """
    if num_samples < 1 or not 0 < level < 1:
        raise UsageError("a bootstrap", found=f"{num_samples} samples, level {level}",
                         expected="1 sample or more, and a level between 0 and 1")  # fmt: skip
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    units = len(sums)
    if (counts.sum(1) > 0).sum() < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, _CHUNK // units)
    for start in range(0, num_samples, step):
        size = min(step, num_samples - start)
        drawn = rng.integers(0, units, (size, units))
        drawn += units * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        weights = weights.astype(np.float64)
        means.append(mean_of_sums(weights @ sums, weights @ counts, average))
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(np.concatenate(means), [tail, 100 - tail])
    return float(low), float(high)
