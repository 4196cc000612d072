"""Some frames of a video: those that decoding all of it gives, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_videos import number_in, write_video

from posedata import frames_at as module
from posedata.errors import InputError, UsageError
from posedata.frames_at import Jump, frames_at, plan_jumps
from posedata.video import probe_video, read_frames

av = pytest.importorskip("av")

NUM_FRAMES = 60


def all_frames(video):
    out = np.zeros((video.num_frames, video.height, video.width, 3), np.uint8)
    for frame in read_frames(video, []):
        frame.copy_rgb(out[frame.index])
    return out


KINDS = [
    ("a.mp4", "libx264", {}), ("open.mp4", "libx264", {"x264-params": "open-gop=1"}),
    ("a.mkv", "libx264", {}), ("open.mkv", "libx264", {"x264-params": "open-gop=1"}),
    ("a.ts", "libx264", {}), ("a.avi", "libx264", {}), ("a.mov", "mpeg4", {}),
    ("a.avi", "mpeg4", {}), ("a.mpg", "mpeg2video", {}),
    ("a.mp4", "libx265", {}), ("a.webm", "libvpx-vp9", {}), ("a.webm", "libvpx", {}),
    ("a.avi", "mjpeg", {}), ("a.flv", "libx264", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_frames_of_all_kinds_of_files_are_exact(tmp_path, name, codec, options):
    if codec == "libvpx":
        options = {"auto-alt-ref": "1", "lag-in-frames": "10"}
    pixel_format = "yuv420p" if codec != "mjpeg" else "yuvj420p"
    path = write_video(tmp_path / name, NUM_FRAMES, codec=codec, pixel_format=pixel_format,
                       options=options)  # fmt: skip
    video = probe_video(path)
    whole = all_frames(video)
    assert [number_in(pixels) for pixels in whole] == list(range(NUM_FRAMES))
    for indices in ([59], [0], [13, 40, 12], [5, 58, 5, 30], range(59, -1, -7), []):
        assert np.array_equal(frames_at(video, indices), whole[list(indices)])
    for index in range(NUM_FRAMES):  # beside each key frame, before it and after it
        assert np.array_equal(frames_at(video, [index]), whole[[index]]), index


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("long") / "a.mp4", 200, gop=20)
    video = probe_video(path)
    return video, all_frames(video)


@settings(max_examples=30)
@given(indices=st.lists(st.integers(0, 199), max_size=12))
def test_any_list_of_frames(long_video, indices):
    video, whole = long_video
    assert np.array_equal(frames_at(video, indices), whole[indices])


def test_it_goes_to_key_frames(long_video, monkeypatch):
    video, whole = long_video

    def fail(*_):
        raise AssertionError("decoded from the beginning")

    monkeypatch.setattr(module, "read_frames", fail)
    decoded, real = [], module._decode
    monkeypatch.setattr(module, "_decode", lambda *a: (decoded.append(f) or f for f in real(*a)))
    assert np.array_equal(frames_at(video, [191, 3, 101]), whole[[191, 3, 101]])
    assert len(decoded) <= 12 + 4 + 2


@pytest.mark.parametrize("lie", ["no keys", "keys too late", "packets unknown", "packets missing"])
def test_what_is_not_as_it_should_be_is_decoded_from_the_beginning(long_video, monkeypatch, lie):
    video, whole = long_video
    real = module._find_keys

    def find_keys(*args):
        keys, numbers = real(*args)
        if lie == "no keys":
            return [], numbers
        if lie == "keys too late":
            return [number + 3 for number in keys], numbers
        if lie == "packets unknown":
            return keys, {(-7, *key[1:]) if n > 100 else key: n for key, n in numbers.items()}
        return keys, dict(list(numbers.items())[:-1])

    monkeypatch.setattr(module, "_find_keys", find_keys)
    for indices in ([0, 50, 150], [199], [21]):
        assert np.array_equal(frames_at(video, indices), whole[indices])


def test_jumps_worked_out_by_hand():
    # Decoded: I0 P3 B1 B2 | I6 B4 B5 P9 B7 B8 | I12 B10 B11: an open GOP, of which frames 4 and 5
    # are shown before key frame 6 and need key frame 0.
    ranks = np.array([0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11])
    keys = [0, 4, 10]
    assert plan_jumps([5], ranks, keys) == [Jump(0, (5,))]
    assert plan_jumps([8], ranks, keys) == [Jump(4, (8,))]
    assert plan_jumps([11], ranks, keys) == [Jump(4, (11,))]
    assert plan_jumps([2, 12], ranks, keys) == [Jump(0, (2, 12))]  # 10 - 3 <= 8: no jump
    long = np.arange(100)
    assert plan_jumps([1, 5, 60, 99], long, [0, 50, 90]) == [
        Jump(0, (1, 5)), Jump(50, (60,)), Jump(90, (99,))
    ]  # fmt: skip
    assert plan_jumps([1, 60], long, [30]) == []  # frame 1 has no key frame before it


def test_frames_that_are_not_there_are_refused(long_video):
    video, _ = long_video
    with pytest.raises(UsageError, match=r"no frame 200: expected 0 to 199"):
        frames_at(video, [3, 200])
    with pytest.raises(UsageError, match="no frame -1"):
        frames_at(video, [-1])


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_damaged_frame_is_an_error_and_others_come(tmp_path, name):
    path = write_video(tmp_path / name, NUM_FRAMES, b_frames=0)
    whole = all_frames(probe_video(path))
    with av.open(str(path)) as container:
        where = [(p.pos, p.size) for p in container.demux(video=0) if p.size][14]
    content = bytearray(path.read_bytes())
    content[where[0] : sum(where)] = bytes(where[1])
    path.write_bytes(content)
    video = probe_video(path)
    assert np.array_equal(frames_at(video, [5, 40]), whole[[5, 40]])
    with pytest.raises(InputError, match="frame 14 of the video cannot be decoded"):
        frames_at(video, [14])


def test_a_folder_of_images(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for number in (3, 4, 6):
        cv2.imwrite(str(tmp_path / f"{number:06}.png"), np.full((8, 10, 3), number, np.uint8))
    video = probe_video(tmp_path)
    assert frames_at(video, [3, 0, 1])[:, 0, 0, 0].tolist() == [6, 3, 4]
    with pytest.raises(InputError, match="frame 2"):
        frames_at(video, [1, 2])


@pytest.mark.real
@pytest.mark.parametrize("path", ["ntu/rgb/S001C001P001R001A001_rgb.avi"])
def test_real_videos(shared, path):
    video = probe_video(shared / "data" / path)
    whole = all_frames(video)
    for indices in ([100], [50, 3, 77, 50], [101, 102]):
        assert np.array_equal(frames_at(video, indices), whole[indices])


def test_timestamps_that_are_in_doubt_are_not_used(long_video):
    video, whole = long_video
    assert np.array_equal(frames_at(replace(video, ranks=None), [150]), whole[[150]])
