"""Videos: every frame under the index that it has in the file, whatever the file is like."""

from __future__ import annotations

import os
import shutil
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_videos import number_in, picture, write_video

from posedata.errors import InputError, PosedataError
from posedata.frame_order import FrameOrder
from posedata.video import Damage, probe_video, read_frames

av = pytest.importorskip("av")


def read_all(place):
    """The video, its frames {index: pixels}, and what is damaged."""
    video, damages = probe_video(place), []
    frames = {}
    for frame in read_frames(video, damages):
        pixels = np.full((video.height, video.width, 3), 7, np.uint8)
        frame.copy_rgb(pixels)
        frames[frame.index] = pixels
    assert list(frames) == sorted(frames)
    return video, frames, damages


def numbers(frames):
    return {index: number_in(pixels) for index, pixels in frames.items()}


def each_is_itself(num_frames):
    return {number: number for number in range(num_frames)}


def wipe(path, packet, before=0):
    """Fill a packet with zeros, and so many bytes before it."""
    with av.open(str(path)) as container:
        found = [(p.pos, p.size) for p in container.demux(video=0) if p.size][packet]
    content = bytearray(path.read_bytes())
    content[found[0] - before : sum(found)] = bytes(found[1] + before)
    path.write_bytes(content)


def frames_left_out(damages):
    return [n for d in damages for n in range(d.first_frame, d.first_frame + (d.num_frames or 0))]


def assert_is_part_of(damaged, clean):
    """Every frame that comes is the one of that index in the whole video, to the pixel."""
    for index, pixels in damaged.items():
        assert np.array_equal(pixels, clean[index]), f"frame {index} is not that of the video"


# which frame is which


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "libx264"), ("a.ts", "libx264"),
        ("a.flv", "libx264"), ("a.h264", "libx264"), ("a.mov", "mpeg4"), ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg2video"), ("a.mp4", "libx265"), ("a.webm", "libvpx-vp9"),
        ("a.webm", "libvpx"), ("a.avi", "mjpeg"),
    ],
)  # fmt: skip
def test_all_frames_of_all_kinds_of_files(tmp_path, name, codec):
    pixel_format = "yuv420p" if codec != "mjpeg" else "yuvj420p"
    options = {"auto-alt-ref": "1", "lag-in-frames": "10"} if codec == "libvpx" else {}
    path = write_video(tmp_path / name, codec=codec, pixel_format=pixel_format, options=options)
    video, frames, damages = read_all(path)
    assert (video.num_frames, video.width, video.height, video.rotation) == (40, 160, 96, 0)
    assert video.fps == pytest.approx(25, rel=0.03)
    assert numbers(frames) == each_is_itself(40)
    assert damages == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_at_uneven_times(tmp_path, name):
    times = np.cumsum(np.random.default_rng(3).integers(3, 400, 40)).tolist()
    video, frames, damages = read_all(write_video(tmp_path / name, times_ms=times))
    assert numbers(frames) == each_is_itself(40)
    assert damages == []
    if name == "a.mp4":  # Matroska says what the encoder was told
        assert video.fps == pytest.approx(40 / (times[-1] / 1000), rel=0.1)


def test_frames_that_an_edit_list_hides_are_not_of_the_video(tmp_path):
    times = range(-400, 1200, 40)  # an MP4 hides what lies before 0
    path = write_video(tmp_path / "a.mp4", times_ms=times,
                       container_options={"avoid_negative_ts": "disabled"})  # fmt: skip
    with av.open(str(path)) as container:
        assert any(p.is_discard for p in container.demux(video=0) if p.size), "no edit list"
    video, frames, damages = read_all(path)
    assert video.num_frames == 30
    assert numbers(frames) == {number: number + 10 for number in range(30)}
    assert damages == []


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_pictures_are_turned_as_metadata_say(tmp_path, turn, flip):
    def set_matrix(stream):
        stream.set_display_rotation(-90 * turn, hflip=flip)  # counterclockwise

    still = write_video(tmp_path / "still.mp4", 3)
    turned = write_video(tmp_path / "turned.mp4", 3, setup=set_matrix)
    _, frames, _ = read_all(still)
    video, got, _ = read_all(turned)
    with av.open(str(turned)) as container:
        (frame, *_) = container.decode(video=0)
        assert frame.side_data.get("DISPLAYMATRIX") is not None or (turn == 0 and not flip)
        assert turn % 2 == 0 or frame.rotation in (90, -90)
    if flip:
        assert video.orientation.is_mirrored
        shown = {np.rot90(frames[1], -k)[:, ::-1].tobytes(): k for k in range(4)}
        assert got[1].tobytes() in shown
    else:
        assert video.rotation == 90 * turn
        assert np.array_equal(got[1], np.rot90(frames[1], -turn))
    assert (video.height, video.width) == got[1].shape[:2]


# pixels


@pytest.mark.parametrize(
    ("codec", "pixel_format", "size"),
    [
        ("libx264", "yuv420p10le", (160, 96)), ("libx264", "gray", (160, 96)),
        ("libx264", "yuv444p", (101, 77)), ("libx264", "yuv422p", (102, 77)),
        ("mpeg4", "yuv420p", (101, 77)), ("ffv1", "bgr0", (101, 77)),
        ("libx264", "yuv420p", (1280, 64)),
    ],
)  # fmt: skip
def test_pixels_are_those_of_pyav_whatever_format_and_size(tmp_path, codec, pixel_format, size):
    path = write_video(tmp_path / "a.mkv", 6, codec=codec, pixel_format=pixel_format,
                       width=size[0], height=size[1])  # fmt: skip
    video, frames, _ = read_all(path)
    assert (video.width, video.height) == size
    assert numbers(frames) == each_is_itself(6)
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            assert np.array_equal(frames[index], frame.to_ndarray(format="rgb24"))


def test_the_pixels_may_go_anywhere_in_memory(tmp_path):
    video = probe_video(write_video(tmp_path / "a.mp4", 2))
    memory = np.zeros((200, 400, 3), np.uint8)
    part = memory[10:106, 20:180]
    next(read_frames(video, [])).copy_rgb(part)
    assert number_in(part) == 0 and part.max() > 0
    memory[10:106, 20:180] = 0
    assert not memory.any()


def test_after_another_size_nothing_more_comes(tmp_path):
    parts = [write_video(tmp_path / f"{width}.ts", 20, codec="mpeg2video", b_frames=0, width=width)
             for width in (160, 128)]  # fmt: skip
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    video, frames, damages = read_all(tmp_path / "a.ts")
    assert video.num_frames == 40
    assert numbers(frames) == each_is_itself(18)  # FFmpeg drops the last, and doubts another
    assert damages[1:] == [Damage(20, 20, "the picture's size changes from 160x96 to 128x96")]


# damage


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.ts", "a.mpg"])
@pytest.mark.parametrize("part", [0.4, 0.7, 0.97])
def test_of_a_file_that_is_cut_off_the_readable_part_is_kept(tmp_path, name, part):
    codec = "libx264" if name != "a.mpg" else "mpeg2video"
    path = write_video(tmp_path / name, 60, codec=codec,
                       container_options={"movflags": "faststart"})  # fmt: skip
    _, clean, _ = read_all(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    video, frames, damages = read_all(path)
    assert_is_part_of(frames, clean)
    assert len(frames) >= 60 * part - 30
    assert sorted([*frames, *frames_left_out(damages)])[: video.num_frames] == list(
        range(video.num_frames)
    )
    if name in ("a.mp4", "a.avi"):  # which know how many frames there should be
        assert sorted([*frames, *frames_left_out(damages)]) == list(range(60))
    elif name == "a.mkv" and video.num_frames < 55:
        assert damages[-1].num_frames is None and "ends early" in damages[-1].reason


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.avi", "libx264"), ("a.avi", "mpeg4"), ("a.mp4", "mpeg4")],
)
@pytest.mark.parametrize("packet", [9, 20, 24, 31])
def test_zeros_in_the_middle_cost_some_frames_and_shift_none(tmp_path, name, codec, packet):
    path = write_video(tmp_path / name, 60, codec=codec,
                       container_options={"movflags": "faststart"})  # fmt: skip
    _, clean, _ = read_all(path)
    wipe(path, packet)
    video, frames, damages = read_all(path)
    assert video.num_frames == 60
    assert_is_part_of(frames, clean)
    assert 60 - 2 * 15 <= len(frames) < 60 and 0 in frames and 59 in frames
    assert sorted([*frames, *frames_left_out(damages)]) == list(range(60))


def test_packets_that_an_avi_has_lost_are_known_from_its_index(tmp_path):
    path = write_video(tmp_path / "a.avi", 60, codec="mpeg4", b_frames=0)
    _, clean, _ = read_all(path)
    wipe(path, 20, before=8)  # with their headers: nothing tells that they were there
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) < 60
    video, frames, damages = read_all(path)
    assert video.num_frames == 60
    assert_is_part_of(frames, clean)
    assert {*range(20), *range(36, 60)} <= set(frames)
    assert sorted([*frames, *frames_left_out(damages)]) == list(range(60))


def test_frames_without_their_key_frame_are_left_out(tmp_path):
    path = write_video(tmp_path / "a.h264", 36, b_frames=0, options={"x264-params": "keyint=12"})
    content = path.read_bytes()
    starts = [i for i in range(len(content)) if content[i : i + 4] == b"\0\0\0\1"]
    keys = [i for i in range(len(content)) if content[i : i + 4] in (b"\0\0\1\x65",)]
    assert len(keys) == 3 and starts
    path.write_bytes(content[: keys[1] + 10] + bytes(200) + content[keys[1] + 210 :])
    video, frames, damages = read_all(path)
    assert video.num_frames == 36
    assert set(numbers(frames).items()) <= set(each_is_itself(36).items())
    assert list(frames) == [*range(12), *range(24, 36)]
    assert [damage[:2] for damage in damages] == [(12, 12)]


def test_nothing_is_printed(tmp_path, capfd):
    path = write_video(tmp_path / "a.mp4", 60, container_options={"movflags": "faststart"})
    wipe(path, 20)
    path.write_bytes(path.read_bytes()[:-500])
    capfd.readouterr()
    assert read_all(path)[2]
    assert capfd.readouterr() == ("", "")


# what is not a video


def audio(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 16000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def without_index(path):
    write_video(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])


def jpeg(path):
    import cv2

    path.write_bytes(cv2.imencode(".jpg", picture(3))[1].tobytes())


def undecodable(path):
    write_video(path, container_options={"movflags": "faststart"})
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.write_bytes(b""), "the file is empty: found 0 bytes"),
        (lambda path: path.write_text("one\ntwo\n" * 100), "not a video.*: found a text"),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(9000)), "not a video.*neith"),
        (lambda path: path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/x.ts\n"),
         "not a video.*: found a text"),
        (jpeg, "not a video.*: found an image"),
        (audio, "there is no video in the file: found audio"),
        (without_index, r"found an MP4 file without its index \(moov\)"),
        (undecodable, "no frame of the video can be decoded"),
        (lambda path: os.mkfifo(path), "a pipe or device, not a file"),
        (lambda path: path.mkdir(), "there is no image in the folder"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_refused_in_one_line(tmp_path, make, message):
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        probe_video(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_name_is_never_a_protocol_or_a_pattern(tmp_path):
    path = write_video(tmp_path / "concat:a%03d?.mp4", 5)
    assert probe_video(path).num_frames == 5
    path = path.rename(tmp_path / os.fsdecode(b"\xff.mp4"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert probe_video(path).num_frames == 5
        except InputError as error:
            str(error).encode()


def test_a_url_is_read_like_a_file(tmp_path):
    import fsspec

    path = write_video(tmp_path / "a.mp4", 20)
    fsspec.filesystem("memory").pipe_file("/videos/a.mp4", path.read_bytes())
    video, frames, damages = read_all("memory://videos/a.mp4")
    assert video.path == "memory:///videos/a.mp4"
    assert numbers(frames) == each_is_itself(20) and damages == []
    assert_is_part_of(frames, read_all(path)[1])


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    return [
        write_video(folder / name, 8, codec=codec, width=64, height=48,
                    container_options={"movflags": "faststart"}).read_bytes()
        for name, codec in [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264"),
                            ("a.ts", "libx264"), ("a.webm", "libvpx"), ("b.mp4", "libx265")]
    ]  # fmt: skip


@settings(max_examples=60)
@given(st.data())
def test_any_bytes_are_a_video_or_an_error(small_files, tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(small_files)))
    for at, value in data.draw(st.lists(st.tuples(
        st.integers(0, len(content) - 1) | st.integers(0, 900), st.integers(0, 255)
    ), min_size=1, max_size=8)):  # fmt: skip
        content[at] = value
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        video, frames, damages = read_all(path)
    except PosedataError as error:
        assert "\n" not in str(error)
    else:
        there = [n for n in [*frames, *frames_left_out(damages)] if n < video.num_frames]
        assert sorted(there) == list(range(video.num_frames))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
def test_memory_does_not_grow_with_the_video(tmp_path):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    path = tmp_path / "a.mp4"
    one = write_video(tmp_path / "one.mp4", 1, codec="mjpeg", pixel_format="yuvj420p")
    with av.open(str(one)) as source, av.open(str(path), "w") as container:
        content = bytes(next(source.demux(video=0)))
        stream = container.add_stream_from_template(source.streams.video[0])
        for number in range(20_000):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts = stream, number * 512, number * 512
            packet.duration = 512
            packet.time_base, packet.is_keyframe = Fraction(1, 12800), True
            container.mux(packet)
    video, damages = probe_video(path), []
    assert video.num_frames == 20_000 and video.ranks.nbytes <= 80_000
    out = np.empty((96, 160, 3), np.uint8)
    start = None
    for frame in read_frames(video, damages):
        if frame.index % 50 == 0:
            frame.copy_rgb(out)
        if frame.index == 2000:
            start = resident()
    assert frame.index == 19_999 and damages == []
    assert resident() - start < 8 << 20


# image folders


def write_images(folder, indices, name="img_{:05d}.jpg", **size):
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        pixels = picture(index, **size)[..., ::-1]
        (folder / name.format(index)).write_bytes(
            cv2.imencode(Path(name).suffix, pixels)[1].tobytes()
        )
    return folder


@pytest.mark.parametrize("name", ["{:06d}.jpg", "a.{}.png", "x-{:03d}.bmp", "cam1_{}.JPEG"])
def test_a_folder_of_numbered_images(tmp_path, name):
    folder = write_images(tmp_path / "clip", range(1, 13), name)
    (folder / "about.txt").write_text("not an image")
    (folder / "more").mkdir()
    video, frames, damages = read_all(folder)
    assert (video.num_frames, video.width, video.height, video.fps) == (12, 160, 96, None)
    assert numbers(frames) == {index: index + 1 for index in range(12)}
    assert damages == []


def test_gaps_in_the_numbering_and_broken_images_are_gaps_and_damage(tmp_path):
    folder = write_images(tmp_path, [5, 6, 9, 10, 11, 12, 13])
    last = (folder / "img_00013.jpg").read_bytes()
    (folder / "img_00011.jpg").write_bytes(last[: len(last) // 2])
    (folder / "img_00012.jpg").write_bytes(b"")
    _, frames, damages = read_all(folder)
    assert numbers(frames) == {0: 5, 1: 6, 4: 9, 5: 10, 8: 13}
    assert [damage[:2] for damage in damages] == [(2, 2), (6, 2)]
    assert "no image of that number" in damages[0].reason


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_1.jpg", "b_1.jpg"], "of several videos: found a_1.jpg and b_1.jpg"),
        (["1.jpg", "first.jpg"], "no frame number at the end of its name"),
        (["1.jpg", "01.jpg"], "two images have the same frame number"),
        (["1.jpg", "999999999.jpg"], "too far apart"),
        (["1.jpg", "2.png"], "none of the images can be decoded: found 2 damaged images"),
    ],
)
def test_folders_of_images_that_are_no_video(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=message) as caught:
        probe_video(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_images_of_another_size_end_the_video(tmp_path):
    write_images(tmp_path, range(3))
    write_images(tmp_path, range(3, 6), width=100)
    _, frames, damages = read_all(tmp_path)
    assert list(frames) == [0, 1, 2]
    assert damages == [Damage(3, 3, "the picture's size changes from 160x96 to 100x96")]


# order and damage, without a decoder


@st.composite
def streams(draw):
    """Packets in decoding order as (rank, is key), closed groups of I, P and B frames."""
    packets = []
    for _ in range(draw(st.integers(1, 5))):
        start = len(packets)
        packets.append((start, True))
        for num_b in draw(st.lists(st.integers(0, 3), max_size=6)):
            first = len(packets)
            packets.append((first + num_b, False))
            packets += [(first + b, False) for b in range(num_b)]
    return packets


def shown(packets, lost=(), corrupt=(), ranked=True):
    order = FrameOrder(
        len(packets), np.array([r for r, _ in packets], np.int32) if ranked else None, True
    )
    out = []
    for rank, number in sorted((rank, number) for number, (rank, _) in enumerate(packets)):
        if number not in lost:
            is_key = packets[number][1]
            out += order.add(number, is_key, number in corrupt, rank)
    return out + list(order.finish(is_cut_off=False))


@given(streams(), st.booleans())
def test_whole_streams_come_whole(packets, ranked):
    assert shown(packets, ranked=ranked) == [(n, n) for n in range(len(packets))]


@given(streams(), st.data())
def test_after_damage_nothing_comes_before_the_next_key_frame(packets, data):
    some = st.sets(st.integers(0, len(packets) - 1), max_size=3)
    lost, corrupt = data.draw(some), data.draw(some)
    expected, is_whole = [], False
    for number, (rank, is_key) in enumerate(packets):
        is_whole = (is_whole or is_key) and number not in lost | corrupt
        if is_whole:
            expected.append((rank, rank))
    assert shown(packets, lost, corrupt) == sorted(expected)
    counted = shown(packets, lost, corrupt, ranked=False)
    assert set(counted) <= set(expected)  # the one shown before a gap may be left out
    assert len(counted) >= len(expected) - 2 * len(lost)


def test_a_decoder_that_does_not_say_which_packet_is_counted():
    order = FrameOrder(5, None, False)
    out = [item for name in "abcde" for item in order.add(None, True, False, name)]
    assert out + list(order.finish(is_cut_off=False)) == list(enumerate("abcde"))
    assert list(order.add(None, True, False, "f")) == []


# real videos


REAL = {
    "ntu/rgb/S001C001P001R001A001_rgb.avi": (103, 1920, 1080, 30),
    "ntu/rgb/S004C002P003R001A055_rgb.avi": (76, 1920, 1080, 30),
    "videos/pose2sim_single_cam01.mp4": (100, 1080, 1920, 60),
    "videos/ta_chi.mp4": (300, 340, 256, 29.97),
}


@pytest.mark.real
@pytest.mark.parametrize("path", REAL)
def test_real_videos_are_read_as_opencv_does(shared, path):
    import cv2

    path, (num_frames, width, height, fps) = shared / "data" / path, REAL[path]
    video, damages = probe_video(path), []
    assert (video.num_frames, video.width, video.height) == (num_frames, width, height)
    assert video.fps == pytest.approx(fps, abs=0.01)
    capture = cv2.VideoCapture(str(path))
    out = np.empty((height, width, 3), np.uint8)
    indices = []
    for frame in read_frames(video, damages):
        indices.append(frame.index)
        is_there, bgr = capture.read()
        assert is_there
        if frame.index % 20 == 0:
            frame.copy_rgb(out)
            assert np.abs(out.astype(int) - bgr[..., ::-1]).max() <= 2
    assert indices == list(range(num_frames)) and damages == []
    assert not capture.read()[0]


@pytest.mark.real
def test_a_real_video_that_is_cut_off_gives_its_first_frames(shared, tmp_path):
    source = shared / "data/ntu/rgb/S001C001P001R001A001_rgb.avi"
    path = tmp_path / "cut.avi"
    shutil.copyfile(source, path)
    os.truncate(path, 600_000)
    video, damages = probe_video(path), []
    frames = [frame.index for frame in read_frames(video, damages)]
    assert 30 < len(frames) < 40 and frames == list(range(len(frames)))
    assert frames_left_out(damages) == list(range(len(frames), 103))
