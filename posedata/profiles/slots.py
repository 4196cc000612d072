"""Bodies by their place in the frame, and the steps that the ST-GCN family of scripts shares.

ST-GCN's reader numbers the bodies of a frame 0, 1, ... as the file lists them. 2s-AGCN, MS-G3D,
mmaction2 and UNIK took that over, and added the choice of the two bodies with the most energy, the
filling of empty frames, and the turning of the body into its own axes. Each of these is a step
here, a plain function from `Bodies` to `Bodies`.

The result is to have the scripts' bits. They ask in many places whether numbers add up to exactly
0, and compute with whatever type an array happens to have at that point. numpy adds in an order
that depends on the layout of the memory. So the arrays here have the scripts' types and layout, and
what decides anything is computed by the same numpy calls.

Sources: lshiwjx/2s-AGCN, ``data_gen/ntu_gendata.py``, ``preprocess.py``, ``rotation.py``;
kenziyuliu/MS-G3D, the same files; open-mmlab/mmskeleton (st-gcn), ``tools/ntu_gendata.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.errors import InputError, UsageError

#: How a step reports what it drops or changes: in which words, and how many.
Note = Callable[[str, int], None]

NO_RESULT = "The published script stops there: it has no result for such a clip."


class Bodies(NamedTuple):
    """The bodies of one clip on their way through a profile.

    Attributes
    ----------
    clip_id : str
        For error messages.
    num_frames : int
        Of the clip, however long the arrays have become.
    joints : float64 or float32, shape (M, T, V, C)
        M places; zeros where nobody is.
    """

    clip_id: str
    num_frames: int
    joints: np.ndarray


def slots_of(clip: Clip) -> np.ndarray:
    """Place of each row's body among those of its frame: int32, shape (N,).

    Raises
    ------
    UsageError
        If the clip does not have it.
    """
    if "slots" not in clip.extra:
        raise UsageError(
            f"clip {clip.clip_id} does not say in which order its frames list the people",
            expected="the column slots", remedy="Convert the raw files again.",
        )  # fmt: skip
    return clip.extra["slots"]


def note_lost_order(clip: Clip, note: Note, most: int) -> None:
    """Report what it costs to tell people apart by their place in the frame."""
    slots = slots_of(clip)
    note("poses beyond the last place of a frame left out", int(np.count_nonzero(slots >= most)))
    moved = (np.diff(slots) != 0) & (np.diff(clip.persons) == 0)
    note("changes of a person's place in the frame", int(np.count_nonzero(moved)))


def slots_by_position(clip: Clip, note: Note, *, most: int) -> Bodies:
    """Take the bodies by their place in each frame's list; a place is not a person.

    Parameters
    ----------
    clip : Clip
        With ``keypoints_3d`` and ``slots``.
    note : callable
        Reports poses left out, and how often a person changes places.
    most : int
        Places (M). Later ones are left out.

    Returns
    -------
    Bodies
        float64, the source's own numbers, C-contiguous.
    """
    if clip.keypoints_3d is None:
        raise UsageError(f"clip {clip.clip_id} has no keypoints_3d")
    slots = slots_of(clip)
    note_lost_order(clip, note, most)
    source = clip.source_values("keypoints_3d")
    joints = np.zeros((most, clip.num_frames, *source.shape[1:]))
    kept = slots < most
    joints[slots[kept], clip.frames[kept]] = source[kept]
    return Bodies(clip.clip_id, clip.num_frames, joints)


def energy_of(body: np.ndarray) -> float:
    """Spread of a body's joints over all its frames: the standard deviations of x, y, ... added up.

    Parameters
    ----------
    body : float64, shape (T, V, C)
        Frames whose numbers add up to 0 do not count.

    Returns
    -------
    float
        0 (a whole number) without frames; NaN where a coordinate is.
    """
    if not body.any():
        return 0
    there = body[body.sum(-1).sum(-1) != 0]
    if not len(there):
        return 0
    return sum(there[:, :, axis].std() for axis in range(body.shape[-1]))


def keep_most_energy(bodies: Bodies, note: Note, *, people: int) -> Bodies:
    """Keep the bodies with the most energy (see `energy_of`), the largest first.

    Bodies of equal energy, or with NaN, come in the order that numpy's ``argsort`` gives, as in
    the scripts.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        order = np.array([energy_of(body) for body in bodies.joints]).argsort()[::-1]
    lost = [body for body in order[people:] if bodies.joints[body].any()]
    note("bodies with less energy left out", len(lost))
    return bodies._replace(joints=bodies.joints[order[:people]])


def pad_with_zeros(bodies: Bodies, note: Note, *, frames: int) -> Bodies:
    """Round to float32 and append frames of zeros.

    Parameters
    ----------
    bodies : Bodies
        Of any float type.
    note : callable
        Reports nothing here.
    frames : int
        Length of the result.

    Returns
    -------
    Bodies
        float32, shape (M, ``frames``, V, C), a view of an array (C, ``frames``, V, M): the memory
        layout in which the scripts go on.

    Raises
    ------
    InputError
        If the clip is longer.
    """
    people, length, num_joints, channels = bodies.joints.shape
    if length > frames:
        raise InputError("too many frames", path=bodies.clip_id, found=length,
                         expected=f"at most {frames}", remedy=NO_RESULT)  # fmt: skip
    padded = np.zeros((channels, frames, num_joints, people), np.float32)
    with np.errstate(over="ignore"):
        padded[:, :length] = bodies.joints.transpose(3, 1, 2, 0)
    return bodies._replace(joints=padded.transpose(3, 1, 2, 0))


def frames_that_add_up_to_zero(body: np.ndarray) -> np.ndarray:
    """Tell for each frame whether ``frame.sum() == 0``, which is how the scripts find empty ones.

    Parameters
    ----------
    body : float32, shape (T, V, C)
        Of any memory layout.

    Returns
    -------
    bool, shape (T,)
    """
    wide = body.astype(np.float64)
    total, size = wide.sum((1, 2)), np.abs(wide).sum((1, 2))
    # The error of a sum of n float32 numbers is below n * 2**-24 of the sum of their sizes, in
    # whatever order they are added. Where that leaves no doubt, no frame needs to be added alone.
    doubtful = ~(np.abs(total) > size * (body[0].size * 2.0**-23)) & np.isfinite(size)
    zero = size == 0
    for frame in np.flatnonzero(doubtful & ~zero):
        zero[frame] = body[frame].sum() == 0
    return zero


def pad_by_repeating(bodies: Bodies, note: Note) -> Bodies:
    """Fill the frames after a body's last one by repeating all of its frames from the first.

    A body that is not there in frame 0 first loses all its empty frames, so that it moves against
    time and against the other body. Empty frames in the middle of other bodies stay zeros.

    Raises
    ------
    InputError
        If a body's frames each add up to 0, but not all of them together.
    """
    joints = bodies.joints.copy(order="K")
    with np.errstate(invalid="ignore", over="ignore"):
        for body in joints:
            if body.sum() == 0:
                continue
            if body[0].sum() == 0:
                there = body.sum(-1).sum(-1) != 0
                moved = body[there].copy()
                body *= 0
                body[: len(moved)] = moved
                places = np.flatnonzero(there)
                note("poses moved forward over empty frames",
                     int(np.count_nonzero(places != np.arange(len(places)))))  # fmt: skip
            for frame in np.flatnonzero(frames_that_add_up_to_zero(body)):
                if body[frame:].sum() == 0:
                    if frame == 0:
                        raise InputError("a body whose frames each add up to 0",
                                         path=bodies.clip_id, remedy=NO_RESULT)  # fmt: skip
                    rest = len(body) - frame
                    body[frame:] = body[np.arange(rest) % frame]
                    note("frames filled by repeating a body", rest)
                    break
    return bodies._replace(joints=joints)


def centre(bodies: Bodies, note: Note, *, joint: int) -> Bodies:
    """Subtract one joint of the first body from all bodies, in each frame.

    A joint whose x, y and z add up to 0 counts as missing and becomes 0.

    Parameters
    ----------
    bodies : Bodies
        float32.
    note : callable
        Reports joints that are not missing and become 0.
    joint : int
        The joint that becomes the origin.
    """
    joints = bodies.joints.copy(order="K")
    with np.errstate(invalid="ignore", over="ignore"):
        if joints.sum() == 0:
            return bodies
        origin = joints[0][:, joint : joint + 1].copy()
        for body in joints:
            if body.sum() == 0:
                continue
            there = (body.sum(-1) != 0)[..., None]
            if not there.all():
                lost = ~there[..., 0] & body.any(-1)
                note("joints whose x, y and z add up to 0 set to 0", int(np.count_nonzero(lost)))
            body[:] = (body - origin) * there
    return bodies._replace(joints=joints)


def rotate_bone(
    bodies: Bodies, note: Note, *, start: int, end: int, axis: tuple[int, int, int]
) -> Bodies:
    """Turn all bodies so that a bone of the first one in frame 0 points along an axis.

    Frames whose numbers add up to 0 are not turned.

    Parameters
    ----------
    bodies : Bodies
        float32.
    note : callable
        Reports nothing here.
    start, end : int
        The bone's joints.
    axis : (int, int, int)
        Where it shall point, e.g. ``(0, 0, 1)``.
    """
    joints = bodies.joints.copy(order="K")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if joints.sum() == 0:
            return bodies
        turn = rotation_onto(joints[0, 0, end] - joints[0, 0, start], axis)
        for body in joints:
            if body.sum() == 0:
                continue
            there = ~frames_that_add_up_to_zero(body)
            points = body[there].astype(np.float64, order="C")[..., None]
            # one column at a time, on which numpy calls the BLAS routine of np.dot(turn, point);
            # a product with all points at once, or einsum, rounds in another way
            body[there] = np.matmul(turn, points)[..., 0]
    return bodies._replace(joints=joints)


def rotation_onto(direction: np.ndarray, axis: tuple[int, int, int]) -> np.ndarray:
    """Give the matrix that turns a direction onto an axis, by Euler and Rodrigues' formula.

    Parameters
    ----------
    direction : float32, shape (3,)
        Of any length. One below 1e-6 (all components together) is left as it is, as is one that
        is on the axis already.
    axis : (int, int, int)
        Of length 1.

    Returns
    -------
    float64, shape (3, 3)
    """
    normal = np.cross(direction, axis)
    angle = 0.0
    if not np.abs(direction).sum() < 1e-6:
        along = np.array(axis) / np.linalg.norm(axis)
        cosine = np.dot(direction / np.linalg.norm(direction), along)
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if np.abs(normal).sum() < 1e-6 or np.abs(angle) < 1e-6:
        return np.eye(3)
    a = math.cos(angle / 2.0)
    b, c, d = -(normal / math.sqrt(np.dot(normal, normal))) * math.sin(angle / 2.0)
    return np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)],
        [2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)],
        [2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip


def channels_first(bodies: Bodies, note: Note) -> np.ndarray:
    """Give the array as networks take it: (C, T, V, M)."""
    return np.ascontiguousarray(bodies.joints.transpose(3, 1, 2, 0))
