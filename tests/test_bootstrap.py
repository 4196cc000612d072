"""Means of sums, and their intervals over clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.bootstrap import bootstrap_interval, mean_of_sums
from posedata.errors import UsageError


def test_two_means_by_hand():
    """10 of 10 and 0 of 30: a quarter of all values, half as a mean of joints."""
    sums, counts = np.array([10.0, 0, 0]), np.array([10, 30, 0])
    assert mean_of_sums(sums, counts) == 0.25
    assert mean_of_sums(sums, counts, "joints") == 0.5
    assert np.isnan(mean_of_sums(sums * 0, counts * 0))
    assert np.isnan(mean_of_sums(sums * 0, counts * 0, "joints"))


def test_interval_of_many_clips_is_the_normal_one():
    """The mean of 400 clips of standard deviation 1 is known to within 1.96 / 20."""
    values = np.random.default_rng(5).normal(3, 1, (400, 1))
    low, high = bootstrap_interval(values, np.ones_like(values), num_samples=4000)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.015)
    assert high == pytest.approx(values.mean() + half, abs=0.015)


def test_frames_of_one_clip_are_not_drawn_apart():
    """Two clips of 1000 equal frames each say as much as two frames: 0, a half, or 1."""
    low, high = bootstrap_interval(np.array([[0.0], [1000]]), np.array([[1000], [1000]]))
    assert (low, high) == (0, 1)


def test_a_seed_gives_the_same_interval():
    rng = np.random.default_rng(0)
    sums, counts = rng.random((50, 4)), np.ones((50, 4))
    first = bootstrap_interval(sums, counts, seed=3)
    assert first == bootstrap_interval(sums, counts, seed=3)
    assert first != bootstrap_interval(sums, counts, seed=4)


def test_one_clip_has_no_interval():
    assert np.isnan(bootstrap_interval(np.ones((1, 3)), np.ones((1, 3)))).all()
    only = np.array([[4], [0], [0]])
    assert np.isnan(bootstrap_interval(only * 0.5, only)).all()


@pytest.mark.parametrize("options", [{"num_samples": 0}, {"level": 1.0}])
def test_impossible_bootstraps(options: dict):
    with pytest.raises(UsageError, match="bootstrap"):
        bootstrap_interval(np.ones((3, 1)), np.ones((3, 1)), **options)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["pooled", "joints"]))
def test_the_interval_lies_within_the_values(seed: int, average: str):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, (20, 3))
    sums = rng.random((20, 3)) * counts
    low, high = bootstrap_interval(sums, counts, average=average, num_samples=50)  # type: ignore[arg-type]
    assert 0 <= low <= high <= 1
