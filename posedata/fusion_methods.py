"""The ways to fuse experts that ``posedata fuse --method`` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import UsageError
from posedata.skeleton import Skeleton


class FusedTrack(NamedTuple):
    """One person's fused poses over T consecutive frames.

    Parameters
    ----------
    keypoints : float32, shape (T, V, 2)
        Pixels; NaN where missing.
    scores : float32, shape (T, V)
        0 to 1.
    confidence : float32, shape (T,)
        Agreement of the experts, C of the paper; NaN where it cannot be told.
    extra : mapping of str to array, shape (T, ...)
        Further columns of the layer.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    confidence: np.ndarray
    extra: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Method:
    """A way to fuse experts.

    Attributes
    ----------
    fuse : callable
        ``(proposals (E, T, V, 2), scores (E, T, V), skeleton) -> FusedTrack``.
    own_columns : mapping
        Definitions of its ``extra`` columns, in the form of ``schemas/columns.json``.
    """

    fuse: Callable[[np.ndarray, np.ndarray, Skeleton], FusedTrack]
    own_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def fusion_method(name: str) -> Method:
    """Give a method by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in METHODS:
        raise UsageError("--method", found=repr(name), expected=f"one of {', '.join(METHODS)}")
    return METHODS[name]


def head_and_neck(skeleton: Skeleton) -> tuple[int, int | tuple[int, int]]:
    """Tell which joints measure the head (D_normal of the SST-A paper).

    Returns
    -------
    head : int
        The upper of the skeleton's two head joints, else its head or nose.
    neck : int or (int, int)
        The lower of them, else both shoulders: it is in the middle between them.

    Raises
    ------
    UsageError
        If the skeleton has none of these.
    """
    if skeleton.head is not None:
        lower, upper = skeleton.head
        return skeleton.index(upper), skeleton.index(lower)
    for head in ("head", "nose"):
        if head in skeleton.joints:
            left, right = skeleton.index("left_shoulder"), skeleton.index("right_shoulder")
            return skeleton.index(head), (left, right)
    raise UsageError(f"the joint set {skeleton.name} has no head to measure distances by")


def _ssta(proposals: np.ndarray, scores: np.ndarray, skeleton: Skeleton) -> FusedTrack:
    from posedata.ssta import aggregate

    head, neck = head_and_neck(skeleton)
    fused = aggregate(proposals, head, neck)
    won = fused.winner.clip(0)[None].astype(np.intp)
    of_winner = np.take_along_axis(scores, won, 0)[0]
    return FusedTrack(
        keypoints=fused.keypoints,
        scores=np.where(fused.winner >= 0, of_winner, np.float32(0)),
        confidence=fused.confidence,
        extra={"present": fused.present, "winner": fused.winner, "agreed": fused.agreed},
    )


def _consensus(proposals: np.ndarray, scores: np.ndarray, skeleton: Skeleton) -> FusedTrack:
    from posedata.consensus import consensus
    from posedata.ssta import confidence

    fused = consensus(proposals, scores, skeleton.swap)
    keypoints = fused.keypoints.astype(np.float32)
    present = np.isfinite(proposals).all(-1).mean((0, 2), dtype=np.float32)
    return FusedTrack(
        keypoints=keypoints,
        scores=fused.scores.astype(np.float32),
        confidence=confidence(keypoints, proposals, *head_and_neck(skeleton)),
        extra={"present": present, "exchanged": fused.exchanged.sum(0, dtype=np.uint8)},
    )


def _ssta_prs(proposals: np.ndarray, scores: np.ndarray, skeleton: Skeleton) -> FusedTrack:
    """Run the authors' script on its terms; its (0, 0) are missing joints in a release."""
    from posedata.ssta_prs import aggregate_prs

    if len(proposals) != 3 or skeleton.name != "coco17":
        raise UsageError("--method ssta-prs", found=f"{len(proposals)} experts, {skeleton.name}",
                         expected="three experts and --joints coco17, as in the authors' "
                         "script")  # fmt: skip
    fused = aggregate_prs([np.where(np.isfinite(p), p, np.float32(0)) for p in proposals])
    keypoints = np.array(fused.keypoints, np.float32)
    missing = (keypoints == 0).all(-1)
    keypoints[missing] = np.nan
    return FusedTrack(
        keypoints=keypoints,
        scores=np.where(missing, 0, scores.max(0)).astype(np.float32),
        confidence=np.asarray(fused.confidence, np.float32),
        extra={},
    )


_OF_SSTA: Mapping[str, Mapping[str, Any]] = {
    "present": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "Share of the experts' joints that are there; confidence is a mean over these.",
    },
    "winner": {
        "type": "int8", "per": "pose", "shape": ["V"],
        "about": "Which expert's the joint is, in the order of made_by.experts; -1 where missing.",
    },
    "agreed": {
        "type": "uint8", "per": "pose", "shape": ["V"],
        "about": "How many experts are within half the head-neck distance of the joint.",
    },
}  # fmt: skip

_OF_CONSENSUS: Mapping[str, Mapping[str, Any]] = {
    "present": _OF_SSTA["present"],
    "exchanged": {
        "type": "uint8", "per": "pose", "shape": [],
        "about": "Of how many experts left and right were exchanged.",
    },
}  # fmt: skip

METHODS: Mapping[str, Method] = {
    "ssta": Method(_ssta, _OF_SSTA),
    "consensus": Method(_consensus, _OF_CONSENSUS),
    "ssta-prs": Method(_ssta_prs),
}
