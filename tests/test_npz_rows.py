"""Rows of compressed arrays, in order and out of it."""

from __future__ import annotations

import numpy as np
import pytest

from posedata.converters import npz_rows
from posedata.converters.npz_rows import NpzRows
from posedata.errors import InputError
from posedata.npy import NpzFile
from posedata.storage import locate

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """The file, and the beginnings of reading that it takes."""
    monkeypatch.setattr(npz_rows, "_HELD", 0)
    monkeypatch.setattr(npz_rows, "_CHUNK", 8 * 3 * 4)  # four rows
    begun = []
    rows = NpzFile.rows

    def counted(self, name, at_once):
        begun.append((name, at_once))
        return rows(self, name, at_once)

    monkeypatch.setattr(NpzFile, "rows", counted)
    np.savez_compressed(tmp_path / "a.npz", x=ROWS, y=ROWS + 100)
    return NpzRows(locate(tmp_path / "a.npz"), "a.npz"), begun


def test_rows_in_order_are_read_once(opened):
    rows, begun = opened
    for row in (0, 1, 1, 5, 6, 19):
        assert rows.row("x", row).tolist() == ROWS[row].tolist()
        assert rows.row("y", row).tolist() == (ROWS[row] + 100).tolist()
    assert begun == [("x", 4), ("y", 4)]


def test_a_row_before_the_last_chunk_begins_again(opened):
    rows, begun = opened
    for row in (9, 8, 3, 0, 19):
        assert rows.row("x", row).tolist() == ROWS[row].tolist()
    assert len(begun) == 2


@pytest.mark.parametrize("row", [-1, 20])
def test_a_row_that_is_not_there(opened, row):
    with pytest.raises(InputError, match=r"no such row: found -?[0-9]+, expected 0 to 19"):
        opened[0].row("x", row)


def test_what_is_not_compressed_is_mapped_or_held(tmp_path):
    np.savez(tmp_path / "a.npz", x=ROWS, large=np.zeros((1 << 21, 9), np.float32))
    rows = NpzRows(locate(tmp_path / "a.npz"), "a.npz")
    assert rows.row("x", 3).tolist() == ROWS[3].tolist()
    assert isinstance(rows.row("large", 5).base, np.memmap)
    assert rows.names == ["x", "large"] and rows.array("x").shape == (20, 3)
