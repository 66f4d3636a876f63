"""The tables of the SQLite store: made in an empty file, looked at in any other.

Each row carries a checksum (`stores.checksums`), and what rows can't say of themselves, such as that one of
them is missing, SQLite is asked once when a store is opened, as far as that takes no time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bunsui.errors import StoreError
from bunsui.stores.access import read_only
from bunsui.stores.sqlite_errors import damaged

#: The version of the tables, in PRAGMA user_version.
SCHEMA_VERSION = 1
#: Marks the file as ours, in PRAGMA application_id: "bnsi".
APPLICATION_ID = 0x626E7369
#: Begins a transaction that may write from its start; see the note on deferred ones in `stores.sqlite`.
BEGIN = "BEGIN IMMEDIATE"
#: Bytes of a file up to which it is looked at whole when it is opened: that takes about 1 ms a megabyte.
CHECKED_BYTES = 16 * 1024 * 1024

#: By name.
_TABLES = {
    "commits": """CREATE TABLE commits (
    history TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (history, position)
) WITHOUT ROWID""",
    "documents": """CREATE TABLE documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value TEXT NOT NULL,
    expires_at REAL, group1 TEXT, sort1 TEXT, group2 TEXT, sort2 TEXT,
    crc INTEGER NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID""",
    "documents_1": "CREATE INDEX documents_1 ON documents (kind, group1, sort1, key)"
    " WHERE group1 IS NOT NULL",
    "documents_2": "CREATE INDEX documents_2 ON documents (kind, group2, sort2, key)"
    " WHERE group2 IS NOT NULL",
}


def prepare(connection: sqlite3.Connection, path: Path, *, may_write: bool) -> bool:
    """Makes the tables in an empty file; refuses one that is not ours, unchanged.

    Returns:
        Whether it made them.

    Raises:
        StoreError: it is another program's, of a later version, or damaged; or it is empty and may not be
            written.
    """
    version = _version(connection)
    if version == 0:
        if _make(connection, path, may_write=may_write):
            return True
        version = _version(connection)
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _foreign(path)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}; this bunsui knows up to {SCHEMA_VERSION}",
            hint="use a later bunsui; the file is unchanged",
            lasting=True,
        )
    tables = dict(connection.execute("SELECT name, sql FROM sqlite_master").fetchall())
    if version < SCHEMA_VERSION or any(tables.get(name) != sql for name, sql in _TABLES.items()):
        raise damaged(path, "its tables are not those that were made")
    # They run with each write: one could take back what an append has confirmed, or never end.
    if connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger'").fetchone():
        raise damaged(path, "it has triggers, and bunsui makes none")
    return False


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Has SQLite look at all of a file that is not large: for rows that are missing or out of order.

    Raises:
        StoreError: it is damaged.
    """
    if path.stat().st_size <= CHECKED_BYTES:
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            raise damaged(path, " ".join(str(found).split()))


def _version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _make(connection: sqlite3.Connection, path: Path, *, may_write: bool) -> bool:
    with undone_where_it_fails(connection):
        connection.execute(BEGIN)
        missing = _version(connection) == 0  # Another process may have made them in between.
        if missing:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise _foreign(path)
            if not may_write:
                raise read_only(path)
            for statement in _TABLES.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    return missing


def _foreign(path: Path) -> StoreError:
    return StoreError(
        f"{path} is another program's database",
        hint="name another file with --store or BUNSUI_STORE",
        lasting=True,
    )


@contextlib.contextmanager
def undone_where_it_fails(connection: sqlite3.Connection) -> Iterator[None]:
    """Rolls back the transaction that is begun within this, where an exception comes before its COMMIT.

    It does not begin it itself: where Ctrl-C came between that and the first line within, the write lock
    would be held for as long as anybody keeps the traceback, as a notebook does.
    """
    try:
        yield
    except BaseException:  # Only to clean up: it goes on; Ctrl-C too must not leave the write lock held.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
