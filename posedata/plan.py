"""What a conversion will do: which samples of a raw folder, with which options, in which shards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from posedata.addition import add_to_release
from posedata.converter import Description, Option, Problem, Sample, Segment, load_converter
from posedata.errors import InputError, UsageError
from posedata.storage import Location, locate
from posedata.version import __version__

if TYPE_CHECKING:
    from posedata.release import Release

_LAYER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: Clips in a shard: for Kinect-sized clips a layer file of about 40 MB, 80 with all fields.
SHARD_CLIPS = 1024


@dataclass(frozen=True)
class Plan:
    """What a conversion will do: all that the release's content depends on.

    Attributes
    ----------
    converter : str
        Name of the data set's converter; empty where poses are estimated.
    raw : Location
        The raw folder.
    description : Description
        What the release will say of the data set.
    samples : sequence of Sample
        What will be read, sorted by layer and clip id.
    problems : sequence of Problem
        What discovery found wrong.
    options : dict
        As given by the user, those that change the content.
    clips : sequence of mapping
        Clip columns of the clips that a table of the data set, or the release that is added to,
        names; sorted by clip id.
    segments : sequence of Segment
        Labelled stretches of those clips.
    splits : sequence of (protocol, split, clip_id)
        What a table of the data set says of splits.
    base : Release, optional
        The release that gets a further layer.
    operation : str
        ``convert`` or ``estimate``.
    """

    converter: str
    raw: Location
    description: Description
    samples: Sequence[Sample]
    problems: Sequence[Problem]
    options: dict[str, Any]
    clips: Sequence[Mapping[str, Any]] = ()
    segments: Sequence[Segment] = ()
    splits: Sequence[tuple[str, str, str]] = ()
    base: Release | None = None
    operation: str = "convert"

    @cached_property
    def shards(self) -> list[Shard]:
        """The samples of each layer, cut into shards."""
        shards: list[Shard] = []
        for layer in self.description.layers:
            of_layer = [s for s in self.samples if s.layer in (layer.name, "")]
            starts = range(0, len(of_layer), SHARD_CLIPS)
            parts = [of_layer[start : start + SHARD_CLIPS] for start in starts]
            shards += [
                Shard(len(shards) + part, layer.name, part, samples)
                for part, samples in enumerate(parts)
            ]
        return shards

    @property
    def num_clips(self) -> int:
        """Clips that the release will have at most."""
        named = {row["clip_id"] for row in self.clips}
        return len(named.union(sample.clip_id for sample in self.samples))

    @property
    def raw_bytes(self) -> int:
        """Size of all samples."""
        return sum(sample.size for sample in self.samples)

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to make the same release."""
        digest = hashlib.sha256()
        for sample in self.samples:
            key = f"{sample.clip_id}\0{sample.path}\0{sample.size}"
            if sample.layer or sample.info:
                key += f"\0{sample.layer}\0{dict(sample.info)!r}"
            digest.update(f"{key}\n".encode())
        if self.base is None:
            for row in self.clips:
                digest.update(repr(dict(row)).encode())
            for segment in self.segments:
                digest.update(repr(tuple(segment)).encode())
            for split in self.splits:
                digest.update(repr(split).encode())
        for problem in self.problems:
            digest.update(repr(problem).encode())
        return {
            "posedata": __version__,
            "dataset": self.description.name,
            "options": self.options,
            "shard_clips": SHARD_CLIPS,
            "samples": len(self.samples),
            "input": digest.hexdigest(),
        }


@dataclass(frozen=True)
class Shard:
    """Samples of one layer that become one of its files.

    Attributes
    ----------
    index : int
        Among all shards.
    layer : str
        The layer.
    part : int
        Among those of the layer.
    samples : sequence of Sample
        Sorted by clip id.
    """

    index: int
    layer: str
    part: int
    samples: Sequence[Sample]


def plan_conversion(
    dataset: str,
    raw: Any,
    *,
    all_fields: bool = False,
    limit: int | None = None,
    options: Mapping[str, str] | None = None,
    into: Any = None,
    layer: str | None = None,
    keep_sides: bool = False,
) -> Plan:
    """Find what there is to convert, without reading any poses.

    Parameters
    ----------
    dataset : str
        Name of a converter, e.g. ``ntu``.
    raw : str or path
        Folder or URL of the raw data.
    all_fields : bool
        Keep also the source's fields that few people need.
    limit : int, optional
        Convert only the first so many clips.
    options : mapping, optional
        The converter's own options, e.g. ``{"classes": "first50"}``.
    into : str or path, optional
        A release that gets the poses as a further layer, instead of a new release.
    layer : str, optional
        Another name for the layer (of a source with one layer).
    keep_sides : bool
        With ``into``: leave left and right of poses on mirrored videos as the estimator has them.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the data set or an option is unknown, or ``limit`` is not positive.
    InputError
        If there is nothing to convert.
    """
    converter = load_converter(dataset)
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    own = choose_options(converter.name, converter.options, options or {})
    chosen: dict[str, Any] = {"all_fields": all_fields, **own}
    place = locate(raw)
    found = converter.discover(place, chosen)
    if not found.samples and not found.clips:
        first = (
            f"; {found.problems[0].source}: {found.problems[0].reason}".rstrip(".")
            if found.problems
            else ""
        )
        given = "".join(f" with --{name} {value}" for name, value in (options or {}).items())
        raise InputError(f"no samples of {dataset} here{given}{first}", path=place,
                         remedy="Give the folder with the extracted raw files.")  # fmt: skip
    samples = sorted(found.samples, key=lambda sample: (sample.layer, sample.clip_id))
    rows = sorted(found.clips, key=lambda row: row["clip_id"])
    segments = found.segments
    if limit is not None:
        ids = {sample.clip_id for sample in samples} | {row["clip_id"] for row in rows}
        first_ids = set(sorted(ids)[:limit])
        samples = [sample for sample in samples if sample.clip_id in first_ids]
        rows = [row for row in rows if row["clip_id"] in first_ids]
        segments = [segment for segment in segments if segment.clip_id in first_ids]
    plan = Plan(
        converter=dataset,
        raw=place,
        description=converter.describe(samples, chosen),
        samples=samples,
        problems=found.problems,
        options={**chosen, "limit": limit},
        clips=rows,
        segments=segments,
        splits=found.splits,
    )
    if layer is not None:
        plan = rename_layer(plan, layer)
    if into is None:
        return plan
    return add_to_release(plan, into, keep_sides=keep_sides)


def choose_options(
    name: str, options: Sequence[Option], given: Mapping[str, str]
) -> dict[str, str]:
    """Complete the own options of a converter or exporter, and refuse what it does not know.

    Parameters
    ----------
    name : str
        Of the converter or exporter.
    options : sequence of Option
        Its own.
    given : mapping
        Values by name.

    Raises
    ------
    UsageError
        If there is no such option, or no such value of it.
    """
    known = {option.name: option for option in options}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"{name} has no option --{key}",
                             expected=", ".join(f"--{n}" for n in known) or "none")  # fmt: skip
        if known[key].choices and value not in known[key].choices:
            raise UsageError(f"--{key}", found=repr(value),
                             expected=f"one of {', '.join(known[key].choices)}")  # fmt: skip
    return {key: given.get(key, option.default) for key, option in known.items()}


def rename_layer(plan: Plan, name: str) -> Plan:
    """Give the only layer of a plan another name."""
    if len(plan.description.layers) != 1:
        names = ", ".join(layer.name for layer in plan.description.layers)
        raise UsageError("--layer names one layer, but there are several", found=names)
    if not _LAYER_NAME.fullmatch(name):
        raise UsageError("--layer", found=repr(name),
                         expected="letters, digits, and _ . - after the first")  # fmt: skip
    (layer,) = plan.description.layers
    description = replace(plan.description, layers=(replace(layer, name=name),))
    samples = [replace(sample, layer=name) for sample in plan.samples]
    return replace(
        plan, description=description, samples=samples, options={**plan.options, "layer": name}
    )
