"""`posedata.frame_feed`: frames arrive once, in order, in memory of a fixed size."""

import numpy as np
import pytest
from square_videos import boxes, write_video

from posedata import frame_feed
from posedata.frame_feed import FrameFeed, FrameMemory
from posedata.video import probe_video


@pytest.fixture
def memory():
    memory = FrameMemory()
    yield memory
    memory.close()


def test_each_frame_arrives_once_and_in_order(tmp_path, memory):
    video = probe_video(write_video(tmp_path / "v.mp4", 70))
    seen = []
    with FrameFeed(video, memory) as feed:
        for batch in feed:
            for frame, offset in zip(batch.frames, batch.offsets, strict=True):
                size = batch.height * batch.width * 3
                picture = memory.pixels[offset : offset + size].reshape(96, 160, 3)
                x0, y0, x1, y1 = boxes(frame)[0].astype(int)
                assert picture[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].min() > 200
                seen.append(frame)
            feed.release(batch)
    assert seen == list(range(70))
    assert feed.damages == []


def test_memory_does_not_grow_with_the_video(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(frame_feed, "SLOT_BYTES", 4 * 96 * 160 * 3)
    video = probe_video(write_video(tmp_path / "v.mp4", 200))
    with FrameFeed(video, memory) as feed:
        for batch in feed:
            assert len(batch.frames) <= 4
            feed.release(batch)
    assert memory.size == 4 * 4 * 96 * 160 * 3


def test_what_was_read_ahead_is_not_overwritten_before_its_release(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(frame_feed, "SLOT_BYTES", 96 * 160 * 3)
    video = probe_video(write_video(tmp_path / "v.mp4", 20))
    with FrameFeed(video, memory) as feed:
        batches = iter(feed)
        held = [next(batches) for _ in range(4)]
        before = memory.pixels.copy()
        feed._thread.join(0.3)  # it would go on if it could
        np.testing.assert_array_equal(memory.pixels, before)
        for batch in held:
            feed.release(batch)
        assert sum(len(batch.frames) for batch in (*held, *_rest(feed, batches))) == 20


def _rest(feed, batches):
    for batch in batches:
        feed.release(batch)
        yield batch


def test_leaving_early_ends_the_thread(tmp_path, memory):
    video = probe_video(write_video(tmp_path / "v.mp4", 500))
    with FrameFeed(video, memory) as feed:
        next(iter(feed))
    assert not feed._thread.is_alive()
