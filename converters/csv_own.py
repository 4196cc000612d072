"""CSV tables of one's own: which columns of a layer their names stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posedata.converters.csv_layout import (
    CLIPS,
    PERSONS,
    POSES,
    Column,
    joint_columns,
    pose_columns,
)
from posedata.errors import InputError
from posedata.joint_names import match_joints
from posedata.layer_table import standard_columns
from posedata.manifest import Manifest
from posedata.skeleton import load_skeleton

#: Name of the layer.
LAYER = "csv"


def long_names(headers: Sequence[str]) -> tuple[str, ...]:
    """Give columns of ``poses.csv`` the names that the format has for them.

    x and y are pixels, together with z they are metres; ``score`` is one of ``scores``.
    """
    array = "keypoints_3d" if "z" in headers else "keypoints_2d"
    names = {axis: f"{array}_{axis}" for axis in "xyz"} | {"score": "scores"}
    return tuple(names.get(header, header) for header in headers)


def own_manifest(name: str, headers: Mapping[str, Sequence[str]], skeleton: str) -> Manifest:
    """Say what tables are of which nothing is known but the names of their columns.

    Parameters
    ----------
    name : str
        Of the data set.
    headers : mapping of str to sequence of str
        Table to the names of its columns.
    skeleton : str
        The joint set.

    Raises
    ------
    InputError
        If there are no coordinates, or not all of an array.
    """
    of_joints, of_poses = headers[POSES], headers.get(PERSONS, ())
    columns = [
        *_present(joint_columns(standard_columns()), of_joints, POSES),
        *_present(pose_columns(standard_columns()), of_poses, PERSONS),
    ]
    if not {"keypoints_2d", "keypoints_3d"} & set(columns):
        raise InputError("no coordinates", path=POSES, position="line 1",
                         found=", ".join(of_joints), expected="columns x and y, or x, y and z",
                         )  # fmt: skip
    of_clips = [
        column
        for column, definition in standard_columns().items()
        if definition["per"] == "clip"
        and (column in ("clip_id", "num_frames") or column in headers.get(CLIPS, ()))
    ]
    layer: dict[str, Any] = {
        "skeleton": skeleton,
        "columns": [*of_clips, "person_ids", "frames", "persons", *columns],
        "own_columns": {},
        "label_names": [],
        "made_by": {},
    }
    return Manifest(
        name=name, title=name, license="not said in the tables", source="CSV tables",
        skeletons={skeleton: load_skeleton(skeleton)}, layers={LAYER: layer}, files={}, history=[],
        counts={}, clips={"columns": of_clips, "own_columns": {}, "label_names": []},
    )  # fmt: skip


def _present(columns: Sequence[Column], headers: Sequence[str], path: str) -> list[str]:
    """Names of the columns that a table has; all numbers of them."""
    present = []
    for column in columns:
        lacking = [header for header in column.headers if header not in headers]
        if not lacking:
            present.append(column.name)
        elif len(lacking) < len(column.headers):
            raise InputError(f"only a part of {column.name}", path=path, position="line 1",
                             expected=f"also {', '.join(lacking)}")  # fmt: skip
    return present


def match_names(names: Sequence[str], skeleton: str) -> tuple[str, dict[str, int]]:
    """Find the skeleton whose joints a table names.

    Parameters
    ----------
    names : sequence of str
        The joints of a clip.
    skeleton : str
        Its name; empty: the one that has exactly these joints.

    Returns
    -------
    skeleton : str
        Its name.
    joint_index : dict of str to int
        Name in the table: index in the skeleton.

    Raises
    ------
    InputError
        If there is none.
    """
    if skeleton:
        chosen = load_skeleton(skeleton)
        return chosen.name, {joint: index for index, joint in enumerate(chosen.joints)}
    match = match_joints(names)
    if match is None:
        raise InputError(
            "joints of no known skeleton", path=POSES, found=", ".join(names)[:200] or "none",
            remedy="Name the skeleton with --joints, and the joints as it does.",
        )  # fmt: skip
    return match.skeleton, {names[at]: joint for joint, at in enumerate(match.order)}
