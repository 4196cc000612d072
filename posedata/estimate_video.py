"""One pass over a video: every expert sees every frame, and none waits for another's crash."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from posedata.errors import PosedataError
from posedata.estimate_setup import Session
from posedata.expert_process import ExpertProcess
from posedata.frame_feed import Batch, FrameFeed
from posedata.video import Damage, Video
from posedata.workers.worker_protocol import PeopleInFrame

_NO_BOXES = np.empty((0, 4), np.float32)

#: The people of each frame that was decoded, by frame.
PeopleOfVideo = dict[int, PeopleInFrame]


@dataclass
class Estimates:
    """What experts have found in a video.

    Attributes
    ----------
    people : dict of str to dict
        By layer, of the experts that came to the end.
    errors : dict of str to PosedataError
        By layer, of those that did not.
    boxes, box_scores : dict of int to float32 array, shape (P, 4), and (P,)
        Where the detector found people, by frame: what the experts that need boxes were told.
    damages : list of Damage
        Frames that could not be decoded.
    num_frames : int
        Frames that were.
    """

    people: dict[str, PeopleOfVideo] = field(default_factory=dict)
    errors: dict[str, PosedataError] = field(default_factory=dict)
    boxes: dict[int, np.ndarray] = field(default_factory=dict)
    box_scores: dict[int, np.ndarray] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    num_frames: int = 0


def estimate_video(
    session: Session,
    video: Video,
    boxes: Mapping[int, np.ndarray] | None,
    report: Callable[[int], None],
) -> Estimates:
    """Let every expert find the people of a video.

    An expert that dies, hangs or fails is started again and gets the video once more, from its
    beginning: some of them remember the frames before. The second failure is final.

    Parameters
    ----------
    session : Session
        The experts.
    video : Video
        What they see.
    boxes : mapping of int to float32 array, shape (P, 4), optional
        Where people are, by frame, if a layer tells. Else the detector does.
    report : callable
        Called with the number of frames that are done, again and again.

    Returns
    -------
    Estimates

    Raises
    ------
    InputError
        If the video cannot be read at all.
    """
    estimates = _pass(session, video, list(session.experts), boxes, report)
    if estimates.errors:
        known = boxes if boxes is not None else estimates.boxes or None
        again = _pass(session, video, list(estimates.errors), known, lambda _: None)
        estimates.people |= again.people
        if not estimates.boxes:
            estimates.boxes, estimates.box_scores = again.boxes, again.box_scores
        if again.num_frames > estimates.num_frames:  # the first round ended with its last expert
            estimates.num_frames, estimates.damages = again.num_frames, again.damages
        estimates.errors = again.errors
    return estimates


def _pass(
    session: Session,
    video: Video,
    layers: Sequence[str],
    boxes: Mapping[int, np.ndarray] | None,
    report: Callable[[int], None],
) -> Estimates:
    estimates = Estimates()
    lanes = {layer: _Lane(session.experts[layer]) for layer in layers}
    detector = None
    if boxes is None and session.detector is not None:
        shared = [lane for lane in lanes.values() if lane.process is session.detector]
        detector = shared[0] if shared else _Lane(session.detector)
    try:
        for lane in {*lanes.values(), *([detector] if detector else [])}:
            lane.begin()
        with FrameFeed(video, session.memory) as feed:
            for batch in feed:
                told = None
                if boxes is not None:
                    told = [boxes.get(frame, _NO_BOXES) for frame in batch.frames]
                elif detector is not None and (found := detector.estimate(batch)) is not None:
                    certain = [_certain(one, session.setup.detector_score) for one in found]
                    told = [one.boxes for one in certain]
                    for frame, one in zip(batch.frames, certain, strict=True):
                        estimates.boxes[frame] = one.boxes
                        estimates.box_scores[frame] = one.box_scores
                _share_out(feed, batch, [lane for lane in lanes.values() if lane is not detector],
                           told, report)  # fmt: skip
                estimates.num_frames += len(batch.frames)
                if all(lane.error for lane in lanes.values()):
                    # The next round looks at all frames: half of the boxes would hide the others.
                    estimates.boxes, estimates.box_scores = {}, {}
                    break
            for lane in lanes.values():
                lane.finish()
        estimates.damages = feed.damages
    except BaseException:  # an interrupt among them: nobody waits for an answer any more
        session.kill()
        raise
    finally:
        for lane in lanes.values():
            lane.close()
    if detector is not None and detector.error:
        estimates.boxes, estimates.box_scores = {}, {}
        for lane in lanes.values():
            if lane.takes_boxes:
                lane.error = detector.error
    for layer, lane in lanes.items():
        if lane.error is None:
            estimates.people[layer] = lane.people
        else:
            estimates.errors[layer] = lane.error
    return estimates


class _Lane:
    """One expert's way through a video: asked here, its answers awaited in a thread."""

    def __init__(self, process: ExpertProcess) -> None:
        self.process = process
        self.people: PeopleOfVideo = {}
        self.error: PosedataError | None = None
        self.takes_boxes = False
        self._pool = ThreadPoolExecutor(1)
        self._futures: list[Future[None]] = []

    def begin(self) -> None:
        try:
            self.process.begin()
            self.takes_boxes = self.process.about["boxes"] != "unused"
        except PosedataError as error:
            self.error = error

    def estimate(self, batch: Batch) -> list[PeopleInFrame] | None:
        """Ask and wait: what the others need is not to be had without."""
        if self.error is None:
            self.process.send(batch, None)
        return self._receive(batch, None)

    def submit(
        self, batch: Batch, boxes: Sequence[np.ndarray] | None, done: Callable[[], None]
    ) -> None:
        """Ask ahead of the answers to former batches, so that the expert never waits."""
        boxes = boxes if self.takes_boxes else None
        if self.error is None:
            self.process.send(batch, boxes)

        def wait() -> None:
            try:
                self._receive(batch, boxes)
            finally:
                done()

        self._futures = [future for future in self._futures if not future.done()]
        self._futures.append(self._pool.submit(wait))

    def _receive(
        self, batch: Batch, boxes: Sequence[np.ndarray] | None
    ) -> list[PeopleInFrame] | None:
        if self.error is not None:
            return None
        try:
            answer = self.process.receive(batch, boxes)
        except PosedataError as error:
            self.error = error
            return None
        self.people.update(zip(batch.frames, answer, strict=True))
        return answer

    def finish(self) -> None:
        for future in self._futures:
            future.result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _certain(people: PeopleInFrame, least_score: float) -> PeopleInFrame:
    """Give the people whose box is one, and of whom the detector is certain enough."""
    sides = people.boxes[:, 2:] - people.boxes[:, :2]
    is_box = np.isfinite(people.boxes).all(1) & (sides > 0).all(1)
    rows = is_box & (people.box_scores >= least_score)
    return people._replace(boxes=people.boxes[rows], box_scores=people.box_scores[rows])


def _share_out(
    feed: FrameFeed,
    batch: Batch,
    lanes: Sequence[_Lane],
    boxes: Sequence[np.ndarray] | None,
    report: Callable[[int], None],
) -> None:
    """Give a batch to all experts; its pixels are free when the last is done with them."""
    waiting = len(lanes)
    lock = threading.Lock()

    def done() -> None:
        nonlocal waiting
        with lock:
            waiting -= 1
            is_last = waiting <= 0
        if is_last:
            feed.release(batch)
            report(len(batch.frames))

    for lane in lanes:
        lane.submit(batch, boxes, done)
    if not lanes:
        done()
