"""``posedata evaluate``: how good the layers of a release are."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posedata.cli import print_json
from posedata.cli.options import Json, Overwrite, Quiet
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.evaluate import Evaluation, Score

_COLUMNS = ("layer", "metric", "unit", "group", "value", "low", "high", "value_if_skipped",
            "joints", "poses", "frames", "clips")  # fmt: skip
_REASONS = ("truth_missing", "prediction_missing", "not_measurable", "without_neighbours")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    release: Annotated[str, typer.Argument(help="Directory (or URL) of the release.")],
    pred: Annotated[str, typer.Option("--pred", help="Layers to measure, as a,b.")],
    truth: Annotated[str, typer.Option("--truth", help="The layer that is taken as true.")],
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="As a,b: pck@0.2(bbox|torso), pckh@0.5, pckh_headneck@0.5, "
            "auc(30px|bbox|torso|head|headneck), epe, nmpjpe_headneck, oks, ap, ap50, ap75, ar, "
            "jitter; mpjpe, pa_mpjpe, n_mpjpe, mpjve, pck3d@150mm, auc3d, jitter3d.",
        ),
    ],
    by: Annotated[
        str | None, typer.Option("--by", help="A row for each joint, clip, label or camera, too.")
    ] = None,
    joints: Annotated[str, typer.Option("--joints", help="Compare only these, as a,b.")] = "",
    derived: Annotated[
        bool, typer.Option("--derived", help="Compare joints that a rule makes of others, too.")
    ] = False,
    people: Annotated[
        Literal["auto", "id", "oks"],
        typer.Option("--people", help="Who is who: id, oks, or auto (id unless the ids differ)."),
    ] = "auto",
    axes: Annotated[
        list[str],
        typer.Option(
            "--axes", help="3D axes of a layer, as mediapipe=x,-y,-z; may be given several times."
        ),
    ] = [],  # noqa: B006
    protocol: Annotated[str | None, typer.Option("--protocol", help="Protocol of a split.")] = None,
    split: Annotated[
        str, typer.Option("--split", help="Its part, if --protocol is given.")
    ] = "test",
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", help="Samples of clips for the intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of those samples.")] = 0,
    table: Annotated[
        str | None, typer.Option("--csv", help="Write a row for each score to this file.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option("--plot", help="Draw the scores to this file, .png or .svg.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure layers against one that is taken as true: a row a layer, a column a metric."""
    from posedata.cli.output_file import output_file
    from posedata.evaluate import evaluate as compare
    from posedata.figure_file import check_figure_file, figure_bytes
    from posedata.metric_names import parse_metrics
    from posedata.release import open_release

    metrics = parse_metrics(metric)
    if bootstrap < 0:
        raise UsageError("--bootstrap", found=bootstrap, expected="0 or more")
    kind = None if plot is None else check_figure_file(plot)
    csv_file = output_file("--csv", table, overwrite=overwrite)
    plot_file = output_file("--plot", plot, overwrite=overwrite)
    opened = open_release(release)
    clip_ids = None if protocol is None else opened.split(protocol, split)
    result = compare(
        opened, _names(pred), truth, metrics, by=by, clip_ids=clip_ids, joints=_names(joints),
        derived=derived, people=people, axes=_axes(axes), num_samples=bootstrap,
        seed=seed, progress=not quiet,
    )  # fmt: skip
    if csv_file is not None:
        csv_file.write_bytes(_csv(result).encode())
    if plot_file is not None and kind is not None:
        from posedata.evaluation_plot import draw_evaluation, figure_size

        draw = partial(draw_evaluation, result, by)
        plot_file.write_bytes(figure_bytes(draw, kind, figure_size(result)))
    if as_json:
        print_json(_as_json(result))
    else:
        _show(result)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _axes(options: list[str]) -> dict[str, str]:
    pairs = [option.partition("=") for option in options]
    if any(not (layer and axes) for layer, _, axes in pairs):
        raise UsageError("--axes", found=", ".join(options), expected="LAYER=x,-y,-z")
    return {layer.strip(): axes for layer, _, axes in pairs}


def _as_json(result: Evaluation) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "truth": result.truth,
        "joints": list(result.joints),
        "scores": [
            {name: _or_none(value) for name, value in asdict(score).items()}
            for score in result.scores
        ],
        "layers": {name: asdict(counts) for name, counts in result.layers.items()},
    }


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(result: Evaluation) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_REASONS])
    for score in result.scores:
        values = [_or_none(getattr(score, name)) for name in _COLUMNS]
        left_out = [score.left_out.get(reason) for reason in _REASONS]
        writer.writerow(["" if value is None else value for value in (*values, *left_out)])
    return text.getvalue()


def _show(result: Evaluation) -> None:
    metrics = list(dict.fromkeys(score.metric for score in result.scores))
    units = {score.metric: score.unit for score in result.scores}
    groups = [score.group for score in result.scores]
    grouped = any(groups)
    head = ["layer", *(["group"] if grouped else [])]
    head += [f"{name} {units[name]}".strip() for name in metrics]
    cells: dict[tuple[str, str], dict[str, Score]] = {}
    for score in result.scores:
        cells.setdefault((score.layer, score.group), {})[score.metric] = score
    rows = [head]
    for (layer, group), of_row in cells.items():
        row = [layer, *([group or "all"] if grouped else [])]
        rows.append(row + [_cell(of_row.get(name)) for name in metrics])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells_of_row in rows:
        line = "  ".join(c.ljust(w) for c, w in zip(cells_of_row, widths, strict=True))
        typer.echo(line.rstrip())
    _show_counts(result)


def _cell(score: Score | None) -> str:
    if score is None or math.isnan(score.value):
        return "-"
    digits = 2 if score.unit else 3
    if math.isnan(score.low):
        return f"{score.value:.{digits}f}"
    return f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"


def _show_counts(result: Evaluation) -> None:
    typer.echo(f"truth {result.truth}, {len(result.joints)} joints: {', '.join(result.joints)}")
    for layer, counts in result.layers.items():
        notes = [
            f"{counts.clips:,} clips",
            f"{counts.paired_poses:,} of {counts.true_poses:,} true poses have a predicted one",
        ]
        if counts.extra_poses:
            notes.append(f"{counts.extra_poses:,} predicted poses have no true one")
        if counts.clips_without_layer:
            notes.append(f"{counts.clips_without_layer:,} clips without the layer are left out")
        if counts.clips_by_oks:
            notes.append(f"people paired by OKS in {counts.clips_by_oks:,} clips")
        if counts.derived:
            named = ", ".join(f"{joint} ({rule})" for joint, rule in counts.derived.items())
            notes.append(f"derived: {named}")
        if counts.axes:
            notes.append(f"3D axes taken as {counts.axes}")
        typer.echo(f"{layer}: {'; '.join(notes)}")
    for score in result.scores:
        if not score.group:
            parts = [f"{n:,} {name.replace('_', ' ')}" for name, n in score.left_out.items() if n]
            tail = f"; {', '.join(parts)}" if parts else ""
            counted = f"{score.joints:,} joints in {score.poses:,} poses, {score.frames:,} frames"
            typer.echo(f"{score.layer} {score.metric}: {counted}{tail}", err=True)
