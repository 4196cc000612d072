"""Readers that have a fast way and a plain one: both must say the same of any file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from posedata.errors import PosedataError

ODD_VALUES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers() | st.floats()
    | st.sampled_from(["", "7.jpg", "é", 'a"\\', "@" * 48, [], {}, [1, 2.5], [[1], [2, [3]]], [[]],
                       [None], [True], ["1"], [{}], 10**30, -(1 << 63), (1 << 63) - 1, 1 << 63])
)  # fmt: skip


@st.composite
def mutated(draw: Any, value: Any) -> bytes:
    """Give JSON text of a value with up to three places changed; sometimes of its bytes, too."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(0, 3))):
        inner = draw(st.sampled_from(list(_containers(value))))
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        change = draw(st.sampled_from(["set", "set", "delete", "add"]))
        if change == "add" or not keys:
            if isinstance(inner, dict):
                names = st.sampled_from(["box", "bbox", "idx", "id_", "score", "other"])
                inner[draw(names)] = copy.deepcopy(draw(ODD_VALUES))
            else:
                inner.insert(draw(st.integers(0, len(inner))), copy.deepcopy(draw(ODD_VALUES)))
        elif change == "delete":
            del inner[draw(st.sampled_from(keys))]
        else:
            inner[draw(st.sampled_from(keys))] = copy.deepcopy(draw(ODD_VALUES))
    ascii_only, spaces = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    text = bytearray(json.dumps(value, ensure_ascii=ascii_only, indent=spaces).encode())
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from(
            [b"", b" ", b",", b"]", b"[", b"}", b"0", b"-", b"e5", b"\\", b"\xff", b"NaN", b"\n"]
        ))  # fmt: skip
    return bytes(text)


def outcome(read: Callable[..., Any], *arguments: Any) -> Any:
    """Give what a function returns, or the error that it raises as text."""
    try:
        return read(*arguments)
    except PosedataError as error:
        return f"{type(error).__name__}: {error}"


def assert_same(found: Any, expected: Any) -> None:
    """Fail unless two values are the same to the last bit, dtypes and NaN included."""
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, strict=True)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    elif isinstance(expected, Mapping):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected or (found != found and expected != expected)


def _containers(value: Any) -> list[Any]:
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            found.append(one)
            waiting += one.values() if isinstance(one, dict) else one
    return found
