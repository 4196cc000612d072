"""Tracks: each box one, no two of a frame the same, whatever the order within a frame."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata import track
from posedata.boxes import boxes_around
from posedata.errors import UsageError
from posedata.track import assign_tracks


def walk(start: float, speed: float, frames) -> tuple[np.ndarray, np.ndarray]:
    """Boxes 40 wide and 100 high of a person who walks along x."""
    frames = np.asarray(frames)
    x = start + speed * frames
    zero = np.zeros_like(x, dtype=float)
    return frames, np.stack([x, zero, x + 40, zero + 100], 1)


def mixed(*people, seed=0):
    """Frames, boxes and true persons of several walks, shuffled within frames."""
    frames = np.concatenate([f for f, _ in people]).astype(np.int32)
    boxes = np.concatenate([b for _, b in people]).astype(np.float32)
    truth = np.repeat(np.arange(len(people)), [len(f) for f, _ in people])
    order = np.random.default_rng(seed).permutation(len(frames))
    order = order[np.argsort(frames[order], kind="stable")]
    return frames[order], boxes[order], truth[order]


def same_partition(a, b) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


def test_two_who_stand_apart():
    frames, boxes, truth = mixed(walk(0, 0, range(20)), walk(200, 0, range(20)))
    assert assign_tracks(frames, boxes).tolist() == truth.tolist()
    assert assign_tracks(frames, boxes).dtype == np.int32


def test_numbers_are_by_first_appearance_and_from_left_to_right_in_one_frame():
    frames, boxes, truth = mixed(
        walk(300, 0, range(3, 9)), walk(500, 0, range(9)), walk(100, 0, range(9))
    )
    expected = np.array([2, 1, 0])[truth]
    assert assign_tracks(frames, boxes).tolist() == expected.tolist()


def test_crossing_people_keep_their_tracks():
    frames, boxes, truth = mixed(walk(0, 12, range(40)), walk(480, -12, range(40)))
    assert same_partition(assign_tracks(frames, boxes), truth)


@pytest.mark.parametrize(("away", "is_same"), [(2, True), (10, True), (29, True), (60, False)])
def test_who_comes_back_soon_is_the_same(away, is_same):
    there = [*range(10), *range(10 + away, 20 + away)]
    frames, boxes, truth = mixed(walk(0, 0, there), walk(200, 0, range(20 + away)))
    tracks = assign_tracks(frames, boxes)
    assert len(set(tracks[truth == 0])) == (1 if is_same else 2)
    assert len(set(tracks[truth == 1])) == 1


def test_a_jump_to_another_place_is_another_person():
    frames, boxes, _ = mixed(walk(0, 0, range(10)), walk(300, 0, range(10, 20)))
    assert assign_tracks(frames, boxes).tolist() == [0] * 10 + [1] * 10


def test_the_first_frame_belongs_to_its_track_and_a_single_box_has_its_own():
    frames, boxes, truth = mixed(walk(0, 0, range(2)), walk(300, 0, [1]))
    assert assign_tracks(frames, boxes).tolist() == truth.tolist()


def test_no_boxes_and_one_box():
    assert assign_tracks(np.empty(0, np.int32), np.empty((0, 4), np.float32)).shape == (0,)
    assert assign_tracks(np.array([7]), np.array([[0, 0, 1, 1]])).tolist() == [0]


def test_frame_numbers_may_be_far_apart():
    frames = np.array([0, 1, 2_000_000_000, 2_000_000_001], np.int32)
    boxes = np.tile(np.float32([0, 0, 10, 10]), (4, 1))
    assert assign_tracks(frames, boxes).tolist() == [0, 0, 1, 1]
    assert same_partition(track._track_with_library(frames, boxes), np.array([0, 0, 1, 1]))


@st.composite
def scenes(draw):
    boxes = draw(st.lists(
        st.tuples(st.integers(0, 12), *[st.integers(0, 60)] * 2, *[st.integers(5, 40)] * 2),
        min_size=1, max_size=40, unique=True,
    ))  # fmt: skip
    rows = np.array(sorted(boxes), np.float32)
    return rows[:, 0].astype(np.int32), np.concatenate(
        [rows[:, 1:3], rows[:, 1:3] + rows[:, 3:]], 1
    )


@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_within_a_frame_does_not_matter(scene, random):
    frames, boxes = scene
    tracks = assign_tracks(frames, boxes)
    order = list(range(len(frames)))
    random.shuffle(order)
    order.sort(key=lambda row: frames[row])
    assert assign_tracks(frames[order], boxes[order]).tolist() == tracks[order].tolist()
    assert len(set(zip(frames.tolist(), tracks.tolist(), strict=True))) == len(frames)
    _, first = np.unique(tracks, return_index=True)
    assert sorted(set(tracks.tolist())) == list(range(len(first)))
    assert (np.diff(frames[first]) >= 0).all()


def test_frames_that_do_not_ascend_and_boxes_that_are_not_finite_are_refused():
    boxes = np.zeros((2, 4), np.float32)
    with pytest.raises(UsageError, match="ascending"):
        assign_tracks(np.array([1, 0]), boxes)
    with pytest.raises(UsageError, match="finite"):
        assign_tracks(np.array([0, 1]), boxes + np.float32(np.nan))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(track, "_is_installed", lambda: False)
    with pytest.raises(UsageError, match=r'pip install "posedata\[track\]"'):
        assign_tracks(np.array([0]), np.zeros((1, 4)))


def openpose_rows(folder):
    """Frames, slots and joints of a folder of OpenPose files, people without joints left out."""
    rows = []
    for frame, path in enumerate(sorted(folder.iterdir())):
        for slot, person in enumerate(json.loads(path.read_bytes())["people"]):
            numbers = np.array(person.get("pose_keypoints_2d", [])).reshape(-1, 3)
            if (numbers[:, 2] > 0).any():
                rows.append((frame, slot, numbers))
    frames, slots, numbers = zip(*rows, strict=True)
    return np.array(frames), np.array(slots), np.array(numbers)


@pytest.mark.real
def test_two_real_people_are_kept_apart_in_all_frames(shared):
    frames, _, numbers = openpose_rows(shared / "data/openpose/single_cam01_json")
    tracks = assign_tracks(frames, boxes_around(numbers[..., :2], numbers[..., 2] == 0))
    assert sorted(np.bincount(tracks).tolist()) == [1, 100, 100]


@pytest.mark.real
def test_real_tracks_are_those_of_people_who_were_associated_by_other_means(shared):
    folder = shared / "data/openpose"
    frames, slots, numbers = openpose_rows(folder / "two_people_associated_cam01_json")
    boxes = boxes_around(numbers[..., :2], numbers[..., 2] == 0)
    assert same_partition(assign_tracks(frames, boxes), slots)

    true_person = {  # the same poses are in the other folder, in another order, with a third one
        (frame, pose.tobytes()): slot
        for frame, slot, pose in zip(frames.tolist(), slots.tolist(), numbers, strict=True)
    }
    frames, _, numbers = openpose_rows(folder / "two_people_cam01_json")
    tracks = assign_tracks(frames, boxes_around(numbers[..., :2], numbers[..., 2] == 0))
    found = {
        (true_person[key], track)
        for frame, pose, track in zip(frames.tolist(), numbers, tracks.tolist(), strict=True)
        if (key := (frame, pose.tobytes())) in true_person and frame != 37
    }
    assert len(found) == 2  # in frame 37 OpenPose made two of one person, upper and lower half


def test_a_library_that_cannot_be_loaded_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(UsageError, match=r"the package trackers cannot be loaded.*headless"):
        track._load_library()
