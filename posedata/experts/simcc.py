"""Decode SimCC: for each joint one row of bins for x and one for y."""

from __future__ import annotations

import numpy as np


def decode_simcc(
    bins_x: np.ndarray, bins_y: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the highest bins (SimCC, Li et al. 2022).

    Parameters
    ----------
    bins_x : float, shape (N, K, Wx)
        Bin ``i`` is pixel ``i * width / Wx`` of the crop: two bins a pixel in RTMPose.
    bins_y : float, shape (N, K, Wy)
        The same for y.
    size : (int, int)
        Width and height of the crop.

    Returns
    -------
    points : float64, shape (N, K, 2)
        Pixels of the crop, (0, 0) the centre of its top-left one.
    scores : float64, shape (N, K)
        The lower of the two maxima, as mmpose has it.
    """
    bins = [np.nan_to_num(b.astype(np.float64), nan=0.0) for b in (bins_x, bins_y)]
    points = [b.argmax(-1) * (side / b.shape[-1]) for b, side in zip(bins, size, strict=True)]
    return np.stack(points, -1), np.minimum(bins[0].max(-1), bins[1].max(-1))
