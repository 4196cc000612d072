"""Clips of a release as a stream of batches, for releases that are larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import IterableDataset, get_worker_info

from posedata.clip_selection import ClipSelection, select_clips
from posedata.errors import ReleaseError, UsageError
from posedata.flat_poses import FlatPoses
from posedata.pose_memory import ClipRow
from posedata.release import Where
from posedata.row_groups import RowGroups
from posedata.sample import Transform
from posedata.sample_rng import SampleRng
from posedata.skeleton import Skeleton
from posedata.stream_order import Block, StreamOrder
from posedata.torch.clip_batches import ClipBatches, UnfilledBatch
from posedata.torch.collate import Batch, Layout, empty, find_layout, in_shared_memory


class ClipStream(IterableDataset[Batch]):
    """Whole batches of clips, read from Parquet as they are needed; nothing is kept on disk.

    Give it to torch's DataLoader with ``batch_size=None``. The batches and their order are the
    same with any number of workers that divides ``lanes``, and a run can begin with any batch of
    any epoch; `posedata.stream_order` tells how. A clip gets the same random numbers as from
    `ClipDataset`.

    Parameters
    ----------
    release : Release, str or path
        Where the clips are: a directory, or a URL that fsspec knows.
    layer : str, optional
        Whose poses; by default the only layer.
    protocol, split : str, optional
        E.g. ``xsub`` and ``train``; by default all clips of the layer.
    where : mapping, optional
        Values that clip columns must have, e.g. ``{"camera": [2, 3]}``.
    skeleton : Skeleton or str, optional
        Joints that are wanted; by default the layer's.
    keypoints : {"keypoints_2d", "keypoints_3d"}, optional
        By default in space, where the layer has that.
    num_persons : int
        M. Of each clip, so many people are taken, those in most frames first; missing ones are
        added as zeros.
    transforms : sequence of Transform
        What happens to each sample, in this order; see `posedata.transforms`.
    layout : {"gcn", "heatmaps", "sequence"} or Layout
        What a batch is; see `posedata.torch.collate`.
    batch_size : int
        Clips of a batch.
    shuffle_buffer : int
        Clips that are in memory at a time, in all workers together: the more, the better they
        are mixed. 0: nothing is shuffled.
    lanes : int
        The number of workers must divide it; each worker reads its own. Another number is another
        order.
    seed : int
        Of the order, and of all that is random in the transforms.
    rank, num_ranks : int
        Which of how many processes that train together this is.
    uneven_ranks : {"repeat", "drop", "keep"}
        Where clips cannot be dealt out evenly: some come twice, some are left out, or some ranks
        have one more. ``keep`` is for evaluation: each clip comes once.
    drop_last : bool
        Leave out a last batch that is smaller.

    Attributes
    ----------
    skeleton : Skeleton
        The V joints of the samples.
    labels : int64 tensor, shape (clips,)
        Class of each clip of all ranks; -1 where it is not known.
    label_names : tuple of str
        Names of the classes 0, 1, ...
    clip_ids : tuple of str
        Sorted; what ``index`` in a batch points to.
    lacking : tuple of str
        Clips of the split that the layer has no row for.

    Raises
    ------
    UsageError
        If there is no such layer, split, column, coordinates or layout, if the skeleton cannot be
        mapped, if no clip or batch is left, or if the layout needs clips of one length and the
        transforms do not give it.

    Examples
    --------
    >>> train = ClipStream("s3://bucket/ntu120", protocol="xsub", split="train", batch_size=64,
    ...                    transforms=[UniformSampling(64)])                 # doctest: +SKIP
    >>> loader = DataLoader(train, batch_size=None, num_workers=4)           # doctest: +SKIP
    >>> for epoch in range(60):                                              # doctest: +SKIP
    ...     train.start(epoch)
    ...     for batch in loader:
    ...         loss = model(batch["keypoints"], batch["label"])
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
        batch_size: int,
        shuffle_buffer: int = 4096,
        lanes: int = 8,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        uneven_ranks: str = "repeat",
        drop_last: bool = False,
    ) -> None:
        layout, rng = find_layout(layout), SampleRng(seed)
        selection = select_clips(release, layer, protocol=protocol, split=split, where=where,
                                 skeleton=skeleton, keypoints=keypoints)  # fmt: skip
        self.skeleton = selection.skeleton
        self.label_names = selection.release.label_names(selection.layer)
        self.clip_ids = selection.clip_ids
        self.lacking = selection.lacking
        self._clip_batches = ClipBatches(
            selection.skeleton, selection.labels, num_persons, tuple(transforms), layout, rng
        )
        self.labels = torch.from_numpy(selection.labels)
        self._row_groups = RowGroups(
            selection.release, selection.layer, selection.keypoints, selection.skeleton
        )
        self._members, self._columns = _find_members(selection, self._row_groups.sizes())
        self._num_frames = self._columns["num_frames"].to_numpy()
        self._order = StreamOrder(
            tuple(self._members.sizes.tolist()), batch_size, shuffle_buffer, lanes, seed, rank,
            num_ranks, uneven_ranks, drop_last,
        )  # fmt: skip
        # Epoch, first batch, and whether workers have read: in shared memory, so that workers
        # which live on see the next epoch.
        self._shared = torch.zeros(3, dtype=torch.int64).share_memory_()
        self._of_worker: tuple[int, int, int] | None = None
        self._epoch = self._first = self._done = 0
        self._try()
        self._row_groups.close()  # worker processes open files of their own

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return self._order.num_batches

    @property
    def num_classes(self) -> int:
        """How many classes the labels are from."""
        return max(len(self.label_names), int(self.labels.max()) + 1)

    @property
    def order(self) -> StreamOrder:
        """The order of clips and batches."""
        return self._order

    def start(self, epoch: int, batch: int = 0) -> None:
        """Say where the passes over the loader begin from now on.

        Call it before each pass; without it, each is the same one.

        Parameters
        ----------
        epoch : int
            Another one is another order, and other random numbers.
        batch : int
            The first batch: what would come before is skipped without being read.

        Raises
        ------
        UsageError
            If there is no such epoch or batch.
        """
        if not 0 <= epoch < 1 << 32:
            raise UsageError("epoch", found=epoch, expected="0 to 2**32 - 1")
        if not 0 <= batch <= len(self):
            raise UsageError("batch", found=batch, expected=f"0 to {len(self)}")
        self._shared[0], self._shared[1], self._shared[2] = epoch, batch, 0
        self._epoch, self._first, self._done = epoch, batch, 0
        self._of_worker = None

    def set_epoch(self, epoch: int) -> None:
        """Begin with the first batch of an epoch; as `start`."""
        self.start(epoch)

    def state_dict(self) -> dict[str, int]:
        """Say where the last iteration is: ``epoch``, and ``batches`` that are done.

        Raises
        ------
        UsageError
            In the main process, if workers read: only the loop over the loader can count there.
        """
        if get_worker_info() is not None:
            return {"epoch": self._epoch, "batches": self._first, "of_worker": self._done}
        if self._shared[2]:
            raise UsageError(
                "worker processes read ahead, so the stream cannot tell how many batches are done",
                remedy="Count them in the loop, and go on with start(epoch, batch); or use "
                "torchdata's StatefulDataLoader.",
            )
        return {"epoch": self._epoch, "batches": self._first + self._done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where a `state_dict` was taken."""
        if "of_worker" in state:  # torchdata gives each worker its own
            self._of_worker = state["epoch"], state["batches"], state["of_worker"]
        else:
            self.start(state["epoch"], state["batches"])

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, num_workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch, first, done = self._of_worker or (*map(int, self._shared[:2]), 0)
        self._of_worker = None
        self._shared[2] = worker is not None
        self._epoch, self._first, self._done = epoch, first, done
        return self._batches(epoch, first, done, number, num_workers)

    def _batches(
        self, epoch: int, first: int, done: int, worker: int, num_workers: int
    ) -> Iterator[Batch]:
        numbers = self._order.batches_of(worker, num_workers, first)[done:]
        groups = self._order.group_order(epoch)
        lanes: dict[int, _Loaded] = {}
        kept: dict[int, _Kept] = {}
        for number in numbers:
            block, part = self._order.place(number)
            lane = lanes.get(block.lane)
            if lane is None or lane.block != block:
                del lane
                lanes.pop(block.lane, None)  # before the next one takes memory
                lane = lanes[block.lane] = self._load(groups, epoch, block, kept, num_workers)
            turn = part.start // self._order.batch_size
            batch = in_shared_memory(lane.batches[turn].finish(self._info))
            del lane.batches[turn]
            self._done += 1
            yield batch

    def _load(
        self, groups: np.ndarray, epoch: int, block: Block, kept: dict[int, _Kept],
        num_workers: int,
    ) -> _Loaded:  # fmt: skip
        """Decode a block; ``kept`` are row groups that are to be read further."""
        members, size = self._members, self._order.batch_size
        runs = list(self._order.runs(block, groups))
        entries = [
            slice(*(members.starts[run.group] + [run.start, run.end]).tolist()) for run in runs
        ]
        indices = np.concatenate([members.indices[some] for some in entries])
        order = self._order.block_order(block, epoch)
        batches = {
            turn: self._begin(indices[order[turn * size : (turn + 1) * size]], epoch, torch.empty)
            for turn in range(-(-block.size // size))
        }
        places: np.ndarray = np.empty(block.size, np.int64)
        places[order] = np.arange(block.size)
        for run, some in zip(runs, entries, strict=True):
            size_of_group = self._order.group_sizes[run.group]
            if run.group in kept:
                poses, left = kept.pop(run.group)
            else:
                poses, left = self._read(run.group), size_of_group
            count = run.end - run.start
            here, places = places[:count], places[count:]
            clips, turns = members.rows[some], here // size
            for turn in set(turns.tolist()):
                of_turn = np.flatnonzero(turns == turn)
                self._fill(batches[turn], poses, clips[of_turn], here[of_turn] % size)
            left -= count
            # The rest is for the next block; or, if one process reads all lanes, for that lane
            # which ends where this one begins.
            if left > 0 and (run.end < size_of_group or num_workers == 1):
                kept[run.group] = poses, left
            del poses  # before the next one takes memory
        return _Loaded(block, batches)

    def _begin(
        self, indices: np.ndarray, epoch: int, allocate: Callable[..., torch.Tensor] = empty
    ) -> UnfilledBatch:
        lengths = self._num_frames[indices].tolist()
        return self._clip_batches.begin(
            indices.tolist(), lengths, self._row_groups.num_channels, epoch, allocate
        )

    def _fill(
        self, batch: UnfilledBatch, poses: FlatPoses, clips: np.ndarray, places: np.ndarray
    ) -> None:
        if not self._clip_batches.is_direct:  # the rest of the row group need not be kept
            poses, clips = poses.take(clips), np.arange(len(clips))
        batch.fill(poses, clips, places)

    def _read(self, group: int) -> FlatPoses:
        members = self._members
        return self._row_groups.read(int(members.files[group]), int(members.groups[group]))

    def _info(self, index: int) -> ClipRow:
        return ClipRow(self._columns, index)

    def _try(self) -> None:
        """Make clips with which something may be wrong."""
        members = self._members
        for some in self._clip_batches.try_clips(self._num_frames, self._columns):
            batch = self._begin(np.array(some), 0)
            for place, index in enumerate(some):
                at = int(np.flatnonzero(members.indices == index)[0])
                group = int(np.searchsorted(members.starts, at, side="right")) - 1
                self._fill(batch, self._read(group), members.rows[[at]], np.array([place]))
            batch.finish(self._info)


#: Poses of a row group, and how many of its clips have not been read.
_Kept = tuple[FlatPoses, int]


@dataclass(frozen=True, eq=False)
class _Members:
    """The clips that are wanted, by row group.

    ``files`` and ``groups``, shape (G,), name each row group that has any; group g has the
    entries ``starts[g]`` to ``starts[g + 1]`` of ``rows``, where clips are in it, and
    ``indices``, their places in ``clip_ids``.
    """

    files: np.ndarray
    groups: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    indices: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A block in memory: those of its batches that are still to come, by their turn."""

    block: Block
    batches: dict[int, UnfilledBatch]


def _find_members(
    selection: ClipSelection, sizes: Sequence[Sequence[int]]
) -> tuple[_Members, dict[str, pa.Array]]:
    """Find the row group of each clip, from one pass over the clip columns.

    Returns
    -------
    members : _Members
    columns : dict of str to Array
        Clip columns in the order of ``clip_ids``.
    """
    release, layer = selection.release, selection.layer
    clips = release.read_table(layer, columns=release.table(layer).clip_columns)
    of_group = np.array([size for file in sizes for size in file], np.int64)
    if clips.num_rows != of_group.sum():
        raise ReleaseError("the files of the layer have changed", path=release.place,
                           found=f"{clips.num_rows} clips", expected=of_group.sum())  # fmt: skip
    wanted = pa.array(selection.clip_ids, pa.string())
    indices = pc.index_in(clips["clip_id"], wanted).fill_null(-1).to_numpy().astype(np.int64)
    groups = np.repeat(np.arange(len(of_group)), of_group)
    rows = np.arange(len(indices)) - np.repeat(np.cumsum(of_group) - of_group, of_group)
    chosen = np.flatnonzero(indices >= 0)
    used, counts = np.unique(groups[chosen], return_counts=True)
    members = _Members(
        files=np.repeat(np.arange(len(sizes)), [len(file) for file in sizes])[used],
        groups=np.concatenate([np.arange(len(file)) for file in sizes])[used],
        starts=np.concatenate([[0], np.cumsum(counts)]),
        rows=rows[chosen],
        indices=indices[chosen],
    )
    ordered = clips.take(pa.array(chosen[np.argsort(indices[chosen])])).combine_chunks()
    return members, {name: ordered[name].combine_chunks() for name in ordered.column_names}
