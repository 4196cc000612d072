"""The experts: what ``--expert NAME[:MODEL]`` may name, and what each needs to run here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from posedata.errors import UsageError
from posedata.registry import load_registered, registered_names
from posedata.workers.worker_protocol import Estimator, PeopleInFrame, nobody

__all__ = ["Estimator", "Expert", "ExpertSpec", "PeopleInFrame", "list_experts", "load_expert",
           "nobody", "parse_spec"]  # fmt: skip

ENTRY_POINTS = "posedata.estimators"
_SPEC = re.compile(r"(?:(?P<layer>[A-Za-z0-9_][A-Za-z0-9_.-]*)=)?(?P<expert>[A-Za-z0-9_]+)"
                   r"(?::(?P<model>.+))?", re.DOTALL)  # fmt: skip


@dataclass(frozen=True)
class Expert:
    """A library that runs pose models or detectors, registered under a name.

    Attributes
    ----------
    name : str
        The name on the command line.
    about : str
        What it runs, in a line.
    model : str
        What follows the name: ``"PATH"``, ``"CONFIG[,CHECKPOINT]"``; empty where nothing may.
    open : callable, optional
        ``(model: str, device: str) -> Estimator``. Loads the library and the model; raises
        UsageError or InputError where that cannot be. None where it runs in an environment of
        its own.
    modules : tuple of str
        What must be importable here.
    install : str
        The command that makes it usable.
    cpu_only : bool
        Whether it runs on the CPU whatever ``--device`` says; provenance tells.
    environment : str
        Name of its own environment (``posedata experts install NAME``) and of the script
        ``posedata/workers/serve_NAME.py`` that runs there; empty where it has none.
    """

    name: str
    about: str
    model: str
    open: Callable[[str, str], Estimator] | None
    modules: tuple[str, ...]
    install: str
    cpu_only: bool = False
    environment: str = ""

    def missing(self) -> list[str]:
        """Which of its modules are not installed here."""
        return [module for module in self.modules if find_spec(module) is None]


@dataclass(frozen=True)
class ExpertSpec:
    """What ``--expert [LAYER=]NAME[:MODEL]`` asks for.

    Attributes
    ----------
    expert, model : str
        The expert's name, and what it is to run; empty if nothing was said.
    layer : str
        The layer to be; empty if nothing was said.
    """

    expert: str
    model: str = ""
    layer: str = ""

    def __str__(self) -> str:
        return f"{self.expert}:{self.model}" if self.model else self.expert


def parse_spec(text: str) -> ExpertSpec:
    """Take ``[LAYER=]NAME[:MODEL]`` apart.

    Raises
    ------
    UsageError
        If it is not of that form.

    Examples
    --------
    >>> parse_spec("movenet=litert:models/movenet.tflite")
    ExpertSpec(expert='litert', model='models/movenet.tflite', layer='movenet')
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError("--expert", found=repr(text), expected="[LAYER=]NAME[:MODEL]",
                         remedy=f"The experts are: {', '.join(list_experts())}")  # fmt: skip
    return ExpertSpec(match["expert"], match["model"] or "", match["layer"] or "")


def list_experts() -> list[str]:
    """Names of all experts, those of other packages included."""
    return registered_names(ENTRY_POINTS)


def load_expert(name: str) -> Expert:
    """Load an expert's description by its name; its library is loaded by ``open`` only.

    Raises
    ------
    UsageError
        If no installed package registers that name.
    """
    found: Expert = load_registered(ENTRY_POINTS, name, "expert")
    return found
