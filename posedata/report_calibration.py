"""C against the true error, for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.errors import UsageError
from posedata.figure_file import GREY
from posedata.release import Release
from posedata.report_charts import chart, layer_colour
from posedata.report_html import Cell, Html, count, decimal, paragraph, section, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Layers that are taken as true where none is named, in this order.
TRUTHS = ("human", "kinect")

#: More clips than this are not compared: their errors are all in memory.
MOST_CLIPS = 1000

_MOST_DOTS = 500
_BINS = 12
_MOST_PANELS = 9


def truth_of(release: Release, layers: Sequence[str], named: str | None) -> str | None:
    """Choose the layer that is taken as true.

    Parameters
    ----------
    release : Release
        With the layers.
    layers : sequence of str
        To choose from.
    named : str, optional
        The one that was asked for.

    Returns
    -------
    str, optional
        The named one, or the first of `TRUTHS` that has pixels, a head and a neck; None where
        there is none.
    """
    if named is not None:
        release.table(named)
        return named
    for name in TRUTHS:
        if name not in layers or release.skeleton(name).head is None:
            continue
        if "keypoints_2d" in release.table(name).pose_columns:
            return name
    return None


def calibrations(
    release: Release, layers: Sequence[str], truth: str, clip_ids: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Compare the C of each layer (or its mean scores) with its error.

    Returns
    -------
    list of dict
        For each layer that says how sure it is: ``layer``, ``measure``, ``poses``, ``spearman``,
        ``auc_above_half``, ``mean_error``, ``median_error``, ``curve`` (of bins of C: ``low``,
        ``high``, ``poses``, and the quantiles ``q10``, ``q50``, ``q90`` of the error) and
        ``dots``, a sample of (C, error); or ``reason`` where it could not be compared.
    """
    from posedata.calibrate import calibrate

    found: list[dict[str, Any]] = []
    for layer in layers:
        columns = release.table(layer).pose_columns
        if layer == truth or "keypoints_2d" not in columns:
            continue
        if not {"confidence", "scores"} & set(columns):
            continue
        try:
            result = calibrate(release, layer, truth, clip_ids=clip_ids[:MOST_CLIPS])
        except UsageError as error:
            found.append({"layer": layer, "reason": error.reason})
            continue
        known = np.isfinite(result.confidence) & np.isfinite(result.errors)
        confidence, errors = result.confidence[known], result.errors[known]
        some = np.random.default_rng(seed).permutation(len(errors))[:_MOST_DOTS]
        found.append({
            "layer": layer,
            "measure": result.measure,
            "poses": len(errors),
            "joints": list(result.joints),
            "spearman": number(result.spearman),
            "auc_above_half": number(result.detection[0].auc),
            "mean_error": number(errors.mean() if len(errors) else np.nan),
            "median_error": number(np.median(errors) if len(errors) else np.nan),
            "curve": curve(confidence, errors),
            "dots": np.column_stack([confidence[some], errors[some]]).round(4).tolist(),
        })  # fmt: skip
    return found


def curve(confidence: np.ndarray, errors: np.ndarray) -> list[dict[str, float]]:
    """Give quantiles of the error for poses of equal C: bins that have equally many poses.

    Parameters
    ----------
    confidence, errors : float64, shape (N,)
        Of each pose.
    """
    order = np.argsort(confidence, kind="stable")
    out = []
    for part in np.array_split(order, min(_BINS, max(1, len(order) // 8))):
        if len(part):
            q10, q50, q90 = np.quantile(errors[part], [0.1, 0.5, 0.9])
            out.append({
                "low": float(confidence[part[0]]), "high": float(confidence[part[-1]]),
                "poses": len(part), "q10": float(q10), "q50": float(q50), "q90": float(q90),
            })  # fmt: skip
    return out


def number(value: float) -> float | None:
    """Give a number for JSON: None where it is none."""
    return float(value) if np.isfinite(value) else None


def calibration_section(
    found: Sequence[Mapping[str, Any]], truth: str | None, numbers: Mapping[str, int]
) -> Html:
    """Show the comparison, or say why there is none."""
    title = "Confidence against the true error"
    if truth is None:
        why = ("No layer is known to be true: none is called human or kinect and has "
                         "pixels, a head and a neck. Name one with --truth.")  # fmt: skip
        return section("calibration", title, paragraph(why, class_="note"))
    told = [one for one in found if "reason" not in one and one["poses"]]
    parts: list[Any] = [paragraph(
        f"The layer {truth} is taken as true. The error of a pose is its mean distance to the true "
        "joints over the true head length. A confidence is worth its name if it falls as the error "
        "rises: a rank correlation near −1.", class_="lead",
    )]  # fmt: skip
    if told:
        parts.append(_chart(told[:_MOST_PANELS], numbers))
        head = ["layer", "says", "poses", "median error", "mean error", "rank correlation",
                "ROC area, error > 0.5"]  # fmt: skip
        rows: list[list[Cell]] = [
            [one["layer"], "C" if one["measure"] == "confidence" else "mean score",
             count(one["poses"]), decimal(one["median_error"]), decimal(one["mean_error"]),
             decimal(one["spearman"]), decimal(one["auc_above_half"])]
            for one in told
        ]  # fmt: skip
        caption = f"Confidence against the error, {truth} taken as true"
        parts.append(table(head, rows, numbers_from=2, caption=caption))
    parts += [paragraph(f"{one['layer']}: {one.get('reason', 'no pose has both.')}", class_="note")
              for one in found if one not in told]  # fmt: skip
    if not found:
        parts.append(paragraph("No other layer says how sure it is.", class_="note"))
    return section("calibration", title, *parts)


def _chart(found: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Html:
    across = min(3, len(found))
    down = -(-len(found) // across)
    top = max(max(p["q90"] for p in one["curve"]) for one in found) * 1.15 or 1.0

    def draw(figure: Figure) -> None:
        panels = figure.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
        for panel, one in zip(panels, found, strict=False):
            _draw_panel(panel, one, top, layer_colour(numbers[one["layer"]]))
        for at, panel in enumerate(panels):
            if at >= len(found):
                panel.remove()
            elif at % across == 0:
                panel.set_ylabel("error, head lengths")

    about = "For each layer the error of poses over their confidence"
    return chart(draw, (3.1 * across + 0.4, 2.5 * down + 0.3), about)


def _draw_panel(axes: Axes, one: Mapping[str, Any], top: float, colour: str) -> None:
    dots = np.array(one["dots"]).reshape(-1, 2)
    axes.plot(dots[:, 0], np.minimum(dots[:, 1], top), ".", ms=3, color=GREY, alpha=0.35)
    middles = [(part["low"] + part["high"]) / 2 for part in one["curve"]]
    low, middle, high = ([part[q] for part in one["curve"]] for q in ("q10", "q50", "q90"))
    axes.fill_between(middles, low, high, color=colour, alpha=0.22, lw=0)
    axes.plot(middles, middle, "o-", color=colour, lw=1.8, ms=3.5)
    says = "C" if one["measure"] == "confidence" else "mean score"
    axes.set_title(f"{one['layer']}, rank correlation {decimal(one['spearman'])}")
    axes.set_xlabel(says)
    axes.set_xlim(0, 1.02)
    axes.tick_params(axis="x", labelbottom=True)  # also where no panel is below
    axes.set_ylim(0, top)
