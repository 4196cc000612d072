"""Annotations of people in COCO's sense to a clip: labelled joints, with what is not labelled kept.

A crowd, or a person without labelled joints, is a row with a box alone: whoever evaluates needs to
know that somebody is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.converter import LayerDescription, Problem, Sample
from posedata.converters.people import People, build_clip
from posedata.errors import InputError
from posedata.skeleton import load_skeleton


def build_truth(
    sample: Sample, layer: LayerDescription, people: People, info: Mapping[str, Any]
) -> tuple[Clip, list[Problem]]:
    """Make a clip of annotations.

    Parameters
    ----------
    sample : Sample
        Which clip of which file.
    layer : LayerDescription
        Its columns say what is kept.
    people : People
        Rows in the order of (frame, slot). ``scores`` has v: 0 not labelled, 1 labelled, 2 visible;
        ``ids`` the annotations' ids in an image, the tracks' in a video.
    info : mapping
        Clip columns.

    Returns
    -------
    clip : Clip
        A joint with v = 0 is missing. A row without joints is kept where each row has an id;
        where the tracker has to tell persons apart it is left out with a warning.
    problems : list of Problem
        Warnings.

    Raises
    ------
    InputError
        If an id occurs twice in a frame.
    """
    problems: list[Problem] = []

    def warn(what: str, wrong: np.ndarray) -> None:
        if wrong.any():
            row = np.argwhere(wrong)[0][0]
            problems.append(Problem(
                sample.path, "read", f"{what}: {np.count_nonzero(wrong)} times",
                f"{sample.clip_id}, frame {people.frames[row]}, annotation {people.slots[row]}",
                "warning",
            ))  # fmt: skip

    if people.scores is None:
        raise InputError("no visibility flags", path=sample.path)
    flags = people.scores
    with np.errstate(over="ignore"):
        keypoints = people.keypoints_2d.astype(np.float32)
    labelled = flags > 0
    warn(
        "coordinates of joints with v = 0, which are not kept", ~labelled & (keypoints != 0).any(-1)
    )
    broken = labelled & ~np.isfinite(keypoints).all(-1)
    warn("joint with coordinates that are not finite, now missing", broken)
    missing = ~labelled | broken
    keypoints[missing] = np.nan
    visibility = np.where(missing, 0, np.where(flags >= 2, 2, 1)).astype(np.uint8)
    if "visibility_flags" not in layer.columns:
        warn("v is none of 0, 1, 2", ~np.isin(flags, (0, 1, 2)))
    extra = {**people.extra, "visibility_flags": flags.astype(np.float32)}
    people = replace(
        people, keypoints_2d=keypoints, missing=missing, visibility=visibility, scores=None,
        extra=extra,
    )  # fmt: skip
    if not all(people.ids):
        clip, more = build_clip(sample, layer, people, info)
        return clip, problems + more
    number: dict[str, int] = {}
    persons = np.array([number.setdefault(name, len(number)) for name in people.ids], np.int32)
    order = np.lexsort((people.frames, persons))
    frames = people.frames[order].astype(np.int32)
    again = np.flatnonzero((np.diff(persons[order]) == 0) & (np.diff(frames) == 0))
    if len(again):
        raise InputError(
            "the same id twice in one frame", path=sample.path,
            position=f"{sample.clip_id}, frame {frames[again[0]]}",
            found=people.ids[order[again[0]]],
        )  # fmt: skip
    boxes = None
    if people.boxes is not None:
        with np.errstate(over="ignore"):
            boxes = people.boxes.astype(np.float32)
        broken = ~np.isfinite(boxes).all(1)
        warn("box with numbers that are not finite, now NaN", broken & ~np.isnan(boxes).all(1))
        boxes[broken] = np.nan
        boxes = boxes[order]
    kept = {**extra, "slots": people.slots.astype(np.int32)}
    return Clip(
        clip_id=sample.clip_id,
        layer=layer.name,
        skeleton=load_skeleton(layer.skeleton),
        frames=frames,
        persons=persons[order],
        keypoints_2d=keypoints[order],
        visibility=visibility[order],
        boxes=boxes,
        person_ids=tuple(number),
        extra={name: values[order] for name, values in kept.items() if name in layer.columns},
        info=info,
    ), problems
