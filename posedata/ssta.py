"""SST-A: one track out of the tracks that several experts give of the same person.

Yang et al., "Selective Spatio-Temporal Aggregation Based Pose Refinement System: Towards
Understanding Human Activities in Real-World Videos", WACV 2021. With complete proposals these are
its equations; what becomes of missing ones is written in docs/ssta.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError

#: Poses with a smaller C are discarded (eq. 3).
GAMMA = 0.18

#: Experts agree with the winner up to this distance, over the head-neck distance.
AGREEMENT_RADIUS = 0.5

#: Keeps eq. 4 finite where head and neck coincide.
EPSILON = 1e-12

_MOST_EXPERTS = np.iinfo(np.int8).max


@dataclass(frozen=True, eq=False)
class Aggregated:
    """The fused track of one person, over T consecutive frames.

    Attributes
    ----------
    keypoints : float32, shape (T, V, 2)
        Each the proposal of one expert, bit for bit; NaN where no expert has the joint.
    confidence : float32, shape (T,)
        C of eq. 4, 0 to 1; NaN where the fused pose lacks its head or its neck.
    present : float32, shape (T,)
        Share of the E x V proposals that are there. C is a mean over these only.
    winner : int8, shape (T, V)
        Whose proposal the joint is; -1 where it is missing.
    agreed : uint8, shape (T, V)
        Experts, the winner among them, within `AGREEMENT_RADIUS` times the head-neck distance of
        the fused joint; 0 where it is missing, or the head-neck distance.
    """

    keypoints: np.ndarray
    confidence: np.ndarray
    present: np.ndarray
    winner: np.ndarray
    agreed: np.ndarray


def aggregate(proposals: np.ndarray, head: int, neck: int | tuple[int, int]) -> Aggregated:
    """Fuse what several experts say of one person (SST-A, eq. 1, 2 and 4).

    Parameters
    ----------
    proposals : float32, shape (E, T, V, 2)
        Joints by E experts, 2 or more, in the order that breaks ties; pixels. The T frames follow
        each other in the video without a step. A joint is missing where a coordinate is not
        finite; a frame in which no expert sees the person is all NaN.
    head : int
    neck : int or (int, int)
        The joints whose distance is D_normal. Where the joint set has no neck, two joints (the
        shoulders): it is in the middle of the fused ones, and takes no part in the mean of eq. 4.

    Returns
    -------
    Aggregated

    Raises
    ------
    UsageError
        If the array has another shape or dtype, or head and neck are not two of its joints.

    Notes
    -----
    With J^v_t the fused joint v of frame t and P^v_{t,e} the proposal of expert e:

    - Eq. 1, t = 0: J is P of the one of the two closest experts that comes first in their order.
      Of pairs equally close it is the first in the order (0, 1), (0, 2), ..., (1, 2), ...
    - Eq. 2, t > 0: J is the P that is closest to J^v_{t-1}; the first of those equally close.
    - Eq. 4: C = exp(-mean over v and e of D(J^v, P^v_e) / (D_normal + 1e-12)).

    A missing proposal takes no part in any of them. Where J^v_{t-1} is missing, the joint starts
    again by eq. 1. Where there is only one proposal, J is that one.

    Distances are computed in float64. `aggregate_plainly` is the same, to the bit, in plain
    Python.

    Examples
    --------
    >>> proposals = np.float32([[[[0, 0], [0, 8]]], [[[2, 0], [0, 9]]], [[[9, 0], [0, 20]]]])
    >>> fused = aggregate(proposals, head=0, neck=1)
    >>> fused.keypoints.tolist(), fused.winner.tolist(), fused.agreed.tolist()
    ([[[0.0, 0.0], [0.0, 8.0]]], [[0, 0]], [[2, 2]])
    >>> round(float(fused.confidence[0]), 4)  # exp(-(0 + 2 + 9 + 0 + 1 + 12) / 8 / 6)
    0.6065
    """
    left, right = _neck_joints(neck)
    _check(proposals, head, left, right)
    return _aggregated(*_aggregate_track(np.ascontiguousarray(proposals), head, left, right))


def confidence(
    keypoints: np.ndarray, proposals: np.ndarray, head: int, neck: int | tuple[int, int]
) -> np.ndarray:
    """Tell how far the experts agree with any fused track (SST-A, eq. 4).

    Parameters
    ----------
    keypoints : float32, shape (T, V, 2)
        The fused track, however it was made; NaN where missing.
    proposals : float32, shape (E, T, V, 2)
        What the experts say; NaN where missing.
    head : int
    neck : int or (int, int)
        As in `aggregate`.

    Returns
    -------
    float32, shape (T,)
        C; NaN where the track lacks its head or its neck.
    """
    track = keypoints.astype(np.float64)
    left, right = _neck_joints(neck)
    normal = np.linalg.norm(track[:, head] - (track[:, left] + track[:, right]) / 2, axis=-1)
    distances = np.linalg.norm(track - proposals, axis=-1)
    present = np.isfinite(distances)
    total = np.where(present, distances, 0).sum((0, 2)) / (normal + EPSILON)
    return np.exp(-total / np.maximum(present.sum((0, 2)), 1)).astype(np.float32)


def select(aggregated: Aggregated, gamma: float = GAMMA) -> np.ndarray:
    """Tell which poses stay (SST-A, eq. 3): those whose C is not below gamma.

    Parameters
    ----------
    aggregated : Aggregated
        T frames.
    gamma : float
        Threshold, compared in the precision of C.

    Returns
    -------
    bool, shape (T,)
        False in a gap and where C < gamma. A pose without a C (it lacks head or neck) stays:
        nothing says that it is bad, and its C of NaN tells it apart.
    """
    c = aggregated.confidence
    return (aggregated.present > 0) & ~(c < np.asarray(gamma, c.dtype))


def aggregate_plainly(proposals: np.ndarray, head: int, neck: int | tuple[int, int]) -> Aggregated:
    """Do what `aggregate` does, joint by joint in plain Python: the definition to read and test.

    Parameters
    ----------
    proposals : float32, shape (E, T, V, 2)
    head : int
    neck : int or (int, int)

    Returns
    -------
    Aggregated
    """
    left, right = _neck_joints(neck)
    _check(proposals, head, left, right)
    _, num_frames, num_joints, _ = proposals.shape
    keypoints = np.full((num_frames, num_joints, 2), np.nan, np.float32)
    winner = np.full((num_frames, num_joints), -1, np.int8)
    agreed = np.zeros((num_frames, num_joints), np.uint8)
    mean_distance = np.full(num_frames, np.nan)
    present = np.zeros(num_frames, np.int64)

    fused: list[_Point | None] = [None] * num_joints
    for t in range(num_frames):
        said = [_points(proposals[:, t, v]) for v in range(num_joints)]
        for v in range(num_joints):
            e = _closest_to(fused[v], said[v]) if fused[v] else _of_closest_pair(said[v])
            fused[v] = None if e is None else said[v][e]
            if e is not None:
                winner[t, v], keypoints[t, v] = e, said[v][e]
        present[t] = sum(map(len, said))
        if fused[head] and fused[left] and fused[right]:
            normal = _distance(fused[head], _middle(fused[left], fused[right]))
            total = 0.0
            for v in range(num_joints):
                for point in said[v].values():
                    distance = _distance(fused[v], point)
                    total += distance / (normal + EPSILON)
                    agreed[t, v] += distance <= AGREEMENT_RADIUS * normal
            mean_distance[t] = total / present[t]
    return _aggregated(keypoints, winner, agreed, mean_distance, present / len(proposals))


_Point = tuple[float, float]


def _points(proposals: np.ndarray) -> dict[int, _Point]:
    """Proposals of one joint that are there, by expert."""
    pairs = ((e, (float(x), float(y))) for e, (x, y) in enumerate(proposals))
    return {e: point for e, point in pairs if math.isfinite(point[0]) and math.isfinite(point[1])}


def _of_closest_pair(points: dict[int, _Point]) -> int | None:
    """Eq. 1: the first expert of the closest pair; the only one; or none."""
    experts = list(points)
    pairs = [(a, b) for i, a in enumerate(experts) for b in experts[i + 1 :]]
    if not pairs:
        return experts[0] if experts else None
    return min(pairs, key=lambda pair: _distance(points[pair[0]], points[pair[1]]))[0]


def _closest_to(previous: _Point | None, points: dict[int, _Point]) -> int | None:
    """Eq. 2: the expert closest to the fused joint of the frame before, or none."""
    return min(points, key=lambda e: _distance(points[e], previous), default=None)


def _middle(a: _Point | None, b: _Point | None) -> _Point:
    assert a is not None and b is not None
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _distance(a: _Point | None, b: _Point | None) -> float:
    assert a is not None and b is not None
    x, y = a[0] - b[0], a[1] - b[1]
    return math.sqrt(x * x + y * y)


@kernel
def _aggregate_track(proposals, head, left, right):
    num_experts, num_frames, num_joints, _ = proposals.shape
    keypoints = np.full((num_frames, num_joints, 2), np.nan, np.float32)
    winner = np.full((num_frames, num_joints), -1, np.int8)
    agreed = np.zeros((num_frames, num_joints), np.uint8)
    mean_distance = np.full(num_frames, np.nan)
    present = np.zeros(num_frames)
    x = np.empty(num_experts)
    y = np.empty(num_experts)
    for t in range(num_frames):
        count = 0
        for v in range(num_joints):
            won = -1
            least = np.inf
            begins = t == 0 or winner[t - 1, v] < 0
            for e in range(num_experts):
                x[e], y[e] = proposals[e, t, v, 0], proposals[e, t, v, 1]
                if not (math.isfinite(x[e]) and math.isfinite(y[e])):
                    x[e] = np.nan
                    continue
                count += 1
                if begins:
                    if won < 0:
                        won = e
                    continue
                dx, dy = x[e] - keypoints[t - 1, v, 0], y[e] - keypoints[t - 1, v, 1]
                distance = math.sqrt(dx * dx + dy * dy)
                if distance < least:
                    won, least = e, distance
            if begins:
                for a in range(num_experts):
                    for b in range(a + 1, num_experts):
                        dx, dy = x[a] - x[b], y[a] - y[b]
                        distance = math.sqrt(dx * dx + dy * dy)
                        if distance < least:  # never where it is NaN
                            won, least = a, distance
            if won >= 0:
                winner[t, v] = won
                keypoints[t, v, 0], keypoints[t, v, 1] = x[won], y[won]
        present[t] = count / num_experts
        if winner[t, head] < 0 or winner[t, left] < 0 or winner[t, right] < 0:
            continue
        neck_x = (np.float64(keypoints[t, left, 0]) + keypoints[t, right, 0]) / 2
        neck_y = (np.float64(keypoints[t, left, 1]) + keypoints[t, right, 1]) / 2
        dx = keypoints[t, head, 0] - neck_x
        dy = keypoints[t, head, 1] - neck_y
        normal = math.sqrt(dx * dx + dy * dy)
        total = 0.0
        for v in range(num_joints):
            for e in range(num_experts):
                px, py = proposals[e, t, v, 0], proposals[e, t, v, 1]
                if math.isfinite(px) and math.isfinite(py):
                    dx = np.float64(keypoints[t, v, 0]) - px
                    dy = np.float64(keypoints[t, v, 1]) - py
                    distance = math.sqrt(dx * dx + dy * dy)
                    total += distance / (normal + EPSILON)
                    agreed[t, v] += distance <= AGREEMENT_RADIUS * normal
        mean_distance[t] = total / count
    return keypoints, winner, agreed, mean_distance, present


def _aggregated(
    keypoints: np.ndarray,
    winner: np.ndarray,
    agreed: np.ndarray,
    mean_distance: np.ndarray,
    present_joints: np.ndarray,
) -> Aggregated:
    """Put together what both ways computed, so that they share one exponential function."""
    return Aggregated(
        keypoints=keypoints,
        confidence=np.exp(-mean_distance).astype(np.float32),
        present=(present_joints / keypoints.shape[1]).astype(np.float32),
        winner=winner,
        agreed=agreed,
    )


def _neck_joints(neck: int | tuple[int, int]) -> tuple[int, int]:
    return neck if isinstance(neck, tuple) else (neck, neck)


def _check(proposals: np.ndarray, head: int, left: int, right: int) -> None:
    if proposals.dtype != np.float32 or proposals.ndim != 4 or proposals.shape[3] != 2:
        raise UsageError(
            "SST-A: proposals", found=f"{proposals.dtype} {proposals.shape}",
            expected="float32 (E, T, V, 2)",
        )  # fmt: skip
    num_experts, _, num_joints, _ = proposals.shape
    if not 2 <= num_experts <= _MOST_EXPERTS:
        raise UsageError("SST-A: experts", found=num_experts, expected=f"2 to {_MOST_EXPERTS}",
                         remedy="One expert alone has nothing to be fused with.")  # fmt: skip
    if head in (left, right) or not all(0 <= v < num_joints for v in (head, left, right)):
        neck = left if left == right else (left, right)
        raise UsageError("SST-A: head and neck", found=f"{head}, {neck}",
                         expected=f"two of the {num_joints} joints")  # fmt: skip
