"""Volumes on disk: what the array functions give, all of it, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from fsspec.implementations.local import LocalFileSystem
from made_clips import awkward_clips, clips_in_3d, made_clip, write_release
from typer.testing import CliRunner

from posedata import heatmap_plan, heatmap_volumes
from posedata.cli import heatmaps as command
from posedata.convert import convert, plan_conversion
from posedata.errors import InputError, OutputError, UsageError
from posedata.heatmap_volumes import (
    VolumeOptions,
    clip_volumes,
    make_volumes,
    plan_volumes,
)
from posedata.heatmaps import PYSKL_LIMBS, heatmaps, scale_keypoints
from posedata.release import open_release
from posedata.sample import sample_of
from posedata.storage import Location
from posedata.transforms import SubjectCrop, UniformSampling

SPLITS = [("p", "train", "A001"), ("p", "train", "nobody"), ("p", "train", "elsewhere"),
          ("p", "test", "one_frame")]  # fmt: skip
SMALL = {"frames": 6, "size": (8, 12)}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("releases") / "made", awkward_clips(),
                         splits=SPLITS)  # fmt: skip


@pytest.fixture(autouse=True)
def two_in_a_shard(monkeypatch):
    monkeypatch.setattr(heatmap_plan, "SHARD_VOLUMES", 2)


def run(release, out, *, resume=False, overwrite=False, num_workers=1, **options):
    chosen = {name: options.pop(name) for name in ("limit", "protocol", "split", "skeleton")
              if name in options}  # fmt: skip
    plan = plan_volumes(release, options=VolumeOptions(**{**SMALL, **options}), **chosen)
    return make_volumes(plan, out, resume=resume, overwrite=overwrite, num_workers=num_workers)


def contents(place):
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*"))
            if path.is_file()}  # fmt: skip


def read(place):
    """Read all volumes as a stranger does: by the index, one row group each."""
    report = json.loads((place / "heatmaps.json").read_text())
    found = {}
    for row in pq.read_table(place / "index.parquet").to_pylist():
        (stored,) = pq.ParquetFile(place / row["file"]).read_row_group(row["row"]).to_pylist()
        assert (stored["clip_id"], stored["view"]) == (row["clip_id"], row["view"])
        maps = np.frombuffer(stored["heatmaps"], report["dtype"]).reshape(stored["shape"])
        found[row["clip_id"], row["view"]] = {**row, **stored, "maps": maps}
    return found


# what is drawn


@pytest.mark.parametrize("kind", ["joint", "limb", "both"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_volumes_are_those_of_the_feed(release, tmp_path, kind, dtype):
    """The transforms and array functions that a training run on the release itself uses."""
    run(release, tmp_path / "out", kind=kind, dtype=dtype, clips=2, persons=1, sigma=0.8)
    found = read(tmp_path / "out")
    assert len(found) == 2 * 5
    rng = np.random.default_rng(0)
    for clip in release.iter_clips():
        sample = sample_of(clip, "keypoints_2d", 1)
        sample = UniformSampling(6, clips=2, test=True)(sample, rng)
        frames = sample.frames
        sample = SubjectCrop((8, 12))(sample, rng)
        maps = heatmaps(
            sample.keypoints, sample.scores, size=(8, 12), sigma=0.8, joints=kind != "limb",
            limbs=clip.skeleton.bones if kind != "joint" else None, dtype=dtype,
        )  # fmt: skip
        for view in range(2):
            one = found[clip.clip_id, view]
            assert np.array_equal(one["maps"], maps[:, 6 * view : 6 * view + 6])
            assert one["frames"] == frames[6 * view : 6 * view + 6].tolist()
            assert one["label"] == clip.info["label"]
    assert found["A001", 0]["maps"].max() > 0.5


def test_all_frames_of_the_whole_picture(release, tmp_path):
    report = run(release, tmp_path / "out", frames=None, crop=False, merge="sum", sigma=1.5)
    assert report["shape"] == [17, None, 8, 12]
    found = read(tmp_path / "out")
    for clip in release.iter_clips():
        sample = sample_of(clip, "keypoints_2d", 2)
        maps = heatmaps(
            scale_keypoints(sample.keypoints, (480, 640), (8, 12)), sample.scores, size=(8, 12),
            sigma=1.5, people="sum", dtype="uint8",
        )  # fmt: skip
        one = found[clip.clip_id, 0]
        assert one["shape"] == [17, clip.num_frames, 8, 12]
        assert one["box"] == [0, 0, 640, 480]
        assert np.array_equal(one["maps"], maps)


def test_one_joint_by_hand(tmp_path):
    """The only joint of frame 3 is at the middle of a square of 100 pixels: of 10 maps', (5, 5)."""
    clip = made_clip("a", [range(4)], 4)
    clip.keypoints_2d[:] = np.nan
    clip.keypoints_2d[:3, :2] = [[200, 100], [280, 180]]
    clip.keypoints_2d[3, 4] = (240, 140)
    clip.scores[:] = 1
    options = VolumeOptions(frames=4, size=(10, 10))
    (volume,) = clip_volumes(clip, options, ())
    assert volume.box == (190, 90, 290, 190)
    assert volume.people == 1
    assert np.argwhere(volume.maps[:, 3] == 255).tolist() == [[4, 5, 5]]
    beside = round(255 * np.exp(-1 / (2 * 0.6**2)))
    assert volume.maps[4, 3, 5, 4:7].tolist() == [beside, 255, beside]
    assert not volume.maps[:, 3].any((1, 2))[[0, 1, 2, 3, 5]].any()


def test_random_frames_follow_from_seed_and_clip_alone(release, tmp_path):
    whole = run(release, tmp_path / "a", sampling="train", seed=3, clips=2)
    run(release, tmp_path / "b", sampling="train", seed=3, clips=2, limit=4)
    run(release, tmp_path / "c", sampling="train", seed=4, clips=2)
    a, b, c = (read(tmp_path / name) for name in "abc")
    assert whole["counts"]["volumes"] == 10
    assert {key: one["frames"] for key, one in b.items()} == {key: a[key]["frames"] for key in b}
    assert a["A001", 0]["frames"] != a["A001", 1]["frames"]
    assert any(a[key]["frames"] != c[key]["frames"] for key in a)


def test_other_joints_and_published_limbs(release, tmp_path):
    report = run(release, tmp_path / "a", kind="both", limbs="pyskl")
    joints = list(release.skeleton().joints)
    assert report["limbs"] == [[joints[a], joints[b]] for a, b in PYSKL_LIMBS]
    assert report["channels"][:2] + report["channels"][17:18] == [
        "nose", "left_eye", "nose - left_shoulder"
    ]  # fmt: skip
    flipped = report["channels_flipped"]
    assert flipped[:3] == [0, 2, 1]
    assert [flipped[channel] for channel in flipped] == list(range(34))
    assert report["joint_origins"] == []
    mapped = run(release, tmp_path / "b", skeleton="openpose18")
    assert mapped["joints"][1] == "neck"
    assert {origin["how"] for origin in mapped["joint_origins"]} == {"exact", "derived"}
    assert read(tmp_path / "b")["A001", 0]["maps"][1].any()


@pytest.mark.real
def test_penn(shared, tmp_path):
    """Every joint that is drawn has its peak where the pose has it."""
    conversion = plan_conversion("penn", shared / "data" / "penn", limit=20)
    convert(conversion, tmp_path / "penn", num_workers=1)
    release = open_release(tmp_path / "penn")
    make_volumes(plan_volumes(release), tmp_path / "out", num_workers=1)
    found = read(tmp_path / "out")
    assert len(found) == 20
    peaks = 0
    for clip in release.iter_clips():
        one = found[clip.clip_id, 0]
        x0, y0, x1, y1 = one["box"]
        poses = clip.dense("keypoints_2d")[0, one["frames"]]
        places = (poses - (x0, y0)) * 56 / (x1 - x0, y1 - y0)
        for step, joint in np.argwhere(np.isfinite(places).all(-1)):
            y, x = np.unravel_index(one["maps"][joint, step].argmax(), (56, 56))
            assert np.abs(places[step, joint] - (x, y)).max() <= 0.51
            peaks += 1
    assert peaks > 10_000


# what is said of it


def test_nobody_is_zeros_that_are_flagged(release, tmp_path):
    report = run(release, tmp_path / "out")
    one = read(tmp_path / "out")["nobody", 0]
    assert one["maps"].shape == (17, 6, 8, 12)
    assert not one["maps"].any()
    assert one["people"] == 0
    assert report["counts"] == {"clips": 5, "volumes": 5, "empty": 1, "rejects": 0, "warnings": 1}
    (row,) = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert (row["source"], row["severity"]) == ("nobody", "warning")
    assert "nobody in the 6 frames" in row["reason"]


def test_a_split_and_what_the_layer_lacks_of_it(release, tmp_path):
    with pytest.warns(UserWarning, match="elsewhere"):
        report = run(release, tmp_path / "out", protocol="p", split="train")
    assert sorted(read(tmp_path / "out")) == [("A001", 0), ("nobody", 0)]
    assert report["counts"]["rejects"] == 1
    rows = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert [(r["source"], r["reason"]) for r in rows if r["severity"] == "reject"] == [
        ("elsewhere", "not in the layer made")
    ]
    splits = pq.read_table(tmp_path / "out" / "splits.parquet").to_pylist()
    assert [row["clip_id"] for row in splits] == ["A001", "nobody"]


def test_a_clip_without_a_size_is_rejected(tmp_path):
    clips = [made_clip("a", [range(3)], 3, width=None), made_clip("b", [range(3)], 3)]
    release = write_release(tmp_path / "made", clips)
    report = run(release, tmp_path / "out")
    assert list(read(tmp_path / "out")) == [("b", 0)]
    assert (report["counts"]["clips"], report["counts"]["rejects"]) == (1, 1)
    (row,) = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert "size of the pictures is not known" in row["reason"]
    none = write_release(tmp_path / "none", clips[:1])
    with pytest.raises(InputError, match=r"no clip can be drawn.*size of the pictures"):
        run(none, tmp_path / "nothing")
    assert not list(tmp_path.glob("nothing*"))


def test_the_report_names_every_file_and_its_source(release, tmp_path):
    report = run(release, tmp_path / "out", limit=3)
    out = tmp_path / "out"
    assert sorted([*report["files"], "heatmaps.json"]) == sorted(contents(out))
    for name, entry in report["files"].items():
        content = (out / name).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["rows"] == pq.read_metadata(out / name).num_rows
    assert report["release_files"] == {
        name: release.manifest.files[name]["sha256"] for name in release.part_names("made")
    }
    assert report["made_by"]["options"]["sigma"] == 0.6
    assert (report["value_of_1"], report["label_names"][0]) == (255, "drink water")
    row = pq.read_table(out / "index.parquet").to_pylist()[1]
    assert (row["clip_id"], row["label_name"], row["num_frames"]) == ("A001", "drink water", 10)


def test_five_lines_without_posedata(release, tmp_path):
    run(release, tmp_path / "out")
    page = (Path(__file__).parent.parent / "docs" / "heatmap-volumes.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    assert "posedata" not in code
    code = code.replace('"penn-volumes', f'"{tmp_path / "out"}').replace("17]", "1]")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("A001 0 (17, 6, 8, 12)"), done.stderr


# interruptions and workers


class Killed(BaseException):
    """Ends a run as a kill does: nothing after it is done."""


def killed_after(steps, patch):
    """Let so many files appear, move or disappear, and then end."""
    left = [steps]

    def counted(function):
        def call(self, *arguments, **options):
            if function is not remove or self.exists():
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
            return function(self, *arguments, **options)

        return call

    remove = Location.remove
    patch.setattr(Location, "create", counted(Location.create))
    patch.setattr(Location, "remove", counted(remove))
    patch.setattr(LocalFileSystem, "mv", counted(LocalFileSystem.mv))


@pytest.mark.parametrize("replaces", [False, True])
def test_a_kill_at_any_step_is_resumed_to_the_same_bytes(release, tmp_path, replaces):
    run(release, tmp_path / "expected", limit=3)
    expected = contents(tmp_path / "expected")
    steps, ended = 0, False
    while not ended:
        place = tmp_path / f"{steps}"
        out = place / "out"
        if replaces:
            run(release, out, limit=1)
            before = contents(out)
        with pytest.MonkeyPatch.context() as patch:
            killed_after(steps, patch)
            try:
                run(release, out, limit=3, overwrite=replaces)
                ended = True
            except Killed:
                pass
        if (place / "out.unfinished" / "plan.json").exists():
            if not (place / "out.unfinished" / "closing").exists() and replaces:
                assert contents(out).items() <= before.items()  # nothing half new
            with pytest.raises(OutputError, match="unfinished"):
                run(release, out, limit=3)
            with pytest.raises(OutputError, match="other options"):
                run(release, out, limit=4, resume=True)
            run(release, out, limit=3, resume=True)
        elif not ended:  # as if the run had not been begun
            run(release, out, limit=3, overwrite=replaces)
        assert contents(out) == expected, steps
        assert list(place.iterdir()) == [out]
        steps += 1
    assert steps > 12


def test_two_workers_write_the_same_bytes(release, tmp_path):
    run(release, tmp_path / "one", kind="both")
    run(release, tmp_path / "two", kind="both", num_workers=2)
    assert len(contents(tmp_path / "one")) == 7  # three shards, and four files
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_shards_that_are_done_are_not_drawn_again(release, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        killed_after(5, patch)  # the plan, and two of three shards with their notes
        run(release, tmp_path / "out")
    drawn = []
    draw_shard = heatmap_volumes.draw_shard
    monkeypatch.setattr(heatmap_volumes, "draw_shard",
                        lambda task: drawn.append(task.part) or draw_shard(task))  # fmt: skip
    run(release, tmp_path / "out", resume=True)
    assert drawn == [2]
    run(release, tmp_path / "out", resume=True)  # complete already
    assert drawn == [2]


def test_what_is_there_is_not_touched(release, tmp_path):
    run(release, tmp_path / "out", limit=2)
    before = contents(tmp_path / "out")
    for resume in (False, True):
        with pytest.raises(OutputError, match="exists already"):
            run(release, tmp_path / "out", resume=resume)
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "mine.txt").write_text("kept")
    run(release, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"
    assert len(read(tmp_path / "out")) == 5
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="not an export"):
        run(release, tmp_path / "other", overwrite=True)


def test_other_file_systems(release, tmp_path):
    run(release, tmp_path / "out")
    report = run(release, "memory://volumes", num_workers=2)
    import fsspec

    files = fsspec.filesystem("memory")
    expected = contents(tmp_path / "out")
    assert {name: files.cat(f"/volumes/{name}") for name in expected} == expected
    assert not files.exists("/volumes.unfinished")
    assert report["counts"]["volumes"] == 5


# what cannot be meant


@pytest.mark.parametrize(
    "options, said",
    [
        ({"split": "train"}, "a protocol without a split, or"),
        ({"protocol": "p", "split": "val"}, "no such split"),
        ({"skeleton": "nothing"}, "skeleton"),
        ({"layer": "other"}, "no layer 'other'"),
        ({"limit": 0}, "--limit"),
        ({"sigma": float("nan")}, "sigma"),
        ({"sigma": 0.0}, "sigma"),
        ({"size": (0, 56)}, "size"),
        ({"frames": 0}, "--frames"),
        ({"clips": 0}, "--clips"),
        ({"persons": 0}, "--persons"),
        ({"seed": -1}, "--seed"),
        ({"kind": "bone"}, "--kind"),
        ({"dtype": "int8"}, "--dtype"),
        ({"merge": "mean"}, "--merge"),
        ({"sampling": "dense"}, "--sampling"),
        ({"limbs": "mine"}, "--limbs"),
        ({"frames": None, "clips": 2}, "all frames are one volume"),
        ({"frames": 100_000, "size": (224, 224)}, "too large"),
        ({"limbs": "pyskl", "skeleton": "main13", "kind": "limb"}, "those of coco17"),
    ],
)
def test_options_that_mean_nothing(release, options, said):
    of_plan = ("layer", "protocol", "split", "skeleton", "limit")
    chosen = {name: value for name, value in options.items() if name in of_plan}
    drawn = {name: value for name, value in options.items() if name not in of_plan}
    with pytest.raises(UsageError, match=said):
        plan_volumes(release, options=VolumeOptions(**drawn), **chosen)


def test_releases_that_have_nothing_to_draw(tmp_path):
    with pytest.raises(UsageError, match="no keypoints_2d"):
        plan_volumes(write_release(tmp_path / "metres", clips_in_3d()))
    clip = made_clip("a", [range(3)], 3)
    bare = replace(clip, info={"num_frames": 3, "label": 0})
    without = write_release(tmp_path / "without", [bare], clip_columns=["label"])
    with pytest.raises(UsageError, match="how large the pictures are"):
        plan_volumes(without)


def test_a_clip_that_is_too_long_for_one_volume_is_rejected(monkeypatch, release, tmp_path):
    monkeypatch.setattr(heatmap_plan, "MOST_BYTES", 17 * 10 * 8 * 12)
    report = run(release, tmp_path / "out", frames=None)
    assert report["counts"]["rejects"] == 1
    assert "--33Lscn6sk" not in {clip_id for clip_id, _ in read(tmp_path / "out")}


# the command


def command_line(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command(release, tmp_path):
    line = [release.place.path, "-o", tmp_path / "out", "--size", "12x8", "--frames", 6, "-j", 1]
    planned = command_line(*line, "--dry-run", "--json")
    assert json.loads(planned.stdout) == {
        "out": str(tmp_path / "out"), "layer": "made", "skeleton": "coco17", "clips": 5,
        "volumes": 5, "shape": [17, 6, 8, 12], "dtype": "uint8", "files": 3, "lacking": 0,
    }  # fmt: skip
    assert "would draw 5 volumes of 5 clips" in command_line(*line, "--dry-run").stdout
    assert not (tmp_path / "out").exists()
    done = command_line(*line, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["volumes"], said["empty"], said["shape"]) == (5, 1, [17, 6, 8, 12])
    run(release, tmp_path / "same")
    assert contents(tmp_path / "out") == contents(tmp_path / "same")
    assert isinstance(command_line(*line).exception, OutputError)
    assert isinstance(command_line(*line[:3], "--size", "12").exception, UsageError)


def test_rejects_in_the_exit_code(release, tmp_path):
    line = [release.place.path, "--protocol", "p", "--split", "train", "--frames", 6, "-j", 1]
    done = command_line(*line, "-o", tmp_path / "a")
    assert done.exit_code == 1
    assert "1 clips rejected" in done.stdout
    assert "elsewhere: not in the layer made" in done.stderr
    assert command_line(*line, "-o", tmp_path / "b", "--strict").exit_code == 2


def test_an_interrupt_is_said(release, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(heatmap_volumes, "make_volumes", interrupted)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    done = command_line(release.place.path, "-o", tmp_path / "out")
    assert done.exit_code == 130
    assert "--resume goes on" in done.stderr
