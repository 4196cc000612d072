"""``posedata validate``: is a release what it says it is?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from posedata.cli import WITH_REJECTS, print_json
from posedata.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate")(validate)


def validate(
    release: Annotated[str, typer.Argument(help="Directory (or URL) of the release.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare sizes instead of checksums.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a release: files, checksums, columns, and the rules that its poses must keep.

    Exit code 0: valid; 1: something does not hold; 2: not a release.
    """
    from posedata.release import open_release
    from posedata.validate import validate as check

    opened = open_release(release)
    findings = list(check(opened, quick=quick))
    counts = dict(opened.manifest.counts)
    if as_json:
        print_json({
            "path": str(opened.place), "valid": not findings, "counts": counts,
            "findings": [asdict(finding) for finding in findings],
        })  # fmt: skip
    elif findings:
        for finding in findings:
            typer.echo(f"{finding.file}: {finding.reason}")
        typer.echo(f"{opened.place}: findings: {len(findings)}")
    else:
        what = f"{counts['clips']:,} clips, {counts['poses']:,} poses"
        typer.echo(f"{opened.place}: valid, {what}")
    if findings:
        raise typer.Exit(WITH_REJECTS)
