"""Columns of JSON objects: what field by field gives is what object by object does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.json_columns import columns_of, lengths, scalars, stack
from posedata.json_view import view_json

NAMES = ("a", "b", "c", "d")


def view(value):
    return view_json((value if isinstance(value, str) else json.dumps(value)).encode(), "f.json")


objects = st.lists(st.dictionaries(st.sampled_from("abcdefé"), st.none() | st.integers(-3, 3)))


@given(objects)
def test_columns_are_what_get_gives(values):
    columns = columns_of(view(values), NAMES)
    assert columns.num_objects == len(values)
    assert columns.fields == {name for value in values for name in value}
    assert list(columns.values) == list(NAMES)
    for name, column in columns.values.items():
        assert list(column) == [value.get(name) for value in values]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(-9, 9)), st.integers(1, 5))
def test_objects_that_are_alike_may_have_their_fields_in_any_order(value, num):
    backwards = dict(reversed(value.items()))
    columns = columns_of(view([value, backwards] * num), NAMES)
    for name, column in columns.values.items():
        assert list(column) == [value.get(name)] * 2 * num


def test_of_a_field_that_is_there_twice_the_first_counts_as_in_a_view():
    text = '[{"a": 1, "a": 2}, {"a": 3, "b": 4}]'
    columns = columns_of(view(text), ("a", "b"))
    assert columns.values == {"a": [1, 3], "b": [None, 4]}


def test_as_many_fields_are_not_the_same_fields():
    columns = columns_of(view([{"a": 1, "x": 2}, {"a": 3, "b": 4}]), ("a", "b"))
    assert columns.values == {"a": [1, 3], "b": [None, 4]} and columns.fields == {"a", "b", "x"}


def test_objects_of_many_fields():
    value = {f"n{n}": n for n in range(500)}
    columns = columns_of(view([value] * 3), ("n499", "n7", "absent"))
    assert columns.values == {"n499": [499] * 3, "n7": [7] * 3, "absent": [None] * 3}
    assert columns.fields == set(value)


@pytest.mark.parametrize("value", [[1], [{}, None], [[]], ["x"], [float("nan"), {}]])
def test_what_is_not_an_object_makes_no_columns(value):
    assert columns_of(view(value), NAMES) is None


@given(objects)
def test_columns_of_what_another_parser_read(values):
    columns, of_view = columns_of(values, NAMES), columns_of(view(values), NAMES)
    assert columns.fields == of_view.fields and columns.num_objects == len(values)
    assert {n: list(c) for n, c in of_view.values.items()} == columns.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[]", np.empty((0, 0))), ("[[]]", np.empty((1, 0))),
     ("[[1, 2], [3, 4.5]]", [[1, 2], [3, 4.5]]), ("[[9007199254740993]]", [[9007199254740992]]),
     ("[[18446744073709551615]]", [[1.8446744073709552e19]]), ("[[-0.0]]", [[-0.0]]),
     ("[[1], [2, 3]]", None), ("[[1], []]", None), ("[[true]]", None), ("[[null]]", None),
     ('[["1"]]', None), ("[[{}]]", None), ("[{}]", None), ("[1]", None), ("[null]", None)],
)  # fmt: skip
@pytest.mark.parametrize("parse", [view, json.loads])
def test_stack(text, expected, parse):
    found = stack(parse(text))
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, np.array(expected, np.float64), strict=True)
        assert found.flags.writeable


def test_stack_of_arrays_inside_each_other():
    assert stack(view("[[[1], [2]], [3, 4]]")).tolist() == [[1, 2], [3, 4]]
    assert stack([[[1], [2]], [3, 4]]) is None  # lists: left to the plain way
    assert stack([[10**400]]) is None


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2)))
def test_every_number_is_exactly_what_python_reads(rows):
    expected = np.array(rows, np.float64).reshape(len(rows), 2 if rows else 0)
    np.testing.assert_array_equal(stack(view(rows)), expected, strict=True)


@given(st.text("0123456789", min_size=1, max_size=25), st.integers(-340, 300))
def test_long_decimals_are_read_as_python_does(digits, power):
    text = f"{int(digits)}.{digits}e{power}"
    if np.isfinite(float(text)):
        assert stack(view(f"[[{text}]]")).tolist() == [[float(text)]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[[], [1, 2], [[3, 4]]]", [0, 2, 1]), ("[null, [5]]", [0, 1]), ("[]", []),
     ('["ab"]', None), ("[{}]", None), ("[[], 0]", None)],
)  # fmt: skip
def test_lengths(text, expected):
    assert lengths(list(view(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1, 2.5, null]", [1, 2.5, np.nan]), ("[]", []), ("[null]", [np.nan]), ("[true]", None),
     ('["1"]', None), ("[[1]]", None), ("[18446744073709551615]", [1.8446744073709552e19])],
)  # fmt: skip
def test_scalars(text, expected):
    assert scalars([10**400]) is None
    found = scalars(list(view(text)))
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, np.array(expected, np.float64), strict=True)
