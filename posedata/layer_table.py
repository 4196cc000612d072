"""The table of a layer file: its Arrow schema, and clips to Arrow and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from posedata.clip import Clip
from posedata.errors import ReleaseError, UsageError
from posedata.skeleton import Skeleton
from posedata.unrounded import Unrounded

_FIXED = ("keypoints_2d", "keypoints_3d", "scores", "visibility", "boxes")


@cache
def standard_columns() -> dict[str, dict[str, Any]]:
    """Every column that the format knows, in order: its type, shape and meaning."""
    text = resources.files("posedata.schemas").joinpath("columns.json").read_text("utf-8")
    groups = json.loads(text)
    return {
        name: {"per": "clip", **column}
        for group in groups.values()
        for name, column in group.items()
    }


@dataclass(frozen=True)
class LayerTable:
    """Which columns a layer has, and its skeleton and class names.

    Attributes
    ----------
    layer : str
        Name of the layer.
    skeleton : Skeleton
        The V joints of its poses.
    columns : tuple of str
        Names of clip and pose columns, in any order; the file has the order of the format.
    label_names : tuple of str
        Names of the classes 0, 1, ...; may be empty.
    own_columns : mapping
        Definitions of columns that the format does not know, as in ``schemas/columns.json``.
    """

    layer: str
    skeleton: Skeleton
    columns: tuple[str, ...]
    label_names: tuple[str, ...] = ()
    own_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def definitions(self) -> dict[str, Mapping[str, Any]]:
        """The columns of the file, in its order: clip columns, then pose columns."""
        known = {**standard_columns(), **self.own_columns}
        always = {"clip_id", "num_frames", "frames", "persons"}
        chosen = {n: c for n, c in known.items() if n in always or n in self.columns}
        return dict(sorted(chosen.items(), key=lambda item: item[1]["per"] != "clip"))

    @property
    def clip_columns(self) -> list[str]:
        """Names of the columns with one value a clip."""
        return [n for n, c in self.definitions.items() if c["per"] == "clip"]

    @property
    def pose_columns(self) -> list[str]:
        """Names of the columns with a list of values, one a pose or one a person."""
        return [n for n, c in self.definitions.items() if c["per"] != "clip"]

    def _per(self, name: str) -> str:
        return str(self.definitions[name]["per"])

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one pose in a pose column, e.g. (25, 3)."""
        sizes = self.definitions[name]["shape"]
        return tuple(self.skeleton.num_joints if size == "V" else size for size in sizes)

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the features that Hugging Face's ``load_dataset`` reads."""
        fields = [pa.field(name, self._arrow_type(name)) for name in self.definitions]
        features = {name: self._hugging_face_feature(name) for name in self.definitions}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        return pa.schema(fields, metadata)

    @property
    def clip_schema(self) -> pa.Schema:
        """The Arrow schema of the clip columns alone."""
        return clip_schema(self.columns, self.own_columns, self.label_names)

    def _arrow_type(self, name: str) -> pa.DataType:
        column = self.definitions[name]
        kind = pa.type_for_alias(column["type"])
        if column["per"] == "clip":
            return kind
        for size in reversed(self.shape(name)):
            kind = pa.list_(pa.field("element", kind), size)
        return pa.list_(pa.field("element", kind))

    def _hugging_face_feature(self, name: str) -> dict[str, Any]:
        column = self.definitions[name]
        if column["per"] == "clip":
            return _clip_feature(name, column, self.label_names)
        feature: dict[str, Any] = {"dtype": column["type"], "_type": "Value"}
        for size in (*reversed(self.shape(name)), -1):
            feature = {"feature": feature, "length": size, "_type": "Sequence"}
        return feature

    def to_arrow(self, clips: Sequence[Clip]) -> pa.RecordBatch:
        """One row for each clip.

        Parameters
        ----------
        clips : sequence of Clip
            All of this layer and skeleton, with the pose arrays that the table has columns for.

        Returns
        -------
        pyarrow.RecordBatch

        Raises
        ------
        UsageError
            If a clip has something that the table has no column for, or lacks a pose column.
        """
        for clip in clips:
            self._check(clip)
        arrays = []
        for name, column in self.definitions.items():
            kind = self._arrow_type(name)
            if name == "clip_id":
                arrays.append(pa.array([clip.clip_id for clip in clips], kind))
            elif column["per"] == "clip":
                arrays.append(pa.array([clip.info.get(name) for clip in clips], kind))
            elif column["per"] == "person":
                arrays.append(pa.array([list(clip.person_ids) for clip in clips], kind))
            elif column["per"] == "value":
                values = [self._unrounded(clip, name) for clip in clips]
                arrays.append(_nested(values, (), kind))
            else:
                values = [self._pose_array(clip, name) for clip in clips]
                arrays.append(_nested(values, self.shape(name), kind))
        return pa.record_batch(arrays, schema=self.schema)

    def _check(self, clip: Clip) -> None:
        """Refuse a clip of which something would be lost."""
        if (clip.layer, clip.skeleton) != (self.layer, self.skeleton):
            raise UsageError(f"clip {clip.clip_id} in a table of another layer or skeleton",
                             found=f"{clip.layer} {clip.skeleton.name}",
                             expected=f"{self.layer} {self.skeleton.name}")  # fmt: skip
        present = [*clip.arrays, *clip.info, *(["person_ids"] if clip.person_ids else [])]
        present += [f"{name}_unrounded" for name in clip.unrounded]
        homeless = [name for name in present if name not in self.definitions]
        if homeless:
            raise UsageError(f"clip {clip.clip_id} has what the layer {clip.layer} has no column "
                             f"for: {', '.join(homeless)}")  # fmt: skip

    def _pose_array(self, clip: Clip, name: str) -> np.ndarray:
        standard = name in _FIXED or name in ("frames", "persons")
        array = getattr(clip, name) if standard else clip.extra.get(name)
        expected = np.dtype(self.definitions[name]["type"]), self.shape(name)
        if array is None or (array.dtype, array.shape[1:]) != expected:
            raise UsageError(
                f"clip {clip.clip_id}: {name}",
                found="nothing" if array is None else f"{array.dtype} {array.shape[1:]} a pose",
                expected=f"{expected[0]} {expected[1]} a pose",
            )  # fmt: skip
        return array

    def _unrounded(self, clip: Clip, name: str) -> np.ndarray:
        column = self.definitions[name]
        unrounded = clip.unrounded.get(column["of"])
        if unrounded is None or unrounded.rule != column["rule"]:
            raise UsageError(
                f"clip {clip.clip_id}: {name}",
                found="nothing" if unrounded is None else f"rule {unrounded.rule}",
                expected=f"rule {column['rule']}",
            )  # fmt: skip
        return unrounded.at if name.endswith("_at") else unrounded.numbers

    def to_clips(self, batch: pa.RecordBatch | pa.Table) -> Iterator[Clip]:
        """Turn rows into clips; pose columns that are not in ``batch`` stay None.

        What is not known of a clip (null) is not in its ``info``.
        Arrays are views of the batch's memory where Arrow's layout allows it: read-only.
        """
        names = batch.schema.names
        info_names = [n for n in self.clip_columns if n in names and n != "clip_id"]
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        info = table.select(["clip_id", *info_names]).to_pylist()
        ids = table["person_ids"].to_pylist() if "person_ids" in names else [()] * len(info)
        per_pose = [n for n in self.pose_columns if n in names and n != "person_ids"]
        poses = {n: _split(table[n], self.shape(n)) for n in per_pose}
        rules = {
            column["of"]: column["rule"]
            for column in self.definitions.values()
            if column["per"] == "value"
        }
        kept = {name: poses.pop(name) for name in list(poses) if self._per(name) == "value"}
        for row, values in enumerate(info):
            arrays = {n: split[row] for n, split in poses.items()}
            unrounded = {
                name: Unrounded(
                    rule, kept[f"{name}_unrounded_at"][row], kept[f"{name}_unrounded"][row]
                )
                for name, rule in rules.items()
                if name in arrays and f"{name}_unrounded" in kept and f"{name}_unrounded_at" in kept
            }
            yield Clip(
                clip_id=values.pop("clip_id"),
                layer=self.layer,
                skeleton=self.skeleton,
                frames=arrays.pop("frames"),
                persons=arrays.pop("persons"),
                **{n: arrays.pop(n) for n in _FIXED if n in arrays},
                person_ids=tuple(ids[row]),
                extra=arrays,
                unrounded=unrounded,
                info={name: value for name, value in values.items() if value is not None},
            )


def clip_schema(
    columns: Sequence[str],
    own_columns: Mapping[str, Mapping[str, Any]],
    label_names: Sequence[str],
) -> pa.Schema:
    """Build the schema of ``clips.parquet``: of the columns given, those with one value a clip."""
    chosen = {
        name: column
        for name, column in {**standard_columns(), **own_columns}.items()
        if column["per"] == "clip" and (name in ("clip_id", "num_frames") or name in columns)
    }
    features = {name: _clip_feature(name, column, label_names) for name, column in chosen.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    fields = [(name, pa.type_for_alias(column["type"])) for name, column in chosen.items()]
    return pa.schema(fields, metadata)


def _clip_feature(
    name: str, column: Mapping[str, Any], label_names: Sequence[str]
) -> dict[str, Any]:
    if name == "label" and label_names:
        return {"names": list(label_names), "_type": "ClassLabel"}
    return {"dtype": column["type"], "_type": "Value"}


def flat_values(column: pa.ChunkedArray, shape: tuple[int, ...]) -> np.ndarray:
    """All values of a pose column, one pose after the other.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of list<fixed_size_list<...>>
        A pose column of a layer file.
    shape : tuple of int
        Shape of one pose.

    Returns
    -------
    array, shape (N, *shape)
        N poses over all rows; a view where the column is one chunk, else a copy.

    Raises
    ------
    ReleaseError
        If the column has nulls, which no release has.
    """
    chunks = [_flat_chunk(chunk).reshape(-1, *shape) for chunk in column.chunks]
    if not chunks:
        return np.empty((0, *shape), _leaf_type(column.type).to_pandas_dtype())
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def _flat_chunk(array: pa.Array) -> np.ndarray:
    while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            raise ReleaseError("a pose column has nulls", expected="NaN where a joint is missing")
        array = array.flatten()
    if array.null_count:
        raise ReleaseError("a pose column has nulls", expected="NaN where a joint is missing")
    return array.to_numpy(zero_copy_only=False)


def _leaf_type(kind: pa.DataType) -> pa.DataType:
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind


def _split(column: pa.ChunkedArray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """One array for each row."""
    rows: list[np.ndarray] = []
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy() - chunk.offsets[0].as_py()
        values = _flat_chunk(chunk).reshape(-1, *shape)
        rows += [values[a:b] for a, b in pairwise(offsets)]
    return rows


def _nested(values: list[np.ndarray], shape: tuple[int, ...], kind: pa.DataType) -> pa.Array:
    """Arrays of shape (N, *shape) to list<fixed_size_list<...>>, without a Python loop a pose."""
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in values])]).astype(np.int32)
    flat = np.concatenate(values).reshape(-1) if values else np.empty(0)
    types = [kind.value_type]
    for _ in shape:
        types.append(types[-1].value_type)
    array = pa.array(flat, types.pop())
    for _ in shape:
        array = pa.FixedSizeListArray.from_arrays(array, type=types.pop())
    return pa.ListArray.from_arrays(pa.array(offsets), array, type=kind)
