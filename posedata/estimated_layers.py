"""From what experts say of a video to the clips of a release: sides, duplicates, who is who."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from posedata.addition import as_clip_of_base, swap_sides
from posedata.boxes import boxes_around
from posedata.clip import Clip
from posedata.converter import Problem
from posedata.duplicates import find_duplicates
from posedata.errors import InputError, UsageError
from posedata.estimate_setup import Session
from posedata.estimated_clip import build_clip, track_boxes
from posedata.expert_skeleton import expert_skeleton
from posedata.match_people import joint_sigmas
from posedata.shared_persons import share_persons

if TYPE_CHECKING:
    from posedata.estimate import VideoTask
    from posedata.estimate_video import Estimates
    from posedata.video import Video
    from posedata.workers.worker_protocol import PeopleInFrame


def import_libraries() -> None:
    """Import what telling people apart needs: half a second, while experts look at frames."""
    for name in ("scipy.optimize", "scipy.sparse.csgraph", "posedata.track_scan"):
        importlib.import_module(name)


def boxes_of_layer(task: VideoTask) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Tell where people are, and who, from a layer of the release.

    Returns
    -------
    boxes : dict of int to float32 array, shape (P, 4)
        By frame: the layer's boxes, or boxes around its joints.
    persons : dict of int to int32 array, shape (P,)
        By frame, who is in each box.

    Raises
    ------
    InputError
        If the layer does not have the clip.
    UsageError
        If it has no 2D poses.
    """
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


def make_clips(
    task: VideoTask, session: Session, video: Video, estimates: Estimates,
    persons_of_boxes: Mapping[int, np.ndarray] | None, problems: list[Problem],
) -> list[Clip]:  # fmt: skip
    """Make the clip of each layer, with the same person ids in all of them.

    Parameters
    ----------
    task : VideoTask
        Of which clip of which release.
    session : Session
        The experts.
    video : Video
        What they have seen.
    estimates : Estimates
        What they have found; changed on the way.
    persons_of_boxes : mapping of int to int32 array, shape (P,), optional
        By frame, who is in each box, where a layer gave the boxes.
    problems : list of Problem
        Gets what there is to say.

    Returns
    -------
    list of Clip
        One for each expert that came to the end.
    """
    told = [
        layer
        for layer in estimates.people
        if session.experts[layer].about["boxes"] != "unused"
        and session.experts[layer] is not session.detector
        and (persons_of_boxes is not None or session.detector is not None)
    ]
    for layer in told:
        estimates.people[layer] = {
            frame: _told(people, frame, estimates)
            for frame, people in estimates.people[layer].items()
        }
    persons = persons_of_boxes
    if persons is None and told:
        _leave_out_duplicates(task, session, estimates, told, problems)
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


def _leave_out_duplicates(
    task: VideoTask, session: Session, estimates: Estimates, told: Sequence[str],
    problems: list[Problem],
) -> None:  # fmt: skip
    """Leave out boxes of people whom the detector has found twice in a frame, in all layers."""
    in_order = sorted(estimates.boxes)
    counts = [len(estimates.boxes[frame]) for frame in in_order]
    if max(counts, default=0) < 2:
        return
    frames = np.repeat(np.array(in_order, np.int32), counts)
    poses, sigmas = [], []
    for layer in told:
        skeleton, order = expert_skeleton(session.experts[layer].about["skeleton"])
        people = estimates.people[layer]
        found = np.concatenate([people[frame].keypoints_2d for frame in in_order])[:, order]
        poses.append(found)
        sigmas.append(joint_sigmas(skeleton))
    duplicate = find_duplicates(
        frames, np.concatenate([estimates.boxes[frame] for frame in in_order]),
        np.concatenate([estimates.box_scores[frame] for frame in in_order]), poses, sigmas,
    )  # fmt: skip
    if not duplicate.any():
        return
    problems.append(Problem(
        task.sample.path, "estimate", "people whom the detector has found twice, the less certain "
        f"left out: {np.count_nonzero(duplicate)} times", f"frame {frames[duplicate][0]}",
        "warning",
    ))  # fmt: skip
    keep = dict(zip(in_order, np.split(~duplicate, np.cumsum(counts)[:-1]), strict=True))
    for frame, rows in keep.items():
        estimates.boxes[frame] = estimates.boxes[frame][rows]
        estimates.box_scores[frame] = estimates.box_scores[frame][rows]
        for layer in told:
            one = estimates.people[layer][frame]
            estimates.people[layer][frame] = one._replace(**{
                name: values[rows]
                for name, values in one._asdict().items()
                if values is not None
            })  # fmt: skip


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
