"""Poses and boxes against the picture, and against each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posedata.clip import Clip
from posedata.findings.finding import Finding, counted, finding, limits


def outside(keypoints: np.ndarray, width: int, height: int, margin: float) -> np.ndarray:
    """Tell which joints lie outside the picture.

    Parameters
    ----------
    keypoints : float, shape (N, V, 2)
        Pixels, (0, 0) the centre of the first one; NaN where missing.
    width, height : int
        Of the picture, pixels.
    margin : float
        Pixels beyond the rim of the outermost ones that still count as inside.

    Returns
    -------
    bool, shape (N, V)
    """
    low, high = -0.5 - margin, np.array([width, height]) - 0.5 + margin
    with np.errstate(invalid="ignore"):
        return np.asarray(((keypoints < low) | (keypoints > high)).any(-1))


def check(clip: Clip) -> Iterator[Finding]:
    """Find joints outside the picture: an error of whole people and of joints that were seen."""
    width, height = clip.info.get("width"), clip.info.get("height")
    if clip.keypoints_2d is None or not width or not height or not len(clip.frames):
        return
    there = np.isfinite(clip.keypoints_2d).all(-1)
    off = outside(clip.keypoints_2d, width, height, limits("outside_image")["margin"])
    if not off.any():
        return
    whole = there.any(1) & (off | ~there).all(1)
    seen = off if clip.visibility is None else off & (clip.visibility == 2)
    for person in np.unique(clip.persons[off.any(1)]).tolist():
        rows = slice(*np.searchsorted(clip.persons, [person, person + 1]))
        of_person = off[rows]
        joints = tuple(clip.skeleton.joints[v] for v in np.flatnonzero(of_person.any(0)))
        gone = int(whole[rows].sum())
        marked = clip.visibility is not None and bool(seen[rows].any())
        text = f"{counted(int(of_person.sum()), 'joint')} outside the {width} x {height} picture"
        if marked:
            text += f", {int(seen[rows].sum()):,} of them marked as seen"
        if gone:
            text += f"; the whole person in {counted(gone, 'pose')}"
        yield finding(
            clip, "outside_image", text, frames=clip.frames[rows][of_person.any(1)],
            persons=(person,), joints=joints, value=int(of_person.sum()), threshold=0,
            severity="error" if gone else "warning" if marked else None,
        )  # fmt: skip


def check_boxes(clip: Clip) -> Iterator[Finding]:
    """Find poses without a box, boxes without area, and boxes that are of something else."""
    if clip.boxes is None or not len(clip.frames):
        return
    boxes = clip.boxes.astype(np.float64)
    absent = ~np.isfinite(boxes).all(1)
    with np.errstate(invalid="ignore"):
        empty = ~absent & ~(boxes[:, 2:] > boxes[:, :2]).all(1)
    wide = ~absent & ~empty
    elsewhere = np.zeros(len(boxes), bool)
    limit = limits("box")
    if clip.keypoints_2d is not None:
        there = np.isfinite(clip.keypoints_2d).all(-1)
        with np.errstate(invalid="ignore"):
            margin = limit["margin"] * (boxes[:, 2:] - boxes[:, :2])
            inside = (clip.keypoints_2d >= (boxes[:, :2] - margin)[:, None]).all(-1)
            inside &= (clip.keypoints_2d <= (boxes[:, 2:] + margin)[:, None]).all(-1)
            share = (inside & there).sum(1) / there.sum(1)
            elsewhere = wide & (share < limit["joints_inside"])
    for bad, text in (
        (absent, "poses without a box"), (empty, "boxes without an area"),
        (elsewhere, "boxes beside their pose"),
    ):  # fmt: skip
        if bad.any():
            yield finding(
                clip, "box", f"{int(bad.sum()):,} {text}", frames=clip.frames[bad],
                persons=tuple(np.unique(clip.persons[bad]).tolist()), value=int(bad.sum()),
                threshold=0,
            )  # fmt: skip
