"""Clips of a release as a map-style data set of torch."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from posedata.clip_selection import select_clips
from posedata.errors import UsageError
from posedata.pose_memory import ClipRow, map_poses
from posedata.release import Where
from posedata.sample import Sample, Transform
from posedata.sample_rng import SampleRng
from posedata.skeleton import Skeleton
from posedata.torch.clip_batches import ClipBatches
from posedata.torch.collate import Batch, Layout, Rows, find_layout


class ClipDataset(Dataset[Batch]):
    """Clips of a release, ready for a model: one sample, or a whole batch at a time.

    The poses are decoded once, into a file that all worker processes map into memory; see
    `posedata.pose_memory`. Everything that can be wrong with what is asked for is refused here,
    before the first batch.

    Parameters
    ----------
    release : Release, str or path
        Where the clips are.
    layer : str, optional
        Whose poses; by default the only layer.
    protocol, split : str, optional
        E.g. ``xsub`` and ``train``; by default all clips of the layer.
    where : mapping, optional
        Values that clip columns must have, e.g. ``{"camera": [2, 3]}``.
    skeleton : Skeleton or str, optional
        Joints that are wanted; by default the layer's.
    keypoints : {"keypoints_2d", "keypoints_3d", "both"}, optional
        By default in space, where the layer has that. ``both`` is for `FiveChannels`: pixels,
        then metres.
    num_persons : int
        M. Of each clip, so many people are taken, those in most frames first; missing ones are
        added as zeros.
    transforms : sequence of Transform
        What happens to each sample, in this order; see `posedata.transforms`. Of the first one,
        if it only chooses frames (it has a method ``steps``, as `UniformSampling`), the frames
        are asked for before anything else is read.
    layout : {"gcn", "heatmaps", "sequence"} or Layout
        What a batch is; see `posedata.torch.collate`.
    seed : int
        Of all that is random in the transforms. A sample depends on the seed, the epoch and its
        index alone, whatever the number of workers and the order of the clips.
    cache : path, optional
        Local directory for the decoded poses; by default ``~/.cache/posedata``.

    Attributes
    ----------
    skeleton : Skeleton
        The V joints of the samples.
    label_names : tuple of str
        Names of the classes 0, 1, ...
    lacking : tuple of str
        Clips of the split that the layer has no row for.

    Raises
    ------
    UsageError
        If there is no such layer, split, column, coordinates or layout, if the skeleton cannot be
        mapped, if no clip is left, or if the layout needs clips of one length and the transforms
        do not give it.

    Examples
    --------
    >>> train = ClipDataset("nucla", protocol="xview3", split="train", num_persons=1,
    ...                     transforms=[UniformSampling(64)])                # doctest: +SKIP
    >>> loader = DataLoader(train, batch_size=64, shuffle=True,
    ...                     collate_fn=whole_batch)                              # doctest: +SKIP
    >>> next(iter(loader))["keypoints"].shape                                # doctest: +SKIP
    torch.Size([64, 3, 64, 20, 1])
    """

    def __init__(
        self,
        release: Any,
        layer: str | None = None,
        *,
        protocol: str | None = None,
        split: str | None = None,
        where: Where | None = None,
        skeleton: Skeleton | str | None = None,
        keypoints: str | None = None,
        num_persons: int = 2,
        transforms: Sequence[Transform] = (),
        layout: Layout | str = "gcn",
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        layout, rng = find_layout(layout), SampleRng(seed)
        selection = select_clips(release, layer, protocol=protocol, split=split, where=where,
                                 skeleton=skeleton, keypoints=keypoints)  # fmt: skip
        self.skeleton = selection.skeleton
        self.label_names = selection.release.label_names(selection.layer)
        self.lacking = selection.lacking
        self._batches = ClipBatches(
            selection.skeleton, selection.labels, num_persons, tuple(transforms), layout, rng
        )
        # In shared memory, so that workers which live on see the next epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._memory = map_poses(
            selection.release, selection.layer, selection.keypoints, selection.skeleton, cache
        )
        self._rows = self._memory.rows_of(selection.clip_ids)
        self._try()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of the clips, sorted: that of ``index`` 0, 1, ..."""
        return tuple(self._memory.clip_ids.take(self._rows).to_pylist())

    @property
    def labels(self) -> torch.Tensor:
        """Class of each clip, int64, shape (clips,); -1 where it is not known."""
        return torch.from_numpy(self._batches.labels)

    @property
    def num_classes(self) -> int:
        """How many classes the labels are from."""
        return max(len(self.label_names), int(self._batches.labels.max()) + 1)

    @property
    def epoch(self) -> int:
        """The epoch whose random numbers are drawn; see `set_epoch`."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on, in workers that live on, too.

        Call it before each pass over the loader; without it, each epoch draws the same.
        """
        if not 0 <= epoch < 1 << 32:
            raise UsageError("epoch", found=epoch, expected="0 to 2**32 - 1")
        self._epoch.fill_(epoch)

    def sample(self, index: int) -> Sample:
        """Give one clip after the transforms, before the layout: NaN where a joint is missing."""
        place = self._at(index)
        row, epoch = int(self._rows[place]), int(self._epoch)
        return self._batches.sample(self._memory.poses, row, place, epoch, self._info)

    def __getitem__(self, index: int) -> Batch:
        """Give one clip: the tensors of a batch, without their first axis."""
        sample: Batch = self.__getitems__([index])[0]
        return sample

    def __getitems__(self, indices: Sequence[int]) -> Rows:
        """Give several clips as a batch; torch's DataLoader calls this."""
        places = [self._at(index) for index in indices]
        epoch = int(self._epoch)
        poses, rows = self._memory.poses, self._rows[places]
        lengths, channels = poses.num_frames[rows].tolist(), poses.keypoints.shape[2]
        batch = self._batches.begin(places, lengths, channels, epoch)
        batch.fill(poses, rows, np.arange(len(rows)))
        return Rows(batch.finish(self._info))

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def _at(self, index: int) -> int:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"clip {place} of {len(self)}")
        return place % len(self)

    def _info(self, index: int) -> ClipRow:
        return self._memory.info(int(self._rows[index]))

    def _try(self) -> None:
        """Make clips with which something may be wrong."""
        lengths = self._memory.poses.num_frames[self._rows]
        columns = self._memory.columns(self._rows, ("width", "height"))
        for some in self._batches.try_clips(lengths, columns):
            self.__getitems__(some)
