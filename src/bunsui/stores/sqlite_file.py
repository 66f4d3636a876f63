"""The file behind the SQLite store: its connections, one for each thread, its schema and its log.

SQLite before 3.51.3 can damage a database when two connections checkpoint at once
(https://www.sqlite.org/wal.html, the WAL-reset bug), so automatic checkpoints are off and ours run under a
file lock.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bunsui.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows has no flock; there a checkpoint is tried without it.
    fcntl = None  # type: ignore[assignment]

#: The version of the tables, in PRAGMA user_version.
SCHEMA_VERSION = 1
#: Marks the file as ours, in PRAGMA application_id: "bnsi".
APPLICATION_ID = 0x626E7369
#: Bytes of a page: about what a small write adds to the log.
PAGE = 4096
#: Bytes of the log between two checkpoints, about. Fewer than SQLite's own 1000 pages: a commit to a log that
#: still grows takes half as long again as one that writes over what a checkpoint has freed.
CHECKPOINT_BYTES = 32 * PAGE

_SCHEMA = f"""
CREATE TABLE commits (
    history TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (history, position)
) WITHOUT ROWID;
CREATE TABLE documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
    expires_at REAL, group1 TEXT, sort1 TEXT, group2 TEXT, sort2 TEXT,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX documents_1 ON documents (kind, group1, sort1, key) WHERE group1 IS NOT NULL;
CREATE INDEX documents_2 ON documents (kind, group2, sort2, key) WHERE group2 IS NOT NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


class SqliteFile:
    """A SQLite database in write-ahead mode with synchronous=FULL.

    Args:
        path: the file. The first connection makes it, with its folder (0600, 0700).
        lock_timeout: seconds to wait for another process's write.

    Raises:
        StoreError: there is a file and it can't be opened, is not ours, or was written by a later
            version.
    """

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self.path = path
        self._lock_timeout = lock_timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        #: Every connection and whose it is.
        self._open: dict[sqlite3.Connection, threading.Thread] = {}
        #: Those of the processes that this one was forked from.
        self._inherited: list[dict[sqlite3.Connection, threading.Thread]] = []
        self._pid = os.getpid()
        self._closed = False
        #: Bytes written since the last checkpoint, about.
        self._written = 0
        self._exists = False
        #: Device and inode of the file that was opened first.
        self._identity: tuple[int, int] | None = None
        if self.is_there():
            with self.guard():
                self.connection()

    def is_there(self) -> bool:
        """Whether there is anything to read."""
        if not self._exists and self._identity is None:
            with self.guard(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.path.stat()
                self._exists = True
        return self._exists or self._identity is not None

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """SQLite's errors as ours; after one, this thread's connection is opened anew."""
        try:
            yield
        except UnicodeEncodeError as error:
            raise StoreError(f"store {self.path}: a name holds an unpaired surrogate") from error
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise self._error(getattr(error, "strerror", None) or str(error)) from error
        finally:
            if self._closed:
                self._drop()

    def _error(self, text: str) -> StoreError:
        if "locked" in text or "busy" in text:
            hint = "another process has been writing to it for too long; try again"
        elif "full" in text or "No space" in text:
            hint = "free some space; the session can be resumed"
        elif "readonly" in text or "unable to open" in text or "denied" in text:
            hint = "check that the file and its folder exist and that you may write to them"
        elif "malformed" in text or "not a database" in text:
            hint = "the file is damaged, or no bunsui store; restore it from a backup"
        else:
            hint = "the session can be resumed once the store works again"
        return StoreError(f"store {self.path}: {text}", hint=hint)

    def connection(self) -> sqlite3.Connection:
        """This thread's connection; use it within `guard`."""
        if os.getpid() != self._pid:
            self._forked()
        self._check_identity()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            # What stands in `_open` outlives its thread, so those of threads that ended go now.
            with self._lock:
                ended = [found for found, thread in self._open.items() if not thread.is_alive()]
                for found in ended:
                    del self._open[found]
                self._open[connection] = threading.current_thread()
            for found in ended:
                _close(found)
            # Tells the tokens of `changed` apart: SQLite counts anew for each connection.
            self._local.opened = object()
        return connection

    def _check_identity(self) -> None:
        """Refuses to go on where the file was removed or replaced: SQLite would write to what nobody sees."""
        if self._identity is None:
            return
        try:
            found = os.stat(self.path)  # noqa: PTH116 - a path lives on each commit's way
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise StoreError(
                f"store {self.path} was {'removed' if found is None else 'replaced'} while it was in use",
                hint="put the file back; what was committed since is lost",
            )

    def _forked(self) -> None:
        # A connection must not be used, nor closed, on the other side of a fork: closing would drop the
        # parent's file locks (https://www.sqlite.org/howtocorrupt.html, 2.6). It is left as it is.
        self._inherited.append(self._open)
        self._open = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Exclusively: to close a file that SQLite has open elsewhere in this process would end its
                # locks (https://www.sqlite.org/howtocorrupt.html, 2.2).
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(self.path.resolve(), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except OSError as error:
                raise StoreError(
                    f"store {self.path} can't be made: {error.strerror}",
                    hint="name another place with --store or BUNSUI_STORE",
                ) from error
        connection = sqlite3.connect(
            self.path, timeout=self._lock_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            self._check(connection)
            self._use_log(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        except StoreError:
            self._leave(connection)
            raise
        except BaseException:  # Only to clean up: it goes on.
            connection.close()
            raise
        if self._identity is None:
            about = self.path.stat()
            self._identity = (about.st_dev, about.st_ino)
        return connection

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Closes the connection to a file that was refused, and leaves the file as it is."""
        log = Path(f"{self.path}-wal")
        with contextlib.ExitStack() as stack:
            # The last connection to be closed writes the log into the file, unless it may only read.
            if log.exists() and log.stat().st_size:
                last = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
                stack.callback(last.close)
                last.execute("PRAGMA user_version")
            connection.close()

    def _use_log(self, connection: sqlite3.Connection) -> None:
        """Switches a new file to the write-ahead log."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # Where another process looks at the new file, this fails at once, whatever the timeout.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.001)
            else:
                return

    def _check(self, connection: sqlite3.Connection) -> None:
        """Makes the tables in an empty file; refuses one that is not ours, unchanged."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with transaction(connection):
                # Another process may have made them in between.
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                        raise StoreError(
                            f"{self.path} is another program's database",
                            hint="name another file with --store or BUNSUI_STORE",
                        )
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        connection.execute(statement)
                    return
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is another program's database",
                hint="name another file with --store or BUNSUI_STORE",
            )
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema {version}; this bunsui knows up to {SCHEMA_VERSION}",
                hint="use a later bunsui; the file is unchanged",
            )

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            with self._lock:
                self._open.pop(connection, None)
            _close(connection)

    def version(self) -> tuple[object, int]:
        """Differs from an earlier answer in this thread if any other connection has committed since."""
        found = self.connection().execute("PRAGMA data_version").fetchone()[0]
        # SQLite counts anew for each connection. There is none where the file was closed a moment ago:
        # then it is a change.
        return getattr(self._local, "opened", object()), found

    # The log

    def wrote(self, size: int) -> None:
        """Counts bytes that were written, about, and makes a checkpoint where there are many."""
        # Threads that count at once may lose a little; it only moves the checkpoint.
        self._written += size
        if self._written >= CHECKPOINT_BYTES:
            self._written = 0
            # What was written is durable without it, and the next one tries again.
            with contextlib.suppress(StoreError):
                self.checkpoint()

    def checkpoint(self) -> None:
        """Moves the log into the database, unless another process is doing it."""
        with self.guard(), self._checkpoint_lock() as mine:
            if mine:
                self.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextlib.contextmanager
    def _checkpoint_lock(self) -> Iterator[bool]:
        if fcntl is None:
            yield True
            return
        lock = os.open(f"{self.path}-checkpoint", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                # Closing alone would leave it to a child that was forked in between.
                fcntl.flock(lock, fcntl.LOCK_UN)
        finally:
            os.close(lock)

    def close(self) -> None:
        """Closes all connections. A call after it opens the file for its own length only."""
        self._closed = True
        if os.getpid() != self._pid:
            return
        with self._lock:
            connections, self._open = self._open, {}
        self._local = threading.local()
        for connection in connections:
            _close(connection)


def _close(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        connection.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that may write from its start; see the note on deferred ones in `stores.sqlite`."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:  # Only to clean up: it goes on; Ctrl-C too must not leave the write lock held.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
