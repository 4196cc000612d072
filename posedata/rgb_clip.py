"""Pixels and poses of a clip together: frames of its video, cropped around its people.

For models of both, such as VPN (Das et al., "VPN: Learning Video-Pose Embedding for Activities of
Daily Living", ECCV 2020). Nothing is stored: frames are decoded when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.boxes import extents
from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.sample import dense_people
from posedata.skeleton import Skeleton

_CROPS = ("clip", "frame", "none")


@dataclass(frozen=True, eq=False)
class RgbClip:
    """Pixels and poses of T frames.

    Attributes
    ----------
    clip_id : str
        Key of the clip.
    pixels : uint8, shape (T, H, W, 3)
        RGB; black outside the picture.
    indices : int64, shape (T,)
        Frame of the video of each.
    keypoints : float32, shape (M, T, V, 2)
        Pixels of the crops: (0, 0) is the centre of their top-left pixel. NaN where missing. Some
        may lie outside.
    scores : float32, shape (M, T, V)
        0 to 1; 0 where missing. 1 for what is there, where the layer has no scores.
    boxes : int64, shape (T, 4)
        The part of the picture that each crop shows, in whole pixels of the video: x0 y0 x1 y1,
        from column x0 to before column x1. It may go beyond the picture.
    skeleton : Skeleton
        The V joints.
    label : int
        Class; -1 where it is not known.
    """

    clip_id: str
    pixels: np.ndarray
    indices: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    skeleton: Skeleton
    label: int


def read_rgb_clip(
    clip: Clip,
    videos: Any,
    frames: Sequence[int] | np.ndarray | None = None,
    *,
    crop: str = "clip",
    size: tuple[int, int] | None = (224, 224),
    margin: float = 0.15,
    around: str = "keypoints",
    num_persons: int = 2,
) -> RgbClip:
    """Read frames of a clip's video, cropped around its people, and its poses in the crops.

    Parameters
    ----------
    clip : Clip
        With poses in the picture.
    videos : str, path or mapping
        A folder to search, see `find_clip_videos`; or clip id to file.
    frames : int, shape (T,), optional
        Which, in any order, and as often as wanted; by default all. ``frames`` of a sample that
        was cut to a few steps fits.
    crop : {"clip", "frame", "none"}
        One square for the whole clip; or one for each frame, which follows the people and has
        their size (body-centred); or the whole picture.
    size : (int, int), optional
        H and W that crops are scaled to; None: not at all, for "clip" and "none".
    margin : float
        Part of the longer side that is added on each side of the people.
    around : {"keypoints", "boxes"}
        What holds the people.
    num_persons : int
        Take at most so many people, those in most frames first.

    Returns
    -------
    RgbClip

    Raises
    ------
    UsageError
        If an option is unknown, the clip has no poses in the picture, or there is no such frame.
    InputError
        If there is no video of the clip, if it has another size or number of frames than the clip,
        or if a frame cannot be decoded.

    Examples
    --------
    >>> videos = find_clip_videos("nturgb+d_rgb", clip_ids)                  # doctest: +SKIP
    >>> read_rgb_clip(clip, videos, range(0, 64, 4)).pixels.shape            # doctest: +SKIP
    (16, 224, 224, 3)
    """
    from posedata.frames_at import read_frames_at

    keypoints = _check(clip, crop, size, margin, around)
    video = open_clip_video(clip, videos)
    indices = np.arange(video.num_frames) if frames is None else np.asarray(frames, np.int64)
    if not len(indices) or indices.min() < 0 or indices.max() >= clip.num_frames:
        raise UsageError(f"frames of clip {clip.clip_id}",
                         found=f"{indices.min()} to {indices.max()}" if len(indices) else "none",
                         expected=f"some of 0 to {clip.num_frames - 1}")  # fmt: skip
    rows = extents(keypoints) if around == "keypoints" or clip.boxes is None else clip.boxes
    people = people_boxes(clip.frames, clip.persons, rows, clip.num_frames, num_persons)
    boxes = crop_squares(people, video.width, video.height, margin, crop)[indices]
    x0, y0, x1, y1 = boxes[0].tolist()
    height, width = size or (y1 - y0, x1 - x0)
    pixels = np.empty((len(indices), height, width, 3), np.uint8)
    picture = np.empty((video.height, video.width, 3), np.uint8)
    for frame in read_frames_at(video, indices):
        frame.copy_rgb(picture)
        for at in np.flatnonzero(indices == frame.index):
            cut_out(picture, boxes[at], pixels[at])
    poses, scores = dense_people(
        clip.frames, clip.persons, keypoints, clip.scores, clip.num_frames, num_persons
    )
    label = clip.info.get("label")
    return RgbClip(
        clip.clip_id, pixels, indices, move_into(poses[:, indices], boxes, (height, width)),
        scores[:, indices], boxes, clip.skeleton, -1 if label is None else int(label),
    )  # fmt: skip


def find_clip_videos(folder: Any, clip_ids: Collection[str]) -> dict[str, str]:
    """Find the video of each clip in a folder and its subfolders, by names.

    Parameters
    ----------
    folder : str or path
        Where videos are, or folders of numbered images.
    clip_ids : collection of str
        Which clips.

    Returns
    -------
    dict of str to str
        Clip id to path; clips without a video are not in it.
    """
    from posedata.find_videos import find_videos

    samples, _ = find_videos([os.fspath(folder)], frozenset(clip_ids))
    return {sample.clip_id: sample.info["place"] for sample in samples}


def open_clip_video(clip: Clip, videos: Any) -> Any:
    """Open the video of a clip, and see that it is that.

    Parameters
    ----------
    clip : Clip
        Any.
    videos : str, path or mapping
        As in `read_rgb_clip`.

    Returns
    -------
    Video

    Raises
    ------
    InputError
        If there is none, or it has another size or number of frames than the clip.
    """
    from posedata.video import probe_video

    if not isinstance(videos, Mapping):
        place, videos = videos, find_clip_videos(videos, {clip.clip_id})
    else:
        place = "the mapping"
    if clip.clip_id not in videos:
        raise InputError(f"no video of clip {clip.clip_id}", path=place,
                         remedy="Videos are named after clips, or given as a mapping of clip ids "
                         "to files.")  # fmt: skip
    video = probe_video(videos[clip.clip_id])
    wanted = clip.num_frames, clip.info.get("width"), clip.info.get("height")
    found = video.num_frames, video.width, video.height
    if any(one is not None and one != other for one, other in zip(wanted, found, strict=True)):
        frames, width, height = wanted
        raise InputError(
            f"the video is not that of clip {clip.clip_id}", path=video.path,
            found=f"{found[0]} frames of {found[1]}x{found[2]}",
            expected=f"{frames} frames" + (f" of {width}x{height}" if width else ""),
        )  # fmt: skip
    return video


def people_boxes(
    frames: np.ndarray, persons: np.ndarray, boxes: np.ndarray, num_frames: int, num_persons: int
) -> np.ndarray:
    """Find the smallest box around the most present people, in each frame.

    Parameters
    ----------
    frames, persons : int32, shape (N,)
        Of each pose.
    boxes : float, shape (N, 4)
        x0 y0 x1 y1 of each, pixels; NaN where nothing is.
    num_frames, num_persons : int
        T, and how many people count: those in most frames first.

    Returns
    -------
    float64, shape (T, 4)
        NaN where nobody is.
    """
    ids, counts = np.unique(persons, return_counts=True)
    chosen = ids[np.argsort(-counts, kind="stable")][:num_persons]
    there = np.isin(persons, chosen) & np.isfinite(boxes).all(1)
    low = np.full((num_frames, 2), np.inf)
    high = np.full((num_frames, 2), -np.inf)
    np.minimum.at(low, frames[there], boxes[there, :2])
    np.maximum.at(high, frames[there], boxes[there, 2:])
    found = np.concatenate([low, high], 1)
    found[~np.isfinite(found).all(1)] = np.nan
    return found


def crop_squares(
    people: np.ndarray, width: int, height: int, margin: float = 0.15, crop: str = "clip"
) -> np.ndarray:
    """Choose the part of the picture that each crop shows.

    Parameters
    ----------
    people : float, shape (T, 4)
        Box around the people of each frame: x0 y0 x1 y1, pixels, pixel centres are whole numbers;
        NaN where nobody is.
    width, height : int
        Of the picture.
    margin : float
        Part of the longer side that is added on each side.
    crop : {"clip", "frame", "none"}
        One square around all boxes, one for each frame, or the whole picture.

    Returns
    -------
    int64, shape (T, 4)
        Whole pixels: from column x0 to before column x1. Squares hold what is of the people in
        the picture, and may go beyond it. A frame without people has the square of the nearest
        one with people, the earlier of two. In a clip without any it is a square around the whole
        picture.
    """
    there = np.flatnonzero(np.isfinite(people).all(1))
    whole = np.array([0, 0, width, height], np.int64)
    if crop == "none":
        return np.tile(whole, (len(people), 1))
    if not len(there):
        people, margin = np.tile(whole - [0, 0, 1, 1], (len(people), 1)), 0
        there = np.arange(len(people))
    known = people[there].clip(0, [width - 1, height - 1] * 2)
    if crop == "clip":
        known = np.concatenate([known[:, :2].min(0), known[:, 2:].max(0)])[None]
        nearest: np.ndarray = np.zeros(len(people), int)
    else:
        steps = np.arange(len(people))
        after = np.searchsorted(there, steps).clip(max=len(there) - 1)
        before = (after - 1).clip(min=0)
        is_before = np.abs(there[before] - steps) <= np.abs(there[after] - steps)
        nearest = np.where(is_before, before, after)
    extent = known[:, 2:] - known[:, :2] + 1  # a pixel reaches half a pixel to either side
    side = np.maximum(np.rint(extent.max(1) * (1 + 2 * margin)), 1)
    middle = (known[:, :2] + known[:, 2:] + 1) / 2  # as edges: pixel 0 is from 0 to 1
    corner = np.rint(middle - side[:, None] / 2)
    squares = np.concatenate([corner, corner + side[:, None]], 1).astype(np.int64)
    return squares[nearest]


def cut_out(picture: np.ndarray, box: np.ndarray, out: np.ndarray) -> None:
    """Cut a part out of a picture and scale it: by areas where it shrinks, else bilinearly.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        Any.
    box : int, shape (4,)
        x0 y0 x1 y1, whole pixels; black where it is beyond the picture.
    out : uint8, shape (h, w, 3)
        Where the crop is written.
    """
    import cv2

    x0, y0, x1, y1 = (int(value) for value in box)
    height, width = picture.shape[:2]
    part = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        padded = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        top, left = min(max(-y0, 0), y1 - y0), min(max(-x0, 0), x1 - x0)
        padded[top : top + part.shape[0], left : left + part.shape[1]] = part
        part = padded
    size = out.shape[1], out.shape[0]
    shrinks = size[0] < x1 - x0 or size[1] < y1 - y0
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out[:] = part if part.shape == out.shape else cv2.resize(part, size, interpolation=how)


def move_into(keypoints: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Move poses into crops: x' = (x + 1/2 - x0) w / (x1 - x0) - 1/2, and y likewise.

    Parameters
    ----------
    keypoints : float32, shape (M, T, V, 2)
        Pixels of the video.
    boxes : int, shape (T, 4)
        The crop of each frame: x0 y0 x1 y1, whole pixels.
    size : (int, int)
        H and W of the crops.

    Returns
    -------
    float32, shape (M, T, V, 2)
        Pixels of the crops.
    """
    scale = np.array(size[::-1]) / (boxes[:, 2:] - boxes[:, :2])
    moved = (keypoints + 0.5 - boxes[:, None, :2]) * scale[:, None] - 0.5
    return moved.astype(np.float32)


def _check(
    clip: Clip, crop: str, size: tuple[int, int] | None, margin: float, around: str
) -> np.ndarray:
    """Refuse what cannot be meant; give the keypoints."""
    if crop not in _CROPS:
        raise UsageError("crop", found=repr(crop), expected=", ".join(_CROPS))
    if around not in ("keypoints", "boxes"):
        raise UsageError("around", found=repr(around), expected="keypoints or boxes")
    if size is None and crop == "frame":
        raise UsageError("crops that follow people have many sizes", found="no size",
                         expected="size=(H, W)")  # fmt: skip
    if size is not None and min(size) < 1:
        raise UsageError("size of the crops", found=size, expected="(H, W), 1 or more")
    if not (np.isfinite(margin) and margin >= 0):
        raise UsageError("margin", found=margin, expected="0 or more")
    if clip.keypoints_2d is None:
        raise UsageError(f"clip {clip.clip_id} has no poses in the picture (keypoints_2d)",
                         expected=", ".join(clip.arrays) or None)  # fmt: skip
    if around == "boxes" and clip.boxes is None:
        raise UsageError(f"clip {clip.clip_id} has no boxes", expected="around='keypoints'")
    return clip.keypoints_2d
