"""`posedata.profiles.stgcn`: by hand, and against the bits that the original scripts gave."""

import json
import random

import numpy as np
import pytest
from slot_texts import SEEDS, clip_of, digest, nasty_text

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.profiles.agcn import AGCN_KINETICS
from posedata.profiles.stgcn import (
    STGCN,
    STGCN_KINETICS,
    kinetics_rows,
    kinetics_slots,
    put_origin_in_the_middle,
    rank_by_score,
    thousandths,
)
from posedata.skeleton import load_skeleton

# ST-GCN's read_xyz into zeros of (3, 300, 25, 2) float32, run on nasty_text of SEEDS.
ORIGINAL = "735cd0f44a3ba3b7"
# The feeder of ST-GCN's kinetics_gendata.py and that of 2s-AGCN's, as float32, run on
# kinetics_file of KINETICS_SEEDS: without those where two people of a frame have the same score,
# whose order is what the processor's version of numpy's argsort makes of it.
KINETICS_SEEDS = [1, 2, 3, 4, 6, 10, 14, 18, 19]
ORIGINAL_KINETICS, ORIGINAL_KINETICS_Y_UP = "8219bbf57c40e7b7", "d94a20f17d8788b0"


class Notes(dict):
    """Takes what steps report."""

    def __call__(self, what, amount=1):
        self[what] = self.get(what, 0) + amount


def kinetics_file(seed):
    """A file of Kinetics-Skeleton with missing joints, up to 7 people a frame, equal scores."""
    rng = random.Random(seed)
    frames = []
    for index in range(1, 1 + rng.choice([1, 5, 40, 299])):
        people = []
        for _ in range(rng.choice([0, 1, 2, 2, 3, 7])):
            pose = [round(1.03 * rng.random() - 0.02, 3) for _ in range(36)]
            score = [round(rng.random(), rng.choice([1, 3])) for _ in range(18)]
            for joint in range(18):
                if rng.random() < 0.2:
                    score[joint] = pose[2 * joint] = pose[2 * joint + 1] = 0
                if rng.random() < 0.05:
                    pose[2 * joint] = 0.5  # the middle of the picture
            if people and rng.random() < 0.2:
                score = rng.sample(people[0]["score"], 18)  # equal up to rounding of the sum
            people.append({"pose": pose, "score": score})
        frames.append({"frame_index": index, "skeleton": people})
    return {"data": frames, "label": "abseiling", "label_index": 0}


def kinetics_clip(file):
    """Make the clip that the reader of Kinetics-Skeleton makes, but for its persons."""
    rows = [
        (slot, frame["frame_index"] - 1, person)
        for frame in file["data"]
        for slot, person in enumerate(frame["skeleton"])
    ]
    rows.sort(key=lambda row: row[:2])
    parts = np.array([row[2]["pose"] for row in rows], np.float64).reshape(-1, 18, 2)
    scores = np.array([row[2]["score"] for row in rows], np.float64).reshape(-1, 18)
    pixels = (parts * (340, 256)).astype(np.float32)
    pixels[(scores == 0) & (parts == 0).all(-1)] = np.nan
    slots = np.array([row[0] for row in rows], np.int32)
    return Clip(
        clip_id="kinetics", layer="openpose", skeleton=load_skeleton("openpose18"),
        frames=np.array([row[1] for row in rows], np.int32), persons=slots,
        keypoints_2d=pixels, scores=scores.astype(np.float32), extra={"slots": slots},
        info={"num_frames": file["data"][-1]["frame_index"], "width": 340, "height": 256},
    )  # fmt: skip


def one_frame(*people, index=1):
    """A file of one frame; of each person all joints at (x, y) with the same score."""
    skeleton = [{"pose": [x, y] * 18, "score": [score] * 18} for x, y, score in people]
    return {"data": [{"frame_index": index, "skeleton": skeleton}]}


# NTU RGB+D


def test_ntu_has_the_bits_that_the_script_gave():
    results = [STGCN.apply(clip_of(nasty_text(seed)))[0] for seed in SEEDS]
    assert {(result.shape, result.dtype.name) for result in results} == {
        ((3, 300, 25, 2), "float32")
    }
    assert digest(results) == ORIGINAL


def test_ntu_is_the_first_two_of_each_frame():
    clip = clip_of(nasty_text(1))
    result, changes = STGCN.apply(clip)
    there = clip.extra["slots"] < 2
    for slot, frame, pose in zip(
        clip.extra["slots"][there], clip.frames[there], clip.keypoints_3d[there], strict=True
    ):
        assert np.array_equal(result[:, frame, :, slot].T, pose)
    assert not result[:, clip.num_frames :].any()
    assert sum(change.amount for change in changes if "left out" in change.what) == (~there).sum()


# Kinetics-Skeleton


def test_kinetics_has_the_bits_that_the_scripts_gave():
    clips = [kinetics_clip(kinetics_file(seed)) for seed in KINETICS_SEEDS]
    assert digest(STGCN_KINETICS.apply(clip)[0] for clip in clips) == ORIGINAL_KINETICS
    assert digest(AGCN_KINETICS.apply(clip)[0] for clip in clips) == ORIGINAL_KINETICS_Y_UP


def test_kinetics_by_hand():
    clip = kinetics_clip(one_frame((0.1, 0.2, 0.3), (0.5, 0.75, 0.9), (0.6, 0.4, 0.5)))
    result, changes = STGCN_KINETICS.apply(clip)
    assert result.shape == (3, 300, 18, 2) and result.dtype == np.float32
    assert not result[:, 0].any() and not result[:, 2:].any()  # frame_index 1 is index 1
    assert result[:, 1, 4, 0].tolist() == [0, 0.25, np.float32(0.9)]
    assert result[:, 1, 4, 1].tolist() == np.float32([0.6 - 0.5, 0.4 - 0.5, 0.5]).tolist()
    up, _ = AGCN_KINETICS.apply(clip)
    assert np.array_equal(up, result * np.float32([1, -1, 1])[:, None, None, None])
    assert [(c.what, c.amount) for c in changes] == [("poses with lower scores left out", 1)]


def test_a_missing_joint_is_zero_and_so_is_one_with_score_zero():
    file = one_frame((0.25, 0.25, 0.5))
    person = file["data"][0]["skeleton"][0]
    person["score"][3] = person["score"][5] = 0
    person["pose"][6:8] = [0, 0]
    result, changes = STGCN_KINETICS.apply(kinetics_clip(file))
    assert not result[:, 1, [3, 5], 0].any()
    assert result[:, 1, 4, 0].tolist() == [-0.25, -0.25, 0.5]
    assert [(c.what, c.amount) for c in changes] == [
        ("joints with a position and score 0 set to 0", 1)
    ]


def test_a_joint_in_the_corner_is_not_missing_if_it_has_a_score():
    result, _ = STGCN_KINETICS.apply(kinetics_clip(one_frame((0, 0, 0.5))))
    assert result[:, 1, 0, 0].tolist() == [-0.5, -0.5, 0.5]


def test_only_the_first_five_of_a_frame_compete():
    people = [(0.1, 0.1, 0.1)] * 5 + [(0.9, 0.9, 0.9)]
    result, changes = STGCN_KINETICS.apply(kinetics_clip(one_frame(*people)))
    assert result[2].max() == np.float32(0.1)
    assert ("poses beyond the last place of a frame left out", 1) in [c[1:] for c in changes]


def test_the_last_frame_that_the_script_can_take():
    result, _ = STGCN_KINETICS.apply(kinetics_clip(one_frame((0.1, 0.1, 0.1), index=299)))
    assert result[2, 299, 0, 0] == np.float32(0.1)
    with pytest.raises(InputError, match="frame_index 300, expected below 300"):
        STGCN_KINETICS.apply(kinetics_clip(one_frame((0.1, 0.1, 0.1), index=300)))
    empty = one_frame(index=310)
    assert not STGCN_KINETICS.apply(kinetics_clip(empty))[0].any()


def test_what_a_clip_must_have():
    clip = kinetics_clip(one_frame((0.1, 0.1, 0.1)))
    for gone in ({"scores": None}, {"keypoints_2d": None}, {"extra": {}}):
        with pytest.raises(UsageError):
            STGCN_KINETICS.apply(Clip(**{**clip.__dict__, **gone}))


def test_numbers_of_three_decimals_come_back():
    numbers = np.arange(-2000, 4000) / 1000
    for scale in (340.0, 256.0, 1.0):
        found = thousandths((numbers * scale).astype(np.float32), scale)
        assert found.tolist() == numbers.tolist()
    other = np.float32([100.123456])
    assert thousandths(other, 340.0)[0] == float(other[0]) / 340.0


def test_people_of_equal_score_come_as_argsort_has_them():
    for seed in (0, 9, 17):
        bodies = put_origin_in_the_middle(
            kinetics_slots(kinetics_clip(kinetics_file(seed)), Notes(), most=5, frames=300),
            Notes(), y_up=False,
        )  # fmt: skip
        ranked = rank_by_score(bodies, Notes(), people=2).joints
        scores = np.ascontiguousarray(bodies.joints[..., 2].transpose(1, 2, 0)).sum(axis=1)
        for frame, order in enumerate((-scores).argsort(axis=1)):
            assert np.array_equal(ranked[:, frame], bodies.joints[order[:2], frame])


@pytest.mark.real
def test_a_real_clip(shared):
    (path,) = (shared / "data/kinetics_skeleton").glob("*.json")
    file = json.loads(path.read_text())
    result, _ = STGCN_KINETICS.apply(kinetics_clip(file))
    for frame in file["data"]:
        best = sorted(frame["skeleton"], key=lambda person: -sum(person["score"]))[:2]
        for place, person in enumerate(best):
            there = np.array(person["score"]) != 0
            found = result[:, frame["frame_index"], :, place]
            assert found[2].tolist() == np.float32(person["score"]).tolist()
            assert np.array_equal(
                found[0], np.float32(np.where(there, np.array(person["pose"][::2]) - 0.5, 0))
            )


# Rows


def test_rows_of_kinetics():
    clips = [
        {"clip_id": "b", "label": 1, "subset": "train", "has_skeleton": True},
        {"clip_id": "-a", "label": 0, "subset": "train", "has_skeleton": None},
        {"clip_id": "c", "label": 2, "subset": "val", "has_skeleton": True},
        {"clip_id": "d", "label": 3, "subset": "train", "has_skeleton": False},
        {"clip_id": "e", "label": None, "subset": "train", "has_skeleton": True},
    ]
    found = kinetics_rows(clips, "train")
    assert [row[1:] for row in found.rows] == [("-a.json", 0), ("b.json", 1)]
    assert [name for name, _ in found.left_out] == ["d", "e"]
    assert [row.clip_id for row in kinetics_rows(clips, "val").rows] == ["c"]
    assert len(kinetics_rows([{"clip_id": "b", "label": 1}], "val").rows) == 1
    with pytest.raises(UsageError, match="train or val"):
        kinetics_rows(clips, "test")
