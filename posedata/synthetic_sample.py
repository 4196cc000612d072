"""What a make-believe NTU RGB+D file holds: people, what Kinect says of them, and its quirks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from posedata.errors import UsageError
from posedata.synthetic_body import LIMBS, NUM_JOINTS, action_motion, bystander_motion

FIRST_BODY_ID = 2**56
"""Kinect counts its tracking ids up from here; float64 cannot tell neighbours apart."""

NTU_NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}")

_SHORTEST_QUIRKY = 12


@dataclass(frozen=True)
class BodyTruth:
    """Everything that a file says of one body.

    Parameters
    ----------
    body_id : int
        Kinect's tracking id, near 2**56.
    frames : int32, shape (N,)
        The frames that have the body, ascending.
    joints : float64, shape (N, 25, 12)
        Per joint x y z (metres), depthX depthY, colorX colorY (pixels), orientationW X Y Z,
        trackingState. NaN where the file has ``NaN``.
    headers : float64, shape (N, 9)
        The fields after the id: clipedEdges, handLeftConfidence, handLeftState,
        handRightConfidence, handRightState, isResticted, leanX, leanY, trackingState.
    """

    body_id: int
    frames: np.ndarray
    joints: np.ndarray
    headers: np.ndarray


@dataclass(frozen=True)
class SkeletonTruth:
    """Everything that a ``.skeleton`` file says.

    Parameters
    ----------
    name : str
        The clip, e.g. ``S001C001P001R001A023``: the file name without its suffix.
    num_frames : int
        The first line of the file; frames without bodies count.
    bodies : tuple of BodyTruth
        In the order in which their ids first appear.
    reversed_frames : tuple of int
        The frames that list their bodies in the opposite order.
    """

    name: str
    num_frames: int
    bodies: tuple[BodyTruth, ...]
    reversed_frames: tuple[int, ...] = ()

    @property
    def body_ids(self) -> list[int]:
        """The ids of the bodies, in order of first appearance."""
        return [body.body_id for body in self.bodies]


def project(positions: np.ndarray) -> np.ndarray:
    """Depth and colour pixels of points in front of the sensor.

    Parameters
    ----------
    positions : float64, shape (..., 3)
        Camera space, metres.

    Returns
    -------
    float64, shape (..., 4)
        depthX, depthY in the 512 x 424 image and colorX, colorY in the 1920 x 1080 image, with
        the intrinsics that fit real files.
    """
    x, y, z = np.moveaxis(positions, -1, 0)
    return np.stack(
        [
            256.34 + 366.43 * x / z,
            208.49 - 366.5 * y / z,
            955.29 + 1055.84 * x / z + 75.93 / z,
            567.06 - 1056.5 * y / z,
        ],
        axis=-1,
    )


def _runs(rng: np.random.Generator, num_frames: int, values: list[int]) -> np.ndarray:
    """Draw a state [T] that keeps each value for about a second."""
    changes = np.cumsum(rng.random(num_frames) < 1 / 30)
    return rng.choice(values, size=num_frames)[changes]


def _record_body(
    body_id: int, positions: np.ndarray, orientations: np.ndarray, rng: np.random.Generator
) -> BodyTruth:
    """Turn a motion into what the file has of it, with one limb occluded for a while."""
    num_frames = len(positions)
    states = np.full((num_frames, NUM_JOINTS, 1), 2.0)
    limb = list(LIMBS.values())[rng.integers(len(LIMBS))]
    start, end = np.sort(rng.integers(0, num_frames + 1, 2))
    states[start:end, limb] = 1
    headers = np.zeros((num_frames, 9))
    for hand in (1, 3):
        headers[:, hand] = _runs(rng, num_frames, [0, 1])
        headers[:, hand + 1] = _runs(rng, num_frames, [0, 1, 2, 3]) * headers[:, hand]
    spine = positions[:, 20] - positions[:, 0]
    headers[:, 6:8] = spine[:, [0, 2]] / np.linalg.norm(spine, axis=-1, keepdims=True)
    headers[:, 8] = 2
    joints = np.concatenate([positions, project(positions), orientations, states], axis=-1)
    return BodyTruth(body_id, np.arange(num_frames, dtype=np.int32), joints, headers)


def _keep_frames(body: BodyTruth, kept: np.ndarray) -> BodyTruth:
    return replace(
        body, frames=body.frames[kept], joints=body.joints[kept], headers=body.headers[kept]
    )


def _crowd(sample: SkeletonTruth, people: int, rng: np.random.Generator) -> SkeletonTruth:
    """Add bystanders until there are so many people."""
    bodies = list(sample.bodies)
    while len(bodies) < people:
        side = 1.1 if len(bodies) % 2 else -1.1
        motion = bystander_motion(sample.num_frames, 90 + len(bodies), side, rng)
        bodies.append(_record_body(bodies[0].body_id + 42 * len(bodies), *motion, rng))
    return replace(sample, bodies=tuple(bodies))


def _three_bodies(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return _crowd(sample, 3, rng)


def _without_bodies(sample: SkeletonTruth, start: int, end: int) -> SkeletonTruth:
    bodies = (_keep_frames(b, (b.frames < start) | (b.frames >= end)) for b in sample.bodies)
    return replace(sample, bodies=tuple(body for body in bodies if len(body.frames)))


def _empty_start(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return _without_bodies(sample, 0, int(rng.integers(1, sample.num_frames // 4 + 1)))


def _empty_middle(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    start = sample.num_frames // 2
    return _without_bodies(sample, start, start + int(rng.integers(1, sample.num_frames // 6 + 1)))


def _all_empty(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return replace(sample, bodies=())


def _gap(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    first, second, *others = _crowd(sample, 2, rng).bodies
    start, end = sample.num_frames // 3, sample.num_frames * 2 // 3
    second = _keep_frames(second, (second.frames < start) | (second.frames >= end))
    return replace(sample, bodies=(first, second, *others))


def _swapped_order(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    late = np.arange(sample.num_frames // 3, sample.num_frames)
    reversed_frames = late[rng.random(len(late)) < 0.5]
    reversed_frames = np.union1d(reversed_frames, late[-1:])
    return replace(_crowd(sample, 2, rng), reversed_frames=tuple(reversed_frames.tolist()))


def _close_ids(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    first, second, *others = _crowd(sample, 2, rng).bodies
    # float64 rounds ids to multiples of 16 here
    middle = first.body_id // 16 * 16
    close = (replace(first, body_id=middle + 2), replace(second, body_id=middle - 2))
    return replace(sample, bodies=(*close, *others))


def _new_id(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    first, *others = sample.bodies
    before = first.frames < sample.num_frames // 2
    after = replace(_keep_frames(first, ~before), body_id=first.body_id + 1000)
    return replace(sample, bodies=(_keep_frames(first, before), *others, after))


def _overwrite_joint(
    sample: SkeletonTruth, rng: np.random.Generator, fields: slice, value: float
) -> SkeletonTruth:
    """Overwrite some fields of one joint of the first body in about every fifth frame."""
    first, *others = sample.bodies
    hit = rng.random(len(first.frames)) < 0.2
    hit[rng.integers(len(hit))] = True
    joints = first.joints.copy()
    joints[hit, rng.integers(NUM_JOINTS), fields] = value
    return replace(sample, bodies=(replace(first, joints=joints), *others))


def _nan_colour(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return _overwrite_joint(sample, rng, slice(5, 7), np.nan)


def _nan_joint(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return _overwrite_joint(sample, rng, slice(0, 7), np.nan)


def _zero_joint(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    return _overwrite_joint(sample, rng, slice(0, 12), 0.0)


def _exponent(sample: SkeletonTruth, rng: np.random.Generator) -> SkeletonTruth:
    """Move everybody sideways so that one spine base is 12 micrometres off the axis once."""
    first = sample.bodies[0]
    shift = 1.2e-05 - first.joints[rng.integers(len(first.frames)), 0, 0]
    bodies = []
    for body in sample.bodies:
        positions = body.joints[..., :3] + (shift, 0, 0)
        joints = np.concatenate([positions, project(positions), body.joints[..., 7:]], axis=-1)
        bodies.append(replace(body, joints=joints))
    return replace(sample, bodies=tuple(bodies))


# In the order in which they are applied: people first, then numbers, then who is there when.
_QUIRKS: dict[str, Callable[[SkeletonTruth, np.random.Generator], SkeletonTruth]] = {
    "three_bodies": _three_bodies,
    "close_ids": _close_ids,
    "exponent": _exponent,
    "nan_colour": _nan_colour,
    "nan_joint": _nan_joint,
    "zero_joint": _zero_joint,
    "swapped_order": _swapped_order,
    "gap": _gap,
    "new_id": _new_id,
    "empty_start": _empty_start,
    "empty_middle": _empty_middle,
    "all_empty": _all_empty,
}
QUIRKS: dict[str, str] = {
    "three_bodies": "bystanders make up three bodies",
    "close_ids": "two ids that are 4 apart and equal as float64",
    "exponent": "a coordinate such as 1.2E-05",
    "nan_colour": "NaN for both colour coordinates of a joint in some frames",
    "nan_joint": "NaN for the position and all pixels of a joint in some frames",
    "zero_joint": "a joint line of twelve zeros in some frames",
    "swapped_order": "the order of the bodies changes from frame to frame",
    "gap": "the second body leaves and returns",
    "new_id": "the first body goes on under another id",
    "empty_start": "no body in the first frames",
    "empty_middle": "no body in some frames in the middle",
    "all_empty": "no body in any frame",
    "lf": "lines end in LF, as after a git checkout, not in CR LF",
}
"""What real NTU files do to their readers: name -> what a file with it is like."""


def skeleton_sample(
    name: str,
    action: str,
    num_frames: int,
    seed: int | tuple[int, ...] = 0,
    quirks: Iterable[str] = (),
) -> SkeletonTruth:
    """Perform an action once, in numbers that are not yet rounded to those of a file.

    Parameters
    ----------
    name : str
        ``SsssCcccPpppRrrrAaaa``; its performer P decides the bones and the body ids, so that
        files of one person share them as those of a recording session do.
    action : str
        A key of `posedata.synthetic_body.ACTIONS`.
    num_frames : int
        1 or more, 12 or more with quirks.
    seed : int or tuple of int
        Not negative.
    quirks : iterable of str
        Keys of `QUIRKS`; "lf" is done by `posedata.synthetic.format_skeleton`, not here.

    Returns
    -------
    SkeletonTruth

    Raises
    ------
    UsageError
        When an argument is out of its range.
    """
    quirks = set(quirks)
    check_quirks(quirks)
    shortest = _SHORTEST_QUIRKY if quirks else 1
    if num_frames < shortest:
        raise UsageError("too few frames", found=num_frames, expected=f"{shortest} or more")
    rng = seeded(seed)
    if not NTU_NAME.fullmatch(name):
        raise UsageError("not an NTU name", found=name, expected="SsssCcccPpppRrrrAaaa")
    performer = int(name[9:12])
    bodies = [
        _record_body(FIRST_BODY_ID + 2500 + 53 * performer + 42 * index, *motion, rng)
        for index, motion in enumerate(action_motion(action, num_frames, performer, rng))
    ]
    sample = SkeletonTruth(name, num_frames, tuple(bodies))
    for quirk, change in _QUIRKS.items():
        if quirk in quirks:
            sample = change(sample, rng)
    return sample


def check_quirks(quirks: Iterable[str]) -> None:
    """Raise `UsageError` when a name is not in `QUIRKS`."""
    unknown = sorted(set(quirks) - set(QUIRKS))
    if unknown:
        raise UsageError("unknown quirk", found=", ".join(unknown), expected=", ".join(QUIRKS))


def seeded(seed: int | tuple[int, ...]) -> np.random.Generator:
    """Make the generator of a seed; raise `UsageError` when that is negative."""
    if np.min(seed) < 0:
        raise UsageError("a seed must not be negative", found=seed)
    return np.random.default_rng(seed)
