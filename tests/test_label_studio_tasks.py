"""`posedata.label_studio`: poses to a task, and what becomes of them on the way back."""

import copy
import json
import random
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from two_ways import mutated, outcome

from posedata.errors import InputError, UsageError
from posedata.label_studio.annotated_frame import AnnotatedFrame, poses_of_annotation
from posedata.label_studio.keypoint_config import labelling_config
from posedata.label_studio.percent import to_percent, to_pixels
from posedata.label_studio.poses_to_task import FramePoses, task_of
from posedata.skeleton import list_skeletons, load_skeleton

PENN = load_skeleton("penn13")
HEAD, LEFT_WRIST = PENN.index("head"), PENN.index("left_wrist")


def pose(x, y=50.0, joints=PENN.num_joints):
    """Joint j is at (x + j, y + 2j)."""
    steps = np.arange(joints, dtype=np.float32)
    return np.stack([x + steps, y + 2 * steps], -1)


def frame(*keypoints, persons=None, size=(640, 480), **fields):
    keypoints = np.array(keypoints, np.float32).reshape(
        len(keypoints), len(keypoints[0]) if keypoints else 13, 2
    )
    persons = np.arange(len(keypoints)) if persons is None else np.array(persons)
    return FramePoses("clip", 7, *size, persons, keypoints, **fields)


def sent(poses, skeleton=PENN):
    """A task and the result of an annotation in which nobody changed anything, both from JSON."""
    task = json.loads(
        json.dumps(task_of(poses, skeleton, "/i.jpg", "ssta", "key"), allow_nan=False)
    )
    (prediction,) = task["predictions"]
    return task, prediction["result"]


def region(result, name, kind=None):
    return next(r for r in result if r["id"] == name and kind in (None, r["type"]))


def back(task, result, skeleton=PENN):
    return poses_of_annotation(task, result, skeleton)


def point(label, x, y, name="new", **fields):
    """A point at pixels of a picture of 640 x 480."""
    value = {"x": (x + 0.5) / 6.4, "y": (y + 0.5) / 4.8, "width": 0.2, "keypointlabels": [label]}
    return {"id": name, "type": "keypointlabels", "from_name": "joint", "to_name": "image",
            "original_width": 640, "original_height": 480, "value": value, "origin": "manual",
            **fields}  # fmt: skip


def rectangle(x, y, width, height, name="rect", rotation=0, labels=("person",), **fields):
    value = {"x": (x + 0.5) / 6.4, "y": (y + 0.5) / 4.8, "width": width / 6.4,
             "height": height / 4.8, "rotation": rotation,
             "rectanglelabels": list(labels)}  # fmt: skip
    return {"id": name, "type": "rectanglelabels", "from_name": "person", "to_name": "image",
            "original_width": 640, "original_height": 480, "value": value, **fields}  # fmt: skip


def people(annotated):
    """For each person the joints that are there, by name, rounded to whole pixels."""
    return {
        person: {PENN.joints[v]: tuple(np.rint(annotated.keypoints[row, v]).astype(int).tolist())
                 for v in np.flatnonzero(annotated.visibility[row])}
        for row, person in enumerate(annotated.persons.tolist())
    }  # fmt: skip


def reasons(annotated):
    return [problem.reason for problem in annotated.problems]


# Percent: (0, 0) is the centre of the top-left pixel.


def test_the_middle_of_a_pixel_is_its_whole_coordinate():
    # 4 x 2 pixels: the centre of the top-left one is an eighth of the width from the left edge.
    assert to_percent(np.array([0.0, 0.0]), 4, 2).tolist() == [12.5, 25]
    assert to_percent(np.array([-0.5, -0.5]), 4, 2).tolist() == [0, 0]
    assert to_percent(np.array([3.5, 1.5]), 4, 2).tolist() == [100, 100]
    assert to_pixels(np.array([50, 50]), 4, 2).tolist() == [1.5, 0.5]


# The task


def test_a_task_by_hand():
    keypoints = pose(100)
    keypoints[LEFT_WRIST] = np.nan
    visibility = np.where(np.isfinite(keypoints[:, 0]), 2, 0).astype(np.uint8)[None]
    visibility[0, HEAD] = 1
    scores = np.linspace(0.1, 1, 13, dtype=np.float32)[None]
    poses = frame(keypoints, persons=[3], visibility=visibility, scores=scores,
                  boxes=np.array([[63.5, 47.5, 127.5, 95.5]], np.float32),
                  person_ids=("72057",))  # fmt: skip
    task, result = sent(poses)
    data = dict(task["data"])
    (person,) = data.pop("persons")
    assert data == {
        "image": "/i.jpg", "clip_id": "clip", "frame": 7, "layer": "ssta", "skeleton": "penn13",
        "width": 640, "height": 480, "release": "key",
    }  # fmt: skip
    assert (person["person"], person["id"], person["box"]) == (
        3,
        "72057",
        [63.5, 47.5, 127.5, 95.5],
    )
    assert "left_wrist" not in person["joints"] and len(person["joints"]) == 12
    box = region(result, "person-3")
    assert {k: box["value"][k] for k in ("x", "y", "width", "height")} == {
        "x": 10, "y": 10, "width": 10, "height": 10}  # fmt: skip
    head = region(result, "person-3-head", "keypointlabels")
    assert head["value"]["x"] == pytest.approx(100.5 / 6.4)
    assert head["value"]["keypointlabels"] == ["head"]
    assert (head["parentID"], head["meta"]) == ("person-3", {"text": ["person 3"]})
    assert (head["original_width"], head["original_height"]) == (640, 480)
    assert head["score"] == pytest.approx(0.1)
    occluded = region(result, "person-3-head", "choices")
    assert occluded["value"]["choices"] == ["occluded"]
    assert len(result) == 1 + 12 + 1
    assert task["predictions"][0]["score"] == pytest.approx(
        float(np.delete(scores, LEFT_WRIST).mean())
    )


def test_ids_are_unique_and_the_same_each_time():
    poses = frame(pose(100), pose(300), persons=[5, 2])
    (task, result), again = sent(poses), sent(poses)
    assert (task, result) == again
    ids = [r["id"] for r in result]
    assert len(set(ids)) == len(ids) == 2 * 14


def test_nobody_is_one_empty_prediction():
    task, result = sent(frame())
    assert result == [] and "score" not in task["predictions"][0]
    assert back(task, result).keypoints.shape == (0, 13, 2)


def test_every_place_sent_is_one_that_label_studio_accepts():
    poses = frame(pose(-1e6), pose(1e6, -7), boxes=np.array([[-9, -9, 9e5, 1], [np.nan] * 4]))
    for r in sent(poses)[1]:
        value = r["value"]
        assert 0 <= value["x"] <= 100 and 0 <= value["y"] <= 100
        if r["type"] == "rectanglelabels":
            assert 0 < value["width"] <= 100 - value["x"] + 1e-9
            assert 0 < value["height"] <= 100 - value["y"] + 1e-9


@pytest.mark.parametrize("wrong", [
    {"size": (0, 480)}, {"persons": [1, 1]}, {"persons": [-1, 1]},
    {"scores": np.ones((2, 5))}, {"boxes": np.ones((2, 3))}, {"person_ids": ("a",)},
])  # fmt: skip
def test_impossible_poses_are_refused(wrong):
    with pytest.raises(UsageError):
        frame(pose(1), pose(2), **wrong)


def test_infinite_joints_and_other_skeletons_are_refused():
    with pytest.raises(UsageError, match="infinity"):
        frame(np.full((13, 2), np.inf))
    with pytest.raises(UsageError, match="penn13"):
        task_of(frame(pose(1, joints=17)), PENN, "", "", "")


# There and back


@st.composite
def any_poses(draw):
    skeleton = load_skeleton(draw(st.sampled_from(list_skeletons())))
    width, height = draw(st.integers(1, 8000)), draw(st.integers(1, 8000))
    count = draw(st.integers(0, 4))
    joints = skeleton.num_joints
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = np.array([width, height])
    keypoints = rng.uniform(-0.2, 1.2, (count, joints, 2)) * size
    borders = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5], [0, 0], [width - 1, height - 1]])
    at_border = rng.random((count, joints)) < 0.2
    keypoints[at_border] = borders[rng.integers(0, 4, np.count_nonzero(at_border))]
    far = rng.random((count, joints)) < 0.02
    keypoints[far] *= 1e6
    keypoints[rng.random((count, joints)) < draw(st.sampled_from([0, 0.3, 1]))] = np.nan
    visibility = rng.integers(1, 3, (count, joints)).astype(np.uint8)
    visibility[np.isnan(keypoints[..., 0])] = 0
    boxes = (rng.uniform(-0.2, 1.2, (count, 2, 2)) * size).reshape(count, 4)
    boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]),
                            np.maximum(boxes[:, :2], boxes[:, 2:])], 1)  # fmt: skip
    boxes[rng.random(count) < 0.3] = np.nan
    persons = rng.choice([0, 1, 2, 7, 10, 77, 2**31 - 1], count, replace=False)
    with_ids = draw(st.booleans())
    return skeleton, FramePoses(
        draw(st.text(max_size=5)), draw(st.integers(0, 10**6)), width, height, persons,
        keypoints.astype(np.float32),
        scores=rng.random((count, joints)).astype(np.float32) if draw(st.booleans()) else None,
        visibility=visibility if draw(st.booleans()) else None,
        boxes=boxes.astype(np.float32) if draw(st.booleans()) else None,
        person_ids=tuple(f"{n}" for n in range(count)) if with_ids else (),
    )  # fmt: skip


def assert_is(annotated: AnnotatedFrame, poses: FramePoses):
    order = np.argsort(poses.persons)
    expected = poses.keypoints[order]
    np.testing.assert_array_equal(annotated.persons, poses.persons[order])
    np.testing.assert_allclose(annotated.keypoints, expected, rtol=2e-7, atol=1e-2)
    there = np.isfinite(expected).all(-1)
    visibility = np.where(there, 2, 0) if poses.visibility is None else poses.visibility[order]
    np.testing.assert_array_equal(annotated.visibility, visibility)
    boxes = np.full((len(order), 4), np.nan) if poses.boxes is None else poses.boxes[order]
    np.testing.assert_allclose(annotated.boxes, boxes, rtol=2e-7, atol=1e-2)
    ids = tuple(poses.person_ids[row] for row in order) if poses.person_ids else ("",) * len(order)
    assert annotated.person_ids == ids
    assert (annotated.clip_id, annotated.frame) == (poses.clip_id, poses.frame)
    assert (annotated.width, annotated.height) == (poses.width, poses.height)
    assert not annotated.new.any() and not annotated.touched.any()
    assert annotated.problems == () and annotated.regrouped == ()


@given(any_poses(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_what_nobody_changed_comes_back_as_it_was(made, shuffler):
    skeleton, poses = made
    task, result = sent(poses, skeleton)
    assert_is(back(task, result, skeleton), poses)
    shuffler.shuffle(result)
    assert_is(back(task, result, skeleton), poses)


@given(any_poses(), st.sampled_from(["no parents", "no meta", "new ids"]))
@settings(max_examples=60)
def test_people_are_kept_apart_by_text_or_parents_alone(made, without):
    skeleton, poses = made
    task, result = sent(poses, skeleton)
    for r in result:
        if without == "no parents":
            r.pop("parentID", None)
        elif without == "no meta":
            r.pop("meta")
    if without != "new ids":
        assert_is(back(task, result, skeleton), poses)
        return
    # Copied to another annotation, regions have other ids, which their parents follow. What was
    # outside of the picture is then at its border, where it was drawn.
    for r in result:
        r["id"] = "x" + r["id"]
        if "parentID" in r:
            r["parentID"] = "x" + r["parentID"]
    found = back(task, result, skeleton)
    order = np.argsort(poses.persons)
    inside = np.array([-0.5, -0.5]), np.array([poses.width - 0.5, poses.height - 0.5])
    expected = poses.keypoints[order].clip(*inside)
    np.testing.assert_allclose(found.keypoints, expected, rtol=2e-7, atol=1e-2)
    np.testing.assert_array_equal(found.persons, poses.persons[order])


# What people change


def two_people():
    return sent(frame(pose(100), pose(300)))


def test_a_moved_point_is_where_it_was_put():
    task, result = two_people()
    wrist = region(result, "person-1-left_wrist")
    wrist["value"]["x"], wrist["value"]["y"] = 12.5, 25.0
    wrist["origin"] = "prediction-changed"
    found = back(task, result)
    assert found.keypoints[1, LEFT_WRIST].tolist() == [79.5, 119.5]
    assert found.touched.sum() == 1 and found.touched[1, LEFT_WRIST]


def test_a_point_moved_off_the_border_is_not_sent_back_outside():
    poses = frame(pose(-30))
    task, result = sent(poses)
    assert_is(back(task, result), poses)
    head = region(result, "person-0-head")
    assert head["value"]["x"] == 0
    head["value"]["x"] = 1.0
    found = back(task, result).keypoints[0]
    assert found[HEAD, 0] == pytest.approx(5.9) and found[1, 0] == -29


def test_an_added_and_a_deleted_point():
    keypoints = pose(100)
    keypoints[LEFT_WRIST] = np.nan
    task, result = sent(frame(keypoints, pose(300)))
    result = [r for r in result if r["id"] != "person-1-head"]
    result.append(point("left_wrist", 111, 222, parentID="person-0"))
    found = people(back(task, result))
    assert found[0]["left_wrist"] == (111, 222) and "head" not in found[1]
    assert len(found[0]) == 13 and len(found[1]) == 12


def test_a_regrouped_point():
    task, result = two_people()
    result = [r for r in result if r["id"] != "person-1-head"]
    region(result, "person-0-head")["parentID"] = "person-1"
    found = back(task, result)
    assert people(found)[1]["head"] == (100, 50) and "head" not in people(found)[0]
    assert found.regrouped == (("head", 0, 1),)


def test_a_relabelled_point():
    task, result = two_people()
    result = [r for r in result if r["id"] != "person-0-right_wrist"]
    region(result, "person-0-left_wrist")["value"]["keypointlabels"] = ["right_wrist"]
    found = people(back(task, result))[0]
    assert found["right_wrist"] == (100 + LEFT_WRIST, 50 + 2 * LEFT_WRIST)
    assert "left_wrist" not in found


def test_a_deleted_person_is_gone_and_a_new_one_has_a_number_of_its_own():
    task, result = two_people()
    result = [r for r in result if not r["id"].startswith("person-0")]
    result += [rectangle(400, 20, 50, 50), point("head", 420, 30, parentID="rect")]
    found = back(task, result)
    assert found.persons.tolist() == [1, 2] and found.new.tolist() == [False, True]
    assert people(found)[2] == {"head": (420, 30)}
    assert found.boxes[1].tolist() == pytest.approx([400, 20, 450, 70])
    assert found.person_ids == ("", "")


def test_a_deleted_rectangle_leaves_its_points_to_the_text():
    task, result = two_people()
    result = [r for r in result if r["id"] != "person-0"]
    found = back(task, result)
    assert len(people(found)[0]) == 13 and np.isnan(found.boxes[0]).all()
    assert not found.new.any()


def test_a_rectangle_that_is_said_to_be_somebody_else():
    task, result = two_people()
    region(result, "person-0")["meta"] = {"text": ["Person 1"]}
    region(result, "person-1")["meta"] = {"text": ["person 0"]}
    found = people(back(task, result))
    assert found[1]["head"] == (100, 50) and found[0]["head"] == (300, 50)


def test_a_copied_rectangle_is_a_new_person():
    task, result = two_people()
    copied = copy.deepcopy(region(result, "person-0"))
    copied["id"] = "copy"
    copied["value"]["x"] += 20
    found = back(task, [*result, copied])
    assert found.persons.tolist() == [0, 1, 2] and found.new.tolist() == [False, False, True]
    assert len(people(found)[0]) == 13 and len(people(found)[2]) == 0
    assert reasons(found) == ["there is another person 0: taken as person 2"]


def test_occlusion_marked_and_unmarked():
    task, result = two_people()
    mark = copy.deepcopy(region(result, "person-0-head"))
    mark |= {"type": "choices", "from_name": "occluded"}
    mark["value"] = {"x": 1, "y": 1, "width": 1, "choices": ["occluded"]}
    found = back(task, [*result, mark])
    assert found.visibility[0, HEAD] == 1 and (found.visibility == 1).sum() == 1
    mark["value"]["choices"] = ["maybe"]
    found = back(task, [*result, mark])
    assert (found.visibility == 2).all() and reasons(found) == [
        "a choice that says nothing of poses: 'maybe'"
    ]


def test_a_loose_point_belongs_to_the_rectangle_around_it():
    task = {"data": {}}
    result = [rectangle(0, 0, 200, 200, "a"), rectangle(100, 0, 200, 200, "b"),
              point("head", 50, 50, "1"), point("head", 250, 50, "2"),
              point("left_wrist", 150, 50, "3", parentID="a"),
              point("left_wrist", 151, 50, "4")]  # fmt: skip
    # The last is in both: a has a left wrist already, by its parent.
    expected = {0: {"head": (50, 50), "left_wrist": (150, 50)},
                1: {"head": (250, 50), "left_wrist": (151, 50)}}  # fmt: skip
    for _ in range(20):
        random.Random(_).shuffle(result)
        assert people(back(task, result)) == expected


def test_a_turned_rectangle_holds_what_is_in_it():
    # 100 x 100 pixels, turned by 45 degrees around its first corner (300, 100): a diamond that
    # goes down to (300, 241).
    result = [rectangle(300, 100, 100, 100, rotation=45), point("head", 300, 230, "in"),
              point("left_wrist", 340, 110, "out")]  # fmt: skip
    found = back({"data": {}}, result)
    assert people(found) == {0: {"head": (300, 230)}}
    assert reasons(found) == ["a point that is in nobody's rectangle"]
    half = 50 * 2**0.5
    assert found.boxes[0].tolist() == pytest.approx([300 - half, 100, 300 + half, 100 + 2 * half])


def test_a_relation_tells_whose_a_point_is():
    result = [rectangle(0, 0, 100, 100, "a"), rectangle(200, 0, 100, 100, "b"),
              point("head", 50, 50, "1"),
              {"type": "relation", "from_id": "b", "to_id": "1"}]  # fmt: skip
    assert people(back({"data": {}}, result)) == {0: {}, 1: {"head": (50, 50)}}


def test_points_alone_are_one_person_if_no_joint_comes_twice():
    one = [point("head", 1, 2, "1"), point("left_wrist", 3, 4, "2")]
    assert people(back({"data": {}}, one)) == {0: {"head": (1, 2), "left_wrist": (3, 4)}}
    found = back({"data": {}}, [*one, point("head", 9, 9, "3")])
    assert people(found) == {} and len(found.problems) == 3


def test_of_two_points_for_a_joint_the_one_placed_by_hand_counts():
    task, result = two_people()
    hand = point("head", 5, 6, "a", parentID="person-0")
    found = back(task, [*result, hand])
    assert people(found)[0]["head"] == (5, 6)
    assert reasons(found) == ["a second head; the one placed by hand counts"]
    found = back(task, [*result, hand, point("head", 7, 8, "b", parentID="person-0")])
    assert "head" not in people(found)[0]
    assert reasons(found) == ["2 points for one head, which is now missing"]


def test_what_is_neither_point_nor_person_is_left_out_with_a_reason():
    task, result = two_people()
    strange = [
        {"id": "p", "type": "polygonlabels", "value": {"points": []}},
        point("tail", 1, 1, "t", parentID="person-0"),
        rectangle(0, 0, 9, 9, "car", labels=["car"]),
        point("head", 1, 1, "n", parentID="person-0") | {"value": {"x": "a", "y": 1}},
        7,
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
        point("head", 1, 1, "i", item_index=1),
    ]
    found = back(task, result + strange)
    assert_is(AnnotatedFrame(**{**vars(found), "problems": ()}), frame(pose(100), pose(300)))
    assert sorted(problem.region for problem in found.problems) == [
        "",
        "c",
        "car",
        "i",
        "n",
        "p",
        "t",
    ]


def test_labels_with_other_capitals_and_spaces():
    found = back({"data": {}}, [point("Left Wrist", 1, 2, "1"), point("HEAD", 3, 4, "2")])
    assert people(found) == {0: {"left_wrist": (1, 2), "head": (3, 4)}}


def test_keypoints_and_labels_in_results_of_their_own():
    # What <KeyPoint> with <Labels> gives, instead of <KeyPointLabels>.
    place = point("head", 3, 4, "1") | {"type": "keypoint"}
    del place["value"]["keypointlabels"]
    label = {"id": "1", "type": "labels", "value": {"labels": ["head"]}}
    assert people(back({"data": {}}, [label, place])) == {0: {"head": (3, 4)}}


def test_a_scaled_picture_gives_pixels_of_the_video():
    task, result = two_people()
    for r in result:
        r["original_width"], r["original_height"] = 320, 240
    found = back(task, result)
    assert people(found)[0]["head"] == (100, 50)
    assert reasons(found) == [
        "the picture was shown with 320 x 240 pixels, the video has 640 x 480"
    ]


def test_without_any_picture_size_there_are_no_pixels():
    lone = point("head", 3, 4)
    del lone["original_width"]
    with pytest.raises(InputError, match="how large"):
        back({"data": {}}, [lone])
    assert back({"data": {}}, []).width == 0


# Whatever comes


BASE = task_of(
    frame(pose(-20), pose(300), visibility=np.ones((2, 13), np.uint8)), PENN, "i", "l", "k"
)
BASE["annotations"] = [{"result": BASE["predictions"][0]["result"] + [rectangle(1, 1, 5, 5)]}]


@given(mutated(BASE))
@settings(max_examples=300)
@example(b'{"data": {}, "annotations": [{"result": 3}]}')
def test_any_json_gives_a_result_or_an_error(text):
    try:
        task = json.loads(text)
        result = task["annotations"][0]["result"]
    except (ValueError, KeyError, IndexError, TypeError):
        return
    found = outcome(poses_of_annotation, task, result, PENN)
    if isinstance(found, AnnotatedFrame):
        there = np.isfinite(found.keypoints).all(-1)
        assert ((found.visibility > 0) == there).all()
        assert len(set(found.persons.tolist())) == len(found.keypoints) == len(found.person_ids)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(
        ["person-0", "#1", "head", "person 0", "keypointlabels", "choices", "prediction"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["text", "x", "y", "choices", "keypointlabels", "width"]), inner),
    max_leaves=6,
)  # fmt: skip
NAMES = ("id", "type", "value", "meta", "parentID", "origin", "original_width", "from_id", "to_id")
ENTRIES = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))


@given(st.fixed_dictionaries({"data": ENTRIES | VALUES}), st.lists(ENTRIES | VALUES) | VALUES)
@settings(max_examples=200)
def test_anything_at_all_gives_a_result_or_an_error(task, result):
    outcome(poses_of_annotation, task, result, PENN)


# The labelling configuration


@pytest.mark.parametrize("name", list_skeletons())
def test_the_configuration_names_every_joint_in_order(name):
    skeleton = load_skeleton(name)
    view = ElementTree.fromstring(labelling_config(skeleton))
    labels = view.findall("KeyPointLabels/Label")
    assert [label.get("value") for label in labels] == list(skeleton.joints)
    assert [label.get("model_index") for label in labels] == [str(v) for v in range(len(labels))]
    keys = [tag.get("hotkey") for tag in view.iter() if tag.get("hotkey")]
    assert len(set(keys)) == len(keys)
    for left, right in skeleton.swap:
        assert labels[left].get("background") != labels[right].get("background")
