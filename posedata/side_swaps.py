"""Left-right swaps: in which frames an expert named a person's sides the wrong way round.

Estimators do so for some frames at a time, mostly with people who are seen from the side or from
behind, or who are half hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posedata.compiled import part_of_kernel
from posedata.errors import UsageError
from posedata.expert_spread import LEAST_DISTANCE

#: Poses are exchanged where that is exp(3), 20 times, as likely, were distances Cauchy distributed.
LEAST_GAIN = 3.0


def swapped_poses(
    proposals: np.ndarray, track: np.ndarray, scale: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Tell whose poses fit a track better with their sides exchanged.

    With d the distance of a proposal from the joint, and d' that of its pair's other proposal, a
    pose does if the sum of log(1 + d**2 / c**2) - log(1 + d'**2 / c**2) over the joints of its
    complete pairs is above `LEAST_GAIN`. Where more than half of the experts would be exchanged in
    a frame, none is: then the track is in doubt.

    Parameters
    ----------
    proposals : float64, shape (E, T, V, 2)
        Pixels; NaN where missing.
    track : float64, shape (T, V, 2)
        Where the joints are by all experts together.
    scale : float64, shape (V,)
        c, pixels.
    pairs : int, shape (P, 2)
        Joints that change places.

    Returns
    -------
    bool, shape (E, T)
    """
    present = np.isfinite(proposals).all(axis=-1)
    gain, experts = np.zeros(present.shape[:2]), np.zeros(present.shape[:2], bool)
    c = np.maximum(scale, LEAST_DISTANCE)
    for left, right in pairs:
        both = present[:, :, left] & present[:, :, right]
        experts |= both
        for joint, other in ((left, right), (right, left)):
            squares = [
                ((proposals[:, :, of] - track[:, joint]) ** 2).sum(axis=-1) for of in (joint, other)
            ]
            kept, exchanged = (np.log1p(square / c[joint] ** 2) for square in squares)
            gain += np.where(both, kept - exchanged, 0)
    swapped: np.ndarray = gain > LEAST_GAIN
    return swapped & (2 * swapped.sum(axis=0) <= experts.sum(axis=0))


def with_exchanged(
    values: np.ndarray, present: np.ndarray, exchanged: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Exchange the complete pairs of some poses.

    Parameters
    ----------
    values : shape (E, T, V, ...)
        Is left as it is.
    present : bool, shape (E, T, V)
        What is there.
    exchanged : bool, shape (E, T)
        In which poses.
    pairs : int, shape (P, 2)
        Joints that change places.

    Returns
    -------
    shape (E, T, V, ...)
    """
    result = values.copy()
    for a, b in pairs:
        here = exchanged & present[:, :, a] & present[:, :, b]
        result[here, a], result[here, b] = values[here, b], values[here, a]
    return result


@part_of_kernel
def exchange_sides(
    p: np.ndarray, s: np.ndarray, present: np.ndarray, x: np.ndarray, scale: np.ndarray,
    pairs: np.ndarray, exchanged: np.ndarray,
) -> bool:  # fmt: skip
    """`swapped_poses`, compiled, of arrays (V, E, T): exchange complete pairs in ``p`` and ``s``.

    ``exchanged`` (E, T) tells where, and the result whether there are any.
    """
    num_experts, num_frames = exchanged.shape
    found = False
    for t in range(num_frames):
        experts = many = 0
        for e in range(num_experts):
            gain = 1.0  # a product, of which one logarithm is taken
            has_pair = False
            for number in range(len(pairs)):
                a, b = pairs[number]
                if present[a, e, t] and present[b, e, t]:
                    has_pair = True
                    per_a = 1 / max(scale[a], LEAST_DISTANCE) ** 2
                    per_b = 1 / max(scale[b], LEAST_DISTANCE) ** 2
                    gain *= 1 + _square(p[a, e, t], x[a, t]) * per_a
                    gain *= 1 + _square(p[b, e, t], x[b, t]) * per_b
                    gain /= 1 + _square(p[b, e, t], x[a, t]) * per_a
                    gain /= 1 + _square(p[a, e, t], x[b, t]) * per_b
            experts += has_pair
            exchanged[e, t] = np.log(gain) > LEAST_GAIN
            many += exchanged[e, t]
        for e in range(num_experts):
            exchanged[e, t] &= 2 * many <= experts
            if exchanged[e, t]:
                found = True
                for number in range(len(pairs)):
                    a, b = pairs[number]
                    if present[a, e, t] and present[b, e, t]:
                        for axis in range(2):
                            p[a, e, t, axis], p[b, e, t, axis] = p[b, e, t, axis], p[a, e, t, axis]
                        s[a, e, t], s[b, e, t] = s[b, e, t], s[a, e, t]
    return found


def checked_pairs(swap: Sequence[Sequence[int]], num_joints: int) -> np.ndarray:
    """Give pairs of joints as an array (P, 2); `UsageError` where they are none."""
    pairs = np.array([list(pair) for pair in swap], np.int64).reshape(-1, 2)
    inside = not pairs.size or (pairs.min() >= 0 and pairs.max() < num_joints)
    if not inside or len(np.unique(pairs)) != pairs.size:
        raise UsageError("swap", found=pairs.tolist(), expected=f"pairs of joints from 0 to "
                         f"{num_joints - 1}, each joint in one of them")  # fmt: skip
    return pairs


@part_of_kernel
def _square(a: np.ndarray, b: np.ndarray) -> float:
    d0, d1 = a[0] - b[0], a[1] - b[1]
    return d0 * d0 + d1 * d1
