"""People of chosen frames: what dense people, samples and their layouts give, from flat rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata import flat_poses
from posedata.flat_poses import FlatPoses, find_people
from posedata.layouts import pad_sequences, stack_gcn
from posedata.sample import Sample, dense_people
from posedata.skeleton import load_skeleton

JOINTS = 17
#: Frames of each person of each clip. The first clip has nobody, the last a tie.
tracks = st.lists(
    st.lists(st.lists(st.integers(0, 9), unique=True, min_size=1).map(sorted), max_size=4),
    min_size=1, max_size=4,
)  # fmt: skip
seeds = st.integers(0, 2**32 - 1)
CLIPS = [[], [range(10), [0, 3, 4]], [[2, 9], range(1, 8), [5]], [[1, 2], [0, 9]]]


def arrays_of(clips, seed=0):
    """Frames, persons, keypoints and scores of all poses, and the offsets of the clips."""
    rng = np.random.default_rng(seed)
    frames = np.array([f for clip in clips for track in clip for f in track], np.int32)
    persons = np.array([2 * p for clip in clips for p, track in enumerate(clip) for _ in track],
                       np.int32)  # fmt: skip
    keypoints = rng.normal(size=(len(frames), JOINTS, 3)).astype(np.float32)
    keypoints[rng.random((len(frames), JOINTS)) < 0.2] = np.nan
    keypoints[rng.random(keypoints.shape) < 0.05] = np.nan  # of some joints, not all coordinates
    scores = rng.random((len(frames), JOINTS)).astype(np.float32)
    offsets = np.cumsum([0] + [sum(map(len, clip)) for clip in clips])
    return frames, persons, keypoints, scores, offsets


def flat_of(arrays, with_scores=True):
    frames, persons, keypoints, scores, offsets = arrays
    num_frames = np.full(len(offsets) - 1, 10, np.int32)
    return FlatPoses(frames, keypoints, scores if with_scores else scores[:0], num_frames,
                     *find_people(offsets, persons))  # fmt: skip


def chosen(arrays, clip, num_persons, steps, with_scores=True):
    """Give a sample of chosen frames, by way of all frames."""
    frames, persons, keypoints, scores, offsets = arrays
    rows = slice(offsets[clip], offsets[clip + 1])
    poses, dense_scores = dense_people(frames[rows], persons[rows], keypoints[rows],
                                       scores[rows] if with_scores else None, 10,
                                       num_persons)  # fmt: skip
    outside = (steps < 0) | (steps >= 10)
    inside = np.where(outside, 0, steps)
    poses, dense_scores = poses[:, inside], dense_scores[:, inside]
    poses[:, outside], dense_scores[:, outside] = np.nan, 0
    return Sample("a", poses, dense_scores, steps, load_skeleton("coco17"), 0, {})


@given(tracks, st.integers(1, 4), st.booleans(), seeds)
def test_people_are_those_of_dense_people(clips, num_persons, with_scores, seed):
    arrays = arrays_of(clips, seed)
    flat = flat_of(arrays, with_scores)
    assert flat.num_clips == len(clips)
    for clip in range(len(clips)):
        found = flat.pick(clip, num_persons)
        expected = chosen(arrays, clip, num_persons, np.arange(10), with_scores)
        np.testing.assert_array_equal(found[0], expected.keypoints)
        np.testing.assert_array_equal(found[1], expected.scores)


STEPS = np.array([[3, 0, 0, 9, -1, 2], [5, 4, 20, 3, 1, 9], [0, 1, 2, 3, 4, 5]])


@pytest.mark.parametrize("num_persons", [1, 2, 4])
@pytest.mark.parametrize("with_score", [False, True])
@pytest.mark.parametrize("with_scores", [False, True])
def test_a_batch_for_graph_networks(num_persons, with_score, with_scores):
    arrays = arrays_of(CLIPS)
    clips, places = np.array([3, 0, 2]), np.array([2, 0, 3])
    samples = [chosen(arrays, clip, num_persons, steps, with_scores)
               for clip, steps in zip(clips, STEPS, strict=True)]  # fmt: skip
    out = np.full((4, 3 + with_score, 6, JOINTS, num_persons), 7, np.float32)
    flat_of(arrays, with_scores).fill_gcn(clips, STEPS, with_score, places, out)
    np.testing.assert_array_equal(out[places, :3], stack_gcn(samples, num_persons))
    assert (out[1] == 7).all()
    if with_score:
        for at, sample in zip(places, samples, strict=True):
            there = len(sample.scores)
            np.testing.assert_array_equal(out[at, 3, ..., :there], sample.scores.transpose(1, 2, 0))
            assert not out[at, 3, ..., there:].any()


@pytest.mark.parametrize("num_persons", [1, 2, 4])
def test_a_batch_of_sequences(num_persons):
    arrays = arrays_of(CLIPS)
    steps = [STEPS[0], STEPS[1, :2], np.arange(10), STEPS[2, :0]]
    samples = [chosen(arrays, clip, num_persons, some) for clip, some in enumerate(steps)]
    keypoints, mask, _ = pad_sequences(samples, num_persons)
    out, is_there = np.full_like(keypoints, 7), np.full_like(mask, True)
    for clip, some in enumerate(steps):
        flat_of(arrays).fill_sequence(clip, some, out[clip], is_there[clip])
    np.testing.assert_array_equal(out, keypoints)
    np.testing.assert_array_equal(is_there, mask)


@given(tracks, st.booleans(), st.data())
def test_some_clips_are_copied_whole(clips, with_scores, data):
    flat = flat_of(arrays_of(clips), with_scores)
    some = np.array(data.draw(st.lists(st.integers(0, len(clips) - 1))), np.int64)
    taken = flat.take(some)
    assert taken.num_clips == len(some)
    assert len(taken.keypoints) == sum(sum(map(len, clips[clip])) for clip in some)
    for at, clip in enumerate(some):
        for found, expected in zip(taken.pick(at, 3), flat.pick(clip, 3), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_kernels_are_the_plain_loops(monkeypatch):
    arrays = arrays_of(CLIPS)

    def made():
        out, mask = np.empty((2, 4, 6, JOINTS, 3), np.float32), np.empty((6, 2, JOINTS), bool)
        sequence = np.empty((6, 2, JOINTS, 3), np.float32)
        flat = flat_of(arrays)
        flat.fill_gcn(np.array([1, 3]), STEPS[:2], True, np.array([0, 1]), out)
        flat.fill_sequence(2, STEPS[1], sequence, mask)
        return [flat.people, flat.starts, flat.counts, *flat.pick(2, 2, STEPS[0]), out, sequence,
                mask]  # fmt: skip

    fast = made()
    for name in ("_find_people", "_pick", "_fill_gcn", "_fill_sequence"):
        monkeypatch.setattr(flat_poses, name, getattr(flat_poses, name).py_func)
    for one, other in zip(fast, made(), strict=True):
        np.testing.assert_array_equal(one, other)
