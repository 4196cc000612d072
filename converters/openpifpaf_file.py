"""The JSON files of OpenPifPaf.

* An image, by ``openpifpaf.predict``: ``[prediction, ...]``.
* A video, by ``openpifpaf.video``: one line a frame, ``{"frame": 1, "predictions": [...]}``,
  counted from 1. The program appends to a file that is there, so that the lines of a second run
  follow those of the first.

A prediction is ``{"keypoints": [x, y, confidence, ...], "bbox": [x, y, width, height], "score":
..., "category_id": 1}``, with ``id_`` from its tracker. A joint that was not found has confidence
0, and 0 and -3, or anything else, for x and y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import lt
from typing import Any, NamedTuple

import numpy as np

from posedata.converter import Problem
from posedata.converters.people import LARGEST_NUM_FRAMES
from posedata.errors import InputError
from posedata.json_columns import columns_of, scalars, stack
from posedata.json_files import view_files
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json

_FIELDS = ("keypoints", "bbox", "score", "category_id", "id_")


class PifPafPeople(NamedTuple):
    """The people of some frames: N poses.

    Attributes
    ----------
    num_frames : int
        The last frame's number and 1.
    frames, slots : int64, shape (N,)
        0-based frame, and place among the predictions of the frame.
    keypoints : float64, shape (N, V, 3)
        x, y, confidence as in the file.
    boxes : float64, shape (N, 4)
        x0 y0 x1 y1; NaN where there is none.
    person_scores : float64, shape (N,)
        NaN where there is none.
    categories : int64, shape (N,)
        0 where there is none.
    ids : sequence of str
        Track ids; ``""`` where there is none.
    """

    num_frames: int
    frames: np.ndarray
    slots: np.ndarray
    keypoints: np.ndarray
    boxes: np.ndarray
    person_scores: np.ndarray
    categories: np.ndarray
    ids: Sequence[str]


class _Prediction(NamedTuple):
    frame: int
    slot: int
    keypoints: np.ndarray
    box: np.ndarray
    score: float
    category: int
    id: str


class _Rows(NamedTuple):
    """Predictions with as many joints, and what `PifPafPeople` says of them; boxes with sizes."""

    frames: np.ndarray
    slots: np.ndarray
    keypoints: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    categories: np.ndarray
    ids: Sequence[str]


class FramePredictions(NamedTuple):
    """The predictions of some frames.

    Attributes
    ----------
    frames : sequence of int
        0-based; also those without predictions.
    rows : sequence
        The predictions with joints, in pieces.
    num_without_joints : int
        Objects that only have a box.
    """

    frames: Sequence[int]
    rows: Sequence[_Rows]
    num_without_joints: int


def parse_image(text: bytes, path: str, frame: int) -> FramePredictions:
    """Read the file of an image.

    Raises
    ------
    InputError
        Where the text is not what the format says.
    """
    content = view_json(text, path)
    if not is_array(content):
        raise InputError("not a file of OpenPifPaf's predictions of an image", path=path,
                         expected="a list")  # fmt: skip
    return _one_by_one(content, frame, path, "")


def parse_images(texts: Sequence[bytes], frames: Sequence[int]) -> FramePredictions | None:
    """Read the files of several images, faster than one by one with `parse_image`.

    Returns
    -------
    FramePredictions, optional
        None where anything is wrong or unusual, such as objects without joints: `parse_image`
        gives them, or says what is wrong.
    """
    return _by_field(view_files(texts) or [None], frames)


def parse_video(text: bytes, path: str) -> tuple[PifPafPeople, list[Problem]]:
    """Read the file of a video.

    Returns
    -------
    people : PifPafPeople
        Of all frames.
    problems : list of Problem
        Warnings.

    Raises
    ------
    InputError
        Where a line is not what the format says, or a frame number is not above the one before.
    """
    lines = [(number, line) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    content = view_files([line for _, line in lines])
    part = _lines_by_field(content) if content else None
    if part is not None:
        return join([part], path)
    parts: list[FramePredictions] = []
    problems: list[Problem] = []
    first = 1
    for number, line in _each_line(lines, content, path):
        where = f"line {number}"
        frame: Any = line.get("frame") if is_object(line) else None
        predictions = line.get("predictions") if is_object(line) else None
        if not is_whole(frame) or not is_array(predictions):
            raise InputError("not a line of OpenPifPaf", path=path, position=where,
                             expected="an object with 'frame' and 'predictions'")  # fmt: skip
        if not parts and frame == 0:
            first = 0
            problems.append(Problem(path, "read", "frames are counted from 0 here, not from 1",
                                    where, "warning"))  # fmt: skip
        if not first <= frame < LARGEST_NUM_FRAMES:
            raise InputError("no frame number", path=path, position=where, found=frame,
                             expected=f"{first} or more")  # fmt: skip
        if parts and frame - first <= parts[-1].frames[0]:
            raise InputError(
                f"frame {frame} after frame {parts[-1].frames[0] + first}", path=path,
                position=where,
                remedy="A second run was appended to the file: cut it into two before this line.",
            )  # fmt: skip
        parts.append(_one_by_one(predictions, frame - first, path, f"{where}, "))
    people, more = join(parts, path)
    return people, problems + more


def _lines_by_field(content: Sequence[Any]) -> FramePredictions | None:
    """Read the lines of a video whose frame numbers go up from 1 or more; None for all else."""
    lines = columns_of(content, ("frame", "predictions"))
    if lines is None:
        return None
    numbers = lines.values["frame"]
    if set(map(type, numbers)) != {int} or not 1 <= numbers[0] <= numbers[-1] < LARGEST_NUM_FRAMES:
        return None
    if not all(map(lt, numbers, numbers[1:])):
        return None
    return _by_field(lines.values["predictions"], [number - 1 for number in numbers])


def _each_line(
    lines: Sequence[tuple[int, bytes]], content: Sequence[Any] | None, path: str
) -> Iterator[tuple[int, Any]]:
    """Give the number of each line from 1, and what is in it."""
    if content is not None:
        yield from zip((number for number, _ in lines), content, strict=True)
        return
    for number, line in lines:
        try:
            yield number, view_json(line, path)
        except InputError as error:
            raise InputError(
                error.message, path=path, position=f"line {number}", found=error.found,
                remedy="The last line may be incomplete: delete it, if the program was stopped.",
            ) from None  # fmt: skip


def join(parts: Sequence[FramePredictions], path: str) -> tuple[PifPafPeople, list[Problem]]:
    """Put the frames of a clip together.

    Raises
    ------
    InputError
        If the number of joints changes.
    """
    problems = []
    rows = [rows for part in parts for rows in part.rows]
    there = {frame for part in parts for frame in part.frames}
    num_frames = max(there, default=-1) + 1
    if skipped := sum(part.num_without_joints for part in parts):
        problems.append(Problem(path, "read", f"{skipped} predictions without joints were left "
                                "out", "", "warning"))  # fmt: skip
    if absent := num_frames - len(there):
        first = next(frame for frame in range(num_frames) if frame not in there)
        problems.append(Problem(path, "read", f"nothing of {absent} of the {num_frames} frames",
                                f"frame {first}", "warning"))  # fmt: skip
    lengths = [some.keypoints.shape[1] for some in rows]
    if len(set(lengths)) > 1:
        odd = next(some for some, length in zip(rows, lengths, strict=True) if length != lengths[0])
        raise InputError(
            "another number of joints than before", path=path,
            position=f"frame {odd.frames[0]}, person {odd.slots[0]}",
            found=odd.keypoints.shape[1] // 3, expected=lengths[0] // 3,
        )  # fmt: skip
    rows = rows or [_rows([])]
    keypoints = np.concatenate([some.keypoints for some in rows])
    boxes = np.concatenate([some.boxes for some in rows])
    boxes[:, 2:] += boxes[:, :2]
    return PifPafPeople(
        num_frames=num_frames,
        frames=np.concatenate([some.frames for some in rows]),
        slots=np.concatenate([some.slots for some in rows]),
        keypoints=keypoints.reshape(len(keypoints), keypoints.shape[1] // 3, 3),
        boxes=boxes,
        person_scores=np.concatenate([some.scores for some in rows]),
        categories=np.concatenate([some.categories for some in rows]),
        ids=[text for some in rows for text in some.ids],
    ), problems


def _one_by_one(content: Any, frame: int, path: str, where: str) -> FramePredictions:
    found: list[_Prediction] = []
    without = 0
    for slot, prediction in enumerate(content):
        try:
            fields = _prediction(prediction)
        except InputError as error:
            raise InputError(error.message, path=path, position=f"{where}person {slot}",
                             expected=error.expected) from None  # fmt: skip
        if fields is None:
            without += 1
        else:
            found.append(_Prediction(frame, slot, *fields))
    alike = (list(some) for _, some in groupby(found, key=lambda one: len(one.keypoints)))
    return FramePredictions([frame], list(map(_rows, alike)), without)


def _rows(found: Sequence[_Prediction]) -> _Rows:
    """Put predictions with as many joints above each other."""
    num = len(found)
    return _Rows(
        np.array([one.frame for one in found], np.int64),
        np.array([one.slot for one in found], np.int64),
        np.array([one.keypoints for one in found], np.float64).reshape(num, -1 if num else 0),
        np.array([one.box for one in found], np.float64).reshape(num, 4),
        np.array([one.score for one in found], np.float64),
        np.array([one.category for one in found], np.int64),
        [one.id for one in found],
    )


def _by_field(lists: Sequence[Any], frames: Sequence[int]) -> FramePredictions | None:
    """Do what `_one_by_one` does, for many frames; None where anything is unusual."""
    if not all(map(is_array, lists)):
        return None
    people = columns_of((person for listed in lists for person in listed), _FIELDS)
    if people is None or not people.num_objects:
        return None
    values = people.values
    keypoints = stack(values["keypoints"])
    boxes = _boxes(values["bbox"])
    scores = scalars(values["score"])
    categories, ids = values["category_id"], values["id_"]
    if (
        keypoints is None or not keypoints.size or keypoints.shape[1] % 3 or boxes is None
        or scores is None or not _are_whole(categories) or not _are_whole(ids)
    ):  # fmt: skip
        return None
    counts = np.array(list(map(len, lists)))
    first_rows = np.repeat(np.cumsum(counts) - counts, counts)
    rows = _Rows(
        np.repeat(np.array(frames, np.int64), counts), np.arange(len(first_rows)) - first_rows,
        keypoints, boxes, scores,
        np.array([category or 0 for category in categories], np.int64),
        ["" if track is None else str(track) for track in ids],
    )  # fmt: skip
    return FramePredictions(frames, [rows], 0)


def _boxes(column: Sequence[Any]) -> np.ndarray | None:
    """Boxes of all; None where not all or none have one of 4 numbers."""
    if all(value is None for value in column):
        return np.full((len(column), 4), np.nan)
    boxes = stack(column)
    return boxes if boxes is not None and boxes.shape[1] == 4 else None


def _are_whole(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {int, type(None)} and all(
        abs(number) < 1 << 31 for number in set(column) - {None}
    )


def _prediction(prediction: Any) -> tuple[np.ndarray, np.ndarray, float, int, str] | None:
    """Keypoints, box, score, category and id; None where there are no keypoints."""
    if not is_object(prediction):
        raise InputError("not a prediction", expected="an object")
    names = list(prediction)  # a view takes long to say that a field is not there
    values = prediction["keypoints"] if "keypoints" in names else None
    if values is None:
        return None
    keypoints = numbers(values)
    if keypoints is None or not keypoints.size or keypoints.size % 3:
        raise InputError("bad keypoints", expected="3 numbers a joint")
    values = prediction["bbox"] if "bbox" in names else None
    box = np.full(4, np.nan) if values is None else numbers(values)
    if box is None or box.size != 4:
        raise InputError("bad bbox", expected="4 numbers")
    score = prediction["score"] if "score" in names else None
    if score is None:
        score = np.nan
    elif isinstance(score, bool) or not isinstance(score, int | float):
        raise InputError("bad score", expected="a number")
    elif abs(score) >= 1 << 1023 and is_whole(score):  # which no float is
        raise InputError("bad score", expected="a number of float64")
    category = prediction["category_id"] if "category_id" in names else None
    track = prediction["id_"] if "id_" in names else None
    if category is not None:
        _check_whole(category, "category_id")
    if track is not None:
        _check_whole(track, "id_")
    return keypoints, box, float(score), category or 0, "" if track is None else str(track)


def _check_whole(value: Any, name: str) -> None:
    if not is_whole(value) or abs(value) >= 1 << 31:
        raise InputError(f"bad {name}", expected="a whole number")
