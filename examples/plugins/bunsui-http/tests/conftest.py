"""A server on loopback, and a runner for jobs that ask it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from loopback import Handler, Http, Server

import bunsui
import bunsui_http


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()
    with Http(("127.0.0.1", 0), type("Told", (Handler,), {"told": told})) as http:
        told.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        told.ended.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def runner() -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", plugins=[bunsui_http], autoload_plugins=False) as runner:
        yield runner


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is asked directly, whatever the environment says."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
