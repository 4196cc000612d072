"""Masks: parts of the body, joints, and what an object in the picture hides.

What is masked is missing: NaN with score 0. Nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.sample import Sample
from posedata.transforms.body_parts import SUB_GRAPHS, joints_of_part
from posedata.transforms.parameters import (
    check_choice,
    check_number,
    check_positive,
    check_whole,
)
from posedata.transforms.sampling import WindowSampling
from posedata.transforms.space import PIXELS, PIXELS_AND_METRES, require


@dataclass(frozen=True, slots=True)
class SubGraphMask:
    """Keep a random segment of tau frames, and make one random part of the body invisible in it.

    SubG-DA, from Yang et al., "Self-Supervised Video Pose Representation Learning for
    Occlusion-Robust Action Recognition" (OR-VPE), FG 2021: a sequence is pruned in time and in
    the graph of joints.

    Parameters
    ----------
    tau : int, optional
        Steps of the result; by default all, so that only joints are pruned.
    masks : sequence of str
        To choose one from, each as likely as the others: ``upper``, ``lower``, ``right``,
        ``left``, ``centre`` become invisible; ``none`` leaves all visible. See
        `posedata.transforms.joints_of_part` for who belongs to what.
    fill : {"nan", "repeat", "loop"}
        What a clip of fewer than tau frames is filled up with, see `WindowSampling`.

    Notes
    -----
    The authors' code is not public. Which joints a mask hides is decided in
    ``schemas/body_parts.json``.
    """

    tau: int | None = None
    masks: tuple[str, ...] = SUB_GRAPHS
    fill: str = "nan"

    def __post_init__(self) -> None:
        if self.tau is not None:
            check_whole("tau", self.tau)
        if isinstance(self.masks, str) or not self.masks:
            raise UsageError("masks", found=self.masks, expected=", ".join(SUB_GRAPHS))
        for mask in self.masks:
            check_choice("masks", mask, SUB_GRAPHS)
        check_choice("fill", self.fill, ("nan", "repeat", "loop"))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the pruned clip; see the class."""
        if self.tau is not None:
            sample = WindowSampling(self.tau, fill=self.fill)(sample, rng)
        mask = self.masks[int(rng.integers(len(self.masks)))]
        return without_joints(sample, joints_of_part(sample.skeleton, mask))


@dataclass(frozen=True, slots=True)
class JointMask:
    """Make some random joints invisible, in all steps or in random ones.

    From Rao et al., "Augmented Skeleton Based Contrastive Action Learning with Momentum LSTM"
    (AS-CAL), Information Sciences 2021.

    Parameters
    ----------
    joints : int
        How many; the same ones of all people, in all steps that are masked. Where the skeleton
        has fewer, all.
    share : float
        Each step is masked with this probability.
    """

    joints: int
    share: float = 1.0

    def __post_init__(self) -> None:
        check_whole("joints", self.joints)
        check_number("share", self.share, 0, 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the masked clip; see the class."""
        _, num_steps, num_joints, _ = sample.keypoints.shape
        hidden = np.zeros(num_joints, bool)
        hidden[rng.random(num_joints).argsort()[: self.joints]] = True
        steps = rng.random(num_steps) < self.share if self.share < 1 else None
        return without_joints(sample, hidden, steps)


def without_joints(
    sample: Sample, joints: np.ndarray, steps: np.ndarray | None = None
) -> Sample:  # fmt: skip
    """Return a sample in which some joints are missing.

    Parameters
    ----------
    sample : Sample
        Any.
    joints : bool, shape (V,)
        Which.
    steps : bool, shape (T,), optional
        In which steps; by default in all.
    """
    if steps is None:
        steps = np.ones(sample.keypoints.shape[1], bool)
    keypoints, scores = _without_joints(sample.keypoints, sample.scores, joints, steps)
    return replace(sample, keypoints=keypoints, scores=scores)


@kernel
def _without_joints(keypoints, scores, joints, steps):
    keypoints, scores = keypoints.copy(), scores.copy()
    for m in range(keypoints.shape[0]):
        for t in range(keypoints.shape[1]):
            if steps[t]:
                for v in range(keypoints.shape[2]):
                    if joints[v]:
                        scores[m, t, v] = 0
                        for c in range(keypoints.shape[3]):
                            keypoints[m, t, v, c] = np.nan
    return keypoints, scores


@dataclass(frozen=True, slots=True)
class LimbOccluder:
    """Hide what is behind bars that lie over random limbs in the picture.

    After the occluding bars of Sárándi et al., "How Robust is 3D Human Pose Estimation to
    Occlusion?", IROS workshop 2018, here laid over limbs, and on joints instead of pixels.

    Parameters
    ----------
    number : int
        Of bars.
    width : float
        Of a bar, as a share of the longer side of the box around the person it is laid on. It
        reaches half of that beyond both ends of the limb.
    share : float
        How much of the clip it is there for, in one piece, which has the frame it is laid in.

    Notes
    -----
    A bar is laid over a random bone of the skeleton in a random frame of a random person who has
    it, and stands still in the picture. Joints of all people whose centre is under it are missing.
    Pixels only; of pixels and metres together, all five coordinates go.
    """

    number: int = 1
    width: float = 0.15
    share: float = 1.0

    def __post_init__(self) -> None:
        _check_occluder(self.number, self.share)
        check_positive("width", self.width)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the clip with hidden joints; see the class."""
        require(sample, "LimbOccluder", PIXELS, PIXELS_AND_METRES)
        limbs = sample.skeleton.bone_indices
        return _occluded(sample, limbs, self.number, self.width, self.share, rng)


@dataclass(frozen=True, slots=True)
class JointOccluder:
    """Hide what is behind squares that lie over random joints in the picture.

    After the occluding rectangles of Sárándi et al., "How Robust is 3D Human Pose Estimation to
    Occlusion?", IROS workshop 2018, here laid over joints, and on joints instead of pixels.

    Parameters
    ----------
    number : int
        Of squares.
    size : float
        Side of a square, as a share of the longer side of the box around the person it is laid on.
    share : float
        How much of the clip it is there for, in one piece, which has the frame it is laid in.

    Notes
    -----
    As `LimbOccluder`, with a joint for the limb.
    """

    number: int = 1
    size: float = 0.3
    share: float = 1.0

    def __post_init__(self) -> None:
        _check_occluder(self.number, self.share)
        check_positive("size", self.size)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the clip with hidden joints; see the class."""
        require(sample, "JointOccluder", PIXELS, PIXELS_AND_METRES)
        joints = np.arange(sample.skeleton.num_joints)
        limbs = np.stack([joints, joints], 1)
        return _occluded(sample, limbs, self.number, self.size, self.share, rng)


def _check_occluder(number: int, share: float) -> None:
    check_whole("number", number)
    check_number("share", share, 0, 1)


def _occluded(
    sample: Sample, limbs: np.ndarray, number: int, width: float, share: float,
    rng: np.random.Generator,
) -> Sample:  # fmt: skip
    keypoints, scores = occlude(
        sample.keypoints, sample.scores, limbs, width, share, rng.random((number, 2))
    )
    return replace(sample, keypoints=keypoints, scores=scores)


def occlude(
    keypoints: np.ndarray, scores: np.ndarray, limbs: np.ndarray, width: float, share: float,
    draws: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Hide joints behind bars over limbs.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        x and y in pixels first. NaN where missing.
    scores : float32, shape (M, T, V)
        0 where missing.
    limbs : int, shape (B, 2)
        Joints at the ends; twice the same for a square over a joint.
    width : float
        Of a bar, over the longer side of the box around the person.
    share : float
        Of the clip, that a bar is there for; at least one step.
    draws : float64, shape (bars, 2)
        From 0 to below 1: which of the limbs that are there, each bar is laid over, and where
        the piece of the clip lies around that frame.

    Returns
    -------
    keypoints : float32, shape (M, T, V, C)
    scores : float32, shape (M, T, V)
    """
    return _occlude(keypoints, scores, limbs, width, share, draws)


@kernel
def _occlude(keypoints, scores, limbs, width, share, draws):
    shown = keypoints
    keypoints, scores = keypoints.copy(), scores.copy()
    persons, steps, joints, channels = keypoints.shape
    count = 0
    for m in range(persons):
        for t in range(steps):
            for b in range(len(limbs)):
                ends = shown[m, t, limbs[b, 0], 0] + shown[m, t, limbs[b, 1], 0]
                count += not np.isnan(ends)
    length = max(int(np.ceil(share * steps)), 1)
    for bar in range(len(draws) if count else 0):
        wanted = min(int(draws[bar, 0] * count), count - 1)
        person = step = limb = 0
        for place in range(persons * steps * len(limbs)):
            b = place % len(limbs)
            t = place // len(limbs) % steps
            m = place // (len(limbs) * steps)
            if not np.isnan(shown[m, t, limbs[b, 0], 0] + shown[m, t, limbs[b, 1], 0]):
                if wanted == 0:
                    person, step, limb = m, t, b
                    break
                wanted -= 1
        left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
        for v in range(joints):
            x, y = shown[person, step, v, 0], shown[person, step, v, 1]
            if not np.isnan(x):
                left, right = min(left, x), max(right, x)
                top, bottom = min(top, y), max(bottom, y)
        half = max(right - left, bottom - top) * width / 2
        x0, y0 = shown[person, step, limbs[limb, 0], 0], shown[person, step, limbs[limb, 0], 1]
        x1, y1 = shown[person, step, limbs[limb, 1], 0], shown[person, step, limbs[limb, 1], 1]
        long = np.hypot(x1 - x0, y1 - y0)
        # the direction of the bar; that of a square is any
        ux, uy = ((x1 - x0) / long, (y1 - y0) / long) if long > 0 else (1.0, 0.0)
        earliest, latest = max(step - length + 1, 0), min(step, steps - length)
        begin = earliest + min(int(draws[bar, 1] * (latest - earliest + 1)), latest - earliest)
        for m in range(persons):
            for t in range(begin, begin + length):
                for v in range(joints):
                    dx, dy = shown[m, t, v, 0] - x0, shown[m, t, v, 1] - y0
                    along, across = dx * ux + dy * uy, dy * ux - dx * uy
                    if -half <= along <= long + half and -half <= across <= half:
                        scores[m, t, v] = 0
                        for c in range(channels):
                            keypoints[m, t, v, c] = np.nan
    return keypoints, scores
