"""People of several layers: the same id for the same person, over the whole clip."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.errors import UsageError
from posedata.match_people import (
    LEAST_SIMILARITY,
    PoseTracks,
    match_layers,
    match_people,
)
from posedata.skeleton import Skeleton, load_skeleton

COCO = load_skeleton("coco17")
# One pose of each joint name, about 100 wide and 200 high, so that skeletons can be compared.
RNG = np.random.default_rng(0)
NAMES = sorted({*COCO.joints, *load_skeleton("body25").joints, *load_skeleton("nturgbd25").joints})
PLACES = dict(zip(NAMES, RNG.uniform(0, (100, 200), (len(NAMES), 2)), strict=True))


def pose(x: float, skeleton: Skeleton = COCO, noise: float = 0, seed: int = 0) -> np.ndarray:
    at = np.array([PLACES[joint] for joint in skeleton.joints])
    at[:, 0] += x
    return (at + np.random.default_rng(seed).normal(0, noise, at.shape)).astype(np.float32)


def layer(*rows: tuple[int, int, float], skeleton: str = "coco17", noise: float = 0) -> PoseTracks:
    """Poses of (frame, track, x)."""
    joints = load_skeleton(skeleton)
    poses = [pose(x, joints, noise, seed=row) for row, (_, _, x) in enumerate(rows)]
    return PoseTracks(
        np.array([frame for frame, _, _ in rows], np.int32),
        np.array([track for _, track, _ in rows], np.int32),
        np.array(poses, np.float32).reshape(len(rows), joints.num_joints, 2),
        joints,
    )


def walk(track: int, x: float, frames, speed: float = 0) -> list[tuple[int, int, float]]:
    return [(frame, track, x + speed * frame) for frame in frames]


# the similarity (tests/test_oks.py has the rest)


def test_least_similarity_decides():
    """A person of 1000 pixels' extent, all joints off by d: OKS near 0.2 for one known d."""
    rows = [walk(0, 0, range(5))]
    reference = layer(*rows[0])
    low, high = (reference.keypoints_2d[0].min(0), reference.keypoints_2d[0].max(0))
    area = 0.53 * np.prod((high - low).astype(float))
    sigmas = np.array(COCO.sigmas)

    def oks(d: float) -> float:
        return float(np.mean(np.exp(-(d**2) / (2 * area * (2 * sigmas) ** 2))))

    distances = np.linspace(1, 100, 10_000)
    limit = distances[np.argmin([abs(oks(d) - LEAST_SIMILARITY) for d in distances])]
    assert match_people(layer(*walk(7, limit - 0.1, range(5))), [reference]).tolist() == [0] * 5
    assert match_people(layer(*walk(7, limit + 0.1, range(5))), [reference]).tolist() == [1] * 5


# matching


def test_a_layer_takes_the_ids_of_another_over_the_whole_clip():
    a = layer(*walk(4, 0, range(20)), *walk(9, 500, range(20)))
    b = layer(*walk(0, 500, range(20)), *walk(1, 0, range(20)), skeleton="body25", noise=5)
    assert match_people(b, [a]).tolist() == [9] * 20 + [4] * 20
    assert match_people(b, [a]).dtype == np.int32


def test_people_who_cross_keep_their_ids_though_they_meet_in_some_frames():
    a = layer(*walk(0, 0, range(41), 20), *walk(1, 800, range(41), -20))
    b = layer(*walk(0, 800, range(41), -20), *walk(1, 0, range(41), 20), noise=8)
    assert match_people(b, [a]).tolist() == [1] * 41 + [0] * 41


def test_fragments_join_the_person_whom_they_resemble():
    a = layer(*walk(3, 0, range(30)), *walk(5, 500, range(30)))
    b = layer(*walk(0, 0, range(10)), *walk(1, 500, range(30)), *walk(2, 0, range(12, 30)))
    assert match_people(b, [a]).tolist() == [3] * 10 + [5] * 30 + [3] * 18


def test_a_fragment_does_not_join_where_the_person_is_already():
    a = layer(*walk(0, 0, range(30)))
    b = layer(*walk(0, 0, range(20)), *walk(1, 5, range(19, 30)))
    assert match_people(b, [a]).tolist() == [0] * 20 + [1] * 11


def test_the_longer_of_two_fragments_that_overlap_joins_first():
    a = layer(*walk(0, 0, range(60)))
    b = layer(*walk(0, 3, range(20, 30)), *walk(1, 0, range(20)), *walk(2, 3, range(25, 60)))
    assert match_people(b, [a]).tolist() == [1] * 10 + [0] * 20 + [0] * 35


def test_new_people_are_beyond_all_others_from_left_to_right():
    a = layer(*walk(6, 0, range(5)))
    b = layer(*walk(0, 900, range(5)), *walk(1, 500, range(5)), *walk(2, 0, range(5)),
              *walk(3, 1500, range(2)))  # fmt: skip
    assert match_people(b, [a]).tolist() == [8] * 5 + [7] * 5 + [6] * 5 + [9] * 2


def test_where_nothing_was_ahead_all_are_new():
    b = layer(*walk(5, 500, range(3)), *walk(9, 0, range(3)))
    assert match_people(b, []).tolist() == [1] * 3 + [0] * 3
    assert match_people(b, [layer()]).tolist() == [1] * 3 + [0] * 3


def test_tracks_that_are_never_in_a_frame_together_are_not_compared():
    a, b = layer(*walk(0, 0, range(10))), layer(*walk(0, 0, range(10, 20)))
    assert match_people(b, [a]).tolist() == [1] * 10


def test_evidence_of_all_references_counts():
    """One reference has exchanged the two people for a while; the others outvote it."""
    right = layer(*walk(0, 0, range(10)), *walk(1, 300, range(10)))
    wrong = replace(right, persons=1 - right.persons)
    b = layer(*walk(0, 0, range(10)), *walk(1, 300, range(10)))
    assert match_people(b, [right, wrong, right]).tolist() == [0] * 10 + [1] * 10
    assert match_people(b, [wrong, right, wrong]).tolist() == [1] * 10 + [0] * 10


def test_a_reference_that_lost_a_person_does_not_hide_one_that_did_not():
    a = layer(*walk(0, 0, range(10)))
    both = layer(*walk(0, 0, range(10)), *walk(1, 400, range(10)))
    b = layer(*walk(0, 400, range(10)))
    assert match_people(b, [a, both]).tolist() == [1] * 10


def test_missing_joints_do_not_count():
    a = layer(*walk(0, 0, range(4)), *walk(1, 300, range(4)))
    b = layer(*walk(0, 300, range(4)), *walk(1, 0, range(4)))
    b.keypoints_2d[:, 3:] = np.nan
    a.keypoints_2d[:, :2] = np.nan
    assert match_people(b, [a]).tolist() == [1] * 4 + [0] * 4


def test_a_pose_of_one_joint_is_measured_by_the_persons_usual_size():
    a = layer(*walk(0, 0, range(9)))
    a.keypoints_2d[0, np.arange(17) != COCO.index("left_hip")] = np.nan
    b = layer((0, 0, 6.0))
    assert match_people(b, [a]).tolist() == [0]


def test_poses_without_any_joint_are_new_people():
    a = layer(*walk(0, 0, range(3)))
    a.keypoints_2d[:] = np.nan
    assert match_people(a, [a]).tolist() == [1] * 3


def test_homonyms_are_not_compared_and_layers_without_a_common_joint_do_not_match():
    """Kinect's neck is not OpenPose's: alone, it tells nothing."""
    for name in ("body25", "nturgbd25"):
        assert "neck" in load_skeleton(name).joints
    a, b = layer((0, 5, 0.0), skeleton="nturgbd25"), layer((0, 0, 0.0), skeleton="body25")
    assert match_people(b, [a]).tolist() == [5]
    for tracks in (a, b):
        tracks.keypoints_2d[:, [tracks.skeleton.joints[j] != "neck"
                                for j in range(tracks.skeleton.num_joints)]] = np.nan  # fmt: skip
    assert match_people(b, [a]).tolist() == [6]
    hands = Skeleton("hands", ("thumb",), (), (), "thumb")
    other = PoseTracks(np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros((1, 1, 2)), hands)
    assert match_people(other, [a]).tolist() == [6]


def test_numbers_beyond_all_measure():
    a = layer((0, 0, 0.0), (0, 1, 500.0))
    a.keypoints_2d[0] = np.inf
    a.keypoints_2d[1, 0] = 3e38
    b = layer((0, 0, 500.0), (0, 1, 900.0))
    b.keypoints_2d[1, 1] = -3e38
    b.keypoints_2d[1, 2, 0] = np.nan  # half a joint is none
    with np.errstate(all="raise"):
        found = match_people(b, [a])
    assert len(set(found.tolist())) == 2


def test_no_rows():
    assert match_people(layer(), [layer((0, 0, 0.0))]).tolist() == []
    assert match_people(layer(), []).dtype == np.int32


def test_layers_in_a_row():
    a = layer(*walk(0, 0, range(9)))
    b = layer(*walk(0, 500, range(9)), *walk(1, 0, range(9)), skeleton="body25")
    c = layer(*walk(0, 500, range(9)), *walk(1, 900, range(9)), *walk(2, 0, range(9)))
    first, second, third = match_layers([a, b, c])
    assert first.tolist() == [0] * 9
    assert second.tolist() == [1] * 9 + [0] * 9
    assert third.tolist() == [1] * 9 + [2] * 9 + [0] * 9
    assert match_layers([]) == []
    assert [ids.tolist() for ids in match_layers([layer(), a])] == [[], [0] * 9]


@pytest.mark.parametrize(
    "change",
    [
        {"persons": np.zeros(3, np.int32)},
        {"keypoints_2d": np.zeros((2, 16, 2), np.float32)},
        {"frames": np.array([0, -1], np.int32)},
        {"frames": np.zeros(2, np.int32)},
    ],
)
def test_tracks_that_cannot_be(change):
    with pytest.raises(UsageError):
        replace(layer((0, 1, 0.0), (1, 1, 0.0)), **change)


# properties


@st.composite
def layers(draw) -> PoseTracks:
    """A few people who come and go, in places of their own or not, with missing joints."""
    frames = draw(st.integers(1, 8))
    rows = draw(
        st.dictionaries(
            st.tuples(st.integers(0, frames - 1), st.integers(0, 4)), st.floats(0, 600), max_size=30
        )
    )
    name = draw(st.sampled_from(["coco17", "body25", "nturgbd25", "mpii16"]))
    joints = load_skeleton(name)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    poses = rng.normal(0, 30, (len(rows), joints.num_joints, 2))
    poses += np.array(list(rows.values()))[:, None, None]
    poses[rng.random(poses.shape[:2]) < draw(st.sampled_from([0, 0.2, 1]))] = np.nan
    at = np.array(list(rows), np.int32).reshape(-1, 2)
    return PoseTracks(at[:, 0], at[:, 1], poses.astype(np.float32), joints)


@given(layers(), layers(), layers(), st.randoms(use_true_random=False))
def test_neither_ids_nor_order_of_rows_matter(a, b, c, random):
    expected = match_people(c, [a, b])
    numbers = list(range(5))
    random.shuffle(numbers)
    order = list(range(len(c.frames)))
    random.shuffle(order)
    other = PoseTracks(
        c.frames[order], np.array(numbers, np.int32)[c.persons[order]] * 7, c.keypoints_2d[order],
        c.skeleton,
    )  # fmt: skip
    # Poses that are equal, as those without joints, may change places with each other.
    told = np.isfinite(c.keypoints_2d).any((1, 2))
    found = match_people(other, [a, b])
    if told.all():
        assert found.tolist() == expected[order].tolist()
    assert sorted(found.tolist()) == sorted(expected.tolist())
    shuffled = list(range(len(a.frames)))
    random.shuffle(shuffled)
    moved = PoseTracks(
        a.frames[shuffled], a.persons[shuffled], a.keypoints_2d[shuffled], a.skeleton
    )
    assert match_people(c, [moved, b]).tolist() == expected.tolist()


@given(st.lists(layers(), max_size=3))
def test_nobody_is_twice_in_a_frame_and_tracks_stay_whole(several):
    for tracks, persons in zip(several, match_layers(several), strict=True):
        places = list(zip(tracks.frames.tolist(), persons.tolist(), strict=True))
        assert len(set(places)) == len(places)
        assert persons.dtype == np.int32
        of_track = set(zip(tracks.persons.tolist(), persons.tolist(), strict=True))
        assert len(of_track) == len(set(tracks.persons.tolist()))


@given(layers())
def test_the_same_tracks_are_the_same_people(tracks):
    has_joints = np.isfinite(tracks.keypoints_2d).any((1, 2))
    seen = np.isin(tracks.persons, tracks.persons[has_joints])
    assert match_people(tracks, [tracks])[seen].tolist() == tracks.persons[seen].tolist()


@given(layers(), layers())
def test_the_numbers_of_the_reference_are_given_to_the_same_people(a, b):
    numbers = np.array([30, 4, 11, 2, 17], np.int32)
    found = match_people(b, [a])
    of_reference = np.isin(found, a.persons)
    renumbered = match_people(b, [replace(a, persons=numbers[a.persons])])
    assert renumbered[of_reference].tolist() == numbers[found[of_reference]].tolist()


def test_a_long_clip():
    """20,000 frames, 5 people, 3 layers: 0.7 s where this was written."""
    frames = 20_000
    places = RNG.normal(0, 60, (5, 17, 2)) + np.arange(5)[:, None, None] * 200
    several = []
    for order in ([0, 1, 2, 3, 4], [4, 2, 1, 3, 0], [1, 2, 3, 4, 0]):
        poses = places + RNG.normal(0, 8, (frames, 5, 17, 2))
        several.append(PoseTracks(
            np.repeat(np.arange(frames), 5).astype(np.int32),
            np.tile(order, frames).astype(np.int32),
            poses.reshape(-1, 17, 2).astype(np.float32), COCO,
        ))  # fmt: skip
    start = time.process_time()
    matched = match_layers(several)
    assert time.process_time() - start < 10  # no loop over frames or rows
    for persons in matched:
        assert persons.tolist() == [0, 1, 2, 3, 4] * frames


# a real video


@pytest.mark.real
def test_openpose_and_movenet_on_a_video_of_two_people(shared):
    """Two people stand apart for all 100 frames in both layers, under the same ids."""
    cv2 = pytest.importorskip("cv2")
    av = pytest.importorskip("av")
    onnxruntime = pytest.importorskip("onnxruntime")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    from posedata.track import assign_tracks

    folder = shared / "data/openpose/single_cam01_json"
    # The files have OpenPose's model BODY_25B, whose first 17 joints are COCO's.
    rows = [
        (frame, np.array(person["pose_keypoints_2d"]).reshape(25, 3)[:17])
        for frame, path in enumerate(sorted(folder.glob("*.json")))
        for person in json.loads(path.read_text())["people"]
    ]
    poses = np.array([np.where(p[:, 2:] > 0, p[:, :2], np.nan) for _, p in rows], np.float32)
    frames = np.array([frame for frame, _ in rows], np.int32)
    boxes = np.concatenate([np.nanmin(poses, 1), np.nanmax(poses, 1)], 1)
    openpose = PoseTracks(frames, assign_tracks(frames, boxes), poses, COCO)

    models = shared / "models"
    detector = onnxruntime.InferenceSession(str(models / "rtmdet_nano_coco80.onnx"))
    movenet = litert.Interpreter(str(models / "movenet_lightning_int8.tflite"), num_threads=2)
    movenet.allocate_tensors()
    found, boxes, poses = [], [], []
    with av.open(str(shared / "data/videos/pose2sim_single_cam01.mp4")) as video:
        for frame, picture in enumerate(video.decode(video=0)):
            rgb = picture.to_ndarray(format="rgb24")
            for box in _detect(cv2, detector, rgb):
                found.append(frame)
                boxes.append(box)
                poses.append(_estimate(cv2, movenet, rgb, box))
    frames = np.array(found, np.int32)
    tracks = assign_tracks(frames, np.array(boxes, np.float32))
    by_movenet = PoseTracks(frames, tracks, np.array(poses, np.float32), COCO)

    first, second = match_layers([openpose, by_movenet])
    for tracks, persons in ((openpose, first), (by_movenet, second)):
        for person, (least, most) in {0: (0, 150), 1: (350, 800)}.items():
            at = np.nanmean(tracks.keypoints_2d[persons == person][..., 0], 1)
            assert set(range(100)) == set(tracks.frames[persons == person].tolist())
            assert ((at > least) & (at < most)).all()


def _detect(cv2, detector, rgb):
    scale = 320 / max(rgb.shape[:2])
    small = cv2.resize(rgb[..., ::-1], None, fx=scale, fy=scale)
    padded = np.full((320, 320, 3), 114, np.float32)
    padded[: small.shape[0], : small.shape[1]] = small
    padded = (padded - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    name = detector.get_inputs()[0].name
    found, labels = detector.run(None, {name: padded.transpose(2, 0, 1)[None].astype(np.float32)})
    return found[0][(labels[0] == 0) & (found[0][:, 4] > 0.4)][:, :4] / scale


def _estimate(cv2, movenet, rgb, box):
    center, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * 1.25
    zoom = 192 / side
    shift = 96 - center * zoom
    crop = cv2.warpAffine(rgb, np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]]), (192, 192))
    movenet.set_tensor(movenet.get_input_details()[0]["index"], crop[None])
    movenet.invoke()
    joints = movenet.get_tensor(movenet.get_output_details()[0]["index"])[0, 0]
    return joints[:, 1::-1] * side + center - side / 2
