"""Anchors in a release: ``anchors/<layer>.parquet``, and the sample of poses they come from."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posedata import staging
from posedata.anchors import Anchors
from posedata.errors import OutputError, ReleaseError, UsageError
from posedata.layer_table import flat_values
from posedata.manifest import FILE_NAME
from posedata.release import Release
from posedata.release_files import reading
from posedata.release_writer import write_table
from posedata.version import __version__


def anchors_path(layer: str) -> str:
    """Give the path of a layer's anchors within its release."""
    return f"anchors/{layer}.parquet"


def sample_poses(release: Release, layer: str, most: int, seed: int) -> tuple[np.ndarray, int]:
    """Take poses of a layer, each with the same chance; all, if there are no more than ``most``.

    Returns
    -------
    keypoints : float32, shape (N, V, 2)
        Pixels, in the order of the layer; memory holds these and one row group.
    total : int
        Poses of the layer.

    Raises
    ------
    UsageError
        If the layer has no 2D poses.
    """
    table = release.table(layer)
    if "keypoints_2d" not in table.pose_columns:
        raise UsageError(f"the layer {layer} has no 2D poses", path=release.place,
                         expected="keypoints_2d")  # fmt: skip
    if most < 1:
        raise UsageError("--most-poses", found=most, expected="1 or more")
    files = release.manifest.files
    total = sum(files[name].get("poses", 0) for name in release.part_names(layer))
    chosen = np.arange(total)
    if total > most:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    keypoints = np.empty((len(chosen), table.skeleton.num_joints, 2), np.float32)
    before = taken = 0
    for clip in release.iter_clips(layer, columns=["keypoints_2d"]):
        end = int(np.searchsorted(chosen, before + len(clip.frames)))
        keypoints[taken:end] = np.asarray(clip.keypoints_2d)[chosen[taken:end] - before]
        before, taken = before + len(clip.frames), end
    if taken < len(chosen):
        raise ReleaseError(f"the layer {layer} has fewer poses than posedata.json says",
                           path=release.place, found=before, expected=total)  # fmt: skip
    return keypoints, total


def store_anchors(
    release: Release, layer: str, anchors: Anchors, made_by: dict[str, Any], *,
    overwrite: bool = False,
) -> None:  # fmt: skip
    """Put anchors into a release, beside the layer they come from.

    At any instant the manifest lists what is there: when anchors are replaced, they leave the
    manifest first, and the new ones enter it last.

    Parameters
    ----------
    release : Release
        Opened just before.
    layer : str
        Of the poses.
    anchors : Anchors
        From `posedata.anchors.fit_anchors`.
    made_by : dict
        The options they depend on, for the release's history.
    overwrite : bool
        Replace anchors that are there.

    Raises
    ------
    OutputError
        If there are anchors of the layer, the release is being extended, or it cannot be written.
    """
    place, path, manifest = release.place, anchors_path(layer), release.manifest
    check_place(release, layer, overwrite=overwrite)
    files = {name: entry for name, entry in manifest.files.items() if name != path}
    if path in manifest.files:
        manifest = replace(manifest, files=files)
        (place / FILE_NAME).write_bytes(manifest.to_json())
    k, joints, _ = anchors.keypoints.shape
    point = pa.list_(pa.field("element", pa.float32()), 2)
    kind = pa.list_(pa.field("element", point), joints)
    flat = pa.array(anchors.keypoints.reshape(-1), pa.float32())
    points = pa.FixedSizeListArray.from_arrays(flat, type=point)
    schema = pa.schema(
        [("class", pa.int32()), ("count", pa.int64()), ("keypoints", kind)],
        {"joints": json.dumps(list(release.skeleton(layer).joints))},
    )
    batch = pa.record_batch(
        [pa.array(range(k), pa.int32()), pa.array(anchors.counts, pa.int64()),
         pa.FixedSizeListArray.from_arrays(points, type=kind)],
        schema=schema,
    )  # fmt: skip
    files[path] = write_table(place / path, [batch], schema)
    operation = {
        "operation": "anchors",
        "posedata": __version__,
        "options": {"layer": layer, **made_by},
        "poses": {
            "took_part": int(anchors.counts.sum()),
            "incomplete": anchors.num_incomplete,
            "left_out": anchors.num_left_out,
        },
    }
    manifest = replace(manifest, files=files, history=[*manifest.history, operation])
    (place / FILE_NAME).write_bytes(manifest.to_json())


def check_place(release: Release, layer: str, *, overwrite: bool) -> None:
    """Refuse, before any work, a release that must not get these anchors.

    Raises
    ------
    OutputError
        As `store_anchors`.
    """
    if staging.before_addition(release.place) is not None:
        raise OutputError("an unfinished addition to the release is there", path=release.place,
                          remedy="First complete it: its command with --resume.")  # fmt: skip
    if anchors_path(layer) in release.manifest.files and not overwrite:
        raise OutputError(f"the release has anchors of the layer {layer} already",
                          path=release.place / anchors_path(layer),
                          remedy="Give --overwrite to replace them.")  # fmt: skip


def read_anchors(release: Release, layer: str) -> np.ndarray:
    """Read the anchors of a layer.

    Returns
    -------
    float32, shape (K, V, 2)
        As in `posedata.anchors.Anchors`.

    Raises
    ------
    UsageError
        If the release has none of this layer.
    ReleaseError
        If the file is missing or damaged.
    """
    path = anchors_path(layer)
    joints = release.skeleton(layer).num_joints
    if path not in release.manifest.files:
        raise UsageError(f"the release has no anchors of the layer {layer}", path=release.place,
                         remedy=f"Make them: posedata anchors RELEASE --layer {layer}")  # fmt: skip
    with reading(release.place / path), (release.place / path).open() as file:
        table = pq.ParquetFile(file).read()
        table.validate(full=True)
    kind = table.schema.field("keypoints").type if "keypoints" in table.column_names else None
    point = pa.list_(pa.field("element", pa.float32()), 2)
    if kind != pa.list_(pa.field("element", point), joints):
        raise ReleaseError("not the anchors of this layer", path=release.place / path, found=kind,
                           expected=f"keypoints of {joints} joints")  # fmt: skip
    keypoints = flat_values(table["keypoints"], ())
    return keypoints.astype(np.float32).reshape(-1, joints, 2)
