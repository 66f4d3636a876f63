"""A receiver of webhooks on this machine, over HTTP: it takes, refuses, hangs, drips, and recovers."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import field, frozen


@frozen
class Posted:
    """What somebody has sent."""

    path: str
    #: By their names in lower case.
    headers: Mapping[str, str]
    body: bytes = field(converter=bytes)


class Receiver:
    """The receiver; what it does is set by its attributes while it runs.

    Args:
        context: for TLS; None: plain HTTP.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        #: What was sent, in order, whatever it was answered with.
        self.got: list[Posted] = []
        #: Those that were answered with 2xx.
        self.taken: list[Posted] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        #: What is sent in place of an answer of HTTP.
        self.raw: bytes | None = None
        #: Set: requests are answered; else they wait.
        self.answers = threading.Event()
        self.answers.set()
        #: Whether an answer comes byte by byte, and never ends.
        self.drips = False
        #: Set as soon as a request is there that is not answered.
        self.is_asked = threading.Event()
        self._ends = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with suppress(ConnectionError):  # Who has given up has gone.
                    receiver._answer(self, Posted(self.path, _lower(self.headers), body))

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 64  # Several come at once.

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/alerts") -> str:
        """The URL of something there."""
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def _answer(self, handler: BaseHTTPRequestHandler, posted: Posted) -> None:
        self.got.append(posted)
        if self.drips:
            self.is_asked.set()
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self._ends.wait(0.02):
                handler.wfile.write(b".")
            return
        if not self.answers.is_set():
            self.is_asked.set()
            while not self._ends.is_set() and not self.answers.wait(0.02):
                pass
            return
        if self.raw is not None:
            handler.wfile.write(self.raw)
            return
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        if 200 <= self.status < 300:
            self.taken.append(posted)
        handler.end_headers()

    def close(self) -> None:
        """Ends it, and whoever waits."""
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def failing(self, status: int = 503) -> Iterator[None]:
        """Refuses what comes within the block."""
        self.status, before = status, self.status
        try:
            yield
        finally:
            self.status = before

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Gives no answer within the block."""
        self.answers.clear()
        try:
            yield
        finally:
            self.answers.set()

    @contextmanager
    def dripping(self) -> Iterator[None]:
        """Begins an answer within the block, byte by byte, and does not end it."""
        self.drips = True
        try:
            yield
        finally:
            self.drips = False


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
