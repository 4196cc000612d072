"""PYSKL and mmaction2: one pickle of ``split`` and ``annotations``, and its profiles.

Source: kennymckormick/pyskl, ``tools/data/README.md``; open-mmlab/mmaction2,
``mmaction/datasets/pose_dataset.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from posedata.clip import Clip
from posedata.converter import Option
from posedata.converters.dense_clip import CHANNELS, joint_channels, label_of, part_name
from posedata.converters.ntu_benchmark import (
    BENCHMARK,
    KNOWN_BAD,
    is_known_bad,
    ntu_benchmark,
    rows_of_benchmark,
)
from posedata.converters.pickle_writer import write_pickle
from posedata.errors import InputError, UsageError
from posedata.exporter import NOT_PUBLISHED, Exporter, Item, Target
from posedata.profile import Change
from posedata.profiles import mmaction2
from posedata.profiles.pyskl import PYSKL, annotation_order, annotation_splits
from posedata.storage import Location

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems

_DTYPE = Option("dtype", "of the coordinates, without a profile", "float32", ("float32", "float16"))
_IMG_SHAPE = Option(
    "img-shape", "HEIGHTxWIDTH of clips whose picture size is not known (2D only)", ""
)
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


def prepare(clip: Clip, target: Target) -> tuple[Item | None, list[Change]]:
    """Make the annotation of one clip."""
    if target.profile is not None and is_known_bad(clip):
        return None, [KNOWN_BAD]
    if target.profile == PYSKL:
        annotation, changes = target.profile.apply(clip)
        keypoint = annotation.pop("keypoint")
        return Item(clip.clip_id, annotation, {"keypoint": keypoint}), changes
    if target.profile is not None:
        keypoint, changes = target.profile.apply(clip)
        facts = {"info": {"clip_id": clip.clip_id, **clip.info}}
        return Item(clip.clip_id, facts, {"keypoint": keypoint}), changes
    return _as_it_is(clip, target)


def _as_it_is(clip: Clip, target: Target) -> tuple[Item, list[Change]]:
    changes: list[Change] = []
    label = label_of(clip)
    if not len(clip.frames):
        raise InputError("no poses")
    dense = joint_channels(clip, target.options["channels"], changes)
    is_2d = target.options["channels"] == "2d" or clip.keypoints_3d is None
    dtype = np.dtype(target.options["dtype"])
    facts: dict[str, Any] = {
        "frame_dir": clip.clip_id, "label": label, "total_frames": clip.num_frames
    }  # fmt: skip
    arrays = {"keypoint": dense.astype(dtype)}
    if is_2d:
        facts["img_shape"] = _picture(clip, target)
        arrays = {
            "keypoint": dense[..., :2].astype(dtype), "keypoint_score": dense[..., 2].astype(dtype)
        }  # fmt: skip
    if dtype == np.float16:
        changes.append(Change("round_to_float16", "coordinates rounded", arrays["keypoint"].size))
    return Item(clip.clip_id, facts, arrays), changes


def _picture(clip: Clip, target: Target) -> tuple[int, int]:
    height, width = clip.info.get("height"), clip.info.get("width")
    if height is not None and width is not None:
        return int(height), int(width)
    given = target.options["img-shape"]
    if not given:
        raise InputError("no picture size", remedy="Give it with --img-shape HEIGHTxWIDTH.")
    if (match := _SIZE.fullmatch(given)) is None:
        raise UsageError("--img-shape", found=repr(given), expected="e.g. 480x640")
    return int(match[1]), int(match[2])


def write(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write the pickle; annotations go to the file one by one."""
    left_out = 0
    if target.profile == PYSKL:
        benchmark = ntu_benchmark(target)
        order = annotation_order(items.facts, benchmark)
        splits = annotation_splits(order, benchmark)
        left_out = len(items) - len(order)
        annotations: Iterator[Any] = (_annotation(items[name]) for name in order)
    elif target.profile is not None:
        benchmark = ntu_benchmark(target)
        table = mmaction2.table(rows_of_benchmark(items.facts, benchmark), f"ntu{benchmark}")
        splits, left_out = table.split, len(items) - len(table.rows)
        entry = (
            mmaction2.annotation if target.profile == mmaction2.MMACTION2
            else mmaction2.annotation_v0
        )  # fmt: skip
        annotations = (entry(row, items[row.clip_id].arrays["keypoint"]) for row in table.rows)
    else:
        splits = {
            f"{protocol}_{part_name(protocol, split)}": [name for name in names if name in items]
            for protocol, parts in target.splits.items()
            for split, names in parts.items()
        }
        annotations = (_annotation(item) for item in items)
    with out.create() as file:
        write_pickle(file, {"split": splits, "annotations": annotations})
    if left_out:
        yield Change("choose_samples", NOT_PUBLISHED, left_out)


def _annotation(item: Item) -> dict[str, Any]:
    """Lay an annotation out, in the order of the published files."""
    facts = dict(item.facts)
    annotation: dict[str, Any] = {"frame_dir": facts["frame_dir"], "label": facts["label"]}
    if "img_shape" in facts:
        shape = tuple(facts["img_shape"])
        annotation |= {"img_shape": shape, "original_shape": shape}
    return {**annotation, **item.arrays, "total_frames": facts["total_frames"]}


EXPORTER = Exporter(
    name="pyskl",
    about="PYSKL and mmaction2: a pickle of split and annotations",
    suffix=".pkl",
    prepare=prepare,
    write=write,
    profiles={
        profile.name: profile for profile in (PYSKL, mmaction2.MMACTION2, mmaction2.MMACTION2_V0)
    },
    options=(CHANNELS, _DTYPE, _IMG_SHAPE, BENCHMARK),
)
