"""``posedata degrade``: harder videos of the same scenes, and the truth that moves with them."""

from __future__ import annotations

import re
import signal
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posedata.cli import DONE, FAILED, INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import (
    DryRun,
    Json,
    Limit,
    NumWorkers,
    Overwrite,
    Quiet,
    Resume,
    Strict,
)
from posedata.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from posedata.convert import ConvertSummary
    from posedata.converter import Problem, Sample
    from posedata.degraded_videos import Degradation
    from posedata.plan import Plan
    from posedata.storage import Location


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("degrade")(degrade)


def degrade(
    videos: Annotated[
        list[str],
        typer.Argument(help="Videos, folders of them, or folders of numbered images."),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="A folder for CLIP_ID.mp4; of one video, a name .mp4."),
    ],
    size: Annotated[
        str, typer.Option("--size", help="New size, as 320x180. By default as it is.")
    ] = "",
    occluders: Annotated[
        int, typer.Option("--occlude", help="So many rectangles drift over the picture.")
    ] = 0,
    hidden: Annotated[
        float, typer.Option("--hidden", help="Share of the picture that they hide on average.")
    ] = 0.2,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the rectangles; each video has its own.")
    ] = 0,
    release: Annotated[
        str | None, typer.Option("--release", help="Release with the poses of these videos.")
    ] = None,
    layer: Annotated[
        str,
        typer.Option(
            "--layer", "-l", help="Its layers, as a,b. By default all that have 2D poses."
        ),
    ] = "",
    new_release: Annotated[
        str | None,
        typer.Option("--new-release", help="With --release: gets those poses, moved along."),
    ] = None,
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make videos harder to estimate poses on: smaller, and partly hidden.

    With --release and --new-release also a release of their true poses, moved with the picture.
    Exit code 0: all done; 1: some frames (they are black) or videos cannot be read (2 with
    --strict); 2: nothing done.
    """
    from posedata.degraded_release import begin_truth, plan_truth, write_truth
    from posedata.degraded_videos import Degradation, check_folder, degrade_videos
    from posedata.engine import check_num_workers
    from posedata.storage import locate

    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if (release is None) != (new_release is None):
        raise UsageError("--release and --new-release go together: poses of these videos, and "
                         "where they go")  # fmt: skip
    if layer and release is None:
        raise UsageError("--layer is of a --release")
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    if num_workers is not None:
        check_num_workers(num_workers)
    degradation = Degradation(_size(size), occluders, hidden, seed)
    layers = [name for name in layer.split(",") if name]
    samples, problems, layers = _find(videos, release, layers)
    samples = samples[:limit]
    place = locate(out)
    is_file = PurePosixPath(place.path).suffix.lower() == ".mp4"
    if is_file:
        _check_file(place, samples, resume=resume, overwrite=overwrite)
    elif PurePosixPath(place.path).suffix.lower() in (".avi", ".mkv", ".mov", ".webm"):
        raise UsageError("-o", found=out, expected="a folder, or a name that ends in .mp4")
    elif not dry_run:
        check_folder(place, samples, resume=resume, overwrite=overwrite)
    plan = None
    if release is not None:
        plan = plan_truth(release, layers, samples, problems, degradation, limit=limit)
    if dry_run:
        _show_plan(samples, problems, degradation, out, plan, new_release, as_json)
        return
    summary: ConvertSummary | None = None
    try:
        begun: Any = {}
        if plan is not None and new_release is not None:
            begun = begin_truth(plan, locate(new_release), resume=resume, overwrite=overwrite)
        if is_file:
            records = [_one(samples[0], degradation, place, progress=not quiet)]
        else:
            records = degrade_videos(
                samples, problems, degradation, place, resume=resume, overwrite=overwrite,
                num_workers=num_workers, progress=not quiet,
            )  # fmt: skip
        if plan is not None and new_release is not None:
            summary = begun if not isinstance(begun, dict) else write_truth(
                plan, locate(new_release), degradation, begun, records,
                num_workers=num_workers, progress=not quiet,
            )  # fmt: skip
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        goes_on = "the same command with --resume goes on"
        typer.echo(f"posedata: interrupted; {'no video is written' if is_file else goes_on}",
                   err=True)  # fmt: skip
        raise typer.Exit(INTERRUPTED) from None
    _show(place, records, problems, degradation, summary, is_file=is_file, as_json=as_json)
    made = [record for record in records if "error" not in record]
    if not made:
        raise typer.Exit(FAILED)
    if problems or len(made) < len(records):
        raise typer.Exit(FAILED if strict else WITH_REJECTS)
    raise typer.Exit(WITH_REJECTS if any(record["black"] for record in made) else DONE)


def _find(
    videos: list[str], release: str | None, layers: list[str]
) -> tuple[list[Sample], list[Problem], list[str]]:
    """Find the videos and, by their names, the clips of the release that they show."""
    from posedata.find_videos import find_videos

    known = opened = None
    if release is not None:
        from posedata.degraded_release import choose_layers, clips_of, with_sizes
        from posedata.release import open_release

        opened = open_release(release)
        layers = choose_layers(opened, layers)
        known = set().union(*clips_of(opened, layers).values())
    samples, problems = find_videos(videos, known)
    if not samples:
        if known is None:
            raise InputError("no videos to degrade", path=", ".join(videos),
                             found=f"{problems[0].source}: {problems[0].reason}")  # fmt: skip
        examples = sorted(known)[:3]
        raise InputError(
            f"no video of a clip of {', '.join(layers)}: {problems[0].reason}",
            path=", ".join(videos), expected=f"a name such as {', '.join(examples) or 'none'}",
            remedy="Name the videos as the release names its clips.",
        )  # fmt: skip
    if opened is not None:
        samples = with_sizes(opened, samples)
    return samples, problems, layers


def _check_file(
    place: Location, samples: Sequence[Sample], *, resume: bool, overwrite: bool
) -> None:
    if len(samples) > 1:
        raise UsageError("several videos make no single file", found=f"{len(samples)} videos, "
                         f"-o {place}", remedy="Name a folder: -o FOLDER.")  # fmt: skip
    if resume:
        raise UsageError("--resume is for a folder of videos", found=f"-o {place}",
                         remedy="A video appears when it is complete: give --overwrite to make "
                         "it again.")  # fmt: skip
    if str(place) == str(samples[0].info["place"]):
        raise UsageError("-o is the video itself", found=str(place), remedy="Give another -o.")
    if place.exists() and (place.fs.isdir(place.path) or not overwrite):
        raise OutputError("the output exists already", path=place,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip


def _one(
    sample: Sample, degradation: Degradation, place: Location, *, progress: bool
) -> dict[str, Any]:
    """Make one video; what is wrong with it is wrong with the command."""
    from posedata.degraded_videos import VideoTask, run_tasks

    (record,) = run_tasks([VideoTask(0, sample, degradation, place)], 1, progress)
    if "error" in record:
        raise InputError(record["error"], path=sample.info["place"],
                         position=record["position"] or None)  # fmt: skip
    return dict(record)


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text, re.ASCII)
    if match is None:
        raise UsageError("--size", found=repr(text), expected="width x height, as 320x180")
    return int(match[1]), int(match[2])


def _show_plan(
    samples: Sequence[Sample], problems: Sequence[Problem], degradation: Degradation, out: str,
    plan: Plan | None, new_release: str | None, as_json: bool,
) -> None:  # fmt: skip
    layers = [] if plan is None else [layer.name for layer in plan.description.layers]
    if as_json:
        print_json({
            "out": out, "videos": len(samples), **degradation.options, "new_release": new_release,
            "layers": layers, "problems": [asdict(problem) for problem in problems],
        })  # fmt: skip
        return
    typer.echo(f"would degrade {len(samples):,} videos into {out}")
    if plan is not None:
        typer.echo(f"would move their poses in {', '.join(layers)} into the new release "
                   f"{new_release}")  # fmt: skip
    for problem in problems:
        typer.echo(f"would reject {problem.source}: {problem.reason}")


def _show(
    place: Location, records: Sequence[Mapping[str, Any]], problems: Sequence[Problem],
    degradation: Degradation, summary: ConvertSummary | None, *, is_file: bool, as_json: bool,
) -> None:  # fmt: skip
    made = [record for record in records if "error" not in record]
    frames = sum(record["num_frames"] for record in made)
    options = degradation.options
    if as_json:
        print_json(_document(place, made, records, problems, options, summary, is_file=is_file))
    else:
        behind = ""
        if options["occluders"]:
            behind = (
                f", {options['occluders']} occluders that hide {options['hidden']:.0%} on average"
            )
        sizes = sorted({f"{record['width']}x{record['height']}" for record in made})
        what = "" if is_file else f"{len(made):,} videos, "
        of = sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes"
        typer.echo(f"{place}: {what}{frames:,} frames of {of}{behind}")
        if summary is not None:
            typer.echo(f"{summary.name}: {summary.clips:,} clips, {summary.poses:,} poses in "
                       f"{summary.out}")  # fmt: skip
    for record in made:
        for first, count, reason in record["black"]:
            name = "" if is_file else f"{record['clip_id']}: "
            typer.echo(f"black: {name}{count:,} frames from {first:,} on: {reason}", err=True)
    for problem in problems:
        typer.echo(f"rejected: {problem.source}: {problem.reason}", err=True)
    for record in records:
        if "error" in record:
            typer.echo(f"rejected: {record['source']}: {record['error']}", err=True)


def _document(
    place: Location, made: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem], options: Mapping[str, Any], summary: ConvertSummary | None,
    *, is_file: bool,
) -> dict[str, Any]:  # fmt: skip
    rejects = [{"source": problem.source, "reason": problem.reason} for problem in problems]
    rejects += [{"source": r["source"], "reason": r["error"]} for r in records if "error" in r]
    document = {
        "out": str(place), **options,
        "videos": len(made), "frames": sum(record["num_frames"] for record in made),
        "unreadable_frames": sum(black[1] for record in made for black in record["black"]),
        "rejects": rejects, "release": None if summary is None else asdict(summary),
    }  # fmt: skip
    if is_file:
        (one,) = made
        old_width, old_height = one["old_picture"]
        document |= {"width": one["width"], "height": one["height"], "old_width": old_width,
                     "old_height": old_height}  # fmt: skip
    return document
