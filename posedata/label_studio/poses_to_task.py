"""The people of one frame to a task of Label Studio with one prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.label_studio.keypoint_config import (
    IMAGE,
    JOINT,
    OCCLUDED,
    OCCLUDED_CHOICE,
    PERSON,
    PERSON_LABEL,
)
from posedata.label_studio.percent import to_percent
from posedata.skeleton import Skeleton

# In percent of the picture's width. The editor draws a point with 2 pixels at least, and lets
# nobody drag it nearer to the right and lower border than twice this.
_POINT_WIDTH = 0.2
# A rectangle for a person without a box: around the joints, wider by this part of its longer side,
# and by pixels at least.
_MARGIN, _LEAST_MARGIN = 0.05, 4.0
_LEAST_SIDE = 1.0  # pixels: a smaller rectangle cannot be taken hold of


@dataclass(frozen=True, eq=False)
class FramePoses:
    """The people of one frame in one layer.

    Attributes
    ----------
    clip_id : str
        The clip.
    frame : int
        0-based index into its video.
    width, height : int
        Of the video, pixels.
    persons : int, shape (P,)
        Tracks in the clip, each once.
    keypoints : float32, shape (P, V, 2)
        Pixels, (0, 0) the centre of the top-left pixel; NaN where missing.
    scores : float32, shape (P, V), optional
        0 to 1.
    visibility : uint8, shape (P, V), optional
        1 occluded, 2 seen; without it all joints that are there are seen.
    boxes : float32, shape (P, 4), optional
        x0 y0 x1 y1, pixels; NaN where a person has none.
    person_ids : sequence of str
        The source's own identifier of each person, P of them; empty where it has none.

    Raises
    ------
    UsageError
        Where shapes disagree, a size is below 1, a person comes twice, or a coordinate is
        infinite.
    """

    clip_id: str
    frame: int
    width: int
    height: int
    persons: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray | None = None
    visibility: np.ndarray | None = None
    boxes: np.ndarray | None = None
    person_ids: Sequence[str] = ()

    def __post_init__(self) -> None:
        place = f"clip {self.clip_id}, frame {self.frame}"
        if self.width < 1 or self.height < 1:
            raise UsageError(f"{place}: no picture size", found=f"{self.width} x {self.height}",
                             remedy="A release made from videos has it.")  # fmt: skip
        shape = self.keypoints.shape
        if len(shape) != 3 or shape[2] != 2 or len(self.persons) != shape[0]:
            raise UsageError(f"{place}: keypoints", found=shape, expected="(P, V, 2)")
        for name, expected in (
            ("scores", shape[:2]), ("visibility", shape[:2]), ("boxes", (shape[0], 4))
        ):  # fmt: skip
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise UsageError(f"{place}: {name}", found=array.shape, expected=expected)
        if self.person_ids and len(self.person_ids) != shape[0]:
            raise UsageError(f"{place}: person_ids", found=len(self.person_ids), expected=shape[0])
        if len(np.unique(self.persons)) != shape[0] or (np.asarray(self.persons) < 0).any():
            raise UsageError(f"{place}: persons", found=list(self.persons),
                             expected="each once, 0 or more")  # fmt: skip
        if np.isinf(self.keypoints).any():
            raise UsageError(f"{place}: a joint at infinity", expected="pixels, or NaN")


def region_of_person(person: int) -> str:
    """Give the id of the rectangle of a person."""
    return f"person-{person}"


def region_of_joint(person: int, joint: str) -> str:
    """Give the id of the point of a joint."""
    return f"person-{person}-{joint}"


def text_of_person(person: int) -> str:
    """Give the text that all regions of a person carry, which the editor shows and lets edit."""
    return f"person {person}"


def task_of(
    poses: FramePoses, skeleton: Skeleton, image: str, layer: str, release_key: str
) -> dict[str, Any]:
    """Make a task that shows a frame with its poses, to be corrected.

    Label Studio refuses predictions right of or below the picture, and its editor does not show
    points outside. What is outside is sent at the nearest place of the border, and its own
    position travels in the task's data: a point that nobody moves comes back where it was.

    Parameters
    ----------
    poses : FramePoses
        The people. One without any joint and box is not sent, but kept in the task's data.
    skeleton : Skeleton
        The V joints.
    image : str
        URL of the picture.
    layer : str
        Where the poses are from; the prediction's ``model_version``.
    release_key : str
        What tells this state of the release from others.

    Returns
    -------
    dict
        ``data`` and one object in ``predictions``, fit for JSON. Regions have ids made of person
        and joint, positions in percent (see `posedata.label_studio.percent`), the person's
        rectangle as ``parentID`` and the person's number as text. A joint that is missing is not
        there; one with visibility 1 has a second result with the choice ``occluded``.

    Raises
    ------
    UsageError
        If the poses have another number of joints.
    """
    if poses.keypoints.shape[1] != skeleton.num_joints:
        raise UsageError("joints of the poses", found=poses.keypoints.shape[1],
                         expected=f"{skeleton.num_joints} ({skeleton.name})")  # fmt: skip
    common = {
        "to_name": IMAGE,
        "original_width": poses.width,
        "original_height": poses.height,
        "image_rotation": 0,
        "origin": "prediction",
    }
    results: list[dict[str, Any]] = []
    people = []
    for row, number in enumerate(np.asarray(poses.persons).tolist()):
        person, regions = _person(poses, skeleton, row, number)
        people.append(person)
        results += [{**common, **region} for region in regions]
    prediction: dict[str, Any] = {"model_version": layer, "result": results}
    score = _mean_score(poses)
    if score is not None:
        prediction["score"] = score
    data = {
        "image": image,
        "clip_id": poses.clip_id,
        "frame": int(poses.frame),
        "layer": layer,
        "skeleton": skeleton.name,
        "width": int(poses.width),
        "height": int(poses.height),
        "release": release_key,
        "persons": people,
    }
    return {"data": data, "predictions": [prediction]}


def _person(
    poses: FramePoses, skeleton: Skeleton, row: int, number: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Make what the task's data says of a person, and the person's regions."""
    keypoints = poses.keypoints[row].astype(np.float64)
    there = np.isfinite(keypoints).all(1)
    percent = to_percent(keypoints, poses.width, poses.height)
    box = None if poses.boxes is None else poses.boxes[row].astype(np.float64)
    rectangle = _rectangle(keypoints[there], box, poses.width, poses.height)
    has_box = box is not None and bool(np.isfinite(box).all())
    region, meta = region_of_person(number), {"text": [text_of_person(number)]}
    regions: list[dict[str, Any]] = []
    if rectangle is not None:
        x, y, width, height = rectangle
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0,
                 "rectanglelabels": [PERSON_LABEL]}  # fmt: skip
        regions.append({"id": region, "from_name": PERSON, "type": "rectanglelabels",
                        "value": value, "meta": meta})  # fmt: skip
    outside = {}
    for joint in np.flatnonzero(there).tolist():
        name = skeleton.joints[joint]
        x, y = percent[joint].clip(0, 100).tolist()
        if [x, y] != percent[joint].tolist():
            outside[name] = keypoints[joint].tolist()
        at = {"x": x, "y": y, "width": _POINT_WIDTH}
        point: dict[str, Any] = {
            "id": region_of_joint(number, name), "from_name": JOINT, "type": "keypointlabels",
            "value": {**at, "keypointlabels": [name]}, "parentID": region, "meta": meta,
        }  # fmt: skip
        score = math.nan if poses.scores is None else float(poses.scores[row, joint])
        regions.append({**point, "score": score} if math.isfinite(score) else point)
        if poses.visibility is not None and poses.visibility[row, joint] == 1:
            regions.append({
                **point, "from_name": OCCLUDED, "type": "choices",
                "value": {**at, "choices": [OCCLUDED_CHOICE]},
            })  # fmt: skip
    return {
        "person": number,
        "id": poses.person_ids[row] if poses.person_ids else None,
        "box": box.tolist() if has_box and box is not None else None,
        "rectangle": rectangle,
        "joints": [skeleton.joints[joint] for joint in np.flatnonzero(there).tolist()],
        "outside": outside,
    }, regions


def _rectangle(
    keypoints: np.ndarray, box: np.ndarray | None, width: int, height: int
) -> list[float] | None:
    """Give x, y, width, height in percent of what is drawn for a person, inside the picture."""
    if box is not None and np.isfinite(box).all():
        low, high = np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])
    elif len(keypoints):
        low, high = keypoints.min(0), keypoints.max(0)
        margin = max(_LEAST_MARGIN, _MARGIN * float((high - low).max()))
        low, high = low - margin, high + margin
    else:
        return None
    least = np.minimum(_LEAST_SIDE * 100 / np.array([width, height]), 100)
    start = to_percent(low, width, height).clip(0, 100)
    start = np.minimum(start, 100 - least)
    end = np.maximum(to_percent(high, width, height).clip(0, 100), start + least)
    return [*start.tolist(), *np.minimum(end - start, 100).tolist()]


def _mean_score(poses: FramePoses) -> float | None:
    if poses.scores is None:
        return None
    scores = poses.scores[np.isfinite(poses.keypoints).all(-1)]
    scores = scores[np.isfinite(scores)]
    return float(np.clip(scores.mean(dtype=np.float64), 0, 1)) if len(scores) else None
