"""The soft-argmax of tensors: as that of arrays, with right gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from posedata import soft_argmax as arrays  # noqa: E402
from posedata.errors import UsageError  # noqa: E402
from posedata.torch.soft_argmax import gaussian_logits, soft_argmax  # noqa: E402


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("beta", [0, 1, 50])
def test_as_for_arrays(dims, beta):
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 6, 7))
    np.testing.assert_allclose(soft_argmax(torch.tensor(maps), beta, dims).numpy(),
                               arrays.soft_argmax(maps, beta, dims), atol=1e-10)  # fmt: skip
    size = (6, 7) if dims == 2 else (5, 6, 7)
    points = np.random.default_rng(1).uniform(-2, 9, (4, dims))
    logits = gaussian_logits(torch.tensor(points), size, 0.8, 2)
    expected = arrays.gaussian_logits(points, size, 0.8, 2)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients(dims):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn((2, 3, 4, 5), generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: soft_argmax(h, 1.7, dims), (maps,))
    points = torch.rand((2, dims), generator=generator, dtype=torch.float64) * 3
    size = (3, 4, 5)[-dims:]
    assert torch.autograd.gradcheck(lambda x: gaussian_logits(x, size, 0.9, 2.0),
                                    (points.requires_grad_(),))  # fmt: skip


def test_gradient_is_the_closed_form():
    # dE/dh(p) = beta softmax(beta h)(p) (p - E)
    beta = 1.3
    maps = torch.randn((4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = soft_argmax(maps.requires_grad_(), beta)[0]
    x.backward()
    weights = torch.softmax(beta * maps.detach().flatten(), 0).reshape(4, 5)
    expected = beta * weights * (torch.arange(5) - x.detach())
    torch.testing.assert_close(maps.grad, expected)


def test_types():
    assert soft_argmax(torch.zeros((3, 4), dtype=torch.float16)).dtype == torch.float32
    assert soft_argmax(torch.zeros((3, 4), dtype=torch.float64)).dtype == torch.float64
    wide = gaussian_logits(torch.tensor([300.0, 5.0]), (11, 512)).to(torch.float16)
    torch.testing.assert_close(soft_argmax(wide), torch.tensor([300.0, 5.0]), atol=1e-3, rtol=0)


def test_bad_input():
    with pytest.raises(UsageError, match="beta"):
        soft_argmax(torch.zeros((3, 3)), beta=float("nan"))
    with pytest.raises(UsageError, match="sigma"):
        gaussian_logits(torch.zeros(2), (3, 3), sigma=0)
