"""Heatmap volumes, beside the transform that PYSKL and mmaction2 have for them.

``python benchmarks/heatmaps.py [--original pose_transforms.py] [--json]``

The original is ``mmaction/datasets/transforms/pose_transforms.py`` of mmaction2 1.2.0 (``pip
download mmaction2==1.2.0 --no-deps``, and unzip): its class GeneratePoseTarget is taken out of the
file, so that nothing else of mmaction2 needs to be installed. Without it, the plain definition of
the same maps stands in, and no target is judged.
"""

from __future__ import annotations

import argparse
import ast
import functools
import sys
import typing
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row, best_of, run, say

from posedata.heatmaps import MMACTION2_LIMBS, heatmaps, plain_heatmaps

FRAMES, JOINTS, SIZE, SIGMA = 48, 17, (56, 56), 0.6
TARGETS = {"joints": 20, "limbs": 25}
ROUNDS = 12

#: Volumes made one after the other in each timing, as a loader makes them. A first volume after
#: other work waits longer for its memory, which is most of the time of joints.
IN_A_ROW = 5


def measure(original: Path | None = None) -> list[Row]:
    """Time volumes of 48 x 17 x 56 x 56 on one core, and compare their values."""
    rows = []
    for where in ("bodies", "anywhere"):
        for persons in (1, 2):
            keypoints, scores = make_poses(persons, where)
            for kind in TARGETS:
                say(f"heatmaps: {kind} of {persons}, {where}")
                rows.append(compare(kind, keypoints, scores, where, original))
    keypoints, scores = make_poses(1, "bodies")
    for dtype in ("float16", "uint8"):
        for kind in TARGETS:
            options = {**own_options(kind), "dtype": dtype}
            out = heatmaps(keypoints, scores, **options)
            best = best_of(ROUNDS, [out], own=lambda out, options=options: heatmaps(
                keypoints, scores, out=out, **options))  # fmt: skip
            rows.append(Row(f"{kind} in {dtype}, 1 person, array used again", 1000 * best["own"],
                            "ms"))  # fmt: skip
    return rows


def compare(kind: str, keypoints: np.ndarray, scores: np.ndarray, where: str,
            original: Path | None) -> Row:  # fmt: skip
    """Time one kind of volume, new and into an array that is there, beside the original's."""
    options, limbs = own_options(kind), kind == "limbs"
    if original is None:
        peer = "plain definition"

        def draw() -> np.ndarray:
            return plain_heatmaps(keypoints, scores, SIZE, SIGMA, not limbs, options["limbs"])
    else:
        peer = "GeneratePoseTarget"
        transform = load_original(original)(
            sigma=SIGMA, with_kp=not limbs, with_limb=limbs, skeletons=MMACTION2_LIMBS
        )

        def draw() -> np.ndarray:
            sample = {"keypoint": keypoints, "keypoint_score": scores, "img_shape": SIZE}
            return transform.transform(sample)["imgs"].transpose(1, 0, 2, 3)

    out = heatmaps(keypoints, scores, **options)
    apart = float(np.abs(out - draw()).max())
    best = best_of(
        ROUNDS if original else 2,
        [range(IN_A_ROW)],
        peer=lambda times: [draw().shape for _ in times],
        own=lambda times: [heatmaps(keypoints, scores, **options).shape for _ in times],
        again=lambda times: [heatmaps(keypoints, scores, out=out, **options) for _ in times],
    )
    best = {name: 1000 * seconds / IN_A_ROW for name, seconds in best.items()}
    ratio = best["peer"] / best["own"]
    place = "bodies in the middle" if where == "bodies" else "joints anywhere in the map"
    number = "1 person" if len(keypoints) == 1 else f"{len(keypoints)} people"
    return Row(
        f"{kind}, {number}, {place}", best["own"], "ms", peer, best["peer"], ratio,
        f"at least {TARGETS[kind]} times as fast, equal to 1e-6" if original else "",
        ratio >= TARGETS[kind] and apart <= 1e-6 if original else None,
        f"{best['again']:.3g} ms in an array used again; largest difference {apart:.1g}",
    )  # fmt: skip


def own_options(kind: str) -> dict[str, Any]:
    """The options of `heatmaps` for joints or for limbs."""
    limbs = MMACTION2_LIMBS if kind == "limbs" else ()
    return {"size": SIZE, "sigma": SIGMA, "joints": kind == "joints", "limbs": limbs}


def make_poses(persons: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Make poses: ``bodies`` have limbs of a few pixels, ``anywhere`` some that cross the map."""
    rng = np.random.default_rng(0)
    shape = (persons, FRAMES, JOINTS, 2)
    bodies, anywhere = 28 + rng.normal(0, 6, shape), rng.uniform(0, 56, shape)
    keypoints = anywhere if where == "anywhere" else bodies
    return keypoints.astype(np.float32), rng.uniform(0.1, 1, shape[:3]).astype(np.float32)


@functools.cache
def load_original(path: Path) -> Any:
    """Take the class GeneratePoseTarget out of mmaction2's file, without what the file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if getattr(node, "name", "") == "GeneratePoseTarget"]
    if len(tree.body) != 1:
        sys.exit(f"{path} has no class GeneratePoseTarget")
    tree.body[0].decorator_list = []
    names = {name: getattr(typing, name) for name in ("Dict", "List", "Optional", "Tuple", "Union")}
    names |= {"np": np, "BaseTransform": object}
    exec(compile(tree, str(path), "exec"), names)
    return names["GeneratePoseTarget"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--original", type=Path)
    known, sys.argv[1:] = parser.parse_known_args()
    run(functools.partial(measure, known.original), __doc__)
