"""How good fused poses are: experts, SST-A, consensus and two plain baselines on real videos.

One NTU RGB+D clip whose truth is Kinect's, in four conditions (as it is; 320x180; behind moving
occluders; both), for several seeds of the occluders. The experts are MediaPipe, MoveNet and
EfficientPose I and II, with boxes from RTMDet. Which detection in a frame is the person is told by
the truth's box, for all alike; from there on nothing of the truth is used. Joints: shoulders,
elbows, wrists, hips, knees, ankles. A missing joint counts as wrong in PCKh and is left out of the
error. Intervals: 95 %, bootstrap over blocks of 10 frames.

Needs the real data (``POSEDATA_SHARED`` or ``../shared``), several minutes, and
``posedata[mediapipe,litert,onnx]``. ``--work FOLDER`` keeps the estimates, and uses those there.
``python benchmarks/fuse_real.py [--seeds 0,1,2] [--work FOLDER]``
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posedata.consensus import consensus
from posedata.degrade import degrade_frames, make_occluders, move_keypoints
from posedata.release import open_release
from posedata.remap import remap
from posedata.skeleton import load_skeleton
from posedata.storage import locate
from posedata.video import probe_video
from posedata.video_writer import write_video

CLIP = "S001C001P001R001A001"
SMALL, OCCLUDERS = (320, 180), 6
MODELS = {
    "movenet": "movenet_lightning_int8.tflite",
    "efficientpose1": "EfficientPoseI.tflite",
    "efficientpose2": "EfficientPoseII.tflite",
}
EXPERTS = ("mediapipe", *MODELS)
DETECTOR = "rtmdet_nano_coco80.onnx"
MAIN13 = load_skeleton("main13")
LIMBS = slice(1, 13)  # of main13: all but the head, which experts place at the nose
BLOCK, SAMPLES = 10, 1000
METRICS = ("nmpjpe_headneck", "pckh_headneck@0.5", "@1.0", "@2.0", "jitter", "missing",
           "consensus on its joints")  # fmt: skip


class Truth(NamedTuple):
    """Kinect's poses in main13, head-neck distances, boxes, and the size of the picture."""

    keypoints: np.ndarray
    head_neck: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data").is_dir():
        raise SystemExit(f"no real data at {shared}: set POSEDATA_SHARED")
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        true = read_truth(shared, work)
        for seed in seeds:
            print(f"\n### Seed {seed}\n")
            print_table(measure(shared, work, true, seed))


def measure(
    shared: Path, work: Path, true: Truth, seed: int
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Per method, for each condition, sums and counts of each metric by block of frames."""
    table: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, (size, hidden) in conditions(seed).items():
        release = estimate(shared, work, name, size, seed if hidden else None)
        proposals, scores = read_proposals(release, true)
        tracks = {method: fuse(proposals, scores) for method, fuse in methods().items()}
        for method, track in tracks.items():
            table.setdefault(method, []).append(sums(track, true, tracks["consensus"]))
    return table


def conditions(seed: int) -> dict[str, tuple[tuple[int, int] | None, bool]]:
    """Name each condition: with its size, and whether occluders drift before it."""
    return {"whole": (None, False), "small": (SMALL, False),
            f"hidden{seed}": (None, True), f"both{seed}": (SMALL, True)}  # fmt: skip


def methods() -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Every way of making one track of the experts' proposals (E, T, V, 2) and scores."""
    of_experts = {name: _expert(number) for number, name in enumerate(EXPERTS)}
    return {**of_experts, "ssta": _ssta, "mean, smoothed": _mean,
            "geometric median, smoothed": _median,
            "consensus": lambda p, s: consensus(p, s, MAIN13.swap).keypoints}  # fmt: skip


def read_truth(shared: Path, work: Path) -> Truth:
    """Convert the clip's skeleton file and read it."""
    out = work / "truth"
    if not out.exists():
        posedata("convert", "ntu", str(shared / "data/ntu/skeletons"), "-o", str(out), "-q")
    clip = open_release(str(out)).clip(CLIP)
    assert clip.keypoints_2d is not None
    head, neck = (clip.keypoints_2d[:, clip.skeleton.index(name)] for name in ("head", "neck"))
    keypoints = remap(clip.keypoints_2d, clip.skeleton, "main13").keypoints
    boxes = np.concatenate([np.nanmin(keypoints, 1), np.nanmax(keypoints, 1)], axis=1)
    size = (clip.info["width"], clip.info["height"])
    return Truth(keypoints, np.linalg.norm(head - neck, axis=-1), boxes, size)


def estimate(
    shared: Path, work: Path, name: str, size: tuple[int, int] | None, seed: int | None
) -> Path:
    """Degrade the video and run the experts on it."""
    folder = work / name
    if (folder / "poses").exists():
        return folder / "poses"
    folder.mkdir(parents=True, exist_ok=True)
    video = shared / f"data/ntu/rgb/{CLIP}_rgb.avi"
    if size is not None or seed is not None:
        source = probe_video(video)
        count, aspect = (0 if seed is None else OCCLUDERS), source.width / source.height
        occluders = make_occluders(count, seed or 0, aspect=aspect)
        video = folder / f"{CLIP}.mp4"
        frames = degrade_frames(source, [], size=size, occluders=occluders)
        write_video(locate(video), frames, source.fps or 30)
    run_experts(shared, video, folder / "poses", mirrored=True)
    return folder / "poses"


def run_experts(shared: Path, video: Path, out: Path, *, mirrored: bool) -> None:
    """Run the experts on a video."""
    models = shared / "models"
    experts = [f"{layer}=litert:{models / file}" for layer, file in MODELS.items()]
    posedata("estimate", str(video), "-o", str(out), "-q", *(["--mirrored"] if mirrored else []),
             *(f"--expert={spec}" for spec in ("mediapipe", *experts)),
             f"--detector=onnx:{models / DETECTOR}")  # fmt: skip


def posedata(*arguments: str) -> None:
    """Run a command of posedata; its own words go to stderr."""
    subprocess.run([sys.executable, "-m", "posedata", *arguments], check=True, stdout=sys.stderr)


def read_proposals(release: Path, true: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Read what each expert says of the person, in pixels of the original video.

    Returns
    -------
    proposals : float32, shape (E, T, V, 2)
    scores : float32, shape (E, T, V)
    """
    shape = (len(EXPERTS), *true.keypoints.shape[:2])
    proposals = np.full((*shape, 2), np.nan, np.float32)
    scores = np.zeros(shape, np.float32)
    poses = open_release(str(release))
    for expert, layer in enumerate(EXPERTS):
        (clip,) = poses.iter_clips(layer)
        size = (clip.info["width"], clip.info["height"])
        assert clip.keypoints_2d is not None and clip.boxes is not None
        found = remap(clip.keypoints_2d, clip.skeleton, "main13", clip.scores)
        keypoints = move_keypoints(found.keypoints, size, true.size)
        boxes = move_keypoints(clip.boxes.reshape(-1, 2, 2), size, true.size).reshape(-1, 4)
        best = np.full(shape[1], -1.0)
        for row, frame in enumerate(clip.frames):
            fits = _overlap(boxes[row], true.boxes[frame])
            if fits > best[frame]:
                best[frame] = fits
                proposals[expert, frame] = keypoints[row]
                assert found.scores is not None
                scores[expert, frame] = found.scores[row]
    return proposals, scores


def sums(
    predicted: np.ndarray, true: Truth, of_consensus: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add up each metric in blocks of frames: sums and counts, (blocks, metrics).

    The last metric is the error of consensus, of the joints that this method has.
    """
    distance = np.linalg.norm(predicted - true.keypoints, axis=-1)[:, LIMBS]
    ratio = distance / true.head_neck[:, None]
    other = np.linalg.norm(of_consensus - true.keypoints, axis=-1)[:, LIMBS]
    other = np.where(np.isfinite(ratio), other / true.head_neck[:, None], np.nan)
    turn = np.linalg.norm(np.diff(predicted[:, LIMBS], 2, axis=0), axis=-1)
    turn = np.concatenate([turn, np.full((2, turn.shape[1]), np.nan)])
    values = [ratio, *(np.where(ratio < limit, 1.0, 0.0) for limit in (0.5, 1, 2)), turn,
              np.isnan(ratio).astype(float), other]  # fmt: skip
    starts = np.arange(0, len(predicted), BLOCK)
    per_frame = np.stack([np.nansum(value, axis=1) for value in values], axis=1)
    counted = np.stack([np.isfinite(value).sum(axis=1) for value in values], axis=1)
    return np.add.reduceat(per_frame, starts), np.add.reduceat(counted, starts)


def print_table(table: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> None:
    """Print means over the conditions with their intervals, then each condition."""
    print("| mean over four conditions | " + " | ".join(METRICS) + " |")
    print("|---" * (len(METRICS) + 1) + "|")
    for method, parts in table.items():
        cells = []
        for metric, name in enumerate(METRICS):
            digits = 2 if name == "jitter" else 3
            low, high = _interval(parts, metric)
            cells.append(f"{_mean_of(parts, metric):.{digits}f} "
                         f"({low:.{digits}f} to {high:.{digits}f})")  # fmt: skip
        print(f"| {method} | " + " | ".join(cells) + " |")
    print("\n| error / PCKh@0.5 | whole | 320x180 | occluders | both |")
    print("|---" * 5 + "|")
    for method, parts in table.items():
        print(f"| {method} | " + " | ".join(_cell(part) for part in parts) + " |")


def _cell(part: tuple[np.ndarray, np.ndarray]) -> str:
    """Error and PCKh; where joints are missing, their share, since the error is without them."""
    error, correct, missing, other = (_mean_of([part], metric) for metric in (0, 1, 5, 6))
    seen = f" ({missing:.0%} missing; consensus there {other:.3f})" if missing else ""
    return f"{error:.3f}{seen} / {correct:.3f}"


def _mean_of(parts: list[tuple[np.ndarray, np.ndarray]], metric: int) -> float:
    return float(np.mean([s[:, metric].sum() / n[:, metric].sum() for s, n in parts]))


def _interval(parts: list[tuple[np.ndarray, np.ndarray]], metric: int) -> tuple[float, float]:
    """Draw blocks of frames, the same ones in each condition, which show the same motion."""
    rng = np.random.default_rng(0)
    blocks = len(parts[0][0])
    means = []
    for chosen in rng.integers(0, blocks, (SAMPLES, blocks)):
        means.append(_mean_of([(s[chosen], n[chosen]) for s, n in parts], metric))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inner = float(np.prod(np.maximum(sides, 0)))
    return inner / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inner)


def _expert(number: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda proposals, scores: proposals[number]


def _ssta(proposals: np.ndarray, scores: np.ndarray) -> np.ndarray:
    from posedata.ssta import aggregate

    return aggregate(proposals, head=0, neck=(1, 2)).keypoints


def _mean(proposals: np.ndarray, scores: np.ndarray) -> np.ndarray:
    present = np.isfinite(proposals)
    total = np.where(present, proposals, 0).sum(axis=0)
    return _smoothed(total / np.where(present.any(axis=0), present.sum(axis=0), np.nan))


def _median(proposals: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Geometric median by Weiszfeld's iteration."""
    present = np.isfinite(proposals[..., :1])
    known = np.where(present, proposals, 0).astype(np.float64)
    weights = present.astype(np.float64)
    for _ in range(50):
        total = weights.sum(axis=0)
        x = (weights * known).sum(axis=0) / np.where(total > 0, total, np.nan)
        far = np.linalg.norm(known - x, axis=-1, keepdims=True)
        weights = present / np.maximum(np.nan_to_num(far), 1e-3)
    return _smoothed(x)


def _smoothed(track: np.ndarray) -> np.ndarray:
    """Savitzky-Golay over 9 frames, of degree 2; less where a run is shorter; never over gaps."""
    from scipy.signal import savgol_filter

    result = track.copy()
    for joint in range(track.shape[1]):
        known = np.concatenate([[False], np.isfinite(track[:, joint, 0]), [False]])
        for first, end in np.flatnonzero(np.diff(known)).reshape(-1, 2):
            window = min(9, (end - first - 1) // 2 * 2 + 1)
            if window > 2:
                result[first:end, joint] = savgol_filter(track[first:end, joint], window, 2, axis=0)
    return result


if __name__ == "__main__":
    main()
