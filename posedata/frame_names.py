"""Frame numbers in the names of files and images: ``clip_000000000012``, ``cam01.0012``, ``12``."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"(.*?)[._-]?([0-9]{1,18})", re.DOTALL)


class FrameName(NamedTuple):
    """A name in two parts: what the frames of a video share, and the frame's number."""

    stem: str
    number: int


def parse_frame_name(name: str) -> FrameName | None:
    """Split a name without its suffix at the digits that it ends in.

    Returns
    -------
    FrameName, optional
        The stem without the ``.``, ``_`` or ``-`` before the digits; None where the name does
        not end in 1 to 18 digits.

    Examples
    --------
    >>> parse_frame_name("Static_cam_01.00007")
    FrameName(stem='Static_cam_01', number=7)
    """
    match = _NAME.fullmatch(name)
    return FrameName(match[1], int(match[2])) if match else None
