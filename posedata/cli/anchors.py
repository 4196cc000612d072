"""``posedata anchors``: the few poses that stand for all of a layer."""

from __future__ import annotations

from typing import Annotated

import typer

from posedata.cli import print_json
from posedata.cli.options import Json, Overwrite
from posedata.errors import OutputError, UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("anchors")(anchors)


def anchors(
    release: Annotated[str, typer.Argument(help="Release with the poses; it gets the anchors.")],
    layer: Annotated[
        str | None, typer.Option("--layer", "-l", help="Of which layer. By default the only one.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample and the k-means.")] = 0,
    most_poses: Annotated[
        int, typer.Option("--most-poses", help="Of a larger layer, a sample of so many poses.")
    ] = 1_000_000,
    picture: Annotated[
        str | None, typer.Option("--out", "-o", help="Also a picture of them, .svg.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find the anchor poses of a layer by k-means, and store them in the release.

    They are in anchors/LAYER.parquet: class, count, keypoints in units of the longer side of a
    pose's box.
    """
    from posedata.anchor_files import anchors_path, check_place, sample_poses, store_anchors
    from posedata.anchor_picture import anchors_svg
    from posedata.anchors import fit_anchors
    from posedata.release import open_release
    from posedata.storage import locate

    opened = open_release(release)
    name = opened.table(layer).layer
    if picture is not None and not picture.lower().endswith(".svg"):
        raise UsageError("-o", found=picture, expected="a name that ends in .svg")
    target = None if picture is None else locate(picture)
    if target is not None and target.exists() and not overwrite:
        raise OutputError("the output exists already", path=target,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    check_place(opened, name, overwrite=overwrite)
    poses, total = sample_poses(opened, name, most_poses, seed)
    found = fit_anchors(poses, k, seed)
    options = {"k": k, "seed": seed, "most_poses": most_poses}
    store_anchors(opened, name, found, options, overwrite=overwrite)
    if target is not None:
        svg = anchors_svg(found.keypoints, found.counts, opened.skeleton(name))
        target.write_bytes(svg.encode())
    took_part = int(found.counts.sum())
    if as_json:
        print_json({
            "release": release, "layer": name, "file": anchors_path(name), "poses": total,
            "sampled": len(poses), "took_part": took_part, "incomplete": found.num_incomplete,
            "left_out": found.num_left_out, "rounds": found.rounds,
            "counts": found.counts.tolist(), "picture": None if target is None else str(target),
        })  # fmt: skip
        return
    typer.echo(f"{k} anchors of {took_part:,} poses in {release}, {anchors_path(name)}")
    typer.echo(f"  {name} has {total:,} poses; {len(poses):,} were taken, {found.num_left_out:,} "
               f"left out (too few joints); {found.num_incomplete:,} lack some joints")  # fmt: skip
    for number, count in enumerate(found.counts.tolist()):
        typer.echo(f"  class {number:>3}  {count:>9,}  {count / took_part:6.1%}")
