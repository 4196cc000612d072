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
from typing import Any, NamedTuple

import numpy as np

from posedata.converter import Problem
from posedata.converters.people import LARGEST_NUM_FRAMES
from posedata.errors import InputError
from posedata.json_view import is_array, is_object, is_whole, numbers, view_json


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


class ImagePredictions(NamedTuple):
    """The predictions of one frame.

    Attributes
    ----------
    frame : int
        0-based.
    predictions : list
        Those with joints.
    num_without_joints : int
        Objects that only have a box.
    """

    frame: int
    predictions: list[_Prediction]
    num_without_joints: int


def parse_image(text: bytes, path: str, frame: int) -> ImagePredictions:
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
    return _predictions(content, frame, path, "")


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
    parts: list[ImagePredictions] = []
    problems: list[Problem] = []
    first = 1
    for number, content in _lines(text, path):
        where = f"line {number}"
        frame: Any = content.get("frame") if is_object(content) else None
        predictions = content.get("predictions") if is_object(content) else None
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
        if parts and frame - first <= parts[-1].frame:
            raise InputError(
                f"frame {frame} after frame {parts[-1].frame + first}", path=path, position=where,
                remedy="A second run was appended to the file: cut it into two before this line.",
            )  # fmt: skip
        parts.append(_predictions(predictions, frame - first, path, f"{where}, "))
    people, more = join(parts, path)
    return people, problems + more


def _lines(text: bytes, path: str) -> Iterator[tuple[int, Any]]:
    """Give the number of each line from 1, and what is in it."""
    lines = [(number, line) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    try:
        together = view_json(b"[%s]" % b",".join(line for _, line in lines), path)
    except InputError:
        together = ()
    if len(together) == len(lines):  # in one piece, which takes a quarter of the time
        yield from zip((number for number, _ in lines), together, strict=True)
        return
    for number, line in lines:
        try:
            yield number, view_json(line, path)
        except InputError as error:
            raise InputError(
                error.message, path=path, position=f"line {number}", found=error.found,
                remedy="The last line may be incomplete: delete it, if the program was stopped.",
            ) from None  # fmt: skip


def join(parts: Sequence[ImagePredictions], path: str) -> tuple[PifPafPeople, list[Problem]]:
    """Put the frames of a clip together.

    Raises
    ------
    InputError
        If the number of joints changes.
    """
    problems = []
    rows = [row for part in parts for row in part.predictions]
    num_frames = max((part.frame for part in parts), default=-1) + 1
    if skipped := sum(part.num_without_joints for part in parts):
        problems.append(Problem(path, "read", f"{skipped} predictions without joints were left "
                                "out", "", "warning"))  # fmt: skip
    if absent := num_frames - len(parts):
        there = {part.frame for part in parts}
        first = next(frame for frame in range(num_frames) if frame not in there)
        problems.append(Problem(path, "read", f"nothing of {absent} of the {num_frames} frames",
                                f"frame {first}", "warning"))  # fmt: skip
    lengths = {len(row.keypoints) for row in rows}
    if len(lengths) > 1:
        odd = next(row for row in rows if len(row.keypoints) != len(rows[0].keypoints))
        raise InputError(
            "another number of joints than before", path=path,
            position=f"frame {odd.frame}, person {odd.slot}", found=len(odd.keypoints) // 3,
            expected=len(rows[0].keypoints) // 3,
        )  # fmt: skip
    flat = np.concatenate([*(row.keypoints for row in rows), np.empty(0)])
    boxes = np.concatenate([*(row.box for row in rows), np.empty(0)]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return PifPafPeople(
        num_frames=num_frames,
        frames=np.array([row.frame for row in rows], np.int64),
        slots=np.array([row.slot for row in rows], np.int64),
        keypoints=flat.reshape(len(rows), max(lengths, default=0) // 3, 3),
        boxes=boxes,
        person_scores=np.array([row.score for row in rows], np.float64),
        categories=np.array([row.category for row in rows], np.int64),
        ids=[row.id for row in rows],
    ), problems


def _predictions(content: Any, frame: int, path: str, where: str) -> ImagePredictions:
    found = []
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
    return ImagePredictions(frame, found, without)


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
