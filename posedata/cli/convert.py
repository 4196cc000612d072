"""``posedata convert``: a raw data set to a release."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from posedata.cli import DONE, FAILED, INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import DryRun as DryRunOption
from posedata.cli.options import Json, Limit, NumWorkers, Overwrite, Quiet, Resume, Strict
from posedata.cli.sizes import human_bytes

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary, Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("convert")(convert)


def convert(
    dataset: Annotated[str, typer.Argument(help="Name of the data set, e.g. ntu.")],
    raw: Annotated[str, typer.Argument(help="Folder (or URL) of its raw files.")],
    to: Annotated[str, typer.Option("--to", help="Format to write.")] = "parquet",
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="The release's directory. By default ./NAME, e.g. ntu60."),
    ] = None,
    all_fields: Annotated[
        bool, typer.Option("--all-fields", help="Keep also the fields that few people need.")
    ] = False,
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRunOption = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Convert a raw data set to a release in the unified Parquet format.

    Exit code 0: all converted; 1: some rejected, see rejects.parquet (2 with --strict);
    2: nothing done.
    """
    from posedata.convert import convert as run
    from posedata.convert import plan_conversion
    from posedata.errors import UsageError

    if to != "parquet":
        raise UsageError("--to", found=repr(to), expected="parquet")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    try:
        plan = plan_conversion(dataset, raw, all_fields=all_fields, limit=limit)
        out = plan.description.name if out is None else out
        if dry_run:
            _show_plan(plan, out, as_json)
            return
        summary = run(
            plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers,
            progress=not quiet,
        )  # fmt: skip
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show_summary(summary, as_json)
    if summary.clips == 0:
        raise typer.Exit(FAILED)
    if summary.rejects:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(DONE)


def _show_plan(plan: Plan, out: str, as_json: bool) -> None:
    if as_json:
        print_json({
            "name": plan.description.name, "out": out, "samples": len(plan.samples),
            "bytes": plan.raw_bytes, "shards": len(plan.shards),
            "columns": list(plan.description.columns),
            "left_out": list(plan.description.left_out),
            "problems": [asdict(problem) for problem in plan.problems],
        })  # fmt: skip
        return
    typer.echo(f"would convert {len(plan.samples):,} samples of {plan.description.name} "
               f"({human_bytes(plan.raw_bytes)}) to {out}, shards: {len(plan.shards)}")  # fmt: skip
    if plan.description.left_out:
        typer.echo(f"would leave out: {', '.join(plan.description.left_out)}")
    for problem in plan.problems:
        typer.echo(f"would reject {problem.source}: {problem.reason}")


def _show_summary(summary: ConvertSummary, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    typer.echo(f"{summary.name}: {summary.clips:,} clips, {summary.poses:,} poses in {summary.out}")
    if summary.left_out:
        typer.echo(f"left out, --all-fields keeps them: {', '.join(summary.left_out)}")
    if summary.rejects or summary.warnings:
        typer.echo(f"{summary.rejects:,} rejected, {summary.warnings:,} warnings, "
                   f"all in {summary.out}/rejects.parquet")  # fmt: skip
    for problem in summary.first_rejects:
        place = ", ".join(part for part in (problem.source, problem.position) if part)
        typer.echo(f"  {place}: {problem.reason}", err=True)
    if summary.rejects > len(summary.first_rejects):
        typer.echo("  ...", err=True)
