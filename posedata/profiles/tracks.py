"""A clip as tracks, and the steps that NTU RGB+D scripts share.

PYSKL and CTR-GCN (whose scripts SGN, VA-NN and InfoGCN have, too) clean Kinect's bodies in the same
way, up to details on which bits of the result depend. Each step here is one part of that, with
those details as parameters. A step computes with float32 numpy calls on arrays of the layout that
the scripts have, so that sums round as theirs do.

Sources: kennymckormick/pyskl, ``tools/data/ntu_preproc.py``; Uason-Chen/CTR-GCN, ``data/ntu`` and
``data/ntu120``: ``get_raw_skes_data.py``, ``get_raw_denoised_data.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.errors import InputError, UsageError

#: How a step reports what it drops or changes: in which words, and how many.
Note = Callable[[str, int], None]


class Track(NamedTuple):
    """The poses of one body in one clip.

    Attributes
    ----------
    frames : int64, shape (T,)
        Where they are on the frame axis, ascending.
    joints : float32, shape (T, V, 3)
        Metres; C-contiguous.
    motion : float32
        See `measure_motion`; NaN before.
    """

    frames: np.ndarray
    joints: np.ndarray
    motion: np.floating = np.float32(np.nan)

    @property
    def start(self) -> int:
        """Its first frame."""
        return int(self.frames[0])

    @property
    def stop(self) -> int:
        """The frame after its last."""
        return int(self.frames[-1]) + 1


@dataclass(frozen=True)
class Tracks:
    """The bodies of one clip on their way through a profile.

    Attributes
    ----------
    clip_id : str
        Of the clip.
    info : mapping
        Of the clip.
    num_frames : int
        Length of the frame axis (T).
    bodies : tuple of Track
        Those left, in the order in which the file has them until a step sorts them.
    alone : bool
        Whether the clip has but one body from the start: the scripts let it pass as it is.
    actors : float32, shape (T, M, V, 3), optional
        Once actors are filled: M = 1 if a single body was left, else 2; zeros where nobody is.
    """

    clip_id: str
    info: Mapping[str, Any]
    num_frames: int
    bodies: tuple[Track, ...]
    alone: bool
    actors: np.ndarray | None = None

    @property
    def label(self) -> int:
        """The clip's 0-based class.

        Raises
        ------
        UsageError
            If the clip has none.
        """
        if self.info.get("label") is None:
            raise UsageError(f"clip {self.clip_id} has no label")
        return int(self.info["label"])

    @property
    def filled(self) -> np.ndarray:
        """The actors.

        Raises
        ------
        UsageError
            If no step has filled them yet.
        """
        if self.actors is None:
            raise UsageError("a step that needs actors comes before fill_actors")
        return self.actors


def make_tracks(clip: Clip, note: Note) -> Tracks:
    """Take the positions of each body, as float32 numbers of the file, in the order of the file.

    Parameters
    ----------
    clip : Clip
        With ``keypoints_3d``. A joint that is NaN only in part in the file is so here, too, if
        the clip tells (see `Clip.source_values`).
    note : callable
        Reports nothing here.

    Returns
    -------
    Tracks

    Raises
    ------
    UsageError
        If the clip has no 3D positions.
    InputError
        If it has no body in any frame: the scripts stop there, or give None.
    """
    if clip.keypoints_3d is None:
        raise UsageError(f"clip {clip.clip_id} has no keypoints_3d")
    if not len(clip.frames):
        raise InputError(
            "no body in any frame", path=clip.clip_id,
            remedy="The published script has no result for such a clip.",
        )  # fmt: skip
    with np.errstate(over="ignore"):
        positions = clip.source_values("keypoints_3d").astype(np.float32)
    ends = np.flatnonzero(np.diff(clip.persons)) + 1
    bodies = tuple(
        Track(frames.astype(np.int64), joints)
        for frames, joints in zip(
            np.split(clip.frames, ends), np.split(positions, ends), strict=True
        )
    )
    return Tracks(clip.clip_id, clip.info, clip.num_frames, bodies, alone=len(bodies) == 1)


def drop_empty_frames(tracks: Tracks, note: Note) -> Tracks:
    """Drop the frames in which no body is; later frames move forward."""
    occupied = np.zeros(tracks.num_frames, bool)
    for body in tracks.bodies:
        occupied[body.frames] = True
    num_frames = int(np.count_nonzero(occupied))
    if num_frames == tracks.num_frames:
        return tracks
    note("frames without bodies dropped", tracks.num_frames - num_frames)
    place = np.cumsum(occupied) - 1
    bodies = tuple(body._replace(frames=place[body.frames]) for body in tracks.bodies)
    return replace(tracks, num_frames=num_frames, bodies=bodies)


def close_gaps(tracks: Tracks, note: Note) -> Tracks:
    """Close the gaps of each track: what follows one moves forward, against other bodies too."""
    bodies = []
    for body in tracks.bodies:
        frames = body.start + np.arange(len(body.frames))
        note("poses moved forward over gaps", int(np.count_nonzero(frames != body.frames)))
        bodies.append(body._replace(frames=frames))
    return replace(tracks, bodies=tuple(bodies))


def motion_of(joints: np.ndarray) -> np.floating:
    """Variance of x, y and z over all joints of all frames, summed, as the scripts have it.

    Parameters
    ----------
    joints : float32, shape (T, V, 3)

    Returns
    -------
    float32
        Square metres. NaN where a number is.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return np.sum(np.var(joints.reshape(-1, 3), axis=0))


def measure_motion(tracks: Tracks, note: Note) -> Tracks:
    """Measure the motion of each body, the variance of its coordinates; not of a body alone.

    See `motion_of`.
    """
    if tracks.alone:
        return tracks
    bodies = tuple(body._replace(motion=motion_of(body.joints)) for body in tracks.bodies)
    return replace(tracks, bodies=bodies)


def sort_by_motion(tracks: Tracks, note: Note, *, negated: bool) -> Tracks:
    """Sort the bodies by motion, the largest first; equal ones keep their order.

    Parameters
    ----------
    tracks : Tracks
        Motions measured.
    note : callable
        Reports nothing here.
    negated : bool
        Whether the script sorts the negative motions ascending, or the motions in reverse. The
        order is the same unless a motion is NaN: then it is what Python's sort makes of it.
    """
    bodies = list(tracks.bodies)
    if negated:
        bodies.sort(key=lambda body: -body.motion)
    else:
        bodies.sort(key=lambda body: body.motion, reverse=True)
    return replace(tracks, bodies=tuple(bodies))


def drop_short_tracks(tracks: Tracks, note: Note, *, longest: int) -> Tracks:
    """Drop the bodies of few frames, if there are several bodies.

    Parameters
    ----------
    tracks : Tracks
    note : callable
        Reports the bodies dropped.
    longest : int
        Frames up to which a body is dropped.

    Returns
    -------
    Tracks

    Raises
    ------
    InputError
        If no body is left: the scripts stop there.
    """
    if tracks.alone:
        return tracks
    bodies = tuple(body for body in tracks.bodies if len(body.frames) > longest)
    note(f"bodies of up to {longest} frames dropped", len(tracks.bodies) - len(bodies))
    if not bodies:
        raise InputError(
            "no body is long enough", path=tracks.clip_id,
            found=f"{len(tracks.bodies)} bodies of up to {longest} frames",
            remedy="The published script has no result for such a clip.",
        )  # fmt: skip
    return replace(tracks, bodies=bodies)


def drop_wide_tracks(
    tracks: Tracks,
    note: Note,
    *,
    width_to_height: float,
    share: float,
    keep_last: bool,
    compared_as: str = "float32",
) -> Tracks:
    """Drop the bodies that are wide in most frames; measure the others without their wide frames.

    A frame is wide where the joints' extent in x is larger than ``width_to_height`` of that in y,
    or where either is NaN. The motion of a body with wide frames becomes that of its others, if
    that is less. Poses are not dropped.

    Parameters
    ----------
    tracks : Tracks
        Motions measured.
    note : callable
        Reports the bodies dropped.
    width_to_height : float
        See above.
    share : float
        Share of wide frames from which a body is dropped.
    keep_last : bool
        Whether bodies are judged one after the other, and a body that is the only one left is
        kept unseen. Else all are judged.
    compared_as : str
        ``float32``, as numpy 2 computes with a float32 number and a Python float; or ``float64``,
        as numpy 1 did. It matters where the extents are in the ratio to all digits of float32.

    Returns
    -------
    Tracks

    Raises
    ------
    InputError
        If no body is left: the script stops there.
    """
    if len(tracks.bodies) == 1:
        return tracks
    left = len(tracks.bodies)
    bodies = []
    for body in tracks.bodies:
        if keep_last and left == 1:
            bodies.append(body)
            continue
        narrow = _narrow_frames(body.joints, width_to_height, compared_as)
        num_wide = len(narrow) - np.count_nonzero(narrow)
        if num_wide / len(narrow) >= share:
            left -= 1
            continue
        if num_wide:
            # Python's min: a NaN in the first place stays, one in the second does not count
            body = body._replace(motion=min(body.motion, motion_of(body.joints[narrow])))
        bodies.append(body)
    note(
        f"bodies wider than {width_to_height} of their height in most frames dropped",
        len(tracks.bodies) - left,
    )
    if not bodies:
        raise InputError(
            "every body is wide in most frames", path=tracks.clip_id,
            found=f"{len(tracks.bodies)} bodies",
            remedy="The published script has no result for such a clip.",
        )  # fmt: skip
    return replace(tracks, bodies=tuple(bodies))


def _narrow_frames(joints: np.ndarray, width_to_height: float, compared_as: str) -> np.ndarray:
    x, y = joints[..., 0], joints[..., 1]
    with np.errstate(invalid="ignore", over="ignore"):
        width = x.max(axis=1) - x.min(axis=1)
        height = y.max(axis=1) - y.min(axis=1)
        return width <= height.astype(compared_as) * width_to_height


def fill_actors(tracks: Tracks, note: Note, *, may_share: int) -> Tracks:
    """Fill two actors: each body joins the first one in whose time it does not fall, or is lost.

    The body with the most motion is the first actor. An actor's time is all from its earliest
    frame to its latest; that of the second, once it has a body, begins at frame 0. A body alone
    is the only actor.

    Parameters
    ----------
    tracks : Tracks
        Without gaps, sorted.
    note : callable
        Reports the bodies that are lost, and the poses that others replace.
    may_share : int
        How many frames of an actor's time a body may take; its poses replace those that are
        there.

    Returns
    -------
    Tracks
        With `Tracks.actors`.
    """
    first, *others = tracks.bodies
    num_joints = first.joints.shape[1]
    num_actors = 2 if others else 1
    actors = np.zeros((tracks.num_frames, num_actors, num_joints, 3), np.float32)
    actors[first.start : first.stop, 0] = first.joints
    times: list[tuple[int, int] | None] = [(first.start, first.stop), None]
    lost = replaced = 0
    for body in others:
        for actor, time in enumerate(times):
            shared = 0 if time is None else min(time[1], body.stop) - max(time[0], body.start)
            if shared > may_share:
                continue
            actors[body.start : body.stop, actor] = body.joints
            start, stop = time or (0, 0)
            times[actor] = (min(start, body.start), max(stop, body.stop))
            replaced += max(shared, 0)
            break
        else:
            lost += 1
    note("bodies dropped because both actors are there", lost)
    note("poses replaced by those of another body", replaced)
    return replace(tracks, actors=actors)
