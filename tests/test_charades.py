"""`posedata.converters.charades`: the tables, the 25-point protocol, poses beside them."""

import csv
import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import posedata
from posedata.convert import convert, plan_conversion
from posedata.converter import Segment
from posedata.converters import charades, charades_tables
from posedata.errors import InputError, PosedataError
from posedata.storage import locate
from posedata.validate import validate

OPTIONS = {"all_fields": False}
TRAIN, TEST = "Charades_v1_train.csv", "Charades_v1_test.csv"
HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
ROW = {
    "id": "46GP8", "subject": "HR43", "scene": "Hallway", "quality": "6", "relevance": "7",
    "verified": "Yes", "script": "A person cooks, then leaves.", "objects": "food;stove",
    "descriptions": "Someone cooks.", "actions": "c092 11.90 21.20;c147 0.00 12.60",
    "length": "24.83",
}  # fmt: skip


def table(*rows, newline="\r\n", header=HEADER):
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, HEADER.split(","), lineterminator=newline)
    for row in rows:
        writer.writerow({**ROW, **row})
    return (header + newline + sink.getvalue()).encode()


def npz(frames):
    sink = io.BytesIO()
    np.savez_compressed(sink, kpts=np.ones((frames, 17, 2), np.float32))
    return sink.getvalue()


def put(folder, files):
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return locate(folder)


def discover(folder, files):
    return charades.discover(put(folder, files), OPTIONS)


def parse(content):
    return charades_tables.parse_csv(content, TRAIN, "train")


# the tables


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_what_becomes_of_a_row(newline):
    rows, segments, problems = parse(table({}, newline=newline))
    assert rows == {"46GP8": {
        "clip_id": "46GP8", "subject_id": "HR43", "scene": "Hallway", "quality": 6, "relevance": 7,
        "verified": True, "script": "A person cooks, then leaves.", "objects": "food;stove",
        "descriptions": "Someone cooks.", "duration_s": 24.83, "split": "train",
    }}  # fmt: skip
    assert segments == [
        Segment("46GP8", 11.9, 21.2, 92, "Watching/Looking outside of a window", ""),
        Segment("46GP8", 0.0, 12.6, 147, "Someone is cooking something", ""),
    ]
    assert problems == []


def test_commas_quotes_and_line_ends_within_a_field_are_kept():
    text = 'He said "no",\r\nthen; left.'
    rows, _, problems = parse(table({"script": text}, {"id": "AAAAA"}))
    assert rows["46GP8"]["script"] == text and list(rows) == ["46GP8", "AAAAA"]
    assert problems == []


def test_empty_grades_and_actions():
    rows, segments, problems = parse(
        table({"quality": "", "relevance": "", "actions": "", "verified": "No"})
    )
    assert (rows["46GP8"]["quality"], rows["46GP8"]["relevance"]) == (None, None)
    assert rows["46GP8"]["verified"] is False and segments == problems == []


def test_odd_segments_are_kept_and_flagged():
    actions = "c000 1.00 24.83;c000 1.00 25.00;c000 5.00 2.00;c000 26.00 25.00"
    _, segments, problems = parse(table({"actions": actions}))
    assert [segment.flag for segment in segments] == [
        "", "end after the video", "end before start",
        "start after the video; end after the video; end before start",
    ]  # fmt: skip
    assert (segments[2].start_s, segments[2].end_s) == (5.0, 2.0) and problems == []


WRONG_ROWS = {
    "few fields": (b"46GP8,HR43\r\n", "wrong number of fields: found 2, expected 11"),
    "id": (table({"id": "46gp8"}, header=""), "bad id: found '46gp8'"),
    "quality": (table({"quality": "8"}, header=""), "bad quality: found '8'"),
    "relevance": (table({"relevance": "12"}, header=""), "bad relevance: found '12'"),
    "verified": (table({"verified": "yes"}, header=""), "bad verified: found 'yes'"),
    "length": (table({"length": "long"}, header=""), "bad length: found 'long'"),
    "length nan": (table({"length": "nan"}, header=""), "bad length: found 'nan'"),
    "length 0": (table({"length": "0"}, header=""), "bad length: found '0'"),
    "again": (table({"id": "AAAAA"}, header=""), "a second row of this clip: found AAAAA"),
}


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_a_bad_row_is_a_problem_with_its_line_and_the_rest_goes_on(name):
    row, reason = WRONG_ROWS[name]
    content = table({"id": "AAAAA", "script": "two\r\nlines"}) + row.lstrip(b"\r\n")
    content += table({"id": "BBBBB"}).partition(b"\n")[2]
    rows, _, problems = parse(content)
    assert list(rows) == ["AAAAA", "BBBBB"]
    (problem,) = problems
    assert problem.reason.startswith(reason) and problem.position == "line 4"
    assert (problem.source, problem.severity) == (TRAIN, "reject")


@pytest.mark.parametrize(
    "action",
    ["c157 1.00 2.00", "c92 1.00 2.00", "c092 1.00", "c092 1.00 2.00 3.00", "c092 nan 2.00", "",
     "c092,1.00,2.00", "c09\u0662 1.00 2.00", "c092 1e3 2.00"],
)  # fmt: skip
def test_a_bad_action_is_a_problem_and_the_others_are_kept(action):
    rows, segments, problems = parse(table({"actions": f"c000 1.00 2.00;{action};c001 1.00 2.00"}))
    assert list(rows) == ["46GP8"] and [segment.label for segment in segments] == [0, 1]
    (problem,) = problems
    assert problem.position == "line 2, 46GP8, action 1"
    assert problem.reason.startswith(f"bad action: found {action!r}")


@pytest.mark.parametrize(
    "content",
    [b"", b"id,subject\r\n", table(header=HEADER.replace("id,", "ID,")), b"\xff\xfe" + table({}),
     b'"id', b"\0"],
)  # fmt: skip
def test_what_is_no_table_of_charades(tmp_path, content):
    with pytest.raises(InputError):
        parse(content)
    found = discover(tmp_path, {TRAIN: content, TEST: table({})})
    assert [row["split"] for row in found.clips] == ["test"]
    assert [problem.source for problem in found.problems] == [TRAIN]


def test_an_open_quote_is_reported(tmp_path):
    rows, _, problems = parse(table({}) + b'AAAAA,"HR43')
    assert list(rows) == ["46GP8"]
    assert problems[0].reason.startswith("not CSV") and problems[0].position == "line 3"


def test_clips_are_sorted_and_split_by_their_table(tmp_path):
    found = discover(tmp_path, {
        f"sub/{TRAIN}": table({"id": "BBBBB"}, {"id": "AAAAA"}),
        TEST.lower(): table({"id": "ABABA"}), "Charades_v1_classify.csv": b"other",
    })  # fmt: skip
    assert [row["clip_id"] for row in found.clips] == ["AAAAA", "ABABA", "BBBBB"]
    assert list(charades.splits(found.clips)) == [
        ("official", "train", "AAAAA"), ("official", "test", "ABABA"),
        ("official", "train", "BBBBB"),
    ]  # fmt: skip
    assert [s.clip_id for s in found.segments] == ["AAAAA"] * 2 + ["ABABA"] * 2 + ["BBBBB"] * 2
    assert found.problems == []


def test_a_second_table_and_a_clip_of_both_are_problems(tmp_path):
    found = discover(tmp_path, {f"a/{TRAIN}": table({}), f"b/{TRAIN}": table({"id": "AAAAA"}),
                                f"c/{TEST}": table({})})  # fmt: skip
    assert [(row["clip_id"], row["split"]) for row in found.clips] == [("46GP8", "train")]
    assert len(found.segments) == 2
    assert [(p.source, p.position) for p in found.problems] == [
        (f"b/{TRAIN}", ""), (f"c/{TEST}", "46GP8"),
    ]  # fmt: skip


def test_charades_json_is_read_where_there_are_no_tables(tmp_path):
    document = {
        "46GP8": {"subset": "testing", "duration": 24.83, "actions": [[92, 11.9, 25], [147, 2, 1]]},
        "AAAAA": {"subset": "training", "duration": 3, "actions": []},
    }
    found = discover(tmp_path / "alone", {"charades.json": document})
    assert found.clips[0] == {"clip_id": "46GP8", "duration_s": 24.83, "split": "test"}
    assert [(*segment[1:4], segment.flag) for segment in found.segments] == [
        (11.9, 25.0, 92, "end after the video"), (2.0, 1.0, 147, "end before start"),
    ]  # fmt: skip
    found = discover(tmp_path / "both", {"charades.json": document, TRAIN: table({})})
    assert [row["split"] for row in found.clips] == ["train"]
    (warning,) = found.problems
    assert warning.severity == "warning" and warning.source == "charades.json"


@pytest.mark.parametrize(
    "entry",
    [3, {}, {"subset": "val", "duration": 1, "actions": []},
     {"subset": "training", "duration": "1", "actions": []},
     {"subset": "training", "duration": 0, "actions": []},
     {"subset": "training", "duration": 1, "actions": [[157, 0, 1]]},
     {"subset": "training", "duration": 1, "actions": [[1, None, 1]]},
     {"subset": "training", "duration": 1, "actions": [[1, 0, float("nan")]]},
     {"subset": "training", "duration": 1, "actions": [["c001", 0, 1]]}],
)  # fmt: skip
def test_a_bad_entry_of_charades_json_is_a_problem(entry):
    good = {"subset": "training", "duration": 1, "actions": []}
    text = json.dumps({"46GP8": entry, "AAAAA": good}).encode()
    rows, segments, (problem,) = charades_tables.parse_charades_json(text, "charades.json")
    assert list(rows) == ["AAAAA"] and segments == [] and problem.position == "'46GP8'"


@pytest.mark.real
def test_the_real_tables(shared):
    found = charades.discover(locate(shared / "data/charades"), OPTIONS)
    assert found.problems == [] and found.samples == []
    assert Counter(row["split"] for row in found.clips) == {"train": 7985, "test": 1863}
    split = {row["clip_id"]: row["split"] for row in found.clips}
    assert Counter(split[segment.clip_id] for segment in found.segments) == {
        "train": 49809, "test": 16691,
    }  # fmt: skip
    flags = Counter(
        (split[segment.clip_id], flag)
        for segment in found.segments
        for flag in segment.flag.split("; ")
        if flag
    )
    assert flags == {
        ("train", "end after the video"): 14596, ("test", "end after the video"): 5027,
        ("train", "start after the video"): 5, ("train", "end before start"): 7,
    }  # fmt: skip
    with_actions = {segment.clip_id for segment in found.segments}
    without = Counter(split[clip_id] for clip_id in split.keys() - with_actions)
    assert without == {"train": 174, "test": 49}
    assert len({row["scene"] for row in found.clips}) == 16


@pytest.mark.real
def test_the_real_json_says_the_same_as_the_tables(shared):
    tables = charades.discover(locate(shared / "data/charades"), OPTIONS)
    extract = charades.discover(locate(shared / "data/charades_json"), OPTIONS)
    assert extract.segments == tables.segments
    assert extract.clips == [
        {name: row[name] for name in ("clip_id", "duration_s", "split")} for row in tables.clips
    ]


# classes, verbs, objects


@pytest.mark.real
def test_classes_verbs_and_objects_are_those_of_the_data_set(shared):
    for names, file, letter in (
        (charades_tables.class_names(), "classes", "c"),
        (charades_tables.verb_names(), "verbclasses", "v"),
        (charades_tables.object_names(), "objectclasses", "o"),
    ):
        lines = (shared / f"data/charades/Charades_v1_{file}.txt").read_text().splitlines()
        assert [f"{letter}{number:03} {name}" for number, name in enumerate(names)] == lines
    mapping = (shared / "data/charades/Charades_v1_mapping.txt").read_text().splitlines()
    assert mapping == [
        f"c{label:03} o{charades_tables.object_of(label):03} v{charades_tables.verb_of(label):03}"
        for label in range(157)
    ]


def test_the_verb_and_the_object_of_a_class():
    label = charades_tables.class_names().index("Closing a window")
    assert charades_tables.verb_names()[charades_tables.verb_of(label)] == "close"
    assert charades_tables.object_names()[charades_tables.object_of(label)] == "window"


# localisation


def test_the_25_points_of_a_clip():
    points = charades_tables.localisation_points(50.0)
    assert points.tolist() == list(range(0, 50, 2))


def test_a_class_happens_at_both_ends_of_its_segments():
    # 50 s: points at 0, 2, 4, ... 48. [4, 8] has 4, 6, 8; [7, 9.9] has 8; [48.5, 50] has none.
    segments = [
        Segment("a", 4.0, 8.0, 3, "x"), Segment("a", 7.0, 9.9, 5, "y"),
        Segment("a", 48.5, 50.0, 7, "z"), Segment("a", 40.0, 60.0, 3, "x"),
        Segment("a", 20.0, 10.0, 9, "backwards"), Segment("a", 0.0, 0.0, 11, "at the start"),
    ]  # fmt: skip
    truth = charades_tables.localisation_truth(segments, 50.0)
    assert truth.shape == (25, 157) and truth.dtype == bool
    happening = {label: np.flatnonzero(truth[:, label]).tolist() for label in range(157)}
    assert {label: points for label, points in happening.items() if points} == {
        3: [2, 3, 4, 20, 21, 22, 23, 24], 5: [4], 11: [0],
    }  # fmt: skip


# poses


def test_poses_are_found_by_expert_and_clip(tmp_path):
    raw = put(tmp_path, {
        TRAIN: table({}), "poses/alphapose/46GP8.npz": npz(5), "poses/lcrnet/46GP8.json":
        {"K": 100, "njts": 13, "frames": [[], []]}, "poses/openpose/AAAAA.npz": npz(5),
        "poses/other/46GP8.npz": npz(5),
    })  # fmt: skip
    found = charades.discover(raw, OPTIONS)
    assert [(s.layer, s.clip_id) for s in found.samples] == [
        ("alphapose", "46GP8"), ("lcrnet", "46GP8"),
    ]  # fmt: skip
    assert {p.source: p.reason.split(":")[0] for p in found.problems} == {
        "poses/openpose/AAAAA.npz": "not poses of a clip of Charades",
        "poses/other/46GP8.npz": "which expert wrote this is not known",
    }
    description = charades.describe(found.samples, OPTIONS)
    clip, problems = charades.read(raw, found.samples[0], description)
    assert clip.num_frames == 5 and problems == []
    assert clip.info["subject_id"] == "HR43" and clip.info["split"] == "train"
    assert "width" not in clip.info and "fps" not in clip.info
    clip, (warning,) = charades.read(raw, found.samples[1], description)
    assert clip.num_frames == 5 and "found 2 frames, expected 5" in warning.reason


def test_poses_without_tables_are_taken_with_a_warning(tmp_path):
    found = discover(tmp_path, {"openpose/46GP8.npz": npz(5), "openpose/notes.npz": b""})
    assert [sample.clip_id for sample in found.samples] == ["46GP8"]
    assert [(p.source, p.severity) for p in found.problems] == [
        (".", "warning"), ("openpose/notes.npz", "reject"),
    ]  # fmt: skip


def test_a_release_with_poses_of_some_clips(tmp_path):
    raw = put(tmp_path / "raw", {
        TRAIN: table({"id": "AAAAA"}, {"quality": ""}), TEST: table({"id": "BBBBB", "actions": ""}),
        "poses/openpose/46GP8.npz": npz(5), "poses/alphapose/BBBBB.npz": npz(4),
    })  # fmt: skip
    summary = convert(plan_conversion("charades", raw), tmp_path / "out", num_workers=1)
    assert (summary.clips, summary.poses, summary.rejects) == (3, 9, 0)
    release = posedata.open_release(tmp_path / "out")
    assert list(validate(release)) == []
    rows = {row["clip_id"]: row for row in release.clips().to_pylist()}
    assert [rows[name]["num_frames"] for name in ("46GP8", "AAAAA", "BBBBB")] == [5, None, 4]
    assert rows["46GP8"]["quality"] is None and rows["AAAAA"]["quality"] == 6
    assert release.clip("46GP8", "openpose").info["scene"] == "Hallway"


@pytest.mark.real
def test_the_real_tables_become_a_release(shared, tmp_path):
    raw = shared / "data/charades"
    summary = convert(plan_conversion("charades", raw), tmp_path / "out", num_workers=1)
    assert (summary.clips, summary.rejects, summary.warnings) == (9848, 0, 0)
    assert list(validate(posedata.open_release(tmp_path / "out"))) == []


FIELDS = st.sampled_from([*ROW.values(), "AAAAA", "8", '"', ",", "\r\n", "c1 2 3;", "1e999", "\0"])


@given(st.binary(max_size=60) | st.lists(FIELDS, max_size=30).map(lambda f: ",".join(f).encode()))
def test_any_bytes_give_a_table_or_an_error_of_ours(content):
    for text in (content, table({}) + content):
        for parse_any in (parse, lambda text: charades_tables.parse_charades_json(text, "a")):
            try:
                rows, segments, problems = parse_any(text)
            except PosedataError:
                continue
            assert {segment.clip_id for segment in segments} <= rows.keys()
            for problem in problems:
                f"{problem.reason}{problem.position}".encode()
