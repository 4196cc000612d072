"""CSV tables of a release: which files a folder has, and which columns they have.

* ``dataset.json``: the release's manifest, of the one layer that is in the tables.
* ``clips.csv``: one row for each clip, with its clip columns.
* ``poses.csv``: one row for each joint of each pose, with the columns of
  `posedata.release.Release.to_pandas`.
* ``persons.csv``: one row for each pose, with what belongs to all of it: the source's id of the
  person, the box.
* ``splits.csv``, ``segments.csv``: as in the release.

An empty cell is NaN, or not known; ``""`` is an empty text. All rows of a clip stand together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

DATASET, CLIPS, POSES = "dataset.json", "clips.csv", "poses.csv"
PERSONS, SPLITS, SEGMENTS = "persons.csv", "splits.csv", "segments.csv"
#: What the rows of ``poses.csv`` and ``persons.csv`` belong to.
POSE_KEYS = ("clip_id", "person", "frame", "joint")
PERSON_KEYS = ("clip_id", "person", "frame")

_AXES: Mapping[int, Sequence[str]] = {2: "xy", 3: "xyz", 4: "wxyz"}
_BOX = ("x0", "y0", "x1", "y1")


class Column(NamedTuple):
    """A column of a layer, as columns of a table.

    Attributes
    ----------
    name : str
        In the layer, e.g. ``keypoints_2d``.
    type : str
        Of its numbers, e.g. ``float32``.
    shape : tuple of int
        Of what one row has of it; () for one number.
    headers : tuple of str
        In the table, one for each number, e.g. ``keypoints_2d_x`` and ``keypoints_2d_y``.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    headers: tuple[str, ...]


def joint_columns(definitions: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """Columns of ``poses.csv`` beside its keys: those of the layer with values for each joint.

    Parameters
    ----------
    definitions : mapping
        Columns of the layer, in the form of ``schemas/columns.json``.
    """
    return [
        _column(name, column, column["shape"][1:], _AXES.get(math.prod(column["shape"][1:])))
        for name, column in definitions.items()
        if column["per"] == "pose" and column["shape"][:1] == ["V"]
    ]


def pose_columns(definitions: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """Columns of ``persons.csv`` beside its keys and ``person_id``: one value for each pose."""
    return [
        _column(name, column, column["shape"], _BOX if name == "boxes" else None)
        for name, column in definitions.items()
        if column["per"] == "pose"
        and column["shape"][:1] != ["V"]
        and name not in ("frames", "persons")
    ]


def _column(
    name: str, definition: Mapping[str, Any], shape: Sequence[int], axes: Sequence[str] | None
) -> Column:
    headers: tuple[str, ...] = (name,)
    if shape:
        axes = axes or [str(axis) for axis in range(math.prod(shape))]
        headers = tuple(f"{name}_{axis}" for axis in axes)
    return Column(name, definition["type"], tuple(shape), headers)
