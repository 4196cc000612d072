"""Parts of the body, spines and parents, for every skeleton."""

import json
from importlib import resources

import numpy as np
import pytest

from posedata.errors import UsageError
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton
from posedata.transforms import SUB_GRAPHS, joints_of_part, parents_of, spine_of
from posedata.transforms.body_parts import flip_order_of

SCHEMA = json.loads(
    resources.files("posedata.schemas").joinpath("body_parts.json").read_text("utf-8")
)
ALL = [load_skeleton(name) for name in list_skeletons()]


def names(skeleton, part):
    inside = joints_of_part(skeleton, part)
    return {joint for joint, is_in in zip(skeleton.joints, inside, strict=True) if is_in}


@pytest.mark.parametrize("skeleton", ALL, ids=lambda skeleton: skeleton.name)
def test_parts_of_every_skeleton(skeleton):
    parts = {part: joints_of_part(skeleton, part) for part in SUB_GRAPHS}
    assert all(part.shape == (skeleton.num_joints,) for part in parts.values())
    np.testing.assert_array_equal(parts["upper"], ~parts["lower"])
    assert not parts["none"].any()
    assert not (parts["left"] & parts["right"]).any()
    assert (parts["left"] | parts["right"] | parts["centre"]).all()
    # mirroring exchanges the sides and nothing else
    order = skeleton.flip_order
    np.testing.assert_array_equal(parts["left"][order], parts["right"])
    for part in ("upper", "lower", "centre"):
        np.testing.assert_array_equal(parts[part][order], parts[part])
    for joint in skeleton.joints:
        assert (joint in names(skeleton, "left")) == joint.startswith("left_") or "face" in joint
        assert (joint in names(skeleton, "right")) == joint.startswith("right_") or "face" in joint
    limbs = {f"{side}_{part}" for side in ("left", "right")
             for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}  # fmt: skip
    assert limbs <= set(skeleton.joints)
    assert not limbs & names(skeleton, "centre")
    legs = {joint for joint in limbs if joint.endswith(("hip", "knee", "ankle"))}
    assert legs <= names(skeleton, "lower")
    assert limbs - legs <= names(skeleton, "upper")
    # no part is all there is, so that no mask hides everything
    assert all(not part.all() for part in parts.values())
    assert all(part.any() for name, part in parts.items() if name != "none")


def test_parts_of_ntu_by_hand():
    ntu = load_skeleton("nturgbd25")
    assert names(ntu, "lower") == {
        "spine_base", "left_hip", "left_knee", "left_ankle", "left_foot",
        "right_hip", "right_knee", "right_ankle", "right_foot",
    }  # fmt: skip
    assert names(ntu, "centre") == {"spine_base", "spine_mid", "spine_shoulder", "neck", "head"}
    assert names(ntu, "right") == {
        "right_shoulder", "right_elbow", "right_wrist", "right_hand", "right_hand_tip",
        "right_thumb", "right_hip", "right_knee", "right_ankle", "right_foot",
    }  # fmt: skip


def test_parts_of_coco_by_hand():
    coco = load_skeleton("coco17")
    assert names(coco, "centre") == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}


def test_every_name_in_the_schema_is_of_a_skeleton():
    upper, lower, centre = (SCHEMA[part] for part in ("upper", "lower", "centre"))
    assert {*SCHEMA["links"]} - {"about"} <= {*list_skeletons()}
    assert not set(upper) & set(lower)
    assert set(centre) <= {*upper, *lower}
    assert len({*upper, *lower}) == len(upper) + len(lower)
    found = {joint for skeleton in ALL for joint in skeleton.joints}
    for name in (*upper, *lower):
        assert any(name in joint for joint in found), name


def test_unknown_joints_and_skeletons_without_a_spine():
    strange = Skeleton("cat", ("tail", "left_ear", "right_ear"), ((0, 1),), ((1, 2),), "tail")
    with pytest.raises(UsageError, match="tail"):
        joints_of_part(strange, "upper")
    assert joints_of_part(strange, "left").tolist() == [False, True, False]
    with pytest.raises(UsageError, match="spine"):
        spine_of(strange)


@pytest.mark.parametrize("skeleton", ALL, ids=lambda skeleton: skeleton.name)
def test_spines_go_upwards(skeleton):
    lower, upper = spine_of(skeleton)
    parts = joints_of_part(skeleton, "lower"), joints_of_part(skeleton, "upper")
    assert parts[0][lower].all()
    assert parts[1][upper].all()


@pytest.mark.parametrize(
    ("name", "lower", "upper"),
    [("nturgbd25", ["spine_base"], ["spine_mid"]), ("kinect20", ["hip_center"], ["spine"]),
     ("h36m17", ["pelvis"], ["thorax"]),
     ("coco17", ["left_hip", "right_hip"], ["left_shoulder", "right_shoulder"])],
)  # fmt: skip
def test_spines_by_hand(name, lower, upper):
    skeleton = load_skeleton(name)
    found = spine_of(skeleton)
    assert [skeleton.joints[joint] for joint in found[0]] == lower
    assert [skeleton.joints[joint] for joint in found[1]] == upper


@pytest.mark.parametrize("skeleton", ALL, ids=lambda skeleton: skeleton.name)
def test_parents_are_a_forest_along_bones(skeleton):
    parents = parents_of(skeleton)
    bones = {frozenset(bone) for bone in skeleton.bones}
    pairs = SCHEMA["links"].get(skeleton.name, {"pairs": []})["pairs"]
    links = {frozenset(skeleton.index(joint) for joint in pair) for pair in pairs}
    for joint in range(skeleton.num_joints):
        seen, place = set(), joint
        while parents[place] >= 0:
            assert place not in seen
            seen.add(place)
            assert frozenset((place, int(parents[place]))) in bones | links
            place = parents[place]
    # sides are each other's mirror, so that mirroring and bones may change their order
    order = skeleton.flip_order
    mirrored = np.where(parents < 0, -1, order[parents])[order]
    np.testing.assert_array_equal(mirrored, parents)


def test_roots():
    def roots(name):
        skeleton = load_skeleton(name)
        parents = parents_of(skeleton)
        return [skeleton.joints[joint] for joint in np.flatnonzero(parents < 0)]

    assert roots("nturgbd25") == ["spine_shoulder"]  # 2s-AGCN's joint 21
    assert roots("kinect20") == ["shoulder_center"]  # joint 3 in CTR-GCN's feeder of N-UCLA
    assert roots("openpose18") == ["neck"]
    assert roots("coco17") == ["nose"]
    assert roots("h36m17") == ["pelvis"]
    assert roots("main13") == ["head"]
    assert roots("blazepose33") == ["nose"]
    # the face of COCO-WholeBody has no bones
    assert all("face" in joint for joint in roots("coco_wholebody133")[1:])


def test_parents_of_coco_are_pyskls():
    # PYSKL's pairs (joint, parent) for COCO's keypoints
    assert parents_of(load_skeleton("coco17")).tolist() == [
        -1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14,
    ]  # fmt: skip


def test_parents_that_go_in_a_circle_are_no_tree():
    names = ("neck", "left_hip", "right_hip")
    circle = Skeleton("circle", (*names, "head"), ((0, 1), (1, 2), (2, 0)), ((1, 2),), "neck")
    assert parents_of(circle).tolist() == [-1, 0, 0, -1]


@pytest.mark.parametrize("skeleton", ALL, ids=lambda skeleton: skeleton.name)
def test_flip_order_is_the_skeletons(skeleton):
    np.testing.assert_array_equal(flip_order_of(skeleton), skeleton.flip_order)
