"""Poses of many clips as flat rows, and the people of chosen frames as arrays of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posedata.compiled import kernel, part_of_kernel


@dataclass(frozen=True, eq=False, slots=True)
class FlatPoses:
    """Poses of some clips, one after the other, and where each person's are.

    Attributes
    ----------
    frames : int32, shape (N,)
        Frame of each pose, sorted by (clip, person, frame).
    keypoints : float32, shape (N, V, C)
        NaN where missing.
    scores : float32, shape (N, V)
        0 to 1; shape (0, V) where the layer has none.
    num_frames : int32, shape (clips,)
        Frames of each video.
    people : int64, shape (clips + 1,)
        Clip i has the people ``people[i]`` to ``people[i + 1]``, the most present first, equals
        in the order of their ids.
    starts, counts : int64, shape (people,)
        First pose of each, and how many.
    """

    frames: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    num_frames: np.ndarray
    people: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    @property
    def num_clips(self) -> int:
        """How many clips there are."""
        return len(self.num_frames)

    def pick(
        self, clip: int, num_persons: int, steps: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Spread people of one clip over persons and steps; see `posedata.sample.dense_people`.

        Parameters
        ----------
        clip : int
            Which.
        num_persons : int
            Take at most so many people, the most present first.
        steps : int64, shape (T,), optional
            Frames to take, in any order; those outside the video have nobody. By default all.

        Returns
        -------
        keypoints : float32, shape (M, T, V, C)
            M = the people who are there, at most ``num_persons``. NaN where nobody is.
        scores : float32, shape (M, T, V)
            0 where nobody is, and where a joint is missing.
        """
        if steps is None:
            steps = np.arange(self.num_frames[clip])
        return _pick(
            self.frames, self.keypoints, self.scores, self.num_frames, self.people, self.starts,
            self.counts, clip, num_persons, steps,
        )  # fmt: skip

    def fill_gcn(
        self,
        clips: np.ndarray,
        steps: np.ndarray,
        with_score: bool,
        places: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Lay chosen frames of clips out for graph networks, without samples in between.

        Parameters
        ----------
        clips : int64, shape (n,)
            Which clips.
        steps : int64, shape (n, T)
            Frames to take of each; those outside the video have nobody.
        with_score : bool
            Whether the score follows the C coordinates as a channel.
        places : int64, shape (n,)
            Where each clip is in ``out``.
        out : float32, shape (B, C or C + 1, T, V, M)
            All of those places is written: 0 where a coordinate is missing.
        """
        _fill_gcn(
            self.frames, self.keypoints, self.scores, self.num_frames, self.people, self.starts,
            self.counts, clips, steps, with_score, places, out,
        )  # fmt: skip

    def fill_sequence(
        self, clip: int, steps: np.ndarray, out: np.ndarray, mask: np.ndarray
    ) -> None:
        """Lay chosen frames of a clip out as a sequence with a mask, without a sample in between.

        Parameters
        ----------
        clip : int
            Which.
        steps : int64, shape (T,)
            Frames to take; those outside the video have nobody.
        out : float32, shape (L, M, V, C)
            All of it is written: 0 where a joint is missing or not whole, and from step T on.
        mask : bool, shape (L, M, V)
            Where a joint is.
        """
        _fill_sequence(
            self.frames, self.keypoints, self.num_frames, self.people, self.starts, self.counts,
            clip, steps, out, mask,
        )  # fmt: skip

    def take(self, clips: np.ndarray) -> FlatPoses:
        """Copy the poses of some clips.

        Parameters
        ----------
        clips : int64, shape (n,)
            Which; in this order in the result.
        """
        each = np.diff(self.people)[clips]
        people = np.concatenate([[0], np.cumsum(each)])
        old = np.repeat(self.people[clips] - people[:-1], each) + np.arange(people[-1])
        counts = self.counts[old]
        starts = np.cumsum(counts) - counts
        rows = np.repeat(self.starts[old] - starts, counts) + np.arange(counts.sum())
        return FlatPoses(
            self.frames[rows], self.keypoints[rows],
            self.scores[rows] if len(self.scores) else self.scores, self.num_frames[clips],
            people, starts, counts,
        )  # fmt: skip


def find_people(
    offsets: np.ndarray, persons: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the people of each clip, those in most frames first.

    Parameters
    ----------
    offsets : int64, shape (clips + 1,)
        Clip i has the poses ``offsets[i]`` to ``offsets[i + 1]``.
    persons : int32, shape (N,)
        Of each pose, sorted within a clip.

    Returns
    -------
    people, starts, counts
        As of `FlatPoses`.
    """
    return _find_people(offsets, persons)


@kernel
def _find_people(offsets, persons):
    clips = len(offsets) - 1
    people = np.zeros(clips + 1, np.int64)
    for clip in range(clips):
        people[clip + 1] = people[clip]
        for row in range(offsets[clip], offsets[clip + 1]):
            if row == offsets[clip] or persons[row] != persons[row - 1]:
                people[clip + 1] += 1
    starts = np.zeros(people[-1], np.int64)
    counts = np.zeros(people[-1], np.int64)
    for clip in range(clips):
        row, end = offsets[clip], offsets[clip + 1]
        found = people[clip]
        while row < end:
            start = row
            while row < end and persons[row] == persons[start]:
                row += 1
            slot = found
            while slot > people[clip] and counts[slot - 1] < row - start:
                starts[slot], counts[slot] = starts[slot - 1], counts[slot - 1]
                slot -= 1
            starts[slot], counts[slot] = start, row - start
            found += 1
    return people, starts, counts


@part_of_kernel
def _find(frames, start, count, num_frames, frame):
    """Row of a person's pose in a frame; -1 if there is none."""
    if frame < 0 or frame >= num_frames:
        return -1
    if count == num_frames:  # always there
        return start + frame
    low, high = start, start + count
    while low < high:
        middle = (low + high) // 2
        if frames[middle] < frame:
            low = middle + 1
        else:
            high = middle
    return low if low < start + count and frames[low] == frame else -1


@kernel
def _pick(
    frames, keypoints, scores, num_frames, people, starts, counts, clip, num_persons, steps
):  # fmt: skip
    joints, channels = keypoints.shape[1], keypoints.shape[2]
    first = people[clip]
    there = min(people[clip + 1] - first, num_persons)
    poses = np.empty((there, len(steps), joints, channels), np.float32)
    picked = np.zeros((there, len(steps), joints), np.float32)
    with_scores = len(scores) > 0
    for person in range(there):
        start, count = starts[first + person], counts[first + person]
        for step in range(len(steps)):
            row = _find(frames, start, count, num_frames[clip], steps[step])
            if row < 0:
                poses[person, step] = np.nan
                continue
            for joint in range(joints):
                is_there = True
                for channel in range(channels):
                    value = keypoints[row, joint, channel]
                    poses[person, step, joint, channel] = value
                    is_there = is_there and not np.isnan(value)
                if is_there:
                    score = scores[row, joint] if with_scores else np.float32(1)
                    picked[person, step, joint] = score
    return poses, picked


@kernel
def _fill_gcn(
    frames, keypoints, scores, num_frames, people, starts, counts, clips, steps, with_score,
    places, out,
):  # fmt: skip
    joints, channels = keypoints.shape[1], keypoints.shape[2]
    with_scores = len(scores) > 0
    for i in range(len(clips)):
        clip, to = clips[i], places[i]
        first = people[clip]
        there = people[clip + 1] - first
        for step in range(steps.shape[1]):
            for person in range(out.shape[4]):
                row = -1
                if person < there:
                    row = _find(frames, starts[first + person], counts[first + person],
                                num_frames[clip], steps[i, step])  # fmt: skip
                if row < 0:
                    for channel in range(out.shape[1]):
                        for joint in range(joints):
                            out[to, channel, step, joint, person] = 0
                    continue
                for channel in range(channels):
                    for joint in range(joints):
                        value = keypoints[row, joint, channel]
                        out[to, channel, step, joint, person] = (
                            np.float32(0) if np.isnan(value) else value
                        )
                if with_score:
                    for joint in range(joints):
                        score = scores[row, joint] if with_scores else np.float32(1)
                        for channel in range(channels):
                            if np.isnan(keypoints[row, joint, channel]):
                                score = np.float32(0)
                        out[to, channels, step, joint, person] = score


@kernel
def _fill_sequence(
    frames, keypoints, num_frames, people, starts, counts, clip, steps, out, mask
):  # fmt: skip
    joints, channels = keypoints.shape[1], keypoints.shape[2]
    first = people[clip]
    there = people[clip + 1] - first
    for step in range(len(out)):
        for person in range(out.shape[1]):
            row = -1
            if step < len(steps) and person < there:
                row = _find(frames, starts[first + person], counts[first + person],
                            num_frames[clip], steps[step])  # fmt: skip
            if row < 0:
                out[step, person] = 0
                mask[step, person] = False
                continue
            for joint in range(joints):
                is_there = True
                for channel in range(channels):
                    is_there = is_there and not np.isnan(keypoints[row, joint, channel])
                for channel in range(channels):
                    out[step, person, joint, channel] = (
                        keypoints[row, joint, channel] if is_there else np.float32(0)
                    )
                mask[step, person, joint] = is_there
