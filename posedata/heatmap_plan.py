"""What heatmap volumes will be written: of which clips, drawn how, in which shards."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from posedata.clip_selection import ClipSelection, select_clips
from posedata.errors import InputError, UsageError
from posedata.heatmaps import MMACTION2_LIMBS, PYSKL_LIMBS, People, check_sigma, check_size
from posedata.skeleton import Skeleton
from posedata.version import __version__

#: Volumes in a shard: 5 to 50 MB.
SHARD_VOLUMES = 512

#: One volume is one value of a Parquet file, which cannot be larger.
MOST_BYTES = (1 << 31) - 1

_LIMBS = {"pyskl": PYSKL_LIMBS, "mmaction2": MMACTION2_LIMBS}


@dataclass(frozen=True)
class VolumeOptions:
    """How volumes are drawn.

    Attributes
    ----------
    kind : {"joint", "limb", "both"}
        Which channels; with both, joints first.
    frames : int, optional
        T: of each clip so many, by uniform sampling (`posedata.transforms.UniformSampling`). None
        takes every frame, so that T differs.
    clips : int
        Sample each clip so many times: one volume each.
    sampling : {"test", "train"}
        The middle frame of each segment, or a random one.
    seed : int
        Of what is random.
    size : (int, int)
        H and W.
    sigma : float
        Of the Gaussians, in pixels of the volume.
    persons : int
        The most people of a clip; the most present are taken.
    merge : {"max", "sum"}
        How people share a channel.
    dtype : {"uint8", "float16", "float32"}
        ``uint8`` is 255 times the value, rounded.
    crop : bool
        Crop to a square around the people of the sampled frames (of all of a clip's volumes);
        otherwise the whole picture is resized.
    limbs : {"bones", "pyskl", "mmaction2"}
        The skeleton's bones, or a list of coco17's limbs that published weights expect.

    Raises
    ------
    UsageError
        If an option cannot mean anything. It is named as the command line does.
    """

    kind: Literal["joint", "limb", "both"] = "joint"
    frames: int | None = 48
    clips: int = 1
    sampling: Literal["test", "train"] = "test"
    seed: int = 0
    size: tuple[int, int] = (56, 56)
    sigma: float = 0.6
    persons: int = 2
    merge: People = "max"
    dtype: Literal["uint8", "float16", "float32"] = "uint8"
    crop: bool = True
    limbs: Literal["bones", "pyskl", "mmaction2"] = "bones"

    def __post_init__(self) -> None:
        for name, choices in (
            ("kind", ("joint", "limb", "both")), ("sampling", ("test", "train")),
            ("merge", ("max", "sum")), ("dtype", ("uint8", "float16", "float32")),
            ("limbs", ("bones", *_LIMBS)),
        ):  # fmt: skip
            if getattr(self, name) not in choices:
                raise UsageError(f"--{name}", found=repr(getattr(self, name)),
                                 expected=", ".join(choices))  # fmt: skip
        for name, least in (("frames", 1), ("clips", 1), ("persons", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"--{name}", found=value, expected=f"{least} or more")
        if self.frames is None and (self.clips, self.sampling) != (1, "test"):
            raise UsageError("all frames are one volume, and none of them is random",
                             found=f"--clips {self.clips} --sampling {self.sampling}",
                             remedy="Leave them out, or give --frames.")  # fmt: skip
        check_sigma(self.sigma)
        check_size(self.size)


@dataclass(frozen=True, eq=False)
class VolumePlan:
    """What will be drawn: all that the files depend on.

    Attributes
    ----------
    selection : ClipSelection
        From which clips of which release.
    options : VolumeOptions
        How.
    protocol, split : str or None
        Which split these are.
    limit : int or None
        Only the first so many clips.
    """

    selection: ClipSelection
    options: VolumeOptions
    protocol: str | None
    split: str | None
    limit: int | None

    @cached_property
    def clip_ids(self) -> tuple[str, ...]:
        """Clips to draw, sorted."""
        return self.selection.clip_ids[: self.limit]

    @cached_property
    def limbs(self) -> tuple[tuple[int, int], ...]:
        """Joint indices of the limbs that are channels."""
        if self.options.kind == "joint":
            return ()
        skeleton = self.selection.skeleton
        return _LIMBS.get(self.options.limbs, tuple(skeleton.bones))

    @property
    def num_channels(self) -> int:
        """K."""
        joints = self.selection.skeleton.num_joints if self.options.kind != "limb" else 0
        return joints + len(self.limbs)

    @property
    def shards(self) -> list[tuple[str, ...]]:
        """Clip ids of each file."""
        size = max(1, SHARD_VOLUMES // self.options.clips)
        return [self.clip_ids[n : n + size] for n in range(0, len(self.clip_ids), size)]

    def fingerprint(self) -> dict[str, Any]:
        """What two runs must have in common to make the same files."""
        selection, options = self.selection, asdict(self.options)
        return {
            "posedata": __version__,
            "release": hashlib.sha256(selection.release.manifest.to_json()).hexdigest(),
            "layer": selection.layer,
            "skeleton": selection.skeleton.name,
            "protocol": self.protocol,
            "split": self.split,
            "limit": self.limit,
            "options": {**options, "size": list(options["size"])},
        }


def plan_volumes(
    release: Any,
    layer: str | None = None,
    *,
    protocol: str | None = None,
    split: str | None = None,
    skeleton: Skeleton | str | None = None,
    options: VolumeOptions | None = None,
    limit: int | None = None,
) -> VolumePlan:
    """Say what will be drawn, and refuse at once what could only fail later.

    Parameters
    ----------
    release, layer, protocol, split, skeleton
        As in `posedata.clip_selection.select_clips`.
    options : VolumeOptions, optional
        By default PoseConv3D's, as uint8.
    limit : int, optional
        Only the first so many clips.

    Raises
    ------
    UsageError
        If there is no such layer or split, the layer has no 2D poses or no size of pictures, the
        skeleton cannot be mapped to, has no limbs or not those of the list, or no clip is left.
    """
    chosen = VolumeOptions() if options is None else options
    if limit is not None and limit < 1:
        raise UsageError("--limit", found=limit, expected="1 or more")
    selection = select_clips(release, layer, protocol=protocol, split=split, skeleton=skeleton,
                             keypoints="keypoints_2d")  # fmt: skip
    opened, name = selection.release, selection.skeleton.name
    known = opened.table(selection.layer).clip_columns
    if not {"width", "height"} <= set(known):
        raise UsageError(f"layer {selection.layer} does not say how large the pictures are",
                         path=opened.place, found=", ".join(known),
                         expected="columns width and height")  # fmt: skip
    if chosen.limbs != "bones" and name != "coco17":
        raise UsageError(f"--limbs {chosen.limbs} are those of coco17", found=name,
                         remedy="Give --skeleton coco17, or leave --limbs out.")  # fmt: skip
    plan = VolumePlan(selection, chosen, protocol, split, limit)
    if chosen.kind == "limb" and not plan.limbs:
        raise UsageError(f"the skeleton {name} has no bones", remedy="Give --kind joint.")
    if chosen.frames is not None:
        check_bytes(plan.num_channels, chosen.frames, chosen, UsageError)
    return plan


def check_bytes(
    channels: int, steps: int, options: VolumeOptions, error: type[InputError] | type[UsageError]
) -> None:
    """Raise the error if a volume of so many channels and steps would be too large."""
    size = channels * steps * math.prod(options.size) * np.dtype(options.dtype).itemsize
    if size > MOST_BYTES:
        raise error("a volume that is too large",
                    found=f"{channels} x {steps} x {options.size[0]} x {options.size[1]} "
                    f"{options.dtype}, {size:,} bytes", expected=f"at most {MOST_BYTES:,}",
                    remedy="Give fewer --frames, a smaller --size or --dtype uint8.")  # fmt: skip
