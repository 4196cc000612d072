"""What two releases differ in: numbers that were worked out by hand, and the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from made_clips import awkward_clips, made_clip, write_release
from typer.testing import CliRunner

from posedata.cli import diff as command
from posedata.diff import diff
from posedata.diff_clips import Moves, compare_clips
from posedata.errors import ReleaseError, UsageError
from posedata.release import open_release


def run(*args):
    app = typer.Typer()
    command.register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["diff", *map(str, args), "-q"])


class TestMoves:
    def test_counts_by_joint(self):
        nan = np.nan
        before = np.array([[[0, 0], [1, 1], [nan, nan]], [[0, 0], [nan, nan], [5, 5]]])
        after = np.array([[[3, 4], [1, 1], [2, 2]], [[0, 1], [nan, nan], [nan, nan]]])
        moves = Moves(["a", "b", "c"])
        assert moves.add(before, after) == (True, 5.0)
        assert moves.compared.tolist() == [2, 1, 0]
        assert moves.changed.tolist() == [2, 0, 0]
        assert moves.appeared.tolist() == [0, 0, 1]
        assert moves.vanished.tolist() == [0, 0, 1]
        assert (moves.max(), moves.max(0)) == (5, 5)
        assert np.isnan(moves.max(1)) and np.isnan(moves.median(1))
        assert moves.median() == pytest.approx(1, rel=0.01)

    def test_tolerance(self):
        moves = Moves(["a"], tolerance=0.5)
        assert moves.add(np.array([[0.0], [0]]), np.array([[0.5], [0.6]])) == (True, 0.6)
        assert moves.changed.tolist() == [1]

    @given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
    def test_median_is_right_to_a_hundredth(self, ways):
        moves = Moves(["a"])
        after = np.array(ways)[:, None]
        moves.add(np.zeros_like(after), after)
        true = sorted(ways)[(len(ways) - 1) // 2]
        assert moves.median() == pytest.approx(true, rel=0.011)
        assert moves.max() == max(ways)


class TestClips:
    def test_poses_are_those_of_the_same_person_and_frame(self):
        before = made_clip("a", [range(5), [2, 3]], 6, arrays=("keypoints_2d",), slots=False)
        keep = np.array([0, 1, 3, 4, 5, 6])
        after = replace(before, frames=before.frames[keep], persons=before.persons[keep],
                        keypoints_2d=before.keypoints_2d[keep])  # fmt: skip
        moves = {"keypoints_2d": Moves(before.skeleton.joints)}
        change = compare_clips(before, after, moves)
        assert (change.poses_added, change.poses_removed, change.columns) == (0, 1, ())
        assert not change.is_same
        assert moves["keypoints_2d"].changed.sum() == 0
        assert compare_clips(before, before, moves).is_same

    def test_clip_columns_that_differ(self):
        before = made_clip("a", [range(3)], 3)
        info = {name: value for name, value in before.info.items() if name != "subject"}
        after = replace(before, info={**info, "label": 2})
        assert compare_clips(before, after, {}).columns == ("label", "subject")
        assert compare_clips(before, after, {}, ["subject"]).columns == ("label",)


def edited(clips):
    """Move one joint of the first clip by (3, 4), drop the last, add one, and relabel another."""
    first = clips[0]
    poses = first.keypoints_2d.copy()
    poses[1, 5] = [10, 20]
    base = replace(first, keypoints_2d=poses)
    poses = poses.copy()
    poses[1, 5] += [3, 4]
    scores = base.scores.copy()
    visibility = base.visibility.copy()
    scores[1, 5], visibility[1, 5] = 0.5, 2
    base = replace(base, scores=scores, visibility=visibility)
    other = replace(clips[2], info={**clips[2].info, "label": 1, "label_name": "x"})
    new = made_clip("zzz", [range(3)], 3, ids=["1"])
    return [base, *clips[1:]], [replace(base, keypoints_2d=poses), clips[1], other, clips[3], new]


class TestReleases:
    def test_a_release_is_the_same_as_its_copy_in_other_files(self, tmp_path):
        clips = awkward_clips()
        first = write_release(tmp_path / "a", clips, part_size=2)
        second = write_release(tmp_path / "b", clips, part_size=3)
        result = diff(first, second)
        assert result.is_same
        assert result.layers["made"].clips_same == 5

    def test_equal_files_are_not_read(self, tmp_path):
        before, after = edited(awkward_clips())
        first = write_release(tmp_path / "a", before)
        second = write_release(tmp_path / "b", after)
        shared = [name for name in first.part_names("made")
                  if first.manifest.files[name] == second.manifest.files.get(name)]  # fmt: skip
        assert diff(first, first).is_same
        for name in first.part_names("made"):
            (tmp_path / "a" / name).unlink()
        assert diff(first, first).is_same  # nothing but the manifest was needed
        assert shared == []
        with pytest.raises(ReleaseError):
            diff(first, second)

    def test_what_has_changed(self, tmp_path):
        before, after = edited(awkward_clips())
        first = write_release(tmp_path / "a", before, splits=[("p", "train", "A001")])
        second = write_release(tmp_path / "b", after, splits=[("p", "test", "A001")])
        result = diff(first, second)
        layer = result.layers["made"]
        gone = before[-1].clip_id
        assert (layer.clips_added, layer.clips_removed, layer.clips_changed) == (1, 1, 2)
        assert layer.clips_same == 2
        assert layer.examples["removed"] == [gone]
        moves = layer.moves["keypoints_2d"]
        assert moves.changed.tolist() == [int(v == 5) for v in range(17)]
        assert moves.max() == pytest.approx(5)
        assert layer.worst == [(pytest.approx(5), "keypoints_2d", before[0].clip_id)]
        assert layer.columns == {"keypoints_2d": 1, "label": 1, "label_name": 1}
        clips = result.tables["clips.parquet"]
        assert (clips.added, clips.removed, clips.changed) == (1, 1, 1)
        assert clips.columns == {"label": 1, "label_name": 1}
        splits = result.tables["splits.parquet"]
        assert (splits.added, splits.removed) == (1, 1)
        assert splits.examples == ("+p test A001", "-p train A001")
        assert not result.is_same
        assert diff(first, second, tolerance=5.1).layers["made"].clips_changed == 1

    def test_another_skeleton_and_other_columns(self, tmp_path):
        clips = [made_clip("a", [range(3)], 3, arrays=("keypoints_2d", "scores"), slots=False)]
        other = [made_clip("a", [range(3)], 3, arrays=("keypoints_2d",), slots=False,
                           skeleton="penn13")]  # fmt: skip
        first, second = (write_release(tmp_path / n, c) for n, c in (("a", clips), ("b", other)))
        layer = diff(first, second).layers["made"]
        assert layer.columns_removed == ("scores",)
        assert layer.definition["skeleton"] == ("coco17", "penn13")
        assert layer.columns == {"keypoints_2d": 1}

    def test_layers(self, tmp_path):
        first = write_release(tmp_path / "a", awkward_clips(layer="one"))
        second = write_release(tmp_path / "b", awkward_clips(layer="two"))
        result = diff(first, second)
        assert (result.layers_added, result.layers_removed) == (("two",), ("one",))
        with pytest.raises(UsageError):
            diff(first, second, layers=["three"])


class TestCommand:
    def test_same_differ_and_no_release(self, tmp_path):
        before, after = edited(awkward_clips())
        write_release(tmp_path / "a", before)
        write_release(tmp_path / "b", after)
        same = run(tmp_path / "a", tmp_path / "a")
        assert (same.exit_code, same.stdout) == (0, "the same\n")
        shown = run(tmp_path / "a", tmp_path / "b", "--joints")
        assert shown.exit_code == 1
        assert "clips added 1, removed 1, changed 2, the same 2" in shown.stdout
        assert "5 px" in shown.stdout and "left_shoulder" in shown.stdout
        told = run(tmp_path / "a", tmp_path / "b", "--json")
        content = json.loads(told.stdout)
        assert (told.exit_code, content["same"]) == (1, False)
        numbers = content["layers"]["made"]["moves"]["keypoints_2d"]
        assert numbers["joints"].keys() == {"left_shoulder"}
        assert json.loads(run(tmp_path / "a", tmp_path / "a", "--json").stdout)["same"]
        assert isinstance(run(tmp_path / "a", tmp_path / "none").exception, ReleaseError)
        assert open_release(tmp_path / "a").layers == ["made"]  # nothing was written

    @pytest.mark.parametrize("option", [("--tolerance", "nan"), ("--tolerance", "-1"),
                                        ("--worst", "-1")])  # fmt: skip
    def test_options_that_mean_nothing(self, tmp_path, option):
        write_release(tmp_path / "a", awkward_clips())
        assert isinstance(run(tmp_path / "a", tmp_path / "a", *option).exception, UsageError)
