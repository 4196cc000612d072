"""What a training repo's format gives to posedata: how clips become its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.converter import Option
from posedata.manifest import Manifest
from posedata.profile import Change, Profile
from posedata.registry import load_registered, registered_names
from posedata.storage import Location

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems
    from posedata.release import Release

#: The entry point group in which exporters register: one line in ``pyproject.toml``.
ENTRY_POINTS = "posedata.exporters"
#: What `Exporter.write` says of clips that were prepared and are in no file.
NOT_PUBLISHED = "clips that the published file does not have"
IN_NO_SPLIT = "clips that are in no split"
IN_NO_FILE = (NOT_PUBLISHED, IN_NO_SPLIT)


@dataclass(frozen=True)
class Target:
    """What is exported, and how.

    Attributes
    ----------
    manifest : Manifest
        Of the release.
    layer : str
        Which layer of it.
    skeleton : str
        Joint set of the clips that the exporter gets: the layer's, or the one asked for.
    profile : Profile, optional
        Published preprocessing to repeat.
    options : mapping
        The exporter's own options, completed by their defaults.
    splits : mapping
        Protocol to split to clip ids, in the order of the release.
    release : Release
        For what else a format holds: the table of clips, the segments.
    """

    manifest: Manifest
    layer: str
    skeleton: str
    profile: Profile | None
    options: Mapping[str, str]
    splits: Mapping[str, Mapping[str, list[str]]]
    release: Release


@dataclass(frozen=True)
class Item:
    """One clip, made ready for a format.

    Attributes
    ----------
    clip_id : str
        Its key in the release.
    facts : mapping
        What the format says of it beside the arrays, ready for JSON: label, number of frames, ...
    arrays : mapping of str to array
        Its numbers.
    """

    clip_id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Exporter:
    """A format that ``posedata convert parquet RELEASE --to NAME`` writes.

    Attributes
    ----------
    name : str
        The name on the command line.
    about : str
        What reads it, in a line.
    suffix : str
        Of the file that is written, e.g. ``.pkl``; empty, if it is a folder.
    prepare : callable, optional
        ``(clip, target) -> (Item or None, sequence of Change)``. A pure function; None where the
        clip is left out, which a Change must say; raises InputError for what the format cannot
        hold. An exporter without it writes from the manifest alone: no clip is read, and its
        target has no layer and no skeleton.
    write : callable
        ``(target, items, out: Location) -> iterable of Change``: writes the files from the items,
        and says what of them is in none. ``items`` iterates over all in the order of the release,
        and gives one by its clip id: each is read from disk when it is asked for.
    profiles : mapping of str to Profile
        What ``--profile`` may name.
    options : tuple of Option
        Its own options.
    """

    name: str
    about: str
    suffix: str
    prepare: Callable[[Clip, Target], tuple[Item | None, Iterable[Change]]] | None
    write: Callable[[Target, StagedItems, Location], Iterable[Change]]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    options: tuple[Option, ...] = ()


def list_exporters() -> list[str]:
    """Names of all installed exporters, those of other packages included."""
    return registered_names(ENTRY_POINTS)


def load_exporter(name: str) -> Exporter:
    """Load an exporter by its name.

    Raises
    ------
    UsageError
        If no installed package registers that name.
    """
    found: Exporter = load_registered(ENTRY_POINTS, name, "format")
    return found
