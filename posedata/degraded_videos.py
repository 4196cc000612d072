"""Harder videos in a folder: each by itself, with a record of how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posedata import engine
from posedata.converter import Problem, Sample
from posedata.degrade import HIDDEN_SHARE, Occluders, degrade_frames, make_occluders
from posedata.errors import InputError, OutputError, UsageError
from posedata.storage import Location
from posedata.version import __version__

#: What a finished folder says of its videos.
RECORD = "degraded.json"

_UNFINISHED = ".unfinished"
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Degradation:
    """What is done to each video.

    Attributes
    ----------
    size : (int, int), optional
        New width and height, pixels; None leaves the size.
    occluders : int
        How many rectangles drift over the picture.
    hidden : float
        Share of the picture that they hide on average.
    seed : int
        Of the rectangles; each video has its own, see `occluders_of`.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    size: tuple[int, int] | None = None
    occluders: int = 0
    hidden: float = HIDDEN_SHARE
    seed: int = 0

    def __post_init__(self) -> None:
        make_occluders(self.occluders, 0, share=self.hidden)
        if self.seed < 0:
            raise UsageError("--seed", found=self.seed, expected="0 or more")

    @property
    def options(self) -> dict[str, Any]:
        """The same, for a manifest."""
        return {
            "size": None if self.size is None else "{}x{}".format(*self.size),
            "occluders": self.occluders,
            "hidden": self.hidden if self.occluders else 0.0,
            "seed": self.seed,
        }


def occluders_of(degradation: Degradation, clip_id: str, size: tuple[int, int]) -> Occluders:
    """Draw the rectangles of one video: they follow from the seed and the video's clip id.

    So no two videos have the same ones, and a video has the same alone or among others.
    """
    text = f"{degradation.seed} {clip_id}".encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    return make_occluders(
        degradation.occluders, seed, share=degradation.hidden, aspect=size[0] / size[1]
    )


@dataclass(frozen=True)
class VideoTask:
    """One video to be made, as it is sent to a worker.

    Attributes
    ----------
    index : int
        Among all.
    sample : Sample
        The video; ``info`` has its ``place``, and the ``width`` and ``height`` that its poses are
        of, where they are known.
    degradation : Degradation
        What is done to it.
    out : Location
        The new video.
    record : Location, optional
        Where to note that it is there.
    """

    index: int
    sample: Sample
    degradation: Degradation
    out: Location
    record: Location | None = None


def degrade_video(task: VideoTask) -> dict[str, Any]:
    """Make one video harder.

    Returns
    -------
    dict
        The record: ``clip_id``, ``source``; ``num_frames``, ``width``, ``height``, ``fps`` (as
        the source has it) and ``bytes`` of the new video; ``picture``, ``old_picture``: sizes
        between which points move, without the column and row that encoding adds to odd ones;
        ``black``: first frame, number and reason of what cannot be read. Where there is no new
        video: ``clip_id``, ``source``, ``error``, ``position``.
    """
    sample = task.sample
    record: dict[str, Any] = {"index": task.index, "clip_id": sample.clip_id, "source": sample.path}
    try:
        record |= _make(task)
    except InputError as error:
        record |= {"error": error.reason, "position": error.position or ""}
    if task.record is not None:
        task.record.write_bytes(json.dumps(record).encode())
    return record


def _make(task: VideoTask) -> dict[str, Any]:
    from posedata.draw_video import DEFAULT_FPS
    from posedata.video import Damage, probe_video
    from posedata.video_writer import write_video

    video = probe_video(task.sample.info["place"])
    for name, found in (("width", video.width), ("height", video.height)):
        expected = task.sample.info.get(name)
        if expected is not None and expected != found:
            raise InputError(f"the poses are of a video of another {name}", found=found,
                             expected=expected)  # fmt: skip
    old = (video.width, video.height)
    new = task.degradation.size or old
    damages: list[Damage] = []
    pictures = degrade_frames(
        video, damages, size=task.degradation.size,
        occluders=occluders_of(task.degradation, task.sample.clip_id, old),
    )  # fmt: skip
    part = max(1, task.sample.size) / max(1, video.num_frames)

    def reported() -> Any:
        for picture in pictures:
            yield picture
            engine.report(part, 1)

    count = write_video(task.out, reported(), video.fps or DEFAULT_FPS)
    black = []
    for damage in damages:
        end = count if damage.num_frames is None else damage.first_frame + damage.num_frames
        if damage.first_frame < min(end, count):
            black.append([damage.first_frame, min(end, count) - damage.first_frame, damage.reason])
    return {
        "num_frames": count, "width": new[0] + new[0] % 2, "height": new[1] + new[1] % 2,
        "fps": video.fps, "bytes": task.out.size(), "picture": list(new),
        "old_picture": list(old),
        "black": black,
    }  # fmt: skip


def degrade_videos(
    samples: Sequence[Sample], problems: Sequence[Problem], degradation: Degradation,
    out: Location, *, resume: bool = False, overwrite: bool = False,
    num_workers: int | None = None, progress: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Make harder videos in a folder, each named by its clip id, and `RECORD` beside them.

    Parameters
    ----------
    samples, problems
        From `posedata.find_videos.find_videos`.
    degradation : Degradation
        What is done to each.
    out : Location
        The folder.
    resume, overwrite : bool
        Complete what an interrupted run has begun, or replace what such a run has made. Without
        either an existing folder is never touched.
    num_workers : int, optional
        Videos at a time; by default the cores that this process may use.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    list of dict
        The record of each sample; see `degrade_video`.

    Raises
    ------
    OutputError
        If the folder is taken or cannot be written. What is done stays, for ``resume``.
    """
    check_folder(out, samples, resume=resume, overwrite=overwrite)
    plan = {
        "posedata": __version__, "operation": "degrade", "options": degradation.options,
        "input": _digest(samples, problems),
    }  # fmt: skip
    finished = _finished(out, plan) if resume and not overwrite else None
    if finished is not None:
        return finished
    records = _open(out, plan, overwrite=overwrite)
    tasks = [
        VideoTask(
            index, sample, degradation, out / f"{sample.clip_id}.mp4",
            out / _UNFINISHED / f"video-{index:07}.json",
        )
        for index, sample in enumerate(samples)
        if index not in records
    ]  # fmt: skip
    if not out.is_shared_between_processes:
        num_workers = 1
    for record in run_tasks(tasks, num_workers, progress):
        records[record["index"]] = record
    made = [{n: v for n, v in records[k].items() if n != "index"} for k in sorted(records)]
    about = {**plan, "videos": made, "rejects": [asdict(problem) for problem in problems]}
    (out / RECORD).write_bytes(f"{json.dumps(about, indent=1, ensure_ascii=False)}\n".encode())
    (out / _UNFINISHED).remove()
    return made


def run_tasks(tasks: Sequence[VideoTask], num_workers: int | None, progress: bool) -> Any:
    """Make videos, some at a time; yield their records as they are done."""
    return engine.map_shards(
        degrade_video, tasks, num_workers=num_workers, unit="videos", counting="frames",
        weights=[max(1, task.sample.size) for task in tasks], progress=progress,
    )  # fmt: skip


def _digest(samples: Sequence[Sample], problems: Sequence[Problem]) -> str:
    """What the videos depend on beside the options; where they are kept is not of it."""
    digest = hashlib.sha256()
    for sample in samples:
        size = sample.info.get("width"), sample.info.get("height")
        digest.update(f"{sample.clip_id}\0{sample.path}\0{sample.size}\0{size}\n".encode())
    for problem in problems:
        digest.update(repr(problem).encode())
    return digest.hexdigest()


def _finished(out: Location, plan: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    if not (out / RECORD).exists():
        return None
    about = json.loads((out / RECORD).read_bytes(_MOST_BYTES))
    if any(about.get(key) != plan[key] for key in plan):
        raise OutputError("videos of other input or options are there", path=out,
                          remedy="Give --overwrite to replace them, or another -o.")  # fmt: skip
    (out / _UNFINISHED).remove()  # left behind by a kill just after the record
    videos = about["videos"]
    for video in videos:
        if "error" not in video and not _is_there(out, video):
            raise OutputError(f"{video['clip_id']}.mp4 is not what was written", path=out,
                              remedy="Give --overwrite to make all anew.")  # fmt: skip
    return list(videos)


def check_folder(
    out: Location, samples: Sequence[Sample], *, resume: bool, overwrite: bool
) -> None:
    """Refuse, before any work, a folder that must not get the videos.

    Raises
    ------
    OutputError
        If it is taken.
    UsageError
        If one of the videos is in it.
    """
    for sample in samples:
        if str(sample.info["place"]).startswith(f"{out}/"):
            raise UsageError("the new videos would be among the old ones", found=str(out),
                             remedy="Give another -o.")  # fmt: skip
    if out.is_empty():
        return
    ours = (out / _UNFINISHED / "plan.json").exists() or (out / RECORD).exists()
    if overwrite and not ours:
        raise OutputError("not a folder of posedata degrade, so it is not overwritten", path=out,
                          remedy="Remove it yourself, or give another -o.")  # fmt: skip
    if not overwrite and not (resume and ours):
        raise OutputError(
            "the output exists already", path=out, remedy="Give --resume to complete it, "
            "--overwrite to replace it, or another -o." if ours else "Give another -o.",
        )  # fmt: skip


def _open(out: Location, plan: Mapping[str, Any], *, overwrite: bool) -> dict[int, dict[str, Any]]:
    """Prepare the folder, or find out what an interrupted run has left there."""
    begun = out / _UNFINISHED / "plan.json"
    if not out.is_empty():
        if not overwrite:
            if json.loads(begun.read_bytes(_MOST_BYTES)) != plan:
                raise OutputError("the videos were begun with other input or options", path=out,
                                  remedy="Run the command that began them, or give "
                                  "--overwrite.")  # fmt: skip
            records = _noted(out)
            return {n: r for n, r in records.items() if "error" in r or _is_there(out, r)}
        _clear(out)
    begun.write_bytes(json.dumps(plan).encode())
    return {}


def _clear(out: Location) -> None:
    """Remove what a run has made, and nothing else that is in the folder."""
    made = list(_noted(out).values())
    if (out / RECORD).exists():
        made += json.loads((out / RECORD).read_bytes(_MOST_BYTES))["videos"]
    for record in made:
        if "error" not in record:
            (out / f"{record['clip_id']}.mp4").remove()
    (out / RECORD).remove()
    (out / _UNFINISHED).remove()


def _noted(out: Location) -> dict[int, dict[str, Any]]:
    if not (out / _UNFINISHED).exists():
        return {}
    records = {}
    for path in sorted(out.fs.ls(f"{out.path}/{_UNFINISHED}", False)):
        if path.rsplit("/", 1)[-1].startswith("video-"):
            record = json.loads(Location(out.fs, path).read_bytes(_MOST_BYTES))
            records[record["index"]] = record
    return records


def _is_there(out: Location, record: Mapping[str, Any]) -> bool:
    place = out / f"{record['clip_id']}.mp4"
    return place.exists() and place.size() == record["bytes"]
