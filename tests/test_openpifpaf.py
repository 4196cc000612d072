"""`posedata.converters.openpifpaf`: what becomes of the JSON files of OpenPifPaf."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_ways import assert_same, mutated, outcome

from posedata.converters import openpifpaf, openpifpaf_file
from posedata.converters.openpifpaf_file import parse_images, parse_video
from posedata.errors import InputError, PosedataError
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": "", "images": "auto", "first-frame": "0"}


def person(x=100.0, joints=17, **fields):
    """Joint j is at (x + j, 50 + 2j); joint 0 was not found."""
    keypoints = [0.0, -3.0, 0.0]
    for j in range(1, joints):
        keypoints += [x + j, 50.0 + 2 * j, 0.5]
    return {"keypoints": keypoints, "bbox": [x, 50.0, 30.0, 40.0], "score": 0.7, "category_id": 1,
            **fields}  # fmt: skip


def lines(*frames, first=1):
    """A file of a video."""
    entries = [{"frame": n, "predictions": people} for n, people in enumerate(frames, first)]
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def write_images(folder, names, people=None):
    for n, name in enumerate(names):
        path = folder / f"{name}.predictions.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([person(10 + n)] if people is None else people))


def converted(folder, **options):
    """Read a folder the way a conversion does: clips and their problems by id."""
    raw, options = locate(folder), {**OPTIONS, **options}
    found = openpifpaf.discover(raw, options)
    description = openpifpaf.describe(found.samples, options)
    clips = [openpifpaf.read(raw, sample, description) for sample in found.samples]
    return {clip.clip_id: clip for clip, _ in clips}, [
        *found.problems,
        *(p for _, w in clips for p in w),
    ]


def video_clip(folder, content, name="dance.mp4.openpifpaf.json", **options):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    clips, problems = converted(folder, **options)
    (clip,) = clips.values()
    return clip, problems


def test_the_frames_of_a_video_count_from_1(tmp_path):
    clip, problems = video_clip(tmp_path, lines([person(10)], [], [person(12)]))
    assert problems == [] and clip.clip_id == "dance" and clip.layer == "openpifpaf"
    assert clip.num_frames == 3 and clip.frames.tolist() == [0, 2] and clip.num_persons == 1
    assert clip.keypoints_2d[1, 16].tolist() == [28, 82] and clip.scores[1, 16] == 0.5
    assert clip.boxes[0].tolist() == [10, 50, 40, 90]
    assert clip.extra["person_scores"].tolist() == [np.float32(0.7)] * 2
    assert clip.extra["categories"].tolist() == [1, 1]


def test_a_joint_with_confidence_0_is_missing_wherever_it_is(tmp_path):
    someone = person()
    someone["keypoints"][3:6] = [300.0, 200.0, 0.0]
    someone["keypoints"][6:9] = [0.0, -3.0, 0.4]  # a place like any other, where it was found
    clip, problems = video_clip(tmp_path, lines([someone]))
    assert np.isnan(clip.keypoints_2d[0, :2]).all() and clip.scores[0, :2].tolist() == [0, 0]
    assert clip.keypoints_2d[0, 2].tolist() == [0, -3]
    assert problems == []


def test_a_second_run_that_was_appended_is_refused_with_what_to_do(tmp_path):
    text = lines([person()], [person()]) + lines([person()])
    with pytest.raises(InputError) as caught:
        video_clip(tmp_path, text)
    assert str(caught.value) == (
        "dance.mp4.openpifpaf.json, line 3: frame 1 after frame 2. A second run was appended to "
        "the file: cut it into two before this line."
    )


def test_gaps_and_a_count_from_0_are_reported(tmp_path):
    clip, problems = video_clip(tmp_path, lines([person()]) + lines([person()], first=5))
    assert clip.frames.tolist() == [0, 4] and clip.num_frames == 5
    assert [p.reason for p in problems] == ["nothing of 3 of the 5 frames"]
    clip, problems = video_clip(tmp_path, lines([person()], [person()], first=0))
    assert clip.frames.tolist() == [0, 1]
    assert [p.reason for p in problems] == ["frames are counted from 0 here, not from 1"]
    assert {p.severity for p in problems} == {"warning"}


def test_the_ids_of_its_tracker_are_the_persons(tmp_path):
    frames = [[person(10, id_=4), person(400, id_=2)], [person(10, id_=2), person(400, id_=4)]]
    clip, _ = video_clip(tmp_path, lines(*frames))
    assert clip.person_ids == ("4", "2")
    assert clip.keypoints_2d[clip.persons == 0][:, 1, 0].tolist() == [11, 401]
    assert clip.extra["slots"].tolist() == [0, 1, 1, 0]


def test_without_ids_people_are_tracked(tmp_path):
    clip, _ = video_clip(tmp_path, lines([person(10), person(400)], [person(401), person(11)]))
    assert clip.num_persons == 2 and clip.person_ids == ()
    assert clip.keypoints_2d[clip.persons == 0][:, 1, 0].tolist() == [11, 12]


def test_objects_without_joints_are_counted(tmp_path):
    car = {"category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5, "category": "car"}
    clip, problems = video_clip(tmp_path, lines([car, person()]))
    assert clip.extra["slots"].tolist() == [1]
    assert [p.reason for p in problems] == ["1 predictions without joints were left out"]


def test_images_whose_numbers_follow_are_the_frames_of_a_clip(tmp_path):
    write_images(tmp_path / "dance", ["frame_000000.jpg", "frame_000001.jpg", "frame_000003.jpg"])
    write_images(tmp_path / "photos", ["000000081988.jpg", "000000000139.jpg", "beach.png"])
    clips, problems = converted(tmp_path)
    assert list(clips) == ["000000000139", "000000081988", "beach", "dance"]
    assert clips["dance"].frames.tolist() == [0, 1, 3] and clips["dance"].num_frames == 4
    assert [p.reason for p in problems] == ["nothing of 1 of the 4 frames"]
    assert all(clips[name].num_frames == 1 for name in clips if name != "dance")


def test_how_images_become_clips_can_be_chosen(tmp_path):
    write_images(tmp_path / "dance", ["1.jpg", "2.jpg", "9.jpg"])
    assert list(converted(tmp_path, images="clips")[0]) == ["1", "2", "9"]
    clips, _ = converted(tmp_path, images="frames")
    assert clips["dance"].frames.tolist() == [1, 2, 9]
    clips, _ = converted(tmp_path, **{"images": "frames", "first-frame": "1"})
    assert clips["dance"].frames.tolist() == [0, 1, 8]
    write_images(tmp_path / "dance", ["0.jpg"])
    _, problems = converted_problems(tmp_path, **{"images": "frames", "first-frame": "1"})
    assert "Use --first-frame 0" in problems[0].reason


def converted_problems(folder, **options):
    found = openpifpaf.discover(locate(folder), {**OPTIONS, **options})
    return found.samples, found.problems


def test_two_videos_in_one_folder_are_two_clips(tmp_path):
    write_images(tmp_path / "x", ["a_0.jpg", "a_1.jpg", "b_0.jpg", "b_1.jpg"])
    assert list(converted(tmp_path)[0]) == ["x__a", "x__b"]


def test_second_files_are_reported(tmp_path):
    write_images(tmp_path / "x", ["1.jpg", "2.jpg", "1.png"])
    write_images(tmp_path / "y", ["beach.jpg"])
    write_images(tmp_path / "z", ["beach.jpg"])
    _, problems = converted_problems(tmp_path)
    assert {p.source for p in problems} == {"x/1.png.predictions.json",
                                            "z/beach.jpg.predictions.json"}  # fmt: skip


def test_one_file_is_a_data_set_of_one_sample(tmp_path):
    write_images(tmp_path, ["beach.jpg"])
    (clip,) = converted(tmp_path / "beach.jpg.predictions.json")[0].values()
    assert clip.clip_id == "beach" and clip.num_frames == 1


@pytest.mark.parametrize(
    ("joints", "name"), [(14, "crowdpose14"), (17, "coco17"), (133, "coco_wholebody133")]
)
def test_the_number_of_joints_tells_the_skeleton(tmp_path, joints, name):
    clip, _ = video_clip(tmp_path, lines([person(joints=joints)]))
    assert clip.skeleton.name == name


def test_the_skeleton_can_be_named(tmp_path):
    clip, _ = video_clip(tmp_path, lines([person()]), joints="posetrack")
    assert clip.skeleton.name == "posetrack17"
    with pytest.raises(InputError, match="Name it with --joints"):
        video_clip(tmp_path, lines([person(joints=24)]))


BAD = [
    (b"\x00", "line 1: not JSON"), (b"3", "line 1: not a line of OpenPifPaf"),
    (b"[]", "not a line"), (b'{"frame":1}', "not a line"),
    (b'{"frame":1.5,"predictions":[]}', "not a line"),
    (lines([person()])[:-30] + "\n", "line 1: not JSON"), (lines([], first=-3), "no frame number"),
    (lines([], first=1 << 40), "no frame number"), (lines([3]), "person 0: not a prediction"),
    (lines([person(keypoints=[])]), "bad keypoints"),
    (lines([person(keypoints=[1, 2])]), "bad keypoints"),
    (lines([person(keypoints="x")]), "bad keypoints"), (lines([person(bbox=[1])]), "bad bbox"),
    (lines([], [person(score="x")]), "line 2, person 0: bad score"),
    (lines([person(category_id=1.5)]), "bad category_id"), (lines([person(id_="x")]), "bad id_"),
    (lines([person()], [person(joints=18)]), "frame 1, person 0: another number of joints"),
    (lines([person(id_=1), person(id_=1)]), "the same person id twice"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_files_are_refused_with_a_reason(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        video_clip(tmp_path, content, "v.json")
    assert message in str(caught.value), caught.value
    assert str(caught.value).startswith("v.json")


def test_a_bad_image_names_its_file(tmp_path):
    write_images(tmp_path / "x", ["0.jpg", "1.jpg"])
    (tmp_path / "x/1.jpg.predictions.json").write_text("{}")
    with pytest.raises(InputError, match=r"x/1.jpg.predictions.json: not a file .* delete this"):
        converted(tmp_path)


def test_not_finite_numbers_become_missing(tmp_path):
    clip, problems = video_clip(tmp_path, lines([person(float("nan"))], [person()]))
    assert clip.frames.tolist() == [1]
    assert any("left out" in p.reason for p in problems)


def attempt(folder, text, name="v.json"):
    try:
        video_clip(folder, text, name)
    except PosedataError as error:
        assert str(error)


@settings(max_examples=100)
@given(st.binary(max_size=100), st.sampled_from(["v.json", "1.jpg.predictions.json"]))
def test_any_bytes_give_a_clip_or_an_error(tmp_path_factory, text, name):
    attempt(tmp_path_factory.mktemp("fuzz"), text, name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200)
@given(st.data())
def test_other_json_gives_a_clip_or_an_error(tmp_path_factory, data):
    people = [person(20), person(300)]
    name = data.draw(st.sampled_from([*people[0], "id_"]))
    people[1][name] = data.draw(JSON)
    folder = tmp_path_factory.mktemp("fuzz")
    attempt(folder, lines([person()], people, data.draw(st.lists(JSON, max_size=2))))
    attempt(folder, json.dumps(people).encode(), "v.json")


@pytest.mark.real
def test_the_real_image_keeps_every_number(shared):
    clips, problems = converted(shared / "data/openpifpaf")
    assert problems == [] and list(clips) == ["000000081988"]
    clip = clips["000000081988"]
    path = shared / "data/openpifpaf/000000081988.jpg.predictions.json"
    expected = np.array([p["keypoints"] for p in json.loads(path.read_text())], np.float32)
    expected = expected.reshape(-1, 17, 3)[clip.extra["slots"]]
    found = expected[..., 2] > 0
    assert not found.all() and clip.num_persons == 5
    assert np.array_equal(np.isfinite(clip.keypoints_2d).all(-1), found)
    assert np.array_equal(clip.keypoints_2d[found], expected[..., :2][found])
    assert np.array_equal(clip.scores, expected[..., 2])


# several frames at once, and one by one


AT_ONCE = {
    "video": [[person(10, id_=3), person(300, id_=4)], [], [person(12, id_=3)]],
    "no tracker": [[person(10)], [person(11), person(3, score=None, category_id=None)]],
    "no boxes": [[{"keypoints": person()["keypoints"]}], [{"keypoints": person(3)["keypoints"]}]],
    "133 joints": [[person(joints=133)], [person(joints=133)]],
    "nobody": [[], []],
    "no joints": [[person()], [{"bbox": [1, 2, 3, 4], "category_id": 2}]],
    "two models": [[person(), person(joints=5)], [person(joints=5)]],
    "some boxes": [[person(bbox=None), person()]],
}
ONE_BY_ONE = ("nobody", "no joints", "two models", "some boxes")


def ways_of_a_video(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openpifpaf_file, "_by_field", lambda lists, frames: None)
        patch.setattr(openpifpaf_file, "view_files", lambda texts: None)
        plain = outcome(parse_video, text, "v.json")
    return outcome(parse_video, text, "v.json"), plain


@pytest.mark.parametrize("first", [0, 1, 7])
@pytest.mark.parametrize("name", AT_ONCE)
def test_a_video_is_the_same_at_once_and_line_by_line(name, first, monkeypatch):
    text = lines(*AT_ONCE[name], first=first).encode()
    assert_same(*ways_of_a_video(text))
    monkeypatch.setattr(openpifpaf_file, "_one_by_one", lambda *_: 1 / 0)
    if name not in ONE_BY_ONE and first > 0:
        parse_video(text, "v.json")  # at once


@pytest.mark.parametrize(
    "fields",
    [{"id_": 1 << 31}, {"id_": -(1 << 31)}, {"id_": 1.0}, {"id_": True}, {"category_id": 1 << 31},
     {"category_id": "1"}, {"score": True}, {"score": "x"}, {"score": 10**400}, {"bbox": [1, 2]},
     {"bbox": []}, {"keypoints": []}, {"keypoints": [1, 2]}, {"score": float("nan")}],
)  # fmt: skip
def test_odd_fields_are_the_same_at_once_and_line_by_line(fields):
    for people in ([person(**fields)], [person(), person(**fields)]):
        assert_same(*ways_of_a_video(lines(people).encode()))


@pytest.mark.parametrize(
    "numbers", [[1, 1], [2, 1], [1, 3, 2], [1, 1 << 24], [-1, 1], [1.0], [True]]
)
def test_odd_frame_numbers_are_the_same_at_once_and_line_by_line(numbers):
    text = "".join(json.dumps({"frame": n, "predictions": [person()]}) + "\n" for n in numbers)
    assert_same(*ways_of_a_video(text.encode()))


@given(st.data())
def test_any_video_is_the_same_at_once_and_line_by_line(data):
    frames = data.draw(st.sampled_from(list(AT_ONCE.values())))
    entries = [{"frame": n, "predictions": people} for n, people in enumerate(frames, 1)]
    texts = [data.draw(mutated(entry)).replace(b"\n", b" ") for entry in entries]
    ending = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    assert_same(*ways_of_a_video(ending.join(texts) + data.draw(st.sampled_from([b"", ending]))))


def test_lines_that_only_together_are_json_are_refused():
    with pytest.raises(InputError, match="line 1: not JSON"):
        parse_video(
            b'{"frame": 1, "predictions": [\n]}, {"frame": 2, "predictions": []}\n', "v.json"
        )


@given(st.data())
def test_any_images_are_the_same_at_once_and_one_by_one(tmp_path_factory, data):
    frames = data.draw(st.sampled_from(list(AT_ONCE.values())))
    folder = tmp_path_factory.mktemp("images")
    for number, people in enumerate(frames):
        (folder / f"{number}.jpg.predictions.json").write_bytes(data.draw(mutated(people)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posedata.json_files._MOST_FILES", data.draw(st.integers(1, 3)))
        found = outcome(clips_of, folder)
        patch.setattr(openpifpaf_file, "parse_images", lambda texts, frames: None)
        expected = outcome(clips_of, folder)
    assert_same(found, expected)


def clips_of(folder):
    clips, problems = converted(folder)
    return {
        name: (clip.keypoints_2d, clip.scores, clip.boxes, clip.frames, clip.persons,
               clip.person_ids, clip.extra, clip.info)
        for name, clip in clips.items()
    }, problems  # fmt: skip


@pytest.mark.real
def test_a_real_image_is_the_same_at_once(shared):
    (text,) = (path.read_bytes() for path in (shared / "data/openpifpaf").glob("*.json"))
    people, problems = openpifpaf_file.join([parse_images([text] * 3, range(3))], "f")
    parts = [openpifpaf_file.parse_image(text, "f", frame) for frame in range(3)]
    assert_same((people, problems), openpifpaf_file.join(parts, "f"))
    assert len(people.frames) == 15
