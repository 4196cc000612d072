"""Files that a command writes beside its result on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posedata.errors import OutputError

if TYPE_CHECKING:
    from posedata.storage import Location


def output_file(option: str, name: str | None, *, overwrite: bool) -> Location | None:
    """Locate the file that an option names, before anything is computed.

    Raises
    ------
    OutputError
        If it is there already and may not be replaced.
    """
    from posedata.storage import locate

    if name is None:
        return None
    place = locate(name)
    if place.exists() and (place.fs.isdir(place.path) or not overwrite):
        raise OutputError(
            "the output exists already",
            path=place,
            remedy=f"Give --overwrite to replace it, or another {option}.",
        )
    return place
