"""`posedata.converters.mmpose`: what becomes of the JSON files of MMPose."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import mmpose
from posedata.converters.mmpose_file import parse_mmpose
from posedata.errors import InputError, PosedataError
from posedata.joint_names import match_joints
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": ""}


def instance(x=100.0, joints=17, width=2, **fields):
    """A person whose joint j is at (x + j, 50 + 2j)."""
    keypoints = [[x + j, 50.0 + 2 * j, 0.5][:width] for j in range(joints)]
    return {
        "keypoints": keypoints, "keypoint_scores": [0.5 + j / 1000 for j in range(joints)],
        "bbox": [[x - 5, 40.0, x + 30, 90.0]], "bbox_score": 0.9, **fields,
    }  # fmt: skip


def video(*frames):
    return [{"frame_id": number, "instances": list(people)} for number, people in enumerate(frames)]


def converted(tmp_path, content, name="clip.json", **options):
    """Read a file the way a conversion does."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / name).write_bytes(text)
    raw = locate(tmp_path)
    found = mmpose.discover(raw, {**OPTIONS, **options})
    (sample,) = found.samples
    return mmpose.read(raw, sample, mmpose.describe(found.samples, {**OPTIONS, **options}))


def test_a_video_becomes_a_clip_with_every_number(tmp_path):
    clip, problems = converted(tmp_path, video([instance(10)], [], [instance(12)]))
    assert problems == []
    assert (clip.clip_id, clip.layer, clip.skeleton.name) == ("clip", "mmpose", "coco17")
    assert clip.num_frames == 3 and clip.frames.tolist() == [0, 2] and clip.num_persons == 1
    assert clip.keypoints_2d[1, 16].tolist() == [28, 82]
    assert clip.scores[0, 16] == np.float32(0.516)
    assert clip.boxes[0].tolist() == [5, 40, 40, 90]
    assert clip.extra["box_scores"].tolist() == [np.float32(0.9)] * 2
    assert clip.extra["slots"].tolist() == [0, 0] and clip.person_ids == ()


def test_people_keep_their_track_though_their_order_changes(tmp_path):
    frames = [[instance(10), instance(400)], [instance(401), instance(11)], [instance(402)]]
    clip, _ = converted(tmp_path, video(*frames))
    assert clip.num_persons == 2
    for person, x in ((0, 10), (1, 400)):
        assert (abs(clip.keypoints_2d[clip.persons == person][:, 0, 0] - x) < 5).all()
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("field", ["track_id", "instance_id"])
def test_track_ids_of_the_file_are_the_persons(tmp_path, field):
    frames = [[instance(10, **{field: 7}), instance(400, **{field: 3})],
              [instance(10, **{field: 3}), instance(400, **{field: 7})]]  # fmt: skip
    clip, _ = converted(tmp_path, video(*frames))
    assert clip.person_ids == ("7", "3")
    assert clip.keypoints_2d[clip.persons == 0][:, 0, 0].tolist() == [10, 400]
    clip, _ = converted(tmp_path, video([instance(10, **{field: -1})]))
    assert clip.person_ids == ()


def test_the_demos_count_frames_from_1(tmp_path):
    entries = [{"frame_id": n + 1, "instances": [instance(10 + n)]} for n in range(3)]
    content = {"meta_info": {"dataset_name": "coco"}, "instance_info": entries}
    clip, _ = converted(tmp_path, content)
    assert clip.frames.tolist() == [0, 1, 2] and clip.num_frames == 3
    entries[0]["frame_id"] = 0
    with pytest.raises(InputError, match="a frame before the first: found frame_id 0"):
        parse_mmpose(json.dumps(content).encode(), "a")


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"meta_info": {}, "instance_info": x}])
def test_an_image_is_a_clip_of_one_frame(tmp_path, wrap):
    clip, _ = converted(tmp_path, wrap([instance(10), instance(300)]))
    assert clip.num_frames == 1 and clip.frames.tolist() == [0, 0] and clip.num_persons == 2
    clip, _ = converted(tmp_path, wrap([]))
    assert clip.num_frames == 1 and len(clip.frames) == 0


@pytest.mark.parametrize(
    ("joints", "name"), [(17, "coco17"), (26, "halpe26"), (133, "coco_wholebody133")]
)
def test_the_number_of_joints_tells_the_skeleton(tmp_path, joints, name):
    clip, _ = converted(tmp_path, video([instance(joints=joints)]))
    assert clip.skeleton.name == name


def test_names_in_meta_info_tell_the_skeleton_and_the_order(tmp_path):
    names = list(load_skeleton("mpii16").joints)
    content = {
        "meta_info": {"keypoint_id2name": {str(i): name for i, name in enumerate(names[::-1])}},
        "instance_info": [{"frame_id": 1, "instances": [instance(0, joints=16)]}],
    }
    clip, _ = converted(tmp_path, content)
    assert clip.skeleton.name == "mpii16"
    assert clip.keypoints_2d[0, :, 0].tolist() == list(range(15, -1, -1))


def test_the_skeleton_can_be_named(tmp_path):
    clip, _ = converted(tmp_path, video([instance(joints=16)]), joints="mpii")
    assert clip.skeleton.name == "mpii16"
    with pytest.raises(InputError, match="no skeleton is known for this number of joints"):
        converted(tmp_path, video([instance(joints=16)]))
    with pytest.raises(InputError, match="chosen skeleton"):
        converted(tmp_path, video([instance(joints=17)]), joints="mpii16")


def test_three_numbers_a_joint_are_3d(tmp_path):
    clip, problems = converted(tmp_path, video([instance(1, width=3)], [instance(2, width=3)]))
    assert clip.skeleton.name == "h36m17" and clip.keypoints_2d is None and problems == []
    assert clip.keypoints_3d[1, 2].tolist() == [4, 54, 0.5]
    alone = instance(1, width=3)
    del alone["bbox"]
    clip, _ = converted(tmp_path, video([alone], [alone]))
    assert clip.num_persons == 1
    with pytest.raises(InputError, match="cannot be told apart"):
        converted(tmp_path, video([alone, alone]))


def test_odd_numbers_are_kept_or_flagged(tmp_path):
    person = instance()
    person["keypoint_scores"][:2] = [1.06, float("nan")]
    person["keypoints"][5] = [float("nan"), 3.0]
    person["keypoints"][6], person["keypoint_scores"][6] = [0.0, 0.0], 0.0
    person["keypoints"][7] = [-20.0, 5000.0]
    clip, problems = converted(tmp_path, video([person]))
    assert b"NaN" in (tmp_path / "clip.json").read_bytes()
    assert np.isnan(clip.keypoints_2d[0, [1, 5, 6]]).all()
    assert clip.scores[0, [0, 1, 5, 6]].tolist() == [1, 0, 0, 0]
    assert clip.keypoints_2d[0, 7].tolist() == [-20, 5000]
    assert {p.severity for p in problems} == {"warning"} and len(problems) == 3


def test_boxes_come_nested_or_flat_or_not_at_all(tmp_path):
    flat, none = instance(bbox=[1, 2, 3, 4]), instance()
    del none["bbox"], none["bbox_score"]
    clip, _ = converted(tmp_path, video([flat], [none]))
    assert clip.boxes[0].tolist() == [1, 2, 3, 4]
    assert np.isnan(clip.boxes[1]).all() and np.isnan(clip.extra["box_scores"][1])


def test_unknown_fields_are_reported(tmp_path):
    _, problems = converted(tmp_path, video([instance(colour=1)]))
    assert [p.reason for p in problems] == ["unknown field 'colour' was left out"]


def test_files_of_other_skeletons_and_second_files_are_reported(tmp_path):
    (tmp_path / "sub").mkdir()
    for path, joints in (("a.json", 17), ("b.json", 133), ("sub/a.json", 17)):
        (tmp_path / path).write_text(json.dumps(video([instance(joints=joints)])))
    raw = locate(tmp_path)
    found = mmpose.discover(raw, OPTIONS)
    assert [s.path for s in found.samples] == ["a.json", "b.json"]
    assert [p.source for p in found.problems] == ["sub/a.json"]
    description = mmpose.describe(found.samples, OPTIONS)
    with pytest.raises(InputError, match="other poses than this release"):
        mmpose.read(raw, found.samples[1], description)


BAD = [
    (b"", "not JSON"), (b"{}", "not an MMPose file"), (b"3", "not an MMPose file"),
    (b"[3]", "not a frame"), (b"[{}]", "bad keypoint_scores"),
    ([{"instances": []}], "not a frame"), ([{"frame_id": 0, "instances": 3}], "not a frame"),
    ([{"frame_id": True, "instances": []}], "not a frame"),
    ([{"frame_id": -1, "instances": []}], "before the first"),
    ([{"frame_id": 0, "instances": []}] * 2, "a frame twice"), (video([3]), "not an instance"),
    (video([instance(keypoints=[[1, 2]])]), "bad keypoints"),
    (video([instance(keypoints=[1] * 34)]), "bad keypoints"),
    (video([instance(keypoints="x")]), "bad keypoints"),
    (video([instance(keypoints=[["x", 1]] * 17)]), "bad keypoints"),
    (video([instance(keypoint_scores=[])]), "bad keypoint_scores"),
    (video([instance(keypoint_scores=[None] * 17)]), "bad keypoint_scores"),
    (video([instance(bbox=[1, 2])]), "bad bbox"),
    (video([instance(bbox_score="x")]), "bad bbox_score"),
    (video([instance(track_id="x")]), "bad track_id"),
    (video([instance(), instance(joints=18)]), "frame 0, instance 1: another number of joints"),
    (video([instance(), instance(width=3)]), "another number of joints"),
    ([{"frame_id": 1 << 40, "instances": []}], "too many frames"),
    (video([instance(track_id=1), instance(track_id=1)]), "the same person id twice"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_files_are_refused_with_a_reason(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        converted(tmp_path, content)
    assert message in str(caught.value), caught.value
    assert str(caught.value).startswith("clip.json")


def attempt(folder, text):
    try:
        clip, _ = converted(folder, text)
        assert clip.num_frames >= 0
    except PosedataError as error:
        assert str(error)


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_any_bytes_give_a_clip_or_an_error(tmp_path_factory, text):
    attempt(tmp_path_factory.mktemp("fuzz"), text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["frame_id", "instances", "keypoints", "keypoint_scores", "bbox"]), inner
    ), max_leaves=10,
)  # fmt: skip


@settings(max_examples=200)
@given(st.data())
def test_other_json_gives_a_clip_or_an_error(tmp_path_factory, data):
    content = video([instance(joints=17)], [instance(20), instance(300)])
    person = content[data.draw(st.integers(0, 1))]["instances"][0]
    person[data.draw(st.sampled_from([*person, "track_id"]))] = data.draw(JSON)
    if data.draw(st.booleans()):
        content = data.draw(JSON)
    attempt(tmp_path_factory.mktemp("fuzz"), json.dumps(content).encode())


def test_joint_names_are_matched_in_any_writing_and_order():
    coco = load_skeleton("coco17").joints
    assert match_joints(coco).skeleton == "coco17"
    spelled = [name.replace("_", "-").upper() for name in coco]
    match = match_joints(spelled[::-1])
    assert match.skeleton == "coco17" and match.order == tuple(range(16, -1, -1))
    assert match_joints(["nose", "tail"]) is None
    assert match_joints([*coco[:-1], "nose"]) is None


@pytest.mark.real
def test_the_real_video_keeps_every_number(shared):
    raw = locate(shared / "data/mmpose")
    found = mmpose.discover(raw, OPTIONS)
    (sample,) = found.samples
    clip, problems = mmpose.read(raw, sample, mmpose.describe(found.samples, OPTIONS))
    content = json.loads((shared / "data/mmpose/FOOTBALL.json").read_text())
    expected = np.array([f["instances"][0]["keypoints"] for f in content], np.float32)
    assert np.array_equal(clip.keypoints_2d, expected)
    scores = np.array([f["instances"][0]["keypoint_scores"] for f in content], np.float32)
    assert np.array_equal(clip.scores, scores.clip(0, 1)) and scores.max() > 1
    assert clip.skeleton.name == "coco_wholebody133" and clip.num_persons == 1
    assert [p.reason for p in problems] == [f"score above 1, now 1: {(scores > 1).sum()} times"]
