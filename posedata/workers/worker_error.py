"""The error by which a worker tells posedata's user something, rather than its developers."""

from __future__ import annotations

from pathlib import Path


class WorkerError(Exception):
    """Something a worker cannot do, said so that a person can act on it.

    Parameters
    ----------
    message : str
        What is wrong, in plain words.
    path : Path or str, optional
        The file that it is about.
    found, expected : optional
        What is there, and what should be there instead.
    remedy : str, optional
        What the user can do now.

    Attributes
    ----------
    reason : str
        All of that but the path, in one line: what the protocol looks for in an error.
    path : str, optional
        The file.

    Examples
    --------
    >>> WorkerError("not a checkpoint", path="a.pth", found="a text", expected="a zip").reason
    'not a checkpoint: found a text, expected a zip'
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        found: object = None,
        expected: object = None,
        remedy: str = "",
    ) -> None:
        facts = [f"{word} {value}" for word, value in (("found", found), ("expected", expected))
                 if value is not None]  # fmt: skip
        text = f"{message}: {', '.join(facts)}" if facts else message
        self.reason = f"{text}. {remedy}" if remedy else text
        self.path = None if path is None else str(path)
        super().__init__(self.reason)
