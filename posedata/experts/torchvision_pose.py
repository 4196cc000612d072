"""torchvision's Keypoint R-CNN, which finds people and their joints by itself.

He et al., "Mask R-CNN", ICCV 2017, with a ResNet-50-FPN backbone; the joints are COCO's 17.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.expert import Expert
from posedata.experts.torch_device import find_device
from posedata.experts.weights import describe_weights
from posedata.workers.torchvision_shim import install
from posedata.workers.worker_protocol import Estimator, PeopleInFrame

#: People whom the model is less sure of are left out: torchvision's own threshold.
LEAST_SCORE = 0.05

_PERSON = 1
_NUM_JOINTS = 17
_INSTALL = 'pip install "posedata[torchvision]"'
# Shapes of the last layers tell how many classes and joints a checkpoint is for.
_CLASSES = "roi_heads.box_predictor.cls_score.bias"
_JOINTS = "roi_heads.keypoint_predictor.kps_score_lowres.bias"


class KeypointRcnn:
    """Keypoint R-CNN, loaded.

    ``scores`` are the logistic function of the model's keypoint scores, which are logits: the
    higher, the surer, and 0.5 where the logit is 0. A ``box_score`` is the model's own.

    The model's boxes count from the corner of the top-left pixel and are moved by half a pixel;
    its joints count from the pixel's centre, as COCO's joints do, which it was trained on.

    Parameters
    ----------
    model : object
        A ``KeypointRCNN`` of torchvision on its device.
    about : dict
        See `posedata.workers.worker_protocol.Estimator`.
    """

    def __init__(self, model: Any, about: dict[str, Any]) -> None:
        self.about = about
        self._model = model

    def begin(self) -> None:
        """Each frame is looked at by itself."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """See `posedata.workers.worker_protocol.Estimator`; boxes are not looked at."""
        return [self._find(frame) for frame in frames]  # one by one: each takes much memory

    def _find(self, frame: np.ndarray) -> PeopleInFrame:
        import torch

        device = next(self._model.parameters()).device
        with torch.inference_mode():
            picture = torch.from_numpy(frame.copy()).to(device).permute(2, 0, 1) / 255
            (found,) = self._model([picture])
            scores = torch.sigmoid(found["keypoints_scores"])
        is_person = (found["labels"] == _PERSON) & (found["scores"] > LEAST_SCORE)
        keypoints, scores, boxes, box_scores = (
            values[is_person].cpu().numpy()
            for values in (found["keypoints"][..., :2], scores, found["boxes"], found["scores"])
        )
        is_missing = ~(np.isfinite(keypoints).all(2) & (scores > 0))
        keypoints[is_missing] = np.nan
        scores[is_missing] = 0
        return PeopleInFrame(boxes - np.float32(0.5), box_scores, keypoints, scores)


def _open(model: str, device: str) -> Estimator:
    """Load ``keypointrcnn[,CHECKPOINT]``.

    Raises
    ------
    UsageError
        If that is not what the model says, there is no such file or device, or the weights
        cannot be fetched.
    InputError
        If the checkpoint is not one of this model.
    """
    name, _, checkpoint = model.partition(",")
    if name != "keypointrcnn":
        raise UsageError("torchvision has one pose model", found=repr(name),
                         expected="torchvision:keypointrcnn[,CHECKPOINT]")  # fmt: skip
    try:
        install()
        from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights as Published
    except ImportError as error:
        raise UsageError("torchvision cannot be loaded", found=str(error),
                         remedy=_INSTALL) from error  # fmt: skip
    where = find_device(device)
    path = Path(checkpoint).expanduser() if checkpoint else _fetch(Published.DEFAULT.url)
    weights = describe_weights(path)
    # The hash that ends the name of a published file is the beginning of its sha256.
    is_v1 = weights["sha256"].startswith(_hash_in(Published.COCO_V1.url))
    about = {
        "kind": "pose", "skeleton": "coco17", "boxes": "unused", "has_3d": False,
        "version": f"torchvision {version('torchvision')}, torch {version('torch')}",
        "weights": [weights],
        "options": {"architecture": "keypointrcnn_resnet50_fpn", "least_score": LEAST_SCORE},
        "device": str(where),
    }  # fmt: skip
    return KeypointRcnn(_build(_read(path), path, is_v1).to(where).eval(), about)


def _fetch(url: str) -> Path:
    """Fetch published weights into torch's own cache, once."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), _hash_in(url), progress=False)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            "the weights of keypointrcnn cannot be fetched", found=str(error),
            remedy=f"Where there is no network, fetch {path.name} elsewhere and give it: "
            "torchvision:keypointrcnn,PATH",
        ) from error  # fmt: skip
    return path


def _hash_in(url: str) -> str:
    return url.rpartition("-")[2].removesuffix(".pth")


def _read(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint: the weights by name, perhaps as the ``model`` of a training run."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch, pickle, zipfile: whatever the bytes make them raise
        line = next(iter(str(error).splitlines()), "")
        raise InputError("not a checkpoint that torch can load with weights_only", path=path,
                         found=f"{type(error).__name__}: {line}") from error  # fmt: skip
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), torch.Tensor) and content[name].ndim == 1
        for name in (_CLASSES, _JOINTS)
    ):
        raise InputError("not a checkpoint of Keypoint R-CNN", path=path,
                         expected=f"weights by name, {_JOINTS} among them")  # fmt: skip
    return content


def _build(weights: Mapping[str, Any], path: Path, is_v1: bool) -> Any:
    from torchvision.models.detection import KeypointRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    num_joints = len(weights[_JOINTS])
    if num_joints != _NUM_JOINTS:
        raise InputError("not a checkpoint for COCO's joints", path=path,
                         found=f"{num_joints} joints", expected=_NUM_JOINTS)  # fmt: skip
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    model = KeypointRCNN(backbone, num_classes=len(weights[_CLASSES]), num_keypoints=num_joints,
                         box_score_thresh=LEAST_SCORE)  # fmt: skip
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:  # one line a weight
        line = next(iter(str(error).splitlines()[1:]), str(error)).strip()
        raise InputError("not a checkpoint of Keypoint R-CNN with ResNet-50-FPN", path=path,
                         found=line[:300]) from error  # fmt: skip
    if is_v1:  # torchvision does so with these weights
        for module in model.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = 0.0
    return model


EXPERT = Expert(
    name="torchvision",
    about="Keypoint R-CNN, which finds people by itself; its weights are downloaded where no "
    "CHECKPOINT is given",
    model="keypointrcnn[,CHECKPOINT]",
    open=_open,
    modules=("torch", "torchvision"),
    install=_INSTALL,
)
