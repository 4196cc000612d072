"""Real experts on real videos, through the command line, against what is known of them."""

import subprocess
import sys

import numpy as np
import pytest

import posedata
from posedata.validate import validate

pytestmark = [pytest.mark.real, pytest.mark.slow]

CLIP = "S001C001P001R001A001"
LIMBS = [f"{side}_{joint}" for side in ("left", "right")
         for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")]  # fmt: skip


def run(*arguments):
    command = [sys.executable, "-m", "posedata", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done


def limbs(clip):
    return clip.keypoints_2d[:, [clip.skeleton.index(joint) for joint in LIMBS]]


def errors(release, layer):
    """Mean error in pixels, and PCKh over the head-neck distance @0.5, against Kinect."""
    truth, clip = release.clip(CLIP, "kinect"), release.clip(CLIP, layer)
    row_of = {key: row for row, key in enumerate(zip(truth.frames, truth.persons, strict=True))}
    rows = [row_of[key] for key in zip(clip.frames, clip.persons, strict=True)]
    assert len(rows) == 103
    distance = np.linalg.norm(limbs(clip) - limbs(truth)[rows], axis=-1)
    head, neck = (truth.keypoints_2d[rows, truth.skeleton.index(j)] for j in ("head", "neck"))
    near = distance <= 0.5 * np.linalg.norm(head - neck, axis=-1)[:, None]
    return float(np.nanmean(distance)), float(near.mean())


def test_ntu_is_as_far_from_kinect_as_measured_by_hand(shared, tmp_path):
    """By hand, with crops from the truth: 16.4, 18.3 and 15.6 px, PCKh 0.77, 0.72 and 0.85."""
    models, out = shared / "models", tmp_path / "ntu"
    run("convert", "ntu", shared / "data/ntu/skeletons", "-o", out)
    video = shared / "data/ntu/rgb" / f"{CLIP}_rgb.avi"
    run("estimate", video, "-o", out, "-e", "mediapipe")
    run("estimate", video, "-o", out, "-d", f"onnx:{models}/rtmdet_nano_coco80.onnx",
        "-e", f"movenet=litert:{models}/movenet_lightning_int8.tflite",
        "-e", f"efficientpose=litert:{models}/EfficientPoseII.tflite")  # fmt: skip
    run("estimate", video, "-o", out, "-e", "unswapped=mediapipe", "--keep-sides")
    release = posedata.open_release(out)
    assert list(validate(release)) == []
    for layer, pixels, share in (
        ("mediapipe", 16.4, 0.77), ("movenet", 18.3, 0.72), ("efficientpose", 15.6, 0.85),
    ):  # fmt: skip
        error, pckh = errors(release, layer)
        assert abs(error - pixels) <= 0.1 * pixels, layer
        assert abs(pckh - share) <= 0.1 * share, layer
    error, pckh = errors(release, "unswapped")
    assert error > 50 and pckh < 0.01


def test_two_people_stay_two_in_every_layer(shared, tmp_path):
    """OpenPose's files first, then experts by boxes: the same person, the same id, each frame."""
    models, out = shared / "models", tmp_path / "two"
    folder = tmp_path / "json"
    folder.mkdir()
    (folder / "pose2sim_single_cam01").symlink_to(shared / "data/openpose/single_cam01_json")
    run("convert", "openpose", folder, "--joints", "body25b", "-o", out)
    run("estimate", shared / "data/videos/pose2sim_single_cam01.mp4", "-o", out,
        "-d", f"onnx:{models}/rtmdet_nano_coco80.onnx", "-e", "mediapipe",
        "-e", f"movenet=litert:{models}/movenet_lightning_int8.tflite",
        "-e", f"efficientpose=litert:{models}/EfficientPoseRT.tflite")  # fmt: skip
    release = posedata.open_release(out)
    assert list(validate(release)) == []
    middles = {}
    for layer in release.layers:
        (clip,) = release.iter_clips(layer)
        for person in (0, 1):
            rows = clip.persons == person
            assert clip.frames[rows].tolist() == list(range(100)), (layer, person)
            middles[layer, person] = np.nanmedian(limbs(clip)[rows], axis=1)
    assert len(release.layers) == 4
    for layer in release.layers:
        for person in (0, 1):
            near = np.linalg.norm(middles[layer, person] - middles["openpose", person], axis=1)
            far = np.linalg.norm(middles[layer, person] - middles["openpose", 1 - person], axis=1)
            assert (near < far).all(), (layer, person)
