"""`posedata.converters.ntu`: which files are samples, and what becomes of their numbers."""

import builtins
import errno
import io
import os
import shutil
from collections import Counter

import numpy as np
import pytest

import posedata
from posedata.convert import convert, plan_conversion
from posedata.converter import Problem, Sample, load_converter
from posedata.converters import ntu, ntu_samples
from posedata.converters.ntu_file import parse_skeleton
from posedata.errors import InputError
from posedata.storage import locate
from posedata.synthetic import QUIRKS, format_skeleton, skeleton_sample
from posedata.validate import validate

NAME = "S001C002P007R001A023"
OTHER = "S018C001P041R002A061"
BAD = "S001C002P005R002A008"  # in the official list of missing skeletons
FEW, ALL = {"all_fields": False}, {"all_fields": True}
ALWAYS = ("slots", "keypoints_3d", "keypoints_2d", "visibility")
BODY_COLUMNS = (
    "clipped_edges", "hand_left_confidence", "hand_left_state", "hand_right_confidence",
    "hand_right_state", "restricted", "lean_x", "lean_y", "body_tracking_state",
)  # fmt: skip


def touch(folder, *paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"not a skeleton")


def found_in(folder):
    """The samples' paths, and the problems' reasons by path."""
    found = ntu.discover(locate(folder), FEW)
    return [s.path for s in found.samples], {p.source: p.reason for p in found.problems}


def clip_of(tmp_path, content, name=NAME, all_fields=True):
    """Read a file the way a conversion does."""
    (tmp_path / f"{name}.skeleton").write_bytes(content)
    raw = locate(tmp_path)
    (sample,) = ntu.discover(raw, FEW).samples
    return ntu.read(raw, sample, ntu.describe([sample], {"all_fields": all_fields}))


def synthetic(quirks=(), num_frames=15, newline="\r\n", action="wave"):
    return format_skeleton(skeleton_sample(NAME, action, num_frames, quirks=quirks), newline)


def one_body(num_frames=2, **fields):
    """A file in which joint fields of frame 1 are other ones: (joint, field) -> token."""
    lines = synthetic(num_frames=num_frames, newline="\n")[0].decode().split("\n")
    for where, token in fields.get("edits", {}).items():
        joint, field = where
        line = 1 + 28 + 3 + joint  # counted from 0
        words = lines[line].split(" ")
        words[field] = token
        lines[line] = " ".join(words)
    return "\n".join(lines).encode()


LINE_OF_JOINT_0 = 33  # in frame 1 of such a file, counted from 1


# finding files


def test_files_are_found_in_folders_and_subfolders_sorted_by_sample(tmp_path):
    touch(tmp_path, f"z/deep/{NAME}.skeleton", f"{OTHER}.skeleton", "z/notes.txt", "z/skeleton")
    assert found_in(tmp_path) == ([f"z/deep/{NAME}.skeleton", f"{OTHER}.skeleton"], {})
    (first, second) = ntu.discover(locate(tmp_path), FEW).samples
    assert first == Sample(NAME, f"z/deep/{NAME}.skeleton", len(b"not a skeleton"))
    assert second.clip_id == OTHER


def test_a_suffix_in_upper_case_is_the_same(tmp_path):
    touch(tmp_path, f"{NAME}.SKELETON", f"{OTHER}.Skeleton")
    assert found_in(tmp_path) == ([f"{NAME}.SKELETON", f"{OTHER}.Skeleton"], {})


@pytest.mark.parametrize(
    "stem",
    ["S001C001P001R001A121", "S001C001P001R001A000", "S033C001P001R001A001", "S000C001P001R001A001",
     "S001C004P001R001A001", "S001C001P107R001A001", "S001C001P001R003A001", "S001C001P001R001A01",
     "S001C001P001R001A0011", "S001C001P001R001A001 (copy)", "S001C001P001R001A001.bak",
     "xS001C001P001R001A001", "s001c001p001r001a001", "S001C001P001R001A00\uff11",
     "S001C001P001R001A001\n", "readme", ""],
)  # fmt: skip
def test_other_names_are_reported_with_what_a_name_looks_like(tmp_path, stem):
    touch(tmp_path, f"sub/{stem}.skeleton", f"{NAME}.skeleton")
    samples, problems = found_in(tmp_path)
    assert samples == [f"{NAME}.skeleton"]
    assert problems == {
        f"sub/{stem}.skeleton": f"not an NTU name: found {stem!r}, expected SsssCcccPpppRrrrAaaa "
        "with S001-S032, C001-C003, P001-P106, R001-R002, A001-A120"
    }


def test_names_up_to_the_last_one_are_taken(tmp_path):
    touch(tmp_path, "S032C003P106R002A120.skeleton", "S001C001P001R001A001.skeleton")
    assert len(ntu.discover(locate(tmp_path), FEW).samples) == 2


def test_of_two_copies_of_a_sample_the_first_path_is_taken_and_the_other_reported(tmp_path):
    touch(tmp_path, f"b/{NAME}.skeleton", f"a/{NAME}.skeleton", f"c/{NAME}.SKELETON")
    reason = f"a second file of this sample: a/{NAME}.skeleton is taken"
    assert found_in(tmp_path) == (
        [f"a/{NAME}.skeleton"],
        {f"b/{NAME}.skeleton": reason, f"c/{NAME}.SKELETON": reason},
    )


def test_links_are_followed_each_folder_once(tmp_path):
    raw, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    touch(elsewhere, f"sub/{NAME}.skeleton", "a file")
    touch(raw, "sub/empty")
    (raw / "link").symlink_to(elsewhere)
    (raw / "link again").symlink_to(elsewhere)
    (raw / "up").symlink_to(raw)
    (elsewhere / "sub/back").symlink_to(raw)
    (raw / f"{OTHER}.skeleton").symlink_to(elsewhere / "a file")
    samples, problems = found_in(raw)
    assert len(samples) == 2 and samples[1] == f"{OTHER}.skeleton"
    assert (raw / samples[0]).is_file() and samples[0].endswith(f"sub/{NAME}.skeleton")
    assert problems == {}


def test_links_to_nowhere_and_in_circles_are_reported(tmp_path):
    touch(tmp_path, f"{OTHER}.skeleton")
    (tmp_path / f"{NAME}.skeleton").symlink_to(tmp_path / "nowhere")
    (tmp_path / f"{BAD}.skeleton").symlink_to(tmp_path / f"{BAD}.skeleton")
    samples, problems = found_in(tmp_path)
    assert samples == [f"{OTHER}.skeleton"]
    assert problems[f"{NAME}.skeleton"] == "cannot be read: No such file or directory"
    assert problems[f"{BAD}.skeleton"].startswith("cannot be read: ")


def test_a_folder_with_a_samples_name_is_reported_and_what_is_in_it_is_found(tmp_path):
    touch(tmp_path, f"{NAME}.skeleton/{OTHER}.skeleton")
    assert found_in(tmp_path) == (
        [f"{NAME}.skeleton/{OTHER}.skeleton"],
        {f"{NAME}.skeleton": "a folder, not a file"},
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_reported_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / f"{NAME}.skeleton")
    assert found_in(tmp_path) == ([], {f"{NAME}.skeleton": "a pipe or device, not a file"})


def test_names_that_are_not_utf_8_are_reported_in_text_that_can_be_written(tmp_path):
    touch(tmp_path, f"{NAME}.skeleton")
    folder = os.fsencode(tmp_path)
    try:
        os.mkdir(os.path.join(folder, b"caf\xe9"))  # noqa: PTH102, PTH118
        os.mkdir(os.path.join(folder, b"\xff.skeleton"))  # noqa: PTH102, PTH118
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert found_in(tmp_path) == (
        [f"{NAME}.skeleton"],
        {
            r"caf\xe9": "the name is not UTF-8: rename it",
            r"\xff.skeleton": "the name is not UTF-8: rename it",
        },
    )


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path, monkeypatch):
    touch(tmp_path, f"{NAME}.skeleton", f"closed/{OTHER}.skeleton")
    scandir = os.scandir

    def scandir_unless_closed(folder):  # permissions would not stop root
        if str(folder).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scandir_unless_closed)
    assert found_in(tmp_path) == (
        [f"{NAME}.skeleton"],
        {"closed/": "folder: Permission denied"},
    )


@pytest.mark.parametrize("suffix", [".skeleton", ".SKELETON"])
def test_one_file_is_a_data_set_of_one_sample(tmp_path, suffix):
    content, truth = synthetic()
    (tmp_path / f"{NAME}{suffix}").write_bytes(content)
    raw = locate(tmp_path / f"{NAME}{suffix}")
    found = ntu.discover(raw, FEW)
    assert found.samples == [Sample(NAME, f"{NAME}{suffix}", len(content))]
    clip, _ = ntu.read(raw, found.samples[0], ntu.describe(found.samples, FEW))
    assert clip.num_frames == truth.num_frames
    assert clip.info["source"] == f"{NAME}{suffix}"


def test_one_file_of_another_kind_is_no_data_set(tmp_path):
    touch(tmp_path, "notes.txt", "notes.skeleton")
    assert found_in(tmp_path / "notes.txt") == ([], {})
    samples, problems = found_in(tmp_path / "notes.skeleton")
    assert samples == [] and list(problems) == ["notes.skeleton"]


def test_a_missing_folder_is_an_error_and_an_empty_one_is_empty(tmp_path):
    with pytest.raises(InputError) as caught:
        ntu.discover(locate(tmp_path / "absent"), FEW)
    assert str(caught.value) == f"{tmp_path / 'absent'}: no such file or folder"
    assert found_in(tmp_path) == ([], {})


def test_other_file_systems_are_searched_and_read_in_the_same_way():
    content, truth = synthetic()
    raw = locate("memory://ntu")
    try:
        (raw / f"deep/{NAME}.skeleton").write_bytes(content)
        (raw / "deep/readme.skeleton").write_bytes(content)
        found = ntu.discover(raw, FEW)
        assert found.samples == [Sample(NAME, f"deep/{NAME}.skeleton", len(content))]
        assert [p.source for p in found.problems] == ["deep/readme.skeleton"]
        clip, _ = ntu.read(raw, found.samples[0], ntu.describe(found.samples, FEW))
        assert clip.num_frames == truth.num_frames
    finally:
        raw.remove()


def test_discovery_opens_no_file(tmp_path, monkeypatch):
    touch(tmp_path, f"{NAME}.skeleton", f"sub/{OTHER}.skeleton", "sub/readme.skeleton")
    raw = locate(tmp_path)

    def refuse(path, *arguments, **options):
        raise AssertionError(f"{path} was opened")

    for module, name in ((builtins, "open"), (io, "open"), (io, "FileIO"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    found = ntu.discover(raw, FEW)
    assert len(found.samples) == 2 and len(found.problems) == 1


# the whole data sets, by name


OFFICIAL = {
    60: {
        "usable": 56_578, "known_bad": 302,
        "splits": {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)},
    },
    120: {
        "usable": 113_945, "known_bad": 535,
        "splits": {"xsub": (63_026, 50_919), "xset": (54_468, 59_477),
                   "xsub60": (40_091, 16_487), "xview60": (37_646, 18_932)},
    },
}  # fmt: skip


@pytest.fixture
def official(tmp_path):
    """Empty files with the names of all samples: the two archives, extracted side by side."""
    first = set(ntu_samples.official_samples(60))
    second = set(ntu_samples.official_samples(120)) - first
    for folder, names in (("nturgb+d_skeletons", first), ("nturgb+d_skeletons120", second)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "readme.txt").touch()
        for name in names:  # hard links: made in a tenth of the time
            os.link(f"{tmp_path}/{folder}/readme.txt", f"{tmp_path}/{folder}/{name}.skeleton")
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_the_official_data_sets_by_name(official):
    for benchmark, folder, files in ((60, "nturgb+d_skeletons", 56_880), (120, ".", 114_480)):
        found = ntu.discover(locate(official / folder), FEW)
        assert found.problems == []
        names = [sample.clip_id for sample in found.samples]
        assert len(names) == len(set(names)) == files
        assert names == sorted(names)
        assert ntu.describe(found.samples, FEW).name == f"ntu{benchmark}"
        numbers = OFFICIAL[benchmark]
        assert ntu_samples.survey(found.samples) == {
            "benchmark": benchmark,
            "official_samples": files,
            "absent": 0,
            "not_official": 0,
            "known_bad": numbers["known_bad"],
            "usable": numbers["usable"],
            "splits": {
                protocol: {"train": train, "test": test}
                for protocol, (train, test) in numbers["splits"].items()
            },
        }
        # each action was recorded as often as the papers' totals say: 60 x 948, 60 x 960
        actions = Counter(int(name[-3:]) for name in names)
        assert actions == {a: 948 if a <= 60 else 960 for a in range(1, benchmark + 1)}


def test_every_sample_is_in_one_split_of_each_protocol_by_its_rule():
    setups = ("S001", "S018", "S019")
    names = [name for name in ntu_samples.official_samples(120) if name.startswith(setups)]
    rows = list(ntu_samples.splits(names))
    assert len({(protocol, name) for protocol, _, name in rows}) == len(rows)
    split = {(protocol, name): split for protocol, split, name in rows}
    assert split["xset", "S018C001P008R001A061"] == "train"  # even setup
    assert split["xset", "S019C001P008R001A061"] == "test"
    assert split["xview60", "S001C001P001R001A001"] == "test"  # camera 1
    assert split["xview60", "S001C003P001R001A001"] == "train"
    assert split["xsub", "S001C001P003R001A001"] == "test"  # performer 3
    assert split["xsub60", "S001C001P001R001A001"] == "train"
    assert ("xsub60", "S018C001P008R001A061") not in split
    assert BAD in names and not any(name == BAD for _, name in split)


def test_a_part_of_the_data_set_is_compared_with_all_of_it(tmp_path):
    touch(tmp_path, f"{NAME}.skeleton", f"{BAD}.skeleton", "S001C001P009R001A001.skeleton")
    survey = ntu_samples.survey(ntu.discover(locate(tmp_path), FEW).samples)
    assert survey["official_samples"] - survey["absent"] == 2
    assert survey["not_official"] == 1  # performer 9 was not in setup 1
    assert (survey["known_bad"], survey["usable"]) == (1, 2)
    assert survey["splits"]["xview"] == {"train": 1, "test": 1}


def test_one_sample_of_120_makes_it_120():
    sixty = [Sample(NAME, "", 0)]
    assert ntu.describe(sixty, FEW).name == "ntu60"
    assert len(ntu.describe(sixty, FEW).label_names) == 60
    for name in (OTHER, "S018C001P001R001A001", "S001C001P001R001A061"):
        description = ntu.describe([*sixty, Sample(name, "", 0)], FEW)
        assert description.name == "ntu120" and len(description.label_names) == 120


def test_the_converter_is_registered():
    assert load_converter("ntu") is ntu.CONVERTER


# reading


def assert_clip_says(clip, truth):
    """Every number of the truth is in the clip, and nothing else is."""
    assert clip.num_frames == truth.num_frames
    assert clip.person_ids == tuple(str(body.body_id) for body in truth.bodies)
    assert clip.num_persons == len(truth.bodies)
    assert len(clip.frames) == sum(len(body.frames) for body in truth.bodies)
    for person, body in enumerate(truth.bodies):
        rows = clip.persons == person
        np.testing.assert_array_equal(clip.frames[rows], body.frames)
        fields = {
            "keypoints_3d": body.joints[..., :3],
            "keypoints_depth": body.joints[..., 3:5],
            "keypoints_2d": body.joints[..., 5:7],
            "orientations": body.joints[..., 7:11],
            "tracking_states": body.joints[..., 11],
            **{name: body.headers[:, column] for column, name in enumerate(BODY_COLUMNS)},
        }
        for name, values in fields.items():
            array = clip.arrays[name]
            np.testing.assert_array_equal(array[rows], values.astype(array.dtype), err_msg=name)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("quirk", [None, *QUIRKS])
def test_every_number_of_a_file_is_in_its_clip(tmp_path, quirk, newline):
    content, truth = synthetic([quirk] if quirk else [], newline=newline)
    clip, problems = clip_of(tmp_path, content)
    assert_clip_says(clip, truth)
    assert problems == []


def test_several_quirks_at_once(tmp_path):
    quirks = ["three_bodies", "close_ids", "gap", "swapped_order", "empty_start", "nan_joint"]
    content, truth = synthetic(quirks, num_frames=40)
    assert_clip_says(clip_of(tmp_path, content)[0], truth)


def test_types_are_those_of_the_format(tmp_path):
    clip, _ = clip_of(tmp_path, synthetic()[0])
    assert {name: str(array.dtype) for name, array in clip.arrays.items()} == {
        "keypoints_3d": "float32", "keypoints_2d": "float32", "visibility": "uint8",
        "slots": "int32", "keypoints_depth": "float32", "orientations": "float32",
        "tracking_states": "uint8",
        **{name: "float32" if "lean" in name else "int32" for name in BODY_COLUMNS},
    }  # fmt: skip
    assert all(array.flags.c_contiguous for array in clip.arrays.values())
    assert (clip.layer, clip.skeleton.name) == ("kinect", "nturgbd25")


def test_numbers_are_the_nearest_float32(tmp_path):
    tokens = ["0.1", "16777217", "0.30000001192092896", "3.4E+38", "1E-45", "-0.0", "2.99999999"]
    edits = {(3, field): token for field, token in enumerate(tokens)}
    clip, problems = clip_of(tmp_path, one_body(edits=edits))
    joint = {name: array[1, 3] for name, array in clip.arrays.items() if array.ndim == 3}
    read = [*joint["keypoints_3d"], *joint["keypoints_depth"], *joint["keypoints_2d"]]
    expected = np.array([float(token) for token in tokens]).astype(np.float32)
    np.testing.assert_array_equal(read, expected)
    assert np.signbit(read[5])
    assert problems == []


def test_what_is_known_of_a_clip(tmp_path):
    clip, _ = clip_of(tmp_path, synthetic()[0], name="S017C003P020R002A054")
    assert clip.clip_id == "S017C003P020R002A054"
    assert clip.info == {
        "num_frames": 15, "width": 1920, "height": 1080, "fps": 30.0,
        "label": 53, "label_name": "point finger at the other person", "subject": 20, "camera": 3,
        "setup": 17, "replication": 2, "mirrored": True, "known_bad": False,
        "source": "S017C003P020R002A054.skeleton",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label", "label_name"),
    [
        ("S001C001P001R001A001", 0, "drink water"),
        ("S001C001P001R001A060", 59, "walking apart from each other"),
        ("S018C001P001R001A061", 60, "put on headphone"),
        ("S018C001P001R001A100", 99, "butt kicks (kick backward)"),
        ("S032C001P001R001A120", 119, "finger-guessing game (playing rock-paper-scissors)"),
    ],
)
def test_labels_count_from_0_up_to_119(tmp_path, name, label, label_name):
    info = clip_of(tmp_path, b"1\n0\n", name)[0].info
    assert (info["label"], info["label_name"]) == (label, label_name)


def test_a_sample_of_the_official_missing_list_is_read_and_marked(tmp_path):
    clip, _ = clip_of(tmp_path, synthetic()[0], name=BAD)
    assert clip.info["known_bad"] is True
    assert len(clip.frames) == 15


def test_fields_without_a_column_of_the_format_are_kept_with_all_fields(tmp_path):
    clip, _ = clip_of(tmp_path, synthetic()[0], all_fields=False)
    assert sorted(clip.arrays) == sorted(ALWAYS)
    sample = Sample(NAME, "", 0)
    few, all_of_them = (
        set(ntu.describe([sample], choice).layer().columns) for choice in (FEW, ALL)
    )
    assert all_of_them - few == {
        *BODY_COLUMNS, "tracking_states", "keypoints_depth", "orientations"
    }  # fmt: skip
    assert set(ntu.describe([sample], FEW).layer().left_out) == all_of_them - few
    assert ntu.describe([sample], ALL).layer().left_out == ()


def test_persons_are_numbered_as_they_appear_whatever_their_ids_and_order(tmp_path):
    content, truth = synthetic(["close_ids", "swapped_order"])
    first, second = truth.body_ids
    assert first > second and float(first) == float(second)
    clip, _ = clip_of(tmp_path, content)
    assert clip.person_ids == (str(first), str(second))
    np.testing.assert_array_equal(clip.persons, np.repeat([0, 1], 15))


def test_a_body_that_returns_is_the_same_person_and_its_gap_stays(tmp_path):
    clip, _ = clip_of(tmp_path, synthetic(["gap"])[0])
    assert clip.num_persons == 2
    np.testing.assert_array_equal(clip.frames[clip.persons == 1], [*range(5), *range(10, 15)])


def test_frames_without_bodies_are_counted_and_shift_nothing(tmp_path):
    content, truth = synthetic(["empty_start"])
    clip, _ = clip_of(tmp_path, content)
    assert clip.num_frames == 15
    assert clip.frames[0] == truth.bodies[0].frames[0] > 0
    assert clip.frames[-1] == 14


def test_a_file_without_any_body_is_a_clip_without_poses(tmp_path):
    clip, problems = clip_of(tmp_path, synthetic(["all_empty"])[0])
    assert (clip.num_frames, clip.num_persons, clip.person_ids) == (15, 0, ())
    assert clip.keypoints_3d.shape == (0, 25, 3)
    assert problems == []


def test_missing_joints_have_visibility_0_and_others_their_tracking_state(tmp_path):
    edits = {(3, field): "NaN" for field in range(7)}
    edits |= {(4, 11): "0", (5, 11): "1", (6, 11): "2"}
    clip, problems = clip_of(tmp_path, one_body(edits=edits))
    assert np.isnan(clip.keypoints_3d[1, 3]).all() and np.isnan(clip.keypoints_2d[1, 3]).all()
    np.testing.assert_array_equal(clip.visibility[1, 3:7], [0, 0, 1, 2])
    assert clip.extra["tracking_states"][1, 3] in (1, 2)
    assert problems == []


def test_a_joint_without_colour_pixels_only_is_still_there(tmp_path):
    clip, _ = clip_of(tmp_path, one_body(edits={(6, 5): "NaN", (6, 6): "NaN", (6, 11): "2"}))
    assert np.isnan(clip.keypoints_2d[1, 6]).all() and np.isfinite(clip.keypoints_3d[1, 6]).all()
    assert clip.visibility[1, 6] == 2


def test_joints_of_zeros_are_kept_as_the_file_has_them(tmp_path):
    clip, problems = clip_of(tmp_path, one_body(edits={(3, field): "0" for field in range(12)}))
    for name in ("keypoints_3d", "keypoints_2d", "visibility"):
        assert np.all(clip.arrays[name][1, 3] == 0), name
    assert problems == []


@pytest.mark.parametrize(
    ("edits", "name", "shown"),
    [
        ({(2, 0): "NaN", (2, 1): "0.25", (2, 2): "3.5"}, "keypoints_3d", "nan 0.25 3.5"),
        ({(2, 3): "1.5", (2, 4): "-Infinity"}, "keypoints_depth", "1.5 -inf"),
        ({(2, 5): "1e300", (2, 6): "1e300"}, "keypoints_2d", "inf inf"),
        ({(2, 7): "nan(ind)", (2, 8): "0", (2, 9): "0", (2, 10): "1"}, "orientations", "nan 0 0 1"),
    ],
)
def test_half_a_joint_is_no_joint_and_says_so(tmp_path, edits, name, shown):
    clip, problems = clip_of(tmp_path, one_body(edits=edits))
    whole, _ = clip_of(tmp_path, one_body())
    assert problems == [
        Problem(
            f"{NAME}.skeleton", "read",
            f"{name}: 1 joints are partly NaN or not finite and became missing; the first is "
            f"{shown}", f"line {LINE_OF_JOINT_0 + 2}", "warning",
        )
    ]  # fmt: skip
    assert np.isnan(clip.arrays[name][1, 2]).all()
    for other in ALWAYS:  # nothing else is touched
        expected = whole.arrays[other].copy()
        if other == name:
            expected[1, 2] = np.nan
        np.testing.assert_array_equal(clip.arrays[other], expected)


def test_warnings_and_errors_count_lines_over_blank_ones(tmp_path):
    def spread(**edits):
        return one_body(**edits).replace(b"\n", b"\n\n")

    _, (problem,) = clip_of(tmp_path, spread(edits={(2, 0): "NaN"}))
    assert problem.position == f"line {2 * (LINE_OF_JOINT_0 + 2) - 1}"
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, spread(edits={(2, 11): "3"}))
    assert caught.value.position == problem.position


def test_text_after_the_last_frame_is_a_warning(tmp_path):
    clip, problems = clip_of(tmp_path, one_body() + b"\nthe end\n")
    assert clip.equals(clip_of(tmp_path, one_body())[0])
    reason = "text after the last frame was left out"
    assert problems == [Problem(f"{NAME}.skeleton", "read", reason, "line 59", "warning")]


def test_no_frames_is_a_warning(tmp_path):
    clip, problems = clip_of(tmp_path, b"0\n")
    assert (clip.num_frames, len(clip.frames)) == (0, 0)
    reason = "the file announces 0 frames"
    assert problems == [Problem(f"{NAME}.skeleton", "read", reason, "", "warning")]


@pytest.mark.parametrize("token", ["3", "7", "-1", "1.5", "NaN", "inf", "256", "1e30"])
def test_a_tracking_state_that_kinect_does_not_have_is_refused(tmp_path, token):
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, one_body(edits={(7, 11): token}))
    shown = "1e+30" if token == "1e30" else token.lower()
    assert str(caught.value) == (
        f"{NAME}.skeleton, line {LINE_OF_JOINT_0 + 7}: bad joint trackingState: found {shown}, "
        "expected a whole number from 0 to 2"
    )


@pytest.mark.parametrize("token", ["-1", "0.5", "256", "NaN"])
def test_a_body_field_that_is_no_small_whole_number_is_refused(tmp_path, token):
    lines = one_body().split(b"\n")
    lines[2] = lines[2].replace(b" ", b" %s " % token.encode(), 1).rsplit(b" ", 1)[0]
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, b"\n".join(lines))
    assert (caught.value.message, caught.value.position) == ("bad clipped_edges", "line 3")


def test_the_same_body_twice_in_a_frame_is_refused(tmp_path):
    lines = one_body(num_frames=1).decode().split("\n")
    twice = "\n".join(["1", "2", *lines[2:-1], *lines[2:-1], ""])
    body_id = lines[2].split(" ")[0]
    with pytest.raises(InputError) as caught:
        clip_of(tmp_path, twice.encode())
    assert str(caught.value) == (
        f"{NAME}.skeleton, line 30: the same bodyID twice in one frame: found {body_id}, expected "
        "each body once a frame"
    )


def test_files_that_cannot_be_read_are_input_errors(tmp_path, monkeypatch):
    raw = locate(tmp_path)
    sample = Sample(NAME, f"{NAME}.skeleton", 0)
    description = ntu.describe([sample], FEW)
    with pytest.raises(InputError, match="cannot be read: found No such file"):
        ntu.read(raw, sample, description)
    touch(tmp_path, sample.path)
    monkeypatch.setattr(ntu, "LARGEST_FILE", 5)
    with pytest.raises(InputError, match="the file is too large: found more than 5 bytes"):
        ntu.read(raw, sample, description)


def test_line_endings_make_no_difference(tmp_path):
    quirks = ["three_bodies", "gap", "nan_joint", "exponent"]
    one, other = (synthetic(quirks, newline=newline)[0] for newline in ("\r\n", "\n"))
    assert one != other
    assert clip_of(tmp_path, one)[0].equals(clip_of(tmp_path, other)[0])


# real files


@pytest.mark.real
def test_line_endings_make_no_difference_to_a_real_file(shared):
    sample = Sample("S001C001P001R001A001", "S001C001P001R001A001.skeleton", 0)
    description = ntu.describe([sample], ALL)
    folders = (shared / "data/ntu/skeletons", shared / "data/ntu/skeletons_lf")
    one, other = (ntu.read(locate(folder), sample, description)[0] for folder in folders)
    assert one.equals(other)
    assert (one.num_frames, one.num_persons) == (103, 1)


def read_lines(path):
    """Every number of a real file, line by line, as text: (frame, id, body fields, joints)."""
    lines = iter(path.read_text().splitlines())
    bodies = []
    num_frames = int(next(lines))
    for frame in range(num_frames):
        for _ in range(int(next(lines))):
            body_id, *header = next(lines).split()
            joints = [next(lines).split() for _ in range(int(next(lines)))]
            bodies.append((frame, body_id, header, joints))
    assert list(lines) == []
    return num_frames, bodies


@pytest.mark.parametrize(("field", "name"), [(7, "lean_x"), (8, "lean_y")])
def test_an_infinite_lean_is_missing_and_says_so(tmp_path, field, name):
    lines = synthetic(newline="\n")[0].decode().split("\n")
    words = lines[2].split(" ")
    words[field] = "-inf"
    lines[2] = " ".join(words)
    content = "\n".join(lines).encode()
    clip, problems = clip_of(tmp_path, content)
    reason = f"{name}: 1 values are not finite and became missing; the first is -inf"
    assert problems == [Problem(f"{NAME}.skeleton", "read", reason, "line 3", "warning")]
    assert np.isnan(clip.extra[name]).tolist() == [True] + [False] * 14
    convert(plan_conversion("ntu", tmp_path, all_fields=True), tmp_path / "out", num_workers=1)
    assert list(validate(posedata.open_release(tmp_path / "out"))) == []
    assert clip_of(tmp_path, content, all_fields=False)[1] == []


def test_building_a_clip_twice_gives_the_same(tmp_path):
    content = one_body(edits={(2, 0): "NaN", (2, 1): "0.25"})
    file = parse_skeleton(content, NAME)
    sample = Sample(NAME, "", len(content))
    description = ntu.describe([sample], ALL)
    first, second = (ntu.build_clip(file, sample, description) for _ in range(2))
    assert first[1] == second[1] != []
    assert first[0].equals(second[0])


@pytest.mark.real
@pytest.mark.parametrize(("folder", "files"), [("skeletons", 7), ("skeletons_lf", 1)])
def test_every_number_of_the_real_files_is_in_the_release(shared, tmp_path, folder, files):
    raw = shared / "data/ntu" / folder
    plan = plan_conversion("ntu", raw, all_fields=True)
    summary = convert(plan, tmp_path / "release", num_workers=1)
    assert (summary.clips, summary.rejects, summary.warnings) == (files, 0, 0)
    release = posedata.open_release(tmp_path / "release")
    for path in sorted(raw.glob("*.skeleton")):
        clip = release.clip(path.stem)
        num_frames, bodies = read_lines(path)
        assert clip.num_frames == num_frames
        rows = {
            (frame, clip.person_ids[person]): row
            for row, (frame, person) in enumerate(zip(clip.frames, clip.persons, strict=True))
        }
        assert len(rows) == len(bodies) == len(clip.frames)
        for frame, body_id, header, joints in bodies:
            row = rows[frame, body_id]
            joint_columns = np.concatenate(
                [
                    clip.keypoints_3d[row], clip.extra["keypoints_depth"][row],
                    clip.keypoints_2d[row], clip.extra["orientations"][row],
                    clip.visibility[row, :, None],
                ],
                axis=-1,
            )  # fmt: skip
            np.testing.assert_array_equal(joint_columns, np.array(joints, np.float64).astype("f4"))
            read = [clip.extra[name][row] for name in BODY_COLUMNS]
            np.testing.assert_array_equal(read, np.array(header, np.float64).astype("f4"))
