"""The truth of harder videos: the poses of a release move with the pictures they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Description, LayerDescription, Problem, Sample, Segment
from posedata.degrade import Occluders, are_hidden, move_keypoints
from posedata.degraded_videos import Degradation, occluders_of
from posedata.engine import map_shards
from posedata.errors import UsageError
from posedata.plan import Plan, Shard
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.layer_table import LayerTable
    from posedata.release import Release

_OF_THE_VIDEO = ("num_frames", "width", "height")


def degrade_clip(
    clip: Clip, old_size: tuple[int, int], new_size: tuple[int, int], occluders: Occluders,
    *, black_frames: Sequence[int] = (), info: Mapping[str, Any],
) -> tuple[Clip, int]:  # fmt: skip
    """Move the poses of a clip as its video was changed.

    ``keypoints_2d`` and ``boxes`` move with the picture. Joints behind an occluder, and all of a
    black frame, keep their coordinates and scores, and their visibility falls from 2 to 1. Where
    the clip has no visibility and there are occluders, it gets one: 2 for what is not hidden.
    ``keypoints_3d`` are metres in the camera frame and stay, as do all further columns.

    Parameters
    ----------
    clip : Clip
        With 2D poses.
    old_size, new_size : (int, int)
        Width and height of the pictures, pixels.
    occluders : Occluders
        That are before the old picture.
    black_frames : sequence of int
        In which nothing is to be seen.
    info : mapping
        Clip columns of the result; poses past its ``num_frames`` are left out.

    Returns
    -------
    clip : Clip
    beyond : int
        Poses that are left out because the new video has no such frame.
    """
    keep = clip.frames < info["num_frames"]
    beyond = int((~keep).sum())
    if beyond:
        clip = _rows(clip, keep, info)
    keypoints = np.asarray(clip.keypoints_2d)
    visibility = clip.visibility
    if visibility is None and len(occluders.grey):
        there = np.isfinite(keypoints).all(-1)
        if clip.keypoints_3d is not None:
            there = there | np.isfinite(clip.keypoints_3d).all(-1)
        visibility = np.where(there, 2, 0).astype(np.uint8)
    if visibility is not None:
        hidden = are_hidden(occluders, keypoints, clip.frames, old_size)
        hidden |= np.isin(clip.frames, np.asarray(black_frames, np.int64))[:, None]
        visibility = np.where(hidden & (visibility == 2), 1, visibility).astype(np.uint8)
    boxes = clip.boxes
    if boxes is not None:
        boxes = move_keypoints(boxes.reshape(-1, 2, 2), old_size, new_size).reshape(-1, 4)
    moved = replace(
        clip, keypoints_2d=move_keypoints(keypoints, old_size, new_size), boxes=boxes,
        visibility=visibility, info=info,
        unrounded={n: kept for n, kept in clip.unrounded.items() if n != "keypoints_2d"},
    )  # fmt: skip
    return moved, beyond


def _rows(clip: Clip, keep: np.ndarray, info: Mapping[str, Any]) -> Clip:
    """Take some rows of a clip."""
    arrays: dict[str, Any] = {name: array[keep] for name, array in clip.arrays.items()}
    extra = {name: arrays.pop(name) for name in clip.extra}
    new_row = np.cumsum(keep) - 1
    unrounded = {}
    for name, kept in clip.unrounded.items():
        size = int(np.prod(clip.arrays[name].shape[1:]))
        row, rest = np.divmod(kept.at, size)
        mine = keep[row]
        at = new_row[row[mine]] * size + rest[mine]
        unrounded[name] = kept._replace(at=at.astype(np.int32), numbers=kept.numbers[mine])
    persons = clip.persons[keep]
    ids = clip.person_ids[: int(persons[-1]) + 1] if len(persons) else ()
    return replace(
        clip, frames=clip.frames[keep], persons=persons, person_ids=ids, extra=extra,
        unrounded=unrounded, info={**clip.info, **info}, **arrays,
    )  # fmt: skip


def choose_layers(release: Release, layers: Sequence[str]) -> list[str]:
    """Give the layers that can move with a picture: those named, or all with 2D poses.

    Raises
    ------
    UsageError
        If one is not there or has no 2D poses, or none has.
    """
    for name in layers:
        if "keypoints_2d" not in release.table(name).pose_columns:
            raise UsageError(f"the layer {name} has no 2D poses to move", path=release.place)
    chosen = list(dict.fromkeys(layers)) or [
        name for name in release.layers
        if "keypoints_2d" in release.table(name).pose_columns
    ]  # fmt: skip
    if not chosen:
        raise UsageError("no layer with 2D poses", path=release.place,
                         found=f"layers {', '.join(release.layers) or 'none'}")  # fmt: skip
    return chosen


def clips_of(release: Release, layers: Sequence[str]) -> dict[str, set[str]]:
    """Give the ids of the clips of each layer."""
    return {
        name: set(release.read_table(name, columns=["clip_id"])["clip_id"].to_pylist())
        for name in layers
    }


def with_sizes(release: Release, samples: Sequence[Sample]) -> list[Sample]:
    """Add to videos the width and height that the release says their clips have."""
    rows = {row["clip_id"]: row for row in release.clips().to_pylist()}
    return [
        replace(s, info={**s.info, **{n: rows[s.clip_id].get(n) for n in ("width", "height")}})
        for s in samples
    ]


def plan_truth(
    release: Any, layers: Sequence[str], samples: Sequence[Sample], problems: Sequence[Problem],
    degradation: Degradation, *, limit: int | None = None,
) -> Plan:  # fmt: skip
    """Say what a release of moved poses will hold.

    Parameters
    ----------
    release : str, path or Location
        With the poses of the original videos.
    layers : sequence of str
        From `choose_layers`.
    samples, problems
        Videos with the ids of their clips, from `posedata.find_videos.find_videos`.
    degradation : Degradation
        What is done to the videos.
    limit : int, optional
        That the samples were cut to.
    """
    from posedata.release import open_release

    place = locate(release)
    base = open_release(place)
    ids = clips_of(base, layers)
    of_layers = [
        Sample(sample.clip_id, sample.path, sample.size, layer)
        for layer in layers
        for sample in samples
        if sample.clip_id in ids[layer]
    ]
    manifest, of_clips = base.manifest, base.manifest.clips
    chosen = {sample.clip_id for sample in of_layers}
    segments = [
        Segment(**{**row, "flag": row.get("flag") or ""})
        for row in (base.segments().to_pylist() if manifest.segment_names else ())
        if row["clip_id"] in chosen
    ]
    done = degradation.options
    what = [f"{done['size']} pixels"] if done["size"] else []
    what += [f"{done['occluders']} occluders"] if done["occluders"] else []
    description = Description(
        name=f"{base.name}-degraded",
        title=f"{manifest.title or base.name}: truth of degraded videos "
        f"({', '.join(what) or 'encoded anew'}, seed {done['seed']})",
        license=manifest.license, source=manifest.source, citation=manifest.citation,
        layers=tuple(_layer(base, name, degradation) for name in layers),
        columns=(*of_clips.get("columns", ()), *_OF_THE_VIDEO),
        own_columns=of_clips.get("own_columns", {}),
        label_names=tuple(of_clips.get("label_names", ())),
        segment_names=tuple(manifest.segment_names),
    )  # fmt: skip
    splits = [
        (row["protocol"], row["split"], row["clip_id"])
        for row in base.splits().to_pylist()
        if row["clip_id"] in chosen
    ]
    options = {**done, "layers": list(layers), "release": base.name,
               "release_sha256": _digest(base, layers), "limit": limit}  # fmt: skip
    return Plan(
        converter="", raw=place, description=description, samples=of_layers, problems=problems,
        options=options, segments=segments, splits=splits, operation="degrade",
    )  # fmt: skip


def _layer(base: Release, name: str, degradation: Degradation) -> LayerDescription:
    """The layer as it was, but for what its 2D coordinates were before they were rounded."""
    table = base.table(name)
    lost = {
        column for column, definition in table.definitions.items()
        if definition["per"] == "value" and definition["of"] == "keypoints_2d"
    }  # fmt: skip
    columns = [column for column in table.pose_columns if column not in lost]
    if degradation.occluders and "visibility" not in columns:
        columns.append("visibility")
    return LayerDescription(
        name=name, skeleton=table.skeleton.name, own_skeleton=table.skeleton,
        columns=tuple(columns), left_out=tuple(sorted(lost)),
        own_columns={n: c for n, c in table.own_columns.items() if n in columns},
        made_by={"of": {"release": base.name, "layer": name,
                        "made_by": base.manifest.layers[name].get("made_by", {})}},
    )  # fmt: skip


def _digest(base: Release, layers: Sequence[str]) -> str:
    """What the poses depend on: the files of their layers."""
    files = base.manifest.files
    names = ["clips.parquet", *(name for layer in layers for name in base.part_names(layer))]
    text = "\n".join(f"{name} {files[name]['sha256']}" for name in names)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class TruthTask:
    """Clips whose poses become one file, as they are sent to a worker."""

    shard: Shard
    release: Location
    out: Location
    table: LayerTable
    degradation: Degradation
    videos: Mapping[str, Mapping[str, Any]]
    is_first: Mapping[str, bool]


def begin_truth(
    plan: Plan, out: Location, *, resume: bool = False, overwrite: bool = False
) -> ConvertSummary | dict[int, dict[str, Any]]:
    """Prepare the release before any video is made.

    Returns
    -------
    ConvertSummary or dict
        The summary, if it is finished; else the records of the shards that are done.

    Raises
    ------
    OutputError
        If the place is taken, or holds the beginning of something else.
    UsageError
        If it is the release that the poses come from.
    """
    from posedata import staging
    from posedata.closing import summarise_release

    if str(out) == str(plan.raw):
        raise UsageError("--new-release is the --release itself", found=str(out),
                         remedy="Name a place of its own.")  # fmt: skip
    if resume and not overwrite and (done := summarise_release(out, plan)) is not None:
        return done
    return staging.open_staging(out, plan.fingerprint(), resume=resume, overwrite=overwrite)


def write_truth(
    plan: Plan, out: Location, degradation: Degradation, begun: dict[int, dict[str, Any]],
    videos: Sequence[Mapping[str, Any]], *, num_workers: int | None = None, progress: bool = False,
) -> ConvertSummary:  # fmt: skip
    """Write the release that `plan_truth` has planned.

    The bytes depend on the plan alone: not on the number of workers, nor on interruptions.

    Parameters
    ----------
    plan : Plan
        From `plan_truth`.
    out : Location
        Of the new release.
    degradation : Degradation
        What was done to the videos.
    begun : dict
        From `begin_truth`.
    videos : sequence of dict
        The record of each; see `posedata.degraded_videos.degrade_video`.
    num_workers, progress
        As for `posedata.convert.convert`.
    """
    from posedata.closing import close_release

    of_clip = {record["clip_id"]: record for record in videos}
    first: dict[str, str] = {}
    for sample in plan.samples:
        first.setdefault(sample.clip_id, sample.layer)
    tasks = [
        TruthTask(
            shard, plan.raw, out, layer_table(plan.description, shard.layer), degradation,
            {sample.clip_id: of_clip[sample.clip_id] for sample in shard.samples},
            {sample.clip_id: first[sample.clip_id] == shard.layer for sample in shard.samples},
        )
        for shard in plan.shards
        if shard.index not in begun
    ]  # fmt: skip
    if not (out.is_shared_between_processes and plan.raw.is_shared_between_processes):
        num_workers = 1
    records = dict(begun)
    for record in map_shards(
        degrade_shard, tasks, num_workers=num_workers, progress=progress,
        weights=[len(task.shard.samples) for task in tasks],
    ):  # fmt: skip
        records[record["shard"]] = record
    return close_release(out, plan, [records[index] for index in sorted(records)])


def degrade_shard(task: TruthTask) -> dict[str, Any]:
    """Move the poses of one shard; the record is that of `posedata.convert.write_shard`."""
    problems: list[Problem] = []
    return write_shard(task.out, task.shard, task.table, _moved(task, problems), problems)


def _moved(task: TruthTask, problems: list[Problem]) -> Iterator[Clip]:
    from posedata.release import open_release

    base = open_release(task.release)
    layer = task.table.layer
    samples = {sample.clip_id: sample for sample in task.shard.samples}
    for clip_id, sample in samples.items():
        if task.is_first[clip_id]:  # what no single layer is to blame for: told once
            problems += _problems_of(sample, task.videos[clip_id])
    wanted = [clip_id for clip_id in samples if "error" not in task.videos[clip_id]]
    known = base.table(layer).pose_columns
    columns = [name for name in task.table.pose_columns if name in known]
    for clip in base.iter_clips(layer, columns=columns, where={"clip_id": wanted}):
        video, sample = task.videos[clip.clip_id], samples[clip.clip_id]
        old = (video["old_picture"][0], video["old_picture"][1])
        new = (video["picture"][0], video["picture"][1])
        info = {**clip.info, **{name: video[name] for name in _OF_THE_VIDEO}}
        if "source" in task.table.definitions:
            info["source"] = sample.path
        moved, beyond = degrade_clip(
            replace(clip, unrounded={n: u for n, u in clip.unrounded.items()
                                     if f"{n}_unrounded" in task.table.definitions}),
            old, new, occluders_of(task.degradation, clip.clip_id, old), info=info,
            black_frames=[f for first, n, _ in video["black"] for f in range(first, first + n)],
        )  # fmt: skip
        if beyond:
            problems.append(Problem(
                sample.path, "degrade", f"poses of {layer} beyond the end of the video, left out: "
                f"{beyond}", f"frames {video['num_frames']} to the end", severity="warning",
            ))  # fmt: skip
        yield moved


def _problems_of(sample: Sample, video: Mapping[str, Any]) -> list[Problem]:
    if "error" in video:
        return [Problem(sample.path, "degrade", video["error"], video["position"])]
    return [
        Problem(sample.path, "degrade", f"black, because it cannot be read: {reason}",
                f"frames {first} to {first + count - 1}", severity="warning")
        for first, count, reason in video["black"]
    ]  # fmt: skip
