"""The soft-argmax: coordinates out of maps without a hard choice, and maps out of coordinates.

The expectation of the pixel's position under the softmax of a map, for pose heads that predict maps
and are trained on coordinates: Sun et al., "Integral Human Pose Regression", ECCV 2018; Luvizon,
Tabia and Picard, "Human Pose Regression by Combining Indirect Part Detection and Contextual
Information", Computers and Graphics 2019. `posedata.torch.soft_argmax` has the same with gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posedata.errors import UsageError
from posedata.heatmaps import check_sigma


def soft_argmax(maps: np.ndarray, beta: float = 1.0, dims: int = 2) -> np.ndarray:
    """Take the expected position under each map: ``sum_p p softmax(beta h)(p)``.

    Parameters
    ----------
    maps : float, shape (..., H, W) or (..., D, H, W)
        h, of any sign and height.
    beta : float
        The inverse temperature. 0 gives the middle of the map; the larger, the nearer to the
        argmax.
    dims : {2, 3}
        How many of the last axes are the map's.

    Returns
    -------
    float, shape (..., dims)
        x, y and, with ``dims=3``, z, in pixels; 0 is the centre of the first. float32 for maps of
        float16 and of integers, else of their type. NaN where a map holds NaN or plus infinity.

    Raises
    ------
    UsageError
        If beta is not a finite number from 0 on, or the maps lack an axis or a pixel.
    """
    maps = np.asarray(maps)
    check_maps(maps.shape, beta, dims)
    maps = maps.astype(np.result_type(maps.dtype, np.float32), copy=False)
    axes = tuple(range(-dims, 0))
    # the largest is taken off, so that no exponential overflows
    with np.errstate(invalid="ignore"):
        weights = np.exp(maps.dtype.type(beta) * (maps - maps.max(axes, keepdims=True)))
        weights /= weights.sum(axes, keepdims=True)
    found = []
    for axis in reversed(axes):  # x first
        marginal = weights.sum(tuple(other for other in axes if other != axis))
        found.append(marginal @ np.arange(maps.shape[axis], dtype=maps.dtype))
    return np.stack(found, -1)


def gaussian_logits(
    coordinates: np.ndarray, size: Sequence[int], sigma: float = 1.0, beta: float = 1.0
) -> np.ndarray:
    """Make the maps whose softmax is a Gaussian at each coordinate: the inverse of `soft_argmax`.

    ``h(p) = -|p - x|^2 / (2 sigma^2 beta)``, so that ``softmax(beta h)`` is the Gaussian of sigma
    around x, normalised over the map.

    Parameters
    ----------
    coordinates : float, shape (..., 2) or (..., 3)
        x, y and perhaps z, in pixels.
    size : sequence of int
        H, W or D, H, W.
    sigma : float
        Of the Gaussian, in pixels.
    beta : float
        That of the `soft_argmax` to come.

    Returns
    -------
    float, shape (..., *size)
        NaN where a coordinate is.

    Raises
    ------
    UsageError
        If sigma or beta is not a finite number above 0, or the size does not fit the coordinates.

    Notes
    -----
    `soft_argmax` gives x back up to two errors, each known in closed form and one axis at a time.
    In the middle of a large map, because pixels are a grid (Poisson's summation)::

        E - x = -4 pi sigma^2 sum_k k q^(k^2) sin(2 pi k x) / (1 + 2 sum_k q^(k^2) cos(2 pi k x))
        q = exp(-2 pi^2 sigma^2)

    that is at most 0.0037 pixels for sigma = 0.6 and 4e-8 for sigma = 1. Near a border, because the
    Gaussian is cut: the answer is too far inside, by up to 0.7 sigma for x on the first or last
    pixel's centre, 0.25 sigma one sigma away from it, 0.003 sigma three, 1e-4 sigma four. What lies
    past a border comes back inside.
    """
    coordinates = np.asarray(coordinates)
    check_inverse(coordinates.shape, size, sigma, beta)
    coordinates = coordinates.astype(np.result_type(coordinates.dtype, np.float32), copy=False)
    logits = np.zeros(1, coordinates.dtype)
    for axis, side in enumerate(reversed(size)):  # x first
        squares = (np.arange(side, dtype=coordinates.dtype) - coordinates[..., axis, None]) ** 2
        shape = [1] * len(size)
        shape[-1 - axis] = side
        logits = logits + squares.reshape(*coordinates.shape[:-1], *shape)
    return logits * coordinates.dtype.type(-0.5 / (sigma**2 * beta))


def check_maps(shape: tuple[int, ...], beta: float, dims: int) -> None:
    """Raise `UsageError` unless a soft-argmax can be taken of maps of this shape."""
    check_beta(beta)
    if dims not in (2, 3):
        raise UsageError("maps of so many dimensions", found=dims, expected="2 or 3")
    if len(shape) < dims or 0 in shape[-dims:]:
        axes = "H, W" if dims == 2 else "D, H, W"
        raise UsageError("maps for a soft-argmax", found=f"shape {shape}",
                         expected=f"shape (..., {axes})")  # fmt: skip


def check_inverse(shape: tuple[int, ...], size: Sequence[int], sigma: float, beta: float) -> None:
    """Raise `UsageError` unless maps of this size can be made of coordinates of this shape."""
    check_sigma(sigma)
    check_beta(beta)
    if beta == 0:
        raise UsageError("no map gives a coordinate with beta = 0")
    if len(size) not in (2, 3) or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise UsageError("size of maps", found=repr(size),
                         expected="H, W or D, H, W, whole numbers above 0")  # fmt: skip
    if not shape or shape[-1] != len(size):
        raise UsageError("coordinates of these maps", found=f"shape {shape}",
                         expected=f"shape (..., {len(size)})")  # fmt: skip


def check_beta(beta: float) -> None:
    """Raise `UsageError` unless beta is a finite number from 0 on."""
    if not (isinstance(beta, (int, float, np.floating, np.integer)) and 0 <= beta < np.inf):
        raise UsageError("beta of a soft-argmax", found=repr(beta),
                         expected="a finite number from 0 on")  # fmt: skip
