"""NTU RGB+D 60 and 120: ``.skeleton`` files to clips of the layer ``kinect``.

Shahroudy et al., "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR 2016;
Liu et al., "NTU RGB+D 120: A Large-Scale Benchmark for 3D Human Activity Understanding", TPAMI
2020. What the fields of a file are is said in :mod:`posedata.converters.ntu_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

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
from posedata.converters.ntu_samples import (
    benchmark_of,
    class_names,
    known_bad_names,
    parse_name,
    splits,
    survey,
)
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.skeleton import load_skeleton
from posedata.storage import Location
from posedata.unrounded import Unrounded, unrounded_columns

if TYPE_CHECKING:
    from posedata.converters.ntu_file import SkeletonFile

# The largest real file has 300 frames of a few bodies, 3 MB.
LARGEST_FILE = 256 << 20

_CLIP_COLUMNS = ("width", "height", "fps", "label", "label_name", "subject", "camera", "setup",
                 "replication", "mirrored", "known_bad", "source")  # fmt: skip
_POSE_COLUMNS = ("person_ids", "slots", "keypoints_3d", "keypoints_2d", "visibility")
# Export profiles repeat what scripts have made of the text's own float64 numbers.
_UNROUNDED_COLUMNS = unrounded_columns("keypoints_3d", "decimal")
# Column of the release: name of the array in SkeletonFile.
_JOINT_ARRAYS = {
    "keypoints_3d": "positions",
    "keypoints_2d": "colour_pixels",
    "keypoints_depth": "depth_pixels",
    "orientations": "orientations",
}
# What the format has no column of its own for: kept with --all-fields.
_JOINT_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "keypoints_depth": {
        "type": "float32", "per": "pose", "shape": ["V", 2],
        "about": "x, y in pixels of the 512x424 depth and infrared frames.",
    },
    "orientations": {
        "type": "float32", "per": "pose", "shape": ["V", 4],
        "about": "Quaternion w, x, y, z of the joint; all zero at head, feet, hand tips and "
        "thumbs, where Kinect gives none.",
    },
}  # fmt: skip
# The body fields after the id, in file order. Official names: clipedEdges, ..., isResticted.
_BODY_COLUMNS = {
    "clipped_edges": "Edges of the field of view that clip the body: 1 right, 2 left, 4 top, 8 "
    "bottom (bits).",
    "hand_left_confidence": "Of hand_left_state: 0 low, 1 high.",
    "hand_left_state": "0 unknown, 1 not tracked, 2 open, 3 closed, 4 lasso.",
    "hand_right_confidence": "Of hand_right_state: 0 low, 1 high.",
    "hand_right_state": "0 unknown, 1 not tracked, 2 open, 3 closed, 4 lasso.",
    "restricted": "Whether the body is restricted (1) or not (0).",
    "lean_x": "Leaning to the side, -1 to 1 (45 degrees each way).",
    "lean_y": "Leaning back and forth, -1 to 1.",
    "body_tracking_state": "Of the body: 0 not tracked, 1 inferred, 2 tracked.",
}
_LEAN = ("lean_x", "lean_y")
_BODY_DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    name: {
        "type": "float32" if name in _LEAN else "int32", "per": "pose", "shape": [], "about": about
    }
    for name, about in _BODY_COLUMNS.items()
}  # fmt: skip
_TRACKING_COLUMN: Mapping[str, Mapping[str, Any]] = {
    "tracking_states": {
        "type": "uint8", "per": "pose", "shape": ["V"],
        "about": "As in the file: 0 not tracked, 1 inferred, 2 tracked. (visibility is the same, "
        "but 0 where the coordinates are missing.)",
    }
}  # fmt: skip


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the ``.skeleton`` files of a folder and its subfolders, without opening any.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        Files whose name is no NTU name, and second copies of a sample, are among the problems.
    """
    files, problems = find_files(raw, ".skeleton")
    samples: dict[str, Sample] = {}
    for path, size in files:
        stem = PurePosixPath(path).name[: -len(".skeleton")]
        if parse_name(stem) is None:
            problems.append(Problem(
                path, "discover",
                f"not an NTU name: found {stem!r}, expected SsssCcccPpppRrrrAaaa with S001-S032, "
                "C001-C003, P001-P106, R001-R002, A001-A120",
            ))  # fmt: skip
        elif stem in samples:
            problems.append(Problem(
                path, "discover", f"a second file of this sample: {samples[stem].path} is taken",
            ))  # fmt: skip
        else:
            samples[stem] = Sample(stem, path, size)
    return Discovery([samples[stem] for stem in sorted(samples)], problems)


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are: NTU-60, or NTU-120 if any of them is only there."""
    benchmark = benchmark_of(sample.clip_id for sample in samples)
    further = {**_JOINT_COLUMNS, **_TRACKING_COLUMN, **_BODY_DEFINITIONS}
    own = {**_UNROUNDED_COLUMNS, **(further if options["all_fields"] else {})}
    return Description(
        name=f"ntu{benchmark}",
        title=f"NTU RGB+D {benchmark} skeletons",
        license="NTU RGB+D terms: academic research only, no redistribution; see the data set's "
        "site (ROSE Lab, Nanyang Technological University)",
        source="NTU RGB+D 3D skeletons (body joints), .skeleton files",
        citation="Shahroudy et al., NTU RGB+D: A Large Scale Dataset for 3D Human Activity "
        "Analysis, CVPR 2016; Liu et al., NTU RGB+D 120: A Large-Scale Benchmark for 3D Human "
        "Activity Understanding, TPAMI 2020",
        layers=(
            LayerDescription(
                name="kinect",
                skeleton="nturgbd25",
                columns=(*_POSE_COLUMNS, *own),
                own_columns=own,
                left_out=() if options["all_fields"] else tuple(further),
            ),
        ),
        columns=_CLIP_COLUMNS,
        label_names=tuple(class_names(benchmark)),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one sample.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Of the data set; its columns say which fields are kept.

    Returns
    -------
    clip : Clip
        Every number as in the file, to float32.
    problems : sequence of Problem
        Warnings: text after the last frame, no frames at all, numbers that had to become NaN.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    from posedata.converters.ntu_file import parse_skeleton  # numba: only where files are read

    text = found_file(raw, sample.path).read_bytes(LARGEST_FILE)
    file = parse_skeleton(text, sample.path)
    return build_clip(file, sample, description)


def build_clip(
    file: SkeletonFile, sample: Sample, description: Description
) -> tuple[Clip, Sequence[Problem]]:
    """Turn the arrays of one file into a clip; see `read`.

    Nothing is judged: every number of the file is found in the clip, also a joint line of zeros
    and the coordinates of a joint that Kinect did not track (visibility 0). Only a position,
    pixel or quaternion that is partly NaN, or infinite, becomes NaN as a whole, and an infinite
    lean becomes NaN, each with a warning.
    """
    problems: list[Problem] = []

    def warn(reason: str, position: str = "") -> None:
        problems.append(Problem(sample.path, "read", reason, position, "warning"))

    if file.trailing is not None:
        warn("text after the last frame was left out", f"line {file.trailing}")
    if file.num_frames == 0:
        warn("the file announces 0 frames")

    layer = description.layer()
    persons, person_ids, order = _persons(file, sample.path)
    lines = file.lines[order]
    names = ["joint trackingState"] * file.states.shape[1]
    states = _whole_numbers(file.states[order, :, 0], 2, names, lines[:, 1:], sample.path)
    arrays = {}
    for name, source in _JOINT_ARRAYS.items():
        if name not in layer.columns:
            continue
        values = getattr(file, source)[order]
        if not file.all_finite:
            finite = np.isfinite(values)
            half = finite.any(-1) & ~finite.all(-1)
            infinite = np.isinf(values).any(-1)
            if (half | infinite).any():
                pose, joint = np.argwhere(half | infinite)[0]
                warn(
                    f"{name}: {(half | infinite).sum()} joints are partly NaN or not finite "
                    f"and became missing; the first is {_shown(values[pose, joint])}",
                    f"line {lines[pose, 1 + joint]}",
                )
            values = np.where(finite.all(-1, keepdims=True), values, np.float32(np.nan))
        arrays[name] = values
    visibility = states
    if not file.all_finite:
        missing = np.isnan(arrays["keypoints_3d"][..., 0]) & np.isnan(
            arrays["keypoints_2d"][..., 0]
        )
        visibility = np.where(missing, np.uint8(0), states)
    bodies = _body_arrays(file.bodies[order], lines, sample.path)
    for name in layer.own_columns:
        if name in _LEAN and (infinite := np.isinf(bodies[name])).any():
            pose = np.flatnonzero(infinite)[0]
            warn(
                f"{name}: {infinite.sum()} values are not finite and became missing; the first is "
                f"{_shown(bodies[name][pose])}",
                f"line {lines[pose, 0]}",
            )
            bodies[name][infinite] = np.nan
    first_of_frame = np.searchsorted(file.frames, file.frames)
    slots = (np.arange(len(file.frames)) - first_of_frame).astype(np.int32)
    further = {"slots": slots[order], **arrays, "tracking_states": states, **bodies}
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=file.frames[order],
        persons=persons,
        keypoints_3d=arrays["keypoints_3d"],
        keypoints_2d=arrays["keypoints_2d"],
        visibility=visibility,
        person_ids=person_ids,
        extra={name: further[name] for name in ("slots", *layer.own_columns) if name in further},
        unrounded={"keypoints_3d": _unrounded(file, order, arrays["keypoints_3d"])},
        info=_info(file, sample, description),
    ), problems


def _unrounded(file: SkeletonFile, order: np.ndarray | slice, kept: np.ndarray) -> Unrounded:
    """Find the numbers of the text that do not follow from what is kept of them."""
    from posedata.source_numbers import find_unrounded, widen

    if file.all_finite and not len(file.unrounded.at):
        return file.unrounded
    source = widen(file.positions, file.unrounded)
    return find_unrounded(kept, source[order], "decimal")


def _info(file: SkeletonFile, sample: Sample, description: Description) -> dict:
    name = parse_name(sample.clip_id)
    if name is None:
        raise InputError("not an NTU name", path=sample.path)
    return {
        "num_frames": file.num_frames,
        "width": 1920,
        "height": 1080,
        "fps": 30.0,
        "label": name.action - 1,
        "label_name": description.label_names[name.action - 1],
        "subject": name.performer,
        "camera": name.camera,
        "setup": name.setup,
        "replication": name.replication,
        "mirrored": True,
        "known_bad": sample.clip_id in known_bad_names(),
        "source": sample.path,
    }


def _persons(
    file: SkeletonFile, path: str
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray | slice]:
    """Number the bodies by first appearance; also their ids as text, and the rows' order."""
    number: dict[int, int] = {}
    bodies = [number.setdefault(body_id, len(number)) for body_id in file.body_ids.tolist()]
    persons = np.array(bodies, np.int32)
    if len(number) < 2 and (np.diff(file.frames) > 0).all():
        return persons, tuple(map(str, number)), slice(None)
    order = np.argsort(persons, kind="stable")  # the frames of each ascend already
    persons, frames = persons[order], file.frames[order]
    again = np.flatnonzero((np.diff(persons) == 0) & (np.diff(frames) == 0))
    if len(again):
        row = order[again[0] + 1]
        raise InputError(
            "the same bodyID twice in one frame", path=path,
            position=f"line {file.lines[row, 0]}",
            found=file.body_ids[row], expected="each body once a frame",
        )  # fmt: skip
    return persons, tuple(map(str, number)), order


def _body_arrays(bodies: np.ndarray, lines: np.ndarray, path: str) -> dict[str, np.ndarray]:
    names = list(_BODY_COLUMNS)
    columns = [column for column, name in enumerate(names) if name not in _LEAN]
    where = np.broadcast_to(lines[:, :1], (len(lines), len(columns)))
    whole = _whole_numbers(bodies[:, columns], 255, [names[c] for c in columns], where, path)
    arrays = {names[c]: whole[:, k].astype(np.int32) for k, c in enumerate(columns)}
    return arrays | {name: bodies[:, names.index(name)].copy() for name in _LEAN}


def _whole_numbers(
    values: np.ndarray, largest: int, names: Sequence[str], lines: np.ndarray, path: str
) -> np.ndarray:
    """Whole numbers from 0 to ``largest`` (at most 255) as uint8.

    ``names`` are those of the columns of ``values``; ``lines`` says where each value is.
    """
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.uint8)
    right = (whole == values) & (values <= largest)
    if not right.all():
        row, column = np.argwhere(~right)[0]
        raise InputError(
            f"bad {names[column]}", path=path, position=f"line {lines[row, column]}",
            found=_shown(values[row, column]), expected=f"a whole number from 0 to {largest}",
        )  # fmt: skip
    return whole


def _shown(numbers: np.ndarray) -> str:
    return " ".join(f"{number:.7g}" for number in np.atleast_1d(numbers))


def split_clips(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Assign the clips of a release to the official protocols; see `splits`."""
    return splits(clip["clip_id"] for clip in clips)


CONVERTER = Converter(
    name="ntu", discover=discover, describe=describe, read=read, splits=split_clips, survey=survey
)
