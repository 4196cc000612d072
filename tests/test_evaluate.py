"""Layers of a release measured: names of metrics, numbers, groups, and what is left out."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from made_clips import CLIP_COLUMNS, LABELS, made_clip, write_release
from typer.testing import CliRunner

from posedata.cli import evaluate as command
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.errors import OutputError, UsageError
from posedata.evaluate import Evaluation, evaluate
from posedata.evaluation_score import Score
from posedata.layer_table import LayerTable
from posedata.manifest import FILE_NAME
from posedata.metric_names import parse_metric, parse_metrics
from posedata.metrics_2d import pck
from posedata.release import Release, open_release
from posedata.release_writer import write_part
from posedata.skeleton import load_skeleton
from posedata.storage import locate

COLUMNS = (*CLIP_COLUMNS, "camera")


def add_layer(release: Release, clips: Sequence[Clip]) -> Release:
    """Give a release of one layer a second one."""
    first, place = clips[0], locate(str(release.place))
    table = LayerTable(first.layer, first.skeleton, (*COLUMNS, *first.arrays), LABELS)
    name = f"data/{first.layer}/part-00000.parquet"
    files = {**release.manifest.files, name: write_part(place / name, table, clips)}
    entry = {"skeleton": first.skeleton.name, "columns": list(table.definitions),
             "label_names": list(LABELS), "own_columns": {}, "made_by": {}}  # fmt: skip
    manifest = replace(
        release.manifest, files=files,
        skeletons={**release.manifest.skeletons, first.skeleton.name: first.skeleton},
        layers={**release.manifest.layers, first.layer: entry},
    )  # fmt: skip
    (place / FILE_NAME).write_bytes(manifest.to_json())
    return open_release(str(release.place))


def moved(clip: Clip, layer: str, offset: Sequence[float], **changes: object) -> Clip:
    """Give a clip's poses in another layer, all joints off by an offset."""
    name = "keypoints_2d" if len(offset) == 2 else "keypoints_3d"
    poses = (getattr(clip, name) + np.array(offset, np.float32)).astype(np.float32)
    changes = {name: poses, "extra": {}, **changes}
    return replace(clip, layer=layer, **changes)  # type: ignore[arg-type]


def true_clips(**options: object) -> list[Clip]:
    return [
        made_clip("a", [range(6), range(2, 5)], 8, label=0, camera=1, slots=False, **options),
        made_clip("b", [range(5)], 8, label=1, camera=2, slots=False, **options),
        made_clip("c", [range(4)], 8, label=1, camera=1, slots=False, **options),
    ]  # type: ignore[arg-type]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A truth of three clips; a prediction that is off by 5, 10 px, and without the last clip."""
    clips = true_clips()
    made = write_release(tmp_path / "r", clips, clip_columns=COLUMNS)
    predicted = [moved(clips[0], "off", (3, 4)), moved(clips[1], "off", (6, 8))]
    return add_layer(made, predicted)


def one(result: Evaluation, metric: str, group: str = "") -> Score:
    (score,) = [s for s in result.scores if (s.metric, s.group) == (metric, group)]
    return score


def test_names_are_written_out():
    assert [m.name for m in parse_metrics("pck@0.2,auc,pck@0.2(bbox),pck3d@150mm")] == [
        "pck@0.2(bbox)", "auc(30px)", "pck3d@150mm",
    ]  # fmt: skip
    metric = parse_metric("pckh_headneck@0.5")
    assert (metric.kind, metric.threshold, metric.normaliser) == ("pckh_headneck", 0.5, "headneck")
    assert parse_metric("pckh@0.5").normaliser == "head"
    assert parse_metric("auc(headneck)").average == "joints"


@pytest.mark.parametrize(
    "name",
    ["", "pck", "pck@0", "pck@0.5mm", "pck@0.5(head)", "pckh", "pckh@x", "pck3d@150", "mpjpe@3",
     "auc(px)", "iou", "pckh_headneck@-1", "pckh_headneck@0.5(torso)"],
)  # fmt: skip
def test_names_that_mean_nothing(name: str):
    with pytest.raises(UsageError, match="no such metric"):
        parse_metric(name)


def test_numbers_by_hand(release: Release):
    """What is missing is missing in both layers: 5 px in the joints of clip a, 10 px in b."""
    a, b, _ = true_clips()
    joints = [int(np.isfinite(clip.keypoints_2d[..., 0]).sum()) for clip in (a, b)]
    result = evaluate(release, ["off"], "made", parse_metrics("epe,pck@0.2,auc"), by="clip")
    assert one(result, "epe", "a").value == pytest.approx(5, abs=1e-4)
    assert one(result, "epe", "b").value == pytest.approx(10, abs=1e-4)
    score = one(result, "epe")
    assert score.value == pytest.approx((5 * joints[0] + 10 * joints[1]) / sum(joints), abs=1e-4)
    assert (score.joints, score.poses, score.frames, score.clips) == (sum(joints), 14, 11, 2)
    assert score.left_out["truth_missing"] == 14 * 17 - sum(joints)
    assert score.left_out["prediction_missing"] == 0
    assert 4.999 < score.low <= score.value <= score.high < 10.001
    assert np.isnan(one(result, "epe", "a").low)
    assert one(result, "auc(30px)", "a").value == pytest.approx(16 / 20)  # 1/6 < 4/20
    counts = result.layers["off"]
    assert (counts.clips, counts.clips_without_layer) == (2, 1)
    assert (counts.true_poses, counts.paired_poses, counts.extra_poses) == (14, 14, 0)


def test_the_same_as_the_plain_function(release: Release):
    a, b, _ = true_clips()
    true = np.concatenate([a.keypoints_2d, b.keypoints_2d])
    predicted = np.concatenate([a.keypoints_2d + np.float32([3, 4]),
                                b.keypoints_2d + np.float32([6, 8])])  # fmt: skip
    boxes = np.concatenate([a.boxes, b.boxes])
    lengths = (boxes[:, 2:] - boxes[:, :2]).max(1)
    plain = pck(predicted, true, lengths, 0.05)
    result = evaluate(release, ["off"], "made", [parse_metric("pck@0.05")], by="joint")
    assert one(result, "pck@0.05(bbox)").value == pytest.approx(plain.mean_over_joints)
    of_joints = [one(result, "pck@0.05(bbox)", j).value for j in load_skeleton("coco17").joints]
    np.testing.assert_allclose(of_joints, plain.per_joint)


def test_missing_predictions(tmp_path: Path):
    """Of 17 joints in 5 poses, one pose and one joint of the others are not predicted."""
    true = made_clip("b", [range(5)], 8, slots=False)
    true = replace(true, keypoints_2d=np.nan_to_num(true.keypoints_2d, nan=50))
    poses = true.keypoints_2d.copy()
    poses[:, 0] = np.nan
    keep = [0, 1, 2, 3]
    predicted = replace(
        true, layer="off", frames=true.frames[keep], persons=true.persons[keep],
        keypoints_2d=poses[keep], scores=true.scores[keep], visibility=true.visibility[keep],
        boxes=true.boxes[keep],
    )  # fmt: skip
    release = add_layer(write_release(tmp_path / "r", [true]), [predicted])
    result = evaluate(release, ["off"], "made", parse_metrics("auc(bbox),epe,oks"))
    score = one(result, "auc(bbox)")  # 0 is below all thresholds but the first
    assert score.value_if_skipped == pytest.approx(19 / 20)
    assert score.value == pytest.approx(19 / 20 * (16 * 4 / 5) / 17)
    assert (score.joints, score.left_out["prediction_missing"]) == (85, 21)
    assert (one(result, "epe").value, one(result, "epe").joints) == (0, 64)
    assert one(result, "oks").value == pytest.approx(4 / 5 * 16 / 17)
    assert one(result, "oks").value_if_skipped == pytest.approx(16 / 17)


def test_groups(release: Release):
    result = evaluate(release, ["off"], "made", [parse_metric("epe")], by="label", num_samples=0)
    assert [score.group for score in result.scores] == ["", *sorted(LABELS[:2])]
    result = evaluate(release, ["off"], "made", [parse_metric("epe")], by="camera")
    assert one(result, "epe", "2").value == pytest.approx(10, abs=1e-4)
    result = evaluate(release, ["off"], "made", [parse_metric("epe")], clip_ids=["b"])
    assert one(result, "epe").value == pytest.approx(10, abs=1e-4)


def test_joints_by_name(tmp_path: Path):
    """Truth in NTU's joints, prediction in COCO's: twelve in common; the head is the truth's."""
    true = made_clip("a", [range(6)], 8, skeleton="nturgbd25", slots=False)
    coco = made_clip("a", [range(6)], 8, layer="off", slots=False)
    poses = np.full_like(coco.keypoints_2d, np.nan)
    for joint in set(coco.skeleton.joints) & set(true.skeleton.joints):
        there = true.keypoints_2d[:, true.skeleton.index(joint)]
        poses[:, coco.skeleton.index(joint)] = there + np.float32([0, 7])
    coco = replace(coco, keypoints_2d=poses)
    release = add_layer(write_release(tmp_path / "r", [true]), [coco])
    metrics = parse_metrics("nmpjpe_headneck,pckh_headneck@0.5")
    result = evaluate(release, ["off"], "made", metrics)
    assert len(result.joints) == 12
    assert "spine_base" in result.layers["off"].joints_left_out
    lengths = np.linalg.norm(true.keypoints_2d[:, 2] - true.keypoints_2d[:, 3], axis=-1)
    at = [true.skeleton.index(joint) for joint in result.joints]
    there = np.isfinite(true.keypoints_2d[:, at, 0]) & np.isfinite(lengths)[:, None]
    expected = (there * (7 / np.nan_to_num(lengths, nan=1))[:, None])[there].mean()
    score = one(result, "nmpjpe_headneck")
    assert score.value == pytest.approx(expected, rel=1e-5)
    headless = np.isfinite(true.keypoints_2d[:, at, 0]) & ~np.isfinite(lengths)[:, None]
    assert score.left_out["not_measurable"] == headless.sum()
    few = evaluate(release, ["off"], "made", metrics, joints=["left_knee"])
    assert few.joints == ("left_knee",)
    with pytest.raises(UsageError, match="has no spine_mid"):
        evaluate(release, ["off"], "made", metrics, joints=["spine_mid"])


def test_in_space(tmp_path: Path):
    """A prediction that is moved is right at its root; one that stands still has no velocity."""
    true = made_clip("a", [range(6)], 8, skeleton="nturgbd25", arrays=("keypoints_3d",),
                     slots=False)  # fmt: skip
    true = replace(true, keypoints_3d=np.nan_to_num(true.keypoints_3d, nan=0.5))
    release = add_layer(write_release(tmp_path / "r", [true]), [moved(true, "off", (1, 2, 3))])
    names = "mpjpe,pa_mpjpe,n_mpjpe,mpjve,auc3d,pck3d@150mm"
    result = evaluate(release, ["off"], "made", parse_metrics(names))
    for name in ("mpjpe", "pa_mpjpe", "n_mpjpe", "mpjve"):
        assert one(result, name).value == pytest.approx(0, abs=1e-3)
    assert one(result, "auc3d").value == pytest.approx(30 / 31)
    assert one(result, "pck3d@150mm").value == 1
    assert one(result, "mpjve").joints == 25 * 5
    with pytest.raises(UsageError, match="no keypoints_2d"):
        evaluate(release, ["off"], "made", [parse_metric("epe")])


def test_mpii_mean_leaves_out_pelvis_and_thorax(tmp_path: Path):
    true = made_clip("a", [range(6)], 8, skeleton="mpii16", slots=False)
    poses = np.nan_to_num(true.keypoints_2d, nan=50)
    true = replace(true, keypoints_2d=poses,
                   extra={"head_boxes": np.tile(np.float32([0, 0, 30, 40]), (6, 1))})  # fmt: skip
    wrong = poses.copy()
    wrong[:, 6:8] += 1000
    wrong[:, 0] += np.float32([29.9, 0])  # 0.6 x 50 = 30
    own = {"head_boxes": {"type": "float32", "per": "pose", "shape": [4], "about": "Head."}}
    made = write_release(tmp_path / "r", [true], own_columns=own)
    release = add_layer(made, [replace(true, layer="off", keypoints_2d=wrong, extra={})])
    result = evaluate(release, ["off"], "made", parse_metrics("pckh@1,pckh@0.99"), by="joint")
    assert one(result, "pckh@1").value == 1
    assert one(result, "pckh@0.99").value == pytest.approx(13 / 14)
    pelvis = one(result, "pckh@1", "pelvis")
    assert (pelvis.value, pelvis.joints, pelvis.poses, pelvis.frames) == (0, 6, 6, None)


def test_what_a_metric_lacks(release: Release):
    with pytest.raises(UsageError, match="head box"):
        evaluate(release, ["off"], "made", [parse_metric("pckh@0.5")])
    with pytest.raises(UsageError, match="head and neck"):
        evaluate(release, ["off"], "made", [parse_metric("pckh_headneck@0.5")])
    with pytest.raises(UsageError, match="no layer 'x'"):
        evaluate(release, ["x"], "made", [parse_metric("epe")])
    with pytest.raises(UsageError, match="--by"):
        evaluate(release, ["off"], "made", [parse_metric("epe")], by="day")


def test_coco_average_precision(tmp_path: Path):
    clips = true_clips()
    made = write_release(tmp_path / "r", clips, clip_columns=COLUMNS)
    release = add_layer(made, [moved(clip, "off", (0, 0)) for clip in clips])
    result = evaluate(release, ["off"], "made", parse_metrics("ap,ar,ap50"))
    assert one(result, "ap").value == pytest.approx(1)
    assert one(result, "ar").value == pytest.approx(1)
    assert one(result, "ap").poses == 18


def test_coco_by_group_and_its_intervals(tmp_path: Path):
    """Clip c is not found at all: recall 1, 1 and 0, and of all poses 14 of 18."""
    clips = true_clips()
    made = write_release(tmp_path / "r", clips, clip_columns=COLUMNS)
    off = [moved(clip, "off", (0, 0) if clip.clip_id != "c" else (9000, 0)) for clip in clips]
    release = add_layer(made, off)
    result = evaluate(release, ["off"], "made", parse_metrics("ap,ar"), by="clip")
    assert [one(result, "ar", clip).value for clip in "abc"] == pytest.approx([1, 1, 0])
    assert one(result, "ar").value == pytest.approx(14 / 18)
    assert one(result, "ar").low < one(result, "ar").value < one(result, "ar").high
    assert np.isnan(one(result, "ap", "a").low)
    assert (one(result, "ap", "b").poses, one(result, "ap", "b").clips) == (5, 1)
    of_camera = evaluate(release, ["off"], "made", parse_metrics("ap"), by="camera")
    assert one(of_camera, "ap", "2").value == pytest.approx(1)
    assert one(of_camera, "ap", "1").low < one(of_camera, "ap", "1").high
    no_samples = evaluate(release, ["off"], "made", parse_metrics("ap"), num_samples=0)
    assert np.isnan(one(no_samples, "ap").low)


@pytest.mark.parametrize("metric", ["oks", "ap", "ar"])
def test_whole_poses_have_no_joints(release: Release, metric: str):
    with pytest.raises(UsageError, match=f"{metric} by joint"):
        evaluate(release, ["off"], "made", parse_metrics(f"epe,{metric}"), by="joint")


def test_batches_change_nothing(release: Release, monkeypatch: pytest.MonkeyPatch):
    """Clips measured together or one by one give the same numbers; tracks end with their clips."""
    metrics = parse_metrics("epe,jitter,oks,pck@0.2,auc(torso)")
    together = evaluate(release, ["off"], "made", metrics, by="clip")
    monkeypatch.setattr("posedata.paired_clips._BATCH", 1)
    alone = evaluate(release, ["off"], "made", metrics, by="clip")
    assert str(together.scores) == str(alone.scores)
    assert together.layers == alone.layers


def test_other_axes_are_an_error(tmp_path: Path):
    """A layer whose y and z point the other way: an error, unless it is told how to take them."""
    rng = np.random.default_rng(0)
    true = made_clip("a", [range(30)], 30, skeleton="nturgbd25", arrays=("keypoints_3d",),
                     slots=False)  # fmt: skip
    body = rng.uniform(-1, 1, (25, 3)) * [0.3, 0.9, 0.2] + rng.normal(0, 0.02, (30, 25, 3))
    true = replace(true, keypoints_3d=body.astype(np.float32))
    turned = replace(true, layer="off", keypoints_3d=true.keypoints_3d * np.float32([1, -1, -1]))
    mirrored = replace(true, layer="left", keypoints_3d=true.keypoints_3d * np.float32([-1, 1, 1]))
    release = add_layer(write_release(tmp_path / "r", [true]), [turned])
    release = add_layer(release, [mirrored])
    metrics = parse_metrics("mpjpe,pa_mpjpe")
    with pytest.raises(UsageError, match="3D axes of the layer off") as error:
        evaluate(release, ["off"], "made", metrics)
    assert "--axes off=x,-y,-z" in str(error.value)
    told = evaluate(release, ["off"], "made", metrics, axes={"off": "x,-y,-z"})
    assert one(told, "mpjpe").value == pytest.approx(0, abs=1e-3)
    as_it_is = evaluate(release, ["off"], "made", metrics, axes={"off": "x,y,z"})
    assert one(as_it_is, "mpjpe").value > 500
    only_turned = evaluate(release, ["off"], "made", parse_metrics("pa_mpjpe,jitter3d"))
    assert one(only_turned, "pa_mpjpe").value == pytest.approx(0, abs=1e-3)
    with pytest.raises(UsageError, match="pa_mpjpe would mean nothing"):
        evaluate(release, ["left"], "made", parse_metrics("pa_mpjpe"))
    with pytest.raises(UsageError, match="one of off"):
        evaluate(release, ["off"], "made", metrics, axes={"other": "x,y,z"})
    common = [str(release.place), "--pred", "off", "--truth", "made", "--metric", "mpjpe"]
    shown = json.loads(run(*common, "--axes", "off=x,-y,-z", "--json").stdout)
    assert shown["scores"][0]["value"] < 1e-3
    assert isinstance(run(*common).exception, UsageError)
    assert isinstance(run(*common, "--axes", "off").exception, UsageError)


def run(*arguments: str) -> object:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["evaluate", *arguments])


def test_command_line(release: Release, tmp_path: Path):
    common = [str(release.place), "--pred", "off", "--truth", "made", "--metric", "epe,auc"]
    table = tmp_path / "t.csv"
    shown = run(*common, "--csv", str(table))
    assert shown.exit_code == 0, shown.exception
    assert shown.stdout.splitlines()[0].split() == ["layer", "epe", "px", "auc(30px)"]
    assert "1 clips without the layer are left out" in shown.stdout
    rows = list(csv.DictReader(table.open()))
    assert [row["metric"] for row in rows] == ["epe", "auc(30px)"]
    assert 5 < float(rows[0]["value"]) < 10
    again = run(*common, "--csv", str(table))
    assert isinstance(again.exception, OutputError)
    document = json.loads(run(*common, "--by", "clip", "--json").stdout)
    assert [score["group"] for score in document["scores"][:3]] == ["", "a", "b"]
    assert document["scores"][1]["low"] is None
    assert document["layers"]["off"]["clips_without_layer"] == 1


@pytest.mark.real
def test_kinect_is_as_good_as_itself(shared: Path, tmp_path: Path):
    plan = plan_conversion("ntu", shared / "data/ntu/skeletons")
    convert(plan, tmp_path / "ntu", num_workers=1)
    release = open_release(tmp_path / "ntu")
    result = evaluate(release, ["kinect"], "kinect",
                      parse_metrics("pckh_headneck@0.5,mpjpe,jitter"))  # fmt: skip
    assert one(result, "pckh_headneck@0.5").value == 1
    assert one(result, "mpjpe").value == 0
    assert one(result, "mpjpe").poses == 773
    assert one(result, "jitter").value > 0.1
