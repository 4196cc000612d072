"""Which clip a video is, by its name."""

from __future__ import annotations

import os

import pytest

from posedata.errors import InputError
from posedata.find_videos import find_videos

pytest.importorskip("av")


def put(folder, *names, content=b"bytes"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(folder)


def found(paths, known=None):
    samples, problems = find_videos(paths, known)
    return [(s.clip_id, s.path) for s in samples], [(p.source, p.reason) for p in problems]


def test_videos_of_all_suffixes_in_all_folders_by_clip_id(tmp_path):
    put(tmp_path, "b/z.mp4", "a.AVI", "c/d/e.webm", "c/m.mov", "notes.txt", "x.json", "k.1.TS")
    samples, problems = find_videos([str(tmp_path)], None)
    assert [(s.clip_id, s.path, s.size) for s in samples] == [
        ("a", "a.AVI", 5), ("e", "c/d/e.webm", 5), ("k.1", "k.1.TS", 5), ("m", "c/m.mov", 5),
        ("z", "b/z.mp4", 5),
    ]  # fmt: skip
    assert samples[1].info["place"] == str(tmp_path / "c/d/e.webm")
    assert problems == []


def test_a_file_that_is_named_needs_no_suffix(tmp_path):
    put(tmp_path, "video", "a.mp4")
    assert found([str(tmp_path / "video"), str(tmp_path / "a.mp4")]) == (
        [("a", "a.mp4"), ("video", "video")], []
    )  # fmt: skip


def test_the_same_file_by_two_ways_is_one_video(tmp_path):
    put(tmp_path, "a/b.mp4", "c.mp4")
    assert found([str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a/b.mp4")]) == (
        [("b", "a/b.mp4"), ("c", "c.mp4")], []
    )  # fmt: skip


def test_a_folder_of_images_is_a_video_and_a_folder_of_such_folders_many(tmp_path):
    put(tmp_path / "frames", "0001/000001.jpg", "0001/000002.jpg", "0002/1.PNG", "0003/v.mp4",
        "0003/000001.jpg", "0003/.hidden.png")  # fmt: skip
    assert found([str(tmp_path)]) == (
        [("0001", "frames/0001"), ("0002", "frames/0002"), ("v", "frames/0003/v.mp4")], []
    )  # fmt: skip
    samples, _ = find_videos([str(tmp_path / "frames/0001")], None)
    assert [(s.clip_id, s.path, s.size) for s in samples] == [("0001", "0001", 10)]
    assert samples[0].info["place"] == str(tmp_path / "frames/0001")


def test_images_without_numbers_are_reported(tmp_path):
    put(tmp_path, "a.mp4", "pictures/logo.png", "two/a_1.jpg", "two/b_1.jpg")
    samples, problems = find_videos([str(tmp_path)], None)
    assert [s.clip_id for s in samples] == ["a"]
    assert [(p.source, p.stage, p.position) for p in problems] == [
        ("pictures", "discover", "logo.png"), ("two", "discover", "")
    ]  # fmt: skip
    assert "several videos" in problems[1].reason


def test_endings_of_colour_videos_are_dropped_only_where_that_makes_a_known_clip(tmp_path):
    put(tmp_path, "one_rgb.mp4", "two_color.mp4", "three-rgb.mp4", "four_rgb.mp4", "five.mp4",
        "S001C001P001R001A001_rgb.avi")  # fmt: skip
    clips = {"one", "two", "three", "four_rgb", "four", "S001C001P001R001A001"}
    samples, problems = found([str(tmp_path)], clips)
    assert [clip_id for clip_id, _ in samples] == [
        "S001C001P001R001A001", "four_rgb", "one", "three", "two"
    ]  # fmt: skip
    assert problems == [("five.mp4", "the release has no clip five")]
    assert [clip_id for clip_id, _ in found([str(tmp_path)])[0]] == [
        "S001C001P001R001A001", "five", "four_rgb", "one_rgb", "three-rgb", "two_color"
    ]  # fmt: skip


def test_a_second_video_of_a_clip_and_an_empty_file_are_reported(tmp_path):
    put(tmp_path, "a/x.mp4", "b/x.avi")
    put(tmp_path, "y.mp4", content=b"")
    assert found([str(tmp_path)]) == (
        [("x", "a/x.mp4")],
        [("y.mp4", "the file is empty"), ("b/x.avi", "a second video of x: a/x.mp4 is taken")],
    )


def test_an_empty_file_alone_is_a_problem_not_an_error(tmp_path):
    put(tmp_path, "y.mp4", content=b"")
    assert found([str(tmp_path / "y.mp4")]) == ([], [("y.mp4", "the file is empty")])


def test_pipes_and_links_to_nowhere_are_reported(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere")
    _, problems = found([str(tmp_path)])
    assert [source for source, _ in problems] == ["link.mp4", "pipe.mp4"]


def test_a_path_that_is_not_there_and_a_folder_with_nothing_are_errors(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_videos([str(tmp_path / "nowhere")], None)
    put(tmp_path, "notes.txt")
    with pytest.raises(InputError, match=r"no video found: expected files \*\.mp4") as caught:
        find_videos([str(tmp_path)], None)
    assert caught.value.path == str(tmp_path)


def test_urls_are_searched_like_folders():
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe_file("/found/a/x.mp4", b"1")
    files.pipe_file("/found/clip/0001.jpg", b"1")
    samples, problems = find_videos(["memory://found"], None)
    assert [(s.clip_id, s.path, s.info["place"]) for s in samples] == [
        ("clip", "clip", "memory:///found/clip"), ("x", "a/x.mp4", "memory:///found/a/x.mp4")
    ]  # fmt: skip
    assert problems == []


@pytest.mark.real
def test_real_folders(shared):
    samples, problems = find_videos([str(shared / "data/ntu"), str(shared / "data/videos")], None)
    assert [s.clip_id for s in samples] == [
        "S001C001P001R001A001", "S004C002P003R001A055", "S004C003P003R001A006", "clean_and_jerk",
        "pose2sim_multi_cam01", "pose2sim_single_cam01", "ta_chi",
    ]  # fmt: skip
    assert problems == []
