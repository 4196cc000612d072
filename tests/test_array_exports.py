"""The exporters of arrays: `pyskl_export`, `npy_export`, `ctrgcn_export`, `dense_clip`."""

import json
import pickle

import numpy as np
import pytest

import posedata
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.converter import load_converter
from posedata.converters.dense_clip import part_name, two_people
from posedata.errors import InputError, UsageError
from posedata.export import export, plan_export
from posedata.layer_table import LayerTable
from posedata.profiles import agcn, ctrgcn, mmaction2, pyskl, stgcn
from posedata.skeleton import load_skeleton
from posedata.synthetic import make_ntu


@pytest.fixture(scope="module")
def ntu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ntu")
    make_ntu(folder / "raw", 12)
    convert(plan_conversion("ntu", folder / "raw"), folder / "ntu60", num_workers=1)
    return folder / "ntu60"


def exported(release, to, out, profile=None, *, drop=True, **options):
    plan = plan_export(release, to, profile=profile, options=options, drop_misfits=drop)
    return export(plan, out, num_workers=1)


def results(release, profile):
    """The profile's result for each clip that it has one for."""
    found = {}
    for clip in posedata.open_release(release).iter_clips():
        try:
            found[clip.clip_id] = profile.apply(clip)[0]
        except InputError:
            continue
    return found


# profiles: the files are the chain's results in the published order


def test_pyskl_profile(ntu, tmp_path):
    summary = exported(ntu, "pyskl", tmp_path / "a.pkl", "pyskl")
    content = pickle.loads((tmp_path / "a.pkl").read_bytes())
    expected = results(ntu, pyskl.PYSKL)
    order = pyskl.annotation_order(expected, 60)
    assert content["split"] == pyskl.annotation_splits(order, 60)
    assert [a["frame_dir"] for a in content["annotations"]] == order
    for annotation in content["annotations"]:
        mine = expected[annotation["frame_dir"]]
        assert list(annotation) == ["frame_dir", "label", "keypoint", "total_frames"]
        assert annotation["keypoint"].dtype == np.float16
        np.testing.assert_array_equal(annotation["keypoint"], mine["keypoint"])
        assert (annotation["label"], annotation["total_frames"]) == (
            mine["label"], mine["total_frames"],
        )  # fmt: skip
    report = json.loads((tmp_path / "a.export.json").read_bytes())
    assert [step["step"] for step in report["steps"]] == [s.name for s in pyskl.PYSKL.steps]
    assert report["clips"] == summary.clips
    assert report["license"].startswith("NTU RGB+D terms")


@pytest.mark.parametrize("profile", [mmaction2.MMACTION2, mmaction2.MMACTION2_V0])
def test_mmaction2_profiles(ntu, tmp_path, profile):
    exported(ntu, "pyskl", tmp_path / "a.pkl", profile.name)
    content = pickle.loads((tmp_path / "a.pkl").read_bytes())
    expected = results(ntu, profile)
    rows = [
        row for row in posedata.open_release(ntu).clips().to_pylist() if row["clip_id"] in expected
    ]
    table = mmaction2.table(rows, "ntu60")
    assert content["split"] == table.split
    assert [a["frame_dir"] for a in content["annotations"]] == [row.name for row in table.rows]
    for annotation in content["annotations"]:
        np.testing.assert_array_equal(annotation["keypoint"], expected[annotation["frame_dir"]])


def test_ctrgcn_profile(ntu, tmp_path):
    exported(ntu, "ctrgcn", tmp_path / "a", "ctrgcn")
    expected = results(ntu, ctrgcn.CTRGCN)
    names = ctrgcn.available_names(expected, ctrgcn.NTU60)
    longest = max(len(expected[name].joints) for name in names)
    for evaluation in ("CS", "CV"):
        with np.load(tmp_path / "a" / f"NTU60_{evaluation}.npz") as arrays:
            assert list(arrays) == ["x_train", "y_train", "x_test", "y_test"]
            parts = ctrgcn.row_order(names, ctrgcn.NTU60, evaluation)
            for part, rows in zip(("train", "test"), parts, strict=True):
                assert arrays[f"x_{part}"].shape == (len(rows), longest, 150)
                assert arrays[f"x_{part}"].dtype == np.float32
                assert arrays[f"y_{part}"].dtype == np.float64
                for row, label, name in zip(
                    arrays[f"x_{part}"], arrays[f"y_{part}"], rows, strict=True
                ):
                    mine = ctrgcn.pad(expected[name].joints, longest, ctrgcn.NTU60)
                    np.testing.assert_array_equal(row, mine)
                    assert label.argmax() == expected[name].label and label.sum() == 1


@pytest.mark.parametrize(
    ("to", "profile", "name"),
    [("stgcn", stgcn.STGCN, "data"), ("agcn", agcn.AGCN, "data_joint")],
)
def test_npy_profiles(ntu, tmp_path, to, profile, name):
    exported(ntu, to, tmp_path / "a", profile.name)
    expected = results(ntu, profile)
    seen = 0
    for protocol in ("xsub", "xview"):
        for part in ("train", "val"):
            folder = tmp_path / "a" / protocol
            names, labels = pickle.loads((folder / f"{part}_label.pkl").read_bytes())
            data = np.load(folder / f"{part}_{name}.npy", mmap_mode="r")
            assert data.shape == (len(names), *((3, 300, 25, 2) if names else (0, 0, 0, 0)))
            assert data.dtype == np.float32
            for row, stem, label in zip(data, names, labels, strict=True):
                clip_id = stem.removesuffix(".skeleton")
                np.testing.assert_array_equal(row, expected[clip_id])
                assert label == int(clip_id[-3:]) - 1
                seen += 1
    assert seen == 2 * len(expected)


def test_known_bad_samples_are_left_out_and_reported(tmp_path):
    from posedata.synthetic import format_skeleton, skeleton_sample

    (tmp_path / "raw").mkdir()
    for name in ("S001C002P005R002A008", "S001C001P001R001A001"):  # the first is on the list
        content = format_skeleton(skeleton_sample(name, "wave", 15), "\n")[0]
        (tmp_path / "raw" / f"{name}.skeleton").write_bytes(content)
    convert(plan_conversion("ntu", tmp_path / "raw"), tmp_path / "rel", num_workers=1)
    for to, profile in (("pyskl", "pyskl"), ("pyskl", "mmaction2"), ("ctrgcn", "ctrgcn"),
                        ("stgcn", "stgcn"), ("agcn", "agcn")):  # fmt: skip
        out = tmp_path / (profile + (".pkl" if to == "pyskl" else ""))
        summary = exported(tmp_path / "rel", to, out, profile, drop=False)
        assert summary.clips == 1, profile
        assert {"step": "choose_samples", "what": "samples with missing skeletons left out",
                "amount": 1, "clips": 1} in summary.changes  # fmt: skip


def test_the_summary_counts_what_is_in_the_files(tmp_path):
    clips = [flat_clip("a", [0], [0], 2, **SIZE), flat_clip("b", [0], [0], 2, **SIZE)]
    release = write_release(tmp_path / "r", clips, splits=[("fold", "train", "a")])
    summary = exported(release, "stgcn", tmp_path / "out", drop=False)
    assert summary.clips == 1
    assert {"step": "choose_rows", "what": "clips that are in no split", "amount": 1,
            "clips": 1} in summary.changes  # fmt: skip


@pytest.mark.parametrize(
    ("to", "splits"),
    [
        ("stgcn", [("../evil", "train", "a")]),
        ("agcn", [("fold", "../../evil", "a")]),
        ("unik", [("/tmp/evil", "train", "a")]),
        ("ctrgcn", [("../evil", "train", "a")]),
        ("ctrgcn", [("..\\evil", "train", "a")]),
    ],
)
def test_no_name_of_a_split_leads_out_of_the_folder(tmp_path, to, splits):
    release = write_release(tmp_path / "r", [flat_clip("a", [0], [0], 2, **SIZE)], splits=splits)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="not the name of a file"):
        exported(release, to, tmp_path / "deep" / "out", drop=False)
    left = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert all(path.is_relative_to(tmp_path / "deep") for path in left)
    assert not any(path.is_file() for path in left)


def test_a_profile_is_for_one_joint_set_and_format(ntu):
    with pytest.raises(UsageError, match="reads another joint set: found coco17"):
        plan_export(ntu, "pyskl", profile="pyskl", skeleton="coco17")
    with pytest.raises(UsageError, match="no profile of this name: found 'agcn'"):
        plan_export(ntu, "pyskl", profile="agcn")
    with pytest.raises(UsageError, match="unknown format: found 'tfrecord'"):
        plan_export(ntu, "tfrecord")


# without a profile: as it is


def write_release(folder, clips, splits=None):
    """Make a release of clips that are in memory."""
    from posedata.manifest import FILE_NAME, Manifest
    from posedata.release_writer import write_part, write_rejects, write_splits, write_table
    from posedata.storage import locate

    out = locate(folder)
    columns = ("label", "height", "width", "keypoints_3d", "keypoints_2d", "scores")
    have = {*clips[0].arrays, *clips[0].info}
    table = LayerTable(clips[0].layer, clips[0].skeleton, tuple(c for c in columns if c in have),
                       ("a", "b", "c"))  # fmt: skip
    import pyarrow as pa

    rows = [{"clip_id": clip.clip_id, **clip.info} for clip in clips]
    batch = pa.RecordBatch.from_pylist(rows, schema=table.clip_schema)
    part = "data/human/part-00000.parquet"
    if splits is None:
        splits = [
            ("fold", "train" if i % 2 else "test", clip.clip_id) for i, clip in enumerate(clips)
        ]
    files = {
        part: write_part(out / part, table, clips),
        "clips.parquet": write_table(out / "clips.parquet", [batch], table.clip_schema),
        "splits.parquet": write_splits(out / "splits.parquet", splits),
        "rejects.parquet": write_rejects(out / "rejects.parquet", []),
    }
    content = Manifest(
        name="tiny", license="", source="", skeletons={table.skeleton.name: table.skeleton},
        layers={"human": {"skeleton": table.skeleton.name, "columns": list(table.definitions),
                          "label_names": ["a", "b", "c"], "own_columns": {}, "made_by": {}}},
        files=files, history=[],
        counts={"clips": len(clips), "poses": 0, "rejects": 0, "warnings": 0},
    )  # fmt: skip
    (out / FILE_NAME).write_bytes(content.to_json())
    return folder


def flat_clip(clip_id, persons, frames, num_frames, *, dimensions=2, **info):
    rng = np.random.default_rng(len(clip_id) + len(persons))
    skeleton = load_skeleton("coco17")
    keypoints = rng.uniform(-5, 600, (len(persons), 17, dimensions)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (len(persons), 17)).astype(np.float32)
    if len(persons):
        keypoints[0, 3], scores[0, 3] = np.nan, 0
    coordinates = {f"keypoints_{dimensions}d": keypoints}
    if dimensions == 2:
        coordinates["scores"] = scores
    return Clip(
        clip_id, "human", skeleton, np.array(frames, np.int32), np.array(persons, np.int32),
        **coordinates, info={"num_frames": num_frames, "label": 1, **info},
    )  # fmt: skip


SIZE = {"height": 480, "width": 640}


@pytest.fixture
def flat(tmp_path):
    clips = [
        flat_clip("a", [0, 0, 1], [0, 2, 1], 4, **SIZE),
        flat_clip("b", [0], [5], 7, **SIZE),
    ]
    return write_release(tmp_path / "tiny", clips), clips


def test_pyskl_as_it_is(flat, tmp_path):
    release, (first, _) = flat
    summary = exported(release, "pyskl", tmp_path / "a.pkl", drop=False)
    content = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert content["split"] == {"fold_test": ["a"], "fold_train": ["b"]}
    annotation = content["annotations"][0]
    assert {k: v for k, v in annotation.items() if not isinstance(v, np.ndarray)} == {
        "frame_dir": "a", "label": 1, "total_frames": 4, "img_shape": (480, 640),
        "original_shape": (480, 640),
    }  # fmt: skip
    keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
    assert keypoint.shape == (2, 4, 17, 2) and keypoint.dtype == np.float32
    assert score.shape == (2, 4, 17)
    np.testing.assert_array_equal(keypoint[1, 1], first.keypoints_2d[2])
    assert not keypoint[0, 0, 3].any() and score[0, 0, 3] == 0  # missing
    assert not keypoint[0, 1].any()  # nobody
    assert {c["what"]: c["amount"] for c in summary.changes} == {"missing joints written as 0": 2}


def test_pyskl_float16_is_an_option_and_said(flat, tmp_path):
    summary = exported(flat[0], "pyskl", tmp_path / "a.pkl", drop=False, dtype="float16")
    content = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert content["annotations"][0]["keypoint"].dtype == np.float16
    assert "round_to_float16" in {change["step"] for change in summary.changes}


def test_pyskl_needs_a_picture_size_for_2d(tmp_path):
    release = write_release(tmp_path / "r", [flat_clip("a", [0], [0], 1)])
    with pytest.raises(InputError, match=r"no picture size. Give it with --img-shape"):
        exported(release, "pyskl", tmp_path / "a.pkl", drop=False)
    exported(release, "pyskl", tmp_path / "a.pkl", drop=False, **{"img-shape": "256x340"})
    content = pickle.loads((tmp_path / "a.pkl").read_bytes())
    assert content["annotations"][0]["img_shape"] == (256, 340)
    with pytest.raises(UsageError, match="--img-shape: found '256'"):
        exported(release, "pyskl", tmp_path / "b.pkl", **{"img-shape": "256"})


def test_stgcn_as_it_is(flat, tmp_path):
    release, (first, second) = flat
    exported(release, "stgcn", tmp_path / "a", drop=False)
    data = np.load(tmp_path / "a" / "fold" / "test_data.npy")
    assert data.shape == (1, 3, 7, 17, 2)  # the longest clip's frames
    np.testing.assert_array_equal(data[0, :2, 2, :, 0], first.keypoints_2d[1].T)
    np.testing.assert_array_equal(data[0, 2, 2, :, 0], first.scores[1])
    assert not data[0, :, 4:].any()
    names, labels = pickle.loads((tmp_path / "a" / "fold" / "train_label.pkl").read_bytes())
    assert (names, labels) == (["b"], [1])
    train = np.load(tmp_path / "a" / "fold" / "train_data.npy")
    np.testing.assert_array_equal(train[0, :2, 5, :, 0], np.nan_to_num(second.keypoints_2d[0]).T)
    assert not train[..., 1].any()


def test_ctrgcn_as_it_is(flat, tmp_path):
    release, (first, _) = flat
    exported(release, "ctrgcn", tmp_path / "a", drop=False)
    with np.load(tmp_path / "a" / "tiny_fold.npz") as arrays:
        assert arrays["x_test"].shape == (1, 7, 2 * 17 * 3)
        assert arrays["names_test"].tolist() == ["a"]
        assert arrays["y_test"].tolist() == [[0, 1, 0]]
        frame = arrays["x_test"][0, 1].reshape(2, 17, 3)
    assert not frame[0].any()
    np.testing.assert_array_equal(frame[1, :, :2], first.keypoints_2d[2])


THREE = ([0, 0, 1, 2, 2, 2], [0, 1, 0, 0, 1, 2])


@pytest.mark.parametrize("to", ["stgcn", "agcn", "unik", "ctrgcn"])
def test_a_third_person_is_refused_unless_told_how(tmp_path, to):
    release = write_release(tmp_path / "r", [flat_clip("a", *THREE, 3, **SIZE)])
    with pytest.raises(InputError, match=r"more than two people. --people longest keeps two"):
        exported(release, to, tmp_path / "a", drop=False)
    assert not (tmp_path / "a").exists()
    summary = exported(release, to, tmp_path / "a", drop=False, people="longest")
    assert {c["what"]: c["amount"] for c in summary.changes}["people left out"] == 1


def test_the_two_in_the_most_frames_are_kept_in_their_order():
    clip = flat_clip("a", *THREE, 3)
    dense = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)
    changes = []
    assert two_people(dense, clip, "longest", "refuse", changes).ravel().tolist() == [0, 2]


@pytest.mark.parametrize("to", ["stgcn", "ctrgcn", "pyskl"])
def test_a_clip_without_poses_is_refused(tmp_path, to):
    release = write_release(
        tmp_path / "r", [flat_clip("a", [0], [0], 2, **SIZE), flat_clip("b", [], [], 3, **SIZE)]
    )
    out = tmp_path / ("a.pkl" if to == "pyskl" else "a")
    with pytest.raises(InputError, match=r"cannot hold 1 of the clips: found no poses.*e.g. b"):
        exported(release, to, out, drop=False)
    assert exported(release, to, out).misfits["b"].startswith("no poses")
    if to != "pyskl":
        zeros = exported(release, to, tmp_path / "z", drop=False, empty="zeros")
        assert zeros.clips == 2


def test_parts_are_named_as_training_repos_do():
    assert part_name("xsub", "test") == "val"
    assert part_name("xview3", "test") == "val"
    assert part_name("official", "test") == "test"
    assert part_name("cs", "validation") == "validation"
    assert part_name("xset", "train") == "train"


def test_kinetics_profiles_through_a_release(tmp_path):
    """One clip with two people, 3 decimals; the script's array by its own words."""
    poses = np.round(np.random.default_rng(0).uniform(0.1, 0.9, (3, 2, 36)), 3)
    scores = np.round(np.random.default_rng(1).uniform(0.1, 0.9, (3, 2, 18)), 3)
    frames = [
        {"frame_index": t + 1, "skeleton": [
            {"pose": poses[t, m].tolist(), "score": scores[t, m].tolist()} for m in range(2)]}
        for t in range(3)
    ]  # fmt: skip
    folder = tmp_path / "raw" / "kinetics_val"
    folder.mkdir(parents=True)
    content = {"data": frames, "label": "abseiling", "label_index": 0}
    (folder / "-0x.json").write_text(json.dumps(content))
    convert(plan_conversion("kinetics", tmp_path / "raw"), tmp_path / "rel", num_workers=1)
    exported(tmp_path / "rel", "stgcn", tmp_path / "out", "stgcn_kinetics", drop=False)
    data = np.load(tmp_path / "out" / "val_data.npy")
    expected = np.zeros((3, 300, 18, 2))
    for t in range(3):
        order = np.argsort(-scores[t].sum(1))
        for slot, m in enumerate(order):
            expected[0, t + 1, :, slot] = poses[t, m, 0::2] - 0.5
            expected[1, t + 1, :, slot] = poses[t, m, 1::2] - 0.5
            expected[2, t + 1, :, slot] = scores[t, m]
    np.testing.assert_array_equal(data[0], expected.astype(np.float32))
    assert load_converter("kinetics").name == "kinetics"


@pytest.mark.parametrize(
    ("to", "profile"),
    [("pyskl", "pyskl"), ("pyskl", "mmaction2"), ("ctrgcn", "ctrgcn"), ("agcn", "agcn")],
)
def test_workers_prepare_the_same(ntu, to, profile):
    """What a plan sends to another process is a copy: equal to the profile, not the same."""
    plan = plan_export(ntu, to, profile=profile)
    copy = pickle.loads(pickle.dumps(plan))
    assert copy.target.profile is not plan.target.profile
    for clip in posedata.open_release(ntu).iter_clips():
        try:
            mine, _ = plan.exporter.prepare(clip, plan.target)
        except InputError:
            continue
        theirs, _ = copy.exporter.prepare(clip, copy.target)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert mine.facts == theirs.facts
            for name in mine.arrays:
                np.testing.assert_array_equal(mine.arrays[name], theirs.arrays[name])


def test_a_kinetics_file_that_counts_from_0_is_not_late(tmp_path):
    """The script takes frame_index as it is: 1-based files come one frame late, 0-based do not."""
    person = {"pose": [0.5, 0.25] * 18, "score": [0.5] * 18}
    for first in (0, 1):
        frames = [{"frame_index": first + t, "skeleton": [person]} for t in range(3)]
        folder = tmp_path / f"raw{first}" / "kinetics_train"
        folder.mkdir(parents=True)
        content = {"data": frames, "label": "abseiling", "label_index": 0}
        (folder / "clip.json").write_text(json.dumps(content))
        convert(plan_conversion("kinetics", folder.parent), tmp_path / f"rel{first}", num_workers=1)
        out = tmp_path / f"out{first}"
        exported(tmp_path / f"rel{first}", "stgcn", out, "stgcn_kinetics", drop=False)
        data = np.load(out / "train_data.npy")
        there = np.flatnonzero(data[0, 2, :, 0, 0]).tolist()
        assert there == [first, first + 1, first + 2]
