"""``posedata experts list|check|install``: what is usable, and one picture through an expert."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from square_videos import boxes, write_video

MADE = Path(__file__).parent / "made_experts"


def experts(*arguments, **environment):
    command = [sys.executable, "-m", "posedata", "experts", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(MADE), **environment},
    )  # fmt: skip


def test_list_says_which_are_usable_and_what_the_others_need(tmp_path):
    rows = json.loads(experts("list", "--json", POSEDATA_ENVIRONMENTS=str(tmp_path)).stdout)
    found = {row["name"]: row for row in rows}
    assert found["made"]["usable"] and found["mediapipe"]["usable"]
    assert not found["mmpose"]["usable"]
    text = experts("list", POSEDATA_ENVIRONMENTS=str(tmp_path)).stdout
    assert "no environment: posedata experts install mmpose" in text


def test_check_shows_whom_an_expert_sees(tmp_path):
    video = write_video(tmp_path / "v.mp4", 3, people=2)
    report = json.loads(experts("check", "made:finder", video, "--json").stdout)
    assert (report["num_joints"], report["num_people"]) == (17, 2)
    for person, box in zip(report["people"], boxes(0, 2), strict=True):
        assert person["joints"] == 17
        assert max(abs(a - b) for a, b in zip(person["box"], box, strict=True)) <= 1
    run = experts("check", "made:topdown", video)  # the whole picture is its box
    assert run.returncode == 0 and "1 people in" in run.stdout


def test_check_without_a_picture_sees_nobody():
    run = experts("check", "made:finder")
    assert run.returncode == 0 and "an empty scene: 0 people" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nobody"), "unknown expert"),
        (("check", "made:finder,die=0"), "died (signal 9)"),
        (("check", "made:finder", __file__), "not a picture or video"),
        (("check", "made:finder", "absent.png"), "not a picture or video"),
        (("install", "mediapipe"), "no environment of its own"),
    ],
)
def test_what_cannot_be_is_one_clear_line(arguments, words):
    run = experts(*arguments)
    assert run.returncode == 2
    assert words in run.stderr and "Traceback" not in run.stderr
