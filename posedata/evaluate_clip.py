"""Clips of two layers compared: a value for each joint of each pair of poses, added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from posedata import metrics_2d, metrics_3d
from posedata.boxes import extents
from posedata.compare_layers import person_areas
from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.jitter import accelerations
from posedata.metric_names import CORRECT_KINDS, Metric
from posedata.oks import object_keypoint_similarities

_MM = 1000.0


@dataclass(frozen=True, eq=False)
class PairedPoses:
    """True poses of K clips, one clip after the other, and the predicted pose of each.

    Attributes
    ----------
    starts : int64, shape (K + 1,)
        Where the true poses of each clip begin, and the end.
    frames, persons : int, shape (M,)
        Of the true poses, sorted by (person, frame); each person is of one clip.
    true, predicted : float, shape (M, J, C)
        The compared joints, in pixels or metres; NaN where missing.
    true_all : float, shape (M, V, C)
        All joints of the true skeleton, for the lengths.
    own_starts, own_frames, own_persons, own : arrays
        The predicted poses as they are, N of them.
    own_all, own_scores : float, shape (N, W, C) and (N, W)
        All joints of the predicted skeleton; the scores are optional.
    boxes, head_boxes : float, shape (M, 4), optional
        Of the true people.
    head, torso : (int, int), optional
        Joints of the true skeleton that measure it.
    roots : tuple of int
        Joints among the J ones whose mean is the root; may be empty.
    sigmas : float64, shape (J,), optional
        For OKS.
    computed : dict
        What several metrics need, kept by name.
    """

    starts: np.ndarray
    frames: np.ndarray
    persons: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    true_all: np.ndarray
    own_starts: np.ndarray
    own_frames: np.ndarray
    own_persons: np.ndarray
    own: np.ndarray
    own_all: np.ndarray
    own_scores: np.ndarray | None = None
    boxes: np.ndarray | None = None
    head_boxes: np.ndarray | None = None
    head: tuple[int, int] | None = None
    torso: tuple[int, int] | None = None
    roots: tuple[int, ...] = ()
    sigmas: np.ndarray | None = None
    computed: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ClipValues:
    """What one metric says of K clips, added up for each: little, as there may be many.

    Attributes
    ----------
    table : float64, shape (K, 4, J)
        For each joint (J = 1 for a metric of whole poses) the sum of its values; how many those
        are; how many are expected: those and missing predictions; how many the truth has.
    num_poses : int64, shape (K,)
        True poses.
    poses, frames : int64, shape (K,)
        With at least one value.
    in_track : bool
        Whether values need neighbouring frames.
    """

    table: np.ndarray
    num_poses: np.ndarray
    poses: np.ndarray
    frames: np.ndarray
    in_track: bool = False

    def __len__(self) -> int:
        """Give the number of clips."""
        return len(self.table)

    @property
    def sums(self) -> np.ndarray:
        """Sums of the values, float64 (K, J)."""
        return self.table[:, 0]

    @property
    def counts(self) -> np.ndarray:
        """Values of each joint, float64 (K, J)."""
        return self.table[:, 1]

    @property
    def expected(self) -> np.ndarray:
        """Values and missing predictions of each joint, float64 (K, J)."""
        return self.table[:, 2]

    @property
    def left_out(self) -> dict[str, np.ndarray]:
        """Joints by the reason for which they have no value, each float64 (J,), of all clips."""
        _, counts, expected, truths = self.table.sum(0)
        if self.in_track:  # what a neighbouring frame lacks is nobody's missing joint
            return {"without_neighbours": truths - counts}
        return {
            "truth_missing": self.num_poses.sum() - truths,
            "prediction_missing": expected - counts,
            "not_measurable": truths - expected,
        }

    def of(self, clips: np.ndarray) -> ClipValues:
        """Give some of the clips."""
        return ClipValues(self.table[clips], self.num_poses[clips], self.poses[clips],
                          self.frames[clips], self.in_track)  # fmt: skip


def join_values(parts: Sequence[ClipValues]) -> ClipValues:
    """Put clips after each other."""
    names = ("table", "num_poses", "poses", "frames")
    table, num_poses, poses, frames = (
        np.concatenate([getattr(part, name) for part in parts]) for name in names
    )
    return ClipValues(table, num_poses, poses, frames, parts[0].in_track)


def evaluate_clips(metric: Metric, pairs: PairedPoses) -> ClipValues:
    """Compute one metric of some clips.

    Raises
    ------
    UsageError
        If the layers have not what it takes, such as a head box.
    """
    if metric.kind in ("jitter", "jitter3d"):
        scale = _MM if metric.kind == "jitter3d" else 1.0
        values = scale * accelerations(pairs.own, pairs.own_frames, pairs.own_persons)
        present = metrics_2d.present_joints(pairs.own)
        return _add_up(values, present, present, pairs.own_frames, pairs.own_starts, in_track=True)
    present = _keep(pairs, "present", lambda: metrics_2d.present_joints(pairs.true))
    if metric.kind == "oks":
        assert pairs.sigmas is not None
        areas = person_areas(pairs.true_all)
        oks = object_keypoint_similarities(pairs.predicted, pairs.true, areas, pairs.sigmas)
        there = metrics_2d.present_joints(pairs.predicted) & present
        expected: np.ndarray = np.asarray(present.any(1, keepdims=True))
        values = np.where(there.any(1, keepdims=True), oks[:, None], np.nan)
        return _add_up(values, expected, expected, pairs.frames, pairs.starts)
    values, measurable = _values(metric, pairs)
    if metric.kind == "mpjve":  # the first frame of a track has no velocity
        return _add_up(values, present, present, pairs.frames, pairs.starts, in_track=True)
    expected = present & measurable[:, None]
    return _add_up(values, expected, present, pairs.frames, pairs.starts)


def _values(metric: Metric, pairs: PairedPoses) -> tuple[np.ndarray, np.ndarray]:
    """Give the values (M, J), and which poses can be measured (M,)."""
    if metric.dimensions == 2:
        distances = _keep(
            pairs, "distances", lambda: metrics_2d.joint_distances(pairs.predicted, pairs.true)
        )
        if metric.kind == "epe":
            return distances, np.ones(len(distances), bool)
        lengths = _lengths(metric, pairs)
        measurable = np.isfinite(lengths) & (lengths > 0)
        if metric.kind in CORRECT_KINDS:
            thresholds = metrics_2d.AUC_THRESHOLDS
            if metric.threshold is not None:
                thresholds = (metric.threshold,)
            return metrics_2d.correct_keypoints(distances, lengths, thresholds), measurable
        return distances / np.where(measurable, lengths, np.nan)[:, None], measurable
    if metric.kind == "pa_mpjpe":
        aligned = metrics_3d.procrustes_aligned(pairs.predicted, pairs.true)
        told = _has_values(aligned) | ~_has_values(pairs.predicted)
        return _MM * metrics_2d.joint_distances(aligned, pairs.true), told
    if not pairs.roots:
        raise UsageError(f"{metric.name} needs a root that both layers have",
                         found="neither the root of the true skeleton nor both hips")  # fmt: skip
    predicted = _keep(
        pairs, "predicted at root", lambda: metrics_3d.root_aligned(pairs.predicted, pairs.roots)
    )
    true = _keep(pairs, "true at root", lambda: metrics_3d.root_aligned(pairs.true, pairs.roots))
    if metric.kind == "mpjve":
        errors = metrics_3d.velocity_errors(predicted, true, pairs.frames, pairs.persons)
        return _MM * errors, np.ones(len(errors), bool)
    if metric.kind == "n_mpjpe":
        predicted = metrics_3d.scale_aligned(predicted, true)
    distances = _MM * metrics_2d.joint_distances(predicted, true)
    if metric.kind in CORRECT_KINDS:
        thresholds = metrics_3d.AUC3D_THRESHOLDS
        if metric.threshold is not None:
            thresholds = (metric.threshold,)
        # A pose that is predicted without its root is wrong; one whose truth lacks it is no test.
        correct = metrics_2d.correct_keypoints(distances, np.ones(len(true)), thresholds)
        return correct, _has_values(true)
    return distances, _has_values(true)


def _has_values(poses: np.ndarray) -> np.ndarray:
    return np.asarray(metrics_2d.present_joints(poses).any(1))


def _keep(pairs: PairedPoses, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Compute something once for all metrics."""
    if name not in pairs.computed:
        pairs.computed[name] = compute()
    return pairs.computed[name]


def _lengths(metric: Metric, pairs: PairedPoses) -> np.ndarray:
    normaliser = metric.normaliser or "headneck"
    return _keep(pairs, f"length {normaliser}", lambda: _measure(metric, normaliser, pairs))


def _measure(metric: Metric, normaliser: str, pairs: PairedPoses) -> np.ndarray:
    if normaliser.endswith("px"):
        return np.full(len(pairs.true), float(normaliser.removesuffix("px")))
    if normaliser == "bbox":
        boxes = pairs.boxes
        return metrics_2d.box_lengths(extents(pairs.true_all) if boxes is None else boxes)
    if normaliser == "head":
        if pairs.head_boxes is None:
            raise UsageError(
                f"{metric.name} divides by a head box, which the true layer lacks",
                expected="a pose column head_boxes",
                remedy="pckh_headneck@t divides by the distance of head and neck instead.",
            )
        return metrics_2d.head_box_lengths(pairs.head_boxes)
    ends: Sequence[int] | None = pairs.head if normaliser == "headneck" else pairs.torso
    if ends is None:
        what = "head and neck" if normaliser == "headneck" else "a left shoulder and a right hip"
        raise UsageError(f"{metric.name} divides by the distance of two joints of the truth",
                         expected=f"a true skeleton with {what}")  # fmt: skip
    return metrics_2d.segment_lengths(pairs.true_all, ends[0], ends[1])


def _add_up(
    values: np.ndarray, expected: np.ndarray, present: np.ndarray, frames: np.ndarray,
    starts: np.ndarray, *, in_track: bool = False,
) -> ClipValues:  # fmt: skip
    table, told, poses = _sums(values, expected, present, starts)
    if in_track:
        table[:, 2] = table[:, 1]
    lengths = np.diff(starts)
    clips = np.repeat(np.arange(len(lengths)), lengths)
    in_frames = np.unique((clips << 32 | frames)[told])
    num_frames = np.bincount(in_frames >> 32, minlength=len(lengths))
    return ClipValues(table, lengths, poses, num_frames, in_track)


@kernel
def _sums(
    values: np.ndarray, expected: np.ndarray, present: np.ndarray, starts: np.ndarray
) -> tuple:
    """Give `ClipValues.table`, which poses have values, and how many of each clip."""
    num_poses, num_joints = values.shape
    table = np.zeros((len(starts) - 1, 4, num_joints))
    told = np.zeros(num_poses, np.bool_)
    poses = np.zeros(len(starts) - 1, np.int64)
    for k in range(len(starts) - 1):
        for n in range(starts[k], starts[k + 1]):
            for v in range(num_joints):
                table[k, 2, v] += expected[n, v]
                table[k, 3, v] += present[n, v]
                if not np.isnan(values[n, v]):
                    table[k, 0, v] += values[n, v]
                    table[k, 1, v] += 1
                    told[n] = True
            poses[k] += told[n]
    return table, told, poses
