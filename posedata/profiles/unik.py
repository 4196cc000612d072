"""UNIK: Toyota Smarthome, Posetics and Penn Action as LCRNet sees them, with 17 joints.

`UNIK` gives, for one clip of Smarthome, the (2, 4000, 17, 2) array that a row of
``train_data_joint.npy`` or ``val_data_joint.npy`` is; `smarthome_rows` says which clips those files
hold, under which class numbers, and how often.

Source: YangDi666/UNIK, ``data_gen/smarthome_gendata.py``, ``posetics_gendata.py``,
``penn_gendata.py``, ``preprocess.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.converters.smarthome_samples import published_numbers
from posedata.errors import UsageError
from posedata.profile import Profile, step
from posedata.profiles.slots import (
    Bodies,
    Note,
    channels_first,
    keep_most_energy,
    note_lost_order,
    pad_by_repeating,
    pad_with_zeros,
    slots_of,
)
from posedata.profiles.stgcn import Row, Rows, check_part
from posedata.skeleton import load_skeleton

#: How many clips the script takes each activity to have: constants of the script, whatever files
#: there are. Rare classes are repeated by them.
NUM_CLIPS: Mapping[str, int] = {
    "Cook.Cleandishes": 378, "Cook.Cleanup": 380, "Cook.Cut": 178, "Cook.Stir": 579,
    "Cook.Usestove": 96, "Cutbread": 45, "Drink.Frombottle": 341, "Drink.Fromcan": 325,
    "Drink.Fromcup": 2241, "Drink.Fromglass": 65, "Eat.Attable": 617, "Eat.Snack": 216,
    "Enter": 444, "Getup": 833, "Laydown": 181, "Leave": 416, "Makecoffee.Pourgrains": 64,
    "Makecoffee.Pourwater": 76, "Maketea.Boilwater": 62, "Maketea.Insertteabag": 56,
    "Pour.Frombottle": 276, "Pour.Fromcan": 59, "Pour.Fromkettle": 107, "Readbook": 942,
    "Sitdown": 1116, "Takepills": 344, "Uselaptop": 396, "Usetelephone": 451, "Usetablet": 49,
    "Walk": 4070, "WatchTV": 712,
}  # fmt: skip

#: Protocol: the clip column that decides, and its values that are for training. That of ``xview2``
#: is a mistake of the script: it compares subjects with the training cameras.
TRAINING: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "xsub": ("subject", (3, 4, 6, 7, 9, 12, 13, 15, 17, 19, 25)),
    "xview1": ("camera", (1,)),
    "xview2": ("subject", (1, 3, 4, 6, 7)),
}
_TEST_CAMERA = 2
_ENOUGH_CLIPS = 1000


def class_numbers(protocol: str) -> Mapping[str, int]:
    """Give the number of each class, by name: 31 of ``xsub``, 19 of ``xview1`` and ``xview2``.

    Both are alphabetical and from 0, but for Usetelephone (27) and Usetablet (28) of ``xsub``.
    """
    return published_numbers("unik_cs" if protocol == "xsub" else "unik_cv")


def repeats_of(activity: str) -> int:
    """How often a training clip of an activity is in the cross-view files.

    1000 by the number of clips, rounded (halves to even), and 1 from 1000 clips on.
    """
    number = NUM_CLIPS[activity]
    return round(_ENOUGH_CLIPS / number) if number < _ENOUGH_CLIPS else 1


def smarthome_rows(clips: Iterable[Mapping[str, Any]], protocol: str, part: str) -> Rows:
    """Say which clips of Smarthome a file holds, under which names and class numbers.

    Parameters
    ----------
    clips : iterable of mapping
        Clip columns: ``clip_id``, ``label_name``, ``subject``, ``camera``, and ``source`` where
        the release has it.
    protocol : str
        ``xsub`` (31 classes), ``xview1`` or ``xview2`` (19).
    part : str
        ``train`` or ``val``. What is for testing is called ``val``; the validation camera of
        cross-view is in neither.

    Returns
    -------
    Rows
        Names are the JSON files'. Sorted by name (the script takes the order in which the disk
        lists the files), the repeats of a clip one after the other. As in the script, ``xview2``
        trains on subjects 1, 3, 4, 6 and 7, whichever camera saw them: clips of its ``val`` are
        in its ``train``, too.

    Raises
    ------
    UsageError
        If there is no such protocol or part.
    """
    check_part(part)
    if protocol not in TRAINING:
        raise UsageError("unknown protocol", found=protocol, expected=", ".join(TRAINING))
    column, training = TRAINING[protocol]
    by_view = protocol != "xsub"
    classes = class_numbers(protocol)
    found: list[Row] = []
    left_out = []
    named = [(PurePosixPath(clip.get("source") or f"{clip['clip_id']}.json").name, clip)
             for clip in clips]  # fmt: skip
    for name, clip in sorted(named, key=lambda pair: pair[0]):
        activity = clip["label_name"]
        if activity not in classes:
            left_out.append((clip["clip_id"], f"activity {activity!r} has no number in {protocol}"))
            continue
        trains = clip[column] in training
        tests = clip["camera"] == _TEST_CAMERA if by_view else not trains
        if trains if part == "train" else tests:
            times = repeats_of(activity) if by_view and part == "train" else 1
            found += [Row(clip["clip_id"], name, classes[activity])] * times
    return Rows(found, left_out)


def lcrnet_slots(clip: Clip, note: Note, *, most: int, arrays: tuple[str, ...]) -> Bodies:
    """Take people by their place in each frame's list; a place is not a person.

    Parameters
    ----------
    clip : Clip
        With ``slots``.
    note : callable
        Reports poses left out, and how often a person changes places.
    most : int
        Places (M). Later ones are left out. (The script for Smarthome stops at a frame with more
        people.)
    arrays : tuple of str
        The coordinates of a joint, side by side: ``keypoints_2d``, ``keypoints_3d``.

    Returns
    -------
    Bodies
        float64, shape (M, T, 13, C), the source's own numbers. Where a layer does not keep those
        of missing joints, they are 0.
    """
    slots = slots_of(clip)
    note_lost_order(clip, note, most)
    values = []
    for name in arrays:
        if name not in clip.arrays:
            raise UsageError(f"clip {clip.clip_id} has no {name}")
        source = clip.source_values(name)
        if name not in clip.unrounded:
            source[np.isnan(source)] = 0.0
        values.append(source)
    source = np.concatenate(values, axis=-1)
    joints = np.zeros((most, clip.num_frames, *source.shape[1:]))
    kept = slots < most
    joints[slots[kept], clip.frames[kept]] = source[kept]
    return Bodies(clip.clip_id, clip.num_frames, joints)


def join_17(bodies: Bodies, note: Note, *, chest: str) -> Bodies:
    """Make LCRNet's 13 joints UNIK's 17: neck, chest and mid hip are means, the nose is the head.

    Parameters
    ----------
    bodies : Bodies
        13 joints.
    note : callable
        Reports nothing here.
    chest : str
        Of shoulders and hips, ``mean`` of the four, or ``middle`` of neck and mid hip: the same
        but for rounding.

    Returns
    -------
    Bodies
        17 joints, C-contiguous.
    """
    source, target = load_skeleton("lcrnet13"), load_skeleton("smarthome17")

    def of(name: str) -> np.ndarray:
        return bodies.joints[:, :, source.joints.index(name)]

    hips = of("right_hip") + of("left_hip")
    shoulders = of("right_shoulder") + of("left_shoulder")
    computed = {
        "nose": of("head"),
        "neck": shoulders / 2,
        "mid_hip": hips / 2,
        "chest": (
            (hips + of("right_shoulder") + of("left_shoulder")) / 4
            if chest == "mean"
            else (hips / 2 + shoulders / 2) / 2
        ),
    }
    people, length, _, channels = bodies.joints.shape
    joints = np.empty((people, length, target.num_joints, channels))
    for joint, name in enumerate(target.joints):
        joints[:, :, joint] = computed[name] if name in computed else of(name)
    return bodies._replace(joints=joints)


def put_nose_below_head(bodies: Bodies, note: Note) -> Bodies:
    """Put the nose in the middle of head and neck."""
    target = load_skeleton("smarthome17")
    head, nose, neck = (target.joints.index(name) for name in ("head", "nose", "neck"))
    joints = bodies.joints.copy()
    joints[:, :, nose] = (joints[:, :, head] + joints[:, :, neck]) / 2
    return bodies._replace(joints=joints)


def scale_to_screen(bodies: Bodies, note: Note, *, width: int, height: int) -> Bodies:
    """Scale pixels so that the picture's width is -1 to 1; a coordinate of 0 stays 0.

    Parameters
    ----------
    bodies : Bodies
        The first two coordinates in pixels; others stay.
    note : callable
        Reports nothing here.
    width, height : int
        Of the picture that the script assumes.
    """
    joints = bodies.joints.copy()
    pixels = joints[..., :2]
    scaled = pixels / width * 2 - [1, height / width]
    scaled[pixels == 0] = 0
    joints[..., :2] = scaled
    return bodies._replace(joints=joints)


def cut_after_last_person(bodies: Bodies, note: Note) -> Bodies:
    """Cut off the frames after the last one with people, which the script does not look at."""
    there = np.flatnonzero(bodies.joints.any((0, 2, 3)))
    length = int(there[-1]) + 1 if len(there) else 0
    return bodies._replace(joints=bodies.joints[:, :length])


UNIK = Profile(
    name="unik",
    about="UNIK, data_gen/smarthome_gendata.py: Toyota Smarthome, 4000 frames of two people, 17 "
    "joints in 2D, (2, 4000, 17, 2) float32",
    skeleton="lcrnet13",
    steps=(
        step(lcrnet_slots, most=2, arrays=("keypoints_2d",)),
        step(join_17, chest="mean"),
        step(put_nose_below_head),
        step(keep_most_energy, people=2),
        step(scale_to_screen, width=640, height=480),
        step(pad_with_zeros, frames=4000),
        step(pad_by_repeating),
        step(channels_first),
    ),
)

UNIK_POSETICS = Profile(
    name="unik_posetics",
    about="UNIK, data_gen/posetics_gendata.py: Posetics, 300 frames of two people, 17 joints in 2D "
    "and 3D, (5, 300, 17, 2) float32",
    skeleton="lcrnet13",
    steps=(
        step(lcrnet_slots, most=2, arrays=("keypoints_2d", "keypoints_3d")),
        step(join_17, chest="middle"),
        step(put_nose_below_head),
        step(scale_to_screen, width=640, height=480),
        step(cut_after_last_person),
        step(pad_with_zeros, frames=300),
        step(channels_first),
    ),
)

UNIK_PENN = Profile(
    name="unik_penn",
    about="UNIK, data_gen/penn_gendata.py: Penn Action as LCRNet sees it, 700 frames of two "
    "people, 17 joints in 2D, (2, 700, 17, 2) float32",
    skeleton="lcrnet13",
    steps=(
        step(lcrnet_slots, most=2, arrays=("keypoints_2d",)),
        step(join_17, chest="middle"),
        step(scale_to_screen, width=640, height=480),
        step(put_nose_below_head),
        step(pad_with_zeros, frames=700),
        step(pad_by_repeating),
        step(channels_first),
    ),
)
