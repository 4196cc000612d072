"""`posedata.converters.ntu_file`: a file is read as it stands, or refused with the line."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posedata.converter import Sample
from posedata.converters import ntu, ntu_file
from posedata.converters.ntu_file import SkeletonFile, parse_skeleton
from posedata.errors import InputError
from posedata.synthetic import QUIRKS, format_skeleton, skeleton_sample
from posedata.synthetic_broken import broken_files
from posedata.unrounded import Unrounded

NAME = "S001C002P007R001A023"
PATH = f"S001/{NAME}.skeleton"
BLOCK = 28  # lines of a frame with one body: body count, header, joint count, 25 joints
BODY_COUNT, HEADER, JOINT_COUNT, FIRST_JOINT = 2, 3, 4, 5  # lines of the first frame
FEW, ALL = {"all_fields": False}, {"all_fields": True}


def make_file(num_frames, newline="\n", quirks=(), seed=0):
    sample = skeleton_sample(NAME, "wave", num_frames, seed, quirks)
    return format_skeleton(sample, newline)[0]


GOOD = make_file(3)
TINY = make_file(1)


def edited(line, field, token, content=GOOD):
    """A file in which one field of one line (counted from 1) is another one."""
    lines = content.decode().split("\n")
    words = lines[line - 1].split(" ")
    words[field] = token
    lines[line - 1] = " ".join(words)
    return "\n".join(lines).encode()


def error_of(content):
    with pytest.raises(InputError) as caught:
        parse_skeleton(content, PATH)
    assert caught.value.path == PATH
    return caught.value


# The same format once more, in the plainest way: what the fast reader is compared with.


class Complaint(Exception):
    """Where the plain reader stops."""

    def __init__(self, line):
        super().__init__(f"line {line}")
        self.line = line


@dataclass
class Record:
    """A line with something on it."""

    line: int
    words: list[bytes]
    end: int  # offset of the line's end
    has_control: bool


def records_of(content):
    end = -1
    for line, text in enumerate(content.split(b"\n"), start=1):
        end += 1 + len(text)
        text = text.strip(b" \t\r")
        if text:
            control = any(byte < 32 and byte not in b"\t\r" for byte in text)
            yield Record(line, re.split(rb"[ \t\r]+", text), end, control)


def plain_number(token):
    text = token.decode("ascii")
    unsigned = text[1:].lower() if text[0] in "+-" else text.lower()
    microsoft = unsigned.startswith("1.#") and unsigned[3:].rstrip("0123456789")
    with_payload = unsigned.startswith("nan(") and unsigned.endswith(")") and unsigned[4:-1]
    if microsoft in ("qnan", "snan", "ind") or with_payload == "" or (
        with_payload and with_payload.isalnum()
    ):  # fmt: skip
        return float("nan")
    if "_" in text:
        raise ValueError(text)
    return float(text)


def plain_parse(content):
    """Read a file, or raise the Complaint that a reader should raise."""
    records = list(records_of(content))
    after_the_end = content.count(b"\n") + (1 if content.endswith(b"\n") else 2)
    position = 0

    def take():
        nonlocal position
        if position == len(records):
            raise Complaint(after_the_end if records else 1)
        position += 1
        return records[position - 1]

    def take_count(bytes_each):
        record = take()
        if len(record.words) != 1 or not record.words[0].isdigit():
            raise Complaint(record.line)
        count = int(record.words[0])
        if count > (len(content) - record.end) // bytes_each + 1:
            raise Complaint(record.line)
        return count

    def take_numbers(fields, first=0):
        record = take()
        try:
            if len(record.words) != fields or record.has_control:
                raise ValueError
            return record, [plain_number(word) for word in record.words[first:]]
        except ValueError:
            raise Complaint(record.line) from None

    bodies = []
    num_frames = take_count(2)
    for frame in range(num_frames):
        for _ in range(take_count(623)):
            header, numbers = take_numbers(10, first=1)
            if not header.words[0].isdigit() or int(header.words[0]) >= 2**63:
                raise Complaint(header.line)
            num_joints = take()
            if len(num_joints.words) != 1 or num_joints.words[0].lstrip(b"0") != b"25":
                raise Complaint(num_joints.line)
            joints = [take_numbers(12) for _ in range(25)]
            lines = [header.line, *(record.line for record, _ in joints)]
            bodies.append((frame, int(header.words[0]), numbers, [j for _, j in joints], lines))
    frames, ids, headers, joints, lines = zip(*bodies, strict=True) if bodies else ((),) * 5
    wide = np.array(joints, np.float64).reshape(-1, 25, 12)
    with np.errstate(over="ignore"):
        fields = wide.astype(np.float32)
    with np.errstate(over="ignore"):
        headers = np.array(headers, np.float64).astype(np.float32).reshape(-1, 9)
    return SkeletonFile(
        num_frames=num_frames,
        frames=np.array(frames, np.int32),
        body_ids=np.array(ids, np.int64),
        bodies=headers,
        positions=fields[..., 0:3],
        depth_pixels=fields[..., 3:5],
        colour_pixels=fields[..., 5:7],
        orientations=fields[..., 7:11],
        states=fields[..., 11:12],
        lines=np.array(lines, np.int32).reshape(-1, 26),
        unrounded=plain_unrounded(wide[..., 0:3], fields[..., 0:3]),
        all_finite=bool(np.isfinite(fields).all() and np.isfinite(headers).all()),
        trailing=records[position].line if position < len(records) else None,
    )


def plain_unrounded(wide, narrow):
    """Which numbers of the text do not follow from the float32 as the nearest 7-digit decimal."""
    found = []
    for index, (number, kept) in enumerate(zip(wide.ravel().tolist(), narrow.ravel(), strict=True)):
        again = float(f"{float(kept):.7g}")
        with np.errstate(over="ignore"):
            in_range = 1e-15 < abs(kept) < 1e7
            again = again if in_range and np.float32(again) == kept else float(kept)
        if again != number and not (np.isnan(again) and np.isnan(number)):
            found.append((index, number))
    at, numbers = zip(*found, strict=True) if found else ((), ())
    return Unrounded("decimal", np.array(at, np.int32), np.array(numbers, np.float64))


def assert_read_as_plainly(content):
    """Both readers give the same arrays, or complain about the same line."""
    try:
        expected = plain_parse(content)
    except Complaint as complaint:
        try:
            parse_skeleton(content, PATH)
        except InputError as error:
            assert error.position == f"line {complaint.line}", error
            assert error.found is not None and error.expected is not None
        else:
            raise AssertionError(f"accepted, in spite of line {complaint.line}") from None
    else:
        assert_same(parse_skeleton(content, PATH), expected)


def assert_same(file, expected):
    def parts(read):
        values = [getattr(read, each.name) for each in fields_of(read)]
        return [*values, *read.unrounded]

    for mine, theirs in zip(parts(file), parts(expected), strict=True):
        if isinstance(theirs, Unrounded):
            continue
        if isinstance(theirs, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
            np.testing.assert_array_equal(
                np.signbit(mine[mine == 0]), np.signbit(theirs[mine == 0])
            )
        else:
            assert mine == theirs


# good files


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("quirk", [None, *QUIRKS])
def test_every_number_is_what_a_plain_parser_reads(quirk, newline):
    content = make_file(15, newline, [quirk] if quirk else [])
    assert_same(parse_skeleton(content, PATH), plain_parse(content))


@pytest.mark.real
def test_every_number_of_the_real_files_is_what_a_plain_parser_reads(shared):
    paths = sorted((shared / "data/ntu").glob("skeletons*/*.skeleton"))
    assert len(paths) == 8
    for path in paths:
        content = path.read_bytes()
        file = parse_skeleton(content, str(path))
        assert_same(file, plain_parse(content))
        assert len(file.frames) > 0


def test_tabs_more_blanks_and_blank_lines_are_read_over():
    spread = GOOD.replace(b" ", b" \t ").replace(b"\n", b" \r\n \n\t\n")
    file, expected = parse_skeleton(b"\n \n" + spread, PATH), parse_skeleton(GOOD, PATH)
    np.testing.assert_array_equal(file.joints, expected.joints)
    np.testing.assert_array_equal(file.bodies, expected.bodies)
    # and lines are still counted as an editor does
    np.testing.assert_array_equal(file.lines, expected.lines * 3)


def test_files_without_bodies_or_frames():
    file = parse_skeleton(b"3\n0\n0\n0\n", PATH)
    assert (file.num_frames, file.joints.shape, file.trailing) == (3, (0, 25, 12), None)
    file = parse_skeleton(b"0\n", PATH)
    assert (file.num_frames, file.joints.shape, file.trailing) == (0, (0, 25, 12), None)


def test_text_after_the_last_frame_is_pointed_at_and_changes_nothing():
    expected = parse_skeleton(GOOD, PATH)
    for rest in (b"the end", b"\0\xff", GOOD):
        file = parse_skeleton(GOOD + b"\n" + rest, PATH)
        assert file.trailing == 3 * BLOCK + 3
        np.testing.assert_array_equal(file.joints, expected.joints)


# numbers and ids


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("1e5", 1e5), ("1.2E-05", 1.2e-05), ("-1E+2", -100), ("1e-300", 0), ("-1e-300", -0.0),
        ("+1", 1), ("1.", 1), ("-.5", -0.5), ("-0", -0.0), ("007", 7), ("1e38", 1e38),
        ("1e300", np.inf), ("-1e300", -np.inf), ("1" + "0" * 400, np.inf), ("inf", np.inf),
        ("-Infinity", -np.inf), ("123456789012345678901234567890", 1.2345678901234568e29),
        ("0.123456789012345678901234567890", 0.12345678901234568), ("9007199254740993", 2**53),
        ("NaN", np.nan), ("nan", np.nan), ("-nan", np.nan), ("-nan(ind)", np.nan),
        ("nan(snan)", np.nan), ("nan()", np.nan), ("1.#QNAN", np.nan), ("-1.#IND", np.nan),
        ("1.#SNAN", np.nan), ("1.#QNAN0", np.nan),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body_id", ["7", "72057594037931101"])
def test_numbers_in_any_spelling(token, value, body_id):
    good = edited(HEADER, 0, body_id)
    expected = parse_skeleton(good, PATH)
    joints, bodies = expected.joints.copy(), expected.bodies.copy()
    with np.errstate(over="ignore"):
        joints[0, 6, 4] = bodies[0, 6] = value
    for line, field in ((FIRST_JOINT + 6, 4), (HEADER, 7)):
        content = edited(line, field, token, good)
        file = parse_skeleton(content, PATH)
        assert_read_as_plainly(content)
        in_joint = field == 4
        np.testing.assert_array_equal(file.joints, joints if in_joint else expected.joints)
        np.testing.assert_array_equal(file.bodies, expected.bodies if in_joint else bodies)
        read = file.joints[0, 6, 4] if in_joint else file.bodies[0, 6]
        assert np.signbit(read) == np.signbit(np.float64(value)) or np.isnan(value)


@pytest.mark.parametrize(
    "token",
    ["abc", "1_000", "0x10", "1,5", "1.2.3", "--1", "+-1", "1e", "e5", "1e5.5", "-", ".", "-.",
     "nan(", "nan(a-b)", "1.#INF", "1.#", "infinit", "1f", "#", "/", ":", "१", "٣", "½", "1\xa0",
     "1" * 50 + "x"],
)  # fmt: skip
def test_what_is_no_number_is_refused(token):
    for line, field in ((FIRST_JOINT + 6, 4), (FIRST_JOINT, 0), (HEADER, 9), (HEADER, 1)):
        content = edited(line, field, token)
        error = error_of(content)
        assert (error.message, error.position) == ("text instead of a number", f"line {line}")
        assert error.expected == "a decimal number"
        assert_read_as_plainly(content)


@given(
    st.from_regex(rb"[+-]?[0-9]{0,30}\.?[0-9]{0,30}([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | st.text("0123456789.+-eEnaifqdty_#()x", min_size=1, max_size=12).map(str.encode)
)
@settings(max_examples=250, deadline=None)
def test_any_token_is_read_as_float_reads_it_or_refused(token):
    assert_read_as_plainly(edited(FIRST_JOINT + 1, 2, token.decode(), TINY))


@pytest.mark.parametrize(
    ("token", "body_id"),
    [
        ("72057594037931101", 72057594037931101),
        ("0", 0),
        ("000000000000000000000000000000072057594037931101", 72057594037931101),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_body_ids_are_whole_numbers_below_2_to_the_63(token, body_id):
    assert parse_skeleton(edited(HEADER, 0, token), PATH).body_ids[0] == body_id


@pytest.mark.parametrize(
    "token",
    ["9223372036854775808", "18446744073709551617", "1" * 30, "-1", "+1", "7.2e16", "1.0", "1_0",
     "NaN", "body", "0x10", "12a", "१"],
)  # fmt: skip
def test_other_body_ids_are_refused(token):
    error = error_of(edited(HEADER, 0, token))
    assert str(error) == (
        f"{PATH}, line 3: bad bodyID: found {ntu_file._shown(token.encode())}, expected an integer "
        "from 0 to 2**63 - 1"
    )


def test_ids_4_apart_near_2_to_the_56_stay_apart():
    close = (72057594037944738, 72057594037944734)
    assert float(close[0]) == float(close[1])
    lines = GOOD.decode().split("\n")
    blocks = []
    for body_id in close:
        block = lines[HEADER - 1 : HEADER - 2 + BLOCK]
        block[0] = " ".join([str(body_id), *block[0].split(" ")[1:]])
        blocks += block
    content = "\n".join(["1", "2", *blocks, ""]).encode()
    np.testing.assert_array_equal(parse_skeleton(content, PATH).body_ids, close)


@pytest.mark.parametrize("line", [1, BODY_COUNT, JOINT_COUNT])
@pytest.mark.parametrize(
    "token", ["+1", "-1", "1.0", "1e0", "1_0", "0x1", "one", "NaN", "१", "1 1", "1\0", "1a", "\x0c"]
)
def test_counts_are_plain_integers_alone_on_their_line(line, token):
    error = error_of(edited(line, 0, token))
    kind = {1: "frames", BODY_COUNT: "bodies", JOINT_COUNT: "joints"}[line]
    assert (error.message, error.position) == (f"bad number of {kind}", f"line {line}")


@pytest.mark.parametrize("line", [1, BODY_COUNT, JOINT_COUNT])
def test_counts_may_have_leading_zeros_and_blanks_around_them(line):
    count = GOOD.decode().split("\n")[line - 1]
    file = parse_skeleton(edited(line, 0, f" \t{'0' * 40}{count} \r"), PATH)
    assert_same(file, parse_skeleton(GOOD, PATH))


# broken files


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("name", [file.name for file in broken_files()])
def test_broken_files_are_refused_with_the_line_or_lose_nothing(name, newline):
    (file,) = (file for file in broken_files(newline) if file.name == name)
    sample = Sample("S001C001P001R001A023", PATH, len(file.content))
    whole_file = skeleton_sample(sample.clip_id, "wave", 5)
    joints = np.concatenate([body.joints for body in format_skeleton(whole_file)[1].bodies])

    def read():
        parsed = parse_skeleton(file.content, PATH)
        return parsed, ntu.build_clip(parsed, sample, ntu.describe([sample], ALL))

    if file.accepted:
        parsed, (clip, problems) = read()
        np.testing.assert_array_equal(parsed.joints, joints.astype(np.float32))
        assert clip.num_frames == 5
        assert [p.severity for p in problems] == ["warning"] * (name == "garbage at the end")
    else:
        with pytest.raises(InputError) as caught:
            read()
        error = caught.value
        assert (error.path, error.position) == (PATH, f"line {file.line}")
        assert error.found and error.expected


AGAIN = "The file seems truncated: copy or extract it again."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty file",
         "line 1: the file is empty: found no text, expected a number of frames. Copy or extract "
         "it again."),
        ("cut in the middle of a line",
         "line 39: wrong number of fields in a joint line: found 9, expected 12. " + AGAIN),
        ("cut between the lines of a frame",
         "line 40: the file ends early: found end of file, expected a joint (5 frames were "
         "announced). " + AGAIN),
        ("text instead of a number",
         "line 39: text instead of a number: found 'abc', expected a decimal number"),
        ("24 joints", "line 32: wrong number of joints: found '24', expected 25"),
        ("11 fields in a joint line",
         "line 39: wrong number of fields in a joint line: found 11, expected 12"),
        ("frame count of 10^12",
         "line 1: more frames announced than the file has room for: found '1000000000000', "
         "expected at most 6477. " + AGAIN),
        ("other tool",
         "line 3: wrong number of fields in a body line: found 1, expected 10. This looks like the "
         ".skeleton file of another tool, not NTU RGB+D's."),
        ("binary bytes in a joint line",
         r"line 39: a control character in a joint line: found '\x00\xff\x80 1', expected 12 "
         "numbers"),
        ("one joint line too many",
         "line 58: bad number of bodies: found '0.5888078 0.724856 2.464445 343.8878 100'..., "
         "expected one integer, 0 or more, alone on its line"),
    ],
)  # fmt: skip
def test_what_a_person_reads(name, text):
    (content,) = (file.content for file in broken_files("\n") if file.name == name)
    assert str(error_of(content)) == f"{PATH}, {text}"


def test_three_numbers_a_joint_are_another_tools_file():
    lines = GOOD.decode().split("\n")
    lines[FIRST_JOINT - 1 :] = ["0.1 0.2 3.0"] * 25
    assert str(error_of("\n".join([*lines, ""]).encode())) == (
        f"{PATH}, line 5: wrong number of fields in a joint line: found 3, expected 12. "
        "This looks like the .skeleton file of another tool, not NTU RGB+D's."
    )


def test_the_first_of_several_mistakes_is_reported():
    twice = edited(FIRST_JOINT + 9, 0, "worse", edited(FIRST_JOINT + 5, 3, "bad"))
    assert error_of(twice).position == f"line {FIRST_JOINT + 5}"
    assert error_of(twice[:-100]).position == f"line {FIRST_JOINT + 5}"


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("with_empty_frames", [False, True])
def test_a_file_cut_anywhere_is_refused_unless_nothing_is_lost(newline, with_empty_frames):
    content = make_file(2)
    if with_empty_frames:
        content = b"10\n0\n" + TINY.partition(b"\n")[2] + b"0\n" * 8
    content = content.replace(b"\n", newline)
    expected = parse_skeleton(content, PATH)
    for size in range(len(content)):
        if size < len(content) - len(newline):
            error = error_of(content[:size])
            assert error.found and error.expected and error.position
        else:
            assert_same(parse_skeleton(content[:size], PATH), expected)


# anything at all

INTERESTING = [
    b"", b" ", b"\n", b"\r", b"\r\n", b"\t", b"\0", b"\x0b", b"\x1f", b"\x7f", b"\xff", b"0", b"1",
    b"2", b"25", b"25\n", b"24", b"-", b"-1", b"+", b".", b"..", b"e", b"NaN", b"nan(1)", b"1.#IND",
    b"inf", b"1e400", b"1e-400", b"1_0", b"0x1", b"9" * 18, b"9" * 19, b"0" * 40, b"1 " * 9,
    b"9223372036854775807", b"9223372036854775808", b"1000000000000", b"\0" * 12, b"\xd9\xa3",
]  # fmt: skip
position = st.integers(0, 10**6)
length = st.sampled_from([0, 0, 1, 1, 2, 5, 30, 300, 3000])
edits = st.lists(
    st.one_of(
        # overwrite, insert, delete
        st.tuples(position, length, st.sampled_from(INTERESTING) | st.binary(max_size=8)),
        # copy another part of the file
        st.tuples(position, length, st.tuples(position, length)),
    ),
    min_size=1,
    max_size=4,
)


def mutated(content, changes):
    for start, size, new in changes:
        start %= len(content) + 1
        if isinstance(new, tuple):
            source, taken = new
            source %= len(content) + 1
            new = content[source : source + taken]
        content = content[:start] + new + content[start + size :]
    return content


def random_mutations(content, count, seed=0):
    """The same kind of changes without hypothesis, for other processes and large files."""
    rng = np.random.default_rng(seed)

    def draw(choices):
        return choices[rng.integers(len(choices))]

    for _ in range(count):
        changes = []
        for _ in range(rng.integers(1, 4)):
            new = draw([
                draw(INTERESTING),
                rng.bytes(rng.integers(1, 9)),
                (int(rng.integers(10**6)), draw([1, 5, 30, 300, 3000])),
            ])  # fmt: skip
            changes.append((int(rng.integers(10**6)), draw([0, 0, 1, 1, 2, 5, 30, 300]), new))
        yield mutated(content, changes)


def packed_with_control_bytes(num_frames=30):
    """Bodies in half the bytes that a body can take, if each control byte were a field."""
    body = b"1\n1" + b"\0" * 9 + b"\n25\n" + (b"\0" * 12 + b"\n") * 25
    return b"%d\n" % num_frames + body * num_frames


@given(edits)
@settings(max_examples=400, deadline=None)
def test_a_mutated_file_is_read_as_a_plain_parser_reads_it(changes):
    assert_read_as_plainly(mutated(GOOD, changes))


@given(st.binary(max_size=300) | st.text("0123456789 .-\n\r\t\0eN", max_size=300).map(str.encode))
@example(b"")
@example(b"\n \r\n\t")
@example(b"\x0c")
@example(b"1\n1\n")
@example(packed_with_control_bytes())
@example(b"\xff\xfe1\0\n\0")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_as_a_plain_parser_reads_them(content):
    assert_read_as_plainly(content)


@given(edits, st.sampled_from(sorted(set(QUIRKS) - {"lf"})))
@settings(max_examples=80, deadline=None)
def test_a_mutated_file_becomes_a_clip_or_an_input_error(changes, quirk):
    read_or_refuse(mutated(make_file(12, quirks=[quirk]), changes))


@pytest.mark.real
def test_a_mutated_real_file_becomes_a_clip_or_an_input_error(shared):
    content = (shared / "data/ntu/skeletons" / "S001C001P001R001A050.skeleton").read_bytes()
    outcomes = [read_or_refuse(changed) for changed in random_mutations(content, 300)]
    assert set(outcomes) == {True, False}


def read_or_refuse(content):
    sample = Sample(NAME, PATH, len(content))
    try:
        file = parse_skeleton(content, PATH)
        clip, _ = ntu.build_clip(file, sample, ntu.describe([sample], ALL))
    except InputError:
        return False
    for name in ("keypoints_3d", "keypoints_2d", "keypoints_depth", "orientations"):
        missing = np.isnan(clip.arrays[name])
        assert not np.isinf(clip.arrays[name]).any()
        np.testing.assert_array_equal(missing.any(-1), missing.all(-1))
    return True


@pytest.mark.parametrize(
    "token",
    ["1" * 40_000 + "x", "1." + "1" * 40_000 + "x", "-" * 40_000, "nan(" + "a" * 40_000,
     "1.#ind" + "0" * 40_000 + "x", "1e" + "9" * 40_000, "0" * 40_000, "." * 40_000],
    ids=lambda token: token[:8],
)  # fmt: skip
def test_long_tokens_take_no_longer_than_their_bytes(token):
    start = time.perf_counter()
    assert_read_as_plainly(edited(FIRST_JOINT, 0, token, TINY))
    assert time.perf_counter() - start < 5  # 25 s if each digit were looked at from each digit


# what the compiled code must not do: it checks no index


class Guarded:
    """The text of a kernel, with every index checked, negative ones too."""

    def __init__(self, text):
        self.text, self.size = text, text.size

    def __getitem__(self, index):
        assert 0 <= index < self.size, index
        return self.text[int(index)]


def read_with_every_index_checked():
    """Run in a process without compilation, where numpy checks the indices of all arrays."""
    import numba

    assert numba.config.DISABLE_JIT
    scan = ntu_file.scan_skeleton
    ntu_file.scan_skeleton = lambda text, size: scan(Guarded(text), size)
    contents = [file.content for newline in ("\r\n", "\n") for file in broken_files(newline)]
    contents += [TINY[:size] for size in range(0, len(TINY), 67)]
    contents += [b"", b"-", b"1\n1\n-", packed_with_control_bytes(), *random_mutations(TINY, 120)]
    contents.append(b"1\n1\n" + b"1" * 5000)
    contents.append(edited(FIRST_JOINT, 0, "NaN " * 11 + "NaN").replace(b" ", b" -"))
    for content in contents:
        assert_read_as_plainly(content)


COUNTS = ("1000000000000", "99999999999999999", "9223372036854775807", "1" * 30, "2000")


def refuse_counts_with_little_memory():
    """Run in a process that can hardly allocate anything."""
    import resource

    contents = [edited(line, 0, count) for line in (1, BODY_COUNT, JOINT_COUNT) for count in COUNTS]
    contents.append(make_file(600))  # can be read
    parse_skeleton(GOOD, PATH)
    error_of(contents[0])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (48 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        np.ones(96 << 20, np.uint8)
    except MemoryError:
        pass
    else:
        raise AssertionError("the limit does not work here")
    *refused, good = contents
    for content in refused:
        error_of(content)
    assert parse_skeleton(good, PATH).num_frames == 600


def run_apart(function, **environment):
    """Run a function of this file in a process of its own."""
    code = f"import test_ntu_file; test_ntu_file.{function.__name__}()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::RuntimeWarning", "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_no_index_is_out_of_bounds():
    run_apart(read_with_every_index_checked, NUMBA_DISABLE_JIT="1")


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_nothing_is_allocated_for_what_a_count_claims():
    run_apart(refuse_counts_with_little_memory)
