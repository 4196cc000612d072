"""Views of JSON text: the same numbers, whichever parser could read it."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import InputError
from posedata.json_view import in_python, is_array, is_object, is_whole, numbers, view_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1, 2.5, -3e2]", [1, 2.5, -300]), ("[]", []), ("[[1, 2], [3]]", [1, 2, 3]),
     ("[NaN, 1]", [np.nan, 1]), ("[[NaN], [1, [2]]]", [np.nan, 1, 2]), ("[1e400]", [np.inf]),
     ("[12345678901234567890123]", [1.2345678901234568e22]),
     ("[true]", None), ("[null, 1]", None), ('["1"]', None), ('[NaN, "1"]', None),
     ("[NaN, true]", None), ("[{}]", None), ("3", None), ("{}", None), ('"x"', None)],
)  # fmt: skip
def test_numbers(text, expected):
    found = numbers(view_json(text.encode(), "f.json"))
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, np.array(expected, np.float64))


def test_numbers_stay_after_the_view_is_gone():
    view = view_json(b'{"a": [1, 2]}', "f.json")
    found = numbers(view.get("a"))
    del view
    view_json(b'{"a": [3, 4]}', "f.json")
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize("number", ["1", "NaN"])  # read by either parser
def test_kinds(number):
    view = view_json(f'{{"a": [{number}, {{}}], "b": 2, "c": true, "d": 2.0}}'.encode(), "f.json")
    assert is_object(view) and is_array(view.get("a")) and view.get("absent") is None
    assert is_object(next(iter(list(view.get("a"))[1:])))
    assert [is_whole(view.get(name)) for name in "bcd"] == [True, False, False]
    assert not is_array(view) and not is_object(view.get("a"))


def test_values_in_python():
    value = {"a": [1, {"b": None}], "c": "x"}
    view = view_json(json.dumps(value).encode(), "f.json")
    assert in_python(view) == value and in_python(view.get("a")) == [1, {"b": None}]
    assert in_python(view.get("c")) == "x" and in_python(value) == value


def test_text_that_is_no_json_is_an_error_with_its_place():
    with pytest.raises(InputError, match=r"f\.json, line 2, column 1: not JSON"):
        view_json(b'{"a":\n', "f.json")


def test_views_of_several_texts_at_a_time():
    large = b"[%s]" % b",".join([b"123456"] * 200_000)
    texts = [b'{"a": [1, 2]}', b"[3]", large, b"[4]"]
    first, second, third, fourth = (view_json(text, "f.json") for text in texts)
    with pytest.raises(InputError):
        view_json(b"[", "f.json")
    assert not isinstance(first, dict) and not isinstance(second, list)
    assert numbers(first.get("a")).tolist() == [1, 2] and numbers(second).tolist() == [3]
    assert len(third) == 200_000 and numbers(fourth).tolist() == [4]


def test_views_of_several_threads():
    def total(number: int) -> int:
        value = view_json(b'{"a": [%d, 1]}' % number, "f.json")
        time.sleep(0.001)
        return int(numbers(value.get("a")).sum())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, range(64))) == list(range(1, 65))


@given(json_values)
def test_both_parsers_give_the_same_numbers(value):
    as_view = numbers(view_json(json.dumps(value).encode(), "f.json"))
    as_list = numbers(json.loads(json.dumps(value)))
    if as_list is None:
        assert as_view is None
    else:
        np.testing.assert_array_equal(as_view, as_list)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_an_error(text):
    with contextlib.suppress(InputError):
        view_json(text, "f.json")
