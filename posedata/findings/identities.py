"""People who change their numbers: two who exchange them, and one who gets another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from posedata.compiled import kernel
from posedata.findings.finding import Finding, counted, finding, limits
from posedata.findings.poses import Poses


def find_exchanges(
    keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray, sizes: np.ndarray, *,
    gap: int, times: float, apart: float,
) -> np.ndarray:  # fmt: skip
    """Find the frames in which two people fit their earlier poses only crosswise.

    Of two people, each frame that has both is compared with the frame before that had both, if
    that is at most ``gap`` earlier: they may be lost in between, as where one hides the other.
    With d the summed mean distance of the joints from those of the same number, and d' from those
    of the other one, they are exchanged if d > ``times`` d' and d / 2 > ``apart`` body sizes.

    Parameters
    ----------
    keypoints : float64, shape (N, V, C)
        Sorted by (person, frame); NaN where a joint is missing.
    frames, persons : int32, shape (N,)
        Whose poses.
    sizes : float64, shape (N,)
        Body sizes.
    gap, times, apart
        See above.

    Returns
    -------
    int64, shape (K, 2)
        Rows of the two poses in the frame in which the numbers are exchanged.
    """
    return _find_exchanges(keypoints, frames, persons, sizes, gap, times, apart)


def plain_exchanges(
    keypoints: np.ndarray, frames: np.ndarray, persons: np.ndarray, sizes: np.ndarray, *,
    gap: int, times: float, apart: float,
) -> np.ndarray:  # fmt: skip
    """Say what `find_exchanges` computes, in numpy."""
    found = []
    people = np.unique(persons)

    def distance(a: int, b: int) -> float:
        ways = np.sqrt(((keypoints[a] - keypoints[b]) ** 2).sum(-1))
        known = np.isfinite(ways)
        return float(ways[known].mean()) if known.any() else np.nan

    for number, one in enumerate(people):
        for other in people[number + 1 :]:
            rows = {int(frames[n]): n for n in np.flatnonzero(persons == one)}
            others = {int(frames[n]): n for n in np.flatnonzero(persons == other)}
            both = sorted(rows.keys() & others.keys())
            for before, after in pairwise(both):
                if after - before > gap:
                    continue
                a0, a1, b0, b1 = rows[before], rows[after], others[before], others[after]
                same = distance(a1, a0) + distance(b1, b0)
                cross = distance(a1, b0) + distance(b1, a0)
                size = max(sizes[a0], sizes[b0])
                if same > times * cross and same / 2 > apart * size:
                    found.append((a1, b1))
    return np.array(found, np.int64).reshape(-1, 2)


@kernel
def _find_exchanges(keypoints, frames, persons, sizes, gap, times, apart):
    num = len(frames)
    starts = [0]
    for n in range(1, num):
        if persons[n] != persons[n - 1]:
            starts.append(n)
    starts.append(num)
    found = []
    for i in range(len(starts) - 1):
        for j in range(i + 1, len(starts) - 1):
            a, b = starts[i], starts[j]
            a0, b0 = -1, -1
            while a < starts[i + 1] and b < starts[j + 1]:
                if frames[a] < frames[b]:
                    a += 1
                elif frames[b] < frames[a]:
                    b += 1
                else:
                    if a0 >= 0 and frames[a] - frames[a0] <= gap:
                        same = _distance(keypoints[a], keypoints[a0])
                        same += _distance(keypoints[b], keypoints[b0])
                        cross = _distance(keypoints[a], keypoints[b0])
                        cross += _distance(keypoints[b], keypoints[a0])
                        size = max(sizes[a0], sizes[b0])
                        if same > times * cross and same / 2 > apart * size:
                            found.append((a, b))
                    a0, b0 = a, b
                    a += 1
                    b += 1
    out = np.empty((len(found), 2), np.int64)
    for n in range(len(found)):
        out[n, 0], out[n, 1] = found[n]
    return out


@kernel
def _distance(a, b):
    total, count = 0.0, 0
    for v in range(a.shape[0]):
        square = 0.0
        for c in range(a.shape[1]):
            d = a[v, c] - b[v, c]
            square += d * d
        if np.isfinite(square):
            total += np.sqrt(square)
            count += 1
    return total / count if count else np.nan


def check(poses: Poses) -> tuple[list[Finding], np.ndarray]:
    """Find exchanged numbers, and tracks that another one goes on with.

    Returns
    -------
    findings : list of Finding
        One for each two people.
    explained : bool, shape (N,)
        Poses whose step from the frame before is such an exchange.
    """
    clip, limit = poses.clip, limits("identity_switch")
    explained = np.zeros(len(clip.frames), bool)
    if clip.num_persons < 2:
        return [], explained
    rows = find_exchanges(
        poses.keypoints, clip.frames, clip.persons, poses.sizes, gap=int(limit["gap"]),
        times=limit["times"], apart=limit["apart"],
    )  # fmt: skip
    explained[rows.reshape(-1)] = True
    findings = []
    couples = clip.persons[rows]
    for couple in np.unique(couples, axis=0) if len(rows) else ():
        frames = clip.frames[rows[(couples == couple).all(1), 0]]
        one, other = couple.tolist()
        findings.append(finding(
            clip, "identity_switch", f"persons {one} and {other} exchange their numbers in "
            f"{counted(len(frames), 'frame')}", frames=frames, persons=(one, other),
            value=len(frames), threshold=0,
        ))  # fmt: skip
    return [*findings, *_continued(poses)], explained


def _continued(poses: Poses) -> list[Finding]:
    """People whose track ends where another one begins."""
    clip, limit = poses.clip, limits("track_break")
    tracks = poses.tracks()
    firsts = np.array([rows.start for _, rows in tracks])
    findings = []
    for person, rows in tracks:
        last = rows.stop - 1
        waits = clip.frames[firsts] - clip.frames[last]
        for number in np.flatnonzero((waits > 0) & (waits <= limit["gap"])).tolist():
            other, first, wait = tracks[number][0], firsts[number], int(waits[number])
            ways = np.sqrt(((poses.keypoints[first] - poses.keypoints[last]) ** 2).sum(-1))
            ways = ways[np.isfinite(ways)]
            if len(ways) and ways.mean() < limit["near"] * poses.sizes[last]:
                findings.append(finding(
                    clip, "track_break", f"person {person} ends where person {other} begins "
                    f"{counted(wait, 'frame')} later", frames=clip.frames[[last, first]],
                    persons=(person, other), value=float(ways.mean() / poses.sizes[last]),
                    threshold=limit["near"],
                ))  # fmt: skip
                break
    return findings
