"""How far experts usually are from a track, and which of them are farther than others."""

from __future__ import annotations

import numpy as np

from posedata.compiled import part_of_kernel

#: Pixels below which distances make no difference.
LEAST_DISTANCE = 1e-3

#: Median distance over the standard deviation per axis, of a normal distribution in two dimensions.
RAYLEIGH_MEDIAN = 1.1774100225154747

#: An expert counts at most 3 times as much as the middle one, and at least 1 / 3.
MOST_RELATIVE_SPREAD = 3.0
# Frames that have to be seen until an expert's spread is half believed.
_FRAMES_OF_PRIOR = 10.0


def relative_spread(spread: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell how much worse each expert is than the others: half by joint, half over all joints.

    Parameters
    ----------
    spread : float64, shape (E, V)
        How far each expert usually is from the track, pixels.
    frames : int, shape (E, V)
        In how many frames the expert has the joint.

    Returns
    -------
    k : float64, shape (E, V)
        Spread over that of the middle expert, drawn towards 1 where few frames were seen.
    usual : float64, shape (V,)
        The middle expert's spread, pixels.
    """
    num_experts, num_joints = spread.shape
    usual = np.zeros(num_joints)
    log_ratio = np.zeros(spread.shape)
    for v in range(num_joints):
        seen = frames[:, v] > 0
        if seen.any():
            usual[v] = max(np.sqrt(np.median(spread[seen, v] ** 2)), LEAST_DISTANCE)
            log_ratio[seen, v] = np.log(np.maximum(spread[seen, v], LEAST_DISTANCE) / usual[v])
    for e in range(num_experts):
        seen = frames[e] > 0
        overall = np.median(log_ratio[e, seen]) if seen.any() else 0.0
        belief = frames[e] / (frames[e] + _FRAMES_OF_PRIOR)
        log_ratio[e] = np.where(seen, belief * (0.5 * log_ratio[e] + 0.5 * overall), 0.0)
    most = np.log(MOST_RELATIVE_SPREAD)
    return np.exp(np.clip(log_ratio, -most, most)), usual


@part_of_kernel
def relate_spreads(
    spread: np.ndarray, frames: np.ndarray, k: np.ndarray, usual: np.ndarray
) -> None:
    """`relative_spread`, compiled, into ``k`` and ``usual``."""
    num_experts, num_joints = spread.shape
    buffer = np.empty(max(num_experts, num_joints))
    for v in range(num_joints):
        seen = frames[:, v] > 0
        usual[v] = max(median_of(spread[:, v] ** 2, seen, buffer) ** 0.5, LEAST_DISTANCE)
        for e in range(num_experts):
            k[e, v] = np.log(max(spread[e, v], LEAST_DISTANCE) / usual[v]) if seen[e] else 0.0
    most = np.log(MOST_RELATIVE_SPREAD)
    for e in range(num_experts):
        seen = frames[e] > 0
        overall = median_of(k[e], seen, buffer)
        for v in range(num_joints):
            if seen[v]:
                belief = frames[e, v] / (frames[e, v] + _FRAMES_OF_PRIOR)
                k[e, v] = belief * (0.5 * k[e, v] + 0.5 * overall)
            k[e, v] = np.exp(min(max(k[e, v], -most), most))


def median_over_frames(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Median of what is present.

    Parameters
    ----------
    values, present : shape (E, T, V)

    Returns
    -------
    float64, shape (E, V)
        0 where nothing is present.
    """
    num_experts, _, num_joints = values.shape
    result = np.zeros((num_experts, num_joints))
    for e in range(num_experts):
        for v in range(num_joints):
            if present[e, :, v].any():
                result[e, v] = np.median(values[e, present[e, :, v], v])
    return result


@part_of_kernel
def median_of(values: np.ndarray, present: np.ndarray, buffer: np.ndarray) -> float:
    """Median of what is present, 0 where nothing is; ``buffer`` is room to work in."""
    count = 0
    for t in range(len(values)):
        if present[t]:
            buffer[count] = values[t]
            count += 1
    return np.median(buffer[:count]) if count else 0.0
