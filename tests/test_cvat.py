"""`posedata.converters.cvat`: annotations of CVAT for images and for videos to clips."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.converters import cvat
from posedata.converters.annotated_joints import find_joints
from posedata.converters.cvat_file import parse_cvat
from posedata.errors import InputError, PosedataError, UsageError
from posedata.skeleton import load_skeleton
from posedata.storage import locate

OPTIONS = {"all_fields": False, "joints": ""}
PENN = load_skeleton("penn13").joints

SUBLABELS = "".join(
    f"<label><name>{joint}</name><type>points</type><parent>person</parent></label>"
    for joint in PENN
)
LABELS = f"<labels><label><name>person</name><type>skeleton</type></label>{SUBLABELS}</labels>"


def annotations(body, meta="", labels=LABELS):
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><id>4</id><name>walk</name><size>3</size>{labels}{meta}
<owner><username>name</username></owner></task></meta>
{body}</annotations>"""


def skeleton(x, attributes="", **changed):
    """Joint j is at (x + j, 50 + 2j) from the corner; ``changed`` are attributes of points."""
    points = "".join(
        f'<points label="{joint}" points="{x + j},{50 + 2 * j}" '
        f'{changed.get(joint, """outside="0" occluded="0" """)}/>'
        for j, joint in enumerate(PENN)
    )
    return f'<skeleton label="person" {attributes}>{points}</skeleton>'


def image(number, name, body=""):
    return f'<image id="{number}" name="{name}" width="640" height="480">{body}</image>'


def converted(folder, files, **options):
    """Read files the way a conversion does."""
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    raw, options = locate(folder), {**OPTIONS, **options}
    found = cvat.discover(raw, options)
    assert pickle.loads(pickle.dumps(found.samples)) == found.samples
    description = cvat.describe(found.samples, options)
    clips, problems = {}, list(found.problems)
    for sample in found.samples:
        clip, more = cvat.read(raw, sample, description)
        clips[clip.clip_id] = clip
        problems += more
    return clips, problems


def test_images_with_skeletons(tmp_path):
    hidden = {"left_wrist": 'outside="1" occluded="0"', "head": 'outside="0" occluded="1"'}
    body = image(0, "a/one.jpg", skeleton(100, **hidden) + skeleton(300)) + image(1, "two.png")
    clips, problems = converted(tmp_path, {"annotations.xml": annotations(body)})
    assert problems == [] and list(clips) == ["one", "two"]
    clip = clips["one"]
    assert (clip.layer, clip.skeleton.joints, clip.num_frames) == ("human", PENN, 1)
    # Half a pixel from the corner to the centre of the first pixel.
    assert clip.keypoints_2d[0, 0].tolist() == [99.5, 49.5]
    assert clip.keypoints_2d[1, 12].tolist() == [311.5, 73.5]
    assert np.isnan(clip.keypoints_2d[0, PENN.index("left_wrist")]).all()
    assert clip.visibility[0, :6].tolist() == [1, 2, 2, 2, 2, 0]
    assert clip.info == {"num_frames": 1, "width": 640, "height": 480,
                         "source": "annotations.xml", "file_name": "a/one.jpg"}  # fmt: skip
    assert len(clips["two"].frames) == 0


def test_a_video_with_tracks(tmp_path):
    gone = dict.fromkeys(PENN, 'outside="1" occluded="0"')
    body = (
        f'<track id="0" label="person">{skeleton(100, """frame="5" keyframe="1" """)}'
        f'{skeleton(101, """frame="6" keyframe="0" """)}'
        f'{skeleton(101, """frame="7" keyframe="1" """, **gone)}</track>'
        f'<track id="3" label="person" group_id="2">{skeleton(300, """frame="6" """)}</track>'
        '<track id="4" label="box" group_id="2">'
        '<box frame="6" outside="0" xtl="290.5" ytl="40.5" xbr="330.5" ybr="80.5"/>'
        '<box frame="7" outside="1" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'
        '<track id="5" label="car"><polygon frame="1" points="1,2;3,4"/></track>'
    )
    meta = "<original_size><width>640</width><height>480</height></original_size>"
    text = annotations(body, meta).replace(
        "</task></meta>", "</task><source>x/v.mp4</source></meta>"
    )
    clips, problems = converted(tmp_path, {"a.xml": text})
    clip = clips["v"]
    assert clip.frames.tolist() == [5, 6, 6] and clip.persons.tolist() == [0, 0, 1]
    assert clip.person_ids == ("0", "3") and clip.extra["keyframes"].tolist() == [1, 0, 1]
    assert clip.keypoints_2d[:, 0, 0].tolist() == [99.5, 100.5, 299.5]
    assert clip.boxes[2].tolist() == [290, 40, 330, 80] and np.isnan(clip.boxes[:2]).all()
    assert clip.info == {"num_frames": 7, "width": 640, "height": 480, "source": "a.xml",
                         "file_name": "x/v.mp4"}  # fmt: skip
    assert [p.reason for p in problems] == ["shapes that are no poses: 1 polygon"]


def test_frames_of_a_video_as_images(tmp_path):
    body = image(0, "frame_000000") + image(4, "frame_000004", skeleton(9, 'track_id="7"'))
    text = annotations(body).replace("</task></meta>", "</task><source>v.mp4</source></meta>")
    clips, _ = converted(tmp_path, {"a.xml": text})
    assert clips["v"].frames.tolist() == [4] and clips["v"].num_frames == 5
    assert clips["v"].person_ids == ("7",) and clips["v"].info["width"] == 640


def points(label, x, y, group=""):
    group = f'group_id="{group}"' if group else ""
    return f'<points label="{label}" points="{x},{y}" occluded="1" {group}/>'


def test_points_in_groups(tmp_path):
    labels = "".join(f"<label><name>{joint}</name></label>" for joint in PENN)
    body = image(0, "a.jpg", points("head", 1.5, 2.5, 1) + points("head", 5.5, 6.5, 2)
                 + points("left_hip", 3.5, 4.5, 1) + points("left_hip", 9, 9)
                 + '<box label="person" group_id="2" xtl="0.5" ytl="0.5" xbr="9.5" ybr="9.5"/>'
                 + '<box label="person" xtl="0.5" ytl="0.5" xbr="9.5" ybr="9.5"/>')  # fmt: skip
    alone = image(1, "b.jpg", points("head", 1.5, 2.5) + points("left_hip", 3.5, 4.5))
    text = annotations(body + alone, labels=f"<labels>{labels}</labels>")
    clips, problems = converted(tmp_path, {"a.xml": text}, joints="penn13")
    hip = PENN.index("left_hip")
    assert clips["a"].keypoints_2d[:, 0].tolist() == [[1, 2], [5, 6]]
    assert clips["a"].keypoints_2d[0, hip].tolist() == [3, 4]
    assert clips["a"].visibility[:, hip].tolist() == [1, 0]
    assert clips["a"].person_ids == ("group 1", "group 2")
    assert clips["a"].boxes[1].tolist() == [0, 0, 9, 9]
    assert clips["b"].keypoints_2d[0, [0, hip]].tolist() == [[1, 2], [3, 4]]
    assert [(p.reason, p.position) for p in problems] == [
        ("a box that is in no group with joints: 1 times", "a, line 5"),
        ("points in no group, to tell whose they are: 1 times", "a, line 5"),
    ]


def test_a_skeleton_whose_parts_are_numbers(tmp_path):
    text = annotations(image(0, "a.jpg", skeleton(100)))
    for number, joint in enumerate(PENN):
        text = text.replace(f">{joint}<", f">{number + 1}<")
        text = text.replace(f'"{joint}"', f'"{number + 1}"')
    with pytest.raises(InputError, match=r"no skeleton's.*--joints"):
        converted(tmp_path, {"a.xml": text})
    clips, _ = converted(tmp_path, {"a.xml": text}, joints="penn13")
    assert clips["a"].keypoints_2d[0, 12].tolist() == [111.5, 73.5]


def test_a_row_of_points_is_the_skeleton_in_its_order(tmp_path):
    row = ";".join(f"{j}.5,{2 * j}.5" for j in range(13))
    body = image(0, "a.jpg", f'<points label="person" points="{row}"/>'
                 '<points label="person" points="1,1;2,2"/>')  # fmt: skip
    labels = "<labels><label><name>person</name></label></labels>"
    clips, problems = converted(tmp_path, {"a.xml": annotations(body, labels=labels)},
                                joints="penn13")  # fmt: skip
    assert clips["a"].keypoints_2d[0, 12].tolist() == [12, 24]
    assert [p.reason for p in problems] == ["points that are no joint: 1 times"]


def test_labels_of_some_joints_with_capitals():
    found = find_joints(["Head", "Left Hip"], [], "penn13", "")
    assert (found.labels[0], found.labels[PENN.index("left_hip")]) == ("Head", "Left Hip")
    assert found.labels[1] == "left_shoulder"
    assert found.as_labelled().joints == found.labels
    # Of all skeletons, only Kinect's second version has the tips of hands.
    found = find_joints(["LEFT_HAND_TIP"], [], "", "")
    assert found.skeleton == "nturgbd25" and "LEFT_HAND_TIP" in found.labels
    with pytest.raises(UsageError, match="unknown skeleton"):
        find_joints([], [], "nobody17", "")


def test_images_of_one_name_in_two_folders(tmp_path):
    body = image(0, "a/x.jpg", skeleton(1)) + image(1, "b/x.jpg", skeleton(2))
    clips, _ = converted(tmp_path, {"a.xml": annotations(body)})
    assert list(clips) == ["a__x", "b__x"]


GOOD = annotations(image(0, "a.jpg", skeleton(1)))


@pytest.mark.parametrize(("text", "message"), [
    ("<annotations>", "not XML: no element found"),
    ("<View/>", "not XML of CVAT: found <View>, expected <annotations>"),
    ('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "document type"),
    (GOOD.replace('points="1,50"', 'points="1;50"'), "line 5: bad points: found 1"),
    (GOOD.replace('points="1,50"', 'points="nan,50"'), "line 5: bad coordinate"),
    (GOOD.replace('points="1,50"', 'points="1,50;2,3"'), "found 2 points"),
    (GOOD.replace('<image id="0"', '<image id="-1"'), "bad id"),
    (GOOD.replace("utf-8", "klingon"), "unknown encoding"),
    ("<annotations>" + "<a>" * 30, "nested too deeply"),
    (annotations(image(0, "a") + image(0, "b")), "two images with one id"),
    (annotations("<track id='0'/>", "</task><task>"), "tracks of several tasks"),
])  # fmt: skip
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(InputError, match=message):
        parse_cvat(text.encode(), "a.xml")


def test_a_joint_twice_is_rejected(tmp_path):
    twice = skeleton(1).replace("left_hip", "head")
    with pytest.raises(InputError, match="a joint twice in one person"):
        converted(tmp_path, {"a.xml": annotations(image(0, "a.jpg", twice))}, joints="penn13")


PIECES = [
    b"", b'"', b"<", b">", b"/", b"&", b"\xff", b"-1", b"1e99", b"nan", b",", b";", b"9" * 12,
    b'frame="2"', b"<track>", b"<points/>", b"</annotations>", b"group_id='1'", b"image",
]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 9), st.sampled_from(PIECES)), max_size=3
)
TEXTS = [
    annotations(image(0, "a.jpg", skeleton(1) + points("head", 1, 1, 2))).encode(),
    annotations(f'<track id="0" label="person">{skeleton(1, """frame="1" """)}</track>').encode(),
]


@given(st.sampled_from(TEXTS), EDITS)
@settings(max_examples=300)
def test_any_bytes_give_clips_or_errors(tmp_path_factory, text, edits):
    for at, length, piece in edits:
        at %= len(text)
        text = text[:at] + piece + text[at + length :]
    try:
        clips, _ = converted(tmp_path_factory.mktemp("c"), {"a.xml": text})
    except PosedataError:
        return
    for clip in clips.values():
        assert np.isfinite(clip.keypoints_2d).all(-1).tolist() == (clip.visibility > 0).tolist()
