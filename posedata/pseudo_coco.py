"""Pseudo-labels as COCO's JSON, for trainers of detectors: the categories are anchor poses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from posedata.converters.coco_entries import Poses, truth_fields
from posedata.errors import InputError, UsageError
from posedata.release import Release
from posedata.version import __version__

#: The name of a frame's picture, as pictures are usually taken out of videos.
FILE_NAME = "{clip_id}/{frame:06d}.jpg"


def coco_documents(
    release: Release,
    layer: str,
    num_classes: int,
    *,
    file_name: str = FILE_NAME,
    size: tuple[int, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Give the pseudo-labels of a release as COCO documents.

    Frames without a label are not among the images: nobody says that they show no person.

    Parameters
    ----------
    release : Release
        With the labels.
    layer : str
        As `posedata.pseudo_label.pseudo_label` has made it.
    num_classes : int
        Anchors (K): the categories are 1 to K, for the classes 0 to K - 1.
    file_name : str
        The name of an image, by ``clip_id`` and ``frame``.
    size : (width, height), optional
        Of pictures whose size the release does not know.

    Returns
    -------
    dict
        The documents ``train`` and ``val``. Ids are unique over both. An annotation has COCO's
        fields, and ``score`` (C of SST-A, where known), ``anchor_distance`` and ``track_id``.

    Raises
    ------
    InputError
        If the size of a picture is not known.
    UsageError
        If ``file_name`` is no such pattern.
    """
    skeleton = release.skeleton(layer)
    categories = [
        {
            "id": number + 1, "name": f"anchor_{number:02}", "supercategory": "person",
            "keypoints": list(skeleton.joints),
            "skeleton": [[a + 1, b + 1] for a, b in skeleton.bones],
        }
        for number in range(num_classes)
    ]  # fmt: skip
    about = {"description": f"pseudo-labels of {release.name}", "version": __version__}
    documents: dict[str, dict[str, Any]] = {
        split: {"info": about, "images": [], "annotations": [], "categories": categories}
        for split in ("train", "val")
    }
    image_id = annotation_id = 0
    for clip in release.iter_clips(layer):
        if not len(clip.frames):
            continue
        width, height = clip.info.get("width"), clip.info.get("height")
        if width is None or height is None:
            if size is None:
                raise InputError("no width and height, which COCO's images have",
                                 path=clip.clip_id,
                                 remedy="Give them with --size WIDTHxHEIGHT.")  # fmt: skip
            width, height = size
        order = np.lexsort((clip.persons, clip.frames))
        present = np.isfinite(np.asarray(clip.keypoints_2d)).all(-1)
        if clip.visibility is not None:
            present &= clip.visibility > 0
        texts = {n: f.to_pylist() for n, f in truth_fields(clip, Poses(order, present)).items()}
        document = documents["val" if clip.extra["validation"][0] else "train"]
        frame = None
        for number, row in enumerate(order.tolist()):
            if int(clip.frames[row]) != frame:
                frame = int(clip.frames[row])
                image_id += 1
                document["images"].append({
                    "id": image_id, "file_name": _named(file_name, clip.clip_id, frame),
                    "width": int(width), "height": int(height), "clip_id": clip.clip_id,
                    "frame_id": frame,
                })  # fmt: skip
            annotation_id += 1
            annotation = {
                "id": annotation_id, "image_id": image_id,
                "category_id": int(clip.extra["anchor_class"][row]) + 1,
                **{name: json.loads(values[number]) for name, values in texts.items()},
                "track_id": int(clip.persons[row]),
                "anchor_distance": float(str(clip.extra["anchor_distance"][row])),
            }  # fmt: skip
            if np.isfinite(clip.extra["confidence"][row]):
                annotation["score"] = float(str(clip.extra["confidence"][row]))
            document["annotations"].append(annotation)
    return documents


def check_pattern(file_name: str) -> None:
    """Refuse a pattern of file names that names something else than ``clip_id`` and ``frame``."""
    _named(file_name, "clip", 0)


def _named(pattern: str, clip_id: str, frame: int) -> str:
    try:
        return pattern.format(clip_id=clip_id, frame=frame)
    except (LookupError, ValueError, AttributeError) as error:
        raise UsageError("--file-name", found=repr(pattern), expected=f"e.g. {FILE_NAME!r}",
                         remedy="Its fields are clip_id and frame.") from error  # fmt: skip
