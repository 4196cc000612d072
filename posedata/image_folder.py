"""A folder of numbered images as a video: ``000001.jpg``, ``000002.jpg``, ..."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from posedata.errors import InputError
from posedata.frame_names import parse_frame_name
from posedata.storage import Location
from posedata.video import MOST_PIXELS, Video, orientation_of, printable, shown_size

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

_DECODERS = ((b"\xff\xd8", "mjpeg"), (b"\x89PNG", "png"), (b"BM", "bmp"))
_MOST_FRAMES = 1 << 24
_MOST_BYTES = 1 << 28


def number_images(names: Iterable[str]) -> list[tuple[int, str]]:
    """Give each image of a video its frame: its number less the smallest.

    Parameters
    ----------
    names : iterable of str
        File names; those that are not of images are passed over.

    Returns
    -------
    list of (int, str)
        Frame and file name, ascending.

    Raises
    ------
    InputError
        If there is no image, one has no number, two have the same, or they are of several videos.

    Examples
    --------
    >>> number_images(["img_0012.jpg", "img_0010.jpg", "about.txt"])
    [(0, 'img_0010.jpg'), (2, 'img_0012.jpg')]
    """
    stems: dict[str, str] = {}
    by_number: dict[int, str] = {}
    for name in sorted(names):
        if not is_image(name):
            continue
        parsed = parse_frame_name(PurePosixPath(name).stem)
        if parsed is None:
            raise InputError("an image has no frame number at the end of its name", position=name,
                             expected="names like img_000001.jpg",
                             remedy="Rename it, or move it out of the folder.")  # fmt: skip
        stems.setdefault(parsed.stem, name)
        if len(stems) > 1:
            first, second = list(stems.values())[:2]
            raise InputError("the images are of several videos", found=f"{first} and {second}",
                             remedy="Give each video a folder of its own.")  # fmt: skip
        if parsed.number in by_number:
            raise InputError("two images have the same frame number",
                             found=f"{by_number[parsed.number]} and {name}",
                             remedy="Move one of them out of the folder.")  # fmt: skip
        by_number[parsed.number] = name
    if not by_number:
        raise InputError("there is no image in the folder",
                         expected=f"a video, or files *{', *'.join(IMAGE_SUFFIXES)}")  # fmt: skip
    first_number, last = min(by_number), max(by_number)
    if last - first_number >= _MOST_FRAMES:
        raise InputError("the numbers of the images are too far apart",
                         found=f"{first_number} and {last}",
                         expected=f"at most {_MOST_FRAMES} frames")  # fmt: skip
    return [(number - first_number, by_number[number]) for number in sorted(by_number)]


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; those that begin with a dot are hidden."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def probe_images(folder: Location) -> Video:
    """See what a folder of images holds; see `posedata.video.probe_video`."""
    try:
        entries = folder.fs.ls(folder.path, detail=True)
        names = [PurePosixPath(entry["name"]).name for entry in entries if entry["type"] == "file"]
        images = tuple(number_images(names))
    except OSError as error:
        raise InputError("cannot be read", path=printable(folder),
                         found=error.strerror or error) from error  # fmt: skip
    except InputError as error:
        error.path = printable(folder)
        raise
    num_frames = images[-1][0] + 1
    picture = next((picture for _, picture in _decode_images(folder, images)), None)
    if picture is None:
        raise InputError("none of the images can be decoded", path=printable(folder),
                         found=f"{len(images)} damaged images")  # fmt: skip
    orientation = orientation_of(picture)
    width, height = shown_size(picture, orientation)
    return Video(
        path=printable(folder), num_frames=num_frames, width=width, height=height, fps=None,
        orientation=orientation, place=folder, images=images,
    )  # fmt: skip


def read_images(video: Video) -> Iterator[tuple[int, Any]]:
    """Decode a folder of images: index and PyAV frame of each that is whole, ascending."""
    return _decode_images(video.place, video.images)


def _decode_images(
    folder: Location, images: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, Any]]:
    for index, name in images:
        with contextlib.suppress(InputError):  # one that cannot be read is one that is damaged
            picture = _decode_image((folder / name).read_bytes(_MOST_BYTES))
            if picture is not None:
                yield index, picture


def _decode_image(content: bytes) -> Any | None:
    """Decode an image; None if it is damaged: FFmpeg would fill up with grey what is missing."""
    import av
    import av.error

    decoder = next((name for start, name in _DECODERS if content.startswith(start)), None)
    if decoder is None:
        return None
    context: Any = av.CodecContext.create(decoder, "r")
    context.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
    try:
        pictures = [*context.decode(av.Packet(content)), *context.decode(None)]
    except av.error.FFmpegError:
        return None
    return next((picture for picture in pictures if not picture.is_corrupt), None)
