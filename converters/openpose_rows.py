"""The people of all files of one OpenPose clip, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from posedata.converter import LayerDescription, Sample
from posedata.converters.openpose import FURTHER_ARRAYS, LARGEST_FILE
from posedata.converters.openpose_file import OpenPosePerson, read_frames, read_people
from posedata.errors import InputError
from posedata.json_files import read_first
from posedata.storage import Location


class OpenPoseRows(NamedTuple):
    """The people of a clip: N rows.

    Attributes
    ----------
    frames, slots : list of int
        N frames, and positions among the people of the file.
    ids : list of str
        N.
    poses : list of float64
        x, y, score of the V joints of all rows, in pieces.
    further : dict
        For each array that is kept: its numbers of all rows, in pieces; 0 where a person has none.
    surplus : dict
        Arrays that the release does not know, and the first file with each.
    """

    frames: list[int]
    slots: list[int]
    ids: list[str]
    poses: list[np.ndarray]
    further: dict[str, list[np.ndarray]]
    surplus: dict[str, str]


class _Layout(NamedTuple):
    """What the release holds: arrays that it keeps, or says to have left out; number of joints."""

    kept: Sequence[str]
    declared: set[str]
    num_joints: int
    skeleton: str


def read_rows(
    raw: Location, sample: Sample, files: Sequence[tuple[int, str]], layer: LayerDescription,
    num_joints: int,
) -> OpenPoseRows:  # fmt: skip
    """Read the files of a clip.

    Parameters
    ----------
    raw : Location
        The folder of the data set.
    sample : Sample
        The clip.
    files : sequence of int, str
        Frame numbers and names of its files.
    layer : LayerDescription
        Which further arrays are kept.
    num_joints : int
        V of the layer's skeleton.

    Raises
    ------
    InputError
        If a file is not what its format says, or has arrays of other sizes.
    """
    columns = {column: name for name, (column, _, _) in FURTHER_ARRAYS.items()}
    kept = [columns[column] for column in layer.own_columns]
    declared = {*kept, *(columns[column] for column in layer.left_out)}
    layout = _Layout(kept, declared, num_joints, layer.skeleton)
    rows = OpenPoseRows([], [], [], [], {name: [] for name in kept}, {})
    done = 0
    while done < len(files):
        places = (raw / _path(sample, files[at][1]) for at in range(done, len(files)))
        texts = read_first(places, LARGEST_FILE)
        batch = files[done : done + max(len(texts), 1)]
        if not _add_files(rows, texts, batch, layout):
            for number, file_name in batch:
                _add_file(rows, raw, sample, number, file_name, layout)
        done += len(batch)
    return rows


def shape_of(name: str, num_joints: int) -> tuple[int, int]:
    """Joints of a further array, and numbers of each."""
    _, width, joints = FURTHER_ARRAYS[name]
    return joints or num_joints, width


def _add_files(
    rows: OpenPoseRows, texts: Sequence[bytes], files: Sequence[tuple[int, str]], layout: _Layout
) -> bool:
    """Add the people of several files; False, and nothing added, where anything is unusual."""
    people = read_frames(texts)
    if people is None:
        return False
    num = len(people.files)
    sizes = {name: int(np.prod(shape_of(name, layout.num_joints))) for name in layout.kept}
    if num and (
        people.poses.shape[1] != 3 * layout.num_joints
        or any(people.further[name].shape[1] != size
               for name, size in sizes.items() if name in people.further)
    ):  # fmt: skip
        return False
    for name in people.further:
        if name not in layout.declared:
            rows.surplus.setdefault(name, files[people.files[0]][1])
    rows.frames.extend(files[file][0] for file in people.files)
    rows.slots.extend(people.slots.tolist())
    rows.ids.extend(people.ids)
    rows.poses.append(people.poses.reshape(-1))
    for name, size in sizes.items():
        rows.further[name].append(people.further.get(name, np.zeros((num, size))).reshape(-1))
    return True


def _add_file(
    rows: OpenPoseRows, raw: Location, sample: Sample, number: int, file_name: str, layout: _Layout
) -> None:
    for slot, person in enumerate(_read_file(raw, sample, file_name)):
        for name in person.further:
            if name not in layout.declared:
                rows.surplus.setdefault(name, file_name)
        if person.pose is None:
            continue
        place = f"{file_name}, person {slot}"
        if len(person.pose) != 3 * layout.num_joints:
            raise InputError(
                "another number of joints than this release has", path=sample.path,
                position=place, found=len(person.pose) // 3,
                expected=f"{layout.num_joints} ({layout.skeleton})",
                remedy="Convert the outputs of different models separately, with --joints where "
                "their number does not tell the joints.",
            )  # fmt: skip
        rows.frames.append(number)
        rows.slots.append(slot)
        rows.ids.append(person.id)
        rows.poses.append(person.pose)
        for name in layout.kept:
            size = int(np.prod(shape_of(name, layout.num_joints)))
            values = person.further.get(name, np.zeros(size))
            if len(values) != size:
                raise InputError(f"bad {name}", path=sample.path, position=place,
                                 found=len(values), expected=f"{size} numbers")  # fmt: skip
            rows.further[name].append(values)


def _read_file(raw: Location, sample: Sample, file_name: str) -> list[OpenPosePerson]:
    path = _path(sample, file_name)
    try:
        return read_people((raw / path).read_bytes(LARGEST_FILE), path)
    except InputError as error:  # the clip is the folder: say which of its files it is
        place = ", ".join(part for part in (file_name, error.position) if part)
        raise InputError(
            error.message, path=sample.path, position=place, found=error.found,
            expected=error.expected,
            remedy="Run OpenPose again, or delete this file to do without its frame.",
        ) from None  # fmt: skip


def _path(sample: Sample, file_name: str) -> str:
    return file_name if sample.path == "." else f"{sample.path}/{file_name}"
