"""Parts of the body by joint names, for every skeleton: ``schemas/body_parts.json``."""

from __future__ import annotations

import functools
import json
import re
from collections import deque
from importlib import resources
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.skeleton import Skeleton

#: The six masks of SubG-DA: what each makes invisible.
SUB_GRAPHS = ("upper", "lower", "right", "left", "centre", "none")

_SIDE = re.compile(r"^(left|right)_")
_NUMBER = re.compile(r"_?\d+$")


@functools.cache
def _schema() -> dict[str, Any]:
    file = resources.files("posedata.schemas").joinpath("body_parts.json")
    return json.loads(file.read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=512)
def _part(joints: tuple[str, ...], swap: tuple[tuple[int, int], ...], part: str) -> np.ndarray:
    inside = np.zeros(len(joints), bool)
    if part in ("left", "right"):
        inside[[pair[0 if part == "left" else 1] for pair in swap]] = True
    elif part != "none":
        schema = _schema()
        halves = set(schema["upper"]) | set(schema["lower"])
        for number, joint in enumerate(joints):
            name = _NUMBER.sub("", _SIDE.sub("", joint))
            if name not in halves:
                raise UsageError("a joint that belongs to no known part of the body", found=joint,
                                 expected=", ".join(sorted(halves)))  # fmt: skip
            inside[number] = name in schema[part]
    inside.setflags(write=False)
    return inside


def joints_of_part(skeleton: Skeleton, part: str) -> np.ndarray:
    """Say which joints belong to a part of the body.

    Parameters
    ----------
    skeleton : Skeleton
        Any whose joints have known names.
    part : {"upper", "lower", "right", "left", "centre", "none"}
        Upper: head, trunk and arms; lower: hips and legs, with the root between the hips. Left
        and right: the two sides of the swap pairs, the person's own. Centre: what lies in no limb
        (head, neck, spine, root). Upper and lower, and the two sides and the centre, are all
        joints; eyes and ears belong to a side and to the centre.

    Returns
    -------
    bool, shape (V,)
        Not to be written to.

    Raises
    ------
    UsageError
        If a joint's name is not known.
    """
    return _part(skeleton.joints, skeleton.swap, part)


@functools.lru_cache(maxsize=64)
def _flip_order(num_joints: int, swap: tuple[tuple[int, int], ...]) -> np.ndarray:
    order = np.arange(num_joints)
    for left, right in swap:
        order[[left, right]] = right, left
    order.setflags(write=False)
    return order


def flip_order_of(skeleton: Skeleton) -> np.ndarray:
    """Return ``skeleton.flip_order``, made once for each skeleton and not to be written to."""
    return _flip_order(skeleton.num_joints, skeleton.swap)


@functools.lru_cache(maxsize=64)
def _spine(joints: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    for line in _schema()["spine"]["lines"]:
        if set(joints).issuperset([*line["from"], *line["to"]]):
            return (np.array([joints.index(joint) for joint in line["from"]], np.intp),
                    np.array([joints.index(joint) for joint in line["to"]], np.intp))  # fmt: skip
    raise UsageError("a skeleton without a spine to measure", found=", ".join(joints),
                     expected="hips and shoulders of both sides")  # fmt: skip


def spine_of(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Return the joints whose middle is the lower, and the upper end of the spine.

    Returns
    -------
    lower, upper : int, shape (1,) or (2,)

    Raises
    ------
    UsageError
        If the skeleton has no joints for it.
    """
    return _spine(skeleton.joints)


@functools.lru_cache(maxsize=64)
def _parents(
    name: str, joints: tuple[str, ...], bones: tuple[tuple[int, int], ...], root: str
) -> np.ndarray:
    parents = np.full(len(joints), -1, np.intp)
    if len({joint for joint, _ in bones}) == len(bones) == len(joints) - 1:
        # each joint but one has a bone of its own: they are written as (joint, parent)
        for joint, parent in bones:
            parents[joint] = parent
    if not _is_tree(parents):
        pairs = _schema()["links"].get(name, {"pairs": []})["pairs"]
        links = tuple(
            (joints.index(first), joints.index(second))
            for first, second in pairs
            if first in joints and second in joints
        )
        parents = _grown(len(joints), bones + links, joints.index(root))
    parents.setflags(write=False)
    return parents


def _is_tree(parents: np.ndarray) -> bool:
    """Say whether all joints but one have a parent, and all ways from parent to parent end."""
    place: np.ndarray = np.arange(len(parents))
    for _ in range(len(parents)):
        place = np.where(place < 0, -1, parents[place])
    return np.count_nonzero(parents < 0) == 1 and bool((place < 0).all())


def _grown(num_joints: int, bones: tuple[tuple[int, int], ...], root: int) -> np.ndarray:
    """Give each joint the one through which it is first reached from the root along bones."""
    neighbours: list[list[int]] = [[] for _ in range(num_joints)]
    for first, second in bones:
        neighbours[first].append(second)
        neighbours[second].append(first)
    parents = np.full(num_joints, -1, np.intp)
    reached = [False] * num_joints
    for start in [root, *range(num_joints)]:
        if reached[start]:
            continue
        reached[start] = True
        waiting = deque([start])
        while waiting:
            joint = waiting.popleft()
            for other in neighbours[joint]:
                if not reached[other]:
                    reached[other] = True
                    parents[other] = joint
                    waiting.append(other)
    return parents


def parents_of(skeleton: Skeleton) -> np.ndarray:
    """Return the joint at the other end of each joint's bone.

    Where the skeleton's bones are a tree written as (joint, parent), as those of NTU RGB+D,
    Kinect and OpenPose are, that tree: its root is the joint without a bone of its own (2s-AGCN's
    top of the spine). Elsewhere each joint's parent is the one through which it is first reached
    from the skeleton's root along its bones, and along the links in ``schemas/body_parts.json``;
    those make PYSKL's tree of COCO's 17 joints. The two sides of the body mirror each other.

    Parameters
    ----------
    skeleton : Skeleton
        Any.

    Returns
    -------
    int, shape (V,)
        -1 for the root, and for a joint that begins a part joined to nothing. Not to be written
        to.
    """
    return _parents(skeleton.name, skeleton.joints, skeleton.bones, skeleton.root)
