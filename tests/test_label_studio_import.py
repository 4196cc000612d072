"""`posedata.converters.label_studio`: exports of Label Studio to clips."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_ways import mutated

from posedata.converters import label_studio
from posedata.errors import InputError, PosedataError, UsageError
from posedata.label_studio.keypoint_config import labelling_config
from posedata.label_studio.poses_to_task import FramePoses, task_of
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": "", "annotation": "latest"}
PENN = load_skeleton("penn13")


def pose(x, y=50.0):
    steps = np.arange(13, dtype=np.float32)
    return np.stack([x + steps, y + 2 * steps], -1)


def own_task(clip_id, frame, *keypoints, number=1, **fields):
    poses = FramePoses(clip_id, frame, 640, 480, np.arange(len(keypoints)),
                       np.array(keypoints).reshape(-1, 13, 2))  # fmt: skip
    made = task_of(poses, PENN, "i", "l", "k")
    result = made["predictions"][0]["result"]
    return {"id": number, "data": made["data"],
            "annotations": [{"id": number, "result": result, **fields}]}  # fmt: skip


def point(label, x, y, name, **fields):
    return {"id": name, "type": "keypointlabels", "original_width": 200, "original_height": 100,
            "value": {"x": (x + 0.5) / 2, "y": y + 0.5, "keypointlabels": [label]},
            **fields}  # fmt: skip


def converted(folder, files, **options):
    """Read files the way a conversion does."""
    for name, content in files.items():
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    raw, options = locate(folder), {**OPTIONS, **options}
    found = label_studio.discover(raw, options)
    assert pickle.loads(pickle.dumps(found.samples)) == found.samples
    description = label_studio.describe(found.samples, options)
    clips, problems = {}, list(found.problems)
    for sample in found.samples:
        clip, more = label_studio.read(raw, sample, description)
        clips[clip.clip_id] = clip
        problems += more
    return clips, problems


def test_our_own_tasks_go_back_to_their_clips(tmp_path):
    tasks = [own_task("v1", 9, pose(100), pose(300)), own_task("v1", 2, pose(-40), number=2),
             own_task("v2", 0, number=3)]  # fmt: skip
    clips, problems = converted(tmp_path, {"export.json": tasks})
    assert problems == [] and list(clips) == ["v1", "v2"]
    clip = clips["v1"]
    assert (clip.layer, clip.skeleton, clip.num_frames) == ("human", PENN, 10)
    assert clip.frames.tolist() == [2, 9, 9] and clip.persons.tolist() == [0, 0, 1]
    assert clip.person_ids == ("0", "1")
    np.testing.assert_allclose(clip.keypoints_2d, [pose(-40), pose(100), pose(300)], atol=0.01)
    assert (clip.visibility == 2).all() and np.isnan(clip.boxes).all()
    assert clip.info == {
        "num_frames": 10, "width": 640, "height": 480, "source": "export.json", "file_name": "i",
        "num_labelled": 2,
    }  # fmt: skip
    assert len(clips["v2"].frames) == 0 and clips["v2"].info["num_labelled"] == 1


def test_pictures_of_another_project(tmp_path):
    rectangle = {"id": "r", "type": "rectanglelabels", "original_width": 200,
                 "original_height": 100, "value": {"x": 0, "y": 0, "width": 50, "height": 50,
                                                   "rectanglelabels": ["person"]}}  # fmt: skip
    task = {"id": 5, "data": {"image": "/data/upload/3/0123abcd-street.jpg"}, "annotations": [
        {"result": [rectangle, point("Left Wrist", 10, 20, "w", parentID="r"),
                    point("tail", 1, 1, "t", parentID="r")]}]}  # fmt: skip
    config = labelling_config(PENN).replace('"left_wrist"', '"Left Wrist"')
    clips, problems = converted(tmp_path, {"e.json": [task], "config.xml": config})
    clip = clips["street"]
    assert clip.keypoints_2d[0, PENN.index("left_wrist")].tolist() == pytest.approx([10, 20])
    assert clip.visibility.sum() == 2
    assert clip.boxes[0].tolist() == pytest.approx([-0.5, -0.5, 99.5, 49.5])
    assert [(p.reason, p.position, p.severity) for p in problems] == [
        ("no joint of the skeleton: 'tail'", "task 5, region t", "warning")
    ]


def test_local_files_and_escapes_in_addresses(tmp_path):
    names = ["/data/local-files/?d=a/b%20c.jpg", "s3://bucket/k/d.png", "https://h/x/e.jpg?token=1"]
    tasks = [{"data": {"img": name}, "annotations": [{"result": [point("head", 1, 1, "h")]}]}
             for name in names]  # fmt: skip
    clips, _ = converted(tmp_path, {"e.json": tasks}, joints="penn13")
    assert list(clips) == ["b c", "d", "e"]
    assert clips["b c"].info["file_name"] == "a/b c.jpg"


def test_skipped_and_unfinished_tasks_are_told(tmp_path):
    done, skipped = own_task("a", 0, pose(1)), own_task("b", 0, pose(1), was_cancelled=True)
    draft = {**own_task("c", 0), "annotations": [], "drafts": [{"result": []}]}
    untouched = {**own_task("d", 0), "annotations": []}
    clips, problems = converted(tmp_path, {"e.json": [done, skipped, draft, untouched, untouched]})
    assert list(clips) == ["a"]
    assert [p.reason for p in problems] == [
        "tasks that were skipped: 1", "tasks with a draft that was not submitted: 1",
        "tasks without an annotation: 2",
    ]  # fmt: skip


def test_which_annotation_counts(tmp_path):
    task = own_task("a", 0, pose(1), completed_by=1, updated_at="2026-01-01T00:00:00Z")
    (later,) = own_task("a", 0, pose(50), completed_by=2)["annotations"]
    task["annotations"].append(later | {"updated_at": "2026-01-02T00:00:00Z"})
    for rule, x in (("latest", 50), ("by-user:1", 1)):
        clips, _ = converted(tmp_path, {"e.json": [task]}, annotation=rule)
        assert clips["a"].keypoints_2d[0, 0, 0] == pytest.approx(x)
    with pytest.raises(UsageError, match="rule to choose"):
        converted(tmp_path, {}, annotation="best")


def test_people_added_to_a_video_are_tracked(tmp_path):
    tasks = [own_task("v", n, pose(100), number=n) for n in range(3)]
    for task in tasks:
        result = task["annotations"][0]["result"]
        new = [{**r, "id": "new" + r["id"], "parentID": "newperson-0", "meta": {}} for r in
               own_task("v", 0, pose(400))["annotations"][0]["result"]]  # fmt: skip
        result += [{k: v for k, v in r.items() if r["type"] != "rectanglelabels" or k != "parentID"}
                   for r in new]  # fmt: skip
    pytest.importorskip("trackers")
    clips, _ = converted(tmp_path, {"e.json": tasks})
    assert clips["v"].num_persons == 2 and sorted(clips["v"].person_ids) == ["", "0"]


def test_two_tasks_of_one_frame_are_refused(tmp_path):
    with pytest.raises(InputError, match="v, frame 3: two tasks of one frame"):
        converted(tmp_path, {"e.json": [own_task("v", 3), own_task("v", 3, pose(1))]})


def test_labels_of_several_skeletons_or_of_none(tmp_path):
    task = {"data": {"image": "a.jpg"}, "annotations": [{"result": [point("nose", 1, 1, "n")]}]}
    with pytest.raises(InputError, match=r"several skeletons.*--joints"):
        converted(tmp_path, {"e.json": [task]})
    clips, _ = converted(tmp_path, {"e.json": [task]}, joints="coco17")
    assert clips["a"].visibility.tolist() == [[2, *[0] * 16]]
    task["annotations"][0]["result"][0]["value"]["keypointlabels"] = ["antenna"]
    with pytest.raises(InputError, match="no skeleton's"):
        converted(tmp_path, {"e.json": [task]})


def test_other_files_are_rejected_with_a_reason(tmp_path):
    clips, problems = converted(tmp_path, {
        "good.json": [own_task("a", 0, pose(1))],
        "min.json": [{"image": "a.jpg", "kp": []}], "coco.json": {"images": []}, "cut.json": "[{",
        "half.json": '[{"data": {"clip_id": "\\ud800", "frame": 0}}]',
        "bomb.xml": '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>', "cut.xml": "<View>",
    })  # fmt: skip
    assert list(clips) == ["a"]
    assert {p.source for p in problems} == {
        "min.json", "coco.json", "cut.json", "half.json", "bomb.xml", "cut.xml"
    }  # fmt: skip


BASE = [own_task("v", 0, pose(1), pose(-90)), own_task("v", 2, pose(5)), own_task("w", 0, pose(7))]


@given(mutated(BASE), st.sampled_from(["latest", "agreed"]))
@settings(max_examples=120)
def test_any_export_gives_clips_or_errors(tmp_path_factory, text, rule):
    folder = tmp_path_factory.mktemp("e")
    try:
        clips, problems = converted(folder, {"e.json": text}, annotation=rule)
    except PosedataError:
        return
    for clip in clips.values():
        assert np.isfinite(clip.keypoints_2d).all(-1).tolist() == (clip.visibility > 0).tolist()
    for text in [*clips, *(p.reason + p.position for p in problems)]:
        text.encode()


@pytest.mark.real
def test_the_real_export(shared):
    raw = locate(shared / "data" / "label_studio")
    found = label_studio.discover(raw, OPTIONS)
    (sample,) = found.samples
    clip, problems = label_studio.read(raw, sample, label_studio.describe(found.samples, OPTIONS))
    assert (sample.clip_id, clip.skeleton.name, found.problems, problems) == ("image1", "coco17",
                                                                             [], [])  # fmt: skip
    assert clip.visibility[0].tolist() == [2, 2, 2] + [0] * 14
    # 64.4444 % of 216 and 39.2908 % of 174, from the corner of the first pixel.
    assert clip.keypoints_2d[0, 0].tolist() == pytest.approx([138.7, 67.866], abs=1e-3)
    assert clip.boxes[0].tolist() == pytest.approx([83.4149, 12.8277, 185.5936, 101.4319], abs=1e-3)
