"""``posedata pseudo-label``: pseudo ground truth for training a detector of poses."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from posedata.cli import INTERRUPTED, print_json
from posedata.cli.options import DryRun, Json, Limit, NumWorkers, Overwrite, Quiet, Resume
from posedata.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from posedata.plan import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pseudo-label")(pseudo_label)


def pseudo_label(
    release: Annotated[str, typer.Argument(help="Release with the poses; it gets the labels.")],
    layer: Annotated[str, typer.Option("--layer", "-l", help="Of which layer.")] = "ssta",
    anchors: Annotated[
        str | None,
        typer.Option("--anchors", help="Layer whose anchors name the classes; by default --layer."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the new layer.")] = "pseudo",
    videos: Annotated[float, typer.Option("--videos", help="Share of the videos to take.")] = 0.1,
    frames: Annotated[
        float, typer.Option("--frames", help="Share of the frames of each to take.")
    ] = 0.1,
    validation: Annotated[
        float, typer.Option("--validation", help="Share of those videos kept for validation.")
    ] = 0.2,
    widen: Annotated[
        float, typer.Option("--widen", help="Boxes are larger than the pose by this part.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Of what is taken.")] = 0,
    out: Annotated[
        str, typer.Option("--out", "-o", help="COCO files: X.json is X_train.json, X_val.json.")
    ] = "pseudo.json",
    file_name: Annotated[
        str | None,
        typer.Option("--file-name", help="Of images, by default '{clip_id}/{frame:06d}.jpg'."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="WIDTHxHEIGHT, where the release does not know it.")
    ] = None,
    num_workers: NumWorkers = None,
    limit: Limit = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label a sample of poses with box, class (nearest anchor) and confidence.

    They become a layer of the release, and two COCO files whose categories are the anchors.
    --overwrite replaces the files; where the layer is there already, give --resume.
    """
    from posedata.anchor_files import read_anchors
    from posedata.pseudo_coco import FILE_NAME, check_pattern, coco_documents
    from posedata.pseudo_label import plan_pseudo_labels
    from posedata.pseudo_label import pseudo_label as run
    from posedata.release import open_release
    from posedata.storage import locate

    if not out.lower().endswith(".json"):
        raise UsageError("-o", found=out, expected="a name that ends in .json")
    picture = _size(size)
    pattern = file_name or FILE_NAME
    check_pattern(pattern)
    places = {split: locate(f"{out[:-5]}_{split}.json") for split in ("train", "val")}
    for place in places.values():
        if place.exists() and not (overwrite or resume or dry_run):
            raise OutputError("the output exists already", path=place,
                              remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    plan = plan_pseudo_labels(
        release, layer, anchors=anchors, layer=name, videos=videos, frames=frames,
        validation=validation, widen=widen, seed=seed, limit=limit,
    )  # fmt: skip
    if picture is None:
        rows = {row["clip_id"]: row for row in plan.clips}
        for sample in plan.samples:  # before anything is written
            row = rows[sample.clip_id]
            if row.get("width") is None or row.get("height") is None:
                raise InputError("no width and height, which COCO's images have",
                                 path=sample.path,
                                 remedy="Give them with --size WIDTHxHEIGHT.")  # fmt: skip
    if dry_run:
        _show_plan(plan, release, {split: str(place) for split, place in places.items()}, as_json)
        return
    try:
        summary = run(plan, resume=resume, num_workers=num_workers, progress=not quiet)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not break the ending
        typer.echo("posedata: interrupted; the same command with --resume goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    opened = open_release(release)
    classes = len(read_anchors(opened, anchors or layer))
    documents = coco_documents(opened, name, classes, file_name=pattern, size=picture)
    counts = {}
    for split, document in documents.items():
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        places[split].write_bytes(f"{text}\n".encode())
        counts[split] = {
            "file": str(places[split]), "images": len(document["images"]),
            "annotations": len(document["annotations"]),
        }  # fmt: skip
    if as_json:
        print_json({"release": release, "layer": name, "clips": summary.clips,
                    "poses": summary.poses, "warnings": summary.warnings, **counts})  # fmt: skip
        return
    typer.echo(f"{summary.poses:,} labels in {summary.clips:,} clips, in the layer {name} of "
               f"{release}; {summary.warnings:,} warnings")  # fmt: skip
    for split, count in counts.items():
        typer.echo(f"  {split:<5}  {count['annotations']:,} of {count['images']:,} images in "
                   f"{count['file']}")  # fmt: skip


def _show_plan(plan: Plan, release: str, files: dict[str, str], as_json: bool) -> None:
    kept = sum(bool(sample.info["validation"]) for sample in plan.samples)
    name = plan.options["layer"]
    if as_json:
        print_json({"release": release, "layer": name, "clips": len(plan.samples),
                    "validation_clips": kept, "files": files, **plan.options})  # fmt: skip
        return
    typer.echo(f"would label poses of {len(plan.samples):,} clips, {kept:,} of them for "
               f"validation, in a layer {name} of {release}")  # fmt: skip
    typer.echo(f"would write {' and '.join(files.values())}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if match is None:
        raise UsageError("--size", found=repr(text), expected="e.g. 1920x1080")
    return int(match[1]), int(match[2])
