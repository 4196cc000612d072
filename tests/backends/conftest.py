"""The environments of mmpose and openpifpaf, made as a user makes them, and pictures for them.

Run these tests with ``make test-backends``. Environments that are complete are used again: see
POSEDATA_ENVIRONMENTS.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from posedata.experts.environments import environment_python, install_environment

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.backends)


def python_of(name: str) -> Path:
    said = sys.stderr
    return environment_python(name) or install_environment(name, lambda t: said.write(f"{t}\n"))


@pytest.fixture(scope="session")
def mmpose_python() -> Path:
    return python_of("mmpose")


@pytest.fixture(scope="session")
def openpifpaf_python() -> Path:
    return python_of("openpifpaf")


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """Four of blocks of colour, of no round size."""
    blocks = np.random.default_rng(0).integers(0, 255, (4, 10, 14, 3), dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(30, 1).repeat(30, 2)[:, :290, :401])


@pytest.fixture(scope="session")
def boxes() -> list[np.ndarray]:
    """Several people, nobody, some partly outside, and one who is the whole picture."""
    return [np.array(rows, np.float32).reshape(-1, 4) for rows in (
        [[10, 20, 150, 250], [100, 30, 300, 280]],
        [],
        [[200.5, 10.25, 390, 200], [-20, -10, 120, 310], [300, 200, 330, 260]],
        [[0, 0, 401, 290]],
    )]  # fmt: skip


@pytest.fixture(scope="session")
def real_pictures(shared) -> np.ndarray:
    """Four frames of a real video of two people."""
    import av

    with av.open(str(shared / "data/videos/pose2sim_single_cam01.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24")
                  for frame, _ in zip(video.decode(video=0), range(40), strict=False)]  # fmt: skip
    return np.stack(frames[::10])
