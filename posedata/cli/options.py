"""Options that mean the same in every command."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NumWorkers = Annotated[
    int | None,
    typer.Option("--num-workers", "-j", help="Processes. By default one for each core."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Take only the first so many samples.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Complete what an interrupted run has begun.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 2 if anything is rejected.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
