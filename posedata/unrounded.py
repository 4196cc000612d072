"""What a layer keeps so that a source's float64 numbers can be got back from its float32 ones.

`posedata.source_numbers` says why, finds it, and uses it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: How a source's number follows from the float32.
RULES = ("decimal", "float32")


class Unrounded(NamedTuple):
    """What it takes to get a source's float64 numbers back from float32.

    Attributes
    ----------
    rule : str
        How most follow from the float32: ``decimal``, the decimal of at most 7 digits that reads
        as it; or ``float32``, the same number.
    at : int32, shape (K,)
        Flat indices of the exceptions, ascending.
    numbers : float64, shape (K,)
        The source's numbers there.
    """

    rule: str
    at: np.ndarray
    numbers: np.ndarray

    def reordered(self, shape: tuple[int, ...], axis: int, order: np.ndarray) -> Unrounded:
        """Follow the array to where ``array.take(order, axis)`` puts its numbers.

        Parameters
        ----------
        shape : tuple of int
            Of the array.
        axis : int
            Which axis has a new order.
        order : intp
            A permutation of that axis.
        """
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        indices = list(np.unravel_index(self.at, shape))
        indices[axis] = place[indices[axis]]
        at = np.ravel_multi_index(indices, shape)
        ascending = np.argsort(at, kind="stable")
        return self._replace(at=at[ascending].astype(np.int32), numbers=self.numbers[ascending])


def unrounded_columns(name: str, rule: str) -> dict[str, dict[str, Any]]:
    """Define the two columns in which a layer keeps `Unrounded` of a pose array."""
    about = f"numbers of {name} in the source that do not follow from the float32 by {rule!r}"
    return {
        f"{name}_unrounded_at": {
            "type": "int32", "per": "value", "shape": [], "of": name, "rule": rule,
            "about": f"Flat indices of the {about}: see posedata.source_numbers.",
        },
        f"{name}_unrounded": {
            "type": "float64", "per": "value", "shape": [], "of": name, "rule": rule,
            "about": f"The {about}.",
        },
    }  # fmt: skip
