"""COCO's average precision of keypoints, by COCO's own evaluator (pycocotools)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posedata.errors import UsageError

# Where COCO's evaluator, which knows no missing predictions, is told that such a joint is.
_FAR_AWAY = 1e7

# Rows of COCOeval's statistics for keypoints.
_STATISTICS = {"ap": 0, "ap50": 1, "ap75": 2, "ar": 5}


@dataclass
class CocoPoses:
    """True and predicted poses on their way to COCO's evaluator: an image for each frame."""

    images: list[dict[str, Any]] = field(default_factory=list)
    true: list[dict[str, Any]] = field(default_factory=list)
    predicted: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, predicted: np.ndarray, scores: np.ndarray, frames: np.ndarray, true: np.ndarray,
        true_frames: np.ndarray, areas: np.ndarray,
    ) -> None:  # fmt: skip
        """Add the poses of one clip; frames without a true pose are left out.

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
        """
        wanted = np.unique(true_frames[np.isfinite(true).all(-1).any(1)])
        first = len(self.images)
        self.images += [{"id": first + k} for k in range(len(wanted))]
        for frame, pose, area in zip(true_frames, true, areas, strict=True):
            there = np.isfinite(pose).all(-1)
            if there.any():
                flat = np.column_stack([np.where(there[:, None], pose, 0), 2 * there]).ravel()
                low, high = pose[there].min(0), pose[there].max(0)
                self.true.append({
                    "id": len(self.true) + 1, "category_id": 1, "iscrowd": 0,
                    "image_id": first + int(np.searchsorted(wanted, frame)),
                    "keypoints": flat.tolist(), "num_keypoints": int(there.sum()),
                    "area": float(area), "bbox": [*low.tolist(), *(high - low).tolist()],
                })  # fmt: skip
        for frame, pose, score in zip(frames, predicted, scores, strict=True):
            place = int(np.searchsorted(wanted, frame))
            there = np.isfinite(pose).all(-1)
            if place < len(wanted) and wanted[place] == frame and there.any():
                flat = np.column_stack([np.where(there[:, None], pose, _FAR_AWAY), there]).ravel()
                self.predicted.append({
                    "category_id": 1, "image_id": first + place, "keypoints": flat.tolist(),
                    "score": float(score),
                })  # fmt: skip


def coco_average_precision(poses: CocoPoses, sigmas: np.ndarray) -> Mapping[str, float]:
    """Compute COCO's AP and AR over all areas.

    Parameters
    ----------
    poses : CocoPoses
        Of all clips.
    sigmas : float, shape (J,)
        OKS constants.

    Returns
    -------
    mapping of str to float
        ``ap`` and ``ar`` (mean over OKS 0.50, 0.55, ..., 0.95), ``ap50``, ``ap75``; NaN without
        true poses.

    Raises
    ------
    UsageError
        If pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UsageError(
            "COCO's AP needs pycocotools, which is not installed",
            remedy="Install it with: pip install 'posedata[coco]'.",
        ) from None
    if not poses.true:
        return dict.fromkeys(_STATISTICS, float("nan"))
    if not poses.predicted:
        return dict.fromkeys(_STATISTICS, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        true = COCO()
        true.dataset = {"info": {}, "images": poses.images, "annotations": poses.true,
                        "categories": [{"id": 1, "name": "person"}]}  # fmt: skip
        true.createIndex()
        evaluation = COCOeval(true, true.loadRes(poses.predicted), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[row]) for name, row in _STATISTICS.items()}
