"""What is in a release, or in a raw folder: for ``posedata info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from posedata.converter import Converter, Discovery, list_converters, load_converter
from posedata.errors import InputError, PosedataError
from posedata.manifest import FILE_NAME
from posedata.plan import choose_options
from posedata.release import Release, open_release
from posedata.staging import is_unfinished
from posedata.storage import Location, locate


def info(place: Any, dataset: str | None = None) -> dict[str, Any]:
    """Describe a release or a raw folder.

    Parameters
    ----------
    place : str or path
        Either of them.
    dataset : str, optional
        The converter to see a raw folder with; by default the first that finds samples there.

    Returns
    -------
    dict
        Ready for JSON. ``kind`` is ``release`` or ``raw``.

    Raises
    ------
    ReleaseError
        If it is an unfinished or damaged release.
    InputError
        If it is neither.
    """
    location = locate(place)
    if dataset is None and ((location / FILE_NAME).exists() or is_unfinished(location)):
        return release_info(open_release(location))
    return raw_info(location, dataset)


def release_info(release: Release) -> dict[str, Any]:
    """Describe a release from its manifest and its small tables."""
    manifest = release.manifest
    layers = {}
    for layer in release.layers:
        table = release.table(layer)
        parts = [manifest.files[name] for name in release.part_names(layer)]
        layers[layer] = {
            "skeleton": table.skeleton.name,
            "joints": table.skeleton.num_joints,
            "clips": sum(part["rows"] for part in parts),
            "poses": sum(part.get("poses", 0) for part in parts),
            "files": len(parts),
            "bytes": sum(part["bytes"] for part in parts),
            "clip_columns": table.clip_columns,
            "pose_columns": table.pose_columns,
            "left_out": list(manifest.layers[layer].get("left_out", [])),
            "classes": len(table.label_names),
        }
    clips = release.clips()
    splits: dict[str, dict[str, int]] = {}
    counts = release.splits().group_by(["protocol", "split"]).aggregate([("clip_id", "count")])
    for row in counts.to_pylist():
        splits.setdefault(row["protocol"], {})[row["split"]] = row["clip_id_count"]
    distinct = {
        name: pc.count_distinct(clips[name]).as_py()
        for name in ("label", "subject", "camera", "setup")
        if name in clips.schema.names
    }
    return {
        "kind": "release",
        "path": str(release.place),
        "name": manifest.name,
        "license": manifest.license,
        "counts": dict(manifest.counts),
        "frames": pc.sum(clips["num_frames"]).as_py() or 0,
        "distinct": distinct,
        "known_bad": sum(filter(None, clips["known_bad"].to_pylist()))
        if "known_bad" in clips.schema.names else 0,
        "layers": layers,
        "segments": manifest.files.get("segments.parquet", {}).get("rows", 0),
        "splits": splits,
        "history": [dict(operation) for operation in manifest.history],
    }  # fmt: skip


def raw_info(place: Any, dataset: str | None = None) -> dict[str, Any]:
    """Describe a raw folder, from names, sizes and the data set's own tables.

    Where no data set is named, one sample is read with each that finds any; among those that can
    read it, it is the one that knows most of the bytes, in the fewest clips.
    """
    location = locate(place)
    names = list_converters() if dataset is None else [dataset]
    best: tuple[tuple[bool, int, int], str, Discovery] | None = None
    for name in names:
        try:
            converter = load_converter(name)
        except ImportError:  # another package's, which lacks something
            if dataset is not None:
                raise
            continue
        options = {"all_fields": False, **choose_options(name, converter.options, {})}
        try:
            found = converter.discover(location, options)
        except InputError:
            if dataset is not None:
                raise
            continue
        if not (found.samples or found.clips or found.problems):
            continue
        size = sum(sample.size for sample in found.samples)
        readable = dataset is not None or _is_readable(converter, location, found, options)
        rank = readable, size, -len(found.samples)
        if best is None or rank > best[0]:
            best = rank, name, found
    if best is None:
        raise InputError("neither a release nor raw data of " + ", ".join(names), path=location)
    (_, size, _), name, found = best
    named = {row["clip_id"] for row in found.clips}
    return {
        "kind": "raw",
        "path": str(location),
        "dataset": name,
        "samples": len(named.union(sample.clip_id for sample in found.samples)),
        "with_poses": len({sample.clip_id for sample in found.samples}),
        "segments": len(found.segments),
        "bytes": size,
        "problems": [
            {"source": problem.source, "reason": problem.reason} for problem in found.problems
        ],
        **(load_converter(name).survey(found.samples) if found.samples else {}),
    }


def _is_readable(
    converter: Converter, raw: Location, found: Discovery, options: Mapping[str, Any]
) -> bool:
    """Whether the first sample is what the converter takes it for."""
    if not found.samples:
        return bool(found.clips)
    try:
        converter.read(raw, found.samples[0], converter.describe(found.samples, options))
    except PosedataError:
        return False
    return True
