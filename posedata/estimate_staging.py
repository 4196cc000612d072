"""What is done of an estimation: the poses of each video, until the layers' files are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from posedata.clip import Clip
from posedata.converter import Problem
from posedata.layer_table import LayerTable
from posedata.staging import DIRECTORY
from posedata.storage import Location

_MOST_BYTES = 1 << 30


def stage_video(
    out: Location,
    index: int,
    clips: Sequence[Clip],
    tables: Mapping[str, LayerTable],
    problems: Mapping[str, Sequence[Problem]],
    seconds: Mapping[str, float],
    num_frames: int,
) -> dict[str, Any]:
    """Keep what the experts have found in a video.

    Parameters
    ----------
    out : Location
        The release to be.
    index : int
        Of the video.
    clips : sequence of Clip
        One for each expert that came to the end.
    tables : mapping
        The table of each layer.
    problems : mapping of str to sequence of Problem
        By layer.
    seconds : mapping of str to float
        What each expert has taken; not part of the release.
    num_frames : int
        Frames that were decoded.

    Returns
    -------
    dict
        The video's record: ``video``, ``layers``, ``problems``, ``seconds``, ``num_frames``.
    """
    for clip in clips:
        batch = tables[clip.layer].to_arrow([clip])
        with _place(out, f"poses-{index:07}-{clip.layer}.arrow").create() as file:
            with pa.ipc.new_stream(file, batch.schema) as writer:
                writer.write_batch(batch)
    record = {
        "video": index,
        "layers": [clip.layer for clip in clips],
        "problems": {
            layer: [asdict(problem) for problem in some] for layer, some in problems.items()
        },
        "seconds": dict(seconds),
        "num_frames": num_frames,
    }
    _place(out, f"video-{index:07}.json").write_bytes(json.dumps(record).encode())
    return record


def staged_clip(out: Location, index: int, table: LayerTable) -> Clip:
    """Give back what a layer has of a video."""
    with _place(out, f"poses-{index:07}-{table.layer}.arrow").open() as file:
        with pa.ipc.open_stream(file) as reader:
            (clip,) = table.to_clips(reader.read_next_batch())
    return clip


def staged_videos(out: Location) -> dict[int, dict[str, Any]]:
    """Give the records of all videos that are done, by index."""
    records = {}
    for path in sorted(out.fs.ls(f"{out.path}/{DIRECTORY}", False)):
        if path.rsplit("/", 1)[-1].startswith("video-"):
            record = json.loads(Location(out.fs, path).read_bytes(_MOST_BYTES))
            records[record["video"]] = record
    return records


def _place(out: Location, name: str) -> Location:
    return out / DIRECTORY / name
