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

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.converters.frame_names import parse_frame_name
from posedata.errors import InputError
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json


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
    content = view_json(text, path)
    form, entries = _entries(content, path)
    rows: list[np.ndarray] = []
    frames, ids, boxes, scores = [], [], [], []
    stems: dict[str, Any] = {}
    has_space_joints = False
    for entry in entries:
        stem, frame = _frame(entry, path)
        if stem not in stems:
            stems[stem] = entry.image
        keypoints = numbers(entry.keypoints)
        if keypoints is None or not len(keypoints) or len(keypoints) % 3:
            raise _wrong("bad keypoints", entry, path, "an array of x, y, score for each joint")
        if rows and len(keypoints) != len(rows[0]):
            raise _wrong("bad keypoints", entry, path, f"{len(rows[0])} numbers as at the first")
        frames.append(frame)
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
    has_ids = any(text not in ("", "0") for text in ids)
    return AlphaPoseFile(
        form=form,
        frames=np.array(frames, np.int64),
        keypoints=np.array(rows).reshape(len(rows), -1, 3) if rows else np.empty((0, 0, 3)),
        ids=ids if has_ids else (),
        boxes=np.array(boxes) if not np.isnan(boxes).all() else None,
        pose_scores=np.array(scores) if not np.isnan(scores).all() else None,
        has_space_joints=has_space_joints,
    )


def _entries(content: Any, path: str) -> tuple[str, Iterator[_Entry]]:
    """Tell the form of a file, and go through its people."""
    if is_array(content):
        return "default", _entries_of_list(content, path)
    images = list(content.items()) if is_object(content) else None
    if images is None:
        raise InputError("not a result file of AlphaPose", path=path, expected="a list or object")
    for form, people, pose in (
        ("cmu", "bodies", "joints"),
        ("open", "people", "pose_keypoints_2d"),
    ):
        if all(is_object(image) and is_array(image.get(people)) for _, image in images):
            return form, _entries_of_images(images, people, pose, path)
    if images and all(is_array(image) for _, image in images):
        raise InputError("a result file of PoseFlow, not of AlphaPose", path=path,
                         remedy="Give alphapose-results.json instead.")  # fmt: skip
    if is_array(content.get("bodies")) or is_array(content.get("people")):
        raise InputError("the result of one image", path=path,
                         remedy="Give alphapose-results.json instead.")  # fmt: skip
    raise InputError("not a result file of AlphaPose", path=path,
                     expected="a list, or an object with bodies or people by image")  # fmt: skip


def _entries_of_list(content: Any, path: str) -> Iterator[_Entry]:
    for row, person in enumerate(content):
        if not is_object(person):
            raise InputError("not a person", path=path, position=f"entry {row}",
                             expected="an object")  # fmt: skip
        yield _Entry(f"entry {row}", person.get("image_id"), person.get("keypoints"), person)


def _entries_of_images(
    images: list[tuple[str, Any]], people: str, pose: str, path: str
) -> Iterator[_Entry]:
    for name, image in images:
        for slot, person in enumerate(image.get(people)):
            place = f"{name!r}, person {slot}"
            if not is_object(person):
                raise InputError("not a person", path=path, position=place, expected="an object")
            yield _Entry(place, name, person.get(pose), person)


def _frame(entry: _Entry, path: str) -> tuple[str, int]:
    """Stem and number of an image's name; the number alone, where the file has that."""
    image = entry.image
    if is_whole(image) and 0 <= image < 1 << 62:
        return "", image
    name = parse_frame_name(PurePosixPath(image).stem) if isinstance(image, str) else None
    if name is None:
        raise _wrong("no frame number in image_id", entry, path,
                     "a name that ends in digits, e.g. 12.jpg")  # fmt: skip
    return name.stem, name.number


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


def _wrong(message: str, entry: _Entry, path: str, expected: str) -> InputError:
    return InputError(message, path=path, position=entry.place, expected=expected)
