"""What is in a release, or in a raw folder: for ``posedata info``."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from posedata.converter import list_converters, load_converter
from posedata.errors import InputError
from posedata.manifest import FILE_NAME
from posedata.release import Release, open_release
from posedata.staging import is_unfinished
from posedata.storage import locate


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
        "frames": int(clips["num_frames"].to_numpy().sum()),
        "distinct": distinct,
        "known_bad": sum(filter(None, clips["known_bad"].to_pylist()))
        if "known_bad" in clips.schema.names else 0,
        "layers": layers,
        "splits": splits,
        "history": [dict(operation) for operation in manifest.history],
    }  # fmt: skip


def raw_info(place: Any, dataset: str | None = None) -> dict[str, Any]:
    """Describe a raw folder, from names and sizes alone."""
    location = locate(place)
    names = list_converters() if dataset is None else [dataset]
    for name in names:
        converter = load_converter(name)
        found = converter.discover(location)
        if found.samples or found.problems:
            return {
                "kind": "raw",
                "path": str(location),
                "dataset": name,
                "samples": len(found.samples),
                "bytes": sum(sample.size for sample in found.samples),
                "problems": [
                    {"source": problem.source, "reason": problem.reason}
                    for problem in found.problems
                ],
                **(converter.survey(found.samples) if found.samples else {}),
            }
    raise InputError("neither a release nor raw data of " + ", ".join(names), path=location)
