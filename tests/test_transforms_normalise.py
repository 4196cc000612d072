"""Centring, views, sizes and screen coordinates, worked by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posedata.skeleton import list_skeletons, load_skeleton
from posedata.transforms import Centre, ScaleNormalise, ScreenNormalise, ViewNormalise, apply
from posedata.transforms.linear import map_points, turn_about_axes, turn_onto
from posedata.transforms.normalise import _centre, _first_axes, _spine_length, to_pixels, to_screen
from tests.made_samples import made_sample, sample_with, samples, there

NTU = load_skeleton("nturgbd25")
RNG = np.random.default_rng(0)


def body(steps=1, persons=1):
    """Nobody's joints, of NTU RGB+D."""
    return np.full((persons, steps, 25, 3), np.nan)


def joint(name):
    return NTU.index(name)


def ntu(keypoints):
    return sample_with(keypoints, skeleton="nturgbd25")


@given(sample=samples((2, 3)), person=st.sampled_from(["first", "each"]))
def test_centring_leaves_distances_and_gaps(sample, person):
    out = Centre(frames="first", person=person)(sample, RNG)
    np.testing.assert_array_equal(there(out), there(sample))
    for m in range(len(sample.keypoints)):
        moved = (sample.keypoints - out.keypoints)[m][there(sample)[m]]
        if len(moved):
            np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-3)


def test_each_frame_relative_to_the_first_person():
    sample = made_sample(2, 6, missing=0)
    out = Centre("spine_mid")(sample, RNG)
    origin = sample.keypoints[:1, :, 1:2]
    np.testing.assert_allclose(out.keypoints, sample.keypoints - origin, atol=1e-6)
    each = Centre("spine_mid", person="each")(sample, RNG)
    np.testing.assert_allclose(
        each.keypoints, sample.keypoints - sample.keypoints[:, :, 1:2], atol=1e-6
    )
    first = Centre("spine_mid", frames="first")(sample, RNG)
    np.testing.assert_allclose(
        first.keypoints, sample.keypoints - sample.keypoints[:1, :1, 1:2], atol=1e-6
    )


def test_the_root_is_the_default():
    sample = made_sample(1, 3, missing=0)
    out = Centre()(sample, RNG).keypoints
    np.testing.assert_array_equal(out[:, :, joint("spine_base")], 0)


def test_where_the_joint_is_missing_its_last_place_counts():
    keypoints = body(5)
    keypoints[0, :, joint("head")] = [[10, 0, 0]] * 5
    keypoints[0, [1, 3], joint("spine_base")] = [[1, 0, 0], [3, 0, 0]]
    out = Centre()(ntu(keypoints), RNG).keypoints
    # frame 0 has the first place, 2 that of 1, 4 that of 3
    assert out[0, :, joint("head"), 0].tolist() == [9, 9, 9, 7, 7]
    once = Centre(frames="first")(ntu(keypoints), RNG).keypoints
    assert once[0, :, joint("head"), 0].tolist() == [9] * 5


def test_without_the_joint_the_middle_of_the_first_frame_counts():
    keypoints = body(3)
    keypoints[0, 1, joint("head")] = [2, 4, 6]
    keypoints[0, 1, joint("neck")] = [4, 4, 6]
    keypoints[0, 2, joint("head")] = [10, 4, 6]
    out = Centre()(ntu(keypoints), RNG).keypoints
    assert out[0, 1:, joint("head")].tolist() == [[-1, 0, 0], [7, 0, 0]]


def test_the_middle_of_all_joints():
    keypoints = body(2)
    keypoints[0, 0, joint("head")] = [2, 4, 6]
    keypoints[0, 0, joint("neck")] = [4, 4, 6]
    keypoints[0, 1, joint("head")] = [10, 4, 6]
    out = Centre("mean")(ntu(keypoints), RNG).keypoints
    assert out[0, :, joint("head")].tolist() == [[-1, 0, 0], [0, 0, 0]]


def test_centring_kernel_is_the_plain_loop():
    sample = made_sample(2, 9, missing=0.6)
    for which in (-1, 0, 3):
        for each_frame in (True, False):
            for each_person in (True, False):
                arguments = (sample.keypoints, which, each_frame, each_person)
                np.testing.assert_allclose(_centre(*arguments), _centre.py_func(*arguments))


def test_pixels_are_centred_pixels_afterwards():
    assert Centre()(made_sample(1, 2, 2), RNG).info["coordinates"] == "centred"
    assert "coordinates" not in Centre()(made_sample(1, 2, 3), RNG).info


@given(
    st.tuples(*[st.floats(-10, 10)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3),
    st.integers(0, 2),
)
@example((0.0, 1.2e-05, -1.0), 2)
@example((0.0, 3e-06, -1.0), 2)
def test_turning_onto_an_axis(direction, axis):
    turn = turn_onto(np.array(direction), axis)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)
    expected = np.zeros(3)
    expected[axis] = np.linalg.norm(direction)
    np.testing.assert_allclose(turn @ direction, expected, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_directions_against_an_axis_and_none_at_all(axis):
    against = -2 * np.eye(3)[axis]
    turn = turn_onto(against, axis)
    np.testing.assert_allclose(turn @ against, -against)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_array_equal(turn_onto(np.zeros(3), axis), np.eye(3))


def test_turns_about_axes_are_right_handed_x_first():
    np.testing.assert_allclose(turn_about_axes(0, 0, 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turn_about_axes(90, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn_about_axes(0, 90, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    # y to z by x, then z to x by y, then x to y by z
    np.testing.assert_allclose(turn_about_axes(90, 90, 90) @ [0, 1, 0], [0, 1, 0], atol=1e-12)
    both = turn_about_axes(0, 0, 30) @ turn_about_axes(0, 20, 0) @ turn_about_axes(10, 0, 0)
    np.testing.assert_allclose(turn_about_axes(10, 20, 30), both)


def test_mapping_points_around_one():
    points = np.array([[[[1, 2], [3, np.nan], [4, 5]]]], np.float32)
    matrix, origin = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([1.0, 1.0])
    out = map_points(points, matrix, origin)
    # (0, 1) -> (1, 3); (3, 4) -> (10, 12); around (1, 1)
    np.testing.assert_allclose(out[0, 0, [0, 2]], [[2, 4], [11, 13]])
    assert np.isnan(out[0, 0, 1]).all()


def test_views_by_hand():
    keypoints = body(2, persons=2)
    # the first frame lacks a shoulder; in the second the spine is along y, shoulders along -z
    keypoints[0, 0, joint("head")] = [0, 5, 0]
    keypoints[0, 1, joint("spine_base")] = [0, 0, 0]
    keypoints[0, 1, joint("spine_mid")] = [0, 2, 0]
    keypoints[0, 1, joint("left_shoulder")] = [0, 1, 3]
    keypoints[0, 1, joint("right_shoulder")] = [0, 1, -3]
    keypoints[1, 1, joint("head")] = [7, 0, 0]
    out = ViewNormalise()(ntu(keypoints), RNG).keypoints
    np.testing.assert_allclose(out[0, 1, joint("spine_mid")], [0, 0, 2], atol=1e-6)
    np.testing.assert_allclose(out[0, 0, joint("head")], [0, 0, 5], atol=1e-6)
    np.testing.assert_allclose(out[0, 1, joint("right_shoulder")], [3, 0, 1], atol=1e-6)
    np.testing.assert_allclose(out[0, 1, joint("left_shoulder")], [-3, 0, 1], atol=1e-6)
    np.testing.assert_allclose(out[1, 1, joint("head")], [0, -7, 0], atol=1e-6)


@given(sample=samples((3,)))
def test_turned_clips_keep_lengths_and_gaps(sample):
    out = ViewNormalise()(sample, RNG)
    np.testing.assert_array_equal(there(out), there(sample))
    np.testing.assert_allclose(
        np.linalg.norm(out.keypoints, axis=-1), np.linalg.norm(sample.keypoints, axis=-1),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_views_are_those_of_2s_agcns_profile():
    # the profile of the npy export reproduces 2s-AGCN's arrays to the last bit
    from posedata.profiles.slots import rotation_onto

    sample = made_sample(1, 4, missing=0)
    poses = sample.keypoints[0].astype(np.float64)
    spine = rotation_onto(poses[0, 1] - poses[0, 0], (0, 0, 1))
    poses = poses @ spine.T
    shoulders = rotation_onto(poses[0, 8] - poses[0, 4], (1, 0, 0))
    out = ViewNormalise()(sample, RNG).keypoints
    np.testing.assert_allclose(out[0], poses @ shoulders.T, atol=1e-5)


@pytest.mark.parametrize("name", list_skeletons())
def test_every_skeleton_has_a_view_and_a_size(name):
    sample = made_sample(1, 3, 3, skeleton=name, missing=0)
    out = apply((ViewNormalise(), ScaleNormalise()), sample, RNG)
    assert not np.array_equal(out.keypoints, sample.keypoints)


def test_people_who_cannot_be_measured_stay_as_they_are():
    keypoints = body(2)
    keypoints[0, :, joint("head")] = 3
    sample = ntu(keypoints)
    assert ViewNormalise()(sample, RNG) is sample
    assert ScaleNormalise()(sample, RNG) is sample


def test_sizes_by_hand():
    keypoints = body(3, persons=2)
    keypoints[0, :2, joint("spine_base")] = [[0, 0, 0], [1, 1, 1]]
    keypoints[0, :2, joint("spine_mid")] = [[0, 3, 0], [1, 2, 1]]
    keypoints[1, 2, joint("head")] = [4, 6, 8]
    out = ScaleNormalise(0.5)(ntu(keypoints), RNG)
    # mean of 3 and 1 becomes 0.5
    np.testing.assert_allclose(out.keypoints[1, 2, joint("head")], [1, 1.5, 2])
    assert out.info["coordinates"] == "centred"
    second = np.stack([np.full((1, 25, 3), np.nan), np.arange(75).reshape(1, 25, 3)])
    scaled = ScaleNormalise()(ntu(second), RNG).keypoints
    np.testing.assert_allclose(np.linalg.norm(scaled[1, 0, 1] - scaled[1, 0, 0]), 1, rtol=1e-6)


def test_measuring_kernels_are_the_plain_loops():
    sample = made_sample(2, 9, missing=0.5)
    lower, upper = np.array([12, 16]), np.array([4, 8])
    found, axes = _first_axes(sample.keypoints, lower, upper, 4, 8)
    plain_found, plain_axes = _first_axes.py_func(sample.keypoints, lower, upper, 4, 8)
    assert found == plain_found
    np.testing.assert_allclose(axes, plain_axes, rtol=1e-5)
    length = _spine_length(sample.keypoints, lower, upper)
    assert length == pytest.approx(_spine_length.py_func(sample.keypoints, lower, upper), rel=1e-6)


def test_screen_coordinates_by_hand():
    keypoints = np.full((1, 1, 17, 2), np.nan)
    keypoints[0, 0, :3] = [[0, 0], [1000, 500], [500, 250]]
    sample = sample_with(keypoints, skeleton="coco17", width=1000, height=500)
    out = ScreenNormalise()(sample, RNG)
    np.testing.assert_allclose(out.keypoints[0, 0, :3], [[-1, -0.5], [1, 0.5], [0, 0]], atol=1e-6)
    assert out.info["coordinates"] == "screen"
    back = ScreenNormalise(inverse=True)(out, RNG)
    np.testing.assert_allclose(back.keypoints, sample.keypoints, atol=1e-3)
    assert back.info == sample.info


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(0, 999))
def test_there_and_back(width, height, seed):
    points = np.random.default_rng(seed).uniform(0, 1, (20, 2)) * [width, height]
    points = points.astype(np.float32)
    back = to_pixels(to_screen(points, width, height), width, height)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, points, atol=2e-6 * max(width, height))
