"""Adding a layer to a release: which clips the new poses belong to, and do they fit them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import JOINT_ARRAYS, Clip
from posedata.converter import Problem, Sample
from posedata.errors import InputError
from posedata.storage import locate

if TYPE_CHECKING:
    from posedata.plan import Plan
    from posedata.release import Release

# What the poses' source may know of a clip that the release does not.
_OF_THE_VIDEO = ("num_frames", "width", "height", "fps")


def add_to_release(plan: Plan, into: Any, *, keep_sides: bool = False) -> Plan:
    """Turn the plan of a release into that of further layers of a release that is there.

    Poses are joined by clip id. Clips that the release does not have become problems.

    Parameters
    ----------
    plan : Plan
        Of the poses alone.
    into : str or path
        The release.
    keep_sides : bool
        Leave left and right as they are in mirrored clips, too; see `as_clip_of_base`.

    Raises
    ------
    ReleaseError
        If it is not a finished release.
    InputError
        If it has none of the clips.
    """
    from posedata import staging

    place = locate(into)
    base = _open(staging.before_addition(place) or place)
    rows = base.clips().to_pylist()
    known = {row["clip_id"]: row for row in rows}
    samples: list[Sample] = []
    problems = list(plan.problems)
    for sample in plan.samples:
        if sample.clip_id in known:
            samples.append(sample)
        else:
            problems.append(Problem(
                sample.path, "discover",
                f"the release {base.name} has no clip {sample.clip_id!r}",
            ))  # fmt: skip
    if not samples:
        example = next(iter(known), "none")
        raise InputError(
            f"none of these clips is in the release {base.name}", path=plan.raw,
            found=plan.samples[0].clip_id if plan.samples else "no poses",
            expected=f"names such as {example!r}",
            remedy="Name the files or folders as the release names its clips.",
        )  # fmt: skip
    of_clips = base.manifest.clips
    description = replace(
        plan.description,
        name=base.name,
        columns=tuple(of_clips.get("columns", ())),
        own_columns=of_clips.get("own_columns", {}),
        label_names=tuple(of_clips.get("label_names", ())),
        segment_names=tuple(base.manifest.segment_names),
    )
    return replace(
        plan, description=description, samples=samples, problems=problems, clips=rows,
        segments=(), base=base, options={**plan.options, "keep_sides": keep_sides},
    )  # fmt: skip


def as_clip_of_base(
    clip: Clip, sample: Sample, of_base: Mapping[str, Any], *, keep_sides: bool = False
) -> Clip:
    """Give poses the clip columns of the release that they are added to.

    Where the release says that a clip's video is mirrored, left and right are exchanged: an
    estimator names sides as the video shows them, the release as they are.

    Parameters
    ----------
    clip : Clip
        As its converter has read it.
    sample : Sample
        Where it comes from.
    of_base : mapping
        The clip's row in the release.
    keep_sides : bool
        Leave left and right as they are.

    Raises
    ------
    InputError
        If the poses cannot be of that clip: a frame beyond its end, or another picture size.
    """
    row = {name: value for name, value in of_base.items() if name != "clip_id"}
    frames = row.get("num_frames")
    if frames is not None and len(clip.frames) and clip.frames.max() >= frames:
        raise InputError(
            "poses beyond the end of the clip", path=sample.path,
            found=f"frame {clip.frames.max()}", expected=f"0 to {frames - 1}",
        )  # fmt: skip
    for name in ("width", "height"):
        theirs, ours = row.get(name), clip.info.get(name)
        if theirs is not None and ours is not None and theirs != ours:
            raise InputError(f"poses of a video of another {name}", path=sample.path, found=ours,
                             expected=theirs)  # fmt: skip
    for name in _OF_THE_VIDEO:
        if name in row and row[name] is None:
            row[name] = clip.info.get(name)
    row.setdefault("num_frames", clip.num_frames)
    if "source" in row:
        row["source"] = sample.path
    if row.get("mirrored") and not keep_sides:
        clip = swap_sides(clip)
    return replace(clip, info={name: value for name, value in row.items() if value is not None})


def swap_sides(clip: Clip) -> Clip:
    """Exchange the person's left and right: the names, not the coordinates."""
    joints = clip.skeleton.num_joints
    order = clip.skeleton.flip_order

    def swapped(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array[:, order])

    arrays: dict[str, Any] = {
        name: swapped(clip.arrays[name]) for name in JOINT_ARRAYS if name in clip.arrays
    }
    extra = {
        name: swapped(array) if array.ndim > 1 and array.shape[1] == joints else array
        for name, array in clip.extra.items()
    }
    unrounded = {
        name: kept.reordered(arrays[name].shape, 1, order) for name, kept in clip.unrounded.items()
    }
    return replace(clip, extra=extra, unrounded=unrounded, **arrays)


def _open(place: Any) -> Release:
    from posedata.release import open_release

    return open_release(place)
