"""COCO's AP a clip at a time: the same as COCO's evaluator over all images at once."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.coco_ap import (
    STATISTICS,
    coco_average_precision,
    coco_intervals,
    match_clip,
    weighted_statistics,
)

COCO = pytest.importorskip("pycocotools.coco").COCO
COCOeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
SIGMAS = np.full(5, 0.08)


def made(seed: int, people: int = 2, frames: int = 6) -> tuple[np.ndarray, ...]:
    """Give a clip: poses of some people, found 0 to 40 px off, some joints and people missing."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 200, (frames * people, 5, 2)) + 300 * (np.arange(frames * people) % people
                                                                )[:, None, None]  # fmt: skip
    predicted = true + rng.normal(0, 1, true.shape) * rng.uniform(0, 40, (len(true), 1, 1))
    at = np.repeat(np.arange(frames), people)
    areas = rng.uniform(2e3, 4e4, len(true))
    for poses in (true, predicted):
        poses[rng.random(poses.shape[:2]) < 0.15] = np.nan
    true[rng.random(len(true)) < 0.1] = np.nan
    kept = rng.random(len(true)) < 0.9
    return predicted[kept], rng.random(kept.sum()), at[kept], true, at, areas


def at_once(clips: list[tuple[np.ndarray, ...]]) -> list[float]:
    """COCO's evaluator as its own demo runs it; a missing prediction is at a far corner."""
    truths, found, images = [], [], []
    for clip, (predicted, scores, frames, true, true_frames, areas) in enumerate(clips):
        for frame, pose, area in zip(true_frames, true, areas, strict=True):
            there = np.isfinite(pose).all(-1)
            image = 1000 * clip + int(frame)
            if there.any():
                keypoints = np.column_stack([np.nan_to_num(pose) * there[:, None], 2 * there])
                truths.append({"id": len(truths) + 1, "image_id": image, "category_id": 1,
                               "iscrowd": 0, "num_keypoints": int(there.sum()), "area": area,
                               "keypoints": keypoints.ravel().tolist(),
                               "bbox": [0, 0, 1, 1]})  # fmt: skip
                images.append(image)
        for frame, pose, score in zip(frames, predicted, scores, strict=True):
            image = 1000 * clip + int(frame)
            if image in images and np.isfinite(pose).all(-1).any():
                keypoints = np.column_stack([np.nan_to_num(pose, nan=9e4), np.ones(len(pose))])
                found.append({"image_id": image, "category_id": 1, "score": score,
                              "keypoints": keypoints.ravel().tolist()})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = {"info": {}, "images": [{"id": i} for i in sorted(set(images))],
                           "annotations": truths, "categories": [{"id": 1}]}  # fmt: skip
        dataset.createIndex()
        evaluation = COCOeval(dataset, dataset.loadRes(found), "keypoints")
        evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(evaluation.stats[row]) for row in (0, 1, 2, 5)]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_same_as_all_images_at_once(seed: int, people: int):
    clips = [made(seed + clip, people) for clip in range(3)]
    found = coco_average_precision([match_clip(*clip, SIGMAS) for clip in clips])
    assert list(found) == list(STATISTICS)
    np.testing.assert_allclose(list(found.values()), at_once(clips), atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_drawn_clips_are_the_evaluator_with_these_clips(seed: int):
    """Each sample of the bootstrap is ``COCOeval.accumulate`` of the clips as often as drawn."""
    clips = [match_clip(*made(seed + clip), SIGMAS) for clip in range(4)]
    weights = np.random.default_rng(seed).multinomial(4, np.full(4, 0.25), 5).astype(float)
    order = np.argsort(-np.concatenate([c.scores for c in clips]), kind="mergesort")
    matched = np.ascontiguousarray(np.concatenate([c.matched for c in clips], axis=1)[:, order])
    clip_of = np.repeat(np.arange(4), [len(c.scores) for c in clips])[order]
    num_true = np.array([c.num_true for c in clips], float)
    recalls = COCOeval(iouType="keypoints").params.recThrs
    found = weighted_statistics(matched, clip_of, num_true, weights, recalls)
    for row, weight in zip(found, weights, strict=True):
        drawn = [clip for clip, w in zip(clips, weight, strict=True) for _ in range(int(w))]
        np.testing.assert_allclose(row, list(coco_average_precision(drawn).values()), atol=1e-9)


def test_intervals():
    clips = [match_clip(*made(seed), SIGMAS) for seed in range(8)]
    value, interval = coco_average_precision(clips), coco_intervals(clips, num_samples=200)
    for name in STATISTICS:
        low, high = interval[name]
        assert 0 < low < value[name] < high < 1
    assert coco_intervals(clips, num_samples=200) == interval
    assert coco_intervals(clips, num_samples=200, seed=1) != interval
    assert np.isnan(list(coco_intervals(clips[:1]).values())).all()


def test_a_wrong_pose_of_few_joints_counts():
    """One right pose, and a more confident wrong one that lacks a joint: precision 1/2."""
    true = np.random.default_rng(0).uniform(0, 200, (1, 5, 2))
    wrong = true + 500
    wrong[:, 0] = np.nan
    clip = match_clip(np.concatenate([true, wrong]), np.array([0.5, 0.9]), np.zeros(2, int), true,
                      np.zeros(1, int), np.array([4e4]), SIGMAS)  # fmt: skip
    assert coco_average_precision([clip])["ap"] == pytest.approx(0.5)


def test_nobody():
    predicted, scores, frames, true, true_frames, areas = made(0)
    unfound = match_clip(predicted[:0], scores[:0], frames[:0], true, true_frames, areas, SIGMAS)
    assert coco_average_precision([unfound]) == dict.fromkeys(STATISTICS, 0)
    nobody = match_clip(predicted, scores, frames, true * np.nan, true_frames, areas, SIGMAS)
    assert (nobody.num_true, nobody.num_images, len(nobody.scores)) == (0, 0, 0)
    assert np.isnan(list(coco_average_precision([nobody]).values())).all()
