"""Lists of JSON objects with the same fields, field by field: columns of a table, and arrays.

An estimator's file is a list of people with the same few fields. Python work for each person, not
the JSON parser, is what takes the time; a whole column at once takes little of it. What is not
there, or not all of one kind, is None here: the reader then goes through the people one by one and
says what is wrong with which. Import this module where files are read, as
:mod:`posedata.json_view`, whose views the columns are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import simdjson

# A view looks for a field name by name: many names would take the square of their number.
_MOST_NAMES = 32


class Columns(NamedTuple):
    """Objects of a list, field by field.

    Attributes
    ----------
    num_objects : int
        N.
    values : mapping
        Name of a field: its value in each of the N objects, None where it is absent or null.
    fields : set of str
        All fields that any of the objects has.
    """

    num_objects: int
    values: Mapping[str, Sequence[Any]]
    fields: Set[str]


def columns_of(values: Iterable[Any], names: Sequence[str]) -> Columns | None:
    """Look at some fields of a list's objects.

    Parameters
    ----------
    values : iterable
        Of a view, or of what JSON is in Python.
    names : sequence of str
        The fields.

    Returns
    -------
    Columns, optional
        None if a value is anything else than an object.
    """
    objects = list(values)
    kinds = set(map(type, objects))
    if kinds == {dict}:
        found = {name: [one.get(name) for one in objects] for name in names}
        return Columns(len(objects), found, set().union(*objects))
    if not kinds <= {simdjson.Object}:
        return None
    return _alike(objects, names) or _unlike(objects, names)


def _alike(objects: Sequence[Any], names: Sequence[str]) -> Columns | None:
    """Columns of objects that have as many fields as the first, and all that it has."""
    first = tuple(objects[0]) if objects else ()
    if len(set(map(len, objects))) > 1 or len(set(first)) < len(first) or len(first) > _MOST_NAMES:
        return None
    try:
        every = {name: [one[name] for one in objects] for name in first}
    except KeyError:
        return None
    absent = [None] * len(objects)
    found = {name: every.get(name, absent) for name in names}
    return Columns(len(objects), found, every.keys())


def _unlike(objects: Sequence[Any], names: Sequence[str]) -> Columns:
    layouts: dict[tuple[str, ...], int] = {}
    kinds = [layouts.setdefault(layout, len(layouts)) for layout in map(tuple, objects)]
    found = {}
    for name in names:  # a view takes 3 microseconds to say that a field is not there
        having = [name in layout for layout in layouts]
        found[name] = [
            one[name] if having[kind] else None for one, kind in zip(objects, kinds, strict=True)
        ]
    return Columns(len(objects), found, set().union(*layouts))


def stack(column: Iterable[Any]) -> np.ndarray | None:
    """Put arrays of as many numbers above each other, one inside another flattened.

    Parameters
    ----------
    column : iterable
        N values of a view, or of what JSON is in Python.

    Returns
    -------
    float64, shape (N, k), optional
        (0, 0) for an empty column. None if a value is anything else than an array of numbers, or
        they are not as many in each.
    """
    values = list(column)
    if set(map(type, values)) == {list}:
        return _stack_lists(values)
    try:
        rows = [bytes(value.as_buffer(of_type="d")) for value in values]
    except (AttributeError, TypeError, ValueError):
        return None
    sizes = set(map(len, rows))
    if len(sizes) > 1:
        return None
    return np.frombuffer(bytearray().join(rows)).reshape(len(rows), max(sizes, default=0) // 8)


def _stack_lists(lists: Sequence[list[Any]]) -> np.ndarray | None:
    flat = list(chain.from_iterable(lists))
    if len(set(map(len, lists))) > 1 or not set(map(type, flat)) <= {int, float}:
        return None
    try:
        return np.array(flat, np.float64).reshape(len(lists), len(lists[0]))
    except OverflowError:
        return None


def lengths(column: Sequence[Any]) -> list[int] | None:
    """Lengths of a view's arrays, 0 where there is none; None if a value is anything else."""
    kinds = set(map(type, column))
    if kinds == {simdjson.Array}:
        return list(map(len, column))
    if kinds <= {simdjson.Array, type(None)}:
        return [0 if value is None else len(value) for value in column]
    return None


def scalars(column: Sequence[Any]) -> np.ndarray | None:
    """Put numbers into an array.

    Returns
    -------
    float64, shape (N,), optional
        NaN where there is none. None if a value is anything else than a number.
    """
    kinds = set(map(type, column))
    if not kinds <= {int, float, type(None)}:
        return None
    present = column
    if type(None) in kinds:
        present = [np.nan if value is None else value for value in column]
    try:
        return np.array(present, np.float64)
    except OverflowError:
        return None
