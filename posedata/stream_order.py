"""In which order a stream reads clips: from counts and a seed alone, nothing is read for it.

A release is stored in row groups, and only whole ones can be decoded. An epoch is dealt out so:

1. The row groups are shuffled. Their clips, one after the other, are the *positions* 0, 1, ...
2. Each rank takes an equal run of positions.
3. A rank's run is cut into *lanes* of equally many batches; only the very last batch of the rank
   may be smaller. Batch 0 is of lane 0, batch 1 of lane 1, and so on in turn.
4. A lane is read in *blocks* of a few batches. The clips of a block are shuffled, and cut into
   its batches. First blocks are shorter, each lane's in its own way, so that lanes do not all
   come to the end of a block at the same time.

A worker process has lanes of its own, so it reads no row group that another one reads (but those
that lanes meet in), and as batches come from the lanes in turn, they come in the same order from
any number of workers that divides the number of lanes. Where a batch lies follows from its number,
so that a run can begin anywhere.

Random numbers are raw words of Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2,
3", SC 2011), sorted: they are the same with every version of numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from posedata.errors import UsageError

#: Which Philox counters are used for what: the last of its four words.
_OF_GROUPS = 0
_OF_BLOCKS = 1

_UNEVEN = ("repeat", "drop", "keep")


class Block(NamedTuple):
    """Clips of a lane that are in memory and shuffled together.

    Parameters
    ----------
    lane, number : int
        Which.
    first, size : int
        Its positions.
    """

    lane: int
    number: int
    first: int
    size: int


class Run(NamedTuple):
    """Clips of one row group.

    Parameters
    ----------
    group : int
        Which row group.
    start, end : int
        From this one of its clips to before that one.
    """

    group: int
    start: int
    end: int


@dataclass(frozen=True)
class StreamOrder:
    """The order of clips and batches for one rank.

    Attributes
    ----------
    group_sizes : tuple of int
        Clips of each row group that are to be read.
    batch_size : int
        Clips of a batch.
    shuffle_buffer : int
        Clips that are in memory at a time, in all lanes together. Each lane's block has at least
        one batch. 0: nothing is shuffled, and a block is one batch.
    lanes : int
        How many.
    seed : int
        0 to 2**64 - 1.
    rank, num_ranks : int
        Which of how many equal parts of the epoch this is.
    uneven_ranks : {"repeat", "drop", "keep"}
        Where the clips cannot be dealt out evenly: the first ones come again at the end, the
        last ones are left out, or the first ranks have one clip more.
    drop_last : bool
        Leave out a last batch that is smaller.

    Raises
    ------
    UsageError
        If a number is out of its range, or there is no batch for any rank.
    """

    group_sizes: tuple[int, ...]
    batch_size: int
    shuffle_buffer: int = 4096
    lanes: int = 8
    seed: int = 0
    rank: int = 0
    num_ranks: int = 1
    uneven_ranks: str = "repeat"
    drop_last: bool = False

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("shuffle_buffer", 0), ("lanes", 1),
                            ("num_ranks", 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise UsageError(name, found=getattr(self, name), expected=f"{least} or more")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError("seed", found=self.seed, expected="0 to 2**64 - 1")
        if not 0 <= self.rank < self.num_ranks:
            raise UsageError("rank", found=self.rank, expected=f"0 to {self.num_ranks - 1}")
        if self.uneven_ranks not in _UNEVEN:
            raise UsageError("uneven_ranks", found=repr(self.uneven_ranks),
                             expected=", ".join(_UNEVEN))  # fmt: skip
        per_rank = -(-self.num_clips // self.num_ranks)
        if self.uneven_ranks == "drop":
            per_rank = self.num_clips // self.num_ranks
        if per_rank < (self.batch_size if self.drop_last else 1):
            raise UsageError(
                "not one batch in an epoch",
                found=f"{self.num_clips} clips for {self.num_ranks} ranks, "
                f"batches of {self.batch_size}",
            )  # fmt: skip

    @cached_property
    def num_clips(self) -> int:
        """Clips of all ranks."""
        return sum(self.group_sizes)

    @cached_property
    def part(self) -> tuple[int, int]:
        """First position of this rank, and how many it has; they go round past the last."""
        each, more = divmod(self.num_clips, self.num_ranks)
        if self.uneven_ranks == "repeat":
            each += more > 0
        if self.uneven_ranks == "keep":
            return self.rank * each + min(self.rank, more), each + (self.rank < more)
        return self.rank * each, each

    @property
    def num_batches(self) -> int:
        """Batches of this rank in an epoch."""
        size = self.part[1]
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)

    @property
    def block_batches(self) -> int:
        """Batches of a block."""
        return max(1, self.shuffle_buffer // self.lanes // self.batch_size)

    def lane(self, lane: int) -> tuple[int, int]:
        """Give the first position of a lane, and how many it has."""
        batches = self.num_batches
        each, more = divmod(batches, self.lanes)
        size = (each + (lane < more)) * self.batch_size
        before = (lane * each + min(lane, more)) * self.batch_size
        first, clips = self.part
        short = max(0, batches * self.batch_size - clips)
        last = (batches - 1) % self.lanes  # the lane of the very last batch
        return first + before - (short if lane > last else 0), size - (short * (lane == last))

    def place(self, batch: int) -> tuple[Block, slice]:
        """Say where a batch is: in which block, and which part of that, once it is shuffled."""
        lane, turn = batch % self.lanes, batch // self.lanes
        cut = self.block_batches * (self.lanes - 1 - lane) // self.lanes  # off the first block
        number = (turn + cut) // self.block_batches
        begin = max(0, number * self.block_batches - cut)
        end = (number + 1) * self.block_batches - cut
        first, size = self.lane(lane)
        before = begin * self.batch_size
        size = min(size, end * self.batch_size) - before
        start = (turn - begin) * self.batch_size
        end = min(start + self.batch_size, size)
        return Block(lane, number, first + before, size), slice(start, end)

    def batches_of(self, worker: int, num_workers: int, first: int = 0) -> range:
        """Give the numbers of the batches that a worker makes, if batch ``first`` is the first.

        Raises
        ------
        UsageError
            If the number of workers does not divide the number of lanes.
        """
        if self.lanes % num_workers:
            raise UsageError(
                "the number of workers must divide the number of lanes",
                found=f"{num_workers} workers, {self.lanes} lanes",
                remedy=f"Give lanes={num_workers} or another multiple of it; that is another "
                "order of the clips.",
            )  # fmt: skip
        return range(first + worker, self.num_batches, num_workers)

    def group_order(self, epoch: int) -> np.ndarray:
        """Order of the row groups in an epoch, int64, shape (G,)."""
        count = len(self.group_sizes)
        if not self.shuffle_buffer:
            return np.arange(count)
        return _permutation(count, self.seed, epoch, (0, 0, _OF_GROUPS))

    def runs(self, block: Block, group_order: np.ndarray) -> Iterator[Run]:
        """Say which clips of which row groups a block has, in the order of its positions."""
        ends = np.cumsum(np.asarray(self.group_sizes, np.int64)[group_order])
        position, left = block.first, block.size
        while left:
            position %= self.num_clips
            turn = int(np.searchsorted(ends, position, side="right"))
            group = int(group_order[turn])
            start = position - (int(ends[turn]) - self.group_sizes[group])
            taken = min(left, self.group_sizes[group] - start)
            yield Run(group, start, start + taken)
            position, left = position + taken, left - taken

    def block_order(self, block: Block, epoch: int) -> np.ndarray:
        """Order of the clips of a block, int64, shape (block.size,)."""
        if not self.shuffle_buffer:
            return np.arange(block.size)
        where = (block.number, self.rank << 32 | block.lane, _OF_BLOCKS)
        return _permutation(block.size, self.seed, epoch, where)


def _permutation(count: int, seed: int, epoch: int, counter: Sequence[int]) -> np.ndarray:
    key, start = np.array([seed, epoch], np.uint64), np.array([0, *counter], np.uint64)
    words = np.random.Philox(key=key, counter=start).random_raw(count)
    return np.argsort(words, kind="stable")
