"""Reading logs across jobs, to their end or for as long as something is written to them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from bunsui.errors import NotFound
from bunsui.logging.filters import Filter
from bunsui.logging.records import from_line
from bunsui.logging.sources import JobSource, SessionSource
from bunsui.model.log import LogRecord

#: Bytes of the blocks that are held in memory, over all jobs, and of one of them.
_MEMORY = 32 * 1024 * 1024
_BLOCKS = (4 * 1024, 256 * 1024)
#: Files that are named where more are gone.
_NAMED = 5


class Elsewhere:
    """What the jobs of a session have logged elsewhere than in its folder; here, nothing."""

    @property
    def may_grow(self) -> bool:
        """Whether something may come yet, though the session rests."""
        return False

    def look(self, last: int | None, *, ends: bool) -> list[Iterator[tuple[datetime, LogRecord | None]]]:
        """What has come since the last look, from each place by itself, each with a time that never falls.

        None in place of a record says that there is none before this time.

        Args:
            last: only the last so many of each place are wanted; None: all.
            ends: whether all jobs that are to log something have begun.
        """
        del last, ends
        return []

    def replaces(self, job: str) -> bool:
        """Whether records of a job's own log may be among those that `takes` does not take."""
        del job
        return False

    def takes(self, record: LogRecord) -> bool:
        """Whether a record of the folder is given now. Who is asked has given all that is older."""
        del record
        return True

    def rest(self) -> Iterator[LogRecord]:
        """What there is to say at the end of a look, whatever records are wanted."""
        return iter(())


class Reading:
    """The records of a session, by time, those of each job in the order in which they were written.

    Args:
        session: the session's id.
        source: its logs.
        wanted: the ids of jobs; None: all.
        chosen: which records are wanted.
        expected: the jobs that must have left a folder here, as far as that is known.
        elsewhere: what is read beside the folder.
    """

    def __init__(
        self,
        session: str,
        source: SessionSource,
        wanted: Container[str] | None,
        chosen: Filter,
        expected: Callable[[], Iterable[str]] = tuple,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._session = session
        self._source = source
        self._elsewhere = elsewhere or Elsewhere()
        self._wanted = wanted
        self._filter = chosen
        self._expected = expected
        self._files: dict[str, JobSource] = {}

    def records(self, last: int | None = None, *, ends: bool = True) -> Iterator[LogRecord]:
        """What was written between the last call and this one.

        Args:
            last: only so many of them, the last ones.
            ends: whether a line that is not complete counts as one: nobody may go on with it.
        """
        files = self._look()
        # In this order: so it knows of each record that is read which is read elsewhere.
        least = last if self._filter.takes_all else None
        others = self._elsewhere.look(least, ends=ends)
        if least is not None:
            for each in files:
                if not self._elsewhere.replaces(each.job):
                    each.go_to_last(least)
        found = self._merged(files, others, ends=ends)
        yield from found if last is None else deque(found, maxlen=last)
        yield from self._elsewhere.rest()

    def _look(self) -> list[JobSource]:
        """The logs, each up to where it ends now: so this pass ends, and the next one has what is new."""
        there = self._source.jobs()
        for job in sorted(there.keys() - self._files.keys()):
            if self._wanted is None or job in self._wanted:
                self._files[job] = self._source.source(job)
        for job, files in self._files.items():
            files.look(there.get(job, 0))
        return list(self._files.values())

    def _merged(
        self, files: list[JobSource], others: list[Iterator[tuple[datetime, LogRecord | None]]], *, ends: bool
    ) -> Iterator[LogRecord]:
        least, most = _BLOCKS
        size = min(max(_MEMORY // max(len(files), 1), least), most)
        parts = [self._of_job(each, size, ends=ends) for each in files]
        if not others and not any(self._elsewhere.replaces(each.job) for each in files):
            merged = parts[0] if len(parts) == 1 else heapq.merge(*parts, key=itemgetter(0))
            return map(itemgetter(1), merged)
        # Of the same time, what is elsewhere comes first: see `Elsewhere.takes`.
        return self._with_others(heapq.merge(*others, *map(self._own, parts), key=itemgetter(0)))

    @staticmethod
    def _own(part: Iterator[tuple[datetime, LogRecord]]) -> Iterator[tuple[datetime, LogRecord, bool]]:
        return ((time, record, True) for time, record in part)

    def _with_others(self, merged: Iterator[tuple[Any, ...]]) -> Iterator[LogRecord]:
        for _, record, *own in merged:
            if record is not None and (not own or self._elsewhere.takes(record)):
                yield record

    def _of_job(self, files: JobSource, size: int, *, ends: bool) -> Iterator[tuple[datetime, LogRecord]]:
        """The records of a job, with a time that never falls."""
        latest = datetime.min.replace(tzinfo=UTC)
        while block := files.block(size) or (files.rest() if ends else b""):
            for line in self._filter.lines(block):
                record = from_line(line, files.job)
                if self._filter.takes(record, line):
                    latest = max(latest, record.time)
                    yield latest, record

    def follow(self, rests: Callable[[], bool], wait: Callable[[bool], None]) -> Iterator[LogRecord]:
        """What is written from now on, until the session rests, and all of it has been read, elsewhere too.

        Args:
            rests: whether the session rests; what its jobs have logged was written before it does.
            wait: waits until something may have been written; it is told whether something was, just now.
        """
        while True:
            resting, any_new = rests(), False
            for record in self.records(ends=resting):
                any_new = True
                yield record
            # Both are asked: a log that may grow has its last look after that.
            if resting and not any([self._elsewhere.may_grow, self._source.may_grow()]):
                return
            wait(any_new)

    def check(self) -> None:
        """Makes sure that all that should be there was.

        Raises:
            NotFound: a log is gone: it names job, session and file.
        """
        if gone := self._source.gone(self._files, self._is_wanted, self._expected):
            raise self._gone(gone)

    def _is_wanted(self, job: str) -> bool:
        return self._wanted is None or job in self._wanted

    def _gone(self, gone: list[tuple[str, str]]) -> NotFound:
        job, path = gone[0]
        others = [each for _, each in gone[1:_NAMED]] + (["more"] if len(gone) > _NAMED else [])
        also = f"; also {', '.join(others)}" if others else ""
        return NotFound(
            f"the log of job '{job}' of session {self._session} is gone: {path}{also}",
            kind="log",
            name=path,
            hint="all else that there is has been read" if self._files else self._source.hint,
        )
