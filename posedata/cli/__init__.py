"""The ``posedata`` command: the only place that prints and exits."""

from __future__ import annotations

import json
import os
import sys

import typer

from posedata.errors import PosedataError
from posedata.version import __version__

# Exit codes: all done; done with rejects; bad usage, or nothing done.
DONE, WITH_REJECTS, FAILED = 0, 1, 2
INTERRUPTED = 130

app = typer.Typer(
    name="posedata",
    help="Skeleton data sets and videos in one Parquet format.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"posedata {__version__}")
        raise typer.Exit


@app.callback()
def _posedata(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; say what is wrong in one line, without a traceback."""
    from posedata.cli import (
        anchors,
        annotate,
        calibrate,
        convert,
        degrade,
        demo,
        diff,
        doctor,
        draw,
        estimate,
        evaluate,
        experts,
        fuse,
        heatmaps,
        info,
        pseudo_label,
        report,
        validate,
    )

    for module in (
        convert, estimate, experts, fuse, evaluate, calibrate, anchors, pseudo_label, annotate,
        info, report, validate, doctor, diff, draw, heatmaps, degrade, demo,
    ):  # fmt: skip
        module.register(app)
    try:
        app()
    except PosedataError as error:
        if "--json" in sys.argv[1:]:
            fields = ("message", "path", "position", "found", "expected", "remedy")
            values = {name: getattr(error, name) for name in fields}
            typer.echo(json.dumps({"error": values}))
        typer.echo(f"posedata: {error}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
