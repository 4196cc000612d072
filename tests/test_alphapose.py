"""AlphaPose's result files, made here and real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_ways import assert_same, mutated, outcome

from posedata.converters import alphapose, alphapose_file
from posedata.converters.alphapose_file import parse_alphapose
from posedata.errors import InputError, PosedataError
from posedata.storage import locate

OPTIONS = {"all_fields": False}


def pose(x=100.0, y=50.0, score=0.5, joints=17) -> list[float]:
    return [number for joint in range(joints) for number in (x + joint, y + 2 * joint, score)]


def entry(image="0.jpg", x=100.0, **fields) -> dict:
    return {"image_id": image, "category_id": 1, "keypoints": pose(x), "score": 2.5, **fields}


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def discover(folder):
    return alphapose.discover(locate(folder), OPTIONS)


def read_all(folder, **options):
    found = discover(folder)
    description = alphapose.describe(found.samples, OPTIONS | options)
    return {s.clip_id: alphapose.read(locate(folder), s, description) for s in found.samples}


def read(folder, value, **options):
    write(folder / "alphapose-results.json", value)
    ((clip, problems),) = read_all(folder, **options).values()
    return clip, [(problem.reason, problem.position) for problem in problems]


# clips


def test_a_clip_is_named_by_its_folder_or_its_file(tmp_path):
    for path in ("alphapose-results.json", "a/b/alphapose-results.json", "a/other.json"):
        write(tmp_path / path, [entry()])
    write(tmp_path / "a/b/sep-json/0.json", {"version": "AlphaPose v0.3", "people": []})
    write(tmp_path / "a/b/sep-json/1.json", b"")
    found = discover(tmp_path)
    assert [(s.clip_id, s.path) for s in found.samples] == [
        ("a__b", "a/b/alphapose-results.json"), ("a__other", "a/other.json"),
        ("alphapose-results", "alphapose-results.json"),
    ]  # fmt: skip
    assert [(p.source, p.severity) for p in found.problems] == [("a/b/sep-json", "warning")]
    assert len(read_all(tmp_path)) == 3


def test_two_files_with_one_clip_id_are_reported(tmp_path):
    write(tmp_path / "a/b/alphapose-results.json", [])
    write(tmp_path / "a/b.json", [])
    found = discover(tmp_path)
    assert [p.reason for p in found.problems] == ["a second clip with the id a__b"]


def test_one_file(tmp_path):
    write(tmp_path / "x.json", [entry()])
    raw = locate(tmp_path / "x.json")
    found = alphapose.discover(raw, OPTIONS)
    clip, _ = alphapose.read(raw, found.samples[0], alphapose.describe(found.samples, OPTIONS))
    assert clip.clip_id == "x" and len(clip.frames) == 1


@pytest.mark.parametrize(
    ("joints", "skeleton"), [(17, "coco17"), (26, "halpe26"), (133, "coco_wholebody133")]
)
def test_the_skeleton_is_told_by_the_number_of_joints(tmp_path, joints, skeleton):
    clip, problems = read(tmp_path, [entry(keypoints=pose(joints=joints))])
    assert clip.skeleton.name == skeleton and clip.layer == "alphapose" and problems == []


@pytest.mark.parametrize("joints", [1, 18, 68, 136])
def test_other_numbers_of_joints_are_refused(tmp_path, joints):
    with pytest.raises(InputError, match=rf"found {joints} joints.*17 \(coco17\), 26 \(halpe26\)"):
        read(tmp_path, [entry(keypoints=pose(joints=joints))])


def test_a_clip_of_another_skeleton_is_refused(tmp_path):
    write(tmp_path / "a.json", [entry()])
    write(tmp_path / "b.json", [entry(keypoints=pose(joints=26))])
    with pytest.raises(InputError, match="found 26 joints in the form default, expected coco17"):
        read_all(tmp_path)


# the three forms


@pytest.mark.parametrize(
    ("people", "keypoints"), [("bodies", "joints"), ("people", "pose_keypoints_2d")]
)
def test_the_forms_of_openpose_have_its_18_joints(tmp_path, people, keypoints):
    numbers = pose(joints=18)
    image = {"version": "AlphaPose v0.3", people: [{keypoints: numbers}]}
    clip, problems = read(tmp_path, {"10.jpg": image, "9.jpg": {**image, people: []}})
    assert clip.skeleton.name == "openpose18" and problems == []
    assert clip.frames.tolist() == [10] and clip.num_frames == 11
    assert clip.keypoints_2d[0].ravel().tolist() == [n for i, n in enumerate(numbers) if i % 3 < 2]


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"0.jpg": [{"keypoints": pose()}]}, "a result file of PoseFlow"),
     ({"version": "AlphaPose v0.3", "people": []}, "the result of one image"),
     ({"0.jpg": {"joints": []}}, "not a result file of AlphaPose"),
     (b'{"0.jpg": [{"keypoints": [1, 2,]}]}', "not JSON"), (b"3", "not a result file"),
     (b"", "not JSON"), ([3], "entry 0: not a person"), ([entry(image=None)], "no frame number"),
     ([entry(image="photo.jpg")], "entry 0: no frame number in image_id"),
     ([entry(image=True)], "no frame number"), ([entry(image=-1)], "no frame number"),
     ([entry(image=10**9)], "no frame number: found 1000000000"),
     ([entry(image=10**30)], "no frame number"),
     ([entry(), entry(keypoints=[1, 2])], "entry 1: bad keypoints"),
     ([entry(), entry(keypoints=pose(joints=26))], "entry 1: bad keypoints: expected 51 numbers"),
     ([entry(keypoints=[])], "bad keypoints"), ([entry(keypoints="x")], "bad keypoints"),
     ([entry(box=[1, 2, 3])], "bad box"), ([entry(idx="a")], "bad idx"),
     ([entry(score="1")], "bad score"),
     ([entry("a_1.jpg"), entry("b_1.jpg")], "several videos in one file: found 'a_1.jpg', 'b_1.jp"),
     ({"1.jpg": {"people": [3]}}, "'1.jpg', person 0: not a person"),
     ({"1.jpg": {"people": [{}]}}, "'1.jpg', person 0: bad keypoints")],
)  # fmt: skip
def test_what_is_not_the_format_is_an_error_with_its_place(tmp_path, value, reason):
    with pytest.raises(InputError) as error:
        read(tmp_path, value)
    assert reason in str(error.value)


# frames, people


def test_the_frame_is_the_number_in_the_name(tmp_path):
    clip, problems = read(tmp_path, [entry(f"{n}.jpg", 100 + n) for n in (0, 1, 10, 11, 2, 8, 9)])
    assert clip.frames.tolist() == [0, 1, 2, 8, 9, 10, 11] and clip.num_frames == 12
    assert clip.keypoints_2d[:, 0, 0].tolist() == [100, 101, 102, 108, 109, 110, 111]
    assert problems == []  # frames without people are absent by the format


@pytest.mark.parametrize("image", ["clip_000007.png", 7, "7"])
def test_other_image_ids(tmp_path, image):
    assert read(tmp_path, [entry(image)])[0].frames.tolist() == [7]


def test_nobody(tmp_path):
    clip, problems = read(tmp_path, [])
    assert clip.num_frames == 0 and clip.keypoints_2d.shape == (0, 17, 2)
    assert problems == [
        ("the file has nobody: how many frames the video has is not known either", "")
    ]


def test_people_without_ids_are_tracked_and_slots_count_within_frames(tmp_path):
    value = [entry("0.jpg", 100), entry("1.jpg", 900), entry("0.jpg", 900), entry("1.jpg", 100)]
    clip, _ = read(tmp_path, value)
    assert clip.keypoints_2d[:, 0, 0].tolist() == [100, 100, 900, 900]
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0] and clip.person_ids == ()


@pytest.mark.parametrize("ids", [(2, 1), ([[2.0]], [[1.0]]), ([2], [1]), (2.0, 1)])
def test_ids_of_the_source_are_taken(tmp_path, ids):
    a, b = ids
    value = [entry("0.jpg", 100, idx=a), entry("0.jpg", 900, idx=b), entry("1.jpg", 900, idx=a)]
    clip, _ = read(tmp_path, value)
    assert clip.person_ids == ("2", "1")
    assert clip.keypoints_2d[:, 0, 0].tolist() == [100, 900, 900]


@pytest.mark.parametrize("nothing", [0, [[0.0]], [[0.0], [0.0]]])
def test_ids_that_are_all_0_are_none(tmp_path, nothing):
    value = [entry("0.jpg", 100, idx=nothing), entry("0.jpg", 900, idx=nothing)]
    clip, _ = read(tmp_path, value)
    assert clip.person_ids == () and clip.num_persons == 2


def test_scores_above_1_become_1_with_a_warning(tmp_path):
    clip, problems = read(tmp_path, [entry(keypoints=pose(score=1.069))])
    assert (clip.scores == 1).all()
    assert problems == [("score above 1, now 1: 17 times", "frame 0, person 0")]


def test_boxes_and_pose_scores(tmp_path):
    value = [entry("0.jpg", box=[10, 20, 30, 40]), entry("1.jpg")]
    clip, _ = read(tmp_path, value)
    assert clip.boxes[0].tolist() == [10, 20, 40, 60] and np.isnan(clip.boxes[1]).all()
    description = alphapose.describe(discover(tmp_path).samples, OPTIONS)
    assert description.layer().left_out == ("pose_scores",) and "pose_scores" not in clip.extra
    clip, problems = read(tmp_path, value, all_fields=True)
    assert clip.extra["pose_scores"].tolist() == [2.5, 2.5] and problems == []


def test_fields_that_the_first_clip_lacks_are_left_out_with_a_warning(tmp_path):
    write(tmp_path / "a.json", [entry()])
    write(tmp_path / "b.json", [entry(box=[1, 2, 3, 4], pred_xyz_jts=[[1, 2, 3]])])
    clip, problems = read_all(tmp_path)["b"]
    assert clip.boxes is None
    assert [p.reason for p in problems] == [
        "pred_xyz_jts, the 3D joints of AlphaPose's SMPL models, left out",
        "boxes left out: the first clip has none",
    ]


RESULTS = json.dumps([entry(idx=[[1.0]], box=[1, 2, 3, 4]), entry("1.jpg", idx=2)]).encode()


@given(st.one_of(
    st.binary(max_size=200),
    st.integers(0, len(RESULTS)).map(lambda end: RESULTS[:end]),
    st.tuples(st.integers(0, len(RESULTS) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda change: RESULTS[: change[0]] + change[1] + RESULTS[change[0] + 1 :]
    ),
))  # fmt: skip
def test_any_bytes_give_a_clip_or_an_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        clip, _ = read(folder, text)
    except PosedataError:
        return
    assert clip.num_frames >= 0


@pytest.mark.real
def test_the_real_file(shared):
    folder = shared / "data/alphapose"
    ((clip, problems),) = read_all(folder).values()
    raw = json.loads((folder / "alphapose-results.json").read_bytes())
    assert clip.num_frames == 175 and len(clip.frames) == len(raw) == 176
    assert sorted(set(range(175)) - set(clip.frames.tolist())) == [69]
    assert [p.reason for p in problems] == ["score above 1, now 1: 5 times"]
    assert np.bincount(clip.persons).tolist() == [174, 1, 1]
    entries: dict[int, list] = {}
    for person in raw:
        entries.setdefault(int(person["image_id"].removesuffix(".jpg")), []).append(person)
    for row, (frame, slot) in enumerate(zip(clip.frames, clip.extra["slots"], strict=True)):
        expected = np.array(entries[frame][slot]["keypoints"], np.float32).reshape(17, 3)
        assert (clip.keypoints_2d[row] == expected[:, :2]).all()
        assert (clip.scores[row] == expected[:, 2].clip(0, 1)).all()


# the fast way and the plain one


FULL = [entry(f"{n}.jpg", idx=n % 2, box=[1.5, 2, 30, 40], pred_xyz_jts=[[1, 2]]) for n in range(3)]
BOTH_WAYS = {
    "old": [entry("0.jpg"), entry("0.jpg", 3.25), entry("12.jpg")],
    "new": FULL,
    "numbers": [entry(3, idx=1.5), entry(7, idx=0.1)],
    "stem": [entry("cam_1_007.png"), entry("cam_1_12.png")],
    "cmu": {"1.jpg": {"bodies": [{"joints": pose(joints=18), "idx": 4}]}, "2.jpg": {"bodies": []},
            "3.jpg": {"bodies": [{"joints": pose(joints=18)}] * 2}},
    "open": {"1.jpg": {"people": [{"pose_keypoints_2d": pose(joints=18)}]}},
    "NaN": [entry("0.jpg", score=float("nan")), entry("1.jpg", x=float("nan"))],
    "folders": [entry("a/0.jpg"), entry("a/1.jpg")],
    "mixed boxes": [entry(box=[1, 2, 3, 4]), entry()],
}  # fmt: skip


def both_ways(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alphapose_file, "_by_field", lambda found: None)
        plain = outcome(parse_alphapose, text, "f.json")
    return outcome(parse_alphapose, text, "f.json"), plain


def is_fast(text, monkeypatch):
    with monkeypatch.context() as patch:
        patch.delattr(alphapose_file, "_one_by_one")
        try:
            return bool(parse_alphapose(text, "f.json"))
        except NameError:
            return False


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_both_ways_give_the_same(name, monkeypatch):
    text = json.dumps(BOTH_WAYS[name]).encode()
    assert is_fast(text, monkeypatch) == (name not in ("folders", "mixed boxes"))
    assert_same(*both_ways(text))


@pytest.mark.parametrize(
    "images",
    [["5.jpg", "x5.jpg"], ["x5.jpg", "5.jpg"], ["0.jpg", "0.png"], ["1.jpg", 1], ["12", "13"],
     ["a.1.jpg", "a.2.jpg"], ["a/1.jpg", "a/2.jpg"], ["1.jpg", "a/1.jpg"], [1, True], [1.0, 2.0],
     [-1, 2], [1 << 62, 1], ["1.tar.gz", "2.tar.gz"], [".1.jpg", ".2.jpg"], ["1.jpg/", "2.jpg/"],
     ["1.jpg", "١.jpg"], ["x.jpg", "1.jpg"], ["1.jpg", "x.jpg"], ["1.jpg", ".jpg"], ["1.jpg", ""],
     ["0" * 19 + ".jpg", "1" * 19 + ".jpg"], ["1.jpg", "1" * 19 + ".jpg"], ["a_1.jpg", "a__1.jpg"],
     ["007.jpg", "7.jpg"], ["-1.jpg", "-2.jpg"], ["1\n.jpg", "2\n.jpg"], ["a\n1.jpg", "a\n2.jpg"],
     ["1..jpg", "2..jpg"], ["1.j2g", "2.j2g"], ["1.jpg", "1.jpg.jpg"], ["1jpg", "2jpg"]],
)  # fmt: skip
def test_both_ways_find_the_same_frames(images):
    fast, plain = both_ways(json.dumps([entry(image) for image in images]).encode())
    assert_same(fast, plain)


@pytest.mark.parametrize(
    "fields",
    [{"idx": float("nan")}, {"idx": True}, {"idx": [1]}, {"idx": 10**30}, {"idx": 10**400},
     {"idx": -0.0}, {"score": "x"}, {"score": 10**400}, {"score": None}, {"score": False},
     {"box": [1, 2, 3]}, {"box": None}, {"box": [float("nan")] * 4}, {"box": [1e308] * 4},
     {"keypoints": [1, 2]}, {"keypoints": []}, {"keypoints": None}, {"pred_xyz_jts": None}],
)  # fmt: skip
def test_both_ways_say_the_same_of_odd_fields(fields):
    for entries in ([entry(**fields)], [entry(), entry(**fields)]):
        assert_same(*both_ways(json.dumps(entries).encode()))


@given(st.lists(st.text("ab/._-0129\n١", max_size=6).map(lambda name: name + ".jpg"), min_size=1,
                max_size=3))  # fmt: skip
def test_both_ways_find_the_same_frames_in_any_names(images):
    assert_same(*both_ways(json.dumps([entry(image) for image in images]).encode()))


@given(st.sampled_from(list(BOTH_WAYS.values())).flatmap(mutated))
def test_both_ways_give_the_same_of_any_file(text):
    assert_same(*both_ways(text))


@pytest.mark.parametrize("name", ["cmu", "open"])
def test_many_images_by_name_are_what_few_are(name, monkeypatch):
    text = json.dumps(BOTH_WAYS[name]).encode()
    few = both_ways(text)
    monkeypatch.setattr(alphapose_file, "_FEW_NAMES", 0)
    assert_same(both_ways(text), few)


def test_of_an_image_that_is_there_twice_both_count():
    bodies = json.dumps(BOTH_WAYS["cmu"]["1.jpg"])
    file = parse_alphapose(f'{{"1.jpg": {bodies}, "1.jpg": {bodies}}}'.encode(), "f.json")
    assert file.frames.tolist() == [1, 1]


@pytest.mark.real
def test_both_ways_give_the_same_of_a_real_file(shared, monkeypatch):
    text = (shared / "data/alphapose/alphapose-results.json").read_bytes()
    assert is_fast(text, monkeypatch)
    assert_same(*both_ways(text))
