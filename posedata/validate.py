"""Checking a release: is it what its manifest says, and does it keep the rules of the format?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posedata.errors import PosedataError, ReleaseError
from posedata.layer_table import LayerTable, flat_values
from posedata.release import Release
from posedata.release_files import SMALL_TABLES, read_small_table, reading
from posedata.staging import DIRECTORY, before_addition
from posedata.storage import Location

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold.

    Attributes
    ----------
    file : str
        Path within the release.
    reason : str
        What was found and what was expected.
    """

    file: str
    reason: str


def validate(release: Release, *, quick: bool = False) -> Iterator[Finding]:
    """Check files, tables and poses of a release; memory holds one row group at a time.

    Parameters
    ----------
    release : Release
        As `posedata.release.open_release` gives it: its manifest is well-formed.
    quick : bool
        Look at sizes instead of computing every sha256.

    Yields
    ------
    Finding
        Nothing if the release is valid.
    """
    files = release.manifest.files
    damaged = set()
    for name in sorted(files):
        for reason in _check_file(release.place / name, files[name], quick):
            damaged.add(name)
            yield Finding(name, reason)
    if not (release.place / "README.md").exists():
        yield Finding("README.md", "the file is missing")
    is_growing = before_addition(release.place) is not None
    for path in sorted(release.place.fs.find(release.place.path)):
        name = path[len(release.place.path) :].strip("/")
        if name.startswith(f"{DIRECTORY}/") or (is_growing and _is_of_a_new_layer(name, release)):
            continue
        if name.endswith(".parquet") and name not in files:
            yield Finding(name, "not in posedata.json")
    tables = {}
    for name in SMALL_TABLES:
        if name not in files:
            yield Finding(name, "missing from posedata.json")
        elif name not in damaged:
            try:
                tables[name] = read_small_table(release.place / name)
            except ReleaseError as error:
                yield Finding(name, _reason(error))
    if len(tables) < len(SMALL_TABLES):
        return
    clips = tables["clips.parquet"]
    # each layer has a source of its own
    several = len(release.layers) > 1 and "source" in clips.column_names
    known = clips.drop_columns("source") if several else clips
    ids = set(clips["clip_id"].to_pylist())
    if len(ids) != clips.num_rows:
        yield Finding("clips.parquet", "a clip_id is there twice")
    if clips.num_rows != release.manifest.counts["clips"]:
        yield Finding("clips.parquet", f"found {clips.num_rows} clips, expected "
                      f"{release.manifest.counts['clips']}")  # fmt: skip
    for reason in _check_splits(tables["splits.parquet"], ids):
        yield Finding("splits.parquet", reason)
    if "segments.parquet" in files and "segments.parquet" not in damaged:
        for reason in _check_segments(release, ids):
            yield Finding("segments.parquet", reason)
    for layer in release.layers:
        table = release.table(layer)
        parts = [files[name] for name in release.part_names(layer)]
        spans = [part["clip_ids"] for part in parts if "clip_ids" in part]
        if any(before[1] >= after[0] for before, after in pairwise(spans)):
            yield Finding(f"data/{layer}", "clips are not sorted by clip_id over its files")
        for name in release.part_names(layer):
            if name not in damaged:
                for reason in _check_part(release.place / name, files[name], table, known):
                    yield Finding(name, reason)


def _is_of_a_new_layer(name: str, release: Release) -> bool:
    """Whether a file belongs to a layer that an unfinished addition has begun."""
    folder, _, rest = name.partition("/")
    return folder == "data" and rest.split("/")[0] not in release.layers


def _check_file(place: Location, entry: Mapping[str, Any], quick: bool) -> Iterator[str]:
    try:
        with reading(place):
            if place.size() != entry["bytes"]:
                yield f"found {place.size()} bytes, expected {entry['bytes']}"
                return
            if not quick and _sha256(place) != entry["sha256"]:
                yield "its sha256 is not the manifest's"
                return
            with place.open() as file:
                rows = pq.read_metadata(file).num_rows
            if rows != entry["rows"]:
                yield f"found {rows} rows, expected {entry['rows']}"
    except ReleaseError as error:
        yield _reason(error)


def _sha256(place: Location) -> str:
    digest = hashlib.sha256()
    with place.open() as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: PosedataError) -> str:
    """Say what is wrong, without the remedy: the whole report is what leads to one."""
    return PosedataError(error.message, found=error.found, expected=error.expected).reason


def _check_splits(splits: pa.Table, ids: set[str]) -> Iterator[str]:
    if unknown := set(splits["clip_id"].to_pylist()) - ids:
        yield f"unknown clip {min(unknown, key=str)!r} ({len(unknown)} in all)"
    assigned = splits.group_by(["protocol", "clip_id"]).aggregate([("split", "count")])
    twice = assigned.filter(pc.field("split_count") > 1)
    if twice.num_rows:
        row = twice.slice(0, 1).to_pylist()[0]
        yield (
            f"{row['clip_id']} is in several splits of {row['protocol']}, or twice in one "
            f"({twice.num_rows} in all)"
        )


def _check_segments(release: Release, ids: set[str]) -> Iterator[str]:
    try:
        segments = release.segments()
    except ReleaseError as error:
        yield _reason(error)
        return
    if unknown := set(segments["clip_id"].to_pylist()) - ids:
        yield f"unknown clip {min(unknown, key=str)!r} ({len(unknown)} in all)"
    labels = segments["label"]
    last = len(release.manifest.segment_names) - 1
    outside = pc.sum(pc.or_(pc.less(labels, 0), pc.greater(labels, last))).as_py()
    if outside or labels.null_count:
        yield f"{outside or labels.null_count} labels outside 0 to {last}"


def _check_part(
    place: Location, entry: Mapping[str, Any], table: LayerTable, clips: pa.Table
) -> Iterator[str]:
    poses = 0
    ids: list[str] = []
    try:
        with reading(place), place.open() as file:
            parquet = pq.ParquetFile(file)
            if not parquet.schema_arrow.equals(table.schema):
                yield "its columns are not those of the manifest"
                return
            if b"huggingface" not in (parquet.schema_arrow.metadata or {}):
                yield "no huggingface schema key"
            for group in range(parquet.num_row_groups):
                rows = parquet.read_row_group(group)
                if empty := _nulls(rows, table):
                    yield f"row group {group}: nulls in {', '.join(empty)}"
                    return
                ids += rows["clip_id"].to_pylist()
                poses += pc.sum(pc.list_value_length(rows["frames"])).as_py() or 0
                for reason in (*_check_clips(rows, table, clips), *_check_poses(rows, table)):
                    yield f"row group {group}: {reason}"
    except PosedataError as error:
        yield _reason(error)
        return
    if any(a >= b for a, b in pairwise(ids)):
        yield "clips are not sorted by clip_id, or one is there twice"
    elif [*ids[:1], *ids[-1:]] != entry.get("clip_ids"):
        yield f"its first and last clip are not the manifest's {entry.get('clip_ids')}"
    if poses != entry.get("poses"):
        yield f"found {poses} poses, expected {entry.get('poses')}"


def _nulls(rows: pa.Table, table: LayerTable) -> list[str]:
    """Name the columns that have nulls and may not."""
    never = ["clip_id", "num_frames", *table.pose_columns]
    return [name for name in never if rows[name].null_count]


def _check_clips(rows: pa.Table, table: LayerTable, known: pa.Table) -> Iterator[str]:
    """Each row is a clip of ``clips.parquet``, with the same clip columns.

    A layer need not know all: a later one may have told the size of the picture.
    """
    columns = [name for name in table.clip_columns if name in known.schema.names]
    ids = rows["clip_id"]
    positions = pc.index_in(ids, known["clip_id"].combine_chunks())
    if positions.null_count:
        unknown = ids.filter(pc.is_null(positions))[0]
        yield f"clip {unknown} is not in clips.parquet"
        return
    expected = known.take(positions).select(columns)
    for name in columns:
        given = rows[name].combine_chunks()
        wanted = pc.if_else(pc.is_valid(given), expected[name].combine_chunks(), given)
        if not given.equals(wanted):
            yield f"{name} is not that of clips.parquet"


def _check_poses(rows: pa.Table, table: LayerTable) -> Iterator[str]:
    lengths = pc.list_value_length(rows["frames"]).to_numpy()
    clip = np.repeat(np.arange(rows.num_rows), lengths)
    ids = rows["clip_id"]

    def name_of(poses: np.ndarray) -> str:
        """Name the clip of the first pose that is wrong."""
        return f"{ids[int(clip[np.flatnonzero(poses)[0]])]}: "

    values = {}
    for name in table.pose_columns:
        if table.definitions[name]["per"] != "pose":
            continue
        if not np.array_equal(pc.list_value_length(rows[name]).to_numpy(), lengths):
            yield f"{name} has another number of poses than frames"
            return
        values[name] = flat_values(rows[name], table.shape(name))
    for name, column in table.definitions.items():
        if column["per"] == "value" and name.endswith("_at"):
            yield from _check_unrounded(rows, table, name, lengths)
    frames, persons = values["frames"].astype(np.int64), values["persons"].astype(np.int64)
    order = persons << 32 | frames
    unsorted = np.zeros(len(clip), bool)
    unsorted[1:] = (np.diff(order) <= 0) & (np.diff(clip) == 0)
    if unsorted.any():
        yield name_of(unsorted) + "poses are not sorted by (person, frame), or one is there twice"
    outside = (frames < 0) | (frames >= rows["num_frames"].to_numpy()[clip]) | (persons < 0)
    if outside.any():
        yield name_of(outside) + "a frame outside the clip, or a negative person"
    if "person_ids" in rows.schema.names:
        named = pc.list_value_length(rows["person_ids"]).to_numpy()[clip]
        nameless = (named > 0) & (persons >= named)
        if nameless.any():
            yield name_of(nameless) + "a person without an entry in person_ids"
    for name, array in values.items():
        if np.issubdtype(array.dtype, np.floating) and np.isinf(array).any():
            yield name_of(_any_pose(np.isinf(array))) + f"infinite values in {name}"
    absent = []
    for name in ("keypoints_2d", "keypoints_3d"):
        if name in values:
            nan = np.isnan(values[name])
            half = nan.any(-1) & ~nan.all(-1)
            if half.any():
                yield name_of(_any_pose(half)) + f"joints in {name} that are half missing"
            absent.append(nan.all(-1))
    if "scores" in values:
        scores = values["scores"]
        wrong = ~((scores >= 0) & (scores <= 1))
        for missing in absent:
            wrong |= missing & (scores > 0)
        if wrong.any():
            yield name_of(_any_pose(wrong)) + "scores outside 0 to 1, or above 0 where missing"
    if "visibility" in values:
        wrong = values["visibility"] > 2
        if absent:
            wrong |= np.logical_and.reduce(absent) & (values["visibility"] > 0)
        if wrong.any():
            yield name_of(_any_pose(wrong)) + "visibility above 2, or above 0 where missing"


def _check_unrounded(
    rows: pa.Table, table: LayerTable, name: str, lengths: np.ndarray
) -> Iterator[str]:
    """Indices of exceptions ascend, stay within the clip's array, and have a number each."""
    counts = pc.list_value_length(rows[name]).to_numpy()
    numbers = name.removesuffix("_at")
    if not np.array_equal(pc.list_value_length(rows[numbers]).to_numpy(), counts):
        yield f"{name} and {numbers} differ in length"
        return
    at = flat_values(rows[name], ()).astype(np.int64)
    clip = np.repeat(np.arange(len(counts)), counts)
    size = lengths * int(np.prod(table.shape(table.definitions[name]["of"])))
    wrong = (at < 0) | (at >= size[clip])
    wrong[1:] |= (np.diff(at) <= 0) & (np.diff(clip) == 0)
    if wrong.any():
        yield f"{rows['clip_id'][int(clip[np.flatnonzero(wrong)[0]])]}: {name} is out of order"


def _any_pose(wrong: np.ndarray) -> np.ndarray:
    return np.asarray(wrong.any(axis=tuple(range(1, wrong.ndim))))
