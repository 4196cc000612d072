"""What `posedata.doctor` has found, in few lines: counts by check, and the worst clips."""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass, field
from typing import Any

from posedata.findings.finding import SEVERITIES, Finding, checks


@dataclass
class CheckRow:
    """One check at one severity.

    Attributes
    ----------
    check, severity : str
        Which.
    findings, clips, frames : int
        How many findings, in how many clips, about how many frames of people.
    example : str
        The clip with the largest value, and what is said of it.
    """

    check: str
    severity: str
    findings: int = 0
    clips: int = 0
    frames: int = 0
    example: str = ""
    largest: float = field(default=float("-inf"), repr=False)
    last_clip: str = field(default="", repr=False)


@dataclass(frozen=True, order=True)
class WorstClip:
    """A clip with what was found in it; ordered from the least bad to the worst."""

    errors: int
    warnings: int
    frames: int
    clip_id: str
    messages: tuple[str, ...] = field(compare=False)


class Summary:
    """Counts findings as they come, clip after clip.

    Parameters
    ----------
    num_worst : int
        How many clips to keep.
    """

    def __init__(self, num_worst: int = 10) -> None:
        self.severities = dict.fromkeys(reversed(SEVERITIES), 0)
        self._num_worst = num_worst
        self._rows: dict[tuple[str, str], CheckRow] = {}
        self._worst: list[WorstClip] = []
        self._clip: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count one more."""
        self.severities[finding.severity] += 1
        key = finding.check, finding.severity
        row = self._rows.setdefault(key, CheckRow(*key))
        row.findings += 1
        row.frames += finding.num_frames
        if finding.clip_id and finding.clip_id != row.last_clip:
            row.clips += 1
            row.last_clip = finding.clip_id
        value = -1.0 if finding.value is None else finding.value
        if value > row.largest:
            row.largest = value
            row.example = f"{finding.clip_id}: {finding.message}".removeprefix(": ")
        if self._clip and self._clip[0].clip_id != finding.clip_id:
            self.finish()
        if finding.clip_id and finding.severity != "info":
            self._clip.append(finding)

    def finish(self) -> None:
        """End a clip, or all."""
        if not self._clip:
            return
        found = sorted(self._clip, key=lambda f: -SEVERITIES.index(f.severity))
        clip = WorstClip(
            sum(f.severity == "error" for f in found),
            sum(f.severity == "warning" for f in found),
            sum(f.num_frames for f in found), found[0].clip_id,
            tuple(dict.fromkeys(f"{f.check}: {f.message}" for f in found))[:2],
        )  # fmt: skip
        self._clip = []
        if len(self._worst) < self._num_worst:
            heapq.heappush(self._worst, clip)
        elif self._worst:
            heapq.heappushpop(self._worst, clip)

    @property
    def rows(self) -> list[CheckRow]:
        """The counts, in the order of the checks, the most severe first."""
        order = list(checks())
        return sorted(self._rows.values(), key=lambda row: (
            -SEVERITIES.index(row.severity), order.index(row.check)))  # fmt: skip

    @property
    def worst_clips(self) -> list[WorstClip]:
        """The worst first."""
        return sorted(self._worst, reverse=True)

    def as_dict(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        hidden = ("largest", "last_clip")
        return {
            "severities": dict(self.severities),
            "checks": [{n: v for n, v in asdict(row).items() if n not in hidden}
                       for row in self.rows],
            "worst_clips": [asdict(clip) for clip in self.worst_clips],
        }  # fmt: skip
