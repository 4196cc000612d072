"""OpenPose: a folder of JSON files, one a frame, to clips of the layer ``openpose``.

Cao et al., "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", TPAMI
2021. The files are those of ``--write_json``; see :mod:`posedata.converters.openpose_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
from posedata.converters.openpose_model import SKELETONS, is_body25b
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.discover import find_files
from posedata.errors import InputError, UsageError
from posedata.frame_names import parse_frame_name
from posedata.skeleton import load_skeleton
from posedata.storage import Location

# A frame with a hundred people, hands and faces makes 200 kB.
LARGEST_FILE = 16 << 20

#: Further arrays of a person: column of the release, numbers a joint, joints (None: V).
FURTHER_ARRAYS: Mapping[str, tuple[str, int, int | None]] = {
    "face_keypoints_2d": ("face_keypoints", 3, 70),
    "hand_left_keypoints_2d": ("hand_left_keypoints", 3, 21),
    "hand_right_keypoints_2d": ("hand_right_keypoints", 3, 21),
    "pose_keypoints_3d": ("pose_keypoints_3d", 4, None),
    "face_keypoints_3d": ("face_keypoints_3d", 4, 70),
    "hand_left_keypoints_3d": ("hand_left_keypoints_3d", 4, 21),
    "hand_right_keypoints_3d": ("hand_right_keypoints_3d", 4, 21),
}

_NUMBERS = {
    3: "x and y in pixels, and a score; NaN, NaN, 0 where missing.",
    4: "x, y and z in the unit of the camera calibration, and 1; NaN, NaN, NaN, 0 where missing.",
}
_SIZE = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})", re.ASCII)
# Pixels of a whole person are never all this small, normalised numbers are never larger.
_LARGEST_NORMALISED = 2.0


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the clips: folders with files ``<name>_000000000000_keypoints.json``.

    Parameters
    ----------
    raw : Location
        A folder; clips are it and its subfolders.
    options : mapping
        ``joints``, ``scale`` and ``size``.

    Returns
    -------
    Discovery
        Each sample is a folder (and the stem of its files, where a folder has several). Its
        clip id is the folder's path with ``__`` for ``/``, with the stem after it where the
        folder has several, or the stem alone in ``raw`` itself. Files without a frame number in
        their name are among the problems. The first file with a person is opened, to see how many
        joints there are.

    Raises
    ------
    UsageError
        If the options do not go together, or there is no such skeleton.
    """
    _size(options)
    skeletons = _skeletons(options)
    files, problems = find_files(raw, ".json")
    if raw.fs.isfile(raw.path):
        problems += [Problem(path, "discover", "one file is one frame: give its folder")
                     for path, _ in files]  # fmt: skip
        return Discovery([], problems)
    clips: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for path, size in files:
        folder, _, file_name = path.rpartition("/")
        name = _frame_name(file_name)
        if name is None:
            problems.append(Problem(
                path, "discover", "no frame number in the name: expected "
                "<name>_000000000000_keypoints.json or <name>.0000.json",
            ))  # fmt: skip
        else:
            clips.setdefault(folder, {}).setdefault(name.stem, []).append((path, size))
    samples: dict[str, Sample] = {}
    for folder, stems in sorted(clips.items()):
        for stem, frames in sorted(stems.items()):
            parts = [*PurePosixPath(folder).parts] + [stem] * (len(stems) > 1 or not folder)
            clip_id = "__".join(part for part in parts if part) or "openpose"
            if clip_id in samples:
                problems.append(Problem(folder or ".", "discover",
                                        f"a second clip with the id {clip_id}"))  # fmt: skip
                continue
            size = sum(size for _, size in frames)
            samples[clip_id] = Sample(clip_id, folder, size, info={"stem": stem})
    known = _peek(raw, [path for path, _ in files], skeletons)
    return Discovery(
        [Sample(s.clip_id, s.path or ".", s.size, info={**s.info, **known})
         for _, s in sorted(samples.items())],
        problems,
    )  # fmt: skip


def _frame_name(file_name: str) -> Any:
    return parse_frame_name(file_name[: -len(".json")].removesuffix("_keypoints"))


def _skeletons(options: Mapping[str, Any]) -> Mapping[int, str]:
    """Skeletons by their number of joints; the chosen one alone, where one is."""
    if not options["joints"]:
        return SKELETONS
    chosen = load_skeleton(options["joints"])
    return {chosen.num_joints: chosen.name}


def _peek(raw: Location, paths: Sequence[str], skeletons: Mapping[int, str]) -> dict[str, Any]:
    """See in the first file with a person which skeleton it is, and which arrays it has."""
    from posedata.converters.openpose_file import read_people

    for path in paths:
        try:
            people = read_people((raw / path).read_bytes(LARGEST_FILE), path)
        except InputError:
            continue
        for person in people:
            if person.pose is not None and len(person.pose) // 3 in skeletons:
                return {"skeleton": skeletons[len(person.pose) // 3],
                        "further": tuple(person.further)}  # fmt: skip
    return {"skeleton": next(iter(skeletons.values())), "further": ()}


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; the skeleton is that of the first person found."""
    known = samples[0].info
    own = {
        column: {
            "type": "float32", "per": "pose", "shape": [joints or "V", width],
            "about": f"{name} of the file: {_NUMBERS[width]}",
        }
        for name, (column, width, joints) in FURTHER_ARRAYS.items()
        if name in known["further"]
    }  # fmt: skip
    kept = own if options["all_fields"] else {}
    return Description(
        name="openpose",
        title="Poses by OpenPose",
        license="other: as the videos; OpenPose's own licence is for non-commercial use",
        source="OpenPose's JSON files",
        citation="Cao et al., OpenPose: Realtime Multi-Person 2D Pose Estimation using Part "
        "Affinity Fields, TPAMI 2021",
        layers=(
            LayerDescription(
                name="openpose",
                skeleton=known["skeleton"],
                columns=("person_ids", "slots", "keypoints_2d", "scores", *kept),
                own_columns=kept,
                left_out=() if options["all_fields"] else tuple(own),
            ),
        ),
        columns=("width", "height", "fps", "source"),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the files of one clip.

    Parameters
    ----------
    raw : Location
        The folder.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Its layer says which skeleton and which further arrays are kept.

    Returns
    -------
    clip : Clip
        Positions in pixels of the video; the frame is the number in a file's name.
    problems : sequence of Problem
        Warnings: gaps in the numbers, arrays that are not kept although the release does not say
        so, 25 joints that look like BODY_25B's where ``joints`` does not say what they are, and
        those of `posedata.converters.people.build_clip`.

    Raises
    ------
    InputError
        If a file is not what its format says, has another skeleton than the release, or its
        coordinates are not on the scale that ``scale`` says.
    """
    from posedata.converters.openpose_rows import read_rows, shape_of

    layer = description.layer()
    num_joints = load_skeleton(layer.skeleton).num_joints
    problems: list[Problem] = []

    def warn(reason: str, position: str) -> None:
        problems.append(Problem(sample.path, "read", reason, position, "warning"))

    files = _files_of(raw, sample)
    num_frames = files[-1][0] + 1 if files else 0
    if absent := num_frames - len(files):
        present = {number for number, _ in files}
        first = next(number for number in range(num_frames) if number not in present)
        warn(f"no file of {absent} of the {num_frames} frames", f"frame {first}")
    rows = read_rows(raw, sample, files, layer, num_joints)
    for name, file_name in rows.surplus.items():
        warn(f"{name} left out: the first clip has none", file_name)
    numbers = np.concatenate([*rows.poses, []]).reshape(-1, num_joints, 3)
    missing = (numbers == 0).all(-1)
    scale, size = description.options["scale"], _size(description.options)
    _check_scale(numbers[..., :2][~missing], scale, sample.path)
    people = People(
        frames=np.array(rows.frames, np.int64),
        slots=np.array(rows.slots, np.int64),
        keypoints_2d=_pixels(numbers[..., :2], scale, size),
        scores=numbers[..., 2],
        missing=missing,
        ids=rows.ids,
        extra={
            FURTHER_ARRAYS[name][0]: _missing_as_nan(
                np.concatenate([*values, []]).reshape(-1, *shape_of(name, num_joints)), scale, size
            )
            for name, values in rows.further.items()
        },
    )
    width, height = size or (None, None)
    info = {
        "num_frames": num_frames,
        "width": width,
        "height": height,
        "fps": None,
        "source": sample.path,
    }
    if layer.skeleton == "body25" and not description.options["joints"]:
        places = np.where(missing[..., None], np.nan, people.keypoints_2d)
        if is_body25b(places):
            warn("the joints look like BODY_25B's, which are 25 too, and are read as BODY_25's: "
                 "convert again with --joints body25b, or with --joints body25 if they are not",
                 "")  # fmt: skip
    clip, more = build_clip(sample, layer, people, info)
    return clip, problems + more


def _files_of(raw: Location, sample: Sample) -> list[tuple[int, str]]:
    """Frame numbers and names of the clip's files, ascending."""
    folder = raw if sample.path == "." else raw / sample.path
    found: dict[int, str] = {}
    for path in sorted(raw.fs.ls(folder.path, detail=False)):
        file_name = PurePosixPath(path).name
        name = _frame_name(file_name) if file_name.lower().endswith(".json") else None
        if name is None or name.stem != sample.info["stem"]:
            continue
        if name.number >= LARGEST_NUM_FRAMES:
            raise InputError("no frame number", path=sample.path, position=file_name,
                             found=name.number, expected=f"below {LARGEST_NUM_FRAMES}")  # fmt: skip
        if name.number in found:
            raise InputError("two files of one frame", path=sample.path, position=file_name,
                             found=found[name.number])  # fmt: skip
        found[name.number] = file_name
    return sorted(found.items())


def _missing_as_nan(values: np.ndarray, scale: str, size: tuple[int, int] | None) -> np.ndarray:
    gone = (values == 0).all(-1) | ~np.isfinite(values).all(-1)
    values = values.copy()
    if values.shape[-1] == 3:
        values[..., :2] = _pixels(values[..., :2], scale, size)
    values[gone] = [*[np.nan] * (values.shape[-1] - 1), 0]
    return values.astype(np.float32)


def _size(options: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height from the options; UsageError where they are needed and not there."""
    text = options["size"]
    match = _SIZE.fullmatch(text)
    if text and match is None:
        raise UsageError("--size", found=repr(text), expected="WIDTHxHEIGHT, e.g. 1920x1080")
    if not text and options["scale"] != "pixels":
        raise UsageError(
            f"--scale {options['scale']} needs the size of the videos",
            remedy="Add --size WIDTHxHEIGHT, e.g. --size 1920x1080.",
        )
    return (int(match[1]), int(match[2])) if match else None


def _check_scale(positions: np.ndarray, scale: str, path: str) -> None:
    largest = np.abs(positions).max(initial=0)
    if scale == "pixels" and 0 < largest <= _LARGEST_NORMALISED:
        raise InputError(
            "the coordinates look normalised (--keypoint_scale 3 or 4), not like pixels", path=path,
            found=f"none beyond {largest:.4g}", remedy="Add --scale unit (0 to 1) or --scale "
            "centred (-1 to 1), and --size WIDTHxHEIGHT.",
        )  # fmt: skip
    if scale != "pixels" and largest > _LARGEST_NORMALISED:
        raise InputError(
            f"the coordinates are not on the scale {scale}", path=path, found=f"{largest:.4g}",
            expected="at most 1", remedy="Leave --scale out if they are pixels.",
        )  # fmt: skip


def _pixels(positions: np.ndarray, scale: str, size: tuple[int, int] | None) -> np.ndarray:
    """Undo OpenPose's ``--keypoint_scale``, which maps the corner pixels' centres to the ends."""
    if scale == "pixels" or size is None:
        return positions
    last_pixel = np.array(size, np.float64) - 1
    return (positions if scale == "unit" else (positions + 1) / 2) * last_pixel


CONVERTER = Converter(
    name="openpose",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the joints, where their number does not tell: e.g. body25b (default: by number)",
            default="",
        ),
        Option(
            "scale",
            "what the coordinates are: pixels, unit (0 to 1) or centred (-1 to 1)",
            default="pixels",
            choices=("pixels", "unit", "centred"),
        ),
        Option("size", "WIDTHxHEIGHT of all videos in pixels, where it is known", default=""),
    ),
)
