"""Every kind of real file: to a release that is valid by our rules, and by an outside check."""

import os
import subprocess
import sys

import pytest

import posedata
from posedata.convert import convert, plan_conversion
from posedata.validate import validate

pytestmark = pytest.mark.real

# Folder in the shared data, converter, options: clips, poses by layer, segments, rejects.
CASES = {
    "ntu": ("ntu/skeletons", "ntu", {}, 7, {"kinect": 773}, 0, 0),
    "penn": ("penn", "penn", {}, 2326, {"human": 163841}, 0, 0),
    "nucla": ("nucla", "nucla", {}, 1484, {"kinect": 58534}, 0, 0),
    "charades": ("charades", "charades", {}, 9848, {}, 66500, 0),
    "charades_json": ("charades_json", "charades", {}, 9848, {}, 66500, 0),
    "smarthome": (
        "smarthome/ssta_demo", "smarthome", {}, 1,
        {"alphapose": 1380, "lcrnet": 1379, "openpose": 1376}, 0, 0,
    ),
    "tsu": ("smarthome/tsu", "smarthome_untrimmed", {}, 536, {}, 41288, 0),
    "kinetics": ("kinetics_skeleton", "kinetics", {}, 1, {"openpose": 315}, 0, 0),
    "openpose": ("openpose", "openpose", {"joints": "body25b"}, 3, {"openpose": 698}, 0, 0),
    "alphapose": ("alphapose", "alphapose", {}, 1, {"alphapose": 176}, 0, 0),
    "mmpose": ("mmpose", "mmpose", {}, 1, {"mmpose": 62}, 0, 0),
    "openpifpaf": ("openpifpaf", "openpifpaf", {}, 1, {"openpifpaf": 5}, 0, 0),
    "coco": ("coco", "coco", {}, 4, {"human": 14}, 0, 3),
    "posetrack": ("posetrack18", "coco", {}, 3, {"human": 14}, 0, 4),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_release(shared, tmp_path, case):
    folder, converter, options, clips, poses, segments, rejects = CASES[case]
    raw = shared / "data" / folder
    summary = convert(plan_conversion(converter, raw, options=options), tmp_path / case)
    release = posedata.open_release(tmp_path / case)
    assert (summary.clips, summary.rejects) == (clips, rejects)
    assert list(validate(release)) == []
    files = release.manifest.files
    found = {
        layer: sum(files[name]["poses"] for name in release.part_names(layer))
        for layer in release.layers
    }
    assert found == poses
    assert files.get("segments.parquet", {"rows": 0})["rows"] == segments
    assert release.manifest.license and "unknown" not in release.manifest.license
    check = [sys.executable, str(shared / "checks" / "contract.py"), str(tmp_path / case)]
    contract = subprocess.run(
        check,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert contract.returncode == 0, contract.stdout + contract.stderr


def test_kinetics_frames(shared, tmp_path):
    """The real file has 189 frames, 26 of them without people."""
    raw = shared / "data" / "kinetics_skeleton"
    convert(plan_conversion("kinetics", raw), tmp_path / "k", num_workers=1)
    (clip,) = posedata.open_release(tmp_path / "k").iter_clips()
    assert clip.clip_id == "--33Lscn6sk"
    assert clip.num_frames == 189
    assert 189 - len(set(clip.frames.tolist())) == 26
    assert (clip.info["width"], clip.info["height"]) == (340, 256)
