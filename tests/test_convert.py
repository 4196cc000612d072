"""A conversion loses nothing: not by workers, kills, full disks, or bad files."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import posedata
import posedata.storage
from posedata import plan as planning
from posedata import staging
from posedata.convert import convert, plan_conversion
from posedata.errors import InputError, OutputError, ReleaseError, UsageError
from posedata.synthetic import make_ntu
from posedata.synthetic_broken import broken_files
from posedata.validate import validate

NUM_SAMPLES = 24
SHARD_CLIPS = 8


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    make_ntu(folder, NUM_SAMPLES, num_frames=(12, 20))
    return folder


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(planning, "SHARD_CLIPS", SHARD_CLIPS)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(raw, tmp_path_factory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "release"
    before = planning.SHARD_CLIPS
    planning.SHARD_CLIPS = SHARD_CLIPS
    try:
        convert(plan_conversion("ntu", raw), out, num_workers=1)
    finally:
        planning.SHARD_CLIPS = before
    return contents(out)


def test_a_release_holds_every_sample_in_order(raw, tmp_path):
    summary = convert(plan_conversion("ntu", raw), tmp_path / "release", num_workers=1)
    release = posedata.open_release(tmp_path / "release")
    names = sorted(path.stem for path in raw.glob("*.skeleton"))
    assert summary.clips == len(names) == NUM_SAMPLES
    assert release.clips()["clip_id"].to_pylist() == names
    assert [clip.clip_id for clip in release.iter_clips()] == names
    assert len(release.part_names("kinect")) == -(-NUM_SAMPLES // SHARD_CLIPS)
    assert list(validate(release)) == []


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_the_number_of_workers_does_not_change_a_byte(raw, tmp_path, undisturbed, num_workers):
    # spawned workers have the shard's samples in their task: the small shards hold there too
    convert(plan_conversion("ntu", raw), tmp_path / "release", num_workers=num_workers)
    assert contents(tmp_path / "release") == undisturbed


def test_the_raw_folder_may_stand_elsewhere(raw, tmp_path, undisturbed):
    shutil.copytree(raw, tmp_path / "moved")
    convert(plan_conversion("ntu", tmp_path / "moved"), tmp_path / "release", num_workers=1)
    assert contents(tmp_path / "release") == undisturbed


def test_nothing_of_this_machine_is_in_the_release(raw, tmp_path):
    convert(plan_conversion("ntu", raw), tmp_path / "release", num_workers=1)
    everything = b"".join(p.read_bytes() for p in (tmp_path / "release").rglob("*") if p.is_file())
    assert str(tmp_path).encode() not in everything
    assert str(raw).encode() not in everything


KILLED_RUN = """
import sys
from posedata import plan as planning
planning.SHARD_CLIPS = int(sys.argv[3])
from posedata.convert import convert, plan_conversion
if __name__ == "__main__":
    print("go", flush=True)
    convert(plan_conversion("ntu", sys.argv[1]), sys.argv[2], resume=True,
            num_workers=int(sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_killed_run_is_resumed_to_the_same_bytes(raw, tmp_path, undisturbed, seed):
    """SIGKILL at a random moment; until the resumed run is done, readers refuse the directory."""
    script = tmp_path / "run.py"
    script.write_text(KILLED_RUN)
    out = tmp_path / "release"
    chance = random.Random(seed)
    num_workers = chance.choice([1, 1, 2])
    command = [sys.executable, script, raw, out, str(SHARD_CLIPS), str(num_workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as run:
        assert run.stdout is not None
        run.stdout.readline()
        begun = _wait_for(out)
        time.sleep(chance.uniform(0, 0.6 if num_workers == 1 else 1.5) if begun else 0)
        os.killpg(run.pid, signal.SIGKILL)
    if (out / "posedata.json").exists():
        assert contents_without_staging(out) == undisturbed
    else:
        with pytest.raises(ReleaseError, match=r"unfinished.*--resume|not a release"):
            posedata.open_release(out)
    convert(plan_conversion("ntu", raw), out, resume=True, num_workers=1)
    assert contents(out) == undisturbed


def _wait_for(path: Path) -> bool:
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.002)
    return path.exists()


def contents_without_staging(out: Path) -> dict[str, str]:
    return {n: h for n, h in contents(out).items() if not n.startswith(staging.DIRECTORY)}


class KilledError(BaseException):
    """Stands for a kill at one exact instant; no handler of ours catches it."""


def kill_at(monkeypatch, instant: int) -> list[int]:
    """Let the process "die" at the n-th change of the file system; returns the count so far."""
    count = [0]

    def dying(original):
        def wrapper(*arguments, **keywords):
            count[0] += 1
            if count[0] == instant:
                raise KilledError
            return original(*arguments, **keywords)

        return wrapper

    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    monkeypatch.setattr(Path, "mkdir", dying(Path.mkdir))
    monkeypatch.setattr(os, "fsync", dying(os.fsync))
    monkeypatch.setattr(os, "remove", dying(os.remove))
    monkeypatch.setattr(shutil, "rmtree", dying(shutil.rmtree))
    return count


def test_every_instant_of_a_run_can_be_the_last(raw, tmp_path, monkeypatch, undisturbed):
    """Die at each change of the file system in turn, then resume."""
    with monkeypatch.context() as context:
        count = kill_at(context, 0)
        convert(plan_conversion("ntu", raw), tmp_path / "whole", num_workers=1)
    steps = count[0]
    assert steps > 50
    for instant in range(1, steps + 1):
        out = tmp_path / f"killed-{instant}"
        with monkeypatch.context() as context, pytest.raises(KilledError):
            kill_at(context, instant)
            convert(plan_conversion("ntu", raw), out, num_workers=1)
        if not (out / "posedata.json").exists():
            with pytest.raises(ReleaseError):
                posedata.open_release(out)
        convert(plan_conversion("ntu", raw), out, resume=True, num_workers=1)
        assert contents(out) == undisturbed, f"after a kill at change {instant}"


def test_every_instant_of_an_overwrite_can_be_the_last(raw, tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "release"
    other = plan_conversion("ntu", raw, all_fields=True, limit=10)
    wanted = plan_conversion("ntu", raw)
    instant = 0
    finished = False
    while not finished:
        instant += 1
        shutil.rmtree(out, ignore_errors=True)
        convert(other, out, num_workers=1)
        (out / "notes.txt").write_text("mine")
        with monkeypatch.context() as context:
            kill_at(context, instant)
            try:
                convert(wanted, out, overwrite=True, num_workers=1)
                finished = True
            except KilledError:
                pass
        again = {"resume": True} if not (out / "posedata.json").exists() else {"overwrite": True}
        convert(wanted, out, num_workers=1, **again)
        assert (out / "notes.txt").read_text() == "mine"
        (out / "notes.txt").unlink()
        assert contents(out) == undisturbed, f"after a kill at change {instant}"
    assert instant > 50


def test_a_taken_output_is_not_touched(raw, tmp_path):
    out = tmp_path / "release"
    plan = plan_conversion("ntu", raw, limit=3)
    convert(plan, out, num_workers=1)
    before = contents(out)
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        convert(plan, out, num_workers=1)
    assert contents(out) == before


def test_resuming_a_finished_release_does_nothing(raw, tmp_path):
    out = tmp_path / "release"
    plan = plan_conversion("ntu", raw, limit=3)
    first = convert(plan, out, num_workers=1)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert convert(plan, out, resume=True, num_workers=1) == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_resuming_with_other_options_is_refused(raw, tmp_path):
    out = tmp_path / "release"
    convert(plan_conversion("ntu", raw, limit=3), out, num_workers=1)
    with pytest.raises(OutputError, match="other input or options"):
        convert(plan_conversion("ntu", raw, limit=4), out, resume=True, num_workers=1)
    (out / "posedata.json").unlink()
    staging.open_staging(posedata.storage.locate(tmp_path / "begun"),
                         plan_conversion("ntu", raw, limit=3).fingerprint(),
                         resume=False, overwrite=False)  # fmt: skip
    with pytest.raises(OutputError, match="begun with other options"):
        convert(plan_conversion("ntu", raw, limit=4), tmp_path / "begun", resume=True)


def test_resuming_after_the_raw_files_have_changed_is_refused(raw, tmp_path):
    copy = tmp_path / "raw"
    shutil.copytree(raw, copy)
    out = posedata.storage.locate(tmp_path / "release")
    fingerprint = plan_conversion("ntu", copy).fingerprint()
    staging.open_staging(out, fingerprint, resume=False, overwrite=False)
    next(copy.glob("*.skeleton")).write_bytes(b"1\n0\n")
    with pytest.raises(OutputError, match="begun with other input"):
        convert(plan_conversion("ntu", copy), out, resume=True)


def test_overwriting_something_else_is_refused(raw, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.tex").write_text("precious")
    with pytest.raises(OutputError, match="not a release of posedata"):
        convert(plan_conversion("ntu", raw), out, overwrite=True)
    assert (out / "chapter1.tex").read_text() == "precious"


def test_a_read_only_target_is_one_clear_error(raw):
    out = Path("/proc/posedata-cannot-be-here")
    if not out.parent.is_dir():
        pytest.skip("this system has no /proc to fail on")
    with pytest.raises(OutputError, match="cannot be written"):
        convert(plan_conversion("ntu", raw, limit=2), out, num_workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_full_disk_is_one_clear_error_and_can_be_resumed(raw, tmp_path, undisturbed, num_workers):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs can only be mounted by root")
    try:
        out = disk / "release"
        with pytest.raises(OutputError, match=r"No space left on device.*--resume"):
            convert(plan_conversion("ntu", raw), out, num_workers=num_workers)
        with pytest.raises(ReleaseError, match="unfinished"):
            posedata.open_release(out)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        convert(plan_conversion("ntu", raw), out, resume=True, num_workers=num_workers)
        assert contents(out) == undisturbed
    finally:
        subprocess.run(["umount", disk], check=True)


def test_bad_files_become_rejects_and_the_others_convert(tmp_path):
    raw = tmp_path / "raw"
    make_ntu(raw, 12, num_frames=(12, 20), quirks=())
    used = {path.stem for path in raw.glob("*.skeleton")}
    expected = {}
    for number, broken in enumerate(broken_files()):
        name = f"S017C001P001R001A{number + 1:03}.skeleton"
        assert name not in used
        (raw / name).write_bytes(broken.content)
        expected[name] = broken
    (raw / "S001C001P001R001A001 (copy).skeleton").write_bytes(b"1\n0\n")
    (raw / "S017C002P001R001A001.skeleton").symlink_to(raw / "nowhere")
    summary = convert(plan_conversion("ntu", raw), tmp_path / "release", num_workers=2)
    release = posedata.open_release(tmp_path / "release")
    rejects = {row["source"]: row for row in release.rejects().to_pylist()
               if row["severity"] == "reject"}  # fmt: skip
    for name, broken in expected.items():
        if broken.accepted:
            assert name not in rejects, broken.name
        else:
            row = rejects.pop(name)
            assert row["stage"] == "read"
            assert row["position"] in ("", f"line {broken.line}"), broken.name
            assert row["reason"], broken.name
    assert "not an NTU name" in rejects.pop("S001C001P001R001A001 (copy).skeleton")["reason"]
    assert "cannot be read" in rejects.pop("S017C002P001R001A001.skeleton")["reason"]
    assert not rejects
    accepted = sum(broken.accepted for broken in expected.values())
    assert summary.clips == 12 + accepted
    assert list(validate(release)) == []


def test_a_folder_without_samples_is_an_error(tmp_path):
    (tmp_path / "README.txt").write_text("nothing here")
    with pytest.raises(InputError, match="no samples of ntu here"):
        plan_conversion("ntu", tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        plan_conversion("ntu", tmp_path / "absent")


def test_unknown_data_sets_and_limits_are_errors(raw):
    with pytest.raises(UsageError, match=r"unknown data set: found 'ntv', expected one of .*ntu"):
        plan_conversion("ntv", raw)
    with pytest.raises(UsageError, match="--limit"):
        plan_conversion("ntu", raw, limit=0)


def test_limit_takes_the_first_samples(raw, tmp_path):
    convert(plan_conversion("ntu", raw, limit=5), tmp_path / "release", num_workers=1)
    release = posedata.open_release(tmp_path / "release")
    names = sorted(path.stem for path in raw.glob("*.skeleton"))
    assert release.clips()["clip_id"].to_pylist() == names[:5]


def test_memory_urls_are_written_and_read_by_the_same_code(raw, undisturbed):
    convert(plan_conversion("ntu", raw), "memory://test-convert/release", num_workers=4)
    release = posedata.open_release("memory://test-convert/release")
    assert list(validate(release)) == []
    fs = release.place.fs
    files = {path: fs.cat(path) for path in fs.find(release.place.path)}
    hashes = {path[len(release.place.path) + 1 :]: hashlib.sha256(content).hexdigest()
              for path, content in files.items()}  # fmt: skip
    assert hashes == undisturbed


@pytest.mark.real
def test_real_files(shared, tmp_path):
    raw = shared / "data" / "ntu"
    out = tmp_path / "release"
    summary = convert(plan_conversion("ntu", raw), out, num_workers=2)
    assert (summary.clips, summary.poses, summary.rejects) == (7, 773, 1)
    assert "second file of this sample" in summary.first_rejects[0].reason
    assert list(validate(posedata.open_release(out))) == []
    check = [sys.executable, shared / "checks" / "contract.py", out, "--ntu", raw]
    contract = subprocess.run(check, capture_output=True, text=True, check=False)
    assert contract.returncode == 0, contract.stdout + contract.stderr
