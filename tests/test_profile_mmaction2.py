"""`posedata.profiles.mmaction2`: by hand, and against the bits that the original script gave."""

import numpy as np
import pytest
from slot_texts import SEEDS, clip_of, digest, nasty_text, skeleton_text

from posedata.converters.ntu_samples import known_bad_names, parse_name
from posedata.profiles.agcn import AGCN
from posedata.profiles.mmaction2 import (
    MMACTION2,
    MMACTION2_V0,
    annotation,
    annotation_v0,
    table,
)

# read_xyz(...).astype(np.float16) of mmaction2 1.x, run on nasty_text of SEEDS.
ORIGINAL = "3caa57c3a277caa5"


def body(number, *, at, spread):
    """A body whose joints lie on a line along y."""
    return number, [[str(at), str(1 + spread * k), "2"] for k in range(25)]


def columns(name):
    numbers = parse_name(name)
    return {
        "clip_id": name, "label": numbers.action - 1, "subject": numbers.performer,
        "camera": numbers.camera, "setup": numbers.setup, "known_bad": name in known_bad_names(),
    }  # fmt: skip


def test_it_gives_the_bits_that_the_script_gave():
    results = [MMACTION2.apply(clip_of(nasty_text(seed)))[0] for seed in SEEDS]
    assert {len(result) for result in results} == {0, 1, 2}
    assert digest(results) == ORIGINAL


def test_the_two_most_spread_bodies_where_they_are():
    frame = [body(0, at=0.1, spread=0.01), body(1, at=5, spread=0.5), body(2, at=3, spread=0.1)]
    result, changes = MMACTION2.apply(clip_of(skeleton_text([frame, [], frame[:1]])))
    assert result.dtype == np.float16 and result.shape == (2, 3, 25, 3)
    assert result[:, :, 0, 0].tolist() == [[5, 0, 0], [3, 0, 0]]  # neither centred nor moved
    assert result[0, 0, 2].tolist() == [5, 2, 2]
    assert [(c.what, c.amount) for c in changes] == [("bodies with less energy left out", 1)]


def test_float16_is_rounded_from_the_number_of_the_text():
    # as float32 it is 2049 exactly, which float16 rounds to even, 2048; the text is nearer to 2050
    frame = [(0, [["2049.00001", "7e4", "1"]] * 25)]
    result, changes = MMACTION2.apply(clip_of(skeleton_text([frame])))
    assert result[0, 0, 0].tolist() == [2050, np.inf, 1]
    assert changes[-1].what == "numbers too large for float16 became infinite"
    assert changes[-1].amount == 25


def test_one_body_and_none():
    alone = [body(0, at=1, spread=0.1)]
    assert MMACTION2.apply(clip_of(skeleton_text([alone, []])))[0].shape == (1, 2, 25, 3)
    assert MMACTION2.apply(clip_of(skeleton_text([[], []])))[0].shape == (0, 2, 25, 3)
    assert MMACTION2.apply(clip_of(skeleton_text([])))[0].shape == (0, 0, 25, 3)


def test_version_0_is_agcn_cut_to_the_clip():
    for seed in range(8):
        clip = clip_of(nasty_text(seed))
        before, after = AGCN.apply(clip)[0], MMACTION2_V0.apply(clip)[0]
        expected = before[:, : clip.num_frames].transpose(3, 1, 2, 0)
        assert after.dtype == np.float32 and np.array_equal(after, expected, equal_nan=True)


def test_the_table_of_ntu60():
    bad = min(known_bad_names())
    names = ["S001C001P001R001A060", "S001C002P003R001A002", "S001C003P002R001A001"]
    found = table([columns(name) for name in [*names, bad]])
    assert list(found.split.items()) == [
        ("xsub_train", [names[0], names[2]]), ("xsub_val", [names[1]]),
        ("xview_train", names[1:]), ("xview_val", names[:1]),
    ]  # fmt: skip
    assert [row.clip_id for row in found.rows] == [names[0], names[2], names[1]]
    assert [row.label for row in found.rows] == [59, 0, 1]
    assert [name for name, _ in found.left_out] == [bad]


def test_the_table_of_ntu120():
    names = ["S018C001P045R001A061", "S019C001P041R001A120"]
    found = table([columns(name) for name in names], "ntu120")
    assert found.split == {
        "xsub_train": names[:1], "xsub_val": names[1:], "xset_train": names[:1],
        "xset_val": names[1:],
    }  # fmt: skip


def test_entries():
    clip = clip_of(skeleton_text([[body(0, at=1, spread=0.1)], []]), "S001C001P001R001A060")
    (row,) = table([columns(clip.clip_id)]).rows
    entry = annotation(row, MMACTION2.apply(clip)[0])
    assert list(entry) == ["frame_dir", "label", "keypoint", "total_frames"]
    assert (entry["frame_dir"], entry["label"], entry["total_frames"]) == (clip.clip_id, 59, 2)
    early = annotation_v0(row, MMACTION2_V0.apply(clip)[0])
    assert early["keypoint"].shape == (2, 2, 25, 3) and early["total_frames"] == 2
    assert early["img_shape"] == early["original_shape"] == (1080, 1920)


@pytest.mark.real
def test_real_clips(shared):
    for file in sorted((shared / "data/ntu/skeletons").glob("*.skeleton")):
        clip = clip_of(file.read_bytes(), file.stem)
        result, _ = MMACTION2.apply(clip)
        action = int(file.stem[-3:])
        assert result.shape == (2 if action >= 50 else 1, clip.num_frames, 25, 3)
        poses = clip.keypoints_3d[clip.persons == 0]
        distance = [np.abs(body[clip.frames[clip.persons == 0]] - poses).max() for body in result]
        assert min(distance) < 0.002
