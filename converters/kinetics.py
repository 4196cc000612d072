"""Kinetics-Skeleton: one JSON file a clip, OpenPose's 18 joints, to the layer ``openpose``.

Yan et al., "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition",
AAAI 2018, who ran OpenPose on the clips of Kinetics-400 at 340 x 256 pixels and 30 frames a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import (
    Converter,
    Description,
    Discovery,
    LayerDescription,
    Option,
    Problem,
    Sample,
)
from posedata.converters.kinetics_samples import (
    CLASS_SETS,
    LabelTable,
    class_index,
    class_names,
    is_label_table,
    label_at_end,
    read_label_table,
    splits,
    subset_of,
    survey,
    table_problems,
)
from posedata.converters.people import People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

WIDTH, HEIGHT, FPS = 340, 256, 30.0
NUM_JOINTS = 18

# Ten seconds with a dozen people make 5 MB.
LARGEST_FILE = 256 << 20

_CLIP_COLUMNS = ("width", "height", "fps", "label", "label_name", "source")
_OWN_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "subset": {
        "type": "string", "per": "clip",
        "about": "train or val, from the folder kinetics_train or kinetics_val.",
    },
    "frame_base": {
        "type": "int32", "per": "clip",
        "about": "The frame_index that the file gives frame 0: 1 as published, or 0.",
    },
    "has_skeleton": {
        "type": "bool", "per": "clip",
        "about": "As the label table says; null where there is none. It can be wrong.",
    },
}  # fmt: skip


class KineticsFile(NamedTuple):
    """The contents of a file: P poses.

    ``frame_indices`` are those of all frames in the file's order; ``rows`` says in which of these
    frames a pose is, and ``slots`` where in it.
    """

    frame_indices: list[int]
    rows: np.ndarray
    slots: np.ndarray
    positions: np.ndarray
    scores: np.ndarray
    label: str | None
    label_index: int | None


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the clips' files of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, with ``kinetics_train`` and ``kinetics_val`` in it, or one file.
    options : mapping
        ``classes``: with ``first50``, clips of other classes are left out, by the label tables
        where these name the clip, else by the end of its file.

    Returns
    -------
    Discovery
        Second files of a clip, and tables that cannot be read, are among the problems; clips that
        a table names and that have no file are counted there.
    """
    files, problems = find_files(raw, ".json")
    tables: list[LabelTable] = []
    for path, _ in files:
        if is_label_table(path):
            try:
                tables.append(read_label_table(raw, path))
            except InputError as error:
                problems.append(Problem(path, "discover", error.reason, error.position or ""))
    entries = {clip_id: entry for table in tables for clip_id, entry in table.entries.items()}
    samples: dict[str, Sample] = {}
    for path, size in files:
        if is_label_table(path):
            continue
        clip_id = PurePosixPath(path).name[: -len(".json")]
        if not clip_id:
            problems.append(Problem(path, "discover", "a name without a clip id"))
        elif clip_id in samples:
            problems.append(Problem(
                path, "discover", f"a second file of this clip: {samples[clip_id].path} is taken",
            ))  # fmt: skip
        else:
            known: dict[str, Any] = {"subset": subset_of(path)}
            if entry := entries.get(clip_id):
                known |= {"label_name": entry["label"], "has_skeleton": entry.get("has_skeleton")}
            samples[clip_id] = Sample(clip_id, path, size, info=known)
    for table in tables:
        problems += table_problems(table, samples.keys())
    chosen = [samples[clip_id] for clip_id in sorted(samples)]
    if options["classes"] != "all":
        names = set(class_names(options["classes"]))
        chosen = [sample for sample in chosen if _label_before_reading(raw, sample) in names]
    return Discovery(chosen, problems)


def _label_before_reading(raw: Location, sample: Sample) -> str | None:
    from posedata.json_view import is_object, view_json

    if "label_name" in sample.info:
        return sample.info["label_name"]
    label = label_at_end(raw, sample)
    if label is not None:
        return label
    try:
        content = view_json(found_file(raw, sample.path).read_bytes(LARGEST_FILE), sample.path)
    except InputError:
        return class_names()[0]  # so that it is read, and rejected with the reason
    return content.get("label") if is_object(content) else class_names()[0]


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are: all of Kinetics-400, or the first classes of it."""
    class_set = options["classes"]
    number = CLASS_SETS[class_set]
    own = {
        name: column
        for name, column in _OWN_CLIP_COLUMNS.items()
        if name == "frame_base" or any(sample.info.get(name) is not None for sample in samples)
    }
    return Description(
        name=f"kinetics{number}",
        title="Kinetics-Skeleton" + ("" if class_set == "all" else f", its first {number} classes"),
        license="other: no licence is stated for the skeletons; Kinetics' videos belong to their "
        "authors on YouTube; no redistribution",
        source="Kinetics-Skeleton, JSON files of OpenPose's 18 joints (ST-GCN's authors)",
        citation="Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based "
        "Action Recognition, AAAI 2018; Kay et al., The Kinetics Human Action Video Dataset, 2017",
        layers=(
            LayerDescription(
                name="openpose",
                skeleton="openpose18",
                columns=("slots", "keypoints_2d", "scores"),
            ),
        ),
        columns=(*_CLIP_COLUMNS, *own),
        own_columns=own,
        label_names=class_names(class_set),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one clip.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Of the data set.

    Returns
    -------
    clip : Clip
        Positions in pixels of the 340 x 256 video: the file's numbers times width and height.
    problems : sequence of Problem
        Warnings: frames that are absent or out of order, labels that disagree, and those of
        `posedata.converters.people.build_clip`.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    file = parse_kinetics(text, sample.path)
    problems: list[Problem] = []

    def warn(reason: str, position: str = "") -> None:
        problems.append(Problem(sample.path, "read", reason, position, "warning"))

    frames, num_frames, base = _frames(file.frame_indices, sample.path, warn)
    label, label_name = _label(file, sample, description, warn)
    has_skeleton = sample.info.get("has_skeleton")
    if isinstance(has_skeleton, bool) and has_skeleton != bool(len(file.rows)):
        warn(f"the label table says has_skeleton {has_skeleton}, the file has {len(file.rows)} "
             "poses")  # fmt: skip
    known = {name: sample.info.get(name) for name in description.own_columns}
    info = {
        "num_frames": num_frames,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "label": label,
        "label_name": label_name,
        "source": sample.path,
        **known,
        "frame_base": base,
    }
    people = People(
        frames=frames[file.rows],
        slots=file.slots,
        keypoints_2d=(file.positions * (WIDTH, HEIGHT)).astype(np.float32),
        scores=file.scores,
        missing=(file.scores == 0) & (file.positions == 0).all(-1),
    )
    clip, more = build_clip(sample, description.layer(), people, info)
    return clip, problems + more


def parse_kinetics(text: bytes, path: str) -> KineticsFile:
    """Read the text of a file.

    Raises
    ------
    InputError
        With the place in the JSON, where something is not what the format says.
    """
    from posedata.json_view import is_array, is_object, is_whole, numbers, view_json

    def wrong(message: str, position: str, expected: str) -> InputError:
        return InputError(message, path=path, position=position, expected=expected)

    content = view_json(text, path)
    frames: Any = content.get("data") if is_object(content) else None
    if not is_array(frames):
        raise wrong("not a Kinetics-Skeleton file", "", "an object with an array 'data'")
    indices, rows, slots, positions, scores = [], [], [], [], []
    for row, frame in enumerate(frames):
        people: Any = frame.get("skeleton") if is_object(frame) else None
        if not is_array(people):
            raise wrong("not a frame", f"data[{row}]", "an object with an array 'skeleton'")
        if not is_whole(index := frame.get("frame_index")):
            raise wrong("bad frame_index", f"data[{row}]", "a whole number")
        indices.append(index)
        for slot, person in enumerate(people):
            place = f"data[{row}].skeleton[{slot}]"
            if not is_object(person):
                raise wrong("not a person", place, "an object with 'pose' and 'score'")
            pose, score = numbers(person.get("pose")), numbers(person.get("score"))
            if pose is None or len(pose) != 2 * NUM_JOINTS:
                raise wrong("bad pose", place, f"an array of {2 * NUM_JOINTS} numbers")
            if score is None or len(score) != NUM_JOINTS:
                raise wrong("bad score", place, f"an array of {NUM_JOINTS} numbers")
            rows.append(row)
            slots.append(slot)
            positions.append(pose)
            scores.append(score)
    label, label_index = content.get("label"), content.get("label_index")
    return KineticsFile(
        frame_indices=indices,
        rows=np.array(rows, np.int64),
        slots=np.array(slots, np.int64),
        positions=np.concatenate([*positions, []]).reshape(-1, NUM_JOINTS, 2),
        scores=np.concatenate([*scores, []]).reshape(-1, NUM_JOINTS),
        label=label if isinstance(label, str) else None,
        label_index=label_index if is_whole(label_index) else None,
    )


def _frames(indices: list[int], path: str, warn: Any) -> tuple[np.ndarray, int, int]:
    """0-based frames of the file's 1-based indices, the number of frames, and 1 (or 0)."""
    if not indices:
        warn("the file has no frames")
        return np.empty(0, np.int64), 0, 1
    if not all(abs(index) < 1 << 40 for index in indices):  # beyond int64 at the far end
        raise InputError("bad frame_index", path=path, found=max(indices, key=abs))
    numbers = np.array(indices, np.int64)
    first = 1
    if numbers.min() == 0:
        first = 0
        warn("frame_index begins at 0, not at 1: taken as 0-based")
    if numbers.min() < 0:
        raise InputError("bad frame_index", path=path, found=numbers.min(), expected="1 or more")
    ascending = np.unique(numbers)
    if len(ascending) < len(numbers):
        twice = np.sort(numbers)[:-1][np.diff(np.sort(numbers)) == 0][0]
        raise InputError("a frame_index twice", path=path, found=twice,
                         expected="each frame once")  # fmt: skip
    if (numbers != ascending).any():
        warn("frame_index does not ascend: frames are taken by it, not in the file's order")
    num_frames = int(ascending[-1]) - first + 1
    if absent := num_frames - len(numbers):
        present = ascending - first
        gap = np.flatnonzero(present != np.arange(len(present)))[0]
        warn(f"{absent} frames are absent from the file", f"frame_index {gap + first}")
    return numbers - first, num_frames, first


def _label(
    file: KineticsFile, sample: Sample, description: Description, warn: Any
) -> tuple[int | None, str | None]:
    """Index and name of the class, both by the name that the file gives."""
    of_table = sample.info.get("label_name")
    name = file.label if file.label is not None else of_table
    if name is None:
        warn("the file has no label")
        return None, None
    if of_table is not None and of_table != name:
        warn(f"label {name!r} in the file, {of_table!r} in the label table: the file's is taken")
    index = class_index().get(name)
    if index is None:
        warn(f"label {name!r} is none of the 400 classes of Kinetics: it has no index here")
        return None, name
    if file.label is not None and file.label_index != index:
        warn(f"label_index {file.label_index} is not that of {name!r}, {index}: the name's is "
             "taken")  # fmt: skip
    if index >= len(description.label_names):
        raise InputError(
            "a label outside the classes that were asked for", path=sample.path, found=repr(name),
            expected=f"one of the first {len(description.label_names)}",
        )  # fmt: skip
    return index, name


CONVERTER = Converter(
    name="kinetics",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
    options=(
        Option(
            "classes",
            "first50: the first 50 classes in alphabetical order (the Kinetics-50 of SSTA-PRS)",
            default="all",
            choices=("all", "first50"),
        ),
    ),
)
