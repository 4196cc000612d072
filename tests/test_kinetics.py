"""Kinetics-Skeleton files, made here and real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.converters import kinetics
from posedata.converters.kinetics_samples import class_names, subset_of
from posedata.errors import InputError, PosedataError
from posedata.storage import locate

OPTIONS = {"all_fields": False, "classes": "all"}
FIRST50 = OPTIONS | {"classes": "first50"}


def person(x=0.25, y=0.5, score=0.75, **joints) -> dict:
    """All joints at one place, but those given as ``j3=(x, y, score)``."""
    numbers = [joints.get(f"j{joint}", (x, y, score)) for joint in range(18)]
    return {"pose": [c for x, y, _ in numbers for c in (x, y)], "score": [s for *_, s in numbers]}


def content(*frames, label="abseiling", label_index=0, first=1) -> dict:
    data = [{"frame_index": first + row, "skeleton": people} for row, people in enumerate(frames)]
    return {"data": data, "label": label, "label_index": label_index}


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def discover(folder, options=OPTIONS):
    return kinetics.discover(locate(folder), options)


def read(folder, options=OPTIONS, clip_id=None):
    found = discover(folder, options)
    description = kinetics.describe(found.samples, options)
    (sample,) = [s for s in found.samples if clip_id in (None, s.clip_id)]
    clip, problems = kinetics.read(locate(folder), sample, description)
    return clip, [(problem.reason, problem.position) for problem in problems]


def read_value(folder, value, **known):
    write(folder / "a.json", value)
    return read(folder, **known)


# finding files


def test_files_are_found_with_the_subset_of_their_folder(tmp_path):
    for path in ("kinetics_val/-b_.json", "kinetics_train/--a.json", "other/_c.json", "d.json"):
        write(tmp_path / path, content([person()]))
    found = discover(tmp_path)
    assert [(s.clip_id, s.info["subset"]) for s in found.samples] == [
        ("--a", "train"), ("-b_", "val"), ("_c", None), ("d", None)
    ]  # fmt: skip
    assert list(found.problems) == []
    description = kinetics.describe(found.samples, OPTIONS)
    assert set(description.own_columns) == {"subset", "frame_base"}
    clips = [
        {"clip_id": s.clip_id, **kinetics.read(locate(tmp_path), s, description)[0].info}
        for s in found.samples
    ]
    assert list(kinetics.splits([{"clip_id": "x"}])) == []  # a release without that column
    assert list(kinetics.splits(clips)) == [
        ("official", "train", "--a"),
        ("official", "val", "-b_"),
    ]
    assert kinetics.survey(found.samples) == {"train": 1, "val": 1, "in neither": 2}


@pytest.mark.parametrize(
    ("path", "subset"),
    [("kinetics_train/a.json", "train"), ("x/kinetics-val/a.json", "val"),
     ("train/a.json", "train"), ("Kinetics_Train/sub/a.json", "train"),
     ("trains/a.json", None), ("kinetics_train.json", None)],
)  # fmt: skip
def test_subsets(path, subset):
    assert subset_of(path) == subset


def test_a_second_file_of_a_clip_is_reported(tmp_path):
    write(tmp_path / "kinetics_train/a.json", content())
    write(tmp_path / "kinetics_val/a.json", content())
    found = discover(tmp_path)
    (problem,) = found.problems
    assert len(found.samples) == 1 and problem.source == "kinetics_val/a.json"
    assert problem.reason == "a second file of this clip: kinetics_train/a.json is taken"


def test_label_tables_give_has_skeleton_and_are_no_clips(tmp_path):
    entry = {"has_skeleton": True, "label": "yoga", "label_index": 398}
    write(tmp_path / "kinetics_train/a.json", content([person()], label="yoga", label_index=398))
    write(tmp_path / "kinetics_train/b.json", content([person()], label="zumba", label_index=399))
    write(tmp_path / "kinetics_train_label.json", {
        "a": entry, "b": entry | {"has_skeleton": False}, "c": entry, "d": entry,
        "e": entry | {"has_skeleton": False},
    })  # fmt: skip
    found = discover(tmp_path)
    assert [s.clip_id for s in found.samples] == ["a", "b"]
    assert [(p.reason, p.severity) for p in found.problems] == [
        ("no file of 2 of the 5 clips that this table names, the first is 'c'", "warning")
    ]
    clip, problems = read(tmp_path, clip_id="a")
    assert clip.info["has_skeleton"] is True and problems == []
    clip, problems = read(tmp_path, clip_id="b")
    assert clip.info["has_skeleton"] is False and clip.info["label_name"] == "zumba"
    assert [reason for reason, _ in problems] == [
        "label 'zumba' in the file, 'yoga' in the label table: the file's is taken",
        "the label table says has_skeleton False, the file has 1 poses",
    ]


@pytest.mark.parametrize("table", [b"", b"[]", b'{"a": 3}', b'{"a": {"label": 3}}'])
def test_a_table_that_cannot_be_read_is_reported(tmp_path, table):
    write(tmp_path / "kinetics_val/a.json", content())
    write(tmp_path / "kinetics_val_label.json", table)
    found = discover(tmp_path)
    assert len(found.samples) == 1
    assert [p.source for p in found.problems] == ["kinetics_val_label.json"]


# classes


def test_the_classes_are_400_in_order_and_the_first_50_end_where_the_paper_says():
    names = class_names()
    assert len(names) == 400 and list(names) == sorted(names)
    assert class_names("first50")[-1] == "catching or throwing frisbee"


@pytest.mark.parametrize("indent", [None, 2])
def test_the_first_50_classes_are_chosen_by_the_end_of_each_file(tmp_path, indent):
    labels = {
        "a": "abseiling",
        "b": "yoga",
        "c": "catching or throwing frisbee",
        "d": "catching ball",
    }
    for name, label in labels.items():
        value = content([person()] * 3, label=label, label_index=class_names().index(label)
                        if label in class_names() else -1)  # fmt: skip
        write(tmp_path / f"{name}.json", json.dumps(value, indent=indent).encode())
    label_first = {"label": "abseiling", "label_index": 0, "data": []}
    write(tmp_path / "e.json", label_first)
    write(tmp_path / "f.json", {**label_first, "label": "zumba"})
    write(tmp_path / "broken.json", b'{"data": [')
    found = discover(tmp_path, FIRST50)
    assert [s.clip_id for s in found.samples] == ["a", "broken", "c", "e"]
    assert list(found.problems) == []  # what was not asked for is no reject
    description = kinetics.describe(found.samples, FIRST50)
    assert description.name == "kinetics50" and len(description.label_names) == 50
    clip, problems = read(tmp_path, FIRST50, "c")
    assert clip.info["label"] == 49 and problems == []


def test_the_first_50_classes_are_chosen_by_the_table_where_there_is_one(tmp_path):
    write(tmp_path / "kinetics_val/a.json", b"unread")
    write(tmp_path / "kinetics_val/b.json", b"unread")
    write(tmp_path / "kinetics_val_label.json",
          {"a": {"label": "yoga"}, "b": {"label": "archery"}})  # fmt: skip
    assert [s.clip_id for s in discover(tmp_path, FIRST50).samples] == ["b"]


def test_a_file_that_disagrees_with_the_table_on_being_asked_for_is_rejected(tmp_path):
    write(tmp_path / "kinetics_val/b.json", content(label="yoga", label_index=398))
    write(tmp_path / "kinetics_val_label.json", {"b": {"label": "archery"}})
    with pytest.raises(InputError, match="outside the classes that were asked for"):
        read(tmp_path, FIRST50)


@pytest.mark.parametrize(
    ("fields", "label", "name", "reason"),
    [({"label": "yoga", "label_index": 398}, 398, "yoga", None),
     ({"label": "yoga", "label_index": 399}, 398, "yoga",
      "label_index 399 is not that of 'yoga', 398: the name's is taken"),
     ({"label": "yoga", "label_index": None}, 398, "yoga",
      "label_index None is not that of 'yoga', 398: the name's is taken"),
     ({"label": "unknown", "label_index": -1}, None, "unknown",
      "label 'unknown' is none of the 400 classes of Kinetics: it has no index here"),
     ({"label": None, "label_index": 3}, None, None, "the file has no label"),
     ({"label": 3}, None, None, "the file has no label")],
)  # fmt: skip
def test_the_label_s_index_is_that_of_its_name(tmp_path, fields, label, name, reason):
    clip, problems = read_value(tmp_path, content([person()], **fields))
    assert (clip.info["label"], clip.info["label_name"]) == (label, name)
    assert problems == ([(reason, "")] if reason else [])


# frames and numbers


def test_frames_begin_at_0_and_those_without_people_count(tmp_path):
    clip, problems = read_value(
        tmp_path, content([], [person()], [], [person(), person(x=0.9)], [])
    )
    assert problems == []
    assert clip.num_frames == 5 and clip.frames.tolist() == [1, 3, 3]
    info = {name: clip.info[name] for name in ("width", "height", "fps", "source")}
    assert info == {"width": 340, "height": 256, "fps": 30.0, "source": "a.json"}
    assert clip.layer == "openpose" and clip.skeleton.name == "openpose18"


def test_positions_are_pixels_and_missing_joints_are_nan(tmp_path):
    joints = {"j0": (0, 0, 0), "j1": (1.011, 0.003, 0.001), "j2": (0, 0, 0.5), "j3": (0.1, 0, 0)}
    clip, _ = read_value(tmp_path, content([person(**joints)]))
    assert np.isnan(clip.keypoints_2d[0, 0]).all() and np.isnan(clip.keypoints_2d).sum() == 2
    assert clip.keypoints_2d[0, 1].tolist() == [np.float32(343.74), np.float32(0.768)]
    assert clip.keypoints_2d[0, 2].tolist() == [0, 0]
    assert clip.keypoints_2d[0, 4].tolist() == [85, 128]
    assert clip.scores[0, :5].tolist() == [0, np.float32(0.001), 0.5, 0, 0.75]


def test_the_source_s_3_decimals_follow_from_the_pixels():
    thousandths = np.arange(-500, 2001)
    for size in (kinetics.WIDTH, kinetics.HEIGHT):
        pixels = (thousandths / 1000 * size).astype(np.float32)
        assert (np.round(pixels.astype(np.float64) / size, 3) == thousandths / 1000).all()


def test_people_are_tracked_and_their_slots_kept(tmp_path):
    left, right = person(x=0.2), person(x=0.8)
    clip, _ = read_value(tmp_path, content([left, right], [right, left], [right, left]))
    assert clip.persons.tolist() == [0, 0, 0, 1, 1, 1]
    assert clip.keypoints_2d[:, 0, 0].tolist() == [68] * 3 + [272] * 3
    assert clip.extra["slots"].tolist() == [0, 1, 1, 1, 0, 0]


def test_absent_frames_and_other_orders_are_warnings(tmp_path):
    value = content([person()], [person()], [person()])
    value["data"][0]["frame_index"] = 7
    clip, problems = read_value(tmp_path, value)
    assert clip.frames.tolist() == [1, 2, 6] and clip.num_frames == 7
    assert problems == [
        ("frame_index does not ascend: frames are taken by it, not in the file's order", ""),
        ("4 frames are absent from the file", "frame_index 1"),
    ]


def test_an_index_that_begins_at_0_is_taken_as_such(tmp_path):
    clip, problems = read_value(tmp_path, content([person()], [person()], first=0))
    assert clip.frames.tolist() == [0, 1] and clip.num_frames == 2
    assert [reason for reason, _ in problems] == [
        "frame_index begins at 0, not at 1: taken as 0-based"
    ]


def test_a_file_without_frames(tmp_path):
    clip, problems = read_value(tmp_path, content())
    assert clip.num_frames == 0 and problems == [("the file has no frames", "")]


def twice() -> dict:
    value = content([], [])
    value["data"][1]["frame_index"] = 1
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", "not JSON"), (b"\x00\xff", "not JSON"), (b"[]", "not a Kinetics-Skeleton file"),
     (b'{"data": 3}', "not a Kinetics-Skeleton file"), (b'{"data": [', "The file seems truncated"),
     ({"data": [3]}, "data[0]: not a frame"), ({"data": [{"frame_index": 1}]}, "not a frame"),
     ({"data": [{"skeleton": []}]}, "bad frame_index"),
     ({"data": [{"skeleton": [], "frame_index": True}]}, "bad frame_index"),
     ({"data": [{"skeleton": [], "frame_index": 1.5}]}, "bad frame_index"),
     ({"data": [{"skeleton": [], "frame_index": -1}]}, "found -1, expected 1 or more"),
     ({"data": [{"skeleton": [], "frame_index": 10**9}]}, "too many frames"),
     ({"data": [{"skeleton": [], "frame_index": 10**15}]}, "bad frame_index"),
     ({"data": [{"skeleton": [], "frame_index": 10**30}]}, "bad frame_index"),
     (twice(), "a frame_index twice: found 1"),
     (content([3]), "data[0].skeleton[0]: not a person"),
     (content([], [person(), {"pose": [0.5] * 36}]), "data[1].skeleton[1]: bad score"),
     (content([{"pose": [0.5] * 35, "score": [0.5] * 18}]), "bad pose: expected an array of 36"),
     (content([{"pose": [0.5] * 35 + ["0"], "score": [0.5] * 18}]), "bad pose"),
     (content([{"pose": [0.5] * 50, "score": [0.5] * 25}]), "bad pose"),
     (content([{"pose": None, "score": [0.5] * 18}]), "bad pose")],
)  # fmt: skip
def test_what_is_not_the_format_is_an_error_with_its_place(tmp_path, value, reason):
    with pytest.raises(InputError) as error:
        read_value(tmp_path, value)
    assert reason in str(error.value) and error.value.path == "a.json"


def test_tokens_that_only_other_tools_write_are_read(tmp_path):
    value = content([person(j3=(float("nan"), 0.5, 0.5))])
    clip, problems = read_value(tmp_path, value)
    assert np.isnan(clip.keypoints_2d[0, 3]).all() and len(problems) == 1


small_json = json.dumps(content([person()], [], [person(), person()])).encode()


@given(st.one_of(
    st.binary(max_size=200),
    st.integers(0, len(small_json)).map(lambda end: small_json[:end]),
    st.tuples(st.integers(0, len(small_json) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda change: small_json[: change[0]] + change[1] + small_json[change[0] + 1 :]
    ),
))  # fmt: skip
def test_any_bytes_give_a_clip_or_an_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        clip, _ = read_value(folder, text)
    except PosedataError:
        return
    assert clip.num_frames >= 0


@pytest.mark.real
def test_the_real_file(shared):
    folder = shared / "data/kinetics_skeleton"
    clip, problems = read(folder)
    raw = json.loads((folder / "--33Lscn6sk.json").read_bytes())
    assert problems == [] and clip.clip_id == "--33Lscn6sk"
    assert clip.num_frames == len(raw["data"]) == 189
    assert (clip.info["label"], clip.info["label_name"]) == (129, "flipping pancake")
    poses = {
        (frame["frame_index"] - 1, slot): (person["pose"], person["score"])
        for frame in raw["data"]
        for slot, person in enumerate(frame["skeleton"])
    }
    assert len(poses) == len(clip.frames)
    for row, key in enumerate(zip(clip.frames.tolist(), clip.extra["slots"].tolist(), strict=True)):
        pose, scores = poses[key]
        again = np.round(clip.keypoints_2d[row].astype(float) / (340, 256), 3)
        assert np.nan_to_num(again).ravel().tolist() == pose
        assert clip.scores[row].tolist() == np.float32(scores).tolist()
    sizes = sorted(np.bincount(clip.persons).tolist())
    assert sizes[-2:] == [148, 160] and sum(sizes[:-2]) == 7  # two people, and a few false ones
    assert discover(folder, FIRST50).samples == []
