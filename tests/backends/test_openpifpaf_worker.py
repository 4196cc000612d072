"""The worker of openpifpaf: its poses are those of openpifpaf's own Predictor."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from expert_client import assert_same_poses, read_frames, run_reference, running

from posedata.errors import PosedataError

SCRIPT = "reference_openpifpaf.py"
WITH_PEOPLE, WITHOUT_PEOPLE = 5, -2


@pytest.fixture(scope="module")
def make(openpifpaf_python, tmp_path_factory):
    """Give a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("openpifpaf")
    made = {}

    def of(bias):
        if bias not in made:
            made[bias] = folder / f"resnet18.{bias}.pkl"
            run_reference(openpifpaf_python, SCRIPT, "make", made[bias], bias)
        return made[bias]

    return of


def reference(python, folder, checkpoint, pictures):
    np.savez(folder / "asked.npz", frames=pictures)
    run_reference(python, SCRIPT, "estimate", checkpoint, folder / "asked.npz",
                  folder / "answers.npz")  # fmt: skip
    return list(zip(*(read_frames(folder / "answers.npz", name, len(pictures))
                      for name in ("joints", "boxes", "scores")), strict=True))  # fmt: skip


def assert_same(answers, expected):
    for people, (joints, boxes, scores) in zip(answers, expected, strict=True):
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        assert_same_poses(people, joints[..., :2], joints[..., 2], boxes)
        np.testing.assert_allclose(people.box_scores, scores, atol=1e-4)


def test_poses_are_those_of_the_predictor(make, openpifpaf_python, tmp_path, pictures):
    checkpoint = make(WITH_PEOPLE)
    expected = reference(openpifpaf_python, tmp_path, checkpoint, pictures)
    assert max(len(joints) for joints, _, _ in expected) > 2
    with running(f"openpifpaf:{checkpoint}") as client:
        about = client.process.about
        assert (about["kind"], about["boxes"], about["has_3d"]) == ("pose", "unused", False)
        assert [weights["file"] for weights in about["weights"]] == [checkpoint.name]
        assert about["skeleton"]["joints"][:2] == ["nose", "left_eye"]
        assert [5, 6] in about["skeleton"]["swap"]
        assert [5, 6] in about["skeleton"]["bones"]
        answers = client.ask(pictures)
        client.process.begin()
        again = client.ask(pictures[::-1])[::-1]
    assert_same(answers, expected)
    assert_same(again, expected)
    assert any(np.isnan(people.keypoints_2d).any() for people in answers)


def test_frames_without_people(make, openpifpaf_python, tmp_path, pictures):
    with running(f"openpifpaf:{make(WITHOUT_PEOPLE)}") as client:
        answers = client.ask(pictures)
    assert [people.keypoints_2d.shape for people in answers] == [(0, 17, 2)] * 4


@pytest.mark.real
def test_real_frames_give_the_same_poses_too(make, openpifpaf_python, tmp_path, real_pictures):
    small = np.ascontiguousarray(real_pictures[:, ::4, ::4])
    checkpoint = make(WITH_PEOPLE)
    expected = reference(openpifpaf_python, tmp_path, checkpoint, small)
    assert any(len(joints) for joints, _, _ in expected)
    with running(f"openpifpaf:{checkpoint}") as client:
        assert_same(client.ask(small), expected)


# what cannot be loaded


def refusal(model):
    with pytest.raises(PosedataError) as refused, running(f"openpifpaf:{model}"):
        pass
    return str(refused.value)


def test_a_name_that_openpifpaf_does_not_know_names_those_that_it_does(openpifpaf_python):
    text = refusal("shufflenetv2k17")
    assert "neither a file nor the name of a model" in text
    assert "shufflenetv2k16" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"a text", "not a checkpoint of torch"),
        (b"\x80\x02junk", "not a checkpoint of torch that can be read"),
        (b"PK\x03\x04junk", "a damaged checkpoint"),
    ],
)
def test_a_checkpoint_that_is_not_one(openpifpaf_python, tmp_path, content, reason):
    checkpoint = tmp_path / "weights.pkl"
    checkpoint.write_bytes(content)
    text = refusal(checkpoint)
    assert reason in text
    assert str(checkpoint) in text


SAVE = """
import os, sys, torch
class Call:
    def __init__(self, function, *arguments): self.parts = function, arguments
    def __reduce__(self): return self.parts
torch.save({content}, sys.argv[1])
"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{'model': Call(os.system, 'touch ' + sys.argv[2])}", "asks for posix.system"),
        ("{'model': Call(eval, 'open(%r, chr(119))' % sys.argv[2])}", "asks for builtins.eval"),
        ("{'model': Call(torch.hub.load, '/nowhere', 'x')}", "asks for torch.hub.load"),
        ("{'model': torch.nn.Linear(2, 2)}", "has no network under 'model'"),
        ("{'state_dict': {'a': torch.zeros(2)}}", "has no network under 'model'"),
        ("[1, 2]", "has no network under 'model'"),
    ],
)
def test_a_checkpoint_with_something_else_in_it_runs_nothing(
    openpifpaf_python, tmp_path, content, reason
):
    checkpoint, trace = tmp_path / "weights.pkl", tmp_path / "was_run"
    script = SAVE.replace("{content}", content)
    subprocess.run([str(openpifpaf_python), "-c", script, str(checkpoint), str(trace)], check=True)
    assert reason in refusal(checkpoint)
    assert not trace.exists()
