"""What the command prints, and the codes it exits with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posedata.synthetic import make_ntu


def posedata(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posedata", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "raw"
    make_ntu(folder, 6, num_frames=(12, 20), quirks=())
    return folder


@pytest.fixture(scope="module")
def release(raw) -> Path:
    out = raw.parent / "release"
    assert posedata("convert", "ntu", raw, "--to", "parquet", "-o", out).returncode == 0
    return out


def test_help_names_every_command():
    run = posedata("--help")
    assert run.returncode == 0
    for command in (
        "convert",
        "estimate",
        "experts",
        "fuse",
        "evaluate",
        "anchors",
        "pseudo-label",
        "draw",
        "degrade",
        "info",
        "validate",
        "demo",
    ):
        assert command in run.stdout
    assert posedata("--version").stdout.startswith("posedata ")


def test_convert_says_what_it_made(raw, tmp_path):
    run = posedata("convert", "ntu", raw, "-o", tmp_path / "out")
    assert run.returncode == 0
    assert f"ntu60: 6 clips, 96 poses in {tmp_path / 'out'}".split(",")[0] in run.stdout


def test_the_default_output_is_named_after_the_data_set(raw, tmp_path):
    assert posedata("convert", "ntu", raw, cwd=tmp_path).returncode == 0
    assert (tmp_path / "ntu60" / "posedata.json").is_file()


def test_convert_json(raw, tmp_path):
    run = posedata("convert", "ntu", raw, "-o", tmp_path / "out", "--json")
    summary = json.loads(run.stdout)
    assert (summary["name"], summary["clips"], summary["rejects"]) == ("ntu60", 6, 0)


def test_rejects_exit_with_1_and_with_2_if_strict(raw, tmp_path):
    bad = tmp_path / "raw"
    make_ntu(bad, 2, num_frames=12, quirks=())
    (bad / "S017C001P001R001A001.skeleton").write_bytes(b"")
    run = posedata("convert", "ntu", bad, "-o", tmp_path / "a")
    assert run.returncode == 1
    assert "1 rejected" in run.stdout
    assert "S017C001P001R001A001.skeleton" in run.stderr
    assert "the file is empty" in run.stderr
    assert posedata("convert", "ntu", bad, "-o", tmp_path / "b", "--strict").returncode == 2
    for path in bad.glob("*"):
        path.write_bytes(b"")
    assert posedata("convert", "ntu", bad, "-o", tmp_path / "c").returncode == 2


def test_dry_run_writes_nothing(raw, tmp_path):
    run = posedata("convert", "ntu", raw, "-o", tmp_path / "out", "--dry-run")
    assert run.returncode == 0
    assert "would convert 6 samples of ntu60" in run.stdout
    assert not (tmp_path / "out").exists()
    plan = json.loads(posedata("convert", "ntu", raw, "--dry-run", "--json").stdout)
    assert (plan["samples"], plan["shards"]) == (6, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "ntv", "."], "unknown data set"),
        (["convert", "ntu", "absent"], "no such file or folder"),
        (["convert", "ntu", ".", "--to", "csv"], "--to: found 'csv', expected parquet"),
        (["convert", "ntu", ".", "--resume", "--overwrite"], "exclude each other"),
        (["convert", "ntu", ".", "--limit", "0"], "--limit"),
        (["convert", "ntu", "xyz://bucket/raw"], "cannot be opened"),
        (["info", "absent"], "absent"),
        (["validate", "absent"], "no such directory"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments, message, tmp_path):
    run = posedata(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert run.stdout == ""
    as_json = posedata(*arguments, "--json", cwd=tmp_path)
    assert message.split(":")[0] in json.loads(as_json.stdout)["error"][
        "message"
    ] or "absent" in str(json.loads(as_json.stdout)["error"]["path"])


def test_a_taken_output_is_refused(raw, release):
    run = posedata("convert", "ntu", raw, "-o", release)
    assert run.returncode == 2
    assert "--overwrite" in run.stderr
    assert posedata("convert", "ntu", raw, "-o", release, "--resume").returncode == 0


@pytest.mark.parametrize(("num_workers", "interrupts"), [(1, 1), (2, 1), (2, 3)])
def test_ctrl_c_says_how_to_go_on_and_ends(tmp_path, num_workers, interrupts):
    make_ntu(tmp_path / "raw", 2100, num_frames=150, quirks=(), distinct=2)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "posedata", "convert", "ntu", tmp_path / "raw", "-o", out]
    with subprocess.Popen(
        [*command, "-j", str(num_workers)], stderr=subprocess.PIPE, text=True
    ) as run:
        while not (out / ".unfinished" / "plan.json").exists() and run.poll() is None:
            time.sleep(0.01)
        for _ in range(interrupts):
            run.send_signal(signal.SIGINT)
            time.sleep(0.05)
        try:
            assert "--resume" in run.communicate(timeout=60)[1]
        finally:
            run.kill()
    assert run.returncode == 130
    assert subprocess.run([*command, "--resume"], check=False).returncode == 0


def test_info_on_a_release(release):
    run = posedata("info", release)
    assert run.returncode == 0
    assert "nturgbd25 (25 joints)" in run.stdout
    described = json.loads(posedata("info", release, "--json").stdout)
    assert described["kind"] == "release"
    assert described["counts"]["clips"] == 6
    assert described["layers"]["kinect"]["skeleton"] == "nturgbd25"
    assert sum(described["splits"]["xsub"].values()) == 6


def test_info_on_a_raw_folder(raw):
    run = posedata("info", raw)
    assert run.returncode == 0
    assert "official samples" in run.stdout
    described = json.loads(posedata("info", raw, "--json").stdout)
    assert (described["kind"], described["dataset"], described["samples"]) == ("raw", "ntu", 6)
    assert described["official_samples"] == 56880


def test_info_and_validate_refuse_an_unfinished_release(raw, tmp_path):
    (tmp_path / "out" / ".unfinished").mkdir(parents=True)
    for command in ("info", "validate"):
        run = posedata(command, tmp_path / "out")
        assert run.returncode == 2
        assert "--resume" in run.stderr


def test_validate(release, tmp_path):
    run = posedata("validate", release)
    assert (run.returncode, run.stderr) == (0, "")
    assert "valid, 6 clips" in run.stdout
    damaged = tmp_path / "damaged"
    shutil.copytree(release, damaged)
    part = damaged / "data" / "kinect" / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    run = posedata("validate", damaged)
    assert run.returncode == 1
    assert "sha256" in run.stdout
    findings = json.loads(posedata("validate", damaged, "--json").stdout)
    assert findings["valid"] is False
    assert findings["findings"][0]["file"] == "data/kinect/part-00000.parquet"


def test_demo(tmp_path):
    run = posedata("demo", tmp_path / "demo", "--samples", "12")
    assert run.returncode == 0, run.stderr
    for text in ("12 clips", "valid", "split xsub", "Try next"):
        assert text in run.stdout
    again = posedata("demo", tmp_path / "demo")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_output_into_a_closed_pipe_is_quiet(release):
    command = f"{sys.executable} -m posedata info {release} --json | head -c 1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr
