"""What mmpose's own metrics say, run by the interpreter of its environment.

``reference_metrics.py POSES ANSWERS`` (both .npz); ``POSES`` has ``true`` and ``predicted`` with a
``mask`` of the joints that are there, ``box_sizes``, ``head_sizes``; the same in space.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "posedata/workers"))

import mmpose_standins

mmpose_standins.install()

from mmpose.evaluation.functional import (  # noqa: E402
    keypoint_auc,
    keypoint_epe,
    keypoint_mpjpe,
    keypoint_pck_accuracy,
)
from mmpose.evaluation.metrics import MpiiPCKAccuracy  # noqa: E402


def main(poses: str, answers: str) -> None:
    given = np.load(poses)
    true, predicted, mask = given["true"], given["predicted"], given["mask"]
    both = np.repeat(given["box_sizes"][:, None], 2, axis=1)
    of_joints, pck, _ = keypoint_pck_accuracy(predicted, true, mask, 0.2, both)
    found = {
        "pck": pck, "pck_of_joints": of_joints,
        "auc": keypoint_auc(predicted, true, mask, 30.0),
        "epe": keypoint_epe(predicted, true, mask),
    }  # fmt: skip
    mpii = MpiiPCKAccuracy(thr=0.5, norm_item="head")
    mpii.process([], [
        {"pred_instances": {"keypoints": predicted[[n]] - 1},  # to which it adds MPII's 1
         "gt_instances": {"keypoints": true[[n]], "keypoints_visible": mask[[n]],
                          "head_size": given["head_sizes"][n]}}
        for n in range(len(true))
    ])  # fmt: skip
    found["mpii"] = mpii.compute_metrics(mpii.results)["PCK"]
    true, predicted = given["true_3d"], given["predicted_3d"]
    mask = np.ones(true.shape[:2], bool)
    for alignment in ("none", "scale", "procrustes"):
        found[f"mpjpe_{alignment}"] = keypoint_mpjpe(predicted, true, mask, alignment)
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
