"""``posedata convert``: a raw data set to a release, and a release to what others read."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from posedata.cli import DONE, FAILED, INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import DryRun as DryRunOption
from posedata.cli.options import Json, Limit, NumWorkers, Overwrite, Quiet, Resume, Strict
from posedata.cli.own_options import CommandWithOwnOptions, own_options
from posedata.cli.sizes import human_bytes
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.convert import ConvertSummary
    from posedata.plan import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("convert", cls=CommandWithOwnOptions)(convert)


def convert(
    ctx: typer.Context,
    dataset: Annotated[
        str, typer.Argument(help="Name of the data set, e.g. ntu; or parquet, for a release.")
    ],
    raw: Annotated[str, typer.Argument(help="Folder (or URL) of its raw files, or the release.")],
    to: Annotated[str, typer.Option("--to", help="Format to write.")] = "parquet",
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="What to write. By default ./NAME, e.g. ntu60."),
    ] = None,
    all_fields: Annotated[
        bool, typer.Option("--all-fields", help="Keep also the fields that few people need.")
    ] = False,
    into: Annotated[
        str | None,
        typer.Option("--into", help="Add the poses as a further layer to this release."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="Name of the layer to make, or of the one to export."),
    ] = None,
    keep_sides: Annotated[
        bool,
        typer.Option(
            "--keep-sides", help="With --into: do not swap left and right of mirrored clips (NTU)."
        ),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="Published preprocessing to repeat in an export."),
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option("--skeleton", help="Joint set to export, e.g. coco17.")
    ] = None,
    misfits: Annotated[
        str,
        typer.Option("--misfits", help="Clips that a format cannot hold: refuse, or drop them."),
    ] = "refuse",
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRunOption = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Convert a raw data set to a release, or a release to another format.

    Exit code 0: all converted; 1: some rejected, see rejects.parquet (2 with --strict);
    2: nothing done.
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    try:
        if dataset == "parquet":
            _only_for_a_release(all_fields=all_fields, into=into, keep_sides=keep_sides)
            from posedata.cli.export import export_release

            export_release(
                raw, to, out, layer=layer, profile=profile, skeleton=skeleton, misfits=misfits,
                options=own_options(ctx), limit=limit, num_workers=num_workers, resume=resume,
                overwrite=overwrite, dry_run=dry_run, strict=strict, progress=not quiet,
                as_json=as_json,
            )  # fmt: skip
            return
        if to != "parquet":
            raise UsageError(
                "--to", found=repr(to), expected="parquet",
                remedy=f"First make a release, then: posedata convert parquet RELEASE --to {to}",
            )  # fmt: skip
        if profile or skeleton:
            raise UsageError("--profile and --skeleton are for exports of a release")
        make_release(
            dataset, raw, out, into=into, layer=layer, keep_sides=keep_sides,
            all_fields=all_fields, limit=limit,
            options=own_options(ctx), num_workers=num_workers, resume=resume,
            overwrite=overwrite, dry_run=dry_run, strict=strict, progress=not quiet,
            as_json=as_json,
        )  # fmt: skip
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _only_for_a_release(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise UsageError(f"--{name.replace('_', '-')} is for making a release, not for exports")


def make_release(
    dataset: str, raw: str, out: str | None, *, into: str | None = None, layer: str | None = None,
    keep_sides: bool = False, all_fields: bool = False, limit: int | None = None,
    options: Mapping[str, str] | None = None, num_workers: int | None = None,
    resume: bool = False, overwrite: bool = False,
    dry_run: bool = False, strict: bool = False, progress: bool = True, as_json: bool = False,
) -> None:  # fmt: skip
    """Make a release, or add a layer to one, and show what was done; see `convert`."""
    from posedata.convert import convert as run
    from posedata.plan import plan_conversion
    from posedata.storage import file_name

    if into is not None and out is not None:
        raise UsageError("--into and --out exclude each other: --into names the release")
    plan = plan_conversion(dataset, raw, all_fields=all_fields, limit=limit, options=options,
                           into=into, layer=layer, keep_sides=keep_sides)  # fmt: skip
    out = into or out or file_name(plan.description.name)
    if dry_run:
        _show_plan(plan, out, as_json)
        return
    summary = run(plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers,
                  progress=progress)  # fmt: skip
    _show_summary(summary, as_json)
    if summary.clips == 0:
        raise typer.Exit(FAILED)
    if summary.rejects:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(DONE)


def _show_plan(plan: Plan, out: str, as_json: bool) -> None:
    layers = plan.description.layers
    left_out = [name for layer in layers for name in layer.left_out]
    if as_json:
        print_json({
            "name": plan.description.name, "out": out, "samples": len(plan.samples),
            "clips": plan.num_clips, "segments": len(plan.segments),
            "bytes": plan.raw_bytes, "shards": len(plan.shards),
            "columns": [*plan.description.columns,
                        *(name for layer in layers for name in layer.columns)],
            "layers": {layer.name: list(layer.columns) for layer in layers},
            "left_out": left_out,
            "problems": [asdict(problem) for problem in plan.problems],
        })  # fmt: skip
        return
    typer.echo(f"would convert {len(plan.samples):,} samples of {plan.description.name} "
               f"({human_bytes(plan.raw_bytes)}) to {out}, shards: {len(plan.shards)}")  # fmt: skip
    if left_out:
        typer.echo(f"would leave out: {', '.join(left_out)}")
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
