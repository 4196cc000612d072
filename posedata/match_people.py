"""The same person ids in all layers of a clip.

Each estimator numbers people in its own way. Tracks of several layers are compared over the whole
clip, never frame by frame, so that a person whom one layer loses, or two who pass each other,
do not change ids on the way.

Two poses are compared by COCO's object keypoint similarity (`posedata.oks`). The area of a person
is `AREA_OF_BOX` times the box around the joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posedata.boxes import LARGEST_COORDINATE
from posedata.errors import UsageError
from posedata.oks import AREA_OF_BOX, object_keypoint_similarities
from posedata.remap import remap_ledger
from posedata.skeleton import Skeleton, load_skeleton

#: Mean similarity below which two tracks are of two persons. On a real video OpenPose and MoveNet
#: agree to 0.55 and 0.79 on the same two people, and to 0.00 across them.
LEAST_SIMILARITY = 0.2

#: Least area of a pose over the median of its track: a pose of few joints has too small a box.
LEAST_SHARE_OF_MEDIAN = 0.25

#: Sigma of joints for which nobody has published one; mmpose's choice for neck and feet.
DEFAULT_SIGMA = 0.079

# Pairs of poses at a time, so that the arrays between stay in the processor's cache.
_CHUNK = 1 << 13


@dataclass(frozen=True, eq=False)
class PoseTracks:
    """What a layer says of the people of one clip, in rows of any order.

    Attributes
    ----------
    frames : int32, shape (N,)
        Frame of each row.
    persons : int32, shape (N,)
        Track of each row, 0 or more, once a frame at most.
    keypoints_2d : float32, shape (N, V, 2)
        Pixels; NaN where missing.
    skeleton : Skeleton
        The V joints.

    Raises
    ------
    UsageError
        If the arrays do not fit each other, a number is negative, or a person is twice in one
        frame.
    """

    frames: np.ndarray
    persons: np.ndarray
    keypoints_2d: np.ndarray
    skeleton: Skeleton

    def __post_init__(self) -> None:
        rows = len(self.frames)
        _expect("persons", self.persons, (rows,))
        _expect("keypoints_2d", self.keypoints_2d, (rows, self.skeleton.num_joints, 2))
        if rows and min(self.frames.min(), self.persons.min()) < 0:
            raise UsageError("tracks with a negative frame or person")
        order = np.lexsort((self.persons, self.frames))
        frames, persons = self.frames[order], self.persons[order]
        twice = (np.diff(frames) == 0) & (np.diff(persons) == 0)
        if twice.any():
            row = np.flatnonzero(twice)[0]
            raise UsageError(f"person {persons[row]} twice in frame {frames[row]}")


def match_people(
    tracks: PoseTracks, references: Sequence[PoseTracks], *, join: bool = True
) -> np.ndarray:
    """Give the people of a layer the ids that they have in other layers of the clip.

    Tracks and persons are paired so that the similarity summed over the frames in which both are
    is greatest. A track that is left over, as when an expert loses a person and finds them again
    under another number, joins the person whom it resembles most, unless that person is
    already there in one of its frames. Below `LEAST_SIMILARITY` on average nobody is paired, and a
    track becomes a new person.

    Parameters
    ----------
    tracks : PoseTracks
        The layer, N rows.
    references : sequence of PoseTracks
        Layers that share ids already. Each comparison with each of them counts alike: the sum
        and the mean are over frames and layers. (The best over layers would believe the one
        that is wrong wherever one has exchanged two people; the mean outvotes it.)
    join : bool
        Whether several tracks may be one person. Not where the source itself says who is who.

    Returns
    -------
    int32, shape (N,)
        Person of each row, in the numbers of the references. New persons have the numbers beyond
        all others by first appearance, from left to right where several appear in one frame.

    Notes
    -----
    Only joints that both skeletons have are compared (`posedata.remap`: exact ones), where both
    layers have them. Layers without a common joint cannot be matched. The area is that of the
    reference's pose.

    The result depends neither on the order of the rows nor on how ``tracks`` numbers people.

    Examples
    --------
    >>> from posedata.skeleton import load_skeleton
    >>> left, right = np.zeros((2, 17, 2), np.float32) + np.arange(17, dtype=np.float32)[:, None]
    >>> right = right + 500
    >>> one_frame = np.zeros(2, np.int32)
    >>> a = PoseTracks(one_frame, np.array([3, 8]), np.stack([left, right]), load_skeleton("coco"))
    >>> b = PoseTracks(one_frame, np.array([0, 1]), np.stack([right, left]), load_skeleton("coco"))
    >>> match_people(b, [a])
    array([8, 3], dtype=int32)
    """
    if not len(tracks.frames):
        return np.empty(0, np.int32)
    track_of_row, rows_of_tracks = _tracks_in_order(tracks)
    ids = np.unique(np.concatenate([np.empty(0, np.int32), *(r.persons for r in references)]))
    similarity, compared = _similarities(tracks, track_of_row, len(rows_of_tracks), references, ids)

    person_of_track = np.full(len(rows_of_tracks), -1, np.int64)
    if similarity.nnz:
        # Both have the same entries in the same order: one for each pair that was compared.
        similarity.data[similarity.data < LEAST_SIMILARITY * compared.data] = 0
        similarity.eliminate_zeros()
        _assign(similarity, person_of_track)
        if join:
            frames_of_tracks = [tracks.frames[rows] for rows in rows_of_tracks]
            _join_fragments(similarity, person_of_track, frames_of_tracks)
    matched = person_of_track >= 0
    numbers = np.empty(len(rows_of_tracks), np.int64)
    numbers[matched] = ids[person_of_track[matched]]
    numbers[~matched] = (int(ids[-1]) + 1 if len(ids) else 0) + np.arange((~matched).sum())
    return numbers[track_of_row].astype(np.int32)


def match_layers(layers: Sequence[PoseTracks]) -> list[np.ndarray]:
    """Give the people of all layers of a clip the same ids.

    Parameters
    ----------
    layers : sequence of PoseTracks
        The first keeps its ids; each further one is matched with all before it. A layer that
        loses nobody is the best first one.

    Returns
    -------
    list of int32, shape (N of the layer,)
        Person of each row of each layer.
    """
    matched: list[PoseTracks] = []
    for layer in layers:
        persons = match_people(layer, matched) if matched else layer.persons.astype(np.int32)
        matched.append(replace(layer, persons=persons))
    return [layer.persons for layer in matched]


def _tracks_in_order(tracks: PoseTracks) -> tuple[np.ndarray, list[np.ndarray]]:
    """Number the tracks by what they hold, so that their own numbers have no influence.

    Returns the track of each row, and the rows of each track by frame.
    """
    order = np.lexsort((tracks.frames, tracks.persons))
    starts = np.flatnonzero(np.diff(tracks.persons[order], prepend=-1))
    rows_of_tracks = np.split(order, starts[1:])

    def content(rows: np.ndarray) -> tuple[Any, ...]:
        xs = tracks.keypoints_2d[rows[0], :, 0]
        left = np.min(xs, where=np.isfinite(xs), initial=np.inf)
        poses = tracks.keypoints_2d[rows].tobytes()
        return int(tracks.frames[rows[0]]), float(left), poses, tracks.frames[rows].tobytes()

    rows_of_tracks.sort(key=content)
    track_of_row = np.empty(len(order), np.int64)
    for track, rows in enumerate(rows_of_tracks):
        track_of_row[rows] = track
    return track_of_row, rows_of_tracks


def _similarities(
    tracks: PoseTracks, track_of_row: np.ndarray, num_tracks: int,
    references: Sequence[PoseTracks], ids: np.ndarray,
) -> tuple[Any, Any]:  # fmt: skip
    """Sum OKS over layers and frames for each track (row) and person (column).

    Returns two sparse arrays of the same entries: the sums, and how many poses were compared.
    """
    from scipy.sparse import coo_array

    theirs, mine, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for reference in references:
        row, other, oks = _compare(tracks, track_of_row, reference)
        mine.append(track_of_row[row])
        theirs.append(np.searchsorted(ids, reference.persons)[other])
        values.append(oks)
    places = (np.concatenate(mine), np.concatenate(theirs))
    oks = np.concatenate(values)
    shape = (num_tracks, len(ids))
    return (
        coo_array((oks, places), shape).tocsr(),
        coo_array((np.ones(len(oks)), places), shape).tocsr(),
    )


def _compare(
    tracks: PoseTracks, track_of_row: np.ndarray, reference: PoseTracks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare each pose with each of the reference in the same frame.

    Returns the rows of both and their OKS, where there is any.
    """
    here, there, sigmas = _shared_joints(tracks.skeleton, reference.skeleton)
    poses, their_poses = _by_joint(tracks.keypoints_2d), _by_joint(reference.keypoints_2d)
    areas = _areas(reference.persons, their_poses)
    poses, their_poses = poses[here], their_poses[there]

    # By frame, then by track: sums are made in an order that the rows' order does not change.
    order = np.lexsort((track_of_row, tracks.frames))
    other_order = np.lexsort((reference.persons, reference.frames))
    other_frames = reference.frames[other_order]
    first = np.searchsorted(other_frames, tracks.frames[order], "left")
    count = np.searchsorted(other_frames, tracks.frames[order], "right") - first
    rows = np.repeat(order, count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    others = other_order[np.repeat(first, count) + within]

    oks = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        mine = np.moveaxis(poses[..., rows[part]], -1, 0)
        theirs = np.moveaxis(their_poses[..., others[part]], -1, 0)
        oks[part] = object_keypoint_similarities(
            mine, theirs, areas[others[part]], sigmas, missing="skip"
        )
    told = ~np.isnan(oks)
    return rows[told], others[told], oks[told].astype(np.float64)


def _shared_joints(skeleton: Skeleton, reference: Skeleton) -> tuple[list[int], list[int], Any]:
    """Indices of the common joints in both skeletons, and their sigmas.

    A sigma is COCO's for its joints (mmpose's for MPII are others for the same joints), else that
    of either skeleton, else the default.
    """
    known = _known_sigmas(skeleton, reference)
    ledger = remap_ledger(skeleton, reference)
    there = [joint for joint, origin in enumerate(ledger) if origin.how == "exact"]
    names = [reference.joints[joint] for joint in there]
    here = [skeleton.index(name) for name in names]
    return here, there, np.array([known.get(name, DEFAULT_SIGMA) for name in names])


def joint_sigmas(skeleton: Skeleton) -> np.ndarray:
    """Give the OKS constant of each joint, float64 (V,): COCO's, the skeleton's, or the default."""
    known = _known_sigmas(skeleton)
    return np.array([known.get(name, DEFAULT_SIGMA) for name in skeleton.joints])


def _known_sigmas(*skeletons: Skeleton) -> dict[str, float]:
    known: dict[str, float] = {}
    for source in (*skeletons, load_skeleton("coco17")):
        if source.sigmas is not None:
            known.update(zip(source.joints, source.sigmas, strict=True))
    return known


def _by_joint(keypoints: np.ndarray) -> np.ndarray:
    """Give keypoints as float32, shape (V, 2, N), and NaN where they are not finite."""
    poses = np.moveaxis(keypoints, 0, -1).astype(np.float32, order="C")
    poses[~np.isfinite(poses)] = np.nan
    np.clip(poses, -LARGEST_COORDINATE, LARGEST_COORDINATE, out=poses)
    poses += (poses[:, :1] + poses[:, 1:]) * 0  # a joint without x or y has neither
    return poses


def _areas(persons: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Area of the person in each of N rows, in pixels, for poses of shape (V, 2, N)."""
    low = np.fmin.reduce(poses, axis=0)
    high = np.fmax.reduce(poses, axis=0)
    areas = np.nan_to_num(AREA_OF_BOX * (high - low).astype(np.float64).prod(0))
    order = np.lexsort((areas, persons))
    starts = np.flatnonzero(np.diff(persons[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    medians = np.empty(len(areas))
    medians[order] = np.repeat(areas[order][starts + lengths // 2], lengths)
    # At least one pixel, so that people of one joint can be compared, too.
    return np.maximum(areas, LEAST_SHARE_OF_MEDIAN * medians).clip(1)


def _assign(similarity: Any, person_of_track: np.ndarray) -> None:
    """Pair tracks (rows) and persons (columns) so that the sum of similarities is greatest.

    People who have nothing in common are no question of the same assignment: a long video with
    thousands of tracks falls apart into small groups.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import block_array
    from scipy.sparse.csgraph import connected_components

    num_tracks = similarity.shape[0]
    both = block_array([[None, similarity], [similarity.T, None]], format="csr")
    _, group = connected_components(both, directed=False)
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, columns = members[members < num_tracks], members[members >= num_tracks] - num_tracks
        if len(rows) and len(columns):
            sums = similarity[rows][:, columns].toarray()
            for row, column in zip(*linear_sum_assignment(sums, maximize=True), strict=True):
                if sums[row, column] > 0:
                    person_of_track[rows[row]] = columns[column]


def _join_fragments(
    similarity: Any, person_of_track: np.ndarray, frames_of_tracks: list[np.ndarray]
) -> None:
    """Give tracks that are left over to the person whom they resemble most, where there is room."""
    taken: dict[int, set[int]] = {}
    for track, person in enumerate(person_of_track.tolist()):
        if person >= 0:
            taken.setdefault(person, set()).update(frames_of_tracks[track].tolist())
    fragments = []
    for track in np.flatnonzero(person_of_track < 0).tolist():
        entries = slice(similarity.indptr[track], similarity.indptr[track + 1])
        sums = similarity.data[entries]
        if len(sums):
            best = int(np.argmax(sums))
            fragments.append((-sums[best], track, int(similarity.indices[entries][best])))
    for _, track, person in sorted(fragments):
        frames = frames_of_tracks[track].tolist()
        if taken[person].isdisjoint(frames):
            taken[person].update(frames)
            person_of_track[track] = person


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UsageError(f"tracks: {name}", found=f"shape {array.shape}", expected=shape)
