"""``posedata calibrate``: how far the confidence of a layer can be trusted."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from posedata.cli import print_json
from posedata.cli.options import Json, Overwrite
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.calibrate import Calibration

_COLUMNS = ("table", "error_from", "error_to", "gamma", "poses", "poses_kept", "share_kept",
            "error_kept", "error_thrown_away", "pckh_kept", "pckh_thrown_away")  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    release: Annotated[str, typer.Argument(help="Directory (or URL) of the release.")],
    layer: Annotated[str, typer.Option("--layer", "-l", help="Whose confidence to test.")],
    truth: Annotated[str, typer.Option("--truth", help="The layer that is taken as true.")],
    gamma: Annotated[
        float, typer.Option("--gamma", help="What it would keep of each error interval.")
    ] = 0.18,
    sweep: Annotated[
        str, typer.Option("--sweep", help="Gammas to compare with it, as 0,0.1. Default 0 to 0.95.")
    ] = "",
    intervals: Annotated[
        str,
        typer.Option(
            "--intervals",
            help="Ends of the error intervals, as 0,0.5,1. The last "
            "interval has all errors above. Default 0 to 2, each 0.25.",
        ),
    ] = "",
    error_above: Annotated[
        str, typer.Option("--error-above", help="Errors of bad poses, for the area under the ROC.")
    ] = "0.5,1",
    threshold: Annotated[
        float, typer.Option("--pckh", help="Of the PCKh in the sweep, in head-neck distances.")
    ] = 0.5,
    joints: Annotated[str, typer.Option("--joints", help="Compare only these, as a,b.")] = "",
    derived: Annotated[
        bool, typer.Option("--derived", help="Compare joints that a rule makes of others, too.")
    ] = False,
    people: Annotated[
        Literal["auto", "id", "oks"],
        typer.Option("--people", help="Who is who: id, oks, or auto (id unless the ids differ)."),
    ] = "auto",
    protocol: Annotated[str | None, typer.Option("--protocol", help="Protocol of a split.")] = None,
    split: Annotated[
        str, typer.Option("--split", help="Its part, if --protocol is given.")
    ] = "test",
    table: Annotated[
        str | None, typer.Option("--csv", help="Write both tables to this file.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option("--plot", help="Draw it all to this file, .png or .svg.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compare the confidence C of each pose with its true error, as Fig. 5 of the SST-A paper.

    C is what `posedata fuse` has stored; of other layers, the mean score of a pose. Errors are
    in head-neck distances (nmpjpe_headneck).
    """
    from posedata.calibrate import SWEEP
    from posedata.calibrate import calibrate as compare
    from posedata.calibration import ERROR_EDGES
    from posedata.cli.output_file import output_file
    from posedata.figure_file import check_figure_file, figure_bytes
    from posedata.release import open_release

    gammas = sorted({*(_numbers("--sweep", sweep) or SWEEP), gamma})
    edges = [*_numbers("--intervals", intervals), math.inf] if intervals else ERROR_EDGES
    kind = None if plot is None else check_figure_file(plot)
    csv_file = output_file("--csv", table, overwrite=overwrite)
    plot_file = output_file("--plot", plot, overwrite=overwrite)
    opened = open_release(release)
    result = compare(
        opened, layer, truth, gamma=_number("--gamma", gamma), gammas=gammas, edges=edges,
        limits=_numbers("--error-above", error_above), threshold=_number("--pckh", threshold),
        clip_ids=None if protocol is None else opened.split(protocol, split),
        joints=[name.strip() for name in joints.split(",") if name.strip()], derived=derived,
        people=people,
    )  # fmt: skip
    if csv_file is not None:
        csv_file.write_bytes(_csv(result).encode())
    if plot_file is not None and kind is not None:
        from posedata.calibration_plot import SIZE, draw_calibration

        plot_file.write_bytes(figure_bytes(partial(draw_calibration, result), kind, SIZE))
    if as_json:
        print_json(_as_json(result))
    else:
        _show(result)


def _numbers(option: str, text: str) -> list[float]:
    return [_number(option, part) for part in text.split(",") if part.strip()]


def _number(option: str, text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(option, found=repr(text), expected="numbers, 0 or more")
    return value


def _interval_rows(result: Calibration) -> list[dict[str, Any]]:
    edges, kept = result.intervals.edges.tolist(), result.intervals.kept[0].tolist()
    poses = result.intervals.poses.tolist()
    return [
        {"error_from": low, "error_to": _or_none(high), "gamma": result.gamma, "poses": count,
         "poses_kept": round(share * count) if count else 0, "share_kept": _or_none(share)}
        for low, high, count, share in zip(edges[:-1], edges[1:], poses, kept, strict=True)
    ]  # fmt: skip


def _sweep_rows(result: Calibration) -> list[dict[str, Any]]:
    sweep = result.sweep
    columns = (sweep.gammas, sweep.poses, sweep.kept, sweep.error, result.error_thrown_away,
               sweep.pckh, result.pckh_thrown_away)  # fmt: skip
    names = ("gamma", "poses_kept", "share_kept", *_COLUMNS[-4:])
    return [
        {**dict(zip(names, map(_or_none, values), strict=True)), "poses": sweep.compared}
        for values in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(result: Calibration) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "layer": result.layer, "truth": result.truth, "measure": result.measure,
        "fused_with_gamma": result.fused_with_gamma, "error": "nmpjpe_headneck",
        "joints": list(result.joints), "gamma": result.gamma, "pckh_threshold": result.threshold,
        "spearman": _or_none(result.spearman),
        "detection": [
            {"error_above": found.limit, "poses": found.above, "auc": _or_none(found.auc)}
            for found in result.detection
        ],
        "intervals": _interval_rows(result), "left_out_of_intervals": result.intervals.left_out,
        "sweep": _sweep_rows(result), "counts": asdict(result.counts),
    }  # fmt: skip


def _csv(result: Calibration) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    for name, rows in (("intervals", _interval_rows(result)), ("sweep", _sweep_rows(result))):
        for row in rows:
            filled = {key: "" if value is None else value for key, value in row.items()}
            writer.writerow({"table": name, **filled})
    return text.getvalue()


def _show(result: Calibration) -> None:
    for line in _head_lines(result):
        typer.echo(line)
    typer.echo("")
    rows = [["error", "poses", f"kept at gamma {result.gamma:g}"]]
    for row in _interval_rows(result):
        high = row["error_to"]
        interval = f"{row['error_from']:g} and above"
        if high is not None:
            interval = f"{row['error_from']:g} to {high:g}"
        rows.append([interval, f"{row['poses']:,}", _share(row["share_kept"])])
    _print_table(rows)
    typer.echo("")
    pckh = f"pckh_headneck@{result.threshold:g}"
    rows = [["gamma", "poses kept", "share", "error of kept", "of thrown away", f"{pckh} of kept",
             "of thrown away"]]  # fmt: skip
    for row in _sweep_rows(result):
        rows.append([f"{row['gamma']:g}", f"{row['poses_kept']:,}", _share(row["share_kept"]),
                     *(_value(row[name]) for name in _COLUMNS[-4:])])  # fmt: skip
    _print_table(rows)


def _head_lines(result: Calibration) -> list[str]:
    counts = result.counts
    what = "C of each pose, as the fusion stored it"
    if result.measure == "scores":
        what = "mean score of each pose, since the layer stores no C"
    lines = [
        f"{result.layer} against {result.truth}: {what}",
        f"error: nmpjpe_headneck, {len(result.joints)} joints: {', '.join(result.joints)}",
    ]
    notes = [
        f"{counts.clips:,} clips", f"{counts.compared:,} poses compared",
        f"{counts.paired_poses:,} of {counts.true_poses:,} true poses have a predicted one",
    ]  # fmt: skip
    if counts.extra_poses:
        notes.append(f"{counts.extra_poses:,} predicted poses have no true one, of which gamma "
                     f"{result.gamma:g} keeps {counts.extra_poses_kept:,}")  # fmt: skip
    if counts.clips_without_layer:
        notes.append(f"{counts.clips_without_layer:,} clips without the layer are left out")
    if counts.clips_by_oks:
        notes.append(f"people paired by OKS in {counts.clips_by_oks:,} clips")
    if counts.without_confidence:
        notes.append(f"{counts.without_confidence:,} poses without confidence are always kept")
    if result.intervals.left_out:
        notes.append(f"{result.intervals.left_out:,} errors are outside the intervals")
    lines.append("; ".join(notes))
    if result.fused_with_gamma:
        lines.append(f"the fusion has discarded poses below {result.fused_with_gamma:g} already: "
                     "to judge that, fuse with --gamma 0")  # fmt: skip
    lines.append(f"rank correlation of confidence and error (Spearman): {_value(result.spearman)}")
    for found in result.detection:
        lines.append(f"area under the ROC, error above {found.limit:g}: {_value(found.auc)} "
                     f"({found.above:,} poses are above)")  # fmt: skip
    return lines


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _value(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
