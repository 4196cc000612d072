"""`posedata.estimate`: experts on videos become layers, whatever happens to them on the way."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from square_videos import boxes, write_video

import posedata
from posedata import estimate_plan
from posedata.errors import InputError, ReleaseError, UsageError
from posedata.estimate import estimate
from posedata.estimate_plan import plan_estimate
from posedata.estimate_setup import Setup, _sessions, close_sessions
from posedata.expert import parse_spec
from posedata.validate import validate

MADE = Path(__file__).parent / "made_experts"
FINDER, TOPDOWN = "made:finder", "made:topdown"
#: Long enough for a busy machine to answer, where an answer is to come.
TIMEOUT = {"die": 300.0, "hang": 5.0, "fail": 300.0}


@pytest.fixture(autouse=True)
def made_experts(monkeypatch):
    """The experts of `made_experts`, here and in the processes of experts."""
    monkeypatch.syspath_prepend(str(MADE))
    monkeypatch.setenv("PYTHONPATH", str(MADE))
    yield
    close_sessions()


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Three clips: two people, one, nobody."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a.mp4", 40, people=2)
    write_video(folder / "b.mp4", 10, people=1)
    write_video(folder / "c.mp4", 8, people=0)
    return folder


def setup(*experts, detector=None, **options) -> Setup:
    return Setup(
        tuple(parse_spec(text) for text in experts),
        detector=None if detector is None else parse_spec(detector), **options,
    )  # fmt: skip


def run(videos, out, *experts, detector=None, resume=False, overwrite=False, num_workers=1,
        mirrored=False, limit=None, **options):  # fmt: skip
    paths = [str(videos)] if isinstance(videos, Path) else [str(path) for path in videos]
    plan = plan_estimate(paths, out, setup(*experts, detector=detector, **options), limit=limit,
                         mirrored=mirrored, resume=resume, overwrite=overwrite)  # fmt: skip
    summary = estimate(plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers)
    return summary, posedata.open_release(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rejects(release) -> list[dict]:
    return release.rejects().to_pylist()


def test_each_expert_makes_a_layer(videos, tmp_path):
    summary, release = run(videos, tmp_path / "r", FINDER, "top=made:topdown,shift=2",
                           detector="made:detector")  # fmt: skip
    assert release.layers == ["finder", "top"]
    assert list(validate(release)) == []
    assert summary.release.clips == 3 and summary.num_frames == 58
    assert summary.release.poses == 2 * (80 + 10)
    row = release.clips().to_pylist()[0]
    assert row == {"clip_id": "a", "num_frames": 40, "width": 160, "height": 96, "fps": 30.0,
                   "source": "a.mp4"}  # fmt: skip
    clip = release.clip("a", "finder")
    assert clip.num_persons == 2
    for person, frame, box in zip(clip.persons, clip.frames, clip.boxes, strict=True):
        assert np.abs(box - boxes(frame, 2)[person]).max() <= 1
    top = release.clip("a", "top")
    np.testing.assert_array_equal(top.keypoints_2d, clip.keypoints_2d + 2)
    np.testing.assert_array_equal(top.persons, clip.persons)
    assert len(release.clip("c", "top").frames) == 0


def test_the_scores_of_boxes_are_the_detectors(videos, tmp_path):
    _, release = run(videos, tmp_path / "r", TOPDOWN, detector="made:detector")
    assert set(release.clip("b", "topdown").extra["box_scores"].tolist()) == {np.float32(0.8)}
    _, release = run(videos, tmp_path / "r", FINDER)
    _, release = run(videos, tmp_path / "r", "again=made:topdown", boxes="finder")
    assert np.isnan(release.clip("b", "again").extra["box_scores"]).all()


def test_people_below_the_detectors_least_score_are_nobody(videos, tmp_path):
    _, release = run(videos, tmp_path / "r", TOPDOWN, detector="made:detector", detector_score=0.9)
    assert sum(len(clip.frames) for clip in release.iter_clips()) == 0


def test_provenance_is_in_the_manifest(videos, tmp_path):
    _, release = run(videos, tmp_path / "r", TOPDOWN, detector="made:detector")
    made_by = release.manifest.layers["topdown"]["made_by"]
    assert made_by["operation"] == "estimate"
    assert (made_by["expert"], made_by["version"], made_by["device"]) == ("made", "made 1.0", "cpu")
    assert made_by["people_from"]["detector"] == "made"
    assert made_by["people_from"]["least_score"] == 0.4
    assert str(videos) not in (tmp_path / "r" / "posedata.json").read_text()


def test_the_number_of_workers_does_not_change_a_byte(videos, tmp_path):
    run(videos, tmp_path / "one", FINDER, TOPDOWN, detector="made:detector")
    run(videos, tmp_path / "two", FINDER, TOPDOWN, detector="made:detector", num_workers=2)
    (tmp_path / "two").rename(tmp_path / "same")
    run(videos, tmp_path / "two", FINDER, TOPDOWN, detector="made:detector")
    assert contents(tmp_path / "two") == contents(tmp_path / "same")


def test_people_have_the_same_ids_in_all_layers(videos, tmp_path):
    """Also where an expert lists them the other way round, and in layers of later runs."""
    _, release = run(videos, tmp_path / "r", FINDER, "right=made:finder,order=right,shift=3",
                     TOPDOWN, detector="made:detector")  # fmt: skip
    _, release = run(videos, tmp_path / "r", "later=made:finder,order=right,shift=1")
    first = release.clip("a", "finder")
    for layer in ("right", "topdown", "later"):
        clip = release.clip("a", layer)
        np.testing.assert_array_equal(clip.persons, first.persons)
        assert np.abs(clip.keypoints_2d - first.keypoints_2d).max() < 3.01


def test_the_boxes_of_a_layer_tell_who_is_who(videos, tmp_path):
    run(videos, tmp_path / "r", FINDER)
    _, release = run(videos, tmp_path / "r", TOPDOWN, boxes="finder")
    assert release.layers == ["finder", "topdown"]
    first, second = release.clip("a", "finder"), release.clip("a", "topdown")
    np.testing.assert_array_equal(first.persons, second.persons)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert release.manifest.layers["topdown"]["made_by"]["people_from"] == {"layer": "finder"}


def test_sides_are_swapped_where_the_video_is_mirrored(videos, tmp_path):
    _, plain = run(videos, tmp_path / "plain", FINDER)
    _, mirrored = run(videos, tmp_path / "mirrored", FINDER, mirrored=True)
    _, kept = run(videos, tmp_path / "kept", FINDER, mirrored=True, keep_sides=True)
    flip = plain.skeleton().flip_order
    was = plain.clip("b").keypoints_2d
    np.testing.assert_array_equal(mirrored.clip("b").keypoints_2d, was[:, flip])
    np.testing.assert_array_equal(kept.clip("b").keypoints_2d, was)
    assert mirrored.clip("b").info["mirrored"] is kept.clip("b").info["mirrored"] is True
    assert kept.manifest.layers["finder"]["made_by"]["options"]["keep_sides"] is True
    # A later layer agrees with what the release says of its clips.
    _, mirrored = run(videos, tmp_path / "mirrored", "later=made:finder,shift=1")
    later = mirrored.clip("b", "later").keypoints_2d
    np.testing.assert_array_equal(later, was[:, flip] + 1)


@pytest.mark.parametrize("how", ["die", "hang", "fail"])
def test_an_expert_that_stumbles_once_gets_the_video_again(videos, tmp_path, how):
    once = tmp_path / "stumbled"
    _, release = run(videos, tmp_path / "r", "x=" + FINDER + f",{how}=5,once={once}",
                     FINDER, timeout=TIMEOUT[how])  # fmt: skip
    assert once.exists()
    assert rejects(release) == []
    for clip_id in "abc":
        mine, other = release.clip(clip_id, "x"), release.clip(clip_id, "finder")
        np.testing.assert_array_equal(mine.keypoints_2d, other.keypoints_2d)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("die", "died (signal 9); its last words: the last words of a made expert"),
        ("hang", "has not answered for 5 s and was ended; --timeout allows for more"),
        ("fail", "failed with RuntimeError: a made failure"),
    ],
)
def test_an_expert_that_fails_twice_loses_the_clip_and_no_other_does(videos, tmp_path, how, words):
    expert = f"x=made:finder,{how}=9"
    summary, release = run(videos, tmp_path / "r", expert, FINDER, timeout=TIMEOUT[how])
    assert summary.release.rejects == 2  # a and b have 10 frames or more
    assert [row["source"] for row in rejects(release)] == ["a.mp4", "b.mp4"]
    assert all(words in row["reason"] for row in rejects(release))
    assert [clip.clip_id for clip in release.iter_clips("x")] == ["c"]
    assert [clip.clip_id for clip in release.iter_clips("finder")] == ["a", "b", "c"]
    assert list(validate(release)) == []


def test_without_its_detector_an_expert_has_no_clip_but_others_do(videos, tmp_path):
    _, release = run(videos, tmp_path / "r", TOPDOWN, FINDER, detector="made:detector,die=9")
    assert [clip.clip_id for clip in release.iter_clips("topdown")] == ["c"]
    assert [clip.clip_id for clip in release.iter_clips("finder")] == ["a", "b", "c"]
    assert all("made:detector,die=9 died" in row["reason"] for row in rejects(release))


def test_a_detector_that_stumbles_once_is_asked_again(videos, tmp_path):
    once = tmp_path / "stumbled"
    _, release = run(videos, tmp_path / "r", TOPDOWN, FINDER,
                     detector=f"made:detector,die=9,once={once}")  # fmt: skip
    assert once.exists() and rejects(release) == []
    np.testing.assert_array_equal(
        release.clip("a", "topdown").persons, release.clip("a", "finder").persons
    )


def test_damaged_videos_are_rejected_and_the_readable_part_is_kept(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "good.mp4").write_bytes((videos / "b.mp4").read_bytes())
    (folder / "noise.mp4").write_bytes(random.Random(0).randbytes(5000))
    (folder / "empty.mp4").write_bytes(b"")
    whole = write_video(tmp_path / "whole.mkv", 200, people=1).read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    summary, release = run(folder, tmp_path / "r", FINDER)
    assert [clip.clip_id for clip in release.iter_clips()] == ["cut", "good"]
    assert 20 < len(release.clip("cut").frames) < 180
    sources = {row["source"] for row in rejects(release)}
    assert {"noise.mp4", "empty.mp4"} <= sources
    assert summary.release.rejects >= 2


def test_no_videos_is_one_clear_error(tmp_path):
    with pytest.raises(InputError):
        run(tmp_path / "absent.mp4", tmp_path / "r", FINDER)
    with pytest.raises(InputError):
        run(tmp_path, tmp_path / "r", FINDER)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("experts", "options", "words"),
    [
        (("made:detector",), {}, "finds people, but no poses"),
        ((FINDER, "finder=made:idle"), {}, "two experts make the layer finder"),
        ((FINDER, "other=made:finder"), {}, "is there twice"),
        (("nobody",), {}, "unknown expert"),
        ((TOPDOWN,), {"whole_frames": True}, "needs boxes"),
        ((TOPDOWN,), {"detector": "made:topdown"}, "finds poses in boxes, but no people"),
        ((TOPDOWN,), {"boxes": "kinect"}, "no such release"),
        (("made:nonsense",), {}, "KeyError"),
    ],
)
def test_experts_that_cannot_be_are_refused_before_anything_is_written(
    videos, tmp_path, experts, options, words
):
    with pytest.raises(posedata.PosedataError, match=words):
        run(videos, tmp_path / "r", *experts, **options)
    assert not (tmp_path / "r").exists()


def test_videos_of_other_clips_are_rejected(videos, tmp_path):
    run(videos / "a.mp4", tmp_path / "r", FINDER)
    summary, release = run(videos, tmp_path / "r", "more=made:finder,shift=1")
    assert summary.release.clips == 1
    assert sorted(row["source"] for row in rejects(release)) == ["b.mp4", "c.mp4"]


def test_a_video_longer_than_its_clip_is_kept_as_far_as_the_clip_goes(videos, tmp_path):
    short, long = tmp_path / "short", tmp_path / "long"
    short.mkdir(), long.mkdir()
    write_video(short / "v.mp4", 10)
    write_video(long / "v.mp4", 14)
    run(short, tmp_path / "r", FINDER)
    summary, release = run(long, tmp_path / "r", "more=made:finder,shift=1")
    assert release.clip("v", "more").frames.max() == 9
    (row,) = rejects(release)
    assert row["position"] == "frames 10 to the end" and summary.release.rejects == 1


def test_a_video_of_another_size_is_rejected(videos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_video(other / "a.mp4", 5, size=(48, 80))
    run(videos, tmp_path / "r", FINDER)
    summary, release = run(other, tmp_path / "r", "more=made:finder,shift=1")
    assert summary.release.clips == 0
    assert "another width" in rejects(release)[0]["reason"]


def test_a_layer_is_never_replaced(videos, tmp_path):
    run(videos, tmp_path / "r", FINDER)
    before = contents(tmp_path / "r")
    with pytest.raises(posedata.PosedataError, match="layer finder already"):
        run(videos, tmp_path / "r", FINDER)
    assert contents(tmp_path / "r") == before


def test_a_finished_run_is_resumed_to_nothing(videos, tmp_path):
    run(videos, tmp_path / "r", FINDER)
    before = contents(tmp_path / "r")
    summary, _ = run(videos, tmp_path / "r", FINDER, resume=True)
    assert (summary.videos, summary.release.clips) == (0, 3)
    run(videos, tmp_path / "r", "more=made:finder,shift=1")
    added = contents(tmp_path / "r")
    summary, _ = run(videos, tmp_path / "r", "more=made:finder,shift=1", resume=True)
    assert summary.videos == 0 and contents(tmp_path / "r") == added != before


def test_overwrite_replaces_a_release_of_estimates_and_nothing_else(videos, tmp_path):
    run(videos / "a.mp4", tmp_path / "r", FINDER)
    _, release = run(videos, tmp_path / "r", FINDER, overwrite=True)
    assert len(list(release.iter_clips())) == 3
    with pytest.raises(UsageError, match="--overwrite would replace"):
        run(videos, tmp_path / "r", "other=made:finder,shift=1", overwrite=True)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the program handles it."""


@pytest.mark.parametrize("addition", [False, True])
def test_every_change_of_the_file_system_can_be_the_last(videos, tmp_path, monkeypatch, addition):
    def begin(out):
        if addition:
            run(videos, out, "base=made:finder,shift=4")

    count, last = 0, 0
    original = Path.replace

    def dying(*arguments):
        nonlocal count
        count += 1
        if count == last:
            raise KilledError
        return original(*arguments)

    begin(tmp_path / "r")
    with monkeypatch.context() as context:
        context.setattr(Path, "replace", dying)
        run(videos, tmp_path / "r", FINDER, "x=made:idle")
    wanted, steps = contents(tmp_path / "r"), count
    assert steps > 12
    for last in range(1, steps + 1):
        _remove(tmp_path / "r")
        begin(tmp_path / "r")
        count = 0
        with monkeypatch.context() as context, pytest.raises(KilledError):
            context.setattr(Path, "replace", dying)
            run(videos, tmp_path / "r", FINDER, "x=made:idle")
        run(videos, tmp_path / "r", FINDER, "x=made:idle", resume=True)
        assert contents(tmp_path / "r") == wanted, f"after a kill at change {last}"


KILLED_RUN = """
import sys
from posedata.cli import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_is_resumed_to_the_same_bytes(videos, tmp_path, seed):
    """SIGKILL at a random moment; its experts end with it."""
    run(videos, tmp_path / "r", "made:finder,seconds=0.01", TOPDOWN, detector="made:detector")
    wanted = contents(tmp_path / "r")
    _remove(tmp_path / "r")
    command = [sys.executable, "-c", KILLED_RUN, "estimate", str(videos), "-o", "r", "-e",
               "made:finder,seconds=0.01", "-e", TOPDOWN, "-d", "made:detector"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (tmp_path / "r").exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 1.2))
    process.kill()
    process.wait()
    if not (tmp_path / "r" / "posedata.json").exists():
        with pytest.raises(ReleaseError):
            posedata.open_release(tmp_path / "r")
    resumed = subprocess.run([*command, "--resume"], cwd=tmp_path, check=False)
    assert resumed.returncode == 0
    assert contents(tmp_path / "r") == wanted
    assert not _experts_of(process.pid)


def _experts_of(parent: int) -> list[int]:
    """Processes that still have this parent's frames."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"PPid:\t{parent}\n" in (entry / "status").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def test_an_interrupt_ends_the_experts_and_can_be_resumed(videos, tmp_path):
    command = [sys.executable, "-c", KILLED_RUN, "estimate", str(videos), "-o", "r", "-e",
               "made:finder,seconds=0.1"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not (tmp_path / "r").exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 130, words
    assert b"interrupted; the same command with --resume goes on" in words
    assert b"Traceback" not in words
    resumed = subprocess.run([*command, "--resume"], cwd=tmp_path, check=False)
    assert resumed.returncode == 0


def test_the_command_says_what_it_did(videos, tmp_path):
    command = [sys.executable, "-c", KILLED_RUN, "estimate", str(videos), "-o", "r", "-e", TOPDOWN,
               "-d", "made:detector"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(MADE)}
    planned = subprocess.run([*command, "--dry-run"], cwd=tmp_path, env=environment,
                             capture_output=True, text=True, check=True)  # fmt: skip
    assert "would estimate 3 videos into the new release r" in planned.stdout
    assert not (tmp_path / "r").exists()
    done = subprocess.run([*command, "--json"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["clips"], report["poses"], report["frames"]) == (3, 90, 58)
    assert report["layers"] == ["topdown"]


def test_a_detector_is_found_where_none_is_named(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate_plan, "DEFAULT_DETECTOR", parse_spec("made:detector"))
    _, release = run(videos, tmp_path / "r", TOPDOWN)
    assert len(release.clip("a").frames) == 80
    assert not _sessions


def test_an_expert_that_may_take_whole_frames_does_so_when_told(videos, tmp_path):
    _, release = run(videos, tmp_path / "r", "made:optional", whole_frames=True)
    assert len(release.clip("a").frames) == 80
    made_by = release.manifest.layers["optional"]["made_by"]
    assert made_by["people_from"] == {"whole_frames": True}


@pytest.mark.parametrize("tail", [0, 400])
def test_the_only_expert_stumbles_early_in_a_long_video(tmp_path, tail):
    """The first round ends there: neither boxes nor damage behind it may be lost."""
    folder = tmp_path / "videos"
    folder.mkdir()
    content = write_video(tmp_path / "long.mkv", 300, people=2).read_bytes()
    (folder / "long.mkv").write_bytes(content[: len(content) - tail] if tail else content)
    _, plain = run(folder, tmp_path / "plain", TOPDOWN, detector="made:detector")
    once = tmp_path / "stumbled"
    summary, release = run(folder, tmp_path / "r", f"topdown=made:topdown,die=5,once={once}",
                           detector="made:detector")  # fmt: skip
    assert once.exists()
    wanted, clip = plain.clip("long"), release.clip("long")
    np.testing.assert_array_equal(clip.frames, wanted.frames)
    np.testing.assert_array_equal(clip.keypoints_2d, wanted.keypoints_2d)
    assert rejects(release) == rejects(plain) and bool(rejects(plain)) == bool(tail)
    assert summary.num_frames >= wanted.frames.max() + 1
