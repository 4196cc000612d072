"""Joints and bodies that are somewhere else from one frame to the next."""

from __future__ import annotations

import numpy as np

from posedata.findings.finding import Finding, counted, finding, limits
from posedata.findings.poses import Poses


def find_spikes(
    keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray, steps: np.ndarray,
    least: np.ndarray, back: float,
) -> np.ndarray:  # fmt: skip
    """Tell which joints jump away and are back in the next frame.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        Sorted by (person, frame); NaN where a joint is missing.
    frames, persons : int, shape (N,)
        Gaps are not crossed.
    steps : float, shape (N, V)
        From `posedata.findings.poses.joint_steps`.
    least : float, shape (N,)
        The way there, and the way back, are longer.
    back : float
        The frames before and after differ by less than this part of the shorter way.

    Returns
    -------
    bool, shape (N, V)
        True in the frame between.
    """
    found = np.zeros(steps.shape, bool)
    if len(frames) < 3:
        return found
    middle = np.flatnonzero(
        (frames[2:] - frames[:-2] == 2) & (persons[2:] == persons[:-2])
    ) + 1  # fmt: skip
    with np.errstate(invalid="ignore"):
        way = np.minimum(steps[middle], steps[middle + 1])
        across = np.sqrt(((keypoints[middle + 1] - keypoints[middle - 1]) ** 2).sum(-1))
        found[middle] = (way > least[middle, None]) & (across < back * way)
    return found


def check(poses: Poses, explained: np.ndarray) -> list[Finding]:
    """Find joints, and whole bodies, that move faster than people do.

    Parameters
    ----------
    poses : Poses
        Of a clip.
    explained : bool, shape (N, V)
        Steps that other checks have found to be something else.
    """
    clip, limit = poses.clip, limits("teleport")
    if len(clip.frames) < 2:
        return []
    least = poses.sizes / poses.fps  # body sizes a second
    steps = np.where(explained, np.nan, poses.steps)
    with np.errstate(invalid="ignore"):
        jumps = steps > limit["joint_speed"] * least[:, None]
        moved = np.isfinite(steps)
        fast = (steps > limit["body_speed"] * least[:, None]).sum(1)
    known = moved.sum(1) >= max(2.0, limit["part_of_joints"] * steps.shape[1])
    body = known & (2 * fast > moved.sum(1))
    spikes = find_spikes(
        poses.keypoints, clip.frames, clip.persons, steps, limit["spike_speed"] * least,
        limit["back"],
    )  # fmt: skip
    returns = np.zeros_like(spikes)  # the step back is of the same jump
    returns[1:] = spikes[:-1]
    alone = (jumps & ~returns) | spikes
    alone[body] = False
    findings = []
    for person, rows in poses.tracks():
        relative = steps[rows] / least[rows][:, None]
        if body[rows].any():
            findings.append(_of_bodies(poses, person, rows, body[rows], relative))
        if alone[rows].any():
            findings.append(_of_joints(poses, person, rows, alone[rows], relative))
    return findings


def _of_bodies(
    poses: Poses, person: int, rows: slice, body: np.ndarray, relative: np.ndarray
) -> Finding:
    frames = poses.clip.frames[rows][body]
    worst = float(np.nanmax(np.nanmedian(relative[body], axis=1)))
    return finding(
        poses.clip, "teleport", f"the whole body jumps in {counted(len(frames), 'frame')}: perhaps "
        "another person, or a cut", frames=frames, persons=(person,), value=worst,
        threshold=limits("teleport")["body_speed"], severity="error",
    )  # fmt: skip


def _of_joints(
    poses: Poses, person: int, rows: slice, alone: np.ndarray, relative: np.ndarray
) -> Finding:
    clip, limit = poses.clip, limits("teleport")
    frames = clip.frames[rows][alone.any(1)]
    joints = tuple(clip.skeleton.joints[v] for v in np.flatnonzero(alone.any(0)))
    worst = float(np.nanmax(relative[alone]))
    return finding(
        clip, "teleport",
        f"{counted(int(alone.sum()), 'jump')} of {counted(len(joints), 'joint')}",
        frames=frames, persons=(person,), joints=joints, value=worst,
        threshold=limit["joint_speed" if worst > limit["joint_speed"] else "spike_speed"],
    )  # fmt: skip
