"""Clips of one length: uniform and window sampling, and resizing in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.sample import Sample
from posedata.transforms.parameters import check_choice, check_number, check_whole


def take_steps(sample: Sample, steps: np.ndarray) -> Sample:
    """Make a sample of some steps of another.

    Parameters
    ----------
    sample : Sample
        Of T steps.
    steps : int64, shape (S,)
        Which to take, in any order and as often as wanted; -1 for a step without anybody.

    Returns
    -------
    Sample
        Of S steps.
    """
    if len(steps) and steps.min() >= 0:
        return replace(
            sample, keypoints=sample.keypoints.take(steps, axis=1),
            scores=sample.scores.take(steps, axis=1), frames=sample.frames.take(steps),
        )  # fmt: skip
    filled = np.flatnonzero(steps >= 0)
    persons, _, joints, channels = sample.keypoints.shape
    keypoints = np.full((persons, len(steps), joints, channels), np.nan, np.float32)
    scores = np.zeros((persons, len(steps), joints), np.float32)
    frames = np.full(len(steps), -1, np.int64)
    keypoints[:, filled] = sample.keypoints[:, steps[filled]]
    scores[:, filled] = sample.scores[:, steps[filled]]
    frames[filled] = sample.frames[steps[filled]]
    return replace(sample, keypoints=keypoints, scores=scores, frames=frames)


@dataclass(frozen=True, slots=True)
class UniformSampling:
    """Cut the clip into n segments and take one frame of each.

    From Duan et al., "Revisiting Skeleton-based Action Recognition" (PoseConv3D), CVPR 2022, with
    the rules of its code (PYSKL's ``UniformSample``) for short clips.

    Parameters
    ----------
    n : int
        Steps of a clip; 48 for PoseConv3D, 100 for PYSKL's graph networks.
    clips : int
        Take so many clips, one behind the other: the result has ``clips * n`` steps. 10 are usual
        in testing.
    test : bool
        In training the frame of each segment is random. In testing it is the middle one; of
        several clips, clip c takes the frame at (c + 1/2) / clips of each segment. (PYSKL draws
        them with a fixed seed instead.)

    Notes
    -----
    A clip of T < n frames is repeated from its beginning after its end. It starts at a random
    frame in training, in testing at frame c T / clips (c, where T < clips), rounded down. With T
    < 2 n in training, as many frames as are too many are left out at random, each choice as
    likely as every other. A clip without frames (T = 0) gives steps without anybody, ``frames``
    -1.
    """

    n: int
    clips: int = 1
    test: bool = False

    def __post_init__(self) -> None:
        check_whole("n", self.n)
        check_whole("clips", self.clips)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the sampled clip; see the class."""
        return take_steps(sample, self.steps(sample.keypoints.shape[1], rng))

    def steps(self, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Choose the frames of a clip of ``num_frames``, for `take_steps`."""
        if num_frames == 0:
            return np.full(self.n * self.clips, -1)
        if self.test:
            chosen = [middle_steps(num_frames, self.n, c, self.clips) for c in range(self.clips)]
        else:
            chosen = [random_steps(num_frames, self.n, rng) for _ in range(self.clips)]
        return chosen[0] if self.clips == 1 else np.concatenate(chosen)


def random_steps(num_frames: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Choose a random frame of each of n equal segments, as `UniformSampling` describes.

    Parameters
    ----------
    num_frames : int
        T, at least 1.
    n : int
        How many to choose.
    rng : numpy.random.Generator
        Where the choice comes from.

    Returns
    -------
    int64, shape (n,)
        0 to T - 1; ascending where T >= n.
    """
    if num_frames < n:
        return (rng.integers(num_frames) + np.arange(n)) % num_frames
    return _random_steps(num_frames, n, rng.random(n + 1))


@kernel
def _random_steps(num_frames, n, draws):
    steps = np.empty(n, np.int64)
    if num_frames < 2 * n:
        # Selection sampling (Knuth, algorithm S): which of the n + 1 gaps around the steps are
        # to have a frame left out.
        wanted, offset = num_frames - n, 0
        for i in range(n):
            if draws[i] * (n + 1 - i) < wanted - offset:
                offset += 1
            steps[i] = i + offset
        return steps
    for i in range(n):
        begin = i * num_frames // n
        size = (i + 1) * num_frames // n - begin
        steps[i] = begin + min(int(draws[i] * size), size - 1)
    return steps


def middle_steps(num_frames: int, n: int, clip: int = 0, clips: int = 1) -> np.ndarray:
    """Choose the frame at (clip + 1/2) / clips of each of n equal segments.

    Parameters
    ----------
    num_frames : int
        T, at least 1.
    n : int
        How many to choose.
    clip, clips : int
        Which of how many clips.

    Returns
    -------
    int64, shape (n,)
        0 to T - 1; ascending where T >= n.
    """
    if num_frames < n:
        start = clip if num_frames < clips else clip * num_frames // clips
        return (start + np.arange(n)) % num_frames
    bounds = np.arange(n + 1) * num_frames // n
    sizes = bounds[1:] - bounds[:-1]
    return bounds[:-1] + (2 * clip + 1) * sizes // (2 * clips)


@dataclass(frozen=True, slots=True)
class UniformPoses:
    """Take t_p poses, spread evenly from the first frame to the last.

    From Das et al., "VPN: Learning Video-Pose Embedding for Activities of Daily Living", ECCV
    2020. Nothing is random. A clip of fewer frames gives some twice; one without frames (T = 0)
    steps without anybody.

    Parameters
    ----------
    t_p : int
        How many poses.
    """

    t_p: int

    def __post_init__(self) -> None:
        check_whole("t_p", self.t_p)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the chosen poses; see the class."""
        return take_steps(sample, self.steps(sample.keypoints.shape[1], rng))

    def steps(self, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Choose the frames of a clip of so many: int64, shape (t_p,); -1 for nobody's."""
        return uniform_poses(num_frames, self.t_p)


def uniform_poses(num_frames: int, t_p: int) -> np.ndarray:
    """Choose t_p frames, spread evenly from the first to the last.

    Parameters
    ----------
    num_frames : int
        T.
    t_p : int
        How many; of one, the middle frame.

    Returns
    -------
    int64, shape (t_p,)
        0 to T - 1, the nearest to ``i (T - 1) / (t_p - 1)``, halves up; -1 where T = 0.
    """
    if num_frames == 0:
        return np.full(t_p, -1)
    if t_p == 1:
        return np.array([(num_frames - 1) // 2])
    gaps = t_p - 1
    return (2 * np.arange(t_p) * (num_frames - 1) + gaps) // (2 * gaps)


@dataclass(frozen=True, slots=True)
class WindowSampling:
    """Take n frames in a row.

    From Shi et al., "Two-Stream Adaptive Graph Convolutional Networks" (2s-AGCN), CVPR 2019,
    whose feeder calls it ``random_choose``.

    Parameters
    ----------
    n : int
        Steps of the result.
    start : {"random", "centre", "first"}
        Where the window is: anywhere, in the middle, or at the beginning.
    fill : {"nan", "repeat", "loop"}
        What a clip of T < n frames is filled up with, behind its end: steps without anybody (with
        ``start="random"`` also in front of it, as in 2s-AGCN), its last frame again and again, or
        the clip from its beginning again. A clip without frames has nothing to repeat.
    """

    n: int
    start: str = "random"
    fill: str = "nan"

    def __post_init__(self) -> None:
        check_whole("n", self.n)
        check_choice("start", self.start, ("random", "centre", "first"))
        check_choice("fill", self.fill, ("nan", "repeat", "loop"))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the window; see the class."""
        return take_steps(sample, self.steps(sample.keypoints.shape[1], rng))

    def steps(self, num_frames: int, rng: np.random.Generator) -> np.ndarray:
        """Choose the frames of a clip of ``num_frames``, for `take_steps`."""
        steps = np.arange(self.n)
        spare = num_frames - self.n
        if spare >= 0:
            if self.start == "random":
                steps += int(rng.integers(spare + 1))
            elif self.start == "centre":
                steps += spare // 2
        elif self.fill == "nan" or num_frames == 0:
            if self.start == "random":
                steps -= int(rng.integers(1 - spare))
            steps[(steps < 0) | (steps >= num_frames)] = -1
        elif self.fill == "repeat":
            steps = np.minimum(steps, num_frames - 1)
        else:
            steps %= num_frames
        return steps


@dataclass(frozen=True, slots=True)
class ResizeInTime:
    """Stretch or shrink the clip, or a part of it, to n steps by linear interpolation.

    From Chen et al., "Channel-wise Topology Refinement Graph Convolution" (CTR-GCN), ICCV 2021,
    whose code calls it ``valid_crop_resize``.

    Parameters
    ----------
    n : int
        Steps of the result; 64 in CTR-GCN.
    p_interval : (float,) or (float, float)
        Which part of the clip. One share: so much of its middle (CTR-GCN tests with 0.95). Two:
        a random share between them, anywhere (CTR-GCN trains with 0.5 to 1).
    shortest : int
        A random part has at least so many frames, as far as the clip does; 64 in CTR-GCN.

    Notes
    -----
    Step i is at ``(i + 1/2) L / n - 1/2`` of the L frames, within them. Between two frames of
    which either lacks a joint, the joint is missing: gaps are not bridged. Scores are interpolated
    alike; ``frames`` has the nearer frame, the earlier of equals. A clip without frames (T = 0)
    gives steps without anybody.
    """

    n: int
    p_interval: tuple[float, ...] = (1.0,)
    shortest: int = 64

    def __post_init__(self) -> None:
        check_whole("n", self.n)
        check_whole("shortest", self.shortest)
        if not isinstance(self.p_interval, tuple | list) or len(self.p_interval) not in (1, 2):
            raise UsageError("p_interval", found=self.p_interval, expected="one share, or two")
        for share in self.p_interval:
            check_number("p_interval", share, 0, 1)
        if self.p_interval[0] <= 0 or self.p_interval[-1] < self.p_interval[0]:
            raise UsageError("p_interval", found=self.p_interval,
                             expected="shares above 0, the smaller one first")  # fmt: skip

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the resized clip; see the class."""
        num_frames = sample.keypoints.shape[1]
        if num_frames == 0:
            return take_steps(sample, np.full(self.n, -1))
        if len(self.p_interval) == 1:
            begin = int((1 - self.p_interval[0]) * num_frames / 2)
            length = num_frames - 2 * begin
        else:
            low, high = self.p_interval
            share = low + (high - low) * rng.random()
            length = min(max(int(num_frames * share), self.shortest), num_frames)
            begin = int(rng.integers(num_frames - length + 1))
        keypoints, scores, nearest = resize_in_time(
            sample.keypoints, sample.scores, self.n, begin, length
        )
        return replace(sample, keypoints=keypoints, scores=scores, frames=sample.frames[nearest])


def resize_in_time(
    keypoints: np.ndarray, scores: np.ndarray, n: int, begin: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interpolate a part of a clip linearly at n steps, as `ResizeInTime` describes.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    scores : float32, shape (M, T, V)
        0 where missing.
    n : int
        Steps of the result.
    begin, length : int
        The part: frames ``begin`` to ``begin + length - 1``; at least one.

    Returns
    -------
    keypoints : float32, shape (M, n, V, C)
    scores : float32, shape (M, n, V)
    nearest : int64, shape (n,)
        The frame (0 to T - 1) nearest to each step.
    """
    return _resize_in_time(keypoints, scores, n, begin, length)


@kernel
def _resize_in_time(keypoints, scores, n, begin, length):
    persons, _, joints, channels = keypoints.shape
    out = np.empty((persons, n, joints, channels), np.float32)
    out_scores = np.zeros((persons, n, joints), np.float32)
    nearest = np.empty(n, np.int64)
    earlier = np.empty(n, np.int64)
    weights = np.empty(n, np.float32)
    for i in range(n):
        # in units of 1 / 2n frames, so that a step that is on a frame is exactly there
        place = min(max((2 * i + 1) * length - n, 0), 2 * n * (length - 1))
        frame, rest = place // (2 * n), place % (2 * n)
        earlier[i] = begin + frame
        weights[i] = rest / (2 * n)
        nearest[i] = begin + (frame if rest <= n else frame + 1)
    for m in range(persons):
        for i in range(n):
            a, w = earlier[i], weights[i]
            b = a if w == 0 else a + 1
            for v in range(joints):
                there = True
                for c in range(channels):
                    value = (1 - w) * keypoints[m, a, v, c] + w * keypoints[m, b, v, c]
                    out[m, i, v, c] = value
                    there = there and not np.isnan(value)
                if there:
                    out_scores[m, i, v] = (1 - w) * scores[m, a, v] + w * scores[m, b, v]
    return out, out_scores, nearest
