"""Simulated experts, which err as real ones do: the model, and drawing from it.

Lengths are in head-neck distances, in a frame of the body (towards the person's
left, and down the spine). The parts of the model:

- **bias**: each expert's median error in each joint. It includes how Kinect itself differs from all
  experts, which no fusion can tell.
- **the rest of the error** is a normal field over experts, frames and joints, whose lengths are
  stretched to the quantiles that were measured: so tails are as heavy as they are. The field is
  slow (autoregressive, with two poles at ``memory``) plus jitter, correlated between experts and
  between joints: so experts fail together, in the same direction, in bursts, with whole limbs.
- **four states**, each with its own field and quantiles: all of the body is seen; this joint is,
  while others are hidden behind occluders; it is hidden; most of the body is.
- **left-right swaps** of an expert's whole pose, arms or legs, in episodes that experts share.
- **missing people**, in episodes: nobody where the detector that all share finds none, and an
  expert alone; the more often, the more of the body is hidden.
- **scores**, whose quantiles fall with the state, and which fall where the error is great.

Everything is measured in two sizes of the picture. The numbers in ``error_model.json`` were fitted
on the tracks that ``fuse_real.py --work FOLDER`` keeps (swaps also on a phone's video, against
OpenPose, since the NTU clip's person never turns): ``python benchmarks/error_model.py FOLDER``
fits them anew, and shows how simulated experts compare with the real ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

NUMBERS = Path(__file__).with_name("error_model.json")
LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 1.0)  # of quantiles
CLEAR, SEEN, HIDDEN, MOSTLY_HIDDEN = range(4)  # states of a joint
MOSTLY = 0.5  # share of the body
_BURN_IN = 100  # frames until the slow part has forgotten its start
HIDDEN_BINS = (0.1, 0.3, 0.5, 0.7)  # of the share of the body that is hidden
# Joints of main13 that exchange places, in the three kinds of swaps.
SWAPS = (tuple(range(1, 13)), tuple(range(1, 7)), tuple(range(7, 13)))
FLIP = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11])


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """The numbers of E experts and V joints; the first axis, Z, is the size: whole, small.

    Attributes
    ----------
    bias : shape (Z, E, V, 2)
        Head-neck distances, towards the person's left and down.
    lengths : shape (Z, 4, E, V, L)
        Quantiles of the rest of the error in each state, at `LEVELS`.
    memory : shape (Z, 4)
        Pole of the slow part.
    jitter : shape (Z, 4, E)
        Share of the variance that changes from frame to frame.
    between_experts : shape (Z, 4, 2, E, E)
        Correlation of the slow part and of the jitter.
    between_joints : shape (Z, 4, V, V)
        Correlation of both.
    scores : shape (Z, 4, E, L)
        Quantiles of the score over its median in the whole video.
    score_and_error : shape (Z, 4)
        Rank correlation of the score with the length of the error.
    swaps : shape (Z, 2, 3, E)
        Share of frames, with less and more than `HIDDEN_BINS` [0] of the body hidden, by kind.
    swap_length, swaps_shared : float
        Frames of an episode; share of the episodes that another expert shares.
    nobody : shape (Z, 5)
        Share of frames in which no expert finds the person, by the share that is hidden.
    missed : shape (Z, E, 5)
        The same for one expert, where others find the person.
    missing_length : float
        Frames of an episode.
    """

    bias: np.ndarray
    lengths: np.ndarray
    memory: np.ndarray
    jitter: np.ndarray
    between_experts: np.ndarray
    between_joints: np.ndarray
    scores: np.ndarray
    score_and_error: np.ndarray
    swaps: np.ndarray
    swap_length: float
    swaps_shared: float
    nobody: np.ndarray
    missed: np.ndarray
    missing_length: float


def load(path: Path = NUMBERS) -> ErrorModel:
    """Read the fitted numbers."""
    numbers = json.loads(path.read_text())
    return ErrorModel(**{field.name: np.array(numbers[field.name]) if field.type == "np.ndarray"
                         else numbers[field.name] for field in fields(ErrorModel)})  # fmt: skip


def body_axes(truth: np.ndarray) -> np.ndarray:
    """Unit vectors towards the person's left and down the spine, (T, 2, 2), for main13."""
    shoulders, hips = truth[:, 1:3], truth[:, 7:9]
    down = np.nan_to_num(hips.mean(1) - shoulders.mean(1))
    down += np.array([0, 1e-6])  # upright where nothing is known
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    left = np.stack([down[:, 1], -down[:, 0]], axis=-1)
    across = np.nan_to_num(shoulders[:, 0] - shoulders[:, 1] + hips[:, 0] - hips[:, 1])
    left *= np.where((across * left).sum(-1) < 0, -1, 1)[:, None]
    return np.stack([left, down], axis=1)


def exchange(values: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Exchange sides where (E, T, 3) says so, of values (E, T, V, ...)."""
    result = values.copy()
    for kind, joints in enumerate(SWAPS):
        rows = np.nonzero(swapped[:, :, kind])
        for joint in joints:
            result[(*rows, joint)] = values[(*rows, FLIP[joint])]
    return result


def states(hidden: np.ndarray) -> np.ndarray:
    """State of each joint in each frame, (T, V)."""
    share = hidden.mean(axis=1, keepdims=True)
    partly = np.where(hidden, HIDDEN, np.where(share > 0, SEEN, CLEAR))
    return np.where(share > MOSTLY, MOSTLY_HIDDEN, partly)


def simulate(
    model: ErrorModel, truth: np.ndarray, head_neck: float, hidden: np.ndarray,
    is_small: bool, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Draw what the experts would say of a person.

    Parameters
    ----------
    model : ErrorModel
        The experts.
    truth : shape (T, V, 2)
        Pixels, main13; nobody has a joint that is missing here.
    head_neck : float
        Pixels.
    hidden : bool, shape (T, V)
        Which joints are behind occluders.
    is_small : bool
        Whether the picture is made small.
    rng : numpy.random.Generator
        The chance.

    Returns
    -------
    proposals : float32, shape (E, T, V, 2)
        Pixels; NaN where missing.
    scores : float32, shape (E, T, V)
    """
    size, (num_frames, joints) = int(is_small), hidden.shape
    experts = model.bias.shape[1]
    # The fitted person's left and right arm err differently: half of the clips are the other way.
    order, sign = (FLIP, -1.0) if rng.random() < 0.5 else (np.arange(joints), 1.0)
    state = states(hidden)
    error = np.zeros((experts, num_frames, joints, 2))
    scores = np.zeros((experts, num_frames, joints))
    shape = (experts, num_frames + _BURN_IN, joints, 2)
    noise = rng.normal(size=(2, *shape))  # one for all states, so that errors do not leap
    tie = _slow(rng.normal(size=(*shape[:3], 1)), 0.8)[..., 0]
    for number in range(len(model.memory[0])):
        there = state == number
        if not there.any():
            continue
        field = _field(model, (size, number), noise)
        length = np.linalg.norm(field, axis=-1)
        rank = 1 - np.exp(-(length**2) / 2)
        tied = model.score_and_error[size, number]
        score_rank = _normal_cdf(tied * _normal_quantile(rank) + np.sqrt(1 - tied**2) * tie)
        for e in range(experts):
            scores[e][there] = np.interp(score_rank[e][there], LEVELS,
                                         model.scores[size, number, e])  # fmt: skip
            for v in range(joints):
                wanted = np.interp(rank[e, :, v], LEVELS, model.lengths[size, number, e, v])
                field[e, :, v] *= (wanted / np.maximum(length[e, :, v], 1e-9))[:, None]
        error[:, there] = (model.bias[size][:, None] + field)[:, there]
    error = error[:, :, order] * np.array([sign, 1.0])
    proposals = truth + head_neck * np.einsum("etva,tac->etvc", error, body_axes(truth))
    swapped = _draw_swaps(model, size, hidden, rng)
    proposals, scores = exchange(proposals, swapped), exchange(scores, swapped)
    missing = _draw_missing(model, size, hidden, rng)
    proposals[missing] = np.nan
    scores = np.where(np.isnan(proposals[..., 0]), 0, np.clip(scores, 0, 1))
    return proposals.astype(np.float32), scores.astype(np.float32)


def _field(model: ErrorModel, at: tuple[int, int], noise: np.ndarray) -> np.ndarray:
    """Make a normal field (E, T, V, 2) of noise: a slow part and jitter, correlated."""
    joints = np.linalg.cholesky(model.between_joints[at])
    parts = (_slow(noise[0], model.memory[at]), noise[1][:, _BURN_IN:])
    shares = (1 - model.jitter[at], model.jitter[at])
    total = np.zeros_like(parts[0])
    for part, share, between in zip(parts, shares, model.between_experts[at], strict=True):
        experts = np.sqrt(share)[:, None] * np.linalg.cholesky(between)
        total += np.einsum("ef,ftvc,wv->etwc", experts, part, joints)
    return total


def _slow(noise: np.ndarray, memory: float) -> np.ndarray:
    """Autoregressive noise over axis 1, of variance 1, with both poles at ``memory``."""
    gain = np.sqrt((1 - memory**2) ** 3 / (1 + memory**2))
    filtered = lfilter([gain], [1.0, -2 * memory, memory**2], noise, axis=1)
    return np.asarray(filtered)[:, _BURN_IN:]


def _draw_swaps(
    model: ErrorModel, size: int, hidden: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Episodes of each kind and expert, (E, T, 3); one kind at a time."""
    much = (hidden.mean(1) > HIDDEN_BINS[0]).astype(int)
    experts = model.swaps.shape[3]
    result = np.zeros((experts, len(hidden), 3), bool)
    for kind in range(3):
        rates = model.swaps[size][:, kind].mean(-1)[much]  # of episodes that experts may share
        common = _episodes(rates, model.swap_length, rng)
        for e in range(experts):
            share = model.swaps[size][much, kind, e]
            joins = model.swaps_shared * np.divide(share, rates, out=np.zeros(len(share)),
                                                   where=rates > 0)  # fmt: skip
            own = _episodes(share * (1 - model.swaps_shared), model.swap_length, rng)
            first = np.concatenate([[0], np.cumsum(np.diff(common.astype(int)) == 1)])
            joined = common & (rng.random(len(hidden))[first] < joins)
            result[e, :, kind] = own | joined
    result[:, :, 1:] &= ~result[:, :, :1]
    return result


def _draw_missing(
    model: ErrorModel, size: int, hidden: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Frames in which an expert finds nobody, (E, T)."""
    at = np.digitize(hidden.mean(1), HIDDEN_BINS)
    nobody = _episodes(model.nobody[size][at], model.missing_length, rng)
    return np.stack([nobody | _episodes(missed[at], model.missing_length, rng)
                     for missed in model.missed[size]])  # fmt: skip


def _episodes(share: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Draw episodes of a mean length that take a share (T,) of the frames."""
    begin = np.minimum(share / np.maximum(1 - share, 1e-9) / length, 1)
    # Where the share is high, episodes have to be longer to reach it.
    go_on = np.maximum(1 - 1 / length, np.where(share < 1, 2 - 1 / np.maximum(share, 1e-9), 1))
    chance = rng.random(len(share))
    result = np.zeros(len(share), bool)
    for t in range(len(share)):
        before = result[t - 1] if t else chance[0] < share[0]
        result[t] = share[t] > 0 and chance[t] < (go_on[t] if before else begin[t])
    return result


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def _normal_quantile(p: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(p, 1e-6, 1 - 1e-6)))
