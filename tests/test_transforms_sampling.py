"""Uniform and window sampling, poses spread evenly, resizing in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.transforms import ResizeInTime, UniformPoses, UniformSampling, WindowSampling
from posedata.transforms.sampling import (
    _random_steps,
    _resize_in_time,
    middle_steps,
    random_steps,
    resize_in_time,
    take_steps,
    uniform_poses,
)
from tests.made_samples import made_sample, sample_with, there

LENGTHS = st.integers(1, 300)


def rng(seed=0):
    return np.random.default_rng(seed)


@given(num_frames=LENGTHS, n=st.integers(1, 100), seed=st.integers(0, 99))
def test_random_steps_are_of_the_clip_in_order_one_a_segment(num_frames, n, seed):
    steps = random_steps(num_frames, n, rng(seed))
    assert steps.shape == (n,)
    assert 0 <= steps.min() <= steps.max() < num_frames
    if num_frames >= n:
        assert (np.diff(steps) > 0).all()
    else:
        assert set(np.diff(steps) % num_frames) <= {1 % num_frames}
    if num_frames >= 2 * n:
        bounds = np.array([i * num_frames // n for i in range(n + 1)])
        assert (bounds[:-1] <= steps).all()
        assert (steps < bounds[1:]).all()


@given(num_frames=LENGTHS, n=st.integers(1, 100), clips=st.integers(1, 12))
def test_middle_steps_are_of_the_clip_in_order(num_frames, n, clips):
    for clip in range(clips):
        steps = middle_steps(num_frames, n, clip, clips)
        assert steps.shape == (n,)
        assert 0 <= steps.min() <= steps.max() < num_frames
        if num_frames >= n:
            assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(
    ("num_frames", "n", "clip", "clips", "expected"),
    [
        (12, 4, 0, 1, [1, 4, 7, 10]),  # segments of 3
        (10, 4, 0, 1, [1, 3, 6, 8]),  # 0-1, 2-4, 5-6, 7-9
        (12, 2, 0, 3, [1, 7]),  # segments of 6: at 1, 3, 5
        (12, 2, 1, 3, [3, 9]),
        (12, 2, 2, 3, [5, 11]),
        (4, 4, 0, 1, [0, 1, 2, 3]),
        (3, 5, 0, 1, [0, 1, 2, 0, 1]),
        (3, 5, 1, 2, [1, 2, 0, 1, 2]),  # from 1 * 3 // 2
        (2, 3, 2, 5, [0, 1, 0]),  # fewer frames than clips: from frame 2, which is 0 again
        (1, 3, 0, 1, [0, 0, 0]),
    ],
)
def test_middle_steps_by_hand(num_frames, n, clip, clips, expected):
    assert middle_steps(num_frames, n, clip, clips).tolist() == expected


def test_every_frame_of_a_segment_comes_equally_often():
    generator = rng()
    counts = np.zeros(12)
    for _ in range(6000):
        counts[random_steps(12, 3, generator)] += 1
    assert counts.min() > 1500 - 5 * 1500**0.5
    assert counts.max() < 1500 + 5 * 1500**0.5


def test_of_a_slightly_longer_clip_any_frames_are_left_out():
    # T = 6, n = 4: two of the five gaps are jumped over: 10 choices
    generator = rng()
    seen: dict[tuple, int] = {}
    for _ in range(10_000):
        steps = tuple(random_steps(6, 4, generator).tolist())
        seen[steps] = seen.get(steps, 0) + 1
    assert len(seen) == 10
    assert min(seen.values()) > 850
    assert max(seen.values()) < 1150
    assert (0, 1, 2, 3) not in seen  # both gaps behind the last: one gap is jumped over once
    assert (0, 1, 2, 4) in seen


def test_a_short_clip_begins_anywhere_and_is_repeated():
    generator = rng()
    starts = {tuple(random_steps(3, 5, generator).tolist()) for _ in range(100)}
    assert starts == {(0, 1, 2, 0, 1), (1, 2, 0, 1, 2), (2, 0, 1, 2, 0)}


@given(num_frames=LENGTHS, n=st.integers(1, 100), seed=st.integers(0, 9))
def test_the_kernel_is_the_plain_loop(num_frames, n, seed):
    if num_frames >= n:
        draws = rng(seed).random(n + 1)
        np.testing.assert_array_equal(
            _random_steps(num_frames, n, draws), _random_steps.py_func(num_frames, n, draws)
        )


def test_uniform_sampling_takes_the_poses_of_its_frames():
    sample = made_sample(2, 50)
    out = UniformSampling(8, clips=2, test=True)(sample, rng())
    steps = np.concatenate([middle_steps(50, 8, 0, 2), middle_steps(50, 8, 1, 2)])
    np.testing.assert_array_equal(out.keypoints, sample.keypoints[:, steps])
    np.testing.assert_array_equal(out.scores, sample.scores[:, steps])
    np.testing.assert_array_equal(out.frames, sample.frames[steps])
    training = UniformSampling(8, clips=3)(sample, rng())
    assert training.keypoints.shape[1] == 24
    steps = training.frames - 7
    np.testing.assert_array_equal(training.keypoints, sample.keypoints[:, steps])
    assert (np.diff(steps.reshape(3, 8), axis=1) > 0).all()


@pytest.mark.parametrize(
    "transform",
    [UniformSampling(5), UniformSampling(5, test=True), UniformPoses(5), ResizeInTime(5),
     ResizeInTime(5, (0.5, 1.0)), WindowSampling(5, fill="repeat"),
     WindowSampling(5, fill="loop")],
)  # fmt: skip
def test_a_clip_of_one_frame_is_that_frame_again_and_again(transform):
    sample = made_sample(1, 1)
    out = transform(sample, rng())
    assert out.frames.tolist() == [7] * 5
    for step in range(5):
        np.testing.assert_array_equal(out.keypoints[:, step], sample.keypoints[:, 0])
        np.testing.assert_array_equal(out.scores[:, step], sample.scores[:, 0])


@pytest.mark.parametrize(
    "transform",
    [UniformSampling(5), UniformSampling(5, test=True), UniformPoses(5), WindowSampling(5),
     WindowSampling(5, fill="loop"), WindowSampling(5, fill="repeat"), ResizeInTime(5)],
)  # fmt: skip
def test_a_clip_without_frames_gives_steps_without_anybody(transform):
    out = transform(made_sample(2, 0), rng())
    assert out.keypoints.shape == (2, 5, 25, 3)
    assert np.isnan(out.keypoints).all()
    assert (out.scores == 0).all()
    assert (out.frames == -1).all()


def test_steps_that_are_made_up():
    sample = made_sample(1, 3, missing=0)
    out = take_steps(sample, np.array([2, -1, 0, 0]))
    assert out.frames.tolist() == [9, -1, 7, 7]
    np.testing.assert_array_equal(out.keypoints[:, [0, 2, 3]], sample.keypoints[:, [2, 0, 0]])
    assert np.isnan(out.keypoints[:, 1]).all()
    assert (out.scores[:, 1] == 0).all()
    assert take_steps(sample, np.zeros(0, np.int64)).keypoints.shape[1] == 0


@pytest.mark.parametrize(
    ("num_frames", "t_p", "expected"),
    [(10, 4, [0, 3, 6, 9]), (10, 3, [0, 5, 9]), (2, 4, [0, 0, 1, 1]), (10, 1, [4]),
     (1, 3, [0, 0, 0]), (5, 5, [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_uniform_poses_by_hand(num_frames, t_p, expected):
    assert uniform_poses(num_frames, t_p).tolist() == expected


@given(num_frames=LENGTHS, t_p=st.integers(1, 200))
def test_uniform_poses_are_nearest(num_frames, t_p):
    steps = uniform_poses(num_frames, t_p)
    exact = np.linspace(0, num_frames - 1, t_p) if t_p > 1 else np.array([(num_frames - 1) / 2])
    assert (np.abs(steps - exact) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize(
    ("start", "first"), [("first", {7}), ("centre", {9}), ("random", {7, 8, 9, 10, 11})]
)
def test_windows(start, first):
    sample = made_sample(1, 10)
    found = set()
    for seed in range(60):
        out = WindowSampling(6, start)(sample, rng(seed))
        found.add(int(out.frames[0]))
        begin = out.frames[0] - 7
        assert (np.diff(out.frames) == 1).all()
        np.testing.assert_array_equal(out.keypoints, sample.keypoints[:, begin : begin + 6])
        np.testing.assert_array_equal(out.scores, sample.scores[:, begin : begin + 6])
    assert found == first


@pytest.mark.parametrize(
    ("fill", "frames"),
    [("nan", [7, 8, 9, -1, -1, -1, -1]), ("repeat", [7, 8, 9, 9, 9, 9, 9]),
     ("loop", [7, 8, 9, 7, 8, 9, 7])],
)  # fmt: skip
def test_short_clips_are_filled_up(fill, frames):
    sample = made_sample(1, 3)
    out = WindowSampling(7, "first", fill)(sample, rng())
    assert out.frames.tolist() == frames
    assert np.isnan(out.keypoints[:, out.frames == -1]).all()
    np.testing.assert_array_equal(out.keypoints[:, :3], sample.keypoints)


def test_a_short_clip_may_be_anywhere_between_empty_steps():
    places = {
        WindowSampling(5)(made_sample(1, 3), rng(seed)).frames.tolist().index(7)
        for seed in range(50)
    }
    assert places == {0, 1, 2}


def test_resizing_by_hand():
    # joint 0 of COCO moves from 0 to 30; all others stay
    keypoints = np.zeros((1, 4, 17, 2), np.float32)
    keypoints[0, :, 0, 0] = [0, 10, 20, 30]
    scores = np.ones((1, 4, 17), np.float32)
    scores[0, :, 0] = [0, 1, 0, 1]
    sample = sample_with(keypoints, scores, skeleton="coco17")
    half = ResizeInTime(2)(sample, rng())
    # steps at 0.5 and 2.5
    np.testing.assert_allclose(half.keypoints[0, :, 0, 0], [5, 25])
    np.testing.assert_allclose(half.scores[0, :, 0], [0.5, 0.5])
    assert half.frames.tolist() == [7, 9]
    double = ResizeInTime(8)(sample, rng())
    # at -0.25 (cut to 0), 0.25, 0.75, ..., 3.25 (cut to 3)
    expected = [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]
    np.testing.assert_allclose(double.keypoints[0, :, 0, 0], expected)
    assert double.frames.tolist() == [7, 7, 8, 8, 9, 9, 10, 10]


@given(num_frames=LENGTHS, n=st.integers(1, 100), seed=st.integers(0, 9))
def test_resizing_is_numpys_interpolation_where_nothing_is_missing(num_frames, n, seed):
    sample = made_sample(1, num_frames, 2, missing=0, seed=seed)
    out, scores, nearest = resize_in_time(sample.keypoints, sample.scores, n, 0, num_frames)
    places = np.clip((np.arange(n) + 0.5) * num_frames / n - 0.5, 0, num_frames - 1)
    frames = np.arange(num_frames)
    for joint, channel in ((0, 0), (5, 1)):
        expected = np.interp(places, frames, sample.keypoints[0, :, joint, channel])
        np.testing.assert_allclose(out[0, :, joint, channel], expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        scores[0, :, 3], np.interp(places, frames, sample.scores[0, :, 3]), rtol=1e-5
    )
    assert (np.abs(nearest - places) <= 0.5 + 1e-9).all()


def test_gaps_are_not_bridged():
    keypoints = np.ones((1, 6, 17, 2), np.float32)
    keypoints[0, 2:4, 5] = np.nan
    sample = sample_with(keypoints, skeleton="coco17")
    out = ResizeInTime(12)(sample, rng())
    # places 0, .25, .75, 1.25, 1.75, 2.25, ...: all that touch frame 2 or 3 are missing
    gone = [False] * 3 + [True] * 6 + [False] * 3
    np.testing.assert_array_equal(~there(out)[0, :, 5], gone)
    np.testing.assert_array_equal(out.scores[0, :, 5] == 0, gone)
    assert there(out)[0, :, 4].all()


def test_a_step_on_a_frame_needs_no_neighbour():
    keypoints = np.ones((1, 5, 17, 2), np.float32)
    keypoints[0, [1, 3], 5] = np.nan
    sample = sample_with(keypoints, skeleton="coco17")
    same = ResizeInTime(5)(sample, rng())
    np.testing.assert_array_equal(same.keypoints, sample.keypoints)
    np.testing.assert_array_equal(same.scores, sample.scores)
    np.testing.assert_array_equal(same.frames, sample.frames)


def test_parts_of_a_clip():
    sample = made_sample(1, 100, missing=0)
    middle = ResizeInTime(200, (0.5,))(sample, rng())
    assert (middle.frames.min(), middle.frames.max()) == (7 + 25, 7 + 74)
    lengths, begins = set(), set()
    for seed in range(200):
        frames = ResizeInTime(400, (0.5, 0.6), shortest=1)(sample, rng(seed)).frames - 7
        assert 0 <= frames.min() <= frames.max() <= 99
        lengths.add(int(np.ptp(frames)) + 1)
        begins.add(int(frames.min()))
    assert lengths <= set(range(50, 60)) and len(lengths) > 7
    assert min(begins) < 5 and max(begins) > 40
    least = ResizeInTime(400, (0.1, 0.1), shortest=64)(sample, rng()).frames
    assert np.ptp(least) == 63
    short = made_sample(1, 20, missing=0)
    assert np.ptp(ResizeInTime(400, (0.1, 0.1), shortest=64)(short, rng()).frames) == 19


def test_resizing_kernel_is_the_plain_loop():
    sample = made_sample(2, 13, missing=0.3)
    for n, begin, length in ((5, 0, 13), (29, 2, 7), (4, 12, 1)):
        arguments = (sample.keypoints, sample.scores, n, begin, length)
        for fast, plain in zip(
            _resize_in_time(*arguments), _resize_in_time.py_func(*arguments), strict=True
        ):
            np.testing.assert_allclose(fast, plain, rtol=1e-6, atol=1e-6)


@given(num_frames=st.integers(0, 90), seed=st.integers(0, 9))
def test_steps_can_be_asked_for_before_anything_is_read(num_frames, seed):
    sample = made_sample(1, num_frames, seed=seed)
    for transform in (UniformSampling(8, clips=2), UniformSampling(8, test=True), UniformPoses(8),
                      WindowSampling(8), WindowSampling(8, "centre", "loop")):  # fmt: skip
        steps = transform.steps(num_frames, rng(seed))
        assert steps.dtype == np.int64
        out, asked = transform(sample, rng(seed)), take_steps(sample, steps)
        np.testing.assert_array_equal(out.keypoints, asked.keypoints)
        np.testing.assert_array_equal(out.frames, asked.frames)
