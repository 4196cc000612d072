"""Heatmaps over pictures and videos: each part of the body in its colour, where it is."""

from __future__ import annotations

import itertools
import json

import av
import cv2
import made_videos
import numpy as np
import pytest
import typer
from made_clips import clips_in_3d, made_clip, write_release
from typer.testing import CliRunner

from posedata.cli import draw as draw_command
from posedata.draw_heatmaps import (
    COLORS,
    DIMMED,
    OPACITY,
    draw_heatmap_frames,
    draw_heatmaps,
    parts_of_joints,
    sigma_of_volumes,
)
from posedata.errors import InputError, UsageError
from posedata.heatmaps import heatmaps
from posedata.skeleton import Skeleton, load_skeleton
from posedata.video import probe_video

COCO = load_skeleton("coco17")
GRAY = np.full((90, 120, 3), 128, np.uint8)
DARK = round(128 * DIMMED)
LEFT_WRIST, RIGHT_KNEE = COCO.joints.index("left_wrist"), COCO.joints.index("right_knee")


def pose_with(**joints):
    pose = np.full((1, 17, 2), np.nan, np.float32)
    for name, place in joints.items():
        pose[0, COCO.joints.index(name)] = place
    return pose


def test_parts_by_hand():
    names = np.array(list(COLORS))[parts_of_joints(COCO)]
    of = dict(zip(COCO.joints, names.tolist(), strict=True))
    assert of["nose"] == of["left_ear"] == "head, trunk"
    assert of["left_shoulder"] == of["left_wrist"] == "left arm"
    assert of["right_elbow"] == "right arm"
    assert of["right_hip"] == of["right_ankle"] == "right leg"
    assert of["left_knee"] == "left leg"


def test_unknown_names_have_sides():
    odd = Skeleton("odd", ("a", "b", "c"), ((0, 1), (1, 2)), ((0, 2),), "b")
    assert [list(COLORS)[part] for part in parts_of_joints(odd)] == [
        "left arm", "head, trunk", "right arm"
    ]  # fmt: skip


def test_one_joint_is_its_gaussian_in_its_colour():
    drawn = draw_heatmaps(GRAY, pose_with(left_wrist=(60.5, 40)), COCO, 4.0)
    map_ = heatmaps(np.array([[[[60.5, 40]]]]), size=(90, 120), sigma=4.0)[0, 0]
    opacity = OPACITY * map_[..., None]
    expected = DARK * (1 - opacity) + np.array(COLORS["left arm"]) * opacity
    assert np.abs(drawn - expected).max() <= 1
    assert np.abs(drawn[40, 60] - np.array(COLORS["left arm"])).max() < 25
    assert (GRAY == 128).all()


def test_scores_are_heights_and_missing_joints_are_nothing():
    pose = pose_with(left_wrist=(60, 40), right_knee=(20, 70))
    scores = np.zeros((1, 17), np.float32)
    scores[0, LEFT_WRIST] = 0.5
    drawn = draw_heatmaps(GRAY, pose, COCO, 3.0, scores=scores)
    expected = DARK + (np.array(COLORS["left arm"]) - DARK) * 0.5 * OPACITY
    assert drawn[40, 60] == pytest.approx(expected, abs=1)
    assert (drawn[60:80, 10:30] == DARK).all()
    for nobody in (np.full((2, 17, 2), np.nan), np.empty((0, 17, 2)), pose + 1000, pose - 1000):
        assert (draw_heatmaps(GRAY, nobody, COCO, 3.0) == DARK).all()


def test_limbs_have_the_colour_of_their_part_or_of_the_trunk():
    pose = pose_with(left_shoulder=(20, 20), left_elbow=(60, 20), left_hip=(20, 60))
    drawn = draw_heatmaps(GRAY, pose, COCO, 2.0, kind="limb")
    assert np.abs(drawn[20, 40] - np.array(COLORS["left arm"])).max() < 25
    assert np.abs(drawn[40, 20] - np.array(COLORS["head, trunk"])).max() < 25
    assert (drawn[40, 60] == DARK).all()
    joints = draw_heatmaps(GRAY, pose, COCO, 2.0, kind="joint")
    assert (joints[20, 40] == DARK).all()
    both = draw_heatmaps(GRAY, pose, COCO, 2.0, kind="both")
    assert (both[20, 40] == drawn[20, 40]).all()


def test_at_the_border_and_in_any_order_of_people():
    poses = np.concatenate([pose_with(left_wrist=(0, 0), right_knee=(119, 89)),
                            pose_with(left_wrist=(3, 1), right_knee=(500, -700))])  # fmt: skip
    drawn = draw_heatmaps(GRAY, poses, COCO, 3.0)
    assert drawn[0, 0, 2] > DARK + 50
    assert drawn[89, 119, 0] > DARK + 50
    assert (drawn == draw_heatmaps(GRAY, poses[::-1], COCO, 3.0)).all()


def test_sigma_is_that_of_the_network():
    """A person of 160 x 200 pixels has a square of 250: 56 pixels of a map, and sigma is 0.6."""
    clip = made_clip("a", [range(3)], 3)
    clip.keypoints_2d[:] = (100, 100)
    clip.keypoints_2d[1, 3] = (260, 300)
    assert sigma_of_volumes(clip, 640, 480) == pytest.approx(0.6 * 250 / 56)
    clip.keypoints_2d[:] = np.nan
    assert sigma_of_volumes(clip, 640, 480) == pytest.approx(0.6 * 560 / 56)


# videos


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "A001.mp4"
    frames = (cv2.resize(made_videos.picture(n), (640, 480), interpolation=cv2.INTER_NEAREST)
              for n in range(10))  # fmt: skip
    container = av.open(str(path), "w")
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
    for frame in frames:
        for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
    container.close()
    return path


def clip_of(layer="made"):
    """The left wrist moves to the right by 10 pixels a frame; nobody is in frame 5."""
    clip = made_clip("A001", [[0, 1, 2, 3, 4, 6, 7, 8, 9]], 10, layer=layer)
    clip.keypoints_2d[:] = np.nan
    clip.keypoints_2d[:, LEFT_WRIST] = [(200 + 10 * frame, 300) for frame in clip.frames]
    clip.scores[:] = 0
    clip.scores[:, LEFT_WRIST] = 1
    return clip


def middle_of(picture, plain):
    weight = np.abs(picture.astype(float) - plain).sum(-1)
    rows, columns = np.indices(weight.shape)
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_each_frame_has_its_own(video, scale):
    source = probe_video(video)
    drawn = list(draw_heatmap_frames(source, clip_of(), range(10), [], sigma=8, scale=scale))
    assert {picture.shape for picture in drawn} == {(480 * scale, 640 * scale, 3)}
    nobody = clip_of()
    nobody.keypoints_2d[:] = np.nan
    plain = list(draw_heatmap_frames(source, nobody, range(10), [], scale=scale))
    assert (drawn[5] == plain[5]).all()
    for frame in (0, 4, 9):
        expected = (np.array([200 + 10 * frame, 300]) + 0.5) * scale - 0.5
        assert middle_of(drawn[frame], plain[frame]) == pytest.approx(expected, abs=1)


def test_what_cannot_be_drawn(video):
    source = probe_video(video)
    with pytest.raises(UsageError, match="no keypoints_2d"):
        next(draw_heatmap_frames(source, clips_in_3d()[0], range(1), []))
    with pytest.raises(InputError, match="another width"):
        next(draw_heatmap_frames(source, made_clip("A001", [[0]], 10, width=320), range(1), []))
    with pytest.raises(UsageError, match="does not have"):
        next(draw_heatmap_frames(source, clip_of(), range(9, 12), []))
    for sigma in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="sigma"):
            next(draw_heatmap_frames(source, clip_of(), range(1), [], sigma=sigma))
    with pytest.raises(UsageError, match="--kind"):
        next(draw_heatmap_frames(source, clip_of(), range(1), [], kind="bone"))


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    draw_command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    place = tmp_path_factory.mktemp("releases") / "made"
    write_release(place, [clip_of()])
    return place


def test_the_command_writes_a_video_and_a_picture(video, release, tmp_path):
    line = [video, "--release", release, "--heatmaps", "--sigma", 8]
    done = run(*line, "-o", tmp_path / "out.mp4", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 10
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    drawn = list(draw_heatmap_frames(probe_video(video), clip_of(), range(10), [], sigma=8))
    assert len(frames) == 10
    for written, own, other in zip(frames, drawn, drawn[1:] + drawn[:1], strict=True):
        there = np.s_[280:320, 180:320]
        error = np.abs(written[there].astype(int) - own[there]).mean()
        assert error < 8 < np.abs(own[there].astype(int) - other[there]).mean()
    for kind in ("joint", "limb"):
        assert run(*line, "--frames", 3, "-o", tmp_path / f"{kind}.png", "--kind",
                   kind).exit_code == 0  # fmt: skip
    joint, limb = (cv2.imread(str(tmp_path / f"{kind}.png")) for kind in ("joint", "limb"))
    assert (joint[300, 230] != limb[300, 230]).any()  # one joint is no limb


@pytest.mark.parametrize(
    "options, said",
    [
        (["--heatmaps", "--boxes"], "--boxes"),
        (["--sigma", 3], "those of --heatmaps"),
        (["--kind", "limb"], "those of --heatmaps"),
        (["--heatmaps", "--kind", "bone"], "--kind"),
        (["--heatmaps", "--sigma", "nan"], "sigma"),
        (["--heatmaps", "--layer", "made,made"], "of which layer"),
    ],
)
def test_options_that_mean_nothing(video, release, tmp_path, options, said):
    refused = run(video, "--release", release, "-o", tmp_path / "out.png", "--frames", 1, *options)
    assert isinstance(refused.exception, UsageError)
    assert said in str(refused.exception)
    assert not list(itertools.chain(tmp_path.iterdir()))
