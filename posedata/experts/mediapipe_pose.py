"""MediaPipe Pose: the expert that works offline, its model comes in its wheel.

33 landmarks (BlazePose; Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking",
2020), in the picture and as 3D, of one person a picture.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import UsageError
from posedata.expert import Expert
from posedata.experts.weights import describe_weights
from posedata.workers.worker_protocol import Estimator, PeopleInFrame

#: A box given is widened by this factor around its centre: the model looks for a whole person.
#: Where it finds none, it looks again, in a wider crop.
PADDINGS = (1.25, 1.75)

#: Share of the landmarks that must lie in the box then: in a wide crop somebody else may be found.
_LEAST_INSIDE = 0.5

#: Landmarks that count for the box of a pose are more visible than this.
LEAST_VISIBILITY = 0.1

# Of a person detector's box, which ends at the outline of hair, hands and shoes: the crown is so
# many times as far above the eyes as the mouth is below, and the outline lies outside the
# landmarks by this part of the pose's longer side. Chosen on four real videos against RTMDet's
# boxes: mean overlaps (IoU) of 0.91, 0.78, 0.94 and 0.91; 0.74, 0.66, 0.80 and 0.78 without.
_CROWN = 1.2
_OUTLINE = 0.03

_NUM_JOINTS = 33
_EYES, _MOUTH = [2, 5], [9, 10]
_INSTALL = 'pip install "posedata[mediapipe]"'
_WEIGHTS = ("modules/pose_detection/pose_detection.tflite",
            "modules/pose_landmark/pose_landmark_full.tflite")  # fmt: skip


class MediapipePose:
    """MediaPipe's pose model, loaded.

    Without boxes it looks at whole frames and gives one person a frame: it detects them, then
    follows them from frame to frame (MediaPipe's video mode) until it loses them. With boxes it
    looks at each by itself, as a still picture, and gives one person a box; where two people fill
    a box alike, it may give the same one for the boxes of both.

    Landmarks are not smoothed. MediaPipe's own filter takes every video for one of 30 frames a
    second and makes a pose depend on all those before; on NTU's S001C001P001R001A001 the mean
    error is 16.2 px without it and 16.1 px with it.

    ``keypoints_2d`` are where the model says, outside the picture too. A frame and its mirror
    image do not quite agree: on NTU (1080p) landmarks lie 0.8 pixels too far right on average,
    about half a pixel of the 256 that the model sees of a person. They are left there.

    ``scores`` are its visibility: how likely a landmark is inside the picture and not hidden.
    ``keypoints_3d`` are its world landmarks, in metres from the middle between the hips: x to the
    right of the picture, y down, z away from the camera (of a person who faces it the nose has a
    negative z).

    Without boxes, ``boxes`` are like a person detector's: around the landmarks that are visible
    by more than `LEAST_VISIBILITY` and the crown, and a little wider, within the picture. A
    ``box_score`` is the mean visibility.

    Attributes
    ----------
    about : dict
        See `posedata.workers.worker_protocol.Estimator`.

    Raises
    ------
    UsageError
        If this MediaPipe does not bring the model.
    """

    about: dict[str, Any]

    def __init__(self) -> None:
        weights = [_package_folder() / name for name in _WEIGHTS]
        if not all(path.is_file() for path in weights):
            raise UsageError("this MediaPipe does not bring its pose model",
                             found=f"mediapipe {version('mediapipe')}",
                             expected="mediapipe 0.10.14", remedy=_INSTALL)  # fmt: skip
        self._video = _Pose(is_video=True)
        self._still: _Pose | None = None
        self.about = {
            "kind": "pose", "skeleton": "blazepose33", "boxes": "optional", "has_3d": True,
            "version": f"mediapipe {version('mediapipe')}",
            "weights": [describe_weights(path) for path in weights],
            "options": {"model_complexity": 1, "smooth_landmarks": False,
                        "min_detection_confidence": 0.5, "min_tracking_confidence": 0.5,
                        "padding": list(PADDINGS)},
            "device": "cpu",
        }  # fmt: skip

    def begin(self) -> None:
        """Forget whom it was following."""
        self._video.reset()

    def estimate(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame]:
        """See `posedata.workers.worker_protocol.Estimator`.

        A box is looked at as far as it lies in the picture. Nobody is found in one that lies
        outside or is not finite.
        """
        if boxes is None:
            return [self._follow(frame) for frame in frames]
        if self._still is None:
            self._still = _Pose(is_video=False)
        return [
            _people([_pose_in_box(self._still, frame, box) for box in boxes_of_frame],
                    boxes_of_frame)
            for frame, boxes_of_frame in zip(frames, boxes, strict=True)
        ]  # fmt: skip

    def _follow(self, frame: np.ndarray) -> PeopleInFrame:
        landmarks = self._video.find(frame)
        if landmarks is None:
            return _people([], np.empty((0, 4)))
        height, width = frame.shape[:2]
        return _people([landmarks], _person_box(landmarks, width, height)[None])


class _Pose:
    """A running graph of MediaPipe.

    Landmarks are given as float64, shape (33, 6): x, y in pixels of the picture, visibility, and
    x, y, z in metres.
    """

    def __init__(self, is_video: bool) -> None:
        from mediapipe.python.solutions.pose import Pose

        with _native_log_off():
            self._pose = Pose(static_image_mode=not is_video, model_complexity=1,
                              smooth_landmarks=False)  # fmt: skip
            self._wake()

    def reset(self) -> None:
        with _native_log_off():
            self._pose.reset()
            self._wake()

    def _wake(self) -> None:
        """Wait until the graph runs: it writes its log while it starts, in threads of its own.

        Nobody is in a black picture, so that it has nothing to remember.
        """
        self._pose.process(np.zeros((8, 8, 3), np.uint8))

    def find(self, picture: np.ndarray) -> np.ndarray | None:
        found = self._pose.process(np.ascontiguousarray(picture))
        if found.pose_landmarks is None or found.pose_world_landmarks is None:
            return None
        height, width = picture.shape[:2]
        seen = [(mark.x, mark.y, mark.visibility) for mark in found.pose_landmarks.landmark]
        world = [(mark.x, mark.y, mark.z) for mark in found.pose_world_landmarks.landmark]
        landmarks = np.concatenate([seen, world], 1)
        # MediaPipe measures from the corner of the top-left pixel, posedata from its centre.
        landmarks[:, :2] = landmarks[:, :2] * (width, height) - 0.5
        return landmarks


def _pose_in_box(pose: _Pose, frame: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    box = np.asarray(box, np.float64)
    for padding in PADDINGS:
        crop = _crop(frame, box, padding)
        if crop is None:
            return None
        picture, left, top = crop
        landmarks = pose.find(picture)
        if landmarks is not None:
            landmarks[:, :2] += left, top
            points = landmarks[:, :2]
            inside = ((points >= box[:2]) & (points <= box[2:])).all(1)
            if padding == PADDINGS[0] or inside.mean() >= _LEAST_INSIDE:
                return landmarks
    return None


def _crop(frame: np.ndarray, box: np.ndarray, padding: float) -> tuple[np.ndarray, int, int] | None:
    """Cut a box out, by whole pixels, black beyond the picture; and where its first pixel lies."""
    height, width = frame.shape[:2]
    low = np.maximum(box[:2], -0.5)
    high = np.minimum(box[2:], [width - 0.5, height - 0.5])
    if not (np.isfinite(box).all() and (low < high).all()):
        return None
    half = (high - low) / 2 * padding
    left, top = np.floor((low + high) / 2 - half + 0.5).astype(int)
    right, bottom = np.ceil((low + high) / 2 + half + 0.5).astype(int)
    crop = np.zeros((bottom - top, right - left, 3), np.uint8)
    inside = frame[max(top, 0) : bottom, max(left, 0) : right]
    y, x = max(-top, 0), max(-left, 0)
    crop[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return crop, int(left), int(top)


def _person_box(landmarks: np.ndarray, width: int, height: int) -> np.ndarray:
    points, is_visible = landmarks[:, :2], landmarks[:, 2] > LEAST_VISIBILITY
    eyes, mouth = points[_EYES].mean(0), points[_MOUTH].mean(0)
    if is_visible.any():
        points = points[is_visible]
    points = np.vstack([points, eyes + _CROWN * (eyes - mouth)])
    low, high = points.min(0), points.max(0)
    outline = _OUTLINE * (high - low).max()
    low, high = low - outline, high + outline
    low_inside, high_inside = np.maximum(low, -0.5), np.minimum(high, [width - 0.5, height - 0.5])
    if (low_inside < high_inside).all():
        low, high = low_inside, high_inside
    return np.concatenate([low, high])


def _people(poses: Sequence[np.ndarray | None], boxes: np.ndarray) -> PeopleInFrame:
    missing = np.full((_NUM_JOINTS, 6), np.nan)
    missing[:, 2] = 0
    found = [missing if pose is None else pose for pose in poses]
    landmarks = np.array(found, np.float32).reshape(len(found), _NUM_JOINTS, 6)
    scores = landmarks[..., 2].clip(0, 1)
    return PeopleInFrame(
        np.asarray(boxes, np.float32).reshape(len(found), 4), scores.mean(1),
        landmarks[..., :2], scores, landmarks[..., 3:],
    )  # fmt: skip


def _package_folder() -> Path:
    import mediapipe

    return Path(mediapipe.__file__).parent


@contextlib.contextmanager
def _native_log_off() -> Iterator[None]:
    """Keep what MediaPipe's C++ says of each start away from stderr; no option of it does."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _open(model: str, device: str) -> Estimator:
    """Load MediaPipe's pose model; it runs on the CPU, whatever the device."""
    if model:
        raise UsageError("mediapipe takes no model", found=repr(model),
                         expected="--expert mediapipe")  # fmt: skip
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype")
    try:
        return MediapipePose()
    except (ImportError, RuntimeError, OSError) as error:
        raise UsageError("MediaPipe cannot be loaded", found=str(error), remedy=_INSTALL) from error


EXPERT = Expert(
    name="mediapipe",
    about="MediaPipe Pose: 33 landmarks and 3D, offline; on the CPU; one person a frame, "
    "or one a box",
    model="",
    open=_open,
    modules=("mediapipe",),
    install=_INSTALL,
    cpu_only=True,
)
