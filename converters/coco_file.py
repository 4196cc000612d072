"""One COCO JSON file of keypoints: annotations of images, or a list of results.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://cocodataset.org; the
whole-body fields are of Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020; the
fields of videos of PoseTrack (Andriluka et al., CVPR 2018) and CocoVID.

* Annotations: ``{"images": [...], "annotations": [...], "categories": [...]}``. ``keypoints`` is x,
  y, v for each joint; v is 0 (not labelled), 1 (labelled, not visible) or 2 (visible).
* Results: ``[{"image_id", "category_id", "keypoints", "score"}, ...]``. The third number of a joint
  is a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posedata.converters.coco_lists import CocoImage, parse_entries, parse_images
from posedata.errors import InputError
from posedata.joint_names import MatchedJoints, match_joints
from posedata.json_view import is_array, is_object, view_json
from posedata.skeleton import load_skeleton

#: Skeletons by the number of joints V, where the file does not name the joints.
SKELETONS: Mapping[int, str] = {14: "crowdpose14", 17: "coco17", 133: "coco_wholebody133"}


class CocoFile(NamedTuple):
    """What a file holds: A annotations or results.

    Attributes
    ----------
    results : bool
        Whether it is a list of results.
    images : list of CocoImage
        Empty for results.
    video_names : mapping
        Video: its name in ``videos``.
    joints : MatchedJoints
        The skeleton, and where its V joints are.
    rows : mapping
        Image id: its rows in the arrays, in the order of the file.
    keypoints : float64, shape (A, V, 3)
        In the order of the skeleton: x, y, and v or score.
    boxes : float64, shape (A, 4)
        x0 y0 x1 y1; NaN where there is none.
    ids : sequence of int or str or None
        Of annotations.
    track_ids : sequence of str
        ``""`` where there is none.
    areas, scores : float64, shape (A,)
        NaN where there is none.
    crowd, num_keypoints, categories : int64, shape (A,)
        -1 where there is none.
    left_out : tuple of str
        Fields of annotations that are not read.
    """

    results: bool
    images: list[CocoImage]
    video_names: Mapping[str, str]
    joints: MatchedJoints
    rows: Mapping[int | str, np.ndarray]
    keypoints: np.ndarray
    boxes: np.ndarray
    ids: Sequence[Any]
    track_ids: Sequence[str]
    areas: np.ndarray
    scores: np.ndarray
    crowd: np.ndarray
    num_keypoints: np.ndarray
    categories: np.ndarray
    left_out: tuple[str, ...]


def parse_coco(text: bytes, path: str, skeleton: str = "") -> CocoFile:
    """Read a file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.
    skeleton : str
        The joints, where the file does not name them.

    Raises
    ------
    InputError
        Where the text is not what the format says, has boxes only, or joints that no skeleton has.
    """
    content = view_json(text, path)
    results = is_array(content)
    names: tuple[str, ...] = ()
    images: list[CocoImage] = []
    video_names: dict[str, str] = {}
    entries = content
    if not results:
        if not is_object(content) or not {"images", "annotations"} <= set(content):
            raise InputError(
                "not a COCO file", path=path,
                expected="an object with 'images' and 'annotations', or a list of results",
            )  # fmt: skip
        images = parse_images(content["images"], path)
        fields = set(content)
        video_names = _video_names(content["videos"] if "videos" in fields else None)
        names = _joint_names(content["categories"] if "categories" in fields else None)
        entries = content["annotations"]
    found = parse_entries(entries, path)
    num = len(found.ids)
    num_joints = found.keypoints.shape[1] // 3
    if not num_joints and (num or not names):
        raise InputError(
            "boxes without keypoints" if num else "no annotations", path=path,
            expected="annotations with 'keypoints'",
            remedy="Give the person_keypoints file." if num else None,
        )  # fmt: skip
    joints = _joints(names, num_joints, skeleton, path)
    keypoints = found.keypoints.reshape(num, num_joints or len(joints.order), 3)
    return CocoFile(
        results=results,
        images=images,
        video_names=video_names,
        joints=joints,
        rows=found.rows,
        keypoints=keypoints[:, list(joints.order)],
        boxes=found.boxes,
        ids=found.ids,
        track_ids=found.track_ids,
        areas=found.areas,
        scores=found.scores,
        crowd=found.whole["iscrowd"],
        num_keypoints=found.whole["num_keypoints"],
        categories=found.whole["category_id"],
        left_out=tuple(sorted(found.left_out)),
    )


def _joints(names: tuple[str, ...], num_joints: int, chosen: str, path: str) -> MatchedJoints:
    if chosen:
        skeleton = load_skeleton(chosen)
        if num_joints and skeleton.num_joints != num_joints:
            raise InputError(
                "another number of joints than the chosen skeleton has", path=path,
                found=num_joints, expected=f"{skeleton.num_joints} ({skeleton.name})",
            )  # fmt: skip
        return MatchedJoints(skeleton.name, tuple(range(skeleton.num_joints)))
    if names and num_joints in (0, len(names)):
        if match := match_joints(names):
            return match
    elif num_joints in SKELETONS:  # whole-body files name the 17 joints of the body only
        return MatchedJoints(SKELETONS[num_joints], tuple(range(num_joints)))
    raise InputError(
        "joints of no known skeleton", path=path, found=", ".join(names)[:200] or num_joints,
        remedy="Name the skeleton with --joints, if the joints are in its order.",
    )  # fmt: skip


def _video_names(entries: Any) -> dict[str, str]:
    if not is_array(entries):
        return {}
    named = [dict(entry.items()) for entry in entries if is_object(entry)]
    return {
        str(entry["id"]): entry["name"]
        for entry in named
        if "id" in entry and isinstance(entry.get("name"), str)
    }


def _joint_names(categories: Any) -> tuple[str, ...]:
    """Joint names of the category that has any; of two that differ, none."""
    found = set()
    for category in categories if is_array(categories) else ():
        if is_object(category) and "keypoints" in list(category):
            names = category["keypoints"]
            if is_array(names) and all(isinstance(name, str) for name in names):
                found.add(tuple(names))
    return found.pop() if len(found) == 1 else ()
