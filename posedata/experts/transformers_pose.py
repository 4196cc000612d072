"""Hugging Face transformers: ViTPose, and detectors that tell it where people are.

ViTPose is Xu et al., "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation",
NeurIPS 2022. Which of the two a model is follows from its configuration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.expert import Expert
from posedata.experts.torch_device import find_device
from posedata.experts.transformers_model import (
    find_model,
    first_line,
    load_config,
    load_image_processor,
    load_model,
    weight_files,
)
from posedata.experts.weights import describe_weights
from posedata.workers.torchvision_shim import install
from posedata.workers.worker_protocol import Estimator, PeopleInFrame

#: People whom a detector is less sure of are left out.
LEAST_SCORE = 0.05

_CROPS_AT_ONCE = 32
_FRAMES_AT_ONCE = 4
# Of a box's sides, in pixels: outside of these the library's arithmetic in float32 fails.
_LEAST_SIDE, _LARGEST_SIDE = 1e-3, 1e6
_LEAST_PICTURE = 4  # pixels; the library takes a lower picture for one with another axis first
_INSTALL = 'pip install "posedata[transformers]"'
_SKELETONS = {17: "coco17", 133: "coco_wholebody133"}


class VitPose:
    """ViTPose, loaded: the pose of the person in each box, by the library's own processing.

    ``scores`` are the maxima of the heatmaps, limited to 0 to 1; a joint whose maximum is not
    above 0 is missing. A ``box_score`` is the mean of a person's scores. Mixture-of-experts
    models (ViTPose+) answer for their first data set, COCO.

    Boxes are handed to the library as COCO's, which count from the corner of the top-left pixel;
    its joints count from the centre, as COCO's joints do and posedata's.

    Parameters
    ----------
    model, processor : object
        A ``VitPoseForPoseEstimation`` on its device and its image processor.
    about : dict
        See `posedata.workers.worker_protocol.Estimator`.
    """

    def __init__(self, model: Any, processor: Any, about: dict[str, Any]) -> None:
        self.about = about
        self._model = model
        self._processor = processor
        self._num_joints = model.config.num_labels

    def begin(self) -> None:
        """Each frame is looked at by itself."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """See `posedata.workers.worker_protocol.Estimator`.

        Nobody is found in a box that lies outside the picture, has no area or is not finite.
        """
        if boxes is None:
            raise UsageError("ViTPose must be told where people are",
                             remedy="Name a detector, or a layer with boxes")  # fmt: skip
        people = [self._nobody_in(boxes_of_frame) for boxes_of_frame in boxes]
        places = [
            (number, box)
            for number, frame in enumerate(frames)
            for box in np.flatnonzero(_can_be_looked_at(people[number].boxes, frame)).tolist()
        ]
        for start in range(0, len(places), _CROPS_AT_ONCE):
            some = places[start : start + _CROPS_AT_ONCE]
            in_frames = [
                (frames[number], [_coco_box(people[number].boxes[box]) for _, box in places_in_it])
                for number, places_in_it in groupby(some, key=lambda place: place[0])
            ]
            for (number, box), pose in zip(some, self._estimate(in_frames), strict=True):
                _put_pose(people[number], box, pose)
        return people

    def _estimate(
        self, frames: Sequence[tuple[np.ndarray, list[list[float]]]]
    ) -> list[dict[str, Any]]:
        """Give the library's poses for frames with their boxes, all in one list."""
        import torch

        with torch.inference_mode():
            crops = torch.cat([
                self._processor(images=frame, boxes=[boxes], return_tensors="pt",
                                input_data_format="channels_last").pixel_values
                for frame, boxes in frames
            ]).to(self._model.device)  # fmt: skip
            dataset = {}
            if _num_datasets(self._model.config) > 1:
                dataset["dataset_index"] = torch.zeros(
                    len(crops), dtype=torch.int64, device=crops.device
                )
            outputs = self._model(crops, **dataset)
            boxes = [box for _, boxes_of_frame in frames for box in boxes_of_frame]
            return self._processor.post_process_pose_estimation(outputs, boxes=[boxes])[0]

    def _nobody_in(self, boxes: np.ndarray) -> PeopleInFrame:
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        shape = len(boxes), self._num_joints
        return PeopleInFrame(boxes, np.zeros(len(boxes), np.float32),
                             np.full((*shape, 2), np.nan, np.float32),
                             np.zeros(shape, np.float32))  # fmt: skip


class TransformersDetector:
    """A detector, loaded: the people of each frame in descending score.

    Parameters
    ----------
    model, processor : object
        An object detector of transformers on its device and its image processor.
    labels : sequence of int
        Of the model's classes, those that are people.
    about : dict
        See `posedata.workers.worker_protocol.Estimator`.
    """

    def __init__(
        self, model: Any, processor: Any, labels: Sequence[int], about: dict[str, Any]
    ) -> None:
        self.about = about
        self._model = model
        self._processor = processor
        self._labels = list(labels)

    def begin(self) -> None:
        """Each frame is looked at by itself."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """See `posedata.workers.worker_protocol.Estimator`; boxes are not looked at."""
        people: list[PeopleInFrame] = []
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            people += self._detect(frames[start : start + _FRAMES_AT_ONCE])
        return people

    def _detect(self, frames: Sequence[np.ndarray]) -> list[PeopleInFrame]:
        import torch

        with torch.inference_mode():
            inputs = self._processor(images=list(frames), return_tensors="pt",
                                     input_data_format="channels_last")  # fmt: skip
            outputs = self._model(**inputs.to(self._model.device))
            sizes = [frame.shape[:2] for frame in frames]
            found = self._processor.post_process_object_detection(
                outputs, threshold=LEAST_SCORE, target_sizes=sizes
            )
        return [self._people(of_frame) for of_frame in found]

    def _people(self, found: dict[str, Any]) -> PeopleInFrame:
        scores, labels, boxes = (found[name].cpu().numpy() for name in ("scores", "labels",
                                                                        "boxes"))  # fmt: skip
        is_person = np.isin(labels, self._labels) & np.isfinite(boxes).all(1)
        order = np.flatnonzero(is_person)[np.argsort(-scores[is_person], kind="stable")]
        count = len(order)
        # The library counts from the corner of the top-left pixel, posedata from its centre.
        return PeopleInFrame(boxes[order].astype(np.float32) - np.float32(0.5),
                             scores[order].astype(np.float32).clip(0, 1),
                             np.empty((count, 0, 2), np.float32),
                             np.empty((count, 0), np.float32))  # fmt: skip


def _can_be_looked_at(boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    boxes = boxes.astype(np.float64)  # in which no difference overflows
    sides = boxes[:, 2:] - boxes[:, :2]
    touches = (boxes[:, :2] < [width - 0.5, height - 0.5]) & (boxes[:, 2:] > -0.5)
    is_size = (sides >= _LEAST_SIDE) & (sides <= _LARGEST_SIDE)
    return np.isfinite(boxes).all(1) & (touches & is_size).all(1) & (height >= _LEAST_PICTURE)


def _coco_box(box: np.ndarray) -> list[float]:
    x0, y0, x1, y1 = (float(value) for value in box)
    return [x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0]


def _put_pose(people: PeopleInFrame, row: int, pose: dict[str, Any]) -> None:
    keypoints = pose["keypoints"].numpy().reshape(-1, 2).astype(np.float32)
    scores = pose["scores"].numpy().reshape(-1).astype(np.float32)
    is_found = (scores > 0) & np.isfinite(keypoints).all(1)
    people.keypoints_2d[row] = np.where(is_found[:, None], keypoints, np.nan)
    people.scores[row] = np.where(is_found, scores.clip(0, 1), 0)
    people.box_scores[row] = people.scores[row].mean()


def _num_datasets(config: Any) -> int:
    return getattr(config.backbone_config, "num_experts", 1)


def _skeleton(config: Any, folder: Path) -> str | dict[str, Any]:
    """Tell the joints by their names in the configuration, or by their number."""
    names = [
        str(config.id2label.get(number, f"LABEL_{number}")) for number in range(config.num_labels)
    ]
    if any(re.fullmatch(r"LABEL_\d+", name) for name in names):
        if len(names) not in _SKELETONS:
            raise InputError(
                "a pose model whose joints have no names", path=folder,
                found=f"{len(names)} joints", remedy="Write their names into the id2label of its "
                "config.json",
            )  # fmt: skip
        return _SKELETONS[len(names)]
    sides = {"l": "left_", "r": "right_"}
    joints = [re.sub(r"^([lr])[_ -]", lambda side: sides[side[1]], name.lower()) for name in names]
    swap = [
        [number, joints.index(other)]
        for number, joint in enumerate(joints)
        if (other := joint.replace("left", "right")) != joint and other in joints
    ]
    edges = getattr(config, "edges", None) or []
    return {"name": f"vitpose{len(joints)}", "joints": joints, "swap": swap,
            "bones": [[int(index) for index in edge] for edge in edges]}  # fmt: skip


def _open(model: str, device: str) -> Estimator:
    """Load a model of transformers.

    Raises
    ------
    UsageError
        If there is no such model or device, or it is of no use here.
    InputError
        If the model's folder is damaged.
    """
    if not model:
        raise UsageError("transformers needs a model", expected="transformers:MODEL",
                         remedy="A folder, or a name on the Hugging Face hub, such as "
                         "transformers:usyd-community/vitpose-base-simple")  # fmt: skip
    try:
        install()  # transformers imports torchvision where it is installed, and fails if it does
        from transformers.utils import logging
    except ImportError as error:
        raise UsageError("transformers cannot be loaded", found=first_line(error),
                         remedy=_INSTALL) from error  # fmt: skip
    where = find_device(device)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = find_model(model)
    config = load_config(folder)
    about: dict[str, Any] = {
        "has_3d": False,
        "version": f"transformers {version('transformers')}, torch {version('torch')}",
        "weights": [describe_weights(path) for path in weight_files(folder)],
        "options": {"architecture": config.model_type},
        "device": str(where),
    }
    try:
        estimator = _load(config, folder, where, about)
        _try(estimator)
    except (InputError, UsageError):
        raise
    except Exception as error:  # whatever a model with such a configuration raises
        raise InputError("a model that does not run", path=folder,
                         found=first_line(error)) from error  # fmt: skip
    return estimator


def _load(config: Any, folder: Path, where: Any, about: dict[str, Any]) -> Estimator:
    from transformers import AutoModelForObjectDetection, VitPoseForPoseEstimation
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING

    processor = load_image_processor(folder)
    about["options"]["image_processor"] = type(processor).__name__
    if config.model_type == "vitpose":
        about |= {"kind": "pose", "skeleton": _skeleton(config, folder), "boxes": "needed"}
        if _num_datasets(config) > 1:
            about["options"]["dataset_index"] = 0
        model = load_model(VitPoseForPoseEstimation, folder, config, where)
        return VitPose(model, processor, about)
    if type(config) not in MODEL_FOR_OBJECT_DETECTION_MAPPING:
        raise UsageError("neither ViTPose nor an object detector", path=folder,
                         found=f"a model of the type {config.model_type}")  # fmt: skip
    labels = [label for label, name in config.id2label.items() if str(name).lower() == "person"]
    if not labels:
        raise UsageError("a detector that knows no people", path=folder,
                         expected="a class 'person' in the id2label of its config.json",
                         )  # fmt: skip
    about |= {"kind": "detector", "skeleton": None, "boxes": "unused"}
    about["options"]["least_score"] = LEAST_SCORE
    model = load_model(AutoModelForObjectDetection, folder, config, where)
    return TransformersDetector(model, processor, labels, about)


def _try(estimator: Estimator) -> None:
    """Run a model once: a size or a shape that does not fit shows only then."""
    frame = np.zeros((64, 64, 3), np.uint8)
    is_pose = estimator.about["boxes"] == "needed"
    estimator.estimate([frame], [np.array([[0, 0, 63, 63]], np.float32)] if is_pose else None)


EXPERT = Expert(
    name="transformers",
    about="ViTPose, which needs boxes, and detectors (RT-DETR, DETR, YOLOS, ...) of Hugging Face "
    "transformers",
    model="MODEL",
    open=_open,
    modules=("torch", "transformers", "scipy"),
    install=_INSTALL,
)
