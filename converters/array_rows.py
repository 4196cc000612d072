"""Clips as rows of arrays: the names and splits that training repos give them."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.converter import Option, Problem, Sample
from posedata.errors import InputError

VAL = Option(
    "val", "what a split named val is; auto: test, for the protocols that have no validation "
    "split (xsub, xview, xset, cs, cv) where none is named test", "auto",
    ("auto", "val", "test"),
)  # fmt: skip

#: The clip column that keeps the splits from discovery to the end.
SPLITS_COLUMN: Mapping[str, Mapping[str, Any]] = {
    "splits": {
        "type": "string", "per": "clip",
        "about": "JSON: the splits that the clip is in, each as protocol/split.",
    }
}  # fmt: skip

#: Splits of files that name no protocol.
OFFICIAL = "official"

_SPLITS = "train|training|validation|valid|val|testing|test|eval|all"
_SAME = {"training": "train", "valid": "val", "eval": "val", "testing": "test"}
_NAMED = re.compile(rf"(?:(.+)[_-])?({_SPLITS})(\d*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_VAL_IS_TEST = re.compile(r"xsub\d*|xview\d*|xset|cs|cv\d*", re.IGNORECASE | re.ASCII)
# What ST-GCN, 2s-AGCN and UNIK keep of the file's name in the sample's.
_ENDINGS = ("_pose3d.json", ".skeleton", ".json")


class Row(NamedTuple):
    """A clip in a file.

    Attributes
    ----------
    path : str
        The file, relative to the raw folder.
    part : str
        Which of its arrays; empty, if it is one.
    number : int
        Row in that array.
    label : int, optional
        Class.
    splits : tuple of (str, str)
        Protocols and splits as the file names them.
    """

    path: str
    part: str
    number: int
    label: int | None
    splits: tuple[tuple[str, str], ...] = ()

    @property
    def position(self) -> str:
        """Where in the file, for messages."""
        return f"{self.part} row {self.number}".strip()


class RowTable(NamedTuple):
    """The clips of a raw folder: the rows of each name, the first of which is read."""

    clips: Mapping[str, Sequence[Row]]
    problems: list[Problem]


def parse_split(name: str) -> tuple[str, str] | None:
    """Tell protocol and split of a name such as ``xsub_train``, ``train`` or ``test1``.

    Returns
    -------
    protocol, split : str
        ``("xsub", "train")``, ``("", "train")``, ``("split1", "test")``; None for another name.
    """
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    protocol, split, number = match[1] or "", match[2].lower(), match[3]
    if number:
        protocol = f"{protocol}_split{number}" if protocol else f"split{number}"
    return protocol, _SAME.get(split, split)


def clip_name(name: str) -> str:
    """Give the clip id of a sample's name: without what is left of its file's name."""
    for ending in _ENDINGS:
        if name.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def is_text(name: object) -> bool:
    """Whether this can be a name in a release: some text that is UTF-8."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def collect(rows: Iterable[tuple[Any, Row]], problems: list[Problem]) -> RowTable:
    """Bring the rows of each clip together; names that cannot be are problems."""
    clips: dict[str, list[Row]] = {}
    for name, row in rows:
        if is_text(name):
            clips.setdefault(clip_name(str(name)), []).append(row)
        else:
            problems.append(Problem(row.path, "discover", "a name that is no text in UTF-8",
                                    row.position))  # fmt: skip
    return RowTable(clips, problems)


def unnamed(path: str, ending: re.Pattern[str], number: int) -> str:
    """Name a row that has no name, after its file and number: ``xsub-train-000017``."""
    stem = ending.sub("", str(PurePosixPath(path).with_suffix("")))
    return f"{stem.replace('/', '-')}-{number:06}"


def samples_of(
    table: RowTable, option: str, facts: Callable[[Row], tuple[int, Mapping[str, Any]]]
) -> tuple[list[Sample], list[Problem]]:
    """Make samples of the clips of a table.

    Parameters
    ----------
    table : RowTable
        From `collect`.
    option : str
        Of `VAL`.
    facts : callable
        Gives the bytes of a row, and what `describe` has to know of it, for `Sample.info`.

    Returns
    -------
    samples : list of Sample
        By clip id.
    problems : list of Problem
        Warnings: rows of a clip that disagree on its label, or on its split in a protocol.
    """
    problems: list[Problem] = []
    samples = []
    named = {each for rows in table.clips.values() for row in rows for each in row.splits}
    with_test = {protocol for protocol, split in named if split == "test"}
    for clip_id in sorted(table.clips):
        rows = table.clips[clip_id]
        first = rows[0]

        def warn(reason: str, row: Row) -> None:
            problems.append(Problem(row.path, "discover", reason, row.position, "warning"))

        label = first.label
        chosen: dict[str, str] = {}
        for row in rows:
            if row.label is not None and label is None:
                label = row.label
            if row.label not in (None, label):
                warn(f"clip {clip_id!r} has the label {row.label} here and {label} elsewhere, "
                     "which is taken", row)  # fmt: skip
            for protocol, split in row.splits:
                if split == "val" and (
                    option == "test" or (option == "auto" and protocol not in with_test
                                         and _VAL_IS_TEST.fullmatch(protocol))
                ):  # fmt: skip
                    split = "test"
                protocol = protocol or OFFICIAL
                if chosen.setdefault(protocol, split) != split:
                    warn(f"clip {clip_id!r} is in the splits {chosen[protocol]} and {split} of "
                         f"{protocol}: the first is taken", row)  # fmt: skip
        size, info = facts(first)
        in_splits = [f"{protocol}/{split}" for protocol, split in chosen.items()]
        info = {**info, "label": label, "splits": in_splits}
        samples.append(Sample(clip_id, first.path, size, info=info))
    return samples, problems


def read_rows(
    table: RowTable, sample: Sample, fetch: Callable[[Row], np.ndarray]
) -> tuple[np.ndarray, Row, list[Problem]]:
    """Read the first row of a clip, and compare the others with it.

    Parameters
    ----------
    table : RowTable
        With the clip.
    sample : Sample
        Which clip.
    fetch : callable
        Gives the array of a row, shape (M, T, V, C).

    Returns
    -------
    poses : array, shape (M, T, V, C)
    row : Row
        Where they are.
    problems : list of Problem
        Rows of the same file with the same numbers as warnings; rows with other numbers, which are
        in no clip, as rejects.

    Raises
    ------
    InputError
        If the first row cannot be read, or there is no such clip (any more).
    """
    if sample.clip_id not in table.clips:
        raise InputError("the clip is no longer in the file", path=sample.path,
                         found=sample.clip_id)  # fmt: skip
    first, *others = table.clips[sample.clip_id]
    poses = fetch(first)
    problems = []
    for row in others:
        where = f"{first.path}, {first.position}, is taken"
        try:
            same = _same_poses(poses, fetch(row))
        except InputError as error:
            problems.append(Problem(row.path, "read", error.reason, error.position or row.position))
            continue
        if not same:
            problems.append(Problem(
                row.path, "read", f"other numbers under the name {sample.clip_id!r}: {where}",
                row.position,
            ))  # fmt: skip
        elif row.path == first.path:
            problems.append(Problem(
                row.path, "read", f"the same clip again: {where}", row.position, "warning"
            ))  # fmt: skip
    return poses, first, problems


def _same_poses(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays of shape (M, T, V, C) differ by frames of zeros at the end at most."""
    if one.shape[1] > other.shape[1]:
        one, other = other, one
    frames = one.shape[1]
    same = one.shape == other[:, :frames].shape
    return same and bool(
        np.array_equal(one, other[:, :frames], equal_nan=True) and not other[:, frames:].any()
    )


def columns_of(sample: Sample) -> dict[str, Any]:
    """Clip columns that discovery knows: label and splits.

    Where the poses are added to another release, that one knows them.
    """
    splits = sample.info.get("splits")
    return {
        "label": sample.info.get("label"),
        "splits": json.dumps(splits) if isinstance(splits, list) and splits else None,
        "source": sample.path,
    }


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give the splits that the source's own lists, files or folders name."""
    for clip in clips:
        for name in json.loads(clip.get("splits") or "[]"):
            protocol, _, split = name.rpartition("/")
            yield protocol, split, clip["clip_id"]


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count the clips of each split."""
    counts: dict[str, int] = {}
    for sample in samples:
        for name in sample.info.get("splits") or ["in none"]:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def whole_label(value: Any) -> int | None:
    """Give a class as a Python int, or None where it is none that a release can hold."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, int | np.integer) and abs(int(value)) < 1 << 62:
        return int(value)
    return None


def short(value: Any) -> str:
    """Show a value of a file in a message, whatever its size."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}, shape {value.shape}"
    return reprlib.repr(value)


def release_name(paths: Sequence[str], otherwise: str) -> str:
    """Name a release after the one file that it is made of."""
    names = {path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in paths}
    name = names.pop() if len(names) == 1 else ""
    simple = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return simple.strip("_-") or otherwise
