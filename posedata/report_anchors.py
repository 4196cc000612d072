"""Anchor poses, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from posedata.anchor_files import anchors_path, read_anchors
from posedata.figure_file import GREY
from posedata.release import Release
from posedata.release_files import reading
from posedata.report_charts import chart, layer_colour
from posedata.report_html import Html, count, paragraph, section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: More of one layer than this are not drawn.
MOST_DRAWN = 60
_ACROSS = 10


def anchors_of(release: Release, layers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the anchors of the layers that have them.

    Returns
    -------
    dict
        For each such layer ``counts`` (poses of each anchor) and ``keypoints``, (K, V, 2) lists.
    """
    found = {}
    for layer in layers:
        path = anchors_path(layer)
        if path in release.manifest.files:
            keypoints = read_anchors(release, layer)
            with reading(release.place / path), (release.place / path).open() as file:
                table = pq.ParquetFile(file).read()
            counts = table["count"].to_pylist() if "count" in table.column_names else []
            points = np.where(np.isfinite(keypoints), keypoints, 0).round(4)
            found[layer] = {"counts": counts, "keypoints": points.tolist()}
    return found


def anchors_section(
    release: Release, anchors: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]
) -> Html | None:
    """Draw the anchors of each layer; None where there are none."""
    if not anchors:
        return None
    parts: list[Any] = []
    for layer, one in anchors.items():
        number = len(one["keypoints"])
        more = f", the first {MOST_DRAWN} of them drawn" if number > MOST_DRAWN else ""
        parts.append(paragraph(f"{layer}: {count(number)} anchor poses{more}. Below each is how "
                               "many poses it stands for.", class_="lead"))  # fmt: skip
        if number:
            parts.append(_chart(release, layer, one, layer_colour(numbers[layer])))
    return section("anchors", "Anchors", *parts)


def _chart(release: Release, layer: str, one: Mapping[str, Any], colour: str) -> Html:
    keypoints = np.array(one["keypoints"], np.float64)[:MOST_DRAWN]
    bones = release.skeleton(layer).bones
    across = min(_ACROSS, max(1, len(keypoints)))
    down = -(-len(keypoints) // across)
    low, high = keypoints.min(1, keepdims=True), keypoints.max(1, keepdims=True)
    size = max(float((high - low).max()), 1e-6)
    poses = (keypoints - (low + high) / 2) / size
    apart = float(np.ptp(poses[..., 0], axis=1).max()) + 0.15

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for at, pose in enumerate(poses):
            x, y = at % across * apart, at // across * 1.3
            for start, end in bones:
                axes.plot(pose[[start, end], 0] + x, pose[[start, end], 1] + y, "-", lw=1.6,
                          color=colour, solid_capstyle="round")  # fmt: skip
            axes.plot(pose[:, 0] + x, pose[:, 1] + y, ".", ms=3.5, color=colour)
            if at < len(one["counts"]):
                axes.text(x, y + 0.62, count(one["counts"][at]), ha="center", va="top",
                          fontsize=7.5, color=GREY)  # fmt: skip
        axes.set_aspect("equal")
        axes.set_ylim(1.3 * down - 0.5, -0.6)
        axes.set_axis_off()

    return chart(
        draw, (min(10.0, 1.15 * apart * across), 1.1 * 1.3 * down), f"Anchor poses of {layer}"
    )
