"""The experts whose libraries go with nothing else: each lives in an environment of its own.

What mmpose and openpifpaf ask for contradicts what posedata's other libraries ask for. posedata
talks to a worker there (`posedata.workers`), under that environment's interpreter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from posedata.errors import OutputError, UsageError
from posedata.expert import Expert

MMPOSE = Expert(
    name="mmpose",
    about="top-down and bottom-up models of OpenMMLab's mmpose, in an environment of its own",
    model="CONFIG,CHECKPOINT",
    open=None,
    modules=(),
    install="posedata experts install mmpose",
    environment="mmpose",
)

OPENPIFPAF = Expert(
    name="openpifpaf",
    about="bottom-up models of openpifpaf (GNU AGPL), in an environment of its own",
    model="CHECKPOINT",
    open=None,
    modules=(),
    install="posedata experts install openpifpaf",
    environment="openpifpaf",
)

_REQUIREMENTS = Path(__file__).with_name("requirements")
_NEEDS_COMPILER = {"openpifpaf"}
_COMPILERS = ("c++", "g++", "clang++")
_COMPLETE = "complete"
_LAST_LINES = 8
_DIGITS = 16  # of the pins' sha256, in the name of a folder


def environment_names() -> list[str]:
    """Names of the environments that posedata can make."""
    return sorted(path.stem for path in _REQUIREMENTS.glob("*.txt")
                  if not path.stem.endswith("-without-dependencies"))  # fmt: skip


def environment_python(name: str) -> Path | None:
    """Find the interpreter of an environment.

    Parameters
    ----------
    name : str
        One of `environment_names`.

    Returns
    -------
    Path, optional
        The one that the variable ``POSEDATA_PYTHON_NAME`` names: a Python from 3.10 of the user's
        own with the library, numpy and pyarrow. Else that of the environment which
        `install_environment` has made of the present pins. None if there is none.

    Raises
    ------
    UsageError
        If there is no such environment, or the variable names no program.
    """
    _check_name(name)
    variable = f"POSEDATA_PYTHON_{name.upper()}"
    if own := os.environ.get(variable):
        python = Path(own).expanduser()
        if not (python.is_file() and os.access(python, os.X_OK)):
            raise UsageError(f"{variable} names no interpreter", path=python,
                             expected="a program such as ENVIRONMENT/bin/python")  # fmt: skip
        return python
    folder = _folder(name) / _digest(name)[:_DIGITS]
    return _python_of(folder) if _is_complete(name, folder) else None


def install_environment(name: str, say: Callable[[str], None]) -> Path:
    """Make an environment of pinned packages, unless it is there.

    It lies in ``$POSEDATA_ENVIRONMENTS/NAME``, or ``posedata/environments/NAME`` of the user's data
    folder. One of other pins goes when the new one is complete; what an interrupted
    installation has left is made anew.

    Parameters
    ----------
    name : str
        One of `environment_names`.
    say : callable
        Is given a line at each step.

    Returns
    -------
    Path
        Its interpreter.

    Raises
    ------
    UsageError
        If there is no such environment, or pip cannot install it: with pip's last lines.
    OutputError
        If the folder cannot be written.
    """
    _check_name(name)
    place = _folder(name)
    folder = place / _digest(name)[:_DIGITS]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            if _is_complete(name, folder):
                say(f"{name}: ready in {folder}")
                return _python_of(folder)
            # An environment holds its own path in many files, so that it is made where it stays.
            # It counts from the moment that it says so.
            shutil.rmtree(folder, ignore_errors=True)
            _fill(name, folder, say)
            (folder / _COMPLETE).write_text(_digest(name), encoding="ascii")
            for other in place.iterdir():
                if other.is_dir() and other != folder:
                    shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            "the environment cannot be written", path=error.filename or place,
            found=error.strerror or error, remedy="Name another folder in POSEDATA_ENVIRONMENTS.",
        ) from error  # fmt: skip
    say(f"{name}: ready in {folder}")
    return _python_of(folder)


def _fill(name: str, folder: Path, say: Callable[[str], None]) -> None:
    needed, alone = _files(name)
    pip = [str(_python_of(folder)), "-I", "-m", "pip", "--disable-pip-version-check", "install",
           "--no-input"]  # fmt: skip
    say(f"{name}: making an environment in {folder}")
    _run(name, [sys.executable, "-m", "venv", str(folder)], folder)
    say(f"{name}: installing {_count(needed)} packages (1 to 5 GB)")
    _run(name, [*pip, "-r", str(needed)], folder)
    compiles = name in _NEEDS_COMPILER
    if compiles and not _has_compiler():
        say(f"{name}: no C++ compiler is here, and it must be compiled unless pip finds it built")
    say(f"{name}: installing {_count(alone)} packages"
        + (f", {name} from its source (2 minutes)" if compiles else ""))  # fmt: skip
    _run(name, [*pip, "--no-deps", "--no-build-isolation", "-r", str(alone)], folder)


def _run(name: str, command: list[str], folder: Path) -> None:
    """Run a step; its output goes to a file beside the environment."""
    log = folder.with_suffix(".log")
    # Compiling finds ninja, which is one of the packages, on the path.
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    with log.open("ab") as output:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path},
        ).returncode  # fmt: skip
    if code == 0:
        return
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = [line.strip() for line in lines if line.strip()][-_LAST_LINES:]
    remedy = (
        f"All of its output is in {log}. Install it again, or name an interpreter that has {name} "
        f"in POSEDATA_PYTHON_{name.upper()}."
    )
    if name in _NEEDS_COMPILER and not _has_compiler():
        remedy = (
            "It needs a C++ compiler and Python's headers: on Debian and Ubuntu, apt install g++ "
            f"python3-dev; in conda, conda install cxx-compiler. {remedy}"
        )
    step = "venv" if "venv" in command else "pip"
    raise UsageError(f"the environment of {name} cannot be made: {step} says: {' | '.join(last)}",
                     remedy=remedy)  # fmt: skip


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Wait until no other process installs in a place."""
    with (place / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_name(name: str) -> None:
    if name not in environment_names():
        raise UsageError("no such environment", found=repr(name),
                         expected=f"one of {', '.join(environment_names())}")  # fmt: skip


def _files(name: str) -> tuple[Path, Path]:
    """Give the pinned packages: those that are installed with what they need, and those alone."""
    return (_REQUIREMENTS / f"{name}.txt", _REQUIREMENTS / f"{name}-without-dependencies.txt")


def _count(requirements: Path) -> int:
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if line and not line.startswith("#"))


def _digest(name: str) -> str:
    """Identify the pins."""
    content = b"".join(path.read_bytes() for path in _files(name))
    return hashlib.sha256(content).hexdigest()


def _folder(name: str) -> Path:
    if place := os.environ.get("POSEDATA_ENVIRONMENTS"):
        return Path(place).expanduser().absolute() / name
    data = Path(os.environ.get("XDG_DATA_HOME") or "")
    data = data if data.is_absolute() else Path.home() / ".local/share"
    return data / "posedata/environments" / name


def _python_of(folder: Path) -> Path:
    return folder / "bin/python"


def _is_complete(name: str, folder: Path) -> bool:
    mark = folder / _COMPLETE
    return _python_of(folder).is_file() and mark.is_file() \
        and mark.read_text(encoding="ascii", errors="replace") == _digest(name)  # fmt: skip


def _has_compiler() -> bool:
    return any(map(shutil.which, (os.environ.get("CXX") or "c++", *_COMPILERS)))
