"""Rows of CSV tables to the arrays of a clip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.converters.csv_layout import PERSONS, POSES, Column
from posedata.converters.csv_scan import Run
from posedata.errors import InputError
from posedata.manifest import Manifest
from posedata.storage import Location

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST_CLIP = 2 << 30


@dataclass(frozen=True)
class Tables:
    """What the tables of a folder have in common.

    Attributes
    ----------
    digest : str
        Of all that follows; it alone is in ``repr``.
    manifest : Manifest
        What is known of the data set.
    is_own : bool
        Whether the tables are the user's own, without a manifest.
    headers : mapping
        Table to the names of all its columns.
    joints : tuple of Column
        Columns of ``poses.csv`` beside its keys.
    poses : tuple of Column
        Columns of ``persons.csv`` beside its keys.
    joint_index : mapping
        Name of a joint in the table to its index in the skeleton.
    num_joints : int
        V.
    rules : mapping
        Columns of which the source's own float64 numbers are kept, and how; see
        `posedata.unrounded`.
    """

    digest: str
    manifest: Manifest = field(repr=False)
    is_own: bool = field(repr=False)
    headers: Mapping[str, tuple[str, ...]] = field(repr=False)
    joints: tuple[Column, ...] = field(repr=False)
    poses: tuple[Column, ...] = field(repr=False)
    joint_index: Mapping[str, int] = field(repr=False)
    num_joints: int = field(repr=False)
    rules: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, eq=False)
class Poses:
    """The poses of a clip.

    Attributes
    ----------
    frames, persons : int32, shape (N,)
        Sorted by (person, frame).
    arrays : mapping of str to array
        Pose columns by name; float64 where `Tables.rules` names them.
    person_ids : mapping of int to str
        Person: the source's identifier.
    """

    frames: np.ndarray
    persons: np.ndarray
    arrays: Mapping[str, np.ndarray]
    person_ids: Mapping[int, str]


def read_poses(raw: Location, tables: Tables, runs: Mapping[str, Run]) -> Poses:
    """Read the rows of one clip.

    Parameters
    ----------
    raw : Location
        The folder.
    tables : Tables
        Which columns there are.
    runs : mapping of str to Run
        Table to where the rows of the clip are in it.

    Raises
    ------
    InputError
        If a row is not what its columns say, or a joint or a pose is there twice.
    """
    of_joints = _read(raw, POSES, tables, tables.joints, runs)
    of_poses = _read(raw, PERSONS, tables, tables.poses, runs)
    joint_keys, pose_keys = _keys(of_joints, POSES), _keys(of_poses, PERSONS)
    keys, at = np.unique(np.concatenate([joint_keys, pose_keys]), return_inverse=True)
    at_pose = at[len(joint_keys) :]
    joints = _joints(of_joints, tables)
    at_joint = at[: len(joint_keys)] * tables.num_joints + joints
    _expect_once(at_joint, joint_keys, POSES, "a joint twice in a pose")
    _expect_once(at_pose, pose_keys, PERSONS, "a pose twice")
    arrays = {}
    for column in tables.joints:
        values = _values(of_joints, column, POSES)
        whole = _spread(values, at_joint, len(keys) * tables.num_joints, column, POSES)
        arrays[column.name] = whole.reshape(len(keys), tables.num_joints, *column.shape)
    for column in tables.poses:
        values = _values(of_poses, column, PERSONS)
        whole = _spread(values, at_pose, len(keys), column, PERSONS)
        arrays[column.name] = whole.reshape(len(keys), *column.shape)
    return Poses(
        frames=(keys & 0x7FFFFFFF).astype(np.int32),
        persons=(keys >> 32).astype(np.int32),
        arrays=arrays,
        person_ids=_person_ids(of_poses, pose_keys),
    )


def parse_rows(
    text: bytes, headers: Sequence[str], types: Mapping[str, pa.DataType], path: str, position: str
) -> pa.Table:
    """Parse rows of a table, without its line of names.

    Parameters
    ----------
    text : bytes
        The rows.
    headers : sequence of str
        Names of all columns.
    types : mapping
        The columns that are wanted, and their Arrow types.
    path, position : str
        For error messages.

    Raises
    ------
    InputError
        If a row has another number of cells, or a cell is no such value.
    """
    import pyarrow as pa
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

    schema = pa.schema(list(types.items()))
    if not text.strip():
        return schema.empty_table()
    try:
        table = read_csv(
            pa.BufferReader(text),
            ReadOptions(column_names=headers, use_threads=False, block_size=len(text) + 1),
            ParseOptions(newlines_in_values=b'"' in text),
            ConvertOptions(
                column_types=schema, include_columns=schema.names, null_values=[""],
                strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise InputError("rows that cannot be read", path=path, position=position,
                         found=str(error)[:300]) from None  # fmt: skip
    return table.combine_chunks()


def _read(
    raw: Location, name: str, tables: Tables, columns: Sequence[Column], runs: Mapping[str, Run]
) -> pa.Table:
    import pyarrow as pa

    headers = tables.headers.get(name, ())
    types: dict[str, Any] = {"person": pa.int32(), "frame": pa.int32()}
    if name == POSES:
        types["joint"] = pa.dictionary(pa.int32(), pa.string())
    elif "person_id" in headers:
        types["person_id"] = pa.string()
    for column in columns:
        kind = "float64" if column.name in tables.rules else column.type
        types |= dict.fromkeys(column.headers, pa.type_for_alias(kind))
    run = runs.get(name)
    if run is None:
        return pa.schema(list(types.items())).empty_table()
    return read_rows(raw, name, headers, types, run)


def read_rows(
    raw: Location, name: str, headers: Sequence[str], types: Mapping[str, pa.DataType], run: Run
) -> pa.Table:
    """Read the rows of one clip in one table; see `parse_rows`."""
    size = run.end - run.start
    if size > _LARGEST_CLIP:
        raise InputError("too many rows for one clip", path=name, position=f"clip {run.key}",
                         found=f"{size} bytes", expected=f"at most {_LARGEST_CLIP}")  # fmt: skip
    try:
        with (raw / name).open() as file:
            file.seek(run.start)
            text = bytes(file.read(size))
    except OSError as error:
        raise InputError("cannot be read", path=name, found=error) from error
    return parse_rows(text, headers, types, name, f"clip {run.key}")


def _column(table: pa.Table, name: str, path: str) -> np.ndarray:
    """Give a column as an array; NaN where a cell of floats is empty."""
    import pyarrow as pa

    column = table[name]
    if column.null_count and not pa.types.is_floating(column.type):
        raise InputError("an empty cell", path=path, position=f"column {name}",
                         expected=f"{column.type}")  # fmt: skip
    return column.to_numpy()


def _keys(table: pa.Table, path: str) -> np.ndarray:
    """Person and frame of each row in one int64 that sorts by them."""
    persons, frames = _column(table, "person", path), _column(table, "frame", path)
    for name, values in (("person", persons), ("frame", frames)):
        if len(values) and values.min() < 0:
            raise InputError(f"a negative {name}", path=path, found=values.min(),
                             expected="0 or more")  # fmt: skip
    return persons.astype(np.int64) << 32 | frames


def _joints(table: pa.Table, tables: Tables) -> np.ndarray:
    """Index of the joint of each row."""
    column = table["joint"]
    if not len(column):
        return np.empty(0, np.int64)
    if column.null_count:
        raise InputError("an empty cell", path=POSES, position="column joint", expected="a joint")
    one = column.combine_chunks()
    one = one.chunk(0) if hasattr(one, "chunk") else one
    names = one.dictionary.to_pylist()
    unknown = [name for name in names if name not in tables.joint_index]
    if unknown:
        raise InputError("a joint that the skeleton does not have", path=POSES,
                         found=", ".join(unknown)[:200],
                         expected=f"one of {', '.join(tables.joint_index)}")  # fmt: skip
    index = np.array([tables.joint_index[name] for name in names], np.int64)
    return index[one.indices.to_numpy()]


def _expect_once(at: np.ndarray, keys: np.ndarray, path: str, message: str) -> None:
    if len(np.unique(at)) == len(at):
        return
    order = np.argsort(at, kind="stable")
    row = order[1:][np.diff(at[order]) == 0].min()
    raise InputError(message, path=path, position=f"row {row + 1} of the clip",
                     found=f"person {keys[row] >> 32}, frame {keys[row] & 0x7FFFFFFF}",
                     )  # fmt: skip


def _values(table: pa.Table, column: Column, path: str) -> np.ndarray:
    """Numbers of a column of the layer, shape (rows, numbers)."""
    parts = [_column(table, header, path) for header in column.headers]
    return parts[0][:, None] if len(parts) == 1 else np.stack(parts, axis=1)


def _spread(
    values: np.ndarray, at: np.ndarray, count: int, column: Column, path: str
) -> np.ndarray:
    """Put the rows into their places; what has no row is missing."""
    missing: Any = np.nan if values.dtype.kind == "f" else 0
    if column.name in ("scores", "visibility"):
        missing = 0
    elif len(at) < count and values.dtype.kind != "f":
        raise InputError("poses without a row, or joints", path=path,
                         position=f"column {column.name}", found=f"{len(at)} rows",
                         expected=count)  # fmt: skip
    whole = np.full((count, math.prod(column.shape)), missing, values.dtype)
    whole[at] = values
    return whole


def _person_ids(table: pa.Table, keys: np.ndarray) -> dict[int, str]:
    if "person_id" not in table.column_names:
        return {}
    ids: dict[int, str] = {}
    for person, text in zip((keys >> 32).tolist(), table["person_id"].to_pylist(), strict=True):
        if text is not None and ids.setdefault(person, text) != text:
            raise InputError("two ids of one person", path=PERSONS, position=f"person {person}",
                             found=f"{ids[person]!r}, {text!r}")  # fmt: skip
    return ids
