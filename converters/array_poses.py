"""Dense arrays of training repos to clips: missing joints, tracks.

Such arrays hold M slots for people in each of T frames, and zeros where nobody is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.converter import Description, LayerDescription, Problem, Sample
from posedata.converters.array_kinds import COLUMNS, Kind
from posedata.converters.people import LARGEST_NUM_FRAMES
from posedata.errors import InputError
from posedata.skeleton import Skeleton, load_skeleton

#: The clip column that says what the numbers are.
COORDINATES_COLUMN: Mapping[str, Mapping[str, Any]] = {
    "coordinates": {
        "type": "string", "per": "clip",
        "about": "What the numbers are: as in the array, whose maker may have centred, turned or "
        "scaled them; not always pixels, nor metres in the camera frame.",
    }
}  # fmt: skip


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
    slots, frames, persons = _tracks(np.any(there, -1))
    if not len(slots):
        warn("nobody in any frame: no number is anything but 0")
    rows = {name: np.ascontiguousarray(array[slots, frames]) for name, array in arrays.items()}
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=skeleton,
        frames=frames,
        persons=persons,
        keypoints_2d=rows.get("keypoints_2d"),
        keypoints_3d=rows.get("keypoints_3d"),
        scores=rows.get("scores"),
        extra={"slots": slots},
        info={"num_frames": values.shape[1], **info},
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


def coordinates_of(centre: int | None, description: Description) -> str:
    """Say what the coordinates of an array are: the clip column ``coordinates``."""
    coordinates = "as in the array"
    skeleton = load_skeleton(description.layer().skeleton)
    if centre is not None and centre < skeleton.num_joints:
        coordinates += f", the first person's {skeleton.joints[centre]} at 0"
    return coordinates
