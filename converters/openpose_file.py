"""One JSON file of OpenPose: the people of one frame.

``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, score, ...],
"face_keypoints_2d": [...], "hand_left_keypoints_2d": [...], "hand_right_keypoints_2d": [...],
"pose_keypoints_3d": [x, y, z, 1, ...], ...}]}``; version 1.0 calls the first array
``pose_keypoints``, and has no ids before 1.3. A joint that was not found is 0, 0, 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from posedata.converters.openpose import FURTHER_ARRAYS
from posedata.errors import InputError
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json


class OpenPosePerson(NamedTuple):
    """A person of a file.

    Attributes
    ----------
    id : str
        ``person_id`` as text; empty where it is absent or -1.
    pose : float64, shape (3 V,), optional
        None where the file has an object without a pose, which holds a place for nobody.
    further : mapping of str to float64
        Face, hands and 3D, under the file's names, where they are not empty.
    """

    id: str
    pose: np.ndarray | None
    further: Mapping[str, np.ndarray]


def read_people(text: bytes, path: str) -> list[OpenPosePerson]:
    """Read the people of a frame.

    Raises
    ------
    InputError
        Where the text is not what the format says.
    """
    content = view_json(text, path)
    people: Any = content.get("people") if is_object(content) else None
    if not is_array(people):
        raise InputError("not an OpenPose file", path=path, expected="an object with 'people'")
    return [_person(person, slot, path) for slot, person in enumerate(people)]


def _person(person: Any, slot: int, path: str) -> OpenPosePerson:
    if not is_object(person):
        raise InputError("not a person", path=path, position=f"person {slot}",
                         expected="an object")  # fmt: skip
    arrays = {}
    for name in ("pose_keypoints_2d", "pose_keypoints", *FURTHER_ARRAYS):
        value = person.get(name)
        if value is None:
            continue
        values = numbers(value)
        if values is None or len(values) % FURTHER_ARRAYS.get(name, ("", 3))[1]:
            raise InputError(
                f"bad {name}", path=path, position=f"person {slot}",
                expected="an array of numbers, as many for each joint",
            )  # fmt: skip
        if len(values):
            arrays[name] = values
    old_pose = arrays.pop("pose_keypoints", None)
    pose = arrays.pop("pose_keypoints_2d", old_pose)
    return OpenPosePerson(_id(person.get("person_id"), slot, path), pose, arrays)


def _id(value: Any, slot: int, path: str) -> str:
    if is_array(value):
        (value,) = list(value) if len(value) == 1 else (None,) if not len(value) else (value,)
    if value is None:
        return ""
    if not is_whole(value):
        raise InputError("bad person_id", path=path, position=f"person {slot}",
                         expected="one whole number")  # fmt: skip
    return "" if value < 0 else str(value)
