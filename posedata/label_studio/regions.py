"""The results of an annotation to points and rectangles: whatever cannot be used has a reason."""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from posedata.errors import InputError

# Results that say something of a region beside its place.
_ABOUT_REGIONS = ("choices", "labels", "textarea", "rating", "number", "taxonomy", "datetime")
_LABELS = ("keypointlabels", "rectanglelabels", "labels")
# Percent: far beyond any picture, and float32 pixels of it are finite.
_LARGEST = 1e9
_LARGEST_SIZE = 1 << 20  # pixels
_OCCLUDED = {"occluded", "hidden", "invisible", "not visible", "not_visible"}
_SEEN = {"visible", "seen", "not occluded", "not_occluded"}


class RegionProblem(NamedTuple):
    """Something in an annotation that could not be taken over, or only with a decision.

    Attributes
    ----------
    region : str
        The id of the region; empty if it is about all of the annotation.
    reason : str
        What is wrong.
    """

    region: str
    reason: str


@dataclass(frozen=True)
class Region:
    """A point or a rectangle.

    Attributes
    ----------
    id : str
        The region's own.
    is_point : bool
        Else it is a rectangle.
    x, y : float
        Percent of the picture: the point, or the rectangle's first corner, which is the top left
        one before it is turned.
    width, height : float
        Of the rectangle, percent.
    rotation : float
        Of the rectangle around its first corner, degrees clockwise.
    labels : tuple of str
        Its labels.
    parent : str
        The id of the region it belongs to; empty for none.
    text : str
        What is noted on it, in lower case.
    occluded : bool
        Whether it is marked so.
    origin : str
        ``prediction``, ``prediction-changed``, ``manual``, or empty.
    """

    id: str
    is_point: bool
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    rotation: float = 0.0
    labels: tuple[str, ...] = ()
    parent: str = ""
    text: str = ""
    occluded: bool = False
    origin: str = ""


@dataclass(frozen=True)
class Regions:
    """What an annotation has.

    Attributes
    ----------
    points, rectangles : tuple of Region
        In an order that does not depend on the annotation's.
    links : tuple of (str, str)
        Relations between two regions, by their ids.
    size : (int, int), optional
        Width and height that the results give the picture; None where they give none.
    problems : tuple of RegionProblem
        What is left out, and why.
    """

    points: tuple[Region, ...]
    rectangles: tuple[Region, ...]
    links: tuple[tuple[str, str], ...]
    size: tuple[int, int] | None
    problems: tuple[RegionProblem, ...]


@dataclass
class _Parts:
    """The results that share an id."""

    geometry: list[Mapping[str, Any]] = field(default_factory=list)
    about: list[Mapping[str, Any]] = field(default_factory=list)


def read_regions(result: Sequence[Any]) -> Regions:
    """Read the results of an annotation or prediction.

    Results with one id are one region: its place, its labels and its choices may be in one each.
    That a picture was turned in the editor (``image_rotation``) changes no coordinates: they are
    those of the picture as it is stored.

    Parameters
    ----------
    result : sequence of JSON values
        ``result`` of the annotation; anything may be in it.

    Returns
    -------
    Regions

    Raises
    ------
    InputError
        If it is no list.
    """
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise InputError("bad annotation: result", found=reprlib.repr(result), expected="a list")
    problems: list[RegionProblem] = []
    parts: dict[str, _Parts] = {}
    links: set[tuple[str, str]] = set()
    sizes: Counter[tuple[int, int]] = Counter()
    for number, entry in enumerate(result):
        if not isinstance(entry, Mapping):
            problems.append(RegionProblem("", f"result {number} is no object"))
            continue
        kind = entry.get("type")
        if kind == "relation":
            ends = sorted((_text(entry.get("from_id")), _text(entry.get("to_id"))))
            if ends[0] and ends[0] != ends[1]:
                links.add((ends[0], ends[1]))
            continue
        # Without an id of its own a result cannot be met by others.
        region = _text(entry.get("id")) or f"#{number}"
        if not isinstance(kind, str) or not isinstance(entry.get("value"), Mapping):
            problems.append(RegionProblem(region, f"result {number} has no type or no value"))
            continue
        if _whole(entry.get("item_index")) not in (None, 0):
            problems.append(RegionProblem(region, "it belongs to another picture of the task"))
            continue
        width, height = _whole(entry.get("original_width")), _whole(entry.get("original_height"))
        if width is not None and height is not None:
            sizes[width, height] += 1
        if kind in ("keypointlabels", "keypoint", "rectanglelabels", "rectangle"):
            parts.setdefault(region, _Parts()).geometry.append(entry)
        elif kind in _ABOUT_REGIONS:
            parts.setdefault(region, _Parts()).about.append(entry)
        else:
            problems.append(RegionProblem(
                region, f"neither a keypoint nor a rectangle: {reprlib.repr(kind)}"
            ))  # fmt: skip
    regions = []
    for name, of_region in parts.items():
        region_found = _region(name, of_region, problems)
        if region_found is not None:
            regions.append(region_found)
    if len(sizes) > 1:
        problems.append(RegionProblem("", f"several picture sizes: {sorted(sizes)}"))
    regions.sort(key=lambda r: (r.x, r.y, r.width, r.height, r.labels, r.id))
    most = sorted(sizes, key=lambda size: (-sizes[size], size))
    return Regions(
        tuple(region for region in regions if region.is_point),
        tuple(region for region in regions if not region.is_point),
        tuple(sorted(links)),
        most[0] if most else None,
        tuple(problems),
    )


def _region(name: str, parts: _Parts, problems: list[RegionProblem]) -> Region | None:
    if not parts.geometry:
        if any(entry["type"] != "textarea" for entry in parts.about):
            kinds = ", ".join(sorted({entry["type"] for entry in parts.about}))
            problems.append(RegionProblem(name, f"{kinds} that belong to no region"))
        return None
    first = parts.geometry[0]
    are_points = {entry["type"].startswith("keypoint") for entry in parts.geometry}
    places = {_place(entry) for entry in parts.geometry}
    if len(are_points) > 1 or len(places) > 1:
        problems.append(RegionProblem(name, "several regions with this id"))
        return None
    (place,) = places
    is_point = are_points == {True}
    if place is None:
        expected = "x, y" if is_point else "x, y, width, height, rotation"
        problems.append(RegionProblem(
            name, f"bad place: found {reprlib.repr(first['value'])}, expected numbers {expected}"
        ))  # fmt: skip
        return None
    everything = parts.geometry + parts.about
    x, y, width, height, rotation = place
    return Region(
        name, is_point, x, y, width, height, rotation,
        labels=tuple(sorted({label for entry in everything for label in _labels(entry)})),
        parent=max(_text(entry.get("parentID")) for entry in everything),
        text=max(map(_note, everything)),
        occluded=_is_occluded(name, everything, problems),
        origin=max(_text(entry.get("origin")) for entry in parts.geometry),
    )  # fmt: skip


def _place(entry: Mapping[str, Any]) -> tuple[float, float, float, float, float] | None:
    value = entry["value"]
    x, y = _number(value.get("x")), _number(value.get("y"))
    if x is None or y is None:
        return None
    if entry["type"].startswith("keypoint"):
        return x, y, 0.0, 0.0, 0.0
    width, height = _number(value.get("width")), _number(value.get("height"))
    rotation = _number(value.get("rotation", 0) or 0)
    if width is None or height is None or rotation is None or width < 0 or height < 0:
        return None
    return x, y, width, height, rotation


def _labels(entry: Mapping[str, Any]) -> list[str]:
    found = []
    for name in _LABELS:
        labels = entry["value"].get(name)
        if isinstance(labels, list):
            found += [label for label in labels if isinstance(label, str)]
    return found


def _is_occluded(
    name: str, entries: Sequence[Mapping[str, Any]], problems: list[RegionProblem]
) -> bool:
    occluded = False
    for entry in entries:
        # label-studio-sdk's import of COCO writes this for v < 2.
        if entry.get("hidden") is True or entry["value"].get("hidden") is True:
            occluded = True
        choices = entry["value"].get("choices")
        if entry["type"] != "choices" or not isinstance(choices, list):
            continue
        for choice in choices:
            words = choice.strip().lower() if isinstance(choice, str) else ""
            occluded = occluded or words in _OCCLUDED
            if words not in _OCCLUDED | _SEEN:
                problems.append(RegionProblem(
                    name, f"a choice that says nothing of poses: {reprlib.repr(choice)}"
                ))  # fmt: skip
    return occluded


def _note(entry: Mapping[str, Any]) -> str:
    """Give the text that somebody has noted on a region."""
    meta = entry.get("meta")
    text = meta.get("text") if isinstance(meta, Mapping) else None
    if isinstance(text, list):
        text = " ".join(line for line in text if isinstance(line, str))
    return " ".join(text.lower().split()) if isinstance(text, str) else ""


def _text(value: Any) -> str:
    """Give an id as text: some tools write numbers. What the editor adds behind # is not of it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return value.partition("#")[0] if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST:
        return None
    return float(value) if math.isfinite(value) and abs(value) <= _LARGEST else None


def _whole(value: Any) -> int | None:
    """Give a size in pixels, which some tools write as a float."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_SIZE:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _LARGEST_SIZE else None
