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
    flat = None if boxes is None else [np.asarray(b, np.float32).reshape(-1) for b in boxes]
    return pa.record_batch(
        [
            pa.array(offsets, pa.int64()),
            pa.array([height] * len(offsets), pa.int32()),
            pa.array([width] * len(offsets), pa.int32()),
            pa.array([None] * len(offsets) if flat is None else flat, _FRAMES.types[3]),
        ],
        schema=_FRAMES,
    )


def people_to_arrow(people: Sequence[PeopleInFrame]) -> pa.RecordBatch:
    """One row for each frame."""
    columns: list[Any] = [pa.array([len(p.boxes) for p in people], pa.int32())]
    for name in _PEOPLE.names[1:]:
        values = [getattr(p, name) for p in people]
        flat = [None if v is None else np.asarray(v, np.float32).reshape(-1) for v in values]
        columns.append(pa.array(flat, pa.list_(pa.float32())))
    return pa.record_batch(columns, schema=_PEOPLE)


def people_from_arrow(batch: pa.RecordBatch, num_joints: int) -> list[PeopleInFrame]:
    """Give back what `people_to_arrow` was given.

    Raises
    ------
    ValueError
        If the numbers do not fit the number of people and joints.
    """
    shapes = {"boxes": (4,), "box_scores": (), "keypoints_2d": (num_joints, 2),
              "scores": (num_joints,), "keypoints_3d": (num_joints, 3)}  # fmt: skip
    people = []
    for row in range(batch.num_rows):
        count = batch["num_people"][row].as_py()
        arrays: dict[str, np.ndarray | None] = {}
        for name, shape in shapes.items():
            values = batch[name][row].values
            arrays[name] = None if values is None else values.to_numpy().reshape(count, *shape)
        people.append(PeopleInFrame(**arrays))  # type: ignore[arg-type]
    return people


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
                estimator.begin()
                write_message(answers, "begun", {})
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
    frames = []
    for offset, height, width in zip(*(batch[n].to_pylist() for n in _FRAMES.names[:3]),
                                     strict=True):  # fmt: skip
        pixels = memory[offset : offset + height * width * 3].reshape(height, width, 3)
        frames.append(pixels)
    if batch["boxes"].null_count:
        return frames, None
    return frames, [
        batch["boxes"][row].values.to_numpy().reshape(-1, 4) for row in range(len(batch))
    ]


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
