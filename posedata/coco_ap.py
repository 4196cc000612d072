"""COCO's average precision of keypoints, by COCO's own evaluator (pycocotools).

The evaluator is asked once for each image which predicted pose matches which true one
(``COCOeval.evaluate``), a clip at a time, so that only the matches stay in memory. A number is its
``COCOeval.accumulate`` over the matches of some clips. For intervals that is far too slow a
thousand times: there the same curve is computed from the matches sorted once, each counted as
often as its clip was drawn.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.bootstrap import drawn_weights, percentile_interval
from posedata.compiled import kernel
from posedata.errors import UsageError

#: Names of the statistics: means over OKS 0.50, 0.55, ..., 0.95 of the precision and of the
#: recall, and the precision at OKS 0.50 and 0.75.
STATISTICS = ("ap", "ap50", "ap75", "ar")

# Where COCO's evaluator, which knows no missing predictions, is told that such a joint is.
_FAR_AWAY = 1e7
# All poses, also those whose box reaches to there: COCO's own limit would drop their errors.
_ANY_AREA = [0.0, float("inf")]


@dataclass(frozen=True, eq=False)
class ClipMatches:
    """What COCO's evaluator found in one clip.

    Attributes
    ----------
    scores : float64, shape (D,)
        Of the predicted poses.
    matched : bool, shape (10, D)
        Whether they match a true one, for OKS 0.50, 0.55, ..., 0.95.
    num_true, num_joints, num_images : int
        True poses, their joints, and frames with any.
    """

    scores: np.ndarray
    matched: np.ndarray
    num_true: int
    num_joints: int
    num_images: int


def match_clip(
    predicted: np.ndarray, scores: np.ndarray, frames: np.ndarray, true: np.ndarray,
    true_frames: np.ndarray, areas: np.ndarray, sigmas: np.ndarray,
) -> ClipMatches:  # fmt: skip
    """Match the poses of one clip, each frame an image; those without a true pose are left out.

    Parameters
    ----------
    predicted : float, shape (N, J, 2)
        All predicted poses, pixels; NaN where a joint is missing.
    scores : float, shape (N,)
        Confidence of each.
    frames : int, shape (N,)
        Of each.
    true, true_frames, areas
        The same of the M true poses, and the area of each person in square pixels.
    sigmas : float, shape (J,)
        OKS constants.

    Raises
    ------
    UsageError
        If pycocotools is not installed.
    """
    of_coco, evaluator = _pycocotools()
    images = np.unique(true_frames[np.isfinite(true).all(-1).any(1)])
    truths = _true_poses(true, true_frames, areas, images)
    found = _predicted_poses(predicted, scores, frames, images)
    num_joints = sum(pose["num_keypoints"] for pose in truths)
    if not found:
        matched = np.zeros((len(evaluator(iouType="keypoints").params.iouThrs), 0), bool)
        return ClipMatches(np.empty(0), matched, len(truths), num_joints, len(images))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        dataset = of_coco()
        dataset.dataset = {"info": {}, "images": [{"id": k} for k in range(len(images))],
                           "annotations": truths,
                           "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
        dataset.createIndex()
        evaluation = evaluator(dataset, dataset.loadRes(found), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [_ANY_AREA], ["all"]
        evaluation.evaluate()
    of_images = [image for image in evaluation.evalImgs if image is not None]
    return ClipMatches(
        np.concatenate([image["dtScores"] for image in of_images]),
        np.concatenate([image["dtMatches"] for image in of_images], axis=1) > 0,
        len(truths), num_joints, len(images),
    )  # fmt: skip


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UsageError(
            "COCO's AP needs pycocotools, which is not installed",
            remedy="Install it with: pip install 'posedata[coco]'.",
        ) from None
    return COCO, COCOeval


def _true_poses(
    poses: np.ndarray, frames: np.ndarray, areas: np.ndarray, images: np.ndarray
) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for frame, pose, area in zip(frames, poses, areas, strict=True):
        there = np.isfinite(pose).all(-1)
        if there.any():
            flat = np.column_stack([np.where(there[:, None], pose, 0), 2 * there]).ravel()
            low, high = pose[there].min(0), pose[there].max(0)
            out.append({
                "id": len(out) + 1, "category_id": 1, "iscrowd": 0,
                "image_id": int(np.searchsorted(images, frame)),
                "keypoints": flat.tolist(), "num_keypoints": int(there.sum()),
                "area": float(area), "bbox": [*low.tolist(), *(high - low).tolist()],
            })  # fmt: skip
    return out


def _predicted_poses(
    poses: np.ndarray, scores: np.ndarray, frames: np.ndarray, images: np.ndarray
) -> list[dict[str, Any]]:
    out = []
    for frame, pose, score in zip(frames, poses, scores, strict=True):
        place = int(np.searchsorted(images, frame))
        there = np.isfinite(pose).all(-1)
        if place < len(images) and images[place] == frame and there.any():
            flat = np.column_stack([np.where(there[:, None], pose, _FAR_AWAY), there]).ravel()
            out.append({"category_id": 1, "image_id": place, "keypoints": flat.tolist(),
                        "score": float(score)})  # fmt: skip
    return out


def coco_average_precision(clips: Sequence[ClipMatches]) -> dict[str, float]:
    """Compute COCO's AP and AR over all areas, by ``COCOeval.accumulate``.

    Parameters
    ----------
    clips : sequence of ClipMatches
        Each clip's.

    Returns
    -------
    dict of str to float
        Each of `STATISTICS`; NaN without true poses.
    """
    if not sum(clip.num_true for clip in clips):
        return dict.fromkeys(STATISTICS, float("nan"))
    evaluation = _pycocotools()[1](iouType="keypoints")
    parameters = evaluation.params
    parameters.imgIds, parameters.catIds = list(range(len(clips))), [1]
    parameters.areaRng, parameters.areaRngLbl = [_ANY_AREA], ["all"]
    # The most confident ones of each image are all that is here; a clip is given as one image.
    parameters.maxDets = [max(len(clip.scores) for clip in clips)]
    evaluation._paramsEval = parameters
    evaluation.evalImgs = [
        {"dtScores": clip.scores, "dtMatches": clip.matched,
         "dtIgnore": np.zeros_like(clip.matched), "gtIgnore": np.zeros(clip.num_true)}
        for clip in clips
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]
    values = (precision.mean(), precision[0].mean(), precision[5].mean(),
              evaluation.eval["recall"].mean())  # fmt: skip
    return dict(zip(STATISTICS, map(float, values), strict=True))


def coco_intervals(
    clips: Sequence[ClipMatches], *, num_samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Intervals of `coco_average_precision` over the clips; see `posedata.bootstrap`.

    Predicted poses of equal scores are taken in the order of the clips, and all draws of one clip
    together.

    Returns
    -------
    dict of str to (float, float)
        NaN where fewer than two clips have true poses.
    """
    if sum(clip.num_true > 0 for clip in clips) < 2:
        return dict.fromkeys(STATISTICS, (float("nan"), float("nan")))
    scores = np.concatenate([clip.scores for clip in clips])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.ascontiguousarray(np.concatenate([c.matched for c in clips], axis=1)[:, order])
    clip_of = np.repeat(np.arange(len(clips)), [len(clip.scores) for clip in clips])[order]
    num_true = np.array([clip.num_true for clip in clips], np.float64)
    recalls = _pycocotools()[1](iouType="keypoints").params.recThrs
    drawn = [
        weighted_statistics(matched, clip_of, num_true, weights, recalls)
        for weights in drawn_weights(len(clips), num_samples, seed)
    ]
    values = np.concatenate(drawn)
    return {name: percentile_interval(values[:, i], level) for i, name in enumerate(STATISTICS)}


@kernel
def weighted_statistics(
    matched: np.ndarray, clip_of: np.ndarray, num_true: np.ndarray, weights: np.ndarray,
    recalls: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Compute what ``COCOeval.accumulate`` does, of clips that count several times or not at all.

    Parameters
    ----------
    matched : bool, shape (10, D)
        Of all predicted poses, the most confident first.
    clip_of : int, shape (D,)
        Clip of each.
    num_true : float64, shape (K,)
        True poses of each clip.
    weights : float64, shape (S, K)
        How often each clip counts, for S samples.
    recalls : float64, shape (R,)
        At which the precision is read, ascending.

    Returns
    -------
    float64, shape (S, 4)
        `STATISTICS` of each sample; NaN without true poses.
    """
    num_levels, num_poses = matched.shape
    out = np.full((len(weights), 4), np.nan)
    for s in range(len(weights)):
        truths = 0.0
        for k in range(len(num_true)):
            truths += weights[s, k] * num_true[k]
        if truths == 0:
            continue
        out[s] = 0.0
        for level in range(num_levels):
            right = poses = 0.0
            for d in range(num_poses):
                weight = weights[s, clip_of[d]]
                poses += weight
                if matched[level, d]:
                    right += weight
            out[s, 3] += right / truths
            r = len(recalls) - 1
            while r >= 0 and recalls[r] > right / truths:
                r -= 1
            best = total = 0.0
            for d in range(num_poses - 1, -1, -1):  # from the right, as precisions are made to fall
                best = max(best, right / (poses + 2.220446049250313e-16))
                weight = weights[s, clip_of[d]]
                poses -= weight
                if matched[level, d]:
                    right -= weight
                while r >= 0 and (d == 0 or recalls[r] > right / truths):
                    total += best
                    r -= 1
            out[s, 0] += total / len(recalls)
            if level == 0:
                out[s, 1] = total / len(recalls)
            if level == 5:
                out[s, 2] = total / len(recalls)
        out[s, 0] /= num_levels
        out[s, 3] /= num_levels
    return out
