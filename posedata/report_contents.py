"""What is in a release, for the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.figure_file import COLOURS
from posedata.info import release_info
from posedata.release import Release
from posedata.report_charts import chart, draw_bars
from posedata.report_html import Cell, Html, count, element, paragraph, section, size, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LABELS, _MOST_REASONS, _LONGEST_NAME = 30, 10, 40
_MOST_VALUE = 300


def contents(release: Release) -> dict[str, Any]:
    """Describe a release as JSON values: `posedata info`, and more.

    Returns
    -------
    dict
        That of `posedata.info.release_info`, with ``title``, ``source``, ``labels`` (name and
        number of clips, the most frequent first), ``clip_frames`` (smallest, median and greatest
        number of frames, and a histogram), ``videos`` (sizes and rates with how many clips), and
        ``reject_reasons``.
    """
    told = release_info(release)
    clips = release.clips()
    names = clips.schema.names
    told["title"], told["source"] = release.manifest.title, release.manifest.source
    column = next((name for name in ("label_name", "label") if name in names), None)
    labels: Counter[str] = Counter()
    if column is not None:
        labels.update("none" if v is None else str(v) for v in clips[column].to_pylist())
    told["labels"] = [[name, number] for name, number in labels.most_common()]
    frames = clips["num_frames"].to_numpy()
    told["clip_frames"] = None
    if len(frames):
        counts, edges = np.histogram(frames, bins=min(30, max(1, len(np.unique(frames)))))
        told["clip_frames"] = {
            "least": int(frames.min()), "median": float(np.median(frames)),
            "most": int(frames.max()), "edges": edges.tolist(), "clips": counts.tolist(),
        }  # fmt: skip
    videos: Counter[str] = Counter()
    if {"width", "height"} <= set(names):
        rates = clips["fps"].to_pylist() if "fps" in names else [None] * clips.num_rows
        for width, height, fps in zip(
            clips["width"].to_pylist(), clips["height"].to_pylist(), rates, strict=True
        ):
            shape = "unknown" if width is None or height is None else f"{width} × {height}"
            videos[shape + ("" if fps is None else f", {fps:g} fps")] += 1
    told["videos"] = [[name, number] for name, number in videos.most_common(_MOST_REASONS)]
    rejects = release.rejects()
    reasons = Counter(rejects["reason"].to_pylist())
    told["reject_reasons"] = [[str(r), n] for r, n in reasons.most_common(_MOST_REASONS)]
    return told


def contents_section(told: Mapping[str, Any], sample: Mapping[str, Any]) -> Html:
    """Show what is in the release."""
    poses = sum(layer["poses"] for layer in told["layers"].values())
    tiles = [("clips", told["counts"]["clips"]), ("frames", told["frames"]), ("poses", poses),
             ("layers", len(told["layers"]))]  # fmt: skip
    tiles += [(f"{name}s", number) for name, number in told["distinct"].items()]
    tiles += [(name, told["counts"][name]) for name in ("rejects", "warnings")
              if told["counts"][name]]  # fmt: skip
    parts: list[Any] = [element(
        "ul", *(element("li", element("b", count(n)), " ", element("span", name))
                for name, n in tiles), class_="tiles",
    )]  # fmt: skip
    if sample["clips"] < sample["of"]:
        parts.append(paragraph(
            f"Numbers about poses below are of a sample: {count(sample['clips'])} of "
            f"{count(sample['of'])} clips, drawn at random with seed {sample['seed']}. What is in "
            "this section is of all clips.", class_="note",
        ))  # fmt: skip
    rows: list[list[Cell]] = [
        [name, layer["skeleton"], _what(layer), count(layer["joints"]), count(layer["clips"]),
         count(layer["poses"]), size(layer["bytes"])]
        for name, layer in told["layers"].items()
    ]  # fmt: skip
    head = ["layer", "skeleton", "has", "joints", "clips", "poses", "size"]
    parts.append(table(head, rows, numbers_from=3, caption="Layers"))
    charts: list[Html] = []
    if told["labels"]:
        charts.append(_label_chart(told["labels"]))
    if told["clip_frames"] and told["clip_frames"]["most"] > told["clip_frames"]["least"]:
        charts.append(_length_chart(told["clip_frames"]))
    if told["splits"]:
        rows = [[protocol, split, count(number)] for protocol, splits in told["splits"].items()
                for split, number in splits.items()]  # fmt: skip
        head = ["protocol", "split", "clips"]
        charts.append(table(head, rows, numbers_from=2, caption="Splits"))
    if told["videos"]:
        rows = [[name, count(number)] for name, number in told["videos"]]
        charts.append(table(["video", "clips"], rows, caption="Videos"))
    if told["reject_reasons"]:
        rows = [[reason[:_MOST_VALUE], count(number)] for reason, number in told["reject_reasons"]]
        charts.append(table(["reason", "rows"], rows, caption="Rejects and warnings"))
    parts.append(element("div", *(element("div", one, class_="cell") for one in charts),
                         class_="grid"))  # fmt: skip
    parts.append(_history(told["history"]))
    return section("contents", "What is in it", *parts)


def _what(layer: Mapping[str, Any]) -> str:
    names = {"keypoints_2d": "2D", "keypoints_3d": "3D", "scores": "scores",
             "visibility": "visibility", "boxes": "boxes", "confidence": "C",
             "winner": "winners"}  # fmt: skip
    return ", ".join(said for name, said in names.items() if name in layer["pose_columns"])


def _label_chart(labels: list[list[Any]]) -> Html:
    shown = labels[:_MOST_LABELS]
    title = f"Clips of each label ({len(labels)})"
    if len(shown) < len(labels):
        title = f"Clips of the {len(shown)} most frequent of {len(labels)} labels"

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        names = [_short(name) for name, _ in shown]
        draw_bars(axes, names, [number for _, number in shown], COLOURS[0])
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    return chart(draw, (5.2, 0.7 + 0.2 * len(shown)), title)


def _length_chart(frames: Mapping[str, Any]) -> Html:
    title = (f"Frames of a clip: {count(frames['least'])} to {count(frames['most'])}, median "
             f"{count(frames['median'])}")  # fmt: skip

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        axes.stairs(frames["clips"], frames["edges"], fill=True, color=COLOURS[0])
        axes.set_xlabel("frames")
        axes.set_ylabel("clips")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title)

    return chart(draw, (5.2, 2.4), title)


def _short(name: str) -> str:
    """Shorten a name, without the line breaks and controls that no SVG may have."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return clean if len(clean) <= _LONGEST_NAME else clean[: _LONGEST_NAME - 1] + "…"


def _history(history: list[dict[str, Any]]) -> Html:
    """List the operations that made the release; their options are folded away."""
    items = []
    for operation in history:
        options = operation.get("options")
        name = element("b", operation.get("operation", "?"))
        version = f" posedata {operation.get('posedata', '?')}"
        pairs = options.items() if isinstance(options, dict) else ()
        given = {key: value for key, value in pairs if value not in (None, "", [], {}, False)}
        said = {key: _short(json.dumps(value, ensure_ascii=False))
                for key, value in given.items() if not isinstance(value, dict)}  # fmt: skip
        words = ", ".join(f"{key} {value}" for key, value in said.items())
        whole = json.dumps(operation, indent=1, ensure_ascii=False)
        items.append(element("li", element(
            "details", element("summary", name, element("span", version, " ", words)),
            element("pre", whole[:20000]),
        )))  # fmt: skip
    return element("div", element("h3", "How it was made"), element("ol", *items),
                   class_="history")  # fmt: skip
