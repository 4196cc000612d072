"""Batches in the layouts that models read: for graph networks, for PoseConv3D, sequences.

A batch is a dict of tensors. Its first axis is the clip (N):

=============  ==================  =============================================================
layout         key                 what
=============  ==================  =============================================================
`Gcn`          ``keypoints``       float32 (N, C, T, V, M); 0 where a coordinate is missing
`Heatmaps`     ``heatmaps``        (N, K, T, H, W), K joints and limbs
`Sequences`    ``keypoints``       float32 (N, T, M, V, C); 0 where a coordinate is missing
`Sequences`    ``mask``            bool (N, T, M, V), where a joint is
`Sequences`    ``lengths``         int64 (N,), time steps of each clip; the rest is filled up
all            ``label``           int64 (N,), -1 where it is not known
all            ``index``           int64 (N,), place of the clip in ``clip_ids``
=============  ==================  =============================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from posedata.compiled import kernel
from posedata.errors import UsageError
from posedata.heatmaps import People, check_sigma, check_size, heatmaps, scale_keypoints
from posedata.sample import Sample

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Gcn:
    """Arrays for ST-GCN and its followers: (N, C, T, V, M), 0 where a coordinate is missing.

    Attributes
    ----------
    channels : {"xy", "xyz", "xys"}, optional
        ``xys`` adds the score to poses in pixels, as ST-GCN does for Kinetics-Skeleton. By
        default the channels of the sample.
    """

    channels: str | None = None

    def __post_init__(self) -> None:
        if self.channels not in (None, "xy", "xyz", "xys"):
            raise UsageError("channels", found=self.channels, expected="xy, xyz or xys")


@dataclass(frozen=True)
class Heatmaps:
    """Volumes for PoseConv3D: (N, K, T, H, W), drawn by `posedata.heatmaps.heatmaps`.

    Of each clip, at most ``num_persons`` people are drawn, in the same channels.

    Attributes
    ----------
    size : (int, int)
        H and W. Poses are in pixels of the picture, whose ``width`` and ``height`` the sample's
        info says (after a crop, those of the crop), and are scaled to that.
    sigma : float
        Of the Gaussian, in pixels of the volume.
    joints : bool
        Whether there are V channels of joints.
    limbs : bool or tuple of (int, int)
        Channels of limbs, after those of joints: one for each bone of the skeleton (True), or
        for each of these pairs of joints, e.g. `posedata.heatmaps.PYSKL_LIMBS`.
    people : {"max", "sum"}
        How several people share a channel.
    dtype : {"float32", "float16", "uint8"}
        ``uint8`` is 255 times the value, rounded.
    """

    size: tuple[int, int] = (56, 56)
    sigma: float = 0.6
    joints: bool = True
    limbs: bool | tuple[tuple[int, int], ...] = False
    people: People = "max"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_size(self.size)
        check_sigma(self.sigma)
        if not (self.joints or self.limbs):
            raise UsageError("heatmaps of neither joints nor limbs")
        if self.people not in ("max", "sum"):
            raise UsageError("people", found=self.people, expected="max or sum")
        if self.dtype not in ("float32", "float16", "uint8"):
            raise UsageError("dtype", found=self.dtype, expected="float32, float16 or uint8")


@dataclass(frozen=True)
class Sequences:
    """Sequences of any length with masks, for transformers and recurrent models."""


Layout = Gcn | Heatmaps | Sequences

_BY_NAME: dict[str, Layout] = {"gcn": Gcn(), "heatmaps": Heatmaps(), "sequence": Sequences()}


def find_layout(layout: Layout | str) -> Layout:
    """Give the layout of a name: ``gcn``, ``heatmaps`` or ``sequence``, with its defaults.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if isinstance(layout, (Gcn, Heatmaps, Sequences)):
        return layout
    if layout not in _BY_NAME:
        raise UsageError("no such layout", found=repr(layout), expected=", ".join(_BY_NAME))
    return _BY_NAME[layout]


def make_batch(
    samples: Sequence[Sample], indices: Sequence[int], num_persons: int, layout: Layout
) -> Batch:
    """Lay samples out as one batch.

    Parameters
    ----------
    samples : sequence of Sample
        N; for `Gcn` and `Heatmaps` all of one length T.
    indices : sequence of int
        Place of each in ``clip_ids``.
    num_persons : int
        M of the batch: missing people are added, further ones left out.
    layout : Layout
        Which.

    Returns
    -------
    dict of str to tensor
        As the head of this module says. In a worker of torch's DataLoader it lies in shared
        memory from the start, which saves a copy.

    Raises
    ------
    UsageError
        If the samples cannot be in one batch.
    """
    made = _MAKE[type(layout)](samples, num_persons, layout)
    return labelled(made, [sample.label for sample in samples], indices)


def labelled(made: Batch, labels: Sequence[int], indices: Sequence[int]) -> Batch:
    """Add the labels and places of the clips to a batch."""
    made["label"] = torch.tensor(labels, dtype=torch.int64)
    made["index"] = torch.tensor(indices, dtype=torch.int64)
    return _Sent(made)


class _Sent(dict[str, torch.Tensor]):
    """A batch whose short tensors travel between processes as numbers.

    Each tensor in shared memory takes a connection and half a millisecond.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        short = {name: values.numpy() for name, values in self.items() if values.dim() == 1}
        return _received, ({name: self[name] for name in self if name not in short}, short)


def _received(batch: Batch, short: dict[str, np.ndarray]) -> Batch:
    return {**batch, **{name: torch.from_numpy(values) for name, values in short.items()}}


class Rows(Sequence[Batch]):
    """The samples of a batch that is already made.

    torch's DataLoader asks a data set for a whole batch, and gives what it gets to its
    ``collate_fn``. The default one sees a sequence of samples here, as it expects; `whole_batch`
    takes the batch as it is.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch["index"])

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        return {name: values[row] for name, values in self.batch.items()}

    def __iter__(self) -> Iterator[Batch]:
        return (self[row] for row in range(len(self)))


def whole_batch(rows: Rows) -> Batch:
    """Give the batch that `ClipDataset` has made: a ``collate_fn`` that copies nothing.

    Examples
    --------
    >>> DataLoader(dataset, batch_size=64, shuffle=True, collate_fn=whole_batch)  # doctest: +SKIP
    """
    return rows.batch


def _make_gcn(samples: Sequence[Sample], num_persons: int, layout: Gcn) -> Batch:
    steps, joints, channels = _one_shape(samples)
    with_score = has_score(layout, channels)
    batch = empty((len(samples), channels + with_score, steps, joints, num_persons))
    array = batch.numpy()
    for i, sample in enumerate(samples):
        _put_gcn(sample.keypoints, sample.scores, with_score, array[i])
    return {"keypoints": batch}


def has_score(layout: Gcn, channels: int) -> bool:
    """Whether a channel for the score follows those of the sample.

    Raises
    ------
    UsageError
        If the layout wants other channels than the sample has.
    """
    with_score = layout.channels == "xys"
    wanted = None if layout.channels is None else len(layout.channels) - with_score
    if wanted not in (None, channels):
        raise UsageError(f"the layout has the channels {layout.channels}, and the sample others",
                         found=f"{channels} coordinates", expected=wanted)  # fmt: skip
    return with_score


@kernel
def _put_gcn(keypoints, scores, with_score, out):
    persons, steps, joints, channels = keypoints.shape
    for person in range(out.shape[3]):
        there = person < persons
        for channel in range(channels):
            for step in range(steps):
                for joint in range(joints):
                    value = np.float32(0)
                    if there:
                        value = keypoints[person, step, joint, channel]
                        if np.isnan(value):
                            value = np.float32(0)
                    out[channel, step, joint, person] = value
        if with_score:
            for step in range(steps):
                for joint in range(joints):
                    value = scores[person, step, joint] if there else np.float32(0)
                    out[channels, step, joint, person] = value


def _make_heatmaps(samples: Sequence[Sample], num_persons: int, layout: Heatmaps) -> Batch:
    steps, joints, channels = _one_shape(samples)
    if channels != 2:
        raise UsageError("heatmaps need keypoints in pixels", found=f"{channels} coordinates",
                         remedy='keypoints="keypoints_2d"')  # fmt: skip
    bones = samples[0].skeleton.bones if layout.limbs is True else layout.limbs or ()
    maps = joints * layout.joints + len(bones)
    shape = (len(samples), maps, steps, *layout.size)
    batch = empty(shape, getattr(torch, layout.dtype))
    array = batch.numpy()
    for i, sample in enumerate(samples):
        height, width = sample.info.get("height"), sample.info.get("width")
        if height is None or width is None:
            raise UsageError(f"clip {sample.clip_id} has no width and height to scale from",
                             remedy="Begin with SubjectCrop.")  # fmt: skip
        keypoints = scale_keypoints(sample.keypoints[:num_persons], (height, width), layout.size)
        heatmaps(
            keypoints, sample.scores[:num_persons], size=layout.size, sigma=layout.sigma,
            joints=layout.joints, limbs=bones, people=layout.people, dtype=layout.dtype,
            out=array[i],
        )  # fmt: skip
    return {"heatmaps": batch}


def _make_sequences(samples: Sequence[Sample], num_persons: int, layout: Sequences) -> Batch:
    """As `posedata.layouts.pad_sequences`."""
    joints, channels = check_equal({sample.keypoints.shape[2:] for sample in samples}, "(V, C)")
    lengths = [sample.keypoints.shape[1] for sample in samples]
    shape = len(samples), max(lengths), num_persons, joints
    batch, mask = empty((*shape, channels)), empty(shape, torch.bool)
    for sample, array, there in zip(samples, batch.numpy(), mask.numpy(), strict=True):
        _put_sequence(sample.keypoints, array, there)
    return {"keypoints": batch, "mask": mask, "lengths": torch.tensor(lengths)}


@kernel
def _put_sequence(keypoints, out, mask):
    persons, steps, joints, channels = keypoints.shape
    for step in range(len(out)):
        for person in range(out.shape[1]):
            if step >= steps or person >= persons:
                out[step, person] = 0
                mask[step, person] = False
                continue
            for joint in range(joints):
                is_there = True
                for channel in range(channels):
                    is_there = is_there and not np.isnan(keypoints[person, step, joint, channel])
                for channel in range(channels):
                    value = keypoints[person, step, joint, channel]
                    out[step, person, joint, channel] = value if is_there else np.float32(0)
                mask[step, person, joint] = is_there


def _one_shape(samples: Sequence[Sample]) -> tuple[int, int, int]:
    return check_equal({sample.keypoints.shape[1:] for sample in samples})


def check_equal(shapes: set[Any], axes: str = "(T, V, C)") -> Any:
    """Give the one shape of samples, or refuse to put them in one batch."""
    if len(shapes) != 1:
        equally_long = ("End with a transform that makes all clips equally long, such as "
                        "UniformSampling or ResizeInTime.")  # fmt: skip
        raise UsageError(f"samples of one batch differ in shape {axes}",
                         found=", ".join(str(shape) for shape in sorted(shapes)[:4]) or "none",
                         remedy=equally_long if "T" in axes else None)  # fmt: skip
    return shapes.pop()


def empty(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Give a tensor to fill: in a worker of a DataLoader, one that its parent sees, too."""
    if torch.utils.data.get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    number = int(np.prod(shape)) * dtype.itemsize
    storage = torch.UntypedStorage._new_shared(max(number, 1), device="cpu")
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)


def in_shared_memory(batch: Batch) -> Batch:
    """Move a batch of a worker to where `empty` would have made it."""
    if torch.utils.data.get_worker_info() is not None:
        for name, values in batch.items():
            if values.dim() > 1 and not values.is_shared():
                batch[name] = empty(tuple(values.shape), values.dtype).copy_(values)
    return batch


_MAKE: dict[type, Any] = {
    Gcn: _make_gcn,
    Heatmaps: _make_heatmaps,
    Sequences: _make_sequences,
}
