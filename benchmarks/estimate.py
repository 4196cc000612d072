"""What ``posedata estimate`` adds to the time and memory of the experts that it runs.

Overhead is the wall time of an estimation, its experts loaded, over the time spent inside the
expert: with an expert that does nothing for 10 ms a frame, and with MediaPipe on a real video
(``POSEDATA_SHARED`` or ``../shared``; ten times the same clip). Memory is that of all processes,
for 20,000 frames against 10. ``python benchmarks/estimate.py``
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from measure import Row, run, say
from process_memory import run_and_watch

ROOT = Path(__file__).resolve().parent.parent
MADE_EXPERTS = ROOT / "tests" / "made_experts"
LONG, SHORT = 20_000, 10
COPIES = 10
NOTHING = "made:idle,seconds=0.01"


def measure() -> list[Row]:
    """Measure overhead and memory."""
    os.environ["PYTHONPATH"] = str(MADE_EXPERTS)
    sys.path.insert(0, str(MADE_EXPERTS))
    with tempfile.TemporaryDirectory() as folder:
        return [*_overheads(Path(folder)), *_memory(Path(folder))]


def _overheads(folder: Path) -> list[Row]:
    (folder / "made").mkdir()
    write_video(folder / "made" / "full-hd.mp4", 1000, (1920, 1080))
    rows = [_overhead("an expert that does nothing, 10 ms a frame, 1,000 frames of 1920x1080",
                      folder / "made", folder / "r1", NOTHING)]  # fmt: skip
    shared = Path(os.environ.get("POSEDATA_SHARED", ROOT.parent / "shared"))
    video = shared / "data/ntu/rgb/S001C001P001R001A001_rgb.avi"
    if video.exists():
        (folder / "real").mkdir()
        for copy in range(COPIES):
            shutil.copy(video, folder / "real" / f"clip{copy}.avi")
        rows.append(_overhead(f"MediaPipe, {COPIES} NTU clips of 103 frames, 1920x1080",
                              folder / "real", folder / "r2", "mediapipe"))  # fmt: skip
    return rows


def _overhead(what: str, videos: Path, out: Path, expert: str) -> Row:
    from posedata.estimate import estimate
    from posedata.estimate_plan import plan_estimate
    from posedata.estimate_setup import Setup
    from posedata.expert import parse_spec

    say(f"estimate: {what}")
    begin = time.perf_counter()
    plan = plan_estimate([str(videos)], out, Setup((parse_spec(expert),)))
    start = time.perf_counter()
    summary = estimate(plan, out)
    wall = time.perf_counter() - start
    (inside,) = summary.seconds.values()
    ratio = wall / inside
    frames = summary.num_frames
    return Row(
        f"estimate: {what}", 1000 * wall / frames, "ms/frame", "inside the expert",
        1000 * inside / frames, ratio, "at most 1.15 times", ratio <= 1.15,
        f"with planning and loading {(time.perf_counter() - begin) / inside:.2f} times",
    )  # fmt: skip


def _memory(folder: Path) -> list[Row]:
    peaks = {}
    for frames in (SHORT, LONG):
        say(f"estimate: memory for {frames:,} frames")
        video = write_video(folder / f"{frames}.mp4", frames, (640, 480))
        command = [sys.executable, "-m", "posedata", "estimate", str(video), "-o",
                   str(folder / f"r{frames}"), "-e", "made:finder", "--json"]  # fmt: skip
        report, peaks[frames] = run_and_watch(command)
        assert json.loads(report)["frames"] == frames
    more = (peaks[LONG] - peaks[SHORT]) / 2**20
    return [Row(
        f"estimate: peak memory of all processes, {LONG:,} frames of 640x480", peaks[LONG] / 2**20,
        "MB", f"{SHORT} frames", peaks[SHORT] / 2**20, peaks[LONG] / peaks[SHORT],
        "less than 1024 MB above the model's", more < 1024, f"{more:.0f} MB more",
    )]  # fmt: skip


def write_video(path: Path, num_frames: int, size: tuple[int, int]) -> Path:
    """Write noise that moves, with a bright square, in H.264."""
    width, height = size
    noise = np.random.default_rng(0).integers(0, 60, (height, width * 2, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "30"}
        for frame in range(num_frames):
            start = frame % width
            picture = np.ascontiguousarray(noise[:, start : start + width])
            picture[100:200, start // 2 : start // 2 + 50] = 255
            image = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(image):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


if __name__ == "__main__":
    run(measure, __doc__)
