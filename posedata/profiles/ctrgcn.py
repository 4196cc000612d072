"""CTR-GCN's arrays of NTU RGB+D: what ``NTU60_CS.npz`` and its like hold.

The chain of steps takes one clip to its sequence; the functions below it make the arrays of a
whole data set of those, of which there are two versions (`NTU60`, `NTU120`).

Source: Uason-Chen/CTR-GCN, ``data/ntu`` and ``data/ntu120``: ``get_raw_skes_data.py``,
``get_raw_denoised_data.py``, ``seq_transformation.py``. SGN, VA-NN and InfoGCN clean the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from posedata.converters.ntu_samples import known_bad_names, parse_name, protocols
from posedata.errors import InputError, UsageError
from posedata.profile import Profile, step
from posedata.profiles.tracks import (
    Note,
    Tracks,
    close_gaps,
    drop_empty_frames,
    drop_short_tracks,
    drop_wide_tracks,
    fill_actors,
    make_tracks,
    measure_motion,
    sort_by_motion,
)


class JointSequence(NamedTuple):
    """One clip as the scripts have it before they align all to one length.

    Attributes
    ----------
    clip_id : str
        The sample's name.
    label : int
        0-based class.
    joints : float32, shape (T, M * 75)
        x, y, z of 25 joints of M = 1 or 2 actors.
    """

    clip_id: str
    label: int
    joints: np.ndarray


def drop_zero_frames(tracks: Tracks, note: Note) -> Tracks:
    """Drop the frames whose coordinates sum to 0, if the clip had several bodies from the start."""
    if tracks.alone:
        return tracks
    actors = tracks.filled
    with np.errstate(invalid="ignore", over="ignore"):
        filled = actors.reshape(len(actors), -1).sum(axis=1) != 0
    num_frames = int(np.count_nonzero(filled))
    if num_frames == len(actors):
        return tracks
    note("frames whose coordinates sum to 0 dropped", len(actors) - num_frames)
    return replace(tracks, num_frames=num_frames, actors=actors[filled])


def centre_on_first_spine(tracks: Tracks, note: Note, *, joint: int) -> Tracks:
    """Move the place where the first actor's spine is first seen to the origin.

    That is ``joint`` of the first actor in the first frame in which any of its coordinates is not
    0. Of two actors, those whose coordinates sum to 0 in a frame are zeros there afterwards.

    Raises
    ------
    InputError
        If there is no such frame: the script stops there.
    """
    actors = tracks.filled
    seen = (actors[:, 0] != 0).any(axis=(1, 2))
    if not seen.any():
        raise InputError(
            "every coordinate of the first actor is 0", path=tracks.clip_id,
            remedy="The published script has no result for such a clip.",
        )  # fmt: skip
    with np.errstate(invalid="ignore", over="ignore"):
        centred = actors - actors[seen.argmax(), 0, joint]
        if actors.shape[1] == 2:
            flat = actors.reshape(len(actors), -1)
            width = flat.shape[1] // 2
            for actor, part in enumerate((flat[:, :width], flat[:, width:])):
                centred[part.sum(axis=1) == 0, actor] = 0
    return replace(tracks, actors=centred)


def flatten_frames(tracks: Tracks, note: Note) -> JointSequence:
    """Lay each frame out as one row: actor after actor, joint after joint, x, y, z."""
    actors = tracks.filled
    return JointSequence(tracks.clip_id, tracks.label, actors.reshape(len(actors), -1))


#: From a clip of the layer ``kinect`` to its sequence; the same for NTU-60 and NTU-120.
CTRGCN = Profile(
    name="ctrgcn",
    about="CTR-GCN's skeletons of NTU RGB+D 60 and 120: data/ntu and data/ntu120 of "
    "Uason-Chen/CTR-GCN",
    skeleton="nturgbd25",
    steps=(
        step(make_tracks),
        step(drop_empty_frames),
        step(close_gaps),
        step(measure_motion),
        step(drop_short_tracks, longest=11),
        step(drop_wide_tracks, width_to_height=0.8, share=0.69754, keep_last=True),
        step(sort_by_motion, negated=False),
        step(fill_actors, may_share=1),
        step(drop_zero_frames),
        step(centre_on_first_spine, joint=1),
        step(flatten_frames),
    ),
)


class Evaluation(NamedTuple):
    """One file of the scripts.

    Attributes
    ----------
    protocol : str
        Of `posedata.converters.ntu_samples.protocols`.
    largest : int
        The last performer, camera or setup that the script knows.
    """

    protocol: str
    largest: int


@dataclass(frozen=True)
class DataSet:
    """What the scripts of one of the two data sets do in their own way.

    Attributes
    ----------
    benchmark : int
        60 or 120: also the number of classes.
    copies_single : bool
        Whether the second actor of a clip with a single one is a copy of the first, or zeros.
    evaluations : mapping of str to Evaluation
        By the name in the file's: ``CS`` of ``NTU60_CS.npz``.
    """

    benchmark: int
    copies_single: bool
    evaluations: Mapping[str, Evaluation]


NTU60 = DataSet(
    60, copies_single=False,
    evaluations={"CS": Evaluation("xsub", 40), "CV": Evaluation("xview", 3)},
)  # fmt: skip
NTU120 = DataSet(
    120, copies_single=True,
    evaluations={"CSet": Evaluation("xset", 32), "CSub": Evaluation("xsub", 106)},
)  # fmt: skip


def available_names(names: Iterable[str], data_set: DataSet) -> list[str]:
    """Give the samples that the scripts read, in their order: ``skes_available_name.txt``.

    Parameters
    ----------
    names : iterable of str
        Samples at hand. Those of the other data set, and the known-bad ones, are left out.
    data_set : DataSet
        `NTU60` or `NTU120`.

    Returns
    -------
    list of str
        Sorted.
    """
    kept = []
    for name in set(names) - known_bad_names():
        parsed = parse_name(name)
        if parsed and (data_set.benchmark == 120 or parsed.is_in_ntu60):
            kept.append(name)
    return sorted(kept)


def row_order(
    names: Sequence[str], data_set: DataSet, evaluation: str
) -> tuple[list[str], list[str]]:
    """Give the samples of the rows of ``x_train`` and ``x_test``.

    Parameters
    ----------
    names : sequence of str
        Of `available_names`.
    data_set : DataSet
        `NTU60` or `NTU120`.
    evaluation : str
        One of its evaluations.

    Returns
    -------
    train, test : list of str
        By performer (camera, setup), and in the order of ``names`` within each.

    Raises
    ------
    UsageError
        If the data set has no such evaluation.
    """
    if evaluation not in data_set.evaluations:
        raise UsageError("unknown evaluation", found=evaluation,
                         expected=", ".join(data_set.evaluations))  # fmt: skip
    protocol, largest = data_set.evaluations[evaluation]
    rule = protocols()[f"ntu{data_set.benchmark}"][protocol]
    by_number: dict[int, list[str]] = {number: [] for number in range(1, largest + 1)}
    for name in names:
        number = getattr(parse_name(name), rule["by"], None)
        if number in by_number:
            by_number[number].append(name)
    train: list[str] = []
    test: list[str] = []
    for number, rows in by_number.items():
        (train if number in rule["train"] else test).extend(rows)
    return train, test


def pad(joints: np.ndarray, num_frames: int, data_set: DataSet) -> np.ndarray:
    """Give one row of ``x_train`` or ``x_test``: zeros after the last frame, always two actors.

    Parameters
    ----------
    joints : float32, shape (T, 75) or (T, 150)
        Of a `JointSequence`.
    num_frames : int
        Frames of the longest sequence of the whole data set, training and testing: 300 where
        all samples are there.
    data_set : DataSet
        Says what the second actor of a clip with one is.

    Returns
    -------
    float32, shape (num_frames, 150)

    Raises
    ------
    UsageError
        If the sequence is longer.
    """
    length, width = joints.shape
    if length > num_frames:
        raise UsageError("a sequence is longer than the rows", found=length, expected=num_frames)
    row = np.zeros((num_frames, 150), np.float32)
    row[:length, :width] = joints
    if width == 75 and data_set.copies_single:
        row[:length, 75:] = joints
    return row


def one_hot(labels: Sequence[int], data_set: DataSet) -> np.ndarray:
    """Give ``y_train`` or ``y_test``.

    Parameters
    ----------
    labels : sequence of int
        0-based classes.
    data_set : DataSet
        Its benchmark is the number of classes (K).

    Returns
    -------
    float64, shape (N, K)
        1 in the column of the class, else 0.
    """
    rows = np.zeros((len(labels), data_set.benchmark))
    rows[np.arange(len(labels)), np.asarray(labels, np.int64)] = 1
    return rows
