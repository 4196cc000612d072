"""The order of a stream: each clip once, the same for all workers, and from any batch on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.stream_order import Block, Run, StreamOrder


def batches(order, epoch, numbers=None):
    """The clips, as (group, clip of it), of each batch."""
    groups = order.group_order(epoch)
    for number in range(order.num_batches) if numbers is None else numbers:
        block, part = order.place(number)
        clips = [(run.group, row) for run in order.runs(block, groups)
                 for row in range(run.start, run.end)]  # fmt: skip
        assert len(clips) == block.size
        yield [clips[i] for i in order.block_order(block, epoch)[part]]


def all_clips(order):
    return {(g, i) for g, size in enumerate(order.group_sizes) for i in range(size)}


def deliver(order, epoch, num_workers, first=0):
    """What torch's DataLoader gives: a batch from each worker in turn, ended ones left out."""
    feeds = [batches(order, epoch, order.batches_of(w, num_workers, first))
             for w in range(num_workers)]  # fmt: skip
    while feeds:
        still = []
        for feed in feeds:
            batch = next(feed, None)
            if batch is not None:
                yield batch
                still.append(feed)
        feeds = still


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=30).map(tuple)
orders = st.builds(
    StreamOrder, sizes, st.integers(1, 16), st.integers(0, 300), st.sampled_from([1, 2, 4, 8, 12]),
    st.integers(0, 2**64 - 1),
)  # fmt: skip


@given(orders, st.integers(0, 2**32 - 1))
def test_each_clip_comes_once_in_an_epoch(order, epoch):
    found = list(batches(order, epoch))
    assert len(found) == order.num_batches
    assert {len(batch) for batch in found[:-1]} <= {order.batch_size}
    assert 1 <= len(found[-1]) <= order.batch_size
    assert Counter(clip for batch in found for clip in batch) == Counter(all_clips(order))


@given(orders, st.data())
def test_any_number_of_workers_and_any_beginning_give_the_same_batches(order, data):
    whole = list(batches(order, 5))
    first = data.draw(st.integers(0, order.num_batches))
    dividers = [w for w in range(1, order.lanes + 1) if order.lanes % w == 0]
    num_workers = data.draw(st.sampled_from(dividers))
    assert list(deliver(order, 5, num_workers, first)) == whole[first:]


@given(orders, st.data())
def test_no_two_workers_share_a_lane(order, data):
    dividers = [w for w in range(1, order.lanes + 1) if order.lanes % w == 0]
    num_workers = data.draw(st.sampled_from(dividers))
    first = data.draw(st.integers(0, order.num_batches))
    owner = {}
    for worker in range(num_workers):
        for number in order.batches_of(worker, num_workers, first):
            assert owner.setdefault(order.place(number)[0].lane, worker) == worker


@given(orders)
def test_lanes_have_as_many_batches_each_or_one_more(order):
    lanes = [order.lane(lane) for lane in range(order.lanes)]
    counts = [-(-size // order.batch_size) for _, size in lanes]
    assert max(counts) - min(counts) <= 1 and sorted(counts, reverse=True) == counts
    first, size = order.part
    for start, length in lanes:  # one after the other, without a gap
        assert start == first
        first += length
    assert first == order.part[0] + size


@given(sizes, st.integers(1, 8), st.integers(1, 5), st.sampled_from(["repeat", "drop", "keep"]),
       st.booleans())  # fmt: skip
def test_ranks_share_the_clips(group_sizes, batch_size, num_ranks, uneven, drop_last):
    def of(rank):
        return StreamOrder(group_sizes, batch_size, 64, 4, 7, rank, num_ranks, uneven, drop_last)

    total = sum(group_sizes)
    try:
        ranks = [of(rank) for rank in range(num_ranks)]
    except UsageError:
        per_rank = total // num_ranks if uneven == "drop" else -(-total // num_ranks)
        assert per_rank < (batch_size if drop_last else 1)
        return
    found = [[clip for batch in batches(order, 3) for clip in batch] for order in ranks]
    counts = Counter(clip for clips in found for clip in clips)
    assert set(counts) <= all_clips(ranks[0])
    if drop_last:
        assert all(len(clips) % batch_size == 0 for clips in found)
        return
    if uneven == "keep":
        assert counts == Counter(all_clips(ranks[0]))
        assert max(map(len, found)) - min(map(len, found)) <= 1
        return
    assert len({len(clips) for clips in found}) == 1
    if uneven == "repeat":
        assert set(counts) == all_clips(ranks[0])
        assert sum(counts.values()) - total < num_ranks
    else:
        assert max(counts.values()) == 1 and total - len(counts) < num_ranks


def test_epochs_seeds_and_ranks_differ_and_repeat():
    def flat(seed, epoch, **options):
        order = StreamOrder((20,) * 20, 10, 200, 4, seed, **options)
        return [clip for batch in batches(order, epoch) for clip in batch]

    assert flat(1, 0) == flat(1, 0)
    assert flat(1, 0) != flat(1, 1) != flat(2, 1)
    block = Block(0, 0, 0, 50)
    first, second = (StreamOrder((100,), 10, seed=1, rank=r, num_ranks=2) for r in (0, 1))
    assert (first.block_order(block, 0) != second.block_order(block, 0)).any()


def test_an_order_worked_out_by_hand():
    # 23 clips in batches of 4: six, the last of 3. Two lanes of three batches; the last batch is
    # of lane 1, so lane 0 has 12 clips and lane 1 has 11. Blocks of 16 // 2 // 4 = 2 batches, and
    # the first of lane 0 is 2 * (2 - 1 - 0) // 2 = 1 batch shorter.
    order = StreamOrder((10, 6, 7), 4, 16, 2)
    assert order.num_batches == 6 and order.block_batches == 2
    assert [order.lane(lane) for lane in (0, 1)] == [(0, 12), (12, 11)]
    assert [order.place(number) for number in range(6)] == [
        (Block(0, 0, 0, 4), slice(0, 4)),
        (Block(1, 0, 12, 8), slice(0, 4)),
        (Block(0, 1, 4, 8), slice(0, 4)),
        (Block(1, 0, 12, 8), slice(4, 8)),
        (Block(0, 1, 4, 8), slice(4, 8)),
        (Block(1, 1, 20, 3), slice(0, 3)),
    ]
    groups = np.array([2, 0, 1])  # positions 0-6, 7-16, 17-22
    assert list(order.runs(Block(1, 0, 12, 8), groups)) == [Run(0, 5, 10), Run(1, 0, 3)]
    assert list(order.runs(Block(1, 1, 20, 5), groups)) == [Run(1, 3, 6), Run(2, 0, 2)]


def test_the_random_numbers_are_the_same_everywhere():
    order = StreamOrder((1,) * 8, 2, seed=3)
    assert order.group_order(4).tolist() == [2, 6, 7, 4, 1, 5, 0, 3]
    assert order.block_order(Block(1, 2, 0, 6), 4).tolist() == [4, 2, 3, 1, 5, 0]


def test_nothing_is_shuffled_without_a_buffer():
    order = StreamOrder((5, 4, 3), 4, 0, 1)
    clips = [clip for batch in batches(order, 9) for clip in batch]
    assert clips == sorted(all_clips(order))


def test_a_large_buffer_mixes_row_groups():
    # 50 groups of 20, two lanes with 500 clips in memory each: a batch of 50 has many groups;
    # the first block of lane 0 has 250 clips.
    order = StreamOrder((20,) * 50, 50, 1000, 2)
    assert min(len({group for group, _ in batch}) for batch in batches(order, 0)) >= 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"batch_size": 4, "lanes": 0}, "lanes: found 0"),
        ({"batch_size": 4, "shuffle_buffer": -1}, "shuffle_buffer: found -1"),
        ({"batch_size": 4, "seed": -1}, "seed: found -1"),
        ({"batch_size": 4, "rank": 2, "num_ranks": 2}, "rank: found 2, expected 0 to 1"),
        ({"batch_size": 4, "uneven_ranks": "pad"}, "expected repeat, drop, keep"),
        ({"batch_size": 40, "drop_last": True}, "not one batch"),
        ({"batch_size": 4, "num_ranks": 30, "uneven_ranks": "drop"}, "not one batch"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        StreamOrder((10, 13), **options)


def test_a_number_of_workers_that_breaks_the_order_is_refused():
    order = StreamOrder((100,), 4, lanes=8)
    with pytest.raises(UsageError, match=r"found 3 workers, 8 lanes.*lanes=3"):
        order.batches_of(0, 3)
