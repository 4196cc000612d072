"""Decode heatmaps: one map a joint, highest where the joint is."""

from __future__ import annotations

import numpy as np

_LOWEST, _HIGHEST = 1e-3, 50.0
_LONGEST_STEP = 2.0


def decode_heatmaps(
    heatmaps: np.ndarray, size: tuple[int, int], refine: str, grid: str, blur: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the peak of each map.

    Parameters
    ----------
    heatmaps : float, shape (N, K, H, W)
        One map a joint.
    size : (int, int)
        Width and height of the crop that they are of.
    refine : str
        ``"none"``: the highest cell. ``"quarter"``: from there a quarter of a cell towards the
        higher neighbour (Simple Baselines, Xiao et al. 2018). ``"dark"``: to the top of the
        Gaussian around it (`refine_by_dark`).
    grid : str
        ``"stride"``: cell ``i`` is pixel ``i * width / W`` of the crop, as most models are
        trained. ``"corners"``: the outer cells are the outer pixels, cell ``i`` is pixel
        ``i * (width - 1) / (W - 1)`` (UDP, Huang et al. 2020), as for ViTPose.
    blur : int
        Cells in a row of the Gaussian that smooths the maps for ``"dark"``, odd.

    Returns
    -------
    points : float64, shape (N, K, 2)
        Pixels of the crop, (0, 0) the centre of its top-left one.
    scores : float64, shape (N, K)
        The height of the peak.
    """
    rows, columns = heatmaps.shape[2:]
    maps = np.nan_to_num(heatmaps.astype(np.float32), nan=0.0)
    peaks = maps.reshape(*maps.shape[:2], -1).argmax(-1)
    y, x = np.divmod(peaks, columns)
    scores = np.take_along_axis(maps.reshape(*maps.shape[:2], -1), peaks[..., None], -1)[..., 0]
    cells = np.stack([x, y], -1).astype(np.float64)
    if refine == "quarter":
        cells += 0.25 * np.sign(_slope(maps, x, y))
    elif refine == "dark":
        cells = refine_by_dark(cells, maps, blur)
    width, height = size
    if grid == "corners":
        scale = [(width - 1) / max(columns - 1, 1), (height - 1) / max(rows - 1, 1)]
    else:
        scale = [width / columns, height / rows]
    return cells * scale, scores.astype(np.float64)


def refine_by_dark(cells: np.ndarray, maps: np.ndarray, blur: int) -> np.ndarray:
    """Move from the highest cells to the tops of the Gaussians around them.

    The logarithm of a Gaussian is a paraboloid, so one Newton step from anywhere near the top,
    minus the inverse Hessian times the gradient, ends on it (DARK, Zhang et al. 2020, with the
    differences between direct neighbours of UDP, Huang et al. 2020).

    Parameters
    ----------
    cells : float64, shape (N, K, 2)
        Column and row of the highest cells.
    maps : float32, shape (N, K, H, W)
        The maps; left as they are.
    blur : int
        Cells in a row of the Gaussian that smooths them first, odd.

    Returns
    -------
    float64, shape (N, K, 2)
        The highest cell itself where there is no top within two cells.
    """
    logs = np.log(np.clip(_smooth(maps, blur), _LOWEST, _HIGHEST)).astype(np.float64)
    padded = np.pad(logs, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    at = cells.astype(np.intp)
    people, joints = np.ogrid[: cells.shape[0], : cells.shape[1]]

    def value(dx: int, dy: int) -> np.ndarray:
        return padded[people, joints, at[..., 1] + 1 + dy, at[..., 0] + 1 + dx]

    middle, right, left, below, above = (
        value(0, 0), value(1, 0), value(-1, 0), value(0, 1), value(0, -1)
    )  # fmt: skip
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    dxy = (value(1, 1) - right - below + 2 * middle - left - above + value(-1, -1)) / 2
    determinant = dxx * dyy - dxy * dxy
    with np.errstate(divide="ignore", invalid="ignore"):
        step = -np.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], -1) / determinant[..., None]
    is_top = (determinant > 0) & (dxx < 0) & (np.abs(step) <= _LONGEST_STEP).all(-1)
    return cells + np.where(is_top[..., None], step, 0)


def _smooth(maps: np.ndarray, blur: int) -> np.ndarray:
    """Blur each map, zeros around it, and keep its maximum."""
    import cv2

    smooth = np.empty_like(maps)
    for index in np.ndindex(maps.shape[:2]):
        cv2.GaussianBlur(maps[index], (blur, blur), 0, dst=smooth[index],
                         borderType=cv2.BORDER_CONSTANT)  # fmt: skip
    before, after = maps.max((2, 3), keepdims=True), smooth.max((2, 3), keepdims=True)
    return smooth * np.divide(before, after, out=np.ones_like(after), where=after > 0)


def _slope(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Right minus left and below minus above of cells, 0 at the rim, shape (N, K, 2)."""
    rows, columns = maps.shape[2:]
    people, joints = np.ogrid[: maps.shape[0], : maps.shape[1]]
    right, left = np.minimum(x + 1, columns - 1), np.maximum(x - 1, 0)
    below, above = np.minimum(y + 1, rows - 1), np.maximum(y - 1, 0)
    dx = maps[people, joints, y, right] - maps[people, joints, y, left]
    dy = maps[people, joints, below, x] - maps[people, joints, above, x]
    return np.stack([np.where(right - left == 2, dx, 0), np.where(below - above == 2, dy, 0)], -1)
