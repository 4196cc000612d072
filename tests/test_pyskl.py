"""Pickles of PYSKL and mmaction2, made here and real."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import pyskl
from posedata.errors import InputError, PosedataError, UsageError
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": "auto", "channels": "auto", "val": "auto"}
random = np.random.default_rng(0)


def in_space(name="S001C001P001R001A001", people=2, frames=4, joints=25, dtype=np.float32, **more):
    keypoint = random.uniform(0.5, 3, (people, frames, joints, 3)).astype(dtype)
    return {"frame_dir": name, "label": 3, "keypoint": keypoint, "total_frames": frames, **more}


def in_picture(name="a", people=1, frames=4, joints=17, dtype=np.float16, **more):
    shape = (people, frames, joints)
    return {
        "frame_dir": name, "label": 0, "img_shape": (240, 320), "original_shape": (240, 320),
        "keypoint": random.uniform(1, 300, (*shape, 2)).astype(dtype),
        "keypoint_score": random.uniform(0.1, 1, shape).astype(dtype), "total_frames": frames,
        **more,
    }  # fmt: skip


def write(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))
    return path


def discover(folder, **options):
    return pyskl.discover(locate(folder), OPTIONS | options)


def read_all(folder, **options):
    found = discover(folder, **options)
    description = pyskl.describe(found.samples, OPTIONS | options)
    return [pyskl.read(locate(folder), sample, description) for sample in found.samples]


def read(folder, value, **options):
    write(folder / "a.pkl", value)
    ((clip, problems),) = read_all(folder, **options)
    return clip, [problem.reason for problem in problems]


def reasons(found):
    return [(problem.position, problem.reason, problem.severity) for problem in found.problems]


# finding annotations


def test_annotations_are_clips_with_the_splits_that_name_them(tmp_path):
    value = {
        "split": {
            "xsub_train": ["S1", "S2"], "xsub_val": ["S3"], "xview_train": ["S1"],
            "xview_test": ["S2"], "xview_val": ["S3"],
        },
        "annotations": [in_space("S3"), in_space("S1"), in_space("S2")],
    }  # fmt: skip
    write(tmp_path / "ntu60.pkl", value)
    found = discover(tmp_path)
    assert [s.clip_id for s in found.samples] == ["S1", "S2", "S3"] and not found.problems
    clips = [
        {"clip_id": clip.clip_id, **clip.info} for clip, problems in read_all(tmp_path)
        if not problems
    ]  # fmt: skip
    assert json.loads(clips[0]["splits"]) == ["xsub/train", "xview/train"]
    assert sorted(pyskl.splits(clips)) == [
        ("xsub", "test", "S3"), ("xsub", "train", "S1"), ("xsub", "train", "S2"),
        ("xview", "test", "S2"), ("xview", "train", "S1"), ("xview", "val", "S3"),
    ]  # fmt: skip
    description = pyskl.describe(found.samples, OPTIONS)
    assert description.name == "ntu60" and description.layer().skeleton == "nturgbd25"
    assert "width" not in description.columns


@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [("train", "auto", "official/train"), ("val", "auto", "official/val"),
     ("val", "test", "official/test"), ("official_val", "auto", "official/val"),
     ("official_val", "test", "official/test"), ("test", "auto", "official/test"),
     ("train1", "auto", "split1/train"), ("test3", "auto", "split3/test"),
     ("xset_val", "auto", "xset/test"), ("gym_val", "auto", "gym/val"),
     ("cs_validation", "auto", "cs/validation"), ("my list", "auto", "my list/all"),
     ("a/b_test", "auto", "a/b/test")],
)  # fmt: skip
def test_names_of_splits(tmp_path, name, option, expected):
    write(tmp_path / "a.pkl", {"split": {name: ["a"]}, "annotations": [in_space("a")]})
    (sample,) = discover(tmp_path, val=option).samples
    assert sample.info["splits"] == [expected]
    ((clip, _),) = read_all(tmp_path, val=option)
    (row,) = pyskl.splits([{"clip_id": "a", **clip.info}])
    assert "/".join(row[:2]) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [("ntu60_xsub_train.pkl", ["xsub/train"]), ("ntu60_xsub_val.pkl", ["xsub/test"]),
     ("gym_train.pkl", ["official/train"]), ("val.pkl", ["official/val"]), ("all_of_it.pkl", [])],
)  # fmt: skip
def test_a_bare_list_is_of_the_split_that_its_file_is_named_after(tmp_path, file, expected):
    write(tmp_path / file, [in_space("a")])
    (sample,) = discover(tmp_path).samples
    assert sample.info["splits"] == expected
    assert pyskl.survey([sample]) == dict.fromkeys(expected or ["in none"], 1)


def test_names_without_an_annotation_are_a_warning(tmp_path):
    value = {"split": {"xsub_train": ["x", "a", "b", 3]}, "annotations": [in_space("a")]}
    write(tmp_path / "a.pkl", value)
    assert reasons(discover(tmp_path)) == [
        ("split 'xsub_train'", "no annotation of 2 of the 3 names in this split, the first is 'b'",
         "warning")
    ]  # fmt: skip


def test_fields_without_a_place_are_a_warning(tmp_path):
    value = [in_space("a", box=[1], video="x"), in_space("b", box=[2])]
    write(tmp_path / "a.pkl", value)
    assert reasons(discover(tmp_path)) == [
        ("", "fields that are left out: 'box' (in 2), 'video' (in 1)", "warning")
    ]


def test_filename_is_a_name_too(tmp_path):
    annotation = in_space()
    annotation["filename"] = annotation.pop("frame_dir")
    clip, problems = read(tmp_path, [annotation])
    assert clip.clip_id == "S001C001P001R001A001" and problems == []


def test_an_annotation_that_occurs_again_is_one_clip_if_it_is_the_same(tmp_path):
    annotation = in_space("a")
    other = in_space("a")
    write(tmp_path / "xsub_train.pkl", [annotation, annotation])
    write(tmp_path / "xview_val.pkl", [annotation, other | {"label": 4}])
    found = discover(tmp_path)
    assert len(found.samples) == 1
    assert found.samples[0].info["splits"] == ["xsub/train", "xview/test"]
    assert reasons(found) == [
        ("annotations row 1", "clip 'a' has the label 4 here and 3 elsewhere, which is taken",
         "warning")
    ]  # fmt: skip
    ((_, problems),) = read_all(tmp_path)
    where = "xsub_train.pkl, annotations row 0, is taken"
    assert [(p.source, p.position, p.reason, p.severity) for p in problems] == [
        ("xsub_train.pkl", "annotations row 1", f"the same clip again: {where}", "warning"),
        ("xview_val.pkl", "annotations row 1", f"other numbers under the name 'a': {where}",
         "reject"),
    ]  # fmt: skip


def test_a_clip_in_two_splits_of_a_protocol_is_in_the_first(tmp_path):
    value = {"split": {"xsub_train": ["a"], "xsub_val": ["a"]}, "annotations": [in_space("a")]}
    write(tmp_path / "a.pkl", value)
    found = discover(tmp_path)
    assert found.samples[0].info["splits"] == ["xsub/train"]
    assert reasons(found)[0][1] == (
        "clip 'a' is in the splits train and test of xsub: the first is taken"
    )


# numbers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_coordinates_are_the_file_s_in_float32(tmp_path, dtype):
    annotation = in_space(dtype=dtype)
    clip, problems = read(tmp_path, [annotation])
    assert problems == [] and clip.num_frames == 4 and clip.layer == "pyskl"
    assert clip.persons.tolist() == [0] * 4 + [1] * 4 and clip.frames.tolist() == [0, 1, 2, 3] * 2
    dense = clip.dense("keypoints_3d")
    assert dense.dtype == np.float32
    assert np.array_equal(dense, annotation["keypoint"].astype(np.float32))
    assert clip.info["label"] == 3 and clip.scores is None and "width" not in clip.info


def test_2d_has_scores_and_a_picture(tmp_path):
    annotation = in_picture()
    clip, problems = read(tmp_path, [annotation])
    assert problems == [] and clip.skeleton.name == "coco17"
    assert (clip.info["width"], clip.info["height"]) == (320, 240)
    assert np.array_equal(clip.dense("keypoints_2d"), annotation["keypoint"])
    assert np.array_equal(clip.dense("scores"), annotation["keypoint_score"])


def test_missing_joints_in_2d_have_score_0_and_no_place(tmp_path):
    annotation = in_picture(people=2)
    keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
    keypoint[0, 0, 3], score[0, 0, 3] = 0, 0  # missing
    keypoint[0, 0, 4] = 0  # at the origin, seen
    score[0, 0, 5] = 0  # a guess, whose score has become 0 in float16
    keypoint[1, 1:], score[1, 1:] = 0, 0  # away
    clip, problems = read(tmp_path, [annotation])
    assert problems == [] and len(clip.frames) == 5
    assert np.argwhere(np.isnan(clip.keypoints_2d[:, :, 0])).tolist() == [[0, 3]]
    assert clip.keypoints_2d[0, 4].tolist() == [0, 0] and clip.scores[0, 4] == score[0, 0, 4]
    assert clip.keypoints_2d[0, 5].tolist() == keypoint[0, 0, 5].tolist()
    assert clip.scores[0, [3, 5]].tolist() == [0, 0]


def test_without_scores_the_origin_is_nowhere(tmp_path):
    annotation = in_picture()
    del annotation["keypoint_score"]
    annotation["keypoint"][0, 2, 7] = 0
    clip, _ = read(tmp_path, [annotation], joints="coco17")
    assert np.argwhere(np.isnan(clip.keypoints_2d[:, :, 0])).tolist() == [[2, 7]]


def test_missing_in_3d_is_0_0_0(tmp_path):
    annotation = in_space(people=3)
    keypoint = annotation["keypoint"]
    keypoint[1, :2] = 0  # comes later than the third, and is its row's
    keypoint[0, 0] = 0
    keypoint[2, 3, 1] = 0
    keypoint[2, 3, 2] = (0, 0, 1)
    clip, problems = read(tmp_path, [annotation])
    assert problems == []
    assert clip.extra["slots"].tolist() == [2] * 4 + [0] * 3 + [1] * 2
    assert clip.persons.tolist() == [0] * 4 + [1] * 3 + [2] * 2
    assert clip.frames.tolist() == [0, 1, 2, 3, 1, 2, 3, 2, 3]
    assert np.isnan(clip.keypoints_3d[3, 1]).all() and np.isnan(clip.keypoints_3d).sum() == 3
    assert clip.keypoints_3d[3, 2].tolist() == [0, 0, 1]


def test_numbers_that_are_none_become_missing_with_a_warning(tmp_path):
    annotation = in_picture(dtype=np.float64)
    keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
    keypoint[0, 0, 0] = np.nan
    keypoint[0, 0, 1, 0] = np.nan
    keypoint[0, 0, 2, 1] = 1e300
    score[0, 0, 3] = np.nan
    score[0, 1, 0], score[0, 2, 0] = 1.25, -0.5
    clip, problems = read(tmp_path, [annotation])
    assert np.flatnonzero(np.isnan(clip.keypoints_2d).all((0, 2))).tolist() == []
    assert np.flatnonzero(np.isnan(clip.keypoints_2d[0]).all(-1)).tolist() == [0, 1, 2, 3]
    assert clip.scores[0, :4].tolist() == [0] * 4
    assert clip.scores[1, 0] == 1 and clip.scores[2, 0] == 0
    assert problems == [
        "keypoints_2d: joint with coordinates that are not finite, now missing: 2 times",
        "joint with a score that is not a number, now missing: 1 times",
        "score above 1, now 1: 1 times", "score below 0, now 0: 1 times",
    ]  # fmt: skip


def test_a_clip_without_anybody(tmp_path):
    annotation = in_space(people=1)
    annotation["keypoint"][:] = 0
    clip, problems = read(tmp_path, [annotation])
    assert len(clip.frames) == 0 and clip.num_frames == 4
    assert problems == ["nobody in any frame: no number is anything but 0"]


@pytest.mark.parametrize(
    ("label", "kept"),
    [(7, 7), (np.int64(7), 7), (7.0, 7), (np.array(7), 7), (-1, -1), (None, None), ([1, 2], None),
     ("7", None), (True, None), (0.5, None), (float("nan"), None), (1 << 80, None)],
)  # fmt: skip
def test_labels(tmp_path, label, kept):
    clip, _ = read(tmp_path, [in_space(label=label)])
    assert clip.info["label"] == kept
    assert len(discover(tmp_path).problems) == (kept is None)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((240, 320), (240, 320)), ([240, 320], (240, 320)), (np.array([240, 320]), (240, 320)),
     ((240, 320, 3), None), ((-1, 3), None), ("240x320", None), ((240, "320"), None)],
)  # fmt: skip
def test_picture_sizes(tmp_path, shape, size):
    clip, problems = read(tmp_path, [in_picture(img_shape=shape, original_shape=shape)])
    height, width = size or (None, None)
    assert (clip.info.get("height"), clip.info.get("width")) == (height, width)
    assert len(problems) == (size is None)


def test_a_picture_that_was_resized_is_a_warning(tmp_path):
    _, problems = read(tmp_path, [in_picture(original_shape=(1080, 1920))])
    assert problems == ["original_shape (1080, 1920) is not img_shape (240, 320), whose pixels "
                        "the coordinates are"]  # fmt: skip


# joint sets and channels


@pytest.mark.parametrize(
    ("joints", "option", "skeleton"),
    [(25, "auto", "nturgbd25"), (20, "auto", "kinect20"), (25, "body25", "body25"),
     (17, "h36m17", "h36m17"), (13, "lcrnet13", "lcrnet13")],
)  # fmt: skip
def test_joint_sets_in_space(tmp_path, joints, option, skeleton):
    clip, _ = read(tmp_path, [in_space(joints=joints)], joints=option)
    assert clip.skeleton.name == skeleton


@pytest.mark.parametrize(("joints", "named"), [(13, "penn13"), (19, "panoptic19"), (7, "coco17")])
def test_a_joint_set_that_cannot_be_told_is_asked_for(tmp_path, joints, named):
    with pytest.raises(InputError, match=named):
        read(tmp_path, [in_picture(joints=joints)])


def test_a_joint_set_of_another_size_is_refused(tmp_path):
    with pytest.raises(UsageError, match="found 17, expected 25"):
        read(tmp_path, [in_picture()], joints="nturgbd25")


def test_a_score_as_the_third_channel_is_asked_for(tmp_path):
    annotation = in_picture(dtype=np.float32)
    scores = annotation.pop("keypoint_score")
    annotation["keypoint"] = np.concatenate([annotation["keypoint"], scores[..., None]], -1)
    write(tmp_path / "a.pkl", [annotation])
    assert "look like x, y and score" in reasons(discover(tmp_path))[0][1]
    clip, _ = read(tmp_path, [annotation], channels="xys")
    assert np.array_equal(clip.dense("scores"), scores)


def test_annotations_of_another_kind_than_most_are_rejected(tmp_path):
    write(tmp_path / "a.pkl", [in_picture("a"), in_picture("b"), in_space("c"), in_picture("d")
                               | {"keypoint_score": None}])  # fmt: skip
    found = discover(tmp_path)
    description = pyskl.describe(found.samples, OPTIONS)
    for sample, reason in zip(found.samples[2:], ("number of joints", "channels"), strict=True):
        with pytest.raises(InputError, match=f"other {reason} than most"):
            pyskl.read(locate(tmp_path), sample, description)


# what is not the format


def without(annotation, *fields):
    return {name: value for name, value in annotation.items() if name not in fields}


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [(3, "not an annotation: found int, expected a dict"),
     (without(in_space(), "keypoint"), "no poses: bad keypoint: found None"),
     (in_space(keypoint=[1]), "no poses: bad keypoint: found [1]"),
     (in_space(keypoint=np.zeros((2, 4, 25))), "no poses: bad keypoint"),
     (in_space(keypoint=np.zeros((2, 4, 25, 4))), "no array of poses: found 4 channels"),
     (in_space(keypoint=np.zeros((2, 4, 0, 3))), "no poses: bad keypoint"),
     (in_space(keypoint_score=np.ones((2, 4, 25))), "beside coordinates that are not 2D"),
     (in_picture(keypoint_score=3), "bad keypoint_score: found 3"),
     (without(in_space(), "frame_dir"), "a name that is no text in UTF-8"),
     (in_space(""), "a name that is no text"), (in_space(5), "a name that is no text"),
     (in_space("\ud800"), "a name that is no text"), (in_space("a\0"), "a name that is no text")],
)  # fmt: skip
def test_what_is_no_annotation_is_rejected_with_its_place(tmp_path, annotation, reason):
    write(tmp_path / "a.pkl", [in_space("good"), annotation])
    found = discover(tmp_path)
    assert [s.clip_id for s in found.samples] == ["good"]
    ((position, said, severity),) = reasons(found)
    assert reason in said and severity == "reject" and position == "annotations row 1"


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [(in_space(total_frames=5), "another number of frames than total_frames: found 4, expected 5"),
     (in_space(total_frames="x"), "another number of frames"),
     (in_picture(keypoint_score=np.ones((1, 5, 17))), "keypoint_score has another shape"),
     (in_space(keypoint=np.full((1, 4, 25, 3), "x")), "no array of numbers"),
     (in_space(keypoint=np.full((1, 4, 25, 3), None)), "no array of numbers"),
     (in_space(keypoint=np.ones((1, 4, 25, 3), complex)), "no array of numbers")],
)  # fmt: skip
def test_arrays_that_disagree_are_rejected(tmp_path, annotation, reason):
    with pytest.raises(InputError, match=reason) as error:
        read(tmp_path, [annotation], channels="xyz")
    assert error.value.path == "a.pkl" and error.value.position == "annotations row 0"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", "truncated"), (b"\x80\x04", "truncated"), ({}, "not a file of annotations"),
     (3, "not a file of annotations"), ({"annotations": {}}, "not a file of annotations"),
     ({"split": [], "annotations": []}, "not a file of annotations"),
     ({"split": {"a": 3}, "annotations": []}, "not a list of names"),
     ({"split": {3: []}, "annotations": []}, "not a list of names")],
)  # fmt: skip
def test_what_is_no_file_of_annotations_is_rejected(tmp_path, value, reason):
    write(tmp_path / "a.pkl", value)
    found = discover(tmp_path)
    assert not found.samples and reason in found.problems[0].reason


def test_the_index_of_kinetics_is_rejected_with_what_is_needed(tmp_path):
    entry = without(in_picture(), "keypoint", "keypoint_score")
    write(tmp_path / "a.pkl", [entry | {"frame_inds": np.arange(4), "raw_file": "x.pkl"}])
    found = discover(tmp_path)
    assert not found.samples and "kpfiles" in found.problems[0].reason


@pytest.mark.real
def test_the_real_index_of_kinetics_is_rejected(shared):
    found = discover(shared / "data/pyskl")
    assert not found.samples and len(found.problems) == 100
    assert "the index of Kinetics-400, without poses" in found.problems[0].reason


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_pickle_runs(tmp_path):
    annotation = in_space("a") | {"meta": Attack(tmp_path / "ran")}
    write(tmp_path / "raw/bad.pkl", {"split": {}, "annotations": [annotation]})
    write(tmp_path / "raw/good.pkl", [in_space("b")])
    found = discover(tmp_path / "raw")
    assert [s.clip_id for s in found.samples] == ["b"]
    assert "which is not data: nothing was run" in found.problems[0].reason
    command = [sys.executable, "-m", "posedata", "convert", "pyskl"]
    run = subprocess.run(
        [*command, tmp_path / "raw", "-o", tmp_path / "out", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1 and "nothing was run" in run.stderr, run.stderr
    alone = subprocess.run(
        [*command, tmp_path / "raw/bad.pkl", "-o", tmp_path / "other", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert alone.returncode == 2 and "nothing was run" in alone.stderr
    assert not (tmp_path / "ran").exists() and not (tmp_path / "other").exists()
    pickle.loads((tmp_path / "raw/bad.pkl").read_bytes())  # it is one
    assert (tmp_path / "ran").exists()


# any bytes

small = pickle.dumps({
    "split": {"xsub_train": ["a"]},
    "annotations": [in_picture("a", frames=2), in_space("b", people=1, frames=1, joints=17)],
})  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["a", "keypoint", np.zeros((1, 2, 17, 2)), np.ones((1, 2, 17)),
                       np.zeros((0, 0, 17, 2)), np.zeros((1, 0, 17, 2)), np.array("x")]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["frame_dir", "label", "keypoint", "keypoint_score",
                                       "total_frames", "img_shape", "split", "annotations"]),
                      inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(st.one_of(
    st.binary(max_size=100),
    st.integers(0, len(small)).map(lambda end: small[:end]),
    st.tuples(st.integers(0, len(small) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda change: small[: change[0]] + change[1] + small[change[0] + len(change[1]) :]
    ),
    st.lists(values, max_size=3).map(pickle.dumps),
    st.fixed_dictionaries({
        "frame_dir": values, "label": values, "keypoint": values, "keypoint_score": values,
        "img_shape": values,
    }).map(lambda annotation: pickle.dumps([annotation, in_picture("z", frames=2)])),
))  # fmt: skip
def test_any_bytes_give_clips_or_an_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("fuzz")
    write(folder / "a.pkl", text)
    found = discover(folder)
    if not found.samples:
        return
    try:
        description = pyskl.describe(found.samples, OPTIONS)
    except PosedataError:
        return
    for sample in found.samples:
        try:
            clip, _ = pyskl.read(locate(folder), sample, description)
        except PosedataError:
            continue
        assert clip.num_frames >= 0
