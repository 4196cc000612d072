"""What an array of poses holds: its joint set and channels, which are nowhere in it.

They follow from its shape, or are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posedata.converter import LayerDescription, Option
from posedata.errors import InputError, UsageError
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton

SKELETON = Option("joints", "the joint set of the array, e.g. h36m17; auto: by its size", "auto")
CHANNELS = Option(
    "channels", "what three channels are: xyz, or x, y and the score (xys); auto: by the joint set",
    "auto", ("auto", "xyz", "xys"),
)  # fmt: skip

#: Pose columns of each kind of channels.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "xy": ("keypoints_2d",),
    "xys": ("keypoints_2d", "scores"),
    "xyz": ("keypoints_3d",),
    "xyxyz": ("keypoints_2d", "keypoints_3d"),
}
_ROWS_LOOKED_AT = 16
_NUM_CHANNELS = {"xy": 2, "xys": 3, "xyz": 3, "xyxyz": 5}

# The joint sets that published arrays have, by number of joints, in space and in the picture.
_IN_SPACE = {25: "nturgbd25", 20: "kinect20"}
_IN_PICTURE = {25: "nturgbd25", 20: "kinect20", 18: "openpose18", 17: "coco17"}
_UNIK = {17: "smarthome17"}

# Kinect sees 8 m far, and scores end near 1: what is beyond is something else.
_FAR = 20.0
_LARGEST_SCORE = 1.5


class Kind(NamedTuple):
    """What an array holds of a pose.

    Attributes
    ----------
    num_joints : int
        V.
    channels : str
        ``xy``, ``xys`` (x, y, score), ``xyz``, or ``xyxyz`` (2D, then 3D).
    """

    num_joints: int
    channels: str

    @property
    def num_channels(self) -> int:
        """C."""
        return _NUM_CHANNELS[self.channels]


def kind_of(
    num_joints: int, num_channels: int, option: str, path: str, poses: np.ndarray | None = None
) -> Kind:
    """Tell what the channels of an array are.

    Parameters
    ----------
    num_joints, num_channels : int
        V and C of the array.
    option : str
        Of `CHANNELS`.
    path : str
        The file, for error messages.
    poses : float, shape (..., C), optional
        Some of them. A choice by ``auto`` that they contradict is refused.

    Raises
    ------
    InputError
        If it cannot be told, or is no number of channels that poses have.
    """
    if num_channels in (2, 5):
        return Kind(num_joints, "xy" if num_channels == 2 else "xyxyz")
    if num_channels != 3:
        raise InputError(
            "no array of poses", path=path, found=f"{num_channels} channels",
            expected="2 (x, y), 3 (x, y, z or x, y, score) or 5 (2D and 3D)",
        )  # fmt: skip
    if option != "auto":
        return Kind(num_joints, option)
    remedy = "Give --channels xyz, or --channels xys for x, y and score."
    if num_joints not in (*_IN_SPACE, *_IN_PICTURE):
        raise InputError(f"what the three channels of {num_joints} joints are cannot be told",
                         path=path, remedy=remedy)  # fmt: skip
    channels = "xyz" if num_joints in _IN_SPACE else "xys"
    if poses is not None and poses.size:
        contradicted = look_like_scores(poses) if channels == "xyz" else not _may_be_scores(poses)
        if contradicted:
            looks = "x, y and score" if channels == "xyz" else "x, y, z"
            raise InputError(f"the three channels of {num_joints} joints look like {looks}",
                             path=path, remedy=remedy)  # fmt: skip
    return Kind(num_joints, channels)


def look_like_scores(poses: np.ndarray) -> bool:
    """Whether three channels cannot be metres, and the third can be a score.

    Parameters
    ----------
    poses : float, shape (..., 3)
        In metres nobody is as far away as these are in pixels.
    """
    size = np.abs(poses[..., :2].astype(np.float64))
    return _may_be_scores(poses) and bool((np.isfinite(size) & (size > _FAR)).any())


def _may_be_scores(poses: np.ndarray) -> bool:
    third = poses[..., 2]
    return not ((third < 0) | (third > _LARGEST_SCORE)).any()


def skeleton_of(kind: Kind, option: str) -> Skeleton:
    """Choose the joint set.

    Raises
    ------
    InputError
        If there are several of that size, or none, and the option does not say which.
    UsageError
        If the option names a joint set of another size.
    """
    num_joints, channels = kind
    if option != "auto":
        skeleton = load_skeleton(option)
        if skeleton.num_joints != num_joints:
            raise UsageError(f"--joints {option}: the array has another number of joints",
                             found=num_joints, expected=skeleton.num_joints)  # fmt: skip
        return skeleton
    known = {"xyz": _IN_SPACE, "xyxyz": _UNIK}.get(channels, _IN_PICTURE)
    name = known.get(num_joints)
    if channels == "xy" and num_joints in _UNIK:  # COCO's poses, or UNIK's, which have no scores
        name = None
    if name is None:
        sets = [name for name in list_skeletons() if load_skeleton(name).num_joints == num_joints]
        raise InputError(
            "the joint set cannot be told from the array", found=f"{num_joints} joints",
            remedy=f"Give it with --joints: {', '.join(sets)}." if sets else
            f"posedata knows no joint set of this size; it knows {', '.join(list_skeletons())}.",
        )  # fmt: skip
    return load_skeleton(name)


def layer_of(name: str, kinds: Iterable[Kind], options: Mapping[str, Any]) -> LayerDescription:
    """Describe the layer of the most frequent kind; what is of another kind is rejected later."""
    (kind, _), *_ = Counter(kinds).most_common(1)
    skeleton = skeleton_of(kind, options["joints"])
    return LayerDescription(
        name=name, skeleton=skeleton.name, columns=("slots", *COLUMNS[kind.channels])
    )


def rows_to_look_at(number: int) -> list[int]:
    """Choose some rows of an array, from which it is told what it holds."""
    return sorted(set(np.linspace(0, max(0, number - 1), _ROWS_LOOKED_AT).astype(int).tolist()))


def look_at(
    clips: Sequence[np.ndarray], num_joints: int, num_channels: int, option: str, path: str
) -> tuple[Kind, int | None]:
    """Tell what an array holds, and on which joint it is centred, from some of its clips.

    Parameters
    ----------
    clips : sequence of float, shape (M, T, V, C)
        Some.
    num_joints, num_channels, option, path
        As for `kind_of`, which also says what is raised.
    """
    joints = [clip[(clip != 0).any(-1)] for clip in clips]
    kind = kind_of(num_joints, num_channels, option, path,
                   np.concatenate(joints) if joints else None)  # fmt: skip
    return kind, find_centre(clips) if kind.channels == "xyz" else None


def find_centre(clips: Iterable[np.ndarray]) -> int | None:
    """Find the joint that whoever made an array moved to (0, 0, 0), and which is not missing.

    Parameters
    ----------
    clips : iterable of float, shape (M, T, V, 3)
        Some clips of the array.

    Returns
    -------
    int, optional
        The one joint that is (0, 0, 0) in the first pose of the first person of every clip.
    """
    zero: np.ndarray | None = None
    for clip in clips:
        there = (clip[0] != 0).any((-1, -2))
        if there.any():
            of_clip = (clip[0, there.argmax()] == 0).all(-1)
            zero = of_clip if zero is None else zero & of_clip
    if zero is not None and np.count_nonzero(zero) == 1:
        return int(zero.argmax())
    return None
