"""``posedata.json``: what a release says of itself, and the only authority on what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from posedata.errors import ReleaseError
from posedata.skeleton import Skeleton

FILE_NAME = "posedata.json"
FORMAT_VERSION = "1.0"
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Manifest:
    """The content of ``posedata.json``.

    Attributes
    ----------
    name : str
        E.g. ``ntu60``.
    license, source : str
        The data set's own licence, and where the raw data comes from.
    skeletons : mapping of str to Skeleton
        Each joint set that a layer uses, in full.
    layers : mapping
        Layer name to ``skeleton``, ``columns``, ``label_names``, ``made_by`` (what, and with
        which options) and ``own_columns``.
    files : mapping
        Path within the release to ``rows``, ``bytes``, ``sha256``; for layer files also
        ``poses`` and ``clip_ids`` (the first and the last).
    history : list
        Each operation with its version and parameters; no clock and no machine, so that a
        release is reproducible to the byte.
    counts : mapping
        ``clips``, ``rejects``, ``warnings``.
    """

    name: str
    license: str
    source: str
    skeletons: Mapping[str, Skeleton]
    layers: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, Any]]
    history: list[Mapping[str, Any]]
    counts: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Encode for the file; equal manifests give equal bytes."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "license": self.license,
            "source": self.source,
            "counts": dict(self.counts),
            "layers": {name: dict(layer) for name, layer in self.layers.items()},
            "skeletons": {name: s.to_dict() for name, s in self.skeletons.items()},
            "files": {path: dict(entry) for path, entry in sorted(self.files.items())},
            "history": [dict(operation) for operation in self.history],
        }
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_manifest(content: bytes, path: str) -> Manifest:
    """Decode ``posedata.json``.

    Parameters
    ----------
    content : bytes
        Of the file; untrusted.
    path : str
        Its name, for error messages.

    Returns
    -------
    Manifest

    Raises
    ------
    ReleaseError
        If it is no manifest, of a newer format, or lacks something.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ReleaseError("not JSON", path=path, found=error) from error
    _expect(isinstance(value, dict), path, "an object at the top")
    version = value.get("format_version")
    _expect(isinstance(version, str) and "." in version, path, "format_version, e.g. '1.0'")
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ReleaseError(
            "made in another version of the format", path=path, found=version,
            expected=f"{FORMAT_VERSION.split('.')[0]}.x", remedy="Update posedata.",
        )  # fmt: skip
    for key, kind in (("name", str), ("license", str), ("source", str), ("skeletons", dict),
                      ("layers", dict), ("files", dict), ("history", list),
                      ("counts", dict)):  # fmt: skip
        _expect(isinstance(value.get(key), kind), path, f"{key}: {kind.__name__}")
    skeletons = {name: Skeleton.from_dict(name, s) for name, s in value["skeletons"].items()}
    for name, layer in value["layers"].items():
        _expect(isinstance(layer, dict), path, f"layers.{name}: an object")
        _expect(layer.get("skeleton") in skeletons, path, f"layers.{name}.skeleton in skeletons")
        for key in ("columns", "label_names"):
            names = layer.get(key)
            _expect(
                isinstance(names, list) and all(isinstance(n, str) for n in names),
                path, f"layers.{name}.{key}: a list of names",
            )  # fmt: skip
        _expect(isinstance(layer.get("own_columns", {}), dict), path, f"layers.{name}.own_columns")
    for name, entry in value["files"].items():
        inside = not name.startswith("/") and ".." not in name.split("/") and "\\" not in name
        _expect(inside, path, f"files: a path inside the release, not {name!r}")
        _expect(
            isinstance(entry, dict)
            and all(type(entry.get(key)) is int for key in ("rows", "bytes"))
            and isinstance(entry.get("sha256"), str),
            path, f"files.{name}: rows, bytes and sha256",
        )  # fmt: skip
    return Manifest(
        **{key: value[key] for key in ("name", "license", "source", "layers", "files", "history")},
        skeletons=skeletons,
        counts=value["counts"],
    )


def _expect(holds: bool, path: str, what: str) -> None:
    if not holds:
        raise ReleaseError("not a manifest of posedata", path=path, expected=what)
