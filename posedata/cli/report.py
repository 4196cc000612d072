"""``posedata report``: a release in one HTML page."""

from __future__ import annotations

from typing import Annotated

import typer

from posedata.cli import print_json
from posedata.cli.options import Json, NumWorkers, Overwrite, Quiet


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    release: Annotated[str, typer.Argument(help="Directory (or URL) of the release.")],
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="The page; by default report.html.")
    ] = None,
    layer: Annotated[
        str, typer.Option("--layer", help="Layers to report on: a,b. By default all.")
    ] = "",
    truth: Annotated[
        str | None,
        typer.Option("--truth", help="Layer taken as true; by default human or kinect."),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", help="Numbers about poses are of so many random clips.")
    ] = 2000,
    clips: Annotated[
        int, typer.Option("--clips", help="Clips in the player: half the worst, half random.")
    ] = 24,
    show: Annotated[
        list[str] | None, typer.Option("--show", help="A clip to put into the player, too.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    num_workers: NumWorkers = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a page that shows what is in a release and how good it is, with a player of its poses.

    With --json the numbers are printed, and a page is written only if --out names it.
    """
    from posedata.cli.output_file import output_file
    from posedata.release import open_release
    from posedata.report import make_report, report_page
    from posedata.report_charts import check_plots

    name = "report.html" if out is None and not as_json else out
    place = output_file("--out", name, overwrite=overwrite)
    if place is not None:
        check_plots()
    made = make_report(
        open_release(release), layers=[one.strip() for one in layer.split(",") if one.strip()],
        truth=truth, sample=sample, num_clips=clips, show=show or (), seed=seed,
        num_workers=num_workers, progress=not quiet,
    )  # fmt: skip
    page = b""
    if place is not None:
        page = report_page(made)
        place.write_bytes(page)
    if as_json:
        print_json(made.numbers)
        return
    numbers = made.numbers["sample"]
    of_sample = "" if numbers["clips"] == numbers["of"] else f" of {numbers['of']:,}"
    typer.echo(f"{name}: {len(page) / 1e6:.1f} MB, numbers of {numbers['clips']:,}{of_sample} "
               f"clips, {len(made.clips)} in the player")  # fmt: skip
