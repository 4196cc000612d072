"""All checks of one clip: those of each of its layers, and those between two of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

import numpy as np

from posedata.clip import Clip
from posedata.findings import (
    bone_lengths,
    ghosts,
    identities,
    jitter,
    missing,
    outside_image,
    side_swaps,
    teleports,
)
from posedata.findings.finding import Finding
from posedata.findings.poses import poses_of

#: Pose columns that checks look at.
COLUMNS = ("keypoints_2d", "keypoints_3d", "scores", "visibility", "boxes")

_OF_COUNTS = {"short_clip", "no_poses", "frames_missing", "track_gap"}


def diagnose_clip(clip: Clip, wanted: Collection[str]) -> list[Finding]:
    """Look at one layer of a clip.

    Parameters
    ----------
    clip : Clip
        With the `COLUMNS` that the layer has.
    wanted : collection of str
        Names of checks; see `posedata.findings.finding.checks`.

    Returns
    -------
    list of Finding
        Of these checks.
    """
    findings: list[Finding] = []
    if not _OF_COUNTS.isdisjoint(wanted):
        findings += missing.check_frames(clip)
    poses = poses_of(clip)
    if poses is None or not len(clip.frames):
        return [found for found in findings if found.check in wanted]
    if "joints_missing" in wanted:
        findings += missing.check_joints(clip, poses.keypoints)
    if "unseen" in wanted:
        findings += missing.check_unseen(clip)
    if "stand_in" in wanted:
        findings += missing.check_stand_ins(clip)
    explained = np.zeros(poses.present.shape, bool)
    if not {"swap", "teleport"}.isdisjoint(wanted):
        found, explained = side_swaps.check_swaps(poses)
        findings += found
    if not {"identity_switch", "track_break", "teleport"}.isdisjoint(wanted):
        found, exchanged = identities.check(poses)
        findings += found
        explained = explained | exchanged[:, None]
    if "teleport" in wanted:
        findings += teleports.check(poses, explained)
    if "jitter" in wanted:
        findings += jitter.check(poses)
    if "bone_length" in wanted:
        findings += bone_lengths.check(poses)
    if "ghost" in wanted:
        findings += ghosts.check(poses)
    if "frozen" in wanted:
        findings += ghosts.check_frozen(poses)
    if "outside_image" in wanted:
        findings += outside_image.check(clip)
    if "box" in wanted:
        findings += outside_image.check_boxes(clip)
    return [found for found in findings if found.check in wanted]


def diagnose_layers(clips: Mapping[str, Clip]) -> Iterator[Finding]:
    """Compare the sides of each two layers of a clip: in the picture, or else in space.

    Parameters
    ----------
    clips : mapping of str to Clip
        The clip by layer.
    """
    for first, second in combinations(clips.values(), 2):
        for name in ("keypoints_2d", "keypoints_3d"):
            one, other = poses_of(first, name), poses_of(second, name)
            if one is not None and other is not None:
                yield from side_swaps.check_layers(one, other)
                break
