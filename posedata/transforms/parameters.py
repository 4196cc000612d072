"""Checks of what transforms are given, so that a mistake is told before the first clip."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Sequence
from typing import Any

from posedata.errors import UsageError


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Raise `UsageError` if a parameter is not a whole number of at least ``least``."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise UsageError(name, found=reprlib.repr(value),
                         expected=f"a whole number, at least {least}")  # fmt: skip


def check_number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise `UsageError` if a parameter is not a finite number from ``least`` to ``most``."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_real or not math.isfinite(value) or not least <= value <= most:
        limits = "" if math.isinf(least) else f" from {least:g}"
        limits += "" if math.isinf(most) else f" to {most:g}"
        raise UsageError(name, found=reprlib.repr(value), expected=f"a finite number{limits}")


def check_positive(name: str, value: Any) -> None:
    """Raise `UsageError` if a parameter is not a finite number above 0."""
    check_number(name, value)
    if value <= 0:
        raise UsageError(name, found=reprlib.repr(value), expected="a number above 0")


def check_range(name: str, value: Any, least: float, most: float = math.inf) -> None:
    """Raise `UsageError` if a parameter is not a pair (low, high), both above ``least``."""
    if not isinstance(value, Sequence) or len(value) != 2:
        raise UsageError(name, found=reprlib.repr(value), expected="a pair (low, high)")
    low, high = value
    check_number(name, low, least, most)
    check_number(name, high, least, most)
    if low > high or low == least:
        raise UsageError(name, found=reprlib.repr(value),
                         expected=f"a pair (low, high), both above {least:g}")  # fmt: skip


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise `UsageError` if a parameter is none of the choices."""
    if value not in choices:
        raise UsageError(name, found=reprlib.repr(value), expected=", ".join(choices))
