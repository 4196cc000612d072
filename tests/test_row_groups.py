"""Row groups as flat arrays: the same people as in clips, and nothing that lies outside them."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_clips import awkward_clips, clips_in_3d, write_release

from posedata.errors import ReleaseError
from posedata.row_groups import RowGroups
from posedata.sample import dense_people, sample_of
from posedata.skeleton import load_skeleton


@pytest.mark.parametrize("make", [awkward_clips, clips_in_3d])
@pytest.mark.parametrize("num_persons", [1, 2, 5])
def test_it_gives_what_clips_give(tmp_path, make, num_persons):
    release = write_release(tmp_path / "made", make(), part_size=3)
    keypoints = "keypoints_2d" if make is awkward_clips else "keypoints_3d"
    groups = RowGroups(release, "made", keypoints, release.skeleton())
    assert groups.sizes() == [[3], [2]]
    expected = [sample_of(clip, keypoints, num_persons) for clip in release.iter_clips()]
    for file, first in ((0, 0), (1, 3)):
        rows = pickle.loads(pickle.dumps(groups)).read(file, 0)
        assert rows.num_clips == [3, 2][file]
        samples = expected[first : first + rows.num_clips]
        assert rows.num_frames.tolist() == [len(sample.frames) for sample in samples]
        for i, sample in enumerate(samples):
            poses, scores = rows.pick(i, num_persons)
            np.testing.assert_array_equal(poses, sample.keypoints)
            np.testing.assert_array_equal(scores, sample.scores)


def test_another_skeleton(tmp_path):
    from posedata.remap import remap

    release = write_release(tmp_path / "made", awkward_clips(), part_size=9)
    rows = RowGroups(release, "made", "keypoints_2d", load_skeleton("main13")).read(0, 0)
    clip = list(release.iter_clips())[1]
    poses, scores, _, _ = remap(clip.keypoints_2d, clip.skeleton, "main13", clip.scores)
    expected = dense_people(clip.frames, clip.persons, poses, scores, clip.num_frames, 2)
    for found, wanted in zip(rows.pick(1, 2), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("frames", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]), ("frames", [-1, 1, 2]),
        ("frames", [0, 2, 1]), ("frames", [0, 1, 1]), ("persons", [1, 0, 0]),
        ("persons", [-1, 0, 0]),
    ],
)  # fmt: skip
def test_poses_where_none_can_be_are_refused(tmp_path, name, values):
    release = write_release(tmp_path / "made", awkward_clips(), part_size=9)
    (path,) = (tmp_path / "made/data/made").iterdir()
    groups = RowGroups(release, "made", "keypoints_2d", release.skeleton())
    groups.read(0, 0)
    table = pq.read_table(path)
    rows = table.to_pylist()
    at = [row["clip_id"] for row in rows].index("A001")  # its first person is in frames 0 to 9
    rows[at][name][: len(values)] = values
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
    groups.close()
    with pytest.raises(ReleaseError, match="not sorted, or outside their clip") as caught:
        groups.read(0, 0)
    assert caught.value.position == f"row group 0, row {at}"


def test_a_file_with_other_columns_is_refused(tmp_path):
    release = write_release(tmp_path / "made", awkward_clips(), part_size=9)
    (path,) = (tmp_path / "made/data/made").iterdir()
    pq.write_table(pq.read_table(path).drop_columns(["scores"]), path)
    with pytest.raises(ReleaseError, match="the column scores is not that of the manifest"):
        RowGroups(release, "made", "keypoints_2d", release.skeleton()).sizes()
    path.unlink()
    with pytest.raises(ReleaseError, match="missing"):
        RowGroups(release, "made", "keypoints_2d", release.skeleton()).sizes()
