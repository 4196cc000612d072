"""What must be known of a model file to run it: the models known by name, and cards for others.

A card is a small JSON file beside the model, ``MODEL.tflite.json`` or ``MODEL.onnx.json``. It
names one of the known models, or says by itself how pictures go in and what comes out.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posedata.errors import InputError, PosedataError, UsageError
from posedata.json_text import parse_json
from posedata.skeleton import Skeleton, load_skeleton

_MOST_BYTES = 1 << 20
LARGEST_SIDE = 4096
_MOST_JOINTS = 4096

POSE_DECODERS = ("heatmap", "simcc", "movenet", "movenet-multipose", "rtmo")
DETECTOR_DECODERS = ("boxes", "yolox")
CROP_DECODERS = ("heatmap", "simcc", "movenet")

# Of ImageNet, red first.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class ModelCard:
    """How pictures go into a model, and what its outputs mean.

    Attributes
    ----------
    decode : str
        What the outputs are: one of `POSE_DECODERS` or `DETECTOR_DECODERS`.
    skeleton : Skeleton, optional
        The joint set of the poses. None for a detector.
    joints : tuple of (str or None)
        The joints of the skeleton in the order of the model's; None for one to leave out.
    size : (int, int), optional
        Width and height of the input where the model leaves them open. For
        ``movenet-multipose`` the larger of them is the longer side of the picture.
    padding : float
        How many times as large as a person's box the crop is.
    fill : int
        What lies beyond the picture, 0 to 255.
    colour : str
        Order of the channels: ``"rgb"`` or ``"bgr"``.
    mean, std : (float, float, float)
        The model gets ``(pixel - mean) / std``, pixels from 0 to 255, channels in its order.
    refine, grid, blur
        See `posedata.experts.heatmaps.decode_heatmaps`.
    nms : float
        Of two boxes that overlap (IoU) by more, the less likely one is dropped.
    outputs : tuple of str
        Names of the outputs to decode, in the decoder's order, where the shapes alone do not tell.
    """

    decode: str
    skeleton: Skeleton | None = None
    joints: tuple[str | None, ...] = ()
    size: tuple[int, int] | None = None
    padding: float = 1.25
    fill: int = 0
    colour: str = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    refine: str = "none"
    grid: str = "stride"
    blur: int = 11
    nms: float = 0.65
    outputs: tuple[str, ...] = ()

    @property
    def boxes(self) -> str:
        """Whether the model wants to be told where people are: see `Estimator.about`."""
        if self.decode == "movenet":
            return "optional"
        return "needed" if self.decode in CROP_DECODERS else "unused"

    def with_joints(self, count: int, skeletons: Mapping[int, str]) -> ModelCard | None:
        """Name the joints of a model that has so many, if nothing has named them yet.

        Parameters
        ----------
        count : int
            Joints of the model.
        skeletons : mapping of int to str
            The skeleton to take for each number of joints.

        Returns
        -------
        ModelCard, optional
            None where the number tells nothing.
        """
        if self.skeleton is not None:
            return self
        if count not in skeletons:
            return None
        skeleton = load_skeleton(skeletons[count])
        return replace(self, skeleton=skeleton, joints=skeleton.joints)

    def options(self) -> dict[str, Any]:
        """Return what poses depend on, as the provenance of a layer has it."""
        values: dict[str, Any] = {
            "decode": self.decode, "fill": self.fill, "colour": self.colour,
            "mean": list(self.mean), "std": list(self.std),
        }  # fmt: skip
        if self.decode in CROP_DECODERS:
            values["padding"] = self.padding
        if self.decode == "heatmap":
            values |= {"refine": self.refine, "grid": self.grid}
            values |= {"blur": self.blur} if self.refine == "dark" else {}
        if self.decode in ("rtmo", "yolox", "boxes"):
            values["nms"] = self.nms
        if self.skeleton is not None and self.joints != self.skeleton.joints:
            values["joints"] = list(self.joints)
        if self.outputs:
            values["outputs"] = list(self.outputs)
        return values


def _pose(decode: str, skeleton: str, joints: tuple[str, ...] = (), **values: Any) -> ModelCard:
    known = load_skeleton(skeleton)
    return ModelCard(decode, known, joints or known.joints, **values)


_EFFICIENTPOSE_JOINTS = (
    "head_top", "upper_neck", "right_shoulder", "right_elbow", "right_wrist", "thorax",
    "left_shoulder", "left_elbow", "left_wrist", "pelvis", "right_hip", "right_knee",
    "right_ankle", "left_hip", "left_knee", "left_ankle",
)  # fmt: skip

#: The models that a card may name, and their settings. Sources: the model cards of MoveNet on
#: TensorFlow Hub; daniegr/EfficientPose, utils/helpers.py (the Lite models take -1 to 1); the
#: configs of mmpose 1.3 (RTMPose, RTMO, ViTPose, HRNet) and mmdetection 3.3 (RTMDet, YOLOX).
KNOWN_MODELS: Mapping[str, Callable[[], ModelCard]] = {
    "movenet": lambda: _pose("movenet", "coco17"),
    "movenet-multipose": lambda: _pose("movenet-multipose", "coco17", size=(256, 256)),
    "efficientpose": lambda: _pose(
        "heatmap", "mpii16", _EFFICIENTPOSE_JOINTS, mean=_MEAN, std=_STD
    ),
    "efficientpose-lite": lambda: _pose(
        "heatmap", "mpii16", _EFFICIENTPOSE_JOINTS, mean=(127.5,) * 3, std=(127.5,) * 3
    ),
    "rtmpose": lambda: ModelCard("simcc", size=(192, 256), mean=_MEAN, std=_STD),
    "vitpose": lambda: ModelCard(
        "heatmap", size=(192, 256), refine="dark", grid="corners", mean=_MEAN, std=_STD
    ),
    "hrnet": lambda: ModelCard("heatmap", size=(192, 256), refine="quarter", mean=_MEAN, std=_STD),
    "rtmo": lambda: ModelCard("rtmo", size=(640, 640), fill=114, colour="bgr"),
    "rtmdet": lambda: ModelCard(
        "boxes", size=(640, 640), fill=114, colour="bgr", mean=_MEAN[::-1],
        std=_STD[::-1],
    ),
    "yolox": lambda: ModelCard("yolox", size=(640, 640), fill=114, colour="bgr", nms=0.45),
    "yolox-nms": lambda: ModelCard("boxes", size=(640, 640), fill=114, colour="bgr"),
}  # fmt: skip


def read_card(model: Path) -> dict[str, Any] | None:
    """Read the card beside a model.

    Parameters
    ----------
    model : Path
        The model's file; the card has the same name with ``.json`` after it.

    Returns
    -------
    dict, optional
        Its settings, each checked by itself: ``model``, and fields of a `ModelCard`. None where
        there is no card.

    Raises
    ------
    InputError
        Where the card is not JSON, or a key or a value is none that it can have.
    """
    path = Path(f"{model}.json")
    if not path.exists():
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError("too large for a model's card", path=path,
                             expected=f"at most {_MOST_BYTES} bytes")  # fmt: skip
        content = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from None
    if not isinstance(content, dict):
        raise InputError("not a model's card", path=path, expected="an object")
    settings: dict[str, Any] = {}
    for key, value in content.items():
        if key not in _KEYS:
            raise InputError("a model's card has no such key", path=path, found=reprlib.repr(key),
                             expected=f"one of {', '.join(_KEYS)}")  # fmt: skip
        check, expected = _KEYS[key]
        try:
            settings[key] = check(value)
        except PosedataError as error:
            raise InputError(error.reason, path=path, position=key) from None
        except (ValueError, TypeError):
            raise InputError("not a value for it", path=path, position=key,
                             found=reprlib.repr(value), expected=expected) from None  # fmt: skip
    if "joints" in settings and "skeleton" not in settings:
        raise InputError("joints without their skeleton", path=path, position="joints",
                         remedy='Name it: "skeleton": "coco17"')  # fmt: skip
    if "model" not in settings and "decode" not in settings:
        raise InputError("a card that says neither 'model' nor 'decode'", path=path,
                         remedy=f'Name one of the known models, as {{"model": "vitpose"}}: '
                                f"{', '.join(KNOWN_MODELS)}")  # fmt: skip
    return settings


def complete_card(settings: Mapping[str, Any], path: Path) -> ModelCard:
    """Make a card of its settings, on top of those of the model that it names.

    Parameters
    ----------
    settings : mapping
        As `read_card` gives them.
    path : Path
        The card, for error messages.

    Raises
    ------
    InputError
        Where the settings do not go together.
    """
    values = {key: value for key, value in settings.items() if key != "model"}
    if "model" in settings:
        card = replace(KNOWN_MODELS[settings["model"]](), **values)
    else:
        card = ModelCard(**values)
    if card.decode in DETECTOR_DECODERS:
        if card.skeleton is not None:
            raise InputError("a detector has no skeleton", path=path, position="skeleton",
                             remedy="Leave it out, or name the decoder of a pose model: "
                                    f"{', '.join(POSE_DECODERS)}")  # fmt: skip
        return card
    if "skeleton" in values and "joints" not in values:
        card = replace(card, joints=values["skeleton"].joints)
    if card.skeleton is not None:
        named = [joint for joint in card.joints if joint is not None]
        for joint in named:
            try:
                card.skeleton.index(joint)
            except UsageError as error:
                raise InputError(error.reason, path=path, position="joints") from None
        if len(set(named)) < len(named):
            twice = next(joint for joint in named if named.count(joint) > 1)
            raise InputError("a joint twice", path=path, position="joints", found=twice)
    return card


def _one_of(*words: str) -> tuple[Callable[[Any], str], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return check, f"one of {', '.join(words)}"


def _number(lowest: float, highest: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if type(value) not in (int, float) or not lowest <= value <= highest:
            raise ValueError
        return float(value)

    return check


def _whole(lowest: int, highest: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return check


def _several(check: Callable[[Any], Any], count: int | None = None) -> Callable[[Any], tuple]:
    def check_all(value: Any) -> tuple:
        if not isinstance(value, list) or not value or count not in (None, len(value)):
            raise ValueError
        if len(value) > _MOST_JOINTS:
            raise ValueError
        return tuple(check(item) for item in value)

    return check_all


def _spread(value: Any) -> float:
    if _number(-math.inf, math.inf)(value) == 0 or not math.isfinite(value):
        raise ValueError
    return float(value)


def _odd(value: Any) -> int:
    if _whole(1, 99)(value) % 2 == 0:
        raise ValueError
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _joint(value: Any) -> str | None:
    return None if value is None else _text(value)


def _skeleton(value: Any) -> Skeleton:
    if not isinstance(value, dict):
        return load_skeleton(_text(value))
    return Skeleton.from_dict(value["name"] if "name" in value else _text(None), value)


_KEYS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "model": _one_of(*KNOWN_MODELS),
    "decode": _one_of(*POSE_DECODERS, *DETECTOR_DECODERS),
    "skeleton": (_skeleton, "the name of a skeleton, or one in full with its name"),
    "joints": (_several(_joint), "a list of joint names, null for one to leave out"),
    "size": (_several(_whole(8, LARGEST_SIDE), 2), f"[width, height], 8 to {LARGEST_SIDE}"),
    "padding": (_number(0.1, 10), "a number from 0.1 to 10"),
    "fill": (_whole(0, 255), "a whole number from 0 to 255"),
    "colour": _one_of("rgb", "bgr"),
    "mean": (_several(_number(-1e6, 1e6), 3), "three numbers"),
    "std": (_several(_spread, 3), "three numbers that are not 0"),
    "refine": _one_of("none", "quarter", "dark"),
    "grid": _one_of("stride", "corners"),
    "blur": (_odd, "an odd number from 1 to 99"),
    "nms": (_number(0, 1), "a number from 0 to 1"),
    "outputs": (_several(_text), "a list of names"),
}
