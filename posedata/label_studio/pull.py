"""What people corrected in Label Studio, checked against the release that it was sent from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.label_studio.annotated_frame import AnnotatedFrame, poses_of_annotation
from posedata.label_studio.annotated_layer import FinishedFrame
from posedata.label_studio.annotations_to_poses import (
    Change,
    agreement,
    changes,
    choose_annotation,
    finished_annotations,
    task_state,
)
from posedata.label_studio.client import LabelStudio, iter_tasks, users_of
from posedata.label_studio.group_points import person_of_text
from posedata.label_studio.push import frame_poses, key_of_task, layer_key
from posedata.label_studio.regions import read_regions
from posedata.release import Release

_SHOWN_DIFFERENCES = 8


@dataclass(frozen=True)
class AgreementSummary:
    """How far annotators agree, over all tasks that have several annotations.

    Attributes
    ----------
    tasks, pairs, joints : int
        Tasks with several, pairs of annotations, and joints that both of a pair have.
    mean_pixels : float
        Distance of these; NaN where there are none.
    joints_of_one, people_of_one, occlusion_differs : int
        See `posedata.label_studio.annotations_to_poses.Agreement`.
    per_joint : mapping of str to float
        Mean distance in pixels.
    """

    tasks: int
    pairs: int
    joints: int
    mean_pixels: float
    joints_of_one: int
    people_of_one: int
    occlusion_differs: int
    per_joint: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Pulled:
    """What a project has of a layer.

    Attributes
    ----------
    frames : tuple of FinishedFrame
        One for each task that somebody has submitted.
    states : mapping of str to int
        Tasks of the layer by state: ``annotated``, ``unfinished``, ``skipped``, ``untouched``;
        ``not of this annotator`` where the rule found none.
    others : int
        Tasks of other layers, or not of posedata.
    corrections : mapping of str to int
        Kinds of changes; see `posedata.label_studio.annotations_to_poses.Change`.
    annotators : int
        People whose annotations were chosen from.
    agreement : AgreementSummary
        Between them.
    """

    frames: tuple[FinishedFrame, ...]
    states: Mapping[str, int]
    others: int
    corrections: Mapping[str, int]
    annotators: int
    agreement: AgreementSummary


def tasks_of_project(server: LabelStudio, project: int) -> Iterable[dict[str, Any]]:
    """Read the tasks of a project with all annotations, and who made them."""
    users = users_of(server)
    for task in iter_tasks(server, project, whole=True):
        for annotation in task.get("annotations") or ():
            number = annotation.get("completed_by")
            if number in users:
                annotation["completed_by"] = {"id": number, "email": users[number]}
        yield task


def pull_frames(
    tasks: Iterable[Mapping[str, Any]], release: Release, layer: str, *, annotator: str = "latest",
    allow_changed: bool = False,
) -> Pulled:  # fmt: skip
    """Choose what counts of each task.

    Parameters
    ----------
    tasks : iterable of mapping
        From `tasks_of_project`, or of an export.
    release : Release
        Where they came from.
    layer : str
        Whose poses were corrected.
    annotator : str
        ``latest``, ``first``, ``agreed``, or a user's number or address.
    allow_changed : bool
        Take corrections of poses that are others now.

    Returns
    -------
    Pulled

    Raises
    ------
    UsageError
        If poses that were corrected have changed since; it says which, and by how much.
    InputError
        If a task has a frame that the release does not have, or is damaged.
    """
    skeleton = release.skeleton(layer)
    rule = annotator if annotator in ("latest", "first", "agreed") else f"by-user:{annotator}"
    states, others = Counter[str](), 0
    chosen: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    people: set[str] = set()
    several: list[Mapping[str, Any]] = []
    for task in tasks:
        key = key_of_task(task)
        if key is None or key[2] != layer:
            others += 1
            continue
        state = task_state(task)
        annotation = choose_annotation(task, rule, skeleton)
        if state == "annotated" and annotation is None:
            state = "not of this annotator"
        states[state] += 1
        if annotation is None:
            continue
        chosen.append((task, annotation))
        finished = finished_annotations(task)
        people.update(str(one.get("completed_by")) for one in finished)
        if len(finished) > 1:
            several.append(task)
    corrections, differences = Counter[str](), []
    frames = []
    clips = _Clips(release, layer)
    for task, annotation in sorted(chosen, key=_order):
        clip_id, frame, _ = key_of_task(task) or ("", -1, "")
        poses = poses_of_annotation(task, annotation["result"], skeleton)
        clip = clips.get(clip_id, frame, task)
        if task["data"].get("release") != layer_key(release, layer) and not allow_changed:
            differences += _differences(task, clip, frame)
        before = frame_poses(clip, frame, max(poses.width, 1), max(poses.height, 1))
        corrections.update(change.kind for change in changes(before, poses, skeleton))
        frames.append(FinishedFrame(poses, _named(annotation["result"]), int(task.get("id") or 0)))
    if differences:
        shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
        more = len(differences) - _SHOWN_DIFFERENCES
        raise UsageError(
            f"the layer {layer} has changed since its poses were sent, in {len(differences)} "
            f"frames that were annotated: {shown}" + (f"; and {more} more" if more > 0 else ""),
            path=release.place, found=layer_key(release, layer),
            expected=", ".join(sorted({str(t["data"].get("release")) for t, _ in chosen})),
            remedy="Pull into the release as it was, or take the annotations all the same with "
            "--allow-changed.",
        )  # fmt: skip
    return Pulled(tuple(frames), dict(sorted(states.items())), others,
                  dict(sorted(corrections.items())), len(people),
                  _agreement(several, release, layer))  # fmt: skip


class _Clips:
    """The clips of a layer by id, the last one kept: tasks come sorted by clip."""

    def __init__(self, release: Release, layer: str) -> None:
        self._release, self._layer = release, layer
        self._last: Clip | None = None

    def get(self, clip_id: str, frame: int, task: Mapping[str, Any]) -> Clip:
        if self._last is None or self._last.clip_id != clip_id:
            try:
                self._last = self._release.clip(clip_id, self._layer)
            except UsageError as error:
                raise InputError(f"task {task.get('id')} is of a clip that the layer "
                                 f"{self._layer} does not have: {clip_id!r}",
                                 path=self._release.place) from error  # fmt: skip
        if not 0 <= frame < self._last.num_frames:
            raise InputError(f"task {task.get('id')} is of a frame that clip {clip_id} does not "
                             "have", path=self._release.place, found=frame,
                             expected=f"0 to {self._last.num_frames - 1}")  # fmt: skip
        return self._last


def _order(pair: tuple[Mapping[str, Any], Mapping[str, Any]]) -> tuple[str, int, int]:
    clip_id, frame, _ = key_of_task(pair[0]) or ("", -1, "")
    return clip_id, frame, int(pair[0].get("id") or 0)


def _named(result: Sequence[Any]) -> frozenset[int]:
    """Numbers of people that are written on regions."""
    regions = read_regions(result)
    found = {person_of_text(region.text) for region in (*regions.rectangles, *regions.points)}
    return frozenset(number for number in found if number is not None)


def _differences(task: Mapping[str, Any], clip: Clip, frame: int) -> list[str]:
    """Say how the poses that a task was made with differ from those of the release now."""
    place = f"{clip.clip_id} frame {frame}"
    predictions = task.get("predictions")
    sent = predictions[0] if isinstance(predictions, list) and predictions else None
    if not isinstance(sent, Mapping) or not isinstance(sent.get("result"), list):
        return [f"{place}: the task does not have the poses it was made with"]
    was: AnnotatedFrame = poses_of_annotation(task, sent["result"], clip.skeleton)
    now = frame_poses(clip, frame, max(was.width, 1), max(was.height, 1))
    found = changes(now, was, clip.skeleton)
    if not found:
        return []
    kinds = Counter(_reverse(change) for change in found)
    far = max((change.pixels for change in found), default=0.0)
    text = ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))
    return [f"{place}: {text}" + (f", by up to {far:.2f} px" if far else "")]


def _reverse(change: Change) -> str:
    """Name a change from then to now, where `changes` was asked from now to then."""
    what, _, how = change.kind.rpartition(" ")
    return f"{what} {({'added': 'deleted', 'deleted': 'added'}).get(how, how)}"


def _agreement(
    tasks: Sequence[Mapping[str, Any]], release: Release, layer: str
) -> AgreementSummary:
    skeleton = release.skeleton(layer)
    parts = [agreement(task, skeleton) for task in tasks]
    joints = sum(part.joints for part in parts)
    total = sum(part.mean_pixels * part.joints for part in parts if part.joints)
    by_joint = np.array([part.per_joint for part in parts]).reshape(-1, skeleton.num_joints)
    there = np.isfinite(by_joint)
    counts = there.sum(0)
    means = np.where(there, by_joint, 0).sum(0) / np.maximum(counts, 1)
    return AgreementSummary(
        tasks=len(tasks),
        pairs=sum(part.pairs for part in parts),
        joints=joints,
        mean_pixels=total / joints if joints else float("nan"),
        joints_of_one=sum(part.joints_of_one for part in parts),
        people_of_one=sum(part.people_of_one for part in parts),
        occlusion_differs=sum(part.occlusion_differs for part in parts),
        per_joint={
            name: float(mean)
            for name, mean, count in zip(skeleton.joints, means, counts, strict=True)
            if count
        },
    )
