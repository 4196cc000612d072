"""Pictures for an expert, as an estimate gives it a video's frames, and for its library itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from posedata.expert import parse_spec
from posedata.expert_process import ExpertProcess
from posedata.frame_feed import Batch, FrameMemory
from posedata.workers.worker_protocol import PeopleInFrame

HERE = Path(__file__).parent
SECONDS = 120.0


class Client:
    def __init__(self, spec: str) -> None:
        self.memory = FrameMemory()
        self.process = ExpertProcess(parse_spec(spec), "cpu", self.memory, SECONDS)

    def ask(
        self, pictures: np.ndarray, boxes: Sequence[np.ndarray] | None = None
    ) -> list[PeopleInFrame]:
        count, height, width, _ = pictures.shape
        self.memory.grow(pictures.nbytes)
        self.memory.pixels[: pictures.nbytes] = pictures.reshape(-1)
        offsets = [frame * height * width * 3 for frame in range(count)]
        batch = Batch(0, list(range(count)), offsets, height, width)
        return self.process.estimate(batch, boxes)


@contextmanager
def running(spec: str) -> Iterator[Client]:
    client = Client(spec)
    try:
        client.process.start()
        client.process.begin()
        yield client
    finally:
        client.process.close()
        client.memory.close()


def assert_same_poses(
    people: PeopleInFrame,
    keypoints: np.ndarray,
    scores: np.ndarray,
    boxes: np.ndarray,
    pixels: float = 1e-4,
) -> None:
    """Compare an answer with a library's own: the same, and missing where it has no score."""
    assert len(people.boxes) == len(keypoints)
    if not len(keypoints):
        return
    is_found = scores > 0
    np.testing.assert_array_equal(np.isnan(people.keypoints_2d).any(-1), ~is_found)
    np.testing.assert_allclose(people.keypoints_2d[is_found], keypoints[is_found], atol=pixels,
                               rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(people.scores, np.clip(scores, 0, 1), atol=1e-4)
    np.testing.assert_allclose(people.boxes, boxes, atol=1e-4, rtol=1e-6)


def run_reference(python: Path, script: str, *arguments: object) -> None:
    """Run a script of this folder by the interpreter of an environment."""
    command = [str(python), str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def read_frames(archive: Path, name: str, count: int) -> Iterator[np.ndarray]:
    with np.load(archive) as answers:
        yield from (answers[f"{name}{frame}"] for frame in range(count))
