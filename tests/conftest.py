"""Fixtures that tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets, which are not part of the repository."""
    folder = Path(os.environ.get("POSEDATA_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data here: set POSEDATA_SHARED to their folder (tried {folder})")
    return folder
