"""Arrays of CTR-GCN and InfoGCN, to clips of the layer ``ctrgcn``.

One ``.npz`` a protocol: ``x_train``, shape (N, T, M * V * C), two persons after one another in
each frame; ``y_train``, one-hot, shape (N, classes), or (N,); ``x_test`` and ``y_test`` likewise.
The published files say nothing of names; ``names_train`` and ``names_test`` are used where they are
there.

Chen et al., ICCV 2021 (Uason-Chen/CTR-GCN, ``data/ntu/seq_transformation.py`` and
``feeders/feeder_ntu.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Option, Problem, Sample
from posedata.converters.array_kinds import (
    CHANNELS,
    SKELETON,
    Kind,
    layer_of,
    look_at,
)
from posedata.converters.array_poses import (
    COORDINATES_COLUMN,
    build_clip,
    coordinates_of,
)
from posedata.converters.array_rows import (
    SPLITS_COLUMN,
    VAL,
    Row,
    RowTable,
    collect,
    columns_of,
    read_rows,
    release_name,
    samples_of,
    short,
    splits,
    survey,
    whole_label,
)
from posedata.converters.npz_rows import NpzRows
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

NUM_PEOPLE = 2
DIMENSIONS = Option("dimensions", "numbers of each joint in a frame: 3, or 2", "3", ("3", "2"))

_PART = re.compile(r"x_(\w+)")
_PUBLISHED = re.compile(r"NTU(?:60|120)_(CS|CV|CSub|CSet)(?:_aligned)?")
_PROTOCOLS = {"CS": "xsub", "CV": "xview", "CSub": "xsub", "CSet": "xset"}
_ROWS_AT_THE_START = 16


class Part(NamedTuple):
    """An array ``x_...`` of a file, and what it holds."""

    path: str
    name: str
    rows: int
    row_bytes: int
    kind: Kind
    centre: int | None


class Arrays(NamedTuple):
    """All that a raw folder holds: its arrays by path and name, and the clips in them."""

    parts: Mapping[tuple[str, str], Part]
    table: RowTable


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the clips of the ``.npz`` files of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``channels`` and ``dimensions``: what the numbers of a frame are. ``val``: what a split
        named val is.

    Returns
    -------
    Discovery
        A clip in several files (of several protocols) is one sample, if the files have names.
    """
    _find.cache_clear()
    _open.cache_clear()
    parts, table = _find(raw, options["channels"], int(options["dimensions"]))

    def facts(row: Row) -> tuple[int, Mapping[str, Any]]:
        part = parts[row.path, row.part]
        return part.row_bytes, {"kind": tuple(part.kind)}

    samples, problems = samples_of(table, options["val"], facts)
    return Discovery(samples, [*table.problems, *problems])


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these arrays are, and which columns a release of them has."""
    layer = layer_of("ctrgcn", (Kind(*sample.info["kind"]) for sample in samples), options)
    return Description(
        name=release_name([_without_protocol(sample.path) for sample in samples], "ctrgcn"),
        title="Arrays of CTR-GCN",
        license="other: that of the data set that the arrays were made of",
        source=".npz files of CTR-GCN; coordinates as in the arrays, joints taken as "
        f"{layer.skeleton}",
        citation="that of the data set; Chen et al., Channel-wise Topology Refinement Graph "
        "Convolution for Skeleton-Based Action Recognition, ICCV 2021",
        layers=(layer,),
        columns=("label", "splits", "coordinates", "source"),
        own_columns={**SPLITS_COLUMN, **COORDINATES_COLUMN},
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one clip.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Of the arrays.

    Returns
    -------
    clip : Clip
        Numbers as in the array; ``num_frames`` is the array's T, since frames of padding cannot
        be told from frames without people.
    problems : sequence of Problem
        Two persons with the same numbers, further rows of that name, and warnings of
        `array_poses.build_clip`.

    Raises
    ------
    InputError
        If the array cannot be read any more, or differs from the others.
    """
    options = description.options
    parts, table = _find(raw, options["channels"], int(options["dimensions"]))

    def fetch(row: Row) -> np.ndarray:
        frames = _open(raw, row.path).row(row.part, row.number)
        return _poses(frames, parts[row.path, row.part].kind)

    poses, row, problems = read_rows(table, sample, fetch)
    part = parts[row.path, row.part]
    info = {**columns_of(sample), "coordinates": coordinates_of(part.centre, description)}
    clip, more = build_clip(sample, description, poses, part.kind, info, row.position, part.centre)
    if clip.num_persons == NUM_PEOPLE and np.array_equal(poses[0], poses[1], equal_nan=True):
        problems.append(Problem(
            sample.path, "read", "the second person repeats the first in every frame, as CTR-GCN "
            "fills in clips of one person", row.position, "warning",
        ))  # fmt: skip
    return clip, problems + more


@lru_cache(maxsize=1)
def _find(raw: Location, channels: str, dimensions: int) -> Arrays:
    """Find all arrays and their names and labels; once a process."""
    found, problems = find_files(raw, ".npz")
    parts: dict[tuple[str, str], Part] = {}
    rows: list[tuple[Any, Row]] = []
    for path, _ in found:
        try:
            archive = _open(raw, path)
            names = [name for name in archive.names if _PART.fullmatch(name)]
            if not names:
                raise InputError("not a file of CTR-GCN", path=path,
                                 found=f"arrays {', '.join(map(short, archive.names[:8]))}",
                                 expected="x_train, y_train, x_test, y_test")  # fmt: skip
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        prefix = f"{path[: -len('.npz')].replace('/', '-')}-" if len(found) > 1 else ""
        for name in names:
            try:
                part = _look_at(archive, path, name, channels, dimensions)
                if part is None:
                    reason = "an array without rows"
                    problems.append(Problem(path, "discover", reason, f"array {name!r}", "warning"))
                    continue
                of_part = list(_rows_of(archive, part, prefix, problems))
            except InputError as error:
                position = error.position or f"array {name!r}"
                problems.append(Problem(path, "discover", error.reason, position))
                continue
            parts[path, name] = part
            rows += of_part
    return Arrays(parts, collect(rows, problems))


def _look_at(archive: NpzRows, path: str, name: str, channels: str, dimensions: int) -> Part | None:
    shape = archive.shape(name)
    if len(shape) == 3 and not shape[0]:
        return None
    numbers = NUM_PEOPLE * dimensions
    if len(shape) != 3 or not shape[1] or not shape[2] or shape[2] % numbers:
        raise InputError("no array of poses", path=path, position=f"array {name!r}",
                         found=f"shape {shape}",
                         expected=f"(N, T, {NUM_PEOPLE} * V * {dimensions})")  # fmt: skip
    archive.check(name)
    num_joints = shape[2] // numbers
    frames = [archive.row(name, row) for row in range(min(shape[0], _ROWS_AT_THE_START))]
    for values in frames[:1]:
        if values.dtype.kind not in "fiu":
            raise InputError("no array of numbers", path=path, position=f"array {name!r}",
                             found=values.dtype)  # fmt: skip
    some = [_split_people(values, num_joints, dimensions) for values in frames]
    kind, centre = look_at(some, num_joints, dimensions, channels, path)
    return Part(path, name, shape[0], frames[0].nbytes if frames else 0, kind, centre)


def _rows_of(
    archive: NpzRows, part: Part, prefix: str, problems: list[Problem]
) -> Iterator[tuple[Any, Row]]:
    """Name, label and split of each row of an array."""
    split = part.name.removeprefix("x_")
    where = (("", ""),) if not split else ((_protocol_of(part.path), split),)
    labels = _labels(archive, part, split, problems)
    names: Sequence[str] | None = None
    if f"names_{split}" in archive.names:
        array = archive.array(f"names_{split}")
        if array.dtype.kind not in "US" or array.shape != (part.rows,):
            raise InputError("not the names of the rows", path=part.path,
                             position=f"array 'names_{split}'", found=short(array),
                             expected=f"{part.rows} texts")  # fmt: skip
        texts = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
        names = [str(text) for text in texts]
    for row in range(part.rows):
        name = names[row] if names is not None else f"{prefix}{split}-{row:06}"
        yield name, Row(part.path, part.name, row, labels[row] if labels else None, where)


def _labels(
    archive: NpzRows, part: Part, split: str, problems: list[Problem]
) -> list[int | None] | None:
    """Read the class of each row: where ``y`` is above 0, or ``y`` itself."""

    def warn(reason: str, position: str = "") -> None:
        problems.append(Problem(part.path, "discover", reason, position, "warning"))

    if f"y_{split}" not in archive.names:
        warn(f"no array y_{split}: labels are not known", f"array {part.name!r}")
        return None
    y = archive.array(f"y_{split}")
    if y.dtype.kind not in "fiub" or y.ndim not in (1, 2) or len(y) != part.rows:
        raise InputError("not the labels of the rows", path=part.path,
                         position=f"array 'y_{split}'", found=short(y),
                         expected=f"({part.rows}, classes), or ({part.rows},)")  # fmt: skip
    labels: list[int | None] = []
    classes = y > 0 if y.ndim == 2 else None
    for row in range(part.rows):
        label = None
        if classes is None:
            label = whole_label(y[row])
        elif np.count_nonzero(classes[row]) == 1:
            label = int(classes[row].argmax())
        if label is None:
            warn("no label, or several", f"y_{split} row {row}")
        labels.append(label)
    return labels


def _protocol_of(path: str) -> str:
    """Tell the protocol from a file's name: ``NTU60_CS.npz``, ``ntu60_xsub.npz``."""
    stem = PurePosixPath(path).stem
    published = _PUBLISHED.fullmatch(stem)
    if published:
        return _PROTOCOLS[published[1]]
    return stem.rpartition("_")[2] if "_" in stem else ""


def _without_protocol(path: str) -> str:
    name = PurePosixPath(path).name
    return name.rpartition("_")[0] or name


def _poses(frames: np.ndarray, kind: Kind) -> np.ndarray:
    return _split_people(frames, kind.num_joints, kind.num_channels)


def _split_people(frames: np.ndarray, num_joints: int, num_channels: int) -> np.ndarray:
    """Frames of shape (T, M * V * C) to (M, T, V, C)."""
    return frames.reshape(-1, NUM_PEOPLE, num_joints, num_channels).transpose(1, 0, 2, 3)


@lru_cache(maxsize=8)
def _open(raw: Location, path: str) -> NpzRows:
    return NpzRows(found_file(raw, path), path)


CONVERTER = Converter(
    name="ctrgcn",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
    options=(SKELETON, CHANNELS, DIMENSIONS, VAL),
)
