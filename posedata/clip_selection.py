"""Which clips of a release a training run reads: a split, a layer, a skeleton, conditions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.release import Release, Where, open_release
from posedata.remap import remap_ledger
from posedata.sample import coordinate_columns
from posedata.skeleton import Skeleton, load_skeleton


@dataclass(frozen=True, eq=False)
class ClipSelection:
    """The clips that `select_clips` found.

    Attributes
    ----------
    release : Release
        Where they are.
    layer : str
        Whose poses.
    keypoints : str
        ``keypoints_2d``, ``keypoints_3d`` or ``both``.
    skeleton : Skeleton
        The joints that are wanted; the layer's own, or one that it is mapped to.
    clip_ids : tuple of str
        Sorted.
    labels : int64, shape (clips,)
        Class of each; -1 where it is not known.
    lacking : tuple of str
        Clips of the split that the layer has no row for.
    """

    release: Release
    layer: str
    keypoints: str
    skeleton: Skeleton
    clip_ids: tuple[str, ...]
    labels: np.ndarray
    lacking: tuple[str, ...]


def select_clips(
    release: Any,
    layer: str | None = None,
    *,
    protocol: str | None = None,
    split: str | None = None,
    where: Where | None = None,
    skeleton: Skeleton | str | None = None,
    keypoints: str | None = None,
) -> ClipSelection:
    """Find the clips to read, and refuse at once what could only fail later.

    Parameters
    ----------
    release : Release, str or path
        Where the clips are.
    layer : str, optional
        By default the only layer.
    protocol, split : str, optional
        E.g. ``xsub`` and ``train``; by default all clips.
    where : mapping, optional
        Values that clip columns must have, e.g. ``{"camera": [2, 3]}``.
    skeleton : Skeleton or str, optional
        Joints that are wanted; by default the layer's.
    keypoints : {"keypoints_2d", "keypoints_3d", "both"}, optional
        By default in space, where the layer has that.

    Returns
    -------
    ClipSelection
        Clips of the split that the layer lacks are named in it, and warned of.

    Raises
    ------
    UsageError
        If there is no such layer, split, column or coordinates, if the skeleton has no joint that
        the layer has or gives by a rule, or if no clip is left.
    """
    opened = release if isinstance(release, Release) else open_release(release)
    table = opened.table(layer)
    if (protocol is None) != (split is None):
        raise UsageError("a protocol without a split, or a split without a protocol",
                         found=f"protocol {protocol}, split {split}",
                         expected="both or neither, e.g. xsub and train")  # fmt: skip
    known = [name for name in ("keypoints_3d", "keypoints_2d") if name in table.pose_columns]
    absent = set(coordinate_columns(keypoints)).difference(known) if keypoints else set()
    if absent or not known:
        raise UsageError(f"layer {table.layer} has no {', '.join(sorted(absent)) or 'keypoints'}",
                         path=opened.place, expected=" or ".join(known) or None)  # fmt: skip
    target = _target(table.skeleton, skeleton)
    columns = ["clip_id"] + (["label"] if "label" in table.clip_columns else [])
    rows = opened.read_table(table.layer, columns=columns, where=where).sort_by("clip_id")
    ids = rows["clip_id"].to_pylist()
    labels = np.full(len(ids), -1, np.int64)
    if "label" in columns:
        labels = rows["label"].fill_null(-1).to_numpy().astype(np.int64)
    lacking: tuple[str, ...] = ()
    if protocol is not None and split is not None:
        wanted = set(opened.split(protocol, split))
        there = ids if where is None else _all_ids(opened, table.layer)
        lacking = tuple(sorted(wanted.difference(there)))
        kept = np.array([clip_id in wanted for clip_id in ids], bool)
        ids = [clip_id for clip_id in ids if clip_id in wanted]
        labels = labels[kept]
    if not ids:
        raise UsageError(
            "no clips left", path=opened.place,
            found=f"layer {table.layer}, protocol {protocol}, split {split}, "
            f"where {dict(where or {})}",
            remedy="posedata info shows layers, splits and columns.",
        )  # fmt: skip
    if lacking:
        warnings.warn(
            f"{len(lacking)} of {len(lacking) + len(ids)} clips of {protocol} {split} are not in "
            f"layer {table.layer}, e.g. {lacking[0]}",
            stacklevel=2,
        )
    chosen = keypoints or known[0]
    return ClipSelection(opened, table.layer, chosen, target, tuple(ids), labels, lacking)


def _all_ids(release: Release, layer: str) -> list[str]:
    return release.read_table(layer, columns=["clip_id"])["clip_id"].to_pylist()


def _target(own: Skeleton, wanted: Skeleton | str | None) -> Skeleton:
    if wanted is None:
        return own
    target = load_skeleton(wanted) if isinstance(wanted, str) else wanted
    if all(origin.how == "unavailable" for origin in remap_ledger(own, target)):
        raise UsageError(f"no joint of {own.name} can be mapped to {target.name}",
                         found=", ".join(own.joints),
                         expected=", ".join(target.joints))  # fmt: skip
    return target
