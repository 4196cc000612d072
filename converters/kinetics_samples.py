"""The samples of Kinetics-Skeleton: subsets, classes, label tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from posedata.converter import Problem, Sample
from posedata.discover import found_file
from posedata.errors import InputError
from posedata.json_text import parse_json
from posedata.storage import Location

#: Choices of the option ``classes``, with the number of classes of each.
CLASS_SETS: Mapping[str, int] = {"all": 400, "first50": 50}

# 240,000 entries of 80 bytes make 20 MB.
_LARGEST_TABLE = 256 << 20
_TABLE = re.compile(r"(?:.*[_-])?(train|val)_label\.json", re.IGNORECASE)
_FOLDER = re.compile(r"(?:.*[_-])?(train|val)", re.IGNORECASE)
# The label is the last thing in a file: this much of its end holds any label and its index.
_END_OF_FILE = 400
_LABEL_AT_END = re.compile(
    rb'"label"\s*:\s*"((?:[^"\\]|\\.)*)"\s*(?:,\s*"label_index"[^"{\[]*)?\}\s*$'
)


class LabelTable(NamedTuple):
    """What ``kinetics_train_label.json`` or its sibling says, by clip id."""

    path: str
    subset: str
    entries: Mapping[str, Mapping[str, Any]]


@cache
def class_names(class_set: str = "all") -> tuple[str, ...]:
    """Names of the Kinetics-400 classes in alphabetical order, or of the first of them."""
    folder = resources.files("posedata.schemas") / "kinetics"
    names = folder.joinpath("classes.txt").read_text("utf-8").splitlines()
    return tuple(names[: CLASS_SETS[class_set]])


@cache
def class_index() -> Mapping[str, int]:
    """Index of each of the 400 names."""
    return {name: index for index, name in enumerate(class_names())}


def subset_of(path: str) -> str | None:
    """Give ``train`` or ``val``, by the folder that a file is in (``kinetics_train``), or None."""
    for folder in reversed(PurePosixPath(path).parts[:-1]):
        if match := _FOLDER.fullmatch(folder):
            return match[1].lower()
    return None


def is_label_table(path: str) -> bool:
    """Whether a file is ``kinetics_train_label.json`` or ``kinetics_val_label.json``, by name."""
    return _TABLE.fullmatch(PurePosixPath(path).name) is not None


def read_label_table(raw: Location, path: str) -> LabelTable:
    """Read a table of labels.

    Raises
    ------
    InputError
        If it is not an object of objects.
    """
    entries = parse_json(found_file(raw, path).read_bytes(_LARGEST_TABLE), path)
    if not isinstance(entries, dict):
        raise InputError("not a table of labels", path=path, expected="an object by clip id")
    for clip_id, entry in entries.items():
        if not (isinstance(entry, dict) and isinstance(entry.get("label"), str)):
            raise InputError(
                "not a table of labels", path=path, position=repr(clip_id),
                expected="has_skeleton, label and label_index",
            )  # fmt: skip
    match = _TABLE.fullmatch(PurePosixPath(path).name)
    return LabelTable(path, match[1].lower() if match else "", entries)


def table_problems(table: LabelTable, clip_ids: set[str]) -> Iterator[Problem]:
    """Report entries of a table of which there is no file, and which have a skeleton by it."""
    absent = [name for name, entry in table.entries.items()
              if entry.get("has_skeleton", True) and name not in clip_ids]  # fmt: skip
    if absent:
        yield Problem(
            table.path, "discover",
            f"no file of {len(absent)} of the {len(table.entries)} clips that this table names, "
            f"the first is {min(absent)!r}",
            severity="warning",
        )  # fmt: skip


def label_at_end(raw: Location, sample: Sample) -> str | None:
    """Read a file's label without its poses.

    Returns
    -------
    str, optional
        None where the end of the file is not a label: it cannot be told without all of it.
    """
    with found_file(raw, sample.path).open() as file:
        file.seek(max(0, sample.size - _END_OF_FILE))
        end = bytes(file.read(_END_OF_FILE))
    match = _LABEL_AT_END.search(end)
    if match is None:
        return None
    label = parse_json(b'"' + match[1] + b'"', sample.path)
    return label if isinstance(label, str) else None


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give the official split: ``train`` and ``val``, the folders of the release."""
    for clip in clips:
        if clip.get("subset"):
            yield "official", clip["subset"], clip["clip_id"]


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count the clips of each subset."""
    counts: dict[str, int] = {}
    for sample in samples:
        subset = sample.info.get("subset") or "in neither"
        counts[subset] = counts.get(subset, 0) + 1
    return counts
