"""Reading logs across jobs, to their end or for as long as something is written to them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

from bunsui.errors import NotFound
from bunsui.logging.files import JobFiles, jobs_in, noted_jobs
from bunsui.logging.filters import TIME, Filter
from bunsui.logging.records import from_line
from bunsui.model.log import LogRecord

#: Bytes of the blocks that are held in memory, over all jobs, and of one of them.
_MEMORY = 32 * 1024 * 1024
_BLOCKS = (16 * 1024, 1024 * 1024)


class Reading:
    """The records of a session, by time, those of each job in the order in which they were written.

    Args:
        folder: of the session's logs.
        wanted: the ids of jobs; None: all.
        chosen: which records are wanted.
        expected: the jobs that must have left a folder here, as far as that is known.
    """

    def __init__(
        self,
        folder: Path,
        wanted: Container[str] | None,
        chosen: Filter,
        expected: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._folder = folder
        self._wanted = wanted
        self._filter = chosen
        self._expected = expected
        self._files: dict[str, JobFiles] = {}

    def records(self) -> Iterator[LogRecord]:
        """What has been written since the last call."""
        for job in sorted(jobs_in(self._folder) - set(self._files)):
            if self._wanted is None or job in self._wanted:
                self._files[job] = JobFiles(self._folder, job)
        files = list(self._files.values())
        least, most = _BLOCKS
        size = min(max(_MEMORY // max(len(files), 1), least), most)
        if len(files) == 1:
            yield from map(itemgetter(1), self._of_job(files[0], size))
            return
        for _, record in heapq.merge(*(self._of_job(each, size) for each in files), key=itemgetter(0)):
            yield record

    def _of_job(self, files: JobFiles, size: int) -> Iterator[tuple[bytes, LogRecord]]:
        """The records of a job, with a time that never falls."""
        latest = b""
        while block := files.block(size):
            for line in self._filter.records(block):
                record = from_line(line, files.job)
                if self._filter.takes(record):
                    if not record.damaged and (time := line[TIME]) > latest:
                        latest = time
                    yield latest, record

    def last(self, count: int) -> Iterator[LogRecord]:
        """The last records that there are; what is written after them, `records` gives."""
        for job in jobs_in(self._folder):
            if self._wanted is None or job in self._wanted:
                self._files[job] = JobFiles(self._folder, job)
                if self._filter.takes_all:
                    self._files[job].go_to_last(count)
        yield from deque(self.records(), maxlen=count)

    def follow(self, rests: Callable[[], bool], wait: Callable[[bool], None]) -> Iterator[LogRecord]:
        """What is written from now on, until the session rests and all of it has been read.

        Args:
            rests: whether the session rests.
            wait: waits until something may have been written; it is told whether something was, just now.
        """
        while True:
            resting, any_new = rests(), False
            for record in self.records():
                any_new = True
                yield record
            if resting and not any_new:
                return
            if not resting:
                wait(any_new)

    def check(self) -> None:
        """Makes sure that all that should be there was.

        Raises:
            NotFound: a log is gone; it is named.
        """
        if not self._folder.exists():
            jobs = [job for job in self._expected() if self._wanted is None or job in self._wanted]
            if jobs:
                raise _gone(
                    self._folder, f"that of job '{jobs[0]}' should be there" if len(jobs) == 1 else ""
                )
            return
        noted = noted_jobs(self._folder)
        for job in sorted(noted):
            if (self._wanted is None or job in self._wanted) and job not in self._files:
                raise _gone(self._folder / f"{job}.jsonl", "the rest can be read")
        for files in self._files.values():
            for path in files.gone:
                raise _gone(path, "the rest can be read")


def _gone(path: Path, more: str) -> NotFound:
    said = f": {more}" if more else ""
    return NotFound(f"the log {path} is gone{said}", kind="log", name=str(path))
