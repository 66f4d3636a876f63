"""Servers that are not there, are silent, are busy; timeouts and cancellations."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from loopback import Handler, Http, Server, failure, output, run

import bunsui
import bunsui_http
from bunsui_http.exchange import retry_after


def test_no_server(runner: bunsui.Runner) -> None:
    """The port is free: nobody answers there. Another attempt may find somebody."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a?token=x"
        error = failure(runner, url=url)
    assert ("Http.ConnectError", True) == (error.code, error.retryable)
    assert "token" not in error.message


def test_no_such_host(runner: bunsui.Runner) -> None:
    """RFC 2606 keeps the name from being anybody's."""
    error = failure(runner, url="http://no-such-host.invalid/")
    assert ("Http.ConnectError", True) == (error.code, error.retryable)


@pytest.mark.parametrize(
    ("fields", "retryable"),
    [({}, True), ({"method": "POST"}, True), ({"method": "POST", "idempotency_key": False}, False)],
)
def test_a_lost_connection(
    runner: bunsui.Runner, server: Server, fields: dict[str, Any], retryable: bool
) -> None:
    """A request that may have had its effect, and can't be known again, is not repeated."""

    def hang_up(handler: Any) -> None:
        handler.close_connection = True

    server.answers["/a"] = hang_up
    error = failure(runner, url=server.url("/a"), **fields)
    assert ("Http.Disconnected", retryable) == (error.code, error.retryable)


class TestSilence:
    """A server that takes a request, and says nothing."""

    @pytest.fixture(autouse=True)
    def _silent(self, server: Server) -> None:
        self.entered = threading.Event()

        def silent(handler: Any) -> None:
            self.entered.set()
            server.ended.wait(60)

        server.answers["/a"] = silent

    def test_read_timeout(self, runner: bunsui.Runner, server: Server) -> None:
        """It has its own code."""
        error = failure(runner, url=server.url("/a"), read_timeout=0.2)
        assert ("Http.Timeout", True) == (error.code, error.retryable)
        assert "silent for 0.2 s" in error.message

    def test_timeout_of_the_job(self, runner: bunsui.Runner, server: Server) -> None:
        """The runner cancels the request."""
        error = failure(runner, url=server.url("/a"), timeout=0.5)
        assert "JobTimeout" == error.code
        assert "was cancelled" in error.message

    def test_cancel(self, runner: bunsui.Runner, server: Server) -> None:
        """Of the session, while the server is silent."""
        session = runner.start(bunsui.Pipeline("p", [bunsui.Job("ask", "http", url=server.url("/a"))]))
        assert self.entered.wait(30)
        session.cancel("enough")
        assert ("cancelled", "enough") == (session.wait(30), session.jobs["ask"].reason)

    def test_cancel_while_a_file_is_written(
        self, runner: bunsui.Runner, server: Server, tmp_path: Path
    ) -> None:
        """Nothing of it is left."""

        def half(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write(b"x" * 500_000)
            self.entered.set()
            server.ended.wait(60)

        server.answers["/a"] = half
        job = bunsui.Job("ask", "http", url=server.url("/a"), into=str(tmp_path / "new"))
        session = runner.start(bunsui.Pipeline("p", [job]))
        until = time.monotonic() + 30
        while not any(path.stat().st_size for path in tmp_path.iterdir()) and time.monotonic() < until:
            time.sleep(0.01)
        session.cancel()
        assert "cancelled" == session.wait(30)
        assert [] == list(tmp_path.iterdir())


class TestASlowDisk:
    """A job that is cancelled while the system is busy with its file, in a thread that nobody can stop."""

    @pytest.fixture(autouse=True)
    def _busy(self, runner: bunsui.Runner, server: Server, tmp_path: Path) -> Iterator[None]:
        """Has an answer saved, and is given `busy` to call where the disk is slow."""
        self.entered, self.go_on, self.returned = threading.Event(), threading.Event(), threading.Event()
        self.errors: list[OSError] = []
        server.answers["/a"] = lambda handler: handler.answer(200, b"abc")
        self.pipeline = bunsui.Pipeline(
            "p", [bunsui.Job("ask", "http", url=server.url("/a"), into=str(tmp_path / "new"))]
        )
        yield
        self.go_on.set()

    def busy(self, call: Callable[..., Any], *arguments: Any) -> Any:
        self.entered.set()
        self.go_on.wait(30)
        try:
            return call(*arguments)
        except OSError as error:
            self.errors.append(error)
            raise
        finally:
            self.returned.set()

    def cancelled(self, runner: bunsui.Runner) -> None:
        """Cancels the session while the disk is busy, which goes on a little later."""
        session = runner.start(self.pipeline)
        assert self.entered.wait(30)
        session.cancel()
        with contextlib.suppress(TimeoutError):  # Whoever does not wait for the thread ends here.
            session.wait(1)
        self.go_on.set()
        assert self.returned.wait(30)
        assert "cancelled" == session.wait(30)

    def test_while_it_is_opened(
        self, runner: bunsui.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file that comes to be only then is not left behind."""
        opens = Path.open

        def slow(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.parent != tmp_path:
                return opens(path, *arguments, **more)
            return self.busy(opens, path, *arguments)

        monkeypatch.setattr(Path, "open", slow)
        self.cancelled(runner)
        assert [] == list(tmp_path.iterdir())

    def test_while_it_is_synced(
        self, runner: bunsui.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not closed under the hands of who does that, and is there with all of its content."""
        syncs = os.fsync

        def slow(descriptor: int) -> None:
            if threading.current_thread().name.startswith("asyncio"):
                return self.busy(syncs, descriptor)  # type: ignore[no-any-return]
            return syncs(descriptor)

        monkeypatch.setattr(os, "fsync", slow)
        self.cancelled(runner)
        assert [] == self.errors
        assert [b"abc"] == [path.read_bytes() for path in tmp_path.iterdir()]


class TestRetryAfter:
    """A busy server that says when to come back."""

    def test_it_is_asked_again(self, runner: bunsui.Runner, server: Server) -> None:
        """Within the attempt."""
        times: list[float] = []

        def busy_once(handler: Any) -> None:
            times.append(time.monotonic())
            handler.answer(429 if len(times) == 1 else 200, b"done", Retry_After="2")

        server.answers["/a"] = busy_once
        state = run(runner, bunsui.Job("ask", "http", url=server.url("/a"), method="POST", retry=3))
        assert ("done", 1) == (state.output["body"], len(state.attempts))
        assert times[1] - times[0] >= 2
        keys = {asked.headers["Idempotency-Key"] for asked in server.asked}
        assert 1 == len(keys)

    @pytest.mark.parametrize(
        "fields", [{"max_wait": 0}, {"max_wait": 59}, {"max_wait": 3600, "timeout": 30}], ids=str
    )
    def test_too_long(self, runner: bunsui.Runner, server: Server, fields: dict[str, Any]) -> None:
        """Longer than the job may wait, or than it has time: it fails at once."""
        server.answers["/a"] = lambda handler: handler.answer(503, Retry_After="60")
        error = failure(runner, url=server.url("/a"), **fields)
        assert ("Http.503", True, 1) == (error.code, error.retryable, len(server.asked))

    def test_a_server_that_is_busy_for_ever(self, runner: bunsui.Runner, server: Server) -> None:
        """It is not asked in a rush, and not without end."""
        server.answers["/a"] = lambda handler: handler.answer(503, Retry_After="0")
        assert "Http.503" == failure(runner, url=server.url("/a"), max_wait=2.5).code
        assert 3 == len(server.asked)

    def test_an_expected_status(self, runner: bunsui.Runner, server: Server) -> None:
        """It is an answer like others."""
        server.answers["/a"] = lambda handler: handler.answer(503, Retry_After="1")
        assert 503 == output(runner, url=server.url("/a"), expect=[503])["status"]
        assert 1 == len(server.asked)

    def test_its_forms(self) -> None:
        """A number of seconds, or a date."""
        now = datetime(2026, 5, 4, 12, tzinfo=UTC)
        date = format_datetime(now + timedelta(seconds=90), usegmt=True)
        wrong = ["", "soon", "-1", "1.5", "٣"]
        assert [3, 90] == [retry_after(value, now) for value in ("3", date)]
        assert [None] * len(wrong) == [retry_after(value, now) for value in wrong]


def test_an_untrusted_certificate(runner: bunsui.Runner, tmp_path: Path) -> None:
    """No attempt can mend it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-subj", "/CN=127.0.0.1", "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Http(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        error = failure(runner, url=f"https://127.0.0.1:{http.server_address[1]}/")
        http.shutdown()
        thread.join()
    assert ("Http.UntrustedCertificate", False) == (error.code, error.retryable)


def test_hundreds_at_once(server: Server) -> None:
    """They wait in one event loop, not in a thread each."""
    most = [0]

    def slow(handler: Any) -> None:
        names = [thread.name for thread in threading.enumerate()]
        # Those of the server itself are called process_request_thread.
        most[0] = max(most[0], sum("process_request" not in name for name in names))
        server.ended.wait(0.3)
        handler.answer(200)

    server.answers["/a"] = slow
    with bunsui.Runner(
        "memory://", plugins=[bunsui_http], autoload_plugins=False, max_concurrency=100
    ) as wide:
        job = bunsui.Job("ask", "http", url=server.url("/a"), for_each=list(range(100)))
        assert 100 == len(run(wide, job).output)
    assert most[0] < 50


def test_the_plugin_imports_no_httpx() -> None:
    """Whoever has installed it and asks nothing pays nothing."""
    program = (
        "import sys, bunsui, bunsui_http\n"
        "bunsui.Plugins([bunsui_http], autoload=False).job_types\n"
        "print([name for name in ('httpx', 'asyncio', 'ssl') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "[]\n" == done.stdout
