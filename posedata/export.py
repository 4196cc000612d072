"""Release to another format: prepare each clip, in shards; then write the files, and a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from posedata.clip import JOINT_ARRAYS
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError, OutputError, UsageError
from posedata.export_plan import ExportPlan, plan_export
from posedata.export_staging import (
    StagedItems,
    clear_output,
    list_files,
    open_export_staging,
    write_items,
    written_files,
)
from posedata.exporter import IN_NO_FILE, Exporter, Item
from posedata.profile import Change
from posedata.skeleton import Skeleton, load_skeleton
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.clip import Clip

__all__ = ["ExportSummary", "export", "plan_export", "remap_clip"]


@dataclass(frozen=True)
class ExportSummary:
    """What an export did; also what stands in the report beside it.

    Attributes
    ----------
    out : str
        The file or folder.
    report : str
        The JSON file that says what was dropped or changed.
    format, layer, skeleton : str
        What was written.
    profile : str or None
        Which published preprocessing was repeated.
    clips : int
        How many are in it.
    changes : list of dict
        ``step``, ``what``, ``amount`` and in how many ``clips``.
    misfits : dict of str to str
        Clips that are left out because the format cannot hold them: why.
    joints : list of dict
        Where each joint comes from, if the joint set was changed.
    """

    out: str
    report: str
    format: str
    layer: str
    skeleton: str
    profile: str | None
    clips: int
    changes: list[dict[str, Any]]
    misfits: dict[str, str]
    joints: list[dict[str, Any]]


def export(
    plan: ExportPlan,
    out: Any,
    *,
    resume: bool = False,
    overwrite: bool = False,
    num_workers: int | None = None,
    progress: bool = False,
) -> ExportSummary:
    """Write a release in another format.

    Parameters
    ----------
    plan : ExportPlan
        From `plan_export`.
    out : str or path
        The file or folder.
    resume, overwrite : bool
        Complete, or replace, what is there already. Without either it is never touched.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    ExportSummary

    Raises
    ------
    InputError
        If the format cannot hold some of the clips, and misfits are not to be dropped: then
        nothing is written.
    OutputError
        If the output is taken or cannot be written.
    """
    if num_workers is not None:
        check_num_workers(num_workers)
    place = locate(out)
    report = _report_place(place, plan.exporter)
    staging = Location(place.fs, place.path.rstrip("/") + ".unfinished")
    if resume and not overwrite and (finished := _finished(place, report, plan)) is not None:
        staging.remove()  # left behind by a kill just after the report
        return finished
    done = open_export_staging(
        place, report, staging, plan.fingerprint(), resume=resume, overwrite=overwrite
    )
    names = plan.release.part_names(plan.target.layer) if plan.exporter.prepare else []
    each = replace(plan, target=replace(plan.target, splits={}))  # large, and of no use there
    tasks = [
        PartTask(index, name, each, staging) for index, name in enumerate(names)
        if index not in done
    ]  # fmt: skip
    if not (place.is_shared_between_processes and plan.release.place.is_shared_between_processes):
        num_workers = 1
    weights = [plan.release.manifest.files[task.name]["rows"] for task in tasks]
    for record in map_shards(
        prepare_part, tasks, num_workers=num_workers, weights=weights, progress=progress
    ):
        done[record["part"]] = record
    records = [done[index] for index in sorted(done)]
    misfits = _misfits(plan, records) if plan.exporter.prepare else {}
    if misfits and not plan.drop_misfits:
        staging.remove()
        raise _refusal(plan, misfits)
    clips = sum(record["items"] for record in records)
    if plan.exporter.prepare is None:
        clips = plan.release.manifest.counts["clips"]
    elif not clips:
        staging.remove()
        raise InputError("nothing to export", path=plan.release.place,
                         found="; ".join(sorted(set(misfits.values()))[:3]) or "no clips",
                         )  # fmt: skip

    clear_output(place, report, staging)
    try:
        with StagedItems(staging, sorted(done)) as items:
            at_the_end = list(plan.exporter.write(plan.target, items, place))
    except (InputError, UsageError):  # there is nothing that --resume could complete
        staging.remove()
        raise
    records.append({
        "changes": [[c.step, c.what, c.amount, c.amount] for c in at_the_end]
    })  # fmt: skip
    summary = ExportSummary(
        out=str(place),
        report=str(report),
        format=plan.exporter.name,
        layer=plan.target.layer,
        skeleton=plan.target.skeleton,
        profile=plan.target.profile.name if plan.target.profile else None,
        clips=clips - sum(change.amount for change in at_the_end if change.what in IN_NO_FILE),
        changes=_add_up(records),
        misfits=misfits,
        joints=_joints(plan),
    )
    report.write_bytes(_report(plan, summary, written_files(place, staging)))
    staging.remove()
    return summary


def _finished(place: Location, report: Location, plan: ExportPlan) -> ExportSummary | None:
    """Say what an export did that is complete already; None if there is none of this plan."""
    if not report.exists():
        return None
    try:
        content = json.loads(report.read_bytes(1 << 30))
        if content["made_by"] != {"operation": "export", **plan.fingerprint()}:
            return None
        if not set(content["files"]) <= set(list_files(place)):
            return None
        names = ("format", "layer", "skeleton", "profile", "clips", "changes", "misfits", "joints")
        return ExportSummary(
            out=str(place), report=str(report), **{name: content[name] for name in names}
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


@dataclass(frozen=True)
class PartTask:
    """One layer file to be prepared, as it is sent to a worker."""

    part: int
    name: str
    plan: ExportPlan
    staging: Location


def prepare_part(task: PartTask) -> dict[str, Any]:
    """Prepare the clips of one layer file and keep them until the format is written.

    Returns
    -------
    dict
        ``part``, ``clip_ids`` (all that were there), ``items``, ``changes`` (step, what, amount,
        clips) and ``misfits``.
    """
    plan = task.plan
    prepare = plan.exporter.prepare
    if prepare is None:
        raise UsageError(f"{plan.exporter.name} takes no clips")
    lost = _lost_by_remap(plan)
    amounts: Counter[tuple[str, str]] = Counter()
    clips: Counter[tuple[str, str]] = Counter()
    misfits: dict[str, str] = {}
    seen: list[str] = []

    def items() -> Iterator[Item]:
        for clip in _clips(plan, task.name):
            if plan.clip_ids is not None and clip.clip_id not in plan.clip_ids:
                continue
            seen.append(clip.clip_id)
            changes = [Change("remap", f"column {name} left out", 1) for name in lost]
            try:
                item, further = prepare(clip, plan.target)
                changes += further
            except InputError as error:
                misfits[clip.clip_id] = error.reason
                continue
            for change in changes:
                amounts[change.step, change.what] += change.amount
            for key in {(change.step, change.what) for change in changes}:
                clips[key] += 1
            if item is not None:
                yield item

    count = write_items(task.staging, task.part, items())
    record = {
        "part": task.part,
        "clip_ids": seen,
        "items": count,
        "changes": [[*key, amounts[key], clips[key]] for key in amounts],
        "misfits": misfits,
    }
    (task.staging / f"done-{task.part:05}.json").write_bytes(json.dumps(record).encode())
    return record


def remap_clip(clip: Clip, skeleton: Skeleton) -> Clip:
    """Give a clip the joints of another skeleton; see `posedata.remap`.

    Own columns with values for each joint are left out.
    """
    from posedata.remap import remap

    changed: dict[str, Any] = {}
    for name in ("keypoints_2d", "keypoints_3d"):
        if clip.arrays.get(name) is not None:
            mapped = remap(clip.arrays[name], clip.skeleton, skeleton, clip.scores, clip.visibility)
            changed |= {name: mapped.keypoints, "scores": mapped.scores,
                        "visibility": mapped.visibility}  # fmt: skip
    joints = clip.skeleton.num_joints
    extra = {n: a for n, a in clip.extra.items() if a.ndim < 2 or a.shape[1] != joints}
    return replace(clip, skeleton=skeleton, extra=extra, unrounded={}, **changed)


def _lost_by_remap(plan: ExportPlan) -> list[str]:
    """Name the columns with values for each joint that `remap_clip` has no rule for."""
    table = plan.release.table(plan.target.layer)
    joints = table.skeleton.num_joints
    if plan.target.skeleton == table.skeleton.name:
        return []
    return [
        name for name in table.pose_columns
        if name not in (*JOINT_ARRAYS, "boxes") and table.shape(name)[:1] == (joints,)
    ]  # fmt: skip


def _clips(plan: ExportPlan, name: str) -> Iterator[Clip]:
    from posedata.release_files import read_part

    table = plan.release.table(plan.target.layer)
    other = plan.target.skeleton != table.skeleton.name
    skeleton = load_skeleton(plan.target.skeleton) if other else table.skeleton
    for batch in read_part(plan.release.place / name, table, list(table.definitions), None):
        for clip in table.to_clips(batch):
            yield remap_clip(clip, skeleton) if other else clip


def _misfits(plan: ExportPlan, records: list[dict[str, Any]]) -> dict[str, str]:
    misfits: dict[str, str] = {}
    seen = set()
    for record in records:
        misfits |= record["misfits"]
        seen.update(record["clip_ids"])
    ids = plan.clip_ids
    if ids is None:
        ids = frozenset(plan.release.clips()["clip_id"].to_pylist())
    misfits |= dict.fromkeys(ids - seen, f"no poses in the layer {plan.target.layer}")
    return dict(sorted(misfits.items()))


def _refusal(plan: ExportPlan, misfits: Mapping[str, str]) -> InputError:
    reasons = Counter(misfits.values())
    examples = {reason: clip_id for clip_id, reason in reversed(list(misfits.items()))}
    found = "; ".join(
        f"{reason} ({count:,} clips, e.g. {examples[reason]})"
        for reason, count in reasons.most_common(3)
    )
    return InputError(
        f"{plan.exporter.name} cannot hold {len(misfits):,} of the clips", path=plan.release.place,
        found=found, remedy="Give --misfits drop to leave them out (the report names them)"
        + (", or an option of the format that says how." if plan.exporter.options else "."),
    )  # fmt: skip


def _add_up(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    totals: dict[tuple[str, str], list[int]] = {}
    for record in records:
        for step, what, amount, clips in record["changes"]:
            total = totals.setdefault((step, what), [0, 0])
            total[0] += amount
            total[1] += clips
    return [
        {"step": step, "what": what, "amount": amount, "clips": clips}
        for (step, what), (amount, clips) in totals.items()
    ]


def _joints(plan: ExportPlan) -> list[dict[str, Any]]:
    from posedata.remap import remap_ledger

    if not plan.target.layer:
        return []
    source = plan.release.table(plan.target.layer).skeleton
    if source.name == plan.target.skeleton:
        return []
    return [asdict(origin) for origin in remap_ledger(source, plan.target.skeleton)]


def _report(plan: ExportPlan, summary: ExportSummary, files: list[str]) -> bytes:
    content = {
        "format": summary.format,
        "made_by": {"operation": "export", **plan.fingerprint()},
        "name": plan.release.name,
        "license": plan.release.manifest.license,
        "layer": summary.layer,
        "skeleton": summary.skeleton,
        "profile": summary.profile,
        "steps": [
            {"step": step.name, "about": step.about, **step.parameters}
            for step in (plan.target.profile.steps if plan.target.profile else ())
        ],
        "clips": summary.clips,
        "changes": summary.changes,
        "misfits": summary.misfits,
        "joints": summary.joints,
        "files": files,
    }
    return (json.dumps(content, indent=1, ensure_ascii=False, default=list) + "\n").encode()


def _report_place(out: Location, exporter: Exporter) -> Location:
    if not exporter.suffix:
        return out / "export.json"
    path = out.path.removesuffix(exporter.suffix)
    if path == out.path:
        raise OutputError(f"--to {exporter.name} writes one file", path=out,
                          expected=f"a name that ends in {exporter.suffix}")  # fmt: skip
    return Location(out.fs, f"{path}.export.json")
