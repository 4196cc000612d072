"""The poses of a layer in one file that all worker processes map into memory.

Parquet is decoded once, on first use; later uses, other processes and other splits map the file.
It lies in a cache directory under a name made of what is in it, and can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posedata.errors import OutputError, ReleaseError
from posedata.flat_poses import FlatPoses
from posedata.pose_file import HEADER_BYTES, VERSION, make_pose_file, read_header
from posedata.release import Release
from posedata.remap import remap_ledger
from posedata.skeleton import Skeleton


class PoseMemory:
    """Poses of all clips of a layer, mapped from a file; made by `map_poses`.

    Processes that map the same file share its pages. A pickled one is the path of its file.

    Parameters
    ----------
    path : Path
        The file.
    skeleton : Skeleton
        Of the poses.

    Attributes
    ----------
    poses : FlatPoses
        All clips, sorted by their ids.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self.path = path
        self.skeleton = skeleton
        with path.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = read_header(self._memory)
        if head is None:
            raise ReleaseError("not a file of poses, or an incomplete one", path=path)
        arrays: dict[str, np.ndarray] = {
            name: np.ndarray(shape, dtype, self._memory, at)
            for name, (at, dtype, shape) in head["arrays"].items()
        }
        clips = arrays.pop("clips")
        self.poses = FlatPoses(**arrays)
        table = pa.ipc.open_stream(pa.py_buffer(clips)).read_all()
        self._clips = {name: table[name].combine_chunks() for name in table.column_names}

    def __reduce__(self) -> tuple[Any, ...]:
        return PoseMemory, (self.path, self.skeleton)

    @property
    def clip_ids(self) -> pa.Array:
        """Ids of all clips, sorted."""
        return self._clips["clip_id"]

    def rows_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Places of clips among all.

        Returns
        -------
        int64, shape (len(clip_ids),)

        Raises
        ------
        ReleaseError
            If one is not there.
        """
        rows = pc.index_in(pa.array(clip_ids, pa.string()), self.clip_ids)
        if rows.null_count:
            raise ReleaseError("lacks a clip that the release has", path=self.path,
                               remedy="Delete the file; it is made again.")  # fmt: skip
        return rows.to_numpy().astype(np.int64)

    def columns(self, rows: np.ndarray, names: Sequence[str]) -> dict[str, pa.Array]:
        """Give clip columns of some clips, as far as there are such columns."""
        there = [name for name in names if name in self._clips]
        return {name: self._clips[name].take(pa.array(rows)) for name in there}

    def info(self, row: int) -> ClipRow:
        """What the release says of a clip."""
        return ClipRow(self._clips, row)


class ClipRow(Mapping[str, Any]):
    """Clip columns of one clip, read when they are asked for; what is not known is not in it."""

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Mapping[str, pa.Array], row: int) -> None:
        self._columns = columns
        self._row = row

    def __getitem__(self, name: str) -> Any:
        value = self._columns[name][self._row].as_py()
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, column in self._columns.items() if column[self._row].is_valid)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def map_poses(
    release: Release,
    layer: str,
    keypoints: str,
    skeleton: Skeleton,
    cache: str | Path | None = None,
) -> PoseMemory:
    """Map the poses of a layer; decode them into a file first if that has not been done.

    Parameters
    ----------
    release : Release
        Where the layer is.
    layer : str
        Its name.
    keypoints : {"keypoints_2d", "keypoints_3d", "both"}
        Which coordinates. ``both``: pixels, then metres (C = 5).
    skeleton : Skeleton
        The joints that are wanted: the layer's own, or some that it can be mapped to.
    cache : path, optional
        A local directory. By default ``$XDG_CACHE_HOME/posedata`` or ``~/.cache/posedata``.

    Returns
    -------
    PoseMemory
        The file is named after the checksums in the manifest, and made anew where it is not
        complete. Processes that need it at the same time wait for the one that makes it.

    Raises
    ------
    OutputError
        If the directory cannot be written.
    ReleaseError
        If a file of the release is missing or damaged.
    """
    folder = _default_cache() if cache is None else Path(cache)
    key = _key(release, layer, keypoints, skeleton)
    path = folder / f"{release.name}-{layer}-{key[:24]}.poses"
    with _writing(folder):
        if not _is_complete(path):
            with _alone(path):
                if not _is_complete(path):
                    make_pose_file(path, release, layer, keypoints, skeleton)
    return PoseMemory(path, skeleton)


def _default_cache() -> Path:
    """Where the XDG Base Directory Specification has caches; a relative path there is ignored."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else Path.home() / ".cache") / "posedata"


def _key(release: Release, layer: str, keypoints: str, skeleton: Skeleton) -> str:
    """Identify what will be in the file: the files of the layer, and all that changes them."""
    own = release.skeleton(layer)
    content = {
        "version": VERSION,
        "layer": release.manifest.layers[layer],
        "files": {
            name: release.manifest.files[name]["sha256"] for name in release.part_names(layer)
        },
        "own_skeleton": [own.name, own.to_dict()],
        "skeleton": [skeleton.name, skeleton.to_dict()],
        "joints": [(origin.how, origin.parents) for origin in remap_ledger(own, skeleton)],
        "keypoints": keypoints,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_complete(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = read_header(file.read(HEADER_BYTES), path.stat().st_size)
    except FileNotFoundError:
        return False
    return head is not None


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            "decoded poses cannot be written", path=error.filename or folder,
            found=error.strerror or error,
            remedy="Give another directory as cache=, or set XDG_CACHE_HOME.",
        ) from error  # fmt: skip


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes this file, and remove what killed ones have left."""
    with path.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: each process makes its own, one stays
            yield
            return
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink(missing_ok=True)
        yield
