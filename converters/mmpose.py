"""MMPose: the JSON files of its inferencers and demos, to clips of the layer ``mmpose``.

OpenMMLab Pose Estimation Toolbox and Benchmark, https://github.com/open-mmlab/mmpose. What a file
may hold is said in :mod:`posedata.converters.mmpose_file`.
"""

from __future__ import annotations

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
from posedata.converters.people import People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.skeleton import load_skeleton
from posedata.storage import Location

# An hour of video with three people and 133 joints makes 5 GB; longer files do not fit in memory.
LARGEST_FILE = 8 << 30

#: Skeletons by the number of joints V, where the file does not name them.
SKELETONS: Mapping[int, str] = {17: "coco17", 26: "halpe26", 133: "coco_wholebody133"}

_BOX_SCORES: Mapping[str, Mapping[str, Any]] = {
    "box_scores": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "The person detector's score of the box; NaN where the file has none.",
    }
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the ``.json`` files of a folder and its subfolders; each is a clip.

    The first files are opened, until one with a person tells the skeleton.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        ``joints``.

    Returns
    -------
    Discovery
        The clip's id is the file's name without ``.json``. A second file of that name is a problem.
    """
    files, problems = find_files(raw, ".json")
    paths: dict[str, tuple[str, int]] = {}
    for path, size in files:
        clip_id = PurePosixPath(path).name[: -len(".json")]
        taken = paths.setdefault(clip_id, (path, size))
        if taken[0] != path:
            problems.append(Problem(
                path, "discover", f"a second file of this name: {taken[0]} is taken",
            ))  # fmt: skip
    known = _peek(raw, [path for path, _ in paths.values()], options["joints"])
    samples = [Sample(clip_id, *paths[clip_id], info=known) for clip_id in sorted(paths)]
    return Discovery(samples, problems)


def _peek(raw: Location, paths: Sequence[str], chosen: str) -> dict[str, Any]:
    """See in the first file with a person what the release will have."""
    from posedata.converters.mmpose_file import parse_mmpose

    for path in paths:
        try:
            file = parse_mmpose(found_file(raw, path).read_bytes(LARGEST_FILE), path)
            if len(file.frames):
                skeleton, order = _skeleton_of(file, chosen, path)
                return {"skeleton": skeleton, "order": order, "ids": any(file.ids),
                        "space": file.keypoints.shape[2] == 3}  # fmt: skip
        except InputError:
            continue
    return {
        "skeleton": load_skeleton(chosen or "coco17").name,
        "order": (),
        "ids": False,
        "space": False,
    }


def _skeleton_of(file: Any, chosen: str, path: str) -> tuple[str, tuple[int, ...]]:
    """Name of the skeleton, and the place of each of its joints in the file."""
    num_joints = file.keypoints.shape[1]
    same = tuple(range(num_joints))
    if chosen:
        if load_skeleton(chosen).num_joints != num_joints:
            raise InputError(
                "another number of joints than the chosen skeleton has", path=path,
                found=num_joints, expected=f"{load_skeleton(chosen).num_joints} ({chosen})",
            )  # fmt: skip
        return load_skeleton(chosen).name, same
    if len(file.joint_names) == num_joints:
        from posedata.joint_names import match_joints

        if match := match_joints(file.joint_names):
            return match.skeleton, match.order
    if file.keypoints.shape[2] == 3 and num_joints == 17:
        return "h36m17", same  # what all of MMPose's models that lift 17 joints give
    if num_joints not in SKELETONS:
        raise InputError(
            "no skeleton is known for this number of joints", path=path, found=num_joints,
            expected=", ".join(map(str, SKELETONS)), remedy="Name it with --joints.",
        )  # fmt: skip
    return SKELETONS[num_joints], same


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; the skeleton is that of the first person found."""
    known = samples[0].info
    positions = "keypoints_3d" if known["space"] else "keypoints_2d"
    ids = ("person_ids",) if known["ids"] else ()
    return Description(
        name="mmpose",
        title="Poses by MMPose",
        license="other: as the videos and the model's training data; MMPose is Apache-2.0",
        source="MMPose's JSON files",
        citation="OpenMMLab Pose Estimation Toolbox and Benchmark, 2020",
        layers=(
            LayerDescription(
                name="mmpose",
                skeleton=known["skeleton"],
                columns=(*ids, "slots", positions, "scores", "boxes", *_BOX_SCORES),
                own_columns=_BOX_SCORES,
            ),
        ),
        columns=("source",),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one file.

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
        Persons by the file's track ids, or by the tracker where it has none.
    problems : sequence of Problem
        Warnings: fields that are not kept, and those of
        `posedata.converters.people.build_clip`.

    Raises
    ------
    InputError
        If the file is not what its format says, or its poses are not of the release's skeleton.
    """
    from posedata.converters.mmpose_file import parse_mmpose

    layer = description.layer()
    file = parse_mmpose(found_file(raw, sample.path).read_bytes(LARGEST_FILE), sample.path)
    problems: list[Problem] = []
    for name in file.unknown_fields:
        problems.append(Problem(sample.path, "read", f"unknown field {name!r} was left out", "",
                                "warning"))  # fmt: skip
    in_space = "keypoints_3d" in layer.columns
    num_joints = load_skeleton(layer.skeleton).num_joints
    order: Sequence[int] = range(num_joints)
    if len(file.frames):
        skeleton, order = _skeleton_of(file, description.options["joints"], sample.path)
        if skeleton != layer.skeleton or (file.keypoints.shape[2] == 3) != in_space:
            raise InputError(
                "other poses than this release has", path=sample.path,
                found=f"{skeleton}, {file.keypoints.shape[2]}D",
                expected=f"{layer.skeleton}, {3 if in_space else 2}D",
                remedy="Convert the outputs of different models separately.",
            )  # fmt: skip
    # A file without people has arrays without joints.
    keypoints = file.keypoints.reshape(-1, num_joints, 3 if in_space else 2)[:, list(order)]
    scores = file.scores.reshape(-1, num_joints)[:, list(order)]
    with np.errstate(over="ignore"):
        box_scores = file.box_scores.astype(np.float32)
    people = People(
        frames=file.frames,
        slots=file.slots,
        keypoints_2d=keypoints[..., :2],
        keypoints_3d=keypoints if in_space else None,
        missing=(keypoints == 0).all(-1) & (scores == 0),
        scores=scores,
        ids=_ids_in_space(file, sample.path) if in_space else file.ids,
        boxes=file.boxes,
        extra={"box_scores": box_scores},
    )
    info = {"num_frames": file.num_frames, "source": sample.path}
    clip, more = build_clip(sample, layer, people, info)
    return clip, problems + more


def _ids_in_space(file: Any, path: str) -> Sequence[str]:
    """Ids of 3D poses: each has its own origin, so that only boxes or ids tell persons apart."""
    if any(file.ids) or np.isfinite(file.boxes).all():
        return file.ids
    if file.slots.any():
        raise InputError(
            "several people in 3D without boxes or track ids cannot be told apart", path=path,
            position=f"frame {file.frames[np.flatnonzero(file.slots)[0]]}",
            remedy="Run the inferencer with tracking, or on one person.",
        )  # fmt: skip
    return ["0"] * len(file.frames)


CONVERTER = Converter(
    name="mmpose",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the joints, where the files do not tell: e.g. coco17 (default: by the names in "
            "meta_info, or by the number of joints)",
            default="",
        ),
    ),
)
