"""Where bytes live: local paths and fsspec URLs (``s3://``, ``hf://``, ``memory://``) alike."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from posedata.errors import InputError, OutputError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Location:
    """A file or directory on some file system.

    Attributes
    ----------
    fs : fsspec.AbstractFileSystem
        Which file system.
    path : str
        The path there, without the protocol.
    """

    fs: AbstractFileSystem
    path: str

    def __truediv__(self, name: str) -> Location:
        return Location(self.fs, f"{self.path.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.path if self.is_local else self.fs.unstrip_protocol(self.path)

    @property
    def is_local(self) -> bool:
        """Whether this is a path of this machine."""
        return "file" in _protocols(self.fs)

    @property
    def is_shared_between_processes(self) -> bool:
        """Whether another process sees the same files."""
        return "memory" not in _protocols(self.fs)

    def exists(self) -> bool:
        """Whether there is a file or a directory."""
        return self.fs.exists(self.path)

    def is_empty(self) -> bool:
        """Whether there is nothing: no such place, or a directory without entries."""
        return not self.exists() or (self.fs.isdir(self.path) and not self.fs.ls(self.path, False))

    def size(self) -> int:
        """Bytes of the file."""
        return int(self.fs.size(self.path))

    def open(self) -> IO[bytes]:
        """Open for reading.

        Local files are Arrow's own: its threads may hold a file a moment longer than we do, and
        one of Python's would then end the interpreter's exit with an abort.
        """
        if self.is_local:
            import pyarrow as pa

            return pa.OSFile(self.path)
        return self.fs.open(self.path, "rb")

    def read_bytes(self, at_most: int) -> bytes:
        """Read a whole file.

        Raises
        ------
        InputError
            If it cannot be read, or is larger than ``at_most`` bytes.
        """
        try:
            with open(self.path, "rb", buffering=0) if self.is_local else self.open() as file:  # noqa: PTH123
                content = _read_all(file, at_most + 1)
        except OSError as error:
            raise InputError("cannot be read", path=self, found=_why(error)) from error
        if len(content) > at_most:
            raise InputError(
                "the file is too large", path=self, found=f"more than {at_most} bytes",
                expected=f"at most {at_most}",
            )  # fmt: skip
        return content

    def write_bytes(self, content: bytes) -> None:
        """Write a whole file atomically: it is there complete, or not at all."""
        with self.create() as file:
            file.write(content)

    @contextlib.contextmanager
    def create(self) -> Iterator[HashingFile]:
        """Write a file that appears under its name only when it is complete and on the disk.

        Raises
        ------
        OutputError
            If the place is full, read-only, or not to be written.
        """
        try:
            if self.is_local:
                with self._create_local() as file:
                    yield file
            else:
                with self._upload() as file:
                    yield file
        except OSError as error:
            raise OutputError(
                "cannot be written", path=self, found=_why(error), remedy=_write_remedy(error)
            ) from error

    @contextlib.contextmanager
    def _create_local(self) -> Iterator[HashingFile]:
        final = Path(self.path)
        final.parent.mkdir(parents=True, exist_ok=True)
        beside = final.with_name(f".{final.name}.unfinished")
        try:
            with beside.open("wb") as sink:
                yield HashingFile(sink)
                sink.flush()
                os.fsync(sink.fileno())
            beside.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        directory = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextlib.contextmanager
    def _upload(self) -> Iterator[HashingFile]:
        """Send a file in one go: fsspec's files upload what they have even if writing failed."""
        with tempfile.NamedTemporaryFile() as sink:
            yield HashingFile(sink)
            sink.flush()
            self.fs.put_file(sink.name, self.path)

    def remove(self) -> None:
        """Remove the file, or the directory and all in it, if it is there."""
        try:
            if not self.exists():
                return
            if not self.fs.isdir(self.path):
                self.fs.rm_file(self.path)
            elif self.is_local:
                shutil.rmtree(self.path)
            else:  # by exact names: fsspec's rm takes [ ] * ? for patterns
                for path in sorted(self.fs.find(self.path, withdirs=True), reverse=True):
                    (self.fs.rmdir if self.fs.isdir(path) else self.fs.rm_file)(path)
                if self.exists():  # an object store has no empty directories
                    self.fs.rmdir(self.path)
        except OSError as error:
            raise OutputError("cannot be removed", path=self, found=_why(error)) from error


class HashingFile:
    """A binary sink that counts and hashes what is written to it."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.num_bytes = 0
        self.closed = False

    def write(self, content: Any) -> int:
        """Write bytes."""
        self._hash.update(content)
        self.num_bytes += len(content)
        self._sink.write(content)
        return len(content)

    def tell(self) -> int:
        """Give the number of bytes so far."""
        return self.num_bytes

    def flush(self) -> None:
        """Do nothing: the sink is flushed once, at the end."""

    def close(self) -> None:
        """Do nothing: whoever created the sink closes it."""

    @property
    def sha256(self) -> str:
        """Hex digest of all that was written."""
        return self._hash.hexdigest()

    @property
    def size_and_sha256(self) -> dict[str, Any]:
        """The two as a manifest wants them."""
        return {"bytes": self.num_bytes, "sha256": self.sha256}


def file_name(text: str) -> str:
    """Give a text of untrusted origin, such as the name of a split, as the name of one file.

    Raises
    ------
    InputError
        If it is no such name: empty, ``.`` or ``..``, or with a separator or control character,
        so that it could lead out of its folder.
    """
    if text in ("", ".", "..") or not text.isprintable() or "/" in text or "\\" in text:
        raise InputError("not the name of a file", found=repr(text),
                         expected="letters, digits, blanks, _ . -")  # fmt: skip
    return text


def locate(place: str | os.PathLike[str] | Location) -> Location:
    """Find the file system of a path or URL.

    Parameters
    ----------
    place : str or path
        A local path, or a URL that fsspec knows.

    Returns
    -------
    Location

    Raises
    ------
    InputError
        If the URL's protocol is unknown, or needs a package that is not installed.
    """
    if isinstance(place, Location):
        return place
    import fsspec

    text = os.fspath(place)
    try:
        if "://" not in text:  # a colon, '::' or '#' is part of a local name
            local = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111
            return Location(fsspec.filesystem("file"), local)
        fs, path = fsspec.core.url_to_fs(text)
    except (ImportError, ValueError) as error:
        raise InputError("this kind of URL cannot be opened", path=text, found=error) from error
    return Location(fs, path)


def _protocols(fs: AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _read_all(file: Any, at_most: int) -> bytes:
    """Read to the end, or to ``at_most`` bytes; one call is enough for a plain file."""
    content = file.read(_first_read(file, at_most))
    while content and (rest := min(at_most - len(content), _CHUNK)) and (more := file.read(rest)):
        content += more
    return content


def _first_read(file: Any, at_most: int) -> int:
    """Bytes to ask for: one more than a local file has; a far larger buffer costs time."""
    try:
        return min(at_most, os.fstat(file.fileno()).st_size + 1)
    except OSError:  # not a file of this machine
        return at_most


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _write_remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space and run the same command with --resume."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "Choose an output directory that you may write to (-o)."
    return "Check the output directory and run the same command with --resume."
