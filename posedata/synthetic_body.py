"""A kinematic Kinect v2 body of 25 joints that walks, waves, sits, falls and hugs.

Everything lives in Kinect camera space as NTU RGB+D stores it: metres, x to the right of the
stored image, y up, z away from the sensor. A person who faces the camera looks along -z and has
the joints named left at image-left. Joints are numbered as in a ``.skeleton`` file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posedata.errors import UsageError

FPS = 30
NUM_JOINTS = 25
LEAVES = (3, 15, 19, 21, 22, 23, 24)
"""Joints at the end of a limb: Kinect reports no orientation for them."""

LIMBS = {
    "left arm": (5, 6, 7, 21, 22),
    "right arm": (9, 10, 11, 23, 24),
    "left leg": (13, 14, 15),
    "right leg": (17, 18, 19),
}
"""Joints that are occluded together."""

# joint, parent, offset from the parent in metres when an adult of 1.75 m stands and faces the
# camera with hanging arms. Parents come before children. Right limbs mirror left ones.
_TRUNK = (
    (1, 0, (0.0, 0.27, 0.0)),
    (20, 1, (0.0, 0.22, 0.0)),
    (2, 20, (0.0, 0.07, 0.0)),
    (3, 2, (0.0, 0.13, -0.02)),
)
_LEFT = (
    (4, 20, (-0.16, -0.03, 0.0)),
    (5, 4, (0.0, -0.27, 0.0)),
    (6, 5, (0.0, -0.24, 0.0)),
    (7, 6, (0.0, -0.07, 0.0)),
    (21, 7, (0.0, -0.07, 0.0)),
    (22, 7, (0.03, -0.03, -0.03)),
    (12, 0, (-0.08, -0.04, 0.0)),
    (13, 12, (0.0, -0.40, 0.0)),
    (14, 13, (0.0, -0.38, 0.0)),
    (15, 14, (0.0, -0.06, -0.11)),
)
_MIRROR = {4: 8, 5: 9, 6: 10, 7: 11, 21: 23, 22: 24, 12: 16, 13: 17, 14: 18, 15: 19}

PARENTS = {joint: parent for joint, parent, _ in _TRUNK + _LEFT} | {
    _MIRROR[joint]: _MIRROR.get(parent, parent) for joint, parent, _ in _LEFT
}
"""Joint -> the joint its bone starts at, for all joints but the root 0, parents first."""

_MIRRORED = np.array([1.0, -1.0, -1.0])  # turns about x, y, z, seen in a mirror


def bone_offsets(performer: int) -> np.ndarray:
    """Bones of one performer, standing with hanging arms and facing the camera.

    Parameters
    ----------
    performer : int
        Number of the performer, 1 or more; the same number always has the same bones.

    Returns
    -------
    float64, shape (25, 3)
        Offset of each joint from its parent (`PARENTS`), in metres; zero for the root.
    """
    rng = np.random.default_rng(performer)
    stature = rng.uniform(0.9, 1.07)
    offsets = np.zeros((NUM_JOINTS, 3))
    for joint, _, offset in _TRUNK + _LEFT:
        offsets[joint] = np.array(offset) * stature * rng.uniform(0.97, 1.03)
    for left, right in _MIRROR.items():
        offsets[right] = offsets[left] * (-1, 1, 1)
    return offsets


def _quaternion(angles: np.ndarray) -> np.ndarray:
    """Rotations about x, then z, then y (radians, [..., 3] as x, y, z) as quaternions W X Y Z."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(
        np.stack([np.cos(angles / 2), np.sin(angles / 2)]), -1, 1
    )
    return np.stack(
        [
            cy * cz * cx - sy * sz * sx,
            cy * cz * sx + sy * sz * cx,
            sy * cz * cx + cy * sz * sx,
            cy * sz * cx - sy * cz * sx,
        ],
        axis=-1,
    )


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Hamilton product p q: the rotation q, then the rotation p."""
    pw, pv, qw, qv = p[..., :1], p[..., 1:], q[..., :1], q[..., 1:]
    scalar = pw * qw - (pv * qv).sum(axis=-1, keepdims=True)
    return np.concatenate([scalar, pw * qv + qw * pv + np.cross(pv, qv)], axis=-1)


def _rotate(q: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn vectors [..., 3] by unit quaternions [..., 4]."""
    turn = 2 * np.cross(q[..., 1:], vector)
    return vector + q[..., :1] * turn + np.cross(q[..., 1:], turn)


def forward_kinematics(angles: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions relative to the root, from the angles of the joints.

    Parameters
    ----------
    angles : float64, shape (T, 25, 3)
        Rotation of each joint against its parent about x, y, z, in radians, applied in the order
        x, z, y. Joint 0 turns the whole body. Positive x swings a hanging limb forwards.
    offsets : float64, shape (25, 3)
        From `bone_offsets`, metres.

    Returns
    -------
    positions : float64, shape (T, 25, 3)
        Metres; joint 0 at the origin.
    orientations : float64, shape (T, 25, 4)
        Unit quaternions W X Y Z that turn the standing bones into place.
    """
    orientations = _quaternion(angles)
    positions = np.zeros(angles.shape)
    for joint, parent in PARENTS.items():
        turned = _rotate(orientations[:, parent], offsets[joint])
        positions[:, joint] = positions[:, parent] + turned
        orientations[:, joint] = _multiply(orientations[:, parent], orientations[:, joint])
    return positions, orientations


def _smooth_noise(rng: np.random.Generator, num_frames: int, shape: tuple[int, ...]) -> np.ndarray:
    """Slow random curves [T, *shape] of standard deviation 1: a sum of four sinusoids each."""
    seconds = np.arange(num_frames).reshape(-1, *[1] * (len(shape) + 1)) / FPS
    hertz = rng.uniform(0.2, 2.0, (*shape, 4))
    phase = rng.uniform(0, 2 * np.pi, (*shape, 4))
    return np.sin(2 * np.pi * hertz * seconds + phase).sum(axis=-1) / np.sqrt(2)


def _ramp(time: np.ndarray, start: float, end: float) -> np.ndarray:
    """From 0 before ``start`` to 1 after ``end`` without a jump in speed."""
    x = np.clip((time - start) / (end - start), 0, 1)
    return x * x * (3 - 2 * x)


def _both(
    angles: np.ndarray,
    left_joint: int,
    x: np.ndarray | float = 0.0,
    y: np.ndarray | float = 0.0,
    z: np.ndarray | float = 0.0,
) -> None:
    """Add to the angles of a left joint, and their mirror image to its right counterpart."""
    turn = np.zeros((len(angles), 3))
    turn[:, 0], turn[:, 1], turn[:, 2] = x, y, z
    angles[:, left_joint] += turn
    angles[:, _MIRROR[left_joint]] += turn * _MIRRORED


# Each movement takes time [T] from 0 to 1 and a generator, adds to the angles [T, 25, 3], and
# returns how far the person has walked, [T] metres.
_Movement = Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray]


def _stand(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    return np.zeros(len(time))


def _read(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    _both(angles, 4, x=0.3)
    _both(angles, 5, x=1.3, y=-0.3)
    angles[:, 2, 0] -= 0.3
    return np.zeros(len(time))


def _wave(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    raised = _ramp(time, 0.05, 0.25) * (1 - _ramp(time, 0.8, 0.95))
    seconds = len(time) / FPS
    swing = np.sin(2 * np.pi * rng.uniform(1.2, 2.0) * seconds * time)
    angles[:, 8, 2] += 1.4 * raised
    angles[:, 9, 2] += raised * (1.3 + 0.5 * swing)
    return np.zeros(len(time))


def _crouch(angles: np.ndarray, depth: np.ndarray, hip: float) -> None:
    _both(angles, 12, x=hip * depth)
    _both(angles, 13, x=-hip * depth)
    angles[:, 1, 0] -= 0.7 * depth * (1 - depth)


def _sit(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    depth = _ramp(time, 0.2, 0.7)
    _crouch(angles, depth, hip=1.5)
    _both(angles, 4, x=0.5 * depth)
    _both(angles, 5, x=0.7 * depth)
    return np.zeros(len(time))


def _stand_up(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    return _sit(1 - time, rng, angles)


def _squat(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    depth = _ramp(time, 0.15, 0.45) * (1 - _ramp(time, 0.55, 0.85))
    _crouch(angles, depth, hip=1.9)
    _both(angles, 4, x=1.4 * depth)
    return np.zeros(len(time))


def _hands_up(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    raised = _ramp(time, 0.1, 0.4) * (1 - _ramp(time, 0.7, 0.95))
    _both(angles, 4, z=-2.7 * raised)
    return np.zeros(len(time))


def _fall(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    tipped = np.clip((time - 0.25) / 0.35, 0, 1) ** 2
    side = rng.choice([-1.0, 1.0])
    angles[:, 0, 2] += side * 1.5 * tipped
    _both(angles, 12, x=0.6 * tipped)
    _both(angles, 13, x=-0.9 * tipped)
    _both(angles, 4, x=0.5 * np.sin(np.pi * tipped))
    return np.zeros(len(time))


def _stride(angles: np.ndarray, walked: np.ndarray) -> None:
    """Swing legs and arms once for every 1.3 m walked."""
    phase = 2 * np.pi * walked / 1.3
    moving = np.clip(np.abs(np.gradient(walked)) * FPS / 0.5, 0, 1) if len(walked) > 1 else 0.0
    for hip, knee, shoulder, shift in ((12, 13, 8, 0.0), (16, 17, 4, np.pi)):
        swing = np.sin(phase + shift) * moving
        angles[:, hip, 0] += 0.4 * swing
        angles[:, knee, 0] -= 0.35 * moving * (1 + np.cos(phase + shift))
        angles[:, shoulder, 0] += 0.3 * swing


def _walk(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    walked = 0.9 * _ramp(time, 0.05, 0.95)
    _stride(angles, walked)
    return walked


def _hug(time: np.ndarray, rng: np.random.Generator, angles: np.ndarray) -> np.ndarray:
    walked = 0.55 * _ramp(time, 0.05, 0.45)
    _stride(angles, walked)
    embrace = _ramp(time, 0.3, 0.55)
    _both(angles, 4, x=1.2 * embrace, y=0.3 * embrace)
    _both(angles, 5, y=-1.2 * embrace, x=0.4 * embrace)
    return walked


@dataclass(frozen=True)
class Action:
    """A movement that the generator knows, and the NTU class it stands for.

    Parameters
    ----------
    number : int
        Action number A of the file name, 1 to 120.
    label : str
        The official name of the class.
    stances : tuple of (float, float)
        Where each person begins: metres to the right of the middle, and the turn about the
        vertical in radians (0 looks at the camera, -pi/2 to image-right).
    movement : callable
        Adds the movement to joint angles.
    """

    number: int
    label: str
    stances: tuple[tuple[float, float], ...]
    movement: _Movement


_ALONE = ((0.0, 0.0),)
_EYE_TO_EYE = np.pi / 2

ACTIONS: dict[str, Action] = {
    "wave": Action(23, "hand waving", _ALONE, _wave),
    "sit": Action(8, "sitting down", _ALONE, _sit),
    "hug": Action(55, "hugging other person", ((-0.7, -_EYE_TO_EYE), (0.7, _EYE_TO_EYE)), _hug),
    "stand": Action(11, "reading", _ALONE, _read),
    "fall": Action(43, "falling", _ALONE, _fall),
    "walk": Action(
        59, "walking towards each other", ((-1.25, -_EYE_TO_EYE), (1.25, _EYE_TO_EYE)), _walk
    ),
    "stand_up": Action(9, "standing up (from sitting position)", _ALONE, _stand_up),
    "squat": Action(80, "squat down", _ALONE, _squat),
    "hands_up": Action(95, "hands up (both hands)", _ALONE, _hands_up),
    "follow": Action(
        116, "follow other person", ((-1.1, -_EYE_TO_EYE), (0.0, -_EYE_TO_EYE)), _walk
    ),
}
"""The movements by name. NTU has no class for standing still; "stand" takes the number of the
stillest one, reading."""


def _move(
    movement: _Movement,
    num_frames: int,
    performer: int,
    turn: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """One person's positions (floor at y = 0, start at x = z = 0) and orientations."""
    angles = 0.015 * _smooth_noise(rng, num_frames, (NUM_JOINTS, 3))
    _both(angles, 4, z=-0.12)
    _both(angles, 5, x=0.2)
    walked = movement(np.linspace(0, 1, num_frames), rng, angles)
    angles[:, 0, 1] += turn
    positions, orientations = forward_kinematics(angles, bone_offsets(performer))
    # the feet carry the body: they stay in place, or slide along the path that is walked
    positions -= positions[:, [14, 18]].mean(axis=1, keepdims=True) * (1, 0, 1)
    positions[..., 1] += 0.04 - positions[..., 1].min(axis=1, keepdims=True)
    positions += walked[:, None, None] * np.array([-np.sin(turn), 0, -np.cos(turn)])
    positions += 0.0015 * _smooth_noise(rng, num_frames, (NUM_JOINTS, 3))
    return positions, orientations


def _observe(
    positions: np.ndarray, orientations: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put a person into the room, and give the orientations as a Kinect does."""
    # A Kinect's joint axes look back at the sensor when the person faces it: half a turn.
    seen = _multiply(orientations, np.array([0.0, 0.0, 1.0, 0.0]))
    seen[:, LEAVES] = 0
    return positions + place, seen


def action_motion(
    action: str, num_frames: int, performer: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Perform an action 2.4 to 3.6 m in front of the sensor.

    Parameters
    ----------
    action : str
        A key of `ACTIONS`.
    num_frames : int
        T, 1 or more; the action is stretched over them.
    performer : int
        Whose bones the first person has; a second person has those of the next number.
    rng : numpy.random.Generator
        Where, how fast and how steadily the action is performed.

    Returns
    -------
    list of (positions, orientations), one per person
        float64 (T, 25, 3) in metres, camera space; float64 (T, 25, 4) unit quaternions W X Y Z,
        zero for `LEAVES`. They turn as the bones do, but the rest pose of the limbs is not
        Kinect's.

    Raises
    ------
    UsageError
        When the action is unknown.
    """
    if action not in ACTIONS:
        raise UsageError("unknown action", found=action, expected=", ".join(ACTIONS))
    middle = np.array([rng.uniform(-0.3, 0.3), -rng.uniform(0.9, 1.1), rng.uniform(2.4, 3.6)])
    view = rng.uniform(-0.35, 0.35)
    sideways = np.array([np.cos(view), 0, -np.sin(view)])
    people = []
    for index, (right, turn) in enumerate(ACTIONS[action].stances):
        motion = _move(ACTIONS[action].movement, num_frames, performer + index, turn + view, rng)
        people.append(_observe(*motion, middle + right * sideways))
    return people


def bystander_motion(
    num_frames: int, performer: int, right: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who stands in the background, ``right`` metres to the right of the image's middle.

    Parameters and results are those of `action_motion`, for one person.
    """
    motion = _move(_stand, num_frames, performer, rng.uniform(-0.3, 0.3), rng)
    return _observe(*motion, np.array([right, -1.0, rng.uniform(3.7, 4.0)]))
