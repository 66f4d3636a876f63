"""Reading the files of one job's log, from any position, while somebody may be writing to them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from bunsui.errors import StoreError
from bunsui.logging.log_store import INDEX, LIMIT, MAX_INDEX, segment_name
from bunsui.logging.regular import open_regular, regular_size
from bunsui.logging.sources import JobSource, SessionSource

_NAME = re.compile(r"([^.]+)(?:\.(\d{4}))?\.jsonl")
#: What the folder's list of jobs may name: no message has anything else that a job has put there.
_JOB = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
#: Bytes of the largest file that is read; bunsui begins the next one long before.
MAX_FILE = LIMIT


class JobFiles(JobSource):
    """The log of one job, read in blocks of whole lines. It holds no file open, and its position is exact.

    Args:
        folder: of the session's logs.
        job: its id.
    """

    def __init__(self, folder: Path, job: str) -> None:
        super().__init__(job)
        self._folder = folder
        #: Where the next block begins: the number of a file, and bytes in it.
        self._number = self._offset = 0
        #: The number of the last file that there was, and its bytes, when that was looked at.
        self._end = (0, 0)
        #: The files that should be there and are not, in their order.
        self.gone: dict[Path, None] = {}

    def look(self, last: int) -> None:
        """Finds out where the log ends now: what is written later is not read before the next look.

        Args:
            last: the number of the last file that is known.
        """
        last = max(last, self._number)
        while self._path(last + 1).exists():
            last += 1
        self._end = (last, self._size(last))
        if self._number == last and self._offset > self._end[1]:  # Somebody has begun it anew.
            self._offset = 0

    def block(self, size: int) -> bytes:
        """The next whole lines; nothing where there are no more up to the last look.

        Args:
            size: bytes that they have at most, unless a line is longer.
        """
        last, length = self._end
        while (self._number, self._offset) < self._end:
            # The files before the last one are complete.
            complete = self._number < last
            data = self._read(size if complete else min(size, length - self._offset))
            end = data.rfind(b"\n") + 1
            if end:
                self._offset += end
                return data[:end]
            if len(data) == size and (complete or self._offset + size < length):
                size *= 2
                continue
            if not complete:
                break
            self._number, self._offset = self._number + 1, 0
            if data:  # A torn line, that nobody will complete.
                return data + b"\n"
        return b""

    def rest(self) -> bytes:
        """The beginning of a line that was not complete at the last look; it is not given again."""
        last, length = self._end
        if self._number != last or self._offset >= length:
            return b""
        data = self._read(length - self._offset)
        self._offset += len(data)
        return data

    def _read(self, size: int) -> bytes:
        path = self._path(self._number)
        try:
            with _opened(path) as file:
                file.seek(self._offset)
                return file.read(size)
        except FileNotFoundError:
            self._miss(path)
            return b""
        except OSError as error:
            raise unreadable(path, error) from error

    def _size(self, number: int) -> int:
        path = self._path(number)
        try:
            return _checked(path, regular_size(path))
        except FileNotFoundError:
            self._miss(path)
            return 0
        except OSError as error:
            raise unreadable(path, error) from error

    def _miss(self, path: Path) -> None:
        self.gone[path] = None

    def _path(self, number: int) -> Path:
        return self._folder / segment_name(self.job, number)

    def go_to_last(self, lines: int) -> None:
        """Goes to where the last lines begin: so many, or as many as there are; `look` comes before."""
        number, _ = self._end
        while True:
            try:
                left, offset = _before_last(self._path(number), lines)
            except FileNotFoundError:
                self._miss(self._path(number))
                left, offset = lines, 0
            except OSError as error:
                raise unreadable(self._path(number), error) from error
            if left <= 0 or number == 0:
                break
            lines, number = left, number - 1
        self._number, self._offset = number, offset


class FolderLogs(SessionSource):
    """The logs of a session in its folder.

    Args:
        folder: its name is the session's id; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def jobs(self) -> dict[str, int]:
        """See `SessionSource.jobs`: each with the number of its last file."""
        return jobs_in(self._folder)

    def source(self, job: str) -> JobFiles:
        """See `SessionSource.source`."""
        return JobFiles(self._folder, job)

    def gone(
        self,
        read: Mapping[str, JobSource],
        is_wanted: Callable[[str], bool],
        expected: Callable[[], Iterable[str]],
    ) -> list[tuple[str, str]]:
        """See `SessionSource.gone`: files that the folder, or the session, says were there."""
        if not self._folder.exists():
            jobs = [job for job in expected() if is_wanted(job)]
            if jobs and not self._folder.exists():  # Their runner may have made it just now.
                return [(job, str(self._first(job))) for job in jobs]
        # In this order: the file of a job is there before it is noted.
        noted, there = noted_jobs(self._folder), jobs_in(self._folder)
        gone = [(job, path) for job, each in read.items() if isinstance(each, JobFiles) for path in each.gone]
        gone += [(job, self._first(job)) for job in noted - there.keys() - read.keys() if is_wanted(job)]
        return [(job, str(path)) for job, path in sorted(gone)]

    def _first(self, job: str) -> Path:
        return self._folder / segment_name(job, 0)


def _before_last(path: Path, lines: int, step: int = 1 << 16) -> tuple[int, int]:
    """How many of the last lines a file does not have, and where they begin in it."""
    with _opened(path) as file:
        start = file.seek(0, os.SEEK_END)
        # The line break that ends a line is before the one that is looked for.
        lines += 1
        while start > 0:
            size = min(step, start)
            start -= size
            file.seek(start)
            data = file.read(size)
            found = data.count(b"\n")
            if found < lines:
                lines -= found
                continue
            at = len(data)
            for _ in range(lines):
                at = data.rfind(b"\n", 0, at)
            return 0, start + at + 1
    return lines - 1, 0


def _opened(path: Path) -> BinaryIO:
    """A file of a log, to be read.

    Raises:
        OSError: it can't be, or is none that bunsui has written.
    """
    _checked(path, regular_size(path))
    return os.fdopen(open_regular(path, os.O_RDONLY), "rb")


def _checked(path: Path, size: int) -> int:
    if size > MAX_FILE:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than bunsui writes", str(path))
    return size


def jobs_in(folder: Path) -> dict[str, int]:
    """The jobs that have files in a folder, each with the number of its last one."""
    found: dict[str, int] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is wanted, of thousands of files
    except FileNotFoundError:
        return found
    except OSError as error:
        raise unreadable(folder, error) from error
    for name in names:
        parts = _NAME.fullmatch(name)
        if parts is not None:
            found[parts[1]] = max(found.get(parts[1], 0), int(parts[2] or 0))
    return found


def noted_jobs(folder: Path) -> set[str]:
    """The jobs that have logged something, as the folder itself says."""
    path = folder / INDEX
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            names = file.read(MAX_INDEX).decode("ascii", "replace").split("\n")
        return {name for name in names if _JOB.fullmatch(name)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> StoreError:
    """The error that a log can't be read."""
    return StoreError(
        f"the log {path} can't be read: {error.strerror or error}",
        hint="see whom it belongs to, and whether the disk is well",
    )
