"""Heatmaps of joints and limbs drawn over a video, coloured by the part of the body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from posedata.clip import Clip
from posedata.draw import line_width
from posedata.draw_video import (
    RowsByFrame,
    check_layer,
    frame_pictures,
    scale_points,
    scaled_size,
)
from posedata.errors import UsageError
from posedata.heatmaps import check_sigma, heatmaps
from posedata.skeleton import Skeleton
from posedata.subject_crop import subject_crop_box
from posedata.video import Damage, Video

#: Parts of the body and their colours: the person's left is blue, the right red, arms are lighter.
COLORS = {
    "head, trunk": (120, 235, 90),
    "left arm": (70, 200, 255),
    "left leg": (90, 90, 255),
    "right arm": (255, 190, 60),
    "right leg": (255, 70, 70),
}
_PARTS = tuple(COLORS)

#: How much of the picture's light stays, so that the maps stand out.
DIMMED = 0.6
#: Opacity of a map's highest value.
OPACITY = 0.9
#: PoseConv3D's: pixels of a map, and sigma in them.
_GRID, _SIGMA = 56, 0.6

_BACKGROUND, _TEXT = (24, 24, 24), (225, 225, 225)


def parts_of_joints(skeleton: Skeleton) -> np.ndarray:
    """Say in which part of the body each joint is.

    Parameters
    ----------
    skeleton : Skeleton
        Where a name is not in ``schemas/body_parts.json``, only left, right and the middle are
        told apart, by the swap pairs.

    Returns
    -------
    int64, shape (V,)
        Number of the part in `COLORS`. Left is the person's own.
    """
    from posedata.transforms.body_parts import joints_of_part

    left, right = (joints_of_part(skeleton, side) for side in ("left", "right"))
    try:
        lower, centre = (joints_of_part(skeleton, part) for part in ("lower", "centre"))
    except UsageError:
        lower, centre = np.zeros(len(left), bool), ~(left | right)
    names = np.where(left, np.where(lower, "left leg", "left arm"),
                     np.where(lower, "right leg", "right arm"))  # fmt: skip
    names = np.where(centre | ~(left | right), "head, trunk", names)
    return np.array([_PARTS.index(name) for name in names.tolist()], np.int64)


def draw_heatmaps(
    picture: np.ndarray, keypoints_2d: np.ndarray, skeleton: Skeleton, sigma: float, *,
    scores: np.ndarray | None = None, kind: str = "joint",
) -> np.ndarray:  # fmt: skip
    """Draw the maps of the people of one frame over its picture.

    Parameters
    ----------
    picture : uint8, shape (H, W, 3)
        RGB; stays as it is.
    keypoints_2d : float, shape (M, V, 2)
        Pixels of the picture, (0, 0) the centre of the top-left one; NaN where missing.
    skeleton : Skeleton
        The V joints and their bones. A bone between two parts of the body has the trunk's colour.
    sigma : float
        Of the Gaussians, in pixels of the picture.
    scores : float, shape (M, V), optional
        Height of each Gaussian; 1 by default.
    kind : {"joint", "limb", "both"}
        What to draw.

    Returns
    -------
    uint8, shape (H, W, 3)
        A new picture, darker where nothing is. The opacity of a part is the greatest value of its
        maps as `posedata.heatmaps.heatmaps` draws them; where parts overlap, their colours mix.

    Raises
    ------
    UsageError
        If sigma or the kind is none.
    """
    sigma = check_sigma(sigma)
    check_kind(kind)
    poses = np.asarray(keypoints_2d, np.float32)
    drawn = (picture * np.float32(DIMMED)).round().astype(np.uint8)
    there = poses[np.isfinite(poses).all(-1)]
    height, width = picture.shape[:2]
    if not len(there):
        return drawn
    reach = 3 * sigma + 2
    x0, y0 = np.clip(there.min(0) - reach, 0, (width, height)).astype(int).tolist()
    x1, y1 = np.clip(there.max(0) + reach, 0, (width, height)).astype(int).tolist()
    if x0 >= x1 or y0 >= y1:
        return drawn
    heights = np.ones(poses.shape[:2]) if scores is None else np.asarray(scores)
    maps = _maps_of_parts(poses - np.array([x0, y0], np.float32), heights, skeleton,
                          (y1 - y0, x1 - x0), sigma, kind)  # fmt: skip
    strongest = maps.max(0)
    rows, columns = np.nonzero(strongest > 1 / 512)
    weights = maps[:, rows, columns]
    colors = weights.T @ np.array(list(COLORS.values()), np.float32) / weights.sum(0)[:, None]
    opacity = OPACITY * np.minimum(strongest[rows, columns], 1)[:, None]
    region = drawn[y0:y1, x0:x1]
    region[rows, columns] = (region[rows, columns] * (1 - opacity) + colors * opacity).round()
    return drawn


def _maps_of_parts(
    poses: np.ndarray, scores: np.ndarray, skeleton: Skeleton, size: tuple[int, int],
    sigma: float, kind: str,
) -> np.ndarray:  # fmt: skip
    """Draw one map for each part of the body: float32, shape (parts, H, W).

    All joints of a part share a map, as people share a channel.
    """
    of_joints = parts_of_joints(skeleton)
    maps = np.zeros((len(_PARTS), *size), np.float32)
    bones = np.array(skeleton.bones, np.int64).reshape(-1, 2)
    ends = of_joints[bones]
    of_bones = np.where(ends[:, 0] == ends[:, 1], ends[:, 0], _PARTS.index("head, trunk"))
    for part, into in enumerate(maps):
        joints, limbs = np.flatnonzero(of_joints == part), bones[of_bones == part]
        if kind != "limb" and len(joints):
            into[:] = heatmaps(
                poses[:, joints].reshape(-1, 1, 1, 2), scores[:, joints].reshape(-1, 1, 1),
                size=size, sigma=sigma,
            )[0, 0]  # fmt: skip
        if kind != "joint" and len(limbs):
            of_limbs = heatmaps(
                poses[:, limbs].reshape(-1, 1, 2, 2), scores[:, limbs].reshape(-1, 1, 2),
                size=size, sigma=sigma, joints=False, limbs=[(0, 1)],
            )  # fmt: skip
            np.maximum(into, of_limbs[0, 0], out=into)
    return maps


def sigma_of_volumes(clip: Clip, width: int, height: int) -> float:
    """Give the sigma, in pixels of the video, that PoseConv3D's maps of a clip have.

    Parameters
    ----------
    clip : Clip
        With 2D poses.
    width, height : int
        Of the video.

    Returns
    -------
    float
        0.6 of the pixels of a 56 x 56 map of the square around all poses.
    """
    x0, y0, x1, y1 = subject_crop_box(np.asarray(clip.keypoints_2d), width, height, ratio=1.0)
    return _SIGMA * (x1 - x0 + y1 - y0) / 2 / _GRID


def draw_heatmap_frames(
    video: Video, clip: Clip, frames: range, damages: list[Damage], *, kind: str = "joint",
    sigma: float | None = None, scale: float = 1.0,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Draw the maps of a layer on consecutive frames of a video.

    Parameters
    ----------
    video, frames, damages, scale
        As in `posedata.draw_video.draw_frames`.
    clip : Clip
        A layer of the clip that the video shows, with ``keypoints_2d``.
    kind : {"joint", "limb", "both"}
        What to draw.
    sigma : float, optional
        In pixels of the video; by default that of `sigma_of_volumes`.

    Yields
    ------
    uint8, shape (H, W, 3)
        RGB, one for each frame.

    Raises
    ------
    UsageError, InputError
        As `posedata.draw_video.draw_frames`; or if sigma or the kind is none.
    """
    check_kind(kind)
    if not frames or frames.start < 0 or frames.stop > video.num_frames:
        raise UsageError(
            "frames that the video does not have", path=video.path,
            found=f"{frames.start}:{frames.stop}", expected=f"within 0:{video.num_frames}",
        )  # fmt: skip
    size = scaled_size(video, scale)
    rows = RowsByFrame(check_layer(clip, video))
    in_video = sigma_of_volumes(clip, video.width, video.height) if sigma is None else sigma
    in_picture = check_sigma(in_video) * scale
    factors = np.array([size[0] / video.width, size[1] / video.height])
    parts = sorted(set(parts_of_joints(clip.skeleton).tolist()))
    for index, picture in frame_pictures(video, frames, size, damages):
        now = rows.of(index)
        assert clip.keypoints_2d is not None
        drawn = draw_heatmaps(
            picture, scale_points(clip.keypoints_2d[now], factors), clip.skeleton, in_picture,
            scores=None if clip.scores is None else clip.scores[now], kind=kind,
        )  # fmt: skip
        yield _with_legend(drawn, [_PARTS[part] for part in parts])


def check_kind(kind: str) -> None:
    """Raise `UsageError` unless this kind of maps is known."""
    if kind not in ("joint", "limb", "both"):
        raise UsageError("--kind", found=repr(kind), expected="joint, limb, both")


def _with_legend(picture: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """Say in the top-left corner which colour is which part of the body; changes the picture."""
    import cv2

    font, line = cv2.FONT_HERSHEY_SIMPLEX, line_width(*picture.shape[:2])
    text_scale, text_line = 0.22 + 0.13 * line, max(1, line // 2)
    row = round(14 * (0.5 + 0.45 * line))
    margin = row // 2
    wide = max(cv2.getTextSize(part, font, text_scale, text_line)[0][0] for part in parts)
    panel = np.full((row * len(parts) + margin, wide + row + 2 * margin, 3), _BACKGROUND, np.uint8)
    for number, part in enumerate(parts):
        y = round(margin / 2 + row * (number + 0.5))
        cv2.circle(panel, (margin + row // 4, y), max(1, round(0.28 * row)), COLORS[part], -1,
                   cv2.LINE_AA)  # fmt: skip
        cv2.putText(panel, part, (margin + row, round(y + 0.3 * row)), font, text_scale, _TEXT,
                    text_line, cv2.LINE_AA)  # fmt: skip
    place = picture[margin:, margin:][: panel.shape[0], : panel.shape[1]]
    if place.size:
        shown = panel[: place.shape[0], : place.shape[1]]
        place[:] = cv2.addWeighted(shown, 0.8, place, 0.2, 0)
    return picture
