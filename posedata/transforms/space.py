"""What the coordinates of a sample are, so that no transform takes metres for pixels.

A sample with C = 2 holds pixels, with C = 3 metres, with C = 5 pixels and metres (x, y, x, y, z).
A transform after which they are something else says so in ``info["coordinates"]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.sample import Sample

PIXELS, METRES, PIXELS_AND_METRES = "pixels", "metres", "pixels and metres"
#: x from -1 to 1 over the width of the picture.
SCREEN = "screen"
#: Around an origin of its own.
CENTRED = "centred"
#: Differences of points: bones, motions.
VECTORS = "vectors"

_BY_CHANNELS = {2: PIXELS, 3: METRES, 5: PIXELS_AND_METRES}


def coordinates_of(sample: Sample) -> str:
    """Say what the coordinates are: one of the names above."""
    said = sample.info.get("coordinates")
    return said or _BY_CHANNELS.get(sample.keypoints.shape[-1], "unknown")


def with_coordinates(sample: Sample, keypoints: np.ndarray, kind: str | None) -> Sample:
    """Return the sample with new keypoints, and what they are now.

    Parameters
    ----------
    sample : Sample
        Any.
    keypoints : float32, shape (M, T, V, C)
        Of the same people, steps and joints.
    kind : str, optional
        By default what follows from C.
    """
    info: dict[str, Any] = dict(sample.info)
    info.pop("coordinates", None)
    if kind is not None:
        info["coordinates"] = kind
    return replace(sample, keypoints=keypoints, info=info)


def require(sample: Sample, transform: str, *kinds: str) -> None:
    """Raise `UsageError` unless the coordinates are of one of these kinds."""
    kind = coordinates_of(sample)
    if kind not in kinds:
        raise UsageError(
            f"{transform} cannot take these coordinates (clip {sample.clip_id})",
            found=kind, expected=" or ".join(kinds),
            remedy="The order of the transforms decides what they are.",
        )  # fmt: skip


def require_points(sample: Sample, transform: str) -> None:
    """Raise `UsageError` unless the coordinates are of 2 or 3 dimensions."""
    if sample.keypoints.shape[-1] not in (2, 3):
        raise UsageError(f"{transform} takes coordinates of 2 or 3 dimensions",
                         found=f"C = {sample.keypoints.shape[-1]}")  # fmt: skip


def picture_size(sample: Sample, transform: str) -> tuple[float, float]:
    """Return the width and height of the picture in pixels; `UsageError` where unknown."""
    width, height = sample.info.get("width"), sample.info.get("height")
    if not width or not height:
        raise UsageError(
            f"{transform} needs the size of the picture (clip {sample.clip_id})",
            found=f"width {width}, height {height}",
            remedy="The release has no such columns, or no value in them.",
        )  # fmt: skip
    return float(width), float(height)
