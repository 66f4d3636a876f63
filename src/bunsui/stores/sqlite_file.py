"""The file behind the SQLite store: its connections, one for each thread, and its log.

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

from attrs import define

from bunsui.errors import StoreError
from bunsui.stores import forks
from bunsui.stores.access import Access, Stamp, access_to, read_only, stamp_of
from bunsui.stores.filesystems import damaging, network_mount
from bunsui.stores.sqlite_errors import not_made, store_error
from bunsui.stores.sqlite_schema import check_whole, prepare

try:
    import fcntl
except ImportError:  # Windows has no flock; there a checkpoint is tried without it.
    fcntl = None  # type: ignore[assignment]

#: Bytes of a page: about what a small write adds to the log.
PAGE = 4096
#: Bytes of the log between two checkpoints, about. Fewer than SQLite's own 1000 pages: a commit to a log that
#: still grows takes half as long again as one that writes over what a checkpoint has freed.
CHECKPOINT_BYTES = 32 * PAGE


@define
class _Use:
    """Of a connection: whose it is, and whether that thread is in a call with it."""

    thread: threading.Thread
    in_call: bool = True


class SqliteFile:
    """A SQLite database in write-ahead mode with synchronous=FULL.

    Args:
        path: the file. The first connection makes it, with its folder (0600, 0700).
        lock_timeout: seconds to wait for another process's write.

    Raises:
        StoreError: it lies on a network file system, or there is a file and it can't be opened, is not
            ours, is damaged, or was written by a later version.
    """

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self.path = path
        #: Where the file really is: SQLite makes the others beside that.
        self._real = path
        self._lock_timeout = lock_timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        #: Every connection; one that its thread has and that is not in here was closed.
        self._open: dict[sqlite3.Connection, _Use] = {}
        #: Those of the processes that this one was forked from.
        self._inherited: list[dict[sqlite3.Connection, _Use]] = []
        self._pid = os.getpid()
        self._closed = False
        #: Bytes written since the last checkpoint, about.
        self._written = 0
        self._exists = False
        #: Device and inode of the file that was opened first.
        self._identity: tuple[int, int] | None = None
        forks.close_before_forks(self)
        with self.guard():
            self._refuse_network()
        if self.is_there():
            with self.guard():
                self.connection()

    def _refuse_network(self) -> None:
        mount = network_mount(self.path)
        if mount is not None:
            raise StoreError(
                f"store {self.path} {damaging(mount)}",
                hint="name a file on a disk of this machine with --store or BUNSUI_STORE",
                lasting=True,
            )

    def is_there(self) -> bool:
        """Whether there is anything to read: an empty file, as `mktemp` makes it, is no store yet."""
        if not self._exists and self._identity is None:
            with self.guard(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                # With a log beside it, it is what is left of a store.
                self._exists = self.path.stat().st_size > 0 or Path(f"{self.path.resolve()}-wal").exists()
        return self._exists or self._identity is not None

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """SQLite's errors as ours; after one, this thread's connection is opened anew. Forks wait for it."""
        with forks.gate():
            try:
                try:
                    yield
                finally:
                    # What was read while somebody wrote may have looked damaged.
                    self._check_frozen()
            except UnicodeEncodeError as error:
                raise StoreError(f"store {self.path}: a name holds an unpaired surrogate") from error
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._drop()
                raise store_error(self.path, error) from error
            finally:
                self._end_call()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection; use it within `guard`."""
        if os.getpid() != self._pid:
            self._forked()
        self._check_identity()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            with self._lock:
                use = self._open.get(connection)
                if use is not None:
                    use.in_call = True
                    return connection
        connection = self._connect()
        self._local.connection = connection
        # What stands in `_open` outlives its thread, so those of threads that ended go now.
        with self._lock:
            ended = [found for found, use in self._open.items() if not use.thread.is_alive()]
            for found in ended:
                del self._open[found]
            self._open[connection] = _Use(threading.current_thread())
        for found in ended:
            _close(found)
        # Tells the tokens of `changed` apart: SQLite counts anew for each connection.
        self._local.opened = object()
        return connection

    def writer(self) -> sqlite3.Connection:
        """This thread's connection, where the store may be written; use it within `guard`.

        Raises:
            StoreError: it may only be read.
        """
        connection = self.connection()
        if self._local.access is not Access.WRITE:
            self._drop()  # By the next call somebody may have given the right.
            raise read_only(self._real)
        return connection

    def _check_frozen(self) -> None:
        """Raises StoreError where somebody wrote to a file that was read as one that nobody changes."""
        stamp: Stamp | None = getattr(self._local, "stamp", None)
        if stamp is not None and stamp != stamp_of(self._real):
            raise StoreError(f"store {self.path} was written while it was read", hint="try again")

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
                lasting=True,
            )

    def _forked(self) -> None:
        # What is still open was forked without Python's knowledge, as a program that embeds Python may: see
        # `forks`. It must not be used, nor closed, on the other side of a fork, and is left as it is.
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
                raise not_made(self.path, error) from error
        self._real = self.path.resolve()
        access = access_to(self._real)
        stamp = stamp_of(self._real) if access is Access.FROZEN else None
        connection = sqlite3.connect(
            f"{self._real.as_uri()}?{access.value}",
            uri=True,
            timeout=self._lock_timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        may_write = access is Access.WRITE
        try:
            made = prepare(connection, self.path, may_write=may_write)
            if self._identity is None and not made:
                check_whole(connection, self.path)
            if may_write:
                self._use_log(connection)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:  # Only to clean up: it goes on.
            self._leave(connection)
            raise
        self._local.access, self._local.stamp = access, stamp
        if self._identity is None:
            about = self.path.stat()
            self._identity = (about.st_dev, about.st_ino)
        return connection

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Closes the connection to a file that was refused, and leaves the file as it is."""
        log = Path(f"{self._real}-wal")
        with contextlib.ExitStack() as stack:
            # The last connection to be closed writes the log into the file, unless it may only read.
            if log.exists() and log.stat().st_size:
                last = sqlite3.connect(f"{self._real.as_uri()}?mode=ro", uri=True)
                stack.callback(last.close)
                with contextlib.suppress(sqlite3.Error):  # What is wrong with it is known already.
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

    def _end_call(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            with self._lock:
                use = self._open.get(connection)
                if use is not None:
                    use.in_call = False
            # Looked at after that: `close` leaves those to their threads that are in a call.
            if self._closed or self._local.stamp is not None:
                self._drop()

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = self._local.stamp = None
            with self._lock:
                use = self._open.pop(connection, None)
            if use is not None:
                _close(connection)

    def limit_lock_timeout(self, seconds: float) -> None:
        """Waits for another process's write for at most `seconds` from now on, and never for longer."""
        if os.getpid() != self._pid:
            self._forked()
        self._lock_timeout = min(self._lock_timeout, seconds)
        with self._lock:
            for connection in self._open:
                connection.execute(f"PRAGMA busy_timeout = {int(self._lock_timeout * 1000)}")

    def version(self) -> tuple[object, int]:
        """Differs from an earlier answer in this thread if any other connection has committed since."""
        found = self.connection().execute("PRAGMA data_version").fetchone()[0]
        return self._local.opened, found

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
                self.writer().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextlib.contextmanager
    def _checkpoint_lock(self) -> Iterator[bool]:
        if fcntl is None:
            yield True
            return
        lock = os.open(f"{self._real}-checkpoint", os.O_CREAT | os.O_RDWR, 0o600)
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
        """Closes all connections. A call after it opens the file for its own length only.

        A call that another thread is in goes on, and closes its connection at its end: a process dies of a
        connection that is closed in the middle of a statement, as Python's sqlite3 goes on with it.
        """
        with forks.gate():
            self._closed = True
            self._take(of_calls=False)

    def let_go(self) -> None:
        """Closes all connections, while no other thread may be in a call; the next call opens one anew."""
        self._take(of_calls=True)

    def _take(self, *, of_calls: bool) -> None:
        """Closes connections, with or without those that other threads are in a call with."""
        if os.getpid() != self._pid:
            return  # They are another process's, or there are none.
        with self._lock:
            here = threading.current_thread()
            taken = [
                connection
                for connection, use in self._open.items()
                if of_calls or not use.in_call or use.thread is here
            ]
            for connection in taken:
                del self._open[connection]
        for connection in taken:
            _close(connection)


def _close(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        connection.close()
