"""The compiled scan against the package trackers: the same tracks, or no answer."""

from __future__ import annotations

import numpy as np
import pytest

from posedata.track import LEAST_OVERLAP, LOST_FRAMES, _by_first_appearance, _track_with_library
from posedata.track_scan import scan_tracks


def scene(rng):
    """People who walk at random, with noise, gaps, jumps and absences, sorted as the tracker is."""
    people, jitter = rng.integers(1, 5), rng.choice([0, 0.5, 3, 20])
    speed, absence = rng.choice([0, 1, 5, 20]), rng.choice([0, 0.05, 0.3, 0.7])
    centre, step = rng.uniform(0, 300, (people, 2)), rng.normal(0, speed, (people, 2))
    size = rng.uniform(10, 80, (people, 2))
    frames, boxes, frame = [0], [np.array([0, 0, 10, 10.0])], 0
    for _ in range(rng.integers(2, 60)):
        frame += 1 if rng.random() > 0.05 else rng.integers(1, 45)
        centre = centre + step
        for person in np.flatnonzero(rng.random(people) >= absence):
            if rng.random() < 0.01:
                centre[person] = rng.uniform(0, 300, 2)
            box = np.concatenate([centre[person] - size[person], centre[person] + size[person]])
            box += rng.normal(0, jitter, 4)
            box[2:] = np.maximum(box[2:], box[:2] + 1)
            frames.append(frame)
            boxes.append(box)
    frames, boxes = np.array(frames, np.int64), np.array(boxes, np.float32)
    order = np.lexsort((*boxes.T[::-1], frames))
    return frames[order], boxes[order]


def test_where_the_scan_is_certain_the_tracker_agrees():
    rng = np.random.default_rng(0)
    certain = 0
    for _ in range(150):
        frames, boxes = scene(rng)
        tracks, is_certain = scan_tracks(frames, boxes, LEAST_OVERLAP, LOST_FRAMES)
        if is_certain:
            certain += 1
            rows = np.arange(len(frames))
            expected = _by_first_appearance(_track_with_library(frames, boxes), rows)
            assert _by_first_appearance(tracks, rows).tolist() == expected.tolist()
    assert certain > 100


@pytest.mark.parametrize("gap", range(1, 36))
def test_people_are_forgotten_after_the_same_time(gap):
    frames = np.array([0, 1, 1 + gap, 2 + gap, 3 + 2 * gap], np.int64)
    boxes = np.tile(np.float32([0, 0, 10, 10]), (len(frames), 1))
    tracks, is_certain = scan_tracks(frames, boxes, LEAST_OVERLAP, LOST_FRAMES)
    assert is_certain
    assert tracks.tolist() == _track_with_library(frames, boxes).tolist()


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_who_was_seen_once_may_miss_one_frame(gap):
    frames = np.array([0, gap, gap + 1], np.int64)
    boxes = np.tile(np.float32([0, 0, 10, 10]), (3, 1))
    tracks, _ = scan_tracks(frames, boxes, LEAST_OVERLAP, LOST_FRAMES)
    assert tracks.tolist() == ([0, 0, 0] if gap <= 2 else [0, 1, 1])
    expected = _by_first_appearance(_track_with_library(frames, boxes), np.arange(3))
    assert tracks.tolist() == expected.tolist()


def test_two_boxes_that_are_alike_are_left_to_the_tracker():
    frames = np.array([0, 0, 1, 1], np.int64)
    boxes = np.float32([[0, 0, 10, 10]] * 4)
    assert not scan_tracks(frames, boxes, LEAST_OVERLAP, LOST_FRAMES)[1]


def test_coordinates_beyond_any_picture_are_left_to_the_tracker():
    boxes = np.float32([[0, 0, 1e7, 10]])
    assert not scan_tracks(np.zeros(1, np.int64), boxes, LEAST_OVERLAP, LOST_FRAMES)[1]
