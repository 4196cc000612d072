"""Nasty ``.skeleton`` texts for tests of profiles, and clips of them."""

import random

import numpy as np

from posedata.clip import Clip
from posedata.converters.ntu_file import parse_skeleton
from posedata.converters.ntu_samples import parse_name
from posedata.skeleton import load_skeleton
from posedata.source_numbers import find_unrounded

NAME = "S001C002P003R002A013"
_REST = "277.419 191.8218 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193 2"
_NOTATIONS = ("%.7G", "%.7f", "%r", "%.9E", "%.12g", "%.1f")
_SPECIALS = (("NaN",), ("nan", "0"), ("-0", "0"), ("1E+30", "1E-30"), ("1e60", "NaN", "inf"),
             ("1.00000005960464477539", "0.1000000000000000055"))  # fmt: skip


def nasty_text(seed):
    """Several bodies that come, go, return, stand wide, tie, lie in zeros; numbers in any notation.

    Only from sums and products of ``random.random()``, so that it is the same everywhere.
    """
    rng = random.Random(seed)
    notation = rng.choice(_NOTATIONS)
    num_frames = rng.choice([12, 16, 20, 24, 30, 36])
    num_bodies = rng.choice([1, 2, 3, 3, 4, 4, 5, 6])
    ids = [72057594037930000 + 4 * k for k in range(num_bodies)]
    rng.shuffle(ids)
    bodies = []
    for k in range(num_bodies):
        if k and rng.random() < 0.15:
            bodies.append(bodies[0])  # a tie in motion
            continue
        bodies.append(_poses(rng, num_frames))
    present = [_presence(rng, num_frames) for _ in ids]
    away = {f for f in range(num_frames) if rng.random() < rng.choice([0, 0, 0.2])}
    special_share = rng.choice([0, 0, 0.003])
    specials = rng.choice(_SPECIALS)
    lines = [str(num_frames)]
    for frame in range(num_frames):
        here = [k for k in range(num_bodies) if present[k][frame] and frame not in away]
        if rng.random() < 0.3:
            rng.shuffle(here)
        lines.append(str(len(here)))
        for k in here:
            lines += [f"{ids[k]} 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
            for joint in bodies[k][frame]:
                tokens = [notation % value for value in joint]
                if rng.random() < special_share:
                    tokens[rng.randrange(3)] = rng.choice(specials)
                lines.append(f"{' '.join(tokens)} {_REST}")
    return ("\n".join(lines) + "\n").encode()


def _poses(rng, num_frames):
    """Positions of one body, a list of frames of joints of x, y, z."""
    width = rng.choice([0.2, 0.3, 0.5, 0.7, 0.8, 2.0])
    step = rng.choice([0, 0.001, 0.02, 0.2])
    wide_share = rng.choice([0, 0, 0.2, 0.5, 0.8])
    zero_share = rng.choice([0, 0, 0, 0, 0.2, 1])
    shape = [[width * rng.random(), rng.random(), 3 + rng.random() / 4] for _ in range(25)]
    if rng.random() < 0.1:  # exactly as wide as allowed
        shape = [[0.8 * (j == 3), 1.0 * (j == 5), 0.0] for j in range(25)]
    place = [0.0, 0.0, 0.0]
    poses = []
    for _ in range(num_frames):
        place = [value + step * (rng.random() - 0.5) for value in place]
        wide = 4 if rng.random() < wide_share else 1
        pose = [[wide * x + place[0], y + place[1], z + place[2]] for x, y, z in shape]
        poses.append([[0.0] * 3] * 25 if rng.random() < zero_share else pose)
    return poses


def _presence(rng, num_frames):
    start, stop = sorted((rng.randrange(num_frames + 1), rng.randrange(num_frames + 1)))
    kind = rng.choice(["all", "all", "from", "from", "to", "to", "between", "twice", "gaps"])
    return [
        {"all": True, "from": f >= start, "to": f < stop, "between": start <= f < stop,
         "twice": not start <= f < stop, "gaps": rng.random() < 0.8}[kind]
        for f in range(num_frames)
    ]  # fmt: skip


def clip_of(text, name=NAME):
    """Make the clip that the reader of NTU RGB+D makes."""
    file = parse_skeleton(text, name)
    source = read_positions(text)
    number: dict[int, int] = {}
    persons = [number.setdefault(body, len(number)) for body in file.body_ids.tolist()]
    order = np.argsort(persons, kind="stable")
    source = source[order]
    with np.errstate(over="ignore"):
        kept = source.astype(np.float32)
    kept[~np.isfinite(kept).all(axis=-1)] = np.nan
    parsed = parse_name(name)
    return Clip(
        clip_id=name, layer="kinect", skeleton=load_skeleton("nturgbd25"),
        frames=file.frames[order], persons=np.array(persons, np.int32)[order],
        keypoints_3d=kept, person_ids=tuple(map(str, number)),
        unrounded={"keypoints_3d": find_unrounded(kept, source, "decimal")},
        info={"num_frames": file.num_frames, "label": parsed.action - 1,
              "subject": parsed.performer, "camera": parsed.camera, "setup": parsed.setup},
    )  # fmt: skip


def read_positions(text):
    """Positions as float64, shape (P, 25, 3), in the order of the file."""
    lines = iter(text.decode().splitlines())
    poses = []
    for _ in range(int(next(lines))):
        for _ in range(int(next(lines))):
            next(lines), next(lines)
            poses.append([[float(t) for t in next(lines).split()[:3]] for _ in range(25)])
    return np.array(poses, np.float64).reshape(-1, 25, 3)


def bodies_of(text):
    """Give (id, [(frame, float32 positions), ...]) of each body, in the order of appearance."""
    lines = iter(text.decode().splitlines())
    bodies: dict[int, list] = {}
    for frame in range(int(next(lines))):
        for _ in range(int(next(lines))):
            body = bodies.setdefault(int(next(lines).split()[0]), [])
            next(lines)
            with np.errstate(over="ignore"):
                pose = [np.array(next(lines).split()[:3], np.float32) for _ in range(25)]
            body.append((frame, np.stack(pose)))
    return list(bodies.items())
