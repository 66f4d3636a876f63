"""Whether what a SQLite store holds is what was written."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from bunsui.diagnosis.check import Check, ok, problem, warning
from bunsui.errors import StoreError
from bunsui.stores import checksums, records, rows
from bunsui.stores.sqlite_errors import damaged, store_error

#: Steps of SQLite's machine between two looks at the clock.
_STEPS = 20_000
_RESTORE = "restore it from a backup"


def integrity(connection: sqlite3.Connection, path: Path, seconds: float) -> Check:
    """SQLite's own check of pages, order and indexes.

    Args:
        connection: to the store.
        path: its file, for texts.
        seconds: after which it is given up.
    """
    began = time.monotonic()
    connection.set_progress_handler(lambda: time.monotonic() - began > seconds, _STEPS)
    try:
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return warning(
            "store's integrity",
            f"SQLite has found nothing wrong in {seconds:.0f} seconds, and has not seen all of {path}",
            f"let it look at all of it: sqlite3 -readonly '{path}' 'PRAGMA integrity_check'",
        )
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        return problem("store's integrity", f"{path} is damaged: {' '.join(str(found).split())}", _RESTORE)
    return ok("store's integrity", f"SQLite finds {path} whole, in {time.monotonic() - began:.1f} s")


def rows_of(connection: sqlite3.Connection, path: Path, seconds: float) -> Check:
    """The checksums of the rows: documents, then commits, as many as there is time for."""
    deadline = time.monotonic() + seconds
    seen = 0
    try:
        for _ in (each for part in (_documents, _commits) for each in part(connection, path)):
            seen += 1
            if time.monotonic() > deadline:
                return warning(
                    "store's rows",
                    f"the checksums of {seen} rows are right, and there was no time for more",
                    "sessions check what they read, so this can be left; or look while less is running",
                )
    except StoreError as error:
        return problem("store's rows", error.message, error.hint or _RESTORE)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return problem("store's rows", str(store_error(path, error)), _RESTORE)
    return ok("store's rows", f"the checksums of all {seen} rows are right")


def _documents(connection: sqlite3.Connection, path: Path) -> Iterator[object]:
    for row in connection.execute(f"SELECT {rows.DOCUMENT} FROM documents"):  # noqa: S608 - a constant
        yield rows.document(path, row)


def _commits(connection: sqlite3.Connection, path: Path) -> Iterator[object]:
    for history, position, id_, body, crc in connection.execute(
        "SELECT history, position, id, body, crc FROM commits"
    ):
        if not isinstance(body, str) or crc != checksums.of_commit(history, position, id_):
            raise damaged(path, f"the checksum of commit {position!r} of {history!r} is wrong")
        yield records.decode_body(body, f"commit {position} of {history}")
