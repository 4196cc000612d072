"""The worker of mmpose: its poses are those of mmpose's own Python interface."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from expert_client import assert_same_poses, read_frames, run_reference, running

from posedata.errors import PosedataError
from posedata.expert_process import num_joints

TOP_DOWN = {
    "rtmpose-t_8xb256-420e_coco-256x192": 0,
    "td-hm_res50_8xb64-210e_coco-256x192": 0.5,
    "td-hm_ViTPose-small_8xb64-210e_coco-256x192": 0.5,
}
#: Pixels. A forward pass of other size rounds otherwise, and ViTPose's decoding divides by the
#: curvature of a heatmap, which is next to nothing where the heatmap is noise.
ROUNDING = {"td-hm_ViTPose-small_8xb64-210e_coco-256x192": 0.1}
BOTTOM_UP = "rtmo-t_8xb32-600e_body7-416x416"
SCRIPT = "reference_mmpose.py"


@pytest.fixture(scope="module")
def make(mmpose_python, tmp_path_factory):
    """Give a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("mmpose")
    made = {}

    def of(config, bias):
        if (config, bias) not in made:
            made[config, bias] = folder / f"{config}.{bias}.pth"
            run_reference(mmpose_python, SCRIPT, "make", config, made[config, bias], bias)
        return made[config, bias]

    return of


def reference(python, folder, config, checkpoint, pictures, boxes):
    asked = {f"boxes{frame}": of_frame for frame, of_frame in enumerate(boxes or [])}
    np.savez(folder / "asked.npz", frames=pictures, **asked)
    run_reference(python, SCRIPT, "estimate", config, checkpoint, folder / "asked.npz",
                  folder / "answers.npz")  # fmt: skip
    names = ["keypoints", "keypoint_scores", *([] if boxes else ["boxes", "box_scores"])]
    return list(zip(*(read_frames(folder / "answers.npz", name, len(pictures))
                      for name in names), strict=True))  # fmt: skip


@pytest.mark.parametrize("config", TOP_DOWN)
def test_top_down_poses_are_those_of_inference_topdown(
    make, mmpose_python, tmp_path, pictures, boxes, config
):
    checkpoint = make(config, TOP_DOWN[config])
    expected = reference(mmpose_python, tmp_path, config, checkpoint, pictures, boxes)
    with running(f"mmpose:{config},{checkpoint}") as client:
        about = client.process.about
        assert (about["kind"], about["boxes"], about["has_3d"]) == ("pose", "needed", False)
        assert [w["file"] for w in about["weights"]] == [checkpoint.name, f"{config}.py"]
        assert about["skeleton"]["joints"][:2] == ["nose", "left_eye"]
        assert [1, 2] in about["skeleton"]["swap"]
        answers = client.ask(pictures, boxes)
        client.process.begin()
        again = client.ask(pictures[::-1], boxes[::-1])[::-1]
        alone = [client.ask(pictures[f : f + 1], boxes[f : f + 1])[0] for f in range(4)]
    for answer in (answers, again, alone):
        pixels = 1e-4 if answer is alone else ROUNDING.get(config, 1e-4)
        for people, of_frame, (keypoints, scores) in zip(answer, boxes, expected, strict=True):
            assert_same_poses(people, keypoints, scores, of_frame, pixels)
    first = answers[0].keypoints_2d - boxes[0][:, None, :2]
    assert not np.allclose(first[0], first[1], atol=1, equal_nan=True)  # it looks at the pictures


@pytest.mark.real
def test_real_frames_give_the_same_poses_too(make, mmpose_python, tmp_path, real_pictures):
    config = "rtmpose-t_8xb256-420e_coco-256x192"
    checkpoint = make(config, TOP_DOWN[config])
    height, width = real_pictures.shape[1:3]
    size = np.array([width, height] * 2, np.float32)
    boxes = [np.array([[0.2, 0.1, 0.5, 0.9], [0.5, 0.2, 0.9, 1]], np.float32) * size] * 4
    expected = reference(mmpose_python, tmp_path, config, checkpoint, real_pictures, boxes)
    with running(f"mmpose:{config},{checkpoint}") as client:
        answers = client.ask(real_pictures, boxes)
    for people, of_frame, (keypoints, scores) in zip(answers, boxes, expected, strict=True):
        assert_same_poses(people, keypoints, scores, of_frame)


@pytest.mark.parametrize(("bias", "has_people"), [(-12, True), (-99, False)])
def test_bottom_up_poses_are_those_of_inference_bottomup(
    make, mmpose_python, tmp_path, pictures, bias, has_people
):
    checkpoint = make(BOTTOM_UP, bias)
    expected = reference(mmpose_python, tmp_path, BOTTOM_UP, checkpoint, pictures, None)
    with running(f"mmpose:{BOTTOM_UP},{checkpoint}") as client:
        assert client.process.about["boxes"] == "unused"
        assert num_joints(client.process.about["skeleton"]) == 17
        answers = client.ask(pictures)
    assert has_people == any(len(people.boxes) > 1 for people in answers)
    for people, (keypoints, scores, boxes, box_scores) in zip(answers, expected, strict=True):
        assert_same_poses(people, keypoints, scores, boxes)
        np.testing.assert_allclose(people.box_scores, box_scores, atol=1e-4)


def test_a_box_without_an_area_has_nobody(make, pictures):
    config = "rtmpose-t_8xb256-420e_coco-256x192"
    boxes = [np.array([[5, 5, 5, 5], [10, 20, 150, 250], [np.nan] * 4], np.float32)]
    with running(f"mmpose:{config},{make(config, 0)}") as client:
        (people,) = client.ask(pictures[:1], boxes)
    assert np.isnan(people.keypoints_2d).all((1, 2)).tolist() == [True, False, True]
    assert (people.scores == 0).all(1).tolist() == [True, False, True]


# what cannot be loaded


def refusal(model):
    with pytest.raises(PosedataError) as refused, running(f"mmpose:{model}"):
        pass
    return str(refused.value)


def test_a_configuration_that_is_not_there_names_the_nearest(mmpose_python):
    text = refusal("rtmpose-q_8xb256-420e_coco-256x192,weights.pth")
    assert "neither a configuration file nor the name" in text
    assert "rtmpose-t_8xb256-420e_coco-256x192" in text


def test_a_name_that_several_have_names_them(mmpose_python):
    text = refusal("rtmo-s,weights.pth")
    assert "several configurations" in text
    assert "rtmo-s_8xb32-600e_coco-640x640" in text


def test_a_configuration_alone_is_refused_with_the_place_of_its_weights(mmpose_python):
    text = refusal("rtmo-s_8xb32-600e_coco-640x640")
    assert "its weights would be random" in text
    assert ".pth" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "an empty file"),
        (b"a text", "not a checkpoint of torch"),
        (b"\x80\x02junk", "not a checkpoint of torch that can be read"),
        (b"PK\x03\x04junk", "a damaged checkpoint"),
    ],
)
def test_a_checkpoint_that_is_not_one(mmpose_python, tmp_path, content, reason):
    checkpoint = tmp_path / "weights.pth"
    if content is not None:
        checkpoint.write_bytes(content)
    text = refusal(f"{BOTTOM_UP},{checkpoint}")
    assert reason in text
    assert str(checkpoint) in text


def test_a_truncated_checkpoint(make, tmp_path):
    whole = make(BOTTOM_UP, -12).read_bytes()
    checkpoint = tmp_path / "weights.pth"
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert "a damaged checkpoint" in refusal(f"{BOTTOM_UP},{checkpoint}")


def test_the_checkpoint_of_another_model_is_refused(make):
    text = refusal(f"rtmpose-t_8xb256-420e_coco-256x192,{make(BOTTOM_UP, -12)}")
    assert "weights of the model" in text


@pytest.mark.parametrize(
    "config",
    [
        "import os\n",
        "model = dict(type='Nothing')\n",
        "model = dict(type='Nothing')\ntest_dataloader = dict()\n",
        "1 +\n",
    ],
)
def test_a_configuration_that_is_not_one(mmpose_python, tmp_path, config):
    path = tmp_path / "config.py"
    path.write_text(config)
    text = refusal(f"{path},weights.pth")
    assert str(path) in text
    assert "configuration" in text


def test_a_checkpoint_that_would_run_code_runs_nothing_and_a_training_one_loads(
    make, mmpose_python, tmp_path
):
    """Checkpoints of a training hold objects of classes, besides the weights: all stay inert."""
    wrapped = tmp_path / "weights.pth"
    script = (
        "import collections, os, sys, torch\n"
        "class Run:\n"
        "    def __reduce__(self):\n"
        f"        return os.system, ('touch {tmp_path}/was_run',)\n"
        "class Weird(list): pass\n"
        "content = torch.load(sys.argv[1], weights_only=False)\n"
        "content['run'] = Run()\n"
        "content['optimizer'] = collections.Counter(a=1)\n"
        "content['message_hub'] = {'log': Weird([1, 2])}\n"
        "torch.save(content, sys.argv[2])\n"
    )
    command = [str(mmpose_python), "-c", script, str(make(BOTTOM_UP, -12)), str(wrapped)]
    subprocess.run(command, check=True, env=os.environ)
    with running(f"mmpose:{BOTTOM_UP},{wrapped}") as client:
        assert client.process.about["kind"] == "pose"
    assert not (tmp_path / "was_run").exists()
