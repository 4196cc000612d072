"""The part of a picture that a model is shown, and the way back from its coordinates.

Everything counts pixels from the centre of the top-left one, in the picture and in the crop. A
crop covers its part from edge to edge, as a resized picture covers the picture: the centre of the
crop's pixel ``i`` lies at ``left + (i + 0.5) * step``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Placement(NamedTuple):
    """Where a crop lies in a picture.

    Attributes
    ----------
    left, top : float
        The corner of the crop, that of its top-left pixel, in pixels of the picture.
    step : float
        Pixels of the picture from one pixel of the crop to the next, in x and in y.
    """

    left: float
    top: float
    step: float

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Move points of the crop to where they lie in the picture.

        Parameters
        ----------
        points : float, shape (..., 2)
            Pixels of the crop, (0, 0) the centre of its top-left one.

        Returns
        -------
        float64, shape (..., 2)
            Pixels of the picture, (0, 0) the centre of its top-left one.
        """
        corner = np.array([self.left, self.top])
        return corner + (np.asarray(points, np.float64) + 0.5) * self.step

    def boxes_to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Move boxes of the crop to where they lie in the picture.

        Parameters
        ----------
        boxes : float, shape (P, 4)
            x0 y0 x1 y1 as detectors give them: pixels of the crop, (0, 0) its corner.

        Returns
        -------
        float32, shape (P, 4)
            Pixels of the picture, (0, 0) the centre of its top-left one.
        """
        corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2) - 0.5
        return self.to_picture(corners).reshape(-1, 4).astype(np.float32)


def place_box(box: np.ndarray, size: tuple[int, int], padding: float) -> Placement | None:
    """Put a crop around a box: same centre, the model's aspect ratio, and some room.

    Parameters
    ----------
    box : float, shape (4,)
        x0 y0 x1 y1, pixels.
    size : (int, int)
        Width and height of the crop.
    padding : float
        How many times as large as the box: the smallest crop of that aspect ratio that holds the
        box, times this.

    Returns
    -------
    Placement, optional
        None for a box without an area, or one that is not finite.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    if not np.isfinite([x0, y0, x1, y1]).all() or x1 <= x0 or y1 <= y0:
        return None
    width, height = size
    step = max((x1 - x0) / width, (y1 - y0) / height) * padding
    return Placement((x0 + x1 - width * step) / 2, (y0 + y1 - height * step) / 2, step)


def place_picture(picture: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Shrink or enlarge a whole picture into the top-left of what a model is shown.

    Parameters
    ----------
    picture, size : (int, int)
        Width and height of the picture and of the crop.
    """
    return Placement(-0.5, -0.5, max(picture[0] / size[0], picture[1] / size[1]))


def touches(placement: Placement, picture: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a crop shows anything of a picture of that width and height."""
    right = placement.left + size[0] * placement.step
    bottom = placement.top + size[1] * placement.step
    return bool(
        right > -0.5 and bottom > -0.5
        and placement.left < picture[0] - 0.5 and placement.top < picture[1] - 0.5
    )  # fmt: skip


def cut(frame: np.ndarray, placement: Placement, size: tuple[int, int], fill: int) -> np.ndarray:
    """Cut a crop out of a frame, by bilinear interpolation.

    Parameters
    ----------
    frame : uint8, shape (H, W, 3)
        The picture.
    placement : Placement
        Where the crop lies in it.
    size : (int, int)
        Width and height of the crop.
    fill : int
        What lies beyond the picture, 0 (black) to 255.

    Returns
    -------
    uint8, shape (height, width, 3)
    """
    import cv2

    left, top, step = placement
    matrix = np.array([[step, 0, left + step / 2], [0, step, top + step / 2]])
    return cv2.warpAffine(
        frame, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(fill, fill, fill),
    )  # fmt: skip
