"""Axes that point elsewhere: told from poses, and turned on demand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.axes import ALL_AXES, fit_of_axes, is_mirrored, other_axes, parse_axes, turned
from posedata.errors import UsageError


def people(seed: int, num_poses: int = 40) -> np.ndarray:
    """Upright bodies: 1.7 m high, 0.5 m wide, 0.25 m deep, joints that move."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-0.5, 0.5, (17, 3)) * [0.5, 1.7, 0.25]
    poses = body + rng.normal(0, 0.03, (num_poses, 17, 3))
    poses[rng.random(poses.shape[:2]) < 0.1] = np.nan
    return (poses + rng.normal(0, 1, (num_poses, 1, 3))).astype(np.float32)


def test_by_hand():
    point = np.array([[[1, 2, 3]]], np.float32)
    assert turned(point, "x,-y,-z").tolist() == [[[1, -2, -3]]]
    assert turned(point, " -z, x,y").tolist() == [[[-3, 1, 2]]]
    assert turned(point, "x,y,z").dtype == np.float32
    assert (len(set(ALL_AXES)), ALL_AXES[0]) == (48, "x,y,z")
    assert not is_mirrored("x,-y,-z")
    assert not is_mirrored("y,z,x")
    assert is_mirrored("x,-y,z")


@pytest.mark.parametrize("text", ["", "x,y", "x,y,y", "x,y,+z", "x,y,z,x", "a,b,c", "--x,y,z"])
def test_what_names_no_axes(text: str):
    with pytest.raises(UsageError, match="once each"):
        parse_axes(text)


@given(st.integers(0, 2**32 - 1), st.sampled_from(ALL_AXES[1:]))
def test_every_other_way_is_told(seed: int, axes: str):
    """The axes that are named turn the prediction back into the truth's."""
    true = people(seed)
    noise = np.random.default_rng(seed).normal(0, 0.03, true.shape).astype(np.float32)
    back = parse_axes(axes).T  # of the truth into the layer's
    predicted = 1.2 * (true + noise) @ back.T.astype(np.float32)
    found = other_axes(fit_of_axes(predicted, true))
    assert found is not None
    np.testing.assert_allclose(turned(predicted, found[0]), 1.2 * (true + noise), rtol=1e-5)
    assert found[1] > 0.9


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_bad_poses_are_of_no_axes(seed: int, noise: float):
    true = people(seed)
    rng = np.random.default_rng(seed)
    assert other_axes(fit_of_axes(true + rng.normal(0, noise, true.shape), true)) is None


def test_too_little_to_tell():
    true = people(0)
    true[9:] = np.nan
    assert other_axes(fit_of_axes(-true, true)) is None
    assert np.isnan(fit_of_axes(-true, true)[9:]).all()
    assert other_axes(np.empty((0, 48))) is None
