"""Annotations of CVAT, XML 1.1 for images and for videos, to clips of the layer ``human``.

People are skeletons, or points with the names of joints in one group. What a file holds is said
in :mod:`posedata.converters.cvat_file`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from posedata.converters.annotated_joints import AnnotatedJoints, find_joints
from posedata.converters.coco_truth import build_truth
from posedata.converters.cvat_file import CvatFile, CvatPoint, CvatShape, parse_cvat
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

_LARGEST_FILE = 4 << 30
_LAYER = "human"

_OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "keyframes": {
        "type": "int32", "per": "pose", "shape": [],
        "about": "1 where somebody set the pose, 0 where CVAT interpolated between such.",
    },
}  # fmt: skip
_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "file_name": {
        "type": "string", "per": "clip", "shape": [],
        "about": "Of the image or video, as in the file.",
    },
}  # fmt: skip


class _CvatClip(NamedTuple):
    """Where the poses of a clip are in a file: the image, or None for all of a video."""

    image: int | None
    num_frames: int
    width: int | None
    height: int | None
    file_name: str


class _Person(NamedTuple):
    """Somebody in a frame."""

    name: str
    group: str
    points: Mapping[str, CvatPoint]
    keyframe: bool


@functools.lru_cache(maxsize=4)
def _load(place: Location, size: int, path: str) -> tuple[CvatFile, dict[int, list[CvatShape]]]:
    """Read a file once for all its clips; clips of several files alternate, so a few are kept."""
    file = parse_cvat(place.read_bytes(_LARGEST_FILE), path)
    by_frame: dict[int, list[CvatShape]] = {}
    for shape in file.shapes:
        by_frame.setdefault(shape.frame, []).append(shape)
    return file, by_frame


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the ``.xml`` files of a folder and its subfolders, and list the clips in them.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``joints``.

    Returns
    -------
    Discovery
        A clip's id is the name of its image, or of its video or task, without suffix.

    Raises
    ------
    InputError
        If the labels are those of no skeleton, or of several.
    """
    files, problems = find_files(raw, ".xml")
    parsed: list[tuple[str, int, CvatFile]] = []
    for path, size in files:
        try:
            file, _ = _load(found_file(raw, path), size, path)
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        parsed.append((path, size, file))
        if file.left_out:
            what = ", ".join(f"{count} {name}" for name, count in sorted(file.left_out.items()))
            problems.append(Problem(path, "discover", f"shapes that are no poses: {what}", "",
                                    "warning"))  # fmt: skip
    if not parsed:
        return Discovery([], problems)
    joints = _joints([file for _, _, file in parsed], options["joints"], str(raw))
    samples: dict[str, Sample] = {}
    for path, size, file in parsed:
        clips = _clips(file, path)
        for clip_id, clip in clips:
            info = {"clip": clip, "size": size, "joints": joints}
            taken = samples.setdefault(
                clip_id, Sample(clip_id, path, size // len(clips), _LAYER, info)
            )
            if taken.info["clip"] is not clip:
                problems.append(Problem(path, "discover", f"clip {clip_id!r} is in {taken.path} "
                                        "already, which is taken"))  # fmt: skip
    return Discovery([samples[key] for key in sorted(samples)], problems)


def _joints(files: Iterable[CvatFile], name: str, path: str) -> AnnotatedJoints:
    used: set[str] = set()
    configured: list[list[str]] = []
    for file in files:
        in_skeletons: dict[str, list[str]] = {}
        for label, parent in file.labels:
            in_skeletons.setdefault(parent, []).append(label)
        alone = in_skeletons.pop("", [])
        configured += in_skeletons.values()
        with_points = {shape.label for shape in file.shapes if shape.kind == "points"}
        if with_points:
            configured.append([label for label in alone if label in with_points])
        for shape in file.shapes:
            if shape.kind == "skeleton" or len(shape.points) == 1:
                used.update(point.label for point in shape.points)
    return find_joints(sorted(used), [labels for labels in configured if labels], name, path)


def _clips(file: CvatFile, path: str) -> list[tuple[str, _CvatClip]]:
    """List the clips of a file: its images, unless they are the frames of a video."""
    if not file.images or file.source:
        name = file.source or file.name or path
        last = max((shape.frame for shape in file.shapes), default=0)
        frames = max([file.size or 0, last + 1, *(number + 1 for number in file.images)])
        sizes = [(image.width, image.height) for image in file.images.values()]
        width, height = sizes[0] if sizes else (file.width, file.height)
        stem = PurePosixPath(name.replace("\\", "/")).stem or PurePosixPath(path).stem
        return [(stem, _CvatClip(None, frames, width, height, file.source))]
    stems = Counter(PurePosixPath(image.name).stem for image in file.images.values())
    clips = []
    for number, image in file.images.items():
        stem = PurePosixPath(image.name).stem or str(number)
        if stems[stem] > 1:
            stem = str(PurePosixPath(image.name).with_suffix("")).strip("/").replace("/", "__")
        clips.append((stem, _CvatClip(number, 1, image.width, image.height, image.name)))
    return clips


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are."""
    skeleton = samples[0].info["joints"].skeleton if samples else "coco17"
    columns = ("person_ids", "slots", "keypoints_2d", "visibility", "boxes", *_OWN_COLUMNS)
    return Description(
        name="cvat",
        title="Keypoints annotated in CVAT",
        license="other: as the pictures'",
        source="CVAT XML 1.1, for images or for videos",
        citation="CVAT.ai Corporation, Computer Vision Annotation Tool (CVAT)",
        layers=(LayerDescription(_LAYER, skeleton, columns, _OWN_COLUMNS),) if samples else (),
        columns=("width", "height", "source", *_CLIP_COLUMNS),
        own_columns=_CLIP_COLUMNS,
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one image or video.

    Returns
    -------
    clip : Clip
        (0, 0) is the centre of the top-left pixel, half a pixel from CVAT's corner. A point that
        is ``outside`` is missing. Persons by CVAT's tracks or groups.
    problems : sequence of Problem
        Warnings: points and boxes that belong to nobody.

    Raises
    ------
    InputError
        If there are too many frames, or a track or joint twice in one.
    """
    _, by_frame = _load(found_file(raw, sample.path), sample.info["size"], sample.path)
    clip: _CvatClip = sample.info["clip"]
    joints: AnnotatedJoints = sample.info["joints"]
    if clip.num_frames > LARGEST_NUM_FRAMES:
        raise InputError("too many frames for a video", path=sample.path, found=clip.num_frames,
                         expected=f"at most {LARGEST_NUM_FRAMES}")  # fmt: skip
    numbers = sorted(by_frame) if clip.image is None else [clip.image]
    lost: dict[str, list[CvatShape]] = {}
    found: list[tuple[int, int, _Person, tuple[float, ...] | None]] = []
    for number in numbers:
        shapes = by_frame.get(number, [])
        people = _people_of_frame(shapes, joints, sample.path, lost)
        boxes = _boxes(shapes, people, lost)
        frame = number if clip.image is None else 0
        found += [(frame, slot, person, boxes.get(slot)) for slot, person in enumerate(people)]
    problems = [
        Problem(sample.path, "read", f"{reason}: {len(of_reason)} times",
                f"{sample.clip_id}, line {of_reason[0].line}", "warning")
        for reason, of_reason in sorted(lost.items())
    ]  # fmt: skip
    index = {label: at for at, label in enumerate(joints.labels)}
    keypoints = np.full((len(found), len(index), 2), np.nan)
    flags = np.zeros((len(found), len(index)), np.uint8)
    boxes_of_rows = np.full((len(found), 4), np.nan)
    for row, (_, _, person, box) in enumerate(found):
        for label, point in person.points.items():
            keypoints[row, index[label]] = point.x - 0.5, point.y - 0.5
            flags[row, index[label]] = 1 if point.occluded else 2
        if box is not None:
            boxes_of_rows[row] = np.array(box) - 0.5
    is_image = clip.image is not None
    rows = People(
        frames=np.array([frame for frame, *_ in found], np.int64),
        slots=np.array([slot for _, slot, *_ in found], np.int64),
        keypoints_2d=np.nan_to_num(keypoints),
        missing=flags == 0,
        scores=flags.astype(np.float64),
        ids=[p.name or (f"slot {slot}" if is_image else "") for _, slot, p, _ in found],
        boxes=boxes_of_rows,
        visibility=flags,
        extra={"keyframes": np.array([p.keyframe for _, _, p, _ in found], np.int32)},
    )
    info = {
        "num_frames": clip.num_frames,
        "width": clip.width,
        "height": clip.height,
        "source": sample.path,
        "file_name": clip.file_name or None,
    }
    layer = description.layer(sample.layer)
    if all(rows.ids):
        built, more = build_truth(sample, layer, rows, info)
    else:
        built, more = build_clip(sample, layer, replace(rows, scores=None), info)
    return built, problems + more


def _people_of_frame(
    shapes: Sequence[CvatShape],
    joints: AnnotatedJoints,
    path: str,
    lost: dict[str, list[CvatShape]],
) -> list[_Person]:
    """Find the people of one frame."""
    people: list[_Person] = []
    in_groups: dict[str, list[CvatShape]] = {}
    for shape in shapes:
        name = shape.track or (f"group {shape.group}" if shape.group else "")
        if shape.kind == "skeleton":
            points = _by_label(shape, shape.points, joints, path)
            if points:
                people.append(_Person(name, shape.group, points, shape.keyframe))
            else:
                lost.setdefault("a skeleton with other joints", []).append(shape)
        elif shape.kind == "points" and shape.label in joints.labels and len(shape.points) == 1:
            in_groups.setdefault(shape.group, []).append(shape)
        elif shape.kind == "points" and len(shape.points) == len(joints.labels):
            named = dict(zip(joints.labels, shape.points, strict=True))
            people.append(_Person(name, shape.group, named, shape.keyframe))
        elif shape.kind == "points":
            lost.setdefault("points that are no joint", []).append(shape)
    alone = in_groups.pop("", [])
    if alone:
        once = len({shape.label for shape in alone}) == len(alone)
        if once and not people and not in_groups:
            in_groups["alone"] = alone
        else:
            lost.setdefault("points in no group, to tell whose they are", []).extend(alone)
    for group, members in sorted(in_groups.items()):
        points = _by_label(members[0], [point for s in members for point in s.points], joints, path)
        keyframe = any(shape.keyframe for shape in members)
        people.append(_Person(f"group {group}", group, points, keyframe))
    return people


def _by_label(
    shape: CvatShape, points: Iterable[CvatPoint], joints: AnnotatedJoints, path: str
) -> dict[str, CvatPoint]:
    found: dict[str, CvatPoint] = {}
    for point in points:
        if point.label not in joints.labels:
            continue
        if point.label in found:
            raise InputError("a joint twice in one person", path=path,
                             position=f"frame {shape.frame}, line {shape.line}",
                             found=repr(point.label[:40]))  # fmt: skip
        found[point.label] = point
    return found


def _boxes(
    shapes: Sequence[CvatShape], people: Sequence[_Person], lost: dict[str, list[CvatShape]]
) -> dict[int, tuple[float, ...]]:
    """Give the boxes that are in one group with a person, by the person's slot."""
    slots = {person.group: slot for slot, person in enumerate(people) if person.group}
    boxes: dict[int, tuple[float, ...]] = {}
    for shape in shapes:
        slot = slots.get(shape.group) if shape.box is not None else None
        if shape.box is not None and slot is not None and slot not in boxes:
            boxes[slot] = shape.box
        elif shape.box is not None:
            lost.setdefault("a box that is in no group with joints", []).append(shape)
    return boxes


CONVERTER = Converter(
    name="cvat",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the skeleton whose joints are the labels, or the parts of the skeleton in their "
            "order, e.g. coco17 (default: by the labels)",
            default="",
        ),
    ),
)
