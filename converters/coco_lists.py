"""The lists of a COCO file, images and annotations or results: objects to arrays.

Each is read field by field, which is fast; where anything is wrong or unusual, object by object,
which says what is wrong with which, or reads it all the same.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.json_columns import Columns, columns_of, scalars, stack
from posedata.json_view import in_python, is_array, is_object, is_whole, numbers

_WHOLE_BODY = {"foot_kpts": 18, "face_kpts": 204, "lefthand_kpts": 63, "righthand_kpts": 63}
_WHOLE = ("iscrowd", "num_keypoints", "category_id")
_READ = ("id", "image_id", *_WHOLE, "keypoints", "bbox", "area", "track_id", "score", *_WHOLE_BODY)
_KNOWN = {*_READ, "scores"}
_IMAGE_FIELDS = ("id", "file_name", "width", "height", "vid_id", "video_id", "frame_id", "nframes",
                 "is_labeled")  # fmt: skip
_LARGEST_ID = 1 << 63
_LARGEST_SIZE = 1 << 24


class CocoImage(NamedTuple):
    """An entry of ``images``.

    Attributes
    ----------
    id : int or str
        Its key.
    file_name : str
        Empty where there is none.
    width, height : int, optional
        Pixels.
    video : str
        ``vid_id`` or ``video_id`` as text; empty for a single image.
    frame_id : int, optional
        As in the file.
    num_frames : int, optional
        ``nframes``: frames of the video.
    labelled : bool
        ``is_labeled``; images of other data sets are.
    """

    id: int | str
    file_name: str
    width: int | None
    height: int | None
    video: str
    frame_id: int | None
    num_frames: int | None
    labelled: bool


class CocoEntries(NamedTuple):
    """Annotations or results: A of them.

    Attributes
    ----------
    rows : mapping
        Image id: its rows, in the order of the file.
    keypoints : float64, shape (A, 3 V)
        As in the file; with feet, face and hands behind the joints of the body. 0 where an entry
        has none.
    boxes : float64, shape (A, 4)
        x0 y0 x1 y1; NaN where there is none.
    ids : sequence of int or str or None
        ``id``.
    track_ids : sequence of str
        ``""`` where there is none.
    areas, scores : float64, shape (A,)
        NaN where there is none.
    whole : mapping of str to int64, shape (A,)
        ``iscrowd``, ``num_keypoints``, ``category_id``; -1 where there is none.
    left_out : set of str
        Fields that are not read.
    """

    rows: Mapping[int | str, np.ndarray]
    keypoints: np.ndarray
    boxes: np.ndarray
    ids: Sequence[Any]
    track_ids: Sequence[str]
    areas: np.ndarray
    scores: np.ndarray
    whole: Mapping[str, np.ndarray]
    left_out: Set[str]


def parse_images(entries: Any, path: str) -> list[CocoImage]:
    """Read ``images``.

    Raises
    ------
    InputError
        Where one has no id, or that of another.
    """
    if not is_array(entries):
        raise InputError("bad images", path=path, expected="a list")
    return _images_by_field(entries) or _images_one_by_one(entries, path)


def _images_one_by_one(entries: Any, path: str) -> list[CocoImage]:
    images = []
    seen = set()
    for number, entry in enumerate(entries):
        where = f"image {number}"
        if not is_object(entry):
            raise InputError("not an image", path=path, position=where, expected="an object")
        fields = list(entry)
        key: Any = entry["id"] if "id" in fields else None
        if not _is_id(key):
            raise InputError("bad id", path=path, position=where, found=_shown(key),
                             expected="a whole number or text")  # fmt: skip
        if key in seen:
            raise InputError("an image id twice", path=path, position=where, found=key)
        seen.add(key)
        video = next((entry[name] for name in ("vid_id", "video_id") if name in fields), None)
        if video is not None and not _is_id(video):
            raise InputError("bad video id", path=path, position=where, found=_shown(video),
                             expected="a whole number or text")  # fmt: skip
        name = entry["file_name"] if "file_name" in fields else ""
        images.append(CocoImage(
            key, name if isinstance(name, str) else "", _size(entry, fields, "width"),
            _size(entry, fields, "height"), "" if video is None else str(video),
            _size(entry, fields, "frame_id", 0, _LARGEST_ID), _size(entry, fields, "nframes"),
            "is_labeled" not in fields or entry["is_labeled"] is not False,
        ))  # fmt: skip
    return images


def _images_by_field(entries: Any) -> list[CocoImage] | None:
    """Do what `_images_one_by_one` does; None where anything is unusual."""
    columns = columns_of(entries, _IMAGE_FIELDS)
    if columns is None:
        return None
    values = columns.values
    keys = values["id"]
    video = "vid_id" if "vid_id" in columns.fields else "video_id"
    videos = values[video]
    if (
        not _are_ids(keys) or len(set(keys)) < len(keys)
        or ("vid_id" in columns.fields and "video_id" in columns.fields)
        or not _are_ids_or_none(videos)
    ):  # fmt: skip
        return None

    def sizes(name: str, least: int = 1, limit: int = _LARGEST_SIZE) -> list[int | None]:
        return [
            value if type(value) is int and least <= value < limit else None
            for value in values[name]
        ]

    return list(map(
        CocoImage, keys, [name if type(name) is str else "" for name in values["file_name"]],
        sizes("width"), sizes("height"),
        ["" if video is None else str(video) for video in videos],
        sizes("frame_id", 0, _LARGEST_ID), sizes("nframes"),
        [value is not False for value in values["is_labeled"]],
    ))  # fmt: skip


def parse_entries(entries: Any, path: str) -> CocoEntries:
    """Read ``annotations``, or a list of results.

    Raises
    ------
    InputError
        Where one is not what the format says, or has another number of joints than those before.
    """
    if not is_array(entries):
        raise InputError("bad annotations", path=path, expected="a list")
    return _entries_by_field(entries) or _entries_one_by_one(entries, path)


def _entries_one_by_one(entries: Any, path: str) -> CocoEntries:
    rows: dict[Any, list[int]] = {}
    keypoints: list[np.ndarray | None] = []
    boxes, ids, tracks, areas, scores = [], [], [], [], []
    whole: dict[str, list[int]] = {name: [] for name in _WHOLE}
    left_out: set[str] = set()
    length = 0
    for number, entry in enumerate(entries):
        try:
            if not is_object(entry):
                raise InputError("not an annotation", expected="an object")
            fields = list(entry)  # a view takes long to say that a field is not there
            left_out.update(name for name in fields if name not in _KNOWN)
            image = entry["image_id"] if "image_id" in fields else None
            if not _is_id(image):
                raise InputError("bad image_id", expected="a whole number or text")
            values = _keypoints(entry, fields)
            if values is not None:
                length = length or len(values)
                if len(values) != length:
                    raise InputError("another number of joints than before",
                                     found=len(values) / 3, expected=length / 3)  # fmt: skip
            listed = entry["bbox"] if "bbox" in fields else None
            box = None if listed is None else numbers(listed)
            if listed is not None and (box is None or len(box) != 4):
                raise InputError("bad bbox", expected="4 numbers")
            for name, column in whole.items():
                column.append(_whole(entry, fields, name))
            areas.append(_number(entry, fields, "area"))
            scores.append(_number(entry, fields, "score"))
            own, track = (entry[name] if name in fields else None for name in ("id", "track_id"))
            for name, value in (("id", own), ("track_id", track)):
                if value is not None and not _is_id(value):
                    raise InputError(f"bad {name}", expected="a whole number or text")
        except InputError as error:
            raise InputError(
                error.message, path=path, position=f"annotation {number}", found=error.found,
                expected=error.expected,
            ) from None  # fmt: skip
        rows.setdefault(image, []).append(number)
        keypoints.append(values)
        boxes.append(box)
        ids.append(own)
        tracks.append("" if track is None else str(track))
    corners = _stack(boxes, 4, np.nan)
    corners[:, 2:] += corners[:, :2]
    return CocoEntries(
        rows={image: np.array(of_image, np.int64) for image, of_image in rows.items()},
        keypoints=_stack(keypoints, length),
        boxes=corners,
        ids=ids,
        track_ids=tracks,
        areas=np.array(areas, np.float64),
        scores=np.array(scores, np.float64),
        whole={name: np.array(column, np.int64) for name, column in whole.items()},
        left_out=left_out,
    )


def _entries_by_field(entries: Any) -> CocoEntries | None:
    """Do what `_entries_one_by_one` does, several times as fast; None where anything is unusual."""
    columns = columns_of(entries, _READ)
    if columns is None or not columns.num_objects:
        return None
    values = columns.values
    keypoints = _all_keypoints(columns)
    boxes = _corners(columns)
    areas, scores = scalars(values["area"]), scalars(values["score"])
    whole = {name: _all_whole(columns, name) for name in _WHOLE}
    images, tracks = values["image_id"], values["track_id"]
    if (
        keypoints is None or boxes is None or areas is None or scores is None
        or not _are_ids(images) or not _are_ids_or_none(values["id"])
        or not _are_ids_or_none(tracks)
    ):  # fmt: skip
        return None
    complete = {name: column for name, column in whole.items() if column is not None}
    if len(complete) < len(whole):
        return None
    rows: dict[int | str, list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault(image, []).append(row)
    return CocoEntries(
        rows={image: np.array(of_image, np.int64) for image, of_image in rows.items()},
        keypoints=keypoints,
        boxes=boxes,
        ids=values["id"],
        track_ids=["" if track is None else str(track) for track in tracks],
        areas=areas,
        scores=scores,
        whole=complete,
        left_out=columns.fields - _KNOWN,
    )


def _all_keypoints(columns: Columns) -> np.ndarray | None:
    found = stack(columns.values["keypoints"])
    if found is None or not found.size or found.shape[1] % 3:
        return None
    if "face_kpts" not in columns.fields or found.shape[1] != 51:
        return found
    parts = [found]
    for name, size in _WHOLE_BODY.items():
        part = stack(columns.values[name])
        if part is None or part.shape[1] != size:
            return None
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _corners(columns: Columns) -> np.ndarray | None:
    if "bbox" not in columns.fields:
        return np.full((columns.num_objects, 4), np.nan)
    boxes = stack(columns.values["bbox"])
    if boxes is None or boxes.shape[1] != 4:
        return None
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _all_whole(columns: Columns, name: str) -> np.ndarray | None:
    if name not in columns.fields:
        return np.full(columns.num_objects, -1, np.int64)
    column = columns.values[name]
    if not set(map(type, column)) <= {int, bool} or min(column) < -1 or max(column) >= 1 << 31:
        return None
    return np.array(column, np.int64)


def _are_ids(values: Sequence[Any]) -> bool:
    kinds = set(map(type, values))
    if kinds == {int}:
        return min(values) > -_LARGEST_ID and max(values) < _LARGEST_ID
    return kinds <= {str}  # some whole numbers, some text: unusual


def _are_ids_or_none(values: Sequence[Any]) -> bool:
    return _are_ids([value for value in values if value is not None])


def _keypoints(entry: Any, fields: Sequence[str]) -> np.ndarray | None:
    """Numbers of all joints, with those of feet, face and hands behind them; None if no joints."""
    if "keypoints" not in fields:
        return None
    parts = [numbers(entry["keypoints"])]
    if "face_kpts" in fields and parts[0] is not None and len(parts[0]) == 51:
        for name, size in _WHOLE_BODY.items():
            part = numbers(entry[name]) if name in fields else None
            if part is None or len(part) != size:
                raise InputError(f"bad {name}", expected=f"{size} numbers")
            parts.append(part)
    found = [part for part in parts if part is not None]
    if len(found) != len(parts) or not len(found[0]) or len(found[0]) % 3:
        raise InputError("bad keypoints", expected="3 numbers a joint")
    return found[0] if len(found) == 1 else np.concatenate(found)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (is_whole(value) and abs(value) < _LARGEST_ID)


def _size(
    entry: Any, fields: Sequence[str], name: str, least: int = 1, limit: int = _LARGEST_SIZE
) -> int | None:
    """Give a whole number of an image, if it has one that is within reason."""
    value: Any = entry[name] if name in fields else None
    return value if is_whole(value) and least <= value < limit else None


def _whole(entry: Any, fields: Sequence[str], name: str) -> int:
    value = entry[name] if name in fields else -1
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and -1 <= value < 1 << 31:
        return value
    raise InputError(f"bad {name}", expected="a whole number")


def _number(entry: Any, fields: Sequence[str], name: str) -> float:
    value = entry[name] if name in fields else None
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"bad {name}", expected="a number")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"bad {name}", expected="a number of float64") from None


def _stack(rows: Sequence[np.ndarray | None], width: int, nothing: float = 0.0) -> np.ndarray:
    absent = np.full(width, nothing)
    flat = [absent if row is None else row for row in rows]
    return np.concatenate([*flat, np.empty(0)]).reshape(len(rows), width)


def _shown(value: Any) -> str:
    return reprlib.repr(in_python(value))
