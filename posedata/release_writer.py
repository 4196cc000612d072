"""Writing a release: one Parquet part for each shard, then the tables that close it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posedata.clip import Clip
from posedata.converter import Problem, Segment
from posedata.layer_table import LayerTable
from posedata.storage import Location

#: A row group is closed when its poses take so many bytes in memory, or the next clip would make
#: it larger than the largest that is meant to be.
ROW_GROUP_BYTES = 6 << 20
_MOST_BYTES = 8 << 20
_LARGEST_ROW_GROUP = 4096

_SPLITS = pa.schema([("protocol", pa.string()), ("split", pa.string()), ("clip_id", pa.string())])
_SEGMENTS = pa.schema([
    ("clip_id", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()),
    ("label", pa.int64()), ("label_name", pa.string()), ("flag", pa.string()),
])  # fmt: skip
_REJECTS = pa.schema([(name, pa.string()) for name in ("source", "stage", "reason", "position",
                                                       "severity")])  # fmt: skip


def write_part(place: Location, table: LayerTable, clips: Iterable[Clip]) -> dict[str, Any]:
    """Write clips to one layer file, a row group of 4 to 8 MB at a time.

    Parameters
    ----------
    place : Location
        The file; it appears there complete or not at all.
    table : LayerTable
        Its columns.
    clips : iterable of Clip
        Sorted by clip id; taken one by one, so memory holds one row group.

    Returns
    -------
    dict
        The file's entry in the manifest: ``rows``, ``poses``, ``clip_ids``, ``bytes``, ``sha256``.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    rows = poses = 0
    first = last = ""
    with place.create() as file:
        with pq.ParquetWriter(file, table.schema, **_parquet_options(table)) as writer:
            for group in _row_groups(clips):
                writer.write_batch(table.to_arrow(group), row_group_size=_LARGEST_ROW_GROUP)
                first = first or group[0].clip_id
                last = group[-1].clip_id
                rows += len(group)
                poses += sum(len(clip.frames) for clip in group)
    return {"rows": rows, "poses": poses, "clip_ids": [first, last], **file.size_and_sha256}


def write_splits(place: Location, splits: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Write ``splits.parquet`` from (protocol, split, clip id); return its manifest entry."""
    batches = (
        pa.record_batch([pa.array(c) for c in zip(*chunk, strict=True)], schema=_SPLITS)
        for chunk in _chunks(splits, 1 << 16)
    )
    return write_table(place, batches, _SPLITS)


def write_segments(
    place: Location, segments: Iterable[Segment], names: Sequence[str]
) -> dict[str, Any]:
    """Write ``segments.parquet``, sorted by clip, start, end and label; return its entry."""
    features = {
        field.name: {"names": list(names), "_type": "ClassLabel"}
        if field.name == "label"
        else {"dtype": str(field.type).replace("double", "float64"), "_type": "Value"}
        for field in _SEGMENTS
    }
    schema = _SEGMENTS.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    batches = (
        pa.record_batch([pa.array(c) for c in zip(*chunk, strict=True)], schema=schema)
        for chunk in _chunks(sorted(segments), 1 << 16)
    )
    return write_table(place, batches, schema)


def write_rejects(place: Location, problems: Iterable[Problem]) -> dict[str, Any]:
    """Write ``rejects.parquet``; return its manifest entry."""
    batches = (
        pa.RecordBatch.from_pylist([asdict(problem) for problem in chunk], schema=_REJECTS)
        for chunk in _chunks(problems, 1 << 14)
    )
    return write_table(place, batches, _REJECTS)


def write_table(
    place: Location, batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> dict[str, Any]:
    """Write a table beside the layers, e.g. ``clips.parquet``; return its manifest entry."""
    rows = 0
    with place.create() as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
    return {"rows": rows, **file.size_and_sha256}


def _parquet_options(table: LayerTable) -> dict[str, Any]:
    """Byte stream split for floats, delta encoding for frame numbers, a dictionary elsewhere."""
    leaves = {name: _leaf_path(table, name) for name in table.pose_columns}
    types = {name: column["type"] for name, column in table.definitions.items()}
    encodings = {
        leaves[n]: "BYTE_STREAM_SPLIT" if types[n].startswith("float") else "DELTA_BINARY_PACKED"
        for n in leaves
        if types[n].startswith("float") or types[n] == "int32"
    }
    return {
        "compression": "zstd",
        "column_encoding": encodings,
        "use_dictionary": [
            *table.clip_columns,
            *(path for path in leaves.values() if path not in encodings),
        ],
        "write_statistics": table.clip_columns,
    }


def _leaf_path(table: LayerTable, name: str) -> str:
    depth = 1 + len(table.shape(name))
    return ".".join([name, *["list", "element"] * depth])


def _row_groups(clips: Iterable[Clip]) -> Iterator[list[Clip]]:
    group: list[Clip] = []
    size = 0
    for clip in clips:
        clip_bytes = sum(array.nbytes for array in clip.arrays.values())
        clip_bytes += sum(12 * len(kept.at) for kept in clip.unrounded.values())
        if group and size + clip_bytes > _MOST_BYTES:
            yield group
            group, size = [], 0
        group.append(clip)
        size += clip_bytes
        if size >= ROW_GROUP_BYTES or len(group) == _LARGEST_ROW_GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _chunks(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
