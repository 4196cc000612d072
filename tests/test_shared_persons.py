"""`posedata.shared_persons`: new layers take over the ids of those that are there."""

import numpy as np

from posedata.clip import Clip
from posedata.shared_persons import share_persons
from posedata.skeleton import load_skeleton

COCO = load_skeleton("coco17")
SHAPE = np.stack([np.linspace(0, 60, 17), np.linspace(0, 120, 17)], 1).astype(np.float32)


def clip(layer, rows, person_ids=(), shift=0.0):
    """Rows of (person, frame, x)."""
    rows = sorted(rows)
    persons, frames, lefts = (np.array(column) for column in zip(*rows, strict=True))
    keypoints = (SHAPE + shift)[None] + np.stack([lefts, 0 * lefts], 1)[:, None]
    return Clip(
        "c", layer, COCO, frames.astype(np.int32), persons.astype(np.int32),
        keypoints_2d=keypoints.astype(np.float32), person_ids=person_ids,
        extra={"box_scores": lefts.astype(np.float32)}, info={"num_frames": 10},
    )  # fmt: skip


def where(clip):
    """The x of each (person, frame)."""
    return {
        (int(p), int(f)): float(x)
        for p, f, x in zip(clip.persons, clip.frames, clip.extra["box_scores"], strict=True)
    }


TWO = [(0, f, 0.0) for f in range(6)] + [(1, f, 300.0) for f in range(6)]
SWAPPED = [(1, f, 0.0) for f in range(6)] + [(0, f, 300.0) for f in range(6)]


def test_ids_are_those_of_the_layer_that_is_there():
    (new,) = share_persons([clip("new", SWAPPED, shift=2)], [clip("old", TWO)])
    assert where(new) == where(clip("old", TWO))


def test_where_nothing_is_there_ids_stay():
    (new,) = share_persons([clip("new", SWAPPED)], [])
    assert where(new) == where(clip("new", SWAPPED))


def test_new_layers_agree_with_each_other():
    first, second = share_persons([clip("a", TWO), clip("b", SWAPPED)], [])
    assert where(first) == where(second)


def test_a_new_person_gets_a_new_id():
    three = [*SWAPPED, *((2, f, 900.0) for f in range(6))]
    (new,) = share_persons([clip("new", three)], [clip("old", TWO)])
    assert where(new)[2, 0] == 900.0 and new.num_persons == 3


def test_fragments_of_a_person_are_joined():
    pieces = [(0, f, 0.0) for f in range(3)] + [(1, f, 300.0) for f in range(6)]
    pieces += [(2, f, 0.0) for f in range(3, 6)]
    (new,) = share_persons([clip("new", pieces)], [clip("old", TWO)])
    assert where(new) == where(clip("old", TWO))


def test_what_a_source_calls_two_persons_stays_two():
    pieces = [(0, f, 0.0) for f in range(3)] + [(1, f, 300.0) for f in range(6)]
    pieces += [(2, f, 0.0) for f in range(3, 6)]
    (new,) = share_persons([clip("new", pieces, ("x", "y", "z"))], [clip("old", TWO)])
    assert new.num_persons == 3
    assert sorted(new.person_ids) == ["x", "y", "z"]
    assert {new.person_ids[p] for p, f in where(new) if where(new)[p, f] == 300.0} == {"y"}


def test_layers_that_share_tracks_go_together():
    """The second expert sees the third track only; the first has never seen it."""
    first = clip("a", [(0, f, 300.0) for f in range(6)])
    second = clip("b", [(0, f, 300.0) for f in range(6)] + [(5, f, 0.0) for f in range(6)])
    old = clip("old", TWO)
    a, b = share_persons([first, second], [old], ["a", "b"])
    assert where(a) == {(1, f): 300.0 for f in range(6)}
    assert where(b) == where(old)


def test_two_tracks_that_any_sharing_layer_has_in_one_frame_stay_apart():
    """For the first expert tracks 0 and 1 could be one person: only the second sees both."""
    first = clip("a", [(0, f, 0.0) for f in range(3)] + [(1, f, 0.0) for f in range(3, 6)])
    second = clip("b", [(0, f, 0.0) for f in range(6)] + [(1, f, 5.0) for f in range(6)])
    a, b = share_persons([first, second], [clip("old", TWO)], ["a", "b"])
    assert len(set(b.persons.tolist())) == 2
    assert set(a.persons.tolist()) == set(b.persons.tolist())


def test_layers_without_2d_do_not_count():
    from dataclasses import replace

    old = replace(clip("old", TWO), keypoints_2d=None)
    (new,) = share_persons([clip("new", SWAPPED)], [old])
    assert where(new) == where(clip("new", SWAPPED))
