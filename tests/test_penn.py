"""`posedata.converters.penn`: which files are clips, and what becomes of what people drew."""

import io
import json
import struct
import tracemalloc
import zlib
from collections import Counter
from importlib import resources

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

import posedata
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.converter import Problem, Sample
from posedata.converters import penn, penn_mat
from posedata.errors import InputError, PosedataError
from posedata.storage import locate
from posedata.validate import validate

OPTIONS = {"all_fields": False, "sides": "person"}
NAMES = ("action", "pose", "x", "y", "visibility", "train", "bbox", "dimensions", "nframes")
LEFT, RIGHT = [1, 3, 5, 7, 9, 11], [2, 4, 6, 8, 10, 12]
NUM_FRAMES = 3


def annotation(**changes):
    """Variables of a clip of 3 frames, as scipy writes them."""
    x = 100 + np.arange(NUM_FRAMES * 13, dtype=np.float64).reshape(NUM_FRAMES, 13)
    variables = {
        "action": "bowl",
        "pose": "front",
        "x": x,
        "y": x / 2,
        "visibility": np.ones((NUM_FRAMES, 13), bool),
        "train": np.array([[1]], np.int32),
        "bbox": np.tile([10.0, 20.0, 110.0, 220.0], (NUM_FRAMES, 1)),
        "dimensions": np.array([[270, 480, NUM_FRAMES]], np.uint16),
        "nframes": np.array([[NUM_FRAMES]], np.uint8),
    }
    variables.update(changes)
    return {name: value for name, value in variables.items() if value is not None}


def mat(compressed=True, **changes):
    file = io.BytesIO()
    scipy.io.savemat(file, annotation(**changes), do_compression=compressed)
    return file.getvalue()


def clip_of(tmp_path, content, name="0001", **options):
    (tmp_path / f"{name}.mat").write_bytes(content)
    raw = locate(tmp_path)
    (sample,) = penn.discover(raw, OPTIONS).samples
    return penn.read(raw, sample, penn.describe([sample], {**OPTIONS, **options}))


# finding files


def test_clips_are_files_of_four_digits(tmp_path):
    for path in (
        "labels/0002.mat", "labels/0001.mat", "0002.mat", "labels/00003.mat", "labels/joints.mat",
        "frames/0001/000001.jpg", "labels/000\uff11.mat",
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"123")
    found = penn.discover(locate(tmp_path), OPTIONS)
    assert found.samples == [Sample("0001", "labels/0001.mat", 3), Sample("0002", "0002.mat", 3)]
    assert {problem.source: problem.reason.split(":")[0] for problem in found.problems} == {
        "labels/0002.mat": "a second file of this clip",
        "labels/00003.mat": "not a name of Penn Action",
        "labels/joints.mat": "not a name of Penn Action",
        "labels/000\uff11.mat": "not a name of Penn Action",
    }


def test_a_part_of_the_data_set_is_compared_with_all_of_it():
    samples = [Sample(name, "", 0) for name in ("0001", "2326", "2327", "0000")]
    survey = penn.survey(samples)
    assert survey == {"official_samples": 2326, "absent": 2324, "not_official": 2}


# reading


def test_coordinates_count_from_zero_and_sides_are_the_persons(tmp_path):
    clip, problems = clip_of(tmp_path, mat())
    x = annotation()["x"]
    assert problems == []
    assert (clip.layer, clip.skeleton.name, clip.num_frames) == ("human", "penn13", NUM_FRAMES)
    assert clip.frames.tolist() == [0, 1, 2] and clip.persons.tolist() == [0, 0, 0]
    assert clip.person_ids == ()
    np.testing.assert_array_equal(clip.keypoints_2d[:, 0], np.stack([x, x / 2], -1)[:, 0] - 1)
    np.testing.assert_array_equal(clip.keypoints_2d[:, LEFT, 0], x[:, RIGHT] - 1)
    np.testing.assert_array_equal(clip.keypoints_2d[:, RIGHT, 1], x[:, LEFT] / 2 - 1)
    np.testing.assert_array_equal(clip.boxes, np.tile([9, 19, 109, 219], (NUM_FRAMES, 1)))
    assert (clip.visibility == 2).all()
    assert clip.info == {
        "num_frames": NUM_FRAMES, "width": 480, "height": 270, "label": 3, "label_name": "bowl",
        "viewpoint": "front", "train": 1, "source": "0001.mat",
    }  # fmt: skip


def test_the_names_of_the_source_can_be_had(tmp_path):
    visibility = np.ones((NUM_FRAMES, 13), bool)
    visibility[:, 1] = False
    clip, _ = clip_of(tmp_path, mat(visibility=visibility), sides="source")
    np.testing.assert_array_equal(clip.keypoints_2d[..., 0], annotation()["x"] - 1)
    assert (clip.visibility[:, 1] == 1).all() and (clip.visibility[:, 2] == 2).all()
    other, _ = clip_of(tmp_path, mat(visibility=visibility))
    assert (other.visibility[:, 2] == 1).all() and (other.visibility[:, 1] == 2).all()


@pytest.mark.parametrize("corner", [0.0, 2 / 3, 0.75, 1.0, 1.5])
def test_joints_that_nobody_drew_are_missing_and_guesses_stay(tmp_path, corner):
    x, y = annotation()["x"], annotation()["y"]
    visibility = np.ones((NUM_FRAMES, 13), bool)
    x[0, 12] = y[0, 12] = corner  # not drawn
    x[1, 12], y[1, 12] = corner, 5  # a guess at the rim
    x[2, 12] = y[2, 12] = 2.25  # a guess near the corner
    visibility[:, 12] = False
    x[0, 0] = y[0, 0] = corner  # drawn, and in sight
    clip, problems = clip_of(tmp_path, mat(x=x, y=y, visibility=visibility), sides="source")
    assert problems == []
    assert clip.visibility[:, 12].tolist() == [0, 1, 1]
    assert np.isnan(clip.keypoints_2d[0, 12]).all()
    np.testing.assert_allclose(clip.keypoints_2d[1, 12], [corner - 1, 4], rtol=1e-6)
    assert clip.visibility[0, 0] == 2
    np.testing.assert_allclose(clip.keypoints_2d[0, 0], [corner - 1] * 2, rtol=1e-6)
    assert np.isnan(clip.keypoints_2d).sum() == 2


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "f8"])
def test_narrow_whole_numbers_do_not_wrap(tmp_path, dtype):
    whole = np.full((NUM_FRAMES, 13), 200, dtype)
    whole[0, 0] = 0
    clip, _ = clip_of(
        tmp_path, mat(x=whole, y=whole, bbox=np.full((NUM_FRAMES, 4), 0, dtype), train=np.int8(-1)),
        sides="source",
    )  # fmt: skip
    assert clip.keypoints_2d[0, 0].tolist() == [-1, -1]
    assert clip.keypoints_2d[0, 1].tolist() == [199, 199]
    assert (clip.boxes == -1).all()
    assert clip.info["train"] == -1


def test_joints_in_sight_but_outside_the_picture_stay(tmp_path):
    x = annotation()["x"]
    x[0, 0] = 637.25
    clip, problems = clip_of(tmp_path, mat(x=x))
    assert clip.keypoints_2d[0, 0, 0] == 636.25 and clip.visibility[0, 0] == 2
    assert problems == []


def test_a_box_row_too_few_is_a_frame_without_a_box(tmp_path):
    clip, problems = clip_of(tmp_path, mat(bbox=annotation()["bbox"][:-1]))
    assert np.isnan(clip.boxes).all(1).tolist() == [False, False, True]
    reason = "bbox has 2 rows for 3 frames: the last 1 have no box"
    assert problems == [Problem("0001.mat", "read", reason, "frame 2", "warning")]


def test_boxes_without_an_area_and_broken_numbers_are_reported(tmp_path):
    bbox, x = annotation()["bbox"], annotation()["x"]
    bbox[1] = 5, 5, 5, 9
    bbox[2, 0] = np.inf
    x[1, 4] = np.nan
    clip, problems = clip_of(tmp_path, mat(bbox=bbox, x=x), sides="source")
    assert clip.boxes[1].tolist() == [4, 4, 4, 8] and np.isnan(clip.boxes[2]).all()
    assert np.isnan(clip.keypoints_2d[1, 4]).all() and clip.visibility[1, 4] == 0
    assert [(p.position, p.reason.split(",")[0], p.severity) for p in problems] == [
        ("frame 1", "1 joints are not finite and became missing; the first is nan 58.5", "warning"),
        ("frame 2", "1 boxes are not finite and became missing; the first is inf 20 110 220",
         "warning"),
        ("frame 1", "1 boxes have no area", "warning"),
    ]  # fmt: skip


LONG = np.ones((NUM_FRAMES + 1, 13))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x": None}, "found no variable x"),
        ({"action": "jump"}, "unknown action: found 'jump'"),
        ({"pose": "above"}, "unknown pose: found 'above'"),
        ({"action": 3}, "bad variable action: found numbers, expected text"),
        ({"train": "yes"}, "bad variable train: found text, expected numbers"),
        ({"train": 0}, "bad train: found 0, expected 1 or -1"),
        ({"train": np.ones(2)}, "bad train: found 1 1, expected 1 whole number"),
        ({"nframes": 4}, "dimensions and nframes disagree: found 3 and 4 frames"),
        ({"nframes": 2.5}, "bad nframes: found 2.5"),
        ({"nframes": np.nan}, "bad nframes: found nan"),
        ({"dimensions": np.array([[270, 480]])}, "bad dimensions: found 270 480, expected 3 whole"),
        ({"dimensions": np.array([[0, 480, 3]])}, "bad dimensions: found 0 480"),
        ({"nframes": 4, "dimensions": np.array([[270, 480, 4]])},
         "x has not one row a frame and one column a joint: found (3, 13), expected (4, 13)"),
        ({"x": LONG}, "x has not one row a frame"),
        ({"y": LONG}, "y has not one row a frame"),
        ({"visibility": LONG}, "visibility has not one row a frame"),
        ({"x": np.ones((NUM_FRAMES, 14))}, "found (3, 14), expected (3, 13)"),
        ({"visibility": np.full((NUM_FRAMES, 13), 2)}, "bad visibility"),
        ({"bbox": np.ones((NUM_FRAMES + 1, 4))}, "bbox has not one row a frame: found (4, 4)"),
        ({"bbox": np.ones((NUM_FRAMES, 5))}, "bbox has not one row a frame: found (3, 5)"),
        ({"x": np.ones((NUM_FRAMES, 13)) * 1j}, "the variable x is complex"),
        ({"x": scipy.io.matlab.mat_struct()}, "the variable x is a struct"),
        ({"x": np.array([["a"], ["b"]], object)}, "the variable x is a cell array"),
        ({"action": np.array(["bowl", "bend"])}, "the variable action is not a line of text"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compressed", [True, False])
def test_files_that_are_no_clips_are_refused(tmp_path, changes, reason, compressed):
    if isinstance(changes.get("x"), scipy.io.matlab.mat_struct):
        changes = {"x": {"a": 1}}
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, mat(compressed, **changes))
    assert reason in str(caught.value) and str(caught.value).startswith("0001.mat")


# the .mat reader


def element(kind, content, size=None):
    length = len(content) if size is None else size
    return struct.pack("<II", kind, length) + content + bytes(-len(content) % 8)


def variable(name=b"x", values=b"\x01\x02", shape=(1, 2), kind=2, array_class=6, size=None):
    return element(14, element(6, struct.pack("<II", array_class, 0))
                   + element(5, struct.pack(f"<{len(shape)}i", *shape))
                   + element(1, name) + element(kind, values, size))  # fmt: skip


def deflated(content):
    content = zlib.compress(content)
    return struct.pack("<II", 15, len(content)) + content


HEADER = b"MATLAB 5.0 MAT-file, made by hand".ljust(124) + b"\x00\x01IM"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found an empty file"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "a MATLAB 7.3 file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "a MATLAB 7.3 file"),
        (b"PK\x03\x04" + bytes(200), "not a MATLAB 5 file"),
        (HEADER[:100], "not a MATLAB 5 file"),
        (HEADER + b"123", "it ends within a tag"),
        (HEADER + struct.pack("<II", 14, 2**32 - 1), "4294967295 bytes announced, 0 there"),
        (HEADER + variable()[:-8], "bytes announced"),
        (HEADER + element(9, bytes(8)), "an element of type 9 where a variable is expected"),
        (HEADER + element(14, bytes(56)), "a variable without array flags"),
        (HEADER + element(14, element(6, bytes(8)) + bytes(8)), "a variable without dimensions"),
        (HEADER + struct.pack("<II", 14 | 5 << 16, 0), "a small element of 5 bytes"),
        (HEADER + variable(shape=(1, 3)), "says (1, 3) of 1 bytes and has 2"),
        (HEADER + variable(shape=(-1, -2)), "says (-1, -2) of 1 bytes and has 2"),
        (HEADER + variable(shape=(2**31 - 1,) * 20), "of 1 bytes and has 2"),
        (HEADER + variable(kind=14), "has values of type 14"),
        (HEADER + variable(array_class=5), "is a sparse matrix"),
        (HEADER + variable(array_class=17), "is of class 17"),
        (HEADER + variable(array_class=4, kind=17, values=b"a"), "is not utf-16-le text"),
        (HEADER + variable(array_class=4, kind=9), "is not a line of text"),
        (HEADER + variable() + deflated(variable()), "the variable x twice"),
        (HEADER + deflated(variable())[:-20], "bytes announced"),
        (HEADER + element(15, b"not deflated"), "incorrect header check"),
        (HEADER + deflated(deflated(variable())), "an element of type 15"),
        (HEADER + deflated(variable(size=2**31)), "2147483648 bytes announced"),
    ],
)
def test_broken_files_are_refused(content, reason):
    with pytest.raises(InputError) as caught:
        penn_mat.read_variables(content, ["x"], "a.mat")
    assert reason in str(caught.value)


def test_a_bomb_is_refused_before_it_fills_the_memory():
    huge = zlib.compressobj()
    parts = [huge.compress(struct.pack("<II", 14, 2**31))]
    parts += [huge.compress(bytes(1 << 20)) for _ in range(256)]
    bomb = b"".join([*parts, huge.flush()])
    several = deflated(variable(b"z", bytes(48 << 20), (1, 48 << 20), 2)) * 2
    for content in (struct.pack("<II", 15, len(bomb)) + bomb, several):
        assert len(content) < 1 << 20
        tracemalloc.start()
        with pytest.raises(InputError, match="more than"):
            penn_mat.read_variables(HEADER + content, ["x"], "a.mat")
        assert tracemalloc.get_traced_memory()[1] < 2.5 * penn_mat.LARGEST_CONTENT
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_and_text_are_what_scipy_reads(order, compressed):
    truth = {
        "a": np.arange(6, dtype=order + "f8").reshape(2, 3), "b": np.array([[-5]], "i2"),
        "c": "h\u00e9llo", "d": np.zeros((0, 4)), "e": np.arange(24, dtype="u1").reshape(2, 3, 4),
        "f": np.array([[True, False]]), "g": np.array([[2**63 - 1]], "i8"), "h": "",
    }  # fmt: skip
    file = io.BytesIO()
    scipy.io.savemat(file, truth, do_compression=compressed)
    found = penn_mat.read_variables(file.getvalue(), [*truth, "none"], "a.mat")
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        if isinstance(value, str):
            assert found[name] == value
        else:
            np.testing.assert_array_equal(found[name], value)


def test_other_byte_order():
    big = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    body = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 2)
    body += struct.pack(">I4s", 1 << 16 | 1, b"x") + struct.pack(">I2H", 4 << 16 | 4, 258, 7)
    content = big + struct.pack(">II", 14, len(body)) + body
    assert penn_mat.read_variables(content, ["x"], "")["x"].tolist() == [[258, 7]]


GOOD = [mat(), mat(False), mat(False, x=np.full((NUM_FRAMES, 13), 7, np.uint8))]


def read_or_refuse(content, tmp_path):
    try:
        clip, problems = clip_of(tmp_path, content)
    except PosedataError as error:
        assert str(error)
        return False
    assert isinstance(clip, Clip) and all(p.severity == "warning" for p in problems)
    missing = np.isnan(clip.keypoints_2d).all(-1)
    assert (missing == (clip.visibility == 0)).all()
    assert not np.isinf(clip.keypoints_2d).any() and not np.isinf(clip.boxes).any()
    return True


@settings(max_examples=150)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=4),
    st.integers(0, 4000),
)
def test_any_changed_file_is_a_clip_or_refused(tmp_path_factory, content, edits, cut):
    changed = bytearray(content)
    for position, new in edits:
        position %= len(changed)
        changed[position : position + len(new)] = new
    read_or_refuse(bytes(changed[: len(changed) - cut % 300]), fuzz_folder(tmp_path_factory))


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_clip_or_refused(tmp_path_factory, content):
    for start in (b"", HEADER, HEADER + struct.pack("<II", 14, len(content))):
        read_or_refuse(start + content, fuzz_folder(tmp_path_factory))


def fuzz_folder(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "penn_fuzz"
    folder.mkdir(exist_ok=True)
    return folder


def test_the_unchanged_files_are_clips(tmp_path):
    assert all(read_or_refuse(content, tmp_path) for content in GOOD)


# the real files


def classes():
    file = resources.files("posedata.schemas").joinpath("penn", "classes.json")
    return json.loads(file.read_text())["classes"]


@pytest.fixture(scope="module")
def real(shared):
    raw = locate(shared / "data/penn")
    found = penn.discover(raw, OPTIONS)
    assert found.problems == []
    description = penn.describe(found.samples, OPTIONS)
    return {s.clip_id: penn.read(raw, s, description) for s in found.samples}


@pytest.mark.real
def test_the_whole_data_set(real):
    clips = [clip for clip, _ in real.values()]
    assert len(clips) == 2326 and sum(len(clip.frames) for clip in clips) == 163_841
    labels = Counter(clip.info["label_name"] for clip in clips)
    assert labels == {row["name"]: row["clips"] for row in classes()}
    assert list(penn.class_names()) == sorted(labels) and len(labels) == 15
    assert all(penn.class_names()[c.info["label"]] == c.info["label_name"] for c in clips)
    rows = penn.splits({"clip_id": clip.clip_id, **clip.info} for clip in clips)
    assert Counter(split for _, split, _ in rows) == {"train": 1258, "test": 1068}
    assert Counter(clip.info["viewpoint"] for clip in clips) == {
        "back": 604, "front": 612, "left": 513, "right": 597
    }  # fmt: skip
    visibility = np.concatenate([clip.visibility for clip in clips])
    assert np.bincount(visibility.ravel()).tolist() == [187_352, 282_149, 1_660_432]


@pytest.mark.real
def test_every_number_of_the_real_files_is_in_the_clips(real, shared):
    for clip_id, (clip, _) in real.items():
        file = scipy.io.loadmat(shared / f"data/penn/labels/{clip_id}.mat")
        x, y, seen = (file[n][:, [0, *LEFT, *RIGHT]] for n in ("x", "y", "visibility"))
        mine = clip.keypoints_2d[:, [0, *RIGHT, *LEFT]]
        expected = (np.stack([x, y], -1).astype(np.float64) - 1).astype(np.float32)
        missing = np.isnan(mine[..., 0])
        assert min(x[~missing].min(), y[~missing].min()) >= 4
        np.testing.assert_array_equal(mine[~missing], expected[~missing])
        np.testing.assert_array_equal(clip.visibility[:, [0, *RIGHT, *LEFT]] == 2, seen == 1)
        if missing.any():  # all at one place of a diagonal, of which all numbers are multiples
            places = set(x[missing].tolist()) - {0}
            assert (x[missing] == y[missing]).all() and len(places) <= 1
            for place in places:
                multiples = np.stack([x, y]) / place
                np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-6)
        boxes = file["bbox"].astype(np.float64) - 1
        np.testing.assert_array_equal(clip.boxes[: len(boxes)], boxes.astype(np.float32))
        assert np.isnan(clip.boxes[len(boxes) :]).all()


@pytest.mark.real
def test_the_oddities_of_the_real_files(real):
    short = {"1154": 72, "1865": 73}
    for clip_id, frames in short.items():
        clip, (problem,) = real[clip_id]
        assert clip.num_frames == frames
        assert np.isnan(clip.boxes).all(1).tolist() == [False] * (frames - 1) + [True]
        assert problem.position == f"frame {frames - 1}" and problem.severity == "warning"
    flat = {clip_id for clip_id, (_, problems) in real.items() if problems} - set(short)
    assert flat == {"0038", "0374", "0525", "0541", "0600", "0623", "0645", "0700", "1825", "2173"}
    outside = real["1021"][0]
    assert outside.keypoints_2d[..., 0][outside.visibility == 2].max() > outside.info["width"]
    assert real["0449"][0].visibility[76].max() == 0  # (0, 0) in all joints


@pytest.mark.real
def test_left_is_left_in_the_real_clips(real):
    # who faces the camera has the left shoulder at the right of the picture
    for viewpoint, at_the_right in (("front", (0.95, 0.97)), ("back", (0.15, 0.2))):
        clips = [clip for clip, _ in real.values() if clip.info["viewpoint"] == viewpoint]
        seen = [clip.visibility[:, [1, 2]].min(1) == 2 for clip in clips]
        shoulders = np.concatenate([
            clip.keypoints_2d[rows, 1, 0] - clip.keypoints_2d[rows, 2, 0]
            for clip, rows in zip(clips, seen, strict=True)
        ])  # fmt: skip
        assert at_the_right[0] < (shoulders > 0).mean() < at_the_right[1]


@pytest.mark.real
def test_the_release_of_the_real_data_set(shared, tmp_path):
    summary = convert(plan_conversion("penn", shared / "data/penn"), tmp_path / "penn")
    assert (summary.clips, summary.rejects, summary.warnings) == (2326, 0, 12)
    release = posedata.open_release(tmp_path / "penn")
    assert list(validate(release)) == []
    clip = release.clip("0001")
    assert clip.info["viewpoint"] == "back" and clip.keypoints_2d[0, 0].tolist() == [135.5, 70.25]
