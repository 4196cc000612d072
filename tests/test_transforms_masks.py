"""Masks only remove; what they remove is worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.skeleton import list_skeletons
from posedata.transforms import (
    SUB_GRAPHS,
    JointMask,
    JointOccluder,
    LimbOccluder,
    SubGraphMask,
    joints_of_part,
)
from posedata.transforms.masks import _occlude, _without_joints
from tests.made_samples import made_sample, sample_with, samples, there

MASKS = st.sampled_from(
    [SubGraphMask(), JointMask(5), JointMask(99), JointMask(2, share=0.4), LimbOccluder(),
     LimbOccluder(3, 0.5, 0.3), JointOccluder(), JointOccluder(2, 1.0, 0.0)]
)  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


@given(sample=samples((2, 5)), mask=MASKS, seed=st.integers(0, 99))
def test_masks_only_remove(sample, mask, seed):
    out = mask(sample, rng(seed))
    left = there(out)
    assert not (left & ~there(sample)).any()
    np.testing.assert_array_equal(out.keypoints[left], sample.keypoints[left])
    np.testing.assert_array_equal(out.scores[left], sample.scores[left])
    gone = there(sample) & ~left
    assert np.isnan(out.keypoints[gone]).all()
    assert (out.scores[gone] == 0).all()
    np.testing.assert_array_equal(out.frames, sample.frames)


@pytest.mark.parametrize("name", list_skeletons())
@pytest.mark.parametrize("part", SUB_GRAPHS)
def test_a_part_of_the_body_is_gone_and_all_else_there(name, part):
    sample = made_sample(2, 4, 2, skeleton=name, missing=0)
    out = SubGraphMask(masks=(part,))(sample, rng())
    expected = np.broadcast_to(~joints_of_part(sample.skeleton, part), out.scores.shape)
    np.testing.assert_array_equal(there(out), expected)


def test_each_of_the_six_comes_equally_often():
    sample = made_sample(1, 1, 3, missing=0)
    generator, counts = rng(), dict.fromkeys(SUB_GRAPHS, 0)
    for _ in range(3000):
        gone = ~there(SubGraphMask()(sample, generator))[0, 0]
        (part,) = (
            part for part in SUB_GRAPHS
            if np.array_equal(gone, joints_of_part(sample.skeleton, part))
        )  # fmt: skip
        counts[part] += 1
    assert min(counts.values()) > 400
    assert max(counts.values()) < 600


def test_a_segment_of_tau_frames():
    sample = made_sample(1, 20, missing=0)
    starts = set()
    for seed in range(60):
        out = SubGraphMask(tau=15, masks=("none",))(sample, rng(seed))
        assert out.keypoints.shape[1] == 15
        begin = int(out.frames[0]) - 7
        np.testing.assert_array_equal(out.keypoints, sample.keypoints[:, begin : begin + 15])
        starts.add(begin)
    assert starts == set(range(6))
    assert SubGraphMask(tau=30, fill="loop")(sample, rng()).frames[-1] == 16
    assert (SubGraphMask(tau=30)(sample, rng()).frames == -1).sum() == 10


def test_joints_are_the_same_in_all_steps_and_of_all_people():
    sample = made_sample(2, 6, missing=0)
    seen = set()
    for seed in range(100):
        gone = ~there(JointMask(3)(sample, rng(seed)))
        assert (gone == gone[0, 0]).all()
        assert gone[0, 0].sum() == 3
        seen.update(np.flatnonzero(gone[0, 0]))
    assert seen == set(range(25))
    assert not there(JointMask(25)(sample, rng())).any()


def test_a_share_of_the_steps():
    sample = made_sample(1, 4000, missing=0)
    gone = ~there(JointMask(3, share=0.25)(sample, rng()))[0]
    assert set(gone.sum(1)) == {0, 3}
    assert 0.2 < (gone.sum(1) == 3).mean() < 0.3
    assert there(JointMask(3, share=0.0)(sample, rng())).all()


def pose(points, steps=1, persons=1):
    """Poses of COCO with some joints only, the same in all steps."""
    keypoints = np.full((persons, steps, 17, 2), np.nan)
    for joint, place in points.items():
        keypoints[:, :, joint] = place
    return sample_with(keypoints, skeleton="coco17")


def test_a_square_over_a_joint_by_hand():
    # box of 100 x 40: sides of 0.3 * 100 = 30, 15 to each side
    sample = pose({0: (0, 0), 1: (15, 15), 2: (15.1, 0), 3: (0, -15.1), 4: (100, 24.9)})
    limbs = np.array([[0, 0]])
    keypoints, scores = _occlude(
        sample.keypoints, sample.scores, limbs, 0.3, 1.0, np.array([[0.5, 0.5]])
    )
    assert np.flatnonzero(~np.isnan(keypoints[0, 0, :, 0])).tolist() == [2, 3, 4]
    assert np.flatnonzero(scores[0, 0]).tolist() == [2, 3, 4]


def test_a_bar_over_a_slanted_limb_by_hand():
    # limb from (0, 0) to (60, 80), 100 long; box of 60 x 80: width 0.25 * 80 = 20, 10 to each side
    along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    points = {0: 0 * along, 1: 100 * along, 2: 50 * along + 9 * across, 3: 30 * along,
              4: 20 * along - 9 * across}  # fmt: skip
    box = np.ptp(np.array(list(points.values())), axis=0).max()
    half = box * 0.25 / 2
    points[5] = 50 * along + (half + 0.1) * across  # beside it
    points[6] = -(half - 0.1) * along  # within what it reaches beyond the end
    points[7] = (100 + half - 0.1) * along
    sample = pose({k: tuple(map(float, v)) for k, v in points.items()})
    grown = np.ptp(np.array(list(points.values())), axis=0).max()
    keypoints, _ = _occlude(
        sample.keypoints, sample.scores, np.array([[0, 1]]), 2 * half / grown, 1.0,
        np.array([[0.0, 0.0]]),
    )  # fmt: skip
    assert np.flatnonzero(~np.isnan(keypoints[0, 0, :, 0])).tolist() == [5]


def test_it_stands_still_in_the_picture_for_its_time():
    # everybody walks to the right by 10 pixels a frame; a square of 40 over joint 0
    steps = 20
    keypoints = np.full((1, steps, 17, 2), np.nan)
    keypoints[0, :, 0, 0] = 10 * np.arange(steps)
    keypoints[0, :, 0, 1] = 50
    keypoints[0, :, 1] = keypoints[0, :, 0] + [0, 100]
    sample = sample_with(keypoints, skeleton="coco17")
    limbs = np.array([[0, 0]])
    whole, _ = _occlude(sample.keypoints, sample.scores, limbs, 0.4, 1.0, np.array([[0.5, 0.0]]))
    gone = np.flatnonzero(np.isnan(whole[0, :, 0, 0]))
    assert gone.tolist() == [8, 9, 10, 11, 12]  # over frame 10, 20 pixels to each side
    assert not np.isnan(whole[0, :, 1]).any()
    for draw in (0.0, 0.4, 0.999):
        part, _ = _occlude(
            sample.keypoints, sample.scores, limbs, 0.4, 0.1, np.array([[0.5, draw]])
        )
        gone = np.flatnonzero(np.isnan(part[0, :, 0, 0])).tolist()
        assert gone in ([9, 10], [10, 11])


def test_it_hides_other_people_too():
    sample = pose({0: (50, 50), 1: (50, 150)}, persons=2)
    out = JointOccluder(1, 0.1)(sample, rng())
    assert there(out).sum() == 2
    np.testing.assert_array_equal(there(out)[0], there(out)[1])


def test_limbs_need_both_ends():
    # nose and left hip are no bone of COCO: nothing to lay a bar over
    sample = pose({0: (50, 50), 11: (50, 150)})
    assert there(LimbOccluder(5, 1.0)(sample, rng())).sum() == 2
    assert there(JointOccluder(5, 5.0)(sample, rng())).sum() == 0


@given(sample=samples((2,)), seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_joint_occluder_hides_something_wherever_somebody_is(sample, seed, share):
    out = JointOccluder(1, 0.2, share)(sample, rng(seed))
    if there(sample).any():
        assert there(out).sum() < there(sample).sum()
    limbs = LimbOccluder(1, 0.2, share)(sample, rng(seed))
    ends = sample.skeleton.bone_indices
    if (there(sample)[..., ends[:, 0]] & there(sample)[..., ends[:, 1]]).any():
        assert there(limbs).sum() <= there(sample).sum() - 2


def test_kernels_are_the_plain_loops():
    sample = made_sample(2, 7, 2, missing=0.4)
    draws = rng().random((4, 2))
    arguments = (sample.keypoints, sample.scores, sample.skeleton.bone_indices, 0.3, 0.4, draws)
    for fast, plain in zip(_occlude(*arguments), _occlude.py_func(*arguments), strict=True):
        np.testing.assert_array_equal(fast, plain)
    arguments = (sample.keypoints, sample.scores, draws[0, 0] > rng().random(17),
                 rng(1).random(7) < 0.5)  # fmt: skip
    for fast, plain in zip(
        _without_joints(*arguments), _without_joints.py_func(*arguments), strict=True
    ):
        np.testing.assert_array_equal(fast, plain)
