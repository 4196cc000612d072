"""Bones whose length cannot be: in space it changes, in the picture it fits no body."""

from __future__ import annotations

import json
import warnings
from functools import cache
from importlib import resources

import numpy as np

from posedata.findings.finding import Finding, counted, finding, limits
from posedata.findings.poses import Poses, column_medians
from posedata.skeleton import Skeleton


def bone_lengths(keypoints: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Length of every bone in every pose.

    Parameters
    ----------
    keypoints : float, shape (N, V, C)
        NaN where a joint is missing.
    bones : int, shape (B, 2)
        Pairs of joints.

    Returns
    -------
    float64, shape (N, B)
        In the unit of ``keypoints``; NaN where either end is missing.
    """
    start, end = bones.T
    return np.asarray(np.sqrt(((keypoints[:, end] - keypoints[:, start]) ** 2).sum(-1)))


def excess_of_bones(lengths: np.ndarray, proportions: np.ndarray, limbs: np.ndarray) -> np.ndarray:
    """How much longer a bone is in the picture than the rest of the body allows.

    A bone of length l that is the part r of the body height cannot belong to a body smaller than
    l / r, as a picture only shortens bones. The result is l / r over the largest such height of
    the bones of other limbs.

    Parameters
    ----------
    lengths : float, shape (N, B)
        Pixels; NaN where unknown.
    proportions : float, shape (B,)
        Part r of the body height.
    limbs : int, shape (B,)
        Bones of one limb are not compared: one joint in the wrong place makes several long.

    Returns
    -------
    float64, shape (N, B)
        NaN where a bone, or all of the others, are unknown or without length.
    """
    heights = lengths / proportions
    out = np.full(lengths.shape, np.nan)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        for limb in np.unique(limbs):
            own = limbs == limb
            known = np.isfinite(heights[:, ~own]).sum(1) >= 2
            largest = np.nanmax(np.where(known[:, None], heights[:, ~own], np.nan), axis=1)
            out[:, own] = heights[:, own] / largest[:, None]
    out[~np.isfinite(out)] = np.nan
    return out


def check(poses: Poses) -> list[Finding]:
    """Find bones that vary (3D), or that are too long beside the others (2D)."""
    if poses.unit == "m":
        return _varying(poses)
    return _too_long(poses)


def _varying(poses: Poses) -> list[Finding]:
    clip, limit = poses.clip, limits("bone_length")
    bones = clip.skeleton.bone_indices
    lengths = bone_lengths(poses.keypoints, bones)
    findings = []
    for person, rows in poses.tracks():
        if rows.stop - rows.start < limit["frames"]:
            continue
        of_person = lengths[rows]
        usual = column_medians(of_person)
        with np.errstate(invalid="ignore", divide="ignore"):
            change = np.maximum(of_person / usual, usual / of_person)
            long_enough = usual > limit["least_length"] * poses.sizes[rows.start]
            off = np.abs(of_person - usual) / poses.sizes[rows.start]
            bad = (change > limit["change"]) & (off > limit["least_change"]) & long_enough
        if bad.any():
            findings.append(_finding(poses, person, rows, bad, change, bones, "change",
                                     "up to {:.1f} times as long or short as usual"))  # fmt: skip
    return findings


def _too_long(poses: Poses) -> list[Finding]:
    clip, limit = poses.clip, limits("bone_length")
    bones, proportions, limbs = _proportions(clip.skeleton)
    if len(np.unique(limbs)) < 3:
        return []
    lengths = bone_lengths(poses.keypoints, bones)
    excess = excess_of_bones(lengths, proportions, limbs)
    findings = []
    for person, rows in poses.tracks():
        with np.errstate(invalid="ignore"):
            part = lengths[rows] / poses.sizes[rows.start]
            bad = (excess[rows] > limit["excess"]) & (part > limit["part_of_body"])
        if bad.any():
            text = "up to {:.1f} times as long as other limbs allow"
            findings.append(_finding(poses, person, rows, bad, excess[rows], bones, "excess", text))
    return findings


def _finding(
    poses: Poses, person: int, rows: slice, bad: np.ndarray, value: np.ndarray,
    bones: np.ndarray, limit: str, text: str,
) -> Finding:  # fmt: skip
    clip = poses.clip
    at = np.unique(bones[bad.any(0)])
    worst = float(np.nanmax(value[bad]))
    return finding(
        clip, "bone_length", f"{counted(int(bad.any(0).sum()), 'bone')} {text.format(worst)}",
        frames=clip.frames[rows][bad.any(1)], persons=(person,),
        joints=tuple(clip.skeleton.joints[v] for v in at.tolist()), value=worst,
        threshold=limits("bone_length")[limit],
    )  # fmt: skip


@cache
def _proportions(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bones of known proportion that a skeleton has: joints, part of the height, limb."""
    text = resources.files("posedata.schemas").joinpath("doctor.json").read_text("utf-8")
    bones, parts, limbs = [], [], []
    for number, limb in enumerate(json.loads(text)["proportions"]["limbs"]):
        for first, second, part in limb:
            if first in skeleton.joints and second in skeleton.joints:
                bones.append((skeleton.index(first), skeleton.index(second)))
                parts.append(part)
                limbs.append(number)
    return np.array(bones, np.intp).reshape(-1, 2), np.array(parts), np.array(limbs)
