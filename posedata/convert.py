"""Raw data set to release: read the samples, write them in shards, close the release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from posedata.addition import as_clip_of_base
from posedata.converter import Converter, Description, Problem, load_converter
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError, UsageError
from posedata.plan import Plan, Shard, plan_conversion
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.clip import Clip
    from posedata.layer_table import LayerTable

__all__ = ["ConvertSummary", "convert", "convert_shard", "layer_table", "plan_conversion"]


@dataclass(frozen=True)
class ConvertSummary:
    """What a conversion did.

    Attributes
    ----------
    out : str
        Where the release is.
    name : str
        E.g. ``ntu60``.
    clips, poses : int
        What is in it.
    rejects, warnings : int
        Rows of its ``rejects.parquet`` by severity.
    left_out : tuple of str
        Columns of the source that the release does not have.
    first_rejects : tuple of Problem
        The first few rejects, to be shown.
    """

    out: str
    name: str
    clips: int
    poses: int
    rejects: int
    warnings: int
    left_out: tuple[str, ...] = ()
    first_rejects: tuple[Problem, ...] = ()


def convert(
    plan: Plan,
    out: Any,
    *,
    resume: bool = False,
    overwrite: bool = False,
    num_workers: int | None = None,
    progress: bool = False,
) -> ConvertSummary:
    """Make a release of a raw data set.

    The bytes of the release depend on the plan alone: not on the number of workers, nor on how
    often the run was interrupted and resumed.

    Parameters
    ----------
    plan : Plan
        From `plan_conversion`.
    out : str or path
        Directory or URL of the release.
    resume, overwrite : bool
        Complete, or replace, what is there already. Without either it is never touched.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    ConvertSummary

    Raises
    ------
    OutputError
        If the output is taken or cannot be written. What is done stays, for ``resume``.
    """
    from posedata import staging
    from posedata.closing import close_release, summarise_release

    if num_workers is not None:
        check_num_workers(num_workers)
    place = locate(out)
    if resume and not overwrite and (done := summarise_release(place, plan)) is not None:
        return done
    if plan.base is None:
        records = staging.open_staging(
            place, plan.fingerprint(), resume=resume, overwrite=overwrite
        )
    else:
        if overwrite:
            raise UsageError("--overwrite and --into exclude each other")
        layers = [layer.name for layer in plan.description.layers]
        records = staging.open_addition(place, plan.fingerprint(), layers, resume=resume)
    if not (place.is_shared_between_processes and plan.raw.is_shared_between_processes):
        num_workers = 1
    known = {row["clip_id"]: row for row in plan.clips} if plan.base is not None else None

    def rows_of_base(shard: Shard) -> Mapping[str, Mapping[str, Any]] | None:
        if known is None:
            return None
        return {sample.clip_id: known[sample.clip_id] for sample in shard.samples}

    tasks = [
        ShardTask(
            shard,
            plan.converter,
            plan.raw,
            place,
            plan.description,
            rows_of_base(shard),
            keep_sides=plan.options.get("keep_sides", False),
        )
        for shard in plan.shards
        if shard.index not in records
    ]
    weights = [len(task.shard.samples) for task in tasks]
    for record in map_shards(
        convert_shard, tasks, num_workers=num_workers, weights=weights, progress=progress
    ):
        records[record["shard"]] = record
    return close_release(place, plan, [records[index] for index in sorted(records)])


@dataclass(frozen=True)
class ShardTask:
    """One shard of a conversion, as it is sent to a worker."""

    shard: Shard
    converter: str
    raw: Location
    out: Location
    description: Description
    rows_of_base: Mapping[str, Mapping[str, Any]] | None
    keep_sides: bool = False


def convert_shard(task: ShardTask) -> dict[str, Any]:
    """Read the samples of one shard and write its part of the layer.

    Returns
    -------
    dict
        The shard's record: ``shard``, ``part`` (the manifest's entry, or None if no sample could
        be read) and ``problems``.
    """
    problems: list[Problem] = []
    return write_shard(
        task.out, task.shard, layer_table(task.description, task.shard.layer),
        _read_samples(task, problems), problems,
    )  # fmt: skip


def write_shard(
    out: Location, shard: Shard, table: LayerTable, clips: Iterable[Clip], problems: list[Problem]
) -> dict[str, Any]:
    """Write one part of a layer, and note that it is there.

    Parameters
    ----------
    out : Location
        The release to be.
    shard : Shard
        Which part.
    table : LayerTable
        Its columns.
    clips : iterable of Clip
        Sorted by clip id; taken one by one.
    problems : list of Problem
        Complete when ``clips`` has ended.

    Returns
    -------
    dict
        The shard's record; see `convert_shard`.
    """
    import pyarrow as pa

    from posedata.release_writer import write_part
    from posedata.staging import finish_shard, stage_clips

    info: list[dict[str, Any]] = []

    def noted() -> Iterator[Clip]:
        for clip in clips:
            info.append({"clip_id": clip.clip_id, **clip.info})
            yield clip

    path = f"data/{table.layer}/part-{shard.part:05}.parquet"
    part = {"path": path, **write_part(out / path, table, noted())}
    if part["rows"] == 0:
        (out / path).remove()
    stage_clips(out, shard.index, pa.RecordBatch.from_pylist(info, schema=table.clip_schema))
    record = {
        "shard": shard.index,
        "part": part if part["rows"] else None,
        "problems": [asdict(problem) for problem in problems],
    }
    finish_shard(out, shard.index, record)
    return record


def _read_samples(task: ShardTask, problems: list[Problem]) -> Iterator[Clip]:
    converter: Converter = load_converter(task.converter)
    for sample, others in zip(task.shard.samples, _other_layers(task), strict=True):
        try:
            clip, warnings = converter.read(task.raw, sample, task.description)
            if task.rows_of_base is not None:
                clip = as_clip_of_base(
                    clip, sample, task.rows_of_base[sample.clip_id], keep_sides=task.keep_sides
                )
                clip = _with_shared_persons(clip, others)
        except InputError as error:
            problems.append(Problem(sample.path, "read", error.reason, error.position or ""))
        except UsageError as error:  # the converter built an impossible clip: its own mistake
            error.path = sample.path
            raise
        else:
            problems += warnings
            yield clip


def _other_layers(task: ShardTask) -> Iterator[list[Clip]]:
    """For each sample, its clip in the layers with 2D poses that the release has already."""
    if task.rows_of_base is None:
        yield from ([] for _ in task.shard.samples)
        return
    from posedata.aligned_clips import aligned_clips
    from posedata.release import open_release

    base = open_release(task.out)
    layers = [name for name in base.layers if "keypoints_2d" in base.table(name).pose_columns]
    ids = [sample.clip_id for sample in task.shard.samples]
    for found in aligned_clips(base, layers, ids, ["keypoints_2d"]):
        yield list(found.values())


def _with_shared_persons(clip: Clip, others: Sequence[Clip]) -> Clip:
    if clip.keypoints_2d is None or not others:
        return clip
    from posedata.shared_persons import share_persons

    (clip,) = share_persons([clip], others)
    return clip


def layer_table(description: Description, layer: str = "") -> LayerTable:
    """Build the table of a layer file that a description calls for."""
    from posedata.layer_table import LayerTable
    from posedata.skeleton import load_skeleton

    of_layer = description.layer(layer)
    return LayerTable(
        layer=of_layer.name,
        skeleton=of_layer.own_skeleton or load_skeleton(of_layer.skeleton),
        columns=(*description.columns, *of_layer.columns),
        label_names=description.label_names,
        own_columns={**description.own_columns, **of_layer.own_columns},
    )
