"""CSV tables: a folder that ``--to csv`` has written, or poses of one's own in ``poses.csv``.

Which files and columns there are is said in :mod:`posedata.converters.csv_layout`. Of tables of
one's own, ``poses.csv`` is enough, with the columns clip_id (the first), person, frame, joint, and
coordinates: x and y are pixels, x, y and z metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from posedata.converters.csv_layout import (
    CLIPS,
    PERSONS,
    POSES,
)
from posedata.errors import InputError
from posedata.skeleton import load_skeleton
from posedata.storage import Location
from posedata.unrounded import Unrounded

if TYPE_CHECKING:
    from posedata.converters.csv_rows import Poses, Tables


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Find where the rows of each clip are, and read the table of clips.

    Parameters
    ----------
    raw : Location
        A folder with ``poses.csv``.
    options : mapping
        ``joints``.

    Raises
    ------
    InputError
        If there is no ``poses.csv``, or its columns are not those of poses.
    """
    from posedata.converters.csv_folder import (
        find_tables,
        read_clips,
        read_segments,
        read_splits,
        runs_by_clip,
    )
    from posedata.converters.csv_scan import scan_table  # numba: only where files are read

    if not (raw / POSES).exists():
        raise InputError("no poses.csv here", path=raw, remedy="Give the folder with the tables.")
    names = [name for name in (POSES, PERSONS, CLIPS) if (raw / name).exists()]
    scans = {name: scan_table(raw / name, name) for name in names}
    problems: list[Problem] = []
    tables = find_tables(raw, scans, options["joints"], problems)
    rows = read_clips(raw, tables, scans.get(CLIPS))
    runs = {name: runs_by_clip(name, scans[name], problems)
            for name in (POSES, PERSONS) if name in scans}  # fmt: skip
    torn = {problem.position for problem in problems if problem.severity == "reject"}
    samples = []
    for clip_id in sorted(
        {*rows, *(clip_id for of_table in runs.values() for clip_id in of_table)}
    ):
        if f"clip {clip_id}" in torn:
            continue
        if CLIPS in scans and clip_id not in rows:
            problems.append(Problem(POSES, "discover", "not in clips.csv", f"clip {clip_id}",
                                    "warning"))  # fmt: skip
        mine = {name: of_table[clip_id] for name, of_table in runs.items() if clip_id in of_table}
        size = sum(run.end - run.start for run in mine.values())
        info = {"tables": tables, "row": rows.get(clip_id, {}), "runs": mine}
        samples.append(Sample(clip_id, POSES, size, info=info))
    return Discovery(
        samples,
        problems,
        segments=read_segments(raw, tables, problems),
        splits=read_splits(raw, problems),
    )


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say of the data set what ``dataset.json`` says."""
    tables: Tables = samples[0].info["tables"]
    manifest = tables.manifest
    (name,) = manifest.layers
    layer = manifest.layers[name]
    table = manifest.table(name)
    own: Mapping[str, Mapping[str, Any]] = layer.get("own_columns", {})
    of_clips = {n: column for n, column in own.items() if column["per"] == "clip"}
    return Description(
        name=manifest.name,
        title=manifest.title,
        license=manifest.license,
        source=manifest.source,
        citation=manifest.citation,
        layers=(
            LayerDescription(
                name=name,
                skeleton=table.skeleton.name,
                columns=tuple(table.pose_columns),
                own_columns={n: column for n, column in own.items() if n not in of_clips},
            ),
        ),
        columns=tuple(table.clip_columns),
        own_columns=of_clips,
        label_names=table.label_names,
        segment_names=tuple(manifest.segment_names),
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read the rows of one clip.

    Parameters
    ----------
    raw : Location
        The folder.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Its layer says which columns there are.

    Returns
    -------
    clip : Clip
        Of tables that ``--to csv`` has written, the clip that was exported.
    problems : sequence of Problem
        Warnings: coordinates that had to become missing.

    Raises
    ------
    InputError
        If a row is not what its columns say, or a frame is outside the clip.
    """
    from posedata.converters.csv_rows import read_poses

    tables: Tables = sample.info["tables"]
    poses = read_poses(raw, tables, sample.info["runs"])
    row = {n: value for n, value in sample.info["row"].items() if n != "clip_id"}
    info = {name: value for name, value in row.items() if value is not None}
    last = int(poses.frames.max(initial=-1))
    frames = info.setdefault("num_frames", last + 1)
    if last >= frames or frames < 0:
        raise InputError("frames outside the clip", path=POSES, position=f"clip {sample.clip_id}",
                         found=f"frame {last}", expected=f"fewer than num_frames {frames}",
                         )  # fmt: skip
    problems: list[Problem] = []
    arrays, unrounded = _checked(poses, tables, sample, problems)
    order, persons, person_ids = _persons(poses, tables)
    layer = description.layer(sample.layer)
    arrays = {name: values[order] for name, values in arrays.items()}
    fixed = ("keypoints_2d", "keypoints_3d", "scores", "visibility", "boxes")
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=poses.frames[order],
        persons=persons,
        **{name: arrays.pop(name) for name in fixed if name in arrays},
        person_ids=person_ids,
        extra=arrays,
        unrounded=unrounded,
        info=info,
    ), problems


def _checked(
    poses: Poses, tables: Tables, sample: Sample, problems: list[Problem]
) -> tuple[dict[str, np.ndarray], dict[str, Unrounded]]:
    """Make float32 of what is kept, and NaN of what is partly missing or infinite."""

    def warn(what: str, wrong: np.ndarray) -> None:
        if wrong.any():
            row = np.argwhere(wrong)[0][0]
            problems.append(Problem(
                POSES, "read", f"{what}: {np.count_nonzero(wrong)} times",
                f"clip {sample.clip_id}, person {poses.persons[row]}, frame {poses.frames[row]}",
                "warning",
            ))  # fmt: skip

    arrays = dict(poses.arrays)
    unrounded: dict[str, Unrounded] = {}
    missing = []
    for name in ("keypoints_2d", "keypoints_3d", "boxes"):
        if name not in arrays:
            continue
        source = arrays[name]
        with np.errstate(over="ignore"):
            kept = source.astype(np.float32)
        is_missing = ~np.isfinite(kept).all(-1)
        warn(f"{name} partly missing, or infinite, and now missing",
             is_missing & ~np.isnan(source).all(-1))  # fmt: skip
        arrays[name] = np.where(is_missing[..., None], np.float32(np.nan), kept)
        if name in tables.rules:
            from posedata.source_numbers import find_unrounded

            source = np.where(is_missing[..., None], np.nan, source)
            unrounded[name] = find_unrounded(arrays[name], source, tables.rules[name])
        if name != "boxes":
            missing.append(is_missing)
    for name in ("scores", "visibility"):
        if name in arrays and missing:
            nowhere = np.logical_and.reduce(missing)
            warn(f"{name} of joints that are missing, now 0", nowhere & (arrays[name] != 0))
            arrays[name] = np.where(nowhere, arrays[name].dtype.type(0), arrays[name])
    return arrays, unrounded


def _persons(
    poses: Poses, tables: Tables
) -> tuple[np.ndarray | slice, np.ndarray, tuple[str, ...]]:
    """Give the order of the rows, their persons, and the ids of these.

    The persons of tables of one's own may have any numbers: these become their ids.
    """
    ids = poses.person_ids
    if not tables.is_own:
        count = int(poses.persons.max(initial=-1)) + 1
        return (
            slice(None),
            poses.persons,
            tuple(ids.get(p, "") for p in range(count)) if ids else (),
        )
    by_frame = np.lexsort((poses.persons, poses.frames))
    number = {p: n for n, p in enumerate(dict.fromkeys(poses.persons[by_frame].tolist()))}
    persons = np.array([number[p] for p in poses.persons.tolist()], np.int32)
    order = np.lexsort((poses.frames, persons))
    return order, persons[order], tuple(ids.get(p, str(p)) for p in number)


CONVERTER = Converter(
    name="csv",
    discover=discover,
    describe=describe,
    read=read,
    options=(
        Option(
            "joints",
            "the skeleton of tables of one's own: e.g. coco17 (default: the skeleton that has "
            "exactly the joints of the first clip)",
            default="",
        ),
    ),
)
