"""A shuffled epoch from `ClipStream`, against pyarrow decoding the same columns.

One thread, CPU time. The stream reads in random order, samples 64 steps of each clip and makes
batches (64, 3, 64, 25, 2); pyarrow reads in the order of the files, and its table is dropped.
Needs torch and 1 GB of temporary space.
``python benchmarks/stream.py``
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Row, run, say

from posedata.clip import Clip
from posedata.layer_table import LayerTable
from posedata.manifest import FILE_NAME
from posedata.release import open_release
from posedata.release_writer import write_part, write_table
from posedata.storage import locate

CLIPS = 20_000
DISTINCT = 64
CLIPS_PER_FILE = 1500
ROUNDS = 6
BATCH = 64
STEPS = 64
TARGET, MOST_MB = 0.8, 1000


def measure() -> list[Row]:
    """Generate a release, and read it in a process of its own, whose memory is measured."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"stream: generating {CLIPS} clips")
        make_release(Path(folder))
        say(f"stream: best of {ROUNDS} rounds")
        command = [sys.executable, __file__, "--read", str(Path(folder) / "release")]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    ours = CLIPS / found["stream"]
    rows = [
        Row(f"ClipStream, batches of {BATCH} with {STEPS} steps, best of {ROUNDS}", ours, "clips/s",
            f"pyarrow, the same columns, {how}", CLIPS / found[key], found[key] / found["stream"],
            f"at least {TARGET:g} times its speed", found[key] / found["stream"] >= TARGET)
        for key, how in (("table", "pq.read_table"), ("groups", "row group by row group"))
    ]  # fmt: skip
    megabytes = found["peak"] / 1e6
    rows.append(Row("resident at most, torch and all included", megabytes, "MB", target="at most "
                    f"{MOST_MB} MB", met=megabytes <= MOST_MB,
                    note=f"{found['decoded'] / 1e6:.0f} MB of poses"))  # fmt: skip
    return rows


def make_release(folder: Path) -> None:
    """Write clips with all the columns that the NTU converter gives, a few files of them."""
    from posedata.convert import convert, plan_conversion
    from posedata.synthetic import make_ntu

    make_ntu(folder / "raw", DISTINCT, distinct=DISTINCT, quirks=())
    convert(plan_conversion("ntu", folder / "raw"), folder / "few")
    few = open_release(folder / "few")
    whole, out = few.table(), locate(folder / "release")
    columns = tuple(name for name in whole.definitions if "unrounded" not in name)
    table = LayerTable(whole.layer, whole.skeleton, columns, whole.label_names)
    files = {}
    for part, start in enumerate(range(0, CLIPS, CLIPS_PER_FILE)):
        name = f"data/{table.layer}/part-{part:05}.parquet"
        clips = _clips(list(few.iter_clips()), start, min(CLIPS, start + CLIPS_PER_FILE))
        files[name] = write_part(out / name, table, clips)
    for name in ("clips.parquet", "splits.parquet", "rejects.parquet"):
        read = pq.read_table(folder / "few" / name)
        files[name] = write_table(out / name, read.to_batches(), read.schema)
    entry = {**few.manifest.layers[table.layer], "columns": list(table.definitions)}
    manifest = replace(
        few.manifest, files=files, layers={table.layer: {**entry, "own_columns": {}}}
    )  # fmt: skip
    (out / FILE_NAME).write_bytes(manifest.to_json())


def _clips(models: list[Clip], first: int, end: int) -> Iterator[Clip]:
    """Vary the size of a few clips, so that no two have the same numbers."""
    for number in range(first, end):
        rng = np.random.default_rng(number)
        clip = models[rng.integers(len(models))]
        size = np.float32(rng.uniform(0.9, 1.1))
        assert clip.keypoints_3d is not None and clip.keypoints_2d is not None
        yield replace(
            clip, clip_id=f"N{number:06}", keypoints_3d=clip.keypoints_3d * size,
            keypoints_2d=clip.keypoints_2d * size, unrounded={},
        )  # fmt: skip


def read(place: str) -> None:
    """Time all in turns, and print what was found."""
    from posedata.torch import ClipStream
    from posedata.transforms import UniformSampling

    stream = ClipStream(place, transforms=[UniformSampling(STEPS)], batch_size=BATCH)
    columns = ["num_frames", "frames", "persons", "keypoints_3d"]
    files = sorted(Path(place).glob("data/*/*.parquet"))
    pa.set_cpu_count(1)
    found: dict[str, float] = {}
    for epoch in range(-1, ROUNDS + 1):  # before the first turn, only the stream, for its memory
        stream.start(epoch + 1)
        clips = _timed(found, "stream", epoch, lambda: sum(len(b["index"]) for b in stream))
        assert clips == CLIPS
        if epoch < 0:
            found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            continue
        decoded = _timed(found, "groups", epoch, lambda: _row_groups(files, columns))
        _timed(found, "table", epoch,
               lambda: pq.read_table(files, columns=columns, use_threads=False).nbytes)  # fmt: skip
    print(json.dumps({**found, "decoded": decoded}))


def _row_groups(files: list[Path], columns: list[str]) -> int:
    size = 0
    for path in files:
        with pa.OSFile(str(path)) as source:
            file = pq.ParquetFile(source)
            for group in range(file.num_row_groups):
                size += file.read_row_group(group, columns=columns, use_threads=False).nbytes
    return size


def _timed(found: dict[str, float], name: str, epoch: int, function: Callable[[], int]) -> int:
    """Keep the least CPU time: that of other programs on the machine is not in it."""
    start = time.process_time()
    result = function()
    if epoch > 0:
        found[name] = min(found.get(name, float("inf")), time.process_time() - start)
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2])
    else:
        run(measure, __doc__)
