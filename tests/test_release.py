"""A release gives back what was put into it, reads no more than it must, and says what is wrong."""

from __future__ import annotations

import random
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import polars
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile

from posedata import plan as planning
from posedata import release_writer
from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.converter import Problem, load_converter
from posedata.errors import InputError, PosedataError, ReleaseError, UsageError
from posedata.info import info
from posedata.layer_table import LayerTable
from posedata.manifest import FILE_NAME, Manifest
from posedata.plan import Plan
from posedata.release import Release, open_release
from posedata.release_writer import write_part, write_rejects, write_splits, write_table
from posedata.skeleton import load_skeleton
from posedata.storage import locate
from posedata.synthetic import make_ntu, skeleton_sample, write_skeleton
from posedata.synthetic_broken import broken_files
from posedata.validate import validate

NUM_SAMPLES = 39  # every third has a quirk: each of the 13 comes once
SHARD_CLIPS = 13
ROW_GROUP_BYTES = 30_000


@dataclass(frozen=True)
class Made:
    """A release beside what it was made from."""

    plan: Plan
    place: Path

    @cached_property
    def release(self) -> Release:
        return open_release(self.place)

    @cached_property
    def clips(self) -> dict[str, Clip]:
        """What the converter's reader gives, by id."""
        read = load_converter("ntu").read
        clips = (read(self.plan.raw, s, self.plan.description)[0] for s in self.plan.samples)
        return {clip.clip_id: clip for clip in clips}


def small_parts(patch: pytest.MonkeyPatch) -> None:
    """Make several parts of several row groups out of few clips."""
    patch.setattr(planning, "SHARD_CLIPS", SHARD_CLIPS)
    patch.setattr(release_writer, "ROW_GROUP_BYTES", ROW_GROUP_BYTES)


def make(raw: Path, place: Path, **options: bool) -> Made:
    plan = plan_conversion("ntu", raw, **options)
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        convert(plan, place, num_workers=1)
    return Made(plan, place)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    make_ntu(folder, NUM_SAMPLES, num_frames=(12, 20))
    return folder


@pytest.fixture(scope="module")
def made(raw, tmp_path_factory) -> Made:
    return make(raw, tmp_path_factory.mktemp("made") / "release")


@pytest.fixture(scope="module")
def made_with_all_fields(raw, tmp_path_factory) -> Made:
    return make(raw, tmp_path_factory.mktemp("made") / "all fields", all_fields=True)


@pytest.fixture(scope="module")
def made_without_poses(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("empty")
    for number in (1, 2, 3):
        name = f"S001C00{number}P001R001A001"
        write_skeleton(folder / f"{name}.skeleton", skeleton_sample(name, "walk", 12, 0,
                                                                    ["all_empty"]))  # fmt: skip
    return make(folder, folder / "release")


@pytest.fixture(scope="module")
def made_with_rejects(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("rejects")
    make_ntu(folder, 2, num_frames=12)
    broken = next(file for file in broken_files() if file.name == "text instead of a number")
    (folder / "S001C001P001R001A060.skeleton").write_bytes(broken.content)
    return make(folder, folder / "release")


@pytest.fixture
def in_memory(made):
    """The same release at a URL."""
    url = "memory://posedata-tests/release"
    file_system = fsspec.filesystem("memory")
    file_system.put(f"{made.place}/", "/posedata-tests/release/", recursive=True)
    yield open_release(url)
    file_system.rm("/posedata-tests", recursive=True)


def clip_without_poses(clip_id: str, layer: str = "kinect", **info) -> Clip:
    """A clip without poses."""
    nothing = np.empty(0, np.int32)
    return Clip(
        clip_id, layer, load_skeleton("coco17"), frames=nothing, persons=nothing,
        keypoints_2d=np.empty((0, 17, 2), np.float32), info={"num_frames": 9, **info},
    )  # fmt: skip


def write_release(
    place: Path, columns: tuple[str, ...], *layers: list[Clip], own_columns: dict | None = None
) -> Release:
    """Write a release of one part a layer, without a converter."""
    out = locate(place)
    tables = [LayerTable(clips[0].layer, clips[0].skeleton, columns, own_columns=own_columns or {})
              for clips in layers]  # fmt: skip
    rows = [tables[0].to_arrow(layers[0]).select(tables[0].clip_columns)]
    names = [f"data/{table.layer}/part-00000.parquet" for table in tables]
    files = {
        **{n: write_part(out / n, t, c) for n, t, c in zip(names, tables, layers, strict=True)},
        "clips.parquet": write_table(out / "clips.parquet", rows, tables[0].clip_schema),
        "splits.parquet": write_splits(out / "splits.parquet", []),
        "rejects.parquet": write_rejects(out / "rejects.parquet", []),
    }
    entries = {
        table.layer: {"skeleton": table.skeleton.name, "columns": list(table.definitions),
                      "label_names": [], "own_columns": table.own_columns, "made_by": {}}
        for table in tables
    }  # fmt: skip
    counts = {"clips": len(layers[0]), "poses": 0, "rejects": 0, "warnings": 0}
    skeletons = {table.skeleton.name: table.skeleton for table in tables}
    manifest = Manifest("made", "none", "a test", skeletons, entries, files, [], counts)
    (out / "README.md").write_bytes(b"")
    (out / FILE_NAME).write_bytes(manifest.to_json())
    return open_release(place)


def assert_same_bits(clip: Clip, expected: Clip) -> None:
    assert clip.equals(expected), clip.clip_id
    for name, array in expected.arrays.items():  # equal numbers may differ in bits: 0 and -0
        assert clip.arrays[name].tobytes() == array.tobytes(), (clip.clip_id, name)


# What is read back


@pytest.mark.parametrize("which", ["made", "made_with_all_fields"])
def test_clips_read_back_bit_for_bit(which, request):
    made = request.getfixturevalue(which)
    clips = list(made.release.iter_clips())
    assert [clip.clip_id for clip in clips] == sorted(made.clips)
    for clip in clips:
        assert_same_bits(clip, made.clips[clip.clip_id])
        assert_same_bits(made.release.clip(clip.clip_id), clip)


def test_the_generated_data_is_worth_reading_back(made):
    """The tests of this file mean something only if these are there."""
    clips = list(made.clips.values())
    assert any(np.isnan(clip.keypoints_3d).any() for clip in clips)
    assert any(np.isnan(clip.keypoints_2d).any() for clip in clips)
    assert any(len(clip.frames) == 0 for clip in clips)
    assert max(clip.num_persons for clip in clips) == 3
    parts = made.release.part_names("kinect")
    assert len(parts) == 3
    assert all(pq.read_metadata(made.place / part).num_row_groups >= 4 for part in parts)


def test_columns_that_are_not_asked_for_are_none(made):
    for clip in made.release.iter_clips(columns=["keypoints_2d"]):
        whole = made.clips[clip.clip_id]
        only = replace(whole, keypoints_3d=None, visibility=None, person_ids=(), extra={},
                       unrounded={})  # fmt: skip
        assert_same_bits(clip, only)


def test_no_pose_column_but_frames_and_persons(made):
    clip = next(made.release.iter_clips(columns=[]))
    assert clip.arrays == {}
    np.testing.assert_array_equal(clip.frames, made.clips[clip.clip_id].frames)


def test_arrays_are_the_clips_one_after_the_other(made):
    read = made.release.arrays(columns=["keypoints_3d", "visibility", "frames"])
    clips = [made.clips[clip_id] for clip_id in sorted(made.clips)]
    assert read["clip_id"].tolist() == sorted(made.clips)
    assert read["offsets"].dtype == np.int64
    assert read["offsets"].tolist() == np.cumsum([0, *(len(c.frames) for c in clips)]).tolist()
    for name in ("keypoints_3d", "visibility", "frames"):
        expected = np.concatenate([getattr(clip, name) for clip in clips])
        assert read[name].dtype == expected.dtype
        np.testing.assert_array_equal(read[name], expected)


def test_arrays_of_nothing(made):
    read = made.release.arrays(where={"setup": 999})
    assert read["keypoints_3d"].shape == (0, 25, 3)
    assert read["offsets"].tolist() == [0]
    with pytest.raises(UsageError, match="no columns asked for"):
        made.release.arrays(columns=())


def test_read_table_has_the_columns_in_the_order_asked_for(made):
    table = made.release.read_table(columns=["frames", "clip_id"], where={"camera": [1, 2]})
    clips = [made.clips[clip_id] for clip_id in sorted(made.clips)]
    clips = [clip for clip in clips if clip.info["camera"] in (1, 2)]
    assert table.column_names == ["frames", "clip_id"]
    assert table["clip_id"].to_pylist() == [clip.clip_id for clip in clips]
    assert table["frames"].to_pylist() == [clip.frames.tolist() for clip in clips]
    whole = made.release.read_table()
    assert whole.schema.equals(made.release.table().schema, check_metadata=True)
    assert whole.num_rows == NUM_SAMPLES


def test_pandas_frame_has_a_row_for_each_joint(made):
    frame = made.release.to_pandas()
    clips = [made.clips[clip_id] for clip_id in sorted(made.clips)]
    skeleton = load_skeleton("nturgbd25")
    assert list(frame.columns) == [
        "clip_id", "person", "frame", "joint", "keypoints_3d_x", "keypoints_3d_y",
        "keypoints_3d_z", "keypoints_2d_x", "keypoints_2d_y", "visibility",
    ]  # fmt: skip
    assert len(frame) == sum(len(clip.frames) for clip in clips) * 25
    for clip in clips:
        rows = frame[frame["clip_id"] == clip.clip_id]
        expected = clip.keypoints_3d.reshape(-1, 3)
        np.testing.assert_array_equal(rows[[f"keypoints_3d_{c}" for c in "xyz"]], expected)
        np.testing.assert_array_equal(rows["visibility"], clip.visibility.reshape(-1))
        np.testing.assert_array_equal(rows["person"], clip.persons.repeat(25))
        np.testing.assert_array_equal(rows["frame"], clip.frames.repeat(25))
        assert rows["joint"].tolist() == list(skeleton.joints) * len(clip.frames)


def test_pandas_frame_of_chosen_columns_and_clips(made_with_all_fields):
    made = made_with_all_fields
    frame = made.release.to_pandas(columns=["orientations"], where={"camera": 1})
    clips = [clip for clip in made.clips.values() if clip.info["camera"] == 1]
    assert list(frame.columns[4:]) == [f"orientations_{axis}" for axis in "wxyz"]
    assert set(frame["clip_id"]) == {clip.clip_id for clip in clips if len(clip.frames)}
    assert made.release.to_pandas(where={"setup": 999}).empty
    with pytest.raises(UsageError, match="no per-joint column frames"):
        made.release.to_pandas(columns=["frames"])


def test_pandas_frame_numbers_the_components_of_a_matrix(tmp_path):
    own = {"rotations": {"type": "float32", "per": "pose", "shape": ["V", 3, 3], "about": "."}}
    matrices = np.arange(17 * 9, dtype=np.float32).reshape(1, 17, 3, 3)
    clip = replace(
        clip_without_poses("a"), frames=np.array([4], np.int32), persons=np.array([0], np.int32),
        keypoints_2d=np.zeros((1, 17, 2), np.float32), extra={"rotations": matrices},
    )  # fmt: skip
    release = write_release(
        tmp_path / "release", ("keypoints_2d", "rotations"), [clip], own_columns=own
    )
    frame = release.to_pandas(columns=["rotations"])
    assert list(frame.columns[4:]) == [f"rotations_{component}" for component in range(9)]
    np.testing.assert_array_equal(frame.iloc[:, 4:], matrices.reshape(17, 9))


def test_without_pandas_one_line_says_what_to_install(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as caught:
        made.release.to_pandas()
    assert str(caught.value) == (
        "pandas is not installed. Install it: pip install 'posedata[pandas]'"
    )


def test_dense_arrays_from_a_release(made):
    clip = next(clip for clip in made.release.iter_clips() if clip.num_persons == 3)
    dense = clip.dense("keypoints_3d")
    assert dense.shape == (3, clip.num_frames, 25, 3)
    present = np.zeros(dense.shape[:2], bool)
    for person, frame, pose in zip(clip.persons, clip.frames, clip.keypoints_3d, strict=True):
        np.testing.assert_array_equal(dense[person, frame], pose)
        present[person, frame] = True
    assert np.isnan(dense[~present]).all()


def test_small_tables(made):
    release, clips = made.release, made.clips
    table = release.clips()
    assert table["clip_id"].to_pylist() == sorted(clips)
    assert [{n: v for n, v in row.items() if n != "clip_id"} for row in table.to_pylist()] == [
        clips[clip_id].info for clip_id in sorted(clips)
    ]
    assert release.clips({"camera": 2})["clip_id"].to_pylist() == [
        clip_id for clip_id in sorted(clips) if "C002" in clip_id
    ]
    assert release.clips({}).num_rows == NUM_SAMPLES
    assert release.rejects().num_rows == 0


def test_split_gives_the_ids_of_one_side(made):
    # cameras 2 and 3 are the official training side of cross-view
    good = [clip_id for clip_id in sorted(made.clips) if not made.clips[clip_id].info["known_bad"]]
    assert len(good) < NUM_SAMPLES
    train, test = made.release.split("xview", "train"), made.release.split("xview", "test")
    assert train == [clip_id for clip_id in good if "C001" not in clip_id]
    assert test == [clip_id for clip_id in good if "C001" in clip_id]
    assert set(made.release.splits()["protocol"].to_pylist()) == {"xsub", "xview"}
    with pytest.raises(UsageError, match=r"found xview val, expected .*xsub test, xsub train"):
        made.release.split("xview", "val")


def test_rejects_say_where_and_why(made_with_rejects):
    (row,) = made_with_rejects.release.rejects().to_pylist()
    assert (row["source"], row["stage"], row["severity"]) == (
        "S001C001P001R001A060.skeleton", "read", "reject",
    )  # fmt: skip
    assert re.fullmatch(r"line \d+", row["position"])
    assert "S001C001P001R001A060" not in made_with_rejects.release.clips()["clip_id"].to_pylist()


def test_clips_without_any_pose_are_there(made_without_poses):
    release = made_without_poses.release
    clips = list(release.iter_clips())
    assert [clip.clip_id for clip in clips] == sorted(made_without_poses.clips)
    for clip in clips:
        assert_same_bits(clip, made_without_poses.clips[clip.clip_id])
        assert (len(clip.frames), clip.num_frames, clip.num_persons) == (0, 12, 0)
        assert clip.dense().shape == (0, 12, 25, 3)
    assert release.arrays()["keypoints_3d"].shape == (0, 25, 3)
    assert release.arrays()["offsets"].tolist() == [0, 0, 0, 0]
    assert release.to_pandas().empty
    assert release.clip("S001C002P001R001A001").num_frames == 12
    assert list(validate(release)) == []


def test_what_is_not_known_of_a_clip_is_null_and_can_be_asked_for(tmp_path):
    columns = ("label", "fps", "keypoints_2d")
    clips = [
        clip_without_poses("a", label=0, fps=29.5),
        clip_without_poses("b"),
        clip_without_poses("c", label=2),
    ]
    release = write_release(tmp_path / "release", columns, clips)
    assert [clip.info for clip in release.iter_clips()] == [clip.info for clip in clips]

    def found(**where):
        ids = [clip.clip_id for clip in release.iter_clips(where=where)]
        assert release.clips(where)["clip_id"].to_pylist() == ids
        return ids

    assert found(label=None) == ["b"]
    assert found(label=[None, 2]) == ["b", "c"]
    assert found(fps=29.5) == ["a"]
    assert found(label=[]) == []


def test_a_decimal_number_finds_its_float32(tmp_path):
    """29.97 has another value in float32 than in Python."""
    clips = [clip_without_poses("a", fps=29.97), clip_without_poses("b", fps=30)]
    release = write_release(tmp_path / "release", ("fps", "keypoints_2d"), clips)
    assert [clip.clip_id for clip in release.iter_clips(where={"fps": 29.97})] == ["a"]


def test_one_of_several_layers_must_be_named(tmp_path):
    layers = (
        [clip_without_poses("a", "kinect")],
        [clip_without_poses("a", "mediapipe"), clip_without_poses("b", "mediapipe")],
    )
    release = write_release(tmp_path / "release", ("keypoints_2d",), *layers)
    assert release.layers == ["kinect", "mediapipe"]
    assert [clip.clip_id for clip in release.iter_clips("mediapipe")] == ["a", "b"]
    assert release.clip("b", "mediapipe").layer == "mediapipe"
    with pytest.raises(UsageError, match=r"which layer.*kinect, mediapipe"):
        release.skeleton()
    with pytest.raises(UsageError, match=r"no layer 'ssta'.*kinect, mediapipe"):
        release.skeleton("ssta")


def test_skeleton_and_class_names(made):
    assert made.release.skeleton() == load_skeleton("nturgbd25")
    assert made.release.label_names()[42] == "falling"
    assert info(made.place)["layers"]["kinect"]["clips"] == NUM_SAMPLES


# How much is read


@pytest.fixture
def reads(monkeypatch) -> list[tuple[str, int, int]]:
    """Every read from the memory file system: path, first byte, byte after the last."""
    log = []

    def read(file, size=-1):
        start = file.tell()
        content = BytesIO.read(file, size)
        log.append((file.path, start, start + len(content)))
        return content

    monkeypatch.setattr(MemoryFile, "read", read)
    return log


def row_groups(release: Release, reads) -> dict[str, set[int]]:
    """Which row groups of each file have been read from; a footer read ends at the file's end."""
    groups: dict[str, set[int]] = {}
    for path, start, end in list(reads):
        size = release.place.fs.size(path)
        if not path.endswith(".parquet") or end == size:
            continue
        metadata = pq.read_metadata(BytesIO(release.place.fs.cat_file(path)))
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [group.column(column) for column in range(group.num_columns)]
            first = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
            if start < first + sum(c.total_compressed_size for c in chunks) and end > first:
                groups.setdefault(path, set()).add(number)
    return groups


def count(groups: dict[str, set[int]]) -> int:
    return sum(len(numbers) for numbers in groups.values())


def all_row_groups(made: Made) -> int:
    parts = made.release.part_names("kinect")
    return sum(pq.read_metadata(made.place / part).num_row_groups for part in parts)


def test_one_clip_costs_a_footer_and_a_row_group(made, in_memory, reads):
    for clip_id in sorted(made.clips):
        reads.clear()
        assert_same_bits(in_memory.clip(clip_id), made.clips[clip_id])
        assert len({path for path, _, _ in reads}) == 1
        assert count(row_groups(in_memory, reads)) == 1


def test_an_unknown_clip_costs_no_row_group(in_memory, reads):
    for clip_id in ("", "S001C001P001R001A001x", "T", "\U0010ffff"):
        with pytest.raises(UsageError, match=re.escape(f"no clip {clip_id!r} in layer kinect")):
            in_memory.clip(clip_id)
    assert row_groups(in_memory, reads) == {}


def test_a_part_without_statistics_is_searched(made, tmp_path):
    """As other tools may have written it."""
    place = shutil.copytree(made.place, tmp_path / "release")
    release = open_release(place)
    for part in release.part_names("kinect"):
        pq.write_table(pq.read_table(place / part), place / part, write_statistics=False,
                       row_group_size=3)  # fmt: skip
    for clip_id in sorted(made.clips):
        assert_same_bits(release.clip(clip_id), made.clips[clip_id])


def test_opening_reads_the_manifest_alone(in_memory, reads):
    open_release(in_memory.place)
    assert {path for path, _, _ in reads} == {f"{in_memory.place.path}/{FILE_NAME}"}


@pytest.mark.parametrize(
    "where",
    [
        {"clip_id": "S003C003P003R002A008"},
        {"setup": 3},
        {"setup": np.int64(2)},
        {"setup": [2, 17], "camera": {1, 2}},
        {"source": "S001C001P001R001A023.skeleton", "mirrored": True},
        {"setup": 3, "label": 10**6},
    ],
    ids=str,
)
def test_conditions_are_pushed_down_to_row_groups(made, in_memory, reads, where):
    def accepted(clip):
        values = {"clip_id": clip.clip_id, **clip.info}
        return all(
            values[column] in (value if isinstance(value, (list, set)) else [value])
            for column, value in where.items()
        )

    expected = [clip_id for clip_id in sorted(made.clips) if accepted(made.clips[clip_id])]
    clips = list(in_memory.iter_clips(where=where))
    assert [clip.clip_id for clip in clips] == expected
    for clip in clips:
        assert_same_bits(clip, made.clips[clip.clip_id])
    touched = row_groups(in_memory, reads)
    assert count(touched) <= all_row_groups(made) / 2
    if "clip_id" in where:
        assert count(touched) == len(expected) == 1
    if where.get("label") == 10**6:
        assert touched == {}
    assert in_memory.arrays(where=where)["clip_id"].tolist() == expected


def test_columns_that_are_not_asked_for_are_not_read(in_memory, reads):
    def cost(columns):
        reads.clear()
        list(in_memory.iter_clips(columns=columns))
        return sum(end - start for path, start, end in reads
                   if end != in_memory.place.fs.size(path))  # fmt: skip

    assert cost([]) < cost(["visibility"]) < cost(["keypoints_3d"]) < 0.7 * cost(None)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"colour": 1}, "no clip column colour.*expected clip_id, num_frames"),
        ({"frames": 1}, "no clip column frames"),
        ({"label": "walk"}, "a condition on label that it cannot meet: found 'walk'.*int64"),
        ({"label": 1.5}, "a condition on label that it cannot meet: found 1.5"),
        ({"camera": 2**70}, "a condition on camera"),
        ({"camera": ["a", 1]}, "a condition on camera"),
    ],
)
def test_conditions_without_meaning(made, where, message):
    for read in (made.release.iter_clips, made.release.read_table, made.release.arrays):
        with pytest.raises(UsageError, match=message):
            list(read(where=where))
    with pytest.raises(UsageError, match=message):
        made.release.clips(where)


def test_columns_without_meaning(made):
    for read in (made.release.iter_clips, made.release.read_table, made.release.arrays):
        with pytest.raises(UsageError, match=r"column boxes in layer kinect.*expected .*frames"):
            list(read(columns=["boxes"]))


# Other places


def test_urls_are_written_and_read_by_the_same_code(made, monkeypatch):
    small_parts(monkeypatch)
    file_system = fsspec.filesystem("memory")
    try:
        summary = convert(made.plan, "memory://posedata-tests/written")
        assert summary.out == "memory:///posedata-tests/written"
        release = open_release("memory://posedata-tests/written")
        for clip in release.iter_clips():
            assert_same_bits(clip, made.clips[clip.clip_id])
        assert list(validate(release)) == []
        written = {
            path.removeprefix("/posedata-tests/written/"): file_system.cat_file(path)
            for path in file_system.find("/posedata-tests/written")
        }
        local = {
            str(path.relative_to(made.place)): path.read_bytes()
            for path in made.place.rglob("*")
            if path.is_file()
        }
        assert written == local
    finally:
        file_system.rm("/posedata-tests", recursive=True)


@pytest.mark.parametrize(
    "name", ["with space", "a#b", "100%", "a[1]*?", "naïve-日本", "a::b", "c:"]
)
def test_any_directory_name_will_do(made, name, tmp_path):
    place = tmp_path / name
    shutil.copytree(made.place, place)
    release = open_release(place)
    assert [clip.clip_id for clip in release.iter_clips(columns=[])] == sorted(made.clips)
    assert release.clip(min(made.clips)).clip_id == min(made.clips)
    assert list(validate(release)) == []
    (place / "data" / "extra.parquet").write_bytes(b"")
    assert [finding.file for finding in validate(release)] == ["data/extra.parquet"]


# What is refused


def test_an_unfinished_release_is_refused(made, tmp_path):
    place = tmp_path / "release"
    shutil.copytree(made.place, place)
    (place / FILE_NAME).unlink()
    (place / ".unfinished").mkdir()
    for opened in (open_release, info):
        with pytest.raises(ReleaseError, match=r"unfinished\. Run .* with --resume"):
            opened(place)


def test_other_places_are_refused(raw, tmp_path):
    with pytest.raises(ReleaseError, match=r"not a release: it has no posedata\.json"):
        open_release(raw)
    with pytest.raises(ReleaseError, match="not a release"):
        open_release(next(raw.iterdir()))
    with pytest.raises(ReleaseError, match="no such directory"):
        open_release(tmp_path / "nothing")
    with pytest.raises(ReleaseError, match="no such directory"):
        open_release("memory://posedata-tests/nothing")
    with pytest.raises(InputError, match="this kind of URL"):
        open_release("nosuchprotocol://a/b")
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ReleaseError, match="cannot be read: found Is a directory"):
        open_release(tmp_path)


READERS = {
    "iter_clips": lambda release: [None for _ in release.iter_clips()],
    "read_table": Release.read_table,
    "arrays": Release.arrays,
    "to_pandas": Release.to_pandas,
    "clip": lambda release: release.clip(max(release.clips()["clip_id"].to_pylist())),
}


@pytest.fixture
def damaged(made, tmp_path) -> Path:
    """A copy of the release whose last part is to be damaged."""
    place = tmp_path / "release"
    shutil.copytree(made.place, place)
    return place


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_or_damaged_part_is_named(damaged, reader):
    release = open_release(damaged)
    part = damaged / release.part_names("kinect")[-1]
    content = part.read_bytes()
    table = pq.read_table(part)

    def complaint() -> str:
        with pytest.raises(ReleaseError) as caught:
            READERS[reader](release)
        assert caught.value.path == str(part)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    part.unlink()
    assert "a file of the release is missing" in complaint()
    for size in (0, 4, len(content) // 2, len(content) - 1):
        part.write_bytes(content[:size])
        assert "the file cannot be read" in complaint()
    pq.write_table(table.drop_columns(["keypoints_3d"]), part)
    assert "the column keypoints_3d is not that of the manifest: found none" in complaint()


def test_a_missing_table_is_named(damaged):
    release = open_release(damaged)
    for name, read in (("clips", release.clips), ("splits", release.splits),
                       ("rejects", release.rejects)):  # fmt: skip
        content = (damaged / f"{name}.parquet").read_bytes()
        (damaged / f"{name}.parquet").write_bytes(content[: len(content) // 2])
        with pytest.raises(ReleaseError, match=f"{name}.parquet: the file cannot be read"):
            read()
        (damaged / f"{name}.parquet").unlink()
        with pytest.raises(ReleaseError, match=rf"{name}\.parquet: .*is missing"):
            read()


def test_flipped_bits_are_read_or_refused(damaged):
    """What a flip does is Parquet's to find or not; posedata raises nothing but its own errors."""
    release = open_release(damaged)
    part = damaged / release.part_names("kinect")[-1]
    content = part.read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(60):
        # half of the flips in the footer, where the structure is
        start = 0 if chance.random() < 0.5 else len(content) - 6000
        changed = bytearray(content)
        changed[chance.randrange(start, len(content))] ^= 1 << chance.randrange(8)
        part.write_bytes(changed)
        for reader in ("iter_clips", "clip"):
            try:
                READERS[reader](release)
            except PosedataError:
                refused += 1
    assert refused > 20


# What other tools see


@pytest.fixture
def load_dataset(tmp_path, monkeypatch):
    """Hugging Face's load_dataset, without a network."""

    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    datasets = pytest.importorskip("datasets")
    return partial(datasets.load_dataset, split="train", cache_dir=str(tmp_path / "cache"))


def test_hugging_face_reads_a_layer(made, load_dataset):
    config = load_dataset(str(made.place), "kinect")
    folder = load_dataset(str(made.place / "data" / "kinect"))
    for rows in (config, folder):
        label = rows.features["label"]
        assert label.names == list(made.release.label_names())
        assert rows["clip_id"] == sorted(made.clips)
        for row in rows:
            clip = made.clips[row["clip_id"]]
            assert label.int2str(row["label"]) == clip.info["label_name"]
            assert row["frames"] == clip.frames.tolist()
            keypoints = np.array(row["keypoints_3d"], np.float32).reshape(-1, 25, 3)
            np.testing.assert_array_equal(keypoints, clip.keypoints_3d)


def test_duckdb_reads_a_layer_in_one_line(made):
    rows = duckdb.sql(
        f"SELECT clip_id, num_frames, len(frames), keypoints_3d[1][21][3] "
        f"FROM '{made.place}/data/kinect/*.parquet' ORDER BY clip_id"
    ).fetchall()
    expected = []
    for clip_id in sorted(made.clips):
        clip = made.clips[clip_id]
        z = float(clip.keypoints_3d[0, 20, 2]) if len(clip.frames) else None
        expected.append((clip_id, clip.num_frames, len(clip.frames), z))
    assert rows == expected


def test_polars_reads_a_layer(made):
    frame = polars.read_parquet(f"{made.place}/data/kinect/*.parquet")
    assert frame["clip_id"].to_list() == sorted(made.clips)
    for clip_id, keypoints in zip(frame["clip_id"], frame["keypoints_2d"], strict=True):
        np.testing.assert_array_equal(
            np.array(keypoints.to_list(), np.float32).reshape(-1, 25, 2),
            made.clips[clip_id].keypoints_2d,
        )


def test_the_manifest_lists_problems_of_discovery(raw, tmp_path):
    """A file that is no sample is a row of rejects.parquet too."""
    folder = tmp_path / "raw"
    make_ntu(folder, 1, num_frames=12)
    (folder / "notes.skeleton").write_bytes(b"")
    made = make(folder, tmp_path / "release")
    (row,) = made.release.rejects().to_pylist()
    assert Problem(**row) == made.plan.problems[0]
    assert made.release.manifest.counts["rejects"] == 1


@pytest.mark.real
@pytest.mark.parametrize(
    "which", ["made", "made_with_all_fields", "made_without_poses", "made_with_rejects"]
)
def test_contract(which, request, shared):
    made = request.getfixturevalue(which)
    arguments = [made.place]
    if which != "made_with_rejects":  # the contract knows no file that cannot be read
        arguments += ["--ntu", made.plan.raw.path]
    run = subprocess.run(
        [sys.executable, shared / "checks" / "contract.py", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.real
@pytest.mark.parametrize("all_fields", [False, True])
def test_contract_on_real_files(shared, tmp_path, all_fields):
    raw = shared / "data" / "ntu" / "skeletons"
    made = make(raw, tmp_path / "release", all_fields=all_fields)
    for clip in made.release.iter_clips():
        assert_same_bits(clip, made.clips[clip.clip_id])
    run = subprocess.run(
        [sys.executable, shared / "checks" / "contract.py", made.place, "--ntu", raw],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(list(raw.rglob('*.skeleton')))} clips" in run.stdout
    assert list(validate(made.release)) == []
