"""A folder of CSV tables: what its columns are, its clips, and its segments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from posedata.converter import Problem, Segment
from posedata.converters.csv_layout import (
    CLIPS,
    DATASET,
    PERSON_KEYS,
    PERSONS,
    POSE_KEYS,
    POSES,
    SEGMENTS,
    SPLITS,
    joint_columns,
    pose_columns,
)
from posedata.converters.csv_own import long_names, match_names, own_manifest
from posedata.converters.csv_rows import Tables, parse_rows, read_rows
from posedata.converters.csv_scan import Run, Scan, scan_table
from posedata.errors import InputError, ReleaseError, UsageError
from posedata.layer_table import LayerTable
from posedata.manifest import MOST_BYTES, Manifest, read_manifest
from posedata.skeleton import list_skeletons, load_skeleton
from posedata.storage import Location

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST_TABLE = 1 << 30


def find_tables(
    raw: Location, scans: Mapping[str, Scan], skeleton: str, problems: list[Problem]
) -> Tables:
    """Find out what the columns are: from ``dataset.json``, else from their names.

    Parameters
    ----------
    raw : Location
        The folder.
    scans : mapping of str to Scan
        Of the tables that are there.
    skeleton : str
        The joint set, if one was chosen.
    problems : list of Problem
        Columns that are not kept are added.

    Raises
    ------
    InputError
        If columns are lacking, or ``dataset.json`` is no manifest of one layer.
    """
    headers = {name: scan.headers for name, scan in scans.items()}
    own = not (raw / DATASET).exists()
    if own:
        headers[POSES] = long_names(headers[POSES])
    for name, keys in ((POSES, POSE_KEYS), (PERSONS, PERSON_KEYS), (CLIPS, ("clip_id",))):
        if name in headers:
            _expect(headers[name], keys, name)
    if own:
        chosen, joint_index = match_names(_first_joints(raw, scans[POSES]), skeleton)
        manifest = own_manifest(_name(raw), headers, chosen)
    else:
        manifest = _manifest(raw, skeleton)
    table = _layer_table(manifest)
    if not own:
        joint_index = {joint: index for index, joint in enumerate(table.skeleton.joints)}
    joints = tuple(joint_columns(table.definitions))
    poses = tuple(pose_columns(table.definitions))
    used = {
        POSES: [*POSE_KEYS, *(header for column in joints for header in column.headers)],
        PERSONS: [*PERSON_KEYS, "person_id",
                  *(header for column in poses for header in column.headers)],
        CLIPS: table.clip_columns,
    }  # fmt: skip
    _expect(headers[POSES], used[POSES], POSES)
    if poses:
        _expect(headers.get(PERSONS, ()), set(used[PERSONS]) - {"person_id"}, PERSONS)
    for name, known in used.items():
        further = [header for header in headers.get(name, ()) if header not in known]
        if further:
            problems.append(Problem(name, "discover", f"columns that are not kept: "
                                    f"{', '.join(further)}", "line 1", "warning"))  # fmt: skip
    digest = hashlib.sha256(manifest.to_json() + repr((headers, joint_index)).encode())
    return Tables(
        digest=digest.hexdigest(),
        manifest=manifest,
        is_own=own,
        headers=headers,
        joints=joints,
        poses=poses,
        joint_index=joint_index,
        num_joints=table.skeleton.num_joints,
        rules={
            column["of"]: column["rule"]
            for column in table.definitions.values()
            if column["per"] == "value"
        },
    )


def _expect(headers: Sequence[str], names: Sequence[str] | set[str], path: str) -> None:
    lacking = sorted(name for name in names if name not in headers)
    if lacking:
        raise InputError("columns are lacking", path=path, position="line 1",
                         found=", ".join(headers)[:300], expected=f"also {', '.join(lacking)}",
                         )  # fmt: skip
    if headers[0] != "clip_id":
        raise InputError("clip_id is not the first column", path=path, position="line 1",
                         found=headers[0])  # fmt: skip


def _name(raw: Location) -> str:
    name = raw.path.rstrip("/").rsplit("/", 1)[-1]
    return name if name.isprintable() and name else "csv"


def _manifest(raw: Location, skeleton: str) -> Manifest:
    place = raw / DATASET
    try:
        manifest = read_manifest(place.read_bytes(MOST_BYTES), DATASET)
    except ReleaseError as error:
        raise InputError(error.message, path=place, position=error.position, found=error.found,
                         expected=error.expected) from None  # fmt: skip
    if len(manifest.layers) != 1:
        raise InputError("not one layer", path=place, found=", ".join(manifest.layers) or "none")
    given = _layer_table(manifest).skeleton
    if skeleton and load_skeleton(skeleton).name != given.name:
        raise UsageError("--joints is for tables without dataset.json", found=skeleton,
                         expected=given.name)  # fmt: skip
    if given.name not in list_skeletons() or load_skeleton(given.name) != given:
        raise InputError("a skeleton that posedata does not know", path=place, found=given.name,
                         expected=", ".join(list_skeletons()))  # fmt: skip
    return manifest


def _layer_table(manifest: Manifest) -> LayerTable:
    (layer,) = manifest.layers
    return manifest.table(layer)


def _first_joints(raw: Location, scan: Scan) -> list[str]:
    """Names of the joints in the first clip, in the order of its rows."""
    import pyarrow as pa

    for run in scan.runs[:1]:
        rows = read_rows(raw, POSES, scan.headers, {"joint": pa.string()}, run)
        return [name for name in dict.fromkeys(rows["joint"].to_pylist()) if name is not None]
    return []


def runs_by_clip(name: str, scan: Scan, problems: list[Problem]) -> dict[str, Run]:
    """Give the rows of each clip in a table.

    Rows that do not stand together, and rows without a clip, are added to ``problems``.
    """
    runs: dict[str, Run] = {}
    for run in scan.runs:
        if run.key in runs:
            problems.append(Problem(
                name, "discover", "rows of a clip in several places: sort them by clip_id",
                f"clip {run.key}",
            ))  # fmt: skip
        runs.setdefault(run.key, run)
    if "" in runs:  # also lines without anything
        run = runs.pop("")
        if run.end - run.start > 2:
            problems.append(Problem(name, "discover", "rows without a clip_id",
                                    f"byte {run.start}"))  # fmt: skip
    return runs


def read_clips(raw: Location, tables: Tables, scan: Scan | None) -> dict[str, dict[str, Any]]:
    """Read the clip columns, by clip id, from ``clips.csv``.

    Raises
    ------
    InputError
        If a value is not what its column says, or a clip is there twice.
    """
    if scan is None or not scan.runs:
        return {}
    schema = _layer_table(tables.manifest).clip_schema
    types = {f.name: f.type for f in schema if f.name in scan.headers}
    rows = _read_table(raw, CLIPS, scan, types)
    clips = {row["clip_id"]: row for row in rows}
    if len(clips) < len(rows) or None in clips or "" in clips:
        raise InputError("clips twice, or without an id", path=CLIPS,
                         found=f"{len(rows)} rows of {len(clips)} clips")  # fmt: skip
    return clips


def _read_table(
    raw: Location, name: str, scan: Scan, types: Mapping[str, pa.DataType]
) -> list[dict[str, Any]]:
    text = (raw / name).read_bytes(_LARGEST_TABLE)[scan.runs[0].start :]
    return parse_rows(text, scan.headers, types, name, "").to_pylist()


def read_segments(raw: Location, tables: Tables, problems: list[Problem]) -> list[Segment]:
    """Read ``segments.csv``; rows that are no segments are added to ``problems``."""
    import pyarrow as pa

    if not (raw / SEGMENTS).exists():
        return []
    names = tables.manifest.segment_names
    if not names:
        problems.append(Problem(SEGMENTS, "discover", "segments are not read: dataset.json does "
                                "not name their classes", "", "warning"))  # fmt: skip
        return []
    scan = scan_table(raw / SEGMENTS, SEGMENTS)
    types = {"clip_id": pa.string(), "start_s": pa.float64(), "end_s": pa.float64(),
             "label": pa.int64(), "label_name": pa.string(), "flag": pa.string()}  # fmt: skip
    _expect(scan.headers, set(types), SEGMENTS)
    if not scan.runs:
        return []
    segments = []
    for number, row in enumerate(_read_table(raw, SEGMENTS, scan, types)):
        row["flag"] = row["flag"] or ""
        if None in row.values() or not 0 <= row["label"] < len(names):
            problems.append(Problem(SEGMENTS, "discover", "an empty cell, or a label without a "
                                    "name", f"row {number + 1}"))  # fmt: skip
        else:
            segments.append(Segment(**row))
    return segments


def read_splits(raw: Location, problems: list[Problem]) -> list[tuple[str, str, str]]:
    """Read ``splits.csv``; rows with an empty cell are added to ``problems``."""
    import pyarrow as pa

    if not (raw / SPLITS).exists():
        return []
    scan = scan_table(raw / SPLITS, SPLITS)
    columns = ("protocol", "split", "clip_id")
    _expect(scan.headers, set(columns), SPLITS)
    if not scan.runs:
        return []
    splits = []
    for number, row in enumerate(
        _read_table(raw, SPLITS, scan, dict.fromkeys(columns, pa.string()))
    ):
        values = (row["protocol"], row["split"], row["clip_id"])
        if all(values):
            splits.append(values)
        else:
            problems.append(Problem(SPLITS, "discover", "an empty cell", f"row {number + 1}"))
    return splits
