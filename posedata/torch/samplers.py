"""Classes of unequal size: weights for the loss, and a sampler, instead of duplicated clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from posedata.errors import UsageError


def class_weights(
    labels: Any, num_classes: int, *, method: str = "inverse", beta: float = 0.999
) -> torch.Tensor:
    """Weigh classes so that rare ones count as much as frequent ones.

    Parameters
    ----------
    labels : int64, shape (clips,)
        Class of each clip; -1 where it is not known, which is left out.
    num_classes : int
        K.
    method : {"inverse", "effective"}
        ``inverse``: 1 / n_k for the n_k clips of class k. ``effective``: (1 - beta) /
        (1 - beta ** n_k), the inverse effective number of samples (Cui et al., "Class-balanced
        loss based on effective number of samples", CVPR 2019, equation 3).
    beta : float
        0 (all equal) to below 1 (nearly ``inverse``); the paper's are 0.9 to 0.9999.

    Returns
    -------
    float32, shape (K,)
        For ``CrossEntropyLoss(weight=...)``. They sum to the number of classes that have clips;
        0 for a class without.

    Raises
    ------
    UsageError
        If a label is not below K, none is known, or ``method`` or ``beta`` is none of these.

    Examples
    --------
    >>> class_weights([0, 0, 0, 1], 2)
    tensor([0.5000, 1.5000])
    """
    counts = _counts(labels, num_classes).astype(np.float64)
    there = counts > 0
    weights = np.zeros(num_classes)
    if method == "inverse":
        weights[there] = 1 / counts[there]
    elif method == "effective":
        if not 0 <= beta < 1:
            raise UsageError("beta", found=beta, expected="0 to below 1")
        with np.errstate(divide="ignore"):  # beta = 0
            log_beta = np.log1p(beta - 1)
        # expm1 and log1p: 1 - beta ** n without loss where beta is near 1
        weights[there] = (1 - beta) / -np.expm1(counts[there] * log_beta)
    else:
        raise UsageError("no such method", found=repr(method), expected="inverse or effective")
    return torch.from_numpy((weights * there.sum() / weights.sum()).astype(np.float32))


class BalancedSampler(Sampler[int]):
    """Draws each class equally often, and within a class each clip before any a second time.

    The same seed and epoch give the same order in every process; with several ranks, each takes
    its part of that order, all of one length.

    Parameters
    ----------
    labels : int64, shape (clips,)
        Class of each clip. Those with -1 are never drawn.
    num_samples : int, optional
        Clips in an epoch over all ranks; by default as many as there are labels. With several
        ranks it is rounded up to a multiple of their number.
    seed : int
        0 or more.
    rank, num_ranks : int
        Which part of the order is this process's. By default there is one.

    Raises
    ------
    UsageError
        If no label is known, or the rank is none of them.

    Examples
    --------
    >>> sampler = BalancedSampler(train.labels)                           # doctest: +SKIP
    >>> loader = DataLoader(train, batch_size=64, sampler=sampler)        # doctest: +SKIP
    >>> for epoch in range(50):                                           # doctest: +SKIP
    ...     sampler.set_epoch(epoch)
    ...     train.set_epoch(epoch)
    """

    def __init__(
        self,
        labels: Any,
        num_samples: int | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        known = np.asarray(labels, np.int64).reshape(-1)
        _counts(known, int(known.max(initial=-1)) + 1)
        if num_ranks < 1 or not 0 <= rank < num_ranks:
            raise UsageError("rank", found=f"{rank} of {num_ranks}", expected="0 to num_ranks - 1")
        wanted = len(known) if num_samples is None else num_samples
        if wanted < 1 or seed < 0:
            raise UsageError("num_samples and seed", found=f"{wanted} and {seed}",
                             expected="1 or more, and 0 or more")  # fmt: skip
        self._classes = [np.flatnonzero(known == label) for label in np.unique(known[known >= 0])]
        self._each = -(-wanted // num_ranks)
        self._seed, self._rank, self._num_ranks = seed, rank, num_ranks
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw another order from now on; call it before each pass."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._each

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        return iter(order[self._rank :: self._num_ranks].tolist())

    def _order(self) -> np.ndarray:
        """Indices of the epoch for all ranks."""
        rng = np.random.default_rng([self._seed, self._epoch])
        number, classes = self._each * self._num_ranks, len(self._classes)
        # Where the number is no multiple of the classes, chance says which are drawn once more.
        more = np.zeros(classes, np.int64)
        more[rng.permutation(classes)[: number % classes]] = 1
        drawn = []
        for clips, draws in zip(self._classes, number // classes + more, strict=True):
            rounds = [rng.permutation(clips) for _ in range(-(-int(draws) // len(clips)))]
            drawn.append(np.concatenate([*rounds, np.empty(0, np.int64)])[:draws])
        return rng.permutation(np.concatenate(drawn))


def _counts(labels: Any, num_classes: int) -> np.ndarray:
    known = np.asarray(labels, np.int64).reshape(-1)
    known = known[known != -1]
    if not len(known):
        raise UsageError("no clip has a known label")
    if known.min() < 0 or known.max() >= num_classes:
        raise UsageError("a label outside the classes", found=f"{known.min()} to {known.max()}",
                         expected=f"0 to {num_classes - 1}, or -1")  # fmt: skip
    return np.bincount(known, minlength=num_classes)
