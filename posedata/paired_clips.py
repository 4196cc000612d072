"""The clips of a layer beside those of the truth, people paired, many clips at a time.

Clips are short, and numpy's calls cost more than what they compute on a hundred poses: the poses
of many clips are put one after the other. Memory holds one such batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.axes import turned
from posedata.clip import Clip
from posedata.compare_layers import ComparedJoints, People, is_one_person, pair_people, take_joints
from posedata.errors import UsageError
from posedata.evaluate_clip import PairedPoses
from posedata.match_people import joint_sigmas
from posedata.skeleton import Skeleton

if TYPE_CHECKING:
    from posedata.release import Release

# True poses at a time.
_BATCH = 1 << 14


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how.

    Attributes
    ----------
    layer, truth : str
        Names of two layers.
    joints : ComparedJoints
        Of both.
    dimensions : collection of int
        2, 3 or both.
    people : {"auto", "id", "oks"}
        See `posedata.compare_layers.pair_people`.
    axes : str
        Of the layer in space; see `posedata.axes.parse_axes`.
    columns : collection of str
        Of ``scores`` (of the layer), ``boxes``, ``head_boxes`` (of the truth), those that are
        needed where they exist.
    """

    layer: str
    truth: str
    joints: ComparedJoints
    dimensions: Collection[int]
    people: People = "auto"
    axes: str = "x,y,z"
    columns: Collection[str] = ()


@dataclass
class PairCounts:
    """What was paired so far; see `posedata.evaluate.LayerCounts`."""

    clips: int = 0
    without_layer: int = 0
    by_oks: int = 0
    true_poses: int = 0
    paired: int = 0
    extra: int = 0


@dataclass
class _Batch:
    """Clips on their way into one `PairedPoses`."""

    pairs: list[tuple[Clip, Clip]] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    poses: int = 0


def paired_clips(
    release: Release, compared: Comparison, counts: PairCounts,
    clip_ids: Sequence[str] | None = None, *, progress: bool = False,
) -> Iterator[tuple[list[Clip], dict[int, PairedPoses]]]:  # fmt: skip
    """Read two layers, and pair their poses.

    Parameters
    ----------
    release : Release
        With both layers.
    compared : Comparison
        Which, and how.
    counts : PairCounts
        Counted on as the clips go by.
    clip_ids : sequence of str, optional
        Only these.
    progress : bool
        Whether to draw a progress bar on stderr.

    Yields
    ------
    clips : list of Clip
        Some true clips, in the order of their ids, that both layers have.
    pairs : dict
        Their poses, for each of the dimensions.
    """
    from tqdm import tqdm

    where = None if clip_ids is None else {"clip_id": list(clip_ids)}
    mine, theirs = (
        release.iter_clips(name, columns=_columns(release, name, compared, also), where=where)
        for name, also in (
            (compared.layer, {"scores"}), (compared.truth, {"boxes", "head_boxes"})
        )
    )  # fmt: skip
    batch = _Batch()
    for clip, true in tqdm(
        _side_by_side(mine, theirs), unit=" clips", desc=compared.layer, dynamic_ncols=True,
        disable=None if progress else True,
    ):  # fmt: skip
        if clip is None:
            counts.without_layer += 1
            continue
        batch.rows.append(_pair(clip, true, compared, counts))
        batch.pairs.append((clip, true))
        batch.poses += len(true.frames)
        if batch.poses >= _BATCH:
            yield _joined(batch, compared)
            batch = _Batch()
    if batch.pairs:
        yield _joined(batch, compared)


def _columns(release: Release, layer: str, compared: Comparison, also: set[str]) -> list[str]:
    known = release.table(layer).pose_columns
    wanted = [f"keypoints_{dimension}d" for dimension in sorted(compared.dimensions)]
    lacking = [name for name in wanted if name not in known]
    if lacking:
        raise UsageError(f"layer {layer} has no {', '.join(lacking)}", path=release.place,
                         remedy="Choose metrics of the other kind: 2D ones are in pixels, those "
                         "in mm need 3D.")  # fmt: skip
    further = sorted(also & set(compared.columns))
    if compared.people != "id":  # pixels tell who is who, for metrics in space, too
        further.append("keypoints_2d")
    return wanted + [name for name in further if name in known and name not in wanted]


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


def _pair(clip: Clip, true: Clip, compared: Comparison, counts: PairCounts) -> np.ndarray:
    """Row of the predicted pose of each true one, -1 where there is none."""
    poses: list[Any] = [None, None, None]
    needed = compared.people == "oks" or (
        compared.people == "auto" and not is_one_person(clip.persons, true.persons)
    )
    if needed and clip.keypoints_2d is not None and true.keypoints_2d is not None:
        at = list(compared.joints.true)
        poses = [take_joints(clip.keypoints_2d, clip.skeleton, compared.joints.predicted),
                 true.keypoints_2d[:, at], joint_sigmas(true.skeleton)[at]]  # fmt: skip
    rows, by_oks = pair_people(
        compared.people, clip.frames, clip.persons, true.frames, true.persons, *poses
    )
    paired = int((rows >= 0).sum())
    counts.clips += 1
    counts.by_oks += by_oks
    counts.true_poses += len(rows)
    counts.paired += paired
    counts.extra += len(clip.frames) - paired
    return rows


def _joined(
    batch: _Batch, compared: Comparison
) -> tuple[list[Clip], dict[int, PairedPoses]]:  # fmt: skip
    """Put the poses of clips one after the other."""
    mine, theirs = ([pair[side] for pair in batch.pairs] for side in (0, 1))
    skeleton, joints = theirs[0].skeleton, compared.joints
    starts, own_starts = _starts(theirs), _starts(mine)
    lengths = np.diff(starts)
    rows = np.concatenate(batch.rows)
    rows = np.where(rows >= 0, rows + np.repeat(own_starts[:-1], lengths), -1)
    at_once = len(rows) == own_starts[-1] and bool((rows == np.arange(len(rows))).all())
    pairs = {}
    for dimension in sorted(compared.dimensions):
        column = f"keypoints_{dimension}d"
        true_all, own_all = _column(theirs, column), _column(mine, column)
        assert true_all is not None
        assert own_all is not None
        own = take_joints(own_all, mine[0].skeleton, joints.predicted)
        if dimension == 3:
            own = turned(own, compared.axes)
        predicted = own
        if not at_once:
            predicted = np.full((len(rows), *own.shape[1:]), np.nan, np.float32)
            predicted[rows >= 0] = own[rows[rows >= 0]]
        pairs[dimension] = PairedPoses(
            starts, _column(theirs, "frames"), _persons(theirs, lengths),
            _chosen(true_all, joints.true), predicted, true_all,
            own_starts, _column(mine, "frames"), _persons(mine, np.diff(own_starts)), own,
            own_all, _column(mine, "scores"), _column(theirs, "boxes"),
            _column(theirs, "head_boxes"),
            _two(skeleton, skeleton.head), _two(skeleton, ("left_shoulder", "right_hip")),
            _roots(skeleton, joints), joint_sigmas(skeleton)[list(joints.true)],
        )  # fmt: skip
    return theirs, pairs


def _starts(clips: Sequence[Clip]) -> np.ndarray:
    return np.cumsum([0, *(len(clip.frames) for clip in clips)])


def _column(clips: Sequence[Clip], name: str) -> Any:
    """One array of a pose column of all clips; None where they lack it."""
    arrays: list[Any] = [getattr(clip, name, clip.extra.get(name)) for clip in clips]
    return None if arrays[0] is None else np.concatenate(arrays)


def _persons(clips: Sequence[Clip], lengths: np.ndarray) -> np.ndarray:
    """Give the persons of all clips, each a number of its own, so that tracks end with clips."""
    of_clips = np.repeat(np.arange(len(clips)), lengths) << 32
    return np.asarray(of_clips + _column(clips, "persons"))


def _chosen(poses: np.ndarray, joints: Sequence[int]) -> np.ndarray:
    everything = tuple(joints) == tuple(range(poses.shape[1]))
    return poses if everything else np.ascontiguousarray(poses[:, list(joints)])


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


def pose_scores(scores: np.ndarray | None, keypoints: np.ndarray) -> np.ndarray:
    """Mean score of the joints that each pose has, (N,); 1 where the layer has no scores."""
    if scores is None:
        return np.ones(len(keypoints))
    there = np.isfinite(keypoints).all(-1)
    sums = np.where(there, scores, 0).sum(1, dtype=np.float64)
    return np.asarray(sums / np.maximum(there.sum(1), 1))
