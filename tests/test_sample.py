"""`posedata.sample`: the most present people of a clip, dense."""

import numpy as np
import pytest

from posedata.errors import UsageError
from posedata.sample import _spread, dense_people, sample_of
from tests.made_clips import made_clip


def test_all_frames_are_there_and_what_is_missing_is_nan_with_score_0():
    clip = made_clip("a", [[1, 3]], 6)
    sample = sample_of(clip, "keypoints_2d", 2)
    assert sample.keypoints.shape == (1, 6, 17, 2)
    np.testing.assert_array_equal(sample.keypoints[0, [1, 3]], clip.keypoints_2d)
    assert np.isnan(sample.keypoints[0, [0, 2, 4, 5]]).all()
    np.testing.assert_array_equal(sample.scores[0, [1, 3]], clip.scores)
    assert (sample.scores[np.isnan(sample.keypoints).any(-1)] == 0).all()
    np.testing.assert_array_equal(sample.frames, np.arange(6))
    assert sample.label == clip.info["label"]


def test_the_most_present_people_come_first_and_equals_by_id():
    clip = made_clip("a", [[0], range(3), [5], range(5, 8)], 8)
    sample = sample_of(clip, "keypoints_2d", 3)
    dense = clip.dense("keypoints_2d")
    np.testing.assert_array_equal(sample.keypoints, dense[[1, 3, 0]])


def test_nobody_and_no_label():
    clip = made_clip("a", [], 4, label=0)
    info = {**clip.info, "label": None}
    empty = type(clip)(clip.clip_id, clip.layer, clip.skeleton, clip.frames, clip.persons,
                       keypoints_2d=clip.keypoints_2d, info=info)  # fmt: skip
    sample = sample_of(empty, "keypoints_2d", 2)
    assert sample.keypoints.shape == (0, 4, 17, 2)
    assert sample.label == -1


def test_without_scores_what_is_there_has_1():
    poses = np.full((2, 3, 2), 5, np.float32)
    poses[0, 1, 0] = np.nan
    frames, persons = np.arange(2, dtype=np.int32), np.zeros(2, np.int32)
    _, scores = dense_people(frames, persons, poses, None, 3, 1)
    np.testing.assert_array_equal(scores[0], [[1, 0, 1], [1, 1, 1], [0, 0, 0]])


def test_pixels_and_metres_together():
    clip = made_clip("a", [[1, 2]], 4, arrays=("keypoints_2d", "keypoints_3d", "scores"))
    sample = sample_of(clip, "both", 1)
    np.testing.assert_array_equal(sample.keypoints[..., :2], clip.dense("keypoints_2d"))
    np.testing.assert_array_equal(sample.keypoints[..., 2:], clip.dense("keypoints_3d"))


def test_coordinates_that_are_not_there():
    with pytest.raises(UsageError, match="no keypoints_3d"):
        sample_of(made_clip("a", [[0]], 1), "keypoints_3d", 1)


def test_the_kernel_is_the_plain_loop():
    clip = made_clip("a", [range(9), [2, 3, 8]], 9)
    arguments = (clip.frames, clip.persons, clip.keypoints_2d, clip.scores, 9,
                 np.array([1, 0], np.int32))  # fmt: skip
    for fast, plain in zip(_spread(*arguments), _spread.py_func(*arguments), strict=True):
        np.testing.assert_array_equal(fast, plain)
