"""An estimator from a model file: crops in, poses out, whichever library runs the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.experts.crops import Placement, cut, place_box, place_picture, touches
from posedata.experts.detections import decode_grid, pick_people
from posedata.experts.heatmaps import decode_heatmaps
from posedata.experts.model_card import (
    CROP_DECODERS,
    DETECTOR_DECODERS,
    KNOWN_MODELS,
    LARGEST_SIDE,
    ModelCard,
    read_card,
)
from posedata.experts.model_signature import InputTensor, find_card, is_picture
from posedata.experts.simcc import decode_simcc
from posedata.experts.weights import describe_weights
from posedata.skeleton import list_skeletons, load_skeleton
from posedata.workers.worker_protocol import PeopleInFrame

#: MoveNet's own tracking trusts joints that score more than this.
LEAST_MOVENET_SCORE = 0.2

_MOST_CROPS_AT_ONCE = 32
_MULTIPOSE_STRIDE = 32
_OPEN_SIZES = {True: (640, 640), False: (256, 256)}


class Network(Protocol):
    """A model that a library has loaded.

    Attributes
    ----------
    inputs : list of InputTensor
        What it wants to be shown.
    """

    inputs: list[InputTensor]

    def run(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on pictures of its type and layout; InputError where it fails."""


class ModelFile:
    """A model file, loaded and understood.

    Without boxes, MoveNet looks at whole frames and gives one person a frame: the box is that
    around the joints that score more than `LEAST_MOVENET_SCORE`, its score their mean, and where
    no joint does, nobody is there.

    Parameters
    ----------
    network : Network
        The model, loaded.
    path : Path
        Its file; a card may lie beside it.
    version, device : str
        As of `Estimator.about`.

    Attributes
    ----------
    about : dict
        See `posedata.workers.worker_protocol.Estimator`.

    Raises
    ------
    UsageError
        If it is not known what the model is.
    InputError
        If the model does not run, or is not what its card says.
    """

    about: dict[str, Any]

    def __init__(self, network: Network, path: Path, version: str, device: str) -> None:
        settings = read_card(path)
        self._network, self._path = network, path
        self._input = _only_input(network, path)
        self._size = _size_to_show(self._input, settings, path)
        width, height = self._size
        blank = np.zeros((1, height, width, 3), np.float32)
        answer = network.run(_to_input(blank, self._input))
        card = find_card(path, self._size, answer, settings, self._input.is_nchw)
        self._card = card
        self._shapes = [answer[name].shape[2:] for name in card.outputs]
        if np.issubdtype(self._input.dtype, np.integer) and not self._input.scale and (
            any(card.mean) or set(card.std) != {1.0}
        ):  # fmt: skip
            raise InputError("a model of whole numbers cannot be given mean and std", path=path,
                             position=f"input {self._input.name}", found=self._input.dtype,
                             remedy=f"Set mean to [0, 0, 0] and std to [1, 1, 1] in {path.name}"
                                    ".json")  # fmt: skip
        if card.skeleton is not None:
            named = [(place, joint) for place, joint in enumerate(card.joints) if joint]
            self._from = [place for place, _ in named]
            self._to = [card.skeleton.index(joint) for _, joint in named]
        self.about = {
            "kind": "detector" if card.decode in DETECTOR_DECODERS else "pose",
            "skeleton": _describe_skeleton(card), "boxes": card.boxes, "has_3d": False,
            "version": version, "weights": [describe_weights(path)],
            "options": {"input": list(self._size), **card.options()}, "device": device,
        }  # fmt: skip

    def begin(self) -> None:
        """Begin a new video: nothing is kept of the one before."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """See `posedata.workers.worker_protocol.Estimator`.

        Nobody is found in a box that has no area, is not finite, or lies outside the picture.
        """
        if self._card.decode not in CROP_DECODERS:
            return [self._look_at_picture(frame) for frame in frames]
        if boxes is None and self._card.boxes == "needed":
            raise UsageError(
                "this model must be told where people are", path=self._path,
                remedy="Give a detector, or the layer whose boxes to take",
            )  # fmt: skip
        if boxes is None:
            return self._look_at_whole_frames(frames)
        return self._look_at_boxes(frames, boxes)

    def _look_at_boxes(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[PeopleInFrame]:
        people, waiting = [], []
        for frame, of_frame in zip(frames, boxes, strict=True):
            found = self._nobody_in(np.asarray(of_frame, np.float32).reshape(-1, 4))
            people.append(found)
            picture = (frame.shape[1], frame.shape[0])
            for person, box in enumerate(found.boxes):
                placement = place_box(box, self._size, self._card.padding)
                if placement is not None and touches(placement, picture, self._size):
                    waiting.append((frame, found, person, placement))
        at_once = _MOST_CROPS_AT_ONCE if self._input.shape[0] is None else 1
        for start in range(0, len(waiting), at_once):
            batch = waiting[start : start + at_once]
            points, scores = self._look_at_crops([(frame, place) for frame, _, _, place in batch])
            for row, (_, found, person, _) in enumerate(batch):
                found.keypoints_2d[person], found.scores[person] = points[row], scores[row]
        return [self._with_box_scores(found) for found in people]

    def _look_at_whole_frames(self, frames: Sequence[np.ndarray]) -> list[PeopleInFrame]:
        people = []
        for frame in frames:
            edges = np.array([0, 0, frame.shape[1], frame.shape[0]], np.float32) - 0.5
            placement = place_box(edges, self._size, 1.0)
            assert placement is not None, "a frame has an area"
            points, scores = self._look_at_crops([(frame, placement)])
            seen = scores[0] > LEAST_MOVENET_SCORE
            if not seen.any():
                people.append(self._nobody_in(np.empty((0, 4), np.float32)))
                continue
            corners = points[0, seen].min(0), points[0, seen].max(0)
            people.append(PeopleInFrame(
                np.concatenate(corners)[None], scores[:, seen].mean(1), points, scores
            ))  # fmt: skip
        return people

    def _look_at_crops(
        self, crops: Sequence[tuple[np.ndarray, Placement]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Poses of several crops, float32 of shapes (N, V, 2) and (N, V)."""
        card = self._card
        pixels = [cut(frame, placement, self._size, card.fill) for frame, placement in crops]
        arrays = self._run(np.stack(pixels))
        if card.decode == "simcc":
            points, scores = decode_simcc(arrays[0], arrays[1], self._size)
        elif card.decode == "movenet":
            # Parts of the crop's sides, which make pixels counted from a centre: on real crops and
            # their mirror images the answers agree so to 0.2 pixels, from a corner to 0.3.
            points = arrays[0][:, 0, :, 1::-1] * np.array(self._size, np.float64)
            scores = arrays[0][:, 0, :, 2]
        else:
            maps = arrays[0] if self._input.is_nchw else arrays[0].transpose(0, 3, 1, 2)
            points, scores = decode_heatmaps(maps, self._size, card.refine, card.grid, card.blur)
        placed = [place.to_picture(own) for (_, place), own in zip(crops, points, strict=True)]
        return self._arrange(np.stack(placed), scores)

    def _look_at_picture(self, frame: np.ndarray) -> PeopleInFrame:
        card, picture = self._card, (frame.shape[1], frame.shape[0])
        size = self._size
        if card.decode == "movenet-multipose" and self._input.size is None:
            size = _multipose_size(picture, max(card.size or self._size))
        placement = place_picture(picture, size)
        arrays = self._run(cut(frame, placement, size, card.fill)[None])
        points = joint_scores = None
        if card.decode == "yolox":
            boxes, scores = decode_grid(arrays[0][0], size)
        elif card.decode == "movenet-multipose":
            values, joints = arrays[0][0], len(card.joints)
            poses = values[:, : 3 * joints].reshape(-1, joints, 3)
            points, joint_scores = poses[..., 1::-1] * np.array(size, np.float64), poses[..., 2]
            boxes = values[:, [-4, -5, -2, -3]] * np.array(size * 2, np.float64)
            scores = values[:, -1]
        else:
            boxes, scores = arrays[0][0, :, :4], arrays[0][0, :, 4]
            if card.decode == "rtmo":
                points, joint_scores = arrays[1][0, ..., :2], arrays[1][0, ..., 2]
            else:
                scores = np.where(arrays[1][0] == 0, scores, 0)
        kept = pick_people(boxes, scores, card.nms if card.decode != "movenet-multipose" else 1.0)
        if points is None or joint_scores is None:
            poses_2d = np.empty((len(kept), 0, 2), np.float32), np.empty((len(kept), 0), np.float32)
        else:
            poses_2d = self._arrange(placement.to_picture(points[kept]), joint_scores[kept])
        return PeopleInFrame(placement.boxes_to_picture(boxes[kept]),
                             np.clip(scores[kept], 0, 1).astype(np.float32), *poses_2d)  # fmt: skip

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Show pixels, uint8 of shape (N, H, W, 3), to the model; the outputs to decode."""
        card = self._card
        values = pixels[..., ::-1] if card.colour == "bgr" else pixels
        if any(card.mean) or set(card.std) != {1.0}:
            values = (values - np.array(card.mean, np.float32)) / np.array(card.std, np.float32)
        answer = self._network.run(_to_input(values, self._input))
        arrays = [answer[name] for name in card.outputs]
        lengths = {array.shape[:1] if card.decode in CROP_DECODERS else array.shape[:2]
                   for array in arrays}  # fmt: skip
        if len(lengths) > 1 or [array.shape[2:] for array in arrays] != self._shapes or (
            arrays[0].shape[0] != len(pixels)
        ):  # fmt: skip
            raise InputError("the model's outputs have other shapes than before", path=self._path,
                             found=[list(array.shape) for array in arrays])  # fmt: skip
        return arrays

    def _arrange(self, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put the model's joints in the skeleton's order, float32; NaN and 0 where one is missing.

        A joint is missing whose score is 0 or less, or which is nowhere.
        """
        assert self._card.skeleton is not None
        count = self._card.skeleton.num_joints
        all_points = np.full((len(points), count, 2), np.nan, np.float32)
        all_scores = np.zeros((len(points), count), np.float32)
        all_points[:, self._to] = points[:, self._from]
        all_scores[:, self._to] = np.clip(scores[:, self._from], 0, 1)
        there = np.isfinite(all_points).all(-1) & (all_scores > 0)
        all_points[~there], all_scores[~there] = np.nan, 0
        return all_points, all_scores

    def _nobody_in(self, boxes: np.ndarray) -> PeopleInFrame:
        assert self._card.skeleton is not None
        count = self._card.skeleton.num_joints
        return PeopleInFrame(
            boxes, np.zeros(len(boxes), np.float32),
            np.full((len(boxes), count, 2), np.nan, np.float32),
            np.zeros((len(boxes), count), np.float32),
        )  # fmt: skip

    def _with_box_scores(self, found: PeopleInFrame) -> PeopleInFrame:
        """Score each person by the mean of all joints."""
        return found._replace(box_scores=found.scores[:, self._to].mean(1).astype(np.float32))


def _only_input(network: Network, path: Path) -> InputTensor:
    tensors = list(network.inputs)
    if len(tensors) == 1 and is_picture(tensors[0]):
        return tensors[0]
    found = ", ".join(f"{t.name} {[a or 'any' for a in t.shape]} {t.dtype}" for t in tensors)
    raise UsageError(
        "not a model that looks at one picture at a time", path=path, found=f"inputs {found}",
        expected="one input of numbers, (1, height, width, 3) or (1, 3, height, width)",
    )  # fmt: skip


def _size_to_show(
    tensor: InputTensor, settings: Mapping[str, Any] | None, path: Path
) -> tuple[int, int]:
    """Width and height of what the model is shown."""
    wanted = (settings or {}).get("size")
    if wanted is None and settings and "model" in settings:
        wanted = KNOWN_MODELS[settings["model"]]().size if tensor.size is None else None
    if tensor.size is None:
        size = wanted or _OPEN_SIZES[tensor.is_nchw]
        width, height = tensor.shape[3:1:-1] if tensor.is_nchw else tensor.shape[2:0:-1]
        return width or size[0], height or size[1]
    if wanted not in (None, tensor.size):
        raise InputError("another size than the model's", path=f"{path}.json", position="size",
                         found=list(wanted), expected=list(tensor.size))  # fmt: skip
    if not all(8 <= side <= LARGEST_SIDE for side in tensor.size):
        raise InputError("not a size for pictures", path=path, position=f"input {tensor.name}",
                         found=list(tensor.size), expected=f"8 to {LARGEST_SIDE}")  # fmt: skip
    return tensor.size


def _to_input(values: np.ndarray, tensor: InputTensor) -> np.ndarray:
    """Give pictures the type and the layout of the model's input."""
    if tensor.scale:
        limits = np.iinfo(tensor.dtype)
        values = np.clip(np.round(values / tensor.scale) + tensor.zero, limits.min, limits.max)
    if tensor.is_nchw:
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values, tensor.dtype)


def _multipose_size(picture: tuple[int, int], longer: int) -> tuple[int, int]:
    """What MoveNet MultiPose is shown: a picture of that longer side, up to multiples of 32."""
    scale = longer / max(picture)
    width, height = (
        max(1, -(-round(side * scale) // _MULTIPOSE_STRIDE)) * _MULTIPOSE_STRIDE
        for side in picture
    )  # fmt: skip
    return width, height


def _describe_skeleton(card: ModelCard) -> str | dict[str, Any] | None:
    """Name a skeleton of posedata's, or give one in full with its name."""
    if card.skeleton is None:
        return None
    name = card.skeleton.name
    if name in list_skeletons() and load_skeleton(name) == card.skeleton:
        return name
    return {"name": name, **card.skeleton.to_dict()}
