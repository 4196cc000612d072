"""Arrays of ST-GCN, 2s-AGCN and UNIK, made here and real."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import stgcn
from posedata.errors import InputError, PosedataError
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": "auto", "channels": "auto", "val": "auto"}
NAMES = ["S001C001P001R001A001.skeleton", "S001C001P001R001A002.skeleton", "clip_3.json"]
random = np.random.default_rng(0)


def rows(number=3, channels=3, frames=5, joints=25, people=2) -> np.ndarray:
    return random.uniform(0.1, 0.9, (number, channels, frames, joints, people)).astype(np.float32)


def write(folder: Path, array, names=NAMES, labels=(0, 1, 2), part="train", joint="") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{part}_data{joint}.npy", array)
    if names is not None:
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((list(names), list(labels)), 2))
    return folder


def discover(folder, **options):
    return stgcn.discover(locate(folder), OPTIONS | options)


def read_all(folder, **options):
    found = discover(folder, **options)
    description = stgcn.describe(found.samples, OPTIONS | options)
    return [stgcn.read(locate(folder), sample, description) for sample in found.samples]


def splits(folder, **options):
    clips = [{"clip_id": clip.clip_id, **clip.info} for clip, _ in read_all(folder, **options)]
    return sorted("/".join(row) for row in stgcn.splits(clips))


def reasons(found):
    return [(problem.source, problem.position, problem.reason) for problem in found.problems]


# names, labels, splits


def test_rows_are_clips_by_the_names_beside_them(tmp_path):
    array = rows()
    write(tmp_path / "xsub", array[:2], NAMES[:2], (4, 5), joint="_joint")
    write(tmp_path / "xsub", array[2:], NAMES[2:], (6,), part="val", joint="_joint")
    found = discover(tmp_path)
    assert not found.problems
    clips = [clip for clip, problems in read_all(tmp_path) if not problems]
    assert [clip.clip_id for clip in clips] == [
        "S001C001P001R001A001", "S001C001P001R001A002", "clip_3"
    ]  # fmt: skip
    assert [clip.info["label"] for clip in clips] == [4, 5, 6]
    for clip, row in zip(clips, array, strict=True):
        assert clip.num_frames == 5 and clip.layer == "stgcn"
        assert np.array_equal(clip.dense("keypoints_3d"), row.transpose(3, 1, 2, 0))
    assert clips[0].info["coordinates"] == "as in the array"
    assert clips[0].info["source"] == "xsub/train_data_joint.npy"
    assert splits(tmp_path) == [
        "xsub/test/clip_3", "xsub/train/S001C001P001R001A001", "xsub/train/S001C001P001R001A002"
    ]  # fmt: skip
    assert splits(tmp_path, val="val")[0] == "xsub/train/S001C001P001R001A001"


def test_a_clip_of_several_protocols_is_one(tmp_path):
    array = rows(1)
    write(tmp_path / "xsub", array, ["a"], [0])
    write(tmp_path / "xview", np.pad(array, [(0, 0), (0, 0), (0, 2), (0, 0), (0, 0)]), ["a"], [0],
          part="val")  # fmt: skip
    ((clip, problems),) = read_all(tmp_path)
    assert problems == [] and clip.num_frames == 5
    assert splits(tmp_path) == ["xsub/train/a", "xview/test/a"]


def test_rows_that_repeat_a_name_are_kept_once(tmp_path):
    array = rows(3)
    array[1] = array[0]
    write(tmp_path, array, ["a", "a", "a"], [0, 0, 0])
    ((clip, problems),) = read_all(tmp_path)
    assert np.array_equal(clip.dense("keypoints_3d"), array[0].transpose(3, 1, 2, 0))
    where = "train_data.npy, row 0, is taken"
    assert [(p.position, p.reason, p.severity) for p in problems] == [
        ("row 1", f"the same clip again: {where}", "warning"),
        ("row 2", f"other numbers under the name 'a': {where}", "reject"),
    ]


@pytest.mark.parametrize(
    ("part", "folder", "expected"),
    [("train", "", "official/train"), ("val", "", "official/val"), ("test", "", "official/test"),
     ("val", "xview", "xview/test"), ("val", "kinetics", "kinetics/val"),
     ("val", "official", "official/val"), ("all", "", "official/all"),
     ("cs_validation", "", "cs/validation"), ("mine", "", None)],
)  # fmt: skip
def test_splits_are_named_after_file_and_folder(tmp_path, part, folder, expected):
    write(tmp_path / "raw" / folder, rows(1), ["a"], [0], part=part)
    assert splits(tmp_path / "raw") == ([f"{expected}/a"] if expected else [])


def test_a_folder_or_file_of_one_protocol(tmp_path):
    folder = write(tmp_path / "xsub", rows(1), ["a"], [0])
    assert splits(folder) == splits(folder / "train_data.npy") == ["xsub/train/a"]


def test_without_names_rows_are_numbered(tmp_path):
    write(tmp_path / "xsub", rows(2), None)
    found = discover(tmp_path)
    assert [s.clip_id for s in found.samples] == ["xsub-train-000000", "xsub-train-000001"]
    assert found.problems[0].severity == "warning"
    assert "no train_label.pkl beside it" in found.problems[0].reason


@pytest.mark.parametrize(
    ("suffix", "content", "names", "labels"),
    [("json", json.dumps([["a", "b"], [1, 2]]).encode(), ["a", "b"], [1, 2]),
     ("json", b"[3, 4]", None, [3, 4]), ("pkl", pickle.dumps([["a", "b"], np.array([1, 2])]),
                                         ["a", "b"], [1, 2]),
     ("pkl", pickle.dumps([5, 6]), None, [5, 6]),
     # Python 2: text is bytes there, and its type is not told apart
     ("pkl", b"((lp0\nS'a'\naS'b'\na(lp1\nI1\naI2\nat.", ["a", "b"], [1, 2])],
)  # fmt: skip
def test_files_of_names_and_labels(tmp_path, suffix, content, names, labels):
    write(tmp_path, rows(2), None)
    (tmp_path / f"train_label.{suffix}").write_bytes(content)
    found = discover(tmp_path)
    assert not found.problems
    assert [s.clip_id for s in found.samples] == (names or ["train-000000", "train-000001"])
    assert [s.info["label"] for s in found.samples] == labels


def test_labels_in_an_array(tmp_path):
    write(tmp_path, rows(2), None)
    np.save(tmp_path / "train_label.npy", np.array([7, 8]))
    assert [s.info["label"] for s in discover(tmp_path).samples] == [7, 8]


def test_a_label_that_is_none_is_a_warning(tmp_path):
    write(tmp_path, rows(2), ["a", "b"], [None, 3])
    found = discover(tmp_path)
    assert [s.info["label"] for s in found.samples] == [None, 3]
    assert reasons(found) == [("train_data.npy", "row 0", "no label: found None")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(pickle.dumps((["a"], [0])), "not as many names as rows: found 1, expected 2"),
     (pickle.dumps((["a", "b"], [0])), "not as many labels as rows"),
     (pickle.dumps({"a": 0, "b": 1}), "not a file of names and labels"),
     (pickle.dumps("ab"), "not a file of names and labels"), (b"", "truncated"),
     (pickle.dumps(print), "nothing was run")],
)  # fmt: skip
def test_labels_that_do_not_fit_reject_the_array(tmp_path, content, reason):
    write(tmp_path, rows(2), None)
    (tmp_path / "train_label.pkl").write_bytes(content)
    found = discover(tmp_path)
    assert not found.samples and reason in found.problems[0].reason


# channels, joint sets, missing joints


@pytest.mark.parametrize(
    ("channels", "joints", "skeleton", "columns"),
    [(3, 25, "nturgbd25", {"keypoints_3d"}), (3, 20, "kinect20", {"keypoints_3d"}),
     (3, 18, "openpose18", {"keypoints_2d", "scores"}),
     (3, 17, "coco17", {"keypoints_2d", "scores"}),
     (2, 18, "openpose18", {"keypoints_2d"}),
     (5, 17, "smarthome17", {"keypoints_2d", "keypoints_3d"})],
)  # fmt: skip
def test_channels(tmp_path, channels, joints, skeleton, columns):
    array = rows(1, channels, joints=joints)
    write(tmp_path, array, ["a"], [0])
    ((clip, _),) = read_all(tmp_path)
    assert clip.skeleton.name == skeleton and set(clip.arrays) - {"slots"} == columns
    pose = array[0].transpose(3, 1, 2, 0)
    if "keypoints_2d" in columns:
        assert np.array_equal(clip.dense("keypoints_2d"), pose[..., :2])
    if "keypoints_3d" in columns:
        assert np.array_equal(clip.dense("keypoints_3d"), pose[..., -3:])
    if "scores" in columns:
        assert np.array_equal(clip.dense("scores"), pose[..., 2])


def test_17_joints_without_scores_are_coco_s_or_unik_s(tmp_path):
    write(tmp_path, rows(1, 2, joints=17), ["a"], [0])
    with pytest.raises(InputError, match=r"--joints: coco17, .*, smarthome17"):
        read_all(tmp_path)
    ((clip, _),) = read_all(tmp_path, joints="unik")
    assert clip.skeleton.name == "smarthome17" and clip.scores is None


def test_three_channels_can_be_told_by_an_option(tmp_path):
    write(tmp_path, rows(1, joints=17), ["a"], [0])
    ((clip, _),) = read_all(tmp_path, channels="xyz", joints="h36m17")
    assert clip.skeleton.name == "h36m17" and clip.keypoints_2d is None


@pytest.mark.parametrize(
    ("joints", "third", "scale", "looks"),
    [(25, 0.5, 200, "look like x, y and score"), (17, -2, 1, "look like x, y, z"),
     (13, 0.5, 1, "cannot be told")],
)  # fmt: skip
def test_three_channels_that_look_like_something_else_are_asked_for(
    tmp_path, joints, third, scale, looks
):
    array = rows(2, joints=joints) * scale
    array[:, 2] = third
    write(tmp_path, array, ["a", "b"], [0, 1])
    found = discover(tmp_path)
    assert not found.samples and looks in found.problems[0].reason
    assert "--channels" in found.problems[0].reason
    assert discover(tmp_path, channels="xys").samples


def test_zeros_are_missing_and_the_array_s_length_is_kept(tmp_path):
    array = rows(1, frames=6)
    array[0, :, :, :, 1] = 0  # nobody
    array[0, :, 4:] = 0  # padding, or nobody
    array[0, :, 1] = 0  # nobody for a frame
    array[0, :, 2, 7] = 0
    write(tmp_path, array, ["a"], [0])
    ((clip, problems),) = read_all(tmp_path)
    assert problems == [] and clip.num_frames == 6 and clip.frames.tolist() == [0, 2, 3]
    assert np.argwhere(np.isnan(clip.keypoints_3d[..., 0])).tolist() == [[1, 7]]


def test_the_joint_that_an_array_is_centred_on_is_not_missing(tmp_path):
    array = rows(3)
    array -= array[:, :, :1, 1:2, :1]  # as CTR-GCN does: the first person's first frame
    array[1, :, 3, 9, 1] = 0
    array[1, :, 0, 6, 0] = 0  # another one in the first pose
    array[2, :, :, :, 1] = 0
    write(tmp_path, array, ["a", "b", "c"])
    clips = [clip for clip, _ in read_all(tmp_path)]
    assert {clip.info["coordinates"] for clip in clips} == {
        "as in the array, the first person's spine_mid at 0"
    }
    assert clips[0].keypoints_3d[0, 1].tolist() == [0, 0, 0]
    assert [int(np.isnan(clip.keypoints_3d).sum()) for clip in clips] == [0, 6, 0]
    assert len(clips[2].frames) == 5


def test_a_missing_joint_is_no_centre(tmp_path):
    array = rows(3)
    array[0, :, 0, 1, 0] = 0
    write(tmp_path, array)
    clips = [clip for clip, _ in read_all(tmp_path)]
    assert clips[0].info["coordinates"] == "as in the array"
    assert np.argwhere(np.isnan(clips[0].keypoints_3d[..., 0])).tolist() == [[0, 1]]


# what is not poses


@pytest.mark.parametrize("name", ["train_data_bone.npy", "val_data_joint_motion.npy",
                                  "train_data_joint_bone.npy"])  # fmt: skip
def test_bones_and_motion_are_no_poses(tmp_path, name):
    write(tmp_path, rows())
    np.save(tmp_path / name, rows())
    found = discover(tmp_path)
    assert len(found.samples) == 3
    assert [path for path, _, _ in reasons(found)] == [name]
    assert "bones or motion, not poses" in found.problems[0].reason


@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.zeros((3, 5)), "no array of poses"), (np.float32(3), "no array of poses"),
     (np.zeros((2, 4, 5, 25, 2)), "found 4 channels"), (np.zeros((2, 3, 0, 25, 2)), "no array of"),
     (np.full((2, 3, 5, 25, 2), "x"), "no array of numbers"),
     (np.zeros((2, 3, 5, 25, 2), complex), "no array of numbers"),
     (np.zeros((0, 0, 0, 0, 0)), "an array without rows")],
)  # fmt: skip
def test_what_is_no_array_of_poses_is_reported(tmp_path, array, reason):
    write(tmp_path, array, ["a", "b"], [0, 1])
    found = discover(tmp_path)
    assert not found.samples and reason in found.problems[0].reason


def test_arrays_of_objects_are_refused(tmp_path):
    np.save(tmp_path / "train_data.npy", np.array([print] * 2, object), allow_pickle=True)
    assert "an array of objects, which is a pickle" in discover(tmp_path).problems[0].reason


def test_an_array_of_another_kind_than_most_is_rejected(tmp_path):
    write(tmp_path / "xsub", rows(2), ["a", "b"], [0, 1])
    write(tmp_path / "other", rows(1, joints=20), ["c"], [0])
    found = discover(tmp_path)
    description = stgcn.describe(found.samples, OPTIONS)
    with pytest.raises(InputError, match="another number of joints than most: found 20"):
        stgcn.read(locate(tmp_path), found.samples[2], description)


def test_a_clip_is_read_without_the_array(tmp_path):
    write(tmp_path, rows(2), ["a", "b"], [0, 1])
    found = discover(tmp_path)
    description = stgcn.describe(found.samples, OPTIONS)
    write(tmp_path, rows(1), None)
    with pytest.raises(InputError, match="has become shorter"):
        stgcn.read(locate(tmp_path), found.samples[1], description)


def test_elsewhere_than_on_this_machine(tmp_path):
    import fsspec

    array = rows(2)
    write(tmp_path / "xsub", array, ["a", "b"], [0, 1])
    fs = fsspec.filesystem("memory")
    for file in (tmp_path / "xsub").iterdir():
        fs.pipe(f"/stgcn/xsub/{file.name}", file.read_bytes())
    clips = [clip for clip, _ in read_all("memory://stgcn")]
    assert np.array_equal(clips[1].dense("keypoints_3d"), array[1].transpose(3, 1, 2, 0))
    assert clips[1].info["splits"] == '["xsub/train"]'


@pytest.mark.real
def test_the_real_array(shared):
    folder = shared / "data/stgcn"
    ((clip, problems),) = read_all(folder)
    array = np.load(folder / "example_NTU-RGB-D_sketeton.npy")
    assert problems == [] and clip.clip_id == "example_NTU-RGB-D_sketeton"
    assert clip.num_frames == 300 and clip.frames.tolist() == list(range(72))
    assert np.array_equal(clip.keypoints_3d, array.transpose(3, 1, 2, 0)[0, :72])
    assert not array[:, 72:].any() and not array[..., 1].any()


# any bytes


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


small = npy(rows(2, frames=1, joints=17))
labels = pickle.dumps((["a", "b"], [0, 1]), 2)


def mutated(text: bytes):
    return st.one_of(
        st.just(text), st.binary(max_size=60), st.integers(0, len(text)).map(lambda n: text[:n]),
        st.tuples(st.integers(0, 150), st.binary(min_size=1, max_size=3)).map(
            lambda change: text[: change[0]] + change[1] + text[change[0] + len(change[1]) :]
        ),
    )  # fmt: skip


def filled(given) -> bytes:
    (*sizes, people), number, dtype = given
    whole = np.dtype(dtype).kind in "iub"
    array = np.full((*sizes, 17, people), np.nan_to_num(number) if whole else number)
    with np.errstate(invalid="ignore"):
        return npy(array.astype(dtype))


any_array = st.tuples(
    st.lists(st.integers(0, 3), min_size=3, max_size=5),
    st.sampled_from([0, 1, np.nan, np.inf, -5]),
    st.sampled_from(["f2", "f4", "f8", "i1", "u8", "b1", "c8"]),
).map(filled)


@settings(max_examples=150)
@given(st.one_of(mutated(small), any_array), mutated(labels))
def test_any_bytes_give_clips_or_an_error(tmp_path_factory, array, label):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "train_data.npy").write_bytes(array)
    (folder / "train_label.pkl").write_bytes(label)
    found = discover(folder)
    if not found.samples:
        return
    try:
        description = stgcn.describe(found.samples, OPTIONS)
    except PosedataError:
        return
    for sample in found.samples:
        try:
            clip, _ = stgcn.read(locate(folder), sample, description)
        except PosedataError:
            continue
        assert clip.num_frames >= 0
