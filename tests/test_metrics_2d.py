"""2D metrics: hand-worked numbers, what is missing, kernels against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata import metrics_2d as m
from posedata.boxes import extents
from posedata.errors import UsageError
from posedata.jitter import accelerations, plain_accelerations

NAN = float("nan")


def poses(*values: list) -> np.ndarray:
    return np.array(values, np.float32)


# Two poses of three joints: off by 5, 1 and 0; by 10, missing, and with no truth.
TRUE = poses([[0, 0], [10, 0], [0, 10]], [[0, 0], [10, 0], [NAN, NAN]])
PREDICTED = poses([[3, 4], [10, 1], [0, 10]], [[6, 8], [NAN, NAN], [5, 5]])


def random_pair(seed: int, n: int = 20, v: int = 5, c: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 50, (n, v, c)).astype(np.float32)
    predicted = (true + rng.normal(0, 10, true.shape)).astype(np.float32)
    true[rng.random((n, v)) < 0.2] = np.nan
    predicted[rng.random((n, v)) < 0.2] = np.nan
    predicted[0, 0, 0] = np.inf
    return predicted, true


def test_distances_by_hand():
    expected = [[5, 1, 0], [10, NAN, NAN]]
    np.testing.assert_allclose(m.joint_distances(PREDICTED, TRUE), expected)


def test_distances_need_one_shape():
    with pytest.raises(UsageError, match="same shape"):
        m.joint_distances(PREDICTED[:, :2], TRUE)


def test_pck_by_hand():
    """Lengths 10 and 20, threshold 0.5: 5/10 is not below 0.5 (strict), nor is 10/20."""
    lengths = np.array([10.0, 20.0])
    wrong = m.pck(PREDICTED, TRUE, lengths, 0.5)
    assert wrong.counts.tolist() == [2, 2, 1]
    assert wrong.per_joint.tolist() == [0, 0.5, 1]
    assert wrong.pooled == pytest.approx(2 / 5)
    assert wrong.mean_over_joints == pytest.approx(0.5)
    assert wrong.num_missing == 1
    skipped = m.pck(PREDICTED, TRUE, lengths, 0.5, missing="skip")
    assert skipped.counts.tolist() == [2, 1, 1]
    assert skipped.pooled == pytest.approx(2 / 4)
    assert skipped.mean_over_joints == pytest.approx(2 / 3)


@pytest.mark.parametrize("length", [0.0, -1.0, NAN, np.inf])
def test_a_pose_without_a_length_is_left_out(length: float):
    result = m.pck(PREDICTED, TRUE, np.array([length, 30.0]), 0.5)
    assert result.counts.tolist() == [1, 1, 0]
    assert np.isnan(result.per_joint[2])
    assert result.pooled == 0.5


def test_nothing_to_compare_is_no_number():
    result = m.pck(PREDICTED, TRUE, np.array([NAN, NAN]), 0.5)
    assert np.isnan(result.pooled)
    assert np.isnan(result.mean_over_joints)


def test_missing_has_two_meanings():
    with pytest.raises(UsageError, match="wrong or skip"):
        m.pck(PREDICTED, TRUE, np.ones(2), 0.5, missing="zero")  # type: ignore[arg-type]


def test_ties_are_decided_in_float32():
    """0.3 / 3 is 0.0999... in float64 and the float32 nearest to 0.1: not below 0.1."""
    assert 0.3 / 3 < 0.1
    correct = m.correct_keypoints(np.array([[0.3]]), np.array([3.0]), (0.1,))
    assert correct.tolist() == [[0.0]]


def test_auc_by_hand():
    """A distance of 0.5 lengths is below 11/20 to 19/20: 9 of the 20 thresholds."""
    correct = m.correct_keypoints(np.array([[15.0]]), np.array([30.0]), m.AUC_THRESHOLDS)
    assert correct[0, 0] == pytest.approx(9 / 20)


def test_lengths_by_hand():
    boxes = np.array([[10, 20, 40, 60]], np.float32)
    assert m.box_lengths(boxes).tolist() == [40]
    assert m.head_box_lengths(boxes) == pytest.approx([0.6 * 50])
    assert m.segment_lengths(TRUE, 1, 2) == pytest.approx([np.sqrt(200), NAN], nan_ok=True)
    np.testing.assert_array_equal(extents(TRUE), [[0, 0, 10, 10], [0, 0, 10, 0]])
    assert np.isnan(extents(np.full((1, 3, 2), np.nan))).all()


def test_jitter_by_hand():
    """x = 0, 1, 4, 9: second differences 2 and 2; then a gap, and another person."""
    x = np.array([0, 1, 4, 9, 25, 36, 49, 0, 5], np.float32)
    frames = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9], np.int32)
    persons = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1], np.int32)
    keypoints = np.stack([x, np.zeros_like(x)], -1)[:, None]
    expected = [NAN, 2, 2, NAN, NAN, 2, NAN, NAN, NAN]
    np.testing.assert_allclose(accelerations(keypoints, frames, persons)[:, 0], expected)
    keypoints[2] = np.nan
    assert np.isfinite(accelerations(keypoints, frames, persons)).sum() == 1


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]))
def test_kernels_are_their_definitions(seed: int, channels: int):
    predicted, true = random_pair(seed, c=channels)
    rng = np.random.default_rng(seed)
    frames = np.sort(rng.choice(30, len(true), replace=False)).astype(np.int32)
    persons = np.sort(rng.integers(0, 2, len(true))).astype(np.int32)
    distances = m.plain_joint_distances(predicted, true)
    np.testing.assert_allclose(m.joint_distances(predicted, true), distances)
    lengths = rng.choice([NAN, 0, 10, 40], len(true))
    for thresholds in ((0.5,), m.AUC_THRESHOLDS):
        np.testing.assert_array_equal(
            m.correct_keypoints(distances, lengths, thresholds),
            m.plain_correct_keypoints(distances, lengths, thresholds),
        )
    np.testing.assert_allclose(
        accelerations(predicted, frames, persons),
        plain_accelerations(predicted, frames, persons),
    )
    np.testing.assert_array_equal(m.present_joints(true), np.isfinite(true).all(-1))


@given(st.integers(0, 2**32 - 1))
def test_a_wider_threshold_is_never_worse(seed: int):
    predicted, true = random_pair(seed)
    lengths = np.full(len(true), 20.0)
    shares = [m.pck(predicted, true, lengths, t).pooled for t in (0.1, 0.5, 1, 5)]
    assert shares == sorted(shares)
    skipped = m.pck(predicted, true, lengths, 0.5, missing="skip").pooled
    assert skipped >= m.pck(predicted, true, lengths, 0.5).pooled


def test_no_poses():
    none = np.empty((0, 5, 2), np.float32)
    assert m.joint_distances(none, none).shape == (0, 5)
    assert accelerations(none, np.empty(0, int), np.empty(0, int)).shape == (0, 5)
    assert np.isnan(m.pck(none, none, np.empty(0), 0.5).pooled)
