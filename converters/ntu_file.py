"""The text of one NTU RGB+D ``.skeleton`` file to arrays: all 10 body and 12 joint fields.

The layout, one record a line, fields separated by blanks, LF or CRLF::

    number of frames
    for each frame:  number of bodies (0 allowed)
      for each body: bodyID clipedEdges handLeftConfidence handLeftState handRightConfidence
                     handRightState isResticted leanX leanY trackingState
                     number of joints (25)
        for each joint: x y z depthX depthY colorX colorY
                        orientationW orientationX orientationY orientationZ trackingState

Source: shahroudy/NTURGB-D, ``Matlab/read_skeleton_file.m`` (the misspelt names are the official
ones).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from posedata.converters.ntu_scan import (
    BODY_FIELDS,
    ENDED,
    FIELDS,
    FRAME_BYTES,
    JOINT_FIELDS,
    NUM_JOINTS,
    OK,
    TOO_MANY,
    WRONG_BODY_ID,
    WRONG_JOINTS,
    scan_skeleton,
)
from posedata.decimal_text import PADDING
from posedata.errors import InputError
from posedata.source_numbers import find_unrounded
from posedata.unrounded import Unrounded

# The joint fields in file order, and how many numbers each is.
JOINT_ARRAYS = {
    "positions": 3, "depth_pixels": 2, "colour_pixels": 2, "orientations": 4, "states": 1
}  # fmt: skip
_PLACES = [(name, k) for name, width in JOINT_ARRAYS.items() for k in range(width)]

_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity)", re.I)
_NAN = re.compile(rb"[+-]?nan(\([a-z0-9]*\))?|[+-]?1\.#(qnan|snan|ind)\d*", re.I)


@dataclass(frozen=True)
class SkeletonFile:
    """What one ``.skeleton`` file holds, bodies in file order (P bodies over all frames).

    Attributes
    ----------
    num_frames : int
        As the file's first line says, frames without bodies included.
    frames : int32, shape (P,)
        Frame of each body, 0-based.
    body_ids : int64, shape (P,)
        Kinect tracking ids, near 2**56, so never as floats.
    bodies : float32, shape (P, 9)
        The body fields after the id.
    positions : float32, shape (P, 25, 3)
        x, y, z in metres.
    depth_pixels, colour_pixels : float32, shape (P, 25, 2)
        Where the joint is in the two pictures.
    orientations : float32, shape (P, 25, 4)
        Quaternions w, x, y, z.
    states : float32, shape (P, 25, 1)
        trackingState of each joint.
    lines : int32, shape (P, 26)
        1-based lines of each body's header and of its joints.
    unrounded : Unrounded
        Of ``positions``: the numbers of the text that do not follow from the float32.
    all_finite : bool
        Whether no number of the file is NaN or infinite.
    trailing : int or None
        1-based line where text after the last frame begins.
    """

    num_frames: int
    frames: np.ndarray
    body_ids: np.ndarray
    bodies: np.ndarray
    positions: np.ndarray
    depth_pixels: np.ndarray
    colour_pixels: np.ndarray
    orientations: np.ndarray
    states: np.ndarray
    lines: np.ndarray
    unrounded: Unrounded
    all_finite: bool
    trailing: int | None

    @property
    def joints(self) -> np.ndarray:
        """All joint fields in the order of the file: float32, shape (P, 25, 12)."""
        return np.concatenate([getattr(self, name) for name in JOINT_ARRAYS], axis=-1)


def parse_skeleton(text: bytes, path: str) -> SkeletonFile:
    """Read the bytes of a ``.skeleton`` file.

    Parameters
    ----------
    text : bytes
        The whole file.
    path : str
        Its name, for error messages.

    Returns
    -------
    SkeletonFile

    Raises
    ------
    InputError
        Where the bytes are not this format, with the line. Nothing larger than the file's own
        size calls for is allocated, whatever its counts claim.
    """
    padded = text if text.endswith(PADDING) else text + PADDING
    scan = scan_skeleton(np.frombuffer(padded, np.uint8), len(text))
    status, position, line, found, expected = scan[:5]
    num_frames, trailing, frames, body_ids, bodies, lines, unread, wide = scan[5:13]
    joints = dict(zip(JOINT_ARRAYS, scan[13:], strict=True))
    # before the status: these tokens are on lines before the one where the kernel gave up
    tokens = unread.tolist()
    numbers_there = [_read_unusual(text[start:stop], path, at) for _, _, start, stop, at in tokens]
    if status != OK:
        raise _explain(text, path, status, position, line, found, expected)
    with np.errstate(over="ignore"):  # 1e99 is infinite as float32
        unusual = np.array(numbers_there, np.float64).astype(np.float32)
    for (row, column, *_), number, value in zip(tokens, numbers_there, unusual, strict=True):
        if column < BODY_FIELDS:
            bodies[row, column - 1] = value
        else:
            joint, joint_field = divmod(column - BODY_FIELDS, JOINT_FIELDS)
            name, k = _PLACES[joint_field]
            joints[name][row, joint, k] = value
            if name == "positions":
                wide[row, joint, k] = number
    return SkeletonFile(
        num_frames, frames, body_ids, bodies, **joints, lines=lines,
        unrounded=find_unrounded(joints["positions"], wide, "decimal"),
        all_finite=bool(np.isfinite(unusual).all()), trailing=trailing if trailing > 0 else None,
    )  # fmt: skip


def _read_unusual(token: bytes, path: str, line: int) -> float:
    """Read a token that the kernel leaves: many digits, a large exponent, NaN, or no number."""
    if _NUMBER.fullmatch(token):
        return float(token)
    if _NAN.fullmatch(token):
        return float("nan")
    raise InputError(
        "text instead of a number", path=path, position=f"line {line}", found=_shown(token),
        expected="a decimal number",
    )  # fmt: skip


def _shown(token: bytes) -> str:
    text = repr(token[:40]).removeprefix("b")
    return text if len(token) <= 40 else f"{text}..."


def _explain(
    text: bytes, path: str, status: int, position: int, line: int, found: int, expected: int
) -> InputError:
    """Turn the kernel's status into an error that a person can act on."""
    again = "The file seems truncated: copy or extract it again."
    if status == ENDED:
        if expected == 0:
            return InputError("the file is empty", path=path, position="line 1", found="no text",
                              expected="a number of frames",
                              remedy="Copy or extract it again.")  # fmt: skip
        what = ("a number of bodies", "a body", "a number of joints", "a joint")[expected - 1]
        next_line = line if text.endswith(b"\n") else line + 1
        return InputError("the file ends early", path=path, position=f"line {next_line}",
                          found="end of file",
                          expected=f"{what} ({found} frames were announced)",
                          remedy=again)  # fmt: skip
    content, newline, _ = text[position:].partition(b"\n")
    content = content.strip(b" \t\r")
    error: dict = {"path": path, "position": f"line {line}"}
    if not newline:
        error["remedy"] = again
    if status == FIELDS:
        record = "body" if expected == BODY_FIELDS else "joint"
        if found < 0:
            return InputError(f"a control character in a {record} line", **error,
                              found=_shown(content), expected=f"{expected} numbers")  # fmt: skip
        if newline and (found == 3 or (record == "body" and found == 1)):
            error["remedy"] = "This looks like the .skeleton file of another tool, not NTU RGB+D's."
        return InputError(f"wrong number of fields in a {record} line", **error, found=found,
                          expected=expected)  # fmt: skip
    if status == TOO_MANY:
        what = "frames" if expected == FRAME_BYTES else "bodies"
        error["remedy"] = again
        return InputError(
            f"more {what} announced than the file has room for", **error, found=_shown(content),
            expected=f"at most {found}",
        )  # fmt: skip
    if status == WRONG_JOINTS:
        return InputError("wrong number of joints", **error, found=_shown(content),
                          expected=NUM_JOINTS)  # fmt: skip
    if status == WRONG_BODY_ID:
        return InputError("bad bodyID", **error, found=_shown(content.split()[0]),
                          expected="an integer from 0 to 2**63 - 1")  # fmt: skip
    what = ("frames", "bodies", "joints")[expected]
    return InputError(f"bad number of {what}", **error, found=_shown(content),
                      expected="one integer, 0 or more, alone on its line")  # fmt: skip
