"""Which person each point of an annotation belongs to.

By ``parentID``, then a relation, then the text noted on both, then the rectangle around it. Never
by the order in which things were drawn: any order of the same results gives the same people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from posedata.label_studio.regions import Region, RegionProblem, Regions

#: What numbers of persons are kept in.
LARGEST_PERSON = (1 << 31) - 1

_PERSON_LABELS = {"person", "people", "human", "pedestrian", "body"}
_NUMBERED = re.compile(r"(?:person|people|id|track)? ?[#:]? ?([0-9]{1,10})")


class Group(NamedTuple):
    """A person: a rectangle, or a text that names one, and the points.

    Attributes
    ----------
    rectangle : Region, optional
        Around the person.
    text : str
        What is noted on it or on the points.
    points : tuple of Region
        Of the person.
    """

    rectangle: Region | None
    text: str
    points: tuple[Region, ...]


def person_of_text(text: str) -> int | None:
    """Give the number of the person that a text names: ``person 3``, ``id 3``, ``3``."""
    match = _NUMBERED.fullmatch(text)
    person = int(match[1]) if match else LARGEST_PERSON + 1
    return person if person <= LARGEST_PERSON else None


def group_points(
    regions: Regions, width: int, height: int
) -> tuple[list[Group], list[RegionProblem]]:
    """Put the points of an annotation together to people.

    Parameters
    ----------
    regions : Regions
        What the annotation has.
    width, height : int
        Of the picture, pixels: rectangles are turned in pixels, not in percent.

    Returns
    -------
    groups : list of Group
        Those with a rectangle first, from left to right, then those that only a text names.
    problems : list of RegionProblem
        Points that belong to nobody, and rectangles of something else than a person.
    """
    rectangles = {rectangle.id: rectangle for rectangle in regions.rectangles}
    parents = {region.id: region.parent for region in (*regions.points, *regions.rectangles)}
    linked = _linked(regions, rectangles)
    people = [rectangle for rectangle in regions.rectangles if _is_person(rectangle)]
    by_text: dict[str, list[str]] = {}
    for rectangle in people:
        if rectangle.text:
            by_text.setdefault(_key(rectangle.text), []).append(rectangle.id)
    members: dict[str, list[Region]] = {name: [] for name in rectangles}
    of_text: dict[str, list[Region]] = {}
    loose = []
    for point in regions.points:
        text = _key(point.text)
        of_point = by_text.get(text, [])
        owner = _ancestor(point.id, parents, rectangles) or linked.get(point.id, "")
        owner = owner or (of_point[0] if len(of_point) == 1 else "")
        if owner:
            members[owner].append(point)
        elif not of_point and person_of_text(text) is not None:
            of_text.setdefault(text, []).append(point)
        else:
            loose.append(point)
    taken = {name: {label for p in own for label in p.labels} for name, own in members.items()}
    problems = []
    alone = not people and not of_text and _each_once(loose)
    for point in loose:
        owner = _around(point, people, taken, width, height)
        if owner:
            members[owner].append(point)
        elif not alone:
            problems.append(RegionProblem(point.id, "a point that is in nobody's rectangle"))
    groups = []
    for name, points in members.items():
        if points or _is_person(rectangles[name]):
            groups.append(Group(rectangles[name], _key(rectangles[name].text), tuple(points)))
        else:
            labels = ", ".join(rectangles[name].labels)
            problems.append(RegionProblem(name, f"a rectangle that is no person: {labels!r}"))
    groups += [Group(None, text, tuple(of_text[text])) for text in sorted(of_text)]
    if alone and loose:
        groups.append(Group(None, "", tuple(loose)))
    return groups, problems


def corners(rectangle: Region, width: int, height: int) -> list[tuple[float, float]]:
    """Give the four corners of a rectangle, turned, in percent."""
    angle = math.radians(rectangle.rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    across, down = rectangle.width * width, rectangle.height * height
    return [
        (rectangle.x + (a * cos - d * sin) / width, rectangle.y + (a * sin + d * cos) / height)
        for a, d in ((0.0, 0.0), (across, 0.0), (across, down), (0.0, down))
    ]


def _key(text: str) -> str:
    """Give a text in the form in which two that mean the same are equal."""
    number = person_of_text(text)
    return text if number is None else f"person {number}"


def _is_person(rectangle: Region) -> bool:
    return not rectangle.labels or any(
        label.strip().lower() in _PERSON_LABELS for label in rectangle.labels
    )


def _ancestor(name: str, parents: dict[str, str], rectangles: dict[str, Region]) -> str:
    """Give the rectangle that a region hangs on, also by way of other regions."""
    seen = {name}
    while (name := parents.get(name, "")) and name not in seen:
        if name in rectangles:
            return name
        seen.add(name)
    return ""


def _linked(regions: Regions, rectangles: dict[str, Region]) -> dict[str, str]:
    """Give the rectangle that a relation joins each point to, where it is one only."""
    found: dict[str, set[str]] = {}
    for first, second in regions.links:
        for point, rectangle in ((first, second), (second, first)):
            if rectangle in rectangles and point not in rectangles:
                found.setdefault(point, set()).add(rectangle)
    return {point: next(iter(of_point)) for point, of_point in found.items() if len(of_point) == 1}


def _around(
    point: Region, rectangles: Sequence[Region], taken: dict[str, set[str]], width: int, height: int
) -> str:
    """Give the rectangle around a point; of several, the smallest that still lacks the joint."""
    inside = [rectangle for rectangle in rectangles if _holds(rectangle, point, width, height)]
    lacking = [r for r in inside if not taken[r.id].intersection(point.labels)]
    chosen = lacking or inside
    return min(chosen, key=lambda r: (r.width * r.height, r.id)).id if chosen else ""


def _holds(rectangle: Region, point: Region, width: int, height: int) -> bool:
    angle = math.radians(rectangle.rotation)
    right, down = (point.x - rectangle.x) * width, (point.y - rectangle.y) * height
    along = right * math.cos(angle) + down * math.sin(angle)
    across = down * math.cos(angle) - right * math.sin(angle)
    return 0 <= along <= rectangle.width * width and 0 <= across <= rectangle.height * height


def _each_once(points: Sequence[Region]) -> bool:
    labels = [label for point in points for label in point.labels]
    return len(labels) == len(set(labels))
