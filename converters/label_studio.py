"""Exports of Label Studio with keypoints to clips of the layer ``human``.

A task that posedata has made says which clip and frame it shows; of any other, the picture is a
clip of one frame. Which point is whose is told in :mod:`posedata.label_studio.annotated_frame`.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

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
from posedata.converters.annotated_joints import AnnotatedJoints, find_joints
from posedata.converters.coco_truth import build_truth
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.label_studio.annotations_to_poses import (
    AnnotatedFrame,
    choose_annotation,
    poses_of_annotation,
    task_state,
)
from posedata.skeleton import list_skeletons, load_skeleton
from posedata.storage import Location

_LARGEST_FILE = 1 << 30
_LAYER = "human"
# What Label Studio puts before the name of a file that was uploaded.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
_NOT_TAKEN = {
    "skipped": "tasks that were skipped",
    "unfinished": "tasks with a draft that was not submitted",
    "untouched": "tasks without an annotation",
    "nobody's": "tasks without an annotation of that user",
}
_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "file_name": {
        "type": "string", "per": "clip", "shape": [],
        "about": "Of the picture of the clip's first annotated frame, as in the task.",
    },
    "num_labelled": {
        "type": "int32", "per": "clip", "shape": [],
        "about": "Frames that were annotated. In the others nobody was looked for.",
    },
}  # fmt: skip


class _Frame(NamedTuple):
    """A frame of a clip: its number, and the task's place in the file."""

    frame: int
    task: int


@functools.lru_cache(maxsize=4)
def _load(place: Location, size: int, path: str) -> list[Any]:
    """Read a file once for all its clips; clips of several files alternate, so a few are kept."""
    from posedata.json_text import parse_json

    text = place.read_bytes(_LARGEST_FILE)
    tasks = parse_json(text, path)
    if _HALF_CHARACTER.search(text):  # perhaps: where both halves are there, all is well
        try:
            json.dumps(tasks, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise InputError("text with half a character (a lone surrogate)", path=path) from None
    if isinstance(tasks, dict):
        tasks = [tasks]
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise InputError(
            "no export of Label Studio", path=path, expected="a list of tasks, each with data",
            remedy="Export as JSON, not as JSON-MIN or another format.",
        )  # fmt: skip
    return tasks


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the ``.json`` files of a folder and its subfolders, and list the clips in them.

    Parameters
    ----------
    raw : Location
        A folder, or one file. A labelling configuration in it (``.xml``) says the joints.
    options : mapping
        ``joints``, ``annotation``.

    Returns
    -------
    Discovery
        A clip's id is what the task says, or the picture's name without suffix.

    Raises
    ------
    InputError
        If the labels are those of no skeleton, or of several.
    UsageError
        If there is no such rule to choose an annotation, or no such skeleton.
    """
    files, problems = find_files(raw, (".json", ".xml"))
    parsed: list[tuple[str, int, list[Any]]] = []
    configured: list[list[str]] = []
    for path, size in files:
        try:
            if path.lower().endswith(".xml"):
                names = _labels_of_config(found_file(raw, path).read_bytes(_LARGEST_FILE), path)
                configured += [names] if names else []
            else:
                parsed.append((path, size, _load(found_file(raw, path), size, path)))
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
    if not parsed:
        return Discovery([], problems)
    used = sorted({label for _, _, tasks in parsed for label in _labels_of_tasks(tasks)})
    name = options["joints"] or _skeleton_of(task for _, _, tasks in parsed for task in tasks)
    joints = find_joints(used, configured, name, str(raw))
    samples: dict[str, Sample] = {}
    for path, size, tasks in parsed:
        clips: dict[str, list[_Frame]] = {}
        left_out: Counter[str] = Counter()
        for number, task in enumerate(tasks):
            state = task_state(task)
            try:
                if state == "annotated" and _chosen(task, options["annotation"], joints) is None:
                    state = "nobody's"
            except InputError as error:
                place = f"task {task.get('id', number)}"
                problems.append(Problem(path, "discover", error.reason, place))
                continue
            if state == "annotated":
                clip_id, frame = _clip_of(task, number)
                clips.setdefault(clip_id, []).append(_Frame(frame, number))
            else:
                left_out[state] += 1
        for state, count in sorted(left_out.items()):
            problems.append(
                Problem(path, "discover", f"{_NOT_TAKEN[state]}: {count}", "", "warning")
            )
        for clip_id, frames in clips.items():
            frames.sort()
            info = {"frames": tuple(frames), "size": size, "joints": joints}
            taken = samples.setdefault(
                clip_id, Sample(clip_id, path, size * len(frames) // len(tasks), _LAYER, info)
            )
            if taken.path != path:
                problems.append(Problem(path, "discover", f"clip {clip_id!r} is in {taken.path} "
                                        "already, which is taken"))  # fmt: skip
    return Discovery([samples[key] for key in sorted(samples)], problems)


def _chosen(
    task: Mapping[str, Any], rule: str, joints: AnnotatedJoints
) -> Mapping[str, Any] | None:
    return choose_annotation(task, rule, joints.as_labelled())


def _labels_of_config(text: bytes, path: str) -> list[str]:
    """Read the labels of keypoints of a labelling configuration; none of any other XML."""
    from xml.parsers import expat

    names: list[str] = []
    inside: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        inside.append(tag)
        if tag == "Label" and "KeyPointLabels" in inside and "value" in attributes:
            names.append(attributes["value"])

    def doctype(*_: Any) -> None:
        raise InputError("XML with a document type, which no configuration has", path=path)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: inside.pop()
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError(
            f"not XML: {expat.ErrorString(error.code)}", path=path,
            position=f"line {error.lineno}, column {error.offset + 1}",
        ) from None  # fmt: skip
    return names


def _labels_of_tasks(tasks: Iterable[Mapping[str, Any]]) -> set[str]:
    labels: set[str] = set()
    for task in tasks:
        annotations = task.get("annotations")
        for annotation in annotations if isinstance(annotations, list) else []:
            result = annotation.get("result") if isinstance(annotation, dict) else None
            for entry in result if isinstance(result, list) else []:
                value = entry.get("value") if isinstance(entry, dict) else None
                found = value.get("keypointlabels") if isinstance(value, dict) else None
                found = found if isinstance(found, list) else []
                labels.update(x for x in found if isinstance(x, str))
    return labels


def _skeleton_of(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Give the skeleton that all tasks name, as ours do; empty where there is none."""
    names = {str(task["data"].get("skeleton")) for task in tasks}
    return names.pop() if len(names) == 1 and names <= set(list_skeletons()) else ""


def _clip_of(task: Mapping[str, Any], number: int) -> tuple[str, int]:
    """Say which clip and frame a task shows."""
    data = task["data"]
    clip_id, frame = data.get("clip_id"), data.get("frame")
    named = isinstance(clip_id, str) and clip_id and type(frame) is int
    if named and 0 <= frame < LARGEST_NUM_FRAMES:
        return clip_id, frame
    name = PurePosixPath(_file_name(task)).name
    return PurePosixPath(_UPLOAD.sub("", name, count=1)).stem or f"task_{number}", 0


def _file_name(task: Mapping[str, Any]) -> str:
    """Give the picture of a task as its data names it, without the address before it."""
    data = task["data"]
    texts = [data.get("image"), data.get("img"), *data.values()]
    address = next((text for text in texts if isinstance(text, str) and text), "")
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    # /data/local-files/?d=folder/picture.jpg
    is_local = parts.path.endswith("local-files/")
    return unquote(parts.query.partition("d=")[2] if is_local else parts.path)


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are."""
    skeleton = samples[0].info["joints"].skeleton if samples else "coco17"
    columns = ("person_ids", "slots", "keypoints_2d", "visibility", "boxes")
    return Description(
        name="label_studio",
        title="Keypoints annotated in Label Studio",
        license="other: as the pictures'",
        source="JSON exports of Label Studio",
        citation="Tkachenko et al., Label Studio: Data labeling software, 2020-2025",
        layers=(LayerDescription(_LAYER, skeleton, columns),) if samples else (),
        columns=("width", "height", "source", *_CLIP_COLUMNS),
        own_columns=_CLIP_COLUMNS,
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the annotated frames of one clip.

    Returns
    -------
    clip : Clip
        Persons as the task numbers them; people that somebody added to frames of a video are told
        apart by the tracker.
    problems : sequence of Problem
        Warnings: each region that could not be taken over.

    Raises
    ------
    InputError
        If a frame is in two tasks, or frames have several sizes.
    """
    tasks = _load(found_file(raw, sample.path), sample.info["size"], sample.path)
    joints: AnnotatedJoints = sample.info["joints"]
    numbered: tuple[_Frame, ...] = sample.info["frames"]
    again = [b for a, b in itertools.pairwise(numbered) if a.frame == b.frame]
    if again:
        raise InputError(
            "two tasks of one frame", path=sample.path,
            position=f"{sample.clip_id}, frame {again[0].frame}",
            remedy="Export each task once, and name pictures differently.",
        )  # fmt: skip
    problems: list[Problem] = []
    frames: list[AnnotatedFrame] = []
    for at in numbered:
        task = tasks[at.task]
        place = f"task {task.get('id', at.task)}"
        chosen = _chosen(task, description.options["annotation"], joints)
        if chosen is None:
            raise InputError("no finished annotation", path=sample.path, position=place)
        try:
            found = poses_of_annotation(task, chosen["result"], joints.as_labelled())
        except InputError as error:
            raise InputError(error.message, path=sample.path, position=place, found=error.found,
                             expected=error.expected) from None  # fmt: skip
        for region, reason in found.problems:
            where = f"{place}, region {region}" if region else place
            problems.append(Problem(sample.path, "read", reason, where, "warning"))
        frames.append(found)
    sizes = sorted({(f.width, f.height) for f in frames if f.width})
    if len(sizes) > 1:
        raise InputError("pictures of one clip with several sizes", path=sample.path,
                         position=sample.clip_id, found=sizes[:3])  # fmt: skip
    people = _people(numbered, frames, load_skeleton(joints.skeleton).num_joints)
    info = {
        "num_frames": numbered[-1].frame + 1,
        "width": sizes[0][0] if sizes else None,
        "height": sizes[0][1] if sizes else None,
        "source": sample.path,
        "file_name": _file_name(tasks[numbered[0].task]) or None,
        "num_labelled": len(numbered),
    }
    layer = description.layer(sample.layer)
    if all(people.ids):
        clip, more = build_truth(sample, layer, people, info)
    else:
        clip, more = build_clip(sample, layer, replace(people, scores=None), info)
    return clip, problems + more


def _people(numbered: Sequence[_Frame], frames: Sequence[AnnotatedFrame], joints: int) -> People:
    """Put the people of all frames together."""
    counts = [len(frame.persons) for frame in frames]
    ids: list[str] = []
    for frame in frames:
        for row, person in enumerate(frame.persons.tolist()):
            lone = frame.new[row] and len(frames) > 1
            ids.append("" if lone else frame.person_ids[row] or str(person))
    keypoints = np.concatenate(
        [np.empty((0, joints, 2), np.float32), *(frame.keypoints for frame in frames)]
    )
    visibility = np.concatenate(
        [np.empty((0, joints), np.uint8), *(frame.visibility for frame in frames)]
    )
    return People(
        frames=np.repeat(np.array([at.frame for at in numbered], np.int64), counts),
        slots=np.concatenate([np.arange(count) for count in counts]).astype(np.int64),
        keypoints_2d=np.nan_to_num(keypoints),
        missing=visibility == 0,
        scores=visibility.astype(np.float64),
        ids=ids,
        boxes=np.concatenate([np.empty((0, 4), np.float32), *(f.boxes for f in frames)]),
        visibility=visibility,
    )


CONVERTER = Converter(
    name="label_studio",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the skeleton whose joints are the labels, e.g. coco17 (default: by the labelling "
            "configuration beside the export, or by the labels)",
            default="",
        ),
        Option(
            "annotation",
            "which of several annotations of a task counts: latest, first, agreed, by-user:ID",
            default="latest",
        ),
    ),
)
