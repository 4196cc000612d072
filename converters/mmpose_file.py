"""One JSON file of MMPose, in the three forms that its versions write.

* A video, by ``MMPoseInferencer``: ``[{"frame_id": 0, "instances": [...]}, ...]``, from 0.
* An image, by ``MMPoseInferencer``: ``[instance, ...]``.
* A video or image, by the demo scripts' ``--save-predictions``: ``{"meta_info": {...},
  "instance_info": [...]}`` with either list, ``frame_id`` from 1.

An instance is ``{"keypoints": [[x, y], ...], "keypoint_scores": [...], "bbox": [[x0, y0, x1, y1]],
"bbox_score": ...}``, perhaps with ``track_id`` or ``instance_id``; models that lift to 3D write
``[x, y, z]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json

_FIELDS = {"keypoints", "keypoint_scores", "bbox", "bbox_score", "track_id", "instance_id"}


class MMPoseFile(NamedTuple):
    """What a file holds: N poses.

    Attributes
    ----------
    num_frames : int
        The last frame's number and 1.
    frames, slots : int64, shape (N,)
        0-based frame, and place among the instances of the frame.
    keypoints : float64, shape (N, V, 2 or 3)
        As in the file.
    scores : float64, shape (N, V)
        Of joints, as in the file; some models go beyond 1.
    boxes : float64, shape (N, 4)
        x0 y0 x1 y1; NaN where there is none.
    box_scores : float64, shape (N,)
        NaN where there is none.
    ids : sequence of str
        Track ids; ``""`` where there is none.
    joint_names : tuple of str
        From ``meta_info``; empty where there is none.
    unknown_fields : tuple of str
        Fields of the first instance that are not read.
    """

    num_frames: int
    frames: np.ndarray
    slots: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    ids: Sequence[str]
    joint_names: tuple[str, ...]
    unknown_fields: tuple[str, ...]


def parse_mmpose(text: bytes, path: str) -> MMPoseFile:
    """Read a file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Raises
    ------
    InputError
        Where the text is not what the format says.
    """
    content = view_json(text, path)
    joint_names: tuple[str, ...] = ()
    first_frame = 0
    if is_object(content):
        joint_names = _joint_names(content.get("meta_info"))
        content = content.get("instance_info")
        first_frame = 1
    if not is_array(content):
        raise InputError("not an MMPose file", path=path,
                         expected="a list, or an object with 'instance_info'")  # fmt: skip
    numbered = _frames(content, first_frame, path)
    frames, slots, rows = [], [], []
    unknown: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None
    for frame, instances in numbered:
        for slot, instance in enumerate(instances):
            try:
                rows.append(_instance(instance, shape))
            except InputError as error:
                raise InputError(
                    error.message, path=path, position=f"frame {frame}, instance {slot}",
                    found=error.found, expected=error.expected,
                ) from None  # fmt: skip
            if shape is None:
                num_joints = len(rows[0][1])
                shape = num_joints, len(rows[0][0]) // num_joints
                unknown = tuple(str(name) for name in instance if name not in _FIELDS)
            frames.append(frame)
            slots.append(slot)
    num_joints, width = shape or (0, 2)
    columns: tuple[Sequence[Any], ...] = tuple(zip(*rows, strict=True)) or ((),) * 5
    keypoints, scores, boxes, box_scores, ids = columns
    return MMPoseFile(
        num_frames=max((frame for frame, _ in numbered), default=-1) + 1,
        frames=np.array(frames, np.int64),
        slots=np.array(slots, np.int64),
        keypoints=_stack(keypoints, (num_joints, width)),
        scores=_stack(scores, (num_joints,)),
        boxes=_stack(boxes, (4,)),
        box_scores=np.array(box_scores, np.float64),
        ids=ids,
        joint_names=joint_names,
        unknown_fields=unknown,
    )


def _frames(content: Any, first_frame: int, path: str) -> list[tuple[int, Any]]:
    """Frame numbers from 0, with the instances of each."""
    first = content[0] if len(content) else None
    if first is None or (is_object(first) and "instances" not in first):
        return [(0, content)]  # an image; of an empty list too, since a video has frames
    numbered = []
    seen = set()
    for place, entry in enumerate(content):
        fields = list(entry) if is_object(entry) else []
        number: Any = entry["frame_id"] if "frame_id" in fields else None
        instances: Any = entry["instances"] if "instances" in fields else None
        if not is_whole(number) or not is_array(instances):
            raise InputError("not a frame", path=path, position=f"entry {place} of the list",
                             expected="an object with 'frame_id' and 'instances'")  # fmt: skip
        if number < first_frame or number in seen:
            raise InputError(
                "a frame twice" if number in seen else "a frame before the first", path=path,
                position=f"entry {place} of the list", found=f"frame_id {number}",
            )  # fmt: skip
        seen.add(number)
        numbered.append((number - first_frame, instances))
    return numbered


def _instance(instance: Any, shape: tuple[int, int] | None) -> tuple[Any, ...]:
    if not is_object(instance):
        raise InputError("not an instance", expected="an object")
    names = list(instance)  # a view takes long to say that a field is not there
    scores = numbers(instance["keypoint_scores"]) if "keypoint_scores" in names else None
    if scores is None or not len(scores):
        raise InputError("bad keypoint_scores", expected="a list of numbers")
    value: Any = instance["keypoints"] if "keypoints" in names else None
    keypoints = _flat(value)
    num_joints = len(scores)
    if keypoints is None or len(value) != num_joints or len(keypoints) not in (
        2 * num_joints, 3 * num_joints
    ):  # fmt: skip
        raise InputError("bad keypoints", expected=f"{num_joints} times 2 or 3 numbers, as many "
                         "as keypoint_scores")  # fmt: skip
    if shape is not None and (num_joints, len(keypoints) // num_joints) != shape:
        raise InputError("another number of joints than before", expected=shape[0],
                         found=num_joints)  # fmt: skip
    box = instance["bbox"] if "bbox" in names else None
    corners = np.full(4, np.nan) if box is None else _flat(box)
    if corners is None or len(corners) != 4:
        raise InputError("bad bbox", expected="4 numbers")
    box_score = instance["bbox_score"] if "bbox_score" in names else None
    if box_score is None:
        box_score = np.nan
    elif isinstance(box_score, bool) or not isinstance(box_score, int | float):
        raise InputError("bad bbox_score", expected="a number")
    return keypoints, scores, corners, float(box_score), _track_id(instance, names)


def _track_id(instance: Any, names: Sequence[str]) -> str:
    value = None
    for name in ("instance_id", "track_id"):
        value = instance[name] if name in names else value
    if value is None:
        return ""
    if not is_whole(value):
        raise InputError("bad track_id", expected="a whole number")
    return str(value) if value >= 0 else ""


def _flat(value: Any) -> np.ndarray | None:
    """Give numbers in one list, or in lists of a list."""
    if isinstance(value, list) and any(isinstance(item, list) for item in value):
        if not all(isinstance(item, list) for item in value):
            return None
        value = [number for item in value for number in item]
    return numbers(value)


def _joint_names(meta_info: Any) -> tuple[str, ...]:
    names: Any = meta_info.get("keypoint_id2name") if is_object(meta_info) else None
    if not is_object(names):
        return ()
    by_number = [names.get(str(number)) for number in range(len(names))]
    return tuple(by_number) if all(isinstance(name, str) for name in by_number) else ()


def _stack(rows: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    flat = np.concatenate([*rows, np.empty(0)])
    return flat.reshape(len(rows), *shape)
