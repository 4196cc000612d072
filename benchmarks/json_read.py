"""JSON formats to arrays, against ``orjson.loads`` of the same bytes, which gives Python lists.

One core, bytes in memory. Needs the real data (``POSEDATA_SHARED`` or ``../shared``) and orjson;
LCRNet's files are generated. ``python benchmarks/json_read.py``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
from posedata.converters.openpifpaf_file import parse_image
from posedata.converters.openpose_file import read_people

ROUNDS = 15


def measure() -> list[Row]:
    """Time each reader in turns with orjson."""
    say(f"json_read: best of {ROUNDS} rounds")
    return [_row(name, texts, parse) for name, (texts, parse) in _cases().items()]


def _row(name: str, texts: list[bytes], parse: Callable[[bytes, str], Any]) -> Row:
    best = best_of(ROUNDS, texts, orjson=orjson.loads, posedata=lambda text: parse(text, name))
    megabytes = sum(map(len, texts)) / 1e6
    ratio = best["posedata"] / best["orjson"]
    return Row(
        f"{name} JSON to arrays, {megabytes:.1f} MB in {len(texts):,} files, best of {ROUNDS}",
        1e3 * best["posedata"] / megabytes, "ms/MB",
        "orjson.loads, to Python lists", 1e3 * best["orjson"] / megabytes, ratio,
        "at most 2 times its time", ratio <= 2,
    )  # fmt: skip


def _cases() -> dict[str, tuple[list[bytes], Callable[[bytes, str], Any]]]:
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    data = shared / "data"
    if not data.is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")

    def texts(pattern: str, most: int = 256) -> list[bytes]:
        return [path.read_bytes() for path in sorted(data.glob(pattern))[:most]]

    def pifpaf(text: bytes, path: str) -> Any:
        return parse_image(text, path, 0)

    return {
        "N-UCLA": (texts("nucla/all_sqe/*.json"), parse_clip),
        "Kinetics-Skeleton": (texts("kinetics_skeleton/*.json"), parse_kinetics),
        "OpenPose": (texts("openpose/*/*.json"), read_people),
        "AlphaPose": (texts("alphapose/*.json"), parse_alphapose),
        "mmpose": (texts("mmpose/*.json"), parse_mmpose),
        "openpifpaf": (texts("openpifpaf/*.json"), pifpaf),
        "COCO": (texts("coco/test_coco.json"), parse_coco),
        "LCRNet": (_lcrnet(8), parse_lcrnet),
    }


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
