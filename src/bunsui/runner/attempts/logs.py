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
from bunsui.logging.files import FolderLogs
from bunsui.logging.log_store import LogStore
from bunsui.runner import folders
from bunsui.runner.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bunsui.local.redaction import Redactor
    from bunsui.logging.cloudwatch.logs import CloudLogs
    from bunsui.logging.sinks import Sinks
    from bunsui.logging.sources import SessionSource
    from bunsui.ports.clock import Clock

#: How the temporary folder of a runner begins, and the file in it that says whose it is.
_PREFIX = "bunsui-logs-"
_OWNER = "owner.json"


class Logs:
    """The logs of a store's sessions; nothing is made, and no thread started, before something is written.

    Args:
        folder: of all sessions; None: a temporary one, gone with this object.
        clock: what records take their times from; None: the system's.
        cloud: where they are kept in place of the folder, which then has only what attempts work with.
        beside: where they would be if nothing were said of that; None: in no folder that is kept.
    """

    def __init__(
        self,
        folder: Path | None,
        clock: Clock | None = None,
        cloud: CloudLogs | None = None,
        beside: Path | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock or SystemClock()
        self._making = threading.Lock()
        self._temporary: weakref.finalize[Any, Any] | None = None
        self._beside = beside
        self.cloud = cloud
        #: Whether they stand in a folder that outlives this object.
        self.is_kept_here = folder is not None and cloud is None
        self._sinks: Sinks | None = None
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
        if self._sinks is None:  # Of two threads that come at once, both have to get the same.
            with self._making:
                if self._sinks is None:
                    self._sinks = LogStore(self._clock) if self.cloud is None else self.cloud.sinks()
        return AttemptLog(self._sinks, self._collector, self._clock, folder, job, attempt, item, redactor)

    def source(
        self,
        session: str,
        ended: Callable[[], datetime | None] = lambda: None,
        since: datetime | None = None,
        *,
        is_followed: bool = False,
    ) -> SessionSource:
        """The logs of a session, to be read; who has read them closes it.

        Args:
            session: the session's id.
            ended: when it came to rest; None: that is not known.
            since: nothing before is wanted; None: all is.
            is_followed: whether it is looked at again and again.
        """
        if self.cloud is None:
            return FolderLogs(self.session_folder(session))
        beside = None if self._beside is None else self._beside / session
        return self.cloud.source(session, ended, since, is_followed=is_followed, beside=beside)

    def size(self, session: str) -> int:
        """Bytes that the logs of a session take here; what a service keeps is not known.

        Raises:
            OSError: they can't be looked at.
        """
        return folders.size(self.session_folder(session))

    def remove(self, session: str) -> None:
        """Removes the logs of a session.

        Raises:
            OSError: they can't be removed here.
            AwsError: the same, there.
        """
        folders.remove(self.session_folder(session))
        if self.cloud is not None:
            self.cloud.remove(session)

    def clear(self, session: str, job: str, attempt: int, item: int | None) -> None:
        """Ends and removes what an attempt whose runner is gone left: its process, and files with secrets."""
        if self._folder is not None:
            clear(files_of(self._folder / session, job, attempt, item))

    def ending(self, timeout: float) -> None:
        """Says that `close` follows in so many seconds: nobody must wait for room for longer."""
        if self.cloud is not None:
            self.cloud.ending(timeout)

    def close(self) -> None:
        """Takes in what processes have written, sends what has yet to be sent, and ends."""
        self.ending(0.0)
        self._collector.close()
        if self.cloud is not None:
            self.cloud.close()


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
