"""How chosen clips become a batch: what `ClipDataset` and `ClipStream` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from posedata.errors import UsageError
from posedata.flat_poses import FlatPoses
from posedata.sample import Sample, Transform
from posedata.sample_rng import SampleRng
from posedata.skeleton import Skeleton
from posedata.torch.collate import (
    Batch,
    Gcn,
    Heatmaps,
    Layout,
    Sequences,
    check_equal,
    empty,
    has_score,
    labelled,
    make_batch,
)

#: Gives what the release says of a clip.
Info = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class ClipBatches:
    """Makes samples and batches of clips, the same from whichever poses they are read.

    Where nothing is to be done but to choose frames, a batch is filled from the flat poses; else
    each clip becomes a sample, of which only the frames are made that the first transform chooses.

    Attributes
    ----------
    skeleton : Skeleton
        Of the poses.
    labels : int64, shape (clips,)
        Class of each clip; -1 where it is not known.
    num_persons : int
        M.
    transforms : tuple of Transform
        In this order. The first may have ``steps(num_frames, rng)``: frames that it would take.
    layout : Layout
        Of a batch.
    rng : SampleRng
        What is random in the transforms.

    Raises
    ------
    UsageError
        If ``num_persons`` is not positive.
    """

    skeleton: Skeleton
    labels: np.ndarray
    num_persons: int
    transforms: tuple[Transform, ...]
    layout: Layout
    rng: SampleRng

    def __post_init__(self) -> None:
        if self.num_persons < 1:
            raise UsageError("num_persons", found=self.num_persons, expected="1 or more")

    @property
    def is_direct(self) -> bool:
        """Whether batches are filled without samples in between."""
        num_choosing = int(self._choose() is not None)
        return len(self.transforms) == num_choosing and not isinstance(self.layout, Heatmaps)

    def sample(self, poses: FlatPoses, clip: int, index: int, epoch: int, info: Info) -> Sample:
        """Make the sample of a clip, after all transforms.

        Parameters
        ----------
        poses : FlatPoses
            Where its poses are.
        clip : int
            Which clip of them it is.
        index : int
            Its number among all clips.
        epoch : int
            Whose random numbers are drawn.
        info : callable
            Gives what the release says of the clip of an index.
        """
        rng = self.rng(epoch, index)
        steps, rest = np.arange(poses.num_frames[clip]), self.transforms
        choose = self._choose()
        if choose:
            steps, rest = choose(len(steps), rng), rest[1:]
        known = info(index)
        keypoints, scores = poses.pick(clip, self.num_persons, steps)
        sample = Sample(known["clip_id"], keypoints, scores, steps, self.skeleton,
                        int(self.labels[index]), known)  # fmt: skip
        for transform in rest:
            sample = transform(sample, rng)
        return sample

    def begin(
        self,
        indices: Sequence[int],
        lengths: Sequence[int],
        channels: int,
        epoch: int,
        allocate: Callable[..., torch.Tensor] = empty,
    ) -> UnfilledBatch:
        """Begin a batch, whose clips are then given in any order.

        Parameters
        ----------
        indices : sequence of int
            Number of each clip of the batch.
        lengths : sequence of int
            Frames of each.
        channels : int
            C.
        epoch : int
            Whose random numbers are drawn.
        allocate : callable
            Gives a tensor of a shape and dtype.

        Raises
        ------
        UsageError
            If the clips cannot be in one batch.
        """
        if not self.is_direct:
            return _OfSamples(self, indices, epoch, [None] * len(indices))
        choose, pairs = self._choose(), zip(lengths, indices, strict=True)
        if choose is None:
            steps = [np.arange(length) for length in lengths]
        else:
            steps = [choose(length, self.rng(epoch, index)) for length, index in pairs]
        joints = self.skeleton.num_joints
        if isinstance(self.layout, Gcn):
            shape = check_equal({(len(some), joints, channels) for some in steps})
            with_score = has_score(self.layout, channels)
            shape = len(indices), channels + with_score, *shape[:2], self.num_persons
            made = {"keypoints": allocate(shape, dtype=torch.float32)}
        else:
            counts = [len(some) for some in steps]
            shape = len(indices), max(counts), self.num_persons, joints
            made = {
                "keypoints": allocate((*shape, channels), dtype=torch.float32),
                "mask": allocate(shape, dtype=torch.bool),
                "lengths": torch.tensor(counts),
            }
        batch = labelled(made, self.labels[indices].tolist(), indices)
        return (
            _Gcn(batch, np.array(steps))
            if isinstance(self.layout, Gcn)
            else _Sequences(batch, steps)
        )

    def try_clips(self, lengths: np.ndarray, columns: Mapping[str, pa.Array]) -> list[list[int]]:
        """Choose clips to be made before the first batch, so that what cannot work is seen then.

        Parameters
        ----------
        lengths : int32, shape (clips,)
            Frames of each.
        columns : mapping of str to Array
            What the release says of each.

        Returns
        -------
        list of list of int
            Clips that belong in one batch: the shortest, the longest, and one that lacks the
            width or height of its picture, where there is any.
        """
        chosen = {int(np.argmin(lengths)), int(np.argmax(lengths))}
        for name in ("width", "height"):
            if name in columns and columns[name].null_count:
                chosen.add(columns[name].is_null().index(True).as_py())
        clips = sorted(chosen)
        return [[clip] for clip in clips] if isinstance(self.layout, Sequences) else [clips]

    def _choose(self) -> Callable[[int, np.random.Generator], np.ndarray] | None:
        return getattr(self.transforms[0], "steps", None) if self.transforms else None


class UnfilledBatch(Protocol):
    """A batch that is given its clips in any order."""

    def fill(self, poses: FlatPoses, clips: np.ndarray, places: np.ndarray) -> None:
        """Give some clips of flat poses their places (0 to N - 1) in the batch."""

    def finish(self, info: Info) -> Batch:
        """Give the batch, once all clips are there."""


@dataclass(frozen=True, eq=False)
class _Gcn:
    """A batch for graph networks; ``steps`` are the frames of each clip, int64 (N, T)."""

    batch: Batch
    steps: np.ndarray

    def fill(self, poses: FlatPoses, clips: np.ndarray, places: np.ndarray) -> None:
        out = self.batch["keypoints"].numpy()
        with_score = out.shape[1] > poses.keypoints.shape[2]
        poses.fill_gcn(clips, self.steps[places], with_score, places, out)

    def finish(self, info: Info) -> Batch:
        return self.batch


@dataclass(frozen=True, eq=False)
class _Sequences:
    """A batch of sequences; ``steps`` are the frames of each clip."""

    batch: Batch
    steps: Sequence[np.ndarray]

    def fill(self, poses: FlatPoses, clips: np.ndarray, places: np.ndarray) -> None:
        keypoints, mask = self.batch["keypoints"].numpy(), self.batch["mask"].numpy()
        for clip, place in zip(clips.tolist(), places.tolist(), strict=True):
            poses.fill_sequence(clip, self.steps[place], keypoints[place], mask[place])

    def finish(self, info: Info) -> Batch:
        return self.batch


@dataclass(frozen=True, eq=False)
class _OfSamples:
    """A batch whose clips become samples when it is wanted."""

    maker: ClipBatches
    indices: Sequence[int]
    epoch: int
    poses: list[tuple[FlatPoses, int] | None]

    def fill(self, poses: FlatPoses, clips: np.ndarray, places: np.ndarray) -> None:
        for clip, place in zip(clips.tolist(), places.tolist(), strict=True):
            self.poses[place] = poses, clip

    def finish(self, info: Info) -> Batch:
        maker = self.maker
        samples = [
            maker.sample(*where, index, self.epoch, info)
            for where, index in zip(self.poses, self.indices, strict=True) if where is not None
        ]  # fmt: skip
        return make_batch(samples, self.indices, maker.num_persons, maker.layout)
