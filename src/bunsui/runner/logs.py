"""Where the logs of jobs are: a folder beside the store, a file for each attempt."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bunsui.local.process import clear
from bunsui.local.results import unwritable

#: Such as ``2013-01-31 17:00:00,000 INFO text``; files of processes hold what they wrote, as it is.
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class Logs:
    """The log files of a store's sessions: ``FOLDER/SESSION/JOB.ATTEMPT.log``, or ``JOB.ITEM.ATTEMPT.log``.

    Args:
        folder: made when the first log is written; None: a temporary one, gone with this object.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._making = threading.Lock()
        self._temporary: weakref.finalize[Any, Any] | None = None

    def session_folder(self, session: str) -> Path:
        """The folder of a session's logs; it need not exist."""
        with self._making:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="bunsui-logs-"))
                self._temporary = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / session

    def path(self, session: str, job: str, attempt: int, item: int | None = None) -> Path:
        """The file of an attempt's log, in a folder that exists."""
        folder = self.session_folder(session)
        for each in (folder.parent, folder):  # `mode` is not for parents.
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / _name(job, attempt, item)

    def clear(self, session: str, job: str, attempt: int, item: int | None) -> None:
        """Ends and removes what an attempt whose runner is gone left: its process, and files with secrets."""
        if self._folder is not None:
            clear(self._folder / session / _name(job, attempt, item))

    def write(self, path: Path, text: str) -> None:
        """Appends text to a log file."""
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)

    def logger(self, path: Path, redact: Callable[[str], str] | None = None) -> logging.LoggerAdapter[Any]:
        """A logger that writes to a log file only, opened for each record; each passes through `redact`."""
        # Not from logging.getLogger: those live as long as the process.
        logger = logging.Logger(path.stem, logging.DEBUG)
        handler = _FileHandler(self, path, redact)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        return logging.LoggerAdapter(logger, {})


def _name(job: str, attempt: int, item: int | None) -> str:
    return f"{job}.{attempt}.log" if item is None else f"{job}.{item}.{attempt}.log"


class _FileHandler(logging.Handler):
    def __init__(self, logs: Logs, path: Path, redact: Callable[[str], str] | None) -> None:
        super().__init__()
        self._logs = logs
        self._path = path
        self._redact = redact

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            self._logs.write(self._path, (text if self._redact is None else self._redact(text)) + "\n")
        except Exception:  # As every handler does: what can't be logged must not fail the job.
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if self._redact is None:
            super().handleError(record)
            return
        with contextlib.suppress(OSError):  # Not on stderr, nor with the record's arguments.
            self._logs.write(self._path, self._redact(unwritable(record)) + "\n")
