"""What packages register under an entry point group: converters, exporters, experts."""

from __future__ import annotations

from typing import Any

from posedata.errors import UsageError


def registered_names(group: str) -> list[str]:
    """Names in a group, those of other packages included, in alphabetical order."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=group)})


def load_registered(group: str, name: str, what: str) -> Any:
    """Load what is registered under a name.

    Parameters
    ----------
    group : str
        E.g. ``posedata.converters``.
    name : str
        In that group.
    what : str
        What it is, for the error: ``data set``.

    Raises
    ------
    UsageError
        If no installed package registers that name.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=group, name=name):
        return entry.load()
    known = ", ".join(registered_names(group))
    raise UsageError(f"unknown {what}", found=repr(name), expected=f"one of {known}")
