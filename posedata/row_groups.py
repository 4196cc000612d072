"""Row groups of a layer's files as flat arrays, from which samples are made without clips."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posedata.compiled import kernel
from posedata.errors import ReleaseError
from posedata.flat_poses import FlatPoses, find_people
from posedata.layer_table import flat_values
from posedata.release import Release
from posedata.release_files import reading
from posedata.remap import remap
from posedata.skeleton import Skeleton
from posedata.storage import Location

#: Files whose footers are kept in memory.
_MOST_OPEN = 32


class RowGroups:
    """The row groups of one layer, decoded one at a time.

    Parameters
    ----------
    release : Release
        Where the layer is.
    layer : str
        Its name.
    keypoints : {"keypoints_2d", "keypoints_3d"}
        Which coordinates.
    skeleton : Skeleton
        The joints that are wanted: the layer's own, or some that it can be mapped to.
    """

    def __init__(self, release: Release, layer: str, keypoints: str, skeleton: Skeleton) -> None:
        self._place = release.place
        self._table = release.table(layer)
        self._names = release.part_names(layer)
        self._keypoints = keypoints
        self._skeleton = skeleton
        self._is_mapped = self._table.skeleton != skeleton
        self._columns = ["frames", "persons", keypoints]
        if "scores" in self._table.pose_columns:
            self._columns.append("scores")
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(self._columns)

    @property
    def num_channels(self) -> int:
        """C of the poses."""
        return self._table.shape(self._keypoints)[1]

    def close(self) -> None:
        """Close all files. They are opened again when they are needed."""
        self._open.clear()

    def sizes(self) -> list[list[int]]:
        """Count the clips of each row group of each file, from the footers.

        Raises
        ------
        ReleaseError
            If a file is missing or damaged, or has not the columns.
        """
        found = []
        for number in range(len(self._names)):
            meta = self._file(number).metadata
            found.append([meta.row_group(group).num_rows for group in range(meta.num_row_groups)])
        return found

    def read(self, file: int, group: int) -> FlatPoses:
        """Decode one row group.

        Parameters
        ----------
        file, group : int
            Which file of the layer, and which of its row groups.

        Raises
        ------
        ReleaseError
            If the file is missing or damaged, or poses are not sorted or lie outside their clip.
        """
        place = self._place / self._names[file]
        with reading(place):  # one column is most of it: threads would not help
            read = self._file(file).read_row_group(
                group, columns=["num_frames", *self._columns], use_threads=False
            )
            read.validate()
        return self._rows(read, place, group)

    def _rows(self, read: pa.Table, place: Location, group: int) -> FlatPoses:
        table = self._table
        offsets = _offsets(read["frames"])
        if not all(np.array_equal(_offsets(read[name]), offsets) for name in self._columns[1:]):
            raise ReleaseError("the pose columns of a clip differ in length", path=place,
                               position=f"row group {group}")  # fmt: skip
        flat = {name: flat_values(read[name], table.shape(name)) for name in self._columns}
        num_frames = read["num_frames"].to_numpy()
        bad = _first_bad(offsets, flat["frames"], flat["persons"], num_frames)
        if bad >= 0:
            raise ReleaseError("poses that are not sorted, or outside their clip", path=place,
                               position=f"row group {group}, row {bad}",
                               remedy="posedata validate tells more.")  # fmt: skip
        values, scores = flat[self._keypoints], flat.get("scores")
        if self._is_mapped:
            values, scores, _, _ = remap(values, table.skeleton, self._skeleton, scores)
        if scores is None:
            scores = np.empty((0, self._skeleton.num_joints), np.float32)
        people, starts, counts = find_people(offsets, flat["persons"])
        return FlatPoses(flat["frames"], values, scores, num_frames, people, starts, counts)

    def _file(self, number: int) -> pq.ParquetFile:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        place = self._place / self._names[number]
        with reading(place):
            file = pq.ParquetFile(place.open(), pre_buffer=not place.is_local)
        _check_columns(file.schema_arrow, self._table.schema, ["num_frames", *self._columns], place)
        self._open[number] = file
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return file


def _offsets(column: pa.ChunkedArray) -> np.ndarray:
    """Where the poses of each clip begin, and where the last one's end."""
    if column.num_chunks == 1 and not column.null_count:
        offsets = column.chunk(0).offsets.to_numpy().astype(np.int64)
        return offsets - offsets[0]
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _check_columns(
    found: pa.Schema, expected: pa.Schema, names: Sequence[str], place: Location
) -> None:
    types: Mapping[str, pa.DataType] = dict(zip(found.names, found.types, strict=True))
    for name in names:
        if types.get(name) != expected.field(name).type:
            raise ReleaseError(f"the column {name} is not that of the manifest", path=place,
                               found=types.get(name, "none"),
                               expected=expected.field(name).type)  # fmt: skip


@kernel
def _first_bad(offsets, frames, persons, num_frames):
    """Clip whose poses are not sorted by (person, frame), or not within it; -1: none."""
    for clip in range(len(offsets) - 1):
        for row in range(offsets[clip], offsets[clip + 1]):
            if frames[row] < 0 or frames[row] >= num_frames[clip] or persons[row] < 0:
                return clip
            if row > offsets[clip] and (
                persons[row] < persons[row - 1]
                or (persons[row] == persons[row - 1] and frames[row] <= frames[row - 1])
            ):
                return clip
    return -1
