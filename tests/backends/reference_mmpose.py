"""What mmpose's own Python interface does, run by the interpreter of its environment.

``make CONFIG CHECKPOINT BIAS`` saves a network with random weights and a BIAS in its last layer;
``estimate CONFIG CHECKPOINT PICTURES ANSWERS`` finds the poses in pictures (both .npz).
"""

import os
import sys
from pathlib import Path

import numpy as np

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # a checkpoint of our own
sys.path.insert(0, str(Path(__file__).parents[2] / "posedata/workers"))

import mmpose_standins

mmpose_standins.install()

import mmpose  # noqa: E402
import torch  # noqa: E402
from mmpose.apis import inference_bottomup, inference_topdown, init_model  # noqa: E402

CONFIGS = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint"


def load(config: str, checkpoint: str | None) -> torch.nn.Module:
    (path,) = CONFIGS.rglob(f"{config}.py")
    return init_model(str(path), checkpoint, device="cpu")


def make(config: str, checkpoint: str, bias: str) -> None:
    torch.manual_seed(0)
    model = load(config, None)
    measure_layers(model)
    with torch.no_grad():
        if hasattr(model.head, "final_layer"):
            model.head.final_layer.bias.fill_(float(bias))
        if hasattr(model.head, "head_module"):
            for layer in model.head.head_module.out_cls:
                layer.weight *= 10
                layer.bias.fill_(float(bias))
            for layer in model.head.head_module.out_bbox:
                layer.bias[2:] += 2  # of the size of people, so that some overlap
    torch.save({"state_dict": model.state_dict(), "meta": {"dataset_meta": model.dataset_meta}},
               checkpoint)  # fmt: skip


def measure_layers(model: torch.nn.Module) -> None:
    """Let batch normalisation see pictures, so that answers depend on what is in them."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the mean of all that it sees
    normalise = model.data_preprocessor
    with torch.no_grad():
        for _ in range(3):
            blocks = torch.rand(4, 3, 8, 6).repeat_interleave(32, 2).repeat_interleave(32, 3) * 255
            if normalise._enable_normalize:
                blocks = (blocks - normalise.mean) / normalise.std
            model.head(model.extract_feat(blocks))
    model.eval()


def estimate(config: str, checkpoint: str, pictures: str, answers: str) -> None:
    model = load(config, checkpoint)
    asked, found = np.load(pictures), {}
    for frame, picture in enumerate(asked["frames"]):
        picture = np.ascontiguousarray(picture[..., ::-1])
        if "rtmo" in config:
            (result,) = inference_bottomup(model, picture)
            found[f"boxes{frame}"] = result.pred_instances.bboxes
            found[f"box_scores{frame}"] = result.pred_instances.bbox_scores
            results = [result]
        else:
            boxes = asked[f"boxes{frame}"]
            results = inference_topdown(model, picture, boxes) if len(boxes) else []
        for name in ("keypoints", "keypoint_scores"):
            values = [np.asarray(result.pred_instances[name]) for result in results]
            found[f"{name}{frame}"] = np.concatenate(values) if values else np.empty(0)
    np.savez(answers, **found)


if __name__ == "__main__":
    {"make": make, "estimate": estimate}[sys.argv[1]](*sys.argv[2:])
