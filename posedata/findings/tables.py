"""Labels, splits and layers against the clips of a release."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posedata.findings.finding import Finding, checks

_NAMED = 3


def check_labels(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[Finding]:
    """Find classes without clips, and clips without a class.

    Parameters
    ----------
    rows : sequence of mapping
        ``clip_id`` and ``label`` of each clip; None where unknown.
    names : sequence of str
        Of the classes 0, 1, ...; may be empty.
    """
    counts = Counter(row["label"] for row in rows)
    if set(counts) <= {None}:
        return
    absent = [f"{label} {name}" for label, name in enumerate(names) if not counts[label]]
    if absent:
        yield _of_release("label", "info", f"no clip of {len(absent):,} of the {len(names):,} "
                          f"classes: {_few(absent)}", len(absent), 0)  # fmt: skip
    for row in rows:
        label = row["label"]
        if label is None:
            yield _of_clip(row["clip_id"], "label", "warning", "no label", None, None)
        elif names and not 0 <= label < len(names):
            yield _of_clip(row["clip_id"], "label", "error", f"the label {label} has no name",
                           label, len(names) - 1)  # fmt: skip


def check_splits(
    splits: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[Finding]:
    """Find splits with clips that are not there, that overlap, or that lack a class.

    Parameters
    ----------
    splits : sequence of mapping
        ``protocol``, ``split`` and ``clip_id``.
    rows : sequence of mapping
        ``clip_id`` and, if there are any, ``label`` of each clip.
    names : sequence of str
        Of the classes.
    """
    labels = {row["clip_id"]: row.get("label") for row in rows}
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in splits:
        members[row["protocol"]][row["split"]].append(row["clip_id"])
    present = {label for label in labels.values() if label is not None}
    for protocol, of_protocol in sorted(members.items()):
        seen: dict[str, str] = {}
        for split, clip_ids in sorted(of_protocol.items()):
            where = f"{protocol} {split}"
            unknown = [clip_id for clip_id in clip_ids if clip_id not in labels]
            if unknown:
                yield _of_release("split", "error", f"{where} has {len(unknown):,} clips that the "
                                  f"release has not: {_few(unknown)}", len(unknown), 0)  # fmt: skip
            for clip_id in clip_ids:
                if clip_id in seen:
                    twice = seen[clip_id] == split
                    yield _of_clip(
                        clip_id, "split", "warning" if twice else "error",
                        f"twice in {where}" if twice else f"in {protocol} {seen[clip_id]} and in "
                        f"{where}", None, None,
                    )  # fmt: skip
                seen.setdefault(clip_id, split)
            found = {labels.get(clip_id) for clip_id in clip_ids}
            lacking = sorted(present - found)
            if lacking:
                shown = [names[n] if 0 <= n < len(names) else str(n) for n in lacking]
                yield _of_release(
                    "split", "warning" if split == "train" else "info",
                    f"{where} has no clip of {len(lacking):,} of the {len(present):,} classes: "
                    f"{_few(shown)}", len(lacking), 0,
                )  # fmt: skip
        if len(of_protocol) == 1:
            yield _of_release("split", "info", f"{protocol} has only the split "
                              f"{next(iter(of_protocol))}", 1, 2)  # fmt: skip


def check_layer(layer: str, num_clips: int, without: int, first: Sequence[str]) -> list[Finding]:
    """Tell how many clips a layer does not have.

    Parameters
    ----------
    layer : str
        Its name.
    num_clips, without : int
        Clips of the release, and those that the layer lacks.
    first : sequence of str
        Some of these.
    """
    if not without:
        return []
    text = f"{without:,} of {num_clips:,} clips are not in the layer: {_few(first, without)}"
    return [Finding("", layer, "clips_missing", checks()["clips_missing"].severity, (), (), (),
                    without, 0, text)]  # fmt: skip


def check_duplicates(
    twice: Sequence[tuple[str, str, str]], splits: Sequence[Mapping[str, str]]
) -> Iterator[Finding]:
    """Tell clips that have the poses of another one: an error where a split keeps them apart.

    Parameters
    ----------
    twice : sequence of (str, str, str)
        Clip, layer, and the clip before it that has the same poses.
    splits : sequence of mapping
        ``protocol``, ``split`` and ``clip_id``.
    """
    named = {clip_id for clip_id, _, original in twice for clip_id in (clip_id, original)}
    split_of: dict[str, dict[str, str]] = defaultdict(dict)
    for row in splits:
        if row["clip_id"] in named:
            split_of[row["clip_id"]][row["protocol"]] = row["split"]
    for clip_id, layer, original in twice:
        mine, theirs = split_of[clip_id], split_of[original]
        apart = [p for p in mine if theirs.get(p, mine[p]) != mine[p]]
        text = f"the same poses as {original}"
        if apart:
            text += ", but " + ", ".join(f"{p} has it in {mine[p]}, not in {theirs[p]}"
                                         for p in apart)  # fmt: skip
        severity = "error" if apart else checks()["duplicate"].severity
        yield Finding(clip_id, layer, "duplicate", severity, (), (), (), None, None, text)


def _few(names: Sequence[str], count: int | None = None) -> str:
    count = len(names) if count is None else count
    return ", ".join(names[:_NAMED]) + (", ..." if count > _NAMED else "")


def _of_release(
    check: str, severity: str, message: str, value: float | None, threshold: float | None
) -> Finding:
    return _of_clip("", check, severity, message, value, threshold)


def _of_clip(
    clip_id: str, check: str, severity: str, message: str, value: float | None,
    threshold: float | None,
) -> Finding:  # fmt: skip
    return Finding(clip_id, "", check, severity, (), (), (), value, threshold, message)
