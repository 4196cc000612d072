"""Folders of OpenPose's files, made here and real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_ways import assert_same, mutated, outcome

import posedata
from posedata.convert import convert, plan_conversion
from posedata.converters import openpose, openpose_rows
from posedata.converters.openpose_file import read_frames, read_people
from posedata.converters.openpose_model import bone_ratio, is_body25b
from posedata.errors import InputError, PosedataError, UsageError
from posedata.remap import remap
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": "", "scale": "pixels", "size": ""}


def pose(x=100.0, y=50.0, score=0.5, joints=25) -> list[float]:
    return [number for joint in range(joints) for number in (x + joint, y + 2 * joint, score)]


def person(x=100.0, **fields) -> dict:
    return {"person_id": [-1], "pose_keypoints_2d": pose(x), **fields}


def write(folder: Path, people: list, number=0, name="cam_{:012d}_keypoints.json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = people if isinstance(people, bytes) else json.dumps({"version": 1.3, "people": people})
    (folder / name.format(number)).write_bytes(text if isinstance(text, bytes) else text.encode())


def discover(folder, **options):
    return openpose.discover(locate(folder), OPTIONS | options)


def read_all(folder, **options):
    found = discover(folder, **options)
    description = openpose.describe(found.samples, OPTIONS | options)
    return {s.clip_id: openpose.read(locate(folder), s, description) for s in found.samples}


def read(folder, *frames, **options):
    for number, people in enumerate(frames):
        write(folder, people, number)
    ((clip, problems),) = read_all(folder, **options).values()
    return clip, [(problem.reason, problem.position) for problem in problems]


# clips


def test_a_clip_is_a_folder_and_the_stem_of_its_files_where_it_has_several(tmp_path):
    write(tmp_path, [person()], name="root_000000000000_keypoints.json")
    write(tmp_path / "a/one", [person()], name="cam01.0000.json")
    write(tmp_path / "b", [person()], name="x_00000.json")
    write(tmp_path / "b", [person()], name="y.00000.json")
    write(tmp_path / "b/empty", [person()], name="000000000000.json")
    write(tmp_path / "b", [person()], name="about.json")
    found = discover(tmp_path)
    assert [(s.clip_id, s.path) for s in found.samples] == [
        ("a__one", "a/one"), ("b__empty", "b/empty"), ("b__x", "b"), ("b__y", "b"), ("root", ".")
    ]  # fmt: skip
    assert [p.source for p in found.problems] == ["b/about.json"]
    assert {c: len(clip.frames) for c, (clip, _) in read_all(tmp_path).items()} == dict.fromkeys(
        ["a__one", "b__empty", "b__x", "b__y", "root"], 1
    )


def test_two_folders_with_one_clip_id_are_reported(tmp_path):
    write(tmp_path / "a/b", [person()])
    write(tmp_path / "a__b", [person()])
    found = discover(tmp_path)
    assert [s.path for s in found.samples] == ["a/b"]
    assert [(p.source, p.reason) for p in found.problems] == [
        ("a__b", "a second clip with the id a__b")
    ]


def test_one_file_is_no_clip(tmp_path):
    write(tmp_path, [person()])
    (path,) = tmp_path.iterdir()
    found = discover(path)
    assert found.samples == [] and "give its folder" in found.problems[0].reason


def test_an_empty_folder(tmp_path):
    assert discover(tmp_path).samples == []


@pytest.mark.parametrize(
    ("joints", "skeleton"), [(25, "body25"), (18, "openpose18"), (15, "mpi15")]
)
def test_the_skeleton_is_told_by_the_number_of_joints_of_the_first_person(
    tmp_path, joints, skeleton
):
    clip, problems = read(tmp_path, [], [{}], [{"pose_keypoints_2d": pose(joints=joints)}])
    assert clip.skeleton.name == skeleton and clip.layer == "openpose" and problems == []
    assert clip.frames.tolist() == [2] and clip.num_frames == 3


def test_a_clip_of_another_skeleton_is_refused(tmp_path):
    write(tmp_path / "a", [person()])
    write(tmp_path / "b", [{"pose_keypoints_2d": pose(joints=18)}])
    with pytest.raises(InputError) as error:
        read_all(tmp_path)
    assert error.value.path == "b"
    assert error.value.position == "cam_000000000000_keypoints.json, person 0"
    assert "found 18, expected 25 (body25)" in error.value.reason


def test_the_joints_can_be_named(tmp_path):
    write(tmp_path, [{"pose_keypoints_2d": pose(joints=26)}])
    ((clip, problems),) = read_all(tmp_path, joints="halpe26").values()
    assert clip.skeleton.name == "halpe26" and problems == []
    for joints in ("", "coco17"):
        with pytest.raises(InputError, match=r"found 26, expected .*--joints"):
            read_all(tmp_path, joints=joints)
    with pytest.raises(UsageError, match="unknown skeleton"):
        discover(tmp_path, joints="body26b")


# BODY_25 and BODY_25B

# A person who faces the camera and waves with the right hand; the left side is the middle's mirror.
MIDDLE = {"nose": (500, 200), "neck": (500, 270), "mid_hip": (500, 500), "upper_neck": (500, 245),
          "head_top": (500, 150)}  # fmt: skip
SIDE = {"eye": (12, 190), "ear": (27, 195), "shoulder": (65, 270), "elbow": (90, 370),
        "wrist": (95, 460), "hip": (40, 500), "knee": (45, 650), "ankle": (50, 790),
        "big_toe": (60, 825), "small_toe": (75, 820), "heel": (48, 805)}  # fmt: skip
FIGURE = {
    **MIDDLE,
    **{f"left_{joint}": (500 + x, y) for joint, (x, y) in SIDE.items()},
    **{f"right_{joint}": (500 - x, y) for joint, (x, y) in SIDE.items()},
    "right_elbow": (380, 240),
    "right_wrist": (400, 150),
}


def figure(skeleton: str) -> np.ndarray:
    """The person in the joints of a skeleton, shape (V, 2)."""
    return np.array([FIGURE[joint] for joint in load_skeleton(skeleton).joints], np.float64)


def of_figure(skeleton: str) -> dict:
    numbers = np.insert(figure(skeleton), 2, 0.5, axis=1)
    return {"pose_keypoints_2d": numbers.ravel().tolist()}


def test_joints_of_body25b_are_read_as_told_and_suspected_where_not(tmp_path):
    for name in ("b", "c"):
        write(tmp_path / name, [of_figure("body25b")])
    write(tmp_path / "a", [of_figure("body25")])
    problems = {clip_id: found for clip_id, (_, found) in read_all(tmp_path).items()}
    assert problems["a"] == []
    for name in ("b", "c"):
        (problem,) = problems[name]
        assert (problem.source, problem.severity) == (name, "warning")
        assert "look like BODY_25B" in problem.reason and "--joints body25b" in problem.reason
    told = read_all(tmp_path, joints="BODY_25B")
    assert {(clip.skeleton.name, *found) for clip, found in told.values()} == {("body25b",)}
    assert (told["b"][0].keypoints_2d[0] == figure("body25b")).all()
    as_it_is = read_all(tmp_path, joints="body25")
    assert {(clip.skeleton.name, *found) for clip, found in as_it_is.values()} == {("body25",)}


def test_normalised_joints_of_body25b_are_suspected_in_pixels(tmp_path):
    """A picture ten times as wide as high: only in pixels are bones as long as they are."""
    numbers = np.insert(figure("body25b") / (9999, 999), 2, 0.5, axis=1)
    write(tmp_path, [{"pose_keypoints_2d": numbers.ravel().tolist()}])
    ((_, problems),) = read_all(tmp_path, scale="unit", size="10000x1000").values()
    assert ["BODY_25B" in problem.reason for problem in problems] == [True]


@given(st.data())
def test_body25_is_never_taken_for_body25b_nor_the_other_way(data):
    """Turned, scaled, shaken, and without the joints that a cut or a turned head hides."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 20)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    hidden = data.draw(st.sampled_from(
        [(), ("toe", "heel"), ("toe", "heel", "ankle", "knee"), ("left_eye", "left_ear"),
         ("eye", "ear", "nose"), ("left_elbow", "left_wrist"), ("right_wrist", "toe", "heel")]
    ))  # fmt: skip
    for skeleton in ("body25", "body25b"):
        poses = (figure(skeleton) + rng.normal(0, 8, (20, 25, 2))) @ turn + 1000
        joints = load_skeleton(skeleton).joints
        poses[:, [any(part in joint for part in hidden) for joint in joints]] = np.nan
        assert is_body25b(poses) == (skeleton == "body25b")


def test_too_few_joints_are_not_suspected():
    poses = np.full((3, 25, 2), np.nan)
    assert not is_body25b(poses) and not is_body25b(poses[:0])
    poses[:, :4] = figure("body25b")[:4]
    assert np.isnan(bone_ratio(poses))


@given(st.lists(st.floats(), min_size=50, max_size=50))
def test_any_numbers_are_suspected_or_not(numbers):
    assert isinstance(is_body25b(np.reshape(numbers, (1, 25, 2))), bool)


@pytest.mark.real
def test_real_folders_are_body25b(shared):
    for clip, problems in read_all(shared / "data/openpose").values():
        assert bone_ratio(clip.keypoints_2d) < 0.65
        assert ["look like BODY_25B" in problem.reason for problem in problems] == [True]


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["ntu", "kinetics", "mmpose", "alphapose"])
def test_real_poses_in_the_joints_of_body25_are_not_suspected(shared, tmp_path, dataset):
    folder = {"ntu": "ntu/skeletons", "kinetics": "kinetics_skeleton"}.get(dataset, dataset)
    convert(plan_conversion(dataset, shared / "data" / folder), tmp_path / "r", num_workers=1)
    for clip in posedata.open_release(tmp_path / "r").iter_clips():
        poses = remap(clip.keypoints_2d, clip.skeleton, "body25").keypoints
        assert bone_ratio(poses) > 1.6


# frames


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 0):
        write(tmp_path, [person(100 + number)], number, "v_{}.json")
    ((clip, problems),) = read_all(tmp_path).values()
    assert clip.frames.tolist() == [0, 9, 10] and clip.num_frames == 11
    assert clip.keypoints_2d[:, 0, 0].tolist() == [100, 109, 110]
    assert [(p.reason, p.position, p.severity) for p in problems] == [
        ("no file of 8 of the 11 frames", "frame 1", "warning")
    ]


def test_numbers_that_begin_at_1_are_a_gap(tmp_path):
    for number in (1, 2):
        write(tmp_path, [person()], number)
    ((clip, problems),) = read_all(tmp_path).values()
    assert clip.frames.tolist() == [1, 2] and clip.num_frames == 3
    assert [(p.reason, p.position) for p in problems] == [
        ("no file of 1 of the 3 frames", "frame 0")
    ]


def test_frames_without_people_count(tmp_path):
    clip, problems = read(tmp_path, [], [person()], [])
    assert clip.num_frames == 3 and clip.frames.tolist() == [1] and problems == []
    assert [clip.info[name] for name in ("width", "height", "fps", "source")] == [None] * 3 + ["."]


def test_nobody_anywhere(tmp_path):
    clip, problems = read(tmp_path, [], [])
    assert clip.num_frames == 2 and len(clip.frames) == 0 and problems == []


@pytest.mark.parametrize(
    ("names", "reason"),
    [(["v_1.json", "v_01.json"], "two files of one frame"),
     (["v_20240131123000.json"], "no frame number")],
)  # fmt: skip
def test_numbers_that_cannot_be_frames(tmp_path, names, reason):
    for name in names:
        write(tmp_path, [person()], name=name)
    with pytest.raises(InputError, match=reason):
        read_all(tmp_path)


# people


def test_missing_joints_negative_coordinates_and_full_confidence(tmp_path):
    numbers = pose()
    numbers[0:9] = [0, 0, 0, -46.5, 614.9, 1.0, 0, 0, 0.25]
    clip, problems = read(tmp_path, [person(pose_keypoints_2d=numbers)], joints="body25")
    assert problems == []
    assert np.isnan(clip.keypoints_2d[0, 0]).all() and np.isnan(clip.keypoints_2d).sum() == 2
    assert clip.keypoints_2d[0, 1].tolist() == [-46.5, np.float32(614.9)]
    assert clip.keypoints_2d[0, 2].tolist() == [0, 0]
    assert clip.scores[0, :4].tolist() == [0, 1, 0.25, 0.5]


def test_an_object_without_a_pose_keeps_the_slots_of_the_others(tmp_path):
    clip, problems = read(tmp_path, [{}, person(pose_keypoints_2d=[]), person()])
    assert clip.extra["slots"].tolist() == [2] and problems == []


def test_people_without_ids_are_tracked(tmp_path):
    clip, _ = read(tmp_path, [person(100), person(900)], [person(900), person(100)])
    assert clip.person_ids == ()
    assert clip.keypoints_2d[:, 0, 0].tolist() == [100, 100, 900, 900]
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("ids", [([3], [0]), (3, 0)])
def test_ids_of_the_source_are_taken(tmp_path, ids):
    a, b = (person(person_id=value) for value in ids)
    clip, _ = read(tmp_path, [a, b], [b, a])
    assert clip.person_ids == ("3", "0")
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0]


def test_an_id_twice_in_a_frame_is_an_error(tmp_path):
    with pytest.raises(InputError, match="same person id twice"):
        read(tmp_path, [person(person_id=[3]), person(person_id=[3])])


def test_old_versions_have_other_names(tmp_path):
    clip, _ = read(tmp_path, [{"pose_keypoints": pose(joints=18)}])
    assert clip.skeleton.name == "openpose18" and len(clip.frames) == 1


# further arrays

HANDS = {"hand_left_keypoints_2d": [10, 20, 0.5] * 20 + [0, 0, 0], "face_keypoints_2d": []}


def test_hands_are_left_out_and_the_release_says_so(tmp_path):
    write(tmp_path, [person(**HANDS)])
    description = openpose.describe(discover(tmp_path).samples, OPTIONS)
    assert description.layer().left_out == ("hand_left_keypoints",)
    clip, problems = read(tmp_path)
    assert problems == [] and "hand_left_keypoints" not in clip.extra


def test_with_all_fields_hands_are_kept(tmp_path):
    clip, problems = read(
        tmp_path, [person(**HANDS)], [person(100, pose_keypoints_3d=[1, 2, 3, 1] * 25)],
        all_fields=True,
    )  # fmt: skip
    hands = clip.extra["hand_left_keypoints"]
    assert hands.shape == (2, 21, 3) and hands.dtype == np.float32
    assert hands[0, 0].tolist() == [10, 20, 0.5]
    assert np.isnan(hands[0, 20, :2]).all() and hands[0, 20, 2] == 0
    assert np.isnan(hands[1, :, :2]).all()
    assert problems == [
        ("pose_keypoints_3d left out: the first clip has none", "cam_000000000001_keypoints.json")
    ]


def test_3d_joints_are_kept_with_all_fields(tmp_path):
    numbers = [1, 2, 3, 1] * 24 + [0, 0, 0, 0]
    clip, _ = read(tmp_path, [person(pose_keypoints_3d=numbers)], all_fields=True)
    joints = clip.extra["pose_keypoints_3d"][0]
    assert joints[0].tolist() == [1, 2, 3, 1] and np.isnan(joints[24, :3]).all()
    assert clip.keypoints_3d is None  # metres are not known


# scale


@pytest.mark.parametrize(("scale", "low"), [("unit", 0.0), ("centred", -1.0)])
def test_normalised_coordinates_are_refused_unless_told_and_then_undone(tmp_path, scale, low):
    numbers = pose()
    numbers[0::3], numbers[1::3] = np.linspace(low, 1, 25), np.linspace(1, low, 25)
    with pytest.raises(InputError, match=r"look normalised.*--scale unit"):
        read(tmp_path, [person(pose_keypoints_2d=numbers)])
    clip, problems = read(tmp_path, scale=scale, size="641x481")
    assert problems == [] and (clip.info["width"], clip.info["height"]) == (641, 481)
    # the ends are the centres of the corner pixels
    assert clip.keypoints_2d[0, 0].tolist() == [0, 480]
    assert clip.keypoints_2d[0, 12].tolist() == [320, 240]
    assert clip.keypoints_2d[0, 24].tolist() == [640, 0]


def test_pixels_are_not_read_as_normalised(tmp_path):
    with pytest.raises(InputError, match="not on the scale unit"):
        read(tmp_path, [person()], scale="unit", size="640x480")


def test_the_size_alone_fills_the_columns(tmp_path):
    clip, _ = read(tmp_path, [person()], size="1920x1080")
    assert (clip.info["width"], clip.info["height"]) == (1920, 1080)


@pytest.mark.parametrize(
    "options",
    [{"scale": "unit"}, {"scale": "centred", "size": "0x5"}, {"size": "wide"}, {"size": "5"}],
)
def test_options_that_do_not_go_together(tmp_path, options):
    with pytest.raises(UsageError, match="--size"):
        discover(tmp_path, **options)


# what is not the format

FRAME = json.dumps({"people": [person(), {}, person(400.0, person_id=[2])]}).encode()


@pytest.mark.parametrize(
    ("people", "reason"),
    [(b"", "not JSON"), (b"[]", "not an OpenPose file"), (b'{"people": 3}', "not an OpenPose file"),
     (FRAME[:-5], "not JSON"), ([3], "person 0: not a person"),
     ([person(), person(pose_keypoints_2d=[1, 2])], "person 1: bad pose_keypoints_2d"),
     ([person(pose_keypoints_2d="")], "bad pose_keypoints_2d"),
     ([person(pose_keypoints_2d=[None] * 75)], "bad pose_keypoints_2d"),
     ([person(person_id=["a"])], "bad person_id"), ([person(person_id=[1, 2])], "bad person_id"),
     ([person(person_id=[[1]])], "bad person_id"), ([person(person_id=1.5)], "bad person_id"),
     ([person(pose_keypoints_2d=pose(joints=137))], "found 137, expected 25")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(tmp_path, people, reason):
    with pytest.raises(InputError) as error:
        read(tmp_path, [person()], people)
    assert reason in str(error.value)
    assert error.value.position.startswith("cam_000000000001_keypoints.json")


def test_an_array_that_is_kept_has_its_number_of_joints(tmp_path):
    with pytest.raises(InputError, match="bad hand_left_keypoints_2d: found 3, expected 63"):
        read(tmp_path, [person(hand_left_keypoints_2d=[1, 2, 3])], all_fields=True)


@given(st.one_of(
    st.binary(max_size=200),
    st.integers(0, len(FRAME)).map(lambda end: FRAME[:end]),
    st.tuples(st.integers(0, len(FRAME) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda change: FRAME[: change[0]] + change[1] + FRAME[change[0] + 1 :]
    ),
))  # fmt: skip
def test_any_bytes_give_a_clip_or_an_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        read(folder, text)
    except PosedataError:
        return
    assert isinstance(read_people(text, "x"), list)


@pytest.mark.real
def test_real_folders(shared):
    folder = shared / "data/openpose"
    clips = read_all(folder, joints="body25b")
    assert list(clips) == [
        "single_cam01_json", "two_people_associated_cam01_json", "two_people_cam01_json"
    ]  # fmt: skip
    for name, (clip, problems) in clips.items():
        assert clip.num_frames == 100 and problems == [] and clip.person_ids == ()
        for frame, path in enumerate(sorted((folder / name).iterdir())):
            people = json.loads(path.read_bytes())["people"]
            rows = np.flatnonzero(clip.frames == frame)
            full = [slot for slot, p in enumerate(people) if p.get("pose_keypoints_2d")]
            assert sorted(clip.extra["slots"][rows]) == full
            for row in rows:
                numbers = people[clip.extra["slots"][row]]["pose_keypoints_2d"]
                expected = np.array(numbers, np.float32).reshape(25, 3)
                assert (np.nan_to_num(clip.keypoints_2d[row]) == expected[:, :2]).all()
                assert (clip.scores[row] == expected[:, 2]).all()
    associated = clips["two_people_associated_cam01_json"][0]
    assert (associated.persons == associated.extra["slots"]).all()
    assert (clips["two_people_cam01_json"][0].keypoints_2d < 0).any()


# several files at once, and one by one


def frame(*people, version=1.3):
    return {"version": version, "people": list(people)}


FULL = person(
    3, person_id=[7], hand_left_keypoints_2d=[1, 2, 0.5] * 21, face_keypoints_2d=[],
    pose_keypoints_3d=[1, 2, 3, 1] * 25,
)  # fmt: skip
AT_ONCE = {
    "one": [frame(person())],
    "nobody": [frame(), frame()],
    "several": [frame(person(), person(2)), frame(), frame(person(3)), frame()],
    "places for nobody": [frame({}, person(2)), frame(person(), {}, {"pose_keypoints_2d": []})],
    "version 1.0": [frame({"pose_keypoints": pose()}, version=1.0)] * 2,
    "all arrays": [frame(FULL), frame(FULL, {}, FULL)],
    "no ids": [frame({"pose_keypoints_2d": pose()}, {"pose_keypoints_2d": pose(7)})],
    "ids": [frame(person(person_id=[3])), frame(person(person_id=[])), frame(person(person_id=4))],
    "some hands": [frame(person()), frame(person(**HANDS))],
    "two models": [frame(person()), frame(person(pose_keypoints_2d=pose(joints=18)))],
    "both poses": [frame(person(pose_keypoints=pose(5)))],
    "a face alone": [frame({"face_keypoints_2d": [1, 2, 0.5] * 70})],
}
ONE_BY_ONE = ("ids", "some hands", "two models", "a face alone")


def as_texts(frames):
    return [json.dumps(content).encode() for content in frames]


WRONG_FIELDS = (
    {"pose_keypoints_2d": [1, 2, 0.5, 1]}, {"pose_keypoints_2d": [[]]}, {"pose_keypoints_2d": "x"},
    {"pose_keypoints_3d": [1, 2, 3]}, {"face_keypoints_2d": {}}, {"person_id": [1.5]},
    {"person_id": [1, 2]}, {"person_id": [True]}, {"person_id": "1"},
)  # fmt: skip


@pytest.mark.parametrize("fields", WRONG_FIELDS)
def test_wrong_fields_are_left_to_one_by_one(fields):
    assert read_frames(as_texts([frame(person(**fields))])) is None


def check_at_once(texts):
    """Check that all files at once are what each is by itself; False where they are nothing."""
    found = read_frames(texts)
    if found is None:
        return False
    rows = 0
    for number, text in enumerate(texts):
        for slot, someone in enumerate(read_people(text, "f.json")):
            if someone.pose is None:
                assert not someone.further
                continue
            assert (found.files[rows], found.slots[rows]) == (number, slot)
            assert found.ids[rows] == someone.id
            assert_same(found.poses[rows], someone.pose)
            assert_same({name: v[rows] for name, v in found.further.items()}, someone.further)
            rows += 1
    assert rows == len(found.files) == len(found.slots) == len(found.ids) == len(found.poses)
    return True


@pytest.mark.parametrize("name", AT_ONCE)
def test_several_files_at_once_are_what_each_is(name):
    assert check_at_once(as_texts(AT_ONCE[name])) == (name not in ONE_BY_ONE)


@pytest.mark.parametrize(
    "texts",
    [[b"{}"], [b"[]"], [b'{"people": {}}'], [b'{"people": [3]}'], [b'{"people": [], "a": "\\n"}'],
     [b'{"people": []}', b""], [b'{"people": [{', b'}]}'], [b'{"people": []},{"people": []}', b""],
     [b'{"people": [{"pose_keypoints_2d": [1, 2, 0.5', b'1, 2, 0.5]}]}']],
)  # fmt: skip
def test_what_is_wrong_is_left_to_one_by_one(texts):
    assert read_frames(texts) is None


@given(st.data())
def test_any_files_at_once_are_what_each_is(data):
    frames = data.draw(st.sampled_from(list(AT_ONCE.values())))
    check_at_once([data.draw(mutated(content)) for content in frames])


def clip_of(folder, texts, **options):
    for number, text in enumerate(texts):
        write(folder, text, number)
    return {
        name: (clip.keypoints_2d, clip.scores, clip.frames, clip.persons, clip.person_ids,
               clip.extra, problems)
        for name, (clip, problems) in read_all(folder, **options).items()
    }  # fmt: skip


@given(st.data())
def test_a_clip_is_the_same_whichever_way_it_is_read(tmp_path_factory, data):
    frames = data.draw(st.sampled_from(list(AT_ONCE.values())))
    texts = [data.draw(mutated(content)) for content in frames]
    folder = tmp_path_factory.mktemp("clip")
    all_fields = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posedata.json_files._MOST_FILES", data.draw(st.integers(1, 3)))
        found = outcome(lambda: clip_of(folder, texts, all_fields=all_fields))
        patch.setattr(openpose_rows, "read_frames", lambda texts: None)
        expected = outcome(lambda: clip_of(folder, texts, all_fields=all_fields))
    assert_same(found, expected)


@pytest.mark.real
def test_real_folders_at_once(shared):
    for folder in sorted((shared / "data/openpose").iterdir()):
        assert check_at_once([path.read_bytes() for path in sorted(folder.iterdir())])
