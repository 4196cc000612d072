"""Plots as PNG or SVG files: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from posedata.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's colours without the yellow, which is hard to see on white: people who are
#: colour-blind tell them apart, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
GREY = "#666666"

#: One for each colour, so that a plot can be read without them.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_DOTS_PER_INCH = 120
_STYLE: dict[Any, Any] = {
    "font.size": 9.0, "axes.titlesize": 10.0, "axes.spines.top": False,
    "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "grid.color": "#e5e5e5",
    "figure.dpi": _DOTS_PER_INCH, "svg.hashsalt": "posedata",
}  # fmt: skip


def check_figure_file(name: str) -> str:
    """Give the format that a name asks for, ``png`` or ``svg``.

    Raises
    ------
    UsageError
        If it ends otherwise, or matplotlib is not installed: before anything is computed.
    """
    if not name.lower().endswith((".png", ".svg")):
        raise UsageError("--plot", found=name, expected="a name that ends in .png or .svg")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("plots need matplotlib, which is not installed",
                         remedy='Install it: pip install "posedata[plot]"') from error  # fmt: skip
    return name.lower()[-3:]


def figure_bytes(
    draw: Callable[[Figure], None], kind: str, size: tuple[float, float] = (8.0, 6.0)
) -> bytes:
    """Draw a figure and give its file.

    Parameters
    ----------
    draw : function of a matplotlib Figure
        Puts the axes into it.
    kind : {"png", "svg"}
        Format of the file.
    size : (float, float)
        Width and height in inches, 120 pixels each.

    Returns
    -------
    bytes
        Without date and program, whatever matplotlib's own settings are here.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        nothing = ("Date", "Creator") if kind == "svg" else ("Software",)
        figure.savefig(file, format=kind, metadata=dict.fromkeys(nothing))
    return file.getvalue()
