"""ST-GCN, 2s-AGCN, MS-G3D and UNIK: an array and a pickle of names and labels for each split.

``PROTOCOL/train_data.npy``, float32, shape (N, C, T, V, M), and ``PROTOCOL/train_label.pkl``, a
tuple of names and labels; ``val_...`` likewise. 2s-AGCN, MS-G3D and UNIK call the array
``train_data_joint.npy``.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from posedata.clip import Clip
from posedata.converters.dense_clip import (
    CHANNELS,
    EMPTY,
    PEOPLE,
    joint_channels,
    label_of,
    part_name,
    two_people,
)
from posedata.converters.ntu_benchmark import (
    BENCHMARK,
    KNOWN_BAD,
    is_known_bad,
    ntu_benchmark,
    rows_of_benchmark,
)
from posedata.exporter import IN_NO_SPLIT, Exporter, Item, Target
from posedata.profile import Change, Profile
from posedata.profiles import agcn, stgcn, unik
from posedata.storage import Location, file_name

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems

_KINETICS = (stgcn.STGCN_KINETICS, agcn.AGCN_KINETICS)
_WITHOUT_PROTOCOL = ""


def prepare(clip: Clip, target: Target) -> tuple[Item | None, list[Change]]:
    """Make one row of the array: ``data``, shape (C, T, V, M)."""
    info = {"clip_id": clip.clip_id, **clip.info}
    if target.profile is not None and is_known_bad(clip):
        return None, [KNOWN_BAD]
    if target.profile is not None:
        data, changes = target.profile.apply(clip)
        return Item(clip.clip_id, {"info": info}, {"data": data}), changes
    changes = []
    options = target.options
    facts = {"info": info, "label": label_of(clip), "frames": clip.num_frames}
    dense = joint_channels(clip, options["channels"], changes)
    dense = two_people(dense, clip, options["people"], options["empty"], changes)
    return Item(clip.clip_id, facts, {"data": dense.transpose(3, 1, 2, 0)}), changes


def write_stgcn(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write ``*_data.npy`` and ``*_label.pkl``."""
    return _write(target, items, out, "data")


def write_agcn(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write ``*_data_joint.npy`` and ``*_label.pkl``."""
    return _write(target, items, out, "data_joint")


def _write(target: Target, items: StagedItems, out: Location, name: str) -> Iterator[Change]:
    used: set[str] = set()
    longest = max((facts.get("frames", 0) for facts in items.facts.values()), default=0)
    for protocol, part, rows in _files(target, items):
        place = out / file_name(protocol) if protocol else out
        used.update(row.clip_id for row in rows)
        write_rows(
            place / file_name(f"{part}_{name}.npy"), items, [row.clip_id for row in rows], longest
        )
        labels = [row.name for row in rows], [row.label for row in rows]
        (place / file_name(f"{part}_label.pkl")).write_bytes(pickle.dumps(labels, protocol=2))
    if len(items) > len(used):
        yield Change("choose_rows", IN_NO_SPLIT, len(items) - len(used))


def write_rows(place: Location, items: StagedItems, names: Sequence[str], longest: int) -> None:
    """Write an array of the clips named, a row at a time, zeros after the last frame of each.

    Parameters
    ----------
    place : Location
        The ``.npy`` file.
    items : StagedItems
        Each with ``data``, float32, shape (C, T, V, M).
    names : sequence of str
        Clip ids of the rows.
    longest : int
        T of the array, if the clips differ in length.
    """
    if names:
        channels, frames, joints, people = items[names[0]].arrays["data"].shape
    else:
        channels, frames, joints, people = 0, 0, 0, 0
    shape = (channels, max(longest, frames), joints, people)
    with place.create() as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(names), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for name in names:
            row = np.zeros(shape, np.float32)
            data = items[name].arrays["data"]
            row[:, : data.shape[1]] = data
            file.write(row.tobytes())


def _files(target: Target, items: StagedItems) -> Iterator[tuple[str, str, Sequence[stgcn.Row]]]:
    """Protocol, part and rows of each file."""
    profile = target.profile
    facts = items.facts
    if profile is None:
        yield from _release_splits(target, items)
    elif profile in (stgcn.STGCN, agcn.AGCN):
        benchmark = ntu_benchmark(target)
        rows = rows_of_benchmark(facts, benchmark)
        for protocol in ("xsub", "xview" if benchmark == 60 else "xset"):
            for part in ("train", "val"):
                chosen = stgcn.ntu_rows if profile == stgcn.STGCN else agcn.rows
                yield protocol, part, chosen(rows, protocol, part, f"ntu{benchmark}").rows
    elif profile in _KINETICS:
        for part in ("train", "val"):
            infos = [each["info"] for each in facts.values()]
            yield _WITHOUT_PROTOCOL, part, stgcn.kinetics_rows(infos, part).rows
    elif profile == unik.UNIK:
        for protocol in unik.TRAINING:
            for part in ("train", "val"):
                infos = [each["info"] for each in facts.values()]
                yield protocol, part, unik.smarthome_rows(infos, protocol, part).rows
    else:
        yield from _release_splits(target, items)


def _release_splits(
    target: Target, items: StagedItems
) -> Iterator[tuple[str, str, Sequence[stgcn.Row]]]:
    facts = items.facts

    def rows(names: Iterable[str]) -> list[stgcn.Row]:
        return [
            stgcn.Row(name, name, int(facts[name]["info"]["label"]))
            for name in names
            if name in items
        ]

    if not target.splits:
        yield _WITHOUT_PROTOCOL, "all", rows(facts)
    for protocol, parts in target.splits.items():
        for split, names in parts.items():
            yield protocol, part_name(protocol, split), rows(names)


def _profiles(*profiles: Profile) -> dict[str, Profile]:
    return {profile.name: profile for profile in profiles}


_OPTIONS = (CHANNELS, PEOPLE, EMPTY, BENCHMARK)

STGCN = Exporter(
    name="stgcn",
    about="ST-GCN: *_data.npy and *_label.pkl for each protocol and split",
    suffix="",
    prepare=prepare,
    write=write_stgcn,
    profiles=_profiles(stgcn.STGCN, stgcn.STGCN_KINETICS),
    options=_OPTIONS,
)
AGCN = Exporter(
    name="agcn",
    about="2s-AGCN and MS-G3D: *_data_joint.npy and *_label.pkl for each protocol and split",
    suffix="",
    prepare=prepare,
    write=write_agcn,
    profiles=_profiles(agcn.AGCN, agcn.AGCN_KINETICS),
    options=_OPTIONS,
)
UNIK = Exporter(
    name="unik",
    about="UNIK: *_data_joint.npy and *_label.pkl for each protocol and split",
    suffix="",
    prepare=prepare,
    write=write_agcn,
    profiles=_profiles(unik.UNIK, unik.UNIK_POSETICS, unik.UNIK_PENN),
    options=_OPTIONS,
)
