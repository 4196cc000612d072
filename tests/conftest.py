"""Fixtures that tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# In CI the same examples each time, so that a failure is one of the change; elsewhere new ones.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets, which are not part of the repository."""
    folder = Path(os.environ.get("POSEDATA_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data here: set POSEDATA_SHARED to their folder (tried {folder})")
    return folder


@pytest.fixture(autouse=True)
def _interrupts_stay_possible():
    """A command that was interrupted ignores further interrupts; its tests run in this process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
