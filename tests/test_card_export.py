"""The card for Hugging Face: its sizes are those that load_dataset finds."""

from __future__ import annotations

import shutil

import pytest
import yaml
from made_clips import awkward_clips, clips_in_3d, made_clip, write_release

from posedata.card import write_card
from posedata.converters.card_export import _size_category
from posedata.errors import UsageError
from posedata.export import export, plan_export
from posedata.version import __version__


def front_matter(text: str) -> dict:
    start, front, _ = text.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front)


def test_the_card_says_more_than_the_release_s_own(tmp_path):
    release = write_release(tmp_path / "release", awkward_clips())
    summary = export(plan_export(release, "card"), tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text("utf-8")
    plain = write_card(release.manifest, __version__).decode()
    assert text.split("---\n", 2)[2] == plain.split("---\n", 2)[2]
    front = front_matter(text)
    assert front.items() >= front_matter(plain).items()
    assert front["size_categories"] == ["n<1K"]
    assert front["task_categories"] == ["keypoint-detection", "video-classification"]
    (entry,) = front["dataset_info"]
    parts = [tmp_path / "release" / name for name in release.part_names("made")]
    assert len(parts) > 1
    assert entry["config_name"] == "made"
    assert entry["download_size"] == sum(part.stat().st_size for part in parts)
    assert entry["splits"] == [{"name": "train", "num_bytes": entry["dataset_size"],
                                "num_examples": 5}]  # fmt: skip
    assert summary.clips == 5


def test_hugging_face_reads_a_release_with_this_card(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    release = write_release(tmp_path / "release", clips_in_3d())
    export(plan_export(release, "card"), tmp_path / "README.md")
    shutil.copy(tmp_path / "README.md", tmp_path / "release" / "README.md")
    read = datasets.load_dataset(
        str(tmp_path / "release"), "made", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert read.num_rows == 5
    assert read.features["label"].names[1] == "Geschirr spülen"
    wrong = (
        (tmp_path / "README.md").read_text("utf-8").replace("num_examples: 5", "num_examples: 6")
    )
    (tmp_path / "release" / "README.md").write_text(wrong, "utf-8")
    with pytest.raises(Exception, match="num_examples=6"):  # it does check them
        datasets.load_dataset(
            str(tmp_path / "release"), "made", split="train", cache_dir=str(tmp_path / "again")
        )


def test_the_card_is_of_the_whole_release(tmp_path):
    release = write_release(tmp_path / "release", [made_clip("A", [[0]], 1)])
    for given in ({"layer": "made"}, {"skeleton": "coco17"}, {"limit": 1}):
        with pytest.raises(UsageError, match="about the whole release"):
            plan_export(release, "card", **given)


@pytest.mark.parametrize(
    ("clips", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (56_578, "10K<n<100K"),
     (113_945, "100K<n<1M"), (9_999_999, "1M<n<10M"), (10**9, "1B<n<10B"), (10**13, "n>1T")],
)  # fmt: skip
def test_size_categories_are_those_of_the_site(clips, category):
    assert _size_category(clips) == category
