"""CSV tables give back the clips they were made of, and bad tables give a reason."""

from __future__ import annotations

import csv
import io
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_clips import CLIP_COLUMNS, LABELS, awkward_clips, clips_in_3d, made_clip, write_release

from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.converter import Segment, load_converter
from posedata.converters import csv_scan
from posedata.converters.csv_scan import Run, scan_table
from posedata.errors import InputError, PosedataError, UsageError
from posedata.export import export, plan_export
from posedata.exporter import Item, load_exporter
from posedata.release import Release, open_release
from posedata.skeleton import load_skeleton
from posedata.source_numbers import find_unrounded
from posedata.storage import locate
from posedata.unrounded import RULES, unrounded_columns
from posedata.validate import validate

OWN = {
    "big": {"type": "int64", "per": "pose", "shape": [], "about": "A large number."},
    "sure": {"type": "bool", "per": "pose", "shape": ["V"], "about": "Yes or no."},
    "turns": {"type": "float64", "per": "pose", "shape": ["V", 4], "about": "w x y z."},
    "lean": {"type": "float32", "per": "pose", "shape": [2], "about": "Two numbers."},
    "remark": {"type": "string", "per": "clip", "shape": [], "about": "Text."},
    "weight": {"type": "float64", "per": "clip", "shape": [], "about": "A number."},
}


def with_own_columns(clip: Clip) -> Clip:
    rng = np.random.default_rng(len(clip.clip_id))
    rows, v = len(clip.frames), clip.skeleton.num_joints
    lean = rng.normal(size=(rows, 2)).astype(np.float32)
    lean[::2, 0] = np.nan
    extra = {
        "big": rng.integers(-(1 << 62), 1 << 62, rows),
        "sure": rng.random((rows, v)) < 0.5,
        "turns": rng.normal(size=(rows, v, 4)),
        "lean": lean,
    }
    return replace(clip, extra={**clip.extra, **extra}, info={**clip.info, "weight": 0.1})


def nasty_clips() -> list[Clip]:
    names = ["a,b", 'say "x"', "two\nlines", "=1+1", " spaces ", "“ü”", "semi;colon", "'"]
    clips = [
        replace(
            made_clip(name, [[0, 2], [1]], 4, ids=[f"id {name}", ""], label=2),
            info={
                "num_frames": 4,
                "label": 2,
                "label_name": LABELS[2],
                "remark": f"{name}, {name}",
            },
        )
        for name in names
    ]
    clips.append(made_clip("empty text", [[0]], 1, ids=["é"], remark=""))
    clips += awkward_clips()
    return [with_own_columns(clip) for clip in sorted(clips, key=lambda clip: clip.clip_id)]


def exported(release: Release | Path, out: Path, **options) -> Path:
    export(plan_export(release, "csv", **options), out, num_workers=1)
    return out


def read_back(folder: Path, place: Path) -> Release:
    convert(plan_conversion("csv", folder), place, num_workers=1)
    assert list(validate(open_release(place))) == []
    return open_release(place)


def rows_of(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_text("utf-8"), newline=""), strict=True))


@pytest.fixture
def tables(tmp_path) -> Path:
    """The folder of a small release."""
    write_release(tmp_path / "release", awkward_clips())
    return exported(tmp_path / "release", tmp_path / "tables")


def problems_of(folder: Path, **options: str) -> list[str]:
    """What is said of a folder: of each clip that cannot be read, and of the whole."""
    converter = load_converter("csv")
    chosen = {"all_fields": False, "joints": "", **options}
    found = converter.discover(locate(folder), chosen)
    problems = list(found.problems)
    if found.samples:
        description = converter.describe(found.samples, chosen)
        for sample in found.samples:
            try:
                problems += converter.read(locate(folder), sample, description)[1]
            except InputError as error:
                problems.append(error)
    return [f"{problem.position}: {problem.reason}" for problem in problems]


# There and back


@pytest.mark.parametrize("clips", [awkward_clips, nasty_clips])
def test_everything_comes_back(clips, tmp_path):
    columns = [*CLIP_COLUMNS, "remark", "weight"] if clips is nasty_clips else CLIP_COLUMNS
    before = write_release(tmp_path / "before", clips(), own_columns=OWN, clip_columns=columns)
    after = read_back(exported(before, tmp_path / "csv"), tmp_path / "after")
    for clip, expected in zip(after.iter_clips(), before.iter_clips(), strict=True):
        assert clip.equals(expected), clip.clip_id
        for name, values in expected.arrays.items():  # 0 and -0 are equal
            assert clip.arrays[name].tobytes() == values.tobytes(), (clip.clip_id, name)
    assert after.clips().equals(before.clips())
    assert after.clips().schema.metadata == before.clips().schema.metadata
    for key in ("name", "title", "license", "source", "citation"):
        assert getattr(after.manifest, key) == getattr(before.manifest, key)
    assert after.table().definitions == before.table().definitions


@pytest.mark.parametrize("rule", RULES)
def test_the_source_s_own_numbers_come_back(tmp_path, rule):
    clips = []
    for clip in clips_in_3d():
        source = clip.keypoints_3d.astype(np.float64)
        source[::2] += 1e-12
        source[1::3] = source[1::3].round(4)
        kept = source.astype(np.float32)
        unrounded = {"keypoints_3d": find_unrounded(kept, source, rule)}
        clips.append(replace(clip, keypoints_3d=kept, unrounded=unrounded))
    assert any(len(clip.unrounded["keypoints_3d"].at) for clip in clips)
    before = write_release(tmp_path / "before", clips,
                           own_columns=unrounded_columns("keypoints_3d", rule))  # fmt: skip
    after = read_back(exported(before, tmp_path / "csv"), tmp_path / "after")
    for clip, expected in zip(after.iter_clips(), before.iter_clips(), strict=True):
        assert clip.equals(expected), clip.clip_id
        np.testing.assert_array_equal(
            clip.source_values("keypoints_3d"), expected.source_values("keypoints_3d")
        )


@settings(max_examples=20)
@given(hnp.arrays(np.uint32, (100, 17, 2)))
def test_any_number_reads_back_the_same(tmp_path_factory, bits):
    place = tmp_path_factory.mktemp("number")
    values = bits.view(np.float32)
    values[~np.isfinite(values)] = 0
    clip = made_clip("A", [range(100)], 100, arrays=["keypoints_2d"], slots=False)
    write_release(place / "release", [replace(clip, keypoints_2d=values)])
    folder = exported(place / "release", place / "csv")
    converter = load_converter("csv")
    options = {"all_fields": False, "joints": ""}
    samples = converter.discover(locate(folder), options).samples
    read, _ = converter.read(locate(folder), samples[0], converter.describe(samples, options))
    assert read.keypoints_2d.tobytes() == values.tobytes()


def test_numbers_are_as_short_as_they_can_be(tmp_path):
    clip = made_clip("A", [[0]], 1, arrays=["keypoints_2d"], slots=False)
    values = clip.keypoints_2d.copy()
    values[0, 0], values[0, 1] = (0.1, 1024.92), np.nan
    write_release(tmp_path / "release", [replace(clip, keypoints_2d=values)])
    lines = (exported(tmp_path / "release", tmp_path / "csv") / "poses.csv").read_text().split("\n")
    assert lines[:3] == ["clip_id,person,frame,joint,keypoints_2d_x,keypoints_2d_y",
                         "A,0,0,nose,0.1,1024.92", "A,0,0,left_eye,,"]  # fmt: skip


def test_poses_are_the_frame_that_to_pandas_gives(tables, tmp_path):
    expected = open_release(tmp_path / "release").to_pandas()
    read = pd.read_csv(tables / "poses.csv", dtype=dict(expected.dtypes.astype(str)))
    pd.testing.assert_frame_equal(read, expected, check_categorical=False)


def test_clips_have_a_row_each_and_what_is_not_known_is_empty(tmp_path):
    clips = [made_clip("A", [[0]], 3, source=""), made_clip("B", [], 2)]
    del clips[1].info["subject"], clips[1].info["source"]
    write_release(tmp_path / "release", clips)
    folder = exported(tmp_path / "release", tmp_path / "csv")
    assert (folder / "clips.csv").read_text("utf-8").splitlines() == [
        "clip_id,num_frames,width,height,fps,label,label_name,subject,mirrored,source",
        '"A",3,640,480,29.97,0,"drink water",7,false,""',
        '"B",2,640,480,29.97,0,"drink water",,false,',
    ]


def test_splits_and_segments_are_of_the_clips_that_are_there(tmp_path):
    splits = [("xsub", "train", "A"), ("xsub", "test", "B"), ("xsub", "test", "C")]
    segments = [Segment("A", 0.1, 2.5, 1, "stand"), Segment("C", 0, 1, 0, "sit", "odd")]
    clips = [made_clip(name, [[0, 1]], 3) for name in "AB"]
    further = [{"clip_id": "C", "num_frames": 9, "label_name": "not in the layer"}]
    before = write_release(tmp_path / "release", clips, splits=splits, segments=segments,
                           further=further)  # fmt: skip
    out = tmp_path / "csv"
    summary = export(plan_export(before, "csv", drop_misfits=True), out, num_workers=1)
    assert (out / "splits.csv").read_text().splitlines() == [
        "clip_id,protocol,split", '"A","xsub","train"', '"B","xsub","test"'
    ]  # fmt: skip
    assert rows_of(out / "segments.csv")[1:] == [["A", "0.1", "2.5", "1", "stand", ""]]
    assert summary.misfits == {"C": "no poses in the layer made"}
    assert [(change["what"], change["amount"]) for change in summary.changes] == [
        ("rows of splits of clips that are left out", 1),
        ("segments of clips that are left out", 1),
    ]
    after = read_back(out, tmp_path / "after")
    assert after.rejects().num_rows == 0
    assert after.splits().to_pylist() == before.splits().to_pylist()[:2]
    assert after.segments().to_pylist() == before.segments().slice(0, 1).to_pylist()
    assert after.manifest.segment_names == before.manifest.segment_names


def test_other_joints_leave_out_what_has_no_meaning_for_them(tmp_path):
    clips = [with_own_columns(clip) for clip in awkward_clips()]
    columns = (*CLIP_COLUMNS, "weight")
    before = write_release(tmp_path / "before", clips, own_columns=OWN, clip_columns=columns)
    out = tmp_path / "csv"
    summary = export(plan_export(before, "csv", skeleton="openpose18"), out, num_workers=1)
    after = read_back(out, tmp_path / "after")
    assert after.skeleton().name == "openpose18"
    assert not {"sure", "turns"} & set(after.table().definitions)
    assert [c["what"] for c in summary.changes] == ["column sure left out",
                                                    "column turns left out"]  # fmt: skip
    for clip, expected in zip(after.iter_clips(), before.iter_clips(), strict=True):
        np.testing.assert_array_equal(clip.keypoints_2d[:, 0], expected.keypoints_2d[:, 0])
        np.testing.assert_array_equal(clip.extra["big"], expected.extra["big"])


def test_writing_holds_one_clip_in_memory(tmp_path):
    before = write_release(tmp_path / "before", awkward_clips())
    plan = plan_export(before, "csv")

    class Many:
        def __init__(self):
            self.facts = {f"{number:05}": {"num_frames": 1} for number in range(64)}

        def __iter__(self):
            for clip_id in self.facts:
                text = np.full(1 << 20, ord("\n"), np.uint8)
                yield Item(clip_id, {}, {"poses": text, "persons": text})

        def __contains__(self, clip_id):
            return True

    tracemalloc.start()
    list(load_exporter("csv").write(plan.target, Many(), locate(tmp_path / "csv")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "csv" / "poses.csv").stat().st_size > 64 << 20
    assert peak < 8 << 20


# Where the rows of a clip are


@pytest.mark.parametrize("chunk", [1, 7, 40, 1 << 20])
def test_runs_do_not_depend_on_the_pieces_that_are_read(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(csv_scan, "_CHUNK", chunk)
    rows = ["clip_id,x", "A,1", "A,2", '"A",3', '"b,\n""c""",4', '"b,\n""c""","5\n,"', "A,6"]
    text = "\n".join(rows).encode()
    (tmp_path / "t.csv").write_bytes(text)
    headers, runs = scan_table(locate(tmp_path / "t.csv"), "t.csv")
    assert headers == ("clip_id", "x")
    assert [run.key for run in runs] == ["A", 'b,\n"c"', "A"]
    assert runs[0] == Run("A", 10, text.index(b'"b'))
    assert text[runs[1].start : runs[1].end].count(b"4") == 1
    assert text[runs[2].start : runs[2].end] == b"A,6"


def test_a_table_of_another_program_reads_the_same(tables, tmp_path):
    """Spreadsheets write a byte order mark, other line ends, other quotes, another order."""
    for name in ("poses.csv", "clips.csv", "persons.csv"):
        table = pd.read_csv(tables / name, dtype=str, keep_default_na=False)
        order = [table.columns[0], *reversed(table.columns[1:])]
        table[order].to_csv(tables / name, index=False, lineterminator="\r\n", encoding="utf-8-sig",
                            quoting=csv.QUOTE_ALL if name == "poses.csv" else csv.QUOTE_MINIMAL,
                            )  # fmt: skip
    before = open_release(tmp_path / "release")
    (tables / "poses.csv").write_bytes((tables / "poses.csv").read_bytes().replace(b'""', b""))
    after = read_back(tables, tmp_path / "after")
    for clip, expected in zip(after.iter_clips(), before.iter_clips(), strict=True):
        assert clip.equals(expected), clip.clip_id


# Tables of one's own

OWN_TABLE = """\
clip_id,person,frame,joint,x,y,score
walk,7,3,nose,1.5,2,0.5
walk,7,3,left_eye,3,4,0.25
walk,2,3,nose,5,,0.75
walk,2,9,nose,7,8,1
"""


def test_a_table_of_one_s_own_needs_only_poses(tmp_path):
    joints = list(load_skeleton("coco17").joints)
    joints.append(joints.pop(2))  # right_eye
    rows = [f"walk,{person},{frame},{joint},{i},{-i},{i / 20}\n" for person, frame in
            ((7, 3), (2, 3), (7, 9)) for i, joint in enumerate(joints)]  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "poses.csv").write_text("clip_id,person,frame,joint,x,y,score\n"
                                                 + "".join(rows))  # fmt: skip
    release = read_back(tmp_path / "mine", tmp_path / "release")
    (clip,) = release.iter_clips()
    assert (release.name, clip.layer, clip.skeleton.name) == ("mine", "csv", "coco17")
    assert clip.info == {"num_frames": 10}
    assert clip.person_ids == ("2", "7")  # both appear in frame 3
    assert list(zip(clip.persons, clip.frames, strict=True)) == [(0, 3), (1, 3), (1, 9)]
    right_eye = clip.skeleton.index("right_eye")
    np.testing.assert_array_equal(clip.keypoints_2d[0, right_eye], [16, -16])
    np.testing.assert_array_equal(clip.scores[0, right_eye], np.float32(0.8))


def test_joints_without_a_row_are_missing_and_half_a_joint_is_none(tmp_path):
    (tmp_path / "poses.csv").write_text(OWN_TABLE)
    with pytest.raises(InputError, match="joints of no known skeleton"):
        problems_of(tmp_path)
    assert problems_of(tmp_path, joints="coco17") == [
        "clip walk, person 2, frame 3: keypoints_2d partly missing, or infinite, and now missing: "
        "1 times",
        "clip walk, person 2, frame 3: scores of joints that are missing, now 0: 1 times",
    ]
    convert(plan_conversion("csv", tmp_path, options={"joints": "coco17"}), tmp_path / "release",
            num_workers=1)  # fmt: skip
    (clip,) = open_release(tmp_path / "release").iter_clips()
    assert np.isfinite(clip.keypoints_2d).all(-1).sum() == 3
    assert clip.scores.sum() == np.float32(1.75)


# Bad tables


def replaced(name: str, old: str, new: str, count: int = 1):
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, count), "utf-8")

    return change


def appended(name: str, text: bytes):
    def change(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(text)

    return change


def removed(name: str):
    return lambda folder: (folder / name).unlink()


ROW = "A001,0,0,nose"
BAD = {
    "text for a number": (replaced("poses.csv", f"{ROW},", f"{ROW},abc"),
                          "clip A001: rows that cannot be read"),
    "a cell too many": (replaced("poses.csv", f"{ROW},", f"{ROW},,"),
                        "clip A001: rows that cannot be read"),
    "a joint of another skeleton": (replaced("poses.csv", ROW, "A001,0,0,neck"),
                                    "a joint that the skeleton does not have: found neck"),
    "a joint twice": (replaced("poses.csv", "A001,0,0,left_eye", ROW),
                      "row 2 of the clip: a joint twice in a pose: found person 0, frame 0"),
    "a negative frame": (replaced("poses.csv", "A001,0,1,", "A001,0,-1,", 17), "a negative frame"),
    "a fraction of a frame": (replaced("poses.csv", "A001,0,1,", "A001,0,1.5,"),
                              "clip A001: rows that cannot be read"),
    "a frame past the end": (replaced("clips.csv", '"A001",10', '"A001",9'),
                             "clip A001: frames outside the clip: found frame 9, expected fewer "
                             "than num_frames 9"),
    "no person": (replaced("poses.csv", ROW, "A001,,0,nose"), "column person: an empty cell"),
    "an empty visibility": (replaced("poses.csv", "A001,0,0,left_eye,,,0,0",
                                     "A001,0,0,left_eye,,,0,"),
                            "column visibility: an empty cell: expected uint8"),
    "a clip in two places": (appended("poses.csv", b"--33Lscn6sk,0,9,nose,1,2,1,1\n"),
                             "clip --33Lscn6sk: rows of a clip in several places"),
    "no clip": (appended("poses.csv", b",0,9,nose,1,2,1,1\n"), "rows without a clip_id"),
    "a clip that clips.csv does not have": (appended("poses.csv", b"other,0,9,nose,1,2,1,1\n"),
                                            "clip other: not in clips.csv"),
    "a pose twice": (replaced("persons.csv", '"A001",0,1,', '"A001",0,0,'),
                     "a pose twice: found person 0, frame 0"),
    "a pose without slot": (replaced("persons.csv", '"A001",0,1,', '"A001",0,4444,'),
                            "column slots: poses without a row, or joints: found 15 rows, expected "
                            "16"),
    "two ids of a person": (replaced("persons.csv", '"11"', '"12"'),
                            "person 0: two ids of one person: found '12', '11'"),
    "a column more": (replaced("clips.csv", "mirrored", "mirored"),
                      "line 1: columns that are not kept: mirored"),
    "segments without classes": (lambda folder: shutil.copy(folder / "clips.csv",
                                                            folder / "segments.csv"),
                                 "segments are not read"),
}  # fmt: skip
HOPELESS = {
    "no poses": (removed("poses.csv"), "no poses.csv here"),
    "a column less": (replaced("poses.csv", "scores", "score"), "columns are lacking"),
    "no persons.csv": (removed("persons.csv"), "columns are lacking"),
    "an empty file": (lambda folder: (folder / "poses.csv").write_bytes(b""), "the file is empty"),
    "binary": (lambda folder: (folder / "poses.csv").write_bytes(bytes(range(256))),
               "a quoted cell without an end"),
    "a binary first line": (lambda folder: (folder / "poses.csv").write_bytes(b"\xff\n"),
                            "no names of columns"),
    "a column twice": (replaced("poses.csv", "scores", "visibility"), "two columns of one name"),
    "another first column": (replaced("poses.csv", "clip_id,person", "person,clip_id"),
                             "clip_id is not the first column"),
    "a quote without end": (appended("poses.csv", b'"zzz,1,1\n'), "a quoted cell without an end"),
    "not UTF-8": (appended("poses.csv", b"\xff,1,1\n"), "not UTF-8 text"),
    "a clip twice": (appended("clips.csv", b"A001,1,1,1,1,1,a,1,true,a\n"), "clips twice"),
    "no manifest": (lambda folder: (folder / "dataset.json").write_text("{}"),
                    "not a manifest of posedata"),
    "a skeleton of one's own": (replaced("dataset.json", '"nose"', '"snout"', -1),
                                "a skeleton that posedata does not know"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_costs_its_clip_and_says_why(tables, name):
    change, reason = BAD[name]
    assert problems_of(tables) == []
    change(tables)
    problems = problems_of(tables)
    assert any(reason in problem for problem in problems), problems
    assert len(problems) == 1 or name == "a clip that clips.csv does not have", problems


@pytest.mark.parametrize("name", HOPELESS)
def test_a_hopeless_folder_is_refused(tables, name):
    change, reason = HOPELESS[name]
    change(tables)
    with pytest.raises(InputError, match=reason):
        problems_of(tables)


def test_a_skeleton_cannot_be_chosen_against_the_tables_own(tables):
    with pytest.raises(UsageError, match="--joints is for tables without"):
        problems_of(tables, joints="mpii16")


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("good")
    write_release(place / "release", awkward_clips()[:2])
    folder = exported(place / "release", place / "csv")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.data())
def test_any_bytes_give_clips_or_a_reason(good_bytes, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    name = data.draw(st.sampled_from(sorted(set(good_bytes) - {"export.json"})))
    for other, content in good_bytes.items():
        (folder / other).write_bytes(content)
    content = good_bytes[name]
    at = data.draw(st.integers(0, len(content)))
    kind = data.draw(st.sampled_from(["random", "cut", "insert", "delete"]))
    piece = data.draw(st.binary(max_size=40) | st.sampled_from([b",", b'"', b"\n", b"1e400", b"-"]))
    end = at + data.draw(st.integers(0, 60))
    changed = {
        "random": piece,
        "cut": content[:at],
        "insert": content[:at] + piece + content[at:],
        "delete": content[:at] + content[end:],
    }[kind]
    (folder / name).write_bytes(changed)
    if data.draw(st.booleans()) and name != "dataset.json":
        (folder / "dataset.json").unlink()
    try:
        problems_of(folder, joints=data.draw(st.sampled_from(["", "coco17"])))
    except PosedataError as error:
        assert str(error)
