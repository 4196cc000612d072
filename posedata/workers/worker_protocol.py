"""What posedata and the process of an expert tell each other: frames out, people back.

Each message is an Arrow IPC stream of one record batch, ahead of it its length. The pixels are not
in it: they lie in memory that both processes have mapped, and a message says where.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

_LENGTH = struct.Struct("<q")
_MOST_BYTES = 1 << 30
_TRACEBACK_LINES = 3
_SECONDS_BETWEEN_LOOKS = 1.0

_FRAMES = pa.schema([
    ("offset", pa.int64()), ("height", pa.int32()), ("width", pa.int32()),
    ("boxes", pa.list_(pa.float32())),
])  # fmt: skip
_PEOPLE = pa.schema([
    ("num_people", pa.int32()), ("boxes", pa.list_(pa.float32())),
    ("box_scores", pa.list_(pa.float32())), ("keypoints_2d", pa.list_(pa.float32())),
    ("scores", pa.list_(pa.float32())), ("keypoints_3d", pa.list_(pa.float32())),
])  # fmt: skip
_NOTHING = pa.schema([])


class PeopleInFrame(NamedTuple):
    """The P people that an expert has found in one frame.

    Parameters
    ----------
    boxes : float32, shape (P, 4)
        x0 y0 x1 y1, pixels. An expert that was given boxes repeats them, in their order.
    box_scores : float32, shape (P,)
        0 to 1.
    keypoints_2d : float32, shape (P, V, 2)
        Pixels, (0, 0) the centre of the top-left one. NaN where a joint was not found. V is 0 for
        a detector.
    scores : float32, shape (P, V)
        0 to 1; 0 where a joint was not found.
    keypoints_3d : float32, shape (P, V, 3), optional
        Metres in the camera's directions: x right, y down, z away from the camera.
    """

    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints_2d: np.ndarray
    scores: np.ndarray
    keypoints_3d: np.ndarray | None = None


def nobody(num_joints: int) -> PeopleInFrame:
    """Build the answer for a frame without people."""
    return PeopleInFrame(
        np.empty((0, 4), np.float32), np.empty(0, np.float32),
        np.empty((0, num_joints, 2), np.float32), np.empty((0, num_joints), np.float32),
    )  # fmt: skip


class Estimator(Protocol):
    """A model that is loaded and ready: what an expert's ``open`` gives.

    Attributes
    ----------
    about : dict
        What a layer's provenance says of it, JSON values alone:

        ``kind``: ``"pose"`` or ``"detector"``.
        ``skeleton``: name of one of posedata's skeletons, or an object like those of a manifest
        with its ``name``; None for a detector.
        ``boxes``: ``"needed"``, ``"unused"``, or ``"optional"``: does it want to be told where
        people are?
        ``has_3d``: whether it gives ``keypoints_3d``.
        ``version``: of the library that runs it, e.g. ``"mediapipe 0.10.14"``.
        ``weights``: list of ``{"file": name without folder, "sha256": ...}``.
        ``options``: what else its poses depend on.
        ``device``: e.g. ``"cpu"``.
    """

    about: dict[str, Any]

    def begin(self) -> None:
        """A new video begins: forget the one before."""

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """Find the people in consecutive frames.

        Parameters
        ----------
        frames : sequence of uint8 arrays, shape (H, W, 3)
            RGB, read-only; only valid during this call.
        boxes : sequence of float32 arrays, shape (P, 4), optional
            Where people are in each frame: x0 y0 x1 y1, pixels.

        Returns
        -------
        list of PeopleInFrame
            One for each frame. With ``boxes``, exactly one person for each, in their order; all
            NaN with scores 0 where nobody was found in it.
        """


def write_message(
    file: IO[bytes], kind: str, about: Mapping[str, Any], batch: pa.RecordBatch | None = None
) -> None:
    """Send a message: what it is, JSON values, and perhaps a record batch."""
    batch = pa.record_batch([], schema=_NOTHING) if batch is None else batch
    schema = batch.schema.with_metadata({"kind": kind, "about": json.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    content = sink.getvalue()
    file.write(_LENGTH.pack(content.size))
    file.write(content)
    file.flush()


def parse_message(content: bytes) -> tuple[str, dict[str, Any], pa.RecordBatch]:
    """Decode what `write_message` sent after the length."""
    with pa.ipc.open_stream(content) as reader:
        metadata = reader.schema.metadata or {}
        batch = reader.read_next_batch()
    return metadata[b"kind"].decode(), json.loads(metadata[b"about"]), batch


def read_message(read: Callable[[int], bytes]) -> tuple[str, dict[str, Any], pa.RecordBatch]:
    """Receive a message.

    Parameters
    ----------
    read : callable
        Gives exactly so many bytes, or raises EOFError.
    """
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    if not 0 <= length <= _MOST_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return parse_message(read(length))


def frames_to_arrow(
    offsets: Sequence[int], height: int, width: int, boxes: Sequence[np.ndarray] | None
) -> pa.RecordBatch:
    """Say where frames lie in the shared memory, and where people are in them."""
    count = len(offsets)
    columns = [
        _numbers(np.array(offsets, np.int64)),
        _numbers(np.full(count, height, np.int32)),
        _numbers(np.full(count, width, np.int32)),
        _lists([None] * count if boxes is None else boxes),
    ]
    return pa.record_batch(columns, schema=_FRAMES)


def people_to_arrow(people: Sequence[PeopleInFrame]) -> pa.RecordBatch:
    """One row for each frame."""
    columns: list[Any] = [_numbers(np.array([len(p.boxes) for p in people], np.int32))]
    columns += [_lists([getattr(p, name) for p in people]) for name in _PEOPLE.names[1:]]
    return pa.record_batch(columns, schema=_PEOPLE)


def _lists(arrays: Sequence[np.ndarray | None]) -> pa.Array:
    """Flatten each array to a list; null if there is none at all."""
    kind = pa.list_(pa.float32())
    if all(array is None for array in arrays):
        return pa.nulls(len(arrays), kind)
    empty = np.empty(0, np.float32)
    flat = [empty if a is None else np.asarray(a, np.float32).reshape(-1) for a in arrays]
    offsets = np.cumsum([0, *map(len, flat)]).astype(np.int32)
    values = _numbers(np.concatenate([empty, *flat]))
    return pa.ListArray.from_arrays(_numbers(offsets), values, type=kind)


def _arrays(column: pa.Array) -> list[np.ndarray] | None:
    """Give back what `_lists` was given, flat; None if there was none at all."""
    if column.null_count:
        return None
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(column) + 1]
    values = _values(column.values)
    return [values[a:b] for a, b in pairwise(offsets.tolist())]


# By way of buffers, because pyarrow imports pandas, if it is there, for the way by itself (0.2 s).
def _numbers(values: np.ndarray) -> pa.Array:
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _values(column: pa.Array) -> np.ndarray:
    dtype = np.dtype(column.type.to_pandas_dtype())
    content = column.buffers()[1]
    if content is None:
        return np.empty(0, dtype)
    return np.frombuffer(content, dtype)[column.offset :][: len(column)]


def people_from_arrow(batch: pa.RecordBatch, num_joints: int) -> list[PeopleInFrame]:
    """Give back what `people_to_arrow` was given.

    Raises
    ------
    ValueError
        If the numbers do not fit the number of people and joints.
    """
    shapes = {"boxes": (4,), "box_scores": (), "keypoints_2d": (num_joints, 2),
              "scores": (num_joints,), "keypoints_3d": (num_joints, 3)}  # fmt: skip
    counts = _values(batch["num_people"])
    columns = {name: _arrays(batch[name]) for name in shapes}
    return [
        PeopleInFrame(**{
            name: None if arrays is None else arrays[row].reshape(count, *shapes[name])
            for name, arrays in columns.items()
        })  # type: ignore[arg-type]
        for row, count in enumerate(counts.tolist())
    ]  # fmt: skip


def serve(open_estimator: Callable[[str, str, str], Estimator]) -> None:
    """Be the process of an expert: load what is asked for, and answer until the input ends.

    Whatever a library prints goes to stderr, of which posedata keeps the last lines.

    Parameters
    ----------
    open_estimator : callable
        ``(expert, model, device) -> Estimator``.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    memory_fd = int(os.environ["POSEDATA_FRAME_MEMORY"])
    memory: np.ndarray = np.empty(0, np.uint8)
    estimator: Estimator | None = None

    def read(size: int) -> bytes:
        content = requests.read(size)
        if len(content) < size:
            raise EOFError
        return content

    while True:
        try:
            kind, about, batch = read_message(read)
        except EOFError:
            return
        try:
            if kind == "open":
                estimator = open_estimator(about["expert"], about["model"], about["device"])
                write_message(answers, "opened", estimator.about)
                continue
            assert estimator is not None
            if kind == "begin":
                start = time.perf_counter()
                estimator.begin()
                write_message(answers, "begun", {"seconds": time.perf_counter() - start})
                continue
            if len(memory) < about["memory"]:
                memory = np.frombuffer(mmap.mmap(memory_fd, about["memory"],
                                                 prot=mmap.PROT_READ), np.uint8)  # fmt: skip
            frames, boxes = _frames_in_memory(batch, memory)
            start = time.perf_counter()
            people = estimator.estimate(frames, boxes)
            seconds = time.perf_counter() - start
            write_message(answers, "people", {"seconds": seconds}, people_to_arrow(people))
        except Exception as error:
            write_message(answers, "failed", _describe(error))


def _end_with_parent(parent: int) -> None:
    """End with posedata, even in the midst of a call that never returns."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _frames_in_memory(
    batch: pa.RecordBatch, memory: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    places = [_values(batch[name]).tolist() for name in _FRAMES.names[:3]]
    frames = [
        memory[offset : offset + height * width * 3].reshape(height, width, 3)
        for offset, height, width in zip(*places, strict=True)
    ]
    boxes = _arrays(batch["boxes"])
    return frames, None if boxes is None else [each.reshape(-1, 4) for each in boxes]


def _describe(error: Exception) -> dict[str, Any]:
    """Tell an error so that posedata can tell it to its user.

    One with a ``reason`` is meant for them (`posedata.errors`), another is told with its place.
    """
    if hasattr(error, "reason"):
        parts = {name: getattr(error, name, None) for name in ("path", "found", "expected",
                                                               "remedy")}  # fmt: skip
        texts = {name: str(value) for name, value in parts.items() if value not in (None, "")}
        return {"reason": error.reason, "known": True, **texts}
    traceback.print_exc()
    where = traceback.extract_tb(error.__traceback__)[-_TRACEBACK_LINES:]
    places = " < ".join(f"{entry.name} ({entry.filename}:{entry.lineno})" for entry in where[::-1])
    return {"reason": f"{type(error).__name__}: {error}", "known": False, "where": places}
