"""Streams: the same batches from any number of workers, from any beginning, as from ClipDataset."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_clips import LABELS, made_clip, write_release

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from posedata import release_writer  # noqa: E402
from posedata.errors import ReleaseError, UsageError  # noqa: E402
from posedata.sample import Sample  # noqa: E402
from posedata.torch.clip_dataset import ClipDataset  # noqa: E402
from posedata.torch.clip_stream import ClipStream  # noqa: E402
from posedata.torch.collate import Gcn, Heatmaps  # noqa: E402
from posedata.transforms import Flip, UniformSampling, WindowSampling  # noqa: E402

NUM_CLIPS = 61


def jitter(sample, rng):
    """Move a sample by a random step, so that its random numbers can be told."""
    moved = sample.keypoints + rng.standard_normal(2).astype(np.float32)
    return Sample(sample.clip_id, moved, sample.scores, sample.frames, sample.skeleton,
                  sample.label, sample.info)  # fmt: skip


def five_steps(sample, rng):
    at = np.linspace(0, len(sample.frames) - 1, 5).astype(int)
    return Sample(sample.clip_id, sample.keypoints[:, at], sample.scores[:, at],
                  sample.frames[at], sample.skeleton, sample.label, sample.info)  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """61 clips of 3 to 12 frames in 5 files, each of several row groups."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(NUM_CLIPS):
        length = int(rng.integers(3, 13))
        tracks = [range(length), range(1, length)][: 1 + number % 2]
        clips.append(made_clip(f"clip{number:03}", tracks, length, label=number % len(LABELS),
                               seed=number))  # fmt: skip
    clips[7] = made_clip("clip007", [], 4)  # nobody
    splits = [("half", "train" if number % 3 else "test", f"clip{number:03}")
              for number in range(NUM_CLIPS)]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_writer, "ROW_GROUP_BYTES", 12_000)
        patch.setattr(release_writer, "_MOST_BYTES", 16_000)
        made = write_release(tmp_path_factory.mktemp("stream") / "made", clips, part_size=13,
                             splits=splits)  # fmt: skip
    return made


def stream_of(release, **options):
    settings = {"batch_size": 4, "shuffle_buffer": 32, "lanes": 4, "layout": "sequence",
                "transforms": [jitter], "seed": 5}  # fmt: skip
    return ClipStream(release, **{**settings, **options})


def run(stream, num_workers=0, **options):
    return list(DataLoader(stream, batch_size=None, num_workers=num_workers, **options))


def same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert torch.equal(batch[name], other[name]), name
    return True


def places(batches):
    return [index for batch in batches for index in batch["index"].tolist()]


def test_the_release_of_these_tests_has_many_row_groups(release):
    assert len(stream_of(release).order.group_sizes) >= 12


def test_each_clip_comes_once_and_is_that_of_clip_dataset(release, tmp_path):
    stream = stream_of(release)
    dataset = ClipDataset(release, layout="sequence", transforms=[jitter], seed=5, cache=tmp_path)
    assert stream.clip_ids == dataset.clip_ids and torch.equal(stream.labels, dataset.labels)
    for epoch in (0, 3):
        stream.start(epoch)
        dataset.set_epoch(epoch)
        batches = list(stream)
        assert len(batches) == len(stream) == 16
        assert sorted(places(batches)) == list(range(NUM_CLIPS))
        for batch in batches:
            assert same([batch], [dataset.__getitems__(batch["index"].tolist()).batch])


def test_epochs_have_their_own_order(release):
    stream = stream_of(release)
    orders = []
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        orders.append(places(stream))
    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_batches(release, num_workers):
    stream = stream_of(release)
    stream.start(2)
    assert same(run(stream, num_workers), list(stream))


def test_workers_that_live_on_see_the_next_epoch_and_beginning(release):
    stream = stream_of(release)
    loader = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch, batch in ((0, 0), (1, 0), (1, 7), (1, 16), (4, 15)):
        stream.start(epoch, batch)
        got = list(loader)
        assert same(got, list(stream))
        stream.start(epoch)
        assert same(got, list(stream)[batch:])


def test_a_pickled_stream_is_the_same(release):
    stream = stream_of(release)
    assert same(list(pickle.loads(pickle.dumps(stream))), list(stream))


def test_a_run_goes_on_where_its_state_was_taken(release):
    stream = stream_of(release)
    stream.start(3)
    whole = list(stream)
    iterator = iter(stream)
    for _ in range(5):
        next(iterator)
    state = stream.state_dict()
    assert state == {"epoch": 3, "batches": 5}
    other = stream_of(release)
    other.load_state_dict(state)
    assert same(list(other), whole[5:])
    assert other.state_dict() == {"epoch": 3, "batches": 16}
    other.load_state_dict(other.state_dict())
    assert list(other) == []


def test_what_is_skipped_is_not_read(release, monkeypatch):
    stream = stream_of(release)
    read, real = [], stream._row_groups.read
    monkeypatch.setattr(stream._row_groups, "read", lambda *a: read.append(a) or real(*a))
    list(stream)
    num_all = len(read)
    read.clear()
    stream.start(0, 14)
    assert len(list(stream)) == 2
    assert 0 < len(read) < num_all / 2


def test_the_state_is_not_told_where_it_cannot_be_known(release):
    stream = stream_of(release)
    run(stream, 2)
    with pytest.raises(UsageError, match="read ahead"):
        stream.state_dict()
    list(stream)
    assert stream.state_dict() == {"epoch": 0, "batches": 16}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_it_works_in_a_stateful_data_loader(release, num_workers):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def loader():
        return loaders.StatefulDataLoader(stream_of(release), batch_size=None,
                                          num_workers=num_workers)  # fmt: skip

    whole = list(stream_of(release))
    first = loader()
    iterator = iter(first)
    for _ in range(5):
        next(iterator)
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)
    assert same(list(second), whole[5:])


def test_ranks_share_an_epoch(release):
    counts = Counter()
    for rank in range(3):
        stream = stream_of(release, rank=rank, num_ranks=3, uneven_ranks="keep")
        assert same(run(stream, 2), list(stream))
        counts.update(places(stream))
    assert counts == Counter(range(NUM_CLIPS))
    sizes = {len(places(stream_of(release, rank=rank, num_ranks=3))) for rank in range(3)}
    assert sizes == {21}


@pytest.mark.parametrize("num_persons", [1, 3])
@pytest.mark.parametrize(
    ("layout", "transforms"),
    [
        ("gcn", [UniformSampling(5)]),
        (Gcn("xys"), [WindowSampling(7)]),
        ("sequence", []),
        ("sequence", [UniformSampling(4)]),
        (Heatmaps(size=(16, 16)), [UniformSampling(3)]),
    ],
)
def test_batches_that_are_filled_at_once_are_those_of_samples(
    release, tmp_path, layout, transforms, num_persons
):
    """To the bit, and in both kinds of data set; only one of each pair makes samples."""
    options = {"layout": layout, "num_persons": num_persons, "seed": 5, "transforms": transforms}
    through_samples = {**options, "transforms": [*transforms, lambda sample, rng: sample]}
    stream, other = stream_of(release, **options), stream_of(release, **through_samples)
    datasets = [ClipDataset(release, cache=tmp_path, **some)
                for some in (options, through_samples)]  # fmt: skip
    for one in (stream, other, *datasets):
        one.set_epoch(2)
    batches = list(stream)
    assert same(batches, list(other))
    assert same(batches, run(stream, 2))
    assert sorted(places(batches)) == list(range(NUM_CLIPS))
    for dataset in datasets:
        assert same(batches, [dataset.__getitems__(batch["index"].tolist()).batch
                              for batch in batches])  # fmt: skip


def test_one_process_decodes_each_row_group_once(release, monkeypatch):
    stream = stream_of(release, transforms=[UniformSampling(4)], layout="gcn")
    read, real = [], stream._row_groups.read
    monkeypatch.setattr(stream._row_groups, "read", lambda *a: read.append(a) or real(*a))
    list(stream)
    assert len(read) == len(set(read)) == len(stream.order.group_sizes)


def test_spawned_workers_give_the_same_batches(release):
    stream = stream_of(release, transforms=[UniformSampling(4)], layout="gcn")
    stream.start(1)
    assert same(run(stream, 2, multiprocessing_context="spawn"), list(stream))


@pytest.mark.parametrize("name", ["width", "height"])
def test_a_clip_without_the_size_of_its_picture_is_seen_before_the_first_batch(tmp_path, name):
    """It is neither the shortest nor the longest one."""
    clips = [made_clip(f"clip{number}", [range(number + 2)], number + 2) for number in range(5)]
    info = {key: value for key, value in clips[2].info.items() if key != name}
    clips[2] = replace(clips[2], info=info)
    made = write_release(tmp_path / "made", clips)
    with pytest.raises(UsageError, match="clip2"):
        stream_of(made, transforms=[UniformSampling(3), Flip()])
    with pytest.raises(UsageError, match="clip2"):
        ClipDataset(made, transforms=[UniformSampling(3), Flip()], cache=tmp_path)
    with pytest.raises(UsageError, match="clip2"):
        stream_of(made, transforms=[UniformSampling(3)], layout="heatmaps")
    assert len(list(stream_of(made, transforms=[UniformSampling(3)], layout="gcn"))) == 2


def test_a_split_and_a_condition_give_their_clips_alone(release, tmp_path):
    options = {"protocol": "half", "split": "test", "where": {"label": [0, 1]},
               "skeleton": "main13", "transforms": [five_steps], "layout": "gcn"}  # fmt: skip
    stream = stream_of(release, **options)
    dataset = ClipDataset(release, seed=5, cache=tmp_path, **options)
    batches = list(stream)
    assert sorted(places(batches)) == list(range(len(dataset))) and len(dataset) > 10
    for batch in batches:
        assert batch["keypoints"].shape[1:] == (2, 5, 13, 2)
        assert same([batch], [dataset.__getitems__(batch["index"].tolist()).batch])


def test_what_a_transform_can_know_of_a_clip(release):
    seen = {}

    def look(sample, rng):
        seen[sample.clip_id] = dict(sample.info), sample.label, len(sample.frames)
        return sample

    stream = stream_of(release, transforms=[look])
    list(stream)
    for clip in release.iter_clips():
        assert seen[clip.clip_id] == (
            {"clip_id": clip.clip_id, **clip.info}, clip.info["label"], clip.num_frames
        )  # fmt: skip


def test_a_release_at_a_url_is_read(release, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(release.place), "/stream-test", recursive=True)
    try:
        assert same(list(stream_of("memory://stream-test")), list(stream_of(release)))
    finally:
        memory.rm("/stream-test", recursive=True)


def test_without_a_buffer_clips_come_in_their_order(release):
    assert places(stream_of(release, shuffle_buffer=0, lanes=1)) == list(range(NUM_CLIPS))


def test_a_last_batch_that_is_smaller_can_be_left_out(release):
    batches = list(stream_of(release, drop_last=True))
    assert {len(batch["index"]) for batch in batches} == {4} and len(batches) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "kinect"}, "no layer"),
        ({"protocol": "half", "split": "val"}, "no such split"),
        ({"where": {"label": 2, "subject": 8}}, "no clips left"),
        ({"keypoints": "keypoints_3d"}, "no keypoints_3d"),
        ({"layout": "images"}, "no such layout"),
        ({"layout": "gcn"}, "differ in shape"),
        ({"num_persons": 0}, "num_persons"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 100, "drop_last": True}, "not one batch"),
        ({"rank": 1}, "rank"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_batch(release, options, message):
    with pytest.raises(UsageError, match=message):
        stream_of(release, **options)


def test_a_number_of_workers_that_breaks_the_order_is_refused(release, monkeypatch):
    worker = SimpleNamespace(id=0, num_workers=3)
    monkeypatch.setattr("posedata.torch.clip_stream.get_worker_info", lambda: worker)
    with pytest.raises(UsageError, match="lanes=3"):
        next(iter(stream_of(release)))


@pytest.mark.parametrize(("epoch", "batch"), [(-1, 0), (0, 17), (1 << 32, 0)])
def test_there_is_no_such_beginning(release, epoch, batch):
    with pytest.raises(UsageError, match=r"epoch|batch"):
        stream_of(release).start(epoch, batch)


def test_a_damaged_file_is_named(release, tmp_path):
    import shutil

    place = tmp_path / "copy"
    shutil.copytree(str(release.place), place)
    stream = stream_of(place)
    part = sorted((place / "data/made").iterdir())[2]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ReleaseError, match=part.name):
        list(stream)
