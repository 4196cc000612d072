"""Toyota Smarthome (trimmed): LCRNet JSON, or the ``.npz`` of up to three experts, to clips.

Das et al., "Toyota Smarthome: Real-World Activities of Daily Living", ICCV 2019. Version 1.1 of
the skeletons is LCRNet++'s, version 1.2 (``*_pose3d.json``) is refined (Yang et al., WACV 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Problem, Sample
from posedata.converters.expert_files import (
    PoseFile,
    choose_samples,
    describe_layers,
    find_pose_files,
    read_poses,
)
from posedata.converters.smarthome_samples import class_names, parse_name, splits, survey
from posedata.errors import InputError
from posedata.storage import Location

_CLIP_COLUMNS = ("num_frames", "width", "height", "label", "label_name", "subject", "camera",
                 "replication", "video", "source")  # fmt: skip
_VIDEO_COLUMN: Mapping[str, Mapping[str, Any]] = {
    "video": {
        "type": "int32", "per": "clip", "shape": [],
        "about": "The v of the clip's name: which recording of the subject it was cut from.",
    }
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the pose files of a folder and its subfolders.

    Only headers are read, and only where several experts have a file of the same clip.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        Files whose name is no Smarthome name, or of an unknown expert, and second files of a clip
        in a layer are among the problems.
    """
    files, problems = find_pose_files(raw)
    samples, wrong = choose_samples(raw, files, _clip_id)
    return Discovery(samples, [*problems, *wrong])


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; their layers are the experts that have files."""
    return Description(
        name="smarthome",
        title="Toyota Smarthome skeletons",
        license="Toyota Smarthome terms: research only, no redistribution; see the data set's "
        "site (INRIA)",
        source="Toyota Smarthome (trimmed), poses of LCRNet++ (JSON) or of the experts of "
        "SSTA-PRS (.npz)",
        citation="Das et al., Toyota Smarthome: Real-World Activities of Daily Living, ICCV 2019; "
        "Yang et al., Selective Spatio-Temporal Aggregation Based Pose Refinement System, WACV "
        "2021",
        layers=describe_layers(samples),
        columns=_CLIP_COLUMNS,
        own_columns=_VIDEO_COLUMN,
        label_names=class_names(),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the poses of one clip by one expert.

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
        2D in pixels of the 640x480 video; from JSON also 3D, and `Clip.source_values`.
    problems : sequence of Problem
        Warnings: numbers that had to become NaN, unknown fields, a file shorter than the clip.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    name = parse_name(sample.clip_id)
    if name is None:
        raise InputError("not a Smarthome name", path=sample.path, found=sample.clip_id)
    info = {
        "width": 640,
        "height": 480,
        "label": class_names().index(name.activity),
        "label_name": name.activity,
        "subject": name.subject,
        "camera": name.camera,
        "replication": name.replication,
        "video": name.video,
        "source": sample.path,
    }
    return read_poses(raw, sample, description.layer(sample.layer), info)


def _clip_id(file: PoseFile) -> str:
    if parse_name(file.stem) is None:
        raise InputError(
            "not a Smarthome name", found=repr(file.stem),
            expected="Activity_pSS_rRR_vVV_cCC with one of the 32 activities and c01 to c07",
        )  # fmt: skip
    return file.stem


CONVERTER = Converter(
    name="smarthome", discover=discover, describe=describe, read=read, splits=splits, survey=survey
)
