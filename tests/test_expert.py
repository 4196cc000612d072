"""`posedata.expert`: what --expert may say; and the skeleton that an expert speaks of."""

import numpy as np
import pytest

from posedata.errors import PosedataError, UsageError
from posedata.estimate_plan import name_layers
from posedata.expert import ExpertSpec, list_experts, load_expert, parse_spec
from posedata.expert_skeleton import expert_skeleton
from posedata.skeleton import load_skeleton


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mediapipe", ExpertSpec("mediapipe")),
        ("litert:a/b.tflite", ExpertSpec("litert", "a/b.tflite")),
        ("m=litert:a=b.tflite", ExpertSpec("litert", "a=b.tflite", "m")),
        ("mmpose:C:/x.py,y.pth", ExpertSpec("mmpose", "C:/x.py,y.pth")),
        ("transformers:org/model", ExpertSpec("transformers", "org/model")),
    ],
)
def test_specs(text, expected):
    assert parse_spec(text) == expected


@pytest.mark.parametrize("text", ["", ":x", "a b:x", "=mediapipe", "../x=mediapipe", "litert:"])
def test_what_is_no_spec_is_refused(text):
    with pytest.raises(UsageError, match="--expert"):
        parse_spec(text)


def test_all_experts_say_what_they_are():
    names = list_experts()
    assert {"mediapipe", "litert", "onnx", "mmpose", "openpifpaf", "transformers",
            "torchvision"} <= set(names)  # fmt: skip
    for name in names:
        expert = load_expert(name)
        assert expert.name == name and expert.about and expert.install
        assert (expert.open is None) == bool(expert.environment)


@pytest.mark.parametrize(
    ("spec", "layer"),
    [
        ("mediapipe", "mediapipe"),
        ("litert:some/movenet_lightning.tflite", "movenet_lightning"),
        ("onnx:rtmpose-m 256.onnx", "rtmpose-m_256"),
        ("mmpose:configs/td-hm_hrnet.py,weights.pth", "td-hm_hrnet"),
        ("torchvision:keypointrcnn", "keypointrcnn"),
        ("onnx:...onnx", "onnx"),
    ],
)
def test_a_layer_is_named_after_its_model(spec, layer):
    assert name_layers([parse_spec(spec)])[0].layer == layer


def test_joints_are_found_by_their_names_in_any_order():
    coco = load_skeleton("coco17")
    names = [joint.replace("_", " ").title() for joint in reversed(coco.joints)]
    skeleton, order = expert_skeleton({"name": "x", "joints": names})
    assert skeleton == coco
    np.testing.assert_array_equal(order, np.arange(17)[::-1])


def test_joints_of_a_models_own_become_a_skeleton():
    skeleton, order = expert_skeleton({
        "name": "Hand 3", "joints": ["Wrist", "thumbTip", "9"],
        "bones": [(0, 1)], "swap": [], "sigmas": None,
    })  # fmt: skip
    assert (skeleton.name, skeleton.joints) == ("hand_3", ("wrist", "thumb_tip", "joint_9"))
    assert skeleton.bones == ((0, 1),) and order.tolist() == [0, 1, 2]


def test_the_left_joint_of_a_pair_comes_first():
    skeleton, _ = expert_skeleton({"name": "x", "joints": ["right_wing", "left_wing"],
                                   "swap": [(0, 1)]})  # fmt: skip
    assert skeleton.swap == ((1, 0),)


@pytest.mark.parametrize(
    "said", [{"name": "x", "joints": []}, {"name": "x", "joints": ["a", "A"]},
             {"name": "x", "joints": ["a", "b"], "bones": [(0, 7)]}],
)  # fmt: skip
def test_what_is_no_skeleton_is_refused(said):
    with pytest.raises(PosedataError):
        expert_skeleton(said)
