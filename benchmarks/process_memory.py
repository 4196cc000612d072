"""Peak memory of a command and all processes it starts (Linux: from ``/proc``)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_EVERY_S = 0.02


def run_and_watch(command: Sequence[str]) -> tuple[str, int]:
    """Run a command and sample the memory of its process tree until it ends.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.

    Returns
    -------
    output : str
        What it wrote to stdout.
    peak : int
        Most bytes at a sample: the sum of the resident sets, where pages that processes share
        count for each of them.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_resident_bytes, _tree(process.pid))))
            time.sleep(_SAMPLE_EVERY_S)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output, peak


def _tree(root: int) -> list[int]:
    pids = [root]
    for pid in pids:  # grows as it goes
        for task in _tasks(pid):
            with contextlib.suppress(OSError):  # it has ended
                pids += map(int, (task / "children").read_text().split())
    return pids


def _tasks(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
