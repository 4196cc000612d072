"""Heatmap volumes of a release on disk, in shards that any tool reads.

The volumes are those of PoseConv3D (Duan et al., "Revisiting Skeleton-based Action Recognition",
CVPR 2022), in the order of its code: sample frames, crop around the people of those frames, resize,
draw. `posedata.heatmap_plan` says which, and `posedata.heatmap_files` has the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError
from posedata.heatmap_plan import VolumeOptions, VolumePlan, check_bytes, plan_volumes
from posedata.heatmaps import heatmaps, scale_keypoints
from posedata.sample import sample_of
from posedata.skeleton import Skeleton
from posedata.storage import Location, locate
from posedata.subject_crop import move_to_box, subject_crop_box
from posedata.transforms.sampling import UniformSampling, take_steps

__all__ = ["Volume", "VolumeOptions", "clip_volumes", "make_volumes", "plan_volumes"]


class Volume(NamedTuple):
    """One heatmap volume, and what it shows.

    Attributes
    ----------
    maps : shape (K, T, H, W)
        See `posedata.heatmaps.heatmaps`.
    frames : int64, shape (T,)
        Frame of the video that each step is from.
    people : int
        How many have a joint in these frames; 0: the maps are 0.
    box : (int, int, int, int)
        x0, y0, x1, y1: the part of the picture, in pixels, that became H x W.
    """

    maps: np.ndarray
    frames: np.ndarray
    people: int
    box: tuple[int, int, int, int]


def clip_volumes(
    clip: Clip, options: VolumeOptions, limbs: tuple[tuple[int, int], ...]
) -> list[Volume]:
    """Draw the volumes of one clip.

    Parameters
    ----------
    clip : Clip
        With 2D poses, ``width`` and ``height``.
    options : VolumeOptions
        How.
    limbs : sequence of (int, int)
        Joint indices; see `VolumePlan.limbs`.

    Returns
    -------
    list of Volume
        ``options.clips`` of them.

    Raises
    ------
    InputError
        If the clip does not say how large its pictures are, or a volume would be too large.
    """
    width, height = clip.info.get("width"), clip.info.get("height")
    if not width or not height:
        raise InputError("the size of the pictures is not known",
                         found=f"width {width}, height {height}")  # fmt: skip
    joints = options.kind != "limb"
    steps = _steps(clip, options)
    channels = clip.skeleton.num_joints * joints + len(limbs)
    check_bytes(channels, len(steps) // options.clips, options, InputError)
    sample = take_steps(sample_of(clip, "keypoints_2d", options.persons), steps)
    if options.crop:
        box = subject_crop_box(sample.keypoints, width, height, ratio=1.0)
        keypoints = move_to_box(sample.keypoints, box, options.size)
    else:
        box = (0, 0, width, height)
        keypoints = scale_keypoints(sample.keypoints, (height, width), options.size)
    drawn = []
    for n in range(options.clips):
        part = slice(n * len(steps) // options.clips, (n + 1) * len(steps) // options.clips)
        poses, scores = keypoints[:, part], sample.scores[:, part]
        maps = heatmaps(
            poses, scores, size=options.size, sigma=options.sigma, joints=joints, limbs=limbs,
            people=options.merge, dtype=options.dtype,
        )  # fmt: skip
        people = int(np.isfinite(poses).all(-1).any((1, 2)).sum())
        drawn.append(Volume(maps, sample.frames[part], people, box))
    return drawn


def _steps(clip: Clip, options: VolumeOptions) -> np.ndarray:
    """Frames of all volumes of a clip, one volume after the other."""
    if options.frames is None:
        return np.arange(clip.num_frames)
    uniform = UniformSampling(options.frames, options.clips, test=options.sampling == "test")
    # of the clip alone, so that neither shards nor --limit change it
    rng = np.random.default_rng([options.seed, *clip.clip_id.encode()])
    return uniform.steps(clip.num_frames, rng)


@dataclass(frozen=True)
class ShardTask:
    """Clips whose volumes become one file, as they are sent to a worker."""

    part: int
    clip_ids: tuple[str, ...]
    release: Location
    layer: str
    skeleton: Skeleton
    limbs: tuple[tuple[int, int], ...]
    options: VolumeOptions
    staging: Location


def make_volumes(
    plan: VolumePlan, out: Any, *, resume: bool = False, overwrite: bool = False,
    num_workers: int | None = None, progress: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Draw the volumes that `plan_volumes` has planned; their bytes depend on the plan alone.

    Parameters
    ----------
    plan : VolumePlan
        From `plan_volumes`.
    out : str or path
        The directory or URL.
    resume, overwrite : bool
        Complete, or replace, what is there already. Without either it is never touched.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    dict
        The content of ``heatmaps.json``; see `posedata.heatmap_files`.

    Raises
    ------
    InputError
        If nothing could be drawn: then nothing is written.
    OutputError
        If the output is taken or cannot be written. What is done stays, for ``resume``.
    """
    from posedata import heatmap_files as files

    if num_workers is not None:
        check_num_workers(num_workers)
    place, release = locate(out), plan.selection.release
    if resume and not overwrite and (finished := files.finished(place, plan)) is not None:
        return finished
    staging, records = files.open_volumes(place, plan, resume=resume, overwrite=overwrite)
    tasks = [
        ShardTask(part, ids, release.place, plan.selection.layer, plan.selection.skeleton,
                  plan.limbs, plan.options, staging)
        for part, ids in enumerate(plan.shards) if part not in records
    ]  # fmt: skip
    if not (place.is_shared_between_processes and release.place.is_shared_between_processes):
        num_workers = 1
    for record in map_shards(
        draw_shard, tasks, num_workers=num_workers, progress=progress,
        weights=[len(task.clip_ids) for task in tasks],
    ):  # fmt: skip
        records[record["part"]] = record
    return files.close_volumes(place, staging, plan, [records[part] for part in sorted(records)])


def draw_shard(task: ShardTask) -> dict[str, Any]:
    """Draw the clips of one shard into a file, and note that it is there.

    Returns
    -------
    dict
        The shard's record; see `posedata.heatmap_files.write_volumes`.
    """
    from posedata.heatmap_files import write_volumes

    return write_volumes(task.staging, task.part, _drawn(task))


def _drawn(task: ShardTask) -> Iterator[tuple[Clip, list[Volume] | InputError]]:
    """Yield each clip with its volumes, or with what is wrong with it."""
    from posedata.export import remap_clip
    from posedata.release import open_release

    release = open_release(task.release)
    table = release.table(task.layer)
    columns = [name for name in ("keypoints_2d", "scores") if name in table.pose_columns]
    for clip in release.iter_clips(
        task.layer, columns=columns, where={"clip_id": list(task.clip_ids)}
    ):
        if task.skeleton != table.skeleton:
            clip = remap_clip(clip, task.skeleton)
        try:
            yield clip, clip_volumes(clip, task.options, task.limbs)
        except InputError as error:
            yield clip, error
