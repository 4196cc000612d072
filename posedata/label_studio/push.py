"""Frames of a release as tasks of Label Studio, with a layer's poses to be corrected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.label_studio.client import (
    LabelStudio,
    ServerGoneError,
    add_prediction,
    find_project,
    import_tasks,
    iter_tasks,
)
from posedata.label_studio.frame_images import ImagePlace, write_images
from posedata.label_studio.keypoint_config import labelling_config
from posedata.label_studio.poses_to_task import FramePoses, task_of
from posedata.release import Release

#: Tasks in one request: with ten people of 25 joints each, 2 MB.
TASKS_AT_ONCE = 20
_COLUMNS = ("keypoints_2d", "scores", "visibility", "boxes", "person_ids")

#: What tells tasks apart: clip, frame, layer.
TaskKey = tuple[str, int, str]


@dataclass(frozen=True)
class PushSummary:
    """What a push did.

    Attributes
    ----------
    project : int
        Its number; 0 where nothing was sent.
    url : str
        The page of the project.
    added : int
        Tasks that are new.
    there : int
        Tasks that the project had already.
    completed : int
        Of these, tasks that had no poses, and have them now.
    older : int
        Of these, tasks of another state of the layer. They stay as they are.
    """

    project: int
    url: str
    added: int
    there: int
    completed: int
    older: int


def layer_key(release: Release, layer: str) -> str:
    """Tell this state of a layer from others, by the checksums of its files.

    Further layers do not change it.
    """
    digest = hashlib.sha256()
    for name in release.part_names(layer):
        digest.update(f"{name}\0{release.manifest.files[name]['sha256']}\n".encode())
    return f"{release.name}/{layer}@{digest.hexdigest()}"


def check_layer(release: Release, layer: str) -> None:
    """Refuse a layer whose poses cannot be shown on a picture.

    Raises
    ------
    UsageError
        If there is no such layer, or it has no 2D poses.
    """
    if "keypoints_2d" not in release.table(layer).pose_columns:
        raise UsageError(f"the layer {layer} has no 2D poses", path=release.place)


def iter_frame_tasks(
    release: Release, layer: str, frames: Mapping[str, Sequence[int]], videos: Mapping[str, Any],
    place: ImagePlace,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Write the image of each frame, and give its task.

    Parameters
    ----------
    release : Release
        Whose clips.
    layer : str
        Whose poses.
    frames : mapping of str to sequence of int
        By clip id.
    videos : mapping of str to path
        By clip id.
    place : ImagePlace
        Of the images.

    Yields
    ------
    dict
        By clip id and frame. See `posedata.label_studio.poses_to_task.task_of`.

    Raises
    ------
    InputError
        If a clip has no video, or another one, or a frame cannot be decoded.
    """
    from posedata.rgb_clip import open_clip_video

    key = layer_key(release, layer)
    columns = [name for name in _COLUMNS if name in release.table(layer).pose_columns]
    for clip in release.iter_clips(layer, columns=columns, where={"clip_id": sorted(frames)}):
        video = open_clip_video(clip, videos)
        for frame in write_images(video, clip.clip_id, frames[clip.clip_id], place):
            poses = frame_poses(clip, frame, video.width, video.height)
            image = place.url(clip.clip_id, frame)
            task = task_of(poses, clip.skeleton, image, layer, key)
            # The editor draws the first region last: a rectangle that came before its points
            # would lie on them, and take every click.
            task["predictions"][0]["result"].sort(key=lambda one: one["type"] == "rectanglelabels")
            yield task


def frame_poses(clip: Clip, frame: int, width: int, height: int) -> FramePoses:
    """Take the people of one frame out of a clip."""
    rows = np.flatnonzero(clip.frames == frame)
    persons = clip.persons[rows]
    taken: dict[str, Any] = {
        name: clip.arrays[name][rows]
        for name in ("scores", "visibility", "boxes")
        if name in clip.arrays
    }
    keypoints = clip.arrays["keypoints_2d"][rows]
    ids = [clip.person_ids[person] for person in persons] if clip.person_ids else ()
    return FramePoses(clip.clip_id, frame, width, height, persons, keypoints, **taken,
                      person_ids=ids)  # fmt: skip


def open_project(
    server: LabelStudio, title: str, release: Release, layer: str, *, create: bool = True
) -> int | None:
    """Find the project, or make it with a labelling configuration for the layer's joints.

    Parameters
    ----------
    server : LabelStudio
        From `posedata.label_studio.client.connect`.
    title : str
        Title or number.
    release : Release
        Whose clips.
    layer : str
        Whose joints.
    create : bool
        Whether to make it; else None is given where there is none.

    Raises
    ------
    UsageError
        If the project is for other joints, or there is none of that number.
    """
    skeleton = release.skeleton(layer)
    config = labelling_config(skeleton)
    project = find_project(server, title)
    if project is None:
        if title.isdecimal():
            raise UsageError(f"no project of the number {title}", path=server.url)
        if len(title) < 3:
            raise UsageError("--project", found=repr(title), expected="3 letters or more")
        if not create:
            return None
        made = server.post("/api/projects/", {
            "title": title, "label_config": config, "show_collab_predictions": True,
            "description": f"{release.name}: layer {layer}, joints {skeleton.name}",
        })  # fmt: skip
        return int(made["id"])
    lacking = sorted(_labels(config) - _labels(str(project.get("label_config", ""))))
    if lacking:
        raise UsageError(f"the project {title!r} is for other joints", path=server.url,
                         found=f"no label {', '.join(lacking[:5])}",
                         expected=f"those of {skeleton.name}",
                         remedy="Name another project.")  # fmt: skip
    return int(project["id"])


def serve_images(server: LabelStudio, project: int, place: ImagePlace) -> None:
    """Let the server show the files of a folder of its document root in a project.

    Raises
    ------
    UsageError
        If the folder is not within the document root, or the server shows no files.
    """
    known = server.get("/api/storages/localfiles/", project=project)
    rows = known.get("results", []) if isinstance(known, dict) else known
    folder = str(place.folder)
    if any(str(row.get("path", "")).rstrip("/") == folder for row in rows):
        return
    place.folder.mkdir(parents=True, exist_ok=True)
    server.post("/api/storages/localfiles/", {
        "project": project, "path": folder, "title": "frames", "use_blob_urls": True,
    })  # fmt: skip


def known_tasks(server: LabelStudio, project: int) -> dict[TaskKey, dict[str, Any]]:
    """Find the tasks that a project has of releases, by clip, frame and layer."""
    found: dict[TaskKey, dict[str, Any]] = {}
    for task in iter_tasks(server, project, whole=False):
        key = key_of_task(task)
        if key is not None:
            found.setdefault(key, task)
    return found


def key_of_task(task: Mapping[str, Any]) -> TaskKey | None:
    """Tell of which frame a task is; None if it is not one of posedata's."""
    of_task = task.get("data")
    if not isinstance(of_task, dict):
        return None
    clip_id, frame, layer = (of_task.get(name) for name in ("clip_id", "frame", "layer"))
    if isinstance(clip_id, str) and type(frame) is int and isinstance(layer, str):
        return clip_id, frame, layer
    return None


def push_frames(
    server: LabelStudio, title: str, release: Release, layer: str,
    frames: Mapping[str, Sequence[int]], videos: Mapping[str, Any], place: ImagePlace, *,
    progress: bool = False,
) -> PushSummary:  # fmt: skip
    """Send frames that a project does not have yet.

    It can be broken off and repeated at any time: tasks are sent a few at a time, each with its
    poses or not at all, and what the project has is found by clip, frame and layer.

    Parameters
    ----------
    server : LabelStudio
        From `posedata.label_studio.client.connect`.
    title : str
        Title or number of the project; made if there is none of that title.
    release, layer, frames, videos, place
        As in `iter_frame_tasks`.
    progress : bool
        Whether to draw a progress bar on stderr.

    Returns
    -------
    PushSummary

    Raises
    ------
    ServerGoneError
        If the server went away: it says how many tasks have come through.
    """
    from tqdm import tqdm

    project = open_project(server, title, release, layer)
    assert project is not None
    if place.is_local:
        serve_images(server, project, place)
    known = known_tasks(server, project)
    key = layer_key(release, layer)
    wanted = {(clip_id, frame, layer) for clip_id, some in frames.items() for frame in some}
    there = {one: known[one] for one in wanted if one in known}
    older = sum(task["data"].get("release") != key for task in there.values())
    empty = {one for one, task in there.items() if _lacks_poses(server, task, key)}
    left = {
        clip_id: [frame for frame in some
                  if (one := (clip_id, frame, layer)) not in there or one in empty]
        for clip_id, some in frames.items()
    }  # fmt: skip
    left = {clip_id: some for clip_id, some in left.items() if some}
    summary = PushSummary(project, f"{server.url}/projects/{project}/data", 0, len(there), 0, older)
    total = sum(map(len, left.values()))
    batch: list[dict[str, Any]] = []
    with tqdm(total=total, unit="task", desc="push", disable=not progress) as bar:
        try:
            for task in iter_frame_tasks(release, layer, left, videos, place):
                key_of_this = key_of_task(task)
                if key_of_this in empty:
                    add_prediction(server, there[key_of_this]["id"], task["predictions"][0])
                    summary = replace(summary, completed=summary.completed + 1)
                    bar.update()
                    continue
                batch.append(task)
                if len(batch) == TASKS_AT_ONCE:
                    summary = _send(server, summary, batch)
                    bar.update(len(batch))
                    batch = []
            if batch:
                summary = _send(server, summary, batch)
                bar.update(len(batch))
        except ServerGoneError as error:
            raise ServerGoneError(
                f"{error.message}, after {summary.added} of {total} tasks", path=error.path,
                found=error.found, remedy="Nothing is lost: start it, and run the same command "
                "again. It goes on where it was.",
            ) from None  # fmt: skip
    return summary


def _send(
    server: LabelStudio, summary: PushSummary, tasks: Sequence[Mapping[str, Any]]
) -> PushSummary:
    count = import_tasks(server, summary.project, tasks)
    if count != len(tasks):
        raise InputError("Label Studio has not taken all tasks", path=server.url, found=count,
                         expected=len(tasks))  # fmt: skip
    return replace(summary, added=summary.added + count)


def _lacks_poses(server: LabelStudio, task: Mapping[str, Any], key: str) -> bool:
    """Whether a task of this state of the layer came through without its prediction.

    The server counts predictions later than it stores them: a count of none is asked about.
    """
    if task.get("total_predictions") != 0 or task["data"].get("release") != key:
        return False
    return not server.get("/api/predictions/", task=task["id"])


def _labels(config: str) -> set[str]:
    """Values of the labels in a labelling configuration; none if it is not XML."""
    from xml.parsers import expat

    found: set[str] = set()
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "Label" and "value" in attributes:
            found.add(attributes["value"])

    def no_entities(*_: Any) -> None:
        raise expat.ExpatError("entities")

    parser.StartElementHandler = start
    parser.EntityDeclHandler = no_entities
    try:
        parser.Parse(config, True)
    except expat.ExpatError:
        return set()
    return found
