"""Skeletons: named joint sets with their bones, left/right pairs, root and head.

The sets that posedata knows are files in ``schemas/skeletons``, one a set, with the places their
facts come from. A release carries its skeletons in full in its manifest, so that a reader needs
none of these files.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import reprlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from posedata.errors import ReleaseError, UsageError

if TYPE_CHECKING:
    import numpy as np

_JOINT_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Skeleton:
    """A named joint set.

    Build one from anything that was read from a file with :meth:`from_dict`, which checks it.

    Parameters
    ----------
    name : str
        Such as ``"nturgbd25"``.
    joints : tuple of str
        The V joint names in the order of the arrays, in snake_case.
    bones : tuple of (int, int)
        The B pairs of joint indices that are joined.
    swap : tuple of (int, int)
        Pairs of joint indices (the person's left, the person's right) that change places when a
        pose is mirrored. Joints in no pair lie in the middle of the body.
    root : str
        The joint that poses are aligned to.
    head : (str, str), optional
        The lower and the upper joint whose distance measures the head. None where no two joints
        do.
    sigmas : tuple of float, optional
        The V constants of object keypoint similarity (OKS). None where none are published.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    swap: tuple[tuple[int, int], ...]
    root: str
    head: tuple[str, str] | None = None
    sigmas: tuple[float, ...] | None = None

    @property
    def num_joints(self) -> int:
        """V, the number of joints."""
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the index of a joint; `UsageError` where the skeleton does not have it."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise UsageError(
                f"the skeleton {self.name} has no such joint",
                found=reprlib.repr(joint),
                remedy=_suggestion(joint, self.joints)
                + f"Its joints are: {', '.join(self.joints)}",
            ) from None

    @property
    def bone_indices(self) -> np.ndarray:
        """The bones as an int array of shape (B, 2)."""
        import numpy as np

        return np.array(self.bones, dtype=np.intp).reshape(-1, 2)

    @property
    def flip_order(self) -> np.ndarray:
        """The permutation that exchanges left and right, as an int array of shape (V,).

        ``keypoints[..., skeleton.flip_order, :]`` names every joint by the other side. A mirrored
        picture needs that and new x coordinates.
        """
        import numpy as np

        order = np.arange(self.num_joints, dtype=np.intp)
        for left, right in self.swap:
            order[[left, right]] = right, left
        return order

    def to_dict(self) -> dict[str, Any]:
        """Return the skeleton as the manifest of a release holds it under the skeleton's name."""
        return {
            "joints": list(self.joints),
            "bones": [list(bone) for bone in self.bones],
            "swap": [list(pair) for pair in self.swap],
            "root": self.root,
            "head": None if self.head is None else list(self.head),
            "sigmas": None if self.sigmas is None else list(self.sigmas),
        }

    @classmethod
    def from_dict(cls, name: str, value: Any) -> Skeleton:
        """Build a skeleton from a manifest entry that may hold anything.

        Parameters
        ----------
        name : str
            The key of the entry.
        value : any JSON value
            An object with ``joints``, ``bones``, ``swap`` and ``root``, and perhaps ``head`` and
            ``sigmas``. Other keys are ignored, as a later version of the format may add some.

        Raises
        ------
        ReleaseError
            Where the entry is not a skeleton, with the place in it and the reason.
        """
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ReleaseError(
                "not a name for a skeleton", position="skeletons", found=reprlib.repr(name)
            )
        place = f"skeletons.{name}"
        if not isinstance(value, dict):
            raise _malformed(place, value, "an object")
        for field in ("joints", "bones", "swap", "root"):
            if field not in value:
                raise ReleaseError(f"a skeleton without {field}", position=place)

        joints = _joint_names(value["joints"], f"{place}.joints")
        bones = _index_pairs(value["bones"], len(joints), f"{place}.bones")
        swap = _index_pairs(value["swap"], len(joints), f"{place}.swap")
        paired: set[int] = set()
        for number, pair in enumerate(swap):
            if not paired.isdisjoint(pair):
                raise ReleaseError(
                    "a joint in two swap pairs",
                    position=f"{place}.swap[{number}]",
                    found=list(pair),
                )
            paired.update(pair)

        root, head, sigmas = value["root"], value.get("head"), value.get("sigmas")
        if not isinstance(root, str) or root not in joints:
            raise _malformed(f"{place}.root", root, "one of the joints")
        if head is not None and not _is_pair_of(head, joints):
            raise _malformed(f"{place}.head", head, "two of the joints, or null")
        if sigmas is not None and not _are_sigmas(sigmas, len(joints)):
            raise _malformed(
                f"{place}.sigmas", sigmas, f"{len(joints)} positive numbers (one a joint), or null"
            )
        return cls(
            name,
            joints,
            bones,
            swap,
            root,
            head=None if head is None else (head[0], head[1]),
            sigmas=None if sigmas is None else tuple(float(sigma) for sigma in sigmas),
        )


def load_skeleton(name: str) -> Skeleton:
    """Return one of the skeletons that posedata knows.

    Parameters
    ----------
    name : str
        A name or an alias, in any case, with ``-`` or ``_``: ``"nturgbd25"``, ``"ntu"``,
        ``"BODY_25"``.

    Raises
    ------
    UsageError
        Where there is no such skeleton; it names those that there are.

    Examples
    --------
    >>> load_skeleton("coco").joints[:3]
    ('nose', 'left_eye', 'right_eye')
    """
    skeletons, names = _known()
    key = name.strip().lower().replace("-", "_") if isinstance(name, str) else ""
    if key not in names:
        raise UsageError(
            "unknown skeleton",
            found=reprlib.repr(name),
            remedy=_suggestion(key, names) + f"The skeletons are: {', '.join(skeletons)}",
        )
    return skeletons[names[key]]


def list_skeletons() -> list[str]:
    """Return the names of the skeletons that posedata knows, in alphabetical order."""
    return list(_known()[0])


@functools.cache
def _known() -> tuple[dict[str, Skeleton], dict[str, str]]:
    """Return the known skeletons by name, and the name for each name and alias."""
    folder = resources.files("posedata.schemas").joinpath("skeletons")
    skeletons, names = {}, {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            schema = json.loads(file.read_text(encoding="utf-8"))
            name = schema["name"]
            skeletons[name] = Skeleton.from_dict(name, schema)
            names.update(dict.fromkeys([name, *schema["aliases"]], name))
    return skeletons, names


def _suggestion(word: object, known: Iterable[str]) -> str:
    """Return ``"Did you mean x or y? "``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known)) if isinstance(word, str) else []
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _malformed(place: str, value: Any, expected: str) -> ReleaseError:
    return ReleaseError(
        "a malformed skeleton", position=place, found=reprlib.repr(value), expected=expected
    )


def _joint_names(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _malformed(place, value, "a list of names")
    seen: set[str] = set()
    for number, joint in enumerate(value):
        if not isinstance(joint, str) or not _JOINT_NAME.fullmatch(joint):
            raise _malformed(f"{place}[{number}]", joint, "a name in snake_case")
        if joint in seen:
            raise ReleaseError("a joint twice", position=f"{place}[{number}]", found=joint)
        seen.add(joint)
    return tuple(value)


def _index_pairs(value: Any, num_joints: int, place: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list):
        raise _malformed(place, value, "a list of pairs of joint indices")
    for number, pair in enumerate(value):
        # type() and not isinstance(), because True is an int.
        if (
            not isinstance(pair, list)
            or [type(index) for index in pair] != [int, int]
            or not all(0 <= index < num_joints for index in pair)
            or pair[0] == pair[1]
        ):
            raise _malformed(
                f"{place}[{number}]", pair, f"two different indices from 0 to {num_joints - 1}"
            )
    return tuple((first, second) for first, second in value)


def _is_pair_of(value: Any, joints: tuple[str, ...]) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(joint, str) and joint in joints for joint in value)
        and value[0] != value[1]
    )


def _are_sigmas(value: Any, num_joints: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == num_joints
        # The comparison is false for NaN, and keeps out integers that no float can hold.
        and all(type(x) in (int, float) and 0 < x <= sys.float_info.max for x in value)
    )
