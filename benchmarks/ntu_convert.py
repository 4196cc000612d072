"""NTU RGB+D end to end to Parquet with 2 workers, against the line-by-line reader alone.

The conversion runs in a process of its own; its time begins before posedata is imported and ends
with the manifest on the disk. ``python benchmarks/ntu_convert.py``; 20,000 files need 8 GB of
temporary space (``TMPDIR`` says where).
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from line_reader import read_xyz
from measure import Row, faster, run, say
from process_memory import run_and_watch

FEW, MANY = 2_000, 20_000
ROUNDS = {FEW: 3, MANY: 2}
WORKERS = 2
PEER_FILES = 128
MOST_BYTES = 1e9


def measure() -> list[Row]:
    """Generate the files, convert them, and remove all."""
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(Path(folder))


def measure_in(folder: Path) -> list[Row]:
    """As `measure`; leaves the release of all files in ``folder / "release"``."""
    few, peak_few = _compare(folder, FEW)
    many, peak_many = _compare(folder, MANY)
    text = sum(path.stat().st_size for path in (folder / "raw").iterdir())
    parquet = sum(path.stat().st_size for path in (folder / "release/data").rglob("*.parquet"))
    return [few, many, *_memory_rows(peak_few, peak_many), Row(
        f"NTU to Parquet, size of {MANY:,} clips", parquet / 1e6, "MB", "the text", text / 1e6,
        parquet / text,
    )]  # fmt: skip


def _compare(folder: Path, files: int) -> tuple[Row, int]:
    """Time per file and peak bytes of converting so many files, in turns with the peer."""
    from posedata.synthetic import make_ntu

    raw, out = folder / "raw", folder / "release"
    say(f"ntu_convert: {files:,} files, best of {ROUNDS[files]}")
    shutil.rmtree(raw, ignore_errors=True)
    make_ntu(raw, files, distinct=64, quirks=())
    os.sync()  # or the disk would still be busy with these files while they are read
    paths = sorted(raw.iterdir())[:: files // PEER_FILES]
    converting = cpu = reading = float("inf")
    peak = 0
    for _ in range(ROUNDS[files]):
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, __file__, "convert", str(raw), str(out)]
        output, bytes_used = run_and_watch(command)
        wall_of_round, cpu_of_round = map(float, output.split())
        converting, cpu = min(converting, wall_of_round), min(cpu, cpu_of_round)
        peak = max(peak, bytes_used)
        reading = min(reading, _seconds_of_peer(paths))
    row = faster(
        f"NTU to Parquet, {files:,} files, {WORKERS} workers, best of {ROUNDS[files]}",
        converting, f"line by line, x y z only, 1 core, {len(paths)} of them",
        reading / len(paths) * files, files, 5,
        f"{converting:.1f} s; {1000 * cpu / files:.2f} ms/file of CPU in all processes",
    )  # fmt: skip
    return row, peak


def _seconds_of_peer(paths: list[Path]) -> float:
    start = time.perf_counter()
    for path in paths:
        read_xyz(path)
    return time.perf_counter() - start


def _memory_rows(few: int, many: int) -> list[Row]:
    return [
        Row(f"NTU to Parquet, peak memory of all processes, {FEW:,} files", few / 1e6, "MB",
            target="under 1 GB", met=few < MOST_BYTES),
        Row(f"NTU to Parquet, peak memory of all processes, {MANY:,} files", many / 1e6, "MB",
            f"{FEW:,} files", few / 1e6, many / few, "under 1 GB, not growing",
            many < MOST_BYTES and many < 1.1 * few),
    ]  # fmt: skip


def _convert(raw: str, out: str) -> None:
    start = time.perf_counter()
    from posedata.convert import convert, plan_conversion

    convert(plan_conversion("ntu", raw), out, num_workers=WORKERS)
    print(time.perf_counter() - start, _cpu_seconds())


def _cpu_seconds() -> float:
    """Seconds of CPU that this process and its workers have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    if sys.argv[1:2] == ["convert"]:
        _convert(*sys.argv[2:])
    else:
        run(measure, __doc__)
