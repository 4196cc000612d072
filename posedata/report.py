"""A release in one HTML page: what is in it, how good it is, and a player of its poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata import (
    report_anchors,
    report_calibration,
    report_clips,
    report_contents,
    report_findings,
    report_joints,
    report_measure,
)
from posedata.errors import UsageError
from posedata.release import Release
from posedata.report_charts import check_plots
from posedata.report_html import Html, element, join, json_block, page_file, paragraph, section
from posedata.version import __version__

#: Files of the page's script, in this order.
SCRIPTS = ("page.js", "poses.js", "drawing.js", "views.js", "player.js")

#: Clips behind the numbers, and clips in the player.
SAMPLE, PLAYER_CLIPS = 2000, 24


@dataclass(frozen=True)
class Report:
    """The numbers of a report, and the clips of its player.

    Attributes
    ----------
    release : Release
        Which it is of.
    numbers : dict
        JSON values: ``release``, ``sample``, ``layers``, ``agreement``, ``calibration``,
        ``findings``, ``anchors``, ``player``. None where a number is unknown.
    clips : list of dict
        From `posedata.report_clips.player_clips`.
    """

    release: Release
    numbers: dict[str, Any]
    clips: list[dict[str, Any]]


def make_report(
    release: Release, *, layers: Sequence[str] = (), truth: str | None = None,
    sample: int = SAMPLE, num_clips: int = PLAYER_CLIPS, show: Sequence[str] = (), seed: int = 0,
    num_workers: int | None = None, progress: bool = False,
) -> Report:  # fmt: skip
    """Compute what a report shows.

    Memory does not grow with the poses of the release.

    Parameters
    ----------
    release : Release
        Nothing is written.
    layers : sequence of str
        To report on; all by default.
    truth : str, optional
        Layer that is taken as true; by default ``human`` or ``kinect``, where it can be.
    sample : int
        Numbers about poses are of so many clips, chosen at random; of all, if there are no more.
    num_clips : int
        Clips in the player: a quarter those with the worst findings, a quarter the least sure
        ones, the others random.
    show : sequence of str
        Clips to put into the player besides.
    seed : int
        Of everything that is random.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw progress bars on stderr.

    Raises
    ------
    UsageError
        If a layer or a clip is not there, or a number is out of range.
    ReleaseError
        If a file is missing or damaged.
    """
    for option, value, least in (("--sample", sample, 1), ("--clips", num_clips, 0)):
        if value < least:
            raise UsageError(option, found=value, expected=f"{least} or more")
    if seed < 0:
        raise UsageError("--seed", found=seed, expected="0 or more")
    names = list(layers) or release.layers
    for name in names:
        release.table(name)
    true = report_calibration.truth_of(release, names, truth)
    everything = sorted(release.clips()["clip_id"].to_pylist())
    if lacking := sorted(set(show) - set(everything)):
        raise UsageError("no such clip", path=release.place, found=lacking[0])
    clip_ids = choose_sample(everything, sample, seed)
    measured = report_measure.measure(
        release, names, clip_ids, num_workers=num_workers, progress=progress
    )
    diagnosis = _diagnose(release, names, clip_ids, len(clip_ids) == len(everything),
                          num_workers, progress)  # fmt: skip
    calibrated = []
    if true is not None:
        calibrated = report_calibration.calibrations(release, names, true, clip_ids, seed)
    worst = diagnosis.summary["worst_clips"] if diagnosis else []
    chosen = report_clips.choose_clips(
        clip_ids if names else [], worst, measured.sureness, num_clips, seed, show
    )
    troubles = {}
    if diagnosis is not None and chosen:
        troubles = report_findings.findings_of(release, names, sorted(chosen))
    clips = report_clips.player_clips(release, names, chosen, troubles)
    numbers = {
        "release": report_contents.contents(release),
        "sample": {"clips": len(clip_ids), "of": len(everything), "seed": seed},
        "truth": true,
        "layers": report_joints.layer_numbers(release, measured),
        "agreement": report_joints.agreement_numbers(release, measured),
        "calibration": calibrated,
        "findings": report_findings.as_json(diagnosis),
        "anchors": report_anchors.anchors_of(release, names),
        "player": [{name: clip[name] for name in ("id", "why", "frames", "first", "count")}
                   for clip in clips],
    }  # fmt: skip
    return Report(release, _finite(numbers), clips)


def choose_sample(clip_ids: Sequence[str], most: int, seed: int) -> list[str]:
    """Choose clips at random, each with the same chance; all, if there are no more than ``most``.

    Returns
    -------
    list of str
        In their order.
    """
    if len(clip_ids) <= most:
        return list(clip_ids)
    at = np.sort(np.random.default_rng(seed).choice(len(clip_ids), most, replace=False))
    return [clip_ids[int(index)] for index in at]


def _diagnose(
    release: Release, layers: Sequence[str], clip_ids: Sequence[str], whole: bool,
    num_workers: int | None, progress: bool,
) -> report_findings.Diagnosis | None:  # fmt: skip
    try:
        return report_findings.diagnose(release, layers, clip_ids, whole=whole,
                                        num_workers=num_workers, progress=progress)  # fmt: skip
    except ModuleNotFoundError as error:
        if error.name != "posedata.doctor":
            raise
        return None


def report_page(report: Report) -> bytes:
    """Make the page: one file that opens from disk and asks for nothing from elsewhere.

    It does not say where the release is.

    Raises
    ------
    UsageError
        If matplotlib, which draws the plots, is not installed.
    """
    import base64
    import hashlib

    check_plots()
    release, numbers = report.release, report.numbers
    told, layers = numbers["release"], numbers["layers"]
    position = {name: number for number, name in enumerate(release.layers)}
    in_player = {clip["id"] for clip in report.clips}
    sections: list[Html | None] = [
        report_contents.contents_section(told, numbers["sample"]),
        _player_section(report),
        _findings(numbers["findings"], in_player),
    ]
    if layers:
        sections += [
            report_joints.joints_section(layers, position),
            report_joints.agreement_section(numbers["agreement"], list(layers)),
            report_joints.fusion_section(layers, position),
            report_calibration.calibration_section(
                numbers["calibration"], numbers["truth"], position
            ),
            report_anchors.anchors_section(release, numbers["anchors"], position),
        ]
    shown = [one for one in sections if one is not None]
    script = "".join(map(page_file, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    blocks = [json_block("player-layers", report_clips.player_layers(release, list(layers)))]
    blocks += [json_block(f"clip-{number}", clip) for number, clip in enumerate(report.clips)]
    pieces = {
        "title": element("title", f"{release.name} – posedata report"),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        "style": Html(page_file("page.css")),
        "name": join([told["title"] or release.name]),
        "about": _about(told),
        "links": _links(shown),
        "sections": join(shown, "\n"),
        "blocks": join(blocks),
        "script": Html(script),
        "version": f"posedata {__version__}",
    }
    return _fill(page_file("page.html"), pieces).encode()


def _fill(template: str, pieces: dict[str, Any]) -> str:
    """Put pieces in place of ``{{name}}``; what they contain is not looked at again."""
    import re

    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(pieces[found[1]]), template)


def _about(told: dict[str, Any]) -> Html:
    parts = [element("span", told["name"])]
    if told["license"]:
        parts.append(element("span", "Licence: ", told["license"]))
    return element("p", *parts, class_="about")


def _links(sections: Sequence[Html]) -> Html:
    import re

    found = [re.match(r'<section id="(\w+)"><h2>(.*?)</h2>', one) for one in sections]
    return join([element("a", Html(one[2]), href=f"#{one[1]}") for one in found if one])


def _findings(numbers: dict[str, Any] | None, in_player: set[str]) -> Html:
    diagnosis = None if numbers is None else report_findings.Diagnosis(**numbers)
    return report_findings.findings_section(diagnosis, in_player)


def _player_section(report: Report) -> Html | None:
    if not report.clips:
        if not report.numbers["layers"]:
            return section("player", "Player", paragraph("The release has no poses."))
        return None
    return section("player", "Player", Html(page_file("player.html")))


def _finite(value: Any) -> Any:
    """Put None in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, np.generic):
        return _finite(value.item())
    return value
