"""OpenPifPaf: the JSON files that it writes, to clips of the layer ``openpifpaf``.

Kreiss et al., "OpenPifPaf: Composite Fields for Semantic Keypoint Detection and Spatio-Temporal
Association", T-ITS 2021. What a file holds is said in
:mod:`posedata.converters.openpifpaf_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

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
from posedata.skeleton import load_skeleton
from posedata.storage import Location

LARGEST_FILE = 8 << 30

#: Skeletons by the number of joints V, where --joints does not name one.
SKELETONS: Mapping[int, str] = {14: "crowdpose14", 17: "coco17", 133: "coco_wholebody133"}

_IMAGE = ".predictions.json"
_VIDEO = ".openpifpaf"
_OWN: Mapping[str, Mapping[str, Any]] = {
    "person_scores": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "OpenPifPaf's score of the person, a weighted mean over its joints; NaN where "
        "the file has none.",
    },
    "categories": {
        "type": "int32", "per": "pose", "shape": [],
        "about": "category_id as in the file, 1-based; 0 where it has none.",
    },
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the ``.json`` files of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``joints``, ``images``, ``first-frame``.

    Returns
    -------
    Discovery
        A clip is a file of a video, an image, or the images of a folder whose names are frame
        numbers.
    """
    files, problems = find_files(raw, ".json")
    samples: dict[str, Sample] = {}
    images: dict[tuple[str, str], dict[int, tuple[str, int]]] = {}

    def add(clip_id: str, path: str, size: int, frames: Mapping[int, str]) -> None:
        taken = samples.setdefault(clip_id, Sample(clip_id, path, size, info={"frames": frames}))
        if taken.path != path:
            problems.append(Problem(
                path, "discover", f"a second clip {clip_id}: {taken.path} is taken",
            ))  # fmt: skip

    alone: list[tuple[str, int]] = []
    for path, size in files:
        if not path.lower().endswith(_IMAGE):
            stem = PurePosixPath(path).name[: -len(".json")].removesuffix(_VIDEO)
            add(PurePosixPath(stem).stem, path, size, {})
            continue
        name = parse_frame_name(_image_stem(path))
        folder = path.rpartition("/")[0]
        if name is None or options["images"] == "clips":
            alone.append((path, size))
        else:
            frames = images.setdefault((folder, name.stem), {})
            if name.number in frames:
                problems.append(Problem(
                    path, "discover",
                    f"a second file of frame {name.number}: {frames[name.number][0]} is taken",
                ))  # fmt: skip
            else:
                frames[name.number] = (path, size)
    stems: dict[str, int] = {}
    for folder, _ in images:
        stems[folder] = stems.get(folder, 0) + 1
    for (folder, stem), frames in sorted(images.items()):
        if options["images"] == "auto" and not _is_video(frames):
            alone += frames.values()
            continue
        parts = [*PurePosixPath(folder).parts, *[stem] * (stems[folder] > 1 or not folder)]
        clip_id = "__".join(part for part in parts if part) or "openpifpaf"
        first = int(options["first-frame"])
        numbered = {number - first: path for number, (path, _) in sorted(frames.items())}
        if min(numbered) < 0 or max(numbered) >= LARGEST_NUM_FRAMES:
            problems.append(Problem(
                folder or ".", "discover", "no frame numbers in the names of the images: found "
                f"{min(frames)} to {max(frames)}, expected {first} or more. Use --first-frame 0, "
                "or --images clips to make each image a clip",
            ))  # fmt: skip
            continue
        add(clip_id, folder or ".", sum(size for _, size in frames.values()), numbered)
    for path, size in alone:
        add(_image_stem(path), path, size, {0: path})
    known = _peek(raw, samples.values(), options["joints"])
    return Discovery(
        [Sample(s.clip_id, s.path, s.size, info={**s.info, **known})
         for _, s in sorted(samples.items())],
        problems,
    )  # fmt: skip


def _image_stem(path: str) -> str:
    """Name of the image without its suffix: ``a/12.jpg.predictions.json`` gives ``12``."""
    return PurePosixPath(PurePosixPath(path).name[: -len(_IMAGE)]).stem


def _is_video(frames: Mapping[int, Any]) -> bool:
    """Whether numbers are of frames, at least each second one, and not of a photo collection."""
    return len(frames) > 1 and max(frames) - min(frames) < 2 * len(frames)


def _peek(raw: Location, samples: Iterable[Sample], chosen: str) -> dict[str, Any]:
    """See in the first file with a person what the release will have."""
    for sample in samples:
        try:
            people, _ = _read_people(raw, sample)
            if len(people.frames):
                return {"skeleton": _skeleton_of(people.keypoints.shape[1], chosen, sample.path),
                        "ids": any(people.ids)}  # fmt: skip
        except InputError:
            continue
    return {"skeleton": load_skeleton(chosen or "coco17").name, "ids": False}


def _read_people(raw: Location, sample: Sample) -> tuple[Any, list[Problem]]:
    """Read all files of a clip."""
    from posedata.converters.openpifpaf_file import join, parse_images, parse_video
    from posedata.json_files import read_first

    numbered: Mapping[int, str] = sample.info["frames"]
    if not numbered:
        text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
        return parse_video(text, sample.path)
    parts: list[Any] = []
    frames, paths = list(numbered), list(numbered.values())
    done = 0
    while done < len(frames):
        places = (found_file(raw, paths[at]) for at in range(done, len(paths)))
        texts = read_first(places, LARGEST_FILE)
        end = done + max(len(texts), 1)
        part = parse_images(texts, frames[done:end])
        if part is not None:
            parts.append(part)
        else:
            parts += [_read_image(raw, paths[at], frames[at], len(frames) == 1)
                      for at in range(done, end)]  # fmt: skip
        done = end
    return join(parts, sample.path)


def _read_image(raw: Location, path: str, frame: int, is_alone: bool) -> Any:
    from posedata.converters.openpifpaf_file import parse_image

    try:
        return parse_image(found_file(raw, path).read_bytes(LARGEST_FILE), path, frame)
    except InputError as error:
        if is_alone:
            raise
        raise InputError(
            error.message, path=path, position=error.position, found=error.found,
            expected=error.expected, remedy=error.remedy
            or "Run OpenPifPaf again, or delete this file to do without its frame.",
        ) from None  # fmt: skip


def _skeleton_of(num_joints: int, chosen: str, path: str) -> str:
    if chosen:
        skeleton = load_skeleton(chosen)
        if skeleton.num_joints != num_joints:
            raise InputError(
                "another number of joints than the chosen skeleton has", path=path,
                found=num_joints, expected=f"{skeleton.num_joints} ({skeleton.name})",
            )  # fmt: skip
        return skeleton.name
    if num_joints not in SKELETONS:
        raise InputError(
            "no skeleton is known for this number of joints", path=path, found=num_joints,
            expected=", ".join(map(str, SKELETONS)), remedy="Name it with --joints.",
        )  # fmt: skip
    return SKELETONS[num_joints]


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; the skeleton is that of the first person found."""
    known = samples[0].info
    ids = ("person_ids",) if known["ids"] else ()
    return Description(
        name="openpifpaf",
        title="Poses by OpenPifPaf",
        license="other: as the videos; OpenPifPaf is AGPL-3.0",
        source="OpenPifPaf's JSON files",
        citation="Kreiss et al., OpenPifPaf: Composite Fields for Semantic Keypoint Detection and "
        "Spatio-Temporal Association, T-ITS 2021",
        layers=(
            LayerDescription(
                name="openpifpaf",
                skeleton=known["skeleton"],
                columns=(*ids, "slots", "keypoints_2d", "scores", "boxes", *_OWN),
                own_columns=_OWN,
            ),
        ),
        columns=("source",),
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
        A joint with confidence 0 is missing, wherever it is. Persons by ``id_``, or by the tracker
        where the files have none.
    problems : sequence of Problem
        Warnings: predictions without joints, gaps in frame numbers, and those of
        `posedata.converters.people.build_clip`.

    Raises
    ------
    InputError
        If a file is not what its format says, or its poses are not of the release's skeleton.
    """
    layer = description.layer()
    file, problems = _read_people(raw, sample)
    if len(file.frames):
        skeleton = _skeleton_of(file.keypoints.shape[1], description.options["joints"], sample.path)
        if skeleton != layer.skeleton:
            raise InputError(
                "other poses than this release has", path=sample.path, found=skeleton,
                expected=layer.skeleton,
                remedy="Convert the outputs of different models separately.",
            )  # fmt: skip
    num_joints = load_skeleton(layer.skeleton).num_joints
    keypoints = file.keypoints.reshape(len(file.frames), num_joints, 3)
    with np.errstate(over="ignore"):
        person_scores = file.person_scores.astype(np.float32)
    people = People(
        frames=file.frames,
        slots=file.slots,
        keypoints_2d=keypoints[..., :2],
        missing=keypoints[..., 2] == 0,
        scores=keypoints[..., 2],
        ids=file.ids,
        boxes=file.boxes,
        extra={
            "person_scores": person_scores,
            "categories": file.categories.astype(np.int32),
        },
    )
    info = {"num_frames": file.num_frames, "source": sample.path}
    clip, more = build_clip(sample, layer, people, info)
    return clip, problems + more


CONVERTER = Converter(
    name="openpifpaf",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the joints, where their number does not tell: e.g. posetrack17 (default: by number)",
            default="",
        ),
        Option(
            "images",
            "files of images: frames (those of a folder are a video), clips (each is a clip), or "
            "auto (frames where the numbers in their names follow each other)",
            default="auto",
            choices=("auto", "frames", "clips"),
        ),
        Option("first-frame", "number of a video's first image", default="0", choices=("0", "1")),
    ),
)
