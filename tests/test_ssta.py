"""SST-A: the paper's equations by hand, every rule for missing proposals, kernel and definition."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from posedata.errors import UsageError
from posedata.ssta import Aggregated, aggregate, aggregate_plainly, confidence, select

HEAD, NECK, HAND = range(3)
WAYS = pytest.mark.parametrize("way", [aggregate, aggregate_plainly])
GONE = (np.nan, np.nan)

# Three experts, two frames, three joints. Worked by hand, distances of frame 0:
#   head  d01 = 5, d02 = 1, d12 = sqrt(18):  experts 0 and 2 are closest, the first is 0
#   neck  d01 = 10, d02 = 7, d12 = 3:        1 and 2, the first is 1
#   hand  d01 = 10, d02 = 5, d12 = sqrt(65): 0 and 2, the first is 0
# and of frame 1 to the fused joints of frame 0:
#   head  8, 5, 10: expert 1;   neck  5, sqrt(109), 10: expert 0;   hand  8, 20, 5: expert 2
BY_HAND = np.array(
    [
        [[(10, 10), (10, 30), (40, 20)], [(10, 18), (13, 24), (40, 28)]],
        [[(13, 14), (10, 20), (30, 20)], [(13, 14), (13, 30), (52, 36)]],
        [[(10, 11), (10, 23), (37, 24)], [(16, 18), (16, 28), (43, 24)]],
    ],
    np.float32,
)
BOTH_FRAMES = [[(10, 10), (10, 20), (40, 20)], [(13, 14), (13, 24), (43, 24)]]

POINTS = arrays(
    np.float32,
    st.tuples(st.integers(2, 4), st.integers(0, 6), st.integers(2, 4), st.just(2)),
    elements=st.sampled_from([0, 1, 2, 3, 5, np.nan, np.inf]),  # few places: many ties
)


def without(*joints: tuple[int, int, int]) -> np.ndarray:
    """The example without the proposals (expert, frame, joint)."""
    proposals = BY_HAND.copy()
    for place in joints:
        proposals[place] = np.nan
    return proposals


def assert_same(a: Aggregated, b: Aggregated) -> None:
    for name in ("keypoints", "confidence", "present", "winner", "agreed"):
        mine, theirs = getattr(a, name), getattr(b, name)
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs, equal_nan=mine.dtype == np.float32), name


def smooth(seed: int, experts: int = 3, frames: int = 8, joints: int = 4) -> np.ndarray:
    """Experts around a moving person, no two distances alike."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (joints, 2)) + rng.normal(0, 3, (frames, joints, 2)).cumsum(axis=0)
    return (truth + rng.normal(0, 4, (experts, frames, joints, 2))).astype(np.float32)


# the equations


@WAYS
def test_by_hand(way):
    fused = way(BY_HAND, HEAD, NECK)
    assert fused.keypoints.tolist() == np.array(BOTH_FRAMES).tolist()
    assert fused.winner.tolist() == [[0, 1, 0], [1, 0, 2]]
    # Frame 0: head 0 + 5 + 1, neck 10 + 0 + 3, hand 0 + 10 + 5, nine distances, D_normal 10:
    # C = exp(-34 / 90). Frame 1: 5 + 0 + 5, 0 + 6 + 5, 5 + 15 + 0: C = exp(-41 / 90).
    assert fused.confidence == pytest.approx([0.685382, 0.634096], abs=1e-6)
    assert fused.present.tolist() == [1, 1]
    # Within half of D_normal, 5 pixels, the 5 included.
    assert fused.agreed.tolist() == [[3, 2, 2], [3, 2, 2]]
    dtypes = [np.float32, np.float32, np.float32, np.int8, np.uint8]
    assert [array.dtype for array in vars(fused).values()] == dtypes


def test_selective_filter_discards_below_gamma_only():
    fused = aggregate(BY_HAND, HEAD, NECK)
    assert select(fused, 0.6).tolist() == [True, True]
    assert select(fused, 0.65).tolist() == [True, False]
    assert select(fused, 0.7).tolist() == [False, False]
    assert select(fused, float(fused.confidence[1])).tolist() == [True, True]  # equal stays
    assert select(fused).tolist() == [True, True]
    # gamma is 0.18: exp(-1.7) = 0.183 stays, exp(-1.75) = 0.174 does not. Two experts, head and
    # neck alike and 10 apart, one joint at a distance d: C = exp(-d / 60).
    for distance, stays in ((102, True), (105, False)):
        two = np.float32([[[(0, 0), (0, 10), (0, 0)]], [[(0, 0), (0, 10), (distance, 0)]]])
        assert select(aggregate(two, HEAD, NECK)).tolist() == [stays]


@WAYS
def test_ties_break_by_expert_order(way):
    # Frame 0: the corners of a triangle with two equal sides, then with the last pair closest.
    head = [[(0, 0), (0, 9)]], [[(4, 3), (0, 9)]], [[(8, 0), (0, 9)]]  # d01 = d12 = 5, d02 = 8
    assert way(np.float32(head), 0, 1).winner.tolist() == [[0, 0]]
    later = [[(0, 0), (0, 9)]], [[(9, 0), (0, 9)]], [[(9, 1), (0, 9)]]
    assert way(np.float32(later), 0, 1).winner.tolist() == [[1, 0]]
    # Frame 1: experts 1 and 2 are equally close to (0, 0), on either side of it.
    moved = [[(0, 0)], [(9, 9)]], [[(0, 0)], [(3, 0)]], [[(0, 0)], [(-3, 0)]]
    both = np.concatenate([np.float32(moved), np.float32([[[(0, 5)]] * 2] * 3)], axis=2)
    assert way(both, 0, 1).winner.tolist() == [[0, 0], [1, 0]]


# missing proposals


@WAYS
def test_a_missing_proposal_takes_no_part(way):
    # Without expert 0's head in frame 0 the pair is (1, 2): head (13, 14), sqrt(45) from the neck.
    fused = way(without((0, 0, HEAD)), HEAD, NECK)
    assert fused.winner[0].tolist() == [1, 1, 0]
    total = (0 + 18**0.5) + (10 + 0 + 3) + (0 + 10 + 5)
    assert fused.confidence[0] == pytest.approx(np.exp(-total / 8 / 45**0.5), rel=1e-6)
    assert fused.present[0] == np.float32(8 / 9)
    assert fused.agreed[0].tolist() == [1, 2, 1]  # within 3.35 pixels
    # In frame 1 without the winner: of 8 and 10 from (10, 10), expert 0.
    assert way(without((1, 1, HEAD)), HEAD, NECK).winner[1].tolist() == [0, 0, 2]


@WAYS
def test_a_proposal_at_the_origin_is_a_point_and_half_a_point_is_missing(way):
    zeros = BY_HAND.copy()
    zeros[2, 0, HAND] = 0
    assert way(zeros, HEAD, NECK).present[0] == 1
    half = BY_HAND.copy()
    half[0, 0, HAND, 1] = np.nan
    half[1, 0, HAND, 0] = np.inf
    fused = way(half, HEAD, NECK)
    assert fused.winner[0].tolist() == [0, 1, 2]
    assert fused.present[0] == np.float32(7 / 9)


@WAYS
def test_the_only_proposal_left_is_the_fused_joint(way):
    fused = way(without((0, 0, HAND), (2, 0, HAND), (1, 1, HAND), (2, 1, HAND)), HEAD, NECK)
    assert fused.winner[:, HAND].tolist() == [1, 0]
    assert fused.keypoints[:, HAND].tolist() == [[30, 20], [40, 28]]
    assert fused.agreed[:, HAND].tolist() == [1, 1]
    # It agrees with itself, and C sees no more than that; present tells.
    alone = np.full_like(BY_HAND, np.nan)
    alone[1] = BY_HAND[1]
    fused = way(alone, HEAD, NECK)
    assert np.array_equal(fused.keypoints, BY_HAND[1])
    assert fused.confidence.tolist() == [1, 1]
    assert fused.present.tolist() == [np.float32(1 / 3)] * 2


@WAYS
def test_a_joint_that_was_missing_starts_again(way):
    fused = way(without(*((e, 0, HAND) for e in range(3))), HEAD, NECK)
    assert np.isnan(fused.keypoints[0, HAND]).all()
    assert fused.winner[0].tolist() == [0, 1, -1]
    assert fused.agreed[0].tolist() == [3, 2, 0]
    assert fused.confidence[0] == pytest.approx(np.exp(-(6 + 13) / 60), rel=1e-6)
    # Frame 1, hand: d01 = sqrt(208), d02 = 5, d12 = 15: the pair (0, 2), so 0 and no longer 2.
    assert fused.winner[1].tolist() == [1, 0, 0]


@WAYS
def test_a_gap_stays_and_nothing_crosses_it(way):
    whole = smooth(1, frames=9)
    gap = whole.copy()
    gap[:, 3:5] = np.nan
    fused = way(gap, 0, 1)
    assert np.isnan(fused.keypoints[3:5]).all() and np.isnan(fused.confidence[3:5]).all()
    assert (fused.winner[3:5] == -1).all() and not fused.agreed[3:5].any()
    assert not fused.present[3:5].any()
    assert select(fused, 0).tolist() == [True] * 3 + [False] * 2 + [True] * 4
    after = way(whole[:, 5:], 0, 1)
    assert np.array_equal(fused.keypoints[5:], after.keypoints)
    assert np.array_equal(fused.confidence[5:], after.confidence)


@WAYS
def test_without_head_or_neck_c_is_unknown_and_the_pose_stays(way):
    for joint in (HEAD, NECK):
        fused = way(without(*((e, 0, joint) for e in range(3))), HEAD, NECK)
        assert np.isnan(fused.confidence[0]) and np.isfinite(fused.confidence[1])
        assert not fused.agreed[0].any() and fused.agreed[1].all()
        assert fused.winner[0, HAND] == 0
        assert fused.present[0] == np.float32(6 / 9)
        assert select(fused, 0.9).tolist() == [True, False]


@WAYS
def test_head_on_neck(way):
    same = np.float32([[[(5, 5), (5, 5), (7, 7)]]] * 2)
    assert way(same, HEAD, NECK).confidence.tolist() == [1]
    same[1, 0, HAND] += 1
    assert way(same, HEAD, NECK).confidence.tolist() == [0]
    assert way(same, HEAD, NECK).agreed.tolist() == [[2, 2, 1]]


# the kernel, and what must not matter


@given(POINTS)
def test_the_kernel_is_the_definition(proposals):
    assert_same(aggregate(proposals, 0, 1), aggregate_plainly(proposals, 0, 1))


@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_is_the_definition_on_tracks(seed):
    proposals = smooth(seed, experts=2 + seed, frames=60, joints=13)
    proposals[np.random.default_rng(seed).random(proposals.shape[:3]) < 0.3] = np.nan
    fused = aggregate(proposals, 0, 1)
    assert_same(fused, aggregate_plainly(proposals, 0, 1))
    assert 0.5 < fused.present.mean() < 0.9
    turned = proposals.transpose(1, 0, 2, 3).copy().transpose(1, 0, 2, 3)  # not contiguous
    assert_same(fused, aggregate(turned, 0, 1))


@given(POINTS)
def test_each_joint_is_a_proposal_bit_for_bit(proposals):
    fused = aggregate(proposals, 0, 1)
    is_there = np.isfinite(proposals).all(axis=-1)
    assert np.array_equal(fused.winner >= 0, is_there.any(axis=0))
    assert np.array_equal(np.isnan(fused.keypoints).any(axis=-1), fused.winner < 0)
    for t, v in np.argwhere(fused.winner >= 0):
        e = fused.winner[t, v]
        assert is_there[e, t, v]
        assert np.array_equal(fused.keypoints[t, v], proposals[e, t, v])
    assert (fused.agreed <= is_there.sum(axis=0)).all()


@given(POINTS, st.integers(-8, 8), st.integers(-8, 8))
def test_moving_changes_nothing(proposals, x, y):
    offset = np.float32([x, y])
    here, there = aggregate(proposals, 0, 1), aggregate(proposals + offset, 0, 1)
    assert np.array_equal(here.keypoints + offset, there.keypoints, equal_nan=True)
    for name in ("confidence", "present", "winner", "agreed"):
        assert np.array_equal(
            getattr(here, name), getattr(there, name), equal_nan=name == "confidence"
        )


@given(POINTS, st.sampled_from([0.25, 2, 64]))
def test_scaling_changes_nothing(proposals, scale):
    small, large = aggregate(proposals, 0, 1), aggregate(proposals * np.float32(scale), 0, 1)
    assert np.array_equal(small.keypoints * np.float32(scale), large.keypoints, equal_nan=True)
    assert np.array_equal(small.winner, large.winner)
    assert np.array_equal(small.agreed, large.agreed)
    assert np.allclose(small.confidence, large.confidence, atol=1e-6, equal_nan=True)


@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_renaming_experts_changes_nothing_where_no_order_decides(seed, order):
    """Two experts coincide in frame 0, so that it does not matter which of the two is taken."""
    proposals = smooth(seed, experts=4)
    proposals[1, 0] = proposals[0, 0]
    fused, renamed = aggregate(proposals, 0, 1), aggregate(proposals[list(order)], 0, 1)
    assert np.array_equal(fused.keypoints, renamed.keypoints)
    assert np.array_equal(fused.winner[1:], np.array(order)[renamed.winner[1:]])
    assert np.array_equal(fused.agreed, renamed.agreed)
    assert np.allclose(fused.confidence, renamed.confidence, rtol=1e-6)


@given(POINTS, st.data())
def test_an_expert_who_sees_nothing_only_lowers_what_is_present(proposals, data):
    at = data.draw(st.integers(0, len(proposals)))
    nothing = np.full_like(proposals[0], np.nan)
    more = aggregate(np.insert(proposals, at, nothing, axis=0), 0, 1)
    fused = aggregate(proposals, 0, 1)
    assert np.array_equal(fused.keypoints, more.keypoints, equal_nan=True)
    assert np.array_equal(fused.winner, more.winner - (more.winner > at))
    assert np.array_equal(fused.agreed, more.agreed)
    assert np.array_equal(fused.confidence, more.confidence, equal_nan=True)
    share = len(proposals) / (len(proposals) + 1)
    assert np.allclose(fused.present * share, more.present)


def test_the_kernel_is_50_times_as_fast_as_plain_python():
    proposals = smooth(0, experts=3, frames=6000, joints=17)

    def frames_per_second(way, frames: int) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            way(proposals[:, :frames], HEAD, NECK)
            times.append(time.perf_counter() - start)
        return frames / min(times)

    frames_per_second(aggregate, 2)  # compiles
    assert frames_per_second(aggregate, 6000) > 50 * frames_per_second(aggregate_plainly, 150)


def test_no_frames():
    fused = aggregate(np.empty((3, 0, 5, 2), np.float32), 0, 1)
    assert fused.keypoints.shape == (0, 5, 2) and fused.confidence.shape == (0,)
    assert select(fused).tolist() == []


@pytest.mark.parametrize(
    ("proposals", "head", "neck", "told"),
    [
        (BY_HAND.astype(float), 0, 1, "found float64 (3, 2, 3, 2), expected float32 (E, T, V, 2)"),
        (BY_HAND[0], 0, 1, "found float32 (2, 3, 2)"),
        (BY_HAND[:1], 0, 1, "experts: found 1, expected 2 to 127"),
        (np.zeros((128, 1, 2, 2), np.float32), 0, 1, "experts: found 128"),
        (BY_HAND, 0, 3, "head and neck: found 0, 3, expected two of the 3 joints"),
        (BY_HAND, -1, 1, "head and neck"),
        (BY_HAND, 1, 1, "head and neck"),
    ],
)
def test_what_cannot_be_fused_is_told(proposals, head, neck, told):
    with pytest.raises(UsageError) as error:
        aggregate(proposals, head, neck)
    assert told in str(error.value)


def test_where_there_is_no_neck_it_is_in_the_middle_of_the_shoulders():
    """D_normal by hand: the head at (0, 0), the shoulders at (-3, 4) and (3, 4): 4 pixels."""
    truth = [[0, 0], [-3, 4], [3, 4]]
    proposals = np.float32([[truth], [[[x + 1, y] for x, y in truth]]])
    for fuse in (aggregate, aggregate_plainly):
        fused = fuse(proposals, 0, (1, 2))
        assert fused.confidence[0] == pytest.approx(np.exp(-0.5 / 4))
    with pytest.raises(UsageError, match="head and neck"):
        aggregate(proposals, 0, (0, 2))


def test_confidence_is_that_of_eq_4_for_any_track():
    chance = np.random.default_rng(0)
    proposals = chance.normal(100, 20, (3, 30, 5, 2)).astype(np.float32)
    proposals[chance.random((3, 30, 5)) < 0.2] = np.nan
    for neck in (1, (1, 2)):
        fused = aggregate(proposals, 0, neck)
        given = confidence(fused.keypoints, proposals, 0, neck)
        np.testing.assert_allclose(given, fused.confidence, rtol=1e-6)
