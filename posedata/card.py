"""The dataset card: README.md of a release, for people and for Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Sequence

from posedata.converter import Description
from posedata.layer_table import LayerTable
from posedata.manifest import FORMAT_VERSION, Manifest

_TEXT = """\
---
pretty_name: {quoted_title}
license: other
license_name: see-below
configs:
{configs}---

# {title}

{num_clips:,} clips in posedata's unified skeleton format {format_version}: one row for each clip,
its poses in nested columns. Made by `posedata {version}`; `posedata.json` says from what and how.

- **Licence of the data:** {license}.
- **Raw data:** {source}.
- **Please cite:** {citation}.

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

## Files

| file | rows | what |
|---|---|---|
{files}

What could not be taken over from the raw data, or only with a change, is in `rejects.parquet`:
{num_rejects} rejected, {num_warnings} warnings.

## Columns of the layer `{layer}` (joint set `{skeleton}`, {num_joints} joints)

| column | type | what |
|---|---|---|
{columns}

Joints, in order: {joints}.
{left_out}"""

_LEFT_OUT = """
Not here, although the raw data has them (`--all-fields` keeps them): {}.
"""


def write_card(
    manifest: Manifest, description: Description, table: LayerTable, version: str
) -> bytes:
    """Write the card of a release with one layer.

    Its front matter declares one config for each layer, so that ``load_dataset`` finds them.
    """
    configs = "".join(
        f"- config_name: {json.dumps(layer)}\n  data_files: data/{layer}/*.parquet\n"
        for layer in manifest.layers
    )
    about = {"clips.parquet": "one row for each clip, without poses",
             "splits.parquet": "protocol, split, clip_id",
             "rejects.parquet": "source, stage, reason, position, severity"}  # fmt: skip
    parts = [e for p, e in manifest.files.items() if p.startswith(f"data/{table.layer}/")]
    layer_rows = sum(part["rows"] for part in parts)
    files = [
        f"| `data/{table.layer}/*.parquet` | {layer_rows} | one row for each clip, with poses |"
    ]
    files += [f"| `{n}` | {manifest.files[n]['rows']} | {about[n]} |" for n in about]
    return _TEXT.format(
        title=description.title,
        quoted_title=json.dumps(description.title),  # a string of JSON is one of YAML
        configs=configs,
        num_clips=manifest.counts["clips"],
        format_version=FORMAT_VERSION,
        version=version,
        license=description.license,
        source=description.source,
        citation=description.citation,
        layer=table.layer,
        example=next(n for n in ("keypoints_3d", "keypoints_2d") if n in table.pose_columns),
        files="\n".join(files),
        num_rejects=manifest.counts["rejects"],
        num_warnings=manifest.counts["warnings"],
        skeleton=table.skeleton.name,
        num_joints=table.skeleton.num_joints,
        columns="\n".join(_column_rows(table)),
        joints=", ".join(table.skeleton.joints),
        left_out=_LEFT_OUT.format(", ".join(description.left_out)) if description.left_out else "",
    ).encode()


def _column_rows(table: LayerTable) -> Sequence[str]:
    rows = []
    for name, column in table.definitions.items():
        kind = column["type"]
        if column["per"] != "clip":
            kind = f"list of {kind}" + "".join(f"[{size}]" for size in table.shape(name))
        rows.append(f"| `{name}` | {kind} | {column['about']} |")
    return rows
