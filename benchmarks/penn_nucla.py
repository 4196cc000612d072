"""Reading Penn Action and Northwestern-UCLA, against the parsers that training repos call.

One core; files in the page cache. Needs the real data (``POSEDATA_SHARED`` or ``../shared``);
with orjson installed, N-UCLA is compared with that, else with json.
``python benchmarks/penn_nucla.py``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from measure import Row, best_of, faster, run, say

from posedata.converter import Sample
from posedata.converters import nucla, penn
from posedata.converters.nucla_json import parse_clip
from posedata.converters.penn_mat import read_variables
from posedata.storage import locate

ROUNDS = 5
FILES = 256
OPTIONS = {"all_fields": False, "sides": "person"}
VARIABLES = ("action", "pose", "x", "y", "visibility", "train", "bbox", "dimensions", "nframes")


def measure() -> list[Row]:
    """Time both readers on the first files of each data set."""
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data").is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")
    say(f"penn_nucla: {FILES} files each, best of {ROUNDS} rounds")
    return [*_penn(shared / "data/penn"), *_nucla(shared / "data/nucla")]


def _penn(folder: Path) -> list[Row]:
    raw = locate(folder)
    samples = penn.discover(raw, OPTIONS).samples[:FILES]
    description = penn.describe(samples, OPTIONS)

    def scipy_loadmat(sample: Sample) -> None:
        scipy.io.loadmat(folder / sample.path)

    def variables(sample: Sample) -> None:
        read_variables((folder / sample.path).read_bytes(), VARIABLES, sample.path)

    def read(sample: Sample) -> None:
        penn.read(raw, sample, description)

    best = best_of(ROUNDS, samples, scipy=scipy_loadmat, variables=variables, read=read)
    peer = f"scipy.io.loadmat ({FILES / best['scipy']:.0f} files/s)"
    return [
        faster(f"{what}, 1 core, best of {ROUNDS}", best[name], peer, best["scipy"], FILES,
               note=f"{FILES / best[name]:.0f} files/s")
        for name, what in (("variables", "Penn Action: file to arrays"),
                           ("read", "Penn Action: file to Clip"))
    ]  # fmt: skip


def _nucla(folder: Path) -> list[Row]:
    raw = locate(folder)
    samples = nucla.discover(raw, OPTIONS).samples[:FILES]
    description = nucla.describe(samples, OPTIONS)
    megabytes = sum(sample.size for sample in samples) / 1e6

    loads, peer = _fastest_json()

    def to_objects(sample: Sample) -> None:
        loads((folder / sample.path).read_bytes())

    def parse(sample: Sample) -> None:
        parse_clip((folder / sample.path).read_bytes(), sample.path)

    def read(sample: Sample) -> None:
        nucla.read(raw, sample, description)

    for sample in samples:
        text = (folder / sample.path).read_bytes()
        expected = np.array(json.loads(text)["skeletons"])
        if not np.array_equal(parse_clip(text, sample.path).positions, expected):
            raise SystemExit(f"{sample.path}: the two readers differ")
    best = best_of(ROUNDS, samples, to_objects=to_objects, parse=parse, read=read)
    peer += f", to Python lists ({megabytes / best['to_objects']:.0f} MB/s)"
    return [
        faster(f"{what}, 1 core, best of {ROUNDS}", best[name], peer, best["to_objects"], FILES,
               0.5, f"{megabytes / best[name]:.0f} MB/s, {FILES / best[name]:.0f} files/s")
        for name, what in (("parse", "N-UCLA: file to array, structure checked"),
                           ("read", "N-UCLA: file to Clip"))
    ]  # fmt: skip


def _fastest_json() -> tuple[Callable[[bytes], Any], str]:
    try:
        import orjson
    except ImportError:
        return json.loads, "json.loads"
    return orjson.loads, "orjson.loads"


if __name__ == "__main__":
    run(measure, __doc__)
