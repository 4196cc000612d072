"""A calibration as a picture: C against the error, and what each gamma keeps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from posedata.calibrate import Calibration
from posedata.figure_file import COLOURS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width and height, inches.
SIZE = (9.0, 7.0)

_BLUE, _ORANGE = COLOURS[:2]
_ERROR = "error (head-neck distances)"
_MOST_DOTS = 3000  # more are drawn as a density


def draw_calibration(result: Calibration, figure: Figure) -> None:
    """Draw the four sides of a calibration.

    Parameters
    ----------
    result : Calibration
        From `posedata.calibrate.calibrate`.
    figure : matplotlib.figure.Figure
        Empty; see `posedata.figure_file.figure_bytes`.
    """
    measure = "C" if result.measure == "confidence" else "mean score"
    figure.suptitle(f"{result.layer} against {result.truth}: {measure} of "
                    f"{result.counts.compared:,} poses")  # fmt: skip
    axes = figure.subplots(2, 2)
    _draw_poses(axes[0, 0], result, measure)
    _draw_intervals(axes[0, 1], result)
    _draw_share(axes[1, 0], result)
    _draw_errors(axes[1, 1], result)


def _draw_poses(axes: Axes, result: Calibration, measure: str) -> None:
    known = ~np.isnan(result.confidence)
    c, errors = result.confidence[known], result.errors[known]
    if len(c) > _MOST_DOTS:
        axes.hexbin(c, errors, gridsize=50, bins="log", cmap="Blues", mincnt=1, linewidths=0.2)
    else:
        axes.plot(c, errors, "o", ms=3, alpha=0.5, mew=0, color=_BLUE)
    axes.axvline(result.gamma, color=GREY, ls="--", lw=1, label=f"gamma {result.gamma:g}")
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel=measure, ylabel=_ERROR)
    rank = "not defined" if np.isnan(result.spearman) else f"{result.spearman:.2f}"
    axes.set_title(f"each pose; rank correlation {rank}")
    axes.legend(frameon=False)


def _draw_intervals(axes: Axes, result: Calibration) -> None:
    intervals = result.intervals
    places, kept = np.arange(len(intervals.poses)), intervals.kept[0]
    axes.bar(places, np.nan_to_num(kept), width=0.8, color=_BLUE)
    for place, share, count in zip(places, np.nan_to_num(kept), intervals.poses, strict=True):
        axes.annotate(f"{count:,}", (place, share), (0, 2), textcoords="offset points",
                      ha="center", va="bottom", fontsize=8, color=GREY)  # fmt: skip
    ends = [f"{end:g}" for end in intervals.edges]
    labels = [f"{low}–{high}" for low, high in pairwise(ends)]
    if np.isinf(intervals.edges[-1]):
        labels[-1] = f"≥ {ends[-2]}"
    axes.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(ylim=(0, 1.1), xlabel=_ERROR, ylabel="share of poses kept")
    axes.set_title(f"kept at gamma {result.gamma:g}, and how many poses there are")
    axes.grid(False, axis="x")


def _draw_share(axes: Axes, result: Calibration) -> None:
    axes.plot(result.sweep.gammas, result.sweep.kept, "o-", ms=3, color=_BLUE)
    axes.axvline(result.gamma, color=GREY, ls="--", lw=1)
    axes.set(ylim=(0, 1.05), xlabel="gamma", ylabel="share of poses kept")
    axes.set_title("what each gamma keeps")


def _draw_errors(axes: Axes, result: Calibration) -> None:
    gammas = result.sweep.gammas
    axes.plot(gammas, result.sweep.error, "o-", ms=3, color=_BLUE, label="kept")
    axes.plot(gammas, result.error_thrown_away, "s-", ms=3, color=_ORANGE, label="thrown away")
    axes.axvline(result.gamma, color=GREY, ls="--", lw=1)
    axes.set(ylim=(0, None), xlabel="gamma", ylabel=f"mean {_ERROR}")
    axes.set_title("how good that is")
    axes.legend(frameon=False)
