"""The file that `posedata.pose_memory` maps: all poses of a layer, decoded, array after array.

The first 4096 bytes say where each array begins, and how long the file is.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from posedata.clip import Clip
from posedata.errors import ReleaseError
from posedata.release import Release
from posedata.remap import remap
from posedata.sample import coordinate_columns
from posedata.skeleton import Skeleton

#: Changes with what is in a file, so that those of another posedata are not read.
VERSION = 1
HEADER_BYTES = 4096
_MAGIC = b"posedata poses\n"


def read_header(content: Any, size: int | None = None) -> dict[str, Any] | None:
    """Decode the first bytes of a file.

    Parameters
    ----------
    content : bytes or mmap
        The first `HEADER_BYTES`, or all of it.
    size : int, optional
        Bytes of the file; by default of ``content``.

    Returns
    -------
    dict or None
        ``bytes`` and ``arrays``: name to offset, dtype and shape. None if it is no such file, or
        not as long as it says.
    """
    if content[: len(_MAGIC)] != _MAGIC:
        return None
    try:
        head = json.loads(content[len(_MAGIC) : HEADER_BYTES])
    except ValueError:
        return None
    whole = head["bytes"] == (len(content) if size is None else size)
    return head if whole else None


def make_pose_file(
    path: Path, release: Release, layer: str, keypoints: str, skeleton: Skeleton
) -> None:
    """Decode the poses of a layer into a file, which is there complete or not at all.

    Parameters
    ----------
    path : Path
        The file; its directory exists.
    release, layer, keypoints, skeleton
        As of `posedata.pose_memory.map_poses`.

    Raises
    ------
    OSError
        If it cannot be written; a disk without room says so before anything is decoded.
    ReleaseError
        If the release is damaged.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as file:
            _write(file, release, layer, keypoints, skeleton)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _write(
    file: IO[bytes], release: Release, layer: str, keypoints: str, skeleton: Skeleton
) -> None:
    """Write all arrays, a clip at a time; the header comes last."""
    from tqdm import tqdm

    table = release.table(layer)
    with_scores = "scores" in table.pose_columns
    poses = sum(release.manifest.files[name]["poses"] for name in release.part_names(layer))
    clips = release.read_table(layer, columns=list(table.clip_columns)).combine_chunks()
    names = coordinate_columns(keypoints)
    joints, channels = skeleton.num_joints, sum(table.shape(name)[1] for name in names)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "keypoints": ("float32", (poses, joints, channels)),
        "scores": ("float32", (poses if with_scores else 0, joints)),
        "frames": ("int32", (poses,)),
    }
    arrays: dict[str, tuple[int, str, tuple[int, ...]]] = {}
    end = HEADER_BYTES
    for name, (dtype, shape) in shapes.items():
        arrays[name] = (end, dtype, shape)
        end = _aligned(end + int(np.prod(shape)) * np.dtype(dtype).itemsize)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, end)  # a full disk says so now
    people, starts, counts, num_frames = [0], [], [], []
    row = 0
    columns = [*names, *(["scores"] if with_scores else [])]
    with tqdm(total=poses, unit="poses", desc=f"decoding {release.name}", disable=None) as bar:
        for clip in release.iter_clips(layer, columns=columns):
            if row + len(clip.frames) > poses:
                break
            parts = {"frames": clip.frames, **_mapped(clip, names, skeleton)}
            for name, values in parts.items():
                at, dtype, shape = arrays[name]
                each = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
                file.seek(at + row * each)
                file.write(np.ascontiguousarray(values, dtype).tobytes())
            of_person = np.bincount(clip.persons)
            order = np.argsort(-of_person, kind="stable")
            order = order[of_person[order] > 0]
            starts += (row + np.cumsum(of_person) - of_person)[order].tolist()
            counts += of_person[order].tolist()
            people.append(len(starts))
            num_frames.append(clip.num_frames)
            row += len(clip.frames)
            bar.update(len(clip.frames))
    if row != poses or len(num_frames) != clips.num_rows:
        raise ReleaseError("the layer has not the poses that the manifest counts",
                           path=release.place, found=row, expected=poses)  # fmt: skip
    small: dict[str, np.ndarray] = {
        "people": np.array(people, np.int64),
        "starts": np.array(starts, np.int64),
        "counts": np.array(counts, np.int64),
        "num_frames": np.array(num_frames, np.int32),
        "clips": _as_bytes(clips),
    }
    for name, array in small.items():
        arrays[name] = (end, str(array.dtype), array.shape)
        file.seek(end)
        file.write(array.tobytes())
        end = _aligned(end + array.nbytes)
    file.truncate(end)
    head = _MAGIC + json.dumps({"bytes": end, "arrays": arrays}).encode()
    file.seek(0)
    file.write(head.ljust(HEADER_BYTES))


def _mapped(clip: Clip, names: Sequence[str], skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Give the poses and scores of a clip in the skeleton that is wanted."""
    values, scores = np.concatenate([clip.arrays[name] for name in names], -1), clip.scores
    if clip.skeleton != skeleton:
        values, scores, _, _ = remap(values, clip.skeleton, skeleton, scores)
    return {"keypoints": values} if scores is None else {"keypoints": values, "scores": scores}


def _as_bytes(table: pa.Table) -> np.ndarray:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def _aligned(at: int) -> int:
    """The next place where an array may begin."""
    return -(-at // 64) * 64
