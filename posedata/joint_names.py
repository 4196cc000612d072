"""From the joint names that a file has to one of the skeletons that posedata knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from posedata.skeleton import load_skeleton


class MatchedJoints(NamedTuple):
    """A skeleton, and where its joints are in a file.

    Attributes
    ----------
    skeleton : str
        Its name.
    order : tuple of int
        For each joint of the skeleton, its index in the file.
    remark : str
        What is odd about the names; else empty.
    """

    skeleton: str
    order: tuple[int, ...]
    remark: str = ""


def match_joints(names: Sequence[str]) -> MatchedJoints | None:
    """Find the skeleton whose joints have these names, in any order.

    Parameters
    ----------
    names : sequence of str
        The joints in the order of the file; upper case, spaces and hyphens do not matter.

    Returns
    -------
    MatchedJoints, optional
        None where no skeleton has exactly these joints. Where several have them, one whose order
        is that of the file is taken.
    """
    for listed in _misnamed():
        if list(names) == listed["joints"]:
            order = tuple(range(len(names)))
            return MatchedJoints(listed["skeleton"], order, listed["about"])
    found = []
    keys = [_key(name) for name in names]
    for skeleton, aliases in _aliases():
        expected = load_skeleton(skeleton).joints
        if len(expected) != len(keys):
            continue
        joints = [aliases.get(key, "") for key in keys]
        if sorted(joints) == sorted(expected):
            found.append(MatchedJoints(skeleton, tuple(joints.index(joint) for joint in expected)))
    found.sort(key=lambda match: match.order != tuple(range(len(names))))
    return found[0] if found else None


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


@cache
def _misnamed() -> list[dict[str, Any]]:
    text = resources.files("posedata.schemas").joinpath("coco/joint_lists.json").read_text("utf-8")
    return json.loads(text)["lists"]


@cache
def _aliases() -> list[tuple[str, dict[str, str]]]:
    return list(_read_aliases())


def _read_aliases() -> Iterator[tuple[str, dict[str, str]]]:
    folder = resources.files("posedata.schemas").joinpath("skeletons")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            schema = json.loads(file.read_text(encoding="utf-8"))
            aliases = {_key(name): joint for name, joint in schema["joint_aliases"].items()}
            yield schema["name"], aliases | {joint: joint for joint in schema["joints"]}
