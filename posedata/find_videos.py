"""Finding videos, and which clip each of them is, by names alone: none is opened."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from posedata.converter import Problem, Sample
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.image_folder import IMAGE_SUFFIXES, is_image, number_images
from posedata.storage import Location, locate

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv",
                  ".ts")  # fmt: skip

# What data sets append to the names of colour videos, beside those of depth and infrared.
_COLOUR_ENDINGS = ("_rgb", "_color", "-rgb")
_NTU_NAME = re.compile(r"(S\d{3}C\d{3}P\d{3}R\d{3}A\d{3})_rgb", re.ASCII)


class _Found(NamedTuple):
    """A video; ``path`` is relative to what was given."""

    path: str
    size: int
    place: Location
    stem: str


def find_videos(
    paths: Sequence[str], known: Collection[str] | None
) -> tuple[list[Sample], list[Problem]]:
    """List the videos in files, folders and URLs, with the clip that each shows.

    A folder is searched with all its subfolders. One that holds images and no videos is itself a
    video, if they are numbered.

    Parameters
    ----------
    paths : sequence of str
        Video files, folders, or URLs that fsspec knows.
    known : collection of str, optional
        Ids of the clips that are wanted. None: any.

    Returns
    -------
    samples : list of Sample
        By clip id, each once. It is the file's name without suffix, or the folder's name; without
        ``_rgb``, ``_color`` or ``-rgb`` at its end if only so it is known, or if it is a name of
        NTU RGB+D. ``path`` is relative to the path given, ``info["place"]`` is the whole path or
        URL, for `posedata.video.probe_video`.
    problems : list of Problem
        Videos that are not among the samples: of no known clip, the second of a clip, empty
        files, images without numbers; and what `posedata.discover.find_files` says.

    Raises
    ------
    InputError
        If a path does not exist, or there is nothing at all in them.
    """
    problems: list[Problem] = []
    samples: dict[str, Sample] = {}
    seen: set[str] = set()
    for path in paths:
        for video in _videos_in(locate(path), problems):
            place = str(video.place)
            if place in seen:
                continue
            seen.add(place)
            clip_id = _clip_id(video.stem, known)
            if video.size == 0:
                problems.append(Problem(video.path, "discover", "the file is empty"))
            elif clip_id is None:
                problems.append(Problem(video.path, "discover",
                                        f"the release has no clip {video.stem}"))  # fmt: skip
            elif clip_id in samples:
                problems.append(Problem(video.path, "discover", f"a second video of {clip_id}: "
                                        f"{samples[clip_id].path} is taken"))  # fmt: skip
            else:
                samples[clip_id] = Sample(clip_id, video.path, video.size, info={"place": place})
    if not samples and not problems:
        raise InputError(
            "no video found", path=", ".join(paths),
            expected=f"files *{', *'.join(VIDEO_SUFFIXES)}, or folders of numbered images",
        )  # fmt: skip
    return [sample for _, sample in sorted(samples.items())], problems


def _videos_in(given: Location, problems: list[Problem]) -> Iterator[_Found]:
    """Yield the videos of one path, in the order of their names."""
    name = PurePosixPath(given.path).name
    if given.fs.isfile(given.path):  # whatever its suffix: somebody has named it
        yield _Found(name, given.size(), given, PurePosixPath(name).stem)
        return
    files, found = find_files(given, VIDEO_SUFFIXES + IMAGE_SUFFIXES)
    problems += found
    folders: dict[str, list[tuple[str, int]]] = {}
    for path, size in files:
        folders.setdefault(path.rpartition("/")[0], []).append((path, size))
    for folder, entries in sorted(folders.items()):
        videos = [entry for entry in entries if entry[0].lower().endswith(VIDEO_SUFFIXES)]
        for path, size in videos:
            yield _Found(path, size, found_file(given, path), PurePosixPath(path).stem)
        images = [entry for entry in entries if is_image(PurePosixPath(entry[0]).name)]
        if images and not videos:
            try:
                number_images(PurePosixPath(path).name for path, _ in images)
            except InputError as error:
                problems.append(Problem(folder or name, "discover", error.reason,
                                        error.position or ""))  # fmt: skip
                continue
            place = given / folder if folder else given
            yield _Found(folder or name, sum(size for _, size in images), place,
                         PurePosixPath(folder or name).name)  # fmt: skip


def _clip_id(stem: str, known: Collection[str] | None) -> str | None:
    """Tell which clip a video's name means; None if it is none of those known."""
    if known is None:
        match = _NTU_NAME.fullmatch(stem)
        return match[1] if match else stem
    if stem in known:
        return stem
    shorter = (stem.removesuffix(ending) for ending in _COLOUR_ENDINGS)
    return next((name for name in shorter if name != stem and name in known), None)
