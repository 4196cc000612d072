"""Fitting `error_model` to real experts, and how simulated ones compare with them.

The NTU clip of ``fuse_real.py`` in its conditions, against Kinect; left-right swaps also on a
phone's video against OpenPose, since the person of the NTU clip never turns.

Needs the real data (``POSEDATA_SHARED`` or ``../shared``) and the ``--work`` folder of a run of
``fuse_real.py``; estimates on the phone's video are kept there, too (minutes).
``python benchmarks/fit_error_model.py FOLDER [--write]``
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import fuse_real
import numpy as np
from error_model import (
    CLEAR,
    FLIP,
    HIDDEN_BINS,
    LEVELS,
    NUMBERS,
    SEEN,
    SWAPS,
    ErrorModel,
    body_axes,
    exchange,
    load,
    simulate,
    states,
)

from posedata.degrade import are_hidden, degrade_frames, make_occluders
from posedata.remap import remap
from posedata.skeleton import load_skeleton
from posedata.storage import locate
from posedata.video import probe_video
from posedata.video_writer import write_video

LEAST_OPENPOSE_SCORE = 0.3  # below it a joint of the phone's video has no truth
PHONE = "pose2sim_single_cam01"
PHONE_CONDITIONS = {"whole": (None, None), "small": ((180, 320), None),
                    "hidden": (None, 8), "both": ((180, 320), 7)}  # fmt: skip
SEEDS = (0, 1, 2)
LEAST_JITTER = 1e-4
CALIBRATIONS = 3
SAMPLES = 20  # simulations of the clip, to compare with


class Tracks(NamedTuple):
    """What experts say of one person, and what is true."""

    proposals: np.ndarray  # (E, T, V, 2), pixels
    scores: np.ndarray  # (E, T, V)
    truth: np.ndarray  # (T, V, 2)
    head_neck: float  # pixels
    hidden: np.ndarray  # (T, V), bool
    is_small: bool


def main() -> None:
    """Fit, compare, and write the numbers if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--write", action="store_true", help=f"Write {NUMBERS.name}.")
    options = parser.parse_args()
    shared = Path(os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared"))
    clips = ntu_tracks(shared, options.work)
    model = fit(list(clips.values()), phone_tracks(shared, options.work))
    if options.write:
        save(model)
        model = load()
    print_comparison(clips, model)


def ntu_tracks(shared: Path, work: Path) -> dict[str, Tracks]:
    """Read the experts of the NTU clip in each condition, and where occluders were."""
    true = fuse_real.read_truth(shared, work)
    result = {}
    for seed in SEEDS:
        occluders = make_occluders(fuse_real.OCCLUDERS, seed, aspect=true.size[0] / true.size[1])
        for name, (size, is_hidden) in fuse_real.conditions(seed).items():
            hidden = np.zeros(true.keypoints.shape[:2], bool)
            if is_hidden:
                frames = np.arange(len(hidden))
                hidden = are_hidden(occluders, true.keypoints, frames, true.size)
            proposals, scores = fuse_real.read_proposals(work / name / "poses", true)
            result[name] = Tracks(
                proposals,
                scores,
                true.keypoints,
                float(np.median(true.head_neck)),
                hidden,
                size is not None,
            )
    return result


def phone_tracks(shared: Path, work: Path) -> list[Tracks]:
    """Estimate the phone's video in each condition; OpenPose's poses are the truth."""
    video = shared / f"data/videos/{PHONE}.mp4"
    source = probe_video(video)
    size = (source.width, source.height)
    folder = shared / "data/openpose/single_cam01_json"
    keypoints, head_neck = _openpose(folder)
    boxes = np.concatenate([np.nanmin(keypoints, 1), np.nanmax(keypoints, 1)], axis=1)
    true = fuse_real.Truth(keypoints, head_neck, boxes, size)
    result = []
    for name, (small, seed) in PHONE_CONDITIONS.items():
        here = work / f"phone_{name}"
        occluders = make_occluders(
            0 if seed is None else fuse_real.OCCLUDERS, seed or 0, aspect=size[0] / size[1]
        )
        if not (here / "poses").exists():
            here.mkdir(parents=True, exist_ok=True)
            hard = video
            if small is not None or seed is not None:
                hard = here / f"{PHONE}.mp4"
                write_video(
                    locate(hard),
                    degrade_frames(source, [], size=small, occluders=occluders),
                    source.fps or 30,
                )
            fuse_real.run_experts(shared, hard, here / "poses", mirrored=False)
        proposals, scores = fuse_real.read_proposals(here / "poses", true)
        hidden = are_hidden(occluders, keypoints, np.arange(len(keypoints)), size)
        result.append(
            Tracks(
                proposals, scores, keypoints, float(np.median(head_neck)), hidden, small is not None
            )
        )
    return result


def _openpose(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The larger person in main13 and the height of their head, of files of one frame each."""
    poses = []
    for file in sorted(folder.glob("*.json")):
        people = [np.reshape(person["pose_keypoints_2d"], (25, 3))
                  for person in json.loads(file.read_text())["people"]]  # fmt: skip
        pose = max(people, key=lambda pose: np.ptp(pose[pose[:, 2] > 0, 1]))
        poses.append(np.where(pose[:, 2:] > LEAST_OPENPOSE_SCORE, pose[:, :2], np.nan))
    joints, skeleton = np.array(poses, np.float32), load_skeleton("body25b")
    head, neck = (joints[:, skeleton.index(name)] for name in ("head_top", "upper_neck"))
    height = np.full(len(joints), np.nanmedian(np.linalg.norm(head - neck, axis=-1)))
    return remap(joints, skeleton, "main13").keypoints, height


def is_swapped(proposals: np.ndarray, truth: np.ndarray, head_neck: float) -> np.ndarray:
    """Tell in which frames sides are exchanged: (E, T, 3), of `SWAPS`; one kind at most.

    So it is where the error is above 0.6 head-neck distances, and the other way round less than
    half of it.
    """
    kept = np.linalg.norm(proposals - truth, axis=-1) / head_neck
    other = np.linalg.norm(proposals[:, :, FLIP] - truth, axis=-1) / head_neck
    result = np.zeros((*proposals.shape[:2], 3), bool)
    for kind, joints in enumerate(SWAPS):
        a, b = _mean(kept[:, :, joints], 2), _mean(other[:, :, joints], 2)
        result[:, :, kind] = (a > 0.6) & (b < 0.5 * a)
    result[:, :, 1:] &= ~result[:, :, :1]
    both = result[:, :, 1] & result[:, :, 2]
    result[both] = True, False, False
    return result


def save(model: ErrorModel, path: Path = NUMBERS) -> None:
    """Write them, with four digits."""
    rounded = {name: np.round(value, 4).tolist() for name, value in asdict(model).items()}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in rounded.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def print_comparison(clips: dict[str, Tracks], model: ErrorModel) -> None:
    """Print, of each expert, what was measured and what is simulated on the same truth."""
    print("| size, occluders | expert | median | p90 | p99 | jitter | missing | swapped frames "
          "| correlation with others |")  # fmt: skip
    print("|---" * 9 + "|")
    # the phone's swaps have no place in a comparison on the NTU clip
    model = replace(model, **_fit_swaps(list(clips.values())))
    groups = {"whole": ["whole"], "small": ["small"],
              "occluders": [f"hidden{seed}" for seed in SEEDS],
              "both": [f"both{seed}" for seed in SEEDS]}  # fmt: skip
    for group, names in groups.items():
        real = [_describe(clips[name], clips[name].proposals) for name in names]
        rng = np.random.default_rng(0)
        simulated = [
            _describe(clip, simulate(model, clip.truth, clip.head_neck, clip.hidden,
                                     clip.is_small, rng)[0])
            for clip in (clips[name] for name in names) for _ in range(SAMPLES)
        ]  # fmt: skip
        a, b = np.nanmean(real, axis=0), np.nanmean(simulated, axis=0)
        for number, expert in enumerate(fuse_real.EXPERTS):
            cells = [f"{x:.3f} / {y:.3f}" for x, y in zip(a[:, number], b[:, number], strict=True)]
            print(f"| {group} | {expert} | " + " | ".join(cells) + " |")


def _describe(clip: Tracks, proposals: np.ndarray) -> np.ndarray:
    """Figures (7, E) of what experts say; jitter over the head-neck distance."""
    error = (proposals - clip.truth)[:, :, 1:] / clip.head_neck
    length = np.linalg.norm(error, axis=-1)
    turn = np.linalg.norm(np.diff(proposals[:, :, 1:], 2, axis=1), axis=-1) / clip.head_neck
    swapped = is_swapped(proposals, clip.truth, clip.head_neck).any(-1)
    rest = error - np.nanmedian(error, axis=1, keepdims=True)
    covariance = _covariance([rest], 0)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    others = (correlation.sum(1) - 1) / (len(correlation) - 1)
    return np.stack([*np.nanpercentile(length, [50, 90, 99], axis=(1, 2)),
                     np.nanmean(turn, axis=(1, 2)), np.isnan(length).mean((1, 2)),
                     swapped.mean(1), others])  # fmt: skip


def fit(clips: Sequence[Tracks], more_for_swaps: Sequence[Tracks] = ()) -> ErrorModel:
    """Measure how the experts of some clips err. Each size needs a clip without occluders."""
    experts, _, joints = clips[0].scores.shape
    z, q = 2, len(LEVELS)
    numbers = {
        "bias": np.zeros((z, experts, joints, 2)), "lengths": np.zeros((z, 4, experts, joints, q)),
        "memory": np.zeros((z, 4)), "jitter": np.zeros((z, 4, experts)),
        "between_experts": np.zeros((z, 4, 2, experts, experts)),
        "between_joints": np.zeros((z, 4, joints, joints)),
        "scores": np.zeros((z, 4, experts, q)), "score_and_error": np.zeros((z, 4)),
    }  # fmt: skip
    whole = next(clip for clip in clips if not clip.is_small and not clip.hidden.any())
    usual_score = np.nanmedian(np.where(whole.scores > 0, whole.scores, np.nan), axis=(1, 2))
    for size in range(z):
        mine = [clip for clip in clips if clip.is_small == bool(size)]
        errors = [_errors(clip) for clip in mine]
        plain = [e for e, clip in zip(errors, mine, strict=True) if not clip.hidden.any()]
        bias = np.nanmedian(np.concatenate(plain, axis=1), axis=1)
        numbers["bias"][size] = bias
        for state in range(4):
            rest, scores = [], []
            for e, clip in zip(errors, mine, strict=True):
                there = states(clip.hidden) == state
                rest.append(np.where(there[..., None], e - bias[:, None], np.nan))
                scores.append(np.where(np.isnan(rest[-1][..., 0]), np.nan, clip.scores))
            _fit_field(rest, scores, usual_score, numbers, (size, state))
    swaps = _fit_swaps([*clips, *more_for_swaps])
    model = ErrorModel(**numbers, **swaps, **_fit_missing(clips))
    for _ in range(CALIBRATIONS):
        _calibrate_jitter(model, clips)
    return model


def _calibrate_jitter(model: ErrorModel, clips: Sequence[Tracks]) -> None:
    """Scale the jitter by what simulations have too much of it: stretched lengths stretch it."""
    rng = np.random.default_rng(1)
    as_clips = replace(model, **_fit_swaps(clips))
    real, simulated = np.zeros((2, *model.jitter.shape, 2))
    for clip in clips:
        at = states(clip.hidden)
        drawn = [simulate(as_clips, clip.truth, clip.head_neck, clip.hidden, clip.is_small, rng)[0]
                 for _ in range(SAMPLES // 4)]  # fmt: skip
        for total, tracks in ((real, [clip.proposals]), (simulated, drawn)):
            for track in tracks:
                error = (track - clip.truth) / clip.head_neck
                turn = np.linalg.norm(np.diff(error, 2, axis=1), axis=-1)
                for state in range(len(model.jitter[0])):
                    here = (at[1:-1] == state) & np.isfinite(turn)
                    sums = np.where(here, turn, 0).sum((1, 2)), here.sum((1, 2))
                    total[int(clip.is_small), state] += np.stack(sums, axis=-1)
    mean_of = [total[..., 0] / np.maximum(total[..., 1], 1) for total in (real, simulated)]
    ratio = np.clip(mean_of[0] / np.maximum(mean_of[1], 1e-9), 0.3, 2)
    model.jitter[:] = np.clip(model.jitter * ratio**2, LEAST_JITTER, 0.9)


def _errors(clip: Tracks) -> np.ndarray:
    """Errors in the body's frame, over the head-neck distance, with sides put right."""
    swapped = is_swapped(clip.proposals, clip.truth, clip.head_neck)
    error = (exchange(clip.proposals, swapped) - clip.truth) / clip.head_neck
    return np.einsum("etvc,tac->etva", error, body_axes(clip.truth))


def _fit_field(
    rest: list[np.ndarray], scores: list[np.ndarray], usual_score: np.ndarray,
    numbers: dict[str, np.ndarray], at: tuple[int, int],
) -> None:  # fmt: skip
    """Quantiles, and correlations of what is normal once lengths are replaced by their ranks."""
    r, s = np.concatenate(rest, axis=1), np.concatenate(scores, axis=1)
    experts, _, joints, _ = r.shape
    length = np.linalg.norm(r, axis=-1)
    score = s / usual_score[:, None, None]
    ranks, score_ranks = np.full(length.shape, np.nan), np.full(length.shape, np.nan)
    by_joint = at[1] in (CLEAR, SEEN)  # of hidden joints there are too few to tell them apart
    for e in range(experts):
        numbers["scores"][at][e] = _quantiles(score[e])
        score_ranks[e] = _ranks(score[e])
        for v in range(joints):
            of = length[e, :, v] if by_joint else length[e]
            numbers["lengths"][at][e, v] = _quantiles(of)
            if by_joint:
                ranks[e, :, v] = _ranks(of)
        if not by_joint:
            ranks[e] = _ranks(length[e])
    normal = r * (np.sqrt(-2 * np.log1p(-ranks)) / np.maximum(length, 1e-9))[..., None]
    parts = np.split(normal, np.cumsum([part.shape[1] for part in rest])[:-1], axis=1)
    lag = {step: _covariance(parts, step) for step in (0, 2, 8)}
    own = {step: np.trace(c) / experts for step, c in lag.items()}
    poles = np.linspace(0.3, 0.95, 131)
    fits = _slow_autocorrelation(poles, 8) / _slow_autocorrelation(poles, 2)
    memory = poles[np.abs(fits - own[8] / own[2]).argmin()]
    turns = [np.diff(part, 2, axis=1) for part in parts]
    size = np.concatenate([np.linalg.norm(turn, axis=-1) for turn in turns], axis=1)
    # of each axis, were it normal, so that the mean acceleration comes out
    energy = _mean(_mean(size, 2), 1) ** 2 * 2 / np.pi
    one, two = (_slow_autocorrelation(memory, step) for step in (1, 2))
    of_slow = 6 - 8 * one + 2 * two
    numbers["memory"][at] = memory
    numbers["jitter"][at] = np.clip(
        np.nan_to_num((energy - of_slow) / (6 - of_slow)), LEAST_JITTER, 0.9
    )
    # The slow part's correlation is that of great errors: small ones are of less concern.
    numbers["between_experts"][at] = _correlation(_covariance(rest, 2)), _correlation(
        _covariance(turns, 0))  # fmt: skip
    over_experts = [part.transpose(2, 1, 0, 3) for part in parts]
    numbers["between_joints"][at] = _correlation(_covariance(over_experts, 0))
    known = np.isfinite(ranks) & np.isfinite(score_ranks)
    numbers["score_and_error"][at] = np.corrcoef(ranks[known], score_ranks[known])[0, 1]


def _slow_autocorrelation(memory: np.ndarray, lag: int) -> np.ndarray:
    """Of autoregressive noise with both poles at ``memory``."""
    return memory**lag * (1 + lag * (1 - memory**2) / (1 + memory**2))


def _covariance(parts: list[np.ndarray], lag: int) -> np.ndarray:
    """Mean products of the first axis' rows, (E, E), ``lag`` frames apart."""
    total, count = 0.0, 0.0
    for part in parts:
        a, b = part[:, : part.shape[1] - lag], part[:, lag:]
        known_a, known_b = np.isfinite(a).astype(float), np.isfinite(b).astype(float)
        total = total + np.einsum("etvc,ftvc->ef", np.nan_to_num(a), np.nan_to_num(b))
        count = count + np.einsum("etvc,ftvc->ef", known_a, known_b)
    mean = total / np.maximum(count, 1)
    return (mean + mean.T) / 2


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """The nearest that is positive definite, by its eigenvalues."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-9))
    values, vectors = np.linalg.eigh(np.clip(covariance / np.outer(scale, scale), -1, 1))
    c = (vectors * np.maximum(values, 0.02)) @ vectors.T
    return np.asarray(c / np.sqrt(np.outer(np.diag(c), np.diag(c))))


def _fit_swaps(clips: Sequence[Tracks]) -> dict:
    experts = len(clips[0].scores)
    count, frames = np.zeros((2, 2, 3, experts)), np.zeros((2, 2, 3, experts))
    lengths: list[int] = []
    shared, alone = 0, 0
    for clip in clips:
        swapped = is_swapped(clip.proposals, clip.truth, clip.head_neck)
        there = np.isfinite(clip.proposals[..., 0]).any(-1)
        much = (clip.hidden.mean(1) > HIDDEN_BINS[0]).astype(int)
        for hidden in range(2):
            size = int(clip.is_small)
            count[size, hidden] += swapped[:, much == hidden].sum(1).T
            frames[size, hidden] += there[:, much == hidden].sum(1)
        lengths += _run_lengths(swapped.transpose(0, 2, 1).reshape(-1, swapped.shape[1]))
        number = swapped.any(-1).sum(0)
        shared += int((number * (number - 1)).sum())
        alone += int((number * (there.sum(0) - 1)).sum())
    return {"swaps": count / np.maximum(frames, 1), "swap_length": float(np.mean(lengths)),
            "swaps_shared": shared / max(alone, 1)}  # fmt: skip


def _fit_missing(clips: Sequence[Tracks]) -> dict:
    experts, bins = len(clips[0].scores), len(HIDDEN_BINS) + 1
    nobody, frames = np.zeros((2, bins)), np.zeros((2, bins))
    missed, found = np.zeros((2, experts, bins)), np.zeros((2, bins))
    lengths: list[int] = []
    for clip in clips:
        missing = np.isnan(clip.proposals[..., 0]).all(-1)
        at, size = np.digitize(clip.hidden.mean(1), HIDDEN_BINS), int(clip.is_small)
        by_all = missing.all(0)
        np.add.at(nobody[size], at, by_all)
        np.add.at(frames[size], at, 1)
        np.add.at(found[size], at, ~by_all)
        for e in range(experts):
            np.add.at(missed[size, e], at, missing[e] & ~by_all)
        lengths += _run_lengths(missing)
    return {"nobody": nobody / np.maximum(frames, 1),
            "missed": missed / np.maximum(found, 1)[:, None],
            "missing_length": float(np.mean(lengths))}  # fmt: skip


def _run_lengths(rows: np.ndarray) -> list[int]:
    """Lengths of the runs of True in each row."""
    lengths: list[int] = []
    for row in rows:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
        lengths += (edges[1::2] - edges[::2]).tolist()
    return lengths


def _quantiles(values: np.ndarray) -> np.ndarray:
    known = values[np.isfinite(values)]
    return np.quantile(known, LEVELS) if len(known) else np.zeros(len(LEVELS))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, exclusive; NaN stays."""
    known = np.isfinite(values)
    result = np.full(values.shape, np.nan)
    result[known] = (np.argsort(np.argsort(values[known])) + 0.5) / known.sum()
    return result


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    known = np.isfinite(values)
    return np.nan_to_num(values).sum(axis) / np.where(known.any(axis), known.sum(axis), np.nan)


if __name__ == "__main__":
    main()
