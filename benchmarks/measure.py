"""Timing in interleaved rounds, and the table that all benchmarks print."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("posedata", "numpy", "pyarrow", "numba")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    measurement : str
        What was measured, and how often.
    value, unit : float, str
        The result.
    peer : str
        What it is compared with; empty if with nothing.
    peer_value : float, optional
        The peer's result, in the same unit.
    ratio : float, optional
        How many times as fast as the peer, or how many times its time or size: ``target`` says
        which.
    target : str
        What was asked for; empty if nothing was.
    met : bool, optional
        Whether the target is met.
    note : str
        Further numbers.
    """

    measurement: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


def best_of(
    rounds: int, items: Sequence[Any], **functions: Callable[[Any], Any]
) -> dict[str, float]:
    """Seconds that each function takes for all items: the sum of each item's best.

    Parameters
    ----------
    rounds : int
        How often all is run. The functions take turns, so that a busy moment of the machine hits
        all of them.
    items : sequence
        What the functions are called with, one after the other.
    **functions : callable
        What to time, by name. Each is run once before, so that files are in the page cache and
        kernels are compiled.

    Returns
    -------
    dict of str to float
    """
    best = {name: [float("inf")] * len(items) for name in functions}
    for function in functions.values():
        for item in items:
            function(item)
    for _ in range(rounds):
        for name, function in functions.items():
            for index, item in enumerate(items):
                start = time.perf_counter()
                function(item)
                best[name][index] = min(best[name][index], time.perf_counter() - start)
    return {name: sum(seconds) for name, seconds in best.items()}


def faster(measurement: str, seconds: float, peer: str, peer_seconds: float, files: int,
           target: float | None = None, note: str = "") -> Row:  # fmt: skip
    """Make a row of a time per file, compared with a slower peer's."""
    ratio = peer_seconds / seconds
    return Row(
        measurement, 1000 * seconds / files, "ms/file", peer, 1000 * peer_seconds / files, ratio,
        f"at least {target:g} times as fast" if target else "",
        ratio >= target if target else None, note,
    )  # fmt: skip


def run(measure: Callable[[], Sequence[Row]], about: str | None) -> None:
    """Be the main program of one benchmark: print its table.

    Parameters
    ----------
    measure : callable
        Gives the rows.
    about : str, optional
        What the program does, for ``--help``.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    as_json = parser.parse_args().json
    report = {**describe_machine(), "rows": [asdict(row) for row in measure()]}
    print(json.dumps(report, indent=1) if as_json else _markdown(report))


def say(text: str) -> None:
    """Tell on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)


def describe_machine() -> dict[str, Any]:
    """Give the machine, how busy it is, and the versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory / 2**30, 1),
            "os": platform.platform(),
            "load_at_start": round(os.getloadavg()[0], 1),
        },
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _markdown(report: dict[str, Any]) -> str:
    machine, versions = report["machine"], report["versions"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, "
        f"{machine['os']}; load {machine['load_at_start']:g} at the start",
        ", ".join(f"{name} {number}" for name, number in versions.items()),
        "",
        "| measurement | posedata | compared with | ratio | target | |",
        "|---|---:|---|---:|---|---|",
    ]
    for row in report["rows"]:
        note = f" ({row['note']})" if row["note"] else ""
        peer = ""
        if row["peer"]:
            peer = f"{row['peer']}: {row['peer_value']:.3g} {row['unit']}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        met = {None: "", True: "met", False: "**missed**"}[row["met"]]
        lines.append(f"| {row['measurement']} | {row['value']:.3g} {row['unit']}{note} | {peer} | "
                     f"{ratio} | {row['target']} | {met} |")  # fmt: skip
    return "\n".join(lines)
