"""`posedata.profiles.slots`: each step by hand, the fast ones against their plain definition."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from slot_texts import clip_of, nasty_text, skeleton_text

from posedata.errors import InputError, UsageError
from posedata.profiles.slots import (
    Bodies,
    centre,
    channels_first,
    energy_of,
    frames_that_add_up_to_zero,
    keep_most_energy,
    pad_by_repeating,
    pad_with_zeros,
    rotate_bone,
    rotation_onto,
    slots_by_position,
)


class Notes(dict):
    """Adds up what steps report."""

    def __call__(self, what, amount=1):
        if amount:
            self[what] = self.get(what, 0) + amount


def text_of(*frames):
    """Frames as lists of (body, x): all 25 joints of a body at (x, 1, 2)."""
    return skeleton_text([[(k, [[str(x), "1", "2"]] * 25) for k, x in bodies] for bodies in frames])


def bodies_of(values, dtype=np.float64):
    """One body, or several, of one joint: from (T, C) or (M, T, C)."""
    values = np.array(values, dtype)
    values = values[None] if values.ndim == 2 else values
    return Bodies("clip", values.shape[1], values[:, :, None])


def padded(values, frames):
    return pad_with_zeros(bodies_of(values), Notes(), frames=frames)


# Places


def test_a_place_is_not_a_person():
    clip = clip_of(text_of([(0, 10), (1, 20)], [(1, 21), (0, 11)], [], [(1, 23)]))
    notes = Notes()
    bodies = slots_by_position(clip, notes, most=4)
    assert bodies.joints.shape == (4, 4, 25, 3) and bodies.joints.dtype == np.float64
    assert bodies.joints[:, :, 0, 0].tolist() == [
        [10, 21, 0, 23], [20, 11, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert notes == {"changes of a person's place in the frame": 2}


def test_places_beyond_the_last_are_left_out_and_counted():
    clip = clip_of(text_of([(k, k) for k in range(6)], [(5, 50)]))
    notes = Notes()
    bodies = slots_by_position(clip, notes, most=4)
    assert bodies.joints[:, :, 7, 0].tolist() == [[0, 50], [1, 0], [2, 0], [3, 0]]
    assert notes["poses beyond the last place of a frame left out"] == 2


def test_numbers_are_those_of_the_text():
    number = "0.12345678901234567"
    clip = clip_of(skeleton_text([[(0, [[number, "NaN", "1e60"]] + [["0.1", "2", "3"]] * 24)]]))
    assert np.isnan(clip.keypoints_3d[0, 0]).all()
    joints = slots_by_position(clip, Notes(), most=1).joints[0, 0]
    assert joints[0, 0] == float(number) and np.isnan(joints[0, 1]) and joints[0, 2] == 1e60
    assert joints[1].tolist() == [0.1, 2, 3]


def test_a_clip_without_places_is_refused():
    clip = clip_of(text_of([(0, 1)]))
    clip = type(clip)(**{**clip.__dict__, "extra": {}})
    with pytest.raises(UsageError, match="slots"):
        slots_by_position(clip, Notes(), most=4)


# Energy


def test_energy_by_hand():
    body = np.array([[[1.0, 0, 0]], [[0, 0, 0]], [[3, 4, 0]]])  # the frame in the middle is empty
    assert energy_of(body) == 1 + 2 + 0
    assert energy_of(np.zeros((3, 25, 3))) == 0
    assert energy_of(np.zeros((0, 25, 3))) == 0


def test_the_two_with_most_energy_the_larger_first():
    still, slow, fast = [[5, 5], [5, 5]], [[0, 1], [0, 2]], [[0, 1], [0, 9]]
    notes = Notes()
    kept = keep_most_energy(bodies_of([still, slow, fast, [[0, 0]] * 2]), notes, people=2)
    assert kept.joints[:, :, 0].tolist() == [fast, slow]
    assert notes == {"bodies with less energy left out": 1}


def test_nan_counts_as_most_energy():
    fast, lost = [[0, 1], [0, 9]], [[np.nan, 1], [1, 1]]
    kept = keep_most_energy(bodies_of([fast, [[0, 1], [0, 2]], lost]), Notes(), people=2)
    assert np.array_equal(kept.joints[:, :, 0], [lost, fast], equal_nan=True)


# Padding


def test_padding_rounds_once_and_lays_memory_out_as_the_scripts_do():
    bodies = padded([[0.1, 1e60, np.nan]], 3)
    assert bodies.joints.dtype == np.float32 and bodies.num_frames == 1
    assert np.array_equal(bodies.joints[0, :, 0], np.array(
        [[0.1, np.inf, np.nan], [0] * 3, [0] * 3], np.float32), equal_nan=True)  # fmt: skip
    assert bodies.joints.transpose(3, 1, 2, 0).flags.c_contiguous


def test_a_clip_that_is_too_long_has_no_result():
    with pytest.raises(InputError, match="too many frames: found 4, expected at most 3") as caught:
        padded([[1.0, 1]] * 4, 3)
    assert caught.value.path == "clip"


@pytest.mark.parametrize(
    ("before", "after", "notes"),
    [
        ("ab.....", "abababa", {"frames filled by repeating a body": 5}),
        ("a......", "aaaaaaa", {"frames filled by repeating a body": 6}),
        ("abcdefg", "abcdefg", {}),
        ("a.b....", "a.ba.ba", {"frames filled by repeating a body": 4}),
        ("a.....b", "a.....b", {}),
        (".a.b...", "abababa", {"poses moved forward over empty frames": 2,
                                "frames filled by repeating a body": 5}),
        (".......", ".......", {}),
    ],
)  # fmt: skip
def test_repeating(before, after, notes):
    letters = {".": 0, **{letter: k + 1 for k, letter in enumerate("abcdefg")}}
    bodies = padded([[letters[letter], 0] for letter in before], 7)
    found = Notes()
    result = pad_by_repeating(bodies, found)
    assert result.joints[0, :, 0, 0].tolist() == [letters[letter] for letter in after]
    assert found == notes
    assert result.joints.transpose(3, 1, 2, 0).flags.c_contiguous


def test_each_body_is_filled_alone():
    values = np.zeros((2, 4, 2))
    values[0, :3, 0] = [1, 2, 3]
    values[1, 2:3, 0] = 7
    result = pad_by_repeating(padded(values, 4), Notes())
    assert result.joints[:, :, 0, 0].tolist() == [[1, 2, 3, 1], [7, 7, 7, 7]]


def test_frames_that_cancel_out_have_no_result():
    tiny = 2.0**-25  # 1 + tiny is 1 in float32
    values = np.array([[1, -1, 0], [tiny, 0, -tiny]], np.float32)
    body = np.ascontiguousarray(values.T).T[:, None]  # all x before all y in memory
    assert frames_that_add_up_to_zero(body).all() and body.sum() == -tiny
    with pytest.raises(InputError, match="add up to 0") as caught:
        pad_by_repeating(Bodies("clip", 2, body[None]), Notes())
    assert caught.value.path == "clip"


@given(arrays_of.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9), st.just(3)),
    elements=st.sampled_from([0, 0, 0, 1, -1, 3, -4, 1e-8, 1e8, -1e8, 1e38, 1e-45, np.inf, np.nan]),
))  # fmt: skip
def test_frames_of_sum_zero_are_those_of_the_plain_definition(numbers):
    view = np.ascontiguousarray(numbers.transpose(2, 0, 1)).transpose(1, 2, 0)
    with np.errstate(all="ignore"):
        for body in (numbers, view):
            plain = [frame.sum() == 0 for frame in body]
            assert frames_that_add_up_to_zero(body).tolist() == plain


# Centring and turning


def test_centring_by_hand():
    first = [[[1, 1, 1], [2, 3, 4]], [[5, 5, 5], [1, 0, 0]]]  # two frames of two joints
    second = [[[0, 0, 0], [1, -1, 0]], [[9, 9, 9], [8, 8, 8]]]
    bodies = Bodies("clip", 2, np.array([first, second], np.float32))
    notes = Notes()
    result = centre(bodies, notes, joint=1)
    assert result.joints[0].tolist() == [[[-1, -2, -3], [0, 0, 0]], [[4, 5, 5], [0, 0, 0]]]
    assert result.joints[1].tolist() == [[[0, 0, 0], [0, 0, 0]], [[8, 9, 9], [7, 8, 8]]]
    assert notes == {"joints whose x, y and z add up to 0 set to 0": 1}
    assert bodies.joints[0, 0, 1].tolist() == [2, 3, 4]


def test_nobody_is_not_centred():
    bodies = Bodies("clip", 1, np.zeros((2, 1, 2, 3), np.float32))
    for step in (
        lambda b: centre(b, Notes(), joint=1),
        lambda b: rotate_bone(b, Notes(), start=0, end=1, axis=(0, 0, 1)),
        lambda b: pad_by_repeating(b, Notes()),
    ):
        assert not step(bodies).joints.any()


def test_an_absent_body_is_not_moved_to_the_first_ones_place():
    joints = np.zeros((2, 1, 2, 3), np.float32)
    joints[0] = [[1, 2, 3], [4, 5, 6]]
    assert not centre(Bodies("clip", 1, joints), Notes(), joint=1).joints[1].any()


def test_turning_by_hand():
    joints = np.zeros((1, 2, 2, 3), np.float32)
    joints[0, 0, 1] = [0, 2, 0]  # along y, to be along z: y becomes z, z becomes -y
    joints[0, 1] = [[1, 2, 3], [4, 5, 6]]
    result = rotate_bone(Bodies("clip", 2, joints), Notes(), start=0, end=1, axis=(0, 0, 1))
    expected = [[[0, 0, 0], [0, 0, 2]], [[1, -3, 2], [4, -6, 5]]]
    np.testing.assert_allclose(result.joints[0], expected, atol=1e-6)


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 0, 0)])
def test_a_rotation_brings_its_direction_onto_the_axis(axis):
    rng = np.random.default_rng(0)
    for direction in rng.normal(size=(50, 3)).astype(np.float32):
        turn = rotation_onto(direction, axis)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(
            turn @ direction, np.linalg.norm(direction) * np.array(axis), atol=1e-6
        )


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, 0), (0, 0, -1), (1e-8, 0, 1e-8)])
def test_no_turn_where_no_axis_is_to_be_had(direction):
    # also of the opposite direction: the scripts leave it pointing the wrong way
    assert np.array_equal(rotation_onto(np.float32(direction), (0, 0, 1)), np.eye(3))


def test_turning_has_the_bits_of_one_product_for_each_joint():
    rng = np.random.default_rng(1)
    memory = rng.normal(size=(3, 40, 25, 2)).astype(np.float32)
    memory[:, 7] = 0  # a frame that is not turned
    memory[0, 9, 3] = np.nan
    memory[1, 8, 4] = np.inf
    memory[2, 8, 5] = -0.0
    joints = memory.transpose(3, 1, 2, 0)
    result = rotate_bone(Bodies("clip", 40, joints), Notes(), start=0, end=1, axis=(0, 0, 1))
    turn = rotation_onto(joints[0, 0, 1] - joints[0, 0, 0], (0, 0, 1))
    with np.errstate(invalid="ignore"):
        for body, turned in zip(joints, result.joints, strict=True):
            plain = np.array([
                [np.dot(turn, joint) if frame.sum() != 0 else joint for joint in frame]
                for frame in body
            ]).astype(np.float32)  # fmt: skip
            assert np.array_equal(plain, turned, equal_nan=True)
            assert np.array_equal(np.signbit(plain), np.signbit(turned))


def test_the_turned_bone_has_those_bits_where_it_all_but_vanishes():
    # across the axis, what is left of the bone is the rounding of the products
    rng = np.random.default_rng(2)
    for memory in rng.normal(size=(100, 3, 1, 25, 1)).astype(np.float32):
        joints = memory.transpose(3, 1, 2, 0)
        joints[0, 0, 0] = 0
        result = rotate_bone(Bodies("clip", 1, joints), Notes(), start=0, end=1, axis=(0, 0, 1))
        plain = np.dot(rotation_onto(joints[0, 0, 1], (0, 0, 1)), joints[0, 0, 1])
        assert np.array_equal(result.joints[0, 0, 1], plain.astype(np.float32))
        assert np.abs(plain[:2]).max() < 1e-6


def test_channels_first():
    bodies = pad_with_zeros(bodies_of(np.arange(12.0).reshape(2, 3, 2)), Notes(), frames=3)
    array = channels_first(bodies, Notes())
    assert array.shape == (2, 3, 1, 2) and array.flags.c_contiguous
    assert array[1, 2, 0, 0] == 5 and array[0, 0, 0, 1] == 6


def test_steps_leave_their_input_alone_and_do_not_warn():
    steps = [
        lambda b: keep_most_energy(b, Notes(), people=2),
        lambda b: pad_with_zeros(b, Notes(), frames=40),
        lambda b: pad_by_repeating(b, Notes()),
        lambda b: centre(b, Notes(), joint=1),
        lambda b: rotate_bone(b, Notes(), start=0, end=1, axis=(0, 0, 1)),
    ]
    for seed in range(40):
        bodies = slots_by_position(clip_of(nasty_text(seed)), Notes(), most=4)
        for step in steps:
            before = bodies.joints.copy()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                after = step(bodies)
            assert np.array_equal(before, bodies.joints, equal_nan=True)
            bodies = after
