"""What is wrong in a release: its clips and layers are looked at one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from posedata.engine import check_num_workers, map_shards
from posedata.errors import UsageError
from posedata.findings.finding import SEVERITIES, Check, Finding, checks
from posedata.release import Release
from posedata.storage import Location

__all__ = ["SEVERITIES", "Check", "Finding", "checks", "doctor"]

_CLIPS_OF_A_SHARD = 256
_TABLE_CHECKS = {"label", "split"}


@dataclass(frozen=True)
class DoctorTask:
    """Clips to look at, as they are sent to a worker."""

    index: int
    release: Location
    clip_ids: tuple[str, ...]
    layers: tuple[str, ...]
    wanted: tuple[str, ...]
    videos: Mapping[str, str]


@dataclass(frozen=True)
class DoctorShard:
    """What a worker has found; of each layer also which clips it lacks and the fingerprints."""

    index: int
    findings: list[Finding]
    lacking: Mapping[str, list[str]]
    fingerprints: list[tuple[str, str, bytes]]


def doctor(
    release: Release, *, layers: Sequence[str] = (), wanted: Sequence[str] = (),
    videos: str | None = None, limit: int | None = None, num_workers: int | None = None,
    progress: bool = False,
) -> Iterator[Finding]:  # fmt: skip
    """Look for trouble in a release.

    Memory grows by a fingerprint for each clip and layer (where duplicates are looked for), not
    by the poses.

    Parameters
    ----------
    release : Release
        Nothing is written.
    layers : sequence of str, optional
        Look only at these.
    wanted : sequence of str, optional
        Checks to do, by their names in `checks`; all by default.
    videos : str, optional
        Folder with the clips' videos, for the check ``video``.
    limit : int, optional
        Look only at the first so many clips. Splits and labels are then left out.
    num_workers : int, optional
        Processes; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Yields
    ------
    Finding
        By clip id, then by layer and check; those of the release as a whole come last. The order
        does not depend on the number of workers.

    Raises
    ------
    UsageError
        If a layer or a check is not there.
    ReleaseError
        If a file is missing or damaged.
    """
    chosen = _chosen_checks(wanted, videos)
    names = list(layers) or release.layers
    for layer in names:
        release.table(layer)
    if num_workers is not None:
        check_num_workers(num_workers)
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    return _look(release, tuple(names), chosen, videos, limit, num_workers, progress)


def _look(
    release: Release, layers: tuple[str, ...], chosen: tuple[str, ...], videos: str | None,
    limit: int | None, num_workers: int | None, progress: bool,
) -> Iterator[Finding]:  # fmt: skip
    table = release.clips()
    clip_ids = sorted(table["clip_id"].to_pylist())[:limit]
    places = _places(videos, clip_ids)
    tasks = [
        DoctorTask(number, release.place, ids := tuple(clip_ids[at : at + _CLIPS_OF_A_SHARD]),
                   layers, chosen, {c: places[c] for c in ids if c in places})
        for number, at in enumerate(range(0, len(clip_ids) if layers else 0, _CLIPS_OF_A_SHARD))
    ]  # fmt: skip
    if not release.place.is_shared_between_processes:
        num_workers = 1
    known: dict[tuple[str, bytes], str] = {}
    lacking: dict[str, list[str]] = {layer: [] for layer in layers}
    counts = dict.fromkeys(layers, 0)
    from posedata.findings import tables

    twice: list[tuple[str, str, str]] = []
    results = map_shards(look_at_shard, tasks, num_workers=num_workers, progress=progress,
                         weights=[len(task.clip_ids) for task in tasks])  # fmt: skip
    for shard in _in_order(results):
        yield from shard.findings
        for layer, absent in shard.lacking.items():
            counts[layer] += len(absent)
            lacking[layer] = (lacking[layer] + absent)[:4]
        for clip_id, layer, digest in shard.fingerprints:
            original = known.setdefault((layer, digest), clip_id)
            if original != clip_id:
                twice.append((clip_id, layer, original))
    if twice:
        yield from tables.check_duplicates(twice, release.splits().to_pylist())
    if "clips_missing" in chosen:
        for layer in layers:
            yield from tables.check_layer(layer, len(clip_ids), counts[layer], lacking[layer])
    if limit is None and _TABLE_CHECKS & set(chosen):
        columns = [name for name in ("clip_id", "label") if name in table.schema.names]
        rows = table.select(columns).to_pylist()
        label_names = release.manifest.clips.get("label_names", [])
        if "label" in chosen and "label" in columns:
            yield from tables.check_labels(rows, label_names)
        if "split" in chosen:
            yield from tables.check_splits(release.splits().to_pylist(), rows, label_names)


def look_at_shard(task: DoctorTask) -> DoctorShard:
    """Do all checks of some clips; the result depends on the task alone."""
    from posedata.aligned_clips import aligned_clips
    from posedata.findings import videos
    from posedata.findings.clip_checks import COLUMNS, diagnose_clip, diagnose_layers
    from posedata.findings.ghosts import fingerprint
    from posedata.release import open_release

    release, wanted = open_release(task.release), set(task.wanted)
    findings: list[Finding] = []
    lacking: dict[str, list[str]] = {layer: [] for layer in task.layers}
    fingerprints: list[tuple[str, str, bytes]] = []
    found = aligned_clips(release, task.layers, task.clip_ids, COLUMNS)
    for clip_id, clips in zip(task.clip_ids, found, strict=True):
        for layer in task.layers:
            if layer not in clips:
                lacking[layer].append(clip_id)
                continue
            findings += diagnose_clip(clips[layer], wanted)
            digest = fingerprint(clips[layer]) if "duplicate" in wanted else None
            if digest is not None:
                fingerprints.append((clip_id, layer, digest))
        if "layer_swap" in wanted:
            findings += diagnose_layers(clips)
        if clip_id in task.videos and clips:
            findings += videos.check(next(iter(clips.values())), task.videos[clip_id])
    return DoctorShard(task.index, findings, lacking, fingerprints)


def _in_order(results: Iterator[DoctorShard]) -> Iterator[DoctorShard]:
    """Hand shards on by their index, keeping those that are done too early."""
    early: dict[int, DoctorShard] = {}
    following = 0
    for shard in results:
        early[shard.index] = shard
        while following in early:
            yield early.pop(following)
            following += 1


def _chosen_checks(wanted: Sequence[str], videos: str | None) -> tuple[str, ...]:
    known = checks()
    for name in wanted:
        if name not in known:
            raise UsageError("no such check", found=name, expected=", ".join(known))
    if "video" in wanted and videos is None:
        raise UsageError("the check video needs --videos FOLDER")
    return tuple(wanted) or tuple(known)


def _places(videos: str | None, clip_ids: Sequence[str]) -> dict[str, str]:
    """Where the video of each clip is."""
    if videos is None:
        return {}
    from posedata.find_videos import find_videos

    samples, _ = find_videos([videos], set(clip_ids))
    return {sample.clip_id: str(sample.info["place"]) for sample in samples}
