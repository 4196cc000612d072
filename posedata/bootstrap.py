"""Confidence intervals of means, by drawing whole clips again (Efron, 1979).

Frames of one clip resemble each other: drawing frames or joints would make intervals far too
narrow. The unit that is drawn is therefore the clip, or whatever else the rows stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError

Average = Literal["pooled", "joints"]

# Weights of this many numbers at a time, so that they stay in the processor's cache.
_CHUNK = 1 << 18


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
    if average == "pooled":
        sums, counts = sums.sum(1, keepdims=True), counts.sum(1, keepdims=True)
    both = np.concatenate([sums, counts], axis=1)
    means = []
    for weights in drawn_weights(units, num_samples, seed):
        drawn_sums, drawn_counts = np.split(_weighted(weights, both), 2, axis=1)
        means.append(mean_of_sums(drawn_sums, drawn_counts, average))
    return percentile_interval(np.concatenate(means), level)


def drawn_weights(units: int, num_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw as many units as there are, with replacement, again and again.

    Parameters
    ----------
    units : int
        How many there are (U).
    num_samples, seed : int
        See `bootstrap_interval`.

    Yields
    ------
    float64, shape (S, U)
        How often each unit was drawn, for some of the samples.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // units)
    for start in range(0, num_samples, step):
        size = min(step, num_samples - start)
        yield _count(rng.integers(0, units, (size, units), np.int32))


@kernel
def _count(drawn: np.ndarray) -> np.ndarray:
    """How often each of U numbers is in each row, float64 (S, U)."""
    out = np.zeros(drawn.shape)
    for sample in range(drawn.shape[0]):
        for unit in range(drawn.shape[1]):
            out[sample, drawn[sample, unit]] += 1
    return out


@kernel
def _weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Say what ``weights @ values`` is: here quicker, as a third of the weights are 0."""
    out = np.zeros((len(weights), values.shape[1]))
    for sample in range(weights.shape[0]):
        for unit in range(weights.shape[1]):
            if weights[sample, unit] > 0:
                for v in range(values.shape[1]):
                    out[sample, v] += weights[sample, unit] * values[unit, v]
    return out


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval that holds a share of values, and half of the rest on either side."""
    tail = 50 * (1 - level)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
