"""How good fused poses are on many clips: real motions, simulated experts.

True motions are 250 clips of Northwestern-UCLA (Kinect v1's 3D skeletons through the camera of a
Kinect v1) and 250 of Penn Action (joints that people drew). Four experts are simulated by
`error_model`, fitted on real ones, in the four conditions of ``fuse_real.py``. Clips that
are reported: N-UCLA subjects 4 to 10, and Penn's testing clips. Constants of consensus were chosen
on others (``--tuning``): subjects 1 to 3, and Penn's training clips.

The metrics are those of ``fuse_real.py``: limbs without the head; a missing joint counts as wrong
in PCKh and is left out of the error. Every clip counts the same. Intervals: 95 %, bootstrap over
clips. Jitter is over the head-neck distance here, since sizes differ.

Needs the real data (``POSEDATA_SHARED`` or ``../shared``).
``python benchmarks/fuse_simulated.py [--clips 500] [--experts 4] [--tuning] [--json]``
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from error_model import ErrorModel, load, simulate
from fuse_real import EXPERTS, LIMBS, OCCLUDERS, methods
from tqdm import tqdm

from posedata.converters import nucla, penn
from posedata.degrade import are_hidden, make_occluders
from posedata.remap import remap
from posedata.storage import locate

OPTIONS = {"all_fields": False, "sides": "person"}
#: Kinect v1's colour camera, nominal: pixels, focal length, centre.
PICTURE, FOCAL, CENTRE = (640, 480), 525.0, (319.5, 239.5)
TUNING_SUBJECTS = (1, 2, 3)
LEAST_FRAMES = 20
CONDITIONS = {"whole": (False, False), "small": (True, False), "occluders": (False, True),
              "both": (True, True)}  # fmt: skip
METRICS = ("nmpjpe_headneck", "pckh_headneck@0.5", "@1.0", "@2.0", "jitter", "missing")
SAMPLES = 2000
SEED = 5


class Motion(NamedTuple):
    """One person's joints, main13, pixels (T, V, 2); which of them are known; sizes."""

    keypoints: np.ndarray
    visible: np.ndarray  # (T, V)
    head_neck: float
    size: tuple[int, int]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--experts", type=int, default=len(EXPERTS), help="The first so many.")
    parser.add_argument("--tuning", action="store_true", help="The clips for choices.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data").is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")
    motions = read_motions(shared, options.clips, tuning=options.tuning)
    chosen = {name: fuse for name, fuse in methods().items()
              if name not in EXPERTS[options.experts:]}  # fmt: skip
    table = measure(motions, load(), chosen, options.experts)
    result = summarise(table)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print_tables(result, len(motions))


def read_motions(shared: Path, count: int, *, tuning: bool) -> list[Motion]:
    """Draw clips from both data sets, half from each, those for choices or those to report."""
    rng = np.random.default_rng([SEED, tuning])
    motions: list[Motion] = []
    for number, motion in ((count // 2, _nucla), (count - count // 2, _penn)):
        found = motion(shared / "data", tuning, rng)
        motions += [one for one, _ in zip(found, range(number), strict=False)]
    return motions


def _nucla(data: Path, tuning: bool, rng: np.random.Generator) -> Iterator[Motion]:
    raw = locate(data / "nucla")
    samples = nucla.discover(raw, OPTIONS).samples
    description = nucla.describe(samples, OPTIONS)
    samples = [one for one in samples
               if (int(one.clip_id.split("_s")[1][:2]) in TUNING_SUBJECTS) == tuning]  # fmt: skip
    for number in rng.permutation(len(samples)):
        clip, _ = nucla.read(raw, samples[number], description)
        assert clip.keypoints_3d is not None
        if len(clip.frames) < LEAST_FRAMES or not np.isfinite(clip.keypoints_3d).all():
            continue
        x, y, z = np.moveaxis(clip.keypoints_3d, -1, 0)
        pixels = np.stack([CENTRE[0] - FOCAL * x / z, CENTRE[1] - FOCAL * y / z], axis=-1)
        head, neck = (pixels[:, clip.skeleton.index(name)] for name in ("head", "shoulder_center"))
        keypoints = remap(pixels, clip.skeleton, "main13").keypoints
        head_neck = float(np.median(np.linalg.norm(head - neck, axis=-1)))
        yield Motion(keypoints, np.ones(keypoints.shape[:2], bool), head_neck, PICTURE)


def _penn(data: Path, tuning: bool, rng: np.random.Generator) -> Iterator[Motion]:
    raw = locate(data / "penn")
    samples = penn.discover(raw, OPTIONS).samples
    description = penn.describe(samples, OPTIONS)
    for number in rng.permutation(len(samples)):
        clip, _ = penn.read(raw, samples[number], description)
        if (clip.info["train"] == 1) != tuning or len(clip.frames) < LEAST_FRAMES:
            continue
        assert clip.keypoints_2d is not None and clip.visibility is not None
        found = remap(clip.keypoints_2d, clip.skeleton, "main13", None, clip.visibility)
        assert found.visibility is not None
        visible = found.visibility == 2
        seen = np.where(visible[..., None], found.keypoints, np.nan)
        head_neck = np.linalg.norm(seen[:, 0] - seen[:, 1:3].mean(1), axis=-1)
        if np.isfinite(head_neck).sum() >= LEAST_FRAMES and visible.mean() > 0.5:
            yield Motion(found.keypoints, visible, float(np.nanmedian(head_neck)),
                         (clip.info["width"], clip.info["height"]))  # fmt: skip


def measure(
    motions: list[Motion], model: ErrorModel, chosen: Mapping[str, Callable], experts: int
) -> dict[str, np.ndarray]:
    """Simulate, fuse, and give each method's metrics, (clips, conditions, metrics)."""
    table = {name: np.full((len(motions), len(CONDITIONS), len(METRICS)), np.nan)
             for name in ("truth", *chosen)}  # fmt: skip
    for number, motion in enumerate(tqdm(motions, file=sys.stderr, disable=None)):
        for condition, (is_small, has_occluders) in enumerate(CONDITIONS.values()):
            rng = np.random.default_rng([SEED, number, condition])
            hidden = _hidden(motion, has_occluders, rng)
            proposals, scores = simulate(model, motion.keypoints, motion.head_neck, hidden,
                                         is_small, rng)  # fmt: skip
            tracks = {name: fuse(proposals[:experts], scores[:experts])
                      for name, fuse in chosen.items()}  # fmt: skip
            for name, track in {"truth": motion.keypoints, **tracks}.items():
                table[name][number, condition] = figures(track, motion)
    return table


def _hidden(motion: Motion, has_occluders: bool, rng: np.random.Generator) -> np.ndarray:
    aspect, seed = motion.size[0] / motion.size[1], int(rng.integers(2**31))
    occluders = make_occluders(OCCLUDERS if has_occluders else 0, seed, aspect=aspect)
    frames = np.arange(len(motion.keypoints))
    return are_hidden(occluders, motion.keypoints, frames, motion.size)


def figures(track: np.ndarray, motion: Motion) -> np.ndarray:
    """The metrics of one track, those of `METRICS`."""
    known = motion.visible[:, LIMBS]
    ratio = np.linalg.norm(track - motion.keypoints, axis=-1)[:, LIMBS][known] / motion.head_neck
    turn = np.linalg.norm(np.diff(track[:, LIMBS], 2, axis=0), axis=-1) / motion.head_neck
    found = np.isfinite(ratio)
    return np.array([
        ratio[found].mean() if found.any() else np.nan,
        *((ratio < limit).mean() for limit in (0.5, 1, 2)),
        np.nanmean(turn) if np.isfinite(turn).any() else np.nan, 1 - found.mean(),
    ])  # fmt: skip


def summarise(table: Mapping[str, np.ndarray]) -> dict[str, dict]:
    """Means over clips and conditions with intervals over clips, and each condition's means."""
    clips = len(next(iter(table.values())))
    drawn = np.random.default_rng(0).integers(0, clips, (SAMPLES, clips))
    result = {}
    for name, values in table.items():
        of_clips = np.nanmean(values, axis=1)
        halves = of_clips[: clips // 2], of_clips[clips // 2 :]
        low, high = np.percentile(np.nanmean(of_clips[drawn], axis=1), [2.5, 97.5], axis=0)
        # Against consensus on the same clips: the interval of the difference is what decides.
        more = of_clips - np.nanmean(table["consensus"], axis=1)
        between = np.percentile(np.nanmean(more[drawn], axis=1), [2.5, 97.5], axis=0)
        result[name] = {
            metric: {"mean": float(np.nanmean(of_clips, axis=0)[m]), "low": float(low[m]),
                     "high": float(high[m]), "more_than_consensus": between[:, m].tolist(),
                     "by_data_set": [float(np.nanmean(half[:, m])) for half in halves],
                     "by_condition": dict(zip(CONDITIONS, np.nanmean(values, axis=0)[:, m].tolist(),
                                              strict=True))}
            for m, metric in enumerate(METRICS)
        }  # fmt: skip
    return result


def print_tables(result: Mapping[str, Mapping], clips: int) -> None:
    """Print the means with their intervals, then each condition."""
    print(f"| {clips} clips, four conditions | " + " | ".join(METRICS) + " |")
    print("|---" * (len(METRICS) + 1) + "|")
    for name, metrics in result.items():
        cells = [f"{of['mean']:.3f} ({of['low']:.3f} to {of['high']:.3f})"
                 for of in metrics.values()]  # fmt: skip
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| error / PCKh@0.5 | " + " | ".join(CONDITIONS) + " | N-UCLA | Penn | "
          "more than consensus |")  # fmt: skip
    print("|---" * (len(CONDITIONS) + 4) + "|")
    for name, metrics in result.items():
        error, correct = (metrics[metric]["by_condition"] for metric in METRICS[:2])
        cells = [f"{error[of]:.3f} / {correct[of]:.3f}" for of in CONDITIONS]
        error, correct = (metrics[metric]["by_data_set"] for metric in METRICS[:2])
        cells += [f"{error[of]:.3f} / {correct[of]:.3f}" for of in range(2)]
        error, correct = (metrics[metric]["more_than_consensus"] for metric in METRICS[:2])
        cells.append(f"{error[0]:.3f} to {error[1]:.3f} / {correct[0]:.3f} to {correct[1]:.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
