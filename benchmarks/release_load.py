"""Loading a release's 3D keypoints into numpy, against pyarrow reading that column alone.

``python benchmarks/release_load.py``
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from measure import Row, best_of, run, say

from posedata.release import open_release

FILES = 4_000
ROUNDS = 5
CLIPS = 200
COLUMN = "keypoints_3d"
TARGET = 2


def measure() -> list[Row]:
    """Make a release of generated files, load it, and remove all."""
    from posedata.convert import convert, plan_conversion
    from posedata.synthetic import make_ntu

    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "release"
        make_ntu(raw, FILES, distinct=64, quirks=())
        convert(plan_conversion("ntu", raw), out)
        return measure_release(out)


def measure_release(place: Path) -> list[Row]:
    """Load the column with all of the machine's threads and with one, and open single clips."""
    say(f"release_load: best of {ROUNDS} rounds")
    rows = [_compare(place, threads) for threads in (os.cpu_count() or 1, 1)]
    return [*rows, _open_clips(place)]


def _compare(place: Path, threads: int) -> Row:
    files = sorted(map(str, (place / "data").rglob("*.parquet")))

    def posedata(_: None) -> None:
        open_release(place).arrays(columns=[COLUMN])

    def pyarrow(_: None) -> None:
        pq.read_table(files, columns=[COLUMN], use_threads=threads > 1)

    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    best = best_of(ROUNDS, [None], posedata=posedata, pyarrow=pyarrow)
    pa.set_cpu_count(before)
    megabytes = open_release(place).arrays(columns=[COLUMN])[COLUMN].nbytes / 1e6
    ratio = best["posedata"] / best["pyarrow"]
    return Row(
        f"all {COLUMN} into numpy, {megabytes:.0f} MB, {threads} thread{'s' * (threads > 1)}, "
        f"best of {ROUNDS}",
        best["posedata"], "s", "pyarrow, the bare column", best["pyarrow"], ratio,
        f"at most {TARGET} times its time", ratio <= TARGET,
        f"{megabytes / best['posedata']:.0f} MB/s",
    )  # fmt: skip


def _open_clips(place: Path) -> Row:
    release = open_release(place)
    clip_ids = release.clips()["clip_id"].to_pylist()
    times = []
    for clip_id in random.Random(0).choices(clip_ids, k=CLIPS):
        start = time.perf_counter()
        release.clip(clip_id)
        times.append(time.perf_counter() - start)
    return Row(f"one clip, all columns, median of {CLIPS} at random",
               1000 * statistics.median(times), "ms")  # fmt: skip


if __name__ == "__main__":
    run(measure, __doc__)
