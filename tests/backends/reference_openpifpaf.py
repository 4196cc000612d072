"""What openpifpaf's own Python interface does, run by the interpreter of its environment.

``make CHECKPOINT BIAS`` saves a network with random weights whose fields are BIAS more certain;
``estimate CHECKPOINT PICTURES ANSWERS`` finds the poses in pictures (both .npz).
"""

import os
import sys
from pathlib import Path

import numpy as np

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # a checkpoint of our own
sys.path.insert(0, str(Path(__file__).parents[2] / "posedata/workers"))

import torch
import torchvision_shim

torchvision_shim.install()

import openpifpaf  # noqa: E402
from openpifpaf import datasets, network  # noqa: E402

MADE_PICTURES = 4


def make(checkpoint: str, bias: str) -> None:
    torch.manual_seed(0)
    network.basenetworks.Resnet.pretrained = False
    factory = network.Factory()
    factory.base_name, factory.checkpoint = "resnet18", None
    model, _ = factory.factory(head_metas=datasets.factory("cocokp").head_metas)
    measure_layers(model)
    with torch.no_grad():
        for head in model.head_nets:
            head.conv.weight *= 3
            biases = head.conv.bias.view(head.n_fields, head.n_components, -1)
            # Neighbours must point at the same place, so that their scales must be large.
            biases[:, 1] += float(bias)
            biases[:, -head.meta.n_scales :] += 3
    torch.save({"model": model, "epoch": 0, "meta": {"args": {"seed": 0}}}, checkpoint)


def measure_layers(model: torch.nn.Module) -> None:
    """Let batch normalisation see pictures, so that answers depend on what is in them."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model.base_net(torch.randn(MADE_PICTURES, 3, 97, 129))
    model.eval()


def estimate(checkpoint: str, pictures: str, answers: str) -> None:
    openpifpaf.Predictor.loader_workers = 0
    predictor = openpifpaf.Predictor(checkpoint=checkpoint)
    found = {}
    for frame, picture in enumerate(np.load(pictures)["frames"]):
        annotations, _, _ = predictor.numpy_image(picture)
        found[f"joints{frame}"] = np.array([a.data for a in annotations]).reshape(-1, 17, 3)
        found[f"boxes{frame}"] = np.array([a.bbox() for a in annotations]).reshape(-1, 4)
        found[f"scores{frame}"] = np.array([a.score for a in annotations])
    np.savez(answers, **found)


if __name__ == "__main__":
    {"make": make, "estimate": estimate}[sys.argv[1]](*sys.argv[2:])
