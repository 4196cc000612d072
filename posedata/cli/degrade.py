"""``posedata degrade``: a harder video of the same scene."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

import typer

from posedata.cli import INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import Json, Overwrite, Quiet
from posedata.errors import OutputError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("degrade")(degrade)


def degrade(
    video: Annotated[str, typer.Argument(help="The video, or a folder of numbered images.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A video .mp4 (H.264).")],
    size: Annotated[
        str, typer.Option("--size", help="New size, as 320x180. By default as it is.")
    ] = "",
    occluders: Annotated[
        int, typer.Option("--occlude", help="So many rectangles drift over the picture.")
    ] = 0,
    hidden: Annotated[
        float, typer.Option("--hidden", help="Share of the picture that they hide on average.")
    ] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of the rectangles.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a video harder to estimate poses on: smaller, and partly hidden.

    Exit code 0: all done; 1: some frames cannot be read, and are black; 2: nothing done.
    """
    from tqdm import tqdm

    from posedata.degrade import degrade_frames, make_occluders
    from posedata.draw_video import DEFAULT_FPS
    from posedata.storage import locate
    from posedata.video import Damage, probe_video
    from posedata.video_writer import write_video

    place = locate(out)
    if PurePosixPath(place.path).suffix.lower() != ".mp4":
        raise UsageError("-o", found=out, expected="a name that ends in .mp4")
    if place.exists() and (place.fs.isdir(place.path) or not overwrite):
        raise OutputError("the output exists already", path=place,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    if seed < 0:
        raise UsageError("--seed", found=seed, expected="0 or more")
    new_size = _size(size)
    source = probe_video(video)
    rectangles = make_occluders(
        occluders, seed, share=hidden, aspect=source.width / source.height
    )  # fmt: skip
    damages: list[Damage] = []
    pictures = degrade_frames(source, damages, size=new_size, occluders=rectangles)
    bar = tqdm(pictures, total=source.num_frames, unit="frame", disable=True if quiet else None,
               dynamic_ncols=True)  # fmt: skip
    try:
        count = write_video(place, bar, source.fps or DEFAULT_FPS)
    except KeyboardInterrupt:
        typer.echo("posedata: interrupted; nothing is written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    width, height = new_size or (source.width, source.height)
    if as_json:
        print_json({
            "out": str(place), "frames": count, "width": width, "height": height,
            "old_width": source.width, "old_height": source.height, "occluders": occluders,
            "hidden": hidden if occluders else 0.0, "seed": seed,
            "unreadable_frames": sum(damage.num_frames or 0 for damage in damages),
        })  # fmt: skip
    else:
        behind = f", {occluders} occluders that hide {hidden:.0%} on average" if occluders else ""
        typer.echo(f"{place}: {count:,} frames of {width}x{height}{behind}")
    for damage in damages:
        frames = "all" if damage.num_frames is None else f"{damage.num_frames:,}"
        typer.echo(f"black: {frames} frames from {damage.first_frame:,} on: {damage.reason}",
                   err=True)  # fmt: skip
    if damages:
        raise typer.Exit(WITH_REJECTS)


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text, re.ASCII)
    if match is None:
        raise UsageError("--size", found=repr(text), expected="width x height, as 320x180")
    return int(match[1]), int(match[2])
