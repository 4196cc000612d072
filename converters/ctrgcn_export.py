"""CTR-GCN, InfoGCN: one npz a protocol, with x_train, y_train, x_test and y_test.

x: float32, shape (N, T, M * V * C), two persons after one another in each frame; y: float64,
one-hot, shape (N, classes).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.converters.dense_clip import (
    CHANNELS,
    EMPTY,
    PEOPLE,
    joint_channels,
    label_of,
    two_people,
)
from posedata.converters.ntu_benchmark import BENCHMARK, KNOWN_BAD, is_known_bad, ntu_benchmark
from posedata.errors import InputError
from posedata.exporter import IN_NO_SPLIT, NOT_PUBLISHED, Exporter, Item, Target
from posedata.profile import Change
from posedata.profiles import ctrgcn
from posedata.storage import Location, file_name

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems


def prepare(clip: Clip, target: Target) -> tuple[Item | None, list[Change]]:
    """Make the sequence of one clip: ``joints``, float32, shape (T, M * V * C)."""
    if target.profile is not None and is_known_bad(clip):
        return None, [KNOWN_BAD]
    if target.profile is not None:
        sequence, changes = target.profile.apply(clip)
        facts = {"label": sequence.label, "frames": len(sequence.joints)}
        return Item(clip.clip_id, facts, {"joints": sequence.joints}), changes
    changes = []
    options = target.options
    facts = {"label": label_of(clip), "frames": clip.num_frames}
    dense = joint_channels(clip, options["channels"], changes)
    dense = two_people(dense, clip, options["people"], options["empty"], changes)
    joints = dense.transpose(1, 0, 2, 3).reshape(clip.num_frames, -1)
    return Item(clip.clip_id, facts, {"joints": joints}), changes


def write(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write the files; rows go to them one by one."""
    return _write_published(target, items, out) if target.profile else _write(target, items, out)


def _write_published(target: Target, items: StagedItems, out: Location) -> Iterator[Change]:
    benchmark = ntu_benchmark(target)
    data_set = ctrgcn.NTU60 if benchmark == 60 else ctrgcn.NTU120
    facts = items.facts
    names = ctrgcn.available_names(facts, data_set)
    longest = max((facts[name]["frames"] for name in names), default=0)
    for evaluation in data_set.evaluations:
        with (out / f"NTU{benchmark}_{evaluation}.npz").create() as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                parts = ctrgcn.row_order(names, data_set, evaluation)
                for part, rows in zip(("train", "test"), parts, strict=True):
                    padded = (
                        ctrgcn.pad(items[name].arrays["joints"], longest, data_set) for name in rows
                    )
                    write_rows(archive, f"x_{part}", padded, (len(rows), longest, 150))
                    labels = ctrgcn.one_hot([facts[name]["label"] for name in rows], data_set)
                    write_array(archive, f"y_{part}", labels)
    if len(items) > len(names):
        yield Change("choose_samples", NOT_PUBLISHED,
                     len(items) - len(names))  # fmt: skip


def _write(target: Target, items: StagedItems, out: Location) -> Iterator[Change]:
    facts = items.facts
    longest = max(each["frames"] for each in facts.values())
    classes = len(target.manifest.layers[target.layer]["label_names"])
    classes = max(classes, 1 + max(each["label"] for each in facts.values()))
    used: set[str] = set()
    for protocol, parts in target.splits.items():
        with (out / file_name(f"{target.manifest.name}_{protocol}.npz")).create() as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for split, members in parts.items():
                    names = [name for name in members if name in items]
                    used.update(names)
                    _write_split(archive, split, names, items, longest, classes)
    if not target.splits:
        raise InputError("the release has no splits", path=out,
                         remedy="Export to pyskl or csv, which need none.")  # fmt: skip
    if len(items) > len(used):
        yield Change("choose_samples", IN_NO_SPLIT, len(items) - len(used))


def _write_split(
    archive: zipfile.ZipFile, split: str, names: Sequence[str], items: StagedItems,
    longest: int, classes: int,
) -> None:  # fmt: skip
    width = items[names[0]].arrays["joints"].shape[1] if names else 0

    def rows() -> Iterator[np.ndarray]:
        for name in names:
            joints = items[name].arrays["joints"]
            row = np.zeros((longest, width), np.float32)
            row[: len(joints)] = joints
            yield row

    write_rows(archive, f"x_{split}", rows(), (len(names), longest, width))
    labels = [items.facts[name]["label"] for name in names]
    write_array(archive, f"y_{split}", np.eye(classes)[labels])
    write_array(archive, f"names_{split}", np.array(names, dtype=np.str_))


def write_rows(
    archive: zipfile.ZipFile, name: str, rows: Iterable[np.ndarray], shape: tuple[int, ...]
) -> None:
    """Add a float32 array to an npz, a row at a time.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Open for writing.
    name : str
        Of the array.
    rows : iterable of float32 array
        The rows, all of shape ``shape[1:]``.
    shape : tuple of int
        Of the array.
    """
    with _member(archive, name) as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for row in rows:
            file.write(np.ascontiguousarray(row, np.float32).tobytes())


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Add an array to an npz."""
    with _member(archive, name) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[Any]:
    """Begin a member without a clock in it, of any size."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


EXPORTER = Exporter(
    name="ctrgcn",
    about="CTR-GCN and InfoGCN: an npz of x_train, y_train, x_test, y_test for each protocol",
    suffix="",
    prepare=prepare,
    write=write,
    profiles={ctrgcn.CTRGCN.name: ctrgcn.CTRGCN},
    options=(CHANNELS, PEOPLE, EMPTY, BENCHMARK),
)
