"""Reading a release: one clip, many clips, columns, or whole arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posedata import staging
from posedata.clip import Clip
from posedata.errors import InputError, ReleaseError, UsageError
from posedata.layer_table import LayerTable, flat_values
from posedata.manifest import FILE_NAME, MOST_BYTES, Manifest, read_manifest
from posedata.release_files import find_clip, read_part, read_small_table
from posedata.skeleton import Skeleton
from posedata.storage import Location, locate

if TYPE_CHECKING:
    import pandas as pd

#: A condition on clip columns: the value, or a list of accepted values, for each column. None
#: stands for what is not known.
Where = Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """A directory in the unified format; made by `open_release`.

    Attributes
    ----------
    place : Location
        Its directory.
    manifest : Manifest
        What it says of itself.
    """

    place: Location
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name of the release, e.g. ``ntu60``."""
        return self.manifest.name

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        return list(self.manifest.layers)

    def skeleton(self, layer: str | None = None) -> Skeleton:
        """Give the joint set of a layer (by default of the only one)."""
        return self.table(layer).skeleton

    def label_names(self, layer: str | None = None) -> tuple[str, ...]:
        """Names of the classes 0, 1, ..."""
        return self.table(layer).label_names

    def table(self, layer: str | None = None) -> LayerTable:
        """Give the columns and the skeleton of a layer (by default of the only one).

        Raises
        ------
        UsageError
            If there is no such layer, or none is named and there are several.
        """
        if layer is None and len(self.layers) == 1:
            layer = self.layers[0]
        if not self.layers:
            raise UsageError("the release has no poses, only clips", path=self.place)
        if layer is None or layer not in self.manifest.layers:
            raise UsageError(
                "which layer?" if layer is None else f"no layer {layer!r} in this release",
                path=self.place,
                expected=f"one of {', '.join(self.layers)}",
            )  # fmt: skip
        return self.manifest.table(layer)

    def clip(self, clip_id: str, layer: str | None = None) -> Clip:
        """Read one clip: the footer of one file and one of its row groups.

        Parameters
        ----------
        clip_id : str
            Key of the clip.
        layer : str, optional
            By default the only layer.

        Returns
        -------
        Clip

        Raises
        ------
        UsageError
            If the layer has no such clip.
        ReleaseError
            If the file is missing or damaged.
        """
        table = self.table(layer)
        for name in self.part_names(table.layer):
            first, last = self.manifest.files[name].get("clip_ids", ("", "\U0010ffff"))
            if first <= clip_id <= last:
                rows = find_clip(self.place / name, table, clip_id)
                if rows is not None:
                    return next(table.to_clips(rows))
        raise UsageError(f"no clip {clip_id!r} in layer {table.layer}", path=self.place)

    def iter_clips(
        self,
        layer: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> Iterator[Clip]:
        """Read clips one after the other, in the order of their ids.

        Parameters
        ----------
        layer : str, optional
            By default the only layer.
        columns : sequence of str, optional
            Pose columns to read, e.g. ``["keypoints_3d"]``; all by default. Clip columns always
            come along.
        where : mapping, optional
            Values that clip columns must have, e.g. ``{"camera": [2, 3], "label": 7}``. Row groups
            without any are not read.

        Yields
        ------
        Clip
        """
        table = self.table(layer)
        wanted = table.pose_columns if columns is None else list(columns)
        self._check_columns(table, wanted, "pose", table.pose_columns)
        names = [*table.clip_columns, "frames", "persons", *wanted]
        names = [name for name in table.definitions if name in names]
        for batch in self._batches(table, names, where):
            if batch.num_rows:
                yield from table.to_clips(batch)

    def read_table(
        self,
        layer: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """Read a layer as one Arrow table: a row for each clip, poses in nested columns.

        Parameters
        ----------
        layer : str, optional
            By default the only layer.
        columns : sequence of str, optional
            Columns of the layer, clip or pose; all by default.
        where : mapping, optional
            As in `iter_clips`.
        """
        table = self.table(layer)
        names = list(table.definitions) if columns is None else list(columns)
        self._check_columns(table, names, "layer", list(table.definitions))
        schema = pa.schema([table.schema.field(name) for name in names], table.schema.metadata)
        return pa.Table.from_batches(self._batches(table, names, where), schema)

    def arrays(
        self,
        layer: str | None = None,
        *,
        columns: Sequence[str] = ("keypoints_3d",),
        where: Where | None = None,
    ) -> dict[str, np.ndarray]:
        """Read pose columns of all clips into flat numpy arrays.

        Parameters
        ----------
        layer : str, optional
            By default the only layer.
        columns : sequence of str
            Pose columns.
        where : mapping, optional
            As in `iter_clips`.

        Returns
        -------
        dict of str to array
            Each column with shape (N, ...), the N poses of all clips one after the other; and
            ``offsets``, int64, shape (clips + 1,): clip i has the rows ``offsets[i]`` to
            ``offsets[i + 1]``; and ``clip_id``, str.
        """
        table = self.table(layer)
        if not columns:
            raise UsageError("no columns asked for", expected=", ".join(table.pose_columns))
        per_pose = [n for n in table.pose_columns if table.definitions[n]["per"] == "pose"]
        self._check_columns(table, columns, "pose", per_pose)
        read = self.read_table(table.layer, columns=["clip_id", *columns], where=where)
        lengths = pc.list_value_length(read[columns[0]]).to_numpy()
        return {
            **{name: flat_values(read[name], table.shape(name)) for name in columns},
            "offsets": np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            "clip_id": read["clip_id"].to_numpy(zero_copy_only=False),
        }

    def clips(self, where: Where | None = None) -> pa.Table:
        """Read ``clips.parquet``: one row for each clip, with or without poses."""
        table = read_small_table(self.place / "clips.parquet")
        condition = _expression(where, table.schema, self.place)
        return table if condition is None else table.filter(condition)

    def splits(self) -> pa.Table:
        """Read ``splits.parquet``: protocol, split, clip_id."""
        return read_small_table(self.place / "splits.parquet")

    def split(self, protocol: str, split: str) -> list[str]:
        """Clip ids of one split, e.g. ``split("xsub", "train")``.

        Raises
        ------
        UsageError
            If the release has no such protocol or split.
        """
        table = self.splits()
        rows = table.filter((pc.field("protocol") == protocol) & (pc.field("split") == split))
        if rows.num_rows == 0:
            groups = table.group_by(["protocol", "split"]).aggregate([]).to_pylist()
            known = sorted(f"{group['protocol']} {group['split']}" for group in groups)
            raise UsageError("no such split", path=self.place, found=f"{protocol} {split}",
                             expected=", ".join(known) or None)  # fmt: skip
        return rows["clip_id"].to_pylist()

    def segments(self) -> pa.Table:
        """Read ``segments.parquet``: clip_id, start_s, end_s, label, label_name, flag.

        Raises
        ------
        UsageError
            If the release has none: its clips are trimmed.
        """
        if "segments.parquet" not in self.manifest.files:
            raise UsageError("the release has no segments", path=self.place)
        return read_small_table(self.place / "segments.parquet")

    def rejects(self) -> pa.Table:
        """Read ``rejects.parquet``: source, stage, reason, position, severity."""
        return read_small_table(self.place / "rejects.parquet")

    def to_pandas(
        self,
        layer: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pd.DataFrame:
        """Read a layer as a pandas frame with one row for each joint of each pose.

        Parameters
        ----------
        layer, where
            As in `iter_clips`.
        columns : sequence of str, optional
            Per-joint pose columns; by default keypoints, scores and visibility. Boxes and other
            columns of whole poses are in `read_table`.

        Returns
        -------
        pandas.DataFrame
            Columns clip_id, person, frame, joint, and of each pose column its components, e.g.
            keypoints_3d_x.
        """
        from posedata.joint_frame import joint_frame

        return joint_frame(self, self.table(layer), columns, where)

    def part_names(self, layer: str) -> list[str]:
        """Paths of a layer's files within the release, in the order of their clips."""
        return [name for name in self._file_names if name.startswith(f"data/{layer}/")]

    @cached_property
    def _file_names(self) -> list[str]:
        return sorted(self.manifest.files)

    def _batches(
        self, table: LayerTable, names: Sequence[str], where: Where | None
    ) -> Iterator[pa.RecordBatch]:
        """Row groups with a match, a file at a time; the reader keeps few of them in memory."""
        condition = _expression(where, table.clip_schema, self.place)
        for name in self.part_names(table.layer):
            yield from read_part(self.place / name, table, names, condition)

    def _check_columns(
        self, table: LayerTable, names: Sequence[str], kind: str, known: Sequence[str]
    ) -> None:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UsageError(
                f"no {kind} column {', '.join(unknown)} in layer {table.layer}", path=self.place,
                expected=", ".join(known),
            )  # fmt: skip


def open_release(place: Any) -> Release:
    """Open a release.

    Parameters
    ----------
    place : str or path
        Its directory, or a URL that fsspec knows.

    Returns
    -------
    Release
        Nothing but the manifest has been read.

    Raises
    ------
    ReleaseError
        If it is unfinished, no release, or its manifest is damaged.

    Examples
    --------
    >>> release = open_release("ntu60")                              # doctest: +SKIP
    >>> release.clip("S001C001P001R001A001").keypoints_3d.shape      # doctest: +SKIP
    (103, 25, 3)
    """
    place = locate(place)
    path = place / FILE_NAME
    if not path.exists():
        if not place.exists():
            raise ReleaseError("no such directory", path=place)
        if staging.is_unfinished(place):
            raise ReleaseError("the release is unfinished", path=place,
                               remedy="Run the command that began it with --resume.")  # fmt: skip
        raise ReleaseError("not a release: it has no posedata.json", path=place,
                           remedy="Make one with posedata convert.")  # fmt: skip
    if staging.is_closing(place):
        raise ReleaseError("a layer is being added to the release", path=place,
                           remedy="Wait for its end, or run the command that began it with "
                           "--resume.")  # fmt: skip
    try:
        content = path.read_bytes(MOST_BYTES)
    except InputError as error:
        raise ReleaseError(error.message, path=path, found=error.found) from error
    return Release(place, read_manifest(content, str(path)))


def _expression(where: Where | None, schema: pa.Schema, place: Location) -> pc.Expression | None:
    """Build the filter. Values take the type of their column."""
    expression = None
    for column, value in (where or {}).items():
        if column not in schema.names:
            raise UsageError(f"no clip column {column}", path=place,
                             expected=", ".join(schema.names))  # fmt: skip
        one = isinstance(value, (str, bytes)) or not hasattr(value, "__iter__")
        kind = schema.field(column).type
        try:
            accepted = pa.array([value] if one else list(value)).cast(kind)
        except (pa.ArrowException, OverflowError) as error:
            raise UsageError(f"a condition on {column} that it cannot meet", path=place,
                             found=repr(value), expected=kind) from error  # fmt: skip
        term = pc.field(column).isin(accepted)
        if len(accepted) > 1 and not accepted.null_count:  # Arrow skips row groups by ranges alone
            ends = pc.min_max(accepted)
            term = (pc.field(column) >= ends["min"]) & (pc.field(column) <= ends["max"]) & term
        expression = term if expression is None else expression & term
    return expression
