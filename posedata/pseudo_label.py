"""Pseudo ground truth for training a pose estimator: box, class and confidence of sampled poses.

Yang et al., "Selective Spatio-Temporal Aggregation Based Pose Refinement System", WACV 2021: the
box of a pose is its extremes, widened by 10%; its class is the nearest of 20 anchor poses; poses
come from 10% of the videos and 10% of the frames of each, and 20% is kept for validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.addition import add_to_release
from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Description, LayerDescription, Problem, Sample
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError, UsageError
from posedata.nearest_anchor import NO_CLASS, assign
from posedata.plan import Plan, Shard
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.release import Release

#: Columns of the layer that the format does not know.
OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "anchor_class": {
        "type": "int32", "per": "pose", "shape": [],
        "about": "The nearest anchor pose: its class in anchors/<layer>.parquet.",
    },
    "anchor_distance": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "Root mean squared distance to that anchor, in longer sides of the pose's box.",
    },
    "confidence": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "How far the experts agree, 0 to 1: C of SST-A (eq. 4); NaN where unknown.",
    },
    "validation": {
        "type": "uint8", "per": "pose", "shape": [],
        "about": "1 where the video is kept for validation.",
    },
}  # fmt: skip
_TAKEN_OVER = ("keypoints_2d", "scores", "visibility")


def choose_videos(
    num_videos: int, part: float, validation: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose videos at random, and which of them are kept for validation.

    Parameters
    ----------
    num_videos : int
    part : float
        Share of the videos to take; at least one is.
    validation : float
        Share of those to keep; none of their frames is for training.
    seed : int
        Of the choice.

    Returns
    -------
    train, validation : int, shape (R,) and (S,)
        Ascending numbers of videos; no video is in both.
    """
    taken = min(num_videos, max(1, round(part * num_videos)))
    order = np.random.default_rng(seed).permutation(num_videos)[:taken]
    kept = round(validation * taken)
    return np.sort(order[kept:]), np.sort(order[:kept])


def choose_frames(num_frames: int, part: float, rng: np.random.Generator) -> np.ndarray:
    """Choose frames evenly spread over a video, from a random beginning.

    Each frame has the same chance, and no two neighbours come where a spread can avoid it.

    Returns
    -------
    int64, shape (F,)
        Ascending; at least one.
    """
    count = min(num_frames, max(1, round(part * num_frames)))
    return ((np.arange(count) + rng.random()) * (num_frames / count)).astype(np.int64)


def pose_boxes(
    keypoints: np.ndarray, widen: float = 0.1, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Give the extremes of each pose in x and y, widened about their middle.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels; NaN where a joint is missing.
    widen : float
        0.1: the box is 1.1 times as wide and as high as the pose.
    size : (width, height), optional
        Of the picture, pixels; boxes are cut at its first and last pixel.

    Returns
    -------
    float32, shape (N, 4)
        x0 y0 x1 y1, pixels; NaN where nothing with an area is left.
    """
    points = keypoints.astype(np.float64)
    missing = ~np.isfinite(points).all(-1)
    low = np.where(missing[..., None], np.inf, points).min(1, initial=np.inf)
    high = np.where(missing[..., None], -np.inf, points).max(1, initial=-np.inf)
    low[missing.all(1)] = high[missing.all(1)] = np.nan
    margin = (high - low) * (widen / 2)
    low, high = low - margin, high + margin
    if size is not None:
        low = np.maximum(low, 0)
        high = np.minimum(high, np.array(size) - 1)
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    boxes[~(boxes[:, 2:] > boxes[:, :2]).all(1)] = np.nan
    return boxes


def label_clip(
    clip: Clip, anchors: np.ndarray, frames: np.ndarray, *, widen: float, layer: str,
    is_validation: bool, info: Mapping[str, Any],
) -> tuple[Clip, dict[str, int]]:  # fmt: skip
    """Make the pseudo-labels of one clip.

    Parameters
    ----------
    clip : Clip
        With 2D poses.
    anchors : float32, shape (K, V, 2)
        Of the clip's joints; see `posedata.anchors.Anchors`.
    frames : int
        The frames to take.
    widen : float
        See `pose_boxes`.
    layer : str
        Name of the result.
    is_validation : bool
        Whether the clip is kept for validation.
    info : mapping
        Clip columns of the result; its width and height limit the boxes.

    Returns
    -------
    clip : Clip
        The poses in these frames, with boxes and `OWN_COLUMNS`.
    left_out : dict of str to int
        Poses in these frames that get no label, by the reason.
    """
    rows = np.flatnonzero(np.isin(clip.frames, frames))
    keypoints = np.asarray(clip.keypoints_2d)[rows]
    classes, distances = assign(keypoints, anchors)
    width, height = info.get("width"), info.get("height")
    size = None if width is None or height is None else (width, height)
    boxes = pose_boxes(keypoints, widen, size)
    classless = classes == NO_CLASS
    boxless = np.isnan(boxes).any(1) & ~classless
    keep = ~classless & ~boxless
    rows = rows[keep]
    confidence = np.full(len(rows), np.nan, np.float32)
    if "confidence" in clip.extra:
        confidence = clip.extra["confidence"][rows].astype(np.float32)
    arrays = {name: clip.arrays[name][rows] for name in _TAKEN_OVER if name in clip.arrays}
    extra = {
        "anchor_class": classes[keep],
        "anchor_distance": distances[keep],
        "confidence": confidence,
        "validation": np.full(len(rows), is_validation, np.uint8),
    }
    persons = clip.persons[rows]
    ids = clip.person_ids[: int(persons[-1]) + 1] if len(rows) else ()
    labelled = Clip(
        clip.clip_id, layer, clip.skeleton, frames=clip.frames[rows], persons=persons,
        **arrays, boxes=boxes[keep], person_ids=ids, extra=extra, info=info,
    )  # fmt: skip
    return labelled, {
        "too few joints for a class": int(classless.sum()),
        "no area in the picture": int(boxless.sum()),
    }


def plan_pseudo_labels(
    release: Any, source: str, *, anchors: str | None = None, layer: str = "pseudo",
    videos: float = 0.1, frames: float = 0.1, validation: float = 0.2, widen: float = 0.1,
    seed: int = 0, limit: int | None = None,
) -> Plan:  # fmt: skip
    """Say which videos will get pseudo-labels, without making any.

    Parameters
    ----------
    release : str or path
        Gets the layer.
    source : str
        Layer whose poses are taken.
    anchors : str, optional
        Layer whose anchors name the classes; by default ``source``. Joints go by their names.
    layer : str
        Name of the new layer.
    videos, frames, validation, widen, seed
        As in `choose_videos`, `choose_frames` and `pose_boxes`.
    limit : int, optional
        Of the videos that were chosen, take only the first so many.

    Raises
    ------
    UsageError
        If the layer has no 2D poses, there are no anchors, or a share is none.
    InputError
        If the layer has no poses at all.
    """
    from posedata import staging
    from posedata.anchor_files import anchors_path
    from posedata.release import open_release

    place = locate(release)
    base = replace(open_release(staging.before_addition(place) or place), place=place)
    for name, share in (("--videos", videos), ("--frames", frames)):
        if not 0 < share <= 1:
            raise UsageError(name, found=share, expected="above 0, at most 1")
    if not 0 <= validation < 1:
        raise UsageError("--validation", found=validation, expected="0 or more, below 1")
    if not 0 <= widen <= 10:
        raise UsageError("--widen", found=widen, expected="0 to 10")
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    table = base.table(source)
    if "keypoints_2d" not in table.pose_columns:
        raise UsageError(f"the layer {source} has no 2D poses", path=place)
    of_source = _anchors_of(base, anchors or source, source)
    if not np.isfinite(of_source).any():
        raise UsageError(f"the anchors of {anchors} have no joint of the layer {source}")
    lengths = base.read_table(source, columns=["clip_id", "frames"]).to_pydict()
    ids = [i for i, f in zip(lengths["clip_id"], lengths["frames"], strict=True) if len(f)]
    if not ids:
        raise InputError(f"the layer {source} has no poses", path=place)
    train, kept = choose_videos(len(ids), videos, validation, seed)
    in_validation = {ids[number] for number in kept}
    samples = [
        Sample(ids[number], f"{base.name}/{ids[number]}", 1,
               info={"validation": ids[number] in in_validation})
        for number in sorted([*train, *kept])[:limit]
    ]  # fmt: skip
    named = ["person_ids"] if "person_ids" in table.pose_columns else []
    columns = [name for name in _TAKEN_OVER if name in table.pose_columns]
    options = {
        "source": source, "anchors": anchors or source, "layer": layer, "videos": videos,
        "frames": frames, "validation": validation, "widen": widen, "seed": seed,
        "limit": limit,
        "anchors_sha256": base.manifest.files[anchors_path(anchors or source)]["sha256"],
    }  # fmt: skip
    description = Description(
        name=base.name, title="", license="", source="", citation="", columns=(),
        layers=(
            LayerDescription(
                name=layer, skeleton=table.skeleton.name, own_skeleton=table.skeleton,
                columns=(*columns, *named, "boxes", *OWN_COLUMNS), own_columns=OWN_COLUMNS,
            ),
        ),
    )  # fmt: skip
    plan = Plan(
        converter="", raw=place, description=description, samples=samples, problems=(),
        options=options, operation="pseudo-label",
    )  # fmt: skip
    return add_to_release(plan, place, keep_sides=True)


@dataclass(frozen=True)
class LabelTask:
    """Clips whose labels become one file, as they are sent to a worker."""

    shard: Shard
    release: Location
    description: Description
    options: Mapping[str, Any]
    rows_of_base: Mapping[str, Mapping[str, Any]]


def pseudo_label(
    plan: Plan, *, resume: bool = False, num_workers: int | None = None, progress: bool = False
) -> ConvertSummary:
    """Make the layer that `plan_pseudo_labels` has planned; its bytes depend on the plan alone.

    Parameters
    ----------
    plan : Plan
        From `plan_pseudo_labels`.
    resume : bool
        Complete what an interrupted run has begun.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Raises
    ------
    OutputError
        If the layer is there already, or the release cannot be written.
    """
    from posedata import staging
    from posedata.closing import close_release, summarise_release

    if num_workers is not None:
        check_num_workers(num_workers)
    place, layer = plan.raw, plan.options["layer"]
    if resume and (done := summarise_release(place, plan)) is not None:
        return done
    records = staging.open_addition(place, plan.fingerprint(), [layer], resume=resume)
    if not place.is_shared_between_processes:
        num_workers = 1
    rows = {row["clip_id"]: row for row in plan.clips}
    tasks = [
        LabelTask(shard, place, plan.description, plan.options,
                  {sample.clip_id: rows[sample.clip_id] for sample in shard.samples})
        for shard in plan.shards
        if shard.index not in records
    ]  # fmt: skip
    for record in map_shards(
        label_shard, tasks, num_workers=num_workers, progress=progress,
        weights=[len(task.shard.samples) for task in tasks],
    ):  # fmt: skip
        records[record["shard"]] = record
    return close_release(place, plan, [records[index] for index in sorted(records)])


def label_shard(task: LabelTask) -> dict[str, Any]:
    """Label the clips of one shard; the record is that of `posedata.convert.write_shard`."""
    problems: list[Problem] = []
    table = layer_table(task.description, task.shard.layer)
    return write_shard(task.release, task.shard, table, _labelled(task, problems), problems)


def _labelled(task: LabelTask, problems: list[Problem]) -> Iterator[Clip]:
    from posedata.release import open_release

    options, base = task.options, open_release(task.release)
    anchors = _anchors_of(base, options["anchors"], options["source"])
    samples = {sample.clip_id: sample for sample in task.shard.samples}
    has = base.table(options["source"]).pose_columns
    columns = [n for n in (*_TAKEN_OVER, "person_ids", "confidence") if n in has]
    for clip in base.iter_clips(
        options["source"], columns=columns, where={"clip_id": list(samples)}
    ):
        sample = samples[clip.clip_id]
        row = task.rows_of_base[clip.clip_id]
        known = {n: v for n, v in row.items() if n != "clip_id" and v is not None}
        info = {**{n: clip.info[n] for n in row if n in clip.info}, **known}
        rng = np.random.default_rng([options["seed"], *clip.clip_id.encode()])
        labelled, left_out = label_clip(
            clip, anchors, choose_frames(clip.num_frames, options["frames"], rng),
            widen=options["widen"], layer=options["layer"],
            is_validation=bool(sample.info["validation"]), info=info,
        )  # fmt: skip
        for reason, count in left_out.items():
            if count:
                problems.append(Problem(
                    sample.path, "pseudo-label", f"poses without a label, {reason}: {count}",
                    severity="warning",
                ))  # fmt: skip
        yield labelled


def _anchors_of(base: Release, layer: str, source: str) -> np.ndarray:
    """Read a layer's anchors, in the order of another layer's joints; NaN where it has none."""
    from posedata.anchor_files import read_anchors

    anchors = read_anchors(base, layer)
    of = base.skeleton(layer).joints
    joints = base.skeleton(source).joints
    ordered = np.full((len(anchors), len(joints), 2), np.nan, np.float32)
    for number, joint in enumerate(joints):
        if joint in of:
            ordered[:, number] = anchors[:, of.index(joint)]
    return ordered
