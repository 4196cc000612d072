"""Releases as data sets of torch: ``ClipDataset``, ``ClipStream``, samplers and layouts."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.torch.clip_dataset import ClipDataset
    from posedata.torch.clip_stream import ClipStream
    from posedata.torch.collate import Gcn, Heatmaps, Sequences, whole_batch
    from posedata.torch.samplers import BalancedSampler, class_weights

__all__ = [
    "BalancedSampler",
    "ClipDataset",
    "ClipStream",
    "Gcn",
    "Heatmaps",
    "Sequences",
    "class_weights",
    "whole_batch",
]

_MODULES = {
    "BalancedSampler": "samplers",
    "ClipDataset": "clip_dataset",
    "ClipStream": "clip_stream",
    "Gcn": "collate",
    "Heatmaps": "collate",
    "Sequences": "collate",
    "class_weights": "samplers",
    "whole_batch": "collate",
}

if find_spec("torch") is None:
    raise UsageError("posedata.torch needs torch", found="none is installed",
                     remedy='pip install "posedata[torch]"')  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
