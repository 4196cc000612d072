"""Experts for tests: they see the squares of `square_videos`, and misbehave where they are told to.

``made:MODE[,OPTION=VALUE]...`` with MODE one of

finder      a pose for each square, found by itself
topdown     a pose for each box that it is told, around the brightest spot of the box
detector    boxes of the squares
optional    topdown with boxes, finder without
idle        nobody anywhere

and the options ``seconds`` (a frame takes so long), ``die`` / ``hang`` / ``fail`` (at that frame
of a video, counted by this process), ``once`` (a file: misbehave only while it is not there),
``shift`` (pixels that poses are beside the truth), ``order`` (``right``: people from the right on).
"""

import os
import time
from pathlib import Path

import numpy as np

from posedata.expert import Expert, PeopleInFrame, nobody

MODES = {"finder": "unused", "topdown": "needed", "optional": "optional", "idle": "unused",
         "detector": "unused"}  # fmt: skip
#: Where COCO's 17 joints are in a square of side 1.
TEMPLATE = np.stack([np.linspace(0.1, 0.9, 17), np.linspace(0.9, 0.1, 17)], 1).astype(np.float32)


class Made:
    def __init__(self, model, device):
        mode, *options = model.split(",")
        self.mode = mode
        self.options = dict(option.split("=") for option in options)
        self.about = {
            "kind": "detector" if mode == "detector" else "pose",
            "skeleton": None if mode == "detector" else "coco17",
            "boxes": MODES[mode], "has_3d": False, "version": "made 1.0", "weights": [],
            "options": {}, "device": device,
        }  # fmt: skip
        self.count = 0

    def begin(self):
        self.count = 0

    def estimate(self, frames, boxes):
        answers = []
        for number, frame in enumerate(frames):
            self.misbehave()
            self.count += 1
            time.sleep(float(self.options.get("seconds", 0)))
            told = None if boxes is None else boxes[number]
            answers.append(self.look(frame, told))
        return answers

    def look(self, frame, told):
        joints = 0 if self.mode == "detector" else 17
        if self.mode == "idle":
            return nobody(joints)
        found = squares(frame) if told is None else np.asarray(told, np.float32).reshape(-1, 4)
        if self.options.get("order") == "right":
            found = found[::-1]
        size = found[:, 2:] - found[:, :2]
        keypoints = found[:, None, :2] + TEMPLATE * size[:, None]
        keypoints = (keypoints + float(self.options.get("shift", 0)))[:, :joints]
        scores = np.full((len(found), joints), 0.9, np.float32)
        return PeopleInFrame(found, np.full(len(found), 0.8, np.float32),
                             keypoints.astype(np.float32), scores)  # fmt: skip

    def misbehave(self):
        once = self.options.get("once")
        if once and Path(once).exists():
            return
        for how in ("die", "hang", "fail"):
            if self.options.get(how) == str(self.count):
                if once:
                    Path(once).write_text("")
                if how == "die":
                    os.write(2, b"the last words of a made expert\n")
                    os.kill(os.getpid(), 9)
                if how == "hang":
                    time.sleep(1e6)
                raise RuntimeError("a made failure")


def squares(frame):
    """Boxes of the bright squares, from left to right."""
    bright = frame[..., 0] > 128
    columns = np.flatnonzero(np.diff(np.pad(bright.any(0), 1).astype(np.int8)))
    boxes = []
    for left, right in columns.reshape(-1, 2).tolist():
        rows = np.flatnonzero(bright[:, left:right].any(1))
        boxes.append([left, rows[0], right - 1, rows[-1]])
    return np.array(boxes, np.float32).reshape(-1, 4)


EXPERT = Expert("made", "for tests", "MODE", Made, ("numpy",), "nothing")
