"""Northwestern-UCLA Multiview Action 3D: Kinect v1 skeletons to clips of the layer ``kinect``.

Wang, Nie, Xia, Wu and Zhu, "Cross-view Action Modeling, Learning and Recognition", CVPR 2014. Two
forms are read: the JSON files that CTR-GCN and others train on (one body a clip, positions
alone), and the data set's own folders of text files (:mod:`posedata.converters.nucla_text`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import (
    Converter,
    Description,
    Discovery,
    LayerDescription,
    Problem,
    Sample,
)
from posedata.converters.nucla_json import parse_clip
from posedata.converters.nucla_text import FILE_LIST, SUFFIX, read_folder
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.skeleton import load_skeleton
from posedata.storage import Location
from posedata.unrounded import unrounded_columns

# The largest real file has 127 kB.
LARGEST_FILE = 64 << 20

_SEQUENCE = r"a(\d\d)_s(\d\d)_e(\d\d)"
_NAME = re.compile(_SEQUENCE + r"_v(\d\d)", re.ASCII)
_FOLDER = re.compile(r"(?:.*/)?view_(\d)/" + _SEQUENCE, re.ASCII)
_EXPECTED = "aAA_sSS_eEE_vVV with A 1-6, 8, 9, 11 or 12, S 1-10, V 1-3"

_CLIP_COLUMNS = ("label", "label_name", "subject", "camera", "replication", "source")
_UNROUNDED_COLUMNS = unrounded_columns("keypoints_3d", "decimal")
# What the text files have and the JSON files have not.
_TEXT_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "frame_numbers": {
        "type": "int64", "per": "pose", "shape": [],
        "about": "The frame's number in the name of its file (frames counts from 0 instead).",
    },
    "timestamps": {
        "type": "int64", "per": "pose", "shape": [],
        "about": "tc in the name of the frame's file: the time, in the recorder's own unit.",
    },
}  # fmt: skip


class ClipName(NamedTuple):
    """The four numbers of a clip's name."""

    action: int
    subject: int
    replication: int
    view: int

    @property
    def clip_id(self) -> str:
        """The name, e.g. ``a01_s01_e00_v01``."""
        action, subject, replication, view = self
        return f"a{action:02}_s{subject:02}_e{replication:02}_v{view:02}"


def parse_name(name: str) -> ClipName | None:
    """Read ``aAA_sSS_eEE_vVV``; None if the whole text is no name of the data set."""
    match = _NAME.fullmatch(name)
    return None if match is None else _known(*(int(group) for group in match.groups()))


def parse_folder(path: str) -> ClipName | None:
    """Read the end ``view_V/aAA_sSS_eEE`` of a path; None if it is no clip's folder."""
    match = _FOLDER.fullmatch(path)
    if match is None:
        return None
    view, action, subject, replication = (int(group) for group in match.groups())
    return _known(action, subject, replication, view)


def _known(action: int, subject: int, replication: int, view: int) -> ClipName | None:
    if action not in actions() or not 1 <= subject <= 10 or not 1 <= view <= 3:
        return None
    return ClipName(action, subject, replication, view)


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the clips of a folder and its subfolders, without opening a file.

    Parameters
    ----------
    raw : Location
        A folder, or one JSON file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        The JSON files if there are any, else the folders of text files. Among the problems: names
        that are not the data set's, second copies, and text folders beside JSON files.
    """
    files, problems = find_files(raw, ".json")
    samples: dict[str, Sample] = {}
    for path, size in files:
        stem = path.rsplit("/", 1)[-1][: -len(".json")]
        if parse_name(stem) is None:
            problems.append(Problem(
                path, "discover",
                f"not a name of Northwestern-UCLA: found {stem!r}, expected {_EXPECTED}",
            ))  # fmt: skip
        else:
            _add(samples, problems, Sample(stem, path, size))
    folders, text_problems = _text_folders(raw)
    if samples and folders:
        more = folders.keys() - samples.keys()
        problems.append(Problem(
            min(folder.path for folder in folders.values()), "discover",
            f"{len(folders)} folders of text files are left out, since there are JSON files of "
            f"the same data set; {len(more)} of them are of clips without a JSON file. To convert "
            "the text files, give their folder alone",
            severity="reject" if more else "warning",
        ))  # fmt: skip
    elif folders:
        problems, samples = [*problems, *text_problems], folders
    return Discovery([samples[clip_id] for clip_id in sorted(samples)], problems)


def _text_folders(raw: Location) -> tuple[dict[str, Sample], list[Problem]]:
    files, problems = find_files(raw, ".txt")
    sizes: dict[str, int] = {}
    for path, size in files:
        folder, _, name = path.rpartition("/")
        if name == FILE_LIST or name.endswith(SUFFIX):
            sizes[folder] = sizes.get(folder, 0) + size
    samples: dict[str, Sample] = {}
    for folder, size in sizes.items():
        name_of = parse_folder(f"{raw.path.rstrip('/')}/{folder}".rstrip("/"))
        if name_of is None:
            problems.append(Problem(
                folder or ".", "discover", "not a folder of a clip of Northwestern-UCLA: found "
                f"{folder!r}, expected view_V/aAA_sSS_eEE, the numbers as in {_EXPECTED}",
            ))  # fmt: skip
        else:
            _add(samples, problems, Sample(name_of.clip_id, folder or ".", size))
    return samples, problems


def _add(samples: dict[str, Sample], problems: list[Problem], sample: Sample) -> None:
    first = samples.setdefault(sample.clip_id, sample)
    if first is not sample:
        reason = f"a second file of this clip: {first.path} is taken"
        problems.append(Problem(sample.path, "discover", reason))


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what a release is: of JSON files, or of the text files, which say more."""
    text = bool(samples) and not _is_json(samples[0])
    own = {**_UNROUNDED_COLUMNS, **(_TEXT_COLUMNS if text else {})}
    more = ("person_ids", "slots", "visibility") if text else ()
    return Description(
        name="nucla",
        title="Northwestern-UCLA Multiview Action 3D skeletons",
        license="none is stated with the files: research use, no redistribution; see the "
        "data set's site (Northwestern University)",
        source=f"Northwestern-UCLA 3D skeletons, {'text' if text else 'JSON'} files",
        citation="Wang, Nie, Xia, Wu and Zhu, Cross-view Action Modeling, Learning and "
        "Recognition, CVPR 2014",
        layers=(
            LayerDescription(
                name="kinect",
                skeleton="kinect20",
                columns=("keypoints_3d", *more, *own),
                own_columns=own,
            ),
        ),
        columns=_CLIP_COLUMNS,
        label_names=tuple(actions().values()),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one clip, from its JSON file or its folder.

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
        Every number as in the source, to float32, but a joint at exactly (0, 0, 0): Kinect gives
        that for a joint it has not found, and it is NaN.
    problems : sequence of Problem
        Warnings: such joints, numbers that are not finite, no frames, a label or name in the file
        that contradicts the file's name.

    Raises
    ------
    InputError
        If the file or a file of the folder is not what its format says.
    """
    name = parse_name(sample.clip_id)
    if name is None:
        raise InputError("not a name of Northwestern-UCLA", path=sample.path,
                         found=repr(sample.clip_id), expected=_EXPECTED)  # fmt: skip
    build = _read_json if _is_json(sample) else _read_text
    return build(raw, sample, name, description)


def _is_json(sample: Sample) -> bool:
    return sample.path.lower().endswith(".json")


def _read_json(
    raw: Location, sample: Sample, name: ClipName, description: Description
) -> tuple[Clip, Sequence[Problem]]:
    label = list(actions()).index(name.action)
    text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    file = parse_clip(text, sample.path)
    problems: list[Problem] = []
    for field, found, expected in (("label", file.label, label + 1),
                                   ("file_name", file.file_name, sample.clip_id)):  # fmt: skip
        if found is not None and found != expected:
            problems.append(Problem(
                sample.path, "read", f"{field} is {found!r:.60}, the file's name says "
                f"{expected!r}, which is taken", "", "warning",
            ))  # fmt: skip
    if file.further:
        problems.append(Problem(
            sample.path, "read", f"fields that the format has not were left out: "
            f"{', '.join(file.further)[:200]}", "", "warning",
        ))  # fmt: skip
    frames = np.arange(len(file.positions), dtype=np.int32)
    return _clip(
        sample, name, description, problems, num_frames=len(frames), frames=frames,
        persons=np.zeros(len(frames), np.int32), positions=file.positions,
    )  # fmt: skip


def _read_text(
    raw: Location, sample: Sample, name: ClipName, description: Description
) -> tuple[Clip, Sequence[Problem]]:
    text = read_folder(raw if sample.path == "." else raw / sample.path, sample.path)
    number: dict[str, int] = {}
    bodies = [number.setdefault(body, len(number)) for body in text.ids]
    persons = np.array(bodies, np.int32)
    order = np.argsort(persons, kind="stable")  # the frames of each ascend already
    return _clip(
        sample, name, description, list(text.problems), num_frames=text.num_frames,
        frames=text.frames[order], persons=persons[order], positions=text.positions[order],
        states=text.states[order], person_ids=tuple(number),
        extra={
            "slots": text.slots[order],
            "frame_numbers": text.frame_numbers[order],
            "timestamps": text.timestamps[order],
        },
    )  # fmt: skip


def _clip(
    sample: Sample,
    name: ClipName,
    description: Description,
    problems: list[Problem],
    *,
    num_frames: int,
    frames: np.ndarray,
    persons: np.ndarray,
    positions: np.ndarray,
    states: np.ndarray | None = None,
    person_ids: tuple[str, ...] = (),
    extra: Mapping[str, np.ndarray] | None = None,
) -> tuple[Clip, Sequence[Problem]]:
    from posedata.source_numbers import find_unrounded  # numba: only where files are read

    layer = description.layer()

    def missing(joints: np.ndarray, what: str) -> None:
        if joints.any():
            pose, joint = np.argwhere(joints)[0]
            problems.append(Problem(
                sample.path, "read", f"{joints.sum()} joints are {what}, and became missing",
                f"frame {frames[pose]}, joint {joint}", "warning",
            ))  # fmt: skip
            keypoints[joints] = np.nan

    if num_frames == 0:
        problems.append(Problem(sample.path, "read", "no frames", "", "warning"))
    with np.errstate(over="ignore"):
        keypoints = positions.astype(np.float32)
    missing(~np.isfinite(keypoints).all(-1), "not finite")
    missing((positions == 0).all(-1), "at exactly (0, 0, 0)")
    if states is not None:
        states = np.where(np.isnan(keypoints[..., 0]), np.uint8(0), states)
    label = list(actions()).index(name.action)
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=frames,
        persons=persons,
        keypoints_3d=keypoints,
        visibility=states,
        person_ids=person_ids,
        extra=extra or {},
        unrounded={"keypoints_3d": find_unrounded(keypoints, positions, "decimal")},
        info={
            "num_frames": num_frames,
            "label": label,
            "label_name": description.label_names[label],
            "subject": name.subject,
            "camera": name.view,
            "replication": name.replication,
            "source": sample.path,
        },
    ), problems


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Assign clips to the three cross-view protocols, each named after its test camera.

    Yields
    ------
    protocol, split, clip_id : str
        ``xview1``, ``xview2`` or ``xview3``; ``train`` or ``test``.
    """
    clips = list(clips)
    for protocol, rule in _load("protocols.json")["protocols"].items():
        for clip in clips:
            split = "train" if clip["camera"] in rule["train"] else "test"
            yield protocol, split, clip["clip_id"]


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count the clips of each split, from names alone."""
    names = [(sample.clip_id, parse_name(sample.clip_id)) for sample in samples]
    sizes: dict[str, dict[str, int]] = {}
    clips = [{"clip_id": clip_id, "camera": name.view} for clip_id, name in names if name]
    for protocol, split, _ in splits(clips):
        counts = sizes.setdefault(protocol, {"train": 0, "test": 0})
        counts[split] += 1
    return {"splits": sizes}


@cache
def actions() -> Mapping[int, str]:
    """Number of each action in clip names (1 to 12, without 7 and 10): its name, in that order."""
    return {row["action"]: row["name"] for row in _load("classes.json")["classes"]}


@cache
def _load(file: str) -> dict[str, Any]:
    path = resources.files("posedata.schemas").joinpath("nucla", file)
    return json.loads(path.read_text("utf-8"))


CONVERTER = Converter(
    name="nucla", discover=discover, describe=describe, read=read, splits=splits, survey=survey
)
