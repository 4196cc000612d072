"""``posedata heatmaps``: PoseConv3D's volumes of a release, on disk."""

from __future__ import annotations

import math
import re
import signal
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posedata.cli import FAILED, INTERRUPTED, WITH_REJECTS, print_json
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
from posedata.cli.sizes import human_bytes
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.heatmap_plan import VolumePlan

_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("heatmaps")(heatmaps)


def heatmaps(
    release: Annotated[str, typer.Argument(help="Release with 2D poses.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder or URL of the volumes.")],
    layer: Annotated[
        str | None, typer.Option("--layer", "-l", help="Whose poses. By default the only layer.")
    ] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="E.g. xsub.")] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="E.g. train. By default all clips.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Channels: joint, limb or both.")] = "joint",
    frames: Annotated[int, typer.Option("--frames", help="T, by uniform sampling.")] = 48,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Every frame instead, so that T differs.")
    ] = False,
    sampling: Annotated[
        str, typer.Option("--sampling", help="test: the middle of each segment; train: random.")
    ] = "test",
    clips: Annotated[
        int, typer.Option("--clips", help="Volumes of each clip, of different frames.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of --sampling train.")] = 0,
    size: Annotated[str, typer.Option("--size", help="WIDTHxHEIGHT of a map.")] = "56x56",
    sigma: Annotated[float, typer.Option("--sigma", help="Of the Gaussians, in its pixels.")] = 0.6,
    persons: Annotated[
        int, typer.Option("--persons", help="Most people of a clip, the most present first.")
    ] = 2,
    merge: Annotated[
        str, typer.Option("--merge", help="How people share a channel: max or sum.")
    ] = "max",
    dtype: Annotated[
        str, typer.Option("--dtype", help="uint8 (255 times the value), float16 or float32.")
    ] = "uint8",
    crop: Annotated[
        bool, typer.Option("--crop/--no-crop", help="Crop to a square around the people.")
    ] = True,
    skeleton: Annotated[
        str | None, typer.Option("--skeleton", help="Map joints to these, e.g. coco17.")
    ] = None,
    limbs: Annotated[
        str, typer.Option("--limbs", help="bones; or for coco17 the list of pyskl or mmaction2.")
    ] = "bones",
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    strict: Strict = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw heatmap volumes (K x T x H x W) of clips, as PoseConv3D reads them, into Parquet files.

    A clip in which nobody is gets a volume of zeros, and a warning in rejects.parquet. Exit code
    0: all done; 1: some clips are rejected; 2: nothing done.
    """
    from posedata.heatmap_volumes import VolumeOptions, make_volumes, plan_volumes

    height_and_width = _size(size)
    options = VolumeOptions(
        kind=kind, frames=None if all_frames else frames, clips=clips, sampling=sampling,  # type: ignore[arg-type]
        seed=seed, size=height_and_width, sigma=sigma, persons=persons, merge=merge,  # type: ignore[arg-type]
        dtype=dtype, crop=crop, limbs=limbs,  # type: ignore[arg-type]
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clips that the layer lacks are among the rejects
        plan = plan_volumes(release, layer, protocol=protocol, split=split, skeleton=skeleton,
                            options=options, limit=limit)  # fmt: skip
    if dry_run:
        _show_plan(plan, out, as_json)
        return
    try:
        content = make_volumes(plan, out, resume=resume, overwrite=overwrite,
                               num_workers=num_workers, progress=not quiet)  # fmt: skip
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show(plan, content, out, as_json)
    if content["counts"]["rejects"]:
        raise typer.Exit(FAILED if strict else WITH_REJECTS)


def _show_plan(plan: VolumePlan, out: str, as_json: bool) -> None:
    import numpy as np

    options, selection = plan.options, plan.selection
    shape = [plan.num_channels, options.frames, *options.size]
    volumes = len(plan.clip_ids) * options.clips
    if as_json:
        print_json({
            "out": out, "layer": selection.layer, "skeleton": selection.skeleton.name,
            "clips": len(plan.clip_ids), "volumes": volumes, "shape": shape,
            "dtype": options.dtype, "files": len(plan.shards), "lacking": len(selection.lacking),
        })  # fmt: skip
        return
    typer.echo(f"would draw {volumes:,} volumes of {len(plan.clip_ids):,} clips of layer "
               f"{selection.layer}, {_shape(shape)} {options.dtype}, to {out}, files: "
               f"{len(plan.shards)}")  # fmt: skip
    if options.frames is not None:
        size = plan.num_channels * options.frames * math.prod(options.size)
        raw = volumes * size * np.dtype(options.dtype).itemsize
        typer.echo(f"that is {human_bytes(raw)} before compression")
    if selection.lacking:
        typer.echo(f"would reject {len(selection.lacking):,} clips that the layer lacks, e.g. "
                   f"{selection.lacking[0]}")  # fmt: skip


def _show(plan: VolumePlan, content: dict[str, Any], out: str, as_json: bool) -> None:
    from posedata.release_files import read_small_table
    from posedata.storage import locate

    counts, place = content["counts"], locate(out)
    size = sum(entry["bytes"] for entry in content["files"].values())
    if as_json:
        print_json({"out": str(place), "layer": plan.selection.layer, **counts, "bytes": size,
                    "shape": content["shape"], "dtype": content["dtype"]})  # fmt: skip
    else:
        typer.echo(f"{counts['volumes']:,} volumes of {counts['clips']:,} clips, "
                   f"{_shape(content['shape'])} {content['dtype']}, {human_bytes(size)} in "
                   f"{place}")  # fmt: skip
        if counts["empty"]:
            typer.echo(f"{counts['empty']:,} of them show nobody and are 0: people = 0 in "
                       "index.parquet")  # fmt: skip
        if counts["rejects"]:
            typer.echo(f"{counts['rejects']:,} clips rejected, all in {place}/rejects.parquet")
    if not counts["rejects"]:
        return
    rows = read_small_table(place / "rejects.parquet").to_pylist()
    rejected = [row for row in rows if row["severity"] == "reject"]
    for row in rejected[:_SHOWN]:
        typer.echo(f"  {row['source']}: {row['reason']}", err=True)
    if len(rejected) > _SHOWN:
        typer.echo("  ...", err=True)


def _shape(shape: list[int | None]) -> str:
    return " x ".join("T" if side is None else str(side) for side in shape)


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text, re.ASCII)
    if match is None:
        raise UsageError("--size", found=repr(text), expected="WIDTHxHEIGHT, e.g. 56x56")
    return int(match[2]), int(match[1])
