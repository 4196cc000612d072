"""Poses as pictures, worked by hand."""

import numpy as np
import pytest
from hypothesis import given

from posedata.transforms import pose_image
from posedata.transforms.pose_image import _pose_image
from tests.made_samples import made_sample, samples, there


def test_by_hand():
    keypoints = np.full((1, 2, 3, 2), np.nan, np.float32)
    keypoints[0, 0, 0] = [10, 5]
    keypoints[0, 1, 1] = [30, 15]
    image, mask = pose_image(keypoints)
    # x from 10 to 30 becomes 0 to 1; y, half as long, 1/4 to 3/4
    np.testing.assert_allclose(image[0, 0], [[0, 0.25], [0, 0], [0, 0]])
    np.testing.assert_allclose(image[0, 1], [[0, 0], [1, 0.75], [0, 0]])
    assert mask[0].tolist() == [[True, False, False], [False, True, False]]


def test_each_person_has_a_picture_of_their_own():
    keypoints = np.zeros((2, 2, 1, 2), np.float32)
    keypoints[0, 1] = 2
    keypoints[1, 1] = 400
    image, _ = pose_image(keypoints)
    np.testing.assert_array_equal(image[0], image[1])
    still, _ = pose_image(np.full((1, 2, 1, 2), 7, np.float32))
    np.testing.assert_array_equal(still, 0.5)


@given(sample=samples((2, 3)))
def test_all_is_within_0_and_1_and_shifts_and_sizes_do_not_matter(sample):
    image, mask = pose_image(sample.keypoints)
    np.testing.assert_array_equal(mask, there(sample))
    assert image.dtype == np.float32
    assert (image >= 0).all() and (image <= 1).all()
    assert (image[~mask] == 0).all()
    other, _ = pose_image(sample.keypoints * 4 + 3)
    np.testing.assert_allclose(image, other, atol=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.5, 1.0])
def test_kernel_is_the_plain_loop(missing):
    keypoints = made_sample(2, 5, missing=missing).keypoints
    for fast, plain in zip(_pose_image(keypoints), _pose_image.py_func(keypoints), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-6)
