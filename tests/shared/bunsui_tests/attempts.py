"""Attempts without a runner: the call that their code is given, and the log that it writes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from attrs import field, frozen

from bunsui.logging.attempt import AttemptLog
from bunsui.logging.collector import Collector
from bunsui.logging.files import FolderLogs
from bunsui.logging.filters import Filter
from bunsui.logging.log_store import LogStore
from bunsui.logging.reading import Reading
from bunsui.ports.job_type import JobCall
from bunsui.runner.clock import SystemClock


@frozen
class Bench:
    """The runner's side of a call, without a runner."""

    logger: logging.LoggerAdapter[Any] = field(
        factory=lambda: logging.LoggerAdapter(logging.getLogger("test"), {})
    )
    cancelled: threading.Event = field(factory=threading.Event)

    def run(self, work: Any, call: JobCall) -> Any:
        raise NotImplementedError


def make_call(parameters: Any = None, **fields: Any) -> JobCall:
    """A call with these parameters and other fields."""
    given = {
        "session_id": "s1",
        "pipeline": "p",
        "job_id": "a",
        "attempt": 2,
        "parameters": parameters or {},
        "options": {},
        "idempotency_key": "k1",
        "workbench": Bench(),
    }
    return JobCall(**{**given, **fields})


class AttemptLogs:
    """The logs of attempts, below folders; to be closed."""

    def __init__(self) -> None:
        self._collector, self._clock = Collector(), SystemClock()
        self._kept = LogStore(self._clock)

    def of(self, folder: Path, name: str = "a") -> AttemptLog:
        """The log of an attempt, below a folder."""
        return AttemptLog(self._kept, self._collector, self._clock, folder / "logs" / "s", name, 1)

    def close(self) -> None:
        self._collector.close()


def said(folder: Path, name: str = "a") -> list[str]:
    """What is in the log of an attempt, with level and logger where it was logged."""
    found = []
    for record in Reading("s", FolderLogs(folder / "logs" / "s"), {name}, Filter()).records():
        source = "" if record.logger is None else f"{record.level} {record.logger}: "
        found += f"{source}{record.message}".split("\n")
        found += [] if record.exception is None else record.exception.split("\n")
    return found
