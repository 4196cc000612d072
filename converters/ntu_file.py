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

from posedata.compiled import kernel, part_of_kernel
from posedata.decimal_text import PADDING, read_number
from posedata.errors import InputError

NUM_JOINTS = 25
BODY_FIELDS = 10
# The joint fields in file order, and how many numbers each is.
JOINT_ARRAYS = {
    "positions": 3, "depth_pixels": 2, "colour_pixels": 2, "orientations": 4, "states": 1
}  # fmt: skip
JOINT_FIELDS = 12
_PLACES = [(name, k) for name, width in JOINT_ARRAYS.items() for k in range(width)]
# The fewest bytes that a frame and a body can take, one byte and a blank a field: what a count
# may claim, and what the kernel makes room for.
_FRAME_BYTES = 2
_BODY_BYTES = 2 * BODY_FIELDS + 3 + NUM_JOINTS * 2 * JOINT_FIELDS

_MORE_THAN_ANY_COUNT = np.int64(10**17)  # ten times this is an int64, too

_OK, _ENDED, _FIELDS, _COUNT, _TOO_MANY, _JOINTS, _BODY_ID = range(7)
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
    scan = _scan(np.frombuffer(padded, np.uint8), len(text))
    status, position, line, found, expected = scan[:5]
    num_frames, trailing, frames, body_ids, bodies, lines, unread = scan[5:12]
    joints = dict(zip(JOINT_ARRAYS, scan[12:], strict=True))
    # before the status: these tokens are on lines before the one where the kernel gave up
    tokens = unread.tolist()
    with np.errstate(over="ignore"):  # 1e99 is infinite as float32
        unusual = [_read_unusual(text[start:stop], path, at) for _, _, start, stop, at in tokens]
    if status != _OK:
        raise _explain(text, path, status, position, line, found, expected)
    for (row, column, *_), value in zip(tokens, unusual, strict=True):
        if column < BODY_FIELDS:
            bodies[row, column - 1] = value
        else:
            joint, joint_field = divmod(column - BODY_FIELDS, JOINT_FIELDS)
            name, k = _PLACES[joint_field]
            joints[name][row, joint, k] = value
    return SkeletonFile(
        num_frames, frames, body_ids, bodies, **joints, lines=lines,
        all_finite=bool(np.isfinite(unusual).all()), trailing=trailing if trailing > 0 else None,
    )  # fmt: skip


def _read_unusual(token: bytes, path: str, line: int) -> np.float32:
    """Read a token that the kernel leaves: many digits, a large exponent, NaN, or no number."""
    if _NUMBER.fullmatch(token):
        return np.float32(float(token))
    if _NAN.fullmatch(token):
        return np.float32(np.nan)
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
    if status == _ENDED:
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
    if status == _FIELDS:
        record = "body" if expected == BODY_FIELDS else "joint"
        if found < 0:
            return InputError(f"a control character in a {record} line", **error,
                              found=_shown(content), expected=f"{expected} numbers")  # fmt: skip
        if newline and (found == 3 or (record == "body" and found == 1)):
            error["remedy"] = "This looks like the .skeleton file of another tool, not NTU RGB+D's."
        return InputError(f"wrong number of fields in a {record} line", **error, found=found,
                          expected=expected)  # fmt: skip
    if status == _TOO_MANY:
        what = "frames" if expected == _FRAME_BYTES else "bodies"
        error["remedy"] = again
        return InputError(
            f"more {what} announced than the file has room for", **error, found=_shown(content),
            expected=f"at most {found}",
        )  # fmt: skip
    if status == _JOINTS:
        return InputError("wrong number of joints", **error, found=_shown(content),
                          expected=NUM_JOINTS)  # fmt: skip
    if status == _BODY_ID:
        return InputError("bad bodyID", **error, found=_shown(content.split()[0]),
                          expected="an integer from 0 to 2**63 - 1")  # fmt: skip
    what = ("frames", "bodies", "joints")[expected]
    return InputError(f"bad number of {what}", **error, found=_shown(content),
                      expected="one integer, 0 or more, alone on its line")  # fmt: skip


@part_of_kernel
def _next_line(text, size, i, line):
    """Start of the next line with anything on it, and its number; -1 at the end of the text."""
    i = np.uint64(i)
    end = np.uint64(size)
    while i < end:
        byte = text[i]
        if byte > 32:
            return np.int64(i), line
        if byte == 10:
            line += 1
        elif not (byte == 32 or byte == 13 or byte == 9):
            return np.int64(i), line
        i += np.uint64(1)
    return np.int64(-1), line


@part_of_kernel
def _read_count(text, i):
    """Read the integer alone on the line at i: its value (-1 if it is not one), and its end."""
    value = np.int64(0)
    start = i
    while i < text.size and text[i] >= 48 and text[i] <= 57:
        value = min(value * 10 + (text[i] - 48), _MORE_THAN_ANY_COUNT)
        i += 1
    if i == start:
        return np.int64(-1), i
    while i < text.size and (text[i] == 32 or text[i] == 13 or text[i] == 9):
        i += 1
    if i < text.size and text[i] != 10:
        return np.int64(-1), i
    return value, i


@part_of_kernel
def _read_fields(text, i, wanted, values, spans):
    """Read up to ``wanted`` numbers of the line at i.

    Returns the number of fields on the line (-1 if it has a control character), its end, and how
    many could not be read here: their columns, starts and stops are in ``spans``.
    """
    found = 0
    unread = 0
    i = np.uint64(i)
    while True:
        byte = text[i]
        if byte > 32:
            start = i
            value, i, exact = read_number(text, start)
            if found < wanted:
                values[found] = value
                if not exact:
                    spans[unread, 0] = found
                    spans[unread, 1] = start
                    spans[unread, 2] = i
                    unread += 1
            found += 1
        elif byte == 10:
            return found, np.int64(i), unread
        elif byte == 32 or byte == 13 or byte == 9:
            i += np.uint64(1)
        else:
            return -1, np.int64(i), unread


@part_of_kernel
def _note_unread(unread, num_unread, spans, bad, row, first_column, line):
    """Append the tokens of a line that could not be read: row, column, start, stop, line.

    Columns count through all fields of a body and its joints. The first, the id, is left out.
    """
    for b in range(bad):
        column = first_column + spans[b, 0]
        if column == 0:
            continue
        if num_unread == len(unread):
            unread = np.concatenate((unread, np.empty_like(unread)))
        unread[num_unread, 0] = row
        unread[num_unread, 1] = column
        unread[num_unread, 2] = spans[b, 1]
        unread[num_unread, 3] = spans[b, 2]
        unread[num_unread, 4] = line
        num_unread += 1
    return unread, num_unread


@kernel
def _scan(text, size):
    """Read the whole file: a status with its place, then the arrays."""
    room = size // _BODY_BYTES + 1
    frames = np.empty(room, np.int32)
    body_ids = np.empty(room, np.int64)
    bodies = np.empty((room, BODY_FIELDS - 1), np.float32)
    positions = np.empty((room, NUM_JOINTS, 3), np.float32)
    depth_pixels = np.empty((room, NUM_JOINTS, 2), np.float32)
    colour_pixels = np.empty((room, NUM_JOINTS, 2), np.float32)
    orientations = np.empty((room, NUM_JOINTS, 4), np.float32)
    states = np.empty((room, NUM_JOINTS, 1), np.float32)
    lines = np.empty((room, 1 + NUM_JOINTS), np.int32)
    unread = np.empty((16, 5), np.int64)
    values = np.empty(JOINT_FIELDS, np.float64)
    spans = np.empty((JOINT_FIELDS, 3), np.int64)
    num_unread = 0
    num_bodies = 0
    status = _OK
    found = np.int64(0)
    expected = np.int64(0)
    trailing = np.int64(0)
    num_frames = np.int64(0)

    position, line = _next_line(text, size, 0, np.int64(1))
    if position < 0:
        status = _ENDED
    else:
        num_frames, i = _read_count(text, position)
        if num_frames < 0:
            status, num_frames = _COUNT, np.int64(0)
        elif num_frames > (size - i) // _FRAME_BYTES + 1:
            status, expected = _TOO_MANY, np.int64(_FRAME_BYTES)
            found, num_frames = np.int64((size - i) // _FRAME_BYTES), np.int64(0)

    for frame in range(num_frames):
        position, line = _next_line(text, size, i, line)
        if position < 0:
            status, found, expected = _ENDED, num_frames, np.int64(1)
            break
        count, i = _read_count(text, position)
        if count < 0:
            status, expected = _COUNT, np.int64(1)
            break
        if count > (size - i) // _BODY_BYTES + 1:
            status, found, expected = _TOO_MANY, np.int64((size - i) // _BODY_BYTES), np.int64(0)
            break
        for _ in range(count):
            position, line = _next_line(text, size, i, line)
            if position < 0:
                status, found, expected = _ENDED, num_frames, np.int64(2)
                break
            fields, i, bad = _read_fields(text, position, BODY_FIELDS, values, spans)
            if fields != BODY_FIELDS:
                status, found, expected = _FIELDS, np.int64(fields), np.int64(BODY_FIELDS)
                break
            body_id = np.int64(0)
            k = position
            while k < size and text[k] >= 48 and text[k] <= 57:
                digit = np.int64(text[k]) - 48
                if body_id > (np.int64(9223372036854775807) - digit) // 10:
                    break
                body_id = body_id * 10 + digit
                k += 1
            if k == position or text[k] > 32:
                status = _BODY_ID
                break
            row = num_bodies
            frames[row] = frame
            body_ids[row] = body_id
            lines[row, 0] = line
            for column in range(1, BODY_FIELDS):
                bodies[row, column - 1] = values[column]
            if bad > 0:
                unread, num_unread = _note_unread(unread, num_unread, spans, bad, row, 0, line)

            position, line = _next_line(text, size, i, line)
            if position < 0:
                status, found, expected = _ENDED, num_frames, np.int64(3)
                break
            joint_count, i = _read_count(text, position)
            if joint_count != NUM_JOINTS:
                status, expected = (_JOINTS if joint_count >= 0 else _COUNT), np.int64(2)
                break
            for joint in range(NUM_JOINTS):
                position, line = _next_line(text, size, i, line)
                if position < 0:
                    status, found, expected = _ENDED, num_frames, np.int64(4)
                    break
                fields, i, bad = _read_fields(text, position, JOINT_FIELDS, values, spans)
                if fields != JOINT_FIELDS:
                    status, found, expected = _FIELDS, np.int64(fields), np.int64(JOINT_FIELDS)
                    break
                for k in range(3):
                    positions[row, joint, k] = values[k]
                for k in range(2):
                    depth_pixels[row, joint, k] = values[3 + k]
                    colour_pixels[row, joint, k] = values[5 + k]
                for k in range(4):
                    orientations[row, joint, k] = values[7 + k]
                states[row, joint, 0] = values[11]
                lines[row, 1 + joint] = line
                if bad > 0:
                    column = BODY_FIELDS + joint * JOINT_FIELDS
                    unread, num_unread = _note_unread(
                        unread, num_unread, spans, bad, row, column, line
                    )
            if status != _OK:
                break
            num_bodies += 1
        if status != _OK:
            break

    if status == _OK:
        rest, rest_line = _next_line(text, size, i, line)
        if rest >= 0:
            trailing = rest_line
    n = num_bodies
    return (
        status, position, line, found, expected, num_frames, trailing, frames[:n], body_ids[:n],
        bodies[:n], lines[:n], unread[:num_unread], positions[:n], depth_pixels[:n],
        colour_pixels[:n], orientations[:n], states[:n],
    )  # fmt: skip
