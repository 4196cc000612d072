"""Simulated experts of the benchmarks: they err as the fitted numbers say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FRAMES = 3000


@pytest.fixture(scope="module")
def error_model():
    path = Path(__file__).parents[1] / "benchmarks" / "error_model.py"
    spec = importlib.util.spec_from_file_location("error_model", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["error_model"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["error_model"]


@pytest.fixture(scope="module")
def truth():
    """Somebody who stands and faces the camera: shoulders at y = 0, hips at y = 100."""
    points = np.zeros((FRAMES, 13, 2))
    points[:, 1::2, 0], points[:, 2::2, 0] = 30, -30
    points[:, :, 1] = [-40, 0, 0, 40, 40, 80, 80, 100, 100, 150, 150, 200, 200]
    return points


def test_the_body_axes_of_somebody_who_stands(error_model, truth):
    axes = error_model.body_axes(truth[:1])
    assert axes[0] == pytest.approx(np.eye(2), abs=1e-6)
    mirrored = error_model.body_axes(truth[:1] * [-1, 1])
    assert mirrored[0] == pytest.approx(np.diag([-1.0, 1.0]), abs=1e-6)


def test_states(error_model):
    hidden = np.zeros((3, 13), bool)
    hidden[1, 4] = True
    hidden[2, :8] = True
    states = error_model.states(hidden)
    assert (states[0] == error_model.CLEAR).all()
    assert states[1, 4] == error_model.HIDDEN
    assert (np.delete(states[1], 4) == error_model.SEEN).all()
    assert (states[2] == error_model.MOSTLY_HIDDEN).all()


def test_the_median_error_is_what_was_fitted(error_model, truth):
    """Of joints around their bias, either way round, within a quarter: errors are slow."""
    model = error_model.load()
    hidden = np.zeros(truth.shape[:2], bool)
    rng = np.random.default_rng(0)
    proposals, scores = error_model.simulate(model, truth, 30.0, hidden, False, rng)
    error = (proposals - truth) / 30
    own = np.linalg.norm(error - np.nanmedian(error, axis=1, keepdims=True), axis=-1)
    wanted = np.median(model.lengths[0, error_model.CLEAR][..., 3], axis=1)
    assert np.median(np.nanmedian(own, axis=1), axis=1) == pytest.approx(wanted, rel=0.25)
    assert (scores >= 0).all() and (scores <= 1).all()


def test_what_is_hidden_is_worse_and_more_often_missing(error_model, truth):
    model, rng = error_model.load(), np.random.default_rng(0)
    clear, mostly = np.zeros((2, *truth.shape[:2]), bool)
    mostly[:, :10] = True
    easy, _ = error_model.simulate(model, truth, 30.0, clear, False, rng)
    hard, scores = error_model.simulate(model, truth, 30.0, mostly, False, rng)
    assert not np.isnan(easy).any()
    missing = np.isnan(hard[..., 0])
    assert 0.2 < missing.mean() < 0.9
    assert np.array_equal(scores == 0, missing)
    error = [np.nanmedian(np.linalg.norm(p - truth, axis=-1)) for p in (easy, hard)]
    assert error[1] > 2 * error[0]


def test_nobody_has_a_joint_that_is_not_there_and_chance_is_the_callers(error_model, truth):
    model, hidden = error_model.load(), np.zeros((50, 13), bool)
    truth = truth[:50].copy()
    truth[10:20, 3] = np.nan
    first, second = (
        error_model.simulate(model, truth, 30.0, hidden, True, np.random.default_rng(7))[0]
        for _ in range(2)
    )
    assert np.array_equal(first, second, equal_nan=True)
    swapped = {3, 4}  # an expert that exchanges sides lacks the other elbow
    lacking = {int(v) for v in np.argwhere(np.isnan(first[:, 10:20]).any(-1))[:, 2]}
    assert 3 in lacking and lacking <= swapped


def test_swapped_sides(error_model):
    """Whole poses, arms, and legs: joint v becomes that of the other side."""
    values = np.tile(np.arange(13.0), (3, 1, 1))
    swapped = np.zeros((3, 1, 3), bool)
    swapped[0, 0, 0] = swapped[1, 0, 1] = swapped[2, 0, 2] = True
    found = error_model.exchange(values, swapped)[:, 0].tolist()
    assert found[0] == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
    assert found[1] == [0, 2, 1, 4, 3, 6, 5, 7, 8, 9, 10, 11, 12]
    assert found[2] == [0, 1, 2, 3, 4, 5, 6, 8, 7, 10, 9, 12, 11]
