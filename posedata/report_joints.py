"""Missing joints and scores, agreement between layers, and who won each joint, for the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.figure_file import GREY
from posedata.release import Release
from posedata.report_charts import chart, draw_histograms, layer_colour
from posedata.report_histogram import quantile
from posedata.report_html import (
    Cell,
    Heat,
    Html,
    count,
    decimal,
    element,
    join,
    paragraph,
    section,
    share,
    table,
)
from posedata.report_measure import SCORE_EDGES, Measured, Sums, experts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIXED_POINT = float(1 << 20)


def layer_numbers(release: Release, measured: Measured) -> dict[str, dict[str, Any]]:
    """Give what was counted of each layer as JSON values.

    Returns
    -------
    dict
        For each layer its counts, ``joints`` (for each ``joint``, ``missing`` (share of poses),
        ``inferred`` (share of those there), ``score`` (mean of those there), each None where
        unknown), ``score_bins`` and ``confidence_bins`` (of 25 equal bins from 0 to 1), and
        ``winners``: for each joint how often each expert won, and how often nobody.
    """
    out = {}
    for name, sums in measured.layers.items():
        joints = release.skeleton(name).joints
        plain = ("clips", "frames", "frames_with_people", "poses", "tracks", "gap_frames")
        entry: dict[str, Any] = {key: int(sums[key]) for key in plain}
        poses, present = sums["poses"], sums["present"]
        entry["joints"] = [
            {
                "joint": joint,
                "missing": _ratio(poses - present[at], poses),
                "inferred": _ratio(sums["inferred"][at], present[at])
                if "inferred" in sums else None,
                "score": _ratio(sums["score_sum"][at] / _FIXED_POINT, present[at])
                if "score_sum" in sums else None,
            }
            for at, joint in enumerate(joints)
        ]  # fmt: skip
        for key in ("score_bins", "confidence_bins"):
            if key in sums:
                entry[key] = sums[key].tolist()
        if "confidence_unknown" in sums:
            entry["confidence_unknown"] = int(sums["confidence_unknown"])
        if "winner" in sums:
            entry["winners"] = _winners(experts_of(release, name), joints, sums)
        out[name] = entry
    return out


def _winners(experts: Sequence[str], joints: Sequence[str], sums: Sums) -> dict[str, Any]:
    counts = sums["winner"]
    return {
        "experts": list(experts),
        "joints": [
            {
                "joint": joint,
                "won": counts[:-1, at].tolist(),
                "missing": int(counts[-1, at]),
                "agreed": _ratio(sums["agreed"][at], sums["present"][at])
                if "agreed" in sums else None,
            }
            for at, joint in enumerate(joints)
        ],
    }  # fmt: skip


def agreement_numbers(release: Release, measured: Measured) -> list[dict[str, Any]]:
    """Give the distances between layers as JSON values.

    Returns
    -------
    list of dict
        For each pair ``layers``, ``paired`` (poses of one person in both), ``poses``,
        ``clips_by_oks``, ``all`` and ``joints``: medians and 90 % quantiles in pixels and head
        lengths, the share within half a head length, how many joints were compared.
    """
    from posedata.compare_layers import compared_joints

    out = []
    for (a, b), sums in measured.pairs.items():
        names = compared_joints(release.skeleton(a), release.skeleton(b)).names
        out.append({
            "layers": [a, b],
            "poses": [sums["poses_a"], sums["poses_b"]],
            "paired": sums["paired"],
            "clips_by_oks": sums["by_oks"],
            "all": _distances(sums, slice(None)),
            "joints": [{"joint": joint, **_distances(sums, slice(at, at + 1))}
                       for at, joint in enumerate(names)],
        })  # fmt: skip
    return out


def _distances(sums: Sums, at: slice) -> dict[str, Any]:
    pixels, heads = sums["pixels"][at].sum(0), sums["heads"][at].sum(0)
    measured = int(sums["measured"][at].sum())
    return {
        "compared": int(sums["compared"][at].sum()),
        "median_px": _known(quantile(pixels, 0.5)),
        "p90_px": _known(quantile(pixels, 0.9)),
        "median_heads": _known(quantile(heads, 0.5)),
        "p90_heads": _known(quantile(heads, 0.9)),
        "within_half_head": _ratio(sums["within"][at].sum(), measured),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.4g}")


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def joints_section(
    layers: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]
) -> Html:  # fmt: skip
    """Show missing joints and scores: a table with a row a joint, a column a layer."""
    names = list(layers)
    parts: list[Any] = []
    rows: list[list[Cell]] = [
        [name, count(one["frames"]), share(_ratio(one["frames_with_people"], one["frames"])),
         count(one["poses"]), count(one["tracks"]), count(one["gap_frames"])]
        for name, one in layers.items()
    ]  # fmt: skip
    head = ["layer", "frames", "with people", "poses", "tracks", "frames missing within tracks"]
    parts.append(table(head, rows, caption="Frames and people"))
    joints = list(dict.fromkeys(one["joint"] for layer in layers.values()
                                for one in layer["joints"]))  # fmt: skip
    complete = [name for name in names if not any(one["missing"] for one in layers[name]["joints"])]
    lacking = [name for name in names if name not in complete]
    by_name = {name: {one["joint"]: one for one in layer["joints"]}
               for name, layer in layers.items()}  # fmt: skip
    if lacking:
        rows = _rows(joints, lacking, by_name, _missing)
        parts.append(table(["joint", *lacking], rows, caption="Missing joints, share of poses",
                           class_="matrix"))  # fmt: skip
    if complete:
        told = f"No joint is missing in any pose of {', '.join(complete)}."
        parts[0] = join([parts[0], paragraph(told, class_="note")])
    inferred = [name for name in names if any(one["inferred"] for one in layers[name]["joints"])]
    if inferred:
        rows = _rows(joints, inferred, by_name, _inferred)
        caption = "Joints that the source calls inferred or occluded, share of those there"
        parts.append(table(["joint", *inferred], rows, caption=caption, class_="matrix"))
    scored = [name for name in names if "score_bins" in layers[name]]
    if scored:
        rows = _rows(joints, scored, by_name, _score)
        parts.append(table(["joint", *scored], rows, caption="Mean score of joints that are there",
                           class_="matrix"))  # fmt: skip
        parts.append(_histograms({n: layers[n]["score_bins"] for n in scored}, numbers, "score",
                                 "Scores of each layer"))  # fmt: skip
    grouped = [element("div", part, class_="cell") for part in parts]
    return section("joints", "Missing data and scores", element("div", *grouped, class_="grid"))


def _rows(
    joints: Sequence[str], names: Sequence[str],
    by_name: Mapping[str, Mapping[str, Mapping[str, Any]]],
    cell: Callable[[Mapping[str, Any] | None], Cell],
) -> list[list[Cell]]:  # fmt: skip
    """A row for each joint that a layer has, a cell for each layer."""
    return [
        [joint, *(cell(by_name[name].get(joint)) for name in names)]
        for joint in joints
        if any(joint in by_name[name] for name in names)
    ]


def _missing(one: Mapping[str, Any] | None) -> Cell:
    if one is None:
        return Heat("", np.nan, "the layer's skeleton has no such joint")
    if one["missing"] is None:
        return Heat("–", np.nan)
    return Heat("0" if one["missing"] == 0 else share(one["missing"]), one["missing"])


def _inferred(one: Mapping[str, Any] | None) -> Cell:
    if one is None or one["inferred"] is None:
        return Heat("", np.nan)
    return Heat("0" if one["inferred"] == 0 else share(one["inferred"]), one["inferred"])


def _score(one: Mapping[str, Any] | None) -> Cell:
    if one is None:
        return Heat("", np.nan, "the layer's skeleton has no such joint")
    if one["score"] is None:
        return Heat("–", np.nan)
    return Heat(decimal(one["score"]), 1 - one["score"])


def _histograms(
    counts: Mapping[str, Sequence[int]], numbers: Mapping[str, int], what: str, about: str
) -> Html:
    def draw(figure: Figure) -> None:
        arrays = {name: np.array(bins) for name, bins in counts.items()}
        draw_histograms(figure, SCORE_EDGES, arrays, numbers, about, what)

    return chart(draw, (5.2, 0.9 + 0.52 * len(counts)), about)


def agreement_section(pairs: Sequence[Mapping[str, Any]], layers: Sequence[str]) -> Html:
    """Show how far layers are apart: a matrix of layers, and a table of joints."""
    title = "Agreement between layers"
    if not pairs:
        return section("agreement", title, paragraph("No two layers have pixels and a joint in "
                                                     "common.", class_="note"))  # fmt: skip
    told = [name for name in layers if any(name in pair["layers"] for pair in pairs)]
    by_pair = {frozenset(pair["layers"]): pair for pair in pairs}
    rows: list[list[Cell]] = []
    for a in told:
        cells: list[Cell] = [a]
        for b in told:
            pair = by_pair.get(frozenset((a, b))) if a != b else None
            cells.append(_distance(pair["all"]) if pair else Heat("", np.nan))
        rows.append(cells)
    parts: list[Any] = [
        paragraph("Distance of the same joint of the same person in two layers, in head lengths "
                  "(head to the middle of the shoulders); half of one is the usual limit of a "
                  "correct joint. The strongest colour is one head length.", class_="lead"),
        table(["median, head lengths", *told], rows, caption="Layers against each other",
              class_="matrix"),
    ]  # fmt: skip
    rows = [
        [" – ".join(pair["layers"]), count(pair["paired"]), decimal(pair["all"]["median_heads"]),
         decimal(pair["all"]["p90_heads"]), decimal(pair["all"]["median_px"], 1),
         decimal(pair["all"]["p90_px"], 1), share(pair["all"]["within_half_head"])]
        for pair in pairs
    ]  # fmt: skip
    head = ["layers", "poses in both", "median, heads", "90 %, heads", "median, px", "90 %, px",
            "within half a head"]  # fmt: skip
    parts.append(table(head, rows, caption="Pairs of layers"))
    joints = list(dict.fromkeys(one["joint"] for pair in pairs for one in pair["joints"]))
    found = [{one["joint"]: one for one in pair["joints"]} for pair in pairs]
    rows = [[joint, *(_distance(of.get(joint)) for of in found)] for joint in joints]
    names = [element("span", *_two_lines(pair["layers"])) for pair in pairs]
    parts.append(table(["joint", *names], rows, class_="matrix wide",
                       caption="Median distance of each joint, head lengths"))  # fmt: skip
    return section("agreement", title, *parts)


def _two_lines(layers: Sequence[str]) -> list[Any]:
    return [layers[0], Html("<br>"), layers[1]]


def _distance(one: Mapping[str, Any] | None) -> Cell:
    if one is None or not one["compared"]:
        return Heat("", np.nan, "not in both")
    title = (f"median {decimal(one['median_px'], 1)} px, 90 % within {decimal(one['p90_px'], 1)} "
             f"px; {share(one['within_half_head'])} within half a head length; "
             f"{count(one['compared'])} compared")  # fmt: skip
    if one["median_heads"] is None:
        return Heat(f"{decimal(one['median_px'], 1)} px", np.nan, title)
    return Heat(decimal(one["median_heads"]), one["median_heads"], title)


def fusion_section(
    layers: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]
) -> Html | None:  # fmt: skip
    """Show C and the winners of fused layers; None where there are none."""
    fused = [name for name in layers if "confidence_bins" in layers[name]]
    won = [name for name in layers if layers[name].get("winners", {}).get("experts")]
    if not fused and not won:
        return None
    parts: list[Any] = []
    if fused:
        parts.append(_histograms({n: layers[n]["confidence_bins"] for n in fused}, numbers, "C",
                                 "How far the experts agree: C of each pose"))  # fmt: skip
    for name in won:
        winners = layers[name]["winners"]
        parts.append(_winner_chart(name, winners, numbers))
        experts = winners["experts"]
        rows: list[list[Cell]] = []
        for one in winners["joints"]:
            total = sum(one["won"]) + one["missing"]
            cells = [Heat(share(_ratio(n, total)), (n / total) if total else np.nan)
                     for n in one["won"]]  # fmt: skip
            nobody = share(_ratio(one["missing"], total)) if one["missing"] else "0"
            rows.append([one["joint"], *cells, nobody, decimal(one["agreed"], 1)])
        head = ["joint", *experts, "nobody", "experts near it, mean"]
        parts.append(table(head, rows, caption=f"{name}: whose joint it is", class_="matrix"))
    grouped = [element("div", part, class_="cell") for part in parts]
    return section("fusion", "Fusion", element("div", *grouped, class_="grid"))


def _winner_chart(name: str, winners: Mapping[str, Any], numbers: Mapping[str, int]) -> Html:
    joints = [one["joint"] for one in winners["joints"]]
    counts = np.array([[*one["won"], one["missing"]] for one in winners["joints"]], np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows, left = np.arange(len(joints)), np.zeros(len(joints))
        for at, expert in enumerate([*winners["experts"], "nobody"]):
            last = at == len(winners["experts"])
            colour = GREY if last else layer_colour(numbers.get(expert, at))
            if not last or shares[:, at].any():
                axes.barh(rows, shares[:, at], left=left, color=colour, height=0.78, label=expert,
                          alpha=0.4 if last else 1.0)  # fmt: skip
            left += shares[:, at]
        axes.set_yticks(rows, joints)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(joints) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.grid(False)
        axes.set_xlabel("share of poses")
        axes.set_title(f"{name}: which expert's joint it is")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))

    return chart(draw, (5.2, 1.3 + 0.2 * len(joints)), f"{name}: winners of each joint")
