"""An expert in a process of its own, so that its crash, leak or hang is its own."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import PosedataError, UsageError
from posedata.expert import ExpertSpec, load_expert
from posedata.frame_feed import Batch, FrameMemory
from posedata.workers import worker_protocol
from posedata.workers.worker_protocol import PeopleInFrame, people_from_arrow, read_message

_LAST_WORDS = 12  # lines
_WORDS_SHOWN = 3
_SECONDS_TO_END = 5.0
_SECONDS_TO_LOAD = 300.0  # at least: a model may have to be downloaded


class ExpertError(PosedataError):
    """An expert that has died, hung, or failed at its work."""


class ExpertProcess:
    """A running expert.

    Parameters
    ----------
    spec : ExpertSpec
        Which expert, and its model.
    device : str
        ``cpu``, ``cuda``, ``cuda:1``, ...
    memory : FrameMemory
        Where frames will lie.
    timeout : float
        Seconds that an answer may take; loading may take 300 in any case.

    Attributes
    ----------
    about : dict
        What it says of itself; see `posedata.workers.worker_protocol.Estimator`.
    num_joints : int
        V; 0 for a detector.
    seconds : float
        Time that it has spent in its library on the frames of the current video.
    """

    def __init__(self, spec: ExpertSpec, device: str, memory: FrameMemory, timeout: float) -> None:
        self.spec = spec
        self._device = device
        self._memory = memory
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.about: dict[str, Any] = {}
        self.num_joints = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Start the process and load the model, unless that is done.

        Raises
        ------
        UsageError
            If the expert is not usable here, or its model is not one.
        ExpertError
            If it dies or takes too long.
        """
        if self._process is not None:
            return
        self._words.clear()
        self._process = subprocess.Popen(
            _command(self.spec),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            pass_fds=[self._memory.fd], start_new_session=True,
            env={**os.environ, "POSEDATA_FRAME_MEMORY": str(self._memory.fd)},
        )  # fmt: skip
        self._listener = threading.Thread(
            target=_listen, args=(self._process, self._words), daemon=True
        )
        self._listener.start()
        self.about = self._ask("open", {"expert": self.spec.expert, "model": self.spec.model,
                                        "device": self._device}, _SECONDS_TO_LOAD)  # fmt: skip
        skeleton = self.about["skeleton"]
        self.num_joints = 0 if skeleton is None else num_joints(skeleton)

    def begin(self) -> None:
        """Tell it that a new video begins; start it where it is not running."""
        self.start()
        self.seconds = self._ask("begin", {})["seconds"]

    def estimate(self, batch: Batch, boxes: Sequence[np.ndarray] | None) -> list[PeopleInFrame]:
        """Have it find the people in a batch of frames; see `send` and `receive`."""
        self.send(batch, boxes)
        return self.receive(batch, boxes)

    def send(self, batch: Batch, boxes: Sequence[np.ndarray] | None) -> None:
        """Ask it for the people in a batch; several may be asked for before the first answer."""
        message = worker_protocol.frames_to_arrow(batch.offsets, batch.height, batch.width, boxes)
        self._write("frames", {"memory": self._memory.size}, message)

    def receive(self, batch: Batch, boxes: Sequence[np.ndarray] | None) -> list[PeopleInFrame]:
        """Wait for the answer to what was sent first.

        Raises
        ------
        ExpertError
            If it dies, takes too long, cannot, or answers something impossible. It is ended then.
        """
        about, answer = self._answer()
        self.seconds += about["seconds"]
        try:
            people = people_from_arrow(answer, self.num_joints)
            _check(people, batch, boxes)
        except (ValueError, KeyError) as error:
            self.close()
            raise self._failure(f"answered something impossible: {error}") from error
        return people

    def kill(self) -> None:
        """End the process at once; whoever waits for its answer is told."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(_SECONDS_TO_END)
        process.stdout.close()

    def _ask(self, kind: str, about: dict[str, Any], least: float = 0.0) -> dict[str, Any]:
        self._write(kind, about)
        return self._answer(least)[0]

    def _write(self, kind: str, about: dict[str, Any], batch: Any = None) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        # One that has died is found out where its answer is waited for.
        with contextlib.suppress(OSError, ValueError):
            worker_protocol.write_message(process.stdin, kind, about, batch)

    def _answer(self, least: float = 0.0) -> tuple[dict[str, Any], Any]:
        timeout = max(self._timeout, least)
        until = time.monotonic() + timeout
        try:
            answer, about, rows = read_message(lambda size: self._read(size, until))
        except TimeoutError:
            self.close()
            raise self._failure(f"has not answered for {timeout:g} s and was ended; "
                                "--timeout allows for more") from None  # fmt: skip
        except (EOFError, OSError):
            code = self._end_of_dead()
            raise self._failure(f"died ({code})") from None
        if answer == "failed":
            self.close()
            if about["known"]:
                raise UsageError(about["reason"], path=about.get("path"))
            raise self._failure(f"failed with {about['reason']}")
        return about, rows

    def _read(self, size: int, until: float) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        fd = self._process.stdout.fileno()
        pieces = []
        while size:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError
            piece = os.read(fd, min(size, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _end_of_dead(self) -> str:
        process = self._process
        if process is None:
            return "it was ended"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        self.close()
        code = process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _failure(self, what: str) -> ExpertError:
        words = list(self._words)[-_WORDS_SHOWN:]
        last = f"; its last words: {' | '.join(words)}" if words else ""
        return ExpertError(f"the expert {self.spec} {what}{last}")


def num_joints(skeleton: str | dict[str, Any]) -> int:
    """Count the joints that an expert's answers have (V)."""
    from posedata.skeleton import load_skeleton

    return (
        load_skeleton(skeleton).num_joints if isinstance(skeleton, str) else len(skeleton["joints"])
    )


def _command(spec: ExpertSpec) -> list[str]:
    expert = load_expert(spec.expert)
    if not expert.environment:
        return [sys.executable, "-m", "posedata.workers.serve_expert"]
    from posedata.experts.environments import environment_python

    python = environment_python(expert.environment)
    if python is None:
        raise UsageError(f"the expert {spec.expert} has no environment yet",
                         remedy=expert.install)  # fmt: skip
    script = Path(worker_protocol.__file__).with_name(f"serve_{expert.environment}.py")
    return [str(python), str(script)]


def _listen(process: subprocess.Popen[bytes], words: deque[str]) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            text = line.decode(errors="replace").strip()
            if text:
                words.append(text[:300])


def _check(
    people: Sequence[PeopleInFrame], batch: Batch, boxes: Sequence[np.ndarray] | None
) -> None:
    if len(people) != len(batch.frames):
        raise ValueError(f"{len(people)} answers to {len(batch.frames)} frames")
    if boxes is None:
        return
    for given, answer in zip(boxes, people, strict=True):
        if len(given) != len(answer.boxes):
            raise ValueError(f"{len(answer.boxes)} people for {len(given)} boxes")
