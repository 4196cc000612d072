"""Annotated frames become clips of a layer; images and their addresses; which frames are sent."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_videos import number_in, write_video
from test_fuse import clip as plain_clip
from test_fuse import everyone, make_release

from posedata.errors import InputError, UsageError
from posedata.label_studio.annotated_frame import AnnotatedFrame
from posedata.label_studio.annotated_layer import (
    FinishedFrame,
    annotated_clip,
    frames_by_clip,
    plan_annotated_layer,
    write_annotated_layer,
)
from posedata.label_studio.frame_choice import choose_release_frames
from posedata.label_studio.frame_images import (
    file_name,
    images_elsewhere,
    local_images,
    write_images,
)
from posedata.label_studio.poses_to_task import task_of
from posedata.label_studio.pull import pull_frames
from posedata.label_studio.push import frame_poses, layer_key
from posedata.label_studio.regions import RegionProblem
from posedata.release import open_release
from posedata.skeleton import load_skeleton
from posedata.validate import validate
from posedata.video import probe_video

MAIN = load_skeleton("main13")
V = MAIN.num_joints
INFO = {"num_frames": 12, "width": 640, "height": 480}


def frame(number, persons, new=None, named=(), clip_id="a", joints=True):
    """Person p with all joints at (10 p, number), or with a box alone."""
    count = len(persons)
    keypoints = np.full((count, V, 2), np.nan, np.float32)
    boxes = np.tile(np.float32([0, 0, 9, 9]), (count, 1))
    if joints:
        keypoints[:] = np.stack([10 * np.array(persons), np.full(count, number)], 1)[:, None]
    poses = AnnotatedFrame(
        clip_id, number, 640, 480, np.array(persons, np.int32),
        np.array(new or [False] * count, bool), ("",) * count, keypoints,
        np.isfinite(keypoints).all(-1).astype(np.uint8) * 2, boxes, np.zeros((count, V), bool),
    )  # fmt: skip
    return FinishedFrame(poses, frozenset(named), number + 1)


def put_together(frames, num_persons=2, person_ids=()):
    return annotated_clip(frames, layer="human", skeleton=MAIN, num_persons=num_persons,
                          person_ids=person_ids, info=INFO)  # fmt: skip


def rows_of(clip):
    return list(zip(clip.persons.tolist(), clip.frames.tolist(), strict=True))


# putting frames together


def test_people_of_the_source_keep_their_numbers():
    clip = put_together([frame(3, [0, 1]), frame(7, [1])], person_ids=("x", "y"))
    assert rows_of(clip) == [(0, 3), (1, 3), (1, 7)]
    assert clip.person_ids == ("x", "y")
    np.testing.assert_array_equal(clip.keypoints_2d[:, 0], [[0, 3], [10, 3], [10, 7]])


def test_new_people_are_nobody_elses_unless_somebody_says_so():
    """The source has persons 0 and 1; both frames call their new one 1 as frame 3 has 0 alone."""
    frames = [frame(3, [0, 1], [False, True]), frame(7, [0, 1], [False, True])]
    clip = put_together(frames, person_ids=("x", "y"))
    assert rows_of(clip) == [(0, 3), (0, 7), (2, 3), (3, 7)]
    assert clip.person_ids == ("x", "y", "new-2", "new-3")
    np.testing.assert_array_equal(clip.keypoints_2d[2:, 0], [[10, 3], [10, 7]])


def test_a_number_that_is_written_down_is_the_same_person_in_all_frames():
    frames = [frame(3, [5], [True], [5]), frame(7, [5, 6], [True, True], [5])]
    assert rows_of(put_together(frames)) == [(5, 3), (5, 7), (6, 7)]


def test_a_frame_without_people_has_no_row():
    clip = put_together([frame(3, []), frame(7, [])], person_ids=("x", "y"))
    assert len(clip.frames) == 0
    assert clip.keypoints_2d.shape == (0, V, 2)
    assert clip.person_ids == ()


def test_a_person_with_a_box_alone_is_there_and_one_with_nothing_is_not():
    boxed = frame(3, [0], joints=False)
    assert rows_of(put_together([boxed])) == [(0, 3)]
    boxed.poses.boxes[:] = np.nan
    assert rows_of(put_together([boxed])) == []


def test_without_any_box_the_layer_has_no_boxes(release):
    """A column of boxes that are all missing would stand for boxes that nobody has drawn."""
    one = frame(3, [0, 1])
    one.poses.boxes[:] = np.nan
    write_annotated_layer(plan_annotated_layer(release, "a", [one]), [one])
    assert "boxes" not in open_release(release).table("human").pose_columns
    drawn = frame(4, [0])
    plan = plan_annotated_layer(release, "a", [one, drawn], layer="drawn")
    write_annotated_layer(plan, [one, drawn])
    boxes = open_release(release).clip("a", "drawn").boxes
    assert np.isfinite(boxes).all(1).tolist() == [False, True, False]


def test_two_tasks_of_one_frame_are_refused():
    with pytest.raises(UsageError, match="two tasks of frame 3 of clip a: found tasks 4 and 4"):
        frames_by_clip([frame(3, [0]), frame(3, [1])])


# the layer


@pytest.fixture
def release(tmp_path):
    make_release(tmp_path / "release", {
        "a": [plain_clip("a", everyone()), plain_clip("a", everyone(), clip_id="b")],
        "b": [plain_clip("b", everyone(), shift=2.0)],
    })  # fmt: skip
    return tmp_path / "release"


def test_the_layer_is_valid_and_says_where_it_comes_from(release):
    frames = [frame(3, [0, 1]), frame(5, [], clip_id="b")]
    plan = plan_annotated_layer(release, "a", frames, options={"annotator": "latest"})
    summary = write_annotated_layer(plan, frames)
    assert (summary.clips, summary.poses) == (2, 2)
    opened = open_release(release)
    assert list(validate(opened)) == []
    made_by = opened.manifest.layers["human"]["made_by"]
    assert made_by["operation"] == "annotate"
    assert made_by["frames_without_people"] == {"b": [5]}
    assert (made_by["source"], made_by["annotated_frames"]) == ("a", 2)
    assert write_annotated_layer(plan, frames, resume=True) == summary


def test_what_could_not_be_taken_over_is_in_the_rejects(release):
    one = frame(3, [0])
    poses = replace(one.poses, problems=(RegionProblem("k7", "a point without a person"),))
    frames = [FinishedFrame(poses, frozenset(), 12)]
    write_annotated_layer(plan_annotated_layer(release, "a", frames), frames)
    (row,) = open_release(release).rejects().to_pylist()
    assert (row["stage"], row["severity"]) == ("annotate", "warning")
    assert row["position"] == "frame 3, task 12, region k7"


def test_nothing_is_not_a_layer(release):
    with pytest.raises(InputError, match="no annotated frames"):
        plan_annotated_layer(release, "a", [])


@pytest.mark.parametrize("keep_sides", [True, False])
def test_sides_are_those_of_the_source(release, keep_sides):
    path = release / "posedata.json"
    manifest = json.loads(path.read_text())
    manifest["layers"]["a"]["made_by"] = {"operation": "estimate",
                                          "options": {"keep_sides": keep_sides}}  # fmt: skip
    path.write_text(json.dumps(manifest))
    plan = plan_annotated_layer(release, "a", [frame(3, [0])])
    assert plan.options["keep_sides"] is keep_sides


# pulling


def tasks_of(release, layer="a", frames=(2, 6)):
    opened = open_release(release)
    clip, key = opened.clip("a", layer), layer_key(opened, layer)
    tasks = []
    for number in frames:
        task = task_of(frame_poses(clip, number, 640, 480), MAIN, "x", layer, key)
        result = task["predictions"][0]["result"]
        tasks.append({**task, "id": number,
                      "annotations": [{"id": 1, "result": result, "completed_by": 1}]})  # fmt: skip
    return tasks


def test_tasks_of_others_are_left_alone(release):
    tasks = [*tasks_of(release), {"id": 9, "data": {"image": "x"}}, {"id": 10},
             *tasks_of(release, "b")]  # fmt: skip
    pulled = pull_frames(tasks, open_release(release), "a")
    assert (len(pulled.frames), pulled.others) == (2, 4)


@pytest.mark.parametrize(("change", "message"), [
    ({"frame": 12}, "of a frame that clip a does not have: found 12, expected 0 to 11"),
    ({"frame": -1}, "of a frame that clip a does not have"),
    ({"clip_id": "z"}, "of a clip that the layer a does not have: 'z'"),
])  # fmt: skip
def test_tasks_that_cannot_be_of_the_release(release, change, message):
    (task,) = tasks_of(release, frames=[2])
    task["data"] |= change
    with pytest.raises(InputError, match=message):
        pull_frames([task], open_release(release), "a")


def test_a_task_that_has_lost_its_prediction_cannot_be_compared(release):
    (task,) = tasks_of(release, frames=[2])
    task["predictions"] = []
    assert len(pull_frames([task], open_release(release), "a").frames) == 1
    task["data"]["release"] = "another state"
    with pytest.raises(UsageError, match="does not have the poses it was made with"):
        pull_frames([task], open_release(release), "a")


# images


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_names_of_files_are_one_to_one_and_stay_in_their_folder(one, other):
    first, second = file_name(one), file_name(other)
    assert (first == second) == (one == other)
    assert "/" not in first and first not in (".", "..") and "\0" not in first
    assert urllib.parse.unquote(first) == one


def test_addresses_lead_to_the_files(tmp_path):
    place = local_images(tmp_path, "my release")
    path, url = place.path("a b%/é", 7), place.url("a b%/é", 7)
    assert path == tmp_path / "my release" / "a b%25%2F%C3%A9" / "000007.png"
    (shown,) = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["d"]
    assert tmp_path / shown == path
    elsewhere = images_elsewhere(tmp_path, "https://host/frames", "jpg")
    assert elsewhere.url("a", 0) == "https://host/frames/a/000000.jpg"
    with pytest.raises(UsageError, match="--image-url"):
        images_elsewhere(tmp_path, "javascript:alert(1)")
    with pytest.raises(UsageError, match="--image-format"):
        local_images(tmp_path, "x", "gif")


def test_images_show_the_frames_they_are_named_after(tmp_path):
    import cv2

    video = probe_video(write_video(tmp_path / "v.mp4", 20))
    place = local_images(tmp_path, "x")
    assert list(write_images(video, "v", [13, 2], place)) == [2, 13]
    for number in (2, 13):
        assert number_in(cv2.imread(str(place.path("v", number)))) == number
    assert len(list(Path(place.folder).rglob("*.*"))) == 2  # nothing unfinished is left


# which frames


def test_frames_of_the_clips_that_have_videos(release):
    opened = open_release(release)
    assert choose_release_frames(opened, "a", {"b"}, "middle-frame") == {"b": [6]}
    chosen = choose_release_frames(opened, "a", {"a", "b"}, "uniform", per_clip=2, limit=3)
    assert sum(map(len, chosen.values())) == 3


def test_disagreement_needs_somebody_to_disagree(tmp_path):
    far = plain_clip("c", everyone(persons=1), load_skeleton("coco17"))
    far.keypoints_2d[far.frames == 4] += 50
    layers = {"a": [plain_clip("a", everyone(persons=1))], "c": [far]}
    make_release(tmp_path / "two", layers)
    opened = open_release(tmp_path / "two")
    near = np.isin(np.arange(12), choose_release_frames(opened, "a", {"a"}, "disagreement")["a"])
    assert near.sum() == 1
    alone = make_release(tmp_path / "one", {"a": layers["a"]})
    with pytest.raises(UsageError, match="no other layer"):
        choose_release_frames(open_release(alone), "a", {"a"}, "disagreement")
