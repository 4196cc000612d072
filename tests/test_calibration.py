"""C against the true error: sweeps and intervals by hand, and what is left out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from posedata.calibration import ERROR_EDGES, GAMMAS, gamma_sweep, kept_by_error, pose_errors
from posedata.errors import UsageError

NAN = np.nan
C = np.array([0.9, 0.5, 0.18, 0.1, 0.7, NAN], np.float32)
ERRORS = np.array(
    [[0.1, 0.3], [0.2, 0.6], [0.5, 0.7], [2.0, NAN], [NAN, NAN], [1.0, 3.0]], np.float32
)


def test_sweep_by_hand():
    sweep = gamma_sweep(C, ERRORS, np.array([0, 0.18, 0.5, 0.95]))
    assert (sweep.compared, sweep.left_out, sweep.without_confidence) == (5, 1, 1)
    # All; without 0.1; without 0.18; only the one that has no C. 0.18 itself is kept at 0.18.
    assert sweep.poses.tolist() == [5, 4, 3, 1]
    assert sweep.joints.tolist() == [9, 8, 6, 2]
    assert sweep.kept == pytest.approx([1, 0.8, 0.6, 0.2])
    assert sweep.error == pytest.approx([8.4 / 9, 6.4 / 8, 5.2 / 6, 4 / 2])
    assert sweep.pckh == pytest.approx([4 / 9, 4 / 8, 3 / 6, 0])  # 0.5 is correct, 0.6 is not
    assert gamma_sweep(C, ERRORS, np.array([0]), threshold=2).pckh == pytest.approx([8 / 9])


def test_gamma_is_compared_in_the_precision_of_c():
    """0.7 in float32 is below 0.7, and yet it is not below gamma."""
    c, gammas = np.array([0.7], np.float32), np.array([0.7])
    assert gamma_sweep(c, np.ones((1, 1)), gammas).kept.tolist() == [1]
    assert kept_by_error(c, np.ones(1), gammas).kept[0, 4] == 1


def test_nothing_kept_is_no_number():
    sweep = gamma_sweep(C[:4], ERRORS[:4], np.array([0.95]))
    assert sweep.kept.tolist() == [0]
    assert np.isnan(sweep.error).all() and np.isnan(sweep.pckh).all()
    empty = gamma_sweep(C[:0], ERRORS[:0])
    assert empty.poses.tolist() == [0] * len(GAMMAS) and np.isnan(empty.kept).all()


def test_pose_errors():
    assert pose_errors(ERRORS) == pytest.approx([0.2, 0.4, 0.6, 2, NAN, 2], nan_ok=True)


def test_intervals_by_hand():
    edges = np.array([0, 0.25, 0.5, 1, 2])
    table = kept_by_error(C, pose_errors(ERRORS.astype(float)), np.array([0, 0.18, 0.6]), edges)
    # Errors 0.2 | 0.4 | 0.6 | 2 and 2, the end of the last interval; one pose has none.
    assert table.poses.tolist() == [1, 1, 1, 2]
    assert table.kept.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0.5], [1, 0, 0, 0.5]]
    assert table.left_out == 1
    # An inner edge belongs to the interval above it; outside there is nothing.
    at_edges = kept_by_error(np.ones(4), np.array([0.25, 0.5, 2.1, 0]), np.array([0.18]), edges)
    assert at_edges.poses.tolist() == [1, 1, 1, 0] and at_edges.left_out == 1
    assert np.isnan(at_edges.kept[0, 3])


def test_the_last_interval_is_open():
    table = kept_by_error(np.ones(3), np.array([1.9, 2, 1e9]), np.array([0.18]))
    assert table.poses[-2:].tolist() == [1, 2] and len(table.poses) == len(ERROR_EDGES) - 1
    infinite = kept_by_error(np.ones(1), np.array([np.inf]), np.array([0.18]))
    assert infinite.poses[-1] == 1 and infinite.left_out == 0


SIZES = st.shared(st.integers(0, 12), key="poses")
SOME_C = SIZES.flatmap(
    lambda n: arrays(np.float32, n, elements=st.sampled_from([0, 0.18, 0.5, 0.75, 1, NAN]))
)
SOME_ERRORS = SIZES.flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 4, NAN]))
)


@given(SOME_C, SOME_ERRORS)
def test_the_sweep_is_its_definition(c, errors):
    sweep = gamma_sweep(c, errors, GAMMAS)
    for i, gamma in enumerate(GAMMAS):
        stays = [not value < np.float32(gamma) for value in c]
        kept = [e[~np.isnan(e)] for e, s in zip(errors, stays, strict=True) if s]
        joints = np.concatenate([np.empty(0), *kept])
        assert sweep.poses[i] == sum(len(e) > 0 for e in kept)
        assert sweep.joints[i] == len(joints)
        if len(joints):
            assert sweep.error[i] == pytest.approx(joints.mean())
            assert sweep.pckh[i] == pytest.approx((joints <= 0.5).mean())
    assert (np.diff(sweep.poses) <= 0).all()


@given(SOME_C, SOME_ERRORS)
def test_sweep_and_intervals_keep_the_same_poses(c, errors):
    sweep = gamma_sweep(c, errors, GAMMAS)
    table = kept_by_error(c, pose_errors(errors), GAMMAS)
    assert table.poses.sum() == sweep.compared and table.left_out == sweep.left_out
    kept = np.where(table.poses > 0, table.kept, 0) @ table.poses
    assert kept == pytest.approx(sweep.poses)


def test_what_does_not_belong_together_is_told():
    with pytest.raises(UsageError, match="errors"):
        gamma_sweep(C, ERRORS[:3])
    with pytest.raises(UsageError, match=r"C of shape \(N,\)"):
        gamma_sweep(C[:, None], ERRORS)
    with pytest.raises(UsageError, match="negative errors"):
        gamma_sweep(C, -ERRORS)
    with pytest.raises(UsageError, match="ascending"):
        kept_by_error(C, C, np.array([0.18]), np.array([1, 0]))
    with pytest.raises(UsageError, match="errors"):
        kept_by_error(C, ERRORS, np.array([0.18]))


def test_a_million_poses_take_seconds():
    rng = np.random.default_rng(0)
    c, errors = rng.random(1_000_000), rng.random((1_000_000, 13))
    start = time.perf_counter()
    sweep = gamma_sweep(c, errors)
    kept_by_error(c, pose_errors(errors), np.array([0.18]))
    assert time.perf_counter() - start < 10
    assert sweep.kept[25] == pytest.approx(0.5, abs=0.01)
