"""The dataset card: README.md of a release, for people and for Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Sequence

from posedata.layer_table import LayerTable
from posedata.manifest import FORMAT_VERSION, Manifest

_TEXT = """\
---
pretty_name: {quoted_title}
license: other
license_name: see-below
{configs}---

# {title}

{num_clips:,} clips in posedata's unified skeleton format {format_version}: one row for each clip,
its poses in nested columns. Made by `posedata {version}`; `posedata.json` says from what and how.

- **Licence of the data:** {license}.
- **Raw data:** {source}.
- **Please cite:** {citation}.
{reading}
## Files

| file | rows | what |
|---|---|---|
{files}

What could not be taken over from the raw data, or only with a change, is in `rejects.parquet`:
{num_rejects} rejected, {num_warnings} warnings.
{layers}"""

_READING = """
## Reading it

```python
import posedata

release = posedata.open_release(".")
clip = next(release.iter_clips("{layer}"))
clip.dense("{example}").shape  # (persons, frames, joints, coordinates), NaN where missing
```

```python
from datasets import load_dataset

load_dataset(".", "{layer}", split="train")
```

```sql
SELECT clip_id, num_frames, len(frames) AS poses FROM 'data/{layer}/*.parquet';
```
"""

_LAYER = """
## Columns of the layer `{layer}` (joint set `{skeleton}`, {num_joints} joints)

| column | type | what |
|---|---|---|
{columns}

Joints, in order: {joints}.
{left_out}"""

_LEFT_OUT = """
Not here, although the raw data has them (`--all-fields` keeps them): {}.
"""

_ABOUT = {
    "clips.parquet": "one row for each clip, without poses",
    "splits.parquet": "protocol, split, clip_id",
    "segments.parquet": "clip_id, start_s, end_s, label, label_name, flag",
    "rejects.parquet": "source, stage, reason, position, severity",
}


def write_card(manifest: Manifest, version: str) -> bytes:
    """Write the card of a release.

    Its front matter declares one config for each layer, so that ``load_dataset`` finds them.
    """
    configs = "".join(
        f"- config_name: {json.dumps(layer)}\n  data_files: data/{layer}/*.parquet\n"
        for layer in manifest.layers
    )
    files = []
    for layer in manifest.layers:
        parts = [e for p, e in manifest.files.items() if p.startswith(f"data/{layer}/")]
        rows = sum(part["rows"] for part in parts)
        files.append(f"| `data/{layer}/*.parquet` | {rows} | one row for each clip, with poses |")
    files += [
        f"| `{name}` | {manifest.files[name]['rows']} | {about} |"
        for name, about in _ABOUT.items()
        if name in manifest.files
    ]
    tables = [manifest.table(layer) for layer in manifest.layers]
    return _TEXT.format(
        title=manifest.title or manifest.name,
        quoted_title=json.dumps(manifest.title or manifest.name),  # a JSON string is a YAML one
        configs=f"configs:\n{configs}" if configs else "",
        num_clips=manifest.counts["clips"],
        format_version=FORMAT_VERSION,
        version=version,
        license=manifest.license,
        source=manifest.source,
        citation=manifest.citation or "the authors of the data set",
        reading=_reading(tables[0]) if tables else "",
        files="\n".join(files),
        num_rejects=manifest.counts["rejects"],
        num_warnings=manifest.counts["warnings"],
        layers="".join(
            _layer(table, manifest.layers[table.layer].get("left_out", [])) for table in tables
        ),
    ).encode()


def _reading(table: LayerTable) -> str:
    names = [n for n in ("keypoints_3d", "keypoints_2d") if n in table.pose_columns]
    return _READING.format(layer=table.layer, example=names[0] if names else "scores")


def _layer(table: LayerTable, left_out: Sequence[str]) -> str:
    return _LAYER.format(
        layer=table.layer,
        skeleton=table.skeleton.name,
        num_joints=table.skeleton.num_joints,
        columns="\n".join(_column_rows(table)),
        joints=", ".join(table.skeleton.joints),
        left_out=_LEFT_OUT.format(", ".join(left_out)) if left_out else "",
    )


def _column_rows(table: LayerTable) -> Sequence[str]:
    rows = []
    for name, column in table.definitions.items():
        kind = column["type"]
        if column["per"] != "clip":
            kind = f"list of {kind}" + "".join(f"[{size}]" for size in table.shape(name))
        rows.append(f"| `{name}` | {kind} | {column['about']} |")
    return rows
