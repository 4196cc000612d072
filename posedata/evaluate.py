"""How good the layers of a release are: each compared with the layer that is taken as true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from posedata.clip import Clip
from posedata.coco_ap import CocoPoses, coco_average_precision
from posedata.compare_layers import (
    ComparedJoints,
    People,
    compared_joints,
    pair_people,
    person_areas,
    take_joints,
)
from posedata.errors import UsageError
from posedata.evaluate_clip import ClipValues, PairedPoses, evaluate_clip
from posedata.evaluation_score import Score, score_of
from posedata.match_people import joint_sigmas
from posedata.metric_names import COCO_KINDS, Metric
from posedata.metrics_2d import MPII_NOT_IN_MEAN
from posedata.release import Release
from posedata.skeleton import Skeleton

BY = ("joint", "clip", "label", "camera")


@dataclass(frozen=True)
class LayerCounts:
    """How a predicted layer was compared.

    Attributes
    ----------
    clips, clips_without_layer : int
        True clips that the layer has, and that it lacks (they are left out).
    clips_by_oks : int
        Clips whose people were paired by OKS.
    true_poses, paired_poses, extra_poses : int
        True ones, those with a predicted one, and predicted ones without a true one.
    derived : dict
        Joints that are derived, and their rules.
    joints_left_out : tuple of str
        Joints of the true skeleton that are not compared.
    """

    clips: int
    clips_without_layer: int
    clips_by_oks: int
    true_poses: int
    paired_poses: int
    extra_poses: int
    derived: dict[str, str]
    joints_left_out: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`: the scores, the joints that were compared, and the counts."""

    truth: str
    joints: tuple[str, ...]
    scores: tuple[Score, ...]
    layers: dict[str, LayerCounts]


@dataclass
class _Tally:
    """What is known of one layer so far: a small record for each clip and metric."""

    values: dict[str, list[ClipValues]]
    groups: list[str] = field(default_factory=list)
    coco: CocoPoses = field(default_factory=CocoPoses)
    without_layer: int = 0
    by_oks: int = 0
    true_poses: int = 0
    paired: int = 0
    extra: int = 0


def evaluate(
    release: Release,
    predicted: Sequence[str],
    truth: str,
    metrics: Sequence[Metric],
    *,
    by: str | None = None,
    clip_ids: Sequence[str] | None = None,
    joints: Sequence[str] = (),
    derived: bool = False,
    people: People = "auto",
    num_samples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Compare layers with one that is taken as true, a clip at a time.

    Joints are compared by name; all layers on the joints that every one of them has, so that
    their numbers can be compared, too. Memory grows by a small record for each clip and metric,
    except for COCO's metrics, whose evaluator wants all poses at once.

    Parameters
    ----------
    release : Release
        With all the layers.
    predicted : sequence of str
        Layers to measure.
    truth : str
        The layer that is right.
    metrics : sequence of Metric
        From `posedata.metric_names.parse_metrics`.
    by : {"joint", "clip", "label", "camera"}, optional
        Give a score for each of these, too.
    clip_ids : sequence of str, optional
        Clips to compare, e.g. ``release.split("xsub", "test")``; all by default.
    joints : sequence of str, optional
        Compare only these.
    derived : bool
        Also compare joints that a rule makes of the predicted ones.
    people : {"auto", "id", "oks"}
        How people are paired; see `posedata.compare_layers.pair_people`.
    num_samples, seed : int
        Of the bootstrap over clips; 0 samples: no intervals.
    progress : bool
        Whether to draw a progress bar on stderr.

    Raises
    ------
    UsageError
        If a layer, a joint or a length that a metric divides by is not there.
    """
    if by is not None and by not in BY:
        raise UsageError("--by", found=repr(by), expected=", ".join(BY))
    if not predicted:
        raise UsageError("no layer to evaluate", expected=f"some of {', '.join(release.layers)}")
    if len(set(predicted)) != len(predicted):
        raise UsageError("a layer is named twice", found=", ".join(predicted))
    skeleton = release.skeleton(truth)
    compared = _choose_joints(release, predicted, skeleton, joints, derived)
    scores: list[Score] = []
    counts: dict[str, LayerCounts] = {}
    for layer in predicted:
        tally = _compare(
            release, layer, truth, compared[layer], metrics, by, clip_ids, people, progress
        )
        counts[layer] = _counts(tally, compared[layer], skeleton)
        for metric in metrics:
            scores += _scores(
                layer, metric, tally, compared[layer], by, skeleton, num_samples, seed
            )
    return Evaluation(truth, compared[predicted[0]].names, tuple(scores), counts)


def _choose_joints(
    release: Release, layers: Sequence[str], true: Skeleton, joints: Sequence[str], derived: bool
) -> dict[str, ComparedJoints]:
    """Joints that every layer has, in the order of the true skeleton."""
    for joint in joints:
        true.index(joint)
    of_layer = {
        layer: compared_joints(release.skeleton(layer), true, derived=derived) for layer in layers
    }
    for layer, compared in of_layer.items():
        lacking = [joint for joint in joints if joint not in compared.names]
        if lacking:
            raise UsageError(
                f"layer {layer} has no {', '.join(lacking)}", found=", ".join(compared.names),
                remedy=None if derived else "--derived adds joints that a rule makes of others.",
            )  # fmt: skip
    common = [
        joint
        for joint in true.joints
        if all(joint in compared.names for compared in of_layer.values())
        and (not joints or joint in joints)
    ]
    if not common:
        raise UsageError(f"layers without a common joint: {', '.join(layers)} and {true.name}",
                         remedy="--derived adds joints that a rule makes of others.")  # fmt: skip
    chosen = {}
    for layer, compared in of_layer.items():
        at = [compared.names.index(joint) for joint in common]
        chosen[layer] = ComparedJoints(
            tuple(common),
            tuple(compared.true[i] for i in at),
            tuple(compared.predicted[i] for i in at),
        )
    return chosen


def _compare(
    release: Release, layer: str, truth: str, joints: ComparedJoints, metrics: Sequence[Metric],
    by: str | None, clip_ids: Sequence[str] | None, people: People, progress: bool,
) -> _Tally:  # fmt: skip
    """Go through the clips of a layer and of the truth."""
    from tqdm import tqdm

    dimensions = {metric.dimensions for metric in metrics}
    where = None if clip_ids is None else {"clip_id": list(clip_ids)}
    columns = [_columns(release, name, dimensions) for name in (layer, truth)]
    mine = release.iter_clips(layer, columns=columns[0], where=where)
    theirs = release.iter_clips(truth, columns=columns[1], where=where)
    tally = _Tally({metric.name: [] for metric in metrics})
    bar = tqdm(
        _side_by_side(mine, theirs), unit=" clips", desc=layer, dynamic_ncols=True,
        disable=None if progress else True,
    )  # fmt: skip
    for clip, true in bar:
        if clip is None:
            tally.without_layer += 1
            continue
        pairs = _pair(clip, true, joints, dimensions, people, tally)
        tally.groups.append(_group(true, by))
        for metric in metrics:
            if metric.kind in COCO_KINDS:
                continue
            found = evaluate_clip(metric, pairs[metric.dimensions])
            tally.values[metric.name].append(found)
        if any(metric.kind in COCO_KINDS for metric in metrics):
            flat = pairs[2]
            assert flat.areas is not None
            tally.coco.add(flat.own, _pose_scores(clip), flat.own_frames, flat.true, flat.frames,
                           flat.areas)  # fmt: skip
    if not tally.groups:
        raise UsageError(f"layers {layer} and {truth} have no clip in common", path=release.place)
    return tally


def _columns(release: Release, layer: str, dimensions: set[int]) -> list[str]:
    known = release.table(layer).pose_columns
    wanted = [f"keypoints_{dimension}d" for dimension in sorted(dimensions)]
    lacking = [name for name in wanted if name not in known]
    if lacking:
        raise UsageError(f"layer {layer} has no {', '.join(lacking)}", path=release.place,
                         remedy="Choose metrics of the other kind: 2D ones are in pixels, those "
                         "in mm need 3D.")  # fmt: skip
    # Pixels tell who is who, for metrics in space, too.
    also = ["keypoints_2d", "scores", "boxes", "head_boxes"]
    return wanted + [name for name in also if name in known and name not in wanted]


def _side_by_side(
    mine: Iterator[Clip], theirs: Iterator[Clip]
) -> Iterator[tuple[Clip | None, Clip]]:
    """Give each true clip with the predicted one, where there is one; both come sorted by id."""
    clip = next(mine, None)
    for true in theirs:
        while clip is not None and clip.clip_id < true.clip_id:
            clip = next(mine, None)
        found = clip if clip is not None and clip.clip_id == true.clip_id else None
        yield found, true


def _pair(
    clip: Clip, true: Clip, joints: ComparedJoints, dimensions: set[int], people: People,
    tally: _Tally,
) -> dict[int, PairedPoses]:  # fmt: skip
    at = list(joints.true)
    sigmas = joint_sigmas(true.skeleton)[at]
    own_2d = true_2d = None
    if clip.keypoints_2d is not None and true.keypoints_2d is not None:
        own_2d = take_joints(clip.keypoints_2d, clip.skeleton, joints.predicted)
        true_2d = true.keypoints_2d[:, at]
    rows, by_oks = pair_people(
        people, clip.frames, clip.persons, true.frames, true.persons, own_2d, true_2d, sigmas
    )
    tally.by_oks += by_oks
    tally.true_poses += len(rows)
    tally.paired += int((rows >= 0).sum())
    tally.extra += len(clip.frames) - int((rows >= 0).sum())
    pairs = {}
    for dimension in sorted(dimensions):
        true_all = true.keypoints_2d if dimension == 2 else true.keypoints_3d
        poses = clip.keypoints_2d if dimension == 2 else clip.keypoints_3d
        assert true_all is not None
        assert poses is not None
        own = own_2d if dimension == 2 else None
        if own is None:
            own = take_joints(poses, clip.skeleton, joints.predicted)
        predicted = np.full((len(rows), *own.shape[1:]), np.nan, np.float32)
        predicted[rows >= 0] = own[rows[rows >= 0]]
        pairs[dimension] = PairedPoses(
            true.frames, true.persons, true_all[:, at], predicted, true_all,
            clip.frames, clip.persons, own, true.boxes, true.extra.get("head_boxes"),
            _two(true.skeleton, true.skeleton.head),
            _two(true.skeleton, ("left_shoulder", "right_hip")), _roots(true.skeleton, joints),
            person_areas(true_all) if dimension == 2 else None, sigmas,
        )  # fmt: skip
    return pairs


def _two(skeleton: Skeleton, names: tuple[str, str] | None) -> tuple[int, int] | None:
    if names is None or not set(names) <= set(skeleton.joints):
        return None
    return skeleton.index(names[0]), skeleton.index(names[1])


def _roots(skeleton: Skeleton, joints: ComparedJoints) -> tuple[int, ...]:
    """The root among the compared joints; the middle of the hips where it is not one of them."""
    for names in ((skeleton.root,), ("left_hip", "right_hip")):
        if set(names) <= set(joints.names):
            return tuple(joints.names.index(name) for name in names)
    return ()


def _pose_scores(clip: Clip) -> np.ndarray:
    """Mean score of the joints that each pose has; 1 where the layer has no scores."""
    if clip.scores is None or clip.keypoints_2d is None:
        return np.ones(len(clip.frames))
    there = np.isfinite(clip.keypoints_2d).all(-1)
    sums = np.where(there, clip.scores, 0).sum(1, dtype=np.float64)
    return sums / np.maximum(there.sum(1), 1)


def _group(clip: Clip, by: str | None) -> str:
    if by is None or by == "joint":
        return ""
    if by == "clip":
        return clip.clip_id
    if by == "label" and clip.info.get("label_name") is not None:
        return str(clip.info["label_name"])
    value = clip.info.get(by)
    return "unknown" if value is None else str(value)


def _scores(
    layer: str, metric: Metric, tally: _Tally, joints: ComparedJoints, by: str | None,
    skeleton: Skeleton, num_samples: int, seed: int,
) -> Iterator[Score]:  # fmt: skip
    if metric.kind in COCO_KINDS:
        sigmas = joint_sigmas(skeleton)[list(joints.true)]
        found = coco_average_precision(tally.coco, sigmas)[metric.kind]
        yield Score(layer, metric.name, "", "", found, np.nan, np.nan, np.nan,
                    sum(pose["num_keypoints"] for pose in tally.coco.true), len(tally.coco.true),
                    len(tally.coco.images), len(tally.groups), {})  # fmt: skip
        return
    values = tally.values[metric.name]
    in_mean: np.ndarray = np.ones(len(values[0].sums), bool)
    if metric.kind == "pckh" and skeleton.name == "mpii16":
        in_mean = np.array([joint not in MPII_NOT_IN_MEAN for joint in joints.names])
    yield score_of(layer, metric, "", values, in_mean, num_samples, seed)
    if by == "joint" and len(in_mean) == len(joints.names):
        for j, joint in enumerate(joints.names):
            only = np.arange(len(in_mean)) == j
            yield score_of(layer, metric, joint, values, only, num_samples, seed)
    elif by not in (None, "joint"):
        rows: dict[str, list[ClipValues]] = {}
        for group, value in zip(tally.groups, values, strict=True):
            rows.setdefault(group, []).append(value)
        for group in sorted(rows, key=_natural):
            yield score_of(layer, metric, group, rows[group], in_mean, num_samples, seed)


def _natural(group: str) -> tuple[bool, int, str]:
    return (False, int(group), group) if group.isdecimal() else (True, 0, group)


def _counts(tally: _Tally, joints: ComparedJoints, true: Skeleton) -> LayerCounts:
    return LayerCounts(
        len(tally.groups), tally.without_layer, tally.by_oks, tally.true_poses, tally.paired,
        tally.extra,
        {o.joint: o.rule or "" for o in joints.predicted if o.how == "derived"},
        tuple(joint for joint in true.joints if joint not in joints.names),
    )  # fmt: skip
