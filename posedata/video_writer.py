"""Writing pictures as a video that everything plays: H.264 in MP4."""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from posedata.errors import OutputError, UsageError
from posedata.storage import Location

# Visually lossless for thin lines (0 is lossless, 23 the encoder's default), and quick.
_ENCODER_OPTIONS = {"crf": "18", "preset": "veryfast"}
_LEAST_FPS, _MOST_FPS = 0.01, 1000.0


def write_video(place: Location, pictures: Iterable[np.ndarray], fps: float) -> int:
    """Encode pictures with libx264, one frame each, at a constant rate.

    Colours are BT.709 in limited range, and the file says so. Where width or height is odd, the
    last column or row is repeated once, since 4:2:0 needs even ones.

    Parameters
    ----------
    place : Location
        The file; appears when it is complete. What is there is replaced.
    pictures : iterable of uint8, shape (H, W, 3)
        RGB, all of one size; taken one at a time.
    fps : float
        Frames per second; limited to 0.01 to 1000.

    Returns
    -------
    int
        How many pictures were written.

    Raises
    ------
    UsageError
        If there is no picture, they differ in size, or PyAV is not installed.
    OutputError
        If the file cannot be written, or PyAV was built without libx264.
    """
    rest = iter(pictures)
    first = next(rest, None)
    if first is None:
        raise UsageError("no pictures to make a video of", path=place)
    # The muxer goes back to the start of the file in the end, which storage cannot do.
    with tempfile.TemporaryFile() as file:
        count = _encode(file, itertools.chain([first], rest), first.shape, fps, str(place))
        file.seek(0)
        with place.create() as sink:
            shutil.copyfileobj(file, sink, 1 << 20)
    return count


def _encode(
    file: Any, pictures: Iterator[np.ndarray], shape: tuple[int, ...], fps: float, path: str
) -> int:
    from posedata.video import require_av

    require_av()
    import av
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    padding = ((0, height - shape[0]), (0, width - shape[1]), (0, 0))
    to_yuv = VideoReformatter()
    with contextlib.ExitStack() as stack:
        with _blamed_on_output(path):
            container = stack.enter_context(av.open(file, "w", format="mp4"))
            stream = container.add_stream("libx264", rate=_rate(fps), options=_ENCODER_OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            codec = stream.codec_context
            codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709
            codec.color_range = ColorRange.MPEG
        count = 0
        for picture in pictures:
            if picture.shape != shape:
                raise UsageError("pictures of several sizes", path=path, found=picture.shape,
                                 expected=shape)  # fmt: skip
            if (height, width) != shape[:2]:
                picture = np.pad(picture, padding, "edge")
            with _blamed_on_output(path):
                frame = to_yuv.reformat(
                    av.VideoFrame.from_ndarray(picture, format="rgb24"), format="yuv420p",
                    dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
                )  # fmt: skip
                frame.pts, frame.time_base = count, 1 / _rate(fps)
                container.mux(stream.encode(frame))
            count += 1
        with _blamed_on_output(path):
            container.mux(stream.encode(None))
            container.close()
    return count


def _rate(fps: float) -> Fraction:
    """Frames per second as MP4 wants them; 29.97 becomes 30000/1001 where it is that."""
    limited = min(max(fps, _LEAST_FPS), _MOST_FPS) if math.isfinite(fps) else _MOST_FPS
    return Fraction(limited).limit_denominator(1001)


@contextlib.contextmanager
def _blamed_on_output(path: str) -> Iterator[None]:
    from av import FFmpegError

    try:
        yield
    except (FFmpegError, ValueError) as error:  # ValueError: an encoder that is not built in
        raise OutputError(
            "the video cannot be encoded", path=path, found=error,
            remedy="It takes PyAV with libx264, as in the package av.",
        ) from error  # fmt: skip
    except OSError as error:
        raise OutputError("the video cannot be written", path=path, found=error) from error
