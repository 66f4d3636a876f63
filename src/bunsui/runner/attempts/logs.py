"""The logs of the sessions of a store, as a runner writes them and a handle reads them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import stat
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bunsui.local.identity import is_dead, this_process
from bunsui.local.log_records import CallLogger, RecordHandler
from bunsui.local.process import clear
from bunsui.logging.attempt import AttemptLog, files_of
from bunsui.logging.collector import Collector
from bunsui.logging.log_store import LogStore
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from bunsui.local.redaction import Redactor
    from bunsui.ports.clock import Clock

#: How the temporary folder of a runner begins, and the file in it that says whose it is.
_PREFIX = "bunsui-logs-"
_OWNER = "owner.json"


class Logs:
    """The logs of a store's sessions; nothing is made, and no thread started, before something is written.

    Args:
        folder: of all sessions; None: a temporary one, gone with this object.
        clock: what records take their times from; None: the system's.
    """

    def __init__(self, folder: Path | None, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._making = threading.Lock()
        self._temporary: weakref.finalize[Any, Any] | None = None
        self._store = LogStore(self._clock)
        self._collector = Collector()

    def session_folder(self, session: str) -> Path:
        """The folder of a session's logs; it need not exist."""
        with self._making:
            if self._folder is None:
                _remove_left_folders()
                self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
                self._temporary = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
                with contextlib.suppress(OSError):  # Then it is nobody's to remove.
                    (self._folder / _OWNER).write_text(json.dumps(this_process()), encoding="utf-8")
        return self._folder / session

    def attempt(
        self, session: str, job: str, attempt: int, item: int | None = None, redactor: Redactor | None = None
    ) -> AttemptLog:
        """The log of an attempt; the values that `redactor` knows do not come into it."""
        folder = self.session_folder(session)
        return AttemptLog(self._store, self._collector, self._clock, folder, job, attempt, item, redactor)

    def clear(self, session: str, job: str, attempt: int, item: int | None) -> None:
        """Ends and removes what an attempt whose runner is gone left: its process, and files with secrets."""
        if self._folder is not None:
            clear(files_of(self._folder / session, job, attempt, item))

    def close(self) -> None:
        """Takes in what processes have written, and ends."""
        self._collector.close()


def logger(log: AttemptLog, name: str) -> logging.LoggerAdapter[Any]:
    """A logger that writes to the log of an attempt only, from ``DEBUG`` on."""
    # Not from logging.getLogger: those live as long as the process.
    made = logging.Logger(name, logging.DEBUG)
    made.addHandler(RecordHandler(log.take))
    return CallLogger(made)


def _remove_left_folders() -> None:
    """Removes the temporary folders of this user's runners that were killed."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                about = folder.lstat()
                mine = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
                if mine and is_dead(json.loads((folder / _OWNER).read_text(encoding="utf-8"))):
                    shutil.rmtree(folder, ignore_errors=True)
