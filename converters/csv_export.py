"""CSV tables of a layer: for spreadsheets, R and pandas, and back without loss.

Which files and columns there are is said in :mod:`posedata.converters.csv_layout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.converters.csv_layout import (
    CLIPS,
    DATASET,
    PERSON_KEYS,
    PERSONS,
    POSE_KEYS,
    POSES,
    SEGMENTS,
    SPLITS,
    Column,
    joint_columns,
    pose_columns,
)
from posedata.errors import InputError
from posedata.exporter import Exporter, Item, Target
from posedata.manifest import Manifest
from posedata.profile import Change
from posedata.storage import Location

if TYPE_CHECKING:
    import pyarrow as pa

    from posedata.export_staging import StagedItems

_ROWS_AT_ONCE = 1 << 12


def prepare(clip: Clip, target: Target) -> tuple[Item, list[Change]]:
    """Write the rows of one clip as text."""
    import pyarrow as pa

    definitions = _definitions(target)
    joints, poses = joint_columns(definitions), pose_columns(definitions)
    for keys, columns in ((POSE_KEYS, joints), ((*PERSON_KEYS, "person_id"), poses)):
        headers = [*keys, *(header for column in columns for header in column.headers)]
        if len(set(headers)) < len(headers):
            twice = sorted({header for header in headers if headers.count(header) > 1})
            raise InputError("columns of one name in a table", found=", ".join(twice))
    rows, v = len(clip.frames), clip.skeleton.num_joints
    keys = {"clip_id": None, "person": clip.persons, "frame": clip.frames}
    by_joint = {name: values if values is None else np.repeat(values, v)
                for name, values in keys.items()}  # fmt: skip
    names = pa.array(clip.skeleton.joints).take(pa.array(np.tile(np.arange(v), rows)))
    text = {
        "poses": _csv(clip.clip_id, {**by_joint, "joint": names, **_numbers(clip, joints)},
                      rows * v),
        "persons": _csv(clip.clip_id, {**keys, **_person_id(clip, definitions),
                                       **_numbers(clip, poses)}, rows),
    }  # fmt: skip
    return Item(clip.clip_id, dict(clip.info), text), []


def _definitions(target: Target) -> Mapping[str, Mapping[str, Any]]:
    return _manifest(target).table(target.layer).definitions


def _manifest(target: Target) -> Manifest:
    """Describe what is in the tables: one layer, with the joint set that was asked for."""
    manifest = target.manifest
    layer = dict(manifest.layers[target.layer])
    if target.skeleton != layer["skeleton"]:  # what has no meaning for other joints is not there
        from posedata.skeleton import load_skeleton

        table = manifest.table(target.layer)
        lost = {
            name
            for name in layer.get("own_columns", {})
            if name in table.pose_columns
            and (
                table.definitions[name]["per"] == "value"
                or table.shape(name)[:1] == (table.skeleton.num_joints,)
            )
        }
        layer["columns"] = [name for name in layer["columns"] if name not in lost]
        layer["own_columns"] = {
            name: column
            for name, column in layer.get("own_columns", {}).items()
            if name not in lost
        }
        layer["skeleton"] = target.skeleton
        skeleton = load_skeleton(target.skeleton)
    else:
        skeleton = manifest.skeletons[target.skeleton]
    return replace(
        manifest,
        layers={target.layer: layer},
        skeletons={target.skeleton: skeleton},
        files={},
    )


def _numbers(clip: Clip, columns: Sequence[Column]) -> dict[str, pa.Array]:
    """Give the columns of a table: each number as the shortest decimal that reads as the same.

    Where a layer keeps the source's own float64 numbers, those.
    """
    import pyarrow as pa

    table = {}
    for column in columns:
        values = clip.arrays[column.name]
        if column.name in clip.unrounded:
            values = clip.source_values(column.name)
        flat = values.reshape(-1, len(column.headers))
        for axis, header in enumerate(column.headers):
            one = np.ascontiguousarray(flat[:, axis])
            missing = np.isnan(one) if one.dtype.kind == "f" else None
            table[header] = pa.array(one, mask=missing)
    return table


def _person_id(clip: Clip, definitions: Mapping[str, Any]) -> dict[str, pa.Array]:
    import pyarrow as pa

    if "person_ids" not in definitions:
        return {}
    if not clip.person_ids:
        return {"person_id": pa.nulls(len(clip.persons), pa.string())}
    return {"person_id": pa.array(clip.person_ids, pa.string()).take(pa.array(clip.persons))}


def _csv(clip_id: str, columns: Mapping[str, Any], rows: int) -> np.ndarray:
    """Write rows as text, uint8; texts in quotes where a cell needs them, or may be empty."""
    import pyarrow as pa

    table = pa.table({**columns, "clip_id": pa.repeat(clip_id, rows)})
    sink = pa.BufferOutputStream()
    try:
        _write_csv(table, sink, "needed" if "person_id" in columns else "none")
    except pa.ArrowInvalid:
        sink = pa.BufferOutputStream()
        _write_csv(table, sink, "needed")
    return np.frombuffer(sink.getvalue(), np.uint8)


def _write_csv(table: Any, sink: Any, quotes: str) -> None:
    from pyarrow.csv import WriteOptions, write_csv

    write_csv(table, sink, WriteOptions(include_header=False, quoting_style=quotes))


def write(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write the tables, a clip at a time, and what is needed to read them back."""
    import pyarrow as pa

    manifest = _manifest(target)
    definitions = manifest.table(target.layer).definitions
    headers = {
        POSES: [*POSE_KEYS, *_headers(joint_columns(definitions))],
        PERSONS: [
            *PERSON_KEYS,
            *(["person_id"] if "person_ids" in definitions else []),
            *_headers(pose_columns(definitions)),
        ],
    }
    with ExitStack() as stack:
        files = {name: stack.enter_context((out / name).create()) for name in headers}
        for name, file in files.items():
            file.write(f"{','.join(headers[name])}\n".encode())
        for item in items:
            files[POSES].write(item.arrays["poses"].data)
            files[PERSONS].write(item.arrays["persons"].data)
    schema = manifest.table(target.layer).clip_schema.remove_metadata()
    rows = ({"clip_id": clip_id, **facts} for clip_id, facts in items.facts.items())
    _write_table(out / CLIPS, rows, schema)
    splits = [
        {"protocol": protocol, "split": split, "clip_id": clip_id}
        for protocol, parts in target.splits.items()
        for split, clip_ids in parts.items()
        for clip_id in clip_ids
    ]
    kept = [row for row in splits if row["clip_id"] in items]
    texts = pa.schema([(name, pa.string()) for name in ("clip_id", "protocol", "split")])
    if kept:
        _write_table(out / SPLITS, kept, texts)
    if len(kept) < len(splits):
        yield Change("write", "rows of splits of clips that are left out", len(splits) - len(kept))
    if "segments.parquet" in target.manifest.files:
        segments = target.release.segments()
        here = segments.filter(pa.array([i in items for i in segments["clip_id"].to_pylist()],
                                        pa.bool_()))  # fmt: skip
        _write_table(out / SEGMENTS, here.to_pylist(), here.schema)
        if len(here) < len(segments):
            yield Change("write", "segments of clips that are left out", len(segments) - len(here))
    (out / DATASET).write_bytes(manifest.to_json())


def _headers(columns: Iterable[Column]) -> list[str]:
    return [header for column in columns for header in column.headers]


def _write_table(place: Location, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    import pyarrow as pa

    left: Iterator[Mapping[str, Any]] = iter(rows)
    with place.create() as file:
        file.write(f"{','.join(schema.names)}\n".encode())
        while some := list(islice(left, _ROWS_AT_ONCE)):
            _write_csv(pa.RecordBatch.from_pylist(some, schema=schema), file, "needed")


EXPORTER = Exporter(
    name="csv",
    about="a folder of CSV tables, for spreadsheets, R and pandas",
    suffix="",
    prepare=prepare,
    write=write,
)
