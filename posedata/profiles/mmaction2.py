"""mmaction2: NTU RGB+D as one pickle of annotations, float16, neither centred nor turned.

`MMACTION2` gives the ``keypoint`` of one clip, `annotation` the entry around it, and `table` the
order of the entries and the splits. That is ``gen_ntu_rgbd_raw.py`` of 1.x (which uses mmengine).
In 0.x (which uses mmcv) the script has 2s-AGCN's steps and writes one pickle for each part, a list:
`MMACTION2_V0` and `annotation_v0` are those of its later state. (Its first state keeps all 300
frames, as (C, T, V, M), with a ``keypoint_score`` of ones: `posedata.profiles.agcn.AGCN`.)

Source: open-mmlab/mmaction2, ``tools/data/skeleton/gen_ntu_rgbd_raw.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from posedata.profile import Profile, step
from posedata.profiles.agcn import AGCN
from posedata.profiles.slots import Bodies, Note, keep_most_energy, slots_by_position
from posedata.profiles.stgcn import Row, is_training

_PICTURE = (1080, 1920)


class Table(NamedTuple):
    """What the pickle holds besides poses.

    Attributes
    ----------
    split : dict of str to list of str
        ``xsub_train``, ``xsub_val``, ``xview_train``, ...: names of samples.
    rows : list of Row
        The annotations, in order: first those of ``xsub_train``, then those of ``xsub_val``.
    left_out : list of (str, str)
        Clips that are not in it, with the reason.
    """

    split: dict[str, list[str]]
    rows: list[Row]
    left_out: list[tuple[str, str]]


def table(clips: Iterable[Mapping[str, Any]], benchmark: str = "ntu60") -> Table:
    """Say which clips the pickle holds, in which order, and in which splits.

    Parameters
    ----------
    clips : iterable of mapping
        Clip columns: ``clip_id``, ``label``, ``subject``, ``camera``, ``setup``, ``known_bad``.
    benchmark : str
        ``ntu60`` (xsub, xview) or ``ntu120`` (xsub, xset).

    Returns
    -------
    Table
        Names without ``.skeleton``. Sorted by name within a split; the script takes the order in
        which the disk lists the files.
    """
    listed = sorted(clips, key=lambda clip: clip["clip_id"])
    left_out = [
        (clip["clip_id"], "in the list of samples with missing skeletons")
        for clip in listed
        if clip["known_bad"]
    ]
    usable = {clip["clip_id"]: clip for clip in listed if not clip["known_bad"]}
    split: dict[str, list[str]] = {}
    for protocol in ("xsub", "xview" if benchmark == "ntu60" else "xset"):
        train = [name for name in usable if is_training(usable[name], protocol, benchmark)]
        chosen = set(train)
        split[f"{protocol}_train"] = train
        split[f"{protocol}_val"] = [name for name in usable if name not in chosen]
    order = split["xsub_train"] + split["xsub_val"]
    return Table(split, [Row(name, name, usable[name]["label"]) for name in order], left_out)


def annotation(row: Row, keypoint: np.ndarray) -> dict[str, Any]:
    """Give the entry of one clip, its fields in the order of the script.

    Parameters
    ----------
    row : Row
        One of `Table.rows`.
    keypoint : float16, shape (M, T, 25, 3)
        What `MMACTION2` gives.
    """
    return {
        "frame_dir": row.name,
        "label": row.label,
        "keypoint": keypoint,
        "total_frames": keypoint.shape[1],
    }


def annotation_v0(row: Row, keypoint: np.ndarray) -> dict[str, Any]:
    """Give the entry of one clip as 0.x had it in its later state.

    Parameters
    ----------
    row : Row
        Its ``name`` without ``.skeleton``.
    keypoint : float32, shape (2, T, 25, 3)
        What `MMACTION2_V0` gives.
    """
    return {
        "total_frames": keypoint.shape[1],
        "keypoint": keypoint,
        "frame_dir": row.name,
        "img_shape": _PICTURE,
        "original_shape": _PICTURE,
        "label": row.label,
    }


def drop_empty_bodies(bodies: Bodies, note: Note) -> Bodies:
    """Drop the bodies whose numbers add up to 0: those of nobody."""
    with np.errstate(invalid="ignore", over="ignore"):
        there = bodies.joints.sum((1, 2, 3)) != 0
    return bodies._replace(joints=bodies.joints[there])


def round_to_float16(bodies: Bodies, note: Note) -> np.ndarray:
    """Round to float16, which is to 2 mm at 2 to 4 m: shape (M, T, V, 3)."""
    with np.errstate(over="ignore"):
        rounded = bodies.joints.astype(np.float16)
    note("numbers too large for float16 became infinite", int(np.count_nonzero(
        np.isinf(rounded) & np.isfinite(bodies.joints))))  # fmt: skip
    return rounded


def cut_to_length(bodies: Bodies, note: Note) -> np.ndarray:
    """Cut to the frames of the clip: shape (M, T, V, 3)."""
    return bodies.joints[:, : bodies.num_frames]


MMACTION2 = Profile(
    name="mmaction2",
    about="mmaction2 1.x, tools/data/skeleton/gen_ntu_rgbd_raw.py: NTU RGB+D, the one or two "
    "bodies with the most energy, (M, T, 25, 3) float16",
    skeleton="nturgbd25",
    steps=(
        step(slots_by_position, most=4),
        step(keep_most_energy, people=2),
        step(drop_empty_bodies),
        step(round_to_float16),
    ),
)

MMACTION2_V0 = Profile(
    name="mmaction2_v0",
    about="mmaction2 0.x, tools/data/skeleton/gen_ntu_rgbd_raw.py: NTU RGB+D as 2s-AGCN "
    "has it, cut to the clip's frames, (2, T, 25, 3) float32",
    skeleton="nturgbd25",
    steps=(*AGCN.steps[:-1], step(cut_to_length)),
)
