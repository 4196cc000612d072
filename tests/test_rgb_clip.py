"""Pixels and poses of a clip together: the pose lies on the same thing in every crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from square_videos import boxes, write_video

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.frames_at import frames_at
from posedata.rgb_clip import (
    crop_squares,
    cut_out,
    find_clip_videos,
    move_into,
    people_boxes,
    read_rgb_clip,
)
from posedata.skeleton import load_skeleton
from posedata.video import probe_video

pytest.importorskip("av")
pytest.importorskip("cv2")

NUM_FRAMES, WIDTH, HEIGHT = 12, 160, 96


def square_clip(clip_id="walk", people=2, absent=(), **info):
    """Poses whose joints are the corners and the middle of `square_videos`' squares."""
    rows = [(p, f) for p in range(people) for f in range(NUM_FRAMES) if (p, f) not in absent]
    poses = np.full((len(rows), 17, 2), np.nan, np.float32)
    outlines = np.empty((len(rows), 4), np.float32)
    for row, (person, frame) in enumerate(rows):
        x0, y0, x1, y1 = outlines[row] = boxes(frame, people)[person]
        poses[row, :5] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2)]
    persons, frames = np.array(rows, np.int32).reshape(-1, 2).T
    return Clip(
        clip_id, "made", load_skeleton("coco17"), np.ascontiguousarray(frames),
        np.ascontiguousarray(persons), keypoints_2d=poses, boxes=outlines,
        info={"num_frames": NUM_FRAMES, "width": WIDTH, "height": HEIGHT, "label": 3, **info},
    )  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "walk.mp4", NUM_FRAMES, people=2)
    return folder


def middles_of_light(pixels):
    """Where the bright square of each frame is: x and y, in pixels."""
    bright = pixels.mean(-1) > 127
    return np.array([[np.mean(np.nonzero(b)[1]), np.mean(np.nonzero(b)[0])] for b in bright])


@pytest.mark.parametrize("crop", ["clip", "frame", "none"])
@pytest.mark.parametrize("size", [(64, 64), (40, 112), (300, 300)])
def test_poses_lie_on_the_people_in_every_crop(videos, crop, size):
    clip = square_clip(people=1)
    write_video(videos / "alone.mp4", NUM_FRAMES, people=1)
    clip = replace(clip, clip_id="alone")
    read = read_rgb_clip(clip, videos, [7, 0, 11, 7], crop=crop, size=size)
    assert read.pixels.shape == (4, *size, 3) and read.pixels.dtype == np.uint8
    assert read.indices.tolist() == [7, 0, 11, 7] and read.label == 3
    assert np.abs(read.keypoints[0, :, 4] - middles_of_light(read.pixels)).max() < 0.6
    assert np.array_equal(read.pixels[0], read.pixels[3])
    assert np.isnan(read.keypoints[0, :, 5:]).all() and (read.scores[0, :, :5] == 1).all()


def test_the_whole_picture_is_the_frame_itself(videos):
    read = read_rgb_clip(square_clip(), videos, crop="none", size=None)
    assert np.array_equal(read.pixels, frames_at(probe_video(videos / "walk.mp4"), range(12)))
    assert np.array_equal(read.keypoints[1], square_clip().dense("keypoints_2d")[1], equal_nan=True)
    assert (read.boxes == [0, 0, WIDTH, HEIGHT]).all()


def test_a_square_holds_the_people_of_the_whole_clip(videos):
    # Persons from x 8 to 8+48+11+23, y 8 to 8+16+47, so 83 by 64 pixels; 83 * 1.2 = 99.6.
    read = read_rgb_clip(square_clip(), videos, [0, 5], margin=0.1, size=None)
    assert read.boxes.tolist() == [[0, -10, 100, 90]] * 2
    assert read.pixels.shape == (2, 100, 100, 3) and not read.pixels[:, :10].any()


def test_a_square_follows_the_people():
    people = np.array([[10, 20, 19, 49], [12, 20, 21, 49], [np.nan] * 4, [np.nan] * 4,
                       [40, 40, 49, 49], [np.nan] * 4])  # fmt: skip
    found = crop_squares(people, 100, 80, 0.1, "frame")
    first, second, last = [-3, 17, 33, 53], [-1, 17, 35, 53], [39, 39, 51, 51]
    assert found.tolist() == [first, second, second, last, last, last]


def test_without_people_it_is_the_whole_picture():
    people = np.full((2, 4), np.nan)
    for crop in ("clip", "frame"):
        assert crop_squares(people, 100, 80, 0.5, crop).tolist() == [[0, -10, 100, 90]] * 2
    assert crop_squares(people, 100, 80, 0.5, "none").tolist() == [[0, 0, 100, 80]] * 2


def test_a_clip_without_poses_can_be_read(videos):
    clip = square_clip(people=0)
    read = read_rgb_clip(clip, videos, [3, 4])
    assert read.keypoints.shape == (0, 2, 17, 2) and read.pixels.any()


def test_the_most_present_people_count():
    frames = np.array([0, 0, 1, 2, 0, 1], np.int32)
    persons = np.array([0, 1, 1, 1, 2, 2], np.int32)
    outlines = np.array([[0, 0, 1, 1], [10, 10, 20, 20], [11, 10, 21, 20], [np.nan] * 4,
                         [15, 5, 30, 15], [5, 5, 6, 6]], float)  # fmt: skip
    two = people_boxes(frames, persons, outlines, 4, 2)
    assert two[:2].tolist() == [[10, 5, 30, 20], [5, 5, 21, 20]] and np.isnan(two[2:]).all()
    one = people_boxes(frames, persons, outlines, 4, 1)
    assert one[:2].tolist() == [[10, 10, 20, 20], [11, 10, 21, 20]]


def test_the_rule_for_pixel_centres_by_hand():
    # Columns 10 to 19 become 5 columns: the middle of columns 10 and 11, at 10.5, is pixel 0.
    boxes_of = np.array([[10, 0, 20, 10]])
    keypoints = np.array([[[[10.5, 0.5], [9.5, -0.5], [18.5, np.nan]]]], np.float32)
    moved = move_into(keypoints, boxes_of, (5, 5))
    np.testing.assert_array_equal(moved[0, 0], [[0, 0], [-0.5, -0.5], [4, np.nan]])


@given(st.integers(-30, 40), st.integers(-30, 40), st.integers(1, 50), st.integers(1, 50))
def test_a_crop_is_black_beyond_the_picture_and_true_within(x0, y0, width, height):
    picture = np.random.default_rng(0).integers(1, 256, (20, 24, 3)).astype(np.uint8)
    out = np.full((height, width, 3), 99, np.uint8)
    cut_out(picture, np.array([x0, y0, x0 + width, y0 + height]), out)
    padded = np.pad(picture, ((100, 100), (100, 100), (0, 0)))
    assert np.array_equal(out, padded[y0 + 100 :, x0 + 100 :][:height, :width])


@given(
    st.lists(st.tuples(*[st.floats(-200, 400, width=32)] * 4), min_size=1, max_size=5),
    st.floats(0, 1), st.sampled_from(["clip", "frame"]),
)  # fmt: skip
def test_squares_hold_the_people(corners, margin, crop):
    people = np.array(corners)
    people = np.concatenate([people.reshape(-1, 2, 2).min(1), people.reshape(-1, 2, 2).max(1)], 1)
    squares = crop_squares(people, 160, 96, margin, crop)
    people = people.clip(0, [159, 95, 159, 95])  # what can be seen of them
    width, height = (squares[:, 2:] - squares[:, :2]).T
    assert (width == height).all() and (width >= 1).all()
    assert (width <= np.rint(160 * (1 + 2 * margin))).all()
    assert (squares[:, :2] <= people[:, :2] + 1.01).all()
    assert (squares[:, 2:] >= people[:, 2:] - 1.01).all()


def test_boxes_of_the_layer_can_be_used(videos):
    clip = square_clip()
    wide = replace(clip, boxes=clip.boxes + np.array([-4, -4, 4, 4], np.float32))
    by_boxes = read_rgb_clip(wide, videos, [0], around="boxes", margin=0, size=None).boxes[0]
    by_joints = read_rgb_clip(wide, videos, [0], margin=0, size=None).boxes[0]
    assert by_boxes[2] - by_boxes[0] == by_joints[2] - by_joints[0] + 8


def test_videos_are_found_by_name_or_given(videos, tmp_path):
    assert list(find_clip_videos(videos, {"walk", "other"})) == ["walk"]
    given_videos = {"walk": videos / "walk.mp4"}
    assert read_rgb_clip(square_clip(), given_videos, [1]).clip_id == "walk"
    with pytest.raises(InputError, match="no video of clip run"):
        read_rgb_clip(square_clip("run"), given_videos)
    with pytest.raises(InputError, match="no video of clip run"):
        read_rgb_clip(square_clip("run"), videos)


@pytest.mark.parametrize(
    ("info", "expected"),
    [({"num_frames": 13}, "12 frames of 160x96, expected 13 frames of 160x96"),
     ({"width": 320}, "12 frames of 160x96, expected 12 frames of 320x96")],
)  # fmt: skip
def test_another_video_is_refused(videos, info, expected):
    with pytest.raises(InputError, match=f"not that of clip walk: found {expected}"):
        read_rgb_clip(square_clip(**info), videos)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "person"}, "crop: found 'person'"),
        ({"around": "hips"}, "around: found 'hips'"),
        ({"size": (0, 5)}, "size of the crops"),
        ({"size": None, "crop": "frame"}, "many sizes"),
        ({"margin": float("nan")}, "margin"),
        ({"frames": [12]}, "frames of clip walk: found 12 to 12"),
        ({"frames": [-1, 3]}, "found -1 to 3"),
        ({"frames": []}, "found none"),
    ],
)
def test_what_cannot_be_meant_is_refused(videos, options, message):
    with pytest.raises(UsageError, match=message):
        read_rgb_clip(square_clip(), videos, **options)


def test_a_clip_without_poses_in_the_picture_is_refused(videos):
    clip = square_clip()
    in_space = np.zeros((len(clip.frames), 17, 3), np.float32)
    with pytest.raises(UsageError, match="no poses in the picture"):
        read_rgb_clip(replace(clip, keypoints_2d=None, keypoints_3d=in_space), videos)
    with pytest.raises(UsageError, match="no boxes"):
        read_rgb_clip(replace(clip, boxes=None), videos, around="boxes")


@pytest.mark.real
def test_a_real_clip_and_its_video(shared, tmp_path):
    from posedata.convert import convert, plan_conversion
    from posedata.release import open_release

    convert(plan_conversion("ntu", shared / "data/ntu"), tmp_path / "ntu")
    release = open_release(tmp_path / "ntu")
    clip = release.clip("S001C001P001R001A001")
    read = read_rgb_clip(clip, shared / "data/ntu/rgb", [60, 10], size=(224, 224))
    whole = frames_at(probe_video(shared / "data/ntu/rgb/S001C001P001R001A001_rgb.avi"), [60, 10])
    assert whole.shape == (2, 1080, 1920, 3)
    joints = read.keypoints[0]
    assert (joints > 0).all() and (joints < 224).all()
    # a joint shows the same colour in the crop as in the video
    for at in range(2):
        x, y = clip.dense("keypoints_2d")[0, read.indices[at], 1]
        u, v = joints[at, 1]
        there = whole[at, int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].mean((0, 1))
        crop = read.pixels[at, int(v) - 1 : int(v) + 2, int(u) - 1 : int(u) + 2].mean((0, 1))
        assert np.abs(there - crop).max() < 25
