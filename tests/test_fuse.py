"""`posedata.fuse`: layers of experts become one, for each person of each clip."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import posedata
from posedata.clip import Clip
from posedata.consensus import consensus
from posedata.convert import layer_table
from posedata.converter import Description, LayerDescription
from posedata.errors import OutputError, UsageError
from posedata.fuse import fuse, fuse_clip, plan_fusion
from posedata.fusion_methods import METHODS, fusion_method, head_and_neck
from posedata.manifest import Manifest
from posedata.release_writer import write_part, write_rejects, write_splits, write_table
from posedata.remap import remap
from posedata.skeleton import load_skeleton
from posedata.ssta import aggregate
from posedata.storage import locate
from posedata.validate import validate

MAIN = load_skeleton("main13")
INFO = {"num_frames": 12, "width": 640, "height": 480}


def clip(layer, rows, skeleton=MAIN, clip_id="a", shift=0.0, score=0.5):
    """Rows of (person, frame); joint v of person p in frame t at (100 p + t, 10 v) + shift."""
    rows = sorted(rows)
    joints = skeleton.num_joints
    keypoints = np.zeros((len(rows), joints, 2), np.float32)
    for row, (person, frame) in enumerate(rows):
        keypoints[row, :, 0] = 100 * person + frame + shift
        keypoints[row, :, 1] = 10 * np.arange(joints)
    return Clip(
        clip_id, layer, skeleton, np.array([f for _, f in rows], np.int32),
        np.array([p for p, _ in rows], np.int32), keypoints_2d=keypoints,
        scores=np.full((len(rows), joints), score, np.float32), info=INFO,
    )  # fmt: skip


def everyone(frames=12, persons=2):
    return [(p, t) for p in range(persons) for t in range(frames)]


def make_release(folder: Path, layers: dict[str, list[Clip]]) -> Path:
    """Write a release of made clips, without a converter."""
    place = locate(folder)
    descriptions = tuple(
        LayerDescription(name, clips[0].skeleton.name, ("keypoints_2d", "scores"))
        for name, clips in layers.items()
    )
    description = Description("made", "", "", "", "", descriptions, tuple(INFO))
    tables = {name: layer_table(description, name) for name in layers}
    files = {}
    for name, clips in layers.items():
        path = f"data/{name}/part-00000.parquet"
        files[path] = write_part(place / path, tables[name], clips)
    import pyarrow as pa

    ids = sorted({one.clip_id for clips in layers.values() for one in clips})
    schema = next(iter(tables.values())).clip_schema
    batch = pa.RecordBatch.from_pylist([{"clip_id": i, **INFO} for i in ids], schema=schema)
    files["clips.parquet"] = write_table(place / "clips.parquet", [batch], schema)
    files["splits.parquet"] = write_splits(place / "splits.parquet", [])
    files["rejects.parquet"] = write_rejects(place / "rejects.parquet", [])
    manifest = Manifest(
        name="made", title="", license="", source="",
        skeletons={t.skeleton.name: t.skeleton for t in tables.values()},
        layers={
            name: {"skeleton": table.skeleton.name, "columns": list(table.definitions),
                   "own_columns": {}, "left_out": [], "label_names": [], "made_by": {}}
            for name, table in tables.items()
        },
        clips={"columns": schema.names, "own_columns": {}, "label_names": []}, segment_names=[],
        files=files, history=[],
        counts={"clips": len(ids), "poses": sum(f.get("poses", 0) for f in files.values()),
                "rejects": 0, "warnings": 0},
    )  # fmt: skip
    (place / "README.md").write_bytes(b"made")
    (place / "posedata.json").write_bytes(manifest.to_json())
    return folder


@pytest.fixture
def release(tmp_path):
    rows = everyone()
    return make_release(tmp_path / "r", {
        "one": [clip("one", rows), clip("one", rows, clip_id="b")],
        "two": [clip("two", rows, shift=2.0, score=0.7)],
        "three": [clip("three", rows, shift=30.0), clip("three", [], clip_id="b")],
    })  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_layer_is_what_the_equations_give_for_each_person(release):
    summary = fuse(plan_fusion(release, ["one", "two", "three"], gamma=0.0), num_workers=1)
    made = posedata.open_release(release)
    assert list(validate(made)) == []
    assert (summary.clips, summary.poses) == (2, 48)
    fused = made.clip("a", "ssta")
    for person in (0, 1):
        proposals = np.stack([
            made.clip("a", layer).dense("keypoints_2d")[person] for layer in ("one", "two", "three")
        ])  # fmt: skip
        wanted = aggregate(proposals, *head_and_neck(MAIN))
        mine = fused.persons == person
        np.testing.assert_array_equal(fused.keypoints_2d[mine], wanted.keypoints)
        np.testing.assert_array_equal(fused.extra["confidence"][mine], wanted.confidence)
        np.testing.assert_array_equal(fused.extra["winner"][mine], wanted.winner)
    assert (fused.scores == np.float32(0.5)).all()  # the first of the closest pair wins
    assert made.manifest.layers["ssta"]["made_by"]["experts"] == ["one", "two", "three"]


def test_consensus_is_that_of_each_person(release):
    fuse(plan_fusion(release, ["one", "two", "three"], method="consensus"), num_workers=1)
    made = posedata.open_release(release)
    assert list(validate(made)) == []
    fused = made.clip("a", "consensus")
    for person in (0, 1):
        layers = [made.clip("a", layer) for layer in ("one", "two", "three")]
        wanted = consensus(
            np.stack([layer.dense("keypoints_2d")[person] for layer in layers]),
            np.stack([layer.dense("scores")[person] for layer in layers]),
        )
        mine = fused.persons == person
        np.testing.assert_array_equal(fused.keypoints_2d[mine], wanted.keypoints)
        np.testing.assert_array_equal(fused.scores[mine], wanted.scores)
    assert (fused.extra["confidence"] > 0.18).all()


def test_a_clip_that_one_expert_alone_has_is_that_experts(release):
    fuse(plan_fusion(release, ["one", "two", "three"]), num_workers=1)
    made = posedata.open_release(release)
    alone = made.clip("b", "ssta")
    np.testing.assert_array_equal(alone.keypoints_2d, made.clip("b", "one").keypoints_2d)
    np.testing.assert_array_equal(alone.extra["present"], np.full(24, 1 / 3, np.float32))


def test_gaps_stay_and_frames_are_the_videos_own():
    rows = [(3, t) for t in (2, 3, 7, 8)]
    fused, _ = fuse_clip(
        [clip("one", rows), clip("two", rows[:3], shift=1.0)], MAIN, METHODS["ssta"], "x", INFO, 0.0
    )
    assert fused.frames.tolist() == [2, 3, 7, 8]
    assert fused.persons.tolist() == [3, 3, 3, 3]


def test_poses_below_gamma_are_discarded_and_told(release):
    summary = fuse(plan_fusion(release, ["one", "three"], gamma=0.9, layer="strict"), num_workers=1)
    made = posedata.open_release(release)
    assert len(made.clip("a", "strict").frames) == 0
    (row,) = made.rejects().to_pylist()
    assert "discarded: 24" in row["reason"] and row["severity"] == "warning"
    assert summary.warnings == 1
    assert list(validate(made)) == []


def test_joints_are_compared_by_name():
    """COCO has no head: its nose stands for it, by the rule of the remap."""
    coco = load_skeleton("coco17")
    fused, _ = fuse_clip(
        [clip("one", everyone(), coco), clip("two", everyone(), coco)], MAIN, METHODS["ssta"], "x",
        INFO, 0.0,
    )  # fmt: skip
    nose, wrist = coco.index("nose"), coco.index("left_wrist")
    assert (fused.keypoints_2d[:, MAIN.index("head"), 1] == 10 * nose).all()
    assert (fused.keypoints_2d[:, MAIN.index("left_wrist"), 1] == 10 * wrist).all()


def test_a_preferred_layer_takes_precedence_where_it_has_a_joint(release, tmp_path):
    human = clip("human", [(0, 4)], shift=-7.0)
    human.keypoints_2d[0, 2:] = np.nan
    human.scores[0, 2:] = 0
    rows = everyone()
    place = make_release(tmp_path / "h", {
        "one": [clip("one", rows), clip("one", rows, clip_id="b")],
        "two": [clip("two", rows, shift=2.0)], "human": [human],
    })  # fmt: skip
    fuse(plan_fusion(place, ["one", "two"], prefer="human", gamma=0.0), num_workers=1)
    made = posedata.open_release(place)
    assert list(validate(made)) == []
    fused = made.clip("a", "ssta")
    row = np.flatnonzero((fused.persons == 0) & (fused.frames == 4))[0]
    assert fused.extra["preferred"].sum() == 2
    assert fused.extra["preferred"][row].tolist() == [1, 1] + [0] * 11
    np.testing.assert_array_equal(fused.keypoints_2d[row, :2], human.keypoints_2d[0, :2])
    assert made.clip("b", "ssta").extra["preferred"].sum() == 0


def test_what_cannot_be_fused_is_refused(release):
    for experts in (["one"], ["one", "one"], ["one", "nobody"]):
        with pytest.raises(UsageError):
            plan_fusion(release, experts)
    with pytest.raises(UsageError, match="--method"):
        plan_fusion(release, ["one", "two"], method="magic")
    with pytest.raises(UsageError, match="three experts and --joints coco17"):
        fuse(plan_fusion(release, ["one", "two"], method="ssta-prs"), num_workers=1)


def test_a_layer_is_never_replaced(release):
    fuse(plan_fusion(release, ["one", "two"]), num_workers=1)
    with pytest.raises(OutputError, match="layer ssta already"):
        fuse(plan_fusion(release, ["one", "three"]), num_workers=1)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the program handles it."""


def test_a_fusion_ended_anywhere_resumes_to_the_same_bytes(release, tmp_path, monkeypatch):
    count, last = 0, 0
    original = Path.replace

    def dying(*arguments):
        nonlocal count
        count += 1
        if count == last:
            raise KilledError
        return original(*arguments)

    whole = tmp_path / "whole"
    shutil.copytree(release, whole)
    with monkeypatch.context() as context:
        context.setattr(Path, "replace", dying)
        fuse(plan_fusion(whole, ["one", "two"]), num_workers=1)
    wanted, steps = contents(whole), count
    assert steps > 8
    for last in range(1, steps + 1):
        count, target = 0, tmp_path / f"killed{last}"
        shutil.copytree(release, target)
        with monkeypatch.context() as context, pytest.raises(KilledError):
            context.setattr(Path, "replace", dying)
            fuse(plan_fusion(target, ["one", "two"]), num_workers=1)
        fuse(plan_fusion(target, ["one", "two"]), resume=True, num_workers=1)
        assert contents(target) == wanted, f"after a kill at change {last}"


@pytest.mark.parametrize(
    ("skeleton", "head", "neck"),
    [
        ("main13", "head", ("left_shoulder", "right_shoulder")),
        ("coco17", "nose", ("left_shoulder", "right_shoulder")),
        ("mpii16", "head_top", "upper_neck"),
    ],
)
def test_the_joints_that_measure_the_head(skeleton, head, neck):
    skeleton = load_skeleton(skeleton)
    expected = tuple(map(skeleton.index, neck)) if isinstance(neck, tuple) else skeleton.index(neck)
    assert head_and_neck(skeleton) == (skeleton.index(head), expected)


def test_methods_are_found_by_name():
    assert fusion_method("ssta") is METHODS["ssta"]


@pytest.mark.real
def test_the_authors_demo_is_what_their_script_gives(shared, tmp_path):
    """As a release: their (0, 0), the last frame among them, are missing joints."""
    from posedata.convert import convert, plan_conversion
    from posedata.ssta_prs import aggregate_prs

    out = tmp_path / "demo"
    convert(plan_conversion("smarthome", shared / "data/smarthome/ssta_demo"), out, num_workers=1)
    release = posedata.open_release(out)
    experts = ["alphapose", "lcrnet", "openpose"]
    plan = plan_fusion(out, experts, method="ssta-prs", joints="coco17", gamma=0.0)
    assert release.layers and plan.samples
    fuse(plan, num_workers=1)
    made = posedata.open_release(out)
    (fused,) = made.iter_clips("ssta-prs")
    assert fused.frames.max() < fused.num_frames - 1
    dense = []
    for layer in experts:
        (clip_of_layer,) = made.iter_clips(layer)
        poses = remap(clip_of_layer.dense("keypoints_2d")[0], clip_of_layer.skeleton, "coco17")
        dense.append(np.where(np.isfinite(poses.keypoints), poses.keypoints, np.float32(0)))
    wanted = aggregate_prs(dense)
    mine = fused.dense("keypoints_2d")[0]
    there = np.isfinite(mine)
    assert np.abs(mine[there] - wanted.keypoints[there]).max() < 1e-5
