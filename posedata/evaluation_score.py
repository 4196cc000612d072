"""One number of an evaluation, its interval, and what it was counted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posedata.bootstrap import bootstrap_interval, mean_of_sums
from posedata.coco_ap import ClipMatches, coco_average_precision, coco_intervals
from posedata.evaluate_clip import ClipValues
from posedata.metric_names import CORRECT_KINDS, Metric


@dataclass(frozen=True)
class Score:
    """One number of an evaluation, and what it was counted from.

    Attributes
    ----------
    layer, metric, unit : str
        What was measured.
    group : str
        The joint, clip, label or camera; empty for all.
    value : float
        Of a metric that counts correct joints: missing predictions are wrong. Else of the joints
        that both layers have. NaN where there is nothing.
    low, high : float
        95 % interval over clips; NaN where there is none.
    value_if_skipped : float
        The same where missing predictions are left out.
    joints, poses, frames, clips : int
        How many were compared: ``joints`` with missing predictions where those are wrong, poses
        and frames that have at least one value. The frames of a single joint are not counted.
    left_out : dict
        Joints by reason; ``prediction_missing`` are in ``value`` where they are wrong.
    """

    layer: str
    metric: str
    unit: str
    group: str
    value: float
    low: float
    high: float
    value_if_skipped: float
    joints: int
    poses: int
    frames: int | None
    clips: int
    left_out: dict[str, int]


def score_of(
    layer: str, metric: Metric, group: str, values: ClipValues, in_mean: np.ndarray,
    num_samples: int, seed: int,
) -> Score:  # fmt: skip
    """Add up what a metric says of several clips, and bootstrap over them.

    Parameters
    ----------
    layer, metric, group
        What they are of.
    values : ClipValues
        Of the clips.
    in_mean : bool, shape (J,)
        Which joints count.
    num_samples, seed : int
        Of the bootstrap; 0 samples: no interval.
    """
    sums, counts = values.sums[:, in_mean], values.counts[:, in_mean]
    taken = values.expected[:, in_mean] if metric.kind in CORRECT_KINDS else counts
    interval = (np.nan, np.nan)
    if num_samples:
        interval = bootstrap_interval(
            sums, taken, average=metric.average, num_samples=num_samples, seed=seed
        )
    single = in_mean.sum() == 1 < len(in_mean)
    return Score(
        layer, metric.name, metric.unit, group,
        float(mean_of_sums(sums.sum(0), taken.sum(0), metric.average)), *interval,
        float(mean_of_sums(sums.sum(0), counts.sum(0), metric.average)),
        int(taken.sum()), int(counts.sum() if single else values.poses.sum()),
        None if single else int(values.frames.sum()), int((taken.sum(1) > 0).sum()),
        {reason: int(count[in_mean].sum()) for reason, count in values.left_out.items()},
    )  # fmt: skip


def coco_score_of(
    layer: str, metric: Metric, group: str, clips: Sequence[ClipMatches], num_samples: int,
    seed: int,
) -> Score:  # fmt: skip
    """Compute one of COCO's metrics of several clips, and bootstrap over them; see `score_of`."""
    interval = (np.nan, np.nan)
    if num_samples:
        interval = coco_intervals(clips, num_samples=num_samples, seed=seed)[metric.kind]
    return Score(
        layer, metric.name, metric.unit, group, coco_average_precision(clips)[metric.kind],
        *interval, np.nan, sum(clip.num_joints for clip in clips),
        sum(clip.num_true for clip in clips), sum(clip.num_images for clip in clips),
        sum(clip.num_true > 0 for clip in clips), {},
    )  # fmt: skip
