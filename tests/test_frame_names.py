"""Names with frame numbers."""

from __future__ import annotations

import pytest

from posedata.frame_names import parse_frame_name


@pytest.mark.parametrize(
    ("name", "stem", "number"),
    [("video_000000000012", "video", 12), ("cam01.0000", "cam01", 0), ("12", "", 12),
     ("Static_cam_01.00007", "Static_cam_01", 7), ("img0003", "img", 3), ("a-1_2", "a-1", 2),
     ("-3gZ_000000000001", "-3gZ", 1), ("_1", "", 1), ("1" * 18, "", int("1" * 18))],
)  # fmt: skip
def test_names_with_a_number_at_the_end(name, stem, number):
    assert parse_frame_name(name) == (stem, number)


@pytest.mark.parametrize("name", ["", "video", "12a", "12_", "12 ", "\u0661"])
def test_names_without(name):
    assert parse_frame_name(name) is None
