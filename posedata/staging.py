"""The unfinished state of a release: what was planned, and which shards are done.

It lives in one directory inside the release and is removed when the manifest is written. A
release without a manifest is unfinished, whatever else is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from posedata.errors import OutputError
from posedata.manifest import FILE_NAME as MANIFEST
from posedata.storage import Location

DIRECTORY = ".unfinished"
_PLAN = "plan.json"
_REPLACING = "replacing"
_BEFORE = "before"
_CLOSING = "closing"
# What adding a layer changes.
_CHANGED = ("rejects.parquet", "clips.parquet", MANIFEST)
_MOST_BYTES = 1 << 30
# All that a release consists of: nothing else in its directory is ever removed.
_CONTENT = (
    MANIFEST, "README.md", "clips.parquet", "splits.parquet", "segments.parquet",
    "rejects.parquet", "data", "anchors",
)  # fmt: skip
_REMEDIES = "Give --resume to complete it, --overwrite to replace it, or another -o."


def open_staging(
    out: Location, plan: dict[str, Any], *, resume: bool, overwrite: bool
) -> dict[int, dict[str, Any]]:
    """Prepare an output directory, or find out what an interrupted run has left there.

    Parameters
    ----------
    out : Location
        The release to be.
    plan : dict
        All that its content depends on.
    resume, overwrite : bool
        Whether what is there may be completed, or replaced.

    Returns
    -------
    dict of int to dict
        The records of the shards that are done.

    Raises
    ------
    OutputError
        If the directory is taken, or holds the beginning of another plan.
    """
    if out.is_empty():
        _begin(out, plan)
        return {}
    unfinished = (out / DIRECTORY).exists()
    if overwrite or (resume and (out / DIRECTORY / _REPLACING).exists()):
        if not unfinished and not (out / MANIFEST).exists():
            raise OutputError("not a release of posedata, so it is not overwritten", path=out,
                              remedy="Remove it yourself, or give another -o.")  # fmt: skip
        _clear(out)
        _begin(out, plan)
        (out / DIRECTORY / _REPLACING).remove()
        return {}
    if not resume:
        if before_addition(out) is not None:
            raise OutputError("the output exists already: a release with an unfinished addition is "
                              "there", path=out,
                              remedy="Complete that with its command, --into and --resume; or give "
                              "another -o.")  # fmt: skip
        if unfinished:
            state = "an unfinished release"
        else:
            state = "a finished release" if (out / MANIFEST).exists() else "something else"
        raise OutputError(f"the output exists already: {state} is there", path=out,
                          remedy=_REMEDIES)  # fmt: skip
    if not unfinished:
        raise OutputError("there is no unfinished release to resume", path=out,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    if not (out / DIRECTORY / _PLAN).exists():
        _begin(out, plan)
        return {}
    _expect_same_plan(out, plan, "Run the command that began it, or give --overwrite.")
    return _done(out)


def _expect_same_plan(out: Location, plan: dict[str, Any], remedy: str) -> None:
    begun = json.loads((out / DIRECTORY / _PLAN).read_bytes(_MOST_BYTES))
    different = [key for key in plan if begun.get(key) != plan[key]]
    if different:
        raise OutputError(
            "the unfinished release was begun with other " + ", ".join(different), path=out,
            found=_short(begun, different), expected=_short(plan, different),
            remedy=remedy,
        )  # fmt: skip


def open_addition(
    out: Location, plan: dict[str, Any], layers: Sequence[str], *, resume: bool
) -> dict[int, dict[str, Any]]:
    """Prepare a finished release for further layers, or find out what is done of them.

    What the addition will change is kept aside first, so that closing it can be repeated.

    Parameters
    ----------
    out : Location
        The release.
    plan : dict
        All that the content of the layers depends on.
    layers : sequence of str
        Names of the new layers.
    resume : bool
        Whether an interrupted addition may be completed.

    Returns
    -------
    dict of int to dict
        The records of the shards that are done.

    Raises
    ------
    OutputError
        If a layer is there already, or another addition is unfinished.
    """
    staging = out / DIRECTORY
    if (staging / _PLAN).exists() and before_addition(out) is not None:
        if not resume:
            raise OutputError("an unfinished addition to the release is there", path=out,
                              remedy="Give --resume to complete it.")  # fmt: skip
        _expect_same_plan(out, plan, "Run the command that began it.")
        return _done(out)
    for layer in layers:
        if (out / "data" / layer).exists():
            raise OutputError(f"the release has a layer {layer} already", path=out,
                              remedy="Give the new one another name: --layer NAME, or for an "
                              "expert --expert NAME=...")  # fmt: skip
    staging.remove()
    for name in _CHANGED:
        (staging / _BEFORE / name).write_bytes((out / name).read_bytes(_MOST_BYTES))
    _begin(out, plan)
    return {}


def before_addition(out: Location) -> Location | None:
    """Give the place where an unfinished addition keeps the release's former tables."""
    before = out / DIRECTORY / _BEFORE
    return before if (before / MANIFEST).exists() else None


def is_begun_by_other(out: Location, plan: dict[str, Any]) -> bool:
    """Whether an unfinished addition to a release is there that has another plan."""
    begun = out / DIRECTORY / _PLAN
    if before_addition(out) is None or not begun.exists():
        return False
    return bool(json.loads(begun.read_bytes(_MOST_BYTES)) != plan)


def begin_closing(out: Location) -> None:
    """Note that the tables of a release are being replaced: readers refuse it from now on."""
    (out / DIRECTORY / _CLOSING).write_bytes(b"")


def is_closing(out: Location) -> bool:
    """Whether the tables of a release are being replaced, or a run was interrupted at that."""
    return (out / DIRECTORY / _CLOSING).exists()


def clear_staging(out: Location) -> None:
    """Remove all that was kept for an unfinished release or addition, now that it is finished.

    In this order, so that a kill in between leaves what a resumed run understands.
    """
    staging = out / DIRECTORY
    (staging / _CLOSING).remove()
    (staging / _BEFORE / MANIFEST).remove()
    staging.remove()


def is_unfinished(out: Location) -> bool:
    """Whether an interrupted run has left the beginning of a release."""
    return (out / DIRECTORY).exists()


def stage_clips(out: Location, shard: int, clips: pa.RecordBatch) -> None:
    """Keep the clip columns of a shard until ``clips.parquet`` is written."""
    with (out / DIRECTORY / f"clips-{shard:05}.arrow").create() as file:
        with pa.ipc.new_stream(file, clips.schema) as writer:
            writer.write_batch(clips)


def staged_clips(out: Location, shard: int) -> pa.RecordBatch:
    """Give back what `stage_clips` kept."""
    with (out / DIRECTORY / f"clips-{shard:05}.arrow").open() as file:
        return pa.ipc.open_stream(file).read_next_batch()


def finish_shard(out: Location, shard: int, record: dict[str, Any]) -> None:
    """Note that all files of a shard are in their places."""
    content = json.dumps(record, ensure_ascii=False).encode()
    (out / DIRECTORY / f"done-{shard:05}.json").write_bytes(content)


def _begin(out: Location, plan: dict[str, Any]) -> None:
    (out / DIRECTORY / _PLAN).write_bytes(json.dumps(plan).encode())


def _clear(out: Location) -> None:
    """Remove a release, the manifest first; the mark lets a resumed run go on with it."""
    (out / DIRECTORY / _REPLACING).write_bytes(b"")
    for name in _CONTENT:
        (out / name).remove()
    for path in out.fs.ls(f"{out.path}/{DIRECTORY}", False):
        if not path.endswith(_REPLACING):
            Location(out.fs, path).remove()


def _done(out: Location) -> dict[int, dict[str, Any]]:
    """Records of the shards whose part is there in full."""
    records = {}
    for path in sorted(out.fs.ls(f"{out.path}/{DIRECTORY}", False)):
        if not path.rsplit("/", 1)[-1].startswith("done-"):
            continue
        record = json.loads(Location(out.fs, path).read_bytes(_MOST_BYTES))
        part = record["part"]
        if part is not None:
            place = out / part["path"]
            if not place.exists() or place.size() != part["bytes"]:
                continue
        records[record["shard"]] = record
    return records


def _short(plan: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {str(plan.get(key))[:200]}" for key in keys)
