"""Options of one data set or format: ``posedata convert kinetics RAW --classes first50``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from posedata.errors import UsageError

if TYPE_CHECKING:
    from posedata.converter import Option

_META = "posedata.own_options"


class CommandWithOwnOptions(TyperCommand):
    """The convert command: takes the options of the data set and of the format out of the line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take out the own options; the rest is parsed as usual."""
        options = _options(args)
        given, rest = take_options(args, options)
        ctx.meta[_META] = given
        if options:
            lines = [f"  {_help(option)}" for option in options]
            self.epilog = "\n".join(["\b", "Options of this data set or format:", *lines])
        return super().parse_args(ctx, rest)


def own_options(ctx: Any) -> dict[str, str]:
    """Give the own options of a command line by their names."""
    return dict(ctx.meta[_META])


def take_options(
    args: Sequence[str], options: Sequence[Option]
) -> tuple[dict[str, str], list[str]]:
    """Split a command line into own options, by name, and the rest.

    Raises
    ------
    UsageError
        If one of them has no value.
    """
    names = {f"--{option.name}": option.name for option in options}
    given: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(args)
    while waiting:
        arg = waiting.pop(0)
        flag, equals, value = arg.partition("=")
        if arg == "--":
            return given, [*rest, arg, *waiting]
        if flag not in names:
            rest.append(arg)
            continue
        if not equals:
            if not waiting:
                raise UsageError(f"{flag} needs a value")
            value = waiting.pop(0)
        given[names[flag]] = value
    return given, rest


def _options(args: Sequence[str]) -> list[Option]:
    """Options of the data set and of the format that a command line names."""
    words = [arg for before, arg in pairwise(["", *args])
             if not arg.startswith("-") and before != "--to"]  # fmt: skip
    if not words:  # --help stays quick
        return []
    from posedata.converter import list_converters, load_converter
    from posedata.exporter import list_exporters, load_exporter

    options: list[Option] = []
    converters = list_converters()
    dataset = next((word for word in words if word in (*converters, "parquet")), None)
    if dataset in converters:
        options += load_converter(dataset).options
    formats = [after for before, after in pairwise(args) if before == "--to"]
    formats += [arg.removeprefix("--to=") for arg in args if arg.startswith("--to=")]
    if formats and formats[-1] in list_exporters():
        options += load_exporter(formats[-1]).options
    return options


def _help(option: Option) -> str:
    values = "|".join(option.choices) if option.choices else "VALUE"
    default = f" (by default {option.default})" if option.default else ""
    return f"--{option.name} {values}{default}\n      {option.about}"
