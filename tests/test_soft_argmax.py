"""The soft-argmax and its inverse, against the closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.soft_argmax import gaussian_logits, soft_argmax

NAN = np.nan


def grid_error(x, sigma):
    """E - x of a Gaussian on the endless grid, by Poisson's summation: three terms."""
    k = np.arange(1, 4)
    q = np.exp(-2 * np.pi**2 * sigma**2) ** (k**2)
    above = -4 * np.pi * sigma**2 * (k * q * np.sin(2 * np.pi * k * x)).sum()
    return above / (1 + 2 * (q * np.cos(2 * np.pi * k * x)).sum())


def test_two_pixels_by_hand():
    # softmax of (0, ln 3) is (1/4, 3/4); with beta = 2 it is (1/10, 9/10)
    row = np.log([[1.0, 3.0]])
    np.testing.assert_allclose(soft_argmax(row), [0.75, 0])
    np.testing.assert_allclose(soft_argmax(row, beta=2), [0.9, 0])
    np.testing.assert_allclose(soft_argmax(row.T), [0, 0.75])


def test_marginals_by_hand():
    # weights 1 2 / 3 4 over 10: x = 6/10, y = 7/10
    np.testing.assert_allclose(soft_argmax(np.log([[1.0, 2], [3, 4]])), [0.6, 0.7])
    # depth 0 as above, depth 1 all 5: z = 20/30, x = (6 + 10) / 30, y = (7 + 10) / 30
    volume = np.log([[[1.0, 2], [3, 4]], [[5, 5], [5, 5]]])
    np.testing.assert_allclose(soft_argmax(volume, dims=3), [16 / 30, 17 / 30, 20 / 30])


def test_ends_of_beta():
    maps = np.random.default_rng(0).normal(size=(4, 9, 7))
    np.testing.assert_allclose(soft_argmax(maps, beta=0), np.full((4, 2), (3.0, 4.0)))
    hard = np.array([np.unravel_index(m.argmax(), m.shape)[::-1] for m in maps])
    np.testing.assert_allclose(soft_argmax(maps, beta=1e4), hard, atol=1e-6)


def test_heights_do_not_matter_and_nothing_overflows():
    maps = np.random.default_rng(0).normal(size=(5, 8, 8))
    np.testing.assert_allclose(soft_argmax(maps + 1000), soft_argmax(maps), atol=1e-9)
    assert np.isfinite(soft_argmax(maps * 1e6)).all()
    one = np.full((3, 3), -np.inf)
    one[2, 1] = 0
    np.testing.assert_array_equal(soft_argmax(one), [1, 2])


def test_types():
    assert soft_argmax(np.zeros((3, 3), np.float16)).dtype == np.float32
    assert soft_argmax(np.zeros((3, 3), np.float64)).dtype == np.float64
    assert soft_argmax(np.zeros((2, 5, 3, 3), np.float32)).shape == (2, 5, 2)
    assert soft_argmax(np.zeros((0, 3, 3))).shape == (0, 2)
    assert gaussian_logits(np.zeros((4, 2), np.float32), (5, 6)).dtype == np.float32
    assert np.isnan(soft_argmax(np.full((3, 3), NAN))).all()


@given(st.floats(20, 40), st.floats(20, 40), st.sampled_from([0.4, 0.6, 0.8, 1, 2]),
       st.sampled_from([0.5, 1, 30]))  # fmt: skip
def test_inverse_in_the_middle_is_the_closed_form(x, y, sigma, beta):
    back = soft_argmax(gaussian_logits(np.array([x, y]), (64, 61), sigma, beta), beta)
    expected = [x + grid_error(x, sigma), y + grid_error(y, sigma)]
    np.testing.assert_allclose(back, expected, atol=1e-7)


def test_documented_limits():
    phases = np.linspace(0, 1, 201)
    assert 0.0036 < max(abs(grid_error(x, 0.6)) for x in phases) < 0.00375
    assert max(abs(grid_error(x, 1)) for x in phases) < 4e-8

    def inwards(distance, sigma):
        logits = gaussian_logits(np.array([distance * sigma, 50.0]), (101, 101), sigma)
        return (soft_argmax(logits)[0] - distance * sigma) / sigma

    for sigma in (1, 2, 4):
        for distance, limit in ((0, 0.75), (1, 0.25), (3, 0.003), (4, 1e-4)):
            assert 0 < inwards(distance, sigma) < limit
    assert inwards(0, 4) > 0.5


def test_inverse_in_three_dimensions():
    point = np.array([[12.3, 20.6, 8.8], [15.0, 14.5, 9.2]])
    logits = gaussian_logits(point, (18, 40, 30), 1)
    assert logits.shape == (2, 18, 40, 30)
    np.testing.assert_allclose(soft_argmax(logits, dims=3), point, atol=1e-6)
    # the map itself, by hand: 2 pixels away in z and 1 in x
    logits = gaussian_logits(np.array([3, 2, 1]), (5, 5, 5), sigma=2, beta=0.5)
    assert logits[3, 2, 4] == pytest.approx(-(4 + 1) / (2 * 4 * 0.5))


def test_missing_stays_missing():
    logits = gaussian_logits(np.array([[NAN, NAN], [3, 3]]), (7, 7))
    assert np.isnan(logits[0]).all() and np.isfinite(logits[1]).all()
    assert np.isnan(soft_argmax(logits)[0]).all()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: soft_argmax(np.zeros(3)), r"\(\.\.\., H, W\)"),
    (lambda: soft_argmax(np.zeros((3, 3)), dims=3), r"\(\.\.\., D, H, W\)"),
    (lambda: soft_argmax(np.zeros((3, 0))), r"\(3, 0\)"),
    (lambda: soft_argmax(np.zeros((3, 3)), dims=1), "2 or 3"),
    (lambda: soft_argmax(np.zeros((3, 3)), beta=NAN), "beta"),
    (lambda: soft_argmax(np.zeros((3, 3)), beta=-1), "beta"),
    (lambda: gaussian_logits(np.zeros(2), (3, 3), beta=0), "beta"),
    (lambda: gaussian_logits(np.zeros(2), (3, 3), sigma=0), "sigma"),
    (lambda: gaussian_logits(np.zeros(2), (3, 3), sigma=np.inf), "sigma"),
    (lambda: gaussian_logits(np.zeros(2), (0, 3)), "size"),
    (lambda: gaussian_logits(np.zeros(2), (3,)), "size"),
    (lambda: gaussian_logits(np.zeros(3), (3, 3)), r"\(\.\.\., 2\)"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(call, message):
    with pytest.raises(UsageError, match=message):
        call()
