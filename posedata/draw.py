"""Poses drawn over pictures: a hue for each person, a style for each layer.

Where several layers show one person, their bones lie on each other. They are told apart by shade,
dashes and the shape of the joints. Scores are opacity. A missing joint is not drawn, nor is a bone
that ends in one.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from posedata.errors import UsageError
from posedata.skeleton import Skeleton

#: Hues of persons 0, 1, ... in degrees; from the eleventh person on they come again.
HUES = (28, 205, 330, 130, 55, 270, 0, 178, 95, 235)

# A joint that is there can be seen, however unsure the estimator is of it.
_LEAST_OPACITY = 0.15
_FIXED_POINT = 4  # OpenCV draws at 1/16 of a pixel
# Coordinates that are further out are moved here, for OpenCV's whole numbers to hold them.
_FURTHEST = 1e5
_BACKGROUND = (24, 24, 24)
_NEUTRAL = (225, 225, 225)


class LayerStyle(NamedTuple):
    """How a layer looks.

    Parameters
    ----------
    white, black : float
        How much of either is mixed into the person's colour, 0 to 1.
    dash, gap : float
        Lengths of dashes and of what is between them, in widths of the line; no gap: solid.
    joint : float, shape (K, 2)
        Outline of a joint, in widths of the line around its middle; none: a disc.
    """

    white: float
    black: float
    dash: float
    gap: float
    joint: tuple[tuple[float, float], ...]


_SQUARE = ((-1, -1), (1, -1), (1, 1), (-1, 1))
_DIAMOND = ((0, -1.5), (1.5, 0), (0, 1.5), (-1.5, 0))
_TRIANGLE = ((0, -1.5), (1.4, 1), (-1.4, 1))
#: Styles of layers 0, 1, ...; from the fifth on they come again.
STYLES = (
    LayerStyle(0, 0, 1, 0, ()),
    LayerStyle(0.6, 0, 3, 3.5, _SQUARE),
    LayerStyle(0, 0.45, 7, 3.5, _DIAMOND),
    LayerStyle(0.85, 0, 0.5, 3, _TRIANGLE),
)


def draw_poses(
    picture: np.ndarray, keypoints_2d: np.ndarray, skeleton: Skeleton, *,
    scores: np.ndarray | None = None, persons: Sequence[int] | np.ndarray | None = None,
    boxes: np.ndarray | None = None, layer: int = 0,
) -> np.ndarray:  # fmt: skip
    """Draw the people of one frame, as one layer sees them.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        RGB; stays as it is.
    keypoints_2d : float, shape (M, V, 2)
        Pixels of the picture, (0, 0) the centre of the top-left one; NaN where missing.
    skeleton : Skeleton
        The V joints and their bones.
    scores : float, shape (M, V), optional
        0 to 1: opacity of each joint; a bone has that of its weaker end. Without them all is
        opaque.
    persons : sequence of int, shape (M,), optional
        Person of each pose, which is their colour; by default 0, 1, ...
    boxes : float, shape (M, 4), optional
        x0 y0 x1 y1, pixels: drawn, too.
    layer : int
        Number of the layer, which is the style of lines and joints.

    Returns
    -------
    uint8, shape (H, W, 3)
        A new picture.

    Raises
    ------
    UsageError
        If the arrays do not fit each other, or OpenCV is not installed.

    Examples
    --------
    >>> clip = release.clip("S001C001P001R001A001", "mediapipe")      # doctest: +SKIP
    >>> now = clip.frames == 30                                       # doctest: +SKIP
    >>> drawn = draw_poses(picture, clip.keypoints_2d[now], clip.skeleton,
    ...                    persons=clip.persons[now])                 # doctest: +SKIP
    """
    poses = np.asarray(keypoints_2d, np.float64)
    count, joints = len(poses), skeleton.num_joints
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError("not a picture", found=f"{picture.dtype} {picture.shape}",
                         expected="uint8 (H, W, 3)")  # fmt: skip
    _expect("keypoints_2d", poses, (count, joints, 2))
    opacity = np.ones((count, joints)) if scores is None else np.asarray(scores, np.float64)
    _expect("scores", opacity, (count, joints))
    numbers = np.arange(count) if persons is None else np.asarray(persons)
    _expect("persons", numbers, (count,))
    corners = None if boxes is None else np.asarray(boxes, np.float64)
    if corners is not None:
        _expect("boxes", corners, (count, 4))
    there = np.isfinite(poses).all(-1)
    opacity = np.where(there, np.nan_to_num(opacity).clip(_LEAST_OPACITY, 1), 0)

    canvas = np.ascontiguousarray(picture).copy()
    width = line_width(*canvas.shape[:2])
    for row in range(count):
        color = person_color(int(numbers[row]), layer)
        if corners is not None and np.isfinite(corners[row]).all():
            _draw_box(canvas, corners[row], color, max(1, width // 2))
        _draw_person(canvas, poses[row], opacity[row], skeleton, color, width, layer)
    return canvas


def draw_legend(picture: np.ndarray, layers: Sequence[str], persons: Sequence[int]) -> np.ndarray:
    """Say in the top-left corner which style is which layer, and which colour which person.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        RGB; stays as it is.
    layers : sequence of str
        Names of layers 0, 1, ...
    persons : sequence of int
        Their ids. Those for which half the picture's width is not enough are counted only.

    Returns
    -------
    uint8, shape (H, W, 3)
        A new picture.
    """
    import cv2

    canvas = np.ascontiguousarray(picture).copy()
    height, width = canvas.shape[:2]
    line = line_width(height, width)
    font, text_scale = cv2.FONT_HERSHEY_SIMPLEX, 0.22 + 0.13 * line
    text_line = max(1, line // 2)

    def text_width(text: str) -> int:
        return cv2.getTextSize(text, font, text_scale, text_line)[0][0]

    row = round(14 * (0.5 + 0.45 * line))
    sample, margin = round(2.5 * row), row // 2
    labels = [f"{person}" for person in persons]
    ends = np.cumsum([round(1.1 * row) + text_width(label) for label in labels] or [0])
    fit = int(np.count_nonzero(ends <= max(width // 2, ends[0])))
    rest = f"+{len(labels) - fit}" if fit < len(labels) else ""
    wide = max(
        [sample + margin + text_width(name) for name in layers]
        + [int(ends[fit - 1]) + (text_width(rest) if rest else 0)]
    )
    panel = np.full((row * (len(layers) + bool(labels)) + margin, wide + 2 * margin, 3),
                    _BACKGROUND, np.uint8)  # fmt: skip

    def write(text: str, x: float, y: float, color: tuple[int, ...]) -> None:
        at = (round(x), round(y + 0.3 * row))
        cv2.putText(panel, text, at, font, text_scale, color, text_line, cv2.LINE_AA)

    for number, name in enumerate(layers):
        y = margin / 2 + row * (number + 0.5)
        ends_of_sample = np.array([[margin + 2 * line, y], [margin + sample - 2 * line, y]])
        two = Skeleton("legend", ("a", "b"), ((0, 1),), (), "a")
        color = _mixed(_NEUTRAL, STYLES[number % len(STYLES)])
        _draw_person(panel, ends_of_sample, np.ones(2), two, color, line, number, 1.5 * line)
        write(name, 2 * margin + sample, y, _NEUTRAL)
    y = margin / 2 + row * (len(layers) + 0.5)
    for index, label in enumerate(labels[:fit]):
        x = margin + (int(ends[index - 1]) if index else 0)
        center = tuple(round(16 * value) for value in (x + 0.4 * row, y))
        cv2.circle(panel, center, round(16 * 0.28 * row), person_color(persons[index]), -1,
                   cv2.LINE_AA, _FIXED_POINT)  # fmt: skip
        write(label, x + 0.8 * row, y, _NEUTRAL)
    if rest:
        write(rest, margin + int(ends[fit - 1]), y, _NEUTRAL)

    place = canvas[margin:, margin:][: panel.shape[0], : panel.shape[1]]
    if place.size:
        shown = panel[: place.shape[0], : place.shape[1]]
        place[:] = cv2.addWeighted(shown, 0.8, place, 0.2, 0)
    return canvas


def person_color(person: int, layer: int = 0) -> tuple[int, int, int]:
    """Give the colour of a person: R, G, B, 0 to 255."""
    hue = HUES[person % len(HUES)]
    red, green, blue = colorsys.hsv_to_rgb(hue / 360, 0.9, 1)
    return _mixed((255 * red, 255 * green, 255 * blue), STYLES[layer % len(STYLES)])


def line_width(height: int, width: int) -> int:
    """Give the width of bones in a picture: 1 pixel at 320x240, 3 at 1920x1080."""
    return max(1, round(min(height, width) / 360))


def _mixed(color: Sequence[float], style: LayerStyle) -> tuple[int, int, int]:
    mixed = (np.array(color) * (1 - style.white) + 255 * style.white) * (1 - style.black)
    red, green, blue = mixed.round().astype(int).tolist()
    return red, green, blue


def _draw_person(
    canvas: np.ndarray, joints: np.ndarray, opacity: np.ndarray, skeleton: Skeleton,
    color: tuple[int, int, int], width: int, layer: int, least_joint: float = 0.9,
) -> None:  # fmt: skip
    """Draw bones and joints, with a dark rim that sets them off from a picture of any colour."""
    import cv2

    style = STYLES[layer % len(STYLES)]
    there = opacity > 0
    joints = np.where(there[:, None], joints, 0).clip(-_FURTHEST, _FURTHEST)
    margin = 4 * width + 2
    bottom, right = canvas.shape[:2]
    inside = there & (joints > -margin).all(1) & (joints < (right + margin, bottom + margin)).all(1)
    bones = [
        (min(opacity[a], opacity[b]), ends)
        for a, b in skeleton.bones
        if there[a] and there[b]
        and (ends := _clipped(joints[[a, b]], right, bottom, margin)) is not None
    ]  # fmt: skip
    drawn = np.concatenate([joints[inside], *(ends for _, ends in bones)])
    if not len(drawn):
        return
    low = np.maximum(np.floor(drawn.min(0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(drawn.max(0)).astype(int) + margin + 1, (right, bottom))
    if (low >= high).any():
        return
    region = canvas[low[1] : high[1], low[0] : high[0]]

    # Masks of opacity, in which what is drawn last stays: the surest on top.
    rim, body = (np.zeros(region.shape[:2], np.uint8) for _ in range(2))
    for strength, ends in sorted(bones, key=lambda bone: bone[0]):
        dashes = _fixed_point(_dashes(ends - low, style, width))
        for mask, extra, share in ((rim, 2 if width > 1 else 1, 0.6), (body, 0, 1.0)):
            cv2.polylines(mask, list(dashes), False, round(255 * share * strength), width + extra,
                          cv2.LINE_AA, _FIXED_POINT)  # fmt: skip
    # Smaller where the person is, so that hands and faces do not become blots.
    size = min(max(float(np.ptp(drawn, axis=0).max()) / 70, least_joint), 1.5 * width)
    for joint in np.flatnonzero(inside)[np.argsort(opacity[inside], kind="stable")].tolist():
        for mask, wider, share in ((rim, 1.0 if width > 1 else 0.5, 0.6), (body, 0.0, 1.0)):
            gray = round(255 * share * opacity[joint])
            _draw_joint(mask, joints[joint] - low, style, size + wider, gray)
    _blend(region, rim, (0, 0, 0))
    _blend(region, body, color)


def _draw_joint(
    mask: np.ndarray, at: np.ndarray, style: LayerStyle, size: float, gray: int
) -> None:
    import cv2

    if style.joint:
        outline = _fixed_point(at + size * np.array(style.joint))
        cv2.fillConvexPoly(mask, outline, gray, cv2.LINE_AA, _FIXED_POINT)
    else:
        x, y = _fixed_point(at).tolist()
        cv2.circle(mask, (x, y), round(16 * size), gray, -1, cv2.LINE_AA, _FIXED_POINT)


def _draw_box(canvas: np.ndarray, box: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    import cv2

    x0, y0, x1, y1 = _fixed_point(box.clip(-_FURTHEST, _FURTHEST)).tolist()
    cv2.rectangle(canvas, (x0, y0), (x1, y1), color, width, cv2.LINE_AA, _FIXED_POINT)


def _blend(region: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> None:
    """Mix a colour into the pixels of a mask, which are few of the region's."""
    import cv2

    places = cv2.findNonZero(mask)
    if places is None:
        return
    columns, rows = places.reshape(-1, 2).T  # of shape (K, 1, 2) before OpenCV 5
    opacity = mask[rows, columns, None].astype(np.float32) / 255
    pixels = region[rows, columns]
    region[rows, columns] = (pixels + (np.array(color, np.float32) - pixels) * opacity).round()


def _clipped(ends: np.ndarray, right: int, bottom: int, margin: int) -> np.ndarray | None:
    """Cut a line to the picture and a margin (Liang and Barsky); None if it is all outside."""
    low, high = np.array([-margin, -margin]), np.array([right + margin, bottom + margin])
    start, along = ends[0], ends[1] - ends[0]
    first, last = 0.0, 1.0
    for axis in range(2):
        if along[axis] == 0:
            if not low[axis] <= start[axis] <= high[axis]:
                return None
            continue
        near, far = sorted((bound[axis] - start[axis]) / along[axis] for bound in (low, high))
        first, last = max(first, near), min(last, far)
    return None if first > last else start + np.array([[first], [last]]) * along


def _dashes(ends: np.ndarray, style: LayerStyle, width: int) -> np.ndarray:
    """Cut a line into dashes: shape (K, 2, 2), with one at either end."""
    length = float(np.hypot(*(ends[1] - ends[0])))
    unit = max(width, 1.5)  # the gaps between lines of one pixel would close
    dash, period = style.dash * unit, (style.dash + style.gap) * unit
    if not style.gap or length <= 2 * period:
        return ends[None]
    count = round((length - dash) / period)
    starts = np.arange(count + 1) * ((length - dash) / count)
    places = np.stack([starts, starts + dash], 1) / length
    return ends[0] + places[..., None] * (ends[1] - ends[0])


def _fixed_point(values: np.ndarray) -> np.ndarray:
    return (values * (1 << _FIXED_POINT)).round().astype(np.int32)


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UsageError(f"poses to draw: {name}", found=f"shape {array.shape}", expected=shape)
