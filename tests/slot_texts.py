"""``.skeleton`` texts whose bodies change places, and clips of them that know their places."""

import hashlib
import random

import numpy as np

from posedata.clip import Clip
from posedata.converters.ntu_file import parse_skeleton
from posedata.skeleton import load_skeleton
from posedata.source_numbers import find_unrounded, widen

NAME = "S001C002P003R002A013"
FIRST_ID = 72057594037927936
#: Of nasty_text. Without 16, where two bodies have the same energy: their order is then what the
#: processor's version of numpy's argsort makes of it.
SEEDS = [seed for seed in range(41) if seed != 16]
_HEADER = "0 1 1 1 1 0 0.02764709 -0.05745083 2"
_REST = "277.419 191.8218 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193 2"
_NOTATIONS = ("%.7G", "%.7f", "%r", "%.9E", "%.1f")
_SPECIALS = ("NaN", "-0", "0", "1.2E-05", "1e60", "-1e60", "0.1000000000000000055", "7e4")


def skeleton_text(frames):
    """Write frames: each a list of bodies (number of the body, 25 triples of tokens)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for number, joints in bodies:
            lines += [f"{FIRST_ID + 4 * number} {_HEADER}", "25"]
            lines += [" ".join([*joint, _REST]) for joint in joints]
    return ("\n".join(lines) + "\n").encode()


def nasty_text(seed):
    """Bodies that come, go, change places, stand still, cancel out, lie in zeros.

    Only from sums and products of ``random.random()``, so that it is the same everywhere.
    """
    rng = random.Random(seed)
    notation = rng.choice(_NOTATIONS)
    num_frames = rng.choice([1, 2, 7, 20, 31])
    num_bodies = rng.choice([1, 1, 2, 2, 3, 4, 6])
    bodies = []
    for number in range(num_bodies):
        twin = number and rng.random() < 0.15
        bodies.append(bodies[0] if twin else _poses(rng, num_frames))
    absent = [_absence(rng, num_frames) for _ in bodies]
    swaps, special_share = rng.choice([0, 0.3]), rng.choice([0, 0, 0.003])
    frames = []
    for frame in range(num_frames):
        here = [k for k in range(num_bodies) if not absent[k][frame]]
        if rng.random() < swaps:
            rng.shuffle(here)
        listed = []
        for k in here:
            joints = [[notation % value for value in joint] for joint in bodies[k][frame]]
            for joint in joints:
                if rng.random() < special_share:
                    joint[rng.randrange(3)] = rng.choice(_SPECIALS)
            listed.append((k, joints))
        frames.append(listed)
    return skeleton_text(frames)


def _poses(rng, num_frames):
    """Positions of one body, a list of frames of joints of x, y, z."""
    kind = rng.choice(["plain", "plain", "plain", "still", "cancel", "flat", "axes", "zeros"])
    shape = [[0.6 * rng.random() - 0.3, 1.6 * rng.random() - 0.8, 3 + rng.random()]
             for _ in range(25)]  # fmt: skip
    if kind == "axes":  # spine along z and shoulders along x already
        shape[1] = [shape[0][0], shape[0][1], shape[0][2] + 0.25]
        shape[4] = [shape[8][0] - 0.5, shape[8][1], shape[8][2]]
    step = 0 if kind == "still" else rng.choice([0.001, 0.02, 0.2])
    poses = []
    for _ in range(num_frames):
        shape = [[value + step * (rng.random() - 0.5) for value in joint] for joint in shape]
        pose = shape
        if kind == "cancel":  # x + y + z = 0
            pose = [[x, y, -(x + y)] for x, y, _ in shape]
        if kind == "flat" and rng.random() < 0.5:  # the frame adds up to 0
            pose = [[value * sign for value in shape[k]] for k in range(12) for sign in (1, -1)]
            pose.append([0.0] * 3)
        if kind == "zeros":
            pose = [[0.0] * 3 if rng.random() < 0.3 else joint for joint in shape]
        poses.append(pose)
    return poses


def _absence(rng, num_frames):
    start, stop = sorted((rng.randrange(num_frames + 1), rng.randrange(num_frames + 1)))
    kind = rng.choice(["never", "never", "before", "after", "between", "at times"])
    return [
        {"never": False, "before": f < start, "after": f >= stop, "between": start <= f < stop,
         "at times": rng.random() < 0.2}[kind]
        for f in range(num_frames)
    ]  # fmt: skip


def clip_of(text, name=NAME):
    """Make the clip that the reader of NTU RGB+D makes, with ``slots``."""
    file = parse_skeleton(text, name)
    number: dict[int, int] = {}
    persons = [number.setdefault(body, len(number)) for body in file.body_ids.tolist()]
    slots, last = [], -1
    for frame in file.frames.tolist():
        slots.append(slots[-1] + 1 if frame == last else 0)
        last = frame
    order = np.argsort(persons, kind="stable")
    source = widen(file.positions, file.unrounded)[order]
    with np.errstate(over="ignore"):
        kept = source.astype(np.float32)
    kept[~np.isfinite(kept).all(axis=-1)] = np.nan
    return Clip(
        clip_id=name, layer="kinect", skeleton=load_skeleton("nturgbd25"),
        frames=file.frames[order], persons=np.array(persons, np.int32)[order], keypoints_3d=kept,
        extra={"slots": np.array(slots, np.int32)[order]},
        unrounded={"keypoints_3d": find_unrounded(kept, source, "decimal")},
        info={"num_frames": file.num_frames},
    )  # fmt: skip


def digest(arrays):
    """Short checksum of shapes, types and numbers; every NaN counts as the same."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
        total.update(f"{array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
