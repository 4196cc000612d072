"""Trying an expert on one picture: is it usable here, and what does it see?"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from posedata.errors import InputError
from posedata.expert import ExpertSpec
from posedata.expert_process import ExpertProcess
from posedata.frame_feed import Batch, FrameMemory

_MADE_SHAPE = (480, 640, 3)


def check_expert(
    spec: ExpertSpec, picture: str | None = None, *, device: str = "cpu", timeout: float = 300.0
) -> dict[str, Any]:
    """Start an expert, and have it look at one picture.

    Parameters
    ----------
    spec : ExpertSpec
        Which.
    picture : str, optional
        An image or a video, of which the first frame is taken. By default an empty scene, in
        which nobody is to be found.
    device : str
        What it runs on.
    timeout : float
        Seconds that an answer may take.

    Returns
    -------
    dict
        ``about`` (see `posedata.workers.worker_protocol.Estimator`), ``num_joints``,
        ``load_seconds``, ``seconds``, ``picture``, ``num_people``, and for each of the
        ``people`` its ``box``, ``score``, and how many ``joints`` were found.

    Raises
    ------
    UsageError, InputError
        If the expert is not usable here, or the picture is none.
    ExpertError
        If it dies, hangs or fails.
    """
    pixels = np.full(_MADE_SHAPE, 114, np.uint8) if picture is None else _first_frame(picture)
    height, width, _ = pixels.shape
    memory = FrameMemory()
    expert = ExpertProcess(spec, device, memory, timeout)
    try:
        start = time.perf_counter()
        expert.begin()
        loaded = time.perf_counter() - start
        memory.grow(pixels.size)
        memory.pixels[: pixels.size] = pixels.reshape(-1)
        whole = np.array([[0, 0, width - 1, height - 1]], np.float32)
        needs_box = expert.about["boxes"] == "needed"
        (people,) = expert.estimate(
            Batch(0, [0], [0], height, width), [whole] if needs_box else None
        )
    finally:
        expert.close()
        memory.close()
    found = np.isfinite(people.keypoints_2d).all(-1) & (people.scores > 0)
    return {
        "about": expert.about,
        "num_joints": expert.num_joints,
        "load_seconds": loaded,
        "seconds": expert.seconds,
        "picture": picture or "an empty scene",
        "num_people": len(people.boxes),
        "people": [
            {"box": box.tolist(), "score": float(score), "joints": int(joints.sum())}
            for box, score, joints in zip(people.boxes, people.box_scores, found, strict=True)
        ],
    }


def _first_frame(place: str) -> np.ndarray:
    import av

    try:
        with av.open(place) as container:
            frame = next(container.decode(video=0))
            return frame.to_ndarray(format="rgb24")
    except (OSError, ValueError, StopIteration, IndexError, av.FFmpegError) as error:
        raise InputError("not a picture or video that can be read", path=place,
                         found=str(error) or type(error).__name__) from error  # fmt: skip
