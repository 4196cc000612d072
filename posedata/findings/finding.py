"""A finding, and the limits beyond which something is one (``schemas/doctor.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

#: From the least to the most severe.
SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """Something in a release that somebody should look at.

    Attributes
    ----------
    clip_id : str
        Empty where it is of the release as a whole.
    layer : str
        Empty where it is of no layer; ``a, b`` where two layers disagree.
    check : str
        Which check has found it; see ``schemas/doctor.json``.
    severity : {"info", "warning", "error"}
        What a data set may well have; what spoils a training or a score if it is common; what
        is wrong.
    frames : tuple of (int, int)
        Ranges of frames, the last one included.
    persons : tuple of int
        Their tracks.
    joints : tuple of str
        Names of the joints; empty where it is of whole poses.
    value : float, optional
        The worst that was measured.
    threshold : float, optional
        What it was compared with.
    message : str
        In words.
    """

    clip_id: str
    layer: str
    check: str
    severity: str
    frames: tuple[tuple[int, int], ...]
    persons: tuple[int, ...]
    joints: tuple[str, ...]
    value: float | None
    threshold: float | None
    message: str

    @property
    def num_frames(self) -> int:
        """How many frames it is about."""
        return sum(last - first + 1 for first, last in self.frames)


@dataclass(frozen=True)
class Check:
    """A check as ``schemas/doctor.json`` describes it.

    Attributes
    ----------
    name, about, severity : str
        Its name, what it finds, and how severe that is as a rule.
    limits : mapping of str to float
        Each with its unit and source in the file.
    """

    name: str
    about: str
    severity: str
    limits: Mapping[str, float]


@cache
def checks() -> dict[str, Check]:
    """Give every check by its name, in the order in which they are shown."""
    text = resources.files("posedata.schemas").joinpath("doctor.json").read_text("utf-8")
    return {
        name: Check(
            name, entry["about"], entry["severity"],
            {limit: float(of_limit["value"]) for limit, of_limit in entry["limits"].items()},
        )
        for name, entry in json.loads(text)["checks"].items()
    }  # fmt: skip


def limits(check: str) -> Mapping[str, float]:
    """Give the limits of one check."""
    return checks()[check].limits


def frame_ranges(frames: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Group frames, in any order and perhaps repeated, into ranges.

    Examples
    --------
    >>> frame_ranges(np.array([7, 3, 4, 4]))
    ((3, 4), (7, 7))
    """
    numbers = np.unique(frames)
    if not len(numbers):
        return ()
    ends = np.flatnonzero(np.diff(numbers) > 1)
    firsts = numbers[np.concatenate([[0], ends + 1])]
    lasts = numbers[np.concatenate([ends, [len(numbers) - 1]])]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def finding(
    of: Any, check: str, message: str, *, frames: np.ndarray | None = None,
    persons: tuple[int, ...] = (), joints: tuple[str, ...] = (), value: float | None = None,
    threshold: float | None = None, severity: str | None = None,
) -> Finding:  # fmt: skip
    """Make a finding of a clip (anything with ``clip_id`` and ``layer``).

    Parameters
    ----------
    of : Clip
        In which it is.
    check : str
        By which check.
    message : str
        In words.
    frames : int array, optional
        In any order.
    severity : str, optional
        By default the check's.
    persons, joints, value, threshold
        See `Finding`.
    """
    ranges = () if frames is None else frame_ranges(frames)
    return Finding(
        of.clip_id, of.layer, check, severity or checks()[check].severity, ranges, persons, joints,
        None if value is None else float(value), None if threshold is None else float(threshold),
        message,
    )  # fmt: skip


def counted(count: int, noun: str) -> str:
    """Write a number of things: ``1 jump``, ``1,200 jumps``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
