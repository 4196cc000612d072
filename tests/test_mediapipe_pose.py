"""MediaPipe on drawn people, whose joints are known, and on a real video."""

from __future__ import annotations

import numpy as np
import pytest

from posedata.errors import UsageError
from posedata.expert import load_expert
from posedata.experts import mediapipe_pose
from posedata.experts.mediapipe_pose import EXPERT, LEAST_VISIBILITY
from posedata.skeleton import load_skeleton
from posedata.workers.worker_protocol import people_from_arrow, people_to_arrow

pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase")

JOINTS = load_skeleton("blazepose33").joints
SKIN, SHIRT, TROUSERS, HAIR = (224, 172, 140), (40, 70, 160), (50, 50, 60), (60, 40, 20)
#: Of a drawn person who stands at x = 0 and looks at us, so that the left side is at our right.
DRAWN = {"nose": (-2, 110), "left_eye": (14, 95), "right_eye": (-14, 95),
         "left_shoulder": (55, 180), "right_shoulder": (-55, 180), "left_elbow": (80, 270),
         "right_elbow": (-80, 270), "left_wrist": (85, 345), "right_wrist": (-85, 345),
         "left_hip": (25, 335), "right_hip": (-25, 335), "left_ankle": (32, 560),
         "right_ankle": (-32, 560)}  # fmt: skip


def draw(*people: int, width=480, height=640, shift_y=0) -> np.ndarray:
    """A picture with people who stand at these x."""
    import cv2

    picture = np.full((height, width, 3), (200, 205, 210), np.uint8)

    origin = [0, 0]

    def at(x, y):
        return (origin[0] + x, origin[1] + y)

    def line(start, end, colour, width):
        cv2.line(picture, at(*start), at(*end), colour, width, cv2.LINE_AA)

    def oval(centre, axes, colour, first=0, last=360):
        cv2.ellipse(picture, at(*centre), axes, 0, first, last, colour, -1, cv2.LINE_AA)

    for middle in people:
        origin[:] = middle, shift_y
        for side in (-1, 1):
            line((25 * side, 330), (32 * side, 560), TROUSERS, 44)
            oval((36 * side, 580), (26, 12), (30, 20, 20))
            line((55 * side, 180), (80 * side, 270), SHIRT, 30)
            line((80 * side, 270), (85 * side, 345), SKIN, 22)
            oval((86 * side, 358), (14, 14), SKIN)
        cv2.rectangle(picture, at(-55, 165), at(55, 340), SHIRT, -1)
        line((0, 130), (0, 170), SKIN, 34)
        oval((0, 100), (36, 48), SKIN)
        oval((0, 75), (38, 32), HAIR, 180, 360)
        for side in (-1, 1):
            oval((14 * side, 95), (7, 4), (255, 255, 255))
            oval((14 * side, 95), (3, 3), (40, 30, 20))
            line((8 * side, 85), (20 * side, 84), HAIR, 2)
        line((0, 98), (-3, 112), (190, 130, 100), 2)
        oval((0, 123), (13, 5), (170, 60, 60), 0, 180)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def errors(keypoints: np.ndarray, middle: float, shift_y=0) -> np.ndarray:
    """Pixels between the joints that were drawn and those that were found."""
    names = list(DRAWN)
    drawn = np.add([DRAWN[name] for name in names], (middle, shift_y))
    return np.linalg.norm(keypoints[[JOINTS.index(name) for name in names]] - drawn, axis=1)


def overlap(a, b) -> float:
    size = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    return size / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - size)


@pytest.fixture(scope="module")
def expert():
    return EXPERT.open("", "cpu")


def run(expert, frames, boxes=None):
    expert.begin()
    return expert.estimate(frames, boxes)


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_array_equal(a, b)


def test_it_is_registered_and_says_what_it_is(expert):
    assert load_expert("mediapipe") is EXPERT
    assert EXPERT.missing() == []
    assert expert.about["version"] == "mediapipe 0.10.14"
    assert [weight["file"] for weight in expert.about["weights"]] == [
        "pose_detection.tflite", "pose_landmark_full.tflite"
    ]  # fmt: skip
    assert all(len(weight["sha256"]) == 64 for weight in expert.about["weights"])


def test_the_drawn_joints_are_found_in_a_whole_frame(expert):
    (people,) = run(expert, [draw(240)])
    assert people.keypoints_2d.shape == (1, 33, 2)
    assert errors(people.keypoints_2d[0], 240).max() < 15
    assert (people.scores[0] > LEAST_VISIBILITY).all()
    assert people.box_scores[0] == pytest.approx(people.scores[0].mean())
    assert overlap(people.boxes[0], np.array([136, 43, 344, 592])) > 0.9


def test_the_directions_of_the_3d_joints(expert):
    (people,) = run(expert, [draw(240)])
    joint = dict(zip(JOINTS, people.keypoints_3d[0], strict=True))
    np.testing.assert_allclose((joint["left_hip"] + joint["right_hip"]) / 2, 0, atol=0.02)
    assert joint["left_shoulder"][0] > 0.1 > -0.1 > joint["right_shoulder"][0]
    assert joint["nose"][1] < -0.4 < 0.4 < joint["left_ankle"][1]
    assert joint["nose"][2] < joint["left_ear"][2] - 0.1  # the person looks into the camera
    assert joint["left_foot_index"][2] < joint["left_heel"][2] - 0.05


def test_a_video_is_the_same_whatever_came_before_it(expert):
    frames = [draw(240 + 6 * step) for step in range(5)]
    first = run(expert, frames)
    run(expert, [draw(300, shift_y=20)] * 2)
    assert_same(first, run(expert, frames))
    expert.begin()
    pieces = expert.estimate(frames[:2], None) + expert.estimate(frames[2:], None)
    assert_same(first, pieces)
    assert_same(first, run(EXPERT.open("", "cpu"), frames))
    moved = [people.keypoints_2d[0, 0, 0] for people in first]
    np.testing.assert_allclose(np.diff(moved), 6, atol=4)


def test_frames_without_people(expert):
    frames = [np.zeros((480, 480, 3), np.uint8), draw(240), np.zeros((480, 480, 3), np.uint8)]
    found = run(expert, frames[:1] + [frames[1]] * 2) + run(expert, frames[2:])
    assert [len(people.boxes) for people in found] == [0, 1, 1, 0]
    assert_same(people_from_arrow(people_to_arrow(found), 33), found)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2)])
def test_the_smallest_pictures(expert, shape):
    frame = np.full((*shape, 3), 128, np.uint8)
    assert len(run(expert, [frame])[0].boxes) == 0
    (people,) = run(expert, [frame], [np.array([[-9, -9, 500, 500]], np.float32)])
    assert np.isnan(people.keypoints_2d).all()


def test_one_person_a_box_in_the_order_of_the_boxes(expert):
    picture = draw(200, 700, width=900)
    boxes = np.array([[596, 43, 804, 592], [96, 43, 304, 592], [380, 100, 500, 500]], np.float32)
    first, second = run(expert, [picture, picture[:, :450]], [boxes, boxes[1:2]])
    np.testing.assert_array_equal(first.boxes, boxes)
    for person, middle in ((0, 700), (1, 200)):
        assert errors(first.keypoints_2d[person], middle).max() < 15
        assert first.box_scores[person] == pytest.approx(first.scores[person].mean())
    np.testing.assert_array_equal(second.boxes, boxes[1:2])
    np.testing.assert_array_equal(second.keypoints_2d[0], first.keypoints_2d[1])


def test_a_crop_moves_with_the_picture(expert):
    box = np.array([[136, 143, 344, 692]], np.float32)
    (here,) = run(expert, [draw(240, height=840, shift_y=100)], [box])
    (there,) = run(expert, [draw(257, height=840, shift_y=111)], [box + np.tile((17, 11), 2)])
    moved = there.keypoints_2d - here.keypoints_2d
    np.testing.assert_allclose(moved, np.tile((17, 11), (1, 33, 1)), atol=1e-3)
    np.testing.assert_array_equal(there.scores, here.scores)
    np.testing.assert_array_equal(there.keypoints_3d, here.keypoints_3d)


def test_beyond_the_picture_a_crop_is_black(expert):
    box = np.array([[136, 43, 344, 592]], np.float32)
    cut = draw(240)[:, :330]
    padded = np.zeros((640, 700, 3), np.uint8)
    padded[:, :330] = cut
    (alone,) = run(expert, [cut], [box])
    wide = box.copy()
    wide[0, 2] = 329.5  # as far as there is a picture
    (beside_black,) = run(expert, [padded], [wide])
    np.testing.assert_array_equal(alone.keypoints_2d, beside_black.keypoints_2d)


@pytest.mark.parametrize("box", [
    [np.nan, 0, 10, 10], [0, 0, np.inf, 10], [700, 0, 800, 100], [50, 50, 50, 90],
    [90, 90, 50, 50], [-3e38, -3e38, 3e38, 3e38],
])  # fmt: skip
def test_boxes_that_hold_nobody(expert, box):
    frame = np.zeros((100, 200, 3), np.uint8)
    (people,) = run(expert, [frame], [np.array([box], np.float32)])
    np.testing.assert_array_equal(people.boxes, np.array([box], np.float32))
    assert np.isnan(people.keypoints_2d).all()
    assert np.isnan(people.keypoints_3d).all()
    assert (people.scores == 0).all()
    assert people.box_scores.tolist() == [0]


def test_frames_without_boxes_have_nobody(expert):
    (people,) = run(expert, [draw(240)], [np.empty((0, 4), np.float32)])
    assert [array.shape for array in people] == [(0, 4), (0,), (0, 33, 2), (0, 33), (0, 33, 3)]


def test_read_only_frames_that_are_parts_of_others(expert):
    frame = draw(240)
    whole = run(expert, [frame])
    wide = np.zeros((640, 600, 3), np.uint8)
    wide[:, 50:530] = frame
    wide.flags.writeable = False
    assert_same(whole, run(expert, [wide[:, 50:530]]))


def test_a_model_is_refused():
    with pytest.raises(UsageError, match="takes no model"):
        EXPERT.open("heavy", "cpu")


def test_its_log_does_not_reach_stderr(expert, capfd):
    run(expert, [draw(240)])
    run(EXPERT.open("", "cpu"), [draw(240)], [np.array([[136, 43, 344, 592]], np.float32)])
    assert capfd.readouterr().err == ""


@pytest.mark.real
def test_ntu_is_within_a_tenth_of_what_was_measured_by_hand(expert, shared):
    """16.4 px over the limb joints, sides swapped because NTU's video is mirrored; boxes too."""
    import av

    from posedata.converters.ntu_file import parse_skeleton

    name = "S001C001P001R001A001"
    path = shared / f"data/ntu/skeletons/{name}.skeleton"
    kinect = load_skeleton("nturgbd25")
    limbs = [f"{side}_{joint}" for side in ("left", "right")
             for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip
    truth = parse_skeleton(path.read_bytes(), str(path)).colour_pixels
    truth = truth[:, [kinect.index(joint) for joint in limbs]]
    other = {"left": "right", "right": "left"}
    order = [JOINTS.index(other[joint.split("_")[0]] + "_" + joint.split("_")[1])
             for joint in limbs]  # fmt: skip

    with av.open(str(shared / f"data/ntu/rgb/{name}_rgb.avi")) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    whole = run(expert, frames)
    found = np.stack([people.keypoints_2d[0, order] for people in whole])
    assert np.linalg.norm(found - truth, axis=-1).mean() == pytest.approx(16.4, rel=0.1)

    boxed = run(expert, frames[::4], [people.boxes for people in whole[::4]])
    found = np.stack([people.keypoints_2d[0, order] for people in boxed])
    assert np.linalg.norm(found - truth[::4], axis=-1).mean() < 16.4 * 1.1
    depths = np.stack([people.keypoints_3d[0, :, 2] for people in whole])
    assert (depths[:, JOINTS.index("nose")] < depths[:, JOINTS.index("left_ear")]).all()


def test_who_is_not_found_in_a_tight_crop_is_looked_for_in_a_wider_one(expert, monkeypatch):
    """A crop of the legs alone shows nobody; a wider one does, and they are in the box."""
    frame = draw(240)
    legs, body = [[200, 400, 280, 600]], [[150, 50, 330, 600]]
    (people,) = expert.estimate([frame], [np.array(body, np.float32)])
    looked = []
    find = mediapipe_pose._Pose.find

    def blind_at_first(pose, picture):
        looked.append(picture.shape)
        return None if len(looked) == 1 else find(pose, picture)

    with monkeypatch.context() as context:
        context.setattr(mediapipe_pose._Pose, "find", blind_at_first)
        (again,) = expert.estimate([frame], [np.array(body, np.float32)])
        assert looked[1][0] > looked[0][0]
        assert np.abs(again.keypoints_2d - people.keypoints_2d).max() < 25
        looked.clear()
        (nobody,) = expert.estimate([frame], [np.array(legs, np.float32)])  # who is found is beyond
    assert len(looked) == 2 and not np.isfinite(nobody.keypoints_2d).any()
