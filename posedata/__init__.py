"""Skeleton data sets and videos in one Parquet format.

Names are imported when they are first used, so that ``import posedata`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posedata.errors import InputError, OutputError, PosedataError, ReleaseError, UsageError
from posedata.version import __version__

if TYPE_CHECKING:
    from posedata.clip import Clip
    from posedata.release import Release, open_release
    from posedata.skeleton import Skeleton, list_skeletons, load_skeleton

_MODULES = {
    "Clip": "clip",
    "Release": "release",
    "Skeleton": "skeleton",
    "list_skeletons": "skeleton",
    "load_skeleton": "skeleton",
    "open_release": "release",
}

__all__ = [
    "Clip",
    "InputError",
    "OutputError",
    "PosedataError",
    "Release",
    "ReleaseError",
    "Skeleton",
    "UsageError",
    "__version__",
    "list_skeletons",
    "load_skeleton",
    "open_release",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'posedata' has no attribute {name!r}")
    return getattr(import_module(f"posedata.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
