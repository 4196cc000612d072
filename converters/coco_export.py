"""COCO keypoints: ground truth of images and videos, or a list of results, as one JSON file.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://cocodataset.org; the
fields ``videos``, ``video_id`` and ``frame_id`` are those of CocoVID. What reads them back is
:mod:`posedata.converters.coco`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import Option
from posedata.converters.coco_entries import (
    Poses,
    join_fields,
    number_texts,
    result_fields,
    truth_fields,
)
from posedata.errors import InputError, UsageError
from posedata.exporter import Exporter, Item, Target
from posedata.profile import Change
from posedata.storage import HashingFile, Location

if TYPE_CHECKING:
    from posedata.export_staging import StagedItems

_FILE_NAME = "{clip_id}/{frame:06d}.jpg"
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")
# Above it, a number is not the same in every reader of JSON.
_LARGEST_ID = 1 << 53
#: What becomes of the columns of a layer; others are not in the format.
_HELD = {
    "truth": {"frames", "persons", "person_ids", "keypoints_2d", "visibility", "boxes", "areas",
              "crowd", "num_keypoints", "annotation_ids", "image_ids", "categories"},
    "results": {"frames", "persons", "person_ids", "keypoints_2d", "scores", "person_scores",
                "image_ids", "categories"},
}  # fmt: skip


def prepare(clip: Clip, target: Target) -> tuple[Item, list[Change]]:
    """Write the entries of one clip as text, without the ids that depend on the clips before."""
    if clip.keypoints_2d is None:
        raise InputError("no keypoints_2d: COCO's joints are pixels")
    changes: list[Change] = []

    def note(what: str, amount: int) -> None:
        if amount:
            changes.append(Change("write", what, int(amount)))

    finite = np.isfinite(clip.keypoints_2d).all(-1)
    facts = dict(clip.info)
    if target.options["kind"] == "results":
        if clip.scores is None:
            raise InputError("no scores: COCO's results have one for each joint")
        present = finite
        is_held = present.any(1)
        note("poses without joints are left out", np.count_nonzero(~is_held))
    else:
        facts |= _picture(clip, target)
        seen = finite if clip.visibility is None else finite & (clip.visibility > 0)
        note("coordinates of joints with visibility 0 are left out",
             np.count_nonzero(finite & ~seen))  # fmt: skip
        present = seen
        has_box = np.zeros(len(present), bool)
        if clip.boxes is not None:
            has_box = np.isfinite(clip.boxes).all(1)
        is_held = present.any(1) | has_box
        note("poses without joints and box are left out", np.count_nonzero(~is_held))
    rows = np.flatnonzero(is_held)
    poses = Poses(rows[np.lexsort((clip.persons[rows], clip.frames[rows]))], present)
    if "categories" in clip.extra:
        other = (clip.extra["categories"] != 1) & (clip.extra["categories"] != -1)
        note("categories are 1, person", np.count_nonzero(other))
    tracks, is_kept = _track_ids(clip)
    if not is_kept:
        note("ids of persons that are no numbers below 2**53: track_id is 0, 1, ..., and the video "
             "has their person_ids", clip.num_persons)  # fmt: skip
        facts["person_ids"] = list(clip.person_ids)
    if _is_image(facts) and "annotation_ids" in clip.extra:
        facts["annotation_ids"] = clip.extra["annotation_ids"][poses.rows].tolist()
    make_fields = result_fields if target.options["kind"] == "results" else truth_fields
    fields = make_fields(clip, poses)
    fields["track_id"] = number_texts(tracks[clip.persons[poses.rows]])
    text, offsets = join_fields(fields)
    frames = clip.frames[poses.rows]
    return Item(clip.clip_id, facts, {"text": text, "offsets": offsets, "frames": frames}), changes


def _picture(clip: Clip, target: Target) -> dict[str, int]:
    """Width and height, where the clip does not know them."""
    names = ("width", "height")
    given = target.options["size"]
    if all(clip.info.get(name) is not None for name in names) or given == "none":
        return {}
    if not given:
        raise InputError("no width and height", remedy="Give them with --size WIDTHxHEIGHT, or "
                         "--size none: then some tools cannot read the file.")  # fmt: skip
    if (match := _SIZE.fullmatch(given)) is None:
        raise UsageError("--size", found=repr(given), expected="e.g. 1920x1080, or none")
    return {name: int(size) for name, size in zip(names, match.groups(), strict=True)}


def _is_image(facts: Mapping[str, Any]) -> bool:
    """Whether a clip is an image, not a video of one frame."""
    return facts["num_frames"] == 1 and bool(facts.get("file_name"))


def _track_ids(clip: Clip) -> tuple[np.ndarray, bool]:
    """Number of each person: the source's, if these are whole numbers; whether they are kept."""
    numbers = [int(text) for text in clip.person_ids if re.fullmatch(r"0|[1-9][0-9]{0,15}", text)]
    are_all = len(numbers) == len(set(numbers)) == clip.num_persons
    if numbers and are_all and max(numbers) < _LARGEST_ID:
        return np.array(numbers, np.int64), True
    return np.arange(clip.num_persons), not clip.person_ids


class _Ids(NamedTuple):
    """Ids of images: the same for ground truth and results of a release, also with ``--limit``.

    Attributes
    ----------
    numbers : mapping
        Clip id: its number in the release, from 1.
    images : mapping
        Clip id: id of its first image; the next frames follow.
    are_own : bool
        Whether each clip is an image with an id of its own.
    """

    numbers: Mapping[str, int]
    images: Mapping[str, int]
    are_own: bool


def _ids(target: Target) -> _Ids:
    clips = target.release.clips()
    names = clips["clip_id"].to_pylist()
    sizes = [size or 0 for size in clips["num_frames"].to_pylist()]
    own = clips["image_id"].to_pylist() if "image_id" in clips.column_names else []
    are_own = bool(own) and None not in own and set(sizes) == {1} and len(set(own)) == len(own)
    first = own if are_own else (1 + np.cumsum([0, *sizes])[:-1]).tolist()
    return _Ids(
        {name: number for number, name in enumerate(names, 1)},
        dict(zip(names, first, strict=True)),
        are_own,
    )


def write(target: Target, items: StagedItems, out: Location) -> Iterable[Change]:
    """Write the file, a clip at a time."""
    ids = _ids(target)
    kind = target.options["kind"]
    with out.create() as file:
        if kind == "results":
            _write_list(file, _entries_of(items, ids, None))
            file.write(b"\n")
        else:
            file.write(b'{"info":' + _json({"description": target.manifest.title}))
            file.write(b',\n"licenses":' + _json([{"id": 1, "name": target.manifest.license}]))
            file.write(b',\n"categories":' + _json([_category(target)]))
            sections = {
                "videos": _videos(items, ids),
                "images": _images(items, ids, target.options["file-name"]),
                "annotations": _entries_of(items, ids, _annotation_ids(items, ids)),
            }
            for name, texts in sections.items():
                file.write(f',\n"{name}":'.encode())
                _write_list(file, texts)
            file.write(b"}\n")
    table = target.manifest.table(target.layer)
    for name in table.pose_columns:
        if name not in _HELD[kind] and table.definitions[name]["per"] != "value":
            yield Change("write", f"column {name} is not in the format", len(items))
    if kind == "truth" and (
        empty := sum(not facts["num_frames"] for facts in items.facts.values())
    ):
        yield Change("write", "clips without frames have no images", empty)


def _write_list(file: HashingFile, texts: Iterable[bytes]) -> None:
    start = b"[\n"
    for text in texts:
        file.write(start + text)
        start = b",\n"
    file.write(b"[]" if start == b"[\n" else b"\n]")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _category(target: Target) -> dict[str, Any]:
    from posedata.skeleton import load_skeleton

    known = target.manifest.skeletons
    skeleton = known.get(target.skeleton) or load_skeleton(target.skeleton)
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.bones],
    }


def _videos(items: StagedItems, ids: _Ids) -> Iterator[bytes]:
    """Clips that are no images, with all that is known of them."""
    for clip_id, facts in items.facts.items():
        if not _is_image(facts):
            yield _json({"id": ids.numbers[clip_id], "name": clip_id, **facts})


def _images(items: StagedItems, ids: _Ids, file_name: str) -> Iterator[bytes]:
    """Give each frame of each clip, also those without people; the texts of a clip together."""
    for clip_id, facts in items.facts.items():
        size = {name: facts[name] for name in ("width", "height") if name in facts}
        first = ids.images[clip_id]
        if _is_image(facts):
            name = _format(file_name, clip_id, 0) if file_name else facts["file_name"]
            yield _json({"id": first, "file_name": name, **size, "license": 1})
            continue
        rest = {**size, "license": 1, "video_id": ids.numbers[clip_id]}
        entries = (
            {"id": first + frame, "file_name": _format(file_name or _FILE_NAME, clip_id, frame),
             **rest, "frame_id": frame}
            for frame in range(facts["num_frames"])
        )  # fmt: skip
        if text := b",\n".join(map(_json, entries)):
            yield text


def _format(template: str, clip_id: str, frame: int) -> str:
    try:
        return template.format(clip_id=clip_id, frame=frame, number=frame + 1)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UsageError("--file-name", found=repr(template), expected="a name with {clip_id}, and "
                         "{frame} (from 0) or {number} (from 1)") from error  # fmt: skip


def _annotation_ids(items: StagedItems, ids: _Ids) -> Iterator[int]:
    """Give the annotations' own ids, in their order, if they have some; else 1, 2, ..."""
    own: list[int] = []
    if ids.are_own:
        for facts in items.facts.values():
            own += facts.get("annotation_ids", [-1])
    return iter(own) if own and min(own) >= 0 and len(set(own)) == len(own) else count(1)


def _entries_of(
    items: StagedItems, ids: _Ids, annotation_ids: Iterator[int] | None
) -> Iterator[bytes]:
    """Give the entries of each clip, the texts of a clip together; results have no ids."""
    for item in items:
        frames = item.arrays["frames"].tolist()
        if not frames:
            continue
        text = item.arrays["text"].tobytes()
        offsets = item.arrays["offsets"].tolist()
        first = ids.images[item.clip_id]
        entries = []
        for row, frame in enumerate(frames):
            head = f'"id":{next(annotation_ids)},' if annotation_ids else ""
            head = f'{{{head}"image_id":{first + frame},"category_id":1'
            entries.append(head.encode() + text[offsets[row] : offsets[row + 1]])
        yield b",\n".join(entries)


EXPORTER = Exporter(
    name="coco",
    about="COCO keypoints: a JSON file of images and annotations, or of results",
    suffix=".json",
    prepare=prepare,
    write=write,
    options=(
        Option("kind", "ground truth, or results of an estimator", "truth", ("truth", "results")),
        Option("size", "WIDTHxHEIGHT of clips that do not know theirs, or none", ""),
        Option(
            "file-name",
            "of the images, with {clip_id}, and {frame} (from 0) or {number} (from 1); by "
            f"default {_FILE_NAME}, or the name that an image has",
            "",
        ),
    ),
)
