"""Left-right swaps: by hand, and the fast way against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.side_swaps import LEAST_GAIN, checked_pairs, exchange_sides, swapped_poses

PAIR = np.array([[0, 1]])


@kernel
def run_exchange_sides(p, s, present, x, scale, pairs, exchanged):
    return exchange_sides(p, s, present, x, scale, pairs, exchanged)


def line(*experts):
    """Experts' two joints on a line, one frame: (E, 1, 2, 2)."""
    points = np.zeros((len(experts), 1, 2, 2))
    points[:, 0, :, 0] = experts
    return points


TRACK = line((0, 10))[0]


def test_by_hand():
    """Joints at 0 and 10, c = 2, named the wrong way round: 2 log(1 + 100 / 4) = 6.5 > 3.

    With c = 10 it is 2 log 2 = 1.4, which is not enough.
    """
    experts = line((0, 10), (10, 0), (1, 9))
    assert swapped_poses(experts, TRACK, np.array([2.0, 2.0]), PAIR)[:, 0].tolist() == [0, 1, 0]
    assert not swapped_poses(experts, TRACK, np.array([10.0, 10.0]), PAIR).any()


def test_the_gain_at_which_it_begins():
    d = np.sqrt(np.exp(LEAST_GAIN / 2) - 1)  # two joints, each log(1 + d**2)
    for distance, expected in ((0.999 * d, False), (1.001 * d, True)):
        experts = line((0, distance), (distance, 0))
        found = swapped_poses(experts, line((0, distance))[0], np.ones(2), PAIR)
        assert found[:, 0].tolist() == [False, expected]


def test_half_of_the_experts_may_be_wrong_and_no_more():
    scale = np.full(2, 2.0)
    half = swapped_poses(line((0, 10), (10, 0)), TRACK, scale, PAIR)
    most = swapped_poses(line((0, 10), (10, 0), (10, 0)), TRACK, scale, PAIR)
    assert half[:, 0].tolist() == [False, True]
    assert not most.any()


def test_experts_without_the_pair_have_no_vote_and_no_swap():
    experts = line((0, 10), (10, 0), (10, 0))
    experts[0, 0, 1] = np.nan
    assert not swapped_poses(experts, TRACK, np.full(2, 2.0), PAIR).any()


@given(st.integers(0, 2**32 - 1))
def test_the_fast_way_is_the_plain_one(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 20, (6, 5, 2))
    p = x + rng.normal(0, 3, (3, 6, 5, 2))
    pairs = np.array([[0, 1], [4, 2]])
    wrong = rng.random((3, 6)) < 0.3
    for a, b in pairs:
        p[wrong, a], p[wrong, b] = p[wrong, b], p[wrong, a]
    p[rng.random(p.shape[:3]) < 0.2] = np.nan
    s, scale = rng.random(p.shape[:3]), rng.uniform(0, 5, 5)
    expected = swapped_poses(p, x, scale, pairs)
    first = [np.moveaxis(array, 2, 0).copy() for array in (p, s, np.isfinite(p[..., 0]))]
    exchanged = np.zeros((3, 6), bool)
    track = np.swapaxes(x, 0, 1).copy()
    found = run_exchange_sides(*first, track, scale, pairs, exchanged)
    assert np.array_equal(exchanged, expected) and found == expected.any()
    for values, after in ((p, first[0]), (s, first[1])):
        wanted = values.copy()
        for a, b in pairs:
            here = expected & np.isfinite(p[:, :, a, 0]) & np.isfinite(p[:, :, b, 0])
            wanted[here, a], wanted[here, b] = values[here, b], values[here, a]
        assert np.array_equal(np.moveaxis(after, 0, 2), wanted, equal_nan=True)


def test_pairs():
    assert checked_pairs((), 3).shape == (0, 2)
    assert checked_pairs(((0, 2),), 3).tolist() == [[0, 2]]
    for wrong in ([(0, 3)], [(-1, 0)], [(0, 1), (1, 2)], [(1, 1)]):
        with pytest.raises(UsageError, match="pairs of joints from 0 to 2"):
            checked_pairs(wrong, 3)
