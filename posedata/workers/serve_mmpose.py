"""The process of the expert mmpose, under the interpreter of an environment that has mmpose.

A model is ``CONFIG,CHECKPOINT``. Configurations of mmpose are Python and are executed: they are
the user's own code. Checkpoints are not (`restricted_checkpoint`).
"""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmpose_standins
import numpy as np
from restricted_checkpoint import read_checkpoint, weights_of
from worker_error import WorkerError
from worker_protocol import PeopleInFrame, nobody, serve

_CROPS = 32  # of a forward pass; more gain nothing and take memory
_NAMES_SHOWN = 6


class Mmpose:
    """A model of mmpose.

    Top-down models give the poses of ``mmpose.apis.inference_topdown``, bottom-up ones those of
    ``inference_bottomup``. Coordinates are mmpose's own: it warps pictures with OpenCV, whose
    (0, 0) is the centre of the top-left pixel, too.

    Parameters
    ----------
    model : torch.nn.Module
        From `load_model`.
    weights : list of dict
        The files that it is made of.
    """

    def __init__(self, model: Any, weights: list[dict[str, str]]) -> None:
        import mmpose
        import torch
        from mmengine.dataset import Compose, pseudo_collate
        from mmpose.models import BottomupPoseEstimator

        self._model = model
        self._collate = pseudo_collate
        self._pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
        self._is_bottom_up = isinstance(model, BottomupPoseEstimator)
        skeleton = skeleton_of(model.dataset_meta)
        self._num_joints = len(skeleton["joints"])
        test_options = {name: value for name, value in (model.test_cfg or {}).items()
                        if isinstance(value, bool | int | float | str)}  # fmt: skip
        self.about: dict[str, Any] = {
            "kind": "pose",
            "skeleton": skeleton,
            "boxes": "unused" if self._is_bottom_up else "needed",
            "has_3d": False,
            "version": f"mmpose {mmpose.__version__}, torch {torch.__version__}",
            "weights": weights,
            "options": {"test_cfg": test_options, "scores": "clipped to 0..1"},
            "device": str(next(model.parameters()).device),
        }

    def begin(self) -> None:
        """Nothing: no frame depends on another."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """Find the people in frames; see `worker_protocol.Estimator`."""
        # Its pictures are those of OpenCV: blue, green, red.
        pictures = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
        if self._is_bottom_up:
            return [_people_anywhere(self._predict([{"img": picture}])[0], self._num_joints)
                    for picture in pictures]  # fmt: skip
        if boxes is None:
            raise WorkerError("a top-down model of mmpose needs boxes")
        poses = self._poses_in_boxes(pictures, boxes)
        return [self._people_in_boxes(of_frame, poses) for of_frame in boxes]

    def _poses_in_boxes(
        self, pictures: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give keypoints and scores for each box that has an area, frame by frame."""
        crops = [
            {"img": picture, "bbox": box[None].copy(), "bbox_score": np.ones(1, np.float32)}
            for picture, of_frame in zip(pictures, boxes, strict=True)
            for box in of_frame[_have_area(of_frame)]
        ]
        for start in range(0, len(crops), _CROPS):
            for result in self._predict(crops[start : start + _CROPS]):
                found = result.pred_instances
                yield _numbers(found.keypoints)[0], _numbers(found.keypoint_scores)[0]

    def _people_in_boxes(
        self, boxes: np.ndarray, poses: Iterator[tuple[np.ndarray, np.ndarray]]
    ) -> PeopleInFrame:
        keypoints = np.full((len(boxes), self._num_joints, 2), np.nan, np.float32)
        scores = np.zeros((len(boxes), self._num_joints), np.float32)
        for row in np.flatnonzero(_have_area(boxes)):
            keypoints[row], scores[row] = next(poses)
        return _people(boxes, np.ones(len(boxes)), keypoints, scores)

    def _predict(self, pictures: list[dict[str, Any]]) -> list[Any]:
        import torch

        prepared = [self._pipeline({**picture, **self._model.dataset_meta})
                    for picture in pictures]  # fmt: skip
        with torch.no_grad():
            return self._model.test_step(self._collate(prepared))


def load_model(config_path: Path, checkpoint: Path, device: str) -> Any:
    """Build a model of mmpose and load its weights, as ``mmpose.apis.init_model`` does.

    Raises
    ------
    WorkerError
        If the configuration is not one of a model for people in pictures, the checkpoint is not
        one, or it lacks weights that the model has: mmpose would leave those at random.
    """
    import torch
    from mmengine.runner import load_checkpoint
    from mmengine.runner.checkpoint import CheckpointLoader
    from mmpose.apis import init_model
    from mmpose.models import BottomupPoseEstimator, TopdownPoseEstimator

    try:
        # None of the weights that it names are fetched: those of the checkpoint replace them.
        model = init_model(_read_config(config_path), device="cpu")
    except WorkerError:
        raise
    except Exception as error:
        raise WorkerError("no model can be built from this configuration", path=config_path,
                          found=_first_line(error)) from error  # fmt: skip
    if not isinstance(model, TopdownPoseEstimator | BottomupPoseEstimator):
        raise WorkerError("not a model that finds poses in single pictures", path=config_path,
                          found=type(model).__name__,
                          expected="a top-down or bottom-up one")  # fmt: skip
    with torch.no_grad():
        for tensor in _learned(model).values():
            tensor.fill_(torch.nan)
    CheckpointLoader.register_scheme(
        prefixes="", loader=lambda path, map_location: read_checkpoint(Path(path)), force=True
    )
    try:
        content = load_checkpoint(model, str(checkpoint), map_location="cpu")
        meta = content.get("meta") or {}
        model.dataset_meta = meta.get("dataset_meta") or model.dataset_meta
    except WorkerError:
        raise
    except Exception as error:
        raise WorkerError("not a checkpoint of mmpose", path=checkpoint,
                          found=_first_line(error)) from error  # fmt: skip
    missing = [name for name, tensor in _learned(model).items() if torch.isnan(tensor).any()]
    if missing:
        raise WorkerError(
            f"a checkpoint without {len(missing)} of the {len(_learned(model))} weights of the "
            "model", path=checkpoint, found=f"no {', '.join(missing[:3])}",
            remedy=f"Give the checkpoint that belongs to {config_path.name}.",
        )  # fmt: skip
    try:
        return model.to(device).eval()
    except Exception as error:
        raise WorkerError("a device that mmpose's torch cannot use", found=repr(device),
                          expected="cpu, or a device that it was built for") from error  # fmt: skip


def skeleton_of(meta: Any) -> dict[str, Any]:
    """Describe the joints of a model.

    Parameters
    ----------
    meta : dict
        mmpose's ``dataset_meta``, of a configuration or a checkpoint.

    Returns
    -------
    dict
        ``name``, ``joints``, ``bones``, ``swap`` and ``sigmas``.

    Raises
    ------
    WorkerError
        If it is not what mmpose writes.
    """
    try:
        names = meta["keypoint_id2name"]
        joints = [str(names[joint]) for joint in range(len(names))]
        swap = [[joint, other] for joint, other in enumerate(map(int, meta["flip_indices"]))
                if joint < other]  # fmt: skip
        sigmas = [float(sigma) for sigma in meta["sigmas"]]
        return {
            "name": str(meta["dataset_name"]),
            "joints": joints,
            "bones": [[int(start), int(end)] for start, end in meta["skeleton_links"]],
            "swap": swap,
            "sigmas": sigmas if len(sigmas) == len(joints) else None,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerError("a model whose joints have no names", found=_first_line(error),
                          expected="mmpose's dataset_meta") from error  # fmt: skip


def find_config(text: str, folder: Path) -> Path:
    """Find a configuration.

    Parameters
    ----------
    text : str
        A path, or the name of one that mmpose ships, or as much of its beginning as no other has.
    folder : Path
        Where mmpose's are.

    Raises
    ------
    WorkerError
        If there is none, or are several.
    """
    if os.path.isfile(os.path.expanduser(text)):  # noqa: PTH111, PTH113 (Path's raise)
        return Path(text).expanduser()
    name = text.removesuffix(".py")
    # Those for bodies first, as most of posedata's users mean them.
    shipped = sorted(
        (path for path in folder.rglob("*.py") if "_base_" not in path.parts),
        key=lambda path: ("body_2d_keypoint" not in path.parts, path.stem),
    )
    exact = [path for path in shipped if path.stem == name]
    found = exact or [path for path in shipped if name and path.stem.startswith(name)]
    if len(found) == 1:
        return found[0]
    stems = [path.stem for path in shipped]
    near = [path.stem for path in found] or [stem for stem in stems if name and name in stem]
    near = near or difflib.get_close_matches(name, stems, n=_NAMES_SHOWN, cutoff=0.3)
    listed = ", ".join(near[:_NAMES_SHOWN]) + (", ..." if len(near) > _NAMES_SHOWN else "")
    raise WorkerError(
        "several configurations of mmpose have this name" if found
        else "neither a configuration file nor the name of one of mmpose's",
        found=reprlib.repr(text), remedy=f"Near ones: {listed}" if listed else "Give its path.",
    )  # fmt: skip


def open_estimator(expert: str, model: str, device: str) -> Mmpose:
    """Load the model that ``CONFIG,CHECKPOINT`` names.

    Raises
    ------
    WorkerError
        If it cannot be loaded, or has no checkpoint.
    """
    mmpose_standins.install()
    import mmpose

    folder = Path(mmpose.__file__).parent / ".mim/configs"
    config_text, _, checkpoint_text = model.partition(",")
    config = find_config(config_text.strip(), folder)
    if not checkpoint_text.strip():
        url = _published_weights(config, folder)
        raise WorkerError(
            "a configuration without a checkpoint: its weights would be random", path=config,
            expected=f"mmpose:{config_text},CHECKPOINT",
            remedy=f"Its published weights: {url}" if url else "",
        )  # fmt: skip
    checkpoint = Path(os.path.expanduser(checkpoint_text.strip()))  # noqa: PTH111 (Path's raises)
    return Mmpose(load_model(config, checkpoint, device),
                  [weights_of(checkpoint), weights_of(config)])  # fmt: skip


def _read_config(path: Path) -> Any:
    from mmengine.config import Config

    try:
        config = Config.fromfile(str(path))
    except Exception as error:  # it is Python: anything
        raise WorkerError("not a configuration of mmpose", path=path,
                          found=_first_line(error)) from error  # fmt: skip
    if "model" not in config or "test_dataloader" not in config:
        raise WorkerError("not a configuration of a model", path=path,
                          found=f"nothing but {', '.join(map(str, config)) or 'nothing'}",
                          expected="model and test_dataloader")  # fmt: skip
    return config


def _published_weights(config: Path, folder: Path) -> str:
    """Give the address of the weights that mmpose's lists name for a configuration, or none."""
    import yaml

    if folder not in config.parents:
        return ""
    name = f"configs/{config.relative_to(folder).as_posix()}"
    for path in config.parent.glob("*.yml"):
        models = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("Models", [])
        for model in models:
            if model.get("Config") == name and model.get("Weights"):
                return str(model["Weights"])
    return ""


def _learned(model: Any) -> dict[str, Any]:
    """Name the tensors that must come from a checkpoint; others are constants of the code."""
    learned = dict(model.named_parameters())
    statistics = ("running_mean", "running_var")
    learned |= {name: tensor for name, tensor in model.named_buffers()
                if name.endswith(statistics)}  # fmt: skip
    return learned


def _people_anywhere(result: Any, num_joints: int) -> PeopleInFrame:
    found = result.pred_instances
    if not len(found.keypoints):
        return nobody(num_joints)
    keypoints, scores = _numbers(found.keypoints), _numbers(found.keypoint_scores)
    if "bboxes" not in found:
        low, high = keypoints.min(1), keypoints.max(1)
        return _people(np.concatenate([low, high], 1), scores.mean(1), keypoints, scores)
    box_scores = _numbers(found.bbox_scores) if "bbox_scores" in found else scores.mean(1)
    return _people(_numbers(found.bboxes), box_scores, keypoints, scores)


def _people(
    boxes: np.ndarray, box_scores: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
) -> PeopleInFrame:
    """Build an answer; a joint without a score, of which mmpose says -1, -1, is missing."""
    keypoints, scores = keypoints[..., :2].astype(np.float32), scores.astype(np.float32)
    is_found = np.isfinite(keypoints).all(-1) & (scores > 0)
    return PeopleInFrame(
        np.asarray(boxes, np.float32), np.clip(box_scores, 0, 1).astype(np.float32),
        np.where(is_found[..., None], keypoints, np.float32(np.nan)),
        np.where(is_found, np.clip(scores, 0, 1), np.float32(0)),
    )  # fmt: skip


def _have_area(boxes: np.ndarray) -> np.ndarray:
    return np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)


def _numbers(values: Any) -> np.ndarray:
    return values.cpu().numpy() if hasattr(values, "cpu") else np.asarray(values)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


if __name__ == "__main__":
    serve(open_estimator)
