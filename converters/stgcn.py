"""Arrays of ST-GCN, 2s-AGCN, MS-G3D and UNIK, to clips of the layer ``stgcn``.

``train_data.npy`` or ``train_data_joint.npy``, shape (N, C, T, V, M), with ``train_label.pkl``, a
pair of names and labels; ``val_...`` likewise, and a folder for each protocol. One array of shape
(C, T, V, M) is a clip by itself.

Yan et al., AAAI 2018 (yysijie/st-gcn, ``tools/*_gendata.py``); Shi et al., CVPR 2019
(lshiwjx/2s-AGCN, ``data_gen``); Yang et al., BMVC 2021 (YangDi666/UNIK, ``data_gen``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Problem, Sample
from posedata.converters.array_kinds import (
    CHANNELS,
    SKELETON,
    Kind,
    layer_of,
    look_at,
    rows_to_look_at,
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
    parse_split,
    read_rows,
    samples_of,
    short,
    splits,
    survey,
    unnamed,
    whole_label,
)
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.json_text import parse_json
from posedata.npy import open_npy, read_npy
from posedata.storage import Location
from posedata.unpickle import load_pickle

# A million names and labels make 60 MB.
_LARGEST_LABELS = 1 << 30
_ENDING = re.compile(r"_data(_joint)?$", re.IGNORECASE)
_LABEL = re.compile(r".*_label\.npy", re.IGNORECASE | re.DOTALL)
_NO_POSES = re.compile(r"bone|motion|vel(?:ocity)?", re.IGNORECASE)


class ArrayFile(NamedTuple):
    """An array of poses, and what they are."""

    path: str
    size: int
    shape: tuple[int, ...]
    kind: Kind
    centre: int | None


class Arrays(NamedTuple):
    """All that a raw folder holds: its arrays by path, and the clips in them."""

    files: Mapping[str, ArrayFile]
    table: RowTable


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the clips of the arrays of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, or one ``.npy`` file.
    options : mapping
        ``channels``: what three channels are. ``val``: what a split named val is.

    Returns
    -------
    Discovery
        A clip in several arrays (of several protocols) is one sample.
    """
    _find.cache_clear()
    arrays = _find(raw, options["channels"])

    def facts(row: Row) -> tuple[int, Mapping[str, Any]]:
        file = arrays.files[row.path]
        return file.size // _rows(file.shape), {"kind": tuple(file.kind)}

    samples, problems = samples_of(arrays.table, options["val"], facts)
    return Discovery(samples, [*arrays.table.problems, *problems])


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these arrays are, and which columns a release of them has."""
    layer = layer_of("stgcn", (Kind(*sample.info["kind"]) for sample in samples), options)
    return Description(
        name="stgcn",
        title="Arrays of ST-GCN, 2s-AGCN, MS-G3D or UNIK",
        license="other: that of the data set that the arrays were made of",
        source="*_data.npy of ST-GCN, 2s-AGCN, MS-G3D or UNIK; coordinates as in the arrays, "
        f"joints taken as {layer.skeleton}",
        citation="that of the data set; Yan et al., Spatial Temporal Graph Convolutional Networks "
        "for Skeleton-Based Action Recognition, AAAI 2018",
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
        Further rows of that name, and warnings of `array_poses.build_clip`.

    Raises
    ------
    InputError
        If the array cannot be read any more, or differs from the others.
    """
    files, table = _find(raw, description.options["channels"])

    def fetch(row: Row) -> np.ndarray:
        return _poses(_open(raw, row.path), row.number)

    poses, row, problems = read_rows(table, sample, fetch)
    file = files[row.path]
    coordinates = coordinates_of(file.centre, description)
    info = {**columns_of(sample), "coordinates": coordinates}
    position = row.position if len(file.shape) == 5 else ""
    clip, more = build_clip(sample, description, poses, file.kind, info, position, file.centre)
    return clip, problems + more


@lru_cache(maxsize=1)
def _find(raw: Location, channels: str) -> Arrays:
    """Find all arrays and their names and labels; once a process."""
    found, problems = find_files(raw, ".npy")
    files: dict[str, ArrayFile] = {}
    rows: list[tuple[Any, Row]] = []
    for path, size in found:
        name = PurePosixPath(path).name
        if _LABEL.fullmatch(name):
            continue
        try:
            if _NO_POSES.search(name):
                raise InputError("bones or motion, not poses: they were computed from the joints",
                                 path=path, remedy="Give the array of joints.")  # fmt: skip
            file = _look_at(raw, path, size, channels)
            if file is None:
                reason = "an array without rows"
                problems.append(Problem(path, "discover", reason, severity="warning"))
                continue
            of_file = list(_rows_of(raw, file, problems))
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        files[path] = file
        rows += of_file
    return Arrays(files, collect(rows, problems))


def _look_at(raw: Location, path: str, size: int, channels: str) -> ArrayFile | None:
    array = _open(raw, path)
    if array.ndim == 5 and not len(array):
        return None
    if array.ndim not in (4, 5) or 0 in array.shape[-4:]:
        raise InputError("no array of poses", path=path, found=f"shape {array.shape}",
                         expected="(N, C, T, V, M), or (C, T, V, M)")  # fmt: skip
    if array.dtype.kind not in "fiu":
        raise InputError("no array of numbers", path=path, found=array.dtype)
    rows = rows_to_look_at(_rows(array.shape))
    kind, centre = look_at(
        [_poses(array, row) for row in rows], array.shape[-2], array.shape[-4], channels, path
    )
    return ArrayFile(path, size, array.shape, kind, centre)


def _rows_of(
    raw: Location, file: ArrayFile, problems: list[Problem]
) -> Iterator[tuple[Any, Row]]:  # fmt: skip
    """Name, label and splits of each row of an array."""
    if len(file.shape) == 4:
        yield PurePosixPath(file.path).stem, Row(file.path, "", 0, None)
        return
    number = file.shape[0]
    names, labels = _names_and_labels(raw, file.path, number, problems)
    split = _split_of(raw, file.path)
    for row in range(number):
        name = names[row] if names else unnamed(file.path, _ENDING, row)
        label = None
        if labels is not None and (label := whole_label(labels[row])) is None:
            problems.append(Problem(file.path, "discover", f"no label: found {short(labels[row])}",
                                    f"row {row}", "warning"))  # fmt: skip
        yield name, Row(file.path, "", row, label, split)


def _names_and_labels(
    raw: Location, path: str, number: int, problems: list[Problem]
) -> tuple[Sequence[Any] | None, Sequence[Any] | None]:
    """Read the file beside an array that has the names and labels of its rows."""
    stem = _ENDING.sub("", str(PurePosixPath(path).with_suffix("")))
    for beside in (f"{stem}_label.pkl", f"{stem}_label.json", f"{stem}_label.npy"):
        place = _sibling(raw, beside)
        if not place.exists():
            continue
        text = place.read_bytes(_LARGEST_LABELS)
        if beside.endswith(".npy"):
            value: Any = read_npy(text, beside)
        else:
            value = (parse_json if beside.endswith(".json") else load_pickle)(text, beside)
        names, labels = _pair(value)
        for what, values in (("names", names), ("labels", labels)):
            if values is not None and len(values) != number:
                raise InputError(f"not as many {what} as rows", path=path, found=len(values),
                                 expected=number, remedy=f"See {beside}.")  # fmt: skip
        if labels is None:
            raise InputError("not a file of names and labels", path=path, found=short(value),
                             expected="a pair of lists", remedy=f"See {beside}.")  # fmt: skip
        return names, labels
    problems.append(Problem(
        path, "discover", f"no {PurePosixPath(stem).name}_label.pkl beside it: names and labels of "
        "its rows are not known", severity="warning",
    ))  # fmt: skip
    return None, None


def _sibling(raw: Location, path: str) -> Location:
    """Give the place of a file beside those that were found, also where ``raw`` is one of them."""
    if raw.fs.isfile(raw.path):
        return Location(raw.fs, f"{PurePosixPath(raw.path).parent}/{PurePosixPath(path).name}")
    return raw / path


def _pair(value: Any) -> tuple[Sequence[Any] | None, Sequence[Any] | None]:
    """Take names and labels out of what a label file holds."""
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.ndim == 1 else None
    if isinstance(value, list | tuple):
        parts = [v.tolist() if isinstance(v, np.ndarray) else v for v in value[:2]]
        if len(parts) == 2 and all(isinstance(part, list | tuple) for part in parts):
            return parts[0], parts[1]
        if all(whole_label(label) is not None for label in value):
            return None, value
    return None, None


def _split_of(raw: Location, path: str) -> tuple[tuple[str, str], ...]:
    """Tell protocol and split from the names of a file and its folder: ``xsub/train_data.npy``."""
    pure = PurePosixPath(path)
    parsed = parse_split(_ENDING.sub("", pure.stem))
    if parsed is None:
        return ()
    protocol, split = parsed
    if not protocol and len(pure.parts) > 1:
        protocol = pure.parts[-2]
    elif not protocol:
        folder = PurePosixPath(raw.path).parent if raw.fs.isfile(raw.path) else raw.path
        known = re.fullmatch(r"xsub|xview\d*|xset", PurePosixPath(folder).name, re.ASCII)
        protocol = known[0] if known else ""
    return ((protocol, split),)


def _open(raw: Location, path: str) -> np.ndarray:
    place = found_file(raw, path)
    return open_npy(place, path) if place.is_local else _download(place, path)


@lru_cache(maxsize=2)
def _download(place: Location, path: str) -> np.ndarray:
    return open_npy(place, path)


def _rows(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 5 else 1


def _poses(array: np.ndarray, row: int) -> np.ndarray:
    """Give a row as (M, T, V, C)."""
    if array.ndim == 5 and row >= len(array):
        raise InputError("the array has become shorter", found=len(array), expected=row + 1)
    return np.asarray(array[row] if array.ndim == 5 else array).transpose(3, 1, 2, 0)


CONVERTER = Converter(
    name="stgcn",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
    options=(SKELETON, CHANNELS, VAL),
)
