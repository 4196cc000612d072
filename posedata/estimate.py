"""Poses from videos: every expert's layer of a release, a video at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata import engine
from posedata.addition import as_clip_of_base, swap_sides
from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Problem, Sample
from posedata.errors import InputError, UsageError
from posedata.estimate_plan import EstimatePlan
from posedata.estimate_setup import Setup, close_sessions, session_of
from posedata.estimate_staging import stage_video, staged_clip, staged_videos
from posedata.layer_table import LayerTable
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.estimate_video import Estimates
    from posedata.video import Video
    from posedata.workers.worker_protocol import PeopleInFrame


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
        clips = _clips(task, video, estimates, persons_of_boxes)
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
        boxes, persons = _boxes_of_layer(task)
    part = task.sample.size / max(1, video.num_frames)
    estimates = estimate_video(
        session_of(task.setup), video, boxes, lambda n: engine.report(part * n, n)
    )
    if not estimates.num_frames:
        raise InputError("no frame of the video can be decoded", path=task.sample.path,
                         found=estimates.damages[0].reason if estimates.damages else None)  # fmt: skip
    for damage in estimates.damages:
        last = (
            "the end" if damage.num_frames is None else damage.first_frame + damage.num_frames - 1
        )
        problems.append(Problem(
            task.sample.path, "decode", f"frames that cannot be decoded: {damage.reason}",
            f"frame {damage.first_frame} to {last}",
        ))  # fmt: skip
    end = None if task.row_of_base is None else task.row_of_base.get("num_frames")
    if end is not None and video.num_frames > end:
        problems.append(Problem(
            task.sample.path, "estimate", "the video is longer than the clip, whose poses end: "
            f"found {video.num_frames} frames, expected {end}", f"frame {end} to the end",
        ))  # fmt: skip
        estimates.people = {
            layer: {frame: found for frame, found in people.items() if frame < end}
            for layer, people in estimates.people.items()
        }
    return video, estimates, persons


def _boxes_of_layer(task: VideoTask) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Where people are, and who, by frame, from a layer of the release."""
    from posedata.boxes import boxes_around

    clip = _clips_of_base(task, [task.setup.boxes])[0]
    around = clip.boxes
    if around is None and clip.keypoints_2d is not None:
        missing = ~np.isfinite(clip.keypoints_2d).all(-1)
        around = np.full((len(clip.frames), 4), np.nan, np.float32)
        there = ~missing.all(1)
        around[there] = boxes_around(clip.keypoints_2d[there], missing[there])
    if around is None:
        raise UsageError(f"--boxes {task.setup.boxes}: the layer has neither boxes nor "
                         "keypoints_2d")  # fmt: skip
    usable = np.isfinite(around).all(1)
    boxes, persons = {}, {}
    for frame in np.unique(clip.frames[usable]).tolist():
        rows = usable & (clip.frames == frame)
        boxes[frame], persons[frame] = around[rows], clip.persons[rows]
    return boxes, persons


def _clips(
    task: VideoTask, video: Video, estimates: Estimates,
    persons_of_boxes: dict[int, np.ndarray] | None,
) -> list[Clip]:  # fmt: skip
    from posedata.estimated_clip import build_clip, track_boxes
    from posedata.expert_skeleton import expert_skeleton
    from posedata.shared_persons import share_persons

    session = session_of(task.setup)
    told = [
        layer
        for layer in estimates.people
        if session.experts[layer].about["boxes"] != "unused"
        and session.experts[layer] is not session.detector
        and (persons_of_boxes is not None or session.detector is not None)
    ]
    persons = persons_of_boxes
    if persons is None and told:
        persons = track_boxes(estimates.boxes)
    nobody = np.empty(0, np.int32)
    info = {"num_frames": video.num_frames, "width": video.width, "height": video.height,
            "source": task.sample.path}  # fmt: skip
    if video.fps is not None:
        info["fps"] = video.fps
    clips = []
    for layer, people in estimates.people.items():
        about, table = session.experts[layer].about, task.tables[layer]
        _, order = expert_skeleton(about["skeleton"])
        of_frames = None
        if layer in told and persons is not None:
            of_frames = {frame: persons.get(frame, nobody) for frame in people}
            people = {frame: _told(one, frame, estimates) for frame, one in people.items()}
        clip = build_clip(
            task.sample.clip_id, layer, table.skeleton, order, people, info, of_frames,
            has_3d=about["has_3d"],
        )  # fmt: skip
        clips.append(_of_release(task, clip))
    if persons_of_boxes is not None:
        base = _clips_of_base(task, [task.setup.boxes])
        rest = share_persons([c for c in clips if c.layer not in told],
                             [*base, *(c for c in clips if c.layer in told)])  # fmt: skip
        return [c for c in clips if c.layer in told] + rest
    references = [] if task.row_of_base is None else _clips_of_base(task, None)
    return share_persons(clips, references, told)


def _told(people: PeopleInFrame, frame: int, estimates: Estimates) -> PeopleInFrame:
    """Give the people of a frame the scores of the detector that told where they are."""
    unknown = np.full(len(people.boxes), np.nan, np.float32)
    return people._replace(box_scores=estimates.box_scores.get(frame, unknown))


def _of_release(task: VideoTask, clip: Clip) -> Clip:
    """Give a clip what the release knows of it; its sides agree with the other layers."""
    if task.row_of_base is not None:
        return as_clip_of_base(
            clip, task.sample, task.row_of_base, keep_sides=task.setup.keep_sides
        )
    if task.mirrored:
        clip = clip if task.setup.keep_sides else swap_sides(clip)
        clip = replace(clip, info={**clip.info, "mirrored": True})
    return clip


def _clips_of_base(task: VideoTask, layers: Iterable[str] | None) -> list[Clip]:
    """Give the clip in layers that the release has already (None: in all with 2D keypoints)."""
    from posedata.release import open_release

    base = open_release(task.out)
    if layers is None:
        layers = [
            layer for layer in base.layers if "keypoints_2d" in base.table(layer).pose_columns
        ]
    clips = []
    for layer in layers:
        try:
            clips.append(base.clip(task.sample.clip_id, layer))
        except UsageError as error:
            if layer == task.setup.boxes:
                raise InputError(f"the layer {layer} does not have this clip, so nobody tells "
                                 "where people are", path=task.sample.path) from error  # fmt: skip
    return clips


def _staged(
    out: Location, table: LayerTable, videos: Iterable[Mapping[str, Any]]
) -> Iterator[Clip]:
    for video in videos:
        if table.layer in video["layers"]:
            yield staged_clip(out, video["video"], table)
