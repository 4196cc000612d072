"""3D metrics: hand-worked numbers, what is missing, kernels against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata import metrics_3d as m
from posedata.errors import UsageError
from posedata.metrics_2d import joint_distances


def random_pair(seed: int, n: int = 12, v: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 0.5, (n, v, 3)).astype(np.float32)
    predicted = (true + rng.normal(0, 0.1, true.shape)).astype(np.float32)
    true[rng.random((n, v)) < 0.2] = np.nan
    predicted[rng.random((n, v)) < 0.2] = np.nan
    return predicted, true


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_root_alignment_by_hand():
    poses = np.array([[[1, 1, 1], [3, 1, 1], [2, 5, 1]]], np.float32)
    np.testing.assert_array_equal(m.root_aligned(poses, [0])[0, 2], [1, 4, 0])
    np.testing.assert_array_equal(m.root_aligned(poses, [0, 1])[0, 2], [0, 4, 0])
    poses[0, 0, 1] = np.nan
    assert np.isnan(m.root_aligned(poses, [0, 1])[..., 1]).all()


def test_scale_by_hand():
    """Twice the true pose: the scale is 1/2. Off by (2, 0) on one joint: 4/8 of it."""
    true = np.array([[[0, 0, 0], [1, 0, 0], [0, 2, 0]]], np.float64)
    np.testing.assert_allclose(m.scale_aligned(2 * true, true), true)
    predicted = np.array([[[2, 0, 0], [2, 0, 0], [0, 0, 0]]], np.float64)
    expected = 2 / 8
    np.testing.assert_allclose(m.scale_aligned(predicted, true), expected * predicted)
    assert np.isnan(m.scale_aligned(0 * true, true)).all()


def test_a_pose_that_is_moved_turned_and_scaled_fits_exactly():
    _, true = random_pair(3)
    true = np.nan_to_num(true)
    moved = 1.7 * true @ rotation(1).T + [4.0, -2, 9]
    np.testing.assert_allclose(m.procrustes_aligned(moved, true), true, atol=1e-6)


def test_a_mirrored_pose_does_not_fit():
    _, true = random_pair(4)
    true = np.nan_to_num(true)
    distances = joint_distances(m.procrustes_aligned(true * [-1, 1, 1], true), true)
    assert distances.mean() > 0.05


def test_few_joints_have_no_alignment():
    true = np.full((2, 5, 3), np.nan)
    true[:, :2] = [[0, 0, 0], [1, 0, 0]]
    true[1, 2] = [0, 1, 0]
    aligned = m.procrustes_aligned(true, true)
    assert np.isnan(aligned[0]).all()
    np.testing.assert_allclose(aligned[1, :3], true[1, :3], atol=1e-12)
    assert np.isnan(aligned[1, 3:]).all()
    same = np.ones((1, 4, 3))
    assert np.isnan(m.procrustes_aligned(same, same)).all()


def test_alignment_is_for_space():
    with pytest.raises(UsageError, match="N, V, 3"):
        m.procrustes_aligned(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)))


def test_velocity_by_hand():
    """The truth stands, the prediction moves by 3 and then by 4; then a gap."""
    true = np.zeros((4, 1, 3))
    predicted = np.array([[[0, 0, 0]], [[3, 0, 0]], [[3, 4, 0]], [[9, 9, 9]]], float)
    frames, persons = np.array([0, 1, 2, 4]), np.zeros(4, int)
    errors = m.velocity_errors(predicted, true, frames, persons)[:, 0]
    np.testing.assert_array_equal(errors, [np.nan, 3, 4, np.nan])
    persons = np.array([0, 0, 1, 1])
    errors = m.velocity_errors(predicted, true, frames, persons)[:, 0]
    np.testing.assert_array_equal(errors, [np.nan, 3, np.nan, np.nan])


@given(st.integers(0, 2**32 - 1))
def test_kernels_are_their_definitions(seed: int):
    predicted, true = random_pair(seed)
    np.testing.assert_allclose(
        m.procrustes_aligned(predicted, true), m.plain_procrustes_aligned(predicted, true)
        + 0 * true, atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        m.root_aligned(predicted, [1, 2]), m.plain_root_aligned(predicted, [1, 2]), atol=1e-12
    )
    np.testing.assert_allclose(
        m.scale_aligned(predicted, true), m.plain_scale_aligned(predicted, true), atol=1e-9
    )
    rng = np.random.default_rng(seed)
    frames = np.sort(rng.choice(16, len(true), replace=False))
    persons = np.sort(rng.integers(0, 2, len(true)))
    np.testing.assert_allclose(
        m.velocity_errors(predicted, true, frames, persons),
        m.plain_velocity_errors(predicted, true, frames, persons),
    )


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_what_alignments_ignore(seed: int, scale: float):
    predicted, true = random_pair(seed)
    moved = scale * predicted.astype(float) @ rotation(seed).T + [1.0, 2, 3]
    np.testing.assert_allclose(
        m.procrustes_aligned(moved, true), m.procrustes_aligned(predicted, true), atol=1e-5
    )
    np.testing.assert_allclose(
        m.scale_aligned(scale * predicted, true), m.scale_aligned(predicted, true), atol=1e-5
    )


@given(st.integers(0, 2**32 - 1))
def test_alignment_makes_the_squared_distance_no_greater(seed: int):
    predicted, true = random_pair(seed)
    aligned = m.procrustes_aligned(predicted, true)
    known = np.isfinite(aligned).all(-1)
    before, after = joint_distances(predicted, true), joint_distances(aligned, true)
    before[~known] = np.nan
    assert (np.nansum(after**2, 1) <= np.nansum(before**2, 1) + 1e-9).all()


def test_errors_are_those_of_videopose3d():
    """Its definitions: the optimal similarity by SVD of unit-norm poses, one scale, differences."""
    rng = np.random.default_rng(7)
    true = rng.normal(0, 0.4, (30, 17, 3))
    predicted = 0.8 * true @ rotation(2).T + rng.normal(0, 0.1, true.shape)
    frames, person = np.arange(30), np.zeros(30, int)
    x, y = (poses - poses.mean(1, keepdims=True) for poses in (true, predicted))
    x_norm, y_norm = (np.sqrt((poses**2).sum((1, 2), keepdims=True)) for poses in (x, y))
    u, singular, vt = np.linalg.svd(np.swapaxes(x / x_norm, 1, 2) @ (y / y_norm))
    sign = np.sign(np.linalg.det(np.swapaxes(vt, 1, 2) @ np.swapaxes(u, 1, 2)))
    vt[:, -1] *= sign[:, None]
    singular[:, -1] *= sign
    turn = np.swapaxes(u @ vt, 1, 2)
    size = singular.sum(1)[:, None, None] * x_norm / y_norm
    expected = np.linalg.norm(size * (y @ turn) - x, axis=-1).mean()
    found = joint_distances(m.procrustes_aligned(predicted, true), true).mean()
    assert found == pytest.approx(expected, abs=1e-9)
    scale = (true * predicted).mean((1, 2)) / (predicted**2).mean((1, 2))
    expected = np.linalg.norm(scale[:, None, None] * predicted - true, axis=-1).mean()
    found = joint_distances(m.scale_aligned(predicted, true), true).mean()
    assert found == pytest.approx(expected, abs=1e-9)
    expected = np.linalg.norm(np.diff(predicted, axis=0) - np.diff(true, axis=0), axis=-1).mean()
    found = np.nanmean(m.velocity_errors(predicted, true, frames, person))
    assert found == pytest.approx(expected, abs=1e-9)
