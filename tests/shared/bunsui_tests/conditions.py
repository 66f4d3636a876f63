"""Waiting for what others do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> bool:
    """Whether something came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Returns when something has come true; that it does not is a failure."""
    assert wait_for(condition, seconds), f"not within {seconds} s"


def is_running(pid: int | None) -> bool:
    """Whether there is a process with this pid that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
