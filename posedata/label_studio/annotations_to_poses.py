"""Annotations of a task to poses: which of several annotations counts, and how far they agree."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.label_studio.annotated_frame import AnnotatedFrame, Regrouped, poses_of_annotation
from posedata.label_studio.poses_to_task import FramePoses
from posedata.label_studio.regions import RegionProblem
from posedata.skeleton import Skeleton

__all__ = [
    "Agreement",
    "AnnotatedFrame",
    "Change",
    "RegionProblem",
    "Regrouped",
    "agreement",
    "annotator_of",
    "changes",
    "choose_annotation",
    "finished_annotations",
    "poses_of_annotation",
    "task_state",
]

#: Which of several annotations of a task counts; ``by-user:`` is followed by an id or an address.
RULES = ("latest", "first", "agreed", "by-user:")

# Pixels: what is nearer has not been moved.
_UNMOVED = 0.01


def task_state(task: Mapping[str, Any]) -> str:
    """Say how far a task is.

    Returns
    -------
    str
        ``annotated``: somebody has submitted an annotation, be it an empty one (nobody is there).
        ``unfinished``: there is a draft. ``skipped``: there are only skipped annotations.
        ``untouched``: there is nothing.

    Raises
    ------
    InputError
        If the task is none.
    """
    if finished_annotations(task):
        return "annotated"
    if any(_result(draft) is not None for draft in _listed(task, "drafts")):
        return "unfinished"
    return "skipped" if any(_result(a) is not None for a in _all(task)) else "untouched"


def finished_annotations(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the annotations of a task that were submitted and not skipped, oldest first."""
    found = [
        annotation for annotation in _all(task)
        if not annotation.get("was_cancelled") and _result(annotation) is not None
    ]  # fmt: skip
    return sorted(found, key=lambda a: (_time(a, "created_at"), _number(a.get("id"))))


def annotator_of(annotation: Mapping[str, Any]) -> str:
    """Say who made an annotation: an address if the export has it, else the user's number."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("username") or by.get("id")
    return str(by) if isinstance(by, str) or type(by) is int else ""


def choose_annotation(
    task: Mapping[str, Any], rule: str = "latest", skeleton: Skeleton | None = None
) -> Mapping[str, Any] | None:
    """Choose the annotation of a task that counts.

    Parameters
    ----------
    task : mapping
        As Label Studio exports it, with ``annotations``.
    rule : str
        ``latest`` or ``first`` by when they were changed last or made; ``agreed``: the one whose
        joints are nearest to all others' on average, of equal ones the latest; ``by-user:ID``:
        the latest of one user, by number or address.
    skeleton : Skeleton, optional
        Needed for ``agreed``.

    Returns
    -------
    mapping, optional
        None where no annotation is finished, or none is that user's.

    Raises
    ------
    UsageError
        If there is no such rule.
    InputError
        If the task is none.
    """
    name, colon, user = rule.partition(":")
    known = (name in ("latest", "first", "agreed") and not colon) or (name == "by-user" and user)
    if not known or (name == "agreed" and skeleton is None):
        raise UsageError("no such rule to choose an annotation", found=repr(rule),
                         expected=", ".join([*RULES[:3], "by-user:ID"]))  # fmt: skip
    found = finished_annotations(task)
    if not found:
        return None
    if name == "first":
        return found[0]
    by_time = sorted(found, key=lambda a: (_time(a, "updated_at"), _number(a.get("id"))))
    if name == "by-user":
        own = [a for a in by_time if user in _names(a)]
        return own[-1] if own else None
    if name == "latest" or len(found) == 1 or skeleton is None:
        return by_time[-1]
    frames = [poses_of_annotation(task, a["result"], skeleton) for a in by_time]
    sums = np.zeros(len(frames))
    for a, b in itertools.combinations(range(len(frames)), 2):
        sums[[a, b]] += _disagreement(frames[a], frames[b])
    return by_time[int(np.flatnonzero(sums == sums.min())[-1])]


class Change(NamedTuple):
    """One difference between the poses that were sent and the annotation.

    Attributes
    ----------
    kind : str
        ``person added``, ``person deleted``, ``box changed``, ``joint added``, ``joint moved``,
        ``joint deleted``, ``joint regrouped`` or ``occlusion changed``.
    person : int
        Whose: in the annotation, or before it for what is deleted.
    joint : str
        Empty for people and boxes.
    pixels : float
        How far it was moved; 0 for other kinds.
    """

    kind: str
    person: int
    joint: str = ""
    pixels: float = 0.0


def changes(before: FramePoses, after: AnnotatedFrame, skeleton: Skeleton) -> list[Change]:
    """List what somebody changed in a frame, person by person.

    Parameters
    ----------
    before : FramePoses
        What was sent.
    after : AnnotatedFrame
        What came back.
    skeleton : Skeleton
        Of both.
    """
    rows = {person: row for row, person in enumerate(np.asarray(before.persons).tolist())}
    new_rows = {person: row for row, person in enumerate(after.persons.tolist())}
    moved_in = {(r.after, r.joint) for r in after.regrouped}
    moved_out = {(r.before, r.joint) for r in after.regrouped}
    found = [Change("person deleted", person) for person in sorted(rows.keys() - new_rows.keys())]
    for person, row in new_rows.items():
        if person not in rows:
            found.append(Change("person added", person))
            continue
        old = rows[person]
        boxes = None if before.boxes is None else before.boxes[old]
        same = np.isnan(after.boxes[row]).any() if boxes is None or np.isnan(boxes).any() else (
            np.abs(boxes - after.boxes[row]).max() <= _UNMOVED
        )  # fmt: skip
        if not same:
            found.append(Change("box changed", person))
        was = np.isfinite(before.keypoints[old]).all(1)
        is_there = np.isfinite(after.keypoints[row]).all(1)
        distance = np.linalg.norm(
            after.keypoints[row].astype(np.float64) - before.keypoints[old], axis=1
        )
        for joint, name in enumerate(skeleton.joints):
            if (person, name) in moved_in:
                found.append(Change("joint regrouped", person, name))
            elif is_there[joint] and not was[joint]:
                found.append(Change("joint added", person, name))
            elif was[joint] and not is_there[joint] and (person, name) not in moved_out:
                found.append(Change("joint deleted", person, name))
            elif was[joint] and is_there[joint]:
                if distance[joint] > _UNMOVED:
                    found.append(Change("joint moved", person, name, float(distance[joint])))
                hidden = before.visibility is not None and before.visibility[old, joint] == 1
                if hidden != (after.visibility[row, joint] == 1):
                    found.append(Change("occlusion changed", person, name))
    return found


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far the annotators of a task agree, over all pairs of its finished annotations.

    Attributes
    ----------
    annotators : tuple of str
        Who made them, oldest first.
    pairs : int
        Pairs of annotations.
    joints : int
        Joints that both annotations of a pair have, over all pairs.
    mean_pixels, median_pixels : float
        Distance between these; NaN where there are none.
    mean_relative : float
        The same over the square root of the area of the box around the person's joints.
    per_joint : float64, shape (V,)
        Mean distance in pixels by joint; NaN where no pair has it.
    joints_of_one, people_of_one : int
        Joints of people that both have, and people, that only one annotation of a pair has.
    occlusion_differs : int
        Joints that both have and only one says to be occluded.
    """

    annotators: tuple[str, ...]
    pairs: int
    joints: int
    mean_pixels: float
    median_pixels: float
    mean_relative: float
    per_joint: np.ndarray
    joints_of_one: int
    people_of_one: int
    occlusion_differs: int


def agreement(task: Mapping[str, Any], skeleton: Skeleton) -> Agreement:
    """Compare the finished annotations of a task with each other.

    People are paired so that the sum of their mean distances is the least; their numbers do not
    count, for each annotator numbers new people alone.

    Parameters
    ----------
    task : mapping
        As Label Studio exports it.
    skeleton : Skeleton
        Its joints are the labels.

    Raises
    ------
    InputError
        If the task or an annotation is none.
    """
    found = finished_annotations(task)
    frames = [poses_of_annotation(task, a["result"], skeleton) for a in found]
    distances: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    joints_of_one = people_of_one = occlusion_differs = 0
    for a, b in itertools.combinations(frames, 2):
        pairs = _pair_people(a, b)
        people_of_one += len(a.persons) + len(b.persons) - 2 * len(pairs)
        for one, other in pairs:
            between = _between(a, b)[one, other]
            distances.append(between)
            sizes.append(np.full(len(between), _size(a.keypoints[one], b.keypoints[other])))
            both = np.isfinite(between)
            there = [(f.visibility[row] > 0) for f, row in ((a, one), (b, other))]
            joints_of_one += int((there[0] != there[1]).sum())
            occlusion_differs += int((a.visibility[one] != b.visibility[other])[both].sum())
    all_distances = np.array(distances).reshape(-1, skeleton.num_joints)
    there = np.isfinite(all_distances)
    known = all_distances[there]
    counts = there.sum(0)
    sums = np.where(there, all_distances, 0).sum(0)
    relative = known / np.array(sizes).reshape(all_distances.shape)[there]
    return Agreement(
        annotators=tuple(annotator_of(annotation) for annotation in found),
        pairs=len(frames) * (len(frames) - 1) // 2,
        joints=len(known),
        mean_pixels=float(known.mean()) if len(known) else np.nan,
        median_pixels=float(np.median(known)) if len(known) else np.nan,
        mean_relative=float(relative.mean()) if len(known) else np.nan,
        per_joint=np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0),
        joints_of_one=joints_of_one,
        people_of_one=people_of_one,
        occlusion_differs=occlusion_differs,
    )


def _between(a: AnnotatedFrame, b: AnnotatedFrame) -> np.ndarray:
    """Distances of all joints of all pairs of people, shape (P, Q, V)."""
    apart = a.keypoints[:, None].astype(np.float64) - b.keypoints[None]
    return np.linalg.norm(apart, axis=-1)


def _pair_people(a: AnnotatedFrame, b: AnnotatedFrame) -> list[tuple[int, int]]:
    """Pair people that have a joint in common, so that the sum of mean distances is the least."""
    from scipy.optimize import linear_sum_assignment

    if not len(a.persons) or not len(b.persons):
        return []
    between = _between(a, b)
    there = np.isfinite(between)
    counts = there.sum(-1)
    cost = np.where(there, between, 0).sum(-1) / np.maximum(counts, 1)
    # Two people who share no joint are no pair, whatever it costs.
    cost[counts == 0] = 1 + cost.sum()
    rows, columns = linear_sum_assignment(cost)
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if counts[i, j]]


def _disagreement(a: AnnotatedFrame, b: AnnotatedFrame) -> float:
    """Mean distance of two annotations' joints; a joint or person of one counts as its size."""
    total, count = 0.0, 0
    pairs = _pair_people(a, b)
    left = [set(range(len(a.persons))), set(range(len(b.persons)))]
    for one, other in pairs:
        left[0].discard(one)
        left[1].discard(other)
        between = _between(a, b)[one, other]
        size = _size(a.keypoints[one], b.keypoints[other])
        lone = (a.visibility[one] > 0) != (b.visibility[other] > 0)
        total += float(np.nansum(between)) + size * int(lone.sum())
        count += int(np.isfinite(between).sum()) + int(lone.sum())
    for frame, rows in zip((a, b), left, strict=True):
        for row in rows:
            there = int((frame.visibility[row] > 0).sum())
            total += _size(frame.keypoints[row], frame.keypoints[row]) * there
            count += there
    return total / count if count else 0.0


def _size(a: np.ndarray, b: np.ndarray) -> float:
    """Square root of the area of the box around the joints of two poses, 1 pixel at least."""
    joints = np.concatenate([a, b])
    joints = joints[np.isfinite(joints).all(1)].astype(np.float64)
    if not len(joints):
        return 1.0
    return max(1.0, float(np.sqrt(np.prod(joints.max(0) - joints.min(0)))))


def _all(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not isinstance(task, Mapping):
        raise InputError("bad task", found=reprlib.repr(task), expected="an object")
    return _listed(task, "annotations")


def _listed(task: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = task.get(name)
    return [e for e in entries if isinstance(e, Mapping)] if isinstance(entries, list) else []


def _result(annotation: Mapping[str, Any]) -> Sequence[Any] | None:
    result = annotation.get("result")
    return result if isinstance(result, list) else None


def _names(annotation: Mapping[str, Any]) -> set[str]:
    by = annotation.get("completed_by")
    values = [by.get(n) for n in ("email", "username", "id")] if isinstance(by, Mapping) else [by]
    return {str(v) for v in values if isinstance(v, str) or type(v) is int}


def _time(annotation: Mapping[str, Any], name: str) -> float:
    """Seconds since 1970; before everything where there is no time."""
    text = annotation.get(name) or annotation.get("created_at")
    try:
        when = datetime.fromisoformat(text) if isinstance(text, str) else None
        if when is None:
            return -np.inf
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return -np.inf


def _number(value: Any) -> int:
    return value if type(value) is int else -1
