"""Files appear complete or not at all, and every place has one kind of address."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posedata.errors import InputError, OutputError, PosedataError
from posedata.storage import HashingFile, Location, file_name, locate

ODD_NAMES = ["with space", "a#b", "100%", "a%20b", "a[1]", "a*?", "naïve-日本", "a::b", "c:", "-o",
             "a'b\"c", "~x", "$HOME", "a&b;c"]  # fmt: skip


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    """A directory on either kind of file system."""
    if request.param == "local":
        yield locate(tmp_path)
        return
    yield locate("memory://test_storage")
    locate("memory://test_storage").remove()


def names(place: Location) -> list[str]:
    """Every file below a place."""
    return [path.removeprefix(f"{place.path}/") for path in place.fs.find(place.path)]


# Writing


def test_a_file_appears_when_it_is_complete(place):
    file = place / "sub" / "file.bin"
    with file.create() as sink:
        sink.write(b"first, ")
        assert not file.exists()
        sink.write(memoryview(b"second"))
    assert file.read_bytes(100) == b"first, second"
    assert file.size() == sink.num_bytes == sink.tell() == 13
    assert sink.size_and_sha256 == {
        "bytes": 13, "sha256": hashlib.sha256(b"first, second").hexdigest(),
    }  # fmt: skip
    assert names(place) == ["sub/file.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, InputError])
def test_an_exception_leaves_nothing(place, error):
    with pytest.raises(error):
        with (place / "file.bin").create() as sink:
            sink.write(b"half")
            raise error("stop")
    assert names(place) == []


def test_an_exception_leaves_what_was_there_before(place):
    file = place / "file.bin"
    file.write_bytes(b"before")
    with pytest.raises(ValueError, match="stop"):
        with file.create() as sink:
            sink.write(b"after")
            raise ValueError("stop")
    assert file.read_bytes(100) == b"before"
    assert names(place) == ["file.bin"]
    file.write_bytes(b"after")
    assert file.read_bytes(100) == b"after"


def test_the_rest_of_a_killed_run_does_not_matter(tmp_path):
    (tmp_path / ".file.bin.unfinished").write_bytes(b"a longer beginning")
    (locate(tmp_path) / "file.bin").write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "Free some space and run the same command with --resume."),
        (errno.EDQUOT, "Free some space and run the same command with --resume."),
        (errno.EROFS, "Choose an output directory that you may write to (-o)."),
        (errno.EACCES, "Choose an output directory that you may write to (-o)."),
        (errno.EIO, "Check the output directory and run the same command with --resume."),
    ],
)
@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_place_that_cannot_be_written(tmp_path, monkeypatch, code, remedy, where):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    target = {"write": HashingFile, "fsync": os, "replace": Path}[where]
    monkeypatch.setattr(target, where, fail)
    file = locate(tmp_path) / "file.bin"
    with pytest.raises(OutputError) as caught:
        file.write_bytes(b"content")
    assert str(caught.value) == (
        f"{tmp_path}/file.bin: cannot be written: found {os.strerror(code)}. {remedy}"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_at_a_url(monkeypatch):
    file = locate("memory://test_storage/file.bin")

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(file.fs), "put_file", fail)
    with pytest.raises(OutputError, match=r"memory:///test_storage/file\.bin: cannot be written"):
        file.write_bytes(b"content")
    assert not file.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        (locate(folder) / "file.bin").write_bytes(b"")


def test_a_directory_is_in_the_way(tmp_path):
    (tmp_path / "file.bin").mkdir()
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(OutputError, match="Is a directory"):
        (locate(tmp_path) / "file.bin").write_bytes(b"")
    with pytest.raises(
        OutputError, match=r"cannot be written: found (Not a directory|File exists)"
    ):
        (locate(tmp_path) / "other" / "file.bin").write_bytes(b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.bin", "other"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=6))
def test_content_and_sum_of_any_writes(pieces):
    file = locate("memory://test_storage/file.bin")
    with file.create() as sink:
        for piece in pieces:
            assert sink.write(piece) == len(piece)
    content = b"".join(pieces)
    assert file.read_bytes(300) == content
    assert (sink.num_bytes, sink.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    file.remove()


# Reading


def test_no_more_is_read_than_allowed(place):
    file = place / "file.bin"
    file.write_bytes(b"0123456789")
    assert file.read_bytes(10) == b"0123456789"
    with pytest.raises(InputError) as caught:
        file.read_bytes(9)
    assert (
        caught.value.reason == "the file is too large: found more than 9 bytes, expected at most 9"
    )
    assert caught.value.path == str(file)


def test_an_empty_file(place):
    (place / "file.bin").write_bytes(b"")
    assert (place / "file.bin").read_bytes(0) == b""


def test_a_device_without_end_is_not_read_to_the_end():
    with pytest.raises(InputError, match="too large"):
        locate("/dev/zero").read_bytes(1 << 16)


class SlowFile(io.RawIOBase):
    """Gives two bytes at a time, as a network may."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int = -1) -> bytes:
        given, self.content = self.content[: min(size, 2)], self.content[min(size, 2) :]
        return given


def test_short_reads_are_put_together(monkeypatch):
    file = locate("memory://test_storage/file.bin")
    monkeypatch.setattr(type(file.fs), "open", lambda *_, **__: SlowFile(b"abcde"))
    assert file.read_bytes(10) == file.read_bytes(5) == b"abcde"
    with pytest.raises(InputError, match="more than 3 bytes"):
        file.read_bytes(3)


def test_what_cannot_be_read(place, tmp_path):
    with pytest.raises(InputError, match=r"nothing\.bin: cannot be read"):
        (place / "nothing.bin").read_bytes(10)
    with pytest.raises(InputError, match="cannot be read: found Is a directory"):
        locate(tmp_path).read_bytes(10)


# Places


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for place in (locate(tmp_path / name), locate(f"./{name}"), locate(Path(name).absolute())):
        assert (place.path, str(place), place.is_local) == (f"{tmp_path}/{name}",) * 2 + (True,)
        (place / name).write_bytes(b"content")
        assert (tmp_path / name / name).read_bytes() == b"content"
        assert (place / name).read_bytes(10) == b"content"
        place.remove()
        assert list(tmp_path.iterdir()) == []


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/data").path == f"{tmp_path}/data"
    assert locate("~").path == str(tmp_path)
    assert locate(Path("~/data")).path == f"{tmp_path}/data"


def test_home_of_nobody_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("~no-such-user/data").path == f"{tmp_path}/~no-such-user/data"


def test_relative_places_stay_when_the_directory_changes(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    place = locate("../b/./c")
    monkeypatch.chdir("/")
    assert place.path == f"{tmp_path}/b/c"


def test_urls():
    memory = locate("memory://a/b c#d")
    assert (str(memory), memory.is_local) == ("memory:///a/b c#d", False)
    assert str(memory / "x") == "memory:///a/b c#d/x"
    assert not memory.is_shared_between_processes
    assert locate(memory) is memory
    local = locate("file:///tmp/a")
    assert (local.path, local.is_local, local.is_shared_between_processes) == ("/tmp/a", True, True)


@pytest.mark.parametrize("url", ["nosuchprotocol://a", "gs//://"])
def test_unknown_kinds_of_url(url):
    with pytest.raises(InputError) as caught:
        locate(url)
    assert caught.value.path == url


def test_a_url_that_needs_a_package(monkeypatch):
    def fail(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(InputError, match="found Install s3fs to access S3"):
        locate("s3://bucket/release")


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_any_text_is_a_place_or_an_input_error(text):
    try:
        assert isinstance(locate(text), Location)
    except PosedataError as error:
        assert isinstance(error, InputError)


def test_empty_places(place):
    assert (place / "nothing").is_empty()
    (place / "full" / "file").write_bytes(b"")
    assert not (place / "full").is_empty()
    assert not (place / "full" / "file").is_empty()


def test_an_empty_directory_is_empty_with_a_hidden_file_it_is_not(tmp_path):
    assert locate(tmp_path).is_empty()
    (tmp_path / ".hidden").write_bytes(b"")
    assert not locate(tmp_path).is_empty()


def test_removing(place):
    (place / "a" / "b").write_bytes(b"")
    (place / "a" / "c" / "d").write_bytes(b"")
    (place / "e").write_bytes(b"")
    (place / "a").remove()
    (place / "nothing").remove()
    assert names(place) == ["e"]
    (place / "e").remove()
    assert names(place) == []


def test_what_cannot_be_removed(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "remove", fail)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file: cannot be removed: found Permission denied"):
        (locate(tmp_path) / "file").remove()


def test_locations_are_sent_to_workers(tmp_path):
    import pickle

    for place in (locate(tmp_path), locate("memory://a")):
        assert pickle.loads(pickle.dumps(place)) == place


@pytest.mark.parametrize("text", ["", ".", "..", "../a", "a/b", "/a", "a\\b", "a\0", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(text):
    with pytest.raises(InputError, match="not the name of a file"):
        file_name(text)


@pytest.mark.parametrize("text", ["xsub", "my list", "a.b", "..a", "-x", "ü"])
def test_other_names_stay(text):
    assert file_name(text) == text
