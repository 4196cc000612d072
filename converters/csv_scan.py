"""Where the rows of each clip are in a CSV table, without reading its numbers."""

from __future__ import annotations

import csv
from typing import IO, NamedTuple

import numpy as np

from posedata.compiled import kernel
from posedata.errors import InputError
from posedata.storage import Location

_CHUNK = 1 << 24
_LONGEST_RECORD = 1 << 20
_QUOTE, _COMMA, _NEWLINE = ord('"'), ord(","), ord("\n")


class Run(NamedTuple):
    """Rows that begin with the same text, one after the other.

    Attributes
    ----------
    key : str
        The text.
    start, end : int
        Bytes of the file.
    """

    key: str
    start: int
    end: int


class Scan(NamedTuple):
    """What `scan_table` finds.

    Attributes
    ----------
    headers : tuple of str
        Names of the columns.
    runs : list of Run
        In the order of the file.
    """

    headers: tuple[str, ...]
    runs: list[Run]


def scan_table(place: Location, path: str) -> Scan:
    """Find the names of the columns, and the runs of rows with the same first cell.

    Parameters
    ----------
    place : Location
        The file; it is read once, a piece at a time.
    path : str
        Its name, for error messages.

    Raises
    ------
    InputError
        If it cannot be read, is no UTF-8, or a quoted cell does not end.
    """
    runs: list[Run] = []
    try:
        with place.open() as file:
            headers, start = _read_headers(file, path)
            file.seek(start)
            rest = b""
            while True:
                more = file.read(_CHUNK)
                text = rest + more if more or not rest else rest + b"\n"
                if not text:
                    return Scan(headers, runs)
                starts, ends, done = runs_of_rows(np.frombuffer(text, np.uint8))
                bounds = [*starts, done]
                for number, (first, end) in enumerate(zip(starts, ends, strict=True)):
                    key = _cell(text[first:end], path, start + first)
                    begin, stop = start + first, start + bounds[number + 1]
                    if runs and runs[-1].key == key:
                        begin = runs.pop().start
                    runs.append(Run(key, begin, stop))
                rest = text[done:]
                start += done
                if len(rest) > _LONGEST_RECORD or (rest and not more):
                    raise InputError("a quoted cell without an end", path=path,
                                     position=f"byte {start}")  # fmt: skip
    except OSError as error:
        raise InputError("cannot be read", path=path, found=error) from error


def _read_headers(file: IO[bytes], path: str) -> tuple[tuple[str, ...], int]:
    """Give the names of the columns, and the byte at which the rows begin."""
    text = bytes(file.read(_LONGEST_RECORD))
    if not text:
        raise InputError("the file is empty", path=path)
    line, newline, _ = text.partition(b"\n")
    if not newline and len(text) == _LONGEST_RECORD:
        raise InputError("no line with the names of columns", path=path, position="line 1")
    try:
        (headers,) = csv.reader([line.decode("utf-8-sig").rstrip("\r")], strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError("no names of columns", path=path, position="line 1",
                         found=error) from None  # fmt: skip
    if len(set(headers)) < len(headers):
        raise InputError("two columns of one name", path=path, position="line 1",
                         found=", ".join(sorted({h for h in headers if headers.count(h) > 1})),
                         )  # fmt: skip
    return tuple(headers), len(line) + len(newline)


def _cell(text: bytes, path: str, position: int) -> str:
    text = text.removesuffix(b"\r")
    if len(text) > 1 and text.startswith(b'"') and text.endswith(b'"'):
        text = text[1:-1].replace(b'""', b'"')
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", path=path, position=f"byte {position}") from None


@kernel
def runs_of_rows(text):
    """Find the runs of rows with the same first cell.

    Parameters
    ----------
    text : uint8, shape (n,)
        Begins with a row; may end within one.

    Returns
    -------
    starts, ends : list of int
        Where the first row of each run begins, and where the first cell of that row ends.
    done : int
        Where the last complete row ends.
    """
    starts = [np.int64(0) for _ in range(0)]
    ends = [np.int64(0) for _ in range(0)]
    done = 0
    size = len(text)
    before = np.int64(-1)
    before_end = np.int64(-1)
    while done < size:
        cell_end = -1
        is_quoted = False
        at = done
        while at < size:
            character = text[at]
            if character == _QUOTE:
                is_quoted = not is_quoted
            elif not is_quoted:
                if character == _NEWLINE:
                    break
                if character == _COMMA and cell_end < 0:
                    cell_end = at
            at += 1
        if at == size:
            break
        if cell_end < 0:
            cell_end = at
        is_same = before >= 0 and cell_end - done == before_end - before
        if is_same:
            for i in range(cell_end - done):
                if text[done + i] != text[before + i]:
                    is_same = False
                    break
        if not is_same:
            starts.append(np.int64(done))
            ends.append(np.int64(cell_end))
        before = np.int64(done)
        before_end = np.int64(cell_end)
        done = at + 1
    return starts, ends, done
