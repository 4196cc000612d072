"""Stable ids for people who are listed frame by frame.

The tracker is ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box", ECCV 2022) as the package ``trackers`` implements it.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from posedata.errors import UsageError

#: Frames for which a person may be away and still be recognised.
LOST_FRAMES = 30

#: Overlap (intersection over union) below which two boxes are of two persons.
LEAST_OVERLAP = 0.1


def assign_tracks(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Tell which boxes of a video show the same person.

    Every box gets a track, two boxes of one frame never share one, and the order of the boxes
    within a frame has no influence. (Equal boxes of one frame are interchangeable.)

    Parameters
    ----------
    frames : int32, shape (N,)
        Frame of each box, ascending.
    boxes : float32, shape (N, 4)
        x0 y0 x1 y1, pixels, finite.

    Returns
    -------
    int32, shape (N,)
        Track of each box: 0, 1, ... by first appearance; from left to right where several appear
        in one frame.

    Raises
    ------
    UsageError
        If the package ``trackers`` is not installed, ``frames`` do not ascend, or a box is not
        finite.

    Examples
    --------
    >>> walker, sitter = [[0, 0, 10, 20], [2, 0, 12, 20]], [50, 0, 60, 20]
    >>> assign_tracks(np.array([0, 0, 1, 1]), np.array([walker[0], sitter, sitter, walker[1]]))
    array([0, 1, 1, 0], dtype=int32)
    """
    frames = np.asarray(frames, np.int64)
    boxes = np.asarray(boxes, np.float32).reshape(len(frames), 4)
    _require_library()
    if (np.diff(frames) < 0).any():
        raise UsageError("frames to track in", found="a frame before the one ahead of it",
                         expected="ascending")  # fmt: skip
    if not np.isfinite(boxes).all():
        raise UsageError("boxes to track", found="a number that is not finite")
    order = np.lexsort((*boxes.T[::-1], frames))
    tracks = np.empty(len(frames), np.int64)
    tracks[order] = _track(frames[order], boxes[order])
    return _by_first_appearance(tracks, order)


def _track(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    from posedata.track_scan import scan_tracks  # numba: only where there are boxes

    tracks, is_certain = scan_tracks(frames, boxes, LEAST_OVERLAP, LOST_FRAMES)
    return tracks if is_certain else _track_with_library(frames, boxes)


def _track_with_library(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Run the tracker over all frames, those without people included.

    Its two-stage matching is off (every box counts as certain), because scores of different
    estimators have no common scale, and a person whom one is unsure of must be followed, too.
    """
    supervision, tracker_class = _load_library()
    tracker = tracker_class(
        lost_track_buffer=LOST_FRAMES, frame_rate=30.0, minimum_consecutive_frames=1,
        minimum_iou_threshold=LEAST_OVERLAP, track_activation_threshold=0.0,
        high_conf_det_threshold=0.0,
    )  # fmt: skip
    nobody = supervision.Detections.empty()
    tracks = np.full(len(frames), -1, np.int64)
    starts = np.flatnonzero(np.diff(frames, prepend=-1))
    ends = np.append(starts[1:], len(frames))
    previous = frames[0] if len(frames) else 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        for _ in range(min(frames[start] - previous - 1, LOST_FRAMES + 2)):
            tracker.update(nobody)
        previous = frames[start]
        found = tracker.update(
            supervision.Detections(
                xyxy=boxes[start:end],
                confidence=np.ones(end - start, np.float32),
                data={"row": np.arange(start, end)},
            )
        )
        tracks[found.data["row"]] = found.tracker_id
    return _link_first_frames(frames, boxes, tracks)


def _link_first_frames(frames: np.ndarray, boxes: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Give each box without a track the one that starts from it, else one of its own.

    The tracker confirms a person, and gives out an id, when it sees them for the second time:
    one frame later, or two.
    """
    from scipy.optimize import linear_sum_assignment

    tracks = tracks.copy()
    loose = np.flatnonzero(tracks < 0)
    rows_of_ids = np.flatnonzero(tracks >= 0)
    _, first = np.unique(tracks[rows_of_ids], return_index=True)
    first_rows = rows_of_ids[np.sort(first)]
    for frame in np.unique(frames[first_rows]).tolist():
        begun = first_rows[frames[first_rows] == frame]
        age = frame - frames[loose]
        waiting = loose[(age >= 1) & (age <= 2) & (tracks[loose] < 0)]
        overlap = _overlaps(boxes[waiting], boxes[begun])
        for here, there in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[here, there] >= LEAST_OVERLAP:
                tracks[waiting[here]] = tracks[begun[there]]
    alone = np.flatnonzero(tracks < 0)
    tracks[alone] = tracks.max(initial=-1) + 1 + np.arange(len(alone))
    return tracks


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each box of ``a`` with each of ``b``."""
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(0).prod(-1)
    either = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    return both / np.maximum(either, np.finfo(np.float64).tiny)


def _by_first_appearance(tracks: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Number the tracks by their first row in ``order``."""
    _, first, inverse = np.unique(tracks[order], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    persons = np.empty(len(tracks), np.int32)
    persons[order] = rank[inverse]
    return persons


@cache
def _is_installed() -> bool:
    return all(map(find_spec, ("trackers", "supervision")))


def _require_library() -> None:
    """Say that the tracker is missing at the first clip, not at the first that is hard to track."""
    if not _is_installed():
        raise UsageError(
            "telling people apart needs the package trackers, which is not installed",
            remedy='Install it: pip install "posedata[track]"',
        )


def _load_library() -> tuple[Any, Any]:
    try:
        import supervision
        from trackers import ByteTrackTracker
    except ImportError as error:  # OpenCV, which it needs, asks for the libraries of a display
        raise UsageError(
            "the package trackers cannot be loaded", found=error,
            remedy="Where there is no display, install opencv-python-headless in place of "
            "opencv-python.",
        ) from error  # fmt: skip

    return supervision, ByteTrackTracker
