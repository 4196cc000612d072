"""One COCO JSON file of keypoints: annotations of images, or a list of results.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://cocodataset.org; the
whole-body fields are of Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020; the
fields of videos of PoseTrack (Andriluka et al., CVPR 2018) and CocoVID.

* Annotations: ``{"images": [...], "annotations": [...], "categories": [...]}``. ``keypoints`` is x,
  y, v for each joint; v is 0 (not labelled), 1 (labelled, not visible) or 2 (visible).
* Results: ``[{"image_id", "category_id", "keypoints", "score"}, ...]``. The third number of a joint
  is a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posedata.converters.joint_names import MatchedJoints, match_joints
from posedata.errors import InputError
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json
from posedata.skeleton import load_skeleton

#: Skeletons by the number of joints V, where the file does not name the joints.
SKELETONS: Mapping[int, str] = {14: "crowdpose14", 17: "coco17", 133: "coco_wholebody133"}

_WHOLE_BODY = {"foot_kpts": 18, "face_kpts": 204, "lefthand_kpts": 63, "righthand_kpts": 63}
_READ = {"id", "image_id", "category_id", "keypoints", "bbox", "area", "iscrowd", "num_keypoints",
         "track_id", "score", "scores", *_WHOLE_BODY}  # fmt: skip
_LARGEST_ID = 1 << 63


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


class CocoFile(NamedTuple):
    """What a file holds: A annotations or results.

    Attributes
    ----------
    results : bool
        Whether it is a list of results.
    images : list of CocoImage
        Empty for results.
    video_names : mapping
        Video: its name in ``videos``.
    joints : MatchedJoints
        The skeleton, and where its V joints are.
    rows : mapping
        Image id: its rows in the arrays, in the order of the file.
    keypoints : float64, shape (A, V, 3)
        In the order of the skeleton: x, y, and v or score.
    boxes : float64, shape (A, 4)
        x0 y0 x1 y1; NaN where there is none.
    ids : sequence of int or str or None
        Of annotations.
    track_ids : sequence of str
        ``""`` where there is none.
    areas, scores : float64, shape (A,)
        NaN where there is none.
    crowd, num_keypoints, categories : int64, shape (A,)
        -1 where there is none.
    left_out : tuple of str
        Fields of annotations that are not read.
    """

    results: bool
    images: list[CocoImage]
    video_names: Mapping[str, str]
    joints: MatchedJoints
    rows: Mapping[int | str, np.ndarray]
    keypoints: np.ndarray
    boxes: np.ndarray
    ids: Sequence[Any]
    track_ids: Sequence[str]
    areas: np.ndarray
    scores: np.ndarray
    crowd: np.ndarray
    num_keypoints: np.ndarray
    categories: np.ndarray
    left_out: tuple[str, ...]


def parse_coco(text: bytes, path: str, skeleton: str = "") -> CocoFile:
    """Read a file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.
    skeleton : str
        The joints, where the file does not name them.

    Raises
    ------
    InputError
        Where the text is not what the format says, has boxes only, or joints that no skeleton has.
    """
    content = view_json(text, path)
    results = is_array(content)
    names: tuple[str, ...] = ()
    images: list[CocoImage] = []
    video_names: dict[str, str] = {}
    entries = content
    if not results:
        if not is_object(content) or not {"images", "annotations"} <= set(content):
            raise InputError(
                "not a COCO file", path=path,
                expected="an object with 'images' and 'annotations', or a list of results",
            )  # fmt: skip
        images = _images(content["images"], path)
        fields = set(content)
        video_names = _video_names(content["videos"] if "videos" in fields else None)
        names = _joint_names(content["categories"] if "categories" in fields else None)
        entries = content["annotations"]
    if not is_array(entries):
        raise InputError("bad annotations", path=path, expected="a list")
    return _parse_entries(entries, results, images, video_names, names, skeleton, path)


def _parse_entries(
    entries: Any, results: bool, images: list[CocoImage], video_names: Mapping[str, str],
    names: tuple[str, ...], skeleton: str, path: str,
) -> CocoFile:  # fmt: skip
    rows: dict[Any, list[int]] = {}
    keypoints: list[np.ndarray | None] = []
    boxes, ids, tracks, areas, scores = [], [], [], [], []
    whole: dict[str, list[int]] = {"iscrowd": [], "num_keypoints": [], "category_id": []}
    left_out: dict[str, None] = {}
    length = 0
    for number, entry in enumerate(entries):
        try:
            if not is_object(entry):
                raise InputError("not an annotation", expected="an object")
            fields = list(entry)  # a view takes long to say that a field is not there
            if number % 64 == 0:
                left_out.update(dict.fromkeys(f for f in fields if f not in _READ))
            image = entry["image_id"] if "image_id" in fields else None
            if not _is_id(image):
                raise InputError("bad image_id", expected="a whole number or text")
            values = _keypoints(entry, fields)
            if values is not None:
                length = length or len(values)
                if len(values) != length:
                    raise InputError("another number of joints than before",
                                     found=len(values) / 3, expected=length / 3)  # fmt: skip
            box = numbers(entry["bbox"]) if "bbox" in fields else None
            if box is not None and len(box) != 4:
                raise InputError("bad bbox", expected="4 numbers")
            for name, column in whole.items():
                column.append(_whole(entry, fields, name))
            areas.append(_number(entry, fields, "area"))
            scores.append(_number(entry, fields, "score"))
            track = entry["track_id"] if "track_id" in fields else None
            if track is not None and not _is_id(track):
                raise InputError("bad track_id", expected="a whole number or text")
        except InputError as error:
            raise InputError(
                error.message, path=path, position=f"annotation {number}", found=error.found,
                expected=error.expected,
            ) from None  # fmt: skip
        rows.setdefault(image, []).append(number)
        keypoints.append(values)
        boxes.append(box)
        ids.append(entry["id"] if "id" in fields else None)
        tracks.append("" if track is None else str(track))
    if not length and (len(entries) or not names):
        raise InputError(
            "boxes without keypoints" if len(entries) else "no annotations", path=path,
            expected="annotations with 'keypoints'",
            remedy="Give the person_keypoints file." if len(entries) else None,
        )  # fmt: skip
    joints = _joints(names, length // 3, skeleton, path)
    stacked = _stack(keypoints, max(length, 3 * len(joints.order)))
    corners = _stack(boxes, 4, np.nan)
    corners[:, 2:] += corners[:, :2]
    return CocoFile(
        results=results,
        images=images,
        video_names=video_names,
        joints=joints,
        rows={image: np.array(of_image, np.int64) for image, of_image in rows.items()},
        keypoints=stacked.reshape(len(keypoints), stacked.shape[1] // 3, 3)[:, list(joints.order)],
        boxes=corners,
        ids=ids,
        track_ids=tracks,
        areas=np.array(areas, np.float64),
        scores=np.array(scores, np.float64),
        crowd=np.array(whole["iscrowd"], np.int64),
        num_keypoints=np.array(whole["num_keypoints"], np.int64),
        categories=np.array(whole["category_id"], np.int64),
        left_out=tuple(sorted(left_out)),
    )


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


def _joints(names: tuple[str, ...], num_joints: int, chosen: str, path: str) -> MatchedJoints:
    if chosen:
        skeleton = load_skeleton(chosen)
        if num_joints and skeleton.num_joints != num_joints:
            raise InputError(
                "another number of joints than the chosen skeleton has", path=path,
                found=num_joints, expected=f"{skeleton.num_joints} ({skeleton.name})",
            )  # fmt: skip
        return MatchedJoints(skeleton.name, tuple(range(skeleton.num_joints)))
    if names and num_joints in (0, len(names)):
        if match := match_joints(names):
            return match
    elif num_joints in SKELETONS:  # whole-body files name the 17 joints of the body only
        return MatchedJoints(SKELETONS[num_joints], tuple(range(num_joints)))
    raise InputError(
        "joints of no known skeleton", path=path, found=", ".join(names)[:200] or num_joints,
        remedy="Name the skeleton with --joints, if the joints are in its order.",
    )  # fmt: skip


def _images(entries: Any, path: str) -> list[CocoImage]:
    if not is_array(entries):
        raise InputError("bad images", path=path, expected="a list")
    images = []
    seen = set()
    for number, entry in enumerate(entries):
        where = f"image {number}"
        if not is_object(entry):
            raise InputError("not an image", path=path, position=where, expected="an object")
        fields = list(entry)
        key: Any = entry["id"] if "id" in fields else None
        if not _is_id(key):
            raise InputError("bad id", path=path, position=where, found=repr(key)[:40],
                             expected="a whole number or text")  # fmt: skip
        if key in seen:
            raise InputError("an image id twice", path=path, position=where, found=key)
        seen.add(key)
        video = next((entry[name] for name in ("vid_id", "video_id") if name in fields), None)
        if video is not None and not _is_id(video):
            raise InputError("bad video id", path=path, position=where, found=repr(video)[:40],
                             expected="a whole number or text")  # fmt: skip
        name = entry["file_name"] if "file_name" in fields else ""
        images.append(CocoImage(
            key, name if isinstance(name, str) else "", _size(entry, fields, "width"),
            _size(entry, fields, "height"), "" if video is None else str(video),
            _size(entry, fields, "frame_id", 0, _LARGEST_ID), _size(entry, fields, "nframes"),
            "is_labeled" not in fields or entry["is_labeled"] is not False,
        ))  # fmt: skip
    return images


def _video_names(entries: Any) -> dict[str, str]:
    if not is_array(entries):
        return {}
    named = [dict(entry.items()) for entry in entries if is_object(entry)]
    return {
        str(entry["id"]): entry["name"]
        for entry in named
        if "id" in entry and isinstance(entry.get("name"), str)
    }


def _joint_names(categories: Any) -> tuple[str, ...]:
    """Joint names of the category that has any; of two that differ, none."""
    found = set()
    for category in categories if is_array(categories) else ():
        if is_object(category) and "keypoints" in list(category):
            names = category["keypoints"]
            if is_array(names) and all(isinstance(name, str) for name in names):
                found.add(tuple(names))
    return found.pop() if len(found) == 1 else ()


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (is_whole(value) and abs(value) < _LARGEST_ID)


def _size(
    entry: Any, fields: Sequence[str], name: str, least: int = 1, limit: int = 1 << 24
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
    return float(value)


def _stack(rows: Sequence[np.ndarray | None], width: int, nothing: float = 0.0) -> np.ndarray:
    absent = np.full(width, nothing)
    flat = [absent if row is None else row for row in rows]
    return np.concatenate([*flat, np.empty(0)]).reshape(len(rows), width)
