"""The joint set of an expert's answers: one that posedata knows, or the model's own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.joint_names import match_joints
from posedata.skeleton import Skeleton, load_skeleton

_ROOTS = ("pelvis", "mid_hip", "hip", "root", "left_hip")


def expert_skeleton(skeleton: str | dict[str, Any]) -> tuple[Skeleton, np.ndarray]:
    """Find the joint set that an expert speaks of.

    Parameters
    ----------
    skeleton : str or dict
        As in `posedata.workers.worker_protocol.Estimator`: the name of one, or an object with
        ``name``, ``joints``, and perhaps ``bones``, ``swap`` and ``sigmas``.

    Returns
    -------
    skeleton : Skeleton
        Of posedata's own, if one has these joints in any order; else one made of what is said.
    order : intp, shape (V,)
        For each of its joints, the place in the answers.

    Raises
    ------
    UsageError
        If there is no such skeleton.
    ReleaseError
        If what is said is not one.
    """
    if isinstance(skeleton, str):
        known = load_skeleton(skeleton)
        return known, np.arange(known.num_joints)
    names = [str(name) for name in skeleton["joints"]]
    match = match_joints(names)
    if match is not None:
        return load_skeleton(match.skeleton), np.array(match.order, np.intp)
    joints = [_snake_case(name) for name in names]
    if not joints:
        raise UsageError("a pose model without joints")
    entry = {
        "joints": joints,
        "bones": [list(pair) for pair in skeleton.get("bones") or ()],
        "swap": [_left_first(pair, joints) for pair in skeleton.get("swap") or ()],
        "root": next((root for root in _ROOTS if root in joints), joints[0]),
        "sigmas": skeleton.get("sigmas"),
    }
    own = Skeleton.from_dict(_snake_case(str(skeleton["name"])), entry)
    return own, np.arange(own.num_joints)


def _snake_case(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    text = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return text if text[:1].isalpha() else f"joint_{text}"


def _left_first(pair: Any, joints: list[str]) -> list[int]:
    first, second = pair
    return [second, first] if "right" in joints[first] else [first, second]
