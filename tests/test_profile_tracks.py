"""`posedata.profiles.tracks`: each step on cases worked by hand."""

import warnings

import numpy as np
import pytest
from skeleton_texts import NAME, bodies_of, clip_of, nasty_text

from posedata.clip import Clip
from posedata.errors import InputError, UsageError
from posedata.profiles.tracks import (
    Track,
    Tracks,
    close_gaps,
    drop_empty_frames,
    drop_short_tracks,
    drop_wide_tracks,
    fill_actors,
    make_tracks,
    measure_motion,
    motion_of,
    sort_by_motion,
)
from posedata.skeleton import load_skeleton
from posedata.source_numbers import find_unrounded


class Notes:
    """Collects what a step reports."""

    def __init__(self):
        self.said = {}

    def __call__(self, what, amount=1):
        if amount:
            self.said[what] = self.said.get(what, 0) + amount


@pytest.fixture
def note():
    return Notes()


def body(frames, value=1.0, motion=np.nan, num_joints=2):
    """A body that has the same number in all coordinates."""
    frames = np.array(frames)
    joints = np.full((len(frames), num_joints, 3), value, np.float32)
    return Track(frames, joints, np.float32(motion))


def tracks_of(*bodies, num_frames=None, alone=None):
    if num_frames is None:
        num_frames = max(b.stop for b in bodies)
    alone = len(bodies) == 1 if alone is None else alone
    return Tracks(NAME, {"label": 12}, num_frames, tuple(bodies), alone)


def numbers(actors, actor):
    """The number that an actor's coordinates have in each frame."""
    assert (actors[:, actor] == actors[:, actor, :1, :1]).all()
    return actors[:, actor, 0, 0].tolist()


# from a clip


def make_clip(frames, persons, keypoints, **more):
    return Clip(
        NAME, "kinect", load_skeleton("nturgbd25"), np.array(frames, np.int32),
        np.array(persons, np.int32), keypoints_3d=keypoints, info={"num_frames": 9, "label": 12},
        **more,
    )  # fmt: skip


def test_tracks_are_the_bodies_in_the_order_of_the_file(note):
    text = nasty_text(seed=3)
    tracks = make_tracks(clip_of(text), note)
    expected = bodies_of(text)
    assert len(tracks.bodies) == len(expected) > 2
    for track, (_, poses) in zip(tracks.bodies, expected, strict=True):
        assert track.frames.tolist() == [frame for frame, _ in poses]
        np.testing.assert_array_equal(track.joints, np.stack([pose for _, pose in poses]))
        assert track.joints.dtype == np.float32
        assert track.joints.flags.c_contiguous
    assert not tracks.alone
    assert note.said == {}


def test_a_joint_that_is_partly_nan_in_the_file_is_so_for_the_script(note):
    source = np.full((1, 25, 3), 0.25)
    source[0, 3, 1] = np.nan
    kept = source.astype(np.float32)
    kept[0, 3] = np.nan
    unrounded = {"keypoints_3d": find_unrounded(kept, source, "decimal")}
    tracks = make_tracks(make_clip([0], [0], kept, unrounded=unrounded), note)
    assert np.isnan(tracks.bodies[0].joints).sum() == 1
    tracks = make_tracks(make_clip([0], [0], kept), note)
    assert np.isnan(tracks.bodies[0].joints).sum() == 3  # where the clip does not tell


def test_no_body_in_any_frame(note):
    clip = make_clip([], [], np.zeros((0, 25, 3), np.float32))
    with pytest.raises(InputError, match=f"{NAME}: no body in any frame"):
        make_tracks(clip, note)


def test_no_positions(note):
    with pytest.raises(UsageError, match="keypoints_3d"):
        make_tracks(make_clip([0], [0], None), note)


def test_label():
    assert tracks_of(body([0])).label == 12
    with pytest.raises(UsageError, match="no label"):
        _ = Tracks(NAME, {}, 1, (body([0]),), True).label


# frames


def test_empty_frames_are_dropped(note):
    tracks = tracks_of(body([1, 2, 6]), body([4]), num_frames=9)
    after = drop_empty_frames(tracks, note)
    assert [b.frames.tolist() for b in after.bodies] == [[0, 1, 3], [2]]
    assert after.num_frames == 4
    assert note.said == {"frames without bodies dropped": 5}


def test_without_empty_frames_nothing_changes(note):
    tracks = tracks_of(body([0, 2]), body([1]))
    assert drop_empty_frames(tracks, note) is tracks
    assert note.said == {}


def test_gaps_are_closed_forward(note):
    tracks = tracks_of(body([1, 2, 6, 7, 9]), body(range(10)))
    after = close_gaps(tracks, note)
    assert [b.frames.tolist() for b in after.bodies] == [[1, 2, 3, 4, 5], list(range(10))]
    assert after.num_frames == 10
    assert note.said == {"poses moved forward over gaps": 3}


# motion


def test_motion_is_the_sum_of_the_variances():
    joints = np.zeros((2, 2, 3), np.float32)
    joints[:, :, 0] = [[1, 3], [5, 7]]  # variance 5
    joints[0, :, 1] = 2  # variance 1
    motion = motion_of(joints)
    assert motion == 6
    assert motion.dtype == np.float32


def test_a_body_alone_is_not_measured(note):
    alone = measure_motion(tracks_of(body([0, 1])), note)
    assert np.isnan(alone.bodies[0].motion)
    several = measure_motion(tracks_of(body([0, 1]), body([1])), note)
    assert [b.motion for b in several.bodies] == [0, 0]


@pytest.mark.parametrize("negated", [True, False])
def test_ties_in_motion_keep_their_order(note, negated):
    bodies = [body([0], value=k, motion=m) for k, m in enumerate([1, 3, 1, 3, 2])]
    after = sort_by_motion(tracks_of(*bodies), note, negated=negated)
    assert [b.joints[0, 0, 0] for b in after.bodies] == [1, 3, 4, 0, 2]


def test_nan_motion_is_what_pythons_sort_makes_of_it(note):
    motions = [float("nan"), 1, 2, float("nan"), 3]
    bodies = [body([0], value=k, motion=m) for k, m in enumerate(motions)]
    places = range(5)
    for negated, expected in (
        (True, sorted(places, key=lambda k: -motions[k])),
        (False, sorted(places, key=lambda k: motions[k], reverse=True)),
    ):
        after = sort_by_motion(tracks_of(*bodies), note, negated=negated)
        assert [b.joints[0, 0, 0] for b in after.bodies] == expected


# what is dropped


def test_short_tracks(note):
    tracks = tracks_of(body(range(11)), body(range(12)), body([3]))
    after = drop_short_tracks(tracks, note, longest=11)
    assert [len(b.frames) for b in after.bodies] == [12]
    assert note.said == {"bodies of up to 11 frames dropped": 2}


def test_a_body_alone_may_be_short(note):
    tracks = tracks_of(body([0]))
    assert drop_short_tracks(tracks, note, longest=11) is tracks


def test_only_short_tracks(note):
    tracks = tracks_of(body(range(11)), body([3]))
    with pytest.raises(InputError, match="2 bodies of up to 11 frames"):
        drop_short_tracks(tracks, note, longest=11)


def shaped(widths, heights, motion=9.0):
    """A body with an extent in x and y in each frame."""
    joints = np.zeros((len(widths), 3, 3), np.float32)
    joints[:, 1, 0] = widths
    joints[:, 2, 1] = heights
    return Track(np.arange(len(widths)), joints, np.float32(motion))


WIDE = {"width_to_height": 0.8, "share": 0.69754}


@pytest.mark.parametrize("keep_last", [True, False])
def test_wide_tracks(note, keep_last):
    narrow = shaped([0.5] * 10, [1] * 10)
    some = shaped([2] * 6 + [0.5] * 4, [1] * 10)
    most = shaped([2] * 7 + [0.5] * 3, [1] * 10)
    tracks = tracks_of(narrow, most, some)
    after = drop_wide_tracks(tracks, note, keep_last=keep_last, **WIDE)
    assert len(after.bodies) == 2
    assert after.bodies[0] is narrow
    assert after.bodies[1].joints is some.joints  # poses stay
    assert after.bodies[1].motion == motion_of(some.joints[6:])
    assert note.said == {"bodies wider than 0.8 of their height in most frames dropped": 1}


def test_motion_without_wide_frames_counts_only_if_it_is_less(note):
    others = shaped([0.5] * 4, [1] * 4)
    for motion, expected in ((0.001, 0.001), (np.nan, np.nan)):
        some = shaped([2, 0.5, 0.5, 0.5], [1, 1, 1, 1], motion)
        after = drop_wide_tracks(tracks_of(others, some), note, keep_last=False, **WIDE)
        np.testing.assert_equal(after.bodies[1].motion, np.float32(expected))


def test_all_wide(note):
    tracks = tracks_of(*[shaped([2] * 4, [1] * 4, motion) for motion in (1, 3, 2)])
    with pytest.raises(InputError, match="every body is wide"):
        drop_wide_tracks(tracks, note, keep_last=False, **WIDE)
    after = drop_wide_tracks(tracks, note, keep_last=True, **WIDE)
    assert [b.motion for b in after.bodies] == [2]  # the last one, whatever it is


def test_one_body_left_is_not_judged(note):
    tracks = tracks_of(shaped([2] * 4, [1] * 4), alone=False)
    assert drop_wide_tracks(tracks, note, keep_last=False, **WIDE) is tracks


def test_frames_with_nan_are_wide(note):
    nan = shaped([0.5] * 4, [1] * 4)
    nan.joints[:3, 0, 1] = np.nan
    tracks = tracks_of(nan, shaped([0.5] * 4, [1] * 4))
    assert len(drop_wide_tracks(tracks, note, keep_last=False, **WIDE).bodies) == 1


def test_the_ratio_itself_is_narrow_in_float32_only(note):
    # float32(0.8) is a little larger than 0.8
    tracks = tracks_of(shaped([0.8] * 4, [1] * 4), shaped([0.5] * 4, [1] * 4))
    after = drop_wide_tracks(tracks, note, keep_last=False, **WIDE)
    assert len(after.bodies) == 2
    after = drop_wide_tracks(tracks, note, keep_last=False, compared_as="float64", **WIDE)
    assert len(after.bodies) == 1


# two actors


def test_a_body_alone_is_the_only_actor(note):
    after = fill_actors(tracks_of(body([1, 2]), num_frames=4), note, may_share=0)
    assert after.filled.shape == (4, 1, 2, 3)
    assert after.filled.dtype == np.float32
    assert numbers(after.filled, 0) == [0, 1, 1, 0]


def test_bodies_go_to_the_first_actor_that_is_free(note):
    bodies = [body(range(2, 5), 1), body(range(3, 7), 2), body(range(5, 7), 3), body([7], 4)]
    after = fill_actors(tracks_of(*bodies), note, may_share=0)
    assert numbers(after.filled, 0) == [0, 0, 1, 1, 1, 3, 3, 4]
    assert numbers(after.filled, 1) == [0, 0, 0, 2, 2, 2, 2, 0]
    assert note.said == {}


def test_the_time_of_an_actor_has_no_holes(note):
    bodies = [body([0], 1), body([4], 2), body([2], 3), body([2], 4)]
    after = fill_actors(tracks_of(*bodies), note, may_share=0)
    assert numbers(after.filled, 0) == [1, 0, 0, 0, 2]
    assert numbers(after.filled, 1) == [0, 0, 3, 0, 0]
    assert note.said == {"bodies dropped because both actors are there": 1}


def test_the_time_of_the_second_actor_begins_at_frame_0(note):
    bodies = [body(range(6), 1), body([4, 5], 2), body([1, 2], 3)]
    after = fill_actors(tracks_of(*bodies), note, may_share=0)
    assert numbers(after.filled, 1) == [0, 0, 0, 0, 2, 2]
    assert note.said == {"bodies dropped because both actors are there": 1}


def test_one_frame_may_be_shared(note):
    bodies = [body(range(4), 1), body(range(3, 6), 2)]
    after = fill_actors(tracks_of(*bodies), note, may_share=1)
    assert numbers(after.filled, 0) == [1, 1, 1, 2, 2, 2]
    assert numbers(after.filled, 1) == [0] * 6
    assert note.said == {"poses replaced by those of another body": 1}
    after = fill_actors(tracks_of(*bodies), note, may_share=0)
    assert numbers(after.filled, 0) == [1, 1, 1, 1, 0, 0]
    assert numbers(after.filled, 1) == [0, 0, 0, 2, 2, 2]


def test_actors_before_they_are_filled():
    with pytest.raises(UsageError, match="fill_actors"):
        _ = tracks_of(body([0])).filled


def test_numbers_near_the_end_of_float32_give_no_warning(note):
    large = np.full((4, 3, 3), 3e38, np.float32) * np.array([-1, 1, 1], np.float32)[:, None]
    tracks = tracks_of(Track(np.arange(4), large), Track(np.arange(4), large))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after = measure_motion(tracks, note)
        drop_wide_tracks(after, note, keep_last=True, **WIDE)
