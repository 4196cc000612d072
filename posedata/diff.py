"""What has changed between two releases, clip by clip, and by how much."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.diff_clips import MOVED_ARRAYS, ClipChange, Moves, compare_clips
from posedata.layer_table import LayerTable
from posedata.release import Release

#: Tables beside the layers, and the columns that name their rows.
TABLES = {
    "clips.parquet": ("clip_id",),
    "splits.parquet": ("protocol", "split", "clip_id"),
    "segments.parquet": ("clip_id", "start_s", "end_s", "label"),
    "rejects.parquet": ("source", "stage", "reason", "position"),
}


@dataclass(frozen=True)
class TableDiff:
    """Rows of ``clips.parquet``, ``splits.parquet``, ... that differ.

    Attributes
    ----------
    added, removed, changed : int
        Rows that only the second release has, only the first, and that differ in ``columns``.
    columns : dict of str to int
        Of changed rows, how many differ in which column.
    examples : tuple of str
        The first few of them.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether there is no difference."""
        return not (self.added or self.removed or self.changed)


@dataclass
class LayerDiff:
    """How a layer differs.

    Attributes
    ----------
    clips_added, clips_removed, clips_changed, clips_same : int
        Clips that only the second release has, only the first, and of those in both. Clips of
        files with equal checksums count as the same; they are not read.
    poses_added, poses_removed : int
        Of the clips in both.
    columns_added, columns_removed : tuple of str
        Columns of the layer.
    definition : dict
        Skeleton, class names: what the manifests say otherwise, as (first, second).
    moves : dict of str to Moves
        For ``keypoints_2d`` (pixels), ``keypoints_3d`` (metres) and ``scores``: how many joints
        differ, and by how much.
    columns : dict of str to int
        Of each other column, in how many clips it differs.
    worst : list of (float, str, str)
        The clips that differ most: the size of the largest move, in the unit of the array, the
        array, and the clip.
    examples : dict of str to list of str
        The first clips that were added, removed and changed.
    """

    clips_added: int = 0
    clips_removed: int = 0
    clips_changed: int = 0
    clips_same: int = 0
    poses_added: int = 0
    poses_removed: int = 0
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    definition: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    moves: dict[str, Moves] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)
    worst: list[tuple[float, str, str]] = field(default_factory=list)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether there is no difference."""
        return not (
            self.clips_added or self.clips_removed or self.clips_changed or self.columns_added
            or self.columns_removed or self.definition
        )  # fmt: skip


@dataclass(frozen=True)
class ReleaseDiff:
    """How two releases differ.

    Attributes
    ----------
    manifest : dict
        Name, licence, ...: (first, second), where they differ.
    layers_added, layers_removed : tuple of str
        Layers that only the second has, or only the first.
    layers : dict of str to LayerDiff
        Of the layers in both.
    tables : dict of str to TableDiff
        Of `TABLES`.
    files_added, files_removed, files_changed : tuple of str
        Other files, such as anchors.
    """

    manifest: dict[str, tuple[Any, Any]]
    layers_added: tuple[str, ...]
    layers_removed: tuple[str, ...]
    layers: dict[str, LayerDiff]
    tables: dict[str, TableDiff]
    files_added: tuple[str, ...]
    files_removed: tuple[str, ...]
    files_changed: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether there is no difference in what the releases hold.

        How they came about (``history``, and what made a layer) may differ, and so may the
        division of a layer into files.
        """
        alone = (
            self.manifest, self.layers_added, self.layers_removed, self.files_added,
            self.files_removed, self.files_changed,
        )  # fmt: skip
        parts: list[LayerDiff | TableDiff] = [*self.layers.values(), *self.tables.values()]
        return not any(alone) and all(part.is_same for part in parts)


def diff(
    first: Release, second: Release, *, layers: Sequence[str] = (), tolerance: float = 0.0,
    num_worst: int = 10, progress: bool = False,
) -> ReleaseDiff:  # fmt: skip
    """Compare two releases.

    Layers are read side by side, a row group at a time: memory does not grow with them. Files
    with equal checksums are not read.

    Parameters
    ----------
    first, second : Release
        Before and after.
    layers : sequence of str, optional
        Compare only these.
    tolerance : float
        Joints that move by no more do not count (pixels, metres, and scores alike).
    num_worst : int
        How many of the clips that differ most are named.
    progress : bool
        Whether to draw a progress bar on stderr.

    Raises
    ------
    ReleaseError
        If a file is missing or damaged.
    """
    mine = [name for name in first.layers if not layers or name in layers]
    theirs = [name for name in second.layers if not layers or name in layers]
    for layer in layers:
        if layer not in (*mine, *theirs):
            first.table(layer)  # raises
    common = [name for name in mine if name in theirs]
    of_layers = {
        layer: _diff_layer(first, second, layer, tolerance, num_worst, progress)
        for layer in common
    }  # fmt: skip
    tables = {} if layers else {name: _diff_table(first, second, name) for name in TABLES}
    known = set(TABLES)
    before = {} if layers else _other_files(first, known)
    after = {} if layers else _other_files(second, known)
    return ReleaseDiff(
        manifest={} if layers else _diff_manifest(first, second),
        layers_added=tuple(name for name in theirs if name not in mine),
        layers_removed=tuple(name for name in mine if name not in theirs),
        layers=of_layers,
        tables=tables,
        files_added=tuple(sorted(after.keys() - before.keys())),
        files_removed=tuple(sorted(before.keys() - after.keys())),
        files_changed=tuple(
            sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
        ),
    )


def _diff_manifest(first: Release, second: Release) -> dict[str, tuple[Any, Any]]:
    names = ("name", "title", "license", "source", "citation", "segment_names")
    values = {name: (getattr(first.manifest, name), getattr(second.manifest, name))
              for name in names}  # fmt: skip
    labels = tuple(list(r.manifest.clips.get("label_names", [])) for r in (first, second))
    values["label_names"] = (labels[0], labels[1])
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def _other_files(release: Release, known: set[str]) -> dict[str, str]:
    """Checksums of the files that are neither a table nor a layer's."""
    return {
        name: str(entry["sha256"])
        for name, entry in release.manifest.files.items()
        if name not in known and not name.startswith("data/")
    }


def _diff_layer(
    first: Release, second: Release, layer: str, tolerance: float, num_worst: int, progress: bool
) -> LayerDiff:
    from tqdm import tqdm

    before, after = first.table(layer), second.table(layer)
    result = LayerDiff(
        columns_added=tuple(n for n in after.definitions if n not in before.definitions),
        columns_removed=tuple(n for n in before.definitions if n not in after.definitions),
        definition=_diff_definition(before, after),
    )
    equal = _equal_parts(first, second, layer) if not result.definition else set()
    result.clips_same = sum(first.manifest.files[name]["rows"] for name in equal)
    joints = before.skeleton.joints if before.skeleton == after.skeleton else ()
    result.moves = {
        name: Moves(joints, tolerance)
        for name in MOVED_ARRAYS
        if joints and name in before.definitions and name in after.definitions
    }
    left, right = _clips(first, layer, equal), _clips(second, layer, equal)
    total = sum(entry["rows"] for name, entry in second.manifest.files.items()
                if name in second.part_names(layer) and name not in equal)  # fmt: skip
    ignored = {*result.columns_added, *result.columns_removed}
    worst: list[tuple[float, str, str]] = []
    with tqdm(total=total, unit="clips", desc=layer, disable=None if progress else True) as bar:
        for mine, theirs in _side_by_side(left, right):
            bar.update(theirs is not None)
            if mine is None or theirs is None:
                _count_alone(result, mine, theirs)
                continue
            change = compare_clips(mine, theirs, result.moves, ignored)
            _count(result, mine.clip_id, change)
            for name, largest in change.largest.items():
                heapq.heappush(worst, (largest, name, mine.clip_id))
                if len(worst) > num_worst:
                    heapq.heappop(worst)
    result.worst = sorted(worst, reverse=True)
    return result


def _diff_definition(before: LayerTable, after: LayerTable) -> dict[str, tuple[Any, Any]]:
    values = {
        "skeleton": (before.skeleton.to_dict(), after.skeleton.to_dict()),
        "label_names": (list(before.label_names), list(after.label_names)),
    }
    found: dict[str, tuple[Any, Any]] = {n: p for n, p in values.items() if p[0] != p[1]}
    if "skeleton" in found or before.skeleton.name != after.skeleton.name:
        found["skeleton"] = (before.skeleton.name, after.skeleton.name)
    return found


def _equal_parts(first: Release, second: Release, layer: str) -> set[str]:
    """Files of both that have the same name and content: clips of the one are not elsewhere."""
    mine, theirs = first.manifest.files, second.manifest.files
    return {
        name
        for name in first.part_names(layer)
        if name in theirs and mine[name]["sha256"] == theirs[name]["sha256"]
    }


def _clips(release: Release, layer: str, without: set[str]) -> Iterator[Clip]:
    """Read the clips of a layer, but for those of some of its files."""
    files = {name: entry for name, entry in release.manifest.files.items() if name not in without}
    return replace(release, manifest=replace(release.manifest, files=files)).iter_clips(layer)


def _side_by_side(
    left: Iterator[Clip], right: Iterator[Clip]
) -> Iterator[tuple[Clip | None, Clip | None]]:
    """Bring clips of one id together; both come in the order of their ids."""
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine.clip_id < theirs.clip_id):
            yield mine, None
            mine = next(left, None)
        elif mine is None or theirs.clip_id < mine.clip_id:
            yield None, theirs
            theirs = next(right, None)
        else:
            yield mine, theirs
            mine, theirs = next(left, None), next(right, None)


def _count_alone(result: LayerDiff, mine: Clip | None, theirs: Clip | None) -> None:
    if mine is not None:
        result.clips_removed += 1
        _example(result, "removed", mine.clip_id)
    elif theirs is not None:
        result.clips_added += 1
        _example(result, "added", theirs.clip_id)


def _count(result: LayerDiff, clip_id: str, change: ClipChange) -> None:
    if change.is_same:
        result.clips_same += 1
        return
    result.clips_changed += 1
    _example(result, "changed", clip_id)
    result.poses_added += change.poses_added
    result.poses_removed += change.poses_removed
    for name in change.columns:
        result.columns[name] = result.columns.get(name, 0) + 1


def _example(result: LayerDiff, kind: str, clip_id: str, most: int = 3) -> None:
    named = result.examples.setdefault(kind, [])
    if len(named) < most:
        named.append(clip_id)


def _diff_table(first: Release, second: Release, name: str) -> TableDiff:
    """Compare the rows of a small table; the same row twice counts once."""
    entries = first.manifest.files.get(name), second.manifest.files.get(name)
    if entries[0] is None and entries[1] is None:
        return TableDiff()
    if entries[0] and entries[1] and entries[0]["sha256"] == entries[1]["sha256"]:
        return TableDiff()
    before, after = (
        _rows(release, name) if entry else {}
        for release, entry in zip((first, second), entries, strict=True)
    )  # fmt: skip
    columns: dict[str, int] = {}
    changed = []
    for key in before.keys() & after.keys():
        mine, theirs = before[key], after[key]
        names = [n for n in {**mine, **theirs} if mine.get(n) != theirs.get(n)]
        for column in names:
            columns[column] = columns.get(column, 0) + 1
        if names:
            changed.append(key)
    added, removed = after.keys() - before.keys(), before.keys() - after.keys()
    examples = [f"{sign}{' '.join(map(str, key))}" for sign, keys in
                (("+", added), ("-", removed), ("~", changed))
                for key in sorted(keys, key=str)[:3]]  # fmt: skip
    return TableDiff(len(added), len(removed), len(changed), columns, tuple(examples))


def _rows(release: Release, name: str) -> Mapping[tuple[Any, ...], dict[str, Any]]:
    table = getattr(release, name.removesuffix(".parquet"))()
    return {tuple(row[n] for n in TABLES[name]): row for row in table.to_pylist()}


def as_numbers(moves: Moves) -> dict[str, Any]:
    """Give the numbers of `Moves` as JSON values: of all joints, and of each."""
    return {
        "changed": int(moves.changed.sum()), "appeared": int(moves.appeared.sum()),
        "vanished": int(moves.vanished.sum()), "compared": int(moves.compared.sum()),
        "median": _number(moves.median()), "max": _number(moves.max()),
        "joints": {
            joint: {
                "changed": int(moves.changed[v]), "appeared": int(moves.appeared[v]),
                "vanished": int(moves.vanished[v]), "median": _number(moves.median(v)),
                "max": _number(moves.max(v)),
            }
            for v, joint in enumerate(moves.joints)
            if moves.changed[v] or moves.appeared[v] or moves.vanished[v]
        },
    }  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
