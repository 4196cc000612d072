"""`posedata.experts.litert`: made models that point at a spot, and real ones on video."""

import json

import made_models as made
import numpy as np
import pytest

from posedata.converters import ntu
from posedata.errors import InputError, UsageError
from posedata.expert import load_expert
from posedata.experts import onnx
from posedata.experts.litert import EXPERT
from posedata.skeleton import load_skeleton
from posedata.storage import locate

LIMBS = [f"{side}_{joint}" for side in ("left", "right")
         for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip


def open_here(path):
    return EXPERT.open(str(path), "cpu")


def test_it_is_registered():
    assert load_expert("litert") is EXPERT
    assert not EXPERT.missing()


def test_movenet_is_recognised_and_finds_the_spot_in_boxes(tmp_path):
    estimator = open_here(made.movenet_tflite(tmp_path / "any-name.tflite"))
    about = estimator.about
    assert (about["kind"], about["skeleton"], about["boxes"]) == ("pose", "coco17", "optional")
    assert about["options"]["input"] == [192, 192] and about["options"]["padding"] == 1.25
    assert about["version"].startswith("ai-edge-litert ")
    rng = np.random.default_rng(3)
    for _ in range(8):
        spot = rng.uniform(100, 200, 2)
        frame = made.picture(400, 300, spot)
        boxes = np.tile(spot, (3, 2)) + rng.uniform(30, 90, (3, 4)) * [-1, -1, 1, 1]
        (people,) = estimator.estimate([frame], [boxes.astype(np.float32)])
        np.testing.assert_allclose(people.keypoints_2d, np.tile(spot, (3, 17, 1)), atol=0.05)
        np.testing.assert_allclose(people.scores, 0.8, rtol=1e-6)
        np.testing.assert_array_equal(people.boxes, boxes.astype(np.float32))


@pytest.mark.parametrize("width, height", [(400, 300), (270, 480)])
def test_movenet_without_boxes_looks_at_the_whole_frame(tmp_path, width, height):
    estimator = open_here(made.movenet_tflite(tmp_path / "a.tflite"))
    frames = [made.picture(width, height, spot, 12) for spot in ((100, 80), (222.4, 250.3))]
    first, second = estimator.estimate(frames, None)
    np.testing.assert_allclose(first.keypoints_2d[0, 0], (100, 80), atol=0.1)
    np.testing.assert_allclose(second.keypoints_2d[0, 0], (222.4, 250.3), atol=0.1)
    np.testing.assert_allclose(second.boxes[0], (222.4, 250.3) * 2, atol=0.1)
    np.testing.assert_allclose(second.box_scores, 0.8)


def test_movenet_sees_nobody_where_no_joint_is_sure(tmp_path):
    estimator = open_here(made.movenet_tflite(tmp_path / "a.tflite", score=0.15))
    frame = made.picture(400, 300, (100, 80))
    (people,) = estimator.estimate([frame], None)
    assert people.boxes.shape == (0, 4) and people.keypoints_2d.shape == (0, 17, 2)
    (people,) = estimator.estimate([frame], [np.array([[50, 40, 150, 120]], np.float32)])
    np.testing.assert_allclose(people.scores, 0.15, rtol=1e-6)


@pytest.mark.parametrize("kind, scale, zero", [("INT8", 1 / 255, -128), ("UINT8", 1 / 255, 0)])
def test_whole_numbers_stand_for_what_the_model_says(tmp_path, kind, scale, zero):
    path = made.movenet_tflite(tmp_path / "a.tflite", kind=kind, scale=scale, zero=zero)
    card = {"model": "movenet", "std": [255, 255, 255]}
    (tmp_path / "a.tflite.json").write_text(json.dumps(card))
    frame = made.picture(400, 300, (200.6, 140.2))
    (people,) = open_here(path).estimate([frame], [np.array([[120, 60, 280, 220]], np.float32)])
    np.testing.assert_allclose(people.keypoints_2d[0, 0], (200.6, 140.2), atol=0.05)


def test_whole_numbers_that_stand_for_themselves_have_no_mean(tmp_path):
    path = made.movenet_tflite(tmp_path / "a.tflite")
    (tmp_path / "a.tflite.json").write_text('{"model": "movenet", "mean": [127, 127, 127]}')
    with pytest.raises(InputError, match="whole numbers cannot be given mean and std: found uint8"):
        open_here(path)


def test_movenet_multipose_with_open_sides_finds_people_itself(tmp_path):
    path = made.multipose_tflite(tmp_path / "a.tflite", [0.3, 0.9, 0, 0, 0.04, 0])
    estimator = open_here(path)
    assert estimator.about["boxes"] == "unused"
    # 256 pixels along the longer side, the other one filled up to a multiple of 32.
    for width, height, shown in ((512, 400, (256, 224)), (1024, 1024, (256, 256)),
                                 (320, 640, (128, 256)), (64, 640, (32, 256))):  # fmt: skip
        (people,) = estimator.estimate([np.zeros((height, width, 3), np.uint8)], None)
        np.testing.assert_allclose(people.box_scores, [0.9, 0.3])
        step = max(width, height) / 256
        shown = np.array(shown) * step
        expected = shown * [0.25, 0.5] + 0.5 * step - 0.5
        np.testing.assert_allclose(people.keypoints_2d[0, 0], expected, atol=1e-3)
        box = np.tile(shown, 2) * [0.125, 0.25, 0.375, 0.75] - 0.5
        np.testing.assert_allclose(people.boxes[0], box, atol=1e-3)


def test_files_that_are_no_models_are_told(tmp_path):
    with pytest.raises(UsageError, match="which model"):
        EXPERT.open("", "cpu")
    with pytest.raises(UsageError, match="no such file of weights"):
        open_here(tmp_path / "nowhere.tflite")
    content = made.movenet_tflite(tmp_path / "a.tflite").read_bytes()
    with pytest.raises(UsageError, match="no such device: found 'cuda', expected cpu"):
        EXPERT.open(str(tmp_path / "a.tflite"), "cuda")
    for number, bad in enumerate([b"", b"no model", content[: len(content) // 2], content[:-4]]):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(bad)
        with pytest.raises(InputError, match="not a model that LiteRT can load"):
            open_here(path)


def test_a_model_that_is_not_known_is_described(tmp_path):
    path = made.movenet_tflite(tmp_path / "a.tflite")
    (tmp_path / "a.tflite.json").write_text('{"model": "hrnet", "skeleton": "coco17"}')
    with pytest.raises(InputError, match=r"to decode as heatmap: found output_0 \[1, 1, 17, 3\]"):
        open_here(path)


@pytest.mark.real
@pytest.mark.parametrize("model, most", [
    ("movenet_lightning_int8", 20), ("EfficientPoseRT", 20), ("EfficientPoseI", 20),
])  # fmt: skip
def test_real_models_are_near_the_kinect(shared, tmp_path, model, most):
    av = pytest.importorskip("av")
    name = "S001C001P001R001A001"
    raw = locate(shared / "data/ntu/skeletons")
    options = {"all_fields": False}
    samples = [s for s in ntu.discover(raw, options).samples if s.clip_id == name]
    clip, _ = ntu.read(raw, samples[0], ntu.describe(samples, options))
    with av.open(str(shared / f"data/ntu/rgb/{name}_rgb.avi")) as container:
        decoded = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    numbers = clip.frames[::10]
    frames = [decoded[number] for number in numbers]

    detector = tmp_path / "rtmdet.onnx"
    detector.symlink_to(shared / "models/rtmdet_nano_coco80.onnx")
    (tmp_path / "rtmdet.onnx.json").write_text('{"model": "rtmdet", "size": [320, 320]}')
    found = onnx.EXPERT.open(str(detector), "cpu").estimate(frames, None)
    boxes = [people.boxes[people.box_scores > 0.4] for people in found]
    assert {len(b) for b in boxes} == {1}

    estimator = open_here(shared / f"models/{model}.tflite")
    skeleton, kinect = load_skeleton(estimator.about["skeleton"]), load_skeleton("nturgbd25")
    mine = [skeleton.index(joint) for joint in LIMBS]
    # NTU's video is mirrored against its skeleton.
    theirs = kinect.flip_order[[kinect.index(joint) for joint in LIMBS]]
    poses = np.array([p.keypoints_2d[0] for p in estimator.estimate(frames, boxes)])
    truth = clip.keypoints_2d[::10][:, theirs]
    assert np.linalg.norm(poses[:, mine] - truth, axis=-1).mean() < most
    again = np.array([p.keypoints_2d[0] for p in estimator.estimate(frames, boxes)])
    np.testing.assert_array_equal(poses, again)
