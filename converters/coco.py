"""COCO keypoints: annotations to clips of the layer ``human``, results to clips of ``results``.

An image is a clip of one frame; images of a video, as in PoseTrack, are its frames. What a file
holds is said in :mod:`posedata.converters.coco_file`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

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
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.frame_names import parse_frame_name
from posedata.storage import Location

if TYPE_CHECKING:
    from posedata.converters.coco_file import CocoFile, CocoImage

# COCO-WholeBody's training file has 1.1 GB.
LARGEST_FILE = 4 << 30

_TRUTH, _RESULTS = "human", "results"


def _per_pose(kind: str, about: str, *shape: Any) -> Mapping[str, Any]:
    return {"type": kind, "per": "pose", "shape": list(shape), "about": about}


_IDS: Mapping[str, Mapping[str, Any]] = {
    "image_ids": _per_pose("int64", "image_id in the file; -1 where it is text."),
    "categories": _per_pose("int32", "category_id in the file; -1 where there is none."),
}
_OF_TRUTH: Mapping[str, Mapping[str, Any]] = {
    **_IDS,
    "annotation_ids": _per_pose("int64", "id in the file; -1 where there is none or it is text."),
    "areas": _per_pose("float32", "area in the file: of the person's outline, pixels squared."),
    "crowd": _per_pose("int32", "iscrowd in the file: 1 is a group; -1 where there is none."),
    "num_keypoints": _per_pose("int32", "num_keypoints in the file; -1 where there is none."),
}
_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "visibility_flags": _per_pose(
        "float32", "Third number of each joint in the file. Of faces and hands it is 0, 1, 2, or a "
        "confidence between 0 and 1, which visibility has as 1.", "V",
    ),
}  # fmt: skip
_OF_RESULTS: Mapping[str, Mapping[str, Any]] = {
    **_IDS,
    "person_scores": _per_pose("float32", "score in the file; NaN where there is none."),
}
_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "file_name": {
        "type": "string", "per": "clip", "shape": [],
        "about": "Of the image, or of the first image of a video, as in the COCO file.",
    },
    "image_id": {
        "type": "int64", "per": "clip", "shape": [],
        "about": "id of the image; null for a video, or where it is text.",
    },
    "num_labelled": {
        "type": "int32", "per": "clip", "shape": [],
        "about": "Of a video: frames that are labelled. In the others nobody was looked for.",
    },
}  # fmt: skip


class _ClipImages(NamedTuple):
    """The images of a clip: frame, image."""

    clip_id: str
    num_frames: int
    images: tuple[tuple[int, CocoImage], ...]


@functools.lru_cache(maxsize=4)
def _load(place: Location, size: int, path: str, skeleton: str) -> CocoFile:
    """Read a file once for all its clips; clips of several files alternate, so a few are kept."""
    from posedata.converters.coco_file import parse_coco

    return parse_coco(place.read_bytes(LARGEST_FILE), path, skeleton)


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the ``.json`` files of a folder and its subfolders, and list the clips in them.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``joints``.

    Returns
    -------
    Discovery
        A clip's id is its image's name without suffix, or its video's name. Results get the clip
        of the annotations whose image they name, if a file with it is there.
    """
    files, problems = find_files(raw, ".json")
    parsed: list[tuple[str, int, CocoFile]] = []
    for path, size in files:
        try:
            file = _load(found_file(raw, path), size, path, options["joints"])
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        parsed.append((path, size, file))
        if file.left_out:
            problems.append(Problem(
                path, "discover", f"fields that are not kept: {', '.join(file.left_out)}", "",
                "warning",
            ))  # fmt: skip
        if file.joints.remark:
            problems.append(Problem(path, "discover", file.joints.remark, "", "warning"))
    layers = _layers(parsed)
    samples: dict[tuple[str, str], Sample] = {}
    clip_of_image: dict[Any, _ClipImages] = {}
    skeletons: dict[str, str] = {}
    for path, size, file in sorted(parsed, key=lambda item: item[2].results):
        layer = layers[path]
        skeleton = skeletons.setdefault(layer, file.joints.skeleton)
        if file.joints.skeleton != skeleton:
            problems.append(Problem(
                path, "discover", f"other joints than the files before: found "
                f"{file.joints.skeleton}, expected {skeleton}. Convert them separately",
            ))  # fmt: skip
            continue
        try:
            clips = _clips_of_results(file, clip_of_image) if file.results else _clips(file, path)
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        if not file.results:
            clip_of_image.update({i.id: clip for clip in clips for _, i in clip.images})
        again = []
        for clip in clips:
            info = {"clip": clip, "size": size, "skeleton": skeleton}
            taken = samples.setdefault(
                (layer, clip.clip_id),
                Sample(clip.clip_id, path, size // len(clips), layer, info),
            )
            if taken.path != path:
                again.append((clip.clip_id, taken.path))
        if again:
            problems.append(Problem(
                path, "discover", f"{len(again)} clips that another file has: of {again[0][0]}, "
                f"{again[0][1]} is taken",
            ))  # fmt: skip
    return Discovery([samples[key] for key in sorted(samples)], problems)


def _layers(parsed: Iterable[tuple[str, int, CocoFile]]) -> dict[str, str]:
    """Layer of each file: several files of results are several models' unless they say the same."""
    results = [path for path, _, file in parsed if file.results]
    names = {path: PurePosixPath(path).stem for path in results}
    alone = len(results) == 1 or len(set(names.values())) < len(names)
    return {
        path: _TRUTH if not file.results else _RESULTS if alone else _layer_name(names[path])
        for path, _, file in parsed
    }


def _layer_name(stem: str) -> str:
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem.lower()).strip("_")
    return f"results_{name}"


def _clips(file: CocoFile, path: str) -> list[_ClipImages]:
    """Group the images of annotations."""
    videos: dict[str, list[CocoImage]] = {}
    stems: dict[str, int] = {}
    for image in file.images:
        if image.video:
            videos.setdefault(image.video, []).append(image)
        else:
            stem = _stem(image)
            stems[stem] = stems.get(stem, 0) + 1
    clips = []
    for image in file.images:
        if not image.video:
            stem = _stem(image)
            if stems[stem] > 1:
                whole = str(PurePosixPath(image.file_name).with_suffix(""))
                stem = whole.strip("/").replace("/", "__") if whole != stem else f"{image.id}"
            clips.append(_ClipImages(stem, 1, ((0, image),)))
    for video, images in videos.items():
        frames: dict[int, CocoImage] = {}
        for image in images:
            frame = _frame(image, path)
            if frame in frames:
                raise InputError(
                    "two images of one frame", path=path, position=f"video {video}, frame {frame}",
                    found=f"{frames[frame].file_name}, {image.file_name}",
                )  # fmt: skip
            frames[frame] = image
        num_frames = max(max(frames) + 1, *(image.num_frames or 0 for image in images))
        clips.append(_ClipImages(
            _video_name(file, video, images), num_frames, tuple(sorted(frames.items())),
        ))  # fmt: skip
    ids = {clip.clip_id for clip in clips}
    if len(ids) < len(clips):
        raise InputError("images or videos of one name", path=path,
                         found=f"{len(clips) - len(ids)} times")  # fmt: skip
    return clips


def _stem(image: CocoImage) -> str:
    return PurePosixPath(image.file_name).stem or str(image.id)


def _video_name(file: CocoFile, video: str, images: Sequence[CocoImage]) -> str:
    folders = {PurePosixPath(image.file_name).parent.name for image in images}
    folder = folders.pop() if len(folders) == 1 else ""
    name = file.video_names.get(video, "") or (folder if video in folder else "") or video
    return name.replace("/", "__")


def _frame(image: CocoImage, path: str) -> int:
    """0-based frame; PoseTrack's frame_id is the image's id, and the name has the number."""
    if image.frame_id is not None and image.frame_id < LARGEST_NUM_FRAMES:
        return image.frame_id
    name = parse_frame_name(PurePosixPath(image.file_name).stem)
    if name is None or name.number >= LARGEST_NUM_FRAMES:
        raise InputError(
            "an image of a video without a frame number", path=path, position=f"image {image.id}",
            found=f"frame_id {image.frame_id}, file_name {image.file_name!r}",
        )  # fmt: skip
    return name.number


def _clips_of_results(
    file: CocoFile, clip_of_image: Mapping[Any, _ClipImages]
) -> list[_ClipImages]:  # fmt: skip
    from posedata.converters.coco_file import CocoImage

    clips = {}
    for image in file.rows:
        clip = clip_of_image.get(image)
        if clip is None:
            unknown = CocoImage(image, "", None, None, "", None, None, True)
            clip = _ClipImages(str(image).replace("/", "__"), 1, ((0, unknown),))
        clips[clip.clip_id] = clip
    return list(clips.values())


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are, layer by layer."""
    skeletons = {sample.layer: sample.info["skeleton"] for sample in samples}
    layers = []
    for name in sorted(skeletons):
        own = {**_OF_TRUTH} if name == _TRUTH else {**_OF_RESULTS}
        columns = ["person_ids", "slots", "keypoints_2d", "visibility", "boxes"]
        if name != _TRUTH:
            columns = ["slots", "keypoints_2d", "scores", "boxes"]
        elif skeletons[name] == "coco_wholebody133":
            own |= _FLAGS
        layers.append(LayerDescription(name, skeletons[name], (*columns, *own), own))
    return Description(
        name="coco",
        title="Keypoints of COCO files",
        license="other: as the data set's; COCO's annotations are CC BY 4.0, PoseTrack's for "
        "research only",
        source="COCO JSON files of keypoints",
        citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        layers=tuple(layers),
        columns=("width", "height", "source", *_CLIP_COLUMNS),
        own_columns=_CLIP_COLUMNS,
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one image or video.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Its layer says whether these are annotations or results.

    Returns
    -------
    clip : Clip
        Coordinates as in the file. Persons by the ids of annotations in an image, by track ids in
        a video, or by the tracker where there are none.
    problems : sequence of Problem
        Warnings.

    Raises
    ------
    InputError
        If an id occurs twice in a frame.
    """
    place = found_file(raw, sample.path)
    options = description.options
    file = _load(place, sample.info["size"], sample.path, options["joints"])
    clip: _ClipImages = sample.info["clip"]
    layer = description.layer(sample.layer)
    frames, slots, rows, image_ids = [], [], [], []
    for frame, image in clip.images:
        of_image = file.rows.get(image.id, np.empty(0, np.int64))
        rows.append(of_image)
        frames.append(np.full(len(of_image), frame, np.int64))
        slots.append(np.arange(len(of_image)))
        image_ids += [image.id if isinstance(image.id, int) else -1] * len(of_image)
    chosen = np.concatenate(rows)
    keypoints = file.keypoints[chosen]
    extra = {
        "image_ids": np.array(image_ids, np.int64),
        "categories": file.categories[chosen].astype(np.int32),
    }
    people = People(
        frames=np.concatenate(frames),
        slots=np.concatenate(slots),
        keypoints_2d=keypoints[..., :2],
        missing=(keypoints == 0).all(-1),
        scores=keypoints[..., 2],
        boxes=file.boxes[chosen],
        extra=extra,
    )
    info = _info(sample, clip)
    with np.errstate(over="ignore"):
        extra["person_scores"] = file.scores[chosen].astype(np.float32)
        extra["areas"] = file.areas[chosen].astype(np.float32)
    if file.results:
        return build_clip(sample, layer, people, info)
    ids = [file.ids[row] for row in chosen.tolist()]
    extra["annotation_ids"] = np.array([i if isinstance(i, int) else -1 for i in ids], np.int64)
    extra["crowd"] = file.crowd[chosen].astype(np.int32)
    extra["num_keypoints"] = file.num_keypoints[chosen].astype(np.int32)
    if clip.images[0][1].video:
        names = [file.track_ids[row] for row in chosen.tolist()]
    else:
        names = ["" if i is None else str(i) for i in ids]
    from posedata.converters.coco_truth import build_truth

    return build_truth(sample, layer, replace(people, ids=names), info)


def _info(sample: Sample, clip: _ClipImages) -> dict[str, Any]:
    first = clip.images[0][1]
    is_image = not first.video and isinstance(first.id, int)
    return {
        "num_frames": clip.num_frames,
        "width": first.width,
        "height": first.height,
        "source": sample.path,
        "file_name": first.file_name or None,
        "image_id": first.id if is_image else None,
        "num_labelled": sum(i.labelled for _, i in clip.images) if first.video else None,
    }


CONVERTER = Converter(
    name="coco",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the joints, in the order of the files: e.g. coco17 (default: by the names in "
            "categories, or by their number)",
            default="",
        ),
    ),
)
