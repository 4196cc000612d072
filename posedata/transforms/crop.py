"""The part of the picture where people are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.sample import Sample
from posedata.subject_crop import move_to_box, subject_crop_box
from posedata.transforms.parameters import (
    check_number,
    check_positive,
    check_range,
    check_whole,
)
from posedata.transforms.space import PIXELS, PIXELS_AND_METRES, picture_size, require


@dataclass(frozen=True, slots=True)
class SubjectCrop:
    """Cut out the smallest box around all poses of all frames, and resize it.

    From Duan et al., "Revisiting Skeleton-based Action Recognition" (PoseConv3D), CVPR 2022, with
    the defaults of its code (PYSKL's ``PoseCompact``). `posedata.subject_crop` has the rules.

    Parameters
    ----------
    size : (int, int)
        Height and width of the result, pixels.
    padding : float
        The box is enlarged by this share of its size.
    ratio : float or (float, float), optional
        Height over width of the box, or the least and the greatest; the shorter side grows until
        that is so. None leaves the box as it is.
    threshold : float
        Where all joints are within a box narrower or lower than this, in pixels, or nobody is
        there, the whole picture is kept.

    Notes
    -----
    The box may reach beyond the picture. ``info["width"]`` and ``info["height"]`` become those of
    the result. Of pixels and metres together, metres stay.
    """

    size: tuple[int, int] = (56, 56)
    padding: float = 0.25
    ratio: float | tuple[float, float] | None = 1.0
    threshold: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.size, tuple | list) or len(self.size) != 2:
            raise UsageError("size", found=self.size, expected="a pair (height, width)")
        for side in self.size:
            check_whole("size", side)
        check_number("padding", self.padding, 0)
        check_number("threshold", self.threshold, 0)
        if isinstance(self.ratio, tuple):
            check_range("ratio", self.ratio, 0)
        elif self.ratio is not None:
            check_positive("ratio", self.ratio)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the clip in the coordinates of the cut-out; see the class."""
        require(sample, "SubjectCrop", PIXELS, PIXELS_AND_METRES)
        width, height = picture_size(sample, "SubjectCrop")
        points = sample.keypoints[..., :2]
        corners = _corners(points)  # as good as all points for the box, and ten times as fast
        box = subject_crop_box(corners, width, height, self.padding, self.ratio, self.threshold)
        moved = move_to_box(points, box, (self.size[0], self.size[1]))
        if sample.keypoints.shape[-1] > 2:
            moved = np.concatenate([moved, sample.keypoints[..., 2:]], -1)
        info = {**sample.info, "height": self.size[0], "width": self.size[1]}
        return replace(sample, keypoints=np.ascontiguousarray(moved, np.float32), info=info)


@kernel
def _corners(points):
    """Find the least and the greatest x and y of the joints that are there; NaN if none is."""
    low, high = np.full(2, np.inf, np.float32), np.full(2, -np.inf, np.float32)
    for m in range(points.shape[0]):
        for t in range(points.shape[1]):
            for v in range(points.shape[2]):
                x, y = points[m, t, v, 0], points[m, t, v, 1]
                if np.isfinite(x) and np.isfinite(y):
                    low[0], low[1] = min(low[0], x), min(low[1], y)
                    high[0], high[1] = max(high[0], x), max(high[1], y)
    corners = np.full((2, 2), np.nan, np.float32)
    if low[0] <= high[0]:
        corners[0], corners[1] = low, high
    return corners
