"""Other views of the same poses: bones, motion, and picture and space together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.sample import Sample
from posedata.transforms.body_parts import parents_of
from posedata.transforms.normalise import to_screen
from posedata.transforms.space import (
    CENTRED,
    PIXELS_AND_METRES,
    VECTORS,
    picture_size,
    require,
    with_coordinates,
)


@dataclass(frozen=True, slots=True)
class Bones:
    """Replace each joint by the bone that leads to it: the joint minus its parent.

    From Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
    Recognition" (2s-AGCN), CVPR 2019. Which joint is whose parent, see
    `posedata.transforms.parents_of`.

    Notes
    -----
    The root's bone is 0 where the root is there. A bone without one of its ends is missing; its
    score is the smaller one of theirs. The unit stays.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the bones; see the class."""
        keypoints, scores = bones(sample.keypoints, sample.scores, parents_of(sample.skeleton))
        return replace(with_coordinates(sample, keypoints, VECTORS), scores=scores)


def bones(
    keypoints: np.ndarray, scores: np.ndarray, parents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Subtract from each joint its parent.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    scores : float32, shape (M, T, V)
        0 where missing.
    parents : int, shape (V,)
        -1 for a root.

    Returns
    -------
    keypoints : float32, shape (M, T, V, C)
        Unit of ``keypoints``.
    scores : float32, shape (M, T, V)
    """
    own = np.where(parents < 0, np.arange(len(parents)), parents)
    return _bones(keypoints, scores, own)


@kernel
def _bones(keypoints, scores, parents):
    persons, steps, joints, channels = keypoints.shape
    out = np.empty((persons, steps, joints, channels), np.float32)
    out_scores = np.zeros((persons, steps, joints), np.float32)
    for m in range(persons):
        for t in range(steps):
            for v in range(joints):
                parent, there = parents[v], True
                for c in range(channels):
                    value = keypoints[m, t, v, c] - keypoints[m, t, parent, c]
                    out[m, t, v, c] = value
                    there = there and not np.isnan(value)
                if there:
                    out_scores[m, t, v] = min(scores[m, t, v], scores[m, t, parent])
    return out, out_scores


@dataclass(frozen=True, slots=True)
class Motion:
    """Replace each joint by its way to the next step.

    From Shi et al., "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph
    Convolutional Networks" (MS-AAGCN), IEEE TIP 2020; so too in CTR-GCN (Chen et al., ICCV 2021).
    After `Bones`, the motion of bones.

    Notes
    -----
    In the last step it is 0 where the joint is there. It is missing where the joint is, in either
    step; its score is the smaller one of theirs. The unit stays: pixels or metres a step.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the motion; see the class."""
        keypoints, scores = motion(sample.keypoints, sample.scores)
        return replace(with_coordinates(sample, keypoints, VECTORS), scores=scores)


def motion(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subtract from each step's joints those of this step: ``p(t + 1) - p(t)``.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, C)
        Any unit. NaN where missing.
    scores : float32, shape (M, T, V)
        0 where missing.

    Returns
    -------
    keypoints : float32, shape (M, T, V, C)
        0 in the last step, where the joint is there.
    scores : float32, shape (M, T, V)
    """
    return _motion(keypoints, scores)


@kernel
def _motion(keypoints, scores):
    persons, steps, joints, channels = keypoints.shape
    out = np.empty((persons, steps, joints, channels), np.float32)
    out_scores = np.zeros((persons, steps, joints), np.float32)
    for m in range(persons):
        for t in range(steps):
            after = min(t + 1, steps - 1)
            for v in range(joints):
                there = True
                for c in range(channels):
                    value = keypoints[m, after, v, c] - keypoints[m, t, v, c]
                    out[m, t, v, c] = value
                    there = there and not np.isnan(value)
                if there:
                    out_scores[m, t, v] = min(scores[m, t, v], scores[m, after, v])
    return out, out_scores


@dataclass(frozen=True, slots=True)
class FiveChannels:
    """Normalise picture and space for a network that takes both: x, y and x, y, z.

    The five channels of 5C-AGCN, from Yang et al., "Selective Spatio-Temporal Aggregation Based
    Pose Refinement System" (SSTA-PRS), WACV 2021. See `five_channels`.

    The sample must hold pixels and metres together (C = 5). Sampling, masks, `Flip`, `Bones` and
    `Motion` take such samples, too.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the normalised clip; see the class."""
        require(sample, "FiveChannels", PIXELS_AND_METRES)
        width, height = picture_size(sample, "FiveChannels")
        root = sample.skeleton.index(sample.skeleton.root)
        keypoints = five_channels(
            sample.keypoints[..., :2], sample.keypoints[..., 2:], width, height, root
        )
        there = ~np.isnan(keypoints).any(-1)
        scores = np.where(there, sample.scores, np.float32(0))
        return replace(with_coordinates(sample, keypoints, CENTRED), scores=scores)


def five_channels(
    keypoints_2d: np.ndarray, keypoints_3d: np.ndarray, width: float, height: float, root: int
) -> np.ndarray:
    """Lay poses in the picture and in space side by side.

    5C-AGCN (SSTA-PRS, WACV 2021) takes these five channels. How its authors normalised them is
    not known to us: this is VideoPose3D's way in the picture, and relative to the root in space.

    Parameters
    ----------
    keypoints_2d : float32, shape (..., V, 2)
        Pixels. NaN where missing.
    keypoints_3d : float32, shape (..., V, 3)
        Metres, of the same people and steps.
    width, height : float
        Of the picture, in pixels.
    root : int
        The joint that the poses in space are relative to.

    Returns
    -------
    float32, shape (..., V, 5)
        x, y on the screen (-1 to 1 over the width, as VideoPose3D has it); x, y, z in metres from
        the root of the same person and step. All five are NaN for a joint that either lacks; the
        three of all joints of a pose whose root is missing in space, so that such a pose is
        missing as a whole.

    Raises
    ------
    UsageError
        If the shapes do not belong together.
    """
    if (keypoints_2d.shape[-1:], keypoints_3d.shape[-1:]) != ((2,), (3,)) or (
        keypoints_2d.shape[:-1] != keypoints_3d.shape[:-1]
    ):
        raise UsageError("poses in the picture and in space do not belong together",
                         found=f"shapes {keypoints_2d.shape} and {keypoints_3d.shape}",
                         expected="(..., V, 2) and (..., V, 3)")  # fmt: skip
    both = np.empty((*keypoints_2d.shape[:-1], 5), np.float32)
    both[..., :2] = to_screen(keypoints_2d, width, height)
    both[..., 2:] = keypoints_3d - keypoints_3d[..., root : root + 1, :]
    both[np.isnan(both).any(-1)] = np.nan
    return both
