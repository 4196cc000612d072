"""Medians of more numbers than memory holds: a histogram with bins of equal ratio."""

from __future__ import annotations

import numpy as np

_PER_DECADE = 100
_FROM, _TO = -3, 5

#: Ends of the bins: neighbours differ by 2.3 %, so that a quantile is off by 1.2 % at most. What
#: is smaller or larger is in the first or the last bin.
EDGES = 10.0 ** (np.arange(_FROM * _PER_DECADE, _TO * _PER_DECADE + 1) / _PER_DECADE)
NUM_BINS = len(EDGES) - 1


def histograms(values: np.ndarray) -> np.ndarray:
    """Count values of each column.

    Parameters
    ----------
    values : float, shape (N, J)
        0 or more; what is not finite is not counted.

    Returns
    -------
    int64, shape (J, NUM_BINS)
    """
    num_columns = values.shape[1]
    known = np.isfinite(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        bins = np.floor(np.log10(values) * _PER_DECADE) - _FROM * _PER_DECADE
    at = np.clip(bins, 0, NUM_BINS - 1) + np.arange(num_columns) * NUM_BINS
    counts = np.bincount(at[known].astype(np.int64), minlength=num_columns * NUM_BINS)
    return counts.reshape(num_columns, NUM_BINS)


def quantile(counts: np.ndarray, share: float) -> float:
    """Give a quantile of a histogram: the middle of the bin that holds it; NaN of nothing.

    Parameters
    ----------
    counts : int64, shape (NUM_BINS,)
        From `histograms`.
    share : float
        0.5 is the median.
    """
    total = counts.sum()
    if not total:
        return float("nan")
    at = int(np.searchsorted(np.cumsum(counts), max(share * total, 1)))
    if at == 0:
        return 0.0
    return float(np.sqrt(EDGES[at] * EDGES[at + 1]))
