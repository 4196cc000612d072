"""Heatmap volumes of a batch, on any device: `posedata.heatmaps` for tensors.

On the CPU the compiled loops of `posedata.heatmaps` do the work. Elsewhere all is elementwise over
whole blocks of maps, without a look at the values, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from posedata.errors import UsageError
from posedata.heatmaps import (
    LEAST_SCORE,
    People,
    check_limbs,
    check_shapes,
    check_sigma,
    check_size,
)
from posedata.heatmaps import heatmaps as on_cpu

#: Bytes of a pixel of a block while it is drawn: ten temporary maps of float32.
_BYTES = 40

_DTYPES = (torch.float32, torch.float16, torch.uint8)


@torch.no_grad()
def heatmaps(
    keypoints: torch.Tensor,
    scores: torch.Tensor | None = None,
    *,
    size: tuple[int, int] = (56, 56),
    sigma: float = 0.6,
    joints: bool = True,
    limbs: Sequence[tuple[int, int]] | None = None,
    people: People = "max",
    least_score: float = LEAST_SCORE,
    dtype: torch.dtype = torch.float32,
    memory: int = 2**28,
) -> torch.Tensor:
    """Draw the joints, the limbs, or both, of a batch of clips.

    Parameters
    ----------
    keypoints : float, shape (N, M, T, V, 2)
        x and y in pixels of the target: as in `posedata.heatmaps.heatmaps`.
    scores : float, shape (N, M, T, V), optional
        On the same device. 1 by default.
    size, sigma, joints, limbs, people, least_score
        As in `posedata.heatmaps.heatmaps`.
    dtype : {torch.float32, torch.float16, torch.uint8}
        Of the result.
    memory : int
        Bytes that the maps in work may take on top of the result, elsewhere than on the CPU; at
        least one channel of one clip is drawn at a time.

    Returns
    -------
    ``dtype``, shape (N, K, T, H, W)
        On the keypoints' device, without gradients. On the CPU the numbers of
        `posedata.heatmaps.heatmaps`; elsewhere the same as far as `draw_on_device` says.

    Raises
    ------
    UsageError
        If an option or a shape cannot mean anything.
    """
    height, width = check_size(size)
    sigma = check_sigma(sigma)
    if dtype not in _DTYPES:
        raise UsageError("heatmaps of no such type", found=dtype,
                         expected=", ".join(map(str, _DTYPES)))  # fmt: skip
    if people not in ("max", "sum"):
        raise UsageError("no such way to put people together", found=repr(people),
                         expected="max or sum")  # fmt: skip
    check_shapes(tuple(keypoints.shape), None if scores is None else tuple(scores.shape),
                 "N, M, T, V, 2")  # fmt: skip
    clips, _, steps, num_joints, _ = keypoints.shape
    pairs = check_limbs(limbs, num_joints, joints)
    if scores is None:
        scores = torch.ones_like(keypoints[..., 0])
    if keypoints.device.type != "cpu":
        options = (size, sigma, joints, pairs.tolist(), people, least_score, dtype, memory)
        return draw_on_device(keypoints, scores, *options)
    num_channels = num_joints * bool(joints) + len(pairs)
    volume = torch.empty((clips, num_channels, steps, height, width), dtype=dtype)
    keypoints, scores = (values.detach().to(torch.float32) for values in (keypoints, scores))
    for poses, their_scores, of_clip in zip(keypoints, scores, volume, strict=True):
        on_cpu(
            poses.numpy(), their_scores.numpy(), size=size, sigma=sigma, joints=joints, limbs=pairs,
            people=people, least_score=least_score, dtype=of_clip.numpy().dtype,
            out=of_clip.numpy(),
        )  # fmt: skip
    return volume


@torch.no_grad()
def draw_on_device(
    keypoints: torch.Tensor,
    scores: torch.Tensor,
    size: tuple[int, int],
    sigma: float,
    joints: bool,
    limbs: Sequence[tuple[int, int]],
    people: People,
    least_score: float,
    dtype: torch.dtype,
    memory: int,
) -> torch.Tensor:
    """Draw a batch with tensors alone, on their device: what `heatmaps` does off the CPU.

    Parameters and result are those of `heatmaps`, all of them given and checked.

    Joints are those of `posedata.heatmaps.heatmaps` to 2e-7, limbs to 1e-6; where a limb crosses
    most of a map of 56 pixels, two pixels in a million are up to 5e-6 off: the C library that the
    reference uses rounds some squares otherwise than a product. A uint8 may be one off.
    """
    clips, persons, steps, num_joints, _ = keypoints.shape
    (height, width), device = size, keypoints.device
    # (N, M, V, T): a channel's frames lie together
    x, y, c = (
        values.to(torch.float32).transpose(2, 3)
        for values in (keypoints[..., 0], keypoints[..., 1], scores)
    )
    channels = [(joint, joint) for joint in range(num_joints)] * bool(joints)
    ends = torch.tensor([*channels, *limbs], dtype=torch.int64, device=device)
    volume = torch.empty((clips, len(ends), steps, height, width), dtype=dtype, device=device)
    grid = (
        torch.arange(width, dtype=torch.float32, device=device),
        torch.arange(height, dtype=torch.float32, device=device)[:, None],
    )
    at_once = max(1, memory // (_BYTES * max(1, steps) * height * width))  # channels of a clip
    num_clips = max(1, at_once // max(1, len(ends)))
    kinds: list[tuple[int, int, Callable[..., torch.Tensor]]] = [
        (0, len(channels), _joints),
        (len(channels), len(ends), _limbs),
    ]
    for rows in _blocks(0, clips, num_clips):
        for start, stop, draw in kinds:
            for columns in _blocks(start, stop, at_once):
                a, b = ends[columns].unbind(1)
                drawn = torch.zeros(volume[rows, columns].shape, device=device)
                for m in range(persons):
                    of_person = [values[rows, m] for values in (x, y, c)]
                    first = [values[:, a] for values in of_person]
                    second = [values[:, b] for values in of_person]
                    image = draw(*first, *second, grid, sigma, least_score)
                    if people == "max":
                        torch.maximum(drawn, image, out=drawn)
                    else:
                        drawn += image
                if dtype == torch.uint8:
                    drawn = drawn.mul_(255).round_().clamp_(max=255)
                volume[rows, columns] = drawn.to(dtype)
    return volume


def _blocks(start: int, stop: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _joints(x, y, c, _x, _y, _c, grid, sigma, least):
    """Draw joints: (B, K, T) each of x, y and score to (B, K, T, H, W). See `joint_map`."""
    columns, rows = grid
    is_there = torch.isfinite(x) & torch.isfinite(y) & (c >= least) & torch.isfinite(c)
    x, y = x[..., None], y[..., None]
    row = torch.exp(-((columns - x) ** 2) / (2 * sigma**2)) * c[..., None]
    row = torch.where(_span(columns, x, x, sigma) & is_there[..., None], row, 0)
    rows = rows[:, 0]
    column = torch.exp(-((rows - y) ** 2) / (2 * sigma**2))
    column = torch.where(_span(rows, y, y, sigma), column, 0)
    return column[..., :, None] * row[..., None, :]


def _limbs(ax, ay, ca, bx, by, cb, grid, sigma, least):
    """Draw limbs: (B, L, T) each of x, y and score of both ends. See `limb_map`."""
    columns, rows = grid
    c = torch.where(cb < ca, cb, ca)
    is_there = torch.isfinite(ax + ay) & torch.isfinite(bx + by) & (c >= least) & torch.isfinite(c)
    length = (ax - bx) * (ax - bx) + (ay - by) * (ay - by)
    is_short = length < 1
    c = torch.where(is_short, ca, c)
    is_there &= torch.isfinite(c)
    ax, ay, bx, by, c, length, is_short, is_there = (
        values[..., None, None] for values in (ax, ay, bx, by, c, length, is_short, is_there)
    )
    # a limb shorter than a pixel is its start
    x0, x1 = (torch.where(is_short, ax, f(ax, bx)) for f in (torch.minimum, torch.maximum))
    y0, y1 = (torch.where(is_short, ay, f(ay, by)) for f in (torch.minimum, torch.maximum))
    to_start = (columns - ax) * (columns - ax) + (rows - ay) * (rows - ay)
    to_end = (columns - bx) * (columns - bx) + (rows - by) * (rows - by)
    # each operation rounds to float32 by itself, as in the reference
    t = (to_start - to_end).add_(length).mul_(0.5).div_(length)
    dx = columns - (ax + t * (bx - ax))
    dy = rows - (ay + t * (by - ay))
    squares = dx.mul_(dx).add_(dy.mul_(dy))
    squares = torch.where(t >= 1, to_end, squares)
    squares = torch.where((t <= 0) | is_short, to_start, squares)
    image = squares.div_(-2 * sigma**2).exp_().mul_(c)
    patch = _span(columns, x0, x1, sigma) & is_there & ~torch.isnan(c)
    image = torch.where(patch & _span(rows, y0, y1, sigma), image, 0)
    return torch.where(torch.isnan(image), 0, image)


def _span(pixels, low, high, sigma):
    """Tell which pixels are in a patch, by its rule for the ends."""
    reach = 3 * sigma
    return (pixels >= torch.trunc(low - reach)) & (pixels <= torch.trunc(high + reach))
