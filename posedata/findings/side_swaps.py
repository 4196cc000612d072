"""Left and right exchanged from one frame to the next, and between two layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posedata.findings.finding import Finding, counted, finding, limits
from posedata.findings.poses import Poses


def exchanged_pairs(
    before: np.ndarray, after: np.ndarray, sizes: np.ndarray, pairs: np.ndarray, *,
    apart: float, times: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Tell which left/right pairs fit the pose before only with their names exchanged.

    With d the summed distance of both joints from those of the same name, and d' from those of
    the other name, a pair is exchanged if d > ``times`` d', and if its joints are further apart
    than ``apart`` body sizes in both poses: where they are close together nothing can be told.

    Parameters
    ----------
    before, after : float, shape (N, V, C)
        Poses that should be alike; NaN where a joint is missing.
    sizes : float, shape (N,)
        Body sizes, in the unit of the poses.
    pairs : int, shape (P, 2)
        Joints that change places.
    apart, times : float
        See above.

    Returns
    -------
    exchanged, told : bool, shape (N, P)
        Which are, and of which it can be told.
    """
    left, right = pairs.T

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(((a - b) ** 2).sum(-1)))

    with np.errstate(invalid="ignore"):
        separation = np.minimum(
            distance(before[:, left], before[:, right]), distance(after[:, left], after[:, right])
        )
        told = separation > apart * sizes[:, None]
        same = distance(after[:, left], before[:, left])
        same = same + distance(after[:, right], before[:, right])
        other = distance(after[:, left], before[:, right])
        other = other + distance(after[:, right], before[:, left])
        told &= np.isfinite(same)
        return told & (same > times * other), told


def check_swaps(poses: Poses) -> tuple[list[Finding], np.ndarray]:
    """Find the frames in which sides change their names, and those in which they are exchanged.

    Returns
    -------
    findings : list of Finding
        One a person.
    explained : bool, shape (N, V)
        Joints whose step from the frame before is such a change.
    """
    clip, skeleton = poses.clip, poses.clip.skeleton
    explained = np.zeros(poses.present.shape, bool)
    if not skeleton.swap or len(clip.frames) < 2:
        return [], explained
    limit = limits("swap")
    pairs = np.array(skeleton.swap, np.intp)
    follows = np.flatnonzero((np.diff(clip.frames) == 1) & (np.diff(clip.persons) == 0)) + 1
    exchanged, _ = exchanged_pairs(
        poses.keypoints[follows - 1], poses.keypoints[follows], poses.sizes[follows], pairs,
        apart=limit["apart"], times=limit["times"],
    )  # fmt: skip
    exchanged &= exchanged.sum(1, keepdims=True) >= limit["pairs"]
    toggled = np.zeros((len(clip.frames), len(pairs)), bool)
    toggled[follows] = exchanged
    for number, pair in enumerate(skeleton.swap):
        explained[:, list(pair)] |= toggled[:, [number]]
    findings = []
    for person, rows in poses.tracks():
        of_person = toggled[rows]
        if not of_person.any():
            continue
        changes = int(of_person.any(1).sum())
        wrong = _exchanged_between(of_person, clip.frames[rows])
        frames = clip.frames[rows][wrong.any(1) | of_person.any(1)]
        chosen = of_person.any(0)
        joints = tuple(skeleton.joints[i] for i in sorted(pairs[chosen].reshape(-1).tolist()))
        findings.append(finding(
            clip, "swap", f"left and right change places {counted(changes, 'time')}", frames=frames,
            persons=(person,), joints=joints, value=changes, threshold=0,
        ))  # fmt: skip
    return findings, explained


def _exchanged_between(toggled: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Frames between two changes, or after an odd one: the shorter part of each pair's frames."""
    wrong = (np.cumsum(toggled, 0) % 2).astype(bool)
    for pair in range(wrong.shape[1]):
        if 2 * wrong[:, pair].sum() > len(frames):
            wrong[:, pair] = ~wrong[:, pair]
    return wrong


def check_layers(first: Poses, second: Poses) -> Iterator[Finding]:
    """Find where two layers of a clip name the sides of a person differently.

    People are those of the same number; poses of the other layer that are nowhere near are left
    to other checks. Layers in other units are not compared.
    """
    clip, other = first.clip, second.clip
    names = [
        (left, right)
        for a, b in clip.skeleton.swap
        if {left := clip.skeleton.joints[a], right := clip.skeleton.joints[b]}
        <= set(other.skeleton.joints)
    ]
    if not names or not len(clip.frames) or not len(other.frames):
        return
    limit = limits("layer_swap")
    mine, theirs = _same_poses(clip.frames, clip.persons, other.frames, other.persons)
    own = [clip.skeleton.index(name) for pair in names for name in pair]
    their = [other.skeleton.index(name) for pair in names for name in pair]
    pairs = np.arange(len(own), dtype=np.intp).reshape(-1, 2)
    exchanged, told = exchanged_pairs(
        first.keypoints[mine][:, own], second.keypoints[theirs][:, their], first.sizes[mine],
        pairs, apart=limit["apart"], times=limit["times"],
    )  # fmt: skip
    enough = told.sum(1) >= limit["pairs"]
    wrong = enough & (2 * exchanged.sum(1) > told.sum(1))
    for person in np.unique(clip.persons[mine]).tolist():
        of_person = (clip.persons[mine] == person) & enough
        bad = of_person & wrong
        if not bad.any():
            continue
        share = bad.sum() / of_person.sum()
        whole = share >= limit["share"] and of_person.sum() >= limit["least_poses"]
        text = "in nearly all poses, as where a video is mirrored" if whole else "in some poses"
        yield Finding(
            clip.clip_id, f"{clip.layer}, {other.layer}", "layer_swap",
            "error" if whole else "warning",
            finding(clip, "layer_swap", "", frames=clip.frames[mine][bad]).frames,
            (person,), tuple(name for pair in names for name in pair), float(share),
            limit["share"],
            f"what {clip.layer} names left is right in {other.layer} {text}: {int(bad.sum()):,} "
            f"of the {int(of_person.sum()):,} in which it can be told",
        )  # fmt: skip


def _same_poses(
    frames: np.ndarray, persons: np.ndarray, other_frames: np.ndarray, other_persons: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the same person and frame in both, as two arrays."""
    keys = persons.astype(np.int64) << 32 | frames
    others = other_persons.astype(np.int64) << 32 | other_frames
    _, mine, theirs = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return mine, theirs
