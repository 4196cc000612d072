"""The clips that the report's player shows: which ones, and their poses in few bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posedata.aligned_clips import aligned_clips
from posedata.clip import Clip
from posedata.release import Release
from posedata.report_measure import experts_of

#: Finest steps of stored coordinates: an eighth of a pixel, a millimetre.
PIXEL_STEP, METRE_STEP = 1 / 8, 1 / 1024

#: A clip with more frames, or more than its share of these bytes, is cut to a window around its
#: first trouble: the page opens at once.
MOST_FRAMES, MOST_BYTES = 1200, 32_000_000

_MISSING = -32768
_LARGEST = 32767
_COLUMNS = ("keypoints_2d", "keypoints_3d", "scores", "confidence", "winner")
_UPPER = ("head", "head_top", "nose", "neck", "upper_neck", "left_shoulder", "right_shoulder")
_LOWER = ("pelvis", "spine_base", "left_hip", "right_hip", "left_ankle", "right_ankle")


def choose_clips(
    clip_ids: Sequence[str], worst: Sequence[Mapping[str, Any]], sureness: Mapping[str, float],
    num_clips: int, seed: int, wanted: Sequence[str] = (),
) -> dict[str, str]:  # fmt: skip
    """Choose clips to show: those asked for, the worst half, and random ones.

    Parameters
    ----------
    clip_ids : sequence of str
        To choose from.
    worst : sequence of mapping
        ``clip_id``, ``errors``, ``warnings``: what doctor found, the worst first. Up to a quarter
        of ``num_clips`` are these.
    sureness : mapping of str to float
        For each clip its least C or mean score; another quarter are the lowest of these.
    num_clips : int
        How many, apart from those asked for.
    seed : int
        Of the random ones.
    wanted : sequence of str
        To show in any case.

    Returns
    -------
    dict of str to str
        For each chosen clip why it was chosen; the worst first.
    """
    chosen = dict.fromkeys(wanted, "asked for")
    most = len(chosen) + num_clips
    quarter, half = (len(chosen) + -(-num_clips // part) for part in (4, 2))
    known = set(clip_ids)
    for clip in worst:
        if len(chosen) >= quarter:
            break
        if clip["clip_id"] in known and (clip["errors"] or clip["warnings"]):
            told = [
                f"{number} {name}{'s' if number > 1 else ''}"
                for number, name in ((clip["errors"], "error"), (clip["warnings"], "warning"))
                if number
            ]
            chosen.setdefault(clip["clip_id"], ", ".join(told))
    for clip_id in sorted(known & sureness.keys(), key=lambda name: (sureness[name], name)):
        if len(chosen) >= half:
            break
        chosen.setdefault(clip_id, f"least sure: {sureness[clip_id]:.2f}")
    rest = [name for name in clip_ids if name not in chosen]
    number = min(len(rest), max(0, most - len(chosen)))
    for at in np.random.default_rng(seed).choice(len(rest), number, replace=False):
        chosen[rest[at]] = "random"
    return chosen


def player_clips(
    release: Release, layers: Sequence[str], chosen: Mapping[str, str],
    findings: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Read and encode the chosen clips, in their order.

    Returns
    -------
    list of dict
        ``id``, ``why``, ``frames`` (of the video), ``first`` and ``count`` (the window that is
        shown), ``width``, ``height``, ``fps``, ``about``, ``findings``, and ``layers``: for each
        what `encoded_layer` gives.
    """
    made = {}
    ids = sorted(chosen)
    for clip_id, found in zip(ids, aligned_clips(release, layers, ids, _COLUMNS), strict=True):
        made[clip_id] = _encoded(clip_id, chosen[clip_id], found, findings.get(clip_id, ()),
                                 MOST_BYTES / len(ids))  # fmt: skip
    return [made[clip_id] for clip_id in chosen]


def _encoded(
    clip_id: str,
    why: str,
    found: Mapping[str, Clip],
    findings: Sequence[Mapping[str, Any]],
    most: float,
) -> dict[str, Any]:
    info: dict[str, Any] = {}
    for clip in found.values():
        info = {**clip.info, **info}
    num_frames = max((clip.num_frames for clip in found.values()), default=0)
    trouble = findings[0]["frames"][0][0] if findings else 0
    frames = [np.empty(0, np.int32), *(clip.frames for clip in found.values())]
    sizes = [np.empty(0), *(np.full(len(c.frames), _pose_bytes(c)) for c in found.values())]
    first, count = window(num_frames, np.concatenate(frames), np.concatenate(sizes), trouble, most)
    about = {name: info[name] for name in ("label_name", "label", "subject", "camera", "setup")
             if name in info}  # fmt: skip
    if "label_name" in about:
        about.pop("label", None)
    return {
        "id": clip_id,
        "why": why,
        "frames": num_frames,
        "first": first,
        "count": count,
        "width": info.get("width"),
        "height": info.get("height"),
        "fps": _finite(info.get("fps")),
        "about": {name: str(value)[:200] for name, value in about.items()},
        "findings": list(findings),
        "layers": {name: encoded_layer(clip, first, count) for name, clip in found.items()},
    }


def window(
    num_frames: int, frames: np.ndarray, sizes: np.ndarray, trouble: int, most: float
) -> tuple[int, int]:
    """Choose the frames to show of a clip.

    Parameters
    ----------
    num_frames : int
        Of the video.
    frames : int, shape (N,)
        Of the poses of all layers.
    sizes : float, shape (N,)
        Bytes of each pose.
    trouble : int
        A frame that must be among them.
    most : float
        Bytes that they may have together; a single frame may have more.

    Returns
    -------
    first, count : int
        All frames, if these are at most `MOST_FRAMES` and have at most ``most`` bytes.
    """
    order = np.argsort(frames, kind="stable")
    ordered, until = frames[order], np.concatenate([[0.0], np.cumsum(sizes[order])])

    def fitting(first: int) -> int:
        at = int(np.searchsorted(ordered, first))
        end = int(np.searchsorted(until, until[at] + most, side="right")) - 1
        last = int(ordered[end]) if end < len(ordered) else num_frames
        return max(1, min(last - first, MOST_FRAMES, num_frames - first))

    for first in (0, max(0, min(trouble - 300, num_frames - MOST_FRAMES)), max(0, trouble - 30)):
        if trouble < first + fitting(first):
            return first, fitting(first)
    return trouble, fitting(trouble)


def _pose_bytes(clip: Clip) -> float:
    """Bytes of one pose on the page, in base64."""
    of_joint = 4 * (clip.keypoints_2d is not None) + 6 * (clip.keypoints_3d is not None)
    of_joint += (clip.scores is not None) + ("winner" in clip.extra)
    return (6 + clip.skeleton.num_joints * of_joint) * 4 / 3


def encoded_layer(clip: Clip, first: int, count: int) -> dict[str, Any]:
    """Put the poses of a window of frames into base64 texts.

    Returns
    -------
    dict
        ``poses`` (n); ``frame`` and ``person``, uint16 (n,), sorted by frame; ``xy``, int16
        (n, V, 2) in steps of ``xy_step`` pixels; ``xyz``, int16 (n, V, 3) in steps of
        ``xyz_step`` metres around ``xyz_middle``, x right, y down, z away, with ``turned`` where
        the layer's own y is up; -32768 where missing; ``score``, uint8 (n, V), ``c``, uint8
        (n,), both in 255ths; C is 255 and ``c_known`` 0 where it is unknown; ``winner``, int8
        (n, V). Only what the layer has. Persons beyond 65535 are 65535.
    """
    inside = np.flatnonzero((clip.frames >= first) & (clip.frames < first + count))
    order = inside[np.lexsort((clip.persons[inside], clip.frames[inside]))]
    out: dict[str, Any] = {
        "poses": len(order),
        "frame": _text((clip.frames[order] - first).astype("<u2")),
        "person": _text(np.minimum(clip.persons[order], 65535).astype("<u2")),
    }
    if clip.keypoints_2d is not None:
        out["xy"], out["xy_step"] = quantised(clip.keypoints_2d[order], PIXEL_STEP)
    if clip.keypoints_3d is not None:
        poses = clip.keypoints_3d[order].astype(np.float64)
        if out_of := _points_up(poses, clip.skeleton.joints):
            poses[..., 1] *= -1
        known = poses[np.isfinite(poses).all(-1)]
        middle = np.median(known, axis=0) if len(known) else np.zeros(3)
        out["xyz"], out["xyz_step"] = quantised(poses - middle, METRE_STEP)
        out["xyz_middle"], out["turned"] = middle.round(4).tolist(), out_of
    if clip.scores is not None:
        out["score"] = _text(_bytes(clip.scores[order]))
    if "confidence" in clip.extra:
        confidence = clip.extra["confidence"][order]
        out["c"] = _text(_bytes(np.where(np.isfinite(confidence), confidence, 1)))
        out["c_known"] = _text(np.isfinite(confidence).astype(np.uint8))
    if "winner" in clip.extra:
        out["winner"] = _text(clip.extra["winner"][order].astype(np.int8))
    return out


def quantised(values: np.ndarray, finest: float) -> tuple[str, float]:
    """Put coordinates into whole numbers of 16 bits.

    Parameters
    ----------
    values : float, any shape (..., C)
        A joint with a coordinate that is not finite is missing, and so is one further than
        2**40 steps away.
    finest : float
        The step, which doubles until the largest value fits.

    Returns
    -------
    text : str
        Base64 of int16, little-endian; -32768 where missing.
    step : float
        So that a value is its number times the step, to half a step.
    """
    known = np.isfinite(values).all(-1, keepdims=True)
    known &= (np.abs(np.where(known, values, 0)) < finest * 2.0**40).all(-1, keepdims=True)
    numbers = np.where(known, values, 0).astype(np.float64)
    largest = float(np.abs(numbers).max(initial=0))
    step = finest
    while largest / step > _LARGEST:
        step *= 2
    whole = np.where(known, np.rint(numbers / step), _MISSING).astype("<i2")
    return _text(whole), step


def _points_up(poses: np.ndarray, joints: Sequence[str]) -> bool:
    """Whether heads have greater y than hips and feet, as Kinect's do."""
    upper = [at for at, name in enumerate(joints) if name in _UPPER]
    lower = [at for at, name in enumerate(joints) if name in _LOWER]
    if not (upper and lower and len(poses)):
        return False
    heights = []
    for side in (upper, lower):
        values = poses[:, side, 1]
        known = np.isfinite(values)
        heights.append(np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), 1))
        heights[-1][~known.any(1)] = np.nan
    difference = heights[0] - heights[1]
    difference = difference[np.isfinite(difference)]
    return bool(len(difference)) and float(np.median(difference)) > 0


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) and value > 0 else None


def player_layers(release: Release, layers: Sequence[str]) -> list[dict[str, Any]]:
    """Describe the layers for the player: name, joints, bones, experts."""
    return [
        {
            "name": name,
            "joints": list(release.skeleton(name).joints),
            "bones": [list(bone) for bone in release.skeleton(name).bones],
            "experts": experts_of(release, name),
        }
        for name in layers
    ]
