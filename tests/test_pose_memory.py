"""`posedata.pose_memory`: poses decoded once, and mapped by every process."""

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from posedata.clip import Clip
from posedata.errors import OutputError, ReleaseError
from posedata.pose_memory import PoseMemory, map_poses
from posedata.release import open_release
from posedata.remap import remap
from posedata.sample import sample_of
from posedata.skeleton import load_skeleton
from tests.made_clips import awkward_clips, clips_in_3d, made_clip, write_release


@pytest.fixture
def release(tmp_path):
    return write_release(tmp_path / "release", awkward_clips())


def mapped(release, folder, keypoints="keypoints_2d", skeleton=None):
    skeleton = skeleton or release.skeleton("made")
    return map_poses(release, "made", keypoints, skeleton, folder / "cache")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "cache").iterdir() if path.suffix == ".poses")


@pytest.mark.parametrize("num_persons", [1, 2, 5])
def test_samples_are_those_of_the_clips(tmp_path, release, num_persons):
    memory = mapped(release, tmp_path)
    clips = awkward_clips()
    assert memory.clip_ids.to_pylist() == [clip.clip_id for clip in clips]
    for row, clip in enumerate(clips):
        found = memory.poses.pick(row, num_persons)
        expected = sample_of(clip, "keypoints_2d", num_persons)
        np.testing.assert_array_equal(found[0], expected.keypoints)
        np.testing.assert_array_equal(found[1], expected.scores)
        assert memory.poses.num_frames[row] == len(expected.frames)
        assert dict(memory.info(row)) == {"clip_id": clip.clip_id, **clip.info}


def test_a_layer_without_scores_in_space(tmp_path):
    clips = clips_in_3d()
    release = write_release(tmp_path / "release", clips)
    memory = mapped(release, tmp_path, "keypoints_3d")
    assert memory.poses.scores.shape == (0, 25)
    for row, clip in enumerate(clips):
        found = memory.poses.pick(row, 3)
        expected = sample_of(clip, "keypoints_3d", 3)
        np.testing.assert_array_equal(found[0], expected.keypoints)
        np.testing.assert_array_equal(found[1], expected.scores)


def test_another_skeleton(tmp_path, release):
    target = load_skeleton("openpose18")
    memory = mapped(release, tmp_path, skeleton=target)
    clip = next(clip for clip in awkward_clips() if clip.clip_id == "A001")
    expected = remap(clip.keypoints_2d, clip.skeleton, target, clip.scores)
    row = int(memory.rows_of(["A001"])[0])
    poses = memory.poses
    rows = slice(poses.starts[poses.people[row]], poses.starts[poses.people[row]] + 15)
    np.testing.assert_array_equal(poses.keypoints[rows], expected.keypoints)
    np.testing.assert_array_equal(poses.scores[rows], expected.scores)
    assert memory.skeleton == target


def test_nobody_at_all(tmp_path):
    release = write_release(tmp_path / "release", [made_clip("a", [], 3), made_clip("b", [], 1)])
    memory = mapped(release, tmp_path)
    assert memory.poses.pick(0, 2)[0].shape == (0, 3, 17, 2)
    assert memory.poses.pick(1, 2)[1].shape == (0, 1, 17)


def test_what_is_not_known_is_not_in_info(tmp_path):
    clip = made_clip("a", [[0]], 1)
    info = {name: value for name, value in clip.info.items() if name not in ("label", "fps")}
    clip = Clip(
        "a",
        "made",
        clip.skeleton,
        clip.frames,
        clip.persons,
        info=info,
        keypoints_2d=clip.keypoints_2d,
        scores=clip.scores,
    )
    memory = mapped(write_release(tmp_path / "release", [clip]), tmp_path)
    info = memory.info(0)
    assert "fps" not in info
    assert info.get("fps") is None
    assert dict(pickle.loads(pickle.dumps(info))) == dict(info)
    with pytest.raises(KeyError):
        _ = info["nothing"]
    assert memory.columns(np.array([0]), ("fps", "nothing"))["fps"].to_pylist() == [None]


def test_the_file_is_made_once(tmp_path, release):
    mapped(release, tmp_path)
    (path,) = files(tmp_path)
    before = path.stat()
    mapped(open_release(release.place.path), tmp_path)
    assert files(tmp_path) == [path]
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_other_poses_have_another_file(tmp_path, release):
    mapped(release, tmp_path)
    mapped(release, tmp_path, skeleton=load_skeleton("main13"))
    assert len(files(tmp_path)) == 2
    other = [made_clip(clip.clip_id, [[0]], 1, seed=1) for clip in awkward_clips()]
    memory = mapped(write_release(tmp_path / "other", other), tmp_path)
    assert len(files(tmp_path)) == 3
    assert len(memory.poses.keypoints) == 5


@pytest.mark.parametrize("keep", [0, 5, 4096, -1])
def test_a_file_that_is_cut_short_is_made_again(tmp_path, release, keep):
    mapped(release, tmp_path)
    (path,) = files(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:keep])
    with pytest.raises((ReleaseError, ValueError)):
        PoseMemory(path, release.skeleton())
    mapped(release, tmp_path)
    assert path.read_bytes() == content


def test_what_a_killed_process_left_is_removed(tmp_path, release):
    mapped(release, tmp_path)
    (path,) = files(tmp_path)
    path.unlink()
    left = path.with_name(f".{path.name}.abc")
    left.write_bytes(b"half")
    mapped(release, tmp_path)
    assert not left.exists()
    assert files(tmp_path) == [path]


def test_a_damaged_layer_leaves_nothing(tmp_path, release):
    part = next(Path(release.place.path).rglob("part-00001.parquet"))
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(ReleaseError):
        mapped(release, tmp_path)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_fewer_poses_than_the_manifest_says(tmp_path, release):
    name = release.part_names("made")[0]
    release.manifest.files[name]["poses"] += 1
    with pytest.raises(ReleaseError, match="not the poses that the manifest counts"):
        mapped(release, tmp_path)


def test_a_place_that_cannot_be_written(tmp_path, release):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="cache="):
        mapped(release, tmp_path)


def test_the_default_place(tmp_path, release, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    memory = map_poses(release, "made", "keypoints_2d", release.skeleton())
    assert memory.path.parent == tmp_path / "xdg" / "posedata"


def test_arrays_cannot_be_written(tmp_path, release):
    memory = mapped(release, tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        memory.poses.keypoints[0] = 0


def test_a_pickled_one_is_a_path(tmp_path, release):
    memory = mapped(release, tmp_path)
    content = pickle.dumps(memory)
    again = pickle.loads(content)
    assert len(content) < 4000
    np.testing.assert_array_equal(again.poses.keypoints, memory.poses.keypoints)


def _map_and_sum(place, cache, at_the_same_time):
    at_the_same_time.wait()
    release = open_release(place)
    memory = map_poses(release, "made", "keypoints_2d", release.skeleton(), cache)
    if float(np.nansum(memory.poses.keypoints)) == 0:
        os._exit(3)


def test_two_processes_at_once(tmp_path, release):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (release.place.path, tmp_path / "cache", barrier)
    both = [context.Process(target=_map_and_sum, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(files(tmp_path)) == 1
    assert not list((tmp_path / "cache").glob(".*"))
