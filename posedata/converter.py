"""What a data set's module gives to posedata: how to find its samples, and how to read one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from posedata.clip import Clip
from posedata.registry import load_registered, registered_names
from posedata.skeleton import Skeleton
from posedata.storage import Location

#: The entry point group in which converters register: one line in ``pyproject.toml``.
ENTRY_POINTS = "posedata.converters"


def no_splits(clips: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, str]]:
    """Splits of a format that has none."""
    return ()


def no_survey(samples: Sequence[Sample]) -> dict[str, Any]:
    """Survey of a format of which there is nothing to say beyond counts."""
    return {}


@dataclass(frozen=True)
class Option:
    """An option of one converter: ``--name VALUE`` on the command line.

    Attributes
    ----------
    name : str
        Without the dashes.
    about : str
        For ``--help`` and error messages.
    default : str
        Used where it is not given.
    choices : tuple of str
        The values that are accepted; empty: any.
    """

    name: str
    about: str
    default: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """The poses of one clip in one layer, to be read.

    Attributes
    ----------
    clip_id : str
        Its key in the release.
    path : str
        Its file (or folder, where a clip is a folder), relative to the raw folder.
    size : int
        Bytes of that file.
    layer : str
        Which layer of the description it belongs to; empty: the only one.
    info : mapping
        What discovery knows of the clip already, from a table of the data set.
    """

    clip_id: str
    path: str
    size: int
    layer: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)


class Segment(NamedTuple):
    """A labelled stretch of an untrimmed video: a row of ``segments.parquet``.

    Attributes
    ----------
    clip_id : str
        The clip.
    start_s, end_s : float
        Seconds, as in the source.
    label : int
        0-based class.
    label_name : str
        Its name.
    flag : str
        What is wrong with it in the source, e.g. ``end after the video``; else empty.
    """

    clip_id: str
    start_s: float
    end_s: float
    label: int
    label_name: str
    flag: str = ""


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
        Sorted by layer and clip id, each such pair once.
    problems : sequence of Problem
        Files that are not samples although they look like it.
    clips : sequence of mapping
        Clip columns (``clip_id`` among them) of clips that a table of the data set names,
        whether or not there are poses of them. Empty where clips are known from their poses.
    segments : sequence of Segment
        Labelled stretches of those clips.
    splits : sequence of (protocol, split, clip_id)
        What a table of the data set says of splits, beside what `Converter.splits` makes of clips.
    """

    samples: Sequence[Sample]
    problems: Sequence[Problem] = ()
    clips: Sequence[Mapping[str, Any]] = ()
    segments: Sequence[Segment] = ()
    splits: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class LayerDescription:
    """One layer of a release.

    Attributes
    ----------
    name, skeleton : str
        The layer, and the joint set of its poses.
    columns : tuple of str
        Its pose columns; see ``schemas/columns.json``.
    own_columns : mapping
        Definitions of pose columns that only this data set has, in the form of that file.
    left_out : tuple of str
        Columns that the source has but this release does not; ``--all-fields`` keeps them.
    made_by : mapping
        What the manifest says of this layer beyond what holds for the whole operation.
    own_skeleton : Skeleton, optional
        The joint set, where it is none of those that posedata knows.
    """

    name: str
    skeleton: str
    columns: tuple[str, ...]
    own_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict)
    own_skeleton: Skeleton | None = None


@dataclass(frozen=True)
class Description:
    """What a release says of a data set.

    Attributes
    ----------
    name : str
        E.g. ``ntu60``.
    title, license, source, citation : str
        For the dataset card. ``license`` is the data set's own, in a line.
    layers : tuple of LayerDescription
        None, if the data set has no poses.
    columns : tuple of str
        Clip columns; see ``schemas/columns.json``.
    own_columns : mapping
        Definitions of clip columns that only this data set has, in the form of that file.
    label_names : tuple of str
        Names of the classes 0, 1, ... of clips.
    segment_names : tuple of str
        Names of the classes 0, 1, ... of segments.
    options : mapping
        The options of this conversion, ``all_fields`` and the converter's own, by name.
    """

    name: str
    title: str
    license: str
    source: str
    citation: str
    layers: tuple[LayerDescription, ...]
    columns: tuple[str, ...]
    own_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    segment_names: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, name: str = "") -> LayerDescription:
        """Give a layer by its name; the only one, if none is named."""
        if not name:
            (only,) = self.layers
            return only
        return next(layer for layer in self.layers if layer.name == name)


@dataclass(frozen=True)
class Converter:
    """A data set or format that ``posedata convert`` reads: functions, registered under a name.

    Attributes
    ----------
    name : str
        The name on the command line.
    discover : callable
        ``(raw: Location, options) -> Discovery``. Lists names and sizes, and reads the tables that
        the data set has beside its poses.
    describe : callable
        ``(samples, options) -> Description``.
    read : callable
        ``(raw: Location, sample, description) -> (Clip, sequence of Problem)``. A pure function
        of the sample's bytes; raises InputError for what it cannot read.
    splits : callable
        ``(clips: iterable of mapping) -> iterable of (protocol, split, clip_id)``, from the clip
        columns of all clips of the release, in the order of their ids.
    survey : callable
        ``(samples) -> dict``: what ``posedata info RAW`` tells beyond counts.
    options : tuple of Option
        Its own options.
    """

    name: str
    discover: Callable[[Location, Mapping[str, Any]], Discovery]
    describe: Callable[[Sequence[Sample], Mapping[str, Any]], Description]
    read: Callable[[Location, Sample, Description], tuple[Clip, Sequence[Problem]]]
    splits: Callable[[Iterable[Mapping[str, Any]]], Iterable[tuple[str, str, str]]] = no_splits
    survey: Callable[[Sequence[Sample]], dict[str, Any]] = no_survey
    options: tuple[Option, ...] = ()


def list_converters() -> list[str]:
    """Names of all installed converters, those of other packages included."""
    return registered_names(ENTRY_POINTS)


def load_converter(name: str) -> Converter:
    """Load a converter by its name.

    Raises
    ------
    UsageError
        If no installed package registers that name.
    """
    found: Converter = load_registered(ENTRY_POINTS, name, "data set")
    return found
