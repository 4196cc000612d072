"""Profiles: published preprocessing as chains of named steps, from a clip to a script's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from posedata.clip import Clip
from posedata.errors import UsageError


class Change(NamedTuple):
    """What a step dropped or changed in one clip.

    Attributes
    ----------
    step : str
        Name of the step.
    what : str
        In a few words, without numbers that differ from clip to clip: ``frames without people
        dropped``. Reports add up the amounts by it.
    amount : int
        How many of them.
    """

    step: str
    what: str
    amount: int


@dataclass(frozen=True)
class Step:
    """One named step of a profile.

    Attributes
    ----------
    function : callable
        ``(state, note, **parameters) -> state``: takes what the step before has returned (the
        first one a `Clip`); ``note(what, amount)`` reports what is dropped or changed. Its name
        is the step's name, the first line of its docstring says what it does.
    parameters : mapping
        Thresholds and sizes.
    """

    function: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.function.__name__

    @property
    def about(self) -> str:
        """What the step does, in a sentence."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


def step(function: Callable[..., Any], **parameters: Any) -> Step:
    """Make a step of a function."""
    return Step(function, parameters)


@dataclass(frozen=True)
class Profile:
    """Published preprocessing that people's numbers depend on, reproduced to the last bit.

    Attributes
    ----------
    name : str
        E.g. ``pyskl``.
    about : str
        What it reproduces: repository, script, data set.
    skeleton : str
        The joint set that the script reads.
    steps : tuple of Step
        In order; the first takes a clip, the last returns the arrays of the script.
    """

    name: str
    about: str
    skeleton: str
    steps: tuple[Step, ...]

    def apply(self, clip: Clip) -> tuple[Any, list[Change]]:
        """Run the steps on one clip.

        Returns
        -------
        result : object
            What the last step returns.
        changes : list of Change
            What was dropped or changed on the way, in order.

        Raises
        ------
        UsageError
            If the clip has other joints.
        InputError
            If the script has no result for such a clip.
        """
        if clip.skeleton.name != self.skeleton:
            raise UsageError(f"the profile {self.name} reads another joint set",
                             found=clip.skeleton.name, expected=self.skeleton)  # fmt: skip
        changes: list[Change] = []
        state: Any = clip
        for each in self.steps:

            def note(what: str, amount: int = 1, name: str = each.name) -> None:
                if amount:
                    changes.append(Change(name, what, int(amount)))

            state = each.function(state, note, **each.parameters)
        return state, changes
