"""Decimal numbers in ASCII text to float64, exactly as ``float()`` reads them."""

from __future__ import annotations

import numpy as np

from posedata.compiled import part_of_kernel

# Texts given to these kernels end with this: no token runs past it, so no index is checked.
PADDING = b"\n"

_POWERS_OF_TEN = 10.0 ** np.arange(23)  # each exact in float64
_EXACT_MANTISSA = 1 << 53
_MOST_DIGITS = np.uint64(18)  # so many fit int64 whatever they are
_0, _1, _10, _CODE_OF_0 = np.uint64(0), np.uint64(1), np.uint64(10), np.uint64(48)


@part_of_kernel
def read_number(text, start):
    """Read the blank-separated token at ``start``.

    A mantissa below 2**53 and a power of ten up to 10**22 are both exact in float64, so that
    one division rounds once and gives the nearest float64 (W. D. Clinger, "How to read floating
    point numbers accurately", 1990). All other tokens are left to the caller.

    Parameters
    ----------
    text : uint8, shape (size,)
        ASCII bytes that end with `PADDING`.
    start : uint64
        The token's first byte. (Unsigned: numba gives signed indices a test of their own.)

    Returns
    -------
    value : float64
        The number; 0 where ``exact`` is false.
    stop : uint64
        Index of the byte after the token; bytes up to 32 end a token.
    exact : bool
        Whether ``value`` is ``float(token)``. If not, the token has an exponent or many digits,
        is ``NaN`` or no number at all, and the caller asks ``float()``.
    """
    i = start
    negative = text[i] == 45
    if negative:
        i += _1
    first = i
    mantissa, i = _read_digits(text, i, np.int64(0))
    digits = i - first
    decimals = _0
    if text[i] == 46:
        i += _1
        first = i
        mantissa, i = _read_digits(text, i, mantissa)
        decimals = i - first
        digits += decimals
    if text[i] > 32 or digits == _0 or digits > _MOST_DIGITS or mantissa >= _EXACT_MANTISSA:
        return _skip(text, i)
    value = np.float64(mantissa) / _POWERS_OF_TEN[decimals]
    return -value if negative else value, i, True


@part_of_kernel
def _read_digits(text, i, number):
    """Append the digits at i to a number; also the index of the byte after them."""
    digit = np.uint64(text[i]) - _CODE_OF_0
    while digit < _10:
        number = number * 10 + np.int64(digit)
        i += _1
        digit = np.uint64(text[i]) - _CODE_OF_0
    return number, i


@part_of_kernel
def _skip(text, i):
    while text[i] > 32:
        i += _1
    return 0.0, i, False
