"""``posedata convert parquet RELEASE --to FORMAT``: a release to what others read."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from posedata.cli import DONE, FAILED, WITH_REJECTS, print_json

if TYPE_CHECKING:
    from posedata.export import ExportSummary
    from posedata.export_plan import ExportPlan


def export_release(
    release: str, to: str, out: str | None, *, layer: str | None, profile: str | None,
    skeleton: str | None, misfits: str, options: dict[str, str], limit: int | None,
    num_workers: int | None, resume: bool, overwrite: bool, dry_run: bool, strict: bool,
    progress: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run an export and show what it did; see `posedata.cli.convert`."""
    from posedata.errors import UsageError
    from posedata.export import export, plan_export
    from posedata.storage import file_name

    if to == "parquet":
        raise UsageError("--to parquet of a release", remedy="Name another format with --to.")
    if misfits not in ("refuse", "drop"):
        raise UsageError("--misfits", found=repr(misfits), expected="refuse or drop")
    plan = plan_export(release, to, layer=layer, profile=profile, skeleton=skeleton,
                       options=options, limit=limit, drop_misfits=misfits == "drop")  # fmt: skip
    name = plan.release.name + (f"-{profile}" if profile and profile != to else "")
    out = out or file_name(f"{name}-{to}{plan.exporter.suffix}")
    if dry_run:
        _show_plan(plan, out, as_json)
        return
    summary = export(plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers,
                     progress=progress)  # fmt: skip
    _show(summary, as_json)
    if summary.misfits:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(DONE)


def _show_plan(plan: ExportPlan, out: str, as_json: bool) -> None:
    clips = plan.release.manifest.counts["clips"] if plan.clip_ids is None else len(plan.clip_ids)
    if as_json:
        print_json({"out": out, "clips": clips, **plan.fingerprint()})
        return
    profile = f", profile {plan.target.profile.name}" if plan.target.profile else ""
    typer.echo(f"would write {clips:,} clips of {plan.release.name}, layer {plan.target.layer}, "
               f"joint set {plan.target.skeleton}{profile}, to {out}")  # fmt: skip
    for step in plan.target.profile.steps if plan.target.profile else ():
        typer.echo(f"  {step.name}: {step.about}")


def _show(summary: ExportSummary, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    typer.echo(f"{summary.clips:,} clips in {summary.out}")
    for change in summary.changes:
        typer.echo(f"  {change['step']}: {change['what']}: {change['amount']:,} "
                   f"in {change['clips']:,} clips")  # fmt: skip
    for joint in summary.joints:
        if joint["how"] != "exact":
            rule = f" ({joint['rule']})" if joint["rule"] else ""
            typer.echo(f"  joint {joint['joint']}: {joint['how']}{rule}")
    if summary.misfits:
        typer.echo(f"  left out {len(summary.misfits):,} clips that the format cannot hold")
    typer.echo(f"what was dropped or changed is in {summary.report}")
