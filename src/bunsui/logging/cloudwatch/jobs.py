"""The logs of jobs in a group of CloudWatch Logs, as they are written.

The records of a job of a session, all its attempts and items, are the stream ``SESSION/JOB``. Each event is a
line of JSON as `bunsui.logging.records` has it, with one name more at its end, ``event``: who has sent it,
and its number. By that it is known again where it was sent twice, as the answer to the first time was lost.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

from bunsui.logging.cloudwatch.events import MAX_TEXT, fitting_line
from bunsui.logging.cloudwatch.queue import whole_lines
from bunsui.logging.log_store import LIMIT
from bunsui.logging.records import LOG, OWN, to_line
from bunsui.logging.sinks import Sinks
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.logging.cloudwatch.writer import Writer
    from bunsui.ports.clock import Clock

#: Bytes that the name at the end of a line takes, at most.
_END = 64


def stream_name(session: str, job: str) -> str:
    """The stream of a job of a session. Neither id has what no stream may: a colon or an asterisk."""
    return f"{session}/{job}"


class CloudJobLog:
    """Appends to the log of one job; any thread may. It never raises for what CloudWatch Logs does.

    Args:
        writer: sends it.
        session: the session's id.
        job: the job's.
        clock: says the time of its events, and of its own records.
        mark: begins the names of its events, which nobody else's have.
        limit: bytes that are sent until it is closed, at most.
    """

    def __init__(
        self, writer: Writer, session: str, job: str, clock: Clock, mark: str, limit: int = LIMIT
    ) -> None:
        self._writer = writer
        self._job = job
        self._clock = clock
        self._mark = mark
        self._lock = threading.Lock()
        self._number = 0
        #: Numbers of what says what is missing: it is no record that anybody has appended.
        self._notices = count()
        self._left = limit
        self._limit = limit
        #: Records that came after the limit was reached.
        self._beyond = 0
        self._full = False
        self._stream = writer.open(stream_name(session, job), self._notice)

    def append(self, data: bytes) -> None:
        """Appends records.

        Args:
            data: whole lines, each with its line break.
        """
        with self._lock:
            self._append(whole_lines(data))
        self.warn()  # Behind the lock: the host's handlers may write to this log.

    def _append(self, lines: Iterable[bytes]) -> None:
        texts: list[bytes] = []
        number = self._number
        for line in lines:
            if self._full:
                self._beyond += 1
                continue
            texts.append(self._named(line, number))
            number += 1
            self._left -= len(texts[-1])
            if self._left < 0:
                self._full = True
                said = f"this log is full ({self._limit / 2**20:.0f} MiB): what follows is counted, not kept"
                texts.append(self._named(self._own(said, {"lost": 0, "full": True}), number))
                number += 1
        if texts:
            self._number += self._writer.put(self._stream, self._now(), texts)

    def _named(self, line: bytes, number: int, more: str = "") -> bytes:
        end = f',"event":"{self._mark}{more}-{number}"}}'.encode()
        return fitting_line(line, MAX_TEXT - _END)[:-1] + end

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def lose(self, records: int, why: str) -> None:
        """Counts records that never came here; their number is written before the next ones.

        Args:
            records: how many.
            why: as the log says it.
        """
        with self._lock:
            if self._full:
                self._beyond += records
                return
        self._writer.lose(self._stream, records, why, self._now())

    def settle(self) -> None:
        """Nothing is to be done: what is missing is said as soon as there is room for it."""

    def close(self) -> None:
        """Says what a full log lacks, and ends; what was appended is still sent."""
        with self._lock:
            if self._beyond:
                said = f"{self._beyond} records were not kept: this log is full"
                line = self._own(said, {"lost": self._beyond, "full": True})
                self._number += self._writer.put(self._stream, self._now(), [self._named(line, self._number)])
        self._writer.release(self._stream)

    def warn(self) -> None:
        """Logs what there is to say about the log itself, as warnings."""
        self._writer.warn()

    def _notice(self, lost: int, why: str) -> bytes:
        text = f"{lost} {'record is' if lost == 1 else 'records are'} missing here: {why}"
        return self._named(self._own(text, {"lost": lost}), next(self._notices), ".n")

    def _own(self, message: str, fields: dict[str, Any]) -> bytes:
        record = {
            "time": to_text(self._clock.now()),
            "level": "WARNING",
            "job": self._job,
            "stream": LOG,
            "logger": OWN,
            "message": message,
            "fields": fields,
        }
        return to_line(record)[:-1]


class CloudLogStore(Sinks):
    """The logs that are being written, each once however many attempts write to it; see `LogStore`.

    Args:
        writer: sends them.
        clock: says the time of events.
        limit: see `CloudJobLog`.
    """

    def __init__(self, writer: Writer, clock: Clock, limit: int = LIMIT) -> None:
        self._limit = limit
        self._writer = writer
        self._clock = clock
        self._mark = secrets.token_hex(6)
        self._numbers = count()
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], tuple[CloudJobLog, int]] = {}

    def take(self, folder: Path, job: str) -> CloudJobLog:
        """The log of a job, to be given back with `give_back`.

        Args:
            folder: of what the session's attempts work with; its name is the session's id.
            job: the job's id.
        """
        key = (folder.name, job)
        with self._lock:
            found = self._open.get(key)
            if found is None:
                mark = f"{self._mark}.{next(self._numbers)}"
                found = CloudJobLog(self._writer, *key, self._clock, mark, self._limit), 0
            self._open[key] = (found[0], found[1] + 1)
            return found[0]

    def give_back(self, folder: Path, job: str) -> None:
        """Closes the log of a job where nobody else has taken it."""
        with self._lock:
            log, users = self._open.pop((folder.name, job))
            if users > 1:
                self._open[folder.name, job] = (log, users - 1)
                return
        log.close()
        log.warn()
