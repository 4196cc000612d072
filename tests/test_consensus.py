"""Consensus: what it does with outliers, gaps, scores and time, and its speed-up is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata import consensus as module
from posedata.consensus import Fused, consensus, define_consensus
from posedata.errors import UsageError


def walk(num_frames=60, num_joints=4, seed=0):
    """A smooth track, pixels: (T, V, 2)."""
    rng = np.random.default_rng(seed)
    t = np.arange(num_frames)[:, None, None]
    phase, size = rng.uniform(0, 6, (num_joints, 2)), rng.uniform(20, 60, (num_joints, 2))
    return rng.uniform(200, 800, (num_joints, 2)) + 2 * t + size * np.sin(t / 15 + phase)


def observed(true, num_experts=4, noise=2.0, seed=1):
    rng = np.random.default_rng(seed)
    return true + noise * rng.normal(size=(num_experts, *true.shape))


def error(fused, true):
    return np.linalg.norm(fused.keypoints - true, axis=-1)


def acceleration(keypoints):
    return np.linalg.norm(np.diff(keypoints, 2, axis=0), axis=-1).mean()


# by hand


def test_two_equal_experts_meet_in_the_middle():
    proposals = np.zeros((2, 1, 1, 2))
    proposals[1, 0, 0] = 4, 8
    fused = consensus(proposals)
    assert fused.keypoints[0, 0] == pytest.approx([2, 4])
    assert fused.weights[:, 0] == pytest.approx([0.5, 0.5])


def test_one_frame_by_hand():
    """Three experts at 0, 0 and 0.9 on a line: the median is 0, the third is 0.9 away.

    Spreads are 0, 0 and 0.9 / 1.1774; the usual one is 0, for which 0.001 stands. With one frame
    seen 1 / 11 of the logarithm is believed: k = (0.9 / 1.1774 / 0.001)**(1 / 11) = 1.83. Full
    weight is 2 + 1 / 1.83; what stands behind the point is the two.
    """
    proposals = np.zeros((3, 1, 1, 2))
    proposals[2, 0, 0, 0] = 0.9
    fused = consensus(proposals)
    k = np.exp(np.log(0.9 / 1.17741 / 0.001) / 11)
    assert fused.keypoints[0, 0] == pytest.approx([0, 0], abs=1e-4)
    assert fused.spread[:, 0] == pytest.approx([0, 0, 0.9 / 1.17741], abs=1e-4)
    assert fused.weights[:, 0] == pytest.approx([0.5, 0.5, 0], abs=1e-4)
    assert fused.scores[0, 0] == pytest.approx(2 / (2 + 1 / k), abs=0.03)


def test_experts_that_agree_are_followed():
    """Smoothing never takes more than half a pixel from a track that moves 2 to 6 a frame."""
    true = walk()
    noise = 0.5 * np.random.default_rng(3).normal(size=(4, *true.shape))
    assert error(consensus(true + noise), true).mean() < 0.5
    assert error(consensus(true + noise), true).max() < 2


@pytest.mark.parametrize("period", [15, 25, 40])
def test_a_waving_arm_is_not_taken_for_an_outlier(period):
    """Two joints of eight begin to wave, by 120 pixels, while experts are 5 apart."""
    t = np.arange(120)
    true = np.tile(walk(1, 8), (120, 1, 1))
    wave = 120 * np.sin(2 * np.pi * (t - 40) / period) * ((t > 40) & (t < 100))
    true[:, 2:4, 0] += wave[:, None]
    fused = consensus(observed(true, noise=5.0))
    middle = np.linalg.norm(observed(true, noise=5.0).mean(0) - true, axis=-1)
    assert error(fused, true)[:, 2:4].mean() < 1.1 * middle[:, 2:4].mean()


# what it is for


def test_noise_is_less_than_of_a_mean_and_of_any_expert():
    true = walk()
    proposals = observed(true)
    fused = error(consensus(proposals), true).mean()
    assert fused < 0.6 * np.linalg.norm(proposals.mean(0) - true, axis=-1).mean()


@pytest.mark.parametrize("experts", [1, 2])
def test_a_burst_of_outliers_does_not_bend_the_track(experts):
    """Of four experts, up to two are far off in ten frames, each in its own way."""
    true = walk()
    proposals = observed(true)
    proposals[:experts, 20:30] += np.array([[150, 60], [-80, 90]])[:experts, None, None]
    fused = consensus(proposals)
    assert error(fused, true)[20:30].max() < 10
    assert fused.scores[20:30].mean() < 0.8 * fused.scores[35:].mean()


def test_time_decides_where_experts_do_not():
    """All experts jump away for three frames of fifty; before and after show where the joint is."""
    true = walk()
    proposals = observed(true, noise=1.0)
    proposals[:, 30:33] += np.array([[200, 0], [0, 200], [-200, 0], [0, -200]])[:, None, None]
    assert error(consensus(proposals), true)[30:33].max() < 10


def test_a_burst_that_hits_all_experts_is_passed_over():
    """For eight frames all four are off in one joint, each by some 100 pixels in its own way."""
    true = walk()
    proposals = observed(true)
    rng = np.random.default_rng(4)
    proposals[:, 20:28, 1] += rng.normal(0, 100, (4, 1, 2)) + rng.normal(0, 40, (4, 8, 2))
    assert error(consensus(proposals), true)[20:28, 1].max() < 10


def test_a_joint_that_leaps_is_followed_at_once():
    """All experts see a hand leap by 200 pixels from one frame to the next."""
    true = np.tile(walk(1, 8), (100, 1, 1))
    true[50:, 2, 0] += 200
    fused = consensus(observed(true))
    assert error(fused, true)[45:55, 2].max() < 15


def test_what_comes_later_counts_as_what_came_before():
    """Backward in time the same track comes out."""
    proposals = observed(walk(), noise=5.0)
    proposals[1, 10:14] += 100
    forward = consensus(proposals).keypoints
    backward = consensus(proposals[:, ::-1]).keypoints[::-1]
    assert backward == pytest.approx(forward, abs=1e-2)


def test_jitter_is_taken_out():
    true = walk()
    proposals = observed(true, noise=3.0)
    assert acceleration(consensus(proposals).keypoints) < 0.1 * acceleration(proposals[0])


def test_an_unreliable_expert_counts_less():
    true = walk()
    proposals = observed(true)
    proposals[3] += 20 * np.random.default_rng(5).normal(size=true.shape)
    fused = consensus(proposals)
    assert (fused.weights[3] < 0.5 * fused.weights[:3].min(axis=0)).all()
    assert (fused.spread[3] > 4 * fused.spread[:3].max(axis=0)).all()
    assert fused.weights.sum(axis=0) == pytest.approx(1, abs=1e-5)


def test_reliability_is_per_joint():
    true = walk()
    proposals = observed(true)
    proposals[3, :, 2] += 20 * np.random.default_rng(5).normal(size=(60, 2))
    weights = consensus(proposals).weights[3]
    assert weights[2] < 0.6 * weights[[0, 1, 3]].min()


def test_a_pose_that_is_mostly_wrong_is_not_believed_in_its_other_joints():
    """An expert is off in all joints but one of a frame: in that one, too, it counts less."""
    true = walk(num_joints=6)
    proposals = observed(true, num_experts=3, noise=1.0)
    wrong = proposals.copy()
    wrong[0, 25, 1:] += 300
    assert consensus(wrong).scores[25, 0] < 0.8 * consensus(proposals).scores[25, 0]


def test_uncertain_proposals_count_less():
    """Two experts that disagree: the point goes to the one that is as certain as ever."""
    true = np.tile(walk(1), (60, 1, 1))
    proposals = np.stack([true - 5, true + 5])
    scores = np.full(proposals.shape[:3], 0.8)
    scores[1, 20:40] = 0.08
    x = consensus(proposals, scores).keypoints - true
    even = consensus(proposals).keypoints - true
    assert np.abs(even).max() < 0.1
    assert x[25:35].max() < -4
    assert x[25:35].max() < x[:15].min() - 2


def test_only_the_ratio_of_scores_matters():
    """Experts score in their own ways."""
    proposals = observed(walk())
    scores = np.random.default_rng(2).uniform(0.2, 1, proposals.shape[:3])
    other = scores * np.array([1.0, 0.5, 0.1, 0.9])[:, None, None]
    a, b = consensus(proposals, scores), consensus(proposals, other)
    assert a.keypoints == pytest.approx(b.keypoints, abs=1e-2)


def test_scores_of_zero_everywhere_are_like_none():
    proposals = observed(walk(20))
    zeros = consensus(proposals, np.zeros(proposals.shape[:3]))
    assert zeros.keypoints == pytest.approx(consensus(proposals).keypoints, abs=1e-3)


# sides


def with_swaps(proposals, swaps):
    """Exchange joints 0 and 1, 2 and 3, of (expert, frames) pairs."""
    result = proposals.copy()
    for expert, frames in swaps:
        result[expert, frames] = proposals[expert, frames][:, [1, 0, 3, 2]]
    return result


PAIRS = [(0, 1), (2, 3)]


@pytest.mark.parametrize("num_experts", [2, 3, 4])
def test_an_expert_that_takes_left_for_right_is_put_right(num_experts):
    """For fifteen frames of sixty; the fused track is the one of experts that do not."""
    true = walk()
    proposals = observed(true, num_experts)
    fused = consensus(with_swaps(proposals, [(1, slice(20, 35))]), swap=PAIRS)
    expected = np.zeros((num_experts, 60), bool)
    expected[1, 20:35] = True
    assert np.array_equal(fused.exchanged, expected)
    assert fused.keypoints == pytest.approx(consensus(proposals).keypoints, abs=0.02)


def test_experts_may_err_one_after_the_other():
    proposals = observed(walk(), 3)
    swaps = [(0, slice(5, 15)), (1, slice(15, 25)), (2, slice(40, 60))]
    fused = consensus(with_swaps(proposals, swaps), swap=PAIRS)
    assert fused.exchanged.sum(axis=1).tolist() == [10, 10, 20]
    assert fused.keypoints == pytest.approx(consensus(proposals).keypoints, abs=0.02)


def test_scores_go_along_with_sides():
    proposals = observed(walk(), 3)
    scores = np.random.default_rng(0).uniform(0.3, 1, proposals.shape[:3])
    swaps = [(1, slice(20, 25))]
    swapped = with_swaps(proposals, swaps), with_swaps(scores, swaps)
    fused, expected = consensus(*swapped, PAIRS), consensus(proposals, scores)
    # relative to the expert's median score, which a few exchanged frames hardly change
    assert fused.scores == pytest.approx(expected.scores, abs=0.02)


def test_an_expert_that_errs_all_the_time_is_outvoted():
    proposals = observed(walk(), 3)
    fused = consensus(with_swaps(proposals, [(2, slice(None))]), swap=PAIRS)
    assert fused.exchanged[2].all() and not fused.exchanged[:2].any()


def test_sides_stay_where_no_pairs_are_given_or_experts_agree():
    proposals = observed(walk(), 3)
    swapped = with_swaps(proposals, [(1, slice(20, 35))])
    assert not consensus(swapped).exchanged.any()
    assert not consensus(proposals, swap=PAIRS).exchanged.any()
    together = with_swaps(proposals, [(e, slice(20, 35)) for e in range(3)])
    assert not consensus(together, swap=PAIRS).exchanged.any()


def test_limbs_that_cross_are_no_swap():
    """Two ankles pass each other every ten frames, and all experts see them do so."""
    t = np.arange(80)
    true = np.tile(walk(1), (80, 1, 1))
    true[:, 1] = true[:, 0]
    true[:, 0, 0] += 40 * np.sin(2 * np.pi * t / 20)
    true[:, 1, 0] -= 40 * np.sin(2 * np.pi * t / 20)
    assert consensus(observed(true), swap=PAIRS).exchanged.mean() < 0.01


def test_half_a_pair_is_not_exchanged():
    """Where one of two joints is missing, the other one stays what it is called."""
    proposals = observed(walk(), 3)
    proposals[1, :, 0] = np.nan
    fused = consensus(with_swaps(proposals, [(1, slice(20, 35))]), swap=PAIRS)
    assert fused.exchanged[1, 20:35].all()
    assert fused.weights[1, 0] > 0  # of joint 1's proposals, that were called joint 0 and stay so


@pytest.mark.parametrize("swap", [[(0, 4)], [(0, 1), (1, 2)], [(-1, 1)]])
def test_pairs_that_do_not_fit(swap):
    with pytest.raises(UsageError, match="each joint in one of them"):
        consensus(observed(walk()), swap=swap)


# what is missing


def test_missing_proposals_take_no_part():
    true = walk()
    proposals = observed(true, noise=1.0)
    proposals[0, 10:30] = np.nan
    proposals[2, ::3, 1] = np.nan
    fused = consensus(proposals)
    assert error(fused, true).max() < 5
    assert fused.scores[10:30].mean() < fused.scores[30:].mean()


def test_a_gap_stays_a_gap_and_nothing_crosses_it():
    """What is after a gap has no part in what is before it."""
    proposals = observed(walk())
    proposals[:, 30:33, 1] = np.nan
    fused = consensus(proposals)
    missing = np.zeros((60, 4), bool)
    missing[30:33, 1] = True
    assert np.array_equal(np.isnan(fused.keypoints).any(-1), missing)
    assert np.array_equal(np.isnan(fused.keypoints).all(-1), missing)
    assert (fused.scores[missing] == 0).all() and (fused.scores[~missing] > 0).all()
    # a far jump behind the gap would pull at a smoother that crosses it
    jumped = proposals.copy()
    jumped[:, 33:, 1] += 500
    assert consensus(jumped).keypoints[:30, 1] == pytest.approx(fused.keypoints[:30, 1], abs=0.05)


def test_a_joint_that_nobody_has():
    proposals = observed(walk())
    proposals[:, :, 3] = np.nan
    fused = consensus(proposals)
    assert np.isnan(fused.keypoints[:, 3]).all() and np.isfinite(fused.keypoints[:, :3]).all()
    assert (fused.scores[:, 3] == 0).all() and (fused.weights[:, 3] == 0).all()
    assert np.isnan(fused.spread[:, 3]).all()


def test_an_expert_that_lacks_a_joint_or_everything():
    true = walk()
    proposals = observed(true, noise=1.0)
    proposals[1, :, 2] = np.nan
    proposals[3] = np.nan
    fused = consensus(proposals)
    assert fused.weights[1, 2] == 0 and (fused.weights[3] == 0).all()
    assert np.isnan(fused.spread[1, 2]) and np.isnan(fused.spread[3]).all()
    assert error(fused, true).max() < 5


def test_half_a_point_is_missing():
    proposals = observed(walk())
    half, whole = proposals.copy(), proposals.copy()
    half[0, 5, 1, 0] = np.nan
    whole[0, 5, 1] = np.nan
    assert np.array_equal(consensus(half).keypoints, consensus(whole).keypoints)


def test_one_expert_is_smoothed():
    true = walk()
    proposals = observed(true, num_experts=1, noise=3.0)
    fused = consensus(proposals)
    assert error(fused, true).mean() < np.linalg.norm(proposals[0] - true, axis=-1).mean()
    assert fused.weights == pytest.approx(1)


@pytest.mark.parametrize("shape", [(2, 0, 3, 2), (2, 5, 0, 2)])
def test_nothing_gives_nothing(shape):
    fused = consensus(np.empty(shape))
    assert fused.keypoints.shape == shape[1:] and fused.weights.shape == (2, shape[2])


def test_nobody_at_all():
    fused = consensus(np.full((2, 5, 3, 2), np.nan))
    assert np.isnan(fused.keypoints).all() and (fused.scores == 0).all()


@pytest.mark.parametrize(
    "proposals, scores",
    [((5, 3, 2), None), ((0, 5, 3, 2), None), ((2, 5, 3, 3), None), ((2, 5, 3, 2), (2, 5, 4))],
)
def test_shapes_that_do_not_fit(proposals, scores):
    with pytest.raises(UsageError, match="expected"):
        consensus(np.zeros(proposals), None if scores is None else np.zeros(scores))


# invariance, and the fast way


@st.composite
def tracks(draw):
    """Proposals with outliers and holes, and scores."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_experts, num_frames, num_joints = (draw(st.integers(1, n)) for n in (5, 40, 4))
    proposals = observed(walk(num_frames, num_joints), num_experts, 3.0, rng)
    wild = rng.random(proposals.shape[:3]) < draw(st.sampled_from([0, 0.1, 0.5]))
    proposals[wild] += rng.normal(0, 100, (wild.sum(), 2))
    proposals[rng.random(proposals.shape[:3]) < draw(st.sampled_from([0, 0.2, 0.7]))] = np.nan
    scores = rng.uniform(0, 1, proposals.shape[:3])
    return proposals, np.where(np.isnan(proposals[..., 0]), 0, scores)


@settings(max_examples=60)
@given(tracks())
def test_the_fast_way_is_the_definition(made):
    pairs = [(v, v + 1) for v in range(0, made[0].shape[2] - 1, 2)]
    fast, plain = consensus(*made, pairs), define_consensus(*made, pairs)
    assert np.array_equal(fast.exchanged, plain.exchanged)
    for name, tolerance in zip(Fused._fields[:4], (0.02, 1e-3, 1e-3, 0.02), strict=True):
        a, b = getattr(fast, name), getattr(plain, name)
        assert a.dtype == b.dtype == np.float32
        assert a == pytest.approx(b, abs=tolerance, rel=1e-3, nan_ok=True), name


@settings(max_examples=40)
@given(tracks())
def test_points_are_where_somebody_has_one_and_finite(made):
    fused = consensus(*made)
    present = np.isfinite(made[0]).all(-1).any(0)
    assert np.array_equal(np.isfinite(fused.keypoints).all(-1), present)
    assert np.array_equal(fused.scores > 0, present)
    assert (fused.scores <= 1).all()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(-500, 500), st.sampled_from([0.5, 2, 4]))
def test_moving_and_scaling_the_picture_moves_and_scales_the_result(seed, shift, scale):
    proposals = observed(walk(40, seed=seed), noise=3.0, seed=seed)
    proposals[0, 10:14] += 100
    proposals[1:, 20:25, 2] = np.nan
    expected = consensus(proposals).keypoints * scale + shift
    result = consensus(proposals * scale + shift).keypoints
    assert result == pytest.approx(expected, abs=0.05, nan_ok=True)


@settings(max_examples=40)
@given(tracks(), st.randoms(use_true_random=False))
def test_the_order_of_experts_has_no_influence(made, random):
    proposals, scores = made
    order = list(range(len(proposals)))
    random.shuffle(order)
    a, b = consensus(proposals, scores), consensus(proposals[order], scores[order])
    assert b.keypoints == pytest.approx(a.keypoints, abs=0.05, nan_ok=True)
    assert b.weights == pytest.approx(a.weights[order], abs=1e-3)


def test_what_is_given_stays_as_it_is():
    proposals = observed(walk(10))
    proposals[0, 2] = np.nan
    before = proposals.copy()
    consensus(proposals)
    define_consensus(proposals)
    assert np.array_equal(proposals, before, equal_nan=True)


def test_the_schedule_ends_where_the_constants_say():
    assert module._schedule.py_func(0) == (module.TOLERANCE_AT_FIRST, module.STIFFNESS_AT_FIRST)
    assert module._schedule.py_func(module.ROUNDS - 1) == (module.TOLERANCE, module.STIFFNESS)
