"""A picture of anchor poses: stick figures in a grid, as SVG."""

from __future__ import annotations

from html import escape

import numpy as np

from posedata.skeleton import Skeleton

_COLUMNS = 5
_WIDTH, _HEIGHT, _MARGIN, _TEXT = 120, 120, 12, 18  # of a figure and of the line below, pixels
_LEFT, _RIGHT, _MIDDLE = "#0072b2", "#d55e00", "#444444"  # told apart by colour-blind people, too


def anchors_svg(anchors: np.ndarray, counts: np.ndarray, skeleton: Skeleton) -> str:
    """Draw each anchor with its class and its count.

    Parameters
    ----------
    anchors : float32, shape (K, V, 2)
        As in `posedata.anchors.Anchors`; joints that are NaN are not drawn, nor their bones.
    counts : int, shape (K,)
        Poses of each class.
    skeleton : Skeleton
        Its bones, and which joints are left (blue) and right (orange).

    Returns
    -------
    str
        An SVG document; equal anchors give equal text.
    """
    colours = [_MIDDLE] * skeleton.num_joints
    for left, right in skeleton.swap:
        colours[left], colours[right] = _LEFT, _RIGHT
    wide, high = _WIDTH + 2 * _MARGIN, _HEIGHT + 2 * _MARGIN + _TEXT
    columns = min(_COLUMNS, len(anchors))
    width, height = columns * wide, -(-len(anchors) // columns) * high
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>{len(anchors)} anchor poses, {escape(skeleton.name)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<g font-family="sans-serif" font-size="12" fill="black" text-anchor="middle" '
        'stroke-linecap="round" stroke-width="2.5">',
    ]
    for number, (anchor, count) in enumerate(zip(anchors, counts, strict=True)):
        left, top = number % columns * wide, number // columns * high
        extent = np.nan_to_num(np.nanmax(anchor, 0) - np.nanmin(anchor, 0))
        offset = np.array([left + wide / 2, top + _MARGIN + _HEIGHT / 2])
        middle = (np.nanmax(anchor, 0) + np.nanmin(anchor, 0)) / 2
        points = (anchor - middle) * _WIDTH / max(1.0, float(extent.max())) + offset
        there = np.isfinite(points).all(1)
        for a, b in skeleton.bones:
            if there[a] and there[b]:
                colour = colours[a] if colours[a] == colours[b] else _side(colours[a], colours[b])
                (x1, y1), (x2, y2) = points[a], points[b]
                lines.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                             f'stroke="{colour}"/>')  # fmt: skip
        for joint in np.flatnonzero(there):
            x, y = points[joint]
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colours[joint]}"/>')
        lines.append(f'<text x="{left + wide / 2:g}" y="{top + high - 8}">{number}: '
                     f"{int(count):,}</text>")  # fmt: skip
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _side(a: str, b: str) -> str:
    """Colour of a bone between sides: that of a limb where it meets the middle."""
    if _MIDDLE in (a, b):
        return b if a == _MIDDLE else a
    return _MIDDLE
