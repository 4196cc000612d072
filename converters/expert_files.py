"""Pose files of the experts of SSTA-PRS: whose file is it, and what clip does it make?

Three estimators, LCRNet++, AlphaPose and OpenPose, each with a file a clip: either
``<clip>_LCRNet2d.npz``, ``<clip>_Alphapose2d.npz``, ``<clip>_OP2d.npz``, or ``<clip>.npz`` in a
folder named after the expert. LCRNet's poses also come as JSON. Each expert is a layer.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import LayerDescription, Problem, Sample
from posedata.converters.people import People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.skeleton import load_skeleton
from posedata.storage import Location
from posedata.unrounded import unrounded_columns

#: Skeleton of each expert's layer.
LAYERS: Mapping[str, str] = {"alphapose": "coco17", "lcrnet": "lcrnet13", "openpose": "coco17"}

# In lower case, as a suffix of a file's name and as the name of a folder.
_EXPERTS = {
    "lcrnet2d": "lcrnet", "lcrnet": "lcrnet", "lcr": "lcrnet",
    "alphapose2d": "alphapose", "alphapose": "alphapose",
    "op2d": "openpose", "openpose2d": "openpose", "openpose": "openpose", "op": "openpose",
}  # fmt: skip
_REFINED = "_pose3d"  # how version 1.2 of Smarthome's JSON ends
_SUFFIXES = (".json", ".npz")
_RULE = "float32"  # most numbers of LCRNet were float32 before they were text

# Ten times the largest file: an hour of video, 70 MB.
LARGEST_FILE = 1 << 30

_CUMSCORE: Mapping[str, Mapping[str, Any]] = {
    "cumscore": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "LCRNet's score of the person, a sum over merged proposals: not within 0 to 1; "
        "NaN where the file has none.",
    }
}  # fmt: skip


class PoseFile(NamedTuple):
    """A file of poses.

    Attributes
    ----------
    path : str
        Relative to the raw folder.
    size : int
        Bytes.
    stem : str
        Its name without the expert's suffix: the clip's name.
    layer : str
        The expert; empty where neither the name nor a folder tells.
    """

    path: str
    size: int
    stem: str
    layer: str


def find_pose_files(raw: Location) -> tuple[list[PoseFile], list[Problem]]:
    """List all ``.json`` and ``.npz`` files of a folder and its subfolders.

    Returns
    -------
    files : list of PoseFile
        Sorted by path. Not every JSON of a data set is one of poses.
    problems : list of Problem
        See `posedata.discover.find_files`.
    """
    files: list[tuple[str, int]] = []
    problems: list[Problem] = []
    for suffix in _SUFFIXES:
        found, wrong = find_files(raw, suffix)
        files += found
        problems += wrong
    return [_pose_file(*file) for file in sorted(files)], list(dict.fromkeys(problems))


def choose_samples(
    raw: Location, files: Iterable[PoseFile], clip_id_of: Callable[[PoseFile], str]
) -> tuple[list[Sample], list[Problem]]:
    """Make samples of pose files, one for each clip and layer.

    Where several files are of one clip, each sample's ``info`` has the ``num_frames`` of the
    longest: LCRNet's reader stops one frame before the end of the video.

    Parameters
    ----------
    raw : Location
        The raw folder.
    files : iterable of PoseFile
        Sorted by path.
    clip_id_of : callable
        Gives the clip of a file, or raises InputError where it is of none.

    Returns
    -------
    samples : list of Sample
        Sorted by layer and clip id.
    problems : list of Problem
        Files of no clip or no known expert, and second files of a clip in a layer.
    """
    chosen: dict[tuple[str, str], Sample] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            clip_id = clip_id_of(file)
            if not file.layer:
                raise InputError(
                    "which expert wrote this is not known",
                    expected="a name that ends in _LCRNet2d, _Alphapose2d or _OP2d, or a folder "
                    "lcrnet, alphapose or openpose",
                )  # fmt: skip
        except InputError as error:
            problems.append(Problem(file.path, "discover", error.reason))
            continue
        taken = chosen.setdefault(
            (file.layer, clip_id), Sample(clip_id, file.path, file.size, file.layer)
        )
        if taken.path != file.path:
            problems.append(Problem(
                file.path, "discover",
                f"a second file of this clip in the layer {file.layer}: {taken.path} is taken",
            ))  # fmt: skip
    samples = [chosen[key] for key in sorted(chosen)]
    longest = _longest(raw, samples)
    return [
        replace(sample, info={"num_frames": longest[sample.clip_id]})
        if sample.clip_id in longest
        else sample
        for sample in samples
    ], problems


def describe_layers(samples: Sequence[Sample]) -> tuple[LayerDescription, ...]:
    """Describe the layers of these samples; ``lcrnet`` has more columns where it comes as JSON."""
    from_json = {sample.layer for sample in samples if _is_json(sample.path)}
    layers = []
    for name in sorted({sample.layer for sample in samples}):
        own: dict[str, Mapping[str, Any]] = {}
        columns = ["slots", "keypoints_2d"] if name == "lcrnet" else ["keypoints_2d"]
        if name in from_json:
            columns += ["keypoints_3d"]
            own = {
                **_CUMSCORE,
                **unrounded_columns("keypoints_2d", _RULE),
                **unrounded_columns("keypoints_3d", _RULE),
            }
        layers.append(LayerDescription(name, LAYERS[name], (*columns, *own), own))
    return tuple(layers)


def read_poses(
    raw: Location, sample: Sample, layer: LayerDescription, info: Mapping[str, Any]
) -> tuple[Clip, list[Problem]]:
    """Read the poses of one clip.

    Parameters
    ----------
    raw : Location
        The raw folder.
    sample : Sample
        One of `choose_samples`. ``num_frames`` in its ``info`` is the clip's, where it is known.
    layer : LayerDescription
        One of `describe_layers`.
    info : mapping
        Clip columns; ``num_frames`` is added.

    Returns
    -------
    clip : Clip
        A joint at (0, 0), in JSON also at (-1, -1), is missing.
    problems : list of Problem
        Warnings.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    content = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    problems: list[Problem] = []
    read = _from_json if _is_json(sample.path) else _from_npz
    people, num_frames = read(content, sample.path, layer, problems)
    of_clip = sample.info.get("num_frames")
    if of_clip is not None and num_frames != of_clip:
        problems.append(Problem(
            sample.path, "read", f"another length than the clip's: found {num_frames} frames, "
            f"expected {of_clip}; frames are counted from the start", "", "warning",
        ))  # fmt: skip
        num_frames = max(num_frames, of_clip)
    clip, warnings = build_clip(sample, layer, people, {**info, "num_frames": num_frames})
    return _with_space(clip, layer, people), [*problems, *warnings]


def _pose_file(path: str, size: int) -> PoseFile:
    place = PurePosixPath(path)
    stem = place.name[: -len(place.suffix)] if place.suffix else place.name
    layer = ""
    if place.suffix.lower() == ".json":
        layer = "lcrnet"
    else:
        before, _, last = stem.rpartition("_")
        if before and last.lower() in _EXPERTS:
            stem, layer = before, _EXPERTS[last.lower()]
        else:
            folders = [part.lower() for part in reversed(place.parent.parts)]
            layer = next((_EXPERTS[part] for part in folders if part in _EXPERTS), "")
    return PoseFile(path, size, stem.removesuffix(_REFINED), layer)


def _is_json(path: str) -> bool:
    return path.lower().endswith(".json")


def _longest(raw: Location, samples: Sequence[Sample]) -> dict[str, int]:
    """Number of frames of the longest file, of clips with several."""
    by_clip: dict[str, list[str]] = {}
    for sample in samples:
        by_clip.setdefault(sample.clip_id, []).append(sample.path)
    longest = {}
    for clip_id, paths in by_clip.items():
        if len(paths) > 1:
            counts = [count for path in paths if (count := _count_frames(raw, path)) is not None]
            if counts:
                longest[clip_id] = max(counts)
    return longest


def _count_frames(raw: Location, path: str) -> int | None:
    """Frames of a file; None where it cannot be read, which its reading will report."""
    from posedata.converters import lcrnet_json, ssta_npz

    place = found_file(raw, path)
    try:
        if _is_json(path):
            return lcrnet_json.count_frames(place.read_bytes(LARGEST_FILE), path)
        return ssta_npz.count_frames(place, path)
    except InputError:
        return None


def _from_json(
    content: bytes, path: str, layer: LayerDescription, problems: list[Problem]
) -> tuple[People, int]:
    from posedata.converters.lcrnet_json import parse_lcrnet

    file = parse_lcrnet(content, path)
    unknown = list(file.unknown_fields)
    if unknown:
        problems.append(Problem(
            path, "read", f"fields of other tools were left out: {reprlib.repr(unknown)}", "",
            "warning",
        ))  # fmt: skip
    nobody_else = not file.slots.any()
    scores = np.full(len(file.frames), np.nan, np.float32)
    return People(
        frames=file.frames,
        slots=file.slots,
        keypoints_2d=file.pose2d,
        missing=file.missing,
        keypoints_3d=file.pose3d,
        ids=["0"] * len(file.frames) if nobody_else else (),
        extra={"cumscore": scores if file.cumscore is None else file.cumscore},
    ), file.num_frames


def _from_npz(
    content: bytes, path: str, layer: LayerDescription, problems: list[Problem]
) -> tuple[People, int]:
    from posedata.converters.ssta_npz import parse_kpts

    kpts = parse_kpts(content, path)
    num_frames = len(kpts)
    frames = np.flatnonzero((kpts != 0).any((1, 2))).astype(np.int32)
    poses = kpts[frames]
    if layer.name == "lcrnet":
        poses = _without_copies_of_the_head(poses, frames, path)
    return People(
        frames=frames,
        slots=np.zeros(len(frames), np.int32),
        keypoints_2d=poses,
        missing=(poses == 0).all(-1),
        ids=["0"] * len(frames),
        extra={"cumscore": np.full(len(frames), np.nan, np.float32)},
    ), num_frames


def _without_copies_of_the_head(poses: np.ndarray, frames: np.ndarray, path: str) -> np.ndarray:
    """Poses (N, 17, 2) in COCO's order as LCRNet's 13 joints.

    LCRNet has a head and no face. Its npz repeat the head as nose, eyes and ears.
    """
    differs = (poses[:, 1:5] != poses[:, :1]).any((1, 2)) & ~np.isnan(poses[:, :5]).any((1, 2))
    if differs.any():
        raise InputError(
            "not LCRNet's poses: nose, eyes and ears differ", path=path,
            position=f"frame {frames[np.flatnonzero(differs)[0]]}",
            expected="the head five times",
            remedy="Name the file, or its folder, after the expert that wrote it.",
        )  # fmt: skip
    coco, lcrnet = load_skeleton("coco17"), load_skeleton("lcrnet13")
    order = [coco.index("nose" if joint == "head" else joint) for joint in lcrnet.joints]
    return poses[:, order]


def _with_space(clip: Clip, layer: LayerDescription, people: People) -> Clip:
    """Add what a layer from JSON has: 3D, and the source's own float64 numbers."""
    if not layer.own_columns:
        return clip
    from posedata.source_numbers import find_unrounded

    if clip.keypoints_3d is None:
        shape = (len(clip.frames), clip.skeleton.num_joints, 3)
        clip = replace(clip, keypoints_3d=np.full(shape, np.nan, np.float32))
    arrays = {"keypoints_2d": people.keypoints_2d, "keypoints_3d": people.keypoints_3d}
    # Rows of the source are in the order of frame and slot.
    keys = people.frames.astype(np.int64) << 32 | people.slots
    rows = np.searchsorted(keys, clip.frames.astype(np.int64) << 32 | clip.extra["slots"])
    unrounded = {}
    for name, source in arrays.items():
        values = clip.arrays[name]
        numbers = values if source is None else source[rows]
        unrounded[name] = find_unrounded(values, numbers.astype(np.float64), _RULE)
    return replace(clip, unrounded=unrounded)
