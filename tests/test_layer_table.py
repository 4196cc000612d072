"""Clips to Arrow, to a Parquet file, and back: nothing changes, and the file is as it should be."""

from __future__ import annotations

import re
from dataclasses import replace

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata import release_writer
from posedata.clip import Clip
from posedata.errors import ReleaseError, UsageError
from posedata.layer_table import LayerTable, flat_values
from posedata.release_writer import write_part
from posedata.skeleton import load_skeleton
from posedata.storage import locate

# name -> shape of a pose ("V" for the joints) and type
STANDARD = {
    "keypoints_2d": (["V", 2], "float32"),
    "keypoints_3d": (["V", 3], "float32"),
    "scores": (["V"], "float32"),
    "visibility": (["V"], "uint8"),
    "boxes": ([4], "float32"),
}
EXTRA = {
    "heat": ([], "float64"),
    "rotations": (["V", 3, 3], "float32"),
    "hand_state": ([], "int32"),
    "far": ([2], "int64"),
    "flags": (["V"], "bool"),
}
OWN_COLUMNS = {
    name: {"type": kind, "per": "pose", "shape": shape, "about": "made up"}
    for name, (shape, kind) in EXTRA.items()
}
INFO = {
    "width": st.integers(0, 2**31 - 1),
    "fps": st.floats(0, 1000, width=32),
    "label": st.integers(0, 2**40),
    "label_name": st.text(),
    "mirrored": st.booleans(),
}


def layer_table(skeleton: str, columns) -> LayerTable:
    own = {name: OWN_COLUMNS[name] for name in columns if name in OWN_COLUMNS}
    return LayerTable("made_up", load_skeleton(skeleton), tuple(columns), own_columns=own)


def any_bits(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Any values of a type: of floats also infinities, -0 and NaN of every kind."""
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    dtype = np.dtype(kind)
    count = int(np.prod(shape))
    values = np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).reshape(shape).copy()
    if dtype.kind == "f" and count:
        values[rng.random(shape) < 0.3] = np.nan
        values[rng.random(shape) < 0.1] = -0.0
    return values


def make_clip(table: LayerTable, clip_id: str, places, seed: int, **info) -> Clip:
    """A clip with a pose at each (person, frame)."""
    rng = np.random.default_rng(seed)
    persons, frames = np.array(sorted(places), np.int32).reshape(-1, 2).T
    num_persons = int(persons.max()) + 1 if len(persons) else 0
    types = {name: kind for name, (_, kind) in {**STANDARD, **EXTRA}.items()}
    arrays = {
        name: any_bits(rng, (len(frames), *table.shape(name)), types[name])
        for name in table.columns
        if name in types
    }
    ids = tuple(f"id {number}" for number in range(num_persons))
    return Clip(
        clip_id, table.layer, table.skeleton, np.ascontiguousarray(frames),
        np.ascontiguousarray(persons), **{n: a for n, a in arrays.items() if n in STANDARD},
        person_ids=ids if "person_ids" in table.columns else (),
        extra={n: a for n, a in arrays.items() if n in EXTRA}, info={"num_frames": 30, **info},
    )  # fmt: skip


@st.composite
def tables_and_clips(draw) -> tuple[LayerTable, list[Clip]]:
    names = [*STANDARD, *EXTRA, "person_ids"]
    chosen = draw(st.sets(st.sampled_from(names)))
    skeleton = draw(st.sampled_from(["coco17", "main13", "nturgbd25", "penn13"]))
    table = layer_table(skeleton, sorted({*chosen, *INFO}))
    clips = []
    for number in range(draw(st.integers(0, 4))):
        places = draw(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 29)), max_size=12))
        known = draw(st.sets(st.sampled_from(sorted(INFO))))
        info = {name: draw(INFO[name]) for name in sorted(known)}
        clips.append(make_clip(table, f"clip {number}", places, draw(st.integers(0, 99)), **info))
    return table, clips


def assert_same(clips: list[Clip], expected: list[Clip]) -> None:
    assert len(clips) == len(expected)
    for clip, original in zip(clips, expected, strict=True):
        assert clip.equals(original)
        assert all(clip.arrays[n].tobytes() == a.tobytes() for n, a in original.arrays.items())


@settings(max_examples=100, deadline=None)
@given(tables_and_clips())
def test_clips_come_back_from_arrow(made):
    table, clips = made
    batch = table.to_arrow(clips)
    batch.validate(full=True)
    assert batch.schema.equals(table.schema, check_metadata=True)
    assert_same(list(table.to_clips(batch)), clips)
    # a slice does not begin where its memory begins; a table may have several chunks
    assert_same(list(table.to_clips(batch.slice(1))), clips[1:])
    assert_same(list(table.to_clips(pa.Table.from_batches([batch, batch]))), clips * 2)


@settings(max_examples=40, deadline=None)
@given(tables_and_clips())
def test_clips_come_back_from_a_file(made):
    table, clips = made
    place = locate("memory://test_layer_table/part.parquet")
    entry = write_part(place, table, clips)
    with place.open() as file:
        read = pq.read_table(file)
    fsspec.filesystem("memory").rm("/test_layer_table", recursive=True)
    assert read.schema.equals(table.schema, check_metadata=True)
    assert_same(list(table.to_clips(read)), clips)
    assert (entry["rows"], entry["poses"]) == (len(clips), sum(len(c.frames) for c in clips))
    for name in table.columns:
        if name in {**STANDARD, **EXTRA}:
            values = flat_values(read[name], table.shape(name))
            expected = [clip.arrays[name] for clip in clips if len(clip.frames)]
            assert values.tobytes() == b"".join(array.tobytes() for array in expected)


@pytest.mark.parametrize("skeleton", ["coco17", "nturgbd25"])
def test_types_are_those_of_the_format(skeleton):
    table = layer_table(skeleton, [*STANDARD, "person_ids", "label", "rotations"])
    joints = table.skeleton.num_joints
    types = {field.name: field.type for field in table.schema}

    def poses(kind, *sizes):
        for size in reversed(sizes):
            kind = pa.list_(kind, size)
        return pa.list_(kind)

    assert list(types) == [
        "clip_id", "num_frames", "label", "person_ids", "frames", "persons", "keypoints_3d",
        "keypoints_2d", "scores", "visibility", "boxes", "rotations",
    ]  # fmt: skip
    assert types["keypoints_2d"] == poses(pa.float32(), joints, 2)
    assert types["keypoints_3d"] == poses(pa.float32(), joints, 3)
    assert types["rotations"] == poses(pa.float32(), joints, 3, 3)
    assert types["scores"] == poses(pa.float32(), joints)
    assert types["visibility"] == poses(pa.uint8(), joints)
    assert types["boxes"] == poses(pa.float32(), 4)
    assert types["frames"] == types["persons"] == pa.list_(pa.int32())
    assert types["person_ids"] == pa.list_(pa.string())
    assert types["label"] == pa.int64()


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """A file of 120 clips with 100 poses of 25 joints each: 7 kB a pose."""
    table = layer_table("nturgbd25", [*STANDARD, "rotations", "person_ids", "label"])
    places = [(person, frame) for person in range(4) for frame in range(25)]
    clips = [make_clip(table, f"clip {n:03}", places, n, label=n // 2) for n in range(120)]
    place = tmp_path_factory.mktemp("part") / "part.parquet"
    entry = write_part(locate(place), table, iter(clips))
    assert entry["bytes"] == place.stat().st_size
    assert entry["clip_ids"] == ["clip 000", "clip 119"]
    return place, table


def test_row_groups_take_4_to_8_megabytes_in_memory(part):
    file = pq.ParquetFile(part[0])
    sizes = [file.read_row_group(group).nbytes for group in range(file.num_row_groups)]
    assert len(sizes) >= 3
    assert all(4 << 20 <= size <= 8 << 20 for size in sizes[:-1]), sizes
    assert sizes[-1] <= 8 << 20


def test_large_clips_make_row_groups_of_8_megabytes_at_most(tmp_path):
    """Two clips of 4.8 MB are two row groups, not one of 9.6 MB."""
    table = layer_table("nturgbd25", ["keypoints_3d"])
    poses = [(person, frame) for person in range(540) for frame in range(30)]
    clips = [make_clip(table, f"clip {number}", poses, number) for number in range(3)]
    write_part(locate(tmp_path / "part.parquet"), table, clips)
    assert pq.read_metadata(tmp_path / "part.parquet").num_row_groups == 3


def test_clips_of_few_poses_are_bounded_by_number(monkeypatch):
    monkeypatch.setattr(release_writer, "_LARGEST_ROW_GROUP", 10)
    table = layer_table("coco17", ["boxes"])
    place = locate("memory://test_layer_table/part.parquet")
    write_part(place, table, (make_clip(table, f"{n:02}", [], n) for n in range(25)))
    with place.open() as file:
        metadata = pq.read_metadata(file)
    place.remove()
    assert [metadata.row_group(group).num_rows for group in range(3)] == [10, 10, 5]


def test_encodings(part):
    group = pq.read_metadata(part[0]).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    chunks = {chunk.path_in_schema.split(".")[0]: chunk for chunk in columns}
    assert {chunk.compression for chunk in chunks.values()} == {"ZSTD"}
    for name in ("keypoints_2d", "keypoints_3d", "scores", "boxes", "rotations"):
        assert "BYTE_STREAM_SPLIT" in chunks[name].encodings, name
    for name in ("frames", "persons"):
        assert "DELTA_BINARY_PACKED" in chunks[name].encodings, name
    for name in ("label", "clip_id"):
        assert chunks[name].statistics.has_min_max, name


def test_statistics_span_each_row_group(part):
    metadata = pq.read_metadata(part[0])
    start = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        end = start + group.num_rows - 1
        assert (group.column(0).statistics.min, group.column(0).statistics.max) == (
            f"clip {start:03}", f"clip {end:03}",
        )  # fmt: skip
        start = end + 1


# What is refused


def test_what_a_table_has_no_column_for_is_not_lost():
    full = layer_table("coco17", [*STANDARD, "heat", "person_ids", "label"])
    clip = make_clip(full, "a", [(0, 0)], 0, label=3)
    for name in ("keypoints_2d", "scores", "boxes", "heat", "person_ids", "label"):
        columns = [column for column in full.columns if column != name]
        with pytest.raises(UsageError, match=f"clip a has what .* no column for: {name}"):
            layer_table("coco17", columns).to_arrow([clip])


def test_a_clip_must_have_the_arrays_of_its_table():
    small = layer_table("coco17", ["keypoints_2d"])
    clip = make_clip(small, "a", [(0, 0)], 0)
    for name in ("scores", "heat"):
        with pytest.raises(UsageError, match=rf"clip a: {name}: found nothing"):
            layer_table("coco17", ["keypoints_2d", name]).to_arrow([clip])


def test_arrays_of_another_shape_or_type_are_refused():
    table = layer_table("coco17", ["keypoints_2d", "far"])
    clip = make_clip(table, "a", [(0, 0), (0, 1)], 0)
    for wrong in (np.zeros((2, 4), np.int64), np.zeros((2, 2), np.float64)):
        changed = replace(clip, extra={"far": wrong})
        found = re.escape(f"{wrong.dtype} {wrong.shape[1:]}")
        with pytest.raises(UsageError, match=f"clip a: far: found {found}"):
            table.to_arrow([changed])


def test_clips_of_another_skeleton_or_layer_are_refused():
    # 34 x 13 numbers would fill 26 poses of 17 joints
    clip = make_clip(layer_table("main13", ["boxes"]), "a", [(0, f) for f in range(17)], 0)
    with pytest.raises(UsageError, match="another layer or skeleton: found made_up main13"):
        layer_table("coco17", ["boxes"]).to_arrow([clip])


def test_nulls_in_poses_are_refused():
    for column in (
        pa.chunked_array([[[1], None]], pa.list_(pa.int32())),
        pa.chunked_array([[[1, None]]], pa.list_(pa.int32())),
    ):
        with pytest.raises(ReleaseError, match="nulls"):
            flat_values(column, ())
    pairs = pa.chunked_array([[[[1.0, 2.0], None]]], pa.list_(pa.list_(pa.float32(), 2)))
    with pytest.raises(ReleaseError, match="nulls"):
        flat_values(pairs, (2,))


def test_flat_values_of_no_rows():
    table = layer_table("coco17", ["keypoints_2d", "visibility"])
    empty = table.schema.empty_table()
    assert flat_values(empty["keypoints_2d"], (17, 2)).shape == (0, 17, 2)
    assert flat_values(empty["visibility"], (17,)).dtype == np.uint8
    assert list(table.to_clips(empty)) == []


def test_several_chunks_are_joined():
    column = pa.chunked_array([[[1, 2]], [[3], []]], pa.list_(pa.int32()))
    assert flat_values(column, ()).tolist() == [1, 2, 3]


def test_own_columns_come_after_those_of_the_format():
    table = layer_table("coco17", ["heat", "boxes"])
    assert table.pose_columns == ["frames", "persons", "boxes", "heat"]
    assert table.clip_columns == ["clip_id", "num_frames"]
