"""The XML of CVAT, version 1.1, for images and for videos: what it says of people.

Format: "XML annotation format" in CVAT's documentation. Coordinates are pixels from the picture's
top-left corner, so that the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from posedata.errors import InputError

_SHAPES = ("skeleton", "points", "box")
_OTHER_SHAPES = ("polygon", "polyline", "cuboid", "ellipse", "mask")
_DEEPEST = 20
_LARGEST_COORDINATE = 1e9
_LARGEST_WHOLE = 1 << 31


class CvatPoint(NamedTuple):
    """A point of a skeleton, or one of its own.

    Attributes
    ----------
    label : str
        Its name.
    x, y : float
        Pixels from the picture's corner.
    occluded : bool
        Whether it is marked so.
    """

    label: str
    x: float
    y: float
    occluded: bool


class CvatShape(NamedTuple):
    """What is in one frame: a skeleton, points or a box.

    Attributes
    ----------
    kind : str
        ``skeleton``, ``points`` or ``box``.
    label : str
        Its label.
    frame : int
        Number of the image, or frame of the video.
    group : str
        The group that it belongs to; empty for none.
    track : str
        Its track in a video; empty for none.
    points : tuple of CvatPoint
        Those that are not ``outside``, that is, hidden because they are not in the picture.
    box : tuple of float, optional
        x0 y0 x1 y1 from the picture's corner.
    keyframe : bool
        False where CVAT interpolated.
    line : int
        Where it is in the file.
    """

    kind: str
    label: str
    frame: int
    group: str
    track: str
    points: tuple[CvatPoint, ...]
    box: tuple[float, float, float, float] | None
    keyframe: bool
    line: int


class CvatImage(NamedTuple):
    """An image: its name, and its size where the file says it."""

    name: str
    width: int | None
    height: int | None


@dataclass(frozen=True)
class CvatFile:
    """What an XML file of CVAT has.

    Attributes
    ----------
    name, source : str
        Of the task, and of the video that it was made of; empty where not said.
    size : int, optional
        Frames of the task.
    width, height : int, optional
        Of the video.
    labels : tuple of (str, str)
        Names of the labels and of the skeletons that they are part of, in their order.
    images : mapping of int to CvatImage
        By id. Empty in a file for videos.
    shapes : tuple of CvatShape
        In the order of the file, without those that are outside of the picture.
    left_out : mapping of str to int
        What is neither skeleton, points nor box, and how often it is there.
    """

    name: str
    source: str
    size: int | None
    width: int | None
    height: int | None
    labels: tuple[tuple[str, str], ...]
    images: dict[int, CvatImage]
    shapes: tuple[CvatShape, ...]
    left_out: dict[str, int]


@dataclass
class _State:
    """Where the parser is, and what it has found."""

    path: str
    texts: dict[str, str] = field(default_factory=dict)
    labels: list[tuple[str, str]] = field(default_factory=list)
    label: dict[str, str] = field(default_factory=dict)
    images: dict[int, CvatImage] = field(default_factory=dict)
    shapes: list[CvatShape] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    image: int | None = None
    track: dict[str, str] | None = None
    skeleton: dict[str, str] | None = None
    points: list[CvatPoint] = field(default_factory=list)
    skeleton_line: int = 0
    tasks: int = 0


def parse_cvat(text: bytes, path: str) -> CvatFile:
    """Read an XML file of CVAT.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Returns
    -------
    CvatFile

    Raises
    ------
    InputError
        If it is not XML or not CVAT's, with line and column; if it declares entities; if a number
        is none; if it holds the tracks of several tasks, whose frames have the same numbers.
    """
    from xml.parsers import expat

    state = _State(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        state.inside.append(tag)
        state.text.clear()
        if len(state.inside) > _DEEPEST:
            raise InputError("not XML of CVAT: nested too deeply", path=path,
                             position=_line(parser))  # fmt: skip
        if len(state.inside) == 1 and tag != "annotations":
            raise InputError("not XML of CVAT", path=path, found=f"<{tag[:30]}>",
                             expected="<annotations>")  # fmt: skip
        try:
            _start(state, tag, attributes, parser.CurrentLineNumber)
        except InputError as error:
            raise InputError(error.message, path=path, position=_line(parser), found=error.found,
                             expected=error.expected, remedy=error.remedy) from None  # fmt: skip

    def end(tag: str) -> None:
        _end(state, tag)
        state.inside.pop()

    def doctype(*_: Any) -> None:
        raise InputError("XML with a document type, which no file of CVAT has", path=path)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda data: state.text.append(data)
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError(
            f"not XML: {expat.ErrorString(error.code)}", path=path,
            position=f"line {error.lineno}, column {error.offset + 1}",
        ) from None  # fmt: skip
    except (ValueError, LookupError):  # an encoding that Python has not, or cannot use here
        raise InputError("not XML: unknown encoding", path=path) from None
    texts = state.texts
    return CvatFile(
        name=texts.get("name", ""),
        source=texts.get("source", ""),
        size=_size(texts.get("size")),
        width=_size(texts.get("width")),
        height=_size(texts.get("height")),
        labels=tuple(state.labels),
        images=state.images,
        shapes=tuple(state.shapes),
        left_out=state.left_out,
    )


def _line(parser: Any) -> str:
    return f"line {parser.CurrentLineNumber}"


def _start(state: _State, tag: str, attributes: dict[str, str], line: int) -> None:
    if "meta" in state.inside:
        if tag == "label":
            state.label = {}
        state.tasks += tag == "task"
        return
    if tag == "image":
        number = _whole(attributes, "id")
        if number in state.images:
            raise InputError("two images with one id", found=number)
        state.images[number] = CvatImage(
            attributes.get("name", ""), _size(attributes.get("width")),
            _size(attributes.get("height")),
        )  # fmt: skip
        state.image = number
    elif tag == "track":
        if state.tasks > 1:
            raise InputError("tracks of several tasks, whose frames have the same numbers",
                             remedy="Export each task by itself.")  # fmt: skip
        state.track = attributes
    elif tag == "skeleton" and (state.image is not None or state.track is not None):
        state.skeleton, state.points, state.skeleton_line = attributes, [], line
    elif tag == "points" and state.skeleton is not None:
        if attributes.get("outside", "0") != "1":
            found = _points(attributes)
            if len(found) != 1:
                raise InputError("a joint of a skeleton", found=f"{len(found)} points",
                                 expected="1 point")  # fmt: skip
            state.points += found
    elif tag in ("points", "box") and (state.image is not None or state.track is not None):
        if attributes.get("outside", "0") != "1":
            points = _points(attributes) if tag == "points" else []
            box = _box(attributes) if tag == "box" else None
            state.shapes.append(_shape(state, tag, attributes, points, box, line))
    elif tag in _OTHER_SHAPES:
        state.left_out[tag] = state.left_out.get(tag, 0) + 1


def _end(state: _State, tag: str) -> None:
    text = "".join(state.text).strip()
    state.text.clear()
    if "meta" in state.inside:
        if state.inside[-2:-1] == ["label"] and tag in ("name", "parent"):
            state.label[tag] = text
        elif tag == "label" and state.label.get("name"):
            state.labels.append((state.label["name"], state.label.get("parent", "")))
        elif "label" not in state.inside and tag in ("name", "source", "size", "width", "height"):
            state.texts.setdefault(tag, text)
    elif tag == "image":
        state.image = None
    elif tag == "track":
        state.track = None
    elif tag == "skeleton" and state.skeleton is not None:
        if state.points:
            state.shapes.append(_shape(
                state, tag, state.skeleton, state.points, None, state.skeleton_line
            ))  # fmt: skip
        state.skeleton = None


def _shape(
    state: _State, kind: str, attributes: dict[str, str], points: list[CvatPoint],
    box: tuple[float, float, float, float] | None, line: int,
) -> CvatShape:  # fmt: skip
    track = state.track
    if track is not None:
        frame, of = _whole(attributes, "frame"), track
        name = track.get("id", "")
    else:
        frame, of, name = state.image or 0, attributes, attributes.get("track_id", "")
    label = of.get("label", "")
    group = of.get("group_id", "")
    if kind == "points":
        points = [point._replace(label=label) for point in points]
    return CvatShape(
        kind, label, frame, "" if group == "0" else group, name, tuple(points), box,
        attributes.get("keyframe", "1") != "0", line,
    )  # fmt: skip


def _points(attributes: dict[str, str]) -> list[CvatPoint]:
    found = []
    occluded = attributes.get("occluded", "0") == "1"
    for pair in filter(None, attributes.get("points", "").split(";")):
        x, comma, y = pair.partition(",")
        if not comma:
            raise InputError("bad points", found=pair[:40], expected="x,y;x,y;...")
        found.append(CvatPoint(attributes.get("label", ""), _number(x), _number(y), occluded))
    return found


def _box(attributes: dict[str, str]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_number(attributes.get(name, "")) for name in ("xtl", "ytl", "xbr", "ybr"))
    return x0, y0, x1, y1


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST_COORDINATE:
        raise InputError("bad coordinate", found=repr(text[:40]), expected="a number of pixels")
    return value


def _whole(attributes: dict[str, str], name: str) -> int:
    text = attributes.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < _LARGEST_WHOLE):
        raise InputError(f"bad {name}", found=repr(text[:40]), expected="a whole number")
    return int(text)


def _size(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) or None
