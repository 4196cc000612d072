"""The subject crop as a transform; the box itself is tested in test_subject_crop."""

import numpy as np
import pytest
from hypothesis import given

from posedata.subject_crop import subject_crop_box
from posedata.transforms import SubjectCrop
from posedata.transforms.crop import _corners
from tests.made_samples import made_sample, sample_with, samples, there


def crop(sample, **options):
    return SubjectCrop(**options)(sample, np.random.default_rng(0))


def clip(points, **info):
    keypoints = np.full((1, len(points), 17, 2), np.nan)
    keypoints[0, :, 0] = points
    return sample_with(keypoints, skeleton="coco17", **info)


def test_one_box_around_all_frames_by_hand():
    # a box of 100 x 200 around (150, 200), padded to 125 x 250, then square: 250 x 250
    out = crop(clip([(100, 100), (200, 300)]), size=(50, 50))
    np.testing.assert_allclose(out.keypoints[0, :, 0], [(15, 5), (35, 45)])
    assert (out.info["width"], out.info["height"]) == (50, 50)
    assert out.info["num_frames"] == 2


def test_height_and_width_are_not_mixed_up():
    out = crop(clip([(100, 100), (200, 300)]), size=(100, 50), padding=0.0, ratio=None)
    np.testing.assert_allclose(out.keypoints[0, :, 0], [(0, 0), (50, 100)])
    assert (out.info["width"], out.info["height"]) == (50, 100)


def test_at_the_border_the_box_reaches_beyond_the_picture():
    out = crop(clip([(0, 0), (100, 100)]), size=(50, 50))
    # 125 x 125 from (-12, -12) to (112, 112), fractions lost
    np.testing.assert_allclose(out.keypoints[0, :, 0], np.array([(12, 12), (112, 112)]) * 50 / 124)


@pytest.mark.parametrize("points", [[(320, 240), (325, 245)], [(np.nan, np.nan)] * 2])
def test_tiny_boxes_and_nobody_keep_the_whole_picture(points):
    out = crop(clip(points), size=(48, 64))
    np.testing.assert_allclose(out.keypoints[0, :, 0], np.array(points) / 10, rtol=1e-6)
    assert out.info["width"] == 64


@given(sample=samples((2,)))
def test_all_joints_end_up_inside_and_none_is_lost(sample):
    out = crop(sample)
    np.testing.assert_array_equal(there(out), there(sample))
    np.testing.assert_array_equal(out.scores, sample.scores)
    points = sample.keypoints[there(sample)]
    if len(points) and (np.ptp(points, axis=0) >= 10).all():
        assert (out.keypoints[there(out)] > -1).all()
        assert (out.keypoints[there(out)] < 57).all()


def test_metres_stay_beside_pixels():
    sample = made_sample(1, 5, 5)
    out = crop(sample)
    np.testing.assert_array_equal(out.keypoints[..., 2:], sample.keypoints[..., 2:])
    assert not np.array_equal(out.keypoints[..., :2], sample.keypoints[..., :2], equal_nan=True)


@given(sample=samples((2,)))
def test_corners_give_the_box_of_all_points(sample):
    corners = _corners(sample.keypoints)
    np.testing.assert_array_equal(corners, _corners.py_func(sample.keypoints))
    for ratio in (None, 1.0, (0.5, 0.8)):
        box = subject_crop_box(sample.keypoints, 640, 480, ratio=ratio)
        assert subject_crop_box(corners, 640, 480, ratio=ratio) == box
