"""A Label Studio server of the user's own: SQLite, this machine alone, nothing sent anywhere.

Label Studio lives in an environment of its own (`posedata.experts.environments`): what it asks for
contradicts what posedata's other libraries ask for.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posedata.errors import OutputError, UsageError

ENVIRONMENT = "label_studio"
HOST = "127.0.0.1"
PORT = 8080
_IMAGES, _SERVER, _LOG, _USER = "images", "server", "server.log", "user"
_SECONDS_TO_START = 600.0  # the first start makes the database; later ones take 10 seconds
_SECONDS_TO_STOP = 10.0
_SECONDS_BETWEEN = 0.3
_LAST_LINES = 6
_SHORTEST, _LONGEST = 8, 40  # of a token; Label Studio ignores shorter ones than 6
_START = "import sys; sys.argv[0] = 'label-studio'; " \
         "from label_studio.server import main; sys.exit(main())"  # fmt: skip


@dataclass(frozen=True)
class Account:
    """Who logs in: the person who corrects poses.

    Attributes
    ----------
    username : str
        An e-mail address; it need not exist.
    password : str
        For the log-in page.
    token : str
        For posedata; empty: Label Studio makes one and shows it under Account & Settings.
    """

    username: str
    password: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Account({self.username!r})"


def images_folder(data: Path) -> Path:
    """The folder of which the server shows images: its document root."""
    return data.expanduser().resolve() / _IMAGES


def has_account(data: Path) -> bool:
    """Whether a server has run here before, so that its account is there."""
    return (data.expanduser().resolve() / _SERVER / _USER).exists()


@contextmanager
def running_server(
    data: Path, account: Account | None, *, port: int = PORT, say: Callable[[str], None],
    seconds_to_start: float = _SECONDS_TO_START,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:  # fmt: skip
    """Run a server; it is stopped at the end of the block, however that ends.

    Parameters
    ----------
    data : Path
        Its folder: ``images`` is what it may show, ``server`` has its database.
    account : Account, optional
        Made at the first start. None: those that are there.
    port : int
        0: any that is free.
    say : callable
        Is given a line at each step.
    seconds_to_start : float
        How long to wait for it.

    Yields
    ------
    url : str
        E.g. ``http://127.0.0.1:8080``.
    process : Popen
        The server's.

    Raises
    ------
    UsageError
        If Label Studio cannot be installed, the port is taken, or it does not start.
    OutputError
        If the folder cannot be written.
    """
    python = _python(say)
    place = data.expanduser().resolve()
    port = _free_port(port)
    try:
        for name in (_IMAGES, _SERVER):
            (place / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        log = (place / _SERVER / _LOG).open("ab")
    except OSError as error:
        raise OutputError("the server's folder cannot be written", path=place,
                          found=error.strerror or error) from error  # fmt: skip
    with log:
        # A session of its own: Ctrl-C comes to posedata, which stops the server in order.
        process = subprocess.Popen(
            [str(python), "-I", "-c", _START, "start", "--no-browser", "--internal-host", HOST,
             "--port", str(port), "--data-dir", str(place / _SERVER),
             "--enable-legacy-api-token"],
            env=_environment(place, account), cwd=place / _SERVER, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        say(f"Label Studio starts (its log is {place / _SERVER / _LOG})")
        _wait(process, port, place / _SERVER / _LOG, seconds_to_start)
        if account is not None:
            (place / _SERVER / _USER).write_text(f"{account.username}\n", encoding="utf-8")
        yield f"http://{HOST}:{port}", process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and wait until it has gone."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_account(account: Account) -> Account:
    """Refuse what Label Studio would not take, or would ignore.

    Raises
    ------
    UsageError
        If something is missing or too short.
    """
    if "@" not in account.username:
        raise UsageError("--username", found=repr(account.username),
                         expected="an e-mail address, e.g. me@localhost.test")  # fmt: skip
    if len(account.password) < _SHORTEST:
        raise UsageError(f"the password is shorter than {_SHORTEST} characters")
    if account.token and not _SHORTEST <= len(account.token) <= _LONGEST:
        raise UsageError("the token in LABEL_STUDIO_API_KEY cannot be that of a new server",
                         found=f"{len(account.token)} characters",
                         expected=f"{_SHORTEST} to {_LONGEST}",
                         remedy="Make one, e.g. with: openssl rand -hex 20")  # fmt: skip
    return account


def _python(say: Callable[[str], None]) -> Path:
    from posedata.experts.environments import environment_python, install_environment

    python = environment_python(ENVIRONMENT)
    return python if python is not None else install_environment(ENVIRONMENT, say)


def _environment(place: Path, account: Account | None) -> dict[str, str]:
    """Give the server's variables.

    The account travels in them, not in the command, which all users of the machine can see. Label
    Studio also takes names without its prefix (``HOST``, ``DEBUG``), so that each is given.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LABEL_STUDIO_", "HEARTEX_"))
    }
    own = {
        "ENABLE_LEGACY_API_TOKEN": "true",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(place / _IMAGES),
        "BASE_DATA_DIR": str(place / _SERVER),
        "DJANGO_DB": "sqlite",
        "DATABASE_NAME": str(place / _SERVER / "label_studio.sqlite3"),
        "HOST": "",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        # nothing is told to anybody
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "USERNAME": account.username if account else "",
        "PASSWORD": account.password if account else "",
        "USER_TOKEN": account.token if account else "",
    }
    return {**kept, **{f"LABEL_STUDIO_{name}": value for name, value in own.items()},
            "collect_analytics": "false"}  # fmt: skip


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"--port {port} cannot be used",
                             found=getattr(error, "strerror", None) or error,
                             remedy="Name another one, or 0 for any.") from error  # fmt: skip
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not _is_up(port):
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = " | ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:])
            what = "has ended" if process.poll() is not None else f"is not up after {seconds:.0f} s"
            raise UsageError(f"Label Studio {what}: {last}", path=log)
        time.sleep(_SECONDS_BETWEEN)


def _is_up(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
