"""PYSKL's 3D annotations of NTU RGB+D: what its ``ntu60_3danno.pkl`` holds of a clip.

Source: kennymckormick/pyskl, ``tools/data/ntu_preproc.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from posedata.converters.ntu_samples import known_bad_names, parse_name, protocols
from posedata.errors import InputError
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


def trim_ends(tracks: Tracks, note: Note, *, nothing: float) -> Tracks:
    """Drop the frames before the first and after the last pose.

    Of two actors the outer frames count as empty while the absolute coordinates of both sum to
    less than ``nothing`` (metres); NaN is no less. Of a single body its own frames are left.

    Raises
    ------
    InputError
        If two actors have such frames only: the script stops there.
    """
    actors = tracks.filled
    start, stop = 0, len(actors)
    if len(tracks.bodies) == 1:
        start, stop = tracks.bodies[0].start, tracks.bodies[0].stop
    else:
        while start < stop and _size(actors[start]) < nothing:
            start += 1
        while start < stop and _size(actors[stop - 1]) < nothing:
            stop -= 1
    if start == stop:
        raise InputError(
            "every coordinate is 0", path=tracks.clip_id,
            remedy="The published script has no result for such a clip.",
        )  # fmt: skip
    left = stop - start
    note("frames before the first or after the last pose dropped", len(actors) - left)
    return replace(tracks, num_frames=left, actors=actors[start:stop])


def exchange_actors(tracks: Tracks, note: Note, *, nothing: float) -> Tracks:
    """Exchange two actors if only the second one is there in the first frame.

    An actor is there if the absolute coordinates of its spine joint (the second of all) sum to
    more than ``nothing`` (metres).
    """
    actors = tracks.filled
    if actors.shape[1] == 1:
        return tracks
    first, second = (_size(actors[0, actor, 1]) for actor in (0, 1))
    if not (first < nothing and second > nothing):
        return tracks
    note("clips with actors exchanged", 1)
    return replace(tracks, actors=actors[:, ::-1])


def _size(coordinates: np.ndarray) -> np.floating:
    with np.errstate(over="ignore"):
        return np.sum(np.abs(coordinates))


def round_to_float16(tracks: Tracks, note: Note) -> Tracks:
    """Round the coordinates to float16: steps of 1 to 4 mm at 1 to 8 m."""
    actors = tracks.filled
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = actors.astype(np.float16)
    beyond = np.isinf(rounded) & np.isfinite(actors)
    note("coordinates too large for float16 became infinite", int(np.count_nonzero(beyond)))
    return replace(tracks, actors=rounded)


def annotate(tracks: Tracks, note: Note) -> dict[str, Any]:
    """Lay the clip out as PYSKL's data set class reads it.

    Returns
    -------
    dict
        ``frame_dir`` (the sample's name), ``label`` (0-based), ``keypoint``, shape (M, T, 25, 3),
        M = 1 or 2, and ``total_frames`` (T), in this order.
    """
    keypoint = np.ascontiguousarray(tracks.filled.transpose(1, 0, 2, 3))
    return {
        "frame_dir": tracks.clip_id,
        "label": tracks.label,
        "keypoint": keypoint,
        "total_frames": keypoint.shape[1],
    }


#: From a clip of the layer ``kinect`` to its annotation.
PYSKL = Profile(
    name="pyskl",
    about="PYSKL's 3D skeletons of NTU RGB+D 60 and 120: tools/data/ntu_preproc.py of "
    "kennymckormick/pyskl",
    skeleton="nturgbd25",
    steps=(
        step(make_tracks),
        step(drop_empty_frames),
        step(close_gaps),
        step(measure_motion),
        step(sort_by_motion, negated=True),
        step(drop_short_tracks, longest=11),
        step(drop_wide_tracks, width_to_height=0.8, share=0.69754, keep_last=False),
        step(sort_by_motion, negated=True),
        step(fill_actors, may_share=0),
        step(trim_ends, nothing=1e-3),
        step(exchange_actors, nothing=1e-3),
        step(round_to_float16),
        step(annotate),
    ),
)


def annotation_order(names: Iterable[str], benchmark: int) -> list[str]:
    """Give the samples of a PYSKL file in its order: by name, without the known-bad ones.

    Parameters
    ----------
    names : iterable of str
        Samples at hand; those that are no NTU names are left out.
    benchmark : int
        60 (of names of NTU-120, those of actions A001 to A060) or 120.
    """
    wanted = set(names) - known_bad_names()
    return sorted(
        name for name in wanted if (parsed := parse_name(name)) and parsed.action <= benchmark
    )


def annotation_splits(names: Iterable[str], benchmark: int) -> dict[str, list[str]]:
    """Give the ``split`` of a PYSKL file.

    Parameters
    ----------
    names : iterable of str
        Samples, in the order in which they are to be listed (see `annotation_order`).
    benchmark : int
        60: ``xsub_train``, ``xsub_val``, ``xview_train``, ``xview_val``; 120: ``xset`` instead of
        ``xview``. Performers of NTU-120 are known to both, as in the script.

    Returns
    -------
    dict of str to list of str
    """
    rules = protocols()[f"ntu{benchmark}"]
    performers = set(protocols()["ntu120"]["xsub"]["train"])
    by_name = {name: parsed for name in names if (parsed := parse_name(name))}
    second = "xview" if benchmark == 60 else "xset"
    train: dict[str, set[int]] = {"xsub": performers, second: set(rules[second]["train"])}
    splits: dict[str, list[str]] = {}
    for protocol, numbers in train.items():
        by = rules[protocol]["by"]
        is_train = {name: getattr(parsed, by) in numbers for name, parsed in by_name.items()}
        splits[f"{protocol}_train"] = [name for name, yes in is_train.items() if yes]
        splits[f"{protocol}_val"] = [name for name, yes in is_train.items() if not yes]
    return splits
