"""`posedata.profiles.pyskl`: equal to what the script makes, to the last bit."""

import hashlib
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skeleton_texts import NAME, bodies_of, clip_of, nasty_text

from posedata.errors import InputError
from posedata.profiles.pyskl import PYSKL, annotation_order, annotation_splits

# What kennymckormick/pyskl's tools/data/ntu_preproc.py (commit 736e166b, numpy 2.2.6) makes of
# nasty_text(seed): shape of keypoint, and the start of the SHA-256 of its bytes with every NaN as
# numpy's. Of the seeds from 0 that are not here it makes None, or stops.
EXPECTED = """
0 1x23x25x3 60e183370f7f
3 1x29x25x3 e1f2d506e3b7
4 1x15x25x3 73f67903a253
5 2x19x25x3 359b6991b501
7 1x13x25x3 e2da3d8c29c8
8 1x18x25x3 b9b97b1c465b
10 2x12x25x3 d04aea55e526
11 1x18x25x3 37badfeb6c1c
12 2x17x25x3 87786aad9c52
14 2x29x25x3 f677a819eb11
15 1x9x25x3 d2e780156a05
16 2x13x25x3 bc6bb4f353a6
17 2x20x25x3 81a1b8db78d1
20 1x26x25x3 7578696b853f
21 1x18x25x3 dc44fbcd9a3f
22 1x13x25x3 1ef72b76a4fa
23 1x10x25x3 0f0ab9324862
26 1x16x25x3 f5f6b87c4e59
28 1x31x25x3 2c7b470526d5
30 1x13x25x3 ef7634898cdd
31 1x13x25x3 02effd47b352
33 1x12x25x3 b7ea81ef6a7e
34 1x15x25x3 eeaa96783a82
35 1x13x25x3 f1262c85490b
37 1x25x25x3 285cd22e2596
38 2x1x25x3 59b2a733cae9
39 2x19x25x3 bf916883c50a
40 1x23x25x3 117498ae19f3
41 1x20x25x3 bed8274ee675
42 1x8x25x3 4634d8702a3c
43 2x20x25x3 5681ee446d57
44 2x26x25x3 b7facadb64c5
45 2x23x25x3 f3ab39f5fb4d
46 1x19x25x3 571859c9746c
48 1x12x25x3 87d89b726ab4
49 2x20x25x3 5d9c823d2d26
50 2x18x25x3 32c4450ba3fc
51 2x26x25x3 0ccac1bfafc6
53 2x15x25x3 82fc3c7a4abf
54 2x19x25x3 1d402a1918d4
55 1x15x25x3 f59fdda82d12
56 1x12x25x3 8d13658d7a75
57 1x14x25x3 00e5378daaee
"""
_ROWS = [line.split() for line in EXPECTED.strip().splitlines()]
NUM_SEEDS = int(_ROWS[-1][0]) + 1


def digest(array):
    array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


@pytest.mark.parametrize(("seed", "shape", "sha256"), _ROWS)
def test_equals_the_script(seed, shape, sha256):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        annotation, _ = PYSKL.apply(clip_of(nasty_text(int(seed))))
    keypoint = annotation["keypoint"]
    assert "x".join(map(str, keypoint.shape)) == shape
    assert digest(keypoint) == sha256


@pytest.mark.parametrize("seed", sorted(set(range(NUM_SEEDS)) - {int(row[0]) for row in _ROWS}))
def test_says_so_where_the_script_stops(seed):
    with pytest.raises(InputError, match=f"{NAME}: .*script has no result"):
        PYSKL.apply(clip_of(nasty_text(seed)))


def plain_keypoint(text):
    """Once more in the plainest way, from the description of the format; None where it stops."""
    bodies = bodies_of(text)
    occupied = sorted({frame for _, poses in bodies for frame, _ in poses})
    tracks = []
    for _, poses in bodies:
        joints = np.stack([pose for _, pose in poses])
        start = occupied.index(poses[0][0])
        spread = np.sum(np.var(joints.reshape(-1, 3), axis=0))
        tracks.append([spread, start, joints])
    if not tracks:
        return None
    if len(tracks) > 1:
        tracks = sorted(tracks, key=lambda track: -track[0])
        tracks = [track for track in tracks if len(track[2]) > 11]
    if len(tracks) > 1:
        kept = []
        for spread, start, joints in tracks:
            good = [
                pose
                for pose in joints
                if np.ptp(pose[:, 0]) <= np.float32(0.8) * np.ptp(pose[:, 1])
            ]
            if 1 - len(good) / len(joints) < 0.69754:
                if len(good) < len(joints):
                    less = np.sum(np.var(np.concatenate(good), axis=0))
                    spread = less if less < spread else spread
                kept.append([spread, start, joints])
        tracks = sorted(kept, key=lambda track: -track[0])
    if not tracks:
        return None
    if len(tracks) == 1:
        return tracks[0][2][None].astype(np.float16)
    timeline = np.zeros((2, len(occupied), 25, 3), np.float32)
    taken = [range(0), range(0)]
    for rank, (_, start, joints) in enumerate(tracks):
        stop = start + len(joints)
        for actor in (0, 1):
            empty = rank == 0 or (actor == 1 and not len(taken[1]))
            if empty or stop <= taken[actor].start or start >= taken[actor].stop:
                timeline[actor, start:stop] = joints
                first = start if rank == 0 else min(start, taken[actor].start)
                taken[actor] = range(first, max(stop, taken[actor].stop))
                break
    size = np.abs(timeline).transpose(1, 0, 2, 3).reshape(len(occupied), 150)
    there = [f for f in range(len(occupied)) if not np.sum(size[f]) < 1e-3]
    if not there:
        return None
    timeline = timeline[:, there[0] : there[-1] + 1]
    spine = [np.sum(np.abs(timeline[actor, 0, 1])) for actor in (0, 1)]
    if spine[0] < 1e-3 < spine[1]:
        timeline = timeline[::-1]
    return timeline.astype(np.float16)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_equals_the_plain_reference(seed):
    text = nasty_text(seed)
    with np.errstate(all="ignore"):
        expected = plain_keypoint(text)
    if expected is None:
        with pytest.raises(InputError):
            PYSKL.apply(clip_of(text))
        return
    keypoint = PYSKL.apply(clip_of(text))[0]["keypoint"]
    assert keypoint.dtype == np.float16
    np.testing.assert_array_equal(keypoint, expected)
    np.testing.assert_array_equal(np.signbit(keypoint[keypoint == 0]),
                                  np.signbit(expected[expected == 0]))  # fmt: skip


@pytest.mark.real
def test_equals_the_plain_reference_on_real_files(shared):
    paths = sorted((shared / "data/ntu/skeletons").glob("*.skeleton"))
    assert len(paths) >= 7
    for path in paths:
        text = path.read_bytes()
        result, _ = PYSKL.apply(clip_of(text, path.stem))
        found = result["keypoint"]
        np.testing.assert_array_equal(found, plain_keypoint(text), strict=True)


# hand-made files


def text_of(frames):
    """A file of bodies one metre high, from a place up: in each frame a dict of id: place."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body_id, (x, y, z) in bodies.items():
            lines += [f"{body_id} 0 0 0 0 0 0 0 0 2", "25"]
            lines += [f"{x} {y + j / 25} {z} 0 0 0 0 0 0 0 0 2" for j in range(25)]
    return "\n".join(lines).encode()


def test_annotation_of_one_person():
    clip = clip_of(text_of([{}, {7: (1, 2, 3)}, {}, {7: (1.5, 2, 3)}, {}]))
    annotation, changes = PYSKL.apply(clip)
    assert list(annotation) == ["frame_dir", "label", "keypoint", "total_frames"]
    assert annotation["frame_dir"] == NAME
    assert annotation["label"] == 12
    assert annotation["total_frames"] == 2
    assert annotation["keypoint"].shape == (1, 2, 25, 3)
    assert annotation["keypoint"][0, :, 0].tolist() == [[1, 2, 3], [1.5, 2, 3]]
    assert [(change.step, change.amount) for change in changes] == [("drop_empty_frames", 3)]


def test_ids_4_apart_are_two_people():
    ids = 72057594037944734, 72057594037944738
    assert float(ids[0]) == float(ids[1])
    frames = [{ids[0]: (f / 10, 0, 3), ids[1]: (0, f / 100, 4)} for f in range(12)]
    keypoint = PYSKL.apply(clip_of(text_of(frames)))[0]["keypoint"]
    assert keypoint.shape == (2, 12, 25, 3)
    assert keypoint[:, 5, 0, 2].tolist() == [3, 4]  # the one that moves more comes first


def test_the_ends_of_two_actors_are_trimmed_and_they_change_places():
    # a third body, too short, is there before and after; the one with more motion comes late
    first = {f: (f, 0, 3) for f in range(6, 20)}
    second = {f: (0, f / 100, 4) for f in range(3, 20)}
    third = dict.fromkeys((0, 1, 2, 20), (0, 0, 9))
    frames = [
        {k: track[f] for k, track in enumerate((third, first, second)) if f in track}
        for f in range(21)
    ]
    annotation, changes = PYSKL.apply(clip_of(text_of(frames)))
    assert annotation["total_frames"] == 17
    assert annotation["keypoint"][0, 0, 0].tolist() == [0, np.float16(0.03), 4]
    assert (annotation["keypoint"][1, :3] == 0).all()
    assert annotation["keypoint"][1, 3, 0].tolist() == [6, 0, 3]
    assert {(change.step, change.amount) for change in changes} == {
        ("drop_short_tracks", 1), ("trim_ends", 4), ("exchange_actors", 1),
        ("close_gaps", 1),
    }  # fmt: skip


def test_one_frame_in_common_makes_two_actors():
    frames = [
        {k: (f * k, 0, k) for k, there in ((2, f <= 13), (1, f >= 13)) if there} for f in range(27)
    ]
    keypoint = PYSKL.apply(clip_of(text_of(frames)))[0]["keypoint"]
    assert keypoint[:, [12, 13, 14], 0, 2].tolist() == [[2, 2, 0], [0, 1, 1]]


@pytest.mark.parametrize(("num_wide", "num_actors"), [(14, 1), (13, 2)])
def test_a_body_that_is_wide_in_70_of_100_frames_is_dropped(num_wide, num_actors):
    text = text_of([{7: (0, 0, 3), 8: (0, 0, 4)} for _ in range(20)]).decode().split("\n")
    joints = [i for i, line in enumerate(text) if line.startswith("0 ") and " 4 " in line]
    for i in joints[: 25 * num_wide : 25]:
        text[i] = "1" + text[i][1:]
    keypoint = PYSKL.apply(clip_of("\n".join(text).encode()))[0]["keypoint"]
    assert keypoint.shape == (num_actors, 20, 25, 3)


def test_nan_motion_is_sorted_as_the_script_sorts_it():
    # each moves more than the one before; two are NaN in a frame
    frames = [
        {k: (k * f, 0, "NaN" if k in (0, 2) and f == 5 else k + 1) for k in range(5)}
        for f in range(20)
    ]
    motions = [np.nan, 1, np.nan, 3, 4]
    once = sorted(range(5), key=lambda k: -motions[k])
    order = sorted(once, key=lambda k: -motions[k])
    other = sorted(range(5), key=lambda k: motions[k], reverse=True)
    other = sorted(other, key=lambda k: motions[k], reverse=True)
    assert order[:2] != other[:2]
    keypoint = PYSKL.apply(clip_of(text_of(frames)))[0]["keypoint"]
    assert keypoint[:, 0, 0, 2].tolist() == [k + 1 for k in order[:2]]


def test_too_large_for_float16():
    annotation, changes = PYSKL.apply(clip_of(text_of([{7: (1e6, 0, 3)}])))
    assert np.isinf(annotation["keypoint"][..., 0]).all()
    assert [(change.step, change.amount) for change in changes] == [("round_to_float16", 25)]


# the whole file

NAMES = ["S018C001P045R001A100", "S001C002P003R001A060", "S001C001P001R001A001",
         "S017C003P020R002A013", "S001C002P005R002A008", "S019C002P042R001A061",
         "not a sample"]  # fmt: skip


def test_order():
    assert annotation_order(NAMES, 60) == [
        "S001C001P001R001A001", "S001C002P003R001A060", "S017C003P020R002A013",
    ]  # fmt: skip
    assert annotation_order(NAMES, 120) == [
        "S001C001P001R001A001", "S001C002P003R001A060", "S017C003P020R002A013",
        "S018C001P045R001A100", "S019C002P042R001A061",
    ]  # fmt: skip


def test_splits():
    order = annotation_order(NAMES, 120)
    assert annotation_splits(order, 120) == {
        "xsub_train": ["S001C001P001R001A001", "S018C001P045R001A100"],
        "xsub_val": ["S001C002P003R001A060", "S017C003P020R002A013", "S019C002P042R001A061"],
        "xset_train": ["S018C001P045R001A100"],
        "xset_val": ["S001C001P001R001A001", "S001C002P003R001A060", "S017C003P020R002A013",
                     "S019C002P042R001A061"],
    }  # fmt: skip
    order = annotation_order(NAMES, 60)
    splits = annotation_splits(order, 60)
    assert list(splits) == ["xsub_train", "xsub_val", "xview_train", "xview_val"]
    assert splits["xview_val"] == ["S001C001P001R001A001"]
    assert splits["xview_train"] == ["S001C002P003R001A060", "S017C003P020R002A013"]
