"""Tracks that shake: joints that turn back and forth from frame to frame."""

from __future__ import annotations

import numpy as np

from posedata.findings.finding import Finding, counted, finding, limits
from posedata.findings.poses import Poses, column_medians
from posedata.jitter import accelerations


def shaking(steps: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much each joint of a track shakes, and how much of its motion that is.

    Parameters
    ----------
    steps : float, shape (T, V)
        Way of each joint since the frame before; NaN where unknown.
    turns : float, shape (T, V)
        Size of its second difference (`posedata.jitter.accelerations`).

    Returns
    -------
    amount : float64, shape (V,)
        Median second difference, in the unit of the poses.
    ratio : float64, shape (V,)
        Of that to the median step: near 0 for a joint that moves smoothly, 1.73 (the root of
        3) for one that stands and is measured with independent noise. NaN where nothing is known.
    """
    amount = column_medians(turns)
    with np.errstate(invalid="ignore", divide="ignore"):
        return amount, amount / column_medians(steps)


def check(poses: Poses) -> list[Finding]:
    """Find people of whom several joints shake."""
    clip, limit = poses.clip, limits("jitter")
    if len(clip.frames) < limit["frames"]:
        return []
    turns = accelerations(poses.keypoints, clip.frames, clip.persons)
    findings = []
    for person, rows in poses.tracks():
        if rows.stop - rows.start < limit["frames"]:
            continue
        amount, ratio = shaking(poses.steps[rows], turns[rows])
        size = poses.sizes[rows.start]
        with np.errstate(invalid="ignore"):
            relative = amount / size
            bad = (relative > limit["amount"]) & (ratio > limit["ratio"])
            if poses.unit == "px":  # below that it may be no more than rounding
                bad &= amount > limit["pixels"]
        if bad.sum() < limit["joints"]:
            continue
        joints = tuple(clip.skeleton.joints[v] for v in np.flatnonzero(bad))
        findings.append(finding(
            clip, "jitter", f"{counted(len(joints), 'joint')} shake by "
            f"{amount[bad].max():.3g} {poses.unit} a frame", frames=clip.frames[rows],
            persons=(person,), joints=joints, value=float(relative[bad].max()),
            threshold=limit["amount"],
        ))  # fmt: skip
    return findings
