"""Whittaker's smoother: by hand, by its equation, and the fast way against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.compiled import kernel
from posedata.whittaker import smooth_into, whittaker


@kernel
def run_smooth_into(y, weights, penalties, band, x):
    smooth_into(y, weights, penalties, band, x)


def smooth(y, weights, penalties):
    x = np.empty_like(y)
    run_smooth_into(y, weights, penalties, np.empty((len(y), 3)), x)
    return x


def test_three_points_by_hand():
    """(I + D'D) x = y with D = (1 -2 1): a peak of 6 is lowered to 2, its neighbours rise."""
    y = np.array([[0.0, 0.0], [7.0, -7.0], [0.0, 0.0]])
    # D'D = [[1 -2 1] [-2 4 -2] [1 -2 1]]; D x = D y / (1 + 6) = -14 / 7 = -2; x = y - D' D x
    expected = [[2, -2], [3, -3], [2, -2]]
    assert whittaker(y, np.ones(3), np.ones(1)) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_points_to_accelerate_stay(count):
    y = np.arange(2.0 * count).reshape(count, 2)
    for how in (whittaker, smooth):
        assert np.array_equal(how(y, np.ones(count), np.ones(count)), y)


def test_a_straight_track_is_left_alone():
    y = np.stack([np.arange(30.0), 5 - 2 * np.arange(30.0)], axis=1)
    assert smooth(y, np.full(30, 0.1), np.full(30, 1000.0)) == pytest.approx(y, abs=1e-6)


def test_half_of_an_oscillation_remains_at_its_wavelength():
    """Of cos(w t), 1 / (1 + penalty (2 - 2 cos w)**2) remains; half where w**4 = 1 / penalty."""
    penalty = 10.0
    w = penalty**-0.25
    t = np.arange(2000)
    y = np.stack([np.cos(w * t), np.sin(w * t)], axis=1)
    x = smooth(y, np.ones(2000), np.full(2000, penalty))
    remains = np.linalg.norm(x[1000])
    assert remains == pytest.approx(1 / (1 + penalty * (2 - 2 * np.cos(w)) ** 2), rel=1e-6)
    assert remains == pytest.approx(0.5, abs=0.03)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_the_fast_way_is_the_plain_one(count, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 100, (count, 2))
    weights = 10 ** rng.uniform(-3, 1, count)
    penalties = 10 ** rng.uniform(-2, 3, count)
    expected = whittaker(y, weights, penalties)
    assert smooth(y, weights, penalties) == pytest.approx(expected, rel=1e-6, abs=1e-5)
