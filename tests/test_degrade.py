"""Harder videos: smaller, partly hidden, the same again with the same seed."""

from __future__ import annotations

import json

import made_videos
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from posedata.cli import degrade as degrade_command
from posedata.degrade import (
    HIDDEN_SHARE,
    degrade_frames,
    hidden_mask,
    make_occluders,
    move_keypoints,
    occlude,
    reduce_picture,
)
from posedata.errors import OutputError, UsageError
from posedata.video import probe_video

SIZE = (160, 96)


# occluders


@pytest.mark.parametrize("count, share", [(1, 0.2), (6, 0.2), (6, 0.5), (20, 0.1)])
def test_the_share_that_is_hidden_on_average(count, share):
    """Anywhere in the picture, over seeds: here of all of it, and of a person in a corner."""
    whole, corner = [], []
    for seed in range(150):
        mask = hidden_mask(make_occluders(count, seed, share=share), 10 * seed, SIZE) >= 0
        whole.append(mask.mean())
        corner.append(mask[:40, :20].mean())
    assert np.mean(whole) == pytest.approx(share, abs=0.02)
    assert np.mean(corner) == pytest.approx(share, abs=0.07)


def test_occluders_drift_and_come_back():
    occluders = make_occluders(1, 3)
    covered = [hidden_mask(occluders, frame, SIZE) == 0 for frame in range(0, 4000, 7)]
    assert all(mask.any() for mask in covered)
    assert (covered[0] & covered[1]).any()  # slow: it is still there 7 frames later
    assert not np.array_equal(covered[0], covered[1])
    assert np.mean(covered, axis=0).max() < 0.5  # and in the end has been at many places
    assert (np.mean(covered, axis=0) > 0).mean() > 0.5


def test_the_same_seed_gives_the_same_occluders():
    a, b, c = (make_occluders(5, seed) for seed in (1, 1, 2))
    assert np.array_equal(hidden_mask(a, 9, SIZE), hidden_mask(b, 9, SIZE))
    assert not np.array_equal(hidden_mask(a, 9, SIZE), hidden_mask(c, 9, SIZE))


def test_occluders_of_a_picture_of_any_size_hide_the_same():
    occluders = make_occluders(4, 0)
    small = hidden_mask(occluders, 5, (160, 90))
    large = hidden_mask(occluders, 5, (1600, 900))[5::10, 5::10]
    assert (small != large).mean() < 0.03  # but for pixels at edges


def test_what_is_hidden_is_painted_and_nothing_else():
    picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    before = picture.copy()
    occluders = make_occluders(4, 0)
    hard = occlude(picture, occluders, 8)
    mask = hidden_mask(occluders, 8, SIZE)
    assert np.array_equal(picture, before)
    assert np.array_equal(hard[mask < 0], picture[mask < 0])
    assert (hard[mask == 2] == occluders.grey[2]).all()
    assert np.array_equal(hard[mask >= 0][:, 0], hard[mask >= 0][:, 2])  # grey
    assert hard[mask == 3].std() > 20  # noise


def test_the_grain_moves_with_its_rectangle():
    occluders = make_occluders(2, 4, share=0.5)
    blank = np.zeros((96, 160, 3), np.uint8)

    def corner_of_noise(frame):
        mask = hidden_mask(occluders, frame, SIZE)
        top = int((occluders.start[1, 1] + frame * occluders.step[1, 1]) % 1 * 96)
        left = int((occluders.start[1, 0] + frame * occluders.step[1, 0]) % 1 * 160)
        assert mask[top, left] == 1
        rows, columns = np.arange(top, top + 5) % 96, np.arange(left, left + 5) % 160
        return occlude(blank, occluders, frame)[np.ix_(rows, columns)]

    assert np.array_equal(corner_of_noise(0), corner_of_noise(40))


@pytest.mark.parametrize("count, share", [(-1, 0.2), (101, 0.2), (3, -0.1), (3, 0.95)])
def test_occluders_that_cannot_be(count, share):
    with pytest.raises(UsageError, match="expected 0 to"):
        make_occluders(count, 0, share=share)


def test_no_occluders_and_no_share_hide_nothing():
    assert (hidden_mask(make_occluders(0, 0), 0, SIZE) == -1).all()
    assert (hidden_mask(make_occluders(3, 0, share=0.0), 0, SIZE) == -1).all()


# smaller pictures


def test_a_smaller_pixel_is_the_mean_of_what_it_covers():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, 2:] = [[[40], [80]], [[120], [160]]]
    expected = np.zeros((2, 2, 3), np.uint8)
    expected[0, 1] = 100
    assert np.array_equal(reduce_picture(picture, (2, 2)), expected)


def test_the_truth_moves_with_the_picture():
    """The centre of a square is found where its keypoint goes."""
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[60:80, 200:240] = 255
    centre = np.array([[219.5, 69.5], [np.nan, np.nan]])
    moved = move_keypoints(centre, (320, 180), (80, 36))
    small = reduce_picture(picture, (80, 36))[..., 0].astype(float)
    rows, columns = np.indices(small.shape)
    found = (columns * small).sum() / small.sum(), (rows * small).sum() / small.sum()
    assert moved.dtype == np.float32 and np.isnan(moved[1]).all()
    assert moved[0] == pytest.approx(found, abs=0.02)
    assert move_keypoints(moved, (80, 36), (320, 180))[0] == pytest.approx(centre[0], abs=1e-4)


# videos


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return made_videos.write_video(tmp_path_factory.mktemp("videos") / "a.mp4", 12)


def test_every_frame_is_there_under_its_number(video):
    damages = []
    source = probe_video(video)
    frames = list(degrade_frames(source, damages, size=(80, 48)))
    assert [made_videos.number_in(frame) for frame in frames] == list(range(12))
    assert frames[0].shape == (48, 80, 3) and not damages


def test_frames_do_not_change_after_they_are_given(video):
    frames = list(degrade_frames(probe_video(video), []))
    assert [made_videos.number_in(frame) for frame in frames] == list(range(12))


def test_rectangles_are_drawn_before_the_picture_shrinks(video):
    occluders = make_occluders(3, 0, share=0.4)
    source = probe_video(video)
    large = list(degrade_frames(source, [], occluders=occluders))
    small = list(degrade_frames(source, [], size=(80, 48), occluders=occluders))
    assert np.array_equal(small[7], reduce_picture(large[7], (80, 48)))


def test_the_same_seed_gives_the_same_pixels(video):
    source = probe_video(video)
    a, b = (list(degrade_frames(source, [], occluders=make_occluders(3, 7))) for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("size", [(0, 10), (10, 20000)])
def test_a_size_that_makes_no_picture(video, size):
    with pytest.raises(UsageError, match="16384"):
        list(degrade_frames(probe_video(video), [], size=size))


# the command


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    degrade_command.register(app)
    return CliRunner().invoke(app, ["degrade", *map(str, arguments)])


def test_the_command_writes_a_video(video, tmp_path):
    out = tmp_path / "hard.mp4"
    result = run(video, "--size", "80x48", "--occlude", 2, "--seed", 1, "-o", out, "-q")
    assert result.exit_code == 0, result.output
    assert "12 frames of 80x48, 2 occluders that hide 20% on average" in result.stdout
    made = probe_video(out)
    assert (made.num_frames, made.width, made.height, made.fps) == (12, 80, 48, 25)


def test_the_command_for_machines(video, tmp_path):
    out = tmp_path / "hard.mp4"
    report = json.loads(run(video, "-o", out, "--occlude", 3, "--json", "-q").stdout)
    assert report["hidden"] == HIDDEN_SHARE and report["occluders"] == 3
    assert (report["width"], report["height"], report["frames"]) == (160, 96, 12)


def test_an_existing_output_stays_as_it_is(video, tmp_path):
    out = tmp_path / "hard.mp4"
    out.write_bytes(b"mine")
    assert isinstance(run(video, "-o", out, "-q").exception, OutputError)
    assert out.read_bytes() == b"mine"
    assert run(video, "-o", out, "-q", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["-o", "a.avi"], ["-o", "b.mp4", "--size", "80"], ["-o", "b.mp4", "--seed", "-1"],
     ["-o", "b.mp4", "--occlude", "-1"], ["-o", "b.mp4", "--hidden", "2"]],
)  # fmt: skip
def test_options_that_mean_nothing(video, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert isinstance(run(video, *arguments, "-q").exception, UsageError)
    assert not list(tmp_path.iterdir())
