"""A real server on loopback, which answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import bunsui


@dataclass
class Asked:
    """A request as it reached the server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["Handler"], None]


@dataclass
class Server:
    """What it answers, by path, and what it was asked."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    #: Set when the test ends: answers that hang wait for it.
    ended: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


class Handler(BaseHTTPRequestHandler):
    """Answers as the test has said."""

    protocol_version = "HTTP/1.1"
    told: Server

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; underscores in names of headers stand for hyphens."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.told.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        try:
            self.told.answers[self.path.partition("?")[0]](self)
        except OSError:  # The client has gone.
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""


class Http(ThreadingHTTPServer):
    """Takes hundreds of connections at once; its end is the end of all that it answers."""

    request_queue_size = 256
    daemon_threads = False


def run(runner: bunsui.Runner, job: bunsui.Job) -> bunsui.JobState:
    """The state of a job after a session of it alone."""
    return runner.run(bunsui.Pipeline("p", [job])).jobs[job.id]


def output(runner: bunsui.Runner, **fields: Any) -> Any:
    """The output of a job that succeeds."""
    state = run(runner, bunsui.Job("ask", "http", **fields))
    assert state.error is None, state.error
    return state.output


def failure(runner: bunsui.Runner, **fields: Any) -> bunsui.Failure:
    """The error of a job that fails."""
    state = run(runner, bunsui.Job("ask", "http", **fields))
    assert state.error is not None
    return state.error
