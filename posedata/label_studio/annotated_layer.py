"""Annotated frames become a layer of the release: those frames alone, nothing in between."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.addition import add_to_release
from posedata.clip import Clip
from posedata.convert import layer_table, write_shard
from posedata.converter import Description, LayerDescription, Problem, Sample
from posedata.errors import InputError, UsageError
from posedata.label_studio.annotated_frame import AnnotatedFrame
from posedata.plan import Plan
from posedata.storage import locate

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.skeleton import Skeleton

#: Columns of the layer that the format does not know.
OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "touched": {
        "type": "uint8", "per": "pose", "shape": ["V"],
        "about": "1 where somebody placed or moved the joint; 0 where the estimate stands.",
    },
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class FinishedFrame:
    """A frame as one of its annotators has it.

    Attributes
    ----------
    poses : AnnotatedFrame
        The people.
    named : frozenset of int
        New people whose number somebody has written down: the same number is the same person in
        all frames of a clip. Other new people are themselves in each frame.
    task : int
        Number of the task, for what there is to say of it.
    """

    poses: AnnotatedFrame
    named: frozenset[int]
    task: int


def plan_annotated_layer(
    release: Any, source: str, frames: Sequence[FinishedFrame], *, layer: str = "human",
    options: Mapping[str, Any] | None = None, made_by: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """Say which clips get annotated poses, without writing any.

    Parameters
    ----------
    release : str or path
        Gets the layer.
    source : str
        Layer whose poses were corrected.
    frames : sequence of FinishedFrame
        Each frame of a clip once.
    layer : str
        Name of the new layer.
    options : mapping, optional
        What was chosen, for the provenance.
    made_by : mapping, optional
        What else the provenance says.

    Raises
    ------
    InputError
        If there are no frames, or none of a clip of the release.
    UsageError
        If two are the same frame of a clip.
    """
    from posedata import staging
    from posedata.release import open_release

    place = locate(release)
    base = replace(open_release(staging.before_addition(place) or place), place=place)
    if not frames:
        raise InputError("no annotated frames", path=place,
                         remedy="Tasks count when somebody has submitted them.")  # fmt: skip
    table = base.table(source)
    by_clip = frames_by_clip(frames)
    samples = [
        Sample(clip_id, f"{base.name}/{clip_id}", len(some), info={"content": _digest(some)})
        for clip_id, some in sorted(by_clip.items())
    ]
    empty = {
        clip_id: nobody
        for clip_id, some in sorted(by_clip.items())
        if (nobody := [one.poses.frame for one in some if not _has_people(one.poses)])
    }
    has_ids = "person_ids" in table.pose_columns
    has_boxes = _has_boxes(frames)
    description = Description(
        name=base.name, title="", license="", source="", citation="", columns=(),
        layers=(
            LayerDescription(
                name=layer, skeleton=table.skeleton.name, own_skeleton=table.skeleton,
                columns=("keypoints_2d", "visibility", *(["boxes"] if has_boxes else []),
                         *(["person_ids"] if has_ids else []), *OWN_COLUMNS),
                own_columns=OWN_COLUMNS,
                made_by={"source": source, "annotated_frames": len(frames),
                         "frames_without_people": empty, **(made_by or {})},
            ),
        ),
    )  # fmt: skip
    plan = Plan(
        converter="", raw=place, description=description, samples=samples, problems=(),
        options={"layer": layer, "source": source, **(options or {})}, operation="annotate",
    )  # fmt: skip
    # Annotators correct what the source calls left and right, so that the sides are its own.
    made = base.manifest.layers[source].get("made_by", {})
    as_seen = made.get("operation") != "fuse" and made.get("options", {}).get("keep_sides", False)
    return add_to_release(plan, place, keep_sides=bool(as_seen))


def write_annotated_layer(
    plan: Plan, frames: Sequence[FinishedFrame], *, resume: bool = False
) -> ConvertSummary:
    """Make the layer that `plan_annotated_layer` has planned.

    Parameters
    ----------
    plan : Plan
        The plan.
    frames : sequence of FinishedFrame
        Those that were planned.
    resume : bool
        Complete what an interrupted run has begun.

    Raises
    ------
    OutputError
        If the layer is there already, or the release cannot be written.
    """
    from posedata import staging
    from posedata.closing import close_release, summarise_release

    place, layer = plan.raw, plan.options["layer"]
    if resume and (done := summarise_release(place, plan)) is not None:
        return done
    records = staging.open_addition(place, plan.fingerprint(), [layer], resume=resume)
    by_clip, table = frames_by_clip(frames), layer_table(plan.description, layer)
    rows = {row["clip_id"]: row for row in plan.clips}
    for shard in plan.shards:
        if shard.index in records:
            continue
        problems: list[Problem] = []
        ids = [sample.clip_id for sample in shard.samples]
        clips = _clips(plan, ids, by_clip, rows, problems)
        records[shard.index] = write_shard(place, shard, table, clips, problems)
    return close_release(place, plan, [records[index] for index in sorted(records)])


def frames_by_clip(frames: Sequence[FinishedFrame]) -> dict[str, list[FinishedFrame]]:
    """Sort frames into clips, by number.

    Raises
    ------
    UsageError
        If one comes twice.
    """
    found: dict[str, list[FinishedFrame]] = {}
    for one in sorted(frames, key=lambda one: (one.poses.clip_id, one.poses.frame)):
        some = found.setdefault(one.poses.clip_id, [])
        if some and some[-1].poses.frame == one.poses.frame:
            raise UsageError(
                f"two tasks of frame {one.poses.frame} of clip {one.poses.clip_id}",
                found=f"tasks {some[-1].task} and {one.task}",
                remedy="Delete one of them, or name the project of one of them.",
            )  # fmt: skip
        some.append(one)
    return found


def annotated_clip(
    frames: Sequence[FinishedFrame], *, layer: str, skeleton: Skeleton, num_persons: int,
    person_ids: Sequence[str], info: Mapping[str, Any], has_boxes: bool = True,
) -> Clip:  # fmt: skip
    """Put the annotated frames of a clip together.

    Parameters
    ----------
    frames : sequence of FinishedFrame
        By number, each once.
    layer : str
        Name of the result.
    skeleton : Skeleton
        The V joints.
    num_persons : int
        Tracks of the source's clip: 0 to ``num_persons - 1``.
    person_ids : sequence of str
        The source's identifier of each; empty where it has none.
    info : mapping
        Clip columns of the result.
    has_boxes : bool
        Whether the result has boxes, NaN where a person has none.

    Returns
    -------
    Clip
        A row for each person with a joint or a box. A new person with a number that somebody
        wrote down keeps it; other new people get numbers above all, one for each frame.
    """
    written = {p for one in frames for p in one.named}
    fresh = max([num_persons - 1, *written], default=-1) + 1
    rows: list[tuple[int, int, int, int]] = []  # person, frame, number of the frame, row in it
    for at, one in enumerate(frames):
        poses = one.poses
        for row, person in enumerate(poses.persons.tolist()):
            if poses.new[row] and person not in one.named:
                person, fresh = fresh, fresh + 1
            if _is_there(poses)[row]:
                rows.append((person, poses.frame, at, row))
    rows.sort()

    def taken(name: str, width: tuple[int, ...], dtype: Any) -> np.ndarray:
        arrays = [getattr(frames[at].poses, name)[row] for _, _, at, row in rows]
        return np.array(arrays, dtype).reshape(len(rows), *width)

    persons = np.array([row[0] for row in rows], np.int32)
    count = int(persons[-1]) + 1 if len(persons) else 0
    names = [*person_ids, *(f"new-{number}" for number in range(len(person_ids), count))]
    joints = skeleton.num_joints
    return Clip(
        frames[0].poses.clip_id, layer, skeleton, persons=persons,
        frames=np.array([row[1] for row in rows], np.int32),
        keypoints_2d=taken("keypoints", (joints, 2), np.float32),
        visibility=taken("visibility", (joints,), np.uint8),
        boxes=taken("boxes", (4,), np.float32) if has_boxes else None,
        person_ids=tuple(names[:count]) if person_ids else (),
        extra={"touched": taken("touched", (joints,), np.uint8)}, info=info,
    )  # fmt: skip


def _clips(
    plan: Plan, ids: Sequence[str], by_clip: Mapping[str, Sequence[FinishedFrame]],
    rows: Mapping[str, Mapping[str, Any]], problems: list[Problem],
) -> Iterator[Clip]:  # fmt: skip
    from posedata.aligned_clips import aligned_clips
    from posedata.release import open_release

    base, source = open_release(plan.raw), plan.options["source"]
    has_ids = "person_ids" in base.table(source).pose_columns
    columns = ["person_ids"] if has_ids else []
    skeleton = base.skeleton(source)
    for clip_id, found in zip(ids, aligned_clips(base, [source], ids, columns), strict=True):
        of_source = found.get(source)
        info = {name: value for name, value in rows[clip_id].items()
                if name != "clip_id" and value is not None}  # fmt: skip
        if of_source is not None:
            info.setdefault("num_frames", of_source.num_frames)
        some = by_clip[clip_id]
        for one in some:
            problems += [
                Problem(f"{plan.description.name}/{clip_id}", "annotate", problem.reason,
                        f"frame {one.poses.frame}, task {one.task}"
                        + (f", region {problem.region}" if problem.region else ""),
                        "warning")
                for problem in one.poses.problems
            ]  # fmt: skip
        yield annotated_clip(
            some, layer=plan.options["layer"], skeleton=skeleton,
            num_persons=of_source.num_persons if of_source is not None else 0,
            person_ids=of_source.person_ids if of_source is not None else (), info=info,
            has_boxes="boxes" in plan.description.layers[0].columns,
        )  # fmt: skip


def _is_there(poses: AnnotatedFrame) -> np.ndarray:
    has_joint = np.isfinite(poses.keypoints).all(-1).any(-1)
    return has_joint | np.isfinite(poses.boxes).all(-1)


def _has_boxes(frames: Sequence[FinishedFrame]) -> bool:
    return any(bool(np.isfinite(one.poses.boxes).all(-1).any()) for one in frames)


def _has_people(poses: AnnotatedFrame) -> bool:
    return bool(_is_there(poses).any())


def _digest(frames: Sequence[FinishedFrame]) -> str:
    """Identify what was annotated: two pulls of the same make the same release."""
    digest = hashlib.sha256()
    for one in frames:
        poses = one.poses
        digest.update(f"{poses.frame} {sorted(one.named)} {poses.problems!r}".encode())
        for name in ("persons", "new", "keypoints", "visibility", "boxes", "touched"):
            digest.update(np.ascontiguousarray(getattr(poses, name)).tobytes())
    return digest.hexdigest()
