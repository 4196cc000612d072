"""Finding raw files in a folder and its subfolders, without opening them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from posedata.converter import Problem
from posedata.errors import InputError
from posedata.storage import Location


def find_files(raw: Location, suffix: str) -> tuple[list[tuple[str, int]], list[Problem]]:
    """List the files with a suffix, in sorted order.

    Parameters
    ----------
    raw : Location
        A folder (links are followed, each directory once), or one file.
    suffix : str
        E.g. ``.skeleton``; any case.

    Returns
    -------
    files : list of (str, int)
        Path relative to ``raw`` with ``/`` between its parts, and size in bytes.
    problems : list of Problem
        Folders that cannot be listed, and files that cannot be looked at.

    Raises
    ------
    InputError
        If ``raw`` is not there.
    """
    problems: list[Problem] = []
    if not raw.exists():
        raise InputError("no such file or folder", path=raw)
    if raw.is_local:
        found = _walk_local(Path(raw.path), suffix, problems)
    else:
        entries = raw.fs.find(raw.path, detail=True).items()
        start = len(raw.path.rstrip("/")) + 1
        found = ((path[start:], entry["size"]) for path, entry in entries)
        found = (item for item in found if item[0].lower().endswith(suffix))
    return sorted(found), problems


def _walk_local(root: Path, suffix: str, problems: list[Problem]) -> Iterator[tuple[str, int]]:
    seen: set[tuple[int, int]] = set()
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            problems.append(Problem(prefix or ".", "discover", f"folder: {error.strerror}"))
            continue
        for entry in entries:
            path = prefix + entry.name
            wanted = entry.name.lower().endswith(suffix)
            try:
                if entry.is_dir() and not wanted:
                    waiting.append((entry.path, path + "/"))
                elif wanted:
                    yield path, entry.stat().st_size
            except OSError as error:
                if wanted:
                    problems.append(Problem(path, "discover", f"cannot be read: {error.strerror}"))
