"""Decoded frames for the experts: read ahead in a thread, into memory that processes share."""

from __future__ import annotations

import mmap
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from posedata.video import Damage, Video

#: Pixels that are handed over at a time, and how often: one slot is with the experts, two wait
#: for them, and one is being filled.
SLOT_BYTES = 32 << 20
_SLOTS = 4
_MOST_FRAMES = 16


class FrameMemory:
    """Memory that the processes of experts map, too. It has no name, and ends with its users.

    Attributes
    ----------
    fd : int
        Its file descriptor, for the processes to inherit.
    size : int
        Bytes.
    pixels : uint8, shape (size,)
        The memory.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("posedata-frames")
        else:  # macOS
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        self.size = 0
        self.pixels: np.ndarray = np.empty(0, np.uint8)

    def grow(self, size: int) -> None:
        """Make it at least so large. What is in it stays."""
        if size > self.size:
            os.ftruncate(self.fd, size)
            self.pixels = np.frombuffer(mmap.mmap(self.fd, size), np.uint8)
            self.size = size

    def close(self) -> None:
        """Give it back."""
        self.pixels = np.empty(0, np.uint8)
        os.close(self.fd)


class Batch(NamedTuple):
    """Consecutive frames of a video in the shared memory.

    Parameters
    ----------
    slot : int
        To be given back to `FrameFeed.release`.
    frames : list of int
        Index of each frame in the video.
    offsets : list of int
        Where each begins in the memory.
    height, width : int
        Pixels.
    """

    slot: int
    frames: list[int]
    offsets: list[int]
    height: int
    width: int


class FrameFeed:
    """Batches of a video's frames, decoded ahead of their use in a thread of their own.

    Use it in a ``with`` block, iterate over it, and release each batch when all experts are done
    with it: there are few slots, so that memory does not grow with the video.

    Parameters
    ----------
    video : Video
        From `posedata.video.probe_video`.
    memory : FrameMemory
        Made large enough here.

    Attributes
    ----------
    damages : list of Damage
        What could not be decoded; complete when the iteration has ended.
    """

    def __init__(self, video: Video, memory: FrameMemory) -> None:
        self._video = video
        self._memory = memory
        self._frame_bytes = video.height * video.width * 3
        self._batch = max(1, min(_MOST_FRAMES, SLOT_BYTES // self._frame_bytes))
        memory.grow(self._batch * self._frame_bytes * _SLOTS)
        self.damages: list[Damage] = []
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(_SLOTS):
            self._free.put(slot)
        self._ready: queue.SimpleQueue[Batch | BaseException | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decode", daemon=True)

    def __enter__(self) -> FrameFeed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._free.put(0)  # wake a thread that waits for a slot
        self._thread.join()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self._ready.get()
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch

    def release(self, batch: Batch) -> None:
        """Say that the pixels of a batch are not needed any more."""
        self._free.put(batch.slot)

    def _run(self) -> None:
        try:
            for batch in self._batches():
                self._ready.put(batch)
            self._ready.put(None)
        except BaseException as error:  # raised where the frames are used
            self._ready.put(error)

    def _batches(self) -> Iterator[Batch]:
        from posedata.video import read_frames

        video, size = self._video, self._frame_bytes
        batch: Batch | None = None
        for frame in read_frames(video, self.damages):
            if batch is None:
                slot = self._free.get()
                if self._stopped.is_set():
                    return
                batch = Batch(slot, [], [], video.height, video.width)
            offset = (batch.slot * self._batch + len(batch.frames)) * size
            pixels = self._memory.pixels[offset : offset + size]
            frame.copy_rgb(pixels.reshape(video.height, video.width, 3))
            batch.frames.append(frame.index)
            batch.offsets.append(offset)
            if len(batch.frames) == self._batch:
                yield batch
                batch = None
        if batch is not None:
            yield batch
