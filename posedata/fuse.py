"""Fusing the experts of a release: one more layer, clip by clip, person by person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.addition import add_to_release, swap_sides
from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Description, LayerDescription, Problem, Sample
from posedata.engine import check_num_workers, map_shards
from posedata.errors import InputError, UsageError
from posedata.fusion_methods import Method, fusion_method
from posedata.plan import Plan, Shard
from posedata.remap import remap
from posedata.skeleton import Skeleton, load_skeleton
from posedata.ssta import GAMMA
from posedata.storage import Location, locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.release import Release


@dataclass(frozen=True)
class FusionTask:
    """Clips of a fusion that become one file, as they are sent to a worker."""

    shard: Shard
    out: Location
    description: Description
    experts: tuple[str, ...]
    method: str
    gamma: float
    prefer: str
    rows_of_base: Mapping[str, Mapping[str, Any]]


def plan_fusion(
    release: Any,
    experts: Sequence[str],
    *,
    method: str = "ssta",
    layer: str | None = None,
    joints: str = "main13",
    gamma: float = GAMMA,
    prefer: str = "",
    limit: int | None = None,
) -> Plan:
    """Say what a fusion will do, without fusing anything.

    Parameters
    ----------
    release : str or path
        Gets the layer.
    experts : sequence of str
        Layers, two or more, with 2D poses and the same person ids.
    method : str
        One of `posedata.fusion_methods.METHODS`.
    layer : str, optional
        Name of the new layer; by default the method's.
    joints : str
        Joint set in which they are fused; see `posedata.remap`.
    gamma : float
        Poses with less confidence are discarded.
    prefer : str
        Layer whose joints take precedence where it has them; empty for none.
    limit : int, optional
        Take only the first so many clips.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If a layer is not there or has no 2D poses, fewer than two are named, or there is no such
        method or joint set.
    """
    from posedata import staging
    from posedata.release import open_release

    place = locate(release)
    base = replace(open_release(staging.before_addition(place) or place), place=place)
    chosen = fusion_method(method)
    if len(set(experts)) < 2 or len(set(experts)) != len(experts):
        raise UsageError("--experts", found=", ".join(experts), expected="two layers or more, "
                         "each once")  # fmt: skip
    for name in (*experts, *([prefer] if prefer else [])):
        if "keypoints_2d" not in base.table(name).pose_columns:
            raise UsageError(f"the layer {name} has no 2D poses to fuse")
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    skeleton = load_skeleton(joints)
    ids: set[str] = set()
    for name in experts:
        ids.update(base.read_table(name, columns=["clip_id"])["clip_id"].to_pylist())
    samples = [Sample(clip_id, f"{base.name}/{clip_id}", 1) for clip_id in sorted(ids)[:limit]]
    if not samples:
        raise InputError("no clips to fuse", path=place)
    name = layer or method
    description = Description(
        name=base.name, title="", license="", source="", citation="",
        layers=(
            LayerDescription(
                name=name,
                skeleton=skeleton.name,
                columns=("keypoints_2d", "scores", "confidence", *chosen.own_columns,
                         *(["preferred"] if prefer else [])),
                own_columns={**_CONFIDENCE, **chosen.own_columns, **(_PREFERRED if prefer else {})},
                made_by={"method": method, "experts": list(experts)},
            ),
        ),
        columns=(),
    )  # fmt: skip
    plan = Plan(
        converter="", raw=place, description=description, samples=samples, problems=(),
        options={"experts": list(experts), "method": method, "joints": skeleton.name,
                 "gamma": gamma, "prefer": prefer, "layer": name, "limit": limit},
        operation="fuse",
    )  # fmt: skip
    return add_to_release(plan, place, keep_sides=True)


def fuse(
    plan: Plan, *, resume: bool = False, num_workers: int | None = None, progress: bool = False
) -> ConvertSummary:
    """Make the layer that `plan_fusion` has planned.

    The bytes depend on the plan alone: not on the number of workers, nor on interruptions.

    Parameters
    ----------
    plan : Plan
        From `plan_fusion`.
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
    place, options = plan.raw, plan.options
    if resume and (done := summarise_release(place, plan)) is not None:
        return done
    records = staging.open_addition(place, plan.fingerprint(), [options["layer"]], resume=resume)
    if not place.is_shared_between_processes:
        num_workers = 1
    known = {row["clip_id"]: row for row in plan.clips}
    tasks = [
        FusionTask(
            shard, place, plan.description, tuple(options["experts"]), options["method"],
            options["gamma"], options["prefer"],
            {sample.clip_id: known[sample.clip_id] for sample in shard.samples},
        )
        for shard in plan.shards
        if shard.index not in records
    ]  # fmt: skip
    for record in map_shards(
        fuse_shard, tasks, num_workers=num_workers, progress=progress,
        weights=[len(task.shard.samples) for task in tasks],
    ):  # fmt: skip
        records[record["shard"]] = record
    return close_release(place, plan, [records[index] for index in sorted(records)])


def fuse_shard(task: FusionTask) -> dict[str, Any]:
    """Fuse the clips of one shard and write its part of the layer.

    Returns
    -------
    dict
        The shard's record; see `posedata.convert.write_shard`.
    """
    problems: list[Problem] = []
    table = layer_table(task.description, task.shard.layer)
    return write_shard(task.out, task.shard, table, _fused(task, problems), problems)


def _fused(task: FusionTask, problems: list[Problem]) -> Iterator[Clip]:
    from posedata.aligned_clips import aligned_clips
    from posedata.release import open_release

    base = open_release(task.out)
    (layer,) = task.description.layers
    skeleton = load_skeleton(layer.skeleton)
    ids = [sample.clip_id for sample in task.shard.samples]
    names = [*task.experts, *([task.prefer] if task.prefer else [])]
    as_seen = _with_sides_as_seen(base, names)
    streams = aligned_clips(base, list(dict.fromkeys(names)), ids, ["keypoints_2d", "scores"])
    for sample, found in zip(task.shard.samples, streams, strict=True):
        row = task.rows_of_base[sample.clip_id]
        if row.get("mirrored"):
            found = {name: swap_sides(clip) if name in as_seen else clip
                     for name, clip in found.items()}  # fmt: skip
        experts = [found.get(name) for name in task.experts]
        there = next(clip for clip in experts if clip is not None)
        info = {name: value for name, value in row.items()
                if name != "clip_id" and value is not None}  # fmt: skip
        info.setdefault("num_frames", there.num_frames)
        prefer = None
        if task.prefer:  # a clip that the layer does not have is as one in which it has nobody
            prefer = found.get(task.prefer) or _nobody(there)
        clip, discarded = fuse_clip(
            experts, skeleton, fusion_method(task.method), layer.name, info, task.gamma, prefer
        )
        if discarded:
            problems.append(Problem(
                sample.path, "fuse", f"poses on which the experts agree less than gamma "
                f"{task.gamma:g}, discarded: {discarded}", severity="warning",
            ))  # fmt: skip
        yield clip


def _with_sides_as_seen(base: Release, names: Sequence[str]) -> set[str]:
    """Name the layers that ``--keep-sides`` has left as mirrored videos show people."""
    made_by = {name: base.manifest.layers[name].get("made_by", {}) for name in names}
    return {name for name, made in made_by.items() if made.get("operation") != "fuse"
            and made.get("options", {}).get("keep_sides")}  # fmt: skip


def _nobody(clip: Clip) -> Clip:
    none: dict[str, Any] = {name: array[:0] for name, array in clip.arrays.items()}
    of_own = {name: none.pop(name) for name in clip.extra}
    return replace(clip, frames=clip.frames[:0], persons=clip.persons[:0], person_ids=(),
                   unrounded={}, extra=of_own, **none)  # fmt: skip


def fuse_clip(
    experts: Sequence[Clip | None], skeleton: Skeleton, method: Method, layer: str,
    info: Mapping[str, Any], gamma: float = GAMMA, prefer: Clip | None = None,
) -> tuple[Clip, int]:  # fmt: skip
    """Fuse what several layers have of one clip.

    Parameters
    ----------
    experts : sequence of Clip or None
        Of one clip, E of them in the order that breaks ties; None where an expert does not have
        it. Persons of the same number are the same person.
    skeleton : Skeleton
        The V joints of the result; each expert's poses are remapped to them.
    method : Method
        How.
    layer : str
        Name of the result.
    info : mapping
        Its clip columns.
    gamma : float
        Poses with less confidence are discarded.
    prefer : Clip, optional
        Whose joints take precedence where it has them.

    Returns
    -------
    clip : Clip
        A row for each person in each frame in which any expert has a joint of them.
    discarded : int
        Poses below ``gamma``.
    """
    there = [clip for clip in experts if clip is not None]
    remapped = [None if clip is None else _remapped(clip, skeleton) for clip in experts]
    preferred = None if prefer is None else (prefer, *_remapped(prefer, skeleton))
    rows = {name: [nothing] for name, nothing in _no_rows(method, skeleton, prefer).items()}
    discarded = 0
    for person in sorted({int(p) for clip in there for p in np.unique(clip.persons)}):
        frames = np.concatenate([clip.frames[clip.persons == person] for clip in there])
        start, end = int(frames.min()), int(frames.max()) + 1
        shape = (len(experts), end - start, skeleton.num_joints)
        proposals, scores = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
        for expert, (clip, poses) in enumerate(zip(experts, remapped, strict=True)):
            if clip is not None and poses is not None:
                mine = clip.persons == person
                at = clip.frames[mine] - start
                proposals[expert, at], scores[expert, at] = poses[0][mine], poses[1][mine]
        track = method.fuse(proposals, scores, skeleton)
        found = np.isfinite(track.keypoints).all(-1).any(-1)
        kept = found & ~(track.confidence < np.float32(gamma))
        discarded += int((found & ~kept).sum())
        at = np.flatnonzero(kept)
        columns = {
            "frames": (at + start).astype(np.int32),
            "persons": np.full(len(at), person, np.int32),
            "keypoints_2d": track.keypoints[at],
            "scores": track.scores[at],
            "confidence": track.confidence[at],
            **{name: values[at] for name, values in track.extra.items()},
        }
        if preferred is not None:
            _take_over(columns, person, *preferred)
        for name, values in columns.items():
            rows[name].append(values)
    arrays: dict[str, Any] = {name: np.concatenate(values) for name, values in rows.items()}
    standard = {name: arrays.pop(name) for name in ("frames", "persons", "keypoints_2d", "scores")}
    return Clip(there[0].clip_id, layer, skeleton, **standard, extra=arrays, info=info), discarded


def _no_rows(method: Method, skeleton: Skeleton, prefer: Clip | None) -> dict[str, np.ndarray]:
    """The columns of a clip without poses: their dtypes and shapes."""
    joints = skeleton.num_joints
    own = {**_CONFIDENCE, **method.own_columns, **(_PREFERRED if prefer is not None else {})}
    return {
        "frames": np.empty(0, np.int32),
        "persons": np.empty(0, np.int32),
        "keypoints_2d": np.empty((0, joints, 2), np.float32),
        "scores": np.empty((0, joints), np.float32),
        **{
            name: np.empty(
                (0, *(joints if size == "V" else size for size in column["shape"])),
                column["type"],
            )
            for name, column in own.items()
        },
    }


def _remapped(clip: Clip, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and scores of a clip in another joint set; scores 1 where the layer has none."""
    keypoints, scores = clip.keypoints_2d, clip.scores
    assert keypoints is not None
    if scores is None:
        scores = np.where(np.isfinite(keypoints).all(-1), np.float32(1), np.float32(0))
    result = remap(keypoints, clip.skeleton, skeleton, scores)
    assert result.scores is not None
    return result.keypoints, result.scores


def _take_over(
    columns: dict[str, np.ndarray], person: int, prefer: Clip, keypoints: np.ndarray,
    scores: np.ndarray,
) -> None:  # fmt: skip
    """Put the joints that the preferred layer has in place of the fused ones."""
    mine = prefer.persons == person
    row_of = dict(zip(prefer.frames[mine].tolist(), np.flatnonzero(mine).tolist(), strict=True))
    frames = columns["frames"].tolist()
    columns["preferred"] = np.zeros(columns["scores"].shape, np.uint8)
    for row, frame in enumerate(frames):
        if frame in row_of:
            known = np.isfinite(keypoints[row_of[frame]]).all(-1)
            columns["keypoints_2d"][row, known] = keypoints[row_of[frame], known]
            columns["scores"][row, known] = scores[row_of[frame], known]
            columns["preferred"][row, known] = 1


_CONFIDENCE: Mapping[str, Mapping[str, Any]] = {
    "confidence": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "How far the experts agree, 0 to 1: C of SST-A (eq. 4); NaN where unknown.",
    }
}  # fmt: skip
_PREFERRED: Mapping[str, Mapping[str, Any]] = {
    "preferred": {
        "type": "uint8", "per": "pose", "shape": ["V"],
        "about": "1 where the joint is that of the layer which takes precedence.",
    }
}  # fmt: skip
