"""Cards of models, and what is told of models by the shapes of their outputs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import InputError, PosedataError, UsageError
from posedata.experts import model_card
from posedata.experts.model_card import KNOWN_MODELS, complete_card, read_card
from posedata.experts.model_signature import find_card, recognise
from posedata.experts.weights import describe_weights


def write(folder, content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "m.onnx.json").write_bytes(text)
    return folder / "m.onnx"


def completed(folder, content):
    path = write(folder, content)
    return complete_card(read_card(path), path.with_name("m.onnx.json"))


def test_without_a_card_there_are_no_settings(tmp_path):
    assert read_card(tmp_path / "m.onnx") is None


def test_a_card_overrides_the_model_that_it_names(tmp_path):
    card = completed(tmp_path, {"model": "vitpose", "padding": 1, "skeleton": "halpe26"})
    assert (card.decode, card.refine, card.grid, card.padding) == (
        "heatmap",
        "dark",
        "corners",
        1.0,
    )
    assert card.joints == card.skeleton.joints and len(card.joints) == 26


def test_every_key_is_taken(tmp_path):
    content = {
        "decode": "heatmap", "skeleton": "coco17", "joints": ["nose", None], "size": [64, 96],
        "padding": 1.5, "fill": 7, "colour": "bgr", "mean": [1, 2, 3], "std": [4, 5.5, 6],
        "refine": "dark", "grid": "corners", "blur": 7, "nms": 0.5, "outputs": ["a"],
    }  # fmt: skip
    card = completed(tmp_path, content)
    assert content.keys() == model_card._KEYS.keys() - {"model"}
    for key in content.keys() - {"skeleton"}:
        value = getattr(card, key)
        assert (list(value) if isinstance(value, tuple) else value) == content[key], key
    assert card.skeleton.name == "coco17"


@pytest.mark.parametrize("content, message", [
    (b"{", "m.onnx.json.*not.*JSON|m.onnx.json.*JSON"),
    (b"\xff\xfe", "m.onnx.json"),
    ([], "expected an object"),
    ({}, "neither 'model' nor 'decode'.*vitpose"),
    ({"model": "vitpos"}, "model: not a value for it: found 'vitpos', expected one of movenet, "),
    ({"modle": "vitpose"}, "no such key: found 'modle', expected one of model, decode"),
    ({"model": "hrnet", "size": [192]}, r"size: .*found \[192\], expected \[width, height\]"),
    ({"model": "hrnet", "size": [192, 1e9]}, "size: "),
    ({"model": "hrnet", "size": [192, True]}, "size: "),
    ({"model": "hrnet", "std": [1, 0, 1]}, "std: .*not 0"),
    (b'{"model": "hrnet", "std": [1, NaN, 1]}', "std: "),
    (b'{"model": "hrnet", "mean": [1, NaN, 1]}', "mean: "),
    ({"model": "hrnet", "padding": 0}, "padding: .*0.1 to 10"),
    ({"model": "hrnet", "blur": 4}, "blur: .*odd"),
    ({"model": "hrnet", "nms": "0.4"}, "nms: "),
    ({"model": "hrnet", "skeleton": "coco71"}, "skeleton: unknown skeleton.*Did you mean"),
    ({"model": "hrnet", "skeleton": {"joints": ["a"]}}, "skeleton: not a value.*with its name"),
    ({"model": "hrnet", "skeleton": {"name": "x", "joints": ["a"]}}, "a skeleton without bones"),
    ({"model": "hrnet", "joints": ["nose"]}, "joints without their skeleton"),
    ({"model": "hrnet", "skeleton": "coco17", "joints": ["nos"]}, "has no such joint.*nose"),
    ({"model": "hrnet", "skeleton": "coco17", "joints": ["nose"] * 2}, "a joint twice: found nose"),
    ({"model": "rtmdet", "skeleton": "coco17"}, "a detector has no skeleton"),
    ({"decode": "yolo"}, "decode: not a value for it"),
])  # fmt: skip
def test_wrong_cards_are_told(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        completed(tmp_path, content)
    assert "m.onnx.json" in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["hrnet", "coco17", "nose", "bgr", "heatmap"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)  # fmt: skip
keys = st.sampled_from([*model_card._KEYS, "x"])


@given(content=st.dictionaries(keys, json_values, max_size=4) | json_values)
def test_any_card_is_an_error_or_a_card(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("card")
    try:
        completed(folder, json.dumps(content).encode())
    except PosedataError as error:
        assert "m.onnx" in str(error)


def test_cards_too_large_and_unreadable_are_told(tmp_path):
    with pytest.raises(InputError, match="too large for a model's card"):
        read_card(write(tmp_path, b" " * (1 << 20) + b"{}"))
    (tmp_path / "n.onnx.json").mkdir()
    with pytest.raises(InputError, match=r"n\.onnx\.json: cannot be read"):
        read_card(tmp_path / "n.onnx")


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_known_models_are_complete(name):
    card = KNOWN_MODELS[name]()
    assert json.dumps(card.options())
    for joint in card.joints:
        card.skeleton.index(joint)


# told by shapes


@pytest.mark.parametrize("shapes, size, models", [
    ({"o": (1, 1, 17, 3)}, (192, 192), ("movenet",)),
    ({"o": (1, 6, 56)}, (256, 256), ("movenet-multipose",)),
    ({"paf": (1, 32, 32, 28), "low": (1, 32, 32, 16), "o": (1, 256, 256, 16)}, (256, 256),
     ("efficientpose-lite", "efficientpose")),
    ({"simcc_x": (1, 17, 384), "simcc_y": (1, 17, 512)}, (192, 256), ("rtmpose",)),
    ({"dets": (1, 9, 5), "keypoints": (1, 9, 17, 3)}, (640, 640), ("rtmo",)),
    ({"dets": (1, 9, 5), "labels": (1, 9)}, (640, 640), ("rtmdet", "yolox-nms")),
    ({"o": (1, 3549, 85)}, (416, 416), ("yolox",)),
    ({"o": (1, 3549, 6)}, (416, 416), ("yolox",)),
    ({"o": (1, 17, 64, 48)}, (192, 256), ("vitpose", "hrnet")),
    ({"o": (1, 17, 64, 40)}, (192, 256), ()),
    ({"o": (1, 3000, 85)}, (416, 416), ()),
    ({"x": (1, 17, 384), "y": (1, 17, 500)}, (192, 256), ()),
    ({"a": (1,), "b": (1,), "c": (1,)}, (192, 256), ()),
    ({"o": ()}, (192, 256), ()),
    ({"o": (), "p": ()}, (192, 256), ()),
    ({}, (192, 256), ()),
])  # fmt: skip
def test_models_are_recognised_by_shapes(shapes, size, models):
    is_nchw = "paf" not in shapes
    assert recognise(shapes, size, is_nchw).models == models


def test_x_and_y_of_simcc_are_told_apart():
    shapes = {"simcc_y": (1, 17, 512), "simcc_x": (1, 17, 384)}
    assert recognise(shapes, (192, 256), True).outputs == ("simcc_x", "simcc_y")
    square = {"simcc_y": (1, 17, 512), "simcc_x": (1, 17, 512)}
    assert recognise(square, (256, 256), True).outputs == ("simcc_x", "simcc_y")
    unnamed = {"597": (1, 17, 512), "598": (1, 17, 512)}
    assert recognise(unnamed, (256, 256), True).outputs == ("597", "598")


def efficientpose_outputs():
    return {"paf": np.zeros((1, 28, 28, 28)), "low": np.zeros((1, 28, 28, 16)),
            "maps": np.zeros((1, 224, 224, 16))}  # fmt: skip


def test_efficientpose_gives_mpii_joints_and_its_lite_kin_other_pixels(tmp_path):
    full = find_card(tmp_path / "RT.tflite", (224, 224), efficientpose_outputs(), None, False)
    lite = find_card(tmp_path / "RT_LITE.tflite", (224, 224), efficientpose_outputs(), None, False)
    assert full.skeleton.name == lite.skeleton.name == "mpii16"
    assert full.joints[:3] == ("head_top", "upper_neck", "right_shoulder")
    assert full.outputs == ("maps",)
    assert full.mean[0] == 123.675 and lite.mean[0] == lite.std[0] == 127.5


@pytest.mark.parametrize("settings, outputs, message", [
    ({"decode": "heatmap", "outputs": ("z",)}, {"o": (1, 17, 64, 48)}, "no such output: found 'z'"),
    ({"model": "hrnet"}, {"o": (1, 17)}, r"decode as heatmap: found o \[1, 17\]"),
    ({"model": "rtmpose"}, {"o": (1, 17, 4), "p": (1, 16, 4)}, "decode as simcc"),
    ({"model": "rtmo"}, {"o": (1, 17, 4), "p": (1, 16, 4, 3)}, "decode as rtmo"),
    ({"model": "movenet"}, {"o": (1, 2, 17, 3)}, "decode as movenet"),
    ({"model": "movenet-multipose"}, {"o": (1, 6, 57)}, "decode as movenet-multipose"),
    ({"model": "rtmdet"}, {"o": (1, 6, 5)}, "decode as boxes"),
    ({"model": "yolox"}, {"o": (1, 6, 85)}, "decode as yolox"),
    ({"model": "hrnet"}, {"o": (1, 17, 0, 0)}, "decode as heatmap"),
])  # fmt: skip
def test_cards_at_odds_with_the_model_are_told(tmp_path, settings, outputs, message):
    arrays = {name: np.zeros(shape, np.float32) for name, shape in outputs.items()}
    with pytest.raises(InputError, match=message):
        find_card(tmp_path / "m.onnx", (192, 256), arrays, settings, True)


def test_a_card_with_another_number_of_joints_is_told(tmp_path):
    path = write(tmp_path, {"model": "hrnet", "skeleton": "halpe26"})
    arrays = {"o": np.zeros((1, 17, 64, 48))}
    with pytest.raises(InputError, match=r"another number of joints.*found 26, expected 17"):
        find_card(path, (192, 256), arrays, read_card(path), True)
    with pytest.raises(UsageError, match="a pose model of 12 joints"):
        find_card(path, (192, 256), {"o": np.zeros((1, 12, 64, 48))}, {"model": "hrnet"}, True)


def test_weights_are_told_by_name_and_sum(tmp_path):
    path = tmp_path / "w.bin"
    path.write_bytes(b"abc")
    assert describe_weights(path) == {
        "file": "w.bin",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }
    for missing in (tmp_path / "x", tmp_path, "a\0b", "x" * 5000):
        with pytest.raises(UsageError, match="file of weights"):
            describe_weights(missing)
