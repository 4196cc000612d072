"""Charades: its tables of clips and actions, and poses where there are any, to clips.

Sigurdsson et al., "Hollywood in Homes: Crowdsourcing Data Collection for Activity Understanding",
ECCV 2016. The data set has no poses; those of estimators are taken where they lie beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Problem, Sample
from posedata.converters.charades_tables import (
    Table,
    class_names,
    is_clip_id,
    parse_charades_json,
    parse_csv,
)
from posedata.converters.expert_files import (
    PoseFile,
    choose_samples,
    describe_layers,
    find_pose_files,
    read_poses,
)
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

_TABLE = re.compile(r"charades_v1_(train|test)\.csv", re.IGNORECASE | re.ASCII)
_JSON_TABLE = "charades.json"
_LARGEST_TABLE = 256 << 20  # the real ones have 4 MB

_OWN_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    name: {"type": kind, "per": "clip", "shape": [], "about": about}
    for name, kind, about in (
        ("duration_s", "float64", "Length of the video as in the table, seconds."),
        ("subject_id", "string", "The performer's code in the data set."),
        ("scene", "string", "The room."),
        ("quality", "int32", "Of the video, judged by an annotator: 1 to 7, 7 is best."),
        ("relevance", "int32", "Of the video to the script, judged by an annotator: 1 to 7."),
        ("verified", "bool", "Whether an annotator verified that the video matches the script."),
        ("script", "string", "The text that was acted."),
        ("objects", "string", "Names of objects, with ; between them."),
        ("descriptions", "string", "What annotators saw, with ; between the texts."),
        ("split", "string", "The table that the clip is in: train or test."),
    )
}  # fmt: skip
_CLIP_COLUMNS = ("num_frames", *_OWN_COLUMNS, "source")


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """Read the tables of a folder and its subfolders, and list the pose files.

    Parameters
    ----------
    raw : Location
        A folder, or one file.
    options : mapping
        None that matters here.

    Returns
    -------
    Discovery
        Every clip of the tables is among the clips, with or without poses.
    """
    files, problems = find_pose_files(raw)
    table, wrong = _read_tables(raw, files)
    problems += [problem for problem in wrong if problem not in problems]
    rows = table.rows

    def clip_id_of(file: PoseFile) -> str:
        if file.stem not in rows and (rows or not is_clip_id(file.stem)):
            raise InputError(
                "not poses of a clip of Charades", found=repr(file.stem),
                expected="a name such as 46GP8" + (" that is in the tables" * bool(rows)),
            )  # fmt: skip
        return file.stem

    poses = [file for file in files if PurePosixPath(file.path).name.lower() != _JSON_TABLE]
    samples, wrong = choose_samples(raw, poses, clip_id_of)
    if samples and not rows:
        problems.append(Problem(
            ".", "discover", "no table here: found no Charades_v1_train.csv, "
            "Charades_v1_test.csv or charades.json, so these clips have neither segments nor "
            "splits", "", "warning",
        ))  # fmt: skip
    samples = [
        replace(sample, info={**rows.get(sample.clip_id, {}), **sample.info}) for sample in samples
    ]
    segments = sorted(table.segments, key=lambda segment: segment.clip_id)
    return Discovery(
        samples, [*problems, *wrong], [rows[clip_id] for clip_id in sorted(rows)], segments
    )


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these samples are; their layers are the experts that have files."""
    return Description(
        name="charades",
        title="Charades",
        license="Charades' licence for non-commercial use (Allen Institute for AI, 2016): "
        "research only, no distribution to third parties in any form",
        source="Charades v1, Charades_v1_train.csv and Charades_v1_test.csv",
        citation="Sigurdsson et al., Hollywood in Homes: Crowdsourcing Data Collection for "
        "Activity Understanding, ECCV 2016",
        layers=describe_layers(samples),
        columns=_CLIP_COLUMNS,
        own_columns=_OWN_COLUMNS,
        segment_names=class_names(),
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
        2D as the expert wrote it: pixels of the video that it was run on.
    problems : sequence of Problem
        Warnings.

    Raises
    ------
    InputError
        If the file is not what its format says.
    """
    info = {name: sample.info.get(name) for name in _OWN_COLUMNS}
    kept = {name: value for name, value in info.items() if value is not None}
    layer = description.layer(sample.layer)
    return read_poses(raw, sample, layer, {**kept, "source": sample.path})


def splits(clips: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Give the official split.

    Yields
    ------
    protocol, split, clip_id : str
        ``official``; ``train`` and ``test``.
    """
    for row in clips:
        if row.get("split"):
            yield "official", row["split"], row["clip_id"]


def survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Count the pose files of each layer, and their clips."""
    return {
        "clips_with_poses": len({sample.clip_id for sample in samples}),
        "files": dict(sorted(Counter(sample.layer for sample in samples).items())),
    }


def _read_tables(raw: Location, files: Sequence[PoseFile]) -> tuple[Table, list[Problem]]:
    """Read the CSV tables, or the JSON where there are none."""
    found, problems = find_files(raw, ".csv")
    tables = [(path, match[1].lower()) for path, _ in found
              if (match := _TABLE.fullmatch(PurePosixPath(path).name))]  # fmt: skip
    extracts = [f.path for f in files if PurePosixPath(f.path).name.lower() == _JSON_TABLE]
    merged = Table({}, [], [])
    taken: dict[str, str] = {}
    for path, split in [*tables, *((path, "json") for path in extracts)]:
        if split in taken:
            problems.append(Problem(path, "discover",
                                    f"a second table: {taken[split]} is taken"))  # fmt: skip
            continue
        if split == "json" and taken:
            other = next(iter(taken.values()))
            problems.append(Problem(
                path, "discover", f"an extract of the tables, left out: {other} is taken", "",
                "warning",
            ))  # fmt: skip
            continue
        try:
            content = found_file(raw, path).read_bytes(_LARGEST_TABLE)
            table = (
                parse_charades_json(content, path)
                if split == "json"
                else parse_csv(content, path, split)
            )
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        taken[split] = path
        problems += table.problems
        again = sorted(merged.rows.keys() & table.rows.keys())
        problems += [
            Problem(path, "discover", "a clip of the other table too, where it is taken", clip_id)
            for clip_id in again
        ]
        segments = (s for s in table.segments if s.clip_id not in merged.rows)
        merged.segments.extend(segments)
        merged.rows.update({k: v for k, v in table.rows.items() if k not in merged.rows})
    return merged, problems


CONVERTER = Converter(
    name="charades",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
)
