"""People per frame to a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posedata.boxes import boxes_around
from posedata.clip import Clip
from posedata.converter import LayerDescription, Sample
from posedata.converters.people import LARGEST_NUM_FRAMES, People, build_clip
from posedata.errors import InputError

SAMPLE = Sample("clip", "folder/clip.json", 100)
V = 15


def crowd(frames, x, ids=(), **fields) -> People:
    """One pose a row, all of its joints around ``x``."""
    frames = np.array(frames)
    spread = np.stack([np.arange(V) * 2, np.arange(V) * 6], 1)
    positions = np.array(x, float).reshape(-1, 1, 1) + spread
    slots = np.array([list(frames[:row]).count(frame) for row, frame in enumerate(frames)], int)
    people = People(
        frames, slots, positions, np.zeros((len(frames), V), bool),
        scores=np.full((len(frames), V), 0.5), ids=ids,
    )  # fmt: skip
    return replace(people, **fields)


COLUMNS = ("person_ids", "slots", "keypoints_2d", "scores")


def build(people: People, num_frames: int = 10, columns=COLUMNS) -> tuple[Clip, list]:
    layer = LayerDescription("openpose", "mpi15", columns)
    return build_clip(SAMPLE, layer, people, {"num_frames": num_frames})


def test_rows_are_sorted_by_person_and_frame_and_slots_go_with_them():
    people = crowd([1, 0, 1, 0], [0, 300, 300, 0], ids=["b", "a", "a", "b"])
    clip, problems = build(people)
    assert problems == []
    assert clip.person_ids == ("a", "b")  # slot 0 of frame 0 is a
    assert clip.persons.tolist() == [0, 0, 1, 1]
    assert clip.frames.tolist() == [0, 1, 0, 1]
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0]
    assert clip.extra["slots"].dtype == np.int32
    assert clip.keypoints_2d[:, 0, 0].tolist() == [300, 300, 0, 0]


def test_without_ids_the_tracker_tells_people_apart_not_their_order():
    clip, _ = build(crowd([0, 0, 1, 1, 2, 2], [0, 300, 300, 2, 4, 300]))
    assert clip.person_ids == ()
    assert clip.keypoints_2d[clip.persons == 0, 0, 0].tolist() == [0, 2, 4]
    assert clip.keypoints_2d[clip.persons == 1, 0, 0].tolist() == [300] * 3


def test_rows_without_an_id_are_tracked_among_themselves():
    people = crowd([0, 0, 1, 1], [0, 300, 300, 0], ids=["7", "", "", "7"])
    clip, _ = build(people)
    assert clip.person_ids == ("7", "")
    assert clip.keypoints_2d[:, 0, 0].tolist() == [0, 0, 300, 300]


def test_ids_that_are_all_empty_are_none():
    assert build(crowd([0, 1], [0, 1], ids=["", ""]))[0].person_ids == ()


def test_a_missing_joint_is_nan_with_score_and_visibility_0():
    missing = np.zeros((2, V), bool)
    missing[0, 3] = True
    people = crowd([0, 1], [0, 0], missing=missing, visibility=np.full((2, V), 2, np.uint8))
    clip, problems = build(people, columns=("keypoints_2d", "scores", "visibility"))
    assert problems == []
    assert np.isnan(clip.keypoints_2d[0, 3]).all() and np.isnan(clip.keypoints_2d).sum() == 2
    assert clip.scores[0, 3] == 0 and (clip.scores == 0).sum() == 1
    assert clip.visibility[0, 3] == 0 and (clip.visibility == 0).sum() == 1
    assert not people.missing[1].any() and people.scores[0, 3] == 0.5  # the input is as it was


def test_a_joint_with_score_0_that_the_source_does_not_call_missing_stays():
    clip, _ = build(crowd([0], [5], scores=np.zeros((1, V))))
    assert not np.isnan(clip.keypoints_2d).any()


@pytest.mark.parametrize(
    ("scores", "kept", "reason"),
    [(1.25, 1, "score above 1, now 1: 1 times"), (-0.25, 0, "score below 0, now 0: 1 times"),
     (np.nan, 0, "joint with a score that is not a number, now missing: 1 times"),
     (np.inf, 1, "score above 1, now 1: 1 times")],
)  # fmt: skip
def test_scores_outside_0_to_1_are_changed_with_a_warning(scores, kept, reason):
    values = np.full((3, V), 0.5)
    values[1, 2] = scores
    clip, (problem,) = build(crowd([0, 0, 5], [0, 300, 0], scores=values))
    row = np.flatnonzero(clip.extra["slots"] == 1)[0]
    assert clip.scores[row, 2] == kept and (clip.scores == 0.5).sum() == 3 * V - 1
    assert np.isnan(clip.keypoints_2d[row, 2]).all() == np.isnan(scores)
    assert (problem.reason, problem.position) == (reason, "frame 0, person 1")
    assert (problem.source, problem.stage, problem.severity) == (SAMPLE.path, "read", "warning")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_coordinates_that_are_not_finite_are_missing_with_a_warning(value):
    people = crowd([0], [0])
    people.keypoints_2d[0, 4, 1] = value
    clip, (problem,) = build(people)
    assert np.isnan(clip.keypoints_2d[0, 4]).all() and clip.scores[0, 4] == 0
    assert "not finite" in problem.reason


def test_a_person_without_joints_is_left_out_with_a_warning():
    missing = np.zeros((3, V), bool)
    missing[1] = True
    clip, (problem,) = build(crowd([0, 0, 1], [0, 300, 0], missing=missing))
    assert clip.frames.tolist() == [0, 1] and clip.num_persons == 1
    assert problem.reason == "person without any joint, left out: 1 times"


def test_nobody_at_all():
    clip, problems = build(crowd([], []))
    assert len(clip.frames) == 0 and problems == [] and clip.num_frames == 10


def test_an_id_twice_in_a_frame_is_an_error():
    with pytest.raises(InputError, match=r"frame 1: the same person id twice.*'3'"):
        build(crowd([0, 1, 1], [0, 0, 300], ids=["3", "3", "3"]))


@pytest.mark.parametrize(("frames", "num_frames"), [([-1], 10), ([10], 10), ([0], 1 << 40)])
def test_frames_outside_the_clip_and_clips_without_end_are_errors(frames, num_frames):
    assert num_frames < 11 or num_frames > LARGEST_NUM_FRAMES
    with pytest.raises(InputError, match="frame"):
        build(crowd(frames, [0]), num_frames)


def test_only_columns_of_the_layer_are_kept():
    extra = {"pose_scores": np.ones(1, np.float32), "other": np.ones(1, np.float32)}
    people = crowd([0], [0], extra=extra, boxes=np.array([[0, 0, 1, 1.0]]))
    clip, _ = build(people, columns=("keypoints_2d", "pose_scores"))
    assert set(clip.arrays) == {"keypoints_2d", "pose_scores"}


def test_the_source_s_boxes_are_kept_and_lead_the_tracker():
    # Joints jump, boxes do not.
    boxes = np.array([[0, 0, 50, 90]] * 2 + [[500, 0, 550, 90]] * 2, float)
    people = crowd([0, 1, 0, 1], [0, 500, 500, 0], boxes=boxes)
    clip, _ = build(people, columns=("keypoints_2d", "boxes"))
    assert clip.boxes[:, 0].tolist() == [0, 0, 500, 500]
    assert clip.persons.tolist() == [0, 0, 1, 1]


def test_a_box_that_is_not_finite_is_nan_and_the_joints_lead_instead():
    boxes = np.full((2, 4), np.nan)
    boxes[0, 2] = 3
    clip, (problem,) = build(crowd([0, 1], [0, 0], boxes=boxes), columns=("keypoints_2d", "boxes"))
    assert np.isnan(clip.boxes).all() and clip.num_persons == 1
    assert "box" in problem.reason


def test_boxes_around_joints_have_a_margin():
    positions = np.array([[[0, 0], [100, 200], [9e9, 9e9]], [[5, 5], [0, 0], [0, 0]]], float)
    missing = np.array([[0, 0, 1], [0, 1, 1]], bool)
    assert boxes_around(positions, missing).tolist() == [[-20, -20, 120, 220], [-3, -3, 13, 13]]
    assert boxes_around(positions[:0], missing[:0]).shape == (0, 4)


@pytest.mark.parametrize("far", [3e38, -3e38, 1e12])
def test_coordinates_far_beyond_any_picture_are_kept_and_do_not_stop_the_tracker(far):
    positions = np.zeros((4, V, 2))
    positions[2:] = far
    positions[3, 3] = -far
    boxes = np.array([[0, 0, 1, 1], [-3e38, -3e38, 3e38, 3e38]] * 2)
    clip, problems = build(crowd([0, 1, 1, 2], [0] * 4, keypoints_2d=positions, boxes=boxes))
    assert problems == [] and (np.abs(clip.keypoints_2d) == np.float32(abs(far))).any()


@given(st.data())
def test_any_numbers_give_a_clip_that_keeps_each_finite_one(data):
    rows = data.draw(st.integers(0, 8))
    frames = data.draw(hnp.arrays(np.int64, rows, elements=st.integers(0, 9)))
    numbers = data.draw(hnp.arrays(np.float64, (rows, V, 3), elements=st.floats(), fill=st.just(1)))
    missing = data.draw(hnp.arrays(bool, (rows, V)))
    people = crowd(frames, np.zeros(rows), missing=missing, keypoints_2d=numbers[..., :2],
                   scores=numbers[..., 2])  # fmt: skip
    clip, _ = build(people)
    with np.errstate(over="ignore"):
        kept = ~missing & np.isfinite(numbers.astype(np.float32)[..., :2]).all(-1)
    kept &= ~np.isnan(numbers[..., 2])
    assert len(clip.frames) == kept.any(1).sum()
    assert (~np.isnan(clip.keypoints_2d)).all(-1).sum() == kept.sum()
    assert ((clip.scores >= 0) & (clip.scores <= 1)).all()
    assert len(set(zip(clip.frames, clip.persons, strict=True))) == len(clip.frames)
