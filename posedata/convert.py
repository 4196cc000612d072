"""Raw data set to release: plan shards, read and write them, close the release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from posedata.converter import Converter, Description, Problem, Sample, load_converter
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError, UsageError
from posedata.storage import Location, locate
from posedata.version import __version__

#: Clips in a shard: for Kinect-sized clips a layer file of about 40 MB, 80 with all fields.
SHARD_CLIPS = 1024


@dataclass(frozen=True)
class Plan:
    """What a conversion will do: all that the release's content depends on.

    Attributes
    ----------
    converter : str
        Name of the data set's converter.
    raw : Location
        The raw folder.
    description : Description
        What the release will say of the data set.
    samples : sequence of Sample
        What will be read, sorted by clip id.
    problems : sequence of Problem
        What discovery found wrong.
    options : dict
        As given by the user, those that change the content.
    """

    converter: str
    raw: Location
    description: Description
    samples: Sequence[Sample]
    problems: Sequence[Problem]
    options: dict[str, Any]

    @cached_property
    def shards(self) -> list[Sequence[Sample]]:
        """The samples, cut into shards."""
        starts = range(0, len(self.samples), SHARD_CLIPS)
        return [self.samples[start : start + SHARD_CLIPS] for start in starts]

    @property
    def raw_bytes(self) -> int:
        """Size of all samples."""
        return sum(sample.size for sample in self.samples)

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to make the same release."""
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(f"{sample.clip_id}\0{sample.path}\0{sample.size}\n".encode())
        for problem in self.problems:
            digest.update(repr(problem).encode())
        return {
            "posedata": __version__,
            "dataset": self.description.name,
            "options": self.options,
            "shard_clips": SHARD_CLIPS,
            "samples": len(self.samples),
            "input": digest.hexdigest(),
        }


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


def plan_conversion(
    dataset: str, raw: Any, *, all_fields: bool = False, limit: int | None = None
) -> Plan:
    """Find what there is to convert, without opening a sample.

    Parameters
    ----------
    dataset : str
        Name of a converter, e.g. ``ntu``.
    raw : str or path
        Folder or URL of the raw data.
    all_fields : bool
        Keep also the source's fields that few people need.
    limit : int, optional
        Convert only the first so many samples.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the data set is unknown, or ``limit`` is not positive.
    InputError
        If there is no sample.
    """
    converter = load_converter(dataset)
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    place = locate(raw)
    found = converter.discover(place)
    if not found.samples:
        first = (
            f"; {found.problems[0].source}: {found.problems[0].reason}" if found.problems else ""
        )
        raise InputError(f"no samples of {dataset} here{first}", path=place,
                         remedy="Give the folder with the extracted raw files.")  # fmt: skip
    samples = found.samples if limit is None else found.samples[:limit]
    return Plan(
        converter=dataset,
        raw=place,
        description=converter.describe(samples, all_fields),
        samples=samples,
        problems=found.problems,
        options={"all_fields": all_fields, "limit": limit},
    )


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
    records = staging.open_staging(place, plan.fingerprint(), resume=resume, overwrite=overwrite)
    if not (place.is_shared_between_processes and plan.raw.is_shared_between_processes):
        num_workers = 1
    tasks = [
        ShardTask(index, plan.converter, plan.raw, place, plan.description, samples)
        for index, samples in enumerate(plan.shards)
        if index not in records
    ]
    weights = [len(task.samples) for task in tasks]
    for record in map_shards(
        convert_shard, tasks, num_workers=num_workers, weights=weights, progress=progress
    ):
        records[record["shard"]] = record
    return close_release(place, plan, [records[index] for index in sorted(records)])


@dataclass(frozen=True)
class ShardTask:
    """One shard of a conversion, as it is sent to a worker."""

    index: int
    converter: str
    raw: Location
    out: Location
    description: Description
    samples: Sequence[Sample]


def convert_shard(task: ShardTask) -> dict[str, Any]:
    """Read the samples of one shard and write its part of the layer.

    Returns
    -------
    dict
        The shard's record: ``shard``, ``part`` (the manifest's entry, or None if no sample could
        be read) and ``problems``.
    """
    import pyarrow as pa

    from posedata.release_writer import write_part
    from posedata.staging import finish_shard, stage_clips

    table = layer_table(task.description)
    problems: list[Problem] = []
    info: list[dict[str, Any]] = []

    def clips() -> Iterator[Any]:
        for clip in _read_samples(task, problems):
            info.append({"clip_id": clip.clip_id, **clip.info})
            yield clip

    path = f"data/{table.layer}/part-{task.index:05}.parquet"
    part = {"path": path, **write_part(task.out / path, table, clips())}
    if part["rows"] == 0:
        (task.out / path).remove()
    stage_clips(task.out, task.index, pa.RecordBatch.from_pylist(info, schema=table.clip_schema))
    record = {
        "shard": task.index,
        "part": part if part["rows"] else None,
        "problems": [asdict(problem) for problem in problems],
    }
    finish_shard(task.out, task.index, record)
    return record


def _read_samples(task: ShardTask, problems: list[Problem]) -> Iterator[Any]:
    converter: Converter = load_converter(task.converter)
    for sample in task.samples:
        try:
            clip, warnings = converter.read(task.raw, sample, task.description)
        except InputError as error:
            problems.append(Problem(sample.path, "read", error.reason, error.position or ""))
        except UsageError as error:  # the converter built an impossible clip: its own mistake
            error.path = sample.path
            raise
        else:
            problems += warnings
            yield clip


def layer_table(description: Description) -> Any:
    """Build the layer file's table that a description calls for."""
    from posedata.layer_table import LayerTable
    from posedata.skeleton import load_skeleton

    return LayerTable(
        layer=description.layer,
        skeleton=load_skeleton(description.skeleton),
        columns=description.columns,
        label_names=description.label_names,
        own_columns=description.own_columns,
    )
