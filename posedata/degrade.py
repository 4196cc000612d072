"""Harder videos: a smaller picture, and rectangles that drift before it.

Made for measuring how estimators and fusions bear bad pictures, as NTU-Pose does (Yang et al.,
"Selective Spatio-Temporal Aggregation Based Pose Refinement System", WACV 2021: 320x180, partial
occlusions). Its occluders are not published; these are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from posedata.errors import UsageError
from posedata.video import Damage, Video, read_frames

#: Share of the picture that occluders hide on average, and so of whatever is in it.
HIDDEN_SHARE = 0.2

_MOST_OCCLUDERS = 100
_MOST_SIDE = 16384  # pixels: what H.264 encodes at most

# Sides are within this factor of a square of the same area.
_ASPECT = 1.5
# Heights of the picture per frame: a person's width is passed in 10 to 60 frames.
_LEAST_SPEED, _MOST_SPEED = 0.003, 0.012
_NOISE = 60.0  # standard deviation of grey levels within every second occluder


@dataclass(frozen=True, eq=False)
class Occluders:
    """Rectangles that drift over a picture, in units that do not depend on its size.

    Attributes
    ----------
    start : float64, shape (K, 2)
        Top-left corners at frame 0, x and y, over the width and the height of the picture.
    step : float64, shape (K, 2)
        How far they move in a frame, in the same units.
    size : float64, shape (K, 2)
        Width and height, in the same units.
    grey : uint8, shape (K,)
        Brightness.
    seed : int
        Of the noise within every second rectangle.
    """

    start: np.ndarray
    step: np.ndarray
    size: np.ndarray
    grey: np.ndarray
    seed: int = field(default=0)


def make_occluders(
    count: int, seed: int, *, share: float = HIDDEN_SHARE, aspect: float = 16 / 9
) -> Occluders:
    """Draw rectangles, their places and their drifts by chance.

    What leaves the picture at one side enters at the other. So each rectangle, whose area is the
    part a of the picture, hides any given point with probability a, wherever the point is, and
    ``count`` rectangles hide 1 - (1 - a)**count of anything on average over seeds. The area
    follows from the share that is wanted.

    Parameters
    ----------
    count : int
        How many rectangles, 0 to 100.
    seed : int
        The same seed gives the same rectangles for a picture of any size.
    share : float
        Share of the picture that is hidden on average, 0 to 0.9.
    aspect : float
        Width over height of the picture, so that rectangles are of moderate shape in it.

    Returns
    -------
    Occluders

    Raises
    ------
    UsageError
        If a number is out of its range.
    """
    for name, value, most in (("occluders", count, _MOST_OCCLUDERS), ("hidden share", share, 0.9)):
        if not 0 <= value <= most:
            raise UsageError(name, found=value, expected=f"0 to {most}")
    rng = np.random.default_rng(seed)
    start = rng.random((count, 2))
    elongation = _ASPECT ** rng.uniform(-1, 1, count)
    angle = rng.uniform(0, 2 * np.pi, count)
    speed = rng.uniform(_LEAST_SPEED, _MOST_SPEED, count)
    grey = rng.integers(40, 216, count, dtype=np.uint8)
    area = 1 - (1 - share) ** (1 / count) if count else 0.0
    # height * width = area, and a side is at most the whole
    height = np.clip(np.sqrt(area * aspect / elongation), area, 1)
    width = np.divide(area, height, out=np.zeros(count), where=height > 0)
    step = speed[:, None] * np.stack([np.cos(angle) / aspect, np.sin(angle)], axis=1)
    return Occluders(start, step, np.stack([width, height], axis=1), grey, seed)


def hidden_mask(occluders: Occluders, frame: int, size: tuple[int, int]) -> np.ndarray:
    """Tell which pixels of a frame are hidden.

    Parameters
    ----------
    occluders : Occluders
        From `make_occluders`.
    frame : int
        0-based index of the frame.
    size : (int, int)
        Width and height of the picture, pixels.

    Returns
    -------
    int16, shape (H, W)
        Number of the rectangle in front; -1 where nothing is hidden.
    """
    mask = np.full((size[1], size[0]), -1, np.int16)
    for number in range(len(occluders.grey)):
        columns, rows = (_covered(occluders, number, frame, axis, size[axis]) for axis in (0, 1))
        mask[np.ix_(rows, columns)] = number
    return mask


def are_hidden(
    occluders: Occluders, keypoints: np.ndarray, frames: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Tell which joints are behind an occluder: `hidden_mask` at the pixels they are in.

    Parameters
    ----------
    occluders : Occluders
        From `make_occluders`.
    keypoints : float, shape (N, V, 2)
        Pixels of the picture; NaN where missing.
    frames : int, shape (N,)
        0-based index of each pose's frame.
    size : (int, int)
        Width and height of the picture, pixels.

    Returns
    -------
    bool, shape (N, V)
        False where a joint is missing or outside the picture.
    """
    pixels = np.floor(np.asarray(keypoints, np.float64) + 0.5)
    with np.errstate(invalid="ignore"):
        inside: np.ndarray = np.all((pixels >= 0) & (pixels < np.array(size)), axis=-1)
    at = np.where(inside[..., None], pixels, 0).astype(np.int64)
    hidden = np.zeros(inside.shape, bool)
    for number in range(len(occluders.grey)):
        covered = inside
        for axis, length in enumerate(size):
            first, count = _extent(occluders, number, frames, axis, length)
            covered = covered & ((at[..., axis] - first[:, None]) % length < count)
        hidden |= covered
    return hidden


def occlude(picture: np.ndarray, occluders: Occluders, frame: int) -> np.ndarray:
    """Draw the rectangles of one frame: every first one plain grey, every second one noise.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        RGB; is left as it is.
    occluders : Occluders
        From `make_occluders`.
    frame : int
        0-based index of the frame.

    Returns
    -------
    uint8, shape (H, W, 3)
    """
    height, width = picture.shape[:2]
    result = picture.copy()
    for number, grey in enumerate(occluders.grey.tolist()):
        columns = _covered(occluders, number, frame, 0, width)
        rows = _covered(occluders, number, frame, 1, height)
        patch: np.ndarray = np.full((len(rows), len(columns)), grey, np.uint8)
        if number % 2:  # the grain moves along with its rectangle
            rng = np.random.default_rng([occluders.seed, number])
            grain = rng.normal(grey, _NOISE, patch.shape)
            patch = np.clip(grain, 0, 255).astype(np.uint8)
        result[np.ix_(rows, columns)] = patch[..., None]
    return result


def reduce_picture(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture; each new pixel is the mean of the area that it covers.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        RGB.
    size : (int, int)
        New width and height, pixels.

    Returns
    -------
    uint8, shape (height, width, 3)
    """
    import cv2

    shrinks = size[0] * size[1] <= picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def move_keypoints(
    keypoints: np.ndarray, old_size: tuple[int, int], new_size: tuple[int, int]
) -> np.ndarray:
    """Give the places of points in a picture after it was resized.

    (0, 0) is the centre of the top-left pixel, so half a pixel is to be minded:
    x' = (x + 1/2) * new / old - 1/2.

    Parameters
    ----------
    keypoints : float, shape (..., 2)
        Pixels of the old picture; NaN where missing.
    old_size, new_size : (int, int)
        Width and height, pixels.

    Returns
    -------
    float32, shape (..., 2)
        Pixels of the new picture.
    """
    factors = np.array(new_size, np.float64) / np.array(old_size, np.float64)
    return ((np.asarray(keypoints, np.float64) + 0.5) * factors - 0.5).astype(np.float32)


def degrade_frames(
    video: Video, damages: list[Damage], *, size: tuple[int, int] | None = None,
    occluders: Occluders | None = None,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Read a video and make every frame harder: rectangles first, then the smaller picture.

    Parameters
    ----------
    video : Video
        From `posedata.video.probe_video`.
    damages : list of Damage
        Is filled with the frames that cannot be read. They are black, so that a frame of the
        result is a frame of the video.
    size : (int, int), optional
        New width and height, pixels; None leaves the size.
    occluders : Occluders, optional
        From `make_occluders`.

    Yields
    ------
    uint8, shape (height, width, 3)
        RGB, one for each frame.

    Raises
    ------
    UsageError
        If the size cannot be encoded.
    """
    whole = (video.width, video.height)
    wanted = whole if size is None else size
    if not (min(wanted) > 0 and max(wanted) <= _MOST_SIDE):
        raise UsageError("a size that makes no picture", found=f"{wanted[0]}x{wanted[1]}",
                         expected=f"1 to {_MOST_SIDE} pixels a side")  # fmt: skip
    pixels = np.empty((video.height, video.width, 3), np.uint8)
    black = np.zeros((wanted[1], wanted[0], 3), np.uint8)
    expected = 0
    for frame in read_frames(video, damages):
        for _ in range(expected, frame.index):
            yield black
        frame.copy_rgb(pixels)
        hard = pixels.copy() if occluders is None else occlude(pixels, occluders, frame.index)
        yield hard if wanted == whole else reduce_picture(hard, wanted)
        expected = frame.index + 1
    for _ in range(expected, video.num_frames):
        yield black


def _extent(
    occluders: Occluders, number: int, frames: np.ndarray, axis: int, length: int
) -> tuple[np.ndarray, int]:
    """First pixel of a rectangle in each frame along one axis, and how many it covers."""
    start = (occluders.start[number, axis] + frames * occluders.step[number, axis]) % 1.0
    return (start * length).astype(np.int64), round(occluders.size[number, axis] * length)


def _covered(occluders: Occluders, number: int, frame: int, axis: int, length: int) -> np.ndarray:
    """Indices of the pixels, along one axis, that a rectangle covers; they wrap around."""
    first, count = _extent(occluders, number, np.array([frame]), axis, length)
    return (first[0] + np.arange(count)) % length
