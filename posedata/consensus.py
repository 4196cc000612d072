"""Consensus: several experts' proposals fused over the whole track, backward and forward in time.

The fused track x of a joint minimises, over the frames t of a run without gaps,

    sum over e, t of s(e,t) / k(e) * rho(|p(e,t) - x(t)|)
        + lambda * sum over t of rho_a(|x(t-1) - 2 x(t) + x(t+1)|)

with the proposals p of experts e, their scores s relative to what is usual for the expert, their
spread k relative to the other experts', and Cauchy's rho, which bounds the pull of an outlier.
(Independent errors would ask for k**2. Those of experts are not: they share habits and pictures.)
The second sum is Whittaker's smoother ("On a new method of graduation", 1923), here with a robust
penalty, since limbs move smoothly but for a few abrupt starts and stops. The minimum is found by
iteratively reweighted least squares (Holland and Welsch, 1977) that starts stiff and tolerant and
ends supple and strict, so that a burst of outliers is passed over before it can bend the track.

Where most experts agree with each other in a frame, their distance from the track is no reason to
doubt them: the track, which lags behind fast motion, is to follow. Where an expert is far from the
track in most joints of a frame, all of that pose counts less, agreed or not: whole poses leap when
a detector takes another person, or a thing, for this one, and bodies do not.

All scales are measured on the track itself; nothing is learnt elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.errors import UsageError
from posedata.expert_middle import experts_middle, find_middle
from posedata.expert_spread import (
    LEAST_DISTANCE,
    RAYLEIGH_MEDIAN,
    median_of,
    median_over_frames,
    relate_spreads,
    relative_spread,
)
from posedata.side_swaps import checked_pairs, exchange_sides, swapped_poses, with_exchanged
from posedata.whittaker import smooth_into, whittaker

#: lambda: an oscillation of wavelength 2 pi lambda**(1/4), here 11 frames, is halved. 2.7 Hz at 30
#: frames a second: above it there is little of human motion, and much of the experts' jitter.
STIFFNESS = 10.0
STIFFNESS_AT_FIRST = 1000.0  # wavelength 35 frames, longer than most bursts of outliers
#: Less of both where a joint moves fast and experts are precise: at most this share of their
#: squared spread over the squared acceleration. (1 would be right for one expert whose errors are
#: all noise; there are several, and most of their error is bias, which smoothing does not help.)
NOISE_SHARE = 0.1
_LEAST_STIFFNESS = 0.01

#: Distance, in spreads, at which a proposal counts half.
TOLERANCE = 3.0
TOLERANCE_AT_FIRST = 8.0

ROUNDS = 10
_LAST_STIFF_ROUND = 6  # from here on stiffness and tolerance are final
_LAST_QUADRATIC_ROUND = 6  # after it abrupt accelerations are let through
#: Before it, sides are exchanged where need be; if any are, all begins anew.
EXCHANGE_ROUND = 4

_LEAST_SCORE = 0.05  # of the usual one: a proposal without any confidence still is one
_LEAST_WEIGHT = 1e-6


class Fused(NamedTuple):
    """One track, fused by `consensus`.

    Parameters
    ----------
    keypoints : float32, shape (T, V, 2)
        Pixels; NaN exactly where no expert has a proposal.
    scores : float32, shape (T, V)
        Share of the experts' weight that stands behind the point, 0 to 1: less where experts are
        missing, uncertain, or far away. 0 where missing.
    weights : float32, shape (E, V)
        Share of each expert in the joint over the track; sums to 1 over experts, or is 0 where a
        joint is always missing.
    spread : float32, shape (E, V)
        How far each expert usually is from the fused track: the standard deviation per axis, in
        pixels, of a normal distribution with the same median distance. NaN without proposals.
    exchanged : bool, shape (E, T)
        Whose sides were exchanged, as that fits the other experts and frames far better.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    spread: np.ndarray
    exchanged: np.ndarray


def consensus(
    proposals: np.ndarray, scores: np.ndarray | None = None, swap: Sequence[Sequence[int]] = ()
) -> Fused:
    """Fuse the proposals that experts make for one person.

    Parameters
    ----------
    proposals : float, shape (E, T, V, 2)
        Pixels, of consecutive frames of a video; NaN where missing. A joint that no expert has
        in a frame is a gap: it stays missing, and what is before it does not touch what follows.
    scores : float, shape (E, T, V), optional
        Confidence, 0 to 1, in each expert's own scale: only ratios to the median over the
        expert's track matter. By default all are 1.
    swap : sequence of (int, int)
        Pairs of joints (left, right), as `posedata.skeleton.Skeleton.swap`: where an expert took
        the person's left for the right, they are exchanged; see `posedata.side_swaps`.

    Returns
    -------
    Fused

    Raises
    ------
    UsageError
        If shapes or pairs do not fit, or there is no expert.

    Examples
    --------
    >>> proposals = np.full((3, 5, 1, 2), 100.0)
    >>> proposals[2, 2] = 300.0                     # one expert errs in one frame
    >>> bool(abs(consensus(proposals).keypoints - 100).max() < 0.01)
    True
    """
    p, s = _checked(proposals, scores)
    pairs = checked_pairs(swap, p.shape[2])
    present = np.isfinite(p).all(axis=-1)
    joints_first = (np.moveaxis(values, 2, 0).copy() for values in (p, s, present))
    x, support, share, spread, exchanged = _fuse(*joints_first, pairs)
    return _single(np.swapaxes(x, 0, 1), support.T, share, spread, exchanged)


def define_consensus(
    proposals: np.ndarray, scores: np.ndarray | None = None, swap: Sequence[Sequence[int]] = ()
) -> Fused:
    """Fuse as `consensus` does, by its definition: slow, and for comparison.

    Parameters
    ----------
    proposals, scores, swap : as for `consensus`

    Returns
    -------
    Fused
    """
    p, s = _checked(proposals, scores)
    pairs = checked_pairs(swap, p.shape[2])
    present = np.isfinite(p).all(axis=-1)
    exchanged = np.zeros(present.shape[:2], bool)
    anyone = present.any(axis=0)
    frames = present.sum(axis=1)  # (E, V)
    p = np.where(present[..., None], p, 0.0)
    s = _relative_scores(s, present)
    x, own, middle = experts_middle(p, s, present)
    a = np.ones(x.shape[:2])  # weight of each acceleration
    n = 0
    while n < ROUNDS:
        tolerance, stiffness = _schedule(n)
        squares = ((p - x) ** 2).sum(axis=-1)
        spread = np.sqrt(median_over_frames(squares, present)) / RAYLEIGH_MEDIAN
        k, usual = relative_spread(spread, frames)
        if n == EXCHANGE_ROUND and len(pairs) and not exchanged.any():
            known = np.where(present[..., None], p, np.nan)
            exchanged = swapped_poses(known, x, TOLERANCE * usual, pairs)
            if exchanged.any():
                p, s = (with_exchanged(values, present, exchanged, pairs) for values in (p, s))
                x, own, middle = experts_middle(p, s, present)
                n = 0
                continue
        c = tolerance * np.maximum(k * usual, LEAST_DISTANCE)
        trust = present / (1 + squares / c[:, None] ** 2)
        pose = trust.sum(axis=2) / np.maximum(present.sum(axis=2), 1)  # in an expert's frame
        q = 1 / (1 + middle / np.maximum(usual, LEAST_DISTANCE) ** 2)
        squares = q * own + (1 - q) * squares
        rho = present / (1 + squares / c[:, None] ** 2)  # Cauchy's weight
        w = s * rho * pose[..., None] ** 2 / k[:, None]
        total = w.sum(axis=0)
        y = (w[..., None] * p).sum(axis=0) / np.maximum(total, _LEAST_WEIGHT**2)[..., None]
        full = (1 / k).sum(axis=0)
        support = total / full
        for v, first, end in _runs(anyone):
            penalty = stiffness
            if n and end - first > 2:
                turns = (np.diff(x[first:end, v], 2, axis=0) ** 2).sum(axis=-1)
                usual_turn = max(turns.mean(), LEAST_DISTANCE**2)
                penalty = _suppler(stiffness, usual[v], usual_turn)
                if n > _LAST_QUADRATIC_ROUND:
                    a[first : end - 2, v] = 1 / (1 + turns / usual_turn)
                    a[first : end - 2, v] /= a[first : end - 2, v].max()
            x[first:end, v] = whittaker(
                y[first:end, v],
                np.maximum(support[first:end, v], _LEAST_WEIGHT),
                penalty * a[first:end, v],
            )
        n += 1
    share = w.sum(axis=1)
    share /= np.where(share.sum(axis=0) > 0, share.sum(axis=0), 1)
    x[~anyone] = np.nan
    spread[frames == 0] = np.nan
    return _single(x, np.minimum(support, 1), share, spread, exchanged)


@part_of_kernel
def _schedule(n: int) -> tuple[float, float]:
    """Tolerance and stiffness of a round: from loose and stiff to strict and supple."""
    early = max(0.0, 1 - n / _LAST_STIFF_ROUND)
    tolerance = TOLERANCE + (TOLERANCE_AT_FIRST - TOLERANCE) * early
    return tolerance, STIFFNESS * (STIFFNESS_AT_FIRST / STIFFNESS) ** early


@part_of_kernel
def _suppler(stiffness: float, usual: float, usual_turn: float) -> float:
    """Stiffness for a joint that turns more than its experts differ: it is to be followed."""
    return min(stiffness, max(NOISE_SHARE * usual * usual / (usual_turn / 2), _LEAST_STIFFNESS))


def _relative_scores(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    usual = median_over_frames(scores, present)
    ratio = np.where(usual[:, None] > 0, scores / np.where(usual > 0, usual, 1)[:, None], 1)
    return np.clip(ratio, _LEAST_SCORE, 1) * present


def _runs(anyone: np.ndarray) -> list[tuple[int, int, int]]:
    """Joint, first frame and end of each run without gaps."""
    result = []
    for v in range(anyone.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], anyone[:, v], [False]])))
        result += [(v, int(first), int(end)) for first, end in edges.reshape(-1, 2)]
    return result


@kernel
def _fuse(
    p: np.ndarray, scores: np.ndarray, present: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`define_consensus`, compiled, of p (V, E, T, 2), scores and present (V, E, T).

    Where sides are exchanged, they are in ``p``, too.
    """
    num_joints, num_experts, num_frames = present.shape
    frames = np.zeros((num_experts, num_joints), np.int64)
    anyone = np.zeros((num_joints, num_frames), np.bool_)
    s = np.zeros(present.shape)
    x = np.full((num_joints, num_frames, 2), np.nan)
    own = np.zeros(present.shape)
    middle = np.full((num_joints, num_frames), np.inf)
    buffer = np.empty(max(num_frames, num_experts))
    for v in range(num_joints):
        for e in range(num_experts):
            usual_score = median_of(scores[v, e], present[v, e], buffer)
            for t in range(num_frames):
                if present[v, e, t]:
                    anyone[v, t] = True
                    frames[e, v] += 1
                    ratio = scores[v, e, t] / usual_score if usual_score > 0 else 1.0
                    s[v, e, t] = min(max(ratio, _LEAST_SCORE), 1.0)
        for t in range(num_frames):
            if anyone[v, t]:
                find_middle(p[v, :, t], s[v, :, t], present[v, :, t], x[v, t], own[v, :, t],
                             middle[v, t : t + 1], buffer)  # fmt: skip

    squares = np.zeros(s.shape)
    exchanged, has_exchanged = np.zeros((num_experts, num_frames), np.bool_), False
    w = np.zeros(s.shape)
    support = np.zeros((num_joints, num_frames))
    spread = np.zeros((num_experts, num_joints))
    k, usual = np.ones(spread.shape), np.ones(num_joints)
    y, band = np.zeros((num_frames, 2)), np.zeros((num_frames, 3))
    penalties, weights = np.zeros(num_frames), np.zeros(num_frames)
    start = x.copy()
    n = 0
    while n < ROUNDS:
        tolerance, stiffness = _schedule(n)
        for v in range(num_joints):
            for e in range(num_experts):
                for t in range(num_frames):
                    if present[v, e, t]:
                        d0, d1 = p[v, e, t, 0] - x[v, t, 0], p[v, e, t, 1] - x[v, t, 1]
                        squares[v, e, t] = d0 * d0 + d1 * d1
                median = median_of(squares[v, e], present[v, e], buffer)
                spread[e, v] = np.sqrt(median) / RAYLEIGH_MEDIAN
        relate_spreads(spread, frames, k, usual)
        if n == EXCHANGE_ROUND and len(pairs) and not has_exchanged:
            has_exchanged = exchange_sides(p, s, present, x, TOLERANCE * usual, pairs, exchanged)
            if has_exchanged:
                for v in range(num_joints):
                    for t in range(num_frames):
                        if anyone[v, t] and exchanged[:, t].any():
                            find_middle(p[v, :, t], s[v, :, t], present[v, :, t], start[v, t],
                                         own[v, :, t], middle[v, t : t + 1], buffer)  # fmt: skip
                x[:] = start
                n = 0
                continue
        _weigh(squares, own, middle, present, s, k, usual, tolerance, w)
        for v in range(num_joints):
            full = (1 / k[:, v]).sum()
            for t in range(num_frames):
                total = y0 = y1 = 0.0
                for e in range(num_experts):
                    if present[v, e, t]:
                        total += w[v, e, t]
                        y0 += w[v, e, t] * p[v, e, t, 0]
                        y1 += w[v, e, t] * p[v, e, t, 1]
                support[v, t] = total / full
                weights[t] = max(support[v, t], _LEAST_WEIGHT)
                total = max(total, _LEAST_WEIGHT**2)
                y[t, 0], y[t, 1] = y0 / total, y1 / total
            first = end = 0
            while end < num_frames:
                first = end
                while end < num_frames and anyone[v, end]:
                    end += 1
                if end > first:
                    penalties[first:end] = stiffness
                    if n:
                        _let_go(x[v, first:end], stiffness, usual[v], n > _LAST_QUADRATIC_ROUND,
                                penalties[first:end])  # fmt: skip
                    smooth_into(y[first:end], weights[first:end], penalties[first:end],
                                band[first:end], x[v, first:end])  # fmt: skip
                else:
                    end += 1
        n += 1

    share = np.zeros(spread.shape)
    for v in range(num_joints):
        total = w[v].sum()
        for e in range(num_experts):
            share[e, v] = w[v, e].sum() / total if total > 0 else 0.0
            if not frames[e, v]:
                spread[e, v] = np.nan
        np.minimum(support[v], 1.0, support[v])
    return x, support, share, spread, exchanged


@part_of_kernel
def _weigh(
    squares: np.ndarray, own: np.ndarray, middle: np.ndarray, present: np.ndarray, s: np.ndarray,
    k: np.ndarray, usual: np.ndarray, tolerance: float, w: np.ndarray,
) -> None:  # fmt: skip
    num_joints, num_experts, num_frames = squares.shape
    pose, count = np.zeros((num_experts, num_frames)), np.zeros((num_experts, num_frames))
    for v in range(num_joints):
        scale = 1 / max(usual[v], LEAST_DISTANCE) ** 2
        for e in range(num_experts):
            per_c = 1 / (tolerance * max(k[e, v] * usual[v], LEAST_DISTANCE)) ** 2
            for t in range(num_frames):
                if present[v, e, t]:
                    pose[e, t] += 1 / (1 + squares[v, e, t] * per_c)
                    count[e, t] += 1
                    q = 1 / (1 + middle[v, t] * scale)
                    square = q * own[v, e, t] + (1 - q) * squares[v, e, t]
                    w[v, e, t] = s[v, e, t] / ((1 + square * per_c) * k[e, v])
    pose = (pose / np.maximum(count, 1)) ** 2
    for v in range(num_joints):
        w[v] *= pose


@part_of_kernel
def _let_go(
    x: np.ndarray, stiffness: float, usual: float, abruptly: bool, penalties: np.ndarray
) -> None:
    """Weaken penalties where the track turns a lot, altogether and in single frames."""
    count = len(x) - 2
    if count < 1:
        return
    for t in range(count):
        d0 = x[t, 0] - 2 * x[t + 1, 0] + x[t + 2, 0]
        d1 = x[t, 1] - 2 * x[t + 1, 1] + x[t + 2, 1]
        penalties[t] = d0 * d0 + d1 * d1
    usual_turn = max(penalties[:count].mean(), LEAST_DISTANCE**2)
    penalty = _suppler(stiffness, usual, usual_turn)
    if abruptly:
        penalties[:count] = 1 / (1 + penalties[:count] / usual_turn)
        penalties[:count] *= penalty / penalties[:count].max()
    else:
        penalties[:count] = penalty


def _single(
    x: np.ndarray, support: np.ndarray, share: np.ndarray, spread: np.ndarray, exchanged: np.ndarray
) -> Fused:
    keypoints, scores, weights, spread = (
        values.astype(np.float32) for values in (x, support, share, spread)
    )
    return Fused(keypoints, scores, weights, spread, exchanged)


def _checked(proposals: np.ndarray, scores: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    p = np.ascontiguousarray(proposals, np.float64)
    if p.ndim != 4 or p.shape[3] != 2 or not p.shape[0]:
        raise UsageError("proposals", found=p.shape, expected="(experts, frames, joints, 2)")
    if scores is None:
        return p, np.ones(p.shape[:3])
    s = np.ascontiguousarray(scores, np.float64)
    if s.shape != p.shape[:3]:
        raise UsageError("scores", found=s.shape, expected=p.shape[:3])
    return p, np.nan_to_num(s, nan=0.0)
