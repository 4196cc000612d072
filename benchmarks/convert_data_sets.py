"""All of Penn Action and all of N-UCLA to Parquet with 2 workers: time and peak memory.

The conversion runs as a command of its own; its time begins with the process and ends with the
manifest on the disk. Needs the real data (``POSEDATA_SHARED`` or ``../shared``).
``python benchmarks/convert_data_sets.py``
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from measure import Row, run, say
from process_memory import run_and_watch

ROUNDS = 3
WORKERS = 2
MOST_SECONDS = {"penn": 5, "nucla": 8}
MOST_BYTES = 1e9


def measure() -> list[Row]:
    """Convert each data set a few times."""
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data").is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")
    return [row for name in MOST_SECONDS for row in _measure_one(name, shared / "data" / name)]


def _measure_one(name: str, raw: Path) -> list[Row]:
    say(f"convert_data_sets: {name}, best of {ROUNDS}")
    best, peak, summary = float("inf"), 0, ""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / name
        command = [sys.executable, "-m", "posedata", "convert", name, str(raw), "-o", str(out),
                   "-q", "-j", str(WORKERS)]  # fmt: skip
        for _ in range(ROUNDS):
            shutil.rmtree(out, ignore_errors=True)
            start = time.perf_counter()
            summary, used = run_and_watch(command)
            best, peak = min(best, time.perf_counter() - start), max(peak, used)
    clips = summary.split(":")[1].split(" in ")[0].strip()
    return [
        Row(f"{name} to Parquet, {clips}, {WORKERS} workers, best of {ROUNDS}", best, "s",
            target=f"under {MOST_SECONDS[name]} s", met=best < MOST_SECONDS[name]),
        Row(f"{name} to Parquet, peak memory of all processes", peak / 1e6, "MB",
            target="under 1 GB", met=peak < MOST_BYTES),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measure, __doc__)
