"""What `posedata doctor` finds, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posedata.engine import map_shards
from posedata.release import Release
from posedata.report_html import Cell, Html, count, element, join, paragraph, section, table

_CLIPS_OF_A_TASK = 256
_NUM_WORST = 100
_MOST_IN_PLAYER = 200
_SEVERE_FIRST = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Diagnosis:
    """The findings of a release, in few numbers.

    Attributes
    ----------
    summary : dict
        ``severities``, ``checks`` and ``worst_clips`` of `posedata.doctor_summary.Summary`.
    whole : bool
        Whether all clips were looked at. Of a sample, the release's labels, splits and duplicates
        were not.
    """

    summary: dict[str, Any]
    whole: bool


def diagnose(
    release: Release, layers: Sequence[str], clip_ids: Sequence[str], *, whole: bool,
    num_workers: int | None = None, progress: bool = False,
) -> Diagnosis:  # fmt: skip
    """Look for trouble as `posedata doctor` does.

    Parameters
    ----------
    release : Release
        Nothing is written.
    layers : sequence of str
        To look at.
    clip_ids : sequence of str
        Sorted; all, if ``whole``.
    whole : bool
        Look at everything, also at labels, splits and duplicates.
    num_workers, progress
        See `posedata.engine.map_shards`.
    """
    from posedata.doctor import DoctorTask, checks, doctor, look_at_shard
    from posedata.doctor_summary import Summary

    summary = Summary(_NUM_WORST)
    if whole:
        for one in doctor(release, layers=layers, num_workers=num_workers, progress=progress):
            summary.add(one)
    else:
        tasks = [
            DoctorTask(number, release.place, tuple(clip_ids[at : at + _CLIPS_OF_A_TASK]),
                       tuple(layers), tuple(checks()), {})
            for number, at in enumerate(range(0, len(clip_ids), _CLIPS_OF_A_TASK))
        ]  # fmt: skip
        if not release.place.is_shared_between_processes:
            num_workers = 1
        shards = map_shards(look_at_shard, tasks, num_workers=num_workers, progress=progress,
                            weights=[len(task.clip_ids) for task in tasks])  # fmt: skip
        for shard in sorted(shards, key=lambda shard: shard.index):
            for one in shard.findings:
                summary.add(one)
    summary.finish()
    return Diagnosis(summary.as_dict(), whole)


def findings_of(
    release: Release, layers: Sequence[str], clip_ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Give the findings of a few clips, the most severe first, as the player shows them.

    Parameters
    ----------
    release, layers
        As in `diagnose`.
    clip_ids : sequence of str
        Sorted.

    Returns
    -------
    dict of str to list of dict
        For each clip that has any: ``severity``, ``check``, ``layer``, ``message``, ``frames``
        (ranges, the last one included). At most 200 a clip.
    """
    from posedata.doctor import DoctorTask, checks, look_at_shard

    task = DoctorTask(0, release.place, tuple(clip_ids), tuple(layers), tuple(checks()), {})
    found: dict[str, list[dict[str, Any]]] = {}
    for one in look_at_shard(task).findings:
        if one.frames:
            found.setdefault(one.clip_id, []).append({
                "severity": one.severity, "check": one.check, "layer": one.layer,
                "message": one.message, "frames": [list(span) for span in one.frames[:50]],
            })  # fmt: skip
    for clip in found.values():
        clip.sort(key=lambda one: _SEVERE_FIRST[one["severity"]])
        del clip[_MOST_IN_PLAYER:]
    return found


def findings_section(diagnosis: Diagnosis | None, in_player: set[str]) -> Html:
    """Show the findings; clips that the player has are links to it."""
    title = "What doctor finds"
    if diagnosis is None:
        return section("findings", title, paragraph("Left out: this posedata has no doctor."))
    severities = diagnosis.summary["severities"]
    checks = diagnosis.summary["checks"]
    tiles = [
        element("li", element("b", count(number)), " ", element("span", _plural(name, number)),
                class_=name)
        for name, number in severities.items()
    ]  # fmt: skip
    parts: list[Any] = [element("ul", *tiles, class_="tiles")]
    if not checks:
        return section("findings", title, *parts, paragraph("Nothing to complain of."))
    rows: list[list[Cell]] = [
        [
            join([element("span", row["severity"], class_=f"badge {row['severity']}"), " ",
                  row["check"]]),
            row["example"], count(row["findings"]), count(row["clips"]), count(row["frames"]),
        ]
        for row in checks
    ]  # fmt: skip
    head = ["check", "the worst of them", "findings", "clips", "frames"]
    parts.append(table(head, rows, numbers_from=2, caption="Findings by check", class_="findings"))
    if worst := diagnosis.summary["worst_clips"][:10]:
        rows = [
            [_linked(clip["clip_id"], in_player), "; ".join(clip["messages"]),
             count(clip["errors"]), count(clip["warnings"])]
            for clip in worst
        ]  # fmt: skip
        head = ["clip", "what", "errors", "warnings"]
        parts.append(table(head, rows, numbers_from=2, caption="Worst clips", class_="findings"))
    if not diagnosis.whole:
        told = ("Of the sample only: labels, splits and duplicate clips were not looked at. For "
                "all clips: posedata doctor.")  # fmt: skip
        parts.append(paragraph(told, class_="note"))
    return section("findings", title, *parts)


def _plural(severity: str, number: int) -> str:
    word = {"error": "error", "warning": "warning", "info": "info"}[severity]
    return word if number == 1 or word == "info" else f"{word}s"


def _linked(clip_id: str, in_player: set[str]) -> str:
    from urllib.parse import quote

    if clip_id not in in_player:
        return clip_id
    return element("a", clip_id, href=f"#clip={quote(clip_id, safe='')}")


def as_json(diagnosis: Diagnosis | None) -> dict[str, Any] | None:
    """Give the numbers."""
    return None if diagnosis is None else asdict(diagnosis)
