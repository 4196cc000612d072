"""`posedata.converters.ssta_npz`: the kpts array, and files that pretend to be one."""

import contextlib
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posedata.converters.ssta_npz import count_frames, parse_kpts
from posedata.errors import InputError, PosedataError
from posedata.storage import locate


def npz(save=np.savez_compressed, **arrays):
    sink = io.BytesIO()
    save(sink, **arrays)
    return sink.getvalue()


def zipped(member, name="kpts.npy", method=zipfile.ZIP_DEFLATED):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        archive.writestr(name, member)
    return sink.getvalue()


def npy(header, numbers=b""):
    header = header.encode().ljust(100) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + numbers


def poses(frames=5, dtype=np.float32):
    return np.arange(frames * 34).reshape(frames, 17, 2).astype(dtype)


def is_object_header(shape="(2, 17, 2)"):
    return f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("frames", [0, 1, 5])
def test_the_array_is_read_as_it_is(save, frames):
    read = parse_kpts(npz(save, kpts=poses(frames)), "a.npz")
    assert read.dtype == np.float32 and np.array_equal(read, poses(frames))


def test_frames_are_counted_from_the_header(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(kpts=poses(5), other=poses(3)))
    assert count_frames(locate(tmp_path / "a.npz"), "a.npz") == 5
    (tmp_path / "a.npz").write_bytes(npz(kpts=np.zeros((5, 13, 2))))
    with pytest.raises(InputError, match="another shape"):
        count_frames(locate(tmp_path / "a.npz"), "a.npz")


def test_other_number_types_and_orders_give_the_same():
    assert parse_kpts(npz(kpts=poses(dtype=np.float64)), "a").dtype == np.float64
    for array in (poses(dtype="<f2"), poses(dtype=">f4"), poses(dtype=np.int64),
                  np.asfortranarray(poses())):  # fmt: skip
        assert np.array_equal(parse_kpts(npz(kpts=array), "a"), poses())


def test_arrays_beside_it_do_not_matter():
    text = npz(kpts=poses(), other=np.array([None], object))
    assert np.array_equal(parse_kpts(text, "a"), poses())


@pytest.mark.real
def test_the_files_of_the_demo(shared):
    folder = shared / "data/smarthome/ssta_demo"
    for expert, frames in (("Alphapose2d", 1380), ("LCRNet2d", 1379), ("OP2d", 1380)):
        file = folder / f"WatchTV_p02_r03_v05_c05_{expert}.npz"
        read = parse_kpts(file.read_bytes(), file.name)
        assert read.shape == (frames, 17, 2) and read.dtype == np.float32
        assert count_frames(locate(file), file.name) == frames
        with np.load(file) as numpy_says:
            assert np.array_equal(read, numpy_says["kpts"])


WRONG = {
    "empty": (b"", "a damaged file of arrays"),
    "text": (b"kpts", "a damaged file of arrays"),
    "bare npy": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 17, 2)}"),
                 "a damaged file of arrays"),
    "pickle": (pickle.dumps(poses()), "a damaged file of arrays"),
    "truncated": (npz(kpts=poses(50))[:-40], "a damaged file of arrays"),
    "another name": (npz(keypoints=poses()), "no array kpts: found ['keypoints']"),
    "objects": (npz(kpts=np.array([{"a": 1}], object)), "kpts has another shape"),
    "objects of the shape": (zipped(npy(is_object_header())), "an array of objects"),
    "13 joints": (npz(kpts=np.zeros((5, 13, 2), np.float32)),
                  "kpts has another shape: found (5, 13, 2), expected (frames, 17, 2)"),
    "flat": (npz(kpts=np.zeros(34, np.float32)), "kpts has another shape"),
    "4 axes": (npz(kpts=np.zeros((1, 5, 17, 2), np.float32)), "kpts has another shape"),
    "scores": (npz(kpts=np.zeros((5, 17, 3), np.float32)), "kpts has another shape"),
    "texts": (npz(kpts=np.full((5, 17, 2), "1")), "kpts is not of numbers: found <U1"),
    "complex": (npz(kpts=poses(dtype=np.complex64)), "kpts is not of numbers"),
    "fields": (npz(kpts=np.zeros((5, 17, 2), [("x", "f4")])), "an array of something else"),
    "not npy": (zipped(b"1 2 3"), "no .npy file"),
    "no header": (zipped(b"\x93NUMPY\x01\x00\xff\xff{"), "a damaged header"),
    "code in the header": (zipped(npy("__import__('os').system('true')")), "a damaged header"),
    "endless header": (zipped(npy("(" * 5000)), "a damaged header"),
    "version 9": (zipped(b"\x93NUMPY\x09\x00" + b" " * 200), "an unknown version"),
    "10^12 frames": (zipped(npy("{'descr': '<f4', 'fortran_order': False, "
                                "'shape': (1000000000000, 17, 2)}")), "the size is not what"),
    "more than there is": (zipped(npy("{'descr': '<f4', 'fortran_order': False, "
                                      "'shape': (1000000, 17, 2)}")), "the size is not what"),
    "less than there is": (zipped(npy("{'descr': '<f4', 'fortran_order': False, "
                                      "'shape': (1, 17, 2)}", bytes(100_000))),
                           "the size is not what"),
    "negative": (zipped(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 17, 2)}")),
                 "a damaged header"),
    "lzma": (zipped(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 17, 2)}"),
                    method=zipfile.ZIP_LZMA), "a kind of compression"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name):
    content, reason = WRONG[name]
    with pytest.raises(InputError) as error:
        parse_kpts(content, "a.npz")
    assert error.value.path == "a.npz" and error.value.reason.startswith(reason)


def test_a_pickle_in_it_is_not_run(tmp_path):
    class Touch:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    for content in (
        zipped(npy(is_object_header("()"), pickle.dumps(Touch()))),
        zipped(pickle.dumps(Touch())),
    ):
        with pytest.raises(InputError):
            parse_kpts(content, "a.npz")
    assert not (tmp_path / "owned").exists()


@given(st.binary(max_size=80) | st.binary(max_size=80).map(zipped))
def test_any_bytes_give_a_result_or_an_error_of_ours(content):
    with contextlib.suppress(PosedataError):
        parse_kpts(content, "a.npz")


@pytest.mark.filterwarnings("ignore")  # numpy warns of headers that Python 2 has written
@given(st.data())
def test_a_damaged_file_gives_a_result_or_an_error_of_ours(data):
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    content = bytearray(npz(save, kpts=poses(2)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for damaged in (bytes(content), bytes(content[: data.draw(st.integers(0, len(content)))])):
        with contextlib.suppress(PosedataError):
            assert parse_kpts(damaged, "a.npz").shape[1:] == (17, 2)


@pytest.mark.filterwarnings("ignore")
@given(st.text("{}'()<>f48,: dtypeshaporn_FalseTrue|O-1234567890\\\"[]", max_size=80))
def test_any_header_gives_a_result_or_an_error_of_ours(header):
    with contextlib.suppress(PosedataError):
        parse_kpts(zipped(npy(header)), "a.npz")
