"""``posedata.json``: what a release says of itself, and the only authority on what is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from posedata.errors import ReleaseError
from posedata.layer_table import LayerTable, standard_columns
from posedata.skeleton import Skeleton
from posedata.unrounded import RULES, unrounded_columns

FILE_NAME = "posedata.json"
FORMAT_VERSION = "1.0"
#: No manifest is larger.
MOST_BYTES = 1 << 28

_COUNTS = ("clips", "poses", "rejects", "warnings")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                 "float32", "float64", "bool")  # fmt: skip
_LARGEST_AXIS = 4096


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
        which options), ``own_columns`` and ``left_out``.
    files : mapping
        Path within the release to ``rows``, ``bytes``, ``sha256``; for layer files also
        ``poses`` and ``clip_ids`` (the first and the last).
    history : list
        Each operation with its version and parameters; no clock and no machine, so that a
        release is reproducible to the byte.
    counts : mapping
        ``clips``, ``poses``, ``rejects``, ``warnings``.
    title, citation : str
        For the dataset card.
    clips : mapping
        Of ``clips.parquet``: ``columns``, ``own_columns``, ``label_names``.
    segment_names : sequence of str
        Names of the classes 0, 1, ... of ``segments.parquet``.
    """

    name: str
    license: str
    source: str
    skeletons: Mapping[str, Skeleton]
    layers: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, Any]]
    history: list[Mapping[str, Any]]
    counts: Mapping[str, int]
    title: str = ""
    citation: str = ""
    clips: Mapping[str, Any] = field(default_factory=dict)
    segment_names: list[str] = field(default_factory=list)

    def table(self, layer: str) -> LayerTable:
        """Give the columns and the skeleton of a layer."""
        entry = self.layers[layer]
        return LayerTable(
            layer=layer,
            skeleton=self.skeletons[entry["skeleton"]],
            columns=tuple(entry["columns"]),
            label_names=tuple(entry["label_names"]),
            own_columns=entry.get("own_columns", {}),
        )

    def to_json(self) -> bytes:
        """Encode for the file; equal manifests give equal bytes."""
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "license": self.license,
            "source": self.source,
            "title": self.title,
            "citation": self.citation,
            "counts": dict(self.counts),
            "clips": dict(self.clips),
            "segment_names": self.segment_names,
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
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no lone surrogate
    except (ValueError, RecursionError) as error:
        raise ReleaseError("not JSON", path=path, found=error) from error
    _expect(isinstance(value, dict), path, "an object at the top")
    version = value.get("format_version")
    known = isinstance(version, str) and re.fullmatch(r"[0-9]{1,9}\.[0-9]{1,9}", version)
    _expect(bool(known), path, "format_version, e.g. '1.0'")
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ReleaseError(
            "made in another version of the format", path=path, found=version,
            expected=f"{FORMAT_VERSION.split('.')[0]}.x", remedy="Update posedata.",
        )  # fmt: skip
    for key, kind in (("name", str), ("license", str), ("source", str), ("skeletons", dict),
                      ("layers", dict), ("files", dict), ("history", list),
                      ("counts", dict)):  # fmt: skip
        _expect(isinstance(value.get(key), kind), path, f"{key}: {kind.__name__}")
    for key in _COUNTS:
        _expect(_is_count(value["counts"].get(key)), path, f"counts.{key}: a number")
    for number, operation in enumerate(value["history"]):
        _expect(isinstance(operation, dict), path, f"history[{number}]: an object")
    try:
        skeletons = {name: Skeleton.from_dict(name, s) for name, s in value["skeletons"].items()}
    except ReleaseError as error:
        error.path = path
        raise
    for name, layer in value["layers"].items():
        _check_layer(name, layer, skeletons, path)
    for key in ("title", "citation"):
        _expect(isinstance(value.get(key, ""), str), path, f"{key}: str")
    _check_clips(value.get("clips", {}), path)
    _expect(_are_texts(value.get("segment_names", [])), path, "segment_names: a list of names")
    for name, entry in value["files"].items():
        _check_file(name, entry, path)
    return Manifest(
        **{key: value[key] for key in ("name", "license", "source", "layers", "files", "history",
                                       "counts")},
        **{key: value[key] for key in ("title", "citation", "clips", "segment_names")
           if key in value},
        skeletons=skeletons,
    )  # fmt: skip


def _check_clips(clips: Any, path: str) -> None:
    _expect(isinstance(clips, dict), path, "clips: an object")
    for key in ("columns", "label_names"):
        _expect(_are_texts(clips.get(key, [])), path, f"clips.{key}: a list of names")
    own_columns = clips.get("own_columns", {})
    _expect(isinstance(own_columns, dict), path, "clips.own_columns: an object")
    for column, definition in own_columns.items():
        good = _is_definition(column, definition) and definition["per"] == "clip"
        _expect(good and _agrees_with_standard(column, definition), path,
                f"clips.own_columns.{column}: type, per and about")  # fmt: skip


def _check_layer(name: str, layer: Any, skeletons: Mapping[str, Skeleton], path: str) -> None:
    _expect(_NAME.fullmatch(name) is not None, path, f"a layer's name, not {name!r}")
    _expect(isinstance(layer, dict), path, f"layers.{name}: an object")
    skeleton = layer.get("skeleton")
    _expect(
        isinstance(skeleton, str) and skeleton in skeletons,
        path, f"layers.{name}.skeleton in skeletons",
    )  # fmt: skip
    for key in ("columns", "label_names"):
        _expect(_are_texts(layer.get(key)), path, f"layers.{name}.{key}: a list of names")
    _expect(_are_texts(layer.get("left_out", [])), path, f"layers.{name}.left_out: a list of names")
    _expect(isinstance(layer.get("made_by"), dict), path, f"layers.{name}.made_by: an object")
    own_columns = layer.get("own_columns", {})
    _expect(isinstance(own_columns, dict), path, f"layers.{name}.own_columns: an object")
    for column, definition in own_columns.items():
        of = definition.get("of") if isinstance(definition, dict) else None
        _expect(of is None or of in layer["columns"], path,
                f"layers.{name}.own_columns.{column}: of a column of the layer")  # fmt: skip
        _expect(
            _is_definition(column, definition) and _agrees_with_standard(column, definition),
            path, f"layers.{name}.own_columns.{column}: type, per, shape and about",
        )  # fmt: skip


def _is_definition(column: str, value: Any) -> bool:
    """Whether this defines a column as ``schemas/columns.json`` does."""
    if not isinstance(value, dict) or not isinstance(value.get("about"), str):
        return False
    if value.get("per") == "clip":
        return value.get("type") in (*_NUMBER_TYPES, "string")
    if value.get("per") == "value":
        array, rule = value.get("of"), value.get("rule")
        if array not in ("keypoints_2d", "keypoints_3d") or rule not in RULES:
            return False
        expected = unrounded_columns(array, rule).get(column, {})
        return all(value.get(k) == expected.get(k) for k in ("type", "per", "shape"))
    shape = value.get("shape")
    return (
        value.get("per") == "pose"
        and value.get("type") in _NUMBER_TYPES
        and isinstance(shape, list)
        and len(shape) <= 3
        and all(s == "V" or (type(s) is int and 1 <= s <= _LARGEST_AXIS) for s in shape)
    )


def _agrees_with_standard(column: str, definition: Mapping[str, Any]) -> bool:
    """Whether a column of the format's own, if it is one, is what the format says."""
    standard = standard_columns().get(column)
    keys = ("type", "per", "shape")
    return standard is None or all(definition.get(key) == standard.get(key) for key in keys)


def _check_file(name: str, entry: Any, path: str) -> None:
    steps = name.split("/")
    inside = name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(steps)
    _expect(inside, path, f"files: a path inside the release, not {name!r}")
    _expect(
        isinstance(entry, dict)
        and all(_is_count(entry.get(key)) for key in ("rows", "bytes"))
        and isinstance(entry.get("sha256"), str)
        and _SHA256.fullmatch(entry["sha256"]) is not None,
        path, f"files.{name}: rows, bytes and sha256",
    )  # fmt: skip
    _expect(_is_count(entry.get("poses", 0)), path, f"files.{name}.poses: a number")
    clip_ids = entry.get("clip_ids", ["", ""])
    _expect(_are_texts(clip_ids) and len(clip_ids) == 2, path,
            f"files.{name}.clip_ids: the first and the last")  # fmt: skip


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # and not isinstance(), because True is an int


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _expect(holds: bool, path: str, what: str) -> None:
    if not holds:
        raise ReleaseError("not a manifest of posedata", path=path, expected=what)
