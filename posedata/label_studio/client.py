"""What posedata asks of a Label Studio server, over its HTTP interface.

The token comes from the environment or a prompt. It is sent to that server alone, and no error
text, log or file has it.
"""

from __future__ import annotations

import base64
import getpass
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posedata.errors import InputError, UsageError

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
_SECONDS = 120.0
_MOST_BYTES = 1 << 30
_TRIES = 3  # of a request that changes nothing
_SECONDS_BETWEEN = 1.0
_TASKS_AT_ONCE = 100
_PARTS_OF_JWT = 3
_LONGEST_REASON = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class ServerGoneError(InputError):
    """The server cannot be reached, or went away before it had answered."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class LabelStudio:
    """A server and the right to use it.

    Attributes
    ----------
    url : str
        E.g. ``http://127.0.0.1:8080``, without a slash at its end.
    token : str
        A legacy token, or a personal access token (the kind that expires, which is exchanged for
        one that is valid for minutes).
    """

    url: str
    token: str = field(repr=False)
    _access: list[str] = field(default_factory=list, repr=False, compare=False)

    def get(self, path: str, **query: Any) -> Any:
        """Read something; tried again where the server is busy or starting.

        Raises
        ------
        ServerGoneError
            If it does not answer.
        UsageError
            If it refuses the token, or has no such thing.
        InputError
            If what it answers is not JSON.
        """
        for tried in range(1, _TRIES + 1):
            try:
                return self._request("GET", path, query, None)
            except ServerGoneError:
                if tried == _TRIES:
                    raise
                time.sleep(_SECONDS_BETWEEN)
        raise AssertionError

    def post(self, path: str, content: Any, **query: Any) -> Any:
        """Create something; not tried again, as nobody could tell whether it was done."""
        return self._request("POST", path, query, content)

    def _request(self, method: str, path: str, query: Mapping[str, Any], content: Any) -> Any:
        try:
            return self._send(method, path, query, content, self._authorisation())
        except UsageError as error:
            if not self._access or error.found != str(_UNAUTHORISED):
                raise
        self._access.clear()  # it has expired
        return self._send(method, path, query, content, self._authorisation())

    def _authorisation(self) -> str:
        if not _is_personal(self.token):
            return f"Token {self.token}"
        if not self._access:
            answer = self._send("POST", "/api/token/refresh", {}, {"refresh": self.token}, "")
            access = answer.get("access") if isinstance(answer, dict) else None
            if not isinstance(access, str):
                raise InputError("the server gives no access token", path=self.url)
            self._access.append(access)
        return f"Bearer {self._access[0]}"

    def _send(
        self, method: str, path: str, query: Mapping[str, Any], content: Any, authorisation: str
    ) -> Any:
        address = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Accept": "application/json"}
        if authorisation:
            headers["Authorization"] = authorisation
        body = None
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        request = urllib.request.Request(address, body, headers, method=method)
        try:
            with _opener(self.url).open(request, timeout=_SECONDS) as answer:
                answered = answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            raise _refusal(self.url + path, error, self.token) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ServerGoneError("Label Studio does not answer", path=self.url,
                             found=str(reason) or type(error).__name__,
                             remedy="Start it (posedata annotate serve does), or name another "
                             "--url.") from None  # fmt: skip
        try:
            return json.loads(answered) if answered else None
        except ValueError:
            raise InputError("the answer is not JSON: is this a Label Studio server?",
                             path=self.url + path) from None  # fmt: skip


def connect(url: str, token: str | None = None) -> LabelStudio:
    """Make sure that a server is there and knows the token.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``.
    token : str, optional
        By default that of `find_token`.

    Raises
    ------
    UsageError
        If the address is none, or the server refuses the token.
    ServerGoneError
        If it does not answer.
    """
    server = LabelStudio(clean_url(url), find_token() if token is None else token)
    server.get("/api/current-user/whoami")
    return server


def clean_url(url: str) -> str:
    """Check the address of a server; without a slash at its end.

    Raises
    ------
    UsageError
        If it is not http or https, or holds a password.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise UsageError("an address with a password in it", expected="http://HOST:PORT",
                         remedy=f"Tokens come from {TOKEN_VARIABLE} or a prompt.")  # fmt: skip
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UsageError("--url", found=repr(url), expected="e.g. http://127.0.0.1:8080")
    return url.rstrip("/")


def find_token() -> str:
    """Take the token from ``LABEL_STUDIO_API_KEY``, or ask for it where there is a terminal.

    Raises
    ------
    UsageError
        If there is neither, or it is not one.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token and sys.stdin is not None and sys.stdin.isatty():
        token = getpass.getpass("Label Studio token (Account & Settings): ").strip()
    if not token:
        raise UsageError("no token for Label Studio",
                         remedy=f"Set {TOKEN_VARIABLE} to the one that Label Studio shows under "
                         "Account & Settings.")  # fmt: skip
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(f"{TOKEN_VARIABLE} is not a token of Label Studio")
    return token


def find_project(server: LabelStudio, project: str) -> dict[str, Any] | None:
    """Find a project by its number or its title.

    Raises
    ------
    UsageError
        If several have that title.
    """
    if project.isdecimal():
        try:
            return server.get(f"/api/projects/{project}/")
        except UsageError as error:
            if error.found != str(_NOT_FOUND):
                raise
            return None
    found = []
    for page in range(1, 1 << 20):
        answer = server.get("/api/projects/", page=page, page_size=_TASKS_AT_ONCE)
        rows = answer.get("results", []) if isinstance(answer, dict) else []
        found += [row for row in rows if row.get("title") == project]
        if not rows or not answer.get("next"):
            break
    if len(found) > 1:
        numbers = ", ".join(str(row["id"]) for row in found)
        raise UsageError(f"several projects are called {project!r}", path=server.url,
                         found=numbers, expected="--project NUMBER")  # fmt: skip
    return found[0] if found else None


def iter_tasks(server: LabelStudio, project: int, *, whole: bool) -> Iterator[dict[str, Any]]:
    """Read the tasks of a project, page by page.

    Parameters
    ----------
    server : LabelStudio
        From `connect`.
    project : int
        Its number.
    whole : bool
        With their annotations, predictions and drafts; else their data and counts alone.

    Yields
    ------
    dict
        By number, ascending.
    """
    page = 1
    while True:
        answer = server.get(
            "/api/tasks", project=project, page=page, page_size=_TASKS_AT_ONCE,
            fields="all" if whole else "task_only",
        )  # fmt: skip
        if not isinstance(answer, dict) or not isinstance(answer.get("tasks"), list):
            raise InputError("the answer has no tasks", path=server.url)
        yield from answer["tasks"]
        if page * _TASKS_AT_ONCE >= int(answer.get("total", 0)) or not answer["tasks"]:
            return
        page += 1


def users_of(server: LabelStudio) -> dict[int, str]:
    """Give the e-mail address of each user by number; empty where they may not be seen."""
    try:
        rows = server.get("/api/users/")
    except UsageError:
        return {}
    return {int(row["id"]): str(row.get("email", "")) for row in rows}


def import_tasks(server: LabelStudio, project: int, tasks: Sequence[Mapping[str, Any]]) -> int:
    """Add tasks with their predictions, all or none of them; gives how many."""
    answer = server.post(f"/api/projects/{project}/import", list(tasks))
    return int(answer["task_count"])


def add_prediction(server: LabelStudio, task: int, prediction: Mapping[str, Any]) -> None:
    """Give a task that has none its poses."""
    server.post("/api/predictions/", {**prediction, "task": task})


def _is_personal(token: str) -> bool:
    parts = token.split(".")
    if len(parts) != _PARTS_OF_JWT:
        return False
    try:
        head = base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4))
        return "alg" in json.loads(head)
    except ValueError:
        return False


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[Any] = [_NoRedirects()]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _refusal(address: str, error: urllib.error.HTTPError, token: str) -> Exception:
    """Say what the server has refused; never what was sent."""
    if error.code in (502, 503, 504):
        return ServerGoneError("Label Studio does not answer", path=address, found=error.code,
                          remedy="Try again when it has started.")  # fmt: skip
    if error.code in (_UNAUTHORISED, _FORBIDDEN):
        return UsageError("Label Studio refuses the token", path=address, found=error.code,
                          remedy=f"Set {TOKEN_VARIABLE} to the one under Account & Settings. "
                          "Legacy tokens may be switched off in its organisation.")  # fmt: skip
    try:
        answer = json.loads(error.read(1 << 20))
        reason = answer.get("validation_errors") or answer.get("detail") or answer
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        reason = error.reason
    text = str(reason).replace(token, "***")[:_LONGEST_REASON]
    return UsageError(f"Label Studio refuses it: {text}", path=address, found=error.code)
