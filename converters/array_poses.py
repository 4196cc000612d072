"""Dense arrays of training repos to clips: joint sets, channels, missing joints, tracks.

Such arrays hold M slots for people in each of T frames, and zeros where nobody is. Which joints
and which channels they have is nowhere in them; it follows from their shape, or is asked for.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import Description, LayerDescription, Option, Problem, Sample
from posedata.converters.people import LARGEST_NUM_FRAMES
from posedata.errors import InputError, UsageError
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton

SKELETON = Option("skeleton", "the joint set of the array, e.g. h36m17; auto: by its size", "auto")
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
#: The clip column that says what the numbers are.
COORDINATES_COLUMN: Mapping[str, Mapping[str, Any]] = {
    "coordinates": {
        "type": "string", "per": "clip",
        "about": "What the numbers are: as in the array, whose maker may have centred, turned or "
        "scaled them; not always pixels, nor metres in the camera frame.",
    }
}  # fmt: skip

_ROWS_LOOKED_AT = 16
_NUM_CHANNELS = {"xy": 2, "xys": 3, "xyz": 3, "xyxyz": 5}

# The joint sets that published arrays have, by number of joints, in space and in the picture.
_IN_SPACE = {25: "nturgbd25", 20: "kinect20"}
_IN_PICTURE = {25: "nturgbd25", 20: "kinect20", 18: "openpose18", 17: "coco17"}
_UNIK = {17: "smarthome17"}  # its 2D arrays have no scores

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
        values = poses[np.isfinite(poses).all(-1)]
        third = values[:, 2]
        are_scores = bool((third >= 0).all() and (third <= _LARGEST_SCORE).all())
        are_pixels = bool(are_scores and (np.abs(values[:, :2]) > _FAR).any())
        if (channels == "xyz" and are_pixels) or (channels == "xys" and not are_scores):
            looks = "x, y and score" if channels == "xyz" else "x, y, z"
            raise InputError(f"the three channels of {num_joints} joints look like {looks}",
                             path=path, remedy=remedy)  # fmt: skip
    return Kind(num_joints, channels)


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
            raise UsageError(f"--skeleton {option}: the array has another number of joints",
                             found=num_joints, expected=skeleton.num_joints)  # fmt: skip
        return skeleton
    name = (_IN_SPACE if channels == "xyz" else _IN_PICTURE).get(num_joints)
    if channels == "xyxyz":
        name = _UNIK.get(num_joints)
    if name is None:
        sets = [name for name in list_skeletons() if load_skeleton(name).num_joints == num_joints]
        raise InputError(
            "the joint set cannot be told from the array", found=f"{num_joints} joints",
            remedy=f"Give it with --skeleton: {', '.join(sets)}." if sets else
            f"posedata knows no joint set of this size; it knows {', '.join(list_skeletons())}.",
        )  # fmt: skip
    return load_skeleton(name)


def layer_of(name: str, kinds: Iterable[Kind], options: Mapping[str, Any]) -> LayerDescription:
    """Describe the layer of the most frequent kind; what is of another kind is rejected later."""
    (kind, _), *_ = Counter(kinds).most_common(1)
    skeleton = skeleton_of(kind, options["skeleton"])
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


def coordinates_of(centre: int | None, description: Description) -> str:
    """Say what the coordinates of an array are: the clip column ``coordinates``."""
    coordinates = "as in the array"
    skeleton = load_skeleton(description.layer().skeleton)
    if centre is not None and centre < skeleton.num_joints:
        coordinates += f", the first person's {skeleton.joints[centre]} at 0"
    return coordinates


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
    centres = set()
    for clip in clips:
        there = (clip[0] != 0).any((-1, -2))
        if there.any():
            first = clip[0, there.argmax()]
            centres.add(tuple(np.flatnonzero((first == 0).all(-1)).tolist()))
    if len(centres) == 1 and len(centre := centres.pop()) == 1:
        return centre[0]
    return None


def build_clip(
    sample: Sample,
    description: Description,
    poses: np.ndarray,
    kind: Kind,
    info: Mapping[str, Any],
    position: str = "",
    centre: int | None = None,
) -> tuple[Clip, list[Problem]]:
    """Make a clip of a dense array.

    A joint of zeros only (in 2D: with score 0, where there are scores) is missing, and becomes
    NaN; so does one that is NaN. A slot without joints in a frame is nobody. Each slot is a track.

    Parameters
    ----------
    sample : Sample
        Which clip of which file.
    description : Description
        Of the data set.
    poses : array, shape (M, T, V, C)
        Numbers of any type.
    kind : Kind
        Of the array.
    info : mapping
        Clip columns without ``num_frames``, which is T.
    position : str
        Where in the file, for messages.
    centre : int, optional
        From `find_centre`.

    Returns
    -------
    clip : Clip
    problems : list of Problem
        Warnings: nobody in any frame, numbers that are not finite, scores outside 0 to 1.

    Raises
    ------
    InputError
        If the array is not of the layer's kind, or has too many frames.
    """
    layer = description.layer()
    skeleton = load_skeleton(layer.skeleton)
    _check(sample, layer, skeleton, poses, kind, position)
    problems: list[Problem] = []

    def warn(what: str, wrong: np.ndarray | None = None) -> None:
        if wrong is None or wrong.any():
            reason = what if wrong is None else f"{what}: {np.count_nonzero(wrong)} times"
            problems.append(Problem(sample.path, "read", reason, position, "warning"))

    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(poses, np.float32)
    scores = values[..., 2] if kind.channels == "xys" else None
    arrays: dict[str, np.ndarray] = {}
    if kind.channels != "xyz":
        arrays["keypoints_2d"] = values[..., :2]
    if kind.channels in ("xyz", "xyxyz"):
        arrays["keypoints_3d"] = values[..., -3:]
    there = np.zeros(values.shape[:3], bool)
    for name, array in arrays.items():
        zero = (array == 0).all(-1)
        if scores is not None:
            zero &= scores == 0
        missing = zero | np.isnan(array).all(-1)
        if name == "keypoints_3d" and centre is not None:  # no row, if it is alone
            others = ~missing
            others[..., centre] = False
            missing[..., centre] &= ~others.any(-1)
        broken = ~np.isfinite(array).all(-1) & ~missing
        warn(f"{name}: joint with coordinates that are not finite, now missing", broken)
        if scores is not None:
            unknown = np.isnan(scores) & ~missing & ~broken
            warn("joint with a score that is not a number, now missing", unknown)
            broken |= unknown
        missing |= broken
        arrays[name] = np.where(missing[..., None], np.float32(np.nan), array)
        there |= ~missing
    if scores is not None:
        scores = np.where(there, scores, np.float32(0))
        warn("score above 1, now 1", scores > 1)
        warn("score below 0, now 0", scores < 0)
        arrays["scores"] = scores.clip(0, 1)
    slots, frames, persons = _tracks(there.any(-1))
    if not len(slots):
        warn("nobody in any frame: no number is anything but 0")
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=skeleton,
        frames=frames,
        persons=persons,
        extra={"slots": slots},
        info={"num_frames": values.shape[1], **info},
        **{name: np.ascontiguousarray(array[slots, frames]) for name, array in arrays.items()},
    ), problems


def _check(
    sample: Sample, layer: LayerDescription, skeleton: Skeleton, poses: np.ndarray, kind: Kind,
    position: str,
) -> None:  # fmt: skip
    place = {"path": sample.path, "position": position}
    if poses.dtype.kind not in "fiub":
        raise InputError("no array of numbers", found=poses.dtype, **place)
    if poses.ndim != 4 or poses.shape[3] != kind.num_channels:
        expected = f"(people, frames, joints, {kind.num_channels})"
        raise InputError("bad shape", found=poses.shape, expected=expected, **place)
    columns = tuple(name for name in layer.columns if name != "slots")
    if kind.num_joints != skeleton.num_joints or poses.shape[2] != kind.num_joints:
        raise InputError("another number of joints than most", found=poses.shape[2],
                         expected=f"{skeleton.num_joints} ({skeleton.name})", **place)  # fmt: skip
    if COLUMNS[kind.channels] != columns:
        raise InputError("other channels than most", found=", ".join(COLUMNS[kind.channels]),
                         expected=", ".join(columns), **place)  # fmt: skip
    if poses.shape[1] > LARGEST_NUM_FRAMES:
        raise InputError("too many frames for a video", found=poses.shape[1],
                         expected=f"at most {LARGEST_NUM_FRAMES}", **place)  # fmt: skip


def _tracks(there: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slot, frame and person of each pose, sorted by person; persons by their first frame.

    ``there``: bool, shape (M, T).
    """
    used = np.flatnonzero(there.any(1))
    used = used[np.argsort(there[used].argmax(1), kind="stable")] if len(used) else used
    persons, frames = np.nonzero(there[used])
    return used[persons].astype(np.int32), frames.astype(np.int32), persons.astype(np.int32)


def whole_label(value: Any) -> int | None:
    """Give a class as a Python int, or None where it is none that a release can hold."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, int | np.integer) and abs(int(value)) < 1 << 62:
        return int(value)
    return None


def short(value: Any) -> str:
    """Show a value of a file in a message, whatever its size."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    return reprlib.repr(value)


def release_name(paths: Sequence[str], otherwise: str) -> str:
    """Name a release after the one file that it is made of."""
    names = {path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in paths}
    name = names.pop() if len(names) == 1 else ""
    simple = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return simple.strip("_-") or otherwise
