"""`posedata.converters.lcrnet_json`: the block layout, and every way a file can be wrong."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_ways import assert_same, mutated, outcome

from posedata.converters import lcrnet_json
from posedata.converters.lcrnet_json import count_frames, parse_lcrnet
from posedata.errors import InputError, PosedataError


def person(start=0.0, **fields):
    """Joint j has x = start + j, y = start + 100 + j, z = start + 200 + j in 3D; 2D 10 times."""
    pose3d = [start + 100 * axis + joint for axis in range(3) for joint in range(13)]
    pose2d = [10 * number for number in pose3d[:26]]
    return {"pose2d": pose2d, "pose3d": pose3d, "cumscore": 0.5, **fields}


def lcrnet(*frames, **fields):
    return json.dumps({"K": 100, "njts": 13, "frames": frames, **fields}).encode()


def test_numbers_come_in_blocks_all_x_then_all_y_then_all_z():
    file = parse_lcrnet(lcrnet([person(1)]), "a.json")
    assert file.pose2d.shape == (1, 13, 2) and file.pose3d.shape == (1, 13, 3)
    assert file.pose2d[0, 0].tolist() == [10, 1010]
    assert file.pose2d[0, 12].tolist() == [130, 1130]
    assert file.pose3d[0, 5].tolist() == [6, 106, 206]


def test_empty_frames_count_and_people_have_their_frame_and_slot():
    file = parse_lcrnet(lcrnet([], [person(), person(1)], [], [person(2)], []), "a.json")
    assert file.num_frames == 5
    assert file.frames.tolist() == [1, 1, 3] and file.slots.tolist() == [0, 1, 0]
    assert file.frames.dtype == file.slots.dtype == np.int32


def test_version_1_2_has_no_score():
    whole = person()
    del whole["cumscore"]
    assert parse_lcrnet(lcrnet([whole]), "a.json").cumscore is None
    mixed = parse_lcrnet(lcrnet([whole, person()]), "a.json").cumscore
    assert np.isnan(mixed[0]) and mixed[1] == 0.5 and mixed.dtype == np.float32


def test_a_file_may_have_2d_alone():
    whole = person()
    del whole["pose3d"]
    assert parse_lcrnet(lcrnet([whole]), "a.json").pose3d is None


def test_minus_one_twice_and_zero_twice_are_missing_joints_and_other_odd_numbers_are_not():
    pose2d = [1.5] * 26
    for joint, (x, y) in enumerate([(-1, -1), (0, 0), (-1, 5), (0, 5), (-3, -4), (900, 700)]):
        pose2d[joint], pose2d[13 + joint] = x, y
    file = parse_lcrnet(lcrnet([person(pose2d=pose2d)]), "a.json")
    assert file.missing[0].tolist() == [True, True] + [False] * 11
    assert file.pose2d[0, 5].tolist() == [900, 700]


def test_nan_tokens_are_read():
    text = lcrnet([person(pose2d=[float("nan")] * 26, cumscore=float("nan"))])
    file = parse_lcrnet(text, "a.json")
    assert np.isnan(file.pose2d).all() and np.isnan(file.cumscore).all()
    assert not file.missing.any()


@pytest.mark.parametrize("frames", [(), ([],), ([], [])])
def test_nobody_at_all(frames):
    file = parse_lcrnet(lcrnet(*frames), "a.json")
    assert file.num_frames == len(frames)
    assert file.pose2d.shape == (0, 13, 2) and file.missing.shape == (0, 13)


def test_fields_that_the_format_does_not_have_are_named():
    text = lcrnet([person(mood="good")], camera=3)
    assert parse_lcrnet(text, "a.json").unknown_fields == ("camera", "mood")


def test_k_and_njts_may_be_absent():
    assert parse_lcrnet(b'{"frames": [[]]}', "a.json").num_frames == 1


WRONG = {
    "no json": (b"frames", None, "not JSON"),
    "truncated": (lcrnet([person()])[:-9], None, "not JSON"),
    "a list": (b"[]", None, "not an LCRNet file"),
    "no frames": (b'{"njts": 13}', None, "not an LCRNet file"),
    "frames an object": (b'{"njts": 13, "frames": {}}', None, "not an LCRNet file"),
    "17 joints": (lcrnet(njts=17), None, "njts: another number of joints: found 17, expected 13"),
    "njts a text": (lcrnet(njts="13"), None, "njts"),
    "K negative": (lcrnet(K=-1), None, "K: "),
    "K a text": (lcrnet(K="many"), None, "K: "),
    "frame null": (lcrnet([], None), "frame 1", "not a list of people"),
    "frame a person": (lcrnet(person()), "frame 0", "not a list of people"),
    "person a list": (lcrnet([[1, 2]]), "frame 0, person 0", "not a person"),
    "person empty": (lcrnet([person(), {}]), "frame 0, person 1", "bad pose2d"),
    "25 numbers": (lcrnet([], [person(pose2d=[1.0] * 25)]), "frame 1, person 0",
                   "expected 26 numbers: all x, then all y"),
    "interleaved": (lcrnet([person(pose2d=[[1, 2]] * 13)]), "frame 0, person 0",
                    "bad pose2d: found a list of 13"),
    "pose3d short": (lcrnet([person(pose3d=[1.0] * 26)]), "frame 0, person 0", "bad pose3d"),
    "pose3d of one": (lcrnet([person()], [{"pose2d": [1.0] * 26}]), "frame 1, person 0",
                      "bad pose3d: found None"),
    "text": (lcrnet([person()], [person(pose2d=["1.0"] * 26)]), "frame 1, person 0",
             "bad pose2d: found a list of 26: ['1.0', "),
    "null": (lcrnet([person(pose2d=[None] * 26)]), "frame 0, person 0",
             "bad pose2d: found a list of 26: [None, "),
    "a list in it": (lcrnet([person(pose2d=[1.0] * 25 + [[1.0, 2.0]])]), "frame 0, person 0",
                     "bad pose2d: found a list of 26: [1.0, "),
    "true": (lcrnet([person(pose2d=[True] * 26)]), "frame 0, person 0", "of 26: [True, "),
    "too large": (lcrnet([person(pose2d=[1e300] * 26)]), "frame 0, person 0", "of 26: [1e+300, "),
    "huge integer": (lcrnet([person(pose2d=[10**400] * 26)]), "frame 0, person 0",
                     "bad pose2d"),
    "score a text": (lcrnet([person(cumscore="high")]), "frame 0, person 0",
                     "bad cumscore: found 'high', expected a number"),
    "nested": (b'{"frames": ' + b"[" * 100_000, None, "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_place(name):
    text, position, reason = WRONG[name]
    with pytest.raises(InputError) as error:
        parse_lcrnet(text, "a.json")
    assert error.value.path == "a.json"
    assert error.value.reason.startswith(reason) or reason in error.value.reason
    if position is not None:
        assert error.value.position == position


def test_counting_frames_agrees_with_reading():
    for text in (lcrnet([person()], [], [person()]), lcrnet(), lcrnet([person(cumscore=1e400)])):
        assert count_frames(text, "a.json") == parse_lcrnet(text, "a.json").num_frames
    for name in ("no json", "a list", "no frames", "frames an object"):
        with pytest.raises(InputError):
            count_frames(WRONG[name][0], "a.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["K", "njts", "frames", "pose2d", "pose3d", "cumscore"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_result_or_an_error_of_ours(text):
    for function in (parse_lcrnet, count_frames):
        with contextlib.suppress(PosedataError):
            function(text, "a.json")


@given(st.data())
def test_a_damaged_file_gives_a_result_or_an_error_of_ours(data):
    text = bytearray(lcrnet([person()], [], [person(1), person(2)]))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(text)))
    for damaged in (bytes(text), bytes(text[:cut])):
        try:
            file = parse_lcrnet(damaged, "a.json")
        except PosedataError:
            continue
        assert len(file.frames) == len(file.pose2d) and file.num_frames >= 0


@given(
    st.lists(
        st.lists(st.lists(st.floats(width=32), min_size=26, max_size=26), max_size=2), max_size=4
    )
)
def test_what_is_written_is_what_is_read(frames):
    text = lcrnet(*[[person(pose2d=pose) for pose in frame] for frame in frames])
    file = parse_lcrnet(text, "a.json")
    assert file.num_frames == len(frames)
    poses = [pose for frame in frames for pose in frame]
    for row, pose in zip(file.pose2d, poses, strict=True):
        assert np.array_equal(row.T.reshape(-1), np.array(pose), equal_nan=True)


def both_ways(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lcrnet_json, "_by_field", lambda *_: None)
        plain = outcome(parse_lcrnet, text, "a.json")
    return outcome(parse_lcrnet, text, "a.json"), plain


NO_SCORE = {name: value for name, value in person().items() if name != "cumscore"}
FLAT = {"pose2d": person()["pose2d"]}
BOTH_WAYS = {
    "scores": [[], [person(), person(1)], [], [person(2, cumscore=1)]],
    "version 1.2": [[NO_SCORE], [NO_SCORE]],
    "2d": [[FLAT], []],
    "some scores": [[person()], [NO_SCORE, person(1)]],
    "other fields": [[person(mood="good"), NO_SCORE]],
}


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_field_by_field_and_one_by_one_are_the_same(name, monkeypatch):
    text = lcrnet(*BOTH_WAYS[name], camera=3)
    assert_same(*both_ways(text))
    monkeypatch.delattr(lcrnet_json, "_one_by_one")  # the fast way did it
    assert parse_lcrnet(text, "a.json").num_frames == len(BOTH_WAYS[name])


@pytest.mark.parametrize("name", WRONG)
def test_both_ways_say_the_same_is_wrong(name):
    assert_same(*both_ways(WRONG[name][0]))


@pytest.mark.parametrize(
    "fields",
    [{"cumscore": 1e300}, {"cumscore": -(10**39)}, {"cumscore": 10**30}, {"cumscore": 10**400},
     {"cumscore": float("inf")}, {"cumscore": float("nan")}, {"cumscore": True},
     {"pose2d": [float("inf")] * 26}, {"pose3d": None}, {"pose3d": [1e39] * 39}],
)  # fmt: skip
def test_both_ways_say_the_same_of_odd_fields(fields):
    for people in ([person(**fields)], [person(), person(**fields)]):
        assert_same(*both_ways(lcrnet(people)))


@given(st.sampled_from(list(BOTH_WAYS.values())).flatmap(
    lambda frames: mutated({"K": 100, "njts": 13, "frames": frames})
))  # fmt: skip
def test_both_ways_are_the_same_for_any_file(text):
    assert_same(*both_ways(text))
