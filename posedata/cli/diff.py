"""``posedata diff``: what has changed between two releases."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posedata.cli import WITH_REJECTS, print_json
from posedata.cli.options import Json, Quiet
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.diff import LayerDiff, ReleaseDiff

_UNITS = {"keypoints_2d": (1.0, "px"), "keypoints_3d": (1000.0, "mm"), "scores": (1.0, "")}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff")(diff)


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A release: before.")],
    second: Annotated[str, typer.Argument(metavar="B", help="A release: after.")],
    layer: Annotated[str, typer.Option("--layer", help="Compare only these layers: a,b.")] = "",
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Smaller moves do not count: px, m, score.")
    ] = 0.0,
    by_joint: Annotated[bool, typer.Option("--joints", help="A line for each joint.")] = False,
    worst: Annotated[int, typer.Option("--worst", help="How many of the worst clips.")] = 5,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say which clips, layers, joints, columns, splits and labels differ, and by how much.

    Exit code 0: the releases hold the same; 1: they differ; 2: not releases.
    """
    from posedata.diff import diff as compare
    from posedata.release import open_release

    if not 0 <= tolerance < float("inf"):
        raise UsageError("--tolerance", found=tolerance, expected="0 or more")
    if worst < 0:
        raise UsageError("--worst", found=worst, expected="0 or more")
    layers = [name.strip() for name in layer.split(",") if name.strip()]
    before, after = open_release(first), open_release(second)
    result = compare(before, after, layers=layers, tolerance=tolerance, num_worst=worst,
                     progress=not quiet)  # fmt: skip
    if as_json:
        print_json(_as_json(str(before.place), str(after.place), result))
    elif result.is_same:
        typer.echo("the same")
    else:
        _show(result, by_joint)
    if not result.is_same:
        raise typer.Exit(WITH_REJECTS)


def _as_json(first: str, second: str, result: ReleaseDiff) -> dict[str, Any]:
    from posedata.diff import as_numbers

    layers = {}
    for name, layer in result.layers.items():
        moves = {array: as_numbers(of_array) for array, of_array in layer.moves.items()}
        values = {key: value for key, value in vars(layer).items() if key != "moves"}
        layers[name] = {"same": layer.is_same, **values, "moves": moves}
    return {
        "first": first, "second": second, "same": result.is_same, "manifest": result.manifest,
        "layers_added": result.layers_added, "layers_removed": result.layers_removed,
        "layers": layers,
        "tables": {name: asdict(table) for name, table in result.tables.items()},
        "files_added": result.files_added, "files_removed": result.files_removed,
        "files_changed": result.files_changed,
    }  # fmt: skip


def _show(result: ReleaseDiff, by_joint: bool) -> None:
    for name, (before, after) in result.manifest.items():
        typer.echo(f"{name}: {_short(before)} -> {_short(after)}")
    for layer in result.layers_added:
        typer.echo(f"layer {layer}: added")
    for layer in result.layers_removed:
        typer.echo(f"layer {layer}: removed")
    for name, of_layer in result.layers.items():
        _show_layer(name, of_layer, by_joint)
    for name, table in result.tables.items():
        if not table.is_same:
            columns = ", ".join(f"{column} in {n:,}" for column, n in table.columns.items())
            typer.echo(f"{name}: rows added {table.added:,}, removed {table.removed:,}, changed "
                       f"{table.changed:,}{f' ({columns})' if columns else ''}")  # fmt: skip
            for example in table.examples:
                typer.echo(f"  {example}")
    for word, files in (("added", result.files_added), ("removed", result.files_removed),
                        ("changed", result.files_changed)):  # fmt: skip
        for file in files:
            typer.echo(f"{file}: {word}")


def _show_layer(name: str, layer: LayerDiff, by_joint: bool) -> None:
    if layer.is_same:
        typer.echo(f"layer {name}: the same, {layer.clips_same:,} clips")
        return
    typer.echo(f"layer {name}: clips added {layer.clips_added:,}, removed {layer.clips_removed:,}, "
               f"changed {layer.clips_changed:,}, the same {layer.clips_same:,}")  # fmt: skip
    for kind, clip_ids in layer.examples.items():
        typer.echo(f"  {kind}: {', '.join(clip_ids)}" + (", ..." if len(clip_ids) > 2 else ""))
    if layer.poses_added or layer.poses_removed:
        typer.echo(f"  poses of these clips added {layer.poses_added:,}, removed "
                   f"{layer.poses_removed:,}")  # fmt: skip
    for what, (before, after) in layer.definition.items():
        typer.echo(f"  {what}: {_short(before)} -> {_short(after)}")
    for word, columns in (("added", layer.columns_added), ("removed", layer.columns_removed)):
        if columns:
            typer.echo(f"  columns {word}: {', '.join(columns)}")
    rows = _move_rows(layer, by_joint)
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            cells[0] = row[0].ljust(widths[0])
            typer.echo("  " + "  ".join(cells).rstrip())
    others = {n: count for n, count in layer.columns.items() if n not in layer.moves}
    for column, count in sorted(others.items()):
        typer.echo(f"  {column}: differs in {count:,} clips")
    for largest, array, clip_id in layer.worst:
        typer.echo(f"  {clip_id}: {array} by up to {_measure(largest, array)}")


def _move_rows(layer: LayerDiff, by_joint: bool) -> list[tuple[str, ...]]:
    from posedata.diff import as_numbers

    rows: list[tuple[str, ...]] = [("", "joints", "changed", "appeared", "vanished", "median",
                                    "max")]  # fmt: skip
    for array, moves in layer.moves.items():
        numbers = as_numbers(moves)
        if not (numbers["changed"] or numbers["appeared"] or numbers["vanished"]):
            continue
        rows.append((array, f"{numbers['compared']:,}", *_cells(numbers, array)))
        if by_joint:
            rows += [(f"  {joint}", "", *_cells(of_joint, array))
                     for joint, of_joint in numbers["joints"].items()]  # fmt: skip
    return rows


def _cells(numbers: dict[str, Any], array: str) -> tuple[str, ...]:
    counts = (f"{numbers[name]:,}" for name in ("changed", "appeared", "vanished"))
    return (*counts, _measure(numbers["median"], array), _measure(numbers["max"], array))


def _measure(value: float | None, array: str) -> str:
    if value is None:
        return "-"
    factor, unit = _UNITS[array]
    return f"{value * factor:.3g} {unit}".strip()


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
