"""`posedata.duplicates`: one person in two boxes is one person."""

import numpy as np

from posedata.duplicates import SAME_PERSON, find_duplicates

SIGMAS = np.full(4, 0.1)


def pose(left, top):
    """Four joints at the corners of a box of 100 by 200 pixels."""
    return np.array([[left, top], [left + 100, top], [left, top + 200], [left + 100, top + 200]])


def box(left, top, height=200):
    return [left, top, left + 100, top + height]


def find(frames, boxes, scores, *poses):
    return find_duplicates(
        np.array(frames, np.int32), np.array(boxes, np.float32), np.array(scores, np.float32),
        [np.array(each, np.float32) for each in poses], [SIGMAS] * len(poses),
    ).tolist()  # fmt: skip


def test_the_less_certain_of_two_boxes_with_one_pose_goes():
    boxes = [box(0, 0), box(0, 0, 150), box(50, 0)]
    poses = [pose(0, 0), pose(2, 2), pose(50, 0)]
    assert find([7, 7, 7], boxes, [0.5, 0.9, 0.8], poses) == [True, False, False]


def test_the_same_box_in_another_frame_is_no_duplicate():
    assert find([1, 2], [box(0, 0)] * 2, [0.5, 0.9], [pose(0, 0)] * 2) == [False, False]


def test_experts_decide_together():
    boxes = [box(0, 0), box(10, 0)]
    same, other = [pose(0, 0)] * 2, [pose(0, 0), pose(90, 0)]
    assert find([0, 0], boxes, [0.9, 0.5], same, same, other) == [False, False]
    assert find([0, 0], boxes, [0.9, 0.5], same, same, same) == [False, True]


def test_similarity_is_that_of_oks():
    """By hand: s^2 = 0.53 * 100 * 200, k = 0.2, so exp(-d^2 / (2 s^2 k^2)) = 0.7 at d = 17.4."""
    distance = np.sqrt(-np.log(SAME_PERSON) * 2 * 0.53 * 100 * 200 * 0.2**2)
    for factor, wanted in ((0.99, True), (1.01, False)):
        poses = [pose(0, 0), pose(distance * factor, 0)]
        assert find([0, 0], [box(0, 0)] * 2, [0.9, 0.5], poses) == [False, wanted]


def test_boxes_apart_and_boxes_without_poses_stay():
    nothing = [pose(0, 0) * np.nan] * 2
    assert find([0, 0], [box(0, 0)] * 2, [0.9, 0.5], nothing) == [False, False]
    assert find([0, 0], [box(0, 0), box(100, 0)], [0.9, 0.5], [pose(0, 0)] * 2) == [False, False]
    assert find([], np.empty((0, 4)), [], np.empty((0, 4, 2))) == []


def test_three_of_one_person_leave_one():
    poses = [pose(0, 0), pose(1, 0), pose(2, 0)]
    assert find([0] * 3, [box(0, 0)] * 3, [0.5, 0.6, 0.4], poses) == [True, False, True]
