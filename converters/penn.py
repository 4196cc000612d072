"""Penn Action: one ``labels/0001.mat`` a clip, to clips of the layer ``human``.

Zhang, Zhu and Derpanis, "From Actemes to Action: A Strongly-supervised Representation for
Detailed Action Understanding", ICCV 2013. People drew 13 joints of one person in each frame, with
Vatic, on pictures of the original size; the files have these numbers times the factor by which
the pictures were resized.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
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
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.skeleton import Skeleton, load_skeleton
from posedata.storage import Location

# The largest real file has 24 kB.
LARGEST_FILE = 16 << 20
OFFICIAL_CLIPS = 2326

_NAME = re.compile(r"\d{4}", re.ASCII)
_NUM_JOINTS = 13
_VIEWPOINTS = ("back", "front", "left", "right")
_SPLITS = {1: "train", -1: "test"}
# A joint that nobody drew is at pixel (1, 1) of the original picture, so at (s, s) in a file whose
# picture was resized by s; s is 0.667 to 1.52. No other joint has a coordinate below 4.
_NOT_DRAWN_BELOW = 2.0
_VARIABLES = ("action", "pose", "x", "y", "visibility", "train", "bbox", "dimensions", "nframes")

_CLIP_COLUMNS = ("width", "height", "label", "label_name", "viewpoint", "train", "source")
_OWN_CLIP_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "viewpoint": {
        "type": "string", "per": "clip", "shape": [],
        "about": "The side from which the camera sees the person, as in the file: back, front, "
        "left or right.",
    },
    "train": {
        "type": "int32", "per": "clip", "shape": [],
        "about": "As in the file: 1 training, -1 testing.",
    },
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the ``.mat`` files of a folder and its subfolders, without opening any.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        Files whose name is no four digits, and second copies of a clip, are among the problems.
    """
    files, problems = find_files(raw, ".mat")
    samples: dict[str, Sample] = {}
    for path, size in files:
        clip_id = PurePosixPath(path).name[: -len(".mat")]
        if _NAME.fullmatch(clip_id) is None:
            problems.append(Problem(
                path, "discover", f"not a name of Penn Action: found {clip_id!r}, expected four "
                "digits, 0001 to 2326",
            ))  # fmt: skip
        elif clip_id in samples:
            problems.append(Problem(
                path, "discover", f"a second file of this clip: {samples[clip_id].path} is taken",
            ))  # fmt: skip
        else:
            samples[clip_id] = Sample(clip_id, path, size)
    return Discovery([samples[clip_id] for clip_id in sorted(samples)], problems)


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what a release of Penn Action is, and which columns it has."""
    return Description(
        name="penn",
        title="Penn Action joint annotations",
        license="none is stated with the files: research use, no redistribution; see the "
        "data set's site (University of Pennsylvania)",
        source="Penn Action labels (2D joints, visibility, boxes), .mat files",
        citation="Zhang, Zhu and Derpanis, From Actemes to Action: A Strongly-supervised "
        "Representation for Detailed Action Understanding, ICCV 2013",
        layers=(
            LayerDescription(
                name="human",
                skeleton="penn13",
                columns=("keypoints_2d", "visibility", "boxes"),
            ),
        ),
        columns=_CLIP_COLUMNS,
        own_columns=_OWN_CLIP_COLUMNS,
        label_names=class_names(),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the annotations of one clip.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Of the data set; its option ``sides`` says whose left the joints' names mean.

    Returns
    -------
    clip : Clip
        One person in every frame. Coordinates are the file's less 1. ``visibility`` is 2 for a
        joint that is marked visible, 1 for one that is not (where it is drawn is a guess), 0 for
        one that nobody drew, which is NaN.
    problems : sequence of Problem
        Warnings: frames without a box, boxes without an area, numbers that are not finite.

    Raises
    ------
    InputError
        If the file is no MATLAB 5 file, or its variables are not those of a clip.
    """
    from posedata.converters.penn_mat import read_variables

    content = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    annotation = _annotation(read_variables(content, _VARIABLES, sample.path), sample.path)
    layer = description.layer()
    skeleton = load_skeleton(layer.skeleton)
    problems: list[Problem] = []
    keypoints, visibility = _joints(annotation, sample.path, problems)
    if description.options.get("sides", "person") == "person":
        person = _other_sides(skeleton)
        keypoints, visibility = keypoints[:, person], visibility[:, person]
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=skeleton,
        frames=np.arange(annotation.num_frames, dtype=np.int32),
        persons=np.zeros(annotation.num_frames, np.int32),
        keypoints_2d=np.ascontiguousarray(keypoints),
        visibility=np.ascontiguousarray(visibility),
        boxes=_boxes(annotation, sample.path, problems),
        info={
            "num_frames": annotation.num_frames,
            "width": annotation.width,
            "height": annotation.height,
            "label": description.label_names.index(annotation.action),
            "label_name": annotation.action,
            "viewpoint": annotation.viewpoint,
            "train": annotation.train,
            "source": sample.path,
        },
    ), problems


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Assign clips to the one official protocol, by what their files say.

    Yields
    ------
    protocol, split, clip_id : str
        ``official``; ``train`` (1258 of all 2326 clips) or ``test`` (1068).
    """
    for clip in clips:
        yield "official", _SPLITS[clip["train"]], clip["clip_id"]


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Compare a folder with the 2326 clips of the data set, from names alone."""
    official = {f"{number:04}" for number in range(1, OFFICIAL_CLIPS + 1)}
    names = {sample.clip_id for sample in samples}
    return {
        "official_samples": OFFICIAL_CLIPS,
        "absent": len(official - names),
        "not_official": len(names - official),
    }


@cache
def class_names() -> tuple[str, ...]:
    """Names of the 15 classes as in the files, in alphabetical order."""
    file = resources.files("posedata.schemas").joinpath("penn", "classes.json")
    return tuple(row["name"] for row in json.loads(file.read_text("utf-8"))["classes"])


class _Annotation(NamedTuple):
    action: str
    viewpoint: str
    train: int
    width: int
    height: int
    num_frames: int
    positions: np.ndarray  # float64 (T, 13, 2), as in the file
    visible: np.ndarray  # bool (T, 13)
    boxes: np.ndarray  # float64 (T or less, 4), as in the file


def _annotation(variables: Mapping[str, np.ndarray | str], path: str) -> _Annotation:
    """Check what a file says; numbers become float64 before anything is done with them."""
    absent = [name for name in _VARIABLES if name not in variables]
    if absent:
        raise InputError(
            "not an annotation of Penn Action", path=path, found=f"no variable {absent[0]}",
            expected=", ".join(_VARIABLES),
        )  # fmt: skip
    texts: dict[str, str] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in variables.items():
        if isinstance(value, str) == (name not in ("action", "pose")):
            kinds = ("text", "numbers") if isinstance(value, str) else ("numbers", "text")
            raise InputError(f"bad variable {name}", path=path, found=kinds[0], expected=kinds[1])
        if isinstance(value, str):
            texts[name] = value
        else:
            arrays[name] = value.astype(np.float64)
    for name, text, choices in (("action", texts["action"], class_names()),
                                ("pose", texts["pose"], _VIEWPOINTS)):  # fmt: skip
        if text not in choices:
            raise InputError(f"unknown {name}", path=path, found=repr(text[:40]),
                             expected=f"one of {', '.join(choices)}")  # fmt: skip
    (num_frames,) = _whole(arrays["nframes"], 1, "nframes", path)
    height, width, frames_too = _whole(arrays["dimensions"], 3, "dimensions", path)
    (train,) = _whole(arrays["train"], 1, "train", path)
    if train not in _SPLITS:
        raise InputError("bad train", path=path, found=train, expected="1 or -1")
    if min(height, width) < 1 or max(height, width) > 1 << 16:
        raise InputError("bad dimensions", path=path, found=f"{height} {width}",
                         expected="height and width in pixels")  # fmt: skip
    if frames_too != num_frames:
        raise InputError("dimensions and nframes disagree", path=path,
                         found=f"{frames_too} and {num_frames} frames")  # fmt: skip
    for name in ("x", "y", "visibility"):
        if arrays[name].shape != (num_frames, _NUM_JOINTS):
            raise InputError(
                f"{name} has not one row a frame and one column a joint", path=path,
                found=arrays[name].shape, expected=(num_frames, _NUM_JOINTS),
                remedy="The file says that the clip has "
                f"{num_frames} frames; compare with the pictures of frames/{path[-8:-4]}.",
            )  # fmt: skip
    boxes = arrays["bbox"]
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) > num_frames:
        raise InputError("bbox has not one row a frame", path=path, found=boxes.shape,
                         expected=(num_frames, 4))  # fmt: skip
    if not np.isin(arrays["visibility"], (0, 1)).all():
        raise InputError("bad visibility", path=path, expected="0 and 1 only")
    return _Annotation(
        texts["action"], texts["pose"], train, width, height, num_frames,
        np.stack([arrays["x"], arrays["y"]], axis=-1), arrays["visibility"] == 1, boxes,
    )  # fmt: skip


def _whole(values: np.ndarray, count: int, name: str, path: str) -> list[int]:
    if values.size != count or not (np.abs(values) <= 1 << 24).all() or (values % 1).any():
        raise InputError(f"bad {name}", path=path, found=_shown(values.reshape(-1)[:4]),
                         expected=f"{count} whole number{'s' * (count > 1)}")  # fmt: skip
    return [int(value) for value in values.reshape(-1)]


def _joints(
    annotation: _Annotation, path: str, problems: list[Problem]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions from pixel 0, NaN where nobody drew the joint; and visibility."""
    x, y = annotation.positions[..., 0], annotation.positions[..., 1]
    missing = ~annotation.visible & (x == y) & (x >= 0) & (x < _NOT_DRAWN_BELOW)
    with np.errstate(over="ignore"):
        keypoints = (annotation.positions - 1).astype(np.float32)
    broken = ~np.isfinite(keypoints).all(-1)
    if broken.any():
        frame, joint = np.argwhere(broken)[0]
        problems.append(Problem(
            path, "read", f"{broken.sum()} joints are not finite and became missing; the first is "
            f"{_shown(annotation.positions[frame, joint])}", f"frame {frame}", "warning",
        ))  # fmt: skip
        missing |= broken
    keypoints[missing] = np.nan
    visibility = np.where(missing, 0, np.where(annotation.visible, 2, 1)).astype(np.uint8)
    return keypoints, visibility


def _boxes(annotation: _Annotation, path: str, problems: list[Problem]) -> np.ndarray:
    """Boxes from pixel 0, NaN for frames at the end that have none."""
    boxes = np.full((annotation.num_frames, 4), np.nan, np.float32)
    given = len(annotation.boxes)
    with np.errstate(over="ignore"):
        boxes[:given] = annotation.boxes - 1

    def warn(reason: str, frame: int) -> None:
        problems.append(Problem(path, "read", reason, f"frame {frame}", "warning"))

    if given < annotation.num_frames:
        warn(f"bbox has {given} rows for {annotation.num_frames} frames: the last "
             f"{annotation.num_frames - given} have no box", given)  # fmt: skip
    broken = ~np.isfinite(boxes[:given]).all(1)
    if broken.any():
        frame = int(np.flatnonzero(broken)[0])
        warn(f"{broken.sum()} boxes are not finite and became missing; the first is "
             f"{_shown(annotation.boxes[frame])}", frame)  # fmt: skip
        boxes[:given][broken] = np.nan
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(1)
    if empty.any():
        frame = int(np.flatnonzero(empty)[0])
        warn(f"{empty.sum()} boxes have no area, and are kept as they are; the first is "
             f"{_shown(annotation.boxes[frame])}", frame)  # fmt: skip
    return boxes


def _other_sides(skeleton: Skeleton) -> np.ndarray:
    """Order of the file's columns in which left is the person's own left."""
    order = np.arange(skeleton.num_joints)
    for left, right in skeleton.swap:
        order[[left, right]] = right, left
    return order


def _shown(numbers: np.ndarray) -> str:
    return " ".join(f"{number:.7g}" for number in np.atleast_1d(numbers))


CONVERTER = Converter(
    name="penn",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
    options=(
        Option(
            "sides",
            "whose left the names of joints mean: the person's own, or that of the files' column "
            "names, whose left is the person's right",
            "person",
            ("person", "source"),
        ),
    ),
)
