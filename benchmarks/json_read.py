"""JSON formats to arrays, against ``orjson.loads`` of the same bytes, which gives Python lists.

One core, bytes in memory; where a frame has a file of its own, the files of a clip. Needs the real
data (``POSEDATA_SHARED`` or ``../shared``) and orjson; LCRNet's files are generated, and COCO's and
openpifpaf's are the real ones many times over. ``python benchmarks/json_read.py``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from measure import Row, best_of, run, say

from posedata.converters.alphapose_file import parse_alphapose
from posedata.converters.coco_file import parse_coco
from posedata.converters.kinetics import parse_kinetics
from posedata.converters.lcrnet_json import parse_lcrnet
from posedata.converters.mmpose_file import parse_mmpose
from posedata.converters.nucla_json import parse_clip
from posedata.converters.openpifpaf_file import join, parse_image, parse_images
from posedata.converters.openpose_file import read_frames

ROUNDS = 15
# Files of a frame that are read in one go, as `posedata.json_files.read_first` does.
_BATCH = 64
# Real files so small that what each file takes, however small, is most of their time.
_NOTES = {
    "openpifpaf, 1 image": "0.03 ms a file",
    "COCO, 4 images": "0.2 ms a file, half of it to match the joint names with all skeletons",
}

_Texts = Sequence[bytes]


def measure() -> list[Row]:
    """Time each reader in turns with orjson."""
    say(f"json_read: best of {ROUNDS} rounds")
    return [_row(name, clips, parse) for name, (clips, parse) in _cases().items()]


def _row(name: str, clips: list[_Texts], parse: Callable[[_Texts], Any]) -> Row:
    best = best_of(
        ROUNDS, clips, orjson=lambda texts: [orjson.loads(text) for text in texts], posedata=parse
    )
    megabytes = sum(len(text) for texts in clips for text in texts) / 1e6
    files = sum(map(len, clips))
    ratio = best["posedata"] / best["orjson"]
    return Row(
        f"{name} JSON to arrays, {megabytes:.2g} MB in {files:,} files, best of {ROUNDS}",
        1e3 * best["posedata"] / megabytes, "ms/MB",
        "orjson.loads, to Python lists", 1e3 * best["orjson"] / megabytes, ratio,
        "at most 2 times its time", ratio <= 2, _NOTES.get(name, ""),
    )  # fmt: skip


def _cases() -> dict[str, tuple[list[_Texts], Callable[[_Texts], Any]]]:
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    data = shared / "data"
    if not data.is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")

    def texts(pattern: str, most: int = 256) -> list[bytes]:
        return [path.read_bytes() for path in sorted(data.glob(pattern))[:most]]

    def files(texts: _Texts, parse: Callable[[bytes, str], Any]) -> tuple[list[_Texts], Any]:
        return [[text] for text in texts], lambda clip: parse(clip[0], "file.json")

    image = texts("openpifpaf/*.json")
    (coco,) = texts("coco/test_coco.json")
    return {
        "N-UCLA": files(texts("nucla/all_sqe/*.json"), parse_clip),
        "Kinetics-Skeleton": files(texts("kinetics_skeleton/*.json"), parse_kinetics),
        "OpenPose": ([texts(f"openpose/{folder.name}/*.json")
                      for folder in sorted((data / "openpose").iterdir())], _openpose),
        "AlphaPose": files(texts("alphapose/*.json"), parse_alphapose),
        "mmpose": files(texts("mmpose/*.json"), parse_mmpose),
        "openpifpaf, 1 image": files(image, lambda text, path: parse_image(text, path, 0)),
        "openpifpaf, 100 images": ([100 * image], _openpifpaf),
        "COCO, 4 images": files([coco], parse_coco),
        "COCO, 1,200 images": files([_repeated(coco, 300)], parse_coco),
        "LCRNet": files(_lcrnet(8), parse_lcrnet),
    }  # fmt: skip


def _openpose(clip: _Texts) -> list[Any]:
    return [_found(read_frames(clip[at : at + _BATCH])) for at in range(0, len(clip), _BATCH)]


def _openpifpaf(clip: _Texts) -> Any:
    starts = range(0, len(clip), _BATCH)
    parts = [parse_images(clip[at : at + _BATCH], range(len(clip))[at : at + _BATCH])
             for at in starts]  # fmt: skip
    return join(list(map(_found, parts)), "folder")


def _found(value: Any) -> Any:
    if value is None:
        raise AssertionError("these files are not read in one go")
    return value


def _repeated(text: bytes, times: int) -> bytes:
    """COCO's annotations again and again, of other images, in the style of the published files."""
    content = json.loads(text)
    images, annotations = content["images"], content["annotations"]
    shift = 1 + max(entry["id"] for entry in images + annotations)
    content["images"] = [{**entry, "id": entry["id"] + shift * n}
                         for n in range(times) for entry in images]  # fmt: skip
    content["annotations"] = [
        {**entry, "id": entry["id"] + shift * n, "image_id": entry["image_id"] + shift * n}
        for n in range(times) for entry in annotations
    ]  # fmt: skip
    return json.dumps(content, separators=(",", ": ")).encode()


def _lcrnet(files: int) -> list[bytes]:
    """Files of 600 frames with one person, numbers as float32 print."""
    rng = np.random.default_rng(0)

    def person() -> dict[str, Any]:
        pixels = rng.uniform(0, 640, 26).astype(np.float32).astype(float)
        metres = rng.normal(0, 1, 39).astype(np.float32).astype(float)
        return {"pose2d": pixels.tolist(), "pose3d": metres.tolist(), "cumscore": 1.5}

    return [
        json.dumps({"K": 1, "njts": 13, "frames": [[person()] for _ in range(600)]}).encode()
        for _ in range(files)
    ]


if __name__ == "__main__":
    run(measure, __doc__)
