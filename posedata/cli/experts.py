"""``posedata experts``: which estimators are usable here, and making them so."""

from __future__ import annotations

from typing import Annotated

import typer

from posedata.cli import print_json
from posedata.cli.options import Json
from posedata.errors import UsageError

_SHOWN_PEOPLE = 5

_experts = typer.Typer(no_args_is_help=True, help="List, install and try the estimators.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_experts, name="experts")


@_experts.command("list")
def list_all(as_json: Json = False) -> None:
    """Say which experts are usable here, and what the others need."""
    from posedata.expert import list_experts, load_expert

    rows = []
    for name in list_experts():
        expert = load_expert(name)
        missing = _missing(name)
        rows.append({
            "name": name, "model": expert.model, "about": expert.about, "usable": not missing,
            "missing": missing, "install": expert.install,
        })  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        spec = f"{row['name']}:{row['model']}" if row["model"] else row["name"]
        typer.echo(f"{'usable ' if row['usable'] else 'missing'}  {spec:36} {row['about']}")
        if not row["usable"]:
            typer.echo(f"         {row['missing']}: {row['install']}")


@_experts.command("install")
def install(
    names: Annotated[list[str], typer.Argument(help="mmpose, openpifpaf")],
) -> None:
    """Make the environments of experts that cannot live beside posedata."""
    from posedata.expert import load_expert
    from posedata.experts.environments import install_environment

    for name in names:
        expert = load_expert(name)
        if not expert.environment:
            raise UsageError(f"the expert {name} has no environment of its own",
                             remedy=expert.install)  # fmt: skip
    for name in names:
        python = install_environment(load_expert(name).environment, typer.echo)
        typer.echo(f"{name}: {python}")


@_experts.command("check")
def check(
    expert: Annotated[str, typer.Argument(help="NAME[:MODEL]")],
    image: Annotated[
        str | None, typer.Argument(help="Picture or video to try; by default a made one.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1.")] = "cpu",
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Load an expert and have it look at one picture, the whole of which is one person's box."""
    from posedata.expert import parse_spec
    from posedata.expert_check import check_expert

    report = check_expert(parse_spec(expert), image, device=device, timeout=timeout)
    if as_json:
        print_json(report)
        return
    about = report["about"]
    joints = f"{report['num_joints']} joints" if report["num_joints"] else "no joints: a detector"
    typer.echo(f"{expert}: {about['version']} on {about['device']}, {joints}, loaded in "
               f"{report['load_seconds']:.1f} s")  # fmt: skip
    typer.echo(f"{report['picture']}: {report['num_people']} people in "
               f"{1000 * report['seconds']:.0f} ms")  # fmt: skip
    for person in report["people"][:_SHOWN_PEOPLE]:
        box = ", ".join(f"{x:.0f}" for x in person["box"])
        typer.echo(f"  score {person['score']:.2f}, box {box}, joints found: {person['joints']}")
    more = report["num_people"] - _SHOWN_PEOPLE
    if more > 0:
        typer.echo(f"  and {more} more, less certain")


def _missing(name: str) -> str:
    """What keeps an expert from being usable here; empty if nothing does."""
    from posedata.expert import load_expert

    expert = load_expert(name)
    if expert.environment:
        from posedata.experts.environments import environment_python

        return "" if environment_python(expert.environment) else "no environment"
    missing = expert.missing()
    return f"not installed: {', '.join(missing)}" if missing else ""
