"""The authors' script of SST-A: its rules by hand, and its numbers on its own demo."""

from __future__ import annotations

import numpy as np
import pytest

from posedata.errors import UsageError
from posedata.ssta import aggregate
from posedata.ssta_prs import aggregate_prs


def track(*places: tuple[float, float], spread: float = 10) -> np.ndarray:
    """Frames in which all joints are at one place, but 6, to its right, and 7, below it."""
    poses = np.tile(np.array(places, np.float32)[:, None], (1, 17, 1))
    poses[:, 6, 0] += spread
    poses[:, 7, 1] += 5
    return poses


def of_first_joint(*tracks: np.ndarray) -> list:
    return aggregate_prs(tracks).keypoints[:, 0].tolist()


END = (50, 50)  # the last frame, which the script does not reach


def test_frame_0_takes_expert_2_or_3_never_1():
    for one, two, three, winner in [
        ((0, 0), (1, 0), (9, 0), 2),  # d_12 is least
        ((0, 0), (9, 0), (1, 0), 3),  # d_13
        ((9, 0), (0, 0), (1, 0), 2),  # d_23
        ((0, 0), (4, 3), (8, 0), 2),  # d_12 = d_23 < d_13
        ((4, 3), (0, 0), (8, 0), 3),  # d_12 = d_13 < d_23: the later of the two
        ((0, 0), (8, 0), (4, 3), 3),  # d_13 = d_23 < d_12
    ]:
        places = (one, two, three)
        found = of_first_joint(*(track(place, END) for place in places))
        assert found[0] == list(places[winner - 1]), places


def test_later_frames_take_the_closest_and_1_before_3_before_2():
    for one, two, three, winner in [
        ((0, 3), (4, 0), (5, 0), 1),
        ((4, 0), (0, 3), (5, 0), 2),
        ((4, 0), (5, 0), (0, 3), 3),
        ((3, 0), (0, 3), (9, 0), 1),
        ((3, 0), (9, 0), (0, 3), 1),
        ((9, 0), (3, 0), (0, 3), 3),
        ((3, 0), (-3, 0), (0, 3), 1),
    ]:
        places = (one, two, three)
        found = of_first_joint(*(track((0, 0), place, END) for place in places))
        assert found[1] == list(places[winner - 1]), places


def test_the_last_frame_is_zero_and_poses_below_gamma_stay():
    far = [track((100, 0), END), track((100, 0), END), track((200, 0), END)]
    fused = aggregate_prs(far)
    assert not fused.keypoints[-1].any() and fused.confidence[-1] == 0
    # Expert 3 is 100 away in each of the 12 joints, over joints 5 and 6, 10 apart: exp(-10 / 3).
    assert fused.confidence[0] == 0  # exp(-10 / 3) = 0.0357 < 0.06
    assert fused.keypoints[0, 0].tolist() == [100, 0]
    assert aggregate_prs(far, gamma=0.03).confidence[0] == pytest.approx(np.exp(-10 / 3))
    near = [track((100, 0), END), track((100, 0), END), track((103, 4), END)]
    assert aggregate_prs(near).confidence[0] == pytest.approx(np.exp(-0.5 / 3))
    assert fused.keypoints.dtype == np.float32 and fused.confidence.dtype == np.float64
    assert not aggregate_prs([track((1, 1))] * 3).keypoints.any()  # one frame: it is the last


def test_only_joints_5_to_16_are_in_c():
    tracks = [track((100, 0), END) for _ in range(3)]
    tracks[2][0, :5] += 7
    assert aggregate_prs(tracks).confidence[0] == 1
    tracks[2][0, 16] += (0, 12)
    assert aggregate_prs(tracks).confidence[0] == pytest.approx(np.exp(-(12 / 12 / 10) / 3))


def test_zeros_and_nan_and_what_is_behind_the_end_are_points_at_the_origin():
    two = track((1, 0), (3, 0), END)
    assert of_first_joint(two, two, track((9, 0), (0, 0), END))[:2] == [[1, 0], [0, 0]]
    lost = track((9, 0), (7, 7), END)
    lost[1, 0, 0] = np.nan
    assert of_first_joint(two, two, lost)[:2] == [[1, 0], [0, 0]]
    assert of_first_joint(two, two, track((9, 0)))[:2] == [[1, 0], [0, 0]]
    short = aggregate_prs([track((1, 0)), track((1, 0), (2, 0)), track((1, 0), (2, 0), END)])
    assert short.keypoints.shape == (3, 17, 2)
    assert aggregate_prs([np.zeros((0, 17, 2))] * 3).keypoints.shape == (0, 17, 2)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_papers_choice_with_the_experts_in_the_order_2_3_1(seed):
    """Where nothing is missing and no tie decides, up to the last frame."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(10, 300, (17, 2)) + rng.normal(0, 3, (40, 17, 2)).cumsum(axis=0)
    one, two, three = (truth + rng.normal(0, 5, (3, 40, 17, 2))).astype(np.float32)
    theirs = aggregate_prs([one, two, three]).keypoints
    paper = aggregate(np.stack([two, three, one]), head=0, neck=1).keypoints
    assert np.array_equal(theirs[:-1], paper[:-1])
    other = aggregate(np.stack([one, two, three]), head=0, neck=1).keypoints
    assert not np.array_equal(theirs[0], other[0])


@pytest.mark.parametrize("shapes", [[(4, 17, 2)] * 2, [(4, 17, 2)] * 2 + [(4, 13, 2)], []])
def test_other_arrays_are_refused(shapes):
    with pytest.raises(UsageError, match="three arrays of shape"):
        aggregate_prs([np.zeros(shape, np.float32) for shape in shapes])


@pytest.mark.real
def test_the_authors_demo(shared):
    """The numbers are those of the script itself, run on these files."""
    folder = shared / "data/smarthome/ssta_demo"
    poses = [
        np.load(folder / f"WatchTV_p02_r03_v05_c05_{expert}2d.npz", allow_pickle=False)["kpts"]
        for expert in ("LCRNet", "Alphapose", "OP")
    ]
    assert [len(pose) for pose in poses] == [1379, 1380, 1380]
    fused = aggregate_prs(poses)
    assert fused.keypoints.shape == (1380, 17, 2)
    assert fused.keypoints.sum(dtype=np.float64) == pytest.approx(15937251.97895813, abs=1e-6)
    of_script = [[366.67654, 325.54172], [365.1341, 305.02133], [330.51993, 333.64938]]
    assert fused.keypoints[700, [5, 10, 16]] == pytest.approx(np.array(of_script), abs=1e-5)
    assert fused.keypoints[1378, 5] == pytest.approx([358.1801, 313.2335], abs=1e-5)
    assert (fused.keypoints == 0).all(axis=2).sum() == 17  # the last frame
    assert fused.confidence.sum() == pytest.approx(139.37291632956334, abs=1e-9)
    assert (fused.confidence == 0).sum() == 228
    of_script = [0, 0.10259301, 0.12747059, 0.10327273, 0]
    assert fused.confidence[[0, 1, 700, 1378, 1379]] == pytest.approx(of_script, abs=1e-8)
