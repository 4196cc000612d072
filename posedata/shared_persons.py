"""The same person ids in a clip's new layers and in those that the release has already."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from posedata.clip import Clip
from posedata.estimated_clip import with_persons
from posedata.match_people import PoseTracks, match_people


def share_persons(
    clips: Sequence[Clip], references: Sequence[Clip], same_tracks: Collection[str] = ()
) -> list[Clip]:
    """Give the people of new layers the ids that they have in others.

    Parameters
    ----------
    clips : sequence of Clip
        The new layers of one clip, in the order in which they are matched.
    references : sequence of Clip
        Its layers that share ids already. Those without ``keypoints_2d`` do not count.
    same_tracks : collection of str
        New layers that share their tracks with each other: one detector told where people are.

    Returns
    -------
    list of Clip
        In the order of ``clips``. Where nothing is there to be matched with, ids stay.
    """
    known = [_tracks(clip) for clip in references if clip.keypoints_2d is not None]
    sharing = [clip for clip in clips if clip.layer in same_tracks]
    person_of_track: dict[int, int] = {}
    done: list[Clip] = []
    for clip in clips:
        persons = clip.persons
        if known:  # ids that a source gives are never joined: who is who is what it says
            persons = match_people(_tracks(clip), known, join=not clip.person_ids)
        if clip in sharing:
            _settle(clip, persons, sharing, known, person_of_track)
            persons = np.array([person_of_track[p] for p in clip.persons.tolist()], np.int32)
        done.append(with_persons(clip, persons))
        known.append(_tracks(done[-1]))
    return done


def _settle(
    clip: Clip, persons: np.ndarray, sharing: Sequence[Clip], known: Sequence[PoseTracks],
    person_of_track: dict[int, int],
) -> None:  # fmt: skip
    """Note which person each track is, for those of which no layer before this has said it.

    Two tracks are one person only if no layer that shares them has both in one frame.
    """
    frames_of: dict[int, set[int]] = {}
    for one in sharing:
        for track, frame in zip(one.persons.tolist(), one.frames.tolist(), strict=True):
            frames_of.setdefault(track, set()).add(frame)
    most = max([-1, *(int(tracks.persons.max(initial=-1)) for tracks in known)])
    for track, person in dict(zip(clip.persons.tolist(), persons.tolist(), strict=True)).items():
        if track in person_of_track:
            continue
        others = (t for t, p in person_of_track.items() if p == person)
        if any(frames_of[track] & frames_of[other] for other in others):
            person = max([most, *person_of_track.values()]) + 1
        person_of_track[track] = person


def _tracks(clip: Clip) -> PoseTracks:
    assert clip.keypoints_2d is not None
    return PoseTracks(clip.frames, clip.persons, clip.keypoints_2d, clip.skeleton)
