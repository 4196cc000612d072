"""From a release to another format and back: what a format can hold comes back as it was.

To add a format, add a `Case` to `CASES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_clips import awkward_clips, clips_in_3d, made_clip, write_release

from posedata.clip import Clip
from posedata.convert import convert, plan_conversion
from posedata.export import export, plan_export
from posedata.exporter import load_exporter
from posedata.release import open_release

POSES = ("frames", "persons")
OF_CLIP = ("num_frames", "width", "height", "fps", "label", "label_name", "subject", "mirrored",
           "source")  # fmt: skip
EVERYTHING = (*POSES, "keypoints_2d", "scores", "visibility", "boxes", "slots", "person_ids",
              *OF_CLIP)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A format, and what it holds.

    Attributes
    ----------
    exporter, converter : str
        Their names.
    holds : tuple of str
        What has to come back to the last bit: arrays of a clip, ``person_ids``, clip columns.
    options, back : mapping
        The exporter's own options, and the converter's.
    clips : callable
        Gives the clips that are sent through it.
    becomes : callable
        What the format makes of a clip by its nature; by default it stays as it is.
    becomes_all : callable
        The same, of all clips of the release.
    """

    exporter: str
    converter: str
    holds: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    back: Mapping[str, str] = field(default_factory=dict)
    clips: Callable[[], list[Clip]] = awkward_clips
    becomes: Callable[[Clip], Clip] = lambda clip: clip
    becomes_all: Callable[[list[Clip]], list[Clip]] = lambda clips: clips


def clips_with_poses() -> list[Clip]:
    return [clip for clip in awkward_clips() if len(clip.frames)]


def clips_of_two() -> list[Clip]:
    return [clip for clip in clips_with_poses() if clip.num_persons <= 2]


def clips_of_two_in_3d() -> list[Clip]:
    return [clip for clip in clips_in_3d() if 0 < clip.num_persons <= 2]


def as_long_as_the_longest(clips: list[Clip]) -> list[Clip]:
    """An array has one length for all its rows."""
    longest = max(clip.num_frames for clip in clips)
    return [replace(clip, info={**clip.info, "num_frames": longest}) for clip in clips]


ARRAY_2D = (*POSES, "keypoints_2d", "scores", "num_frames", "label")
ARRAY_3D = (*POSES, "keypoints_3d", "num_frames", "label")
XYS = {"joints": "coco17", "channels": "xys"}


def clips_with_frames() -> list[Clip]:
    return [clip for clip in awkward_clips() if clip.num_frames]


CASES = {
    "csv": Case("csv", "csv", EVERYTHING),
    "csv of 3D": Case("csv", "csv", (*POSES, "keypoints_3d", "visibility", "person_ids", *OF_CLIP),
                      clips=clips_in_3d),
    "coco": Case("coco", "coco", (*POSES, "keypoints_2d", "visibility", "boxes", "person_ids",
                                  "num_frames", "width", "height"),
                 clips=clips_with_frames),
    "pyskl": Case("pyskl", "pyskl", (*ARRAY_2D, "width", "height"), clips=clips_with_poses),
    "pyskl of 3D": Case("pyskl", "pyskl", ARRAY_3D, clips=clips_of_two_in_3d),
    "stgcn": Case("stgcn", "stgcn", ARRAY_2D, back=XYS, clips=clips_of_two,
                  becomes_all=as_long_as_the_longest),
    "stgcn of 3D": Case("stgcn", "stgcn", ARRAY_3D, clips=clips_of_two_in_3d,
                        becomes_all=as_long_as_the_longest),
    "agcn": Case("agcn", "stgcn", ARRAY_3D, clips=clips_of_two_in_3d,
                 becomes_all=as_long_as_the_longest),
    "unik": Case("unik", "stgcn", ARRAY_2D, back=XYS, clips=clips_of_two,
                 becomes_all=as_long_as_the_longest),
    "ctrgcn": Case("ctrgcn", "ctrgcn", ARRAY_3D, clips=clips_of_two_in_3d,
                   becomes_all=as_long_as_the_longest),
    "ctrgcn of 2D": Case("ctrgcn", "ctrgcn", ARRAY_2D, back=XYS, clips=clips_of_two,
                         becomes_all=as_long_as_the_longest),
}  # fmt: skip


def round_trip(
    release_clips: Sequence[Clip], exporter: str, converter: str, options: Mapping[str, str],
    place: Path, back: Mapping[str, str] | None = None,
) -> list[Clip]:  # fmt: skip
    """Send clips from a release through a format into another release."""
    splits = [("fold", "test" if row % 2 else "train", clip.clip_id)
              for row, clip in enumerate(release_clips)]  # fmt: skip
    write_release(place / "before", release_clips, splits=splits)
    suffix = load_exporter(exporter).suffix
    out = place / "format" / f"made{suffix}"
    export(plan_export(place / "before", exporter, options=options), out, num_workers=1)
    raw = out.parent if suffix else out
    (place / "format" / "made.export.json").unlink(missing_ok=True)  # JSON, but no poses
    convert(plan_conversion(converter, raw, options=back or {}), place / "after", num_workers=1)
    after = open_release(place / "after")
    reasons = [row["reason"] for row in after.rejects().to_pylist() if row["severity"] == "reject"]
    assert reasons == []
    return list(after.iter_clips())


def assert_held(clip: Clip, expected: Clip, holds: Sequence[str]) -> None:
    """Compare what the format holds, bit by bit."""
    assert clip.clip_id == expected.clip_id
    for name in holds:
        found, wanted = part_of(clip, name), part_of(expected, name)
        assert (found is None) == (wanted is None), (clip.clip_id, name)
        if isinstance(wanted, np.ndarray):
            assert found.dtype == wanted.dtype, (clip.clip_id, name)
            np.testing.assert_array_equal(found, wanted, err_msg=f"{clip.clip_id} {name}")
        else:
            assert found == wanted, (clip.clip_id, name)


def part_of(clip: Clip, name: str) -> Any:
    if name in ("frames", "persons", "person_ids"):
        return getattr(clip, name)
    return clip.arrays[name] if name in clip.arrays else clip.info.get(name)


@pytest.mark.parametrize("name", CASES)
def test_what_a_format_holds_comes_back(name, tmp_path):
    case = CASES[name]
    before = case.clips()
    after = round_trip(before, case.exporter, case.converter, case.options, tmp_path, case.back)
    before = case.becomes_all(before)
    assert [clip.clip_id for clip in after] == [clip.clip_id for clip in before]
    for clip, expected in zip(after, before, strict=True):
        assert clip.skeleton == expected.skeleton
        assert_held(clip, case.becomes(expected), case.holds)


def test_results_of_coco_hold_poses_and_scores(tmp_path):
    """They have no names: an image is a number, and so is the clip that it becomes."""
    before = clips_with_poses()
    after = round_trip(before, "coco", "coco", {"kind": "results"}, tmp_path)

    def poses(clips):
        rows = [
            np.concatenate([clip.keypoints_2d[row], clip.scores[row][:, None]], axis=1)
            for clip in clips
            for row in range(len(clip.frames))
        ]
        return sorted(np.nan_to_num(row, nan=-9e9).tolist() for row in rows)

    assert poses(after) == poses(before)
    assert all(clip.num_frames == 1 for clip in after)


def test_the_clips_are_worth_sending():
    """The tests of this file mean something only if these are there."""
    clips = awkward_clips()
    assert any(clip.num_persons > 2 for clip in clips)
    assert any(len(clip.frames) == 0 for clip in clips)
    assert any(clip.num_frames == 1 for clip in clips)
    assert any((np.diff(clip.frames[clip.persons == 1]) > 1).any() for clip in clips)
    assert any(set(range(clip.num_frames)) - set(clip.frames) for clip in clips)
    assert any(np.isnan(clip.keypoints_2d).any() for clip in clips)
    assert any((clip.keypoints_2d < 0).any() for clip in clips)
    assert any(not clip.info["label_name"].isascii() for clip in clips)


def test_a_comparison_notices_a_change():
    clip = made_clip("A", [[0, 1]], 3)
    moved = clip.keypoints_2d.copy()
    moved[1, 3, 0] = np.nextafter(moved[1, 3, 0], np.float32(np.inf))
    assert_held(clip, clip, EVERYTHING)
    with pytest.raises(AssertionError):
        assert_held(replace(clip, keypoints_2d=moved), clip, ("keypoints_2d",))
    with pytest.raises(AssertionError):
        assert_held(replace(clip, info={**clip.info, "label": 1}), clip, ("label",))
