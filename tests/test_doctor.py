"""The checks of ``posedata doctor`` on numbers worked out by hand, and the command itself."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_clips import made_clip, write_release
from typer.testing import CliRunner

from posedata.cli import doctor as command
from posedata.clip import Clip
from posedata.doctor import checks, doctor
from posedata.doctor_summary import Summary
from posedata.errors import UsageError
from posedata.findings import bone_lengths, ghosts, missing, outside_image, side_swaps, tables
from posedata.findings.clip_checks import diagnose_clip, diagnose_layers
from posedata.findings.finding import Finding, counted, frame_ranges
from posedata.findings.identities import find_exchanges, plain_exchanges
from posedata.findings.jitter import shaking
from posedata.findings.poses import body_sizes, column_medians, joint_steps, poses_of
from posedata.findings.teleports import find_spikes
from posedata.skeleton import load_skeleton

NAN = np.nan


def clip_of(keypoints, *, frames=None, persons=None, skeleton="penn13", num_frames=None, **arrays):
    """Make a clip of one person, unless told otherwise, out of joints in pixels (or metres)."""
    keypoints = np.asarray(keypoints, np.float32)
    rows = len(keypoints)
    frames = np.arange(rows) if frames is None else np.asarray(frames)
    persons = np.zeros(rows) if persons is None else np.asarray(persons)
    name = f"keypoints_{keypoints.shape[2]}d"
    info = {"num_frames": int(num_frames or frames.max(initial=0) + 1), "width": 100, "height": 80}
    arrays = {name: keypoints, **arrays}
    return Clip("c", "made", load_skeleton(skeleton), frames=frames.astype(np.int32),
                persons=persons.astype(np.int32), info=info, **arrays)  # fmt: skip


def standing(rows: int) -> np.ndarray:
    """Somebody in the middle of the picture, who moves a little."""
    joints = [[50, 10], [40, 20], [60, 20], [38, 30], [62, 30], [37, 40], [63, 40], [44, 42],
              [56, 42], [44, 55], [56, 55], [44, 70], [56, 70]]  # fmt: skip
    drift = np.linspace(0, 3, rows)[:, None, None] * [1.0, 0.3]
    return np.array(joints, float) + drift


class TestFinding:
    def test_every_limit_has_a_source(self):
        from importlib import resources

        text = resources.files("posedata.schemas").joinpath("doctor.json").read_text("utf-8")
        for name, check in json.loads(text)["checks"].items():
            assert check["about"].endswith("."), name
            for limit, entry in check["limits"].items():
                assert len(entry["source"]) > 8, (name, limit)

    @given(st.lists(st.integers(0, 50), max_size=30))
    def test_ranges_hold_exactly_the_frames(self, frames):
        ranges = frame_ranges(np.array(frames, np.int64))
        inside = [f for first, last in ranges for f in range(first, last + 1)]
        assert inside == sorted(set(frames))
        assert all(b[0] - a[1] > 1 for a, b in pairwise(ranges))

    def test_counted(self):
        assert (counted(1, "jump"), counted(1200, "jump")) == ("1 jump", "1,200 jumps")


class TestPoses:
    def test_body_size_is_the_median_diagonal_of_poses_with_half_of_the_joints(self):
        poses = np.array([
            [[0, 0], [3, 4], [NAN, NAN], [NAN, NAN]],  # 5
            [[0, 0], [6, 8], [1, 1], [NAN, NAN]],  # 10
            [[0, 0], [NAN, NAN], [NAN, NAN], [NAN, NAN]],  # too few
            [[0, 0], [NAN, NAN], [NAN, NAN], [NAN, NAN]],  # another person: no size
        ])  # fmt: skip
        sizes = body_sizes(poses, np.array([0, 0, 0, 1]))
        assert sizes[:3].tolist() == [7.5] * 3
        assert np.isnan(sizes[3])

    @given(st.integers(0, 2**32 - 1))
    def test_medians_are_numpys(self, seed):
        rng = np.random.default_rng(seed)
        values = rng.random((rng.integers(0, 6), 4))
        values[rng.random(values.shape) < 0.3] = NAN
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = np.nanmedian(values, 0) if len(values) else np.full(4, NAN)
        np.testing.assert_allclose(column_medians(values), expected)

    def test_steps_cross_no_gap_and_no_person(self):
        poses = np.zeros((5, 1, 2))
        poses[:, 0, 0] = [0, 3, 3, 9, 9]
        steps = joint_steps(poses, np.array([0, 1, 3, 4, 4]), np.array([0, 0, 0, 0, 1]))
        np.testing.assert_array_equal(steps[:, 0], [NAN, 3, NAN, 6, NAN])


class TestTeleports:
    def test_spike_is_there_and_back(self):
        x = np.array([0.0, 10, 0, 10, 20])[:, None, None] * [1.0, 0]
        frames, persons = np.arange(5), np.zeros(5)
        steps = joint_steps(x, frames, persons)
        found = find_spikes(x, frames, persons, steps, np.full(5, 5.0), 0.5)
        # 10 - 0 - 10 comes back, too; 0 - 10 - 20 goes on
        assert found[:, 0].tolist() == [False, True, True, False, False]
        assert not find_spikes(x, frames, persons, steps, np.full(5, 11.0), 0.5).any()

    def test_gap_and_missing_joint_are_no_spike(self):
        x = np.array([0.0, 10, 0])[:, None, None] * [1.0, 0]
        frames = np.array([0, 1, 3])
        steps = joint_steps(x, frames, np.zeros(3))
        assert not find_spikes(x, frames, np.zeros(3), steps, np.full(3, 5.0), 0.5).any()


class TestJitter:
    def test_ratio_is_two_for_a_zigzag_and_zero_for_a_line(self):
        steps = np.array([[NAN, NAN], [1, 1], [1, 1], [1, 1]])
        turns = np.array([[NAN, NAN], [2, 0], [2, 0], [NAN, NAN]])
        amount, ratio = shaking(steps, turns)
        assert amount.tolist() == [2, 0]
        assert ratio.tolist() == [2, 0]


class TestBoneLengths:
    def test_lengths(self):
        poses = np.array([[[0, 0], [3, 4], [NAN, NAN]]])
        lengths = bone_lengths.bone_lengths(poses, np.array([[0, 1], [1, 2]]))
        np.testing.assert_array_equal(lengths, [[5, NAN]])

    def test_excess_is_over_the_largest_height_of_other_limbs(self):
        # heights 10, 40, 20, 20: the first limb's 40 over 20, the others' 20 over 40
        lengths = np.array([[2.0, 8, 10, 10]])
        excess = bone_lengths.excess_of_bones(
            lengths, np.array([0.2, 0.2, 0.5, 0.5]), np.array([0, 0, 1, 2])
        )
        np.testing.assert_allclose(excess, [[0.5, 2, 0.5, 0.5]])

    def test_one_other_bone_is_not_enough(self):
        excess = bone_lengths.excess_of_bones(
            np.array([[2.0, NAN, 10]]), np.array([0.2, 0.2, 0.5]), np.array([0, 1, 2])
        )
        assert np.isnan(excess).all()

    def test_long_forearm_is_found(self):
        poses = standing(4)
        poses[2, 5] = [10, 70]
        (found,) = bone_lengths.check(poses_of(clip_of(poses)))
        assert found.frames == ((2, 2),)
        assert found.joints == ("left_elbow", "left_wrist")


class TestSides:
    def test_pairs_are_exchanged_only_where_they_are_apart(self):
        before = np.array([[[0.0, 0], [10, 0], [4, 0], [5, 0]]])
        after = before[:, [1, 0, 3, 2]]
        exchanged, told = side_swaps.exchanged_pairs(
            before, after, np.array([20.0]), np.array([[0, 1], [2, 3]]), apart=0.1, times=2.5
        )
        assert told.tolist() == [[True, False]]
        assert exchanged.tolist() == [[True, False]]

    def test_frames_between_two_changes(self):
        poses = standing(10)
        flip = load_skeleton("penn13").flip_order
        poses[4:7] = poses[4:7][:, flip]
        (found,), explained = side_swaps.check_swaps(poses_of(clip_of(poses)))
        assert found.frames == ((4, 7),)
        assert found.value == 2
        assert "head" not in found.joints
        assert explained.any(1).tolist() == [n in (4, 7) for n in range(10)]

    def test_a_mirrored_layer_is_an_error_and_a_wrong_frame_a_warning(self):
        poses = standing(10)
        flip = load_skeleton("penn13").flip_order
        first = poses_of(clip_of(poses))
        (found,) = side_swaps.check_layers(first, poses_of(clip_of(poses[:, flip])))
        assert (found.severity, found.frames, found.value) == ("error", ((0, 9),), 1)
        some = poses.copy()
        some[3] = some[3][flip]
        (found,) = side_swaps.check_layers(first, poses_of(clip_of(some)))
        assert (found.severity, found.frames) == ("warning", ((3, 3),))
        assert not list(side_swaps.check_layers(first, poses_of(clip_of(poses + 1))))


class TestIdentities:
    def two(self, rows=6):
        one, other = standing(rows), standing(rows) + np.array([60, 0])
        return one, other

    def make(self, one, other, frames=None):
        frames = np.arange(len(one)) if frames is None else np.array(frames)
        poses = np.concatenate([one, other])
        persons = np.repeat([0, 1], len(one)).astype(np.int32)
        return poses, np.tile(frames, 2).astype(np.int32), persons

    def test_exchange_is_found_across_a_gap(self):
        one, other = self.two()
        one[3:], other[3:] = other[3:], one[3:].copy()
        poses, frames, persons = self.make(one, other, [0, 1, 2, 8, 9, 10])
        sizes = body_sizes(poses, persons)
        rows = find_exchanges(poses, frames, persons, sizes, gap=6, times=2.5, apart=0.1)
        assert rows.tolist() == [[3, 9]]
        rows = find_exchanges(poses, frames, persons, sizes, gap=5, times=2.5, apart=0.1)
        assert rows.tolist() == []

    @given(st.integers(0, 2**32 - 1))
    def test_kernel_is_the_plain_definition(self, seed):
        rng = np.random.default_rng(seed)
        people = rng.integers(2, 4)
        parts = [np.sort(rng.choice(12, rng.integers(1, 10), replace=False)) for _ in range(people)]
        frames = np.concatenate(parts).astype(np.int32)
        persons = np.repeat(np.arange(people, dtype=np.int32), [len(p) for p in parts])
        poses = rng.choice([0.0, 1, 5, NAN], (len(frames), 3, 2), p=[0.3, 0.3, 0.3, 0.1])
        sizes = np.ones(len(frames))
        limits = {"gap": 4, "times": 1.5, "apart": 0.1}
        found = find_exchanges(poses, frames, persons, sizes, **limits)
        plain = plain_exchanges(poses, frames, persons, sizes, **limits)
        assert sorted(found.tolist()) == sorted(plain.tolist())


class TestGhosts:
    def test_motion_is_the_spread_of_each_joint(self):
        poses = np.array([[[0.0, 0], [1, 1]], [[6, 8], [1, 1]]])
        assert ghosts.motion(poses).tolist() == [5, 0]

    def test_flat_is_wider_than_high(self):
        poses = np.array([[[0.0, 0, 0], [2, 1, 9]], [[0, 0, 0], [0.7, 1, 9]]])
        assert ghosts.is_flat(poses, 0.8).tolist() == [True, False]

    def test_furniture_beside_somebody_who_moves_more(self):
        joints = np.zeros((20, 25, 3))
        joints[:, :, 1] = np.linspace(0, 1.7, 25)  # upright
        joints[:, 0, 0] += np.linspace(0, 1, 20)  # and lively
        flat = joints[:, :, [1, 0, 2]] * [1, 0.2, 1] + [2, 0, 0]
        flat[:, 3, 2] += np.linspace(0, 0.1, 20)
        both = np.concatenate([joints, flat])
        clip = clip_of(both, frames=np.tile(np.arange(20), 2), persons=np.repeat([0, 1], 20),
                       skeleton="nturgbd25")  # fmt: skip
        (found,) = ghosts.check(poses_of(clip))
        assert (found.persons, found.value) == ((1,), 1)
        assert ghosts.check(poses_of(clip_of(flat, skeleton="nturgbd25"))) == []  # may lie down

    def test_somebody_who_stands_still_is_no_ghost_for_half_a_second(self):
        still = np.repeat(standing(1), 20, 0)
        assert [f.check for f in ghosts.check(poses_of(clip_of(still)))] == ["ghost"]
        assert ghosts.check(poses_of(clip_of(still[:14]))) == []
        (frozen,) = ghosts.check_frozen(poses_of(clip_of(still)))
        assert frozen.frames == ((1, 19),)


class TestMissing:
    def test_frames_without_people_and_gaps(self):
        clip = clip_of(standing(4), frames=[1, 2, 5, 6], num_frames=10)
        found = {f.check: f for f in missing.check_frames(clip)}
        assert found["frames_missing"].frames == ((0, 0), (3, 4), (7, 9))
        assert found["frames_missing"].severity == "warning"  # 6 of 10
        assert found["track_gap"].frames == ((3, 4),)
        assert found["track_gap"].value == 2

    def test_one_frame_and_nobody(self):
        assert [f.check for f in missing.check_frames(clip_of(standing(1)))] == ["short_clip"]
        nobody = clip_of(np.empty((0, 13, 2)), num_frames=5)
        assert [f.check for f in missing.check_frames(nobody)] == ["no_poses"]

    def test_a_joint_that_is_never_there_does_not_make_a_warning(self):
        poses = standing(5)
        poses[:, :6] = NAN
        (found,) = missing.check_joints(clip_of(poses), poses)
        assert (found.severity, found.value) == ("info", 0)
        poses[2, 6:8] = NAN  # 2 of the other 7
        (found,) = missing.check_joints(clip_of(poses), poses)
        assert (found.severity, found.value) == ("warning", pytest.approx(2 / 7))

    def test_stand_ins_but_not_a_root_that_poses_are_centred_on(self):
        poses = np.full((2, 3, 2), 7.0)
        poses[:, 0] = 0
        poses[1, 1] = 1
        poses[1, 2] = [0, 1]
        assert missing.stand_ins(poses).tolist() == [[False] * 3, [False, True, False]]

    def test_unseen(self):
        visibility = np.ones((3, 13), np.uint8)
        visibility[1, 4] = 2
        (found,) = missing.check_unseen(clip_of(standing(3), visibility=visibility))
        assert found.frames == ((0, 0), (2, 2))


class TestPicture:
    def test_the_rim_is_inside(self):
        points = np.array([[[-0.5, 79.5], [99.6, 0], [NAN, NAN], [0, -0.6]]])
        assert outside_image.outside(points, 100, 80, 0).tolist() == [[False, True, False, True]]

    def test_severity_grows_with_what_is_outside(self):
        poses = standing(3)
        poses[0, 0] = [50, -5]
        visibility = np.ones((3, 13), np.uint8)
        (found,) = outside_image.check(clip_of(poses, visibility=visibility))
        assert (found.severity, found.joints, found.frames) == ("info", ("head",), ((0, 0),))
        visibility[0, 0] = 2
        (found,) = outside_image.check(clip_of(poses, visibility=visibility))
        assert found.severity == "warning"
        (found,) = outside_image.check(clip_of(poses + np.array([200, 0])))
        assert found.severity == "error"
        assert list(outside_image.check(clip_of(standing(3)))) == []

    def test_boxes(self):
        boxes = np.array([[30, 5, 70, 75], [NAN] * 4, [5, 5, 5, 9], [80, 60, 99, 79]], np.float32)
        found = list(outside_image.check_boxes(clip_of(standing(4), boxes=boxes)))
        assert [f.frames for f in found] == [((1, 1),), ((2, 2),), ((3, 3),)]


class TestTables:
    ROWS = ({"clip_id": "a", "label": 0}, {"clip_id": "b", "label": 2},
            {"clip_id": "c", "label": None})  # fmt: skip

    def test_labels(self):
        found = list(tables.check_labels(self.ROWS, ["sit", "stand"]))
        assert [(f.clip_id, f.severity) for f in found] == [
            ("", "info"), ("b", "error"), ("c", "warning")]  # fmt: skip
        assert "1 stand" in found[0].message
        assert list(tables.check_labels([{"clip_id": "a", "label": None}], ["sit"])) == []

    def test_duplicates_that_a_split_keeps_apart_are_an_error(self):
        names = ("protocol", "split", "clip_id")
        rows = ["x train a", "x test b", "y train a", "y train b", "y test c"]
        splits = [dict(zip(names, row.split(), strict=True)) for row in rows]
        found = list(tables.check_duplicates([("b", "k", "a"), ("c", "k", "new")], splits))
        assert [f.severity for f in found] == ["error", "warning"]
        assert found[0].message == "the same poses as a, but x has it in test, not in train"

    def test_splits(self):
        names = ("protocol", "split", "clip_id")
        rows = ["x train a", "x test a", "x test gone", "y test b"]
        splits = [dict(zip(names, row.split(), strict=True)) for row in rows]
        found = list(tables.check_splits(splits, self.ROWS, ["sit", "stand", "lie"]))
        assert [(f.severity, f.clip_id) for f in found] == [
            ("error", ""), ("info", ""), ("error", "a"), ("warning", ""), ("info", ""),
            ("info", ""),
        ]  # fmt: skip
        assert "gone" in found[0].message


class TestAnything:
    """Whatever numbers a release holds, there are findings, no errors and no warnings."""

    @pytest.mark.filterwarnings("error")
    @given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]), st.floats(0, 1))
    def test_messy_clips(self, seed, dimensions, missing_part):
        rng = np.random.default_rng(seed)
        tracks = [np.sort(rng.choice(9, rng.integers(1, 10), replace=False)) for _ in range(3)]
        frames = np.concatenate(tracks)
        persons = np.repeat(np.arange(3), [len(track) for track in tracks])
        poses = rng.choice([0.0, 1, 5, 1e30, -300], (len(frames), 13, dimensions))
        poses[rng.random(poses.shape[:2]) < missing_part] = NAN
        poses[rng.random(poses.shape[:2]) < 0.01] = np.inf
        boxes = rng.choice([0, 3, NAN, 50], (len(frames), 4)).astype(np.float32)
        clip = clip_of(poses, frames=frames, persons=persons, boxes=boxes, num_frames=9)
        other = replace(clip, layer="other")
        found = [*diagnose_clip(clip, set(checks())), *diagnose_layers({"a": clip, "b": other})]
        for one in found:
            assert all(0 <= first <= last < 9 for first, last in one.frames)
            assert set(one.persons) <= {0, 1, 2}
            assert one.check in checks()
            assert one.message

    def test_nobody_and_one_frame(self):
        nobody = clip_of(np.empty((0, 13, 2)), num_frames=5)
        assert {f.check for f in diagnose_clip(nobody, set(checks()))} == {"no_poses"}
        assert list(diagnose_layers({"a": nobody, "b": nobody})) == []


def moving(clip_id: str, **options) -> Clip:
    """Give a clip without any defect but those that are put into it."""
    base = made_clip(clip_id, [range(30)], 30, skeleton="penn13", arrays=("keypoints_2d",),
                     slots=False, **options)  # fmt: skip
    seed = np.random.default_rng([*clip_id.encode()]).random()
    poses = (standing(30) * 4 + seed).astype(np.float32)
    return replace(base, keypoints_2d=poses)


@pytest.fixture
def release(tmp_path):
    """Five clips: one jumps, one is there twice, one is not finished."""
    clips = [moving(name) for name in "abcd"]
    poses = clips[1].keypoints_2d.copy()
    poses[10] += 900
    clips[1] = replace(clips[1], keypoints_2d=poses)
    clips[3] = replace(clips[3], keypoints_2d=clips[2].keypoints_2d)
    splits = [("all", "train", name) for name in "abcd"]
    return write_release(tmp_path / "made", clips, splits=splits)


def run(*args):
    import typer

    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["doctor", *map(str, args)])


class TestDoctor:
    def test_findings_come_by_clip_and_do_not_depend_on_the_workers(self, release):
        found = list(doctor(release, num_workers=1))
        assert found == list(doctor(release, num_workers=2))
        assert [(f.clip_id, f.check) for f in found] == [
            ("b", "teleport"), ("b", "outside_image"), ("d", "duplicate"), ("", "label"),
            ("", "split"),
        ]  # fmt: skip
        assert found[0].frames == ((10, 11),)

    def test_only_some_checks_and_clips(self, release):
        found = list(doctor(release, wanted=["duplicate"], num_workers=1))
        assert [f.message for f in found] == ["the same poses as c"]
        assert list(doctor(release, limit=1, num_workers=1)) == []

    @pytest.mark.parametrize(
        "options", [{"wanted": ["magic"]}, {"layers": ["none"]}, {"limit": 0}, {"num_workers": 0},
                    {"wanted": ["video"]}])  # fmt: skip
    def test_what_is_not_there_is_refused_at_once(self, release, options):
        with pytest.raises(UsageError):
            doctor(release, **options)

    def test_table_json_and_csv_tell_the_same(self, release, tmp_path):
        path = tmp_path / "found.csv"
        shown = run(release.place, "-q", "-j", 1, "--csv", path)
        assert shown.exit_code == 1
        assert "teleport" in shown.stdout and "worst clips" in shown.stdout
        told = run(release.place, "-q", "-j", 1, "--json")
        content = json.loads(told.stdout)
        assert [f["check"] for f in content["findings"]][:2] == ["teleport", "outside_image"]
        assert content["severities"]["error"] == 2
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [row["check"] for row in rows] == [f["check"] for f in content["findings"]]
        assert rows[0]["frames"] == "10-11"
        listed = run(release.place, "-q", "-j", 1, "--all").stdout
        assert "error teleport: b made person 0 frames 10-11" in listed

    def test_exit_codes(self, release):
        only = ("-q", "-j", 1, "--checks", "duplicate")
        assert run(release.place, *only).exit_code == 1
        assert run(release.place, *only, "--fail-on", "error").exit_code == 0
        clean = run(release.place, "-q", "-j", 1, "--checks", "swap")
        assert (clean.exit_code, "nothing found" in clean.stdout) == (0, True)
        with pytest.raises(UsageError):
            raise run(release.place, "--fail-on", "anything").exception

    def test_an_existing_csv_stays(self, release, tmp_path):
        path = tmp_path / "found.csv"
        path.write_text("mine")
        assert run(release.place, "-q", "--csv", path).exit_code != 0
        assert path.read_text() == "mine"

    def test_videos_are_compared(self, release, tmp_path):
        pytest.importorskip("av")
        folder = tmp_path / "videos"
        (folder / "a").mkdir(parents=True)
        import cv2

        for number in range(29):
            picture = np.full((480, 640, 3), number, np.uint8)
            cv2.imwrite(str(folder / "a" / f"{number:06}.png"), picture)
        found = list(doctor(release, wanted=["video"], videos=str(folder), num_workers=1))
        assert [(f.clip_id, f.severity, f.value) for f in found] == [("a", "warning", 1)]

    def test_summary_keeps_few_clips_and_counts_all(self):
        summary = Summary(2)
        for number in range(10):
            for _ in range(number):
                summary.add(Finding(str(number), "x", "swap", "warning", ((0, 1),), (), (),
                                    number, 0, "m"))  # fmt: skip
        summary.finish()
        assert [clip.clip_id for clip in summary.worst_clips] == ["9", "8"]
        (row,) = summary.rows
        assert (row.findings, row.clips, row.frames) == (45, 9, 90)
        assert row.example == "9: m"

    def test_every_check_is_documented(self):
        from pathlib import Path

        text = (Path(__file__).parent.parent / "docs" / "doctor.md").read_text("utf-8")
        assert [name for name in checks() if f"`{name}`" not in text] == []


@pytest.mark.real
class TestReal:
    """Oddities of real data sets that their descriptions name, and others that it has found."""

    def by_check(self, shared, tmp_path, dataset, folder, suffix, names):
        import shutil

        from posedata.convert import convert, plan_conversion
        from posedata.release import open_release

        raw = tmp_path / "raw" / folder
        raw.mkdir(parents=True)
        for name in names:
            shutil.copy(shared / "data" / dataset / folder / (name + suffix), raw)
        convert(plan_conversion(dataset, tmp_path / "raw"), tmp_path / dataset, num_workers=1)
        found: dict[str, dict[str, Finding]] = {}
        for finding in doctor(open_release(tmp_path / dataset), num_workers=1):
            found.setdefault(finding.check, {})[finding.clip_id] = finding
        return found

    def test_nucla(self, shared, tmp_path):
        folder = shared / "data" / "nucla" / "all_sqe"
        names = sorted(path.stem for path in folder.glob("a02_*.json"))
        names += ["a04_s01_e01_v01", "a04_s04_e02_v01", "a01_s08_e03_v01"]
        found = self.by_check(shared, tmp_path, "nucla", "all_sqe", ".json", names)
        assert found["short_clip"].keys() == {"a02_s09_e04_v02", "a02_s09_e04_v03"}
        missing_in = found["joints_missing"]
        assert missing_in.keys() == {"a04_s01_e01_v01", "a04_s04_e02_v01"}
        assert missing_in["a04_s01_e01_v01"].frames == ((34, 34),)
        assert len(missing_in["a04_s01_e01_v01"].joints) == 6
        assert missing_in["a04_s04_e02_v01"].frames == ((45, 45),)
        copies = found["duplicate"]  # the third camera's clip has the second one's poses
        assert {f.severity for f in copies.values()} == {"error"}
        assert "the same poses as a02_s01_e00_v02" in copies["a02_s01_e00_v03"].message
        assert "a01_s08_e03_v01" in found["jitter"]  # two bodies, one after the other

    def test_penn(self, shared, tmp_path):
        outside, no_box, still = ["0979", "1021", "1024", "1032"], ["1154", "1865"], ["1516"]
        drawn_wrong, never_drawn = ["2044", "0281", "2136"], ["2173", "0785"]
        clean = [f"{number:04}" for number in range(3, 2300, 40)]
        names = [*outside, *no_box, *still, *drawn_wrong, *never_drawn, *clean]
        found = self.by_check(shared, tmp_path, "penn", "labels", ".mat", sorted({*names}))
        marked = {c for c, f in found["outside_image"].items() if f.severity == "warning"}
        assert marked == set(outside)
        assert found["box"].keys() >= set(no_box)
        assert found["ghost"].keys() == set(still)
        assert found["bone_length"].keys() >= {"2044"}
        assert found["teleport"].keys() >= set(drawn_wrong)
        assert found["teleport"]["2136"].severity == "error"
        assert found["joints_missing"].keys() >= set(never_drawn)  # at (1, 1) in the files
        assert "2173" in found["unseen"]
        assert "swap" not in found
