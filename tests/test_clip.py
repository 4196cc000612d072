"""`posedata.clip`: what a clip holds, refuses, and looks like when it is spread out."""

from dataclasses import replace

import numpy as np
import pytest

from posedata.clip import Clip
from posedata.errors import UsageError
from posedata.skeleton import load_skeleton

# person 0 is in frames 0 and 3, person 1 in frames 1, 2 and 3 of 5
FRAMES = np.array([0, 3, 1, 2, 3], np.int32)
PERSONS = np.array([0, 0, 1, 1, 1], np.int32)


def numbers(*shape):
    """Float32 numbers of which no two are equal."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def make_clip(**changes):
    arguments = {
        "clip_id": "wave_1",
        "layer": "human",
        "skeleton": load_skeleton("coco17"),
        "frames": FRAMES,
        "persons": PERSONS,
        "keypoints_3d": numbers(5, 17, 3),
        "keypoints_2d": numbers(5, 17, 2),
        "scores": numbers(5, 17) / 100,
        "visibility": np.full((5, 17), 2, np.uint8),
        "boxes": numbers(5, 4),
        "person_ids": ("72057594037931101", "72057594037931105"),
        "extra": {"lean": numbers(5), "hand_state": np.arange(5, dtype=np.int32)},
        "info": {"num_frames": 5, "label": 3},
    }
    return Clip(**(arguments | changes))


def empty_clip(**changes):
    nobody = {
        "frames": FRAMES[:0],
        "persons": PERSONS[:0],
        "person_ids": (),
        "extra": {},
        "info": {"num_frames": 5},
    }
    arrays = ("keypoints_3d", "keypoints_2d", "scores", "visibility", "boxes")
    without = {name: getattr(make_clip(), name)[:0] for name in arrays}
    return make_clip(**(nobody | without | changes))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("keypoints_3d", (2, 5, 17, 3)),
        ("keypoints_2d", (2, 5, 17, 2)),
        ("scores", (2, 5, 17)),
        ("boxes", (2, 5, 4)),
        ("lean", (2, 5)),
    ],
)
def test_dense_puts_each_pose_at_its_person_and_frame_and_nan_elsewhere(name, shape):
    clip = make_clip()
    spread = clip.dense(name)
    assert spread.shape == shape and spread.dtype == np.float32
    for row, (person, frame) in enumerate([(0, 0), (0, 3), (1, 1), (1, 2), (1, 3)]):
        np.testing.assert_array_equal(spread[person, frame], clip.arrays[name][row])
    for person, frame in [(0, 1), (0, 2), (0, 4), (1, 0), (1, 4)]:
        assert np.isnan(spread[person, frame]).all()


@pytest.mark.parametrize("name", ["visibility", "hand_state"])
def test_dense_whole_numbers_are_0_where_nobody_is(name):
    clip = make_clip()
    spread = clip.dense(name)
    assert spread.dtype == clip.arrays[name].dtype
    np.testing.assert_array_equal(spread[PERSONS, FRAMES], clip.arrays[name])
    assert np.all(spread[0, [1, 2, 4]] == 0) and np.all(spread[1, [0, 4]] == 0)


def test_dense_gives_3d_keypoints_unless_asked_for_others():
    np.testing.assert_array_equal(make_clip().dense(), make_clip().dense("keypoints_3d"))


def test_dense_of_a_clip_without_people_has_no_persons_but_all_frames():
    clip = empty_clip()
    assert clip.dense().shape == (0, 5, 17, 3)
    assert clip.dense("visibility").shape == (0, 5, 17)


def test_dense_of_an_array_that_is_not_there_says_which_are():
    clip = make_clip(keypoints_3d=None, scores=None, boxes=None, extra={})
    with pytest.raises(UsageError) as caught:
        clip.dense("keypoints_3d")
    assert str(caught.value) == (
        "clip wave_1 has no keypoints_3d: expected keypoints_2d, visibility"
    )


def test_dense_is_a_copy():
    clip = make_clip()
    clip.dense()[:] = 0
    assert clip.keypoints_3d[0, 0, 0] == 1


def test_counts():
    assert (make_clip().num_persons, make_clip().num_frames) == (2, 5)
    assert (empty_clip().num_persons, empty_clip().num_frames) == (0, 5)
    # a person who is in no frame of this layer still has a number
    assert make_clip(persons=PERSONS * 2, person_ids=()).num_persons == 3


def test_arrays_are_those_that_the_clip_has():
    clip = make_clip(scores=None, boxes=None)
    assert list(clip.arrays) == ["keypoints_2d", "keypoints_3d", "visibility", "lean", "hand_state"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints_3d": numbers(4, 17, 3)},
         "keypoints_3d: found float32 (4, 17, 3), expected float32 (5, 17, 3)"),
        ({"keypoints_3d": numbers(5, 25, 3)},
         "keypoints_3d: found float32 (5, 25, 3), expected float32 (5, 17, 3)"),
        ({"keypoints_2d": numbers(5, 17, 3)},
         "keypoints_2d: found float32 (5, 17, 3), expected float32 (5, 17, 2)"),
        ({"keypoints_2d": numbers(5, 17, 2).astype(float)},
         "keypoints_2d: found float64 (5, 17, 2), expected float32 (5, 17, 2)"),
        ({"scores": numbers(5, 17, 1)},
         "scores: found float32 (5, 17, 1), expected float32 (5, 17)"),
        ({"visibility": numbers(5, 17)},
         "visibility: found float32 (5, 17), expected uint8 (5, 17)"),
        ({"boxes": numbers(5, 2)}, "boxes: found float32 (5, 2), expected float32 (5, 4)"),
        ({"extra": {"lean": numbers(4)}}, "lean: found float32 (4,), expected float32 (5,)"),
        ({"extra": {"lean": np.float32(1)}}, "lean: found float32 (), expected float32 (5,)"),
        ({"frames": FRAMES.astype(np.int64)}, "frames: found int64 (5,), expected int32 (5,)"),
        ({"frames": FRAMES[:, None]}, "frames: found int32 (5, 1), expected int32 (5,)"),
        ({"persons": PERSONS[:4]}, "persons: found int32 (4,), expected int32 (5,)"),
        ({"persons": PERSONS - 1}, "persons: found -1, expected 0 or more"),
        ({"person_ids": ("a",)}, "person_ids: found 1, expected 2"),
        ({"person_ids": ("a", "b", "c")}, "person_ids: found 3, expected 2"),
        ({"info": {"num_frames": 3}}, "frames outside the clip: found 0 to 3, expected 0 to 2"),
        ({"frames": FRAMES - 1}, "frames outside the clip: found -1 to 2, expected 0 to 4"),
        ({"info": {}}, "num_frames is not in info"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(UsageError) as caught:
        make_clip(**changes)
    assert str(caught.value) == f"clip wave_1: {message}"


@pytest.mark.parametrize(
    ("persons", "frames"),
    [
        ([0, 1, 0, 1, 1], [0, 0, 1, 1, 2]),  # by frame
        ([1, 1, 0, 0, 0], [0, 1, 0, 1, 2]),  # persons backwards
        ([0, 0, 1, 1, 1], [1, 0, 0, 1, 2]),  # frames backwards
        ([0, 0, 1, 1, 1], [0, 0, 0, 1, 2]),  # a person twice in a frame
    ],
)
def test_rows_are_sorted_by_person_and_frame_each_pair_once(persons, frames):
    with pytest.raises(UsageError, match="rows are not sorted by"):
        make_clip(frames=np.array(frames, np.int32), persons=np.array(persons, np.int32))


def test_person_ids_without_people_are_refused():
    with pytest.raises(UsageError, match="person_ids: found 1, expected 0"):
        empty_clip(person_ids=("a",))


def test_equal_clips_are_equal_and_missing_joints_are_equal():
    missing = numbers(5, 17, 3)
    missing[2, 4] = np.nan
    assert make_clip().equals(make_clip())
    assert make_clip(keypoints_3d=missing).equals(make_clip(keypoints_3d=missing.copy()))
    assert empty_clip().equals(empty_clip())


@pytest.mark.parametrize(
    "changes",
    [
        {"clip_id": "wave_2"},
        {"layer": "kinect"},
        {"skeleton": replace(load_skeleton("coco17"), name="coco17b")},
        {"frames": np.array([0, 4, 1, 2, 3], np.int32)},
        {"persons": PERSONS * 2, "person_ids": ()},
        {"person_ids": ("72057594037931101", "72057594037931104")},
        {"person_ids": ()},
        {"keypoints_3d": np.nextafter(numbers(5, 17, 3), np.float32(0))},
        {"keypoints_3d": np.where(numbers(5, 17, 3) == 1, np.float32(np.nan), numbers(5, 17, 3))},
        {"keypoints_3d": None},
        {"visibility": np.ones((5, 17), np.uint8)},
        {"extra": {"lean": numbers(5)}},
        {"extra": {"lean": numbers(5), "hand_state": np.arange(5, dtype=np.int64)}},
        {"info": {"num_frames": 6, "label": 3}},
        {"info": {"num_frames": 5, "label": 4}},
    ],
)
def test_any_difference_makes_clips_different(changes):
    assert not make_clip().equals(make_clip(**changes))
    assert not make_clip(**changes).equals(make_clip())
