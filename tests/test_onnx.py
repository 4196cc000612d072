"""`posedata.experts.onnx`: made models that point at a bright spot, and real detectors."""

import hashlib
import json

import made_models as made
import numpy as np
import pytest

from posedata.errors import InputError, PosedataError, UsageError
from posedata.expert import load_expert
from posedata.experts.onnx import EXPERT

COCO = 17


def open_here(path):
    return EXPERT.open(str(path), "cpu")


def card(path, **settings):
    path.with_name(path.name + ".json").write_text(json.dumps(settings))
    return path


def random_scenes(count=12, size=(400, 300), room=110):
    """Spots, pictures, and boxes around the spots, of many sizes and ratios."""
    rng = np.random.default_rng(4)
    for _ in range(count):
        spot = rng.uniform((room, room), (size[0] - room, size[1] - room))
        reach = rng.uniform(30, 105, 4) * [-1, -1, 1, 1]
        yield spot, made.picture(*size, spot), np.float32(np.tile(spot, 2) + reach)


def test_it_is_registered():
    assert load_expert("onnx") is EXPERT
    assert not EXPERT.missing()


# poses


@pytest.mark.parametrize("joints, skeleton",
                         [(17, "coco17"), (26, "halpe26"), (133, "coco_wholebody133")])  # fmt: skip
def test_rtmpose_is_recognised_by_its_outputs(tmp_path, joints, skeleton):
    path = made.simcc(tmp_path / "end2end.onnx", joints)
    about = open_here(path).about
    assert about["skeleton"] == skeleton
    assert (about["kind"], about["boxes"], about["has_3d"]) == ("pose", "needed", False)
    assert about["version"].startswith("onnxruntime ") and about["device"] == "cpu"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["weights"] == [{"file": "end2end.onnx", "sha256": digest}]
    assert about["options"] == {
        "input": [192, 256], "decode": "simcc", "padding": 1.25, "fill": 0, "colour": "rgb",
        "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
        "outputs": ["simcc_x", "simcc_y"],
    }  # fmt: skip
    json.dumps(about)


def test_simcc_points_at_the_spot_to_within_a_bin(tmp_path):
    estimator = open_here(made.simcc(tmp_path / "a.onnx"))
    errors = []
    for spot, frame, box in random_scenes(24):
        (people,) = estimator.estimate([frame], [box[None]])
        step = max((box[2] - box[0]) / 192, (box[3] - box[1]) / 256) * 1.25
        errors.append((people.keypoints_2d[0] - spot) / step)
        # The brightest pixel of the crop: half a pixel of it to either side, and equal neighbours.
        assert np.abs(errors[-1]).max() < 1.1
        assert people.boxes.tolist() == [box.tolist()]
        np.testing.assert_allclose(people.scores[0], np.linspace(0.9, 0.5, 17), atol=0.04)
        np.testing.assert_allclose(people.box_scores, people.scores.mean(1), rtol=1e-6)
    assert np.abs(np.mean(errors, axis=(0, 1))).max() < 0.2


@pytest.mark.parametrize("grid, name", [("stride", "a.onnx"), ("corners", "vitpose-b.onnx")])
def test_dark_points_at_the_spot_to_a_fraction_of_a_pixel(tmp_path, grid, name):
    path = made.heatmap(tmp_path / name, grid=grid)
    if grid == "stride":
        card(path, model="hrnet", refine="dark")
    estimator = open_here(path)
    assert estimator.about["options"]["grid"] == grid
    for spot, frame, box in random_scenes():
        (people,) = estimator.estimate([frame], [box[None]])
        np.testing.assert_allclose(people.keypoints_2d[0], np.tile(spot, (17, 1)), atol=0.1)


def test_a_quarter_is_as_near_as_it_can_be(tmp_path):
    estimator = open_here(made.heatmap(tmp_path / "HRNet_w32.onnx"))
    assert estimator.about["options"]["refine"] == "quarter"
    errors = []
    for spot, frame, box in random_scenes(24):
        (people,) = estimator.estimate([frame], [box[None]])
        step = 4 * max((box[2] - box[0]) / 192, (box[3] - box[1]) / 256) * 1.25
        errors.append((people.keypoints_2d[0, 0] - spot) / step)
    assert np.abs(errors).max() < 0.35 and np.abs(np.mean(errors, 0)).max() < 0.08


def test_channels_go_in_as_red_green_blue(tmp_path):
    path = made.simcc(tmp_path / "a.onnx", 15, channels=True)
    spots = [(120, 90), (200, 150), (260, 190)]
    frame = np.stack([made.picture(400, 300, spot)[..., 0] for spot in spots], axis=-1)
    boxes = [np.array([[80, 60, 300, 230]], np.float32)]
    for colour, order in (("rgb", spots), ("bgr", spots[::-1])):
        card(path, model="rtmpose", skeleton="mpi15", colour=colour)
        (people,) = open_here(path).estimate([frame], boxes)
        np.testing.assert_allclose(people.keypoints_2d[0], np.tile(order, (5, 1)), atol=1.2)


@pytest.mark.parametrize("batch", ["N", 1])
def test_people_of_many_frames_are_the_same_alone_and_together(tmp_path, batch):
    estimator = open_here(made.heatmap(tmp_path / "vitpose.onnx", grid="corners", batch=batch))
    frames, boxes = [], []
    for number, (_, frame, box) in enumerate(random_scenes(9)):
        frames.append(frame)
        boxes.append(np.repeat(box[None], (number * 3) % 7, axis=0) + np.float32(number))
    together = estimator.estimate(frames, boxes)
    assert [len(people.boxes) for people in together] == [len(b) for b in boxes]
    for people, frame, box in zip(together, frames, boxes, strict=True):
        (alone,) = estimator.estimate([frame], [box])
        np.testing.assert_allclose(people.keypoints_2d, alone.keypoints_2d, atol=1e-3)
        np.testing.assert_allclose(people.scores, alone.scores, atol=1e-5)
    assert estimator.estimate([], []) == []


def test_nobody_is_found_in_an_impossible_box(tmp_path):
    estimator = open_here(made.simcc(tmp_path / "a.onnx"))
    frame = made.picture(400, 300, (200, 150))
    boxes = np.array([(100, 50, 300, 260), (5, 5, 5, 5), (np.nan, 0, 1, 1), (900, 0, 950, 60),
                      (100, 50, 300, 260)], np.float32)  # fmt: skip
    (people,) = estimator.estimate([frame], [boxes])
    found = np.isfinite(people.keypoints_2d).all((1, 2))
    assert found.tolist() == [True, False, False, False, True]
    assert people.scores[1:4].max() == 0 and people.box_scores[1:4].max() == 0
    np.testing.assert_array_equal(people.boxes, boxes)


def test_joints_that_score_nothing_are_missing(tmp_path):
    path = card(
        made.heatmap(tmp_path / "a.onnx"), model="hrnet", mean=[255, 255, 255], std=[1, 1, 1]
    )
    (people,) = open_here(path).estimate([np.zeros((300, 400, 3), np.uint8)],
                                         [np.array([[0, 0, 90, 200]], np.float32)])  # fmt: skip
    assert np.isnan(people.keypoints_2d).all() and people.scores.max() == 0


def test_a_card_names_joints_in_the_models_order(tmp_path):
    names = ["nose", None, "left_eye"]
    path = card(
        made.simcc(tmp_path / "a.onnx", 3), model="rtmpose", skeleton="coco17", joints=names
    )
    estimator = open_here(path)
    assert estimator.about["options"]["joints"] == names
    frame = made.picture(400, 300, (200, 150))
    (people,) = estimator.estimate([frame], [np.array([[100, 50, 300, 260]], np.float32)])
    assert np.isfinite(people.keypoints_2d[0]).all(1).nonzero()[0].tolist() == [0, 1]
    np.testing.assert_allclose(people.scores[0, :2], [0.9, 0.5], atol=0.03)
    assert people.box_scores[0] == pytest.approx(people.scores[0, :2].mean())


def test_a_card_may_bring_a_skeleton_of_its_own(tmp_path):
    skeleton = {"name": "triangle", "joints": ["left_corner", "right_corner", "top"],
                "bones": [[0, 1]], "swap": [[0, 1]], "root": "top"}  # fmt: skip
    path = card(made.simcc(tmp_path / "a.onnx", 3), model="rtmpose", skeleton=skeleton)
    described = open_here(path).about["skeleton"]
    assert described["name"] == "triangle" and described["joints"] == skeleton["joints"]


def test_joints_that_nobody_named_are_asked_for(tmp_path):
    with pytest.raises(UsageError, match="a pose model of 21 joints, whose names are not known"):
        open_here(made.simcc(tmp_path / "hand.onnx", 21))


def test_rtmo_finds_people_itself(tmp_path):
    rows = [(10, 20, 0.3), (60, 40, 0.9), (10.1, 20, 0.2), (300, 300, 0.04)]
    estimator = open_here(made.rtmo(tmp_path / "a.onnx", rows))
    assert (estimator.about["boxes"], estimator.about["skeleton"]) == ("unused", "coco17")
    for spot, frame, _ in random_scenes(4):
        (people,) = estimator.estimate([frame], None)
        # The third is the first once more, the fourth is too unlikely.
        np.testing.assert_allclose(people.box_scores, [0.9, 0.3])
        step = 400 / 640
        expected = spot + np.stack([np.arange(17) * step, np.zeros(17)], 1)
        np.testing.assert_allclose(people.keypoints_2d, [expected, expected], atol=0.05)
        reach = np.array([[-60, -40, 60, 40], [-10, -20, 10, 20]]) * step
        np.testing.assert_allclose(people.boxes, np.tile(spot, 2) + reach, atol=0.05)
        np.testing.assert_allclose(people.scores[0], 1 - np.arange(17) / 50, rtol=1e-5)


@pytest.mark.parametrize("width, height", [(400, 300), (300, 400), (1920, 1080), (97, 33)])
def test_movenet_multipose_takes_any_picture(tmp_path, width, height):
    estimator = open_here(made.multipose(tmp_path / "a.onnx", [0.3, 0.9, 0, 0, 0.04, 0.05]))
    assert estimator.about["skeleton"] == "coco17" and estimator.about["boxes"] == "unused"
    spot = np.array([width * 0.6, height * 0.4])
    frame = made.picture(width, height, spot, radius=max(width, height) / 16)
    (people,) = estimator.estimate([frame], None)
    np.testing.assert_allclose(people.box_scores, [0.9, 0.3, 0.05])
    step = max(width, height) / 256
    np.testing.assert_allclose(people.keypoints_2d, np.tile(spot, (3, 17, 1)), atol=0.1 * step)


# detectors


def test_boxes_of_rtmdet_are_in_pixels_of_the_frame(tmp_path):
    rows = [(10, 20, 0.3), (30, 20, 0.9), (50, 50, 0.95), (5, 5, 0.01)]
    path = made.boxes(tmp_path / "rtmdet_m.onnx", rows, labels=[0, 0, 16, 0])
    estimator = open_here(path)
    assert estimator.about["kind"] == "detector" and estimator.about["skeleton"] is None
    assert estimator.about["boxes"] == "unused" and estimator.about["options"]["colour"] == "bgr"
    frames, spots = zip(*[(f, s) for s, f, _ in random_scenes(4)], strict=True)
    for people, spot in zip(estimator.estimate(frames, None), spots, strict=True):
        np.testing.assert_allclose(people.box_scores, [0.9, 0.3])
        reach = np.array([[-30, -20, 30, 20], [-10, -20, 10, 20]]) * 400 / 640
        np.testing.assert_allclose(people.boxes, np.tile(spot, 2) + reach, atol=0.05)
        assert people.keypoints_2d.shape == (2, 0, 2) and people.scores.shape == (2, 0)


def test_yolox_with_its_suppression_takes_plain_pixels(tmp_path):
    folder = tmp_path / "yolox_m_8xb8-300e_humanart"
    folder.mkdir()
    path = made.boxes(folder / "end2end.onnx", [(10, 20, 0.9)], [0], (416, 416), ramp=made.RAMP)
    estimator = open_here(path)
    assert estimator.about["options"]["input"] == [416, 416]
    for spot, frame, _ in random_scenes(3):
        (people,) = estimator.estimate([frame], None)
        reach = np.array([-10, -20, 10, 20]) * 400 / 416
        np.testing.assert_allclose(people.boxes[0], np.tile(spot, 2) + reach, atol=0.05)


def test_the_grids_of_yolox_are_decoded(tmp_path):
    # The second grid (stride 16, 26 columns) follows 52 x 52 cells: row 3, column 5.
    cell = 52 * 52 + 3 * 26 + 5
    path = made.grid(tmp_path / "a.onnx", cell, (0.5, 0.25, np.log(2), np.log(4), 0.8))
    (people,) = open_here(path).estimate([np.zeros((208, 416, 3), np.uint8)], None)
    np.testing.assert_allclose(people.box_scores, [0.8])
    np.testing.assert_allclose(people.boxes, [np.array([72, 20, 104, 84]) - 0.5], atol=1e-4)


def test_boxes_in_pixels_are_not_taken_for_cells(tmp_path):
    path = made.grid(tmp_path / "a.onnx", 100, (380, 200, 30, 80, 0.8))
    with pytest.raises(InputError, match=r"are in pixels already.*decode_in_inference"):
        open_here(path)


def test_detectors_that_look_alike_are_asked_for(tmp_path):
    path = made.boxes(tmp_path / "end2end.onnx", [(10, 20, 0.9)], [0])
    with pytest.raises(UsageError, match=r"rtmdet or yolox-nms.*end2end.onnx.json"):
        open_here(path)
    assert open_here(card(path, model="rtmdet", size=[320, 320])).about["options"]["input"] == [
        320,
        320,
    ]
    path = made.heatmap(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="vitpose or hrnet"):
        open_here(path)


# what cannot be


def test_a_device_that_is_not_there_is_refused(tmp_path):
    import onnxruntime

    path = made.simcc(tmp_path / "a.onnx")
    with pytest.raises(
        UsageError, match="no such device: found 'gpu', expected cpu, cuda or cuda:1"
    ):
        EXPERT.open(str(path), "gpu")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(
            UsageError, match=r"cannot use this device: found 'cuda:1', expected one of .*cpu"
        ):
            EXPERT.open(str(path), "cuda:1")


def test_a_device_that_is_given_up_is_no_silent_cpu(tmp_path, monkeypatch):
    import onnxruntime

    # What ONNX Runtime does where CUDA's libraries are missing: it warns, and takes the CPU.
    monkeypatch.setattr(onnxruntime, "get_available_providers",
                        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])  # fmt: skip
    session = onnxruntime.InferenceSession

    def without_cuda(path, options, providers):
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    with pytest.raises(UsageError, match="cannot use this device"):
        EXPERT.open(str(made.simcc(tmp_path / "a.onnx")), "cuda")


def test_files_that_are_no_models_are_told(tmp_path):
    with pytest.raises(UsageError, match="which model"):
        EXPERT.open("", "cpu")
    with pytest.raises(UsageError, match=r"nowhere\.onnx: no such file of weights"):
        open_here(tmp_path / "nowhere.onnx")
    with pytest.raises(UsageError, match="not a file of weights"):
        open_here(tmp_path)
    content = made.simcc(tmp_path / "a.onnx").read_bytes()
    for number, bad in enumerate([b"", b"no model", content[: len(content) // 2], content[:-3]]):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(bad)
        with pytest.raises(InputError, match="not a model that ONNX Runtime can load"):
            open_here(path)


def test_any_damage_to_a_model_is_an_error_or_a_model(tmp_path):
    content = bytearray(made.simcc(tmp_path / "a.onnx", size=(48, 64)).read_bytes())
    rng = np.random.default_rng(7)
    path = tmp_path / "damaged.onnx"
    for _ in range(150):
        damaged = content.copy()
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            open_here(path)
        except PosedataError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("text, message", [
    ("(float[1, 8] a) => (float[1, 8] b) { b = Identity(a) }",
     r"inputs a \[1, 8\] float32, expected one input"),
    ("(float[1, 3, 64, 64] a, float[1] c) => (float[1, 3, 64, 64] b) { b = Mul(a, c) }",
     "not a model that looks at one picture"),
    ("(string[1, 3, 64, 64] a) => (string[1, 3, 64, 64] b) { b = Identity(a) }",
     "not a model that looks at one picture"),
    ("(float[4, 3, 64, 64] a) => (float[4, 3, 64, 64] b) { b = Identity(a) }",
     "not a model that looks at one picture"),
    ("(float[1, 3, 64, 64] a) => (float[1, 3] b) { b = ReduceMean <axes=[2, 3], keepdims=0> (a) }",
     r"known by its outputs: found b \[1, 3\].*b.onnx.json: docs/models.md"),
    ("(float[1, 3, 4, 90000] a) => (float[1, 3, 4, 90000] b) { b = Identity(a) }",
     r"not a size for pictures: found \[90000, 4\]"),
])  # fmt: skip
def test_models_of_other_signatures_are_described(tmp_path, text, message):
    path = made.save_onnx(tmp_path / "b.onnx", text)
    with pytest.raises(PosedataError, match=message):
        open_here(path)


def test_a_pose_model_must_be_told_where_people_are(tmp_path):
    estimator = open_here(made.simcc(tmp_path / "a.onnx"))
    with pytest.raises(UsageError, match="must be told where people are"):
        estimator.estimate([np.zeros((9, 9, 3), np.uint8)], None)


# real weights


@pytest.mark.real
def test_real_detectors_agree_on_who_is_there(shared):
    av = pytest.importorskip("av")
    video = shared / "data/ntu/rgb/S001C001P001R001A001_rgb.avi"
    with av.open(str(video)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)][::25]
    boxes = []
    for name in ("rtmdet_nano_coco80.onnx", "yolox_nano.onnx"):
        people = open_here(shared / "models" / name).estimate(frames, None)
        assert all((p.box_scores > 0.4).sum() == 1 for p in people)
        assert all((np.diff(p.box_scores) <= 0).all() for p in people)
        boxes.append(np.array([p.boxes[0] for p in people]))
    first, second = boxes
    shared_part = (np.minimum(first, second)[:, 2:] - np.maximum(first, second)[:, :2]).prod(1)
    areas = [(b[:, 2:] - b[:, :2]).prod(1) for b in boxes]
    assert (shared_part / (areas[0] + areas[1] - shared_part) > 0.8).all()
