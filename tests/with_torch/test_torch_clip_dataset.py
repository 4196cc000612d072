"""`posedata.torch.ClipDataset`: batches of a release, the same with any number of workers."""

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, get_worker_info  # noqa: E402

from posedata.errors import UsageError  # noqa: E402
from posedata.heatmaps import PYSKL_LIMBS, heatmaps, scale_keypoints  # noqa: E402
from posedata.layouts import pad_sequences, stack_gcn  # noqa: E402
from posedata.pose_memory import map_poses  # noqa: E402
from posedata.release import open_release  # noqa: E402
from posedata.sample import sample_of  # noqa: E402
from posedata.sample_rng import SampleRng  # noqa: E402
from posedata.skeleton import Skeleton  # noqa: E402
from posedata.torch import ClipDataset, Gcn, Heatmaps, Sequences, whole_batch  # noqa: E402
from posedata.torch.collate import find_layout, make_batch  # noqa: E402
from posedata.transforms.sampling import (  # noqa: E402
    UniformPoses,
    UniformSampling,
    WindowSampling,
)
from tests.made_clips import awkward_clips, made_clip, write_release  # noqa: E402

CLIPS = [
    made_clip(f"clip{number:02}", [range(number % 5 + 1), range(number % 3)], number % 5 + 2,
              label=number % 3)
    for number in range(24)
]  # fmt: skip
SPLITS = [("half", "train" if number % 2 else "test", clip.clip_id)
          for number, clip in enumerate(CLIPS)]  # fmt: skip


@dataclass(frozen=True)
class Pick:
    """Frames at random, and noise: all that a transform may do with a generator."""

    number: int

    def __call__(self, sample, rng):
        steps = rng.integers(len(sample.frames), size=self.number)
        moved = sample.keypoints[:, steps] + rng.normal(size=2).astype(np.float32)
        return replace(sample, keypoints=moved, scores=sample.scores[:, steps],
                       frames=sample.frames[steps])  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Puts what a process has written for itself, in MB, into every sample."""

    def __call__(self, sample, rng):
        private = 0
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                private = int(line.split()[1])
        touched = np.nansum(sample.keypoints, dtype=np.float64) > -np.inf
        values = np.full((1, 1, 1, 2), private / 1024 if touched else 0, np.float32)
        return replace(sample, keypoints=values, scores=np.ones((1, 1, 1), np.float32))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    return Path(write_release(folder / "release", CLIPS, splits=SPLITS).place.path)


@pytest.fixture
def dataset(place):
    def make(*layer, **options):
        options = {"transforms": [Pick(4)], "cache": place.parent / "cache", **options}
        return ClipDataset(place, *layer, **options)

    return make


def epoch_of(data, epoch=0, order=None, **options):
    data.set_epoch(epoch)
    loader = DataLoader(data, batch_size=5, sampler=order, collate_fn=whole_batch, **options)
    return list(loader)


def assert_same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert torch.equal(batch[name], other[name]), name


def test_what_it_says_of_itself(dataset):
    data = dataset(protocol="half", split="train")
    assert len(data) == 12
    assert data.clip_ids == tuple(clip.clip_id for clip in CLIPS[1::2])
    assert data.labels.tolist() == [clip.info["label"] for clip in CLIPS[1::2]]
    assert data.num_classes == 3
    assert data.label_names[0] == "drink water"
    assert data.skeleton.name == "coco17"
    assert len(dataset(where={"label": [1]})) == 8


@pytest.mark.parametrize("num_persons", [1, 2, 3])
def test_a_batch_for_graph_networks(dataset, num_persons):
    data = dataset(num_persons=num_persons)
    batch = data.__getitems__([7, 0, 20]).batch
    samples = [data.sample(index) for index in (7, 0, 20)]
    np.testing.assert_array_equal(batch["keypoints"], stack_gcn(samples, num_persons))
    assert batch["keypoints"].shape == (3, 2, 4, 17, num_persons)
    assert batch["keypoints"].dtype == torch.float32
    assert batch["label"].tolist() == [1, 0, 2]
    assert batch["index"].tolist() == [7, 0, 20]


def test_one_clip_is_its_row_of_a_batch(dataset):
    data = dataset()
    batch = data.__getitems__([3, 4]).batch
    for row, index in enumerate((3, 4)):
        for name, values in data[index].items():
            assert torch.equal(values, batch[name][row])
    assert torch.equal(data[-1]["keypoints"], data[len(data) - 1]["keypoints"])
    with pytest.raises(IndexError):
        data[len(data)]
    assert len(list(data)) == len(data)


def test_x_y_score(dataset):
    samples = [dataset().sample(5)]
    batch = make_batch(samples, [5], 2, Gcn(channels="xys"))["keypoints"].numpy()
    assert batch.shape == (1, 3, 4, 17, 2)
    np.testing.assert_array_equal(batch[:, :2], stack_gcn(samples, 2))
    np.testing.assert_array_equal(batch[0, 2, ..., 0], samples[0].scores[0])
    assert (batch[:, 2][np.isnan(samples[0].keypoints[:1]).any(-1)[..., None].repeat(2, -1)]
            == 0).all()  # fmt: skip


def test_missing_joints_are_0_and_nothing_else_is_changed(dataset):
    sample = dataset().sample(5)
    sample = replace(sample, keypoints=sample.keypoints.copy())
    sample.keypoints[0, 0, 0] = np.nan, 3
    sample.keypoints[0, 0, 1] = np.inf, -np.inf
    batch = make_batch([sample], [0], 1, Gcn())["keypoints"]
    assert batch[0, :, 0, 0, 0].tolist() == [0, 3]
    assert batch[0, :, 0, 1, 0].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("num_persons", [1, 2, 3])
@pytest.mark.parametrize("layout", [Gcn(), Gcn("xys")])
@pytest.mark.parametrize(
    "sampling",
    [
        UniformSampling(4),
        UniformSampling(3, clips=2, test=True),
        WindowSampling(4),
        UniformPoses(5),
    ],
)
def test_choosing_frames_first_gives_what_choosing_them_last_gives(
    dataset, sampling, layout, num_persons
):
    options = {"layout": layout, "num_persons": num_persons, "seed": 3}
    data = dataset(transforms=[sampling], **options)
    data.set_epoch(2)
    batch = data.__getitems__([7, 0, 20, 2]).batch
    whole = dataset(transforms=(), layout="sequence", num_persons=num_persons)
    samples = [sampling(whole.sample(i), SampleRng(3)(2, i)) for i in (7, 0, 20, 2)]
    assert_same([batch], [make_batch(samples, [7, 0, 20, 2], num_persons, layout)])
    # with another transform behind it, samples are made in between
    longer = dataset(transforms=[sampling, lambda sample, rng: sample], **options)
    longer.set_epoch(2)
    assert_same([longer.__getitems__([7, 0, 20, 2]).batch], [batch])
    np.testing.assert_array_equal(longer.sample(7).frames, samples[0].frames)


def test_pixels_and_metres(tmp_path, dataset):
    arrays = ("keypoints_2d", "keypoints_3d", "scores")
    clips = [made_clip(name, [range(5)], 5, arrays=arrays) for name in "ab"]
    write_release(tmp_path / "release", clips)
    data = ClipDataset(tmp_path / "release", keypoints="both", cache=tmp_path, num_persons=1)
    poses = data.sample(1).keypoints[0]
    np.testing.assert_array_equal(poses[..., :2], clips[1].keypoints_2d)
    np.testing.assert_array_equal(poses[..., 2:], clips[1].keypoints_3d)
    assert data[1]["keypoints"].shape == (5, 5, 17, 1)
    with pytest.raises(UsageError, match="no keypoints_3d"):
        dataset(keypoints="both")


def test_sequences(dataset):
    data = dataset(transforms=(), layout="sequence")
    batch = data.__getitems__([3, 0, 4]).batch
    samples = [data.sample(index) for index in (3, 0, 4)]
    expected = pad_sequences(samples, 2)
    for name, values in zip(("keypoints", "mask", "lengths"), expected, strict=True):
        np.testing.assert_array_equal(batch[name], values)
    assert batch["lengths"].tolist() == [5, 2, 6]


@pytest.mark.parametrize(
    "layout",
    [
        Heatmaps(),
        Heatmaps(size=(20, 30), sigma=1.0, limbs=True, people="sum"),
        Heatmaps(size=(16, 16), joints=False, limbs=PYSKL_LIMBS, dtype="float16"),
        Heatmaps(size=(16, 16), dtype="uint8"),
    ],
)
def test_heatmaps(dataset, layout):
    data = dataset(layout=layout, num_persons=2)
    batch = data.__getitems__([5, 6]).batch["heatmaps"]
    bones = {True: data.skeleton.bones, False: ()}.get(layout.limbs, layout.limbs)
    channels = 17 * layout.joints + len(bones)
    assert batch.shape == (2, channels, 4, *layout.size)
    assert str(batch.dtype) == f"torch.{layout.dtype}"
    for row, index in enumerate((5, 6)):
        sample = data.sample(index)
        expected = heatmaps(
            scale_keypoints(sample.keypoints, (480, 640), layout.size), sample.scores,
            size=layout.size, sigma=layout.sigma, joints=layout.joints, limbs=bones,
            people=layout.people, dtype=layout.dtype,
        )  # fmt: skip
        assert expected.any()
        np.testing.assert_array_equal(batch[row], expected)


def test_heatmaps_of_no_picture(dataset):
    sample = dataset().sample(5)
    with pytest.raises(UsageError, match="no width and height"):
        make_batch([replace(sample, info={})], [0], 1, Heatmaps())
    in_space = np.zeros((1, 4, 17, 3), np.float32)
    with pytest.raises(UsageError, match="in pixels"):
        make_batch([replace(sample, keypoints=in_space)], [0], 1, Heatmaps())


@pytest.mark.parametrize("layout", ["gcn", "heatmaps", "sequence"])
def test_without_a_collate_fn(dataset, layout):
    data = dataset(transforms=() if layout == "sequence" else [Pick(4)], layout=layout)
    assert_same(list(DataLoader(data, batch_size=5)), epoch_of(data))


@pytest.mark.parametrize(("workers", "how"), [(1, "fork"), (2, "fork"), (2, "spawn")])
def test_the_same_with_any_number_of_workers(dataset, workers, how):
    data = dataset(seed=7)
    order = np.random.default_rng(0).permutation(len(data)).tolist()
    expected = epoch_of(data, 3, order)
    found = epoch_of(data, 3, order, num_workers=workers, multiprocessing_context=how)
    assert_same(found, expected)


def test_a_sample_depends_on_seed_epoch_and_index_alone(dataset):
    data = dataset()
    first = data[5]["keypoints"]
    _ = data[6], data[2]
    assert torch.equal(data[5]["keypoints"], first)
    data.set_epoch(1)
    assert data.epoch == 1
    assert not torch.equal(data[5]["keypoints"], first)
    data.set_epoch(0)
    assert torch.equal(data[5]["keypoints"], first)
    assert not torch.equal(dataset(seed=1)[5]["keypoints"], first)


def test_workers_that_live_on_see_the_next_epoch(dataset):
    data = dataset()
    loader = DataLoader(data, batch_size=5, collate_fn=whole_batch, num_workers=1,
                        persistent_workers=True, multiprocessing_context="fork")  # fmt: skip
    for epoch in (0, 1, 2):
        expected = epoch_of(data, epoch)
        assert_same(list(loader), expected)


def test_the_generator_of_a_sample_is_philox_with_its_key():
    rng = SampleRng(5)
    _ = rng(0, 3).random(3), rng(9, 9).integers(0, 9, dtype=np.uint32)
    expected = np.random.Generator(np.random.Philox(key=[5, (2 << 32) + 11]))
    drawn = rng(2, 11)
    np.testing.assert_array_equal(drawn.integers(0, 9, 5, np.uint32),
                                  expected.integers(0, 9, 5, np.uint32))  # fmt: skip
    np.testing.assert_array_equal(drawn.normal(size=9), expected.normal(size=9))
    again = pickle.loads(pickle.dumps(rng))
    np.testing.assert_array_equal(again(1, 2).random(4), rng(1, 2).random(4))


def test_awkward_clips(tmp_path):
    write_release(tmp_path / "release", awkward_clips())
    data = ClipDataset(tmp_path / "release", transforms=[Pick(3)], cache=tmp_path)
    (batch,) = epoch_of(data)
    assert batch["keypoints"].shape == (5, 2, 3, 17, 2)
    assert (batch["keypoints"][data.clip_ids.index("nobody")] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "half", "split": "val"}, "no such split"),
        ({"protocol": "half"}, "a protocol without a split"),
        ({"where": {"label": 9}}, "no clips left"),
        ({"where": {"nothing": 9}}, "no clip column"),
        ({"keypoints": "keypoints_3d"}, "no keypoints_3d"),
        ({"layer": "kinect"}, "no layer"),
        ({"layout": "gnc"}, "no such layout"),
        ({"transforms": ()}, "differ in shape"),
        ({"num_persons": 0}, "num_persons"),
        ({"seed": -1}, "seed"),
        ({"layout": Gcn("xyz")}, "has the channels xyz"),
        ({"skeleton": "nothing17"}, "nothing17"),
        ({"skeleton": Skeleton("tails", ("tail",), (), (), "tail")}, "no joint of coco17"),
    ],
)
def test_bad_input_before_the_first_batch(dataset, options, message):
    with pytest.raises(UsageError, match=message):
        dataset(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gcn("yx"),
        lambda: Heatmaps(size=(0, 5)),
        lambda: Heatmaps(sigma=float("nan")),
        lambda: Heatmaps(sigma=0),
        lambda: Heatmaps(joints=False),
        lambda: Heatmaps(people="mean"),
        lambda: Heatmaps(dtype="int8"),
        lambda: find_layout("other"),
    ],
)
def test_bad_layouts(make):
    with pytest.raises(UsageError):
        make()


def test_layouts_by_name():
    assert find_layout("gcn") == Gcn()
    assert find_layout("sequence") == Sequences()
    assert find_layout(Heatmaps(sigma=1.0)).sigma == 1


def test_a_data_set_goes_to_a_worker_without_its_poses(dataset):
    data = dataset()
    assert len(pickle.dumps(data)) < 8000
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again[3]["keypoints"], data[3]["keypoints"])


def test_a_batch_can_be_copied_and_sent(dataset):
    batch = dataset().__getitems__([1, 2]).batch
    assert_same([copy.copy(batch), pickle.loads(pickle.dumps(batch))], [batch, batch])


def test_batches_of_a_worker_are_made_in_shared_memory(dataset):
    data = dataset(transforms=[Pick(4), _say_where])
    (batch, *_) = epoch_of(data, num_workers=1, multiprocessing_context="fork")
    assert batch["keypoints"].is_shared()
    assert not epoch_of(dataset())[0]["keypoints"].is_shared()


def _say_where(sample, rng):
    assert get_worker_info() is not None or os.getpid() == _MAIN
    return sample


_MAIN = os.getpid()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_workers_share_the_poses(tmp_path):
    """Two workers read 60 MB between them, and need hardly more than those that read 3 MB.

    A spawned worker gets the path of the file alone: see the size of a pickled data set above.
    """
    clip = made_clip("a", [range(15000)], 15000)
    peak = {}
    for number in (1, 20):
        place = tmp_path / f"release{number}"
        write_release(place, [replace(clip, clip_id=f"clip{i:02}") for i in range(number)])
        data = ClipDataset(place, transforms=[Memory()], num_persons=1, cache=tmp_path)
        loader = DataLoader(data, batch_size=1, num_workers=2, multiprocessing_context="fork",
                            collate_fn=whole_batch)  # fmt: skip
        peak[number] = max(float(batch["keypoints"].max()) for batch in loader)
    assert data._memory.path.stat().st_size > 50e6
    assert peak[1] > 1
    assert peak[20] - peak[1] < 10


def test_without_torch_the_error_says_what_to_install(tmp_path):
    code = (
        "import sys, importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'torch' else find(name, *more)\n"
        "import posedata.torch"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert 'pip install "posedata[torch]"' in run.stderr.splitlines()[-1]


def test_names():
    import posedata.torch

    for name in posedata.torch.__all__:
        assert getattr(posedata.torch, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = posedata.torch.nothing


def test_the_memory_is_that_of_the_library(place, dataset):
    release = open_release(place)
    memory = map_poses(release, "made", "keypoints_2d", release.skeleton(), place.parent / "cache")
    data = dataset(transforms=(), layout="sequence")
    assert data._memory.path == memory.path
    expected = sample_of(CLIPS[8], "keypoints_2d", 2)
    np.testing.assert_array_equal(data.sample(8).keypoints, expected.keypoints)
