"""The raw skeletons of Northwestern-UCLA: a folder for each clip, a text file for each frame.

A clip is the folder ``view_1/a01_s01_e00``. Its files ``frame_0_tc_54672034_skeletons.txt`` have
for each body a line with its tracking id, and 20 lines ``x,y,z,tracking state`` (metres in the
camera frame, Kinect v1). A file without a line is a frame without people. ``fileList.txt`` names
the frames, in each line its number first and its time last; frames that only have pictures count,
too.

The format is read from public readers of the data set (none documents it) and from a sample in
kchengiva/DecoupleGCN-DropGraph, issue 1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from posedata.converter import Problem
from posedata.errors import InputError
from posedata.storage import Location

#: A skeleton file of 6 bodies, all that Kinect v1 knows of, has some 5 kB.
LARGEST_FILE = 1 << 20
#: Frames a clip may have at most; the longest real one has 201.
LARGEST_NUM_FRAMES = 1 << 16

NUM_JOINTS = 20
FILE_LIST = "fileList.txt"
SUFFIX = "_skeletons.txt"

_FRAME = re.compile(r"frame_(\d{1,9})_tc_(\d{1,18})_(.+)", re.ASCII)
_ID = re.compile(r"\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?nan|[+-]?inf", re.ASCII | re.I)


class TextClip(NamedTuple):
    """What a folder says of N bodies, in the order of frames and of each frame's file.

    Attributes
    ----------
    num_frames : int
        Frames that the folder names.
    frames : int32, shape (N,)
        0-based rank of the body's frame among them.
    slots : int32, shape (N,)
        Position of the body in its file.
    ids : list of str
        Tracking id of each body.
    positions : float64, shape (N, 20, 3)
        Metres in the camera frame.
    states : uint8, shape (N, 20)
        0 not tracked, 1 inferred, 2 tracked.
    frame_numbers, timestamps : int64, shape (N,)
        The two numbers in the name of the body's file.
    problems : list of Problem
        Warnings.
    """

    num_frames: int
    frames: np.ndarray
    slots: np.ndarray
    ids: list[str]
    positions: np.ndarray
    states: np.ndarray
    frame_numbers: np.ndarray
    timestamps: np.ndarray
    problems: list[Problem]


def read_folder(folder: Location, path: str) -> TextClip:
    """Read all frames of a clip.

    Parameters
    ----------
    folder : Location
        The clip's folder.
    path : str
        The same relative to the raw folder, for messages.

    Raises
    ------
    InputError
        If a file cannot be read, or is not what the format says.
    """
    problems: list[Problem] = []
    try:
        names = sorted(str(name).rsplit("/", 1)[-1] for name in folder.fs.ls(folder.path, False))
    except OSError as error:
        raise InputError("the folder cannot be listed", path=path, found=error.strerror) from error
    frames = _frames(names, path)
    if FILE_LIST in names:
        _add_listed(folder, path, frames, problems)
    if len(frames) > LARGEST_NUM_FRAMES:
        raise InputError("too many frames for a clip", path=path, found=len(frames),
                         expected=f"at most {LARGEST_NUM_FRAMES}")  # fmt: skip
    rows: list[tuple[int, int, str, int, int]] = []
    joints: list[list[float]] = []
    without = 0
    for frame, (number, (time, file)) in enumerate(sorted(frames.items())):
        without += not file
        if not file:
            continue
        place = f"{path}/{file}"
        for slot, (body, values) in enumerate(
            parse_bodies((folder / file).read_bytes(LARGEST_FILE), place)
        ):
            rows.append((frame, slot, body, number, time))
            joints.append(values)
    if without:
        problems.append(Problem(
            path, "read", f"{without} of {len(frames)} frames have no skeleton file, and are "
            "frames without people", "", "warning",
        ))  # fmt: skip
    numbers = np.array(joints, np.float64).reshape(len(joints), NUM_JOINTS, 4)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    return TextClip(
        num_frames=len(frames),
        frames=np.array(columns[0], np.int32),
        slots=np.array(columns[1], np.int32),
        ids=[str(body) for body in columns[2]],
        positions=numbers[..., :3],
        states=numbers[..., 3].astype(np.uint8),
        frame_numbers=np.array(columns[3], np.int64),
        timestamps=np.array(columns[4], np.int64),
        problems=problems,
    )


def parse_bodies(text: bytes, path: str) -> list[tuple[str, list[float]]]:
    """Read the bodies of one frame.

    Parameters
    ----------
    text : bytes
        A skeleton file.
    path : str
        Its name, for messages.

    Returns
    -------
    list of (str, list of float)
        Tracking id, and x, y, z, tracking state of 20 joints one after the other.

    Raises
    ------
    InputError
        With the line, if it is not what the format says, or an id is there twice.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.decode("ascii", "replace").splitlines(), start=1)
        if line.strip()
    ]
    bodies: dict[str, list[float]] = {}
    for start in range(0, len(lines), 1 + NUM_JOINTS):
        number, body = lines[start]
        if not _ID.fullmatch(body):
            raise InputError(
                "bad tracking id of a body", path=path, position=f"line {number}",
                found=repr(body[:40]), expected="a whole number alone on its line",
            )  # fmt: skip
        if body in bodies:
            raise InputError(
                "the same tracking id twice in one frame", path=path, position=f"line {number}",
                found=body, expected="each body once a frame",
            )  # fmt: skip
        rows = lines[start + 1 : start + 1 + NUM_JOINTS]
        if len(rows) < NUM_JOINTS:
            raise InputError(
                "the file ends within a body", path=path, position=f"line {lines[-1][0]}",
                found=f"{len(rows)} joints", expected=NUM_JOINTS,
                remedy="The file seems truncated: copy or extract it again.",
            )  # fmt: skip
        bodies[body] = [value for row in rows for value in _joint(*row, path)]
    return list(bodies.items())


def _joint(number: int, line: str, path: str) -> list[float]:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 4 or not all(_NUMBER.fullmatch(field) for field in fields):
        raise InputError(
            "bad joint line", path=path, position=f"line {number}", found=repr(line[:60]),
            expected="x,y,z,tracking state",
        )  # fmt: skip
    values = [float(field) for field in fields]
    if values[3] not in (0, 1, 2):
        raise InputError(
            "bad tracking state", path=path, position=f"line {number}", found=fields[3][:20],
            expected="0, 1 or 2",
        )  # fmt: skip
    return values


def _frames(names: list[str], path: str) -> dict[int, tuple[int, str]]:
    """Number of each frame that has files: its time, and its skeleton file if there is one."""
    frames: dict[int, tuple[int, str]] = {}
    for name in names:
        match = _FRAME.fullmatch(name)
        if match is None:
            continue
        number, time = int(match[1]), int(match[2])
        file = name if f"_{match[3]}" == SUFFIX else ""
        known = frames.setdefault(number, (time, file))
        if known[0] != time or (file and known[1] not in ("", file)):
            raise InputError(
                "two frames with one number", path=path, position=f"frame {number}",
                found=f"tc {known[0]} and {time}", expected="each number once",
            )  # fmt: skip
        if file:
            frames[number] = (time, file)
    return frames


def _add_listed(
    folder: Location, path: str, frames: dict[int, tuple[int, str]], problems: list[Problem]
) -> None:
    """Add frames that are only in the list of files."""
    place = f"{path}/{FILE_LIST}"
    lines = (folder / FILE_LIST).read_bytes(LARGEST_FILE).splitlines()
    strange = []
    for number, line in enumerate(lines, start=1):
        words = line.decode("ascii", "replace").split()
        if not words:
            continue
        if not (_ID.fullmatch(words[0]) and _ID.fullmatch(words[-1])):
            strange.append(number)
            continue
        frame, time = int(words[0]), int(words[-1])
        if frames.setdefault(frame, (time, ""))[0] != time:
            strange.append(number)
    if strange:
        problems.append(Problem(
            place, "read", f"{len(strange)} lines were left out: expected the number of a frame "
            "first and the time in its files' names last", f"line {strange[0]}", "warning",
        ))  # fmt: skip
