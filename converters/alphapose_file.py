"""A result file of AlphaPose: the people of a video, in one of three forms.

``default``: ``[{"image_id": "12.jpg", "category_id": 1, "keypoints": [x, y, score, ...], "score":
2.7, "box": [x, y, w, h], "idx": 3}, ...]``, one entry a person, the last two in newer versions.
``cmu``: ``{"12.jpg": {"version": ..., "bodies": [{"joints": [x, y, score, ...]}]}}``. ``open``:
the same with ``people`` and ``pose_keypoints_2d``. In these two the 18 joints are those of
OpenPose, the neck the mean of the shoulders, its score included.

Images without people are absent, and text sorts ``10.jpg`` ahead of ``9.jpg``: the frame is the
number in the image's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.frame_names import FrameName, parse_frame_name
from posedata.json_columns import columns_of, scalars, stack
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json

# What is before and after the number in the name of an image, where that is in no folder.
_IMAGE = re.compile(r"((?:[^/]*[^/0-9])?)[0-9]{1,18}(\.[A-Za-z]+)")

_FEW_NAMES = 2000


class AlphaPoseFile(NamedTuple):
    """The contents of a file: N people in frames, in the file's order.

    Attributes
    ----------
    form : str
        ``default``, ``cmu`` or ``open``.
    frames : int64, shape (N,)
        0-based.
    keypoints : float64, shape (N, V, 3)
        x, y in pixels, score (which can be above 1).
    ids : sequence of str
        N track ids, ``""`` where a row has none; empty where no row has one. Without tracking,
        AlphaPose writes 0 for all: that is none.
    boxes : float64, shape (N, 4), optional
        x0 y0 x1 y1; NaN in rows without.
    pose_scores : float64, shape (N,), optional
        Score of the person; NaN in rows without.
    has_space_joints : bool
        Whether any row has 3D joints, ``pred_xyz_jts``.
    """

    form: str
    frames: np.ndarray
    keypoints: np.ndarray
    ids: Sequence[str]
    boxes: np.ndarray | None
    pose_scores: np.ndarray | None
    has_space_joints: bool


class _People(NamedTuple):
    """The people of a file, in its order; the field with their joints; the name of their images.

    In a list, they name the image themselves.
    """

    form: str
    pose: str
    people: Sequence[Any]
    images: Sequence[str] | None


class _Entry(NamedTuple):
    place: str
    image: Any
    keypoints: Any
    person: Any


def parse_alphapose(text: bytes, path: str) -> AlphaPoseFile:
    """Read the text of a file.

    Raises
    ------
    InputError
        With the place, where something is not what the format says, where images are of several
        videos, or people have different numbers of joints.
    """
    found = _people(view_json(text, path), path)
    return _by_field(found) or _one_by_one(found, path)


def _one_by_one(found: _People, path: str) -> AlphaPoseFile:
    rows: list[np.ndarray] = []
    frames, ids, boxes, scores = [], [], [], []
    stems: dict[str, Any] = {}
    has_space_joints = False
    for entry in _entries(found, path):
        name = _image_name(entry.image)
        if name is None:
            raise _wrong("no frame number in image_id", entry, path,
                         "a name that ends in digits, e.g. 12.jpg")  # fmt: skip
        stems.setdefault(name.stem, entry.image)
        keypoints = numbers(entry.keypoints)
        if keypoints is None or not len(keypoints) or len(keypoints) % 3:
            raise _wrong("bad keypoints", entry, path, "an array of x, y, score for each joint")
        if rows and len(keypoints) != len(rows[0]):
            raise _wrong("bad keypoints", entry, path, f"{len(rows[0])} numbers as at the first")
        frames.append(name.number)
        rows.append(keypoints)
        ids.append(_id(entry, path))
        boxes.append(_box(entry, path))
        scores.append(_score(entry, path))
        has_space_joints |= entry.person.get("pred_xyz_jts") is not None
    if len(stems) > 1:
        names = ", ".join(repr(image) for image in list(stems.values())[:3])
        raise InputError("images of several videos in one file", path=path, found=names,
                         expected="one name with numbers",
                         remedy="Run AlphaPose on each video by itself.")  # fmt: skip
    return _file(
        found, np.array(frames, np.int64), np.array(rows) if rows else np.empty((0, 0)), ids,
        np.array(boxes), np.array(scores), has_space_joints,
    )  # fmt: skip


def _by_field(found: _People) -> AlphaPoseFile | None:
    """Do what `_one_by_one` does, six times as fast; None where anything is unusual."""
    people = columns_of(
        found.people, (found.pose, "image_id", "idx", "score", "box", "pred_xyz_jts")
    )
    if people is None or not people.num_objects:
        return None
    values = people.values
    frames = _frames(values["image_id"] if found.images is None else found.images)
    keypoints = stack(values[found.pose])
    scores = scalars(values["score"])
    boxes = _corners(values["box"])
    tracks = scalars(values["idx"])
    if (
        frames is None or keypoints is None or not keypoints.size or keypoints.shape[1] % 3
        or scores is None or boxes is None or tracks is None
        or np.isfinite(tracks).sum() + values["idx"].count(None) < len(tracks)
    ):  # fmt: skip
        return None
    return _file(
        found, frames, keypoints,
        ["" if track is None else f"{track:.17g}" for track in values["idx"]], boxes, scores,
        any(joints is not None for joints in values["pred_xyz_jts"]),
    )  # fmt: skip


def _file(
    found: _People, frames: np.ndarray, keypoints: np.ndarray, ids: Sequence[str],
    boxes: np.ndarray, scores: np.ndarray, has_space_joints: bool,
) -> AlphaPoseFile:  # fmt: skip
    return AlphaPoseFile(
        form=found.form,
        frames=frames,
        keypoints=keypoints.reshape(len(frames), keypoints.shape[1] // 3, 3),
        ids=ids if any(text not in ("", "0") for text in ids) else (),
        boxes=boxes if not np.isnan(boxes).all() else None,
        pose_scores=scores if not np.isnan(scores).all() else None,
        has_space_joints=has_space_joints,
    )


def _people(content: Any, path: str) -> _People:
    """Tell the form of a file, and find its people."""
    if is_array(content):
        return _People("default", "keypoints", content, None)
    if not is_object(content):
        raise InputError("not a result file of AlphaPose", path=path, expected="a list or object")
    images = _by_name(content)
    for form, people, pose in (
        ("cmu", "bodies", "joints"),
        ("open", "people", "pose_keypoints_2d"),
    ):
        if all(is_object(image) and is_array(image.get(people)) for _, image in images):
            lists = [(name, image.get(people)) for name, image in images]
            return _People(
                form, pose, [person for _, of_image in lists for person in of_image],
                [name for name, of_image in lists for _ in range(len(of_image))],
            )  # fmt: skip
    if images and all(is_array(image) for _, image in images):
        raise InputError("a result file of PoseFlow, not of AlphaPose", path=path,
                         remedy="Give alphapose-results.json instead.")  # fmt: skip
    if is_array(content.get("bodies")) or is_array(content.get("people")):
        raise InputError("the result of one image", path=path,
                         remedy="Give alphapose-results.json instead.")  # fmt: skip
    raise InputError("not a result file of AlphaPose", path=path,
                     expected="a list, or an object with bodies or people by image")  # fmt: skip


def _by_name(content: Any) -> list[tuple[str, Any]]:
    """Names and values of an object.

    A view gives all values at once as Python objects, and views of them only by their names, for
    which it looks from the first on: so that is faster for some names, not for many.
    """
    names = list(content)
    if len(names) <= _FEW_NAMES and len(set(names)) == len(names):
        return [(name, content[name]) for name in names]
    return list(content.items())


def _entries(found: _People, path: str) -> Iterator[_Entry]:
    slots: dict[str, int] = {}
    for row, person in enumerate(found.people):
        place = f"entry {row}"
        name: Any = None
        if found.images is not None:
            name = found.images[row]
            slots[name] = slots.get(name, -1) + 1
            place = f"{name!r}, person {slots[name]}"
        if not is_object(person):
            raise InputError("not a person", path=path, position=place, expected="an object")
        if found.images is None:
            name = person.get("image_id")
        yield _Entry(place, name, person.get(found.pose), person)


def _image_name(image: Any) -> FrameName | None:
    """Stem and number of an image's name; the number alone, where the file has that."""
    if is_whole(image) and 0 <= image < 1 << 62:
        return FrameName("", image)
    if not isinstance(image, str):
        return None
    return parse_frame_name(PurePosixPath(image).stem)


def _frames(images: Sequence[Any]) -> np.ndarray | None:
    """Numbers of images that are numbers, or names that only differ in theirs."""
    kinds = set(map(type, images))
    if kinds == {int}:
        return np.array(images) if min(images) >= 0 and max(images) < 1 << 62 else None
    first = _IMAGE.fullmatch(images[0]) if kinds == {str} else None
    if first is None:
        return None
    start, end = first.groups()
    numbers = [image[len(start) : -len(end)] for image in images]
    if [start + number + end for number in numbers] != images:
        return None
    digits = "".join(numbers)
    if not (digits.isascii() and all(map(str.isdecimal, numbers)) and max(map(len, numbers)) <= 18):
        return None
    return np.array(list(map(int, numbers)), np.int64)


def _id(entry: _Entry, path: str) -> str:
    """Give the track id as text; empty where there is none, or several of merged people."""
    value = entry.person.get("idx")
    if value is None:
        return ""
    found = numbers(value) if is_array(value) else numbers([value])
    if found is None or not np.isfinite(found).all():
        raise _wrong("bad idx", entry, path, "a number or an array of numbers")
    distinct = np.unique(found)
    return f"{distinct[0]:.17g}" if len(distinct) == 1 else ""


def _box(entry: _Entry, path: str) -> np.ndarray:
    value = entry.person.get("box")
    if value is None:
        return np.full(4, np.nan)
    box = numbers(value)
    if box is None or len(box) != 4:
        raise _wrong("bad box", entry, path, "x, y, width, height")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([box[:2], box[:2] + box[2:]])


def _score(entry: _Entry, path: str) -> float:
    value = entry.person.get("score")
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong("bad score", entry, path, "a number")
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _corners(values: Sequence[Any]) -> np.ndarray | None:
    """Boxes of all people as x0 y0 x1 y1; None where not all or none have one."""
    if all(value is None for value in values):
        return np.full((len(values), 4), np.nan)
    boxes = stack(values)
    if boxes is None or boxes.shape[1] != 4:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        boxes[:, 2:] += boxes[:, :2]
    return boxes


def _wrong(message: str, entry: _Entry, path: str, expected: str) -> InputError:
    return InputError(message, path=path, position=entry.place, expected=expected)
