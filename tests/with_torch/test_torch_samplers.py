"""`posedata.torch.samplers`: weights and draws of classes of unequal size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from posedata.errors import UsageError  # noqa: E402
from posedata.torch.samplers import BalancedSampler, class_weights  # noqa: E402

LABELS = [0] * 6 + [1] * 3 + [3] * 1 + [-1] * 2


def test_inverse_weights_by_hand():
    # 1/6, 1/3, none, 1/1: their sum is 1.5, and 3 classes have clips
    np.testing.assert_allclose(class_weights(LABELS, 4), [1 / 3, 2 / 3, 0, 2], rtol=1e-6)


def test_effective_number_by_hand():
    # beta = 1/2: (1/2) / (1 - 1/2**n) is 1 for one clip, 2/3 for two
    weights = class_weights([0, 1, 1], 2, method="effective", beta=0.5)
    np.testing.assert_allclose(weights, [1.2, 0.8], rtol=1e-6)


def test_the_ends_of_beta():
    np.testing.assert_allclose(class_weights([0, 1, 1], 2, method="effective", beta=0), [1, 1])
    near = class_weights(LABELS, 4, method="effective", beta=1 - 1e-12)
    np.testing.assert_allclose(near, class_weights(LABELS, 4), rtol=1e-4)


def test_weights_take_tensors_and_serve_the_loss():
    weights = class_weights(torch.tensor(LABELS), 4)
    loss = torch.nn.functional.cross_entropy(torch.zeros(1, 4), torch.tensor([0]), weights)
    assert weights.dtype == torch.float32
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    "call",
    [
        lambda: class_weights([0, 4], 4),
        lambda: class_weights([0, -2], 4),
        lambda: class_weights([-1, -1], 4),
        lambda: class_weights([0], 1, method="effective", beta=1.0),
        lambda: class_weights([0], 1, method="effective", beta=float("nan")),
        lambda: class_weights([0], 1, method="other"),
        lambda: BalancedSampler([-1, -1]),
        lambda: BalancedSampler([0], rank=1),
        lambda: BalancedSampler([0], num_ranks=0),
        lambda: BalancedSampler([0], 0),
    ],
)
def test_bad_input(call):
    with pytest.raises(UsageError):
        call()


def test_each_class_equally_often_and_each_clip_before_any_again():
    drawn = np.array(list(BalancedSampler(LABELS, 12)))
    counts = np.bincount(drawn, minlength=12)
    assert counts[:6].sum() == counts[6:9].sum() == counts[9] == 4
    assert set(counts[:6]) == {0, 1}
    assert sorted(counts[6:9]) == [1, 1, 2]
    assert not counts[10:].any()


@given(
    labels=st.lists(st.integers(-1, 5), min_size=1, max_size=40).filter(lambda x: max(x) >= 0),
    number=st.integers(1, 60), ranks=st.integers(1, 5), seed=st.integers(0, 3),
)  # fmt: skip
def test_ranks_share_one_balanced_order(labels, number, ranks, seed):
    def parts(epoch):
        samplers = [BalancedSampler(labels, number, seed=seed, rank=rank, num_ranks=ranks)
                    for rank in range(ranks)]  # fmt: skip
        for sampler in samplers:
            sampler.set_epoch(epoch)
        assert {len(list(sampler)) for sampler in samplers} == {len(samplers[0])}
        return [list(sampler) for sampler in samplers]

    drawn = parts(1)
    assert drawn == parts(1)
    together = [index for part in drawn for index in part]
    assert number <= len(together) < number + ranks
    labels = np.array(labels)
    of_class = np.bincount(labels[together], minlength=6)[np.unique(labels[labels >= 0])]
    assert of_class.max() - of_class.min() <= 1
    one = BalancedSampler(labels, len(together), seed=seed)
    one.set_epoch(1)
    assert sorted(one) == sorted(together)


def test_seeds_and_epochs_differ():
    sampler = BalancedSampler(range(50))
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(BalancedSampler(range(50), seed=1)) != first
