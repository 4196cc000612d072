"""Which predicted pose belongs to which true one, and which joints of both can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from posedata.boxes import extents
from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.oks import AREA_OF_BOX, similarity
from posedata.remap import JointOrigin, remap_ledger
from posedata.skeleton import Skeleton

People = Literal["auto", "id", "oks"]

#: Poses less alike than this are not of one person; as `posedata.match_people.LEAST_SIMILARITY`.
LEAST_OKS = 0.2

#: Share of the pairs by OKS that must have equal ids for two layers to share their ids.
LEAST_SHARE_OF_EQUAL_IDS = 0.5


@dataclass(frozen=True)
class ComparedJoints:
    """The joints of a comparison.

    Attributes
    ----------
    names : tuple of str
        The J joints, in the order of the true skeleton.
    true : tuple of int
        Their indices in the true skeleton.
    predicted : tuple of JointOrigin
        What each is in the predicted one: exact or derived.
    """

    names: tuple[str, ...]
    true: tuple[int, ...]
    predicted: tuple[JointOrigin, ...]


def compared_joints(
    predicted: Skeleton, true: Skeleton, *, derived: bool = False
) -> ComparedJoints:
    """Joints that can be compared, by name: those of the true skeleton that the other has.

    Parameters
    ----------
    predicted, true : Skeleton
        The joint sets.
    derived : bool
        Also joints that a rule of ``schemas/remap.json`` makes of predicted ones.
    """
    accepted = ("exact", "derived") if derived else ("exact",)
    chosen = [
        (index, origin)
        for index, origin in enumerate(remap_ledger(predicted, true))
        if origin.how in accepted
    ]
    return ComparedJoints(
        tuple(origin.joint for _, origin in chosen),
        tuple(index for index, _ in chosen),
        tuple(origin for _, origin in chosen),
    )


def take_joints(
    keypoints: np.ndarray, skeleton: Skeleton, joints: tuple[JointOrigin, ...]
) -> np.ndarray:
    """Give the predicted joints of a comparison, float32 (N, J, C); NaN where missing."""
    parents = [[skeleton.index(parent) for parent, _ in origin.parents] for origin in joints]
    if parents == [[index] for index in range(keypoints.shape[1])]:
        return keypoints
    out = np.empty((len(keypoints), len(joints), keypoints.shape[2]), np.float32)
    for j, origin in enumerate(joints):
        if len(parents[j]) == 1:
            out[:, j] = keypoints[:, parents[j][0]]
        else:  # in float64, as `posedata.remap`
            weights = np.array([weight for _, weight in origin.parents])
            out[:, j] = (weights[:, None] * keypoints[:, parents[j]].astype(np.float64)).sum(1)
    return out


def pair_by_id(
    frames: np.ndarray, persons: np.ndarray, true_frames: np.ndarray, true_persons: np.ndarray
) -> np.ndarray:
    """Find the predicted pose of the same person in the same frame.

    Parameters
    ----------
    frames, persons : int, shape (N,)
        Of the predicted poses; a person once a frame.
    true_frames, true_persons : int, shape (M,)
        Of the true ones.

    Returns
    -------
    int64, shape (M,)
        Row of the predicted pose; -1 where there is none.
    """
    if np.array_equal(frames, true_frames) and np.array_equal(persons, true_persons):
        return np.arange(len(frames))
    keys = persons.astype(np.int64) << 32 | frames
    wanted = true_persons.astype(np.int64) << 32 | true_frames
    order = np.argsort(keys, kind="stable")
    found = np.searchsorted(keys[order], wanted)
    rows = np.full(len(wanted), -1, np.int64)
    inside = found < len(keys)
    rows[inside] = order[found[inside]]
    rows[inside] = np.where(keys[rows[inside]] == wanted[inside], rows[inside], -1)
    return rows


def pair_by_oks(
    predicted: np.ndarray, frames: np.ndarray, true: np.ndarray, true_frames: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Pair the poses of each frame so that their summed OKS is greatest.

    Pairs below `LEAST_OKS` are none. OKS is over the joints that both poses have, the area that
    of the box around the true joints times 0.53 (`posedata.match_people`).

    Parameters
    ----------
    predicted : float, shape (N, J, 2)
        Pixels; NaN where a joint is missing.
    frames : int, shape (N,)
        Of the predicted poses.
    true : float, shape (M, J, 2)
        The same joints of the true poses.
    true_frames : int, shape (M,)
        Of the true poses.
    sigmas : float, shape (J,)
        OKS constants.

    Returns
    -------
    int64, shape (M,)
        Row of the predicted pose; -1 where there is none.
    """
    from scipy.optimize import linear_sum_assignment

    areas = person_areas(true)
    order, true_order = np.argsort(frames, kind="stable"), np.argsort(true_frames, kind="stable")
    both = np.intersect1d(frames, true_frames)
    sides = [np.searchsorted(frames[order], both, side) for side in ("left", "right")]
    true_sides = [np.searchsorted(true_frames[true_order], both, s) for s in ("left", "right")]
    bounds = np.stack([*sides, *true_sides])
    predicted, true = np.ascontiguousarray(predicted[order]), np.ascontiguousarray(true[true_order])
    found, hard = _pair_frames(predicted, true, areas[true_order], sigmas, bounds)
    for start, end, true_start, true_end in bounds[:, hard].T:
        oks = _oks_of_all(
            predicted[start:end], true[true_start:true_end], areas[true_order[true_start:true_end]],
            sigmas,
        )  # fmt: skip
        for row, column in zip(*linear_sum_assignment(oks, maximize=True), strict=True):
            if oks[row, column] > 0:
                found[true_start + column] = start + row
    pairs = np.full(len(true), -1, np.int64)
    told = found >= 0
    pairs[true_order[told]] = order[found[told]]
    return pairs


@kernel
def _pair_frames(
    predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray,
    bounds: np.ndarray,
) -> tuple:  # fmt: skip
    """Pair where it is easy: where no two true poses have the same most similar one.

    Then each has the most it can have, and no other way of pairing has a greater sum. Poses are
    sorted by frame; ``bounds`` has the first and the end of either side in each frame, (4, F).

    Returns the row of the predicted pose of each true one (-1 where there is none), and which
    frames are left over, bool (F,).
    """
    found = np.full(len(true), -1, np.int64)
    hard = np.zeros(bounds.shape[1], np.bool_)
    for frame in range(bounds.shape[1]):
        start, end, true_start, true_end = bounds[:, frame]
        for m in range(true_start, true_end):
            best = 0.0
            for n in range(start, end):
                oks = similarity(predicted[n], true[m], areas[m], sigmas, False)
                if oks >= LEAST_OKS and oks > best:
                    best = oks
                    found[m] = n
            if found[m] >= 0 and (found[true_start:m] == found[m]).any():
                hard[frame] = True
                break
        if hard[frame]:
            found[true_start:true_end] = -1
    return found, hard


def person_areas(true: np.ndarray) -> np.ndarray:
    """Area of each true person: 0.53 of the box around the joints; at least one pixel, (M,)."""
    boxes = extents(true)
    return np.maximum(AREA_OF_BOX * (boxes[:, 2:] - boxes[:, :2]).prod(1), 1)


@kernel
def _oks_of_all(
    predicted: np.ndarray, true: np.ndarray, areas: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """OKS of each predicted pose with each true one of a frame, (n, m); 0 below `LEAST_OKS`."""
    out = np.zeros((len(predicted), len(true)))
    for n in range(len(predicted)):
        for m in range(len(true)):
            oks = similarity(predicted[n], true[m], areas[m], sigmas, False)
            if oks >= LEAST_OKS:
                out[n, m] = oks
    return out


def pair_people(
    people: People, frames: np.ndarray, persons: np.ndarray, true_frames: np.ndarray,
    true_persons: np.ndarray, predicted: np.ndarray | None = None, true: np.ndarray | None = None,
    sigmas: np.ndarray | None = None,
) -> tuple[np.ndarray, bool]:  # fmt: skip
    """Pair the poses of a clip: by id, by OKS, or by id unless the ids of the layers differ.

    Parameters
    ----------
    people : {"auto", "id", "oks"}
        ``auto`` is by OKS where fewer than half of the pairs by OKS have equal ids, and by id
        elsewhere: a person who is confused with another now and then stays an error.
    frames, persons, true_frames, true_persons
        See `pair_by_id`.
    predicted, true, sigmas
        See `pair_by_oks`. Without them (a layer without pixels) people are paired by id.

    Returns
    -------
    rows : int64, shape (M,)
        Of the predicted poses; -1 where there is none.
    by_oks : bool
        Whether that is by OKS.
    """
    if people not in ("auto", "id", "oks"):
        raise UsageError("people", found=repr(people), expected="auto, id or oks")
    by_id = pair_by_id(frames, persons, true_frames, true_persons)
    if people == "id" or predicted is None or true is None or sigmas is None:
        return by_id, False
    if people == "auto" and (
        is_one_person(persons, true_persons) or not (len(frames) and len(true))
    ):
        return by_id, False
    by_oks = pair_by_oks(predicted, frames, true, true_frames, sigmas)
    if people == "auto":
        paired = by_oks >= 0
        equal = (by_oks == by_id)[paired]
        if not len(equal) or equal.mean() >= LEAST_SHARE_OF_EQUAL_IDS:
            return by_id, False
    return by_oks, True


def is_one_person(persons: np.ndarray, true_persons: np.ndarray) -> bool:
    """Whether both layers have one person, of the same id."""
    ids = np.concatenate([persons, true_persons])
    return bool(len(ids)) and bool((ids == ids[0]).all())
