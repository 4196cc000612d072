"""transformers' ViTPose and detectors with small made weights, against the library's own API."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from posedata.errors import InputError, PosedataError, UsageError
from posedata.expert import load_expert
from posedata.expert_skeleton import expert_skeleton
from posedata.experts.transformers_pose import EXPERT, LEAST_SCORE, VitPose

torch = pytest.importorskip("torch", reason="torch is not installed here")
pytest.importorskip("transformers", reason="transformers is not installed here")

pytestmark = pytest.mark.backends

SIZE = {"height": 64, "width": 48}
COCO = ["Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", "L_Shoulder", "R_Shoulder", "L_Elbow",
        "R_Elbow", "L_Wrist", "R_Wrist", "L_Hip", "R_Hip", "L_Knee", "R_Knee", "L_Ankle",
        "R_Ankle"]  # fmt: skip
BOXES = [
    np.array([[20, 10, 80, 150], [90.25, 30.5, 140, 120.75]], np.float32),
    np.empty((0, 4), np.float32),
    np.array([[-30, -20, 40, 60], [100, 90, 210, 190], [0, 0, 199, 159]], np.float32),
]


@pytest.fixture(scope="module", autouse=True)
def transformers():
    """The library, where torchvision does not fit torch as well."""
    from posedata.workers.torchvision_shim import install

    install()
    import transformers

    return transformers


def frames(count=3, height=160, width=200) -> list[np.ndarray]:
    """Pictures with something to see at every scale."""
    import cv2

    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (count, 10, 12, 3), dtype=np.uint8)
    made = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
            for picture in coarse]  # fmt: skip
    for picture in made:
        picture.flags.writeable = False
    return made


def save_vitpose(folder, num_labels=17, names=None, edges=None, decoder=True, **backbone):
    """A ViTPose of random weights whose heatmaps have peaks, above 0 and below."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    torch.manual_seed(3)
    config = VitPoseConfig(
        backbone_config=VitPoseBackboneConfig(
            image_size=[SIZE["height"], SIZE["width"]], patch_size=[8, 8], hidden_size=32,
            num_hidden_layers=2, num_attention_heads=2, out_indices=[2], **backbone,
        ),
        num_labels=num_labels, use_simple_decoder=decoder,
    )  # fmt: skip
    if names:
        config.id2label = dict(enumerate(names))
    if edges:
        config.edges = edges
    model = VitPoseForPoseEstimation(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.05 if "head" in name else 0.1)
        model.head.conv.bias.copy_(torch.linspace(-1.5, 0.6, num_labels))
    model.save_pretrained(folder)
    VitPoseImageProcessorPil(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def vitpose(tmp_path_factory):
    return save_vitpose(tmp_path_factory.mktemp("vitpose"), names=COCO)


def library_poses(folder, pictures, boxes, **extra):
    """What the documentation of transformers does: keypoints and scores of each frame.

    With the library's processor on Pillow: the one on torchvision rounds the last bit otherwise,
    which the flat peaks of random heatmaps make visible.
    """
    from transformers import AutoImageProcessor, VitPoseForPoseEstimation

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = VitPoseForPoseEstimation.from_pretrained(folder)
    answers = []
    for picture, of_frame in zip(pictures, boxes, strict=True):
        coco = of_frame.astype(np.float64)
        coco[:, 2:] -= coco[:, :2]
        coco[:, :2] += 0.5  # COCO's boxes count from the corner of the top-left pixel
        if not len(coco):
            answers.append(([], []))
            continue
        inputs = processor(picture, boxes=[coco.tolist()], return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs, **{k: v.expand(len(coco)) for k, v in extra.items()})
        (people,) = processor.post_process_pose_estimation(outputs, boxes=[coco.tolist()])
        answers.append(([p["keypoints"].numpy() for p in people],
                        [p["scores"].numpy() for p in people]))  # fmt: skip
    return answers


def assert_poses(found, expected):
    num_seen = num_missing = 0
    for people, (keypoints, scores) in zip(found, expected, strict=True):
        assert len(people.boxes) == len(keypoints)
        for row in range(len(keypoints)):
            is_seen = scores[row] > 0
            np.testing.assert_allclose(people.keypoints_2d[row][is_seen], keypoints[row][is_seen],
                                       atol=1e-4)  # fmt: skip
            np.testing.assert_allclose(people.scores[row], scores[row].clip(0, 1), atol=1e-4)
            assert np.isnan(people.keypoints_2d[row][~is_seen]).all()
            assert people.box_scores[row] == pytest.approx(people.scores[row].mean())
            num_seen += is_seen.sum()
            num_missing += (~is_seen).sum()
    assert num_seen
    return num_missing


def test_it_is_registered(vitpose):
    assert load_expert("transformers") is EXPERT
    about = EXPERT.open(str(vitpose), "cpu").about
    json.dumps(about)
    assert about["version"].startswith("transformers 5.")
    assert [weight["file"] for weight in about["weights"]] == ["model.safetensors"]
    assert about["device"] == "cpu"


def test_poses_are_those_of_the_library(vitpose):
    pictures = frames()
    found = EXPERT.open(str(vitpose), "cpu").estimate(pictures, BOXES)
    assert_poses(found, library_poses(vitpose, pictures, BOXES))
    for people, boxes in zip(found, BOXES, strict=True):
        np.testing.assert_array_equal(people.boxes, boxes)
        assert people.keypoints_2d.shape == (len(boxes), 17, 2)
        assert {array.dtype for array in people[:4]} == {np.dtype("float32")}


def test_joints_whose_heatmap_is_nowhere_above_0_are_missing(tmp_path):
    pictures, folder = frames(), save_vitpose(tmp_path)
    weights = folder / "model.safetensors"
    from safetensors.torch import load_file, save_file

    content = load_file(weights)
    content["head.conv.bias"][:4] = -1e3
    save_file(content, weights, metadata={"format": "pt"})
    found = EXPERT.open(str(folder), "cpu").estimate(pictures, BOXES)
    assert assert_poses(found, library_poses(folder, pictures, BOXES)) >= 4 * 5


def test_more_people_than_are_looked_at_at_once(vitpose):
    random = np.random.default_rng(1)
    corners = random.uniform(0, 100, (75, 2))
    many = np.concatenate([corners, corners + random.uniform(10, 90, (75, 2))], 1)
    boxes = [many[:20].astype(np.float32), many[20:].astype(np.float32)]
    found = EXPERT.open(str(vitpose), "cpu").estimate(frames(2), boxes)
    assert_poses(found, library_poses(vitpose, frames(2), boxes))


def test_mixture_of_experts_answers_for_coco(tmp_path):
    folder = save_vitpose(tmp_path, num_experts=3, part_features=8)
    expert = EXPERT.open(str(folder), "cpu")
    found = expert.estimate(frames(), BOXES)
    assert expert.about["options"]["dataset_index"] == 0
    assert_poses(found, library_poses(folder, frames(), BOXES, dataset_index=torch.tensor([0])))
    other = library_poses(folder, frames(), BOXES, dataset_index=torch.tensor([1]))
    with pytest.raises(AssertionError):
        assert_poses(found, other)


def test_the_decoder_with_deconvolutions_and_weights_as_a_pickle(tmp_path):
    from safetensors.torch import load_file

    folder = save_vitpose(tmp_path, decoder=False)
    found = EXPERT.open(str(folder), "cpu").estimate(frames(), BOXES)
    assert_poses(found, library_poses(folder, frames(), BOXES))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    expert = EXPERT.open(str(folder), "cpu")
    assert [weight["file"] for weight in expert.about["weights"]] == ["pytorch_model.bin"]
    for people, same in zip(expert.estimate(frames(), BOXES), found, strict=True):
        np.testing.assert_array_equal(people.keypoints_2d, same.keypoints_2d)


def test_saved_and_loaded_again_it_gives_the_same_bits(vitpose, tmp_path):
    from transformers import AutoImageProcessor, VitPoseForPoseEstimation

    VitPoseForPoseEstimation.from_pretrained(vitpose).save_pretrained(tmp_path)
    AutoImageProcessor.from_pretrained(vitpose).save_pretrained(tmp_path)
    first = EXPERT.open(str(vitpose), "cpu").estimate(frames(), BOXES)
    for people, same in zip(EXPERT.open(str(tmp_path), "cpu").estimate(frames(), BOXES), first,
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(people.keypoints_2d, same.keypoints_2d)
        np.testing.assert_array_equal(people.scores, same.scores)


def test_boxes_that_hold_nobody(vitpose):
    boxes = np.array([
        [np.nan, 0, 10, 10], [0, 0, np.inf, 10], [20, 20, 20, 50], [50, 50, 20, 20],
        [300, 0, 400, 50], [-3e38, -3e38, 3e38, 3e38], [0, 0, 1e-40, 1e-40], [20, 10, 80, 150],
    ], np.float32)  # fmt: skip
    expert = EXPERT.open(str(vitpose), "cpu")
    (people,) = expert.estimate(frames(1), [boxes])
    np.testing.assert_array_equal(people.boxes, boxes)
    assert np.isnan(people.keypoints_2d[:-1]).all()
    assert (people.scores[:-1] == 0).all() and (people.box_scores[:-1] == 0).all()
    assert_poses([people._replace(**{name: getattr(people, name)[-1:] for name in people._fields
                                     if getattr(people, name) is not None})],
                 library_poses(vitpose, frames(1), [boxes[-1:]]))  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (4, 4), (40, 2)])
def test_the_smallest_pictures(vitpose, shape):
    frame = np.full((*shape, 3), 100, np.uint8)
    (people,) = EXPERT.open(str(vitpose), "cpu").estimate(
        [frame], [np.array([[-5, -5, 50, 50]], np.float32)]
    )
    assert people.keypoints_2d.shape == (1, 17, 2)


def test_without_boxes_it_says_what_is_missing(vitpose):
    with pytest.raises(UsageError, match="where people are"):
        EXPERT.open(str(vitpose), "cpu").estimate(frames(), None)


# joints


def test_joints_by_name_and_by_number(vitpose, tmp_path):
    named = EXPERT.open(str(vitpose), "cpu").about["skeleton"]
    skeleton, order = expert_skeleton(named)
    assert skeleton.name == "coco17" and order.tolist() == list(range(17))
    assert EXPERT.open(str(save_vitpose(tmp_path)), "cpu").about["skeleton"] == "coco17"


def test_joints_that_posedata_does_not_know(tmp_path):
    folder = save_vitpose(tmp_path, 3, ["Snout", "L_Paw", "R_Paw"], edges=[[0, 1], [0, 2]])
    skeleton, _ = expert_skeleton(EXPERT.open(str(folder), "cpu").about["skeleton"])
    assert skeleton.joints == ("snout", "left_paw", "right_paw")
    assert skeleton.bones == ((0, 1), (0, 2)) and skeleton.swap == ((1, 2),)


def test_joints_without_names_that_nobody_can_tell(tmp_path):
    with pytest.raises(InputError, match="5 joints"):
        EXPERT.open(str(save_vitpose(tmp_path, 5)), "cpu")


# detectors


def save_rt_detr(folder):
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    config = RTDetrConfig(
        backbone_config=RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=["stage2", "stage3", "stage4"],
        ),
        encoder_in_channels=[16, 24, 32], feat_strides=[8, 16, 32], encoder_hidden_dim=32,
        encoder_ffn_dim=32, encoder_attention_heads=2, d_model=32, num_queries=30,
        decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32, decoder_layers=2,
        decoder_attention_heads=2, num_denoising=0, num_labels=3,
    )  # fmt: skip
    RTDetrImageProcessorPil(size={"height": 96, "width": 96}).save_pretrained(folder)
    return config, RTDetrForObjectDetection


def save_yolos(folder):
    from transformers import YolosConfig, YolosForObjectDetection
    from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

    config = YolosConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                         intermediate_size=32, image_size=[96, 128], patch_size=16,
                         num_detection_tokens=20, num_labels=3)  # fmt: skip
    size = {"shortest_edge": 96, "longest_edge": 160}
    YolosImageProcessorPil(size=size).save_pretrained(folder)
    return config, YolosForObjectDetection


def save_detector(save, folder, names=("cat", "Person", "dog")):
    config, kind = save(folder)
    config.id2label = dict(enumerate(names))
    torch.manual_seed(5)
    model = kind(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.25)
            if "class_embed" in name and weight.ndim == 1:
                weight.zero_()
    model.save_pretrained(folder)
    return folder


def library_detections(folder, picture):
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForObjectDetection.from_pretrained(folder)
    with torch.no_grad():
        outputs = model(**processor(picture, return_tensors="pt"))
    (found,) = processor.post_process_object_detection(
        outputs, threshold=LEAST_SCORE, target_sizes=[picture.shape[:2]]
    )
    return {name: values.numpy() for name, values in found.items()}


@pytest.mark.parametrize("save", [save_rt_detr, save_yolos])
def test_people_are_those_of_the_librarys_detector(save, tmp_path):
    folder = save_detector(save, tmp_path)
    expert = EXPERT.open(str(folder), "cpu")
    assert expert.about["kind"] == "detector" and expert.about["skeleton"] is None
    pictures = frames(6)
    found = expert.estimate(pictures, None)
    num_people = num_others = 0
    for people, picture in zip(found, pictures, strict=True):
        library = library_detections(folder, picture)
        is_person = library["labels"] == 1
        order = np.argsort(-library["scores"][is_person], kind="stable")
        np.testing.assert_allclose(
            people.box_scores, library["scores"][is_person][order], atol=1e-4
        )
        # Half a pixel, since the library counts from the corner of the top-left one.
        np.testing.assert_allclose(people.boxes, library["boxes"][is_person][order] - 0.5,
                                   atol=1e-3)  # fmt: skip
        assert people.keypoints_2d.shape == (len(people.boxes), 0, 2)
        assert people.scores.shape == (len(people.boxes), 0)
        num_people += is_person.sum()
        num_others += (~is_person).sum()
    assert num_people
    assert num_others or save is save_rt_detr  # whose random weights see one class everywhere


def test_a_detector_and_vitpose_together_are_the_librarys_two(vitpose, tmp_path):
    folder = save_detector(save_rt_detr, tmp_path)
    pictures = frames(2)
    boxes = [
        people.boxes[:3] for people in EXPERT.open(str(folder), "cpu").estimate(pictures, None)
    ]
    found = EXPERT.open(str(vitpose), "cpu").estimate(pictures, boxes)
    assert_poses(found, library_poses(vitpose, pictures, boxes))


def test_a_detector_that_knows_no_people(tmp_path):
    folder = save_detector(save_yolos, tmp_path, ("cat", "dog", "cow"))
    with pytest.raises(UsageError, match="knows no people"):
        EXPERT.open(str(folder), "cpu")


# what is refused


@pytest.fixture
def broken(vitpose, tmp_path):
    """A copy of a good model, to be broken."""
    for file in vitpose.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def refused(folder, device="cpu") -> PosedataError:
    with pytest.raises(PosedataError) as caught:
        EXPERT.open(str(folder), device)
    assert "\n" not in str(caught.value)
    return caught.value


def test_no_model_no_folder_no_network(tmp_path, monkeypatch):
    assert "needs a model" in str(refused(""))
    assert "no such folder" in str(refused(tmp_path / "nowhere"))
    assert "no such folder" in str(refused("a b"))
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    assert "not a folder" in str(refused(file))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "no network" in str(refused("nobody/no-such-model"))


def test_a_name_on_the_hub_that_was_fetched_before(vitpose, tmp_path, monkeypatch):
    import huggingface_hub.constants

    snapshot = (
        tmp_path / "models--someone--vitpose/snapshots/0123456789abcdef0123456789abcdef01234567"
    )
    snapshot.mkdir(parents=True)
    for file in vitpose.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    refs = tmp_path / "models--someone--vitpose/refs"
    refs.mkdir()
    (refs / "main").write_text(snapshot.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    expert = EXPERT.open("someone/vitpose", "cpu")
    assert_poses(expert.estimate(frames(), BOXES), library_poses(vitpose, frames(), BOXES))


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"{}", b'{"model_type": "nonsense"}',
                                     b"\xff\xfe\x00"])  # fmt: skip
def test_a_configuration_that_is_none(broken, content):
    (broken / "config.json").write_bytes(content)
    refused(broken)


@pytest.mark.parametrize("change", [
    {"hidden_size": "many"}, {"patch_size": [0, 0]}, {"image_size": [32, 32]},
    {"num_attention_heads": 5}, {"out_indices": [9]},
])  # fmt: skip
def test_a_configuration_that_fits_nothing(broken, change):
    config = json.loads((broken / "config.json").read_text())
    config["backbone_config"].update(change)
    (broken / "config.json").write_text(json.dumps(config))
    refused(broken)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff" * 100, None])
def test_weights_that_are_none(broken, content):
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)
    refused(broken)


def test_weights_of_another_model_are_not_filled_up_at_random(broken):
    from safetensors.torch import load_file, save_file

    content = load_file(broken / "model.safetensors")
    content.pop("head.conv.bias")
    save_file(content, broken / "model.safetensors", metadata={"format": "pt"})
    error = refused(broken)
    assert "random" in str(error) and "head.conv.bias" in str(error)
    (broken / "model.safetensors").unlink()
    assert "no weights" in str(refused(broken))


def test_no_image_processor(broken):
    (broken / "preprocessor_config.json").unlink()
    assert "image processor" in str(refused(broken))


def test_a_pickle_that_runs_code_does_not(broken):
    import pickle

    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(broken / 'ran')!r}, 'w')",)

    (broken / "model.safetensors").unlink()
    with (broken / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"head.conv.bias": Evil()}, file)
    refused(broken)
    assert not (broken / "ran").exists()


def test_code_in_the_folder_is_not_run(broken):
    (broken / "evil.py").write_text(f"open({str(broken / 'ran')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((broken / "config.json").read_text())
    entries = {"AutoConfig": "evil.Evil", "AutoImageProcessor": "evil.Evil"}
    for name in ("config.json", "preprocessor_config.json"):
        content = json.loads((broken / name).read_text()) | {"auto_map": entries}
        (broken / name).write_text(json.dumps(content))
    EXPERT.open(str(broken), "cpu")
    (broken / "config.json").write_text(json.dumps(
        config | {"auto_map": entries, "model_type": "evil"}
    ))  # fmt: skip
    refused(broken)
    assert not (broken / "ran").exists()


def test_a_model_that_is_neither(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "image processor" in str(refused(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor"}'
    )
    assert "bert" in str(refused(tmp_path))


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cuda:x", ""])
def test_a_device_that_is_not_there(vitpose, device):
    assert "cpu" in str(refused(vitpose, device).expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_a_gpu_it_is_nearly_the_same(vitpose):
    expert = EXPERT.open(str(vitpose), "cuda")
    assert expert.about["device"] == "cuda:0"
    here = EXPERT.open(str(vitpose), "cpu").estimate(frames(), BOXES)
    for people, same in zip(expert.estimate(frames(), BOXES), here, strict=True):
        np.testing.assert_allclose(people.scores, same.scores, atol=1e-2)


def test_torchvision_does_not_matter(vitpose, tmp_path):
    """The same bits where torchvision is not installed; nothing on stderr."""
    script = (
        "import sys; sys.modules['torchvision'] = None\n"
        "import numpy as np\n"
        "from posedata.experts.transformers_pose import EXPERT\n"
        "expert = EXPERT.open(sys.argv[1], 'cpu')\n"
        "frames = list(np.load(sys.argv[2]))\n"
        "people, = expert.estimate(frames, [np.array([[20, 10, 80, 150]], np.float32)])\n"
        "np.save(sys.argv[3], people.keypoints_2d)\n"
    )
    np.save(tmp_path / "frames.npy", frames(1))
    answer = tmp_path / "answer.npy"
    done = subprocess.run(
        [sys.executable, "-c", script, str(vitpose), str(tmp_path / "frames.npy"), str(answer)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    expert = EXPERT.open(str(vitpose), "cpu")
    assert isinstance(expert, VitPose)
    (people,) = expert.estimate(frames(1), [BOXES[0][:1]])
    np.testing.assert_array_equal(np.load(answer), people.keypoints_2d)
