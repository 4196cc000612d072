"""The environments of mmpose and openpifpaf, and what their workers do without these libraries.

The libraries themselves are under ``tests/backends``.
"""

from __future__ import annotations

import ast
import os
import pickle
import re
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import OutputError, UsageError
from posedata.expert import load_expert
from posedata.experts import environments
from posedata.experts.environments import (
    environment_names,
    environment_python,
    install_environment,
)
from posedata.workers.torchvision_shim import nms

ROOT = Path(environments.__file__).parents[2]
WORKERS = ROOT / "posedata/workers"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("POSEDATA_PYTHON_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POSEDATA_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


@pytest.fixture
def commands(monkeypatch):
    """Put a stand-in in the place of venv and pip; give the list of what is run."""
    run = []

    def pretend(name, command, folder):
        run.append(command)
        if "venv" in command:
            (folder / "bin").mkdir(parents=True)
            (folder / "bin/python").write_text("")

    monkeypatch.setattr(environments, "_run", pretend)
    return run


# finding an interpreter


@pytest.mark.parametrize("name", ["mmpose", "openpifpaf"])
def test_each_environment_has_an_expert_that_names_it(name):
    expert = load_expert(name)
    assert expert.environment == name
    assert expert.open is None
    assert (WORKERS / f"serve_{name}.py").is_file()
    assert name in environment_names()


def test_without_an_environment_there_is_no_interpreter():
    assert environment_python("mmpose") is None


def test_an_interpreter_of_the_users_own_is_taken(monkeypatch):
    monkeypatch.setenv("POSEDATA_PYTHON_MMPOSE", sys.executable)
    assert environment_python("mmpose") == Path(sys.executable)
    assert environment_python("openpifpaf") is None


def test_a_variable_that_names_no_program_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("POSEDATA_PYTHON_MMPOSE", str(tmp_path))
    with pytest.raises(UsageError, match="POSEDATA_PYTHON_MMPOSE names no interpreter"):
        environment_python("mmpose")


@pytest.mark.parametrize("call", [environment_python, lambda n: install_environment(n, print)])
def test_an_environment_that_nobody_knows(call):
    with pytest.raises(
        UsageError, match="'other', expected one of label_studio, mmpose, openpifpaf"
    ):
        call("other")


def test_the_place_follows_the_users_data_folder(monkeypatch, tmp_path, commands):
    monkeypatch.delenv("POSEDATA_ENVIRONMENTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    python = install_environment("mmpose", lambda line: None)
    assert python.is_relative_to(tmp_path / "data/posedata/environments/mmpose")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")  # the standard says: to be ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    python = install_environment("mmpose", lambda line: None)
    assert python.is_relative_to(tmp_path / "home/.local/share/posedata/environments/mmpose")


# making one


def test_an_environment_is_made_once(commands, folder):
    said = []
    python = install_environment("openpifpaf", said.append)
    assert python.is_relative_to(folder / "openpifpaf")
    assert environment_python("openpifpaf") == python
    assert [command[:3] for command in commands] == [
        [sys.executable, "-m", "venv"], [str(python), "-I", "-m"], [str(python), "-I", "-m"]
    ]  # fmt: skip
    assert "--no-build-isolation" in commands[2]
    assert len(said) >= 4
    assert install_environment("openpifpaf", said.append) == python
    assert len(commands) == 3


def test_an_interrupted_installation_is_begun_anew(commands, folder, monkeypatch):
    pretend = environments._run

    def interrupt(name, command, folder):
        pretend(name, command, folder)
        (folder / "half").write_text("")
        if "--no-deps" in command:
            raise KeyboardInterrupt

    monkeypatch.setattr(environments, "_run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        install_environment("mmpose", lambda line: None)
    assert environment_python("mmpose") is None
    monkeypatch.setattr(environments, "_run", pretend)
    python = install_environment("mmpose", lambda line: None)
    assert environment_python("mmpose") == python
    assert not (python.parents[1] / "half").exists()


def test_other_pins_make_another_environment_and_the_old_one_goes(commands, monkeypatch, tmp_path):
    old = install_environment("mmpose", lambda line: None)
    pins = tmp_path / "requirements"
    pins.mkdir()
    for path in environments._REQUIREMENTS.glob("*.txt"):
        (pins / path.name).write_text(path.read_text() + "\n# other\n")
    monkeypatch.setattr(environments, "_REQUIREMENTS", pins)
    assert environment_python("mmpose") is None
    assert old.exists()
    new = install_environment("mmpose", lambda line: None)
    assert new != old
    assert not old.exists()


def test_an_environment_whose_interpreter_is_gone_is_made_again(commands):
    python = install_environment("mmpose", lambda line: None)
    python.unlink()
    assert environment_python("mmpose") is None
    assert install_environment("mmpose", lambda line: None).exists()


def test_a_failing_step_gives_its_last_lines_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)
    script = "print('early'); [print('line', n) for n in range(9)]; raise SystemExit(3)"
    with pytest.raises(UsageError) as error:
        environments._run("openpifpaf", [sys.executable, "-c", script], tmp_path / "env")
    text = str(error.value)
    assert "line 8" in text
    assert "early" not in text
    assert "needs a C++ compiler" in text
    assert "early" in (tmp_path / "env.log").read_text()


def test_packages_that_cannot_be_had_are_the_last_words_of_pip(monkeypatch, tmp_path):
    """The real venv and the real pip, without a network."""
    pins = tmp_path / "requirements"
    pins.mkdir()
    (pins / "mmpose.txt").write_text("no-such-package-of-posedata==1\n")
    (pins / "mmpose-without-dependencies.txt").write_text("")
    monkeypatch.setattr(environments, "_REQUIREMENTS", pins)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UsageError, match=r"pip says: .*no-such-package-of-posedata"):
        install_environment("mmpose", lambda line: None)
    assert environment_python("mmpose") is None


def test_a_place_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSEDATA_ENVIRONMENTS", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="POSEDATA_ENVIRONMENTS"):
        install_environment("mmpose", lambda line: None)


@pytest.mark.parametrize("path", sorted(environments._REQUIREMENTS.glob("*.txt")),
                         ids=lambda path: path.stem)  # fmt: skip
def test_every_package_is_pinned_and_no_place_is_named(path):
    text = path.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9.]+(\.post[0-9]+)?", line)
    ] == []
    assert "://" not in text
    assert len(lines) == environments._count(path)


# the workers


@pytest.fixture
def workers(monkeypatch):
    """Import the workers by bare names, as they import each other."""
    monkeypatch.syspath_prepend(str(WORKERS))
    import restricted_checkpoint
    import serve_mmpose
    import worker_error

    return SimpleNamespace(checkpoint=restricted_checkpoint, mmpose=serve_mmpose,
                           error=worker_error.WorkerError)  # fmt: skip


def imports(tree):
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from ((node, name.partition(".")[0]) for name in names)


def test_workers_import_nothing_that_an_environment_of_their_own_lacks():
    here = {path.stem for path in WORKERS.glob("*.py")} - {"serve_expert"}
    allowed = here | set(sys.stdlib_module_names) | {"numpy", "pyarrow"}
    for name in here - {"__init__"}:
        tree = ast.parse((WORKERS / f"{name}.py").read_text())
        at_top = {module for node, module in imports(tree) if node in tree.body}
        assert at_top <= allowed, name
        assert "posedata" not in {module for _, module in imports(tree)}, name


def test_openpifpaf_stays_in_its_process():
    for path in (ROOT / "posedata").rglob("*.py"):
        if path != WORKERS / "serve_openpifpaf.py":
            found = {module for _, module in imports(ast.parse(path.read_text()))}
            assert "openpifpaf" not in found, path


def test_no_worker_shadows_a_module():
    """Their folder is the first place where their interpreter looks."""
    libraries = {"mmpose", "openpifpaf", "torch", "torchvision", "mmcv", "numpy", "pyarrow"}
    names = {path.stem for path in WORKERS.glob("*.py")}
    assert not names & (libraries | set(sys.stdlib_module_names))


class Run:
    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


class Kept(list):
    pass


def unpickled(workers, content, tmp_path, protocol, admit=None):
    path = tmp_path / "content.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    reader = workers.checkpoint._make_unpickler(admit or workers.checkpoint.replace_unknown)
    with path.open("rb") as file:
        return reader(file).load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_come_out_of_a_pickle_and_everything_else_stays_inert(workers, tmp_path, protocol):
    trace = tmp_path / "was_run"
    content = {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3), "number": np.float64(0.5),
        "names": OrderedDict(a=1), "set": {1, 2}, "bytes": bytearray(b"ab"), "complex": 1j,
        "evil": Run(os.system, (f"touch {trace}",)), "evil too": Run(eval, ("open('x', 'w')",)),
        "list": Kept([1, 2]), "path": Path("a/b"),
    }  # fmt: skip
    found = unpickled(workers, content, tmp_path, protocol)
    assert not trace.exists()
    np.testing.assert_array_equal(found["weights"], content["weights"])
    for name in ("number", "names", "set", "bytes", "complex"):
        assert found[name] == content[name]
    for name in ("evil", "evil too", "list", "path"):
        assert type(found[name]) is workers.checkpoint.Inert


def test_what_is_not_admitted_may_end_the_reading(workers, tmp_path):
    def refuse(module, name):
        raise workers.error(f"{module}.{name} is not admitted")

    with pytest.raises(workers.error, match="system is not admitted"):
        unpickled(workers, Run(os.system, ("true",)), tmp_path, 4, refuse)


def test_a_dotted_name_does_not_lead_out_of_what_is_admitted(workers, tmp_path):
    """Protocol 4 may ask for ``module`` and ``a.b.c``."""
    sneaky = (b"\x80\x04\x8c\x05torch\x8c\x1aserialization.os.Storage.x"
              b"\x93.")  # fmt: skip
    reader = workers.checkpoint._make_unpickler(workers.checkpoint.replace_unknown)
    path = tmp_path / "content.pkl"
    path.write_bytes(sneaky)
    with path.open("rb") as file:
        assert reader(file).load() is workers.checkpoint.Inert


def test_a_worker_tells_what_its_error_is_about(workers):
    error = workers.error("no model", path="a.pth", found="a text", expected="a zip",
                          remedy="Copy it again.")  # fmt: skip
    assert error.reason == "no model: found a text, expected a zip. Copy it again."
    assert error.path == "a.pth"


def make_configs(folder):
    for name in ("body_2d_keypoint/a/pose-s_8xb1_coco", "body_2d_keypoint/a/pose-m_8xb1_coco",
                 "face_2d_keypoint/a/pose-m_8xb1_face", "_base_/pose-s_8xb1_base"):  # fmt: skip
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_a_configuration_is_found_by_path_name_or_beginning(workers, tmp_path):
    make_configs(tmp_path)
    find = workers.mmpose.find_config
    own = tmp_path / "face_2d_keypoint/a/pose-m_8xb1_face.py"
    assert find(str(own), tmp_path / "nowhere") == own
    for text in ("pose-s", "pose-s_8xb1_coco", "pose-s_8xb1_coco.py"):
        assert find(text, tmp_path).stem == "pose-s_8xb1_coco"


def test_a_configuration_that_is_not_the_only_one_names_those_of_bodies_first(workers, tmp_path):
    make_configs(tmp_path)
    with pytest.raises(workers.error, match=r"several .*pose-m_8xb1_coco, pose-m_8xb1_face"):
        workers.mmpose.find_config("pose-m", tmp_path)


@pytest.mark.parametrize("text", ["", "poss-s_8xb1_coco", "\0", "x" * 5000, "~nobody/a"])
def test_a_configuration_that_is_not_there(workers, tmp_path, text):
    make_configs(tmp_path)
    with pytest.raises(workers.error, match="neither a configuration file nor"):
        workers.mmpose.find_config(text, tmp_path)


META = {
    "dataset_name": "coco", "keypoint_id2name": {0: "nose", 1: "right_eye", 2: "left_eye"},
    "flip_indices": [0, 2, 1], "skeleton_links": [(0, 1), (0, 2)],
    "sigmas": np.array([0.5, 0.25, 0.25], np.float32),
}  # fmt: skip


def test_the_skeleton_is_that_of_the_model(workers):
    assert workers.mmpose.skeleton_of(META) == {
        "name": "coco", "joints": ["nose", "right_eye", "left_eye"], "bones": [[0, 1], [0, 2]],
        "swap": [[1, 2]], "sigmas": [0.5, 0.25, 0.25],
    }  # fmt: skip


@pytest.mark.parametrize("change", [
    {"keypoint_id2name": None}, {"keypoint_id2name": {1: "nose"}}, {"flip_indices": "abc"},
    {"skeleton_links": [(1, 2, 3)]}, {"sigmas": [None]},
])  # fmt: skip
def test_a_model_without_names_for_its_joints(workers, change):
    with pytest.raises(workers.error, match="joints have no names"):
        workers.mmpose.skeleton_of(META | change)
    with pytest.raises(workers.error, match="joints have no names"):
        workers.mmpose.skeleton_of(None)


def test_scores_are_clipped_and_a_joint_without_one_is_missing(workers):
    keypoints = np.array([[[1, 2], [3, 4], [np.inf, 0]]], np.float32)
    people = workers.mmpose._people(np.array([[0, 0, 9, 9]]), [1.5], keypoints,
                                    np.array([[7.5, 0, 0.5]], np.float32))  # fmt: skip
    np.testing.assert_array_equal(people.scores, [[1, 0, 0]])
    np.testing.assert_array_equal(people.keypoints_2d, [[[1, 2], [np.nan] * 2, [np.nan] * 2]])
    np.testing.assert_array_equal(people.box_scores, [1])


# non-maximum suppression

numbers = st.integers(0, 12)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers, numbers), max_size=12),
       st.sampled_from([0.0, 0.3, 0.5, 1.0]))  # fmt: skip
def test_suppression_keeps_what_the_definition_keeps(rows, threshold):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[4] for row in rows], np.float32)

    def overlap(a, b):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        either = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - width * height
        return width * height / either if either else 0.0

    kept: list[int] = []
    for row in sorted(range(len(rows)), key=lambda row: (-scores[row], row)):
        if all(overlap(boxes[row], boxes[other]) <= threshold for other in kept):
            kept.append(row)
    assert nms(boxes, scores, threshold).tolist() == kept
