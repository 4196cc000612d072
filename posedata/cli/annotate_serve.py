"""``posedata annotate serve``: a Label Studio server of the user's own."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from posedata.cli import INTERRUPTED
from posedata.errors import UsageError

#: Folder of the server, in the one that is worked in.
DATA = Path("label-studio")
_PASSWORD_VARIABLE = "LABEL_STUDIO_PASSWORD"
_SECONDS_BETWEEN = 0.5


def serve(
    data: Annotated[Path, typer.Option("--data", help="Its folder.")] = DATA,
    port: Annotated[int, typer.Option("--port", help="0: any that is free.")] = 8080,
    username: Annotated[
        str, typer.Option("--username", help="For the first start: an e-mail address.")
    ] = "me@localhost.localdomain",
) -> None:
    """Start Label Studio 1.23 on this machine, for this machine alone, until Ctrl-C.

    The first start installs it in an environment of its own (1 GB) and makes the account: the
    password comes from LABEL_STUDIO_PASSWORD or a prompt, the token from LABEL_STUDIO_API_KEY if
    that is set.
    """
    from posedata.label_studio.server import Account, check_account, has_account, running_server

    def say(line: str) -> None:
        typer.echo(line, err=True)

    account = None
    if not has_account(data):
        token = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
        account = check_account(Account(username, _new_password(username), token))
    # Who ends posedata ends the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        with running_server(data, account, port=port, say=say) as (url, process):
            typer.echo(url)
            say("Ctrl-C stops it.")
            while process.poll() is None:
                time.sleep(_SECONDS_BETWEEN)
            raise UsageError("Label Studio has ended by itself", found=f"code {process.returncode}")
    except KeyboardInterrupt:
        say("stopped")


def _new_password(username: str) -> str:
    password = os.environ.get(_PASSWORD_VARIABLE, "")
    if not password and sys.stdin is not None and sys.stdin.isatty():
        password = getpass.getpass(f"A password for {username}, 8 characters or more: ")
        if password != getpass.getpass("Once more: "):
            raise UsageError("the passwords differ")
    if not password:
        raise UsageError("no password for the first start of Label Studio",
                         remedy=f"Set {_PASSWORD_VARIABLE}, or use a terminal.")  # fmt: skip
    return password
