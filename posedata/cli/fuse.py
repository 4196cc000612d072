"""``posedata fuse``: one layer out of several experts'."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import Annotated

import typer

from posedata.cli import DONE, FAILED, INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import DryRun, Json, Limit, NumWorkers, Quiet, Resume, Strict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fuse")(fuse)


def fuse(
    release: Annotated[str, typer.Argument(help="Release with the experts' layers.")],
    experts: Annotated[
        str, typer.Option("--experts", help="Layers, two or more: a,b,c. Ties go to the first.")
    ],
    method: Annotated[
        str, typer.Option("--method", help="ssta, or another; see the docs.")
    ] = "ssta",
    layer: Annotated[
        str | None, typer.Option("--out", "-o", help="Name of the layer; by default the method's.")
    ] = None,
    joints: Annotated[
        str, typer.Option("--joints", help="Joint set in which the experts are fused.")
    ] = "main13",
    gamma: Annotated[
        float, typer.Option("--gamma", help="Poses with less confidence are discarded.")
    ] = 0.18,
    prefer: Annotated[
        str, typer.Option("--prefer", help="Layer whose joints take precedence, e.g. human.")
    ] = "",
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fuse the poses of several experts into a further layer of their release.

    Exit code 0: all done; 1: some rejected, see rejects.parquet (2 with --strict);
    2: nothing done.
    """
    from posedata.fuse import fuse as run
    from posedata.fuse import plan_fusion

    try:
        plan = plan_fusion(
            release, [name.strip() for name in experts.split(",")], method=method, layer=layer,
            joints=joints, gamma=gamma, prefer=prefer, limit=limit,
        )  # fmt: skip
        name = plan.options["layer"]
        if dry_run:
            if as_json:
                print_json({"release": release, "clips": len(plan.samples), **plan.options})
            else:
                typer.echo(f"would fuse {len(plan.samples):,} clips into the layer {name}")
            return
        summary = run(plan, resume=resume, num_workers=num_workers, progress=not quiet)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({**asdict(summary), "layer": name})
    else:
        typer.echo(f"{summary.name}: {summary.clips:,} clips, {summary.poses:,} poses in {name} of "
                   f"{summary.out}")  # fmt: skip
        if summary.rejects or summary.warnings:
            typer.echo(f"{summary.rejects:,} rejected, {summary.warnings:,} warnings, "
                       f"all in {summary.out}/rejects.parquet")  # fmt: skip
    if summary.clips == 0:
        raise typer.Exit(FAILED)
    if summary.rejects:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(DONE)
