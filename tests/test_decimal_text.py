"""`posedata.decimal_text`: a number is read exactly as ``float()`` reads it, or not at all."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posedata.decimal_text import PADDING, read_number

FEW_DIGITS = [
    "0", "-0", "7", "25", "-3.5", "1920", "0.1", "0.3", "-0.7071068", "1.", ".5", "-.5", "-1.",
    "007", "00.10", "3.141592653589793", "0.0000000000000001", "9007199254740991",
    "9007199254740.991", "-900719925474099.1", "000000000000000001", "0.00000000000000001",
]  # fmt: skip
LEFT_TO_THE_CALLER = [
    # more than the kernel can hold exactly: 2**53 and above, or many digits
    "9007199254740992", "9007199254740993", "9007199254.740993", "72057594037931101",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" * 30, "0" * 25 + "1",
    "0." + "0" * 20 + "1", "1." + "0" * 30, "1" * 400,
    # numbers that are written in another way
    "1e5", "1.2E-05", "+1", "NaN", "nan", "-nan(ind)", "1.#QNAN", "inf", "-Infinity",
    # no numbers
    "", "-", ".", "-.", "--1", "-+1", "1-", "1.2.3", "..1", "1,5", "1_000", "0x10", "abc", "1a",
    "a1", "-a", "१", "٣", "½", "²", "1\x7f", "1\xa0", "#", "/", ":", "1/2", "1:2",
]  # fmt: skip


def read(token: str, before: str = "", after: str = ""):
    """The answer for a token in the middle of a text, its stop counted from its start."""
    token_bytes, start = token.encode(), len(before.encode())
    text = np.frombuffer(before.encode() + token_bytes + after.encode() + PADDING, np.uint8)
    value, stop, exact = read_number(text, np.uint64(start))
    return value, int(stop) - start, exact


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize("token", FEW_DIGITS)
def test_short_numbers_are_read_here(token):
    value, stop, exact = read(token)
    assert exact
    assert bits(value) == bits(float(token))
    assert stop == len(token)


@pytest.mark.parametrize("token", LEFT_TO_THE_CALLER)
def test_everything_else_is_left_to_the_caller_whole(token):
    assert read(token) == (0.0, len(token.encode()), False)


digits = st.text("0123456789", max_size=25)
decimals = st.builds(
    "{}{}{}{}".format, st.sampled_from(["", "-"]), digits, st.sampled_from(["", "."]), digits
)
# integers about 2**53 with a point somewhere: where float64 begins to round
near_the_limit = st.builds(
    lambda number, point: f"{str(number)[:point]}.{str(number)[point:]}",
    st.integers(2**53 - 3, 2**53 + 3) | st.integers(10**14, 10**19),
    st.integers(0, 19),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
printed = st.one_of(
    floats.map(repr),
    floats.map("{:.7g}".format),
    st.floats(-1e4, 1e4).map("{:.10f}".format),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(str),
)


@given(decimals | near_the_limit | printed)
@example("9007199254740993.")
@settings(max_examples=1500, deadline=None)
def test_a_number_is_what_float_makes_of_it_bit_for_bit_or_declined(token):
    value, stop, exact = read(token)
    assert stop == len(token)
    if exact:
        assert bits(value) == bits(float(token))
    else:
        assert bits(value) == bits(0.0)


@given(st.integers(0, 2**53 - 1), st.integers(1, 15), st.booleans())
@settings(max_examples=500, deadline=None)
def test_up_to_15_decimals_below_2_to_the_53_are_never_declined(mantissa, point, negative):
    text = str(mantissa).rjust(point + 1, "0")
    token = f"{'-' * negative}{text[:-point]}.{text[-point:]}"
    value, _, exact = read(token)
    assert exact
    assert bits(value) == bits(float(token))


@given(
    token=decimals | printed | st.text("0123456789.-+eEnaif#_x", min_size=1, max_size=30),
    end=st.sampled_from([" ", "\t", "\r\n", "\n", "\0", "\x0b", "\x1f"]),
    before=st.text("0123456789. -\n", max_size=5),
    after=st.text("0123456789.-\n \0", max_size=20),
)
@settings(max_examples=500, deadline=None)
def test_neighbours_neither_change_a_token_nor_are_touched(token, end, before, after):
    assert read(token, before, end + after) == read(token)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs"]), min_size=1, max_size=12))
@settings(max_examples=500, deadline=None)
def test_what_float_refuses_is_declined(token):
    _, stop, exact = read(token)
    assert stop == len(token.encode())
    if exact:
        float(token)  # would raise
        assert "_" not in token and token.isascii()
