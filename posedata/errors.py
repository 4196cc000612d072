"""The errors that posedata raises: one family, each with what a person needs to act on it."""

from __future__ import annotations

from typing import Any


class PosedataError(Exception):
    """Something posedata cannot do, said so that a person can act on it.

    Parameters
    ----------
    message : str
        What is wrong, in plain words.
    path : str, optional
        The file or directory it is about.
    position : str, optional
        Where in that file, e.g. ``"line 12"``.
    found, expected : optional
        What is there, and what should be there instead.
    remedy : str, optional
        What the user can do now.

    Examples
    --------
    >>> print(PosedataError("wrong number of joints", path="a.skeleton", position="line 4",
    ...                     found=24, expected=25))
    a.skeleton, line 4: wrong number of joints: found 24, expected 25
    """

    def __init__(
        self,
        message: str,
        *,
        path: Any = None,
        position: str | None = None,
        found: Any = None,
        expected: Any = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else str(path)
        self.position = position
        self.found = None if found is None else str(found)
        self.expected = None if expected is None else str(expected)
        self.remedy = remedy

    @property
    def reason(self) -> str:
        """The message with what was found, expected, and what to do, without the place."""
        text = self.message
        if self.found is not None and self.expected is not None:
            text += f": found {self.found}, expected {self.expected}"
        elif self.found is not None:
            text += f": found {self.found}"
        elif self.expected is not None:
            text += f": expected {self.expected}"
        return text if self.remedy is None else f"{text}. {self.remedy}"

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.path, self.position) if part)
        return f"{place}: {self.reason}" if place else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[PosedataError], message: str, state: dict[str, Any]) -> PosedataError:
    """Unpickle an error that crossed from a worker process."""
    error = kind(message)
    error.__dict__.update(state)
    return error


class InputError(PosedataError):
    """Input bytes that are not what their format says."""


class UsageError(PosedataError):
    """A call or a command line that cannot mean anything."""


class ReleaseError(PosedataError):
    """A release that is unfinished, damaged, or not a release."""


class OutputError(PosedataError):
    """A place that cannot be written: full, read-only, or already taken."""
