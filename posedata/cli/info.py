"""``posedata info``: what is in a release, or in a folder of raw files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from posedata.cli import print_json
from posedata.cli.options import Json
from posedata.cli.sizes import human_bytes


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("info")(info)


def info(
    place: Annotated[str, typer.Argument(help="Directory (or URL) of a release or of raw files.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="See raw files as this data set's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is in a release, or in a folder of raw files, of which one is read."""
    from posedata.info import info as describe

    described = describe(place, dataset)
    if as_json:
        print_json(described)
    elif described["kind"] == "release":
        _show_release(described)
    else:
        _show_raw(described)


def _show_release(about: dict[str, Any]) -> None:
    counts = about["counts"]
    typer.echo(f"{about['name']}, a release in {about['path']}")
    rows = [
        ("clips", f"{counts.get('clips', 0):,}"
         + (f" with {about['frames']:,} frames" if about["frames"] else "")
         + (f", {about['known_bad']:,} known bad" if about["known_bad"] else "")),
        ("rejects", f"{counts.get('rejects', 0):,}, warnings {counts.get('warnings', 0):,}"),
        *([("distinct", ", ".join(f"{n} {name}s" for name, n in about["distinct"].items()))]
          if about["distinct"] else []),
        ("license", about["license"]),
    ]  # fmt: skip
    for layer, entry in about["layers"].items():
        rows += [
            (f"layer {layer}", f"{entry['skeleton']} ({entry['joints']} joints), "
             f"{entry['poses']:,} poses in {entry['clips']:,} clips, files: {entry['files']}, "
             f"{human_bytes(entry['bytes'])}"),
            ("  clip columns", ", ".join(entry["clip_columns"])),
            ("  pose columns", ", ".join(entry["pose_columns"])),
            *([("  left out", ", ".join(entry["left_out"]))] if entry["left_out"] else []),
        ]  # fmt: skip
    if about["segments"]:
        rows.append(("segments", f"{about['segments']:,}"))
    rows += [(f"split {name}", _sizes(sizes)) for name, sizes in about["splits"].items()]
    _show_rows(rows)


def _show_raw(about: dict[str, Any]) -> None:
    typer.echo(f"raw files of {about['dataset']} in {about['path']}")
    rows = [("samples", f"{about['samples']:,}, {human_bytes(about['bytes'])}")]
    if about["with_poses"] != about["samples"]:
        rows.append(("with poses", f"{about['with_poses']:,}"))
    if about["segments"]:
        rows.append(("segments", f"{about['segments']:,}"))
    for name in ("benchmark", "official_samples", "absent", "not_official", "known_bad", "usable"):
        if name in about:
            rows.append((name.replace("_", " "), f"{about[name]:,}"))
    rows += [(f"split {name}", _sizes(sizes)) for name, sizes in about.get("splits", {}).items()]
    rows.append(("problems", f"{len(about['problems']):,}"))
    _show_rows(rows)
    for problem in about["problems"][:10]:
        typer.echo(f"  {problem['source']}: {problem['reason']}", err=True)


def _show_rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"  {name:<{width}}  {value}")


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{split} {size:,}" for split, size in sorted(sizes.items(), reverse=True))
