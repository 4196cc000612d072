"""The same clip in several layers, one clip after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from posedata.clip import Clip

if TYPE_CHECKING:
    from posedata.release import Release


def aligned_clips(
    release: Release, layers: Sequence[str], clip_ids: Sequence[str], columns: Sequence[str]
) -> Iterator[dict[str, Clip]]:
    """Read clips in all layers that have them; memory holds one row group a layer.

    Parameters
    ----------
    release : Release
        Whose layers.
    layers : sequence of str
        Their names.
    clip_ids : sequence of str
        Sorted.
    columns : sequence of str
        Pose columns to read, of those that a layer has.

    Yields
    ------
    dict of str to Clip
        For each clip id, by layer.
    """
    wanted = {"clip_id": list(clip_ids)}
    streams = {
        layer: release.iter_clips(
            layer,
            columns=[n for n in columns if n in release.table(layer).pose_columns],
            where=wanted,
        )
        for layer in layers
    }
    waiting = {layer: next(stream, None) for layer, stream in streams.items()}
    for clip_id in clip_ids:
        found: dict[str, Clip] = {}
        for layer, clip in waiting.items():
            if clip is not None and clip.clip_id == clip_id:
                found[layer] = clip
                waiting[layer] = next(streams[layer], None)
        yield found
