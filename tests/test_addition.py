"""`posedata.addition`: an estimator's poses become a further layer of a release."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import posedata
from posedata import staging
from posedata.addition import swap_sides
from posedata.convert import convert, plan_conversion
from posedata.errors import InputError, OutputError, ReleaseError, UsageError
from posedata.skeleton import load_skeleton
from posedata.storage import Location
from posedata.synthetic import make_ntu
from posedata.validate import validate


def openpose_folder(folder, frames, joints=25):
    """A clip of OpenPose files, one person: joint j of frame t at (t, j), confidence 0.5."""
    folder.mkdir(parents=True)
    for frame in frames:
        values = [number for joint in range(joints) for number in (frame, joint + 1, 0.5)]
        person = {"person_id": [-1], "pose_keypoints_2d": values}
        content = json.dumps({"version": 1.3, "people": [person]})
        (folder / f"x_{frame:012}_keypoints.json").write_text(content)


@pytest.fixture
def release(tmp_path):
    make_ntu(tmp_path / "raw", 4)
    convert(plan_conversion("ntu", tmp_path / "raw"), tmp_path / "ntu", num_workers=1)
    return tmp_path / "ntu"


@pytest.fixture
def poses(tmp_path, release):
    """OpenPose's files of two of the clips, and of one that the release does not have."""
    first, second = posedata.open_release(release).clips()["clip_id"].to_pylist()[:2]
    for clip_id in (first, second, "S017C001P001R001A059"):
        openpose_folder(tmp_path / "poses" / clip_id, range(5))
    return tmp_path / "poses"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_layer_is_joined_by_clip_id_and_frame(release, poses):
    before = posedata.open_release(release)
    summary = convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    after = posedata.open_release(release)
    assert after.layers == ["kinect", "openpose"]
    assert list(validate(after)) == []
    assert summary.rejects == 1
    (reject,) = after.rejects().to_pylist()
    assert "no clip 'S017C001P001R001A059'" in reject["reason"]
    assert after.clips().equals(before.clips())
    assert after.splits().equals(before.splits())
    kinect = [clip.clip_id for clip in after.iter_clips("kinect")]
    clips = list(after.iter_clips("openpose"))
    assert [clip.clip_id for clip in clips] == kinect[:2]
    for clip in clips:
        other = after.clip(clip.clip_id, "kinect").info
        assert {**clip.info, "source": ""} == {**other, "source": ""}
        assert clip.frames.tolist() == list(range(5))
    assert [operation["converter"] for operation in after.manifest.history] == ["ntu", "openpose"]


def test_sides_are_swapped_where_the_video_is_mirrored(release, poses):
    convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    kept = plan_conversion("openpose", poses, into=release, layer="as_seen", keep_sides=True)
    convert(kept, release, num_workers=1)
    opened = posedata.open_release(release)
    clip_id = opened.clips()["clip_id"][0].as_py()
    swapped, as_seen = opened.clip(clip_id, "openpose"), opened.clip(clip_id, "as_seen")
    joints = load_skeleton("body25").joints
    left, right = joints.index("left_wrist"), joints.index("right_wrist")
    assert as_seen.keypoints_2d[0, left, 1] == left + 1
    assert swapped.keypoints_2d[0, left, 1] == right + 1
    assert swapped.keypoints_2d[0, joints.index("nose"), 1] == joints.index("nose") + 1
    made_by = opened.manifest.layers["as_seen"]["made_by"]["options"]
    assert made_by["keep_sides"] is True
    assert opened.manifest.layers["openpose"]["made_by"]["options"]["keep_sides"] is False


def test_swapping_twice_changes_nothing(release):
    clip = next(posedata.open_release(release).iter_clips())
    once = swap_sides(clip)
    assert not once.equals(clip)
    assert swap_sides(once).equals(clip)


def test_swapped_source_numbers_follow_their_joints(release):
    from posedata.unrounded import Unrounded

    clip = next(posedata.open_release(release).iter_clips())
    left, right = clip.skeleton.swap[0]
    at = np.array([left * 3, right * 3 + 2], np.int32)
    kept = Unrounded("decimal", np.sort(at), np.array([1.5, 2.5]))
    clip = type(clip)(**{**clip.__dict__, "unrounded": {"keypoints_3d": kept}})
    source = clip.source_values("keypoints_3d")
    again = swap_sides(clip).source_values("keypoints_3d")
    np.testing.assert_array_equal(again[:, left], source[:, right])
    np.testing.assert_array_equal(again[:, right], source[:, left])


def test_poses_beyond_the_end_are_rejected(release, tmp_path):
    row = posedata.open_release(release).clips().to_pylist()[0]
    openpose_folder(tmp_path / "late" / row["clip_id"], [0, row["num_frames"]])
    openpose_folder(tmp_path / "late" / "sub" / row["clip_id"], [0])
    shutil.rmtree(tmp_path / "late" / "sub")
    summary = convert(plan_conversion("openpose", tmp_path / "late", into=release), release)
    assert summary.first_rejects[0].reason == (
        f"poses beyond the end of the clip: found frame {row['num_frames']}, "
        f"expected 0 to {row['num_frames'] - 1}"
    )


def test_clips_of_another_release_are_refused_with_an_example(release, tmp_path):
    openpose_folder(tmp_path / "other" / "walking", [0])
    with pytest.raises(InputError, match=r"none of these clips.*found walking.*such as 'S0"):
        plan_conversion("openpose", tmp_path / "other", into=release)


def test_a_layer_is_never_replaced(release, poses):
    convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    before = contents(release)
    with pytest.raises(OutputError, match=r"has a layer openpose already.*--layer"):
        convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    with pytest.raises(UsageError, match="exclude each other"):
        convert(plan_conversion("openpose", poses, into=release), release, overwrite=True)
    assert contents(release) == before
    again = convert(plan_conversion("openpose", poses, into=release), release, resume=True)
    assert again.clips == 2
    assert contents(release) == before


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the program handles it."""


def test_an_addition_ended_anywhere_resumes_to_the_same_bytes(
    release, poses, tmp_path, monkeypatch
):
    whole = tmp_path / "whole"
    shutil.copytree(release, whole)
    convert(plan_conversion("openpose", poses, into=whole), whole, num_workers=1)
    expected = contents(whole)
    create, remove = Location.create, Location.remove
    for last in range(1, 100):
        target = tmp_path / f"killed{last}"
        shutil.copytree(release, target)
        steps = 0

        def counted(self, method, last=last):
            nonlocal steps
            steps += 1
            if steps == last:
                raise Killed
            return method(self)

        monkeypatch.setattr(Location, "create", lambda self: counted(self, create))
        monkeypatch.setattr(Location, "remove", lambda self: counted(self, remove))
        try:
            convert(plan_conversion("openpose", poses, into=target), target, num_workers=1)
        except Killed:
            pass
        else:
            assert last > 10
            return
        finally:
            monkeypatch.undo()
        if staging.is_closing(Location(*_place(target))):
            with pytest.raises(ReleaseError, match="a layer is being added"):
                posedata.open_release(target)
        else:
            assert posedata.open_release(target).layers[0] == "kinect"
        convert(plan_conversion("openpose", poses, into=target), target, resume=True, num_workers=1)
        assert contents(target) == expected
    raise AssertionError("never came to an end")


def _place(path):
    from posedata.storage import locate

    place = locate(path)
    return place.fs, place.path


def test_clips_without_a_known_length_get_it_from_their_poses(release, poses):
    table = pq.read_table(release / "clips.parquet")
    assert table["num_frames"].null_count == 0
    plan = plan_conversion("openpose", poses, into=release)
    rows = [{**row, "num_frames": None, "width": None} for row in plan.clips]
    from posedata.addition import as_clip_of_base
    from posedata.converter import load_converter

    clip, _ = load_converter("openpose").read(plan.raw, plan.samples[0], plan.description)
    joined = as_clip_of_base(clip, plan.samples[0], rows[0])
    assert joined.num_frames == 5
    assert "width" not in joined.info


def test_the_summary_is_of_the_addition_alone(release, poses):
    plan = plan_conversion("openpose", poses, into=release)
    summary = convert(plan, release, num_workers=1)
    assert (summary.clips, summary.poses, summary.rejects) == (2, 10, 1)
    again = convert(plan_conversion("openpose", poses, into=release), release, resume=True)
    assert (again.clips, again.poses, again.rejects) == (2, 10, 1)
    assert [reject.reason for reject in again.first_rejects] == [
        reject.reason for reject in summary.first_rejects
    ]
    shutil.rmtree(poses / "S017C001P001R001A059")
    only = plan_conversion("openpose", poses, into=release, layer="second")
    assert convert(only, release, num_workers=1).rejects == 0
    assert posedata.open_release(release).manifest.counts["rejects"] == 1


def test_the_base_command_does_not_touch_an_unfinished_addition(release, poses, monkeypatch):
    """--resume of the conversion that made the release would clear what the addition keeps."""
    write = Location.write_bytes

    def stop_at_the_card(self, content):
        if self.path.endswith("README.md"):
            raise Killed
        return write(self, content)

    monkeypatch.setattr(Location, "write_bytes", stop_at_the_card)
    with pytest.raises(Killed):
        convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    monkeypatch.undo()
    base = plan_conversion("ntu", release.parent / "raw")
    with pytest.raises(OutputError, match="an unfinished addition to the release is there"):
        convert(base, release, resume=True)
    with pytest.raises(OutputError, match=r"a release with an unfinished addition.*--resume"):
        convert(base, release)
    convert(plan_conversion("openpose", poses, into=release), release, resume=True, num_workers=1)
    assert list(validate(posedata.open_release(release))) == []


def test_a_release_with_an_unfinished_addition_is_valid_until_it_is_closed(
    release, poses, monkeypatch
):
    monkeypatch.setattr(staging, "begin_closing", lambda out: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        convert(plan_conversion("openpose", poses, into=release), release, num_workers=1)
    monkeypatch.undo()
    opened = posedata.open_release(release)
    assert opened.layers == ["kinect"]
    assert list(validate(opened)) == []


def openpose_pair(folder, frames, lefts):
    """Two people of OpenPose files, standing still; the first listed has the first left edge."""
    folder.mkdir(parents=True)
    for frame in frames:
        people = []
        for left in lefts:
            values = [n for joint in range(25) for n in (left + joint, 20 * joint + 1, 0.5)]
            people.append({"person_id": [-1], "pose_keypoints_2d": values})
        content = json.dumps({"version": 1.3, "people": people})
        (folder / f"x_{frame:012}_keypoints.json").write_text(content)


def test_people_get_the_ids_that_they_have_in_other_layers(tmp_path):
    """The second estimator loses the left person for a while, so that it would number otherwise."""
    openpose_pair(tmp_path / "one" / "clip", range(10), (50, 400))
    openpose_pair(tmp_path / "two" / "clip", range(10), (402, 52))
    for frame in range(3):
        (tmp_path / "two" / "clip" / f"x_{frame:012}_keypoints.json").unlink()
        values = [n for joint in range(25) for n in (402 + joint, 20 * joint + 1, 0.5)]
        person = {"person_id": [-1], "pose_keypoints_2d": values}
        content = json.dumps({"version": 1.3, "people": [person]})
        (tmp_path / "two" / "clip" / f"x_{frame:012}_keypoints.json").write_text(content)
    out = tmp_path / "release"
    convert(plan_conversion("openpose", tmp_path / "one"), out, num_workers=1)
    plan = plan_conversion("openpose", tmp_path / "two", into=out, layer="second")
    convert(plan, out, num_workers=1)
    release = posedata.open_release(out)
    assert list(validate(release)) == []
    for layer in ("openpose", "second"):
        clip = release.clip("clip", layer)
        lefts = {int(p): float(clip.keypoints_2d[clip.persons == p, 0, 0].mean()) for p in (0, 1)}
        assert lefts[0] < 100 < 300 < lefts[1], layer
