"""COCO files say of each joint what the release says, in numbers that COCO's tools understand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_clips import CLIP_COLUMNS, awkward_clips, made_clip, write_release

from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.errors import InputError, UsageError
from posedata.export import export, plan_export
from posedata.release import open_release

IMAGE_COLUMNS = {
    "file_name": {"type": "string", "per": "clip", "shape": [], "about": "Of the image."},
    "image_id": {"type": "int64", "per": "clip", "shape": [], "about": "Of the image."},
}
POSE_COLUMNS = {
    "areas": {"type": "float32", "per": "pose", "shape": [], "about": "Area."},
    "crowd": {"type": "int32", "per": "pose", "shape": [], "about": "A group."},
    "annotation_ids": {"type": "int64", "per": "pose", "shape": [], "about": "Id."},
}


def exported(
    place: Path, clips: list[Clip], limit: int | None = None, own: dict | None = None,
    columns: tuple = CLIP_COLUMNS, name: str = "a.json", **options: str,
) -> Any:  # fmt: skip
    """Make a release, export it, and give the file as JSON."""
    if not (place / "release").exists():
        write_release(place / "release", clips, own_columns=own, clip_columns=columns)
    given = {key.replace("_", "-"): value for key, value in options.items()}
    plan = plan_export(place / "release", "coco", limit=limit, options=given)
    export(plan, place / name, num_workers=1)
    return json.loads((place / name).read_text())


def clip_of(keypoints: list, **given: Any) -> Clip:
    """Give one person in one frame, of whom only the first joints have a place."""
    clip = made_clip("A", [[0]], 1, slots=False, **{k: given.pop(k) for k in ("ids",)
                                                    if k in given})  # fmt: skip
    places = np.full((1, 17, 2), np.nan, np.float32)
    visibility, scores = np.zeros((1, 17), np.uint8), np.zeros((1, 17), np.float32)
    for joint, (x, y, v, score) in enumerate(keypoints):
        places[0, joint], visibility[0, joint], scores[0, joint] = (x, y), v, score
    boxes = np.full((1, 4), np.nan, np.float32)
    arrays = {"keypoints_2d": places, "visibility": visibility, "scores": scores, "boxes": boxes}
    return replace(clip, **{**arrays, **given})


def test_an_annotation_by_hand(tmp_path):
    clip = clip_of(
        [(10.5, 20.25, 2, 0.5), (-3, 40, 1, 0.25), (np.nan, np.nan, 0, 0), (7, 8, 0, 0.9)],
        boxes=np.array([[-4, 18, 11.5, 50.1]], np.float32),
    )
    content = exported(tmp_path, [clip])
    assert content["annotations"] == [{
        "id": 1, "image_id": 1, "category_id": 1,
        "keypoints": [10.5, 20.25, 2, -3, 40, 1, *[0] * 45], "num_keypoints": 2,
        "bbox": [-4, 18, 15.5, 32.1], "area": 497.55, "iscrowd": 0, "track_id": 0,
    }]  # fmt: skip
    assert content["images"] == [{
        "id": 1, "file_name": "A/000000.jpg", "width": 640, "height": 480, "license": 1,
        "video_id": 1, "frame_id": 0,
    }]  # fmt: skip
    (category,) = content["categories"]
    assert (category["id"], category["name"]) == (1, "person")
    assert category["keypoints"][:2] == ["nose", "left_eye"]
    assert category["skeleton"][:2] == [[16, 14], [14, 12]]  # as in COCO's own files
    assert content["videos"][0] == {"id": 1, "name": "A", **clip.info}
    report = json.loads((tmp_path / "a.export.json").read_text())
    assert {(c["what"], c["amount"]) for c in report["changes"]} == {
        ("coordinates of joints with visibility 0 are left out", 1),
        ("column scores is not in the format", 1),
    }


def test_a_result_by_hand(tmp_path):
    keypoints = [(10.5, 20.25, 2, 0.5), (-3, 40, 1, 0.25), (np.nan, np.nan, 0, 0), (7, 8, 0, 0.9)]
    content = exported(tmp_path, [clip_of(keypoints)], kind="results")
    assert content == [{
        "image_id": 1, "category_id": 1,
        "keypoints": [10.5, 20.25, 0.5, -3, 40, 0.25, 0, 0, 0, 7, 8, 0.9, *[0] * 39],
        "score": 0.55, "track_id": 0,
    }]  # fmt: skip


def test_the_box_is_that_of_the_joints_where_there_is_none(tmp_path):
    clip = clip_of([(10.5, 20.25, 2, 1), (-3, 40, 1, 1), (900, 900, 0, 1)])
    (annotation,) = exported(tmp_path, [clip])["annotations"]
    assert annotation["bbox"] == [-3, 20.25, 13.5, 19.75]
    assert annotation["area"] == 266.625


def test_a_box_without_joints_is_kept_and_nothing_at_all_is_not(tmp_path):
    clip = made_clip("A", [range(3)], 3)
    places, boxes = np.full_like(clip.keypoints_2d, np.nan), clip.boxes.copy()
    boxes[1:] = np.nan
    clip = replace(clip, keypoints_2d=places, boxes=boxes)
    content = exported(tmp_path, [clip])
    (annotation,) = content["annotations"]
    assert annotation["keypoints"] == [0] * 51
    assert (annotation["image_id"], annotation["num_keypoints"]) == (1, 0)
    assert len(content["images"]) == 3
    changes = json.loads((tmp_path / "a.export.json").read_text())["changes"]
    assert {"step": "write", "what": "poses without joints and box are left out", "amount": 2,
            "clips": 1} in changes  # fmt: skip


def test_each_frame_is_an_image(tmp_path):
    clips = [clip for clip in awkward_clips() if clip.num_frames]
    content = exported(tmp_path, clips)
    assert len(content["images"]) == sum(clip.num_frames for clip in clips)
    names = {image["id"]: (image["video_id"], image["frame_id"]) for image in content["images"]}
    videos = {video["id"]: video["name"] for video in content["videos"]}
    poses = {(videos[names[a["image_id"]][0]], names[a["image_id"]][1], a["track_id"])
             for a in content["annotations"]}  # fmt: skip
    assert poses == {
        (clip.clip_id, int(frame), int(clip.person_ids[person]))
        for clip in clips for frame, person in zip(clip.frames, clip.persons, strict=True)
    }  # fmt: skip
    assert [annotation["id"] for annotation in content["annotations"]] == list(
        range(1, len(poses) + 1)
    )


def test_ground_truth_results_and_a_part_of_them_have_the_same_image_ids(tmp_path):
    clips = awkward_clips()
    truth = exported(tmp_path, clips)
    of_frame = {(image["video_id"], image["frame_id"]): image["id"] for image in truth["images"]}
    results = exported(tmp_path, clips, kind="results", name="r.json")
    assert {r["image_id"] for r in results} == {a["image_id"] for a in truth["annotations"]}
    few = exported(tmp_path, clips, limit=2, name="few.json")
    assert {(i["video_id"], i["frame_id"]): i["id"] for i in few["images"]}.items() <= (
        of_frame.items()
    )


def test_ids_of_persons_that_are_no_small_numbers_are_with_the_video(tmp_path):
    ids = ["72057594037930754", "72057594037930750"]  # near 2**56: equal as floats
    content = exported(tmp_path, [made_clip("A", [[0], [0]], 1, ids=ids)])
    assert [annotation["track_id"] for annotation in content["annotations"]] == [0, 1]
    assert content["videos"][0]["person_ids"] == ids
    assert "ids of persons" in (tmp_path / "a.export.json").read_text()


def images(places: list[int]) -> list[Clip]:
    clips = []
    for number, at in enumerate(places):
        clip = made_clip(f"{at:012}", [[0], [0]], 1, file_name=f"{at:012}.jpg", image_id=at)
        extra = {
            **clip.extra,
            "areas": np.array([1234.5, np.nan], np.float32),
            "crowd": np.array([0, 1], np.int32),
            "annotation_ids": np.array([900 + number, 100 + number]),
        }
        clips.append(replace(clip, extra=extra))
    return clips


OF_IMAGES = {"own": {**IMAGE_COLUMNS, **POSE_COLUMNS}, "columns": (*CLIP_COLUMNS, *IMAGE_COLUMNS)}


def test_images_keep_their_names_and_ids(tmp_path):
    content = exported(tmp_path, images([139, 872]), **OF_IMAGES)
    assert content["videos"] == []
    assert [(i["id"], i["file_name"]) for i in content["images"]] == [
        (139, "000000000139.jpg"), (872, "000000000872.jpg")
    ]  # fmt: skip
    assert "video_id" not in content["images"][0]
    annotations = content["annotations"]
    assert [a["id"] for a in annotations] == [900, 100, 901, 101]
    assert [a["iscrowd"] for a in annotations] == [0, 1, 0, 1]
    assert annotations[0]["area"] == 1234.5
    box = annotations[1]["bbox"]
    assert annotations[1]["area"] == pytest.approx(box[2] * box[3], abs=1e-3)


def test_annotation_ids_that_are_there_twice_are_numbered_anew(tmp_path):
    clips = images([139, 872])
    clips[1].extra["annotation_ids"][0] = 900
    content = exported(tmp_path, clips, **OF_IMAGES)
    assert [a["id"] for a in content["annotations"]] == [1, 2, 3, 4]


def test_names_of_images_follow_the_template(tmp_path):
    clips = [made_clip("A", [[0]], 2)]
    content = exported(tmp_path, clips, file_name="{clip_id}/img_{number:05d}.png")
    assert [i["file_name"] for i in content["images"]] == ["A/img_00001.png", "A/img_00002.png"]
    for bad in ("{clip}", "{", "{frame:z}", "{clip_id.nothing}"):
        with pytest.raises(UsageError, match="--file-name"):
            exported(tmp_path, clips, file_name=bad, name=f"{len(bad)}.json")


def test_a_clip_without_a_size_is_refused_unless_it_is_given(tmp_path):
    clip = made_clip("A", [[0]], 1)
    del clip.info["width"]
    with pytest.raises(InputError, match=r"no width and height\. Give them with --size"):
        exported(tmp_path, [clip])
    assert not (tmp_path / "a.json").exists()
    (image,) = exported(tmp_path, [clip], size="1280x720", name="b.json")["images"]
    assert (image["width"], image["height"]) == (1280, 720)
    (image,) = exported(tmp_path, [clip], size="none", name="c.json")["images"]
    assert "width" not in image
    with pytest.raises(UsageError, match="--size"):
        exported(tmp_path, [clip], size="large", name="d.json")
    assert exported(tmp_path, [clip], kind="results", name="e.json")


@pytest.mark.parametrize(
    ("lacking", "kind", "reason"),
    [("keypoints_2d", "truth", "no keypoints_2d"), ("scores", "results", "no scores")],
)
def test_what_the_format_needs_and_a_layer_lacks(tmp_path, lacking, kind, reason):
    arrays = [n for n in ("keypoints_2d", "keypoints_3d", "scores") if n != lacking]
    with pytest.raises(InputError, match=reason):
        exported(tmp_path, [made_clip("A", [[0]], 1, arrays=arrays)], kind=kind)


def test_without_visibility_a_joint_that_has_a_place_is_visible(tmp_path):
    clip = made_clip("A", [[0, 1]], 2, arrays=["keypoints_2d"])
    first, second = exported(tmp_path, [clip])["annotations"]
    flags = np.array([first["keypoints"][2::3], second["keypoints"][2::3]])
    np.testing.assert_array_equal(flags, np.where(np.isnan(clip.keypoints_2d[..., 0]), 0, 2))


def test_infinite_numbers_are_not_written(tmp_path):
    clip = clip_of([(np.inf, 1, 2, 1), (5, 6, 2, np.inf)],
                   boxes=np.array([[0, 0, np.inf, 1]], np.float32))  # fmt: skip
    for kind in ("truth", "results"):
        content = exported(tmp_path, [clip], kind=kind, name=f"{kind}.json")
        text = json.dumps(content)
        assert "Infinity" not in text and "NaN" not in text
    assert content[0]["keypoints"][:6] == [0, 0, 0, 5, 6, 0]


def test_results_read_back_beside_the_ground_truth(tmp_path):
    clips = [clip for clip in awkward_clips() if clip.num_persons == 1]
    (tmp_path / "both").mkdir()
    exported(tmp_path, clips, name="both/truth.json")
    exported(tmp_path, clips, kind="results", name="both/results.json")
    for report in (tmp_path / "both").glob("*.export.json"):
        report.unlink()
    convert(plan_conversion("coco", tmp_path / "both"), tmp_path / "back", num_workers=1)
    release = open_release(tmp_path / "back")
    assert release.layers == ["human", "results"]
    for clip in clips:
        read = release.clip(clip.clip_id, "results")
        np.testing.assert_array_equal(read.frames, clip.frames)
        np.testing.assert_array_equal(read.keypoints_2d, clip.keypoints_2d)
        np.testing.assert_array_equal(read.scores, clip.scores)


def test_texts_are_escaped(tmp_path):
    name = 'say "x"\\\n\u2028'
    content = exported(tmp_path, [made_clip(name, [[0]], 1, source=name)])
    assert content["videos"][0]["name"] == content["videos"][0]["source"] == name
    assert content["images"][0]["file_name"] == f"{name}/000000.jpg"


def test_no_poses_at_all_is_still_json(tmp_path):
    content = exported(tmp_path, [made_clip("A", [], 2), made_clip("B", [], 0)])
    assert len(content["images"]) == 2 and content["annotations"] == []
    assert exported(tmp_path, [], kind="results", name="r.json") == []
    few = exported(tmp_path, [], limit=1, name="few.json")
    assert (len(few["images"]), few["videos"][0]["name"]) == (2, "A")
    assert "clips without frames" in (tmp_path / "a.export.json").read_text()
