"""The log of one attempt: where its records come from, on their way into the log of its job."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.logging.channel import Channel
from bunsui.logging.plain import redacted, to_record
from bunsui.logging.records import to_line
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from bunsui.logging.channel import Redactor
    from bunsui.logging.collector import Collector
    from bunsui.logging.sinks import JobSink, Sinks
    from bunsui.ports.clock import Clock

#: Characters of the last line that an error quotes.
MAX_QUOTED = 300


class AttemptLog:
    """The log of one attempt; any thread may write to it. It costs no file before something is written.

    Args:
        store: keeps the logs of jobs.
        collector: reads what processes write.
        clock: says when something was read.
        folder: of the session's logs.
        job: the job's id.
        attempt: starts at 1.
        item: the index of the fan-out's item.
        redactor: knows the secrets of the attempt; None: there are none.
    """

    def __init__(
        self,
        store: Sinks,
        collector: Collector,
        clock: Clock,
        folder: Path,
        job: str,
        attempt: int,
        item: int | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._store = store
        self._collector = collector
        self._clock = clock
        self._folder = folder
        self._job = job
        self._attempt = attempt
        self._item = item
        self._redactor = redactor
        self._lock = threading.Lock()
        self._log: JobSink | None = None
        #: Who may still write to it: the attempt, and each channel.
        self._users = 1

    @property
    def files(self) -> Path:
        """A path beside the log, under the attempt's own name, in a folder that is made here.

        Raises:
            OSError: it can't be made.
        """
        for each in (self._folder.parent, self._folder):  # `mode` is not for parents.
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        return files_of(self._folder, self._job, self._attempt, self._item)

    def take(self, found: Mapping[str, Any]) -> None:
        """Writes a record in plain data; it never raises for what the disk does.

        Args:
            found: ``level``, ``logger`` and ``message``; and ``created`` (seconds since 1970), ``fields`` and
                ``exception`` as far as there is something to say.
        """
        at = self._time(found.get("created"))
        if self._redactor is not None:
            found = {key: redacted(value, self._redactor.redact) for key, value in found.items()}
        self._write(to_line(to_record(found, to_text(at), self._job, self._attempt, self._item)))

    def _time(self, created: Any) -> datetime:
        """When a record was made; now where that is no time, as of a record that a job has tampered with."""
        if created is not None:
            with contextlib.suppress(ValueError, OverflowError, OSError, TypeError):
                return datetime.fromtimestamp(created, UTC)
        return self._clock.now()

    def _write(self, lines: bytes) -> None:
        self._use(lambda log: log.append(lines))

    def _lose(self, records: int, why: str) -> None:
        self._use(lambda log: log.lose(records, why))

    def _use(self, step: Callable[[JobSink], None]) -> None:
        with self._lock:
            if self._log is None and self._users:
                self._log = self._store.take(self._folder, self._job)
            log = self._log
            self._users += log is not None
        if log is None:  # After the attempt's end: by a thread that it has left behind.
            with self._store.taken(self._folder, self._job) as log:
                step(log)
            return
        try:
            step(log)
        finally:
            self.close()

    @contextlib.contextmanager
    def streams(self) -> Iterator[Pipes]:
        """Pipes into the log. When they are left, it has, or counts, all that was written to them until then.

        What a child of a process writes to them later is still taken in, until the runner is closed.
        """
        pipes = Pipes(self._channel)
        try:
            with self._lock:
                self._users += len(pipes.channels)
            self._collector.add(pipes.channels, self.close)
            yield pipes
        finally:
            pipes.close()
            # The log stays open for what a child of the process writes later, and until the collector has
            # seen that there is none.
            self._use(lambda log: log.settle())

    def _channel(self, descriptor: int, stream: str, mark: bytes) -> Channel:
        return Channel(
            descriptor,
            stream,
            self._write,
            self._clock,
            self._job,
            self._attempt,
            self._item,
            self._redactor,
            mark,
            self.take,
            self._lose,
        )

    def close(self) -> None:
        """Says that one of those who write to it has ended; with the last, the file is let go of."""
        with self._lock:
            self._users -= 1
            if self._users or self._log is None:
                return
            self._log = None
        self._store.give_back(self._folder, self._job)


class Pipes:
    """See `bunsui.local.output.Streams`.

    Raises:
        OSError: the system gives no more descriptors.
    """

    def __init__(self, make: Any) -> None:
        self.mark = f"\x1e{os.urandom(8).hex()}:"
        with contextlib.ExitStack() as on_failure:
            out, self.stdout = _pipe(on_failure)
            err, self.stderr = _pipe(on_failure)
            on_failure.pop_all()
        #: The ends that are read.
        self.channels: tuple[Channel, ...] = (
            make(out, "stdout", b""),
            make(err, "stderr", self.mark.encode()),
        )

    def _drain(self) -> None:
        for channel in self.channels:
            channel.drain()

    def last_line(self) -> str:
        """The last line of stderr that is not blank, else of stdout; `MAX_QUOTED` characters at most."""
        self._drain()
        out, err = (channel.last_line for channel in self.channels)
        return (err or out).decode("utf-8", "replace")[:MAX_QUOTED]

    def close(self) -> None:
        """Closes the ends that are written to, and takes in what was."""
        for descriptor in (self.stdout, self.stderr):
            os.close(descriptor)
        self._drain()


def _pipe(on_failure: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        on_failure.callback(os.close, end)
    os.set_blocking(ends[0], False)
    return ends


def files_of(folder: Path, job: str, attempt: int, item: int | None) -> Path:
    """The path of an attempt's files, which its process works with while it runs."""
    return folder / (f"{job}.{attempt}.files" if item is None else f"{job}.{item}.{attempt}.files")
