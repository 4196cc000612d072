"""The people of a frame as one annotation of Label Studio has them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.label_studio.group_points import (
    LARGEST_PERSON,
    Group,
    corners,
    group_points,
    person_of_text,
)
from posedata.label_studio.percent import UNMOVED, to_percent, to_pixels
from posedata.label_studio.poses_to_task import region_of_joint, region_of_person
from posedata.label_studio.regions import Region, RegionProblem, read_regions
from posedata.skeleton import Skeleton

_LARGEST_SIZE = 1 << 20  # pixels


class Regrouped(NamedTuple):
    """A point of one person that somebody gave to another.

    Attributes
    ----------
    joint : str
        As it is called now.
    before, after : int
        The persons.
    """

    joint: str
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """The people of one frame as annotated.

    Attributes
    ----------
    clip_id : str
        From the task's data; empty where it does not say.
    frame : int
        From the task's data; -1 where it does not say.
    width, height : int
        Of the picture, pixels; 0 where neither task nor annotation says (there are no people).
    persons : int32, shape (P,)
        Tracks in the clip, ascending.
    new : bool, shape (P,)
        Whether the task did not have this person. The number of a new person is above those of
        the task, but may be that of somebody in another frame: whoever joins frames decides.
    person_ids : tuple of str
        The source's own identifiers, P of them; empty text for a new person.
    keypoints : float32, shape (P, V, 2)
        Pixels, (0, 0) the centre of the top-left pixel; NaN where missing.
    visibility : uint8, shape (P, V)
        0 missing, 1 occluded, 2 seen.
    boxes : float32, shape (P, 4)
        x0 y0 x1 y1, pixels; NaN where a person has none.
    touched : bool, shape (P, V)
        Joints that somebody placed or moved; False where the prediction's point stands.
    regrouped : tuple of Regrouped
        Points that changed their person.
    problems : tuple of RegionProblem
        What could not be taken over, or only with a decision.
    """

    clip_id: str
    frame: int
    width: int
    height: int
    persons: np.ndarray
    new: np.ndarray
    person_ids: tuple[str, ...]
    keypoints: np.ndarray
    visibility: np.ndarray
    boxes: np.ndarray
    touched: np.ndarray
    regrouped: tuple[Regrouped, ...] = ()
    problems: tuple[RegionProblem, ...] = ()


@dataclass(frozen=True)
class _Sent:
    """What the task's data says of a person that was sent."""

    person: int
    name: str
    box: tuple[float, ...] | None
    rectangle: tuple[float, ...] | None
    joints: tuple[str, ...]
    outside: Mapping[str, tuple[float, ...]]


def poses_of_annotation(
    task: Mapping[str, Any], result: Sequence[Any], skeleton: Skeleton
) -> AnnotatedFrame:
    """Read the people of an annotation.

    A point belongs to the person whose rectangle is its parent; else to the one that a relation
    joins it to, that carries the same text, or whose rectangle holds it. The order in which
    things were drawn says nothing. Two points for one joint of a person: if somebody placed or
    moved one and the other is the prediction's, the former counts; else the joint is missing and
    a problem says so.

    Parameters
    ----------
    task : mapping
        The task, with ``data`` as `task_of` made it, or any of a project with keypoints.
    result : sequence of JSON values
        ``result`` of one of its annotations.
    skeleton : Skeleton
        Its joints are the labels; upper case, spaces and hyphens in them do not matter.

    Returns
    -------
    AnnotatedFrame

    Raises
    ------
    InputError
        If the task or the result are no such thing, or nothing says how large the picture is.
    """
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        raise InputError("bad task: data", found=reprlib.repr(data), expected="an object")
    regions = read_regions(result)
    problems = list(regions.problems)
    sent = _sent(data)
    width, height = _size(data, regions.size, problems)
    if not width and (regions.points or regions.rectangles):
        raise InputError("nothing says how large the picture is",
                         expected="original_width and original_height")  # fmt: skip
    groups, lost = group_points(regions, width or 1, height or 1)
    problems += lost
    numbers = _numbers(groups, sent, problems)
    joints = {_key(joint): number for number, joint in enumerate(skeleton.joints)}
    # A person with neither joints nor box was not sent, so nobody can have deleted it.
    unsent = [p.person for p in sent.values() if not p.joints and p.rectangle is None]
    persons = sorted({*numbers, *unsent})
    shape = (len(persons), skeleton.num_joints)
    keypoints = np.full((*shape, 2), np.nan, np.float32)
    visibility = np.zeros(shape, np.uint8)
    boxes = np.full((len(persons), 4), np.nan, np.float32)
    touched = np.zeros(shape, bool)
    regrouped = []
    owners = {region_of_joint(person, joint): person for person in sent
              for joint in sent[person].joints}  # fmt: skip
    outside = {region_of_joint(person, joint): place for person in sent
               for joint, place in sent[person].outside.items()}  # fmt: skip
    for number, group in zip(numbers, groups, strict=True):
        row = persons.index(number)
        boxes[row] = _box(group.rectangle, sent.get(number), width, height)
        for joint, point in _points_of_joints(group, joints, problems).items():
            keypoints[row, joint] = _position(point, outside, width, height)
            visibility[row, joint] = 1 if point.occluded else 2
            touched[row, joint] = point.origin != "prediction"
            before = owners.get(point.id)
            if before is not None and before != number:
                regrouped.append(Regrouped(skeleton.joints[joint], before, number))
    return AnnotatedFrame(
        clip_id=data["clip_id"] if isinstance(data.get("clip_id"), str) else "",
        frame=int(data["frame"]) if _is_whole(data.get("frame"), LARGEST_PERSON) else -1,
        width=width,
        height=height,
        persons=np.array(persons, np.int32),
        new=np.array([person not in sent for person in persons], bool),
        person_ids=tuple(sent[p].name if p in sent else "" for p in persons),
        keypoints=keypoints,
        visibility=visibility,
        boxes=boxes,
        touched=touched,
        regrouped=tuple(sorted(regrouped)),
        problems=tuple(problems),
    )


def _sent(data: Mapping[str, Any]) -> dict[int, _Sent]:
    """Read what the task's data says of its people; of other tasks, nothing."""
    people = data.get("persons")
    found: dict[int, _Sent] = {}
    for entry in people if isinstance(people, list) else []:
        if not isinstance(entry, Mapping) or not _is_whole(entry.get("person"), LARGEST_PERSON):
            continue
        outside, joints, name = entry.get("outside"), entry.get("joints"), entry.get("id")
        places = {
            joint: place
            for joint, value in (outside.items() if isinstance(outside, Mapping) else ())
            if isinstance(joint, str) and (place := _numbers_of(value, 2)) is not None
        }
        found.setdefault(entry["person"], _Sent(
            entry["person"],
            name if isinstance(name, str) else "",
            _numbers_of(entry.get("box"), 4),
            _numbers_of(entry.get("rectangle"), 4),
            tuple(j for j in joints if isinstance(j, str)) if isinstance(joints, list) else (),
            places,
        ))  # fmt: skip
    return found


def _size(
    data: Mapping[str, Any], of_regions: tuple[int, int] | None, problems: list[RegionProblem]
) -> tuple[int, int]:
    """Give the size of the video's frame; what was shown may have been scaled."""
    width, height = data.get("width"), data.get("height")
    if _is_whole(width, _LARGEST_SIZE) and _is_whole(height, _LARGEST_SIZE) and width and height:
        if of_regions is not None and 0 not in of_regions and of_regions != (width, height):
            problems.append(RegionProblem(
                "", f"the picture was shown with {of_regions[0]} x {of_regions[1]} pixels, the "
                f"video has {width} x {height}",
            ))  # fmt: skip
        return width, height
    return of_regions if of_regions is not None and 0 not in of_regions else (0, 0)


def _numbers(
    groups: Sequence[Group], sent: Mapping[int, _Sent], problems: list[RegionProblem]
) -> list[int]:
    """Give each group its person.

    By text and rectangle, where both agree; else by the text, for somebody changed it; else by
    the rectangle's id; else a new one.
    """
    of_id = {region_of_person(person): person for person in sent}
    by_id = [of_id.get(group.rectangle.id) if group.rectangle else None for group in groups]
    by_text = [person_of_text(group.text) for group in groups]
    claims: list[int | None] = [None] * len(groups)
    taken: set[int] = set()

    def claim(at: int, person: int | None) -> None:
        if claims[at] is None and person is not None and person not in taken:
            claims[at] = person
            taken.add(person)

    for at in range(len(groups)):
        if by_id[at] is not None and by_text[at] in (None, by_id[at]):
            claim(at, by_id[at])
    for at in range(len(groups)):
        claim(at, by_text[at])
    for at in range(len(groups)):
        claim(at, by_id[at])
    following = max(taken | set(sent), default=-1) + 1
    if following + len(groups) > LARGEST_PERSON:
        following = 0
    for at, group in enumerate(groups):
        if claims[at] is None:
            while following in taken or following in sent:
                following += 1
            claim(at, following)
        if by_text[at] not in (None, claims[at]):
            problems.append(RegionProblem(
                group.rectangle.id if group.rectangle else "",
                f"there is another {group.text}: taken as person {claims[at]}",
            ))  # fmt: skip
    return [claim for claim in claims if claim is not None]


def _points_of_joints(
    group: Group, joints: Mapping[str, int], problems: list[RegionProblem]
) -> dict[int, Region]:
    """Give the one point of each joint of a person."""
    candidates: dict[int, list[Region]] = {}
    for point in group.points:
        names = [joints.get(_key(label)) for label in point.labels]
        if len(names) != 1:
            problems.append(RegionProblem(point.id, f"a point with {len(names)} labels"))
        elif names[0] is None:
            problems.append(RegionProblem(
                point.id, f"no joint of the skeleton: {reprlib.repr(point.labels[0])}"
            ))  # fmt: skip
        else:
            candidates.setdefault(names[0], []).append(point)
    found = {}
    for joint, points in candidates.items():
        by_hand = [point for point in points if point.origin != "prediction"]
        chosen = by_hand or points
        if len({(point.x, point.y, point.occluded) for point in chosen}) == 1:
            found[joint] = chosen[0]
            if len(points) > 1 and len(chosen) < len(points):
                problems.append(RegionProblem(
                    chosen[0].id, f"a second {points[0].labels[0]}; the one placed by hand counts"
                ))  # fmt: skip
        else:
            problems.append(RegionProblem(
                min(point.id for point in chosen),
                f"{len(chosen)} points for one {points[0].labels[0]}, which is now missing",
            ))  # fmt: skip
    return found


def _position(
    point: Region, outside: Mapping[str, tuple[float, ...]], width: int, height: int
) -> tuple[float, float]:
    """Give the pixels of a point; one outside that nobody moved goes back where it was."""
    x, y = to_pixels(np.array([point.x, point.y]), width, height).tolist()
    place = outside.get(point.id)
    if place is not None:
        drawn = to_percent(np.array(place), width, height).clip(0, 100)
        if max(abs(drawn[0] - point.x), abs(drawn[1] - point.y)) <= UNMOVED:
            return place[0], place[1]
    return x, y


def _box(rectangle: Region | None, sent: _Sent | None, width: int, height: int) -> np.ndarray:
    """Give the box of a person: what was sent, if nobody has changed it."""
    if rectangle is None:
        return np.full(4, np.nan, np.float32)
    drawn = (rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    before = sent.rectangle if sent is not None and not rectangle.rotation else None
    if before and max(abs(a - b) for a, b in zip(drawn, before, strict=True)) <= UNMOVED:
        return np.array((sent and sent.box) or [np.nan] * 4, np.float32)
    places = np.array(corners(rectangle, width, height))
    ends = np.concatenate([places.min(0), places.max(0)]).reshape(2, 2)
    return to_pixels(ends, width, height).reshape(4).astype(np.float32)


def _key(label: str) -> str:
    return label.strip().lower().replace(" ", "_").replace("-", "_")


def _is_whole(value: Any, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest


def _numbers_of(value: Any, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(type(x) in (int, float) and abs(x) < 1e38 and math.isfinite(x) for x in value):
        return None
    return tuple(float(x) for x in value)
