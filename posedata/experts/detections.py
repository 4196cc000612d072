"""Decode the boxes of detectors."""

from __future__ import annotations

import numpy as np

LOWEST_SCORE = 0.05
_STRIDES = (8, 16, 32)
_LARGEST_LOG_SIZE = 20.0


def decode_grid(predictions: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Decode what YOLOX says of each cell of its three grids (Ge et al. 2021).

    Parameters
    ----------
    predictions : float, shape (A, 5 + classes)
        For each cell of the grids of stride 8, 16 and 32, row by row: x and y from the cell's
        corner in cells, the logarithms of width and height in cells, how likely there is
        something, and of which class. Class 0 is a person.
    size : (int, int)
        Width and height of the model's input.

    Returns
    -------
    boxes : float64, shape (A, 4)
        x0 y0 x1 y1, pixels of the input, (0, 0) its corner.
    scores : float64, shape (A,)
        That a person is there.
    """
    values = predictions.astype(np.float64)
    corners, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.indices((size[1] // stride, size[0] // stride))
        corners.append(np.stack([columns.ravel(), rows.ravel()], -1))
        strides.append(np.full((rows.size, 1), stride))
    stride_of = np.concatenate(strides)
    centres = (values[:, :2] + np.concatenate(corners)) * stride_of
    halves = np.exp(np.minimum(values[:, 2:4], _LARGEST_LOG_SIZE)) * stride_of / 2
    return np.concatenate([centres - halves, centres + halves], 1), values[:, 4] * values[:, 5]


def count_cells(size: tuple[int, int]) -> int:
    """How many cells the three grids of YOLOX have for an input of that width and height."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in _STRIDES)


def pick_people(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Choose whom to keep: likely enough, and one box for each person.

    Greedy non-maximum suppression: the likeliest box first, then each that overlaps none of the
    kept ones by more than ``overlap``.

    Parameters
    ----------
    boxes : float, shape (P, 4)
        x0 y0 x1 y1.
    scores : float, shape (P,)
        0 to 1. Those below 0.05, and boxes without an area, are nobody.
    overlap : float
        Intersection over union, 0 to 1; at 1 all are kept.

    Returns
    -------
    int, shape (n,)
        Which of them, the likeliest first.
    """
    corners, sizes = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    usable = (scores >= LOWEST_SCORE) & np.isfinite(boxes).all(1) & (sizes > 0).all(1)
    waiting = np.flatnonzero(usable)
    waiting = waiting[np.argsort(-scores[waiting], kind="stable")]
    areas = sizes.prod(1)
    kept = []
    while len(waiting):
        first, waiting = waiting[0], waiting[1:]
        kept.append(first)
        shared = np.minimum(boxes[first, 2:], boxes[waiting, 2:])
        shared = (shared - np.maximum(corners[first], corners[waiting])).clip(0).prod(1)
        waiting = waiting[shared <= overlap * (areas[first] + areas[waiting] - shared)]
    return np.array(kept, np.intp)
