"""How good the layers of a release are: each compared with the layer that is taken as true."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from posedata.axes import fit_of_axes, is_mirrored, other_axes, parse_axes
from posedata.clip import Clip
from posedata.coco_ap import ClipMatches, match_clip
from posedata.compare_layers import ComparedJoints, People, compared_joints, person_areas
from posedata.errors import UsageError
from posedata.evaluate_clip import ClipValues, PairedPoses, evaluate_clips, join_values
from posedata.evaluation_score import Score, coco_score_of, score_of
from posedata.metric_names import COCO_KINDS, Metric
from posedata.metrics_2d import MPII_NOT_IN_MEAN
from posedata.paired_clips import Comparison, PairCounts, paired_clips, pose_scores
from posedata.release import Release
from posedata.skeleton import Skeleton

BY = ("joint", "clip", "label", "camera")

#: Metrics that say nothing of a single joint.
WHOLE_KINDS = ("oks", *COCO_KINDS)

#: Metrics in space that depend on the way in which axes point; ``pa_mpjpe`` only where they are
#: mirrored.
AXES_KINDS = ("mpjpe", "n_mpjpe", "mpjve", "pck3d", "auc3d")

# Poses of a batch of clips whose axes are looked at.
_AXES_SAMPLE = 64


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
    axes : str, optional
        From which of the layer's axes x, y and z were taken, where that was said.
    """

    clips: int
    clips_without_layer: int
    clips_by_oks: int
    true_poses: int
    paired_poses: int
    extra_poses: int
    derived: dict[str, str]
    joints_left_out: tuple[str, ...]
    axes: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`: the scores, the joints that were compared, and the counts."""

    truth: str
    joints: tuple[str, ...]
    scores: tuple[Score, ...]
    layers: dict[str, LayerCounts]


@dataclass
class _Tally:
    """What is known of one layer so far: little for each clip and metric."""

    values: dict[str, list[ClipValues]]
    counts: PairCounts = field(default_factory=PairCounts)
    groups: list[str] = field(default_factory=list)
    coco: list[ClipMatches] = field(default_factory=list)
    fits: list[np.ndarray] = field(default_factory=list)


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
    axes: Mapping[str, str] | None = None,
    num_samples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Compare layers with one that is taken as true, a clip at a time.

    Joints are compared by name; all layers on the joints that every one of them has, so that
    their numbers can be compared, too. Memory grows by a few numbers for each clip, metric and
    joint, and by 18 bytes for each predicted pose where COCO's metrics are asked for.

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
    axes : mapping of str to str, optional
        From which of its axes a predicted layer's x, y and z are taken, as ``x,-y,-z``
        (`posedata.axes`). ``x,y,z`` takes poses as they are and does not ask whether the axes fit.
    num_samples, seed : int
        Of the bootstrap over clips; 0 samples: no intervals.
    progress : bool
        Whether to draw a progress bar on stderr.

    Raises
    ------
    UsageError
        If a layer, a joint or a length that a metric divides by is not there; if a metric of
        whole poses is asked for by joint; if 3D poses clearly have other axes than the true ones
        and a metric that depends on them is asked for.
    """
    if by is not None and by not in BY:
        raise UsageError("--by", found=repr(by), expected=", ".join(BY))
    if not predicted:
        raise UsageError("no layer to evaluate", expected=f"some of {', '.join(release.layers)}")
    if len(set(predicted)) != len(predicted):
        raise UsageError("a layer is named twice", found=", ".join(predicted))
    whole = [metric.name for metric in metrics if metric.kind in WHOLE_KINDS]
    if by == "joint" and whole:
        raise UsageError(f"{', '.join(whole)} by joint", found="a metric of whole poses",
                         remedy="Leave it out, or choose another --by.")  # fmt: skip
    axes = axes or {}
    for layer, of_layer in axes.items():
        if layer not in predicted:
            raise UsageError("axes", found=layer, expected=f"one of {', '.join(predicted)}")
        parse_axes(of_layer)
    in_space = any(metric.kind in (*AXES_KINDS, "pa_mpjpe") for metric in metrics)
    skeleton = release.skeleton(truth)
    compared = _choose_joints(release, predicted, skeleton, joints, derived)
    scores: list[Score] = []
    counts: dict[str, LayerCounts] = {}
    for layer in predicted:
        comparison = Comparison(
            layer, truth, compared[layer], {metric.dimensions for metric in metrics}, people,
            axes.get(layer, "x,y,z"), _columns(metrics),
        )  # fmt: skip
        tally = _compare(
            release, comparison, metrics, by, clip_ids, in_space and layer not in axes, progress
        )
        counts[layer] = _layer_counts(
            tally.counts, compared[layer], skeleton, axes.get(layer) if in_space else None
        )
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


def _columns(metrics: Sequence[Metric]) -> set[str]:
    """Columns besides keypoints that the metrics take."""
    of_normaliser = {"bbox": "boxes", "head": "head_boxes"}
    columns = {of_normaliser[m.normaliser] for m in metrics if m.normaliser in of_normaliser}
    return columns | ({"scores"} if any(m.kind in COCO_KINDS for m in metrics) else set())


def _compare(
    release: Release, compared: Comparison, metrics: Sequence[Metric], by: str | None,
    clip_ids: Sequence[str] | None, check_axes: bool, progress: bool,
) -> _Tally:  # fmt: skip
    """Go through the clips of a layer and of the truth."""
    from concurrent.futures import Future, ThreadPoolExecutor

    tally = _Tally({metric.name: [] for metric in metrics})
    batches = paired_clips(release, compared, tally.counts, clip_ids, progress=progress)
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as measuring:  # while the next clips are read
        for clips, pairs in batches:
            tally.groups += [_group(clip, by) for clip in clips]
            waiting.append(measuring.submit(_measure, tally, pairs, metrics, check_axes))
            if len(waiting) > 1:
                waiting.popleft().result()
        for measured in waiting:
            measured.result()
    if not tally.groups:
        raise UsageError(f"layers {compared.layer} and {compared.truth} have no clip in common",
                         path=release.place)  # fmt: skip
    if check_axes:
        _check_axes(compared, np.concatenate(tally.fits), metrics)
    return tally


def _measure(
    tally: _Tally, pairs: Mapping[int, PairedPoses], metrics: Sequence[Metric], check_axes: bool
) -> None:
    for metric in metrics:
        if metric.kind not in COCO_KINDS:
            tally.values[metric.name].append(evaluate_clips(metric, pairs[metric.dimensions]))
    if any(metric.kind in COCO_KINDS for metric in metrics):
        tally.coco += _coco_matches(pairs[2])
    if check_axes:
        tally.fits.append(_sampled_fits(pairs[3]))


def _coco_matches(pairs: PairedPoses) -> Iterator[ClipMatches]:
    assert pairs.sigmas is not None
    scores = pose_scores(pairs.own_scores, pairs.own_all)
    areas = person_areas(pairs.true_all)
    ends = zip(pairwise(pairs.own_starts), pairwise(pairs.starts), strict=True)
    for (own_start, own_end), (start, end) in ends:
        own, true = slice(own_start, own_end), slice(start, end)
        yield match_clip(pairs.own[own], scores[own], pairs.own_frames[own], pairs.true[true],
                         pairs.frames[true], areas[true], pairs.sigmas)  # fmt: skip


def _sampled_fits(pairs: PairedPoses) -> np.ndarray:
    """How well some poses, at equal steps, fit in each of the axes."""
    rows = np.unique(np.linspace(0, len(pairs.true) - 1, _AXES_SAMPLE).astype(int))
    rows = rows[rows < len(pairs.true)]
    return fit_of_axes(pairs.predicted[rows], pairs.true[rows])


def _check_axes(compared: Comparison, fits: np.ndarray, metrics: Sequence[Metric]) -> None:
    """Refuse errors between poses of different axes: they are no errors of the poses."""
    found = other_axes(fits)
    if found is None:
        return
    axes, share = found
    wrong = [m.name for m in metrics if m.kind in AXES_KINDS
             or (m.kind == "pa_mpjpe" and is_mirrored(axes))]  # fmt: skip
    if wrong:
        layer = compared.layer
        raise UsageError(
            f"the 3D axes of the layer {layer} are not those of {compared.truth}, so that "
            f"{', '.join(wrong)} would mean nothing",
            found=f"{share:.0%} of the poses fit better as {axes}",
            expected="axes that point the same way, and left and right named alike",
            remedy=f"--axes {layer}={axes} takes them so, --axes {layer}=x,y,z as they are."
            + ("" if is_mirrored(axes) else " pa_mpjpe turns each pose by itself."),
        )


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
    groups: dict[str, np.ndarray] = {"": np.arange(len(tally.groups))}
    if by not in (None, "joint"):
        rows: dict[str, list[int]] = {}
        for row, group in enumerate(tally.groups):
            rows.setdefault(group, []).append(row)
        groups |= {group: np.array(rows[group]) for group in sorted(rows, key=_natural)}
    if metric.kind in COCO_KINDS:
        for group, chosen in groups.items():
            matches = [tally.coco[row] for row in chosen]
            yield coco_score_of(layer, metric, group, matches, num_samples, seed)
        return
    values = join_values(tally.values[metric.name])
    in_mean: np.ndarray = np.ones(values.table.shape[2], bool)
    if metric.kind == "pckh" and skeleton.name == "mpii16":
        in_mean = np.array([joint not in MPII_NOT_IN_MEAN for joint in joints.names])
    for group, chosen in groups.items():
        yield score_of(layer, metric, group, values.of(chosen), in_mean, num_samples, seed)
    if by == "joint":
        for j, joint in enumerate(joints.names):
            only = np.arange(len(in_mean)) == j
            yield score_of(layer, metric, joint, values, only, num_samples, seed)


def _natural(group: str) -> tuple[bool, int, str]:
    return (False, int(group), group) if group.isdecimal() else (True, 0, group)


def _layer_counts(
    counts: PairCounts, joints: ComparedJoints, true: Skeleton, axes: str | None
) -> LayerCounts:
    return LayerCounts(
        counts.clips, counts.without_layer, counts.by_oks, counts.true_poses, counts.paired,
        counts.extra,
        {o.joint: o.rule or "" for o in joints.predicted if o.how == "derived"},
        tuple(joint for joint in true.joints if joint not in joints.names), axes,
    )  # fmt: skip
