"""``posedata estimate``: poses from videos."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from posedata.cli import DONE, FAILED, INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import DryRun, Json, Limit, Overwrite, Quiet, Resume, Strict
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.estimate import EstimateSummary
    from posedata.estimate_plan import EstimatePlan

_SHOWN_PROBLEMS = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("estimate")(estimate)


def estimate(
    videos: Annotated[
        list[str],
        typer.Argument(help="Videos, folders of them, or folders of numbered images."),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="Release that gets the layers; made if not there."),
    ],
    expert: Annotated[
        list[str],
        typer.Option(
            "--expert", "-e", help="[LAYER=]NAME[:MODEL]; several times. See posedata experts list."
        ),
    ] = ["mediapipe"],  # noqa: B006
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector", "-d",
            help="NAME[:MODEL] that finds people, e.g. onnx:rtmdet.onnx. By default mediapipe, "
            "which finds one.",
        ),
    ] = None,
    detector_score: Annotated[
        float, typer.Option("--detector-score", help="Least score of a person, 0 to 1.")
    ] = 0.4,
    boxes: Annotated[
        str, typer.Option("--boxes", help="Layer of the release that tells where people are.")
    ] = "",
    whole_frames: Annotated[
        bool,
        typer.Option("--whole-frames", help="Nobody looks for people: one fills the frame."),
    ] = False,
    mirrored: Annotated[
        bool,
        typer.Option("--mirrored", help="The videos of this new release are mirrored (NTU)."),
    ] = False,
    keep_sides: Annotated[
        bool,
        typer.Option("--keep-sides", help="Do not swap left and right of mirrored videos."),
    ] = False,
    device: Annotated[
        str, typer.Option("--device", help="What experts run on: cpu, cuda, cuda:1.")
    ] = "cpu",
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds that an expert may take to answer.")
    ] = 300.0,
    num_workers: Annotated[
        int,
        typer.Option(
            "--num-workers", "-j",
            help="Videos at a time. By default 1, since experts use all cores by themselves.",
        ),
    ] = 1,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Estimate poses on videos: one layer of a release for each expert.

    Exit code 0: all done; 1: some rejected, see rejects.parquet (2 with --strict);
    2: nothing done.
    """
    from posedata.estimate import estimate as run
    from posedata.estimate_plan import plan_estimate
    from posedata.estimate_setup import Setup, close_sessions
    from posedata.expert import parse_spec

    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if sum(map(bool, (detector, boxes, whole_frames))) > 1:
        raise UsageError("--detector, --boxes and --whole-frames exclude each other")
    if not 0 <= detector_score <= 1:
        raise UsageError("--detector-score", found=detector_score, expected="0 to 1")
    if not timeout > 0:
        raise UsageError("--timeout", found=timeout, expected="more than 0 seconds")
    setup = Setup(
        experts=tuple(parse_spec(text) for text in expert),
        detector=None if detector is None else parse_spec(detector),
        detector_score=detector_score, boxes=boxes, whole_frames=whole_frames, device=device,
        timeout=timeout, keep_sides=keep_sides,
    )  # fmt: skip
    try:
        plan = plan_estimate(videos, out, setup, mirrored=mirrored, limit=limit, resume=resume,
                             overwrite=overwrite)  # fmt: skip
        if dry_run:
            close_sessions()
            _show_plan(plan, out, as_json)
            return
        if not (quiet or as_json):
            _say_who_finds_people(plan)
        summary = run(plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers,
                      progress=not quiet)  # fmt: skip
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        close_sessions()
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show_summary(plan, summary, as_json)
    if summary.release.clips == 0:
        raise typer.Exit(FAILED)
    if summary.release.rejects:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(DONE)


def _say_who_finds_people(plan: EstimatePlan) -> None:
    for layer in plan.plan.description.layers:
        source = layer.made_by.get("people_from")
        if source is None:
            who = "finds people itself"
        elif "layer" in source:
            who = f"people from the layer {source['layer']}"
        elif "detector" in source:
            who = f"people from {plan.setup.detector}, score {source['least_score']} and more"
        else:
            who = "one person a frame; for several give --detector onnx:MODEL"
        typer.echo(f"{layer.name}: {layer.skeleton}, {layer.made_by['version']}, "
                   f"{layer.made_by['device']}; {who}", err=True)  # fmt: skip


def _show_plan(plan: EstimatePlan, out: str, as_json: bool) -> None:
    layers = {layer.name: dict(layer.made_by) for layer in plan.plan.description.layers}
    if as_json:
        print_json({
            "out": out, "videos": len(plan.plan.samples), "bytes": plan.plan.raw_bytes,
            "layers": layers, "into": plan.plan.base.name if plan.plan.base else None,
            "problems": [asdict(problem) for problem in plan.plan.problems],
        })  # fmt: skip
        return
    whither = "as further layers into" if plan.plan.base else "into the new release"
    typer.echo(f"would estimate {len(plan.plan.samples):,} videos {whither} {out}")
    _say_who_finds_people(plan)
    for problem in plan.plan.problems:
        typer.echo(f"would reject {problem.source}: {problem.reason}")


def _show_summary(plan: EstimatePlan, summary: EstimateSummary, as_json: bool) -> None:
    release = summary.release
    layers = [layer.name for layer in plan.plan.description.layers]
    if as_json:
        print_json({
            **asdict(release), "layers": layers, "videos": summary.videos,
            "frames": summary.num_frames, "expert_seconds": dict(summary.seconds),
        })  # fmt: skip
        return
    typer.echo(f"{release.name}: {release.clips:,} clips, {release.poses:,} poses in "
               f"{', '.join(layers)} of {release.out}")  # fmt: skip
    if summary.num_frames:
        spent = ", ".join(
            f"{layer} {1000 * seconds / summary.num_frames:.1f} ms"
            for layer, seconds in summary.seconds.items()
        )
        typer.echo(f"{summary.num_frames:,} frames estimated; a frame took {spent}")
    if release.rejects or release.warnings:
        typer.echo(f"{release.rejects:,} rejected, {release.warnings:,} warnings, "
                   f"all in {release.out}/rejects.parquet")  # fmt: skip
        for problem in release.first_rejects[:_SHOWN_PROBLEMS]:
            place = ", ".join(part for part in (problem.source, problem.position) if part)
            typer.echo(f"  {place}: {problem.reason}")
