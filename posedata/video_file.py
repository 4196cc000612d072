"""Video files, through PyAV: packets to count, frames to decode."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError
from posedata.frame_order import FrameOrder
from posedata.storage import Location
from posedata.video import (
    MOST_PIXELS,
    Damage,
    Orientation,
    Video,
    orientation_of,
    printable,
    shown_size,
)

# Only what holds videos: FFmpeg would also take images, texts, and playlists, and follow what
# those name.
_FORMATS = ("mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,asf,flv,ogg,ivf,mxf,dv,"
            "nut,obu")  # fmt: skip

# Formats without timestamps of presentation: FFmpeg makes them up, not always well.
_WITHOUT_TIMESTAMPS = {"avi", "mpegvideo", "h264", "hevc", "m4v", "dv", "obu"}

# A packet of MPEG-4 may say that nothing has changed, and no picture comes of it.
_EMPTY_MPEG4_BYTES = 16

#: Codecs to be decoded in slice threads: frames decoded in parallel wait for each other, in FFmpeg
#: 8.1 for ever if one is damaged.
HANGS_IN_FRAME_THREADS = frozenset({"hevc"})

# AVI's index points to the 8 bytes before a packet that tell its kind and size.
_AVI_HEADER_BYTES = 8

# A file that is cut off may hold a frame without some that are shown before it: at most so many
# packets before its end.
_MOST_REORDERED = 16
_LEAST_EVEN_FRAMES = 8

_VP8_IS_SHOWN = 0x10
_BUFFER_BYTES = 1 << 18
_MOST_FRAMES_SHORT = 3


class _Packets(NamedTuple):
    """What demuxing a file tells.

    ``timestamps`` and ``positions`` (bytes) have one entry for each packet that is to be shown,
    ``are_timed`` says whether all timestamps are known, ``num_stored`` counts those packets too
    that are not shown, ``end`` is in seconds, ``error`` says why FFmpeg stopped before the end.
    """

    timestamps: array[int]
    positions: array[int]
    are_timed: bool
    num_stored: int
    end: float
    error: str


def probe_file(place: Location) -> Video:
    """See what a video file holds; see `posedata.video.probe_video`."""
    _check_file(place)
    with open_container(place) as container:
        stream = _video_stream(container, place)
        packets = _read_packets(container, stream, place)
        number = stream.index
        fps = float(stream.average_rate) if stream.average_rate else None
        declared, seconds = stream.frames, (container.duration or 0) / 1e6
        formats = set(container.format.name.split(","))
        places = _places_in_index(stream) if "avi" in formats else None
    is_timed = packets.are_timed and not _WITHOUT_TIMESTAMPS & formats
    ranks = _ranks(packets.timestamps) if is_timed else None
    num_frames = num_packets = len(packets.timestamps)
    if ranks is not None:
        num_frames = int(ranks.max(initial=-1)) + 1
    numbers = _numbers_in_index(places, packets) if places is not None else None
    if places is not None and numbers is not None:
        num_frames = num_packets = len(places)
    tail = _tail(packets, num_frames, declared, seconds, fps)
    video = Video(
        path=printable(place), num_frames=num_frames, width=0, height=0, fps=fps,
        orientation=Orientation(), place=place, stream=number, num_packets=num_packets,
        ranks=ranks, numbers=numbers, tail=tail,
    )  # fmt: skip
    picture = next((picture for _, picture in read_file(video)), None)
    if picture is None:
        raise InputError("no frame of the video can be decoded", path=printable(place),
                         found=packets.error or f"{num_frames} damaged frames")  # fmt: skip
    orientation = orientation_of(picture)
    width, height = shown_size(picture, orientation)
    return replace(video, width=width, height=height, orientation=orientation)


def _check_file(place: Location) -> None:
    try:
        if place.is_local and not stat.S_ISREG(os.stat(place.path).st_mode):  # noqa: PTH116
            raise InputError("a pipe or device, not a file", path=printable(place))
        is_empty = place.size() == 0
    except OSError as error:
        raise InputError("cannot be read", path=printable(place),
                         found=_why(error)) from error  # fmt: skip
    if is_empty:
        raise InputError("the file is empty", path=printable(place), found="0 bytes",
                         expected="a video")  # fmt: skip


@contextlib.contextmanager
def open_container(place: Location) -> Iterator[Any]:
    """Open a video file for reading, closed at the end of the ``with`` block.

    Yields
    ------
    av.container.InputContainer

    Raises
    ------
    InputError
        If it cannot be read, or is no video.
    """
    import av
    import av.error

    with contextlib.ExitStack() as stack:
        try:
            file = f"file:{place.path}" if place.is_local else stack.enter_context(place.open())
            container = stack.enter_context(av.open(
                file, "r", metadata_errors="replace", buffer_size=_BUFFER_BYTES,
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            ))  # fmt: skip
        except (av.error.FFmpegError, UnicodeError) as error:
            is_of_system = isinstance(error, OSError | UnicodeError | MemoryError)
            if is_of_system and getattr(error, "errno", None) != errno.EIO:  # FFmpeg's "no idea"
                raise _unreadable(place, error) from error
            raise InputError("not a video, or one without its beginning", path=printable(place),
                             found=_what_it_is(place)) from error  # fmt: skip
        except OSError as error:
            raise _unreadable(place, error) from error
        yield container


def _what_it_is(place: Location) -> str:
    with contextlib.suppress(OSError), place.open() as file:
        start = bytes(file.read(16))
        if start[4:8] == b"ftyp":
            return ("an MP4 file without its index (moov): the recording or the copying of it "
                    "was broken off")  # fmt: skip
        if start[:2] == b"\xff\xd8" or start[:4] == b"\x89PNG":
            return "an image"
        if start.isascii() and start.decode("ascii").replace("\n", " ").isprintable():
            return "a text"
    return "neither MP4, AVI, Matroska, MPEG nor anything else of the kind"


def _video_stream(container: Any, place: Location) -> Any:
    from av.stream import Disposition

    streams = [stream for stream in container.streams.video
               if not stream.disposition & Disposition.attached_pic]  # fmt: skip
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise InputError("there is no video in the file", path=printable(place),
                         found=" and ".join(kinds) or "nothing")  # fmt: skip
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream == best), streams[0])
    context = stream.codec_context
    if context is None:
        raise InputError("FFmpeg has no decoder for the video", path=printable(place))
    if context.width * context.height > MOST_PIXELS:
        raise InputError("the picture is too large", path=printable(place),
                         found=f"{context.width}x{context.height}",
                         expected=f"at most {MOST_PIXELS} pixels")  # fmt: skip
    return stream


def _read_packets(container: Any, stream: Any, place: Location) -> _Packets:
    """Go through the file without decoding; other streams tell where it should end."""
    import av.error

    timestamps: array[int] = array("q")
    positions: array[int] = array("q")
    are_timed, num_stored, end, error = True, 0, 0.0, ""
    name = stream.codec_context.name
    try:
        for packet in container.demux():
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None and packet.time_base:
                end = max(end, float((time + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != stream.index or (not packet.size and packet.dts is None):
                continue
            num_stored += 1
            if is_shown(packet, name):
                are_timed &= packet.pts is not None
                timestamps.append(packet.pts or 0)
                positions.append(packet.pos or 0)
    except av.error.FFmpegError as invalid:
        error = _why(invalid)
    except OSError as failure:
        raise _unreadable(place, failure) from failure
    return _Packets(timestamps, positions, are_timed, num_stored, end, error)


def is_shown(packet: Any, codec: str) -> bool:
    """Whether a picture is to come of a packet.

    Not of those outside an MP4's edit list, and not of VP8's that are only referred to.

    Parameters
    ----------
    packet : av.Packet
        Of a video stream.
    codec : str
        FFmpeg's name of its codec.
    """
    if not packet.size or packet.is_discard:
        return False
    return codec != "vp8" or bool(memoryview(packet)[0] & _VP8_IS_SHOWN)


def _places_in_index(stream: Any) -> np.ndarray:
    """Where the packets of an AVI begin, by its index."""
    entries = np.array([(entry.pos, entry.size) for entry in stream.index_entries], np.int64)
    entries = entries.reshape(-1, 2)
    return entries[entries[:, 1] > 0, 0] + _AVI_HEADER_BYTES


def _numbers_in_index(places: np.ndarray, packets: _Packets) -> np.ndarray | None:
    """Number of each packet in an index that has more; None where it has not, or other ones.

    So a packet that the file has lost is known to be missing.
    """
    if len(places) <= len(packets.positions) or not (np.diff(places) > 0).all():
        return None
    numbers = np.searchsorted(places, packets.positions)
    is_in_index = (places.take(numbers, mode="clip") == packets.positions).all()
    return numbers.astype(np.int32) if is_in_index and (np.diff(numbers) > 0).all() else None


def _ranks(timestamps: array[int]) -> np.ndarray | None:
    """Rank of each timestamp; None where two are the same.

    Where a file with reordered frames is cut off, the last ones may lack those before them. If
    frames are evenly spaced otherwise, such gaps count.
    """
    times = np.array(timestamps, np.int64)
    order = np.argsort(times, kind="stable")
    gaps = np.diff(times[order])
    if (gaps == 0).any():
        return None
    steps = np.ones(len(gaps), np.int64)
    before = gaps[:-_MOST_REORDERED]
    if len(before) >= _LEAST_EVEN_FRAMES and (np.diff(order) < 0).any():
        step = np.median(before)
        if np.abs(before - step).max() <= max(1, step / 10):
            last = slice(len(before), None)
            steps[last] = np.clip(np.rint(gaps[last] / step), 1, _MOST_REORDERED)
    ranks = np.empty(len(times), np.int32)
    ranks[order] = np.concatenate([[0], np.cumsum(steps)])[: len(times)]
    return ranks


def _tail(
    packets: _Packets, num_frames: int, declared: int, seconds: float, fps: float | None
) -> Damage | None:
    """Tell whether the file ends before it should, by its own account."""
    if packets.error:
        return Damage(num_frames, None, f"the file cannot be read further: {packets.error}")
    missing = declared - packets.num_stored - (num_frames - len(packets.timestamps))
    if missing > 0:
        return Damage(num_frames, missing,
                      f"the file ends early: it says that it has {declared} frames")  # fmt: skip
    if declared == 0 and fps and seconds - packets.end > _MOST_FRAMES_SHORT / fps:
        return Damage(num_frames, None, f"the file ends early: after {packets.end:.2f} of "
                      f"{seconds:.2f} seconds")  # fmt: skip
    return None


def read_file(video: Video) -> Iterator[tuple[int, Any]]:
    """Decode a video file: index and PyAV frame of each frame that is whole, ascending.

    See `posedata.frame_order` for which frames those are.
    """
    import av.error

    with open_container(video.place) as container:
        stream = container.streams[video.stream]
        name = stream.codec_context.name
        stream.thread_type = "SLICE" if name in HANGS_IN_FRAME_THREADS else "AUTO"
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        order = FrameOrder(video.num_packets, video.ranks, stream.codec_context.has_b_frames)
        incomplete: set[int] = set()
        num_shown = 0
        for packet in _packets_to_decode(container, stream, video.place):
            if packet is not None and not is_shown(packet, name):
                packet.pts = None
            elif packet is not None:
                # Decoders hand a packet's timestamp on to its picture: it says which one it is.
                number = num_shown if video.numbers is None else int(video.numbers[num_shown])
                packet.pts = number
                num_shown += 1
                if packet.is_corrupt:
                    incomplete.add(number)
                if name == "mpeg4" and packet.size <= _EMPTY_MPEG4_BYTES:
                    order.expect_nothing(number)
            try:
                pictures = stream.codec_context.decode(packet)
            except av.error.FFmpegError:  # the picture does not come, and is missed
                continue
            for picture in pictures:
                is_damaged = picture.is_corrupt or picture.pts in incomplete
                yield from order.add(picture.pts, picture.key_frame, is_damaged, picture)
        yield from order.finish(is_cut_off=video.tail is not None)


def _packets_to_decode(container: Any, stream: Any, place: Location) -> Iterator[Any]:
    """Yield packets that are not empty (those would end the decoder), and None at the end."""
    import av.error

    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError:  # `probe_file` has said so
        pass
    except OSError as failure:
        raise _unreadable(place, failure) from failure
    yield None


def _unreadable(place: Location, error: Exception) -> InputError:
    return InputError("cannot be read", path=printable(place), found=_why(error))


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
