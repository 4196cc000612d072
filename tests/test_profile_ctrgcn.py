"""`posedata.profiles.ctrgcn`: equal to what the scripts make, to the last bit."""

import hashlib
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skeleton_texts import NAME, bodies_of, clip_of, nasty_text

from posedata.errors import InputError, UsageError
from posedata.profiles.ctrgcn import (
    CTRGCN,
    NTU60,
    NTU120,
    available_names,
    one_hot,
    pad,
    row_order,
)

# What Uason-Chen/CTR-GCN's data/ntu120 scripts (commits e1eef2d5, 015a8a87; numpy 2.2.6, np.int
# set to int) make of nasty_text(seed), up to seq_translation: its shape, and the start of the
# SHA-256 of its bytes with every NaN as numpy's. On the seeds from 0 that are not here they stop.
EXPECTED = """
0 23x75 9dce3c114d59
3 29x75 d7e1594a2007
4 15x75 1a192e74f3ff
5 19x150 690073044b3c
7 13x75 8a511415790c
8 18x75 6e95ac5e6129
9 22x75 513bcc738833
10 12x150 bb0221f51ad1
11 13x75 433488439750
12 16x150 6196618e7af5
14 27x150 227c9f814346
15 9x75 1e81d3bd0caa
16 13x150 4b6a7c815418
17 19x150 641aa0388c9b
20 26x75 ddd671857352
21 12x75 d56bfe551ca3
22 13x75 628cdb5d64b9
23 10x75 5bb90f509f88
26 16x75 3499f3ad98e6
27 23x75 b1dcf0db3872
30 13x75 693b26608bd8
31 13x75 0bcecfc597dc
33 10x75 e0847848918c
34 15x75 dc48402e9f59
35 13x75 c4c2c9600e96
37 25x75 97f36ac19aa6
38 3x150 d31275e6d88b
39 19x150 99e653a135bf
40 23x75 fc88fb9ee065
41 20x75 8724c70feb59
42 8x75 1b0333b6fc4d
43 20x150 e8b4ff212a4a
44 26x150 28d03545afd4
45 23x150 6501f5c09e12
46 19x75 6e96bc4afe2d
48 12x75 375ae70efbe7
49 20x150 0b4516d6d2e1
50 18x150 49ce6726520f
51 26x150 605d8d3b3483
53 15x150 189ebaed1483
54 19x150 e370314c73d6
55 15x75 5e4a97022880
56 12x75 f8216d8e05e0
57 14x75 28910115488e
"""
_ROWS = [line.split() for line in EXPECTED.strip().splitlines()]
NUM_SEEDS = int(_ROWS[-1][0]) + 1


def digest(array):
    array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


@pytest.mark.parametrize(("seed", "shape", "sha256"), _ROWS)
def test_equals_the_scripts(seed, shape, sha256):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sequence, _ = CTRGCN.apply(clip_of(nasty_text(int(seed))))
    assert "x".join(map(str, sequence.joints.shape)) == shape
    assert digest(sequence.joints) == sha256


@pytest.mark.parametrize("seed", sorted(set(range(NUM_SEEDS)) - {int(row[0]) for row in _ROWS}))
def test_says_so_where_the_scripts_stop(seed):
    with pytest.raises(InputError, match=f"{NAME}: .*script has no result"):
        CTRGCN.apply(clip_of(nasty_text(seed)))


def plain_sequence(text):
    """Once more in the plainest way, from the description of the format; None where it stops."""
    bodies = bodies_of(text)
    occupied = sorted({frame for _, poses in bodies for frame, _ in poses})
    tracks = []
    for _, poses in bodies:
        joints = np.stack([pose for _, pose in poses])
        spread = np.sum(np.var(joints.reshape(-1, 3), axis=0))
        tracks.append([spread, occupied.index(poses[0][0]), joints])
    several = len(tracks) > 1
    if several:
        tracks = [track for track in tracks if len(track[2]) > 11]
    for track in list(tracks):
        if not several or len(tracks) == 1:
            break
        good = [
            pose for pose in track[2] if np.ptp(pose[:, 0]) <= np.float32(0.8) * np.ptp(pose[:, 1])
        ]
        bad_share = (len(track[2]) - len(good)) / len(track[2])
        if bad_share >= 0.69754:
            tracks = [other for other in tracks if other is not track]
        elif bad_share:
            less = np.sum(np.var(np.concatenate(good), axis=0))
            track[0] = less if less < track[0] else track[0]
    if not tracks:
        return None
    tracks = sorted(tracks, key=lambda track: track[0], reverse=True)
    rows = np.zeros((len(occupied), 150), np.float32)
    intervals = [None, None]  # first and last frame
    for _, start, joints in tracks:
        last = start + len(joints) - 1
        for actor in (0, 1):
            known = intervals[actor] or ([0, 0] if actor else None)
            if known is None or last <= known[0] or start >= known[1] or intervals[actor] is None:
                rows[start : last + 1, 75 * actor : 75 * actor + 75] = joints.reshape(-1, 75)
                known = known or [start, last]
                intervals[actor] = [min(start, known[0]), max(last, known[1])]
                break
    if len(tracks) == 1:
        rows = rows[:, :75].copy()
    if several:
        rows = rows[[np.sum(row) != 0 for row in rows]]
    parts = [rows[:, :75], rows[:, 75:]] if len(tracks) > 1 else [rows]
    empty = [[np.sum(pose) == 0 for pose in part] for part in parts]
    origin = next((pose[3:6] for pose in parts[0] if np.any(pose != 0)), None)
    if origin is None:
        return None
    moved = [part - np.tile(origin, 25) for part in parts]
    if len(moved) == 2:
        for part, nobody in zip(moved, empty, strict=True):
            part[nobody] = 0
    return np.concatenate(moved, axis=1)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_equals_the_plain_reference(seed):
    text = nasty_text(seed)
    with np.errstate(all="ignore"):
        expected = plain_sequence(text)
    if expected is None:
        with pytest.raises(InputError):
            CTRGCN.apply(clip_of(text))
        return
    sequence, _ = CTRGCN.apply(clip_of(text))
    assert sequence.joints.dtype == np.float32
    np.testing.assert_array_equal(sequence.joints, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(sequence.joints[zeros]), np.signbit(expected[zeros]))


@pytest.mark.real
def test_equals_the_plain_reference_on_real_files(shared):
    paths = sorted((shared / "data/ntu/skeletons").glob("*.skeleton"))
    assert len(paths) >= 7
    for path in paths:
        text = path.read_bytes()
        result, _ = CTRGCN.apply(clip_of(text, path.stem))
        found = result.joints
        np.testing.assert_array_equal(found, plain_sequence(text), strict=True)


# hand-made files


def text_of(frames):
    """A file of bodies whose joints are all at a place: for each frame a dict of id: (x, y, z)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body_id, (x, y, z) in bodies.items():
            lines += [f"{body_id} 0 0 0 0 0 0 0 0 2", "25"]
            lines += [f"{x} {y} {z} 0 0 0 0 0 0 0 0 2" for _ in range(25)]
    return "\n".join(lines).encode()


def test_one_person_is_centred_on_the_first_frame_that_is_not_zero():
    frames = [{}, {7: (0, 0, 0)}, {7: (1, 2, 3)}, {}, {7: (1.5, 2, 5)}]
    sequence, changes = CTRGCN.apply(clip_of(text_of(frames)))
    assert sequence.clip_id == NAME
    assert sequence.label == 12
    assert sequence.joints.shape == (3, 75)
    assert sequence.joints[:, -3:].tolist() == [[-1, -2, -3], [0, 0, 0], [0.5, 0, 2]]
    assert [(change.step, change.amount) for change in changes] == [("drop_empty_frames", 2)]


def test_two_people_share_a_frame_and_empty_actors_stay_zero():
    # every body is a point: as wide as high; 3 has more motion and comes first
    frames = [
        {k: (k * f, 0, 4) for k, there in ((3, f < 13), (2, f >= 12), (1, f > 4)) if there}
        for f in range(30)
    ]
    sequence, changes = CTRGCN.apply(clip_of(text_of(frames)))
    x = sequence.joints.reshape(30, 2, 25, 3)[:, :, 7, 0]
    # motions of 2, 3 and 1: 4 * 26.9, 9 * 14, 52; 3 comes first, and 2 joins it at frame 12
    assert x[:, 0].tolist() == [3 * f for f in range(12)] + [2 * f for f in range(12, 30)]
    assert x[:, 1].tolist() == [0] * 5 + list(range(5, 30))
    assert (sequence.joints[:5, 75:] == 0).all()
    assert [(change.step, change.amount) for change in changes] == [("fill_actors", 1)]


def test_nan_motion_is_sorted_as_the_scripts_sort_it():
    # each moves more than the one before; two are NaN in a frame
    frames = [
        {k: (k * f, 0, "NaN" if k in (0, 2) and f == 5 else k + 1) for k in range(5)}
        for f in range(20)
    ]
    motions = [np.nan, 1, np.nan, 3, 4]
    order = sorted(range(5), key=lambda k: motions[k], reverse=True)
    assert order[:2] != sorted(range(5), key=lambda k: -motions[k])[:2]
    sequence, _ = CTRGCN.apply(clip_of(text_of(frames)))
    depth = sequence.joints.reshape(20, 2, 25, 3)[0, :, 0, 2]
    assert depth.tolist() == [0, order[1] - order[0]]


def test_frames_that_sum_to_zero_are_dropped_with_several_bodies_only():
    zeros = {f: (0, 0, 0) if f in (3, 9) else (1, 2, 3) for f in range(14)}
    alone = [{7: zeros[f]} for f in range(14)]
    assert len(CTRGCN.apply(clip_of(text_of(alone)))[0].joints) == 14
    frames = [{7: zeros[f], **({8: (1, 1, 1)} if f == 5 else {})} for f in range(14)]
    sequence, changes = CTRGCN.apply(clip_of(text_of(frames)))
    assert sequence.joints.shape == (12, 75)
    assert [(c.step, c.amount) for c in changes] == [("drop_short_tracks", 1),
                                                    ("drop_zero_frames", 2)]  # fmt: skip


def test_a_person_of_zeros():
    with pytest.raises(InputError, match="every coordinate of the first actor is 0"):
        CTRGCN.apply(clip_of(text_of([{7: (0, 0, 0)}])))


# the whole data set

NAMES = ["S018C001P045R001A100", "S001C002P003R001A060", "S001C001P001R001A001",
         "S017C003P020R002A013", "S001C002P005R002A008", "S019C002P042R001A061",
         "S003C002P001R001A001", "S002C003P001R001A001", "not a sample"]  # fmt: skip


def test_available_names():
    assert available_names(NAMES, NTU60) == [
        "S001C001P001R001A001", "S001C002P003R001A060", "S002C003P001R001A001",
        "S003C002P001R001A001", "S017C003P020R002A013",
    ]  # fmt: skip
    assert available_names(NAMES, NTU120) == [
        *available_names(NAMES, NTU60), "S018C001P045R001A100", "S019C002P042R001A061",
    ]  # fmt: skip


def test_rows_go_by_performer_camera_or_setup():
    names = available_names(NAMES, NTU60)
    assert row_order(names, NTU60, "CS") == (
        ["S001C001P001R001A001", "S002C003P001R001A001", "S003C002P001R001A001"],
        ["S001C002P003R001A060", "S017C003P020R002A013"],
    )
    assert row_order(names, NTU60, "CV") == (
        ["S001C002P003R001A060", "S003C002P001R001A001", "S002C003P001R001A001",
         "S017C003P020R002A013"],
        ["S001C001P001R001A001"],
    )  # fmt: skip
    names = available_names(NAMES, NTU120)
    assert row_order(names, NTU120, "CSub")[0][-1] == "S018C001P045R001A100"
    assert row_order(names, NTU120, "CSet") == (
        ["S002C003P001R001A001", "S018C001P045R001A100"],
        ["S001C001P001R001A001", "S001C002P003R001A060", "S003C002P001R001A001",
         "S017C003P020R002A013", "S019C002P042R001A061"],
    )  # fmt: skip
    with pytest.raises(UsageError, match="CSet, CSub"):
        row_order(names, NTU120, "CS")


@pytest.mark.parametrize(("data_set", "second"), [(NTU60, 0), (NTU120, 1)])
def test_rows_are_padded(data_set, second):
    row = pad(np.ones((2, 75), np.float32), 3, data_set)
    assert row.dtype == np.float32
    assert row.shape == (3, 150)
    assert (row[:2, :75] == 1).all()
    assert (row[:2, 75:] == second).all()
    assert (row[2] == 0).all()


@pytest.mark.parametrize("data_set", [NTU60, NTU120])
def test_two_actors_are_padded_as_they_are(data_set):
    joints = np.arange(300, dtype=np.float32).reshape(2, 150)
    row = pad(joints, 2, data_set)
    np.testing.assert_array_equal(row, joints)
    with pytest.raises(UsageError, match="longer"):
        pad(joints, 1, data_set)


def test_one_hot():
    rows = one_hot([0, 59, 3], NTU60)
    assert rows.dtype == np.float64
    assert rows.shape == (3, 60)
    assert rows.sum() == 3
    assert rows[0, 0] == rows[1, 59] == rows[2, 3] == 1
    assert one_hot([], NTU120).shape == (0, 120)
