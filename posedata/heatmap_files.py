"""The files of heatmap volumes: shards of Parquet, an index, and ``heatmaps.json``.

A shard has one row group for each volume, so that a training run reads any one of them alone. Its
maps are raw bytes under zstd: a quarter smaller than an ``.npz``, and read twice as fast.
``heatmaps.json`` is written last: a folder without it is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posedata.converter import Problem
from posedata.errors import InputError, UsageError
from posedata.export_staging import clear_output, open_export_staging
from posedata.heatmaps import flip_order
from posedata.release_writer import write_rejects, write_splits, write_table
from posedata.remap import remap_ledger
from posedata.storage import Location

if TYPE_CHECKING:
    from posedata.clip import Clip
    from posedata.heatmap_plan import VolumePlan
    from posedata.heatmap_volumes import Volume

#: What the folder says of itself.
REPORT = "heatmaps.json"
FORMAT_VERSION = "1.0"

_INT32S = pa.list_(pa.field("element", pa.int32()))
_FACTS = pa.schema([
    ("clip_id", pa.string()), ("view", pa.int32()), ("label", pa.int64()), ("people", pa.int32()),
    ("box", _INT32S), ("frames", _INT32S), ("shape", _INT32S),
])  # fmt: skip
_SCHEMA = _FACTS.append(pa.field("heatmaps", pa.binary()))
_INDEX = pa.schema([
    ("clip_id", pa.string()), ("view", pa.int32()), ("file", pa.string()), ("row", pa.int32()),
    ("people", pa.int32()), ("box", _INT32S),
])  # fmt: skip
_ZSTD_LEVEL = 3  # level 9 saves another 6% and takes five times as long
_MOST_BYTES = 1 << 30


def open_volumes(
    place: Location, plan: VolumePlan, *, resume: bool, overwrite: bool
) -> tuple[Location, dict[int, dict[str, Any]]]:
    """Prepare the folder, or find out what an interrupted run has left.

    Returns
    -------
    staging : Location
        The folder for what is unfinished, beside the other; what was there stays until the end.
    records : dict of int to dict
        Of the shards that are done.

    Raises
    ------
    OutputError
        If the place is taken, or the beginning of another plan is there.
    """
    staging = _staging(place)
    records = open_export_staging(
        place, place / REPORT, staging, plan.fingerprint(), resume=resume, overwrite=overwrite
    )
    return staging, records


def _staging(place: Location) -> Location:
    return Location(place.fs, place.path.rstrip("/") + ".unfinished")


def _name(part: int) -> str:
    return f"part-{part:05}.parquet"


def write_volumes(
    staging: Location, part: int, clips: Iterable[tuple[Clip, list[Volume] | InputError]]
) -> dict[str, Any]:
    """Write one shard, and note that it is there.

    Parameters
    ----------
    staging : Location
        Where shards wait for the end.
    part : int
        Number of the shard.
    clips : iterable of (Clip, list of Volume or InputError)
        Sorted by clip id; each with its volumes, or with why it has none.

    Returns
    -------
    dict
        ``part``, ``file`` (rows, bytes, sha256), ``rows`` (of the index) and ``problems``.
    """
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    with (staging / _name(part)).create() as file:
        with pq.ParquetWriter(
            file, _SCHEMA, compression="zstd", compression_level=_ZSTD_LEVEL,
            use_dictionary=False, write_statistics=["clip_id"],
        ) as writer:  # fmt: skip
            for clip, volumes in clips:
                if isinstance(volumes, InputError):
                    problems.append(Problem(clip.clip_id, "heatmaps", volumes.reason))
                    continue
                for view, volume in enumerate(volumes):
                    row = {"clip_id": clip.clip_id, "view": view, "people": volume.people,
                           "box": list(volume.box)}  # fmt: skip
                    rows.append({**row, "row": len(rows)})
                    content = {**row, "label": clip.info.get("label"), "frames": volume.frames,
                               "shape": volume.maps.shape}  # fmt: skip
                    columns = [pa.array([content[field.name]], field.type) for field in _FACTS]
                    columns.append(_bytes_of(volume.maps))
                    writer.write_table(pa.table(columns, schema=_SCHEMA))
                    if not volume.people:
                        problems.append(Problem(
                            clip.clip_id, "heatmaps", f"nobody in the {len(volume.frames)} frames "
                            "that were taken: the volume is 0", severity="warning",
                        ))  # fmt: skip
    record = {
        "part": part,
        "file": {"rows": len(rows), **file.size_and_sha256},
        "rows": rows,
        "problems": [asdict(problem) for problem in problems],
    }
    content_of_record = json.dumps(record, ensure_ascii=False).encode()
    (staging / f"done-{part:05}.json").write_bytes(content_of_record)
    return record


def _bytes_of(maps: np.ndarray) -> pa.Array:
    """Give the bytes of an array as one value, without a copy."""
    ends = pa.py_buffer(np.array([0, maps.nbytes], np.int32))
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(maps)])


def close_volumes(
    place: Location, staging: Location, plan: VolumePlan, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """Move the shards to their place, and write what goes with them; the report comes last.

    Each step can be repeated, so that a run that was interrupted here can be resumed.

    Returns
    -------
    dict
        The content of ``heatmaps.json``.

    Raises
    ------
    InputError
        If there is no volume at all; then nothing stays but what was there before.
    """
    problems = [Problem(**problem) for record in records for problem in record["problems"]]
    layer = plan.selection.layer
    if plan.limit is None:
        problems += [Problem(clip_id, "select", f"not in the layer {layer}")
                     for clip_id in plan.selection.lacking]  # fmt: skip
    if not any(record["rows"] for record in records):
        staging.remove()
        raise InputError("no clip can be drawn", path=plan.selection.release.place,
                         found=problems[0].reason if problems else None)  # fmt: skip
    closing = staging / "closing"
    if not closing.exists():
        clear_output(place, place / REPORT, staging)
        closing.write_bytes(b"")
    place.fs.makedirs(place.path, exist_ok=True)
    files: dict[str, dict[str, Any]] = {}
    for record in records:
        name = _name(record["part"])
        if not record["rows"]:
            continue
        if (staging / name).exists():
            place.fs.mv((staging / name).path, (place / name).path)
        files[name] = record["file"]
    files["index.parquet"] = _write_index(place / "index.parquet", plan, records)
    drawn = {row["clip_id"] for record in records for row in record["rows"]}
    splits = sorted(
        (row["protocol"], row["split"], row["clip_id"])
        for row in plan.selection.release.splits().to_pylist() if row["clip_id"] in drawn
    )  # fmt: skip
    files["splits.parquet"] = write_splits(place / "splits.parquet", splits)
    files["rejects.parquet"] = write_rejects(place / "rejects.parquet", problems)
    empty = sum(not row["people"] for record in records for row in record["rows"])
    rejected = sum(problem.severity == "reject" for problem in problems)
    counts = {
        "clips": len(drawn), "volumes": sum(len(record["rows"]) for record in records),
        "empty": empty, "rejects": rejected, "warnings": len(problems) - rejected,
    }  # fmt: skip
    content = _content(plan, counts, files)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (place / REPORT).write_bytes(text.encode())
    staging.remove()
    return content


def finished(place: Location, plan: VolumePlan) -> dict[str, Any] | None:
    """Give the content of ``heatmaps.json`` if this plan is complete here; None if it is not."""
    if not (place / REPORT).exists():
        return None
    try:
        content = json.loads((place / REPORT).read_bytes(_MOST_BYTES))
        whole = content["made_by"] == _made_by(plan) and all(
            (place / name).exists() and (place / name).size() == entry["bytes"]
            for name, entry in content["files"].items()
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not whole:
        return None
    _staging(place).remove()  # left behind by a kill just after the report
    return dict(content)


def _made_by(plan: VolumePlan) -> dict[str, Any]:
    return {"operation": "heatmaps", **plan.fingerprint()}


def _write_index(
    place: Location, plan: VolumePlan, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """Write a row for each volume: where it is, and the clip columns of the release."""
    release, layer = plan.selection.release, plan.selection.layer
    table = release.table(layer)
    rows = [{**row, "file": _name(record["part"])} for record in records for row in record["rows"]]
    index = pa.Table.from_pylist(rows, schema=_INDEX)
    clips = release.read_table(layer, columns=table.clip_columns)
    clips = clips.take(pc.index_in(index["clip_id"], clips["clip_id"].combine_chunks()))
    for field in table.clip_schema:
        if field.name != "clip_id":
            name = f"clip_{field.name}" if field.name in _INDEX.names else field.name
            index = index.append_column(pa.field(name, field.type), clips[field.name])
    index = index.combine_chunks()
    return write_table(place, index.to_batches(), index.schema)


def _content(
    plan: VolumePlan, counts: dict[str, int], files: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    selection, options = plan.selection, plan.options
    release, skeleton = selection.release, selection.skeleton
    own = release.skeleton(selection.layer)
    joints = list(skeleton.joints) if options.kind != "limb" else []
    names = [[skeleton.joints[a], skeleton.joints[b]] for a, b in plan.limbs]
    try:
        flipped = flip_order(skeleton, options.kind != "limb", plan.limbs).tolist()
    except UsageError:  # a limb without its other side
        flipped = None
    return {
        "format_version": FORMAT_VERSION,
        "made_by": _made_by(plan),
        "name": release.name,
        "license": release.manifest.license,
        "source": release.manifest.source,
        "citation": release.manifest.citation,
        "dtype": options.dtype,
        "value_of_1": 255 if options.dtype == "uint8" else 1,
        "shape": [plan.num_channels, options.frames, *options.size],
        "channels": joints + [f"{start} - {end}" for start, end in names],
        "joints": joints,
        "limbs": names,
        "channels_flipped": flipped,
        "label_names": list(release.label_names(selection.layer)),
        "joint_origins": [asdict(origin) for origin in remap_ledger(own, skeleton)]
        if own != skeleton
        else [],
        "release_files": {
            name: release.manifest.files[name]["sha256"]
            for name in release.part_names(selection.layer)
        },
        "counts": counts,
        "files": files,
    }
