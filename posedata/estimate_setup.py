"""What a run estimates with: experts, a detector, and how."""

from __future__ import annotations

import atexit
from dataclasses import dataclass, replace

from posedata.errors import UsageError
from posedata.expert import ExpertSpec, load_expert
from posedata.expert_process import ExpertProcess
from posedata.frame_feed import FrameMemory


@dataclass(frozen=True)
class Setup:
    """All that the poses of a video depend on, besides the video.

    Attributes
    ----------
    experts : tuple of ExpertSpec
        Each with the name of the layer that it makes.
    detector : ExpertSpec, optional
        Who tells the experts where people are.
    detector_score : float
        Boxes of which the detector is less certain do not count, 0 to 1.
    boxes : str
        A layer of the release that tells where people are, in place of a detector; or empty.
    whole_frames : bool
        Nobody tells: experts that can look for their person in the whole frame.
    device : str
        What the experts run on.
    timeout : float
        Seconds that an expert's answer may take.
    keep_sides : bool
        Leave left and right as the experts have them where a clip's video is mirrored.
    """

    experts: tuple[ExpertSpec, ...]
    detector: ExpertSpec | None = None
    detector_score: float = 0.4
    boxes: str = ""
    whole_frames: bool = False
    device: str = "cpu"
    timeout: float = 300.0
    keep_sides: bool = False


class Session:
    """The processes of a run's experts: started when they are first needed, and kept.

    Attributes
    ----------
    setup : Setup
        What they are.
    memory : FrameMemory
        The frames that they see.
    experts : dict of str to ExpertProcess
        By layer.
    detector : ExpertProcess, optional
        The detector.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.memory = FrameMemory()
        self.experts = {spec.layer: self._process(spec) for spec in setup.experts}
        self.detector = None if setup.detector is None else self._detector(setup.detector)

    def detect_with(self, spec: ExpertSpec) -> None:
        """Give the run a detector after all, and load it."""
        _sessions.pop(self.setup, None)
        self.setup = replace(self.setup, detector=spec)
        _sessions[self.setup] = self
        self.detector = self._detector(spec)
        self.start()

    def _detector(self, spec: ExpertSpec) -> ExpertProcess:
        """Give the expert that is the detector, too, if there is one, else a new process."""
        for process in self.experts.values():
            if (process.spec.expert, process.spec.model) == (spec.expert, spec.model):
                return process
        return self._process(spec)

    def _process(self, spec: ExpertSpec) -> ExpertProcess:
        device = "cpu" if load_expert(spec.expert).cpu_only else self.setup.device
        return ExpertProcess(spec, device, self.memory, self.setup.timeout)

    def start(self) -> None:
        """Load every model, and see that each is what it is to be.

        Raises
        ------
        UsageError
            If an expert is not usable here, a detector is named as an expert, or a model that
            finds nobody as the detector.
        ExpertError
            If a process dies or hangs.
        """
        for process in self.experts.values():
            process.start()
            if process.about["kind"] != "pose":
                raise UsageError(f"{process.spec} finds people, but no poses",
                                 remedy=f"Give it as --detector {process.spec}.")  # fmt: skip
        if self.detector is None:
            return
        self.detector.start()
        about = self.detector.about
        if about["kind"] != "detector" and about["boxes"] == "needed":
            raise UsageError(f"{self.detector.spec} finds poses in boxes, but no people",
                             expected="a detector, or an expert that finds people "
                             "itself")  # fmt: skip

    def kill(self) -> None:
        """End all processes at once, also where a thread waits for an answer."""
        for process in self._processes():
            process.kill()

    def close(self) -> None:
        """End all processes."""
        for process in self._processes():
            process.close()
        self.memory.close()

    def _processes(self) -> list[ExpertProcess]:
        processes = [*self.experts.values(), *([self.detector] if self.detector else [])]
        return list(dict.fromkeys(processes))


_sessions: dict[Setup, Session] = {}


def session_of(setup: Setup) -> Session:
    """Give this process's session of a setup; kept until `close_sessions`."""
    if setup not in _sessions:
        if not _sessions:
            atexit.register(close_sessions)
        _sessions[setup] = Session(setup)
    return _sessions[setup]


def close_sessions() -> None:
    """End the experts that this process has started."""
    while _sessions:
        _sessions.popitem()[1].close()
