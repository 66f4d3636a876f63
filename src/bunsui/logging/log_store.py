"""The files that the logs of jobs are kept in.

``FOLDER/SESSION/JOB.jsonl`` has the records of a job, all its attempts and items, a line of JSON each. It
goes on in ``JOB.0001.jsonl`` and so forth, each of about `SEGMENT` bytes, up to `LIMIT` bytes in all. In
``.jobs`` the jobs that have a log are named, so that one that is gone is told from one that never was.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.logging.last_notice import write_over_end
from bunsui.logging.records import LOG, OWN, to_line
from bunsui.logging.regular import open_regular
from bunsui.logging.sinks import Sinks
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock

#: Bytes of a file above which the log goes on in the next one.
SEGMENT = 16 * 1024 * 1024
#: Bytes of a job's log in all.
LIMIT = 100 * 1024 * 1024
#: The file that names the jobs of a session that have logged.
INDEX = ".jobs"
#: Bytes of that file that are read: more than the ids of 10,000 jobs take.
MAX_INDEX = 1024 * 1024
#: Bytes of the last record of a log that is full: its count is written over.
_LAST = 512

#: Why records are missing, as far as nothing else is known.
_DISK = "the disk did not take more"

_log = logging.getLogger(__name__)


def segment_name(job: str, number: int) -> str:
    """The name of the file with the number, which starts at 0."""
    return f"{job}.{number:04}.jsonl" if number else f"{job}.jsonl"


class JobLog:
    """Appends to the log of one job; any thread may.

    Whatever the disk does, it never raises: what can't be written is counted, and the count is written as
    soon as that works again.

    Args:
        folder: of the session's logs; made when something is written.
        job: its id.
        clock: says the time of its own records.
        segment: see `SEGMENT`.
        limit: see `LIMIT`.
    """

    def __init__(
        self, folder: Path, job: str, clock: Clock, segment: int = SEGMENT, limit: int = LIMIT
    ) -> None:
        self._folder = folder
        self._job = job
        self._clock = clock
        self._segment = segment
        self._limit = limit - _LAST
        self._lock = threading.Lock()
        self._file: int | None = None
        self._number = 0
        #: Bytes of the file, and of those before it.
        self._size = self._before = 0
        #: Whether the file may end within a line.
        self._torn = False
        #: Records that could not be written, since the last one that could.
        self._lost = 0
        self._why = _DISK
        #: How many of them a warning has named.
        self._told = 0
        #: Whether the limit has been reached, how many records came after that, and how many of them stand in
        #: the last record's count.
        self._full = False
        self._beyond = self._counted = 0
        #: What is to be said to the host, once the lock is free: its handlers may write to this log.
        self._warnings: list[tuple[object, ...]] = []
        self._warned = False

    def append(self, data: bytes) -> None:
        """Appends records.

        Args:
            data: whole lines, each with its line break.
        """
        with self._lock:
            self._append(data)
        self.warn()

    def lose(self, records: int, why: str) -> None:
        """Counts records that never came here; their number is written before the next ones.

        Args:
            records: how many.
            why: as the log and a warning say it.
        """
        with self._lock:
            if self._full:
                self._beyond += records
            else:
                self._miss(records, why, why)
        self.warn()

    def _append(self, data: bytes) -> None:
        try:
            self._open()
        except OSError as error:
            self._lose(data.count(b"\n"), error)
            return
        if self._full:
            self._beyond += data.count(b"\n")
            return
        owed, missing = self._lost, self._missing(self._lost) if self._lost else b""
        data = missing + data
        room = self._limit - self._before - self._size
        if len(data) <= room:
            self._write(data, len(missing), owed)
            return
        fits = data.rfind(b"\n", 0, max(room, 0)) + 1
        self._write(data[:fits] + self._last_record(0), len(missing), owed)
        self._beyond += data.count(b"\n", fits)
        self._full = not self._lost

    def _open(self) -> None:
        """Makes sure that the file is there, has an end, and is not too large."""
        if self._file is not None and not os.fstat(self._file).st_nlink:  # Somebody has removed it.
            self._shut()
        if self._file is None:
            for each in (self._folder.parent, self._folder):  # `mode` is not for parents.
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_link()
            self._number = self._before = 0
            while self._path(self._number + 1).exists():
                self._before += self._size_of(self._path(self._number))
                self._number += 1
            self._begin()
            self._look_at_end()
            self._note()
        if self._size >= self._segment and not self._full:
            self._shut()
            self._before += self._size
            self._number += 1
            self._begin()

    def _refuse_link(self) -> None:
        if self._folder.is_symlink():  # A job has put it in the folder's place.
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._folder))

    def _begin(self) -> None:
        self._file = open_regular(self._path(self._number), os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._size = os.fstat(self._file).st_size
        self._torn = self._size > 0 and os.pread(self._file, 1, self._size - 1) != b"\n"

    def _look_at_end(self) -> None:
        """Finds out whether an earlier runner has filled the log."""
        assert self._file is not None  # noqa: S101 - it has just been opened
        end = os.pread(self._file, _LAST, max(self._size - _LAST, 0))
        self._full = len(end) == _LAST and _is_last(end)

    def _note(self) -> None:
        """Notes that the job has a log."""
        index = open_regular(self._folder / INDEX, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            if self._job.encode() not in os.pread(index, MAX_INDEX, 0).split(b"\n"):
                os.write(index, f"{self._job}\n".encode())
        finally:
            os.close(index)

    def _path(self, number: int) -> Path:
        return self._folder / segment_name(self._job, number)

    @staticmethod
    def _size_of(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, data: bytes, noted: int = 0, owed: int = 0) -> None:
        """Writes whole lines.

        Args:
            data: the lines.
            noted: bytes of the first one, where that says how many records are missing before it.
            owed: how many it says are.
        """
        assert self._file is not None  # noqa: S101 - see _open
        rest = memoryview(b"\n" + data if self._torn else data)
        try:
            while rest:  # At once, mostly: so that a runner that was thought dead does not write in between.
                written = os.write(self._file, rest)
                self._size += written
                rest = rest[written:]
            self._torn, self._lost = False, 0
        except OSError as error:
            done = len(data) - len(rest)
            if done > 0:
                self._torn = data[done - 1 : done] != b"\n"
            elif done == 0:  # Nothing, or the line break that ends a torn line.
                self._torn = False
            # Without its line break it is a line all the same: the next one brings that.
            self._lost = owed if done < noted - 1 else 0
            # A torn line is lost as well, as its end is not written; unless that is but the line break.
            whole = done > noted and data[done : done + 1] == b"\n"
            self._lose(data.count(b"\n", max(done, noted)) - whole, error)

    def _lose(self, records: int, error: OSError) -> None:
        self._miss(records, _DISK, error.strerror or str(error))

    def _miss(self, records: int, why: str, exactly: str) -> None:
        self._lost += records
        self._why = why
        if not self._warned:
            self._warned = True
            text = "the log of job '%s' in %s can't be written: %s; the job goes on, what is lost is counted"
            self._warnings.append((text, self._job, self._folder, exactly))

    def warn(self) -> None:
        """Logs what there is to say about the log itself, as warnings."""
        if self._warnings:
            with self._lock:
                warnings, self._warnings = self._warnings, []
            for text, *values in warnings:
                _log.warning(text, *values)

    def _missing(self, lost: int) -> bytes:
        text = f"{lost} {'record is' if lost == 1 else 'records are'} missing here: {self._why}"
        return to_line(self._own(text, {"lost": lost}))

    def _last_record(self, beyond: int) -> bytes:
        text = f"this log is full ({(self._limit + _LAST) // 2**20} MiB): what follows is counted, not kept"
        line = to_line(self._own(text, {"lost": beyond, "full": True}))
        return line[:-1].ljust(_LAST - 1)[: _LAST - 1] + b"\n"

    def _own(self, message: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "time": to_text(self._clock.now()),
            "level": "WARNING",
            "job": self._job,
            "stream": LOG,
            "logger": OWN,
            "message": message,
            "fields": fields,
        }

    def _shut(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def settle(self) -> None:
        """Notes in the file what is missing by now; what a log that is full lacks, `close` alone warns of."""
        with self._lock:
            self._settle()
        self.warn()

    def close(self) -> None:
        """Closes the file; what is missing is noted in it. `warn` says so."""
        with self._lock:
            self._settle()
            if self._beyond:
                text = "the log of job '%s' in %s is full: %d records were not kept"
                self._warnings.append((text, self._job, self._folder, self._beyond))
                self._beyond = self._counted = 0
            self._shut()

    def _settle(self) -> None:
        if self._beyond > self._counted:
            self._count(self._beyond - self._counted)
            self._counted = self._beyond
        if lost := self._lost:
            self._append(b"")
            if self._lost:
                lost = self._write_over_end()
                self._shut()  # It does not end where it did.
            if lost != self._told:
                text = "the log of job '%s' in %s has lost %d records"
                self._warnings.append((text, self._job, self._folder, lost))
            self._told = self._lost

    def _write_over_end(self) -> int:
        """Notes what is missing in the place of the last records, if it can; says how many are missing."""
        # The last file may have been begun without room for a single record.
        for number in range(self._number, max(self._number - 2, -1), -1):
            with contextlib.suppress(OSError):
                self._refuse_link()
                lost = write_over_end(self._path(number), self._missing, self._lost)
                if lost is not None:
                    self._lost = 0
                    return lost
        return self._lost

    def _count(self, beyond: int) -> None:
        """Adds to the count that stands in the last record."""
        with contextlib.suppress(OSError, ValueError, KeyError):  # Somebody else has written there.
            path = self._path(self._number)
            with os.fdopen(open_regular(path, os.O_RDWR), "rb+") as file:
                file.seek(-_LAST, os.SEEK_END)
                before = json.loads(file.read())["fields"]["lost"]
                file.seek(-_LAST, os.SEEK_END)
                file.write(self._last_record(before + beyond))


def _is_last(line: bytes) -> bool:
    try:
        found = json.loads(line)
        return found["logger"] == OWN and found["fields"]["full"] is True
    except (ValueError, KeyError, TypeError):
        return False


class LogStore(Sinks):
    """The logs that are being written, each once however many attempts write to it.

    Args:
        clock: what its own records take their times from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[tuple[Path, str], tuple[JobLog, int]] = {}

    def take(self, folder: Path, job: str) -> JobLog:
        """The log of a job, to be given back with `give_back`."""
        with self._lock:
            log, users = self._open.get((folder, job)) or (JobLog(folder, job, self._clock), 0)
            self._open[folder, job] = (log, users + 1)
            return log

    def give_back(self, folder: Path, job: str) -> None:
        """Closes the log of a job where nobody else has taken it."""
        with self._lock:
            log, users = self._open.pop((folder, job))
            if users > 1:
                self._open[folder, job] = (log, users - 1)
                return
            # Within the lock: who takes it next has to see all that was written.
            log.close()
        log.warn()
