"""Reading videos: which frames there are, and their pixels, one after the other.

A video is a file that FFmpeg decodes (through PyAV), or a folder of numbered images.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from posedata.errors import InputError, UsageError
from posedata.storage import Location, locate

#: Pixels of the largest picture that is read: twice those of 8K.
MOST_PIXELS = 1 << 26


class Orientation(NamedTuple):
    """How a stored picture is to be turned, by metadata of its file, before it is shown.

    Parameters
    ----------
    transposed : bool
        Rows and columns change places, first.
    flip_x, flip_y : bool
        Then columns, or rows, are reversed.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270; of a mirrored picture, before it is mirrored."""
        flip_x = self.flip_x ^ self.is_mirrored
        if self.transposed:
            return 90 if flip_x else 270
        return 180 if flip_x else 0

    @property
    def is_mirrored(self) -> bool:
        """Whether it is not a mere rotation."""
        return self.transposed ^ self.flip_x ^ self.flip_y


class Damage(NamedTuple):
    """A part of a video that cannot be read.

    Parameters
    ----------
    first_frame : int
        Index of the first frame.
    num_frames : int, optional
        None: to the end, wherever that would have been.
    reason : str
        Why.
    """

    first_frame: int
    num_frames: int | None
    reason: str


@dataclass(frozen=True)
class Video:
    """A video that can be read, from `probe_video`.

    Attributes
    ----------
    path : str
        Where it is.
    num_frames : int
        Frames in the file, readable or not; of a folder of images, up to the largest number.
    width, height : int
        Pixels of the picture as it is shown. Pixels are taken to be square.
    fps : float, optional
        Frames per second, on average.
    orientation : Orientation
        How stored pictures have to be turned; `read_frames` does it.
    place : Location
        The file or folder.
    stream : int
        Number of the stream in the file.
    num_packets : int
        Packets that frames are to come of; 0 for a folder.
    ranks : int32, shape (num_packets,), optional
        Index of each frame by its number in decoding order; None where frames are counted.
    numbers : int32, optional
        Number of each packet that is in the file, where the file's index tells of others.
    images : tuple of (int, str)
        Index and file name of each image of a folder; empty for a file.
    tail : Damage, optional
        What should follow after the last frame, and is not in the file.
    """

    path: str
    num_frames: int
    width: int
    height: int
    fps: float | None
    orientation: Orientation
    place: Location = field(repr=False)
    stream: int = 0
    num_packets: int = field(default=0, repr=False)
    ranks: np.ndarray | None = field(default=None, repr=False, compare=False)
    numbers: np.ndarray | None = field(default=None, repr=False, compare=False)
    images: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    tail: Damage | None = None

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which stored pictures are turned: 0, 90, 180 or 270."""
        return self.orientation.rotation


class Frame:
    """A decoded frame.

    Attributes
    ----------
    index : int
        0-based, of the video.
    """

    def __init__(self, index: int, picture: Any, orientation: Orientation, to_rgb: Any) -> None:
        self.index = index
        self._picture = picture
        self._orientation = orientation
        self._to_rgb = to_rgb

    def copy_rgb(self, out: np.ndarray) -> None:
        """Write the pixels as they are shown.

        Colours are converted by swscale with its defaults, like PyAV's
        ``to_ndarray(format="rgb24")``: with the matrix and range that the stream names, else
        BT.601 and limited range.

        Parameters
        ----------
        out : uint8, shape (H, W, 3)
            RGB.
        """
        rgb = self._to_rgb.reformat(self._picture, format="rgb24")
        (plane,) = rgb.planes
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        pixels = rows[: rgb.height, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)
        turn_into(pixels, self._orientation, out)


def turn_into(pixels: np.ndarray, orientation: Orientation, out: np.ndarray) -> None:
    """Write pixels (h, w, 3) as they are shown into ``out`` (H, W, 3)."""
    if orientation != Orientation():
        import cv2  # ten times as fast as numpy here

        if orientation.transposed:
            pixels = cv2.transpose(pixels)
        flip_code = {(True, False): 1, (False, True): 0, (True, True): -1}.get(orientation[1:])
        if flip_code is not None:
            pixels = cv2.flip(pixels, flip_code)
    np.copyto(out, pixels)


def probe_video(place: str | os.PathLike[str] | Location) -> Video:
    """See what a video holds: its packets are counted, and only its first frame is decoded.

    Parameters
    ----------
    place : str, path or Location
        A file, a folder of numbered images, or a URL that fsspec knows.

    Returns
    -------
    Video

    Raises
    ------
    InputError
        If there is nothing, or it is not a video, or none of its frames can be decoded.
    UsageError
        If PyAV is not installed.
    """
    require_av()
    where = locate(place)
    try:
        is_folder, exists = where.fs.isdir(where.path), where.exists()
    except (OSError, ValueError) as error:
        raise InputError("cannot be read", path=printable(where), found=error) from error
    if not exists:
        raise InputError("no such file or folder", path=printable(where))
    if is_folder:
        from posedata.image_folder import probe_images

        return probe_images(where)
    from posedata.video_file import probe_file

    return probe_file(where)


def read_frames(video: Video, damages: list[Damage]) -> Iterator[Frame]:
    """Decode a video from its first frame to its last.

    A frame that is damaged, or that builds on one that is, is not yielded: an estimator would
    find people in a smear, and nobody could tell. What FFmpeg decodes without noticing an error
    does come. After a frame of another size nothing more does.

    Parameters
    ----------
    video : Video
        From `probe_video`.
    damages : list of Damage
        Is filled with what is left out, in order; complete when the iteration has ended.

    Yields
    ------
    Frame
        By index, ascending. Where frames are left out there is a gap.

    Raises
    ------
    InputError
        If the video cannot be opened any more.
    """
    from posedata.image_folder import read_images
    from posedata.video_file import read_file

    pictures = read_images(video) if video.images else read_file(video)
    reason = ("no image of that number, or one that cannot be decoded" if video.images
              else "cannot be decoded, or builds on a frame that cannot")  # fmt: skip
    to_rgb = _new_reformatter()
    expected = 0
    for index, picture in pictures:
        if index > expected:
            damages.append(Damage(expected, index - expected, reason))
        expected = index
        orientation = orientation_of(picture)
        size = shown_size(picture, orientation)
        if size != (video.width, video.height):
            reason = (f"the picture's size changes from {video.width}x{video.height} to "
                      f"{size[0]}x{size[1]}")  # fmt: skip
            break
        yield Frame(index, picture, orientation, to_rgb)
        expected = index + 1
    if expected < video.num_frames:
        damages.append(Damage(expected, video.num_frames - expected, reason))
    if video.tail is not None:
        damages.append(video.tail)


def orientation_of(picture: Any) -> Orientation:
    """Read a PyAV frame's display matrix; oblique angles count as the nearest right one."""
    from av.sidedata.sidedata import Type

    side_data = picture.side_data.get(Type.DISPLAYMATRIX)
    if side_data is None:
        return Orientation()
    # libavutil/display.h: x' = a x + c y, y' = b x + d y, of the matrix (a b u c d v x y w)
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32, 5).astype(float)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def shown_size(picture: Any, orientation: Orientation) -> tuple[int, int]:
    """Width and height of a PyAV frame as it is shown."""
    stored = picture.width, picture.height
    return stored[::-1] if orientation.transposed else stored


def require_av() -> None:
    """Raise UsageError if PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "reading videos needs the package av, which cannot be loaded", found=error,
            remedy='Install it: pip install "posedata[video]"',
        ) from error  # fmt: skip


def _new_reformatter() -> Any:
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def printable(where: Location) -> str:
    """Give a place as text that can be written anywhere, also where its name is not UTF-8."""
    return os.fsencode(str(where)).decode(errors="backslashreplace")
