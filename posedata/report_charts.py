"""Charts of the report as SVG that takes its colours from the page, light or dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.errors import UsageError
from posedata.figure_file import COLOURS, GREY
from posedata.report_html import Html, element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _LINE = "#010101", "#e5e5e5"
#: Black is left out of an SVG as what is meant anyway; the page's own colour must be there.
_COLOURS = tuple("#020202" if colour == "#000000" else colour for colour in COLOURS)
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.size": 9.0, "axes.titlesize": 9.5, "axes.labelsize": 9.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": _LINE, "axes.edgecolor": GREY, "text.color": _INK,
    "axes.labelcolor": _INK, "xtick.color": GREY, "ytick.color": GREY, "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK, "legend.frameon": False, "svg.fonttype": "none",
    "svg.hashsalt": "posedata", "axes.titleweight": "bold", "text.parse_math": False,
    "axes.titlelocation": "left",
}  # fmt: skip
_OF_PAGE = {
    _INK: "var(--ink)",
    _LINE: "var(--line)",
    GREY: "var(--muted)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(_COLOURS)},
}
_NUMBERED_ID = re.compile(r'\sid="[A-Za-z0-9.]+_\d+"')
_FONTS = re.compile(r"font: ([^;\"]*?[\d.]+px) [^;\"]*")


def check_plots() -> None:
    """Refuse, before any work, to make a page without what draws its plots.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("the report's plots need matplotlib, which is not installed",
                         remedy='Install it: pip install "posedata[plot]", or ask for the '
                         "numbers alone: --json") from error  # fmt: skip


def layer_colour(number: int) -> str:
    """Give the colour of a layer, which the page replaces by that of its theme."""
    return _COLOURS[number % len(_COLOURS)]


def chart(draw: Callable[[Figure], None], size: tuple[float, float], about: str) -> Html:
    """Draw a figure as SVG for the page.

    Parameters
    ----------
    draw : function of a matplotlib Figure
        Puts the axes into it. Texts are taken as they are: ``$`` begins no formula.
    size : (float, float)
        Width and height in inches, 96 pixels each.
    about : str
        What it shows, for those who do not see it.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the page has its own fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = _NUMBERED_ID.sub("", svg[svg.index("<svg") :])
    svg = _FONTS.sub(r"font: \1 var(--sans)", svg)
    for colour, name in _OF_PAGE.items():
        svg = svg.replace(colour, name)
    return element("div", Html(svg), class_="chart", role="img", aria_label=about)


def draw_histograms(
    figure: Figure, edges: np.ndarray, counts: Mapping[str, np.ndarray],
    numbers: Mapping[str, int], title: str, what: str,
) -> None:  # fmt: skip
    """Draw shares of several layers as steps, one below the other.

    Parameters
    ----------
    figure : Figure
        To draw into.
    edges : float, shape (B + 1,)
        Of the bins.
    counts : mapping of str to int (B,)
        For each layer.
    numbers : mapping of str to int
        Position of each layer in the release: its colour.
    title, what : str
        Of the whole, and of the axis below.
    """
    panels = figure.subplots(len(counts), sharex=True, squeeze=False).ravel()
    for panel, (name, values) in zip(panels, counts.items(), strict=True):
        shares = values / max(1, values.sum())
        panel.stairs(shares, edges, fill=True, color=layer_colour(numbers[name]))
        panel.set_ylabel(name, rotation=0, ha="right", va="center")
        top = max(float(shares.max(initial=0)), 1e-9)
        panel.set_ylim(0, 1.05 * top)
        panel.set_yticks([top], [f"{100 * top:.0f} %"])
        panel.yaxis.tick_right()
        panel.tick_params(length=0, labelsize=7.5)
        panel.grid(False, axis="y")
        panel.spines["left"].set_visible(False)
    panels[0].set_title(title)
    panels[-1].set_xlim(edges[0], edges[-1])
    panels[-1].set_xlabel(what)
    panels[-1].tick_params(axis="x", labelsize=9)


def draw_bars(axes: Axes, names: Sequence[str], values: Sequence[float], colour: str) -> None:
    """Draw a horizontal bar for each name, the first on top."""
    rows = np.arange(len(names))
    axes.barh(rows, values, color=colour, height=0.72)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
