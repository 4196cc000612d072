"""Clips with all that makes a format hard, and releases of them, for tests of exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posedata.clip import Clip
from posedata.converter import Segment
from posedata.layer_table import LayerTable
from posedata.manifest import FILE_NAME, Manifest
from posedata.release import Release, open_release
from posedata.release_writer import (
    write_part,
    write_rejects,
    write_segments,
    write_splits,
    write_table,
)
from posedata.skeleton import load_skeleton
from posedata.storage import locate

LABELS = ("drink water", "Geschirr spülen", "喝水, “quickly”")
CLIP_COLUMNS = ("width", "height", "fps", "label", "label_name", "subject", "mirrored", "source")


def made_clip(
    clip_id: str, tracks: Sequence[Sequence[int]], num_frames: int, *, skeleton: str = "coco17",
    layer: str = "made", arrays: Sequence[str] = ("keypoints_2d", "scores", "visibility", "boxes"),
    ids: Sequence[str] = (), slots: bool = True, label: int = 0, seed: int = 0, **info: Any,
) -> Clip:  # fmt: skip
    """Make a clip with random poses, a tenth of whose joints are missing.

    Parameters
    ----------
    tracks : sequence of sequence of int
        Frames of person 0, 1, ...
    """
    rng = np.random.default_rng([seed, *clip_id.encode()])
    frames = np.array([frame for track in tracks for frame in track], np.int32)
    persons = np.repeat(np.arange(len(tracks), dtype=np.int32), [len(track) for track in tracks])
    rows, v = len(frames), load_skeleton(skeleton).num_joints
    missing = rng.random((rows, v)) < 0.1
    if rows > 1:
        missing[0] = True
        missing[0, 0] = False
    visibility = rng.integers(1, 3, (rows, v)).astype(np.uint8)
    visibility[missing] = 0
    scores = rng.random((rows, v)).astype(np.float32)
    scores[missing] = 0
    pixels = rng.normal(100, 400, (rows, v, 2)).astype(np.float32)  # some left of the picture
    metres = rng.normal(0, 2, (rows, v, 3)).astype(np.float32)
    pixels[missing] = metres[missing] = np.nan
    corners = rng.uniform(-20, 500, (rows, 2)).astype(np.float32)
    all_arrays = {
        "keypoints_2d": pixels,
        "keypoints_3d": metres,
        "scores": scores,
        "visibility": visibility,
        "boxes": np.concatenate([corners, corners + rng.uniform(1, 300, (rows, 2))], 1).astype(
            np.float32
        ),
    }
    extra = {}
    if slots:
        people = [sorted(persons[frames == frame].tolist(), reverse=True) for frame in frames]
        extra["slots"] = np.array(
            [people[row].index(persons[row]) for row in range(rows)], np.int32
        )
    return Clip(
        clip_id, layer, load_skeleton(skeleton), frames=frames, persons=persons,
        **{name: all_arrays[name] for name in arrays}, person_ids=tuple(ids), extra=extra,
        info={"num_frames": num_frames, "width": 640, "height": 480, "fps": 29.97, "label": label,
              "label_name": LABELS[label], "subject": 7, "mirrored": False,
              "source": f"{clip_id}.json", **info},
    )  # fmt: skip


def awkward_clips(**options: Any) -> list[Clip]:
    """Several people, gaps, empty frames, one frame, nobody, and names that break file formats."""
    clips = [
        made_clip("A001", [range(10), [0, 1, 5, 6, 9]], 10, ids=["11", "7"], **options),
        made_clip("--33Lscn6sk", [[3, 4], [4, 5, 11], [11]], 20, ids=["3", "1", "2"], label=1,
                  **options),
        made_clip("Cook.Cleandishes_p02", [range(2, 6)], 6, ids=["0"], label=2, **options),
        made_clip("one_frame", [[0]], 1, ids=["5"], **options),
        made_clip("nobody", [], 7, **options),
    ]  # fmt: skip
    return sorted(clips, key=lambda clip: clip.clip_id)


def clips_in_3d() -> list[Clip]:
    """Give the same in metres, with Kinect's joints."""
    return awkward_clips(skeleton="nturgbd25", arrays=("keypoints_3d", "visibility"), slots=False)


def write_release(
    place: Path | str, clips: Sequence[Clip], *, own_columns: Mapping[str, Any] | None = None,
    clip_columns: Sequence[str] = CLIP_COLUMNS, splits: Sequence[tuple[str, str, str]] = (),
    segments: Sequence[Segment] = (), part_size: int = 2, further: Sequence[Mapping[str, Any]] = (),
) -> Release:  # fmt: skip
    """Write a release of one layer, a few clips in each of its files.

    Parameters
    ----------
    further : sequence of mapping
        Rows of ``clips.parquet`` that have no poses.
    """
    out = locate(place)
    first = clips[0]
    pose_columns = [*first.arrays, *(f"{name}_unrounded" for name in first.unrounded),
                    *(f"{name}_unrounded_at" for name in first.unrounded)]  # fmt: skip
    if any(clip.person_ids for clip in clips):
        pose_columns.append("person_ids")
    own = dict(own_columns or {})
    table = LayerTable(first.layer, first.skeleton, (*clip_columns, *pose_columns), LABELS, own)
    files = {}
    for part, start in enumerate(range(0, len(clips), part_size)):
        name = f"data/{first.layer}/part-{part:05}.parquet"
        files[name] = write_part(out / name, table, clips[start : start + part_size])
    rows = [{"clip_id": clip.clip_id, **clip.info} for clip in clips] + list(further)
    rows.sort(key=lambda row: row["clip_id"])
    batch = pa.RecordBatch.from_pylist(rows, schema=table.clip_schema)
    files["clips.parquet"] = write_table(out / "clips.parquet", [batch], table.clip_schema)
    files["splits.parquet"] = write_splits(out / "splits.parquet", splits)
    files["rejects.parquet"] = write_rejects(out / "rejects.parquet", [])
    names = ["sit", "stand"] if segments else []
    if segments:
        files["segments.parquet"] = write_segments(out / "segments.parquet", segments, names)
    entry = {"skeleton": first.skeleton.name, "columns": list(table.definitions),
             "label_names": list(LABELS), "own_columns": own, "made_by": {}}  # fmt: skip
    manifest = Manifest(
        name="made", title="Made, for \"tests\"", license="none", source="a test",
        citation="nobody", skeletons={first.skeleton.name: first.skeleton},
        layers={first.layer: entry}, files=files, history=[],
        counts={"clips": len(rows), "poses": sum(len(clip.frames) for clip in clips),
                "rejects": 0, "warnings": 0},
        clips={"columns": list(table.clip_columns), "label_names": list(LABELS),
               "own_columns": {n: c for n, c in own.items() if c["per"] == "clip"}},
        segment_names=names,
    )  # fmt: skip
    (out / FILE_NAME).write_bytes(manifest.to_json())
    return open_release(out)
