"""`posedata.layouts`: samples as arrays of a model."""

import numpy as np
import pytest

from posedata.errors import UsageError
from posedata.layouts import gcn_array, pad_sequences, stack_gcn
from posedata.sample import Sample, sample_of
from tests.made_clips import made_clip


def sample(tracks, num_frames, clip_id="a") -> Sample:
    return sample_of(made_clip(clip_id, tracks, num_frames), "keypoints_2d", 9)


def test_graph_networks_get_channels_steps_joints_persons_and_0_for_missing():
    one = sample([range(3), [1]], 3)
    array = gcn_array(one, 2)
    assert array.shape == (2, 3, 17, 2)
    assert array.dtype == np.float32
    for m in range(2):
        for t in range(3):
            for v in range(17):
                expected = np.nan_to_num(one.keypoints[m, t, v])
                np.testing.assert_array_equal(array[:, t, v, m], expected)


def test_people_are_filled_up_and_left_out():
    one = sample([range(3), [1], [2]], 3)
    np.testing.assert_array_equal(gcn_array(one, 5)[..., 3:], 0)
    np.testing.assert_array_equal(gcn_array(one, 1), gcn_array(one, 3)[..., :1])


def test_a_batch_is_its_samples():
    samples = [sample([range(3)], 3, "a"), sample([range(2), [2]], 3, "b"), sample([], 3, "c")]
    batch = stack_gcn(samples, 2)
    np.testing.assert_array_equal(batch, [gcn_array(one, 2) for one in samples])


def test_clips_of_different_length_cannot_be_stacked():
    with pytest.raises(UsageError, match="differ in shape"):
        stack_gcn([sample([[0]], 3), sample([[0]], 4)], 1)


def test_sequences_are_padded_and_masked():
    short, long = sample([[0]], 2, "a"), sample([range(4), [3]], 4, "b")
    keypoints, mask, lengths = pad_sequences([short, long], 2)
    assert keypoints.shape == (2, 4, 2, 17, 2)
    assert lengths.tolist() == [2, 4]
    assert not mask[0, 1:].any()
    assert not mask[0, :, 1].any()
    np.testing.assert_array_equal(mask[1], ~np.isnan(long.keypoints).any(-1).transpose(1, 0, 2))
    np.testing.assert_array_equal(keypoints[~mask], 0)
    np.testing.assert_array_equal(
        keypoints[1][mask[1]], long.keypoints.transpose(1, 0, 2, 3)[mask[1]]
    )
