"""How far the confidence of a layer's poses can be trusted: against their true errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posedata.aligned_clips import aligned_clips
from posedata.calibration import (
    ERROR_EDGES,
    ErrorIntervals,
    GammaSweep,
    gamma_sweep,
    kept_by_error,
    pose_errors,
)
from posedata.clip import Clip
from posedata.compare_layers import (
    ComparedJoints,
    People,
    compared_joints,
    pair_people,
    take_joints,
)
from posedata.errors import UsageError
from posedata.fuse import GAMMA
from posedata.match_people import joint_sigmas
from posedata.metrics_2d import joint_distances, present_joints, segment_lengths
from posedata.release import Release

#: Thresholds of the sweep: 0, 0.05, ..., 0.95.
SWEEP = tuple(step / 20 for step in range(20))

#: Errors, in head-neck distances, that a confidence should tell: 0.5 and 1.
ERROR_LIMITS = (0.5, 1.0)


@dataclass(frozen=True, eq=False)
class ErrorDetection:
    """How well a low confidence tells a pose whose error is above a limit.

    Attributes
    ----------
    limit : float
        In head-neck distances.
    above : int
        Poses whose error is above it.
    auc : float
        Area under the ROC: 0.5 is guessing, 1 perfect. NaN where all poses are on one side.
    """

    limit: float
    above: int
    auc: float


@dataclass(frozen=True, eq=False)
class PoseCounts:
    """Which poses a calibration is of.

    Attributes
    ----------
    clips, clips_without_layer : int
        True clips that the layer has, and that it lacks (they are left out).
    clips_by_oks : int
        Clips whose people were paired by OKS.
    true_poses, paired_poses, extra_poses : int
        True ones, those with a predicted one, and predicted ones without a true one.
    extra_poses_kept : int
        Of the latter, those whose confidence is not below gamma.
    compared : int
        Pairs that have an error: a known head-neck distance, and a joint in both layers.
    without_confidence : int
        Compared poses without C. Every gamma keeps them; rank correlation and ROC are without.
    """

    clips: int
    clips_without_layer: int
    clips_by_oks: int
    true_poses: int
    paired_poses: int
    extra_poses: int
    extra_poses_kept: int
    compared: int
    without_confidence: int


@dataclass(frozen=True, eq=False)
class Calibration:
    """The result of `calibrate`.

    Attributes
    ----------
    layer, truth : str
        What was compared.
    measure : {"confidence", "scores"}
        The stored C of each pose, or (where the layer stores none) its mean score.
    fused_with_gamma : float, optional
        What the fusion that made the layer has discarded already; None where that is unknown.
    joints : tuple of str
        The compared ones.
    gamma, threshold : float
        Of ``intervals``, and of PCKh in ``sweep`` and ``thrown_away``.
    confidence, errors : float64, shape (N,)
        Of each compared pose: C or mean score, NaN where it has none; mean over its joints of the
        distance to the truth over the true head-neck distance.
    intervals : ErrorIntervals
        Share kept at ``gamma`` in each error interval (Fig. 5).
    sweep : GammaSweep
        What each of G gammas keeps.
    error_thrown_away, pckh_thrown_away : float64, shape (G,)
        Mean error and PCKh of the joints it throws away; NaN where there are none.
    spearman : float
        Rank correlation of confidence and error: -1 is perfect, 0 worthless. NaN where undefined.
    detection : tuple of ErrorDetection
        For each limit.
    counts : PoseCounts
        What was compared, and what was left out.
    """

    layer: str
    truth: str
    measure: Literal["confidence", "scores"]
    fused_with_gamma: float | None
    joints: tuple[str, ...]
    gamma: float
    threshold: float
    confidence: np.ndarray
    errors: np.ndarray
    intervals: ErrorIntervals
    sweep: GammaSweep
    error_thrown_away: np.ndarray
    pckh_thrown_away: np.ndarray
    spearman: float
    detection: tuple[ErrorDetection, ...]
    counts: PoseCounts


def calibrate(
    release: Release,
    layer: str,
    truth: str,
    *,
    gamma: float = GAMMA,
    gammas: Sequence[float] = SWEEP,
    edges: Sequence[float] | np.ndarray = ERROR_EDGES,
    limits: Sequence[float] = ERROR_LIMITS,
    threshold: float = 0.5,
    clip_ids: Sequence[str] | None = None,
    joints: Sequence[str] = (),
    derived: bool = False,
    people: People = "auto",
) -> Calibration:
    """Compare the confidence of each pose of a layer with its true error.

    The error of a pose is that of ``nmpjpe_headneck``: the mean over its joints of the distance
    to the truth, divided by the true distance of head and neck. Joints that either layer lacks
    are left out, as in that metric.

    Parameters
    ----------
    release : Release
        With both layers.
    layer, truth : str
        The one whose confidence is in question, and the one that is taken as true.
    gamma : float
        Threshold for the error intervals and the poses without a true one.
    gammas : sequence of float, length G
        Thresholds of the sweep.
    edges : sequence of float
        Ends of the error intervals, in head-neck distances.
    limits : sequence of float
        Errors above which a pose counts as bad, for the ROC.
    threshold : float
        Largest error of a correct joint: 0.5 is PCKh@0.5.
    clip_ids : sequence of str, optional
        Clips to compare; all by default.
    joints : sequence of str, optional
        Compare only these.
    derived : bool
        Also compare joints that a rule makes of predicted ones.
    people : {"auto", "id", "oks"}
        How people are paired; see `posedata.compare_layers.pair_people`.

    Raises
    ------
    UsageError
        If there is nothing to compare: no such layer, no 2D poses, neither C nor scores, no head
        and neck in the truth, no common clip or joint.
    """
    measure, column = _measure_of(release, layer, truth)
    compared = _choose_joints(release, layer, truth, joints, derived)
    if clip_ids is None:
        clip_ids = release.read_table(truth, columns=["clip_id"])["clip_id"].to_pylist()
    confidence, errors, tally = _go_through(
        release, layer, truth, sorted(clip_ids), column, compared, people, gamma
    )
    has_error = ~np.isnan(errors).all(axis=1)
    confidence, errors = confidence[has_error], errors[has_error]
    of_poses = pose_errors(errors)
    sweep = gamma_sweep(confidence, errors, np.asarray(gammas, np.float64), threshold)
    everything = gamma_sweep(confidence, errors, np.array([-np.inf]), threshold)
    spearman, detection = _ranking(confidence, of_poses, limits)
    return Calibration(
        layer=layer, truth=truth, measure=measure,
        fused_with_gamma=_fused_with(release, layer) if measure == "confidence" else None,
        joints=compared.names, gamma=gamma, threshold=threshold,
        confidence=confidence.astype(np.float64), errors=of_poses,
        intervals=kept_by_error(confidence, of_poses, np.array([gamma]), np.asarray(edges)),
        sweep=sweep,
        error_thrown_away=_rest(everything.error, everything.joints, sweep.error, sweep.joints),
        pckh_thrown_away=_rest(everything.pckh, everything.joints, sweep.pckh, sweep.joints),
        spearman=spearman, detection=detection,
        counts=PoseCounts(**tally, compared=len(errors),
                          without_confidence=int(np.isnan(confidence).sum())),
    )  # fmt: skip


def _measure_of(
    release: Release, layer: str, truth: str
) -> tuple[Literal["confidence", "scores"], str]:
    """Which column tells how sure a pose is."""
    for name in (layer, truth):
        if "keypoints_2d" not in release.table(name).pose_columns:
            raise UsageError(f"layer {name} has no keypoints_2d", path=release.place)
    columns = release.table(layer).pose_columns
    if "confidence" in columns:
        return "confidence", "confidence"
    if "scores" in columns:
        return "scores", "scores"
    raise UsageError(f"layer {layer} does not say how sure it is", path=release.place,
                     expected="a pose column confidence or scores")  # fmt: skip


def _choose_joints(
    release: Release, layer: str, truth: str, joints: Sequence[str], derived: bool
) -> ComparedJoints:
    true = release.skeleton(truth)
    if true.head is None:
        raise UsageError("errors are divided by the distance of head and neck",
                         found=true.name, expected="a true skeleton with both")  # fmt: skip
    for joint in joints:
        true.index(joint)
    found = compared_joints(release.skeleton(layer), true, derived=derived)
    lacking = [joint for joint in joints if joint not in found.names]
    if lacking or not found.names:
        raise UsageError(
            f"layer {layer} has no {', '.join(lacking) or f'joint of {true.name}'}",
            found=", ".join(found.names) or None,
            remedy=None if derived else "--derived adds joints that a rule makes of others.",
        )
    at = [i for i, name in enumerate(found.names) if not joints or name in joints]
    return ComparedJoints(
        tuple(found.names[i] for i in at),
        tuple(found.true[i] for i in at),
        tuple(found.predicted[i] for i in at),
    )


def _go_through(
    release: Release, layer: str, truth: str, clip_ids: Sequence[str], column: str,
    joints: ComparedJoints, people: People, gamma: float,
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:  # fmt: skip
    """Confidence (N,) and joint errors (N, J) of all pairs of poses, and the counts."""
    tally = dict.fromkeys(("clips", "clips_without_layer", "clips_by_oks", "true_poses",
                           "paired_poses", "extra_poses", "extra_poses_kept"), 0)  # fmt: skip
    confidences, errors = [], []
    for found in aligned_clips(release, [layer, truth], clip_ids, ["keypoints_2d", column]):
        if truth not in found:
            continue
        if layer not in found:
            tally["clips_without_layer"] += 1
            continue
        clip, true = found[layer], found[truth]
        c = clip.extra["confidence"] if column == "confidence" else mean_scores(clip)
        rows, distances, by_oks = _pairs_of(clip, true, joints, people)
        without_truth = np.delete(c, rows)
        tally["clips"] += 1
        tally["clips_by_oks"] += by_oks
        tally["true_poses"] += len(true.frames)
        tally["paired_poses"] += len(rows)
        tally["extra_poses"] += len(without_truth)
        tally["extra_poses_kept"] += int((~(without_truth < np.float32(gamma))).sum())
        confidences.append(c[rows])
        errors.append(distances)
    if not errors:
        raise UsageError(f"layers {layer} and {truth} have no clip in common", path=release.place)
    return np.concatenate(confidences), np.concatenate(errors), tally


def _pairs_of(
    clip: Clip, true: Clip, joints: ComparedJoints, people: People
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Rows (n,) of the poses that have a true one, their errors (n, J), and whether by OKS."""
    assert clip.keypoints_2d is not None and true.keypoints_2d is not None
    at = list(joints.true)
    own = take_joints(clip.keypoints_2d, clip.skeleton, joints.predicted)
    rows, by_oks = pair_people(
        people, clip.frames, clip.persons, true.frames, true.persons, own,
        true.keypoints_2d[:, at], joint_sigmas(true.skeleton)[at],
    )  # fmt: skip
    paired = rows >= 0
    mine, theirs = rows[paired], true.keypoints_2d[paired]
    assert true.skeleton.head is not None
    head, neck = (true.skeleton.index(name) for name in true.skeleton.head)
    lengths = segment_lengths(theirs, head, neck)
    lengths = np.where(lengths > 0, lengths, np.nan)
    errors = joint_distances(own[mine], theirs[:, at]) / lengths[:, None]
    return mine, errors, by_oks


def mean_scores(clip: Clip) -> np.ndarray:
    """Mean score of the joints that each pose has.

    Returns
    -------
    float32, shape (N,)
        NaN where it has none.
    """
    assert clip.keypoints_2d is not None and clip.scores is not None
    there = present_joints(clip.keypoints_2d)
    counts = there.sum(axis=1)
    sums = np.where(there, clip.scores, 0).sum(axis=1, dtype=np.float64)
    means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means.astype(np.float32)


def _ranking(
    confidence: np.ndarray, errors: np.ndarray, limits: Sequence[float]
) -> tuple[float, tuple[ErrorDetection, ...]]:
    from scipy.stats import spearmanr

    try:
        from sklearn.metrics import roc_auc_score
    except ImportError as error:
        raise UsageError("calibration needs scikit-learn, which is not installed",
                         remedy='Install it: pip install "posedata[fuse]"') from error  # fmt: skip
    known = ~np.isnan(confidence)
    c, e = confidence[known], errors[known]
    spearman = np.nan
    if len(np.unique(c)) > 1 and len(np.unique(e)) > 1:  # of constants it is undefined
        spearman = float(spearmanr(c, e).statistic)
    detection = []
    for limit in limits:
        is_above = e > limit
        both = is_above.any() and not is_above.all()
        auc = float(roc_auc_score(is_above, -c)) if both else np.nan
        detection.append(ErrorDetection(float(limit), int(is_above.sum()), auc))
    return spearman, tuple(detection)


def _rest(
    mean: np.ndarray, count: np.ndarray, mean_kept: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Mean of what is not kept, from the means of all and of what is kept; NaN where all is."""
    sums = np.nan_to_num(mean) * count - np.nan_to_num(mean_kept) * kept
    rest = count - kept
    found = np.divide(sums, rest, out=np.full(len(kept), np.nan), where=rest > 0)
    return np.maximum(found, 0)  # a difference of sums may round to just below


def _fused_with(release: Release, layer: str) -> float | None:
    """Give the gamma of the fusion that made a layer, as the release's history has it."""
    for entry in reversed(release.manifest.history):
        options = entry.get("options") or {}
        if entry.get("operation") == "fuse" and options.get("layer") == layer:
            return float(options["gamma"])
    return None
