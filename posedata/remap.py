"""Poses of one joint set in another: what is exact, what is derived, what is left missing.

A joint that both skeletons have under one name is copied. Another is derived by the first rule of
``schemas/remap.json`` whose parents the source has, or left missing; it is never invented. The
ledger says which joint became what.

A rule is a weighted mean of joints that the source really has, never of joints that are derived
themselves. The same file lists homonyms: joints that bear a name like those of other skeletons
but lie elsewhere on the body, such as the neck of Kinect v2. They are never copied into another
skeleton, never used by a rule, and only derived by a rule that names their skeleton.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from posedata.errors import UsageError
from posedata.skeleton import Skeleton, load_skeleton


@dataclass(frozen=True)
class JointOrigin:
    """Where one joint of the target skeleton comes from.

    Parameters
    ----------
    joint : str
        The joint of the target.
    how : {"exact", "derived", "unavailable"}
        Copied from the joint of that name, computed by a rule, or missing.
    rule : str, optional
        The rule of a derived joint, such as ``"mid_shoulders"``.
    parents : tuple of (str, float)
        The joints of the source that it is made of, with weights that sum to 1.
    """

    joint: str
    how: Literal["exact", "derived", "unavailable"]
    rule: str | None = None
    parents: tuple[tuple[str, float], ...] = ()


class Remapped(NamedTuple):
    """Poses in the target skeleton, and how they came about.

    Parameters
    ----------
    keypoints : float32, shape (..., V, C)
        In the unit of the source. NaN where a joint is missing.
    scores : float32, shape (..., V), or None
        Of a derived joint, the least of its parents'; 0 where a derived or unavailable joint is
        missing.
    visibility : uint8, shape (..., V), or None
        By the same rule as ``scores``.
    ledger : tuple of JointOrigin
        One entry per joint of the target, in its order.
    """

    keypoints: np.ndarray
    scores: np.ndarray | None
    visibility: np.ndarray | None
    ledger: tuple[JointOrigin, ...]


def remap(
    keypoints: ArrayLike,
    source: Skeleton | str,
    target: Skeleton | str,
    scores: ArrayLike | None = None,
    visibility: ArrayLike | None = None,
) -> Remapped:
    """Give poses of one skeleton the joints of another.

    Parameters
    ----------
    keypoints : float, shape (..., V_source, C)
        Joint positions, of any number of coordinates in any unit. NaN where a joint is missing.
    source, target : Skeleton or str
        The skeleton of ``keypoints`` and the one that is wanted, or their names.
    scores : float, shape (..., V_source), optional
        Confidence of each joint.
    visibility : uint8, shape (..., V_source), optional
        0 missing, 1 present but occluded or inferred, 2 seen.

    Returns
    -------
    Remapped
        ``keypoints``, ``scores`` and ``visibility`` (None where they were not given) with the
        joints of the target, and the ``ledger``.

    Raises
    ------
    UsageError
        Where the arrays do not fit the skeleton or each other, or ``keypoints`` are not floats.

    Notes
    -----
    float32 goes in and comes out without loss: an exact joint is copied bit for bit, and a
    derived one is computed in float64 and rounded once. float64 input is rounded to float32.

    A derived joint is missing (NaN, score 0, visibility 0) where any coordinate of any of its
    parents is NaN.

    Examples
    --------
    >>> poses = np.zeros((1, 17, 2), np.float32)
    >>> poses[0, 5], poses[0, 6] = (140, 80), (100, 90)  # the shoulders
    >>> result = remap(poses, "coco17", "openpose18")
    >>> result.keypoints[0, 1]  # the neck
    array([120.,  85.], dtype=float32)
    >>> result.ledger[1]
    JointOrigin(joint='neck', how='derived', rule='mid_shoulders', \
parents=(('left_shoulder', 0.5), ('right_shoulder', 0.5)))
    """
    source, target = _skeleton(source), _skeleton(target)
    keypoints = np.asarray(keypoints)
    if keypoints.dtype.kind != "f":
        raise UsageError(
            "keypoints that are not floating-point numbers",
            found=keypoints.dtype,
            remedy="Convert them, with NaN for missing joints, which integers cannot hold",
        )
    if keypoints.ndim < 2 or keypoints.shape[-2] != source.num_joints:
        raise UsageError(
            f"keypoints that do not fit the skeleton {source.name}",
            found=f"shape {keypoints.shape}",
            expected=f"(..., {source.num_joints}, C)",
        )
    scores = _per_joint("scores", scores, keypoints.shape[:-1])
    visibility = _per_joint("visibility", visibility, keypoints.shape[:-1])

    ledger = remap_ledger(source, target)
    poses, num_channels = keypoints.shape[:-2], keypoints.shape[-1]
    out = np.full((*poses, target.num_joints, num_channels), np.nan, dtype=np.float32)
    out_scores = np.zeros((*poses, target.num_joints), dtype=np.float32)
    out_visibility = np.zeros((*poses, target.num_joints), dtype=np.uint8)

    for joint, origin in enumerate(ledger):
        if origin.how == "unavailable":
            continue
        parents = [source.index(parent) for parent, _ in origin.parents]
        missing = np.zeros(poses, dtype=bool)
        if origin.how == "exact":
            out[..., joint, :] = keypoints[..., parents[0], :]
        else:
            weights = np.array([weight for _, weight in origin.parents], dtype=np.float64)
            # In float64, as the weights are. Not a matrix product, whose last bits depend on the
            # machine.
            mean = (weights[:, None] * keypoints[..., parents, :]).sum(axis=-2)
            missing = np.isnan(mean).any(axis=-1)
            out[..., joint, :] = np.where(missing[..., None], np.nan, mean)
        if scores is not None:
            out_scores[..., joint] = np.where(missing, 0, scores[..., parents].min(axis=-1))
        if visibility is not None:
            out_visibility[..., joint] = np.where(missing, 0, visibility[..., parents].min(axis=-1))

    return Remapped(
        out,
        None if scores is None else out_scores,
        None if visibility is None else out_visibility,
        ledger,
    )


def remap_ledger(source: Skeleton | str, target: Skeleton | str) -> tuple[JointOrigin, ...]:
    """Return where each joint of the target would come from, in the order of the target.

    Parameters
    ----------
    source, target : Skeleton or str
        The skeletons, or their names.
    """
    return _ledger(_skeleton(source), _skeleton(target))


def format_ledger(ledger: tuple[JointOrigin, ...]) -> str:
    """Return a ledger as a table to read, one line per joint under a line of counts.

    Examples
    --------
    >>> print(format_ledger(remap_ledger("main13", "smarthome17")[:3]))
    3 joints: 1 exact, 2 derived, 0 unavailable
    head  exact
    nose  derived  mid_head_neck  0.5 head + 0.25 left_shoulder + 0.25 right_shoulder
    neck  derived  mid_shoulders  0.5 left_shoulder + 0.5 right_shoulder
    """
    counts = [
        f"{sum(origin.how == how for origin in ledger)} {how}"
        for how in ("exact", "derived", "unavailable")
    ]
    rows = [
        (
            origin.joint,
            origin.how,
            origin.rule or "",
            " + ".join(f"{weight:g} {parent}" for parent, weight in origin.parents)
            if origin.how == "derived"
            else "",
        )
        for origin in ledger
    ]
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([f"{len(ledger)} joints: {', '.join(counts)}", *lines])


@dataclass(frozen=True)
class _Rule:
    """One entry of ``schemas/remap.json``; ``targets`` is None where any target may use it."""

    joint: str
    name: str
    parents: tuple[tuple[str, float], ...]
    targets: tuple[str, ...] | None


@functools.cache
def _rules() -> tuple[tuple[_Rule, ...], frozenset[tuple[str, str]]]:
    """Return the rules in order, and the homonyms as (skeleton, joint)."""
    file = resources.files("posedata.schemas").joinpath("remap.json")
    schema = json.loads(file.read_text(encoding="utf-8"))
    rules = tuple(
        _Rule(
            entry["joint"],
            entry["rule"],
            tuple(entry["from"].items()),
            tuple(entry["to"]) if "to" in entry else None,
        )
        for entry in schema["rules"]
    )
    return rules, frozenset((entry["skeleton"], entry["joint"]) for entry in schema["homonyms"])


@functools.lru_cache(maxsize=512)
def _ledger(source: Skeleton, target: Skeleton) -> tuple[JointOrigin, ...]:
    rules, homonyms = _rules()
    if source.name == target.name:
        homonyms = frozenset()
    usable = {joint for joint in source.joints if (source.name, joint) not in homonyms}

    def origin(joint: str) -> JointOrigin:
        homonym = (target.name, joint) in homonyms
        if joint in usable and not homonym:
            return JointOrigin(joint, "exact", parents=((joint, 1.0),))
        for rule in rules:
            applies = target.name in rule.targets if rule.targets else not homonym
            if rule.joint == joint and applies and usable.issuperset(dict(rule.parents)):
                return JointOrigin(joint, "derived", rule.name, rule.parents)
        return JointOrigin(joint, "unavailable")

    return tuple(origin(joint) for joint in target.joints)


def _skeleton(skeleton: Skeleton | str) -> Skeleton:
    return skeleton if isinstance(skeleton, Skeleton) else load_skeleton(skeleton)


def _per_joint(name: str, values: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != shape:
        raise UsageError(
            f"{name} that do not fit the keypoints",
            found=f"shape {values.shape}",
            expected=f"shape {shape}",
        )
    return values
