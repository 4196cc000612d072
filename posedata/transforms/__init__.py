"""What happens to a clip on its way to a model, one small step each.

A transform takes a `posedata.sample.Sample` and a random generator and returns a new sample; it
never writes to the one it is given. Its parameters are checked when it is made.
"""

from collections.abc import Iterable

import numpy as np

from posedata.sample import Sample, Transform
from posedata.transforms.augment import Flip, Noise, Rotate, Scale, Shear, TimeReverse
from posedata.transforms.body_parts import SUB_GRAPHS, joints_of_part, parents_of, spine_of
from posedata.transforms.crop import SubjectCrop
from posedata.transforms.masks import JointMask, JointOccluder, LimbOccluder, SubGraphMask
from posedata.transforms.normalise import Centre, ScaleNormalise, ScreenNormalise, ViewNormalise
from posedata.transforms.pose_image import pose_image
from posedata.transforms.sampling import (
    ResizeInTime,
    UniformPoses,
    UniformSampling,
    WindowSampling,
    uniform_poses,
)
from posedata.transforms.streams import Bones, FiveChannels, Motion, five_channels

__all__ = [
    "SUB_GRAPHS",
    "Bones",
    "Centre",
    "FiveChannels",
    "Flip",
    "JointMask",
    "JointOccluder",
    "LimbOccluder",
    "Motion",
    "Noise",
    "ResizeInTime",
    "Rotate",
    "Scale",
    "ScaleNormalise",
    "ScreenNormalise",
    "Shear",
    "SubGraphMask",
    "SubjectCrop",
    "TimeReverse",
    "UniformPoses",
    "UniformSampling",
    "ViewNormalise",
    "WindowSampling",
    "apply",
    "five_channels",
    "joints_of_part",
    "parents_of",
    "pose_image",
    "spine_of",
    "uniform_poses",
]


def apply(transforms: Iterable[Transform], sample: Sample, rng: np.random.Generator) -> Sample:
    """Apply transforms one after the other.

    Parameters
    ----------
    transforms : iterable of Transform
        In their order.
    sample : Sample
        Is not changed.
    rng : numpy.random.Generator
        What is random in any of them comes from here.
    """
    for transform in transforms:
        sample = transform(sample, rng)
    return sample
