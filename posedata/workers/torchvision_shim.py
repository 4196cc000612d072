"""Importing torchvision where its compiled operators do not fit the installed torch.

The wheels of torchvision link the CUDA build of torch. Beside a CPU build their library does not
load, and then not even ``import torchvision`` works, for want of one operator: non-maximum
suppression. Here it is in plain Python.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

#: torch forgets the operators of a library that is no longer referenced.
_DEFINED: list[Any] = []


def install() -> None:
    """Make ``import torchvision`` work, whatever torch is installed; call it before that import.

    Where the operators of torchvision load, it changes nothing. Elsewhere models, transforms,
    ``nms`` and ``roi_align`` work (slower, with the same numbers); ``deform_conv2d``, the other
    pooling operators and torchvision's own reading of pictures and videos do not.

    Raises
    ------
    ImportError
        If torch is not installed, or torchvision cannot be imported for another reason.
    """
    if _DEFINED or "torchvision" in sys.modules or find_spec("torchvision") is None:
        return
    import torch

    if _operators_load(torch):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms_of_tensors, "CPU")
    _DEFINED.append(library)
    _use_the_operators_here()


def nms_of_tensors(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """`nms` for tensors: N boxes, N scores, and the rows to keep as an int64 tensor."""
    import torch

    kept = nms(boxes.detach().cpu().numpy(), scores.detach().cpu().numpy(), iou_threshold)
    return torch.from_numpy(kept).to(boxes.device)


def nms(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Keep the best of boxes that overlap (greedy non-maximum suppression).

    Parameters
    ----------
    boxes : float32, shape (N, 4)
        x0 y0 x1 y1.
    scores : float32, shape (N,)
        The better, the higher.
    iou_threshold : float
        A box goes where its intersection over union with a better one is larger.

    Returns
    -------
    int64, shape (K,)
        The rows of the boxes that stay, best first; the first row first among equals.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], np.float32)
    >>> nms(boxes, np.array([0.5, 0.9, 0.1], np.float32), 0.5)
    array([1, 2])
    """
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    rows = np.argsort(-scores, kind="stable")
    kept = []
    while rows.size:
        best, rows = rows[0], rows[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rows]) - np.maximum(left[best], left[rows])
        height = np.minimum(bottom[best], bottom[rows]) - np.maximum(top[best], top[rows])
        both = width.clip(0) * height.clip(0)
        # No area at all gives 0 / 0, which is no overlap: such a box stays.
        with np.errstate(invalid="ignore"):
            overlap = both / (areas[best] + areas[rows] - both)
        rows = rows[~(overlap > iou_threshold)]
    return np.array(kept, np.int64)


def _operators_load(torch: Any) -> bool:
    """Load the compiled operators, as torchvision does at its import."""
    spec = find_spec("torchvision")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for path in sorted(path for folder in folders for path in Path(folder).glob("_C.*")):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return True
    return False


def _use_the_operators_here() -> None:
    # Both names are also those of functions of torchvision.ops, hence by module name.
    boxes: Any = import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None
    # torchvision compiles its own Python roi_align at the first call, for most of a minute.
    align: Any = import_module("torchvision.ops.roi_align")
    align._roi_align = getattr(align._roi_align, "__wrapped__", align._roi_align)
