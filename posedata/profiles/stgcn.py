"""ST-GCN: NTU RGB+D as it is, and Kinetics-Skeleton by the scores of each frame.

`STGCN` and `STGCN_KINETICS` give, for one clip, what a row of ``train_data.npy`` or
``val_data.npy`` is; `ntu_rows` and `kinetics_rows` say which clips those files hold.

Sources: st-gcn (now open-mmlab/mmskeleton), ``tools/ntu_gendata.py``,
``tools/utils/ntu_read_skeleton.py``, ``tools/kinetics_gendata.py``, ``feeder/feeder_kinetics.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converters.ntu_samples import protocols
from posedata.errors import InputError, UsageError
from posedata.profile import Profile, Step, step
from posedata.profiles.slots import (
    NO_RESULT,
    Bodies,
    Note,
    channels_first,
    note_lost_order,
    pad_with_zeros,
    slots_by_position,
    slots_of,
)

_PARTS = ("train", "val")


class Row(NamedTuple):
    """A row of a file that a script writes.

    Attributes
    ----------
    clip_id : str
        The clip.
    name : str
        As in ``*_label.pkl``.
    label : int
        As in ``*_label.pkl``, 0-based.
    """

    clip_id: str
    name: str
    label: int


class Rows(NamedTuple):
    """The rows of a file, and what is in none.

    Attributes
    ----------
    rows : list of Row
        In the order of the file.
    left_out : list of (str, str)
        Clips that are in no part, with the reason.
    """

    rows: list[Row]
    left_out: list[tuple[str, str]]


def is_training(clip: Mapping[str, Any], protocol: str, benchmark: str) -> bool:
    """Tell whether a clip of NTU RGB+D is for training, by its subject, camera or setup.

    Raises
    ------
    UsageError
        If the scripts do not have that protocol.
    """
    known = {"ntu60": ("xsub", "xview"), "ntu120": ("xsub", "xset")}
    if protocol not in known.get(benchmark, ()):
        raise UsageError(
            "unknown protocol", found=f"{protocol} of {benchmark}",
            expected="xsub or xview of ntu60, xsub or xset of ntu120",
        )  # fmt: skip
    rule = protocols()[benchmark][protocol]
    column = {"performer": "subject"}.get(rule["by"], rule["by"])
    return clip[column] in rule["train"]


def check_part(part: str) -> None:
    """Refuse a part that the scripts do not write.

    Raises
    ------
    UsageError
        If it is neither ``train`` nor ``val``.
    """
    if part not in _PARTS:
        raise UsageError("unknown part", found=part, expected=" or ".join(_PARTS))


def ntu_rows(
    clips: Iterable[Mapping[str, Any]], protocol: str, part: str, benchmark: str = "ntu60"
) -> Rows:
    """Say which clips of NTU RGB+D a file holds.

    Parameters
    ----------
    clips : iterable of mapping
        Clip columns: ``clip_id``, ``label``, ``subject``, ``camera``, ``setup``, ``known_bad``.
    protocol : str
        ``xsub`` or ``xview``; of ``ntu120`` ``xsub`` or ``xset``.
    part : str
        ``train`` or ``val``.
    benchmark : str
        Whose list of training subjects: ``ntu60`` or ``ntu120``.

    Returns
    -------
    Rows
        Names end in ``.skeleton``. Samples with missing skeletons are left out. Sorted by name;
        the script takes the order in which the disk lists the files.
    """
    check_part(part)
    found, left_out = [], []
    for clip in sorted(clips, key=lambda clip: clip["clip_id"]):
        if clip["known_bad"]:
            left_out.append((clip["clip_id"], "in the list of samples with missing skeletons"))
        elif is_training(clip, protocol, benchmark) == (part == "train"):
            found.append(Row(clip["clip_id"], f"{clip['clip_id']}.skeleton", clip["label"]))
    return Rows(found, left_out)


def kinetics_rows(clips: Iterable[Mapping[str, Any]], part: str) -> Rows:
    """Say which clips of Kinetics-Skeleton a file holds.

    Parameters
    ----------
    clips : iterable of mapping
        Clip columns: ``clip_id``, ``label``, and, where the release has them, ``subset`` (without
        it all clips are taken) and ``has_skeleton``.
    part : str
        ``train`` or ``val``.

    Returns
    -------
    Rows
        Names end in ``.json``. Clips of which the label table says that they have no skeleton are
        left out. Sorted by name; the script takes the order in which the disk lists the files.
    """
    check_part(part)
    found, left_out = [], []
    for clip in sorted(clips, key=lambda clip: clip["clip_id"]):
        if clip.get("has_skeleton") is False:
            left_out.append((clip["clip_id"], "has_skeleton is false in the label table"))
        elif clip["label"] is None:
            left_out.append((clip["clip_id"], "without a label"))
        elif clip.get("subset") in (None, part):
            found.append(Row(clip["clip_id"], f"{clip['clip_id']}.json", clip["label"]))
    return Rows(found, left_out)


def thousandths(values: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Give the numbers of 3 decimals that a file wrote, from their multiples as float32.

    Parameters
    ----------
    values : float32
        The file's numbers times ``scale``.
    scale : float or float array
        Broadcasts against ``values``.

    Returns
    -------
    float64, shape of ``values``
        What is no multiple of a number of 3 decimals is divided by ``scale``.
    """
    wide = values.astype(np.float64)
    short = np.rint(wide / scale * 1000) / 1000
    return np.where((short * scale).astype(np.float32) == values, short, wide / scale)


def kinetics_slots(clip: Clip, note: Note, *, most: int, frames: int) -> Bodies:
    """Take people by their place in each frame, x and y as parts of the picture, and the score.

    The script uses the file's frame number, which counts from 1, as an index from 0: frame 0 of
    the result is empty, and everything is one frame late.

    Parameters
    ----------
    clip : Clip
        With ``keypoints_2d``, ``scores`` and ``slots``; ``width`` and ``height`` in its info.
    note : callable
        Reports poses left out.
    most : int
        Places (M).
    frames : int
        Length of the result.

    Returns
    -------
    Bodies
        float64, shape (M, ``frames``, V, 3): x, y and score; zeros where nobody is.

    Raises
    ------
    InputError
        If somebody is in a later frame.
    """
    if clip.keypoints_2d is None or clip.scores is None:
        raise UsageError(f"clip {clip.clip_id} has no keypoints_2d, or no scores")
    slots = slots_of(clip)
    note_lost_order(clip, note, most)
    index = clip.frames + clip.info.get("frame_base", 1)
    if len(index) and index.max() >= frames:
        raise InputError(
            "somebody in a frame after the last one", path=clip.clip_id,
            found=f"frame_index {index.max()}", expected=f"below {frames}", remedy=NO_RESULT,
        )  # fmt: skip
    size = np.array([clip.info["width"], clip.info["height"]], np.float64)
    source = np.concatenate(
        [thousandths(clip.keypoints_2d, size), thousandths(clip.scores, 1.0)[..., None]], -1
    )
    source[np.isnan(clip.keypoints_2d).any(-1), :2] = 0.0  # as the file has missing joints
    kept = slots < most
    channels = np.zeros((3, frames, source.shape[1], most))
    joints = channels.transpose(3, 1, 2, 0)
    joints[slots[kept], index[kept]] = source[kept]
    return Bodies(clip.clip_id, clip.num_frames, joints)


def put_origin_in_the_middle(bodies: Bodies, note: Note, *, y_up: bool) -> Bodies:
    """Move the origin to the middle of the picture; joints with score 0 become 0.

    Parameters
    ----------
    bodies : Bodies
        x, y and score, with x and y from 0 to 1.
    note : callable
        Reports joints with a position and without a score.
    y_up : bool
        Whether y is turned round.
    """
    joints = bodies.joints.copy(order="K")
    missing = joints[..., 2] == 0
    lost = missing & joints[..., :2].any(-1)
    note("joints with a position and score 0 set to 0", int(np.count_nonzero(lost)))
    joints[..., :2] -= 0.5
    if y_up:
        joints[..., 1] = -joints[..., 1]
    joints[missing, :2] = 0
    return bodies._replace(joints=joints)


def rank_by_score(bodies: Bodies, note: Note, *, people: int) -> Bodies:
    """Sort the people of each frame by their score, the highest first, and keep the first ones.

    A person's place can change from each frame to the next. People of equal score come in the
    order that numpy's ``argsort`` gives, as in the scripts.
    """
    scores = bodies.joints[..., 2].transpose(1, 2, 0).sum(axis=1)  # (T, M), added as the scripts do
    order = (-scores).argsort(axis=1).T[:, :, None, None]
    note("poses with lower scores left out", int(np.count_nonzero(
        np.take_along_axis(bodies.joints, order[people:], 0).any((2, 3)))))  # fmt: skip
    return bodies._replace(joints=np.take_along_axis(bodies.joints, order[:people], 0))


def kinetics_steps(y_up: bool) -> tuple[Step, ...]:
    """Give the steps of ST-GCN's script for Kinetics, and of 2s-AGCN's, where y is up."""
    return (
        step(kinetics_slots, most=5, frames=300),
        step(put_origin_in_the_middle, y_up=y_up),
        step(rank_by_score, people=2),
        step(pad_with_zeros, frames=300),
        step(channels_first),
    )


STGCN = Profile(
    name="stgcn",
    about="ST-GCN, tools/ntu_gendata.py: NTU RGB+D, the first two bodies of each frame, "
    "(3, 300, 25, 2) float32",
    skeleton="nturgbd25",
    steps=(
        step(slots_by_position, most=2),
        step(pad_with_zeros, frames=300),
        step(channels_first),
    ),
)

STGCN_KINETICS = Profile(
    name="stgcn_kinetics",
    about="ST-GCN, tools/kinetics_gendata.py: Kinetics-Skeleton, 300 frames of the two people with "
    "the highest scores in each, (3, 300, 18, 2) float32",
    skeleton="openpose18",
    steps=kinetics_steps(y_up=False),
)
