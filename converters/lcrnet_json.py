"""The JSON of LCRNet++ poses, as Toyota Smarthome ships them: bytes to arrays.

A file is ``{"K": int, "njts": 13, "frames": [[person, ...], ...]}``, a frame without people is
``[]``, and a person is ``{"pose2d": [26 numbers], "pose3d": [39 numbers], "cumscore": number}``.
The numbers come in blocks, all x, then all y, then all z: they must not be read as x, y, x, y.
Version 1.2 of the files (``*_pose3d.json``) has no ``cumscore``.

Rogez et al., "LCR-Net++: Multi-person 2D and 3D Pose Detection in Natural Images", TPAMI 2020.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError

#: Joints of LCRNet: ``njts`` of every file.
NUM_JOINTS = 13

_FILE_FIELDS = ("K", "njts", "frames")
_PERSON_FIELDS = ("pose2d", "pose3d", "cumscore")
_LARGEST = float(np.finfo(np.float32).max)


class LcrnetFile(NamedTuple):
    """What an LCRNet file says, one row for each person in each frame (N), in file order.

    Attributes
    ----------
    num_frames : int
        Length of ``frames``.
    frames, slots : int32, shape (N,)
        The frame, and the position in its list of people.
    pose2d : float64, shape (N, 13, 2)
        Pixels; (-1, -1) and (0, 0) stand for a joint that was not found.
    pose3d : float64, shape (N, 13, 3), optional
        Metres. None where no person has it.
    cumscore : float32, shape (N,), optional
        The detection's score, NaN where a person has none. None where nobody has one.
    unknown_fields : tuple of str
        Names of fields that the format does not have.
    """

    num_frames: int
    frames: np.ndarray
    slots: np.ndarray
    pose2d: np.ndarray
    pose3d: np.ndarray | None
    cumscore: np.ndarray | None
    unknown_fields: tuple[str, ...]

    @property
    def missing(self) -> np.ndarray:
        """Joints that were not found: bool, shape (N, 13)."""
        return (self.pose2d == -1).all(-1) | (self.pose2d == 0).all(-1)


def parse_lcrnet(text: bytes, path: str) -> LcrnetFile:
    """Read an LCRNet file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Raises
    ------
    InputError
        If it is not JSON, or not of this layout, with the frame and the person (from 0).
    """
    from posedata.json_view import view_json  # the JSON library

    document = view_json(text, path)
    every_frame = _frames_of(document, path)
    unknown = set(document.keys()).difference(_FILE_FIELDS)
    return _by_field(every_frame, unknown) or _one_by_one(every_frame, unknown, path)


def _one_by_one(every_frame: Any, unknown: Set[str], path: str) -> LcrnetFile:
    people = [
        (frame, slot, person)
        for frame, listed in enumerate(every_frame)
        for slot, person in enumerate(_people_of(listed, frame, path))
    ]
    names = {name for _, _, person in people for name in person.keys()}  # noqa: SIM118
    places = [(frame, slot) for frame, slot, _ in people]
    persons = [person for _, _, person in people]
    pose2d = _blocks(persons, "pose2d", 2, places, path)
    pose3d = None
    if any(person.get("pose3d") is not None for person in persons):
        pose3d = _blocks(persons, "pose3d", 3, places, path)
    return LcrnetFile(
        num_frames=len(every_frame),
        frames=np.array([frame for frame, _ in places], np.int32),
        slots=np.array([slot for _, slot in places], np.int32),
        pose2d=pose2d,
        pose3d=pose3d,
        cumscore=_cumscores(persons, places, path),
        unknown_fields=tuple(sorted(unknown | names.difference(_PERSON_FIELDS))),
    )


def _by_field(every_frame: Any, unknown: Set[str]) -> LcrnetFile | None:
    """Do what `_one_by_one` does, five times as fast; None where anything is unusual."""
    from posedata.json_columns import columns_of, scalars
    from posedata.json_view import is_array

    lists = list(every_frame)
    if not all(map(is_array, lists)):
        return None
    people = columns_of((person for listed in lists for person in listed), _PERSON_FIELDS)
    if people is None or not people.num_objects:
        return None
    pose2d = _whole_blocks(people.values["pose2d"], 2)
    in_space = any(pose is not None for pose in people.values["pose3d"])
    pose3d = _whole_blocks(people.values["pose3d"], 3) if in_space else None
    listed_scores = people.values["cumscore"]
    scores = scalars(listed_scores)
    if pose2d is None or (in_space and pose3d is None) or scores is None or not _fit(scores):
        return None
    counts = np.array(list(map(len, lists)))
    frames = np.repeat(np.arange(len(lists), dtype=np.int32), counts)
    first_rows = np.repeat(np.cumsum(counts) - counts, counts)
    return LcrnetFile(
        num_frames=len(lists),
        frames=frames,
        slots=(np.arange(len(frames)) - first_rows).astype(np.int32),
        pose2d=pose2d,
        pose3d=pose3d,
        cumscore=None if listed_scores.count(None) == len(frames) else scores.astype(np.float32),
        unknown_fields=tuple(sorted(unknown | (people.fields - set(_PERSON_FIELDS)))),
    )


def count_frames(text: bytes, path: str) -> int:
    """Give the number of frames of an LCRNet file, without looking at any of them.

    Raises
    ------
    InputError
        If it is not such a file.
    """
    from posedata.json_view import view_json

    return len(_frames_of(view_json(text, path), path))


def _frames_of(document: Any, path: str) -> Any:
    from posedata.json_view import is_array, is_object, is_whole

    if not is_object(document) or not is_array(document.get("frames")):
        raise InputError(
            "not an LCRNet file", path=path, found=_shown(document),
            expected='an object with "njts" and a list "frames"',
        )  # fmt: skip
    joints = document.get("njts", NUM_JOINTS)
    if not is_whole(joints) or joints != NUM_JOINTS:
        raise InputError("njts: another number of joints", path=path, found=_shown(joints),
                         expected=NUM_JOINTS)  # fmt: skip
    poses = document.get("K", 1)
    if not is_whole(poses) or poses < 1:
        raise InputError("K: not LCRNet's number of anchor poses", path=path,
                         found=_shown(poses), expected="1 or more")  # fmt: skip
    return document["frames"]


def _people_of(listed: Any, frame: int, path: str) -> list[Any]:
    from posedata.json_view import is_array, is_object

    if not is_array(listed):
        raise InputError("not a list of people", path=path, position=f"frame {frame}",
                         found=_shown(listed), expected="[] or [{...}, ...]")  # fmt: skip
    people = list(listed)
    for slot, person in enumerate(people):
        if not is_object(person):
            raise InputError("not a person", path=path, position=f"frame {frame}, person {slot}",
                             found=_shown(person), expected='an object with "pose2d"')  # fmt: skip
    return people


def _blocks(
    persons: Sequence[Any], field: str, width: int, places: list[tuple[int, int]], path: str
) -> np.ndarray:
    """Numbers that come as all x, all y, ... as an array (N, 13, ``width``)."""
    from posedata.json_view import is_array, numbers

    size = NUM_JOINTS * width
    rows = np.empty((len(persons), size))
    for row, (person, place) in enumerate(zip(persons, places, strict=True)):
        listed = person.get(field)
        found = numbers(listed) if is_array(listed) and len(listed) == size else None
        # A list inside the list is flattened by `numbers`: then they are more.
        if found is None or len(found) != size or not _fit(found):
            raise InputError(
                f"bad {field}", path=path, position=_position(place), found=_shown(listed),
                expected=f"{size} numbers: all x, then all y" + ", then all z" * (width > 2),
            )  # fmt: skip
        rows[row] = found
    return _joints(rows, width)


def _whole_blocks(column: Sequence[Any], width: int) -> np.ndarray | None:
    """Do what `_blocks` does; None where it would not."""
    from posedata.json_columns import stack

    size = NUM_JOINTS * width
    rows = stack(column)
    if rows is None or rows.shape[1] != size or set(map(len, column)) != {size} or not _fit(rows):
        return None
    return _joints(rows, width)


def _joints(rows: np.ndarray, width: int) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(-1, width, NUM_JOINTS).transpose(0, 2, 1))


def _cumscores(
    persons: Sequence[Any], places: list[tuple[int, int]], path: str
) -> np.ndarray | None:
    scores = [person.get("cumscore") for person in persons]
    if all(score is None for score in scores):
        return None
    for score, place in zip(scores, places, strict=True):
        if score is not None and not (
            type(score) in (int, float) and (not abs(score) > _LARGEST or abs(score) == np.inf)
        ):
            raise InputError("bad cumscore", path=path, position=_position(place),
                             found=_shown(score), expected="a number")  # fmt: skip
    return np.array([np.nan if score is None else score for score in scores], np.float32)


def _fit(numbers: np.ndarray) -> bool:
    """Whether float32 holds the numbers; NaN and infinity are its own."""
    if numbers.dtype.kind not in "fiu":
        return False
    return bool((~(np.abs(numbers) > _LARGEST) | np.isinf(numbers)).all())


def _position(place: tuple[int, int]) -> str:
    return f"frame {place[0]}, person {place[1]}"


def _shown(value: Any) -> str:
    from posedata.json_view import in_python, is_array, is_object

    if is_array(value):
        return f"a list of {len(value)}: {reprlib.repr(in_python(value)[:3])}"
    return "an object" if is_object(value) else reprlib.repr(value)
