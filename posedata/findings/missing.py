"""Frames without people, gaps in tracks, joints that are not there, and numbers that stand in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posedata.clip import Clip
from posedata.findings.finding import Finding, counted, finding, limits

#: Coordinates that formats write for a joint that is not there. In a release that is NaN.
STAND_INS = (0.0, -1.0, 1.0)


def check_frames(clip: Clip) -> Iterator[Finding]:
    """Find clips that are too short or empty, frames without people, and gaps in tracks."""
    least = limits("short_clip")["frames"]
    if clip.num_frames < least:
        text = f"{counted(clip.num_frames, 'frame')}: nothing moves in it"
        yield finding(clip, "short_clip", text, value=clip.num_frames, threshold=least)
    if not len(clip.frames):
        yield finding(clip, "no_poses", "nobody in any frame", value=0, threshold=1)
        return
    there = np.zeros(clip.num_frames, bool)
    there[clip.frames] = True
    empty = np.flatnonzero(~there)
    if len(empty):
        share, most = len(empty) / clip.num_frames, limits("frames_missing")["share"]
        yield finding(
            clip, "frames_missing", f"nobody in {len(empty):,} of {clip.num_frames:,} frames",
            frames=empty, value=share, threshold=most,
            severity="warning" if share > most else None,
        )  # fmt: skip
    same = np.flatnonzero(np.diff(clip.persons) == 0)
    gaps = same[np.diff(clip.frames)[same] > 1]
    for person in np.unique(clip.persons[gaps]).tolist():
        at = gaps[clip.persons[gaps] == person]
        spans = zip((clip.frames[at] + 1).tolist(), clip.frames[at + 1].tolist(), strict=True)
        frames = np.concatenate([np.arange(first, end) for first, end in spans])
        longest = int((clip.frames[at + 1] - clip.frames[at] - 1).max())
        yield finding(
            clip, "track_gap", f"{counted(len(at), 'gap')} in the track, the longest of "
            f"{counted(longest, 'frame')}",
            frames=frames, persons=(person,), value=longest,
            threshold=limits("track_gap")["frames"],
            severity="warning" if longest > limits("track_gap")["frames"] else None,
        )  # fmt: skip


def check_joints(clip: Clip, keypoints: np.ndarray) -> Iterator[Finding]:
    """Find missing joints; a warning where a pose lacks a large part of them.

    Joints that a person never has are one finding of little weight: the source has not looked
    for them, or they were never to be seen.
    """
    missing = ~np.isfinite(keypoints).all(-1)
    if not missing.any():
        return
    limit = limits("joints_missing")
    for person in np.unique(clip.persons[missing.any(1)]).tolist():
        rows = slice(*np.searchsorted(clip.persons, [person, person + 1]))
        of_person = missing[rows]
        never = of_person.all(0)
        ever = max(1, int((~never).sum()))
        worst = float((of_person & ~never).sum(1).max() / ever) if not never.all() else 1.0
        chosen = of_person.any(0)
        joints = tuple(clip.skeleton.joints[v] for v in np.flatnonzero(chosen))
        share = float(of_person.mean())
        tail = f", {int(never.sum())} of them in every pose" if never.any() else ""
        yield finding(
            clip, "joints_missing", f"{share:.1%} of the joints are missing: {len(joints)} of "
            f"{len(chosen)} in some pose{tail}", frames=clip.frames[rows][of_person.any(1)],
            persons=(person,), joints=joints, value=worst, threshold=limit["part_of_joints"],
            severity="warning" if worst >= limit["part_of_joints"] else None,
        )  # fmt: skip


def stand_ins(keypoints: np.ndarray) -> np.ndarray:
    """Tell which joints are at exactly (0, 0), (-1, -1) or (1, 1), in space or in the picture.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        Coordinates.

    Returns
    -------
    bool, shape (N, V)
        The root of poses that are centred on it is at 0 rightly: a joint that is always there
        is none.
    """
    found = np.zeros(keypoints.shape[:2], bool)
    for number in STAND_INS:
        found |= (keypoints == number).all(-1)
    return found & ~found.all(0) if len(found) > 1 else found


def check_stand_ins(clip: Clip) -> Iterator[Finding]:
    """Find numbers that stand in for a joint that is missing."""
    for name in ("keypoints_2d", "keypoints_3d"):
        keypoints = getattr(clip, name)
        if keypoints is None:
            continue
        found = stand_ins(keypoints)
        if found.any():
            joints = tuple(clip.skeleton.joints[v] for v in np.flatnonzero(found.any(0)))
            persons = tuple(np.unique(clip.persons[found.any(1)]).tolist())
            yield finding(
                clip, "stand_in", f"{counted(int(found.sum()), 'joint')} of {name} at exactly "
                "(0, 0), (1, 1) or (-1, -1), where missing ones should be NaN",
                frames=clip.frames[found.any(1)], persons=persons, joints=joints,
                value=int(found.sum()), threshold=0,
            )  # fmt: skip


def check_unseen(clip: Clip) -> Iterator[Finding]:
    """Find poses of which not one joint is seen: all are guesses, or missing."""
    if clip.visibility is None or not len(clip.frames):
        return
    unseen = ~(clip.visibility == 2).any(1)
    if unseen.any():
        yield finding(
            clip, "unseen", f"{counted(int(unseen.sum()), 'pose')} without a joint that is seen",
            frames=clip.frames[unseen], persons=tuple(np.unique(clip.persons[unseen]).tolist()),
            value=int(unseen.sum()), threshold=0,
        )  # fmt: skip
