"""A real Label Studio server for the tests, in its own environment."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from posedata.label_studio.client import LabelStudio, connect, iter_tasks
from posedata.label_studio.server import Account, running_server

ANNOTATOR = Path(__file__).with_name("annotator.py")


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("label_studio")


class Server:
    """A server that can be killed and started again, with its folder and address."""

    def __init__(self, data: Path) -> None:
        self.data, self.said = data, []
        self.username, self.password = "tester@localhost.localdomain", secrets.token_hex(12)
        self.token = secrets.token_hex(20)
        self.port = 0
        self._stack = ExitStack()

    def start(self) -> None:
        account = None if self.port else Account(self.username, self.password, self.token)
        self.url, self.process = self._stack.enter_context(
            running_server(self.data, account, port=self.port, say=self.said.append)
        )
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self) -> None:
        self._stack.close()

    @property
    def client(self) -> LabelStudio:
        return connect(self.url, self.token)

    @property
    def log(self) -> Path:
        return self.data / "server/server.log"

    def posedata(self, *arguments: Any, code: int = 0, **variables: str) -> Any:
        """Run a command with the token in the environment; gives what it prints as JSON."""
        done = self.run(*arguments, **variables)
        assert done.returncode == code, done.stderr
        assert self.token not in done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done

    def run(self, *arguments: Any, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "posedata", "annotate", *map(str, arguments)],
            env={**os.environ, "LABEL_STUDIO_API_KEY": self.token, **variables},
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def push(self, release: Path, videos: Path, layer: str, project: str, *more: Any) -> Any:
        return self.posedata(
            "push", release, "--videos", videos, "--layer", layer, "--project", project,
            "--url", self.url, "--data", self.data, "--json", "--quiet", *more,
        )  # fmt: skip

    def pull(self, release: Path, layer: str, project: str, *more: Any, code: int = 0) -> Any:
        return self.posedata(
            "pull", release, "--layer", layer, "--project", project, "--url", self.url, "--json",
            *more, code=code,
        )  # fmt: skip

    def tasks(self, project: int) -> list[dict[str, Any]]:
        return list(iter_tasks(self.client, project, whole=True))

    def annotate(self, actions: Sequence[dict[str, Any]]) -> list[Any]:
        """Work as an annotator, with Label Studio's own SDK in the server's environment."""
        from posedata.experts.environments import environment_python

        python = environment_python("label_studio")
        done = subprocess.run(
            [str(python), str(ANNOTATOR), self.url], input=json.dumps(actions), text=True,
            env={**os.environ, "LABEL_STUDIO_API_KEY": self.token}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server with an account; one for all tests of a process."""
    running = Server(tmp_path_factory.mktemp("label-studio"))
    running.start()
    yield running
    running.stop()
