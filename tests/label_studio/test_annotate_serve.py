"""``posedata annotate serve``: a server for this machine alone, which goes when it is told to."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posedata.label_studio.client import connect
from posedata.label_studio.server import Account, running_server

SECONDS = 300


@pytest.fixture
def serve(tmp_path):
    """Start ``posedata annotate serve``; gives the process and what it prints first."""
    running = []

    def start(*arguments, **variables):
        process = subprocess.Popen(
            [sys.executable, "-m", "posedata", "annotate", "serve", "--data", tmp_path / "data",
             *arguments],
            env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def listening(port: int) -> set[str]:
    """Addresses at which something listens on a port; 0100007F is 127.0.0.1."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            for line in Path(table).read_text().splitlines()[1:]:
                address, state = line.split()[1], line.split()[3]
                if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                    found.add(address.partition(":")[0])
    return found


def test_it_starts_listens_to_this_machine_alone_and_stops(serve, tmp_path):
    token, password = secrets.token_hex(20), secrets.token_hex(10)
    process, url = serve("--port", "0", LABEL_STUDIO_API_KEY=token, LABEL_STUDIO_PASSWORD=password)
    assert url.startswith("http://127.0.0.1:")
    port = int(url.rpartition(":")[2])
    assert connect(url, token).get("/api/version")["release"] == "1.23.2"
    assert listening(port) == {"0100007F"}
    (server,) = children(process.pid)
    command = Path(f"/proc/{server}/cmdline").read_text()
    assert token not in command and password not in command
    assert (tmp_path / "data/server").stat().st_mode & 0o077 == 0

    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    out, said = process.communicate()
    assert said.strip().endswith("stopped")
    assert token not in out + said and password not in out + said
    assert not Path(f"/proc/{server}").exists()
    assert listening(port) == set()
    log = (tmp_path / "data/server/server.log").read_text()
    assert token not in log and password not in log

    # the second time nothing is asked, and the account is the same
    process, again = serve("--port", str(port))
    assert again == url
    assert connect(url, token)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert listening(port) == set()


def test_without_a_password_it_says_where_one_comes_from(serve):
    variables = {"LABEL_STUDIO_PASSWORD": "", "LABEL_STUDIO_API_KEY": ""}
    process, url = serve("--port", "0", **variables)
    assert (process.wait(60), url) == (2, "")
    assert "LABEL_STUDIO_PASSWORD" in process.stderr.read()


def test_a_port_that_is_taken_is_said(tmp_path):
    account = Account("me@localhost", "password", "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=f"--port {port} cannot be used"):
            with running_server(tmp_path, account, port=port, say=lambda line: None):
                pass


def test_a_server_that_cannot_start_says_why_and_goes(tmp_path, monkeypatch):
    """An interpreter without Label Studio: its own words are in the message."""
    monkeypatch.setenv("POSEDATA_PYTHON_LABEL_STUDIO", sys.executable)
    start = time.monotonic()
    with pytest.raises(Exception, match=r"has ended.*No module named 'label_studio'"):
        with running_server(tmp_path, Account("me@localhost", "password"), port=0,
                            say=lambda line: None):  # fmt: skip
            pass
    assert time.monotonic() - start < 60
