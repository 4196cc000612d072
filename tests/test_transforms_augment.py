"""Flips, turns, shears, scales, noise and reversed time."""

import numpy as np
import pytest
from hypothesis import given

from posedata.skeleton import list_skeletons
from posedata.transforms import (
    Bones,
    Centre,
    Flip,
    Noise,
    Rotate,
    Scale,
    ScreenNormalise,
    Shear,
    TimeReverse,
    apply,
)
from posedata.transforms.augment import _flip
from tests.made_samples import made_sample, sample_with, samples, there

BOTH = Flip(1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(sample=samples((3,)))
def test_in_space_two_flips_are_none_exactly(sample):
    twice = BOTH(BOTH(sample, rng()), rng())
    np.testing.assert_array_equal(twice.keypoints, sample.keypoints)
    np.testing.assert_array_equal(twice.scores, sample.scores)


@given(sample=samples((2, 5)))
def test_in_the_picture_two_flips_are_none(sample):
    twice = BOTH(BOTH(sample, rng()), rng())
    np.testing.assert_allclose(twice.keypoints, sample.keypoints, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(twice.scores, sample.scores)
    # exactly so at whole and half pixels
    points = np.round(sample.keypoints * 2) / 2
    halves = sample_with(points, sample.scores, skeleton=sample.skeleton.name)
    twice = BOTH(BOTH(halves, rng()), rng())
    np.testing.assert_array_equal(twice.keypoints, halves.keypoints)


@pytest.mark.parametrize("name", list_skeletons())
def test_each_side_becomes_the_other(name):
    sample = made_sample(1, 3, 2, skeleton=name, missing=0.2)
    out = BOTH(sample, rng())
    joints = sample.skeleton.joints
    for v, joint in enumerate(joints):
        if joint.startswith(("left", "right")):
            side, other = ("left", "right") if joint.startswith("left") else ("right", "left")
            partner = joints.index(joint.replace(side, other, 1))
        elif joint.startswith("face"):
            continue
        else:
            partner = v
        x, y = sample.keypoints[0, :, partner].T
        np.testing.assert_array_equal(out.keypoints[0, :, v], np.stack([639 - x, y], -1))
        np.testing.assert_array_equal(out.scores[0, :, v], sample.scores[0, :, partner])


def test_the_first_pixel_becomes_the_last():
    keypoints = np.full((1, 1, 17, 2), np.nan)
    keypoints[0, 0, 0] = [0, 7]
    out = BOTH(sample_with(keypoints, skeleton="coco17", width=100), rng())
    assert out.keypoints[0, 0, 0].tolist() == [99, 7]


def test_where_the_mirror_stands():
    order = made_sample(1, 1, 2).skeleton.flip_order
    sample = made_sample(1, 3, 2)
    for before in (ScreenNormalise(), Centre(), Bones()):
        made = before(sample, rng())
        expected = made.keypoints[:, :, order] * [-1, 1]
        np.testing.assert_array_equal(BOTH(made, rng()).keypoints, expected.astype(np.float32))
    both = made_sample(1, 3, 5)
    expected = both.keypoints[:, :, both.skeleton.flip_order].copy()
    expected[..., 0] = 639 - expected[..., 0]
    expected[..., 2] *= -1
    np.testing.assert_array_equal(BOTH(both, rng()).keypoints, expected)


def test_on_the_screen_flips_and_pixels_differ_by_the_half_pixels_only():
    # VideoPose3D's screen ends at the pixels' centres 0 and width: half a pixel to the right
    sample = made_sample(1, 3, 2, width=640)
    first = apply((BOTH, ScreenNormalise()), sample, rng())
    last = apply((ScreenNormalise(), BOTH), sample, rng())
    np.testing.assert_allclose(
        (last.keypoints - first.keypoints)[there(first)],
        np.broadcast_to([2 / 640, 0], (there(first).sum(), 2)), atol=1e-6,
    )  # fmt: skip


def test_how_often():
    sample, generator = made_sample(1, 1), rng()
    flipped = sum(Flip(0.3)(sample, generator) is not sample for _ in range(2000))
    assert 500 < flipped < 700
    assert Flip(0.0)(sample, generator) is sample
    assert TimeReverse(0.0)(sample, generator) is sample
    turned = sum(TimeReverse(0.3)(sample, generator) is not sample for _ in range(2000))
    assert 500 < turned < 700


def test_flip_kernel_is_the_plain_loop():
    sample = made_sample(2, 4, missing=0.3)
    mirrors = np.array([0, np.nan, np.nan], np.float32)
    arguments = (sample.keypoints, sample.scores, sample.skeleton.flip_order, mirrors)
    for fast, plain in zip(_flip(*arguments), _flip.py_func(*arguments), strict=True):
        np.testing.assert_array_equal(fast, plain)


@given(sample=samples((2, 3)))
def test_rotation_keeps_distances_and_gaps(sample):
    out = Rotate((30, 60, 90))(sample, rng())
    np.testing.assert_array_equal(there(out), there(sample))
    np.testing.assert_array_equal(out.scores, sample.scores)
    steps = np.diff(sample.keypoints, axis=2), np.diff(out.keypoints, axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(steps[0], axis=-1), np.linalg.norm(steps[1], axis=-1), rtol=1e-3, atol=1e-3
    )


def test_angles_stay_within_their_limits():
    keypoints = np.full((1, 1, 25, 3), np.nan)
    keypoints[0, 0, 0] = [1, 0, 0]
    sample = sample_with(keypoints, skeleton="nturgbd25")
    angles = []
    for seed in range(300):
        x, y, z = Rotate((0, 0, 20))(sample, rng(seed)).keypoints[0, 0, 0]
        assert abs(z) < 1e-6
        angles.append(np.degrees(np.arctan2(y, x)))
    assert -20 <= min(angles) < -17 and 17 < max(angles) <= 20
    up = Rotate((20, 0, 0))(sample, rng()).keypoints[0, 0, 0]
    np.testing.assert_allclose(up, [1, 0, 0], atol=1e-6)


def test_pixels_turn_about_the_middle_of_the_picture():
    keypoints = np.full((1, 1, 17, 2), np.nan)
    keypoints[0, 0, :2] = [[319.5, 239.5], [419.5, 239.5]]
    sample = sample_with(keypoints, skeleton="coco17")
    for transform in (Rotate((0, 0, 90)), Shear(), Scale()):
        out = transform(sample, rng(3)).keypoints
        np.testing.assert_allclose(out[0, 0, 0], [319.5, 239.5], atol=1e-3)
        assert np.abs(out[0, 0, 1] - [419.5, 239.5]).max() > 1
    centred = Centre()(sample, rng())
    out = Scale((2.0, 2.0))(centred, rng()).keypoints
    np.testing.assert_allclose(out, centred.keypoints * 2)


def test_shear_gives_each_coordinate_shares_of_the_others():
    keypoints = np.zeros((1, 1, 25, 3))
    keypoints[0, 0, :3] = np.eye(3)
    sample = sample_with(keypoints, skeleton="nturgbd25")
    shares = []
    for seed in range(100):
        matrix = Shear(0.5)(sample, rng(seed)).keypoints[0, 0, :3].T
        np.testing.assert_allclose(np.diag(matrix), 1)
        shares.extend(matrix[~np.eye(3, dtype=bool)])
    assert -0.5 <= min(shares) < -0.45 and 0.45 < max(shares) <= 0.5
    np.testing.assert_array_equal(Shear(0)(sample, rng()).keypoints, sample.keypoints)


def test_scales_stay_within_their_limits():
    sample = made_sample(1, 1, missing=0)
    factors = []
    for seed in range(100):
        ratio = Scale((0.5, 1.5))(sample, rng(seed)).keypoints / sample.keypoints
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
        factors.append(ratio.flat[0])
    assert 0.5 <= min(factors) < 0.55 and 1.45 < max(factors) <= 1.5


def test_noise_has_the_deviation_and_leaves_gaps():
    sample = made_sample(2, 100)
    out = Noise(0.05)(sample, rng())
    np.testing.assert_array_equal(there(out), there(sample))
    away = (out.keypoints - sample.keypoints)[there(sample)]
    assert away.std() == pytest.approx(0.05, rel=0.05)
    assert abs(away.mean()) < 0.005
    np.testing.assert_array_equal(Noise(0)(sample, rng()).keypoints, sample.keypoints)


@given(sample=samples((2, 3)))
def test_time_runs_backwards(sample):
    out = TimeReverse(1.0)(sample, rng())
    np.testing.assert_array_equal(out.keypoints, sample.keypoints[:, ::-1])
    np.testing.assert_array_equal(out.scores, sample.scores[:, ::-1])
    np.testing.assert_array_equal(out.frames, sample.frames[::-1])
