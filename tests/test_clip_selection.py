"""`posedata.clip_selection`: which clips a training run reads, or why it cannot."""

import warnings

import pytest

from posedata.clip_selection import select_clips
from posedata.errors import UsageError
from tests.made_clips import LABELS, made_clip, write_release

CLIPS = [
    made_clip("a", [[0, 1]], 2, label=0, subject=1),
    made_clip("b", [[0]], 2, label=2, subject=2),
    made_clip("c", [], 2, label=1, subject=2),
]
SPLITS = [("xsub", "train", "a"), ("xsub", "train", "b"), ("xsub", "test", "c"),
          ("xview", "test", "b"), ("xview", "test", "z"), ("far", "test", "z")]  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(
        tmp_path_factory.mktemp("selection") / "r", CLIPS, splits=SPLITS,
        further=[{"clip_id": "z", "num_frames": 3}],
    )  # fmt: skip


def test_all_clips_with_their_labels(release):
    found = select_clips(release)
    assert found.clip_ids == ("a", "b", "c")
    assert found.labels.tolist() == [0, 2, 1]
    assert (found.layer, found.keypoints, found.skeleton.name) == ("made", "keypoints_2d", "coco17")
    assert found.lacking == ()
    assert len(LABELS) == 3


def test_a_split_and_a_condition(release):
    assert select_clips(release, protocol="xsub", split="train").clip_ids == ("a", "b")
    found = select_clips(release, protocol="xsub", split="train", where={"subject": 2})
    assert found.clip_ids == ("b",)
    assert found.labels.tolist() == [2]
    assert found.lacking == ()


def test_clips_of_the_split_without_poses_are_named(release):
    with pytest.warns(
        UserWarning, match="1 of 2 clips of xview test are not in layer made, e.g. z"
    ):
        found = select_clips(release, protocol="xview", split="test")
    assert found.clip_ids == ("b",)
    assert found.lacking == ("z",)


def test_another_skeleton(release):
    assert select_clips(release, skeleton="openpose18").skeleton.name == "openpose18"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "xsub", "split": "val"}, "no such split"),
        ({"protocol": "xsub"}, "without a split"),
        ({"layer": "kinect"}, "no layer 'kinect'"),
        ({"keypoints": "keypoints_3d"}, "no keypoints_3d"),
        ({"keypoints": "both"}, "no keypoints_3d"),
        ({"skeleton": "coco71"}, "coco71"),
        ({"where": {"subject": 9}}, "no clips left"),
        ({"where": {"camera": 1}}, "no clip column camera"),
        ({"protocol": "far", "split": "test"}, "no clips left"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(release, options, message):
    with warnings.catch_warnings(), pytest.raises(UsageError, match=message):
        warnings.simplefilter("ignore")
        select_clips(release, **options)
