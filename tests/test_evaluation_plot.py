"""The picture of an evaluation: what is where, and the same bytes for the same numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from made_clips import write_release
from test_evaluate import COLUMNS, add_layer, moved, true_clips
from typer.testing import CliRunner

from posedata.cli import evaluate as command
from posedata.errors import OutputError, UsageError
from posedata.evaluate import Evaluation, LayerCounts
from posedata.evaluation_plot import MOST_GROUPS, draw_evaluation, figure_size
from posedata.evaluation_score import Score
from posedata.figure_file import COLOURS, check_figure_file, figure_bytes
from posedata.release import Release

NAN = np.nan


def score(
    layer: str, metric: str, value: float, low: float = NAN, high: float = NAN, group: str = "",
    unit: str = "",
) -> Score:  # fmt: skip
    return Score(layer, metric, unit, group, value, low, high, value, 9, 9, 9, 3, {})


def evaluation(*scores: Score) -> Evaluation:
    counts = LayerCounts(1, 0, 0, 1, 1, 0, {}, ())
    return Evaluation("kinect", ("head",), scores, {s.layer: counts for s in scores})


RESULT = evaluation(
    score("one", "pckh_headneck@0.5", 0.8, 0.7, 0.85),
    score("one", "jitter", 2.5, 2, 4, unit="px/frame^2"),
    score("two", "pckh_headneck@0.5", 0.6),
    score("two", "jitter", NAN, unit="px/frame^2"),
)
BY_JOINT = evaluation(
    *(
        score(layer, metric, value, group=group)
        for layer, value in (("one", 0.25), ("two", 0.5))
        for metric in ("oks", "nmpjpe_headneck")
        for group in ("", "left_knee", "head")
        if metric != "oks" or not group
    )
)


def panels(result: Evaluation, by: str | None):
    from matplotlib.figure import Figure

    figure = Figure(figsize=figure_size(result), layout="constrained")
    draw_evaluation(result, by, figure)
    return figure, figure.axes


def dots(axes) -> list[tuple[float, float]]:
    """Where values are: lines of one point that has a value."""
    points = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 1]
    return [(float(x), float(y)) for ((x, y),) in points if not np.isnan(x)]


def test_each_metric_has_its_axis_with_unit():
    _, axes = panels(RESULT, None)
    assert [panel.get_xlabel() for panel in axes] == ["pckh_headneck@0.5", "jitter (px/frame^2)"]
    assert [panel.get_title() for panel in axes] == ["higher is better", "lower is smoother"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["one", "two"]


def test_dots_and_intervals_are_the_scores():
    _, axes = panels(RESULT, None)
    assert dots(axes[0]) == [(0.8, 0), (0.6, 1)]
    bars = [line.get_xydata().tolist() for line in axes[0].lines if len(line.get_xydata()) == 2]
    assert bars == [[[0.7, 0], [0.85, 0]]]  # the other has no interval
    bottom, top = axes[0].get_ylim()
    assert bottom > top  # the first layer on top


def test_what_has_no_value_says_so():
    _, axes = panels(RESULT, None)
    assert dots(axes[1]) == [(2.5, 0)]
    assert [text.get_text() for text in axes[1].texts] == ["none"]


def test_a_row_for_each_joint_and_a_colour_for_each_layer():
    figure, axes = panels(BY_JOINT, "joint")
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert names == ["every joint", "left_knee", "head"]
    assert [x for x, _ in dots(axes[1])] == [0.25] * 3 + [0.5] * 3
    rows = [y for _, y in dots(axes[1])]
    assert np.round(rows).tolist() == [0, 1, 2, 0, 1, 2] and len(set(rows)) == 6
    assert len(dots(axes[0])) == 2  # a metric without groups: its rows say none
    assert [text.get_text() for text in axes[0].texts] == ["none"] * 4
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    colours = {line.get_color() for line in axes[1].lines if len(line.get_xydata()) == 1}
    assert colours == set(COLOURS[:2])


def test_too_many_rows_are_told():
    many = evaluation(*(score("one", "epe", 1.0, group=f"c{i}") for i in range(MOST_GROUPS + 5)))
    figure, axes = panels(many, "clip")
    assert f"the first {MOST_GROUPS} of {MOST_GROUPS + 5} rows" in figure.get_suptitle()
    assert len(axes[0].get_yticks()) == MOST_GROUPS
    assert figure_size(many)[1] < 30


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3))])
def test_panels_fill_rows(count: int, shape: tuple[int, int]):
    names = ("epe", "oks", "ap", "ar", "jitter")[:count]
    _, axes = panels(evaluation(*(score("one", name, 0.5) for name in names)), None)
    assert len(axes) == count
    assert axes[0].get_gridspec().get_geometry() == shape


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_bytes_whatever_the_settings(kind: str):
    import matplotlib

    def draw(figure):
        draw_evaluation(RESULT, None, figure)

    size = figure_size(RESULT)
    first = figure_bytes(draw, kind, size)
    before = matplotlib.get_backend()
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "savefig.dpi": 30}):
        assert figure_bytes(draw, kind, size) == first
        assert matplotlib.rcParams["font.size"] == 20
    assert matplotlib.get_backend() == before
    assert b"dc:date" not in first and b"dc:creator" not in first and b"Software" not in first
    other = evaluation(score("one", "oks", 0.5))
    assert figure_bytes(lambda figure: draw_evaluation(other, None, figure), kind, size) != first


def test_names_of_files():
    assert check_figure_file("a/b.PNG") == "png"
    assert check_figure_file("memory://x.svg") == "svg"
    for name in ("a.pdf", "png", "a.png.gz"):
        with pytest.raises(UsageError, match="a name that ends in"):
            check_figure_file(name)


def test_without_matplotlib_one_clear_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r'pip install "posedata\[plot\]"'):
        check_figure_file("a.png")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    clips = true_clips()
    made = write_release(tmp_path / "r", clips, clip_columns=COLUMNS)
    return add_layer(made, [moved(clips[0], "off", (3, 4)), moved(clips[1], "off", (6, 8))])


def test_command(release: Release, tmp_path: Path):
    app = typer.Typer()
    command.register(app)
    arguments = [str(release.place), "--pred", "off", "--truth", "made", "--metric", "epe"]
    plot = tmp_path / "p.svg"
    done = CliRunner().invoke(app, [*arguments, "-q", "--by", "joint", "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert plot.read_bytes().startswith(b"<?xml")
    again = CliRunner().invoke(app, [*arguments, "--plot", str(plot)])
    assert isinstance(again.exception, OutputError)
    assert "another --plot" in str(again.exception)
    replaced = CliRunner().invoke(app, [*arguments, "-q", "--plot", str(plot), "--overwrite"])
    assert replaced.exit_code == 0
    wrong = CliRunner().invoke(app, [*arguments, "--plot", str(tmp_path / "p.jpg")])
    assert isinstance(wrong.exception, UsageError)
