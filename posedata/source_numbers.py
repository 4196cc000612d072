"""From float32 back to the very number that the source wrote.

A release holds float32, which is enough for every use but one: reproducing, to the last bit, what
a script made of the source's own float64 numbers. Most sources write either short decimals (Kinect
files: 7 digits) or numbers that were float32 already; both follow from the float32 without loss.
What follows neither way is kept beside it, number by number.
"""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel, part_of_kernel
from posedata.unrounded import Unrounded

_POWERS_OF_TEN = 10.0 ** np.arange(23)  # each exact in float64


def find_unrounded(values: np.ndarray, source: np.ndarray, rule: str) -> Unrounded:
    """Find the numbers that do not follow from what is kept of them.

    Parameters
    ----------
    values : float32
        What is kept.
    source : float64, same shape
        What the source has.
    rule : str
        ``decimal`` or ``float32``.
    """
    flat_values = np.ascontiguousarray(values).reshape(-1)
    flat_source = np.ascontiguousarray(source).reshape(-1)
    at = exceptions(flat_values, flat_source, rule == "decimal")
    return Unrounded(rule, at, flat_source[at])


def widen(values: np.ndarray, unrounded: Unrounded) -> np.ndarray:
    """Give back the source's numbers as float64, in the shape of ``values``."""
    if unrounded.rule == "decimal":
        source = decimals(np.ascontiguousarray(values).reshape(-1)).reshape(values.shape)
    else:
        source = values.astype(np.float64)
    source.reshape(-1)[unrounded.at] = unrounded.numbers
    return source


@kernel
def decimals(values):
    """Give the decimal of at most 7 digits that reads as each number, else the number itself.

    Parameters
    ----------
    values : float32, shape (n,)

    Returns
    -------
    float64, shape (n,)
    """
    source = np.empty(values.size, np.float64)
    for i in range(values.size):
        source[i] = decimal(values[i])
    return source


@kernel
def exceptions(values, source, is_decimal):
    """Find the numbers that do not follow from their float32; see `find_unrounded`.

    Parameters
    ----------
    values : float32, shape (n,)
    source : float64, shape (n,)
    is_decimal : bool
        Whether the rule is ``decimal``; else it is ``float32``.

    Returns
    -------
    int32, shape (K,)
        Their indices, ascending.
    """
    count = 0
    for i in range(values.size):
        count += _is_exception(values[i], source[i], is_decimal)
    at = np.empty(count, np.int32)
    if count:
        count = 0
        for i in range(values.size):
            if _is_exception(values[i], source[i], is_decimal):
                at[count] = i
                count += 1
    return at


@part_of_kernel
def _is_exception(value, source, is_decimal):
    again = decimal(value) if is_decimal else np.float64(value)
    return again != source and not (np.isnan(again) and np.isnan(source))


@part_of_kernel
def decimal(value):
    """Do what `decimals` does for one number.

    An integer below 10**7 and a power of ten up to 10**22 are exact in float64, so that one
    division rounds once and gives what ``float()`` makes of the decimal text.
    """
    wide = np.float64(value)
    size = abs(wide)
    if not (1e-15 < size < 1e7):  # also NaN and 0
        return wide
    if size >= 1.0:
        power = 6
        while power > 0 and size >= _POWERS_OF_TEN[7 - power]:
            power -= 1
    else:
        power = 7
        while size * _POWERS_OF_TEN[power] < 1e6:
            power += 1
    scale = _POWERS_OF_TEN[power]
    candidate = np.rint(size * scale) / scale
    if wide < 0:
        candidate = -candidate
    return candidate if np.float32(candidate) == value else wide
