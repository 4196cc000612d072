"""Some frames of a video, by their indices: exactly those, without decoding all of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.video import MOST_PIXELS, Frame, Video, read_frames
from posedata.video_file import HANGS_IN_FRAME_THREADS, is_shown, open_container

#: Going to a key frame is worth it where it saves decoding so many frames.
_LEAST_SAVED = 8


class Jump(NamedTuple):
    """A stretch of a video to decode.

    Parameters
    ----------
    key : int
        Number of the packet to begin with, in decoding order: a key frame.
    frames : tuple of int
        Which frames to take, ascending.
    """

    key: int
    frames: tuple[int, ...]


def frames_at(video: Video, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Decode frames of a video.

    Parameters
    ----------
    video : Video
        From `posedata.video.probe_video`.
    indices : int, shape (T,)
        Which, in any order, and as often as wanted.

    Returns
    -------
    uint8, shape (T, H, W, 3)
        RGB, as `posedata.video.read_frames` gives them, to the bit.

    Raises
    ------
    UsageError
        If there is no such frame.
    InputError
        If one cannot be decoded.
    """
    wanted = np.asarray(indices, np.int64)
    out = np.empty((len(wanted), video.height, video.width, 3), np.uint8)
    for frame in read_frames_at(video, wanted):
        first, *others = np.flatnonzero(wanted == frame.index)
        frame.copy_rgb(out[first])
        for other in others:
            out[other] = out[first]
    return out


def read_frames_at(video: Video, indices: Sequence[int] | np.ndarray) -> Iterator[Frame]:
    """Decode frames of a video, each once.

    Where timestamps tell which packet is which frame, it goes to the key frames before those that
    are wanted, if that saves something. Whenever what it finds there is not what the whole file
    had promised, it decodes from the beginning instead.

    Yields
    ------
    Frame
        By index, ascending.

    Raises
    ------
    UsageError
        If there is no such frame.
    InputError
        If one cannot be decoded, or the video cannot be read.
    """
    wanted = np.unique(np.asarray(indices, np.int64)).tolist()
    if wanted and not 0 <= wanted[0] <= wanted[-1] < video.num_frames:
        outside = next(index for index in wanted if not 0 <= index < video.num_frames)
        raise UsageError(f"the video has no frame {outside}", path=video.path,
                         expected=f"0 to {video.num_frames - 1}")  # fmt: skip
    if video.images:
        images = tuple(image for image in video.images if image[0] in set(wanted))
        yield from _from_beginning(replace(video, images=images), wanted)
        return
    if video.ranks is not None:
        for frame in _by_jumps(video, wanted):
            yield frame
            wanted = wanted[1:]
    if wanted:
        yield from _from_beginning(video, wanted)


def plan_jumps(
    wanted: Sequence[int], ranks: np.ndarray, keys: Sequence[int]
) -> list[Jump]:  # fmt: skip
    """Say where to begin decoding for each of the frames that are wanted.

    Parameters
    ----------
    wanted : sequence of int
        Frames, ascending.
    ranks : int32, shape (P,)
        Frame of each packet, in decoding order.
    keys : sequence of int
        Packets that are key frames, ascending.

    Returns
    -------
    list of Jump
        Nothing is decoded twice but frames that are shown before a key frame and decoded after
        it: those need the key frame before. Empty if the first frames cannot be decoded.
    """
    packets = {int(frame): number for number, frame in enumerate(ranks)}
    jumps: list[Jump] = []
    position = -1  # packets up to this one have been decoded
    for frame in wanted:
        packet = packets.get(frame)
        if packet is None:
            return jumps
        at = bisect_right(keys, packet) - 1
        while at >= 0 and ranks[keys[at]] > frame:
            at -= 1
        if at < 0:
            return jumps
        if jumps and keys[at] - position <= _LEAST_SAVED:
            jumps[-1] = Jump(jumps[-1].key, (*jumps[-1].frames, frame))
        else:
            jumps.append(Jump(keys[at], (frame,)))
        position = max(position, packet)
    return jumps


def _from_beginning(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    left = list(wanted)
    for frame in read_frames(video, []):
        if frame.index == left[0]:
            yield frame
            del left[0]
        if not left or frame.index > left[0]:
            break
    if left:
        raise InputError(f"frame {left[0]} of the video cannot be decoded", path=video.path)


def _by_jumps(video: Video, wanted: Sequence[int]) -> Iterator[Frame]:
    """Yield the frames that are wanted, from the first on, as long as all is as it should be."""
    import av.error
    from av.video.reformatter import VideoReformatter

    to_rgb: Any = VideoReformatter()
    ranks = video.ranks
    assert ranks is not None
    try:
        with open_container(video.place) as container:
            stream = container.streams[video.stream]
            name = stream.codec_context.name
            stream.thread_type = "SLICE" if name in HANGS_IN_FRAME_THREADS else "AUTO"
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            keys, numbers = _find_keys(container, stream)
            if len(numbers) != len(ranks):
                return
            for jump in plan_jumps(wanted, ranks, keys):
                found = 0
                for index, picture in _decode(container, stream, numbers, jump, ranks):
                    if index == jump.frames[found]:
                        if (picture.width, picture.height) != _stored_size(video):
                            return
                        yield Frame(index, picture, video.orientation, to_rgb)
                        found += 1
                        if found == len(jump.frames):
                            break
                    elif index > jump.frames[found]:
                        return
                if found < len(jump.frames):
                    return
    except (av.error.FFmpegError, InputError):
        return


def _stored_size(video: Video) -> tuple[int, int]:
    size = video.width, video.height
    return size[::-1] if video.orientation.transposed else size


#: Where a packet is, by what the file says of it: decoding and showing time, and its byte.
_Where = tuple[int | None, int | None, int | None]


def _find_keys(container: Any, stream: Any) -> tuple[list[int], dict[_Where, int]]:
    """Go through the file without decoding: numbers of key frames, and of all packets."""
    keys: list[int] = []
    numbers: dict[_Where, int] = {}
    for packet in container.demux(stream):
        if is_shown(packet, stream.codec_context.name):
            if packet.is_keyframe:
                keys.append(len(numbers))
            numbers[packet.dts, packet.pts, packet.pos] = len(numbers)
    return keys, numbers


def _decode(
    container: Any, stream: Any, numbers: dict[_Where, int], jump: Jump, ranks: np.ndarray
) -> Iterator[tuple[int, Any]]:
    """Decode from a key frame on: index and picture, ascending; ends where anything is wrong."""
    context = stream.codec_context
    first = None
    for packet in _packets_from(container, stream, numbers, jump.key):
        if packet.size and is_shown(packet, context.name):
            number = numbers.get((packet.dts, packet.pts, packet.pos))
            if number is None or packet.is_corrupt:
                return
            if first is None and packet.is_keyframe:
                first = number
            packet.pts = number
        elif packet.size:
            packet.pts = None
        if first is None:
            continue
        for picture in context.decode(packet if packet.size else None):
            if picture.pts is None or picture.is_corrupt:
                return
            index = int(ranks[picture.pts])
            if index >= ranks[first]:
                yield index, picture


def _packets_from(
    container: Any, stream: Any, numbers: dict[_Where, int], key: int
) -> Iterator[Any]:  # fmt: skip
    """Go to a key frame, or to one before it; none come if that fails.

    Some formats look for the time at which it is shown, others for that at which it is decoded,
    which is no later.
    """
    dts, pts, _ = next(where for where, number in numbers.items() if number == key)
    for time in (pts, dts):
        if time is None:
            continue
        container.seek(time, stream=stream, backward=True)
        packets = container.demux(stream)
        for packet in packets:
            if packet.size and packet.is_keyframe:
                if numbers.get((packet.dts, packet.pts, packet.pos), key + 1) > key:
                    break
                yield packet
                yield from packets
                return
