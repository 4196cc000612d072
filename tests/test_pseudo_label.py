"""Pseudo-labels: the sample is the one asked for, and each label follows from its pose."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_clips import made_clip, write_release
from typer.testing import CliRunner

from posedata.anchor_files import read_anchors, store_anchors
from posedata.anchors import Anchors
from posedata.cli import app
from posedata.cli.anchors import register as register_anchors
from posedata.cli.pseudo_label import register
from posedata.convert import convert, plan_conversion
from posedata.errors import InputError, OutputError, UsageError
from posedata.nearest_anchor import assign
from posedata.pseudo_coco import coco_documents
from posedata.pseudo_label import (
    OWN_COLUMNS,
    choose_frames,
    choose_videos,
    label_clip,
    plan_pseudo_labels,
    pose_boxes,
    pseudo_label,
)
from posedata.release import open_release
from posedata.validate import validate

NAN = np.nan

if not any(command.name == "pseudo-label" for command in app.registered_commands):
    register(app)
if not any(command.name == "anchors" for command in app.registered_commands):
    register_anchors(app)


def test_box_by_hand():
    poses = np.array([[[100, 40], [140, 100], [NAN, NAN]], [[5, 5], [5, 5], [5, 5]],
                      [[NAN, NAN]] * 3])  # fmt: skip
    boxes = pose_boxes(poses, 0.1)
    np.testing.assert_allclose(boxes[0], [98, 37, 142, 103])  # 40 x 60 becomes 44 x 66
    assert np.isnan(boxes[1:]).all()
    assert boxes.dtype == np.float32


def test_boxes_end_with_the_picture():
    poses = np.array([[[-10, 10], [30, 60]], [[-30, 0], [-1, 9]]], np.float32)
    boxes = pose_boxes(poses, 0, (20, 50))
    np.testing.assert_array_equal(boxes[0], [0, 10, 19, 49])
    assert np.isnan(boxes[1]).all()  # beside the picture


@given(st.integers(1, 400), st.floats(0.01, 1), st.floats(0, 0.9), st.integers(0, 99))
def test_videos_are_chosen_as_many_as_asked(num, part, validation, seed):
    train, kept = choose_videos(num, part, validation, seed)
    both = np.concatenate([train, kept])
    assert len(both) == len(set(both.tolist())) == max(1, round(part * num))
    assert len(kept) == round(validation * len(both))
    assert both.min() >= 0
    assert both.max() < num


def test_each_video_has_the_same_chance():
    counts = np.zeros(50)
    for seed in range(400):
        counts[np.concatenate(choose_videos(50, 0.1, 0.2, seed))] += 1
    assert np.abs(counts - 40).max() < 5 * np.sqrt(40)
    assert not np.array_equal(choose_videos(50, 0.1, 0, 1)[0], choose_videos(50, 0.1, 0, 2)[0])


@given(st.integers(1, 500), st.floats(0.01, 1), st.integers(0, 99))
def test_frames_are_spread_evenly(num, part, seed):
    frames = choose_frames(num, part, np.random.default_rng(seed))
    assert len(frames) == min(num, max(1, round(part * num)))
    assert frames[0] >= 0
    assert frames[-1] < num
    steps = np.diff(frames)
    assert (steps >= 1).all()
    if len(steps):
        assert steps.max() - steps.min() <= 1


def test_each_frame_has_the_same_chance():
    counts = np.zeros(23)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        counts[choose_frames(23, 0.3, rng)] += 1
    expected = 2000 * 7 / 23
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def clips(n: int = 20, *, skeleton: str = "coco17", **info):
    """Clips of two people, with a confidence a pose."""
    made = []
    for number in range(n):
        clip = made_clip(f"clip{number:02}", [range(30), range(5, 25)], 30, skeleton=skeleton,
                         ids=["11", "7"], slots=False, width=900, height=900,
                         label=number % 3, **info)  # fmt: skip
        clip.extra["confidence"] = np.linspace(0.2, 1, len(clip.frames), dtype=np.float32)
        made.append(clip)
    return made


@pytest.fixture
def release(tmp_path):
    place = tmp_path / "release"
    opened = write_release(place, clips(), own_columns={"confidence": OWN_COLUMNS["confidence"]})
    (place / "README.md").write_text("made")
    anchors = np.random.default_rng(0).random((5, 17, 2)).astype(np.float32)
    store_anchors(opened, "made", Anchors(anchors, np.arange(5), 0, 0, 0), {})
    return place


def test_labels_by_hand():
    clip = clips(1)[0]
    anchors = np.random.default_rng(0).random((5, 17, 2)).astype(np.float32)
    labelled, left_out = label_clip(
        clip, anchors, np.array([0, 6, 7]), widen=0.1, layer="pseudo", is_validation=True,
        info=clip.info,
    )  # fmt: skip
    # row 0 of a made clip has one joint; frames 6 and 7 have both persons
    assert left_out == {"too few joints for a class": 1, "no area in the picture": 0}
    assert labelled.frames.tolist() == [6, 7, 6, 7]
    assert labelled.persons.tolist() == [0, 0, 1, 1]
    assert labelled.person_ids == ("11", "7")
    rows = [6, 7, 31, 32]
    classes, distances = assign(clip.keypoints_2d[rows], anchors)
    np.testing.assert_array_equal(labelled.extra["anchor_class"], classes)
    np.testing.assert_array_equal(labelled.extra["anchor_distance"], distances)
    np.testing.assert_array_equal(labelled.extra["confidence"], clip.extra["confidence"][rows])
    np.testing.assert_array_equal(
        labelled.boxes, pose_boxes(clip.keypoints_2d[rows], 0.1, (900, 900))
    )
    assert labelled.extra["validation"].tolist() == [1] * 4


def test_the_layer_holds_the_sample_and_the_release_stays_valid(release):
    plan = plan_pseudo_labels(release, "made", videos=0.5, frames=0.2, validation=0.2, seed=4)
    summary = pseudo_label(plan)
    opened = open_release(release)
    assert list(validate(opened)) == []
    found = list(opened.iter_clips("pseudo"))
    assert [clip.clip_id for clip in found] == [sample.clip_id for sample in plan.samples]
    assert len(found) == summary.clips == 10
    of_validation = [clip.extra["validation"] for clip in found]
    assert sum(values.all() for values in of_validation) == 2
    assert sum(values.any() for values in of_validation) == 2
    left_out = sum("too few" in row["reason"] for row in opened.rejects().to_pylist())
    assert left_out == summary.warnings
    for clip in found:
        rng = np.random.default_rng([4, *clip.clip_id.encode()])
        frames = choose_frames(30, 0.2, rng)
        source = opened.clip(clip.clip_id, "made")
        expected, _ = label_clip(
            source, read_anchors(opened, "made"), frames, widen=0.1, layer="pseudo",
            is_validation=bool(clip.extra["validation"][0]), info=clip.info,
        )  # fmt: skip
        assert clip.equals(expected)
        assert len(np.unique(clip.frames)) <= 6
    assert opened.manifest.history[-1]["operation"] == "pseudo-label"
    assert opened.manifest.history[-1]["options"]["seed"] == 4
    assert read_anchors(opened, "made").shape == (5, 17, 2)  # still listed


def test_equal_seeds_give_equal_bytes(tmp_path, release):
    other = tmp_path / "other"
    shutil.copytree(release, other)
    for place in (release, other):
        pseudo_label(plan_pseudo_labels(place, "made", videos=0.5, frames=0.2))
    part = "data/pseudo/part-00000.parquet"
    assert (release / part).read_bytes() == (other / part).read_bytes()
    assert (release / "posedata.json").read_bytes() == (other / "posedata.json").read_bytes()


def test_a_kill_at_the_end_is_resumed(release, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("posedata.closing.write_card", killed)
        with pytest.raises(KeyboardInterrupt):
            pseudo_label(plan_pseudo_labels(release, "made", videos=0.5))
    summary = pseudo_label(plan_pseudo_labels(release, "made", videos=0.5), resume=True)
    assert summary.clips == 10
    assert list(validate(open_release(release))) == []
    again = pseudo_label(plan_pseudo_labels(release, "made", videos=0.5), resume=True)
    assert again == summary
    with pytest.raises(OutputError, match="already"):
        pseudo_label(plan_pseudo_labels(release, "made", videos=0.5))


@pytest.mark.parametrize(("options", "said"), [
    ({"videos": 0}, "--videos"), ({"frames": 1.5}, "--frames"), ({"validation": 1}, "--validation"),
    ({"widen": -0.1}, "--widen"), ({"anchors": "other"}, "other"),
])  # fmt: skip
def test_options_that_mean_nothing(release, options, said):
    with pytest.raises(UsageError, match=said):
        plan_pseudo_labels(release, "made", **options)


def test_without_anchors_it_says_how_to_make_them(tmp_path):
    write_release(tmp_path / "r", clips(2), own_columns={"confidence": OWN_COLUMNS["confidence"]})
    with pytest.raises(UsageError, match="posedata anchors"):
        plan_pseudo_labels(tmp_path / "r", "made")


def test_the_command_writes_coco_of_the_layer(release, tmp_path):
    out = tmp_path / "labels.json"
    ran = CliRunner().invoke(app, ["pseudo-label", str(release), "--layer", "made", "--videos",
                                   "0.5", "--frames", "0.2", "-o", str(out), "--json"])  # fmt: skip
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    opened = open_release(release)
    joints = opened.skeleton("made").joints
    ids: list[int] = []
    for split, kept in (("train", 0), ("val", 1)):
        document = json.loads((tmp_path / f"labels_{split}.json").read_text())
        assert [c["id"] for c in document["categories"]] == [1, 2, 3, 4, 5]
        assert document["categories"][0]["keypoints"] == list(joints)
        images = {image["id"]: image for image in document["images"]}
        assert len(images) == said[split]["images"] > 0
        assert len(document["annotations"]) == said[split]["annotations"]
        assert {a["image_id"] for a in document["annotations"]} == set(images)
        for entry in document["annotations"]:
            ids.append(entry["id"])
            image = images[entry["image_id"]]
            assert image["file_name"] == f"{image['clip_id']}/{image['frame_id']:06d}.jpg"
            clip = opened.clip(image["clip_id"], "pseudo")
            (row,) = np.flatnonzero(
                (clip.frames == image["frame_id"]) & (clip.persons == entry["track_id"])
            )
            x, y, w, h = entry["bbox"]
            np.testing.assert_allclose([x, y, x + w, y + h], clip.boxes[row], rtol=1e-5)
            np.testing.assert_allclose(entry["area"], w * h, rtol=1e-6)
            assert entry["category_id"] == clip.extra["anchor_class"][row] + 1
            assert np.float32(entry["score"]) == clip.extra["confidence"][row]
            assert entry["iscrowd"] == 0
            triplets = np.array(entry["keypoints"]).reshape(17, 3)
            there = np.isfinite(clip.keypoints_2d[row]).all(-1)
            np.testing.assert_allclose(triplets[there, :2], clip.keypoints_2d[row][there])
            assert (triplets[~there] == 0).all()
            np.testing.assert_array_equal(triplets[:, 2], clip.visibility[row])
            assert entry["num_keypoints"] == there.sum()
            assert clip.extra["validation"][row] == kept
    assert sorted(ids) == list(range(1, len(ids) + 1))
    again = CliRunner().invoke(app, ["pseudo-label", str(release), "--layer", "made",
                                     "-o", str(out)])  # fmt: skip
    assert isinstance(again.exception, OutputError)


def test_coco_needs_the_size_of_pictures(tmp_path):
    place = tmp_path / "release"
    made = clips(4)
    for clip in made:
        del clip.info["width"]
    opened = write_release(place, made, own_columns={"confidence": OWN_COLUMNS["confidence"]})
    anchors = np.random.default_rng(0).random((5, 17, 2)).astype(np.float32)
    store_anchors(opened, "made", Anchors(anchors, np.arange(5), 0, 0, 0), {})
    arguments = ["pseudo-label", str(place), "--layer", "made", "--videos", "1", "-o",
                 str(tmp_path / "p.json")]  # fmt: skip
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, InputError)
    assert "pseudo" not in open_release(place).layers  # nothing was begun
    given_size = CliRunner().invoke(app, [*arguments, "--size", "900x700"])
    assert given_size.exit_code == 0, given_size.output
    document = json.loads((tmp_path / "p_train.json").read_text())
    assert {(image["width"], image["height"]) for image in document["images"]} == {(900, 700)}


def test_file_names_follow_the_pattern(release):
    pseudo_label(plan_pseudo_labels(release, "made", videos=0.5))
    opened = open_release(release)
    document = coco_documents(opened, "pseudo", 5, file_name="{clip_id}_{frame:03d}.png")["train"]
    image = document["images"][0]
    assert image["file_name"] == f"{image['clip_id']}_{image['frame_id']:03d}.png"
    for pattern in ("{video}.jpg", "{frame:q}", "{0}"):
        with pytest.raises(UsageError, match="file-name"):
            coco_documents(opened, "pseudo", 5, file_name=pattern)


def test_the_number_of_workers_does_not_change_a_byte(tmp_path, release, monkeypatch):
    monkeypatch.setattr("posedata.plan.SHARD_CLIPS", 3)
    shutil.copytree(release, tmp_path / "other")
    for place, workers in ((release, 1), (tmp_path / "other", 2)):
        plan = plan_pseudo_labels(place, "made", videos=0.5)
        assert len(plan.shards) == 4
        pseudo_label(plan, num_workers=workers)
    mine, theirs = (
        {str(path.relative_to(place)): path.read_bytes()
         for path in place.rglob("*") if path.is_file()}
        for place in (release, tmp_path / "other")
    )  # fmt: skip
    assert mine == theirs


def test_limit_takes_the_first_of_the_videos_that_were_chosen(release):
    plan = plan_pseudo_labels(release, "made", videos=0.5, limit=3)
    every = plan_pseudo_labels(release, "made", videos=0.5)
    assert plan.samples == every.samples[:3]
    assert pseudo_label(plan, num_workers=1).clips == 3
    with pytest.raises(UsageError, match="--limit"):
        plan_pseudo_labels(release, "made", limit=0)


def test_a_dry_run_writes_nothing(release, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    arguments = ["pseudo-label", str(release), "--layer", "made", "--videos", "0.5", "-o",
                 str(tmp_path / "p.json"), "--dry-run"]  # fmt: skip
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert "would label poses of 10 clips, 2 of them for validation" in said.stdout
    document = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert (document["clips"], document["validation_clips"]) == (10, 2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# -- what a trainer of detectors does with the files ----------------------------------------------


def check_coco(path, num_classes):
    """Load a file by COCO's own tools, check what trainers rely on, and score it against itself."""
    coco_tools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    coco = coco_tools.COCO(str(path))
    assert coco.getCatIds() == list(range(1, num_classes + 1))
    images, annotations = coco.loadImgs(coco.getImgIds()), coco.loadAnns(coco.getAnnIds())
    assert len({image["file_name"] for image in images}) == len(images)
    for image in images:
        assert type(image["width"]) is type(image["height"]) is int
        assert coco.getAnnIds(imgIds=image["id"])  # no picture is said to be empty
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    for entry in annotations:
        x, y, w, h = entry["bbox"]
        width, height = sizes[entry["image_id"]]
        assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height
        assert entry["area"] == pytest.approx(w * h, rel=1e-6)
        assert entry["iscrowd"] == 0
        assert 1 <= entry["category_id"] <= num_classes
        assert entry["num_keypoints"] > 0
    found = [{"score": 0.9, **entry} for entry in annotations]
    evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
    wrong = [{**entry, "category_id": entry["category_id"] % num_classes + 1} for entry in found]
    evaluation = COCOeval(coco, coco.loadRes(wrong), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] < 0.5  # classes count, too
    return coco


def test_coco_tools_read_it_and_it_is_perfect_against_itself(release, tmp_path):
    arguments = ["pseudo-label", str(release), "--layer", "made", "--videos", "0.7", "--frames",
                 "0.3", "-o", str(tmp_path / "p.json")]  # fmt: skip
    assert CliRunner().invoke(app, arguments).exit_code == 0
    train, val = (check_coco(tmp_path / f"p_{split}.json", 5) for split in ("train", "val"))
    assert train.dataset["categories"] == val.dataset["categories"]
    clips_of = [{image["clip_id"] for image in coco.dataset["images"]} for coco in (train, val)]
    assert clips_of[0] and clips_of[1] and not clips_of[0] & clips_of[1]
    assert not set(train.getImgIds()) & set(val.getImgIds())


@pytest.mark.real
@pytest.mark.parametrize("name", ["penn", "nucla"])
def test_real_poses_become_labels(shared, tmp_path, name):
    """Of N-UCLA, whose release has metres alone, it is said what is missing."""
    place = tmp_path / name
    convert(plan_conversion(name, shared / "data" / name, limit=200), place)
    if name == "nucla":
        with pytest.raises(UsageError, match="has no 2D poses"):
            plan_pseudo_labels(place, "kinect")
        return
    assert CliRunner().invoke(app, ["anchors", str(place), "-k", "8"]).exit_code == 0
    shutil.copytree(place, tmp_path / "other")
    for number, copy in enumerate((place, tmp_path / "other"), start=1):
        arguments = ["pseudo-label", str(copy), "--layer", "human", "--videos", "0.5", "-j",
                     str(number), "-o", str(tmp_path / f"{number}.json"), "--json"]  # fmt: skip
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, ran.output
    part = "data/pseudo/part-00000.parquet"
    assert (place / part).read_bytes() == (tmp_path / "other" / part).read_bytes()
    for split in ("train", "val"):
        assert (tmp_path / f"1_{split}.json").read_bytes() == (
            tmp_path / f"2_{split}.json"
        ).read_bytes()
        check_coco(tmp_path / f"1_{split}.json", 8)
    check = [sys.executable, str(shared / "checks" / "contract.py"), str(place)]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    assert list(validate(open_release(place))) == []
