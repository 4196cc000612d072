"""Clips against their videos: how many frames, and how large."""

from __future__ import annotations

from collections.abc import Iterator

from posedata.clip import Clip
from posedata.errors import InputError
from posedata.findings.finding import Finding, finding, limits


def check(clip: Clip, place: str) -> Iterator[Finding]:
    """Compare a clip with its video.

    Parameters
    ----------
    clip : Clip
        In any layer.
    place : str
        The video, for `posedata.video.probe_video`.
    """
    from posedata.video import probe_video

    try:
        video = probe_video(place)
    except InputError as error:
        yield finding(clip, "video", f"its video cannot be read: {error.reason}", severity="error")
        return
    most = limits("video")["frames"]
    if abs(video.num_frames - clip.num_frames) > 0:
        off = abs(video.num_frames - clip.num_frames)
        yield finding(
            clip, "video", f"{clip.num_frames:,} frames, and {video.num_frames:,} in the video",
            value=off, threshold=most, severity="error" if off > most else None,
        )  # fmt: skip
    width, height = clip.info.get("width"), clip.info.get("height")
    if width and height and (width, height) != (video.width, video.height):
        yield finding(
            clip, "video", f"{width} x {height} pixels, and {video.width} x {video.height} in the "
            "video", severity="error",
        )  # fmt: skip
