"""Files of weights: is it there, and which is it?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from posedata.errors import InputError, UsageError


def describe_weights(path: str | Path) -> dict[str, str]:
    """Say which file of weights made a layer, so that it can be told from every other.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict
        ``file``, the name without its folder, and ``sha256`` of its bytes in hexadecimal.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it cannot be read.
    """
    file = find_weights(path)
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=file) from None
    return {"file": file.name, "sha256": digest.hexdigest()}


def find_weights(path: str | Path) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    UsageError
        If there is no such file, or it is a folder or a device.
    """
    file = Path(path)
    try:
        if file.is_file():
            return file
        is_there = file.exists()
    except (OSError, ValueError):  # a name that no file can have
        is_there = False
    if is_there:
        raise UsageError("not a file of weights", path=path, found="no regular file")
    raise UsageError("no such file of weights", path=path, remedy="Give the path of a model file")
