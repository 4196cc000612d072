"""`posedata.converters.videopose3d`: what becomes of VideoPose3D's npz files."""

import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import videopose3d
from posedata.converters.videopose3d_file import pose_array
from posedata.errors import InputError, PosedataError
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": ""}
RANDOM = np.random.default_rng(0)
COCO = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]]}
H36M_SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path.with_name(path.name + ".file"), **arrays)
    path.with_name(path.name + ".file.npz").rename(path)


def poses(frames=5, joints=17, width=2, dtype="f4"):
    return (RANDOM.random((frames, joints, width)) * 100).astype(dtype)


def converted(folder, all_fields=False, **options):
    """Read a folder the way a conversion does: clips by layer and id, and all problems."""
    raw, options = locate(folder), {**OPTIONS, "all_fields": all_fields, **options}
    found = videopose3d.discover(raw, options)
    assert pickle.loads(pickle.dumps(found.samples)) == found.samples
    if not found.samples:
        return {}, list(found.problems)
    description = videopose3d.describe(found.samples, options)
    read = [videopose3d.read(raw, sample, description) for sample in found.samples]
    return (
        {(clip.layer, clip.clip_id): clip for clip, _ in read},
        [*found.problems, *(problem for _, problems in read for problem in problems)],
    )


def test_2d_poses_of_own_videos(tmp_path):
    values = poses(6)
    values[2] = np.nan
    values[4, 5] = np.nan
    metadata = {**COCO, "video_metadata": {"dance.mp4": {"w": 640, "h": 480}}}
    save(tmp_path / "data_2d_custom_mine.npz",
         positions_2d={"dance.mp4": {"custom": [values]}}, metadata=metadata)  # fmt: skip
    clips, problems = converted(tmp_path)
    assert list(clips) == [("mine", "dance")] and problems == []
    clip = clips["mine", "dance"]
    assert clip.skeleton.name == "coco17" and clip.num_frames == 6 and clip.num_persons == 1
    assert clip.frames.tolist() == [0, 1, 3, 4, 5]
    assert np.array_equal(clip.keypoints_2d, values[clip.frames], equal_nan=True)
    assert (clip.info["width"], clip.info["height"], clip.info["fps"]) == (640, 480, None)


def h36m_files(folder):
    views = [poses() for _ in range(4)]
    space = poses(5, 32, 3)
    save(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz",
         positions_2d={"S11": {"Directions 1": views}},
         metadata={"num_joints": 17, "keypoints_symmetry": H36M_SIDES})  # fmt: skip
    save(folder / "data_3d_h36m.npz", positions_3d={"S11": {"Directions 1": space}})
    return views, space


def test_human36m_in_2d_is_a_clip_a_camera(tmp_path):
    views, _ = h36m_files(tmp_path)
    clips, problems = converted(tmp_path)
    assert problems == []
    layer = "cpn_ft_h36m_dbb"
    for view, (camera, height) in zip(
        views, ((54138969, 1002), (55011271, 1000), (58860488, 1000), (60457274, 1002)), strict=True
    ):
        clip = clips[layer, f"S11_Directions_1.{camera}"]
        assert clip.skeleton.name == "h36m17" and np.array_equal(clip.keypoints_2d, view)
        known = {name: clip.info[name] for name in ("subject", "camera", "action", "width",
                                                    "height", "fps", "coordinates")}  # fmt: skip
        assert known == {"subject": 11, "camera": camera, "action": "Directions 1", "width": 1000,
                         "height": height, "fps": 50.0, "coordinates": None}  # fmt: skip


def test_human36m_in_3d_keeps_17_of_32_joints(tmp_path):
    _, space = h36m_files(tmp_path)
    clip = converted(tmp_path)[0]["mocap", "S11_Directions_1"]
    assert clip.skeleton.name == "h36m17" and clip.keypoints_2d is None
    named = {"pelvis": 0, "right_hip": 1, "right_ankle": 3, "left_hip": 6, "spine": 12,
             "head_top": 15, "left_shoulder": 17, "left_wrist": 19, "right_shoulder": 25,
             "right_wrist": 27}  # fmt: skip
    for joint, place in named.items():
        assert np.array_equal(clip.keypoints_3d[:, clip.skeleton.index(joint)], space[:, place])
    assert clip.info["coordinates"] == "world" and clip.info["width"] is None


def people_of(frame, count):
    """Boxes (P, 5) and keypoints (P, 4, 17) of people who stand apart, in changing order."""
    order = range(count) if frame % 2 == 0 else reversed(range(count))
    at = np.array([[200.0 * person + frame, 50.0] for person in order])
    places = at[:, :, None] + np.arange(17) * 2.0
    keypoints = np.concatenate([places, np.full((count, 1, 17), 9.0),
                                np.full((count, 1, 17), 0.75)], 1)  # fmt: skip
    scores = np.linspace(0.9, 0.8, count)[:, None]
    return np.concatenate([at - 5, at + 40, scores], 1).astype("f4"), keypoints.astype("f4")


def detections(counts, **fields):
    """A file as infer_video_d2.py writes it; counts: people of each frame."""
    boxes = np.empty((len(counts), 2), object)
    keypoints = np.empty((len(counts), 2), object)
    for frame, count in enumerate(counts):
        found = people_of(frame, count) if count else ([], [])
        boxes[frame, 0], boxes[frame, 1] = [], found[0]
        keypoints[frame, 0], keypoints[frame, 1] = [], found[1]
    return {"boxes": boxes, "segments": np.array([None] * len(counts)), "keypoints": keypoints,
            "metadata": {"w": 640, "h": 480}, **fields}  # fmt: skip


def test_people_of_detections_are_tracked_and_empty_frames_stay(tmp_path):
    save(tmp_path / "walk.mp4.npz", **detections([2, 2, 0, 1, 2, 0]))
    clips, problems = converted(tmp_path)
    assert problems == [] and list(clips) == [("detectron", "walk")]
    clip = clips["detectron", "walk"]
    assert clip.num_frames == 6 and clip.num_persons == 2 and clip.info["width"] == 640
    assert sorted(clip.frames.tolist()) == [0, 0, 1, 1, 3, 4, 4]
    for person in (0, 1):
        x = clip.keypoints_2d[clip.persons == person][:, 0, 0]
        assert np.ptp(x) < 10
    assert clip.keypoints_2d[0, 3].tolist() == [6, 56] and clip.scores[0, 0] == 0.75
    assert clip.extra["box_scores"][0] == np.float32(0.9) and "logits" not in clip.extra
    assert clip.extra["slots"].tolist().count(1) == 3
    kept = converted(tmp_path, all_fields=True)[0]["detectron", "walk"]
    assert (kept.extra["logits"] == 9).all()


def test_a_video_without_anybody_is_read(tmp_path):
    save(tmp_path / "a.npz", **detections([0, 0, 0]))
    empty = np.zeros((3, 2, 0))
    save(tmp_path / "b.npz", boxes=empty, keypoints=empty, segments=np.zeros(3), metadata={})
    for clip in converted(tmp_path)[0].values():
        assert clip.num_frames == 3 and len(clip.frames) == 0


def test_the_skeleton_is_known_or_named(tmp_path):
    place = tmp_path / "data_2d_custom_x.npz"
    save(place, positions_2d={"a": {"custom": [poses(joints=16)]}}, metadata={"num_joints": 16})
    assert "Name it with --joints" in converted(tmp_path)[1][0].reason
    (clip,) = converted(tmp_path, joints="mpii")[0].values()
    assert clip.skeleton.name == "mpii16"
    assert "another number of joints" in converted(tmp_path, joints="coco17")[1][0].reason


def test_pairs_of_left_and_right_tell_coco_from_human36m(tmp_path):
    swap = load_skeleton("coco17").swap
    coco = [list(side) for side in zip(*swap, strict=True)]
    for name, sides in (("h36m17", H36M_SIDES), ("coco17", coco)):
        save(tmp_path / "data_2d_custom_x.npz", positions_2d={"a": {"custom": [poses()]}},
             metadata={"num_joints": 17, "keypoints_symmetry": sides, "name": name})  # fmt: skip
        (clip,) = converted(tmp_path)[0].values()
        assert clip.skeleton.name == name
    save(tmp_path / "data_2d_custom_x.npz", positions_2d={"a": {"custom": [poses()]}},
         metadata={"num_joints": 17, "keypoints_symmetry": H36M_SIDES[::-1]})  # fmt: skip
    assert "joints of no known skeleton" in converted(tmp_path)[1][0].reason


def test_nothing_in_a_file_runs(tmp_path):
    class Runs:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    save(tmp_path / "data_2d_custom_x.npz", positions_2d={"a": {"custom": [Runs()]}}, metadata=COCO)
    clips, problems = converted(tmp_path)
    assert clips == {} and "asks for posix.system, which is not data" in problems[0].reason
    assert not (tmp_path / "ran").exists()


def test_second_clips_and_other_joints_are_reported(tmp_path):
    for folder in "ab":
        save(tmp_path / folder / "walk.mp4.npz", **detections([1]))
    save(tmp_path / "a/data_2d_custom_x.npz", positions_2d={"v": {"custom": [poses()]}},
         metadata=COCO)  # fmt: skip
    save(tmp_path / "b/data_2d_custom_x.npz", positions_2d={"w": {"custom": [poses()]}},
         metadata={"layout_name": "h36m"})  # fmt: skip
    clips, problems = converted(tmp_path)
    assert list(clips) == [("detectron", "walk"), ("x", "v")]
    assert sorted(p.source for p in problems) == ["b/data_2d_custom_x.npz", "b/walk.mp4.npz"]


def test_whole_numbers_and_halves_become_float32(tmp_path):
    save(tmp_path / "data_2d_custom_x.npz", metadata=COCO,
         positions_2d={"a": {"custom": [poses(dtype="i4")]}, "b": {"custom": [poses(dtype="f2")]},
                       "c": {"custom": [poses(width=3)]}})  # fmt: skip
    clips, _ = converted(tmp_path)
    assert len(clips) == 3 and all(c.keypoints_2d.dtype == np.float32 for c in clips.values())


def table(value, **metadata):
    return {"positions_2d": value, "metadata": {**COCO, **metadata}}


BAD = [
    ({"x": np.ones(3)}, "not a file of VideoPose3D"), (table(3), "positions_2d is no dict"),
    (table({"a": 3}), "positions_2d of a is no dict"), (table({"a": {"custom": 3}}), "no list of"),
    (table({"a": {"custom": [3]}}), "another number of joints"),
    (table({"a": {"custom": [poses(joints=16)]}}), "another number of joints"),
    (table({"a": {"custom": [poses(), poses(joints=16)]}}), "another number of joints"),
    ({"positions_3d": {"S1": {"Walking": poses(5, 31, 3)}}}, "joints of no known skeleton"),
    (table({"a": {"custom": [poses(), np.array([None])]}}), "no array of poses"),
    (table({"a": {"custom": [poses(), poses(width=1)]}}), "no array of poses"),
    (table({"a": {"custom": [poses(), poses().astype(str)]}}), "no array of poses"),
    (detections([1], boxes=np.ones(3)), "boxes and keypoints of different frames"),
    (detections([1], keypoints=np.ones(1)), "no array of people"),
    (detections([2], boxes=detections([1])["boxes"]), "not as many boxes as people"),
    (detections([1], keypoints=np.array([[[], {"a": 1}]], object)), "no array of people"),
    (detections([1], keypoints=np.array([{0: 1, 2: 3}], object)), "no array of people"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "message"), BAD)
def test_bad_files_are_refused_with_a_reason(tmp_path, arrays, message):
    save(tmp_path / "data_2d_custom_x.npz", **arrays)
    try:
        _, problems = converted(tmp_path)
        (problem,) = problems
        reason, path = problem.reason, problem.source
    except InputError as error:
        reason, path = str(error), error.path
    assert message in reason and path == "data_2d_custom_x.npz", reason


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def attempt(folder, text):
    (folder / "a.npz").write_bytes(text)
    try:
        converted(folder, all_fields=True)
    except PosedataError as error:
        assert str(error)


@settings(max_examples=60)
@given(st.binary(max_size=100))
def test_any_bytes_give_clips_or_errors(tmp_path_factory, text):
    attempt(tmp_path_factory.mktemp("fuzz"), text)


@settings(max_examples=100)
@given(st.data())
def test_damaged_files_give_clips_or_errors(tmp_path_factory, data):
    text = bytearray(data.draw(st.sampled_from(
        [npz(**detections([2, 0, 1])), npz(**table({"S1": {"Walking": [poses(), poses()]}}))]
    )))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    attempt(tmp_path_factory.mktemp("fuzz"), bytes(text))


OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from([poses(), poses(3, 32, 3), np.ones((2, 4, 17)), np.ones((2, 5))]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["S1", "a", "custom", "w", "layout_name", "keypoints_symmetry",
                         "video_metadata", 3]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def as_objects(value):
    array = np.empty((), object)
    array[()] = value
    return array


@settings(max_examples=200)
@given(st.dictionaries(
    st.sampled_from(["positions_2d", "positions_3d", "metadata", "boxes", "keypoints"]), OBJECTS
))  # fmt: skip
def test_other_objects_give_clips_or_errors(tmp_path_factory, objects):
    arrays = {}
    for name, value in objects.items():
        arrays[name] = as_objects(value)
        if isinstance(value, list) and name in ("boxes", "keypoints"):
            arrays[name] = np.empty(len(value), object)
            for place, item in enumerate(value):
                arrays[name][place] = item
    attempt(tmp_path_factory.mktemp("fuzz"), npz(**arrays))


def test_a_pose_array_is_that_of_its_key(tmp_path):
    from posedata.converters.videopose3d_file import parse_videopose3d

    first, second = poses(2), poses(3)
    file = parse_videopose3d(npz(**table({"a": {"x": [first], "y": [first, second]}})), "a.npz")
    assert file.keys == [("a", "x", 0), ("a", "y", 0), ("a", "y", 1)]
    assert np.array_equal(pose_array(file, ("a", "y", 1), "a.npz"), second)


@pytest.mark.real
def test_other_npz_files_are_reported(shared):
    clips, problems = converted(shared / "data/h36m")
    assert clips == {} and {p.source for p in problems} == {"test_h36m.npz", "test_h36m_body3d.npz"}
    assert all("not a file of VideoPose3D" in p.reason for p in problems)
