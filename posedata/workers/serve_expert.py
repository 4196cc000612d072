"""The process of an expert that is installed beside posedata: ``python -m`` this module."""

from __future__ import annotations

from posedata.errors import UsageError
from posedata.expert import load_expert
from posedata.workers.worker_protocol import Estimator, serve


def open_estimator(expert: str, model: str, device: str) -> Estimator:
    """Load an expert's model in this process.

    Raises
    ------
    UsageError
        If the expert, or what it needs, is not here, or the model cannot be loaded.
    """
    description = load_expert(expert)
    if missing := description.missing():
        raise UsageError(f"the expert {expert} needs {', '.join(missing)}, not installed here",
                         remedy=description.install)  # fmt: skip
    assert description.open is not None, f"{expert} has an environment of its own"
    return description.open(model, device)


if __name__ == "__main__":
    serve(open_estimator)
