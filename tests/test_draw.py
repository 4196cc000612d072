"""Poses on pictures and videos: each joint where it is, each frame under its own number."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import av
import cv2
import made_videos
import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_clips import clips_in_3d, made_clip, write_release
from typer.testing import CliRunner

from posedata import draw_video
from posedata.cli import draw as draw_command
from posedata.draw import HUES, STYLES, draw_legend, draw_poses, line_width, person_color
from posedata.draw_video import draw_frames, fps_of
from posedata.errors import InputError, OutputError, PosedataError, UsageError
from posedata.skeleton import Skeleton, load_skeleton
from posedata.storage import locate
from posedata.video import Damage, probe_video
from posedata.video_writer import write_video

COCO = load_skeleton("coco17")
POINT = Skeleton("point", ("a",), (), (), "a")
BONE = Skeleton("bone", ("a", "b"), ((0, 1),), (), "a")
GRAY = np.full((90, 120, 3), 128, np.uint8)


def changed(picture, before=GRAY):
    return (picture != before).any(-1)


def middle(mask):
    return np.argwhere(mask).mean(0)[::-1]


# one picture


@pytest.mark.parametrize("x, y", [(40, 30), (40.5, 30), (41.25, 29.5)])
def test_a_joint_is_drawn_around_its_place(x, y):
    """(0, 0) is the centre of the top-left pixel, and a fraction of a pixel counts."""
    drawn = draw_poses(np.zeros_like(GRAY), np.array([[[x, y]]]), POINT)
    weight = drawn.sum(-1).astype(float)
    rows, columns = np.indices(weight.shape)
    found = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
    assert found == pytest.approx((x, y), abs=0.1)


def test_the_picture_that_is_given_stays_as_it_is():
    before = GRAY.copy()
    drawn = draw_poses(GRAY, np.array([[[40, 30]]]), POINT)
    assert (before == GRAY).all()
    assert drawn.dtype == np.uint8
    assert drawn.shape == GRAY.shape
    read_only = GRAY[:, ::-1]
    read_only.flags.writeable = False
    assert changed(draw_poses(read_only, np.array([[[40, 30]]]), POINT)).any()


def test_a_missing_joint_and_its_bones_are_not_drawn():
    whole = np.array([[[20, 40], [100, 40]]], np.float32)
    assert changed(draw_poses(GRAY, whole, BONE))[35:46, 55:65].any()
    part = whole.copy()
    part[0, 1, 0] = np.nan
    drawn = changed(draw_poses(GRAY, part, BONE))
    assert drawn[40, 20]
    assert not drawn[:, 30:].any()
    assert not changed(draw_poses(GRAY, np.full((2, 2, 2), np.nan), BONE)).any()
    assert not changed(draw_poses(GRAY, np.empty((0, 2, 2)), BONE)).any()


def test_scores_are_opacity_and_a_bone_has_that_of_its_weaker_end():
    pose = np.array([[[20, 40], [100, 40]]])

    def at_bone(*scores):
        drawn = draw_poses(np.zeros_like(GRAY), pose, BONE, scores=np.array([scores]))
        return int(drawn[40, 60].max())

    opaque = at_bone(1, 1)
    assert opaque > 220  # anti-aliasing takes a little
    assert at_bone(1, 0.5) == pytest.approx(opaque / 2, abs=3)
    assert at_bone(0.5, 1) == at_bone(0.5, 0.5) == at_bone(1, 0.5)
    assert 0 < at_bone(0.01, 1) < at_bone(0.5, 1)
    assert at_bone(7, 1) == opaque
    assert at_bone(np.nan, 1) == at_bone(0.01, 1)


def test_people_have_hues_and_layers_have_styles():
    assert len({person_color(person) for person in range(len(HUES))}) == len(HUES)
    assert person_color(len(HUES)) == person_color(0)
    assert len({person_color(3, layer) for layer in range(len(STYLES))}) == len(STYLES)
    pose = np.array([[[20, 40], [100, 40]]])
    drawn = [draw_poses(GRAY, pose, BONE, layer=layer) for layer in range(len(STYLES))]
    for number, one in enumerate(drawn):
        assert all((one != other).any() for other in drawn[:number])
    solid, dashed = (drawn[layer][40, 25:95, 0] for layer in (0, 1))
    assert (solid > 200).all()
    assert 0.2 < (dashed > 200).mean() < 0.7
    person = draw_poses(np.zeros_like(GRAY), pose, BONE, persons=[1])[40, 20]
    assert tuple(person.tolist()) == person_color(1)


def test_a_bone_to_far_away_has_its_direction():
    drawn = draw_poses(GRAY, np.array([[[20, 20], [50_020, 25_020]]]), BONE)
    for x in (30, 60, 100):
        column = np.flatnonzero(changed(drawn)[:, x])
        assert column.mean() == pytest.approx(20 + (x - 20) / 2, abs=1)


def test_boxes():
    pose, box = np.array([[[60, 40]]]), np.array([[30, 20, 90, 70]])
    drawn = draw_poses(GRAY, pose, POINT, boxes=box)
    assert changed(drawn)[20, 30:91].all()
    assert changed(drawn)[20:71, 90].all()
    assert not changed(drawn)[50, 35:85].any()
    none = draw_poses(GRAY, pose, POINT, boxes=np.full((1, 4), np.nan))
    assert (none == draw_poses(GRAY, pose, POINT)).all()


@given(
    arrays(np.float32, (2, 17, 2), elements=st.floats(width=32) | st.floats(-200, 300, width=32)),
    arrays(np.float32, (2, 17), elements=st.floats(width=32)),
    arrays(np.float32, (2, 4), elements=st.floats(width=32)),
    st.integers(-3, 300), st.integers(0, 9), st.sampled_from([(1, 1), (3, 5), (90, 120)]),
)  # fmt: skip
def test_any_numbers(poses, scores, boxes, person, layer, size):
    picture = np.zeros((*size, 3), np.uint8)
    drawn = draw_poses(picture, poses, COCO, scores=scores, boxes=boxes, layer=layer,
                       persons=[person, 2 * person])  # fmt: skip
    legend = draw_legend(drawn, ["a", "layer"], [person, 70000])
    assert legend.shape == drawn.shape == picture.shape


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"picture": GRAY.astype(np.float32)}, "picture"),
        ({"picture": GRAY[..., 0]}, "picture"),
        ({"keypoints_2d": np.zeros((2, 3, 2))}, "keypoints_2d"),
        ({"scores": np.zeros((1, 17))}, "scores"),
        ({"persons": [1]}, "persons"),
        ({"boxes": np.zeros((2, 3))}, "boxes"),
    ],
)
def test_arrays_that_do_not_fit(change, what):
    given = {"picture": GRAY, "keypoints_2d": np.zeros((2, 17, 2)), "skeleton": COCO, **change}
    with pytest.raises(UsageError, match=what):
        draw_poses(**given)


def test_the_legend_is_in_the_corner_and_counts_whom_it_cannot_name():
    picture = np.full((480, 640, 3), 128, np.uint8)
    one = changed(draw_legend(picture, ["kinect"], [0]), picture)
    assert np.argwhere(one).max(0).tolist() < [60, 200]
    two = changed(draw_legend(picture, ["kinect", "mediapipe"], [0]), picture)
    assert np.flatnonzero(two.any(1)).max() > np.flatnonzero(one.any(1)).max()
    many = draw_legend(picture, ["kinect"], range(500))
    assert np.flatnonzero(changed(many, picture).any(0)).max() < 450
    colors = {tuple(pixel) for pixel in draw_legend(np.zeros_like(picture), ["a"], [4])
              .reshape(-1, 3).tolist()}  # fmt: skip
    shown = tuple(round(0.8 * value) for value in person_color(4))
    assert shown in colors


def test_lines_are_wider_in_larger_pictures():
    assert [line_width(*size) for size in [(240, 320), (480, 640), (1080, 1920), (2160, 3840)]] == [
        1, 1, 3, 6]  # fmt: skip


# videos


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream, [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_write_video(tmp_path):
    pictures = [np.full((96, 160, 3), 20 * number, np.uint8) for number in range(12)]
    assert write_video(locate(tmp_path / "a.mp4"), iter(pictures), 30000 / 1001) == 12
    stream, frames = decoded(tmp_path / "a.mp4")
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert stream.average_rate == pytest.approx(30000 / 1001, rel=1e-6)
    assert str(stream.average_rate) == "30000/1001"
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(12))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


def test_colours_survive(tmp_path):
    colors = [person_color(person) for person in range(6)] + [(255, 255, 255), (0, 0, 0)]
    picture = np.repeat(np.array(colors, np.uint8), 32, 0)[None].repeat(64, 0)
    write_video(locate(tmp_path / "a.mp4"), [picture] * 3, 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == 1  # BT.709
    found = frame.to_ndarray(format="rgb24")[32, 16::32].astype(int)
    assert np.abs(found - np.array(colors)).max() <= 6


def test_an_odd_size_is_padded_by_one(tmp_path):
    picture = np.full((77, 101, 3), 200, np.uint8)
    write_video(locate(tmp_path / "a.mp4"), [picture], 25)
    _, (frame,) = decoded(tmp_path / "a.mp4")
    assert frame.shape == (78, 102, 3)
    assert np.abs(frame.astype(int) - 200).max() < 4


@pytest.mark.parametrize("fps", [0.0, 1e9, float("inf"), float("nan"), 12.5, 0.0001])
def test_any_rate_gives_a_video(tmp_path, fps):
    write_video(locate(tmp_path / "a.mp4"), [np.zeros((16, 16, 3), np.uint8)] * 3, fps)
    assert len(decoded(tmp_path / "a.mp4")[1]) == 3


def test_videos_that_cannot_be_written(tmp_path):
    black = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(UsageError, match="no pictures"):
        write_video(locate(tmp_path / "a.mp4"), [], 25)
    with pytest.raises(UsageError, match="several sizes"):
        write_video(locate(tmp_path / "a.mp4"), [black, np.zeros((16, 18, 3), np.uint8)], 25)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_video(locate(tmp_path / "file" / "a.mp4"), [black], 25)
    with pytest.raises(OutputError, match="encoded"):
        write_video(locate(tmp_path / "a.mp4"), [np.zeros((2, 40_000, 3), np.uint8)], 25)

    def broken():
        yield black
        raise ValueError("of the pictures")

    with pytest.raises(ValueError, match="of the pictures"):
        write_video(locate(tmp_path / "a.mp4"), broken(), 25)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# a clip's layers on its video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("draw") / "A001.mp4"
    return made_videos.write_video(path, 10, width=640, height=480)


def clip_of(layer="made", *, poses=None, **info):
    """One person, whose joints are all at (200, 300) + 10 for each frame."""
    clip = made_clip("A001", [range(2, 7)], 10, layer=layer, **info)
    places = (200, 300) + 10 * clip.frames[:, None, None] * np.ones((1, 17, 2))
    return replace(clip, keypoints_2d=places.astype(np.float32), scores=None, visibility=None)


def test_each_frame_has_its_own_poses(video):
    damages = []
    pictures = list(draw_frames(probe_video(video), [clip_of()], range(10), damages))
    plain = list(draw_frames(probe_video(video), [], range(10), damages))
    assert len(pictures) == len(plain) == 10
    assert damages == []
    for frame, (drawn, before) in enumerate(zip(pictures, plain, strict=True)):
        assert made_videos.number_in(drawn) == frame
        mask = changed(drawn, before)
        mask[:60] = False  # the legend
        if 2 <= frame < 7:
            assert middle(mask) == pytest.approx((200 + 10 * frame, 300 + 10 * frame), abs=1)
        else:
            assert not mask.any()


def test_two_layers_of_one_person(video):
    """One colour, two styles, and both are in the legend."""
    source, first, second = probe_video(video), clip_of("a"), clip_of("b")
    second.keypoints_2d[:, :, 0] += 200
    (both,) = draw_frames(source, [first, second], range(3, 4), [])
    (alone,) = draw_frames(source, [first], range(3, 4), [])
    at = both[330, 230].tolist(), both[330, 430].tolist()
    assert at == (list(person_color(0)), list(person_color(0, 1)))
    assert (both[300:, :330] == alone[300:, :330]).all()
    assert changed(both, alone)[:60, :120].any()


def test_a_range_of_frames(video):
    pictures = draw_frames(probe_video(video), [clip_of()], range(4, 6), [])
    assert [made_videos.number_in(picture) for picture in pictures] == [4, 5]


@pytest.mark.parametrize("scale", [0.5, 0.25, 1.5])
def test_scaled(video, scale):
    (drawn,) = draw_frames(probe_video(video), [clip_of()], range(3, 4), [], scale=scale)
    (plain,) = draw_frames(probe_video(video), [], range(3, 4), [], scale=scale)
    assert drawn.shape == (480 * scale, 640 * scale, 3)
    mask = changed(drawn, plain)
    mask[: mask.shape[0] // 3] = False
    expected = (np.array([230, 330]) + 0.5) * scale - 0.5
    assert middle(mask) == pytest.approx(expected, abs=0.6)


def test_boxes_are_drawn_where_they_are_asked_for(video):
    clip = clip_of()
    clip.boxes[:] = (400, 200, 500, 400)
    (without,) = draw_frames(probe_video(video), [clip], range(3, 4), [], scale=0.5)
    (with_boxes,) = draw_frames(probe_video(video), [clip], range(3, 4), [], scale=0.5, boxes=True)
    mask = changed(with_boxes, without)
    assert mask[100:200, 200].mean() > 0.9
    assert not mask[:, 205:245][105:195].any()


def test_frames_that_cannot_be_read_are_black_and_counted(video, monkeypatch):
    real = draw_video.read_frames

    def damaged(source, damages):
        for frame in real(source, damages):
            if frame.index not in (0, 4, 5, 9):
                yield frame
        damages += [Damage(0, 1, "a"), Damage(4, 2, "b"), Damage(9, None, "c"), Damage(10, 5, "d")]

    monkeypatch.setattr(draw_video, "read_frames", damaged)
    damages = []
    pictures = list(draw_frames(probe_video(video), [], range(10), damages))
    dark = [index for index, picture in enumerate(pictures) if picture[100:].max() == 0]
    assert dark == [0, 4, 5, 9]
    assert damages == [Damage(0, 1, "a"), Damage(4, 2, "b"), Damage(9, 1, "c")]
    damages = []
    pictures = draw_frames(probe_video(video), [], range(5, 10), damages)
    assert [picture[100:].max() == 0 for picture in pictures] == [True, False, False, False, True]
    assert damages == [Damage(5, 1, "b"), Damage(9, 1, "c")]


def test_what_cannot_be_drawn(video):
    source = probe_video(video)
    with pytest.raises(UsageError, match="no keypoints_2d"):
        next(draw_frames(source, [clips_in_3d()[0]], range(1), []))
    with pytest.raises(InputError, match="another width: found 640, expected 320"):
        next(draw_frames(source, [clip_of(width=320)], range(1), []))
    for frames in (range(0), range(5, 11), range(-1, 3), range(7, 3)):
        with pytest.raises(UsageError, match="does not have"):
            next(draw_frames(source, [clip_of()], frames, []))
    for scale in (0, -1, float("nan"), 1000):
        with pytest.raises(UsageError, match="scale"):
            next(draw_frames(source, [clip_of()], range(1), [], scale=scale))


def test_fps():
    assert fps_of(SimpleNamespace(fps=30.0), [clip_of(fps=25.0)]) == 30
    assert fps_of(SimpleNamespace(fps=None), [clip_of(fps=12.5)]) == 12.5
    assert fps_of(SimpleNamespace(fps=None), []) == 25


# the command


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    draw_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    write_release(folder / "two_d", [clip_of()])
    write_release(folder / "three_d", clips_in_3d())
    return folder / "two_d"


def test_a_video_and_what_is_said_of_it(video, release, tmp_path):
    done = run(video, "--release", release, "-o", tmp_path / "out.mp4", "--json", "--scale", 0.25)
    assert done.exit_code == 0, done.output
    stream, frames = decoded(tmp_path / "out.mp4")
    assert stream.average_rate == 25
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 10
    assert json.loads(done.stdout) == {
        "out": str(tmp_path / "out.mp4"), "clip_id": "A001", "layers": ["made"], "first_frame": 0,
        "frames": 10, "unreadable_frames": 0, "poses_beyond_the_video": 0,
    }  # fmt: skip
    again = run(video, "--release", release, "-o", tmp_path / "out.mp4")
    assert isinstance(again.exception, OutputError)
    more = run(video, "--release", release, "-o", tmp_path / "out.mp4", "--overwrite",
               "--frames", "2:5", "--layer", "made", "--quiet")  # fmt: skip
    assert more.exit_code == 0
    assert "3 frames of A001, made" in more.stdout
    assert [made_videos.number_in(frame) for frame in decoded(tmp_path / "out.mp4")[1]] == [2, 3, 4]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_one_picture(video, release, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    done = run(video, "--release", release, "-o", out, "--frames", 5)
    assert done.exit_code == 0, done.output
    picture = cv2.imread(str(out))[..., ::-1]
    assert made_videos.number_in(picture) == 5
    orange = np.abs(picture[350].astype(int) - person_color(0)).max(-1) < 60
    assert 250 in np.flatnonzero(orange)


def test_the_clip_is_found_by_the_name_of_the_video(video, release, tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(video.read_bytes())
    missing = run(other, "--release", release, "-o", tmp_path / "a.mp4")
    assert isinstance(missing.exception, UsageError)
    assert "--clip" in str(missing.exception)
    assert (
        run(other, "--release", release, "-o", tmp_path / "a.mp4", "--clip", "A001").exit_code == 0
    )
    colour = tmp_path / "A001_rgb.mp4"
    colour.write_bytes(video.read_bytes())
    assert run(colour, "--release", release, "-o", tmp_path / "b.mp4").exit_code == 0


def test_the_only_release_here_is_taken(video, release, tmp_path, monkeypatch):
    monkeypatch.chdir(release.parent)
    several = run(video, "-o", tmp_path / "a.mp4")
    assert isinstance(several.exception, UsageError)
    assert "--release" in str(several.exception)
    monkeypatch.chdir(release)
    assert run(video, "-o", tmp_path / "a.mp4").exit_code == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["-o", "out.gif"], "out.gif"),
        (["-o", "out.png"], "a picture is of one frame"),
        (["-o", "out.mp4", "--frames", "x"], "--frames"),
        (["-o", "out.mp4", "--frames", "5:99"], "does not have"),
        (["-o", "out.mp4", "--frames", "7:3"], "does not have"),
        (["-o", "out.png", "--frames", "10"], "does not have"),
        (["-o", "out.mp4", "--layer", "kinect"], "kinect"),
        (["-o", "out.mp4", "--clip", "B002"], "B002"),
        (["-o", "out.mp4", "--clip", "B002", "--layer", "made"], "B002"),
        (["-o", "out.mp4", "--scale", "0"], "scale"),
    ],
)
def test_calls_that_cannot_mean_anything(video, release, tmp_path, monkeypatch, options, what):
    monkeypatch.chdir(tmp_path)
    done = run(video, "--release", release, *options)
    assert isinstance(done.exception, UsageError)
    assert what in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_release_without_2d_poses(video, release, tmp_path):
    for options in ([], ["--layer", "made"]):
        done = run(
            video, "--release", release.parent / "three_d", "-o", tmp_path / "a.mp4", *options
        )
        assert isinstance(done.exception, UsageError)
        assert "2" in str(done.exception)


@pytest.mark.parametrize("content", [b"", b"not a video", bytes(range(256)) * 20])
def test_what_is_no_video(release, tmp_path, content):
    (tmp_path / "A001.mp4").write_bytes(content)
    done = run(tmp_path / "A001.mp4", "--release", release, "-o", tmp_path / "out.mp4")
    assert isinstance(done.exception, PosedataError)
    assert not (tmp_path / "out.mp4").exists()


def test_poses_beyond_the_video_are_said(release, tmp_path):
    short = made_videos.write_video(tmp_path / "A001.mp4", 4, width=640, height=480)
    done = run(short, "--release", release, "-o", tmp_path / "out.mp4")
    assert done.exit_code == 0
    assert "3 poses of layer made are beyond the video's 4 frames" in done.stderr


def test_unreadable_frames_are_said(video, release, tmp_path, monkeypatch):
    real = draw_video.read_frames

    def damaged(source, damages):
        damages.append(Damage(3, 1, "torn"))
        yield from (frame for frame in real(source, damages) if frame.index != 3)

    monkeypatch.setattr(draw_video, "read_frames", damaged)
    done = run(video, "--release", release, "-o", tmp_path / "out.mp4")
    assert done.exit_code == 1
    assert "black: 1 frames from 3 on: torn" in done.stderr
    assert len(decoded(tmp_path / "out.mp4")[1]) == 10
    one = run(video, "--release", release, "-o", tmp_path / "out.png", "--frames", 3)
    assert isinstance(one.exception, InputError)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.real
def test_kinect_on_its_video(shared, tmp_path):
    from posedata.convert import convert
    from posedata.plan import plan_conversion
    from posedata.release import open_release

    name = "S001C001P001R001A001"
    convert(plan_conversion("ntu", shared / "data/ntu/skeletons"), tmp_path / "ntu", num_workers=1)
    clip = open_release(tmp_path / "ntu").clip(name, "kinect")
    video = probe_video(shared / f"data/ntu/rgb/{name}_rgb.avi")
    (plain,) = draw_frames(video, [], range(50, 51), [])
    (drawn,) = draw_frames(video, [clip], range(50, 51), [])
    rows, columns = np.nonzero(changed(drawn, plain)[150:])
    # Where the woman is in the picture, from face to feet.
    assert columns.min() > 980
    assert columns.max() < 1110
    assert 300 < rows.min() + 150 < 340
    assert 690 < rows.max() + 150 < 740
