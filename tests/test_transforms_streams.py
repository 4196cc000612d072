"""Bones, motion and five channels."""

import numpy as np
import pytest
from hypothesis import given

from posedata.errors import UsageError
from posedata.skeleton import list_skeletons, load_skeleton
from posedata.transforms import Bones, FiveChannels, Flip, Motion, apply, five_channels, parents_of
from posedata.transforms.streams import _bones, _motion
from tests.made_samples import made_sample, sample_with, samples, there

RNG = np.random.default_rng(0)


@given(sample=samples((2, 3)))
def test_bones_are_joint_minus_parent(sample):
    out = Bones()(sample, RNG)
    parents = parents_of(sample.skeleton)
    for v, parent in enumerate(parents):
        other = v if parent < 0 else parent
        difference = sample.keypoints[:, :, v] - sample.keypoints[:, :, other]
        np.testing.assert_array_equal(out.keypoints[:, :, v], difference)
        least = np.minimum(sample.scores[:, :, v], sample.scores[:, :, other])
        np.testing.assert_array_equal(out.scores[:, :, v], least)


def test_bones_of_ntu_by_hand():
    keypoints = np.full((1, 1, 25, 3), np.nan)
    ntu = load_skeleton("nturgbd25")
    for joint, place in (("spine_shoulder", 1), ("neck", 3), ("head", 7), ("left_wrist", 2)):
        keypoints[0, 0, ntu.index(joint)] = place
    out = Bones()(sample_with(keypoints, skeleton="nturgbd25"), RNG)
    bones = out.keypoints[0, 0]
    assert bones[ntu.index("spine_shoulder")].tolist() == [0, 0, 0]  # 2s-AGCN's root
    assert bones[ntu.index("neck")].tolist() == [2, 2, 2]
    assert bones[ntu.index("head")].tolist() == [4, 4, 4]
    assert np.isnan(bones[ntu.index("left_wrist")]).all()  # nobody saw the elbow
    assert there(out).sum() == 3
    assert out.scores.sum() == 3


def test_mirrored_bones_are_bones_of_the_mirrored():
    sample = made_sample(1, 4)
    first = apply((Flip(1.0), Bones()), sample, RNG)
    last = apply((Bones(), Flip(1.0)), sample, RNG)
    np.testing.assert_allclose(first.keypoints, last.keypoints, atol=1e-6)


@pytest.mark.parametrize("name", list_skeletons())
def test_bones_of_every_skeleton_add_up_to_the_way_from_the_root(name):
    sample = made_sample(1, 1, 2, skeleton=name, missing=0)
    bones = Bones()(sample, RNG).keypoints[0, 0]
    parents = parents_of(sample.skeleton)
    for v in range(len(parents)):
        place, way = v, np.zeros(2)
        while parents[place] >= 0:
            way = way + bones[place]
            place = parents[place]
        expected = sample.keypoints[0, 0, v] - sample.keypoints[0, 0, place]
        np.testing.assert_allclose(way, expected, atol=1e-2)


def test_motion_by_hand():
    keypoints = np.full((1, 4, 17, 2), np.nan)
    keypoints[0, :, 0, 0] = [0, 1, 4, 9]
    keypoints[0, :, 0, 1] = 5
    keypoints[0, [0, 1, 3], 1] = 2
    scores = np.zeros((1, 4, 17))
    scores[0, :, 0] = [0.9, 0.5, 0.7, 1]
    scores[0, [0, 1, 3], 1] = 1
    out = Motion()(sample_with(keypoints, scores, skeleton="coco17"), RNG)
    assert out.keypoints[0, :, 0].tolist() == [[1, 0], [3, 0], [5, 0], [0, 0]]
    np.testing.assert_allclose(out.scores[0, :, 0], [0.5, 0.5, 0.7, 1])
    # missing in frame 2: no way there and none from there
    np.testing.assert_array_equal(there(out)[0, :, 1], [True, False, False, True])
    np.testing.assert_array_equal(out.keypoints[0, [0, 3], 1], 0)
    assert out.frames.tolist() == [7, 8, 9, 10]


@given(sample=samples((2, 3)))
def test_motion_of_one_frame_and_of_nobody(sample):
    out = Motion()(sample, RNG)
    if sample.keypoints.shape[1]:
        last = out.keypoints[:, -1]
        np.testing.assert_array_equal(np.isnan(last), np.isnan(sample.keypoints[:, -1]))
        assert (last[~np.isnan(last)] == 0).all()


def test_kernels_are_the_plain_loops():
    sample = made_sample(2, 6, missing=0.3)
    parents = np.maximum(parents_of(sample.skeleton), 0)
    for kernel, further in ((_bones, (parents,)), (_motion, ())):
        arguments = (sample.keypoints, sample.scores, *further)
        for fast, plain in zip(kernel(*arguments), kernel.py_func(*arguments), strict=True):
            np.testing.assert_array_equal(fast, plain)


def test_five_channels_by_hand():
    picture = np.array([[0, 0], [100, 50], [50, 25]], np.float32)
    space = np.array([[1, 1, 3], [2, 1, 3], [np.nan] * 3], np.float32)
    both = five_channels(picture, space, 100, 50, root=0)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both[0], [-1, -0.5, 0, 0, 0])
    np.testing.assert_allclose(both[1], [1, 0.5, 1, 0, 0])
    assert np.isnan(both[2]).all()
    picture[1] = np.nan
    assert np.isnan(five_channels(picture, space, 100, 50, root=0)[1]).all()
    assert np.isnan(five_channels(picture, space, 100, 50, root=2)).all()


@pytest.mark.parametrize(
    ("first", "second"), [((4, 3, 2), (4, 3, 2)), ((4, 3, 2), (5, 3, 3)), ((3, 3), (3, 3))]
)
def test_poses_that_do_not_belong_together(first, second):
    with pytest.raises(UsageError, match="belong together"):
        five_channels(np.zeros(first), np.zeros(second), 10, 10, 0)


def test_five_channels_of_a_sample():
    sample = made_sample(2, 5, 5)
    out = FiveChannels()(sample, RNG)
    root = sample.skeleton.index(sample.skeleton.root)
    expected = five_channels(sample.keypoints[..., :2], sample.keypoints[..., 2:], 640, 480, root)
    np.testing.assert_array_equal(out.keypoints, expected)
    np.testing.assert_array_equal(out.scores > 0, there(out))
    assert np.nanmax(np.abs(out.keypoints[..., 0])) < 1.1
    # mirrored on both channels of x
    flipped = Flip(1.0)(out, RNG).keypoints
    expected = out.keypoints[:, :, out.skeleton.flip_order] * [-1, 1, -1, 1, 1]
    np.testing.assert_array_equal(flipped, expected.astype(np.float32))
