"""Frames of videos as images that Label Studio can show: the picture exactly."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import OutputError, UsageError

#: Where a server with local files shows those of its document root.
_LOCAL_FILES = "/data/local-files/?d="
EXTENSIONS = ("png", "jpg")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class ImagePlace:
    """Where images are written, and by which addresses the server's pages find them.

    Attributes
    ----------
    folder : Path
        Gets ``CLIP/FRAME.png``.
    prefix : str
        Address of that folder, to which ``CLIP/FRAME.png`` is added.
    is_local : bool
        Whether the server reads the files itself, from its document root.
    extension : str
        ``png``: the pixels to the bit; ``jpg``: a tenth of the size, and nearly so.
    """

    folder: Path
    prefix: str
    is_local: bool
    extension: str = "png"

    def path(self, clip_id: str, frame: int) -> Path:
        """Give the file of a frame."""
        return self.folder / file_name(clip_id) / f"{frame:06}.{self.extension}"

    def url(self, clip_id: str, frame: int) -> str:
        """Give its address."""
        relative = f"{file_name(clip_id)}/{frame:06}.{self.extension}"
        return self.prefix + urllib.parse.quote(relative)


def local_images(document_root: Path, name: str, extension: str = "png") -> ImagePlace:
    """Images in a folder of a server's document root.

    Parameters
    ----------
    document_root : Path
        What the server has as ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``.
    name : str
        Of the folder in it: Label Studio does not serve the root itself.
    extension : str
        See `ImagePlace`.
    """
    _check_extension(extension)
    folder = document_root.expanduser().resolve() / file_name(name)
    prefix = _LOCAL_FILES + urllib.parse.quote(file_name(name)) + "/"
    return ImagePlace(folder, prefix, True, extension)


def images_elsewhere(folder: Path, url: str, extension: str = "png") -> ImagePlace:
    """Images in a folder that some web server shows.

    Raises
    ------
    UsageError
        If the address is neither of a web server nor of a store that Label Studio reads.
    """
    _check_extension(extension)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https", "s3", "gs", "azure-blob") and not url.startswith("/"):
        raise UsageError("--image-url", found=repr(url), expected="e.g. https://HOST/frames")
    return ImagePlace(folder.expanduser().resolve(), url.rstrip("/") + "/", False, extension)


def file_name(name: str) -> str:
    """Turn a clip id into the name of a file, one to one."""
    quoted = urllib.parse.quote(name, safe=" ,;()[]@=+")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def write_images(
    video: Any, clip_id: str, frames: Sequence[int] | np.ndarray, place: ImagePlace
) -> Iterator[int]:
    """Write frames of a video, each whole or not at all.

    Parameters
    ----------
    video : Video
        From `posedata.video.probe_video`.
    clip_id : str
        Of the clip.
    frames : int
        Which.
    place : ImagePlace
        Where to.

    Yields
    ------
    int
        Each frame when its image is there, ascending.

    Raises
    ------
    InputError
        If a frame cannot be decoded.
    OutputError
        If the folder cannot be written.
    """
    import cv2

    from posedata.frames_at import read_frames_at

    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if place.extension == "jpg" else []
    rgb = np.empty((video.height, video.width, 3), np.uint8)
    for frame in read_frames_at(video, frames):
        frame.copy_rgb(rgb)
        _, content = cv2.imencode(
            f".{place.extension}", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options
        )
        path = place.path(clip_id, frame.index)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(content.tobytes())
            unfinished.replace(path)
        except OSError as error:
            raise OutputError("an image cannot be written", path=path,
                              found=error.strerror or error) from error  # fmt: skip
        yield frame.index


def _check_extension(extension: str) -> None:
    if extension not in EXTENSIONS:
        raise UsageError("--image-format", found=extension, expected=" or ".join(EXTENSIONS))
