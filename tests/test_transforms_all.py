"""What is true of every transform, and the checks of their parameters."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import posedata.transforms as transforms
from posedata.converters import nucla
from posedata.errors import UsageError
from posedata.layouts import gcn_array
from posedata.sample import sample_of
from posedata.storage import locate
from posedata.transforms import apply
from tests.made_samples import made_sample, samples, there

# how each is made, and the channels that it takes
ALL = [
    (transforms.UniformSampling(8), (2, 3, 5)),
    (transforms.UniformSampling(8, clips=3, test=True), (2, 3, 5)),
    (transforms.UniformPoses(6), (2, 3, 5)),
    (transforms.WindowSampling(8), (2, 3, 5)),
    (transforms.WindowSampling(8, "centre", "loop"), (2, 3, 5)),
    (transforms.WindowSampling(8, "first", "repeat"), (2, 3, 5)),
    (transforms.ResizeInTime(8), (2, 3, 5)),
    (transforms.ResizeInTime(8, (0.5, 1.0), shortest=4), (2, 3, 5)),
    (transforms.Centre(), (2, 3)),
    (transforms.Centre("mean", frames="first", person="each"), (2, 3)),
    (transforms.ViewNormalise(), (3,)),
    (transforms.ScaleNormalise(), (2, 3)),
    (transforms.ScreenNormalise(), (2,)),
    (transforms.Flip(1.0), (2, 3, 5)),
    (transforms.Rotate((20, 20, 20)), (2, 3)),
    (transforms.Shear(), (2, 3)),
    (transforms.Scale(), (2, 3)),
    (transforms.Noise(0.1), (2, 3, 5)),
    (transforms.TimeReverse(1.0), (2, 3, 5)),
    (transforms.Bones(), (2, 3, 5)),
    (transforms.Motion(), (2, 3, 5)),
    (transforms.FiveChannels(), (5,)),
    (transforms.SubGraphMask(), (2, 3, 5)),
    (transforms.SubGraphMask(8), (2, 3, 5)),
    (transforms.JointMask(3, share=0.5), (2, 3, 5)),
    (transforms.LimbOccluder(2), (2, 5)),
    (transforms.JointOccluder(2, share=0.5), (2, 5)),
    (transforms.SubjectCrop(), (2, 5)),
]
CASES = [pytest.param(one, channels, id=repr(one)) for one, channels in ALL]


def test_all_are_tested_here():
    public = {name for name in transforms.__all__ if name[0].isupper() and name != "SUB_GRAPHS"}
    assert public == {type(one).__name__ for one, _ in ALL}


@pytest.mark.parametrize(("transform", "channels"), CASES)
@given(data=st.data())
def test_any_clip_gives_a_whole_sample(transform, channels, data):
    sample = data.draw(samples(channels))
    before = [array.copy() for array in (sample.keypoints, sample.scores, sample.frames)]
    out = transform(sample, np.random.default_rng(1))
    persons, steps, joints, _ = out.keypoints.shape
    assert (persons, joints) == (sample.keypoints.shape[0], sample.keypoints.shape[2])
    assert out.scores.shape == (persons, steps, joints)
    assert out.frames.shape == (steps,)
    assert out.keypoints.dtype == out.scores.dtype == np.float32
    assert out.frames.dtype == np.int64
    assert out.keypoints.flags.c_contiguous
    assert not np.isinf(out.keypoints).any()
    # what is missing has score 0
    assert (out.scores[~there(out)] == 0).all()
    # frames are those of the clip, or -1
    assert set(out.frames) <= {*sample.frames, -1}
    assert (out.clip_id, out.label, out.skeleton) == (
        sample.clip_id, sample.label, sample.skeleton,
    )  # fmt: skip
    # what came in is as it was
    for array, copy in zip((sample.keypoints, sample.scores, sample.frames), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(("transform", "channels"), CASES)
def test_chance_is_the_generators_alone(transform, channels):
    sample = made_sample(2, 30, channels[0])
    one, other, third = (transform(sample, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.frames, other.frames)
    random = ("Rotate", "Shear", "Scale(", "Noise", "JointMask", "Occluder")
    if any(word in repr(transform) for word in random):
        assert not np.array_equal(one.keypoints, third.keypoints, equal_nan=True)


@pytest.mark.parametrize(("transform", "channels"), CASES)
def test_travels_to_workers(transform, channels):
    assert pickle.loads(pickle.dumps(transform)) == transform


def test_apply_is_one_after_the_other():
    sample = made_sample(1, 30)
    chain = (transforms.Centre(), transforms.UniformSampling(8), transforms.Motion())
    rng = np.random.default_rng(0)
    by_hand = chain[2](chain[1](chain[0](sample, rng), rng), rng)
    out = apply(chain, sample, np.random.default_rng(0))
    np.testing.assert_array_equal(out.keypoints, by_hand.keypoints)
    assert apply((), sample, rng) is sample


@pytest.mark.parametrize(
    "make",
    [
        lambda: transforms.UniformSampling(0),
        lambda: transforms.UniformSampling(4.0),
        lambda: transforms.UniformSampling(True),
        lambda: transforms.UniformSampling(4, clips=0),
        lambda: transforms.UniformPoses(-1),
        lambda: transforms.WindowSampling(0),
        lambda: transforms.WindowSampling(4, start="end"),
        lambda: transforms.WindowSampling(4, fill="zero"),
        lambda: transforms.ResizeInTime(0),
        lambda: transforms.ResizeInTime(4, (0.0,)),
        lambda: transforms.ResizeInTime(4, (0.9, 0.5)),
        lambda: transforms.ResizeInTime(4, (0.5, 1.1)),
        lambda: transforms.ResizeInTime(4, 0.5),
        lambda: transforms.ResizeInTime(4, (0.1, 0.2, 0.3)),
        lambda: transforms.ResizeInTime(4, shortest=0),
        lambda: transforms.Centre(frames="all"),
        lambda: transforms.Centre(person="second"),
        lambda: transforms.ScaleNormalise(0),
        lambda: transforms.ScaleNormalise(float("nan")),
        lambda: transforms.Flip(1.5),
        lambda: transforms.Flip(float("nan")),
        lambda: transforms.Rotate((1, 2)),
        lambda: transforms.Rotate(17),
        lambda: transforms.Rotate((-1, 0, 0)),
        lambda: transforms.Shear(float("inf")),
        lambda: transforms.Scale((1.5, 0.5)),
        lambda: transforms.Scale((0, 0.5)),
        lambda: transforms.Scale(2),
        lambda: transforms.Noise(-1),
        lambda: transforms.Noise("much"),
        lambda: transforms.TimeReverse(-0.1),
        lambda: transforms.SubGraphMask(0),
        lambda: transforms.SubGraphMask(masks=()),
        lambda: transforms.SubGraphMask(masks="upper"),
        lambda: transforms.SubGraphMask(masks=("head",)),
        lambda: transforms.SubGraphMask(fill="zero"),
        lambda: transforms.JointMask(0),
        lambda: transforms.JointMask(1, share=2),
        lambda: transforms.LimbOccluder(0),
        lambda: transforms.LimbOccluder(width=0),
        lambda: transforms.JointOccluder(size=-1),
        lambda: transforms.JointOccluder(share=1.1),
        lambda: transforms.SubjectCrop(56),
        lambda: transforms.SubjectCrop((0, 56)),
        lambda: transforms.SubjectCrop(padding=-1),
        lambda: transforms.SubjectCrop(threshold=float("nan")),
        lambda: transforms.SubjectCrop(ratio=0),
    ],
)
def test_bad_parameters_are_refused_when_a_transform_is_made(make):
    with pytest.raises(UsageError) as error:
        make()
    assert error.value.expected


@pytest.mark.parametrize(
    ("transform", "sample"),
    [
        (transforms.ScreenNormalise(), made_sample(1, 3, 3)),
        (transforms.ScreenNormalise(inverse=True), made_sample(1, 3, 2)),
        (transforms.LimbOccluder(), made_sample(1, 3, 3)),
        (transforms.JointOccluder(), made_sample(1, 3, 2, coordinates="screen")),
        (transforms.SubjectCrop(), made_sample(1, 3, 2, coordinates="centred")),
        (transforms.ViewNormalise(), made_sample(1, 3, 2)),
        (transforms.FiveChannels(), made_sample(1, 3, 3)),
        (transforms.Rotate((1, 1, 1)), made_sample(1, 3, 5)),
        (transforms.ScaleNormalise(), made_sample(1, 3, 5)),
        (transforms.Centre(), made_sample(1, 3, 5)),
        (transforms.Flip(1.0), made_sample(1, 3, 2, width=None)),
        (transforms.ScreenNormalise(), made_sample(1, 3, 2, height=None)),
        (transforms.Centre("tail"), made_sample(1, 3, 3)),
    ],
)
def test_clips_that_a_transform_cannot_take(transform, sample):
    with pytest.raises(UsageError):
        transform(sample, np.random.default_rng(0))


@pytest.mark.real
def test_clips_of_nucla_go_through_a_pipeline(shared):
    raw, options = locate(shared / "data/nucla"), {"all_fields": False}
    found = nucla.discover(raw, options).samples
    description = nucla.describe(found, options)
    chain = (transforms.Centre("spine", frames="first"), transforms.UniformSampling(64),
             transforms.ViewNormalise(), transforms.Bones())  # fmt: skip
    rng, lengths = np.random.default_rng(0), []
    short = {"a02_s09_e04_v02", "a02_s09_e04_v03"}  # one frame each
    for one in [*found[::20], *(one for one in found if one.clip_id in short)]:
        clip, _ = nucla.read(raw, one, description)
        out = apply(chain, sample_of(clip, "keypoints_3d", 1), rng)
        array = gcn_array(out, 1)
        assert array.shape == (3, 64, 20, 1)
        assert np.isfinite(array).all() and array.any()
        lengths.append(clip.num_frames)
    assert lengths.count(1) >= 2
    assert max(lengths) > 64
