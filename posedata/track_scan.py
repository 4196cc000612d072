"""ByteTrack for videos in which it has no choice to make, compiled.

In most videos each person's track overlaps one box more than any other, and each time another
one. Then the assignment with the largest sum of overlaps follows without a search, and since the
tracker's filter treats each coordinate by itself and alike, a few lines do what the package
``trackers`` does, a hundred times faster. Where a frame is not of that kind, the scan says so.
"""

from __future__ import annotations

import numpy as np

from posedata.compiled import kernel, part_of_kernel

# The filter of a coordinate has the state (position, velocity) and these variances, as in
# trackers' ByteTrackTracklet.
_FIRST_VARIANCE = 1.0
_PROCESS_VARIANCE = 0.01
_MEASUREMENT_VARIANCE = 0.1

# Overlaps are of order 1 and computed in float64 there and here, from filters whose rounding
# errors differ; there they are then rounded to float32. What is closer than this is not decided.
_CLOSE = 1e-4

# Above it, rounding errors of the filters are no longer small against a person.
_LARGEST_COORDINATE = 1e6


@kernel
def scan_tracks(frames, boxes, least_overlap, lost_frames):
    """Follow the boxes of a video for as long as each match is the only possible one.

    Parameters
    ----------
    frames : int64, shape (N,)
        Ascending.
    boxes : float32, shape (N, 4)
        x0 y0 x1 y1.
    least_overlap : float
        Of two boxes of one person (intersection over union).
    lost_frames : int
        Frames that a person may be away.

    Returns
    -------
    tracks : int64, shape (N,)
        Track of each box, numbered in the order in which they begin.
    is_certain : bool
        Whether this is what the tracker gives. If not, ``tracks`` is of no use.
    """
    rows = len(frames)
    tracks = np.empty(rows, np.int64)
    position = np.empty((rows, 4), np.float64)
    velocity = np.empty((rows, 4), np.float64)
    variance = np.empty((rows, 3), np.float64)  # of position, both, velocity
    missed = np.empty(rows, np.int64)
    is_confirmed = np.empty(rows, np.bool_)
    alive = np.empty(rows, np.int64)
    num_alive = 0
    num_tracks = 0
    start = 0
    while start < rows:
        end = start
        while end < rows and frames[end] == frames[start]:
            for c in range(4):
                if abs(boxes[end, c]) > _LARGEST_COORDINATE:
                    return tracks, False
            end += 1
        steps = 1 if start == 0 else min(frames[start] - frames[start - 1], lost_frames + 2)
        for step in range(steps):
            if step > 0:
                num_alive = _drop_lost(alive, num_alive, missed, is_confirmed, lost_frames)
            for k in range(num_alive):
                t = alive[k]
                missed[t] += 1
                for c in range(4):
                    position[t, c] += velocity[t, c]
                variance[t, 0] += 2 * variance[t, 1] + variance[t, 2] + _PROCESS_VARIANCE
                variance[t, 1] += variance[t, 2]
                variance[t, 2] += _PROCESS_VARIANCE
        match, is_certain = _match(position, alive[:num_alive], boxes[start:end], least_overlap)
        if not is_certain:
            return tracks, False
        for k in range(end - start):
            row = start + k
            if match[k] >= 0:
                t = alive[match[k]]
                gain = variance[t, 0] / (variance[t, 0] + _MEASUREMENT_VARIANCE)
                gain_velocity = variance[t, 1] / (variance[t, 0] + _MEASUREMENT_VARIANCE)
                for c in range(4):
                    innovation = boxes[row, c] - position[t, c]
                    position[t, c] += gain * innovation
                    velocity[t, c] += gain_velocity * innovation
                variance[t, 2] -= gain_velocity * variance[t, 1]
                variance[t, 1] *= 1 - gain
                variance[t, 0] *= 1 - gain
                missed[t] = 0
                is_confirmed[t] = True
                tracks[row] = t
        num_alive = _drop_lost(alive, num_alive, missed, is_confirmed, lost_frames)
        for k in range(end - start):
            if match[k] < 0:
                row = start + k
                t = num_tracks
                num_tracks += 1
                for c in range(4):
                    position[t, c] = boxes[row, c]
                    velocity[t, c] = 0.0
                variance[t, 0] = variance[t, 2] = _FIRST_VARIANCE
                variance[t, 1] = 0.0
                missed[t] = 0
                is_confirmed[t] = False
                alive[num_alive] = t
                num_alive += 1
                tracks[row] = t
        start = end
    return tracks, True


@part_of_kernel
def _drop_lost(alive, num_alive, missed, is_confirmed, lost_frames):
    """Keep the tracks that may go on; one that was seen only once may miss one frame."""
    kept = 0
    for k in range(num_alive):
        t = alive[k]
        if missed[t] <= (lost_frames if is_confirmed[t] else min(1, lost_frames)):
            alive[kept] = t
            kept += 1
    return kept


@part_of_kernel
def _match(position, alive, boxes, least_overlap):
    """Match boxes to tracks, if the largest sum of overlaps can be seen without search.

    It can if no two tracks have the same best box: nothing is above the sum of each track's best
    overlap, and nothing else reaches it where each best is ahead of the second. The same holds
    with tracks and boxes exchanged.
    """
    num_tracks, num_boxes = len(alive), len(boxes)
    match = np.full(num_boxes, -1, np.int64)
    best_of_track = np.full(num_tracks, -1, np.int64)
    best_of_box = np.full(num_boxes, -1, np.int64)
    first_of_track, second_of_track = np.zeros(num_tracks), np.zeros(num_tracks)
    first_of_box, second_of_box = np.zeros(num_boxes), np.zeros(num_boxes)
    for i in range(num_tracks):
        for j in range(num_boxes):
            overlap = _overlap(position[alive[i]], boxes[j])
            if abs(overlap - least_overlap) < _CLOSE:
                return match, False
            if overlap > first_of_track[i]:
                second_of_track[i] = first_of_track[i]
                first_of_track[i] = overlap
                best_of_track[i] = j
            elif overlap > second_of_track[i]:
                second_of_track[i] = overlap
            if overlap > first_of_box[j]:
                second_of_box[j] = first_of_box[j]
                first_of_box[j] = overlap
                best_of_box[j] = i
            elif overlap > second_of_box[j]:
                second_of_box[j] = overlap
    if _all_differ(best_of_track, first_of_track, second_of_track, num_boxes):
        for i in range(num_tracks):
            if first_of_track[i] >= least_overlap:
                match[best_of_track[i]] = i
        return match, True
    if _all_differ(best_of_box, first_of_box, second_of_box, num_tracks):
        for j in range(num_boxes):
            if first_of_box[j] >= least_overlap:
                match[j] = best_of_box[j]
        return match, True
    return match, False


@part_of_kernel
def _all_differ(best, first, second, number):
    """Whether each best match is ahead of the second, and no two are the same."""
    is_taken = np.zeros(number, np.bool_)
    for i in range(len(best)):
        if best[i] < 0:
            continue
        if first[i] - second[i] < _CLOSE or is_taken[best[i]]:
            return False
        is_taken[best[i]] = True
    return True


@part_of_kernel
def _overlap(a, b):
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    of_a = (a[2] - a[0]) * (a[3] - a[1])
    of_b = (b[2] - b[0]) * (b[3] - b[1])
    return both / (of_a + of_b - both)
