"""Poses from videos: every expert's layer of a release, a video at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata import engine
from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Problem, Sample
from posedata.errors import InputError
from posedata.estimate_plan import EstimatePlan
from posedata.estimate_setup import Setup, close_sessions, session_of
from posedata.estimate_staging import stage_video, staged_clip, staged_videos
from posedata.estimated_layers import boxes_of_layer, import_libraries, make_clips
from posedata.layer_table import LayerTable
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.estimate_video import Estimates
    from posedata.video import Damage, Video


@dataclass(frozen=True)
class EstimateSummary:
    """What an estimation did.

    Attributes
    ----------
    release : ConvertSummary
        What it has added: clips, poses, rejects.
    videos, num_frames : int
        What was estimated in this run; less than all, where it went on with an earlier one.
    seconds : mapping of str to float
        What each expert has taken for those frames, inside its library.
    """

    release: ConvertSummary
    videos: int
    num_frames: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class VideoTask:
    """One video of an estimation, as it is sent to a worker."""

    index: int
    sample: Sample
    place: str
    setup: Setup
    tables: Mapping[str, LayerTable]
    out: Location
    row_of_base: Mapping[str, Any] | None
    mirrored: bool


def estimate(
    estimation: EstimatePlan,
    out: Any,
    *,
    resume: bool = False,
    overwrite: bool = False,
    num_workers: int = 1,
    progress: bool = False,
) -> EstimateSummary:
    """Make layers of poses, each by an expert, in a release.

    The bytes of the release depend on the plan alone: not on the number of workers, nor on how
    often the run was interrupted and resumed, as far as the experts give the same poses twice.

    Parameters
    ----------
    estimation : EstimatePlan
        From `posedata.estimate_plan.plan_estimate`.
    out : str or path
        Directory or URL of the release.
    resume, overwrite : bool
        Complete what an interrupted run has begun, or replace a release of estimates.
    num_workers : int
        Videos at a time, each with experts of its own. Most experts use all cores by themselves.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    EstimateSummary

    Raises
    ------
    OutputError
        If the output is taken or cannot be written. What is done stays, for ``resume``.
    """
    from posedata import staging
    from posedata.closing import close_release, summarise_release

    engine.check_num_workers(num_workers)
    plan, place = estimation.plan, locate(out)
    try:
        if resume and not overwrite and (done := summarise_release(place, plan)) is not None:
            return EstimateSummary(done, 0, 0, {})
        if plan.base is None:
            records = staging.open_staging(
                place, plan.fingerprint(), resume=resume, overwrite=overwrite
            )
        else:
            layers = [layer.name for layer in plan.description.layers]
            records = staging.open_addition(place, plan.fingerprint(), layers, resume=resume)
        if not place.is_shared_between_processes:
            num_workers = 1
        if num_workers > 1:
            close_sessions()  # the workers have their own
        else:
            threading.Thread(target=import_libraries, daemon=True).start()
        videos = staged_videos(place)
        tasks = _tasks(estimation, place, set(videos))
        new = []
        for record in engine.map_shards(
            estimate_task, tasks, num_workers=num_workers, unit="videos", counting="frames",
            weights=[max(1, task.sample.size) for task in tasks], progress=progress,
        ):  # fmt: skip
            videos[record["video"]] = record
            new.append(record)
    finally:
        close_sessions()
    index_of = {sample.clip_id: index for index, sample in enumerate(plan.samples)}
    for shard in plan.shards:
        if shard.index not in records:
            table = layer_table(plan.description, shard.layer)
            of_shard = [videos[index_of[sample.clip_id]] for sample in shard.samples]
            problems = [Problem(**p) for video in of_shard for p in video["problems"][table.layer]]
            records[shard.index] = write_shard(
                place, shard, table, _staged(place, table, of_shard), problems
            )
    release = close_release(place, plan, [records[index] for index in sorted(records)])
    seconds: dict[str, float] = {}
    for record in new:
        for layer, taken in record["seconds"].items():
            seconds[layer] = seconds.get(layer, 0.0) + taken
    return EstimateSummary(release, len(new), sum(r["num_frames"] for r in new), seconds)


def estimate_task(task: VideoTask) -> dict[str, Any]:
    """Have all experts look at one video, and keep what they have found.

    Returns
    -------
    dict
        The video's record; see `posedata.estimate_staging.stage_video`.
    """
    session = session_of(task.setup)
    problems: dict[str, list[Problem]] = {layer: [] for layer in task.tables}
    of_video = next(iter(problems.values()))  # what no single expert is to blame for: told once
    clips: list[Clip] = []
    num_frames = 0
    try:
        video, estimates, persons_of_boxes = _estimate(task, of_video)
        num_frames = estimates.num_frames
        for layer, error in estimates.errors.items():
            problems[layer].append(Problem(task.sample.path, "estimate", error.reason))
        clips = make_clips(task, session, video, estimates, persons_of_boxes, of_video)
    except InputError as error:
        of_video.append(Problem(task.sample.path, "estimate", error.reason, error.position or ""))
    seconds = {clip.layer: session.experts[clip.layer].seconds for clip in clips}
    return stage_video(task.out, task.index, clips, task.tables, problems, seconds, num_frames)


def _tasks(estimation: EstimatePlan, out: Location, done: set[int]) -> list[VideoTask]:
    plan = estimation.plan
    tables = {
        layer.name: layer_table(plan.description, layer.name) for layer in plan.description.layers
    }
    rows = {row["clip_id"]: row for row in plan.clips} if plan.base is not None else None
    return [
        VideoTask(
            index, sample, estimation.places[sample.clip_id], estimation.setup, tables, out,
            None if rows is None else rows[sample.clip_id], estimation.mirrored,
        )
        for index, sample in enumerate(plan.samples)
        if index not in done
    ]  # fmt: skip


def _estimate(
    task: VideoTask, problems: list[Problem]
) -> tuple[Video, Estimates, dict[int, np.ndarray] | None]:
    """Run the experts; also tell the person of each box, where a layer gave the boxes."""
    from posedata.estimate_video import estimate_video
    from posedata.video import probe_video

    video = probe_video(task.place)
    boxes = persons = None
    if task.setup.boxes:
        boxes, persons = boxes_of_layer(task)
    part = task.sample.size / max(1, video.num_frames)
    estimates = estimate_video(
        session_of(task.setup), video, boxes, lambda n: engine.report(part * n, n)
    )
    if not estimates.num_frames:
        raise InputError("no frame of the video can be decoded", path=task.sample.path,
                         found=next((d.reason for d in estimates.damages), None))  # fmt: skip
    for damage in estimates.damages:
        problems.append(Problem(task.sample.path, "decode", damage.reason, _position(damage)))
    end = None if task.row_of_base is None else task.row_of_base.get("num_frames")
    if end is not None and video.num_frames > end:
        problems.append(Problem(
            task.sample.path, "estimate", "the video is longer than the clip, whose poses end: "
            f"found {video.num_frames} frames, expected {end}", f"frames {end} to the end",
        ))  # fmt: skip
        estimates.people = {
            layer: {frame: found for frame, found in people.items() if frame < end}
            for layer, people in estimates.people.items()
        }
    return video, estimates, persons


def _position(damage: Damage) -> str:
    first = damage.first_frame
    if damage.num_frames is None:
        return f"frames {first} to the end"
    last = first + damage.num_frames - 1
    return f"frame {first}" if first == last else f"frames {first} to {last}"


def _staged(
    out: Location, table: LayerTable, videos: Iterable[Mapping[str, Any]]
) -> Iterator[Clip]:
    for video in videos:
        if table.layer in video["layers"]:
            yield staged_clip(out, video["video"], table)
