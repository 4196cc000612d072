"""What a data set's module gives to posedata: how to find its samples, and how to read one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posedata.clip import Clip
from posedata.errors import UsageError
from posedata.storage import Location

#: The entry point group in which converters register: one line in ``pyproject.toml``.
ENTRY_POINTS = "posedata.converters"


@dataclass(frozen=True)
class Sample:
    """One clip to be read.

    Attributes
    ----------
    clip_id : str
        Its key in the release.
    path : str
        Its file, relative to the raw folder.
    size : int
        Bytes of that file.
    """

    clip_id: str
    path: str
    size: int


@dataclass(frozen=True)
class Problem:
    """Something that could not be taken over, or only with a change: a row of ``rejects.parquet``.

    Attributes
    ----------
    source : str
        The raw file, relative to the raw folder.
    stage : str
        ``discover`` or ``read``.
    reason : str
        What was found, what was expected, and what to do.
    position : str
        Where in the file, e.g. ``line 12``; empty if it is about all of it.
    severity : str
        ``reject``: the sample is not in the release. ``warning``: it is.
    """

    source: str
    stage: str
    reason: str
    position: str = ""
    severity: str = "reject"


@dataclass(frozen=True)
class Discovery:
    """What a raw folder holds.

    Attributes
    ----------
    samples : sequence of Sample
        Sorted by clip id, each id once.
    problems : sequence of Problem
        Files that are not samples although they look like it.
    """

    samples: Sequence[Sample]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Description:
    """What a release says of a data set.

    Attributes
    ----------
    name : str
        E.g. ``ntu60``.
    title, license, source, citation : str
        For the dataset card. ``license`` is the data set's own, in a line.
    layer, skeleton : str
        The layer its poses become, and their joint set.
    columns : tuple of str
        Clip and pose columns; see ``schemas/columns.json``.
    own_columns : mapping
        Definitions of columns that only this data set has, in the form of that file.
    left_out : tuple of str
        Columns that the source has but this release does not; ``--all-fields`` keeps them.
    label_names : tuple of str
        Names of the classes 0, 1, ...
    """

    name: str
    title: str
    license: str
    source: str
    citation: str
    layer: str
    skeleton: str
    columns: tuple[str, ...]
    own_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Converter:
    """A data set that ``posedata convert`` knows: functions, registered under a name.

    Attributes
    ----------
    name : str
        The name on the command line.
    discover : callable
        ``(raw: Location) -> Discovery``. Lists names and sizes; never opens a sample.
    describe : callable
        ``(samples, all_fields: bool) -> Description``.
    read : callable
        ``(raw: Location, sample, description) -> (Clip, sequence of Problem)``. A pure function
        of the sample's bytes; raises InputError for what it cannot read.
    splits : callable
        ``(clip_ids) -> iterable of (protocol, split, clip_id)``.
    survey : callable
        ``(samples) -> dict``: what ``posedata info RAW`` tells beyond counts.
    """

    name: str
    discover: Callable[[Location], Discovery]
    describe: Callable[[Sequence[Sample], bool], Description]
    read: Callable[[Location, Sample, Description], tuple[Clip, Sequence[Problem]]]
    splits: Callable[[Iterable[str]], Iterable[tuple[str, str, str]]]
    survey: Callable[[Sequence[Sample]], dict[str, Any]]


def list_converters() -> list[str]:
    """Names of all installed converters, those of other packages included."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})


def load_converter(name: str) -> Converter:
    """Load a converter by its name.

    Raises
    ------
    UsageError
        If no installed package registers that name.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return entry.load()
    raise UsageError(
        "unknown data set", found=repr(name), expected=f"one of {', '.join(list_converters())}"
    )
