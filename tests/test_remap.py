"""Remaps between all pairs of joint sets: nothing invented, nothing lost, left stays left."""

import json
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.remap import format_ledger, remap, remap_ledger
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton

NAMES = list_skeletons()
SCHEMA = json.loads(
    resources.files("posedata.schemas").joinpath("remap.json").read_text(encoding="utf-8")
)
# All that any pair of sets derives. Eyes, ears, hands, feet and the top of the head never are.
DERIVED = {
    *("pelvis", "mid_hip", "spine_base", "hip_center"),
    *("thorax", "spine_shoulder", "shoulder_center", "neck"),
    *("spine", "spine_mid", "chest"),
    *("upper_neck", "head_bottom", "head", "nose"),
}


@st.composite
def poses(draw, name):
    """Keypoints, scores and visibility as a release holds them, with joints missing at random."""
    shape = (*draw(st.sampled_from([(), (1,), (2, 3)])), load_skeleton(name).num_joints)
    num_channels = draw(st.sampled_from([2, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keypoints = rng.uniform(-4096, 4096, (*shape, num_channels)).astype(np.float32)
    scores = rng.uniform(size=shape).astype(np.float32)
    visibility = rng.integers(1, 3, size=shape, dtype=np.uint8)
    missing = rng.uniform(size=shape) < draw(st.sampled_from([0, 0.1, 0.5]))
    keypoints[missing], scores[missing], visibility[missing] = np.nan, 0, 0
    return keypoints, scores, visibility


def all_pairs(test):
    """Run a property for each source, on a few drawn poses; the test goes over the targets."""
    test = settings(max_examples=5, deadline=None)(given(st.data())(test))
    return pytest.mark.parametrize("source", NAMES)(test)


def side(joint):
    return joint.split("_")[0] if joint.startswith(("left_", "right_")) else "middle"


def origins(source, target):
    return {origin.joint: origin for origin in remap_ledger(source, target)}


# The rules, as data.


@pytest.mark.parametrize(
    "rule", SCHEMA["rules"], ids=lambda rule: f"{rule['joint']}-{rule['rule']}"
)
def test_a_rule_is_a_mean_that_treats_left_and_right_alike(rule):
    weights = rule["from"]
    assert all(weight > 0 for weight in weights.values()) and sum(weights.values()) == 1
    assert rule["why"] and set(rule.get("to", [])) <= set(NAMES)
    assert side(rule["joint"]) == "middle"
    for joint, weight in weights.items():
        if side(joint) != "middle":
            other = {"left": "right", "right": "left"}[side(joint)]
            assert weights[other + joint[len(side(joint)) :]] == weight


@pytest.mark.parametrize(
    "rule", SCHEMA["rules"], ids=lambda rule: f"{rule['joint']}-{rule['rule']}"
)
def test_every_rule_is_used_and_names_joints_that_exist(rule):
    parents = tuple(rule["from"].items())
    assert any(
        (origin.joint, origin.rule, origin.parents) == (rule["joint"], rule["rule"], parents)
        for source in NAMES
        for target in rule.get("to", NAMES)
        for origin in remap_ledger(source, target)
    )


@pytest.mark.parametrize(
    "entry", SCHEMA["homonyms"], ids=lambda entry: "-".join(entry.values())[:25]
)
def test_a_homonym_is_another_point_than_its_namesakes(entry):
    joint, name = entry["joint"], entry["skeleton"]
    namesakes = [n for n in NAMES if n != name and joint in load_skeleton(n).joints]
    assert entry["why"] and joint in load_skeleton(name).joints and namesakes
    assert origins(name, name)[joint].how == "exact"
    for other in namesakes:
        assert origins(name, other)[joint].how != "exact"
        assert origins(other, name)[joint].how != "exact"
        assert not any(joint in dict(origin.parents) for origin in remap_ledger(name, other))


def test_what_cannot_be_known_is_never_derived():
    ledgers = [remap_ledger(source, target) for source in NAMES for target in NAMES]
    assert {o.joint for ledger in ledgers for o in ledger if o.how == "derived"} == DERIVED


# Properties over all pairs of joint sets.


@pytest.mark.parametrize("source", NAMES)
def test_the_ledger_has_each_target_joint_once_and_only_real_parents(source):
    source = load_skeleton(source)
    for target in map(load_skeleton, NAMES):
        ledger = remap_ledger(source, target)
        assert tuple(origin.joint for origin in ledger) == target.joints
        for origin in ledger:
            assert {parent for parent, _ in origin.parents} <= set(source.joints)
            assert (origin.how == "derived") == (origin.rule is not None)
            assert (origin.how == "unavailable") == (not origin.parents)
            if origin.how == "exact":
                assert origin.parents == ((origin.joint, 1.0),)
            # No target joint of one side has a parent of the other.
            sides = {side(parent) for parent, _ in origin.parents}
            assert side(origin.joint) == "middle" or sides <= {side(origin.joint)}


@all_pairs
def test_a_remap_to_the_same_set_changes_nothing(source, data):
    keypoints, scores, visibility = data.draw(poses(source))
    result = remap(keypoints, source, source, scores, visibility)
    assert result.keypoints.tobytes() == keypoints.tobytes()
    assert np.array_equal(result.scores, scores)
    assert np.array_equal(result.visibility, visibility)
    assert {origin.how for origin in result.ledger} == {"exact"}


@all_pairs
def test_there_and_back_returns_exactly_the_joints_exact_both_ways(source, data):
    keypoints, scores, visibility = data.draw(poses(source))
    for target in NAMES:
        there = remap(keypoints, source, target, scores, visibility)
        back = remap(there.keypoints, target, source, there.scores, there.visibility)
        kept = {o.joint for o in there.ledger if o.how == "exact"}
        assert kept == {o.joint for o in back.ledger if o.how == "exact"}
        i = [load_skeleton(source).index(joint) for joint in kept]
        assert back.keypoints[..., i, :].tobytes() == keypoints[..., i, :].tobytes()
        assert np.array_equal(back.scores[..., i], scores[..., i])
        assert np.array_equal(back.visibility[..., i], visibility[..., i])


@all_pairs
def test_mirroring_before_and_after_the_remap_is_the_same(source, data):
    keypoints, scores, visibility = data.draw(poses(source))
    mirror = np.float32([-1, 1, 1])[: keypoints.shape[-1]]
    flip = load_skeleton(source).flip_order
    mirrored = keypoints[..., flip, :] * mirror, scores[..., flip], visibility[..., flip]
    for target in NAMES:
        first = remap(mirrored[0], source, target, *mirrored[1:])
        after = remap(keypoints, source, target, scores, visibility)
        flip = load_skeleton(target).flip_order
        np.testing.assert_array_equal(first.keypoints, after.keypoints[..., flip, :] * mirror)
        np.testing.assert_array_equal(first.scores, after.scores[..., flip])
        np.testing.assert_array_equal(first.visibility, after.visibility[..., flip])


@all_pairs
def test_keypoints_scores_and_visibility_follow_the_ledger(source, data):
    keypoints, scores, visibility = data.draw(poses(source))
    for target in NAMES:
        result = remap(keypoints, source, target, scores, visibility)
        assert result.keypoints.dtype == result.scores.dtype == np.float32
        assert result.visibility.dtype == np.uint8
        for joint, origin in enumerate(result.ledger):
            point = result.keypoints[..., joint, :]
            if origin.how == "unavailable":
                assert np.isnan(point).all()
                assert not result.scores[..., joint].any()
                assert not result.visibility[..., joint].any()
                continue
            parents = [load_skeleton(source).index(parent) for parent, _ in origin.parents]
            mean = sum(
                weight * keypoints[..., parent, :].astype(np.float64)
                for parent, (_, weight) in zip(parents, origin.parents, strict=True)
            )
            np.testing.assert_array_equal(point, mean.astype(np.float32))
            missing = np.isnan(keypoints[..., parents, :]).any(axis=(-2, -1))
            assert np.array_equal(np.isnan(point).all(axis=-1), missing)
            for values, given_values in ((result.scores, scores), (result.visibility, visibility)):
                least = np.min([given_values[..., parent] for parent in parents], axis=0)
                assert np.array_equal(values[..., joint], np.where(missing, 0, least))


# Numbers worked by hand.


def numbered(name):
    """Poses in which joint i lies at (10 i, 10 i + 1)."""
    i = np.arange(load_skeleton(name).num_joints, dtype=np.float32)
    return np.stack([10 * i, 10 * i + 1], axis=-1)


def test_openpose18_to_coco17_is_a_permutation():
    result = remap(numbered("openpose18"), "openpose18", "coco17")
    order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
    assert np.array_equal(result.keypoints, numbered("openpose18")[order])
    assert {origin.how for origin in result.ledger} == {"exact"}


def test_coco17_to_openpose18_derives_only_the_neck():
    keypoints, scores = np.zeros((17, 2), np.float32), np.ones(17, np.float32)
    keypoints[5], keypoints[6] = (140, 80), (100, 91)
    scores[5], scores[6] = 0.9, 0.4
    result = remap(keypoints, "coco17", "openpose18", scores)
    assert result.keypoints[1].tolist() == [120, 85.5]
    assert result.scores[1] == np.float32(0.4)  # the least, where AlphaPose takes the mean
    assert result.visibility is None
    assert [o.joint for o in result.ledger if o.how != "exact"] == ["neck"]


def test_coco17_to_body25_mid_hip():
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[11], keypoints[12] = (1, 2, 3), (2, 4, 8)
    result = remap(keypoints, "coco17", "body25")
    assert result.keypoints[8].tolist() == [1.5, 3, 5.5]
    unavailable = [o.joint for o in result.ledger if o.how == "unavailable"]
    assert unavailable == list(load_skeleton("body25").joints[19:])  # the feet


def test_body25b_to_body25_and_back():
    there = origins("body25b", "body25")
    assert {o.joint: o.rule for o in there.values() if o.how != "exact"} == {
        "neck": "mid_shoulders", "mid_hip": "mid_hips"
    }  # fmt: skip
    back = origins("body25", "body25b")
    assert {joint for joint, o in back.items() if o.how != "exact"} == {"upper_neck", "head_top"}
    assert {o.how for o in back.values()} == {"exact", "unavailable"}
    # MPII's ends of the head, which is where they come from.
    assert {origins("body25b", "mpii16")[o].how for o in ("upper_neck", "head_top")} == {"exact"}


def test_ntu_to_coco17():
    result = remap(numbered("nturgbd25"), "nturgbd25", "coco17")
    limbs = [4, 8, 5, 9, 6, 10, 12, 16, 13, 17, 14, 18]
    assert np.array_equal(result.keypoints[5:], numbered("nturgbd25")[limbs])
    assert result.keypoints[0].tolist() == [30, 31]  # the head stands for the nose
    assert result.ledger[0].rule == "head_stands_for_nose"
    assert np.isnan(result.keypoints[1:5]).all()  # and for nothing else
    assert [o.how for o in result.ledger[1:5]] == ["unavailable"] * 4


def test_coco17_to_ntu():
    ledger = origins("coco17", "nturgbd25")
    assert ledger["head"].rule == "nose_stands_for_head"
    assert ledger["spine_base"].rule == "mid_hips"
    assert ledger["spine_shoulder"].rule == ledger["neck"].rule == "mid_shoulders"
    result = remap(numbered("coco17"), "coco17", "nturgbd25")
    assert result.keypoints[1].tolist() == [85, 86]  # 5 and 6 at 55, 11 and 12 at 115
    for joint in ("left_hand", "right_thumb", "left_foot", "right_hand_tip"):
        assert ledger[joint].how == "unavailable"


def test_lcrnet13_to_smarthome17():
    """UNIK: neck and hips are means of two, the chest of four, the nose of head and neck."""
    keypoints = np.zeros((13, 2), np.float32)
    keypoints[12] = 100, 20  # head
    keypoints[10], keypoints[11] = (80, 60), (122, 64)  # shoulders: mean (101, 62)
    keypoints[4], keypoints[5] = (88, 160), (112, 168)  # hips: mean (100, 164)
    result = remap(keypoints, "lcrnet13", "smarthome17")
    expected = [(100, 20), (100.5, 41), (101, 62), (100.5, 113), (100, 164)]
    assert np.array_equal(result.keypoints[:5], np.float32(expected))
    assert [origin.how for origin in result.ledger] == ["exact"] + ["derived"] * 4 + ["exact"] * 12


def test_the_same_point_under_another_name():
    cases = [
        ("nturgbd25", "mpii16", "pelvis", "spine_base"),
        ("h36m17", "body25", "mid_hip", "pelvis"),
        ("mpii16", "nturgbd25", "spine_shoulder", "thorax"),
        ("nturgbd25", "h36m17", "spine", "spine_mid"),
        ("posetrack17", "mpii16", "upper_neck", "head_bottom"),
    ]
    for source, target, joint, parent in cases:
        origin = origins(source, target)[joint]
        assert (origin.how, origin.rule, origin.parents) == (
            "derived",
            "same_point",
            ((parent, 1.0),),
        )


def test_the_neck_of_kinect_is_not_the_neck_of_openpose():
    assert origins("nturgbd25", "openpose18")["neck"].rule == "mid_shoulders"
    assert origins("openpose18", "nturgbd25")["neck"].rule == "mid_shoulders"
    # Nor is Kinect v1's low spine half-way up the back.
    assert origins("kinect20", "h36m17")["spine"].rule == "mid_torso"
    assert origins("h36m17", "kinect20")["spine"].how == "unavailable"


def test_every_estimator_gives_the_13_joints_of_sst_a():
    for source in set(NAMES) - {"h36m17", "crowdpose14"}:
        assert all(origin.how != "unavailable" for origin in remap_ledger(source, "main13"))
    # Their only head joint is the top of the head, with no end below that would give its middle.
    for source in ("h36m17", "crowdpose14"):
        assert origins(source, "main13")["head"].how == "unavailable"


def test_one_missing_coordinate_of_one_parent_makes_the_joint_missing():
    keypoints = np.ones((2, 17, 2), np.float32)
    keypoints[0, 5, 0] = np.nan
    ones = np.ones((2, 17))
    result = remap(keypoints, "coco17", "openpose18", ones, 2 * ones)
    assert np.isnan(result.keypoints[0, 1]).all() and result.keypoints[1, 1].tolist() == [1, 1]
    assert result.scores[:, 1].tolist() == [0, 1]
    assert result.visibility[:, 1].tolist() == [0, 2]


def test_float32_means_are_rounded_once():
    """Near 2**24, where float32 counts in twos; summed in float32 this mean is 2**24 + 4."""
    keypoints = np.zeros((17, 1), np.float32)
    keypoints[[5, 6, 11, 12], 0] = 2**24 + 2, 2**24 + 2, 2**24 + 2, 2**24 + 4
    assert remap(keypoints, "coco17", "h36m17").keypoints[7, 0] == 2**24 + 2
    largest = np.finfo(np.float32).max
    assert remap(np.full((17, 1), largest), "coco17", "h36m17").keypoints[7, 0] == largest


def test_a_skeleton_of_ones_own():
    mine = Skeleton.from_dict(
        "torso4",
        {
            "joints": ["left_shoulder", "right_shoulder", "left_hip", "right_hip"],
            "bones": [[0, 1], [2, 3]],
            "swap": [[0, 1], [2, 3]],
            "root": "left_hip",
        },
    )
    ledger = remap_ledger(mine, "smarthome17")
    assert [o.joint for o in ledger if o.how == "derived"] == ["neck", "chest", "mid_hip"]
    assert {o.how for o in remap_ledger("coco17", mine)} == {"exact"}


# Shapes, errors, and what people read.


def test_no_poses_and_no_leading_axes():
    assert remap(np.zeros((0, 17, 2), np.float32), "coco17", "ntu").keypoints.shape == (0, 25, 2)
    assert remap(np.zeros((17, 4), np.float16), "coco17", "ntu").keypoints.shape == (25, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keypoints": np.zeros((5, 18, 2), np.float32)}, r"expected \(\.\.\., 17, C\)"),
        ({"keypoints": np.zeros(17, np.float32)}, r"expected \(\.\.\., 17, C\)"),
        ({"keypoints": np.zeros((5, 17, 2), np.uint8)}, "found uint8"),
        ({"scores": np.zeros((4, 17))}, "scores that do not fit"),
        ({"visibility": np.zeros((5, 17, 1))}, "visibility that do not fit"),
        ({"source": "coco_17_joints"}, "unknown skeleton"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    keypoints = np.zeros((5, 17, 2), np.float32)
    with pytest.raises(UsageError, match=message):
        remap(**{"keypoints": keypoints, "source": "coco17", "target": "ntu", **arguments})


def test_the_ledger_as_a_table():
    table = format_ledger(remap_ledger("coco17", "body25")).splitlines()
    assert table[0] == "25 joints: 17 exact, 2 derived, 6 unavailable"
    assert table[2].split() == [
        "neck",
        "derived",
        "mid_shoulders",
        "0.5",
        "left_shoulder",
        "+",
        "0.5",
        "right_shoulder",
    ]
    assert len({line.index(line.split()[1]) for line in table[1:]}) == 1
    assert format_ledger(()) == "0 joints: 0 exact, 0 derived, 0 unavailable"
