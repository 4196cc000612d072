"""Samples as arrays of a model: for graph networks, and for models of sequences.

PoseConv3D's volumes are in `posedata.heatmaps`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posedata.errors import UsageError
from posedata.sample import Sample


def gcn_array(sample: Sample, num_persons: int) -> np.ndarray:
    """Lay a sample out for graph networks.

    Parameters
    ----------
    sample : Sample
        Of M people.
    num_persons : int
        M of the result: missing people are added, further ones left out.

    Returns
    -------
    float32, shape (C, T, V, num_persons)
        Unit of the sample. 0 where a coordinate is missing, as ST-GCN and its followers expect:
        they have no other sign of it (Yan et al., "Spatial Temporal Graph Convolutional Networks
        for Skeleton-Based Action Recognition", AAAI 2018).
    """
    persons, steps, joints, channels = sample.keypoints.shape
    array = np.zeros((channels, steps, joints, num_persons), np.float32)
    there = min(persons, num_persons)
    array[..., :there] = sample.keypoints[:there].transpose(3, 1, 2, 0)
    return np.nan_to_num(array, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)


def stack_gcn(samples: Sequence[Sample], num_persons: int) -> np.ndarray:
    """Lay samples of one length out as a batch for graph networks.

    Parameters
    ----------
    samples : sequence of Sample
        All with the same T, V and C.
    num_persons : int
        M of the result.

    Returns
    -------
    float32, shape (N, C, T, V, num_persons)
        As `gcn_array` for each.

    Raises
    ------
    UsageError
        If the samples differ in shape.
    """
    shapes = {sample.keypoints.shape[1:] for sample in samples}
    if len(shapes) != 1:
        raise UsageError("samples of one batch differ in shape (T, V, C)",
                         found=", ".join(str(shape) for shape in sorted(shapes)[:4]) or "none",
                         remedy="End with a transform that makes all clips equally long, such as "
                         "UniformSampling or ResizeInTime.")  # fmt: skip
    (steps, joints, channels) = shapes.pop()
    batch = np.zeros((len(samples), channels, steps, joints, num_persons), np.float32)
    for i, sample in enumerate(samples):
        there = min(len(sample.keypoints), num_persons)
        batch[i, ..., :there] = sample.keypoints[:there].transpose(3, 1, 2, 0)
    batch[np.isnan(batch)] = 0
    return batch


def pad_sequences(
    samples: Sequence[Sample], num_persons: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay samples of any length out as a batch of sequences with masks.

    Parameters
    ----------
    samples : sequence of Sample
        All with the same V and C.
    num_persons : int
        M of the result.

    Returns
    -------
    keypoints : float32, shape (N, T, M, V, C)
        T of the longest sample; 0 where nothing is.
    mask : bool, shape (N, T, M, V)
        Where a joint is.
    lengths : int64, shape (N,)
        T of each sample.

    Raises
    ------
    UsageError
        If the samples differ in V or C.
    """
    shapes = {sample.keypoints.shape[2:] for sample in samples}
    if len(shapes) != 1:
        found = ", ".join(str(shape) for shape in sorted(shapes)[:4]) or "none"
        raise UsageError("samples of one batch differ in joints or channels", found=found)
    (joints, channels) = shapes.pop()
    lengths = np.array([sample.keypoints.shape[1] for sample in samples], np.int64)
    longest = int(lengths.max())
    keypoints = np.zeros((len(samples), longest, num_persons, joints, channels), np.float32)
    mask = np.zeros((len(samples), longest, num_persons, joints), bool)
    for i, sample in enumerate(samples):
        there = min(len(sample.keypoints), num_persons)
        poses = sample.keypoints[:there].transpose(1, 0, 2, 3)
        is_there = ~np.isnan(poses).any(-1)
        keypoints[i, : lengths[i], :there] = np.where(is_there[..., None], poses, 0)
        mask[i, : lengths[i], :there] = is_there
    return keypoints, mask, lengths
