"""Small videos whose frames can be told apart: each shows its number as bars of light."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

BITS = 10
TIME_BASE = Fraction(1, 1000)


def picture(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """Draw a number: the upper half has a bar for each bit, the texture in the lower one moves."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    columns = np.array(bits)[np.arange(width) * BITS // width]
    out = np.empty((height, width, 3), np.uint8)
    out[: height // 2] = (30 + 190 * columns)[None, :, None]
    texture = np.random.default_rng(0).integers(0, 256, (height - height // 2, width // 4 + 1, 3))
    out[height // 2 :] = np.roll(texture.repeat(4, 1)[:, :width], 3 * number, 1)
    return out


def number_in(rgb: np.ndarray) -> int:
    """Read the number of a picture."""
    height, width = rgb.shape[:2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bars = rgb[height // 8 : height // 3][:, centres].mean((0, 2)) > 125
    return int((bars << np.arange(BITS)).sum())


def write_video(
    path: Path, num_frames: int = 40, *, codec: str = "libx264", width: int = 160,
    height: int = 96, pixel_format: str = "yuv420p", gop: int = 12, b_frames: int = 2,
    times_ms: Iterable[int] | None = None, options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None, setup: Callable[[Any], None] | None = None,
    draw: Callable[[int, int, int], np.ndarray] = picture,
) -> Path:  # fmt: skip
    """Encode a video; ``times_ms`` are the frames' times, else 40 ms apart."""
    import av

    times = list(times_ms or range(0, 40 * num_frames, 40))
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.codec_context.max_b_frames = b_frames
        if codec == "libx265":
            options = {"x265-params": "log-level=none", **(options or {})}
        stream.options = options or {}
        if times_ms is not None:
            stream.codec_context.time_base = TIME_BASE
        if setup is not None:
            setup(stream)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(draw(number, width, height), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            if times_ms is not None:
                frame.pts, frame.time_base = times[number], TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
