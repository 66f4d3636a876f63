"""The store in one SQLite file: the default.

Durable at each commit: write-ahead log, synchronous=FULL (one fdatasync for each append). Every write is
one autocommitted statement or a BEGIN IMMEDIATE: a deferred BEGIN that writes later fails with
SQLITE_BUSY_SNAPSHOT at once, whatever the timeout (https://www.sqlite.org/isolation.html).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bunsui.errors import Conflict, NotFound, StoreError
from bunsui.model.json import compact
from bunsui.ports.store import Append, Appended, Commit, Document, Put, Store
from bunsui.stores import checksums, cursors, prefixes, rows
from bunsui.stores.sqlite_errors import nowhere
from bunsui.stores.sqlite_file import PAGE, SqliteFile
from bunsui.stores.sqlite_schema import BEGIN, undone_where_it_fails

#: Kinds of documents that may be lost in a power failure: they say who lives now.
VOLATILE = frozenset({"runner"})

# The position before must be there: the primary key alone would let a gap in.
_APPEND = """
INSERT OR IGNORE INTO commits SELECT ?, ?, ?, ?, ?
WHERE ? = 1 OR EXISTS (SELECT 1 FROM commits WHERE history = ? AND position = ?)
"""
_PUT = """
INSERT INTO documents VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET
    version = CASE WHEN expires_at <= ? THEN 1 ELSE version + 1 END, value = excluded.value,
    expires_at = excluded.expires_at, group1 = excluded.group1, sort1 = excluded.sort1,
    group2 = excluded.group2, sort2 = excluded.sort2, crc = excluded.crc
RETURNING version
"""
_GET = f"SELECT {rows.DOCUMENT} FROM documents WHERE kind = ? AND key = ?"  # noqa: S608 - a constant
# An UPDATE rewrites the entries of every index that a column of its SET stands in, changed or not: a
# session's index entry, which is put with every commit and stays in its groups, would write two more pages
# each time.
_PUT_SAME_GROUPS = """
UPDATE documents SET version = version + 1, value = ?, expires_at = ?, crc = ?
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
        StoreError: it lies on a network file system, or there is a file and it can't be opened, is not
            ours, is damaged, or was written by a later version.
    """

    max_commit_bytes: ClassVar[int] = 16 * 1024 * 1024
    path: Path

    def __init__(self, path: str | Path, *, lock_timeout: float = 5.0) -> None:
        try:
            self.path = Path(path).absolute()
        except FileNotFoundError as error:
            raise nowhere(path) from error
        self._file = SqliteFile(self.path, lock_timeout)

    # Histories

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`: one transaction, one fdatasync."""
        if not appends:
            return []
        try:
            with self._file.guard():
                connection = self._file.writer()
                if len(appends) == 1 and appends[0].document is None:
                    outcomes = [self._append(connection, appends[0])]
                else:
                    with undone_where_it_fails(connection):
                        connection.execute(BEGIN)
                        outcomes = [self._append(connection, entry) for entry in appends]
                        connection.execute("COMMIT")
        except StoreError as error:
            return [Appended(error=error) for _ in appends]
        self._file.wrote(sum(PAGE + len(entry.commit.body) for entry in appends))
        return outcomes

    def _append(self, connection: sqlite3.Connection, entry: Append) -> Appended:
        commit = entry.commit
        history, position = entry.history, commit.position
        crc = checksums.of_commit(history, position, commit.id)
        row = (history, position, commit.id, commit.body, crc, position, history, position - 1)
        if connection.execute(_APPEND, row).rowcount == 1:
            if entry.document is not None:
                _put(connection, entry.document, None)
            return Appended()
        found = connection.execute(
            "SELECT id FROM commits WHERE history = ? AND position = ?",
            (entry.history, commit.position),
        ).fetchone()
        return Appended(conflict=found is None or found[0] != commit.id)

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`; the rows are fetched in chunks, so nothing is held open in between."""
        goes_on = False
        while self._file.is_there():
            with self._file.guard():
                commits, is_last = rows.read_commits(self._file.connection(), self.path, history, after)
            if goes_on and not commits:
                raise NotFound(
                    f"the history of {history} was removed while it was read", kind="history", name=history
                )
            yield from commits
            goes_on = True
            if is_last:
                return
            after = commits[-1].position

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
        with self._file.guard():
            connection = self._file.writer()
            if kind in VOLATILE:
                connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with undone_where_it_fails(connection):
                    connection.execute(BEGIN)
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
                    connection.execute("COMMIT")
            finally:
                if kind in VOLATILE:
                    connection.execute("PRAGMA synchronous = FULL")
        self._file.wrote(PAGE)
        return version

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        if not self._file.is_there():
            return None
        with self._file.guard():
            row = self._file.connection().execute(_GET, (kind, key)).fetchone()
        if row is None:
            return None
        # Before it is taken for expired: also that may be the damage.
        found = rows.document(self.path, row)
        return found if row[rows.EXPIRES_AT] is None or row[rows.EXPIRES_AT] > time.time() else None

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        if not self._file.is_there():
            return
        with self._file.guard():
            self._file.writer().execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))
        self._file.wrote(PAGE)

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        last: tuple[str, ...] | None = None if after is None else cursors.parse(after)
        if not self._file.is_there():
            return []
        order, beyond = ("DESC", "<") if reverse else ("ASC", ">")
        live = "kind = ? AND (expires_at IS NULL OR expires_at > ?)"
        # By key alone: with a constant beside it SQLite would look at every key, and sort them all.
        if group is None:
            places = [("''", "1", f"AND key {beyond} ?", f"key {order}")]
            last = None if last is None else last[1:]
        else:
            places = [
                (
                    f"sort{n}",
                    f"group{n} = ?",
                    f"AND (sort{n}, key) {beyond} (?, ?)",
                    f"sort {order}, key {order}",
                )
                for n in (1, 2)
            ]
        selects, values = [], []
        for sort, where, behind, ordered in places:
            selects.append(
                "SELECT * FROM"  # noqa: S608 - constants
                f" (SELECT {rows.DOCUMENT}, {sort} AS sort FROM documents"
                f" WHERE {live} AND {where} {'' if last is None else behind} ORDER BY {ordered} LIMIT ?)"
            )
            values += [kind, time.time(), *([] if group is None else [group]), *(last or []), limit]
        sql = f"{' UNION ALL '.join(selects)} ORDER BY sort {order}, key {order} LIMIT ?"
        with self._file.guard():
            found = self._file.connection().execute(sql, (*values, limit)).fetchall()
        return [rows.document(self.path, row, sort) for *row, sort in found]

    def find_prefix(self, kind: str, prefix: str, limit: int = 100) -> list[Document]:
        """See `Store.find_prefix`."""
        return prefixes.find(self, kind, prefix, limit)

    def remove(self, history: str, document: tuple[str, str] | None = None) -> None:
        """See `Store.remove`: one transaction. The file keeps its size; what is freed is used again."""
        if not self._file.is_there():
            return
        with self._file.guard():
            connection = self._file.writer()
            with undone_where_it_fails(connection):
                connection.execute(BEGIN)
                removed = connection.execute("DELETE FROM commits WHERE history = ?", (history,)).rowcount
                if document is not None:
                    connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", document)
                connection.execute("COMMIT")
        self._file.wrote(PAGE * (1 + removed))

    def changed(self, token: object) -> object:
        """See `Store.changed`: SQLite counts the commits of all other connections."""
        del token
        if not self._file.is_there():
            return 0
        with self._file.guard():
            return self._file.version()

    def checkpoint(self) -> None:
        """Moves the log into the database, unless another process is doing it."""
        self._file.checkpoint()

    def limit_lock_timeout(self, seconds: float) -> None:
        """Waits for another process's write for at most `seconds` from now on, and never for longer."""
        self._file.limit_lock_timeout(seconds)

    def close(self) -> None:
        """See `Store.close`. A call after it opens the file for its own length only."""
        self._file.close()


def _put(connection: sqlite3.Connection, put: Put, expires_at: float | None) -> int:
    groups = [part for place in put.groups for part in place]
    groups += [None] * (4 - len(groups))  # type: ignore[list-item]
    value, now = compact(put.value), time.time()
    crc = checksums.of_document(put.kind, put.key, value, expires_at, groups)
    same = (value, expires_at, crc, put.kind, put.key, *groups, now)
    row = connection.execute(_PUT_SAME_GROUPS, same).fetchone()
    if row is None:
        row = connection.execute(_PUT, (put.kind, put.key, value, expires_at, *groups, crc, now)).fetchone()
    return int(row[0])
