"""torchvision's Keypoint R-CNN with random weights, against the library's own API."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posedata.errors import InputError, PosedataError, UsageError
from posedata.expert import load_expert
from posedata.experts import torchvision_pose
from posedata.experts.torchvision_pose import EXPERT, LEAST_SCORE

torch = pytest.importorskip("torch", reason="torch is not installed here")

pytestmark = pytest.mark.backends


@pytest.fixture(scope="module")
def torchvision():
    from importlib.util import find_spec

    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed here")
    from posedata.workers.torchvision_shim import install

    install()
    import torchvision

    return torchvision


def quicken(model):
    """Look at pictures as small as they are here, and at few places in them."""
    model.transform.min_size = (64,)
    for some in ("training", "testing"):
        model.rpn._pre_nms_top_n[some] = model.rpn._post_nms_top_n[some] = 30
    model.roi_heads.detections_per_img = 8
    return model


@pytest.fixture(scope="module")
def library(torchvision):
    """The library's own model, biased so that it finds people."""
    torch.manual_seed(2)
    model = torchvision.models.detection.keypointrcnn_resnet50_fpn(
        weights=None, weights_backbone=None
    )
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([0.0, 0.7]))
        model.roi_heads.keypoint_predictor.kps_score_lowres.weight.mul_(0.05)
    return quicken(model.eval())


@pytest.fixture(scope="module")
def checkpoint(library, tmp_path_factory):
    path = tmp_path_factory.mktemp("keypointrcnn") / "random.pth"
    torch.save(library.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def expert(checkpoint):
    expert = EXPERT.open(f"keypointrcnn,{checkpoint}", "cpu")
    quicken(expert._model)
    return expert


def frames() -> list[np.ndarray]:
    random = np.random.default_rng(4)
    made = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 80, 3), (70, 64, 3))]
    for picture in made:
        picture.flags.writeable = False
    return made


def test_it_is_registered_and_says_what_it_is(expert):
    assert load_expert("torchvision") is EXPERT
    json.dumps(expert.about)
    assert expert.about["skeleton"] == "coco17" and expert.about["boxes"] == "unused"
    assert expert.about["version"].startswith("torchvision ")
    assert [weight["file"] for weight in expert.about["weights"]] == ["random.pth"]


def test_people_are_those_of_the_library(expert, library):
    found = expert.estimate(frames(), None)
    num_people = 0
    for people, frame in zip(found, frames(), strict=True):
        with torch.no_grad():
            (theirs,) = library([torch.tensor(frame).permute(2, 0, 1) / 255])
        theirs = {name: values.numpy() for name, values in theirs.items()}
        # The library counts boxes from the corner of the top-left pixel, joints from its centre.
        np.testing.assert_allclose(people.boxes, theirs["boxes"] - 0.5, atol=1e-4)
        np.testing.assert_allclose(people.keypoints_2d, theirs["keypoints"][..., :2], atol=1e-4)
        np.testing.assert_allclose(people.box_scores, theirs["scores"], atol=1e-4)
        logits = theirs["keypoints_scores"]
        np.testing.assert_allclose(people.scores, 1 / (1 + np.exp(-logits)), atol=1e-4)
        assert (people.box_scores > LEAST_SCORE).all()
        assert (np.diff(people.box_scores) <= 0).all()
        assert {array.dtype for array in people[:4]} == {np.dtype("float32")}
        num_people += len(people.boxes)
    assert num_people > 2


def test_a_second_time_the_same_bits(expert):
    people, again = expert.estimate(frames()[:1] * 2, None)
    np.testing.assert_array_equal(people.keypoints_2d, again.keypoints_2d)
    np.testing.assert_array_equal(people.scores, again.scores)


def test_nobody(expert):
    bias = expert._model.roi_heads.box_predictor.cls_score.bias
    kept = bias.detach().clone()
    with torch.no_grad():
        bias.copy_(torch.tensor([50.0, 0.0]))
        (people,) = expert.estimate(frames()[:1], None)
        bias.copy_(kept)
    assert [array.shape for array in people[:4]] == [(0, 4), (0,), (0, 17, 2), (0, 17)]


def test_the_checkpoint_of_a_training_run(library, expert, tmp_path):
    path = tmp_path / "model_3.pth"
    torch.save({"model": library.state_dict(), "optimizer": {}, "epoch": 3}, path)
    trained = EXPERT.open(f"keypointrcnn,{path}", "cpu")
    quicken(trained._model)
    (people,), (same,) = (some.estimate(frames()[:1], None) for some in (trained, expert))
    np.testing.assert_array_equal(people.keypoints_2d, same.keypoints_2d)


def test_the_published_weights_are_fetched_once(torchvision, checkpoint, tmp_path, monkeypatch):
    asked = []

    def fetch(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        Path(path).write_bytes(checkpoint.read_bytes())

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    weights = [EXPERT.open("keypointrcnn", "cpu").about["weights"] for _ in range(2)]
    assert weights[0] == weights[1]
    published = torchvision.models.detection.KeypointRCNN_ResNet50_FPN_Weights.DEFAULT.url
    assert asked == [(published, "fc266e95")]
    assert weights[0][0]["file"] == published.rpartition("/")[2]


def test_the_published_weights_are_used_as_the_library_uses_them(expert, checkpoint, monkeypatch):
    def epsilons(some):
        return {module.eps for module in some._model.modules()
                if type(module).__name__ == "FrozenBatchNorm2d"}  # fmt: skip

    assert epsilons(expert) == {1e-5}
    monkeypatch.setattr(torchvision_pose, "_hash_in", lambda url: "")  # any file is the published
    assert epsilons(EXPERT.open(f"keypointrcnn,{checkpoint}", "cpu")) == {0.0}


# what is refused


def refused(model, device="cpu") -> PosedataError:
    with pytest.raises(PosedataError) as caught:
        EXPERT.open(model, device)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("model", ["", "maskrcnn", ",x.pth"])
def test_other_models(torchvision, model):
    assert isinstance(refused(model), UsageError)


def test_no_such_checkpoint_no_network_no_device(torchvision, checkpoint, tmp_path, monkeypatch):
    assert "no such file" in str(refused(f"keypointrcnn,{tmp_path / 'none.pth'}"))

    def no_network(*args, **options):
        raise OSError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    assert "no network" in str(refused("keypointrcnn"))
    assert "cpu" in str(refused(f"keypointrcnn,{checkpoint}", "cuda:99").expected)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + b"\0" * 40, b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoint(torchvision, tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    assert isinstance(refused(f"keypointrcnn,{path}"), InputError)


def test_checkpoints_of_other_models(torchvision, checkpoint, tmp_path):
    path = tmp_path / "other.pth"
    classes = {"roi_heads.box_predictor.cls_score.bias": torch.zeros(2)}
    joints = "roi_heads.keypoint_predictor.kps_score_lowres.bias"
    for content in (torch.zeros(3), {}, classes, classes | {joints: "text"},
                    classes | {joints: torch.zeros(5)}, classes | {joints: torch.zeros(17)},
                    classes | {joints: torch.zeros(17), "unknown": torch.zeros(1)}):  # fmt: skip
        torch.save(content, path)
        assert isinstance(refused(f"keypointrcnn,{path}"), InputError)
    path.write_bytes(checkpoint.read_bytes()[:100_000])
    assert isinstance(refused(f"keypointrcnn,{path}"), InputError)


def test_a_checkpoint_that_runs_code_does_not(torchvision, tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    assert isinstance(refused(f"keypointrcnn,{tmp_path / 'evil.pth'}"), InputError)
    assert not (tmp_path / "ran").exists()
