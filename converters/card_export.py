"""The card of a release as Hugging Face's site wants it: with tags and sizes.

The card that a release has already is enough for ``load_dataset``. What is added here is for the
site, which lists and searches data sets by it. The features are not repeated: each Parquet file
has them in its schema, where ``load_dataset`` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from posedata.card import write_card
from posedata.exporter import Exporter, Target
from posedata.profile import Change
from posedata.storage import Location
from posedata.version import __version__

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems
    from posedata.release import Release

_LARGEST_POWER = 12


def write(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write the card."""
    card = write_card(target.manifest, __version__).decode()
    front, end, text = card.partition("\n---\n")
    further = "\n".join([*_tags(target), *_sizes(target.release)])
    out.write_bytes(f"{front}\n{further}{end}{text}".encode())
    return ()


def _tags(target: Target) -> list[str]:
    """What the site searches by."""
    tasks = ["keypoint-detection"] if target.manifest.layers else []
    if "label" in target.manifest.clips.get("columns", ()) or target.manifest.segment_names:
        tasks.append("video-classification")
    lines = ["tags:", "- pose-estimation", "- skeleton", "- action-recognition"]
    if tasks:
        lines += ["task_categories:", *(f"- {task}" for task in tasks)]
    return [*lines, "size_categories:", f"- {_size_category(target.manifest.counts['clips'])}"]


def _size_category(clips: int) -> str:
    """Give the power of ten, as the site writes it."""
    names = ["", *(f"{10 ** (p % 3)}{'KMBT'[p // 3 - 1]}" for p in range(3, _LARGEST_POWER + 1))]
    power = min(max(len(str(clips)) - 3, 0), len(names) - 1)
    if power == 0:
        return "n<1K"
    return f"{names[power]}<n<{names[power + 1]}" if power + 1 < len(names) else f"n>{names[power]}"


def _sizes(release: Release) -> list[str]:
    """Rows and bytes of each layer; its only split is called train, as for any Parquet files."""
    import pyarrow.parquet as pq

    from posedata.release_files import reading

    lines = []
    for layer in release.layers:
        rows = in_memory = in_files = 0
        for name in release.part_names(layer):
            entry = release.manifest.files[name]
            rows += entry["rows"]
            in_files += entry["bytes"]
            place = release.place / name
            with reading(place), place.open() as file:
                metadata = pq.ParquetFile(file).metadata
                groups = range(metadata.num_row_groups)
                in_memory += sum(metadata.row_group(group).total_byte_size for group in groups)
        lines += [
            f"- config_name: {json.dumps(layer)}", "  splits:", "  - name: train",
            f"    num_bytes: {in_memory}", f"    num_examples: {rows}",
            f"  download_size: {in_files}", f"  dataset_size: {in_memory}",
        ]  # fmt: skip
    return ["dataset_info:", *lines] if lines else []


EXPORTER = Exporter(
    name="card",
    about="README.md for Hugging Face: the dataset card, with tags and sizes",
    suffix=".md",
    prepare=None,
    write=write,
)
