"""Opening the files of a release, and refusing what is missing or damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from posedata.errors import ReleaseError
from posedata.layer_table import LayerTable
from posedata.storage import Location

#: The tables beside the layers, and the columns that they have at least.
SMALL_TABLES = {
    "clips.parquet": {"clip_id": pa.string(), "num_frames": pa.int32()},
    "splits.parquet": dict.fromkeys(("protocol", "split", "clip_id"), pa.string()),
    "rejects.parquet": dict.fromkeys(("source", "stage", "reason", "position"), pa.string()),
}
_SEGMENTS = {"clip_id": pa.string(), "start_s": pa.float64(), "end_s": pa.float64(),
             "label": pa.int64(), "label_name": pa.string()}  # fmt: skip


@contextlib.contextmanager
def reading(place: Location) -> Iterator[None]:
    """Turn what pyarrow raises for a missing or damaged file into an error that names it.

    Raises
    ------
    ReleaseError
        In place of OSError, of Arrow's errors, and of text that is not UTF-8.
    """
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise ReleaseError(
            "a file of the release is missing" if missing else "the file cannot be read",
            path=place, found=None if missing else next(iter(str(error).splitlines()), None),
            remedy="Copy the release again; posedata validate finds what is damaged.",
        ) from error  # fmt: skip


def read_small_table(place: Location) -> pa.Table:
    """Read one of `SMALL_TABLES`, or ``segments.parquet``.

    Raises
    ------
    ReleaseError
        If it is missing, damaged, or lacks a column.
    """
    with reading(place), place.open() as file:
        table = pq.ParquetFile(file).read()
        table.validate(full=True)
        found = {field.name: field.type for field in table.schema}
    expected = SMALL_TABLES.get(place.path.rsplit("/", 1)[-1], _SEGMENTS)
    lacking = [f"{name} ({kind})" for name, kind in expected.items() if found.get(name) != kind]
    if lacking:
        raise ReleaseError(f"lacks the columns {', '.join(lacking)}", path=place)
    return table


def read_part(
    place: Location, table: LayerTable, names: Sequence[str], condition: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """Read columns of a layer file, a row group at a time; those without a match are not read.

    Raises
    ------
    ReleaseError
        If the file is missing or damaged, or has not these columns.
    """
    with reading(place):
        fragment = ds.ParquetFileFormat().make_fragment(place.path, _arrow_fs(place))
        _check_types(fragment.physical_schema, table, names, place)
        for batch in fragment.to_batches(
            table.schema, columns=list(names), filter=condition, batch_readahead=2
        ):
            batch.validate(full=True)
            yield batch


def find_clip(place: Location, table: LayerTable, clip_id: str) -> pa.Table | None:
    """Read the row of one clip: the footer, and the one row group that has it.

    Raises
    ------
    ReleaseError
        As `read_part`.
    """
    with reading(place), place.open() as file:
        parquet = pq.ParquetFile(file, pre_buffer=True)
        _check_types(parquet.schema_arrow, table, list(table.definitions), place)
        for group in range(parquet.num_row_groups):
            statistics = parquet.metadata.row_group(group).column(0).statistics
            if _may_have(statistics, clip_id):
                rows = parquet.read_row_group(group).filter(pc.field("clip_id") == clip_id)
                rows.validate(full=True)
                if rows.num_rows:
                    return rows
    return None


def _may_have(statistics: Any, clip_id: str) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min <= clip_id <= statistics.max


def _check_types(
    found: pa.Schema, table: LayerTable, names: Sequence[str], place: Location
) -> None:
    """Refuse a file without these columns: Arrow would fill them with nulls."""
    for name in names:
        expected = table.schema.field(name).type
        actual = found.field(name).type if name in found.names else None
        if actual != expected:
            raise ReleaseError(f"the column {name} is not that of the manifest", path=place,
                               found=actual or "none", expected=expected)  # fmt: skip


def _arrow_fs(place: Location) -> Any:
    if place.is_local:
        return pa.fs.LocalFileSystem()
    return pa.fs.PyFileSystem(pa.fs.FSSpecHandler(place.fs))
