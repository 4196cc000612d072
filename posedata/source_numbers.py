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
    again = widen(values, Unrounded(rule, np.empty(0, np.int32), np.empty(0)))
    same = (again == source) | (np.isnan(again) & np.isnan(source))
    at = np.flatnonzero(~same).astype(np.int32)
    return Unrounded(rule, at, source.reshape(-1)[at])


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
    power = 0
    scaled = size
    while scaled < 1e6:
        power += 1
        scaled = size * _POWERS_OF_TEN[power]
    candidate = np.rint(scaled) / _POWERS_OF_TEN[power]
    if wide < 0:
        candidate = -candidate
    return candidate if np.float32(candidate) == value else wide
