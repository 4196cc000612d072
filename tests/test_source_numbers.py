"""`posedata.source_numbers`: float32 back to what the source wrote."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.source_numbers import decimal, decimals, find_unrounded, widen
from posedata.unrounded import Unrounded, unrounded_columns


def floats(texts):
    return np.array([float(text) for text in texts])


@given(st.integers(-(10**7) + 1, 10**7 - 1), st.integers(0, 10))
def test_decimals_of_seven_digits_follow_from_the_float32(digits, places):
    """All but those just under 0.001, where float32 is coarser than seven digits."""
    number = float(f"{digits}e-{places}")
    if number == 0 or abs(number) >= 1e-3:
        assert decimal.py_func(np.float32(number)) == number


@pytest.mark.parametrize(
    "text", ["0.2181153", "-3.785547", "1.2E-05", "0", "957.7109", "1e-7", "9999999", "-0.5"]
)
def test_numbers_as_kinect_files_write_them(text):
    number = floats([text])
    kept = find_unrounded(number.astype(np.float32), number, "decimal")
    assert len(kept.at) == 0
    assert decimals(number.astype(np.float32))[0] == number[0]


def test_a_float32_that_is_no_short_decimal_stays_itself():
    value = np.nextafter(np.float32(3.785547), np.float32(4))  # 3.7855473: eight digits
    (wide,) = decimals(np.array([value]))
    assert wide == float(value)


@given(
    st.lists(st.floats(width=64), min_size=1, max_size=40),
    st.sampled_from(["decimal", "float32"]),
)
def test_any_numbers_come_back_bit_for_bit(numbers, rule):
    source = np.array(numbers)
    with np.errstate(over="ignore"):
        values = source.astype(np.float32)
    again = widen(values, find_unrounded(values, source, rule))
    nan = np.isnan(source)
    np.testing.assert_array_equal(np.isnan(again), nan)
    np.testing.assert_array_equal(again[~nan], source[~nan])
    np.testing.assert_array_equal(np.signbit(again[~nan]), np.signbit(source[~nan]))


def test_what_became_nan_is_kept_in_full():
    source = floats(["1.5", "nan", "inf", "1e300"]).reshape(2, 2)
    values = np.full((2, 2), np.nan, np.float32)
    kept = find_unrounded(values, source, "decimal")
    assert kept.at.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(widen(values, kept), source)


def test_numbers_that_were_float32_need_no_exceptions_under_their_rule():
    source = np.random.default_rng(0).normal(size=1000).astype(np.float32).astype(np.float64)
    values = source.astype(np.float32)
    assert len(find_unrounded(values, source, "float32").at) == 0
    assert len(find_unrounded(values, source, "decimal").at) > 0


def test_the_kernel_is_its_plain_definition():
    values = np.concatenate([
        np.random.default_rng(1).normal(size=2000).astype(np.float32),
        np.float32([0, -0.0, np.nan, np.inf, 1e-16, 1e-15, 9999999, 1e7, 3e38, 1e-45]),
    ])  # fmt: skip
    plain = []
    for value in values:
        wide = float(value)
        short = float(f"{wide:.7g}") if 1e-15 < abs(wide) < 1e7 else wide
        plain.append(short if np.float32(short) == value else wide)
    np.testing.assert_array_equal(decimals(values), np.array(plain))


def test_the_input_is_left_alone():
    values = np.zeros((1, 2, 3), np.float32)
    widen(values, Unrounded("float32", np.array([0], np.int32), np.array([7.0])))
    assert not values.any()


def test_columns_are_named_after_their_array():
    assert list(unrounded_columns("keypoints_3d", "decimal")) == [
        "keypoints_3d_unrounded_at", "keypoints_3d_unrounded"
    ]  # fmt: skip
