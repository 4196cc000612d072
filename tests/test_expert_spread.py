"""How far experts are from a track: by hand, and the fast way against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.compiled import kernel
from posedata.expert_spread import (
    LEAST_DISTANCE,
    RAYLEIGH_MEDIAN,
    median_of,
    median_over_frames,
    relate_spreads,
    relative_spread,
)


@kernel
def run_relate_spreads(spread, frames, k, usual):
    relate_spreads(spread, frames, k, usual)


@kernel
def run_median_of(values, present, buffer):
    return median_of(values, present, buffer)


def test_by_hand():
    """One joint, experts at 1, 2 and 4 pixels, seen in 30 frames: 30 / 40 of the log ratio."""
    k, usual = relative_spread(np.array([[1.0], [2.0], [4.0]]), np.full((3, 1), 30))
    assert usual == pytest.approx([2])
    assert k[:, 0] == pytest.approx([0.5**0.75, 1, 2**0.75])


def test_half_comes_from_the_other_joints():
    """An expert twice as bad in two joints of three: in the third, k is half of that, in logs."""
    spread = np.array([[2.0, 2.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    k, _ = relative_spread(spread, np.full((3, 3), 10**9))
    assert k[0] == pytest.approx([2, 2, 2**0.5])
    assert k[1:] == pytest.approx(1)


def test_one_expert_cannot_take_over_or_be_shut_out():
    k, _ = relative_spread(np.array([[1e-9], [1.0], [1e9]]), np.full((3, 1), 10**9))
    assert k[:, 0] == pytest.approx([1 / 3, 1, 3])


def test_an_expert_that_lacks_a_joint_has_no_say():
    spread = np.array([[1.0, 0.0], [3.0, 5.0]])
    k, usual = relative_spread(spread, np.array([[50, 0], [50, 50]]))
    assert usual == pytest.approx([5**0.5, 5])  # root of the mean square of 1 and 3
    assert k[0, 1] == 1


def test_the_median_of_a_normal_distribution_tells_its_spread():
    points = np.random.default_rng(0).normal(0, 3, (100_000, 2))
    distance = np.linalg.norm(points, axis=1)
    assert np.median(distance) / RAYLEIGH_MEDIAN == pytest.approx(3, rel=0.01)


def test_medians_of_what_is_present():
    values = np.array([[[1.0, 9.0], [2.0, 9.0], [30.0, 9.0]]])
    present = np.array([[[True, False], [True, False], [False, False]]])
    assert median_over_frames(values, present).tolist() == [[1.5, 0]]
    assert run_median_of(values[0, :, 0], present[0, :, 0], np.empty(3)) == 1.5
    assert run_median_of(values[0, :, 1], present[0, :, 1], np.empty(3)) == 0


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_fast_way_is_the_plain_one(num_experts, num_joints, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 50, (num_experts, num_joints))
    spread = np.where(frames > 0, 10 ** rng.uniform(-4, 3, frames.shape), 0)
    expected, usual = relative_spread(spread, frames)
    k, fast_usual = np.ones(frames.shape), np.ones(num_joints)
    run_relate_spreads(spread, frames, k, fast_usual)
    assert k == pytest.approx(expected)
    assert fast_usual == pytest.approx(np.maximum(usual, LEAST_DISTANCE))
