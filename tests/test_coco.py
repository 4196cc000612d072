"""`posedata.converters.coco`: what becomes of COCO files of keypoints."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_ways import assert_same, mutated, outcome

from posedata.converters import coco, coco_lists
from posedata.converters.coco_file import parse_coco
from posedata.errors import InputError, PosedataError
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": ""}
COCO = load_skeleton("coco17").joints


def image(number, name=None, **fields):
    return {"id": number, "file_name": name or f"{number:012d}.jpg", "width": 640, "height": 480,
            **fields}  # fmt: skip


def person(image_id, number, x=100.0, joints=17, v=2, **fields):
    """Joint j is at (x + j, 50 + 2j)."""
    keypoints = []
    for j in range(joints):
        keypoints += [x + j, 50 + 2 * j, v]
    return {"id": number, "image_id": image_id, "category_id": 1, "keypoints": keypoints,
            "num_keypoints": joints, "bbox": [x, 50, 30, 40], "area": 900.5, "iscrowd": 0,
            **fields}  # fmt: skip


def truth(images, annotations, joints=COCO, **fields):
    categories = [{"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []}]
    return {"images": images, "annotations": annotations, "categories": categories, **fields}


def result(image_id, x=100.0, score=0.8, **fields):
    found = person(image_id, 0, x, v=0.5)
    return {"image_id": image_id, "category_id": 1, "keypoints": found["keypoints"], "score": score,
            **fields}  # fmt: skip


def converted(folder, files=None, **options):
    """Read files the way a conversion does: clips by layer and id, and all problems."""
    for name, content in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    raw, options = locate(folder), {**OPTIONS, **options}
    found = coco.discover(raw, options)
    assert [(s.layer, s.clip_id) for s in found.samples] == sorted(
        (s.layer, s.clip_id) for s in found.samples
    )
    assert pickle.loads(pickle.dumps(found.samples)) == found.samples
    if not found.samples:
        return {}, list(found.problems)
    description = coco.describe(found.samples, options)
    clips = [coco.read(raw, sample, description) for sample in found.samples]
    return (
        {(clip.layer, clip.clip_id): clip for clip, _ in clips},
        [*found.problems, *(problem for _, problems in clips for problem in problems)],
    )


def only(folder, content, **options):
    clips, problems = converted(folder, {"a.json": content}, **options)
    (clip,) = clips.values()
    return clip, problems


def test_an_image_is_a_clip_of_one_frame_with_every_number(tmp_path):
    annotations = [person(7, 70, 10), person(9, 90), person(7, 71, 300, v=1, iscrowd=1)]
    clips, problems = converted(
        tmp_path, {"a.json": truth([image(7), image(9), image(11)], annotations)}
    )
    assert problems == []
    assert list(clips) == [("human", f"{n:012d}") for n in (7, 9, 11)]
    clip = clips["human", "000000000007"]
    assert clip.skeleton.name == "coco17" and clip.num_frames == 1
    assert clip.frames.tolist() == [0, 0] and clip.persons.tolist() == [0, 1]
    assert clip.person_ids == ("70", "71")
    assert clip.keypoints_2d[1, 16].tolist() == [316, 82]
    assert clip.visibility[:, 0].tolist() == [2, 1] and clip.scores is None
    assert clip.boxes[0].tolist() == [10, 50, 40, 90]
    extra = {name: values.tolist() for name, values in clip.extra.items()}
    assert extra == {
        "slots": [0, 1], "image_ids": [7, 7], "annotation_ids": [70, 71], "areas": [900.5, 900.5],
        "crowd": [0, 1], "num_keypoints": [17, 17], "categories": [1, 1],
    }  # fmt: skip
    assert clip.info == {
        "num_frames": 1, "width": 640, "height": 480, "source": "a.json",
        "file_name": "000000000007.jpg", "image_id": 7, "num_labelled": None,
    }  # fmt: skip
    assert len(clips["human", "000000000011"].frames) == 0


def test_a_joint_that_is_not_labelled_is_missing(tmp_path):
    someone = person(1, 1)
    someone["keypoints"][:9] = [0, 0, 0, 5, 6, 0, 0, 0, 1]
    clip, problems = only(tmp_path, truth([image(1)], [someone]))
    assert np.isnan(clip.keypoints_2d[0, :2]).all()
    assert clip.keypoints_2d[0, 2].tolist() == [0, 0]  # labelled at the corner
    assert clip.visibility[0, :4].tolist() == [0, 0, 1, 2]
    assert [p.reason for p in problems] == [
        "coordinates of joints with v = 0, which are not kept: 1 times"
    ]


def test_who_has_no_labelled_joint_stays_as_a_box(tmp_path):
    nobody = person(1, 5, v=0, iscrowd=1)
    nobody["keypoints"] = [0] * 51
    clip, problems = only(tmp_path, truth([image(1)], [nobody, person(1, 6)]))
    assert len(clip.frames) == 2 and problems == []
    assert np.isnan(clip.keypoints_2d[0]).all() and clip.boxes[0].tolist() == [100, 50, 130, 90]
    assert clip.extra["crowd"].tolist() == [1, 0]


def posetrack_images(video, numbers, **fields):
    return [
        image(10**10 + n, f"images/val/{video}_mpii_test/{n:06d}.jpg", vid_id=video, nframes=20,
              frame_id=10**10 + n, is_labeled=n != 2, **fields)
        for n in numbers
    ]  # fmt: skip


def test_images_of_a_video_are_its_frames(tmp_path):
    joints = load_skeleton("posetrack17").joints
    images = posetrack_images("000342", [0, 1, 2, 5])
    annotations = [
        person(10**10, 1, 10, v=1, track_id=3), person(10**10, 2, 300, track_id=0),
        person(10**10 + 1, 3, 301, track_id=0), person(10**10 + 5, 4, 12, track_id=3),
    ]  # fmt: skip
    clip, problems = only(tmp_path, truth(images, annotations, joints))
    assert problems == [] and clip.skeleton.name == "posetrack17"
    assert clip.clip_id == "000342_mpii_test" and clip.num_frames == 20
    assert clip.person_ids == ("3", "0")
    assert clip.frames.tolist() == [0, 5, 0, 1] and clip.persons.tolist() == [0, 0, 1, 1]
    assert clip.keypoints_2d[:, 0, 0].tolist() == [10, 12, 300, 301]
    assert clip.extra["image_ids"].tolist() == [10**10 + n for n in (0, 5, 0, 1)]
    assert clip.info["num_labelled"] == 3 and clip.info["image_id"] is None


def test_videos_with_a_table_have_its_names_and_frame_ids(tmp_path):
    images = [image(n, "x.jpg", video_id=4, frame_id=n - 1) for n in (1, 2)]
    annotations = [person(1, 1, track_id=0), person(2, 2, track_id=0)]
    content = truth(images, annotations, videos=[{"id": 4, "name": "park/walk"}])
    clip, _ = only(tmp_path, content)
    assert clip.clip_id == "park__walk" and clip.frames.tolist() == [0, 1]


def test_people_of_a_video_without_track_ids_are_tracked(tmp_path):
    images = [image(n, f"v/{n}.jpg", video_id=4) for n in (0, 1)]
    annotations = [person(0, 1, 10), person(0, 2, 400), person(1, 3, 401), person(1, 4, 11)]
    clip, _ = only(tmp_path, truth(images, annotations))
    assert clip.num_persons == 2 and clip.person_ids == ()
    assert clip.keypoints_2d[clip.persons == 0][:, 0, 0].tolist() == [10, 11]


def test_results_take_the_clip_of_the_image_they_name(tmp_path):
    files = {
        "truth.json": truth([image(7), image(9)], [person(7, 1)]),
        "found.json": [result(7), result(9, 10), result(9, 300, bbox=[1, 2, 3, 4]), result(55)],
    }
    clips, problems = converted(tmp_path, files)
    assert problems == []
    assert [key for key in clips if key[0] == "results"] == [
        ("results", "000000000007"), ("results", "000000000009"), ("results", "55"),
    ]  # fmt: skip
    clip = clips["results", "000000000009"]
    assert clip.scores[0, 0] == 0.5 and clip.visibility is None and clip.num_persons == 2
    assert sorted(clip.keypoints_2d[:, 0, 0].tolist()) == [10, 300]
    assert clip.extra["person_scores"].tolist() == [np.float32(0.8)] * 2
    assert clip.info["width"] == 640 and clips["results", "55"].info["width"] is None
    assert clip.boxes[clip.extra["slots"] == 1].tolist() == [[1, 2, 4, 6]]


def test_results_of_several_models_are_layers(tmp_path):
    files = {"HRNet-w48.json": [result(1)], "vit.json": [result(1)]}
    clips, _ = converted(tmp_path, files)
    assert list(clips) == [("results_hrnet_w48", "1"), ("results_vit", "1")]


def test_joints_are_found_by_their_names(tmp_path):
    clip, _ = only(tmp_path, truth([image(1)], [person(1, 1, 0)], COCO[::-1]))
    assert clip.keypoints_2d[0, :, 0].tolist() == list(range(16, -1, -1))
    animal = truth([image(1)], [person(1, 1, joints=2)], ["nose", "tail"])
    _, problems = converted(tmp_path, {"a.json": animal})
    assert [p.reason.split(":")[0] for p in problems] == ["joints of no known skeleton"]


def test_the_skeleton_can_be_named(tmp_path):
    content = truth([image(1)], [person(1, 1, joints=16)], [f"joint {n}" for n in range(16)])
    clip, _ = only(tmp_path, content, joints="mpii")
    assert clip.skeleton.name == "mpii16"
    _, problems = converted(tmp_path, joints="coco17")
    assert "another number of joints than the chosen skeleton" in problems[0].reason


def whole_body(image_id, number):
    def part(size, start, v):
        return [x for j in range(size) for x in (float(start + j), 1.0, v)]

    return person(
        image_id, number, 0, foot_kpts=part(6, 17, 2), face_kpts=part(68, 23, 1),
        lefthand_kpts=part(21, 91, 0.25), righthand_kpts=[0.0] * 63, face_valid=True,
    )  # fmt: skip


def test_feet_face_and_hands_follow_the_body(tmp_path):
    clip, problems = only(tmp_path, truth([image(1)], [whole_body(1, 1)]))
    assert clip.skeleton.name == "coco_wholebody133"
    x = clip.keypoints_2d[0, :, 0]
    assert x[:112].tolist() == list(range(112)) and np.isnan(x[112:]).all()
    assert clip.visibility[0, [16, 17, 22, 23, 90, 91, 111, 112]].tolist() == [
        2,
        2,
        2,
        1,
        1,
        1,
        1,
        0,
    ]
    assert clip.extra["visibility_flags"][0, [0, 23, 91, 112]].tolist() == [2, 1, 0.25, 0]
    assert [p.reason for p in problems] == ["fields that are not kept: face_valid"]


def test_clips_of_two_files_and_other_joints_are_reported_once_a_file(tmp_path):
    files = {
        "a.json": truth([image(1), image(2)], [person(1, 1)]),
        "b.json": truth([image(1), image(2), image(3)], [person(1, 1)]),
        "c.json": truth([image(4)], [whole_body(4, 1)]),
        "d.json": truth([image(5)], [{k: v for k, v in person(5, 1).items() if k != "keypoints"}]),
    }
    clips, problems = converted(tmp_path, files)
    assert len(clips) == 3
    reasons = {p.source: p.reason for p in problems if p.severity == "reject"}
    assert reasons["b.json"].startswith("2 clips that another file has: of 000000000001, a.json")
    assert reasons["c.json"].startswith("other joints than the files before: found coco_wholebody1")
    assert reasons["d.json"].startswith("boxes without keypoints")


def test_names_that_occur_twice_are_told_apart_by_their_folder(tmp_path):
    images = [image(1, "cam1/0.jpg"), image(2, "cam2/0.jpg"), image(3, "x.jpg"), image(4, "x.png")]
    _, problems = converted(tmp_path, {"a.json": truth(images[:2], [person(1, 1)])})
    assert problems == []
    clips, _ = converted(tmp_path)
    assert [clip_id for _, clip_id in clips] == ["cam1__0", "cam2__0"]
    clips, _ = converted(tmp_path, {"a.json": truth(images[2:], [person(3, 1)])})
    assert [clip_id for _, clip_id in clips] == ["3", "4"]


def test_an_id_twice_in_a_frame_is_refused(tmp_path):
    with pytest.raises(InputError, match="the same id twice in one frame: found 5"):
        only(tmp_path, truth([image(1)], [person(1, 5), person(1, 5)]))
    images = posetrack_images("000342", [0])
    people = [person(10**10, n, track_id=4) for n in (1, 2)]
    with pytest.raises(InputError, match="000342_mpii_test, frame 0: the same id twice"):
        only(tmp_path, truth(images, people))


def test_numbers_that_are_not_finite_are_flagged(tmp_path):
    someone = person(1, 1)
    someone["keypoints"][0] = float("nan")
    someone["bbox"][0] = float("inf")
    someone["keypoints"][8] = 3
    clip, problems = only(tmp_path, truth([image(1)], [someone]))
    assert np.isnan(clip.keypoints_2d[0, 0]).all() and clip.visibility[0, :3].tolist() == [0, 2, 2]
    assert np.isnan(clip.boxes).all()
    assert len(problems) == 3 and {p.severity for p in problems} == {"warning"}


def test_a_file_is_parsed_once_for_all_its_clips(tmp_path, monkeypatch):
    from posedata.converters import coco_file

    calls = []
    parse = coco_file.parse_coco
    monkeypatch.setattr(
        coco_file, "parse_coco", lambda text, path, s: calls.append(path) or parse(text, path, s)
    )
    files = {f"{part}.json": truth([image(n) for n in range(k, 40, 2)], [person(k, 1)])
             for k, part in enumerate(("train", "val"))}  # fmt: skip
    clips, _ = converted(tmp_path, files)
    assert len(clips) == 40 and calls == ["train.json", "val.json"]


BAD = [
    (b"", "not JSON"), (b"3", "not a COCO file"), (b"{}", "not a COCO file"),
    ({"images": 3, "annotations": []}, "bad images"),
    ({"images": [3], "annotations": []}, "image 0"),
    ({"images": [{}], "annotations": []}, "bad id"), (b"[]", "no annotations"),
    (truth([image(1), image(1)], []), "an image id twice"), (truth([], 3), "bad annotations"),
    (truth([image(1, video_id=1.5)], []), "bad video id"), (truth([], [3]), "not an annotation"),
    (truth([], [person(1.5, 1)]), "bad image_id"), (truth([], [person(None, 1)]), "bad image_id"),
    (truth([], [person(1, 1, keypoints=[1])]), "bad keypoints"),
    (truth([], [person(1, 1, keypoints=[])]), "bad keypoints"),
    (truth([], [person(1, 1, keypoints="x")]), "bad keypoints"),
    (truth([], [person(1, 1), person(1, 2, joints=3)]), "another number of joints"),
    (truth([], [person(1, 1, bbox=[1, 2])]), "bad bbox"),
    (truth([], [person(1, 1, bbox="x")]), "bad bbox"),
    (truth([], [person(1, [])]), "bad id"), (truth([], [person(1, 10**30)]), "bad id"),
    (truth([], [person(1, 1, area=10**400)]), "bad area"),
    (truth([image(1, video_id=[{}])], []), "bad video id: found [{}]"),
    (truth([], [person(1, 1, iscrowd="x")]), "bad iscrowd"),
    (truth([], [person(1, 1, num_keypoints=1 << 40)]), "bad num_keypoints"),
    (truth([], [person(1, 1, area="x")]), "bad area"),
    (truth([], [person(1, 1, track_id=[])]), "bad track_id"),
    (truth([], [person(1, 1, face_kpts=[1])]), "bad foot_kpts"),
    (truth([image(1, "a.jpg", video_id=1)], [person(1, 1)]), "without a frame number"),
    (truth([image(n, "1.jpg", video_id=1) for n in (1, 2)], [person(1, 1)]), "two images of one"),
    (truth([image(1, "a.jpg", video_id="b"), image(2, "b.jpg"), image(3, "b.jpg", video_id="b",
                                                                      frame_id=0)],
           [person(1, 1)]), "without a frame number"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_files_are_reported_with_a_reason(tmp_path, content, message):
    clips, problems = converted(tmp_path, {"a.json": content})
    assert clips == {}
    (problem,) = problems
    text = f"{problem.position} {problem.reason}"
    assert message in text and problem.source == "a.json" and problem.severity == "reject", text


def attempt(folder, text):
    try:
        converted(folder, {"a.json": text})
    except PosedataError as error:
        assert str(error)


@settings(max_examples=80)
@given(st.binary(max_size=100))
def test_any_bytes_give_clips_or_problems(tmp_path_factory, text):
    attempt(tmp_path_factory.mktemp("fuzz"), text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=250)
@given(st.data())
def test_other_json_gives_clips_or_problems(tmp_path_factory, data):
    images = [image(1), *posetrack_images("000342", [0, 1])]
    content = truth(images, [person(1, 1), person(10**10, 2, track_id=1)], videos=[{"id": 1}])
    if data.draw(st.booleans()):
        content = [result(1), result(2)]
        entries = content
    else:
        entries = content[data.draw(st.sampled_from(["images", "annotations", "categories"]))]
    entry = data.draw(st.sampled_from(entries))
    entry[data.draw(st.sampled_from(list(entry)))] = data.draw(JSON)
    if isinstance(content, dict) and data.draw(st.booleans()):
        content[data.draw(st.sampled_from(list(content)))] = data.draw(JSON)
    attempt(tmp_path_factory.mktemp("fuzz"), json.dumps(content).encode())


def expected_of(content):
    by_id = {a["id"]: a for a in content["annotations"]}
    parts = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    return {
        key: np.array([x for part in parts for x in a.get(part, [])], np.float64).reshape(-1, 3)
        for key, a in by_id.items()
    }


@pytest.mark.real
@pytest.mark.parametrize(
    ("path", "skeleton", "people"),
    [("coco/test_coco.json", "coco17", 14),
     ("coco/test_coco_wholebody.json", "coco_wholebody133", 14),
     ("coco/test_keypoint_partition_metric.json", "coco_wholebody133", 14),
     ("posetrack18/annotations/test_posetrack18_val.json", "posetrack17", 14),
     ("h36m/h36m_coco.json", "h36m17", 4)],
)  # fmt: skip
def test_real_annotations_keep_every_number(shared, path, skeleton, people):
    place = shared / "data" / path
    clips, _ = converted(place)
    expected = expected_of(json.loads(place.read_text()))
    found = 0
    for clip in clips.values():
        assert clip.skeleton.name == skeleton
        for row, number in enumerate(clip.extra["annotation_ids"].tolist()):
            numbers = expected[number]
            labelled = numbers[:, 2] > 0
            assert np.array_equal(
                clip.keypoints_2d[row][labelled], numbers[labelled, :2].astype("f4")
            )
            assert np.isnan(clip.keypoints_2d[row][~labelled]).all()
            whole = np.isin(numbers[:, 2], (0, 1, 2))
            assert np.array_equal(clip.visibility[row][whole], numbers[whole, 2])
            found += 1
    assert found == people


@pytest.mark.real
def test_real_files_of_human36m_have_the_legs_named_the_other_way(shared):
    _, problems = converted(shared / "data/h36m/h36m_coco.json")
    assert any("name the legs the other way round" in p.reason for p in problems)


@pytest.mark.real
def test_a_real_folder_gives_each_clip_once(shared):
    clips, problems = converted(shared / "data/posetrack18/annotations")
    assert sorted(clip_id for _, clip_id in clips) == [
        "003418_mpii_test", "009473_mpii_test", "012834_mpii_test",
    ]  # fmt: skip
    assert sum("boxes without keypoints" in p.reason for p in problems) == 1
    assert sum("clips that another file has" in p.reason for p in problems) == 3


# field by field, and one by one


WHOLE_BODY = {"foot_kpts": [1, 2, 1] * 6, "face_kpts": [3, 4, 1] * 68,
              "lefthand_kpts": [5, 6, 1] * 21, "righthand_kpts": [7, 8, 1] * 21}  # fmt: skip
BOTH_WAYS = {
    "truth": truth([image(1), image(2)], [person(2, 1), person(1, 2, 3.5), person(2, 3)]),
    "results": [result(1), result("a"), result(1, 7)],
    "results of one kind": [result(1), result(2, 7)],
    "whole body": truth([image(1)], [person(1, 1, **WHOLE_BODY), person(1, 2, **WHOLE_BODY)]),
    "other fields": truth([image(1, license=3)], [person(1, 1, segmentation=[[1, 2]], mood=1)]),
    "tracks": truth([image(1, vid_id="000342", frame_id=0, nframes=2, is_labeled=False),
                     image(2, vid_id="000342", frame_id=1, nframes=2, is_labeled=True)],
                    [person(1, 1, track_id=3), person(2, 2, track_id=None)]),
    "videos": truth([image(1, video_id=4)], [person(1, 1)], videos=[{"id": 4, "name": "x"}]),
    "some without": truth([image(1)], [{"image_id": 1, "bbox": [1, 2, 3, 4]}, person(1, 2)]),
    "boxes": truth([image(1)], [{"image_id": 1, "bbox": [1, 2, 3, 4]}]),
    "nothing": truth([image(1)], []),
    "NaN": [result(1, score=float("nan")), result(2, float("nan"))],
}  # fmt: skip
ONE_BY_ONE = ("results", "some without", "boxes", "nothing")


def both_ways(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coco_lists, "_entries_by_field", lambda entries: None)
        patch.setattr(coco_lists, "_images_by_field", lambda entries: None)
        plain = outcome(parse_coco, text, "f.json")
    return outcome(parse_coco, text, "f.json"), plain


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_field_by_field_and_one_by_one_are_the_same(name, monkeypatch):
    text = json.dumps(BOTH_WAYS[name]).encode()
    assert_same(*both_ways(text))
    if name not in ONE_BY_ONE:
        monkeypatch.delattr(coco_lists, "_entries_one_by_one")
        monkeypatch.delattr(coco_lists, "_images_one_by_one")
        assert len(parse_coco(text, "f.json").ids)


@pytest.mark.parametrize(
    "fields",
    [{"iscrowd": -2}, {"iscrowd": -1}, {"iscrowd": True}, {"category_id": 1 << 31}, {"id": 1 << 63},
     {"id": -(1 << 63)}, {"image_id": -(1 << 63)}, {"track_id": [1]}, {"track_id": True},
     {"face_kpts": None}, {**WHOLE_BODY, "face_kpts": [1, 2, 3]}, {**WHOLE_BODY, "foot_kpts": None},
     {**WHOLE_BODY, "keypoints": [1, 2, 1] * 14}, {"bbox": None}, {"bbox": [1, 2, 3]},
     {"area": None}, {"area": True}, {"keypoints": None}, {"keypoints": [1, 2]}],
)  # fmt: skip
def test_both_ways_say_the_same_of_odd_annotations(fields):
    odd = {**person(1, 2), **fields}
    for annotations in ([odd], [person(1, 1), odd]):
        joints = COCO if "keypoints" not in fields else ()
        assert_same(*both_ways(json.dumps(truth([image(1)], annotations, joints)).encode()))


@pytest.mark.parametrize(
    "fields",
    [{"id": 1}, {"id": "1"}, {"id": True}, {"id": 1 << 63}, {"id": None}, {"width": True},
     {"width": 0}, {"height": 1 << 24}, {"width": 2.0}, {"nframes": 0}, {"frame_id": 1 << 63},
     {"vid_id": 1}, {"vid_id": 1, "video_id": 2}, {"vid_id": None, "video_id": 2}, {"video_id": []},
     {"file_name": 3}, {"is_labeled": 0}, {"is_labeled": None}],
)  # fmt: skip
def test_both_ways_say_the_same_of_odd_images(fields):
    for odd in ({**image(2), **fields}, {**image(2, video_id=3), **fields}):
        for first in (image(1), image(1, video_id=5)):
            content = truth([first, odd], [person(1, 1)])
            assert_same(*both_ways(json.dumps(content).encode()))


@given(st.sampled_from(list(BOTH_WAYS.values())).flatmap(mutated))
def test_both_ways_are_the_same_for_any_file(text):
    assert_same(*both_ways(text))


@pytest.mark.real
def test_both_ways_are_the_same_for_real_files(shared):
    for path in sorted((shared / "data/coco").glob("*.json")):
        assert_same(*both_ways(path.read_bytes()))
