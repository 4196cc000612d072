"""Reading ``.skeleton`` files with all fields, against a line-by-line reader of x, y and z.

One core; files in the page cache. ``python benchmarks/ntu_read.py``
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from line_reader import read_xyz
from measure import Row, best_of, faster, run, say

from posedata.converter import Sample
from posedata.converters.ntu import CONVERTER
from posedata.converters.ntu_file import parse_skeleton
from posedata.storage import locate
from posedata.synthetic import make_ntu

FILES = 64
ROUNDS = 15


def measure() -> list[Row]:
    """Time both readers over the same generated files."""
    say(f"ntu_read: {FILES} files, best of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as folder:
        make_ntu(folder, FILES, quirks=())
        return _measure(Path(folder))


def _measure(folder: Path) -> list[Row]:
    raw = locate(folder)
    samples = CONVERTER.discover(raw, {"all_fields": True}).samples
    description = CONVERTER.describe(samples, {"all_fields": True})
    megabytes = sum(sample.size for sample in samples) / 1e6
    for sample in samples:
        _check_same(folder / sample.path)

    def line_by_line(sample: Sample) -> None:
        read_xyz(folder / sample.path)

    def parse(sample: Sample) -> None:
        parse_skeleton((folder / sample.path).read_bytes(), sample.path)

    def read(sample: Sample) -> None:
        CONVERTER.read(raw, sample, description)

    best = best_of(ROUNDS, samples, line_by_line=line_by_line, parse=parse, read=read)
    peer = f"line by line, x y z only ({megabytes / best['line_by_line']:.0f} MB/s)"
    return [
        faster(
            f"{what}, 1 core, best of {ROUNDS}", best[name], peer, best["line_by_line"], FILES, 5,
            f"{megabytes / best[name]:.0f} MB/s, {FILES / best[name]:.0f} files/s",
        )
        for name, what in (("parse", "NTU: file to arrays, all fields"),
                           ("read", "NTU: file to Clip, all fields"))
    ]  # fmt: skip


def _check_same(path: Path) -> None:
    """Refuse to compare readers that do not read the same."""
    file = parse_skeleton(path.read_bytes(), str(path))
    for body_id, xyz in read_xyz(path).items():
        if not np.array_equal(file.joints[file.body_ids == body_id, :, :3], xyz):
            raise SystemExit(f"{path}: the two readers differ")


if __name__ == "__main__":
    run(measure, __doc__)
