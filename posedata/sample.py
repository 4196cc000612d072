"""One clip as a model sees it: dense arrays of a few people, on their way through transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.skeleton import Skeleton


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """The poses of at most M people of a clip, over T time steps.

    Attributes
    ----------
    clip_id : str
        Key of the clip.
    keypoints : float32, shape (M, T, V, C)
        C = 2: pixels; C = 3: metres; C = 5: pixels, then metres. NaN where missing.
    scores : float32, shape (M, T, V)
        0 to 1; 0 where missing. 1 for what is there, where the layer has no scores.
    frames : int64, shape (T,)
        Frame of the video that each step is from. A resized clip has the nearest one; -1 marks a
        step that was made to fill up.
    skeleton : Skeleton
        The V joints.
    label : int
        Class; -1 where it is not known.
    info : mapping
        What the release says of the clip: ``num_frames``, ``width``, ``height``, ``camera``, ...
        A transform whose result is neither pixels nor metres says so in ``coordinates``.
    """

    clip_id: str
    keypoints: np.ndarray
    scores: np.ndarray
    frames: np.ndarray
    skeleton: Skeleton
    label: int
    info: Mapping[str, Any]


#: A step on the way to the model. What is random in it comes from the generator alone, so that a
#: seed gives the same samples with any number of workers.
Transform = Callable[[Sample, np.random.Generator], Sample]


def sample_of(clip: Clip, keypoints: str, num_persons: int) -> Sample:
    """Make the sample of a clip.

    Parameters
    ----------
    clip : Clip
        Any.
    keypoints : {"keypoints_2d", "keypoints_3d", "both"}
        Which coordinates; ``both`` gives five channels, pixels first.
    num_persons : int
        Take at most so many people: those who are there in most frames, the most present first,
        equals in the order of their ids.

    Returns
    -------
    Sample
        All frames of the video, those without people included (T = ``num_frames``).

    Raises
    ------
    UsageError
        If the clip has no such coordinates.
    """
    columns = coordinate_columns(keypoints)
    lacking = [name for name in columns if name not in clip.arrays]
    if lacking:
        raise UsageError(f"clip {clip.clip_id} has no {', '.join(lacking)}",
                         expected=", ".join(clip.arrays) or None)  # fmt: skip
    values = np.concatenate([clip.arrays[name] for name in columns], axis=-1)
    label = clip.info.get("label")
    poses, scores = dense_people(
        clip.frames, clip.persons, values, clip.scores, clip.num_frames, num_persons
    )
    return Sample(
        clip.clip_id, poses, scores, np.arange(clip.num_frames), clip.skeleton,
        -1 if label is None else int(label), clip.info,
    )  # fmt: skip


def coordinate_columns(keypoints: str) -> tuple[str, ...]:
    """Name the pose columns that hold ``keypoints_2d``, ``keypoints_3d`` or ``both``."""
    return ("keypoints_2d", "keypoints_3d") if keypoints == "both" else (keypoints,)


def dense_people(
    frames: np.ndarray,
    persons: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray | None,
    num_frames: int,
    num_persons: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Spread the rows of the most present people over persons and frames.

    Parameters
    ----------
    frames, persons : int32, shape (N,)
        Of each pose, sorted by (person, frame).
    keypoints : float32, shape (N, V, C)
        NaN where missing.
    scores : float32, shape (N, V), optional
        By default 1 for joints that are there.
    num_frames, num_persons : int
        T, and the most people to take.

    Returns
    -------
    keypoints : float32, shape (M, T, V, C)
        M = the people who are there, at most ``num_persons``. NaN where nobody is.
    scores : float32, shape (M, T, V)
        0 where nobody is, and where a joint is missing.
    """
    if len(persons) and persons[0] == persons[-1]:
        chosen = persons[:1]
    else:
        ids, counts = np.unique(persons, return_counts=True)
        chosen = ids[np.argsort(-counts, kind="stable")]
    chosen = chosen[:num_persons].astype(np.int32)
    if scores is None:
        scores = np.ones(keypoints.shape[:2], np.float32)
    return _spread(frames, persons, keypoints, scores, num_frames, chosen)


@kernel
def _spread(frames, persons, keypoints, scores, num_frames, chosen):
    joints, channels = keypoints.shape[1], keypoints.shape[2]
    poses = np.full((len(chosen), num_frames, joints, channels), np.nan, np.float32)
    spread = np.zeros((len(chosen), num_frames, joints), np.float32)
    for row in range(len(frames)):
        for slot in range(len(chosen)):
            if persons[row] != chosen[slot]:
                continue
            for joint in range(joints):
                there = True
                for channel in range(channels):
                    value = keypoints[row, joint, channel]
                    poses[slot, frames[row], joint, channel] = value
                    there = there and not np.isnan(value)
                if there:
                    spread[slot, frames[row], joint] = scores[row, joint]
    return poses, spread
