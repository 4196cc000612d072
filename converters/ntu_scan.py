"""The compiled pass over the text of a ``.skeleton`` file; see `posedata.converters.ntu_file`."""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.decimal_text import read_number

NUM_JOINTS = 25
BODY_FIELDS = 10
JOINT_FIELDS = 12
# The fewest bytes that a frame and a body can take, one byte and a blank a field: what a count
# may claim, and what the kernel makes room for.
FRAME_BYTES = 2
BODY_BYTES = 2 * BODY_FIELDS + 3 + NUM_JOINTS * 2 * JOINT_FIELDS

#: How a scan ended.
OK, ENDED, FIELDS, WRONG_COUNT, TOO_MANY, WRONG_JOINTS, WRONG_BODY_ID = range(7)

_MORE_THAN_ANY_COUNT = np.int64(10**17)  # ten times this is an int64, too


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
def scan_skeleton(text, size):
    """Read the whole file: a status with its place, then the arrays."""
    room = size // BODY_BYTES + 1
    frames = np.empty(room, np.int32)
    body_ids = np.empty(room, np.int64)
    bodies = np.empty((room, BODY_FIELDS - 1), np.float32)
    positions = np.empty((room, NUM_JOINTS, 3), np.float32)
    wide_positions = np.empty((room, NUM_JOINTS, 3), np.float64)
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
    status = OK
    found = np.int64(0)
    expected = np.int64(0)
    trailing = np.int64(0)
    num_frames = np.int64(0)

    position, line = _next_line(text, size, 0, np.int64(1))
    if position < 0:
        status = ENDED
    else:
        num_frames, i = _read_count(text, position)
        if num_frames < 0:
            status, num_frames = WRONG_COUNT, np.int64(0)
        elif num_frames > (size - i) // FRAME_BYTES + 1:
            status, expected = TOO_MANY, np.int64(FRAME_BYTES)
            found, num_frames = np.int64((size - i) // FRAME_BYTES), np.int64(0)

    for frame in range(num_frames):
        position, line = _next_line(text, size, i, line)
        if position < 0:
            status, found, expected = ENDED, num_frames, np.int64(1)
            break
        count, i = _read_count(text, position)
        if count < 0:
            status, expected = WRONG_COUNT, np.int64(1)
            break
        if count > (size - i) // BODY_BYTES + 1:
            status, found, expected = TOO_MANY, np.int64((size - i) // BODY_BYTES), np.int64(0)
            break
        for _ in range(count):
            position, line = _next_line(text, size, i, line)
            if position < 0:
                status, found, expected = ENDED, num_frames, np.int64(2)
                break
            fields, i, bad = _read_fields(text, position, BODY_FIELDS, values, spans)
            if fields != BODY_FIELDS:
                status, found, expected = FIELDS, np.int64(fields), np.int64(BODY_FIELDS)
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
                status = WRONG_BODY_ID
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
                status, found, expected = ENDED, num_frames, np.int64(3)
                break
            joint_count, i = _read_count(text, position)
            if joint_count != NUM_JOINTS:
                status, expected = (WRONG_JOINTS if joint_count >= 0 else WRONG_COUNT), np.int64(2)
                break
            for joint in range(NUM_JOINTS):
                position, line = _next_line(text, size, i, line)
                if position < 0:
                    status, found, expected = ENDED, num_frames, np.int64(4)
                    break
                fields, i, bad = _read_fields(text, position, JOINT_FIELDS, values, spans)
                if fields != JOINT_FIELDS:
                    status, found, expected = FIELDS, np.int64(fields), np.int64(JOINT_FIELDS)
                    break
                for k in range(3):
                    positions[row, joint, k] = values[k]
                    wide_positions[row, joint, k] = values[k]
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
            if status != OK:
                break
            num_bodies += 1
        if status != OK:
            break

    if status == OK:
        rest, rest_line = _next_line(text, size, i, line)
        if rest >= 0:
            trailing = rest_line
    n = num_bodies
    return (
        status, position, line, found, expected, num_frames, trailing, frames[:n], body_ids[:n],
        bodies[:n], lines[:n], unread[:num_unread], wide_positions[:n], positions[:n],
        depth_pixels[:n], colour_pixels[:n], orientations[:n], states[:n],
    )  # fmt: skip
