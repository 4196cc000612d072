"""Fusion and sides: layers that name them as mirrored videos do, and experts that mix them up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_fuse import MAIN, clip, everyone, make_release

import posedata
from posedata.clip import Clip
from posedata.fuse import FusionTask, _fused, fuse, plan_fusion
from posedata.fusion_methods import fusion_method

FRAMES = 40


def person(frames=FRAMES):
    """Somebody who walks to the right, arms and legs apart: (T, V, 2)."""
    keypoints = np.zeros((frames, MAIN.num_joints, 2), np.float32)
    keypoints[..., 0] = 200 + 2 * np.arange(frames)[:, None]
    for left, right in MAIN.swap:
        keypoints[:, left, 0] += 30
        keypoints[:, right, 0] -= 30
        keypoints[:, [left, right], 1] = 20 * left
    return keypoints


@pytest.fixture
def release(tmp_path) -> Path:
    return make_release(tmp_path / "made", {
        "one": [clip("one", everyone(persons=1))], "two": [clip("two", everyone(persons=1))],
    })  # fmt: skip


def let_it_say(release: Path, kept: dict[str, bool], operation: str) -> None:
    """Let the release say of each layer whether its sides were left as the video shows them."""
    manifest = release / "posedata.json"
    content = json.loads(manifest.read_text())
    for layer, keep_sides in kept.items():
        content["layers"][layer]["made_by"] = {
            "operation": operation, "options": {"keep_sides": keep_sides},
        }  # fmt: skip
    manifest.write_text(json.dumps(content))


def fused_points(release: Path, mirrored: bool) -> np.ndarray:
    plan = plan_fusion(release, ["one", "two"], method="consensus")
    (shard,) = plan.shards
    row = {"clip_id": "a", "num_frames": 12, "mirrored": mirrored}
    task = FusionTask(
        shard, plan.raw, plan.description, ("one", "two"), "consensus", 0.0, "",
        {"a": row},
    )  # fmt: skip
    (result,) = list(_fused(task, []))
    return result.keypoints_2d


@pytest.mark.parametrize("operation", ["estimate", "convert"])
def test_a_layer_with_sides_as_seen_is_put_right(release, operation):
    """Joint v is at y = 10 v, in the result under the name of the other side."""
    same = fused_points(release, mirrored=True)
    let_it_say(release, {"one": True, "two": True}, operation)
    exchanged = fused_points(release, mirrored=True)
    np.testing.assert_allclose(exchanged, same[:, MAIN.flip_order], atol=1e-3)
    np.testing.assert_allclose(fused_points(release, mirrored=False), same, atol=1e-3)


def test_layers_that_agree_with_the_release_stay(release):
    same = fused_points(release, mirrored=True)
    let_it_say(release, {"one": False, "two": False}, "estimate")
    np.testing.assert_array_equal(fused_points(release, mirrored=True), same)
    let_it_say(release, {"one": True, "two": True}, "fuse")
    np.testing.assert_array_equal(fused_points(release, mirrored=True), same)


def test_consensus_counts_whose_sides_were_exchanged():
    proposals = np.stack([person(), person() + 1, person() - 1])
    proposals[1, 10:20] = proposals[1, 10:20][:, MAIN.flip_order]
    track = fusion_method("consensus").fuse(proposals, np.ones(proposals.shape[:3]), MAIN)
    expected = np.zeros(FRAMES, np.uint8)
    expected[10:20] = 1
    np.testing.assert_array_equal(track.extra["exchanged"], expected)
    np.testing.assert_allclose(track.keypoints, person(), atol=0.5)


def test_a_fused_release_has_the_count(release):
    fuse(plan_fusion(release, ["one", "two"], method="consensus"), num_workers=1)
    made: Clip = posedata.open_release(release).clip("a", "consensus")
    np.testing.assert_array_equal(made.extra["exchanged"], np.zeros(12, np.uint8))
