"""Whatever is wrong with a release, validate says it, and of the right file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posedata import plan as planning
from posedata.convert import convert, plan_conversion
from posedata.manifest import FILE_NAME
from posedata.release import open_release
from posedata.release_writer import write_part
from posedata.synthetic import make_ntu
from posedata.validate import validate

NUM_CLIPS, SHARD_CLIPS = 6, 3
PART, LAST_PART = "data/kinect/part-00000.parquet", "data/kinect/part-00001.parquet"


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> Path:
    """A release of two parts whose layer has scores and boxes too, which Kinect does not give."""
    folder = tmp_path_factory.mktemp("valid")
    make_ntu(folder / "raw", NUM_CLIPS, num_frames=12, quirks=["three_bodies", "nan_joint"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "SHARD_CLIPS", SHARD_CLIPS)
        convert(
            plan_conversion("ntu", folder / "raw", all_fields=True),
            folder / "release",
            num_workers=1,
        )
    release = open_release(folder / "release")
    manifest = json.loads((folder / "release" / FILE_NAME).read_bytes())
    manifest["layers"]["kinect"]["columns"] += ["scores", "boxes"]
    table = replace(release.table(), columns=tuple(manifest["layers"]["kinect"]["columns"]))
    clips = release.iter_clips()
    parts = {}
    for name in release.part_names("kinect"):
        scored = [
            replace(
                clip,
                scores=np.where(clip.visibility > 0, np.float32(0.5), np.float32(0)),
                boxes=np.zeros((len(clip.frames), 4), np.float32),
            )
            for clip in islice(clips, SHARD_CLIPS)
        ]
        parts[name] = write_part(release.place / name, table, scored)
    manifest["files"] |= parts
    (folder / "release" / FILE_NAME).write_text(json.dumps(manifest))
    return folder / "release"


@pytest.fixture
def release(valid, tmp_path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(valid, tmp_path / "release"))


def findings(place, **options) -> list[tuple[str, str]]:
    return [(f.file, f.reason) for f in validate(open_release(place), **options)]


def test_nothing_is_found_in_a_valid_release(valid):
    assert findings(valid) == findings(valid, quick=True) == []
    clips = list(open_release(valid).iter_clips())
    assert len(clips) == NUM_CLIPS
    assert any(np.isnan(clip.keypoints_3d).any() for clip in clips)


def test_a_release_at_a_url(valid):
    file_system = fsspec.filesystem("memory")
    file_system.put(f"{valid}/", "/test_validate/release/", recursive=True)
    try:
        assert findings("memory://test_validate/release") == []
        file_system.pipe_file("/test_validate/release/data/kinect/x.parquet", b"")
        assert findings("memory://test_validate/release") == [
            ("data/kinect/x.parquet", "not in posedata.json")
        ]
    finally:
        file_system.rm("/test_validate", recursive=True)


# Files: what the manifest says of them

ALL_FILES = ["clips.parquet", "splits.parquet", "rejects.parquet", PART, LAST_PART]


@pytest.mark.parametrize("name", ALL_FILES)
def test_missing_file(release, name):
    (release / name).unlink()
    assert findings(release) == [(name, "a file of the release is missing")]


@pytest.mark.parametrize("name", ALL_FILES)
def test_truncated_file(release, name):
    size = (release / name).stat().st_size
    with (release / name).open("r+b") as file:
        file.truncate(size - 1)
    assert findings(release) == [(name, f"found {size - 1} bytes, expected {size}")]


@pytest.mark.parametrize("name", ALL_FILES)
def test_flipped_bit(release, name):
    content = bytearray((release / name).read_bytes())
    content[len(content) // 2] ^= 1
    (release / name).write_bytes(content)
    assert findings(release) == [(name, "its sha256 is not the manifest's")]


def test_quick_does_not_compute_sums_but_reads(release):
    content = bytearray((release / PART).read_bytes())
    content[4:5000] = bytes(4996)
    (release / PART).write_bytes(content)
    ((name, reason),) = findings(release, quick=True)
    assert name == PART
    assert reason.startswith("the file cannot be read: found ")


def test_a_file_that_is_no_parquet(release):
    (release / PART).write_bytes(b"PAR1 not really")
    record(release, PART)
    ((name, reason),) = findings(release)
    assert name == PART
    assert reason.startswith("the file cannot be read: found ")
    assert "Copy the release again" not in reason


def test_files_that_the_manifest_does_not_list(release):
    for name in ("extra.parquet", "data/kinect/part-00009.parquet", "data/ssta/part.parquet"):
        (release / name).parent.mkdir(exist_ok=True)
        shutil.copy(release / PART, release / name)
    assert findings(release) == [
        (name, "not in posedata.json")
        for name in ("data/kinect/part-00009.parquet", "data/ssta/part.parquet", "extra.parquet")
    ]


def test_a_table_that_the_manifest_does_not_list(release):
    with manifest_of(release) as manifest:
        del manifest["files"]["splits.parquet"]
    assert findings(release) == [
        ("splits.parquet", "not in posedata.json"),
        ("splits.parquet", "missing from posedata.json"),
    ]


def test_missing_card(release):
    (release / "README.md").unlink()
    assert findings(release) == [("README.md", "the file is missing")]


def test_every_damaged_file_is_told(release):
    for name in ALL_FILES:
        (release / name).unlink()
    assert {name for name, _ in findings(release)} == set(ALL_FILES)


# Content: files that are as the manifest lists them, and wrong


@contextlib.contextmanager
def manifest_of(release: Path) -> Iterator[dict]:
    """The manifest of a release, to be changed in a with block."""
    manifest = json.loads((release / FILE_NAME).read_bytes())
    yield manifest
    (release / FILE_NAME).write_text(json.dumps(manifest))


def record(release: Path, name: str, **entry: object) -> None:
    """Let the manifest list a file as it is now."""
    content = (release / name).read_bytes()
    with manifest_of(release) as manifest:
        manifest["files"][name] |= {
            "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **entry,
        }  # fmt: skip


def rewrite(release: Path, name: str, change: Callable[[list[dict]], object]) -> None:
    """Change the rows of a file, in place, and let the manifest list the result."""
    table = pq.read_table(release / name)
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(changed, release / name, row_group_size=2)
    entry = {"rows": len(rows)}
    if name.startswith("data/"):
        entry["poses"] = sum(len(row["frames"] or ()) for row in rows)
    record(release, name, **entry)


def test_rewriting_alone_is_no_damage(release):
    for name in ALL_FILES:
        rewrite(release, name, lambda rows: None)
    assert findings(release) == []


def test_duplicate_clip(release):
    def repeat(rows):
        rows.append(rows[0])

    rewrite(release, "clips.parquet", repeat)
    assert findings(release) == [
        ("clips.parquet", "a clip_id is there twice"),
        ("clips.parquet", f"found {NUM_CLIPS + 1} clips, expected {NUM_CLIPS}"),
    ]


def test_duplicate_clip_in_a_part(release):
    rewrite(release, PART, lambda rows: rows.append(rows[-1]))
    assert findings(release) == [(PART, "clips are not sorted by clip_id, or one is there twice")]


def test_duplicate_clip_over_parts(release):
    first = pq.read_table(release / PART).to_pylist()
    rewrite(release, LAST_PART, lambda rows: rows.insert(0, first[-1]))
    with manifest_of(release) as manifest:
        manifest["files"][LAST_PART]["clip_ids"][0] = first[-1]["clip_id"]
    assert findings(release) == [("data/kinect", "clips are not sorted by clip_id over its files")]


def test_unsorted_clips(release):
    rewrite(release, PART, list.reverse)
    assert findings(release) == [(PART, "clips are not sorted by clip_id, or one is there twice")]


def test_clip_that_clips_parquet_lacks(release):
    removed = []

    def keep_splits_of_others(rows):
        rows[:] = [row for row in rows if row["clip_id"] not in removed]

    rewrite(release, "clips.parquet", lambda rows: removed.append(rows.pop(0)["clip_id"]))
    rewrite(release, "splits.parquet", keep_splits_of_others)
    with manifest_of(release) as manifest:
        manifest["counts"]["clips"] -= 1
    assert findings(release) == [(PART, f"row group 0: clip {removed[0]} is not in clips.parquet")]


def test_clip_columns_that_differ(release):
    rewrite(release, PART, lambda rows: rows[2].update(camera=99))
    assert findings(release) == [(PART, "row group 1: camera is not that of clips.parquet")]


def test_split_of_an_unknown_clip(release):
    row = {"protocol": "xsub", "split": "train", "clip_id": "S999"}
    rewrite(release, "splits.parquet", lambda rows: rows.append(row))
    assert findings(release) == [("splits.parquet", "unknown clip 'S999' (1 in all)")]


def test_clip_in_both_splits(release):
    def put_into_both(rows):
        other = {"train": "test", "test": "train"}[rows[0]["split"]]
        rows.append({**rows[0], "split": other})

    rewrite(release, "splits.parquet", put_into_both)
    ((name, reason),) = findings(release)
    assert name == "splits.parquet"
    assert "is in several splits of x" in reason


@pytest.mark.parametrize("name", ALL_FILES)
def test_number_of_rows(release, name):
    rows = pq.read_metadata(release / name).num_rows
    record(release, name, rows=rows + 1)
    assert findings(release) == [(name, f"found {rows} rows, expected {rows + 1}")]


def test_number_of_poses(release):
    with manifest_of(release) as manifest:
        manifest["files"][PART]["poses"] += 1
        poses = manifest["files"][PART]["poses"]
    assert findings(release) == [(PART, f"found {poses - 1} poses, expected {poses}")]


def test_first_and_last_clip(release):
    record(release, PART, clip_ids=["A", "B"])
    assert findings(release) == [
        (PART, "its first and last clip are not the manifest's ['A', 'B']")
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [("clips.parquet", "num_frames"), ("splits.parquet", "split"), ("rejects.parquet", "reason")],
)
def test_tables_without_a_column(release, name, column):
    table = pq.read_table(release / name)
    pq.write_table(table.drop_columns([column]), release / name)
    record(release, name)
    ((file, reason),) = findings(release)
    assert file == name
    assert reason.startswith(f"lacks the columns {column} (")


@pytest.mark.parametrize("change", ["fewer", "type", "order"])
def test_layer_of_another_schema(release, change):
    table = pq.read_table(release / PART)
    if change == "fewer":
        table = table.drop_columns(["visibility"])
    elif change == "type":
        position = table.schema.get_field_index("label")
        table = table.set_column(position, "label", table["label"].cast(pa.int32()))
    else:
        table = table.select(table.column_names[::-1]).replace_schema_metadata(
            table.schema.metadata
        )
    pq.write_table(table, release / PART)
    record(release, PART)
    assert findings(release) == [(PART, "its columns are not those of the manifest")]


def test_layer_without_hugging_face_features(release):
    table = pq.read_table(release / PART).replace_schema_metadata(None)
    pq.write_table(table, release / PART)
    record(release, PART)
    assert findings(release) == [(PART, "no huggingface schema key")]


# Poses: each breaks the second clip of the first part at pose 3 or its joint 5


def pose_columns(clip):
    return [
        name
        for name, value in clip.items()
        if isinstance(value, list) and name != "person_ids" and "unrounded" not in name
    ]


def swap_poses(clip):
    for name in pose_columns(clip):
        clip[name][3], clip[name][4] = clip[name][4], clip[name][3]


def repeat_pose(clip):
    for name in pose_columns(clip):
        clip[name].insert(3, clip[name][3])


def set_frame(pose, frame):
    def change(clip):
        clip["frames"][pose] = frame

    return change


def set_joint(column, *value):
    """Put a value in place of joint 5, or of its first coordinates."""

    def change(clip):
        if value and isinstance(clip[column][3][5], list):
            clip[column][3][5][: len(value)] = value
        else:
            clip[column][3][5] = value[0]

    return change


def lose_joint(clip, score=0.0, visibility=0):
    clip["keypoints_3d"][3][5] = [math.nan] * 3
    clip["keypoints_2d"][3][5] = [math.nan] * 2
    clip["scores"][3][5] = score
    clip["visibility"][3][5] = visibility


UNSORTED = "poses are not sorted by (person, frame), or one is there twice"
OUTSIDE = "a frame outside the clip, or a negative person"
HALF = "joints in {} that are half missing"
SCORES = "scores outside 0 to 1, or above 0 where missing"
VISIBILITY = "visibility above 2, or above 0 where missing"
COUNT = "{} has another number of poses than frames"
DAMAGE = {
    "swapped poses": (swap_poses, UNSORTED),
    "repeated pose": (repeat_pose, UNSORTED),
    "exceptions without numbers": (
        lambda clip: clip.update(keypoints_3d_unrounded_at=[5]),
        "keypoints_3d_unrounded_at and keypoints_3d_unrounded differ in length",
    ),
    "exceptions beyond the end": (
        lambda clip: clip.update(
            keypoints_3d_unrounded_at=[10**6], keypoints_3d_unrounded=[1.5]
        ),
        "keypoints_3d_unrounded_at is out of order",
    ),
    "exceptions out of order": (
        lambda clip: clip.update(
            keypoints_3d_unrounded_at=[7, 7], keypoints_3d_unrounded=[1.5, 2.5]
        ),
        "keypoints_3d_unrounded_at is out of order",
    ),
    "frame after the last": (
        lambda clip: clip.update(frames=[*clip["frames"][:-1], 12]),
        OUTSIDE,
    ),
    "negative frame": (set_frame(0, -1), OUTSIDE),
    "negative person": (
        lambda clip: clip.update(persons=[-1, *clip["persons"][1:]]),
        OUTSIDE,
    ),
    "person without id": (
        lambda clip: clip.update(persons=[*clip["persons"][:-1], 7]),
        "a person without an entry in person_ids",
    ),
    "half a joint": (set_joint("keypoints_3d", math.nan), HALF.format("keypoints_3d")),
    "half a pixel": (set_joint("keypoints_2d", math.nan), HALF.format("keypoints_2d")),
    "infinite joint": (set_joint("keypoints_3d", math.inf), "infinite values in keypoints_3d"),
    "infinite pixel": (set_joint("keypoints_2d", -math.inf), "infinite values in keypoints_2d"),
    "infinite extra": (set_joint("orientations", math.inf), "infinite values in orientations"),
    "infinite box": (
        lambda clip: clip["boxes"].__setitem__(3, [0, 0, math.inf, 0]), "infinite values in boxes",
    ),
    "score above 1": (set_joint("scores", 1.5), SCORES),
    "negative score": (set_joint("scores", -0.1), SCORES),
    "score NaN": (set_joint("scores", math.nan), SCORES),
    "score of a missing joint": (
        lambda clip: lose_joint(clip, score=0.5), SCORES,
    ),
    "visibility of a missing joint": (
        lambda clip: lose_joint(clip, visibility=1), VISIBILITY,
    ),
    "visibility 3": (set_joint("visibility", 3), VISIBILITY),
    "one score too few": (
        lambda clip: clip["scores"].pop(), COUNT.format("scores"),
    ),
    "one person too many": (
        lambda clip: clip["persons"].append(9), COUNT.format("persons"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_poses(release, damage):
    change, expected = DAMAGE[damage]
    rewrite(release, PART, lambda rows: change(rows[1]))
    clip_id = pq.read_table(release / PART)["clip_id"][1].as_py()
    ((name, reason),) = findings(release)
    assert name == PART
    # the number of poses is of the row group
    assert reason in (f"row group 0: {clip_id}: {expected}", f"row group 0: {expected}")
    assert clip_id in reason or "another number" in expected or "differ in length" in expected


def test_a_missing_joint_is_no_damage(release):
    rewrite(release, PART, lambda rows: lose_joint(rows[1]))
    assert findings(release) == []


@pytest.mark.parametrize(
    "column", ["clip_id", "num_frames", "frames", "keypoints_3d", "person_ids"]
)
def test_nulls(release, column):
    rewrite(release, PART, lambda rows: rows[1].update({column: None}))
    assert findings(release) == [(PART, f"row group 0: nulls in {column}")]


def test_nulls_within_poses(release):
    rewrite(release, PART, lambda rows: rows[1]["keypoints_3d"].__setitem__(3, None))
    ((name, reason),) = findings(release)
    assert (name, reason[:27]) == (PART, "a pose column has nulls: ex")
