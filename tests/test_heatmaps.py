"""Heatmap volumes: the rules by hand, the compiled loops against their plain definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.heatmaps import (
    LEAST_SCORE,
    MMACTION2_LIMBS,
    PYSKL_LIMBS,
    flip,
    flip_order,
    heatmaps,
    joint_map,
    limb_map,
    plain_heatmaps,
    scale_keypoints,
)
from posedata.skeleton import list_skeletons, load_skeleton

NAN = np.nan
ONE_LIMB = [(0, 1)]


def one(*joints, **options) -> np.ndarray:
    """The maps of one frame of one person, or of several when joints are lists of people."""
    keypoints = np.array(joints, np.float32)
    keypoints = keypoints[None, None] if keypoints.ndim == 2 else keypoints[:, None]
    return heatmaps(keypoints, **options)[:, 0]


def test_joint_by_hand():
    # sigma 0.6: 3 sigma = 1.8, so columns from trunc(8.2) = 8 to trunc(11.8) = 11, and so on
    drawn = one((10, 20), size=(40, 30))[0]
    assert drawn.dtype == np.float32
    assert drawn[20, 10] == 1
    np.testing.assert_allclose(drawn[20, 11], np.exp(-1 / 0.72), rtol=1e-6)  # 0.249
    np.testing.assert_allclose(drawn[19, 9], np.exp(-2 / 0.72), rtol=1e-6)  # 0.062
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 21, 8, 11)
    # the distance of 2 is drawn to the left and not to the right: trunc drops the fraction
    np.testing.assert_allclose(drawn[20, 8], np.exp(-4 / 0.72), rtol=1e-6)
    assert drawn[20, 12] == 0


def test_score_is_the_height_and_low_scores_draw_nothing():
    pose = np.full((1, 1, 3, 2), 5, np.float32)
    scores = np.array([[[0.5, 0.9e-4, 1.1e-4]]])
    drawn = heatmaps(pose, scores, size=(11, 11))[:, 0]
    assert drawn[0, 5, 5] == 0.5
    assert not drawn[1].any()
    assert drawn[2, 5, 5] == np.float32(1.1e-4)
    pyskl = heatmaps(pose, scores, size=(11, 11), least_score=1e-3)[:, 0]
    assert pyskl[0, 5, 5] == 0.5 and not pyskl[1:].any()


def test_borders():
    # x = -1.9: trunc(-0.1) = 0 is still a column; x = -2.9 has its last column at trunc(-1.1) = -1
    np.testing.assert_allclose(one((-1.9, 5), size=(11, 11))[0, 5, 0], np.exp(-(1.9**2) / 0.72),
                               rtol=1e-5)  # fmt: skip
    assert not one((-2.9, 5), size=(11, 11)).any()
    assert one((12.7, 5), size=(11, 11))[0, 5, 10] > 0
    assert not one((12.9, 5), size=(11, 11)).any()  # trunc(11.1) = 11 is past the last
    for far in (1e6, -1e6, 1e30, -1e30):
        assert not one((far, 5), size=(11, 11)).any()
        assert not one((5, far), size=(11, 11)).any()


def test_limb_by_hand():
    drawn = one((10, 20), (20, 20), size=(40, 30), joints=False, limbs=ONE_LIMB)[0]
    np.testing.assert_array_equal(drawn[20, 10:21], 1)
    np.testing.assert_allclose(drawn[21, 10:21], np.exp(-1 / 0.72), rtol=1e-6)
    np.testing.assert_allclose(drawn[20, 9], np.exp(-1 / 0.72), rtol=1e-6)
    np.testing.assert_allclose(drawn[19, 9], np.exp(-2 / 0.72), rtol=1e-6)
    # the box: columns trunc(8.2) = 8 to trunc(21.8) = 21, rows trunc(18.2) = 18 to 21
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 21, 8, 21)


def test_slanted_limb_by_hand():
    # from (5, 5) to (15, 15), sigma 1: the pixel (9, 11) is sqrt(2) from the line
    drawn = one((5, 5), (15, 15), size=(30, 30), sigma=1, joints=False, limbs=ONE_LIMB)[0]
    np.testing.assert_allclose(drawn[11, 9], np.exp(-1), rtol=1e-5)
    np.testing.assert_allclose(drawn[np.arange(5, 16), np.arange(5, 16)], 1, rtol=1e-6)
    # the corner of the box, 10 * sqrt(2) / 2 away, is below what a float32 near 1 can tell from 0
    assert drawn[15, 5] == 0


def test_limb_has_the_lower_score_and_needs_both():
    pose = np.array([[[[5, 5], [15, 5]]]], np.float32)
    for first, second, height in ((0.5, 0.8, 0.5), (0.8, 0.5, 0.5), (0.8, 0.5e-4, 0), (0, 1, 0)):
        drawn = heatmaps(pose, np.array([[[first, second]]]), size=(11, 21), joints=False,
                         limbs=ONE_LIMB)  # fmt: skip
        assert drawn[0, 0, 5, 10] == np.float32(height)


def test_limb_shorter_than_a_pixel_is_its_start_with_the_score_of_that():
    pose = np.array([[[[5, 5], [5.6, 5.6]]]], np.float32)  # 0.85 long
    scores = np.array([[[0.9, 0.4]]])
    drawn = heatmaps(pose, scores, size=(11, 11), limbs=[(0, 1), (1, 0)])[:, 0]
    np.testing.assert_allclose(drawn[2], drawn[0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(drawn[3], drawn[1], rtol=0, atol=1e-7)
    assert drawn[2].max() == np.float32(0.9)
    same = np.full((1, 1, 2, 2), 5, np.float32)
    drawn = heatmaps(same, size=(11, 11), limbs=ONE_LIMB)[:, 0]
    np.testing.assert_allclose(drawn[2], drawn[0], rtol=0, atol=1e-7)


def test_people_share_channels():
    people = [[(5, 5)], [(6, 5)]]
    near = np.exp(-1 / 0.72)
    np.testing.assert_allclose(one(*people, size=(11, 11))[0, 5, 5:7], [1, 1])
    summed = one(*people, size=(11, 11), people="sum")[0, 5, 5:7]
    np.testing.assert_allclose(summed, [1 + near, 1 + near], rtol=1e-6)


@pytest.mark.parametrize("bad", [(NAN, 5), (5, NAN), (NAN, NAN), (np.inf, 5), (5, -np.inf)])
def test_what_is_missing_draws_nothing(bad):
    drawn = one(bad, (8, 8), (2, 8), size=(11, 11), limbs=[(0, 1), (1, 0), (1, 2)])
    assert np.isfinite(drawn).all()
    assert not drawn[[0, 3, 4]].any()
    assert drawn[1].any() and drawn[2].any() and drawn[5].any()


@pytest.mark.parametrize("score", [NAN, np.inf, -1, 0])
def test_scores_that_are_none_draw_nothing(score):
    pose = np.array([[[[5, 5], [8, 8]]]], np.float32)
    drawn = heatmaps(pose, np.array([[[score, 1]]]), size=(11, 11))
    assert not drawn[0].any() and drawn[1].any()


def test_nan_score_of_a_limbs_end_as_in_the_reference():
    pose = np.array([[[[2, 5], [8, 5]]]], np.float32)
    drawn = heatmaps(pose, np.array([[[0.5, NAN]]]), size=(11, 11), joints=False,
                     limbs=[(0, 1), (1, 0)])[:, 0]  # fmt: skip
    assert drawn[0, 5, 5] == 0.5 and not drawn[1].any()


def test_nobody_and_no_frames():
    assert not heatmaps(np.zeros((0, 3, 5, 2)), limbs=ONE_LIMB).any()
    assert heatmaps(np.zeros((0, 3, 5, 2)), limbs=ONE_LIMB).shape == (6, 3, 56, 56)
    assert heatmaps(np.zeros((2, 0, 5, 2))).shape == (5, 0, 56, 56)


coordinates = st.one_of(
    st.floats(-5, 40, width=32), st.integers(-5, 40).map(float), st.floats(-300, 300, width=32),
    st.sampled_from([NAN, np.inf, 1e5, -1e20]),
)  # fmt: skip
score_values = st.one_of(
    st.floats(0, 1, width=32), st.sampled_from([0, LEAST_SCORE, 5e-5, 2e-4, NAN])
)


@st.composite
def poses(draw):
    persons, joints = draw(st.integers(0, 3)), draw(st.integers(2, 4))
    shape = (persons, 2, joints)
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    count = persons * 2 * joints
    values = draw(st.lists(coordinates, min_size=2 * count, max_size=2 * count))
    keypoints = np.array(values, np.float32).reshape(*shape, 2)
    if draw(st.booleans()):  # some limbs of less than a pixel
        keypoints[:, :, 1] = keypoints[:, :, 0] + np.float32(0.4)
    values = draw(st.lists(score_values, min_size=count, max_size=count))
    return keypoints, np.array(values, np.float32).reshape(shape), size


@settings(max_examples=150)
@given(poses(), st.sampled_from([0.1, 0.6, 1.0, 2.5, 40.0]), st.sampled_from(["max", "sum"]))
def test_kernel_is_the_plain_definition(case, sigma, people):
    keypoints, scores, size = case
    limbs = [(0, 1), (1, 0)]
    expected = plain_heatmaps(keypoints, scores, size, sigma, True, limbs, people)
    drawn = heatmaps(keypoints, scores, size=size, sigma=sigma, limbs=limbs, people=people)
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=4e-7)
    assert np.isfinite(drawn).all()


def random_poses(persons=2, steps=6, joints=17, seed=0):
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-10, 66, (persons, steps, joints, 2)).astype(np.float32)
    return keypoints, rng.random((persons, steps, joints)).astype(np.float32)


def test_long_limbs_are_the_plain_definition():
    keypoints, scores = random_poses(steps=40)
    for scale in (1, 30, 1e4):  # limbs that cross the map, from near and far
        far = (keypoints - 28) * np.float32(scale) + 28
        drawn = heatmaps(far, scores, joints=False, limbs=PYSKL_LIMBS)
        expected = plain_heatmaps(far, scores, (56, 56), 0.6, False, PYSKL_LIMBS)
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=2e-7)
        assert drawn.any()


@pytest.mark.parametrize("people", ["max", "sum"])
def test_rounded_volumes(people):
    keypoints, scores = random_poses()
    scores *= 1.5  # above 1: a uint8 ends at 255
    options = {"sigma": 1.3, "limbs": PYSKL_LIMBS, "people": people}
    full = heatmaps(keypoints, scores, **options)
    assert full.max() > 1
    half = heatmaps(keypoints, scores, dtype="float16", **options)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, full.astype(np.float16))
    byte = heatmaps(keypoints, scores, dtype=np.uint8, **options)
    assert byte.dtype == np.uint8
    np.testing.assert_array_equal(byte, np.rint(full.astype(float) * 255).clip(0, 255))
    assert byte.max() == 255


def test_half_precision_past_its_largest_number():
    for score in (65519, 65520, 1e6, 65504, 2e-4, 1.0003e-4):
        pose = np.full((1, 1, 1, 2), 5.3)
        options = {"scores": np.full((1, 1, 1), score), "size": (11, 11)}
        with np.errstate(over="ignore"):
            expected = heatmaps(pose, **options).astype(np.float16)
        np.testing.assert_array_equal(heatmaps(pose, dtype="float16", **options), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_out_is_written_over(dtype):
    keypoints, scores = random_poses()
    options = {"dtype": dtype, "limbs": PYSKL_LIMBS}
    fresh = heatmaps(keypoints, scores, **options)
    out = np.full_like(fresh, 7)
    assert heatmaps(keypoints, scores, out=out, **options) is out
    np.testing.assert_array_equal(out, fresh)
    again = heatmaps(keypoints[:1], scores[:1], out=out, **options)
    np.testing.assert_array_equal(again, heatmaps(keypoints[:1], scores[:1], **options))


def test_float64_and_strided_input():
    keypoints, scores = random_poses()
    expected = heatmaps(keypoints, scores)
    apart = np.zeros((*keypoints.shape[:-1], 3))
    apart[..., :2] = keypoints
    drawn = heatmaps(apart[..., :2], scores.astype(np.float64))
    np.testing.assert_array_equal(drawn, expected)


def test_flip_exchanges_left_and_right():
    coco = load_skeleton("coco17")
    order = flip_order(coco, limbs=PYSKL_LIMBS)
    assert order[:5].tolist() == [0, 2, 1, 4, 3]
    assert order[17:23].tolist() == [18, 17, 21, 22, 19, 20]  # nose - shoulder, arms
    keypoints, scores = random_poses()
    maps = heatmaps(keypoints, scores, limbs=PYSKL_LIMBS)
    flipped = flip(maps, order)
    np.testing.assert_array_equal(flipped[1], maps[2, :, :, ::-1])
    np.testing.assert_array_equal(flip(flipped, order), maps)
    assert flipped.flags.c_contiguous


def test_flip_pairs_are_those_of_the_reference():
    coco = load_skeleton("coco17")
    for limbs, left, right in (  # as PYSKL's and mmaction2's options left_limb and right_limb
        (PYSKL_LIMBS, (0, 2, 3, 6, 7, 8, 12, 14), (1, 4, 5, 9, 10, 11, 13, 15)),
        (MMACTION2_LIMBS, (0, 2, 4, 5, 6, 10, 11, 12), (1, 3, 7, 8, 9, 13, 14, 15)),
    ):
        expected = np.arange(17)
        expected[list(left)], expected[list(right)] = right, left
        np.testing.assert_array_equal(flip_order(coco, joints=False, limbs=limbs), expected)
    assert {frozenset(limb) for limb in PYSKL_LIMBS} == {
        frozenset(limb) for limb in MMACTION2_LIMBS
    }


@pytest.mark.parametrize("name", list_skeletons())
def test_flip_twice_is_identity_for_every_skeleton(name):
    skeleton = load_skeleton(name)
    order = flip_order(skeleton, limbs=skeleton.bones)
    np.testing.assert_array_equal(order[order], np.arange(len(order)))


def test_flip_needs_both_sides():
    with pytest.raises(UsageError, match="left_shoulder - left_elbow"):
        flip_order(load_skeleton("coco17"), limbs=[(5, 7), (7, 9)])


def test_scale_keypoints():
    poses = np.array([[100, 50], [NAN, NAN]])
    scaled = scale_keypoints(poses, (100, 200), (56, 28))
    np.testing.assert_allclose(scaled, [[14, 28], [NAN, NAN]])
    for bad in ((0, 10), (10,), (NAN, 10)):
        with pytest.raises(UsageError, match="size of an image"):
            scale_keypoints(poses, bad, (56, 56))


GOOD = np.zeros((1, 2, 3, 2), np.float32)


@pytest.mark.parametrize(("keypoints", "options", "message"), [
    (GOOD, {"sigma": 0}, "sigma"),
    (GOOD, {"sigma": -0.6}, "sigma"),
    (GOOD, {"sigma": NAN}, "sigma"),
    (GOOD, {"sigma": np.inf}, "sigma"),
    (GOOD, {"sigma": "wide"}, "sigma"),
    (GOOD, {"size": (0, 56)}, "size of heatmaps"),
    (GOOD, {"size": (56, -1)}, "size of heatmaps"),
    (GOOD, {"size": (5.5, 5)}, "size of heatmaps"),
    (GOOD, {"size": 56}, "size of heatmaps"),
    (GOOD, {"people": "mean"}, "put people together.*max or sum"),
    (GOOD, {"dtype": "int8"}, "float32, float16, uint8"),
    (GOOD, {"joints": False}, "neither joints nor limbs"),
    (GOOD, {"limbs": [(0, 3)]}, "no such joints"),
    (GOOD, {"limbs": [(1, 1)]}, "no such joints"),
    (GOOD, {"limbs": [(0, 1, 2)]}, "pairs of joint indices"),
    (GOOD, {"limbs": [(0.0, 1.0)]}, "pairs of joint indices"),
    (GOOD[0], {}, r"shape \(M, T, V, 2\)"),
    (np.zeros((1, 2, 3, 3)), {}, r"shape \(M, T, V, 2\)"),
    (GOOD, {"scores": np.zeros((1, 2, 4))}, r"scores.*\(1, 2, 3\)"),
    (GOOD, {"out": np.zeros((3, 2, 56, 55), np.float32)}, "cannot be written to"),
    (GOOD, {"out": np.zeros((3, 2, 56, 56))}, "cannot be written to"),
    (GOOD, {"out": np.zeros((3, 2, 56, 112), np.float32)[..., ::2]}, "cannot be written to"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_said(keypoints, options, message):
    with pytest.raises(UsageError, match=message):
        heatmaps(keypoints, **options)


def test_plain_maps_of_ends_that_are_far_out():
    far = np.array([-2e19, 5], np.float32), np.array([2e19, 5], np.float32)
    assert not limb_map(*far, 1, 1, (11, 11), 0.6).any()
    assert not joint_map(far[0], 1, (11, 11), 0.6).any()
