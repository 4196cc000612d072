"""``posedata draw``: the layers of a clip drawn on its video."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from posedata.cli import INTERRUPTED, WITH_REJECTS, print_json
from posedata.cli.options import Json, Overwrite, Quiet
from posedata.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from posedata.clip import Clip
    from posedata.release import Release
    from posedata.storage import Location

_PICTURES = (".png", ".jpg", ".jpeg")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("draw")(draw)


def draw(
    video: Annotated[str, typer.Argument(help="The video, or a folder of numbered images.")],
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="A video .mp4 (H.264), or one picture .png or .jpg."),
    ],
    release: Annotated[
        str | None,
        typer.Option("--release", help="Release with the poses. By default the one that is here."),
    ] = None,
    layer: Annotated[
        str,
        typer.Option("--layer", "-l", help="Layers, as a,b. By default all that have 2D poses."),
    ] = "",
    clip: Annotated[
        str | None,
        typer.Option("--clip", help="Clip id. By default by the name of the video."),
    ] = None,
    frames: Annotated[
        str, typer.Option("--frames", help="One frame, as 30, or 10:50 (without 50), 10:, :50.")
    ] = ":",
    scale: Annotated[
        float, typer.Option("--scale", help="Size of the result over that of the video.")
    ] = 1.0,
    boxes: Annotated[bool, typer.Option("--boxes", help="Draw people's boxes, too.")] = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="Draw PoseConv3D's heatmaps of one layer instead.")
    ] = False,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Of heatmaps: joint (by default), limb or both.")
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option("--sigma", help="Of heatmaps, in pixels. By default as the network's maps."),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw poses on a video: a colour for each person, a style for each layer.

    Scores are opacity; missing joints are not drawn. With --heatmaps, a colour for each part of the
    body. Exit code 0: all done; 1: some frames cannot be read, and are black; 2: nothing done.
    """
    from tqdm import tqdm

    from posedata.draw_video import draw_frames, fps_of
    from posedata.storage import locate
    from posedata.video import Damage, probe_video
    from posedata.video_writer import write_video

    place = locate(out)
    suffix = PurePosixPath(place.path).suffix.lower()
    if suffix not in (".mp4", *_PICTURES):
        raise UsageError("-o", found=out,
                         expected=f"a name that ends in .mp4, {', '.join(_PICTURES)}")  # fmt: skip
    if place.exists() and (place.fs.isdir(place.path) or not overwrite):
        raise OutputError("the output exists already", path=place,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    if heatmaps:
        from posedata.draw_heatmaps import check_kind, check_sigma, draw_heatmap_frames

        check_kind(kind or "joint")
        if sigma is not None:
            check_sigma(sigma)
        if boxes:
            raise UsageError("--boxes are drawn with poses, not with --heatmaps")
    elif kind is not None or sigma is not None:
        raise UsageError("--kind and --sigma are those of --heatmaps")
    poses = _release(release)
    clip_id = _clip_id(video, poses) if clip is None else clip
    clips = _clips(poses, clip_id, [name for name in layer.split(",") if name])
    if heatmaps and len(clips) > 1:
        raise UsageError("heatmaps of which layer?",
                         found=", ".join(of_layer.layer for of_layer in clips),
                         remedy="Name one: --layer LAYER.")  # fmt: skip
    source = probe_video(video)
    wanted = _frames(frames, source.num_frames)
    if suffix != ".mp4" and len(wanted) != 1:
        raise UsageError("a picture is of one frame", found=f"--frames {frames}",
                         remedy="Name one, as in --frames 30.")  # fmt: skip
    damages: list[Damage] = []
    if heatmaps:
        pictures = draw_heatmap_frames(source, clips[0], wanted, damages, kind=kind or "joint",
                                       sigma=sigma, scale=scale)  # fmt: skip
    else:
        pictures = draw_frames(source, clips, wanted, damages, scale=scale, boxes=boxes)
    if suffix != ".mp4":
        _write_picture(place, suffix, pictures, damages)
    else:
        hidden = True if quiet else None
        bar = tqdm(pictures, total=len(wanted), unit="frame", disable=hidden, dynamic_ncols=True)
        try:
            write_video(place, bar, fps_of(source, clips))
        except KeyboardInterrupt:
            typer.echo("posedata: interrupted; nothing is written", err=True)
            raise typer.Exit(INTERRUPTED) from None
    _show(place, clip_id, clips, source.num_frames, wanted, damages, as_json)
    if damages:
        raise typer.Exit(WITH_REJECTS)


def _release(place: str | None) -> Release:
    """Open the release that is named, or the only one here: this folder, or one in it."""
    from posedata.manifest import FILE_NAME
    from posedata.release import open_release

    if place is not None:
        return open_release(place)
    here = Path(FILE_NAME).is_file()
    found = ["."] if here else sorted(str(file.parent) for file in Path().glob(f"*/{FILE_NAME}"))
    if len(found) != 1:
        raise UsageError("which release?", found=", ".join(found[:5]) or "none in this folder",
                         remedy="Name it: --release RELEASE.")  # fmt: skip
    return open_release(found[0])


def _clip_id(video: str, release: Release) -> str:
    from posedata.find_videos import find_videos

    known = release.clips()["clip_id"].to_pylist()
    samples, problems = find_videos([video], set(known))
    if len(samples) > 1:
        raise UsageError("one video at a time", path=video, found=f"{len(samples)} videos")
    if not samples:
        raise UsageError(
            problems[0].reason, path=video,
            expected="a video named as one of " + ", ".join(known[:3] + ["..."] * (len(known) > 3)),
            remedy="Name the clip: --clip CLIP_ID.",
        )  # fmt: skip
    return samples[0].clip_id


def _clips(release: Release, clip_id: str, layers: list[str]) -> list[Clip]:
    """Read the layers that are named; by default those that have 2D poses of the clip."""
    if layers:
        return [release.clip(clip_id, name) for name in layers]
    clips: list[Clip] = []
    for name in release.layers:
        if "keypoints_2d" in release.table(name).pose_columns:
            clips += release.iter_clips(name, where={"clip_id": clip_id})
    if not clips:
        raise UsageError(f"no layer with 2D poses of clip {clip_id!r}", path=release.place,
                         found=f"layers {', '.join(release.layers) or 'none'}")  # fmt: skip
    return clips


def _frames(text: str, num_frames: int) -> range:
    match = re.fullmatch(r"(?P<one>\d{1,9})|(?P<first>\d{0,9}):(?P<stop>\d{0,9})", text, re.ASCII)
    if match is None:
        raise UsageError("--frames", found=repr(text), expected="as 30, 10:50, 10: or :50")
    if match["one"]:
        return range(int(match["one"]), int(match["one"]) + 1)
    return range(int(match["first"] or 0), int(match["stop"] or num_frames))


def _write_picture(
    place: Location, suffix: str, pictures: Iterator[np.ndarray], damages: list
) -> None:
    import cv2

    (picture,) = pictures
    if damages:
        raise InputError("the frame cannot be read", position=f"frame {damages[0].first_frame}",
                         found=damages[0].reason)  # fmt: skip
    _, encoded = cv2.imencode(suffix, picture[..., ::-1])
    place.write_bytes(encoded.tobytes())


def _show(
    place: Location, clip_id: str, clips: list[Clip], num_frames: int, frames: range,
    damages: list, as_json: bool,
) -> None:  # fmt: skip
    beyond = {clip.layer: int((clip.frames >= num_frames).sum()) for clip in clips}
    unreadable = sum(damage.num_frames for damage in damages)
    if as_json:
        print_json({
            "out": str(place), "clip_id": clip_id, "layers": [clip.layer for clip in clips],
            "first_frame": frames.start, "frames": len(frames), "unreadable_frames": unreadable,
            "poses_beyond_the_video": sum(beyond.values()),
        })  # fmt: skip
    else:
        what = f"frame {frames.start}" if len(frames) == 1 else f"{len(frames):,} frames"
        typer.echo(f"{place}: {what} of {clip_id}, {', '.join(clip.layer for clip in clips)}")
    for name, count in beyond.items():
        if count:
            typer.echo(f"{count:,} poses of layer {name} are beyond the video's {num_frames:,} "
                       "frames", err=True)  # fmt: skip
    for damage in damages:
        typer.echo(f"black: {damage.num_frames:,} frames from {damage.first_frame:,} on: "
                   f"{damage.reason}", err=True)  # fmt: skip
