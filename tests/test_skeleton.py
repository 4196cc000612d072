"""Every skeleton file against facts written here, and manifests against anything they may hold."""

import json
import re
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import ReleaseError, UsageError
from posedata.skeleton import Skeleton, list_skeletons, load_skeleton

NAMES = list_skeletons()
SCHEMAS = {
    name: json.loads(
        resources.files("posedata.schemas")
        .joinpath(f"skeletons/{name}.json")
        .read_text(encoding="utf-8")
    )
    for name in NAMES
}

# MediaPipe joins face, mouth and body to nothing; COCO-WholeBody's hands hang free and its face
# has no bones; PoseTrack never labels the ears; OpenPose draws BODY_25B's face by itself.
LOOSE = {"blazepose33", "coco_wholebody133", "posetrack17", "body25b"}
CONNECTED = [n for n in NAMES if n not in LOOSE]

COCO_17 = ["nose"] + [
    f"{side}_{part}"
    for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
COCO_SIGMAS = [0.026] + [
    sigma for sigma in (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089) for _ in "lr"
]
ORDERS = {
    "nturgbd25": """spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand
        right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot
        right_hip right_knee right_ankle right_foot spine_shoulder left_hand_tip left_thumb
        right_hand_tip right_thumb""",
    "kinect20": """hip_center spine shoulder_center head left_shoulder left_elbow left_wrist
        left_hand right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle
        left_foot right_hip right_knee right_ankle right_foot""",
    "openpose18": """nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow
        left_wrist right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye
        left_eye right_ear left_ear""",
    "body25b": """nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow
        right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle
        right_ankle upper_neck head_top left_big_toe left_small_toe left_heel right_big_toe
        right_small_toe right_heel""",
    "mpii16": """right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax
        upper_neck head_top right_wrist right_elbow right_shoulder left_shoulder left_elbow
        left_wrist""",
    "h36m17": """pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax
        neck_base head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow
        right_wrist""",
    "lcrnet13": """right_ankle left_ankle right_knee left_knee right_hip left_hip right_wrist
        left_wrist right_elbow left_elbow right_shoulder left_shoulder head""",
    "penn13": """head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist
        left_hip right_hip left_knee right_knee left_ankle right_ankle""",
    "smarthome17": """head nose neck chest mid_hip left_shoulder right_shoulder left_elbow
        right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle
        right_ankle""",
}

# Our file, the key of data/lists/joint_sets.json, the key of data/lists/mmpose_joint_sets.json.
REAL_LISTS = [
    ("nturgbd25", "kinect_v2_25", None),
    ("kinect20", "kinect_v1_20", None),
    ("coco17", "coco_17", "coco"),
    ("openpose18", "openpose_coco_18", None),
    ("body25", "openpose_body_25", None),
    ("mpi15", "openpose_mpi_15", None),
    ("mpii16", "mpii_16", "mpii"),
    ("h36m17", "h36m_17", "h36m"),
    ("lcrnet13", "lcrnet_13", None),
    ("penn13", "penn_13", None),
    ("smarthome17", "unik_17", None),
    ("halpe26", "halpe_26", "halpe26"),
    ("blazepose33", "mediapipe_33", None),
    ("coco_wholebody133", "coco_wholebody_133", "coco_wholebody"),
    ("crowdpose14", "mmpose_crowdpose", "crowdpose"),
    ("posetrack17", "mmpose_posetrack18", "posetrack18"),
    ("panoptic19", "mmpose_panoptic_body3d", "panoptic_body3d"),
]


def other_side(joint):
    side, _, rest = joint.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)


def is_connected(skeleton):
    reached, frontier = set(), {0}
    while frontier:
        reached |= frontier
        frontier = {
            joint for bone in skeleton.bones if reached & set(bone) for joint in bone
        } - reached
    return len(reached) == skeleton.num_joints


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_file_is_well_formed(name):
    schema, skeleton = SCHEMAS[name], load_skeleton(name)
    assert schema["name"] == name
    assert skeleton.num_joints == int(re.search(r"(\d+)b?$", name)[1]) == len(set(skeleton.joints))
    assert {i for bone in skeleton.bones for i in bone} <= set(range(skeleton.num_joints))
    assert len({frozenset(bone) for bone in skeleton.bones}) == len(skeleton.bones)
    assert skeleton.sigmas is None or len(skeleton.sigmas) == skeleton.num_joints
    assert skeleton.root in skeleton.joints
    assert set(schema["joint_aliases"].values()) <= set(skeleton.joints)
    assert set(schema["joint_aliases"]).isdisjoint(skeleton.joints)
    assert schema["source"] and all(schema["notes"])


@pytest.mark.parametrize("name", NAMES)
def test_swap_pairs_are_left_then_right_and_cover_every_sided_joint(name):
    skeleton = load_skeleton(name)
    named = {
        (i, skeleton.joints.index(other_side(joint)))
        for i, joint in enumerate(skeleton.joints)
        if joint.startswith("left_")
    }
    sided = {i for i, joint in enumerate(skeleton.joints) if joint != other_side(joint)}
    assert named <= set(skeleton.swap)
    assert {i for pair in named for i in pair} == sided
    # Only the points of the face of COCO-WholeBody have sides without saying so in their names.
    rest = {skeleton.joints[i] for pair in set(skeleton.swap) - named for i in pair}
    assert all(re.fullmatch(r"face_\d+", joint) for joint in rest)


@pytest.mark.parametrize("name", CONNECTED)
def test_bones_join_all_joints(name):
    assert is_connected(load_skeleton(name))


def test_aliases_are_unique_and_lead_to_their_skeleton():
    words = [word for name in NAMES for word in (name, *SCHEMAS[name]["aliases"])]
    assert len(words) == len(set(words))
    for name in NAMES:
        for alias in SCHEMAS[name]["aliases"]:
            assert load_skeleton(alias).name == name


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_the_joints(name):
    assert list(load_skeleton(name).joints) == ORDERS[name].split()


def test_sets_that_begin_with_coco17():
    assert list(load_skeleton("coco17").joints) == COCO_17
    assert list(load_skeleton("halpe26").joints[:17]) == COCO_17
    assert list(load_skeleton("body25b").joints[:17]) == COCO_17
    assert list(load_skeleton("coco_wholebody133").joints[:17]) == COCO_17


def test_oks_sigmas_of_coco():
    assert list(load_skeleton("coco17").sigmas) == COCO_SIGMAS
    assert list(load_skeleton("coco_wholebody133").sigmas[:17]) == COCO_SIGMAS
    # The same joints in another order.
    sigma_of = dict(zip(COCO_17, COCO_SIGMAS, strict=True))
    crowdpose = load_skeleton("crowdpose14")
    assert list(crowdpose.sigmas[:12]) == [sigma_of[joint] for joint in crowdpose.joints[:12]]


def test_places_where_sets_are_mixed_up():
    body25, openpose18 = load_skeleton("body25"), load_skeleton("openpose18")
    assert (body25.joints[8], openpose18.joints[8]) == ("mid_hip", "right_hip")
    assert openpose18.joints[2] == "right_shoulder" and openpose18.joints[5] == "left_shoulder"
    feet = ("big_toe", "small_toe", "heel")
    alternating = [f"{side}_{part}" for part in feet for side in ("left", "right")]
    by_side = [f"{side}_{part}" for side in ("left", "right") for part in feet]
    assert list(load_skeleton("halpe26").joints[20:]) == alternating
    assert list(load_skeleton("body25").joints[19:]) == by_side
    pairs = zip(body25.joints, load_skeleton("body25b").joints, strict=True)
    assert [i for i, (a, b) in enumerate(pairs) if a == b] == [0, 5, 13, *range(19, 25)]
    assert list(load_skeleton("coco_wholebody133").joints[17:23]) == by_side
    assert load_skeleton("halpe26").joints[17] == "head_top"
    assert load_skeleton("panoptic19").joints[15:] == (
        "left_eye",
        "left_ear",
        "right_eye",
        "right_ear",
    )


def test_the_face_of_wholebody_is_sided_by_the_person():
    """300-W: jaw 0 is on the person's right, eye 45 is the outer corner of the left eye."""
    skeleton = load_skeleton("coco_wholebody133")
    pairs = {(left - 23, right - 23) for left, right in skeleton.swap if 23 <= left <= 90}
    assert {(16, 0), (26, 17), (45, 36), (35, 31), (54, 48), (55, 59), (64, 60), (65, 67)} <= pairs
    assert len(pairs) == 29  # 68 points, of which 10 lie in the middle
    middle = {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    assert middle == set(range(68)) - {i for pair in pairs for i in pair}


def test_the_joints_that_measure_the_head():
    heads = {name: load_skeleton(name).head for name in NAMES}
    assert {name: head for name, head in heads.items() if head} == {
        "nturgbd25": ("neck", "head"),
        "kinect20": ("shoulder_center", "head"),
        "mpi15": ("upper_neck", "head_top"),
        "mpii16": ("upper_neck", "head_top"),
        "body25b": ("upper_neck", "head_top"),
        "h36m17": ("neck_base", "head_top"),
        "smarthome17": ("neck", "head"),
        "halpe26": ("neck", "head_top"),
        "crowdpose14": ("neck", "head_top"),
        "posetrack17": ("head_bottom", "head_top"),
    }


@pytest.mark.real
@pytest.mark.parametrize(("name", "key", "mmpose_key"), REAL_LISTS)
def test_schema_files_agree_with_the_published_lists(shared, name, key, mmpose_key):
    lists = shared / "data" / "lists"
    skeleton, aliases = load_skeleton(name), SCHEMAS[name]["joint_aliases"]
    published = json.loads((lists / "joint_sets.json").read_text(encoding="utf-8"))[key]
    assert list(skeleton.joints) == [aliases.get(joint, joint) for joint in published["joints"]]
    bones = [list(bone) for bone in skeleton.bones]
    assert bones[: len(published["bones_0based"])] == published["bones_0based"]
    if mmpose_key is not None:
        mmpose = json.loads((lists / "mmpose_joint_sets.json").read_text(encoding="utf-8"))
        mmpose = mmpose[mmpose_key]
        assert list(skeleton.sigmas or []) == mmpose["sigmas"]
        swapped = [mmpose["swap"][i] or mmpose["names"][i] for i in range(skeleton.num_joints)]
        assert [mmpose["names"][i] for i in skeleton.flip_order] == swapped


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_a_skeleton(name):
    skeleton = load_skeleton(name)
    assert skeleton.bone_indices.shape == (len(skeleton.bones), 2)
    assert skeleton.bone_indices.tolist() == [list(bone) for bone in skeleton.bones]
    order = skeleton.flip_order
    assert np.array_equal(order[order], np.arange(skeleton.num_joints))
    flipped = [skeleton.joints[i] for i in order]
    assert all(
        b == other_side(a) or re.fullmatch(r"face_\d+", b)
        for a, b in zip(skeleton.joints, flipped, strict=True)
    )


def test_a_skeleton_without_bones_still_gives_pairs():
    assert Skeleton("point1", ("nose",), (), (), "nose").bone_indices.shape == (0, 2)


def test_names_are_found_in_any_spelling():
    for word in ("BODY_25", "body-25", " openpose25 "):
        assert load_skeleton(word) is load_skeleton("body25")
    assert load_skeleton("ntu").name == "nturgbd25"
    assert load_skeleton("unik17").name == "smarthome17"


@pytest.mark.parametrize("word", ["cooc17", "../coco17", "", None, 17, ["coco17"]])
def test_an_unknown_name_lists_the_known_ones(word):
    with pytest.raises(UsageError, match="unknown skeleton") as error:
        load_skeleton(word)
    assert all(name in str(error.value) for name in NAMES)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean coco17"):
        load_skeleton("cooc17")
    with pytest.raises(UsageError, match="openpose18"):
        load_skeleton("openpose")  # BODY_25 or OpenPose-18, so no alias


def test_index():
    skeleton = load_skeleton("body25")
    assert skeleton.index("mid_hip") == 8
    with pytest.raises(UsageError, match="Did you mean left_elbow"):
        skeleton.index("left_elbo")


@pytest.mark.parametrize("name", NAMES)
def test_a_skeleton_survives_the_manifest(name):
    skeleton = load_skeleton(name)
    value = json.loads(json.dumps(skeleton.to_dict()))
    assert sorted(value) == ["bones", "head", "joints", "root", "sigmas", "swap"]
    assert Skeleton.from_dict(name, value) == skeleton
    assert hash(Skeleton.from_dict(name, value)) == hash(skeleton)


GOOD = {
    "joints": ["nose", "left_eye", "right_eye"],
    "bones": [[0, 1], [0, 2]],
    "swap": [[1, 2]],
    "root": "nose",
}


def test_head_sigmas_and_unknown_keys_may_be_absent_or_present():
    assert Skeleton.from_dict("x", GOOD).head is None
    assert Skeleton.from_dict("x", {**GOOD, "colour": "red"}) == Skeleton.from_dict("x", GOOD)
    assert Skeleton.from_dict("x", {**GOOD, "sigmas": [1, 0.5, 0.5]}).sigmas == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"joints": ["nose", "nose", "right_eye"]}, r"joints\[1\]"),
        ({"joints": ["nose", "Left Eye", "right_eye"]}, r"joints\[1\]"),
        ({"joints": ["nose", "left_eye\n", "right_eye"]}, r"joints\[1\]"),
        ({"joints": ["nose", 3, "right_eye"]}, r"joints\[1\]"),
        ({"joints": []}, "joints"),
        ({"joints": "nose"}, "joints"),
        ({"bones": [[0, 1], [0, 3]]}, r"bones\[1\]"),
        ({"bones": [[0, -1]]}, r"bones\[0\]"),
        ({"bones": [[0, 1.0]]}, r"bones\[0\]"),
        ({"bones": [[0, True]]}, r"bones\[0\]"),
        ({"bones": [[0, 0]]}, r"bones\[0\]"),
        ({"bones": [[0, 1, 2]]}, r"bones\[0\]"),
        ({"bones": {"0": 1}}, "bones"),
        ({"swap": [[1, 2], [2, 0]]}, r"swap\[1\]"),
        ({"swap": [[1, 10**30]]}, r"swap\[0\]"),
        ({"root": "pelvis"}, "root"),
        ({"root": ["nose"]}, "root"),
        ({"head": ["nose", "nose"]}, "head"),
        ({"head": ["nose", "chin"]}, "head"),
        ({"head": "nose"}, "head"),
        ({"sigmas": [0.1, 0.1]}, "sigmas"),
        ({"sigmas": [0.1, 0.1, float("nan")]}, "sigmas"),
        ({"sigmas": [0.1, 0.1, 10**400]}, "sigmas"),
        ({"sigmas": [0.1, 0.1, 0]}, "sigmas"),
        ({"sigmas": [0.1, 0.1, True]}, "sigmas"),
    ],
)
def test_a_malformed_manifest_entry_is_refused_with_its_place(change, place):
    with pytest.raises(ReleaseError, match=rf"skeletons\.x\.{place}:"):
        Skeleton.from_dict("x", {**GOOD, **change})


@pytest.mark.parametrize("field", GOOD)
def test_a_manifest_entry_without_a_field_is_refused(field):
    with pytest.raises(ReleaseError, match=f"without {field}"):
        Skeleton.from_dict("x", {key: value for key, value in GOOD.items() if key != field})


@pytest.mark.parametrize("name", ["", "a\nb", "\ud800", None, 3])
def test_a_skeleton_needs_a_printable_name(name):
    with pytest.raises(ReleaseError, match="not a name"):
        Skeleton.from_dict(name, GOOD)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {
        key: st.just(value) | ANYTHING | st.lists(st.lists(st.integers(-1, 3), max_size=3))
        for key, value in GOOD.items()
    },
    optional={"head": ANYTHING, "sigmas": ANYTHING | st.lists(st.floats(), min_size=3, max_size=3)},
)


@given(name=st.text() | ANYTHING, value=ANYTHING | NEARLY)
def test_any_manifest_entry_gives_a_skeleton_or_a_release_error(name, value):
    try:
        skeleton = Skeleton.from_dict(name, value)
    except ReleaseError as error:
        assert str(error).startswith("skeletons") and str(error).isprintable()
    else:
        assert Skeleton.from_dict(skeleton.name, skeleton.to_dict()) == skeleton


def test_importing_skeletons_does_not_import_numpy():
    code = "import sys, posedata.skeleton; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
