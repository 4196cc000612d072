"""Batches for graph networks in random order: from a release, and from the original files.

Needs torch and the real data (``POSEDATA_SHARED`` or ``../shared``). Both sides sample 64 frames
of each clip with the same random numbers, make batches of 64 clips, float32 (3, 64, V, 1), and
have one worker process; the original files are parsed each time, as feeders do that do not keep
all clips in memory. With orjson installed, N-UCLA is compared with that, too.
``python benchmarks/feeds.py``
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from measure import Row, run, say
from torch.utils.data import DataLoader, Dataset

from posedata.convert import convert, plan_conversion
from posedata.release import open_release
from posedata.sample import Sample
from posedata.sample_rng import SampleRng
from posedata.skeleton import Skeleton
from posedata.torch import ClipDataset, Gcn, whole_batch
from posedata.torch.collate import Rows, make_batch
from posedata.transforms.sampling import UniformSampling

# More workers than cores are asked for on purpose, to see their memory.
warnings.filterwarnings("ignore", message="This DataLoader will create")

ROUNDS = 12
BATCH = 64
SAMPLING = UniformSampling(64)
#: A reader that knows what it will need; feeders read whole files.
LEAN = "of x, y and visibility alone"
CLIPS_A_SECOND = 5_000
TIMES_AS_FAST = 10
#: Files of the release that the memory of workers is measured with.
FILES = 2_000

Parse = Callable[[Path], tuple[np.ndarray, np.ndarray]]


def measure() -> list[Row]:
    """Convert both data sets, and time loaders of the releases and of the files."""
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data").is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")
    with tempfile.TemporaryDirectory() as folder:
        return [
            *_speed(shared / "data/nucla", "nucla", "N-UCLA", _json_parsers(), Gcn(), folder),
            *_speed(shared / "data/penn", "penn", "Penn Action", _mat_parsers(),
                    Gcn(channels="xys"), folder),
            *_memory(Path(folder)),
        ]  # fmt: skip


def _speed(
    raw: Path, converter: str, name: str, parsers: dict[str, Parse], layout: Gcn, folder: str
) -> list[Row]:
    say(f"feeds: {name}")
    place = Path(folder) / converter
    convert(plan_conversion(converter, raw), place)
    ours = ClipDataset(place, num_persons=1, transforms=[SAMPLING], layout=layout, cache=folder)
    files = [raw / source for source in open_release(place).clips()["source"].to_pylist()]
    theirs = {peer: _Files(files, parse, ours.skeleton, layout) for peer, parse in parsers.items()}
    for peer in theirs.values():
        _compare(ours, peer)
    speeds = _clips_a_second({"posedata": ours, **theirs})
    shape = tuple(ours[0]["keypoints"].shape)
    what = f"{name}, {len(ours)} clips as {shape}, 1 worker, best of {ROUNDS} epochs"
    rows = [Row(what, speeds["posedata"], "clips/s", target=f"at least {CLIPS_A_SECOND}",
                met=speeds["posedata"] >= CLIPS_A_SECOND)]  # fmt: skip
    for peer in theirs:
        ratio = speeds["posedata"] / speeds[peer]
        lean = peer.endswith(LEAN)
        rows.append(Row(f"{name}, the same", speeds["posedata"], "clips/s", peer, speeds[peer],
                        ratio, "" if lean else f"at least {TIMES_AS_FAST} times as fast",
                        None if lean else ratio >= TIMES_AS_FAST))  # fmt: skip
    return rows


def _clips_a_second(datasets: dict[str, Any]) -> dict[str, float]:
    """Best epoch of each, after a first one; they take turns."""
    loaders = {
        name: DataLoader(data, BATCH, shuffle=True, num_workers=1, persistent_workers=True,
                         collate_fn=whole_batch)
        for name, data in datasets.items()
    }  # fmt: skip
    best = dict.fromkeys(loaders, 0.0)
    for turn in range(ROUNDS + 1):
        for name, loader in loaders.items():
            start = time.perf_counter()
            clips = sum(len(batch["label"]) for batch in loader)
            if turn:
                best[name] = max(best[name], clips / (time.perf_counter() - start))
    return best


@dataclass(frozen=True)
class _Files(Dataset):
    """The same batches from the original files, each parsed when it is its turn."""

    files: list[Path]
    parse: Parse
    skeleton: Skeleton
    layout: Gcn

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, indices: list[int]) -> Rows:
        rng = SampleRng(0)
        samples = [SAMPLING(self._sample(index), rng(0, index)) for index in indices]
        return Rows(make_batch(samples, indices, 1, self.layout))

    def _sample(self, index: int) -> Sample:
        keypoints, scores = self.parse(self.files[index])
        return Sample(self.files[index].stem, keypoints[None], scores[None],
                      np.arange(len(keypoints)), self.skeleton, 0, {})  # fmt: skip


def _json_parsers() -> dict[str, Parse]:
    def with_loads(loads: Callable[[bytes], Any]) -> Parse:
        def parse(path: Path) -> tuple[np.ndarray, np.ndarray]:
            keypoints = np.array(loads(path.read_bytes())["skeletons"], np.float32)
            return keypoints, np.ones(keypoints.shape[:2], np.float32)

        return parse

    parsers = {"json.loads": with_loads(json.loads)}
    try:
        import orjson
    except ImportError:
        return parsers
    return {**parsers, "orjson.loads": with_loads(orjson.loads)}


def _mat_parsers() -> dict[str, Parse]:
    def with_names(names: list[str] | None) -> Parse:
        def parse(path: Path) -> tuple[np.ndarray, np.ndarray]:
            content = scipy.io.loadmat(path, variable_names=names)
            keypoints = np.stack([content["x"], content["y"]], -1).astype(np.float32)
            return keypoints, content["visibility"].astype(np.float32)

        return parse

    return {
        "scipy.io.loadmat": with_names(None),
        f"scipy.io.loadmat {LEAN}": with_names(["x", "y", "visibility"]),
    }


def _compare(ours: ClipDataset, theirs: _Files) -> None:
    """Refuse to time different work."""
    for index in (0, len(ours) // 2):
        shapes = [data.__getitems__([index]).batch["keypoints"].shape for data in (ours, theirs)]
        expected = SAMPLING(theirs._sample(index), SampleRng(0)(0, index))
        same = np.array_equal(ours.sample(index).frames, expected.frames)
        if shapes[0] != shapes[1] or not same:
            raise SystemExit(f"clip {index}: the two loaders differ")


def _memory(folder: Path) -> Iterator[Row]:
    """What workers that read everything need for themselves, and all processes together."""
    from posedata.synthetic import make_ntu

    say(f"feeds: memory of workers, {FILES} clips")
    make_ntu(folder / "raw", FILES, distinct=64, quirks=())
    convert(plan_conversion("ntu", folder / "raw"), folder / "ntu")
    data = ClipDataset(folder / "ntu", transforms=[SAMPLING], cache=folder)
    one = ClipDataset(folder / "ntu", where={"clip_id": data.clip_ids[0]}, transforms=[SAMPLING],
                      cache=folder)  # fmt: skip
    size = data._memory.path.stat().st_size / 1e6
    for how in ("fork", "spawn"):
        least = _watch(one, 1, how)[1]
        together, own = zip(*(_watch(data, workers, how) for workers in (1, 4)), strict=True)
        more = max(own) - least
        yield Row(
            f"NTU-like, {len(data)} clips: what a worker that reads all writes more than one "
            f"that reads a single clip, {how}",
            more, "MB", "the decoded poses", size, more / size, "at most a tenth of them",
            more <= size / 10, f"shared fairly, all processes take {together[0]:.0f} MB with 1 "
            f"worker, {together[1]:.0f} MB with 4",
        )  # fmt: skip


def _watch(data: ClipDataset, workers: int, how: str) -> tuple[float, float]:
    """Read two epochs; then PSS of all processes, and the most that a worker has written."""
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=True,
                        multiprocessing_context=how, collate_fn=whole_batch)  # fmt: skip
    for _ in range(2):
        for _batch in loader:
            pass
    pids = [process.pid for process in loader._iterator._workers]
    own = max(_megabytes(pid, "Private_Dirty") for pid in pids)
    return sum(_megabytes(pid, "Pss") for pid in [os.getpid(), *pids]), own


def _megabytes(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("the memory of processes is read from Linux's /proc")


if __name__ == "__main__":
    run(measure, __doc__)
