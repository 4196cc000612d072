"""Which way a layer's axes point: signs and orders of x, y, z, and which of them fit another's.

Sources give 3D poses in axes of their own (Kinect: y up; MediaPipe: y down), and no file says
which. An error between two such layers is a number without a meaning.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from posedata.errors import UsageError
from posedata.metrics_3d import LEAST_JOINTS

_NAMES = "xyz"

#: Poses that must be comparable for a verdict.
LEAST_POSES = 10

#: Of the sampled poses, how many must fit better in other axes; to what share of 1 - cosine that
#: must bring the misfit down; and how well poses must fit then (cosine). By shares, since an
#: inverted depth of people who face the camera changes little of the whole pose.
LEAST_SHARE, MOST_MISFIT, LEAST_FIT = 0.75, 0.7, 0.8


def parse_axes(text: str) -> np.ndarray:
    """Understand axes such as ``x,-y,-z``.

    Parameters
    ----------
    text : str
        From which of a layer's own axes, and with which sign, x, y and z are taken.

    Returns
    -------
    float64, shape (3, 3)
        To be multiplied with a column (x, y, z).

    Examples
    --------
    >>> parse_axes("x,-z,y") @ [1, 2, 3]
    array([ 1., -3.,  2.])
    """
    out = np.zeros((3, 3))
    parts = [part.strip() for part in text.split(",")]
    letters = [part.removeprefix("-") for part in parts]
    if sorted(letters) != list(_NAMES):
        raise UsageError("axes", found=repr(text), expected="x, y and z once each, as x,-y,-z")
    for row, (part, letter) in enumerate(zip(parts, letters, strict=True)):
        out[row, _NAMES.index(letter)] = -1 if part.startswith("-") else 1
    return out


def turned(keypoints: np.ndarray, axes: str) -> np.ndarray:
    """Give poses in other axes.

    Parameters
    ----------
    keypoints : float, shape (N, V, 3)
        NaN where a joint is missing.
    axes : str
        See `parse_axes`.

    Returns
    -------
    array of the same shape and dtype
    """
    matrix = parse_axes(axes)
    order = np.abs(matrix).argmax(1)
    return keypoints[..., order] * matrix.sum(1).astype(keypoints.dtype)


#: All 48 ways to name three axes; the first is ``x,y,z``.
ALL_AXES = tuple(
    ",".join(sign + letter for sign, letter in zip(signs, letters, strict=True))
    for letters in permutations(_NAMES)
    for signs in product(("", "-"), repeat=3)
)


def fit_of_axes(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Tell how well each pose fits its true one in each of `ALL_AXES`.

    Parameters
    ----------
    predicted, true : float, shape (N, V, 3)
        Poses; each is centred on the joints that both have.

    Returns
    -------
    float64, shape (N, 48)
        Cosine between the two poses as vectors, 1 where they differ by size and place only; NaN
        where fewer than `LEAST_JOINTS` joints can be compared.
    """
    both = (np.isfinite(predicted) & np.isfinite(true)).all(-1)[..., None]
    counts = both.sum(1, keepdims=True)
    centred = []
    for poses in (predicted, true):
        known = np.where(both, poses, 0).astype(np.float64)
        centred.append(np.where(both, known - known.sum(1, keepdims=True) / counts.clip(1), 0))
    products = np.einsum("nvi,nvj->nij", centred[1], centred[0])
    matrices = np.array([parse_axes(axes) for axes in ALL_AXES])
    sizes = np.sqrt((centred[0] ** 2).sum((1, 2)) * (centred[1] ** 2).sum((1, 2)))
    usable = (counts[:, 0, 0] >= LEAST_JOINTS) & (sizes > 0)
    fits = np.einsum("nij,kij->nk", products, matrices)
    return np.where(usable[:, None], fits / np.where(usable, sizes, 1)[:, None], np.nan)


def other_axes(fits: np.ndarray) -> tuple[str, float] | None:
    """Say in which axes poses fit clearly better than as they are.

    Parameters
    ----------
    fits : float64, shape (N, 48)
        From `fit_of_axes`, of a sample of poses.

    Returns
    -------
    (axes, share), optional
        One of `ALL_AXES`, and the share of poses that fit better in them. None where nothing of
        the kind is clear: poses that are merely bad are of no axes.
    """
    known = fits[np.isfinite(fits[:, 0])]
    if len(known) < LEAST_POSES:
        return None
    means = known.mean(0)
    best = int(means.argmax())
    if best == 0:
        return None
    share = float((known[:, best] > known[:, 0]).mean())
    less = 1 - means[best] <= MOST_MISFIT * (1 - means[0])
    if share < LEAST_SHARE or not less or means[best] < LEAST_FIT:
        return None
    return ALL_AXES[best], share


def is_mirrored(axes: str) -> bool:
    """Whether axes are a mirror image of x, y, z, which no turn undoes."""
    return bool(np.linalg.det(parse_axes(axes)) < 0)
