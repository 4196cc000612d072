"""Addresses, tokens and answers of a Label Studio server; a real one is under label_studio."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from posedata.errors import InputError, UsageError
from posedata.label_studio import client as module
from posedata.label_studio.client import (
    LabelStudio,
    ServerGoneError,
    clean_url,
    connect,
    find_project,
    find_token,
    iter_tasks,
)

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def answering():
    """A server with the answers of a list, one for each request, and the requests it got."""
    answers, got = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            got.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
            code, content, headers = answers.pop(0)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.answers, server.got = answers, got
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def give(server, code, content, **headers):
    server.answers.append((code, json.dumps(content).encode(), headers))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://host", "http://", "http://host/?token=1", "file:///etc/passwd"]
)
def test_addresses_that_are_none(url):
    with pytest.raises(UsageError, match="--url"):
        clean_url(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError) as raised:
        clean_url("http://me:hunter22@host")
    assert "hunter22" not in str(raised.value)


def test_an_address_has_no_slash_at_its_end():
    assert clean_url("http://host:8080/labels/") == "http://host:8080/labels"


@pytest.mark.parametrize(("value", "message"), [("", "no token"), ("a b", "not a token"),
                                                ("ä" * 10, "not a token")])  # fmt: skip
def test_tokens_that_are_none(monkeypatch, value, message):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", value)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match=message):
        find_token()


def test_the_token_is_asked_for_at_a_terminal(monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {TOKEN}\n")
    assert find_token() == TOKEN


def test_the_token_goes_to_the_server_and_is_not_shown(answering):
    give(answering, 200, {"id": 1})
    server = connect(answering.url + "/", TOKEN)
    assert answering.got[0][2]["Authorization"] == f"Token {TOKEN}"
    assert TOKEN not in repr(server)


def test_a_redirect_is_not_followed(answering):
    give(answering, 302, {}, Location="http://elsewhere.invalid/")
    with pytest.raises(UsageError, match="found 302"):
        connect(answering.url, TOKEN)


def test_a_server_that_repeats_the_token_does_not_make_us_do_so(answering):
    give(answering, 400, {"detail": f"bad token {TOKEN}"})
    with pytest.raises(UsageError, match=r"bad token \*\*\*") as raised:
        connect(answering.url, TOKEN)
    assert TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_is_refused(answering, code):
    give(answering, code, {})
    with pytest.raises(UsageError, match="refuses the token"):
        connect(answering.url, TOKEN)


def test_a_server_that_is_starting_is_asked_again(answering, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0.01)
    give(answering, 503, {})
    give(answering, 200, {"id": 1})
    connect(answering.url, TOKEN)
    for _ in range(3):
        give(answering, 502, {})
    with pytest.raises(ServerGoneError, match="found 502"):
        connect(answering.url, TOKEN)


def test_what_creates_something_is_sent_once(answering):
    give(answering, 503, {})
    with pytest.raises(ServerGoneError):
        LabelStudio(answering.url, TOKEN).post("/api/projects/", {"title": "abc"})
    assert len(answering.got) == 1


def test_nobody_there(monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0.01)
    with pytest.raises(ServerGoneError, match="posedata annotate serve"):
        connect("http://127.0.0.1:9", TOKEN)


def test_another_kind_of_server(answering):
    answering.answers.append((200, b"<html>", {}))
    with pytest.raises(InputError, match="is this a Label Studio server"):
        connect(answering.url, TOKEN)


def test_a_personal_token_is_exchanged_and_renewed(answering):
    def part(content):
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    personal = f"{part({'alg': 'HS256'})}.{part({'exp': 1})}.signature"
    for answer in ((200, {"access": "first"}), (200, {"id": 1}), (401, {}),
                   (200, {"access": "second"}), (200, {"id": 1})):  # fmt: skip
        give(answering, *answer)
    server = connect(answering.url, personal)
    server.get("/api/current-user/whoami")
    sent = [headers.get("Authorization") for _, _, headers, _ in answering.got]
    assert sent == [None, "Bearer first", "Bearer first", None, "Bearer second"]
    assert json.loads(answering.got[0][3]) == {"refresh": personal}
    assert all(word not in repr(server) for word in ("first", "second", personal))


def test_projects_by_title_and_number(answering):
    server = LabelStudio(answering.url, TOKEN)
    rows = [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}]
    give(answering, 200, {"results": rows, "next": "more"})
    give(answering, 200, {"results": [{"id": 3, "title": "c"}], "next": None})
    assert find_project(server, "c")["id"] == 3
    give(answering, 200, {"results": [*rows, {"id": 4, "title": "b"}], "next": None})
    with pytest.raises(UsageError, match=r"several projects are called 'b'.*found 2, 4"):
        find_project(server, "b")
    give(answering, 404, {})
    assert find_project(server, "17") is None


def test_tasks_come_page_by_page(answering, monkeypatch):
    monkeypatch.setattr(module, "_TASKS_AT_ONCE", 2)
    for rows in ([1, 2], [3, 4], [5]):
        give(answering, 200, {"tasks": [{"id": n} for n in rows], "total": 5})
    tasks = iter_tasks(LabelStudio(answering.url, TOKEN), 7, whole=True)
    assert [task["id"] for task in tasks] == [1, 2, 3, 4, 5]
    assert "project=7&page=3&page_size=2&fields=all" in answering.got[-1][1]
