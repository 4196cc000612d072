"""Subject-centred cropping, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.subject_crop import move_to_box, subject_crop_box

NAN = np.nan
# 100 wide, 200 high, around (200, 200)
POSES = np.array([[[150, 100], [250, 300]], [[200, 200], [NAN, NAN]]])


def test_box_by_hand():
    # 25% more on each side: 125 wide, 250 high; fractions are dropped
    assert subject_crop_box(POSES, 640, 480) == (137, 75, 262, 325)
    assert subject_crop_box(POSES, 640, 480, padding=0) == (150, 100, 250, 300)


def test_ratio_by_hand():
    assert subject_crop_box(POSES, 640, 480, 0, ratio=1) == (100, 100, 300, 300)
    assert subject_crop_box(POSES, 640, 480, 0, ratio=4) == (150, 0, 250, 400)
    assert subject_crop_box(POSES, 640, 480, 0, ratio=(0.5, 2)) == (150, 100, 250, 300)
    assert subject_crop_box(POSES, 640, 480, 0, ratio=(0.5, 1.6)) == (137, 100, 262, 300)


def test_past_the_borders():
    left = POSES - [150, 90]
    # x from -12.5 to 112.5, y from -15 to 235; fractions go towards 0
    assert subject_crop_box(left, 640, 480) == (-12, -15, 112, 235)
    assert subject_crop_box(left, 100, 200, inside=True) == (0, 0, 100, 200)


def test_whole_image():
    whole = (0, 0, 640, 480)
    assert subject_crop_box(POSES * NAN, 640, 480) == whole
    assert subject_crop_box(POSES[:0], 640, 480) == whole
    small = np.array([[100, 100], [109.5, 300]])
    assert subject_crop_box(small, 640, 480) == whole
    assert subject_crop_box(small, 640, 480, padding=0, threshold=9) == (100, 100, 109, 300)
    assert subject_crop_box(POSES + 5000, 640, 480, inside=True) == whole


def test_joint_on_the_border_counts():
    poses = np.array([[0, 100], [100, 300]])
    assert subject_crop_box(poses, 640, 480, padding=0) == (0, 100, 100, 300)


def test_move_by_hand():
    moved = move_to_box(POSES, (100, 50, 300, 450))
    np.testing.assert_array_equal(moved, POSES - [100, 50])
    moved = move_to_box(POSES, (100, 50, 300, 450), (40, 60))  # 200 x 400 to 60 x 40
    np.testing.assert_allclose(moved[0], [[15, 5], [45, 25]])
    assert moved.dtype == np.float32 and np.isnan(moved[1, 1]).all()


@given(st.lists(st.tuples(st.floats(-100, 900), st.floats(-100, 900)), min_size=2, max_size=9),
       st.floats(0, 1))  # fmt: skip
def test_all_joints_are_in_the_box(points, padding):
    poses = np.array(points, np.float32)
    box = subject_crop_box(poses, 640, 480, padding)
    if box != (0, 0, 640, 480):
        moved = move_to_box(poses, box, (56, 56))
        # dropped fractions cost up to one pixel of the crop
        pixel = max(56 / (box[2] - box[0]), 56 / (box[3] - box[1]))
        assert (moved > -pixel).all() and (moved < 56 + pixel).all()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: subject_crop_box(POSES, 0, 480), "width"),
    (lambda: subject_crop_box(POSES, 640, NAN), "height"),
    (lambda: subject_crop_box(POSES, 640, 480, -0.1), "padding"),
    (lambda: subject_crop_box(POSES, 640, 480, threshold=NAN), "threshold"),
    (lambda: subject_crop_box(POSES, 640, 480, ratio=0), "height / width"),
    (lambda: subject_crop_box(POSES, 640, 480, ratio=(2, 1)), "height / width"),
    (lambda: subject_crop_box(np.zeros((3, 3)), 640, 480), r"\(\.\.\., 2\)"),
    (lambda: move_to_box(POSES, (0, 0, 0, 10)), "empty crop"),
    (lambda: move_to_box(POSES, (0, 0, NAN, 10)), "empty crop"),
    (lambda: move_to_box(POSES, (0, 0, 10, 10), (0, 56)), "size of heatmaps"),
])  # fmt: skip
def test_what_cannot_be_cropped_is_said(call, message):
    with pytest.raises(UsageError, match=message):
        call()
