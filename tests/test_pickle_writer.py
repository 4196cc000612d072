"""`posedata.converters.pickle_writer`: pickles that any numpy reads, written piece by piece."""

import io
import pickle

import numpy as np
import pytest

from posedata.converters.pickle_writer import write_pickle
from posedata.unpickle import load_pickle


def written(value):
    file = io.BytesIO()
    write_pickle(file, value)
    return file.getvalue()


ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4),
    np.array([[1.5, np.nan], [np.inf, -0.0]], np.float16),
    np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::2],
    np.asfortranarray(np.ones((2, 3))),
    np.arange(3, dtype=">f4"),
    np.zeros((0, 5, 2), np.float32),
    np.array([1, 2], np.uint8),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_arrays_come_back(array):
    again = pickle.loads(written({"a": array}))["a"]
    assert again.dtype == array.dtype.newbyteorder("<")
    assert again.shape == array.shape
    assert again.flags.writeable
    np.testing.assert_array_equal(again, array)


def test_values_come_back_in_order():
    annotations = [
        {"frame_dir": f"clip{i}", "label": i, "img_shape": (480, 640), "keypoint": ARRAYS[0] + i}
        for i in range(2500)
    ]
    value = {"split": {"train": ["clip0", "clip1"], "val": []}, "annotations": iter(annotations)}
    content = written(value)
    for again in (pickle.loads(content), load_pickle(content, "x")):
        assert list(again) == ["split", "annotations"]
        assert again["split"] == value["split"]
        assert len(again["annotations"]) == 2500
        for mine, theirs in zip(again["annotations"], annotations, strict=True):
            assert list(mine) == list(theirs)
            assert mine["img_shape"] == (480, 640) and type(mine["label"]) is int
            np.testing.assert_array_equal(mine["keypoint"], theirs["keypoint"])


def test_no_name_is_of_one_numpy_alone():
    content = written({"a": ARRAYS[0]})
    assert b"numpy._core" not in content
    assert b"numpy.core.multiarray" in content


def test_items_are_written_as_they_come():
    """The file grows before the iterator has ended."""
    file = io.BytesIO()
    sizes = []

    def items():
        for _ in range(5):
            sizes.append(file.tell())
            yield {"a": np.zeros(1000)}

    write_pickle(file, {"annotations": items()})
    assert np.diff(sizes).min() > 8000
