"""The labels of points in an annotation tool to the joints of a skeleton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from posedata.errors import InputError
from posedata.joint_names import match_joints
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton


@dataclass(frozen=True)
class AnnotatedJoints:
    """A skeleton, and what the annotation tool calls its joints.

    Attributes
    ----------
    skeleton : str
        Its name.
    labels : tuple of str
        For each joint of the skeleton, the label.
    """

    skeleton: str
    labels: tuple[str, ...]

    def as_labelled(self) -> Skeleton:
        """Give the skeleton with its joints called as in the tool."""
        return replace(load_skeleton(self.skeleton), joints=self.labels)


def find_joints(
    used: Sequence[str], configured: Sequence[Sequence[str]], name: str, path: str
) -> AnnotatedJoints:
    """Find the skeleton that labels belong to.

    Parameters
    ----------
    used : sequence of str
        Labels of the points that are there.
    configured : sequence of sequences of str
        Lists of all labels that somebody could have used, each in its order.
    name : str
        The skeleton that the user names; empty for none.
    path : str
        For error messages.

    Raises
    ------
    UsageError
        If there is no skeleton of that name.
    InputError
        If no skeleton has these joints, or several have.
    """
    lists = [*configured, used]
    if name:
        skeleton = load_skeleton(name)
        for labels in lists:
            match = match_joints(labels)
            if match is not None and match.skeleton == skeleton.name:
                return AnnotatedJoints(skeleton.name, tuple(labels[at] for at in match.order))
        own = {_key(label): label for labels in reversed(lists) for label in labels}
        numbered = [labels for labels in configured if len(labels) == skeleton.num_joints]
        if numbered and not own.keys() & set(skeleton.joints):
            return AnnotatedJoints(skeleton.name, tuple(numbered[0]))
        return AnnotatedJoints(
            skeleton.name, tuple(own.get(joint, joint) for joint in skeleton.joints)
        )
    for labels in lists:
        match = match_joints(labels) if labels else None
        if match is not None:
            return AnnotatedJoints(match.skeleton, tuple(labels[at] for at in match.order))
    wanted = {_key(label): label for label in used}
    found = [
        s for s in list_skeletons() if wanted and wanted.keys() <= set(load_skeleton(s).joints)
    ]
    if len(found) == 1:
        joints = load_skeleton(found[0]).joints
        return AnnotatedJoints(found[0], tuple(wanted.get(joint, joint) for joint in joints))
    raise InputError(
        "the labels are those of several skeletons" if found else "the labels are no skeleton's",
        path=path, found=", ".join([*used[:8], *(["..."] if len(used) > 8 else [])]) or "no points",
        remedy=f"Say which: --joints {' or '.join(found[:4]) or 'NAME'}.",
    )  # fmt: skip


def _key(label: str) -> str:
    return label.strip().lower().replace(" ", "_").replace("-", "_")
