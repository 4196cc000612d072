"""Object keypoint similarity, where missing predictions are wrong and where they do not count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.oks import object_keypoint_similarities, plain_similarities

NAN = np.nan


def test_by_hand():
    """d = 3, 4 and 10 pixels; s^2 = 1000; k = 2 sigma = 0.158, 0.158, 0.2; one joint is lacking."""
    true = np.zeros((1, 4, 2), np.float32)
    predicted = np.array([[[3, 0], [0, 4], [6, 8], [NAN, NAN]]], np.float32)
    sigmas = np.array([0.079, 0.079, 0.1, 0.1])
    found = 0.8351 + 0.7259 + 0.2865
    arguments = (predicted, true, np.array([1000.0]), sigmas)
    assert object_keypoint_similarities(*arguments) == pytest.approx(found / 4, abs=1e-4)
    skipped = object_keypoint_similarities(*arguments, missing="skip")
    assert skipped == pytest.approx(found / 3, abs=1e-4)


def test_joints_that_the_truth_lacks_do_not_count():
    true = np.array([[[0, 0], [NAN, NAN]], [[NAN, 3], [NAN, NAN]]])
    predicted = np.zeros((2, 2, 2))
    for missing in ("wrong", "skip"):
        found = object_keypoint_similarities(
            predicted, true, np.array([9.0, 9.0]), np.full(2, 0.1), missing=missing
        )
        np.testing.assert_array_equal(found, [1, NAN])


def test_far_away_is_nothing_and_without_an_area_there_is_none():
    true = np.zeros((3, 2, 2))
    found = object_keypoint_similarities(
        true + 1e6, true, np.array([9.0, 0.0, NAN]), np.full(2, 0.1)
    )
    np.testing.assert_array_equal(found, [0, NAN, NAN])


def test_what_does_not_fit():
    with pytest.raises(UsageError, match="poses to compare"):
        object_keypoint_similarities(
            np.zeros((2, 3, 2)), np.zeros((2, 4, 2)), np.ones(2), np.ones(3)
        )
    with pytest.raises(UsageError, match="wrong or skip"):
        object_keypoint_similarities(
            np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), np.ones(1), np.ones(1), missing="no"
        )  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["wrong", "skip"]))
def test_the_kernel_is_its_definition(seed: int, missing: str):
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 50, (8, 5, 2))
    predicted = true + rng.normal(0, 10, true.shape)
    for poses in (true, predicted):
        poses[rng.random(poses.shape) < 0.1] = rng.choice([NAN, np.inf])
    arguments = (predicted.astype(np.float32), true.astype(np.float32),
                 rng.choice([NAN, 0, 100, 4000], 8), rng.uniform(0.02, 0.1, 5))  # fmt: skip
    np.testing.assert_allclose(
        object_keypoint_similarities(*arguments, missing=missing),
        plain_similarities(*arguments, missing=missing), rtol=1e-9, atol=1e-12,
    )  # fmt: skip
