"""Arrays of CTR-GCN, made here in the layout of its scripts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import ctrgcn
from posedata.errors import PosedataError
from posedata.storage import locate

OPTIONS = {
    "all_fields": False, "joints": "auto", "channels": "auto", "dimensions": "3", "val": "auto",
}  # fmt: skip
random = np.random.default_rng(0)


def x(number=3, frames=4, width=150) -> np.ndarray:
    return random.uniform(0.1, 2, (number, frames, width)).astype(np.float32)


def one_hot(labels, classes=60) -> np.ndarray:
    return np.eye(classes)[list(labels)]


def write(path, **arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def discover(folder, **options):
    return ctrgcn.discover(locate(folder), OPTIONS | options)


def read_all(folder, **options):
    found = discover(folder, **options)
    description = ctrgcn.describe(found.samples, OPTIONS | options)
    return [ctrgcn.read(locate(folder), sample, description) for sample in found.samples]


def splits(folder):
    clips = [{"clip_id": clip.clip_id, **clip.info} for clip, _ in read_all(folder)]
    return sorted("/".join(row) for row in ctrgcn.splits(clips))


def reasons(found):
    return [(problem.position, problem.reason) for problem in found.problems]


@pytest.mark.parametrize("compressed", [False, True])
def test_the_published_layout(tmp_path, compressed, monkeypatch):
    monkeypatch.setattr("posedata.converters.npz_rows._HELD", 0)
    train, test = x(3), x(2)
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "NTU60_CS.npz", x_train=train, y_train=one_hot([5, 0, 59]), x_test=test,
         y_test=one_hot([1, 2]))  # fmt: skip
    found = discover(tmp_path)
    assert not found.problems
    read = read_all(tmp_path)
    assert [clip.clip_id for clip, _ in read] == [
        "test-000000", "test-000001", "train-000000", "train-000001", "train-000002"
    ]  # fmt: skip
    assert [clip.info["label"] for clip, _ in read] == [1, 2, 5, 0, 59]
    for (clip, problems), frames in zip(read, [*test, *train], strict=True):
        assert problems == [] and clip.layer == "ctrgcn" and clip.skeleton.name == "nturgbd25"
        people = frames.reshape(4, 2, 25, 3).transpose(1, 0, 2, 3)
        assert np.array_equal(clip.dense("keypoints_3d"), people)
    assert splits(tmp_path)[0] == "xsub/test/test-000000"
    assert ctrgcn.survey(found.samples) == {"xsub/test": 2, "xsub/train": 3}
    assert ctrgcn.describe(found.samples, OPTIONS).name == "NTU60"


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("NTU60_CS", "xsub"), ("NTU60_CV", "xview"), ("NTU120_CSub", "xsub"), ("NTU120_CSet", "xset"),
     ("NTU60_CS_aligned", "xsub"), ("ntu60_xview", "xview"), ("smarthome_cs", "cs"),
     ("mine", "official")],
)  # fmt: skip
def test_protocols_are_named_after_the_file(tmp_path, name, protocol):
    write(tmp_path / f"{name}.npz", x_train=x(1), y_train=np.array([3]))
    assert splits(tmp_path) == [f"{protocol}/train/train-000000"]


def test_names_are_used_where_they_are_there(tmp_path):
    rows = x(3)
    for name, order in (("ntu60_xsub", [0, 1, 2]), ("ntu60_xview", [2, 0, 1])):
        names = np.array(["a", "b", "c"])[order]
        write(tmp_path / f"{name}.npz", x_train=rows[order][:2], y_train=np.array(order)[:2],
              names_train=names[:2], x_test=rows[order][2:], y_test=np.array(order)[2:],
              names_test=names[2:].astype("S"))  # fmt: skip
    read = read_all(tmp_path)
    assert [(clip.clip_id, clip.info["label"], problems) for clip, problems in read] == [
        ("a", 0, []), ("b", 1, []), ("c", 2, [])
    ]  # fmt: skip
    assert np.array_equal(read[2][0].dense("keypoints_3d")[1], rows[2].reshape(4, 2, 25, 3)[:, 1])
    assert splits(tmp_path) == [
        "xsub/test/c", "xsub/train/a", "xsub/train/b",
        "xview/test/b", "xview/train/a", "xview/train/c",
    ]  # fmt: skip


def test_unnamed_rows_of_several_files_are_apart(tmp_path):
    for name in ("NTU60_CS", "sub/NTU60_CV"):
        write(tmp_path / f"{name}.npz", x_test=x(1), y_test=one_hot([3]))
    assert [sample.clip_id for sample in discover(tmp_path).samples] == [
        "NTU60_CS-test-000000", "sub-NTU60_CV-test-000000"
    ]  # fmt: skip


def test_a_second_person_that_repeats_the_first_is_kept_with_a_warning(tmp_path):
    rows = x(3)
    rows[0, :, 75:] = rows[0, :, :75]
    rows[1, :, 75:] = 0
    rows[2] = 0
    write(tmp_path / "NTU120_CSub.npz", x_train=rows, y_train=one_hot([0, 1, 2], 120))
    (double, warned), (single, none), (nobody, empty) = read_all(tmp_path)
    assert double.num_persons == 2 and single.num_persons == 1 and nobody.num_persons == 0
    assert [(p.position, p.severity) for p in warned] == [("x_train row 0", "warning")]
    assert "the second person repeats the first in every frame" in warned[0].reason
    assert none == [] and len(empty) == 1


def test_frames_of_padding_count_and_centred_joints_are_there(tmp_path):
    rows = x(2, frames=6).reshape(2, 6, 2, 25, 3)
    rows -= rows[:, :1, :1, 1:2]
    rows[:, 4:] = 0
    rows[:, :, 1] = 0
    write(tmp_path / "NTU60_CS.npz", x_train=rows.reshape(2, 6, 150), y_train=one_hot([0, 1]))
    for clip, problems in read_all(tmp_path):
        assert problems == [] and clip.num_frames == 6 and clip.frames.tolist() == [0, 1, 2, 3]
        assert clip.keypoints_3d[0, 1].tolist() == [0, 0, 0]
        assert not np.isnan(clip.keypoints_3d).any()
        assert clip.info["coordinates"] == "as in the array, the first person's spine_mid at 0"


def test_labels(tmp_path):
    y = one_hot([1, 2, 3])
    y[1, 5] = 1
    y[2] = 0
    write(tmp_path / "a.npz", x_train=x(3), y_train=y, x_test=x(1))
    found = discover(tmp_path)
    assert [sample.info["label"] for sample in found.samples] == [None, 1, None, None]
    assert reasons(found) == [
        ("y_train row 1", "no label, or several"), ("y_train row 2", "no label, or several"),
        ("array 'x_test'", "no array y_test: labels are not known"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "options", "skeleton", "columns"),
    [(120, {}, "kinect20", {"keypoints_3d"}),
     (102, {"channels": "xys"}, "coco17", {"keypoints_2d", "scores"}),
     (102, {"channels": "xyz", "joints": "h36m17"}, "h36m17", {"keypoints_3d"}),
     (68, {"dimensions": "2", "joints": "coco17"}, "coco17", {"keypoints_2d"})],
)  # fmt: skip
def test_other_widths(tmp_path, width, options, skeleton, columns):
    rows = x(1, width=width) / 2
    write(tmp_path / "a.npz", x_train=rows, y_train=np.array([0]))
    ((clip, _),) = read_all(tmp_path, **options)
    assert clip.skeleton.name == skeleton and set(clip.arrays) - {"slots"} == columns


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [({"a": x()}, "not a file of CTR-GCN: found arrays 'a'"),
     ({"x_train": x(width=149)}, "expected (N, T, 2 * V * 3)"),
     ({"x_train": x()[0]}, "no array of poses"),
     ({"x_train": np.full((1, 1, 150), "x")}, "no array of numbers"),
     ({"x_train": np.full((1, 1, 150), None)}, "an array of objects, which is a pickle"),
     ({"x_train": x(), "y_train": np.zeros(4)}, "not the labels of the rows"),
     ({"x_train": x(), "y_train": np.array(["a"] * 3)}, "not the labels of the rows"),
     ({"x_train": x(), "y_train": np.array([None] * 3)}, "an array of objects"),
     ({"x_train": x(), "y_train": np.zeros(3), "names_train": np.array(["a"])}, "not the names"),
     ({"x_train": x(), "y_train": np.zeros(3), "names_train": np.zeros(3)}, "not the names"),
     ({"x_train": x(1, width=102)}, "look like x, y, z"), ({"x_train": x(0)}, "without rows")],
)  # fmt: skip
def test_what_is_not_the_format_is_reported(tmp_path, arrays, reason):
    write(tmp_path / "a.npz", **arrays)
    found = discover(tmp_path)
    assert not found.samples and reason in found.problems[-1].reason


def test_names_that_are_none_are_rejected(tmp_path):
    write(tmp_path / "a.npz", x_train=x(2), y_train=np.zeros(2), names_train=np.array(["", "b"]))
    found = discover(tmp_path)
    assert [sample.clip_id for sample in found.samples] == ["b"]
    assert reasons(found) == [("x_train row 0", "a name that is no text in UTF-8")]


def test_a_damaged_array_is_rejected_although_its_rows_can_be_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("posedata.converters.npz_rows._HELD", 0)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x_train=x(400).round(1), y_train=np.zeros(400), x_test=x(2),
                        y_test=np.zeros(2))  # fmt: skip
    content = bytearray(path.read_bytes())
    middle = content.index(b"y_train.npy") // 2
    content[middle : middle + 200] = b"\xff" * 200
    path.write_bytes(content)
    found = discover(tmp_path)
    assert [sample.clip_id for sample in found.samples] == ["test-000000", "test-000001"]
    ((position, reason),) = reasons(found)
    assert position == "array 'x_train'" and "a damaged file of arrays" in reason


def test_elsewhere_than_on_this_machine():
    import fsspec

    stream = io.BytesIO()
    rows = x(2)
    np.savez(stream, x_train=rows, y_train=np.array([3, 4]))
    fsspec.filesystem("memory").pipe("/ctrgcn/a_xsub.npz", stream.getvalue())
    clips = [clip for clip, _ in read_all("memory://ctrgcn")]
    assert [clip.info["label"] for clip in clips] == [3, 4]
    assert np.array_equal(clips[1].dense("keypoints_3d")[0], rows[1].reshape(4, 2, 25, 3)[:, 0])


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


small = npz(x_train=x(2, 2), y_train=one_hot([0, 1]), names_train=np.array(["a", "b"]))
any_y = st.sampled_from([np.zeros(2), np.array([np.nan, 1]), np.array([[1, np.nan], [0, 1]]),
                         np.array(1), np.full((2, 2, 2), 1), np.array(["a", "b"])])  # fmt: skip
any_x = st.tuples(
    st.sampled_from([(2, 1, 150), (2, 0, 150), (2, 3, 102), (2, 1, 6)]),
    st.sampled_from([0, 1, np.nan, np.inf, 1e300, -3]), st.sampled_from(["f2", "f4", "f8", ">f4"]),
).map(lambda given: np.full(given[0], given[1]).astype(given[2]))  # fmt: skip


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=150)
@given(st.one_of(
    st.binary(max_size=60), st.integers(0, len(small)).map(lambda end: small[:end]),
    st.tuples(st.integers(0, len(small) - 1), st.binary(min_size=1, max_size=3)).map(
        lambda change: small[: change[0]] + change[1] + small[change[0] + len(change[1]) :]
    ),
    st.tuples(any_x, any_y).map(lambda given: npz(x_train=given[0], y_train=given[1])),
))  # fmt: skip
def test_any_bytes_give_clips_or_an_error(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a_xsub.npz").write_bytes(text)
    found = discover(folder)
    if not found.samples:
        return
    try:
        description = ctrgcn.describe(found.samples, OPTIONS)
    except PosedataError:
        return
    for sample in found.samples:
        try:
            clip, _ = ctrgcn.read(locate(folder), sample, description)
        except PosedataError:
            continue
        assert clip.num_frames >= 0
