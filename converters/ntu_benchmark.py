"""Which of the two NTU RGB+D data sets an export is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posedata.clip import Clip
from posedata.converter import Option
from posedata.converters.ntu_samples import parse_name
from posedata.errors import UsageError
from posedata.exporter import Target
from posedata.profile import Change

BENCHMARK = Option(
    "benchmark", "of NTU profiles: 60, 120, or auto: what the release is named", "auto",
    ("auto", "60", "120"),
)  # fmt: skip


def ntu_benchmark(target: Target) -> int:
    """Give 60 or 120.

    Raises
    ------
    UsageError
        If it is not given and the release's name does not tell.
    """
    chosen = target.options["benchmark"]
    if chosen == "auto":
        chosen = target.manifest.name.removeprefix("ntu")
    if chosen not in ("60", "120"):
        raise UsageError("which data set is it?", found=target.manifest.name,
                         expected="a release of ntu60 or ntu120",
                         remedy="Give --benchmark 60 or --benchmark 120.")  # fmt: skip
    return int(chosen)


def is_known_bad(clip: Clip) -> bool:
    """Whether no published file has the clip: the data set's authors list it as unusable."""
    return bool(clip.info.get("known_bad"))


KNOWN_BAD = Change("choose_samples", "samples with missing skeletons left out", 1)


def rows_of_benchmark(
    facts: Mapping[str, Mapping[str, Any]], benchmark: int
) -> list[Mapping[str, Any]]:
    """Give the clip columns of the prepared clips that belong to one of the two data sets."""
    rows = [each["info"] for each in facts.values()]
    if benchmark == 120:
        return rows
    return [
        row for row in rows if (name := parse_name(row["clip_id"])) is not None and name.is_in_ntu60
    ]
