"""The process of the expert openpifpaf, under the interpreter of an environment that has it.

openpifpaf is under the GNU AGPL: it is imported here alone, in a process of its own that posedata
talks to, and by no other module.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torchvision_shim
from restricted_checkpoint import read_checkpoint, weights_of
from worker_error import WorkerError
from worker_protocol import PeopleInFrame, nobody, serve

_NAMES_SHOWN = 6

#: Where the parts of a model may come from: the modules of layers and of what they find.
_MODULES_OF_LAYERS = ("openpifpaf.network.", "openpifpaf.headmeta", "torch.nn.modules.",
                      "torchvision.models.", "torchvision.ops.misc")  # fmt: skip


class Openpifpaf:
    """A model of openpifpaf.

    The poses are those of ``openpifpaf.Predictor``, of which each picture is a batch of its own
    and keeps its size. Coordinates are openpifpaf's own: a cell of its fields stands for a pixel
    with a whole number, so that (0, 0) is the centre of the top-left one.

    Parameters
    ----------
    predictor : openpifpaf.Predictor
        From `load_predictor`.
    weights : list of dict
        The file that it is made of.
    """

    def __init__(self, predictor: Any, weights: list[dict[str, str]]) -> None:
        import openpifpaf
        import torch

        self._predictor = predictor
        self._annotation = openpifpaf.Annotation
        skeleton = skeleton_of(predictor.model_cpu.head_metas)
        self._num_joints = len(skeleton["joints"])
        self.about: dict[str, Any] = {
            "kind": "pose",
            "skeleton": skeleton,
            "boxes": "unused",
            "has_3d": False,
            "version": f"openpifpaf {openpifpaf.__version__}, torch {torch.__version__}",
            "weights": weights,
            "options": {"long_edge": predictor.long_edge, "scores": "clipped to 0..1"},
            "device": str(predictor.device),
        }

    def begin(self) -> None:
        """Nothing: no frame depends on another."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """Find the people in frames; see `worker_protocol.Estimator`."""
        found = self._predictor.numpy_images(frames)
        return [self._people([one for one in annotations if isinstance(one, self._annotation)])
                for annotations, _, _ in found]  # fmt: skip

    def _people(self, annotations: list[Any]) -> PeopleInFrame:
        if not annotations:
            return nobody(self._num_joints)
        joints = np.stack([one.data for one in annotations]).astype(np.float32)
        # x, y, width, height
        boxes = np.array([one.bbox() for one in annotations], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        is_found = joints[..., 2] > 0
        return PeopleInFrame(
            boxes, np.clip([one.score for one in annotations], 0, 1).astype(np.float32),
            np.where(is_found[..., None], joints[..., :2], np.float32(np.nan)),
            np.where(is_found, np.clip(joints[..., 2], 0, 1), np.float32(0)),
        )  # fmt: skip


def load_predictor(checkpoint: Path, device: str) -> Any:
    """Load a checkpoint of openpifpaf, of which nothing runs but the layers of the network.

    Raises
    ------
    WorkerError
        If it is not one, or not of a model that finds poses in single pictures.
    """
    import openpifpaf
    import torch
    from openpifpaf.network import Factory, nets
    from openpifpaf.network.model_migration import model_migration

    content = read_checkpoint(checkpoint, admit_layer)
    network = content.get("model") if isinstance(content, dict) else None
    if not isinstance(network, nets.Shell):
        raise WorkerError("not a checkpoint of openpifpaf: it has no network under 'model'",
                          path=checkpoint)  # fmt: skip

    def give_network(factory: Any) -> tuple[Any, int]:
        model_migration(network)
        return network, 0

    # Its own way loads the file with torch.load, which would run what the file asks for.
    Factory.from_checkpoint = give_network
    openpifpaf.Predictor.loader_workers = 0  # else a process of its own for each call
    try:
        openpifpaf.Predictor.device = torch.device(device)
        torch.zeros(1, device=device)
    except Exception as error:
        raise WorkerError("a device that openpifpaf's torch cannot use", found=repr(device),
                          expected="cpu, or a device that it was built for") from error  # fmt: skip
    try:
        return openpifpaf.Predictor(checkpoint=str(checkpoint))
    except Exception as error:
        raise WorkerError("a network that openpifpaf cannot use", path=checkpoint,
                          found=f"{type(error).__name__}: {error}") from error  # fmt: skip


def skeleton_of(heads: Sequence[Any]) -> dict[str, Any]:
    """Describe the joints of a model.

    Parameters
    ----------
    heads : sequence of openpifpaf.headmeta.Base
        What its fields mean.

    Returns
    -------
    dict
        ``name``, ``joints``, ``bones``, ``swap`` and ``sigmas``. openpifpaf keeps no pairs of
        left and right with a model: they are joints whose names differ by these words.

    Raises
    ------
    WorkerError
        If the model has no or several fields of joints: one for objects, or for tracking.
    """
    from openpifpaf import headmeta

    joint_fields = [head for head in heads if type(head) is headmeta.Cif]
    bone_fields = [head for head in heads if type(head) is headmeta.Caf]
    if len(joint_fields) != 1 or not bone_fields:
        raise WorkerError("not a model that finds poses in single pictures",
                          found=f"the heads {', '.join(type(head).__name__ for head in heads)}",
                          expected="one Cif and a Caf")  # fmt: skip
    joints = [str(name) for name in joint_fields[0].keypoints]
    pairs = [(joint, name.replace("left", "right")) for joint, name in enumerate(joints)
             if "left" in name]  # fmt: skip
    return {
        "name": str(joint_fields[0].dataset),
        "joints": joints,
        "bones": [[int(start) - 1, int(end) - 1] for start, end in bone_fields[0].skeleton],
        "swap": [[joint, joints.index(other)] for joint, other in pairs if other in joints],
        "sigmas": [float(sigma) for sigma in joint_fields[0].sigmas],
    }


def admit_layer(module: str, name: str) -> type:
    """Admit the classes of which openpifpaf's checkpoints are made: layers, and what heads mean.

    Raises
    ------
    WorkerError
        For every other name.
    """
    import torch
    from openpifpaf import headmeta

    if module.startswith(_MODULES_OF_LAYERS):
        try:
            found = getattr(import_module(module), name, None)
        except ImportError:
            found = None
        if isinstance(found, type) and issubclass(found, torch.nn.Module | headmeta.Base):
            return found
    raise WorkerError(f"a checkpoint that asks for {module}.{name}, which is no part of a network "
                      "of openpifpaf: nothing was run",
                      remedy="Use a checkpoint from a source that you trust.")  # fmt: skip


def find_checkpoint(text: str) -> Path:
    """Find a checkpoint, and fetch it where it is one of openpifpaf's own.

    Parameters
    ----------
    text : str
        A path, or a name that openpifpaf knows.

    Raises
    ------
    WorkerError
        If it is neither, or cannot be fetched.
    """
    import torch
    from openpifpaf.network.factory import CHECKPOINT_URLS, local_checkpoint_path

    names = sorted(name for name, url in CHECKPOINT_URLS.items() if isinstance(url, str))
    if os.path.isfile(os.path.expanduser(text)):  # noqa: PTH111, PTH113 (Path's raise)
        return Path(text).expanduser()
    if text not in names:
        near = difflib.get_close_matches(text, names, n=_NAMES_SHOWN) or names
        raise WorkerError(
            "neither a file nor the name of a model of openpifpaf", found=reprlib.repr(text),
            remedy=f"Names are: {', '.join(near)}",
        )  # fmt: skip
    here = local_checkpoint_path(text)
    if here is not None:
        return Path(here)
    url = CHECKPOINT_URLS[text]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), digest and digest[1], progress=False)
    except Exception as error:
        raise WorkerError(
            f"the model {text} cannot be fetched", found=error,
            remedy=f"Download {url} elsewhere, and give its path.",
        ) from error  # fmt: skip
    return path


def open_estimator(expert: str, model: str, device: str) -> Openpifpaf:
    """Load the model that ``CHECKPOINT`` names.

    Raises
    ------
    WorkerError
        If it cannot be loaded.
    """
    torchvision_shim.install()
    _restore_get_cmap()
    if not model:
        raise WorkerError("no checkpoint is named", expected="openpifpaf:CHECKPOINT",
                          remedy="A path, or a name such as shufflenetv2k16.")  # fmt: skip
    checkpoint = find_checkpoint(model)
    return Openpifpaf(load_predictor(checkpoint, device), [weights_of(checkpoint)])


def _restore_get_cmap() -> None:
    """Give matplotlib, where it is installed, a function that openpifpaf's drawing asks for."""
    try:
        matplotlib: Any = import_module("matplotlib")
        colours: Any = import_module("matplotlib.cm")
    except ImportError:
        return
    if not hasattr(colours, "get_cmap"):
        colours.get_cmap = lambda name=None, lut=None: matplotlib.colormaps[name or "viridis"]


if __name__ == "__main__":
    serve(open_estimator)
