"""Which frames are worth a person's time: uncertain, disputed, or a fair sample.

``middle-frame`` of randomly chosen clips is how the authors of SST-A made Smarthome-Pose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.errors import UsageError

#: The rules by which frames are chosen.
RULES = ("lowest-confidence", "disagreement", "middle-frame", "uniform", "random")
#: The rules that give each frame a value; of others, which clips come first is drawn.
_VALUED = ("lowest-confidence", "disagreement")

# Frames beside each other show the same: those chosen of a clip are apart by this part of its
# length over their number.
_APART = 0.25


class ChosenFrame(NamedTuple):
    """A frame to be annotated.

    Attributes
    ----------
    clip_id : str
        The clip.
    frame : int
        0-based index into its video.
    value : float
        What it was chosen for: mean score, or disagreement in parts of the person's size; NaN for
        rules without a value.
    """

    clip_id: str
    frame: int
    value: float


def frame_confidence(frames: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean score of the joints of each frame.

    Parameters
    ----------
    frames : int, shape (N,)
        Frame of each pose.
    scores : float, shape (N, V)
        0 where a joint is missing, which counts: it may be one that the expert did not find.

    Returns
    -------
    frames : int, shape (F,)
        Those with people, ascending.
    values : float64, shape (F,)
        Of the person in it whose mean is lowest: one bad pose among good ones is worth a look.
    """
    means = np.nan_to_num(scores.astype(np.float64)).mean(1)
    there, row_frame = np.unique(frames, return_inverse=True)
    values = np.full(len(there), np.inf)
    np.minimum.at(values, row_frame, means)
    return there, values


def frame_disagreement(
    frames: Sequence[np.ndarray], persons: Sequence[np.ndarray], keypoints: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How far several layers are apart in each frame.

    Parameters
    ----------
    frames, persons : sequence of int arrays, shape (N_i,)
        Of each layer's poses; the same person has the same number in all layers.
    keypoints : sequence of float arrays, shape (N_i, V, 2)
        Pixels, the same V joints in all layers; NaN where missing.

    Returns
    -------
    frames : int, shape (F,)
        Those in which two layers or more have a joint of one person.
    values : float64, shape (F,)
        Mean distance of each joint's places from their mean, over the square root of the area of
        the box around all of them: of the person in the frame with the largest.
    """
    if not sum(map(len, frames)):
        return np.empty(0, np.int64), np.empty(0)
    keys = np.concatenate([
        np.stack([f, p], 1).astype(np.int64) for f, p in zip(frames, persons, strict=True)
    ])  # fmt: skip
    poses = np.concatenate([k.astype(np.float64) for k in keypoints])
    people, owner = np.unique(keys, axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    there = np.isfinite(poses).all(-1)
    shape = (len(people), poses.shape[1])
    counts, sums = np.zeros(shape), np.zeros((*shape, 2))
    np.add.at(counts, owner, there)
    np.add.at(sums, owner, np.where(there[..., None], poses, 0))
    centre = sums / np.maximum(counts, 1)[..., None]
    shared = (counts >= 2)[owner] & there
    apart = np.where(shared, np.linalg.norm(poses - centre[owner], axis=-1), 0)
    apart = np.nan_to_num(apart)
    total, number = np.zeros(len(people)), np.zeros(len(people))
    np.add.at(total, owner, apart.sum(1))
    np.add.at(number, owner, shared.sum(1))
    low, high = np.full((len(people), 2), np.inf), np.full((len(people), 2), -np.inf)
    np.minimum.at(low, owner, np.where(there[..., None], poses, np.inf).min(1))
    np.maximum.at(high, owner, np.where(there[..., None], poses, -np.inf).max(1))
    counted = number > 0
    size = np.sqrt(np.prod(high[counted] - low[counted], axis=1)).clip(1)
    found, at = np.unique(people[counted, 0], return_inverse=True)
    values: np.ndarray = np.zeros(len(found))
    np.maximum.at(values, at, total[counted] / number[counted] / size)
    return found, values


def choose_frames(
    rule: str,
    count: int,
    num_frames: int,
    frames: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose frames of one clip.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    count : int
        How many; fewer where the clip has fewer.
    num_frames : int
        Of the clip, those without people included.
    frames, values : shape (F,)
        For rules with a value: the frames that have one. The worst come first; each further one
        is a quarter of ``num_frames / count`` away from those before.
    rng : numpy.random.Generator
        For ``random``.

    Returns
    -------
    int64, shape (K,)
        The worst first; else ascending.
    """
    if num_frames < 1:
        return np.empty(0, np.int64)
    if rule == "middle-frame":
        return np.array([num_frames // 2])
    count = min(count, num_frames)
    if rule == "uniform":  # the middles of equal parts
        return (2 * np.arange(count) + 1) * num_frames // (2 * count)
    if rule == "random":
        return np.sort(rng.choice(num_frames, count, replace=False))
    worst = np.argsort(values if rule == "lowest-confidence" else -values, kind="stable")
    apart = max(1, int(num_frames / count * _APART))
    chosen: list[int] = []
    for frame in frames[worst].tolist():
        if len(chosen) == count:
            break
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
    return np.array(chosen, np.int64)


def select_frames(
    clips: Iterable[Sequence[Clip]],
    rule: str,
    *,
    per_clip: int = 1,
    limit: int | None = None,
    stratify: Sequence[str] = ("label", "camera"),
    seed: int = 0,
) -> list[ChosenFrame]:
    """Choose the frames of a release that are to be annotated.

    Parameters
    ----------
    clips : iterable of sequences of Clip
        For each clip its layers: first the one whose poses are corrected, then others to compare
        it with. ``disagreement`` needs one other at least, with the same skeleton.
    rule : str
        One of `RULES`. ``lowest-confidence`` takes the frames whose person has the lowest mean
        score, ``disagreement`` those where the layers are furthest apart; neither takes frames
        without people. ``middle-frame``, ``uniform`` and ``random`` take frames of the whole clip.
    per_clip : int
        Frames of each clip at most; ``middle-frame`` takes one.
    limit : int, optional
        Frames in all.
    stratify : sequence of str
        Clip columns. With ``limit``, each of their combinations gives a frame in turn, as long
        as it has any: a rare class is in the sample. Columns that no clip has do not count.
    seed : int
        For ``random``, and for which clips come first where frames have no value. What is drawn
        depends on the seed and the clips' ids alone.

    Returns
    -------
    list of ChosenFrame
        By clip id and frame.

    Raises
    ------
    UsageError
        If there is no such rule, a number is below 1, or the clips lack what the rule needs.
    """
    if rule not in RULES:
        raise UsageError("no such rule to select frames", found=repr(rule),
                         expected=", ".join(RULES))  # fmt: skip
    for name, number in (("per_clip", per_clip), ("limit", 1 if limit is None else limit)):
        if number < 1:
            raise UsageError(name, found=number, expected="1 or more")
    strata: dict[tuple[str, ...], list[tuple[float, ChosenFrame]]] = {}
    for layers in clips:
        clip = layers[0]
        frames, values = _values(layers, rule)
        rng = np.random.default_rng([seed, _hash(clip.clip_id)])
        chosen = choose_frames(rule, per_clip, clip.num_frames, frames, values, rng)
        stratum = strata.setdefault(tuple(str(clip.info.get(name)) for name in stratify), [])
        draw = float(np.random.default_rng([seed, _hash(clip.clip_id), 1]).random())
        for turn, frame in enumerate(chosen.tolist()):
            value = float(values[np.searchsorted(frames, frame)]) if rule in _VALUED else np.nan
            # Every clip gives its first frame before any gives its second.
            key = turn + draw if np.isnan(value) else value
            key = -key if rule == "disagreement" else key
            stratum.append((key, ChosenFrame(clip.clip_id, frame, value)))
    queues = [
        [frame for _, frame in sorted(strata[name], key=lambda item: (item[0], item[1][:2]))]
        for name in sorted(strata)
    ]
    taken = _in_turn(queues, limit, np.random.default_rng([seed, 2]))
    return sorted(taken, key=lambda frame: frame[:2])


def _values(layers: Sequence[Clip], rule: str) -> tuple[np.ndarray, np.ndarray]:
    clip = layers[0]
    if rule not in _VALUED:
        return np.empty(0, np.int64), np.empty(0)
    if rule == "lowest-confidence":
        if clip.scores is None:
            raise UsageError(
                f"the layer {clip.layer} has no scores",
                remedy="Select by another rule, or correct another layer.",
            )
        return frame_confidence(clip.frames, clip.scores)
    compared = [layer for layer in layers if layer.keypoints_2d is not None]
    if any(layer.skeleton.joints != clip.skeleton.joints for layer in compared):
        raise UsageError("layers of several skeletons cannot be compared joint by joint",
                         found=", ".join(sorted({c.skeleton.name for c in compared})))  # fmt: skip
    return frame_disagreement(
        [layer.frames for layer in compared],
        [layer.persons for layer in compared],
        [layer.keypoints_2d for layer in compared if layer.keypoints_2d is not None],
    )


def _in_turn(
    queues: list[list[ChosenFrame]], limit: int | None, rng: np.random.Generator
) -> list[ChosenFrame]:
    """Take one of each queue, again and again, until all are empty or there are enough."""
    if limit is None:
        return [frame for queue in queues for frame in queue]
    taken: list[ChosenFrame] = []
    # Where the last turn is cut short, which strata it leaves out is drawn.
    order = rng.permutation(len(queues)).tolist()
    for turn in range(max(map(len, queues), default=0)):
        for at in order:
            if len(taken) == limit:
                return taken
            if turn < len(queues[at]):
                taken.append(queues[at][turn])
    return taken


def _hash(clip_id: str) -> int:
    digest = hashlib.sha256(clip_id.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")
