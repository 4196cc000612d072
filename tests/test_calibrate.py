"""C of a layer's poses against their true errors: by hand, who is who, and what is left out."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from posedata.calibrate import SWEEP, calibrate, mean_scores
from posedata.calibration_plot import draw_calibration
from posedata.cli import calibrate as command
from posedata.clip import Clip
from posedata.convert import layer_table
from posedata.converter import Description, LayerDescription
from posedata.errors import OutputError, UsageError
from posedata.evaluate import evaluate
from posedata.fuse import fuse, plan_fusion
from posedata.manifest import Manifest
from posedata.metric_names import parse_metrics
from posedata.release import Release, open_release
from posedata.release_writer import write_part, write_rejects, write_splits, write_table
from posedata.skeleton import load_skeleton
from posedata.storage import locate

KINECT = load_skeleton("nturgbd25")
MAIN = load_skeleton("main13")
LENGTH = 10.0  # of head and neck, pixels
INFO = {"num_frames": 8, "width": 640, "height": 480}
C = [0.9, 0.8, 0.18, 0.1, np.nan]
ERRORS = [0.1, 0.3, 0.4, 0.7, 1.0]  # of the frames, in head-neck distances


def true_clip(clip_id: str, frames: int = 5, persons: tuple[int, ...] = (0,)) -> Clip:
    rows = len(persons) * frames
    keypoints = np.zeros((rows, 25, 2), np.float32)
    keypoints[..., 1] = 20.0 * np.arange(25)
    keypoints[..., 0] = 40.0 * (np.arange(25) % 5)
    keypoints[..., 0] += 300.0 * np.repeat(np.arange(len(persons)), frames)[:, None]
    head, neck = KINECT.index("head"), KINECT.index("neck")
    keypoints[:, head] = keypoints[:, neck] + (0, LENGTH)
    return Clip(
        clip_id, "kinect", KINECT, np.tile(np.arange(frames, dtype=np.int32), len(persons)),
        np.repeat(np.array(persons, np.int32), frames), keypoints_2d=keypoints, info=INFO,
    )  # fmt: skip


def fused_clip(true: Clip, errors: list[float], c: list[float], layer: str = "ssta") -> Clip:
    """The truth's joints, moved sideways by each frame's error."""
    assert true.keypoints_2d is not None
    at = [KINECT.index(name) for name in MAIN.joints if name in KINECT.joints]
    keypoints = true.keypoints_2d[:, at].copy()
    keypoints[..., 0] += LENGTH * np.array(errors, np.float32)[:, None]
    return Clip(
        true.clip_id, layer, MAIN, true.frames, true.persons, keypoints_2d=keypoints,
        scores=np.full(keypoints.shape[:2], 0.6, np.float32),
        extra={"confidence": np.array(c, np.float32)}, info=INFO,
    )  # fmt: skip


def make_release(folder: Path, layers: dict[str, list[Clip]]) -> Release:
    """Write a release of made clips, without a converter."""
    import pyarrow as pa

    place = locate(folder)
    confidence = {"confidence": {"type": "float32", "per": "pose", "shape": [], "about": ""}}
    descriptions = []
    for name, clips in layers.items():
        own = confidence if clips[0].extra else {}
        columns = ("keypoints_2d", *(["scores"] if clips[0].scores is not None else []), *own)
        descriptions.append(
            LayerDescription(name, clips[0].skeleton.name, columns, own_columns=own)
        )
    description = Description("made", "", "", "", "", tuple(descriptions), tuple(INFO))
    tables = {name: layer_table(description, name) for name in layers}
    files = {}
    for name, clips in layers.items():
        path = f"data/{name}/part-00000.parquet"
        files[path] = write_part(place / path, tables[name], clips)
    ids = sorted({clip.clip_id for clips in layers.values() for clip in clips})
    schema = next(iter(tables.values())).clip_schema
    batch = pa.RecordBatch.from_pylist([{"clip_id": i, **INFO} for i in ids], schema=schema)
    files["clips.parquet"] = write_table(place / "clips.parquet", [batch], schema)
    files["splits.parquet"] = write_splits(place / "splits.parquet", [("half", "test", "a")])
    files["rejects.parquet"] = write_rejects(place / "rejects.parquet", [])
    manifest = Manifest(
        name="made", title="", license="", source="",
        skeletons={t.skeleton.name: t.skeleton for t in tables.values()},
        layers={
            d.name: {"skeleton": d.skeleton, "columns": list(tables[d.name].definitions),
                     "own_columns": dict(d.own_columns), "left_out": [], "label_names": [],
                     "made_by": {}}
            for d in descriptions
        },
        clips={"columns": schema.names, "own_columns": {}, "label_names": []}, segment_names=[],
        files=files, history=[],
        counts={"clips": len(ids), "poses": sum(f.get("poses", 0) for f in files.values()),
                "rejects": 0, "warnings": 0},
    )  # fmt: skip
    (place / "README.md").write_bytes(b"made")
    (place / "posedata.json").write_bytes(manifest.to_json())
    return open_release(folder)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Clip a with the errors above; clip b that the fused layer does not have."""
    true = true_clip("a")
    return make_release(tmp_path / "r", {
        "kinect": [true, true_clip("b")], "ssta": [fused_clip(true, ERRORS, C)],
    })  # fmt: skip


def test_numbers_by_hand(release: Release):
    result = calibrate(
        release, "ssta", "kinect", gammas=[0, 0.18, 0.5], edges=[0, 0.35, 0.5, np.inf],
        limits=[0.35, 2],
    )  # fmt: skip
    assert result.measure == "confidence"
    assert result.confidence == pytest.approx(C, nan_ok=True)
    assert result.errors == pytest.approx(ERRORS, abs=1e-5)
    # C = 0.18 is not below 0.18; 0.1 is; a pose without C stays.
    assert result.intervals.poses.tolist() == [2, 1, 2]
    assert result.intervals.kept.tolist() == [[1, 1, 0.5]]
    assert result.sweep.poses.tolist() == [5, 4, 3]
    assert result.sweep.error == pytest.approx([0.5, 1.8 / 4, 1.4 / 3], abs=1e-5)
    assert result.error_thrown_away == pytest.approx([np.nan, 0.7, 0.55], nan_ok=True, abs=1e-5)
    assert result.sweep.pckh == pytest.approx([3 / 5, 3 / 4, 2 / 3])
    assert result.pckh_thrown_away == pytest.approx([np.nan, 0, 0.5], nan_ok=True, abs=1e-9)
    # The four that have a C are in perfect order: the more C, the less error.
    assert result.spearman == pytest.approx(-1)
    assert [(d.limit, d.above) for d in result.detection] == [(0.35, 2), (2, 0)]
    assert result.detection[0].auc == 1 and np.isnan(result.detection[1].auc)
    counts = result.counts
    assert (counts.clips, counts.clips_without_layer, counts.compared) == (1, 1, 5)
    assert (counts.true_poses, counts.paired_poses, counts.extra_poses) == (5, 5, 0)
    assert counts.without_confidence == 1


def test_worthless_and_wrong_confidence(tmp_path: Path):
    true = true_clip("a")
    for c, spearman, auc in (([0.1, 0.2, 0.3, 0.4, 0.5], 1, 0), ([0.5] * 5, np.nan, 0.5)):
        folder = tmp_path / str(auc)
        made = make_release(folder, {"kinect": [true], "ssta": [fused_clip(true, ERRORS, c)]})
        result = calibrate(made, "ssta", "kinect")
        assert result.spearman == pytest.approx(spearman, nan_ok=True)
        assert result.detection[0].auc == auc


def test_error_is_the_metric_of_that_name(release: Release):
    (score,) = evaluate(release, ["ssta"], "kinect", parse_metrics("nmpjpe_headneck")).scores
    result = calibrate(release, "ssta", "kinect", gammas=[0])
    assert result.sweep.error[0] == pytest.approx(score.value)
    assert result.sweep.joints[0] == score.joints


def test_missing_joints_and_heads_are_left_out(tmp_path: Path):
    true = true_clip("a")
    assert true.keypoints_2d is not None
    lacking = true.keypoints_2d.copy()
    lacking[0, KINECT.index("neck")] = np.nan  # frame 0 cannot be measured
    lacking[1, KINECT.index("head")] = lacking[1, KINECT.index("neck")]  # nor can frame 1
    fused = fused_clip(true, ERRORS, C)
    assert fused.keypoints_2d is not None
    fused.keypoints_2d[2] = np.nan
    fused.keypoints_2d[3, 1:] = np.nan
    made = make_release(
        tmp_path / "r", {"kinect": [replace(true, keypoints_2d=lacking)], "ssta": [fused]}
    )
    result = calibrate(made, "ssta", "kinect", gammas=[0])
    assert result.errors == pytest.approx([0.7, 1], abs=1e-5)
    assert result.sweep.joints.tolist() == [1 + len(result.joints)]
    assert (result.counts.paired_poses, result.counts.compared) == (5, 2)


def test_without_c_it_is_the_mean_score_and_says_so(tmp_path: Path):
    true = true_clip("a")
    fused = replace(fused_clip(true, ERRORS, C), extra={})
    assert fused.scores is not None and fused.keypoints_2d is not None
    fused.scores[:] = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)[:, None]
    fused.scores[0, 0], fused.keypoints_2d[0, 0] = 0, np.nan  # missing: not in the mean
    layers = {"kinect": [true], "net": [replace(fused, layer="net")]}
    made = make_release(tmp_path / "r", layers)
    result = calibrate(made, "net", "kinect")
    assert result.measure == "scores" and result.fused_with_gamma is None
    assert result.confidence == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
    shown = CliRunner().invoke(app(), [str(made.place), "--layer", "net", "--truth", "kinect"])
    assert (
        "net against kinect: mean score of each pose, since the layer stores no C" in shown.output
    )
    with pytest.raises(UsageError, match="layer kinect does not say how sure it is"):
        calibrate(made, "kinect", "net")


def test_mean_score_of_nobody_is_missing():
    clip = fused_clip(true_clip("a"), ERRORS, C)
    assert clip.keypoints_2d is not None
    clip.keypoints_2d[1] = np.nan
    assert mean_scores(clip) == pytest.approx([0.6, np.nan, 0.6, 0.6, 0.6], nan_ok=True)


def test_people_of_other_ids_are_paired_as_in_evaluate(tmp_path: Path):
    true = true_clip("a", persons=(0, 1))
    fused = fused_clip(true, 2 * ERRORS, 2 * C)
    order = [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]  # the persons are numbered the other way round
    assert fused.keypoints_2d is not None
    swapped = replace(fused, keypoints_2d=fused.keypoints_2d[order])
    made = make_release(tmp_path / "r", {"kinect": [true], "ssta": [swapped]})
    result = calibrate(made, "ssta", "kinect")
    assert result.counts.clips_by_oks == 1
    assert result.errors == pytest.approx(2 * ERRORS, abs=1e-4)
    by_id = calibrate(made, "ssta", "kinect", people="id")
    assert by_id.counts.clips_by_oks == 0 and by_id.errors.min() > 20
    assert calibrate(made, "ssta", "kinect", joints=["left_knee"]).joints == ("left_knee",)


def test_poses_without_a_true_one_are_counted(tmp_path: Path):
    fused = fused_clip(true_clip("a"), ERRORS, C)
    layers = {"kinect": [true_clip("a", frames=1)], "ssta": [fused]}
    result = calibrate(make_release(tmp_path / "r", layers), "ssta", "kinect")
    assert (result.counts.paired_poses, result.counts.extra_poses) == (1, 4)
    assert result.counts.extra_poses_kept == 3  # all but C = 0.1


def test_what_cannot_be_compared(release: Release, tmp_path: Path):
    with pytest.raises(UsageError, match="layer ssta has no spine_mid"):
        calibrate(release, "ssta", "kinect", joints=["spine_mid"])
    with pytest.raises(UsageError, match="no layer 'none'"):
        calibrate(release, "none", "kinect")
    with pytest.raises(UsageError, match="no clip in common"):
        calibrate(release, "ssta", "kinect", clip_ids=["b"])
    true = true_clip("a")
    coco = replace(true, layer="coco", skeleton=load_skeleton("coco17"),
                   keypoints_2d=np.ones((5, 17, 2), np.float32))  # fmt: skip
    made = make_release(tmp_path / "c", {"coco": [coco], "ssta": [fused_clip(true, ERRORS, C)]})
    with pytest.raises(UsageError, match="head and neck"):
        calibrate(made, "ssta", "coco")


def test_gamma_of_the_fusion_is_told(tmp_path: Path):
    true = true_clip("a")
    experts = {name: [fused_clip(true, ERRORS, C, name)] for name in ("one", "two")}
    made = make_release(tmp_path / "r", {"kinect": [true], **experts})
    for gamma, layer in ((0.18, "low"), (0.0, "all")):
        fuse(plan_fusion(made.place, ["one", "two"], gamma=gamma, layer=layer), num_workers=1)
    made = open_release(made.place)
    assert calibrate(made, "low", "kinect").fused_with_gamma == 0.18
    assert calibrate(made, "all", "kinect").fused_with_gamma == 0
    arguments = [str(made.place), "--truth", "kinect", "--layer"]
    told = "the fusion has discarded poses below 0.18 already: to judge that, fuse with --gamma 0"
    assert told in CliRunner().invoke(app(), [*arguments, "low"]).output
    assert "already" not in CliRunner().invoke(app(), [*arguments, "all"]).output


def app() -> typer.Typer:
    made = typer.Typer()
    command.register(made)
    return made


def test_command(release: Release, tmp_path: Path):
    arguments = [str(release.place), "--layer", "ssta", "--truth", "kinect"]
    table, plot = tmp_path / "c.csv", tmp_path / "c.png"
    files = ["--csv", str(table), "--plot", str(plot)]
    shown = CliRunner().invoke(app(), [*arguments, "--intervals", "0,0.35,0.5", *files])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[0] == "ssta against kinect: C of each pose, as the fusion stored it"
    assert "1 poses without confidence are always kept" in lines[2]
    assert "rank correlation of confidence and error (Spearman): -1.000" in lines
    assert "area under the ROC, error above 0.5: 1.000 (1 poses are above)" in lines
    assert "0.5 and above  2      50.0%" in lines
    wanted = ["0.18", "4", "80.0%", "0.450", "0.700", "0.750", "0.000"]
    assert any(line.split() == wanted for line in lines)

    rows = list(csv.DictReader(table.open()))
    assert [row["table"] for row in rows] == ["intervals"] * 3 + ["sweep"] * (len(SWEEP) + 1)
    assert (rows[2]["error_from"], rows[2]["error_to"], rows[2]["poses_kept"]) == ("0.5", "", "1")
    assert rows[3]["error_thrown_away"] == ""
    assert plot.read_bytes().startswith(b"\x89PNG")

    again = CliRunner().invoke(app(), [*arguments, "--csv", str(table)])
    assert isinstance(again.exception, OutputError)
    as_json = [*arguments, "--json", "--sweep", "0,0.5", "--error-above", "0.35"]
    found = json.loads(CliRunner().invoke(app(), as_json).output)
    assert [row["gamma"] for row in found["sweep"]] == [0, 0.18, 0.5]
    assert found["sweep"][0]["error_thrown_away"] is None
    assert found["detection"] == [{"error_above": 0.35, "poses": 2, "auc": 1.0}]
    assert found["counts"]["clips_without_layer"] == 1
    assert found["intervals"][-1]["error_to"] is None


def test_split(release: Release):
    arguments = [str(release.place), "--layer", "ssta", "--truth", "kinect", "--json"]
    found = json.loads(CliRunner().invoke(app(), [*arguments, "--protocol", "half"]).output)
    assert (found["counts"]["clips"], found["counts"]["clips_without_layer"]) == (1, 0)


@pytest.mark.parametrize(
    "options",
    [["--sweep", "a"], ["--gamma", "nan"], ["--error-above", "-1"], ["--plot", "c.pdf"],
     ["--intervals", "1,0.5"]],
)  # fmt: skip
def test_options_that_mean_nothing(release: Release, options: list[str]):
    arguments = [str(release.place), "--layer", "ssta", "--truth", "kinect", *options]
    assert isinstance(CliRunner().invoke(app(), arguments).exception, UsageError)
    assert not Path("c.pdf").exists()


def test_picture_of_many_poses_is_a_density(release: Release):
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    few = calibrate(release, "ssta", "kinect")
    c = np.random.default_rng(0).random(5000)
    many = replace(few, confidence=c, errors=1 - c)
    for result, kind in ((few, 0), (many, 1)):
        figure = Figure()
        draw_calibration(result, figure)
        found = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
        assert len(found) == kind
        dots = [len(line.get_xdata()) for line in figure.axes[0].lines]
        assert dots == ([4, 2], [2])[kind]  # the poses that have a C; the line of gamma
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights == pytest.approx(np.nan_to_num(few.intervals.kept[0]))
    curves = {line.get_label(): line.get_ydata() for line in figure.axes[3].lines}
    assert curves["kept"] == pytest.approx(few.sweep.error, nan_ok=True)
    assert curves["thrown away"] == pytest.approx(few.error_thrown_away, nan_ok=True)


def test_plot_is_the_same_to_the_byte(release: Release, tmp_path: Path):
    arguments = [str(release.place), "--layer", "ssta", "--truth", "kinect", "--plot"]
    for kind in ("png", "svg"):
        names = [tmp_path / f"{n}.{kind}" for n in "ab"]
        for name in names:
            assert CliRunner().invoke(app(), [*arguments, str(name)]).exit_code == 0
        assert names[0].read_bytes() == names[1].read_bytes()
        assert b"dc:date" not in names[0].read_bytes()
