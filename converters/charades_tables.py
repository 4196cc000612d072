"""Charades' tables: classes with their objects and verbs, the CSV rows, the 25-point protocol.

Sigurdsson et al., "Hollywood in Homes: Crowdsourcing Data Collection for Activity Understanding",
ECCV 2016.
"""

from __future__ import annotations

import csv
import io
import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from posedata.converter import Problem, Segment
from posedata.errors import InputError
from posedata.json_text import parse_json

#: Points at which localisation is evaluated.
NUM_POINTS = 25

#: What a table has of each clip besides its actions: name of the clip column by field of the CSV.
CSV_COLUMNS: Mapping[str, str] = {
    "id": "clip_id", "subject": "subject_id", "scene": "scene", "quality": "quality",
    "relevance": "relevance", "verified": "verified", "script": "script", "objects": "objects",
    "descriptions": "descriptions", "length": "duration_s",
}  # fmt: skip

_FIELDS = ("id", "subject", "scene", "quality", "relevance", "verified", "script", "objects",
           "descriptions", "actions", "length")  # fmt: skip
_CLIP_ID = re.compile(r"[A-Z0-9]{5}", re.ASCII)
_ACTION = re.compile(r"c(\d{3}) (-?\d+(?:\.\d+)?) (-?\d+(?:\.\d+)?)", re.ASCII)
_SUBSETS = {"training": "train", "testing": "test"}


class Table(NamedTuple):
    """The clips of a table and what was wrong with others.

    Attributes
    ----------
    rows : dict of str to dict
        Clip columns by clip id.
    segments : list of Segment
        In the order of the table.
    problems : list of Problem
        Rows or actions that cannot be read.
    """

    rows: dict[str, dict[str, Any]]
    segments: list[Segment]
    problems: list[Problem]


@cache
def class_names() -> tuple[str, ...]:
    """Names of the 157 classes, c000 first."""
    return _names("classes.txt")


@cache
def verb_names() -> tuple[str, ...]:
    """Names of the 33 verbs, v000 first."""
    return _names("verbs.txt")


@cache
def object_names() -> tuple[str, ...]:
    """Names of the 38 objects, o000 (``None``: no object) first."""
    return _names("objects.txt")


def verb_of(label: int) -> int:
    """Give the verb of a class by the official mapping, e.g. 8 (hold) for 0."""
    return _mapping()[label][1]


def object_of(label: int) -> int:
    """Give the object of a class by the official mapping, e.g. 9 (clothes) for 0."""
    return _mapping()[label][0]


def is_clip_id(name: str) -> bool:
    """Whether a name is like those of clips: ``46GP8``."""
    return _CLIP_ID.fullmatch(name) is not None


def localisation_points(length: float) -> np.ndarray:
    """Give the 25 times at which localisation is evaluated: t_j = (j - 1) length / 25.

    Parameters
    ----------
    length : float
        Of the video, seconds.

    Returns
    -------
    float64, shape (25,)
        Seconds; the first is 0 and the last is one step before the end.
    """
    return np.arange(NUM_POINTS) * length / NUM_POINTS


def localisation_truth(segments: Iterable[Segment | tuple[Any, ...]], length: float) -> np.ndarray:
    """Tell which classes happen at each of the 25 points (``Charades_v1_localize.m``).

    A class happens at t where start <= t <= end for any of its segments, both ends included.

    Parameters
    ----------
    segments : iterable of Segment
        Of one clip.
    length : float
        Of the clip, seconds.

    Returns
    -------
    bool, shape (25, 157)
    """
    points = localisation_points(length)
    truth = np.zeros((NUM_POINTS, len(class_names())), bool)
    for _, start, end, label, *_ in segments:
        truth[:, label] |= (start <= points) & (points <= end)
    return truth


def parse_csv(content: bytes, path: str, split: str) -> Table:
    """Read ``Charades_v1_train.csv`` or ``Charades_v1_test.csv`` (RFC 4180).

    Parameters
    ----------
    content : bytes
        The whole file.
    path : str
        Its name, for error messages and problems.
    split : str
        ``train`` or ``test``, which becomes the column ``split``.

    Returns
    -------
    Table
        A row that cannot be read is among the problems, and the rest goes on.

    Raises
    ------
    InputError
        If it is not UTF-8, or its first line is not the header of these files.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path=path, position=f"byte {error.start}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _next(reader, path)
    if header is None or tuple(header) != _FIELDS:
        raise InputError("not a table of Charades", path=path, position="line 1",
                         found=reprlib.repr(header), expected=",".join(_FIELDS))  # fmt: skip
    table = Table({}, [], [])
    while True:
        line = reader.line_num + 1
        try:
            fields = _next(reader, path)
            if fields is None:
                return table
            if fields:
                _add_row(table, fields, split, path, line)
        except InputError as error:
            table.problems.append(
                Problem(path, "discover", error.reason, error.position or f"line {line}")
            )


def parse_charades_json(content: bytes, path: str) -> Table:
    """Read ``charades.json`` (of super-events, also in pytorch-i3d): subset, duration, actions.

    Raises
    ------
    InputError
        If it is no JSON object.
    """
    document = parse_json(content, path)
    if not isinstance(document, dict):
        raise InputError("not charades.json", path=path, found=reprlib.repr(document),
                         expected="an object of clips")  # fmt: skip
    table = Table({}, [], [])
    for clip_id, entry in document.items():
        try:
            _add_entry(table, clip_id, entry)
        except InputError as error:
            table.problems.append(Problem(path, "discover", error.reason, reprlib.repr(clip_id)))
    return table


def _next(reader: Any, path: str) -> list[str] | None:
    try:
        return next(reader)
    except StopIteration:
        return None
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", path=path,
                         position=f"line {reader.line_num}") from None  # fmt: skip


def _add_row(table: Table, fields: Sequence[str], split: str, path: str, line: int) -> None:
    if len(fields) != len(_FIELDS):
        raise InputError("wrong number of fields", found=len(fields), expected=len(_FIELDS))
    row = dict(zip(_FIELDS, fields, strict=True))
    clip_id = row["id"]
    if not is_clip_id(clip_id):
        raise InputError("bad id", found=reprlib.repr(clip_id),
                         expected="five capitals and digits")  # fmt: skip
    if clip_id in table.rows:
        raise InputError("a second row of this clip", found=clip_id)
    columns: dict[str, Any] = {column: row[field] for field, column in CSV_COLUMNS.items()}
    columns["duration_s"] = _length(row["length"])
    columns["quality"] = _grade("quality", row["quality"])
    columns["relevance"] = _grade("relevance", row["relevance"])
    columns["verified"] = _verified(row["verified"])
    columns["split"] = split
    table.rows[clip_id] = columns
    actions = row["actions"].split(";") if row["actions"] else []
    for number, action in enumerate(actions):
        match = _ACTION.fullmatch(action)
        if match is None or int(match[1]) >= len(class_names()):
            table.problems.append(Problem(
                path, "discover",
                f"bad action: found {reprlib.repr(action)}, expected cNNN start end, c000 to c156",
                f"line {line}, {clip_id}, action {number}",
            ))  # fmt: skip
            continue
        _add_segment(table, clip_id, int(match[1]), float(match[2]), float(match[3]))


def _add_entry(table: Table, clip_id: str, entry: Any) -> None:
    if not is_clip_id(clip_id):
        raise InputError("bad id", found=reprlib.repr(clip_id),
                         expected="five capitals and digits")  # fmt: skip
    if not isinstance(entry, dict):
        raise InputError("not a clip's annotation", found=reprlib.repr(entry),
                         expected="an object")  # fmt: skip
    subset, actions = entry.get("subset"), entry.get("actions")
    if not isinstance(subset, str) or subset not in _SUBSETS:
        raise InputError("bad subset", found=reprlib.repr(subset), expected="training or testing")
    if not isinstance(actions, list):
        raise InputError("bad actions", found=reprlib.repr(actions), expected="a list")
    duration = entry.get("duration")
    if duration is None or not _is_number(duration) or duration <= 0:
        raise InputError("bad duration", found=reprlib.repr(duration), expected="seconds")
    for action in actions:
        if not (
            isinstance(action, list) and len(action) == 3 and type(action[0]) is int
            and 0 <= action[0] < len(class_names()) and all(map(_is_number, action[1:]))
        ):  # fmt: skip
            raise InputError("bad action", found=reprlib.repr(action),
                             expected="[class 0-156, start, end]")  # fmt: skip
    table.rows[clip_id] = {
        "clip_id": clip_id, "duration_s": float(duration), "split": _SUBSETS[subset],
    }  # fmt: skip
    for label, start, end in actions:
        _add_segment(table, clip_id, label, float(start), float(end))


def _add_segment(table: Table, clip_id: str, label: int, start: float, end: float) -> None:
    length = table.rows[clip_id]["duration_s"]
    flags = [
        text
        for text, wrong in (
            ("start after the video", start > length),
            ("end after the video", end > length),
            ("end before start", end < start),
        )
        if wrong
    ]
    table.segments.append(
        Segment(clip_id, start, end, label, class_names()[label], "; ".join(flags))
    )


def _length(text: str) -> float:
    try:
        length = float(text)
    except ValueError:
        length = math.nan
    if not 0 < length < math.inf:
        raise InputError("bad length", found=reprlib.repr(text), expected="seconds")
    return length


def _grade(field: str, text: str) -> int | None:
    if not text:
        return None
    if text not in "1234567" or len(text) != 1:
        raise InputError(f"bad {field}", found=reprlib.repr(text), expected="1 to 7, or nothing")
    return int(text)


def _verified(text: str) -> bool:
    if text not in ("Yes", "No"):
        raise InputError("bad verified", found=reprlib.repr(text), expected="Yes or No")
    return text == "Yes"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9


@cache
def _mapping() -> tuple[tuple[int, int], ...]:
    """Object and verb of each class, in the order of classes."""
    rows = (line.split() for line in _read("mapping.txt").splitlines())
    return tuple((int(thing[1:]), int(verb[1:])) for _, thing, verb in rows)


def _names(file: str) -> tuple[str, ...]:
    return tuple(line.split(" ", 1)[1] for line in _read(file).splitlines())


def _read(file: str) -> str:
    return resources.files("posedata.schemas").joinpath("charades", file).read_text("utf-8")
