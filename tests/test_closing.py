"""A finished operation is known again, whatever has come into the release since."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from square_videos import write_video

import posedata
from posedata import staging
from posedata.anchor_files import store_anchors
from posedata.anchors import Anchors
from posedata.convert import convert, plan_conversion
from posedata.errors import OutputError, UsageError
from posedata.estimate import estimate
from posedata.estimate_plan import plan_estimate
from posedata.estimate_setup import Setup, close_sessions
from posedata.expert import parse_spec
from posedata.fuse import fuse, plan_fusion
from posedata.pseudo_label import plan_pseudo_labels, pseudo_label
from posedata.release import open_release
from posedata.storage import locate
from posedata.synthetic import make_ntu
from posedata.validate import validate


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    make_ntu(folder, 4, num_frames=(12, 20))
    (folder / "S001C001P001R001A060.skeleton").write_text("nothing\n")
    return folder


def add_anchors(place, layer="kinect"):
    release = open_release(place)
    joints = release.skeleton(layer).num_joints
    anchors = np.random.default_rng(0).random((3, joints, 2)).astype(np.float32)
    store_anchors(release, layer, Anchors(anchors, np.arange(3), 0, 0, 0), {})


def made(raw, place):
    """A release with three operations after its conversion; each with its plan and its words."""

    def labels():
        return plan_pseudo_labels(place, "kinect", videos=1, frames=0.5)

    def fusion():
        return plan_fusion(place, ["kinect", "pseudo"], gamma=0.999)

    said = {"convert": convert(plan_conversion("ntu", raw), place, num_workers=1)}
    add_anchors(place)
    said["pseudo-label"] = pseudo_label(labels())
    said["fuse"] = fuse(fusion(), num_workers=1)
    return said, labels, fusion


def test_each_operation_is_known_again_and_says_the_same(raw, tmp_path):
    place = tmp_path / "release"
    said, labels, fusion = made(raw, place)
    assert (said["convert"].clips, said["convert"].rejects) == (4, 1)
    add_anchors(place, "pseudo")
    operations = [entry["operation"] for entry in open_release(place).manifest.history]
    assert operations == ["convert", "anchors", "pseudo-label", "fuse", "anchors"]
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    again = convert(plan_conversion("ntu", raw), place, resume=True, num_workers=1)
    assert again == said["convert"]
    assert again.first_rejects[0].source == "S001C001P001R001A060.skeleton"
    assert pseudo_label(labels(), resume=True) == said["pseudo-label"]
    assert fuse(fusion(), resume=True, num_workers=1) == said["fuse"]
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert list(validate(open_release(place))) == []


def test_other_options_are_not_taken_for_it(raw, tmp_path):
    place = tmp_path / "release"
    convert(plan_conversion("ntu", raw), place, num_workers=1)
    add_anchors(place)
    with pytest.raises(OutputError, match="other input or options"):
        convert(plan_conversion("ntu", raw, limit=2), place, resume=True, num_workers=1)
    assert pseudo_label(plan_pseudo_labels(place, "kinect"), resume=True).clips == 1
    with pytest.raises(OutputError, match="has a layer pseudo already"):
        pseudo_label(plan_pseudo_labels(place, "kinect", seed=1), resume=True)


def test_an_unfinished_addition_of_another_plan_is_kept(raw, tmp_path, monkeypatch):
    """A finished layer is resumed while the next one is half done: that one's shards stay."""
    place = tmp_path / "release"
    _, labels, _ = made(raw, place)
    other = plan_fusion(place, ["pseudo", "kinect"], layer="other")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("posedata.closing.close_release", killed)
        with pytest.raises(KeyboardInterrupt):
            fuse(other, num_workers=1)
    with pytest.raises(OutputError, match="begun with other"):
        pseudo_label(labels(), resume=True)
    assert staging.before_addition(locate(place)) is not None
    fuse(plan_fusion(place, ["pseudo", "kinect"], layer="other"), resume=True, num_workers=1)
    assert "other" in posedata.open_release(place).layers
    assert list(validate(open_release(place))) == []


def test_estimates_are_known_again_too(tmp_path, monkeypatch):
    """As the run that made the release, not as one that would add layers of the same names."""
    made_experts = str(Path(__file__).parent / "made_experts")
    monkeypatch.syspath_prepend(made_experts)
    monkeypatch.setenv("PYTHONPATH", made_experts)
    write_video(tmp_path / "a.mp4", 8, people=1)
    place, setup = tmp_path / "release", Setup((parse_spec("made:finder"),))

    def run(**options):
        plan = plan_estimate([str(tmp_path / "a.mp4")], place, setup, mirrored=True, **options)
        return estimate(plan, place, **options)

    try:
        first = run()
        add_anchors(place, "finder")
        again = run(resume=True)
        assert (again.release, again.videos) == (first.release, 0)
        with pytest.raises(UsageError, match="other origin"):  # it would take the anchors along
            run(overwrite=True)
    finally:
        close_sessions()
