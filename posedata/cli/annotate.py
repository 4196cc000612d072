"""``posedata annotate``: people correct poses in Label Studio."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posedata.cli import INTERRUPTED, print_json
from posedata.cli.annotate_serve import DATA, serve
from posedata.cli.options import DryRun, Json, Overwrite, Quiet, Resume
from posedata.cli.output_file import output_file
from posedata.errors import InputError, UsageError

if TYPE_CHECKING:
    from posedata.label_studio.frame_images import ImagePlace
    from posedata.label_studio.pull import Pulled
    from posedata.release import Release

_URL = "http://127.0.0.1:8080"
_MOST_BYTES = 1 << 32

_annotate = typer.Typer(no_args_is_help=True, help="Let people correct poses in Label Studio.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_annotate, name="annotate")


_annotate.command()(serve)


_Release = Annotated[str, typer.Argument(help="Release with the poses.")]
_Layer = Annotated[str, typer.Option("--layer", "-l", help="Whose poses are corrected.")]
_Url = Annotated[str, typer.Option("--url", help="Of the server.")]
_Project = Annotated[str, typer.Option("--project", help="Title or number of the project.")]
_Videos = Annotated[str, typer.Option("--videos", help="Folder with the clips' videos.")]
_Select = Annotated[
    str,
    typer.Option(
        "--select",
        help="lowest-confidence, disagreement, middle-frame, uniform or random.",
    ),
]
_PerClip = Annotated[int, typer.Option("--per-clip", help="Frames of each clip at most.")]
_FrameLimit = Annotated[
    int | None,
    typer.Option("--limit", help="Frames in all, spread over classes and cameras."),
]
_Against = Annotated[
    str, typer.Option("--against", help="disagreement: with these layers; by default all others.")
]
_Seed = Annotated[int, typer.Option("--seed", help="Of what is drawn.")]
_Data = Annotated[
    Path, typer.Option("--data", help="Folder of posedata annotate serve; images go there.")
]
_Root = Annotated[
    Path | None,
    typer.Option("--document-root", help="Of another server on this machine: images go there."),
]
_Images = Annotated[
    Path | None, typer.Option("--images", help="With --image-url: where images are written.")
]
_ImageUrl = Annotated[
    str | None, typer.Option("--image-url", help="Address under which --images are found.")
]
_Format = Annotated[
    str, typer.Option("--image-format", help="png (the frame exactly) or jpg (much smaller).")
]
_Name = Annotated[str, typer.Option("--name", help="Name of the new layer.")]
_Annotator = Annotated[
    str,
    typer.Option(
        "--annotator",
        help="Of several annotations of a frame: latest, first, agreed, or a user's number or "
        "e-mail address.",
    ),
]
_AllowChanged = Annotated[
    bool,
    typer.Option("--allow-changed", help="Also corrections of poses that are others now."),
]


@_annotate.command()
def push(
    release: _Release,
    videos: _Videos,
    layer: _Layer = "ssta",
    url: _Url = _URL,
    project: _Project = "poses",
    select: _Select = "lowest-confidence",
    per_clip: _PerClip = 1,
    limit: _FrameLimit = None,
    against: _Against = "",
    seed: _Seed = 0,
    data: _Data = DATA,
    document_root: _Root = None,
    images: _Images = None,
    image_url: _ImageUrl = None,
    image_format: _Format = "png",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Send frames with the poses of a layer, as tasks of a project.

    The same command again adds only what is missing. The token comes from LABEL_STUDIO_API_KEY
    or a prompt.
    """
    from posedata.label_studio.client import clean_url, connect
    from posedata.label_studio.push import known_tasks, open_project, push_frames

    clean_url(url)
    base = _open(release, layer)
    place = _image_place(base, data, document_root, images, image_url, image_format)
    found, frames = _frames(base, layer, videos, select, per_clip, limit, against, seed)
    count = sum(map(len, frames.values()))
    if dry_run:
        there = 0
        if os.environ.get("LABEL_STUDIO_API_KEY"):
            server = connect(url)
            number = open_project(server, project, base, layer, create=False)
            known = known_tasks(server, number) if number is not None else {}
            there = sum((clip_id, frame, layer) in known
                        for clip_id, some in frames.items() for frame in some)  # fmt: skip
        if as_json:
            print_json({"project": project, "frames": frames, "there": there,
                        "clips_with_video": len(found), "images": str(place.folder)})  # fmt: skip
            return
        typer.echo(f"would send {count - there:,} frames of {len(frames):,} clips to the project "
                   f"{project!r}, which has {there:,} of the frames already")  # fmt: skip
        typer.echo(f"would write images to {place.folder}")
        return
    server = connect(url)
    try:
        summary = push_frames(server, project, base, layer, frames, found, place,
                              progress=not quiet)  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("posedata: interrupted; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({**asdict(summary), "frames": count, "clips": len(frames)})
        return
    typer.echo(f"{summary.added:,} tasks added, {summary.there:,} were there: {summary.url}")
    if summary.completed:
        typer.echo(f"  {summary.completed:,} that were there without poses have them now")
    if summary.older:
        typer.echo(f"  {summary.older:,} that were there show another state of the layer {layer}; "
                   "for a new round name another --project")  # fmt: skip


@_annotate.command()
def pull(
    release: _Release,
    layer: _Layer = "ssta",
    url: _Url = _URL,
    project: _Project = "poses",
    name: _Name = "human",
    annotator: _Annotator = "latest",
    allow_changed: _AllowChanged = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring corrected frames back, as a layer of the release.

    Only frames that somebody has submitted; a layer is never changed: a later pull gets another
    --name. The token comes from LABEL_STUDIO_API_KEY or a prompt.
    """
    from posedata.label_studio.client import connect, find_project
    from posedata.label_studio.pull import tasks_of_project

    base = _open(release, layer)
    _check_name(base, name, resume or dry_run)
    server = connect(url)
    found = find_project(server, project)
    if found is None:
        raise UsageError(f"no project {project!r}", path=server.url,
                         remedy="posedata annotate push makes it.")  # fmt: skip
    tasks = tasks_of_project(server, int(found["id"]))
    _write(base, release, layer, name, annotator, tasks, allow_changed, resume, dry_run, as_json)


@_annotate.command("export")
def export_tasks(
    release: _Release,
    videos: _Videos,
    out: Annotated[str, typer.Option("--out", "-o", help="A file .json.")] = "tasks.json",
    layer: _Layer = "ssta",
    select: _Select = "lowest-confidence",
    per_clip: _PerClip = 1,
    limit: _FrameLimit = None,
    against: _Against = "",
    seed: _Seed = 0,
    data: _Data = DATA,
    document_root: _Root = None,
    images: _Images = None,
    image_url: _ImageUrl = None,
    image_format: _Format = "png",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the tasks of push to a file, and the labelling configuration beside it (.xml).

    For servers that only a browser reaches: Label Studio imports both.
    """
    from tqdm import tqdm

    from posedata.label_studio.keypoint_config import labelling_config
    from posedata.label_studio.push import iter_frame_tasks

    if not out.lower().endswith(".json"):
        raise UsageError("-o", found=out, expected="a name that ends in .json")
    config_name = f"{out[:-5]}.xml"
    places = [output_file("-o", one, overwrite=overwrite) for one in (out, config_name)]
    base = _open(release, layer)
    place = _image_place(base, data, document_root, images, image_url, image_format)
    found, frames = _frames(base, layer, videos, select, per_clip, limit, against, seed)
    count = sum(map(len, frames.values()))
    tasks = list(tqdm(iter_frame_tasks(base, layer, frames, found, place), total=count,
                      unit="task", desc="export", disable=quiet))  # fmt: skip
    texts = (json.dumps(tasks, ensure_ascii=False), labelling_config(base.skeleton(layer)))
    for one, text in zip(places, texts, strict=True):
        assert one is not None
        one.write_bytes(text.encode())
    if as_json:
        print_json({"tasks": count, "clips": len(frames), "out": out, "config": config_name,
                    "images": str(place.folder)})  # fmt: skip
        return
    typer.echo(f"{count:,} tasks in {out}, the labelling configuration in {config_name}, images "
               f"in {place.folder}")  # fmt: skip


@_annotate.command("import")
def import_export(
    release: _Release,
    export: Annotated[
        Path, typer.Argument(help="What Label Studio exports as JSON (not JSON-MIN).")
    ],
    layer: _Layer = "ssta",
    name: _Name = "human",
    annotator: _Annotator = "latest",
    allow_changed: _AllowChanged = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring corrected frames back from a file that Label Studio has exported.

    Of tasks that posedata has made; for others see posedata convert label_studio.
    """
    from posedata.json_text import parse_json
    from posedata.storage import locate

    base = _open(release, layer)
    _check_name(base, name, resume or dry_run)
    tasks = parse_json(locate(export).read_bytes(_MOST_BYTES), str(export))
    if not isinstance(tasks, list):
        raise InputError("not an export of Label Studio", path=export,
                         expected="a list of tasks")  # fmt: skip
    tasks = [task for task in tasks if isinstance(task, dict)]
    _write(base, release, layer, name, annotator, tasks, allow_changed, resume, dry_run, as_json)


def _write(
    base: Release, release: str, layer: str, name: str, annotator: str, tasks: Any,
    allow_changed: bool, resume: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from posedata.label_studio.annotated_layer import plan_annotated_layer, write_annotated_layer
    from posedata.label_studio.pull import pull_frames

    pulled = pull_frames(tasks, base, layer, annotator=annotator, allow_changed=allow_changed)
    outcome: dict[str, Any] = {
        "release": release, "layer": name, "frames": len(pulled.frames), "states": pulled.states,
        "other_tasks": pulled.others, "corrections": pulled.corrections,
        "agreement": asdict(pulled.agreement) if pulled.agreement.tasks else None,
    }  # fmt: skip
    if not pulled.frames:
        states = ", ".join(f"{count} {state}" for state, count in pulled.states.items())
        raise InputError("no frame of this layer has been annotated", found=states or "no tasks",
                         remedy="Tasks count when somebody has submitted them.")  # fmt: skip
    plan = plan_annotated_layer(
        release, layer, pulled.frames, layer=name,
        options={"annotator": "a user" if "@" in annotator else annotator,
                 "allow_changed": allow_changed},
        made_by={"annotators": pulled.annotators, "corrections": dict(pulled.corrections)},
    )  # fmt: skip
    if not dry_run:
        summary = write_annotated_layer(plan, pulled.frames, resume=resume)
        outcome |= {"clips": summary.clips, "poses": summary.poses, "warnings": summary.warnings}
    if as_json:
        print_json(outcome)
        return
    _show_pulled(pulled, outcome, dry_run=dry_run)


def _show_pulled(pulled: Pulled, outcome: Mapping[str, Any], *, dry_run: bool) -> None:
    if dry_run:
        typer.echo(f"would add {outcome['frames']:,} annotated frames as the layer "
                   f"{outcome['layer']} of {outcome['release']}")  # fmt: skip
    else:
        typer.echo(f"{outcome['poses']:,} poses in {outcome['frames']:,} annotated frames of "
                   f"{outcome['clips']:,} clips, in the layer {outcome['layer']} of "
                   f"{outcome['release']}; {outcome['warnings']:,} warnings")  # fmt: skip
    typer.echo("  tasks: " + ", ".join(f"{n:,} {state}" for state, n in pulled.states.items()))
    if pulled.others:
        typer.echo(f"  tasks of other layers or projects, left alone: {pulled.others:,}")
    changed = ", ".join(f"{count:,} x {kind}" for kind, count in pulled.corrections.items())
    typer.echo(f"  corrections: {changed or 'none'}")
    both = pulled.agreement
    if both.tasks:
        typer.echo(f"  {both.tasks:,} tasks by several people: {both.mean_pixels:.2f} px apart on "
                   f"{both.joints:,} joints; {both.joints_of_one:,} joints and "
                   f"{both.people_of_one:,} people that only one has")  # fmt: skip


def _open(release: str, layer: str) -> Release:
    from posedata.label_studio.push import check_layer
    from posedata.release import open_release

    base = open_release(release)
    check_layer(base, layer)
    return base


def _check_name(base: Release, name: str, may_be_there: bool) -> None:
    if name in base.layers and not may_be_there:
        raise UsageError(f"the release has a layer {name} already", path=base.place,
                         remedy="Layers are never changed: give another --name.")  # fmt: skip


def _image_place(
    base: Release, data: Path, root: Path | None, images: Path | None, url: str | None,
    extension: str,
) -> ImagePlace:  # fmt: skip
    from posedata.label_studio.frame_images import images_elsewhere, local_images
    from posedata.label_studio.server import images_folder

    if (images is None) != (url is None):
        raise UsageError("--images and --image-url go together")
    if images is not None and url is not None:
        return images_elsewhere(images, url, extension)
    if root is None and not images_folder(data).is_dir():
        raise UsageError(
            "where shall images go, so that the server finds them?", path=images_folder(data),
            found="no such folder", expected="--data DIR (of posedata annotate serve), "
            "--document-root DIR (of another server here), or --images DIR --image-url URL",
        )  # fmt: skip
    return local_images(root or images_folder(data), base.name, extension)


def _frames(
    base: Release, layer: str, videos: str, select: str, per_clip: int, limit: int | None,
    against: str, seed: int,
) -> tuple[dict[str, str], dict[str, list[int]]]:  # fmt: skip
    from posedata.label_studio.frame_choice import choose_release_frames
    from posedata.rgb_clip import find_clip_videos

    ids = base.read_table(layer, columns=["clip_id"])["clip_id"].to_pylist()
    found = find_clip_videos(videos, ids)
    if not found:
        raise InputError(f"no video of a clip of the layer {layer}", path=videos,
                         expected=f"names such as {ids[0]}.mp4" if ids else None)  # fmt: skip
    if len(found) < len(ids):
        typer.echo(f"{len(ids) - len(found):,} of {len(ids):,} clips have no video in {videos} "
                   "and are not considered", err=True)  # fmt: skip
    layers = [name for name in against.split(",") if name]
    frames = choose_release_frames(base, layer, found, select, per_clip=per_clip, limit=limit,
                                   against=layers, seed=seed)  # fmt: skip
    if not frames:
        raise InputError("no frames to annotate", path=base.place)
    return found, frames
