"""The decorators for numba kernels, so that none of them has to think about its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable) -> Any:
    """Compile a function on its first call, and keep the machine code for later runs.

    Where no directory can be written (a read-only container without a home), the code is
    compiled anew in each process instead of failing.

    Parameters
    ----------
    function : callable
        A function within numba's subset of Python, called from Python.

    Returns
    -------
    callable
        The compiled function; ``.py_func`` is the plain one.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def part_of_kernel(function: Callable) -> Any:
    """Compile a function that kernels call.

    It has no cache of its own: machine code that comes out of a cache cannot be inlined, which
    made the number reader three times slower. The kernel's cache notices changes of the kernel's
    own file only: after editing a part that is in another file, touch that one, too.
    """
    return numba.njit(nogil=True)(function)
