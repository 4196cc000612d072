"""VideoPose3D: its ``.npz`` files of 2D and 3D poses, and of detections, to clips.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised
training", CVPR 2019. What a file holds is said in :mod:`posedata.converters.videopose3d_file`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

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
from posedata.converters.people import People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

if TYPE_CHECKING:
    from posedata.converters.videopose3d_file import Detections, PoseTable

# The detections of Human3.6M have 200 MB.
LARGEST_FILE = 4 << 30

_PREFIX = re.compile(r"data_(2d|3d)_(h36m|custom)_?", re.IGNORECASE)
_DETECTIONS = "detectron"
_VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v")
_OF_DETECTIONS: Mapping[str, Mapping[str, Any]] = {
    "box_scores": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "The detector's score of the box.",
    },
    "logits": {
        "type": "float32", "per": "pose", "shape": ["V"],
        "about": "Logit of each joint; 0 in files by Detectron2, which gives none.",
    },
}  # fmt: skip
_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "action": {
        "type": "string", "per": "clip", "shape": [],
        "about": "The action's name in Human3.6M, e.g. Directions 1; null for other videos.",
    },
    "coordinates": {
        "type": "string", "per": "clip", "shape": [],
        "about": "What keypoints_3d are relative to: world, where z is up, and not the camera. "
        "Null where there are none.",
    },
}  # fmt: skip


@functools.lru_cache(maxsize=4)
def _load(place: Location, size: int, path: str) -> PoseTable | Detections:
    """Read a file once for all its clips."""
    from posedata.converters.videopose3d_file import parse_videopose3d

    return parse_videopose3d(place.read_bytes(LARGEST_FILE), path)


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the ``.npz`` files of a folder and its subfolders, and list the clips in them.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``joints``.

    Returns
    -------
    Discovery
        A clip is the video of a file of detections; or what one camera saw of a subject and an
        action; or, in 3D, a subject and an action.
    """
    from posedata.converters.videopose3d_file import Detections, cameras, choose_skeleton

    files, problems = find_files(raw, ".npz")
    samples: dict[tuple[str, str], Sample] = {}
    skeletons: dict[str, str] = {}

    def add(clip_id: str, path: str, size: int, layer: str, **info: Any) -> None:
        clip_id = re.sub(r"[\s/\\]+", "_", clip_id)
        key = layer, clip_id
        taken = samples.setdefault(
            key, Sample(clip_id, path, size, layer, {**info, "skeleton": skeletons[layer]})
        )
        if taken.path != path or taken.info != {**info, "skeleton": skeletons[layer]}:
            problems.append(Problem(
                path, "discover", f"a second clip {clip_id} of the layer {layer}: {taken.path} is "
                "taken",
            ))  # fmt: skip

    for path, size in files:
        try:
            file = _load(found_file(raw, path), size, path)
            layer = _layer(path, file)
            skeleton = choose_skeleton(file, options["joints"], path)
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        if skeletons.setdefault(layer, skeleton) != skeleton:
            problems.append(Problem(
                path, "discover", f"other joints than the files before: found {skeleton}, expected "
                f"{skeletons[layer]}. Convert them separately",
            ))  # fmt: skip
            continue
        if isinstance(file, Detections):
            add(_video_name(path[: -len(".npz")]), path, size, layer, file_size=size)
            continue
        share = size // max(1, len(file.keys))
        known = cameras()
        for subject, action, camera in file.keys:
            info: dict[str, Any] = {"key": (subject, action, camera), "file_size": size}
            if re.fullmatch(r"S\d{1,3}", subject):
                clip_id = f"{subject}_{action}"
                number = known[camera]["id"] if camera is not None and camera < len(known) else None
                clip_id += "" if camera is None else f".{number or camera}"
            else:
                parts = [
                    _video_name(subject),
                    *[action] * (action != "custom"),
                    *[str(camera)] * bool(camera),
                ]
                clip_id = "__".join(parts)
            add(clip_id, path, share, layer, **info)
    return Discovery([samples[key] for key in sorted(samples)], problems)


def _layer(path: str, file: PoseTable | Detections) -> str:
    from posedata.converters.videopose3d_file import Detections

    if isinstance(file, Detections):
        return _DETECTIONS
    stem = PurePosixPath(path).name[: -len(".npz")]
    rest = re.sub(r"[^a-z0-9]+", "_", _PREFIX.sub("", stem).lower()).strip("_")
    return rest or ("mocap" if file.width == 3 else "videopose3d")


def _video_name(path: str) -> str:
    """Name of a video without its suffix: ``a/dance.mp4`` gives ``dance``."""
    name = PurePosixPath(path)
    return name.stem if name.suffix.lower() in _VIDEO_SUFFIXES else name.name


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are, layer by layer."""
    skeletons = {sample.layer: sample.info["skeleton"] for sample in samples}
    in_space = {
        sample.layer: "key" in sample.info and sample.info["key"][2] is None for sample in samples
    }
    layers = []
    for name in sorted(skeletons):
        columns: tuple[str, ...] = ("keypoints_3d" if in_space[name] else "keypoints_2d",)
        own: Mapping[str, Mapping[str, Any]] = {}
        if name == _DETECTIONS:
            columns, own = ("slots", *columns, "scores", "boxes"), _OF_DETECTIONS
        kept = {n: c for n, c in own.items() if n != "logits" or options["all_fields"]}
        left_out = tuple(n for n in own if n not in kept)
        layers.append(LayerDescription(name, skeletons[name], (*columns, *kept), kept, left_out))
    return Description(
        name="videopose3d",
        title="Poses in VideoPose3D's files",
        license="other: of Human3.6M, academic use only and no redistribution; else as the videos",
        source="VideoPose3D's npz files",
        citation="Pavllo et al., 3D human pose estimation in video with temporal convolutions and "
        "semi-supervised training, CVPR 2019",
        layers=tuple(layers),
        columns=("width", "height", "fps", "subject", "camera", "source", *_CLIP_COLUMNS),
        own_columns=_CLIP_COLUMNS,
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
        Its layer says which skeleton.

    Returns
    -------
    clip : Clip
        A frame whose joints are all NaN has nobody in it. The persons of detections are told apart
        by the tracker; the other files have one.
    problems : sequence of Problem
        Those of `posedata.converters.people.build_clip`.

    Raises
    ------
    InputError
        If the arrays are not what the format says.
    """
    from posedata.converters.videopose3d_file import Detections, find_people, pose_array

    layer = description.layer(sample.layer)
    file = _load(found_file(raw, sample.path), sample.info["file_size"], sample.path)
    if isinstance(file, Detections):
        people, num_frames = find_people(file, sample.path)
        info = {"width": file.width, "height": file.height}
        return build_clip(
            sample, layer, people, {**_info(sample), **info, "num_frames": num_frames}
        )
    poses = pose_array(file, sample.info["key"], sample.path)
    frames = np.flatnonzero(~np.isnan(poses).all((1, 2)))
    there = poses[frames]
    in_space = poses.shape[2] == 3
    people = People(
        frames=frames,
        slots=np.zeros(len(frames), np.int64),
        # What has no picture has no pixels; the column is not kept.
        keypoints_2d=there[..., :2],
        missing=np.isnan(there).any(-1),
        keypoints_3d=there if in_space else None,
        ids=["0"] * len(frames),
    )
    info = _info(sample, file)
    return build_clip(sample, layer, people, {**info, "num_frames": len(poses)})


def _info(sample: Sample, file: PoseTable | None = None) -> dict[str, Any]:
    from posedata.converters.videopose3d_file import cameras, frames_per_second

    info: dict[str, Any] = dict.fromkeys(
        ("width", "height", "fps", "subject", "camera", "action", "coordinates")
    )
    info["source"] = sample.path
    if file is None:
        return info
    subject, action, camera = sample.info["key"]
    if re.fullmatch(r"S\d{1,3}", subject):
        info |= {"subject": int(subject[1:]), "action": action, "fps": frames_per_second()}
        if camera is not None and camera < len(cameras()):
            of_camera = cameras()[camera]
            info |= {"camera": of_camera["id"], "width": of_camera["width"],
                     "height": of_camera["height"]}  # fmt: skip
    else:
        width, height = file.sizes.get(subject, (None, None))
        info |= {"width": width, "height": height}
    if file.width == 3:
        info["coordinates"] = "world"
    return info


CONVERTER = Converter(
    name="videopose3d",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the joints, where the files do not tell: e.g. coco17 (default: by layout_name, or by "
            "the pairs of left and right joints)",
            default="",
        ),
    ),
)
