"""``posedata doctor``: what is wrong in a release."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Annotated

import typer

from posedata.cli import WITH_REJECTS
from posedata.cli.options import Json, Limit, NumWorkers, Overwrite, Quiet
from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.doctor_summary import Summary
    from posedata.findings.finding import Finding

_SHOWN_RANGES = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    release: Annotated[str, typer.Argument(help="Directory (or URL) of the release.")],
    layer: Annotated[
        str, typer.Option("--layer", help="Layers to look at: a,b. By default all.")
    ] = "",
    checks: Annotated[
        str, typer.Option("--checks", help="Checks to do: a,b. By default all; see the docs.")
    ] = "",
    videos: Annotated[
        str | None, typer.Option("--videos", help="Folder of the videos, to compare with.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="info, warning or error: exit with 1 from there on.")
    ] = "warning",
    show_all: Annotated[
        bool, typer.Option("--all", help="List every finding, not only the worst clips.")
    ] = False,
    worst: Annotated[int, typer.Option("--worst", help="How many of the worst clips.")] = 10,
    csv: Annotated[
        str | None, typer.Option("--csv", help="Write the findings to this file.")
    ] = None,
    num_workers: NumWorkers = None,
    limit: Limit = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Look for trouble in the poses of a release; nothing in it is changed.

    Exit code 0: nothing as severe as --fail-on; 1: something is; 2: not a release, or bad usage.
    """
    from posedata.cli.output_file import output_file
    from posedata.doctor import SEVERITIES
    from posedata.doctor import doctor as look
    from posedata.doctor_summary import Summary
    from posedata.release import open_release

    if fail_on not in SEVERITIES:
        raise UsageError("--fail-on", found=fail_on, expected=", ".join(SEVERITIES))
    csv_file = output_file("--csv", csv, overwrite=overwrite)
    opened = open_release(release)
    found = look(
        opened, layers=_names(layer), wanted=_names(checks), videos=videos, limit=limit,
        num_workers=num_workers, progress=not quiet,
    )  # fmt: skip
    summary = Summary(worst)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:  # memory stays the same
        for finding in found:
            summary.add(finding)
            kept.write(json.dumps(asdict(finding), ensure_ascii=False) + "\n")
        summary.finish()
        if csv_file is not None:
            with csv_file.create() as stream:
                for line in _csv_lines(_findings(kept)):
                    stream.write(line.encode())
        if as_json:
            _print_json(str(opened.place), summary, kept)
        else:
            if show_all:
                for finding in _findings(kept):
                    typer.echo(_line(finding))
            _show(str(opened.place), summary, with_worst=not show_all)
    at_least = SEVERITIES[SEVERITIES.index(fail_on) :]
    if any(summary.severities[severity] for severity in at_least):
        raise typer.Exit(WITH_REJECTS)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _findings(kept: IO[str]) -> Iterator[Finding]:
    from posedata.findings.finding import Finding

    kept.seek(0)
    for line in kept:
        values = json.loads(line)
        frames = tuple((first, last) for first, last in values.pop("frames"))
        persons, joints = tuple(values.pop("persons")), tuple(values.pop("joints"))
        yield Finding(**values, frames=frames, persons=persons, joints=joints)


def _csv_lines(findings: Iterable[Finding]) -> Iterator[str]:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip_id", "layer", "check", "severity", "frames", "persons", "joints",
                     "value", "threshold", "message"])  # fmt: skip
    for finding in findings:
        value, threshold = ("" if n is None else f"{n:.6g}"
                            for n in (finding.value, finding.threshold))  # fmt: skip
        writer.writerow([
            finding.clip_id, finding.layer, finding.check, finding.severity,
            " ".join(_span(*span) for span in finding.frames),
            " ".join(map(str, finding.persons)), " ".join(finding.joints), value, threshold,
            finding.message,
        ])  # fmt: skip
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _print_json(place: str, summary: Summary, kept: IO[str]) -> None:
    """Print one document, whose findings are never all in memory."""
    head = json.dumps({"path": place, **summary.as_dict()}, indent=1, ensure_ascii=False)
    typer.echo(head.removesuffix("\n}") + ',\n "findings": [', nl=False)
    kept.seek(0)
    separator = "\n  "
    for line in kept:
        typer.echo(separator + line.rstrip("\n"), nl=False)
        separator = ",\n  "
    typer.echo("\n ]\n}")


def _show(place: str, summary: Summary, *, with_worst: bool) -> None:
    if not summary.rows:
        typer.echo(f"{place}: nothing found")
        return
    rows: list[tuple[str, ...]]
    rows = [("check", "severity", "findings", "clips", "frames", "worst")]
    for row in summary.rows:
        rows.append((
            row.check, row.severity, f"{row.findings:,}", f"{row.clips:,}", f"{row.frames:,}",
            row.example,
        ))  # fmt: skip
    _table(rows, right=(2, 3, 4))
    if with_worst and summary.worst_clips:
        typer.echo("")
        rows = [("worst clips", "errors", "warnings", "what")]
        rows += [(clip.clip_id, f"{clip.errors:,}", f"{clip.warnings:,}", "; ".join(clip.messages))
                 for clip in summary.worst_clips]  # fmt: skip
        _table(rows, right=(1, 2))
    counts = ", ".join(f"{n:,} {severity}" for severity, n in summary.severities.items())
    typer.echo(f"\n{place}: {counts}")


def _table(rows: list[tuple[str, ...]], right: tuple[int, ...]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        parts = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        typer.echo("  ".join(parts).rstrip())


def _line(finding: Finding) -> str:
    spans = [_span(*span) for span in finding.frames]
    shown = " ".join(spans[:_SHOWN_RANGES]) + (" ..." if len(spans) > _SHOWN_RANGES else "")
    place = " ".join(part for part in (finding.clip_id or "(release)", finding.layer) if part)
    people = f" person {' '.join(map(str, finding.persons))}" if finding.persons else ""
    frames = f" frames {shown}" if shown else ""
    joints = f" ({', '.join(finding.joints)})" if finding.joints else ""
    return (f"{finding.severity} {finding.check}: {place}{people}{frames}: "
            f"{finding.message}{joints}")  # fmt: skip


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
