"""`posedata.npy`: arrays out of ``.npy`` and ``.npz`` files, checked before memory is taken."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata import npy as npy_module
from posedata.errors import InputError
from posedata.npy import open_npy, read_npy, read_npz
from posedata.storage import locate

ARRAYS = [
    np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(3),
    np.arange(3, dtype=">f4"), np.array(["a", "bc"]), np.array([b"a"]), np.zeros((0, 4)),
    np.array([True, False]), np.array([1j]), np.arange(24, dtype=np.float16).reshape(2, 3, 4),
]  # fmt: skip
OBJECTS = np.array([{"a": np.ones(2)}, None], object)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def headed(header, values=b"", version=(1, 0)):
    """A .npy file with a header of one's own."""
    text = header.encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + values


def assert_same(found, expected):
    assert found.dtype == expected.dtype.newbyteorder("=")
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_arrays_come_back_in_this_machines_byte_order(tmp_path, array):
    assert_same(read_npy(npy(array), "a.npy"), array)
    (tmp_path / "a.npy").write_bytes(npy(array))
    opened = open_npy(locate(tmp_path / "a.npy"), "a.npy")
    assert opened.shape == array.shape and np.array_equal(opened, array)
    for compressed in (False, True):
        found = read_npz(npz(compressed, x=array, y=np.arange(3)), "a.npz")
        assert list(found) == ["x", "y"] and len(found) == 2 and "x" in found and "z" not in found
        assert_same(found["x"], array)
        assert found.shape("x") == array.shape


def test_opening_a_file_reads_no_values(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(10_000_000))
    tracemalloc.start()
    array = open_npy(locate(tmp_path / "a.npy"), "a.npy")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert isinstance(array, np.memmap) and not array.flags.writeable and array[-1] == 0


def test_a_file_elsewhere_is_read():
    with fsspec.open("memory://npy/a.npy", "wb") as file:
        file.write(npy(np.arange(3)))
    assert open_npy(locate("memory://npy/a.npy"), "a").tolist() == [0, 1, 2]
    with fsspec.open("memory://npy/a.npz", "wb") as file:
        file.write(npz(x=np.arange(3)))
    assert read_npz(locate("memory://npy/a.npz"), "a")["x"].tolist() == [0, 1, 2]


def test_large_stored_arrays_are_mapped_from_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_module, "_MAPPED_FROM", 1000)
    values = np.arange(5000).reshape(100, 50)
    (tmp_path / "a.npz").write_bytes(npz(x=np.asfortranarray(values), y=values, z=np.arange(3)))
    found = read_npz(locate(tmp_path / "a.npz"), "a", largest=2000)
    for name in "xy":
        assert isinstance(found[name], np.memmap) and np.array_equal(found[name], values)
    assert not isinstance(found["z"], np.memmap)
    cut = npz(y=values)
    directory = cut.rindex(b"PK\x01\x02")
    (tmp_path / "cut.npz").write_bytes(cut[:directory][:-20000] + cut[directory:])
    with pytest.raises(InputError):
        _ = read_npz(locate(tmp_path / "cut.npz"), "cut.npz")["y"]


@pytest.mark.parametrize("compressed", [False, True])
def test_rows_come_in_parts_that_make_the_whole(compressed):
    values = np.arange(7 * 6000, dtype=">i4").reshape(7, 3, 2000)
    found = read_npz(npz(compressed, x=values, y=np.array(1), o=OBJECTS), "a.npz", objects=True)
    parts = list(found.rows("x", 3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert_same(np.concatenate(parts), values)
    for name in "yo":
        with pytest.raises(InputError, match="without rows"):
            list(found.rows(name, 3))
    limited = read_npz(npz(compressed, x=values), "a.npz", largest=1000)
    with pytest.raises(InputError, match="too large"):
        list(limited.rows("x", 3))


def test_objects_are_refused_or_read_without_running_anything(tmp_path):
    text = npy(OBJECTS, allow_pickle=True)
    with pytest.raises(InputError, match="a pickle"):
        read_npy(text, "a.npy")
    (tmp_path / "a.npy").write_bytes(text)
    with pytest.raises(InputError, match="a pickle"):
        open_npy(locate(tmp_path / "a.npy"), "a.npy")
    archive = npz(x=OBJECTS)
    with pytest.raises(InputError, match="array 'x': an array of objects"):
        _ = read_npz(archive, "a.npz")["x"]
    for found in (read_npy(text, "a", objects=True), read_npz(archive, "a", objects=True)["x"]):
        assert found[0]["a"].tolist() == [1, 1] and found[1] is None

    class Runs:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    bad = np.array([Runs()], object)
    with pytest.raises(InputError, match=r"posix.system, which is not data"):
        read_npy(npy(bad, allow_pickle=True), "a", objects=True)
    with pytest.raises(InputError, match=r"array 'x', byte \d+: the pickle asks for posix.system"):
        _ = read_npz(npz(x=bad), "a.npz", objects=True)["x"]
    assert not (tmp_path / "ran").exists()


def test_the_pickle_must_be_the_array_of_the_header():
    header = npy(OBJECTS, allow_pickle=True)
    begin = header.index(b"\n") + 1
    for value, message in ((np.ones(2), "no array of objects"), ([1], "no array of objects"),
                           (np.array([1, 2, 3], object), "not the shape")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read_npy(header[:begin] + pickle.dumps(value), "a", objects=True)


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "no .npy file"), (b"\x93NUMPY", "damaged header"), (b"PK\x03\x04", "no .npy file"),
     (headed(GOOD, b"\0" * 15), "truncated"), (headed(GOOD, b"\0" * 17), "several arrays"),
     (headed(GOOD.replace("2,", "10**12,")), "damaged header"),
     (headed(GOOD.replace("2,", "1000000000000,")), "8000000000"),
     (headed(GOOD.replace("2,", "-2,")), "damaged header"),
     (headed(GOOD.replace("2,", "True,"), b"\0" * 8), "damaged header"),
     (headed(GOOD.replace("(2,)", "2"), b"\0" * 16), "damaged header"),
     (headed(GOOD.replace("<f8", "<M8[s]"), b"\0" * 16), "something else than numbers"),
     (headed(GOOD.replace("<f8", "|V8"), b"\0" * 16), "something else than numbers"),
     (headed(GOOD.replace("'<f8'", "[('a', '<f8')]"), b"\0" * 16), "something else than numbers"),
     (headed(GOOD.replace("'<f8'", "('<f4', (2,))"), b"\0" * 16), "something else than numbers"),
     (headed(GOOD.replace("<f8", "|S0").replace("2,", "9999999999,")), "size is not"),
     (headed(GOOD.replace("'descr'", "__import__('os')")), "damaged header"),
     (headed("(" * 9000), "damaged header"), (headed(GOOD + " " * 20000, b"\0" * 16), "header"),
     (headed(GOOD, b"\0" * 16, (3, 0)), "records"), (headed(GOOD, b"\0" * 16, (9, 0)), "version"),
     (headed("{'descr': '<f8'}"), "damaged header"), (headed("nothing"), "damaged header")],
)  # fmt: skip
def test_bad_files_are_refused_with_a_reason(tmp_path, text, message):
    (tmp_path / "a.npy").write_bytes(text)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", text)
    for read in (
        lambda: read_npy(text, "a.npy"),
        lambda: open_npy(locate(tmp_path / "a.npy"), "a.npy"),
        lambda: read_npz(archive.getvalue(), "a.npy")["x"],
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert message in str(caught.value), caught.value
        assert str(caught.value).startswith("a.npy")


def test_the_headers_of_the_test_above_are_right_where_nothing_is_changed():
    for version in ((1, 0), (2, 0)):
        assert read_npy(headed(GOOD, b"\0" * 16, version), "a").tolist() == [0, 0]
    python_2 = headed(GOOD.replace("(2,)", "(2L,)"), b"\0" * 16)
    assert read_npy(python_2, "a").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "not a zip"), (b"\x93NUMPY", "not a zip"), (npz(x=np.arange(9))[:-30], "not a zip")],
)
def test_what_is_no_archive_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        read_npz(text, "a.npz")


def archive_of(*members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return file.getvalue()


def test_archives_with_other_contents_are_refused():
    with pytest.raises(InputError, match="without arrays"):
        read_npz(archive_of(("readme.txt", b"hello")), "a.npz")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = archive_of(("x.npy", npy(np.arange(2))), ("x.npy", npy(np.arange(3))))
    with pytest.raises(InputError, match="two arrays of one name"):
        read_npz(twice, "a.npz")
    with pytest.raises(InputError, match="no array 'y': expected one of x"):
        _ = read_npz(npz(x=np.arange(2)), "a.npz")["y"]
    with pytest.raises(InputError, match="compression"):
        packed = archive_of(("x.npy", npy(np.arange(9))), compression=zipfile.ZIP_LZMA)
        _ = read_npz(packed, "a.npz")["x"]


def test_a_small_archive_cannot_fill_the_memory():
    text = archive_of(("x.npy", npy(np.zeros(4_000_000))))
    assert len(text) < 100_000
    with pytest.raises(InputError, match="too large"):
        _ = read_npz(text, "a.npz", largest=1_000_000)["x"]
    assert len(read_npz(text, "a.npz")["x"]) == 4_000_000


def test_a_directory_that_lies_about_a_size_is_refused():
    """Header and directory agree on 8 TB; the bytes are not there."""
    lying = headed(GOOD.replace("2,", "1000000000000,"), b"\0" * 16)
    text = bytearray(archive_of(("x.npy", lying), compression=zipfile.ZIP_STORED))
    directory = text.rindex(b"PK\x01\x02")
    for size in (8_000_000_000, 4_000_000_000):
        claimed = min(size, 0xFFFFFFFE)
        text[directory + 20 : directory + 28] = struct.pack("<II", claimed, claimed)
        tracemalloc.start()
        with pytest.raises(InputError):
            _ = read_npz(bytes(text), "a.npz")["x"]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


def test_damaged_values_are_noticed():
    text = bytearray(npz(x=np.arange(1000)))
    text[2000] ^= 1
    with pytest.raises(InputError, match="CRC"):
        _ = read_npz(bytes(text), "a.npz")["x"]


def rows_of(found, name):
    return list(found.rows(name, 2))


def attempt(text):
    for objects in (False, True):
        try:
            read_npy(text, "fuzz", objects=objects)
        except InputError as error:
            assert str(error)
        try:
            found = read_npz(text, "fuzz", objects=objects)
        except InputError as error:
            assert str(error)
            continue
        for name in found:
            for read in (type(found).__getitem__, type(found).shape, rows_of):
                try:
                    read(found, name)
                except InputError as error:
                    assert str(error)


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_result_or_an_input_error(text):
    attempt(text)
    attempt(b"\x93NUMPY\x01\x00" + text)


@settings(max_examples=300)
@given(st.data())
def test_damaged_files_give_a_result_or_an_input_error(data):
    made = [npy(ARRAYS[0]), npy(OBJECTS, allow_pickle=True), npz(x=ARRAYS[1], o=OBJECTS),
            npz(True, x=ARRAYS[3], o=OBJECTS)]  # fmt: skip
    text = bytearray(data.draw(st.sampled_from(made)))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    attempt(bytes(text[: data.draw(st.integers(0, len(text)))]))
    attempt(bytes(text))


@pytest.mark.real
def test_real_files_come_back_as_numpy_gives_them(shared):
    data = shared / "data"
    place = data / "stgcn/example_NTU-RGB-D_sketeton.npy"
    assert_same(open_npy(locate(place), "a"), np.load(place))
    archives = [*data.glob("smarthome/ssta_demo/*.npz"), *data.glob("h36m/*.npz")]
    assert len(archives) == 5
    for place in archives:
        expected = np.load(place, allow_pickle=False)
        found = read_npz(locate(place), place.name)
        assert list(found) == expected.files
        for name in found:
            assert_same(found[name], expected[name])
