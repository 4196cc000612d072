"""The ``.npz`` files of VideoPose3D: dicts in arrays of objects, read without running anything.

* ``data_2d_custom_*.npz``, ``data_2d_h36m_*.npz``: ``positions_2d`` is ``{subject or video:
  {action: [array (T, V, 2) of each camera]}}``, in pixels; ``metadata`` has ``layout_name``,
  ``num_joints``, ``keypoints_symmetry`` and perhaps ``video_metadata``.
* ``data_3d_h36m.npz``: ``positions_3d`` is ``{subject: {action: array (T, 32, 3)}}``, in metres, in
  the coordinates of the room. 17 of the 32 joints are the others' copies or move with them; the
  skeleton has the 17 that VideoPose3D keeps.
* ``<video>.npz`` of its ``inference/infer_video*.py``: ``boxes[i][1]`` is (P, 5): x0, y0, x1, y1,
  score; ``keypoints[i][1]`` is (P, 4, 17): x, y, logit, probability; both ``[]`` where frame i has
  nobody; ``metadata`` has ``w`` and ``h``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from posedata.converters.people import LARGEST_NUM_FRAMES, People
from posedata.errors import InputError
from posedata.npy import read_npz
from posedata.skeleton import list_skeletons, load_skeleton

_LAYOUTS: Mapping[str, str] = {"coco": "coco17", "h36m": "h36m17"}

#: Subject or video, action, number of the camera (None: 3D).
Key = tuple[str, str, int | None]


class PoseTable(NamedTuple):
    """A file of 2D or 3D poses.

    Attributes
    ----------
    keys : list of (str, str, int or None)
        Subject or video, action, number of the camera; in the file's order.
    arrays : list of array
        Of each key: (T, V, 2 or 3), checked when it is asked for.
    width : int
        2 or 3.
    layout : str
        ``layout_name``; empty where there is none.
    symmetry : tuple
        The left and the right joints; empty where they are not said.
    sizes : mapping
        Width and height of videos.
    """

    keys: list[Key]
    arrays: list[Any]
    width: int
    layout: str
    symmetry: tuple[tuple[int, ...], ...]
    sizes: Mapping[str, tuple[int | None, int | None]]


class Detections(NamedTuple):
    """A file of Detectron's detections in a video; see `find_people`."""

    boxes: Any
    keypoints: Any
    width: int | None
    height: int | None


def parse_videopose3d(text: bytes, path: str) -> PoseTable | Detections:
    """Read a file.

    Raises
    ------
    InputError
        If it is none of VideoPose3D's files, or has anything but plain data and arrays in it.
    """
    arrays = read_npz(text, path, objects=True)
    names = set(arrays)
    metadata = _item(arrays["metadata"]) if "metadata" in names else {}
    metadata = metadata if isinstance(metadata, dict) else {}
    if {"boxes", "keypoints"} <= names:
        return Detections(arrays["boxes"], arrays["keypoints"], *_picture_size(metadata))
    for name, width in (("positions_2d", 2), ("positions_3d", 3)):
        if name in names:
            return _table(_item(arrays[name]), width, metadata, name, path)
    raise InputError(
        "not a file of VideoPose3D", path=path, found=", ".join(sorted(names))[:200],
        expected="positions_2d, positions_3d, or boxes and keypoints",
    )  # fmt: skip


def _table(
    subjects: Any, width: int, metadata: Mapping[Any, Any], name: str, path: str
) -> PoseTable:  # fmt: skip
    keys: list[Key] = []
    arrays: list[Any] = []
    for subject, actions in _items(subjects, name, path):
        for action, views in _items(actions, f"{name} of {subject}", path):
            if width == 3:
                keys.append((subject, action, None))
                arrays.append(views)
                continue
            if not isinstance(views, list | tuple | np.ndarray):
                raise InputError("no list of cameras", path=path,
                                 position=f"{name}, {subject}, {action}")  # fmt: skip
            for camera, array in enumerate(views):
                keys.append((subject, action, camera))
                arrays.append(array)
    layout = metadata.get("layout_name", "")
    videos = metadata.get("video_metadata", {})
    return PoseTable(
        keys, arrays, width, layout if isinstance(layout, str) else "", _symmetry(metadata),
        {str(video): _picture_size(of_video) for video, of_video in videos.items()}
        if isinstance(videos, dict) else {},
    )  # fmt: skip


def pose_array(table: PoseTable, key: Key, path: str) -> np.ndarray:
    """Give the poses of one clip.

    Returns
    -------
    float32 or float64, shape (T, V, 2 or 3)
        V as the skeleton has; of 32 joints in 3D, the 17 that VideoPose3D keeps.

    Raises
    ------
    InputError
        If it is no such array.
    """
    poses = table.arrays[table.keys.index(key)]
    where = ", ".join(str(part) for part in key if part is not None)
    if (
        not isinstance(poses, np.ndarray)
        or poses.dtype.kind not in "fiu"
        or poses.ndim != 3
        or poses.shape[2] < table.width
        or len(poses) > LARGEST_NUM_FRAMES
    ):
        shape = f"{poses.dtype} {poses.shape}" if isinstance(poses, np.ndarray) else type(poses)
        raise InputError("no array of poses", path=path, position=where, found=shape,
                         expected=f"numbers (T, V, {table.width})")  # fmt: skip
    if table.width == 3 and poses.shape[1] == 32:
        poses = poses[:, _facts()["joints_of_32"]]
    poses = poses[..., : table.width]
    return poses if poses.dtype.kind == "f" and poses.dtype.itemsize >= 4 else poses.astype("f4")


def choose_skeleton(file: PoseTable | Detections, chosen: str, path: str) -> str:
    """Name the skeleton of a file's poses.

    By ``chosen``, if it is not empty; else by the layout's name, the pairs of left and right, or,
    of Human3.6M in 3D, the number of joints.

    Raises
    ------
    InputError
        If none of these tells, or the joints are not as many as the skeleton has.
    """
    if isinstance(file, Detections):
        return load_skeleton(chosen or "coco17").name
    counts = {
        array.shape[1] for array in file.arrays if isinstance(array, np.ndarray) and array.ndim == 3
    }
    count = 17 if file.width == 3 and counts == {32} else counts.pop() if len(counts) == 1 else 0
    name = chosen or _LAYOUTS.get(file.layout, "")
    if not name and file.width == 3 and count == 17:
        name = "h36m17"
    if not name and len(file.symmetry) == 2:
        pairs = {frozenset(pair) for pair in zip(*file.symmetry, strict=False)}
        of_this_size = [s for s in map(load_skeleton, list_skeletons()) if s.num_joints == count]
        for skeleton in of_this_size:
            lefts = tuple(sorted(left for left, _ in skeleton.swap))
            same_sides = lefts == tuple(sorted(file.symmetry[0]))
            if same_sides and {frozenset(pair) for pair in skeleton.swap} == pairs:
                name = skeleton.name
                break
    if not name:
        raise InputError(
            "joints of no known skeleton", path=path,
            found=f"layout {file.layout!r}, {count or sorted(counts)} joints",
            expected="the layout coco or h36m", remedy="Name it with --joints.",
        )  # fmt: skip
    skeleton = load_skeleton(name)
    if skeleton.num_joints != count:
        raise InputError("another number of joints than the skeleton has", path=path, found=count
                         or sorted(counts), expected=f"{skeleton.num_joints} ({name})")  # fmt: skip
    return skeleton.name


def find_people(file: Detections, path: str) -> tuple[People, int]:
    """Collect the people of all frames.

    Returns
    -------
    people : People
        Without ids; the order in a frame is that of the detector.
    num_frames : int
        All frames, also those without people.

    Raises
    ------
    InputError
        If boxes and keypoints are not of the same frames and people, or no such arrays.
    """
    shapes = np.shape(file.boxes), np.shape(file.keypoints)
    if not all(shapes) or shapes[0][0] != shapes[1][0]:
        raise InputError("boxes and keypoints of different frames", path=path,
                         found=f"{shapes[0]}, {shapes[1]}")  # fmt: skip
    num_frames = shapes[0][0]
    frames, slots, poses, boxes = [], [], [], []
    for frame, (of_boxes, of_poses) in enumerate(zip(file.boxes, file.keypoints, strict=True)):
        found = [_people_of(value, width, frame, path)
                 for value, width in ((of_boxes, 5), (of_poses, 4 * 17))]  # fmt: skip
        if len(found[0]) != len(found[1]):
            raise InputError("not as many boxes as people", path=path, position=f"frame {frame}",
                             found=len(found[0]), expected=len(found[1]))  # fmt: skip
        boxes.append(found[0])
        poses.append(found[1])
        frames.append(np.full(len(found[0]), frame, np.int64))
        slots.append(np.arange(len(found[0])))
    keypoints = np.concatenate([*poses, np.empty((0, 68))]).reshape(-1, 4, 17)
    corners = np.concatenate([*boxes, np.empty((0, 5))])
    return People(
        frames=np.concatenate([*frames, np.empty(0, np.int64)]),
        slots=np.concatenate([*slots, np.empty(0, np.int64)]),
        keypoints_2d=keypoints[:, :2].transpose(0, 2, 1),
        missing=np.isnan(keypoints[:, :2]).any(1),
        scores=keypoints[:, 3],
        boxes=corners[:, :4],
        extra={
            "box_scores": corners[:, 4].astype(np.float32),
            "logits": keypoints[:, 2].astype(np.float32),
        },
    ), num_frames


def _people_of(value: Any, width: int, frame: int, path: str) -> np.ndarray:
    """Rows of the second class, person, of a frame: (P, width)."""
    try:
        of_person = value[1] if len(value) == 2 else None
    except (TypeError, KeyError, IndexError):
        of_person = None
    if isinstance(of_person, list | tuple) and not of_person:
        return np.empty((0, width))
    if isinstance(of_person, np.ndarray) and of_person.dtype.kind in "fiu":
        if not of_person.size:
            return np.empty((0, width))
        shape = (len(of_person), 4, 17) if width == 68 else (len(of_person), 5)
        if of_person.shape == shape:
            return of_person.reshape(len(of_person), width).astype(np.float64)
    raise InputError(
        "no array of people", path=path, position=f"frame {frame}",
        found=np.shape(of_person) if isinstance(of_person, np.ndarray) else type(of_person),
        expected="(P, 4, 17), or [] where nobody is" if width == 68 else "(P, 5), or []",
    )  # fmt: skip


@cache
def _facts() -> dict[str, Any]:
    text = resources.files("posedata.schemas").joinpath("videopose3d/cameras.json")
    return json.loads(text.read_text("utf-8"))


def cameras() -> Sequence[Mapping[str, Any]]:
    """Give number, width and height of Human3.6M's cameras in the order of the 2D files."""
    return _facts()["cameras"]


def frames_per_second() -> float:
    """Frame rate of Human3.6M."""
    return _facts()["fps"]


def _item(array: np.ndarray) -> Any:
    return array.item() if array.size == 1 and array.dtype.hasobject else array


def _items(value: Any, what: str, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise InputError(f"{what} is no dict", path=path, found=type(value).__name__)
    return [(str(key), item) for key, item in value.items()]


def _picture_size(metadata: Any) -> tuple[int | None, int | None]:
    if not isinstance(metadata, dict):
        return None, None
    found = [metadata.get(name) for name in ("w", "h")]
    width, height = (
        int(n) if isinstance(n, int | np.integer) and 0 < n < 1 << 24 else None for n in found
    )
    return width, height


def _symmetry(metadata: Mapping[Any, Any]) -> tuple[tuple[int, ...], ...]:
    value = metadata.get("keypoints_symmetry")
    if not isinstance(value, list | tuple) or len(value) != 2:
        return ()
    sides = tuple(tuple(side) if isinstance(side, list | tuple) else () for side in value)
    whole = all(isinstance(joint, int) for side in sides for joint in side)
    return sides if whole and all(sides) else ()
