"""`posedata.converters.smarthome`: experts to layers, names to columns, lists to splits."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import posedata
from posedata.convert import convert, plan_conversion
from posedata.converters import expert_files, smarthome, smarthome_samples
from posedata.errors import InputError, PosedataError, UsageError
from posedata.skeleton import load_skeleton
from posedata.storage import locate
from posedata.validate import validate

NAME = "Cook.Cleandishes_p02_r01_v14_c03"
OTHER = "WatchTV_p02_r03_v05_c05"
OPTIONS = {"all_fields": False}


def person(x=100.0, y=50.0, **fields):
    """A person whose joint j is at (x + j, y + 2 j), and at x / 100, y / 100, j in metres."""
    joints = np.arange(13)
    pose2d = [*(x + joints).tolist(), *(y + 2 * joints).tolist()]
    pose3d = [*([x / 100] * 13), *([y / 100] * 13), *joints.tolist()]
    return {"pose2d": pose2d, "pose3d": pose3d, "cumscore": 1.25, **fields}


def lcrnet(*frames):
    return json.dumps({"K": 100, "njts": 13, "frames": frames}).encode()


def npz(kpts):
    sink = io.BytesIO()
    np.savez_compressed(sink, kpts=np.asarray(kpts, np.float32))
    return sink.getvalue()


def kpts(frames, expert=""):
    """COCO joint j at (10 j + 1, 10 j + 2) plus the frame; LCRNet's face is its head."""
    poses = np.zeros((frames, 17, 2), np.float32)
    poses += 10 * np.arange(17)[:, None] + np.arange(1, 3) + np.arange(frames)[:, None, None]
    if expert == "lcrnet":
        poses[:, 1:5] = poses[:, :1]
    return poses


def put(folder, files):
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return locate(folder)


def found_in(raw):
    found = smarthome.discover(raw, OPTIONS)
    samples = {(sample.layer, sample.clip_id): sample.path for sample in found.samples}
    return samples, {problem.source: problem.reason for problem in found.problems}


def clips_of(raw):
    found = smarthome.discover(raw, OPTIONS)
    description = smarthome.describe(found.samples, OPTIONS)
    read = [smarthome.read(raw, sample, description) for sample in found.samples]
    return {clip.layer: clip for clip, _ in read}, [p for _, problems in read for p in problems]


def clip_of(tmp_path, content, name=f"{NAME}.json"):
    clips, problems = clips_of(put(tmp_path, {name: content}))
    (clip,) = clips.values()
    return clip, problems


# names and classes


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        (NAME, ("Cook.Cleandishes", 2, 1, 14, 3)),
        ("Walk_p25_r17_v02_c07", ("Walk", 25, 17, 2, 7)),
        ("Pour.Fromcup_p11_r00_v03_c04", ("Pour.Fromcup", 11, 0, 3, 4)),
    ],
)
def test_names(name, parsed):
    assert smarthome_samples.parse_name(name) == parsed


@pytest.mark.parametrize(
    "name",
    ["Walk_p25_r17_v02", "Walk_p25_r17_v02_c08", "Walk_p25_r17_v02_c00", "Dance_p25_r17_v02_c07",
     "Walk_p25_r17_v02_c07_pose3d", "walk_p25_r17_v02_c07", "_p25_r17_v02_c07", "",
     "Walk_p25_r17_v02_c07\n", "Walk_p2\u0665_r17_v02_c07"],
)  # fmt: skip
def test_other_names(name):
    assert smarthome_samples.parse_name(name) is None


def test_labels_are_alphabetical_and_the_32nd_class_is_the_last():
    names = smarthome_samples.class_names()
    assert len(names) == 32 and list(names[:31]) == sorted(names[:31])
    assert names[31] == "Pour.Fromcup" and names.index("Usetablet") == 27


def test_published_numbers_differ_in_origin_and_in_telephone_and_tablet():
    i3d = smarthome_samples.published_numbers("i3d_cs")
    unik = smarthome_samples.published_numbers("unik_cs")
    names = smarthome_samples.class_names()[:31]
    assert [i3d[name] for name in names] == list(range(1, 32))
    assert (unik["Usetelephone"], unik["Usetablet"]) == (27, 28)
    assert {name for name in names if unik[name] != i3d[name] - 1} == {"Usetelephone", "Usetablet"}
    cv = smarthome_samples.published_numbers("unik_cv")
    assert len(cv) == 19 and list(cv) == sorted(cv) and list(cv.values()) == list(range(19))
    assert smarthome_samples.published_numbers("i3d_cv") == {n: k + 1 for n, k in cv.items()}
    with pytest.raises(UsageError, match="unknown numbering"):
        smarthome_samples.published_numbers("vpn")


@pytest.mark.real
def test_published_numbers_are_those_of_the_lists(shared):
    for numbering, file in (
        ("i3d_cs", "classes_cs31_i3d_1based.txt"), ("unik_cs", "classes_cs31_unik_0based.txt"),
        ("i3d_cv", "classes_cv19_i3d_1based.txt"), ("unik_cv", "classes_cv19_unik_0based.txt"),
    ):  # fmt: skip
        lines = (shared / "data/lists/smarthome" / file).read_text().splitlines()
        listed = {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines}
        assert smarthome_samples.published_numbers(numbering) == listed


# protocols


def test_the_splits_of_a_few_clips():
    ids = [NAME, "Walk_p19_r00_v01_c01", "Walk_p03_r00_v01_c05", "Walk_p03_r00_v01_c03",
           "WatchTV_p03_r00_v01_c01", "Walk_p01_r00_v01_c02", "other"]  # fmt: skip
    found = list(smarthome.splits([{"clip_id": clip_id} for clip_id in ids]))
    assert found == [
        ("cs", "test", NAME),
        ("cs", "validation", "Walk_p19_r00_v01_c01"),
        ("cs", "train", "Walk_p03_r00_v01_c05"),
        ("cs", "train", "Walk_p03_r00_v01_c03"),
        ("cs", "train", "WatchTV_p03_r00_v01_c01"),
        ("cv1", "train", "Walk_p19_r00_v01_c01"),
        ("cv1", "validation", "Walk_p03_r00_v01_c05"),
        ("cv1", "test", "Walk_p01_r00_v01_c02"),
        ("cv2", "train", "Walk_p19_r00_v01_c01"),
        ("cv2", "validation", "Walk_p03_r00_v01_c05"),
        ("cv2", "train", "Walk_p03_r00_v01_c03"),
        ("cv2", "test", "Walk_p01_r00_v01_c02"),
    ]


@pytest.mark.real
def test_the_splits_are_exactly_the_authors_lists(shared):
    lists = {
        (protocol, split): {
            line.removesuffix(".mp4")
            for line in (shared / f"data/smarthome/splits/{split}_{protocol.upper()}.txt")
            .read_text()
            .split()
        }
        for protocol in ("cs", "cv1", "cv2")
        for split in ("train", "validation", "test")
    }
    everything = sorted(set().union(*lists.values()))
    assert len(everything) == 16129
    found: dict = {}
    for protocol, split, clip_id in smarthome.splits({"clip_id": name} for name in everything):
        found.setdefault((protocol, split), set()).add(clip_id)
    assert found == lists
    sizes = {(p, s): smarthome_samples.protocols()[p]["clips"][s] for p, s in lists}
    assert sizes == {key: len(names) for key, names in lists.items()}
    assert [sizes["cs", split] for split in ("train", "validation", "test")] == [8831, 1854, 5444]
    assert [sizes["cv1", split] for split in ("train", "validation", "test")] == [1877, 3539, 1901]
    assert [sizes["cv2", split] for split in ("train", "validation", "test")] == [7806, 3539, 1901]
    activities = Counter(name.rsplit("_p", 1)[0] for name in everything)
    assert activities["Pour.Fromcup"] == 14
    assert set(activities) == set(smarthome_samples.class_names())


def test_the_survey_says_what_the_lists_have_more(tmp_path):
    names = ("Walk_p03_r00_v01_c01.json", "Walk_p01_r00_v01_c01.json", f"{OTHER}_OP2d.npz",
             f"{OTHER}_LCRNet2d.npz")  # fmt: skip
    raw = put(tmp_path, dict.fromkeys(names, b""))
    survey = smarthome.CONVERTER.survey(smarthome.discover(raw, OPTIONS).samples)
    assert survey == {
        "official_samples": 16129, "absent": 16127, "not_official": 1,
        "files": {"lcrnet": 3, "openpose": 1},
        "splits": {
            "cs": {"train": 1, "validation": 0, "test": 1},
            "cv1": {"train": 2, "validation": 0, "test": 0},
            "cv2": {"train": 2, "validation": 0, "test": 0},
        },
    }  # fmt: skip


# finding files


def test_the_expert_is_told_by_the_name_or_by_the_folder(tmp_path):
    raw = put(tmp_path, {
        f"{NAME}_LCRNet2d.npz": b"", f"{NAME}_Alphapose2d.npz": b"", f"{NAME}_OP2d.npz": b"",
        f"OpenPose/deep/{OTHER}.npz": b"", f"AlphaPose/{OTHER}.NPZ": b"",
        f"v1.2/{OTHER}_pose3d.json": b"",
        "lcrnet/Walk_p02_r03_v05_c05_pose3d.npz": b"",
        "unknown/Walk_p02_r03_v05_c05.npz": b"",
    })  # fmt: skip
    samples, problems = found_in(raw)
    assert samples == {
        ("alphapose", NAME): f"{NAME}_Alphapose2d.npz",
        ("lcrnet", NAME): f"{NAME}_LCRNet2d.npz",
        ("openpose", NAME): f"{NAME}_OP2d.npz",
        ("alphapose", OTHER): f"AlphaPose/{OTHER}.NPZ",
        ("openpose", OTHER): f"OpenPose/deep/{OTHER}.npz",
        ("lcrnet", OTHER): f"v1.2/{OTHER}_pose3d.json",
        ("lcrnet", "Walk_p02_r03_v05_c05"): "lcrnet/Walk_p02_r03_v05_c05_pose3d.npz",
    }
    assert list(problems) == ["unknown/Walk_p02_r03_v05_c05.npz"]
    assert "which expert wrote this is not known" in problems["unknown/Walk_p02_r03_v05_c05.npz"]


def test_samples_are_sorted_by_layer_and_clip(tmp_path):
    raw = put(tmp_path, {f"{OTHER}_OP2d.npz": b"", f"{NAME}_OP2d.npz": b"", f"{OTHER}.json": b""})
    keys = [(s.layer, s.clip_id) for s in smarthome.discover(raw, OPTIONS).samples]
    assert keys == [("lcrnet", OTHER), ("openpose", NAME), ("openpose", OTHER)]


def test_a_second_file_of_a_clip_in_a_layer_is_a_problem(tmp_path):
    raw = put(tmp_path, {f"a/{NAME}.json": b"", f"b/{NAME}_LCRNet2d.npz": b"",
                         f"c/{NAME}_pose3d.json": b""})  # fmt: skip
    samples, problems = found_in(raw)
    assert samples == {("lcrnet", NAME): f"a/{NAME}.json"}
    reason = f"a second file of this clip in the layer lcrnet: a/{NAME}.json is taken"
    assert problems == {f"b/{NAME}_LCRNet2d.npz": reason, f"c/{NAME}_pose3d.json": reason}


def test_other_names_are_problems(tmp_path):
    raw = put(tmp_path, {"smarthome_CS_51.json": b"", f"{NAME}.json": b"", "readme.txt": b""})
    samples, problems = found_in(raw)
    assert list(samples.values()) == [f"{NAME}.json"]
    assert problems["smarthome_CS_51.json"].startswith("not a Smarthome name")


def test_one_file_is_a_data_set(tmp_path):
    put(tmp_path, {f"{NAME}.json": lcrnet([person()])})
    clips, problems = clips_of(locate(tmp_path / f"{NAME}.json"))
    assert clips["lcrnet"].clip_id == NAME and problems == []


def test_a_file_alone_is_not_opened(tmp_path, monkeypatch):
    raw = put(tmp_path, {f"{NAME}.json": b"", f"{OTHER}_OP2d.npz": b""})
    monkeypatch.setattr(expert_files, "found_file", None)
    assert len(smarthome.discover(raw, OPTIONS).samples) == 2


# LCRNet's JSON


def test_what_becomes_of_a_file(tmp_path):
    clip, problems = clip_of(tmp_path, lcrnet([], [person()], [], [person(200, 60)], []))
    assert problems == []
    assert (clip.clip_id, clip.layer, clip.skeleton.name) == (NAME, "lcrnet", "lcrnet13")
    assert clip.frames.tolist() == [1, 3] and clip.persons.tolist() == [0, 0]
    assert clip.keypoints_2d[0, 5].tolist() == [105, 60]
    assert clip.keypoints_3d[1, 5].tolist() == [2, np.float32(0.6), 5]
    assert clip.extra["cumscore"].tolist() == [1.25, 1.25]
    assert clip.extra["slots"].tolist() == [0, 0]
    assert dict(clip.info) == {
        "num_frames": 5, "width": 640, "height": 480, "label": 0, "label_name": "Cook.Cleandishes",
        "subject": 2, "camera": 3, "replication": 1, "video": 14, "source": f"{NAME}.json",
    }  # fmt: skip


def test_version_1_2_has_no_score(tmp_path):
    one = person()
    del one["cumscore"]
    clip, problems = clip_of(tmp_path, lcrnet([one]), f"{NAME}_pose3d.json")
    assert np.isnan(clip.extra["cumscore"]).all() and problems == []
    assert clip.info["source"] == f"{NAME}_pose3d.json"


def test_joints_that_were_not_found_are_missing_also_in_3d(tmp_path):
    one = person()
    for joint, value in ((2, -1), (7, 0)):
        one["pose2d"][joint] = one["pose2d"][13 + joint] = value
    one["pose2d"][4], one["pose2d"][17] = -12.5, 700
    clip, problems = clip_of(tmp_path, lcrnet([one]))
    assert np.flatnonzero(np.isnan(clip.keypoints_2d[0]).all(1)).tolist() == [2, 7]
    assert np.flatnonzero(np.isnan(clip.keypoints_3d[0]).all(1)).tolist() == [2, 7]
    assert clip.keypoints_2d[0, 4].tolist() == [-12.5, 700] and problems == []


def test_people_are_told_apart_by_the_tracker_and_not_by_their_order(tmp_path):
    pytest.importorskip("trackers")
    one, two = person(100, 100), person(400, 200)
    frames = [[one, two], [two, one], [one, two], [two], [two, one]]
    clip, problems = clip_of(tmp_path, lcrnet(*frames))
    assert problems == [] and clip.num_persons == 2
    for track, x in ((0, 100), (1, 400)):
        assert clip.keypoints_2d[clip.persons == track, 0, 0].tolist() == [x] * (4 + track)
    assert clip.extra["slots"][clip.persons == 0].tolist() == [0, 1, 0, 1]
    assert clip.frames[clip.persons == 0].tolist() == [0, 1, 2, 4]


def test_one_person_a_frame_needs_no_tracker(tmp_path, monkeypatch):
    monkeypatch.setattr("posedata.track.assign_tracks", None)
    clip, _ = clip_of(tmp_path, lcrnet([person(0, 9)], [], [person(600, 400)]))
    assert clip.persons.tolist() == [0, 0]


def test_the_sources_own_numbers_come_back(tmp_path):
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(4):
        people = []
        for at in (0, 300):
            one = person()
            one["pose2d"] = (rng.random(26) * 100 + at).tolist()
            one["pose3d"] = [float(np.float32(number)) for number in rng.random(39)]
            one["pose2d"][3] = one["pose2d"][16] = -1
            people.append(one)
        frames.append(people)
    pytest.importorskip("trackers")
    clip, _ = clip_of(tmp_path, lcrnet(*frames))
    for name, width in (("keypoints_2d", 2), ("keypoints_3d", 3)):
        numbers = clip.source_values(name)
        for row, (frame, slot) in enumerate(zip(clip.frames, clip.extra["slots"], strict=True)):
            listed = frames[frame][slot][name.replace("keypoints_", "pose")]
            assert numbers[row].tolist() == np.reshape(listed, (width, 13)).T.tolist()
    assert np.isnan(clip.keypoints_2d[:, 3]).all()


def test_nan_tokens_and_unknown_fields_are_reported(tmp_path):
    one = person(mood=3)
    one["pose2d"][4] = float("nan")
    clip, problems = clip_of(tmp_path, lcrnet([person()], [one]))
    assert np.isnan(clip.keypoints_2d[1, 4]).all() and np.isnan(clip.keypoints_3d[1, 4]).all()
    assert [problem.severity for problem in problems] == ["warning"] * 2
    assert problems[0].reason == "fields of other tools were left out: ['mood']"
    assert "not finite" in problems[1].reason and problems[1].position == "frame 1, person 0"


def test_a_person_without_any_joint_is_left_out_with_a_warning(tmp_path):
    clip, problems = clip_of(tmp_path, lcrnet([person()], [person(pose2d=[-1] * 26)]))
    assert clip.frames.tolist() == [0] and clip.num_frames == 2
    assert [problem.position for problem in problems] == ["frame 1, person 0"]


def test_nobody_at_all(tmp_path):
    clip, problems = clip_of(tmp_path, lcrnet([], [], []))
    assert len(clip.frames) == 0 and clip.num_frames == 3 and problems == []


# the npz of SSTA-PRS


def test_alphapose_and_openpose_are_in_cocos_order(tmp_path):
    poses = kpts(3)
    poses[1] = 0
    poses[2, [4, 16]] = 0
    clip, problems = clip_of(tmp_path, npz(poses), f"{NAME}_OP2d.npz")
    assert (clip.layer, clip.skeleton.name, problems) == ("openpose", "coco17", [])
    assert clip.frames.tolist() == [0, 2] and clip.num_frames == 3
    assert np.array_equal(clip.keypoints_2d[0], poses[0])
    assert np.flatnonzero(np.isnan(clip.keypoints_2d[1, :, 0])).tolist() == [4, 16]


def test_the_copies_of_lcrnets_head_do_not_become_a_face(tmp_path):
    clip, _ = clip_of(tmp_path, npz(kpts(2, "lcrnet")), f"{NAME}_LCRNet2d.npz")
    assert clip.skeleton.name == "lcrnet13"
    coco = load_skeleton("coco17")
    for joint, name in enumerate(clip.skeleton.joints):
        index = 0 if name == "head" else coco.index(name)
        assert clip.keypoints_2d[0, joint].tolist() == [10 * index + 1, 10 * index + 2]


def test_a_face_in_a_file_that_is_said_to_be_lcrnets_is_refused(tmp_path):
    poses = kpts(3, "lcrnet")
    poses[2, 3] += 1
    with pytest.raises(InputError, match="nose, eyes and ears differ") as error:
        clip_of(tmp_path, npz(poses), f"{NAME}_LCRNet2d.npz")
    assert error.value.position == "frame 2"


def test_a_clip_is_as_long_as_its_longest_file(tmp_path):
    raw = put(tmp_path, {f"{NAME}_OP2d.npz": npz(kpts(5)), f"{NAME}.json": lcrnet([], [person()]),
                         f"{OTHER}_LCRNet2d.npz": npz(kpts(2, "lcrnet"))})  # fmt: skip
    found = smarthome.discover(raw, OPTIONS)
    description = smarthome.describe(found.samples, OPTIONS)
    read = [smarthome.read(raw, sample, description) for sample in found.samples]
    assert [clip.num_frames for clip, _ in read] == [5, 2, 5]
    (warning,) = read[0][1]
    assert warning.source == f"{NAME}.json" and warning.severity == "warning"
    assert "found 2 frames, expected 5" in warning.reason
    assert read[1][1] == read[2][1] == []


def test_a_broken_file_among_several_leaves_the_length_to_the_others(tmp_path):
    raw = put(tmp_path, {f"{NAME}_OP2d.npz": npz(kpts(5)), f"{NAME}.json": b"{",
                         f"{NAME}_Alphapose2d.npz": b"PK"})  # fmt: skip
    samples = smarthome.discover(raw, OPTIONS).samples
    assert [sample.info for sample in samples] == [{"num_frames": 5}] * 3
    raw = put(tmp_path / "all broken", {f"{NAME}_OP2d.npz": b"", f"{NAME}.json": b""})
    samples = smarthome.discover(raw, OPTIONS).samples
    assert [sample.info for sample in samples] == [{}, {}]


@pytest.mark.real
def test_the_demo_of_the_authors(shared):
    clips, problems = clips_of(locate(shared / "data/smarthome/ssta_demo"))
    assert {name: len(clip.frames) for name, clip in clips.items()} == {
        "alphapose": 1380, "lcrnet": 1379, "openpose": 1376,
    }  # fmt: skip
    assert {clip.num_frames for clip in clips.values()} == {1380}
    (warning,) = problems
    assert warning.source.endswith("LCRNet2d.npz") and "found 1379 frames" in warning.reason
    assert clips["openpose"].info["label_name"] == "WatchTV"
    missing = np.isnan(clips["openpose"].keypoints_2d).all(-1).sum(0)
    assert missing[16] == 1376 and missing[0] == 1259 - 4
    assert not np.isnan(clips["lcrnet"].keypoints_2d).any()
    gone = set(range(1380)) - set(clips["openpose"].frames.tolist())
    assert gone == {520, 645, 1166, 1167}


# as a release


def test_three_experts_become_three_layers_of_one_clip(tmp_path):
    raw = put(tmp_path / "raw", {
        f"{NAME}_OP2d.npz": npz(kpts(5)), f"{NAME}_LCRNet2d.npz": npz(kpts(4, "lcrnet")),
        f"{OTHER}.json": lcrnet([person()], []), f"{OTHER}_Alphapose2d.npz": b"broken",
    })  # fmt: skip
    summary = convert(plan_conversion("smarthome", raw), tmp_path / "out", num_workers=1)
    assert (summary.clips, summary.rejects) == (2, 1)
    assert list(validate(posedata.open_release(tmp_path / "out"))) == []
    release = posedata.open_release(tmp_path / "out")
    for layer, name, frames in (("openpose", NAME, 5), ("lcrnet", NAME, 4), ("lcrnet", OTHER, 1)):
        clip = release.clip(name, layer)
        assert len(clip.frames) == frames
    rows = {row["clip_id"]: row for row in release.clips().to_pylist()}
    assert rows[NAME]["num_frames"] == 5 and rows[OTHER]["subject"] == 2
    clip = release.clip(OTHER, "lcrnet")
    assert clip.source_values("keypoints_2d")[0, 5].tolist() == [105, 60]
    npz_clip = release.clip(NAME, "lcrnet")
    assert np.isnan(npz_clip.keypoints_3d).all() and np.isnan(npz_clip.extra["cumscore"]).all()


@given(st.data())
def test_any_bytes_give_a_clip_or_an_error_of_ours(data):
    name = data.draw(st.sampled_from(["a.json", "a_OP2d.npz", "a_LCRNet2d.npz"]))
    whole = {
        "a.json": lcrnet([person()], [], [person(3, 4)]),
        "a_OP2d.npz": npz(kpts(2)),
        "a_LCRNet2d.npz": npz(kpts(2, "lcrnet")),
    }[name]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    import fsspec

    from posedata.storage import Location

    memory = fsspec.filesystem("memory")
    path = name.replace("a", NAME, 1)
    memory.pipe_file(f"/fuzz/{path}", bytes(content[:cut]))
    raw = Location(memory, f"/fuzz/{path}")
    sample = smarthome.discover(raw, OPTIONS).samples[0]
    try:
        clip, problems = smarthome.read(raw, sample, smarthome.describe([sample], OPTIONS))
    except PosedataError:
        return
    finally:
        memory.rm("/fuzz", recursive=True)
    finite = np.isfinite(clip.keypoints_2d)
    assert (finite.all(-1) == finite.any(-1)).all()
    assert all(problem.severity == "warning" for problem in problems)
