"""The JSON form of Northwestern-UCLA: ``{"file_name": ..., "skeletons": [T][20][3], "label": 1}``.

simdjson gives all numbers of ``skeletons`` at once, but flattens rows of any length. So the text's
own brackets and commas are compared with those that T x 20 x 3 numbers have, which is as cheap as
copying the text. Whatever is not exactly so is read the slow way, which says what is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.json_text import parse_json

NUM_JOINTS = 20
_STRUCTURE = b"[]{},"
_NOT_STRUCTURE = bytes(set(range(256)) - set(_STRUCTURE))
_FRAME = b"[" + b",".join([b"[,,]"] * NUM_JOINTS) + b"]"


class JsonClip(NamedTuple):
    """What a file says.

    Attributes
    ----------
    positions : float64, shape (T, 20, 3)
        Metres in the camera frame.
    file_name, label : object
        As in the file; None if it has none. The label counts from 1.
    further : tuple of str
        Names of other fields.
    """

    positions: np.ndarray
    file_name: Any
    label: Any
    further: tuple[str, ...]


def parse_clip(text: bytes, path: str) -> JsonClip:
    """Read one file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for messages.

    Raises
    ------
    InputError
        If it is not JSON, or ``skeletons`` is not T lists of 20 lists of 3 numbers.
    """
    return _parse_exact(text) or _parse_any(text, path)


def _parse_exact(text: bytes) -> JsonClip | None:
    """Read a file of exactly the usual structure; None if it is any other."""
    import simdjson

    try:
        file: Any = simdjson.Parser().parse(text)
        values = np.frombuffer(file["skeletons"].as_buffer(of_type="d"), np.float64)
        fields = {name: file[name] for name in file if name != "skeletons"}
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return None
    num_frames, rest = divmod(len(values), NUM_JOINTS * 3)
    expected = b"[" + b",".join([_FRAME] * num_frames) + b"]"
    if rest or text.translate(None, _NOT_STRUCTURE).strip(b"{,}") != expected:
        return None
    if not all(isinstance(value, str | int) for value in fields.values()):
        return None
    return _clip(values.reshape(num_frames, NUM_JOINTS, 3), fields)


def _parse_any(text: bytes, path: str) -> JsonClip:
    file = parse_json(text, path)
    if not isinstance(file, dict) or not isinstance(file.get("skeletons"), list):
        raise InputError("not a clip of Northwestern-UCLA", path=path,
                         expected='an object with a list "skeletons"')  # fmt: skip
    skeletons = file.pop("skeletons")
    numbers: list[float] = []
    for number, frame in enumerate(skeletons):
        _expect_list(frame, NUM_JOINTS, "joints", f"frame {number}", path)
        for joint_number, joint in enumerate(frame):
            position = f"frame {number}, joint {joint_number}"
            _expect_list(joint, 3, "numbers", position, path)
            for value in joint:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise InputError("not a number", path=path, position=position,
                                     found=f"{value!r:.40}")  # fmt: skip
                numbers.append(_as_float(value))
    return _clip(np.array(numbers, np.float64).reshape(len(skeletons), NUM_JOINTS, 3), file)


def _clip(positions: np.ndarray, fields: dict[str, Any]) -> JsonClip:
    further = tuple(name for name in fields if name not in ("file_name", "label"))
    return JsonClip(positions, fields.get("file_name"), fields.get("label"), further)


def _expect_list(value: Any, length: int, what: str, position: str, path: str) -> None:
    if not isinstance(value, list):
        raise InputError(f"not a list of {what}", path=path, position=position,
                         found=f"{value!r:.40}")  # fmt: skip
    if len(value) != length:
        raise InputError(f"wrong number of {what}", path=path, position=position,
                         found=len(value), expected=length)  # fmt: skip


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return float("inf") if value > 0 else float("-inf")
