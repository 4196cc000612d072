"""Exports lose nothing silently: not by misfits, kills, workers, or what was there before."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from made_clips import awkward_clips, made_clip, write_release

from posedata import export as exporting
from posedata import export_plan
from posedata.errors import InputError, OutputError, UsageError
from posedata.export import export, plan_export
from posedata.exporter import Exporter, Item, list_exporters
from posedata.profile import Change
from posedata.release import Release
from posedata.storage import Location


@pytest.fixture
def release(tmp_path) -> Release:
    return write_release(tmp_path / "release", awkward_clips())


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(release: Release, out: object, to: str = "csv", **options):
    """Export in this process; ``resume`` and ``overwrite`` are of the run, the rest of the plan."""
    of_run = {key: options.pop(key) for key in ("resume", "overwrite", "num_workers")
              if key in options}  # fmt: skip
    return export(plan_export(release, to, **options), out, **{"num_workers": 1, **of_run})


def without_width(release_place: Path) -> Release:
    """Make a release with two clips that COCO cannot hold."""
    clips = awkward_clips()
    for clip in clips[:2]:
        del clip.info["width"]
    return write_release(release_place, clips)


# What the report says


def test_the_report_says_what_was_done(release, tmp_path):
    summary = run(release, tmp_path / "out", "csv")
    report = json.loads((tmp_path / "out" / "export.json").read_text("utf-8"))
    assert summary.report == str(tmp_path / "out" / "export.json")
    made_by = report.pop("made_by")
    assert made_by.pop("release") == hashlib.sha256(release.manifest.to_json()).hexdigest()
    assert made_by.pop("posedata")
    assert made_by == {
        "operation": "export", "format": "csv", "layer": "made", "skeleton": "coco17",
        "profile": None, "options": {}, "clips": "all", "misfits": "refuse",
    }  # fmt: skip
    assert report == {
        "format": "csv", "name": "made", "license": "none", "layer": "made", "skeleton": "coco17",
        "profile": None, "steps": [], "clips": 5, "changes": [], "misfits": {}, "joints": [],
        "files": ["clips.csv", "dataset.json", "persons.csv", "poses.csv"],
    }  # fmt: skip


def test_the_report_has_no_clock_and_no_place(release, tmp_path):
    run(release, tmp_path / "a")
    run(release, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_changes_are_added_up_over_all_files_of_the_layer(tmp_path, release):
    summary = run(release, tmp_path / "out.json", "coco")
    what = "column scores is not in the format"
    assert {"step": "write", "what": what, "amount": 5, "clips": 5} in summary.changes
    exporter = Exporter(
        "odd", "", ".txt", lambda clip, target: (Item(clip.clip_id), [Change("step", "frames", n)
                                                 for n in (clip.num_frames, 1)]),
        lambda target, items, out: out.write_bytes(b"") or (),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_plan, "load_exporter", lambda name: exporter)
        summary = run(release, tmp_path / "out.txt", "odd")
    assert summary.changes == [{"step": "step", "what": "frames", "amount": 10 + 20 + 6 + 1 + 7 + 5,
                                "clips": 5}]  # fmt: skip


def test_other_joints_come_with_a_ledger(release, tmp_path):
    summary = run(release, tmp_path / "out.json", "coco", skeleton="openpose18")
    report = json.loads((tmp_path / "out.export.json").read_text())
    assert summary.skeleton == report["skeleton"] == "openpose18"
    origins = {joint["joint"]: joint for joint in report["joints"]}
    assert len(origins) == 18
    assert origins["nose"]["how"] == "exact"
    assert origins["neck"] == {
        "joint": "neck", "how": "derived", "rule": "mid_shoulders",
        "parents": [["left_shoulder", 0.5], ["right_shoulder", 0.5]],
    }  # fmt: skip
    content = json.loads((tmp_path / "out.json").read_text())
    neck = np.array([a["keypoints"][3:5] for a in content["annotations"]])
    clips = {clip.clip_id: clip for clip in awkward_clips()}
    by_id = {video["id"]: clips[video["name"]] for video in content["videos"]}
    images = {image["id"]: image for image in content["images"]}
    for annotation, found in zip(content["annotations"], neck, strict=True):
        image = images[annotation["image_id"]]
        clip = by_id[image["video_id"]]
        person = clip.person_ids.index(str(annotation["track_id"]))
        row = np.flatnonzero((clip.persons == person) & (clip.frames == image["frame_id"]))[0]
        expected = clip.keypoints_2d[row, 5:7].astype(float).mean(0).astype(np.float32)
        np.testing.assert_array_equal(found.astype(np.float32), np.nan_to_num(expected))


def test_labels_with_odd_line_ends_survive(tmp_path):
    odd = "a\u2028b\x85c\x0bd"
    release = write_release(tmp_path / "release", [made_clip("A", [[0]], 1, label_name=odd)])
    run(release, tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["videos"][0]["label_name"] == odd


# Which clips


def test_misfits_are_refused_with_their_names_and_nothing_is_written(tmp_path):
    release = without_width(tmp_path / "release")
    with pytest.raises(InputError) as error:
        run(release, tmp_path / "out.json", "coco")
    for part in ("coco cannot hold 2 of the clips", "no width and height", "(2 clips, e.g. "
                 "--33Lscn6sk)", "--misfits drop"):  # fmt: skip
        assert part in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release"]


def test_misfits_can_be_left_out_and_the_report_names_them(tmp_path):
    release = without_width(tmp_path / "release")
    summary = run(release, tmp_path / "out.json", "coco", drop_misfits=True)
    report = json.loads((tmp_path / "out.export.json").read_text())
    assert list(report["misfits"]) == ["--33Lscn6sk", "A001"]
    assert report["misfits"] == summary.misfits
    assert summary.clips == report["clips"] == 3
    videos = json.loads((tmp_path / "out.json").read_text())["videos"]
    assert [video["name"] for video in videos] == ["Cook.Cleandishes_p02", "nobody", "one_frame"]


def test_clips_without_poses_in_the_layer_are_misfits(tmp_path):
    further = [{"clip_id": "B", "num_frames": 3, "label_name": "x"}]
    release = write_release(tmp_path / "release", [made_clip("A", [[0]], 1)], further=further)
    with pytest.raises(InputError, match="no poses in the layer made"):
        run(release, tmp_path / "out")
    assert run(release, tmp_path / "out", drop_misfits=True).misfits == {
        "B": "no poses in the layer made"
    }


def test_nothing_left_to_export_is_an_error(tmp_path):
    clip = made_clip("A", [[0]], 1, arrays=["keypoints_3d"])
    release = write_release(tmp_path / "release", [clip])
    with pytest.raises(InputError, match=r"nothing to export.*no keypoints_2d"):
        run(release, tmp_path / "out.json", "coco", drop_misfits=True)
    assert not (tmp_path / "out.json").exists()


def test_limit_takes_the_first_clips(release, tmp_path):
    assert run(release, tmp_path / "out", limit=2).clips == 2
    lines = (tmp_path / "out" / "clips.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ['"--33Lscn6sk"', '"A001"']
    with pytest.raises(UsageError, match="--limit"):
        run(release, tmp_path / "none", limit=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"to": "cvs"}, "unknown format.*csv"), ({"layer": "other"}, "no layer 'other'"),
     ({"profile": "pyskl"}, "no profile of this name"), ({"options": {"x": "1"}}, "no option --x"),
     ({"options": {"kind": "x"}, "to": "coco"}, "one of truth, results"),
     ({"skeleton": "coco99"}, "unknown skeleton")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(release, tmp_path, given, message):
    with pytest.raises(UsageError, match=message):
        run(release, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_the_formats_are_registered():
    assert {"csv", "coco", "card"} <= set(list_exporters())


# What is there before


def test_an_output_is_never_touched_unasked(release, tmp_path):
    run(release, tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        run(release, tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        run(release, tmp_path / "out", resume=True, limit=1)  # another plan
    assert contents(tmp_path) == before


@pytest.mark.parametrize("to", ["csv", "coco"])
def test_what_is_no_export_is_not_overwritten(release, tmp_path, to):
    out = tmp_path / ("out" if to == "csv" else "out.json")
    if to == "csv":
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
        (out / "export.json").write_text('{"not": "a report"}')
    else:
        out.write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="not an export of posedata"):
        run(release, out, to, overwrite=True)
    assert contents(tmp_path) == before


def test_overwriting_removes_the_export_and_nothing_else(release, tmp_path):
    out = tmp_path / "out"
    run(release, out, limit=1)
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("years of work")
    run(release, out, overwrite=True)
    assert (out / "notes" / "mine.txt").read_text() == "years of work"
    (out / "notes" / "mine.txt").unlink()
    (out / "notes").rmdir()
    run(release, tmp_path / "other")
    assert contents(out) == contents(tmp_path / "other")
    assert not (tmp_path / "out.unfinished").exists()


def test_an_export_that_cannot_be_made_leaves_the_one_before(release, tmp_path):
    run(release, tmp_path / "out.json", "coco")
    before = contents(tmp_path)
    with pytest.raises(InputError):
        run(without_width(tmp_path / "bad"), tmp_path / "out.json", "coco", overwrite=True)
    assert {k: v for k, v in contents(tmp_path).items() if not k.startswith("bad")} == before


def test_resuming_what_is_finished_says_what_it_did(release, tmp_path):
    summary = run(release, tmp_path / "out.json", "coco", skeleton="openpose18")
    before = (tmp_path / "out.json").stat().st_mtime_ns
    again = run(release, tmp_path / "out.json", "coco", skeleton="openpose18", resume=True)
    assert json.dumps(again.__dict__) == json.dumps(summary.__dict__)
    assert (tmp_path / "out.json").stat().st_mtime_ns == before
    (tmp_path / "out.json").unlink()
    run(release, tmp_path / "out.json", "coco", skeleton="openpose18", resume=True)
    assert (tmp_path / "out.json").exists()


def test_a_file_has_the_suffix_of_its_format(release, tmp_path):
    with pytest.raises(OutputError, match=r"ends in \.json"):
        run(release, tmp_path / "out", "coco")


# Kills


class Killed(BaseException):
    """Ends a run as a kill does: nothing after it is done."""


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many files appear or disappear, and then end."""
    left = [steps]
    create, remove = Location.create, Location.remove

    def count(*_: object) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    def counted_create(self):
        count()
        return create(self)

    def counted_remove(self):
        if self.exists():
            count()
        remove(self)

    monkeypatch.setattr(Location, "create", counted_create)
    monkeypatch.setattr(Location, "remove", counted_remove)


@pytest.mark.parametrize("to", ["csv", "coco"])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_kill_at_any_step_is_resumed_to_the_same_bytes(release, tmp_path, to, replaces):
    name = "out" if to == "csv" else "out.json"
    run(release, tmp_path / "expected" / name, to)
    expected = contents(tmp_path / "expected")
    steps = 0
    while True:
        place = tmp_path / f"{steps}"
        if replaces:
            run(release, place / name, to, limit=1)
        with pytest.MonkeyPatch.context() as patch:
            killed_after(steps, patch)
            try:
                run(release, place / name, to, overwrite=replaces)
                break
            except Killed:
                pass
        if (place / f"{name}.unfinished" / "plan.json").exists():
            with pytest.raises(OutputError, match="unfinished export"):
                run(release, place / name, to)
            with pytest.raises(OutputError, match="other options"):
                run(release, place / name, to, limit=3, resume=True)
            run(release, place / name, to, resume=True)
        else:  # as if the run had not been begun
            run(release, place / name, to, overwrite=replaces)
        assert contents(place) == expected, steps
        steps += 1
    assert steps > 12
    assert contents(place) == expected


def test_an_interrupted_export_is_replaced_by_another(release, tmp_path):
    for steps in range(1, 14):
        out = tmp_path / str(steps) / "out"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            killed_after(steps, patch)
            run(release, out)
        run(release, out, limit=1, overwrite=True)
        run(release, tmp_path / str(steps) / "expected", limit=1)
        assert contents(out) == contents(tmp_path / str(steps) / "expected")


KILLED_RUN = """
import os, pathlib, signal, sys
from posedata.export import export, plan_export
replace, (release, out, name) = pathlib.Path.replace, sys.argv[1:]
def replaced_or_killed(self, target):
    if target.name == name:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
pathlib.Path.replace = replaced_or_killed
export(plan_export(release, "csv"), out, num_workers=1)
"""


@pytest.mark.parametrize("name", ["items-00001.bin", "done-00001.json", "poses.csv", "export.json"])
def test_a_real_kill_is_resumed_to_the_same_bytes(release, tmp_path, name):
    command = [sys.executable, "-c", KILLED_RUN, str(release.place), str(tmp_path / "out"), name]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    run(release, tmp_path / "out", resume=True)
    run(release, tmp_path / "expected")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_parts_that_are_done_are_not_done_again(release, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        killed_after(7, patch)  # the plan, and two parts of three files
        run(release, tmp_path / "out")
    done = []
    prepare_part = exporting.prepare_part
    monkeypatch.setattr(exporting, "prepare_part",
                        lambda task: done.append(task.part) or prepare_part(task))  # fmt: skip
    run(release, tmp_path / "out", resume=True)
    assert done == [2]


# Workers and places


@pytest.mark.parametrize("to", ["csv", "coco"])
def test_the_number_of_workers_does_not_change_a_byte(release, tmp_path, to):
    name = "out" if to == "csv" else "out.json"
    run(release, tmp_path / "1" / name, to)
    run(release, tmp_path / "2" / name, to, num_workers=2)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    with pytest.raises(UsageError, match="--num-workers"):
        run(release, tmp_path / "0" / name, to, num_workers=0)


@pytest.mark.parametrize("to", ["csv", "coco"])
def test_a_url_gets_the_same_bytes(release, tmp_path, to):
    name = "out" if to == "csv" else "out.json"
    fs = fsspec.filesystem("memory")
    fs.put(f"{release.place}/", "/posedata-export/release/", recursive=True)
    try:
        from posedata.release import open_release

        remote = open_release("memory://posedata-export/release")
        run(remote, f"memory://posedata-export/{to}/{name}", to, limit=1)
        run(remote, f"memory://posedata-export/{to}/{name}", to, overwrite=True)
        fs.get(f"/posedata-export/{to}/", str(tmp_path / "got"), recursive=True)
        assert not fs.exists(f"/posedata-export/{to}/{name}.unfinished")
    finally:
        fs.rm("/posedata-export", recursive=True)
    run(release, tmp_path / "expected" / name, to)
    assert contents(tmp_path / "got") == contents(tmp_path / "expected")


def test_a_full_disk_is_said_and_resumed(release, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        create = Location.create

        def full(self):
            if self.path.endswith("poses.csv"):
                raise OutputError("cannot be written", path=self, found="No space left on device")
            return create(self)

        patch.setattr(Location, "create", full)
        with pytest.raises(OutputError, match="No space left"):
            run(release, tmp_path / "out")
    run(release, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "export.json").exists()


# The command


def posedata(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posedata", "convert", "parquet", "-j", "1"]
    command += map(str, arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_says_what_it_did(release, tmp_path):
    given = (release.place, "--to", "coco", "--skeleton", "openpose18", "-o", tmp_path / "o.json")
    plan = posedata(*given, "--dry-run")
    assert plan.stdout == (f"would write 5 clips of made, layer made, joint set openpose18, to "
                           f"{tmp_path / 'o.json'}\n")  # fmt: skip
    assert not list(tmp_path.glob("o.*"))
    done = posedata(*given)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"5 clips in {tmp_path / 'o.json'}"
    assert "  joint neck: derived (mid_shoulders)" in done.stdout
    of_the_reader = posedata(*given, "--overwrite", "--joints", "coco17")
    assert (of_the_reader.returncode, "No such option: --joints" in of_the_reader.stderr) == (
        2,
        True,
    )
    as_json = posedata(*given, "--json", "--overwrite", "--kind=results")
    summary = json.loads(as_json.stdout)
    assert (summary["format"], summary["clips"], summary["layer"]) == ("coco", 5, "made")


def test_the_exit_code_says_whether_clips_were_left_out(tmp_path):
    release = without_width(tmp_path / "release")
    given = (release.place, "--to", "coco", "-o", tmp_path / "o.json")
    refused = posedata(*given)
    assert refused.returncode == 2
    assert "coco cannot hold 2 of the clips" in refused.stderr
    dropped = posedata(*given, "--misfits", "drop")
    assert dropped.returncode == 1
    assert "left out 2 clips" in dropped.stdout
    assert posedata(*given, "--misfits", "drop", "--strict", "--overwrite").returncode == 2
