"""Samples for tests of transforms: random poses, some joints missing, nothing writable."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from posedata.sample import Sample
from posedata.skeleton import load_skeleton

SKELETON_OF = {2: "coco17", 3: "nturgbd25", 5: "kinect20"}


def made_sample(
    persons: int = 1, steps: int = 10, channels: int = 3, *, skeleton: str | None = None,
    missing: float = 0.1, seed: int = 0, **info: Any,
) -> Sample:  # fmt: skip
    """Make a sample whose arrays cannot be written to."""
    rng = np.random.default_rng(seed)
    known = load_skeleton(skeleton or SKELETON_OF[channels])
    keypoints = rng.normal(0, 1, (persons, steps, known.num_joints, channels))
    if channels in (2, 5):
        keypoints[..., :2] = rng.uniform(-20, 660, (persons, steps, known.num_joints, 2))
    keypoints = keypoints.astype(np.float32)
    scores = rng.uniform(0.1, 1, keypoints.shape[:-1]).astype(np.float32)
    gone = rng.random(scores.shape) < missing
    keypoints[gone] = np.nan
    scores[gone] = 0
    return sample_with(keypoints, scores, skeleton=known.name, **info)


def sample_with(
    keypoints: Any, scores: Any = None, *, skeleton: str, frames: Any = None, **info: Any
) -> Sample:
    """Make a sample of given keypoints (M, T, V, C); scores are 1 where a joint is."""
    keypoints = np.array(keypoints, np.float32)
    if scores is None:
        scores = ~np.isnan(keypoints).any(-1)
    scores = np.array(scores, np.float32)
    frames = np.arange(keypoints.shape[1]) + 7 if frames is None else np.array(frames)
    for array in (keypoints, scores, frames):
        array.setflags(write=False)
    size = {"width": 640, "height": 480, "num_frames": keypoints.shape[1]}
    return Sample("clip", keypoints, scores, frames, load_skeleton(skeleton), 3, {**size, **info})


def samples(channels: tuple[int, ...] = (2, 3)) -> st.SearchStrategy[Sample]:
    """Samples of nobody to three people, no frame to many, all joints there or none."""
    return st.builds(
        made_sample, persons=st.integers(0, 3), steps=st.integers(0, 40),
        channels=st.sampled_from(channels), missing=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
        seed=st.integers(0, 1000),
    )  # fmt: skip


def there(sample: Sample) -> np.ndarray:
    """Where a joint is: bool, shape (M, T, V)."""
    return ~np.isnan(sample.keypoints).any(-1)
