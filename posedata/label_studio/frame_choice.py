"""Which frames of a release to send: of clips that have a video, by one of the rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from posedata.aligned_clips import aligned_clips
from posedata.clip import Clip
from posedata.errors import UsageError
from posedata.label_studio.select_frames import select_frames
from posedata.release import Release
from posedata.remap import remap
from posedata.skeleton import Skeleton


def choose_release_frames(
    release: Release, layer: str, clip_ids: Collection[str], rule: str, *, per_clip: int = 1,
    limit: int | None = None, against: Sequence[str] = (), seed: int = 0,
) -> dict[str, list[int]]:  # fmt: skip
    """Choose frames of a layer's clips.

    Parameters
    ----------
    release : Release
        Whose clips.
    layer : str
        Whose poses are to be corrected.
    clip_ids : collection of str
        Clips that may be taken.
    rule, per_clip, limit, seed
        As in `posedata.label_studio.select_frames.select_frames`.
    against : sequence of str
        For ``disagreement``: the layers to compare it with; by default all others with 2D poses.

    Returns
    -------
    dict of str to list of int
        Frames by clip id, ascending.

    Raises
    ------
    UsageError
        If there is no such rule or layer, or nothing to compare with.
    """
    compared: list[str] = []
    if rule == "disagreement":
        compared = list(against) or [
            name for name in release.layers
            if name != layer and "keypoints_2d" in release.table(name).pose_columns
        ]  # fmt: skip
        for name in compared:
            if "keypoints_2d" not in release.table(name).pose_columns:
                raise UsageError(f"the layer {name} has no 2D poses", path=release.place)
        if not compared:
            raise UsageError("no other layer with 2D poses to disagree with", path=release.place)
    skeleton = release.skeleton(layer)

    def clips() -> Iterator[list[Clip]]:
        names = [layer, *compared]
        columns = ["scores", *(["keypoints_2d"] if compared else [])]
        for found in aligned_clips(release, names, sorted(clip_ids), columns):
            if layer in found:
                others = [_with_joints(found[name], skeleton) for name in compared if name in found]
                yield [found[layer], *others]

    chosen: dict[str, list[int]] = {}
    for one in select_frames(clips(), rule, per_clip=per_clip, limit=limit, seed=seed):
        chosen.setdefault(one.clip_id, []).append(one.frame)
    return {clip_id: sorted(frames) for clip_id, frames in sorted(chosen.items())}


def _with_joints(clip: Clip, skeleton: Skeleton) -> Clip:
    """Give a clip the joints of another layer; NaN where it has none that is the same."""
    if clip.skeleton.joints == skeleton.joints or clip.keypoints_2d is None:
        return clip
    mapped = remap(clip.keypoints_2d, clip.skeleton, skeleton).keypoints
    return replace(clip, skeleton=skeleton, keypoints_2d=np.asarray(mapped, np.float32),
                   scores=None)  # fmt: skip
