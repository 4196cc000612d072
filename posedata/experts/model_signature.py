"""Which model is in a file? Told by what goes in and what comes out, and by the card beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.experts.detections import count_cells
from posedata.experts.model_card import KNOWN_MODELS, ModelCard, complete_card

_SKELETONS = {17: "coco17", 26: "halpe26", 133: "coco_wholebody133"}
_NUMBERS = ("float16", "float32", "float64", "uint8", "int8", "int32", "int64")
_MULTIPOSE_SHAPE = (1, 6, 56)
_EFFICIENTPOSE_FIELDS = 28

# Models whose outputs have the same shapes, told apart by the name of the file or its folder, in
# this order. An EfficientPose is a full one unless its name says "lite".
_IN_THE_NAME = {
    "vitpose": r"vit-?_?pose", "hrnet": r"hrnet", "rtmdet": r"rtmdet", "yolox-nms": r"yolox",
    "efficientpose-lite": r"lite", "efficientpose": r"",
}  # fmt: skip


class InputTensor(NamedTuple):
    """What a model wants to be shown.

    Attributes
    ----------
    name : str
        Its name.
    shape : tuple of (int or None)
        None for an axis of any length.
    dtype : str
        Name of a numpy type.
    scale, zero : float, int
        A whole number ``q`` of the input stands for ``(q - zero) * scale``; 0 where it stands for
        itself.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero: int = 0

    @property
    def is_nchw(self) -> bool:
        """Whether the channels come before rows and columns."""
        return self.shape[1] == 3 and self.shape[3] != 3

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height; None where either is open."""
        height, width = self.shape[2:4] if self.is_nchw else self.shape[1:3]
        return None if width is None or height is None else (width, height)


def is_picture(tensor: InputTensor) -> bool:
    """Whether a model's input can be a picture of three channels, or several at once."""
    shape = tensor.shape
    return (
        len(shape) == 4 and shape[0] in (None, 1) and 3 in (shape[1], shape[3])
        and tensor.dtype in _NUMBERS
    )  # fmt: skip


def find_card(
    path: Path,
    size: tuple[int, int],
    outputs: Mapping[str, np.ndarray],
    settings: Mapping[str, Any] | None,
    is_nchw: bool,
) -> ModelCard:
    """Find out what a model is, and check that its outputs are what that model gives.

    Parameters
    ----------
    path : Path
        Its file; the name tells apart models whose outputs have the same shapes.
    size : (int, int)
        Width and height of the picture that it was shown.
    outputs : mapping of str to array
        What it answered for one black picture.
    settings : mapping, optional
        The settings of its card.
    is_nchw : bool
        Whether the channels come before rows and columns.

    Returns
    -------
    ModelCard
        With the skeleton and the names of the outputs to decode, in order.

    Raises
    ------
    UsageError
        If nothing tells what it is.
    InputError
        If the card is at odds with what comes out of the model.
    """
    found = recognise({name: a.shape for name, a in outputs.items()}, size, is_nchw)
    if settings is None:
        where = path
        card = replace(KNOWN_MODELS[_choose(found, path, outputs)](), outputs=found.outputs)
    else:
        where = Path(f"{path}.json")
        card = complete_card(settings, where)
        if not card.outputs:
            names = found.outputs if card.decode == found.decode else tuple(outputs)
            card = replace(card, outputs=names)
    for name in card.outputs:
        if name not in outputs:
            raise InputError("the model has no such output", path=where, position="outputs",
                             found=repr(name), expected=f"one of {_shapes(outputs)}")  # fmt: skip
    return _check(card, outputs, size, is_nchw, where)


class Recognised(NamedTuple):
    """What the shapes of outputs tell.

    Attributes
    ----------
    decode : str
        The decoder that fits; empty if none does.
    outputs : tuple of str
        Names of those that it takes, in its order.
    models : tuple of str
        The known models that it may be.
    """

    decode: str = ""
    outputs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def recognise(
    shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int], is_nchw: bool
) -> Recognised:
    """Compare the shapes of a model's outputs for one picture with those of known models.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        By the outputs' names.
    size : (int, int)
        Width and height of the picture.
    is_nchw : bool
        Whether the channels come before rows and columns.
    """
    width, height = size
    maps = [name for name, shape in shapes.items() if shape == (1, height, width, 16)]
    if len(maps) == 1 and any(s[-1:] == (_EFFICIENTPOSE_FIELDS,) for s in shapes.values()):
        return Recognised("heatmap", tuple(maps), ("efficientpose-lite", "efficientpose"))
    if len(shapes) == 1:
        return _recognise_one(*next(iter(shapes.items())), size, is_nchw)
    if len(shapes) == 2:
        return _recognise_two(shapes, size)
    return Recognised()


def _recognise_one(
    name: str, shape: tuple[int, ...], size: tuple[int, int], is_nchw: bool
) -> Recognised:
    if shape == (1, 1, 17, 3):
        return Recognised("movenet", (name,), ("movenet",))
    if shape == _MULTIPOSE_SHAPE:
        return Recognised("movenet-multipose", (name,), ("movenet-multipose",))
    if len(shape) == 3 and shape[1] == count_cells(size) and shape[2] > 5:
        return Recognised("yolox", (name,), ("yolox",))
    if len(shape) == 4 and _is_heatmap(shape, size, is_nchw):
        return Recognised("heatmap", (name,), ("vitpose", "hrnet"))
    return Recognised()


def _recognise_two(shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int]) -> Recognised:
    (first, a), (second, b) = sorted(shapes.items(), key=lambda item: -len(item[1]))
    if len(a) == 4 and a[3] == 3 and len(b) == 3 and b[2] == 5 and a[1] == b[1]:
        return Recognised("rtmo", (second, first), ("rtmo",))
    if len(a) == 3 and a[2] == 5 and b == a[:2]:
        return Recognised("boxes", (first, second), ("rtmdet", "yolox-nms"))
    if len(a) == len(b) == 3 and a[:2] == b[:2]:
        for x, y in ((first, second), (second, first)):
            # The names tell x from y where the input is square.
            if shapes[x][2] * size[1] == shapes[y][2] * size[0] and not x.endswith("y"):
                return Recognised("simcc", (x, y), ("rtmpose",))
    return Recognised()


def _choose(recognised: Recognised, path: Path, outputs: Mapping[str, np.ndarray]) -> str:
    """Say which of the models it is, by its name if need be; UsageError where that cannot be."""
    models = recognised.models
    if not models:
        raise UsageError(
            "not a model that is known by its outputs", path=path, found=_shapes(outputs),
            remedy=f"Say what they are in a card beside it, {path.name}.json: docs/models.md has "
                   "its keys",
        )  # fmt: skip
    if len(models) == 1:
        return models[0]
    # mmdeploy names every file end2end.onnx, and its folder by the model.
    for name in (path.stem, path.absolute().parent.name):
        for model in models:
            if re.search(_IN_THE_NAME[model], name, re.IGNORECASE):
                return model
    raise UsageError(
        f"{' or '.join(models)}? Their outputs look alike, and the name does not tell", path=path,
        found=_shapes(outputs),
        remedy=f'Say it in a card beside it, {path.name}.json: {{"model": "{models[0]}"}}',
    )  # fmt: skip


def _is_heatmap(shape: tuple[int, ...], size: tuple[int, int], is_nchw: bool) -> bool:
    rows, columns = shape[2:] if is_nchw else shape[1:3]
    return 1 < rows <= size[1] and rows * size[0] == columns * size[1]


def _check(
    card: ModelCard, outputs: Mapping[str, np.ndarray], size: tuple[int, int], is_nchw: bool,
    path: Path,
) -> ModelCard:  # fmt: skip
    """Refuse outputs that the decoder cannot take, and name the joints by their number."""
    arrays = [outputs[name] for name in card.outputs]
    shapes = [array.shape for array in arrays]
    ranks, expected = _EXPECTED[card.decode]
    fits = tuple(map(len, shapes)) == ranks
    joints = None
    if fits and card.decode == "heatmap":
        joints = shapes[0][1] if is_nchw else shapes[0][3]
        fits = _is_heatmap(shapes[0], size, is_nchw)
    elif fits and card.decode == "simcc":
        joints = shapes[0][1]
        fits = shapes[0][:2] == shapes[1][:2]
    elif fits and card.decode == "rtmo":
        joints = shapes[1][2]
        fits = shapes[0][2] == 5 and shapes[1][3] == 3 and shapes[0][1] == shapes[1][1]
    elif fits and card.decode == "movenet":
        joints = shapes[0][2]
        fits = shapes[0][1] == 1 and shapes[0][3] == 3
    elif fits and card.decode == "movenet-multipose":
        joints = (shapes[0][2] - 5) // 3
        fits = shapes[0][2] == 3 * joints + 5
    elif fits and card.decode == "yolox":
        fits = shapes[0][1] == count_cells(size) and shapes[0][2] > 5
    elif fits:
        fits = shapes[0][2] == 5 and shapes[1] == shapes[0][:2]
    if not fits or any(0 in shape[2:] for shape in shapes):
        raise InputError(f"not the outputs of a model to decode as {card.decode}", path=path,
                         found=_shapes(outputs), expected=expected)  # fmt: skip
    if card.decode == "yolox" and np.abs(arrays[0][..., :2]).max() > max(size) / 4:
        raise InputError(
            "the boxes of this YOLOX are in pixels already", path=path,
            expected="cells of its grids",
            remedy="Export it without --decode_in_inference, or with the suppression of "
                   'overlapping boxes ("model": "yolox-nms")',
        )  # fmt: skip
    if joints is None:
        return card
    named = card.with_joints(joints, _SKELETONS)
    if named is None:
        raise UsageError(
            f"a pose model of {joints} joints, whose names are not known", path=path,
            remedy='Say in its card which they are: {"model": "rtmpose", "skeleton": "NAME"}, '
                   "or the skeleton in full, as docs/models.md shows",
        )  # fmt: skip
    if len(named.joints) != joints:
        raise InputError("another number of joints than the model's", path=path,
                         position="skeleton and joints", found=len(named.joints),
                         expected=joints)  # fmt: skip
    return named


_EXPECTED = {
    "heatmap": (
        (4,),
        "one output (N, joints, rows, columns) of the input's ratio, channels last if "
        "the input's are",
    ),
    "simcc": ((3, 3), "two outputs (N, joints, bins), x and y"),
    "rtmo": ((3, 4), "two outputs (1, P, 5) and (1, P, joints, 3)"),
    "movenet": ((4,), "one output (1, 1, joints, 3): y, x, score"),
    "movenet-multipose": ((3,), "one output (1, P, 3 joints + 5)"),
    "boxes": ((3, 2), "two outputs (1, P, 5) and (1, P): boxes with scores, and classes"),
    "yolox": ((3,), "one output (1, cells, 5 + classes), the cells of strides 8, 16, 32"),
}


def _shapes(outputs: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
