"""`posedata.label_studio`: several annotations of a task, what changed, which frames to send."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_ways import mutated, outcome

from posedata.clip import Clip
from posedata.errors import UsageError
from posedata.label_studio.annotations_to_poses import (
    Change,
    agreement,
    annotator_of,
    changes,
    choose_annotation,
    poses_of_annotation,
    task_state,
)
from posedata.label_studio.poses_to_task import FramePoses, task_of
from posedata.label_studio.select_frames import (
    ChosenFrame,
    choose_frames,
    frame_confidence,
    frame_disagreement,
    select_frames,
)
from posedata.skeleton import load_skeleton

PENN = load_skeleton("penn13")


def pose(x, y=50.0):
    steps = np.arange(13, dtype=np.float32)
    return np.stack([x + steps, y + 2 * steps], -1)


def poses(*keypoints, **fields):
    return FramePoses("c", 0, 640, 480, np.arange(len(keypoints)), np.array(keypoints), **fields)


def task(*annotations, **fields):
    made = json.loads(json.dumps(task_of(poses(pose(100), pose(300)), PENN, "i", "l", "k")))
    return {"id": 1, **made, "annotations": list(annotations), **fields}


def annotation(number, result, day=1, by=1, **fields):
    when = f"2026-01-{day:02d}T10:00:00.123456Z"
    return {"id": number, "result": result, "completed_by": by, "created_at": when,
            "updated_at": when, "was_cancelled": False, **fields}  # fmt: skip


RESULT = task()["predictions"][0]["result"]


def shifted(pixels):
    """The result with every point of person 0 so much further right."""
    result = copy.deepcopy(RESULT)
    for r in result:
        if r["type"] == "keypointlabels" and r["parentID"] == "person-0":
            r["value"]["x"] += pixels / 6.4
    return result


# State and choice


def test_states():
    cancelled = annotation(1, RESULT, was_cancelled=True)
    assert task_state(task()) == "untouched"
    assert task_state(task(cancelled)) == "skipped"
    assert task_state(task(cancelled, drafts=[{"result": RESULT}])) == "unfinished"
    assert task_state(task(cancelled, annotation(2, RESULT))) == "annotated"
    # Somebody has looked, and found that nobody is there.
    assert task_state(task(annotation(2, []))) == "annotated"


def test_latest_first_and_by_user():
    one = annotation(1, RESULT, day=3, by={"id": 7, "email": "a@b.c"})
    two = annotation(2, RESULT, day=2, by=8)
    two["updated_at"] = "2026-01-09T10:00:00Z"
    three = annotation(3, RESULT, day=5, by=9, was_cancelled=True)
    all_three = task(one, two, three)
    assert choose_annotation(all_three, "latest") is two
    assert choose_annotation(all_three, "first") is two
    assert choose_annotation(all_three, "by-user:7") is one
    assert choose_annotation(all_three, "by-user:a@b.c") is one
    assert choose_annotation(all_three, "by-user:9") is None
    assert choose_annotation(task(three), "latest") is None
    assert (annotator_of(one), annotator_of(two)) == ("a@b.c", "8")


def test_times_with_other_zones_and_without():
    early, late = annotation(1, RESULT), annotation(2, RESULT)
    early["updated_at"], late["updated_at"] = "2026-01-01T12:00:00+05:00", "2026-01-01T08:00:00"
    assert choose_annotation(task(late, early), "latest") is late
    late["updated_at"] = "yesterday"
    assert choose_annotation(task(late, early), "latest") is early


def test_agreed_is_the_one_in_the_middle():
    low, middle, high = (annotation(n, shifted(p), n) for n, p in ((1, 0), (2, 3), (3, 10)))
    assert choose_annotation(task(low, high, middle), "agreed", PENN) is middle
    # One without a person is far from the two others, and nearer to the lower of them.
    without = annotation(4, [r for r in RESULT if not r["id"].startswith("person-1")], 4)
    assert choose_annotation(task(without, middle, low), "agreed", PENN) is low


@pytest.mark.parametrize("rule", ["newest", "latest:3", "by-user", "by-user:", "agreed", ""])
def test_other_rules_are_refused(rule):
    with pytest.raises(UsageError, match="rule to choose"):
        choose_annotation(task(), rule)


# Agreement


def test_agreement_by_hand():
    less = [r for r in shifted(4) if r["id"] not in ("person-1-head", "person-0-head")]
    occluded = copy.deepcopy(next(r for r in RESULT if r["id"] == "person-0-left_hip"))
    occluded |= {"type": "choices", "value": {"choices": ["occluded"]}}
    found = agreement(task(annotation(1, RESULT), annotation(2, [*less, occluded], 2, by=2)), PENN)
    assert (found.annotators, found.pairs, found.joints) == (("1", "2"), 1, 24)
    assert found.mean_pixels == pytest.approx(2) and found.median_pixels == pytest.approx(2)
    assert np.isnan(found.per_joint[PENN.index("head")])
    assert found.per_joint[PENN.index("left_hip")] == pytest.approx(2)
    assert (found.joints_of_one, found.people_of_one, found.occlusion_differs) == (2, 0, 1)
    # Person 0 is 12 + 4 wide (the second without a head) and 24 high.
    assert found.mean_relative == pytest.approx(0.5 * 4 / np.sqrt(16 * 24))


def test_agreement_pairs_people_by_place_and_counts_lone_ones():
    other_way_round = task_of(poses(pose(300), pose(100)), PENN, "i", "l", "k")
    swapped = other_way_round["predictions"][0]["result"]
    assert agreement(task(annotation(1, RESULT), annotation(2, swapped)), PENN).mean_pixels < 1e-6
    one = [r for r in RESULT if r["id"].startswith("person-1")]
    found = agreement(task(annotation(1, RESULT), annotation(2, one)), PENN)
    assert (found.people_of_one, found.joints) == (1, 13)
    alone = agreement(task(annotation(1, RESULT)), PENN)
    assert alone.pairs == 0 and np.isnan(alone.mean_pixels)


# What changed


def test_nothing_changed_is_no_change():
    boxes = np.array([[90, 40, 120, 90], [-5, -5, 700, 500]], np.float32)
    before = poses(pose(100), pose(-40), boxes=boxes)
    made = task_of(before, PENN, "i", "l", "k")
    after = poses_of_annotation(made, made["predictions"][0]["result"], PENN)
    assert changes(before, after, PENN) == []


def test_changes_by_hand():
    before = poses(pose(100), pose(300))
    by_id = {r["id"]: r for r in copy.deepcopy(RESULT)}
    by_id["person-0-left_wrist"]["value"]["x"] += 3 / 6.4
    by_id["person-0-left_wrist"]["value"]["y"] += 4 / 4.8
    by_id["person-0-head"]["parentID"] = "person-1"
    del by_id["person-1-head"]
    by_id["person-1"]["value"]["width"] += 5
    by_id["mark"] = by_id["person-1-left_hip"] | {
        "type": "choices", "value": {"choices": ["occluded"]}}  # fmt: skip
    made = task()
    after = poses_of_annotation(made, list(by_id.values()), PENN)
    assert changes(before, after, PENN) == [
        Change("joint moved", 0, "left_wrist", pytest.approx(5, abs=1e-4)),
        Change("box changed", 1),
        Change("joint regrouped", 1, "head"),
        Change("occlusion changed", 1, "left_hip"),
    ]
    gone = [r for r in RESULT if not r["id"].startswith("person-0")]
    new = [r | {"id": "n" + r["id"], "meta": {}} for r in gone[:1]]
    after = poses_of_annotation(made, gone + new, PENN)
    assert changes(before, after, PENN) == [Change("person deleted", 0), Change("person added", 2)]


@given(mutated(task(annotation(1, RESULT[:5]), annotation(2, RESULT[3:9]), drafts=[{}])))
@settings(max_examples=150)
def test_any_task_gives_a_result_or_an_error(text):
    try:
        found = json.loads(text)
    except ValueError:
        return
    outcome(task_state, found)
    for rule in ("latest", "first", "by-user:1", "agreed"):
        outcome(choose_annotation, found, rule, PENN)
    outcome(agreement, found, PENN)


# Which frames


def clip(clip_id="a", num_frames=100, frames=(), scores=None, persons=None, x=0.0, **info):
    frames = np.array(frames, np.int32)
    persons = np.zeros(len(frames), np.int32) if persons is None else np.array(persons, np.int32)
    order = np.lexsort((frames, persons))
    keypoints = np.array([pose(100 + x)] * len(frames), np.float32).reshape(-1, 13, 2)
    if scores is not None:
        scores = np.repeat(np.array(scores, np.float32)[:, None], 13, 1)[order]
    return Clip(clip_id, "l", PENN, frames[order], persons[order], keypoints, scores=scores,
                info={"num_frames": num_frames, **info})  # fmt: skip


def test_the_confidence_of_a_frame_is_that_of_its_worst_person():
    frames, values = frame_confidence(
        np.array([4, 2, 4]), np.array([[0.5, 0.7], [1, np.nan], [0.1, 0.3]])
    )
    assert frames.tolist() == [2, 4] and values == pytest.approx([0.5, 0.2])


def test_disagreement_by_hand():
    # Frame 3: two layers, 6 pixels apart: 3 from their mean. The box of both is 12 + 6 by 24.
    a, b = pose(100)[None], pose(106)[None]
    none = np.full((1, 13, 2), np.nan)
    frames, values = frame_disagreement(
        [np.array([3, 8]), np.array([3, 8]), np.array([5])],
        [np.array([0, 0]), np.array([0, 0]), np.array([0])],
        [np.concatenate([a, a]), np.concatenate([b, none]), a],
    )
    assert frames.tolist() == [3] and values == pytest.approx([3 / np.sqrt(18 * 24)])
    assert frame_disagreement([], [], [])[0].tolist() == []


def test_frames_of_one_clip():
    rng, none = np.random.default_rng(0), (np.empty(0, np.int64), np.empty(0))
    assert choose_frames("middle-frame", 5, 103, *none, rng).tolist() == [51]
    assert choose_frames("uniform", 4, 100, *none, rng).tolist() == [12, 37, 62, 87]
    assert choose_frames("uniform", 9, 3, *none, rng).tolist() == [0, 1, 2]
    drawn = choose_frames("random", 10, 20, *none, rng).tolist()
    assert len(set(drawn)) == 10 and drawn == sorted(drawn) and max(drawn) < 20
    # Neighbours of the worst frame are left out: 100 / 2 / 4 = 12 frames.
    frames, values = np.array([10, 11, 22, 60]), np.array([0.1, 0.15, 0.2, 0.9])
    lowest = choose_frames("lowest-confidence", 2, 100, frames, values, rng)
    assert lowest.tolist() == [10, 22]
    highest = choose_frames("disagreement", 2, 100, frames, values, rng)
    assert highest.tolist() == [60, 22]
    assert choose_frames("random", 1, 0, *none, rng).tolist() == []


def test_the_worst_frames_of_a_release():
    clips = [
        [clip("a", frames=[1, 50], scores=[0.9, 0.3])],
        [clip("b", frames=[7], scores=[0.2])],
        [clip("c", frames=[], scores=[])],
    ]
    found = select_frames(clips, "lowest-confidence", limit=2)
    assert found == [ChosenFrame("a", 50, pytest.approx(0.3)),
                     ChosenFrame("b", 7, pytest.approx(0.2))]  # fmt: skip
    assert select_frames(clips, "lowest-confidence", limit=1)[0].clip_id == "b"


def test_disagreement_takes_the_frames_furthest_apart():
    layers = [
        [clip("a", frames=[1]), clip("a", frames=[1], x=2)],
        [clip("b", frames=[2]), clip("b", frames=[2], x=30)],
        [clip("c", frames=[3])],
    ]
    assert [f.clip_id for f in select_frames(layers, "disagreement")] == ["a", "b"]
    assert [f.clip_id for f in select_frames(layers, "disagreement", limit=1)] == ["b"]


def test_every_class_and_camera_is_in_a_small_sample():
    clips = [[clip(f"{n:03}", label=0 if n < 96 else n - 95, camera=n % 2)] for n in range(100)]
    found = select_frames(clips, "middle-frame", limit=6, seed=3)
    strata = {(clips[int(f.clip_id)][0].info["label"], int(f.clip_id) % 2) for f in found}
    assert len(strata) == 6  # labels 0 (both cameras) and 1 to 4
    assert all(f.frame == 50 and np.isnan(f.value) for f in found)


@given(st.permutations(range(12)), st.sampled_from(["random", "uniform", "middle-frame"]),
       st.integers(0, 5))  # fmt: skip
@settings(max_examples=30)
def test_the_choice_depends_on_the_seed_alone(order, rule, seed):
    clips = [[clip(f"c{n}", 30 + n, camera=n % 3)] for n in range(12)]
    found = select_frames(clips, rule, per_clip=2, limit=7, seed=seed)
    again = select_frames([clips[n] for n in order], rule, per_clip=2, limit=7, seed=seed)
    assert [f[:2] for f in found] == [f[:2] for f in again]
    assert len(found) == 7


def test_another_seed_chooses_others():
    clips = [[clip(f"c{n}", 1000)] for n in range(50)]
    chosen = [{f[:2] for f in select_frames(clips, "random", limit=9, seed=s)} for s in (0, 1)]
    assert chosen[0] != chosen[1]


def test_impossible_selections_are_refused():
    with pytest.raises(UsageError, match="rule to select"):
        select_frames([], "best")
    with pytest.raises(UsageError, match="per_clip"):
        select_frames([], "random", per_clip=0)
    with pytest.raises(UsageError, match="limit"):
        select_frames([], "random", limit=0)
    with pytest.raises(UsageError, match="no scores"):
        select_frames([[clip(frames=[1])]], "lowest-confidence")
