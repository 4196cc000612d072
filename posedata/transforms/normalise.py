"""Normalised coordinates: centred, seen from one view, of one size, or as shares of the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.sample import Sample
from posedata.transforms.body_parts import spine_of
from posedata.transforms.linear import map_points, turn_onto
from posedata.transforms.parameters import check_choice, check_positive
from posedata.transforms.space import (
    CENTRED,
    METRES,
    PIXELS,
    SCREEN,
    coordinates_of,
    picture_size,
    require,
    require_points,
    with_coordinates,
)


@dataclass(frozen=True, slots=True)
class Centre:
    """Move a joint to the origin.

    With the defaults as in 2s-AGCN (Shi et al., CVPR 2019): in each frame, all people relative to
    the first one. ``frames="first"`` is CTR-GCN's way (Chen et al., ICCV 2021), which keeps where
    people walk.

    Parameters
    ----------
    joint : str, optional
        Its name, by default the skeleton's root; ``"mean"`` for the middle of all joints. 2s-AGCN
        and CTR-GCN take ``spine_mid`` of NTU RGB+D.
    frames : {"each", "first"}
        Its place in each frame, or in the first one that has it.
    person : {"first", "each"}
        The first person's for all, which keeps people's places relative to each other, or each
        one's own.

    Notes
    -----
    In a frame without that joint its last place counts, before the first one the first. A person
    who never has it is centred on the middle of the joints of their first frame. Where the first
    person has nothing at all, nothing is moved.
    """

    joint: str | None = None
    frames: str = "each"
    person: str = "first"

    def __post_init__(self) -> None:
        check_choice("frames", self.frames, ("each", "first"))
        check_choice("person", self.person, ("first", "each"))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the centred clip; see the class."""
        require_points(sample, "Centre")
        joint = -1
        if self.joint != "mean":
            joint = sample.skeleton.index(self.joint or sample.skeleton.root)
        keypoints = centre(sample.keypoints, joint, self.frames == "each", self.person == "each")
        if coordinates_of(sample) in (PIXELS, SCREEN):
            return with_coordinates(sample, keypoints, CENTRED)
        return replace(sample, keypoints=keypoints)


def centre(
    keypoints: np.ndarray, joint: int, each_frame: bool, each_person: bool
) -> np.ndarray:  # fmt: skip
    """Subtract a joint, as `Centre` describes.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    joint : int
        Which; -1 for the middle of all joints.
    each_frame, each_person : bool
        Whether each frame, and each person, has an origin of its own.

    Returns
    -------
    float32, shape (M, T, V, C)
        Unit of ``keypoints``.
    """
    return _centre(keypoints, joint, each_frame, each_person)


@kernel
def _centre(keypoints, joint, each_frame, each_person):
    persons, steps, joints, channels = keypoints.shape
    out = np.empty((persons, steps, joints, channels), np.float32)
    origins = np.zeros((steps, channels))
    sums = np.empty(channels)
    middle = np.empty(channels)
    for m in range(persons):
        if m == 0 or each_person:
            first, first_middle = -1, -1
            origins[:] = 0
            for t in range(steps):
                count = 0
                sums[:] = 0
                if joint < 0 or first < 0:
                    for v in range(joints):
                        there = True
                        for c in range(channels):
                            there = there and not np.isnan(keypoints[m, t, v, c])
                        if there:
                            count += 1
                            for c in range(channels):
                                sums[c] += keypoints[m, t, v, c]
                if count > 0 and first_middle < 0:
                    first_middle = t
                    middle[:] = sums / count
                has = count > 0
                if joint >= 0:
                    has = True
                    for c in range(channels):
                        has = has and not np.isnan(keypoints[m, t, joint, c])
                if has:
                    for c in range(channels):
                        origins[t, c] = keypoints[m, t, joint, c] if joint >= 0 else sums[c] / count
                    if first < 0:
                        first = t
                elif t > 0:
                    origins[t] = origins[t - 1]
            if first >= 0:
                for t in range(steps):
                    if t < first or not each_frame:
                        origins[t] = origins[first]
            elif first_middle >= 0:
                for t in range(steps):
                    origins[t] = middle
        for t in range(steps):
            for v in range(joints):
                for c in range(channels):
                    out[m, t, v, c] = keypoints[m, t, v, c] - origins[t, c]
    return out


@dataclass(frozen=True, slots=True)
class ViewNormalise:
    """Turn all people so that the first one's spine points along z, and the shoulders along x.

    From Shahroudy et al., "NTU RGB+D", CVPR 2016, as in the code of 2s-AGCN (Shi et al., CVPR
    2019): a first turn takes the spine onto z, a second one the shoulders onto x.

    Notes
    -----
    The spine and the shoulders are those of the first frame in which the first person has all
    the joints; see ``schemas/body_parts.json`` for the ends of the spine. The second turn takes
    the line from the left shoulder to the right one onto x, wherever that leaves the spine, as in
    2s-AGCN. Turns are about the origin: centre first. If the first person never has the joints,
    the next one counts; if nobody has, nothing is turned. Three dimensions only.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the turned clip; see the class."""
        if sample.keypoints.shape[-1] != 3:
            require(sample, "ViewNormalise", METRES)
        skeleton = sample.skeleton
        lower, upper = spine_of(skeleton)
        left, right = skeleton.index("left_shoulder"), skeleton.index("right_shoulder")
        found, axes = _first_axes(sample.keypoints, lower, upper, left, right)
        if not found:
            return sample
        turn = turn_onto(axes[0], 2)
        turn = turn_onto(turn @ axes[1], 0) @ turn
        return replace(sample, keypoints=map_points(sample.keypoints, turn))


@kernel
def _first_axes(keypoints, lower, upper, left, right):
    """Measure the spine, and the line from the left to the right shoulder."""
    persons, steps, _, channels = keypoints.shape
    axes = np.zeros((2, channels))
    for m in range(persons):
        for t in range(steps):
            total = 0.0
            for c in range(channels):
                low = high = 0.0
                for v in lower:
                    low += keypoints[m, t, v, c] / len(lower)
                for v in upper:
                    high += keypoints[m, t, v, c] / len(upper)
                axes[0, c] = high - low
                axes[1, c] = keypoints[m, t, right, c] - keypoints[m, t, left, c]
                total += axes[0, c] + axes[1, c]
            if not np.isnan(total):
                return True, axes
    return False, axes


@dataclass(frozen=True, slots=True)
class ScaleNormalise:
    """Make the first person's spine as long as wanted, and scale all people alike.

    From Shahroudy et al., "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR
    2016, who scale by the distance from the base to the middle of the spine.

    Parameters
    ----------
    length : float
        Of the spine afterwards.

    Notes
    -----
    Its length is the mean over the frames that have its ends; see ``schemas/body_parts.json``
    for them. Points are scaled about the origin: centre first. If the first person has no spine,
    the next one counts; if nobody has, nothing is scaled. After that, lengths are in spines
    rather than in pixels or metres.
    """

    length: float = 1.0

    def __post_init__(self) -> None:
        check_positive("length", self.length)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the scaled clip; see the class."""
        require_points(sample, "ScaleNormalise")
        lower, upper = spine_of(sample.skeleton)
        measured = _spine_length(sample.keypoints, lower, upper)
        if not measured > 0:
            return sample
        scaled = sample.keypoints * np.float32(self.length / measured)
        return with_coordinates(sample, scaled, CENTRED)


@kernel
def _spine_length(keypoints, lower, upper):
    persons, steps, _, channels = keypoints.shape
    for m in range(persons):
        total, count = 0.0, 0
        for t in range(steps):
            square = 0.0
            for c in range(channels):
                low = high = 0.0
                for v in lower:
                    low += keypoints[m, t, v, c] / len(lower)
                for v in upper:
                    high += keypoints[m, t, v, c] / len(upper)
                square += (high - low) ** 2
            if not np.isnan(square):
                total += np.sqrt(square)
                count += 1
        if count > 0:
            return total / count
    return 0.0


@dataclass(frozen=True, slots=True)
class ScreenNormalise:
    """Map pixels to x from -1 to 1 over the width of the picture, y in the same scale; or back.

    From Pavllo et al., "3D human pose estimation in video with temporal convolutions and
    semi-supervised training" (VideoPose3D), CVPR 2019: ``x / w * 2 - 1``, ``y / w * 2 - h / w``.

    Parameters
    ----------
    inverse : bool
        From there to pixels.
    """

    inverse: bool = False

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the clip in the other coordinates; see the class."""
        require(sample, "ScreenNormalise", SCREEN if self.inverse else PIXELS)
        width, height = picture_size(sample, "ScreenNormalise")
        if self.inverse:
            return with_coordinates(sample, to_pixels(sample.keypoints, width, height), None)
        return with_coordinates(sample, to_screen(sample.keypoints, width, height), SCREEN)


def to_screen(keypoints: np.ndarray, width: float, height: float) -> np.ndarray:
    """Map pixels to VideoPose3D's coordinates.

    Parameters
    ----------
    keypoints : float32, shape (..., 2)
        Pixels. NaN where missing.
    width, height : float
        Of the picture, in pixels.

    Returns
    -------
    float32, shape (..., 2)
        x from -1 to 1, y from -h/w to h/w.
    """
    offset = np.array([1, height / width], np.float32)
    return keypoints * np.float32(2 / width) - offset


def to_pixels(keypoints: np.ndarray, width: float, height: float) -> np.ndarray:
    """Map VideoPose3D's coordinates back to pixels; the inverse of `to_screen`."""
    offset = np.array([1, height / width], np.float32)
    return (keypoints + offset) * np.float32(width / 2)
