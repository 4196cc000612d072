"""Finding raw files in a folder and its subfolders, without opening them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from posedata.converter import Problem
from posedata.errors import InputError
from posedata.storage import Location


def find_files(
    raw: Location, suffix: str | tuple[str, ...]
) -> tuple[list[tuple[str, int]], list[Problem]]:
    """List the files with a suffix, in sorted order.

    Parameters
    ----------
    raw : Location
        A folder (links are followed, each directory once), or one file.
    suffix : str or tuple of str
        E.g. ``.skeleton``; any case. A file has one of them.

    Returns
    -------
    files : list of (str, int)
        Path relative to ``raw`` with ``/`` between its parts (the name, if ``raw`` is the file),
        and size in bytes.
    problems : list of Problem
        Folders that cannot be listed, and what has the suffix but is no file that can be read: a
        folder (its files are listed all the same), a pipe, a link to nowhere. Names that are not
        UTF-8, since a release could not say where its clips come from.

    Raises
    ------
    InputError
        If ``raw`` is not there.
    """
    problems: list[Problem] = []
    if not raw.exists():
        raise InputError("no such file or folder", path=raw)
    found: Iterator[tuple[str, int]]
    if raw.fs.isfile(raw.path):
        name = PurePosixPath(raw.path).name
        found = iter([(name, raw.size())] if name.lower().endswith(suffix) else [])
    elif raw.is_local:
        found = _walk_local(Path(raw.path), suffix, problems)
    else:
        entries = raw.fs.find(raw.path, detail=True).items()
        start = len(raw.path.rstrip("/")) + 1
        found = ((path[start:], entry["size"]) for path, entry in entries)
        found = (item for item in found if item[0].lower().endswith(suffix))
    return sorted(found), problems


def found_file(raw: Location, path: str) -> Location:
    """Give the place of a file that `find_files` listed under ``raw``."""
    is_raw = PurePosixPath(raw.path).name == path and raw.fs.isfile(raw.path)
    return raw if is_raw else raw / path


def _walk_local(
    root: Path, suffix: str | tuple[str, ...], problems: list[Problem]
) -> Iterator[tuple[str, int]]:
    seen: set[tuple[int, int]] = set()
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            here = os.stat(folder)  # noqa: PTH116
            if (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            problems.append(Problem(prefix or ".", "discover", f"folder: {error.strerror}"))
            continue
        for entry in entries:
            path = prefix + entry.name
            wanted = entry.name.lower().endswith(suffix)
            reason = ""
            try:
                if not _is_text(path):
                    wanted = wanted or entry.is_dir()
                    path = os.fsencode(path).decode(errors="backslashreplace")
                    reason = "the name is not UTF-8: rename it"
                elif entry.is_dir():
                    waiting.append((entry.path, path + "/"))
                    reason = "a folder, not a file"
                elif wanted:
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        yield path, status.st_size
                    else:
                        reason = "a pipe or device, not a file"
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
            if wanted and reason:
                problems.append(Problem(path, "discover", reason))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
