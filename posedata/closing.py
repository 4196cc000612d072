"""The last step of a conversion: the tables over all shards, the card, and the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posedata import staging
from posedata.card import write_card
from posedata.convert import ConvertSummary, layer_table
from posedata.converter import Problem, load_converter
from posedata.errors import OutputError
from posedata.layer_table import clip_schema
from posedata.manifest import FILE_NAME, MOST_BYTES, Manifest, read_manifest
from posedata.plan import Plan
from posedata.release_files import read_small_table
from posedata.release_writer import (
    write_rejects,
    write_segments,
    write_splits,
    write_table,
)
from posedata.storage import Location
from posedata.version import __version__

_SHOWN_REJECTS = 10
_ROWS_AT_ONCE = 1 << 13


def close_release(out: Location, plan: Plan, records: Sequence[dict[str, Any]]) -> ConvertSummary:
    """Write all that a release has beside its layer files; the manifest last.

    Parameters
    ----------
    out : Location
        The directory in which all shards are done.
    plan : Plan
        The conversion.
    records : sequence of dict
        One for each shard, in order; see `posedata.convert.convert_shard`.

    Returns
    -------
    ConvertSummary
    """
    description, base = plan.description, plan.base
    former: list[Problem] = []
    before = staging.before_addition(out)
    if base is not None and before is not None:
        former = [
            Problem(**row) for row in read_small_table(before / "rejects.parquet").to_pylist()
        ]
        staging.begin_closing(out)
    made_by = {
        "operation": plan.operation,
        "posedata": __version__,
        **({"converter": plan.converter} if plan.converter else {}),
        "options": plan.options,
        "input": plan.fingerprint()["input"],
    }
    tables = {layer.name: layer_table(description, layer.name) for layer in description.layers}
    schema = clip_schema(description.columns, description.own_columns, description.label_names)
    files = dict(base.manifest.files) if base else {}
    parts = [dict(record["part"]) for record in records if record["part"] is not None]
    files |= {part.pop("path"): part for part in parts}

    def clips() -> Iterator[pa.RecordBatch]:
        yield from _clip_rows(out, plan, records, schema)

    def problems() -> Iterator[Problem]:
        yield from former
        yield from plan.problems
        for record in records:
            yield from (Problem(**problem) for problem in record["problems"])

    files["clips.parquet"] = write_table(out / "clips.parquet", clips(), schema)
    files["rejects.parquet"] = write_rejects(out / "rejects.parquet", problems())
    if base is None:
        files["splits.parquet"] = write_splits(out / "splits.parquet", _splits(plan, clips()))
        if description.segment_names:
            files["segments.parquet"] = write_segments(
                out / "segments.parquet", plan.segments, description.segment_names
            )
    severities = [problem.severity for problem in problems()]
    poses = sum(entry.get("poses", 0) for entry in files.values())
    if base is not None:
        added = severities[len(former) :]
        made_by["added"] = {
            "clips": len(_clips_of(out, records)),
            "poses": sum(part["poses"] for part in parts),
            "rejects": added.count("reject"),
            "warnings": added.count("warning"),
        }
    manifest = Manifest(
        name=description.name,
        title=base.manifest.title if base else description.title,
        license=base.manifest.license if base else description.license,
        source=base.manifest.source if base else description.source,
        citation=base.manifest.citation if base else description.citation,
        skeletons={
            **(base.manifest.skeletons if base else {}),
            **{table.skeleton.name: table.skeleton for table in tables.values()},
        },
        layers={
            **(base.manifest.layers if base else {}),
            **{
                layer.name: {
                    "skeleton": layer.skeleton,
                    "columns": list(tables[layer.name].definitions),
                    "own_columns": dict(tables[layer.name].own_columns),
                    "left_out": list(layer.left_out),
                    "label_names": list(description.label_names),
                    "made_by": {**made_by, **layer.made_by},
                }
                for layer in description.layers
            },
        },
        clips={
            "columns": schema.names,
            "own_columns": dict(description.own_columns),
            "label_names": list(description.label_names),
        },
        segment_names=list(description.segment_names),
        files=files,
        history=[*(base.manifest.history if base else ()), made_by],
        counts={
            "clips": files["clips.parquet"]["rows"],
            "poses": poses,
            "rejects": severities.count("reject"),
            "warnings": severities.count("warning"),
        },
    )
    (out / "README.md").write_bytes(write_card(manifest, __version__))
    (out / FILE_NAME).write_bytes(manifest.to_json())
    staging.clear_staging(out)
    new = islice(problems(), len(former), None)
    rejects = (problem for problem in new if problem.severity == "reject")
    return _summary(out, plan, manifest, tuple(islice(rejects, _SHOWN_REJECTS)))


def _splits(plan: Plan, clips: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, str, str]]:
    """What the data set's tables say of splits, and what follows from the clips."""
    seen: set[str] = set()

    def rows() -> Iterator[dict[str, Any]]:
        for batch in clips:
            for row in batch.to_pylist():
                seen.add(row["clip_id"])
                yield row

    if plan.converter:
        yield from load_converter(plan.converter).splits(rows())
    if plan.splits:
        for batch in clips:  # what the converter has not asked for
            seen.update(batch["clip_id"].to_pylist())
        yield from (row for row in plan.splits if row[2] in seen)


def _clip_rows(
    out: Location, plan: Plan, records: Sequence[dict[str, Any]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Rows of ``clips.parquet``: from the data set's tables, and from the clips that were read.

    Where there is one layer and no table, the rows are as they were staged, a shard at a time.
    """
    staged = (staging.staged_clips(out, record["shard"]) for record in records)
    if not plan.clips and len(plan.description.layers) == 1:
        yield from (batch for batch in staged if batch.num_rows)
        return
    rows: dict[str, dict[str, Any]] = {row["clip_id"]: dict(row) for row in plan.clips}
    for batch in staged:
        for read in batch.to_pylist():
            row = rows.setdefault(read["clip_id"], {})
            row |= {name: value for name, value in read.items() if row.get(name) is None}
    ids = sorted(rows)
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = [rows[clip_id] for clip_id in ids[start : start + _ROWS_AT_ONCE]]
        yield pa.RecordBatch.from_pylist(some, schema=schema)


def _clips_of(out: Location, records: Sequence[dict[str, Any]]) -> set[str]:
    """Ids of the clips that have poses in any of the new layers."""
    staged = (staging.staged_clips(out, record["shard"]) for record in records)
    return {clip_id for batch in staged for clip_id in batch["clip_id"].to_pylist()}


def summarise_release(out: Location, plan: Plan) -> ConvertSummary | None:
    """Say what a finished release holds, for a resumed run that finds nothing left to do.

    Returns
    -------
    ConvertSummary or None
        None if the release is not finished.

    Raises
    ------
    OutputError
        If it was made from other input or with other options.
    """
    if not (out / FILE_NAME).exists():
        return None
    if plan.base is None and staging.before_addition(out) is not None:
        raise OutputError("an unfinished addition to the release is there", path=out,
                          remedy="First complete it: its command, with --into and "
                          "--resume.")  # fmt: skip
    manifest = read_manifest((out / FILE_NAME).read_bytes(MOST_BYTES), str(out / FILE_NAME))
    number = _entry_of(plan, manifest)
    if number is None:
        if plan.base is not None:
            return None
        raise OutputError("a finished release of other input or options is there", path=out,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    if staging.is_begun_by_other(out, plan.fingerprint()):
        return None  # to be refused there, where it says why
    staging.clear_staging(out)  # left behind by a kill just after the manifest
    with (out / "rejects.parquet").open() as file:
        table = pq.ParquetFile(file).read()
    counts, first = _counts_of(manifest, number)
    table = table.slice(first, counts["rejects"] + counts["warnings"])
    rows = table.slice(0, 1 << 16).to_pylist()
    rejects = (Problem(**row) for row in rows if row["severity"] == "reject")
    return _summary(out, plan, manifest, tuple(islice(rejects, _SHOWN_REJECTS)), number)


def _entry_of(plan: Plan, manifest: Manifest) -> int | None:
    """Find what a plan has added to a release, or made it, in its history.

    It need not be the last: layers and anchors may have come since.
    """
    mine = plan.fingerprint()
    for number, entry in enumerate(manifest.history):
        is_addition = "added" in entry
        if is_addition == (plan.base is not None) and all(
            entry.get(key) == mine[key] for key in ("posedata", "options", "input")
        ):
            return number
    return None


def _counts_of(manifest: Manifest, number: int) -> tuple[dict[str, int], int]:
    """What an operation has made, and the row of ``rejects.parquet`` where its own begin."""
    later = [entry["added"] for entry in manifest.history[number + 1 :] if "added" in entry]
    rest = {
        key: manifest.counts[key] - sum(added[key] for added in later)
        for key in ("poses", "rejects", "warnings")
    }
    own = manifest.history[number].get("added")
    if own is None:
        return {"clips": manifest.counts["clips"], **rest}, 0
    return own, rest["rejects"] + rest["warnings"] - own["rejects"] - own["warnings"]


def _summary(
    out: Location, plan: Plan, manifest: Manifest, rejects: tuple[Problem, ...], number: int = -1
) -> ConvertSummary:
    counts, _ = _counts_of(manifest, number % len(manifest.history))
    return ConvertSummary(
        out=str(out), name=manifest.name, first_rejects=rejects,
        left_out=tuple(name for layer in plan.description.layers for name in layer.left_out),
        **{key: counts[key] for key in ("clips", "poses", "rejects", "warnings")},
    )  # fmt: skip
