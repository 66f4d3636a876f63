"""What holds for all tests of plugins that are at fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bunsui.performance.retrying import Backoff
from bunsui.runner import assembly
from bunsui.runner.attempts import remotes, results
from bunsui_tests.faulty import LONG


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for what hangs are short."""
    again = Backoff(first=0.01, longest=0.01)
    monkeypatch.setattr(remotes, "_AGAIN", again)
    monkeypatch.setattr(remotes, "PATIENCE", 0.3)
    monkeypatch.setattr(results, "STOPPING", 0.3)
    monkeypatch.setattr(assembly, "CLOSING", 0.5)


@pytest.fixture
def hang() -> Iterator[Callable[..., Any]]:
    """A method that hangs until the test is over."""
    over = threading.Event()
    yield lambda *_: over.wait(LONG)
    over.set()
