"""Pixels of posedata to Label Studio's percent and back.

Here (0, 0) is the centre of the top-left pixel. Label Studio measures in percent of the picture
from its top-left corner, which is half a pixel further up and left. Somebody who clicks on the
middle of a pixel thus gets that pixel's own whole coordinates::

    percent = 100 * (pixels + 0.5) / size        pixels = percent / 100 * size - 0.5
"""

from __future__ import annotations

import numpy as np

#: Of coordinates, in percent: what the editor may change of a region that nobody has moved. On a
#: picture of 8000 pixels it is less than a thousandth of a pixel.
UNMOVED = 1e-5


def to_percent(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Give positions in percent.

    Parameters
    ----------
    pixels : float, shape (..., 2)
        x, y.
    width, height : int
        Of the picture, pixels.

    Returns
    -------
    float64, shape (..., 2)
    """
    return (np.asarray(pixels, np.float64) + 0.5) * (100 / np.array([width, height], np.float64))


def to_pixels(percent: np.ndarray, width: int, height: int) -> np.ndarray:
    """Give positions in pixels; the inverse of `to_percent`.

    Parameters
    ----------
    percent : float, shape (..., 2)
        x, y.
    width, height : int
        Of the picture, pixels.

    Returns
    -------
    float64, shape (..., 2)
    """
    size = np.array([width, height], np.float64)
    return np.asarray(percent, np.float64) * (size / 100) - 0.5
