"""A picture of two people made of capsules, and where their joints are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from posedata.clip import Clip
from posedata.skeleton import load_skeleton

WIDTH, HEIGHT = 960, 540
SKELETON = load_skeleton("coco17")
# One person in a frame of its own: x to the right, y down, the neck at (0, 0), 1 a trunk's length.
_POSE = {
    "nose": (0, -0.33), "left_eye": (0.05, -0.38), "right_eye": (-0.05, -0.38),
    "left_ear": (0.11, -0.35), "right_ear": (-0.11, -0.35),
    "left_shoulder": (0.3, 0.0), "right_shoulder": (-0.3, 0.0),
    "left_elbow": (0.55, 0.35), "right_elbow": (-0.6, -0.25),
    "left_wrist": (0.45, 0.78), "right_wrist": (-0.5, -0.75),
    "left_hip": (0.18, 0.95), "right_hip": (-0.18, 0.95),
    "left_knee": (0.24, 1.55), "right_knee": (-0.34, 1.5),
    "left_ankle": (0.22, 2.15), "right_ankle": (-0.3, 2.1),
}  # fmt: skip
_PLACES = ((300.0, 190.0, 130.0), (640.0, 175.0, 145.0))  # x, y, trunk
_CLOTHES = ((86, 128, 168), (176, 106, 84))
_SKIN, _HAIR = (222, 184, 160), (70, 56, 48)


def people() -> np.ndarray:
    """Joints of both, shape (2, 17, 2), pixels."""
    pose = np.array([_POSE[joint] for joint in SKELETON.joints], np.float32)
    other_arm = pose[SKELETON.flip_order] * np.float32([-1, 1])
    return np.stack([
        one * trunk + np.float32([x, y])
        for one, (x, y, trunk) in zip((pose, other_arm), _PLACES, strict=True)
    ])  # fmt: skip


def picture(number: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Draw them in a room, RGB; they stand still."""
    import cv2

    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = np.linspace(236, 206, height, dtype=np.uint8)[:, None, None]
    rgb[int(height * 0.84) :] = (188, 176, 162)
    at = {joint: number for number, joint in enumerate(SKELETON.joints)}
    for joints, clothes in zip(people(), _CLOTHES, strict=True):
        scale = float(np.linalg.norm(joints[at["left_shoulder"]] - joints[at["left_hip"]]))

        def limb(names, colour, part, joints=joints, scale=scale):
            points = [tuple(np.rint(joints[at[n]]).astype(int).tolist()) for n in names]
            for start, end in pairwise(points):
                cv2.line(rgb, start, end, colour, max(2, int(part * scale)), cv2.LINE_AA)

        dark = tuple(int(c * 0.55) for c in clothes)
        for side in ("left", "right"):
            limb([f"{side}_hip", f"{side}_knee", f"{side}_ankle"], dark, 0.17)
        trunk = [
            joints[at[n]] for n in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
        ]
        cv2.fillPoly(rgb, [np.rint(trunk).astype(np.int32)], clothes, cv2.LINE_AA)
        limb(["left_shoulder", "right_shoulder"], clothes, 0.2)
        limb(["left_hip", "right_hip"], clothes, 0.2)
        for side in ("left", "right"):
            limb([f"{side}_shoulder", f"{side}_elbow"], clothes, 0.14)
            limb([f"{side}_elbow", f"{side}_wrist"], _SKIN, 0.11)
        head = (joints[at["left_ear"]] + joints[at["right_ear"]]) / 2
        centre, radius = tuple(np.rint(head).astype(int).tolist()), int(0.19 * scale)
        neck = joints[[at["left_shoulder"], at["right_shoulder"]]].mean(0)
        cv2.line(rgb, centre, tuple(np.rint(neck).astype(int).tolist()), _SKIN,
                 int(0.12 * scale), cv2.LINE_AA)  # fmt: skip
        cv2.circle(rgb, centre, radius + 3, _HAIR, -1, cv2.LINE_AA)
        cv2.circle(rgb, (centre[0], centre[1] + 5), radius - 2, _SKIN, -1, cv2.LINE_AA)
    return rgb


def estimate(num_frames: int = 3) -> Clip:
    """What an estimator may say of them: a wrist is off, an ankle is hidden, an ear is missing."""
    names = list(SKELETON.joints)
    joints = people()
    joints[0, names.index("left_wrist")] += (75, -50)
    keypoints = np.repeat(joints[:, None], num_frames, 1).reshape(-1, 17, 2)
    visibility = np.full((2, 17), 2, np.uint8)
    visibility[1, names.index("right_ankle")] = 1
    visibility[1, names.index("right_ear")] = 0
    visibility = visibility.repeat(num_frames, 0)
    keypoints[visibility == 0] = np.nan
    scores = np.where(visibility > 0, np.float32(0.9), np.float32(0))
    return Clip(
        "two_people", "made", SKELETON, frames=np.tile(np.arange(num_frames, dtype=np.int32), 2),
        persons=np.repeat(np.arange(2, dtype=np.int32), num_frames),
        keypoints_2d=keypoints.astype(np.float32), scores=scores, visibility=visibility,
        info={"num_frames": num_frames, "width": WIDTH, "height": HEIGHT},
    )  # fmt: skip
