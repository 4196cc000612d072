"""Bodies that are none: they never move, or are furniture that a tracker took for somebody."""

from __future__ import annotations

import warnings

import numpy as np

from posedata.clip import Clip
from posedata.findings.finding import Finding, finding, limits
from posedata.findings.poses import Poses


def motion(keypoints: np.ndarray) -> np.ndarray:
    """Spread of each joint about its place, over a track.

    Parameters
    ----------
    keypoints : float, shape (T, V, C)
        NaN where a joint is missing.

    Returns
    -------
    float64, shape (V,)
        Root of the summed variances of the coordinates; NaN of joints that are never there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.sqrt(np.nanvar(keypoints, axis=0).sum(-1)))


def is_flat(keypoints: np.ndarray, ratio: float) -> np.ndarray:
    """Tell which poses are wider than a person (CTR-GCN's ``get_raw_denoised_data.py``).

    Parameters
    ----------
    keypoints : float, shape (T, V, C)
        NaN where a joint is missing.
    ratio : float
        0.8 there: flat if the joints spread more in x than 0.8 times what they do in y.

    Returns
    -------
    bool, shape (T,)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanmax(keypoints, axis=1) - np.nanmin(keypoints, axis=1)
    return np.asarray(spread[:, 0] > ratio * spread[:, 1])


def check(poses: Poses) -> list[Finding]:
    """Find people who never move, and flat ones beside others who are not."""
    clip, limit = poses.clip, limits("ghost")
    findings, flat, lively = [], {}, {}
    for person, rows in poses.tracks():
        keypoints = poses.keypoints[rows]
        if not poses.present[rows].any():
            continue
        with np.errstate(invalid="ignore"):
            relative = motion(keypoints) / poses.sizes[rows.start]
        known = relative[np.isfinite(relative)]
        if not len(known):
            continue
        largest = float(known.max())
        lively[person] = largest
        if rows.stop - rows.start >= limit["frames"] and largest < limit["motion"]:
            findings.append(finding(
                clip, "ghost", f"never moves in {rows.stop - rows.start:,} frames",
                frames=clip.frames[rows], persons=(person,), value=largest,
                threshold=limit["motion"],
            ))  # fmt: skip
        elif poses.unit == "m" and clip.num_persons > 1:
            flat[person] = (rows, float(is_flat(keypoints, limit["width_over_height"]).mean()))
    for person, (rows, share) in flat.items():
        if share >= limit["share_flat"] and lively[person] < max(lively.values()):
            findings.append(finding(
                clip, "ghost", f"wider than a person in {share:.0%} of its frames",
                frames=clip.frames[rows], persons=(person,), value=share,
                threshold=limit["share_flat"],
            ))  # fmt: skip
    return findings


def check_frozen(poses: Poses) -> list[Finding]:
    """Find runs of frames in which a pose is repeated to the last bit."""
    clip, limit = poses.clip, limits("frozen")
    with np.errstate(invalid="ignore"):
        same = (poses.steps == 0) | (np.isnan(poses.steps) & ~poses.present)
        repeated = same.all(1) & (poses.steps == 0).any(1)
    findings = []
    for person, rows in poses.tracks():
        of_person = repeated[rows]
        lengths = _runs(of_person)
        bad = lengths >= limit["frames"]
        if bad.any():
            findings.append(finding(
                clip, "frozen", f"the same pose in up to {int(lengths.max()) + 1:,} frames in a "
                "row", frames=clip.frames[rows][bad], persons=(person,),
                value=int(lengths.max()), threshold=limit["frames"],
            ))  # fmt: skip
    return findings


def _runs(flags: np.ndarray) -> np.ndarray:
    """Length of the run that each true flag is in; 0 where it is false."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    out = np.zeros(len(flags), np.int64)
    for start, end in edges.reshape(-1, 2).tolist():
        out[start:end] = end - start
    return out


def fingerprint(clip: Clip) -> bytes | None:
    """Digest of a clip's frames and coordinates, for finding clips that are there twice.

    None where there are no poses. People in another order give another one.
    """
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for array in (clip.frames, clip.persons, clip.keypoints_2d, clip.keypoints_3d):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest() if len(clip.frames) else None
