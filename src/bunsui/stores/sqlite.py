"""The store in one SQLite file: the default.

Durable at each commit: write-ahead log, synchronous=FULL (one fdatasync for each append). Every write is
one autocommitted statement or a BEGIN IMMEDIATE: a deferred BEGIN that writes later fails with
SQLITE_BUSY_SNAPSHOT at once, whatever the timeout (https://www.sqlite.org/isolation.html).

SQLite before 3.51.3 can damage a database when two connections checkpoint at once
(https://www.sqlite.org/wal.html, the WAL-reset bug), so automatic checkpoints are off and ours run under a
file lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bunsui.errors import Conflict, StoreError
from bunsui.model.json import compact
from bunsui.ports.store import Append, Appended, Commit, Document, Put, Store

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
#: Bytes of the log between two checkpoints, about; as many as SQLite's own.
CHECKPOINT_BYTES = 1000 * PAGE
#: Kinds of documents that may be lost in a power failure: they say who lives now.
VOLATILE = frozenset({"runner"})

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
# The position before must be there: the primary key alone would let a gap in.
_APPEND = """
INSERT OR IGNORE INTO commits SELECT ?1, ?2, ?3, ?4
WHERE ?2 = 1 OR EXISTS (SELECT 1 FROM commits WHERE history = ?1 AND position = ?2 - 1)
"""
_PUT = """
INSERT INTO documents VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET
    version = CASE WHEN expires_at <= ? THEN 1 ELSE version + 1 END, value = excluded.value,
    expires_at = excluded.expires_at, group1 = excluded.group1, sort1 = excluded.sort1,
    group2 = excluded.group2, sort2 = excluded.sort2
RETURNING version
"""
# An UPDATE rewrites the entries of every index that a column of its SET stands in, changed or not: a
# session's index entry, which is put with every commit and stays in its groups, would write two more pages
# each time.
_PUT_SAME_GROUPS = """
UPDATE documents SET version = version + 1, value = ?, expires_at = ?
WHERE kind = ? AND key = ? AND group1 IS ? AND sort1 IS ? AND group2 IS ? AND sort2 IS ?
    AND (expires_at IS NULL OR expires_at > ?)
RETURNING version
"""


class SqliteStore(Store):
    """Histories and documents in one SQLite file.

    Args:
        path: the file. Where there is none, reading finds nothing, and the first write makes it, with
            its folder (0600, 0700).
        lock_timeout: seconds to wait for another process's write.

    Raises:
        StoreError: there is a file and it can't be opened, is not ours, or was written by a later
            version.
    """

    max_commit_bytes: ClassVar[int] = 16 * 1024 * 1024

    def __init__(self, path: str | Path, *, lock_timeout: float = 5.0) -> None:
        self.path = Path(path).absolute()
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
        if self._is_there():
            with self._guard():
                self._connection()

    # Connections

    def _is_there(self) -> bool:
        """Whether there is anything to read."""
        if not self._exists:
            with self._guard(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.path.stat()
                self._exists = True
        return self._exists

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """SQLite's errors as ours; after one, this thread's connection is opened anew."""
        try:
            yield
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

    def _connection(self) -> sqlite3.Connection:
        if os.getpid() != self._pid:
            self._forked()
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
        except BaseException:
            connection.close()
            raise
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
            with _transaction(connection):
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

    # Histories

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`: one transaction, one fdatasync."""
        if not appends:
            return []
        try:
            with self._guard():
                connection = self._connection()
                if len(appends) == 1 and appends[0].document is None:
                    outcomes = [self._append(connection, appends[0])]
                else:
                    with _transaction(connection):
                        outcomes = [self._append(connection, entry) for entry in appends]
        except StoreError as error:
            return [Appended(error=error) for _ in appends]
        self._wrote(sum(PAGE + len(entry.commit.body) for entry in appends))
        return outcomes

    def _append(self, connection: sqlite3.Connection, entry: Append) -> Appended:
        commit = entry.commit
        row = (entry.history, commit.position, commit.id, commit.body)
        if connection.execute(_APPEND, row).rowcount == 1:
            if entry.document is not None:
                _put(connection, entry.document, None)
            return Appended()
        found = connection.execute(
            "SELECT id FROM commits WHERE history = ? AND position = ?",
            (entry.history, commit.position),
        ).fetchone()
        return Appended(conflict=found is None or found[0] != commit.id)

    def _wrote(self, size: int) -> None:
        # Threads that count at once may lose a little; it only moves the checkpoint.
        self._written += size
        if self._written >= CHECKPOINT_BYTES:
            self._written = 0
            # What was written is durable without it, and the next one tries again.
            with contextlib.suppress(StoreError):
                self.checkpoint()

    def checkpoint(self) -> None:
        """Moves the log into the database, unless another process is doing it."""
        with self._guard(), self._checkpoint_lock() as mine:
            if mine:
                self._connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

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

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`; the rows are fetched in chunks, so nothing is held open in between."""
        while self._is_there():
            with self._guard():
                rows = (
                    self._connection()
                    .execute(
                        "SELECT position, id, body FROM commits WHERE history = ? AND position > ?"
                        " ORDER BY position LIMIT 256",
                        (history, after),
                    )
                    .fetchall()
                )
            for row in rows:
                yield Commit(*row)
            if len(rows) < 256:
                return
            after = rows[-1][0]

    # Documents

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See `Store.put`."""
        put = Put(kind, key, value, groups)
        with self._guard():
            connection = self._connection()
            if kind in VOLATILE:
                connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with _transaction(connection):
                    if if_version is not None:
                        row = connection.execute(
                            "SELECT version FROM documents WHERE kind = ? AND key = ?"
                            " AND (expires_at IS NULL OR expires_at > ?)",
                            (kind, key, time.time()),
                        ).fetchone()
                        version = row[0] if row else 0
                        if version != if_version:
                            raise Conflict(f"{kind} '{key}' has version {version}, not {if_version}")
                    version = _put(connection, put, expires_at)
            finally:
                if kind in VOLATILE:
                    connection.execute("PRAGMA synchronous = FULL")
        self._wrote(PAGE)
        return version

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        if not self._is_there():
            return None
        with self._guard():
            row = (
                self._connection()
                .execute(
                    "SELECT key, value, version FROM documents WHERE kind = ? AND key = ?"
                    " AND (expires_at IS NULL OR expires_at > ?)",
                    (kind, key, time.time()),
                )
                .fetchone()
            )
        return None if row is None else Document(row[0], json.loads(row[1]), row[2])

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        if not self._is_there():
            return
        with self._guard():
            self._connection().execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
        self._wrote(PAGE)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        if not self._is_there():
            return []
        order, beyond = ("DESC", "<") if reverse else ("ASC", ">")
        live = "kind = ? AND (expires_at IS NULL OR expires_at > ?)"
        last = json.loads(after) if after is not None else None
        selects, values = [], []
        for sort, where in (
            [("''", "1")] if group is None else [("sort1", "group1 = ?"), ("sort2", "group2 = ?")]
        ):
            selects.append(
                "SELECT * FROM"  # noqa: S608 - constants
                f" (SELECT key, value, version, {sort} AS sort FROM documents"
                f" WHERE {live} AND {where}"
                f"{f' AND ({sort}, key) {beyond} (?, ?)' if last is not None else ''}"
                f" ORDER BY sort {order}, key {order} LIMIT ?)"
            )
            values += [kind, time.time(), *([] if group is None else [group]), *(last or []), limit]
        sql = f"{' UNION ALL '.join(selects)} ORDER BY sort {order}, key {order} LIMIT ?"
        with self._guard():
            rows = self._connection().execute(sql, (*values, limit)).fetchall()
        return [
            Document(key, json.loads(value), version, json.dumps([sort, key]))
            for key, value, version, sort in rows
        ]

    def changed(self, token: object) -> object:
        """See `Store.changed`: SQLite counts the commits of all other connections."""
        del token
        if not self._is_there():
            return 0
        with self._guard():
            version = self._connection().execute("PRAGMA data_version").fetchone()[0]
            # There is none where the store was closed a moment ago: then it is a change.
            return getattr(self._local, "opened", object()), version

    def close(self) -> None:
        """See `Store.close`. A call after it opens the file for its own length only."""
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
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _put(connection: sqlite3.Connection, put: Put, expires_at: float | None) -> int:
    groups = [part for place in put.groups for part in place]
    groups += [None] * (4 - len(groups))  # type: ignore[list-item]
    value, now = compact(put.value), time.time()
    same = (value, expires_at, put.kind, put.key, *groups, now)
    row = connection.execute(_PUT_SAME_GROUPS, same).fetchone()
    if row is None:
        row = connection.execute(_PUT, (put.kind, put.key, value, expires_at, *groups, now)).fetchone()
    return int(row[0])
