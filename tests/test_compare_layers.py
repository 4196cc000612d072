"""Which poses and joints of two layers are compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.compare_layers import (
    LEAST_OKS,
    compared_joints,
    pair_by_id,
    pair_by_oks,
    pair_people,
    person_areas,
    take_joints,
)
from posedata.errors import UsageError
from posedata.oks import object_keypoint_similarities
from posedata.skeleton import load_skeleton

BODY = np.random.default_rng(0).uniform(0, 100, (6, 2)).astype(np.float32)
SIGMAS = np.full(6, 0.08)


def test_joints_by_name():
    coco, ntu = load_skeleton("coco17"), load_skeleton("nturgbd25")
    exact = compared_joints(coco, ntu)
    assert set(exact.names) == {
        f"{side}_{joint}" for side in ("left", "right")
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    }  # fmt: skip
    assert [ntu.joints[index] for index in exact.true] == list(exact.names)
    more = compared_joints(coco, load_skeleton("openpose18"), derived=True)
    assert [o.rule for o in more.predicted if o.how == "derived"] == ["mid_shoulders"]


def test_joints_are_taken_and_derived():
    coco = load_skeleton("coco17")
    poses = np.full((2, 17, 2), np.nan, np.float32)
    poses[:, coco.index("left_shoulder")] = [10, 0]
    poses[0, coco.index("right_shoulder")] = [20, 4]
    compared = compared_joints(coco, load_skeleton("openpose18"), derived=True)
    taken = take_joints(poses, coco, compared.predicted)
    neck = compared.names.index("neck")
    np.testing.assert_array_equal(taken[:, neck], [[15, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(taken[1, compared.names.index("left_shoulder")], [10, 0])


def test_pairs_by_id():
    frames, persons = np.array([0, 1, 0]), np.array([0, 0, 2])
    true_frames, true_persons = np.array([0, 1, 2, 0, 0]), np.array([0, 0, 0, 1, 2])
    rows = pair_by_id(frames, persons, true_frames, true_persons)
    assert rows.tolist() == [0, 1, -1, -1, 2]
    nobody = np.empty(0, int)
    assert pair_by_id(nobody, nobody, true_frames, true_persons).tolist() == [-1] * 5


def test_pairs_by_oks():
    """Two people, the other way round; a third predicted pose is nobody's."""
    true = np.stack([BODY, BODY + 500])
    predicted = np.stack([BODY + 502, BODY + 2000, BODY + 1])
    rows = pair_by_oks(predicted, np.zeros(3, int), true, np.zeros(2, int), SIGMAS)
    assert rows.tolist() == [2, 0]
    rows = pair_by_oks(predicted, np.array([0, 0, 1]), true, np.zeros(2, int), SIGMAS)
    assert rows.tolist() == [-1, 0]


def clip(order: list[int], num_frames: int = 4) -> tuple[np.ndarray, ...]:
    """Two people over some frames; the ids are in the given order."""
    frames = np.tile(np.arange(num_frames), 2)
    persons = np.repeat(order, num_frames)
    poses = np.concatenate(
        [np.tile(BODY, (num_frames, 1, 1)), np.tile(BODY + 500, (num_frames, 1, 1))]
    )
    rows = np.lexsort((frames, persons))
    return frames[rows], persons[rows], poses[rows]


def test_ids_that_differ_are_told_from_poses():
    true_frames, true_persons, true = clip([0, 1])
    frames, persons, predicted = clip([1, 0])
    arguments = (frames, persons, true_frames, true_persons, predicted, true, SIGMAS)
    rows, by_oks = pair_people("auto", *arguments)
    assert by_oks
    np.testing.assert_array_equal(predicted[rows], true)
    by_id, used_oks = pair_people("id", *arguments)
    assert not used_oks
    assert not np.array_equal(predicted[by_id], true)


def test_a_short_confusion_stays_an_error():
    true_frames, true_persons, true = clip([0, 1], 10)
    predicted = true.copy()
    predicted[[3, 13]] = true[[13, 3]]  # frame 3 of either person
    rows, by_oks = pair_people(
        "auto", true_frames, true_persons, true_frames, true_persons, predicted, true, SIGMAS
    )
    assert not by_oks
    assert rows.tolist() == list(range(20))
    assert pair_people("oks", true_frames, true_persons, true_frames, true_persons, predicted,
                       true, SIGMAS)[0].tolist() != list(range(20))  # fmt: skip


def test_one_person_with_another_number():
    frames = np.arange(3)
    poses = np.tile(BODY, (3, 1, 1))
    rows, by_oks = pair_people(
        "auto", frames, np.full(3, 7), frames, np.zeros(3, int), poses, poses, SIGMAS
    )
    assert by_oks
    assert rows.tolist() == [0, 1, 2]


def test_without_pixels_people_go_by_id():
    frames = np.arange(3)
    rows, by_oks = pair_people("oks", frames, frames * 0, frames, frames * 0)
    assert (rows.tolist(), by_oks) == ([0, 1, 2], False)


def test_other_ways_are_unknown():
    with pytest.raises(UsageError, match="auto, id or oks"):
        pair_people("name", *[np.zeros(1, int)] * 4)  # type: ignore[arg-type]


@given(st.permutations(range(12)))
def test_pairs_do_not_depend_on_the_order_of_rows(order: list[int]):
    frames, persons, poses = clip([0, 1], 6)
    rows = pair_by_id(frames[order], persons[order], frames, persons)
    np.testing.assert_array_equal(np.array(order)[rows], np.arange(12))
    rows = pair_by_oks(poses[order], frames[order], poses, frames, SIGMAS)
    np.testing.assert_array_equal(np.array(order)[rows], np.arange(12))


@given(st.integers(0, 2**32 - 1))
def test_pairs_are_the_best_assignment(seed: int):
    """Crowds close together, where several want the same one: scipy's assignment of each frame."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(seed)
    body = rng.uniform(0, 100, (6, 2))
    frames, true_frames = (np.sort(rng.integers(0, 4, size)) for size in (12, 10))
    predicted, true = (
        (body + rng.normal(0, 12, (len(at), 1, 2)) + rng.normal(0, 3, (len(at), 6, 2)))
        for at in (frames, true_frames)
    )
    pairs = pair_by_oks(predicted, frames, true, true_frames, SIGMAS)
    areas = person_areas(true)
    for frame in range(4):
        mine, theirs = np.flatnonzero(frames == frame), np.flatnonzero(true_frames == frame)
        oks = np.array([[object_keypoint_similarities(
            predicted[[n]], true[[m]], areas[[m]], SIGMAS, missing="skip")[0]
            for m in theirs] for n in mine]).reshape(len(mine), len(theirs))  # fmt: skip
        oks[oks < LEAST_OKS] = 0
        best = oks[linear_sum_assignment(oks, maximize=True)].sum()
        paired = [(pairs[m], m) for m in theirs if pairs[m] >= 0]
        assert len({n for n, _ in paired}) == len(paired)
        place = {n: i for i, n in enumerate(mine)}
        found = sum(oks[place[n], list(theirs).index(m)] for n, m in paired)
        assert found == pytest.approx(best)
