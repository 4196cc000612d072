"""How well each check finds what it should, and how often it is wrong about clean clips.

Clean clips are acted (`posedata.synthetic`), in space and, projected, in the picture. One defect
is put into each. Run this file to print the table of docs/doctor.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from posedata.clip import Clip
from posedata.findings.clip_checks import diagnose_clip, diagnose_layers
from posedata.findings.finding import Finding, checks
from posedata.findings.poses import body_sizes
from posedata.skeleton import load_skeleton
from posedata.synthetic import ACTIONS, skeleton_sample

ALL = set(checks())
Defect = Callable[[Clip, np.random.Generator], tuple[list[Clip], np.ndarray]]


def clean_clip(number: int, dimensions: int, people: int = 1) -> Clip:
    """Somebody who acts for two seconds, as Kinect measures it; others act beside them."""
    actions = sorted(ACTIONS)
    parts = []
    for person in range(people):
        action = actions[(number + 5 * person) % len(actions)]
        sample = skeleton_sample(
            f"S001C001P{1 + (number + person) % 40:03}R001A{ACTIONS[action].number:03}", action,
            60, (number, person),
        )  # fmt: skip
        body = sample.bodies[0]
        assert len(body.frames) == 60
        parts.append(body.joints[..., :3] + np.array([1.2 * person, 0, 0.1 * person]))
    space = np.concatenate(parts)
    skeleton = load_skeleton("nturgbd25")
    frames = np.tile(np.arange(60, dtype=np.int32), people)
    persons = np.repeat(np.arange(people, dtype=np.int32), 60)
    arrays = {"keypoints_3d": space.astype(np.float32)}
    if dimensions == 2:
        pixels = [960, 540] + space[..., :2] * [1050, -1050] / space[..., 2:]
        arrays = {"keypoints_2d": pixels.astype(np.float32)}
    return Clip(f"{number:04}", "made", skeleton, frames=frames, persons=persons, **arrays,
                info={"num_frames": 60, "width": 1920, "height": 1080, "fps": 30.0})  # fmt: skip


def _poses(clip: Clip) -> tuple[str, np.ndarray]:
    name = "keypoints_2d" if clip.keypoints_3d is None else "keypoints_3d"
    return name, getattr(clip, name).copy()


def _with(clip: Clip, name: str, poses: np.ndarray) -> Clip:
    return replace(clip, **{name: poses.astype(np.float32)})


def _size(clip: Clip, poses: np.ndarray) -> float:
    return float(body_sizes(poses, clip.persons)[0])


def _direction(rng: np.random.Generator, dimensions: int) -> np.ndarray:
    way = rng.normal(size=dimensions)
    return way / np.linalg.norm(way)


def teleport(clip, rng):
    """A joint is elsewhere in one frame, by a third to one body."""
    name, poses = _poses(clip)
    frame, joint = rng.integers(2, 58), rng.integers(poses.shape[1])
    poses[frame, joint] += (
        rng.uniform(0.33, 1) * _size(clip, poses) * _direction(rng, poses.shape[2])
    )
    return [_with(clip, name, poses)], np.array([frame])


def body_jump(clip, rng):
    """The whole body is elsewhere from some frame on, by half to two bodies."""
    name, poses = _poses(clip)
    frame = rng.integers(5, 55)
    poses[frame:] += rng.uniform(0.5, 2) * _size(clip, poses) * _direction(rng, poses.shape[2])
    return [_with(clip, name, poses)], np.array([frame])


def jitter(clip, rng):
    """Independent noise of 3 to 6 % of the body on five joints."""
    name, poses = _poses(clip)
    joints = rng.choice(poses.shape[1], 5, replace=False)
    scale = rng.uniform(0.03, 0.06) * _size(clip, poses) / np.sqrt(poses.shape[2])
    poses[:, joints] += rng.normal(0, scale, (60, 5, poses.shape[2]))
    return [_with(clip, name, poses)], np.arange(60)


def bone_length(clip, rng):
    """A forearm or shin is three to five times as long for ten frames."""
    name, poses = _poses(clip)
    joints = [("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
              ("left_knee", "left_ankle"), ("right_knee", "right_ankle")]  # fmt: skip
    first, second = (clip.skeleton.index(n) for n in joints[rng.integers(4)])
    start = rng.integers(5, 45)
    rows = slice(start, start + 10)
    poses[rows, second] = poses[rows, first] + rng.uniform(3, 5) * (
        poses[rows, second] - poses[rows, first]
    )
    return [_with(clip, name, poses)], np.arange(start, start + 10)


def swap(clip, rng):
    """Left and right change names for 5 to 15 frames."""
    name, poses = _poses(clip)
    start = rng.integers(5, 40)
    end = start + rng.integers(5, 16)
    poses[start:end] = poses[start:end][:, clip.skeleton.flip_order]
    return [_with(clip, name, poses)], np.arange(start, end)


def layer_swap(clip, rng):
    """A second layer names all sides the other way."""
    name, poses = _poses(clip)
    noise = rng.normal(0, 0.01 * _size(clip, poses), poses.shape)
    other = _with(clip, name, (poses + noise)[:, clip.skeleton.flip_order])
    return [clip, replace(other, layer="other")], np.arange(60)


def identity_switch(clip, rng):
    """Two people exchange their numbers from some frame on."""
    name, poses = _poses(clip)
    frame = rng.integers(5, 55)
    later = clip.frames >= frame
    first, second = later & (clip.persons == 0), later & (clip.persons == 1)
    poses[first], poses[second] = poses[second], poses[first].copy()
    return [_with(clip, name, poses)], np.array([frame])


def ghost(clip, rng):
    """A second body stands still for the whole clip, but for noise of half a thousandth."""
    name, poses = _poses(clip)
    size = _size(clip, poses)
    still = poses[:1] + 0.8 * size * _direction(rng, poses.shape[2])
    still = still + rng.normal(0, 0.0005 * size, poses.shape)
    other = replace(
        clip, frames=np.tile(clip.frames, 2),
        persons=np.repeat(np.arange(2, dtype=np.int32), 60),
        **{name: np.concatenate([poses, still]).astype(np.float32)},
    )  # fmt: skip
    return [other], np.arange(60)


def frozen(clip, rng):
    """The pose of a frame is repeated 12 to 20 times."""
    name, poses = _poses(clip)
    start, length = rng.integers(5, 35), rng.integers(12, 20)
    poses[start : start + length] = poses[start]
    return [_with(clip, name, poses)], np.arange(start + 1, start + length)


def joints_missing(clip, rng):
    """One pose loses 8 of 25 joints."""
    name, poses = _poses(clip)
    frame = rng.integers(60)
    poses[frame, rng.choice(25, 8, replace=False)] = np.nan
    return [_with(clip, name, poses)], np.array([frame])


def stand_in(clip, rng):
    """A joint is at exactly 0 in one frame."""
    name, poses = _poses(clip)
    frame = rng.integers(60)
    poses[frame, rng.integers(poses.shape[1])] = 0
    return [_with(clip, name, poses)], np.array([frame])


def track_break(clip, rng):
    """Somebody gets another number, after up to five frames in which nobody is there."""
    frame, gap = rng.integers(20, 40), rng.integers(0, 6)
    keep = (clip.frames < frame) | (clip.frames >= frame + gap)
    name, poses = _poses(clip)
    persons = (clip.frames >= frame + gap).astype(np.int32)
    other = replace(clip, frames=clip.frames[keep], persons=persons[keep],
                    **{name: poses[keep]})  # fmt: skip
    return [other], np.array([frame + gap])


def frames_missing(clip, rng):
    """Nobody is there in five frames."""
    start = rng.integers(5, 50)
    keep = (clip.frames < start) | (clip.frames >= start + 5)
    name, poses = _poses(clip)
    other = replace(clip, frames=clip.frames[keep], persons=clip.persons[keep],
                    **{name: poses[keep]})  # fmt: skip
    return [other], np.arange(start, start + 5)


# Defect: (its check, people in the clip, least recall that the tests demand).
DEFECTS: dict[Defect, tuple[str, int, float]] = {
    teleport: ("teleport", 1, 0.95),
    body_jump: ("teleport", 1, 1.0),
    jitter: ("jitter", 1, 0.9),
    bone_length: ("bone_length", 1, 0.7),
    swap: ("swap", 1, 0.8),
    layer_swap: ("layer_swap", 1, 1.0),
    identity_switch: ("identity_switch", 2, 0.95),
    ghost: ("ghost", 1, 1.0),
    frozen: ("frozen", 1, 1.0),
    joints_missing: ("joints_missing", 1, 1.0),
    stand_in: ("stand_in", 1, 1.0),
    track_break: ("track_break", 1, 0.9),
    frames_missing: ("frames_missing", 1, 1.0),
}


def findings_of(clips: list[Clip]) -> list[Finding]:
    """Everything that is found in the layers of one clip."""
    found = [finding for clip in clips for finding in diagnose_clip(clip, ALL)]
    return found + list(diagnose_layers({clip.layer: clip for clip in clips}))


def is_hit(found: list[Finding], check: str, frames: np.ndarray) -> bool:
    """Whether a check has found something in the frames of a defect."""
    spans = [span for finding in found if finding.check == check for span in finding.frames]
    return any(first <= frame <= last for first, last in spans for frame in frames.tolist())


def measure(defect: Defect, dimensions: int, count: int) -> tuple[int, int, int]:
    """Count hits, clips with the defect, and clean clips in which the check finds something."""
    check, people, _ = DEFECTS[defect]
    hits = wrong = 0
    for number in range(count):
        clean = clean_clip(number, dimensions, people)
        beside = [clean, replace(clean, layer="other")]
        wrong += any(f.check == check for f in findings_of(beside))
        clips, frames = defect(clean, np.random.default_rng([number, dimensions]))
        hits += is_hit(findings_of(clips), check, frames)
    return hits, count, wrong


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_defect_is_found_and_clean_clips_are_not(defect, dimensions):
    hits, count, wrong = measure(defect, dimensions, 8)
    assert hits / count >= DEFECTS[defect][2] - 0.15
    assert wrong == 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_nothing_is_found_in_clean_clips(dimensions):
    noted = [
        finding
        for number in range(len(ACTIONS))
        for finding in diagnose_clip(clean_clip(number, dimensions, 2), ALL)
    ]
    assert noted == []


def main(count: int = 200) -> None:
    """Print the table."""
    for defect, (check, _, _) in DEFECTS.items():
        for dimensions in (2, 3):
            hits, of, wrong = measure(defect, dimensions, count)
            precision = hits / max(1, hits + wrong)
            line = f"| {defect.__name__} | {check} | {dimensions}D | {precision:.3f} | "
            print(line + f"{hits / of:.3f} | {wrong} of {of} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
