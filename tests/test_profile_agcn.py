"""`posedata.profiles.agcn`: by hand, and against numbers that the original script gave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slot_texts import NAME, SEEDS, clip_of, nasty_text, skeleton_text

from posedata.converters.ntu_samples import known_bad_names, parse_name
from posedata.errors import InputError, UsageError
from posedata.profiles.agcn import AGCN, AGCN_KINETICS, rows

# 2s-AGCN's gendata, run on nasty_text of SEEDS: the sizes of all finite numbers,
# weighted by WEIGHTS and added up, and how many are not finite. Not a checksum of bits: the last
# one depends on the processor's matrix product.
WEIGHTS = (np.arange(3 * 300 * 25 * 2) % 97 + 1).reshape(3, 300, 25, 2)
ORIGINAL = [
    (276227.4, 0), (1114117.6, 0), (307863.31, 0), (1208639.0, 0), (387917.97, 0),
    (2019454.8, 0), (2550366.1, 0), (783311.34, 0), (1019570.3, 0), (152217.66, 0),
    (237281.94, 0), (1641236.0, 0), (2114121.1, 279), (870292.28, 0), (2178605.4, 60),
    (848821.03, 0), (1079584.6, 0), (538432.32, 0), (307987.92, 0), (1518460.2, 0),
    (1194238.1, 0), (872957.09, 0), (0.0, 0), (149007.08, 0), (79595.294, 0), (668965.49, 0),
    (679625.26, 0), (691452.8, 0), (317290.72, 0), (770849.45, 0), (470429.07, 0),
    (955.28572, 0), (881181.4, 0), (784601.98, 0), (885008.86, 0), (0.0, 0), (2035467.2, 0),
    (705836.29, 0), (731089.29, 0), (2188491.3, 0),
]  # fmt: skip
# The same, x, y, z of joints 0 and 8 of both bodies in frames 0, 10 and 299.
ORIGINAL_JOINTS = {
    1: [[[[-0.104379, 0.55997], [0.772765, 0.297221]], [[0.041038, 0.0], [0.90507, 0.0]], [[0.0,
        -0.292458], [-0.191681, 0.175787]]], [[[0.197364, 0.217978], [0.264564, -0.085788]],
    [[0.376864, 0.0], [-0.099041, 0.0]], [[0.0, 0.647866], [0.28197, 0.291035]]], [[[-0.123245,
        -1.008362], [-0.672513, -0.770901]], [[-0.361303, 0.0], [-0.825575, 0.0]], [[0.0, 1.022491],
    [0.621432, 0.053755]]]],
    7: [[[[-0.170567, -0.615382], [0.381707, 0.533146]], [[-0.170567, -0.615382], [0.381707,
        0.533146]], [[-0.170393, -0.615424], [0.38127, 0.533104]]], [[[0.054163, -0.487706],
    [0.055912, 0.090538]], [[0.054163, -0.487706], [0.055912, 0.090538]], [[0.054447,
        -0.487182], [0.056446, 0.091061]]], [[[-0.279399, -0.304636], [-0.791325, -0.179592]],
    [[-0.279399, -0.304636], [-0.791325, -0.179592]], [[-0.279847, -0.30469], [-0.791749,
        -0.179647]]]],
}  # fmt: skip


def columns(name, **others):
    numbers = parse_name(name)
    return {
        "clip_id": name, "label": numbers.action - 1, "subject": numbers.performer,
        "camera": numbers.camera, "setup": numbers.setup, "known_bad": name in known_bad_names(),
        **others,
    }  # fmt: skip


@pytest.mark.parametrize(("seed", "expected"), list(zip(SEEDS, ORIGINAL, strict=True)))
def test_it_gives_what_the_script_gave(seed, expected):
    result, _ = AGCN.apply(clip_of(nasty_text(seed)))
    assert result.shape == (3, 300, 25, 2) and result.dtype == np.float32
    finite = np.isfinite(result)
    total, num_lost = expected
    assert np.count_nonzero(~finite) == num_lost
    sizes = np.abs(np.where(finite, result, 0).astype(np.float64))
    assert (sizes * WEIGHTS).sum() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("seed", ORIGINAL_JOINTS)
def test_joints_are_where_the_script_put_them(seed):
    result, _ = AGCN.apply(clip_of(nasty_text(seed)))
    found = result[:, [0, 10, 299]][:, :, [0, 8]]
    np.testing.assert_allclose(found, ORIGINAL_JOINTS[seed], atol=1e-5)


def still_text(num_frames):
    """One body upright along y, shoulders along -z, its spine at (1, 2, 3)."""
    joints = [[1.0, 2.0, 3.0]] * 25
    joints[0] = [1.0, 1.5, 3.0]
    joints[4], joints[8] = [1.0, 2.5, 3.25], [1.0, 2.5, 2.75]
    tokens = [[str(value) for value in joint] for joint in joints]
    return skeleton_text([[(0, tokens)]] * num_frames)


def test_by_hand():
    result, changes = AGCN.apply(clip_of(still_text(3)))
    # up is z, from the left shoulder (4) to the right one (8) is x
    expected = {0: (0, 0, -0.5), 1: (0, 0, 0), 4: (-0.25, 0, 0.5), 8: (0.25, 0, 0.5)}
    for joint, place in expected.items():
        np.testing.assert_allclose(result[:, :, joint, 0], np.array(place)[:, None] * np.ones(300),
                                   atol=1e-6)  # fmt: skip
    assert not result[..., 1].any()
    assert [(c.step, c.what, c.amount) for c in changes] == [
        ("pad_by_repeating", "frames filled by repeating a body", 297)
    ]


def test_more_than_300_frames_have_no_result():
    assert AGCN.apply(clip_of(still_text(300)))[0].all((0, 2, 3)).sum() == 0  # of both bodies
    with pytest.raises(InputError, match="at most 300"):
        AGCN.apply(clip_of(still_text(301)))


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_any_clip_has_a_result_or_a_reason(seed):
    try:
        result, changes = AGCN.apply(clip_of(nasty_text(seed)))
    except InputError:
        return
    assert result.shape == (3, 300, 25, 2)
    assert all(change.amount > 0 for change in changes)


@pytest.mark.real
def test_real_clips_stand_upright(shared):
    files = sorted((shared / "data/ntu/skeletons").glob("*.skeleton"))
    assert files
    for file in files:
        result, _ = AGCN.apply(clip_of(file.read_bytes(), file.stem))
        first = result[:, 0, :, 0]
        assert np.abs(first[:, 1]).max() == 0  # the spine is the origin
        across = first[:, 8] - first[:, 4]
        assert across[0] > 0.1 and np.abs(across[1:]).max() < 1e-5
        # turning the shoulders onto x tilts the back again, which was turned onto z before
        assert first[2, 0] < -0.1 and 1e-5 < np.abs(first[:2, 0]).max() < 0.1


# Rows


def test_rows_by_subject_and_camera():
    names = ["S001C001P001R001A060", "S001C002P003R001A002", "S001C003P002R001A001"]
    clips = [columns(name) for name in names]
    assert [row.name for row in rows(clips, "xsub", "train").rows] == [
        "S001C001P001R001A060.skeleton", "S001C003P002R001A001.skeleton",
    ]  # fmt: skip
    assert [row[1:] for row in rows(clips, "xsub", "val").rows] == [
        ("S001C002P003R001A002.skeleton", 1)
    ]
    assert [row.clip_id for row in rows(clips, "xview", "train").rows] == names[1:]
    assert [row.label for row in rows(clips, "xview", "val").rows] == [59]


def test_samples_with_missing_skeletons_are_left_out():
    bad = min(known_bad_names())
    found = rows([columns(bad), columns(NAME)], "xview", "train")
    assert [row.clip_id for row in found.rows] == [NAME]
    assert found.left_out == [(bad, "in the list of samples with missing skeletons")]


def test_names_of_ntu120_are_paths():
    names = ["S018C001P045R001A061", "S017C001P003R001A001", "S002C001P001R001A001"]
    clips = [columns(name) for name in names]
    assert [row.name for row in rows(clips, "xset", "train", "ntu120").rows] == [
        "../data/nturgbd_raw/nturgb+d_skeletons/S002C001P001R001A001.skeleton",
        "../data/nturgbd_raw/nturgb+d_skeletons120/S018C001P045R001A061.skeleton",
    ]
    found = rows(clips, "xsub", "train", "ntu120", folders=("b", "a"))
    assert [row.name for row in found.rows] == [
        "a/S018C001P045R001A061.skeleton", "b/S002C001P001R001A001.skeleton",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("xset", "train", "ntu60"),
        ("xview", "train", "ntu120"),
        ("xsub", "test", "ntu60"),
        ("xsub", "train", "ntu90"),
    ],
)
def test_unknown_protocols_and_parts_are_refused(arguments):
    with pytest.raises(UsageError, match="unknown"):
        rows([columns(NAME)], *arguments)


def test_opposite_shoulders_are_not_turned():
    # the script finds no axis to turn about, and leaves the body as it is
    joints = [["0", "0", "1"]] * 25
    joints[0], joints[4], joints[8] = ["0", "0", "0.5"], ["1", "0", "2"], ["-1", "0", "2"]
    result, _ = AGCN.apply(clip_of(skeleton_text([[(0, joints)]])))
    assert result[:, 0, 8, 0].tolist() == [-1, 0, 1]


def test_profiles_read_as_chains():
    assert [step.name for step in AGCN.steps] == [
        "slots_by_position", "keep_most_energy", "pad_with_zeros", "pad_by_repeating", "centre",
        "rotate_bone", "rotate_bone", "channels_first",
    ]  # fmt: skip
    for each in (*AGCN.steps, *AGCN_KINETICS.steps):
        assert each.about
