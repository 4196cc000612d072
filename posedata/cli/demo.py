"""``posedata demo``: from generated raw files to a release that can be looked at."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from posedata.cli import convert as convert_command
from posedata.cli import info as info_command
from posedata.cli import validate as validate_command

_NEXT = """
Try next:
  {posedata} info {release} --json
  {posedata} convert parquet {release} --to pyskl --profile pyskl --misfits drop -o demo.pkl
  {posedata} convert ntu YOUR_NTU_FOLDER --to parquet -o ntu60
  {python} -c "import posedata; r = posedata.open_release('{release}'); \
print(next(r.iter_clips()).dense('keypoints_3d').shape)"
and read README.md and docs/README.md
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put it; a new folder.")] = Path("demo"),
    samples: Annotated[int, typer.Option("--samples", help="How many clips to generate.")] = 60,
) -> None:
    """Generate a small NTU-format data set, convert, validate and describe it."""
    from posedata.errors import OutputError
    from posedata.synthetic import make_ntu

    raw, release = folder / "raw", folder / "ntu60"
    if folder.exists() and any(folder.iterdir()):
        raise OutputError("the folder exists already", path=folder,
                          remedy="Remove it, or name another: posedata demo FOLDER.")  # fmt: skip
    typer.echo(f"$ generating {samples} samples in the format of NTU RGB+D: {raw}")
    make_ntu(raw, samples)
    typer.echo(f"\n$ posedata convert ntu {raw} --to parquet -o {release}")
    try:
        convert_command.make_release("ntu", str(raw), str(release))
    except typer.Exit as done:
        if done.exit_code:
            raise
    typer.echo(f"\n$ posedata validate {release}")
    validate_command.validate(str(release))
    typer.echo(f"\n$ posedata info {release}")
    info_command.info(str(release))
    programs = {
        "posedata": _typed("posedata", sys.argv[0]),
        "python": _typed("python", sys.executable),
    }
    typer.echo(_NEXT.format(release=release, **programs))


def _typed(name: str, program: str) -> str:
    """Spell a program as this shell finds it: by its name, or by its path from here."""
    found = shutil.which(name)
    path = Path(program).absolute()
    if found is not None and Path(found).absolute() == path:
        return name
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
