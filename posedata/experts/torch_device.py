"""Which device torch is to use: one that was asked for and is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from posedata.errors import UsageError

if TYPE_CHECKING:
    import torch

_DEVICE = re.compile(r"cpu|mps|cuda(:(?P<number>[0-9]{1,4}))?")


def find_device(name: str) -> torch.device:
    """Return a device of torch by its name.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda`` (the first), ``cuda:1``, ``mps``.

    Raises
    ------
    UsageError
        If there is no such device here; it names those that there are.
    """
    import torch

    match = _DEVICE.fullmatch(name)
    there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    wanted = f"cuda:{int(match['number'] or 0)}" if match and name.startswith("cuda") else name
    if wanted not in there:
        raise UsageError("no such device", found=repr(name), expected=f"one of {', '.join(there)}",
                         remedy=_remedy(name, torch.version.cuda))  # fmt: skip
    return torch.device(wanted)


def _remedy(name: str, cuda: str | None) -> str | None:
    if name.startswith("cuda") and cuda is None:
        return "This torch is built without CUDA: install one that is"
    return None
