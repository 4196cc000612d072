"""JSON text as a view: Python objects are made only of what is looked at.

Estimators' files are numbers for the most part. A view gives an array of them as one buffer,
which takes a fifth of the time that a list of Python floats does. Import this module where files
are read, not before: it loads the JSON library.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import simdjson

from posedata.json_text import parse_json

# The memory is up to 14 times as large.
_LARGEST_IN_KEPT_MEMORY = 1 << 20
_kept = threading.local()


def view_json(text: bytes, path: str) -> Any:
    """Parse JSON without making Python objects of it.

    Parameters
    ----------
    text : bytes
        The whole file, UTF-8; a byte order mark is skipped.
    path : str
        Its name, for error messages.

    Returns
    -------
    object
        A number, text, or what `is_object` and `is_array` tell apart: an object has ``get``,
        ``items`` and ``len``, an array iteration and ``len``. Where the text has tokens that only
        other tools write (NaN, numbers past 64 bits), these are dict and list.

    Raises
    ------
    InputError
        Where the text is not JSON, with line and column.
    """
    try:
        return parse(text.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RuntimeError):
        return parse_json(text, path)


def parse(text: bytes) -> Any:
    """Parse plain JSON, in memory that is kept for the next text if it is little.

    Fresh memory takes as long to get from the system as a small text to parse.

    Raises
    ------
    ValueError, RuntimeError
        If it is no JSON or beyond this parser.
    """
    if len(text) <= _LARGEST_IN_KEPT_MEMORY:
        parser = getattr(_kept, "parser", None)
        if parser is None:
            parser = _kept.parser = simdjson.Parser()
        with contextlib.suppress(RuntimeError):  # views of the text before are still there
            return parser.parse(text)
    return simdjson.Parser().parse(text)


def is_object(value: Any) -> bool:
    """Whether a value of a view is a JSON object."""
    return isinstance(value, (simdjson.Object, dict))


def is_array(value: Any) -> bool:
    """Whether a value of a view is a JSON array."""
    return isinstance(value, (simdjson.Array, list))


def in_python(value: Any) -> Any:
    """Give a value of a view as what JSON is in Python, for an error message."""
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def is_whole(value: Any) -> bool:
    """Whether a value of a view is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def numbers(value: Any) -> np.ndarray | None:
    """Give an array of numbers, one inside another flattened.

    Returns
    -------
    float64, shape (n,), optional
        None if the value is anything else.
    """
    if isinstance(value, simdjson.Array):
        try:
            return np.frombuffer(value.as_buffer(of_type="d"))
        except (TypeError, ValueError):
            return None
    if not isinstance(value, list):
        return None
    flat: list[Any] = []
    waiting = [iter(value)]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, list):
                waiting.append(iter(item))
                break
            if type(item) not in (int, float):
                return None
            flat.append(item)
        else:
            waiting.pop()
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        return None
