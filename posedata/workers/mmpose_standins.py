"""Stand-ins for compiled modules that mmpose imports at its start, and hardly ever needs.

mmpose imports the operators of mmcv and the mask functions of xtcocotools whatever the model.
Building mmcv takes ten minutes and a compiler; one operator, non-maximum suppression, is enough
for all but a few models (deformable convolution, RoI align).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torchvision_shim
from worker_error import WorkerError


def install() -> None:
    """Put stand-ins where the modules are missing or do not load; call it before ``import mmpose``.

    Where they are there (an interpreter of the user's own), it changes nothing.
    """
    torchvision_shim.install()
    if not _can_import("mmcv._ext"):
        operators = _Operators("mmcv._ext")
        operators.__spec__ = ModuleSpec("mmcv._ext", None)
        sys.modules["mmcv._ext"] = operators
    if not _can_import("xtcocotools.mask"):
        # A copy of pycocotools with a few more metrics, of which none is needed here.
        for name in ("", ".mask", ".coco", ".cocoeval"):
            sys.modules[f"xtcocotools{name}"] = import_module(f"pycocotools{name}")


def _can_import(name: str) -> bool:
    try:
        import_module(name)
    except Exception:  # built for another numpy, it raises ValueError; for another torch, OSError
        return False
    return True


class _Operators(ModuleType):
    """mmcv's compiled operators: one of them, and an error for each other."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def is_missing(*args: Any, **kwargs: Any) -> None:
            raise WorkerError(
                f"this model needs the operator {name} of mmcv, which must be compiled",
                remedy="Install mmpose with the full mmcv and name that interpreter in "
                "POSEDATA_PYTHON_MMPOSE.",
            )

        return is_missing

    @staticmethod
    def nms(boxes: Any, scores: Any, iou_threshold: float, offset: int) -> Any:
        """Keep the best of boxes that overlap; ``offset`` 1 counts their last pixels, too."""
        boxes = boxes.detach().clone()
        boxes[:, 2:] += offset
        return torchvision_shim.nms_of_tensors(boxes, scores, iou_threshold)
