"""The engine gives the same results in this process and in a pool, and says what went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posedata import engine
from posedata.engine import default_num_workers, map_shards
from posedata.errors import InputError, PosedataError, UsageError


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def refuse_three(number: int) -> int:
    if number == 3:
        raise InputError("three", path="a.skeleton", position="line 3", found=3, expected="not 3")
    return number


def die(_: int) -> None:
    os._exit(9)


def note_and_sleep(folder: str) -> None:
    (Path(folder) / f"worker-{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_results_do_not_depend_on_the_number_of_workers(num_workers):
    results = list(map_shards(square, range(20), num_workers=num_workers, progress=False))
    assert sorted(results) == [n * n for n in range(20)]


def test_one_worker_runs_in_this_process_and_two_do_not():
    assert set(map_shards(process_id, range(3), num_workers=1)) == {os.getpid()}
    others = set(map_shards(process_id, range(8), num_workers=2))
    assert os.getpid() not in others
    assert len(others) == 2


def test_no_tasks_is_no_work():
    assert list(map_shards(square, [], num_workers=4)) == []


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_keeps_its_place_across_processes(num_workers):
    with pytest.raises(InputError) as caught:
        list(map_shards(refuse_three, range(6), num_workers=num_workers))
    assert str(caught.value) == "a.skeleton, line 3: three: found 3, expected not 3"


def test_a_dead_worker_is_an_error_that_says_what_to_do():
    with pytest.raises(PosedataError, match=r"worker process died.*--resume"):
        list(map_shards(die, range(3), num_workers=2))


@pytest.mark.parametrize("num_workers", [0, -1])
def test_the_number_of_workers_is_checked(num_workers):
    with pytest.raises(UsageError, match="--num-workers"):
        list(map_shards(square, range(3), num_workers=num_workers))


def test_default_is_the_cores_this_process_may_use():
    assert 1 <= default_num_workers() <= (os.cpu_count() or 1)


def test_progress_goes_to_stderr_only(capsys):
    list(map_shards(square, range(3), num_workers=1, progress=True))
    assert capsys.readouterr().out == ""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    """A killed run leaves no worker behind that writes on."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_engine import note_and_sleep\n"
        "from posedata.engine import map_shards\n"
        "if __name__ == '__main__':\n"
        "    list(map_shards(note_and_sleep, [sys.argv[1]] * 2, num_workers=2))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    notes = tmp_path / "notes"
    notes.mkdir()
    run = subprocess.Popen([sys.executable, script, notes, Path(__file__).parent])
    try:
        assert _eventually(lambda: len(list(notes.iterdir())) == 2)
    finally:
        run.kill()
        run.wait()
    workers = [int(note.name.removeprefix("worker-")) for note in notes.iterdir()]
    assert _eventually(lambda: not any(_is_running(worker) for worker in workers))


def _eventually(holds, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


def report_twice(number):
    engine.report(0.5, 3)
    engine.report(0.5, 4)
    return number


@pytest.mark.parametrize("num_workers", [1, 2])
def test_tasks_tell_the_bar_what_they_have_done(monkeypatch, num_workers):
    """The bar counts tasks, and what they report; its end is the sum of the weights."""
    seen = []

    class Bar:
        disable = False
        n = 0.0

        def __init__(self, total, postfix, **_):
            self.total, self.postfix = total, postfix

        def update(self, more):
            self.n += more
            seen.append((round(self.n, 6), self.postfix[0]))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("tqdm.tqdm", Bar)
    list(map_shards(report_twice, range(3), num_workers=num_workers, counting="frames",
                    unit="videos"))  # fmt: skip
    assert seen[-1][0] == 3
    assert "3/3 videos" in seen[-1][1]
    if num_workers == 1:
        assert "21 frames" in seen[-1][1]
        assert [n for n, _ in seen[:3]] == [0.5, 1.0, 1.0]


def test_reporting_outside_of_a_task_is_nothing():
    engine.report(1.0, 1)
