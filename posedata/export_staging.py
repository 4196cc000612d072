"""The unfinished state of an export: prepared clips, until the format's files are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from posedata.errors import InputError, OutputError
from posedata.exporter import Item
from posedata.storage import Location

_MOST_BYTES = 1 << 30


def open_export_staging(
    out: Location, report: Location, staging: Location, plan: dict[str, Any], *,
    resume: bool, overwrite: bool,
) -> dict[int, dict[str, Any]]:  # fmt: skip
    """Prepare the place of an export, or find out what an interrupted run has left there.

    What is there stays until `clear_output`: an export that turns out to be impossible has not
    removed the one before.

    Parameters
    ----------
    out, report, staging : Location
        The file or folder to write, its report, and the directory for what is unfinished.
    plan : dict
        All that the files depend on.
    resume, overwrite : bool
        Whether what is there may be completed, or replaced.

    Returns
    -------
    dict of int to dict
        The records of the parts that are done.

    Raises
    ------
    OutputError
        If the output is taken, or the beginning of another export is there.
    """
    begun = (staging / "plan.json").exists()
    if begun and not overwrite:
        if not resume:
            raise OutputError("an unfinished export is there", path=out,
                              remedy="Give --resume to complete it, or --overwrite.")  # fmt: skip
        if _begun(staging)["plan"] != plan:
            raise OutputError("the unfinished export was begun with other options or from another "
                              "release", path=out,
                              remedy="Give --overwrite to begin again.")  # fmt: skip
        return _done(staging)
    if not (overwrite or out.is_empty()):
        raise OutputError("the output exists already", path=out,
                          remedy="Give --overwrite to replace it, or another -o.")  # fmt: skip
    kept = _begun(staging)["kept"] if begun else _not_of_the_export(out, report)
    staging.remove()
    content = json.dumps({"plan": plan, "kept": kept})
    (staging / "plan.json").write_bytes(content.encode())
    return {}


def clear_output(out: Location, report: Location, staging: Location) -> None:
    """Remove what an earlier export, or an interrupted one, has written; nothing else."""
    kept = set(_begun(staging)["kept"])
    report.remove()
    for name in list_files(out):
        if name not in kept:
            (out / name if name else out).remove()


def written_files(out: Location, staging: Location) -> list[str]:
    """List the files of an export that is complete but for its report; "" is ``out`` itself."""
    kept = set(_begun(staging)["kept"])
    return [name for name in list_files(out) if name not in kept]


def list_files(out: Location) -> list[str]:
    """List the files below a folder, relative to it; "" for a file."""
    if not out.exists():
        return []
    if not out.fs.isdir(out.path):
        return [""]
    start = len(out.path.rstrip("/")) + 1
    return sorted(path[start:] for path in out.fs.find(out.path))


def _not_of_the_export(out: Location, report: Location) -> list[str]:
    """List what is in a folder beside the files of an export; refuse what is no export."""
    present = list_files(out)
    if not present:
        return []
    try:
        files = json.loads(report.read_bytes(_MOST_BYTES))["files"]
        own = {*files, report.path.removeprefix(f"{out.path.rstrip('/')}/")}
    except (InputError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OutputError("not an export of posedata, so it is not overwritten", path=out,
                          remedy="Remove it yourself, or give another -o.") from error  # fmt: skip
    return [name for name in present if name not in own]


def _begun(staging: Location) -> dict[str, Any]:
    return json.loads((staging / "plan.json").read_bytes(_MOST_BYTES))


def write_items(staging: Location, part: int, items: Iterable[Item]) -> int:
    """Keep the prepared clips of one part; return their number."""
    heads = []
    with (staging / f"items-{part:05}.bin").create() as file:
        for item in items:
            start = file.tell()
            for array in item.arrays.values():
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
            heads.append({"clip_id": item.clip_id, "facts": item.facts, "start": start,
                          "arrays": list(item.arrays)})  # fmt: skip
    content = "".join(json.dumps(head, ensure_ascii=False) + "\n" for head in heads)
    (staging / f"items-{part:05}.jsonl").write_bytes(content.encode())
    return len(heads)


class StagedItems:
    """The prepared clips of an export: their facts in memory, their arrays on disk.

    Parameters
    ----------
    staging : Location
        Where `write_items` has put them.
    parts : sequence of int
        In order.
    """

    def __init__(self, staging: Location, parts: Sequence[int]) -> None:
        self._staging = staging
        self._files: dict[int, IO[bytes]] = {}
        self._heads: dict[str, tuple[int, dict[str, Any]]] = {}
        for part in parts:
            text = (staging / f"items-{part:05}.jsonl").read_bytes(_MOST_BYTES).decode()
            for line in text.split("\n")[:-1]:  # splitlines() also splits within a label
                head = json.loads(line)
                self._heads[head["clip_id"]] = part, head

    def __enter__(self) -> StagedItems:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[Item]:
        return (self[clip_id] for clip_id in self._heads)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._heads

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        """The facts of each clip, by its id, in the order of the release."""
        return {clip_id: head["facts"] for clip_id, (_, head) in self._heads.items()}

    def __getitem__(self, clip_id: str) -> Item:
        part, head = self._heads[clip_id]
        if part not in self._files:
            self._files[part] = (self._staging / f"items-{part:05}.bin").open()
        file = self._files[part]
        file.seek(head["start"])
        arrays = {
            name: np.lib.format.read_array(file, allow_pickle=False) for name in head["arrays"]
        }
        return Item(clip_id, head["facts"], arrays)


def _done(staging: Location) -> dict[int, dict[str, Any]]:
    records = {}
    for path in sorted(staging.fs.ls(staging.path, False)):
        if path.rsplit("/", 1)[-1].startswith("done-"):
            record = json.loads(Location(staging.fs, path).read_bytes(_MOST_BYTES))
            records[record["part"]] = record
    return records
