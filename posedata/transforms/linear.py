"""Linear maps of points, and turns: what rotating, shearing, scaling and views are made of."""

from __future__ import annotations

import math

import numpy as np


def map_points(
    keypoints: np.ndarray, matrix: np.ndarray, origin: np.ndarray | None = None
) -> np.ndarray:
    """Apply a linear map around a point: ``origin + matrix (p - origin)``.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    matrix : float64, shape (C, C)
        For column vectors.
    origin : float64, shape (C,), optional
        What stays in its place; by default 0.

    Returns
    -------
    float32, shape (M, T, V, C)
        A joint with any coordinate missing is missing.
    """
    # as one product of two matrices, which is three times as fast as one for each step
    points = keypoints.reshape(-1, len(matrix)) @ matrix.T.astype(np.float32)
    if origin is not None:
        points += (origin - matrix @ origin).astype(np.float32)
    return points.reshape(keypoints.shape)


def turn_about_axes(x: float, y: float, z: float) -> np.ndarray:
    """Give the matrix Rz Ry Rx of turns about the three axes, one after the other.

    Parameters
    ----------
    x, y, z : float
        Angles in degrees, right-handed: positive turns about z take x to y.

    Returns
    -------
    float64, shape (3, 3)
    """
    sx, sy, sz = (math.sin(math.radians(angle)) for angle in (x, y, z))
    cx, cy, cz = (math.cos(math.radians(angle)) for angle in (x, y, z))
    return np.array([
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ])  # fmt: skip


def turn_onto(direction: np.ndarray, axis: int) -> np.ndarray:
    """Give the smallest turn that takes a direction onto a coordinate axis.

    Rodrigues' formula, R = I + [n] + [n]^2 / (1 + cos), with n = direction x axis.

    Parameters
    ----------
    direction : float64, shape (3,)
        Of any length. Shorter than 1e-6 there is nothing to turn: the identity.
    axis : {0, 1, 2}
        x, y or z.

    Returns
    -------
    float64, shape (3, 3)
        Of a direction against the axis, a half turn (about y, or about x for the y axis).
    """
    a, b, c = (float(part) for part in direction)
    length = math.sqrt(a * a + b * b + c * c)
    turn = np.eye(3)
    if not length > 1e-6:
        return turn
    unit = [a / length, b / length, c / length]
    cosine = unit[axis]
    if cosine < -1 + 1e-12:
        about = 0 if axis == 1 else 1
        for i in range(3):
            turn[i, i] = 1.0 if i == about else -1.0
        return turn
    onto = [0.0, 0.0, 0.0]
    onto[axis] = 1.0
    n = (unit[1] * onto[2] - unit[2] * onto[1],
         unit[2] * onto[0] - unit[0] * onto[2],
         unit[0] * onto[1] - unit[1] * onto[0])  # fmt: skip
    # 1 + cos, without the digits that it loses where the direction is against the axis
    square = n[0] * n[0] + n[1] * n[1] + n[2] * n[2]
    k = 1 / (1 + cosine) if cosine > 0 else (1 - cosine) / square
    return np.array([
        [cosine + k * n[0] * n[0], k * n[0] * n[1] - n[2], k * n[0] * n[2] + n[1]],
        [k * n[0] * n[1] + n[2], cosine + k * n[1] * n[1], k * n[1] * n[2] - n[0]],
        [k * n[0] * n[2] - n[1], k * n[1] * n[2] + n[0], cosine + k * n[2] * n[2]],
    ])  # fmt: skip
