"""`posedata.converters.smarthome_untrimmed`: the annotation, with poses and without."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import posedata
from posedata.convert import convert, plan_conversion
from posedata.converters import smarthome_untrimmed as tsu
from posedata.errors import InputError, PosedataError
from posedata.storage import locate
from posedata.validate import validate

NAME, OTHER = "P17T07C02", "P03T01C05"
OPTIONS = {"all_fields": False}
CS, CV = "smarthome_CS_51.json", "smarthome_CV_51.json"


def entry(subset="training", duration=100, actions=((0, 10, 20),)):
    return {"subset": subset, "duration": duration, "actions": [list(a) for a in actions]}


def npz(frames, expert="lcrnet"):
    poses = np.ones((frames, 17, 2), np.float32)
    poses[:, 5:] += np.arange(12)[:, None]
    sink = io.BytesIO()
    np.savez_compressed(sink, kpts=poses)
    return sink.getvalue()


def put(folder, files):
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return locate(folder)


def discover(folder, files):
    return tsu.discover(put(folder, files), OPTIONS)


def parse(document):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return tsu.parse_annotation(text, CS)


def test_the_51_classes_are_in_the_order_of_the_action_list():
    names = tsu.class_names()
    assert len(names) == 51 and names[0] == "Enter" and names[50] == "Pour.From_can"


@pytest.mark.real
def test_the_classes_are_those_of_the_authors(shared):
    lines = (shared / "data/smarthome/tsu/Action_list").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        [str(number), name] for number, name in enumerate(tsu.class_names())
    ]


def test_frames_become_seconds_at_25_a_second(tmp_path):
    found = discover(tmp_path, {CS: {NAME: entry(actions=[(13, 10, 35), (0, 0, 100)])}})
    assert [tuple(segment) for segment in found.segments] == [
        (NAME, 0.4, 1.4, 13, "Drink.From_cup", ""),
        (NAME, 0.0, 4.0, 0, "Enter", ""),
    ]
    assert found.samples == [] and found.problems == []


def test_odd_segments_are_kept_and_flagged(tmp_path):
    actions = [(1, 5, 5), (1, 90, 110), (1, 120, 130), (1, 30, 20), (1, 1, 2), (1, 1, 2)]
    found = discover(tmp_path, {CS: {NAME: entry(actions=actions)}})
    assert [segment.flag for segment in found.segments] == [
        "no length", "end after the video", "start after the video; end after the video",
        "end before start", "", "listed before",
    ]  # fmt: skip


def test_clips_are_known_without_poses(tmp_path):
    found = discover(tmp_path, {CS: {NAME: entry("testing", 125)}})
    assert found.clips == [{
        "clip_id": NAME, "num_frames": 125, "width": 640, "height": 480, "fps": 25.0,
        "subject": 17, "camera": 2, "take": 7, "duration_s": 5.0, "cs": "test",
    }]  # fmt: skip


def test_each_file_gives_its_protocol(tmp_path):
    both = {CS: {NAME: entry(), OTHER: entry("testing")},
            f"sub/{CV}": {NAME: entry("testing"), OTHER: entry()}}  # fmt: skip
    found = discover(tmp_path / "both", both)
    assert list(tsu.splits(found.clips)) == [
        ("cs", "test", OTHER), ("cs", "train", NAME), ("cv", "train", OTHER), ("cv", "test", NAME),
    ]  # fmt: skip
    assert len(found.segments) == 2 and found.problems == []
    one = discover(tmp_path / "one", {CV: both[f"sub/{CV}"]})
    assert list(tsu.splits(one.clips)) == [("cv", "train", OTHER), ("cv", "test", NAME)]


def test_where_the_two_files_disagree_the_first_is_taken_and_a_warning_says_so(tmp_path):
    ours, theirs = entry(actions=[(0, 1, 2)]), entry(actions=[(0, 1, 3)])
    found = discover(tmp_path, {CS: {NAME: ours}, CV: {NAME: theirs, OTHER: entry()}})
    (warning,) = found.problems
    assert (warning.source, warning.position, warning.severity) == (CV, NAME, "warning")
    assert [segment.end_s for segment in found.segments if segment.clip_id == NAME] == [0.08]
    assert [row["clip_id"] for row in found.clips] == [OTHER, NAME]
    assert [(row.get("cs"), row["cv"]) for row in found.clips] == [
        (None, "train"), ("train", "train"),
    ]  # fmt: skip


def test_a_second_annotation_of_a_protocol_is_a_problem(tmp_path):
    found = discover(tmp_path, {f"a/{CS}": {NAME: entry()}, f"b/{CS}": {OTHER: entry()}})
    assert [row["clip_id"] for row in found.clips] == [NAME]
    (problem,) = found.problems
    assert problem.reason == f"a second annotation of cs: a/{CS} is taken"


WRONG = {
    "name": ({"P1T2C3": entry()}, "not a TSU video", "'P1T2C3'"),
    "odd name": ({"\ud800": entry()}, "not a TSU video", "'\\ud800'"),
    "entry": ({NAME: 5}, "not a video's annotation", f"'{NAME}'"),
    "subset": ({NAME: entry("validation")}, "bad subset: found 'validation'", f"'{NAME}'"),
    "subset a list": ({NAME: entry([])}, "bad subset", f"'{NAME}'"),
    "duration": ({NAME: entry(duration="100")}, "bad duration: found '100'", f"'{NAME}'"),
    "duration 0": ({NAME: entry(duration=0)}, "bad duration", f"'{NAME}'"),
    "actions": ({NAME: {**entry(), "actions": None}}, "bad actions", f"'{NAME}'"),
    "class 51": ({NAME: entry(actions=[(0, 1, 2), (51, 1, 2)])},
                 "bad action: found [51, 1, 2]", f"{NAME}, action 1"),
    "class -1": ({NAME: entry(actions=[(-1, 1, 2)])}, "bad action", f"{NAME}, action 0"),
    "seconds": ({NAME: entry(actions=[(1, 0.5, 2)])}, "bad action", f"{NAME}, action 0"),
    "two numbers": ({NAME: entry(actions=[(1, 5)])}, "bad action", f"{NAME}, action 0"),
    "true": ({NAME: entry(actions=[(True, 1, 2)])}, "bad action", f"{NAME}, action 0"),
    "huge": ({NAME: entry(actions=[(1, 1, 10**30)])}, "bad action", f"{NAME}, action 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_video_is_a_problem_and_the_others_go_on(name):
    document, reason, position = WRONG[name]
    annotations, (problem,) = parse({**document, OTHER: entry()})
    assert list(annotations) == [OTHER]
    assert problem.reason.startswith(reason) and problem.position == position
    assert problem.source == CS and problem.severity == "reject"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"3", b"\xff"])
def test_what_is_no_annotation(tmp_path, text):
    with pytest.raises(InputError):
        parse(text)
    found = discover(tmp_path, {CS: text, CV: {NAME: entry()}})
    assert [row["clip_id"] for row in found.clips] == [NAME]
    assert [problem.source for problem in found.problems] == [CS]


@pytest.mark.real
def test_the_real_annotation(shared, tmp_path):
    found = tsu.discover(locate(shared / "data/smarthome/tsu"), OPTIONS)
    assert (len(found.clips), len(found.segments), found.problems) == (536, 41288, [])
    splits = Counter((protocol, split) for protocol, split, _ in tsu.splits(found.clips))
    assert splits == {("cs", "train"): 351, ("cs", "test"): 185}
    flags = Counter(segment.flag for segment in found.segments)
    assert flags == {"": 41288 - 7 - 194, "no length": 7, "listed before": 194}
    assert {segment.label for segment in found.segments} == set(range(51))
    clip = next(row for row in found.clips if row["clip_id"] == "P11T13C03")
    assert clip["num_frames"] == 34520 and clip["duration_s"] == 1380.8


@pytest.mark.real
def test_the_cross_view_protocol_has_the_sizes_of_its_cameras(shared, tmp_path):
    document = json.loads((shared / "data/smarthome/tsu" / CS).read_bytes())
    for video, of_video in document.items():
        of_video["subset"] = "testing" if video[-3:] in ("C02", "C05") else "training"
    found = discover(tmp_path, {CV: document})
    splits = Counter((protocol, split) for protocol, split, _ in tsu.splits(found.clips))
    assert splits == {("cv", "train"): 369, ("cv", "test"): 167}


# poses


@pytest.mark.parametrize(
    "name",
    [f"results_{NAME}_lcrnet+v3d.json", f"{NAME}.json", f"{NAME}_LCRNet2d.npz",
     f"results_{NAME}_lcrnet+v3d_LCRNet2d.npz", f"lcrnet/{NAME}.npz"],
)  # fmt: skip
def test_pose_files_are_found_by_the_video_in_their_name(tmp_path, name):
    (sample,) = discover(tmp_path, {name: b"", CS: {NAME: entry()}}).samples
    assert (sample.clip_id, sample.layer, sample.path) == (NAME, "lcrnet", name)


@pytest.mark.parametrize(
    "name", ["notes.json", f"{NAME}_{OTHER}.json", f"x{NAME}.json", "P1T2C3.json", f"{NAME}0.json"]
)
def test_other_files_are_problems(tmp_path, name):
    found = discover(tmp_path, {name: b"", CS: {NAME: entry()}})
    assert found.samples == []
    assert found.problems[0].reason.startswith("not poses of a TSU video")


def test_poses_get_the_columns_of_the_annotation(tmp_path):
    raw = put(tmp_path, {f"{NAME}_LCRNet2d.npz": npz(100), CS: {NAME: entry("testing")}})
    found = tsu.discover(raw, OPTIONS)
    (sample,) = found.samples
    clip, problems = tsu.read(raw, sample, tsu.describe(found.samples, OPTIONS))
    assert dict(clip.info) == {
        "num_frames": 100, "width": 640, "height": 480, "fps": 25.0, "subject": 17, "camera": 2,
        "take": 7, "duration_s": 4.0, "cs": "test", "source": f"{NAME}_LCRNet2d.npz",
    }  # fmt: skip
    assert problems == [] and clip.skeleton.name == "lcrnet13"


@pytest.mark.parametrize(("frames", "length"), [(99, 100), (101, 101)])
def test_poses_of_another_length_are_kept_with_a_warning(tmp_path, frames, length):
    raw = put(tmp_path, {f"{NAME}_LCRNet2d.npz": npz(frames), CS: {NAME: entry()}})
    found = tsu.discover(raw, OPTIONS)
    clip, (warning,) = tsu.read(raw, found.samples[0], tsu.describe(found.samples, OPTIONS))
    assert clip.num_frames == length and warning.severity == "warning"
    assert f"found {frames} frames, expected 100" in warning.reason


def test_poses_without_annotation_are_taken_with_a_warning(tmp_path):
    raw = put(tmp_path, {f"{NAME}_LCRNet2d.npz": npz(3)})
    found = tsu.discover(raw, OPTIONS)
    (warning,) = found.problems
    assert warning.severity == "warning" and warning.reason.startswith("no annotation here")
    clip, _ = tsu.read(raw, found.samples[0], tsu.describe(found.samples, OPTIONS))
    assert clip.info["subject"] == 17 and "cs" not in clip.info


def test_a_release_has_all_clips_segments_and_splits(tmp_path):
    raw = put(tmp_path / "raw", {
        CS: {NAME: entry("testing", 100), OTHER: entry("training", 50), "P02T02C01": entry()},
        f"{NAME}_LCRNet2d.npz": npz(99), f"{NAME}_OP2d.npz": npz(100),
        f"results_{OTHER}_lcrnet+v3d.json": {"njts": 13, "frames": [[]] * 51},
    })  # fmt: skip
    convert(plan_conversion("smarthome_untrimmed", raw), tmp_path / "out", num_workers=1)
    release = posedata.open_release(tmp_path / "out")
    assert list(validate(release)) == []
    rows = {row["clip_id"]: row for row in release.clips().to_pylist()}
    assert {name: row["num_frames"] for name, row in rows.items()} == {
        NAME: 100, OTHER: 51, "P02T02C01": 100,
    }  # fmt: skip
    assert rows[OTHER]["duration_s"] == 2.0 and rows[OTHER]["cv"] is None
    assert {layer: release.clip(NAME, layer).num_frames for layer in ("lcrnet", "openpose")} == {
        "lcrnet": 100, "openpose": 100,
    }  # fmt: skip


def test_a_release_needs_no_poses(tmp_path):
    raw = put(tmp_path / "raw", {CS: {NAME: entry("testing", 100)}})
    summary = convert(plan_conversion("smarthome_untrimmed", raw), tmp_path / "out", num_workers=1)
    assert summary.clips == 1
    assert list(validate(posedata.open_release(tmp_path / "out"))) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["training", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([NAME, "subset", "duration", "actions", "\ud800"]), inner)
    ),
    max_leaves=10,
)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_result_or_an_error_of_ours(text):
    try:
        annotations, problems = tsu.parse_annotation(text, CS)
    except PosedataError:
        return
    for problem in problems:
        f"{problem.reason}{problem.position}".encode()
    assert all(annotation.duration > 0 for annotation in annotations.values())
