"""The truth moves with the pictures: each pose stays on what it was on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import made_videos
import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from made_clips import made_clip, write_release
from typer.testing import CliRunner

from posedata.cli import degrade as degrade_command
from posedata.convert import convert, plan_conversion
from posedata.degrade import Occluders, are_hidden, hidden_mask, make_occluders, move_keypoints
from posedata.degraded_release import degrade_clip
from posedata.degraded_videos import Degradation, occluders_of
from posedata.errors import InputError, OutputError, UsageError
from posedata.release import open_release
from posedata.unrounded import Unrounded
from posedata.validate import validate
from posedata.video import probe_video, read_frames

SIZE = (160, 96)
NAN = np.nan


def one_rectangle(x, y, width, height, step=(0, 0)):
    """A plain rectangle, in pixels of a picture of 160 x 96."""
    size = np.array(SIZE, float)
    return Occluders(np.array([[x, y]]) / size, np.array([step]) / size,
                     np.array([[width, height]]) / size, np.array([99], np.uint8))  # fmt: skip


def a_clip(keypoints, frames=(0,), **arrays):
    """A clip of two joints; ``keypoints`` has a row for each frame."""
    clip = made_clip("a", [list(frames)], 30, skeleton="coco17", slots=False)
    pixels = np.full((len(frames), 17, 2), NAN, np.float32)
    pixels[:, : np.shape(keypoints)[1]] = keypoints
    visibility = np.where(np.isfinite(pixels).all(-1), 2, 0).astype(np.uint8)
    return replace(clip, keypoints_2d=pixels, visibility=visibility,
                    scores=(visibility / 2).astype(np.float32), **arrays)  # fmt: skip


# which joints are hidden


def test_hidden_by_hand():
    """A rectangle over pixels 10 to 29, and 20 to 29 down; it moves right by 4 a frame."""
    occluders = one_rectangle(10, 20, 20, 10, step=(4, 0))
    points = np.array([[9.4, 25], [9.6, 25], [29.4, 25], [29.6, 25], [20, 19.4], [20, 29.4],
                       [NAN, NAN], [-3, 25], [20, 200]])  # fmt: skip
    expected = [False, True, True, False, False, True, False, False, False]
    assert are_hidden(occluders, points[None], np.array([0]), SIZE).tolist() == [expected]
    later = are_hidden(occluders, points[None], np.array([3]), SIZE)
    assert later[0, :4].tolist() == [False, False, True, True]  # over pixels 22 to 41


@given(st.integers(0, 50), st.integers(0, 5), st.integers(0, 500))
def test_hidden_is_what_the_mask_says(seed, count, frame):
    occluders = make_occluders(count, seed, share=0.4)
    mask = hidden_mask(occluders, frame, SIZE) >= 0
    points = np.random.default_rng(seed).uniform((-20, -20), (180, 116), (1, 300, 2))
    x, y = np.floor(points[0] + 0.5).astype(int).T
    inside = (x >= 0) & (x < 160) & (y >= 0) & (y < 96)
    expected = np.zeros(300, bool)
    expected[inside] = mask[y[inside], x[inside]]
    assert np.array_equal(are_hidden(occluders, points, np.array([frame]), SIZE)[0], expected)


# one clip


def test_a_clip_by_hand():
    """To half the size: x' = (x + 1/2) / 2 - 1/2. Joint 0 is hidden, joint 1 is not."""
    clip = a_clip(
        [[[20, 25], [99.5, 49.5]]], boxes=np.array([[9.5, 19.5, 119.5, 59.5]], np.float32)
    )
    moved, beyond = degrade_clip(clip, SIZE, (80, 48), one_rectangle(10, 20, 20, 10),
                                 info={**clip.info, "width": 80, "height": 48})  # fmt: skip
    assert beyond == 0
    assert moved.keypoints_2d[0, :2].tolist() == [[9.75, 12.25], [49.5, 24.5]]
    assert np.isnan(moved.keypoints_2d[0, 2:]).all()
    assert moved.boxes.tolist() == [[4.5, 9.5, 59.5, 29.5]]
    assert moved.visibility[0, :3].tolist() == [1, 2, 0]
    assert np.array_equal(moved.scores, clip.scores)
    assert (moved.info["width"], moved.info["height"]) == (80, 48)
    assert clip.visibility[0, :3].tolist() == [2, 2, 0]  # what was given stays as it is


def test_what_was_inferred_stays_inferred_and_missing_stays_missing():
    clip = a_clip([[[20, 25], [21, 25]]])
    clip.visibility[0, 1] = 1
    moved, _ = degrade_clip(clip, SIZE, SIZE, one_rectangle(0, 0, 160, 96), info=clip.info)
    assert moved.visibility[0, :3].tolist() == [1, 1, 0]


def test_all_of_a_black_frame_is_hidden():
    clip = a_clip([[[20, 25]]] * 3, frames=(0, 1, 2))
    moved, _ = degrade_clip(clip, SIZE, SIZE, make_occluders(0, 0), info=clip.info,
                            black_frames=[1])  # fmt: skip
    assert moved.visibility[:, 0].tolist() == [2, 1, 2]


def test_a_layer_without_visibility_gets_one_where_there_are_occluders():
    clip = replace(a_clip([[[20, 25], [99, 9]]]), visibility=None)
    moved, _ = degrade_clip(clip, SIZE, SIZE, one_rectangle(10, 20, 20, 10), info=clip.info)
    assert moved.visibility[0, :3].tolist() == [1, 2, 0]
    assert (
        degrade_clip(clip, SIZE, SIZE, make_occluders(0, 0), info=clip.info)[0].visibility is None
    )


def test_poses_beyond_the_end_are_left_out_and_counted():
    metres = np.arange(3 * 17 * 3, dtype=np.float32).reshape(3, 17, 3)
    clip = a_clip([[[20, 25]]] * 3, frames=(0, 5, 9), keypoints_3d=metres)
    kept = Unrounded("decimal", np.array([2, 60, 130], np.int32), np.array([0.1, 0.2, 0.3]))
    of_2d = kept._replace(at=np.array([0, 1, 101], np.int32))
    clip = replace(clip, unrounded={"keypoints_3d": kept, "keypoints_2d": of_2d})
    moved, beyond = degrade_clip(clip, SIZE, (80, 48), make_occluders(0, 0),
                                 info={**clip.info, "num_frames": 6})  # fmt: skip
    assert (beyond, moved.frames.tolist(), moved.num_frames) == (1, [0, 5], 6)
    assert np.array_equal(moved.keypoints_3d, metres[:2])  # metres do not move
    assert list(moved.unrounded) == ["keypoints_3d"]
    assert moved.unrounded["keypoints_3d"].at.tolist() == [2, 60]
    other = a_clip([[[20, 25]]] * 3, frames=(7, 8, 9), keypoints_3d=metres)
    other = replace(other, unrounded={"keypoints_3d": kept})
    nobody, _ = degrade_clip(other, SIZE, SIZE, make_occluders(0, 0),
                             info={**clip.info, "num_frames": 6})  # fmt: skip
    assert len(nobody.frames) == 0 and len(nobody.unrounded["keypoints_3d"].at) == 0


# a release


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    degrade_command.register(app)
    return CliRunner().invoke(app, ["degrade", *map(str, arguments), "-q"])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three videos, a release of two of them, and of one that has no video."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "videos").mkdir()
    for name, frames in (("a", 12), ("b_rgb", 9), ("other", 3)):
        made_videos.write_video(folder / "videos" / f"{name}.mp4", frames)
    clips = [
        made_clip(name, [range(frames), [1, 2]], frames, ids=["7", "9"], width=160, height=96)
        for name, frames in (("a", 12), ("b", 12), ("c", 5))
    ]  # fmt: skip
    splits = [("own", "train", "a"), ("own", "test", "b"), ("own", "test", "c")]
    write_release(folder / "release", clips, splits=splits)
    return folder


def test_the_release_of_harder_videos(source, tmp_path):
    ran = run(source / "videos", "--size", "81x49", "--occlude", 4, "--seed", 3, "--release",
              source / "release", "--new-release", tmp_path / "truth", "-o", tmp_path / "hard",
              "--json")  # fmt: skip
    assert ran.exit_code == 1, ran.output  # a video that is of no clip
    said = json.loads(ran.stdout)
    assert (said["videos"], said["frames"], said["release"]["clips"]) == (2, 21, 2)
    assert [entry["source"] for entry in said["rejects"]] == ["other.mp4"]
    truth, before = open_release(tmp_path / "truth"), open_release(source / "release")
    assert list(validate(truth)) == []
    assert truth.clips()["clip_id"].to_pylist() == ["a", "b"]
    assert truth.splits()["clip_id"].to_pylist() == ["a", "b"]
    for name, frames in (("a", 12), ("b", 9)):
        clip, old = truth.clip(name), before.clip(name)
        video = probe_video(tmp_path / "hard" / f"{name}.mp4")
        assert video.num_frames == clip.num_frames == frames
        # H.264 wants even sides; what is added is not of the picture
        assert (video.width, video.height) == (82, 50) == (clip.info["width"], clip.info["height"])
        rows = old.frames < frames
        moved = move_keypoints(old.keypoints_2d[rows], SIZE, (81, 49))
        np.testing.assert_array_equal(clip.keypoints_2d, moved)
        occluders = occluders_of(Degradation((81, 49), 4, 0.2, 3), name, SIZE)
        hidden = are_hidden(occluders, old.keypoints_2d[rows], old.frames[rows], SIZE)
        expected = np.where(hidden & (old.visibility[rows] == 2), 1, old.visibility[rows])
        np.testing.assert_array_equal(clip.visibility, expected)
        np.testing.assert_array_equal(clip.scores, old.scores[rows])
        assert clip.person_ids == old.person_ids
        assert (clip.info["label"], clip.info["fps"]) == (0, 29.97)
    assert truth.clip("b").info["source"] == "b_rgb.mp4"
    rejects = {row["source"]: row for row in truth.rejects().to_pylist()}
    assert rejects["other.mp4"]["reason"] == "the release has no clip other"
    assert rejects["b_rgb.mp4"]["reason"].endswith("left out: 3")
    made_by = truth.manifest.layers["made"]["made_by"]
    assert made_by["operation"] == "degrade"
    assert made_by["options"]["size"] == "81x49" and made_by["options"]["seed"] == 3
    assert made_by["of"]["layer"] == "made"
    assert (truth.manifest.license, truth.manifest.citation) == ("none", "nobody")
    assert "occluders" in (tmp_path / "truth" / "README.md").read_text()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def arguments(source, tmp_path, *more):
    return [source / "videos" / "a.mp4", source / "videos" / "b_rgb.mp4", "--occlude", 3,
            "--release", source / "release", "--new-release", tmp_path / "truth", "-o",
            tmp_path / "hard", *more]  # fmt: skip


def test_workers_and_neighbours_change_nothing(source, tmp_path):
    assert run(*arguments(source, tmp_path), "-j", 2).exit_code == 0
    one = tmp_path / "one"
    assert run(*arguments(source, one), "-j", 1).exit_code == 0
    assert contents(one / "truth") == contents(tmp_path / "truth")
    alone = tmp_path / "alone.mp4"
    assert run(source / "videos" / "a.mp4", "--occlude", 3, "-o", alone).exit_code == 0

    def pixels(place):
        picture = np.empty((96, 160, 3), np.uint8)
        for frame in read_frames(probe_video(place), []):
            frame.copy_rgb(picture)
            yield picture.copy()

    for mine, theirs in zip(pixels(alone), pixels(one / "hard" / "a.mp4"), strict=True):
        assert np.array_equal(mine, theirs)
    others = [occluders_of(Degradation(None, 3), name, SIZE).start for name in ("a", "b")]
    assert not np.array_equal(*others)


@pytest.mark.parametrize("instant", ["begin", "video", "shard", "close"])
def test_an_interrupted_run_is_completed(source, tmp_path, monkeypatch, instant):
    assert run(*arguments(source, tmp_path / "whole"), "-j", 1).exit_code == 0
    where = {
        "begin": "posedata.degraded_videos._open",
        "video": "posedata.video_writer.write_video",
        "shard": "posedata.degraded_release.write_shard",
        "close": "posedata.closing.write_card",
    }[instant]
    seen = []

    def killed(*given, **_):
        seen.append(given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, killed)
        assert run(*arguments(source, tmp_path), "-j", 1).exit_code == 130
    assert seen
    done = run(*arguments(source, tmp_path, "--resume"), "-j", 1)
    assert done.exit_code == 0, done.output
    assert contents(tmp_path / "truth") == contents(tmp_path / "whole" / "truth")
    assert contents(tmp_path / "hard").keys() == contents(tmp_path / "whole" / "hard").keys()
    before = contents(tmp_path)
    again = run(*arguments(source, tmp_path, "--resume"), "-j", 1)
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert contents(tmp_path) == before


def test_what_is_there_is_not_touched(source, tmp_path):
    assert run(*arguments(source, tmp_path), "-j", 1).exit_code == 0
    before = contents(tmp_path)
    assert isinstance(run(*arguments(source, tmp_path)).exception, OutputError)
    other = run(*arguments(source, tmp_path, "--resume", "--seed", 1))
    assert isinstance(other.exception, OutputError)
    videos = [source / "videos" / "a.mp4", "--occlude", 2, "-o", tmp_path / "hard"]
    assert isinstance(run(*videos, "--resume").exception, OutputError)
    assert contents(tmp_path) == before
    (tmp_path / "hard" / "notes.txt").write_text("mine")
    assert run(*videos, "--overwrite").exit_code == 0
    assert sorted(contents(tmp_path / "hard")) == ["a.mp4", "degraded.json", "notes.txt"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused = run(*videos[:-1], tmp_path / "mine", "--overwrite").exception
    assert isinstance(refused, OutputError) and "not overwritten" in str(refused)


def test_the_videos_and_the_release_themselves_are_safe(source, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    before = contents(copy)
    of = [copy / "videos" / "a.mp4", "--release", copy / "release", "--overwrite"]
    for more in (["-o", copy / "videos"], ["-o", copy / "videos" / "a.mp4"]):
        ran = run(*of, "--new-release", tmp_path / "t", *more)
        assert isinstance(ran.exception, UsageError), ran.output
    ran = run(*of, "--new-release", copy / "release", "-o", tmp_path / "h")
    assert isinstance(ran.exception, UsageError)
    assert contents(copy) == before


def test_a_video_of_no_clip_is_one_clear_error(source, tmp_path):
    ran = run(source / "videos" / "other.mp4", "--release", source / "release", "--new-release",
              tmp_path / "t", "-o", tmp_path / "h")  # fmt: skip
    assert isinstance(ran.exception, InputError)
    assert "the release has no clip other" in str(ran.exception)
    assert "a name such as a, b, c" in str(ran.exception)
    assert not list(tmp_path.iterdir())


def test_a_video_that_cannot_be_used_is_a_reject(source, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    made_videos.write_video(videos / "a.mp4", 4, width=80, height=48)
    (videos / "b.mp4").write_bytes(b"no video")
    shutil.copy(source / "videos" / "other.mp4", videos / "c.mp4")
    ran = run(videos, "--size", "40x24", "--release", source / "release", "--new-release",
              tmp_path / "t", "-o", tmp_path / "h")  # fmt: skip
    assert ran.exit_code == 1, ran.output
    truth = open_release(tmp_path / "t")
    assert truth.clips()["clip_id"].to_pylist() == ["c"]
    rejects = {row["source"]: row["reason"] for row in truth.rejects().to_pylist()}
    assert "of another width: found 80, expected 160" in rejects["a.mp4"]
    assert "b.mp4" in rejects
    assert list(validate(truth)) == []
    assert sorted(contents(tmp_path / "h")) == ["c.mp4", "degraded.json"]


def test_a_dry_run_writes_nothing(source, tmp_path):
    ran = run(*arguments(source, tmp_path, "--dry-run", "--limit", 1))
    assert ran.exit_code == 0, ran.output
    assert "would degrade 1 videos" in ran.stdout and "made" in ran.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [["--release", "R"], ["--new-release", "N"], ["--layer", "made"], ["--limit", "0"],
     ["-j", "0"], ["--resume", "--overwrite"],
     ["--release", "R", "--new-release", "N", "--layer", "nobody"]],
)  # fmt: skip
def test_options_that_mean_nothing(source, tmp_path, wrong):
    names = {"R": source / "release", "N": tmp_path / "n"}
    ran = run(source / "videos", "-o", tmp_path / "h", *(names.get(word, word) for word in wrong))
    assert isinstance(ran.exception, UsageError), ran.output
    assert not list(tmp_path.iterdir())


def test_several_videos_make_no_single_file(source, tmp_path):
    ran = run(source / "videos", "-o", tmp_path / "h.mp4")
    assert isinstance(ran.exception, UsageError) and "-o FOLDER" in str(ran.exception)
    ran = run(source / "videos" / "a.mp4", "-o", tmp_path / "h.mp4", "--resume")
    assert isinstance(ran.exception, UsageError)


@pytest.mark.real
def test_the_truth_of_a_real_video(shared, tmp_path):
    """NTU's video and skeleton: a valid release, by our rules and by an outside check."""
    ntu = shared / "data" / "ntu"
    convert(plan_conversion("ntu", ntu / "skeletons"), tmp_path / "ntu", num_workers=1)
    ran = run(ntu / "rgb", "--size", "320x180", "--occlude", 6, "--limit", 1, "--release",
              tmp_path / "ntu", "--new-release", tmp_path / "t", "-o", tmp_path / "h")  # fmt: skip
    assert ran.exit_code == 1, ran.output  # two of the videos have no skeleton
    truth, name = open_release(tmp_path / "t"), "S001C001P001R001A001"
    assert list(validate(truth)) == []
    check = [sys.executable, str(shared / "checks" / "contract.py"), str(tmp_path / "t")]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    clip, old = truth.clip(name), open_release(tmp_path / "ntu").clip(name)
    video = probe_video(tmp_path / "h" / f"{name}.mp4")
    assert (clip.num_frames, clip.info["width"], clip.info["height"]) == (103, 320, 180)
    assert (video.num_frames, video.width, video.height) == (103, 320, 180)
    np.testing.assert_array_equal(clip.keypoints_3d, old.keypoints_3d)
    np.testing.assert_allclose(clip.keypoints_2d, (old.keypoints_2d + 0.5) / 6 - 0.5, atol=1e-4)
    assert clip.info["mirrored"] is True
