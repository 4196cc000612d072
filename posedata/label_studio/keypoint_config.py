"""The labelling configuration of Label Studio for the joints of a skeleton."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from posedata.skeleton import Skeleton

#: Names of the tags in the configuration, which each result repeats as ``from_name``.
IMAGE, PERSON, JOINT, OCCLUDED = "image", "person", "joint", "occluded"
#: The one label of rectangles, and the one choice of occluded joints.
PERSON_LABEL, OCCLUDED_CHOICE = "person", "occluded"

# Label Studio uses u (unselect) and the letters of its tools (b, e, h, k, m, o, p, r, v, ...).
# Labels beyond these get a key from Label Studio, or none.
_HOTKEYS = "1234567890qtyfgjxcnd"
_PERSON_HOTKEY, _OCCLUDED_HOTKEY = "a", "o"

# Parts of the body by the middle of a joint's name. The first that fits counts.
_PARTS = (
    ("arm", re.compile(r"shoulder|elbow|wrist|hand|thumb|pinky|finger|(?<!foot_)index")),
    ("leg", re.compile(r"hip|knee|ankle|foot|heel|toe")),
    ("head", re.compile(r"head|nose|eye|ear|mouth|face|jaw|chin")),
)
# Left is blue, right is red, as in most of the field's figures; the middle is neither.
_COLOURS = {
    ("head", "left"): "#7fd1ff", ("head", "right"): "#ffb3a7", ("head", ""): "#ffe14d",
    ("arm", "left"): "#1f8fff", ("arm", "right"): "#ff5a36", ("arm", ""): "#c77dff",
    ("leg", "left"): "#0b4fd6", ("leg", "right"): "#c4161c", ("leg", ""): "#9d4edd",
    ("trunk", "left"): "#4fb3bf", ("trunk", "right"): "#ff9e80", ("trunk", ""): "#57d957",
}  # fmt: skip
_PERSON_COLOUR = "#ffffff"


def labelling_config(skeleton: Skeleton) -> str:
    """Write the labelling configuration for a skeleton.

    Parameters
    ----------
    skeleton : Skeleton
        Any.

    Returns
    -------
    str
        XML: an image, a rectangle for each person, a keypoint label for each joint in the order
        of the skeleton, and a choice for the selected joint that says it is occluded. Label
        Studio keeps the choice as a further result with the id of the joint's region.
        ``model_index`` is what Label Studio's own exports of keypoints take the order from.

    Examples
    --------
    >>> from posedata.skeleton import load_skeleton
    >>> print(labelling_config(load_skeleton("penn13")).splitlines()[6].strip())
    <Label value="head" background="#ffe14d" model_index="0" hotkey="1"/>
    """
    lines = [
        "<View>",
        f'  <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true"'
        ' rotateControl="false"/>',
        f'  <RectangleLabels name="{PERSON}" toName="{IMAGE}" strokeWidth="1" opacity="0.1">',
        f'    <Label value="{PERSON_LABEL}" background="{_PERSON_COLOUR}"'
        f' hotkey="{_PERSON_HOTKEY}"/>',
        "  </RectangleLabels>",
        f'  <KeyPointLabels name="{JOINT}" toName="{IMAGE}" opacity="0.9">',
    ]
    for number, joint in enumerate(skeleton.joints):
        attributes = f'background="{joint_colour(skeleton, joint)}" model_index="{number}"'
        if number < len(_HOTKEYS):
            attributes += f' hotkey="{_HOTKEYS[number]}"'
        lines.append(f"    <Label value={quoteattr(joint)} {attributes}/>")
    lines += [
        "  </KeyPointLabels>",
        f'  <Choices name="{OCCLUDED}" toName="{IMAGE}" perRegion="true" choice="multiple"'
        f' visibleWhen="region-selected" whenTagName="{JOINT}" showInline="true">',
        f'    <Choice value="{OCCLUDED_CHOICE}" hotkey="{_OCCLUDED_HOTKEY}"/>',
        "  </Choices>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def joint_colour(skeleton: Skeleton, joint: str) -> str:
    """Give the colour of a joint: its hue says the side, its shade the part of the body."""
    number = skeleton.joints.index(joint)
    side = ""
    for left, right in skeleton.swap:
        side = "left" if number == left else "right" if number == right else side
    part = next((part for part, name in _PARTS if name.search(joint)), "trunk")
    if not side and part in ("arm", "leg"):
        part = "trunk"  # mid_hip, hip_center, spine_shoulder
    return _COLOURS[part, side]
