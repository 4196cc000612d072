"""Toyota Smarthome Untrimmed (TSU): annotation JSON, and poses where there are any, to clips.

Dai et al., "Toyota Smarthome Untrimmed: Real-World Untrimmed Videos for Activity Detection",
TPAMI 2022. ``smarthome_CS_51.json`` and ``smarthome_CV_51.json`` say for each video ``subset``
(``training`` or ``testing``), ``duration`` and ``actions`` ([class, start, end], ...), in frames
of the video at 25 a second.
"""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Problem, Sample, Segment
from posedata.converters.expert_files import (
    PoseFile,
    choose_samples,
    describe_layers,
    find_pose_files,
    read_poses,
)
from posedata.discover import found_file
from posedata.errors import InputError
from posedata.json_text import parse_json
from posedata.storage import Location

#: Frames a second of the videos as they are released, and of the annotation.
FPS = 25.0

_ANNOTATION = re.compile(r"smarthome_(cs|cv)(_\d+)?\.json", re.IGNORECASE | re.ASCII)
_VIDEO = re.compile(r"P(\d{2})T(\d{2})C(\d{2})", re.ASCII)
_VIDEO_IN_NAME = re.compile(r"(?<![A-Za-z0-9])P\d{2}T\d{2}C\d{2}(?![A-Za-z0-9])", re.ASCII)
_SUBSETS = {"training": "train", "testing": "test"}
_LARGEST_ANNOTATION = 64 << 20  # the real ones have 0.8 MB
_MOST_FRAMES = 1 << 24

_CLIP_COLUMNS = ("num_frames", "width", "height", "fps", "subject", "camera", "take", "duration_s",
                 "cs", "cv", "source")  # fmt: skip
_OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "take": {
        "type": "int32", "per": "clip", "shape": [],
        "about": "The T of the video's name: which recording of the subject.",
    },
    "duration_s": {
        "type": "float64", "per": "clip", "shape": [],
        "about": "Length of the video as annotated, seconds.",
    },
    "cs": {
        "type": "string", "per": "clip", "shape": [],
        "about": "Split of the cross-subject protocol: train or test.",
    },
    "cv": {
        "type": "string", "per": "clip", "shape": [],
        "about": "Split of the cross-view protocol: train or test.",
    },
}  # fmt: skip


class Annotation(NamedTuple):
    """What an annotation file says of one video.

    Attributes
    ----------
    split : str
        ``train`` or ``test``.
    duration : int
        Frames of the video.
    actions : tuple of (int, int, int)
        Class, first and last frame.
    """

    split: str
    duration: int
    actions: tuple[tuple[int, int, int], ...]


@cache
def class_names() -> tuple[str, ...]:
    """Names of the 51 classes, in the order of their numbers."""
    text = resources.files("posedata.schemas").joinpath("smarthome", "untrimmed_classes.txt")
    return tuple(text.read_text("utf-8").split())


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the annotation files of a folder and its subfolders, and list the pose files.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        Every annotated video is among the clips, with or without poses.
    """
    files, problems = find_pose_files(raw)
    protocols: dict[str, dict[str, Annotation]] = {}
    paths: dict[str, str] = {}
    for path, protocol in _annotation_files(files):
        if protocol in paths:
            problems.append(Problem(
                path, "discover", f"a second annotation of {protocol}: {paths[protocol]} is taken",
            ))  # fmt: skip
            continue
        try:
            text = found_file(raw, path).read_bytes(_LARGEST_ANNOTATION)
            protocols[protocol], wrong = parse_annotation(text, path)
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        paths[protocol] = path
        problems += wrong
    problems += _disagreements(protocols, paths)
    poses = [file for file in files if not _ANNOTATION.fullmatch(PurePosixPath(file.path).name)]
    samples, wrong = choose_samples(raw, poses, _clip_id)
    if samples and not protocols:
        problems.append(Problem(
            ".", "discover", "no annotation here: found no smarthome_CS_51.json or "
            "smarthome_CV_51.json, so these clips have neither segments nor splits", "", "warning",
        ))  # fmt: skip
    annotated = {**protocols.get("cv", {}), **protocols.get("cs", {})}
    rows = {video: _clip_row(video, annotated[video], protocols) for video in sorted(annotated)}
    samples = [_with_row(sample, rows) for sample in samples]
    num_files = Counter(sample.clip_id for sample in samples)
    for sample in samples:
        if sample.clip_id in rows:  # one file alone has the last word when it is read
            several = num_files[sample.clip_id] > 1
            rows[sample.clip_id]["num_frames"] = sample.info["num_frames"] if several else None
    return Discovery(samples, [*problems, *wrong], list(rows.values()), list(_segments(annotated)))


def parse_annotation(text: bytes, path: str) -> tuple[dict[str, Annotation], list[Problem]]:
    """Read an annotation file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Returns
    -------
    annotations : dict of str to Annotation
        By video.
    problems : list of Problem
        Videos whose entry is not what the format says; they are left out.

    Raises
    ------
    InputError
        If it is no JSON object.
    """
    document = parse_json(text, path)
    if not isinstance(document, dict):
        raise InputError("not an annotation of TSU", path=path, found=reprlib.repr(document),
                         expected="an object of videos")  # fmt: skip
    annotations, problems = {}, []
    for video, entry in document.items():
        try:
            annotations[video] = _annotation(video, entry)
        except InputError as error:
            problems.append(
                Problem(path, "discover", error.reason, error.position or reprlib.repr(video))
            )
    return annotations, problems


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; their layers are the experts that have files."""
    return Description(
        name="smarthome_untrimmed",
        title="Toyota Smarthome Untrimmed",
        license="Toyota Smarthome terms: research only, no redistribution; see the data set's "
        "site (INRIA)",
        source="Toyota Smarthome Untrimmed, annotation of 51 classes, and LCRNet++ poses",
        citation="Dai et al., Toyota Smarthome Untrimmed: Real-World Untrimmed Videos for "
        "Activity Detection, TPAMI 2022",
        layers=describe_layers(samples),
        columns=_CLIP_COLUMNS,
        own_columns=_OWN_COLUMNS,
        segment_names=class_names(),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the poses of one video by one expert.

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
        2D in pixels of the 640x480 video; from JSON also 3D.
    problems : sequence of Problem
        Warnings: numbers that had to become NaN, unknown fields, a file of another length than
        the annotation says.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    known = {name: sample.info.get(name) for name in ("duration_s", "cs", "cv")}
    info = {**_facts_of(sample.clip_id), **known, "source": sample.path}
    kept = {name: value for name, value in info.items() if value is not None}
    return read_poses(raw, sample, description.layer(sample.layer), kept)


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give the splits of the annotation files.

    Yields
    ------
    protocol, split, clip_id : str
        ``cs`` and ``cv``; ``train`` and ``test``. A protocol whose file was not there has none.
    """
    rows = [(row["clip_id"], row) for row in clips]
    for protocol in ("cs", "cv"):
        for clip_id, row in rows:
            if row.get(protocol):
                yield protocol, row[protocol], clip_id


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count the pose files of each layer, and their videos."""
    return {
        "videos_with_poses": len({sample.clip_id for sample in samples}),
        "files": dict(sorted(Counter(sample.layer for sample in samples).items())),
    }


def _annotation_files(files: Iterable[PoseFile]) -> Iterator[tuple[str, str]]:
    for file in files:
        match = _ANNOTATION.fullmatch(PurePosixPath(file.path).name)
        if match:
            yield file.path, match[1].lower()


def _annotation(video: str, entry: Any) -> Annotation:
    if not _VIDEO.fullmatch(video):
        raise InputError("not a TSU video", found=reprlib.repr(video), expected="PssTttCcc")
    if not isinstance(entry, dict):
        raise InputError("not a video's annotation", found=reprlib.repr(entry),
                         expected="an object")  # fmt: skip
    subset, duration, actions = (entry.get(name) for name in ("subset", "duration", "actions"))
    if not isinstance(subset, str) or subset not in _SUBSETS:
        raise InputError("bad subset", found=reprlib.repr(subset), expected="training or testing")
    if type(duration) is not int or not 0 < duration <= _MOST_FRAMES:
        raise InputError("bad duration", found=reprlib.repr(duration), expected="frames")
    if not isinstance(actions, list):
        raise InputError("bad actions", found=reprlib.repr(actions), expected="a list")
    triples = []
    for number, action in enumerate(actions):
        if not (
            isinstance(action, list)
            and [type(value) for value in action] == [int] * 3
            and 0 <= action[0] < len(class_names())
            and all(0 <= frame <= _MOST_FRAMES for frame in action[1:])
        ):
            raise InputError("bad action", position=f"{video}, action {number}",
                             found=reprlib.repr(action),
                             expected="[class 0-50, start, end], in frames")  # fmt: skip
        triples.append((action[0], action[1], action[2]))
    return Annotation(_SUBSETS[subset], duration, tuple(triples))


def _disagreements(
    protocols: Mapping[str, Mapping[str, Annotation]], paths: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield a warning for each video of which the two files say different things."""
    ours, theirs = protocols.get("cs", {}), protocols.get("cv", {})
    for video in sorted(ours.keys() & theirs.keys()):
        if ours[video][1:] != theirs[video][1:]:
            yield Problem(
                paths["cv"], "discover",
                f"other actions or another duration than in {paths['cs']}, which is taken",
                video, "warning",
            )  # fmt: skip


def _facts_of(video: str) -> dict[str, Any]:
    match = _VIDEO.fullmatch(video)
    if match is None:
        raise InputError("not a TSU video", found=video, expected="PssTttCcc")
    subject, take, camera = (int(number) for number in match.groups())
    return {"width": 640, "height": 480, "fps": FPS, "subject": subject, "camera": camera,
            "take": take}  # fmt: skip


def _clip_row(
    video: str, annotation: Annotation, protocols: Mapping[str, Mapping[str, Annotation]]
) -> dict[str, Any]:
    of_protocols = {
        protocol: annotations[video].split if video in annotations else None
        for protocol, annotations in protocols.items()
    }
    return {
        "clip_id": video,
        "num_frames": annotation.duration,
        **_facts_of(video),
        "duration_s": annotation.duration / FPS,
        **of_protocols,
    }


def _with_row(sample: Sample, rows: Mapping[str, Mapping[str, Any]]) -> Sample:
    row = rows.get(sample.clip_id)
    if row is None:
        return sample
    longest = max(row["num_frames"], sample.info.get("num_frames", 0))
    return replace(sample, info={**row, "num_frames": longest})


def _segments(annotated: Mapping[str, Annotation]) -> Iterator[Segment]:
    names = class_names()
    for video in sorted(annotated):
        duration = annotated[video].duration
        seen: set[tuple[int, int, int]] = set()
        for action in annotated[video].actions:
            label, start, end = action
            flags = [
                text
                for text, wrong in (
                    ("start after the video", start > duration),
                    ("end after the video", end > duration),
                    ("end before start", end < start),
                    ("no length", end == start),
                    ("listed before", action in seen),
                )
                if wrong
            ]
            seen.add(action)
            yield Segment(video, start / FPS, end / FPS, label, names[label], "; ".join(flags))


def _clip_id(file: PoseFile) -> str:
    videos = set(_VIDEO_IN_NAME.findall(file.stem))
    if len(videos) != 1:
        raise InputError("not poses of a TSU video", found=repr(file.stem),
                         expected="a name with one PssTttCcc in it")  # fmt: skip
    return videos.pop()


CONVERTER = Converter(
    name="smarthome_untrimmed",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
)
