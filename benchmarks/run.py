"""All benchmarks, one table: ``python benchmarks/run.py [--json]``.

It takes a few minutes and 8 GB of temporary space (``TMPDIR`` says where), which it frees.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import ntu_convert
import ntu_read
import release_load
from measure import Row, run


def measure() -> list[Row]:
    """Run all; the release that is loaded is the one that was converted."""
    rows = ntu_read.measure()
    with tempfile.TemporaryDirectory() as folder:
        rows += ntu_convert.measure_in(Path(folder))
        rows += release_load.measure_release(Path(folder) / "release")
    return rows


if __name__ == "__main__":
    run(measure, __doc__)
