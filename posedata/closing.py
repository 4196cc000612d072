"""The last step of a conversion: the tables over all shards, the card, and the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posedata import staging
from posedata.card import write_card
from posedata.convert import ConvertSummary, Plan, layer_table
from posedata.converter import Problem, load_converter
from posedata.errors import OutputError
from posedata.manifest import FILE_NAME, MOST_BYTES, Manifest, read_manifest
from posedata.release_writer import write_rejects, write_splits, write_table
from posedata.storage import Location
from posedata.version import __version__

_SHOWN_REJECTS = 10


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
    description = plan.description
    table = layer_table(description)
    parts = [dict(record["part"]) for record in records if record["part"] is not None]
    files = {part.pop("path"): part for part in parts}

    def problems() -> Iterator[Problem]:
        yield from plan.problems
        for record in records:
            yield from (Problem(**problem) for problem in record["problems"])

    def clips() -> Iterator[pa.RecordBatch]:
        for record in records:
            yield staging.staged_clips(out, record["shard"])

    clip_ids = [clip_id for batch in clips() for clip_id in batch["clip_id"].to_pylist()]
    splits = load_converter(plan.converter).splits(clip_ids)
    files["clips.parquet"] = write_table(out / "clips.parquet", clips(), table.clip_schema)
    files["splits.parquet"] = write_splits(out / "splits.parquet", splits)
    files["rejects.parquet"] = write_rejects(out / "rejects.parquet", problems())
    severities = [problem.severity for problem in problems()]
    made_by = {"operation": "convert", "posedata": __version__, "converter": plan.converter,
               "options": plan.options, "input": plan.fingerprint()["input"]}  # fmt: skip
    manifest = Manifest(
        name=description.name,
        license=description.license,
        source=description.source,
        skeletons={description.skeleton: table.skeleton},
        layers={
            table.layer: {
                "skeleton": description.skeleton,
                "columns": list(table.definitions),
                "own_columns": dict(description.own_columns),
                "left_out": list(description.left_out),
                "label_names": list(description.label_names),
                "made_by": made_by,
            }
        },
        files=files,
        history=[made_by],
        counts={
            "clips": len(clip_ids),
            "poses": sum(part["poses"] for part in parts),
            "rejects": severities.count("reject"),
            "warnings": severities.count("warning"),
        },
    )
    (out / "README.md").write_bytes(write_card(manifest, description, table, __version__))
    (out / FILE_NAME).write_bytes(manifest.to_json())
    (out / staging.DIRECTORY).remove()
    rejects = (problem for problem in problems() if problem.severity == "reject")
    return _summary(out, plan, manifest, tuple(islice(rejects, _SHOWN_REJECTS)))


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
    manifest = read_manifest((out / FILE_NAME).read_bytes(MOST_BYTES), str(out / FILE_NAME))
    last = manifest.history[-1] if manifest.history else {}
    mine = plan.fingerprint()
    if any(last.get(key) != mine[key] for key in ("posedata", "options", "input")):
        raise OutputError("a finished release of other input or options is there", path=out,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    (out / staging.DIRECTORY).remove()  # left behind by a kill just after the manifest
    with (out / "rejects.parquet").open() as file:
        rows = pq.ParquetFile(file).read().slice(0, 1 << 16).to_pylist()
    rejects = (Problem(**row) for row in rows if row["severity"] == "reject")
    return _summary(out, plan, manifest, tuple(islice(rejects, _SHOWN_REJECTS)))


def _summary(
    out: Location, plan: Plan, manifest: Manifest, rejects: tuple[Problem, ...]
) -> ConvertSummary:
    return ConvertSummary(
        out=str(out), name=manifest.name, first_rejects=rejects,
        left_out=plan.description.left_out,
        **{key: manifest.counts[key] for key in ("clips", "poses", "rejects", "warnings")},
    )  # fmt: skip
