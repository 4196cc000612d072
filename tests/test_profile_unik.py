"""`posedata.profiles.unik`: by hand, and against the bits that the original scripts gave."""

import random

import numpy as np
import pytest
from slot_texts import digest

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.profiles.unik import (
    NUM_CLIPS,
    UNIK,
    UNIK_PENN,
    UNIK_POSETICS,
    class_numbers,
    join_17,
    repeats_of,
    smarthome_rows,
)
from posedata.skeleton import load_skeleton
from posedata.source_numbers import find_unrounded

# read_xyz and pre_normalization2d of UNIK's smarthome_gendata.py, the feeder of its
# posetics_gendata.py, and the same of its penn_gendata.py, as float32, run on lcrnet_file(0) to
# lcrnet_file(23).
ORIGINAL, ORIGINAL_POSETICS, ORIGINAL_PENN = (
    "201272ca32ca01ad",
    "5cb21b8278f4909f",
    "a9b0bb1dda880b8b",
)
JOINTS = load_skeleton("smarthome17").joints


def lcrnet_file(seed):
    """An LCRNet file: up to two people who come, go and change places; -1, 0, whole numbers."""
    rng = random.Random(seed)
    digits = rng.choice([0, 3, 17])
    num_frames, num_people = rng.choice([1, 2, 30, 100]), rng.choice([0, 1, 1, 2, 2])
    people = [([640 * rng.random() for _ in range(26)], [2 * rng.random() - 1 for _ in range(39)])
              for _ in range(num_people)]  # fmt: skip
    if num_people == 2 and rng.random() < 0.2:
        people[1] = people[0]  # equal energy
    step, absent, first = rng.choice([0, 1, 9]), rng.choice([0, 0.3]), rng.choice([0, 0, 7])
    frames = []
    for frame in range(num_frames):
        listed = []
        for pose2d, pose3d in people:
            if frame < first or rng.random() < absent:
                continue
            pose2d = [round(x + step * (rng.random() - 0.5), digits) for x in pose2d]
            pose3d = [round(x + step * (rng.random() - 0.5), digits) for x in pose3d]
            for joint in range(13):
                if rng.random() < 0.05:
                    pose2d[joint] = pose2d[13 + joint] = rng.choice([0, -1])
                if rng.random() < 0.05:
                    pose2d[joint] = 0
            listed.append({"pose2d": pose2d, "pose3d": pose3d, "cumscore": 1.5})
        if rng.random() < 0.3:
            listed.reverse()
        frames.append(listed)
    return {"K": 100, "njts": 13, "frames": frames}


def lcrnet_clip(file, keep_source=True):
    """Make the clip that the reader of LCRNet files makes, but for its persons."""
    rows = [(slot, frame, person)
            for frame, listed in enumerate(file["frames"])
            for slot, person in enumerate(listed)]  # fmt: skip
    rows.sort(key=lambda row: row[:2])
    flat = np.array([row[2]["pose2d"] for row in rows], np.float64).reshape(-1, 2, 13)
    space = np.array([row[2]["pose3d"] for row in rows], np.float64).reshape(-1, 3, 13)
    source = {"keypoints_2d": flat.transpose(0, 2, 1), "keypoints_3d": space.transpose(0, 2, 1)}
    missing = (source["keypoints_2d"] == 0).all(-1) | (source["keypoints_2d"] == -1).all(-1)
    kept = {name: values.astype(np.float32) for name, values in source.items()}
    for values in kept.values():
        values[missing] = np.nan
    slots = np.array([row[0] for row in rows], np.int32)
    return Clip(
        clip_id="lcrnet", layer="lcrnet", skeleton=load_skeleton("lcrnet13"),
        frames=np.array([row[1] for row in rows], np.int32), persons=slots, **kept,
        extra={"slots": slots},
        unrounded={name: find_unrounded(kept[name], source[name], "decimal")
                   for name in kept if keep_source},
        info={"num_frames": len(file["frames"])},
    )  # fmt: skip


def person(x, y=240.0):
    """All joints at (x, y)."""
    return {"pose2d": [x] * 13 + [y] * 13, "pose3d": [x] * 13 + [y] * 13 + [1.0] * 13}


def test_smarthome_has_the_bits_that_the_script_gave():
    results = [UNIK.apply(lcrnet_clip(lcrnet_file(seed)))[0] for seed in range(24)]
    assert {(result.shape, result.dtype.name) for result in results} == {
        ((2, 4000, 17, 2), "float32")
    }
    assert digest(results) == ORIGINAL


def test_posetics_and_penn_have_the_bits_that_the_scripts_gave():
    clips = [lcrnet_clip(lcrnet_file(seed)) for seed in range(24)]
    assert UNIK_POSETICS.apply(clips[0])[0].shape == (5, 300, 17, 2)
    assert digest(UNIK_POSETICS.apply(clip)[0] for clip in clips) == ORIGINAL_POSETICS
    assert UNIK_PENN.apply(clips[0])[0].shape == (2, 700, 17, 2)
    assert digest(UNIK_PENN.apply(clip)[0] for clip in clips) == ORIGINAL_PENN


def test_17_joints_by_hand():
    # the joints' numbers as x, in LCRNet's order; the picture's middle as y
    pose = {"pose2d": [64.0 * (k + 1) for k in range(13)] + [240.0] * 13, "pose3d": [0.0] * 39}
    result, changes = UNIK.apply(lcrnet_clip({"frames": [[pose]]}))
    x = {name: round(float((result[0, 0, k, 0] + 1) * 5 - 1), 4) for k, name in enumerate(JOINTS)}
    assert x == {
        "head": 12, "nose": (12 + 10.5) / 2, "neck": 10.5, "chest": 7.5, "mid_hip": 4.5,
        "left_shoulder": 11, "right_shoulder": 10, "left_elbow": 9, "right_elbow": 8,
        "left_wrist": 7, "right_wrist": 6, "left_hip": 5, "right_hip": 4, "left_knee": 3,
        "right_knee": 2, "left_ankle": 1, "right_ankle": 0,
    }  # fmt: skip
    assert not result[1].any()
    assert (result[:, 3999] == result[:, 0]).all()
    assert [(c.what, c.amount) for c in changes] == [("frames filled by repeating a body", 3999)]


def test_the_two_chests_differ_by_rounding_alone():
    joints = np.random.default_rng(0).uniform(0, 640, (1, 500, 13, 2))
    bodies = (
        UNIK.steps[0]
        .function(
            lcrnet_clip({"frames": [[person(1.0)]]}),
            lambda *_: None,
            most=1,
            arrays=("keypoints_2d",),
        )
        ._replace(joints=joints)
    )
    mean, middle = (
        join_17(bodies, lambda *_: None, chest=how).joints for how in ("mean", "middle")
    )
    assert (mean != middle).any() and np.allclose(mean, middle, rtol=1e-14)


def test_the_picture_s_width_is_from_minus_1_to_1():
    for x, y, expected in (
        (640.0, 480.0, (1, 0.75)),
        (320.0, 240.0, (0, 0)),
        (0.0, 1e-9, (0, -0.75)),
    ):
        result, _ = UNIK_PENN.apply(lcrnet_clip({"frames": [[person(x, y)]]}))
        assert result[:, 0, 0, 0].tolist() == pytest.approx(expected)


def test_the_livelier_person_comes_first():
    frames = [[person(100.0), person(300.0 + 50 * k)] for k in range(3)]
    result, _ = UNIK.apply(lcrnet_clip({"frames": frames}))
    assert result[0, 0, 0].tolist() == np.float32([300 / 320 - 1, 100 / 320 - 1]).tolist()
    other, _ = UNIK_POSETICS.apply(lcrnet_clip({"frames": frames}))
    assert other[0, 0, 0].tolist() == np.float32([100 / 320 - 1, 300 / 320 - 1]).tolist()


def test_a_third_person_is_left_out_and_counted():
    clip = lcrnet_clip({"frames": [[person(1.0), person(2.0), person(600.0)]]})
    result, changes = UNIK.apply(clip)
    assert result[0, 0, 0].max() < 0
    assert ("poses beyond the last place of a frame left out", 1) in [c[1:] for c in changes]


def test_missing_joints_are_what_the_source_has_or_else_zero():
    pose = person(64.0)
    pose["pose2d"][12] = pose["pose2d"][25] = -1  # the head
    known, _ = UNIK_PENN.apply(lcrnet_clip({"frames": [[pose]]}))
    lost, _ = UNIK_PENN.apply(lcrnet_clip({"frames": [[pose]]}, keep_source=False))
    assert known[0, 0, 0, 0] == np.float32(-1 / 320 - 1)
    assert lost[0, 0, 0, 0] == 0


def test_what_is_no_number_in_the_source_is_none_in_the_result():
    result, _ = UNIK_PENN.apply(lcrnet_clip({"frames": [[person(64.0, float("nan"))]]}))
    assert np.isnan(result[1, 0, :, 0]).all() and not np.isnan(result[0]).any()


@pytest.mark.parametrize(
    ("profile", "longest"), [(UNIK, 4000), (UNIK_POSETICS, 300), (UNIK_PENN, 700)]
)
def test_clips_that_are_too_long_have_no_result(profile, longest):
    frames = [[person(1.0)]] * longest
    assert profile.apply(lcrnet_clip({"frames": frames}))[0][0, -1, 0].any()
    with pytest.raises(InputError, match="too many frames"):
        profile.apply(lcrnet_clip({"frames": [*frames, [person(1.0)]]}))


def test_posetics_does_not_look_at_empty_frames_at_the_end():
    result, _ = UNIK_POSETICS.apply(lcrnet_clip({"frames": [[person(1.0)], *[[]] * 400]}))
    assert result[0, 0, 0, 0] != 0 and not result[:, 1:].any()


def test_a_clip_without_the_arrays_is_refused():
    clip = lcrnet_clip({"frames": [[person(1.0)]]})
    with pytest.raises(UsageError, match="keypoints_3d"):
        UNIK_POSETICS.apply(Clip(**{**clip.__dict__, "keypoints_3d": None, "unrounded": {}}))


# Rows


def columns(activity, subject, camera, **others):
    clip_id = f"{activity}_p{subject:02}_r00_v02_c{camera:02}"
    return {"clip_id": clip_id, "label_name": activity, "subject": subject, "camera": camera,
            **others}  # fmt: skip


def test_class_numbers():
    by_subject, by_view = class_numbers("xsub"), class_numbers("xview1")
    assert len(by_subject) == 31 and set(by_subject) == set(NUM_CLIPS)
    assert (by_subject["Usetelephone"], by_subject["Usetablet"]) == (27, 28)
    assert len(by_view) == 19 and by_view == class_numbers("xview2")
    assert (by_view["Usetablet"], by_view["Usetelephone"], by_view["Walk"]) == (16, 17, 18)
    assert sum(NUM_CLIPS.values()) == 16115


def test_cross_subject():
    clips = [columns("Walk", 3, 1), columns("Cook.Cut", 2, 2), columns("Pour.Fromcup", 3, 1)]
    found = smarthome_rows(clips, "xsub", "train")
    assert [row[1:] for row in found.rows] == [("Walk_p03_r00_v02_c01.json", 29)]
    assert found.left_out == [
        ("Pour.Fromcup_p03_r00_v02_c01", "activity 'Pour.Fromcup' has no number in xsub")
    ]
    assert [row.label for row in smarthome_rows(clips, "xsub", "val").rows] == [2]


def test_cross_view_repeats_rare_classes_in_training_alone():
    clips = [columns("Usetablet", 2, 1), columns("Walk", 2, 1), columns("Usetablet", 2, 2),
             columns("Laydown", 2, 1), columns("Walk", 2, 5)]  # fmt: skip
    train = smarthome_rows(clips, "xview1", "train")
    assert [row.label for row in train.rows] == [16] * 20 + [18]
    assert [row.label for row in smarthome_rows(clips, "xview1", "val").rows] == [16]
    assert [name for name, _ in train.left_out] == ["Laydown_p02_r00_v02_c01"]


def test_repeats_by_hand():
    assert repeats_of("Cutbread") == 22  # 1000 / 45 = 22.2
    assert repeats_of("Eat.Attable") == 2  # 1000 / 617 = 1.6
    assert repeats_of("Readbook") == repeats_of("Sitdown") == 1


def test_cross_view_2_trains_on_subjects_as_the_script_does():
    clips = [columns("Walk", 3, 2), columns("Walk", 2, 3)]
    train, val = (smarthome_rows(clips, "xview2", part).rows for part in ("train", "val"))
    assert [row.clip_id for row in train] == [row.clip_id for row in val] == [clips[0]["clip_id"]]


def test_names_are_those_of_the_files():
    clip = columns("Walk", 3, 1, source="smarthome_skeletons/Walk_p03_r00_v02_c01_pose3d.json")
    (row,) = smarthome_rows([clip], "xsub", "train").rows
    assert row.name == "Walk_p03_r00_v02_c01_pose3d.json"


def test_unknown_protocols_and_parts_are_refused():
    for protocol, part in (("xview", "train"), ("xsub", "test")):
        with pytest.raises(UsageError, match="unknown"):
            smarthome_rows([], protocol, part)


@pytest.mark.real
def test_numbers_of_classes_and_clips_are_those_of_the_list(shared):
    folder = shared / "data/lists/smarthome"
    for name, protocol in (("cs31", "xsub"), ("cv19", "xview1")):
        text = (folder / f"classes_{name}_unik_0based.txt").read_text()
        lines = [line.split() for line in text.splitlines()]
        listed = {activity: int(number) for number, activity, *_ in lines}
        assert listed == dict(class_numbers(protocol))
        assert all(NUM_CLIPS[activity] == int(n) for _, activity, *more in lines for n in more)
