"""Heatmap volumes of batches: the compiled loops and the tensors give the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from posedata.errors import UsageError  # noqa: E402
from posedata.heatmaps import PYSKL_LIMBS  # noqa: E402
from posedata.heatmaps import heatmaps as of_arrays  # noqa: E402
from posedata.torch.heatmaps import draw_on_device, heatmaps  # noqa: E402

MEMORY = 2**28
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
    ),
]


def batch(clips=3, persons=2, steps=5, spread=10.0):
    """Poses about the middle, some out of the map, with all that can be missing."""
    rng = np.random.default_rng(0)
    keypoints = 28 + rng.normal(0, spread, (clips, persons, steps, 17, 2))
    scores = rng.random((clips, persons, steps, 17))
    keypoints[rng.random(scores.shape) < 0.05] = np.nan
    keypoints[rng.random(scores.shape) < 0.05, 0] = np.inf
    keypoints[rng.random(scores.shape) < 0.05] += 60
    keypoints[0, :, :, 5] = keypoints[0, :, :, 0] + 0.4  # limbs of less than a pixel
    scores[rng.random(scores.shape) < 0.1] = 0
    scores[rng.random(scores.shape) < 0.05] = np.nan
    return keypoints.astype(np.float32), scores.astype(np.float32)


def drawn_by_arrays(keypoints, scores, **options):
    pairs = zip(keypoints, scores, strict=True)
    return np.stack([of_arrays(poses, c, **options) for poses, c in pairs])


@pytest.mark.parametrize("people", ["max", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_cpu_is_the_compiled_path(people, dtype):
    keypoints, scores = batch()
    options = {"limbs": PYSKL_LIMBS, "people": people, "size": (40, 60)}
    drawn = heatmaps(torch.tensor(keypoints), torch.tensor(scores), dtype=getattr(torch, dtype),
                     **options)  # fmt: skip
    assert drawn.shape == (3, 34, 5, 40, 60) and drawn.dtype == getattr(torch, dtype)
    expected = drawn_by_arrays(keypoints, scores, dtype=dtype, **options)
    np.testing.assert_array_equal(drawn.numpy(), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("people", ["max", "sum"])
@pytest.mark.parametrize("sigma", [0.1, 0.6, 3])
def test_tensors_give_the_same(device, people, sigma):
    keypoints, scores = batch()
    drawn = draw_on_device(
        torch.tensor(keypoints, device=device), torch.tensor(scores, device=device), (56, 60),
        sigma, True, PYSKL_LIMBS, people, 1e-4, torch.float32, MEMORY,
    )  # fmt: skip
    assert drawn.device.type == device
    expected = drawn_by_arrays(
        keypoints, scores, size=(56, 60), sigma=sigma, limbs=PYSKL_LIMBS, people=people
    )
    apart = np.abs(drawn.cpu().numpy() - expected)
    assert apart[:, :17].max() < 4e-7
    assert np.mean(apart > 1e-6) < 3e-6 and apart.max() < 6e-6  # see draw_on_device
    assert expected[:, :17].any() and expected[:, 17:].any()


@pytest.mark.parametrize("device", DEVICES)
def test_rounded_tensors(device):
    keypoints, scores = batch()
    for dtype, step in ((torch.float16, 1e-3), (torch.uint8, 1)):
        drawn = draw_on_device(
            torch.tensor(keypoints, device=device), torch.tensor(scores, device=device), (56, 56),
            0.6, True, PYSKL_LIMBS, "max", 1e-4, dtype, MEMORY,
        ).cpu()  # fmt: skip
        assert drawn.dtype == dtype
        expected = drawn_by_arrays(keypoints, scores, limbs=PYSKL_LIMBS, dtype=drawn.numpy().dtype)
        apart = np.abs(drawn.numpy().astype(float) - expected.astype(float))
        assert apart.max() <= step and np.mean(apart > 0) < 1e-3


@pytest.mark.parametrize("memory", [0, 10**5, 10**6, 3 * 10**6, 10**9])
def test_memory_does_not_change_the_result(memory):
    keypoints, scores = (torch.tensor(values) for values in batch())
    rest = ((30, 20), 0.6, True, PYSKL_LIMBS, "max", 1e-4, torch.float32)
    expected = draw_on_device(keypoints, scores, *rest, MEMORY)
    torch.testing.assert_close(draw_on_device(keypoints, scores, *rest, memory), expected,
                               rtol=0, atol=0)  # fmt: skip


@pytest.mark.parametrize("draws_limbs", [False, True])
def test_nobody(draws_limbs):
    limbs = PYSKL_LIMBS if draws_limbs else []
    nobody = torch.zeros((2, 0, 4, 17, 2))
    drawn = draw_on_device(nobody, nobody[..., 0], (8, 9), 0.6, True, limbs, "max", 1e-4,
                           torch.float32, MEMORY)  # fmt: skip
    assert drawn.shape == (2, 17 + len(limbs), 4, 8, 9) and not drawn.any()
    assert not heatmaps(nobody, limbs=limbs).any()
    assert heatmaps(nobody[:0], limbs=limbs).shape[0] == 0


def test_no_scores_no_gradients():
    keypoints = torch.full((1, 1, 1, 2, 2), 5.0, requires_grad=True)
    drawn = heatmaps(keypoints, size=(11, 11))
    assert drawn[0, :, 0, 5, 5].tolist() == [1, 1] and not drawn.requires_grad
    half = heatmaps(keypoints.to(torch.bfloat16), size=(11, 11))
    torch.testing.assert_close(half, drawn)


@pytest.mark.parametrize(("options", "message"), [
    ({"sigma": float("nan")}, "sigma"),
    ({"size": (0, 5)}, "size of heatmaps"),
    ({"dtype": torch.float64}, "no such type"),
    ({"people": "mean"}, "put people together"),
    ({"joints": False}, "neither joints nor limbs"),
    ({"limbs": [(0, 17)]}, "no such joints"),
    ({"scores": torch.zeros(1, 2, 4, 16)}, "scores"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_said(options, message):
    with pytest.raises(UsageError, match=message):
        heatmaps(torch.zeros((1, 2, 4, 17, 2)), **options)
    with pytest.raises(UsageError, match="N, M, T, V, 2"):
        heatmaps(torch.zeros((2, 4, 17, 2)))
