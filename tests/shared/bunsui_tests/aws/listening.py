"""HTTP/1.1 on a free port of this machine, which can stop and start again; a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

from bunsui_tests.aws.messages import Reply, Request

#: None: the connection is closed without an answer.
Answer = Callable[[Request], Reply | None]


class Listener:
    """Hands requests to ``answer``, one thread for each connection. Listens from the start on.

    Clients may go away whenever they like: nothing is said of it.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._accepts = True
        self._listening: socket.socket | None = None
        # It keeps the port while nobody listens: else another process might be given it.
        self._place = self._bound(0)
        self.port: int = self._place.getsockname()[1]
        self._listen()

    def outage(self, how: Literal["refuse", "close"]) -> None:
        """Ends all connections. New ones are refused, or accepted and closed at once, until `recover`."""
        self._accepts = False
        if how == "refuse":
            self._stop_listening()
        self._end_connections()

    def recover(self) -> None:
        """Takes connections again."""
        self._accepts = True
        if self._listening is None:
            self._listen()

    def close(self) -> None:
        """Ends all connections, and waits for the threads; not for one that answers for longer than 10 s."""
        self._accepts = False
        self._stop_listening()
        self._end_connections()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(10.0)
        self._place.close()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        return made

    def _listen(self) -> None:
        listening = self._bound(self.port)
        listening.listen(512)
        self._listening = listening
        self._start(self._accept, listening)

    def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            _end(listening)
            listening.close()

    def _end_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                _end(connection)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            try:
                target(*arguments)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="fake-aws", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, address = listening.accept()
            except OSError:  # It has stopped listening.
                return
            with self._lock:
                self._connections.add(connection)
            self._start(self._serve, connection, address)

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            # It is among the connections already: an outage that begins now ends it.
            if self._accepts:
                # The client has gone away, or this side has.
                with contextlib.suppress(OSError, ValueError):
                    _Handler(connection, address, self)  # type: ignore[arg-type]
        finally:
            with self._lock:
                self._connections.discard(connection)
            _end(connection)
            connection.close()


def _end(connection: socket.socket) -> None:
    """Ends it for both sides, and wakes who waits on it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # The client was killed on the way.
            self.close_connection = True
            return
        reply = self.server.answer(Request.of(self.command, self.path, dict(self.headers.items()), body))
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
