"""An evaluation as a picture: a dot and its interval for each number, an axis for each metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from posedata.evaluate import Evaluation
from posedata.evaluation_score import Score
from posedata.figure_file import COLOURS, GREY, MARKERS
from posedata.metric_names import COCO_KINDS, CORRECT_KINDS, parse_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More rows than this nobody reads: the first ones are drawn, and the title says so.
MOST_GROUPS = 100

_ACROSS = 3  # panels side by side
_PANEL_WIDTH, _NAMES_WIDTH, _ROW, _AROUND = 2.9, 1.4, 0.24, 1.0  # inches


def figure_size(result: Evaluation) -> tuple[float, float]:
    """Width and height, inches, that leave each row legible."""
    metrics, layers, groups = _names_in(result)
    across = _panels_across(len(metrics))
    rows: float = max(3, len(layers))
    if groups != [""]:
        rows = min(len(groups), MOST_GROUPS) * max(1.0, 0.5 * len(layers))
    high = -(-len(metrics) // across) * (rows * _ROW + _AROUND)
    return _NAMES_WIDTH + across * _PANEL_WIDTH, high + 0.6


def draw_evaluation(result: Evaluation, by: str | None, figure: Figure) -> None:
    """Draw the scores, a panel for each metric.

    Without groups each layer is a row; with them each group is one, and layers have a colour and
    a marker. Bars are 95 % intervals, where there are any.

    Parameters
    ----------
    result : Evaluation
        From `posedata.evaluate.evaluate`.
    by : str, optional
        What its groups are: joint, clip, label or camera.
    figure : matplotlib.figure.Figure
        Empty, of `figure_size`; see `posedata.figure_file.figure_bytes`.
    """
    metrics, layers, groups = _names_in(result)
    drawn = groups[:MOST_GROUPS]
    title = f"{', '.join(layers)} against {result.truth}"
    if len(layers) > 4:
        title = f"{len(layers)} layers against {result.truth}"
    if len(drawn) < len(groups):
        title += f"; the first {len(drawn)} of {len(groups)} rows"
    figure.suptitle(title)
    across = _panels_across(len(metrics))
    down = -(-len(metrics) // across)
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        scores = {(s.layer, s.group): s for s in result.scores if s.metric == metric}
        if groups == [""]:
            _draw_layers(panel, scores, layers)
        else:
            _draw_groups(panel, scores, layers, drawn, by or "")
        unit = next(iter(scores.values())).unit
        panel.set_xlabel(f"{metric} ({unit})" if unit else metric)
        panel.set_title(_better(metric), fontsize=8, color=GREY)
        panel.grid(False, axis="y")
    for panel in panels[len(metrics) :]:
        panel.remove()
    if groups != [""]:
        lines, names = panels[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=min(4, len(names)),
                      frameon=False)  # fmt: skip


def _panels_across(count: int) -> int:
    """Three in a row; two where that fills the rows and three do not: four are 2 x 2."""
    return 2 if count == 4 else min(_ACROSS, count)


def _names_in(result: Evaluation) -> tuple[list[str], list[str], list[str]]:
    """Metrics, layers and groups in the order of the table."""
    return (
        list(dict.fromkeys(score.metric for score in result.scores)),
        list(dict.fromkeys(score.layer for score in result.scores)),
        list(dict.fromkeys(score.group for score in result.scores)),
    )


def _draw_layers(axes: Axes, scores: dict[tuple[str, str], Score], layers: list[str]) -> None:
    for row, layer in enumerate(layers):
        _draw_score(axes, row, scores.get((layer, "")), COLOURS[0], MARKERS[0], None)
    _name_rows(axes, layers)


def _draw_groups(
    axes: Axes, scores: dict[tuple[str, str], Score], layers: list[str], groups: list[str], by: str
) -> None:
    offsets = (np.arange(len(layers)) - (len(layers) - 1) / 2) * 0.7 / len(layers)
    for number, layer in enumerate(layers):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for row, group in enumerate(groups):
            label = layer if row == 0 else None
            place = row + float(offsets[number])
            _draw_score(axes, place, scores.get((layer, group)), colour, marker, label)
    for row in range(1, len(groups)):
        axes.axhline(row - 0.5, color="#e5e5e5", lw=0.6)
    _name_rows(axes, [group or f"every {by}" for group in groups])


def _draw_score(
    axes: Axes, place: float, score: Score | None, colour: str, marker: str, label: str | None
) -> None:
    value = math.nan if score is None else score.value
    axes.plot([value], [place], marker, ls="none", ms=5, color=colour, label=label)
    if math.isnan(value):
        axes.text(0.02, place, "none", fontsize=7, color=colour, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    elif score is not None and not math.isnan(score.low):
        axes.plot([score.low, score.high], [place, place], "-", lw=1.5, color=colour)


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.margins(x=0.12)


def _better(metric: str) -> str:
    kind = parse_metric(metric).kind
    if kind in ("jitter", "jitter3d"):
        return "lower is smoother"
    return "higher is better" if kind in (*CORRECT_KINDS, *COCO_KINDS) else "lower is better"
