"""The layers of a clip drawn on its video: frame by frame, as a video or one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.draw import draw_legend, draw_poses
from posedata.errors import InputError, UsageError
from posedata.video import Damage, Video, read_frames

#: Frames per second where neither the video (a folder of images) nor the clip says any.
DEFAULT_FPS = 25.0

_MOST_SIDE = 16384  # pixels: what H.264 encodes at most


def draw_frames(
    video: Video, clips: Sequence[Clip], frames: range, damages: list[Damage], *,
    scale: float = 1.0, boxes: bool = False,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Draw poses on consecutive frames of a video.

    Parameters
    ----------
    video : Video
        From `posedata.video.probe_video`.
    clips : sequence of Clip
        Layers of the clip that the video shows, with ``keypoints_2d``.
    frames : range
        Which frames, with a step of 1.
    damages : list of Damage
        Is filled with the frames among them that cannot be read. They are black, so that a
        frame of the result is a frame of the video.
    scale : float
        Size of the result over that of the video.
    boxes : bool
        Draw the boxes that layers have, too.

    Yields
    ------
    uint8, shape (H, W, 3)
        RGB, one for each frame.

    Raises
    ------
    UsageError
        If the video does not have the frames, a layer no 2D poses, or the size makes no sense.
    InputError
        If a layer's poses are of a video of another size.
    """
    if not frames or frames.start < 0 or frames.stop > video.num_frames:
        raise UsageError(
            "frames that the video does not have", path=video.path,
            found=f"{frames.start}:{frames.stop}", expected=f"within 0:{video.num_frames}",
        )  # fmt: skip
    size = scaled_size(video, scale)
    layers = [RowsByFrame(check_layer(clip, video)) for clip in clips]
    names = [clip.layer for clip in clips]
    persons = sorted({person for clip in clips for person in clip.persons.tolist()})
    factors = np.array([size[0] / video.width, size[1] / video.height])

    for index, picture in frame_pictures(video, frames, size, damages):
        for number, rows in enumerate(layers):
            now, clip = rows.of(index), rows.clip
            if not len(now):
                continue
            assert clip.keypoints_2d is not None
            corners = None
            if boxes and clip.boxes is not None:
                corners = scale_points(clip.boxes[now].reshape(-1, 2, 2), factors).reshape(-1, 4)
            picture = draw_poses(
                picture,
                scale_points(clip.keypoints_2d[now], factors),
                clip.skeleton,
                scores=None if clip.scores is None else clip.scores[now],
                persons=clip.persons[now],
                boxes=corners,
                layer=number,
            )
        yield draw_legend(picture, names, persons)


def fps_of(video: Video, clips: Sequence[Clip]) -> float:
    """Frames per second of the video, else those that a layer's clip has, else 25."""
    known = [video.fps, *(clip.info.get("fps") for clip in clips)]
    return next((float(fps) for fps in known if fps), DEFAULT_FPS)


class RowsByFrame:
    """The rows of a clip by frame.

    Parameters
    ----------
    clip : Clip
        Any.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._order = np.argsort(clip.frames, kind="stable")
        self._frames = clip.frames[self._order]

    def of(self, frame: int) -> np.ndarray:
        """Give the rows of one frame: int64, shape (M,)."""
        first, last = np.searchsorted(self._frames, [frame, frame + 1])
        return self._order[first:last]


def frame_pictures(
    video: Video, frames: range, size: tuple[int, int], damages: list[Damage]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (frame, RGB of the wanted width and height) for each frame, black where unreadable.

    Parameters are those of `draw_frames`; ``size`` is from `scaled_size`.
    """
    import cv2

    pixels = np.empty((video.height, video.width, 3), np.uint8)
    black = np.zeros((size[1], size[0], 3), np.uint8)
    expected = frames.start
    shrinks = size[0] * size[1] < video.width * video.height
    of_video: list[Damage] = []
    for frame in read_frames(video, of_video):
        if frame.index >= frames.stop:
            break
        if frame.index < frames.start:
            continue
        for index in range(expected, frame.index):
            yield index, black
        frame.copy_rgb(pixels)
        picture: Any = pixels
        if size != (video.width, video.height):
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            picture = cv2.resize(pixels, size, interpolation=how)
        yield frame.index, picture
        expected = frame.index + 1
        if expected == frames.stop:
            break
    for index in range(expected, frames.stop):
        yield index, black
    for damage in of_video:
        end = video.num_frames
        if damage.num_frames is not None:
            end = damage.first_frame + damage.num_frames
        first, last = max(damage.first_frame, frames.start), min(end, frames.stop)
        if first < last:
            damages.append(Damage(first, last - first, damage.reason))


def check_layer(clip: Clip, video: Video) -> Clip:
    """Return the clip if it can be drawn on the video; `UsageError` or `InputError` if not."""
    if clip.keypoints_2d is None:
        raise UsageError(f"the layer {clip.layer} has no keypoints_2d to draw",
                         found=", ".join(clip.arrays) or None)  # fmt: skip
    for name, pixels in (("width", video.width), ("height", video.height)):
        if clip.info.get(name) not in (None, pixels):
            raise InputError(
                f"the poses of layer {clip.layer} are of a video of another {name}",
                path=video.path, found=pixels, expected=clip.info[name],
            )  # fmt: skip
    return clip


def scaled_size(video: Video, scale: float) -> tuple[int, int]:
    """Give width and height of the result; `UsageError` if it is no picture."""
    sides = (video.width * scale, video.height * scale)
    if not (scale > 0 and max(sides) <= _MOST_SIDE):
        raise UsageError(
            "a scale that makes no picture", found=scale,
            expected=f"above 0 and at most {_MOST_SIDE / max(video.width, video.height):.3g}",
        )  # fmt: skip
    return max(1, round(sides[0])), max(1, round(sides[1]))


def scale_points(points: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Give pixels of the video (0, 0 the centre of the top-left one) as pixels of the result."""
    return (points + 0.5) * factors - 0.5
