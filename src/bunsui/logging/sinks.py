"""Where the logs of jobs are written to: what files and CloudWatch Logs have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class JobSink(Protocol):
    """The log of one job; any thread may write to it. None of it raises for what lies behind it."""

    def append(self, data: bytes) -> None:
        """Appends whole lines, each with its line break."""
        ...

    def lose(self, records: int, why: str) -> None:
        """Counts records that never came here; their number is written before the next ones."""
        ...

    def settle(self) -> None:
        """Writes how many records are missing by now, where that is not done by itself."""
        ...


class Sinks(Protocol):
    """The logs that are being written, each once however many attempts write to it."""

    def take(self, folder: Path, job: str) -> JobSink:
        """The log of a job of the session with this folder, whose name is its id; see `give_back`."""
        ...

    def give_back(self, folder: Path, job: str) -> None:
        """Ends the log of a job where nobody else has taken it."""
        ...

    @contextlib.contextmanager
    def taken(self, folder: Path, job: str) -> Iterator[JobSink]:
        """The log of a job, while this lasts."""
        try:
            yield self.take(folder, job)
        finally:
            self.give_back(folder, job)
