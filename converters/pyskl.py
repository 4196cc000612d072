"""Annotations of PYSKL and mmaction2, to clips of the layer ``pyskl``.

A pickle of ``{"split": {name: [clip, ...]}, "annotations": [annotation, ...]}``, or of the list of
annotations alone. An annotation is a dict of ``frame_dir``, ``total_frames``, ``label`` and
``keypoint``, shape (M, T, V, C); in 2D also ``keypoint_score``, shape (M, T, V), and ``img_shape``.

Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022
(kennymckormick/pyskl, ``tools/data/README.md``). The pickle is read without running it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from posedata.clip import Clip
from posedata.converter import Converter, Description, Discovery, Problem, Sample
from posedata.converters.array_kinds import (
    CHANNELS,
    SKELETON,
    Kind,
    kind_of,
    layer_of,
    look_like_scores,
)
from posedata.converters.array_poses import (
    build_clip,
)
from posedata.converters.array_rows import (
    SPLITS_COLUMN,
    VAL,
    Row,
    RowTable,
    collect,
    columns_of,
    is_text,
    parse_split,
    read_rows,
    release_name,
    samples_of,
    short,
    splits,
    survey,
    whole_label,
)
from posedata.discover import find_files, found_file
from posedata.errors import InputError
from posedata.storage import Location

#: Bytes of a pickle: all of it is in memory, and once more while it is read.
LARGEST_FILE = 8 << 30

_PROTOCOL_AT_END = re.compile(r"xsub|xview\d*|xset", re.ASCII)
_SHOWN = 8
_LOOKED_AT = 16
# What is in the clip, or follows from it.
_TAKEN = frozenset({"frame_dir", "filename", "total_frames", "label", "img_shape",
                    "original_shape", "keypoint", "keypoint_score"})  # fmt: skip


class Annotations(NamedTuple):
    """The contents of a pickle: the names of each split, and the annotations."""

    splits: Mapping[str, Sequence[str]]
    annotations: Sequence[Any]


def discover(raw: Location, options: Mapping[str, Any]) -> Discovery:
    """List the annotations of the pickles of a folder and its subfolders.

    Parameters
    ----------
    raw : Location
        A folder, or one ``.pkl`` file.
    options : mapping
        ``channels``: what three channels are. ``val``: what a split named val is.

    Returns
    -------
    Discovery
        Annotations without poses, names in a split without an annotation, and fields that are left
        out are among the problems.
    """
    load.cache_clear()
    _find.cache_clear()
    table = _find(raw, options["channels"])

    def facts(row: Row) -> tuple[int, Mapping[str, Any]]:
        annotation = load(raw, row.path).annotations[row.number]
        arrays = [annotation["keypoint"], annotation.get("keypoint_score")]
        kind = _kind_of(annotation, row, options["channels"])
        return sum(array.nbytes for array in arrays if array is not None), {
            "kind": tuple(kind), "picture": annotation.get("img_shape") is not None
        }  # fmt: skip

    samples, problems = samples_of(table, options["val"], facts)
    return Discovery(samples, [*table.problems, *problems])


def describe(samples: Sequence[Sample], options: Mapping[str, Any]) -> Description:
    """Say what these annotations are, and which columns a release of them has."""
    layer = layer_of("pyskl", (Kind(*sample.info["kind"]) for sample in samples), options)
    picture = any(sample.info["picture"] for sample in samples)
    return Description(
        name=release_name([sample.path for sample in samples], "pyskl"),
        title="Annotations of PYSKL",
        license="other: that of the data set that the annotations were made of",
        source=f"annotations of PYSKL or mmaction2, joints taken as {layer.skeleton}",
        citation="that of the data set; Duan et al., PYSKL: Towards Good Practices for Skeleton "
        "Action Recognition, ACM MM 2022",
        layers=(layer,),
        columns=(*(("width", "height") if picture else ()), "label", "splits", "source"),
        own_columns=SPLITS_COLUMN,
        options=options,
    )


def read(raw: Location, sample: Sample, description: Description) -> tuple[Clip, Sequence[Problem]]:
    """Read one annotation.

    Parameters
    ----------
    raw : Location
        The folder, or the one file.
    sample : Sample
        One of those that `discover` found there.
    description : Description
        Of the annotations.

    Returns
    -------
    clip : Clip
        Numbers as in the file, a track for each M.
    problems : sequence of Problem
        Further annotations of that name, and warnings of `array_poses.build_clip`.

    Raises
    ------
    InputError
        If arrays, ``total_frames`` and the other annotations disagree.
    """
    channels = description.options["channels"]

    def fetch(row: Row) -> np.ndarray:
        return _poses(load(raw, row.path).annotations[row.number], row)

    poses, row, problems = read_rows(_find(raw, channels), sample, fetch)
    annotation = load(raw, row.path).annotations[row.number]
    kind = _kind_of(annotation, row, channels)

    def warn(reason: str) -> None:
        problems.append(Problem(sample.path, "read", reason, row.position, "warning"))

    info: dict[str, Any] = columns_of(sample)
    if (shape := annotation.get("img_shape")) is not None:
        size = _picture_size(shape)
        if size is None:
            warn(f"img_shape is no height and width: found {short(shape)}")
        else:
            info["height"], info["width"] = size
            original = annotation.get("original_shape")
            if original is not None and _picture_size(original) != size:
                warn(f"original_shape {short(original)} is not img_shape {short(shape)}, whose "
                     "pixels the coordinates are")  # fmt: skip
    clip, more = build_clip(sample, description, poses, kind, info, row.position)
    return clip, problems + more


@cache
def load(raw: Location, path: str) -> Annotations:
    """Read a pickle of annotations; once a process.

    Parameters
    ----------
    raw : Location
        The raw folder, or the file.
    path : str
        The file.

    Raises
    ------
    InputError
        If it is no pickle of data, or not one of annotations.
    """
    from posedata.unpickle import load_pickle

    value = load_pickle(found_file(raw, path).read_bytes(LARGEST_FILE), path)
    named: Any = {}
    if isinstance(value, dict):
        named, value = value.get("split", {}), value.get("annotations")
    if not isinstance(value, list | tuple) or not isinstance(named, dict):
        raise InputError("not a file of annotations", path=path, expected="a dict of 'split' and "
                         "'annotations', or a list of annotations")  # fmt: skip
    splits: dict[str, Sequence[str]] = {}
    for name, members in named.items():
        members = members.tolist() if isinstance(members, np.ndarray) else members
        if not is_text(name) or not isinstance(members, list | tuple | set | frozenset):
            raise InputError("not a list of names", path=path, position=f"split {short(name)}",
                             found=short(members))  # fmt: skip
        splits[str(name)] = [str(member) for member in members if isinstance(member, str)]
    return Annotations(splits, value)


@lru_cache(maxsize=1)
def _find(raw: Location, channels: str) -> RowTable:
    """Find all annotations that have poses, by name; once a process."""
    found, problems = find_files(raw, ".pkl")
    rows: list[tuple[Any, Row]] = []
    for path, _ in found:
        try:
            content = load(raw, path)
        except InputError as error:
            problems.append(Problem(path, "discover", error.reason, error.position or ""))
            continue
        of_file = list(_rows_of(path, content, channels, problems))
        rows += of_file
        problems += _absent(path, content)
        problems += _left_out(path, [content.annotations[row.number] for _, row in of_file])
    return collect(rows, problems)


def _rows_of(
    path: str, content: Annotations, channels: str, problems: list[Problem]
) -> Iterator[tuple[Any, Row]]:
    """Name, label and splits of each annotation that has poses."""
    members: dict[str, list[tuple[str, str]]] = {}
    for split, names in content.splits.items():
        for name in names:
            members.setdefault(name, []).append(parse_split(split) or (split, "all"))
    of_file = () if content.splits else _split_of(path)
    for index, annotation in enumerate(content.annotations):
        row = Row(path, "annotations", index, None)

        def warn(reason: str, severity: str, row: Row = row) -> None:
            problems.append(Problem(path, "discover", reason, row.position, severity))

        try:
            _kind_of(annotation, row, channels)
        except InputError as error:
            warn(error.reason, "reject")
            continue
        name = annotation.get("frame_dir", annotation.get("filename"))
        label = whole_label(annotation.get("label"))
        if label is None:
            warn(f"no label: found {short(annotation.get('label'))}", "warning")
        splits = tuple(dict.fromkeys(members.get(name, ()))) if isinstance(name, str) else ()
        yield name, row._replace(label=label, splits=splits or of_file)


def _absent(path: str, content: Annotations) -> Iterator[Problem]:
    """Report names in a split that no annotation has."""
    names = {
        name
        for annotation in content.annotations
        if isinstance(annotation, dict)
        and isinstance(name := annotation.get("frame_dir", annotation.get("filename")), str)
    }
    for split, members in content.splits.items():
        if absent := sorted(set(members) - names):
            yield Problem(
                path, "discover", f"no annotation of {len(absent)} of the {len(members)} names in "
                f"this split, the first is {short(absent[0])}", f"split {short(split)}", "warning",
            )  # fmt: skip


def _left_out(path: str, annotations: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Report fields that a clip has no place for."""
    counts: Counter[str] = Counter()
    for annotation in annotations:
        counts.update(short(field) for field in annotation.keys() - _TAKEN)
    if counts:
        shown = ", ".join(f"{field} (in {number})" for field, number in counts.most_common(_SHOWN))
        more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
        yield Problem(path, "discover", f"fields that are left out: {shown}{more}",
                      severity="warning")  # fmt: skip


def _kind_of(annotation: Any, row: Row, channels: str) -> Kind:
    """Tell what an annotation holds, from the shapes of its arrays.

    Raises
    ------
    InputError
        If it has no poses.
    """
    place = {"path": row.path, "position": row.position}
    if not isinstance(annotation, dict):
        raise InputError("not an annotation", found=type(annotation).__name__, expected="a dict",
                         **place)  # fmt: skip
    keypoint, scores = annotation.get("keypoint"), annotation.get("keypoint_score")
    if keypoint is None and "frame_inds" in annotation:
        raise InputError(
            "an entry of the index of Kinetics-400, without poses", **place,
            remedy="They are in PYSKL's kpfiles, pickles apart from this one, which posedata does "
            "not read: put each entry's keypoint into it, shape (M, T, V, 2), with "
            "keypoint_score",
        )  # fmt: skip
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 4 or 0 in keypoint.shape[2:]:
        raise InputError("no poses: bad keypoint", found=short(keypoint),
                         expected="an array of shape (M, T, V, C)", **place)  # fmt: skip
    if scores is not None and not isinstance(scores, np.ndarray):
        raise InputError("bad keypoint_score", found=short(scores),
                         expected="an array of shape (M, T, V)", **place)  # fmt: skip
    num_joints, num_channels = keypoint.shape[2:]
    if scores is not None:
        if num_channels != 2:
            raise InputError("keypoint_score beside coordinates that are not 2D",
                             found=f"{num_channels} channels", expected=2, **place)  # fmt: skip
        return Kind(num_joints, "xys")
    if num_channels == 3 and channels == "auto":  # by the format's own description
        if row.number < _LOOKED_AT and look_like_scores(keypoint):
            raise InputError(
                "the three channels of keypoint look like x, y and score", **place,
                remedy="Give --channels xys, or --channels xyz if they are not.",
            )  # fmt: skip
        return Kind(num_joints, "xyz")
    try:
        return kind_of(num_joints, num_channels, channels, row.path)
    except InputError as error:
        error.position = row.position
        raise


def _poses(annotation: Mapping[str, Any], row: Row) -> np.ndarray:
    """Give the arrays of an annotation as one of shape (M, T, V, C)."""
    place = {"path": row.path, "position": row.position}
    keypoint, scores = annotation["keypoint"], annotation.get("keypoint_score")
    frames = annotation.get("total_frames", keypoint.shape[1])
    if whole_label(frames) != keypoint.shape[1]:
        raise InputError("keypoint has another number of frames than total_frames",
                         found=keypoint.shape[1], expected=short(frames), **place)  # fmt: skip
    if keypoint.dtype.kind not in "fiu" or (scores is not None and scores.dtype.kind not in "fiu"):
        raise InputError("no array of numbers", found=short(keypoint), **place)
    if scores is None:
        return keypoint
    if scores.shape != keypoint.shape[:3]:
        raise InputError("keypoint_score has another shape than keypoint", found=scores.shape,
                         expected=keypoint.shape[:3], **place)  # fmt: skip
    return np.concatenate([keypoint, scores[..., None]], axis=-1)


def _split_of(path: str) -> tuple[tuple[str, str], ...]:
    """Tell protocol and split of a list of annotations by its name: ``ntu60_xsub_train.pkl``."""
    parsed = parse_split(PurePosixPath(path).stem)
    if parsed is None:
        return ()
    protocol = parsed[0].rpartition("_")[2]
    return ((protocol if _PROTOCOL_AT_END.fullmatch(protocol) else "", parsed[1]),)


def _picture_size(shape: Any) -> tuple[int, int] | None:
    shape = shape.tolist() if isinstance(shape, np.ndarray) else shape
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        return None
    height, width = (whole_label(size) for size in shape)
    if height is None or width is None or not (0 < height < 1 << 31 and 0 < width < 1 << 31):
        return None
    return height, width


CONVERTER = Converter(
    name="pyskl",
    discover=discover,
    describe=describe,
    read=read,
    splits=splits,
    survey=survey,
    options=(SKELETON, CHANNELS, VAL),
)
