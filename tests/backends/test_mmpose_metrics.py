"""The numbers of ``evaluate`` are those of mmpose's own metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from expert_client import run_reference
from made_clips import made_clip, write_release
from test_evaluate import add_layer

from posedata.evaluate import evaluate
from posedata.metric_names import parse_metrics

HEAD_BOXES = {"head_boxes": {"type": "float32", "per": "pose", "shape": [4], "about": "Head."}}


def numbers(release, metrics, by=None):
    result = evaluate(release, ["off"], "made", parse_metrics(metrics), by=by, num_samples=0)
    return {(score.metric, score.group): score.value for score in result.scores}


@pytest.fixture
def in_pictures(tmp_path):
    """Poses of MPII's joints, a tenth of the true ones missing, 2 to 60 px off."""
    rng = np.random.default_rng(3)
    clips = [made_clip(name, [range(40), range(30)], 40, skeleton="mpii16", slots=False)
             for name in "ab"]  # fmt: skip
    true = [replace(clip, keypoints_2d=(clip.keypoints_2d / 8 + 300).astype(np.float32),
                    extra={"head_boxes": np.tile(np.float32([0, 0, 30, 40]), (70, 1))
                           * rng.uniform(0.5, 2, (70, 1)).astype(np.float32)})
            for clip in clips]  # fmt: skip
    off = []
    for clip in true:
        complete = np.nan_to_num(clip.keypoints_2d, nan=300)
        noise = rng.normal(0, 1, complete.shape) * rng.uniform(2, 60, (70, 16, 1))
        off.append(replace(clip, layer="off", keypoints_2d=(complete + noise).astype(np.float32),
                           extra={}))  # fmt: skip
    made = write_release(tmp_path / "r2", true, own_columns=HEAD_BOXES)
    return add_layer(made, off), true, off


@pytest.fixture
def in_space(tmp_path):
    """Complete poses of Human3.6M's joints with the root at the origin, 5 to 20 cm off."""
    rng = np.random.default_rng(4)
    clip = made_clip("a", [range(60)], 60, skeleton="h36m17", arrays=("keypoints_3d",),
                     slots=False)  # fmt: skip
    body = rng.normal(0, 0.5, (17, 3))
    poses = body + rng.normal(0, 0.1, (60, 17, 3))
    noisy = 1.2 * poses + rng.normal(0, 0.05, poses.shape)
    pair = [(p - p[:, :1]).astype(np.float32) for p in (poses, noisy)]
    true = replace(clip, keypoints_3d=pair[0])
    off = replace(clip, layer="off", keypoints_3d=pair[1])
    return add_layer(write_release(tmp_path / "r3", [true]), [off]), *pair


def test_the_same_numbers(mmpose_python, tmp_path, in_pictures, in_space):
    release, true, off = in_pictures
    poses = np.concatenate([clip.keypoints_2d for clip in true]).astype(np.float64)
    boxes = np.concatenate([clip.boxes for clip in true])
    heads = np.concatenate([clip.extra["head_boxes"] for clip in true]).astype(np.float64)
    release_3d, true_3d, predicted_3d = in_space
    np.savez(
        tmp_path / "poses.npz", true=np.nan_to_num(poses), mask=np.isfinite(poses).all(-1),
        predicted=np.concatenate([clip.keypoints_2d for clip in off]).astype(np.float64),
        box_sizes=(boxes[:, 2:] - boxes[:, :2]).max(1).astype(np.float64),
        head_sizes=0.6 * np.linalg.norm(heads[:, 2:] - heads[:, :2], axis=1),
        true_3d=true_3d.astype(np.float64), predicted_3d=predicted_3d.astype(np.float64),
    )  # fmt: skip
    run_reference(mmpose_python, "reference_metrics.py", tmp_path / "poses.npz",
                  tmp_path / "answers.npz")  # fmt: skip
    theirs = np.load(tmp_path / "answers.npz")
    ours = numbers(release, "pck@0.2,auc,epe,pckh@0.5", by="joint")
    close = {"rtol": 0, "atol": 1e-6}
    np.testing.assert_allclose(ours["pck@0.2(bbox)", ""], theirs["pck"], **close)
    of_joints = [ours["pck@0.2(bbox)", joint] for joint in true[0].skeleton.joints]
    np.testing.assert_allclose(of_joints, theirs["pck_of_joints"], **close)
    np.testing.assert_allclose(ours["auc(30px)", ""], theirs["auc"], **close)
    # mmpose averages this error in float32
    np.testing.assert_allclose(ours["epe", ""], theirs["epe"], rtol=1e-6)
    np.testing.assert_allclose(100 * ours["pckh@0.5", ""], theirs["mpii"], **close)
    assert 0.1 < ours["pckh@0.5", ""] < 0.9
    in_mm = numbers(release_3d, "mpjpe,n_mpjpe,pa_mpjpe")
    for metric, alignment in (("mpjpe", "none"), ("n_mpjpe", "scale"), ("pa_mpjpe", "procrustes")):
        np.testing.assert_allclose(
            in_mm[metric, ""], 1000 * theirs[f"mpjpe_{alignment}"], rtol=1e-6
        )
