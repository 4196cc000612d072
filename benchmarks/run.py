"""All benchmarks, one table: ``python benchmarks/run.py [--json]``.

It takes a few minutes and 8 GB of temporary space (``TMPDIR`` says where), which it frees.
Rows about real data need that (``POSEDATA_SHARED`` or ``../shared``).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import convert_data_sets
import estimate
import fusion_speed
import json_read
import ntu_convert
import ntu_read
import penn_nucla
import release_load
from measure import Row, run


def measure() -> list[Row]:
    """Run all; the release that is loaded is the one that was converted."""
    rows = ntu_read.measure()
    with tempfile.TemporaryDirectory() as folder:
        rows += ntu_convert.measure_in(Path(folder))
        rows += release_load.measure_release(Path(folder) / "release")
    rows += estimate.measure()
    rows += fusion_speed.measure()
    if real_data_is_here():
        rows += [*penn_nucla.measure(), *json_read.measure(), *convert_data_sets.measure()]
    return rows


def real_data_is_here() -> bool:
    """Whether the real data sets are there; without them those rows are left out."""
    shared = os.environ.get("POSEDATA_SHARED", Path(__file__).parents[2] / "shared")
    return (Path(shared) / "data").is_dir()


if __name__ == "__main__":
    run(measure, __doc__)
