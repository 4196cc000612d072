"""Anchors: k-means over poses in their boxes, with what is missing left out of account."""

from __future__ import annotations

import json
import shutil
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest
import sklearn.cluster as sklearn_cluster
from hypothesis import given
from hypothesis import strategies as st
from made_clips import awkward_clips, write_release
from typer.testing import CliRunner

from posedata import anchors as anchors_module
from posedata.anchor_files import read_anchors, sample_poses, store_anchors
from posedata.anchor_picture import anchors_svg
from posedata.anchors import Anchors, box_normalise, fill, fit_anchors
from posedata.cli import app
from posedata.cli.anchors import register
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.errors import OutputError, UsageError
from posedata.manifest import FILE_NAME
from posedata.nearest_anchor import LEAST_JOINTS, NO_CLASS, _assign, assign, distances
from posedata.release import open_release
from posedata.skeleton import load_skeleton
from posedata.validate import validate

NAN = np.nan

if not any(command.name == "anchors" for command in app.registered_commands):
    register(app)


def made_poses(n: int, kinds: int = 4, joints: int = 9, seed: int = 0):
    """Poses of a few kinds, anywhere and of any size; and which kind each is."""
    rng = np.random.default_rng(seed)
    shapes = rng.random((kinds, joints, 2)) * [60, 120]
    kind = rng.integers(0, kinds, n)
    noise = rng.normal(0, 2, (n, joints, 2))
    poses = (shapes[kind] + noise) * rng.uniform(0.5, 3, (n, 1, 1)) + rng.uniform(0, 900, (n, 1, 2))
    return poses.astype(np.float32), kind


def partition(classes: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(classes == c).tolist()) for c in np.unique(classes)}


def test_box_normalise_by_hand():
    poses = np.array([[[10, 20], [30, 60], [NAN, NAN]], [[5, 5], [5, 5], [NAN, NAN]]])
    normal = box_normalise(poses)
    assert normal.dtype == np.float32
    np.testing.assert_array_equal(normal[0], [[0, 0], [0.5, 1], [NAN, NAN]])
    assert np.isnan(normal[1]).all()  # a point has no size


def test_distance_by_hand():
    # the pose in its box: (0, 0), (1, 0), (1, 0.5); the last joint is 0.5 from the anchor's
    pose = np.array([[10, 10], [30, 10], [30, 20]], np.float32)
    anchor = np.array([[[0, 0], [1, 0], [1, 1]]])
    np.testing.assert_allclose(distances(pose, anchor), [np.sqrt(0.25 / 3)])
    classes, found = assign(pose[None], anchor)
    assert classes.tolist() == [0]
    np.testing.assert_allclose(found, [np.sqrt(0.25 / 3)], rtol=1e-6)


def test_incomplete_pose_is_compared_in_the_box_of_what_both_have():
    # of the anchor's joints 0 and 1, a box of side 0.5 at (0.5, 0); the pose is that, exactly
    anchor = np.array([[[0.5, 0], [1, 0.5], [0, 1]]])
    pose = np.array([[100, 40], [120, 60], [NAN, NAN]], np.float32)
    np.testing.assert_allclose(distances(pose, anchor), [0], atol=1e-12)
    np.testing.assert_allclose(assign(pose[None], anchor)[1], [0], atol=1e-6)
    # and the third joint is put where the anchor has it
    filled = fill(box_normalise(pose[None]), anchor, np.array([0]))
    np.testing.assert_allclose(filled, anchor, atol=1e-6)


def test_no_class_without_half_of_the_joints_or_without_extent():
    anchors = np.random.default_rng(0).random((3, 5, 2))
    poses = np.full((3, 5, 2), NAN, np.float32)
    poses[0, :2] = [[0, 0], [1, 1]]  # 2 of 5
    poses[1, :3] = 7  # one place
    poses[2, :3] = [[0, 0], [1, 1], [2, 0]]
    classes, found = assign(poses, anchors)
    assert classes[:2].tolist() == [NO_CLASS, NO_CLASS]
    assert np.isnan(found[:2]).all()
    assert classes[2] >= 0
    assert np.isfinite(found[2])


def test_ties_go_to_the_first():
    anchors = np.repeat(np.random.default_rng(1).random((1, 4, 2)), 3, axis=0)
    assert assign(anchors[:1].astype(np.float32), anchors)[0].tolist() == [0]


def test_assign_of_nobody():
    classes, found = assign(np.empty((0, 4, 2), np.float32), np.zeros((2, 4, 2)))
    assert (classes.dtype, found.dtype, len(classes), len(found)) == (np.int32, np.float32, 0, 0)


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.7))
def test_kernel_is_the_definition(seed, missing):
    rng = np.random.default_rng(seed)
    anchors = rng.random((4, 6, 2))
    anchors[rng.random((4, 6)) < missing / 2] = NAN
    poses = rng.uniform(-100, 100, (8, 6, 2)).astype(np.float32)
    poses[rng.random((8, 6)) < missing] = NAN
    classes, found = assign(poses, anchors)
    for pose, k, distance in zip(poses, classes, found, strict=True):
        expected = distances(pose, anchors)
        if k == NO_CLASS:
            assert np.isinf(expected).all()
            assert np.isnan(distance)
        else:
            assert k == expected.argmin()
            np.testing.assert_allclose(distance, expected.min(), rtol=1e-5)


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-500, 500))
def test_place_and_size_change_nothing(seed, size, shift):
    rng = np.random.default_rng(seed)
    anchors = rng.random((5, 7, 2))
    poses = rng.uniform(0, 100, (6, 7, 2)).astype(np.float32)
    poses[rng.random((6, 7)) < 0.2] = NAN
    moved = (poses.astype(np.float64) * size + shift).astype(np.float32)
    for (k, d), (k2, d2) in [(assign(poses, anchors), assign(moved, anchors))]:
        assert (k == k2).mean() >= 5 / 6  # rounding may decide what is almost a tie
        np.testing.assert_allclose(d, d2, atol=2e-3)


def test_complete_poses_are_clustered_as_scikit_learn_does():
    poses, _ = made_poses(600)
    found = fit_anchors(poses, k=7, seed=3)
    normal = box_normalise(poses).reshape(600, -1)
    model = sklearn_cluster.KMeans(7, n_init=10, random_state=3).fit(normal)
    assert partition(assign(poses, found.keypoints)[0]) == partition(model.labels_)
    assert found.counts.tolist() == sorted(np.bincount(model.labels_).tolist(), reverse=True)
    assert (found.num_incomplete, found.num_left_out, found.rounds) == (0, 0, 0)


def test_equal_seeds_give_equal_anchors_in_mini_batches_too(monkeypatch):
    poses = np.random.default_rng(0).uniform(0, 100, (900, 6, 2)).astype(np.float32)
    poses[np.random.default_rng(1).random(poses.shape[:2]) < 0.05] = NAN
    for limit in (10_000, 500):
        monkeypatch.setattr(anchors_module, "MINI_BATCH_PAST", limit)
        one, two = fit_anchors(poses, 5, 1), fit_anchors(poses, 5, 1)
        np.testing.assert_array_equal(one.keypoints, two.keypoints)
        assert not np.array_equal(one.keypoints, fit_anchors(poses, 5, 2).keypoints)


def test_past_the_limit_it_is_the_mini_batch_kind(monkeypatch):
    used = []
    real = sklearn_cluster.MiniBatchKMeans
    monkeypatch.setattr(sklearn_cluster, "MiniBatchKMeans",
                        lambda **o: used.append(o) or real(**o))  # fmt: skip
    monkeypatch.setattr(anchors_module, "MINI_BATCH_PAST", 300)
    poses, kind = made_poses(300)
    fit_anchors(poses, 4)
    assert not used
    poses, kind = made_poses(301)
    found = fit_anchors(poses, 4)
    assert len(used) == 1
    assert partition(assign(poses, found.keypoints)[0]) == partition(kind)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_missing_joints_neither_move_nor_blur_the_anchors(share):
    poses, kind = made_poses(2000)
    whole = fit_anchors(poses, k=4)
    holes = poses.copy()
    holes[np.random.default_rng(5).random(poses.shape[:2]) < share] = NAN
    found = fit_anchors(holes, k=4)
    assert found.num_incomplete == np.isnan(holes).any((1, 2)).sum() - found.num_left_out
    assert found.rounds >= 1
    takes_part = np.isfinite(holes).all(-1).sum(1) >= 4.5
    right = partition(assign(holes[takes_part], found.keypoints)[0])
    assert right == partition(kind[takes_part])
    order = assign(whole.keypoints, found.keypoints)[0]
    assert np.abs(found.keypoints[order] - whole.keypoints).max() < 0.03


def test_poses_without_legs_keep_their_class():
    poses, kind = made_poses(1500)
    holes = poses.copy()
    holes[:, 6:][np.arange(1500) % 3 == 0] = NAN
    found = fit_anchors(holes, k=4)
    assert partition(assign(holes, found.keypoints)[0]) == partition(kind)


def test_no_pose_complete():
    poses, kind = made_poses(1200)
    poses[np.arange(1200), np.random.default_rng(2).integers(0, 9, 1200)] = NAN
    found = fit_anchors(poses, k=4)
    assert found.num_incomplete == 1200
    assert partition(assign(poses, found.keypoints)[0]) == partition(kind)


def test_what_nobody_has_is_missing_in_the_anchors():
    poses, kind = made_poses(400, kinds=2)
    poses[:, 3] = NAN  # in no pose
    poses[kind == 0, 5] = NAN  # in none of a class
    found = fit_anchors(poses, k=2)
    classes, _ = assign(poses, found.keypoints)
    of_kind_0 = classes[kind == 0][0]
    assert np.isnan(found.keypoints[:, 3]).all()
    assert np.isnan(found.keypoints[of_kind_0, 5]).all()
    assert np.isfinite(found.keypoints[1 - of_kind_0, 5]).all()
    assert partition(classes) == partition(kind)


def test_what_cannot_take_part_is_counted():
    poses, _ = made_poses(50)
    poses[:7] = NAN
    poses[7, 2:] = NAN
    poses[8] = 3
    found = fit_anchors(poses, k=4)
    assert found.num_left_out == 9
    assert found.counts.sum() == 41


@pytest.mark.parametrize("poses", [
    np.full((9, 5, 2), NAN, np.float32), made_poses(3)[0], np.repeat(made_poses(1)[0], 30, axis=0),
    np.empty((0, 5, 2), np.float32),
])  # fmt: skip
def test_too_few_poses(poses):
    with pytest.raises(UsageError, match="not enough"):
        fit_anchors(poses, k=4)


def test_other_shapes_are_refused():
    with pytest.raises(UsageError, match="2D"):
        fit_anchors(np.zeros((30, 5, 3), np.float32), k=4)
    with pytest.raises(UsageError, match="other joints"):
        assign(np.zeros((3, 5, 2), np.float32), np.zeros((2, 6, 2)))


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(UsageError, match=r"posedata\[fuse\]"):
        fit_anchors(made_poses(50)[0], k=4)


# -- in a release ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("made") / "release"
    write_release(place, awkward_clips())
    (place / "README.md").write_text("made")
    return place


@pytest.fixture
def release(made, tmp_path):
    shutil.copytree(made, tmp_path / "release")
    return tmp_path / "release"


def test_a_sample_is_all_or_uniform(release):
    opened = open_release(release)
    everything = opened.arrays(columns=["keypoints_2d"])["keypoints_2d"]
    poses, total = sample_poses(opened, "made", 1000, 0)
    assert total == len(everything)
    np.testing.assert_array_equal(poses, everything)
    some, _ = sample_poses(opened, "made", 7, 0)
    rows = [np.flatnonzero([np.array_equal(pose, p, equal_nan=True) for p in everything])[0]
            for pose in some]  # fmt: skip
    assert rows == sorted(set(rows))
    assert len(rows) == 7
    counts = np.zeros(total)
    index = {p.tobytes(): row for row, p in enumerate(everything)}
    for seed in range(150):
        for pose in sample_poses(opened, "made", 7, seed)[0]:
            counts[index[pose.tobytes()]] += 1
    expected = 150 * 7 / total
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_the_command_stores_what_it_finds(release, tmp_path):
    picture = tmp_path / "anchors.svg"
    ran = CliRunner().invoke(app, ["anchors", str(release), "-k", "3", "-o", str(picture),
                                   "--json"])  # fmt: skip
    assert ran.exit_code == 0, ran.output
    said = json.loads(ran.stdout)
    opened = open_release(release)
    poses = opened.arrays(columns=["keypoints_2d"])["keypoints_2d"]
    found = fit_anchors(poses, 3, 0)
    np.testing.assert_array_equal(read_anchors(opened, "made"), found.keypoints)
    table = pq.read_table(release / "anchors" / "made.parquet")
    assert table["count"].to_pylist() == said["counts"] == found.counts.tolist()
    assert table["class"].to_pylist() == [0, 1, 2]
    assert said["took_part"] + said["left_out"] == said["poses"] == len(poses)
    assert list(validate(opened)) == []
    last = opened.manifest.history[-1]
    assert last["operation"] == "anchors"
    assert last["options"] == {"layer": "made", "k": 3, "seed": 0, "most_poses": 1_000_000}
    assert ET.parse(picture).getroot().tag.endswith("svg")


def test_anchors_are_replaced_only_when_asked(release):
    opened = open_release(release)
    anchors = Anchors(np.zeros((2, 17, 2), np.float32), np.array([2, 1]), 0, 0, 0)
    store_anchors(opened, "made", anchors, {})
    with pytest.raises(OutputError, match="already"):
        store_anchors(open_release(release), "made", anchors, {})
    three = Anchors(np.ones((3, 17, 2), np.float32), np.array([2, 1, 1]), 0, 0, 0)
    store_anchors(open_release(release), "made", three, {}, overwrite=True)
    assert read_anchors(open_release(release), "made").shape == (3, 17, 2)
    assert list(validate(open_release(release))) == []


def test_a_kill_while_replacing_leaves_a_manifest_that_is_true(release, monkeypatch):
    anchors = Anchors(np.zeros((2, 17, 2), np.float32), np.array([2, 1]), 0, 0, 0)
    store_anchors(open_release(release), "made", anchors, {})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("posedata.anchor_files.write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            store_anchors(open_release(release), "made", anchors, {}, overwrite=True)
    with pytest.raises(UsageError, match="no anchors"):
        read_anchors(open_release(release), "made")
    store_anchors(open_release(release), "made", anchors, {})
    assert list(validate(open_release(release))) == []


def test_a_release_that_is_being_extended_is_left_alone(release):
    before = release / ".unfinished" / "before"
    before.mkdir(parents=True)
    shutil.copy(release / FILE_NAME, before / FILE_NAME)
    anchors = Anchors(np.zeros((2, 17, 2), np.float32), np.array([2, 1]), 0, 0, 0)
    with pytest.raises(OutputError, match="unfinished addition"):
        store_anchors(open_release(release), "made", anchors, {})


def test_the_picture_has_each_anchor_and_only_what_is_there():
    skeleton = load_skeleton("coco17")
    anchors = np.random.default_rng(0).random((7, 17, 2)).astype(np.float32)
    anchors[0, 5] = NAN
    root = ET.fromstring(anchors_svg(anchors, np.arange(7)[::-1] * 1000, skeleton))
    by_tag = [element.tag.split("}")[1] for element in root.iter()]
    assert by_tag.count("circle") == 7 * 17 - 1
    lost = sum(5 in bone for bone in skeleton.bones)
    assert by_tag.count("line") == 7 * len(skeleton.bones) - lost
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert texts[0] == "0: 6,000"
    assert len(texts) == 7


# -- kernels against plain definitions ------------------------------------------------------------


def plain_normalise(poses):
    """`box_normalise`, a pose at a time."""
    normal = np.full(poses.shape, np.nan, np.float32)
    for row, pose in enumerate(poses.astype(np.float64)):
        there = np.isfinite(pose).all(-1)
        if there.any() and np.ptp(pose[there], axis=0).max() > 0:
            corner, side = pose[there].min(0), np.ptp(pose[there], axis=0).max()
            normal[row, there] = (pose[there] - corner) / side
    return normal


def plain_fill(poses, anchors, classes):
    """`fill`, a pose at a time: the inverse of what `distances` does to the anchor."""
    filled = poses.copy()
    for row, pose in enumerate(poses.astype(np.float64)):
        there = np.isfinite(pose).all(-1)
        if there.all():
            continue
        own = anchors[classes[row]].astype(np.float64)
        part, whole = np.ptp(own[there], axis=0).max(), np.ptp(own, axis=0).max()
        scale = part / whole / np.ptp(pose[there], axis=0).max()
        shift = own[there].min(0) - own.min(0)
        filled[row, there] = (pose[there] - pose[there].min(0)) * scale + shift
        filled[row, ~there] = own[~there]
    return filled


@pytest.mark.parametrize("seed", range(5))
def test_normalising_and_filling_are_their_definitions(seed):
    rng = np.random.default_rng(seed)
    poses, _ = made_poses(300, seed=seed)
    poses[rng.random(poses.shape[:2]) < 0.3] = np.nan
    poses[:3], poses[3] = np.nan, 7.0  # nobody, and all at one place
    poses[4, 0, 0] = np.inf  # half a joint is none
    normal = box_normalise(poses)
    np.testing.assert_array_equal(normal, plain_normalise(poses))
    usable = normal[np.isfinite(normal).all(-1).sum(1) >= 2]
    anchors = box_normalise(made_poses(4, seed=seed + 100)[0])
    classes = rng.integers(0, 4, len(usable))
    np.testing.assert_array_equal(
        fill(usable, anchors, classes), plain_fill(usable, anchors, classes)
    )


# -- real poses -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """Releases of Penn Action, and of N-UCLA whose metres are projected: it has no pixels."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("penn", "nucla"):
        convert(plan_conversion(name, shared / "data" / name, limit=300), folder / name)
    clips = []
    for clip in open_release(folder / "nucla").iter_clips():
        metres = clip.source_values("keypoints_3d")
        pixels = (metres[..., :2] / metres[..., 2:] * [525, -525] + [319.5, 239.5]).astype("f4")
        info = {**clip.info, "width": 640, "height": 480}
        clips.append(Clip(clip.clip_id, "projected", clip.skeleton, clip.frames, clip.persons,
                          keypoints_2d=pixels, info=info))  # fmt: skip
    columns = tuple(clips[0].info)
    write_release(folder / "projected", clips, clip_columns=columns, part_size=200)
    return folder


@pytest.mark.real
@pytest.mark.parametrize(("name", "layer"), [("penn", "human"), ("projected", "projected")])
def test_real_anchors_are_the_same_twice(real, tmp_path, name, layer):
    files = []
    for number in range(2):
        place = tmp_path / str(number)
        shutil.copytree(real / name, place)
        arguments = ["anchors", str(place), "-k", "20", "--json"]
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, ran.output
        files.append((place / "anchors" / f"{layer}.parquet").read_bytes())
        assert (place / "posedata.json").read_bytes() == (tmp_path / "0/posedata.json").read_bytes()
    assert files[0] == files[1]
    said = json.loads(ran.stdout)
    poses, total = sample_poses(open_release(place), layer, 10**6, 0)
    assert said["poses"] == total == said["took_part"] + said["left_out"]
    anchors = read_anchors(open_release(place), layer)
    classes, near = assign(poses, anchors)
    _, to_one = assign(poses, fit_anchors(poses, 1).keypoints)
    there = classes != NO_CLASS
    # 20 anchors tell more of real poses than their mean does
    assert np.mean(near[there] ** 2) < 0.6 * np.mean(to_one[there] ** 2)
    assert sorted(np.bincount(classes[there], minlength=20), reverse=True)[-1] > 0
    assert [f for f in validate(open_release(place)) if f.file != "README.md"] == []


@pytest.mark.real
def test_poses_without_pixels_have_no_anchors(real):
    ran = CliRunner().invoke(app, ["anchors", str(real / "nucla")])
    assert isinstance(ran.exception, UsageError)
    assert "the layer kinect has no 2D poses" in str(ran.exception)


def test_anchors_that_lack_nothing_are_compared_side_by_side_to_the_same_bits():
    rng = np.random.default_rng(4)
    poses = rng.normal(100, 40, (500, 9, 2)).astype(np.float32)
    poses[rng.random(poses.shape[:2]) < 0.3] = np.nan
    poses[:3] = 7  # of no extent
    anchors = rng.random((6, 9, 2))
    anchors[2, 4:] = anchors[2, 4]
    anchors[3] = anchors[5]  # the first of the nearest
    side_by_side = assign(poses, anchors)
    one_by_one = _assign(poses, anchors, LEAST_JOINTS)
    for fast, slow in zip(side_by_side, one_by_one, strict=True):
        np.testing.assert_array_equal(fast, slow)
    assert (side_by_side[0] == NO_CLASS).any() and len(np.unique(side_by_side[0])) > 4


def test_of_many_poses_some_decide_and_all_are_assigned(monkeypatch):
    rng = np.random.default_rng(8)
    shapes = rng.uniform(0, 100, (4, 9, 2))
    poses = shapes[rng.integers(0, 4, 3000)] + rng.normal(0, 2, (3000, 9, 2))
    poses[rng.random(poses.shape[:2]) < 0.2] = np.nan
    whole = fit_anchors(poses, 4)
    monkeypatch.setattr(anchors_module, "MOST_IN_ROUNDS", 1000)
    drawn = fit_anchors(poses, 4)
    assert drawn.counts.sum() + drawn.num_left_out == 3000
    assert drawn.counts.tolist() == whole.counts.tolist()
    np.testing.assert_allclose(drawn.keypoints, whole.keypoints, atol=0.01)
    assert not np.array_equal(drawn.keypoints, whole.keypoints)
    np.testing.assert_array_equal(fit_anchors(poses, 4).keypoints, drawn.keypoints)
