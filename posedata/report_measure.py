"""What the report counts in the poses of some clips: joints, scores, agreement, winners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.compare_layers import compared_joints, pair_people, take_joints
from posedata.engine import map_shards
from posedata.fusion_methods import head_and_neck
from posedata.match_people import joint_sigmas
from posedata.metrics_2d import joint_distances, present_joints
from posedata.release import Release
from posedata.remap import remap
from posedata.report_histogram import histograms
from posedata.skeleton import load_skeleton
from posedata.storage import Location

#: Ends of the bins of scores and of C.
SCORE_EDGES = np.linspace(0, 1, 26)

#: The joint set in which head lengths are measured, as the fusion does.
HEAD_SET = "main13"

_CLIPS_OF_A_TASK = 64
_COLUMNS = ("keypoints_2d", "keypoints_3d", "scores", "visibility", "confidence", "winner",
            "agreed")  # fmt: skip
_FIXED_POINT = 1 << 20  # scores are added up as whole numbers: the same sum in any order

#: Sums by their names; each is a whole number or an array of them.
Sums = dict[str, Any]


@dataclass(frozen=True)
class MeasureTask:
    """Clips to count in, as they are sent to a worker."""

    index: int
    release: Location
    clip_ids: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Everything that was counted.

    Attributes
    ----------
    layers : mapping of str to Sums
        From `measure_layer`, added up over clips.
    pairs : mapping of (str, str) to Sums
        From `measure_pair`, for layers that both have pixels.
    sureness : mapping of str to float
        For each clip the least, over layers, of the mean C (of layers that store it) or else of
        the mean score; clips without either are not in it.
    """

    layers: Mapping[str, Sums]
    pairs: Mapping[tuple[str, str], Sums]
    sureness: Mapping[str, float] = field(default_factory=dict)


def measure(
    release: Release, layers: Sequence[str], clip_ids: Sequence[str], *,
    num_workers: int | None = None, progress: bool = False,
) -> Measured:  # fmt: skip
    """Count in the poses of clips; memory holds one row group of each layer, and the sums.

    Parameters
    ----------
    release : Release
        Whose poses.
    layers : sequence of str
        Of them.
    clip_ids : sequence of str
        Sorted.
    num_workers : int, optional
        Processes; the sums do not depend on it.
    progress : bool
        Whether to draw a bar on stderr.
    """
    tasks = [
        MeasureTask(number, release.place, tuple(clip_ids[at : at + _CLIPS_OF_A_TASK]),
                    tuple(layers))
        for number, at in enumerate(range(0, len(clip_ids) if layers else 0, _CLIPS_OF_A_TASK))
    ]  # fmt: skip
    if not release.place.is_shared_between_processes:
        num_workers = 1
    of_layers: dict[str, Sums] = {}
    of_pairs: dict[tuple[str, str], Sums] = {}
    sureness: dict[str, float] = {}
    for part in map_shards(measure_clips, tasks, num_workers=num_workers, progress=progress,
                           weights=[len(task.clip_ids) for task in tasks]):  # fmt: skip
        for layer, sums in part.layers.items():
            _add(of_layers.setdefault(layer, {}), sums)
        for pair, sums in part.pairs.items():
            _add(of_pairs.setdefault(pair, {}), sums)
        sureness.update(part.sureness)
    ordered = {pair: of_pairs[pair] for pair in _pairs_of(release, layers) if pair in of_pairs}
    return Measured({name: of_layers[name] for name in layers if name in of_layers}, ordered,
                    dict(sorted(sureness.items())))  # fmt: skip


def measure_clips(task: MeasureTask) -> Measured:
    """Count in the clips of one task."""
    from posedata.aligned_clips import aligned_clips
    from posedata.release import open_release

    release = open_release(task.release)
    pairs = _pairs_of(release, task.layers)
    experts = {name: experts_of(release, name) for name in task.layers}
    of_layers: dict[str, Sums] = {}
    of_pairs: dict[tuple[str, str], Sums] = {}
    sureness: dict[str, float] = {}
    for clip_id, found in zip(
        task.clip_ids, aligned_clips(release, task.layers, task.clip_ids, _COLUMNS), strict=True
    ):
        for name, clip in found.items():
            _add(of_layers.setdefault(name, {}), measure_layer(clip, len(experts[name])))
        for a, b in pairs:
            if a in found and b in found:
                _add(of_pairs.setdefault((a, b), {}), measure_pair(found[a], found[b]))
        told = _sureness(found.values())
        if told is not None:
            sureness[clip_id] = told
    return Measured(of_layers, of_pairs, sureness)


def measure_layer(clip: Clip, num_experts: int = 0) -> Sums:
    """Count in one clip of one layer.

    Parameters
    ----------
    clip : Clip
        N poses of V joints.
    num_experts : int
        E, how many experts were fused; 0 where the layer is no fusion.

    Returns
    -------
    Sums
        ``clips``, ``frames``, ``frames_with_people``, ``poses``, ``tracks``, ``gap_frames``
        (frames within tracks in which the person is missing); int64 (V,): ``present``,
        ``inferred``, ``score_sum`` (in 2**-20), ``agreed``; int64 (25,): ``score_bins`` of
        joints that are there, ``confidence_bins``; ``confidence_unknown``; ``winner``,
        int64 (E + 1, V), missing ones last.
    """
    joints = clip.skeleton.num_joints
    keypoints = clip.keypoints_2d if clip.keypoints_2d is not None else clip.keypoints_3d
    there = np.zeros((len(clip.frames), joints), bool)
    if keypoints is not None:
        there = present_joints(keypoints)
    same_person = np.diff(clip.persons) == 0
    steps = np.diff(clip.frames.astype(np.int64))
    sums: Sums = {
        "clips": 1,
        "frames": int(clip.num_frames),
        "frames_with_people": len(np.unique(clip.frames)),
        "poses": len(clip.frames),
        "tracks": len(np.unique(clip.persons)),
        "gap_frames": int((steps[same_person] - 1).sum()),
        "present": there.sum(0, dtype=np.int64),
    }
    if clip.visibility is not None:
        sums["inferred"] = (there & (clip.visibility == 1)).sum(0, dtype=np.int64)
    if clip.scores is not None:
        scores = np.clip(np.nan_to_num(clip.scores), 0, 1)
        fixed = np.rint(scores.astype(np.float64) * _FIXED_POINT).astype(np.int64)
        sums["score_sum"] = np.where(there, fixed, 0).sum(0)
        sums["score_bins"] = np.histogram(scores[there], SCORE_EDGES)[0]
    if "confidence" in clip.extra:
        confidence = clip.extra["confidence"]
        known = np.isfinite(confidence)
        sums["confidence_bins"] = np.histogram(np.clip(confidence[known], 0, 1), SCORE_EDGES)[0]
        sums["confidence_unknown"] = int((~known).sum())
    if "winner" in clip.extra and num_experts:
        winner = clip.extra["winner"].astype(np.int64)
        winner = np.where((winner < 0) | (winner >= num_experts), num_experts, winner)
        at = winner + np.arange(joints) * (num_experts + 1)
        counts = np.bincount(at.ravel(), minlength=joints * (num_experts + 1))
        sums["winner"] = counts.reshape(joints, num_experts + 1).T
    if "agreed" in clip.extra:
        sums["agreed"] = np.where(there, clip.extra["agreed"], 0).sum(0, dtype=np.int64)
    return sums


def measure_pair(a: Clip, b: Clip) -> Sums:
    """Compare two layers of one clip, joint by joint.

    Joints are compared that both skeletons have; people are paired as
    `posedata.compare_layers.pair_people` does. The head length of a pair is the distance of the
    head and the middle of the shoulders of the first pose, or else of the second.

    Parameters
    ----------
    a, b : Clip
        With pixels.

    Returns
    -------
    Sums
        ``poses_a``, ``poses_b``, ``paired``, ``by_oks`` (clips); int64 (J,): ``compared``,
        ``measured`` (those with a head length), ``within`` (at most half of it); int64
        (J, NUM_BINS): ``pixels`` and ``heads``, distances as `histograms` has them.
    """
    joints = compared_joints(a.skeleton, b.skeleton)
    assert a.keypoints_2d is not None and b.keypoints_2d is not None
    at = list(joints.true)
    mine = take_joints(a.keypoints_2d, a.skeleton, joints.predicted)
    theirs = b.keypoints_2d[:, at]
    rows, by_oks = pair_people(
        "auto", a.frames, a.persons, b.frames, b.persons, mine, theirs, joint_sigmas(b.skeleton)[at]
    )
    paired = rows >= 0
    distances = joint_distances(mine[rows[paired]], theirs[paired])
    lengths = _head_lengths(a)[rows[paired]]
    lengths = np.where(lengths > 0, lengths, _head_lengths(b)[paired])
    with np.errstate(divide="ignore", invalid="ignore"):
        in_heads = np.where(lengths[:, None] > 0, distances / lengths[:, None], np.nan)
    return {
        "poses_a": len(a.frames),
        "poses_b": len(b.frames),
        "paired": int(paired.sum()),
        "by_oks": int(by_oks),
        "compared": np.isfinite(distances).sum(0),
        "measured": np.isfinite(in_heads).sum(0),
        "within": (in_heads <= 0.5).sum(0),
        "pixels": histograms(distances),
        "heads": histograms(in_heads),
    }


def _head_lengths(clip: Clip) -> np.ndarray:
    """Distance of head and middle of the shoulders, float64 (N,); NaN where it is unknown."""
    skeleton = load_skeleton(HEAD_SET)
    assert clip.keypoints_2d is not None
    poses = remap(clip.keypoints_2d, clip.skeleton, skeleton).keypoints.astype(np.float64)
    head, neck = head_and_neck(skeleton)
    middle = poses[:, list(neck)].mean(1) if isinstance(neck, tuple) else poses[:, neck]
    return np.linalg.norm(poses[:, head] - middle, axis=-1)


def _pairs_of(release: Release, layers: Sequence[str]) -> list[tuple[str, str]]:
    """Layers with pixels and with a joint in common, in the order of the release."""
    flat = [name for name in layers if "keypoints_2d" in release.table(name).pose_columns]
    return [
        (a, b) for number, a in enumerate(flat) for b in flat[number + 1 :]
        if compared_joints(release.skeleton(a), release.skeleton(b)).names
    ]  # fmt: skip


def experts_of(release: Release, layer: str) -> list[str]:
    """Names of the experts of a fused layer, as its winners are numbered."""
    experts = release.manifest.layers[layer].get("made_by", {}).get("experts", [])
    return [str(name) for name in experts] if isinstance(experts, list) else []


def _sureness(clips: Iterable[Clip]) -> float | None:
    """The least mean C of the layers that store it, or else the least mean score."""
    for column in ("confidence", "scores"):
        means = []
        for clip in clips:
            values = clip.arrays.get(column)
            if values is not None and np.isfinite(values).any():
                means.append(float(np.nanmean(values, dtype=np.float64)))
        if means:
            return min(means)
    return None


def _add(total: Sums, more: Sums) -> None:
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value
