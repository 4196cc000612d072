import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.errors import OutputError, UsageError
from posedata.synthetic import (
    ACTIONS,
    QUIRKS,
    SkeletonTruth,
    format_skeleton,
    make_ntu,
    skeleton_sample,
    write_skeleton,
)
from posedata.synthetic_body import LEAVES, PARENTS, bone_offsets, forward_kinematics
from posedata.synthetic_broken import broken_files

NAME = "S001C002P007R001A023"
XSUB_TRAIN = {1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38}
HEAD, HAND_RIGHT, SHOULDER_LEFT, SHOULDER_RIGHT, SPINE_BASE = 3, 11, 4, 8, 0


def sample_of(action, num_frames=60, seed=0, quirks=(), name=NAME):
    return skeleton_sample(name, action, num_frames, seed, quirks)


def parse_tokens(content):
    """Every number of a file in the plainest way: {id: [(frame, header fields, joint rows)]}."""
    tokens = iter(content.split())
    num_frames = int(next(tokens))
    bodies, orders = {}, []
    for frame in range(num_frames):
        order = []
        for _ in range(int(next(tokens))):
            body_id = int(next(tokens))
            header = [float(next(tokens)) for _ in range(9)]
            joints = [[float(next(tokens)) for _ in range(12)] for _ in range(int(next(tokens)))]
            bodies.setdefault(body_id, []).append((frame, header, joints))
            order.append(body_id)
        orders.append(order)
    assert list(tokens) == []
    return num_frames, bodies, orders


def assert_says(content, truth):
    num_frames, bodies, orders = parse_tokens(content)
    assert num_frames == truth.num_frames
    assert list(bodies) == truth.body_ids
    for body in truth.bodies:
        frames, headers, joints = zip(*bodies[body.body_id], strict=True)
        assert body.frames.dtype == np.int32
        np.testing.assert_array_equal(body.frames, frames)
        np.testing.assert_array_equal(body.headers, headers)
        np.testing.assert_array_equal(body.joints, joints)
    for frame, order in enumerate(orders):
        present = [body.body_id for body in truth.bodies if frame in body.frames]
        assert order == (present[::-1] if frame in truth.reversed_frames else present)


def first_complaint(content):
    """The line at which a reader that skips blank lines, but is else strict, stops; or None."""
    everything = content.removesuffix(b"\n").split(b"\n")
    numbers_of_lines = [n for n, line in enumerate(everything, start=1) if line.strip()]
    lines = [everything[number - 1].removesuffix(b"\r") for number in numbers_of_lines]
    numbers_of_lines.append(len(everything) + 1 if content else 1)

    def numbers(line, count):
        words = lines[line].split(b" ") if line < len(lines) else []
        if len(words) != count:
            raise ValueError(line)
        try:
            return (
                [int(words[0]), *map(float, words[1:])] if count < 12 else list(map(float, words))
            )
        except ValueError:
            raise ValueError(line) from None

    def count(line, smallest, largest):
        (number,) = numbers(line, 1)
        if not smallest <= number <= largest:
            raise ValueError(line)
        return number

    try:
        num_frames = count(0, 0, len(content))
        line = 1
        for _ in range(num_frames):
            num_bodies, seen = count(line, 0, len(content)), set()
            line += 1
            for _ in range(num_bodies):
                body_id = numbers(line, 10)[0]
                if body_id in seen:
                    raise ValueError(line)
                seen.add(body_id)
                count(line + 1, 25, 25)
                for joint_line in range(line + 2, line + 27):
                    if numbers(joint_line, 12)[11] not in (0, 1, 2):
                        raise ValueError(joint_line)
                line += 27
    except ValueError as error:
        return numbers_of_lines[error.args[0]]
    return None


# the body


@pytest.mark.parametrize("action", ACTIONS)
def test_bones_keep_their_length(action):
    for body in sample_of(action).bodies:
        positions = body.joints[..., :3]
        bones = positions[:, list(PARENTS)] - positions[:, list(PARENTS.values())]
        lengths = np.linalg.norm(bones, axis=-1)
        assert np.ptp(lengths, axis=0).max() < 0.03
        assert lengths.std(axis=0).max() < 0.005
        # from the head to an ankle along the bones: an adult
        upright = [list(PARENTS).index(joint) for joint in (1, 20, 2, 3, 13, 14)]
        assert 1.2 < lengths.mean(axis=0)[upright].sum() < 1.8


def test_a_performer_keeps_the_bones_and_others_have_other_ones():
    np.testing.assert_array_equal(bone_offsets(7), bone_offsets(7))
    lengths = np.linalg.norm([bone_offsets(performer)[1:] for performer in range(1, 107)], axis=-1)
    assert np.all(lengths.std(axis=0) > 0.002)


def test_forward_kinematics_of_a_quarter_turn():
    angles = np.zeros((1, 25, 3))
    angles[0, 4, 0] = np.pi / 2  # the left arm swings forwards, towards the camera
    angles[0, 9, 2] = np.pi / 2  # the right forearm swings outwards
    offsets = bone_offsets(1)
    positions, orientations = forward_kinematics(angles, offsets)
    upper_arm, forearm = -offsets[5, 1], -offsets[10, 1]
    np.testing.assert_allclose(positions[0, 5] - positions[0, 4], [0, 0, -upper_arm], atol=1e-12)
    np.testing.assert_allclose(positions[0, 10] - positions[0, 9], [forearm, 0, 0], atol=1e-12)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(orientations[0, 6], [half, half, 0, 0], atol=1e-12)


@pytest.mark.parametrize("action", ["stand", "wave", "sit", "squat", "hands_up", "stand_up"])
@pytest.mark.parametrize("seed", range(3))
def test_who_faces_the_camera_has_the_left_shoulder_at_image_left(action, seed):
    joints = sample_of(action, seed=seed).bodies[0].joints
    for x in (0, 3, 5):  # metres, depth and colour pixels
        assert np.all(joints[:, SHOULDER_LEFT, x] < joints[:, SHOULDER_RIGHT, x])
    # the knees and toes of a person who faces the camera are nearer than the hips
    assert np.all(joints[:, 15, 2] < joints[:, 14, 2])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_people_are_in_the_room_and_upright_in_the_beginning(action, seed):
    for body in sample_of(action, seed=seed).bodies:
        assert body.joints[..., 2].min() > 1.5 and body.joints[..., 2].max() < 4.5
        assert np.all(np.abs(body.joints[:, SPINE_BASE, 5] - 960) < 960)
        feet = body.joints[:, [15, 19], 1].mean()
        assert body.joints[0, HEAD, 1] > feet + 0.9


def test_wave_raises_one_hand_and_lowers_it():
    height = sample_of("wave", 90).bodies[0].joints
    above = height[:, HAND_RIGHT, 1] - height[:, SHOULDER_RIGHT, 1]
    assert above[0] < -0.2 and above[40] > 0.2 and above[-1] < -0.2
    # from side to side, several times
    sideways = height[20:70, HAND_RIGHT, 0] - height[20:70, SHOULDER_RIGHT, 0]
    assert np.count_nonzero(np.diff(np.sign(np.diff(sideways)))) >= 4


def test_stand_is_still():
    joints = sample_of("stand").bodies[0].joints
    assert np.ptp(joints[..., :3], axis=0).max() < 0.2


def test_sit_lowers_the_hips_but_not_to_the_floor_and_standing_up_reverses_it():
    down = sample_of("sit").bodies[0].joints[:, SPINE_BASE, 1]
    assert 0.25 < down[0] - down[-1] < 0.7
    up = sample_of("stand_up").bodies[0].joints[:, SPINE_BASE, 1]
    assert 0.25 < up[-1] - up[0] < 0.7


@pytest.mark.parametrize("seed", range(4))
def test_fall_ends_low(seed):
    heights = sample_of("fall", seed=seed).bodies[0].joints[..., 1]
    floor = heights[0].min()
    assert heights[0, HEAD] - floor > 1.3
    assert heights[-1, HEAD] - floor < 0.5
    assert heights[-1, SPINE_BASE] - floor < 0.4


def test_hug_brings_two_people_together():
    one, other = sample_of("hug").bodies
    distance = np.linalg.norm(one.joints[:, 1, :3] - other.joints[:, 1, :3], axis=-1)
    assert distance[0] > 1.0 and distance[-1] < 0.4
    # the hands end behind the other's back
    hands = one.joints[-1, [7, 11], :2].mean(axis=0) - one.joints[-1, 1, :2]
    back = other.joints[-1, 1, :2] - one.joints[-1, 1, :2]
    assert hands[0] > back[0] > 0


def test_walk_brings_two_people_nearer():
    one, other = sample_of("walk").bodies
    distance = np.linalg.norm(one.joints[:, 1, :3] - other.joints[:, 1, :3], axis=-1)
    assert distance[0] > 2.2 and 0.4 < distance[-1] < 1.0


# what Kinect says of the body


@pytest.mark.parametrize("action", ["wave", "hug"])
def test_pixels_quaternions_and_states(action):
    for body in format_skeleton(sample_of(action))[1].bodies:
        x, y, z, *pixels = np.moveaxis(body.joints[..., :7], -1, 0)
        expected = (
            256.34 + 366.43 * x / z,
            208.49 - 366.5 * y / z,
            955.29 + 1055.84 * x / z + 75.93 / z,
            567.06 - 1056.5 * y / z,
        )
        np.testing.assert_allclose(pixels, expected, atol=2e-3)
        norms = (body.joints[..., 7:11] ** 2).sum(axis=-1)
        inner = [joint for joint in range(25) if joint not in LEAVES]
        np.testing.assert_allclose(norms[:, inner], 1, atol=1e-6)
        assert np.all(norms[:, LEAVES] == 0)
        assert set(np.unique(body.joints[..., 11])) <= {1, 2}
        assert np.mean(body.joints[..., 11] == 2) > 0.75
        assert np.all(np.abs(body.headers[:, 6:8]) <= 1)
        assert np.all(body.headers[:, 8] == 2)
        assert 2**56 < body.body_id < 2**56 + 100_000


def test_a_limb_is_occluded_now_and_then():
    states = [sample_of("wave", seed=seed).bodies[0].joints[..., 11] for seed in range(5)]
    assert np.any(np.concatenate(states) == 1)


# the text


@given(
    action=st.sampled_from(sorted(ACTIONS)),
    num_frames=st.integers(12, 30),
    seed=st.integers(0, 2**32),
    quirks=st.sets(st.sampled_from(sorted(QUIRKS)), max_size=4),
    newline=st.sampled_from(["\r\n", "\n"]),
)
@settings(max_examples=60, deadline=None)
def test_the_truth_is_what_a_naive_parse_of_the_text_gives(
    action, num_frames, seed, quirks, newline
):
    content, truth = format_skeleton(sample_of(action, num_frames, seed, quirks), newline)
    assert_says(content, truth)
    assert first_complaint(content) is None
    # the printed numbers print the same again
    assert format_skeleton(truth, newline)[0] == content


def test_numbers_are_written_as_in_real_files():
    content, truth = format_skeleton(sample_of("hug", 40, quirks=["exponent", "nan_joint"]))
    number = r"-?(0|[1-9]\d*)(\.\d*[1-9])?(E-\d\d)?|NaN"
    lines = content.decode("ascii").split("\r\n")
    for line in lines[:-1]:
        for word in line.split(" "):
            assert re.fullmatch(number, word), word
            assert word != "-0"
            digits = re.sub(r"E.*|\D", "", word).lstrip("0")
            assert len(digits) <= 7 or word.startswith("7205759403")  # a body id
    exponents = re.findall(rb"\S+E\S+", content)
    assert b"1.2E-05" in exponents
    assert all(abs(float(word)) < 1e-4 for word in exponents)
    assert {len(line.split(" ")) for line in lines[1:-1]} == {1, 10, 12}
    assert truth.name == NAME


def test_six_significant_digits_survive():
    sample = sample_of("walk")
    for before, after in zip(sample.bodies, format_skeleton(sample)[1].bodies, strict=True):
        np.testing.assert_allclose(after.joints, before.joints, rtol=5e-7, atol=0)
        assert np.any(after.joints != before.joints)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_endings(newline):
    content, _ = format_skeleton(sample_of("sit", 20), newline)
    assert content.endswith(newline.encode())
    assert content.count(b"\r") == (content.count(b"\n") if newline == "\r\n" else 0)
    assert content.count(b"\n") == 1 + 20 * 28
    assert b"  " not in content and b" " + newline.encode() not in content


def test_write_skeleton_says_what_it_wrote_and_replaces_nothing(tmp_path):
    path = tmp_path / "new" / f"{NAME}.skeleton"
    truth = write_skeleton(path, sample_of("sit", 5), newline="\n")
    assert_says(path.read_bytes(), truth)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=re.escape(str(path))):
        write_skeleton(path, sample_of("wave", 5))
    assert path.read_bytes() == before


def test_a_person_has_the_same_id_in_all_files():
    one = sample_of("wave", 5, seed=1, name="S001C001P003R001A023")
    other = sample_of("sit", 5, seed=2, name="S004C002P003R001A008")
    assert one.body_ids == other.body_ids != sample_of("sit", 5).body_ids


# quirks


@pytest.mark.parametrize("action", ["wave", "hug"])
@pytest.mark.parametrize("seed", range(3))
class TestQuirks:
    def parsed(self, quirk, action, seed):
        content, _ = format_skeleton(sample_of(action, 40, seed, [quirk]))
        _, bodies, orders = parse_tokens(content)
        return bodies, orders

    def joints(self, quirk, action, seed):
        bodies, _ = self.parsed(quirk, action, seed)
        return np.array([joints for _, _, joints in next(iter(bodies.values()))])

    def test_three_bodies(self, action, seed):
        _, orders = self.parsed("three_bodies", action, seed)
        assert all(len(order) == 3 for order in orders)

    def test_empty_start(self, action, seed):
        _, orders = self.parsed("empty_start", action, seed)
        assert orders[0] == [] and orders[-1] != []

    def test_empty_middle(self, action, seed):
        _, orders = self.parsed("empty_middle", action, seed)
        assert orders[0] != [] and orders[20] == [] and orders[-1] != []

    def test_all_empty(self, action, seed):
        _, orders = self.parsed("all_empty", action, seed)
        assert orders == [[]] * 40

    def test_gap(self, action, seed):
        _, orders = self.parsed("gap", action, seed)
        first, second = orders[0]
        assert orders[20] == [first] and orders[-1] == [first, second]

    def test_swapped_order(self, action, seed):
        _, orders = self.parsed("swapped_order", action, seed)
        assert orders[0][::-1] in orders
        assert all(sorted(order) == sorted(orders[0]) for order in orders)

    def test_close_ids(self, action, seed):
        bodies, _ = self.parsed("close_ids", action, seed)
        first, second = bodies
        assert first - second == 4 and float(first) == float(second)

    def test_new_id(self, action, seed):
        bodies, orders = self.parsed("new_id", action, seed)
        assert len(bodies) == len(orders[0]) + 1
        assert orders[0][0] not in orders[-1]

    def test_exponent(self, action, seed):
        assert 1.2e-05 in self.joints("exponent", action, seed)

    def test_nan_colour(self, action, seed):
        missing = np.isnan(self.joints("nan_colour", action, seed))
        assert missing[..., 5:7].any() and not missing[..., [0, 1, 2, 3, 4, *range(7, 12)]].any()
        np.testing.assert_array_equal(missing[..., 5], missing[..., 6])

    def test_nan_joint(self, action, seed):
        missing = np.isnan(self.joints("nan_joint", action, seed))
        assert missing.any() and not missing[..., 7:].any()
        np.testing.assert_array_equal(missing[..., :7].any(-1), missing[..., :7].all(-1))

    def test_zero_joint(self, action, seed):
        zero = np.all(self.joints("zero_joint", action, seed) == 0, axis=-1)
        assert zero.any() and not zero.all()


# directories


def read_directory(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.rglob("*.skeleton"))}


def test_same_seed_same_bytes_and_another_seed_other_ones(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_ntu(tmp_path / name, 9, seed, num_frames=(12, 16))
    a, b, c = (read_directory(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a)
    assert len(set(a.values())) == 9


def test_the_first_samples_do_not_depend_on_how_many_there_are(tmp_path):
    make_ntu(tmp_path / "few", 3, num_frames=12)
    make_ntu(tmp_path / "more", 6, num_frames=12)
    few, more = read_directory(tmp_path / "few"), read_directory(tmp_path / "more")
    assert few.items() <= more.items()


@pytest.mark.parametrize("benchmark", [60, 120])
def test_make_ntu_mixes_everything_in_and_tells_the_truth(tmp_path, benchmark):
    truths = make_ntu(tmp_path, 3 * len(QUIRKS), benchmark=benchmark, num_frames=(12, 20))
    contents = read_directory(tmp_path)
    assert contents.keys() == {f"{truth.name}.skeleton" for truth in truths}
    for truth in truths:
        assert_says(contents[f"{truth.name}.skeleton"], truth)
        assert 12 <= truth.num_frames <= 20
    # one file of each quirk, some of which can be seen from outside
    assert sum(b"\r" not in content for content in contents.values()) == 1
    assert sum(b"NaN" in content for content in contents.values()) == 2
    assert sum(truth.bodies == () for truth in truths) == 1
    assert sum(len(truth.bodies) == 3 for truth in truths) >= 1


@pytest.mark.parametrize("benchmark", [60, 120])
def test_names_are_official_and_on_both_sides_of_every_split(tmp_path, benchmark):
    truths = make_ntu(tmp_path, 500, benchmark=benchmark, num_frames=2, quirks=(), distinct=10)
    pattern = r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})"
    fields = np.array([re.fullmatch(pattern, truth.name).groups() for truth in truths], dtype=int)
    assert len({tuple(row) for row in fields.tolist()}) == 500
    for rows in (fields, fields[:3]):
        setups, cameras, performers, _, _ = rows.T
        assert {p in XSUB_TRAIN for p in performers.tolist()} == {True, False}
        assert set(cameras) == {1, 2, 3}
        assert set(setups % 2) == {0, 1}
    setups, cameras, performers, replications, actions = fields.T
    assert set(replications) == {1, 2}
    assert set(actions) == {a.number for a in ACTIONS.values() if a.number <= benchmark}
    old = actions <= 60
    assert setups[old].max() <= 17 and performers[old].max() <= 40
    if benchmark == 120:
        assert setups[~old].min() >= 18 and setups.max() <= 32
        assert performers.max() <= 106


def test_files_under_a_two_person_action_have_two_people(tmp_path):
    pairs = {a.number for a in ACTIONS.values() if len(a.stances) == 2}
    assert pairs <= {*range(50, 61), *range(106, 121)}
    for truth in make_ntu(tmp_path, 40, benchmark=120, num_frames=3, quirks=(), distinct=13):
        assert len(truth.bodies) == (2 if int(truth.name[-3:]) in pairs else 1)


def test_distinct_repeats_contents_under_other_names(tmp_path):
    truths = make_ntu(tmp_path, 50, num_frames=(12, 14), distinct=8)
    contents = read_directory(tmp_path)
    assert len(contents) == 50
    assert len(set(contents.values())) == 8
    assert truths[8].bodies[0].joints is truths[0].bodies[0].joints
    for truth in truths[-8:]:
        assert_says(contents[f"{truth.name}.skeleton"], truth)


def test_nested_has_a_folder_per_setup(tmp_path):
    make_ntu(tmp_path, 5, num_frames=2, quirks=(), nested=True)
    paths = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.skeleton")]
    assert len(paths) == 5
    assert all(path.parts == (path.name[:4], path.name) for path in paths)


def test_default_lengths_are_like_real_ones(tmp_path):
    lengths = [truth.num_frames for truth in make_ntu(tmp_path, 12, distinct=12)]
    assert min(lengths) >= 40 and max(lengths) <= 150 and len(set(lengths)) > 5


def test_no_samples(tmp_path):
    assert make_ntu(tmp_path, 0) == []


def test_make_ntu_replaces_nothing(tmp_path):
    make_ntu(tmp_path, 2, num_frames=2)
    before = read_directory(tmp_path)
    with pytest.raises(OutputError):
        make_ntu(tmp_path, 2, 1, num_frames=2)
    assert read_directory(tmp_path) == before


@pytest.mark.parametrize(
    "options",
    [
        {"num_samples": -1},
        {"num_samples": 10, "seed": -1},
        {"num_samples": 10, "benchmark": 90},
        {"num_samples": 10, "quirks": ["gaps"]},
        {"num_samples": 10, "num_frames": (9, 8)},
        {"num_samples": 10, "num_frames": 0},
        {"num_samples": 10, "num_frames": 11},  # too short for quirks
        {"num_samples": 10, "distinct": 0},
        {"num_samples": 30_000},  # more than there are names
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, options):
    with pytest.raises(UsageError):
        make_ntu(tmp_path, **options)


def test_unknown_actions_names_and_newlines_are_refused():
    with pytest.raises(UsageError, match="dance"):
        sample_of("dance")
    with pytest.raises(UsageError, match="walk_01"):
        sample_of("walk", name="walk_01")
    with pytest.raises(UsageError, match="newline"):
        format_skeleton(SkeletonTruth(NAME, 0, ()), "\r")


# malformed files


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_a_reader_complains_where_the_table_of_broken_files_says(newline):
    files = broken_files(newline)
    assert len({file.name for file in files}) == len({file.content for file in files}) == len(files)
    assert {file.name: first_complaint(file.content) for file in files} == {
        file.name: file.line for file in files
    }
    assert [file.name for file in files if file.accepted] == [
        "blank line inside",
        "no final newline",
        "blank lines at the end",
        "garbage at the end",
    ]
