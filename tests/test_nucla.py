"""`posedata.converters.nucla`: which files are clips, and what becomes of their numbers."""

import json
from collections import Counter
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import posedata
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.converter import Problem, Sample
from posedata.converters import nucla, nucla_json, nucla_text
from posedata.errors import InputError, PosedataError
from posedata.storage import locate
from posedata.validate import validate

OPTIONS = {"all_fields": False}
NAME = "a08_s10_e03_v02"
FOLDER = "view_2/a08_s10_e03"


def skeletons(num_frames=2):
    numbers = np.arange(1, num_frames * 60 + 1).reshape(num_frames, 20, 3) / 8 - 3.3
    return np.round(numbers, 4).tolist()


def json_text(**changes):
    fields = {"file_name": NAME, "skeletons": skeletons(), "label": 7, **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def clip_of(tmp_path, content, name=NAME):
    (tmp_path / f"{name}.json").write_bytes(content)
    return read_only(tmp_path)


def read_only(folder):
    raw = locate(folder)
    (sample,) = nucla.discover(raw, OPTIONS).samples
    return nucla.read(raw, sample, nucla.describe([sample], OPTIONS))


def touch(folder, *paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"12")


def found_in(folder):
    found = nucla.discover(locate(folder), OPTIONS)
    return [s.path for s in found.samples], {p.source: p.reason for p in found.problems}


# finding clips


def test_json_clips_are_found_by_name(tmp_path):
    wrong = ["a07_s01_e00_v01", "a10_s01_e00_v01", "a13_s01_e00_v01", "a01_s11_e00_v01",
             "a01_s01_e00_v04", "a01_s01_e00_v00", "a01_s01_e00", "A01_s01_e00_v01", "val_label",
             "a01_s01_e0\uff11_v01", "a01_s00_e00_v01", "a01_s01_e00_v01 (copy)"]  # fmt: skip
    right = [f"a/{NAME}", "a12_s01_e10_v03"]
    touch(tmp_path, *(f"{stem}.json" for stem in [*wrong, *right, f"b/{NAME}"]))
    paths, problems = found_in(tmp_path)
    assert paths == [f"a/{NAME}.json", "a12_s01_e10_v03.json"]
    assert problems.pop(f"b/{NAME}.json") == f"a second file of this clip: a/{NAME}.json is taken"
    assert problems.keys() == {f"{stem}.json" for stem in wrong}
    assert "found 'a07_s01_e00_v01', expected aAA_sSS_eEE_vVV" in problems["a07_s01_e00_v01.json"]


def test_folders_of_text_files_are_found_by_name(tmp_path):
    touch(
        tmp_path, f"{FOLDER}/frame_0_tc_1_skeletons.txt", f"{FOLDER}/fileList.txt",
        "x/view_1/a01_s01_e00/frame_3_tc_1_skeletons.txt", "view_3/a01_s01_e00/fileList.txt",
        "view_1/a07_s01_e00/fileList.txt", "view_4/a01_s01_e00/fileList.txt", "fileList.txt",
        "y/view_1/a01_s01_e00/fileList.txt", "view_1/readme.txt",
        "view_1/a02_s01_e00/frame_0_tc_1_rgb.jpg",
    )  # fmt: skip
    found = nucla.discover(locate(tmp_path), OPTIONS)
    assert found.samples == [
        Sample("a01_s01_e00_v01", "x/view_1/a01_s01_e00", 2),
        Sample("a01_s01_e00_v03", "view_3/a01_s01_e00", 2),
        Sample(NAME, FOLDER, 4),
    ]
    assert {problem.source for problem in found.problems} == {
        "view_1/a07_s01_e00", "view_4/a01_s01_e00", ".", "y/view_1/a01_s01_e00"
    }  # fmt: skip


def test_a_view_and_a_clip_are_found_by_where_they_are(tmp_path):
    touch(tmp_path, f"{FOLDER}/frame_0_tc_1_skeletons.txt")
    for place, path in (("view_2", "a08_s10_e03"), (FOLDER, ".")):
        found = nucla.discover(locate(tmp_path / place), OPTIONS)
        assert found.samples == [Sample(NAME, path, 2)] and found.problems == []
    (tmp_path / FOLDER / "frame_0_tc_1_skeletons.txt").write_bytes(b"")
    clip, _ = read_only(tmp_path / FOLDER)
    assert clip.num_frames == 1


def test_json_files_are_taken_where_both_forms_are(tmp_path):
    touch(tmp_path, f"{NAME}.json", f"{FOLDER}/fileList.txt")
    found = nucla.discover(locate(tmp_path), OPTIONS)
    assert [sample.path for sample in found.samples] == [f"{NAME}.json"]
    (problem,) = found.problems
    assert (problem.source, problem.severity) == (FOLDER, "warning")
    assert problem.reason.startswith("1 folders of text files are left out, since there are JSON")
    touch(tmp_path, "view_1/a01_s01_e00/fileList.txt")
    (problem,) = nucla.discover(locate(tmp_path), OPTIONS).problems
    assert (
        problem.severity == "reject" and "1 of them are of clips without a JSON" in problem.reason
    )


def test_other_file_systems_are_searched_and_read_in_the_same_way():
    raw = locate("memory://nucla")
    try:
        (raw / f"{FOLDER}/frame_4_tc_9_skeletons.txt").write_bytes(body_text("7"))
        found = nucla.discover(raw, OPTIONS)
        clip, _ = nucla.read(raw, found.samples[0], nucla.describe(found.samples, OPTIONS))
        assert clip.clip_id == NAME and clip.person_ids == ("7",)
    finally:
        raw.remove()


# JSON


def test_every_number_of_a_file_is_in_the_clip(tmp_path):
    clip, problems = clip_of(tmp_path, json_text())
    assert problems == []
    assert (clip.clip_id, clip.layer, clip.skeleton.name) == (NAME, "kinect", "kinect20")
    np.testing.assert_array_equal(clip.keypoints_3d, np.float32(skeletons()))
    np.testing.assert_array_equal(clip.source_values("keypoints_3d"), skeletons())
    assert clip.frames.tolist() == [0, 1] and clip.persons.tolist() == [0, 0]
    assert (clip.visibility, clip.scores, clip.person_ids) == (None, None, ())
    assert clip.info == {
        "num_frames": 2, "label": 6, "label_name": "donning", "subject": 10, "camera": 2,
        "replication": 3, "source": f"{NAME}.json",
    }  # fmt: skip


def test_a_joint_at_the_origin_is_missing(tmp_path):
    numbers = skeletons()
    numbers[1][4] = [0, 0.0, -0.0]
    numbers[0][0] = [0, 0, 2.5]
    clip, problems = clip_of(tmp_path, json_text(skeletons=numbers))
    assert np.argwhere(np.isnan(clip.keypoints_3d).any(-1)).tolist() == [[1, 4]]
    assert np.isnan(clip.keypoints_3d[1, 4]).all()
    reason = "1 joints are at exactly (0, 0, 0), and became missing"
    where = "frame 1, joint 4"
    assert problems == [Problem(f"{NAME}.json", "read", reason, where, "warning")]
    np.testing.assert_array_equal(clip.source_values("keypoints_3d"), numbers)


def test_numbers_that_are_not_finite_are_missing(tmp_path):
    numbers = skeletons()
    numbers[0][2][1] = float("nan")
    numbers[1][3][0] = float("-inf")
    content = json_text(skeletons=numbers).replace(b"-3.175", b"1e39")
    clip, (problem,) = clip_of(tmp_path, content)
    assert np.argwhere(np.isnan(clip.keypoints_3d).all(-1)).tolist() == [[0, 0], [0, 2], [1, 3]]
    assert np.isfinite(clip.keypoints_3d).sum() == 3 * 37
    assert problem.reason.startswith("3 joints are not finite")


@pytest.mark.parametrize("num_frames", [0, 1])
def test_very_short_clips_are_clips(tmp_path, num_frames):
    clip, problems = clip_of(tmp_path, json_text(skeletons=skeletons(num_frames)))
    assert clip.num_frames == len(clip.frames) == num_frames
    assert [problem.reason for problem in problems] == ["no frames"] * (num_frames == 0)


@pytest.mark.parametrize(
    "change",
    [lambda t: b"\xef\xbb\xbf" + t, lambda t: t.replace(b"{", b'{"}[,": 1, ', 1),
     lambda t: t.replace(b" ", b"\r\n\t"),
     lambda t: json.dumps(json.loads(t), sort_keys=True).encode(),
     lambda t: json.dumps({"skeletons": json.loads(t)["skeletons"]}).encode()],
    ids=["byte order mark", "brackets in text", "white space", "order of fields", "bare"],
)  # fmt: skip
def test_json_may_be_written_in_other_ways(tmp_path, change):
    clip, problems = clip_of(tmp_path, change(json_text()))
    np.testing.assert_array_equal(clip.keypoints_3d, np.float32(skeletons()))
    assert all(problem.reason.endswith("left out: }[,") for problem in problems)


def test_the_files_name_is_believed_and_contradictions_are_reported(tmp_path):
    content = json_text(label=8, file_name="a09_s10_e03_v02", note="x")
    clip, problems = clip_of(tmp_path, content)
    assert (clip.info["label"], clip.clip_id) == (6, NAME)
    assert [problem.reason for problem in problems] == [
        "label is 8, the file's name says 7, which is taken",
        f"file_name is 'a09_s10_e03_v02', the file's name says {NAME!r}, which is taken",
        "fields that the format has not were left out: note",
    ]
    assert {problem.severity for problem in problems} == {"warning"}


def ragged(change):
    numbers = skeletons()
    change(numbers)
    return json_text(skeletons=numbers)


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b"", "line 1, column 1", "not JSON"),
        (json_text()[:-40], "line 1, column", "not JSON"),
        (json_text().replace(b"file_name", b"\xff"), "byte 2", "not UTF-8 text"),
        (b"[1]", "", "not a clip of Northwestern-UCLA"),
        (b'{"label": 1}', "", "not a clip of Northwestern-UCLA"),
        (json_text(skeletons={}), "", "not a clip of Northwestern-UCLA"),
        (json_text(skeletons=[1]), "frame 0", "not a list of joints: found 1"),
        (json_text(skeletons=[[1] * 20]), "frame 0, joint 0", "not a list of numbers: found 1"),
        (json_text(skeletons=np.zeros((2, 60)).tolist()), "frame 0", "wrong number of joints"),
        (json_text(skeletons=np.zeros((3, 20, 2)).tolist()), "frame 0, joint 0",
         "wrong number of numbers: found 2, expected 3"),
        (json_text(skeletons=np.zeros((2, 30, 2)).tolist()), "frame 0", "found 30, expected 20"),
        (json_text(skeletons=np.zeros((1, 20, 3, 1)).tolist()), "frame 0, joint 0", "not a number"),
        (ragged(lambda n: n[1].pop()), "frame 1", "wrong number of joints: found 19, expected 20"),
        (ragged(lambda n: n[0].append(n[1].pop())), "frame 0", "found 21, expected 20"),
        (ragged(lambda n: n[1][3].append(n[1][4].pop())), "frame 1, joint 3",
         "found 4, expected 3"),
        (ragged(lambda n: n[1][3].__setitem__(0, None)), "frame 1, joint 3",
         "not a number: found None"),
        (ragged(lambda n: n[1][3].__setitem__(0, "1")), "frame 1, joint 3",
         "not a number: found '1'"),
        (ragged(lambda n: n[1][3].__setitem__(0, True)), "frame 1, joint 3", "found True"),
        (b'{"skeletons": ' + b"[" * 100_000, "", ""),
    ],
)  # fmt: skip
def test_json_that_is_no_clip_is_refused_with_the_place(tmp_path, content, place, reason):
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, content)
    assert reason in str(caught.value) and str(caught.value).startswith(f"{NAME}.json")
    assert (caught.value.position or "").startswith(place)


def read_or_refuse(tmp_path, content):
    try:
        clip, problems = clip_of(tmp_path, content)
    except PosedataError as error:
        assert str(error)
        return None
    assert isinstance(clip, Clip) and all(p.severity == "warning" for p in problems)
    assert not np.isinf(clip.keypoints_3d).any()
    return clip


PIECES = [b"[", b"]", b",", b"{", b"}", b'"', b"0", b"-1.5", b"null", b"NaN", b"1e999", b" ", b"[]",
          b"],[", b"[1,2,3]", b"\xff", b"9" * 400]  # fmt: skip


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(PIECES), st.integers(0, 3)),
                max_size=3), st.integers(0, 10))  # fmt: skip
def test_a_changed_file_is_read_as_json_reads_it_or_refused(tmp_path_factory, edits, cut):
    content = json_text()
    for position, piece, length in edits:
        position %= len(content)
        content = content[:position] + piece + content[position + length :]
    content = content[: len(content) - cut]
    clip = read_or_refuse(fuzz_folder(tmp_path_factory), content)
    if clip is not None:
        expected = np.float64(json.loads(content, parse_int=float)["skeletons"]).reshape(-1, 20, 3)
        np.testing.assert_array_equal(clip.source_values("keypoints_3d"), expected)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_clip_or_refused(tmp_path_factory, content):
    folder = fuzz_folder(tmp_path_factory)
    for text in (content, b'{"skeletons": [' + content, json_text()[:-1] + content):
        read_or_refuse(folder, text)


def fuzz_folder(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "nucla_fuzz"
    folder.mkdir(exist_ok=True)
    return folder


# text files


def joints(first=1.0):
    return np.round(first + np.arange(60).reshape(20, 3) / 16, 4)


def body_text(body, first=1.0, states=None, newline="\n"):
    states = [2] * 20 if states is None else states
    rows = [f"{x:g},{y:g},{z:g},{s}" for (x, y, z), s in zip(joints(first), states, strict=True)]
    return newline.join([body, *rows, ""]).encode()


def make_folder(tmp_path, **files):
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.{'jpg' if name.endswith('rgb') else 'txt'}").write_bytes(content)


def test_a_folder_of_frames_is_a_clip(tmp_path):
    make_folder(
        tmp_path,
        fileList=b"20 x 100\n22 x 166\r\n\n23 166\n24 201\n",
        frame_20_tc_100_skeletons=body_text("8", 2) + body_text("3", 1, [1, 0] + [2] * 18),
        frame_22_tc_133_rgb=b"",
        frame_22_tc_133_skeletons=b"\r\n",
        frame_24_tc_201_skeletons=b"\n" + body_text("3", 3, newline="\r\n\r\n"),
        frame_100_tc_9_skeletons=body_text("8", 4),
    )
    clip, problems = read_only(tmp_path)
    assert clip.person_ids == ("8", "3") and clip.num_frames == 5
    assert clip.persons.tolist() == [0, 0, 1, 1]
    assert clip.frames.tolist() == [0, 4, 0, 3]
    assert clip.extra["slots"].tolist() == [0, 0, 1, 0]
    assert clip.extra["frame_numbers"].tolist() == [20, 100, 20, 24]
    assert clip.extra["timestamps"].tolist() == [100, 9, 100, 201]
    for row, first in enumerate((2, 4, 1, 3)):
        np.testing.assert_array_equal(clip.keypoints_3d[row], np.float32(joints(first)))
        np.testing.assert_array_equal(clip.source_values("keypoints_3d")[row], joints(first))
    assert clip.visibility[2].tolist() == [1, 0] + [2] * 18
    assert clip.visibility[[0, 1, 3]].min() == 2
    assert (clip.info["camera"], clip.info["source"]) == (2, FOLDER)
    assert [(p.source, p.position, p.severity) for p in problems] == [
        (f"{FOLDER}/fileList.txt", "line 2", "warning"), (FOLDER, "", "warning")
    ]  # fmt: skip
    assert problems[1].reason.startswith("1 of 5 frames have no skeleton file")


def test_a_joint_that_was_not_found_is_missing_in_text_too(tmp_path):
    content = body_text("1", states=[2] * 19 + [0]).replace(b"1,1.0625,1.125,2", b"0,0,0,1")
    make_folder(tmp_path, frame_0_tc_0_skeletons=content.replace(b"1.1875", b"nan"))
    clip, problems = read_only(tmp_path)
    assert np.isnan(clip.keypoints_3d[0]).all(-1).tolist() == [True, True] + [False] * 18
    assert clip.visibility[0].tolist() == [0, 0] + [2] * 17 + [0]
    assert [p.reason.split(",")[0] for p in problems] == [
        "1 joints are not finite", "1 joints are at exactly (0"
    ]  # fmt: skip


def test_both_forms_of_a_clip_are_the_same_poses(tmp_path):
    (tmp_path / "json").mkdir()
    one, _ = clip_of(
        tmp_path / "json", json_text(skeletons=[joints(1).tolist(), joints(2).tolist()])
    )
    make_folder(tmp_path / "text", frame_0_tc_5_skeletons=body_text("1", 1),
                frame_1_tc_6_skeletons=body_text("1", 2))  # fmt: skip
    other, _ = read_only(tmp_path / "text")
    np.testing.assert_array_equal(one.keypoints_3d, other.keypoints_3d)
    assert one.clip_id == other.clip_id and one.num_frames == other.num_frames
    same = ("label", "label_name", "subject", "camera", "replication")
    assert [one.info[name] for name in same] == [other.info[name] for name in same]


def with_line(line, number):
    lines = body_text("7").split(b"\n")
    lines[number - 1] = line
    return b"\n".join(lines)


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (with_line(b"7 8", 1), "line 1", "bad tracking id of a body: found '7 8'"),
        (with_line(b"-1", 1), "line 1", "bad tracking id"),
        (with_line(b"9" * 30, 1), "line 1", "bad tracking id"),
        (with_line(b"1,2,3", 5), "line 5", "bad joint line: found '1,2,3'"),
        (with_line(b"1,2,3,2,2", 5), "line 5", "bad joint line"),
        (with_line(b"1 2 3 2", 5), "line 5", "bad joint line"),
        (with_line(b"1,2,x,2", 5), "line 5", "bad joint line"),
        (with_line(b"1,2,1_0,2", 5), "line 5", "bad joint line"),
        (with_line(b"1,2,\xd9\xa3,2", 5), "line 5", "bad joint line"),
        (with_line(b"1,2,3,3", 5), "line 5", "bad tracking state: found 3, expected 0, 1 or 2"),
        (with_line(b"1,2,3,nan", 5), "line 5", "bad tracking state"),
        (with_line(b"1,2,3,1.5", 5), "line 5", "bad tracking state"),
        (with_line(b"", 5), "line 21", "the file ends within a body: found 19 joints"),
        (body_text("7") + b"1,2,3,2", "line 22", "bad tracking id"),
        (body_text("7") + b"8\n", "line 22", "the file ends within a body: found 0 joints"),
        (body_text("7") + body_text("7"), "line 22", "the same tracking id twice in one frame"),
        (bytes(nucla_text.LARGEST_FILE + 1), "", "the file is too large"),
    ],
)  # fmt: skip
def test_text_that_is_no_frame_is_refused_with_the_line(tmp_path, content, place, reason):
    make_folder(tmp_path, frame_0_tc_5_skeletons=content)
    with pytest.raises(InputError) as caught:
        read_only(tmp_path)
    assert reason in str(caught.value) and f"{FOLDER}/frame_0_tc_5_skeletons.txt" in str(
        caught.value
    )
    assert (caught.value.position or "") == place


def test_a_frame_number_at_two_times_is_refused(tmp_path):
    make_folder(tmp_path, frame_0_tc_5_skeletons=b"", frame_0_tc_6_skeletons=b"")
    with pytest.raises(InputError, match="two frames with one number: found tc 5 and 6"):
        read_only(tmp_path)


@settings(max_examples=150)
@given(st.one_of(
    st.binary(max_size=300),
    st.builds(lambda at, new: body_text("7")[:at] + new + body_text("7")[at:],
              st.integers(0, 500), st.sampled_from([b",", b"\n", b"7\n", b"e5", b"-", b"\x00"])),
))  # fmt: skip
def test_any_text_is_bodies_or_refused(content):
    try:
        bodies = nucla_text.parse_bodies(content, "a.txt")
    except InputError as error:
        assert error.position
    else:
        assert all(len(values) == 80 for _, values in bodies)


def test_releases_of_both_forms_are_valid(tmp_path):
    make_folder(tmp_path / "text", fileList=b"", frame_0_tc_5_skeletons=body_text("1", 1),
                frame_1_tc_6_skeletons=b"")  # fmt: skip
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / f"{NAME}.json").write_bytes(json_text())
    for form, frames in (("text", 2), ("json", 2)):
        convert(plan_conversion("nucla", tmp_path / form), tmp_path / f"{form}-release")
        release = posedata.open_release(tmp_path / f"{form}-release")
        assert list(validate(release)) == []
        assert release.clip(NAME).num_frames == frames


# the real files


@pytest.fixture(scope="module")
def real(shared):
    raw = locate(shared / "data/nucla")
    found = nucla.discover(raw, OPTIONS)
    assert found.problems == []
    description = nucla.describe(found.samples, OPTIONS)
    return {s.clip_id: nucla.read(raw, s, description) for s in found.samples}


@pytest.mark.real
def test_the_whole_data_set(real):
    clips = [clip for clip, _ in real.values()]
    assert len(clips) == 1484 and sum(clip.num_frames for clip in clips) == 58_534
    assert Counter(clip.info["camera"] for clip in clips) == {1: 516, 2: 504, 3: 464}
    assert {clip.info["subject"] for clip in clips} == set(range(1, 11))
    path = resources.files("posedata.schemas").joinpath("nucla", "classes.json")
    classes = json.loads(path.read_text())["classes"]
    labels = Counter((clip.info["label"], clip.info["label_name"]) for clip in clips)
    assert labels == {(k, row["name"]): row["clips"] for k, row in enumerate(classes)}
    rows = list(nucla.splits({"clip_id": clip.clip_id, **clip.info} for clip in clips))
    assert Counter((protocol, split) for protocol, split, _ in rows) == {
        ("xview3", "train"): 1020, ("xview3", "test"): 464,
        ("xview2", "train"): 980, ("xview2", "test"): 504,
        ("xview1", "train"): 968, ("xview1", "test"): 516,
    }  # fmt: skip


@pytest.mark.real
def test_the_cross_view_lists_of_the_field(real, shared):
    rows = nucla.splits({"clip_id": clip.clip_id, **clip.info} for clip, _ in real.values())
    mine = {(split, clip_id) for protocol, split, clip_id in rows if protocol == "xview3"}
    for file, split in (("train_v01_v02", "train"), ("val_v03", "test")):
        lists = shared / f"data/lists/nucla/{file}.ctrgcn_feeder_order.tsv"
        lines = [line.split("\t") for line in lists.read_text().splitlines()]
        assert {(split, name) for name, *_ in lines} == {row for row in mine if row[0] == split}
        for name, length, label in lines:
            info = real[name][0].info
            assert (info["num_frames"], info["label"] + 1) == (int(length), int(label))


@pytest.mark.real
def test_every_number_of_the_real_files_is_in_the_clips(real, shared):
    for clip_id, (clip, _) in real.items():
        text = (shared / f"data/nucla/all_sqe/{clip_id}.json").read_bytes()
        assert nucla_json._parse_exact(text) is not None  # the fast way does for all of them
        file = json.loads(text)
        assert clip.info["label"] + 1 == file["label"] and clip_id == file["file_name"]
        source = np.array(file["skeletons"])
        np.testing.assert_array_equal(clip.source_values("keypoints_3d"), source)
        missing = np.isnan(clip.keypoints_3d).all(-1)
        np.testing.assert_array_equal(clip.keypoints_3d[~missing], np.float32(source[~missing]))
        assert (source[missing] == 0).all()


@pytest.mark.real
def test_the_oddities_of_the_real_files(real):
    odd = {clip_id: problems for clip_id, (_, problems) in real.items() if problems}
    assert {clip_id: problem.position for clip_id, (problem,) in odd.items()} == {
        "a04_s01_e01_v01": "frame 34, joint 0", "a04_s04_e02_v01": "frame 45, joint 0"
    }  # fmt: skip
    missing = np.isnan(real["a04_s01_e01_v01"][0].keypoints_3d).all(-1)
    assert np.argwhere(missing).tolist() == [[34, joint] for joint in (0, 1, 2, 4, 12, 16)]
    assert [clip.clip_id for clip, _ in real.values() if clip.num_frames == 1] == [
        "a02_s09_e04_v02", "a02_s09_e04_v03"
    ]  # fmt: skip


@pytest.mark.real
def test_the_release_of_the_real_data_set(shared, tmp_path):
    summary = convert(plan_conversion("nucla", shared / "data/nucla"), tmp_path / "nucla")
    assert (summary.clips, summary.rejects, summary.warnings) == (1484, 0, 2)
    release = posedata.open_release(tmp_path / "nucla")
    assert list(validate(release)) == []
    source = json.loads((shared / "data/nucla/all_sqe/a04_s01_e01_v01.json").read_text())
    clip = release.clip("a04_s01_e01_v01")
    np.testing.assert_array_equal(clip.source_values("keypoints_3d"), source["skeletons"])
