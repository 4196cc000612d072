"""AlphaPose: result files, one a video, to clips of the layer ``alphapose``.

Fang et al., "AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in
Real-Time", TPAMI 2022. The files' three forms are said in
:mod:`posedata.converters.alphapose_file`.
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
    Problem,
    Sample,
)
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

# An hour with a dozen people of 26 joints makes 800 MB; there is no larger one in one piece.
LARGEST_FILE = 2 << 30

#: Skeletons by their number of joints in the default form.
SKELETONS: Mapping[int, str] = {17: "coco17", 26: "halpe26", 133: "coco_wholebody133"}

#: The skeleton of the forms ``cmu`` and ``open``.
OPENPOSE_SKELETON = "openpose18"

_RESULTS = "alphapose-results"
_OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "pose_scores": {
        "type": "float32", "per": "pose", "shape": [],
        "about": "AlphaPose's score of the person: mean of the joints' scores + that of the box + "
        "1.25 times the largest joint's.",
    }
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the result files of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        A clip id is the path of the file's folder with ``__`` for ``/`` where the file has
        AlphaPose's own name, ``alphapose-results.json``, else that path and the file's stem.
        Folders ``sep-json``, whose files repeat the results image by image, are among the
        problems. The first file that can be read is opened, to see which skeleton it is.
    """
    files, problems = find_files(raw, ".json")
    samples: dict[str, Sample] = {}
    repeated: dict[str, int] = {}
    for path, size in files:
        folder, _, file_name = path.rpartition("/")
        if PurePosixPath(folder).name == "sep-json":
            repeated[folder] = repeated.get(folder, 0) + 1
            continue
        stem = file_name[: -len(".json")]
        parts = [*PurePosixPath(folder).parts] + [stem] * (stem != _RESULTS or not folder)
        clip_id = "__".join(parts)
        if not stem or clip_id in samples:
            problems.append(Problem(path, "discover", f"a second clip with the id {clip_id}"
                                    if stem else "a name without a clip id"))  # fmt: skip
        else:
            samples[clip_id] = Sample(clip_id, path, size)
    problems += [
        Problem(folder, "discover", f"{number} files that repeat the results image by image: only "
                "result files are read", severity="warning")
        for folder, number in repeated.items()
    ]  # fmt: skip
    chosen = [samples[clip_id] for clip_id in sorted(samples)]
    known = _peek(raw, chosen)
    return Discovery([Sample(s.clip_id, s.path, s.size, info=known) for s in chosen], problems)


def _peek(raw: Location, samples: Sequence[Sample]) -> dict[str, Any]:
    """See in the first file with a person which skeleton it is, and which fields it has."""
    from posedata.converters.alphapose_file import parse_alphapose

    for sample in samples:
        try:
            text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
            file = parse_alphapose(text, sample.path)
        except InputError:
            continue
        skeleton = _skeleton(file.form, file.keypoints.shape[1])
        if skeleton and len(file.frames):
            return {
                "skeleton": skeleton,
                "boxes": file.boxes is not None,
                "pose_scores": file.pose_scores is not None,
            }
    return {"skeleton": "coco17", "boxes": False, "pose_scores": False}


def _skeleton(form: str, num_joints: int) -> str | None:
    if form == "default":
        return SKELETONS.get(num_joints)
    return OPENPOSE_SKELETON if num_joints == 18 else None


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; the skeleton is that of the first person found."""
    known = samples[0].info
    own = dict(_OWN_COLUMNS) if known["pose_scores"] else {}
    kept = own if options["all_fields"] else {}
    boxes = ("boxes",) if known["boxes"] else ()
    return Description(
        name="alphapose",
        title="Poses by AlphaPose",
        license="other: as the videos; AlphaPose's own licence is for non-commercial use",
        source="AlphaPose's JSON results",
        citation="Fang et al., AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and "
        "Tracking in Real-Time, TPAMI 2022",
        layers=(
            LayerDescription(
                name="alphapose",
                skeleton=known["skeleton"],
                columns=("person_ids", "slots", "keypoints_2d", "scores", *boxes, *kept),
                own_columns=kept,
                left_out=() if options["all_fields"] else tuple(own),
            ),
        ),
        columns=("width", "height", "fps", "source"),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one result file.

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
        Positions in pixels; the frame is the number in an image's name.
    problems : sequence of Problem
        Warnings: no people at all, fields that are not kept although the release does not say so,
        and those of `posedata.converters.people.build_clip` (scores above 1 become 1).

    Raises
    ------
    InputError
        If the file is not what its format says, or has another skeleton than the release.
    """
    from posedata.converters.alphapose_file import parse_alphapose

    layer = description.layer()
    text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    file = parse_alphapose(text, sample.path)
    problems: list[Problem] = []

    def warn(reason: str, position: str = "") -> None:
        problems.append(Problem(sample.path, "read", reason, position, "warning"))

    rows, num_joints = file.keypoints.shape[:2]
    if not rows:
        warn("the file has nobody: how many frames the video has is not known either")
    elif (skeleton := _skeleton(file.form, num_joints)) != layer.skeleton:
        known = ", ".join(f"{number} ({name})" for number, name in SKELETONS.items())
        raise InputError(
            "a number of joints that posedata knows no skeleton for" if skeleton is None
            else "another skeleton than this release has", path=sample.path,
            found=f"{num_joints} joints in the form {file.form}",
            expected=known if skeleton is None else layer.skeleton,
            remedy=None if skeleton is None
            else "Convert the outputs of different models separately.",
        )  # fmt: skip
    if file.has_space_joints:
        warn("pred_xyz_jts, the 3D joints of AlphaPose's SMPL models, left out")
    declared = {"boxes": "boxes" in layer.columns,
                "pose_scores": {"pose_scores"} & {*layer.own_columns, *layer.left_out}}  # fmt: skip
    for name, is_declared in declared.items():
        if getattr(file, name) is not None and not is_declared:
            warn(f"{name} left out: the first clip has none")
    num_frames = int(file.frames.max()) + 1 if rows else 0
    if num_frames > LARGEST_NUM_FRAMES:
        raise InputError("no frame number", path=sample.path, found=num_frames - 1,
                         expected=f"below {LARGEST_NUM_FRAMES}")  # fmt: skip
    keypoints = file.keypoints
    if not rows:
        keypoints = np.empty((0, _num_joints(layer), 3))
    absent = np.full(rows, np.nan)
    scores = file.pose_scores if file.pose_scores is not None else absent
    people = People(
        frames=file.frames,
        slots=_slots(file.frames),
        keypoints_2d=keypoints[..., :2],
        scores=keypoints[..., 2],
        missing=(keypoints == 0).all(-1),
        ids=file.ids,
        boxes=file.boxes if file.boxes is not None
        else np.full((rows, 4), np.nan) if "boxes" in layer.columns else None,
        extra={"pose_scores": scores.astype(np.float32)},
    )  # fmt: skip
    info = {"num_frames": num_frames, "width": None, "height": None, "fps": None,
            "source": sample.path}  # fmt: skip
    clip, more = build_clip(sample, layer, people, info)
    return clip, problems + more


def _num_joints(layer: LayerDescription) -> int:
    from posedata.skeleton import load_skeleton

    return load_skeleton(layer.skeleton).num_joints


def _slots(frames: np.ndarray) -> np.ndarray:
    """Count the rows of each frame, in their order."""
    order = np.argsort(frames, kind="stable")
    ascending = frames[order]
    slots = np.empty(len(frames), np.int64)
    slots[order] = np.arange(len(frames)) - np.searchsorted(ascending, ascending)
    return slots


CONVERTER = Converter(name="alphapose", discover=discover, describe=describe, read=read)
