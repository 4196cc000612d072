"""CSV tables: a folder that ``--to csv`` has written, or poses of one's own in ``poses.csv``.

Which files and columns there are is said in :mod:`posedata.converters.csv_layout`. Of tables of
one's own, ``poses.csv`` is enough, with the columns clip_id (the first), person, frame, joint, and
coordinates: x and y are pixels, x, y and z metres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.converter import (
    Converter,
    Description,
    Discovery,
    LayerDescription,
    Option,
    Problem,
    Sample,
    Segment,
)
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
from posedata.errors import InputError, ReleaseError, UsageError
from posedata.layer_table import LayerTable
from posedata.manifest import MOST_BYTES, Manifest, read_manifest
from posedata.skeleton import list_skeletons, load_skeleton
from posedata.storage import Location
from posedata.unrounded import Unrounded

if TYPE_CHECKING:
    import pyarrow as pa

    from posedata.converters.csv_rows import Poses, Tables
    from posedata.converters.csv_scan import Run, Scan

_LARGEST_TABLE = 1 << 30


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Find where the rows of each clip are, and read the table of clips.

    Parameters
    ----------
    raw : Location
        A folder with ``poses.csv``.
    options : mapping
        ``skeleton``.

    Raises
    ------
    InputError
        If there is no ``poses.csv``, or its columns are not those of poses.
    """
    from posedata.converters.csv_scan import scan_table

    if not (raw / POSES).exists():
        raise InputError("no poses.csv here", path=raw, remedy="Give the folder with the tables.")
    names = [name for name in (POSES, PERSONS, CLIPS) if (raw / name).exists()]
    scans = {name: scan_table(raw / name, name) for name in names}
    problems: list[Problem] = []
    tables = _tables(raw, scans, options["skeleton"], problems)
    rows = _clip_rows(raw, tables, scans.get(CLIPS))
    runs = {name: _runs_by_clip(name, scans[name], problems)
            for name in (POSES, PERSONS) if name in scans}  # fmt: skip
    torn = {problem.position for problem in problems if problem.severity == "reject"}
    samples = []
    for clip_id in sorted(
        {*rows, *(clip_id for of_table in runs.values() for clip_id in of_table)}
    ):
        if f"clip {clip_id}" in torn:
            continue
        if CLIPS in scans and clip_id not in rows:
            problems.append(Problem(POSES, "discover", "not in clips.csv", f"clip {clip_id}",
                                    "warning"))  # fmt: skip
        mine = {name: of_table[clip_id] for name, of_table in runs.items() if clip_id in of_table}
        size = sum(run.end - run.start for run in mine.values())
        info = {"tables": tables, "row": rows.get(clip_id, {}), "runs": mine}
        samples.append(Sample(clip_id, POSES, size, info=info))
    if (raw / SPLITS).exists():
        problems.append(Problem(SPLITS, "discover", "splits are not read", "", "warning"))
    return Discovery(samples, problems, segments=_segments(raw, tables, problems))


def _tables(
    raw: Location, scans: Mapping[str, Scan], skeleton: str, problems: list[Problem]
) -> Tables:
    """Find out what the columns are: from ``dataset.json``, else from their names."""
    from posedata.converters.csv_rows import Tables

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
        raise UsageError("--skeleton is for tables without dataset.json", found=skeleton,
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

    from posedata.converters.csv_rows import read_rows

    for run in scan.runs[:1]:
        rows = read_rows(raw, POSES, scan.headers, {"joint": pa.string()}, run)
        return [name for name in dict.fromkeys(rows["joint"].to_pylist()) if name is not None]
    return []


def _runs_by_clip(name: str, scan: Scan, problems: list[Problem]) -> dict[str, Run]:
    """Give the rows of each clip; those that do not stand together are a problem."""
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


def _clip_rows(raw: Location, tables: Tables, scan: Scan | None) -> dict[str, dict[str, Any]]:
    """Clip columns by clip id, as ``clips.csv`` has them."""
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
    from posedata.converters.csv_rows import parse_rows

    text = (raw / name).read_bytes(_LARGEST_TABLE)[scan.runs[0].start :]
    return parse_rows(text, scan.headers, types, name, "").to_pylist()


def _segments(raw: Location, tables: Tables, problems: list[Problem]) -> list[Segment]:
    import pyarrow as pa

    from posedata.converters.csv_scan import scan_table

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


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say of the data set what ``dataset.json`` says."""
    tables: Tables = samples[0].info["tables"]
    manifest = tables.manifest
    (name,) = manifest.layers
    layer = manifest.layers[name]
    table = manifest.table(name)
    own: Mapping[str, Mapping[str, Any]] = layer.get("own_columns", {})
    of_clips = {n: column for n, column in own.items() if column["per"] == "clip"}
    return Description(
        name=manifest.name,
        title=manifest.title,
        license=manifest.license,
        source=manifest.source,
        citation=manifest.citation,
        layers=(
            LayerDescription(
                name=name,
                skeleton=table.skeleton.name,
                columns=tuple(table.pose_columns),
                own_columns={n: column for n, column in own.items() if n not in of_clips},
            ),
        ),
        columns=tuple(table.clip_columns),
        own_columns=of_clips,
        label_names=table.label_names,
        segment_names=tuple(manifest.segment_names),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the rows of one clip.

    Parameters
    ----------
    raw : Location
        The folder.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Its layer says which columns there are.

    Returns
    -------
    clip : Clip
        Of tables that ``--to csv`` has written, the clip that was exported.
    problems : sequence of Problem
        Warnings: coordinates that had to become missing.

    Raises
    ------
    InputError
        If a row is not what its columns say, or a frame is outside the clip.
    """
    from posedata.converters.csv_rows import read_poses

    tables: Tables = sample.info["tables"]
    poses = read_poses(raw, tables, sample.info["runs"])
    row = {n: value for n, value in sample.info["row"].items() if n != "clip_id"}
    info = {name: value for name, value in row.items() if value is not None}
    last = int(poses.frames.max(initial=-1))
    frames = info.setdefault("num_frames", last + 1)
    if last >= frames or frames < 0:
        raise InputError("frames outside the clip", path=POSES, position=f"clip {sample.clip_id}",
                         found=f"frame {last}", expected=f"fewer than num_frames {frames}",
                         )  # fmt: skip
    problems: list[Problem] = []
    arrays, unrounded = _checked(poses, tables, sample, problems)
    order, persons, person_ids = _persons(poses, tables)
    layer = description.layer(sample.layer)
    arrays = {name: values[order] for name, values in arrays.items()}
    fixed = ("keypoints_2d", "keypoints_3d", "scores", "visibility", "boxes")
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=poses.frames[order],
        persons=persons,
        **{name: arrays.pop(name) for name in fixed if name in arrays},
        person_ids=person_ids,
        extra=arrays,
        unrounded=unrounded,
        info=info,
    ), problems


def _checked(
    poses: Poses, tables: Tables, sample: Sample, problems: list[Problem]
) -> tuple[dict[str, np.ndarray], dict[str, Unrounded]]:
    """Make float32 of what is kept, and NaN of what is partly missing or infinite."""

    def warn(what: str, wrong: np.ndarray) -> None:
        if wrong.any():
            row = np.argwhere(wrong)[0][0]
            problems.append(Problem(
                POSES, "read", f"{what}: {np.count_nonzero(wrong)} times",
                f"clip {sample.clip_id}, person {poses.persons[row]}, frame {poses.frames[row]}",
                "warning",
            ))  # fmt: skip

    arrays = dict(poses.arrays)
    unrounded: dict[str, Unrounded] = {}
    missing = []
    for name in ("keypoints_2d", "keypoints_3d", "boxes"):
        if name not in arrays:
            continue
        source = arrays[name]
        with np.errstate(over="ignore"):
            kept = source.astype(np.float32)
        is_missing = ~np.isfinite(kept).all(-1)
        warn(f"{name} partly missing, or infinite, and now missing",
             is_missing & ~np.isnan(source).all(-1))  # fmt: skip
        arrays[name] = np.where(is_missing[..., None], np.float32(np.nan), kept)
        if name in tables.rules:
            from posedata.source_numbers import find_unrounded

            source = np.where(is_missing[..., None], np.nan, source)
            unrounded[name] = find_unrounded(arrays[name], source, tables.rules[name])
        if name != "boxes":
            missing.append(is_missing)
    for name in ("scores", "visibility"):
        if name in arrays and missing:
            nowhere = np.logical_and.reduce(missing)
            warn(f"{name} of joints that are missing, now 0", nowhere & (arrays[name] != 0))
            arrays[name] = np.where(nowhere, arrays[name].dtype.type(0), arrays[name])
    return arrays, unrounded


def _persons(
    poses: Poses, tables: Tables
) -> tuple[np.ndarray | slice, np.ndarray, tuple[str, ...]]:
    """Give the order of the rows, their persons, and the ids of these.

    The persons of tables of one's own may have any numbers: these become their ids.
    """
    ids = poses.person_ids
    if not tables.is_own:
        count = int(poses.persons.max(initial=-1)) + 1
        return (
            slice(None),
            poses.persons,
            tuple(ids.get(p, "") for p in range(count)) if ids else (),
        )
    by_frame = np.lexsort((poses.persons, poses.frames))
    number = {p: n for n, p in enumerate(dict.fromkeys(poses.persons[by_frame].tolist()))}
    persons = np.array([number[p] for p in poses.persons.tolist()], np.int32)
    order = np.lexsort((poses.frames, persons))
    return order, persons[order], tuple(ids.get(p, str(p)) for p in number)


CONVERTER = Converter(
    name="csv",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "skeleton",
            "the joints of tables of one's own: e.g. coco17 (default: the skeleton that has "
            "exactly the joints of the first clip)",
            default="",
        ),
    ),
)
