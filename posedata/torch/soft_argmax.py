"""The soft-argmax and its inverse for tensors, with gradients: see `posedata.soft_argmax`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from posedata.soft_argmax import check_inverse, check_maps


def soft_argmax(maps: torch.Tensor, beta: float = 1.0, dims: int = 2) -> torch.Tensor:
    """Take the expected position under each map: ``E = sum_p p softmax(beta h)(p)``.

    The gradient is ``dE/dh(p) = beta softmax(beta h)(p) (p - E)``.

    Parameters
    ----------
    maps : float, shape (..., H, W) or (..., D, H, W)
        h.
    beta : float
        The inverse temperature.
    dims : {2, 3}
        How many of the last axes are the map's.

    Returns
    -------
    float32 or float64, shape (..., dims)
        x, y and, with ``dims=3``, z, in pixels. Half precision is worked on in float32: positions
        past 256 need more digits than it has.

    Raises
    ------
    UsageError
        As `posedata.soft_argmax.soft_argmax`.
    """
    check_maps(tuple(maps.shape), beta, dims)
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    weights = torch.softmax(beta * maps.flatten(-dims), -1).unflatten(-1, maps.shape[-dims:])
    axes = range(-dims, 0)
    found = []
    for axis in reversed(axes):  # x first
        marginal = weights.sum([other for other in axes if other != axis])
        pixels = torch.arange(maps.shape[axis], dtype=maps.dtype, device=maps.device)
        found.append((marginal * pixels).sum(-1))
    return torch.stack(found, -1)


def gaussian_logits(
    coordinates: torch.Tensor, size: Sequence[int], sigma: float = 1.0, beta: float = 1.0
) -> torch.Tensor:
    """Make the maps whose softmax is a Gaussian at each coordinate: the inverse of `soft_argmax`.

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
    float32 or float64, shape (..., *size)
        ``-|p - x|^2 / (2 sigma^2 beta)``. How near `soft_argmax` comes back to x, above all at
        borders: `posedata.soft_argmax.gaussian_logits`.

    Raises
    ------
    UsageError
        As `posedata.soft_argmax.gaussian_logits`.
    """
    check_inverse(tuple(coordinates.shape), size, sigma, beta)
    x = coordinates.to(torch.promote_types(coordinates.dtype, torch.float32))
    logits = torch.zeros(1, dtype=x.dtype, device=x.device)
    for axis, side in enumerate(reversed(size)):  # x first
        squares = (torch.arange(side, dtype=x.dtype, device=x.device) - x[..., axis, None]) ** 2
        shape = [1] * len(size)
        shape[-1 - axis] = side
        logits = logits + squares.reshape(*x.shape[:-1], *shape)
    return logits * (-0.5 / (sigma**2 * beta))
